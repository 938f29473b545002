//! Names, types and facts: the tree becomes a checked program.
//!
//! Enters: `syntax::ast::Program`. Leaves: [`hir::Program`] and every diagnostic of the run.
//! What a program may say but no later stage can lower is refused here, located, as F0999.

mod adjoint;
mod bind;
mod check;
mod dtype;
mod entry;
mod extent;
pub mod hir;
mod mesh;
mod placement;
mod print;
mod prove;
mod route;
mod schedule;
mod scope;
mod text;
mod value;

pub use bind::bind;
pub use check::check;
pub use print::print;
