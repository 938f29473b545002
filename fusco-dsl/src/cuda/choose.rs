//! The form of each kernel: which strategy takes its work, by what it moves and what the target has.

use super::Target;
use super::form::{Form, Work};
use super::launch::ByPosition;
use super::op::tile::is_large;
use super::op::{bulk, grid, points, reduce, ring};
use super::staged::{Ring, Staged};
use crate::arena::Handle;
use crate::schedule::ir::{Guard, Kernel, Op, RoleKind, Route, Schedule, Tile};

/// Threads of a CTA that plans, or whose warps take a position each; two share a multiprocessor.
const THREADS: u32 = 512;
const CTAS_PER_SM: u32 = 2;
/// Threads of a CTA whose warps take short rows, and such CTAs of a multiprocessor.
const SHORT: (u32, u32) = (256, 4);
/// Threads of a CTA of a movement without a route, and such CTAs of a multiprocessor.
const MOVE: (u32, u32) = (256, 4);
/// The same for large tiles.
const MOVE_LARGE: (u32, u32) = (512, 2);
/// Turns of a CTA of a movement whose points read where they lie, and may have no part: pages of one H200, lengths of 9
/// to 64 of 64 pages: 76.5 % of a copy with one turn, 84.5 with 2, 90.9 with 4, 88.8 with 8, 84.4 with 16.
const READING_TURNS: i64 = 4;
/// CTAs of a rank in one launch, at most.
const MOST_CTAS: i64 = 1 << 20;
/// Tuples of a thread that plans, where there are enough.
const TUPLES: i64 = 2;
/// Positions of a warp that takes short rows, at most.
const MOST_POSITIONS: u32 = 1 << 20;
/// Registers of a multiprocessor allow so many threads with 42 each, which the sum of a CTA's rows needs.
const TEAM_THREADS: u32 = 1536;

/// Positions of a CTA from which on its rows pass through a ring: with 8 an earlier ring was slower than a CTA for each
/// position, with 124 and more it is quicker; between them nothing was measured.
const RING_POSITIONS: i64 = 16;
/// The same where peers are on other devices: with 15 it was 3 %, with 31 7 % quicker; fewer were not measured.
const RING_POSITIONS_APART: i64 = 15;

/// The form of a kernel.
pub(super) fn form(schedule: &Schedule, target: &Target, kernel: &Kernel) -> Form {
    let alone = i64::from(target.ranks_per_device) >= schedule.ranks;
    let Some(handle) = kernel.route else { return moves(schedule, target, kernel, alone) };
    let route = &schedule.routes[handle];
    let warps = Form {
        work: Work::Warps,
        threads: THREADS,
        resident: CTAS_PER_SM,
        ctas_per_rank: 0,
        grid: (0, target.ranks_per_device),
        by_position: None,
        shared_bytes: 0,
        cooperative: !alone,
        alone,
    }
    .with(asked(kernel, most_ctas(target)));
    if is_plan(kernel) {
        warps.with(plan_ctas(schedule, target, handle)).plan(route, target)
    } else if let Some(staged) = bulk::staged(schedule, target, kernel, alone) {
        warps.bulk(route, target, kernel, staged)
    } else if let Some(ring) =
        ring::ring(schedule, target, kernel, alone).filter(|_| warps.rings(target, kernel, route))
    {
        warps.ring(target, ring)
    } else if let Some(team) = reduce::team(schedule, kernel) {
        warps.team(route, target, kernel, team)
    } else {
        warps.short(route, target, kernel)
    }
}

impl Form {
    /// With so many CTAs a rank.
    fn with(self, ctas_per_rank: u32) -> Form {
        Form { ctas_per_rank, grid: (ctas_per_rank, self.grid.1), ..self }
    }

    fn plan(self, route: &Route, target: &Target) -> Form {
        let threads = plan_threads(route, target);
        let shared_bytes = (shared_words(route, threads) * 4) as u32;
        Form { work: Work::Plan, threads, shared_bytes, cooperative: true, ..self }
    }

