//! What a caller names, checked and resolved to the schedule's handles: arguments become a [`Request`].

use crate::error::{Error, Noun};
use crate::launch::Request;
use crate::lease::{Claims, PlanClaim, Sizes};
use crate::mem::Buffer;
use crate::plan::Plan;
use crate::program::Bound;
use crate::stream::Stream;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{Ix, Route, Tensor, When};
use fusco_dsl::sema::hir::{CmpOp, Io};

/// What one launch of an entry reads and writes, by name, each once. Tensors that are written need memory of
/// their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaunchArgs<'a> {
    /// One value, or one for each rank if the dyn is indexed by the mesh.
    pub dyns: &'a [(&'a str, &'a [i64])],
    /// The memory of each tensor.
    pub buffers: &'a [(&'a str, &'a Buffer)],
    /// Plans that the entry makes or takes.
    pub plans: &'a [&'a Plan],
}

impl Bound {
    /// Queues an entry on every rank and returns.
    ///
    /// # Errors
    /// F0902, F0904 or F0909 if the arguments do not fit, share memory that the entry writes, or a plan is not made or made
    /// for other sizes; nothing is started then. What goes wrong
    /// while it runs is told by [`Stream::synchronize`].
    pub fn launch(&self, entry: &str, stream: &Stream, args: &LaunchArgs<'_>) -> Result<(), Error> {
        stream.submit(Request::new(self, entry, args)?)
    }
}

impl Request {
    pub(crate) fn new(bound: &Bound, entry: &str, args: &LaunchArgs<'_>) -> Result<Request, Error> {
        let schedule = bound.shared_schedule();
        let index = bound.entry_index(entry)?;
        let mut request = Request {
            loaded: bound.loaded().clone(),
            entry: index,
            dyns: vec![Vec::new(); schedule.dyns.len()],
            buffers: vec![None; schedule.tensors.len()],
            plans: vec![None; schedule.routes.len()],
            home: None,
            chosen: Vec::new(),
            ledger: bound.world().ledger().clone(),
            claims: Claims::default(),
            number: 0,
            schedule,
        };
        request.take_dyns(bound, args)?;
        request.take_buffers(bound, args)?;
        request.take_plans(bound, args)?;
        request.chosen = request.choose()?;
        request.claim();
        Ok(request)
    }

    fn take_dyns(&mut self, bound: &Bound, args: &LaunchArgs<'_>) -> Result<(), Error> {
        let schedule = self.schedule.clone();
        for (name, values) in args.dyns {
            let (handle, values) = bound.check_dyn(name, values)?;
            if !self.dyns[handle.index()].is_empty() {
                return Err(twice(Noun::Dyn, name));
            }
            self.dyns[handle.index()] = values;
        }
        let missing = self.entry().dyns.iter().find(|d| self.dyns[d.index()].is_empty());
        match missing {
            Some(d) => Err(self.lacks(Noun::Dyn, &schedule.dyns[*d].name)),
            None => Ok(()),
        }
    }

    fn take_buffers(&mut self, bound: &Bound, args: &LaunchArgs<'_>) -> Result<(), Error> {
        let schedule = self.schedule.clone();
        for (name, buffer) in args.buffers {
            let handle = bound.check_buffer(name, buffer)?;
            if self.buffers[handle.index()].replace((*buffer).clone()).is_some() {
                return Err(twice(Noun::Tensor, name));
            }
        }
        self.keep_own();
        self.check_aliases()?;
        let missing = self.entry().tensors.iter().find(|t| self.buffers[t.index()].is_none());
        match missing {
            Some(t) => Err(self.lacks(Noun::Tensor, &schedule.tensors[*t].name)),
            None => Ok(()),
        }
    }

    /// Drops buffers of tensors that the entry does not touch.
    fn keep_own(&mut self) {
        let Request { schedule, entry, buffers, .. } = self;
        let own = &schedule.entries[*entry].tensors;
        for (handle, _) in schedule.tensors.iter() {
            if !own.contains(&handle) {
                buffers[handle.index()] = None;
            }
        }
    }

    fn writes(&self, tensor: Handle<Tensor>) -> bool {
        self.schedule.tensors[tensor].io != Io::In
    }

