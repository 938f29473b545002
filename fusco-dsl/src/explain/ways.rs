//! Rows that a statement with a route carries, counted: each of the ways in which they may go, hop by hop, rank by rank.
//!
//! Enters: a compiled program and the inputs that its routes read. Leaves: for each statement its [`Way`]s. Which rows
//! there are, the reference interpreter says.

use crate::Compiled;
use crate::arena::Handle;
use crate::oracle::{self, Carried, Error, Inputs, Relation};
use crate::sema::hir::{
    Assign, Entry, Extent, Io, Owners, Reducer, Size, Tensor, TermKind, VarExtent,
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows from each rank to each, and their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub ranks: usize,
    rows: Vec<i64>,
    bytes: Vec<i64>,
}

impl Flow {
    fn new(ranks: usize) -> Flow {
        Flow { ranks, rows: vec![0; ranks * ranks], bytes: vec![0; ranks * ranks] }
    }

    fn add(&mut self, from: usize, to: usize, bytes: i64) {
        self.rows[from * self.ranks + to] += 1;
        self.bytes[from * self.ranks + to] += bytes;
    }

    pub fn rows(&self, from: usize, to: usize) -> i64 {
        self.rows[from * self.ranks + to]
    }

    pub fn bytes(&self, from: usize, to: usize) -> i64 {
        self.bytes[from * self.ranks + to]
    }

    /// Rows and bytes of the pairs of ranks that are wanted.
    pub fn sum(&self, wanted: impl Fn(usize, usize) -> bool) -> (i64, i64) {
        let mut out = (0, 0);
        for from in 0..self.ranks {
            for to in (0..self.ranks).filter(|to| wanted(from, *to)) {
                out = (out.0 + self.rows(from, to), out.1 + self.bytes(from, to));
            }
        }
        out
    }
}

/// Ranks that are near each other: a coordinate of a mesh axis, or a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// As `node`.
    pub name: String,
    /// Before the first place.
    pub first: i64,
    /// Ranks of a place.
    pub per: i64,
}

impl Level {
    pub fn place(&self, rank: usize) -> i64 {
        (rank as i64 - self.first).div_euclid(self.per)
    }

    /// The rank with this number in the place.
    fn rank(&self, place: i64, number: i64) -> usize {
        usize::try_from(self.first + place * self.per + number.rem_euclid(self.per)).unwrap_or(0)
    }
}

/// What one kernel does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Rows that stay on their rank included.
    pub flow: Flow,
    /// Bytes of each rank's memory that are read and written.
    pub read: Vec<i64>,
    pub written: Vec<i64>,
}

impl Hop {
    fn new(ranks: usize) -> Hop {
        Hop { flow: Flow::new(ranks), read: vec![0; ranks], written: vec![0; ranks] }
    }
}

/// How rows may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayKind {
    /// Each by itself.
    Each,
    /// Those that are one, once to each rank, or once from it.
    OnceARank,
    /// Once to each place of the level, or from it, by way of the rank there that has the number of the one whose row it is.
    OnceAPlace,
    /// The same, by way of each rank of the place in turn.
    Balanced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub kind: WayKind,
    pub hops: Vec<Hop>,
    /// Rows and bytes that each rank passes on to, or adds up for, another place.
    pub forwarded: Vec<(i64, i64)>,
}

impl Way {
    fn new(kind: WayKind, ranks: usize, hops: usize) -> Way {
        Way { kind, hops: vec![Hop::new(ranks); hops], forwarded: vec![(0, 0); ranks] }
    }
}

/// One statement with a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub entry: String,
    pub text: String,
    /// It adds up rows of the other side; else it copies them.
    pub sums: bool,
    pub ways: Vec<Way>,
    /// Bytes of padding that each rank fills, whichever way is taken.
    pub filled: Vec<i64>,
}

/// The inputs that decide which rows the statements of an entry, or of all, carry.
pub fn deciding(compiled: &Compiled, entry: Option<&str>) -> Vec<String> {
    let program = &compiled.hir;
    let mut found = BTreeSet::new();
    for stmt in statements(compiled, entry).map(|(_, stmt)| stmt) {
        let steps = stmt.via.iter().flat_map(|via| &program.routes[via.route].steps);
        steps.filter_map(|s| s.value()).for_each(|v| v.tensors(&mut found));
        stmt.filter.iter().flat_map(|f| f.operands()).for_each(|e| e.tensors(&mut found));
        let placed = stmt.value.reads().into_iter().map(|(t, _)| t).chain([stmt.target]);
        for term in placed.flat_map(|t| &program.tensors[t].placement) {
            if let TermKind::Mapped { owners: Owners::Tensor(owners), .. } = &term.kind {
                found.insert(*owners);
            }
        }
        for var in stmt.via.iter().flat_map(|via| program.routes[via.route].vars.iter()) {
            if let VarExtent::Counted { rows, .. } = &var.1.extent {
                counts(rows, &mut found);
            }
        }
    }
    let inputs = found
        .into_iter()
        .map(|t| &program.tensors[t])
        .filter(|t| matches!(t.io, Io::In | Io::InOut));
    inputs.map(|t| t.name.clone()).collect()
}

