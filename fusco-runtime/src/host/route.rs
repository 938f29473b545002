//! Making a plan: histogram, exchange of counts, tables, stable slots.
//!
//! One CTA a rank, so the scan over CTAs only publishes the totals. Order decides slots, never atomics.

use super::code::Resolver;
use super::guard::Test;
use super::index::{Number, take_wild};
use super::number::load_int;
use super::plan::{HostPlan, Space, Table, pack};
use crate::error::Error;
use crate::mem::Buffer;
use fusco_dsl::arena::Handle;
use fusco_dsl::layout::Deal;
use fusco_dsl::schedule::ir::{self, Base, DealTables, Ix, Lookup, ReadOwners, Route};
use fusco_dsl::sema::hir::Elem;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::*;

/// A route on one rank of one launch.
pub(crate) struct RouteCode {
    plan: Arc<HostPlan>,
    me: usize,
    /// Its number among the ranks that make the plan, and those ranks.
    member: usize,
    peers: Vec<usize>,
    /// The launch's number.
    launch: u64,
    entry: String,
    index: Buffer,
    index_name: String,
    elem: Elem,
    /// What names the group of a tuple, where it is no index tensor that is laid out `[position][fan]`.
    body: Option<Body>,
    vars: usize,
    positions: i64,
    info: Route,
    /// Each base table, its alignment, and how its groups are dealt.
    bases: Vec<(Table, i64, Deal)>,
    owners: Vec<Owners>,
    /// Rows of each group by members, if they are asked for.
    from: Option<Table>,
}

/// Owners of groups that the launch reads.
struct Owners {
    deal: Deal,
    tensor: String,
    /// The owner of the group that the variable is.
    owner: Number,
    var: usize,
    /// What the plan keeps: the owner and the position of each group, and the groups by owner.
    owners: Table,
    positions: Table,
    groups: Table,
    first: Table,
}

impl Owners {
    fn new(
        resolver: &Resolver<'_>,
        (deal, tables, read): (&ir::Deal, &DealTables, &ReadOwners),
    ) -> Result<Owners, Error> {
        Ok(Owners {
            deal: deal.groups.clone(),
            tensor: resolver.request.schedule.tensors[read.tensor].name.clone(),
            owner: resolver.number(&read.owner)?,
            var: read.group.index(),
            owners: resolver.table(tables.owners)?,
            positions: resolver.table(read.positions)?,
            groups: resolver.table(tables.groups)?,
            first: resolver.table(tables.first)?,
        })
    }

    /// F0906 if an owner is no member of the plan.
    fn read(&self, vars: &mut Vec<i64>) -> Result<Deal, Error> {
        let (mut owners, members) = (Vec::new(), self.deal.members);
        vars.resize(vars.len().max(self.var + 1), 0);
        for group in 0..self.deal.groups {
            vars[self.var] = group;
            let owner = self.owner.get(vars);
            if !(0..members).contains(&owner) {
                return Err(Error::outside(&self.tensor, owner, members));
            }
            owners.push(owner);
        }
        Ok(self.deal.with(owners))
    }

    /// The tables of the plan: who has which groups.
    fn keep(&self, deal: &Deal) {
        let put =
            |table: &Table, at: i64, value: i64| table[at as usize].store(value as u32, Relaxed);
        let mut all = 0;
        for member in 0..deal.members {
            put(&self.first, member, all);
            for (position, group) in (0..).zip(deal.groups_of(member).unwrap_or_default()) {
                put(&self.owners, group, member);
                put(&self.positions, group, position);
                put(&self.groups, all, group);
                all += 1;
            }
        }
        put(&self.first, deal.members, all);
    }
}

/// The lookups of a route, in order, and the group that they give.
struct Body {
    lookups: Vec<Step>,
    guards: Vec<Test>,
    group: Number,
}

/// An element that a tuple reads into a variable, if what must hold does.
struct Step {
    guards: Vec<Test>,
    value: Number,
    var: usize,
    none: Option<i64>,
    trap: bool,
}

impl Body {
    fn new(resolver: &Resolver<'_>, info: &Route) -> Result<Body, Error> {
        let lookup = |l: &Lookup| {
            let (rank, at) = (Box::new(Ix::Me), Box::new(l.at.clone()));
            let value = Ix::Element { tensor: l.tensor, rank, at };
            Ok::<_, Error>(Step {
                guards: resolver.guards(&l.guards)?,
                value: resolver.number(&value)?,
                var: l.var.index(),
                none: l.none,
                trap: l.trap,
            })
        };
        Ok(Body {
            lookups: info.lookups.iter().map(lookup).collect::<Result<_, _>>()?,
            guards: resolver.guards(&info.guards)?,
            group: resolver.number(&info.group)?,
        })
    }

