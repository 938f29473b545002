//! Text to tree and back: the grammar, the tree, the canonical printer.

pub mod ast;
mod build;
mod expect;
mod lex;
mod limits;
mod print;

pub use build::parse;
pub use expect::declares;
pub use print::{dump, fmt};
