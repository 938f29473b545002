//! Edits that put a diagnostic right. Each reads the tree around a place and says which text would stand
//! there; `None` where the place is not in the source, or the edit would not be enough.

use super::check::Checker;
use super::hir::{self, Size};
use super::text;
use crate::arena::Handle;
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

    /// `where CONDITION` at the param that the size is.
    pub fn require(&self, size: &Size, condition: &str) -> Option<Fix> {
        let Size::Param(param) = size else { return None };
        let name = &self.hir.params[*param].name;
        let param = self.ast.decls.iter().find_map(|d| match d {
            Decl::Param(p) if p.name.name == *name => Some(p),
            _ => None,
        })?;
        match (&param.constraint, &param.choices) {
            (Some(given), _) if matches!(given.kind, ExprKind::Binary { op: ast::Op::Or, .. }) => {
                replace(given.span, format!("({}) && {condition}", text::expr(given)))
            }
            (Some(given), _) => insert(given.span.end, format!(" && {condition}")),
            (None, Some(choices)) => insert(choices.span.end, format!(" where {condition}")),
            (None, None) => insert(param.ty.span.end, format!(" where {condition}")),
        }
    }

    /// One more attribute of the tensor whose declaration holds `span`.
    pub fn attribute(&self, span: Span, attribute: &str) -> Option<Fix> {
        let t = self.tensors_around(span)?;
        match (t.attrs.last(), &t.placement) {
            (Some(last), _) => insert(last.span.end, format!(", {attribute}")),
            (None, Some(list)) => insert(list.span.end, format!(" with {attribute}")),
            (None, None) => None,
        }
    }

    /// One more axis, bare, behind the term at `after`, or else at the end of the list.
    pub fn bare(&self, list: Span, after: Option<Span>, name: &str) -> Option<Fix> {
        let terms = &self.tensors_around(list)?.placement.as_ref()?.terms;
        let end = after.or_else(|| terms.last().map(|t| t.span))?.end;
        insert(end, format!(", {name}"))
    }

    /// The list with what the ranks along `mesh` hold: the axis that counts them is split, or all hold a copy.
    pub fn account(&self, t: &ast::Tensor, mesh: &str) -> Option<Fix> {
        let terms = &t.placement.as_ref()?.terms;
        let counts = |d: &ast::Dim| d.extent.size.as_ref().and_then(Expr::as_name) == Some(mesh);
        let rank = t.dims.iter().find(|d| counts(d)).map(|d| d.name.name.as_str());
        let bare = terms.iter().find(|t| Some(t.name.name.as_str()) == rank && is_bare(t));
        match bare {
            Some(term) => replace(term.span, format!("{}/{mesh}", term.name.name)),
            None => insert(terms.first()?.span.start, format!("copy/{mesh}, ")),
        }
    }

    /// A whole placement: a copy on every rank, axes in the order of their declaration.
    pub fn place(&self, t: &ast::Tensor) -> Option<Fix> {
        let fixed = t.dims.iter().all(|d| d.extent.size.is_some() && d.extent.bound.is_none());
        if !fixed || !t.attrs.is_empty() || t.span.end <= t.span.start {
            return None;
        }
        let mesh = self.hir.meshes.iter().next().map(|(_, m)| m.axes.clone()).unwrap_or_default();
        let copies = mesh.iter().map(|a| format!("copy/{}", self.hir.mesh_axes[*a].name));
        let axes = t.dims.iter().map(|d| d.name.name.clone());
        let list: Vec<String> = copies.chain(axes).collect();
        insert(t.span.end - 1, format!(" @ [{}]", list.join(", ")))
    }

    /// The list without the term at `span`, which is not its first.
    pub fn drop_term(&self, span: Span) -> Option<Fix> {
        let terms = &self.tensors_around(span)?.placement.as_ref()?.terms;
        let at = terms.iter().position(|t| t.span == span)?;
        let before = terms.get(at.checked_sub(1)?)?;
        replace(Span::new(before.span.end, span.end), "")
    }

    /// `copy` in the place of the word of a term.
    pub fn copy(&self, span: Span) -> Option<Fix> {
        let terms = &self.tensors_around(span)?.placement.as_ref()?.terms;
        let term = terms.iter().find(|t| t.span == span)?;
        replace(span, format!("copy/{}", term.shard.as_ref()?.name))
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
        let list: Vec<String> = order.into_iter().map(term_text).collect();
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

    /// The type of an index tensor without `none`.
    pub fn without_none(&self, tensor: Handle<hir::Tensor>) -> Option<Fix> {
        let word = &self.tensors_around(self.hir.tensors[tensor].span)?.dtype;
        let bound = word.args.iter().flatten().find(|a| a.named.is_none())?;
        replace(word.span, format!("{}({})", word.name.name, text::expr(&bound.value)))
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

    /// The axes of the only mesh, if it has one.
    pub fn only_mesh_axis(&self) -> Option<&str> {
        let mut axes = self.hir.mesh_axes.iter().map(|(_, a)| a.name.as_str());
        let first = axes.next()?;
        if axes.next().is_none() { Some(first) } else { None }
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

fn is_bare(term: &Term) -> bool {
    term.shard.is_none() && term.tile.is_none() && term.mods.is_empty() && term.args.is_none()
}

fn term_text(term: &Term) -> String {
    let arguments = |args: &Option<Vec<ast::Arg>>| {
        args.as_ref().map_or_else(String::new, |args| format!("({})", text::arguments(args)))
    };
    let mut out = format!("{}{}", term.name.name, arguments(&term.args));
    term.shard.iter().for_each(|m| out += &format!("/{}", m.name));
    term.tile.iter().for_each(|k| out += &format!(":{}", text::expr(k)));
    term.mods.iter().for_each(|w| out += &format!(".{}{}", w.name.name, arguments(&w.args)));
    out
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
