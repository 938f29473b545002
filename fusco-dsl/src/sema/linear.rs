//! Sums of `variable * size`: taken apart, and whether two assignments can give one number.

use super::checker::Checker;
use super::frame::Frame;
use super::hir::{BinOp, Expr, ExprKind, Size, Var, VarExtent};
use super::poly::Poly;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use std::collections::BTreeSet;

/// offset + sum of variable * size, each variable once.
pub(super) struct Linear {
    pub terms: Vec<(Handle<Var>, Size)>,
    pub offset: Size,
}

/// The expression as a linear form; `None` if it is not one, or a variable is subtracted.
pub(super) fn of(e: &Expr) -> Option<Linear> {
    match &e.kind {
        ExprKind::Var(v) => Some(Linear { terms: vec![(*v, Size::Lit(1))], offset: Size::Lit(0) }),
        ExprKind::Size(size) => Some(Linear { terms: Vec::new(), offset: size.clone() }),
        ExprKind::Binary { op: BinOp::Add, lhs, rhs } => {
            let (l, mut out) = (of(lhs)?, of(rhs)?);
            out.offset = binary(BinOp::Add, l.offset, out.offset);
            let mut terms = l.terms;
            for (var, times) in out.terms {
                match terms.iter_mut().find(|(v, _)| *v == var) {
                    Some(term) => term.1 = binary(BinOp::Add, term.1.clone(), times),
                    None => terms.push((var, times)),
                }
            }
            Some(Linear { terms, offset: out.offset })
        }
        ExprKind::Binary { op: BinOp::Sub, lhs, rhs } => {
            let (l, r) = (of(lhs)?, of(rhs)?);
            r.terms
                .is_empty()
                .then(|| Linear { offset: binary(BinOp::Sub, l.offset.clone(), r.offset), ..l })
        }
        ExprKind::Binary { op: BinOp::Mul, lhs, rhs } => {
            let (l, r) = (of(lhs)?, of(rhs)?);
            let (linear, by) =
                if r.terms.is_empty() { (l, r.offset) } else { (r, l.offset_only()?) };
            let scaled = |s: Size| binary(BinOp::Mul, s, by.clone());
            Some(Linear {
                offset: scaled(linear.offset),
                terms: linear.terms.into_iter().map(|(v, t)| (v, scaled(t))).collect(),
            })
        }
        _ => None,
    }
}

impl Linear {
    fn offset_only(self) -> Option<Size> {
        self.terms.is_empty().then_some(self.offset)
    }
}

/// The operation, without additions of 0 and factors of 1.
fn binary(op: BinOp, l: Size, r: Size) -> Size {
    match (op, &l, &r) {
        (BinOp::Add, Size::Lit(0), _) | (BinOp::Mul, Size::Lit(1), _) => r,
        (BinOp::Add | BinOp::Sub, _, Size::Lit(0)) | (BinOp::Mul, _, Size::Lit(1)) => l,
        _ => super::hir::fold(op, l, r),
    }
}

/// Whether the variable is the index of another axis by itself.
pub(super) fn alone(index: &[Expr], axis: usize, var: Handle<Var>) -> bool {
    let mut others = index.iter().enumerate().filter(|(i, _)| *i != axis);
    others.any(|(_, e)| matches!(e.kind, ExprKind::Var(v) if v == var))
}

/// Whether a variable of this index is part of another computed one.
pub(super) fn elsewhere(index: &[Expr], axis: usize, linear: &Linear) -> bool {
    let others = index.iter().enumerate().filter(|(i, _)| *i != axis);
    others
        .filter_map(|(_, e)| of(e))
        .any(|other| other.terms.iter().any(|(v, _)| linear.terms.iter().any(|(own, _)| own == v)))
}

/// Whether some order of the terms is a mixed radix: each factor at least the number of values below it.
/// Terms are (factor, extent).
pub(super) fn nested(terms: &[(Poly, Poly)], reach: Poly) -> bool {
    if terms.is_empty() {
        return true;
    }
    (0..terms.len()).any(|i| {
        let (times, extent) = &terms[i];
        let rest: Vec<(Poly, Poly)> =
            terms.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, t)| t.clone()).collect();
        times.minus(&reach).at_least_zero()
            && nested(&rest, reach.plus(&times.times(&extent.minus(&Poly::lit(1)))))
    })
}

