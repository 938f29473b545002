//! Expressions along one variable: all else is fixed, the innermost loop is flat.

use super::scope::{Scope, mentions, overflow};
use super::{Array, Error, deal, number};
use crate::arena::Handle;
use crate::sema::hir::{BinOp, Elem, Expr, ExprKind, Reducer, Scalar, Tensor, Var};

/// The variable along which a row runs, and its extent; without one a row has one element.
pub(super) type Lane = Option<(Handle<Var>, usize)>;

pub(super) enum Row {
    Float(Vec<f32>),
    Int(Vec<i64>),
}

/// Where the elements of a row lie in an array.
pub(super) enum Place {
    Step { base: usize, step: usize },
    Each(Vec<usize>),
}

impl Place {
    pub fn at(&self, i: usize) -> usize {
        match self {
            Place::Step { base, step } => base + i * step,
            Place::Each(list) => list[i],
        }
    }
}

/// A sum over a source of the route: the values of its variables for each kept tuple.
pub(super) type Terms<'a> = Option<Routed<'a>>;

#[derive(Clone, Copy)]
pub(super) struct Routed<'a> {
    /// What the sum runs over.
    pub var: Handle<Var>,
    /// The variables that a term gives values.
    pub bound: &'a [usize],
    /// Those values, term by term.
    pub values: &'a [i64],
}

impl Routed<'_> {
    /// Each term as variables and their values.
    pub fn terms(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, i64)>> {
        let each = self.values.chunks_exact(self.bound.len());
        each.map(|values| self.bound.iter().copied().zip(values.iter().copied()))
    }
}

pub(super) type Extents<'a> = dyn Fn(Handle<Var>, &[i64]) -> Result<i64, Error> + 'a;

pub(super) struct Rows<'a> {
    pub scope: Scope<'a>,
    pub lane: Lane,
    pub terms: Terms<'a>,
    /// The extents of variables that a sum may run over.
    pub extent: &'a Extents<'a>,
}

