//! The statements of an entry along one route as kernels: which roles they need, in which order, and what signals join
//! them.

use super::address::Addresses;
use super::bits::bits_of;
use super::choice::{self, Fetching, Ways};
use super::fetched::fetched;
use super::ir::*;
use super::moved::Moved;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::{self, Digit, Radix};
use crate::plan::{Coord, Derived, Each, IntExpr, Kind, Movement, Plan, Point, Tree as PlanTree};
use crate::sema::hir::{self, Bindings, Program, Scalar};
use crate::source::Span;
use std::convert::Infallible;

/// Rows that arrive at groups that are dealt alike.
struct Tiles {
    deal: Handle<Deal>,
    signal: Handle<Signal>,
}

/// The statements of an entry along one route, or that read its plan; those without one go with the first.
pub(super) struct EntryLowering<'a, 'p> {
    pub(super) program: &'p Program,
    pub(super) bound: &'p Bindings,
    pub(super) plan: &'p Plan,
    pub(super) at: &'a mut Addresses<'p>,
    pub(super) entry: &'p hir::Entry,
    /// What its kernels and signals are named after: the entry, or the entry and the route.
    pub(super) name: String,
    pub(super) movements: Vec<&'p Movement>,
    pub(super) route: Handle<hir::Route>,
    pub(super) plans_here: bool,
    /// No statement waits for those of the unit.
    pub(super) is_last: bool,
}

/// The steps of one route.
pub(super) struct Steps {
    pub(super) prepare: Vec<Step>,
    pub(super) plan: Option<Step>,
    pub(super) moves: Vec<Step>,
    pub(super) arrivals: Vec<Handle<Signal>>,
}

impl EntryLowering<'_, '_> {
    pub(super) fn steps(&mut self, mut moved: Moved) -> Result<Steps, Box<Diagnostic>> {
        let route = self.at.route(self.route);
        let pushes = self.movements.iter().any(|m| m.pushes());
        let gathers = self.movements.iter().filter(|m| m.gathers()).count();
        let tiles = if pushes { self.tiles(route) } else { Vec::new() };
        // One counter says nothing about rows that two statements write, and nobody watches a `tmp`.
        let is_seen = |m: &&Movement| self.program.tensors[m.target.tensor].io != hir::Io::Tmp;
        let mut seen = self.movements.iter().copied().filter(is_seen);
        let (pushed, gathered) = (seen.clone().any(Movement::pushes), seen.any(Movement::gathers));
        let rows = (gathers == 1 && gathered).then(|| self.rows(route));
        let arrivals: Vec<_> = tiles.iter().map(|t| t.signal).chain(rows).collect();
        for movement in self.movements.iter().filter(|m| self.fills_whole(m)) {
            moved.fill(movement.target.tensor, &movement.text);
        }
        let of = (self.entry, self.name.as_str());
        let prepare = moved.prepare(self.at, self.program, of, Some(route))?;
        let plan = self.plans_here.then(|| self.plan_step(route, &arrivals));
        let moves = match self.movements.is_empty() && moved.roles.is_empty() {
            true => Vec::new(),
            false => vec![self.move_step(route, &tiles, rows, &arrivals, moved)?],
        };
        let arrivals = if pushed { arrivals } else { rows.into_iter().collect() };
        Ok(Steps { prepare, plan, moves, arrivals })
    }

    /// Counters of the tiles of pushed rows, for each way in which their groups are dealt.
    fn tiles(&mut self, route: Handle<Route>) -> Vec<Tiles> {
        let shape = &self.plan.routes[&self.route];
        let pairs = shape.positions_bound * shape.ranks * shape.fan;
        let mut tiles = Vec::new();
        for (i, deal) in self.pushed().into_iter().enumerate() {
            let slots = pairs / TILE_ROWS + self.at.schedule().deals[deal].groups.most() + 1;
            let number = if i == 0 { String::new() } else { (i + 1).to_string() };
            let name = format!("{}_tiles{number}", self.name);
            let signal = self.at.signal(name, route, SignalKind::Tiles, slots);
            tiles.push(Tiles { deal, signal });
        }
        tiles
    }

