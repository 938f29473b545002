//! A launch that may begin: an entry with its arguments, by the schedule's handles. `arguments.rs` makes it from
//! what a caller names; queues run it.

use crate::error::Error;
use crate::lease::{Claims, Ledger};
use crate::mem::Buffer;
use crate::plan::Plan;
use crate::workspace::{Home, Homes, Loaded, Workspace};
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Entry, Ix, Kernel, Route, Schedule, Table, TableKind, Tensor};
use std::sync::Arc;

/// A launch whose arguments are complete; shared by all ranks, and by the replays of a graph.
#[derive(Clone)]
pub(crate) struct Request {
    pub schedule: Arc<Verified<Schedule>>,
    pub loaded: Arc<dyn Loaded>,
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
    pub(crate) fn space(&self, route: Option<Handle<Route>>) -> Result<&dyn Workspace, Error> {
        match route {
            Some(route) => self.plans[route.index()].as_ref().map(Plan::space).ok_or_else(|| {
                Error::Internal(format!("no plan of route `{}`", self.schedule.routes[route].name))
            }),
            None => self.home.as_ref().and_then(Home::space).ok_or_else(|| {
                Error::Internal(format!("program `{}` has no home here", self.schedule.program))
            }),
        }
    }

    /// Every workspace that the launch uses.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = &dyn Workspace> {
        let plans = self.plans.iter().flatten().map(Plan::space);
        plans.chain(self.home.as_ref().and_then(Home::space))
    }

    /// Gives it the home of its program, if a kernel, a signal or a `tmp` of the entry lives there.
    ///
    /// # Errors
    /// F0911 without memory.
    pub(crate) fn move_in(&mut self, homes: &Homes) -> Result<(), Error> {
        let mut kernels =
            self.entry().steps.iter().flat_map(|s| &s.alternatives).map(|a| &a.kernel);
        if kernels.any(|k| k.route.is_none()) || !self.entry().temporaries.is_empty() {
            let home = homes.of(&self.schedule, &*self.loaded, &self.ledger)?;
            for tensor in self.entry().temporaries.clone() {
                self.buffers[tensor.index()].clone_from(&home.temporaries()[tensor.index()]);
            }
            self.home = Some(home);
        }
        Ok(())
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
            | Ix::Pair { .. }
            | Ix::Element { .. } => 0,
            Ix::Lookup { table, index } => {
                let at = usize::try_from(self.number(index, rank)).ok();
                at.and_then(|i| self.known(*table)?.get(i).copied()).unwrap_or(0)
            }
        }
    }

    /// The numbers of a table that is known at bind.
    pub(crate) fn known(&self, table: Handle<Table>) -> Option<&[i64]> {
        match &self.schedule.tables[table].kind {
            TableKind::Const(values) => Some(values),
            TableKind::Computed | TableKind::Planned(_) => None,
        }
    }
}
