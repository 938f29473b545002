//! HOW data moves: the schedule IR, its lowering, and the verifier that is the only key to a back end.

pub mod ir;
mod verify;

pub use verify::Verified;
