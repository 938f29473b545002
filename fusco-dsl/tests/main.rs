//! One binary for all tests of the compiler.

mod adjoint;
mod errors;
mod fuzz;
mod oracle;
mod stages;
mod syntax;
