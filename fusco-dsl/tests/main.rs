//! One binary for all tests of the compiler.

mod adjoint;
mod catalogue;
mod errors;
mod oracle;
mod stages;
mod syntax;
