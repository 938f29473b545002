//! Movements to loops: a grid of runs, or of tiles where the two sides are contiguous along different digits. Along
//! a route the grid begins with the tuples of the rank, and those that are kept have a part.
//!
//! Every address is read off the digit tables: a digit that a boundary cuts cleanly is a loop variable
//! (or a digit of the rank), any other is a division of the coordinate.

use super::address::{Addresses, Tuple};
use super::arith::{coordinate_of_me, plus, quotient, rest, times};
use super::ir::*;
use crate::arena::Handle;
use crate::layout::{Home, Spread, SpreadKind, Table as Digits};
use crate::plan::{
    Coord, Coordinate, Live, Move, MoveDigit, MoveValue, MoveVar, Number, Place, Shape, Side, Step,
    TileShape, step,
};
use crate::sema::hir;
use std::convert::Infallible;

/// Tiles side by side along the source before the walk steps along the target.
const GROUP: i64 = 2;

/// One movement, with the index arithmetic of its digits.
pub(super) struct MoveLowering<'m, 'a, 'p> {
    pub(super) at: &'a mut Addresses<'p>,
    pub(super) movement: &'m Move,
    /// By digit: its value.
    pub(super) digits: Vec<Ix>,
    /// By digit: its loop variable, if it loops.
    pub(super) loops: Vec<Option<Handle<Var>>>,
    /// Work to be done before, for tables that are computed on the device.
    pub prepare: Vec<Op>,
    /// The tuple at hand, where the points are those of a route.
    pub(super) tuple: Option<Tuple>,
}

impl<'m, 'a, 'p> MoveLowering<'m, 'a, 'p> {
    pub fn new(at: &'a mut Addresses<'p>, movement: &'m Move) -> Self {
        let carried = movement.carried().map(|place| at.table_of(place.tensor));
        let tuple = movement.route.filter(|_| movement.over_tuples()).map(|r| at.tuple(r));
        let staggered = peer_digit(at, movement);
        let (mut digits, mut loops) = (Vec::new(), Vec::new());
        for (i, digit) in movement.digits.iter().enumerate() {
            match (digit.cut, carried) {
                _ if digit.tuple => {
                    let coord = movement.vars[digit.var].tuple;
                    let value = tuple.as_ref().zip(coord).map(|(t, coord)| at.coord_of(t, coord));
                    digits.push(value.unwrap_or(Ix::Lit(0)));
                    loops.push(None);
                }
                (Some(cut), Some(carried)) => {
                    let mine = quotient(coordinate_of_me(carried, cut.weight, cut.size), cut.below);
                    let all = cut.top || cut.below * digit.radix == cut.size;
                    digits.push(if all { mine } else { rest(mine, digit.radix) });
                    loops.push(None);
                }
                _ => {
                    let var = at.var(&digit_name(movement, i));
                    digits.push(match digit.radix {
                        1 => Ix::Lit(0),
                        peers if staggered == Some(i) => rest(plus(Ix::Var(var), Ix::Me), peers),
                        _ => Ix::Var(var),
                    });
                    loops.push(Some(var));
                }
            }
        }
        MoveLowering { at, movement, digits, loops, prepare: Vec::new(), tuple }
    }

    /// The loop nest.
    pub fn lower(&mut self) -> Op {
        for coordinate in &self.movement.target.coords {
            let Coordinate::Computed { value, .. } = coordinate else { continue };
            value.places().into_iter().for_each(|place| self.claim(place.tensor));
        }
        match self.movement.shape {
            Shape::Rows { run, vector, digits } => self.rows(run, vector, digits),
            Shape::Tile(shape) => self.tile(shape),
        }
    }

