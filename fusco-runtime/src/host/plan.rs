//! A plan's workspace on each rank: the tables of one route and the counters of its signals.
//!
//! Peers write `counts` and the counters; all else is written by the rank's own thread. Everything is
//! atomic, so a consumer may look at any time; `made` and `resets` say when what it sees is current.

use crate::Error;
use crate::lease::{Slot, Turn};
use crate::mem::room;
use crate::workspace::Workspace;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{self, Base, DealTables, Route, Schedule, Signal, TILE_ROWS};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

/// A table that resolved index arithmetic reads.
pub(crate) type Table = Arc<[AtomicU32]>;
/// `(group, slot)` of each tuple as two i32, group -1 for a dropped one.
pub(crate) type Pairs = Arc<[AtomicU64]>;

pub(crate) struct HostPlan {
    pub ranks: Vec<Space>,
    /// The number of the latest launch of each entry that uses the plan, by entry index.
    launches: Vec<AtomicU64>,
}

/// One rank's workspace.
pub(crate) struct Space {
    /// `[bins]`, one CTA.
    pub hist: Table,
    /// `[2][members][bins]`.
    pub counts: Table,
    pub pairs: Pairs,
    pub live: Table,
    pub bases: BTreeMap<Handle<Base>, Table>,
    pub dropped: Table,
    /// Own positions that the plan was made for, for consumers.
    pub positions: AtomicU32,
    /// Plans made here.
    pub epoch: AtomicU32,
    /// The latest launch that made the plan here: its tables may be read.
    pub made: AtomicU64,
    pub signals: BTreeMap<Handle<Signal>, Counters>,
    /// Computed tables of the home; of a plan, those of the owners that it read.
    pub tables: BTreeMap<Handle<ir::Table>, Table>,
}

pub(crate) struct Counters {
    pub slots: Table,
    /// Launches that have waited for it here: the epoch a wait compares with.
    pub epoch: AtomicU32,
    /// The latest launch that has reset it here.
    pub resets: AtomicU64,
}

impl Workspace for Arc<HostPlan> {
    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error> {
        Ok(Turn::Own(slot.hold(writes)))
    }

    fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        Ok(self.rank(rank)?.live.iter().map(|v| v.load(Acquire)).collect())
    }

    fn dropped(&self, rank: usize) -> Result<u32, Error> {
        Ok(self.rank(rank)?.dropped[0].load(Acquire))
    }
}

impl HostPlan {
    /// # Errors
    /// F0909 for an unknown rank.
    pub(crate) fn rank(&self, rank: usize) -> Result<&Space, Error> {
        self.ranks.get(rank).ok_or(Error::NoRank { ranks: self.ranks.len(), rank })
    }

    /// # Errors
    /// F0911 without memory: every rank knows of every other what it sends to each group.
    pub(crate) fn new(
        schedule: &Schedule,
        route: Option<Handle<Route>>,
    ) -> Result<HostPlan, Error> {
        let name = route.map_or("the program".to_string(), |r| {
            format!("the plan of route `{}`", schedule.routes[r].name)
        });
        let each = Space::bytes(schedule, route);
        room(&format!("{name} on {} ranks", schedule.ranks), each * schedule.ranks as u128)?;
        let ranks = (0..schedule.ranks).map(|_| Space::new(schedule, route)).collect();
        let launches = schedule.entries.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(HostPlan { ranks, launches })
    }

    pub(crate) fn submitted(&self, entry: usize, launch: u64) {
        self.launches[entry].store(launch, SeqCst);
    }

    pub(crate) fn latest(&self, entry: usize) -> u64 {
        self.launches[entry].load(SeqCst)
    }

    /// Back to the state of a new plan; nothing may be in flight. Numbers of launches stay: later ones are larger.
    pub(crate) fn reset(&self) {
        for space in &self.ranks {
            space
                .counts
                .iter()
                .chain(space.live.iter())
                .chain(space.dropped.iter())
                .for_each(|v| v.store(0, SeqCst));
            space.tables.values().flat_map(|t| t.iter()).for_each(|v| v.store(0, SeqCst));
            space.pairs.iter().for_each(|p| p.store(0, SeqCst));
            space.epoch.store(0, SeqCst);
            for counters in space.signals.values() {
                counters.slots.iter().for_each(|v| v.store(0, SeqCst));
                counters.epoch.store(0, SeqCst);
            }
        }
    }
}

