//! What an expression may name.

use super::{Array, Error, Inputs, Relation};
use crate::arena::Handle;
use crate::sema::hir::{Expr, ExprKind, Extent, Program, Route, Size, Tensor, Var};
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
    pub fn size(&self, size: &Size, at: &[i64]) -> Result<i64, Error> {
        self.inputs.size(self.program, size, at)
    }
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
        ExprKind::Reduce { body, .. } => mentions(body, var),
        ExprKind::Count { group, source, .. } => *group == var || *source == Some(var),
        ExprKind::Offset { group, .. } => *group == var,
        ExprKind::Dropped { source, .. } => *source == var,
    }
}

/// Whether a size reads the coordinate of an axis.
pub(super) fn names(size: &Size, axis: usize) -> bool {
    match size {
        Size::Coord(i) => *i == axis,
        Size::Dyn { index, .. } | Size::Read { index, .. } => index.iter().any(|s| names(s, axis)),
        Size::Binary { lhs, rhs, .. } => names(lhs, axis) || names(rhs, axis),
        Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => false,
    }
}

/// Whether a size depends on a launch.
pub(super) fn dynamic(size: &Size) -> bool {
    match size {
        Size::Dyn { .. } => true,
        Size::Binary { lhs, rhs, .. } => dynamic(lhs) || dynamic(rhs),
        _ => false,
    }
}
