//! Indices of statements without a route: variables, sums of `variable * size`, elements of integer
//! tensors; and whether they stay inside the axis and never meet.

use super::checker::{Checked, Checker, Stop};
use super::dtype::is_integer;
use super::extent::{arithmetic, rename};
use super::frame::Frame;
use super::hir::{self, BinOp, Elem, Expr, ExprKind, Extent, Io, ParamKind, Size, Var, VarExtent};
use super::linear::{self, Linear, extent_size};
use super::poly::Poly;
use super::scope::Symbol;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast, Ident};

impl Checker<'_> {
    /// Everything else: elements of integer tensors first, they may give a variable its extent.
    pub fn other_indices(
        &mut self,
        frame: &mut Frame,
        tensor: Handle<hir::Tensor>,
        args: &[ast::Expr],
        out: &mut [Option<Expr>],
    ) -> Checked<()> {
        for (axis, arg) in args.iter().enumerate().filter(|(_, a)| is_element(a)) {
            out[axis] = Some(self.element(frame, Some((tensor, axis)), arg)?);
        }
        for (axis, arg) in args.iter().enumerate() {
            if out[axis].is_none() {
                out[axis] = Some(self.index_term(frame, arg)?);
            }
        }
        Ok(())
    }

    pub fn is_size(&self, name: &str) -> bool {
        match self.scope.get(name) {
            Some(Symbol::Param(p)) => self.hir.params[p].kind == ParamKind::Int,
            Some(Symbol::Const(_) | Symbol::Mesh(_) | Symbol::Alias(_) | Symbol::Dyn(_)) => true,
            _ => false,
        }
    }

    /// The axis's extent over the statement's variables.
    pub fn static_extent(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        index: &[Option<Expr>],
        span: Span,
    ) -> Checked<VarExtent> {
        let sizes: Vec<Option<Size>> = index.iter().map(|e| size_of(e.as_ref()?)).collect();
        let extent = match &self.hir.tensors[tensor].axes[axis].extent {
            Extent::Fixed(size) => rename(size, &sizes).map(VarExtent::Fixed),
            Extent::Counted { rows, bound } => {
                rename(rows, &sizes).map(|rows| VarExtent::Counted { rows, bound: bound.clone() })
            }
            Extent::Ragged { .. } => {
                let mut found = super::checker::unsupported(
                    span,
                    "a ragged axis in a statement without a route",
                );
                found.help = Some(
                    "rows of a ragged axis are placed by a route: `plan r; y[e, c, h] <- x[s, t, h] via r;`"
                        .to_string(),
                );
                return self.fail(found);
            }
        };
        match extent {
            Some(extent) => Ok(extent),
            None => self.unsupported(span, "an extent that depends on a computed index"),
        }
    }

    /// F0202: the variable has one extent wherever it is a plain index. A counted variable may index an
    /// axis that holds its bound.
    pub fn ranges_over(
        &mut self,
        frame: &Frame,
        (var, name): (Handle<Var>, &Ident),
        (tensor, axis): (Handle<hir::Tensor>, usize),
        extent: &VarExtent,
        args: &[ast::Expr],
    ) -> Checked<()> {
        let has = &frame.vars[var].extent;
        let fine = match (has, extent) {
            (VarExtent::Fixed(a), VarExtent::Fixed(b)) => self.equal(a, b),
            (VarExtent::Counted { rows: a, .. }, VarExtent::Counted { rows: b, .. }) => {
                self.equal(a, b)
            }
            (VarExtent::Counted { bound, .. }, VarExtent::Fixed(b)) => self.facts.at_most(bound, b),
            _ => false,
        };
        let fine = fine
            || match (has, extent) {
                (VarExtent::Fixed(a), VarExtent::Fixed(b)) => {
                    frame.bound(&name.name) == Some(a) && self.facts.at_most(a, b)
                }
                _ => false,
            };
        if fine {
            return Ok(());
        }
        let (a, b) = (self.show_extent(frame, has), self.show_extent(frame, extent));
        let info = &self.hir.tensors[tensor];
        let axes: Vec<&str> = info.axes.iter().map(|a| a.name.as_str()).collect();
        let given: Vec<String> = args.iter().map(text::expr).collect();
        if axes[axis] == name.name
            && let Some((span, target, order)) = self.left_in_order(frame, &name.name)
        {
            let written = frame.target.as_ref().map_or(span, |t| t.span);
            let diagnostic = Diagnostic::error(
                "F0202",
                written,
                format!(
                    "`{}` has extent {a} here, {b} in `{}`; meant `{target}[{order}]`?",
                    name.name, info.name
                ),
            )
            .label(format!("the axes of `{target}` are [{order}]"))
            .related(name.span, format!("axis `{}` of `{}` has extent {b}", name.name, info.name))
            .note(format!("{a} == {b} is not known"))
            .help(format!("write `{target}[{order}]`"))
            .fix(span, order);
            return self.fail(diagnostic);
        }
        let reordered = axes.iter().all(|a| given.iter().any(|g| g == a));
        let ordered = given.iter().map(String::as_str).eq(axes.iter().copied());
        let part = match (has, extent) {
            (VarExtent::Fixed(Size::Lit(a)), VarExtent::Fixed(Size::Lit(b))) => a < b,
            _ => false,
        };
        let help = if reordered && !ordered {
            format!("write `{}[{}]`", info.name, axes.join(", "))
        } else if part {
            format!(
                "for the first {a} of {b} write `where {} < {a}`; else use one size for both",
                name.name
            )
        } else {
            "use one size for both, or another variable".to_string()
        };
        let mut diagnostic = Diagnostic::error(
            "F0202",
            name.span,
            format!("`{}` has extent {a} here, {b} in `{}`", name.name, info.name),
        )
        .label(format!("axis `{}` of `{}` has extent {b}", axes[axis], info.name))
        .note(format!("{a} == {b} is not known"))
        .help(help);
        if let ([first, .., last], true) = (args, reordered && !ordered) {
            diagnostic = diagnostic.fix(first.span.to(last.span), axes.join(", "));
            diagnostic.message += &format!("; meant `{}[{}]`?", info.name, axes.join(", "));
        }
        self.fail(diagnostic)
    }

    fn show_extent(&self, frame: &Frame, extent: &VarExtent) -> String {
        match extent {
            VarExtent::Fixed(size) | VarExtent::Counted { rows: size, .. } => {
                self.show(frame, size)
            }
            VarExtent::Ragged(_) => "of a route".to_string(),
        }
    }

    /// `page[r, j]` in an index: an element of an integer tensor. `of` is the axis that it indexes by itself.
    fn element(
        &mut self,
        frame: &mut Frame,
        of: Option<(Handle<hir::Tensor>, usize)>,
        arg: &ast::Expr,
    ) -> Checked<Expr> {
        let Ast::Index { base, args } = &arg.kind else { return Err(Stop) };
        let Ast::Name(name) = &base.kind else {
            return self.unsupported(base.span, format!("indexing `{}`", text::expr(base)));
        };
        let table = self.tensor_named(&Ident { name: name.clone(), span: base.span })?;
        let ty = self.hir.tensors[table].dtype.elem;
        if self.hir.tensors[table].io != Io::In {
            return self.unsupported(arg.span, "an index read from an output");
        }
        match of {
            Some(axis) => self.element_type(table, axis, arg.span)?,
            None if is_integer(ty) => {}
            None => {
                let name = name.clone();
                return self.fail(
                    Diagnostic::error(
                        "F0207",
                        arg.span,
                        format!("`{name}` is not an index tensor"),
                    )
                    .note(format!("its elements are {}", ty.name()))
                    .help(format!("declare it `{name}: i32[..]`, or an index type")),
                );
            }
        }
        let index = self.index(frame, table, args, arg.span)?;
        Ok(Expr { kind: ExprKind::Read { tensor: table, index }, ty, span: arg.span })
    }

    /// F0207: the element is an index into this axis. Where it is none there is no assignment.
    fn element_type(
        &mut self,
        table: Handle<hir::Tensor>,
        (tensor, axis): (Handle<hir::Tensor>, usize),
        span: Span,
    ) -> Checked<()> {
        let (info, of) = (&self.hir.tensors[table], &self.hir.tensors[tensor]);
        let (name, of_name, axis_name) = (&info.name, &of.name, &of.axes[axis].name);
        let Extent::Fixed(extent) = &of.axes[axis].extent else {
            return self.unsupported(span, "an element as the index of a ragged axis");
        };
        let extent_text = text::size(&self.hir, extent, &[]);
        let Some(index) = &info.dtype.index else {
            let word = if is_integer(info.dtype.elem) { "range" } else { "integer" };
            let diagnostic =
                Diagnostic::error("F0207", span, format!("`{name}` is not an index tensor"))
                    .note(format!("its elements are {}, of unknown {word}", info.dtype.elem.name()))
                    .help(format!("declare it `{name}: ix32({extent_text})[..]`"));
            return self.fail(diagnostic);
        };
        if self.facts.at_most(&index.bound, extent) {
            return Ok(());
        }
        let bound = text::size(&self.hir, &index.bound, &[]);
        let diagnostic = Diagnostic::error(
            "F0207",
            span,
            format!("`{name}` indexes an axis of extent {bound}, used on `{of_name}` of extent {extent_text}"),
        )
        .label(format!("axis `{axis_name}` of `{of_name}` has extent {extent_text}"))
        .note(format!("{bound} <= {extent_text} is not known"))
        .help("use one size for both");
        self.fail(diagnostic)
    }

    /// Integer arithmetic over variables, sizes and elements of integer tensors.
    fn index_term(&mut self, frame: &mut Frame, e: &ast::Expr) -> Checked<Expr> {
        let kind = match &e.kind {
            Ast::Int(v) => ExprKind::Size(Size::Lit(*v)),
            Ast::Name(name) => {
                let known = frame.vars.iter().find(|(_, v)| v.name == *name).map(|(h, _)| h);
                let name = Ident { name: name.clone(), span: e.span };
                match known {
                    Some(var) => ExprKind::Var(var),
                    None if frame.bound(&name.name).is_some() => {
                        let extent = frame.bound(&name.name).cloned().map(VarExtent::Fixed);
                        let extent = extent.unwrap_or(VarExtent::Fixed(Size::Lit(1)));
                        ExprKind::Var(frame.vars.append(Var { name: name.name, extent }))
                    }
                    None if self.is_size(&name.name) => ExprKind::Size(self.size(e, &[])?),
                    None if frame.deferred.iter().any(|n| n.name == name.name) => {
                        return self.without_extent(&name);
                    }
                    None => return self.unbound(&name),
                }
            }
            Ast::Binary { op, lhs, rhs } => {
                let Some(op) = arithmetic(*op) else {
                    return self.unsupported(e.span, "a condition as an index");
                };
                let divides = matches!(op, BinOp::Div | BinOp::Rem);
                if divides && matches!(rhs.kind, Ast::Int(0)) {
                    return self.divides_by_zero(rhs.span);
                }
                let (l, r) = (self.index_term(frame, lhs)?, self.index_term(frame, rhs)?);
                match (&l.kind, &r.kind) {
                    // One size, so that divisions are checked and literals folded.
                    (ExprKind::Size(_), ExprKind::Size(_)) => ExprKind::Size(self.size(e, &[])?),
                    _ => ExprKind::Binary { op, lhs: Box::new(l), rhs: Box::new(r) },
                }
            }
            Ast::Index { .. } => return self.element(frame, None, e),
            _ => return self.unsupported(e.span, format!("`{}` as an index", text::expr(e))),
        };
        Ok(Expr { kind, ty: Elem::I64, span: e.span })
    }

    /// F0206: no index goes below 0 or past the end. What only numbers decide waits for bind.
    pub fn in_range(
        &mut self,
        frame: &Frame,
        tensor: Handle<hir::Tensor>,
        index: &[Expr],
    ) -> Checked<()> {
        let sizes: Vec<Option<Size>> = index.iter().map(size_of).collect();
        for (axis, e) in index.iter().enumerate() {
            // What else decides it is known at bind, or compared at run time.
            let sum = |e: &Expr| linear::of(e).filter(|l| self.grows(l));
            let Some(linear) = sum(e).filter(|_| !matches!(e.kind, ExprKind::Var(_))) else {
                continue;
            };
            let extent = match &self.hir.tensors[tensor].axes[axis].extent {
                Extent::Fixed(size) | Extent::Counted { rows: size, .. } => rename(size, &sizes),
                Extent::Ragged { .. } => None,
            };
            let Some(extent) = extent else {
                return self.unsupported(e.span, "a computed index of this axis");
            };
            self.inside(frame, (tensor, axis), e, &linear, &extent)?;
        }
        Ok(())
    }

    fn inside(
        &mut self,
        frame: &Frame,
        (tensor, axis): (Handle<hir::Tensor>, usize),
        e: &Expr,
        linear: &Linear,
        extent: &Size,
    ) -> Checked<()> {
        let poly = |s: &Size| self.facts.poly(s);
        let least = poly(&linear.offset);
        let most = linear.terms.iter().fold(least.clone(), |sum, (var, times)| {
            let last = poly(extent_size(&frame.vars[*var])).minus(&Poly::lit(1));
            sum.plus(&poly(times).times(&last))
        });
        // An assignment exists only where every variable has a value.
        let room = linear
            .terms
            .iter()
            .fold(poly(extent).minus(&Poly::lit(1)).minus(&most), |room, (var, _)| {
                room.given(&poly(extent_size(&frame.vars[*var])))
            });
        // Factors are at least 0, so that the index is largest where each `dyn` is at its bound.
        let at_bound = |size: &Size| poly(&self.at_bounds(size));
        let room = if room.at_least_zero() {
            room
        } else {
            let most = linear.terms.iter().fold(least.clone(), |sum, (var, times)| {
                let last = at_bound(extent_size(&frame.vars[*var])).minus(&Poly::lit(1));
                sum.plus(&poly(times).times(&last))
            });
            let bounded = poly(extent).minus(&Poly::lit(1)).minus(&most);
            if bounded.at_least_zero() { bounded } else { room }
        };
        let waits = self.decided_at_bind(frame, linear, extent);
        let (info, text) = (&self.hir.tensors[tensor], self.show(frame, extent));
        let what = format!("axis `{}` of `{}` has extent {text}", info.axes[axis].name, info.name);
        if frame.filtered {
            return Ok(());
        }
        if !least.at_least_zero() && (least.below_zero() || !waits) {
            let diagnostic = Diagnostic::error("F0206", e.span, "index can be less than 0")
                .label(what)
                .note(format!("{} >= 0 is not known", self.show(frame, &linear.offset)))
                .help("start at 0");
            return self.fail(diagnostic);
        }
        if room.at_least_zero() || (waits && !room.below_zero()) {
            return Ok(());
        }
        let claim = match room.constant() {
            Some(-1) => format!("index can reach {text}, one past the end"),
            Some(past) => format!("index can reach {text} + {}, {} past the end", -past - 1, -past),
            None => "index can reach past the end".to_string(),
        };
        let note = match linear.terms.is_empty() {
            true => format!("{} < {text} is not known", self.show(frame, &linear.offset)),
            false => format!(
                "{} < {text} is not known for the last of each variable",
                linear::show(self, frame, linear)
            ),
        };
        let help = "make the axis larger, or the index smaller";
        self.fail(Diagnostic::error("F0206", e.span, claim).label(what).note(note).help(help))
    }

    /// Whether nothing is subtracted but a size.
    fn grows(&self, linear: &Linear) -> bool {
        linear.terms.len() <= 6
            && linear.terms.iter().all(|(_, t)| self.facts.poly(t).at_least_zero())
    }

    /// The size with each `dyn` at its bound.
    pub fn at_bounds(&self, size: &Size) -> Size {
        match size {
            Size::Dyn { of, .. } => self.hir.dyns[*of].bound.clone(),
            Size::Binary { op: op @ (BinOp::Add | BinOp::Mul), lhs, rhs } => {
                super::hir::fold(*op, self.at_bounds(lhs), self.at_bounds(rhs))
            }
            // Divisors are at least 1.
            Size::Binary { op: op @ (BinOp::Sub | BinOp::Div), lhs, rhs } if !rhs.is_live() => {
                super::hir::fold(*op, self.at_bounds(lhs), (**rhs).clone())
            }
            size => size.clone(),
        }
    }

    /// Whether params and mesh axes decide everything that the range check reads.
    fn decided_at_bind(&self, frame: &Frame, linear: &Linear, extent: &Size) -> bool {
        let sizes = linear.terms.iter().flat_map(|(v, t)| [extent_size(&frame.vars[*v]), t]);
        sizes.chain([&linear.offset, extent]).all(super::facts::at_bind)
    }

    /// F0205: a computed index on the left gives each element one source.
    pub fn no_collision(
        &mut self,
        frame: &Frame,
        target: Handle<hir::Tensor>,
        index: &[Expr],
    ) -> Checked<()> {
        for (axis, e) in index.iter().enumerate() {
            for element in elements(e) {
                self.distinct_elements(frame, index, element)?;
            }
            let Some(mut linear) = linear::of(e).filter(|l| self.grows(l)) else { continue };
            // A variable that is an index by itself tells elements apart already.
            linear.terms.retain(|(v, _)| !linear::alone(index, axis, *v));
            if linear.terms.len() < 2 && linear.terms.iter().all(|(_, t)| *t != Size::Lit(0)) {
                continue;
            }
            // What several indices tell together is known at bind.
            if !linear::elsewhere(index, axis, &linear) {
                self.nested(frame, target, e, &linear)?;
            }
        }
        Ok(())
    }

    fn nested(
        &mut self,
        frame: &Frame,
        target: Handle<hir::Tensor>,
        e: &Expr,
        linear: &Linear,
    ) -> Checked<()> {
        let poly = |s: &Size| self.facts.poly(s);
        let terms: Vec<(Poly, Poly)> = linear
            .terms
            .iter()
            .map(|(v, t)| {
                let most = match &frame.vars[*v].extent {
                    VarExtent::Counted { bound, .. } => bound,
                    _ => extent_size(&frame.vars[*v]),
                };
                (poly(t), poly(most))
            })
            .collect();
        if linear::nested(&terms, Poly::lit(1)) {
            return Ok(());
        }
        let waits = linear.terms.iter().all(|(v, t)| {
            super::facts::at_bind(extent_size(&frame.vars[*v])) && super::facts::at_bind(t)
        });
        let numbers: Option<Vec<(i64, i64)>> =
            terms.iter().map(|(t, n)| Some((t.constant()?, n.constant()?))).collect();
        let fine = match numbers {
            Some(numbers) => linear::never_meet(&numbers),
            None => waits,
        };
        if fine {
            return Ok(());
        }
        let diagnostic = linear::collision(self, frame, linear, &terms, e.span).label(format!(
            "two sources may write one element of `{}`",
            self.hir.tensors[target].name
        ));
        self.fail(diagnostic)
    }

    /// An element of a tensor on the left, at variables that are no index by themselves: only a tensor assumed distinct
    /// names each place once.
    fn distinct_elements(
        &mut self,
        frame: &Frame,
        index: &[Expr],
        (table, at, span): (Handle<hir::Tensor>, &[Expr], Span),
    ) -> Checked<()> {
        let alone = |v: &usize| {
            index.iter().any(|e| matches!(e.kind, ExprKind::Var(own) if own.index() == *v))
        };
        let mut vars = Vec::new();
        at.iter().for_each(|e| super::reach::named(e, &mut vars));
        if vars.iter().all(alone) {
            return Ok(());
        }
        let info = &self.hir.tensors[table];
        let name = info.name.clone();
        if info.dtype.index.is_none() {
            return self.fail(
                Diagnostic::error("F0207", span, format!("`{name}` is not an index tensor"))
                    .note("on the left only elements of a known range can be told apart")
                    .help(format!(
                        "declare it `{name}: ix32(N)[..]`, and assume its elements distinct"
                    )),
            );
        }
        if self.hir.assumes.iter().chain(frame.assumed).any(|a| a.tensor == table) {
            return Ok(());
        }
        let plain = |e: &Expr| match e.kind {
            ExprKind::Var(v) => Some(frame.vars[v].name.clone()),
            _ => None,
        };
        let named = at.iter().map(plain).collect::<Option<Vec<_>>>();
        let axes = info.axes.iter().map(|a| a.name.clone());
        let names = named.unwrap_or_else(|| axes.collect());
        let along = match &names[..] {
            [one] => one.clone(),
            all => format!("({})", all.join(", ")),
        };
        let promise = format!("distinct({along}: {name}[{}])", names.join(", "));
        let fix = self.promise(span, &promise);
        self.fail(
            Diagnostic::error("F0205", span, "index may collide")
                .label(format!("two elements of `{name}` may be equal"))
                .note("then two sources would write one element")
                .help(format!("promise it: `assume {promise};`, or use a route"))
                .fixed(fix),
        )
    }
}