    /// Elements that name where the movement writes are compared, if they are assumed distinct: each of them, on every
    /// rank that holds the tensor. Those that may be equal, at other coordinates of some axes, name entries of their own.
    fn claim(&mut self, tensor: Handle<hir::Tensor>) {
        let Some(assumed) = self.at.assumed_distinct(tensor) else { return };
        let Some((bound, none)) = self.at.index_type(tensor) else { return };
        let extents: Vec<i64> =
            (0..self.table_axes(tensor)).map(|axis| self.at.axis_bound(tensor, axis)).collect();
        let elements: i64 = extents.iter().product();
        let others = (0..extents.len()).filter(|axis| !assumed.contains(axis));
        let others = Vec::from_iter(others);
        let apart: i64 = others.iter().map(|axis| extents[*axis]).product();
        let table = format!("claims_{}", self.at.table_of(tensor).name);
        let table = self.at.lookup(&table, bound * apart, || TableKind::Computed);
        let name = match &self.at.table_of(tensor).axes[..] {
            [axis] => axis.clone(),
            _ => "x".to_string(),
        };
        let all = each_element(self.movement, tensor, (name, &extents));
        let mut each = MoveLowering::new(self.at, &all);
        let Some(var) = each.loops[0] else { return };
        let mut guards = each.guards();
        for (axis, coordinate) in all.target.coords.iter().enumerate() {
            if let Some(limit) = each.at.live_extent(tensor, axis) {
                guards.push(Guard::Below { value: each.coordinate(coordinate), limit });
            }
        }
        let element = each.element(&all.target);
        if apart > 1 {
            // One out of its range would name another's entry.
            guards.extend(none.map(|none| differs(&element, none)));
            let tensor = each.at.tensor(tensor);
            guards.push(Guard::Valid { tensor, value: element.clone(), limit: bound });
        }
        let at = others.iter().fold(Ix::Lit(0), |at, axis| {
            plus(times(at, extents[*axis]), each.coordinate(&all.target.coords[*axis]))
        });
        let claims = Claims {
            table,
            tensor: each.at.tensor(tensor),
            var: (var, elements),
            guards,
            value: plus(times(at, bound), element),
        };
        self.prepare.append(&mut each.prepare);
        self.prepare.push(Op::Claim(Box::new(claims)));
    }

    fn table_axes(&self, tensor: Handle<hir::Tensor>) -> usize {
        self.at.table_of(tensor).axes.len()
    }

    fn rows(&mut self, run: i64, vector: i64, inside: usize) -> Op {
        let looping = self.movement.digits.len() - inside;
        for digit in self.digits[looping..].iter_mut() {
            *digit = Ix::Lit(0);
        }
        let mut vars = self.tuples();
        vars.extend(self.looping(0..looping, &[]));
        let guards = self.guards();
        let (share, copies) = self.copies();
        let put = self.put(run, vector, copies.as_ref());
        let put = match copies {
            Some((var, extent)) => Op::For { var, extent, body: vec![put] },
            None => put,
        };
        let mut body = self.take(run, vector);
        body.push(put);
        Op::Grid { vars, share, guards, body }
    }

    /// Loads the value into row 0, or adds the parts up.
    fn take(&mut self, run: i64, vector: i64) -> Vec<Op> {
        let MoveValue::Read(place) = &self.movement.value else { return Vec::new() };
        let row = Row(0);
        let parts: i64 = self.parts(place).iter().map(|p| p.size).product();
        if !self.has_parts(place) {
            let from = self.access(place, run, vector, Side::Source, None);
            return vec![take(row, from)];
        }
        let var = self.at.var("part");
        let from = self.access(place, run, vector, Side::Source, Some(Ix::Var(var)));
        let add = Op::Reduce { factors: vec![Factor::Row(row)], run };
        vec![Op::For { var, extent: parts, body: vec![take(row, from), add] }]
    }

    fn put(&mut self, run: i64, vector: i64, copies: Option<&(Handle<Var>, i64)>) -> Op {
        let target = &self.movement.target;
        let elem = self.elem(target);
        let copy = copies.map(|(var, ..)| Ix::Var(*var));
        let to = self.access(target, run, vector, Side::Target, copy);
        let value = match &self.movement.value {
            MoveValue::Literal(scalar) => {
                return Op::Fill { to, bits: super::bits::bits_of(*scalar, elem) };
            }
            MoveValue::Int(number) => Value::Int(self.number(number)),
            MoveValue::Read(place) if self.has_parts(place) => {
                Value::Sum { value: Tree::Sum, to: self.movement.cast.unwrap_or(elem) }
            }
            MoveValue::Read(_) => match self.movement.cast {
                Some(elem) => Value::Cast(Row(0), elem),
                None => Value::Row(Row(0)),
            },
            MoveValue::Computed(tree) => {
                Value::Sum { value: self.tree(tree, (run, vector), &mut Vec::new()), to: elem }
            }
        };
        Op::Put { value, to }
    }

