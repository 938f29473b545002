//! Digit tables to addresses: coordinates of a point become a rank and a row.

use super::arith::{cut, ix_op, minus, owner_on_mesh, plus, quotient, rest, times};
use super::ir::{Table as NumberTable, TableKind as NumberKind, *};
use crate::arena::{Arena, Handle};
use crate::layout::{self, Digit, Home, Local, Owners, Radix, Source, Table};
use crate::plan::{Coord, Coordinate, Plan, Point, Reduced};
use crate::sema::hir::{self, Bindings, Program, Size};
use std::collections::BTreeMap;

/// Loop variables of a tuple, shared by all entries over one route.
#[derive(Clone, Copy)]
pub(super) struct TupleVars {
    pub position: Handle<Var>,
    pub fan: Handle<Var>,
    pub group: Handle<Var>,
    pub slot: Handle<Var>,
}

/// A tuple of this rank, by its loops.
#[derive(Clone)]
pub(super) struct Tuple {
    pub route: Handle<hir::Route>,
    pub vars: TupleVars,
    pub number: Ix,
}

/// The schedule under construction, and how the program's names map into it.
pub(super) struct Addresses<'p> {
    program: &'p Program,
    bound: &'p Bindings,
    plan: &'p Plan,
    schedule: Schedule,
    /// Of each route, and the extents of its sources on this rank.
    vars: BTreeMap<Handle<hir::Route>, (TupleVars, Vec<Ix>)>,
    /// Loops of the reducers of the movement at hand, by the numbers of their variables in the statement.
    reduced: BTreeMap<usize, (Handle<Var>, i64)>,
}

impl<'p> Addresses<'p> {
    /// Tensors, dyns and routes keep their order, so that handles map one to one.
    pub fn new(program: &'p Program, bound: &'p Bindings, plan: &'p Plan) -> Self {
        let params = program
            .params
            .iter()
            .filter_map(|(_, p)| Some((p.name.clone(), *bound.get(&p.name)?)))
            .collect();
        let schedule = Schedule {
            program: program.name.clone(),
            ranks: plan.ranks,
            params,
            ..Schedule::default()
        };
        let (vars, reduced) = (BTreeMap::new(), BTreeMap::new());
        let mut this = Addresses { program, bound, plan, schedule, vars, reduced };
        this.declare(bound);
        this
    }

    fn declare(&mut self, bound: &Bindings) {
        for (_, d) in self.program.dyns.iter() {
            let bound = self.program.eval(&d.bound, bound).unwrap_or(0);
            self.schedule.dyns.append(Dyn {
                name: d.name.clone(),
                per_rank: !d.axes.is_empty(),
                values: d
                    .axes
                    .iter()
                    .map(|a| self.known(&self.program.mesh_axes[*a].size))
                    .product(),
                bound,
            });
        }
        for (handle, t) in self.program.tensors.iter() {
            let elems = self.plan.tables[&handle].elems;
            self.schedule.tensors.append(Tensor {
                name: t.name.clone(),
                io: t.io,
                elem: t.dtype.elem,
                elems,
                remote: false,
                swizzle: t.attrs.swizzle,
            });
        }
        for (handle, info) in self.program.routes.iter() {
            self.declare_route(handle, info, bound);
        }
    }

    fn declare_route(&mut self, handle: Handle<hir::Route>, info: &hir::Route, bound: &Bindings) {
        let shape = &self.plan.routes[&handle];
        let source = |k: &usize| info.vars[info.sources[*k]].name.as_str();
        let counted = shape.positions.iter().filter(|k| shape.sources[**k].bound > 1);
        let mut position = Vec::from_iter(counted.map(source));
        if position.is_empty() {
            position = Vec::from_iter(shape.positions.last().map(source));
        }
        let position = self.var(&position.join("_"));
        let vars = TupleVars {
            position,
            fan: self.var(shape.choice.as_ref().map_or("_", source)),
            group: self.var(&info.vars[shape.group_var].name),
            slot: self.var(&info.vars[shape.slot_var].name),
        };
        let route = self.schedule.routes.append(Route {
            name: info.name.clone(),
            index: map_handle(&self.schedule.tensors, shape.index.index()),
            tuples: Tuples {
                names: info.sources.iter().map(|v| info.vars[*v].name.clone()).collect(),
                sources: shape.sources.clone(),
                positions: shape.positions.clone(),
                choice: shape.choice,
                stride: shape.stride,
                first: shape.mesh.0,
            },
            position: vars.position,
            choice: vars.fan,
            lookups: Vec::new(),
            guards: Vec::new(),
            group: Ix::Lit(0),
            positions: Ix::Lit(0),
            positions_bound: shape.positions_bound,
            ranks: self.plan.ranks,
            members: shape.ranks,
            stride: shape.stride,
            fan: shape.fan,
            groups: shape.groups,
            order: shape.order.clone(),
            cap: shape.cap,
            trap_cap: shape.trap_cap,
            distinct: shape.distinct,
            from: None,
            span: info.span,
        });
        let extents = shape.sources.iter().map(|s| self.extent((route, info, s), bound)).collect();
        self.vars.insert(handle, (vars, extents));
        let positions = self.positions(handle, 0..shape.positions.len());
        let positions = match self.holds(handle) {
            Some(holds) => Ix::binary(IxOp::Mul, holds, positions),
            None => positions,
        };
        self.schedule.routes[route].positions = positions;
    }