impl Rows<'_> {
    pub fn len(&self) -> usize {
        self.lane.map_or(1, |(_, n)| n)
    }

    pub fn place(
        &self,
        name: &str,
        array: &Array,
        index: &[Expr],
        values: &mut [i64],
    ) -> Result<Place, Error> {
        let Some((lane, n)) = self.lane else {
            let base = self.flat(name, array, index, values)?;
            return Ok(Place::Step { base, step: 0 });
        };
        let plain = |e: &Expr| matches!(e.kind, ExprKind::Var(v) if v == lane);
        let strided = |(axis, e): (usize, &Expr)| match plain(e) {
            true => array.strided(axis),
            false => !mentions(e, lane),
        };
        if !index.iter().enumerate().all(strided) {
            let mut list = Vec::with_capacity(n);
            for i in 0..n {
                values[lane.index()] = i as i64;
                list.push(self.flat(name, array, index, values)?);
            }
            return Ok(Place::Each(list));
        }
        // The last element is checked first, then the rest lie between.
        values[lane.index()] = n as i64 - 1;
        self.flat(name, array, index, values)?;
        values[lane.index()] = 0;
        let base = self.flat(name, array, index, values)?;
        let step = (0..index.len()).filter(|a| plain(&index[*a])).map(|a| array.stride(a)).sum();
        Ok(Place::Step { base, step })
    }

    fn flat(
        &self,
        name: &str,
        array: &Array,
        index: &[Expr],
        values: &[i64],
    ) -> Result<usize, Error> {
        let mut at = Vec::with_capacity(index.len());
        for i in index {
            let none = || Error::Shape(format!("an index of {name} is none, variables {values:?}"));
            at.push(self.scope.int(i, values)?.ok_or_else(none)?);
        }
        array.at(&at).ok_or_else(|| Error::outside(name, &at, &array.shape))
    }

    pub fn row(&self, expr: &Expr, values: &mut [i64]) -> Result<Row, Error> {
        if !number::is_float(expr.ty) {
            return self.ints(expr, values).map(Row::Int);
        }
        self.floats(expr, values).map(Row::Float)
    }

    fn ints(&self, expr: &Expr, values: &mut [i64]) -> Result<Vec<i64>, Error> {
        let mut out = Vec::with_capacity(self.len());
        for i in 0..self.len() {
            if let Some((lane, _)) = self.lane {
                values[lane.index()] = i as i64;
            }
            out.push(self.int(expr, values)?);
        }
        Ok(out)
    }

    /// An integer, or the sum of integers.
    fn int(&self, expr: &Expr, values: &mut [i64]) -> Result<i64, Error> {
        let none = || Error::Unsupported("a value that may be none".into());
        let ExprKind::Reduce { by: Reducer::Sum, over, body } = &expr.kind else {
            return self.scope.int(expr, values)?.ok_or_else(none);
        };
        let mut sum = 0i64;
        each(self.extent, over, values, &mut |values| {
            let term = self.scope.int(body, values)?.ok_or_else(none)?;
            sum = sum.checked_add(term).ok_or_else(overflow)?;
            Ok(())
        })?;
        Ok(sum)
    }

    fn floats(&self, expr: &Expr, values: &mut [i64]) -> Result<Vec<f32>, Error> {
        Ok(match &expr.kind {
            ExprKind::Scalar(Scalar::Int(v)) => vec![*v as f32; self.len()],
            ExprKind::Scalar(Scalar::Float(v)) => vec![*v as f32; self.len()],
            ExprKind::Read { tensor, index } => self.read(*tensor, index, values)?,
            ExprKind::Binary { op, lhs, rhs } => {
                let (mut a, b) = (self.operand(lhs, values)?, self.operand(rhs, values)?);
                a.iter_mut().zip(&b).try_for_each(|(a, b)| binary(*op, a, *b))?;
                self.round(expr.ty, a)
            }
            ExprKind::Cast(inner) => {
                let row = self.operand(inner, values)?;
                self.round(expr.ty, row)
            }
            ExprKind::Reduce { by, over, body } => self.reduce(*by, over, body, values)?,
            // An integer that a float expression names.
            _ => self.ints(expr, values)?.into_iter().map(|v| v as f32).collect(),
        })
    }

    /// The row as f32, integers converted.
    fn operand(&self, expr: &Expr, values: &mut [i64]) -> Result<Vec<f32>, Error> {
        match &expr.kind {
            ExprKind::Read { tensor, index } => self.read(*tensor, index, values),
            _ => Ok(match self.row(expr, values)? {
                Row::Float(row) => row,
                Row::Int(row) => row.into_iter().map(|v| v as f32).collect(),
            }),
        }
    }

    fn read(
        &self,
        tensor: Handle<Tensor>,
        index: &[Expr],
        values: &mut [i64],
    ) -> Result<Vec<f32>, Error> {
        let array = self.scope.array(tensor)?;
        let name = &self.scope.program.tensors[tensor].name;
        let n = self.len();
        if let Some(parts) = deal::parts(&self.scope, &self.scope.program.tensors[tensor])? {
            return self.parts(parts, array, (name, index), values);
        }
        Ok(match (self.place(name, array, index, values)?, array.elem) {
            (Place::Step { base, step: 1 }, Elem::F32) => array.bytes()[base * 4..(base + n) * 4]
                .as_chunks()
                .0
                .iter()
                .map(|c| f32::from_le_bytes(*c))
                .collect(),
            (Place::Step { base, step: 1 }, Elem::Bf16) => array.bytes()[base * 2..(base + n) * 2]
                .as_chunks()
                .0
                .iter()
                .map(|c| f32::from_bits(u32::from(u16::from_le_bytes(*c)) << 16))
                .collect(),
            (Place::Step { base, step: 0 }, _) => vec![array.get_f32(base); n],
            (place, _) => (0..n).map(|i| array.get_f32(place.at(i))).collect(),
        })
    }

    /// The sum of the parts, ascending, from +0.
    fn parts(
        &self,
        parts: i64,
        array: &Array,
        (name, index): (&str, &[Expr]),
        values: &mut [i64],
    ) -> Result<Vec<f32>, Error> {
        let mut acc = vec![0f32; self.len()];
        let each = array.len() / usize::try_from(parts).unwrap_or(1).max(1);
        let one = Array::outline(array.elem, array.shape[1..].to_vec());
        let place = self.place(name, &one, index, values)?;
        for part in 0..usize::try_from(parts).unwrap_or(0) {
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc += array.get_f32(part * each + place.at(i));
            }
        }
        Ok(acc)
    }

    fn round(&self, to: Elem, mut row: Vec<f32>) -> Vec<f32> {
        if to != Elem::F32 {
            for x in &mut row {
                *x = number::from_f32(to, *x).map_or(*x, |bits| number::to_f32(to, bits));
            }
        }
        row
    }

    /// Ascending: from +0 with one fused multiply-add a term, or the largest or least from an infinity.
    fn reduce(
        &self,
        by: Reducer,
        over: &[Handle<Var>],
        body: &Expr,
        values: &mut [i64],
    ) -> Result<Vec<f32>, Error> {
        let start = match by {
            Reducer::Sum => 0.0,
            Reducer::Max => f32::NEG_INFINITY,
            Reducer::Min => f32::INFINITY,
        };
        let mut acc = vec![start; self.len()];
        match self.terms {
            Some(routed) if over.contains(&routed.var) => {
                for term in routed.terms() {
                    term.for_each(|(v, x)| values[v] = x);
                    self.add(by, body, values, &mut acc)?;
                }
            }
            _ => {
                each(self.extent, over, values, &mut |values| self.add(by, body, values, &mut acc))?
            }
        }
        Ok(acc)
    }

    fn add(
        &self,
        by: Reducer,
        body: &Expr,
        values: &mut [i64],
        acc: &mut [f32],
    ) -> Result<(), Error> {
        if by != Reducer::Sum {
            let a = self.operand(body, values)?;
            acc.iter_mut().zip(&a).for_each(|(acc, a)| {
                *acc = if by == Reducer::Max { larger(*acc, *a) } else { -larger(-*acc, -*a) };
            });
        } else if let ExprKind::Binary { op: BinOp::Mul, lhs, rhs } = &body.kind {
            let (a, b) = (self.operand(lhs, values)?, self.operand(rhs, values)?);
            acc.iter_mut().zip(a.iter().zip(&b)).for_each(|(acc, (a, b))| {
                *acc = f32::mul_add(*a, *b, *acc);
            });
        } else {
            let a = self.operand(body, values)?;
            acc.iter_mut().zip(&a).for_each(|(acc, a)| *acc += a);
        }
        Ok(())
    }
}

/// Visits all values of the variables, the last one's innermost.
pub(super) fn each(
    extent: &Extents,
    over: &[Handle<Var>],
    values: &mut [i64],
    visit: &mut dyn FnMut(&mut [i64]) -> Result<(), Error>,
) -> Result<(), Error> {
    let [var, inner @ ..] = over else { return visit(values) };
    for x in 0..extent(*var, values)? {
        values[var.index()] = x;
        each(extent, inner, values, visit)?;
    }
    Ok(())
}

fn larger(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => a,
        (_, true) => b,
        _ if a > b || (a == b && a.is_sign_positive()) => a,
        _ => b,
    }
}

fn binary(op: BinOp, a: &mut f32, b: f32) -> Result<(), Error> {
    match op {
        BinOp::Add => *a += b,
        BinOp::Sub => *a -= b,
        BinOp::Mul => *a *= b,
        BinOp::Div => *a /= b,
        BinOp::Rem => return Err(overflow()),
    }
    Ok(())
}
