//! Consuming an entry's rows while it still runs: each tile of 128 rows is handed out when its counter is full.

use crate::cuda::DevicePlan;
use crate::error::Error;
use crate::host::{HostPlan, spin, tile_rows};
use crate::plan::Plan;
use crate::program::Bound;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Base, Entry, Op, Schedule, Signal, TILE_ROWS, Until};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

/// The arrival counters of the latest launch of an entry. A later launch with the same plan starts them anew.
pub struct Arrivals {
    schedule: Arc<Verified<Schedule>>,
    entry: usize,
    plan: Plan,
    signal: Handle<Signal>,
    /// Numbers the tiles of groups; absent if tiles are rows of positions.
    base: Option<Handle<Base>>,
    /// The launch's number among those of its world; 0 if there was none yet.
    launch: u64,
    timeout: Duration,
}

/// `fusco::Arrivals` of `CONSUMER_CUH`, a kernel parameter, and how many counters there are.
/// Addresses are of `u32` words in the rank's device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DeviceArrivals {
    /// Launches of the entry with this plan whose counters and tables may be read; compared modulo 2^32.
    pub epoch: u64,
    /// Rows that have arrived, by tile slot.
    pub counters: u64,
    /// Live rows by global group; 0 where tiles are rows of positions.
    pub live: u64,
    /// First row in the rank's buffer by global group; 0 where tiles are rows of positions.
    pub base: u64,
    /// The rank's first global group.
    pub first_group: i32,
    /// How many groups the rank has: `first_group + i * apart`.
    pub groups: i32,
    /// Between two groups of the rank: 1 where they lie in blocks.
    pub apart: i32,
    /// Number of counters. Not part of the device's struct.
    pub slots: usize,
}

/// A tile whose rows have all arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// Global number; 0 where tiles are rows of positions.
    pub group: usize,
    /// Number of the tile in its group.
    pub tile: usize,
    /// Its counter.
    pub slot: usize,
    /// Its first row in the rank's buffer, for a `pack(128)` placement or rows of positions: `slot * 128`.
    pub first_row: usize,
    /// Live rows: 128, or fewer in the last tile of a group.
    pub rows: usize,
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals")
            .field("entry", &self.schedule.entries[self.entry].name)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// Tiles of one rank in the order of their arrival.
#[derive(Debug)]
pub struct Tiles<'a> {
    arrivals: &'a Arrivals,
    rank: usize,
    waiting: Vec<Tile>,
    failed: bool,
}

impl Bound {
    /// Tiles of the latest launch of `entry` with `plan`, as they become ready.
    ///
    /// # Errors
    /// F0909 if the entry has no arrivals, or the plan is another program's.
    pub fn arrivals(&self, entry: &str, plan: &Plan) -> Result<Arrivals, Error> {
        Arrivals::new(self, self.entry_index(entry)?, plan)
    }
}

impl Arrivals {
    pub(crate) fn new(bound: &Bound, entry: usize, plan: &Plan) -> Result<Arrivals, Error> {
        let schedule = bound.shared_schedule();
        let info = &schedule.entries[entry];
        if !plan.belongs_to(&schedule) {
            return Err(bound.other_program(plan));
        }
        let signal = info
            .arrivals
            .iter()
            .copied()
            .find(|s| schedule.signals[*s].route == Some(plan.route()));
        let signal = signal.ok_or_else(|| {
            let (entry, route) = (info.name.clone(), plan.route_name().to_string());
            Error::NoArrivals { entry, route }
        })?;
        let base = tile_base(info, signal);
        let others = info.arrivals.iter().filter(|s| tile_base(info, **s).is_some());
        if others.count() > 1 {
            return Err(Error::SeveralDeals { entry: info.name.clone() });
        }
        let host = plan.space().kind::<Arc<HostPlan>>();
        let launch = host.map_or(0, |p| p.latest(entry));
        Ok(Arrivals {
            base,
            entry,
            plan: plan.clone(),
            signal,
            launch,
            timeout: bound.world().timeout(),
            schedule,
        })
    }

