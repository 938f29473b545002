//! Index arithmetic of the schedule with this launch's numbers filled in.

use super::plan::Table;
use fusco_dsl::schedule::ir::IxOp;
use std::sync::atomic::Ordering::Relaxed;

/// An `Ix` on one rank: `Me`, dyns and constants are numbers, tables are pointers.
#[derive(Clone)]
pub(crate) enum Number {
    Lit(i64),
    Var(usize),
    Table(Table, Box<Number>),
    Shift(Box<Number>, u32),
    Mask(Box<Number>, i64),
    Add(Box<(Number, Number)>),
    Sub(Box<(Number, Number)>),
    Mul(Box<(Number, Number)>),
    Div(Box<(Number, Number)>),
    Rem(Box<(Number, Number)>),
}

impl Number {
    /// Constants fold; a division of a non-negative number by a power of two is a shift.
    pub(crate) fn binary(op: IxOp, a: Number, b: Number) -> Number {
        if let (Number::Lit(a), Number::Lit(b)) = (&a, &b) {
            return Number::Lit(apply(op, *a, *b));
        }
        match (op, &b) {
            (IxOp::Div, Number::Lit(n)) if *n > 0 && n & (n - 1) == 0 => {
                Number::Shift(Box::new(a), n.trailing_zeros())
            }
            (IxOp::Rem, Number::Lit(n)) if *n > 0 && n & (n - 1) == 0 => {
                Number::Mask(Box::new(a), n - 1)
            }
            (IxOp::Add, _) => Number::Add(Box::new((a, b))),
            (IxOp::Sub, _) => Number::Sub(Box::new((a, b))),
            (IxOp::Mul, _) => Number::Mul(Box::new((a, b))),
            (IxOp::Div, _) => Number::Div(Box::new((a, b))),
            (IxOp::Rem, _) => Number::Rem(Box::new((a, b))),
        }
    }

    #[inline]
    pub(crate) fn get(&self, vars: &[i64]) -> i64 {
        match self {
            Number::Lit(v) => *v,
            Number::Var(i) => vars[*i],
            Number::Table(table, at) => i64::from(table[at.get(vars) as usize].load(Relaxed)),
            Number::Shift(a, n) => a.get(vars) >> n,
            Number::Mask(a, m) => a.get(vars) & m,
            Number::Add(p) => p.0.get(vars).wrapping_add(p.1.get(vars)),
            Number::Sub(p) => p.0.get(vars).wrapping_sub(p.1.get(vars)),
            Number::Mul(p) => p.0.get(vars).wrapping_mul(p.1.get(vars)),
            Number::Div(p) => apply(IxOp::Div, p.0.get(vars), p.1.get(vars)),
            Number::Rem(p) => apply(IxOp::Rem, p.0.get(vars), p.1.get(vars)),
        }
    }
}

/// A division by zero gives 0: the verifier's bounds exclude it, and a wild index is refused at its access.
pub(crate) fn apply(op: IxOp, a: i64, b: i64) -> i64 {
    match op {
        IxOp::Add => a.wrapping_add(b),
        IxOp::Sub => a.wrapping_sub(b),
        IxOp::Mul => a.wrapping_mul(b),
        IxOp::Div => a.checked_div(b).unwrap_or(0),
        IxOp::Rem => a.checked_rem(b).unwrap_or(0),
    }
}