    /// How the groups lie whose rows are signalled as they arrive.
    fn pushed(&mut self) -> Vec<Handle<Deal>> {
        let movements = self.movements.clone();
        let pushed = || movements.iter().filter(|m| m.pushes()).map(|m| &m.target);
        let mut deals = Vec::new();
        for point in pushed().filter(|p| p.deal.is_some()) {
            let deal = self.at.deal_of(self.route, point);
            if !deals.contains(&deal) {
                deals.push(deal);
            }
        }
        // Numbers that go back to their sources stay on their rank: any way will do.
        if let (true, Some(point)) = (deals.is_empty(), pushed().next()) {
            deals.push(self.at.deal_of(self.route, point));
        }
        deals
    }

    fn rows(&mut self, route: Handle<Route>) -> Handle<Signal> {
        let slots = self.plan.routes[&self.route].positions_bound / TILE_ROWS + 1;
        self.at.signal(format!("{}_rows", self.name), route, SignalKind::Tiles, slots)
    }

    /// Count, exchange, scan, stable slots.
    pub(super) fn plan_step(&mut self, route: Handle<Route>, arrivals: &[Handle<Signal>]) -> Step {
        let kind = SignalKind::Epoch { per_cta: true };
        let exchange =
            self.at.signal(format!("{}_exchange", self.name), route, kind, self.plan.ranks);
        let mut body: Vec<Op> =
            arrivals.iter().map(|signal| Op::Reset { signal: *signal }).collect();
        body.extend([
            Op::Count { route },
            Op::Barrier,
            Op::Scan { route },
            Op::Signal { signal: exchange, to: Peer::All, slot: Ix::Me },
            Op::Wait { signal: exchange, until: Until::Epoch },
            Op::Tables { route },
            Op::Slots { route },
        ]);
        let info = &self.program.routes[self.route];
        let role = Role {
            kind: RoleKind::Plan,
            text: vec![format!("plan {};", info.name)],
            span: info.span,
            body,
        };
        let name = format!("{}_plan_{}", self.entry.name, info.name);
        let tuning = choice::beside(self.entry);
        Step {
            alternatives: vec![Alternative {
                when: None,
                kernel: Kernel {
                    name,
                    route: Some(route),
                    roles: vec![role],
                    fetched: None,
                    tuning,
                },
            }],
        }
    }

    /// The roles of the routed statements, and of each schedule's way to move the others.
    fn move_step(
        &mut self,
        route: Handle<Route>,
        tiles: &[Tiles],
        rows: Option<Handle<Signal>>,
        arrivals: &[Handle<Signal>],
        moved: Moved,
    ) -> Result<Step, Box<Diagnostic>> {
        let Moved { roles: moved, variants, .. } = moved;
        let routed = self.roles(route, tiles, rows, arrivals, false);
        let pulls = routed.iter().any(fetches) || !moved.is_empty();
        let close = self.close(route, tiles, (pulls, false));
        let fetching = self.fetched(route, &routed, tiles).map(|fetched| {
            let pushed = self.roles(route, tiles, rows, arrivals, true);
            // What a rank fetches it stores itself: the end of its launch is all that there is to wait for.
            let end = self.close(route, &[], (true, true));
            ((fetched, end), (pushed, self.close(route, tiles, (pulls, true))))
        });
        if let (Some(span), None, false) = (choice::pulled(self.entry), &fetching, tiles.is_empty())
        {
            return Err(not_fetched(span));
        }
        let all = |roles: &[Role], own: &[Role], end: &Option<Role>| {
            [roles, own, end.as_slice()].concat()
        };
        let ways = |own: Vec<Role>| Ways {
            pushed: all(&routed, &own, &close),
            fetching: fetching.as_ref().map(|((fetched, end), (pushed, other))| Fetching {
                fetched: all(fetched, &own, end),
                pushed: all(pushed, &own, other),
            }),
        };
        let variants = variants.into_iter().map(|own| own.map(ways)).collect();
        let of = (self.entry, self.name.as_str());
        choice::step((&*self.at, self.bound), of, Some(route), (ways(moved), variants))
    }

