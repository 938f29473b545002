//! Statements without a route: `Y[f(v)] <- E(v)` over the variables of the left side; and the values of all
//! statements, trees of elements, literals and reducers, with arithmetic between them.

use super::checker::{Checked, Checker};
use super::dtype::{is_integer, literal};
use super::frame::Frame;
use super::hir::{self, Elem, Expr, ExprKind, Reducer, Scalar, Var};
use super::scope::Symbol;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind as Ast, Ident};
use std::collections::BTreeSet;

impl Checker<'_> {
    /// Plain names on the left first, then the right, then what the left computes from both.
    pub fn static_sides(
        &mut self,
        frame: &mut Frame,
        a: &ast::Assign,
        target: Handle<hir::Tensor>,
        left: &ast::Ref,
    ) -> Checked<(Vec<Expr>, Expr)> {
        frame.is_static = true;
        let mut index = self.left_side(frame, target, left)?;
        let value = self.assigned(frame, target, &a.value)?;
        self.rest_of_left(frame, target, left, &mut index)?;
        Ok((index.into_iter().flatten().collect(), value))
    }

    /// The plain names of the left side, and what it computes with.
    pub fn left_side(
        &mut self,
        frame: &mut Frame,
        target: Handle<hir::Tensor>,
        left: &ast::Ref,
    ) -> Checked<Vec<Option<Expr>>> {
        self.arity(target, left.index.len(), left.span)?;
        let mut index = vec![None; left.index.len()];
        self.named_indices(frame, target, &left.index, &mut index, true)?;
        frame.left = index
            .iter()
            .flatten()
            .filter_map(|e: &Expr| if let ExprKind::Var(v) = e.kind { Some(v) } else { None })
            .collect();
        self.no_diagonal(frame, left)?;
        let mut computed = deferred(frame, &left.index, &index);
        computed.retain(|n| !self.is_size(&n.name));
        frame.deferred = computed;
        Ok(index)
    }

    /// What the left side computes, once the right has given its variables their extents.
    pub fn rest_of_left(
        &mut self,
        frame: &mut Frame,
        target: Handle<hir::Tensor>,
        left: &ast::Ref,
        out: &mut [Option<Expr>],
    ) -> Checked<()> {
        self.no_extent_missing(frame)?;
        self.other_indices(frame, target, &left.index, out)?;
        let index: Vec<Expr> = out.iter().flatten().cloned().collect();
        self.no_collision(frame, target, &index)?;
        self.in_range(frame, target, &index)
    }

    /// F0502: every name in an index computed on the left is a plain index of something read.
    fn no_extent_missing(&mut self, frame: &Frame) -> Checked<()> {
        let known = |n: &Ident| frame.vars.iter().any(|(_, v)| v.name == n.name);
        let Some(missing) = frame.deferred.iter().find(|n| !known(n)) else { return Ok(()) };
        self.without_extent(&missing.clone())
    }

    pub fn without_extent<T>(&mut self, name: &Ident) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0502", name.span, format!("`{}` has no extent", name.name))
                .label("it appears in a computed index only")
                .note("a variable ranges over the axis that it indexes by itself")
                .help(format!(
                    "bound it by a condition, `where {0} < ..`, or index an axis by plain `{0}`",
                    name.name
                )),
        )
    }

    /// What a statement assigns: arithmetic on elements, a cast of it, an integer of the variables, or a literal.
    pub fn assigned(
        &mut self,
        frame: &mut Frame,
        target: Handle<hir::Tensor>,
        e: &ast::Expr,
    ) -> Checked<Expr> {
        let want = self.hir.tensors[target].dtype.elem;
        match literal(e) {
            Some(value) => self.literal_value(target, value, e),
            None => {
                let value = match computes(e) {
                    true => self.operands(frame, e, want.number()),
                    false => self.value(frame, e, want),
                }?;
                self.no_stray(frame, &value)?;
                Ok(match is_integer(value.ty) && computes(e) {
                    // Integers are exact: what the type does not hold is refused with their ranges.
                    true => Expr { ty: want, ..value },
                    false => value,
                })
            }
        }
    }

    /// Arithmetic in f32 or f64, each operation rounded, or in integers.
    fn operands(&mut self, frame: &mut Frame, e: &ast::Expr, number: Elem) -> Checked<Expr> {
        let outer = frame.number.replace(number);
        let value = self.value(frame, e, number);
        frame.number = outer;
        value
    }

    /// What is asked of a value outside of arithmetic.
    fn apart(&mut self, frame: &mut Frame, e: &ast::Expr, want: Elem) -> Checked<Expr> {
        let outer = frame.number.take();
        let value = self.value(frame, e, want);
        frame.number = outer;
        value
    }

    /// The type in which arithmetic is done that nothing around it decides: that of its first element.
    fn number_of(&self, e: &ast::Expr) -> Option<Elem> {
        match &e.kind {
            Ast::Index { base, .. } => match self.scope.get(base.as_name()?) {
                Some(Symbol::Tensor(t)) => Some(self.hir.tensors[t].dtype.elem.number()),
                _ => None,
            },
            Ast::Call { base, args } if base.as_name() == Some("cast") => {
                super::dtype::elem(args.first()?.value.as_name()?).map(Elem::number)
            }
            Ast::Call { args, .. } => self.number_of(&args.first()?.value),
            Ast::Binary { lhs, rhs, .. } => self.number_of(lhs).or_else(|| self.number_of(rhs)),
            Ast::Neg(inner) => self.number_of(inner),
            _ => None,
        }
    }

    /// `sum((j, k): body)`, `max(..)`, `min(..)`, `first(..)`: over sources of the route, or variables that the left
    /// does not name. The latter have the extent of the axis that they index by themselves.
    pub fn reduced(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        (by, args): (Reducer, &[Arg]),
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let [Arg { binder: Some(names), named: None, value: body }] = args else {
            let names = if args.len() > 1 { "(i, j)" } else { "j" };
            let form = match frame.via {
                Some(_) => format!("{}(k: w[s, t, k] * z[e, c, h])", by.name()),
                None => format!("{}({names}: a[i, j])", by.name()),
            };
            return match (by, args) {
                (Reducer::Sum, [Arg { binder: None, named: None, .. }]) if frame.is_static => self.fail(
                    Diagnostic::error("F0203", e.span, "this `sum` says nothing to sum over")
                        .help(format!("write `{form}`; parts that lie on different ranks are added by the placement of the input, `@ [sum/gpu, m, h]`, and `y[m, h] <- x[m, h]`")),
                ),
                _ => self.malformed(e, &form),
            };
        };
        let before = frame.deferred.len();
        let reduced = self.reduction(frame, e, (by, names, body), want);
        frame.deferred.truncate(before);
        reduced
    }

    fn reduction(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        (by, names, body): (Reducer, &[Ident], &ast::Expr),
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let before = frame.deferred.len();
        for (i, name) in names.iter().enumerate() {
            let on_left = frame.left.iter().any(|v| frame.vars[*v].name == name.name);
            if on_left || frame.deferred[..before].iter().any(|n| n.name == name.name) {
                return self.left_and_reduced(name);
            }
            if self.is_size(&name.name) {
                return self.unsupported(name.span, "a reduced variable with the name of a size");
            }
            if names[..i].iter().any(|n| n.name == name.name) {
                return self.unsupported(name.span, "a variable that is reduced twice");
            }
            frame.deferred.push(name.clone());
        }
        self.by_route(frame, e, by, names)?;
        self.extents(frame, names, body)?;
        let number = frame.number.unwrap_or(want.number());
        let body = match frame.number {
            None if by == Reducer::First && !computes(body) => self.value(frame, body, want)?,
            _ => self.operands(frame, body, number)?,
        };
        if by != Reducer::First && body.takes_first() {
            return self.unsupported(e.span, format!("a `first` inside of a `{}`", by.name()));
        }
        if by == Reducer::First && self.may_be_none(&body) {
            return self.unsupported(e.span, "a `first` at an index that may be none");
        }
        let mut over = Vec::new();
        for name in names {
            match frame.vars.iter().find(|(_, v)| v.name == name.name) {
                Some((var, _)) => over.push(var),
                None => return self.without_extent(name),
            }
        }
        frame.reduced.extend(&over);
        let ty = match (frame.number, by) {
            (None, Reducer::First) => body.ty,
            (None, _) if is_integer(number) => want,
            _ => number,
        };
        Ok((ExprKind::Reduce { by, over, within: None, body: Box::new(body) }, ty))
    }

    /// Whether an index at which the value reads may be none.
    fn may_be_none(&self, value: &Expr) -> bool {
        let mut read = BTreeSet::new();
        value.indices().into_iter().flatten().for_each(|i| i.tensors(&mut read));
        let index = |t: Handle<hir::Tensor>| self.hir.tensors[t].dtype.index.as_ref();
        read.into_iter().any(|t| index(t).is_some_and(|i| i.none.is_some()))
    }

    /// What a reducer may do with the variables of a route.
    fn by_route(
        &mut self,
        frame: &Frame,
        e: &ast::Expr,
        by: Reducer,
        names: &[Ident],
    ) -> Checked<()> {
        let of = |vars: &[Handle<Var>], name: &Ident| {
            vars.iter().any(|v| frame.vars[*v].name == name.name)
        };
        let (sources, dests) =
            frame.via.as_ref().map_or((&[][..], &[][..]), |via| (&via.sources[..], &via.dests[..]));
        if let Some(name) = names.iter().find(|n| of(dests, n)) {
            let what = "a reducer over a variable that is not a source of the route";
            return self.unsupported(name.span, what);
        }
        let gathers = names.iter().any(|n| of(sources, n));
        if gathers && dests.iter().any(|d| frame.left.contains(d)) {
            let what = format!("a `{}` into the destination side of a route", by.name());
            return self.unsupported(e.span, what);
        }
        Ok(())
    }

    /// The extents of reduced variables, wherever in the body they are an index by themselves.
    fn extents(&mut self, frame: &mut Frame, names: &[Ident], e: &ast::Expr) -> Checked<()> {
        match &e.kind {
            Ast::Binary { lhs, rhs, .. } => {
                self.extents(frame, names, lhs)?;
                self.extents(frame, names, rhs)
            }
            Ast::Neg(inner) => self.extents(frame, names, inner),
            Ast::Call { args, .. } => {
                args.iter().try_for_each(|a| self.extents(frame, names, &a.value))
            }
            Ast::Index { base, args } => {
                let plain = |a: &ast::Expr| names.iter().any(|n| a.as_name() == Some(&n.name));
                let (Ast::Name(name), true) = (&base.kind, args.iter().any(plain)) else {
                    return Ok(());
                };
                let name = Ident { name: name.clone(), span: base.span };
                let tensor = self.tensor_named(&name)?;
                self.arity(tensor, args.len(), e.span)?;
                if !frame.is_static && args.iter().any(|a| self.is_later(frame, a)) {
                    return Ok(());
                }
                self.named_indices(frame, tensor, args, &mut vec![None; args.len()], false)
            }
            _ => Ok(()),
        }
    }

    /// Whether it is a name that a reducer further in may give a value.
    fn is_later(&self, frame: &Frame, e: &ast::Expr) -> bool {
        e.as_name().is_some_and(|name| {
            let known = frame.vars.iter().any(|(_, v)| v.name == *name);
            !known && !frame.deferred.iter().any(|n| n.name == *name) && !self.is_size(name)
        })
    }

    /// F0502: a reduced variable where no reducer gives it values, or what a route finds for it.
    pub fn no_stray(&mut self, frame: &Frame, value: &Expr) -> Checked<()> {
        let via = frame.via.as_ref();
        let gathered = via.filter(|via| via.sources.iter().any(|v| frame.reduced.contains(v)));
        let found = Stray {
            reduced: &frame.reduced,
            sources: gathered.map_or(&[], |via| &via.sources),
            dests: gathered.map_or(&[], |via| &via.dests),
        };
        match found.in_value(value, &mut Vec::new()) {
            None => Ok(()),
            Some((span, var)) => {
                let by = value.reduced_by(&|v| *v == var || found.sources.contains(v));
                self.no_value_outside(frame, span, var, by.unwrap_or(Reducer::Sum))
            }
        }
    }

    /// A literal takes the type of the target, if it has that value.
    fn literal_value(
        &mut self,
        target: Handle<hir::Tensor>,
        value: Scalar,
        e: &ast::Expr,
    ) -> Checked<Expr> {
        let info = &self.hir.tensors[target];
        let elem = info.dtype.elem;
        let value = match value {
            Scalar::Int(v) if !is_integer(elem) => Scalar::Float(v as f64),
            value => value,
        };
        if info.dtype.index.is_some() {
            return self.unsupported(e.span, "a computed value into an index tensor");
        }
        if fits(elem, value) {
            return Ok(Expr { kind: ExprKind::Scalar(value), ty: elem, span: e.span });
        }
        let name = info.name.clone();
        self.fail(
            Diagnostic::error(
                "F0601",
                e.span,
                format!("`{name}` is {}, which does not hold {}", elem.name(), text::expr(e)),
            )
            .note("there is no implicit conversion")
            .help("write a value of the target's type"),
        )
    }

    /// `cast(T, value)`: to any floating point type, and of integers to another integer type, which holds them.
    pub fn cast(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
    ) -> Checked<(ExprKind, Elem)> {
        let form = match frame.via {
            Some(_) => "cast(bf16, sum(k: ..))",
            None => "cast(bf16, x[m, n])",
        };
        let [ty, inner] = args else { return self.malformed(e, form) };
        let Ast::Name(ty_name) = &ty.value.kind else { return self.malformed(e, form) };
        if [ty, inner].iter().any(|a| a.binder.is_some() || a.named.is_some()) {
            return self.malformed(e, form);
        }
        let to = self.elem_named(&Ident { name: ty_name.clone(), span: ty.value.span })?;
        let number = self.number_of(&inner.value).unwrap_or(Elem::F32);
        let value = match &inner.value.kind {
            Ast::Index { .. } => self.apart(frame, &inner.value, to)?,
            Ast::Call { .. } => self.apart(frame, &inner.value, number)?,
            _ if computes(&inner.value) => self.operands(frame, &inner.value, number)?,
            _ => return self.unsupported(inner.value.span, "a `cast` of this value"),
        };
        let integers = is_integer(value.ty) && is_integer(to);
        if (integers || matches!(value.kind, ExprKind::Cast(_))) && value.ty == to {
            return Ok((value.kind, to));
        }
        match (is_integer(value.ty), is_integer(to)) {
            (true, false) if to == Elem::F64 => {
                self.unsupported(e.span, "a `cast` from integers to f64")
            }
            (_, false) if frame.number.is_some_and(|number| number != to.number()) => {
                let around = frame.number.unwrap_or(Elem::F32).name();
                self.fail(
                    Diagnostic::error(
                        "F0601",
                        e.span,
                        format!("this is {}, arithmetic on elements is {around} here", to.name()),
                    )
                    .note("there is no implicit conversion")
                    .help(format!("write `cast({around}, ..)`")),
                )
            }
            (_, false) | (true, true) => Ok((ExprKind::Cast(Box::new(value)), to)),
            (false, true) => self.fail(
                Diagnostic::error(
                    "F0601",
                    e.span,
                    format!("no `cast` from {} to {}", value.ty.name(), to.name()),
                )
                .note("rounding to an integer has no one meaning")
                .help("cast to a floating point type"),
            ),
        }
    }
}

