//! The meaning of an entry without rounding: the loop nests of [`super::run`] in f64, for checks of adjoints
//! (`<A x, y> = <x, A* y>`). Casts are identities, sums are not fused, integers are as in the exact run.

use super::nest::Nest;
use super::row::{Lane, Terms, each};
use super::scope::{Scope, overflow};
use super::shape::shape;
use super::{Error, Inputs, number, relation};
use crate::arena::Handle;
use crate::sema::hir::{BinOp, Expr, ExprKind, Io, Program, Reducer, Scalar, Tensor, Var};
use std::collections::BTreeMap;

/// A float tensor: its logical extents, parts first, and its elements.
struct Reals {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// Runs an entry on `tensors`: the float inputs by name, in logical order, `dyn` and ragged axes padded to their
/// longest as in [`Inputs`], which has the integer tensors. Leaves every float tensor that the entry writes.
/// Routes are planned here, whether the entry plans or takes them.
///
/// # Errors
/// Missing or wrong inputs; as [`super::run_entry`].
pub fn run_entry_f64(
    program: &Program,
    entry: &str,
    inputs: &Inputs,
    tensors: &BTreeMap<String, Vec<f64>>,
) -> Result<BTreeMap<String, Vec<f64>>, Error> {
    inputs.check(program)?;
    let entry = program.entry(entry).ok_or_else(|| Error::Missing(format!("entry {entry}")))?;
    let mut plans = BTreeMap::new();
    for route in entry.plans.iter().chain(&entry.takes) {
        plans.insert(program.routes[*route].name.clone(), relation(program, *route, inputs)?);
    }
    let made = BTreeMap::new();
    let scope = Scope { program, inputs, plans: &plans, made: &made };
    let mut reals = given(&scope, tensors)?;
    let mut written = Vec::new();
    for stmt in &entry.stmts {
        let info = &program.tensors[stmt.target];
        if !number::is_float(info.dtype.elem) {
            continue;
        }
        let kept = (written.contains(&stmt.target) || info.io == Io::InOut)
            .then(|| reals.remove(&stmt.target));
        let mut target = match kept.flatten() {
            Some(kept) => kept,
            None if info.io == Io::InOut => return Err(Error::Missing(info.name.clone())),
            None => blank(&scope, info)?,
        };
        let nest = Nest { scope, stmt };
        let mut store = |lane: Lane, terms: Terms, values: &mut [i64]| {
            let of = Evaluator { scope, nest: &nest, reals: &reals, terms };
            for i in 0..lane.map_or(1, |(_, n)| n) {
                if let Some((lane, _)) = lane {
                    values[lane.index()] = i as i64;
                }
                let value = of.value(&stmt.value, values)?;
                let at = of.at(&stmt.index, values)?;
                let flat = flat(&info.name, &target.shape, &at)?;
                target.data[flat] = value;
            }
            Ok(())
        };
        nest.run(&mut store, &mut |_, _| ())?;
        reals.insert(stmt.target, target);
        written.push(stmt.target);
    }
    let name = |h: &Handle<Tensor>| program.tensors[*h].name.clone();
    Ok(written.iter().filter_map(|h| Some((name(h), reals.remove(h)?.data))).collect())
}

/// The inputs, with the extents that they must fill.
fn given(
    scope: &Scope,
    tensors: &BTreeMap<String, Vec<f64>>,
) -> Result<BTreeMap<Handle<Tensor>, Reals>, Error> {
    let mut reals = BTreeMap::new();
    for (name, data) in tensors {
        let missing = || Error::Missing(format!("tensor {name}"));
        let handle = scope.program.tensor(name).ok_or_else(missing)?;
        let tensor = &scope.program.tensors[handle];
        let mut shape = shape(scope, tensor)?;
        if let Some(parts) = scope.inputs.parts(scope.program, tensor)? {
            shape.insert(0, usize::try_from(parts).map_err(|_| overflow())?);
        }
        if shape.iter().product::<usize>() != data.len() {
            return Err(Error::Shape(format!("{} numbers for {name} of {shape:?}", data.len())));
        }
        reals.insert(handle, Reals { shape, data: data.clone() });
    }
    Ok(reals)
}

/// A tensor before any assignment: its fill, or 0.
fn blank(scope: &Scope, tensor: &Tensor) -> Result<Reals, Error> {
    let shape = shape(scope, tensor)?;
    let fill = match tensor.attrs.fill {
        None => 0.0,
        Some(Scalar::Int(v)) => v as f64,
        Some(Scalar::Float(v)) => v,
    };
    let data = vec![fill; shape.iter().product()];
    Ok(Reals { shape, data })
}

fn flat(name: &str, shape: &[usize], at: &[i64]) -> Result<usize, Error> {
    let inside = at.iter().zip(shape).all(|(c, n)| usize::try_from(*c).is_ok_and(|c| c < *n));
    if !inside || at.len() != shape.len() {
        return Err(Error::outside(name, at, shape));
    }
    Ok(at.iter().zip(shape).fold(0, |flat, (c, n)| flat * n + *c as usize))
}

struct Evaluator<'a> {
    scope: Scope<'a>,
    nest: &'a Nest<'a>,
    reals: &'a BTreeMap<Handle<Tensor>, Reals>,
    terms: Terms<'a>,
}