    /// The roles of a kernel whose rows are fetched by the ranks that they go to, but for its end; `None` where they can
    /// only be pushed.
    fn fetched(
        &mut self,
        route: Handle<Route>,
        roles: &[Role],
        tiles: &[Tiles],
    ) -> Option<Vec<Role>> {
        let at = roles.iter().position(|r| r.kind == RoleKind::Produce)?;
        let ([produce], [_]) = (&roles[at].body[..], tiles) else { return None };
        let name = format!("{}_rank", self.program.routes[self.route].name);
        let rank = self.at.var(&name);
        // A computed row is fetched where the program says so: what it is computed from is reached by peers then.
        let as_they_are = choice::pulled(self.entry).is_none();
        let op = fetched(self.at.schedule(), (route, rank), produce, as_they_are)?;
        self.at.reach_all(&op);
        let mut out = roles.to_vec();
        out[at] = Role { body: vec![op], ..roles[at].clone() };
        // Plans of peers are made.
        if !roles.iter().any(|r| r.kind == RoleKind::Open) {
            out.insert(0, self.open(route, &[]));
        }
        Some(out)
    }

    fn roles(
        &mut self,
        route: Handle<Route>,
        tiles: &[Tiles],
        rows: Option<Handle<Signal>>,
        arrivals: &[Handle<Signal>],
        shakes: bool,
    ) -> Vec<Role> {
        let mut roles = Vec::new();
        if !self.plans_here {
            roles.push(self.open(route, arrivals));
        } else if shakes {
            roles.push(self.open(route, &[]));
        }
        if !tiles.is_empty() {
            roles.push(self.produce(route, tiles));
            roles.extend(self.fills(route));
        }
        roles.extend(self.derives(route));
        let movements = self.movements.clone();
        for movement in movements {
            if movement.gathers() {
                roles.push(self.gather(route, movement, rows));
            }
        }
        roles
    }

    /// Every rank is in: its buffers may be written and read by peers.
    fn open(&mut self, route: Handle<Route>, arrivals: &[Handle<Signal>]) -> Role {
        let ready = self.at.handshake(format!("{}_ready", self.name), route);
        let mut body: Vec<Op> =
            arrivals.iter().map(|signal| Op::Reset { signal: *signal }).collect();
        body.extend([
            Op::Barrier,
            Op::Once { body: vec![Op::Signal { signal: ready, to: Peer::All, slot: Ix::Me }] },
            Op::Wait { signal: ready, until: Until::Epoch },
        ]);
        self.role(RoleKind::Open, Vec::new(), body)
    }

    /// All statements that push along the route make one trip: load, put to every slot, signal.
    fn produce(&mut self, route: Handle<Route>, tiles: &[Tiles]) -> Role {
        let vars = self.at.tuple_vars(self.route);
        let mut trip = self.trip(self.kept(route), To::Slots);
        for Tiles { deal, signal } in tiles {
            let owner = self.at.owner(self.route, *deal);
            let base = self.at.base(*deal, TILE_ROWS);
            let first = Ix::Base { base, group: Box::new(Ix::Var(vars.group)) };
            let row = Ix::binary(IxOp::Add, first, Ix::Var(vars.slot));
            let slot = Ix::binary(IxOp::Div, row, Ix::Lit(TILE_ROWS));
            trip.each.push(Op::Signal { signal: *signal, to: Peer::Rank(owner), slot });
        }
        self.trip_role(trip)
    }

    pub(super) fn trip_role(&mut self, trip: Trip) -> Role {
        let Trip { text, mut loads, tuples, each } = trip;
        let extent = self.at.schedule().routes[tuples.route].positions.clone();
        let var = self.at.tuple_vars(self.route).position;
        loads.push(Op::Each { tuples, first: false, parts: None, body: each });
        let body = vec![Op::Tokens { var, extent, body: loads }];
        self.role(RoleKind::Produce, text, body)
    }

