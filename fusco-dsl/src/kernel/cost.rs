//! What a kernel costs on one device: the bytes that it has to move, at the rates of the target.
//!
//! The model is the time of the slowest of memory, links and network, which overlap, behind the launch. Bytes are those of the
//! largest sizes that the bounds allow; a rank of a route is as likely as any other, and what is read twice is read
//! from memory twice. A strategy reaches a part of what a copy of the same bytes would.

use super::shape::{Loaded, Nest, Parts, Shape, Trip, count, row_bytes};
use super::strategy::{Offer, Strategy};
use super::work::Work;
use crate::arena::Handle;
use crate::schedule::ir::{Access, Factor, Ix, Op, Route, Schedule, Tree, Value};
use crate::target::Rates;
use std::fmt;

/// Of one launch on one device, all of whose ranks it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Bytes read from memory and written to it.
    pub read: i64,
    pub written: i64,
    /// Bytes that leave over links.
    pub link: i64,
    /// Bytes that leave for other nodes.
    pub network: i64,
    /// Signals and requests that leave over either.
    pub messages: i64,
    /// Barriers of all CTAs, and handshakes.
    pub waits: i64,
    /// What its time follows from.
    pub load: Load,
    /// Nanoseconds.
    pub time: f64,
}

impl Cost {
    pub(super) fn of(work: &Work, offer: &Offer<Strategy>) -> Cost {
        let ranks = work.schedule.ranks.max(1);
        let here = i64::from(work.target.ranks_per_device).min(ranks);
        let model = Model { work, threads: i64::from(offer.form.threads) };
        let mut cost = Cost::default();
        work.ops().for_each(|op| model.op(op, &mut cost));
        if let Strategy::Ring(ring) = &offer.parts
            && ring.mail.is_some()
        {
            cost.messages += 2 * model.remote(model.tuples());
        }
        if work.alone && !matches!(offer.parts, Strategy::Plan(_)) {
            (cost.waits, cost.messages) = (i64::from(offer.form.cooperative), 0);
        }
        let each = [&mut cost.read, &mut cost.written, &mut cost.link, &mut cost.network];
        let each = each.into_iter().chain([&mut cost.messages]);
        each.for_each(|n| *n = n.saturating_mul(here));
        cost.load = load(work, offer, &cost);
        cost.time = cost.load.time(&work.target.rates);
        cost
    }
}

fn load(work: &Work, offer: &Offer<Strategy>, cost: &Cost) -> Load {
    let pulls = pulls(work, offer);
    let link = cost.link as f64;
    Load {
        memory: cost.read as f64 + cost.written as f64,
        of_copy: offer.rate.of_copy,
        filled: 0.0,
        // Rows that are pushed leave by stores, others are pulled.
        stored: if pulls { 0.0 } else { link },
        loaded: if pulls { link } else { 0.0 },
        network: cost.network as f64,
        waits: cost.waits as f64,
        fetches: matches!(offer.parts, Strategy::Once(_)),
    }
}

/// What the time of a launch on one device follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Bytes read from memory and written to it.
    pub memory: f64,
    /// What a strategy reaches of a copy of as many bytes.
    pub of_copy: f64,
    /// Bytes of padding that are filled besides. Two H200, 512 to 8,192 tokens: rows on their way over links do not hide it.
    pub filled: f64,
    /// Bytes one way over links: by stores and by loads.
    pub stored: f64,
    pub loaded: f64,
    /// Bytes one way to or from other nodes.
    pub network: f64,
    /// Barriers of all CTAs, and handshakes.
    pub waits: f64,
    /// Rows are asked for when the plans of peers are known.
    pub fetches: bool,
}

/// What a launch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Latency,
    Memory,
    Links,
    Network,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Latency => "latency",
            Limit::Memory => "memory",
            Limit::Links => "links",
            Limit::Network => "the network",
        })
    }
}

