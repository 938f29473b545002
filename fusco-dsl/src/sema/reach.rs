//! Computed indices against numbers: inside the axis, and one source for each element.

use super::hir::{Assign, Bindings, Expr, ExprKind, Extent, Program, Size, Tensor, VarExtent};
use super::linear::{self, Linear, Meet};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};

/// F0205 and F0206 for what params decide; the rest was decided by `check`. F0601 for integers.
pub(super) fn indices(program: &Program, stmt: &Assign, bound: &Bindings, out: &mut Diagnostics) {
    out.0.extend(super::range::overflow(program, stmt, bound));
    inside(program, stmt, (stmt.target, &stmt.index), bound, out);
    reads(program, stmt, &stmt.value, bound, out);
    for compared in stmt.filter.iter().flat_map(|filter| filter.operands()) {
        reads(program, stmt, compared, bound, out);
    }
    for (axis, e) in stmt.index.iter().enumerate() {
        let Some(mut linear) = linear::of(e) else { continue };
        linear.terms.retain(|(v, _)| !linear::alone(&stmt.index, axis, *v));
        if let Some(d) = collision(program, stmt, e, &linear, bound) {
            out.push(d);
        }
    }
}

fn reads(program: &Program, stmt: &Assign, e: &Expr, bound: &Bindings, out: &mut Diagnostics) {
    match &e.kind {
        ExprKind::Read { tensor, index } => {
            inside(program, stmt, (*tensor, index), bound, out);
            index.iter().for_each(|i| reads(program, stmt, i, bound, out));
        }
        ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => {
            reads(program, stmt, inner, bound, out);
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            reads(program, stmt, lhs, bound, out);
            reads(program, stmt, rhs, bound, out);
        }
        _ => {}
    }
}

/// Values of the terms: (name, factor, extent). `None` if one is not known at bind.
fn numbers(
    program: &Program,
    stmt: &Assign,
    linear: &Linear,
    bound: &Bindings,
) -> Option<Vec<(String, i64, i64)>> {
    let one = |(var, times): &(_, Size)| {
        let info = &stmt.vars[*var];
        let VarExtent::Fixed(size) = &info.extent else { return None };
        let extent = program.eval(size, bound).filter(|n| *n >= 1)?;
        Some((info.name.clone(), program.eval(times, bound)?, extent))
    };
    linear.terms.iter().map(one).collect()
}

fn inside(
    program: &Program,
    stmt: &Assign,
    (tensor, index): (Handle<Tensor>, &[Expr]),
    bound: &Bindings,
    out: &mut Diagnostics,
) {
    let info = &program.tensors[tensor];
    for (axis, e) in index.iter().enumerate().filter(|(_, e)| !matches!(e.kind, ExprKind::Var(_))) {
        let Some(linear) = linear::of(e) else { continue };
        let (Extent::Fixed(size), Some(terms)) =
            (&info.axes[axis].extent, numbers(program, stmt, &linear, bound))
        else {
            continue;
        };
        let (Some(extent), Some(least)) =
            (program.eval(size, bound), program.eval(&linear.offset, bound))
        else {
            continue;
        };
        let most = terms
            .iter()
            .try_fold(least, |sum, (_, times, n)| sum.checked_add(times.checked_mul(n - 1)?));
        if least >= 0 && most.is_some_and(|m| m < extent) {
            continue;
        }
        let at = if least < 0 { Some(least) } else { most };
        let shown = at.map_or("past 2^63".to_string(), |m| m.to_string());
        let last: Vec<String> = terms
            .iter()
            .map(|(v, _, n)| format!("{v}={}", if least < 0 { 0 } else { n - 1 }))
            .collect();
        let axis = &info.axes[axis].name;
        out.push(
            Diagnostic::error(
                "F0206",
                e.span,
                format!("index reaches {shown}, outside 0..{extent}"),
            )
            .label(format!("axis `{axis}` of `{}` has extent {extent}", info.name))
            .note(format!("it is {shown} at {}", last.join(", ")))
            .help("bind other numbers, or make the axis larger"),
        );
    }
}

/// Two assignments that share an element are the counter-example.
fn collision(
    program: &Program,
    stmt: &Assign,
    e: &Expr,
    linear: &Linear,
    bound: &Bindings,
) -> Option<Diagnostic> {
    let terms = numbers(program, stmt, linear, bound)?;
    let digits: Vec<(i64, i64)> = terms.iter().map(|(_, times, n)| (*times, *n)).collect();
    let note = match linear::meet(&digits) {
        Meet::Never => return None,
        Meet::Unknown => "its factors are no mixed radix of the extents".to_string(),
        Meet::At(a, b) => {
            let at = |point: &[i64]| {
                let names = terms.iter().zip(point).map(|((name, ..), at)| format!("{name}={at}"));
                names.collect::<Vec<_>>().join(", ")
            };
            format!("it is equal at {} and at {}", at(&a), at(&b))
        }
    };
    Some(
        Diagnostic::error("F0205", e.span, "index may collide")
            .label("two sources would write one element")
            .note(note)
            .help("bind other numbers, or give each variable a factor of at least the span of those below it"),
    )
}
