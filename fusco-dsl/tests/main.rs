//! One binary for all tests of the compiler.

mod adjoint;
mod architecture;
mod codes;
mod digits;
mod directives;
mod errors;
mod explain;
mod first_programs;
mod fixes;
mod fuzz;
mod house;
mod images;
mod kernel;
mod known;
mod language;
mod limits;
mod names;
mod oracle;
mod oracle_linear;
mod oracle_static;
mod pairs;
mod stages;
mod syntax;
mod values;
mod verify;
mod writes;