impl Load {
    /// Nanoseconds at these rates.
    pub fn time(&self, rates: &Rates) -> f64 {
        let rows = self.parts(rates).into_iter().fold(0.0, |most, (_, t)| t.max(most));
        self.latency(rates) + rows + self.filled / rates.copy.number
    }

    /// The same of a part of the bytes.
    pub fn share(&self, share: f64) -> Load {
        let Load { memory, stored, loaded, network, .. } = *self;
        let [memory, stored, loaded, network] =
            [memory, stored, loaded, network].map(|bytes| bytes * share);
        Load { memory, stored, loaded, network, ..*self }
    }

    /// What takes longest.
    pub fn limit(&self, rates: &Rates) -> Limit {
        let parts = self.parts(rates).into_iter();
        let most = parts.fold((Limit::Latency, self.latency(rates)), |most, part| {
            if part.1 > most.1 { part } else { most }
        });
        most.0
    }

    /// Before the first byte, and between steps.
    fn latency(&self, rates: &Rates) -> f64 {
        let network = if self.network > 0.0 { rates.network.latency.number } else { 0.0 };
        let fetches = if self.fetches { rates.fetch.number } else { 0.0 };
        rates.launch.number + self.waits * rates.barrier.number + fetches + network
    }

    /// Bytes by bytes a nanosecond: these overlap.
    fn parts(&self, rates: &Rates) -> [(Limit, f64); 3] {
        let memory = match self.of_copy {
            share if share > 0.0 => self.memory / (rates.copy.number * share),
            _ => 0.0,
        };
        let links = self.stored / rates.link.number + self.loaded / rates.pull.number;
        let network = self.network / rates.network.rate.number;
        [(Limit::Memory, memory), (Limit::Links, links), (Limit::Network, network)]
    }
}

/// Whether rows of peers are loaded, not stored by those that have them.
fn pulls(work: &Work, offer: &Offer<Strategy>) -> bool {
    let pull = |op: &Op| {
        let mut found = false;
        op.walk(&mut |op| found |= matches!(op, Op::Pull { .. }));
        found
    };
    !matches!(&offer.parts, Strategy::Ring(_)) && work.ops().any(pull)
}

struct Model<'a, 'w> {
    work: &'w Work<'a>,
    threads: i64,
}

impl Model<'_, '_> {
    fn schedule(&self) -> &Schedule {
        self.work.schedule
    }

    fn route(&self) -> Option<&Route> {
        self.work.route()
    }

    fn positions(&self) -> i64 {
        self.route().map_or(0, |r| r.positions_bound)
    }

    fn tuples(&self) -> i64 {
        self.route().map_or(0, |r| r.positions_bound.saturating_mul(r.fan))
    }

    /// Of what goes to any rank, that which goes to another device.
    fn remote(&self, number: i64) -> i64 {
        let ranks = self.schedule().ranks.max(1);
        let here = i64::from(self.work.target.ranks_per_device).min(ranks);
        (i128::from(number) * i128::from(ranks - here) / i128::from(ranks)) as i64
    }

    /// Of what goes to any rank, that which goes to another node.
    fn far(&self, number: i64) -> i64 {
        let ranks = self.schedule().ranks.max(1);
        let target = self.work.target;
        let node = target.node.map_or(ranks, |n| i64::from(n) * i64::from(target.ranks_per_device));
        (i128::from(number) * i128::from(ranks - node.min(ranks)) / i128::from(ranks)) as i64
    }

    /// Bytes to or from any rank.
    fn across(&self, bytes: i64, cost: &mut Cost) {
        let far = self.far(bytes);
        cost.link += self.remote(bytes) - far;
        cost.network += far;
    }

    fn over(&self, access: &Access, bytes: i64, cost: &mut Cost) {
        if access.rank != Ix::Me {
            self.across(bytes, cost);
        }
    }

