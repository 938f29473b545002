//! The right side of a statement: rows, integers of the bound variables, sums, plan metadata.

use super::checker::{Checked, Checker, Stop};
use super::dtype::is_integer;
use super::extent::arithmetic;
use super::frame::Frame;
use super::hir::{self, BinOp, Elem, Expr, ExprKind, Extent, Reducer, Scalar, Size};
use super::scope::{Symbol, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind as Ast, Ident};

const CALLS: [&str; 5] = ["cast", "sum", "count", "offset", "dropped"];
const LATER: [&str; 6] = ["quant", "max", "min", "first", "arrivals", "pick"];

/// `count(y.c)`, `offset(y.c)`, `dropped(r, s)`: read the plan, not the data.
pub(super) fn is_metadata(e: &ast::Expr) -> bool {
    matches!(&e.kind, Ast::Call { base, .. } if matches!(text::expr(base).as_str(), "count" | "offset" | "dropped"))
}

/// A number that is written as it is.
pub(super) fn literal(e: &ast::Expr) -> Option<f64> {
    match &e.kind {
        Ast::Int(v) => Some(*v as f64),
        Ast::Float(v) => Some(*v),
        Ast::Neg(inner) => literal(inner).map(|v| -v),
        _ => None,
    }
}

/// How many `sum(..)` a value has.
fn sums(e: &ast::Expr) -> usize {
    match &e.kind {
        Ast::Call { base, args } => {
            let own = usize::from(matches!(&base.kind, Ast::Name(name) if name == "sum"));
            own + args.iter().map(|a| sums(&a.value)).sum::<usize>()
        }
        Ast::Binary { lhs, rhs, .. } => sums(lhs) + sums(rhs),
        Ast::Neg(inner) => sums(inner),
        _ => 0,
    }
}

fn is_arithmetic(e: &ast::Expr) -> bool {
    matches!(e.kind, Ast::Binary { .. } | Ast::Neg(_))
}

