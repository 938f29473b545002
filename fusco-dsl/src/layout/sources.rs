//! The sources of a route in digits: which of them are a rank, and how the others number the tuples of one.
//!
//! Enters: the axis of an index tensor that a source stands for, as its placement cuts it. Leaves: a [`Source`], its
//! digits on mesh axes and its values on a rank, and a [`SlotOrder`], the keys of a slot in those digits.

use crate::arena::Handle;
use crate::sema::hir::{self, Bindings, Program, Size, TermKind};

/// A source variable of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub var: Handle<hir::Var>,
    /// Its digits that are a rank, major first.
    pub ranks: Vec<RankDigit>,
    /// Its values on a rank, numbered by its other digits, and the most there can be.
    pub local: Local,
    pub bound: i64,
}

/// A digit of a source that lies on a mesh axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankDigit {
    /// Of the value of the source.
    pub weight: i64,
    pub radix: i64,
    /// Ranks between neighbours.
    pub ranks: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Local {
    /// The same on each rank, or what a `dyn` says of it.
    Size(Size),
    /// Of each rank among those that make a plan together.
    Each(Vec<i64>),
}

/// Numbering of a group's tuples. The tuples of a rank are numbered in the order of the keys, too: `position` and
/// `choice` of number `i` are `i / (choices * run) * run + i % run` and `i / run % choices`.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotOrder {
    /// The keys as written.
    pub keys: Vec<String>,
    /// Positions before the next choice.
    pub run: Count,
    /// Tuples of a rank that follow each other in slots: counts are kept for each `i / inner`, of which there
    /// are `outer`.
    pub inner: Count,
    pub outer: i64,
    /// Those numbers and the ranks in the order of slots, in digits, major first.
    pub digits: Vec<OrderDigit>,
}

/// A number of positions or tuples of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Known(i64),
    /// All positions of the rank, times and over a number.
    Positions {
        times: i64,
        over: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderDigit {
    /// A digit of the rank's number among those that plan together; else of `i / inner`.
    pub of_rank: bool,
    pub radix: i64,
    /// In that number.
    pub weight: i64,
}

/// The tuples of a route by their sources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuples {
    pub names: Vec<String>,
    pub sources: Vec<Source>,
    /// The sources, by number, whose values on a rank number its positions, major first.
    pub positions: Vec<usize>,
    /// The source that counts the tuples of a position.
    pub choice: Option<usize>,
    /// Ranks between neighbours of those that plan together.
    pub stride: i64,
    /// First rank of the mesh that has the tuples.
    pub first: i64,
}

