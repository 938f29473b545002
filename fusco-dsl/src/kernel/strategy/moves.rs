//! Movements without a route: points in runs, and tiles through shared memory.

use super::offer::{Offer, Rate, Reason, Refusal};
use crate::kernel::form::{Form, MOST_CTAS};
use crate::kernel::pipeline::{Act, Barrier, Channel, Group, Pipeline, Step};
use crate::kernel::region::{Memory, Regions, extent};
use crate::kernel::shape::{Parts, UNROLL, count, is_large, tile_bytes};
use crate::kernel::work::Work;
use crate::schedule::ir::{Guard, Op, Schedule, Tile};

/// `docs/performance.md`: transposes 94.6 %, tiles with a swizzle 92.5, block-cyclic to block 94.7.
pub(super) const OF_COPY: f64 = 0.94;
/// Threads of a CTA, and such CTAs of a multiprocessor; and the same for large tiles.
const SIZE: (u32, u32) = (256, 4);
const LARGE: (u32, u32) = (512, 2);
/// Turns of a CTA of a movement whose points read where they lie, and may have no part: pages of one H200, lengths of 9
/// to 64 of 64 pages: 76.5 % of a copy with one turn, 84.5 with 2, 90.9 with 4, 88.8 with 8, 84.4 with 16.
const READING_TURNS: i64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moves;

pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Moves>, Refusal> {
    if work.route().is_some() {
        return Err(Refusal::Route(true));
    }
    let schedule = work.schedule;
    let mut shared = Regions::default();
    tiles(work).for_each(|t| shared.add(Memory::Static, ("tile", tile_bytes(schedule, t)), 16));
    let (threads, most) = if tiles(work).any(|t| is_large(schedule, t)) { LARGE } else { SIZE };
    let bytes = extent(&shared.0, Memory::Static);
    let Some(resident) =
        (1..=most).rev().find(|n| work.target.shared_of_each((*n).into()) >= bytes)
    else {
        return Err(Refusal::Room { bytes, most: work.target.shared });
    };
    let form = Form::new(work, (threads, resident));
    let form = match work.kernel.tuning.blocks {
        None if work.alone => {
            let pieces = work.ops().map(|op| turns(schedule, op, i64::from(threads))).max();
            form.with(pieces.unwrap_or(1).clamp(1, MOST_CTAS) as u32)
        }
        _ => form,
    };
    Ok(Offer {
        parts: Moves,
        pipeline: if shared.0.is_empty() { Pipeline::default() } else { pipeline(form.threads) },
        form,
        reason: Reason::NoRoute,
        shared: shared.0,
        rate: Rate { of_copy: OF_COPY, measured: true },
    })
}

fn tiles<'a>(work: &Work<'a>) -> impl Iterator<Item = &'a Tile> + use<'a> {
    work.ops().filter_map(|op| match op {
        Op::Tile(tile) => Some(&**tile),
        _ => None,
    })
}

/// All threads write a tile, then all read it.
fn pipeline(threads: u32) -> Pipeline {
    let step = |act| Step::new(act, "tile");
    let steps = [Act::Claim, Act::Fill, Act::Await, Act::Free].map(step).to_vec();
    let barrier = Barrier::Cta { threads };
    let channel = Channel { name: "tile", slots: 1, items: 1, full: barrier, empty: barrier };
    Pipeline { groups: vec![Group::all(threads, Vec::new(), steps)], channels: vec![channel] }
}

/// CTAs that an op keeps busy, each for one turn of its loop. Where nothing waits there is one for each: the device
/// deals them in order, which keeps neighbours in memory together (2 to 4 % over a loop of resident CTAs).
fn turns(schedule: &Schedule, op: &Op, threads: i64) -> i64 {
    match op {
        Op::Grid { guards, .. } => {
            let reads = guards.iter().any(|g| matches!(g, Guard::Valid { .. }));
            let each = if reads { READING_TURNS } else { 1 };
            let pieces = Parts::of(schedule, op, threads).map_or(1, |parts| parts.pieces());
            (pieces + each - 1) / each
        }
        // Small tiles two each: the second is loaded while the first is written.
        Op::Tile(tile) if is_large(schedule, tile) => count(&tile.vars),
        Op::Tile(tile) => (count(&tile.vars) + 1) / 2,
        Op::FillAll { tensor, .. } => {
            let info = &schedule.tensors[*tensor];
            info.elems * info.elem.bytes() / 16 / (threads * UNROLL) + 1
        }
        Op::Prefix { rank, .. } => rank.1,
        Op::Positions { extent, .. } => extent / threads + 1,
        Op::Claim(claims) | Op::Distinct(claims) => claims.var.1 / threads + 1,
        _ => 1,
    }
}
