//! Index arithmetic that folds what is known.

use super::ir::{Ix, IxOp};
use crate::layout::Table;
use crate::sema::hir;

/// This rank's coordinate on a mesh axis of a tensor's mesh. Ranks outside the mesh take no part, so the
/// outermost axis needs no remainder.
pub(super) fn coordinate_of_me(table: &Table, weight: i64, size: i64) -> Ix {
    let above = quotient(minus(Ix::Me, table.first), weight);
    if weight * size == table.ranks { above } else { rest(above, size) }
}

/// What a composite owner adds to the rank; `parts` are (size, weight) of its mesh axes, major first.
pub(super) fn owner_on_mesh(owner: &Ix, parts: &[(i64, i64)]) -> Ix {
    let whole: i64 = parts.iter().map(|(size, _)| size).product();
    let (mut below, mut out) = (whole, Ix::Lit(0));
    for (size, weight) in parts {
        below /= size;
        let digit = quotient(owner.clone(), below);
        let digit = if below * size == whole { digit } else { rest(digit, *size) };
        out = plus(out, times(digit, *weight));
    }
    out
}

pub(super) fn cut(value: Ix, weight: i64, radix: i64, top: bool) -> Ix {
    let above = quotient(value, weight);
    if top { above } else { rest(above, radix) }
}

pub(super) fn plus(a: Ix, b: Ix) -> Ix {
    match (a, b) {
        (Ix::Lit(a), Ix::Lit(b)) => Ix::Lit(a + b),
        (a, Ix::Lit(0)) => a,
        (a, b) => Ix::binary(IxOp::Add, a, b),
    }
}

pub(super) fn minus(a: Ix, b: i64) -> Ix {
    Ix::binary(IxOp::Sub, a, Ix::Lit(b))
}

pub(super) fn times(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(v * n),
        Ix::Binary { op: IxOp::Add, lhs, rhs } => plus(times(*lhs, n), times(*rhs, n)),
        Ix::Binary { op: IxOp::Mul, lhs, rhs } if matches!(*rhs, Ix::Lit(_)) => {
            let Ix::Lit(m) = *rhs else { return Ix::Lit(0) };
            times(*lhs, m * n)
        }
        a => Ix::binary(IxOp::Mul, a, Ix::Lit(n)),
    }
}

pub(super) fn quotient(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(IxOp::Div.apply(v, n)),
        a => Ix::binary(IxOp::Div, a, Ix::Lit(n)),
    }
}

pub(super) fn rest(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(IxOp::Rem.apply(v, n)),
        a => Ix::binary(IxOp::Rem, a, Ix::Lit(n)),
    }
}

/// An offset known to be a multiple of `n`, in units of `n`.
pub(super) fn divide(offset: Ix, n: i64) -> Ix {
    match offset {
        _ if n == 1 => offset,
        Ix::Lit(v) => Ix::Lit(v / n),
        Ix::Binary { op: IxOp::Add, lhs, rhs } => plus(divide(*lhs, n), divide(*rhs, n)),
        Ix::Binary { op: IxOp::Mul, lhs, rhs } => match *rhs {
            Ix::Lit(stride) if stride % n == 0 => times(*lhs, stride / n),
            rhs => quotient(Ix::Binary { op: IxOp::Mul, lhs, rhs: Box::new(rhs) }, n),
        },
        other => quotient(other, n),
    }
}

pub(super) fn ix_op(op: hir::BinOp) -> IxOp {
    match op {
        hir::BinOp::Add => IxOp::Add,
        hir::BinOp::Sub => IxOp::Sub,
        hir::BinOp::Mul => IxOp::Mul,
        hir::BinOp::Div => IxOp::Div,
        hir::BinOp::Rem => IxOp::Rem,
    }
}
