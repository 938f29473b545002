//! The value of an integer expression.

use super::Error;
use super::digits::Digits;
use super::scope::{Scope, overflow};
use crate::arena::Handle;
use crate::sema::hir::{Expr, ExprKind, Scalar, Step, Tensor};

impl Scope<'_> {
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
            ExprKind::Count { tensor, group, source: None } => {
                let relation = self.counts(&self.program.tensors[*tensor])?;
                Some(nth(relation.map(|r| &r.live[..]), values[group.index()])?)
            }
            ExprKind::Count { group, source: Some(source), .. } => {
                Some(self.rows_from(expr, values[source.index()], values[group.index()])?)
            }
            ExprKind::Offset { tensor, group } => {
                let tensor = &self.program.tensors[*tensor];
                Some(Digits::new(self, tensor)?.first_row(values[group.index()])?)
            }
            ExprKind::Dropped { route, source } => {
                Some(nth(Some(&self.plan(*route)?.dropped[..]), values[source.index()])?)
            }
            _ => return Err(Error::Unsupported("this integer expression".into())),
        })
    }

    /// Whether none of the indices at which the value reads is none; terms of reducers are there or not by themselves.
    pub fn is_there(&self, value: &Expr, values: &[i64]) -> Result<bool, Error> {
        Ok(match &value.kind {
            ExprKind::Read { index, .. } => self.are_there(index, values)?,
            ExprKind::Binary { lhs, rhs, .. } => {
                self.is_there(lhs, values)? && self.is_there(rhs, values)?
            }
            ExprKind::Cast(inner) => self.is_there(inner, values)?,
            _ => true,
        })
    }

    /// Whether none of the indices is none.
    pub fn are_there(&self, index: &[Expr], values: &[i64]) -> Result<bool, Error> {
        for i in index.iter().filter(|i| i.first_read().is_some()) {
            if self.int(i, values)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Kept tuples of a group with this value of the first source.
    fn rows_from(&self, count: &Expr, source: i64, group: i64) -> Result<i64, Error> {
        let Some(handle) = self.program.plan_of(count) else { return Ok(0) };
        let route = &self.program.routes[handle];
        let group_var = route.steps.iter().find_map(|step| match step {
            Step::Slot { group, .. } => Some(*group),
            _ => None,
        });
        let at = route.dests.iter().position(|d| Some(*d) == group_var);
        let at = at.map(|at| route.sources.len() + at);
        let is = |tuple: &[i64]| tuple[0] == source && at.is_some_and(|at| tuple[at] == group);
        Ok(self.plan(handle)?.tuples.iter().filter(|t| is(t)).count() as i64)
    }

    /// A number that a condition compares: an element as it is, whether it is none or not.
    pub fn compared(&self, expr: &Expr, values: &[i64]) -> Result<i64, Error> {
        let none = || Error::Unsupported("a condition on an index that is none".into());
        let ExprKind::Read { tensor, index } = &expr.kind else {
            return self.int(expr, values)?.ok_or_else(none);
        };
        let at = index.iter().map(|i| self.int(i, values)?.ok_or_else(none));
        let at = at.collect::<Result<Vec<_>, _>>()?;
        let (info, array) = (&self.program.tensors[*tensor], self.array(*tensor)?);
        let flat = array.at(&at).ok_or_else(|| Error::outside(&info.name, &at, &array.shape))?;
        Ok(array.get_i64(flat))
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
