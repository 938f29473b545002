//! What a row of a route's body computes: integers over sources, names bound above it, sizes and elements of tensors.
//!
//! Enters: `e = place[l, (s + t) % copies[l]] else drop;`. Leaves: a `Step::Bind` with a typed value; sources have the
//! extents of the axes that they index, a destination that of what it is read from.

use super::checker::{Checked, Checker};
use super::extent::{arithmetic, rename};
use super::hir::{self, BinOp, Expr, ExprKind, Extent, OrElse, Scalar, Size, Step, Var, VarExtent};
use super::scope::{Symbol, unknown};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast, Ident, Word};

/// A row while it is read.
struct Row<'r> {
    route: &'r mut hir::Route,
    orelse: Option<OrElse>,
    /// Behind its value.
    end: Span,
}

impl Checker<'_> {
    pub(super) fn bind_step(
        &mut self,
        route: &mut hir::Route,
        var: Handle<Var>,
        value: &ast::Expr,
        orelse: Option<&Word>,
        span: Span,
    ) -> Checked<Step> {
        let orelse = orelse.map(|w| self.orelse(w)).transpose()?;
        let end = value.span.after();
        let found = self.step_value(&mut Row { route: &mut *route, orelse, end }, value)?;
        let is_group = route.dests[0] == var;
        let extent = match &found.kind {
            ExprKind::Read { tensor, .. } => {
                let info = &self.hir.tensors[*tensor];
                match &info.dtype.index {
                    Some(index) => Some(index.bound.clone()),
                    None if is_group => return self.no_index(value, *tensor),
                    None => None,
                }
            }
            ExprKind::Binary { op: BinOp::Rem, rhs, .. } => match &rhs.kind {
                ExprKind::Size(size) => Some(size.clone()),
                ExprKind::Scalar(Scalar::Int(n)) => Some(Size::Lit(*n)),
                _ => None,
            },
            _ => None,
        };
        match extent {
            Some(extent) => route.vars[var].extent = VarExtent::Fixed(extent),
            None if is_group => {
                let what = "groups whose number the route does not say";
                let help = "read them from an index tensor, `ix32(E)`, or end with `% E`";
                let found = super::checker::unsupported(value.span, what);
                return self.fail(Diagnostic { help: Some(help.to_string()), ..found });
            }
            None => {}
        }
        Ok(Step::Bind { var, value: found, orelse, span })
    }

    fn no_index<T>(&mut self, value: &ast::Expr, tensor: Handle<hir::Tensor>) -> Checked<T> {
        let (name, dtype) = (&self.hir.tensors[tensor].name, &self.hir.tensors[tensor].dtype);
        let span = match &value.kind {
            Ast::Index { base, .. } => base.span,
            _ => value.span,
        };
        let diagnostic =
            Diagnostic::error("F0207", span, format!("`{name}` is not an index tensor"))
                .note(format!("its elements are {}, of unknown range", dtype.elem.name()))
                .help(format!("declare it `{name}: ix32(E)[..]`"));
        self.fail(diagnostic)
    }

    fn step_value(&mut self, row: &mut Row<'_>, e: &ast::Expr) -> Checked<Expr> {
        let kind = match &e.kind {
            Ast::Int(v) => ExprKind::Scalar(Scalar::Int(*v)),
            Ast::Name(name) => self.step_name(row, &Ident { name: name.clone(), span: e.span })?,
            Ast::Neg(inner) => {
                let rhs = self.step_value(row, inner)?;
                let zero = Expr { kind: ExprKind::Scalar(Scalar::Int(0)), ..rhs.clone() };
                ExprKind::Binary { op: BinOp::Sub, lhs: Box::new(zero), rhs: Box::new(rhs) }
            }
            Ast::Binary { op, lhs, rhs } => {
                let Some(op) = arithmetic(*op) else {
                    return self.unsupported(e.span, "a condition in a row of a route");
                };
                let (lhs, rhs) = (self.step_value(row, lhs)?, self.step_value(row, rhs)?);
                let zero = matches!(rhs.kind, ExprKind::Scalar(Scalar::Int(0)));
                if zero && matches!(op, BinOp::Div | BinOp::Rem) {
                    return self.divides_by_zero(rhs.span);
                }
                ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }
            }
            Ast::Index { base, args } => self.step_read(row, e, base, args)?,
            _ => return self.fail(unread(e.span)),
        };
        Ok(Expr { kind, ty: hir::Elem::I64, span: e.span })
    }

    /// A source, a name bound above, or a size.
    fn step_name(&mut self, row: &Row<'_>, name: &Ident) -> Checked<ExprKind> {
        let route = &*row.route;
        let bound = |v: &Handle<Var>| {
            route.sources.contains(v)
                || route.steps.iter().any(|s| matches!(s, Step::Bind { var, .. } if var == v))
        };
        let known: Vec<_> = route.vars.iter().filter(|(v, _)| bound(v)).collect();
        if let Some((var, _)) = known.iter().find(|(_, v)| v.name == name.name) {
            return Ok(ExprKind::Var(*var));
        }
        let is_size = |s: &Symbol| {
            matches!(
                s,
                Symbol::Param(_)
                    | Symbol::Const(_)
                    | Symbol::Mesh(_)
                    | Symbol::Alias(_)
                    | Symbol::Dyn(_)
            )
        };
        match self.scope.get(&name.name) {
            Some(Symbol::Poison) => Err(super::checker::Stop),
            Some(symbol) if is_size(&symbol) => {
                let e = ast::Expr { kind: Ast::Name(name.name.clone()), span: name.span };
                self.size(&e, &[]).map(ExprKind::Size)
            }
            _ => {
                let names: Vec<&str> = known.iter().map(|(_, v)| v.name.as_str()).collect();
                self.fail(unknown("F0101", "source", name, &names))
            }
        }
    }

    fn step_read(
        &mut self,
        row: &mut Row<'_>,
        e: &ast::Expr,
        base: &ast::Expr,
        args: &[ast::Expr],
    ) -> Checked<ExprKind> {
        let Ast::Name(name) = &base.kind else { return self.fail(unread(base.span)) };
        let tensor = self.tensor_named(&Ident { name: name.clone(), span: base.span })?;
        self.behind_route(tensor, base.span)?;
        self.in_route(tensor, base.span)?;
        self.arity(tensor, args.len(), e.span)?;
        let info = &self.hir.tensors[tensor];
        let none = info.dtype.index.as_ref().and_then(|i| i.none);
        if info.dtype.index.is_none() && !super::dtype::is_integer(info.dtype.elem) {
            return self.no_index(e, tensor);
        }
        if let (Some(none), None) = (none, row.orelse) {
            let diagnostic =
                Diagnostic::error("F0403", e.span, format!("`{name}` may be none ({none})"))
                    .note(format!("its type says `none = {none}`"))
                    .help("add `else drop` or `else trap`")
                    .fix(row.end, " else drop");
            return self.fail(diagnostic);
        }
        if info.io != hir::Io::In {
            return self.unsupported(base.span, "a route over an output");
        }
        let mut index: Vec<Expr> = Vec::new();
        for arg in args {
            let value = self.step_value(row, arg)?;
            let source = |v: Handle<Var>| row.route.sources.contains(&v);
            if let ExprKind::Var(v) = value.kind
                && source(v)
                && index.iter().any(|i| matches!(i.kind, ExprKind::Var(x) if x == v))
            {
                return self.unsupported(arg.span, "a source that indexes two axes");
            }
            index.push(value);
        }
        self.source_extents(row, (tensor, e.span), &index)?;
        Ok(ExprKind::Read { tensor, index })
    }

    /// A source ranges over the axes that it indexes alone.
    fn source_extents(
        &mut self,
        row: &mut Row<'_>,
        (tensor, span): (Handle<hir::Tensor>, Span),
        index: &[Expr],
    ) -> Checked<()> {
        let route = &mut *row.route;
        let source = |i: &Expr| match i.kind {
            ExprKind::Var(v) => route.sources.iter().position(|s| *s == v),
            _ => None,
        };
        let sources: Vec<Option<usize>> = index.iter().map(source).collect();
        let coords: Vec<_> = sources.iter().map(|s| s.map(Size::Coord)).collect();
        for (axis, source) in self.hir.tensors[tensor].axes.iter().zip(&sources) {
            let Extent::Fixed(size) = &axis.extent else {
                return self.unsupported(span, "a route over a ragged axis");
            };
            let Some(source) = source else { continue };
            let var = route.sources[*source];
            let name = route.vars[var].name.clone();
            let Some(size) = rename(size, &coords) else {
                let what = "an extent that depends on a computed index of a route";
                return self.unsupported(span, what);
            };
            if size.dyn_index().iter().any(|i| matches!(i, Size::Coord(c) if c >= source)) {
                let what = format!("source `{name}` before the source that its extent reads");
                return self.unsupported(span, what);
            }
            match &route.vars[var].extent {
                VarExtent::Fixed(has) if !self.equal(has, &size) => {
                    let names: Vec<&str> =
                        route.sources.iter().map(|s| route.vars[*s].name.as_str()).collect();
                    let [has, size] = [has, &size].map(|s| super::text::size(&self.hir, s, &names));
                    return self.fail(
                        Diagnostic::error(
                            "F0202",
                            span,
                            format!("source `{name}` has extent {has}, this axis {size}"),
                        )
                        .help("give both axes one extent"),
                    );
                }
                VarExtent::Fixed(_) => {}
                _ => route.vars[var].extent = VarExtent::Fixed(size),
            }
        }
        Ok(())
    }

    /// F0502: every source indexes an axis.
    pub(super) fn sources_have_extents(&mut self, route: &hir::Route) -> Checked<()> {
        let free = route
            .sources
            .iter()
            .map(|v| &route.vars[*v])
            .find(|v| !matches!(v.extent, VarExtent::Fixed(_)));
        let Some(free) = free.map(|v| v.name.clone()) else { return Ok(()) };
        let mut reads = route.steps.iter().filter_map(|s| match s {
            Step::Bind { value, .. } => Some((value.span, value.first_read()?)),
            _ => None,
        });
        let (span, tensor) = match reads.next() {
            Some((span, tensor)) => (span, self.hir.tensors[tensor].name.clone()),
            None => (route.span, "topk".to_string()),
        };
        self.fail(
            Diagnostic::error("F0502", span, format!("source `{free}` has no extent"))
                .note(format!("a source ranges over the axis of `{tensor}` that it indexes"))
                .help(format!("index `{tensor}` by `{free}`, or remove it from the route")),
        )
    }
}

/// F0999: a coordinate that is no integer of the tuple.
fn unread(span: Span) -> Diagnostic {
    let mut found =
        super::checker::unsupported(span, "a destination that is not read from an index tensor");
    found.help = Some(
        "a coordinate is read, `e = topk[s, t, k]`, or the place in its group, `c = slot(e) by (s, t, k)`; integers of both may be computed with"
            .to_string(),
    );
    found
}
