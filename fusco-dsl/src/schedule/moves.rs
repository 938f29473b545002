//! Movements without a route to loops: a grid of runs, or of tiles where the two sides are contiguous
//! along different digits.
//!
//! Every address is read off the digit tables: a digit that a boundary cuts cleanly is a loop variable
//! (or a digit of the rank), any other is a division of the coordinate.

use super::address::{Addresses, ix_op};
use super::ir::*;
use crate::arena::Handle;
use crate::layout::{Home, Map, Owners, SpreadKind, Table as Digits};
use crate::plan::{
    Coordinate, Live, Move, MoveValue, Number, Place, Shape, Side, Step, TileShape, piece_of, step,
};
use crate::sema::hir::{self, Size};

/// Tiles side by side along the source before the walk steps along the target.
const GROUP: i64 = 2;

/// One movement, with the index arithmetic of its digits.
pub(super) struct MoveLowering<'m, 'a, 'p> {
    at: &'a mut Addresses<'p>,
    movement: &'m Move,
    /// By digit: its value.
    digits: Vec<Ix>,
    /// By digit: its loop variable, if it loops.
    loops: Vec<Option<Handle<Var>>>,
    /// Work to be done before, for tables that are computed on the device.
    pub prepare: Vec<Op>,
}

impl<'m, 'a, 'p> MoveLowering<'m, 'a, 'p> {
    pub fn new(at: &'a mut Addresses<'p>, movement: &'m Move) -> Self {
        let carried = at.table_of(carried(movement).tensor);
        let staggered = peer_digit(at, movement);
        let (mut digits, mut loops) = (Vec::new(), Vec::new());
        for (i, digit) in movement.digits.iter().enumerate() {
            match digit.cut {
                Some(cut) => {
                    let mine = quotient(coordinate_of_me(carried, cut.weight, cut.size), cut.below);
                    let all = cut.top || cut.below * digit.radix == cut.size;
                    digits.push(if all { mine } else { rest(mine, digit.radix) });
                    loops.push(None);
                }
                None => {
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
        MoveLowering { at, movement, digits, loops, prepare: Vec::new() }
    }

    /// The loop nest.
    pub fn lower(&mut self) -> Op {
        match self.movement.shape {
            Shape::Rows { run, vector, digits } => self.rows(run, vector, digits),
            Shape::Tile(shape) => self.tile(shape),
        }
    }

    fn rows(&mut self, run: i64, vector: i64, inside: usize) -> Op {
        let looping = self.movement.digits.len() - inside;
        for digit in self.digits[looping..].iter_mut() {
            *digit = Ix::Lit(0);
        }
        let vars = self.looping(0..looping, &[]);
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
                return Op::Fill { to, bits: super::lower::bits_of(*scalar, elem) };
            }
            MoveValue::Int(number) => Value::Int(self.number(number)),
            MoveValue::Read(place) if self.has_parts(place) => {
                Value::Sum(self.movement.cast.unwrap_or(elem))
            }
            MoveValue::Read(_) => match self.movement.cast {
                Some(elem) => Value::Cast(Row(0), elem),
                None => Value::Row(Row(0)),
            },
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
        let digits = range.filter(|i| !but.contains(i));
        digits
            .filter_map(|i| Some((self.loops[i]?, self.movement.digits[i].radix)))
            .filter(|(_, radix)| *radix > 1)
            .collect()
    }

    fn elem(&self, place: &Place) -> hir::Elem {
        self.at.schedule().tensors[self.at.tensor(place.tensor)].elem
    }

    fn table(&self, place: &Place) -> &'p Digits {
        self.at.table_of(place.tensor)
    }

    fn carried(&self) -> &'m Place {
        carried(self.movement)
    }

    /// Which ranks take part, which points exist, which indices are legal.
    fn guards(&mut self) -> Vec<Guard> {
        let place = self.carried();
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
        for i in 0..self.movement.vars.len() {
            out.extend(self.extent_guard(i));
        }
        out.extend(self.index_guards());
        for (axis, at) in &self.movement.checks {
            out.push(self.check(place, *axis, *at));
        }
        out
    }

    fn extent_guard(&mut self, var: usize) -> Option<Guard> {
        let info = &self.movement.vars[var];
        let limit = match &info.live {
            Live::Known if !info.guarded => return None,
            Live::Known => Ix::Lit(info.extent),
            Live::Size(size) => self.size(size),
        };
        Some(Guard::Below { value: self.var(var), limit })
    }

