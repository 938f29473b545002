//! One kernel: its arguments, who it is, its roles in order.

use super::form::{Form, Work};
use super::op::Emit;
use super::out::Out;
use super::{contract, namer};
use crate::schedule::ir::{Entry, Kernel, Op, Role, RoleKind, Schedule, Signal, SignalKind, Until};

pub(super) fn emit(
    out: &mut Out,
    schedule: &Schedule,
    (entry, kernel): (&Entry, &Kernel),
    form: &Form,
) {
    let symbol = namer::symbol(&schedule.program, &kernel.name);
    out.line(&format!(
        "extern \"C\" __global__ void __launch_bounds__({}, {}) {symbol}(",
        form.threads, form.resident
    ));
    let arguments: Vec<String> = contract::arguments(schedule, entry, kernel)
        .iter()
        .map(|a| {
            format!("const {}{a}", if a.starts_with("i32") { "" } else { "__grid_constant__ " })
        })
        .collect();
    let arguments = arguments.join(",\n    ");
    out.block(&format!("    {arguments})"), |out| body(out, schedule, kernel, form));
    out.blank();
}

fn body(out: &mut Out, schedule: &Schedule, kernel: &Kernel, form: &Form) {
    let mut roles = out.beside();
    emit_roles(&mut roles, schedule, kernel, form);
    identity(out, form, &roles);
    if roles.mentions("plan") {
        let workspace = namer::workspace_type(schedule, kernel.route);
        out.line(&format!("{workspace}* plan = plans.at[me];"));
    }
    out.append(roles);
}

/// Which rank and CTA this is, and what else the roles read of it.
fn identity(out: &mut Out, form: &Form, roles: &Out) {
    match form.by_position {
        Some(by) => {
            let each =
                if by.each == 1 { "a position".into() } else { format!("{} positions", by.each) };
            out.line(&format!("const i32 CTAS = gridDim.x;  // of one rank, each with {each}"));
        }
        None => out.line(&format!("constexpr i32 CTAS = {};  // of one rank", form.ctas_per_rank)),
    }
    match form.is_flat() {
        true => out.line("const i32 me = blockIdx.x % RANKS, cta = blockIdx.x / RANKS;"),
        false => out.line("const i32 me = launch.first_rank + blockIdx.y, cta = blockIdx.x;"),
    }
    if roles.mentions("lane") {
        out.line("const i32 lane = threadIdx.x % 32;");
    }
    if roles.mentions("warp") {
        out.line("const i32 warp = cta * (blockDim.x / 32) + threadIdx.x / 32;");
        out.line("const i32 warps = CTAS * (blockDim.x / 32);");
    }
}

fn emit_roles(out: &mut Out, schedule: &Schedule, kernel: &Kernel, form: &Form) {
    let counter = format!("plan->epoch_{}", epoch_name(schedule, kernel));
    let epochs = has_epoch(schedule, kernel);
    if epochs && form.shakes() {
        out.line(&format!("const u32 epoch = {counter} + 1;"));
    } else if epochs && kernel.route.is_some() {
        out.line("// The launch is open to consumers: its counters were zeroed before it.");
        out.line(&format!(
            "if (cta == 0 && threadIdx.x == 0) store_release(&{counter}, {counter} + 1);"
        ));
    }
    let mut emit = Emit { out, schedule, kernel, form };
    let handshake = |r: &&Role| matches!(r.kind, RoleKind::Open | RoleKind::Close);
    for role in kernel.roles.iter().filter(|r| form.shakes() || !handshake(r)) {
        emit_role(&mut emit, role);
        if epochs && form.shakes() && matches!(role.kind, RoleKind::Plan | RoleKind::Open) {
            publish(emit.out, role.kind, &counter);
        }
    }
    if matches!(form.work, Work::Bulk(_)) {
        emit.out.line("wait_bulk_read<0>();  // the rows leave shared memory before the CTA does");
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
    if emit.form.is_flat() && !matches!(role.kind, RoleKind::Produce | RoleKind::Reduce) {
        emit.out.block("if (cta < CTAS)", |out| emit_ops(&mut Emit { out, ..*emit }, role));
    } else {
        emit_ops(emit, role);
    }
}

fn emit_ops(emit: &mut Emit, role: &Role) {
    let clears = emit.form.clears() && role.kind == RoleKind::Plan;
    if clears {
        let (schedule, route) = (emit.schedule, emit.kernel.route);
        contract::counters(schedule, route).for_each(|signal| emit.op(&Op::Reset { signal }));
    }
    for op in role.body.iter().filter(|op| !(clears && matches!(op, Op::Reset { .. }))) {
        // Only the rank's last act waits for others: one CTA is enough.
        match op {
            Op::Wait { until: Until::Groups { .. }, .. } => {
                emit.out.block("if (cta == 0)", |out| {
                    Emit { out, ..*emit }.op(op);
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