/// Arithmetic on elements or numbers with a point, not on integers of the variables.
fn computes(e: &ast::Expr) -> bool {
    fn has_operand(e: &ast::Expr) -> bool {
        match &e.kind {
            Ast::Index { .. } | Ast::Call { .. } | Ast::Float(_) => true,
            Ast::Binary { lhs, rhs, .. } => has_operand(lhs) || has_operand(rhs),
            Ast::Neg(inner) => has_operand(inner),
            _ => false,
        }
    }
    matches!(e.kind, Ast::Binary { .. } | Ast::Neg(_)) && has_operand(e)
}

/// Variables that have a value inside of reducers only.
struct Stray<'a> {
    reduced: &'a [Handle<Var>],
    /// Of a route over which something is reduced: a reducer over one of its sources gives its other side a value, too.
    sources: &'a [Handle<Var>],
    dests: &'a [Handle<Var>],
}

impl Stray<'_> {
    /// The first that stands outside of its reducers.
    fn in_value(&self, e: &Expr, bound: &mut Vec<Handle<Var>>) -> Option<(Span, Handle<Var>)> {
        match &e.kind {
            ExprKind::Var(v) => {
                let stray = self.reduced.contains(v) || self.dests.contains(v);
                (stray && !bound.contains(v)).then_some((e.span, *v))
            }
            ExprKind::Read { index, .. } => index.iter().find_map(|i| self.in_value(i, bound)),
            ExprKind::Cast(inner) => self.in_value(inner, bound),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.in_value(lhs, bound).or_else(|| self.in_value(rhs, bound))
            }
            ExprKind::Reduce { over, body, .. } => {
                let outer = bound.len();
                bound.extend(over);
                if over.iter().any(|v| self.sources.contains(v)) {
                    bound.extend(self.dests);
                }
                let found = self.in_value(body, bound);
                bound.truncate(outer);
                found
            }
            _ => None,
        }
    }
}

