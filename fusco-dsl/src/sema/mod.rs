//! Names, types and facts: the tree becomes a checked program.

pub mod hir;