impl Tuples {
    /// `s=2, t=17, k=1`, for a tuple by its rank among those that plan together, its position of so many there, and
    /// its choice.
    pub fn text(&self, (rank, position, choice): (i64, i64, i64), positions: i64) -> String {
        let mut locals = vec![choice; self.sources.len()];
        let known = |k: &usize| self.sources[*k].known();
        let over = self.positions.iter().filter_map(known).product::<i64>().max(1);
        let mut above = position;
        for (i, k) in self.positions.iter().enumerate().rev() {
            let extent = known(k).unwrap_or(positions / over).max(1);
            locals[*k] = if i == 0 { above } else { above % extent };
            above /= extent;
        }
        let one = |(i, source): (usize, &Source)| {
            let at = |d: &RankDigit| (rank * self.stride - self.first).max(0) / d.ranks % d.radix;
            format!("{}={}", self.names[i], source.value(locals[i], at))
        };
        self.sources.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Count {
    pub fn of(self, positions: i64) -> i64 {
        match self {
            Count::Known(n) => n,
            Count::Positions { times, over } => positions / over * times,
        }
    }
}

impl SlotOrder {
    /// Number `i` of a rank and a count is of this (outer, rank).
    pub fn nth(&self, i: i64) -> (i64, i64) {
        let (mut below, mut outer, mut rank) = (i, 0, 0);
        for digit in self.digits.iter().rev() {
            let value = below % digit.radix;
            below /= digit.radix;
            *(if digit.of_rank { &mut rank } else { &mut outer }) += value * digit.weight;
        }
        (outer, rank)
    }
}

impl Source {
    /// The source that stands for an axis; `None` if a digit's size is not known at bind, or a table deals it.
    pub(super) fn of(
        (program, bound): (&Program, &Bindings),
        (tensor, axis): (&hir::Tensor, usize),
        (var, extent): (Handle<hir::Var>, &Size),
    ) -> Option<Source> {
        let size = |size: &Size| program.eval(size, bound);
        let live = extent.is_live();
        let all = program.most(extent, bound)?;
        let terms = || tensor.placement.iter().filter(move |t| t.axis == axis);
        let radix = |kind: &TermKind| match kind {
            TermKind::Shard(mesh) => size(&program.mesh_axes[*mesh].size),
            TermKind::Tile(n) => size(n),
            TermKind::Rest => Some(1),
            _ => None,
        };
        let others = terms().try_fold(1i64, |n, t| n.checked_mul(radix(&t.kind)?))?;
        let (mut ranks, mut weight) = (Vec::new(), 1i64);
        for term in terms().collect::<Vec<_>>().into_iter().rev() {
            let radix = match &term.kind {
                TermKind::Rest => (all + others - 1) / others.max(1),
                kind => radix(kind)?,
            };
            if let (TermKind::Shard(mesh), true) = (&term.kind, radix > 1) {
                let between = ranks_between(program, bound, *mesh)?;
                ranks.insert(0, RankDigit { weight, radix, ranks: between });
            }
            weight = weight.checked_mul(radix.max(1))?;
        }
        let split: i64 = ranks.iter().map(|d| d.radix).product();
        let local = match split {
            1 => Local::Size(extent.clone()),
            _ if live => return None,
            n if all == weight => Local::Size(Size::Lit(all / n)),
            _ => Local::Each(Vec::new()),
        };
        let bound = if split == 1 { all } else { weight / split };
        Some(Source { var, ranks, local, bound })
    }

    /// The value that is number `local` on a rank, of which `at` gives the digits.
    fn value(&self, local: i64, at: impl Fn(&RankDigit) -> i64) -> i64 {
        self.ranks
            .iter()
            .rev()
            .fold(local, |x, d| x / d.weight * d.weight * d.radix + at(d) * d.weight + x % d.weight)
    }

    /// How many values below `all` each of so many ranks has, `stride` apart.
    pub(super) fn count_each(&mut self, all: i64, (members, stride): (i64, i64)) {
        let Local::Each(counts) = &self.local else { return };
        let mut counts = counts.clone();
        for member in 0..members {
            let value = |n| self.value(n, |d| member * stride / d.ranks % d.radix);
            // Values of one rank ascend with their numbers.
            let (mut least, mut most) = (0, self.bound);
            while least < most {
                let middle = (least + most) / 2;
                if value(middle) < all { least = middle + 1 } else { most = middle }
            }
            counts.push(least);
        }
        self.local = Local::Each(counts);
    }

    /// The weight, among a rank's values, of a digit of all values.
    pub fn local_weight(&self, weight: i64) -> i64 {
        let below = self.ranks.iter().filter(|d| d.weight < weight);
        weight / below.map(|d| d.radix).product::<i64>()
    }

    /// Known at bind, and the same on all ranks.
    pub fn known(&self) -> Option<i64> {
        match &self.local {
            Local::Size(size) if size.is_live() => None,
            Local::Each(_) => None,
            Local::Size(_) => Some(self.bound),
        }
    }
}

/// Ranks between neighbours along a mesh axis.
fn ranks_between(program: &Program, bound: &Bindings, axis: Handle<hir::MeshAxis>) -> Option<i64> {
    let axes = &program.meshes[program.mesh_axes[axis].mesh].axes;
    let minor = axes.iter().skip_while(|a| **a != axis).skip(1);
    let size = |a: &Handle<hir::MeshAxis>| program.eval(&program.mesh_axes[*a].size, bound);
    minor.map(size).try_fold(1i64, |n, size| n.checked_mul(size?))
}

/// The keys of a slot: sources by their number, the choice among them.
pub(super) struct Keys<'a> {
    pub sources: &'a [Source],
    pub order: &'a [usize],
    pub names: Vec<String>,
    pub choice: Option<usize>,
    /// Ranks between neighbours of those that plan together.
    pub stride: i64,
}

impl Keys<'_> {
    /// The numbering of slots by these keys; else what is not lowered.
    pub fn slots(&self) -> Result<SlotOrder, &'static str> {
        let live = self.order.iter().filter(|k| self.source(**k).known().is_none());
        if live.count() > 1 {
            return Err("two sources whose extents are not known at bind");
        }
        let after = |at: usize| &self.order[at + 1..];
        let run = self.choice.and_then(|c| self.order.iter().position(|k| *k == c));
        let run = self.product(run.map_or(&[][..], after), 1);
        // Whatever is more major than the last digit of a rank has counts of its own.
        let last = self.order.iter().rposition(|k| !self.source(*k).ranks.is_empty());
        let Some(last) = last else {
            let digits = vec![OrderDigit { of_rank: true, radix: 1, weight: 1 }];
            let inner = self.product(self.order, 1);
            return Ok(SlotOrder { keys: self.names.clone(), run, inner, outer: 1, digits });
        };
        let key = self.source(self.order[last]);
        let low = key.ranks.last().map_or(1, |d| d.weight);
        let split = key.bound > low;
        let inner = match split {
            true => self.product(after(last), low),
            false => self.product(&self.order[last..], 1),
        };
        let before = &self.order[..last];
        let uneven = |k: &usize| match &self.source(*k).local {
            Local::Size(size) => !size.dyn_index().is_empty(),
            Local::Each(_) => true,
        };
        let tail = |keys: &[usize]| keys.iter().skip(1).any(uneven);
        if tail(before) || split && !before.is_empty() && uneven(&self.order[last]) {
            return Err(
                "a key before a rank's, of which ranks have different numbers of values, that is not the first",
            );
        }
        let digits = self.digits(&self.order[..=last]);
        let outer = digits.iter().filter(|d| !d.of_rank).map(|d| d.radix).product();
        if digits.len() > 2 && self.order[..=last].iter().any(|k| self.source(*k).known().is_none())
        {
            return Err("ranks between keys whose number of values is not known at bind");
        }
        Ok(SlotOrder { keys: self.names.clone(), run, inner, outer, digits })
    }

    fn source(&self, key: usize) -> &Source {
        &self.sources[key]
    }

    /// The product of the extents of the keys and a number.
    fn product(&self, keys: &[usize], times: i64) -> Count {
        let known = |k: &usize| self.source(*k).known();
        let all = keys.iter().filter_map(known).product::<i64>() * times;
        if keys.iter().all(|k| known(k).is_some()) {
            return Count::Known(all);
        }
        // Positions are the product of all but the choice.
        let positions = self.order.iter().filter(|k| Some(**k) != self.choice);
        let over: i64 = positions.filter_map(known).product::<i64>().max(1);
        Count::Positions { times: all, over }
    }

    /// Digits of the keys, those of a rank and the others; neighbours that are one number are one digit.
    fn digits(&self, keys: &[usize]) -> Vec<OrderDigit> {
        let mut out: Vec<OrderDigit> = Vec::new();
        for key in keys.iter().map(|k| self.source(*k)) {
            let mut above = key.bound * key.ranks.iter().map(|d| d.radix).product::<i64>();
            for digit in &key.ranks {
                let between =
                    (above + digit.weight * digit.radix - 1) / (digit.weight * digit.radix);
                out.push(OrderDigit { of_rank: false, radix: between, weight: 0 });
                let weight = digit.ranks / self.stride;
                out.push(OrderDigit { of_rank: true, radix: digit.radix, weight });
                above = digit.weight;
            }
            let low = if key.ranks.is_empty() { key.bound } else { above };
            out.push(OrderDigit { of_rank: false, radix: low, weight: 0 });
        }
        // Below the last digit of a rank they need no counts.
        let end = out.iter().rposition(|d| d.of_rank).map_or(0, |at| at + 1);
        out.truncate(end);
        let mut weight = 1;
        for digit in out.iter_mut().rev().filter(|d| !d.of_rank) {
            digit.weight = weight;
            weight *= digit.radix.max(1);
        }
        let mut merged: Vec<OrderDigit> = Vec::new();
        for digit in out.into_iter().filter(|d| d.radix != 1) {
            match merged.last_mut() {
                Some(m) if m.of_rank == digit.of_rank && m.weight == digit.weight * digit.radix => {
                    *m = OrderDigit { radix: m.radix * digit.radix, ..digit };
                }
                _ => merged.push(digit),
            }
        }
        merged
    }
}
