//! Push by the copy engine: a CTA takes some positions, loads their rows into shared memory and stores each
//! to every slot of its tuples. Memory is slower while it both reads and writes, so where one launch has all
//! ranks, all CTAs read at one time and write at another. Where links are to be kept busy, a CTA has two halves
//! of its shared memory, and loads rows into one while it stores those of the other.

use super::offer::{Offer, Rate, Reason, Refusal};
pub use super::staged::Staged as Bulk;
use crate::kernel::form::Form;
use crate::kernel::pipeline::{Act, Barrier, By, Channel, Group, Pipeline, Step};
use crate::kernel::region::{LINE, Memory, Regions, lines};
use crate::kernel::shape::{Loaded, Trip, row_bytes};
use crate::kernel::work::Work;
use crate::schedule::ir::{Row, Schedule, Value};
use crate::target::{Capability, Target};

/// `docs/performance.md`: rows of 14 KiB, 97.3 %.
pub(super) const OF_COPY: f64 = 0.973;
/// Threads of a CTA: the copy engine moves the rows, threads only find their places.
const THREADS: u32 = 256;
/// Shared memory of a CTA that is not for rows: barriers, and what is known of tuples.
pub(super) const BESIDE: i64 = 7 * 1024;
/// Rows shorter than this cost the engine more than warps that copy them.
const SHORT: i64 = 4096;
/// Bytes that stay in L2 until the next kernel reads them.
pub(super) const L2: i64 = 40 << 20;
/// Vectors of a row that a thread copies by itself.
const FEW: i64 = 16;

/// Bytes of shared memory for rows, where one CTA has a multiprocessor to itself.
pub(super) fn room(target: &Target) -> Result<i64, Refusal> {
    match target.has(Capability::BulkCopy) {
        true => Ok(target.shared - BESIDE),
        false => Err(Refusal::Lacks(Capability::BulkCopy)),
    }
}

/// There is one scatter, whose rows are multiples of 16 bytes and long, and what else it carries is short.
pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Bulk>, Refusal> {
    let route = work.route().ok_or(Refusal::Route(false))?;
    let staged = staged(work)?;
    let (target, asked) = (work.target, work.kernel.tuning.blocks);
    let form = Form::new(work, (THREADS, 1));
    let ranks = target.ranks_per_device;
    let all = match asked {
        Some(_) => form.ctas_per_rank * ranks,
        None => target.sms.max(ranks),
    };
    let positions = route.positions_bound.saturating_mul(i64::from(ranks));
    let turns = positions > i64::from(all) * staged.rows;
    let mut shared = Regions::default();
    shared.add(Memory::Dynamic, ("rows", staged.bytes()), LINE);
    shared.add(Memory::Static, ("full", staged.stages * staged.rows * 8), 8);
    let form = Form {
        // Its rows take all shared memory.
        resident: 1,
        shared_bytes: staged.bytes() as u32,
        // One turn needs no barrier.
        cooperative: !work.alone || turns,
        ..form.flat(all)
    };
    let long = work.kernel.tuning.stages.is_none();
    Ok(Offer {
        reason: match long {
            true => Reason::LongRows { bytes: staged.position() },
            false => Reason::Stages,
        },
        pipeline: pipeline(&form, staged.stages),
        parts: staged,
        form,
        shared: shared.0,
        rate: Rate { of_copy: OF_COPY, measured: true },
    })
}

fn staged(work: &Work) -> Result<Bulk, Refusal> {
    let (schedule, tuning) = (work.schedule, &work.kernel.tuning);
    let shared = room(work.target)?;
    let trip = work.scatter().ok_or(Refusal::NoScatter)?;
    if trip.is_fetched() {
        return Err(Refusal::Fetched(true));
    }
    let parts = parts(schedule, &trip)?;
    let position: i64 = parts.iter().map(|(_, bytes)| lines(*bytes)).sum();
    let room = shared / position.max(1);
    let stages = match tuning.stages {
        Some(asked) => asked.number,
        None if work.alone || room < 2 => 1,
        None => 2,
    };
    let rows = (room / stages).min(tuning.chunk()).min(i64::from(THREADS) / stages);
    let tuples = trip.route.positions_bound.saturating_mul(trip.route.fan * trip.route.members);
    let streams = tuples.saturating_mul(position) > L2;
    let pays = position >= SHORT || tuning.stages.is_some() && position > 0;
    if !pays {
        return Err(Refusal::Short { bytes: position, least: SHORT });
    }
    if rows <= 0 {
        return Err(match tuning.stages {
            Some(_) => {
                Refusal::Stages { asked: stages, least: 1, most: room.min(i64::from(THREADS)) }
            }
            None => Refusal::Room { bytes: position, most: shared },
        });
    }
    Ok(Bulk { rows, stages, parts, streams })
}

/// The rows of a position that pass through shared memory, and bytes of each; all else that it carries is short.
pub(super) fn parts(schedule: &Schedule, trip: &Trip) -> Result<Vec<(Row, i64)>, Refusal> {
    if !trip.guarded.is_empty() || trip.first || trip.arrival.is_some() {
        return Err(Refusal::Chosen);
    }
    let mut parts: Vec<(Row, i64)> = Vec::new();
    for (value, to) in &trip.puts {
        match value {
            Value::Int(_) => {}
            Value::Row(row) => match trip.loaded(*row).ok_or(Refusal::NoScatter)? {
                Loaded::Shared(from) if from.vector == 16 && to.vector == 16 => {
                    // Written to several targets, it is there once.
                    if !parts.iter().any(|(part, _)| part == row) {
                        parts.push((*row, row_bytes(schedule, to)));
                    }
                }
                Loaded::Shared(_) | Loaded::Own(_) => {
                    let vectors = row_bytes(schedule, to) / to.vector;
                    if vectors > FEW {
                        return Err(Refusal::Beside { vectors, most: FEW });
                    }
                }
            },
            Value::Cast(..) | Value::Scaled { .. } | Value::Sum { .. } => {
                return Err(Refusal::Computes);
            }
        }
    }
    Ok(parts)
}

/// Rows of a turn are loaded while those of earlier ones are stored, if there is more than one stage. A place is free
/// once all threads' stores have read it; where all CTAs read at one time, they wait for each other.
fn pipeline(form: &Form, stages: i64) -> Pipeline {
    let (ahead, behind) = ((stages - 1).max(1), i64::from(stages > 1));
    let load = [Act::Claim, Act::Fill].map(|act| Step::new(act, "rows").ahead(ahead));
    let store = [Step::new(Act::Await, "rows"), Step::new(Act::Free, "rows").ahead(-behind)];
    let empty = match form.alone && form.cooperative {
        true => Barrier::Grid { ctas: form.ctas() },
        false => Barrier::Cta { threads: form.threads },
    };
    let full = Barrier::Mbarrier { name: "full", arrivals: 1, by: By::One };
    let steps = store.into_iter().chain(load).collect();
    Pipeline {
        groups: vec![Group::all(form.threads, load.to_vec(), steps)],
        channels: vec![Channel { name: "rows", slots: stages, items: 1, full, empty }],
    }
}