    /// Waits until counter `slot` of `rank` has `expected` rows. The rows may be read then.
    ///
    /// # Errors
    /// F0908 when it takes too long, F0909 for a wrong rank or slot.
    pub fn wait_tile(&self, rank: usize, slot: usize, expected: usize) -> Result<(), Error> {
        self.begin(rank)?;
        let seen = || self.count(rank, slot);
        self.count(rank, slot).ok_or(Error::NoCounter { rank: rank as i64, slot: slot as i64 })?;
        let done = spin(
            self.timeout,
            false,
            || seen().is_some_and(|n| n >= expected),
            || Ok::<(), Error>(()),
        )?;
        if done { Ok(()) } else { Err(self.late(rank, slot, expected)) }
    }

    /// The tiles of `rank`, each as soon as it is full. Waits for the entry to have counted its rows.
    ///
    /// # Errors
    /// As [`wait_tile`](Self::wait_tile).
    pub fn tiles(&self, rank: usize) -> Result<Tiles<'_>, Error> {
        self.begin(rank)?;
        Ok(Tiles { arrivals: self, rank, waiting: self.expected(rank)?, failed: false })
    }

    /// What a kernel of the caller needs to follow `rank`'s arrivals; `CONSUMER_CUH` has the device side.
    /// The entry's next launch with this plan must come after that kernel: use one plan a micro-batch.
    ///
    /// # Errors
    /// F0909 on a host world, for a wrong rank, or where the groups of the rank are not known at bind to be equally
    /// far apart.
    pub fn on_device(&self, rank: usize) -> Result<DeviceArrivals, Error> {
        let plan = self.plan.space().kind::<DevicePlan>();
        let plan = plan.ok_or(Error::ArrivalsElsewhere { on_device: false })?;
        let word = |name: &str| plan.address(rank, name);
        let (counters, slots) = word(&self.schedule.signals[self.signal].name)?;
        let opener = opener(&self.schedule.entries[self.entry], self.signal);
        let groups = self.base.map(|base| self.groups(base, rank)).transpose()?.unwrap_or_default();
        let apart = groups.get(1).map_or(1, |second| second - groups[0]);
        if groups.windows(2).any(|w| w[1] - w[0] != apart) {
            return Err(Error::ScatteredGroups { rank });
        }
        let base = self.base.map(|b| self.schedule.bases[b].name.clone());
        Ok(DeviceArrivals {
            epoch: word(&format!("epoch_{opener}"))?.0,
            counters,
            live: base.as_ref().map_or(Ok(0), |_| Ok::<_, Error>(word("live")?.0))?,
            base: base.map_or(Ok(0), |name| Ok::<_, Error>(word(&name)?.0))?,
            first_group: groups.first().map_or(0, |g| *g as i32),
            groups: groups.len() as i32,
            apart: apart as i32,
            slots,
        })
    }

    /// The groups of a rank whose rows arrive, ascending. Where the plan has read their owners, it is made.
    fn groups(&self, base: Handle<Base>, rank: usize) -> Result<Vec<i64>, Error> {
        let deal = &self.schedule.deals[self.schedule.bases[base].deal];
        let member = self.schedule.routes[deal.route].member_of(rank as i64);
        let planned = || {
            let space = self.host().ok()?.ranks.get(rank)?;
            Some(space.groups_of(deal.tables.as_ref()?, member as usize))
        };
        deal.groups.groups_of(member).or_else(planned).ok_or(Error::ScatteredGroups { rank })
    }

    fn host(&self) -> Result<&HostPlan, Error> {
        let plan = self.plan.space().kind::<Arc<HostPlan>>().map(|p| &**p);
        plan.ok_or(Error::ArrivalsElsewhere { on_device: true })
    }

    /// Until this launch has reset its counters and, where it plans, made its tables.
    fn begin(&self, rank: usize) -> Result<(), Error> {
        let plan = self.host()?;
        let space = plan.rank(rank)?;
        let plans = self.schedule.entries[self.entry].plans.contains(&self.plan.route());
        let wanted = if plans { self.launch } else { 0 };
        let ready = || {
            space.signals[&self.signal].resets.load(Acquire) >= self.launch
                && space.made.load(Acquire) >= wanted
        };
        let done = spin(self.timeout, false, ready, || Ok::<(), Error>(()))?;
        if done { Ok(()) } else { Err(self.late(rank, 0, 1)) }
    }

    /// All tiles of a rank, arrived or not.
    fn expected(&self, rank: usize) -> Result<Vec<Tile>, Error> {
        let space = &self.host()?.ranks[rank];
        let Some(base) = self.base else {
            let rows = space.positions.load(Relaxed);
            return Ok(tiles_of(0, 0, i64::from(rows)).collect());
        };
        let tiles = self.groups(base, rank)?.into_iter().map(|g| g as usize).flat_map(|g| {
            let (first, live) = (space.bases[&base][g].load(Relaxed), space.live[g].load(Relaxed));
            tiles_of(g, first as usize / TILE_ROWS as usize, i64::from(live))
        });
        Ok(tiles.collect())
    }

    fn count(&self, rank: usize, slot: usize) -> Option<usize> {
        let counters = self.host().ok()?.ranks.get(rank)?.signals.get(&self.signal)?;
        counters.slots.get(slot).map(|n| n.load(Acquire) as usize)
    }

    fn late(&self, rank: usize, slot: usize, expected: usize) -> Error {
        Error::Timeout {
            entry: self.schedule.entries[self.entry].name.clone(),
            rank,
            peer: -1,
            signal: self.schedule.signals[self.signal].name.clone(),
            slot: slot as i64,
            expected: expected as i64,
            seen: self.count(rank, slot).unwrap_or(0) as i64,
            seconds: self.timeout.as_secs_f64(),
        }
    }
}