    /// What the statements that push load for a position, and put for each of its tuples.
    pub(super) fn trip(&mut self, tuples: Kept, to: To) -> Trip {
        let (mut loads, mut puts, mut text) = (Vec::new(), Vec::new(), Vec::new());
        let movements = self.movements.clone();
        for movement in movements.into_iter().filter(|m| m.pushes()) {
            self.at.reduce_over(self.route, &movement.reduced);
            text.push(movement.text.clone());
            let row = Row(text.len() as u32 - 1);
            if movement.filter.is_some() {
                let body = self.alone(movement, row);
                puts.extend(self.filtered(movement, body));
                continue;
            }
            let value = match &movement.kind {
                Kind::Row { source } => {
                    Value::Row(self.load(row, source, movement.run, (&mut loads, &mut puts)))
                }
                Kind::Computed { value, to } => match self.scaled(value, movement.run) {
                    Some(factors) => {
                        let (run, ops) = (movement.run, (&mut loads, &mut puts));
                        Value::Scaled { factors: self.scale(row, &factors, run, ops), to: *to }
                    }
                    None => Value::Sum { value: self.tree(value, movement.run, false), to: *to },
                },
                Kind::Int { value } => Value::Int(self.int(value)),
                Kind::Derive { .. } => continue,
            };
            let to = match to {
                To::Slots => self.at.access(self.route, &movement.target, movement.run),
                To::Others(places) => places[row.0 as usize].clone(),
            };
            puts.push(Op::Put { value, to });
        }
        Trip { text, loads, tuples, each: puts }
    }

    /// A row of the position is loaded once, before its tuples; a row of a tuple with the tuple. A row that another
    /// statement has loaded is that one.
    fn load(
        &mut self,
        row: Row,
        source: &Point,
        run: i64,
        (shared, own): (&mut Vec<Op>, &mut Vec<Op>),
    ) -> Row {
        let from = self.at.access(self.route, source, run);
        let choice = self.plan.routes[&self.route].choice.map(Coord::Source);
        let by_tuple = source
            .coords
            .iter()
            .flatten()
            .any(|coord| matches!(coord, Coord::Group | Coord::Slot) || Some(*coord) == choice);
        let loads = if by_tuple { own } else { shared };
        let same = loads.iter().find_map(|op| match op {
            Op::Load { row, from: other } | Op::Pull { row, from: other } if *other == from => {
                Some(*row)
            }
            _ => None,
        });
        same.unwrap_or_else(|| {
            loads.push(match from.rank == Ix::Me {
                true => Op::Load { row, from },
                false => Op::Pull { row, from },
            });
            row
        })
    }

