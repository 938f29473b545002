//! Walks over the schedule IR.

use super::ir::*;
use crate::arena::Handle;
use std::collections::BTreeSet;

impl Op {
    /// The ops nested in this one.
    pub fn body(&self) -> &[Op] {
        match self {
            Op::Tokens { body, .. }
            | Op::Peers { body, .. }
            | Op::Each { body, .. }
            | Op::Groups { body, .. }
            | Op::Padding { body, .. }
            | Op::Once { body }
            | Op::If { body, .. }
            | Op::Summed { body }
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

    /// Every index expression of this op itself, nested ops left out.
    pub fn walk_own<'a>(&'a self, visit: &mut impl FnMut(&'a Ix)) {
        for access in self.accesses() {
            access.rank.walk(visit);
            access.row.walk(visit);
        }
        match self {
            Op::Put { value: Value::Sum { value, .. }, .. } => {
                for fold in value.folds() {
                    walk_points(&None, &fold.guards, visit);
                    fold.parts.iter().for_each(|p| p.of.walk(visit));
                    fold.tuples.iter().for_each(|t| walk_tuples(t, visit));
                }
            }
            Op::Put { value: Value::Int(ix), .. } | Op::Positions { owner: ix, .. } => {
                ix.walk(visit)
            }
            Op::Claim(claims) | Op::Distinct(claims) => {
                walk_points(&None, &claims.guards, visit);
                claims.value.walk(visit);
            }
            Op::Tokens { extent, .. } => extent.walk(visit),
            Op::Each { tuples, parts, .. } => {
                walk_tuples(tuples, visit);
                parts.iter().for_each(|p| p.of.walk(visit));
            }
            Op::If { guards, .. } => walk_points(&None, guards, visit),
            Op::Grid { share, guards, .. } => walk_points(share, guards, visit),
            Op::Tile(tile) => walk_points(&tile.share, &tile.guards, visit),
            Op::Prefix { guards, count, .. } => {
                walk_points(&None, guards, visit);
                count.walk(visit);
            }
            _ => {}
        }
    }

    /// The guards of this op's points.
    pub fn guards(&self) -> &[Guard] {
        match self {
            Op::Grid { guards, .. } | Op::Prefix { guards, .. } => guards,
            Op::Tile(tile) => &tile.guards,
            Op::Claim(claims) | Op::Distinct(claims) => &claims.guards,
            _ => &[],
        }
    }

    /// The memory this op itself touches.
    pub fn accesses(&self) -> Vec<&Access> {
        match self {
            Op::Load { from, .. } | Op::Pull { from, .. } => vec![from],
            Op::Put { value: Value::Scaled { factors, .. }, to } => {
                scalars(factors).chain([to]).collect()
            }
            Op::Put { value: Value::Sum { value, .. }, to } => {
                value.reads().into_iter().map(|(access, _)| access).chain([to]).collect()
            }
            Op::Put { to, .. } | Op::Fill { to, .. } => vec![to],
            Op::Tile(tile) => vec![&tile.from, &tile.to],
            Op::Reduce { factors, .. } => scalars(factors).collect(),
            _ => Vec::new(),
        }
    }
}

impl Op {
    /// The tensors of which this op itself reads elements, and whether those of this rank.
    pub fn reads(&self) -> BTreeSet<(Handle<Tensor>, bool)> {
        let written: Option<&Access> = match self {
            Op::Put { to, .. } | Op::Fill { to, .. } => Some(to),
            Op::Tile(tile) => Some(&tile.to),
            _ => None,
        };
        let is_written = |a: &&Access| written.is_some_and(|to| std::ptr::eq(*a, to));
        let accesses = self.accesses().into_iter().filter(|a| !is_written(a));
        let mut out: BTreeSet<_> = accesses.map(|a| (a.tensor, a.rank == Ix::Me)).collect();
        self.walk_own(&mut |ix| {
            if let Ix::Element { tensor, rank, .. } = ix {
                out.insert((*tensor, **rank == Ix::Me));
            }
        });
        out
    }
}

fn walk_tuples<'a>(tuples: &'a Kept, visit: &mut impl FnMut(&'a Ix)) {
    tuples.rank.walk(visit);
    tuples.position.walk(visit);
    if let Some(only) = &tuples.only {
        only.operands().into_iter().for_each(|n| n.walk(visit));
    }
    tuples.once.iter().for_each(|once| once.walk(visit));
}

fn walk_points<'a>(share: &'a Option<Share>, guards: &'a [Guard], visit: &mut impl FnMut(&'a Ix)) {
    share.iter().for_each(|s| s.index.walk(visit));
    for guard in guards {
        match guard {
            Guard::Below { value, limit } => {
                value.walk(visit);
                limit.walk(visit);
            }
            Guard::Equal { value, to } => {
                value.walk(visit);
                to.walk(visit);
            }
            Guard::Valid { value, .. }
            | Guard::NonZero { value }
            | Guard::Kept { tuple: value, .. } => value.walk(visit),
            Guard::Holds(filter) => filter.operands().into_iter().for_each(|n| n.walk(visit)),
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
            | Ix::Pair { tuple: inner, .. }
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

    /// What a condition of a launch reads.
    pub fn when(&mut self, when: &When) {
        match when {
            When::Compare { lhs, rhs, .. } => {
                self.ix(lhs);
                self.ix(rhs);
            }
            When::And(a, b) | When::Or(a, b) => {
                self.when(a);
                self.when(b);
            }
        }
    }

    fn op(&mut self, schedule: &Schedule, op: &Op) {
        if let Op::Count { route } = op {
            let route_of = &schedule.routes[*route];
            self.tensors.extend(route_of.lookups.iter().map(|l| l.tensor));
            route_of.lookups.iter().for_each(|l| self.ix(&l.at));
            self.ix(&route_of.group);
            self.tensors.extend(schedule.owners_of(*route).map(|(_, _, read)| read.tensor));
        }
        if let Op::FillAll { tensor, .. } = op {
            self.tensors.insert(*tensor);
        }
        for access in op.accesses() {
            self.tensors.insert(access.tensor);
        }
        op.walk_own(&mut |ix| self.ix(ix));
    }

    fn ix(&mut self, ix: &Ix) {
        ix.walk(&mut |ix| match ix {
            Ix::Dyn(handle) | Ix::DynAt { of: handle, .. } => {
                self.dyns.insert(*handle);
            }
            Ix::Element { tensor, .. } => {
                self.tensors.insert(*tensor);
            }
            _ => {}
        });
    }
}
