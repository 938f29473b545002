//! Digit tables to addresses: coordinates of a point become a rank and a row.

use super::ir::*;
use crate::arena::{Arena, Handle};
use crate::layout::{Digit, Home, Radix, Table};
use crate::plan::{Coord, Plan, Point};
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

/// The schedule under construction, and how the program's names map into it.
pub(super) struct Addresses<'p> {
    program: &'p Program,
    plan: &'p Plan,
    schedule: Schedule,
    vars: BTreeMap<Handle<hir::Route>, TupleVars>,
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
        let mut this = Addresses { program, plan, schedule, vars: BTreeMap::new() };
        this.declare(bound);
        this
    }

    fn declare(&mut self, bound: &Bindings) {
        for (_, d) in self.program.dyns.iter() {
            let bound = self.program.eval(&d.bound, bound).unwrap_or(0);
            self.schedule.dyns.append(Dyn {
                name: d.name.clone(),
                per_rank: !d.axes.is_empty(),
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
        let positions =
            self.size(&shape.positions, bound).unwrap_or(Ix::Lit(shape.positions_bound));
        self.schedule.routes.append(Route {
            name: info.name.clone(),
            index: map_handle(&self.schedule.tensors, shape.index.index()),
            none: shape.none,
            positions,
            positions_bound: shape.positions_bound,
            fan: shape.fan,
            groups: shape.groups,
            groups_per_rank: shape.groups_per_rank,
            order: shape.order,
            cap: shape.cap,
            trap_none: shape.trap_none,
            trap_cap: shape.trap_cap,
            span: info.span,
        });
        let mut var = |h: Option<Handle<hir::Var>>| {
            let name = h.map_or("_".to_string(), |h| info.vars[h].name.clone());
            self.schedule.vars.append(Var { name })
        };
        let vars = TupleVars {
            position: var(Some(shape.position_var)),
            fan: var(shape.fan_var),
            group: var(Some(shape.group_var)),
            slot: var(Some(shape.slot_var)),
        };
        self.vars.insert(handle, vars);
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub fn into_schedule(self) -> Schedule {
        self.schedule
    }

    pub fn route(&self, route: Handle<hir::Route>) -> Handle<Route> {
        map_handle(&self.schedule.routes, route.index())
    }

    pub fn tuple_vars(&self, route: Handle<hir::Route>) -> TupleVars {
        self.vars[&route]
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

    /// The table of first rows with this alignment, made on first use.
    pub fn base(&mut self, route: Handle<Route>, align: i64) -> Handle<Base> {
        let found = self
            .schedule
            .bases
            .iter()
            .find(|(_, b)| b.route == route && b.align == align)
            .map(|(h, _)| h);
        found.unwrap_or_else(|| self.schedule.bases.append(Base { route, align }))
    }

    pub fn coord(&self, route: Handle<hir::Route>, coord: Coord) -> Ix {
        let vars = self.vars[&route];
        match coord {
            Coord::Rank => Ix::Me,
            Coord::Position => Ix::Var(vars.position),
            Coord::Fan => Ix::Var(vars.fan),
            Coord::Group => Ix::Var(vars.group),
            Coord::Slot => Ix::Var(vars.slot),
        }
    }

    /// The rank that owns the bound group.
    pub fn owner(&self, route: Handle<hir::Route>) -> Ix {
        let per_rank = self.plan.routes[&route].groups_per_rank;
        self.on_mesh(Ix::binary(IxOp::Div, self.coord(route, Coord::Group), Ix::Lit(per_rank)))
    }

    /// With one rank every owner is this one.
    fn on_mesh(&self, rank: Ix) -> Ix {
        if self.schedule.ranks == 1 { Ix::Me } else { rank }
    }

    /// The point's address, from any rank.
    pub fn access(&mut self, route: Handle<hir::Route>, point: &Point, run: i64) -> Access {
        let table = &self.plan.tables[&point.tensor];
        let (mut rank, mut row) = (Ix::Lit(0), Ix::Lit(0));
        for digit in &table.digits {
            let Some(coord) = point.coords[digit.axis] else { continue };
            let value = self.digit(route, table, digit, coord);
            match digit.home {
                Home::Mesh { weight, .. } => {
                    rank =
                        Ix::binary(IxOp::Add, rank, Ix::binary(IxOp::Mul, value, Ix::Lit(weight)))
                }
                Home::Memory { stride } | Home::Packed { stride, .. } => {
                    row = Ix::binary(
                        IxOp::Add,
                        row,
                        Ix::binary(IxOp::Mul, value, Ix::Lit(stride / run)),
                    );
                }
                Home::Group { stride } => {
                    let align = table.pack().unwrap_or(1);
                    let base = self.base(self.route(route), align);
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
        let rank = self.on_mesh(rank);
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

    fn digit(&self, route: Handle<hir::Route>, table: &Table, digit: &Digit, coord: Coord) -> Ix {
        let high = Ix::binary(IxOp::Div, self.coord(route, coord), Ix::Lit(digit.weight));
        match &digit.radix {
            Radix::Fixed(n) if !table.is_top(digit) => Ix::binary(IxOp::Rem, high, Ix::Lit(*n)),
            _ => high,
        }
    }

    /// First row of the group in this tensor's buffer.
    pub fn first_row(
        &mut self,
        tensor: Handle<hir::Tensor>,
        route: Handle<Route>,
        group: Handle<Var>,
    ) -> Ix {
        let table = &self.plan.tables[&tensor];
        match table.pack() {
            Some(align) => {
                Ix::Base { base: self.base(route, align), group: Box::new(Ix::Var(group)) }
            }
            None => {
                let per_rank = self.schedule.routes[route].groups_per_rank;
                let local = Ix::binary(IxOp::Rem, Ix::Var(group), Ix::Lit(per_rank));
                Ix::binary(IxOp::Mul, local, Ix::Lit(self.slab_rows(tensor).unwrap_or(1)))
            }
        }
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
            Size::Dyn { of, .. } => Some(Ix::Dyn(map_handle(&self.schedule.dyns, of.index()))),
            Size::Binary { op, lhs, rhs } => {
                Some(Ix::binary(ix_op(*op), self.size(lhs, bound)?, self.size(rhs, bound)?))
            }
            _ => None,
        }
    }

    /// Tensors and dyns that the steps use, in declaration order.
    pub fn used(&self, steps: &[Step]) -> (Vec<Handle<Tensor>>, Vec<Handle<Dyn>>) {
        let mut uses = super::visit::Uses::default();
        for step in steps {
            for alternative in &step.alternatives {
                uses.kernel(&self.schedule, &alternative.kernel);
            }
        }
        (uses.tensors.into_iter().collect(), uses.dyns.into_iter().collect())
    }
}

/// The arena's handle with the same number: both arenas were filled in one order.
fn map_handle<T>(arena: &Arena<T>, index: usize) -> Handle<T> {
    arena.handle(index)
}

pub(super) fn ix_op(op: hir::BinOp) -> IxOp {
    match op {
        hir::BinOp::Add => IxOp::Add,
        hir::BinOp::Sub => IxOp::Sub,
        hir::BinOp::Mul => IxOp::Mul,
        hir::BinOp::Div => IxOp::Div,
        hir::BinOp::Rem => IxOp::Rem,
    }
}
