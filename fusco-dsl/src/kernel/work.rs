//! What a strategy is asked to carry out: one kernel of a schedule on one target.

use super::shape::{Nest, Trip, sums};
use crate::schedule::ir::{Kernel, Op, Role, RoleKind, Route, Schedule};
use crate::target::Target;

#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub schedule: &'a Schedule,
    pub target: &'a Target,
    pub kernel: &'a Kernel,
    /// What it does, in one of its ways.
    pub roles: &'a [Role],
    /// All ranks share the launch, and need no handshake but its beginning and its end.
    pub alone: bool,
}

impl<'a> Work<'a> {
    pub fn new(schedule: &'a Schedule, target: &'a Target, kernel: &'a Kernel) -> Work<'a> {
        // Where ranks meet in the middle of a kernel its end is no handshake.
        let meets = kernel.roles.iter().any(|r| r.kind == RoleKind::Meet);
        let alone = i64::from(target.ranks_per_device) >= schedule.ranks && !meets;
        Work { schedule, target, kernel, roles: &kernel.roles, alone }
    }

    /// The same, with rows fetched by the ranks that they go to, if that is a way to do it.
    pub fn fetched(&self) -> Option<Work<'a>> {
        Some(Work { roles: self.kernel.fetched.as_deref()?, ..*self })
    }

    /// It is done in that way.
    pub fn is_fetched(&self) -> bool {
        self.kernel.fetched.as_ref().is_some_and(|roles| std::ptr::eq(self.roles, &roles[..]))
    }

    pub fn route(&self) -> Option<&'a Route> {
        self.kernel.route.map(|route| &self.schedule.routes[route])
    }

    pub fn ops(&self) -> impl Iterator<Item = &'a Op> + use<'a> {
        self.roles.iter().flat_map(|r| &r.body)
    }

    /// The loops over positions, of this rank or of peers.
    pub fn tokens(&self) -> impl Iterator<Item = &'a Op> + use<'a> {
        self.ops().filter(|op| matches!(op, Op::Tokens { .. } | Op::Peers { .. }))
    }

    /// The only loop over positions, if it scatters rows.
    pub fn scatter(&self) -> Option<Trip<'a>> {
        self.only().filter(|op| !sums(op)).and_then(|op| Trip::of(self.schedule, op))
    }

    /// The only loop over positions, if it sums rows up.
    pub fn gather(&self) -> Option<Nest<'a>> {
        self.only().and_then(|op| Nest::of(self.schedule, op))
    }

    fn only(&self) -> Option<&'a Op> {
        let mut tokens = self.tokens();
        tokens.next().filter(|_| tokens.next().is_none())
    }

    pub fn plans(&self) -> bool {
        is_plan(self.kernel)
    }

    /// CTAs of a rank if all of a device's are resident at once, `each` on a multiprocessor.
    pub fn resident(&self, each: u32) -> u32 {
        resident(self.target, each)
    }

    /// As many as the program asks for, or all that are resident.
    pub fn asked(&self, most: u32) -> u32 {
        self.kernel.tuning.blocks.map_or(most, |n| n.number.clamp(1, i64::from(most)) as u32)
    }
}

/// CTAs of so many threads that share a multiprocessor: `least`, or as many as it takes for each rank to have one, where
/// it holds them.
pub(super) fn sharing(target: &Target, (threads, least): (u32, u32)) -> u32 {
    let needed = target.ranks_per_device.div_ceil(target.sms.max(1));
    if needed > least && threads * needed <= target.threads() { needed } else { least }
}

pub(super) fn resident(target: &Target, each: u32) -> u32 {
    (target.sms * each / target.ranks_per_device.max(1)).max(1)
}

pub(super) fn is_plan(kernel: &Kernel) -> bool {
    kernel.roles.iter().any(|r| r.kind == RoleKind::Plan)
}