    fn index_guards(&mut self) -> Vec<Guard> {
        let mut places = vec![&self.movement.target];
        if let MoveValue::Read(source) = &self.movement.value {
            places.push(source);
        }
        let mut out = Vec::new();
        for coordinate in places.into_iter().flat_map(|p| &p.coords) {
            if let Coordinate::Gather { tensor, limit, .. } = coordinate {
                let tensor = self.at.tensor(*tensor);
                let value = self.coordinate(coordinate);
                out.push(Guard::Valid { tensor, value, limit: *limit });
            }
        }
        out
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
        let copied = copy_axes(target);
        let summed = match &self.movement.value {
            MoveValue::Read(place) => self.has_parts(place),
            _ => false,
        };
        let all = self.movement.carrier == Side::Source || summed;
        let shared: Vec<_> = match self.movement.carrier {
            Side::Source => copy_axes(self.table(self.carried())),
            Side::Target if summed => copied.clone(),
            Side::Target => Vec::new(),
        };
        let home = self.table(self.carried());
        let count: i64 = shared.iter().map(|(size, _)| size).product();
        let index = shared.iter().fold(Ix::Lit(0), |sum, (size, weight)| {
            plus(times(sum, *size), coordinate_of_me(home, *weight, *size))
        });
        let share = (count > 1).then_some(Share { index, count });
        let copies: i64 = copied.iter().map(|(size, _)| size).product();
        let var = (all && copies > 1).then(|| (self.at.var("copy"), copies));
        (share, var)
    }

    fn has_parts(&self, place: &Place) -> bool {
        self.table(place).spread.iter().any(|s| s.kind == SpreadKind::Sum)
    }

