//! Fetch once, store many: a rank looks through the plans of all that plan together for positions of which it has
//! tuples, fetches the row of each once and stores it to all their slots. A link carries a row once for each rank,
//! however many slots it has there, and a rank's own rows never cross one. Each warp fetches for itself: its lanes
//! find the tuples of a few positions at once, the copy engine moves the rows.

use super::bulk;
use super::offer::{Offer, Rate, Reason, Refusal};
use super::staged::Staged;
use crate::kernel::form::Form;
use crate::kernel::pipeline::{Act, Barrier, By, Channel, Group, Pipeline, Step};
use crate::kernel::region::{LINE, Memory, Regions};
use crate::kernel::work::Work;

/// Warps of a CTA, at least and at most: each needs a few rows of shared memory.
const WARPS: (i64, i64) = (2, 4);
/// Rows of a warp, at least and at most.
const SLOTS: (i64, i64) = (2, 16);
/// Bytes of rows of a CTA. More do not make links or memory faster: two H200, rows of 14 KiB, 3 to 6 of each warp 249 us,
/// 7 of each 262 us.
const ROWS: i64 = 120 * 1024;
/// Rows of a warp that are told of at once if the program does not say, and at most: to publish takes as long as a row.
const TELL: i64 = 8;
const MOST_TOLD: i64 = 32;
/// A warp has a lane for each tuple.
const LANES: i64 = 32;
/// Shorter rows cost the engine more than warps that copy them.
const SHORT: i64 = 1024;
/// Shared memory beside rows: barriers, and what is known of tuples.
const BESIDE: i64 = 24 * 1024;

/// The rows of each warp in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// A turn is one row of each place of all warps.
    pub staged: Staged,
    pub warps: i64,
    /// Places for rows of a warp.
    pub slots: i64,
    /// Rows that a warp has stored last, which the copy engine may still be reading.
    pub later: i64,
    /// Rows that a warp tells of at once.
    pub tell: i64,
}

impl Once {
    /// Rows that are on their way to a warp.
    pub fn ahead(&self) -> i64 {
        self.slots - self.later
    }

    /// Rows of which a warp remembers whom to tell.
    pub fn told(&self) -> i64 {
        self.ahead() + 2 * self.tell
    }

    /// Shared memory for places of tuples, in bytes, and for the counters of their tiles.
    fn known(&self, puts: i64, fan: i64) -> [(&'static str, i64); 2] {
        let all = self.warps * fan;
        [("places", all * self.slots * puts * 8), ("tiles", all * self.told() * 4)]
    }
}

/// There is one scatter of rows that are fetched, multiples of 16 bytes and long, and what else it carries is short.
pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Once>, Refusal> {
    let route = work.route().ok_or(Refusal::Route(false))?;
    let trip = work.scatter().ok_or(Refusal::NoScatter)?;
    if !trip.is_fetched() {
        return Err(Refusal::Fetched(false));
    }
    let most = bulk::room(work.target)? + bulk::BESIDE - BESIDE;
    let parts = bulk::parts(work.schedule, &trip)?;
    if route.fan > LANES {
        return Err(Refusal::Tuples { number: route.fan, most: LANES });
    }
    let staged = Staged { rows: 0, stages: 1, parts, streams: false };
    let (bytes, pitch) = (staged.position(), staged.pitch());
    if bytes < SHORT {
        return Err(Refusal::Short { bytes, least: SHORT });
    }
    let least = WARPS.0 * SLOTS.0;
    if most / pitch < least {
        return Err(Refusal::Room { bytes: pitch * least, most });
    }
    let rows = (most.min(ROWS) / pitch).max(least);
    let warps = if rows >= WARPS.1 * SLOTS.1 / 4 { WARPS.1 } else { WARPS.0 };
    let fit = (most / pitch / warps).min(SLOTS.1);
    let few = (rows / warps).min(SLOTS.1);
    let slots = work.kernel.tuning.stages.map_or(few, |asked| asked.number);
    if slots < SLOTS.0 || slots > fit {
        return Err(Refusal::Stages { asked: slots, least: SLOTS.0, most: fit });
    }
    let tuples = route.positions_bound.saturating_mul(route.fan * route.members);
    let streams = tuples.saturating_mul(bytes) > bulk::L2;
    let staged = Staged { rows: warps * slots, streams, ..staged };
    let chunk = work.kernel.tuning.chunk;
    let tell = chunk.map_or(TELL, |chunk| (chunk / warps).clamp(1, MOST_TOLD));
    let once = Once { staged, warps, slots, later: slots / 2, tell };
    let known = once.known(trip.puts.len() as i64, route.fan);
    let beside = known.iter().map(|(_, bytes)| bytes).sum::<i64>() + warps * slots * 8;
    if beside > BESIDE - 1024 {
        return Err(Refusal::Room { bytes: beside, most: BESIDE - 1024 });
    }
    let mut shared = Regions::default();
    shared.add(Memory::Dynamic, ("rows", once.staged.bytes()), LINE);
    shared.add(Memory::Static, ("full", warps * slots * 8), 8);
    for (name, bytes) in known {
        shared.add(Memory::Static, (name, bytes), 8);
    }
    let form = Form::new(work, ((warps * LANES) as u32, 1));
    Ok(Offer {
        reason: Reason::Once,
        form: Form { resident: 1, shared_bytes: once.staged.bytes() as u32, ..form },
        shared: shared.0,
        pipeline: pipeline(&once),
        parts: once,
        // Two H200: 249 us for rows of 14 KiB, where a copy of their bytes takes 157 and links alone take 176.
        rate: Rate { of_copy: 0.8, measured: false },
    })
}

/// A warp fetches rows ahead of those that it stores, into places whose rows have been stored and read.
fn pipeline(once: &Once) -> Pipeline {
    let fetch = [Act::Claim, Act::Fill].map(|act| Step::new(act, "rows").ahead(once.ahead()));
    let store = [Step::new(Act::Await, "rows"), Step::new(Act::Free, "rows").ahead(-once.later)];
    let full = Barrier::Mbarrier { name: "full", arrivals: 1, by: By::One };
    let threads = (once.warps * LANES) as u32;
    let mut group = Group::all(threads, fetch.to_vec(), store.into_iter().chain(fetch).collect());
    group.teams = once.warps as u32;
    let rows = Channel { name: "rows", slots: once.slots, items: 1, full, empty: Barrier::Order };
    Pipeline { groups: vec![group], channels: vec![rows] }
}
