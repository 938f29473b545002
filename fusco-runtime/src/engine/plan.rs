//! Plan objects: what one entry has worked out about a route, for the entries that follow.

use super::device::DevicePlan;
use super::home::Space;
use super::{Bound, Error};
use crate::host::HostPlan;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

/// The plan of one route on every rank. Micro-batches in flight at once need one each. Clones share it.
#[derive(Clone)]
pub struct Plan {
    schedule: Arc<Verified<Schedule>>,
    route: Handle<Route>,
    space: Space,
}

impl Plan {
    pub(crate) fn new(bound: &Bound, route: Handle<Route>) -> Result<Plan, Error> {
        let schedule = bound.shared_schedule();
        let space = Space::new(bound.device_program().map(|p| &**p), &schedule, Some(route))?;
        Ok(Plan { schedule, route, space })
    }

    /// Live rows of each group, by global number, as `rank` knows them. Call after `synchronize`.
    pub fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        match &self.space {
            Space::Host(plan) => {
                Ok(self.ranked(plan, rank)?.live.iter().map(|v| v.load(Acquire)).collect())
            }
            Space::Device(plan) => plan.words(rank, "live"),
        }
    }

    /// Tuples of `rank` that have no pair. Call after `synchronize`.
    pub fn dropped(&self, rank: usize) -> Result<u32, Error> {
        match &self.space {
            Space::Host(plan) => Ok(self.ranked(plan, rank)?.dropped[0].load(Acquire)),
            Space::Device(plan) => Ok(plan.words(rank, "dropped")?[0]),
        }
    }

    pub fn route_name(&self) -> &str {
        &self.schedule.routes[self.route].name
    }

    pub(crate) fn route(&self) -> Handle<Route> {
        self.route
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    pub(crate) fn belongs_to(&self, bound: &Bound) -> bool {
        Arc::ptr_eq(&self.schedule, &bound.shared_schedule())
    }

    pub(crate) fn host(&self) -> Option<&Arc<HostPlan>> {
        self.space.host()
    }

    pub(crate) fn device(&self) -> Option<&DevicePlan> {
        self.space.device()
    }

    fn ranked<'p>(&self, plan: &'p HostPlan, rank: usize) -> Result<&'p crate::host::Space, Error> {
        plan.ranks.get(rank).ok_or_else(|| {
            Error::plan(format!("a plan of {} ranks has no rank {rank}", plan.ranks.len()))
        })
    }
}