/// Whether the type holds the literal: integers in their range, floats rounded, but not beyond their largest.
pub(super) fn fits(elem: Elem, value: Scalar) -> bool {
    let magnitude = match value {
        Scalar::Float(_) if is_integer(elem) => return false,
        Scalar::Int(v) if is_integer(elem) => return elem.integers().contains(&v),
        Scalar::Float(v) => v.abs(),
        Scalar::Int(v) => v.unsigned_abs() as f64,
    };
    let most = match elem {
        Elem::E4m3 => 448.0,
        Elem::E5m2 => 57344.0,
        Elem::F16 => 65504.0,
        Elem::Bf16 => f64::from(f32::from_bits(0x7f7f_0000)),
        Elem::F64 => f64::MAX,
        _ => f64::from(f32::MAX),
    };
    magnitude.is_infinite() || magnitude <= most
}

/// Names in computed indices that the left side does not give an extent.
fn deferred(frame: &Frame, args: &[ast::Expr], done: &[Option<Expr>]) -> Vec<Ident> {
    let mut out: Vec<Ident> = Vec::new();
    for (arg, _) in args.iter().zip(done).filter(|(_, d)| d.is_none()) {
        names(arg, &mut out);
    }
    out.retain(|n| !frame.vars.iter().any(|(_, v)| v.name == n.name));
    out
}

fn names(e: &ast::Expr, out: &mut Vec<Ident>) {
    match &e.kind {
        Ast::Name(name) if !out.iter().any(|n| n.name == *name) => {
            out.push(Ident { name: name.clone(), span: e.span });
        }
        Ast::Neg(inner) => names(inner, out),
        Ast::Binary { lhs, rhs, .. } => {
            names(lhs, out);
            names(rhs, out);
        }
        Ast::Index { args, .. } => args.iter().for_each(|a| names(a, out)),
        _ => {}
    }
}
