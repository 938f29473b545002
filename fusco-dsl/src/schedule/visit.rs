//! Walks over the schedule IR.

use super::ir::*;
use crate::arena::Handle;
use std::collections::BTreeSet;

impl Op {
    /// The ops nested in this one.
    pub fn body(&self) -> &[Op] {
        match self {
            Op::Tokens { body, .. }
            | Op::Each { body, .. }
            | Op::Groups { body, .. }
            | Op::Padding { body, .. }
            | Op::Once { body }
            | Op::Grid { body, .. }
            | Op::For { body, .. } => body,
            _ => &[],
        }
    }

    /// This op and all nested ones, outermost first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Op)) {
        visit(self);
        for op in self.body() {
            op.walk(visit);
        }
    }

    /// The memory this op itself touches.
    pub fn accesses(&self) -> Vec<&Access> {
        match self {
            Op::Load { from, .. } | Op::Pull { from, .. } => vec![from],
            Op::Put { value: Value::Scaled { factors, .. }, to } => {
                scalars(factors).chain([to]).collect()
            }
            Op::Put { to, .. } | Op::Fill { to, .. } => vec![to],
            Op::Tile(tile) => vec![&tile.from, &tile.to],
            Op::Reduce { factors, .. } => scalars(factors).collect(),
            _ => Vec::new(),
        }
    }
}

fn scalars(factors: &[Factor]) -> impl Iterator<Item = &Access> {
    factors.iter().filter_map(|f| match f {
        Factor::Scalar(access) => Some(access),
        Factor::Row(_) | Factor::Lit(_) => None,
    })
}

impl Ix {
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Ix)) {
        visit(self);
        match self {
            Ix::Base { group: inner, .. }
            | Ix::Live { group: inner, .. }
            | Ix::DynAt { rank: inner, .. }
            | Ix::Lookup { index: inner, .. } => inner.walk(visit),
            Ix::Element { rank, at, .. } => {
                rank.walk(visit);
                at.walk(visit);
            }
            Ix::Binary { lhs, rhs, .. } => {
                lhs.walk(visit);
                rhs.walk(visit);
            }
            _ => {}
        }
    }
}

/// What a kernel refers to.
#[derive(Default)]
pub(super) struct Uses {
    pub tensors: BTreeSet<Handle<Tensor>>,
    pub dyns: BTreeSet<Handle<Dyn>>,
}

impl Uses {
    pub fn kernel(&mut self, schedule: &Schedule, kernel: &Kernel) {
        for role in &kernel.roles {
            for op in &role.body {
                op.walk(&mut |op| self.op(schedule, op));
            }
        }
        if let Some(route) = kernel.route {
            self.ix(&schedule.routes[route].positions);
        }
    }

    fn op(&mut self, schedule: &Schedule, op: &Op) {
        if let Op::Count { route } = op {
            self.tensors.insert(schedule.routes[*route].index);
        }
        if let Op::Tokens { extent, .. } = op {
            self.ix(extent);
        }
        for access in op.accesses() {
            self.tensors.insert(access.tensor);
            self.ix(&access.rank);
            self.ix(&access.row);
        }
    }

    fn ix(&mut self, ix: &Ix) {
        ix.walk(&mut |ix| {
            if let Ix::Dyn(handle) = ix {
                self.dyns.insert(*handle);
            }
        });
    }
}
