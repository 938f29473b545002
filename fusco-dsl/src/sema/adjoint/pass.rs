//! What the expansion of a program carries from entry to entry.

use crate::diag::Diagnostic;
use crate::syntax::ast::{Assign, Decl, Entry, Program, Tensor};
use std::collections::BTreeMap;

/// An error was reported, or the checker will report it at the entry that is derived from.
pub(super) struct Stop;
pub(super) type Found<T> = Result<T, Stop>;

pub(super) struct Pass<'a> {
    pub program: &'a Program,
    /// Written out so far, in text order.
    pub entries: BTreeMap<String, Entry>,
    /// The entry that is read backwards.
    pub from: String,
    pub made: Vec<Made>,
    /// What the entry at hand could have been derived by, too.
    pub left: Vec<Left>,
    pub out: Vec<Diagnostic>,
}

/// A tensor whose gradient an adjoint does not make.
pub(super) struct Left {
    pub statement: Assign,
    /// The one whose gradient it makes.
    pub made: String,
    pub other: String,
}

/// A declared cotangent, and the tensor it belongs to.
pub(super) struct Made {
    pub of: String,
    pub tensor: Tensor,
}

impl Pass<'_> {
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let declared = self
            .program
            .decls
            .iter()
            .filter_map(|d| if let Decl::Tensor(t) = d { Some(t) } else { None });
        declared.chain(self.made.iter().map(|m| &m.tensor))
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors().find(|t| t.name.name == name)
    }

    pub fn fail<T>(&mut self, diagnostic: Diagnostic) -> Found<T> {
        self.out.push(diagnostic);
        Err(Stop)
    }
}
