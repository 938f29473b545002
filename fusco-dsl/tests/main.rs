//! One binary for all tests of the compiler.

mod errors;
mod stages;
mod syntax;