    /// Where all ranks share the launch, its CTAs are dealt to positions of any rank: none is left over.
    fn bulk(self, route: &Route, target: &Target, kernel: &Kernel, staged: Staged) -> Form {
        let each = asked(kernel, resident(target, 1));
        let ranks = target.ranks_per_device;
        let all = if kernel.tuning.blocks.is_some() { each * ranks } else { target.sms.max(ranks) };
        let positions = route.positions_bound.saturating_mul(i64::from(ranks));
        let turns = positions > i64::from(all) * staged.rows;
        let form = Form {
            threads: bulk::THREADS,
            resident: 1,
            shared_bytes: staged.bytes() as u32,
            work: Work::Bulk(staged),
            // One turn needs no barrier.
            cooperative: !self.alone || turns,
            ..self.with(each)
        };
        if form.alone { Form { grid: (all, 1), ..form } } else { form }
    }

    /// Whether a ring of rows pays: each CTA has positions enough.
    fn rings(&self, target: &Target, kernel: &Kernel, route: &Route) -> bool {
        let positions = route.positions_bound.saturating_mul(i64::from(target.ranks_per_device));
        let each = positions / i64::from(target.sms.max(1));
        let least = if self.alone { RING_POSITIONS } else { RING_POSITIONS_APART };
        let pays = each >= least || kernel.tuning.stages.is_some();
        kernel.tuning.blocks.is_none() && pays
    }

    /// Where all ranks share the launch, CTAs are dealt to positions of any rank, as those of [`Form::bulk`].
    fn ring(self, target: &Target, ring: Ring) -> Form {
        let ranks = target.ranks_per_device;
        let form = Form {
            threads: ring.threads(),
            resident: 1,
            shared_bytes: ring.bytes() as u32,
            work: Work::Ring(ring),
            ..self.with(resident(target, 1))
        };
        if form.alone { Form { grid: (target.sms.max(ranks), 1), ..form } } else { form }
    }

    fn team(
        self,
        route: &Route,
        target: &Target,
        kernel: &Kernel,
        (threads, positions): (u32, u32),
    ) -> Form {
        let each = (TEAM_THREADS / threads).max(1);
        let work = if positions == 1 { Work::Team } else { Work::Warps };
        let form = Form { work, threads, resident: each, ..self };
        form.dealt(
            route,
            kernel,
            asked(kernel, resident(target, each)),
            ByPosition { each: positions, least: 1 },
        )
    }

    /// Rows that are too short for the copy engine, or that change on the way.
    fn short(self, route: &Route, target: &Target, kernel: &Kernel) -> Form {
        let (threads, each) = SHORT;
        let form = Form { threads, resident: each, ..self };
        let most = asked(kernel, resident(target, each));
        let warps = threads / 32;
        let chunk = kernel.tuning.chunk.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX));
        // A warp takes as many as it may between two signals.
        let each = (chunk / warps).clamp(1, MOST_POSITIONS) * warps;
        form.dealt(route, kernel, most, ByPosition { each, least: most })
    }

    /// CTAs for all positions, dealt in order, where nothing waits and the program asks for no number of them.
    /// Else those that are resident.
    fn dealt(self, route: &Route, kernel: &Kernel, most: u32, by: ByPosition) -> Form {
        if !self.alone || kernel.tuning.blocks.is_some() {
            return self.with(most);
        }
        let positions = u32::try_from(route.positions_bound).unwrap_or(u32::MAX);
        let ctas = by.ctas(positions, MOST_CTAS as u32);
        Form { by_position: Some(by), ..self.with(ctas) }
    }
}

/// CTAs of a movement. Where nothing waits, one for each piece of the largest role: the device deals them in
/// order, which keeps neighbours in memory together (2 to 4 % over a loop of resident CTAs). Else as many as
/// are resident at once.
fn moves(schedule: &Schedule, target: &Target, kernel: &Kernel, alone: bool) -> Form {
    let (threads, each) =
        if tiles(kernel).any(|t| is_large(schedule, t)) { MOVE_LARGE } else { MOVE };
    let most = resident(target, each);
    let ctas_per_rank = match kernel.tuning.blocks {
        Some(_) => asked(kernel, most),
        None if alone => pieces(schedule, kernel, threads).clamp(1, MOST_CTAS) as u32,
        None => most,
    };
    let (work, resident) = (Work::Moves, each);
    Form {
        work,
        threads,
        resident,
        ctas_per_rank,
        grid: (ctas_per_rank, target.ranks_per_device),
        by_position: None,
        shared_bytes: 0,
        cooperative: !alone,
        alone,
    }
}

