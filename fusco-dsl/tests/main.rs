//! One binary for all tests of the compiler.

mod syntax;