    fn op(&self, op: &Op, cost: &mut Cost) {
        match Shape::of(self.schedule(), op, self.threads) {
            Ok(Shape::Scatter(trip)) => {
                let rows = self.rows_read(&trip, cost);
                for (value, to) in &trip.puts {
                    let bytes = row_bytes(self.schedule(), to);
                    let all = self.tuples().saturating_mul(bytes);
                    cost.written += all;
                    self.over(to, all, cost);
                    let row = match value {
                        Value::Row(row) | Value::Cast(row, _) => Some(*row),
                        Value::Scaled { factors, .. } => factors.iter().find_map(|f| match f {
                            Factor::Row(row) => Some(*row),
                            _ => None,
                        }),
                        Value::Sum { value, .. } => {
                            self.computed(value, to, self.tuples(), cost);
                            None
                        }
                        Value::Int(_) => None,
                    };
                    cost.read += match row.and_then(|row| trip.loaded(row)) {
                        Some(Loaded::Shared(from)) => {
                            rows.saturating_mul(row_bytes(self.schedule(), from))
                        }
                        Some(Loaded::Own(from)) => {
                            self.tuples().saturating_mul(row_bytes(self.schedule(), from))
                        }
                        None => 0,
                    };
                }
                for (_, ops) in &trip.guarded {
                    self.alone(ops, self.tuples(), cost);
                }
                if !trip.is_fetched() {
                    cost.messages += self.remote(self.tuples() * trip.signals.len() as i64);
                }
            }
            Ok(Shape::Rows(rows)) => {
                rows.rows.iter().for_each(|(_, ops)| self.alone(ops, self.positions(), cost));
            }
            Ok(Shape::Gather(nest)) => self.sums(&nest, cost),
            Ok(Shape::Grid(parts)) => self.grid(&parts, op, cost),
            Ok(Shape::Tile(tile)) => {
                let points = count(&tile.vars)
                    .saturating_mul(tile.along_source.1.saturating_mul(tile.along_target.1));
                let points = points / tile.share.as_ref().map_or(1, |s| s.count);
                let copies = tile.copies.map_or(1, |(_, n)| n);
                self.moved(&tile.from, points, false, cost);
                self.moved(&tile.to, points.saturating_mul(copies), true, cost);
            }
            Ok(Shape::Groups { body, .. } | Shape::Once(body)) => {
                body.iter().for_each(|op| self.op(op, cost));
            }
            Ok(Shape::FillAll(tensor, _)) => {
                let info = &self.schedule().tensors[tensor];
                cost.written += info.elems.saturating_mul(info.elem.bytes());
            }
            // The index once to count and once to number; a pair of words is written.
            Ok(Shape::Count(route)) => self.lookups(route, cost),
            Ok(Shape::Slots(route)) => {
                self.lookups(route, cost);
                cost.written += self.tuples().saturating_mul(8);
            }
            Ok(Shape::Scan(route)) => {
                let info = &self.schedule().routes[route];
                let bytes = info.bins().saturating_mul(4 * info.members);
                cost.written += bytes;
                self.across(bytes, cost);
            }
            Ok(Shape::Barrier | Shape::Wait { .. }) => cost.waits += 1,
            Ok(Shape::Signal { .. }) => cost.messages += self.remote(self.schedule().ranks),
            // Small: tables, numbers, padding of less than a tile a group.
            Ok(
                Shape::Padding(_)
                | Shape::Number { .. }
                | Shape::Prefix(_)
                | Shape::Positions { .. }
                | Shape::Claim(_)
                | Shape::Distinct(_)
                | Shape::Tables(_)
                | Shape::Reset(_),
            )
            | Err(_) => {}
        }
    }

