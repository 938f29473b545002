//! A verified schedule as CUDA text, with the contract of each launch.
//!
//! Enters: `Verified<Schedule>` and a [`Target`]. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace. Or one such text for
//! each kernel, to be compiled apart.

mod choose;
mod contract;
mod form;
mod index;
mod kernel;
mod launch;
mod namer;
mod op;
mod out;
mod staged;
mod unit;
mod workspace;

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::{Verified, ir};
pub use crate::target::{Architecture, Capability, Target};
pub use launch::{ByPosition, CudaUnit, Field, KernelContract, Workspace};
use unit::Program;

/// Prints every kernel.
///
/// # Errors
/// F0706 for more CTAs than a device holds, F0999 for sizes beyond 32-bit rows.
pub fn generate(
    schedule: &Verified<ir::Schedule>,
    target: &Target,
) -> Result<CudaUnit, Diagnostics> {
    generate_entries(schedule, target, |_| true)
}

/// Prints the kernels of the entries that are `wanted`. Plans stay those of the whole program, so that
/// entries may be compiled apart and share them.
///
/// # Errors
/// As [`generate`].
pub fn generate_entries(
    schedule: &Verified<ir::Schedule>,
    target: &Target,
    wanted: impl Fn(&str) -> bool,
) -> Result<CudaUnit, Diagnostics> {
    check_limits(schedule, target)?;
    let program = Program::new(schedule, target, wanted);
    let source = program.text(&program.kernels);
    Ok(program.unit(source))
}

/// [`generate`], and the text of each of its kernels alone, in the same order: only what that kernel uses.
/// Compiled apart they share plans, whose layout is the whole program's.
///
/// # Errors
/// As [`generate`].
pub fn generate_each(
    schedule: &Verified<ir::Schedule>,
    target: &Target,
) -> Result<(CudaUnit, Vec<String>), Diagnostics> {
    check_limits(schedule, target)?;
    let program = Program::new(schedule, target, |_| true);
    let each = program.kernels.chunks(1).map(|kernel| program.text(kernel)).collect();
    let source = program.text(&program.kernels);
    Ok((program.unit(source), each))
}

fn check_limits(schedule: &ir::Schedule, target: &Target) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    for entry in &schedule.entries {
        for kernel in entry.steps.iter().flat_map(|s| &s.alternatives).map(|a| &a.kernel) {
            let found =
                too_many(schedule, target, kernel).or_else(|| unstaged(schedule, target, kernel));
            let said = |d: &Diagnostic| diagnostics.0.iter().any(|other| other.span == d.span);
            diagnostics.0.extend(found.filter(|d| !said(d)));
        }
    }
    for (_, route) in schedule.routes.iter() {
        let tuples = route.positions_bound.saturating_mul(route.fan).saturating_mul(route.members);
        if tuples + route.groups * 128 > i64::from(i32::MAX) {
            let what = format!("{tuples} tuples, which need 64-bit rows");
            diagnostics.push(Diagnostic::unsupported(route.span, what).help("bind smaller sizes"));
        }
        if choose::plan_threads(route, target) == 0 {
            let arch = target.architecture.name;
            let what = format!("{} bins, which exceed the shared memory of {arch}", route.bins());
            let help = "take fewer groups, or write the keys that are sharded first";
            diagnostics.push(Diagnostic::unsupported(route.span, what).help(help));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
}

/// F0706: more CTAs than are resident.
fn too_many(schedule: &ir::Schedule, target: &Target, kernel: &ir::Kernel) -> Option<Diagnostic> {
    let blocks = kernel.tuning.blocks?;
    let form = choose::form(schedule, target, kernel);
    let most = choose::most_of(&form, target);
    if blocks.number <= i64::from(most) {
        return None;
    }
    let message =
        format!("{} CTAs a rank of kernel `{}` cannot be resident", blocks.number, kernel.name);
    let note = format!(
        "{} SMs x {} / {} ranks = {most}; spinning waits would hang",
        target.sms, form.resident, target.ranks_per_device
    );
    let help = format!("ask for `blocks {most}` or fewer");
    Some(Diagnostic::error("F0706", blocks.span, message).note(note).help(help))
}

/// F0999: stages that the kernel does not have.
fn unstaged(schedule: &ir::Schedule, target: &Target, kernel: &ir::Kernel) -> Option<Diagnostic> {
    let stages = kernel.tuning.stages?;
    let form = choose::form(schedule, target, kernel);
    if form::stages(&form) == Some(stages.number) {
        return None;
    }
    let arch = target.architecture.name;
    let what = format!("{} stages of kernel `{}`", stages.number, kernel.name);
    let note = match target.has(Capability::BulkCopy) {
        true => format!(
            "rows of a route pass through the {} KiB of shared memory of {arch} if they are multiples of 16 bytes and all stages fit; sums take 4 to 32 stages of rows of 8 KiB or more, and no `blocks`",
            target.shared / 1024
        ),
        false => format!("{arch} has no copy engine that takes rows through shared memory"),
    };
    let help = "leave the directive out: the compiler chooses";
    Some(Diagnostic::unsupported(stages.span, what).note(note).help(help))
}
