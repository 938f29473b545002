//! Movements in runs: vectors of a flattened grid, dealt to threads.

use super::size::count;
use crate::arena::Handle;
use crate::schedule::ir::{Access, Guard, Op, Schedule, Share, Value, Var};
use crate::sema::hir::Elem;

/// Vectors of a thread in flight.
pub const UNROLL: i64 = 4;

/// A grid's body, told apart.
pub struct Parts<'a> {
    pub schedule: &'a Schedule,
    pub vars: &'a [(Handle<Var>, i64)],
    pub share: &'a Option<Share>,
    pub guards: Vec<Guard>,
    /// One load, or the loop of loads that a sum adds up.
    pub from: Option<&'a Access>,
    pub sum: Option<(Handle<Var>, i64)>,
    pub copies: Option<(Handle<Var>, i64)>,
    pub to: &'a Access,
    pub value: Written<'a>,
    /// Threads of a CTA.
    pub threads: i64,
}

pub enum Written<'a> {
    Value(&'a Value),
    Bits(u64),
}

impl<'a> Parts<'a> {
    pub fn of(schedule: &'a Schedule, op: &'a Op, threads: i64) -> Option<Parts<'a>> {
        let Op::Grid { vars, share, guards, body } = op else { return None };
        let (last, before) = body.split_last()?;
        let (copies, put) = match last {
            Op::For { var, extent, body } => (Some((*var, *extent)), body.first()?),
            put => (None, put),
        };
        let (value, to) = match put {
            Op::Put { value, to } => (Written::Value(value), to),
            Op::Fill { to, bits } => (Written::Bits(*bits), to),
            _ => return None,
        };
        let (mut from, mut sum) = (None, None);
        match before.first() {
            Some(Op::Load { from: access, .. } | Op::Pull { from: access, .. }) => {
                from = Some(access);
            }
            Some(Op::For { var, extent, body }) => {
                if let Some(Op::Load { from: access, .. } | Op::Pull { from: access, .. }) =
                    body.first()
                {
                    (from, sum) = (Some(access), Some((*var, *extent)));
                }
            }
            _ => {}
        }
        let guards = guards.clone();
        Some(Parts { schedule, vars, share, guards, from, sum, copies, to, value, threads })
    }

    pub fn elem(&self, access: &Access) -> Elem {
        self.schedule.tensors[access.tensor].elem
    }

    /// Elements of one access.
    pub fn width(&self) -> i64 {
        self.to.vector / self.elem(self.to).bytes()
    }

    /// Accesses of one run.
    pub fn vecs(&self) -> i64 {
        self.to.run / self.width()
    }

    pub fn points(&self) -> i64 {
        count(self.vars).saturating_mul(self.vecs())
    }

    /// Loads, then stores: nothing is added up or written several times.
    pub fn is_copy(&self) -> bool {
        self.from.is_some() && self.sum.is_none() && self.copies.is_none()
    }

    /// The element type that a loaded row is converted to.
    pub fn cast(&self) -> Option<Elem> {
        match self.value {
            Written::Value(Value::Cast(_, elem)) => Some(*elem),
            _ => None,
        }
    }

    /// CTAs for one turn of the loop.
    pub fn pieces(&self) -> i64 {
        let each = if self.is_copy() { self.threads * UNROLL } else { self.threads };
        let share = self.share.as_ref().map_or(1, |s| s.count);
        (self.points() / share + each - 1) / each
    }
}
