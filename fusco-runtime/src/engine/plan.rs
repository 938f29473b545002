//! Plan objects: what one entry has worked out about a route, for the entries that follow.

use super::device::DevicePlan;
use super::home::Space;
use super::{Bound, Error};
use crate::host::HostPlan;
use crate::lease::PlanLease;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

/// The plan of one route on every rank. Micro-batches in flight at once need one each: launches that share
/// one run one after another. Clones share it.
#[derive(Clone)]
pub struct Plan(Arc<Inner>);

struct Inner {
    schedule: Arc<Verified<Schedule>>,
    route: Handle<Route>,
    space: Space,
    lease: Arc<PlanLease>,
}

impl Plan {
    pub(crate) fn new(bound: &Bound, route: Handle<Route>) -> Result<Plan, Error> {
        let schedule = bound.shared_schedule();
        let space = Space::new(bound.device_program().map(|p| &**p), &schedule, Some(route))?;
        let name = &schedule.routes[route].name;
        let lease = Arc::new(PlanLease::new(bound.world().ledger(), name));
        Ok(Plan(Arc::new(Inner { schedule, route, space, lease })))
    }

    /// Live rows of each group, by global number, as `rank` knows them. Call after `synchronize`.
    ///
    /// # Errors
    /// F0909 for an unknown rank; F0911 if the device has failed.
    pub fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        match &self.0.space {
            Space::Host(plan) => {
                Ok(self.ranked(plan, rank)?.live.iter().map(|v| v.load(Acquire)).collect())
            }
            Space::Device(plan) => plan.words(rank, "live"),
        }
    }

    /// Live rows of each group, once launches that use the plan have ended; `None` if none has made it.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    pub(crate) fn live_when_made(&self) -> Result<Option<Vec<u32>>, Error> {
        match &self.0.space {
            Space::Host(_) => drop(self.0.lease.slot().hold(false)),
            Space::Device(_) => drop(self.0.lease.slot().quiet(false)?),
        }
        if self.0.lease.slot().is_made() { self.live(0).map(Some) } else { Ok(None) }
    }

    /// Tuples of `rank` that have no pair. Call after `synchronize`.
    ///
    /// # Errors
    /// As [`live`](Self::live).
    pub fn dropped(&self, rank: usize) -> Result<u32, Error> {
        match &self.0.space {
            Space::Host(plan) => Ok(self.ranked(plan, rank)?.dropped[0].load(Acquire)),
            Space::Device(plan) => Ok(plan.words(rank, "dropped")?[0]),
        }
    }

    /// The route that it is a plan of.
    pub fn route_name(&self) -> &str {
        &self.0.schedule.routes[self.0.route].name
    }

    pub(crate) fn route(&self) -> Handle<Route> {
        self.0.route
    }

    pub(crate) fn space(&self) -> &Space {
        &self.0.space
    }

    pub(crate) fn lease(&self) -> &Arc<PlanLease> {
        &self.0.lease
    }

    pub(crate) fn belongs_to(&self, bound: &Bound) -> bool {
        Arc::ptr_eq(&self.0.schedule, &bound.shared_schedule())
    }

    pub(crate) fn host(&self) -> Option<&Arc<HostPlan>> {
        self.0.space.host()
    }

    pub(crate) fn device(&self) -> Option<&DevicePlan> {
        self.0.space.device()
    }

    fn ranked<'p>(&self, plan: &'p HostPlan, rank: usize) -> Result<&'p crate::host::Space, Error> {
        plan.ranks.get(rank).ok_or(Error::NoRank { ranks: plan.ranks.len(), rank })
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("route", &self.route_name()).finish_non_exhaustive()
    }
}
