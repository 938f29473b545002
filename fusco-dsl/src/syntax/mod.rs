//! Text to tree. A stand-in, written only so that `sema` can be built and tested before the real
//! `syntax` room arrives: plain pest errors, no recovery.

pub mod ast;
mod build;

pub use build::parse;
