//! One kernel: its arguments, who it is, its roles in order.

use super::op::Emit;
use super::out::Out;
use super::{CTAS_PER_SM, Grid, MOVE_CTAS_PER_SM, contract, namer};
use crate::schedule::ir::{
    Entry, Ix, Kernel, Op, Role, RoleKind, Schedule, Signal, SignalKind, Table, TableKind, Until,
};
use crate::sema::hir::Io;

pub(super) fn emit(
    out: &mut Out,
    schedule: &Schedule,
    (entry, kernel): (&Entry, &Kernel),
    grid: &Grid,
    ctas: u32,
) {
    let threads = contract::threads(schedule, kernel);
    let symbol = namer::symbol(&schedule.program, &kernel.name);
    let resident = if kernel.route.is_none() { MOVE_CTAS_PER_SM } else { CTAS_PER_SM };
    out.line(&format!(
        "extern \"C\" __global__ void __launch_bounds__({threads}, {resident}) {symbol}("
    ));
    let arguments: Vec<String> = arguments(schedule, entry, kernel)
        .iter()
        .map(|a| {
            format!("const {}{a}", if a.starts_with("i32") { "" } else { "__grid_constant__ " })
        })
        .collect();
    let arguments = arguments.join(",\n    ");
    out.block(&format!("    {arguments})"), |out| body(out, schedule, kernel, (grid, ctas)));
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

fn body(out: &mut Out, schedule: &Schedule, kernel: &Kernel, (grid, ctas): (&Grid, u32)) {
    let workspace = namer::workspace_type(schedule, kernel.route);
    if kernel.route.is_none() {
        out.line(&format!("constexpr i32 CTAS = {ctas};  // of one rank"));
    }
    out.line("const i32 me = launch.first_rank + blockIdx.x / CTAS, cta = blockIdx.x % CTAS;");
    if kernel.route.is_some() {
        out.line(
            "const i32 lane = threadIdx.x % 32, warp = cta * (blockDim.x / 32) + threadIdx.x / 32;",
        );
        out.line("const i32 warps = CTAS * (blockDim.x / 32);");
    }
    let alone = kernel.route.is_none() && grid.alone;
    if !alone || looks_up(schedule, kernel) {
        out.line(&format!("{workspace}* plan = plans.at[me];"));
    }
    if alone {
        let mut emit = Emit { out, schedule, kernel };
        let handshake = |r: &&Role| !matches!(r.kind, RoleKind::Open | RoleKind::Close);
        kernel.roles.iter().filter(handshake).for_each(|role| emit_role(&mut emit, role));
        return;
    }
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

/// Whether the kernel reads or writes a table of its workspace.
fn looks_up(schedule: &Schedule, kernel: &Kernel) -> bool {
    let computed = |table: &Table| matches!(table.kind, TableKind::Computed);
    let mut found = false;
    for op in kernel.roles.iter().flat_map(|r| &r.body) {
        op.walk(&mut |op| {
            found |= matches!(op, Op::Prefix { .. } | Op::Positions { .. });
            for access in op.accesses() {
                let mut see = |ix: &Ix| {
                    if let Ix::Lookup { table, .. } = ix {
                        found |= computed(&schedule.tables[*table]);
                    }
                };
                access.rank.walk(&mut see);
                access.row.walk(&mut see);
            }
        });
    }
    found
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
