//! HOW data moves: the schedule IR, its lowering, and the verifier that is the only key to a back end.

mod address;
mod arith;
mod bits;
mod choice;
mod computed;
mod fetched;
mod forwarders;
mod hops;
pub mod ir;
mod lookups;
mod lower;
mod moved;
mod moves;
mod names;
mod path;
mod places;
mod print;
mod routed;
mod scan;
mod verify;
mod visit;

pub use crate::verified::Verified;
pub use lower::lower;
pub use print::print;
pub(crate) use print::print_ops;
pub use verify::Problem;
pub use verify::verify;
pub(crate) use verify::{Between, Launch, obligations};