    /// The group, if no lookup leaves the tuple out; whether one that does makes it an error.
    fn group(&self, vars: &mut [i64]) -> Result<Option<i64>, bool> {
        let hold = |tests: &[Test], vars: &[i64]| tests.iter().all(|t| t.holds(vars));
        for step in &self.lookups {
            if !hold(&step.guards, vars) {
                return Err(false);
            }
            vars[step.var] = step.value.get(vars);
            if step.none == Some(vars[step.var]) {
                return if step.trap { Err(true) } else { Ok(None) };
            }
        }
        if hold(&self.guards, vars) { Ok(Some(self.group.get(vars))) } else { Err(false) }
    }
}

impl RouteCode {
    pub(crate) fn new(resolver: &Resolver<'_>, handle: Handle<Route>) -> Result<RouteCode, Error> {
        let schedule = &resolver.request.schedule;
        let info = schedule.routes[handle].clone();
        let plan = resolver.plan(handle)?;
        let positions = resolver.request.number(&info.positions, resolver.me);
        let own = &plan.ranks[resolver.me];
        let base = |(handle, table): (&Handle<Base>, &Table)| {
            let base = &schedule.bases[*handle];
            (table.clone(), base.align, schedule.deals[base.deal].groups.clone())
        };
        let bases = own.bases.iter().map(base).collect();
        let tensor = &schedule.tensors[info.index];
        let code = RouteCode {
            me: resolver.me,
            member: info.member_of(resolver.me as i64) as usize,
            peers: info.peers_of(resolver.me as i64).map(|r| r as usize).collect(),
            launch: resolver.request.number,
            entry: resolver.request.entry().name.clone(),
            index: resolver.buffer(info.index)?,
            index_name: tensor.name.clone(),
            elem: tensor.elem,
            body: match info.row_major_index(&schedule.tensors) {
                Some(_) => None,
                None => Some(Body::new(resolver, &info)?),
            },
            vars: schedule.vars.len(),
            positions,
            owners: schedule
                .owners_of(handle)
                .map(|owners| Owners::new(resolver, owners))
                .collect::<Result<_, _>>()?,
            from: info.from.map(|table| resolver.table(table)).transpose()?,
            bases,
            info,
            plan,
        };
        code.check_size()?;
        Ok(code)
    }

    fn check_size(&self) -> Result<(), Error> {
        // The body's elements are looked up where they are.
        let elems = match self.body {
            None => self.positions * self.info.fan,
            Some(_) => 0,
        };
        let needed = elems * self.elem.bytes();
        if self.positions < 0
            || self.positions > self.info.positions_bound
            || needed as usize > self.index.bytes(self.me)
        {
            return Err(Error::Internal(format!(
                "{} positions do not fit `{}`",
                self.positions, self.index_name
            )));
        }
        Ok(())
    }

    fn space(&self) -> &Space {
        &self.plan.ranks[self.me]
    }

    fn bins(&self) -> usize {
        self.info.bins() as usize
    }

    /// Histogram bin of a tuple in group g, by its number in the order of slots.
    fn bin(&self, group: i64, number: impl FnOnce() -> i64) -> usize {
        let outer = match self.info.order.outer {
            1 => 0,
            _ => number() / self.info.order.inner.of(self.positions).max(1),
        };
        (outer * self.info.groups + group) as usize
    }

    /// Positions before the next choice, in the order of slots.
    fn run(&self) -> i64 {
        self.info.order.run.of(self.positions).max(1)
    }

    /// Room for the variables of the body.
    fn vars(&self) -> Vec<i64> {
        vec![0; if self.body.is_some() { self.vars } else { 0 }]
    }

    /// The group a tuple names; `None` drops it. `vars` is what [`RouteCode::vars`] made.
    fn group(&self, vars: &mut [i64], position: i64, k: i64) -> Result<Option<i64>, Error> {
        let value = match &self.body {
            None => Some(self.index(position, k)).filter(|v| self.none() != Some(*v)),
            Some(body) => {
                vars[self.info.position.index()] = position;
                vars[self.info.choice.index()] = k;
                match body.group(vars) {
                    Ok(value) => value,
                    Err(true) => return Err(self.trap(position, k, "names no group")),
                    Err(false) => {
                        return Err(take_wild().map_or_else(
                            || Error::Internal("a route's body fails".to_string()),
                            Error::OutOfRange,
                        ));
                    }
                }
            }
        };
        let Some(value) = value else {
            let trap = self.body.is_none() && self.info.lookups.iter().any(|l| l.trap);
            return if trap { Err(self.trap(position, k, "names no group")) } else { Ok(None) };
        };
        if !(0..self.info.groups).contains(&value) {
            let (tensor, bound) = (self.index_name.clone(), self.info.groups);
            return Err(Error::Index { tensor, at: self.tuple(position, k), value, bound });
        }
        Ok(Some(value))
    }

