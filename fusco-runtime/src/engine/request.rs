//! A launch, checked: what `LaunchArgs` names, resolved to the schedule's handles.

use super::device::DeviceProgram;
use super::home::{Home, Space};
use super::{Bound, Error, Plan};
use crate::error::Noun;
use crate::lease::{Claims, Ledger, PlanClaim, Sizes};
use crate::mem::Buffer;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Dyn, Entry, Ix, Kernel, Route, Schedule, Tensor, When};
use fusco_dsl::sema::hir::{CmpOp, Io};
use std::sync::Arc;

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

/// A launch whose arguments are complete; shared by all ranks, and by the replays of a graph.
#[derive(Clone)]
pub(crate) struct Request {
    pub schedule: Arc<Verified<Schedule>>,
    /// Its kernels, on a CUDA world.
    pub program: Option<Arc<DeviceProgram>>,
    pub entry: usize,
    /// By dyn handle, one value a rank; empty if the entry does not use it.
    pub dyns: Vec<Vec<i64>>,
    pub buffers: Vec<Option<Buffer>>,
    pub plans: Vec<Option<Plan>>,
    /// The workspace of kernels without a route; the stream that takes the launch gives its own.
    pub home: Option<Home>,
    /// The alternative of each step.
    pub chosen: Vec<usize>,
    /// The world it is for.
    pub ledger: Arc<Ledger>,
    pub claims: Claims,
    /// Its place among the launches of its world, once it is submitted.
    pub number: u64,
}

impl Request {
    pub(crate) fn new(bound: &Bound, entry: &str, args: &LaunchArgs<'_>) -> Result<Request, Error> {
        let schedule = bound.shared_schedule();
        let index = bound.entry_index(entry)?;
        let mut request = Request {
            program: bound.device_program().cloned(),
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

    pub(crate) fn entry(&self) -> &Entry {
        &self.schedule.entries[self.entry]
    }

    /// The kernel of each step.
    pub(crate) fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.entry().steps.iter().zip(&self.chosen).map(|(step, i)| &step.alternatives[*i].kernel)
    }

    pub(crate) fn buffer(&self, tensor: Handle<Tensor>) -> Option<&Buffer> {
        self.buffers[tensor.index()].as_ref()
    }

    /// The workspace of a plan, or the home's.
    ///
    /// # Errors
    /// F0909 if the launch has none.
    pub(crate) fn space(&self, route: Option<Handle<Route>>) -> Result<&Space, Error> {
        match route {
            Some(route) => self.plans[route.index()].as_ref().map(Plan::space).ok_or_else(|| {
                Error::Internal(format!("no plan of route `{}`", self.schedule.routes[route].name))
            }),
            None => self.home.as_ref().map(Home::space).ok_or_else(|| {
                Error::Internal(format!("program `{}` has no home here", self.schedule.program))
            }),
        }
    }

    /// Every workspace that the launch uses.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &Space> {
        let plans = self.plans.iter().flatten().map(Plan::space);
        plans.chain(self.home.as_ref().map(Home::space))
    }

    /// Whether a kernel or signal of the entry lives in the home.
    pub(crate) fn needs_home(&self) -> bool {
        let kernels = self.entry().steps.iter().flat_map(|s| &s.alternatives).map(|a| &a.kernel);
        kernels.into_iter().any(|k| k.route.is_none())
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
            Ix::Lit(_) | Ix::Me => true,
            _ => false,
        }
    }

    fn take_plans(&mut self, bound: &Bound, args: &LaunchArgs<'_>) -> Result<(), Error> {
        let schedule = self.schedule.clone();
        for plan in args.plans {
            if !plan.belongs_to(bound) {
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

    /// Positions of the rank that has the most, in a launch that takes this route.
    pub(crate) fn most_positions(&self, route: Handle<Route>) -> u32 {
        let positions = &self.schedule.routes[route].positions;
        let ranks = 0..self.schedule.ranks as usize;
        let most = ranks.map(|rank| self.number(positions, rank)).max().unwrap_or(0);
        u32::try_from(most.max(0)).unwrap_or(u32::MAX)
    }

    /// A condition's number: literals, ranks and dyns; anything else is not known at launch.
    pub(crate) fn number(&self, ix: &Ix, rank: usize) -> i64 {
        match ix {
            Ix::Lit(v) => *v,
            Ix::Me => rank as i64,
            Ix::Dyn(d) => self.dyns[d.index()].get(rank).copied().unwrap_or(0),
            Ix::Binary { op, lhs, rhs } => {
                let (a, b) = (self.number(lhs, rank), self.number(rhs, rank));
                op.apply(a, b)
            }
            Ix::DynAt { of, rank: at } => {
                let at = usize::try_from(self.number(at, rank)).ok();
                at.and_then(|r| self.dyns[of.index()].get(r)).copied().unwrap_or(0)
            }
            Ix::Var(_)
            | Ix::Base { .. }
            | Ix::Live { .. }
            | Ix::Dropped(_)
            | Ix::Element { .. }
            | Ix::Lookup { .. } => 0,
        }
    }
}

/// One value a rank, each within `0..=bound`; of a dyn with fewer values the last ones are repeated.
pub(super) fn ranked(
    info: &Dyn,
    values: &[i64],
    ranks: usize,
    bound: &Bound,
) -> Result<Vec<i64>, Error> {
    let name = &info.name;
    let wanted = info.values as usize;
    let values = match values.len() {
        1 => vec![values[0]; ranks],
        n if n == wanted && info.per_rank => {
            let last = values.last().copied().unwrap_or(0);
            values.iter().copied().chain(std::iter::repeat(last)).take(ranks).collect()
        }
        values => {
            let wanted = if info.per_rank { wanted } else { 1 };
            return Err(Error::DynValues { name: name.clone(), values, wanted, ranks });
        }
    };
    for (rank, v) in values.iter().enumerate() {
        let place = if info.per_rank { format!("{name}[{rank}]") } else { name.clone() };
        if !(0..=info.bound).contains(v) {
            return Err(Error::DynRange { name: place, value: *v, bound: bound.limit(info) });
        }
    }
    Ok(values)
}

fn twice(noun: Noun, name: &str) -> Error {
    Error::Twice { noun, name: name.to_string() }
}