    fn tile(&mut self, shape: TileShape) -> Op {
        let MoveValue::Read(source) = &self.movement.value else {
            return Op::Once { body: Vec::new() };
        };
        let source = source.clone();
        let from = self.halve(shape.source.0, shape.source.1);
        let to = self.halve(shape.target.0, shape.target.1);
        let (along_source, along_target) = (from.inner, to.inner);
        let mut vars =
            self.looping(0..self.movement.digits.len(), &[shape.source.0, shape.target.0]);
        let whole = from.partial.is_none();
        vars.extend(self.walk_of(from.outer, to.outer, (shape.source.0, shape.source.1, whole)));
        // The end of a cut tile comes first: tables are looked up within it only.
        let mut guards: Vec<Guard> = [from.partial, to.partial].into_iter().flatten().collect();
        guards.extend(self.guards());
        let (share, copies) = self.copies();
        let from = self.access(&source, 1, 1, Side::Source, None);
        let copy = copies.as_ref().map(|(var, ..)| Ix::Var(*var));
        let to = self.access(&self.movement.target.clone(), 1, 1, Side::Target, copy);
        Op::Tile(Box::new(Tile {
            vars,
            share,
            along_source: (along_source, shape.source.1),
            along_target: (along_target, shape.target.1),
            guards,
            from: Access { vector: from.vector * shape.source.2, ..from },
            to: Access { vector: to.vector * shape.target.2, ..to },
            copies,
            cast: self.movement.cast,
        }))
    }

    /// The order of tiles: the source's digit in groups of [`GROUP`], the target's within a group, so that
    /// tiles that are written at the same time lie side by side on both sides.
    fn walk_of(
        &mut self,
        source: Option<(Handle<Var>, i64)>,
        target: Option<(Handle<Var>, i64)>,
        (digit, extent, whole): (usize, i64, bool),
    ) -> Vec<(Handle<Var>, i64)> {
        let (Some((var, tiles)), Some(down)) = (source, target) else {
            return target.into_iter().chain(source).collect();
        };
        if !whole || tiles % GROUP != 0 || tiles == GROUP {
            return vec![down, (var, tiles)];
        }
        let group = self.at.var(&format!("{}g", digit_name(self.movement, digit)));
        let number = plus(times(Ix::Var(group), GROUP), Ix::Var(var));
        let inner = match &self.digits[digit] {
            Ix::Binary { op: IxOp::Add, rhs, .. } => (**rhs).clone(),
            other => other.clone(),
        };
        self.digits[digit] = plus(times(number, extent), inner);
        vec![(group, tiles / GROUP), down, (var, GROUP)]
    }

    /// Splits a looping digit at the tile.
    fn halve(&mut self, digit: usize, extent: i64) -> Halves {
        let radix = self.movement.digits[digit].radix;
        let name = digit_name(self.movement, digit);
        let inner = self.at.var(&format!("{name}i"));
        let tiles = (radix + extent - 1) / extent;
        let outer = (tiles > 1).then(|| (self.at.var(&format!("{name}o")), tiles));
        let first = outer.map_or(Ix::Lit(0), |(var, _)| times(Ix::Var(var), extent));
        let value = plus(first, Ix::Var(inner));
        self.digits[digit] = value.clone();
        let partial =
            (radix % extent != 0).then_some(Guard::Below { value, limit: Ix::Lit(radix) });
        Halves { inner, outer, partial }
    }

    /// The looping digits among `range`, without `but`.
    fn looping(&self, range: std::ops::Range<usize>, but: &[usize]) -> Vec<(Handle<Var>, i64)> {
        let movement = self.movement;
        let reduced = |i: &usize| movement.value.reduces(movement.digits[*i].var);
        let digits = range.filter(|i| !but.contains(i) && !reduced(i));
        digits
            .filter_map(|i| Some((self.loops[i]?, self.movement.digits[i].radix)))
            .filter(|(_, radix)| *radix > 1)
            .collect()
    }

    pub(super) fn elem(&self, place: &Place) -> hir::Elem {
        self.at.schedule().tensors[self.at.tensor(place.tensor)].elem
    }

