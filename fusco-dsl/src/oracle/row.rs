//! Expressions along one variable: all else is fixed, the innermost loop is flat.

use super::scope::{Scope, mentions, overflow};
use super::{Array, Error, deal, number};
use crate::arena::Handle;
use crate::sema::hir::{BinOp, Elem, Expr, ExprKind, Reducer, Scalar, Tensor, Var, Within};
use std::collections::BTreeMap;

/// The variable along which a row runs, and its extent; without one a row has one element.
pub(super) type Lane = Option<(Handle<Var>, usize)>;

pub(super) enum Row {
    Float(Vec<f32>),
    Double(Vec<f64>),
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

/// Where rows lie, by the coordinates that a `sum.tree` groups by.
pub(super) type Groups<'a> = dyn Fn(Within, &Expr, &[i64]) -> Result<i64, Error> + 'a;

pub(super) struct Rows<'a> {
    pub scope: Scope<'a>,
    pub lane: Lane,
    pub terms: Terms<'a>,
    /// The extents of variables that a sum may run over.
    pub extent: &'a Extents<'a>,
    /// The group of a term.
    pub group: &'a Groups<'a>,
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
        match expr.ty.number() {
            Elem::I64 => self.ints(expr, values).map(Row::Int),
            Elem::F64 => self.doubles(expr, values).map(Row::Double),
            _ => self.floats(expr, values).map(Row::Float),
        }
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

    /// An integer, or arithmetic on integers and their sums.
    fn int(&self, expr: &Expr, values: &mut [i64]) -> Result<i64, Error> {
        match &expr.kind {
            ExprKind::Reduce { by, over, body, .. } => {
                let mut acc = match by {
                    Reducer::Sum | Reducer::First => 0,
                    Reducer::Max => *expr.ty.integers().start(),
                    Reducer::Min => *expr.ty.integers().end(),
                };
                self.each((over, body), values, &mut |values| {
                    let term = self.int(body, values)?;
                    acc = match by {
                        Reducer::Sum => acc.checked_add(term).ok_or_else(overflow)?,
                        Reducer::Max => acc.max(term),
                        Reducer::Min => acc.min(term),
                        Reducer::First => term,
                    };
                    Ok(())
                })?;
                Ok(acc)
            }
            ExprKind::Binary { op, lhs, rhs } => {
                op.apply(self.int(lhs, values)?, self.int(rhs, values)?).ok_or_else(overflow)
            }
            // An index may be none: it is read as it is.
            ExprKind::Cast(inner) => {
                let value = match &inner.kind {
                    ExprKind::Read { .. } => self.scope.compared(inner, values)?,
                    _ => self.int(inner, values)?,
                };
                Some(value).filter(|v| expr.ty.integers().contains(v)).ok_or_else(overflow)
            }
            _ => {
                let none = || Error::Unsupported("a value that may be none".into());
                self.scope.int(expr, values)?.ok_or_else(none)
            }
        }
    }

    fn doubles(&self, expr: &Expr, values: &mut [i64]) -> Result<Vec<f64>, Error> {
        Ok(match &expr.kind {
            ExprKind::Scalar(Scalar::Int(v)) => vec![*v as f64; self.len()],
            ExprKind::Scalar(Scalar::Float(v)) => vec![*v; self.len()],
            ExprKind::Binary { op, lhs, rhs } => {
                let (mut a, b) = (self.doubles(lhs, values)?, self.doubles(rhs, values)?);
                a.iter_mut().zip(&b).try_for_each(|(a, b)| binary(*op, a, *b))?;
                a
            }
            ExprKind::Reduce { by, over, body, .. } => {
                let mut acc = vec![start(*by); self.len()];
                self.each((over, body), values, &mut |values| {
                    if let (Reducer::Sum, ExprKind::Binary { op: BinOp::Mul, lhs, rhs }) =
                        (by, &body.kind)
                    {
                        let (a, b) = (self.doubles(lhs, values)?, self.doubles(rhs, values)?);
                        let terms = a.iter().zip(&b);
                        acc.iter_mut().zip(terms).for_each(|(acc, (a, b))| {
                            *acc = f64::mul_add(*a, *b, *acc);
                        });
                        return Ok(());
                    }
                    let a = self.doubles(body, values)?;
                    acc.iter_mut().zip(&a).for_each(|(acc, a)| *acc = joined(*by, *acc, *a));
                    Ok(())
                })?;
                acc
            }
            ExprKind::Read { tensor, index } => self.read_doubles(*tensor, index, values)?,
            // Other numbers get to f64 through f32.
            ExprKind::Cast(inner) if inner.ty == Elem::F64 => self.doubles(inner, values)?,
            ExprKind::Cast(inner) => {
                self.operand(inner, values)?.into_iter().map(f64::from).collect()
            }
            _ => self.ints(expr, values)?.into_iter().map(|v| v as f64).collect(),
        })
    }

