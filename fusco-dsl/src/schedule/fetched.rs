//! Rows of a route, fetched by the ranks that have slots for them: each once, however many slots it has there.
//!
//! Enters: the loop that pushes rows, as its own rank does it. Leaves: the loop of the ranks that the rows go to, over
//! the positions of all ranks that make the plan together.

use super::ir::*;
use crate::arena::Handle;
use crate::sema::hir::{CmpOp, Filter};

/// What the ranks of `rank` do, done by those that their rows go to; `None` where what is stored is known to their own
/// rank alone, and where rows change on the way or only some move if they are to go as they are.
pub(super) fn fetched(
    schedule: &Schedule,
    (route, rank): (Handle<Route>, Handle<Var>),
    produce: &Op,
    as_they_are: bool,
) -> Option<Op> {
    let Op::Tokens { var, extent, body } = produce else { return None };
    let (Op::Each { tuples, first: false, parts: None, body: each }, loads) = body.split_last()?
    else {
        return None;
    };
    if !tuples.is_plain() {
        return None;
    }
    let owner = each.iter().find_map(arrived)?;
    let theirs = Fetching { schedule, rank, owner, as_they_are };
    let mut out = loads.iter().map(|op| theirs.load(op)).collect::<Option<Vec<Op>>>()?;
    let body = each.iter().map(|op| theirs.tuple(op)).collect::<Option<Vec<Op>>>()?;
    let mine = Filter::Compare { op: CmpOp::Eq, lhs: owner.clone(), rhs: Ix::Me };
    let tuples = Kept { rank: Ix::Var(rank), only: Some(mine), ..tuples.clone() };
    out.push(Op::Each { tuples, first: false, parts: None, body });
    let positions = Op::Tokens { var: *var, extent: theirs.ix(extent)?, body: out };
    Some(Op::Peers { route, rank, body: vec![positions] })
}

/// The rank that a tuple's row goes to, which is told of it.
fn arrived(op: &Op) -> Option<&Ix> {
    match op {
        Op::Signal { to: Peer::Rank(owner), .. } => Some(owner),
        _ => None,
    }
}

struct Fetching<'a> {
    schedule: &'a Schedule,
    rank: Handle<Var>,
    /// The rank of a tuple's group.
    owner: &'a Ix,
    as_they_are: bool,
}

impl Fetching<'_> {
    fn load(&self, op: &Op) -> Option<Op> {
        match op {
            Op::Load { row, from } | Op::Pull { row, from } => {
                Some(Op::Pull { row: *row, from: self.access(from)? })
            }
            _ => None,
        }
    }

    fn tuple(&self, op: &Op) -> Option<Op> {
        Some(match op {
            Op::Put { value, to } if to.rank == *self.owner => {
                let to = Access { rank: Ix::Me, row: self.ix(&to.row)?, ..to.clone() };
                Op::Put { value: self.value(value)?, to }
            }
            Op::If { guards, body } if !self.as_they_are => Op::If {
                guards: guards.iter().map(|g| self.guard(g)).collect::<Option<_>>()?,
                body: body.iter().map(|op| self.tuple(op)).collect::<Option<_>>()?,
            },
            Op::Signal { signal, to: Peer::Rank(rank), slot } if rank == self.owner => {
                Op::Signal { signal: *signal, to: Peer::Rank(Ix::Me), slot: slot.clone() }
            }
            _ => return self.load(op),
        })
    }

    fn value(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::Row(row) => Value::Row(*row),
            Value::Int(ix) => Value::Int(self.ix(ix)?),
            _ if self.as_they_are => return None,
            Value::Cast(row, to) => Value::Cast(*row, *to),
            Value::Scaled { factors, to } => {
                let factors = factors.iter().map(|f| self.factor(f)).collect::<Option<_>>()?;
                Value::Scaled { factors, to: *to }
            }
            Value::Sum { value, to } => Value::Sum { value: self.tree(value)?, to: *to },
        })
    }

    fn factor(&self, factor: &Factor) -> Option<Factor> {
        Some(match factor {
            Factor::Row(_) | Factor::Lit(_) => factor.clone(),
            Factor::Scalar(access) => Factor::Scalar(self.access(access)?),
        })
    }

    fn tree(&self, tree: &Tree) -> Option<Tree> {
        let inner = |tree: &Tree| self.tree(tree).map(Box::new);
        Some(match tree {
            Tree::Row(access) => Tree::Row(self.access(access)?),
            Tree::Scalar(access) => Tree::Scalar(self.access(access)?),
            Tree::Lit(..) => tree.clone(),
            Tree::Binary { op, lhs, rhs } => {
                Tree::Binary { op: *op, lhs: inner(lhs)?, rhs: inner(rhs)? }
            }
            Tree::Cast(to, of) => Tree::Cast(*to, inner(of)?),
            Tree::Sum | Tree::Fold(_) => return None,
        })
    }

    fn guard(&self, guard: &Guard) -> Option<Guard> {
        let Guard::Holds(filter) = guard else { return None };
        filter.map(&mut |n| self.ix(n).ok_or(())).ok().map(Guard::Holds)
    }

    fn access(&self, access: &Access) -> Option<Access> {
        let (rank, row) = (self.ix(&access.rank)?, self.ix(&access.row)?);
        Some(Access { rank, row, ..access.clone() })
    }

    /// What the other rank calls so.
    fn ix(&self, ix: &Ix) -> Option<Ix> {
        let of = |ix: &Ix| self.ix(ix).map(Box::new);
        Some(match ix {
            Ix::Me => Ix::Var(self.rank),
            Ix::Dyn(dynamic) => {
                let info = &self.schedule.dyns[*dynamic];
                match (info.per_rank, info.values == self.schedule.ranks) {
                    (false, _) => ix.clone(),
                    (true, true) => Ix::DynAt { of: *dynamic, rank: Box::new(Ix::Var(self.rank)) },
                    (true, false) => return None,
                }
            }
            Ix::Lit(_) | Ix::Var(_) => ix.clone(),
            Ix::DynAt { of: dynamic, rank } => Ix::DynAt { of: *dynamic, rank: of(rank)? },
            Ix::Element { tensor, rank, at } => {
                Ix::Element { tensor: *tensor, rank: of(rank)?, at: of(at)? }
            }
            // All that make the plan have the same.
            Ix::Base { base, group } => Ix::Base { base: *base, group: of(group)? },
            Ix::Live { route, group } => Ix::Live { route: *route, group: of(group)? },
            Ix::Lookup { table, index } => Ix::Lookup { table: *table, index: of(index)? },
            Ix::Dropped(_) | Ix::Pair { .. } => return None,
            Ix::Binary { op, lhs, rhs } => Ix::Binary { op: *op, lhs: of(lhs)?, rhs: of(rhs)? },
        })
    }
}
