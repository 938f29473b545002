//! Statements without a route: `Y[f(v)] <- E(v)` over the variables of the left side.

use super::checker::{Checked, Checker};
use super::dtype::{is_integer, literal};
use super::frame::Frame;
use super::hir::{self, Elem, Expr, ExprKind, Scalar};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
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
        self.arity(target, left.index.len(), left.span)?;
        frame.is_static = true;
        let mut index = vec![None; left.index.len()];
        self.plain_indices(frame, target, &left.index, &mut index, true)?;
        frame.left = index
            .iter()
            .flatten()
            .filter_map(|e: &Expr| if let ExprKind::Var(v) = e.kind { Some(v) } else { None })
            .collect();
        self.no_diagonal(frame, left)?;
        let mut computed = deferred(frame, &left.index, &index);
        computed.retain(|n| !self.is_size(&n.name));
        frame.deferred = computed;
        let value = self.static_value(frame, target, &a.value)?;
        self.no_extent_missing(frame)?;
        self.other_indices(frame, target, &left.index, &mut index)?;
        let index: Vec<Expr> = index.into_iter().flatten().collect();
        self.no_collision(frame, target, &index)?;
        self.in_range(frame, target, &index)?;
        Ok((index, value))
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

    /// A read, a cast of one, an integer of the variables, or a literal.
    fn static_value(
        &mut self,
        frame: &mut Frame,
        target: Handle<hir::Tensor>,
        e: &ast::Expr,
    ) -> Checked<Expr> {
        let want = self.hir.tensors[target].dtype.elem;
        match literal(e) {
            Some(value) => self.literal_value(target, value, e),
            None => self.value(frame, e, want),
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

    /// `cast(T, x[..])`: to any floating point type.
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
        if !matches!(inner.value.kind, Ast::Index { .. } | Ast::Call { .. }) {
            return self.unsupported(inner.value.span, "a `cast` of anything but a read");
        }
        let value = self.value(frame, &inner.value, to)?;
        if !matches!(value.kind, ExprKind::Read { .. }) {
            return self.unsupported(inner.value.span, "a `cast` of anything but a read");
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
        _ => f64::from(f32::MAX),
    };
    magnitude.is_infinite() || magnitude <= most
}

/// The values of an integer type.
pub(super) fn integer_range(elem: Elem) -> std::ops::RangeInclusive<i64> {
    match elem {
        Elem::I8 => i8::MIN.into()..=i8::MAX.into(),
        Elem::U8 => 0..=u8::MAX.into(),
        Elem::I32 => i32::MIN.into()..=i32::MAX.into(),
        Elem::U32 => 0..=u32::MAX.into(),
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