impl Checker<'_> {
    /// `want` is the element type that integers of unknown width take.
    pub fn value(&mut self, frame: &mut Frame, e: &ast::Expr, want: Elem) -> Checked<Expr> {
        let width = if is_integer(want) { want } else { Elem::I64 };
        let (kind, ty) = match &e.kind {
            Ast::Int(v) if frame.in_sum || frame.in_tree => {
                (ExprKind::Scalar(Scalar::Float(*v as f64)), Elem::F32)
            }
            Ast::Int(v) => (ExprKind::Scalar(Scalar::Int(*v)), width),
            Ast::Float(v) if (frame.in_sum || frame.in_tree) && v.is_finite() => {
                (ExprKind::Scalar(Scalar::Float(*v)), Elem::F32)
            }
            Ast::Name(name) => {
                self.named_value(frame, &Ident { name: name.clone(), span: e.span }, width)?
            }
            Ast::Neg(inner) if frame.in_tree && !frame.in_sum => {
                // Exact, and -0 stays what it is.
                let minus = ExprKind::Scalar(Scalar::Float(-1.0));
                let minus = Expr { kind: minus, ty: Elem::F32, span: e.span };
                let inner = self.value(frame, inner, Elem::F32)?;
                let (lhs, rhs) = (Box::new(minus), Box::new(inner));
                (ExprKind::Binary { op: BinOp::Mul, lhs, rhs }, Elem::F32)
            }
            Ast::Neg(_) if !frame.in_sum && frame.via.is_some() && sums(e) > 0 => {
                return self.around_sum(frame, e);
            }
            Ast::Neg(inner) if !frame.in_sum => {
                let zero = Expr { kind: ExprKind::Scalar(Scalar::Int(0)), ty: width, span: e.span };
                let inner = self.integer(frame, inner, want)?;
                (
                    ExprKind::Binary { op: BinOp::Sub, lhs: Box::new(zero), rhs: Box::new(inner) },
                    width,
                )
            }
            Ast::Binary { op: written, lhs, rhs } => match arithmetic(*written) {
                Some(op) if frame.in_sum => self.product(frame, e, op, lhs, rhs)?,
                Some(op) if frame.in_tree => self.tree(frame, e, op, lhs, rhs)?,
                Some(_) if frame.via.is_some() && sums(e) > 0 => return self.around_sum(frame, e),
                Some(op) => {
                    self.no_arithmetic(frame, e, *written)?;
                    let (l, r) = (self.integer(frame, lhs, want), self.integer(frame, rhs, want));
                    (ExprKind::Binary { op, lhs: Box::new(l?), rhs: Box::new(r?) }, width)
                }
                None => return self.unsupported(e.span, "a condition as a value"),
            },
            Ast::Index { base, args } => self.read(frame, e, base, args)?,
            Ast::Call { base, args } => self.call(frame, e, base, args, want)?,
            _ => {
                if let Some(found) = self.foreign_value(frame, e) {
                    return self.fail(found);
                }
                return self.unsupported(e.span, format!("`{}` as a value", text::expr(e)));
            }
        };
        Ok(Expr { kind, ty, span: e.span })
    }

    /// Arithmetic is over bound variables and sizes only; data is moved, not computed.
    fn integer(&mut self, frame: &mut Frame, e: &ast::Expr, want: Elem) -> Checked<Expr> {
        let out = self.value(frame, e, want)?;
        match out.kind {
            ExprKind::Scalar(_)
            | ExprKind::Size(_)
            | ExprKind::Var(_)
            | ExprKind::Binary { .. } => Ok(out),
            _ => self.unsupported(e.span, "arithmetic on tensor elements outside a `sum`"),
        }
    }

    fn product(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        op: BinOp,
        lhs: &ast::Expr,
        rhs: &ast::Expr,
    ) -> Checked<(ExprKind, Elem)> {
        if op != BinOp::Mul {
            return self.unsupported(e.span, format!("`{}` inside a `sum`", op.symbol()));
        }
        let (l, r) = (self.value(frame, lhs, Elem::F32), self.value(frame, rhs, Elem::F32));
        Ok((ExprKind::Binary { op, lhs: Box::new(l?), rhs: Box::new(r?) }, Elem::F32))
    }

    /// Arithmetic on a sum of rows: `sum(k: ..) + x[s, t, h]`, in f32, each operation rounded.
    fn around_sum(&mut self, frame: &mut Frame, e: &ast::Expr) -> Checked<Expr> {
        if sums(e) > 1 {
            return self.unsupported(e.span, "arithmetic on several sums");
        }
        frame.in_tree = true;
        let value = self.value(frame, e, Elem::F32);
        frame.in_tree = false;
        let value = value?;
        self.bound_outside(frame, &value)?;
        Ok(value)
    }

    fn tree(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        op: BinOp,
        lhs: &ast::Expr,
        rhs: &ast::Expr,
    ) -> Checked<(ExprKind, Elem)> {
        match (op, literal(rhs)) {
            (BinOp::Rem, _) => return self.unsupported(e.span, "`%` of what is no integer"),
            (BinOp::Div, None) => {
                return self.unsupported(e.span, "a division by anything but a literal");
            }
            (BinOp::Div, Some(0.0)) => return self.divides_by_zero(rhs.span),
            _ => {}
        }
        let (l, r) = (self.value(frame, lhs, Elem::F32), self.value(frame, rhs, Elem::F32));
        Ok((ExprKind::Binary { op, lhs: Box::new(l?), rhs: Box::new(r?) }, Elem::F32))
    }

    pub(super) fn divides_by_zero<T>(&mut self, span: Span) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0203", span, "a division by zero").help("divide by another number"),
        )
    }

    /// F0502: outside of the sum its variable has no value, and neither has where a term of it lies.
    fn bound_outside(&mut self, frame: &Frame, value: &Expr) -> Checked<()> {
        let Some(via) = &frame.via else { return Ok(()) };
        let unbound = |v: &Handle<hir::Var>| frame.reduced.contains(v) || via.dests.contains(v);
        match value.outside_sums(&unbound) {
            None => Ok(()),
            Some((span, var)) => self.no_value_outside(frame, span, var, Reducer::Sum),
        }
    }

    pub fn no_value_outside<T>(
        &mut self,
        frame: &Frame,
        span: Span,
        var: Handle<hir::Var>,
        by: Reducer,
    ) -> Checked<T> {
        let (name, by) = (frame.vars[var].name.clone(), by.name());
        self.fail(
            Diagnostic::error(
                "F0502",
                span,
                format!("`{name}` has no value outside of the `{by}`"),
            )
            .note(format!("the {by} has one term for each of its values"))
            .help(format!("read it inside of the `{by}`, as a factor of its terms")),
        )
    }

    fn named_value(
        &mut self,
        frame: &Frame,
        name: &Ident,
        width: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let var = frame.vars.iter().find(|(_, v)| v.name == name.name).map(|(h, _)| h);
        if frame.in_sum || frame.in_tree {
            let what = match frame.is_static {
                true => "an integer in arithmetic on elements",
                false => "a factor of a `sum` that is not a tensor or literal",
            };
            return self.unsupported(name.span, what);
        }
        if let Some(var) = var {
            return Ok((ExprKind::Var(var), width));
        }
        match self.scope.get(&name.name) {
            Some(Symbol::Const(v)) => Ok((ExprKind::Size(Size::Lit(v)), width)),
            Some(Symbol::Param(p)) if self.hir.params[p].kind == hir::ParamKind::Int => {
                Ok((ExprKind::Size(Size::Param(p)), width))
            }
            Some(Symbol::Mesh(m)) => Ok((ExprKind::Size(Size::Mesh(m)), width)),
            Some(Symbol::Alias(a)) => {
                Ok((ExprKind::Size(self.mesh_product(&self.aliases[a])), width))
            }
            Some(Symbol::Poison) => Err(Stop),
            Some(Symbol::Tensor(t)) => {
                self.mark(&name.name);
                self.arity(t, 0, name.span)?;
                Err(Stop)
            }
            Some(_) => self.unsupported(name.span, format!("`{}` as a value", name.name)),
            None if frame.deferred.iter().any(|n| n.name == name.name) => self.without_extent(name),
            None => {
                let vars: Vec<&str> = frame.vars.iter().map(|(_, v)| v.name.as_str()).collect();
                self.fail(unknown("F0101", "variable or size", name, &vars))
            }
        }
    }

    fn read(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        base: &ast::Expr,
        args: &[ast::Expr],
    ) -> Checked<(ExprKind, Elem)> {
        let Ast::Name(name) = &base.kind else {
            if let Some(found) = self.foreign_value(frame, e) {
                return self.fail(found);
            }
            return self.unsupported(base.span, format!("indexing `{}`", text::expr(base)));
        };
        let tensor = self.tensor_named(&Ident { name: name.clone(), span: base.span })?;
        let io = self.hir.tensors[tensor].io;
        if io == hir::Io::Out || frame.outputs.contains(name) {
            if frame.outputs.contains(name) {
                return self.fail(
                    Diagnostic::error(
                        "F0505",
                        e.span,
                        format!("`{name}` is an output of this entry"),
                    )
                    .note("statements of an entry are unordered: its value is not there yet")
                    .help("read it in a second entry, as an `in`"),
                );
            }
            return self.unsupported(e.span, "reading an `out` that another entry writes");
        }
        let index = self.index(frame, tensor, args, e.span)?;
        if !frame.is_static {
            self.behind_route(tensor, e.span)?;
        }
        let elem = self.hir.tensors[tensor].dtype.elem;
        if (frame.in_sum || frame.in_tree) && is_integer(elem) {
            return self.fail(
                Diagnostic::error(
                    "F0601",
                    e.span,
                    match frame.is_static {
                        true => {
                            format!("`{name}` is {}, arithmetic on elements is f32", elem.name())
                        }
                        false => format!("`{name}` is {}, `sum` adds in f32", elem.name()),
                    },
                )
                .note("there is no implicit conversion")
                .help(match frame.is_static {
                    true => format!("write `cast(f32, {})`", text::expr(e)),
                    false => "declare it f32, f16 or bf16".to_string(),
                }),
            );
        }
        if (frame.in_sum || frame.in_tree) && elem == Elem::F64 {
            let mut found = super::checker::unsupported(e.span, "arithmetic in f64");
            found.help = Some(format!("write `cast(f32, {})`", text::expr(e)));
            return self.fail(found);
        }
        let computed = !frame.is_static && (frame.in_sum || frame.in_tree);
        if computed && !matches!(elem, Elem::F32 | Elem::F16 | Elem::Bf16) {
            return self.unsupported(e.span, format!("a sum over {}", elem.name()));
        }
        Ok((ExprKind::Read { tensor, index }, elem))
    }

    fn call(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        base: &ast::Expr,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let Ast::Name(name) = &base.kind else {
            if let Some(found) = self.foreign_value(frame, e) {
                return self.fail(found);
            }
            return self.unsupported(base.span, format!("`{}(..)`", text::expr(base)));
        };
        match name.as_str() {
            "cast" if frame.is_static => self.static_cast(frame, e, args),
            "cast" => self.cast(frame, e, args),
            "sum" if frame.is_static => self.reduced(frame, e, (Reducer::Sum, args), want),
            "max" if frame.is_static => self.reduced(frame, e, (Reducer::Max, args), want),
            "min" if frame.is_static => self.reduced(frame, e, (Reducer::Min, args), want),
            "sum" => self.sum(frame, e, args),
            "count" | "offset" | "dropped" if frame.via.is_some() => {
                self.unsupported(e.span, format!("`{name}` in a statement with `via`"))
            }
            "count" | "offset" | "dropped" if frame.in_tree => {
                self.unsupported(e.span, format!("`{name}` in arithmetic"))
            }
            "count" | "offset" => self.group_metadata(frame, e, name, args, want),
            "dropped" => self.dropped(frame, e, args, want),
            _ if LATER.contains(&name.as_str()) => {
                self.unsupported(e.span, format!("`{name}(..)`"))
            }
            _ => {
                if let Some(found) = self.foreign_value(frame, e) {
                    return self.fail(found);
                }
                let name = Ident { name: name.clone(), span: base.span };
                // What is refused anyway is no help, unless it was misspelt.
                let near = nearest(&name.name, &LATER).is_some();
                let known = if near { [&CALLS[..], &LATER[..]].concat() } else { CALLS.to_vec() };
                let diagnostic = unknown("F0101", "function", &name, &known);
                let diagnostic = self.no_function(&name, e, args, diagnostic);
                self.fail(diagnostic)
            }
        }
    }

    pub fn malformed<T>(&mut self, e: &ast::Expr, form: &str) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0203", e.span, "these are not the arguments it takes")
                .help(format!("write `{form}`"))
                .fixed(self.reordered(e)),
        )
    }

    fn cast(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
    ) -> Checked<(ExprKind, Elem)> {
        let [ty, inner] = args else { return self.malformed(e, "cast(bf16, sum(k: ..))") };
        let Ast::Name(ty_name) = &ty.value.kind else {
            return self.malformed(e, "cast(bf16, sum(k: ..))");
        };
        if [ty, inner].iter().any(|a| a.binder.is_some() || a.named.is_some()) {
            return self.malformed(e, "cast(bf16, sum(k: ..))");
        }
        let to = self.elem_named(&Ident { name: ty_name.clone(), span: ty.value.span })?;
        let around = !frame.in_sum && !frame.in_tree && frame.via.is_some();
        if around && sums(&inner.value) > 0 && is_arithmetic(&inner.value) {
            if !matches!(to, Elem::F32 | Elem::F16 | Elem::Bf16) {
                return self.unsupported(e.span, "a sum rounded to anything but f32, f16 or bf16");
            }
            let value = self.around_sum(frame, &inner.value)?;
            return Ok((ExprKind::Cast(Box::new(value)), to));
        }
        if let (Ast::Binary { op: ast::Op::Mul, .. }, Some(_), false) =
            (&inner.value.kind, &frame.via, frame.in_sum)
        {
            return self.scaled(frame, e, &inner.value, to);
        }
        if around && matches!(inner.value.kind, Ast::Index { .. }) {
            return self.scaled(frame, e, &inner.value, to);
        }
        let value = self.value(frame, &inner.value, to)?;
        let fine = match frame.in_sum || frame.in_tree {
            true => to == Elem::F32,
            false => matches!(value.kind, ExprKind::Reduce { .. }),
        };
        if !fine || !matches!(to, Elem::F32 | Elem::F16 | Elem::Bf16) {
            return self.unsupported(e.span, "a `cast` other than to f32, f16 or bf16 of a `sum`");
        }
        Ok((ExprKind::Cast(Box::new(value)), to))
    }

    /// `cast(T, x[s, t, h]) via r` and `cast(T, w[s, t, k] * x[s, t, h]) via r`: a row and the scalars of its
    /// tuple, multiplied left to right in f32 and rounded once.
    fn scaled(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        product: &ast::Expr,
        to: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        if !matches!(to, Elem::F32 | Elem::F16 | Elem::Bf16) {
            return self.unsupported(e.span, "a product rounded to anything but f32, f16 or bf16");
        }
        // The factors are those of a sum: float tensors and literals.
        frame.in_sum = true;
        let product = self.value(frame, product, Elem::F32);
        frame.in_sum = false;
        Ok((ExprKind::Cast(Box::new(product?)), to))
    }

    /// `sum(k: body)` behind a route: `k` is a source of it that is not on the left.
    fn sum(&mut self, frame: &mut Frame, e: &ast::Expr, args: &[Arg]) -> Checked<(ExprKind, Elem)> {
        let [Arg { binder: Some(names), value: body, .. }] = args else {
            return self.malformed(e, "sum(k: w[s, t, k] * z[e, c, h])");
        };
        let ([name], false) = (names.as_slice(), frame.in_sum) else {
            return self.unsupported(e.span, "a sum over several variables");
        };
        let Some(via) = frame.via.clone() else { return Err(Stop) };
        let sources: Vec<String> =
            via.sources.iter().map(|v| frame.vars[*v].name.clone()).collect();
        let Some(at) = sources.iter().position(|s| *s == name.name) else {
            if frame.vars.iter().any(|(_, v)| v.name == name.name) {
                return self.unsupported(
                    name.span,
                    "a sum over a variable that is not a source of the route",
                );
            }
            return self.fail(unknown(
                "F0101",
                "source",
                name,
                &sources.iter().map(String::as_str).collect::<Vec<_>>(),
            ));
        };
        let var = via.sources[at];
        if frame.left.contains(&var) {
            return self.left_and_reduced(name);
        }
        if via.dests.iter().any(|d| frame.left.contains(d)) {
            return self.unsupported(e.span, "a sum into the destination side of a route");
        }
        frame.reduced.push(var);
        frame.in_sum = true;
        let body = self.value(frame, body, Elem::F32);
        frame.in_sum = false;
        let (by, body) = (Reducer::Sum, Box::new(body?));
        Ok((ExprKind::Reduce { by, over: vec![var], body }, Elem::F32))
    }

    pub fn left_and_reduced<T>(&mut self, name: &Ident) -> Checked<T> {
        self.fail(
            Diagnostic::error(
                "F0502",
                name.span,
                format!("`{}` is both on the left and reduced", name.name),
            )
            .help(format!("remove `{}` from the left, or the reducer", name.name)),
        )
    }

    /// `count(y.c)` and `offset(y.c)`, one number for each group.
    fn group_metadata(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        name: &str,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let form = format!("{name}(y.c)");
        let [Arg { binder: None, named: None, value }] = args else {
            return self.malformed(e, &form);
        };
        let Ast::Field { base, name: axis } = &value.kind else { return self.malformed(e, &form) };
        let Ast::Name(tensor) = &base.kind else { return self.malformed(e, &form) };
        let tensor = self.tensor_named(&Ident { name: tensor.clone(), span: base.span })?;
        let info = &self.hir.tensors[tensor];
        let Some(at) = info.axes.iter().position(|a| a.name == axis.name) else {
            let names: Vec<&str> = info.axes.iter().map(|a| a.name.as_str()).collect();
            let diagnostic = unknown("F0101", "axis", axis, &names);
            return self.fail(diagnostic);
        };
        let (true, Some(parent)) =
            (matches!(info.axes[at].extent, Extent::Ragged { .. }), at.checked_sub(1))
        else {
            let (axis_name, tensor) = (&axis.name, &info.name);
            if let Extent::Counted { rows, .. } = &info.axes[at].extent {
                let names: Vec<&str> = info.axes.iter().map(|a| a.name.as_str()).collect();
                let rows = text::size(&self.hir, rows, &names);
                let diagnostic = Diagnostic::error(
                    "F0406",
                    axis.span,
                    format!(
                        "axis `{axis_name}` of `{tensor}` is counted by `{rows}`, not by a route"
                    ),
                )
                .note(format!("`{name}` reads the plan of the route that counts an axis"))
                .help(format!("its counts are an input already: read `{rows}`"));
                return self.fail(diagnostic);
            }
            let diagnostic = Diagnostic::error(
                "F0406",
                axis.span,
                format!("axis `{axis_name}` of `{tensor}` is not ragged"),
            )
            .note(format!("`{name}` is known to the plan of the route that counts the axis"))
            .help("name a ragged axis");
            return self.fail(diagnostic);
        };
        let Extent::Fixed(groups) = info.axes[parent].extent.clone() else { return Err(Stop) };
        let parent = info.axes[parent].name.clone();
        let [group] = frame.left[..] else {
            return self.unsupported(
                e.span,
                format!("`{name}` into a tensor of more than the group axis"),
            );
        };
        if !matches!(&frame.vars[group].extent, hir::VarExtent::Fixed(size) if super::facts::same(size, &groups))
        {
            let groups = text::size(&self.hir, &groups, &[]);
            return self.fail(
                Diagnostic::error(
                    "F0202",
                    e.span,
                    format!(
                        "`{name}` gives one number for each `{parent}`, which has extent {groups}"
                    ),
                )
                .help(format!("write it into a tensor `[{parent}: {groups}]`")),
            );
        }
        frame.counts.push(tensor);
        let ty = self.count_type(want, e)?;
        Ok((
            if name == "count" {
                ExprKind::Count { tensor, group }
            } else {
                ExprKind::Offset { tensor, group }
            },
            ty,
        ))
    }

    /// `dropped(r, s)`, one number for each rank.
    fn dropped(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let [
            Arg { binder: None, named: None, value: r },
            Arg { binder: None, named: None, value: s },
        ] = args
        else {
            return self.malformed(e, "dropped(r, s)");
        };
        let (Ast::Name(route), Ast::Name(source)) = (&r.kind, &s.kind) else {
            return self.malformed(e, "dropped(r, s)");
        };
        let route = self.route_named(&Ident { name: route.clone(), span: r.span })?;
        let info = &self.hir.routes[route];
        let names: Vec<&str> = info.sources.iter().map(|v| info.vars[*v].name.as_str()).collect();
        let Some(at) = names.iter().position(|n| n == source) else {
            let diagnostic =
                unknown("F0101", "source", &Ident { name: source.clone(), span: s.span }, &names);
            return self.fail(diagnostic);
        };
        let hir::VarExtent::Fixed(extent) = info.vars[info.sources[at]].extent.clone() else {
            return Err(Stop);
        };
        if at != 0 || !self.is_rank(&extent) {
            return self
                .unsupported(s.span, "`dropped` by anything but the rank, the first source");
        }
        let [var] = frame.left[..] else {
            return self.unsupported(e.span, "`dropped` into a tensor of more than the rank axis");
        };
        if frame.vars[var].name != *source {
            return self.unbound_source(source, s);
        }
        if !matches!(&frame.vars[var].extent, hir::VarExtent::Fixed(size) if *size == extent) {
            let extent = text::size(&self.hir, &extent, &[]);
            return self.fail(
                Diagnostic::error(
                    "F0202",
                    s.span,
                    format!("`{source}` has extent {extent} in the route"),
                )
                .help("use the same extent on the left"),
            );
        }
        frame.needs.push(route);
        let ty = self.count_type(want, e)?;
        Ok((ExprKind::Dropped { route, source: var }, ty))
    }

    fn unbound_source<T>(&mut self, source: &str, s: &ast::Expr) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0502", s.span, format!("`{source}` is not on the left"))
                .help(format!("write `..[{source}] <- dropped(..)`")),
        )
    }

    fn count_type(&mut self, want: Elem, e: &ast::Expr) -> Checked<Elem> {
        match want {
            Elem::I32 | Elem::U32 | Elem::I64 => Ok(want),
            want if is_integer(want) => {
                let what = format!("a count in {}, which holds too few", want.name());
                self.unsupported(e.span, what)
            }
            want => self.fail(
                Diagnostic::error(
                    "F0601",
                    e.span,
                    format!("a count is an integer, the target is {}", want.name()),
                )
                .help("declare the target i32, u32 or i64"),
            ),
        }
    }

    /// F0506 and F0601: nothing is converted unless the program says so.
    pub fn same_type(
        &mut self,
        target: Handle<hir::Tensor>,
        value: &Expr,
        written: &ast::Expr,
    ) -> Checked<()> {
        let info = &self.hir.tensors[target];
        let (to, name) = (info.dtype.elem, info.name.clone());
        if to == value.ty {
            return self.same_index(target, value);
        }
        let fix = self.fix_cast(written, value.ty, to);
        let (from, to) = (value.ty.name(), to.name());
        if let Some(Expr { kind: ExprKind::Reduce { by, .. }, .. }) = value.sum() {
            let (does, by) = (if *by == Reducer::Sum { "adds" } else { "compares" }, by.name());
            return self.fail(
                Diagnostic::error(
                    "F0506",
                    value.span,
                    format!("result of `{by}` is f32, `{name}` is {to}"),
                )
                .note(format!("`{by}` {does} in f32; rounding its result is part of the meaning"))
                .help(format!("add `cast({to}, ..)`"))
                .fixed(fix),
            );
        }
        self.fail(
            Diagnostic::error(
                "F0601",
                value.span,
                format!("`{name}` is {to}, the value is {from}"),
            )
            .note("there is no implicit conversion")
            .help(format!("declare `{name}` {from}, or use `cast` or `quant`"))
            .fixed(fix),
        )
    }

    /// A moved index keeps its range.
    fn same_index(&mut self, target: Handle<hir::Tensor>, value: &Expr) -> Checked<()> {
        let Some(to) = &self.hir.tensors[target].dtype.index else { return Ok(()) };
        let ExprKind::Read { tensor, .. } = &value.kind else {
            return self.unsupported(value.span, "a computed value into an index tensor");
        };
        let from = self.hir.tensors[*tensor].dtype.index.as_ref();
        if from.is_some_and(|f| self.equal(&f.bound, &to.bound) && f.none == to.none) {
            return Ok(());
        }
        let name = self.hir.tensors[target].name.clone();
        self.fail(
            Diagnostic::error(
                "F0207",
                value.span,
                format!("the range of `{name}` is not the range of this value"),
            )
            .help("give both the same `ix` type"),
        )
    }
}
