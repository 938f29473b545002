//! What a host needs to know to launch a kernel.

use super::launch::KernelContract;
use super::namer;
use crate::arena::Handle;
use crate::kernel::DeviceKernel;
use crate::schedule::ir::{Schedule, Signal};
use crate::sema::hir::Io;

pub(super) fn contract(schedule: &Schedule, kernel: &DeviceKernel) -> KernelContract {
    let form = &kernel.form;
    let names = |all: &[Handle<Signal>]| {
        all.iter().map(|signal| schedule.signals[*signal].name.clone()).collect()
    };
    KernelContract {
        symbol: namer::symbol(&schedule.program, &kernel.name),
        name: kernel.name.clone(),
        entry: schedule.entries[kernel.entry].name.clone(),
        threads: form.threads,
        grid: form.grid,
        by_position: form.by_position,
        cooperative: form.cooperative,
        shared_bytes: form.shared_bytes,
        zeroed: names(&kernel.zeroed),
        cleared: names(&kernel.cleared),
        args: arguments(schedule, kernel),
    }
}

/// The arguments of a kernel in order, as `type name`.
pub(super) fn arguments(schedule: &Schedule, kernel: &DeviceKernel) -> Vec<String> {
    let entry = &schedule.entries[kernel.entry];
    let plan = namer::workspace_type(schedule, kernel.route);
    let mut out = vec!["Launch launch".to_string(), format!("Ranks<{plan}> plans")];
    for tensor in entry.operands().map(|t| &schedule.tensors[t]) {
        let constness = if tensor.io == Io::In { "const " } else { "" };
        out.push(format!("Ranks<{constness}{}> {}", tensor.elem.name(), namer::name(&tensor.name)));
    }
    for d in entry.dyns.iter().map(|d| &schedule.dyns[*d]) {
        let name = namer::name(&d.name);
        out.push(if d.per_rank { format!("Values {name}") } else { format!("i32 {name}") });
    }
    out
}