    pub(super) fn table(&self, place: &Place) -> &'p Digits {
        self.at.table_of(place.tensor)
    }

    /// The loops over the tuples of this rank.
    fn tuples(&self) -> Vec<(Handle<Var>, i64)> {
        let Some(tuple) = self.tuple.as_ref().filter(|_| !self.is_of_rank()) else {
            return Vec::new();
        };
        let route = &self.at.schedule().routes[self.at.route(tuple.route)];
        let choices = (!self.sums() && route.fan > 1).then_some((tuple.vars.fan, route.fan));
        [(tuple.vars.position, route.positions_bound)].into_iter().chain(choices).collect()
    }

    /// Whether the tuples of a position are reduced.
    fn sums(&self) -> bool {
        let vars = self.movement.vars.iter().enumerate();
        vars.into_iter().any(|(v, info)| info.tuple.is_some() && self.movement.value.reduces(v))
    }

    /// The value is one of the rank, whatever tuples it has.
    fn is_of_rank(&self) -> bool {
        let MoveValue::Int(number) = &self.movement.value else { return false };
        number.leaves().iter().any(|leaf| matches!(leaf, Number::Dropped))
    }

    /// The tuple has a group and a slot.
    pub(super) fn kept(&self) -> Option<Guard> {
        let tuple = self.tuple.as_ref()?;
        let first = self.movement.vars.iter().any(|v| v.first && v.tuple.is_some());
        let (route, tuple) = (self.at.route(tuple.route), tuple.number.clone());
        Some(Guard::Kept { route, tuple, first })
    }

    /// Which tuples there are; and of ranks that plan alike each does what lies at its own coordinates of the mesh
    /// axes between them.
    fn tuple_guards(&mut self) -> Vec<Guard> {
        let Some(tuple) = self.tuple.clone() else { return Vec::new() };
        let route = &self.at.schedule().routes[self.at.route(tuple.route)];
        let (value, limit) = (Ix::Var(tuple.vars.position), route.positions.clone());
        let whole = limit == Ix::Lit(route.positions_bound);
        let mut out = Vec::new();
        if let (Some(limit), true) = (self.at.holds(tuple.route), self.is_of_rank()) {
            out.push(Guard::Below { value: Ix::Lit(0), limit });
        }
        if !self.is_of_rank() {
            out.extend((!whole).then_some(Guard::Below { value, limit }));
            out.extend(self.kept().filter(|_| !self.sums()));
        }
        let place = self.movement.target.clone();
        let table = self.table(&place);
        for (at, row) in table.digits.iter().enumerate() {
            let Home::Mesh { weight, .. } = row.home else { continue };
            let size = row.radix.bound();
            if size > 1 && self.at.is_beside(tuple.route, (size, weight)) {
                let value = self.digit(&place, row.axis, at);
                out.push(Guard::Equal { value, to: coordinate_of_me(table, weight, size) });
            }
        }
        for spread in &table.spread {
            let beside = self.at.is_beside(tuple.route, (spread.size, spread.weight));
            if let (SpreadKind::Only(at), true) = (spread.kind, beside && spread.size > 1) {
                let value = coordinate_of_me(table, spread.weight, spread.size);
                out.push(Guard::Equal { value, to: Ix::Lit(at) });
            }
        }
        out
    }

    /// What the tuples of a rank name of the place lies on that rank.
    pub(super) fn is_own(&self, place: &Place) -> bool {
        let Some(tuple) = &self.tuple else { return false };
        let table = self.table(place);
        let cut = |row: &crate::layout::Digit| match row.home {
            Home::Mesh { .. } => row.radix.bound() > 1,
            Home::Owner => true,
            _ => false,
        };
        let by_source = |axis: usize| {
            let sources = self.at.sources(tuple.route);
            let is = |k: &usize| self.movement.is_coord(place, axis, Coord::Source(*k));
            (0..sources.len()).find(is).is_some_and(|k| table.is_cut_as(axis, &sources[k]))
        };
        let axes = table.digits.iter().filter(|row| cut(row)).map(|row| row.axis);
        self.at.is_with(tuple.route, table)
            && table.maps.is_empty()
            && table.spread.iter().all(|s| s.kind == SpreadKind::Copy)
            && axes.into_iter().all(by_source)
    }

    /// Which ranks take part, which points exist, which indices are legal.
    fn guards(&mut self) -> Vec<Guard> {
        let Some(place) = self.movement.carried() else {
            let mut out = self.tuple_guards();
            for i in (0..self.movement.vars.len()).filter(|i| !self.movement.value.reduces(*i)) {
                out.extend(self.extent_guards(i));
            }
            out.extend(self.condition());
            out.extend(self.index_guards(&[], &[]));
            return out;
        };
        let table = self.table(place);
        let mut out = Vec::new();
        if table.first > 0 {
            out.push(Guard::Below { value: Ix::Lit(table.first - 1), limit: Ix::Me });
        }
        if table.first + table.ranks < self.at.schedule().ranks {
            out.push(Guard::Below { value: Ix::Me, limit: Ix::Lit(table.first + table.ranks) });
        }
        for spread in &table.spread {
            if let SpreadKind::Only(at) = spread.kind {
                let value = coordinate_of_me(table, spread.weight, spread.size);
                out.push(Guard::Equal { value, to: Ix::Lit(at) });
            }
        }
        for i in (0..self.movement.vars.len()).filter(|i| !self.movement.value.reduces(*i)) {
            out.extend(self.extent_guards(i));
        }
        // Only a point of this rank may fail the launch; a check that reads an index comes after it.
        out.extend(self.condition());
        let gathers = |axis: &usize| place.coords[*axis].reads();
        let checks = &self.movement.checks;
        for (axis, at) in checks.iter().filter(|(axis, _)| !gathers(axis)) {
            out.push(self.check(place, *axis, *at));
        }
        out.extend(self.index_guards(&[], &[]));
        for (axis, at) in checks.iter().filter(|(axis, _)| gathers(axis)) {
            out.push(self.check(place, *axis, *at));
        }
        out
    }

    /// The statement's own, part by part: what one part has seen to the next may read.
    fn condition(&mut self) -> Vec<Guard> {
        let mut out = Vec::new();
        for part in self.movement.filter.iter().flat_map(hir::Filter::parts) {
            part.operands().into_iter().for_each(|n| self.number_guards(n, &mut out));
            let Ok(part) = part.map(&mut |n| Ok::<_, Infallible>(self.number(n)));
            out.push(Guard::Holds(part));
        }
        out
    }

    /// The variable is below its extent; one that was read from a tensor is at most its bound.
    pub(super) fn extent_guards(&mut self, var: usize) -> Vec<Guard> {
        let info = &self.movement.vars[var];
        let limit = match &info.live {
            Live::Known if !info.guarded => return Vec::new(),
            Live::Known => Ix::Lit(info.extent),
            Live::Size(size) => self.size(size),
        };
        let mut out = Vec::new();
        if let Live::Size(size) = &info.live
            && let Some(tensor) = size.tensor()
        {
            let (tensor, value) = (self.at.tensor(tensor), limit.clone());
            out.push(Guard::Valid { tensor, value, limit: info.extent.saturating_add(1) });
        }
        out.push(Guard::Below { value: self.var(var), limit });
        out
    }

    /// Indices read from tensors, of those that wait for the reduced variables `over` and no others but `outer`.
    pub(super) fn index_guards(&mut self, outer: &[usize], over: &[usize]) -> Vec<Guard> {
        let movement = self.movement;
        let places = std::iter::once(&movement.target).chain(movement.value.places());
        let mut out = Vec::new();
        for (place, coordinate) in places.flat_map(|p| p.coords.iter().map(move |c| (p, c))) {
            let reduced = |v: &usize| movement.value.reduces(*v) && coordinate.mentions(*v);
            let waits: Vec<usize> = (0..movement.vars.len()).filter(reduced).collect();
            let known = waits.iter().all(|v| over.contains(v) || outer.contains(v));
            let here = over.is_empty() || waits.iter().any(|v| over.contains(v));
            if known && here {
                self.coordinate_guards(place.tensor, coordinate, &mut out);
            }
        }
        out
    }

    /// What must hold before the place is used: elements that decide where it is are there, and what their types say.
    fn coordinate_guards(
        &mut self,
        of: Handle<hir::Tensor>,
        coordinate: &Coordinate,
        out: &mut Vec<Guard>,
    ) {
        let Coordinate::Computed { value, limit } = coordinate else { return };
        self.number_guards(value, out);
        let read = value.places();
        for place in &read {
            let Some((bound, none)) = self.at.index_type(place.tensor) else { continue };
            let (tensor, element) = (self.at.tensor(place.tensor), self.element(place));
            add(out, none.map(|none| differs(&element, none)));
            add(out, Some(Guard::Valid { tensor, value: element, limit: bound }));
        }
        if let Some(limit) = limit {
            let tensor = self.at.tensor(read.first().map_or(of, |place| place.tensor));
            let value = self.number(value);
            add(out, Some(Guard::Valid { tensor, value, limit: *limit }));
        }
    }

    /// What must hold before the number is computed.
    fn number_guards(&mut self, number: &Number, out: &mut Vec<Guard>) {
        match number {
            Number::Read(place) => {
                place.coords.iter().for_each(|c| self.coordinate_guards(place.tensor, c, out));
            }
            Number::Binary { op, lhs, rhs } => {
                self.number_guards(lhs, out);
                self.number_guards(rhs, out);
                let divides = matches!(op, hir::BinOp::Div | hir::BinOp::Rem);
                if divides && !matches!(**rhs, Number::Lit(_)) {
                    let value = self.number(rhs);
                    add(out, Some(Guard::NonZero { value }));
                }
            }
            _ => {}
        }
    }

    /// The rank's own digit, against the one of the point.
    fn check(&mut self, place: &Place, axis: usize, at: usize) -> Guard {
        let table = self.table(place);
        match table.digits[at].home {
            Home::Mesh { weight, .. } => {
                let value = self.digit(place, axis, at);
                let to = coordinate_of_me(table, weight, table.digits[at].radix.bound());
                Guard::Equal { value, to }
            }
            _ => {
                let value = self.owner_rank(place, axis, &table.maps[&axis]);
                let to = table.maps[&axis].parts.iter().fold(Ix::Lit(0), |sum, (size, weight)| {
                    plus(sum, times(coordinate_of_me(table, *weight, *size), *weight))
                });
                Guard::Equal { value, to }
            }
        }
    }

    /// Copies of the target that this rank writes: all of them if it pushes, or if the ranks of the
    /// copies share one sum; its own otherwise. Ranks with the same work take a part each.
    fn copies(&mut self) -> (Option<Share>, Option<(Handle<Var>, i64)>) {
        let target = self.table(&self.movement.target);
        let reached = target.spread.iter().filter(|s| self.reaches(s));
        let copied: Vec<_> = reached.map(|s| (s.size, s.weight)).collect();
        let summed = match &self.movement.value {
            MoveValue::Read(place) => self.has_parts(place),
            _ => false,
        };
        let all = self.movement.carrier == Side::Source || summed;
        let share = self.movement.carried().and_then(|place| {
            let home = self.table(place);
            let shared: Vec<_> = match self.movement.carrier {
                Side::Source => copy_axes(home),
                Side::Target if summed => copied.clone(),
                Side::Target => Vec::new(),
            };
            let count: i64 = shared.iter().map(|(size, _)| size).product();
            let index = shared.iter().fold(Ix::Lit(0), |sum, (size, weight)| {
                plus(times(sum, *size), coordinate_of_me(home, *weight, *size))
            });
            (count > 1).then_some(Share { index, count })
        });
        let copies: i64 = copied.iter().map(|(size, _)| size).product();
        let var = (all && copies > 1).then(|| (self.at.var("copy"), copies));
        (share, var)
    }

    /// Whether a rank writes all copies along a mesh axis, and not its own alone, where it writes several.
    pub(super) fn reaches(&self, spread: &Spread) -> bool {
        let beside = |t: &Tuple| self.at.is_beside(t.route, (spread.size, spread.weight));
        spread.kind == SpreadKind::Copy && !self.tuple.as_ref().is_some_and(beside)
    }

    pub(super) fn has_parts(&self, place: &Place) -> bool {
        self.table(place).spread.iter().any(|s| s.kind == SpreadKind::Sum)
    }

    pub(super) fn parts(&self, place: &Place) -> Vec<&'p crate::layout::Spread> {
        self.table(place).spread.iter().filter(|s| s.kind == SpreadKind::Sum).collect()
    }
}