fn counts(size: &Size, out: &mut BTreeSet<Handle<Tensor>>) {
    match size {
        Size::Read { tensor, index } => {
            out.insert(*tensor);
            index.iter().for_each(|i| counts(i, out));
        }
        Size::Binary { lhs, rhs, .. } => {
            counts(lhs, out);
            counts(rhs, out);
        }
        _ => {}
    }
}

fn statements<'c>(
    compiled: &'c Compiled,
    entry: Option<&'c str>,
) -> impl Iterator<Item = (&'c str, &'c Assign)> {
    let wanted = move |e: &&Entry| entry.is_none_or(|name| name == e.name);
    let entries = compiled.hir.entries.iter().filter(wanted);
    let all = entries.flat_map(|e| e.stmts.iter().map(|s| (e.name.as_str(), s)));
    all.filter(|(_, s)| s.via.is_some())
}

/// The coordinates of the axes of the meshes that have several ranks each.
pub fn levels(compiled: &Compiled) -> Vec<Level> {
    let bound = compiled.schedule.params.iter().cloned().collect();
    let mut out = Vec::new();
    for (_, mesh) in compiled.hir.meshes.iter() {
        for axis in &mesh.axes {
            if let Some((per, places)) = compiled.hir.cut(*axis, &bound)
                && let Some(first) = compiled.hir.eval(&mesh.first, &bound)
                && per > 1
                && places > 1
            {
                out.push(Level { name: compiled.hir.mesh_axes[*axis].name.clone(), first, per });
            }
        }
    }
    out
}

/// Counts the rows of the statements of an entry, or of all, in each way; places are those of the level, if there is one.
///
/// # Errors
/// Those of the routes: missing inputs, values out of range, traps.
pub fn ways(
    compiled: &Compiled,
    entry: Option<&str>,
    (inputs, level): (&Inputs, Option<&Level>),
) -> Result<Vec<Statement>, Error> {
    let program = &compiled.hir;
    let mut plans: BTreeMap<String, Relation> = BTreeMap::new();
    let mut out = Vec::new();
    for (entry, stmt) in statements(compiled, entry) {
        for route in stmt.via.iter().map(|via| via.route) {
            let name = &program.routes[route].name;
            if !plans.contains_key(name) {
                plans.insert(name.clone(), oracle::relation(program, route, inputs)?);
            }
        }
        let ranks = usize::try_from(compiled.schedule.ranks).unwrap_or(0);
        let sums = stmt.gathers().is_some_and(|by| by != Reducer::First);
        let mut counter = Counter::new(ranks, level, sums);
        oracle::carried(program, stmt, (inputs, &plans), &mut |rows| counter.count(&rows))?;
        if counter.any {
            let written = &counter.ways[0].hops[0].written;
            let filled = filled(compiled, stmt, (inputs, &plans), written)?;
            let (entry, text) = (entry.to_string(), stmt.text.clone());
            out.push(Statement { entry, text, sums, ways: counter.ways, filled });
        }
    }
    Ok(out)
}

/// What lies between rows of a target that is filled, on each rank.
fn filled(
    compiled: &Compiled,
    stmt: &Assign,
    of: (&Inputs, &BTreeMap<String, Relation>),
    written: &[i64],
) -> Result<Vec<i64>, Error> {
    let tensor = &compiled.hir.tensors[stmt.target];
    let ragged = tensor.axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. }));
    if tensor.attrs.fill.is_none() || !ragged {
        return Ok(vec![0; written.len()]);
    }
    let whole = oracle::buffers(&compiled.hir, stmt.target, of)?;
    Ok(whole.iter().zip(written).map(|(all, rows)| (all - rows).max(0)).collect())
}

struct Counter<'l> {
    level: Option<&'l Level>,
    sums: bool,
    ways: Vec<Way>,
    /// Rows so far from one place to another: the next one's turn.
    turns: BTreeMap<(i64, i64), i64>,
    any: bool,
}

