//! Text to verified schedule to CUDA text. Pure: no I/O in a stage, no unsafe, no CUDA.
//!
//! Data flows one way: `syntax` -> `sema` -> `layout` -> `plan` -> `schedule` -> `kernel` -> `cuda`. The `oracle`
//! reads what `sema` leaves and judges everything else.
#![forbid(unsafe_code)]

pub mod arena;
pub mod cuda;
pub mod diag;
mod driver;
pub mod explain;
pub mod kernel;
pub mod layout;
pub mod oracle;
pub mod plan;
pub mod ranks;
pub mod rust;
pub mod schedule;
pub mod sema;
pub mod source;
pub mod syntax;
mod target;
mod verified;

pub use driver::{Compiled, check, compile, lower};