    /// One sum for each position; on a path, for each position of all ranks that this one adds up for.
    fn sums(&self, nest: &Nest, cost: &mut Cost) {
        let sums = match nest.extent {
            Ix::Lit(all) => *all,
            _ => self.positions(),
        };
        let terms = match nest.parts.filter(|_| nest.tuples.once.is_some()) {
            Some(parts) => sums.saturating_mul(parts.count.min(nest.fan)),
            None => self.tuples(),
        };
        let ranks = self.schedule().ranks.max(1);
        let here = i64::from(self.work.target.ranks_per_device).min(ranks);
        // Of so many ranks are the rows that this one adds up.
        let near =
            if nest.tuples.only.is_some() { self.positions() * ranks / sums.max(1) } else { ranks };
        for (_, from) in &nest.rows {
            let all = terms.saturating_mul(row_bytes(self.schedule(), from));
            cost.read += all;
            match from.rank {
                Ix::Me => {}
                _ if near == ranks => self.across(all, cost),
                _ => cost.link += all / near.max(1) * (near - here).max(0),
            }
        }
        for (_, own, _) in nest.own() {
            cost.read += sums.saturating_mul(row_bytes(self.schedule(), own));
        }
        let written = sums.saturating_mul(row_bytes(self.schedule(), nest.to));
        cost.written += written;
        self.over(nest.to, written, cost);
    }

    /// Rows that a rank reads of those that all tuples of a position share: its own; or, where they are fetched, those of
    /// every rank that has a tuple here, which come over links.
    fn rows_read(&self, trip: &Trip, cost: &mut Cost) -> i64 {
        if !trip.is_fetched() {
            return self.positions();
        }
        let members = trip.route.members.max(1) as f64;
        let any = 1.0 - (1.0 - 1.0 / members).powf(trip.route.fan as f64);
        let rows = (self.positions() as f64 * members * any) as i64;
        let bytes: i64 = trip.loads.iter().map(|(_, from)| row_bytes(self.schedule(), from)).sum();
        self.across(rows.saturating_mul(bytes), cost);
        rows
    }

    /// So many rows that share nothing, wherever their condition may hold.
    fn alone(&self, ops: &[Op], rows: i64, cost: &mut Cost) {
        for op in ops {
            match op {
                Op::Load { from, .. } | Op::Pull { from, .. } => {
                    self.moved(from, rows.saturating_mul(from.run), false, cost);
                }
                Op::Put { value, to } => {
                    self.moved(to, rows.saturating_mul(to.run), true, cost);
                    if let Value::Sum { value, .. } = value {
                        self.computed(value, to, rows, cost);
                    }
                }
                _ => {}
            }
        }
    }

    /// What is read for so many runs of a target: each operand once for each point of the folds.
    fn computed(&self, value: &Tree, to: &Access, points: i64, cost: &mut Cost) {
        let folded = value.folds().iter().fold(1i64, |n, f| n.saturating_mul(count(&f.vars)));
        for (access, is_row) in value.reads() {
            let times = if is_row { points.saturating_mul(to.run) } else { points };
            self.moved(access, times.saturating_mul(folded), false, cost);
        }
    }

    /// `points` elements of an access.
    fn moved(&self, access: &Access, points: i64, writes: bool, cost: &mut Cost) {
        let bytes = points.saturating_mul(self.schedule().tensors[access.tensor].elem.bytes());
        if writes {
            cost.written += bytes
        } else {
            cost.read += bytes
        }
        self.over(access, bytes, cost);
    }

    fn grid(&self, parts: &Parts, op: &Op, cost: &mut Cost) {
        let points = count(parts.vars) / parts.share.as_ref().map_or(1, |s| s.count);
        let (parts_of_sum, copies) =
            (parts.sum.map_or(1, |(_, n)| n), parts.copies.map_or(1, |c| c.1));
        let elements = points.saturating_mul(parts.to.run);
        self.moved(parts.to, elements.saturating_mul(copies), true, cost);
        if let Some(from) = parts.from {
            self.moved(from, elements.saturating_mul(parts_of_sum), false, cost);
            return;
        }
        if let Op::Grid { body, .. } = op
            && let Some(Op::Put { value: Value::Sum { value, .. }, .. }) = body.last()
        {
            self.computed(value, parts.to, points, cost);
        }
    }

    fn lookups(&self, route: Handle<Route>, cost: &mut Cost) {
        for lookup in &self.schedule().routes[route].lookups {
            let elem = self.schedule().tensors[lookup.tensor].elem.bytes();
            cost.read += self.tuples().saturating_mul(elem);
        }
    }
}
