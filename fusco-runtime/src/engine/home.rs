//! Workspaces: the memory a kernel keeps beside its tensors, a part on each rank. A plan has one for its
//! route. Kernels without a route use the home of their program: one for each stream, whose launches are
//! ordered, and one for each captured graph.

use super::device::{DevicePlan, DeviceProgram};
use super::{Error, Request};
use crate::host::HostPlan;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::{Arc, Mutex};

/// A workspace on every rank. Clones share it.
#[derive(Clone)]
pub(crate) enum Space {
    Host(Arc<HostPlan>),
    Device(Arc<DevicePlan>),
}

/// The workspace of a program's kernels without a route.
#[derive(Clone)]
pub(crate) struct Home {
    schedule: Arc<Verified<Schedule>>,
    space: Space,
}

/// The homes of one stream or graph, one for each program that it has run.
#[derive(Default)]
pub(crate) struct Homes(Mutex<Vec<Home>>);

impl Space {
    /// # Errors
    /// F0909 if the device program has no such workspace, F0911 without memory.
    pub(crate) fn new(
        program: Option<&DeviceProgram>,
        schedule: &Schedule,
        route: Option<Handle<Route>>,
    ) -> Result<Space, Error> {
        Ok(match program {
            Some(program) => {
                let name = route.map_or("", |r| &schedule.routes[r].name);
                Space::Device(Arc::new(DevicePlan::new(program, name)?))
            }
            None => Space::Host(Arc::new(HostPlan::new(schedule, route)?)),
        })
    }

    pub(crate) fn host(&self) -> Option<&Arc<HostPlan>> {
        match self {
            Space::Host(plan) => Some(plan),
            Space::Device(_) => None,
        }
    }

    pub(crate) fn device(&self) -> Option<&DevicePlan> {
        match self {
            Space::Device(plan) => Some(plan),
            Space::Host(_) => None,
        }
    }
}

impl Home {
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }
}

impl Homes {
    /// Gives the launch the home of its program, made at the first one; homes of programs that nobody
    /// holds any more are freed.
    ///
    /// # Errors
    /// As [`Space::new`].
    pub(crate) fn move_in(&self, request: &mut Request) -> Result<(), Error> {
        if !request.needs_home() {
            return Ok(());
        }
        let mut homes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let found = homes.iter().find(|h| Arc::ptr_eq(&h.schedule, &request.schedule)).cloned();
        request.home = match found {
            Some(home) => Some(home),
            None => {
                homes.retain(|h| Arc::strong_count(&h.schedule) > 1);
                let schedule = request.schedule.clone();
                let space = Space::new(request.program.as_deref(), &schedule, None)?;
                let home = Home { schedule, space };
                homes.push(home.clone());
                Some(home)
            }
        };
        Ok(())
    }
}
