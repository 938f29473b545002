//! Where a movement's elements lie: digit tables at the movement's coordinates, as a rank and an offset.

use super::arith::ix_op;
use super::arith::{coordinate_of_me, cut, divide, owner_on_mesh, plus, quotient, rest, times};
use super::ir::*;
use super::moves::MoveLowering;
use crate::arena::Handle;
use crate::layout::{Home, Map, Owners, SpreadKind, Table as Digits};
use crate::plan::{Coord, Coordinate, Number, Place, Side, Sum};
use crate::sema::hir::{self, Size};

impl MoveLowering<'_, '_, '_> {
    /// A run of the place. `choice` numbers the copy of a target or the part of a source.
    pub(super) fn access(
        &mut self,
        place: &Place,
        run: i64,
        vector: i64,
        side: Side,
        choice: Option<Ix>,
    ) -> Access {
        let own = match self.tuple {
            Some(_) => self.is_own(place),
            None => side == self.movement.carrier,
        };
        let own = own && choice.is_none();
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
    pub(super) fn locate(&mut self, place: &Place, choice: Option<Ix>) -> (Ix, Ix) {
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
                Home::Group { stride } => {
                    let first = self.first_row(place, row.axis);
                    offset = plus(offset, times(first, stride));
                }
                Home::Packed { stride, .. } => offset = plus(offset, times(value, stride)),
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
    pub(super) fn spread_rank(&self, table: &Digits, choice: Option<Ix>) -> Ix {
        let (first, ranks) = match self.movement.carried().map(|place| self.table(place)) {
            Some(home) => (home.first, home.ranks),
            None => (0, self.at.schedule().ranks),
        };
        let same_mesh = (table.first, table.ranks) == (first, ranks);
        let everywhere = |s: &crate::layout::Spread| {
            s.size == table.ranks
                && table.first <= first
                && first + ranks <= table.first + table.ranks
        };
        let mut out = Ix::Lit(0);
        let chosen = |s: &&crate::layout::Spread| match s.kind {
            SpreadKind::Sum => true,
            SpreadKind::Copy => {
                choice.is_some()
                    && self.reaches(s)
                    && !table.spread.iter().any(|s| s.kind == SpreadKind::Sum)
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
    pub(super) fn digit(&mut self, place: &Place, axis: usize, at: usize) -> Ix {
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
        match coordinate.piece(&self.movement.digits, row, top) {
            Some(Sum { terms, constant }) => {
                let sum = terms.into_iter().fold(Ix::Lit(0), |sum, (digit, times_of)| {
                    plus(sum, times(self.digits[digit].clone(), times_of))
                });
                plus(sum, Ix::Lit(constant))
            }
            None => cut(self.coordinate(coordinate), row.weight, row.radix.bound(), top),
        }
    }

    pub(super) fn coordinate(&mut self, coordinate: &Coordinate) -> Ix {
        match coordinate {
            Coordinate::Linear { terms, constant } => {
                let sum = terms.iter().fold(Ix::Lit(0), |sum, (var, coefficient)| {
                    plus(sum, times(self.var(*var), *coefficient))
                });
                plus(sum, Ix::Lit(*constant))
            }
            Coordinate::Computed { value, .. } => self.number(value),
        }
    }

    pub(super) fn element(&mut self, place: &Place) -> Ix {
        let (rank, at) = self.locate(place, None);
        let tensor = self.at.tensor(place.tensor);
        let rank = if self.at.schedule().ranks == 1 { Ix::Me } else { rank };
        if rank != Ix::Me {
            self.at.reach(tensor);
        }
        Ix::Element { tensor, rank: Box::new(rank), at: Box::new(at) }
    }

    /// The variable's value.
    pub(super) fn var(&self, var: usize) -> Ix {
        let mine = self.movement.digits.iter().enumerate().filter(|(_, d)| d.var == var);
        let mut terms: Vec<(i64, Ix)> =
            mine.map(|(i, d)| (d.weight, self.digits[i].clone())).collect();
        terms.sort_by_key(|(weight, _)| -weight);
        terms.into_iter().fold(Ix::Lit(0), |sum, (weight, digit)| plus(sum, times(digit, weight)))
    }

    /// A size at the current point.
    pub(super) fn size(&mut self, size: &Size) -> Ix {
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

    pub(super) fn number(&mut self, number: &Number) -> Ix {
        match number {
            Number::Read(place) => self.element(place),
            Number::Lit(v) => Ix::Lit(*v),
            Number::Size(size) => self.size(size),
            Number::Var(v) => self.var(*v),
            Number::Count(v) => self.at.live(self.movement.route, self.var(*v)),
            Number::From(source, group) => {
                let (source, group) = (self.var(*source), self.var(*group));
                self.at.live_from(self.movement.route, source, group)
            }
            Number::First(v, tensor) => {
                let group = self.var(*v);
                self.at.first_of(self.movement.route, *tensor, group)
            }
            Number::Dropped => self.at.dropped(self.movement.route),
            Number::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (self.number(lhs), self.number(rhs));
                Ix::binary(ix_op(*op), lhs, rhs)
            }
        }
    }

    /// What the owner of a mapped coordinate adds to the rank.
    pub(super) fn owner_rank(&mut self, place: &Place, axis: usize, map: &Map) -> Ix {
        let at = self.coordinate(&place.coords[axis]);
        let owner = match self.read_by_plan(place, axis, map) {
            Some((tables, _)) => Ix::Lookup { table: tables.owners, index: Box::new(at) },
            None => self.owner(place.tensor, axis, map, at),
        };
        owner_on_mesh(&owner, &map.parts)
    }

    /// How the groups of an axis lie, where its coordinate is the group of the tuple.
    fn deal(&mut self, place: &Place, axis: usize) -> Option<Handle<Deal>> {
        let route = self.movement.route?;
        let is_group = self.movement.is_coord(place, axis, Coord::Group);
        is_group.then(|| self.at.deal_at(route, place.tensor, axis)).flatten()
    }

    /// The first row of the tuple's group.
    fn first_row(&mut self, place: &Place, axis: usize) -> Ix {
        let Some(deal) = self.deal(place, axis) else { return Ix::Lit(0) };
        let align = self.table(place).pack().unwrap_or(1);
        let base = self.at.base(deal, align);
        Ix::Base { base, group: Box::new(self.coordinate(&place.coords[axis])) }
    }

    pub(super) fn owner(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        map: &Map,
        at: Ix,
    ) -> Ix {
        match &map.owners {
            Owners::Known(values) => self.at.known_owner(tensor, axis, values, at),
            Owners::Read(owners) => {
                let place = Place { tensor: *owners, coords: Vec::new() };
                let (rank, offset) = self.locate_at(&place, at);
                let tensor = self.at.tensor(*owners);
                Ix::Element { tensor, rank: Box::new(rank), at: Box::new(offset) }
            }
        }
    }

    /// A tensor of one axis, whole on each rank that holds it, at a coordinate.
    pub(super) fn locate_at(&mut self, place: &Place, at: Ix) -> (Ix, Ix) {
        let table = self.table(place);
        let mut rank = plus(Ix::Lit(table.first), self.spread_rank(table, None));
        for row in &table.digits {
            if let Home::Mesh { weight, .. } = row.home {
                let value = cut(at.clone(), row.weight, row.radix.bound(), table.is_top(row));
                rank = plus(rank, times(value, weight));
            }
        }
        let rank = if self.at.schedule().ranks == 1 { Ix::Me } else { rank };
        if rank != Ix::Me {
            let tensor = self.at.tensor(place.tensor);
            self.at.reach(tensor);
        }
        (rank, self.at.element_of(place.tensor, at))
    }

    /// The tables of the plan for owners that the launch has read which made it.
    fn read_by_plan(
        &mut self,
        place: &Place,
        axis: usize,
        map: &Map,
    ) -> Option<(DealTables, Handle<Table>)> {
        map.owners.tensor()?;
        let deal = self.deal(place, axis)?;
        let deal = &self.at.schedule().deals[deal];
        Some((deal.tables?, deal.read.as_ref()?.positions))
    }

    /// The position of a mapped coordinate among those of its owner.
    pub(super) fn position(&mut self, place: &Place, axis: usize, map: &Map) -> Ix {
        let at = self.coordinate(&place.coords[axis]);
        if let Some((_, table)) = self.read_by_plan(place, axis, map) {
            return Ix::Lookup { table, index: Box::new(at) };
        }
        let name = format!("position_{}", self.at.axis_name(place.tensor, axis));
        let table = match &map.owners {
            Owners::Known(values) => {
                return self.at.known_position(place.tensor, axis, values, at);
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
    pub(super) fn base_table(&mut self, tensor: Handle<hir::Tensor>) -> Handle<Table> {
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
}