    /// How many values a source has on this rank.
    fn extent(
        &mut self,
        (route, info, source): (Handle<Route>, &hir::Route, &Source),
        bound: &Bindings,
    ) -> Ix {
        match &source.local {
            Local::Size(size) => self.size(size, bound).unwrap_or(Ix::Lit(source.bound)),
            Local::Each(counts) => {
                let name = format!("values_{}.{}", info.name, info.vars[source.var].name);
                let kind = || NumberKind::Const(counts.clone());
                let table = self.lookup(&name, counts.len() as i64, kind);
                let index = Box::new(self.schedule.routes[route].member());
                Ix::Lookup { table, index }
            }
        }
    }

    /// The product of the extents of sources that number positions.
    fn positions(&self, route: Handle<hir::Route>, of: std::ops::Range<usize>) -> Ix {
        let (shape, extents) = (&self.plan.routes[&route], &self.vars[&route].1);
        let of = shape.positions[of].iter().map(|k| &extents[*k]);
        of.fold(Ix::Lit(1), |all, n| match (all, n) {
            (Ix::Lit(a), Ix::Lit(b)) => Ix::Lit(a * b),
            (all, n) => Ix::binary(IxOp::Mul, all, n.clone()),
        })
    }

    /// The number that neighbouring sources make together, by the position of the tuple.
    fn number(&self, route: Handle<hir::Route>, of: std::ops::Range<usize>) -> Ix {
        let shape = &self.plan.routes[&route];
        let several = |k: &usize| shape.sources[*k].bound > 1;
        if !shape.positions[of.clone()].iter().any(several) {
            return Ix::Lit(0);
        }
        let below = self.positions(route, of.end..shape.positions.len());
        let position = Ix::Var(self.vars[&route].0.position);
        let above = Ix::binary(IxOp::Div, position, below);
        match shape.positions[..of.start].iter().any(several) {
            true => Ix::binary(IxOp::Rem, above, self.positions(route, of)),
            false => above,
        }
    }

    /// The value of a source among those of this rank.
    fn local(&self, route: Handle<hir::Route>, source: usize) -> Ix {
        let shape = &self.plan.routes[&route];
        match shape.positions.iter().position(|k| *k == source) {
            Some(at) => self.number(route, at..at + 1),
            None if shape.fan == 1 => Ix::Lit(0),
            None => Ix::Var(self.vars[&route].0.fan),
        }
    }

    /// What the sources among the coordinates add to the offset on this rank, in units of so many elements.
    pub fn by_sources(
        &self,
        route: Handle<hir::Route>,
        table: &Table,
        coords: &[Option<Coord>],
        unit: i64,
    ) -> Ix {
        let shape = &self.plan.routes[&route];
        // Of each source that numbers positions and is one digit in memory, its stride.
        let mut whole = vec![None; shape.positions.len()];
        let mut offset = Ix::Lit(0);
        for digit in table.digits.iter().filter(|d| d.radix.bound() > 1) {
            let (Some(Coord::Source(source)), Home::Memory { stride }) =
                (coords[digit.axis], &digit.home)
            else {
                continue;
            };
            let weight = shape.sources[source].local_weight(digit.weight);
            let mut own = table.digits.iter().filter(|d| d.axis == digit.axis && d.is_in_memory());
            let top = own.find(|d| d.radix.bound() > 1).is_some_and(|d| std::ptr::eq(d, digit));
            match shape.positions.iter().position(|k| *k == source) {
                Some(at) if top && weight == 1 => whole[at] = Some(*stride),
                _ => {
                    let local = self.local(route, source);
                    let value = cut(local, weight, digit.radix.bound(), top);
                    offset = plus(offset, times(value, stride / unit));
                }
            }
        }
        plus(self.by_positions(route, &whole, unit), offset)
    }

    /// Neighbouring sources that lie in memory as they number positions are one number.
    fn by_positions(&self, route: Handle<hir::Route>, strides: &[Option<i64>], unit: i64) -> Ix {
        let shape = &self.plan.routes[&route];
        let (mut offset, mut end) = (Ix::Lit(0), strides.len());
        while let Some(last) = end.checked_sub(1) {
            let Some(stride) = strides[last] else {
                end = last;
                continue;
            };
            let (mut first, mut next) = (last, stride);
            while let Some(above) = first.checked_sub(1) {
                let known = shape.sources[shape.positions[first]].known();
                next *= known.unwrap_or(0);
                let follows = match shape.sources[shape.positions[above]].bound {
                    1 => true,
                    _ => strides[above] == Some(next) && next > 0,
                };
                if !follows {
                    break;
                }
                first = above;
            }
            offset = plus(times(self.number(route, first..end), stride / unit), offset);
            end = first;
        }
        offset
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub fn table_of(&self, tensor: Handle<hir::Tensor>) -> &'p Table {
        &self.plan.tables[&tensor]
    }

