//! A device program: the kernels of a schedule for one target, each with what carries it out and all that it takes.

use super::cost::Cost;
use super::form::Form;
use super::pipeline::Pipeline;
use super::region::Region;
use super::strategy::{Name, Rate, Reason, Refusal, Strategy};
use super::workspace::Workspace;
use crate::arena::Handle;
use crate::schedule::Verified;
use crate::schedule::ir::{Op, RoleKind, Route, Schedule, Signal};
use crate::target::Target;

#[derive(Clone, Debug)]
pub struct DeviceProgram<'s> {
    /// What tensors, routes and entries there are.
    pub schedule: &'s Verified<Schedule>,
    pub target: Target,
    /// One for each name of a kernel of an entry, in the order of entries and steps.
    pub kernels: Vec<DeviceKernel>,
    /// The memory of each route's plan on a rank, then of what entries without a route keep.
    pub workspaces: Vec<Workspace>,
}

#[derive(Clone, Debug)]
pub struct DeviceKernel {
    pub name: String,
    /// The number of its entry.
    pub entry: usize,
    /// The route whose workspace it uses; `None` is the home.
    pub route: Option<Handle<Route>>,
    pub strategy: Strategy,
    pub form: Form,
    /// What runs, in order.
    pub roles: Vec<DeviceRole>,
    pub epoch: Option<Epoch>,
    /// Counters that are zero in every workspace when it starts, and when it ends.
    pub zeroed: Vec<Handle<Signal>>,
    pub cleared: Vec<Handle<Signal>>,
    /// Shared memory of a CTA.
    pub shared: Vec<Region>,
    /// How its threads hand rows to each other.
    pub pipeline: Pipeline,
    pub choice: Choice,
}

/// Why a kernel is carried out as it is.
#[derive(Clone, Debug)]
pub struct Choice {
    pub reason: Reason,
    pub rate: Rate,
    pub cost: Cost,
    /// The others, in the order in which they were asked; the cost of those that would do.
    pub rejected: Vec<(Name, Refusal, Option<Cost>)>,
}

#[derive(Clone, Debug)]
pub struct DeviceRole {
    pub kind: RoleKind,
    /// The statements it implements, canonical text.
    pub text: Vec<String>,
    pub ops: Vec<Op>,
    /// Not by the CTAs that are dealt to no rank.
    pub own_ctas: bool,
    /// Tells consumers on other streams that the launch's counters and tables may be read.
    pub publishes: bool,
}

/// The counter of its launches that a kernel keeps in its workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Kernels of one step share it.
    pub kernel: String,
    pub told: Told,
}

/// When the number of a launch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its handshakes wait for it; a role publishes it.
    Awaited,
    /// At the start: counters were zeroed before the launch.
    AtStart,
    /// Nobody asks.
    Never,
}

impl DeviceProgram<'_> {
    /// The workspace of a route, or the home.
    pub fn workspace(&self, route: Option<Handle<Route>>) -> Option<&Workspace> {
        self.workspaces.iter().find(|w| w.route == route)
    }

    /// CTAs of a rank that plan a route.
    pub fn plan_ctas(&self, route: Handle<Route>) -> u32 {
        self.workspace(Some(route)).map_or(1, |w| w.ctas)
    }
}

impl DeviceKernel {
    /// Handshakes at the start and the end of the kernel are emitted.
    pub fn shakes(&self) -> bool {
        !self.form.alone || matches!(self.strategy, Strategy::Plan(_))
    }

    /// Parts of shared memory that rows pass through in turn; `None` if they do not.
    pub fn stages(&self) -> Option<i64> {
        match &self.strategy {
            Strategy::Bulk(staged) => Some(staged.stages),
            Strategy::Once(once) => Some(once.slots),
            Strategy::Ring(ring) => Some(ring.slots),
            Strategy::Plan(_) | Strategy::Moves(_) | Strategy::Team(_) | Strategy::Warps(_) => None,
        }
    }
}
