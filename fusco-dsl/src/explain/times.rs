//! What each way of a statement's rows is expected to take, on devices that are alike, by the model that chooses among
//! strategies.
//!
//! Enters: counted rows, a target. Leaves: for each hop the load of the device that takes longest, and its time.

use super::ways::{Hop, Statement, Way, WayKind};
use crate::kernel::{Limit, Load, Name};
use crate::target::Target;

/// A kernel on the device that takes longest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    pub load: Load,
    /// Nanoseconds.
    pub time: f64,
    pub limit: Limit,
}

/// The kernels of each way, in the order of the ways: one for each hop, or one for both of a sum. Where forwarders take
/// turns, what numbers the rows comes first, as one.
pub fn times(statement: &Statement, target: &Target) -> Vec<Vec<Timed>> {
    let places = Places::of(target);
    let alone = i64::from(target.ranks_per_device) >= statement.filled.len() as i64;
    let of_way = |way: &Way| {
        let kernel = |hops: std::ops::Range<usize>| {
            let is_last = hops.end == way.hops.len();
            let (way_kind, number) = (way.kind, hops.start);
            let kernel = Kernel { way: way_kind, sums: statement.sums, number, is_last };
            let parts = hops.map(|n| Part { hop: &way.hops[n], filled: filled(statement, n) });
            slowest(&parts.collect::<Vec<_>>(), &places, (&kernel.like(alone), target))
        };
        let mut out: Vec<Timed> = (way.kind == WayKind::Balanced)
            .then(|| numbered(statement, target))
            .into_iter()
            .collect();
        match statement.sums {
            true => out.push(kernel(0..way.hops.len())),
            false => out.extend((0..way.hops.len()).map(|n| kernel(n..n + 1))),
        }
        out
    };
    statement.ways.iter().map(of_way).collect()
}

/// Kernels ahead of rows whose forwarders take turns: marks are set, and counted on each rank and over the ranks, once for
/// a plan; sums only ask for what was counted.
fn numbered(statement: &Statement, target: &Target) -> Timed {
    let launches = if statement.sums { 2.0 } else { 6.0 };
    let (load, rates) = (Load { waits: 2.0, ..Load::default() }, &target.rates);
    let time = load.time(rates) + (launches - 1.0) * rates.launch.number;
    Timed { load, time, limit: Limit::Latency }
}

/// Padding is filled by the first kernel.
pub(super) fn filled(statement: &Statement, number: usize) -> &[i64] {
    if number == 0 { &statement.filled } else { &[] }
}

/// What a kernel does for one of its statements.
pub(super) struct Part<'s> {
    pub hop: &'s Hop,
    /// Of each rank, if there is any.
    pub filled: &'s [i64],
}

/// Ranks of a device, devices of a node.
pub(super) struct Places {
    device: i64,
    node: i64,
}

impl Places {
    pub fn of(target: &Target) -> Places {
        Places {
            device: i64::from(target.ranks_per_device).max(1),
            node: target.node.map_or(i64::MAX, |n| i64::from(n.max(1))),
        }
    }

    fn device(&self, rank: usize) -> i64 {
        rank as i64 / self.device
    }

    fn node(&self, rank: usize) -> i64 {
        self.device(rank) / self.node
    }
}

/// A kernel but for its bytes.
pub(super) struct Like {
    pub load: Load,
    /// Rows of peers are loaded by those that need them.
    pub pulls: bool,
}

/// What carries a hop out, as the compiler would choose it.
struct Kernel {
    way: WayKind,
    sums: bool,
    number: usize,
    is_last: bool,
}

impl Kernel {
    fn strategy(&self) -> Name {
        match (self.sums, self.way) {
            (false, WayKind::Each) => Name::Bulk,
            (false, WayKind::OnceARank) => Name::Once,
            // Some of its rows go on to slots, others to forwarders.
            (false, _) if self.number == 0 => Name::Warps,
            (false, _) => Name::Bulk,
            (true, WayKind::Each) => Name::Ring,
            (true, _) => Name::Team,
        }
    }

    /// Whether rows of peers are loaded by those that need them.
    fn pulls(&self) -> bool {
        match self.way {
            WayKind::Each => false,
            WayKind::OnceARank => !self.sums,
            WayKind::OnceAPlace | WayKind::Balanced => self.sums && self.number == 0,
        }
    }

    /// Without its bytes.
    fn like(&self, alone: bool) -> Like {
        let strategy = self.strategy();
        let (waits, fetches) = (self.waits(alone), strategy == Name::Once);
        let load = Load { of_copy: strategy.of_copy(), waits, fetches, ..Load::default() };
        Like { load, pulls: self.pulls() }
    }

    /// A barrier and a handshake before it, and behind the last.
    fn waits(&self, alone: bool) -> f64 {
        match (alone, self.is_last) {
            (true, _) => 1.0,
            (false, true) => 4.0,
            (false, false) => 2.0,
        }
    }
}

/// A kernel of these parts that is otherwise like this one, on the device where it takes longest.
pub(super) fn slowest(parts: &[Part], places: &Places, (like, target): (&Like, &Target)) -> Timed {
    let ranks = parts.first().map_or(1, |part| part.hop.flow.ranks);
    let devices = places.device(ranks.max(1) - 1) + 1;
    let timed = |device: i64| {
        let own = |rank: &usize| places.device(*rank) == device;
        let mut load = like.load;
        for Part { hop, filled } in parts {
            let filled = |rank: usize| filled.get(rank).copied().unwrap_or(0);
            let bytes = (0..ranks).filter(own).map(|r| hop.read[r] + hop.written[r]);
            load.memory += bytes.sum::<i64>() as f64;
            load.filled += (0..ranks).filter(own).map(filled).sum::<i64>() as f64;
            let (links, network) = between(hop, places, device);
            *if like.pulls { &mut load.loaded } else { &mut load.stored } += links;
            load.network += network;
        }
        Timed { load, time: load.time(&target.rates), limit: load.limit(&target.rates) }
    };
    let first = timed(0);
    (1..devices).map(timed).fold(first, |most, t| if t.time > most.time { t } else { most })
}

/// Bytes of a device in its busier direction: over links, and to or from other nodes.
fn between(hop: &Hop, places: &Places, device: i64) -> (f64, f64) {
    let flow = &hop.flow;
    let of = |rank: usize| places.device(rank) == device;
    let far = |from: usize, to: usize| places.node(from) != places.node(to);
    let busier = |wanted: &dyn Fn(usize, usize) -> bool| {
        let out = flow.sum(|a, b| of(a) && !of(b) && wanted(a, b)).1;
        let into = flow.sum(|a, b| !of(a) && of(b) && wanted(a, b)).1;
        out.max(into) as f64
    };
    (busier(&|a, b| !far(a, b)), busier(&far))
}
