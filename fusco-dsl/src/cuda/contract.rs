//! What a host needs to know to launch a kernel.

use super::form::Form;
use super::launch::KernelContract;
use super::namer;
use crate::arena::Handle;
use crate::schedule::ir::{Entry, Kernel, Op, RoleKind, Route, Schedule, Signal, SignalKind};
use crate::sema::hir::Io;

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
        args: arguments(schedule, entry, kernel),
    }
}

/// The arguments of a kernel in order, as `type name`.
pub(super) fn arguments(schedule: &Schedule, entry: &Entry, kernel: &Kernel) -> Vec<String> {
    let plan = namer::workspace_type(schedule, kernel.route);
    let mut out = vec!["Launch launch".to_string(), format!("Ranks<{plan}> plans")];
    for tensor in entry.tensors.iter().map(|t| &schedule.tensors[*t]) {
        let constness = if tensor.io == Io::In { "const " } else { "" };
        out.push(format!("Ranks<{constness}{}> {}", tensor.elem.name(), namer::name(&tensor.name)));
    }
    for d in entry.dyns.iter().map(|d| &schedule.dyns[*d]) {
        let name = namer::name(&d.name);
        out.push(if d.per_rank { format!("Values {name}") } else { format!("i32 {name}") });
    }
    out
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
