//! Index arithmetic of the schedule with this launch's numbers filled in.

use super::access::Element;
use super::affine::{Affine, Piece};
use super::plan::{Pairs, Table, unpack};
use fusco_dsl::schedule::ir::{IxOp, PairPart};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// An `Ix` on one rank: `Me`, dyns and constants are numbers, tables are pointers.
#[derive(Clone)]
pub(crate) enum Number {
    Lit(i64),
    Var(usize),
    Table(Table, Box<Number>),
    /// A table that data may index: outside its range it is 0 and the launch fails (see [`wild`]).
    Const(Arc<[i64]>, Box<Number>),
    Computed(Table, Box<Number>),
    /// The group or the slot of a tuple, or -1.
    Pair(Pairs, Box<Number>, PairPart),
    Element(Box<Element>),
    Shift(Box<Number>, u32),
    Mask(Box<Number>, i64),
    Add(Box<(Number, Number)>),
    Sub(Box<(Number, Number)>),
    Mul(Box<(Number, Number)>),
    Div(Box<(Number, Number)>),
    Rem(Box<(Number, Number)>),
}

impl Number {
    /// Constants fold; a division by a power of two is a shift: both round toward minus infinity.
    pub(crate) fn binary(op: IxOp, a: Number, b: Number) -> Number {
        if let (Number::Lit(a), Number::Lit(b)) = (&a, &b) {
            return Number::Lit(op.apply(*a, *b));
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

    /// An entry of a table known at bind.
    pub(crate) fn lookup(table: Arc<[i64]>, at: Number) -> Number {
        let known = match at {
            Number::Lit(i) => usize::try_from(i).ok().and_then(|i| table.get(i)).copied(),
            _ => None,
        };
        known.map_or_else(|| Number::Const(table, Box::new(at)), Number::Lit)
    }

    #[inline]
    pub(crate) fn get(&self, vars: &[i64]) -> i64 {
        match self {
            Number::Lit(v) => *v,
            Number::Var(i) => vars[*i],
            Number::Table(table, at) => i64::from(table[at.get(vars) as usize].load(Relaxed)),
            Number::Const(table, at) => found(at.get(vars), table.len(), |i| table[i]),
            Number::Computed(table, at) => {
                found(at.get(vars), table.len(), |i| i64::from(table[i].load(Relaxed) as i32))
            }
            Number::Pair(pairs, tuple, part) => {
                let pair = usize::try_from(tuple.get(vars)).ok().and_then(|i| pairs.get(i));
                let pair = pair.and_then(|pair| unpack(pair.load(Relaxed)));
                pair.map_or(-1, |(group, slot)| match part {
                    PairPart::Group => group,
                    PairPart::Slot => slot,
                })
            }
            Number::Element(element) => element.get(vars),
            Number::Shift(a, n) => a.get(vars) >> n,
            Number::Mask(a, m) => a.get(vars) & m,
            Number::Add(p) => p.0.get(vars).wrapping_add(p.1.get(vars)),
            Number::Sub(p) => p.0.get(vars).wrapping_sub(p.1.get(vars)),
            Number::Mul(p) => p.0.get(vars).wrapping_mul(p.1.get(vars)),
            Number::Div(p) => IxOp::Div.apply(p.0.get(vars), p.1.get(vars)),
            Number::Rem(p) => IxOp::Rem.apply(p.0.get(vars), p.1.get(vars)),
        }
    }

    /// What it grows by with a variable, and for how many points from the one at hand that holds.
    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        match self {
            Number::Lit(_) => Piece::still(),
            Number::Var(i) => Piece { step: i64::from(*i == var), points: i64::MAX },
            Number::Add(p) => p.0.piece(var, vars).plus(1, p.1.piece(var, vars)),
            Number::Sub(p) => p.0.piece(var, vars).plus(-1, p.1.piece(var, vars)),
            Number::Mul(p) => match (p.0.piece(var, vars), p.1.piece(var, vars)) {
                (a, b) if a.step == 0 => Piece::still().plus(p.0.get(vars), b).within(a),
                (a, b) if b.step == 0 => Piece::still().plus(p.1.get(vars), a).within(b),
                _ => Piece::point(),
            },
            Number::Div(p) => match p.1 {
                Number::Lit(n) if n > 0 => p.0.piece(var, vars).divided(p.0.get(vars), n),
                _ if self.reads(var) => Piece::point(),
                _ => Piece::still(),
            },
            Number::Rem(p) => match p.1 {
                Number::Lit(n) if n > 0 => p.0.piece(var, vars).wrapped(p.0.get(vars), n),
                _ if self.reads(var) => Piece::point(),
                _ => Piece::still(),
            },
            Number::Shift(a, n) => a.piece(var, vars).divided(a.get(vars), 1 << n),
            Number::Mask(a, m) => a.piece(var, vars).wrapped(a.get(vars), m + 1),
            Number::Table(_, a)
            | Number::Const(_, a)
            | Number::Computed(_, a)
            | Number::Pair(_, a, _) => a.piece(var, vars).steady(),
            Number::Element(element) => element.piece(var, vars),
        }
    }

    /// Whether it depends on two variables only through `outer * extent + inner`.
    pub(crate) fn joins(&self, outer: usize, inner: (usize, i64)) -> bool {
        match self {
            Number::Div(p) | Number::Rem(p) => {
                let [a, b] = [&p.0, &p.1].map(Affine::of);
                a.joins(outer, inner) && b.joins(outer, inner)
            }
            Number::Shift(a, _)
            | Number::Mask(a, _)
            | Number::Table(_, a)
            | Number::Const(_, a)
            | Number::Pair(_, a, _)
            | Number::Computed(_, a) => Affine::of(a).joins(outer, inner),
            Number::Element(element) => element.joins(outer, inner),
            _ => !self.reads(outer) && !self.reads(inner.0),
        }
    }

    /// Whether its value may change with a variable.
    pub(crate) fn reads(&self, var: usize) -> bool {
        match self {
            Number::Lit(_) => false,
            Number::Var(i) => *i == var,
            Number::Element(element) => element.reads(var),
            Number::Table(_, a)
            | Number::Const(_, a)
            | Number::Computed(_, a)
            | Number::Pair(_, a, _)
            | Number::Shift(a, _)
            | Number::Mask(a, _) => a.reads(var),
            Number::Add(p) | Number::Sub(p) | Number::Mul(p) | Number::Div(p) | Number::Rem(p) => {
                p.0.reads(var) || p.1.reads(var)
            }
        }
    }
}

#[inline]
fn found(at: i64, len: usize, get: impl Fn(usize) -> i64) -> i64 {
    match usize::try_from(at) {
        Ok(i) if i < len => get(i),
        _ => wild(|| format!("an index of the launch is {at}, outside 0..{len}")),
    }
}

thread_local! {
    static WILD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes that data led an index out of its table; the value is 0 until the op ends with the error.
#[cold]
pub(crate) fn wild(message: impl Fn() -> String) -> i64 {
    WILD.with_borrow_mut(|w| {
        w.get_or_insert_with(message);
    });
    0
}

/// The first wild index of this thread since the last call.
pub(crate) fn take_wild() -> Option<String> {
    WILD.take()
}

#[cfg(test)]
impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Lit(v) => write!(f, "{v}"),
            Number::Var(v) => write!(f, "v{v}"),
            Number::Shift(a, n) => write!(f, "({a:?} >> {n})"),
            Number::Mask(a, n) => write!(f, "({a:?} & {n})"),
            Number::Add(p) => write!(f, "({:?} + {:?})", p.0, p.1),
            Number::Sub(p) => write!(f, "({:?} - {:?})", p.0, p.1),
            Number::Mul(p) => write!(f, "({:?} * {:?})", p.0, p.1),
            Number::Div(p) => write!(f, "({:?} / {:?})", p.0, p.1),
            Number::Rem(p) => write!(f, "({:?} % {:?})", p.0, p.1),
            Number::Table(_, a) | Number::Const(_, a) | Number::Computed(_, a) => {
                write!(f, "table[{a:?}]")
            }
            Number::Pair(_, a, part) => write!(f, "{part:?}[{a:?}]"),
            Number::Element(_) => f.write_str("element"),
        }
    }
}