    /// The factors of a product that a row takes on its way, of which one is the row; `None` for another value.
    fn scaled<'t>(&self, value: &'t PlanTree, run: i64) -> Option<Vec<Term<'t>>> {
        let mut factors = self.product(value)?;
        let own =
            |p: &Point| !p.coords.iter().flatten().any(|c| matches!(c, Coord::Group | Coord::Slot));
        let rows = factors.iter().filter(|f| matches!(f, Term::Row(_))).count();
        let scalar = factors.iter().position(|f| matches!(f, Term::Scalar(_)));
        match (rows, scalar) {
            (1, _) => {}
            // A row of one element.
            (0, Some(at)) if run == 1 => {
                if let Term::Scalar(point) = factors[at] {
                    factors[at] = Term::Row(point);
                }
            }
            _ => return None,
        }
        let all_own = factors.iter().all(|f| match f {
            Term::Row(point) | Term::Scalar(point) => own(point),
            Term::Lit(_) => true,
        });
        all_own.then_some(factors)
    }

    /// Up to three factors, elements that are exact in f32 and literals.
    fn product<'t>(&self, value: &'t PlanTree) -> Option<Vec<Term<'t>>> {
        let factors = value.factors();
        let factor = |f: &&'t PlanTree| match f {
            PlanTree::Row(point) if self.is_small(point) => Some(Term::Row(point)),
            PlanTree::Scalar(point) if self.is_small(point) => Some(Term::Scalar(point)),
            PlanTree::Lit(v, hir::Elem::F32) => Some(Term::Lit(*v as f32)),
            _ => None,
        };
        let reads = factors.iter().any(|f| !matches!(f, PlanTree::Lit(..)));
        let factors = factors.iter().map(factor).collect::<Option<Vec<_>>>()?;
        (reads && factors.len() <= 3).then_some(factors)
    }

    fn is_small(&self, point: &Point) -> bool {
        self.program.tensors[point.tensor].dtype.elem.number() == hir::Elem::F32
    }

    /// The term of the one sum over the tuples of a position that a value is computed from, a product with a row in
    /// it; all else is arithmetic in f32 on what is the position's own.
    pub(super) fn summed<'t>(
        &self,
        value: &'t PlanTree,
        movement: &Movement,
    ) -> Option<Summed<'t>> {
        let mut sum = None;
        let whole = self.around(value, movement, &mut sum);
        let Some(PlanTree::Fold { within, term, .. }) = sum else { return None };
        let factors = self.product(term)?;
        let fan = self.plan.routes[&self.route].fan;
        let in_order = within.is_none() || fan <= SORTED;
        let rows = factors.iter().any(|f| matches!(f, Term::Row(_)));
        (whole && rows && in_order).then_some(Summed { factors, within: *within, term })
    }

    fn around<'t>(
        &self,
        value: &'t PlanTree,
        movement: &Movement,
        found: &mut Option<&'t PlanTree>,
    ) -> bool {
        match value {
            PlanTree::Row(point) | PlanTree::Scalar(point) => self.is_small(point),
            PlanTree::Lit(..) => true,
            PlanTree::Binary { lhs, rhs, .. } => {
                self.around(lhs, movement, found) && self.around(rhs, movement, found)
            }
            PlanTree::Fold { by: hir::Reducer::Sum, over, .. } => {
                let choice = |v: &usize| movement.reduced.iter().any(|r| r.choice && r.var == *v);
                found.replace(value).is_none() && over.len() == 1 && over.iter().all(choice)
            }
            PlanTree::Cast { .. } | PlanTree::Fold { .. } => false,
        }
    }

    fn scale(
        &mut self,
        row: Row,
        factors: &[Term],
        run: i64,
        (shared, own): (&mut Vec<Op>, &mut Vec<Op>),
    ) -> Vec<Factor> {
        let mut out = Vec::new();
        for factor in factors {
            out.push(match factor {
                Term::Lit(v) => Factor::Lit(*v),
                Term::Scalar(point) => Factor::Scalar(self.at.access(self.route, point, 1)),
                Term::Row(point) => Factor::Row(self.load(row, point, run, (shared, own))),
            });
        }
        out
    }

    pub(super) fn fills(&mut self, route: Handle<Route>) -> Vec<Role> {
        let mut roles = Vec::new();
        let movements = self.movements.clone();
        for movement in movements {
            let tensor = &self.program.tensors[movement.target.tensor];
            let by_rows = movement.pushes() && !self.fills_whole(movement);
            let (Some(fill), true) = (tensor.attrs.fill, by_rows) else { continue };
            let vars = self.at.tuple_vars(self.route);
            let Some(until) = self.at.storage_end(movement.target.tensor, route, vars.group) else {
                continue;
            };
            let to = self.at.own_access(self.route, &movement.target, movement.run);
            let bits = bits_of(fill, tensor.dtype.elem);
            let body = vec![Op::Padding {
                deal: self.at.deal_of(self.route, &movement.target),
                group: vars.group,
                slot: vars.slot,
                until,
                body: vec![Op::Fill { to, bits }],
            }];
            let text = vec![format!("{} with fill({})", tensor.name, show(fill))];
            roles.push(self.role(RoleKind::Fill, text, body));
        }
        roles
    }

    /// A target with a fill, of which a launch may write any part: one element for each source tuple, some of
    /// which are dropped, rows of positions that may be fewer than there is room for, or groups of which some
    /// ranks have fewer. Rows of groups that
    /// are written from slot 0 on are filled from the last one on: see [`Self::fills`].
    pub(super) fn fills_whole(&self, movement: &Movement) -> bool {
        let target = &movement.target;
        let table = self.at.table_of(target.tensor);
        let by_source = target.coords.iter().flatten().any(|c| matches!(c, Coord::Source(_)));
        let live = table.digits.iter().any(|d| matches!(d.radix, Radix::Live { .. }));
        // Digits that do not divide an axis have more values than it has coordinates.
        let rounded = self.program.tensors[target.tensor].attrs.uneven
            && (0..target.coords.len()).any(|axis| {
                let own = table.digits.iter().filter(|d| d.axis == axis);
                let values: i64 = own.map(|d| d.radix.bound()).product();
                values > self.at.axis_bound(target.tensor, axis)
                    && !matches!(target.coords[axis], Some(Coord::Group | Coord::Slot))
            });
        let room = live || rounded;
        // Some ranks may have room for more groups than they hold.
        let group = target.coords.iter().position(|c| *c == Some(Coord::Group));
        let own = |d: &&Digit| Some(d.axis) == group && d.is_in_memory();
        let places: i64 = table.digits.iter().filter(own).map(|d| d.radix.bound()).product();
        let full = |d: &layout::Deal| d.is_even() && places == d.most();
        let uneven = table.pack().is_none() && target.deal.as_ref().is_some_and(|d| !full(d));
        let partly = match movement.kind {
            _ if movement.filter.is_some() => true,
            _ if movement.each == Each::Position => room,
            Kind::Derive { .. } => uneven || rounded,
            _ => by_source || uneven || rounded,
        };
        partly && self.program.tensors[target.tensor].attrs.fill.is_some()
    }

    pub(super) fn derives(&mut self, route: Handle<Route>) -> Vec<Role> {
        let mut roles = Vec::new();
        let movements = self.movements.clone();
        for movement in movements {
            let Kind::Derive { value } = &movement.kind else { continue };
            let group = self.at.tuple_vars(self.route).group;
            let to = self.at.own_access(self.route, &movement.target, 1);
            let group_ix = Box::new(Ix::Var(group));
            let value = match value {
                Derived::Count => Ix::Live { route, group: group_ix },
                Derived::Offset(tensor, deal) => {
                    let deal = self.at.deal(route, deal);
                    self.at.first_row(*tensor, deal, Ix::Var(group))
                }
                Derived::Dropped => Ix::Dropped(route),
            };
            let put = Op::Put { value: Value::Int(value.clone()), to };
            let body = match value {
                Ix::Dropped(_) => Op::Once { body: vec![put] },
                _ => {
                    let deal = self.at.deal_of(self.route, &movement.target);
                    Op::Groups { deal, var: group, body: vec![put] }
                }
            };
            roles.push(self.role(RoleKind::Derive, vec![movement.text.clone()], vec![body]));
        }
        roles
    }

    /// Ranks fetch what their own positions need.
    fn gather(
        &mut self,
        route: Handle<Route>,
        movement: &Movement,
        rows: Option<Handle<Signal>>,
    ) -> Role {
        let position = self.at.tuple_vars(self.route).position;
        self.at.reduce_over(self.route, &movement.reduced);
        let mut body = match movement.each {
            Each::Position => self.position(route, movement),
            each => vec![self.tuple(route, movement, each == Each::First)],
        };
        if let Some(signal) = rows {
            let slot = Ix::binary(IxOp::Div, Ix::Var(position), Ix::Lit(TILE_ROWS));
            body.push(Op::Signal { signal, to: Peer::Rank(Ix::Me), slot });
        }
        let extent = self.at.schedule().routes[route].positions.clone();
        let body = vec![Op::Tokens { var: position, extent, body }];
        self.role(RoleKind::Reduce, vec![movement.text.clone()], body)
    }

    /// What is fetched for a tuple, to its own place.
    fn tuple(&mut self, route: Handle<Route>, movement: &Movement, first: bool) -> Op {
        let body = self.alone(movement, Row(0));
        let body = self.filtered(movement, body);
        Op::Each { tuples: self.kept(route), first, parts: None, body }
    }

    /// The ops under the condition of the statement, if it has one.
    fn filtered(&mut self, movement: &Movement, body: Vec<Op>) -> Vec<Op> {
        let Some(filter) = &movement.filter else { return body };
        let Ok(filter) = filter.map(&mut |n| Ok::<_, Infallible>(self.int(n)));
        vec![Op::If { guards: vec![Guard::Holds(filter)], body }]
    }

    /// The row of one tuple to its place, with nothing that others share.
    fn alone(&mut self, movement: &Movement, row: Row) -> Vec<Op> {
        let run = movement.run;
        let mut body = Vec::new();
        let value = match &movement.kind {
            Kind::Row { source } => {
                let from = self.at.access(self.route, source, run);
                body.push(Op::Pull { row, from });
                Value::Row(row)
            }
            Kind::Computed { value, to } => {
                Value::Sum { value: self.tree(value, run, false), to: *to }
            }
            Kind::Int { value } => Value::Int(self.int(value)),
            Kind::Derive { .. } => Value::Int(Ix::Lit(0)),
        };
        body.push(Op::Put { value, to: self.at.access(self.route, &movement.target, run) });
        body
    }

    /// What the kept tuples of a position are reduced to.
    fn position(&mut self, route: Handle<Route>, movement: &Movement) -> Vec<Op> {
        let Kind::Computed { value, to } = &movement.kind else { return Vec::new() };
        let (run, mut body) = (movement.run, Vec::new());
        let summed = self.summed(value, movement).filter(|_| movement.filter.is_none());
        let is_summed = summed.is_some();
        if let Some(Summed { factors, within, term }) = summed {
            let parts = within.and_then(|w| self.parts(w, term));
            let (mut each, mut terms) = (Vec::new(), Vec::new());
            for factor in factors {
                terms.push(match factor {
                    Term::Lit(v) => Factor::Lit(v),
                    Term::Scalar(point) => Factor::Scalar(self.at.access(self.route, point, 1)),
                    Term::Row(point) => {
                        let row = Row(each.len() as u32);
                        let from = self.at.access(self.route, point, run);
                        each.push(Op::Pull { row, from });
                        Factor::Row(row)
                    }
                });
            }
            each.push(Op::Reduce { factors: terms, run });
            body.push(Op::Each { tuples: self.kept(route), first: false, parts, body: each });
        }
        let value = Value::Sum { value: self.tree(value, run, is_summed), to: *to };
        let to = self.at.access(self.route, &movement.target, run);
        body.extend(self.filtered(movement, vec![Op::Put { value, to }]));
        body
    }

    /// By the rank of the row that a term reads.
    fn parts(&mut self, within: hir::Within, term: &PlanTree) -> Option<Parts> {
        let row = term.points().into_iter().find(|p| p.tensor == within.rows)?;
        let rank = self.at.access(self.route, row, 1).rank;
        Some(self.at.parts(within, rank))
    }

    /// The kept tuples of the position at hand.
    pub(super) fn kept(&self, route: Handle<Route>) -> Kept {
        let vars = self.at.tuple_vars(self.route);
        let position = Ix::Var(vars.position);
        let (k, group, slot) = (vars.fan, vars.group, vars.slot);
        Kept { route, rank: Ix::Me, position, k, group, slot, only: None, once: None }
    }

    /// Arithmetic on what the points name; `summed` if its one sum over tuples is in the accumulator.
    pub(super) fn tree(&mut self, value: &PlanTree, run: i64, summed: bool) -> Tree {
        match value {
            PlanTree::Row(point) => Tree::Row(self.at.access(self.route, point, run)),
            PlanTree::Scalar(point) => Tree::Scalar(self.at.access(self.route, point, 1)),
            PlanTree::Lit(v, number) => Tree::Lit(*v, *number),
            PlanTree::Cast { to, of } => Tree::Cast(*to, Box::new(self.tree(of, run, summed))),
            PlanTree::Fold { .. } if summed => Tree::Sum,
            PlanTree::Fold { by, ty, over, within, term } => {
                let kept = self.kept(self.at.route(self.route));
                let vars: Vec<_> = over.iter().map(|v| self.at.reduced(*v)).collect();
                let tuples = vars.iter().any(|(var, _)| *var == kept.k).then_some(kept);
                let parts = within.and_then(|w| self.parts(w, term));
                let (term, guards) = (self.tree(term, run, false), Vec::new());
                let (by, ty) = (*by, *ty);
                Tree::Fold(Box::new(Fold { by, ty, vars, tuples, parts, guards, term }))
            }
            PlanTree::Binary { op, lhs, rhs } => Tree::Binary {
                op: super::arith::ix_op(*op),
                lhs: Box::new(self.tree(lhs, run, summed)),
                rhs: Box::new(self.tree(rhs, run, summed)),
            },
        }
    }

    /// Pushed rows have arrived; pulled rows have been read, so their owner may overwrite them. `shakes`: other launches
    /// of the step pull.
    fn close(
        &mut self,
        route: Handle<Route>,
        tiles: &[Tiles],
        (pulls, shakes): (bool, bool),
    ) -> Option<Role> {
        let mut body = Vec::new();
        for Tiles { deal, signal } in tiles {
            let base = self.at.base(*deal, TILE_ROWS);
            body.push(Op::Wait { signal: *signal, until: Until::Groups { base } });
        }
        // What waits for these statements begins with a handshake.
        if (pulls || shakes) && self.is_last {
            let done = self.at.handshake(format!("{}_done", self.name), route);
            body.extend(pulls.then_some(Op::Barrier));
            body.extend([
                Op::Once { body: vec![Op::Signal { signal: done, to: Peer::All, slot: Ix::Me }] },
                Op::Wait { signal: done, until: Until::Epoch },
            ]);
        }
        let closes = self.is_last || !body.is_empty();
        closes.then(|| self.role(RoleKind::Close, Vec::new(), body))
    }

    pub(super) fn role(&self, kind: RoleKind, text: Vec<String>, body: Vec<Op>) -> Role {
        Role { kind, text, span: self.entry.span, body }
    }

    fn int(&mut self, value: &IntExpr) -> Ix {
        match value {
            IntExpr::Read(point) => {
                let Access { tensor, rank, row, .. } = self.at.access(self.route, point, 1);
                Ix::Element { tensor, rank: Box::new(rank), at: Box::new(row) }
            }
            IntExpr::Lit(v) => Ix::Lit(*v),
            IntExpr::Coord(c) => self.at.coord(self.route, *c),
            IntExpr::Binary { op, lhs, rhs } => {
                Ix::binary(super::arith::ix_op(*op), self.int(lhs), self.int(rhs))
            }
        }
    }
}