    /// # Errors
    /// F0902 if a tensor that the entry writes shares its memory with another one.
    fn check_aliases(&self) -> Result<(), Error> {
        let tensors = &self.entry().tensors;
        for (i, a) in tensors.iter().enumerate() {
            for b in &tensors[i + 1..] {
                let (Some(first), Some(second)) = (self.buffer(*a), self.buffer(*b)) else {
                    continue;
                };
                if first.is(second) && (self.writes(*a) || self.writes(*b)) {
                    let name = |t: Handle<Tensor>| self.schedule.tensors[t].name.clone();
                    return Err(Error::Alias {
                        entry: self.entry().name.clone(),
                        first: name(*a),
                        second: name(*b),
                        written: name(if self.writes(*b) { *b } else { *a }),
                    });
                }
            }
        }
        Ok(())
    }

    /// What the launch needs from the ledger.
    fn claim(&mut self) {
        let mut claims = Claims::default();
        for tensor in &self.entry().tensors {
            if let Some(buffer) = self.buffer(*tensor) {
                claims.memory(buffer.slot(), self.writes(*tensor));
            }
        }
        let entry = self.entry();
        let taken = entry.takes.iter().filter(|r| !entry.plans.contains(r));
        let routes = entry.plans.iter().map(|r| (r, true)).chain(taken.map(|r| (r, false)));
        for (route, made) in routes {
            let Some(plan) = self.plans[route.index()].clone() else { continue };
            let sizes = self.sizes(*route);
            let (needs, makes) = if made { (None, Some(sizes)) } else { (Some(sizes), None) };
            let plan = plan.lease().clone();
            claims.plan(PlanClaim { plan, entry: entry.name.clone(), needs, makes });
        }
        self.claims = claims;
    }

    /// Positions of each rank in a launch that takes this route; `None` if its dyns are not given.
    fn sizes(&self, route: Handle<Route>) -> Sizes {
        let positions = &self.schedule.routes[route].positions;
        let ranks = 0..self.schedule.ranks as usize;
        self.says(positions).then(|| ranks.map(|rank| self.number(positions, rank)).collect())
    }

    fn says(&self, ix: &Ix) -> bool {
        match ix {
            Ix::Dyn(d) => !self.dyns[d.index()].is_empty(),
            Ix::DynAt { of, rank } => !self.dyns[of.index()].is_empty() && self.says(rank),
            Ix::Binary { lhs, rhs, .. } => self.says(lhs) && self.says(rhs),
            Ix::Lookup { table, index } => self.known(*table).is_some() && self.says(index),
            Ix::Lit(_) | Ix::Me => true,
            _ => false,
        }
    }

    fn take_plans(&mut self, bound: &Bound, args: &LaunchArgs<'_>) -> Result<(), Error> {
        let schedule = self.schedule.clone();
        for plan in args.plans {
            if !plan.belongs_to(&self.schedule) {
                return Err(bound.other_program(plan));
            }
            if self.plans[plan.route().index()].replace((*plan).clone()).is_some() {
                return Err(twice(Noun::Route, plan.route_name()));
            }
        }
        let entry = self.entry();
        let missing =
            entry.plans.iter().chain(&entry.takes).find(|r| self.plans[r.index()].is_none());
        match missing {
            Some(r) => Err(self.lacks(Noun::Route, &schedule.routes[*r].name)),
            None => Ok(()),
        }
    }

    fn lacks(&self, noun: Noun, name: &str) -> Error {
        Error::Missing { entry: self.entry().name.clone(), noun, name: name.to_string() }
    }

    fn choose(&self) -> Result<Vec<usize>, Error> {
        let holds = |when: &Option<When>| when.as_ref().is_none_or(|w| self.holds(w));
        let first = |step: &fusco_dsl::schedule::ir::Step| {
            step.alternatives.iter().position(|a| holds(&a.when))
        };
        let chosen: Option<Vec<_>> = self.entry().steps.iter().map(first).collect();
        chosen.ok_or_else(|| Error::NoSchedule { entry: self.entry().name.clone() })
    }

    fn holds(&self, when: &When) -> bool {
        match when {
            When::And(a, b) => self.holds(a) && self.holds(b),
            When::Or(a, b) => self.holds(a) || self.holds(b),
            When::Compare { op, lhs, rhs } => (0..self.schedule.ranks as usize).all(|rank| {
                let (a, b) = (self.number(lhs, rank), self.number(rhs, rank));
                match op {
                    CmpOp::Lt => a < b,
                    CmpOp::Le => a <= b,
                    CmpOp::Eq => a == b,
                    CmpOp::Ne => a != b,
                    CmpOp::Ge => a >= b,
                    CmpOp::Gt => a > b,
                }
            }),
        }
    }
}

fn twice(noun: Noun, name: &str) -> Error {
    Error::Twice { noun, name: name.to_string() }
}
