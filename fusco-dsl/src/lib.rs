//! Text to verified schedule to CUDA text. Pure: no I/O in a stage, no unsafe, no CUDA.
#![forbid(unsafe_code)]

pub mod arena;
pub mod cuda;
pub mod diag;
pub mod layout;
pub mod plan;
pub mod schedule;
pub mod sema;
pub mod source;
