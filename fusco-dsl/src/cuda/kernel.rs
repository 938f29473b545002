//! One kernel: its arguments, who it is, its roles in order.

use super::op::Emit;
use super::out::Out;
use super::{contract, namer};
use crate::kernel::{DeviceKernel, DeviceRole, Form, Strategy, Told};
use crate::schedule::ir::{Op, RoleKind, Schedule, Until};

pub(super) fn emit(out: &mut Out, schedule: &Schedule, kernel: &DeviceKernel) {
    let (symbol, form) = (namer::symbol(&schedule.program, &kernel.name), &kernel.form);
    out.line(&format!(
        "extern \"C\" __global__ void __launch_bounds__({}, {}) {symbol}(",
        form.threads, form.resident
    ));
    let arguments: Vec<String> = contract::arguments(schedule, kernel)
        .iter()
        .map(|a| {
            format!("const {}{a}", if a.starts_with("i32") { "" } else { "__grid_constant__ " })
        })
        .collect();
    let arguments = arguments.join(",\n    ");
    out.block(&format!("    {arguments})"), |out| body(out, schedule, kernel));
    out.blank();
}

fn body(out: &mut Out, schedule: &Schedule, kernel: &DeviceKernel) {
    let mut roles = out.beside();
    emit_roles(&mut roles, schedule, kernel);
    identity(out, &kernel.form, &roles);
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
    match form.flat {
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

fn emit_roles(out: &mut Out, schedule: &Schedule, kernel: &DeviceKernel) {
    let counter = kernel.epoch.as_ref().map(|e| (format!("plan->epoch_{}", e.kernel), e.told));
    match &counter {
        Some((counter, Told::Awaited)) => out.line(&format!("const u32 epoch = {counter} + 1;")),
        Some((counter, Told::AtStart)) => {
            out.line("// The launch is open to consumers: its counters were zeroed before it.");
            out.line(&format!(
                "if (cta == 0 && threadIdx.x == 0) store_release(&{counter}, {counter} + 1);"
            ));
        }
        Some((_, Told::Never)) | None => {}
    }
    let mut emit = Emit { out, schedule, kernel, form: &kernel.form };
    for role in &kernel.roles {
        emit_role(&mut emit, role);
        if let Some((counter, _)) = counter.as_ref().filter(|_| role.publishes) {
            publish(emit.out, role.kind, counter);
        }
    }
    if matches!(kernel.strategy, Strategy::Bulk(_) | Strategy::Once(_)) {
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

fn emit_role(emit: &mut Emit, role: &DeviceRole) {
    emit.out.blank();
    for text in &role.text {
        emit.out.line(&format!("// {text}"));
    }
    if role.text.is_empty() {
        emit.out.line(match role.kind {
            RoleKind::Open => "// Every rank is in: peers may read and write its buffers.",
            RoleKind::Meet => "// Every rank has put to its peers what follows reads.",
            _ => "// All rows of this rank have landed and have been read.",
        });
    }
    if role.ops.is_empty() {
        return;
    }
    if role.own_ctas {
        emit.out.block("if (cta < CTAS)", |out| emit_ops(&mut Emit { out, ..*emit }, role));
    } else {
        emit_ops(emit, role);
    }
}

fn emit_ops(emit: &mut Emit, role: &DeviceRole) {
    for op in &role.ops {
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
