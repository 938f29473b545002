//! Who carries a movement out, and the digits of its variables: the common refinement of the boundaries
//! that both tables put on them, those of the carrier's mesh decided by the rank.

use super::digits::{Step, gcd, step};
use super::moves::{
    Built, Coordinate, Cut, Live, Move, MoveDigit, MoveValue, MoveVar, Place, Shape, Side, no,
};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::{Home, RouteShape, SpreadKind, Table};
use crate::sema::hir::{self, Extent, Program, Size};
use crate::source::Span;
use std::collections::BTreeMap;

/// What a `schedule` says about movements.
#[derive(Default)]
pub(super) struct Asked {
    carrier: Option<(Side, Span)>,
    /// Elements of a tile, by variable.
    pub(super) tile: Vec<(String, i64)>,
    /// Where.
    tiled: Span,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Asked) -> bool {
        self.side() == other.side() && self.tile == other.tile
    }
}

impl Asked {
    pub(super) fn of(schedule: Option<&hir::Schedule>) -> Asked {
        let mut asked = Asked::default();
        for directive in schedule.into_iter().flat_map(|s| &s.directives) {
            let span = directive.span;
            match &directive.kind {
                hir::DirectiveKind::Push => asked.carrier = Some((Side::Source, span)),
                hir::DirectiveKind::Pull => asked.carrier = Some((Side::Target, span)),
                hir::DirectiveKind::Tile(sizes) => {
                    (asked.tile, asked.tiled) = (sizes.clone(), span);
                }
                _ => {}
            }
        }
        asked
    }

    fn side(&self) -> Option<Side> {
        self.carrier.map(|(side, _)| side)
    }

    /// Tiles that no movement of the entry has as they were asked for.
    pub(super) fn tiles_of(&self, moves: &[Move]) -> Option<Diagnostic> {
        let obeyed = |(name, size): &&(String, i64)| {
            moves.iter().any(|m| {
                let Shape::Tile(tile) = m.shape else { return false };
                [tile.source, tile.target].iter().any(|(digit, elements, _)| {
                    let digit = &m.digits[*digit];
                    let whole = *elements >= digit.radix && elements <= size;
                    m.vars[digit.var].name == *name && (elements == size || whole)
                })
            })
        };
        let (name, size) = self.tile.iter().find(|t| !obeyed(t))?;
        let what = format!("a tile of {size} along `{name}`");
        let tiles = moves.iter().any(|m| matches!(m.shape, Shape::Tile(_)));
        Some(Diagnostic::unsupported(self.tiled, what).help(match tiles {
            true => "a tile has a power of two from 16 to 256 elements along each of the two variables that are contiguous in memory, 48 KiB in all",
            false => "these statements copy whole runs, not tiles: leave the directive out",
        }))
    }
}

pub(super) struct Builder<'a> {
    pub(super) program: &'a Program,
    pub(super) tables: &'a BTreeMap<Handle<hir::Tensor>, Table>,
    pub(super) asked: &'a Asked,
    /// Of the route whose plan it reads.
    pub(super) shape: Option<&'a RouteShape>,
    pub(super) target: Place,
    pub(super) value: MoveValue,
    pub(super) vars: Vec<MoveVar>,
    /// Variables that a comparison other than with their own extent reads: it differs from one value to
    /// the next, so an access covers one value.
    pub(super) checked: Vec<usize>,
}

