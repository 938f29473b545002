//! What a host needs to know to launch a kernel.

use super::form::Form;
use super::{KernelContract, kernel, namer};
use crate::arena::Handle;
use crate::schedule::ir::{Entry, Kernel, Op, RoleKind, Route, Schedule, Signal, SignalKind};

pub(super) fn contract(
    schedule: &Schedule,
    entry: &Entry,
    kernel: &Kernel,
    form: &Form,
) -> KernelContract {
    KernelContract {
        symbol: namer::symbol(&schedule.program, &kernel.name),
        name: kernel.name.clone(),
        entry: entry.name.clone(),
        threads: form.threads,
        grid: form.grid,
        by_position: form.by_position,
        cooperative: form.cooperative,
        shared_bytes: form.shared_bytes,
        zeroed: if form.shakes() { Vec::new() } else { opened(schedule, kernel) },
        cleared: if form.clears() {
            counters(schedule, kernel.route).map(|s| schedule.signals[s].name.clone()).collect()
        } else {
            Vec::new()
        },
        args: kernel::arguments(schedule, entry, kernel),
    }
}

/// Every counter of arrivals in a route's plan.
pub(super) fn counters(
    schedule: &Schedule,
    route: Option<Handle<Route>>,
) -> impl Iterator<Item = Handle<Signal>> {
    let own = move |s: &Signal| s.route == route && matches!(s.kind, SignalKind::Tiles);
    schedule.signals.iter().filter(move |(_, s)| own(s)).map(|(handle, _)| handle)
}

/// The counters that the handshake at the kernel's start would reset.
fn opened(schedule: &Schedule, kernel: &Kernel) -> Vec<String> {
    let open = kernel.roles.iter().filter(|r| r.kind == RoleKind::Open).flat_map(|r| &r.body);
    let reset = open.filter_map(|op| match op {
        Op::Reset { signal } => Some(schedule.signals[*signal].name.clone()),
        _ => None,
    });
    reset.collect()
}
