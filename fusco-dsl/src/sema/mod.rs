//! Names, types and facts: the tree becomes a checked program.
//!
//! Enters: `syntax::ast::Program`. Leaves: [`hir::Program`] and every diagnostic of the run.
//! What a program may say but no later stage can lower is refused here, located, as F0999.

mod adjoint;
mod apart;
mod attrs;
mod bind;
mod check;
mod checker;
mod consts;
mod dtype;
mod edits;
mod entry;
mod extent;
mod facts;
mod filter;
mod fit;
mod fix;
mod foreign;
mod frame;
mod hints;
pub mod hir;
mod hops;
mod linear;
mod mesh;
mod owners;
mod placement;
mod poly;
mod print;
mod prove;
mod range;
pub(crate) mod reach;
mod route;
mod routed;
mod schedule;
mod scope;
mod spread;
mod static_index;
mod static_stmt;
mod steps;
mod storage;
mod text;
mod tree;
mod value;

pub use bind::bind;
pub use check::check;
pub use print::print;
pub(crate) use text::size as size_text;
