//! A verified schedule as CUDA text, with the contract of each launch.
//!
//! Enters: `Verified<Schedule>` and a [`Target`]. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace. Or one such text for
//! each kernel, to be compiled apart.

mod contract;
mod index;
mod kernel;
mod namer;
mod op;
mod out;
mod unit;
mod workspace;

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::{Verified, ir};
use unit::Program;

/// The machine that the text is specialised for.
#[derive(Clone, Debug)]
pub struct Target {
    /// NVRTC's name of the architecture, as `sm_90a`.
    pub arch: String,
    /// Multiprocessors of a device.
    pub sms: u32,
    /// Ranks that share a device, and so a launch.
    pub ranks_per_device: u32,
}

/// Generated text and how to launch it.
#[derive(Clone, Debug)]
pub struct CudaUnit {
    pub source: String,
    pub kernels: Vec<KernelContract>,
    pub workspaces: Vec<Workspace>,
}

/// One launch: `ranks_here * ctas_per_rank` CTAs. The arguments are, in order, the
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
    pub ctas_per_rank: u32,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    /// CTAs wait for each other: all must be resident, which a cooperative launch makes sure of.
    pub cooperative: bool,
    /// The arguments in order, as `type name`.
    pub args: Vec<String>,
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

/// Threads of a CTA; two CTAs share a multiprocessor.
pub(crate) const THREADS: u32 = 512;
const CTAS_PER_SM: u32 = 2;
/// The same for movements without a route.
pub(crate) const MOVE_THREADS: u32 = 256;
pub(crate) const MOVE_CTAS_PER_SM: u32 = 4;
/// CTAs of a rank in one launch, at most.
const MOST_CTAS: i64 = 1 << 20;

/// How CTAs are dealt to ranks.
pub(crate) struct Grid {
    /// CTAs of a rank in kernels over a route.
    pub routed: u32,
    /// All ranks share every launch, whose start and end are then all the handshake there is to make.
    pub alone: bool,
}

impl Target {
    /// One H100 or H200 holding all ranks.
    pub fn hopper(ranks_per_device: u32) -> Target {
        Target { arch: "sm_90a".into(), sms: 132, ranks_per_device }
    }

    /// CTAs of a rank, so that all CTAs of a device are resident at once.
    pub(crate) fn ctas_per_rank(&self) -> u32 {
        (self.sms * CTAS_PER_SM / self.ranks_per_device.max(1)).max(1)
    }
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

/// Every kernel of a program has the same grid, so that workspaces fit all of them.
fn ctas(schedule: &ir::Schedule, target: &Target) -> u32 {
    let asked = schedule
        .entries
        .iter()
        .flat_map(|e| &e.steps)
        .flat_map(|s| &s.alternatives)
        .filter_map(|a| a.kernel.tuning.blocks)
        .min();
    asked.map_or(target.ctas_per_rank(), |n| n.clamp(1, i64::from(target.ctas_per_rank())) as u32)
}

/// CTAs of a rank in a movement. Where nothing waits, one for each piece of the largest role: the device
/// deals them in order, which keeps neighbours in memory together (2 to 4 % over a loop of resident CTAs).
/// Else as many as are resident at once.
fn move_ctas(schedule: &ir::Schedule, target: &Target, kernel: &ir::Kernel, alone: bool) -> u32 {
    let most = (target.sms * MOVE_CTAS_PER_SM / target.ranks_per_device.max(1)).max(1);
    match kernel.tuning.blocks {
        Some(asked) => asked.clamp(1, i64::from(most)) as u32,
        None if alone => contract::pieces(schedule, kernel).clamp(1, MOST_CTAS) as u32,
        None => most,
    }
}

fn check_limits(schedule: &ir::Schedule, target: &Target) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let most = i64::from(target.ctas_per_rank());
    for entry in &schedule.entries {
        for alternative in entry.steps.iter().flat_map(|s| &s.alternatives) {
            if let Some(blocks) = alternative.kernel.tuning.blocks.filter(|b| *b > most) {
                diagnostics.push(
                    Diagnostic::error(
                        "F0706",
                        entry.span,
                        format!("{blocks} CTAs a rank cannot be resident"),
                    )
                    .note(format!(
                        "{} SMs x {CTAS_PER_SM} / {} ranks = {most}; spinning waits would hang",
                        target.sms, target.ranks_per_device
                    ))
                    .help(format!("ask for `blocks {most}` or fewer")),
                );
            }
        }
    }
    for (_, route) in schedule.routes.iter() {
        let tuples = route.positions_bound.saturating_mul(route.fan).saturating_mul(schedule.ranks);
        if tuples + route.groups * 128 > i64::from(i32::MAX) {
            diagnostics.push(Diagnostic::error(
                "F0999",
                route.span,
                format!("not supported yet: {tuples} tuples need 64-bit rows"),
            ));
        }
        if contract::plan_threads(route) == 0 {
            diagnostics.push(Diagnostic::error(
                "F0999",
                route.span,
                format!("not supported yet: {} bins exceed shared memory", route.bins()),
            ));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
}
