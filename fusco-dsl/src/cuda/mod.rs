//! A verified schedule as CUDA text, with the contract of each launch.
//!
//! Enters: `Verified<Schedule>` and a [`Target`]. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace.

mod contract;
mod index;
mod kernel;
mod namer;
mod op;
mod out;
mod workspace;

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::{Verified, ir};
use kernels_templates::{PRELUDE, Part};
use out::Out;

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
    let ctas = ctas(schedule, target);
    let grid = Grid { routed: ctas, alone: i64::from(target.ranks_per_device) >= schedule.ranks };
    let workspaces = workspace::workspaces(schedule, ctas);
    let mut out = Out::default();
    header(&mut out, schedule, target);
    out.line(&format!("constexpr int RANKS = {};", schedule.ranks));
    if !schedule.routes.is_empty() {
        out.line(&format!("constexpr int CTAS = {ctas};  // of one rank"));
    }
    out.blank();
    let used = parts(schedule);
    for (part, text) in PRELUDE.iter().filter(|(part, _)| used.contains(part)) {
        out.raw(text);
        if *part == Part::Launch {
            out.blank();
        }
        out.blank();
    }
    for ((handle, route), workspace) in schedule.routes.iter().zip(&workspaces) {
        workspace::emit_route(&mut out, route);
        workspace::emit_workspace(&mut out, schedule, handle, workspace, ctas);
    }
    workspace::emit_tables(&mut out, schedule);
    if let Some(home) = workspaces.iter().find(|w| w.route.is_empty()) {
        workspace::emit_home(&mut out, schedule, home);
    }
    let mut kernels = Vec::new();
    for entry in schedule.entries.iter().filter(|e| wanted(&e.name)) {
        for alternative in entry.steps.iter().flat_map(|s| &s.alternatives) {
            let kernel = &alternative.kernel;
            let ctas = match kernel.route {
                Some(_) => grid.routed,
                None => move_ctas(schedule, target, kernel, grid.alone),
            };
            kernel::emit(&mut out, schedule, (entry, kernel), &grid, ctas);
            let spins = kernel.route.is_some() || !grid.alone;
            kernels.push(contract::contract(schedule, entry, kernel, (ctas, spins)));
        }
    }
    Ok(CudaUnit { source: out.finish(), kernels, workspaces })
}

fn header(out: &mut Out, schedule: &ir::Schedule, target: &Target) {
    let params: Vec<String> = schedule.params.iter().map(|(n, v)| format!("{n} = {v}")).collect();
    out.line(&format!("// {} for {}: {}", schedule.program, target.arch, params.join(", ")));
    out.line("// Generated by fusco. Each kernel serves all ranks of a device in one cooperative launch.");
    out.blank();
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

fn parts(schedule: &ir::Schedule) -> Vec<Part> {
    let routed = !schedule.routes.is_empty();
    let mut used = vec![Part::Types, Part::Launch, Part::Sync, Part::Barrier, Part::Rows];
    used.extend(routed.then_some(Part::Shuffle));
    let (mut convert, mut cast, mut scan, mut valid) = (false, false, false, false);
    let mut route = false;
    for role in schedule
        .entries
        .iter()
        .flat_map(|e| &e.steps)
        .flat_map(|s| &s.alternatives)
        .flat_map(|a| &a.kernel.roles)
    {
        for op in &role.body {
            op.walk(&mut |op| {
                convert |= matches!(
                    op,
                    ir::Op::Reduce { .. } | ir::Op::Put { value: ir::Value::Scaled { .. }, .. }
                );
                cast |= matches!(op, ir::Op::Put { value: ir::Value::Cast(..), .. });
                cast |= matches!(op, ir::Op::Tile(tile) if tile.cast.is_some());
                cast |= matches!(op, ir::Op::Reduce { .. }) && !routed;
                scan |= matches!(op, ir::Op::Prefix { .. });
                valid |= op.guards().iter().any(|g| matches!(g, ir::Guard::Valid { .. }));
                route |= matches!(op, ir::Op::Count { .. });
            });
        }
    }
    used.extend((convert || cast).then_some(Part::Convert));
    used.extend(cast.then_some(Part::Cast));
    used.extend(schedule.tensors.iter().any(|(_, t)| t.swizzle.is_some()).then_some(Part::Swizzle));
    used.extend(scan.then_some(Part::Scan));
    used.extend(valid.then_some(Part::Valid));
    used.extend((route || !schedule.routes.is_empty()).then_some(Part::Route));
    used
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