impl Counter<'_> {
    fn new(ranks: usize, level: Option<&Level>, sums: bool) -> Counter<'_> {
        let hops = if sums { 2 } else { 1 };
        let mut ways =
            vec![Way::new(WayKind::Each, ranks, 1), Way::new(WayKind::OnceARank, ranks, hops)];
        if level.is_some() {
            ways.push(Way::new(WayKind::OnceAPlace, ranks, 2));
            ways.push(Way::new(WayKind::Balanced, ranks, 2));
        }
        Counter { level, sums, ways, turns: BTreeMap::new(), any: false }
    }

    fn count(&mut self, rows: &Carried) {
        let rank = |r: i64| usize::try_from(r).unwrap_or(0);
        let mut ends: Vec<(usize, usize)> =
            rows.ends.iter().map(|(from, to)| (rank(*from), rank(*to))).collect();
        ends.sort_unstable();
        self.any = true;
        match self.sums {
            false => self.copied(&ends, rows),
            true => self.summed(&ends, rows),
        }
    }

    /// A row goes from its rank to all its slots.
    fn copied(&mut self, ends: &[(usize, usize)], rows: &Carried) {
        let pairs = BTreeSet::from_iter(ends.iter().copied());
        let senders = BTreeSet::from_iter(ends.iter().map(|(from, _)| *from));
        let [each, once, placed @ ..] = &mut self.ways[..] else { return };
        senders.iter().for_each(|from| each.hops[0].read[*from] += rows.row);
        for (from, to) in ends {
            each.hops[0].flow.add(*from, *to, rows.row);
            for way in [&mut *each, &mut *once] {
                way.hops[0].written[*to] += rows.target;
            }
        }
        for (from, to) in pairs {
            once.hops[0].flow.add(from, to, rows.row);
            once.hops[0].read[from] += rows.row;
        }
        let Some(level) = self.level else { return };
        for way in placed.iter_mut() {
            senders.iter().for_each(|from| way.hops[0].read[*from] += rows.row);
        }
        for from in senders {
            let own = level.place(from);
            let slots = ends.iter().filter(|(f, _)| *f == from).map(|(_, to)| *to);
            let mut there: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            slots.for_each(|to| there.entry(level.place(to)).or_default().push(to));
            for (place, slots) in there {
                let turn = if place == own { 0 } else { next(&mut self.turns, (own, place)) };
                for way in placed.iter_mut() {
                    let number = match way.kind {
                        WayKind::Balanced => turn,
                        _ => from as i64 - level.first,
                    };
                    let by = (place != own).then(|| level.rank(place, number));
                    forwarded(way, (from, by, &slots), rows);
                }
            }
        }
    }

    /// Rows of several ranks are added up for one position.
    fn summed(&mut self, ends: &[(usize, usize)], rows: &Carried) {
        let pairs = BTreeSet::from_iter(ends.iter().copied());
        let takers = BTreeSet::from_iter(ends.iter().map(|(_, to)| *to));
        let [each, once, placed @ ..] = &mut self.ways[..] else { return };
        for (from, to) in ends {
            each.hops[0].flow.add(*from, *to, rows.row);
            each.hops[0].read[*from] += rows.row;
            once.hops[0].read[*from] += rows.row;
        }
        takers.iter().for_each(|to| each.hops[0].written[*to] += rows.target);
        for (from, to) in pairs {
            once.hops[0].flow.add(from, to, rows.merged);
            landed(once, to, rows);
        }
        takers.iter().for_each(|to| once.hops[1].written[*to] += rows.target);
        let Some(level) = self.level else { return };
        for to in takers {
            let own = level.place(to);
            let held = ends.iter().filter(|(_, t)| *t == to).map(|(from, _)| *from);
            let mut there: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            held.for_each(|from| there.entry(level.place(from)).or_default().push(from));
            placed.iter_mut().for_each(|way| way.hops[1].written[to] += rows.target);
            for (place, held) in there {
                let turn = if place == own { 0 } else { next(&mut self.turns, (place, own)) };
                for way in placed.iter_mut() {
                    let by = match way.kind {
                        _ if place == own => to,
                        WayKind::Balanced => level.rank(place, turn),
                        _ => level.rank(place, to as i64 - level.first),
                    };
                    added(way, (&held, by, to), (place != own, rows));
                }
            }
        }
    }
}

/// The number of a row among those between two places.
fn next(turns: &mut BTreeMap<(i64, i64), i64>, between: (i64, i64)) -> i64 {
    let turn = turns.entry(between).or_default();
    *turn += 1;
    *turn - 1
}

/// A row to its slots at one place: straight, or by way of a rank there.
fn forwarded(way: &mut Way, (from, by, slots): (usize, Option<usize>, &[usize]), rows: &Carried) {
    let hop = usize::from(by.is_some());
    if let Some(by) = by {
        way.hops[0].flow.add(from, by, rows.row);
        way.hops[0].written[by] += rows.row;
        way.hops[1].read[by] += rows.row;
        way.forwarded[by].0 += 1;
        way.forwarded[by].1 += rows.row;
    }
    for to in slots {
        way.hops[hop].flow.add(by.unwrap_or(from), *to, rows.row);
        way.hops[hop].written[*to] += rows.target;
    }
}

/// The rows that one place has of a position: added up by a rank there, which sends one row.
fn added(
    way: &mut Way,
    (held, by, to): (&[usize], usize, usize),
    (crosses, rows): (bool, &Carried),
) {
    for from in held {
        way.hops[0].flow.add(*from, by, rows.row);
        way.hops[0].read[*from] += rows.row;
    }
    way.hops[0].flow.add(by, to, rows.merged);
    landed(way, to, rows);
    if crosses {
        way.forwarded[by].0 += 1;
        way.forwarded[by].1 += rows.merged;
    }
}

/// A sum that waits for the others, and is read when all are there.
fn landed(way: &mut Way, to: usize, rows: &Carried) {
    way.hops[0].written[to] += rows.merged;
    way.hops[1].read[to] += rows.merged;
}
