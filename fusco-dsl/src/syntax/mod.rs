//! Text to tree and back: the grammar, the tree, the canonical printer.

pub mod ast;
mod build;
mod expect;

pub use build::parse;
