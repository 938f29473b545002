//! Statements without a route: `Y[f(v)] <- E(v)` over the variables of the left side.
//! A value is a tree: elements, literals and reducers, with arithmetic between them.

use super::checker::{Checked, Checker};
use super::dtype::{is_integer, literal};
use super::frame::Frame;
use super::hir::{self, Elem, Expr, ExprKind, Reducer, Scalar, Var};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind as Ast, Ident};

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
        let value = self.static_value(frame, target, &a.value)?;
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
                    "index an axis by plain `{}`, on the left or on the right",
                    name.name
                )),
        )
    }

    /// Arithmetic on elements, a cast of it, an integer of the variables, or a literal.
    fn static_value(
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
                    true => self.operands(frame, e),
                    false => self.value(frame, e, want),
                }?;
                self.no_stray(frame, &value)?;
                Ok(value)
            }
        }
    }

    /// Arithmetic in f32, each operation rounded.
    fn operands(&mut self, frame: &mut Frame, e: &ast::Expr) -> Checked<Expr> {
        let outer = std::mem::replace(&mut frame.in_tree, true);
        let value = self.value(frame, e, Elem::F32);
        frame.in_tree = outer;
        value
    }

    /// `sum((j, k): body)`, `max(..)`, `min(..)`: over variables that the left does not name. A variable has the
    /// extent of the axis that it indexes by itself.
    pub fn reduced(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        (by, args): (Reducer, &[Arg]),
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let [Arg { binder: Some(names), named: None, value: body }] = args else {
            let names = if args.len() > 1 { "(i, j)" } else { "j" };
            let form = format!("{}({names}: a[i, j])", by.name());
            return match (by, args) {
                (Reducer::Sum, [Arg { binder: None, named: None, .. }]) => self.fail(
                    Diagnostic::error("F0203", e.span, "this `sum` says nothing to sum over")
                        .help(format!("write `{form}`; parts that lie on different ranks are added by the placement of the input, `@ [sum/gpu, m, h]`, and `y[m, h] <- x[m, h]`")),
                ),
                _ => self.malformed(e, &form),
            };
        };
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
        self.extents(frame, names, body)?;
        let integers = is_integer(want) && !frame.in_tree;
        let body = match integers {
            true => self.summand(frame, by, body, want)?,
            false => self.operands(frame, body)?,
        };
        let mut over = Vec::new();
        for name in names {
            match frame.vars.iter().find(|(_, v)| v.name == name.name) {
                Some((var, _)) => over.push(var),
                None => return self.without_extent(name),
            }
        }
        frame.deferred.truncate(before);
        frame.reduced.extend(&over);
        let ty = if integers { want } else { Elem::F32 };
        Ok((ExprKind::Reduce { by, over, body: Box::new(body) }, ty))
    }

    /// What a sum of integers adds, exactly: an element.
    fn summand(
        &mut self,
        frame: &mut Frame,
        by: Reducer,
        body: &ast::Expr,
        want: Elem,
    ) -> Checked<Expr> {
        if by != Reducer::Sum {
            return self.unsupported(body.span, format!("`{}` of integers", by.name()));
        }
        if !matches!(body.kind, Ast::Index { .. }) {
            return self
                .unsupported(body.span, "a sum of integers other than elements as they are");
        }
        let body = self.value(frame, body, want)?;
        if matches!(body.kind, ExprKind::Read { tensor, .. } if self.hir.tensors[tensor].dtype.index.is_some())
        {
            return self.unsupported(body.span, "a sum of indices");
        }
        if is_integer(body.ty) {
            return Ok(body);
        }
        let (from, to) = (body.ty.name(), want.name());
        self.fail(
            Diagnostic::error("F0601", body.span, format!("the target is {to}, this is {from}"))
                .note("there is no implicit conversion")
                .help("declare the target f32"),
        )
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
                self.plain_indices(frame, tensor, args, &mut vec![None; args.len()], false)
            }
            _ => Ok(()),
        }
    }

    /// F0502: a reduced variable where no reducer gives it values.
    fn no_stray(&mut self, frame: &Frame, value: &Expr) -> Checked<()> {
        match stray(value, &frame.reduced, &mut Vec::new()) {
            None => Ok(()),
            Some((span, var)) => {
                let by = reducer_of(value, var).unwrap_or(Reducer::Sum);
                self.no_value_outside(frame, span, var, by)
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

    /// `cast(T, value)`: to any floating point type; an operand of arithmetic to f32.
    pub fn static_cast(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
    ) -> Checked<(ExprKind, Elem)> {
        let form = "cast(bf16, x[m, n])";
        let [ty, inner] = args else { return self.malformed(e, form) };
        let Ast::Name(ty_name) = &ty.value.kind else { return self.malformed(e, form) };
        if [ty, inner].iter().any(|a| a.binder.is_some() || a.named.is_some()) {
            return self.malformed(e, form);
        }
        let to = self.elem_named(&Ident { name: ty_name.clone(), span: ty.value.span })?;
        let value = match &inner.value.kind {
            Ast::Index { .. } => {
                let operand = std::mem::take(&mut frame.in_tree);
                let value = self.value(frame, &inner.value, to);
                frame.in_tree = operand;
                value?
            }
            Ast::Call { .. } if !frame.in_tree => self.value(frame, &inner.value, to)?,
            _ if computes(&inner.value) && !frame.in_tree => self.operands(frame, &inner.value)?,
            _ => return self.unsupported(inner.value.span, "a `cast` of this value"),
        };
        if matches!(value.kind, ExprKind::Cast(_)) {
            return self.unsupported(inner.value.span, "a `cast` of a `cast`");
        }
        if frame.in_tree && to != Elem::F32 && !is_integer(to) {
            return self.unsupported(e.span, "a `cast` to anything but f32 inside of arithmetic");
        }
        let computed = !matches!(value.kind, ExprKind::Read { .. });
        if to == Elem::F64 && (computed || is_integer(value.ty)) {
            let what = "a `cast` to f64 of anything but an element of another float type";
            return self.unsupported(e.span, what);
        }
        match (is_integer(value.ty), is_integer(to)) {
            (_, false) => Ok((ExprKind::Cast(Box::new(value)), to)),
            (true, true) => self.unsupported(e.span, "a `cast` from integer to integer"),
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

/// The first of the reduced variables that stands outside of its reducers.
fn stray(
    e: &Expr,
    reduced: &[Handle<Var>],
    bound: &mut Vec<Handle<Var>>,
) -> Option<(Span, Handle<Var>)> {
    match &e.kind {
        ExprKind::Var(v) if reduced.contains(v) && !bound.contains(v) => Some((e.span, *v)),
        ExprKind::Read { index, .. } => index.iter().find_map(|i| stray(i, reduced, bound)),
        ExprKind::Cast(inner) => stray(inner, reduced, bound),
        ExprKind::Binary { lhs, rhs, .. } => {
            stray(lhs, reduced, bound).or_else(|| stray(rhs, reduced, bound))
        }
        ExprKind::Reduce { over, body, .. } => {
            let outer = bound.len();
            bound.extend(over);
            let found = stray(body, reduced, bound);
            bound.truncate(outer);
            found
        }
        _ => None,
    }
}

/// What reduces a variable.
fn reducer_of(e: &Expr, var: Handle<Var>) -> Option<Reducer> {
    match &e.kind {
        ExprKind::Cast(inner) => reducer_of(inner, var),
        ExprKind::Binary { lhs, rhs, .. } => reducer_of(lhs, var).or_else(|| reducer_of(rhs, var)),
        ExprKind::Reduce { by, over, .. } if over.contains(&var) => Some(*by),
        ExprKind::Reduce { body, .. } => reducer_of(body, var),
        _ => None,
    }
}

/// Whether the type holds the literal: integers in their range, floats rounded, but not beyond their largest.
pub(super) fn fits(elem: Elem, value: Scalar) -> bool {
    let magnitude = match value {
        Scalar::Float(_) if is_integer(elem) => return false,
        Scalar::Int(v) if is_integer(elem) => return integer_range(elem).contains(&v),
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

/// The values of an integer type.
pub(super) fn integer_range(elem: Elem) -> std::ops::RangeInclusive<i64> {
    match elem {
        Elem::Bool => 0..=1,
        Elem::I8 => i8::MIN.into()..=i8::MAX.into(),
        Elem::I16 => i16::MIN.into()..=i16::MAX.into(),
        Elem::U16 => 0..=u16::MAX.into(),
        Elem::U8 => 0..=u8::MAX.into(),
        Elem::I32 => i32::MIN.into()..=i32::MAX.into(),
        Elem::U32 => 0..=u32::MAX.into(),
        // Numbers of a program have 64 bits and a sign.
        Elem::U64 => 0..=i64::MAX,
        _ => i64::MIN..=i64::MAX,
    }
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
