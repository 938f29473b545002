//! Text to tree and back: the grammar, the tree, the canonical printer.

mod advice;
pub mod ast;
mod build;
mod declared;
mod expect;
mod grammar;
mod lex;
mod limits;
mod print;
mod rounded;
mod site;
mod stated;
pub(crate) mod words;

pub(crate) use advice::SHAPE;
pub use build::parse;
pub(crate) use build::{Parsed, read};
pub(crate) use expect::declares;
pub use print::{dump, fmt};
pub(crate) use rounded::ROUNDED;