impl Space {
    /// Of one rank, before anything is allocated; the sizes of [`new`](Self::new).
    fn bytes(schedule: &Schedule, handle: Option<Handle<Route>>) -> u128 {
        let wide = |n: i64| u128::try_from(n).unwrap_or(0);
        let bases = handle.map_or(0, |h| schedule.bases_of(h).count() as u128);
        let words = handle.map_or(0, |h| {
            let r = &schedule.routes[h];
            let (bins, groups, ranks) = (wide(r.bins()), wide(r.groups), wide(r.members));
            let pairs = 2 * wide(r.positions_bound) * wide(r.fan);
            bins + 2 * ranks * bins + pairs + groups * (1 + bases)
        });
        let tables = schedule.tables_in(handle).map(|(_, t)| t);
        let signals = schedule.signals.iter().filter(|(_, s)| s.route == handle);
        let lens = tables.map(|t| wide(t.len)).chain(signals.map(|(_, s)| wide(s.slots)));
        4 * (words + lens.sum::<u128>())
    }

    /// Of a route, or the home: it has signals and computed tables alone.
    fn new(schedule: &Schedule, handle: Option<Handle<Route>>) -> Space {
        let route = handle.map(|h| &schedule.routes[h]);
        let groups = route.map_or(0, |r| r.groups);
        let bins = route.map_or(0, Route::bins);
        let tuples = route.map_or(0, |r| r.positions_bound * r.fan);
        let bases = handle.into_iter().flat_map(|h| schedule.bases_of(h));
        let bases = bases.map(|(base, _)| (base, table(groups)));
        let tables = schedule.tables_in(handle).map(|(h, t)| (h, table(t.len)));
        let signals = schedule
            .signals
            .iter()
            .filter(|(_, s)| s.route == handle)
            .map(|(h, s)| (h, Counters::new(s)));
        Space {
            hist: table(bins),
            counts: table(2 * route.map_or(0, |r| r.members) * bins),
            pairs: (0..tuples).map(|_| AtomicU64::new(0)).collect(),
            live: table(groups),
            bases: bases.collect(),
            dropped: table(1),
            positions: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            made: AtomicU64::new(0),
            signals: signals.collect(),
            tables: tables.collect(),
        }
    }

    /// The groups of a member whose owners the plan has read, ascending.
    pub(crate) fn groups_of(&self, tables: &DealTables, member: usize) -> Vec<i64> {
        let [first, groups] = [tables.first, tables.groups].map(|t| &self.tables[&t]);
        let at = |m: usize| first[m].load(Relaxed) as usize;
        groups[at(member)..at(member + 1)].iter().map(|g| i64::from(g.load(Relaxed))).collect()
    }

    /// Own tuple `i`: `None` if dropped.
    #[inline]
    pub(crate) fn pair(&self, i: usize) -> Option<(i64, i64)> {
        unpack(self.pairs[i].load(Relaxed))
    }
}

impl Counters {
    fn new(signal: &Signal) -> Counters {
        counters(signal.slots)
    }
}

pub(crate) fn counters(slots: i64) -> Counters {
    Counters { slots: table(slots), epoch: AtomicU32::new(0), resets: AtomicU64::new(0) }
}

fn table(len: i64) -> Table {
    (0..len).map(|_| AtomicU32::new(0)).collect()
}

#[inline]
pub(crate) fn pack(group: i32, slot: i32) -> u64 {
    (u64::from(group as u32) << 32) | u64::from(slot as u32)
}

#[inline]
pub(crate) fn unpack(pair: u64) -> Option<(i64, i64)> {
    let group = (pair >> 32) as u32 as i32;
    (group >= 0).then_some((i64::from(group), i64::from(pair as u32)))
}

/// Live rows of tile `j` among `rows`.
pub(crate) fn tile_rows(rows: i64, j: i64) -> i64 {
    TILE_ROWS.min(rows - j * TILE_ROWS)
}
