//! Edits that repair a program: where a clause is added, and what it is.
//!
//! Enters: what a diagnostic is about. Leaves: a [`Fix`], or `None` where more than one edit could be meant.

use super::checker::Checker;
use super::dtype::{close, is_integer};
use super::hir::{Elem, Size, Tensor};
use super::text;
use crate::diag::Fix;
use crate::source::Span;
use crate::syntax::ast::{self, Decl, ExprKind, Op};

impl Tensor {
    /// One more attribute of its declaration; `None` for a tensor that nobody wrote.
    pub fn fix_with(&self, attribute: &str) -> Option<Fix> {
        let a = &self.attrs;
        let none = a.fill.is_none() && a.align.is_none() && a.swizzle.is_none();
        let first = none && a.stride.is_empty() && !a.uneven;
        self.close.map(|at| with(at, first, attribute))
    }
}

/// One more attribute of a declaration.
pub(super) fn fix_attribute(t: &ast::Tensor, attribute: &str) -> Option<Fix> {
    close(t).map(|at| with(at, t.attrs.is_empty(), attribute))
}

fn with(at: Span, first: bool, attribute: &str) -> Fix {
    let joint = if first { " with " } else { ", " };
    Fix { span: at, replacement: format!("{joint}{attribute}") }
}

impl Checker<'_> {
    /// `where CONDITION` at the declaration of a size that is one param.
    pub fn fix_where(&self, size: &Size, condition: &str) -> Option<Fix> {
        let Size::Param(param) = size else { return None };
        let name = &self.hir.params[*param].name;
        let decl = self.ast.decls.iter().find_map(|d| match d {
            Decl::Param(p) if p.name.name == *name => Some(p),
            _ => None,
        })?;
        let joint = match decl.constraint.as_ref().map(|c| &c.kind) {
            None => " where ",
            Some(ExprKind::Binary { op: Op::Or, .. }) => return None,
            Some(_) => " && ",
        };
        let end = decl.span.end.saturating_sub(1);
        Some(Fix { span: Span::new(end, end), replacement: format!("{joint}{condition}") })
    }

    /// `cast(T, value)`, where that has one meaning.
    pub fn fix_cast(&self, value: &ast::Expr, from: Elem, to: Elem) -> Option<Fix> {
        let float = |e: Elem| !is_integer(e);
        let replacement = format!("cast({}, {})", to.name(), text::expr(value));
        (float(to) && float(from)).then_some(Fix { span: value.span, replacement })
    }

    /// Another io word at the declaration of a tensor.
    pub fn fix_io(&self, name: &str, word: &str) -> Option<Fix> {
        let decl = self.ast.decls.iter().find_map(|d| match d {
            Decl::Tensor(t) if t.name.name == name => Some(t),
            _ => None,
        })?;
        Some(Fix { span: decl.io_span, replacement: word.to_string() })
    }
}
