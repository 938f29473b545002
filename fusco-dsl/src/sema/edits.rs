//! Edits that read the tree around a place, and say which text would stand there; `None` where the place is not in the source, or the edit would not be enough.

use super::checker::Checker;
use super::text;
use crate::diag::Fix;
use crate::source::Span;
use crate::syntax::ast::{self, Decl, Expr, ExprKind, Stmt, Term, Word};

/// Text put in before `at`.
pub(super) fn insert(at: u32, text: impl Into<String>) -> Option<Fix> {
    Some(Fix { span: Span::new(at, at), replacement: text.into() })
}

pub(super) fn replace(span: Span, text: impl Into<String>) -> Option<Fix> {
    Some(Fix { span, replacement: text.into() })
}

impl Checker<'_> {
    fn tensors_around(&self, span: Span) -> Option<&ast::Tensor> {
        self.ast.decls.iter().find_map(|d| match d {
            Decl::Tensor(t) if holds(t.span, span) => Some(t),
            _ => None,
        })
    }

    /// `ragged` as the extent of the axis, where a route ends in a variable of that name.
    pub fn fix_ragged(&self, term: Span, name: &str) -> Option<Fix> {
        let slots = self.ast.decls.iter().any(|d| match d {
            Decl::Route(r) => r.dests.last().is_some_and(|v| v.name == name),
            _ => false,
        });
        let dim = self.tensors_around(term)?.dims.iter().find(|d| d.name.name == name)?;
        let extent = Span::new(dim.name.span.end, dim.span.end);
        slots.then(|| Fix { span: extent, replacement: ": ragged".to_string() })
    }

    /// The list without the term at `span`, which is not its first.
    pub fn drop_term(&self, span: Span) -> Option<Fix> {
        let terms = &self.tensors_around(span)?.placement.as_ref()?.terms;
        let at = terms.iter().position(|t| t.span == span)?;
        let before = terms.get(at.checked_sub(1)?)?;
        replace(Span::new(before.span.end, span.end), "")
    }

    /// The packed term right behind its parents.
    pub fn behind(&self, packed: Span, parents: &[&str]) -> Option<Fix> {
        let terms = &self.tensors_around(packed)?.placement.as_ref()?.terms;
        let moved = terms.iter().find(|t| t.span == packed)?;
        let is_parent = |t: &&Term| parents.contains(&t.name.name.as_str()) && t.shard.is_none();
        let mut order: Vec<&Term> =
            terms.iter().filter(|t| t.span != packed && !is_parent(t)).collect();
        let group: Vec<&Term> = terms.iter().filter(is_parent).chain([moved]).collect();
        let first = terms.iter().position(|t| t.span == group[0].span)?;
        let before = terms[..first].iter().filter(|t| t.span != packed).count();
        group.into_iter().rev().for_each(|t| order.insert(before.min(order.len()), t));
        let list: Vec<String> = order.into_iter().map(text::placement_term).collect();
        replace(terms.first()?.span.to(terms.last()?.span), list.join(", "))
    }

    /// The indices around `span`, in the order of the axes, where they are those axes in another order.
    pub fn reorder(&self, span: Span, axes: &[&str]) -> Option<Fix> {
        let list = self.indices_around(span)?;
        let given: Option<Vec<&str>> = list.iter().map(Expr::as_name).collect();
        let (mut given, mut wanted) = (given?, axes.to_vec());
        if given == wanted {
            return None;
        }
        given.sort_unstable();
        wanted.sort_unstable();
        let all = list.first()?.span.to(list.last()?.span);
        if given == wanted { replace(all, axes.join(", ")) } else { None }
    }

    fn indices_around(&self, span: Span) -> Option<&[Expr]> {
        let assigns = self.ast.decls.iter().flat_map(|d| match d {
            Decl::Entry(e) => e.stmts.as_slice(),
            _ => &[],
        });
        for stmt in assigns {
            let Stmt::Assign(a) = stmt else { continue };
            for list in a.targets.iter().map(|t| t.index.as_slice()) {
                if list.iter().any(|e| e.span == span) {
                    return Some(list);
                }
            }
            if let Some(found) = within(&a.value, span) {
                return Some(found);
            }
        }
        None
    }

    /// `T[s]` for `T`, where an axis of the tensor counts the ranks.
    pub fn own_value(&self, span: Span, name: &str, mesh: &str) -> Option<Fix> {
        let t = self.tensors_around(span)?;
        let counts = |d: &&ast::Dim| d.extent.size.as_ref().and_then(Expr::as_name) == Some(mesh);
        let rank = t.dims.iter().find(counts).filter(|d| d.span.end <= span.start)?;
        replace(span, format!("{name}[{}]", rank.name.name))
    }

    /// A cap at the end of the route.
    pub fn cap(&self, route: &str, limit: &str) -> Option<Fix> {
        let route = self.ast.decls.iter().find_map(|d| match d {
            Decl::Route(r) if r.name.name == route => Some(r),
            _ => None,
        })?;
        let row = &route.dests.last()?.name;
        let (ast::Step::Bind { span, .. } | ast::Step::Cap { span, .. }) = route.steps.last()?;
        insert(span.end, format!(" cap {row} < {limit} else drop;"))
    }

    /// A promise at the start of the entry around `span`.
    pub fn promise(&self, span: Span, promise: &str) -> Option<Fix> {
        let first = self.ast.decls.iter().find_map(|d| match d {
            Decl::Entry(e) if holds(e.span, span) => e.stmts.first(),
            _ => None,
        })?;
        match first {
            Stmt::Assign(a) => insert(a.span.start, format!("assume {promise}; ")),
            Stmt::Assume(c) | Stmt::Prove(c) => insert(c.span.start, format!("assume {promise}; ")),
            Stmt::Schedule(s) => insert(s.span.start, format!("assume {promise}; ")),
            Stmt::Plan(_) => None,
        }
    }
}

/// The attribute list without its word at `i`, which is not the first.
pub(super) fn drop_attribute(attrs: &[Word], i: usize) -> Option<Fix> {
    let before = attrs.get(i.checked_sub(1)?)?;
    replace(Span::new(before.span.end, attrs.get(i)?.span.end), "")
}

fn holds(outer: Span, inner: Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The index list, in the expression, that has an index at `span`.
fn within(e: &Expr, span: Span) -> Option<&[Expr]> {
    match &e.kind {
        ExprKind::Index { args, .. } if args.iter().any(|a| a.span == span) => Some(args),
        ExprKind::Index { args, .. } => args.iter().find_map(|a| within(a, span)),
        ExprKind::Call { args, .. } | ExprKind::Tuple(args) => {
            args.iter().find_map(|a| within(&a.value, span))
        }
        ExprKind::Binary { lhs, rhs, .. } => within(lhs, span).or_else(|| within(rhs, span)),
        ExprKind::Neg(inner) => within(inner, span),
        _ => None,
    }
}