impl Iterator for Tiles<'_> {
    type Item = Result<Tile, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = *self.waiting.first().filter(|_| !self.failed)?;
        let full = |t: &Tile| self.arrivals.count(self.rank, t.slot).is_some_and(|n| n >= t.rows);
        let waiting = &self.waiting;
        let found = std::cell::Cell::new(None);
        let any = || {
            found.set(waiting.iter().position(full));
            found.get().is_some()
        };
        let _ = spin(self.arrivals.timeout, false, any, || Ok::<(), Error>(()));
        match found.get() {
            Some(i) => Some(Ok(self.waiting.remove(i))),
            None => {
                self.failed = true;
                Some(Err(self.arrivals.late(self.rank, first.slot, first.rows)))
            }
        }
    }
}

fn tiles_of(group: usize, first: usize, rows: i64) -> impl Iterator<Item = Tile> {
    let tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    (0..tiles).map(move |j| {
        let slot = first + j as usize;
        Tile {
            group,
            tile: j as usize,
            slot,
            first_row: slot * TILE_ROWS as usize,
            rows: tile_rows(rows, j) as usize,
        }
    })
}

/// The kernel that resets a signal and then opens the launch; alternatives share the last one's epoch.
fn opener(entry: &Entry, signal: Handle<Signal>) -> &str {
    let resets = |op: &Op| matches!(op, Op::Reset { signal: s } if *s == signal);
    let found = entry.steps.iter().find(|step| {
        step.alternatives.iter().any(|a| a.kernel.roles.iter().flat_map(|r| &r.body).any(resets))
    });
    found.and_then(|s| s.alternatives.last()).map_or(&entry.name, |a| &a.kernel.name)
}

/// The base that numbers a signal's tiles, as the entry's own wait says.
fn tile_base(entry: &Entry, signal: Handle<Signal>) -> Option<Handle<Base>> {
    let kernels = entry.steps.iter().flat_map(|s| &s.alternatives).map(|a| &a.kernel);
    kernels.flat_map(|k| &k.roles).flat_map(|r| &r.body).find_map(|op| match op {
        Op::Wait { signal: s, until: Until::Groups { base } } if *s == signal => Some(*base),
        _ => None,
    })
}