    fn none(&self) -> Option<i64> {
        self.info.lookups.first().and_then(|l| l.none)
    }

    /// The element of an index tensor that is laid out `[position][fan]`.
    fn index(&self, position: i64, k: i64) -> i64 {
        let parts = self.index.here();
        let at = (position * self.info.fan + k) * self.elem.bytes();
        // SAFETY: `check_size` holds for every position below `positions` and every k below `fan`.
        unsafe { load_int(self.elem, parts[self.me].start().add(at as usize)) }
    }

    /// A tuple as messages name it.
    fn tuple(&self, position: i64, k: i64) -> String {
        self.info.tuples.text((self.member as i64, position, k), self.positions)
    }

    #[cold]
    fn trap(&self, position: i64, k: i64, what: &str) -> Error {
        let (index, at, route) = (&self.index_name, self.tuple(position, k), &self.info.name);
        let message = format!("{index}[{at}] {what} (route `{route}`)");
        Error::Trap { entry: self.entry.clone(), rank: self.me, message }
    }

    /// F0907: `assume distinct` shrinks what is allocated, so nothing may be moved by such data.
    #[cold]
    fn repeated(&self, position: i64, (first, second): (i64, i64), group: i64) -> Error {
        let (index, tuples) = (&self.index_name, &self.info.tuples);
        let choice = tuples.choice.and_then(|k| tuples.names.get(k)).map_or("", String::as_str);
        Error::NotDistinct(format!(
            "{index}[{}] = {group}, as at {choice}={first}: `assume distinct` of `{index}` is false",
            self.tuple(position, second)
        ))
    }

    /// Histogram of own tuples, whose groups all have an owner.
    pub(crate) fn count(&self) -> Result<(), Error> {
        self.owners.iter().try_for_each(|o| o.read(&mut Vec::new()).map(|_| ()))?;
        let mut hist = vec![0u32; self.bins()];
        // The last position that named each group, and where in it.
        let groups = if self.info.distinct { self.info.groups as usize } else { 0 };
        let mut named = vec![(-1, 0); groups];
        let mut vars = self.vars();
        let (run, fan) = (self.run(), self.info.fan);
        for position in 0..self.positions {
            for k in 0..fan {
                let Some(group) = self.group(&mut vars, position, k)? else { continue };
                let number = || (position / run * fan + k) * run + position % run;
                hist[self.bin(group, number)] += 1;
                if let Some(last) = named.get_mut(group as usize) {
                    if last.0 == position {
                        return Err(self.repeated(position, (last.1, k), group));
                    }
                    *last = (position, k);
                }
            }
        }
        let space = self.space();
        space.epoch.fetch_add(1, Relaxed);
        space.positions.store(self.positions as u32, Relaxed);
        space.hist.iter().zip(&hist).for_each(|(to, n)| to.store(*n, Relaxed));
        Ok(())
    }

    /// Totals to this member's row of every peer's matrix of this epoch's parity.
    pub(crate) fn scan(&self) {
        let epoch = self.space().epoch.load(Relaxed);
        for peer in &self.peers {
            let row = self.row(&self.plan.ranks[*peer], epoch, self.member);
            row.iter()
                .zip(self.space().hist.iter())
                .for_each(|(to, n)| to.store(n.load(Relaxed), Relaxed));
        }
    }

