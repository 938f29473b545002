//! A verified schedule as CUDA text, with the contract of each launch.
//!
//! Enters: `Verified<Schedule>` and a [`Target`]. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace. Or one such text for
//! each kernel, to be compiled apart.

mod contract;
mod form;
mod index;
mod kernel;
mod namer;
mod op;
mod out;
mod unit;
mod workspace;

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::{Verified, ir};
pub use crate::target::{Architecture, Capability, Target};
use unit::Program;

/// Generated text and how to launch it.
#[derive(Clone, Debug)]
pub struct CudaUnit {
    pub source: String,
    pub kernels: Vec<KernelContract>,
    pub workspaces: Vec<Workspace>,
}

/// One launch. The arguments are, in order, the
/// `Launch` struct, the workspaces of all ranks, each tensor of the entry (one pointer a rank), each
/// `dyn` of the entry (one i32 a rank, or one).
#[derive(Clone, Debug)]
pub struct KernelContract {
    /// The symbol in the cubin.
    pub symbol: String,
    /// The schedule's kernel.
    pub name: String,
    pub entry: String,
    pub threads: u32,
    /// CTAs in x and y: those of a rank by the ranks of the device, or all of the device by 1.
    pub grid: (u32, u32),
    /// In x, as many as the rank with the most positions needs are enough.
    pub by_position: Option<ByPosition>,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    /// CTAs wait for each other: all must be resident, which a cooperative launch makes sure of.
    pub cooperative: bool,
    /// Fields of every rank's workspace that are zero when the kernel starts: counters of its arrivals.
    pub zeroed: Vec<String>,
    /// Fields of every rank's workspace that are zero when the kernel ends: all counters of arrivals.
    pub cleared: Vec<String>,
    /// The arguments in order, as `type name`.
    pub args: Vec<String>,
}

/// A grid whose CTAs are dealt to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByPosition {
    /// Positions that a CTA takes.
    pub each: u32,
    /// CTAs for what else the kernel does.
    pub least: u32,
}

impl ByPosition {
    /// CTAs in x for so many positions, at most `most`.
    pub fn ctas(self, positions: u32, most: u32) -> u32 {
        positions.div_ceil(self.each).max(self.least).min(most).max(1)
    }
}

/// The device memory of one plan on one rank, zeroed at creation.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub route: String,
    pub bytes: usize,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
}

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
            diagnostics.push(Diagnostic::error(
                "F0999",
                route.span,
                format!("not supported yet: {tuples} tuples need 64-bit rows"),
            ));
        }
        if form::plan_threads(route, target) == 0 {
            diagnostics.push(Diagnostic::error(
                "F0999",
                route.span,
                format!(
                    "not supported yet: {} bins exceed the shared memory of {}",
                    route.bins(),
                    target.architecture.name
                ),
            ));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
}

/// F0706: more CTAs than are resident.
fn too_many(schedule: &ir::Schedule, target: &Target, kernel: &ir::Kernel) -> Option<Diagnostic> {
    let blocks = kernel.tuning.blocks?;
    let form = form::Form::of(schedule, target, kernel);
    let most = form::most_of(&form, target);
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
    let form = form::Form::of(schedule, target, kernel);
    if form::stages(&form) == Some(stages.number) {
        return None;
    }
    let arch = target.architecture.name;
    let message =
        format!("not supported yet: {} stages of kernel `{}`", stages.number, kernel.name);
    let note = match target.has(Capability::BulkCopy) {
        true => format!(
            "rows of a route pass through the {} KiB of shared memory of {arch} if they are multiples of 16 bytes and all stages fit; sums take 4 to 32 stages of rows of 8 KiB or more, and no `blocks`",
            target.shared / 1024
        ),
        false => format!("{arch} has no copy engine that takes rows through shared memory"),
    };
    let help = "leave the directive out: the compiler chooses";
    Some(Diagnostic::error("F0999", stages.span, message).note(note).help(help))
}