/// A digit cut at the tile.
struct Halves {
    inner: Handle<Var>,
    outer: Option<(Handle<Var>, i64)>,
    /// Of a last tile that is cut short.
    partial: Option<Guard>,
}

/// The outermost looping digit that chooses the peer: each rank begins with another one, so that no link
/// carries all of them at once.
fn peer_digit(at: &Addresses<'_>, movement: &Move) -> Option<usize> {
    let (MoveValue::Read(source), Some(carried)) = (&movement.value, movement.carried()) else {
        return None;
    };
    let peer = match movement.carrier {
        Side::Source => &movement.target,
        Side::Target => source,
    };
    let (table, mine) = (at.table_of(peer.tensor), at.table_of(carried.tensor));
    // Ranks that take parts of the same points must number them alike.
    if !copy_axes(mine).is_empty() {
        return None;
    }
    (0..movement.digits.len()).find(|i| {
        let digit = &movement.digits[*i];
        digit.cut.is_none()
            && digit.radix > 1
            && step(table, peer, &movement.digits, *i) == Step::Rank
    })
}

/// (size, weight) of the mesh axes that hold copies.
fn copy_axes(table: &Digits) -> Vec<(i64, i64)> {
    let copies = table.spread.iter().filter(|s| s.kind == SpreadKind::Copy);
    copies.map(|s| (s.size, s.weight)).collect()
}

