//! One binary for all tests of the compiler.

mod adjoint;
mod codes;
mod digits;
mod errors;
mod explain;
mod fixes;
mod fuzz;
mod oracle;
mod pairs;
mod stages;
mod syntax;
