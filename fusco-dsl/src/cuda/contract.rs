//! Threads, grid and shared memory of a kernel.

use super::{KernelContract, MOVE_THREADS, THREADS, namer};
use crate::schedule::ir::{Entry, Kernel, RoleKind, Route, Schedule};

/// Shared memory that lets two CTAs share a multiprocessor, bytes.
const SHARED_LIMIT: i64 = 112 * 1024;

pub(super) fn contract(
    schedule: &Schedule,
    entry: &Entry,
    kernel: &Kernel,
    (ctas, cooperative): (u32, bool),
) -> KernelContract {
    let plan = kernel.route.filter(|_| is_plan(kernel)).map(|r| &schedule.routes[r]);
    let threads = threads(schedule, kernel);
    KernelContract {
        symbol: namer::symbol(&schedule.program, &kernel.name),
        name: kernel.name.clone(),
        entry: entry.name.clone(),
        threads,
        ctas_per_rank: ctas,
        cooperative,
        shared_bytes: plan.map_or(0, |r| shared_words(r, threads) * 4) as u32,
        args: super::kernel::arguments(schedule, entry, kernel),
    }
}

/// Threads of a kernel's CTAs.
pub(super) fn threads(schedule: &Schedule, kernel: &Kernel) -> u32 {
    match kernel.route {
        None => MOVE_THREADS,
        Some(route) if is_plan(kernel) => plan_threads(&schedule.routes[route]),
        Some(_) => THREADS,
    }
}

/// CTAs that have something to do in the largest role of a movement.
pub(super) fn pieces(schedule: &Schedule, kernel: &Kernel) -> i64 {
    let ops = kernel.roles.iter().flat_map(|r| &r.body);
    ops.map(|op| super::op::pieces(schedule, op)).max().unwrap_or(1)
}

pub(super) fn is_plan(kernel: &Kernel) -> bool {
    kernel.roles.iter().any(|r| r.kind == RoleKind::Plan)
}

/// A histogram for each warp, the starts of all bins, and the live rows of all groups.
fn shared_words(route: &Route, threads: u32) -> i64 {
    (i64::from(threads / 32) + 1) * route.bins() + route.groups
}

/// As many warps as shared memory has histograms for; 0 if it has none.
pub(super) fn plan_threads(route: &Route) -> u32 {
    [512, 256, 128, 64, 32]
        .into_iter()
        .find(|t| shared_words(route, *t) * 4 <= SHARED_LIMIT)
        .unwrap_or(0)
}