/// Each element of an index tensor, by one variable: the elements of a movement that writes them all.
fn each_element(
    movement: &Move,
    tensor: Handle<hir::Tensor>,
    (name, extents): (String, &[i64]),
) -> Move {
    let extent = extents.iter().product();
    let part = |op, lhs, rhs| {
        let (lhs, rhs) = (Box::new(lhs), Box::new(Number::Lit(rhs)));
        Number::Binary { op, lhs, rhs }
    };
    let coordinate = |axis: usize| {
        let below: i64 = extents[axis + 1..].iter().product();
        if extents.len() == 1 {
            return Coordinate::Linear { terms: vec![(0, 1)], constant: 0 };
        }
        let mut value = Number::Var(0);
        if below > 1 {
            value = part(hir::BinOp::Div, value, below);
        }
        if axis > 0 {
            value = part(hir::BinOp::Rem, value, extents[axis]);
        }
        Coordinate::Computed { value, limit: None }
    };
    let var =
        MoveVar { name, extent, tuple: None, live: Live::Known, guarded: false, first: false };
    Move {
        route: None,
        vars: vec![var],
        digits: vec![MoveDigit { var: 0, weight: 1, radix: extent, cut: None, tuple: false }],
        target: Place { tensor, coords: (0..extents.len()).map(coordinate).collect() },
        value: MoveValue::Int(Number::Lit(0)),
        filter: None,
        carrier: Side::Target,
        checks: Vec::new(),
        ..movement.clone()
    }
}

fn differs(value: &Ix, from: i64) -> Guard {
    Guard::Holds(hir::Filter::Compare {
        op: hir::CmpOp::Ne,
        lhs: value.clone(),
        rhs: Ix::Lit(from),
    })
}

/// Adds a guard that is not there yet.
fn add(guards: &mut Vec<Guard>, guard: Option<Guard>) {
    guards.extend(guard.filter(|g| !guards.contains(g)));
}

/// A load from this rank, a pull from another.
fn take(row: Row, from: Access) -> Op {
    if from.rank == Ix::Me { Op::Load { row, from } } else { Op::Pull { row, from } }
}

/// `n1`, `n0`: digits of a variable are numbered from the least significant; a lone one has its name.
fn digit_name(movement: &Move, digit: usize) -> String {
    let d = &movement.digits[digit];
    let name = &movement.vars[d.var].name;
    let below = movement.digits.iter().filter(|o| o.var == d.var && o.weight < d.weight).count();
    let alone = movement.digits.iter().filter(|o| o.var == d.var).count() == 1;
    if alone { name.clone() } else { format!("{name}{below}") }
}