    pub fn tensor(&self, tensor: Handle<hir::Tensor>) -> Handle<Tensor> {
        map_handle(&self.schedule.tensors, tensor.index())
    }

    pub fn dyn_of(&self, of: Handle<hir::Dyn>) -> Handle<Dyn> {
        map_handle(&self.schedule.dyns, of.index())
    }

    /// A size of params and mesh axes.
    pub fn known(&self, size: &Size) -> i64 {
        self.program.eval(size, self.bound).unwrap_or(0)
    }

    /// The largest extent of an axis.
    pub fn axis_bound(&self, tensor: Handle<hir::Tensor>, axis: usize) -> i64 {
        match &self.program.tensors[tensor].axes[axis].extent {
            hir::Extent::Fixed(size) | hir::Extent::Counted { bound: size, .. } => {
                self.program.most(size, self.bound).unwrap_or(0)
            }
            hir::Extent::Ragged { .. } => 0,
        }
    }

    /// A size that is known at bind or at launch.
    pub fn bound_size(&self, size: &Size) -> Ix {
        self.size(size, self.bound).unwrap_or(Ix::Lit(0))
    }

    /// What an element of an index tensor may be: below this, or none; `None` for other tensors.
    pub fn index_type(&self, tensor: Handle<hir::Tensor>) -> Option<(i64, Option<i64>)> {
        let index = self.program.tensors[tensor].dtype.index.as_ref()?;
        Some((self.known(&index.bound), index.none))
    }