    fn parts(&self, place: &Place) -> Vec<&'p crate::layout::Spread> {
        self.table(place).spread.iter().filter(|s| s.kind == SpreadKind::Sum).collect()
    }

    /// A run of the place. `choice` numbers the copy of a target or the part of a source.
    fn access(
        &mut self,
        place: &Place,
        run: i64,
        vector: i64,
        side: Side,
        choice: Option<Ix>,
    ) -> Access {
        let own = side == self.movement.carrier && choice.is_none();
        let (rank, offset) = self.locate(place, choice);
        let tensor = self.at.tensor(place.tensor);
        let rank = if own || self.at.schedule().ranks == 1 { Ix::Me } else { rank };
        if rank != Ix::Me {
            self.at.reach(tensor);
        }
        let bytes = self.elem(place).bytes();
        Access {
            tensor,
            rank,
            row: divide(offset, vector),
            unit: vector,
            run,
            vector: vector * bytes,
        }
    }

    /// Rank and element offset.
    fn locate(&mut self, place: &Place, choice: Option<Ix>) -> (Ix, Ix) {
        let table = self.table(place);
        let mut rank = plus(Ix::Lit(table.first), self.spread_rank(table, choice));
        let (mut offset, mut group, mut rows) = (Ix::Lit(0), Ix::Lit(0), None);
        for (at, row) in table.digits.iter().enumerate() {
            let value = match row.home {
                Home::Owner => self.owner_rank(place, row.axis, &table.maps[&row.axis]),
                _ => self.digit(place, row.axis, at),
            };
            match row.home {
                Home::Owner => rank = plus(rank, value),
                Home::Mesh { weight, .. } => rank = plus(rank, times(value, weight)),
                Home::Memory { stride } => offset = plus(offset, times(value, stride)),
                Home::Parent { stride } => group = plus(group, times(value, stride)),
                Home::Rows { stride } => rows = Some((value, stride)),
                Home::Group { .. } | Home::Packed { .. } => {}
            }
        }
        if let (Some((value, stride)), Some(counted)) = (rows, &table.counted) {
            let base = self.base_table(place.tensor);
            let index = plus(times(rank.clone(), counted.groups), group);
            let first = Ix::Lookup { table: base, index: Box::new(index) };
            offset = plus(offset, times(plus(first, value), stride));
        }
        (rank, offset)
    }

    /// What copies, single places and parts add to the rank.
    fn spread_rank(&self, table: &Digits, choice: Option<Ix>) -> Ix {
        let home = self.table(self.carried());
        let same_mesh = (table.first, table.ranks) == (home.first, home.ranks);
        let everywhere = |s: &crate::layout::Spread| {
            s.size == table.ranks
                && table.first <= home.first
                && home.first + home.ranks <= table.first + table.ranks
        };
        let mut out = Ix::Lit(0);
        let chosen = |s: &&crate::layout::Spread| match s.kind {
            SpreadKind::Sum => true,
            SpreadKind::Copy => {
                choice.is_some() && !table.spread.iter().any(|s| s.kind == SpreadKind::Sum)
            }
            SpreadKind::Only(_) => false,
        };
        let mut below = 1;
        for spread in table.spread.iter().rev() {
            let at = match (spread.kind, &choice) {
                (SpreadKind::Only(at), _) => Ix::Lit(at),
                (_, Some(choice)) if chosen(&spread) => {
                    let outer = quotient(choice.clone(), below);
                    below *= spread.size;
                    let first = table.spread.iter().find(|s| chosen(s));
                    if first.is_some_and(|f| f.axis == spread.axis) {
                        outer
                    } else {
                        rest(outer, spread.size)
                    }
                }
                _ if same_mesh || everywhere(spread) => {
                    coordinate_of_me(table, spread.weight, spread.size)
                }
                _ => rest(Ix::Me, spread.size),
            };
            out = plus(out, times(at, spread.weight));
        }
        out
    }

    /// A digit of a table at the place.
    fn digit(&mut self, place: &Place, axis: usize, at: usize) -> Ix {
        let table = self.table(place);
        let row = &table.digits[at];
        let top = table.is_top(row);
        if let Some(map) = table.maps.get(&axis) {
            let position = self.position(place, axis, map);
            let top = table.digits.iter().find(|d| d.axis == axis && d.home != Home::Owner);
            let top = top.is_some_and(|d| std::ptr::eq(d, row));
            return cut(position, row.weight, row.radix.bound(), top);
        }
        let coordinate = &place.coords[axis];
        match piece_of(coordinate, &self.movement.digits, row, top) {
            Some(terms) => terms.into_iter().fold(Ix::Lit(0), |sum, (digit, times_of)| {
                plus(sum, times(self.digits[digit].clone(), times_of))
            }),
            None => cut(self.coordinate(coordinate), row.weight, row.radix.bound(), top),
        }
    }

    fn coordinate(&mut self, coordinate: &Coordinate) -> Ix {
        match coordinate {
            Coordinate::Linear { terms, constant } => {
                let sum = terms.iter().fold(Ix::Lit(0), |sum, (var, coefficient)| {
                    plus(sum, times(self.var(*var), *coefficient))
                });
                plus(sum, Ix::Lit(*constant))
            }
            Coordinate::Gather { tensor, coords, .. } => {
                self.element(&Place { tensor: *tensor, coords: coords.clone() })
            }
        }
    }

    fn element(&mut self, place: &Place) -> Ix {
        let (rank, at) = self.locate(place, None);
        let tensor = self.at.tensor(place.tensor);
        let rank = if self.at.schedule().ranks == 1 { Ix::Me } else { rank };
        if rank != Ix::Me {
            self.at.reach(tensor);
        }
        Ix::Element { tensor, rank: Box::new(rank), at: Box::new(at) }
    }

    /// The variable's value.
    fn var(&self, var: usize) -> Ix {
        let mine = self.movement.digits.iter().enumerate().filter(|(_, d)| d.var == var);
        let mut terms: Vec<(i64, Ix)> =
            mine.map(|(i, d)| (d.weight, self.digits[i].clone())).collect();
        terms.sort_by_key(|(weight, _)| -weight);
        terms.into_iter().fold(Ix::Lit(0), |sum, (weight, digit)| plus(sum, times(digit, weight)))
    }

    /// A size at the current point.
    fn size(&mut self, size: &Size) -> Ix {
        match size {
            Size::Coord(i) => self.var(*i),
            Size::Lit(v) => Ix::Lit(*v),
            Size::Dyn { of, index } => {
                let of_ = self.at.dyn_of(*of);
                if index.is_empty() {
                    return Ix::Dyn(of_);
                }
                let sizes = self.at.mesh_sizes(*of);
                let rank = index
                    .iter()
                    .zip(sizes)
                    .fold(Ix::Lit(0), |sum, (i, n)| plus(times(sum, n), self.size(i)));
                Ix::DynAt { of: of_, rank: Box::new(rank) }
            }
            Size::Read { tensor, index } => {
                let coords = index.iter().map(|i| self.at.coordinate(i)).collect();
                self.element(&Place { tensor: *tensor, coords })
            }
            Size::Binary { op, lhs, rhs } => Ix::binary(ix_op(*op), self.size(lhs), self.size(rhs)),
            Size::Param(_) | Size::Mesh(_) => Ix::Lit(self.at.known(size)),
        }
    }

    fn number(&self, number: &Number) -> Ix {
        match number {
            Number::Lit(v) => Ix::Lit(*v),
            Number::Var(v) => self.var(*v),
            Number::Binary { op, lhs, rhs } => {
                Ix::binary(ix_op(*op), self.number(lhs), self.number(rhs))
            }
        }
    }

    /// What the owner of a mapped coordinate adds to the rank.
    fn owner_rank(&mut self, place: &Place, axis: usize, map: &Map) -> Ix {
        let at = self.coordinate(&place.coords[axis]);
        let owner = self.owner(place.tensor, axis, map, at);
        let mut below: i64 = map.parts.iter().map(|(size, _)| size).product();
        let whole = below;
        let mut out = Ix::Lit(0);
        for (size, weight) in &map.parts {
            below /= size;
            let digit = quotient(owner.clone(), below);
            let digit = if below * size == whole { digit } else { rest(digit, *size) };
            out = plus(out, times(digit, *weight));
        }
        out
    }

    fn owner(&mut self, tensor: Handle<hir::Tensor>, axis: usize, map: &Map, at: Ix) -> Ix {
        match &map.owners {
            Owners::Known(values) => {
                let name = format!("owner_{}", self.axis_name(tensor, axis));
                let kind = || TableKind::Const(values.clone());
                let table = self.at.lookup(&name, map.extent, kind);
                Ix::Lookup { table, index: Box::new(at) }
            }
            Owners::Read(owners) => {
                let place = Place { tensor: *owners, coords: Vec::new() };
                let (rank, offset) = self.locate_at(&place, at);
                let tensor = self.at.tensor(*owners);
                Ix::Element { tensor, rank: Box::new(rank), at: Box::new(offset) }
            }
        }
    }

    /// A tensor of one axis, whole on each rank that holds it, at a coordinate.
    fn locate_at(&mut self, place: &Place, at: Ix) -> (Ix, Ix) {
        let table = self.table(place);
        let (mut rank, mut offset) =
            (plus(Ix::Lit(table.first), self.spread_rank(table, None)), Ix::Lit(0));
        for row in &table.digits {
            let value = cut(at.clone(), row.weight, row.radix.bound(), table.is_top(row));
            match row.home {
                Home::Mesh { weight, .. } => rank = plus(rank, times(value, weight)),
                Home::Memory { stride } => offset = plus(offset, times(value, stride)),
                _ => {}
            }
        }
        let rank = if self.at.schedule().ranks == 1 { Ix::Me } else { rank };
        if rank != Ix::Me {
            let tensor = self.at.tensor(place.tensor);
            self.at.reach(tensor);
        }
        (rank, offset)
    }

    /// The position of a mapped coordinate among those of its owner.
    fn position(&mut self, place: &Place, axis: usize, map: &Map) -> Ix {
        let at = self.coordinate(&place.coords[axis]);
        let name = format!("position_{}", self.axis_name(place.tensor, axis));
        let table = match &map.owners {
            Owners::Known(values) => {
                let kind = || TableKind::Const(positions(values));
                self.at.lookup(&name, map.extent, kind)
            }
            Owners::Read(_) => {
                let table = self.at.lookup(&name, map.extent, || TableKind::Computed);
                let planned = self
                    .prepare
                    .iter()
                    .any(|op| matches!(op, Op::Positions { table: t, .. } if *t == table));
                if !planned {
                    let var = self.at.var("x");
                    let owner = self.owner(place.tensor, axis, map, Ix::Var(var));
                    self.prepare.push(Op::Positions { table, var, extent: map.extent, owner });
                }
                table
            }
        };
        Ix::Lookup { table, index: Box::new(at) }
    }

    /// The table of first rows of a counted tensor, and the scan that fills it.
    fn base_table(&mut self, tensor: Handle<hir::Tensor>) -> Handle<Table> {
        let digits = self.at.table_of(tensor);
        let name = format!("base_{}", digits.name);
        let groups = digits.counted.as_ref().map_or(1, |c| c.groups);
        let ranks = self.at.schedule().ranks;
        let table = self.at.lookup(&name, ranks * groups, || TableKind::Computed);
        let planned =
            self.prepare.iter().any(|op| matches!(op, Op::Prefix { table: t, .. } if *t == table));
        if !planned {
            let scan = super::scan::prefix(self.at, tensor, table);
            self.prepare.push(scan);
        }
        table
    }

    fn axis_name(&self, tensor: Handle<hir::Tensor>, axis: usize) -> String {
        let table = self.at.table_of(tensor);
        format!("{}_{}", table.name, table.axes[axis])
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
    let MoveValue::Read(source) = &movement.value else { return None };
    let peer = match movement.carrier {
        Side::Source => &movement.target,
        Side::Target => source,
    };
    let (table, mine) = (at.table_of(peer.tensor), at.table_of(carried(movement).tensor));
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

/// The place whose ranks carry the movement out.
fn carried(movement: &Move) -> &Place {
    match (movement.carrier, &movement.value) {
        (Side::Source, MoveValue::Read(place)) => place,
        _ => &movement.target,
    }
}

/// The position of each coordinate among those of its owner.
pub(super) fn positions(owners: &[i64]) -> Vec<i64> {
    let before = |i: usize| owners[..i].iter().filter(|o| **o == owners[i]).count() as i64;
    (0..owners.len()).map(before).collect()
}

/// (size, weight) of the mesh axes that hold copies.
fn copy_axes(table: &Digits) -> Vec<(i64, i64)> {
    let copies = table.spread.iter().filter(|s| s.kind == SpreadKind::Copy);
    copies.map(|s| (s.size, s.weight)).collect()
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

/// This rank's coordinate on a mesh axis of a tensor's mesh. Ranks outside the mesh take no part, so the
/// outermost axis needs no remainder.
fn coordinate_of_me(table: &Digits, weight: i64, size: i64) -> Ix {
    let above = quotient(minus(Ix::Me, table.first), weight);
    if weight * size == table.ranks { above } else { rest(above, size) }
}

pub(super) fn cut(value: Ix, weight: i64, radix: i64, top: bool) -> Ix {
    let above = quotient(value, weight);
    if top { above } else { rest(above, radix) }
}

pub(super) fn plus(a: Ix, b: Ix) -> Ix {
    match (a, b) {
        (Ix::Lit(a), Ix::Lit(b)) => Ix::Lit(a + b),
        (a, Ix::Lit(0)) => a,
        (a, b) => Ix::binary(IxOp::Add, a, b),
    }
}

fn minus(a: Ix, b: i64) -> Ix {
    Ix::binary(IxOp::Sub, a, Ix::Lit(b))
}

pub(super) fn times(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(v * n),
        Ix::Binary { op: IxOp::Add, lhs, rhs } => plus(times(*lhs, n), times(*rhs, n)),
        Ix::Binary { op: IxOp::Mul, lhs, rhs } if matches!(*rhs, Ix::Lit(_)) => {
            let Ix::Lit(m) = *rhs else { return Ix::Lit(0) };
            times(*lhs, m * n)
        }
        a => Ix::binary(IxOp::Mul, a, Ix::Lit(n)),
    }
}

fn quotient(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(v / n),
        a => Ix::binary(IxOp::Div, a, Ix::Lit(n)),
    }
}

fn rest(a: Ix, n: i64) -> Ix {
    match a {
        Ix::Lit(v) => Ix::Lit(v % n),
        a => Ix::binary(IxOp::Rem, a, Ix::Lit(n)),
    }
}

/// An offset known to be a multiple of `n`, in units of `n`.
fn divide(offset: Ix, n: i64) -> Ix {
    match offset {
        _ if n == 1 => offset,
        Ix::Lit(v) => Ix::Lit(v / n),
        Ix::Binary { op: IxOp::Add, lhs, rhs } => plus(divide(*lhs, n), divide(*rhs, n)),
        Ix::Binary { op: IxOp::Mul, lhs, rhs } => match *rhs {
            Ix::Lit(stride) if stride % n == 0 => times(*lhs, stride / n),
            rhs => quotient(Ix::Binary { op: IxOp::Mul, lhs, rhs: Box::new(rhs) }, n),
        },
        other => quotient(other, n),
    }
}
