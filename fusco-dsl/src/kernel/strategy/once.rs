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

/// Two H200: 206 us for rows of 14 KiB, where a copy of their bytes takes 157 and links alone take 176.
pub(super) const OF_COPY: f64 = 0.8;
/// Warps of a CTA, at least and at most. A warp takes rows in order: the more there are the fewer wait for another's. Two
/// H200, rows of 14 KiB: 2 warps with 4 places each 257 us, 7 with 2 each 227 us, 14 with one each 216 us.
const WARPS: (i64, i64) = (4, 16);
/// Rows of a warp at most.
const SLOTS: i64 = 16;
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

    /// Shared memory for barriers of rows, for places of tuples and for the counters of their tiles, in bytes.
    fn known(&self, puts: i64, fan: i64) -> [(&'static str, i64); 3] {
        let (rows, all) = (self.warps * self.slots, self.warps * fan);
        [("full", rows * 8), ("places", rows * fan * puts * 8), ("tiles", all * self.told() * 4)]
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
    let bytes = staged.position();
    if bytes < SHORT {
        return Err(Refusal::Short { bytes, least: SHORT });
    }
    let tuples = route.positions_bound.saturating_mul(route.fan * route.members);
    let staged = Staged { streams: tuples.saturating_mul(bytes) > bulk::L2, ..staged };
    let puts = trip.puts.len() as i64;
    let once = arranged(work, &staged, most, |once| once.known(puts, route.fan))?;
    let mut shared = Regions::default();
    shared.add(Memory::Dynamic, ("rows", once.staged.bytes()), LINE);
    for (name, bytes) in once.known(puts, route.fan) {
        shared.add(Memory::Static, (name, bytes), 8);
    }
    let form = Form::new(work, ((once.warps * LANES) as u32, 1));
    Ok(Offer {
        reason: Reason::Once,
        form: Form { resident: 1, shared_bytes: once.staged.bytes() as u32, ..form },
        shared: shared.0,
        pipeline: pipeline(&once),
        parts: once,
        rate: Rate { of_copy: OF_COPY, measured: false },
    })
}

/// As many warps as have room for a row each, within `most` bytes; fewer where the program asks for more rows of each, or
/// where what is `known` of their rows would not fit.
fn arranged<const N: usize>(
    work: &Work,
    staged: &Staged,
    most: i64,
    known: impl Fn(&Once) -> [(&'static str, i64); N],
) -> Result<Once, Refusal> {
    let (tuning, pitch) = (&work.kernel.tuning, staged.pitch());
    let rows = most / pitch;
    if rows < WARPS.0 {
        return Err(Refusal::Room { bytes: pitch * WARPS.0, most });
    }
    let (asked, fit) = (tuning.stages.map(|asked| asked.number), SLOTS.min(rows / WARPS.0));
    if let Some(asked) = asked.filter(|asked| !(1..=fit).contains(asked)) {
        return Err(Refusal::Stages { asked, least: 1, most: fit });
    }
    let once = |warps: i64| {
        let slots = asked.unwrap_or((rows / warps).min(SLOTS));
        let tell = tuning.chunk.map_or(TELL, |chunk| (chunk / warps).clamp(1, MOST_TOLD));
        let staged = Staged { rows: warps * slots, ..staged.clone() };
        Once { staged, warps, slots, later: slots / 2, tell }
    };
    let beside = |once: &Once| known(once).iter().map(|(_, bytes)| bytes).sum::<i64>();
    let room = BESIDE - 1024;
    let fits = |once: &Once| once.staged.rows <= rows && beside(once) < room;
    let fitting = (WARPS.0..=WARPS.1.min(rows)).rev().map(once).find(fits);
    fitting.ok_or_else(|| Refusal::Room { bytes: beside(&once(WARPS.0)), most: room })
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