/// The elements that an index is computed from.
fn elements(e: &Expr) -> Vec<(Handle<hir::Tensor>, &[Expr], Span)> {
    match &e.kind {
        ExprKind::Read { tensor, index } => vec![(*tensor, index, e.span)],
        ExprKind::Binary { lhs, rhs, .. } => [elements(lhs), elements(rhs)].concat(),
        _ => Vec::new(),
    }
}

fn is_element(e: &ast::Expr) -> bool {
    matches!(e.kind, Ast::Index { .. })
}

/// An index as a size over the statement's variables, where it is one.
pub(super) fn size_of(e: &Expr) -> Option<Size> {
    Some(match &e.kind {
        ExprKind::Var(v) => Size::Coord(v.index()),
        ExprKind::Size(size) => size.clone(),
        ExprKind::Scalar(hir::Scalar::Int(v)) => Size::Lit(*v),
        ExprKind::Read { tensor, index } => {
            Size::Read { tensor: *tensor, index: index.iter().map(size_of).collect::<Option<_>>()? }
        }
        ExprKind::Binary { op: op @ (BinOp::Add | BinOp::Sub | BinOp::Mul), lhs, rhs } => {
            Size::Binary { op: *op, lhs: Box::new(size_of(lhs)?), rhs: Box::new(size_of(rhs)?) }
        }
        _ => return None,
    })
}
