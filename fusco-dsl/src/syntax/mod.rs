//! Text to tree and back: the grammar, the tree, the canonical printer.

mod advice;
pub mod ast;
mod build;
mod declared;
mod expect;
mod lex;
mod limits;
mod print;
mod site;
mod stated;
pub(crate) mod words;

pub(crate) use advice::SHAPE;
pub use build::{Parsed, parse, read};
pub use expect::declares;
pub use print::{dump, fmt};
