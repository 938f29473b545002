//! What an expression may name, and the value of an integer expression.

use super::{Array, Error, Inputs, Relation, place};
use crate::arena::Handle;
use crate::sema::hir::{Expr, ExprKind, Extent, Program, Route, Scalar, Tensor, Var};
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub program: &'a Program,
    pub inputs: &'a Inputs,
    pub plans: &'a BTreeMap<String, Relation>,
    /// What earlier statements of the entry wrote.
    pub made: &'a BTreeMap<Handle<Tensor>, Array>,
}

impl<'a> Scope<'a> {
    pub fn array(&self, tensor: Handle<Tensor>) -> Result<&'a Array, Error> {
        match self.made.get(&tensor) {
            Some(array) => Ok(array),
            None => self.inputs.tensor(&self.program.tensors[tensor].name),
        }
    }

    pub fn plan(&self, route: Handle<Route>) -> Result<&'a Relation, Error> {
        let name = &self.program.routes[route].name;
        self.plans.get(name).ok_or_else(|| Error::Missing(format!("a plan of route {name}")))
    }

    /// The relation that counts a tensor's ragged axis.
    pub fn counts(&self, tensor: &Tensor) -> Result<Option<&'a Relation>, Error> {
        let route = tensor.axes.iter().find_map(|a| match a.extent {
            Extent::Ragged { route, .. } => Some(route),
            Extent::Fixed(_) | Extent::Counted { .. } => None,
        });
        route.map(|r| self.plan(r)).transpose()
    }

    /// A size at coordinates.
    pub fn size(&self, size: &crate::sema::hir::Size, at: &[i64]) -> Result<i64, Error> {
        self.inputs.size(self.program, size, at)
    }

    /// An integer expression; `None` if an index tensor says none.
    pub fn int(&self, expr: &Expr, values: &[i64]) -> Result<Option<i64>, Error> {
        Ok(match &expr.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Some(*v),
            ExprKind::Size(size) => Some(self.inputs.size(self.program, size, values)?),
            ExprKind::Var(var) => Some(values[var.index()]),
            ExprKind::Binary { op, lhs, rhs } => {
                match (self.int(lhs, values)?, self.int(rhs, values)?) {
                    (Some(a), Some(b)) => Some(op.apply(a, b).ok_or_else(overflow)?),
                    _ => None,
                }
            }
            ExprKind::Read { tensor, index } => {
                let mut at = Vec::new();
                for i in index {
                    match self.int(i, values)? {
                        Some(v) => at.push(v),
                        None => return Ok(None),
                    }
                }
                self.read_int(*tensor, at)?
            }
            ExprKind::Count { tensor, group } => {
                let relation = self.counts(&self.program.tensors[*tensor])?;
                Some(nth(relation.map(|r| &r.live[..]), values[group.index()])?)
            }
            ExprKind::Offset { tensor, group } => {
                let tensor = &self.program.tensors[*tensor];
                Some(place::first_row(self, tensor, values[group.index()])?)
            }
            ExprKind::Dropped { route, source } => {
                Some(nth(Some(&self.plan(*route)?.dropped[..]), values[source.index()])?)
            }
            _ => return Err(Error::Unsupported("this integer expression".into())),
        })
    }

    fn read_int(&self, tensor: Handle<Tensor>, at: Vec<i64>) -> Result<Option<i64>, Error> {
        let info = &self.program.tensors[tensor];
        let array = self.array(tensor)?;
        let flat = array.at(&at).ok_or_else(|| Error::outside(&info.name, &at, &array.shape))?;
        let value = array.get_i64(flat);
        let Some(index) = &info.dtype.index else { return Ok(Some(value)) };
        if index.none == Some(value) {
            return Ok(None);
        }
        let bound = self.inputs.size(self.program, &index.bound, &[])?;
        if (0..bound).contains(&value) {
            return Ok(Some(value));
        }
        Err(Error::Index { tensor: info.name.clone(), at, value, bound })
    }
}

fn nth(list: Option<&[i64]>, i: i64) -> Result<i64, Error> {
    list.zip(usize::try_from(i).ok())
        .and_then(|(l, i)| l.get(i).copied())
        .ok_or_else(|| Error::Shape(format!("no segment {i}")))
}

pub(super) fn overflow() -> Error {
    Error::Shape("an integer expression overflows or divides by zero".into())
}

/// Whether an expression names a variable.
pub(super) fn mentions(expr: &Expr, var: Handle<Var>) -> bool {
    match &expr.kind {
        ExprKind::Scalar(_) | ExprKind::Size(_) => false,
        ExprKind::Var(v) => *v == var,
        ExprKind::Read { index, .. } => index.iter().any(|i| mentions(i, var)),
        ExprKind::Binary { lhs, rhs, .. } => mentions(lhs, var) || mentions(rhs, var),
        ExprKind::Cast(inner) => mentions(inner, var),
        ExprKind::Sum { body, .. } => mentions(body, var),
        ExprKind::Count { group, .. } | ExprKind::Offset { group, .. } => *group == var,
        ExprKind::Dropped { source, .. } => *source == var,
    }
}
