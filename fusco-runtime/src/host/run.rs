//! The interpreter of resolved kernels: one rank, one CTA, ops in order.

use super::code::{At, Code, RouteStep, Source, Term};
use super::copy;
use super::number::{int_bits, load};
use super::plan::{HostPlan, Table};
use super::reduce::{self, Addend, Operand};
use super::wait::Watch;
use crate::engine::Error;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::Signal;
use fusco_dsl::sema::hir::Elem;
use std::sync::atomic::Ordering::*;

/// Why a rank stopped.
pub(crate) enum Stop {
    Error(Error),
    /// Another rank failed; its error is the one to tell.
    Aborted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// The state of one rank inside a kernel.
pub(crate) struct Runner<'a> {
    me: usize,
    vars: Vec<i64>,
    /// Rows "in registers": where they were loaded from. Nothing writes a source between a load and its last use.
    rows: Vec<Loaded>,
    addends: Vec<Addend>,
    /// Elements of the shortest row among the addends.
    shortest: usize,
    /// Signals of the current chunk, not yet sent.
    pending: Vec<(Table, usize)>,
    watch: Watch<'a>,
}

#[derive(Clone, Copy)]
struct Loaded {
    at: *const u8,
    bytes: usize,
    elem: Elem,
}

impl<'a> Runner<'a> {
    /// `vars`: number of loop variables of the schedule.
    pub(crate) fn new(me: usize, vars: usize, watch: Watch<'a>) -> Self {
        // One variable more than the schedule has: `Target::Groups` binds it.
        Runner {
            me,
            vars: vec![0; vars + 1],
            rows: Vec::new(),
            addends: Vec::new(),
            shortest: usize::MAX,
            pending: Vec::new(),
            watch,
        }
    }

    pub(crate) fn kernel(&mut self, code: &[Code]) -> Result<(), Stop> {
        self.body(code)?;
        self.flush();
        Ok(())
    }

    fn body(&mut self, code: &[Code]) -> Result<(), Stop> {
        code.iter().try_for_each(|op| self.op(op))
    }

    fn op(&mut self, op: &Code) -> Result<(), Stop> {
        match op {
            Code::Tokens { var, extent, chunk, body } => {
                self.tokens(*var, extent.get(&self.vars), *chunk, body)
            }
            Code::Each { plan, fan, position, k, group, slot, body } => {
                let first = position.get(&self.vars) * fan;
                self.each(plan, first, *fan, (*k, *group, *slot), body)
            }
            Code::Groups { var, first, count, body } => (*first..first + count).try_for_each(|g| {
                self.vars[*var] = g;
                self.body(body)
            }),
            Code::Padding { live, group, slot, until, first, count, body } => {
                (*first..first + count).try_for_each(|g| {
                    self.vars[*group] = g;
                    let (from, to) = (live.get(&self.vars), until.get(&self.vars));
                    (from..to).try_for_each(|s| {
                        self.vars[*slot] = s;
                        self.body(body)
                    })
                })
            }
            Code::Once { body } => self.body(body),
            Code::Route { step, route } => {
                match step {
                    RouteStep::Count => route.count()?,
                    RouteStep::Scan => route.scan(),
                    RouteStep::Tables => route.tables(),
                    RouteStep::Slots => route.slots()?,
                }
                Ok(())
            }
            Code::Load { row, from } => self.load(*row, from),
            Code::Put { value, to } => self.put(value, to),
            Code::Fill { to, bits } => self.fill(to, *bits),
            Code::Reduce { factors } => self.reduce(factors),
            Code::Reset { plan, signal } => self.reset(plan, *signal),
            Code::Signal { plan, signal, to, slot } => {
                let to = to.as_ref().map(|to| to.get(&self.vars));
                self.signal(plan, *signal, to, slot.get(&self.vars))
            }
            Code::Wait { plan, signal, name, until } => {
                self.flush();
                self.watch.wait(&mut self.vars, plan.ranks[self.me].counters(*signal), name, until)
            }
        }
    }

    fn tokens(&mut self, var: usize, extent: i64, chunk: i64, body: &[Code]) -> Result<(), Stop> {
        for position in 0..extent {
            self.vars[var] = position;
            self.body(body)?;
            if chunk > 0 && (position + 1) % chunk == 0 {
                self.flush();
                self.watch.check()?;
            }
        }
        self.flush();
        Ok(())
    }

    fn each(
        &mut self,
        plan: &HostPlan,
        first: i64,
        fan: i64,
        vars: (usize, usize, usize),
        body: &[Code],
    ) -> Result<(), Stop> {
        self.addends.clear();
        self.shortest = usize::MAX;
        for k in 0..fan {
            let Some((group, slot)) = plan.ranks[self.me].pair((first + k) as usize) else {
                continue;
            };
            self.vars[vars.0] = k;
            self.vars[vars.1] = group;
            self.vars[vars.2] = slot;
            self.body(body)?;
        }
        Ok(())
    }

