//! Plan objects: what one entry has worked out about a route, for the entries that follow.

use crate::error::Error;
use crate::lease::{Ledger, PlanLease};
use crate::workspace::{Loaded, Workspace};
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::Arc;

/// The plan of one route on every rank. Micro-batches in flight at once need one each: launches that share
/// one run one after another. Clones share it.
#[derive(Clone)]
pub struct Plan(Arc<Inner>);

struct Inner {
    schedule: Arc<Verified<Schedule>>,
    route: Handle<Route>,
    space: Arc<dyn Workspace>,
    lease: Arc<PlanLease>,
}

impl Plan {
    pub(crate) fn new(
        schedule: &Arc<Verified<Schedule>>,
        loaded: &dyn Loaded,
        ledger: &Arc<Ledger>,
        route: Handle<Route>,
    ) -> Result<Plan, Error> {
        let (schedule, space) = (schedule.clone(), loaded.workspace(Some(route))?);
        let lease = Arc::new(PlanLease::new(ledger, &schedule.routes[route].name));
        Ok(Plan(Arc::new(Inner { schedule, route, space, lease })))
    }

    /// Live rows of each group, by global number, as `rank` knows them. Call after `synchronize`.
    ///
    /// # Errors
    /// F0909 for an unknown rank; F0911 if the device has failed.
    pub fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        self.0.space.live(rank)
    }

    /// Live rows of each group, once launches that use the plan have ended; `None` if none has made it.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    pub(crate) fn live_when_made(&self) -> Result<Option<Vec<u32>>, Error> {
        let slot = self.0.lease.slot();
        drop(self.0.space.turn(slot, false)?);
        if slot.is_made() { self.live(0).map(Some) } else { Ok(None) }
    }

    /// Tuples of `rank` that have no pair. Call after `synchronize`.
    ///
    /// # Errors
    /// As [`live`](Self::live).
    pub fn dropped(&self, rank: usize) -> Result<u32, Error> {
        self.0.space.dropped(rank)
    }

    /// The route that it is a plan of.
    pub fn route_name(&self) -> &str {
        &self.0.schedule.routes[self.0.route].name
    }

    pub(crate) fn route(&self) -> Handle<Route> {
        self.0.route
    }

    pub(crate) fn space(&self) -> &dyn Workspace {
        &*self.0.space
    }

    pub(crate) fn lease(&self) -> &Arc<PlanLease> {
        &self.0.lease
    }

    /// Whether it is of the program that this schedule is of.
    pub(crate) fn belongs_to(&self, schedule: &Arc<Verified<Schedule>>) -> bool {
        Arc::ptr_eq(&self.0.schedule, schedule)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("route", &self.route_name()).finish_non_exhaustive()
    }
}