    fn row<'s>(&self, space: &'s Space, epoch: u32, member: usize) -> &'s [AtomicU32] {
        let at = ((epoch & 1) as usize * self.peers.len() + member) * self.bins();
        &space.counts[at..at + self.bins()]
    }

    fn matrix(&self) -> Vec<&[AtomicU32]> {
        let epoch = self.space().epoch.load(Relaxed);
        (0..self.peers.len()).map(|member| self.row(self.space(), epoch, member)).collect()
    }

    /// The tables of owners, `live`, every base table and `dropped`.
    pub(crate) fn tables(&self) -> Result<(), Error> {
        let matrix = self.matrix();
        let groups = self.info.groups as usize;
        let mut live = vec![0i64; groups];
        for row in &matrix {
            row.iter()
                .enumerate()
                .for_each(|(bin, n)| live[bin % groups] += i64::from(n.load(Relaxed)));
        }
        let cap = self.info.cap.unwrap_or(i64::MAX);
        live.iter_mut().for_each(|n| *n = (*n).min(cap));
        let space = self.space();
        space.live.iter().zip(&live).for_each(|(to, n)| to.store(*n as u32, Relaxed));
        let mut dealt = Vec::new();
        for owners in &self.owners {
            let deal = owners.read(&mut Vec::new())?;
            owners.keep(&deal);
            dealt.push((&owners.deal, deal));
        }
        for (table, align, deal) in &self.bases {
            let read = dealt.iter().find(|(of, _)| *of == deal);
            base_table(table, *align, read.map_or(deal, |(_, deal)| deal), &live);
        }
        if let Some(from) = &self.from {
            self.rows_from(&matrix, from, cap);
        }
        let kept: i64 = self
            .first_slots(&matrix)
            .iter()
            .zip(matrix[self.member])
            .map(|(first, n)| kept(*first, n, cap))
            .sum();
        space
            .dropped
            .iter()
            .for_each(|to| to.store((self.positions * self.info.fan - kept) as u32, Relaxed));
        Ok(())
    }

    /// Live rows of each group that each member sends.
    fn rows_from(&self, matrix: &[&[AtomicU32]], from: &Table, cap: i64) {
        let groups = self.info.groups as usize;
        from.iter().for_each(|n| n.store(0, Relaxed));
        let mut next = vec![0i64; groups];
        for n in 0..self.info.order.outer * self.info.members {
            let (outer, member) = self.info.order.nth(n);
            for (group, next) in next.iter_mut().enumerate() {
                let n = &matrix[member as usize][outer as usize * groups + group];
                let rows = kept(*next, n, cap);
                from[member as usize * groups + group].fetch_add(rows as u32, Relaxed);
                *next += i64::from(n.load(Relaxed));
            }
        }
    }

    /// Slot of this rank's first tuple in each bin: tuples of the group that are numbered before it.
    fn first_slots(&self, matrix: &[&[AtomicU32]]) -> Vec<i64> {
        let groups = self.info.groups as usize;
        let mut next = vec![0i64; groups];
        let mut first = vec![0i64; self.bins()];
        for n in 0..self.info.order.outer * self.info.members {
            let (outer, member) = self.info.order.nth(n);
            let bins = outer as usize * groups..(outer as usize + 1) * groups;
            for (bin, next) in bins.zip(&mut next) {
                if member as usize == self.member {
                    first[bin] = *next;
                }
                *next += i64::from(matrix[member as usize][bin].load(Relaxed));
            }
        }
        first
    }

    /// The slot of each own tuple, in the route's order.
    pub(crate) fn slots(&self) -> Result<(), Error> {
        let mut next = self.first_slots(&self.matrix());
        let mut vars = self.vars();
        let (run, mut number) = (self.run(), 0);
        for first in (0..self.positions).step_by(run as usize) {
            for k in 0..self.info.fan {
                for position in first..first + run {
                    self.slot(&mut vars, (position, k, number), &mut next)?;
                    number += 1;
                }
            }
        }
        self.space().made.store(self.launch, Release);
        Ok(())
    }

    fn slot(
        &self,
        vars: &mut [i64],
        (position, k, number): (i64, i64, i64),
        next: &mut [i64],
    ) -> Result<(), Error> {
        let to = &self.space().pairs[(position * self.info.fan + k) as usize];
        let Some(group) = self.group(vars, position, k)? else {
            to.store(pack(-1, 0), Relaxed);
            return Ok(());
        };
        let next = &mut next[self.bin(group, || number)];
        let slot = *next;
        *next += 1;
        if self.info.cap.is_some_and(|cap| slot >= cap) {
            if self.info.trap_cap {
                return Err(self.trap(position, k, &format!("is over the cap of group {group}")));
            }
            to.store(pack(-1, 0), Relaxed);
            return Ok(());
        }
        to.store(pack(group as i32, slot as i32), Relaxed);
        Ok(())
    }
}

/// How many of `n` tuples from slot `first` on are under the cap.
fn kept(first: i64, n: &AtomicU32, cap: i64) -> i64 {
    (cap - first).clamp(0, i64::from(n.load(Relaxed)))
}

/// The first row of each group among those of its member.
fn base_table(table: &Table, align: i64, deal: &Deal, live: &[i64]) {
    let mut next = vec![0; deal.members as usize];
    for (group, (to, n)) in table.iter().zip(live).enumerate() {
        let next = &mut next[deal.owner(group as i64).unwrap_or(0) as usize];
        to.store(*next as u32, Relaxed);
        *next += (n + align - 1) / align * align;
    }
}