    /// The axes of a tensor along which its elements are assumed distinct.
    pub fn assumed_distinct(&self, tensor: Handle<hir::Tensor>) -> Option<&'p [usize]> {
        let own = self.program.entries.iter().flat_map(|e| &e.assumes);
        let mut all = self.program.assumes.iter().chain(own);
        all.find(|a| a.tensor == tensor).map(|a| &a.axes[..])
    }

    /// The extent of an axis where a launch decides it.
    pub fn live_extent(&self, tensor: Handle<hir::Tensor>, axis: usize) -> Option<Ix> {
        match &self.program.tensors[tensor].axes[axis].extent {
            hir::Extent::Fixed(size) if self.program.eval(size, self.bound).is_none() => {
                self.size(size, self.bound)
            }
            _ => None,
        }
    }

    /// Sizes of the mesh axes that index a dyn.
    pub fn mesh_sizes(&self, of: Handle<hir::Dyn>) -> Vec<i64> {
        let axes = self.program.dyns[of].axes.iter();
        axes.map(|a| self.known(&self.program.mesh_axes[*a].size)).collect()
    }

    /// An index of a size as a coordinate over variables.
    pub fn coordinate(&self, size: &Size) -> Coordinate {
        match size {
            Size::Coord(i) => Coordinate::Linear { terms: vec![(*i, 1)], constant: 0 },
            size => Coordinate::Linear { terms: Vec::new(), constant: self.known(size) },
        }
    }

    /// An element of an integer tensor at the coordinates.
    pub fn element(&mut self, tensor: Handle<hir::Tensor>, at: &[Ix]) -> Ix {
        let table = self.table_of(tensor);
        let (mut rank, mut offset) = (Ix::Lit(table.first), Ix::Lit(0));
        for spread in &table.spread {
            let own = match spread.kind {
                crate::layout::SpreadKind::Only(i) => Ix::Lit(i),
                _ => Ix::binary(IxOp::Rem, Ix::Me, Ix::Lit(spread.size)),
            };
            rank = plus(rank, times(own, spread.weight));
        }
        for row in &table.digits {
            let at = at[row.axis].clone();
            // Tables read on the device are refused here: the plan has seen to it.
            let (local, top) = match table.maps.get(&row.axis).map(|m| (&m.owners, &m.parts)) {
                Some((Owners::Known(owners), parts)) if row.home == Home::Owner => {
                    let owner = self.known_owner(tensor, row.axis, owners, at);
                    rank = plus(rank, owner_on_mesh(&owner, parts));
                    continue;
                }
                Some((Owners::Known(owners), _)) => {
                    let local = self.known_position(tensor, row.axis, owners, at);
                    (local, table.is_top_in_memory(row))
                }
                _ => (at, table.is_top(row)),
            };
            let value = cut(local, row.weight, row.radix.bound(), top);
            match row.home {
                Home::Mesh { weight, .. } => rank = plus(rank, times(value, weight)),
                Home::Memory { stride } => offset = plus(offset, times(value, stride)),
                _ => {}
            }
        }
        let tensor = self.tensor(tensor);
        let rank = self.on_mesh(rank);
        self.schedule.tensors[tensor].remote |= rank != Ix::Me;
        Ix::Element { tensor, rank: Box::new(rank), at: Box::new(offset) }
    }

    /// The owner of a coordinate, from a table known at bind.
    pub fn known_owner(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        owners: &[i64],
        at: Ix,
    ) -> Ix {
        let name = format!("owner_{}", self.axis_name(tensor, axis));
        let kind = || NumberKind::Const(owners.to_vec());
        let table = self.lookup(&name, owners.len() as i64, kind);
        Ix::Lookup { table, index: Box::new(at) }
    }

    /// The position of a coordinate among those of its owner, from a table known at bind.
    pub fn known_position(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        owners: &[i64],
        at: Ix,
    ) -> Ix {
        let name = format!("position_{}", self.axis_name(tensor, axis));
        let kind = || NumberKind::Const(positions(owners));
        let table = self.lookup(&name, owners.len() as i64, kind);
        Ix::Lookup { table, index: Box::new(at) }
    }

    /// With a point, which no name has: tables are shared by name.
    pub fn axis_name(&self, tensor: Handle<hir::Tensor>, axis: usize) -> String {
        let table = self.table_of(tensor);
        format!("{}.{}", table.name, table.axes[axis])
    }

    /// A fresh loop variable.
    pub fn var(&mut self, name: &str) -> Handle<Var> {
        self.schedule.vars.append(Var { name: name.to_string(), signed: false })
    }

    /// The lookup table of that name, made on first use.
    pub fn lookup(
        &mut self,
        name: &str,
        len: i64,
        kind: impl FnOnce() -> NumberKind,
    ) -> Handle<NumberTable> {
        let found = self.schedule.tables.iter().find(|(_, t)| t.name == name).map(|(h, _)| h);
        found.unwrap_or_else(|| {
            self.schedule.tables.append(NumberTable { name: name.to_string(), len, kind: kind() })
        })
    }

    pub fn home_signal(&mut self, name: String, slots: i64) -> Handle<Signal> {
        let kind = SignalKind::Epoch { per_cta: false };
        self.schedule.signals.append(Signal { name, route: None, kind, slots })
    }

    /// A `tmp` that the program does not name, reached by peers.
    pub fn own_tensor(&mut self, name: &str, elem: hir::Elem, elems: i64) -> Handle<Tensor> {
        let mut name = name.to_string();
        while self.schedule.tensors.iter().any(|(_, t)| t.name == name) {
            name.push('_');
        }
        let (io, remote, swizzle) = (hir::Io::Tmp, true, None);
        self.schedule.tensors.append(Tensor { name, io, elem, elems, remote, swizzle })
    }

    /// The tensor is reached by peers.
    pub fn reach(&mut self, tensor: Handle<Tensor>) {
        self.schedule.tensors[tensor].remote = true;
    }

    pub fn into_schedule(self) -> Schedule {
        self.schedule
    }

    pub fn route(&self, route: Handle<hir::Route>) -> Handle<Route> {
        map_handle(&self.schedule.routes, route.index())
    }

    /// A number of any sign.
    pub fn signed(&mut self, var: Handle<Var>) {
        self.schedule.vars[var].signed = true;
    }

    /// A route whose body is read.
    pub fn route_mut(&mut self, route: Handle<hir::Route>) -> &mut Route {
        let route = self.route(route);
        &mut self.schedule.routes[route]
    }

    pub fn tuple_vars(&self, route: Handle<hir::Route>) -> TupleVars {
        self.vars[&route].0
    }

    pub fn signal(
        &mut self,
        name: String,
        route: Handle<Route>,
        kind: SignalKind,
        slots: i64,
    ) -> Handle<Signal> {
        self.schedule.signals.append(Signal { name, route: Some(route), kind, slots })
    }

    /// Counters of ranks, one a rank, which an entry that asks for them again has already.
    pub fn handshake(&mut self, name: String, route: Handle<Route>) -> Handle<Signal> {
        let own = |s: &Signal| s.route == Some(route) && s.name == name;
        let found = self.schedule.signals.iter().find(|(_, s)| own(s)).map(|(handle, _)| handle);
        let kind = SignalKind::Epoch { per_cta: false };
        found.unwrap_or_else(|| self.signal(name, route, kind, self.schedule.ranks))
    }

    /// What an op touches of peers is reached by them.
    pub fn reach_all(&mut self, op: &Op) {
        let mut found = Vec::new();
        op.walk(&mut |op| {
            found.extend(op.accesses().iter().filter(|a| a.rank != Ix::Me).map(|a| a.tensor));
            op.walk_own(&mut |ix| match ix {
                Ix::Element { tensor, rank, .. } if **rank != Ix::Me => found.push(*tensor),
                _ => {}
            });
        });
        found.into_iter().for_each(|tensor| self.reach(tensor));
    }

    /// The groups of a route, dealt so.
    pub fn deal(&mut self, route: Handle<Route>, groups: &layout::Deal) -> Handle<Deal> {
        let own = self.schedule.deals.iter().filter(|(_, d)| d.route == route);
        let (mut found, mut number) = (None, 1);
        for (handle, deal) in own {
            number += 1;
            found = found.or((deal.groups == *groups).then_some(handle));
        }
        if let Some(found) = found {
            return found;
        }
        let (tables, read) = match &groups.form {
            DealForm::Owners(owners) => {
                (Some(self.known_groups((route, number), groups, owners)), None)
            }
            DealForm::Read(owners) => {
                let (tables, read) = self.read_groups((route, number), groups, *owners);
                (Some(tables), Some(read))
            }
            _ => (None, None),
        };
        self.schedule.deals.append(Deal { route, number, groups: groups.clone(), tables, read })
    }

    fn known_groups(
        &mut self,
        of: (Handle<Route>, usize),
        deal: &layout::Deal,
        owners: &[i64],
    ) -> DealTables {
        let (mut groups, mut first) = (Vec::new(), vec![0]);
        for member in 0..deal.members {
            groups.extend(deal.groups_of(member).into_iter().flatten());
            first.push(groups.len() as i64);
        }
        let mut table = |what: &str, values: Vec<i64>| {
            self.deal_table(of, what, values.len() as i64, NumberKind::Const(values))
        };
        DealTables {
            owners: table("owner", owners.to_vec()),
            groups: table("of", groups),
            first: table("first", first),
        }
    }

    fn read_groups(
        &mut self,
        of: (Handle<Route>, usize),
        deal: &layout::Deal,
        owners: Handle<hir::Tensor>,
    ) -> (DealTables, ReadOwners) {
        let kind = NumberKind::Planned(of.0);
        let mut table = |what: &str, len: i64| self.deal_table(of, what, len, kind.clone());
        let positions = table("position", deal.groups);
        let tables = DealTables {
            owners: table("owner", deal.groups),
            groups: table("of", deal.groups),
            first: table("first", deal.members + 1),
        };
        let (group, tensor) = (self.var("g"), self.tensor(owners));
        let (rank, at) = (Box::new(Ix::Me), Box::new(self.element_of(owners, Ix::Var(group))));
        let owner = Ix::Element { tensor, rank, at };
        (tables, ReadOwners { tensor, group, owner, positions })
    }

    /// The element of a tensor of one axis in the memory of a rank that holds it.
    pub fn element_of(&self, tensor: Handle<hir::Tensor>, at: Ix) -> Ix {
        let table = self.table_of(tensor);
        let digits = table.digits.iter().filter(|d| d.radix.bound() > 1);
        digits.fold(Ix::Lit(0), |sum, digit| match digit.home {
            Home::Memory { stride } => {
                let radix = digit.radix.bound();
                let value = cut(at.clone(), digit.weight, radix, table.is_top(digit));
                plus(sum, times(value, stride))
            }
            _ => sum,
        })
    }

    fn deal_table(
        &mut self,
        (route, number): (Handle<Route>, usize),
        what: &str,
        len: i64,
        kind: NumberKind,
    ) -> Handle<NumberTable> {
        // With a point, as `axis_name`: no name of the program has one.
        let name = format!("{what}_{}.groups{number}", self.schedule.routes[route].name);
        self.lookup(&name, len, || kind)
    }

    /// The table of first rows with this alignment, made on first use.
    pub fn base(&mut self, deal: Handle<Deal>, align: i64) -> Handle<Base> {
        let same = |b: &Base| b.deal == deal && b.align == align;
        let found = self.schedule.bases.iter().find(|(_, b)| same(b)).map(|(h, _)| h);
        let name = match self.schedule.deals[deal].number {
            1 => format!("base{align}"),
            n => format!("base{align}_{n}"),
        };
        found.unwrap_or_else(|| self.schedule.bases.append(Base { name, deal, align }))
    }

    /// How the groups of a point's tensor are dealt; of one without, as those of a program without placements.
    pub fn deal_of(&mut self, route: Handle<hir::Route>, point: &Point) -> Handle<Deal> {
        let shape = &self.plan.routes[&route];
        let each = ((shape.groups + shape.ranks - 1) / shape.ranks).max(1);
        let blocks = || layout::Deal {
            groups: shape.groups,
            members: shape.ranks,
            form: DealForm::Blocks { each },
        };
        let deal = point.deal.clone().unwrap_or_else(blocks);
        self.deal(self.route(route), &deal)
    }

    /// A tuple of this rank at the loops of its position and choice.
    pub fn tuple(&self, route: Handle<hir::Route>) -> Tuple {
        let (vars, fan) = (self.vars[&route].0, self.plan.routes[&route].fan);
        let position = times(Ix::Var(vars.position), fan);
        let number = if fan > 1 { plus(position, Ix::Var(vars.fan)) } else { position };
        Tuple { route, vars, number }
    }

    /// What a variable of the route is for a tuple that is kept.
    pub fn coord_of(&self, tuple: &Tuple, coord: Coord) -> Ix {
        let part = match coord {
            Coord::Source(source) => return self.source(tuple.route, source),
            Coord::Group => PairPart::Group,
            Coord::Slot => PairPart::Slot,
            Coord::Reduced(var) => return Ix::Var(self.reduced[&var].0),
        };
        let (route, number) = (self.route(tuple.route), Box::new(tuple.number.clone()));
        Ix::Pair { route, tuple: number, part }
    }

    pub fn sources(&self, route: Handle<hir::Route>) -> &'p [Source] {
        &self.plan.routes[&route].sources
    }

    pub fn is_beside(&self, route: Handle<hir::Route>, axis: (i64, i64)) -> bool {
        self.plan.routes[&route].beside(axis)
    }

    /// The tensor lies on the mesh that has the tuples.
    pub fn is_with(&self, route: Handle<hir::Route>, table: &Table) -> bool {
        (table.first, table.ranks) == self.plan.routes[&route].mesh
    }

    /// 1 on ranks that have tuples, 0 on others; `None` if all have.
    pub fn holds(&mut self, route: Handle<hir::Route>) -> Option<Ix> {
        let shape = &self.plan.routes[&route];
        if !shape.is_beside_others() {
            return None;
        }
        let name = format!("holds_{}.tuples", self.program.routes[route].name);
        let holds = (0..self.plan.ranks).map(|rank| i64::from(shape.holds(rank)));
        let table = self.lookup(&name, self.plan.ranks, || NumberKind::Const(holds.collect()));
        Some(Ix::Lookup { table, index: Box::new(Ix::Me) })
    }

    /// How the groups of an axis lie.
    pub fn deal_at(
        &mut self,
        route: Handle<hir::Route>,
        tensor: Handle<hir::Tensor>,
        axis: usize,
    ) -> Option<Handle<Deal>> {
        let deal = layout::Deal::of(self.table_of(tensor), axis, &self.plan.routes[&route])?;
        Some(self.deal(self.route(route), &deal))
    }

    /// Live rows of a group.
    pub fn live(&self, route: Option<Handle<hir::Route>>, group: Ix) -> Ix {
        route.map_or(Ix::Lit(0), |r| Ix::Live { route: self.route(r), group: Box::new(group) })
    }

    /// Live rows of a group from a member of the plan.
    pub fn live_from(&mut self, route: Option<Handle<hir::Route>>, member: Ix, group: Ix) -> Ix {
        let Some(route) = route.map(|r| self.route(r)) else { return Ix::Lit(0) };
        let info = &self.schedule.routes[route];
        let (len, groups) = (info.members * info.groups, info.groups);
        // With a point, as `axis_name`: no name of the program has one.
        let name = format!("from_{}.members", info.name);
        let table = self.lookup(&name, len, || NumberKind::Planned(route));
        self.schedule.routes[route].from = Some(table);
        Ix::Lookup { table, index: Box::new(plus(times(member, groups), group)) }
    }

    pub fn dropped(&self, route: Option<Handle<hir::Route>>) -> Ix {
        route.map_or(Ix::Lit(0), |r| Ix::Dropped(self.route(r)))
    }

    /// The first row of a group in a ragged tensor.
    pub fn first_of(
        &mut self,
        route: Option<Handle<hir::Route>>,
        tensor: Handle<hir::Tensor>,
        group: Ix,
    ) -> Ix {
        let axes = &self.program.tensors[tensor].axes;
        let ragged = axes.iter().position(|a| matches!(a.extent, hir::Extent::Ragged { .. }));
        let parent = ragged.and_then(|axis| axis.checked_sub(1));
        let deal = route.zip(parent).and_then(|(r, axis)| self.deal_at(r, tensor, axis));
        deal.map_or(Ix::Lit(0), |deal| self.first_row(tensor, deal, group))
    }

    pub fn coord(&self, route: Handle<hir::Route>, coord: Coord) -> Ix {
        let vars = self.vars[&route].0;
        match coord {
            Coord::Source(source) => self.source(route, source),
            Coord::Group => Ix::Var(vars.group),
            Coord::Slot => Ix::Var(vars.slot),
            Coord::Reduced(var) => Ix::Var(self.reduced[&var].0),
        }
    }

    /// Loop variables for the reducers of a movement.
    pub fn reduce_over(&mut self, route: Handle<hir::Route>, reduced: &[Reduced]) {
        self.reduced.clear();
        for one in reduced {
            let choice = self.vars[&route].0.fan;
            let var = if one.choice { choice } else { self.var(&one.name) };
            self.reduced.insert(one.var, (var, one.extent));
        }
    }

    /// The loop of a variable of those reducers.
    pub fn reduced(&self, var: usize) -> (Handle<Var>, i64) {
        self.reduced[&var]
    }

    /// The value of a source: of its digits some are this rank's.
    fn source(&self, route: Handle<hir::Route>, source: usize) -> Ix {
        let info = &self.schedule.routes[self.route(route)];
        let mesh = self.plan.routes[&route].mesh;
        let source_of = &self.plan.routes[&route].sources[source];
        let (mut value, mut values) = (self.local(route, source), source_of.bound);
        for digit in source_of.ranks.iter().rev() {
            let at = match digit.ranks == info.stride && digit.radix == info.members {
                true => info.member(),
                false => {
                    let ((first, ranks), span) = (mesh, digit.ranks * digit.radix);
                    cut(minus(Ix::Me, first), digit.ranks, digit.radix, span == ranks)
                }
            };
            let (above, below) = match digit.weight {
                weight if weight >= values => (Ix::Lit(0), value),
                1 => (value, Ix::Lit(0)),
                weight => (quotient(value.clone(), weight), rest(value, weight)),
            };
            let above = plus(times(above, digit.radix), at);
            value = plus(times(above, digit.weight), below);
            values *= digit.radix;
        }
        value
    }

    /// The parts of a `sum.tree` whose term reads a row of that rank.
    pub fn parts(&self, within: hir::Within, rank: Ix) -> Parts {
        let mesh = &self.program.meshes[self.program.mesh_axes[within.axis].mesh];
        let (ranks, count) = self.program.cut(within.axis, self.bound).unwrap_or((1, 1));
        let rank = minus(rank, self.known(&mesh.first));
        let of = if count == 1 { Ix::Lit(0) } else { quotient(rank, ranks) };
        Parts { of, count, partial: within.partial }
    }

    /// The rank that holds the bound group of a point.
    pub fn owner(&self, route: Handle<hir::Route>, deal: Handle<Deal>) -> Ix {
        let info = &self.schedule.routes[self.route(route)];
        let member = self.schedule.deals[deal].owner(self.coord(route, Coord::Group));
        self.on_mesh(info.rank_of(member))
    }

    /// With one rank every owner is this one.
    fn on_mesh(&self, rank: Ix) -> Ix {
        if self.schedule.ranks == 1 { Ix::Me } else { rank }
    }

    /// The point's address, from any rank.
    pub fn access(&mut self, route: Handle<hir::Route>, point: &Point, run: i64) -> Access {
        let table = &self.plan.tables[&point.tensor];
        // `plan::routed` has compared the mesh digits with these.
        let (mut rank, mut row) = (Ix::Me, self.by_sources(route, table, &point.coords, run));
        for digit in &table.digits {
            let Some(coord @ (Coord::Group | Coord::Slot | Coord::Reduced(_))) =
                point.coords[digit.axis]
            else {
                continue;
            };
            match digit.home {
                // Only movements without a route reach these: see `moves`.
                Home::Parent { .. } | Home::Rows { .. } => {}
                Home::Mesh { .. } | Home::Owner if coord == Coord::Group => {
                    let deal = self.deal_of(route, point);
                    rank = self.owner(route, deal);
                }
                Home::Mesh { .. } | Home::Owner => {}
                Home::Memory { stride } | Home::Packed { stride, .. } => {
                    let at = self.coord(route, coord);
                    let deal = (coord == Coord::Group).then(|| self.deal_of(route, point));
                    let value = self.digit(table, digit, (at, deal));
                    row = Ix::binary(
                        IxOp::Add,
                        row,
                        Ix::binary(IxOp::Mul, value, Ix::Lit(stride / run)),
                    );
                }
                Home::Group { stride } => {
                    let align = table.pack().unwrap_or(1);
                    let deal = self.deal_of(route, point);
                    let base = self.base(deal, align);
                    let first = Ix::Base { base, group: Box::new(self.coord(route, coord)) };
                    row = Ix::binary(
                        IxOp::Add,
                        row,
                        Ix::binary(IxOp::Mul, first, Ix::Lit(stride / run)),
                    );
                }
            }
        }
        let tensor = map_handle(&self.schedule.tensors, point.tensor.index());
        self.schedule.tensors[tensor].remote |= rank != Ix::Me;
        Access { tensor, rank, row, unit: run, run, vector: point.vector }
    }

    /// The same address, where the point is known to be on this rank.
    pub fn own_access(&mut self, route: Handle<hir::Route>, point: &Point, run: i64) -> Access {
        let tensor = map_handle::<Tensor>(&self.schedule.tensors, point.tensor.index());
        let remote = self.schedule.tensors[tensor].remote;
        let access = self.access(route, point, run);
        self.schedule.tensors[tensor].remote = remote;
        Access { rank: Ix::Me, ..access }
    }

    /// A digit in memory of a coordinate; of one that is mapped, of its position among those of its owner, by
    /// how the groups are dealt where it is one.
    fn digit(
        &mut self,
        table: &Table,
        digit: &Digit,
        (at, deal): (Ix, Option<Handle<Deal>>),
    ) -> Ix {
        let owners = table.maps.get(&digit.axis).map(|m| &m.owners);
        let read = deal.and_then(|d| self.schedule.deals[d].read.as_ref());
        let (at, top) = match (owners, read) {
            (Some(Owners::Known(owners)), _) => {
                let position = self.known_position(table.tensor, digit.axis, owners, at);
                (position, table.is_top_in_memory(digit))
            }
            (Some(Owners::Read(_)), Some(read)) => {
                let position = Ix::Lookup { table: read.positions, index: Box::new(at) };
                (position, table.is_top_in_memory(digit))
            }
            _ => (at, table.is_top(digit)),
        };
        let high = Ix::binary(IxOp::Div, at, Ix::Lit(digit.weight));
        match &digit.radix {
            Radix::Fixed(n) if !top => Ix::binary(IxOp::Rem, high, Ix::Lit(*n)),
            _ => high,
        }
    }

    /// First row of the group in this tensor's buffer.
    pub fn first_row(&mut self, tensor: Handle<hir::Tensor>, deal: Handle<Deal>, group: Ix) -> Ix {
        let table = &self.plan.tables[&tensor];
        if let Some(align) = table.pack() {
            return Ix::Base { base: self.base(deal, align), group: Box::new(group) };
        }
        // Slabs of the same number of rows, by the place of the group among those of its rank.
        let axes = &self.program.tensors[tensor].axes;
        let ragged = axes.iter().position(|a| matches!(a.extent, hir::Extent::Ragged { .. }));
        let own = |d: &&Digit| Some(d.axis + 1) == ragged && d.is_in_memory();
        let (mut local, mut below) = (Ix::Lit(0), 1);
        for digit in table.digits.iter().filter(own).rev() {
            let value = self.digit(table, digit, (group.clone(), Some(deal)));
            local = plus(times(value, below), local);
            below *= digit.radix.bound();
        }
        Ix::binary(IxOp::Mul, local, Ix::Lit(self.slab_rows(tensor).unwrap_or(1)))
    }

    /// One past the last slot that the group's storage holds; `None` if it holds live rows only.
    pub fn storage_end(
        &self,
        tensor: Handle<hir::Tensor>,
        route: Handle<Route>,
        group: Handle<Var>,
    ) -> Option<Ix> {
        let live = Ix::Live { route, group: Box::new(Ix::Var(group)) };
        match self.plan.tables[&tensor].pack() {
            Some(1) => None,
            Some(align) => {
                let up = Ix::binary(
                    IxOp::Div,
                    Ix::binary(IxOp::Add, live, Ix::Lit(align - 1)),
                    Ix::Lit(align),
                );
                Some(Ix::binary(IxOp::Mul, up, Ix::Lit(align)))
            }
            None => self.slab_rows(tensor).map(Ix::Lit),
        }
    }

    fn slab_rows(&self, tensor: Handle<hir::Tensor>) -> Option<i64> {
        let info = &self.program.tensors[tensor];
        let table = &self.plan.tables[&tensor];
        let term = info.placement.iter().position(|t| matches!(t.kind, hir::TermKind::Slab(_)))?;
        Some(table.digits[term].radix.bound())
    }

    /// A size over params, mesh axes and this rank's dyns.
    pub fn size(&self, size: &Size, bound: &Bindings) -> Option<Ix> {
        if let Some(v) = self.program.eval(size, bound) {
            return Some(Ix::Lit(v));
        }
        match size {
            Size::Dyn { of, .. } => Some(self.own_dyn(*of)),
            Size::Binary { op, lhs, rhs } => {
                Some(Ix::binary(ix_op(*op), self.size(lhs, bound)?, self.size(rhs, bound)?))
            }
            _ => None,
        }
    }

    /// The value of a dyn on this rank; one that some mesh axes index has one for each of their coordinates.
    pub fn own_dyn(&self, of: Handle<hir::Dyn>) -> Ix {
        let dyn_of = self.dyn_of(of);
        let axes = &self.program.dyns[of].axes;
        let Some(first) = axes.first() else { return Ix::Dyn(dyn_of) };
        let mesh = &self.program.meshes[self.program.mesh_axes[*first].mesh];
        let size = |a: &Handle<hir::MeshAxis>| self.known(&self.program.mesh_axes[*a].size);
        let (all, first): (i64, i64) =
            (mesh.axes.iter().map(size).product(), self.known(&mesh.first));
        let everywhere = (first, all) == (0, self.plan.ranks);
        if *axes == mesh.axes && everywhere {
            return Ix::Dyn(dyn_of);
        }
        // Of a rank outside the mesh, that of some rank in it.
        let before = (first + all - 1) / all.max(1) * all - first;
        let me = if everywhere { Ix::Me } else { rest(plus(Ix::Me, Ix::Lit(before)), all) };
        let rank = axes.iter().fold(Ix::Lit(0), |sum, a| {
            let minor = mesh.axes.iter().skip_while(|m| *m != a).skip(1);
            let weight: i64 = minor.map(size).product();
            let at = cut(me.clone(), weight, size(a), weight * size(a) == all);
            plus(times(sum, size(a)), at)
        });
        Ix::DynAt { of: dyn_of, rank: Box::new(rank) }
    }

    /// Fills in the tensors and dyns that the steps of an entry use, in declaration order.
    pub fn uses(&self, entry: &mut Entry) {
        let mut uses = super::visit::Uses::default();
        for step in &entry.steps {
            for alternative in &step.alternatives {
                uses.kernel(&self.schedule, &alternative.kernel);
                alternative.when.iter().for_each(|when| uses.when(when));
            }
        }
        let is_own = |t: &Handle<Tensor>| self.schedule.tensors[*t].io == hir::Io::Tmp;
        (entry.temporaries, entry.tensors) = uses.tensors.into_iter().partition(is_own);
        entry.dyns = uses.dyns.into_iter().collect();
    }
}

/// The arena's handle with the same number: both arenas were filled in one order.
fn map_handle<T>(arena: &Arena<T>, index: usize) -> Handle<T> {
    arena.handle(index)
}

/// The position of each coordinate among those of its owner.
fn positions(owners: &[i64]) -> Vec<i64> {
    let before = |i: usize| owners[..i].iter().filter(|o| **o == owners[i]).count() as i64;
    (0..owners.len()).map(before).collect()
}