    fn read_doubles(
        &self,
        tensor: Handle<Tensor>,
        index: &[Expr],
        values: &mut [i64],
    ) -> Result<Vec<f64>, Error> {
        let array = self.scope.array(tensor)?;
        let info = &self.scope.program.tensors[tensor];
        if array.elem != Elem::F64 || deal::parts(&self.scope, info)?.is_some() {
            return Ok(self.read(tensor, index, values)?.into_iter().map(f64::from).collect());
        }
        let place = self.place(&info.name, array, index, values)?;
        Ok((0..self.len()).map(|i| f64::from_bits(array.get_bits(place.at(i)))).collect())
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
            ExprKind::Reduce { within: Some(within), over, body, .. } => {
                self.tree(*within, over, body, values)?
            }
            ExprKind::Reduce { by, over, body, .. } => self.reduce(*by, over, body, values)?,
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
                Row::Double(row) => row.into_iter().map(|v| v as f32).collect(),
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
        let mut acc = vec![start(by) as f32; self.len()];
        self.each((over, body), values, &mut |values| self.add(by, body, values, &mut acc))?;
        Ok(acc)
    }

    /// Terms of one group as a sum has them; then the groups that have any, ascending, each rounded first.
    fn tree(
        &self,
        within: Within,
        over: &[Handle<Var>],
        body: &Expr,
        values: &mut [i64],
    ) -> Result<Vec<f32>, Error> {
        let mut groups: BTreeMap<i64, Vec<f32>> = BTreeMap::new();
        self.each((over, body), values, &mut |values| {
            let group = (self.group)(within, body, values)?;
            let acc = groups.entry(group).or_insert_with(|| vec![0f32; self.len()]);
            self.add(Reducer::Sum, body, values, acc)
        })?;
        let mut total = vec![0f32; self.len()];
        for partial in groups.into_values() {
            let partial = self.round(within.partial, partial);
            total.iter_mut().zip(partial).for_each(|(total, partial)| *total += partial);
        }
        Ok(total)
    }

    /// Visits the terms that there are.
    fn each(
        &self,
        (over, body): (&[Handle<Var>], &Expr),
        values: &mut [i64],
        visit: &mut dyn FnMut(&mut [i64]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        each((self.extent, self.terms), over, values, &mut |values| {
            if self.scope.is_there(body, values)? { visit(values) } else { Ok(()) }
        })
    }

    fn add(
        &self,
        by: Reducer,
        body: &Expr,
        values: &mut [i64],
        acc: &mut [f32],
    ) -> Result<(), Error> {
        if let (Reducer::Sum, ExprKind::Binary { op: BinOp::Mul, lhs, rhs }) = (by, &body.kind) {
            let (a, b) = (self.operand(lhs, values)?, self.operand(rhs, values)?);
            acc.iter_mut().zip(a.iter().zip(&b)).for_each(|(acc, (a, b))| {
                *acc = f32::mul_add(*a, *b, *acc);
            });
        } else {
            let a = self.operand(body, values)?;
            acc.iter_mut().zip(&a).for_each(|(acc, a)| *acc = joined(by, *acc, *a));
        }
        Ok(())
    }
}

/// Visits all values of the variables, the last one's innermost; of a source that a route sums over, the kept tuples.
pub(super) fn each(
    of: (&Extents, Terms),
    over: &[Handle<Var>],
    values: &mut [i64],
    visit: &mut dyn FnMut(&mut [i64]) -> Result<(), Error>,
) -> Result<(), Error> {
    let [var, inner @ ..] = over else { return visit(values) };
    if let Some(routed) = of.1.filter(|t| t.var == *var) {
        for term in routed.terms() {
            term.for_each(|(v, x)| values[v] = x);
            each(of, inner, values, visit)?;
        }
        return Ok(());
    }
    for x in 0..(of.0)(*var, values)? {
        values[var.index()] = x;
        each(of, inner, values, visit)?;
    }
    Ok(())
}

/// Of no terms.
fn start(by: Reducer) -> f64 {
    match by {
        Reducer::Sum | Reducer::First => 0.0,
        Reducer::Max => f64::NEG_INFINITY,
        Reducer::Min => f64::INFINITY,
    }
}

/// What a reduction is with one more term.
fn joined<T: Number>(by: Reducer, acc: T, term: T) -> T {
    match by {
        Reducer::Sum => acc + term,
        Reducer::Max => larger(acc, term),
        Reducer::Min => -larger(-acc, -term),
        // Statements take the first term where they bind its variables.
        Reducer::First => term,
    }
}

/// f32 or f64.
trait Number:
    Copy
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    fn is_positive(self) -> bool;
}

impl Number for f32 {
    fn is_positive(self) -> bool {
        self.is_sign_positive()
    }
}

impl Number for f64 {
    fn is_positive(self) -> bool {
        self.is_sign_positive()
    }
}

#[expect(clippy::eq_op, reason = "NaN alone differs from itself")]
fn larger<T: Number>(a: T, b: T) -> T {
    match (a != a, b != b) {
        (true, _) => a,
        (_, true) => b,
        _ if a > b || (a == b && a.is_positive()) => a,
        _ => b,
    }
}

fn binary<T: Number>(op: BinOp, a: &mut T, b: T) -> Result<(), Error> {
    *a = match op {
        BinOp::Add => *a + b,
        BinOp::Sub => *a - b,
        BinOp::Mul => *a * b,
        BinOp::Div => *a / b,
        BinOp::Rem => return Err(overflow()),
    };
    Ok(())
}
