//! One binary for all tests of the compiler.

mod adjoint;
mod codes;
mod errors;
mod oracle;
mod stages;
mod syntax;