/// Points that are compared one by one, at most.
const MOST_POINTS: i64 = 1 << 20;

/// Whether no two assignments give one number. Terms are (factor, extent).
pub(super) fn never_meet(terms: &[(i64, i64)]) -> bool {
    let polys: Vec<(Poly, Poly)> = terms
        .iter()
        .filter(|(_, n)| *n > 1)
        .map(|(times, n)| (Poly::lit(*times), Poly::lit(*n)))
        .collect();
    if nested(&polys, Poly::lit(1)) {
        return true;
    }
    let points = terms.iter().try_fold(1i64, |n, t| n.checked_mul(t.1)).unwrap_or(i64::MAX);
    let mut seen = BTreeSet::new();
    points <= MOST_POINTS
        && (0..points).all(|number| {
            let mut rest = number;
            seen.insert(terms.iter().rev().fold(0i128, |value, (times, extent)| {
                let digit = rest % extent;
                rest /= extent;
                value + i128::from(digit) * i128::from(*times)
            }))
        })
}

/// F0205, with the factor that would do where two literals show it.
pub(super) fn collision(
    checker: &Checker,
    frame: &Frame,
    linear: &Linear,
    terms: &[(Poly, Poly)],
    span: Span,
) -> Diagnostic {
    let name = |i: usize| frame.vars[linear.terms[i].0].name.clone();
    let small = (0..terms.len()).find_map(|i| {
        let factor = terms[i].0.constant()?;
        let below = (0..terms.len()).find(|j| {
            *j != i
                && terms[*j].0.constant() == Some(1)
                && terms[*j].1.constant().is_some_and(|n| n > factor)
        })?;
        (factor >= 1).then_some((i, below, factor))
    });
    let shown = show(checker, frame, linear);
    let Some((outer, inner, factor)) = small else {
        return Diagnostic::error("F0205", span, "index may collide")
            .note(format!("two assignments may give {shown} one value"))
            .help("give each variable a factor of at least the number of values below it");
    };
    let extent = checker.show(frame, extent_size(&frame.vars[linear.terms[inner].0]));
    let (outer, inner) = (name(outer), name(inner));
    Diagnostic::error(
        "F0205",
        span,
        format!(
            "index may collide: {factor} is smaller than the extent {extent} of `{inner}`; meant `{outer} * {extent} + {inner}`?"
        ),
    )
    .note(format!("{shown} is {factor} at {outer}=0, {inner}={factor} and at {outer}=1, {inner}=0"))
    .help(format!("write `{outer} * {extent} + {inner}`"))
    .fixed((terms.len() == 2 && linear.offset == Size::Lit(0)).then(|| Fix {
        span,
        replacement: format!("{outer} * {extent} + {inner}"),
    }))
}

/// `j * 16 + o + 1`
pub(super) fn show(checker: &Checker, frame: &Frame, linear: &Linear) -> String {
    let mut parts: Vec<String> = linear
        .terms
        .iter()
        .map(|(v, times)| match times {
            Size::Lit(1) => frame.vars[*v].name.clone(),
            Size::Binary { .. } => {
                format!("{} * ({})", frame.vars[*v].name, checker.show(frame, times))
            }
            _ => format!("{} * {}", frame.vars[*v].name, checker.show(frame, times)),
        })
        .collect();
    if linear.offset != Size::Lit(0) || parts.is_empty() {
        parts.push(checker.show(frame, &linear.offset));
    }
    parts.join(" + ")
}

/// How many values the variable has at a time.
pub(super) fn extent_size(var: &Var) -> &Size {
    match &var.extent {
        VarExtent::Fixed(size) | VarExtent::Counted { rows: size, .. } => size,
        VarExtent::Ragged(_) => &Size::Lit(i64::MAX),
    }
}
