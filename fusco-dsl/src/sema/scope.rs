//! Names: who declared what, where, and what a misspelt name probably meant.

use super::hir;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix, nearest};
use crate::source::Span;
use crate::syntax::ast::Ident;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    Const(i64),
    Param(Handle<hir::Param>),
    Dyn(Handle<hir::Dyn>),
    Mesh(Handle<hir::MeshAxis>),
    /// `rank = (node, gpu)`: index of `Checker::aliases`.
    Alias(usize),
    /// The name of a mesh, which places nothing: its axes do.
    MeshName,
    /// A `const` array: index of `Checker::arrays`.
    Array(usize),
    Tensor(Handle<hir::Tensor>),
    Route(Handle<hir::Route>),
    Entry,
    /// Declared, but its declaration is wrong or refused: uses are silent.
    Poison,
}

#[derive(Default)]
pub(super) struct Scope {
    names: BTreeMap<String, (Symbol, Span)>,
}

impl Scope {
    /// Adds a name. A second declaration is F0102 and leaves the first in place.
    pub fn declare(&mut self, name: &Ident, symbol: Symbol) -> Result<(), Box<Diagnostic>> {
        if let Some((_, first)) = self.names.get(&name.name) {
            let diagnostic =
                Diagnostic::error("F0102", name.span, format!("`{}` is declared twice", name.name))
                    .related(*first, "first here")
                    .help("rename one of them");
            return Err(Box::new(diagnostic));
        }
        self.names.insert(name.name.clone(), (symbol, name.span));
        Ok(())
    }

    pub fn set(&mut self, name: &str, symbol: Symbol) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.0 = symbol;
        }
    }

    pub fn get(&self, name: &str) -> Option<Symbol> {
        self.names.get(name).map(|(symbol, _)| *symbol)
    }

    /// Whether this is the declaration that the name stands for (not a second one, F0102).
    pub fn is_first(&self, name: &Ident) -> bool {
        self.names.get(&name.name).is_some_and(|(_, span)| *span == name.span)
    }

    /// From now on the unknown name is silent.
    pub fn poison(&mut self, name: &Ident) {
        self.names.entry(name.name.clone()).or_insert((Symbol::Poison, name.span)).0 =
            Symbol::Poison;
    }

    pub fn names(&self, keep: impl Fn(Symbol) -> bool) -> Vec<&str> {
        self.names.iter().filter(|(_, (s, _))| keep(*s)).map(|(n, _)| n.as_str()).collect()
    }
}

/// `no tensor `xx``, with the nearest of the candidates as help.
pub(super) fn unknown(
    code: &'static str,
    what: &str,
    name: &Ident,
    candidates: &[&str],
) -> Diagnostic {
    let claim = format!("no {what} `{}`", name.name);
    let near = nearest(&name.name, candidates);
    let (claim, help) = match near {
        Some(near) => (format!("{claim}; did you mean `{near}`?"), format!("write `{near}`")),
        None if candidates.is_empty() => (claim, format!("declare `{}`", name.name)),
        None => (claim, format!("known here: {}", candidates.join(", "))),
    };
    let fix = near.map(|near| Fix { span: name.span, replacement: near.to_string() });
    Diagnostic::error(code, name.span, claim).label("not known").help(help).fixed(fix)
}
