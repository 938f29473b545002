//! One statement while it is read: its variables, and what it may name.

use super::hir::{self, Elem, Var, Via};
use crate::arena::{Arena, Handle};
use crate::syntax::ast::{self, Ident};

/// One statement while it is read.
pub(super) struct Frame<'a> {
    pub vars: Arena<Var>,
    pub via: Option<Via>,
    /// Variables of the left side.
    pub left: Vec<Handle<Var>>,
    pub reduced: Vec<Handle<Var>>,
    /// In arithmetic on elements: the type in which it is done, f32, f64 or i64.
    pub number: Option<Elem>,
    /// The left side as written.
    pub target: Option<ast::Ref>,
    /// Without a route: the left side's variables are all there are.
    pub is_static: bool,
    /// Names that the left computes with and whose extent the right side gives.
    pub deferred: Vec<Ident>,
    /// It has a condition, which may leave out what an index must not reach.
    pub filtered: bool,
    /// What the entry assumes.
    pub assumed: &'a [hir::Assume],
    /// Every target of the entry, by name.
    pub outputs: &'a [String],
    /// How many of them the statements above write.
    pub above: usize,
    /// What the statement's condition bounds its variables by: each is less than its size.
    pub bounds: Vec<(String, hir::Size)>,
    /// Variables that are plain indices of something read.
    pub read: Vec<Handle<Var>>,
    /// Routes that the statement needs a plan of, besides `via`.
    pub needs: Vec<Handle<hir::Route>>,
    /// Tensors it takes the counts of: their route is known when all entries are read.
    pub counts: Vec<CountOf>,
}

/// A tensor whose counts are asked for, and by which source, with its extent on the left.
#[derive(Clone)]
pub(super) struct CountOf {
    pub tensor: Handle<hir::Tensor>,
    pub from: Option<(Ident, hir::Size)>,
}

impl Frame<'_> {
    /// What the condition says a variable is less than.
    pub fn bound(&self, name: &str) -> Option<&hir::Size> {
        self.bounds.iter().find(|(n, _)| n == name).map(|(_, size)| size)
    }
}
