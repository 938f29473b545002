//! One kernel: its arguments, who it is, its roles in order.

use super::op::Emit;
use super::out::Out;
use super::{THREADS, contract, namer};
use crate::schedule::ir::{Entry, Kernel, Op, Role, RoleKind, Schedule, Signal, SignalKind, Until};
use crate::sema::hir::Io;

pub(super) fn emit(out: &mut Out, schedule: &Schedule, entry: &Entry, kernel: &Kernel) {
    let planned = kernel.route.filter(|_| contract::is_plan(kernel));
    let threads = planned.map_or(THREADS, |r| contract::plan_threads(&schedule.routes[r]));
    let symbol = namer::symbol(&schedule.program, &kernel.name);
    out.line(&format!("extern \"C\" __global__ void __launch_bounds__({threads}, 2) {symbol}("));
    let arguments: Vec<String> = arguments(schedule, entry, kernel)
        .iter()
        .map(|a| {
            format!("const {}{a}", if a.starts_with("i32") { "" } else { "__grid_constant__ " })
        })
        .collect();
    let arguments = arguments.join(",\n    ");
    out.block(&format!("    {arguments})"), |out| body(out, schedule, kernel));
    out.blank();
}

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

fn body(out: &mut Out, schedule: &Schedule, kernel: &Kernel) {
    let plan = namer::workspace_type(schedule, kernel.route);
    out.line("const i32 me = launch.first_rank + blockIdx.x / CTAS, cta = blockIdx.x % CTAS;");
    out.line(
        "const i32 lane = threadIdx.x % 32, warp = cta * (blockDim.x / 32) + threadIdx.x / 32;",
    );
    out.line("const i32 warps = CTAS * (blockDim.x / 32);");
    out.line(&format!("{plan}* plan = plans.at[me];"));
    let epochs = has_epoch(schedule, kernel);
    let counter = format!("plan->epoch_{}", epoch_name(schedule, kernel));
    if epochs {
        out.line(&format!("const u32 epoch = {counter} + 1;"));
    }
    let mut emit = Emit { out, schedule, kernel };
    for role in &kernel.roles {
        emit_role(&mut emit, role);
        if epochs && matches!(role.kind, RoleKind::Plan | RoleKind::Open) {
            publish(emit.out, role.kind, &counter);
        }
    }
}

/// Tells consumers on other streams that this launch's counters and tables may be read.
fn publish(out: &mut Out, kind: RoleKind, counter: &str) {
    out.line("// The launch is open to consumers. All CTAs of the rank have read the epoch: a barrier lies between.");
    if kind == RoleKind::Plan {
        out.line("__syncthreads();");
    }
    out.line(&format!("if (cta == 0 && threadIdx.x == 0) store_release(&{counter}, epoch);"));
}

fn emit_role(emit: &mut Emit, role: &Role) {
    emit.out.blank();
    for text in &role.text {
        emit.out.line(&format!("// {text}"));
    }
    if role.text.is_empty() {
        emit.out.line(match role.kind {
            RoleKind::Open => "// Every rank is in: peers may read and write its buffers.",
            _ => "// All rows of this rank have landed and have been read.",
        });
    }
    if role.body.is_empty() {
        return;
    }
    for op in &role.body {
        // Only the rank's last act waits for others: one CTA is enough.
        match op {
            Op::Wait { until: Until::Groups { .. }, .. } => {
                emit.out.block("if (cta == 0)", |out| {
                    Emit { out, schedule: emit.schedule, kernel: emit.kernel }.op(op);
                })
            }
            _ => emit.op(op),
        }
    }
}

fn has_epoch(schedule: &Schedule, kernel: &Kernel) -> bool {
    let epoch = |signal: &Signal| matches!(signal.kind, SignalKind::Epoch { .. });
    let mut found = false;
    for op in kernel.roles.iter().flat_map(|r| &r.body) {
        op.walk(&mut |op| {
            if let Op::Wait { signal, .. } | Op::Signal { signal, .. } = op {
                found |= epoch(&schedule.signals[*signal]);
            }
        });
    }
    found
}

/// Alternatives of a step share the epoch of the last one.
fn epoch_name<'a>(schedule: &'a Schedule, kernel: &'a Kernel) -> &'a str {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    let mut step = steps.filter(|s| s.alternatives.iter().any(|a| a.kernel.name == kernel.name));
    step.next().and_then(|s| s.alternatives.last()).map_or(&kernel.name, |a| &a.kernel.name)
}