impl Builder<'_> {
    pub(super) fn source(&self) -> Option<&Place> {
        match &self.value {
            MoveValue::Read(place) => Some(place),
            _ => None,
        }
    }

    pub(super) fn table(&self, place: &Place) -> &Table {
        &self.tables[&place.tensor]
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.target).chain(self.value.places())
    }

    /// First rows are summed up in the order of coordinates, whose owners must be known at bind.
    fn scans_a_device_table(&self, table: &Table) -> bool {
        let Some(counted) = &table.counted else { return false };
        let mut tables = vec![table];
        let mut sizes = vec![&counted.rows];
        while let Some(size) = sizes.pop() {
            match size {
                Size::Read { tensor, index } => {
                    tables.push(&self.tables[tensor]);
                    sizes.extend(index);
                }
                Size::Binary { lhs, rhs, .. } => sizes.extend([&**lhs, &**rhs]),
                _ => {}
            }
        }
        let on_device = |t: &&Table| t.maps.values().any(|m| m.owners.tensor().is_some());
        tables.iter().any(on_device) || tables[1..].iter().any(|t| t.counted.is_some())
    }

    pub(super) fn supported(&self, span: Span) -> Built<()> {
        let routed =
            |p: &Place| self.table(p).digits.iter().any(|d| matches!(d.home, Home::Group { .. }));
        let ragged = |p: &Place| {
            self.program.tensors[p.tensor]
                .axes
                .iter()
                .any(|a| matches!(a.extent, Extent::Ragged { .. }))
        };
        if self.places().any(|p| self.scans_a_device_table(self.table(p))) {
            return Err(no(span, "rows counted over owners that are read on the device"));
        }
        if self.named_by().any(|tensor| self.differs_by_row(tensor)) {
            let what = "an element on the left of a tensor whose rows have lengths of their own";
            return Err(no(span, what));
        }
        match self.shape.is_none() && self.places().any(|p| routed(p) || ragged(p)) {
            true => Err(no(span, "a move of routed rows without `via`")),
            false => Ok(()),
        }
    }

    /// The tensors of which elements say where it writes.
    fn named_by(&self) -> impl Iterator<Item = Handle<hir::Tensor>> {
        self.target.coords.iter().flat_map(Coordinate::looks_up)
    }

    /// Whether an extent of the tensor is not the same wherever its other axes are.
    fn differs_by_row(&self, tensor: Handle<hir::Tensor>) -> bool {
        self.program.tensors[tensor].axes.iter().any(|axis| match &axis.extent {
            Extent::Fixed(size) => !size.coords().is_empty(),
            Extent::Counted { .. } | Extent::Ragged { .. } => true,
        })
    }

    /// Push by default: writes to a peer stream, reads from one wait. Sums, replicas of the source and
    /// table-dealt sources are fetched.
    ///
    /// # Errors
    /// F0999 where the program asks for the other side.
    pub(super) fn carrier(&self) -> Built<Side> {
        if self.over_tuples() {
            return Ok(Side::Source);
        }
        let forced = |why: &str| match self.asked.carrier {
            Some((Side::Source, span)) => Err(Box::new(
                Diagnostic::unsupported(span, format!("`push` of {why}"))
                    .help("leave the directive out: they are fetched"),
            )),
            _ => Ok(Side::Target),
        };
        let Some(source) = self.source() else { return forced("values that each rank computes") };
        let (from, to) = (self.table(source), self.table(&self.target));
        let sums = from.spread.iter().any(|s| s.kind == SpreadKind::Sum);
        // A rank of the mesh that holds the copies has one of its own.
        let copied = from.spread.iter().any(|s| s.kind == SpreadKind::Copy);
        let at_hand = copied && (from.first, from.ranks) == (to.first, to.ranks);
        if sums {
            return forced("partial sums");
        }
        if at_hand {
            return forced("copies that each rank has");
        }
        let dealt = !from.maps.is_empty() && to.maps.is_empty();
        let side = if dealt { Side::Target } else { Side::Source };
        Ok(self.asked.side().unwrap_or(side))
    }

    pub(super) fn over_tuples(&self) -> bool {
        self.vars.iter().any(|v| v.tuple.is_some())
    }

    /// The place whose ranks carry it out, but along a route.
    fn carried(&self, carrier: Side) -> Option<&Place> {
        match (carrier, self.source()) {
            _ if self.over_tuples() => None,
            (Side::Source, Some(source)) => Some(source),
            _ => Some(&self.target),
        }
    }

    fn own_boundaries(&self, carrier: Side, var: usize) -> Vec<i64> {
        self.carried(carrier).map_or(Vec::new(), |place| self.boundaries(place, var))
    }

    /// The refinement of each variable, major digit first.
    pub(super) fn digits(&self, carrier: Side) -> Vec<MoveDigit> {
        let mut out = Vec::new();
        for (var, info) in self.vars.iter().enumerate() {
            if info.tuple.is_some() {
                let (radix, cut) = (info.extent, None);
                out.push(MoveDigit { var, weight: 1, radix, cut, tuple: true });
                continue;
            }
            let mut cuts = chain(&self.own_boundaries(carrier, var), info.extent);
            let others: Vec<i64> = self
                .places()
                .flat_map(|p| self.boundaries(p, var))
                .filter(|w| *w < info.extent)
                .collect();
            let common = others.iter().copied().fold(0, gcd);
            for w in std::iter::once(common).chain(others.iter().copied()) {
                insert(&mut cuts, w, info.extent);
            }
            // Where the extent ends inside a digit, what lies below the end is still whole.
            let lowest = cuts.first().copied().unwrap_or(info.extent);
            insert(&mut cuts, gcd(lowest, info.extent), info.extent);
            let mut above = info.extent;
            for w in cuts.iter().rev().copied().chain([1]) {
                let radix = (above + w - 1) / w;
                out.push(MoveDigit { var, weight: w, radix, cut: None, tuple: false });
                above = w;
            }
        }
        out
    }

    /// The first boundaries that do not form a chain.
    pub(super) fn divided(&self, carrier: Side) -> Option<(usize, i64, i64)> {
        let vars = (0..self.vars.len()).filter(|v| self.vars[*v].tuple.is_none());
        vars.into_iter().find_map(|var| {
            let own = chain(&self.own_boundaries(carrier, var), self.vars[var].extent);
            let all = self.places().flat_map(|p| self.boundaries(p, var));
            let mut inside = all.filter(|w| *w < self.vars[var].extent);
            let odd = |w: &i64| own.iter().find(|c| *c % w != 0 && w % *c != 0).map(|c| (*c, *w));
            inside.find_map(|w| odd(&w)).map(|(a, b)| (var, a, b))
        })
    }

    /// Weights at which a table's digits cut a variable of the place.
    pub(super) fn boundaries(&self, place: &Place, var: usize) -> Vec<i64> {
        let table = self.table(place);
        let mut out = Vec::new();
        for (axis, coordinate) in place.coords.iter().enumerate() {
            let Coordinate::Linear { terms, .. } = coordinate else { continue };
            if table.maps.contains_key(&axis) {
                continue;
            }
            for (_, coefficient) in terms.iter().filter(|(v, _)| *v == var) {
                let digits = table.digits.iter().filter(|d| d.axis == axis);
                out.extend(
                    digits
                        .filter(|d| d.weight % coefficient == 0)
                        .map(|d| d.weight / coefficient.abs())
                        .filter(|w| *w > 1),
                );
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Digits of the carrier's mesh are decided by the rank. Returns the (axis, table digit) pairs that
    /// must be compared instead.
    pub(super) fn cut(&mut self, carrier: Side, digits: &mut [MoveDigit]) -> Vec<(usize, usize)> {
        let Some(place) = self.carried(carrier).cloned() else { return Vec::new() };
        let table = self.table(&place).clone();
        let mut checks = Vec::new();
        for (at, row) in table.digits.iter().enumerate() {
            let Home::Mesh { weight, .. } = row.home else {
                if row.home == Home::Owner {
                    checks.push((row.axis, at));
                }
                continue;
            };
            let top = table.is_top(row);
            let piece = place.coords[row.axis].piece(digits, row, top);
            let pieces = piece.filter(|sum| sum.constant == 0).map(|sum| sum.terms);
            let free = |p: &super::Terms| p.iter().all(|(d, _)| digits[*d].cut.is_none());
            let Some(mine) = pieces.filter(free).and_then(|p| radix_of(p, digits, row, top)) else {
                checks.push((row.axis, at));
                continue;
            };
            let highest = mine.iter().max_by_key(|(_, below)| *below).map(|(d, _)| *d);
            for (d, below) in &mine {
                let is_top = top && Some(*d) == highest;
                digits[*d].cut =
                    Some(Cut { weight, size: row.radix.bound(), below: *below, top: is_top });
                if is_top && row.radix.bound() * row.weight > self.vars[digits[*d].var].extent {
                    self.vars[digits[*d].var].guarded = true;
                }
            }
            if mine.is_empty() {
                checks.push((row.axis, at));
            }
        }
        checks
    }

    /// Variables that the carrier's comparisons, or another variable's length, read.
    pub(super) fn compared(&self, carrier: Side, checks: &[(usize, usize)]) -> Vec<usize> {
        let by_check = |v: &usize| {
            let place = self.carried(carrier);
            place.is_some_and(|p| checks.iter().any(|(axis, _)| p.coords[*axis].mentions(*v)))
        };
        let by_length = |v: &usize| {
            self.vars
                .iter()
                .any(|x| matches!(&x.live, Live::Size(size) if size.coords().contains(v)))
        };
        (0..self.vars.len()).filter(|v| by_check(v) || by_length(v)).collect()
    }

    pub(super) fn guard(&mut self, digits: &mut [MoveDigit]) {
        for (i, var) in self.vars.iter_mut().enumerate() {
            let points: i64 = digits.iter().filter(|d| d.var == i).map(|d| d.radix).product();
            var.guarded |= points != var.extent;
        }
    }

    /// Loops in the order of the target's memory, the smallest step last; digits of the rank first.
    pub(super) fn order(&self, digits: &[MoveDigit]) -> Vec<usize> {
        let table = self.table(&self.target);
        let key = |i: &usize| match step(table, &self.target, digits, *i) {
            _ if digits[*i].cut.is_some() || digits[*i].tuple => (0, 0),
            Step::Rank | Step::Memory(0) => (1, 0),
            Step::Other => (2, 0),
            Step::Memory(stride) => (3, -stride),
        };
        let mut order: Vec<usize> = (0..digits.len()).collect();
        order.sort_by_key(key);
        order
    }
}

/// The terms of a rank's digit from which each of them can be told: a full mixed radix, in which every
/// factor is the number of values below it. Only then does one rank hold each value of the terms, and each
/// rank with a value at most one. `None` if the digit must be compared instead.
fn radix_of(
    mut terms: super::Terms,
    digits: &[MoveDigit],
    row: &crate::layout::Digit,
    top: bool,
) -> Option<super::Terms> {
    terms.sort_by_key(|(d, factor)| (*factor, digits[*d].radix));
    let full = terms.iter().try_fold(1i64, |below, (d, factor)| {
        (*factor == below).then(|| below * digits[*d].radix)
    })?;
    (top || full == row.radix.bound()).then_some(terms)
}

/// Boundaries that divide each other, smallest first.
fn chain(boundaries: &[i64], extent: i64) -> Vec<i64> {
    let mut out = Vec::new();
    boundaries.iter().for_each(|w| insert(&mut out, *w, extent));
    out
}

/// Adds a boundary if it divides, or is divided by, all others.
fn insert(cuts: &mut Vec<i64>, w: i64, extent: i64) {
    let fits = w > 1 && w < extent && cuts.iter().all(|c| c % w == 0 || w % c == 0);
    if fits && !cuts.contains(&w) {
        cuts.push(w);
        cuts.sort_unstable();
    }
}
