//! What every check of a program shares: the program so far, its names and facts, and how to report.

use super::facts::Facts;
use super::frame::CountOf;
use super::hir::{self, Program};
use super::scope::{Scope, Symbol};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::syntax::ast::{self, Decl, Ident};
use std::collections::{BTreeMap, BTreeSet};

/// An error was reported; what depends on this is skipped in silence.
pub(super) struct Stop;
pub(super) type Checked<T> = Result<T, Stop>;

/// A `const` array, each value with its place.
pub(super) struct Array {
    pub name: String,
    pub values: Vec<(i64, Span)>,
}

/// The route that counts a tensor's ragged axis, and where that was learnt.
pub(super) struct Counted {
    pub route: Handle<hir::Route>,
    pub span: Span,
}

pub(super) struct Checker<'a> {
    pub ast: &'a ast::Program,
    pub hir: Program,
    pub scope: Scope,
    pub facts: Facts,
    pub diagnostics: Diagnostics,
    pub in_condition: bool,
    /// Axes of each alias, major first.
    pub aliases: Vec<Vec<Handle<hir::MeshAxis>>>,
    pub arrays: Vec<Array>,
    pub used: BTreeSet<String>,
    pub counted: BTreeMap<Handle<hir::Tensor>, Counted>,
    /// Tensors written in any entry, and where first.
    pub written: BTreeMap<Handle<hir::Tensor>, Span>,
    /// By entry: claims, routes used and tensors counted, resolved once every entry is read.
    pub pending_proves: Vec<(usize, ast::Expr)>,
    pub pending_takes: Vec<(usize, Handle<hir::Route>)>,
    pub pending_counts: Vec<(usize, CountOf)>,
}

impl Checker<'_> {
    pub fn declare(&mut self, name: &Ident, symbol: Symbol) {
        if let Err(diagnostic) = self.scope.declare(name, symbol) {
            self.push(*diagnostic);
        }
    }

    /// The declarations of one kind, free of `self`'s borrow.
    pub fn decls<'t, T>(&self, pick: impl Fn(&'t Decl) -> Option<&'t T>) -> Vec<&'t T>
    where
        Self: HasAst<'t>,
    {
        self.ast_ref().decls.iter().filter_map(pick).collect()
    }

    pub fn mark(&mut self, name: &str) {
        self.used.insert(name.to_string());
    }

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub fn fail<T>(&mut self, diagnostic: Diagnostic) -> Checked<T> {
        self.push(diagnostic);
        Err(Stop)
    }

    pub fn unsupported<T>(&mut self, span: Span, what: impl AsRef<str>) -> Checked<T> {
        self.fail(unsupported(span, what))
    }
}

/// Lends the tree for longer than `&self`.
pub(super) trait HasAst<'t> {
    fn ast_ref(&self) -> &'t ast::Program;
}

impl<'t> HasAst<'t> for Checker<'t> {
    fn ast_ref(&self) -> &'t ast::Program {
        self.ast
    }
}

pub(super) fn unsupported(span: Span, what: impl AsRef<str>) -> Diagnostic {
    Diagnostic::unsupported(span, what.as_ref())
}