impl Evaluator<'_> {
    fn value(&self, expr: &Expr, values: &mut [i64]) -> Result<f64, Error> {
        Ok(match &expr.kind {
            ExprKind::Scalar(Scalar::Float(v)) => *v,
            ExprKind::Cast(inner) => self.value(inner, values)?,
            ExprKind::Read { tensor, index }
                if number::is_float(self.scope.program.tensors[*tensor].dtype.elem) =>
            {
                self.read(*tensor, index, values)?
            }
            ExprKind::Binary { op, lhs, rhs } if number::is_float(expr.ty) => {
                let (a, b) = (self.value(lhs, values)?, self.value(rhs, values)?);
                match op {
                    BinOp::Add => a + b,
                    BinOp::Sub => a - b,
                    BinOp::Mul => a * b,
                    BinOp::Div => a / b,
                    BinOp::Rem => return Err(overflow()),
                }
            }
            ExprKind::Reduce { by: Reducer::Sum, over, body, .. } => {
                self.sum(over, body, values)?
            }
            ExprKind::Reduce { by, .. } => {
                return Err(Error::Unsupported(format!("`{}` is not linear", by.name())));
            }
            _ => {
                let none = || Error::Unsupported("a value that may be none".into());
                self.scope.int(expr, values)?.ok_or_else(none)? as f64
            }
        })
    }

    fn sum(&self, over: &[Handle<Var>], body: &Expr, values: &mut [i64]) -> Result<f64, Error> {
        let mut sum = 0.0;
        let extent = |var, at: &[i64]| self.nest.extent(var, at);
        each((&extent, self.terms), over, values, &mut |values| {
            sum += self.value(body, values)?;
            Ok(())
        })?;
        Ok(sum)
    }

    fn at(&self, index: &[Expr], values: &[i64]) -> Result<Vec<i64>, Error> {
        let none = || Error::Shape(format!("an index is none, variables {values:?}"));
        index.iter().map(|i| self.scope.int(i, values)?.ok_or_else(none)).collect()
    }

    /// An element; of a sum, over its parts.
    fn read(&self, tensor: Handle<Tensor>, index: &[Expr], values: &[i64]) -> Result<f64, Error> {
        let info = &self.scope.program.tensors[tensor];
        let missing = || Error::Missing(format!("tensor {}", info.name));
        let reals = self.reals.get(&tensor).ok_or_else(missing)?;
        let at = self.at(index, values)?;
        let Some(parts) = self.scope.inputs.parts(self.scope.program, info)? else {
            return Ok(reals.data[flat(&info.name, &reals.shape, &at)?]);
        };
        let mut sum = 0.0;
        for part in 0..parts {
            let whole: Vec<i64> = [part].iter().chain(&at).copied().collect();
            sum += reals.data[flat(&info.name, &reals.shape, &whole)?];
        }
        Ok(sum)
    }
}