    fn load(&mut self, row: usize, from: &At) -> Result<(), Stop> {
        let loaded = Loaded { at: from.locate(&self.vars)?, bytes: from.bytes, elem: from.elem };
        if self.rows.len() <= row {
            self.rows.resize(row + 1, loaded);
        }
        self.rows[row] = loaded;
        Ok(())
    }

    fn put(&mut self, value: &Source, to: &At) -> Result<(), Stop> {
        let at = to.locate(&self.vars)?;
        match value {
            Source::Row(row) => {
                let row = self.rows[*row];
                let bytes = row.bytes.min(to.bytes);
                // SAFETY: both ranges were checked by `locate`; a load's source is never the target of a put
                // (an entry does not read its own outputs), so they do not overlap.
                unsafe { copy::row(row.at, at, bytes, to.large) }
            }
            Source::Scaled(factors, elem) => {
                let (addend, shortest) = self.addend(factors)?;
                let run = (to.bytes / elem.bytes() as usize).min(shortest);
                // SAFETY: `at` has `run` elements; no row of the product is shorter.
                unsafe { reduce::scale(&addend, run, *elem, at) }
            }
            Source::Int(number) => {
                let bits = int_bits(to.elem, number.get(&self.vars));
                // SAFETY: checked by `locate`.
                unsafe { copy::fill(at, to.bytes, bits, to.elem.bytes() as usize) }
            }
            Source::Sum(elem) => {
                let run = (to.bytes / elem.bytes() as usize).min(self.shortest);
                // SAFETY: `at` has `run` elements; no addend's row is shorter.
                unsafe { reduce::sum(&self.addends, run, *elem, at) }
            }
        }
        Ok(())
    }

    fn fill(&mut self, to: &At, bits: u64) -> Result<(), Stop> {
        let at = to.locate(&self.vars)?;
        // SAFETY: checked by `locate`.
        unsafe { copy::fill(at, to.bytes, bits, to.elem.bytes() as usize) }
        Ok(())
    }

    /// Notes the term; the sum is made when it is stored, element by element in the same order.
    fn reduce(&mut self, factors: &[Term]) -> Result<(), Stop> {
        let (addend, shortest) = self.addend(factors)?;
        self.shortest = self.shortest.min(shortest);
        self.addends.push(addend);
        Ok(())
    }

    /// The product, and the elements of its shortest row.
    fn addend(&self, factors: &[Term]) -> Result<(Addend, usize), Stop> {
        let (mut addend, mut shortest) = (Addend::default(), usize::MAX);
        for (to, factor) in addend.factors.iter_mut().zip(factors) {
            *to = match factor {
                Term::Lit(v) => Operand::Number(*v),
                Term::Scalar(at) => {
                    let from = at.locate(&self.vars)?;
                    // SAFETY: `locate` gives at least one readable element.
                    Operand::Number(unsafe { load(at.elem, from) })
                }
                Term::Row(row) => {
                    let row = self.rows[*row];
                    shortest = shortest.min(row.bytes / row.elem.bytes() as usize);
                    Operand::Row(row.at, row.elem)
                }
            };
        }
        addend.count = factors.len().min(addend.factors.len());
        Ok((addend, shortest))
    }

    fn reset(&mut self, plan: &HostPlan, signal: Handle<Signal>) -> Result<(), Stop> {
        let counters = plan.ranks[self.me].counters(signal);
        counters.slots.iter().for_each(|slot| slot.store(0, Relaxed));
        counters.resets.fetch_add(1, Release);
        Ok(())
    }

    fn signal(
        &mut self,
        plan: &HostPlan,
        signal: Handle<Signal>,
        to: Option<i64>,
        slot: i64,
    ) -> Result<(), Stop> {
        let (from, until) = match to {
            Some(rank) => (rank, rank + 1),
            None => (0, plan.ranks.len() as i64),
        };
        for rank in from..until {
            let space = usize::try_from(rank).ok().and_then(|r| plan.ranks.get(r));
            let slots = space
                .map(|s| &s.counters(signal).slots)
                .filter(|slots| (0..slots.len() as i64).contains(&slot));
            let slots =
                slots.ok_or_else(|| Error::plan(format!("no counter {slot} on rank {rank}")))?;
            self.pending.push((slots.clone(), slot as usize));
        }
        if to.is_none() {
            self.flush();
        }
        Ok(())
    }

    /// Releases everything written so far, then counts it.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        copy::fence();
        for (slots, slot) in self.pending.drain(..) {
            slots[slot].fetch_add(1, Release);
        }
    }
}

/// Advances the epoch of every signal that the kernel waits for, before it runs.
pub(crate) fn advance(code: &[Code], me: usize) {
    for op in code {
        if let Code::Wait { plan, signal, .. } = op {
            plan.ranks[me].counters(*signal).epoch.fetch_add(1, Relaxed);
        }
    }
}