fn not_fetched(span: Span) -> Box<Diagnostic> {
    let what = "`pull` of rows that are reduced on their way, stay where they are, or that only their own rank knows";
    Box::new(
        Diagnostic::unsupported(span, what)
            .help("leave the directive out: the ranks that have such rows push them"),
    )
}

/// Tuples of a position, at most, whose terms are put in the order of their parts before they are added up; of more each
/// part looks for its own.
pub(super) const SORTED: i64 = 32;

/// Where rows are put.
#[derive(Clone, Copy)]
pub(super) enum To<'t> {
    Slots,
    /// One place for each statement.
    Others(&'t [Access]),
}

/// A loop over positions whose rows go somewhere.
pub(super) struct Trip {
    text: Vec<String>,
    loads: Vec<Op>,
    tuples: Kept,
    pub(super) each: Vec<Op>,
}

/// The one sum of a value, whose term is a product.
pub(super) struct Summed<'t> {
    pub(super) factors: Vec<Term<'t>>,
    pub(super) within: Option<hir::Within>,
    pub(super) term: &'t PlanTree,
}

/// A factor of a product.
#[derive(Clone, Copy)]
pub(super) enum Term<'t> {
    Row(&'t Point),
    Scalar(&'t Point),
    Lit(f32),
}

/// Whether a role reads what may lie on another rank.
fn fetches(role: &Role) -> bool {
    let mut found = role.kind == RoleKind::Reduce;
    for op in &role.body {
        op.walk(&mut |op| {
            if let Op::Put { value: Value::Sum { value, .. }, .. } = op {
                found |= value.reads().iter().any(|(access, _)| access.rank != Ix::Me);
            }
            found |= matches!(op, Op::Pull { from, .. } if from.rank != Ix::Me);
            op.walk_own(&mut |ix| {
                found |= matches!(ix, Ix::Element { rank, .. } if **rank != Ix::Me);
            });
        });
    }
    found
}

fn show(value: Scalar) -> String {
    match value {
        Scalar::Int(v) => v.to_string(),
        Scalar::Float(v) => format!("{v:?}"),
    }
}
