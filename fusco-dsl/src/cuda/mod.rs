//! A verified schedule as CUDA text, with the contract of each launch.
//!
//! Enters: `Verified<Schedule>` and a [`Target`]. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace.

mod contract;
mod form;
mod index;
mod kernel;
mod namer;
mod op;
mod out;
mod workspace;

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::{Verified, ir};
use form::Form;
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
    /// A CTA takes one position: in x as many as the rank with the most positions has are enough.
    pub by_position: bool,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    /// CTAs wait for each other: all must be resident, which a cooperative launch makes sure of.
    pub cooperative: bool,
    /// Fields of every rank's workspace that are zero when the kernel starts: counters of its arrivals.
    pub zeroed: Vec<String>,
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

impl Target {
    /// One H100 or H200 holding all ranks.
    pub fn hopper(ranks_per_device: u32) -> Target {
        Target { arch: "sm_90a".into(), sms: 132, ranks_per_device }
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
    let ctas = form::routed_ctas(schedule, target);
    let workspaces = workspace::workspaces(schedule, ctas);
    let mut out = Out::default();
    header(&mut out, schedule, target);
    out.line(&format!("constexpr int RANKS = {};", schedule.ranks));
    if !schedule.routes.is_empty() {
        out.line(&format!(
            "constexpr int CTAS = {ctas};  // of one rank, where routes are planned"
        ));
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
            let form = Form::of(schedule, target, kernel);
            kernel::emit(&mut out, schedule, (entry, kernel), &form);
            kernels.push(contract::contract(schedule, entry, kernel, &form));
        }
    }
    Ok(CudaUnit { source: out.finish(), kernels, workspaces })
}

fn header(out: &mut Out, schedule: &ir::Schedule, target: &Target) {
    let params: Vec<String> = schedule.params.iter().map(|(n, v)| format!("{n} = {v}")).collect();
    out.line(&format!("// {} for {}: {}", schedule.program, target.arch, params.join(", ")));
    out.line("// Generated by fusco. One launch serves all ranks of a device: blockIdx.y counts them, blockIdx.x the CTAs of one.");
    out.blank();
}

fn parts(schedule: &ir::Schedule) -> Vec<Part> {
    let routed = !schedule.routes.is_empty();
    let mut used = vec![Part::Types, Part::Launch, Part::Sync, Part::Barrier, Part::Rows];
    used.extend(routed.then_some(Part::Shuffle));
    let (mut convert, mut cast, mut scan, mut valid) = (false, false, false, false);
    let mut route = false;
    let kernels = schedule.entries.iter().flat_map(|e| &e.steps).flat_map(|s| &s.alternatives);
    let bulk = kernels.map(|a| &a.kernel).any(|k| op::bulk::staged(schedule, k).is_some());
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
    used.extend(bulk.then_some(Part::Bulk));
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
    let most = i64::from(form::most_ctas(target));
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
                        "{} SMs x 2 / {} ranks = {most}; spinning waits would hang",
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
        if form::plan_threads(route) == 0 {
            diagnostics.push(Diagnostic::error(
                "F0999",
                route.span,
                format!("not supported yet: {} bins exceed shared memory", route.bins()),
            ));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
}