fn tiles(kernel: &Kernel) -> impl Iterator<Item = &Tile> {
    kernel.roles.iter().flat_map(|r| &r.body).filter_map(|op| match op {
        Op::Tile(tile) => Some(&**tile),
        _ => None,
    })
}

/// CTAs that have something to do in the largest role of a movement.
fn pieces(schedule: &Schedule, kernel: &Kernel, threads: u32) -> i64 {
    let ops = kernel.roles.iter().flat_map(|r| &r.body);
    ops.map(|op| turns(schedule, op, i64::from(threads))).max().unwrap_or(1)
}

/// CTAs that an op of a movement keeps busy, each for one turn of its loop.
fn turns(schedule: &Schedule, op: &Op, threads: i64) -> i64 {
    match op {
        Op::Grid { guards, .. } => {
            let reads = guards.iter().any(|g| matches!(g, Guard::Valid { .. }));
            let each = if reads { READING_TURNS } else { 1 };
            (grid::pieces(schedule, op, threads) + each - 1) / each
        }
        // Small tiles two each: the second is loaded while the first is written.
        Op::Tile(tile) if is_large(schedule, tile) => points::count(&tile.vars),
        Op::Tile(tile) => (points::count(&tile.vars) + 1) / 2,
        Op::FillAll { tensor, .. } => {
            let info = &schedule.tensors[*tensor];
            info.elems * info.elem.bytes() / 16 / (threads * grid::UNROLL) + 1
        }
        Op::Prefix { rank, .. } => rank.1,
        Op::Positions { extent, .. } => extent / threads + 1,
        Op::Claim(claims) | Op::Distinct(claims) => claims.var.1 / threads + 1,
        _ => 1,
    }
}

/// CTAs of a rank if all of a device's are resident at once, `each` on a multiprocessor.
fn resident(target: &Target, each: u32) -> u32 {
    (target.sms * each / target.ranks_per_device.max(1)).max(1)
}

/// As many as the program asks for, or all that are resident.
fn asked(kernel: &Kernel, most: u32) -> u32 {
    kernel.tuning.blocks.map_or(most, |n| n.number.clamp(1, i64::from(most)) as u32)
}

/// CTAs of a rank that plan a route: its plans keep a histogram of each, so all its kernels agree. Few tuples
/// take few, which then wait for fewer.
pub(crate) fn plan_ctas(schedule: &Schedule, target: &Target, route: Handle<Route>) -> u32 {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    let kernels = steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel);
    let planning = kernels.filter(|k| k.route == Some(route) && is_plan(k));
    let blocks = planning.filter_map(|k| k.tuning.blocks).map(|n| n.number).min();
    let most = blocks.unwrap_or(i64::MAX).min(i64::from(most_ctas(target)));
    let info = &schedule.routes[route];
    let tuples = info.positions_bound.saturating_mul(info.fan);
    let each = TUPLES * i64::from(plan_threads(info, target).max(32));
    (tuples.saturating_add(each - 1) / each).clamp(1, most.max(1)) as u32
}

/// CTAs of a rank that are resident at once, if a multiprocessor has those that the form says.
pub(crate) fn most_of(form: &Form, target: &Target) -> u32 {
    resident(target, form.resident)
}

/// CTAs of a rank that a program may ask for.
pub(crate) fn most_ctas(target: &Target) -> u32 {
    resident(target, CTAS_PER_SM)
}

pub(crate) fn is_plan(kernel: &Kernel) -> bool {
    kernel.roles.iter().any(|r| r.kind == RoleKind::Plan)
}

/// A histogram for each warp, the starts of all bins, and the live rows of all groups.
fn shared_words(route: &Route, threads: u32) -> i64 {
    (i64::from(threads / 32) + 1) * route.bins() + route.groups
}

/// As many warps as shared memory has histograms for; 0 if it has none.
pub(crate) fn plan_threads(route: &Route, target: &Target) -> u32 {
    let shared = target.shared_of_each(i64::from(CTAS_PER_SM));
    [512, 256, 128, 64, 32].into_iter().find(|t| shared_words(route, *t) * 4 <= shared).unwrap_or(0)
}
