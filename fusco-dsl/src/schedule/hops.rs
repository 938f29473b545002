//! Paths of two hops over a mesh of two axes, or of one over its only axis. A row crosses to a coordinate of the outer axis once, lands in memory of
//! a rank there, the forwarder, and is put from there to all its slots; on the way back the forwarder adds up what its
//! coordinate holds, and sends one row. Rows take a kernel for each hop, sums one for both; the handshake between hops
//! is where what crossed has landed.

use super::address::Addresses;
use super::arith::{cut, plus, quotient, rest, times};
use super::choice;
use super::ir::*;
use super::moved::Moved;
use super::routed::{EntryLowering, SORTED, Steps, Summed, Term, To};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::plan::{Coord, Kind, Movement};
use crate::sema::hir::{self, Bindings, CmpOp, DirectiveKind, Elem, Forward, MeshAxis, Program};
use crate::source::Span;

type Built<T> = Result<T, Box<Diagnostic>>;

/// The hops that an entry asks for.
pub(super) struct Path {
    /// Sizes of the two axes, and ranks from one coordinate to the next. Where the mesh has one axis a coordinate is a
    /// rank, which forwards to itself.
    outer: (i64, i64),
    inner: (i64, i64),
    forward: Forward,
    /// What names the rows that cross as one.
    keys: Option<Vec<String>>,
    span: Span,
}

impl Path {
    /// `None` where no row crosses.
    pub fn of(program: &Program, bound: &Bindings, entry: &hir::Entry) -> Option<Path> {
        let directives = &choice::always(entry)?.directives;
        let (axes, span) = directives.iter().find_map(|d| match d.kind {
            DirectiveKind::Path(axes) => Some((axes, d.span)),
            _ => None,
        })?;
        let outer = directives.iter().find_map(|d| match d.kind {
            DirectiveKind::Dedup { axis, .. } | DirectiveKind::Reduce(axis) => Some(axis),
            _ => None,
        })?;
        let forward = directives.iter().find_map(|d| match d.kind {
            DirectiveKind::Forward(forward) => Some(forward),
            _ => None,
        });
        let size = |axis: MeshHandle| {
            let own = program.eval(&program.mesh_axes[axis].size, bound)?;
            Some((own, program.cut(axis, bound)?.0))
        };
        let inner = match axes {
            [a, b] if a == b => Some((1, 1)),
            [a, b] => size(if a == outer { b } else { a }),
        };
        let keys = directives.iter().find_map(|d| match &d.kind {
            DirectiveKind::Dedup { keys, .. } => Some(keys.clone()),
            _ => None,
        });
        let path = Path {
            keys,
            outer: size(outer)?,
            inner: inner?,
            forward: forward.unwrap_or(Forward::Same),
            span,
        };
        (path.outer.0 > 1).then_some(path)
    }

    fn ranks(&self) -> i64 {
        self.outer.0 * self.inner.0
    }

    fn on(&self, (size, weight): (i64, i64), rank: Ix) -> Ix {
        cut(rank, weight, size, size * weight == self.ranks())
    }

    fn outer_of(&self, rank: Ix) -> Ix {
        self.on(self.outer, rank)
    }

    fn rank(&self, outer: Ix, inner: Ix) -> Ix {
        plus(times(outer, self.outer.1), times(inner, self.inner.1))
    }

    fn mine(&self) -> Ix {
        self.outer_of(Ix::Me)
    }

    fn inner_of_me(&self) -> Ix {
        self.on(self.inner, Ix::Me)
    }

    fn refuse(&self, what: &str) -> Box<Diagnostic> {
        let found = Diagnostic::unsupported(self.span, what);
        Box::new(found.help("leave the path out: the compiler chooses"))
    }
}

type MeshHandle = Handle<MeshAxis>;

/// Rows that wait at a forwarder, or at the rank that adds them up.
struct Landing<'p> {
    movement: &'p Movement,
    tensor: Handle<Tensor>,
}

/// What a forwarder knows of the place of a row in its memory: whose it is.
struct Landed {
    var: Handle<Var>,
    /// Where it lies among all that wait.
    row: Ix,
    rank: Ix,
    position: Ix,
    /// There is such a position.
    only: Filter,
}

type Filter = hir::Filter<Ix>;

fn compare(op: CmpOp, lhs: Ix, rhs: Ix) -> Filter {
    Filter::Compare { op, lhs, rhs }
}

fn both(a: Filter, b: Filter) -> Filter {
    Filter::And(Box::new(a), Box::new(b))
}

impl<'p> EntryLowering<'_, 'p> {
    /// The steps of an entry whose rows take two hops.
    pub(super) fn hops(&mut self, path: &Path, mut moved: Moved) -> Built<Steps> {
        let route = self.at.route(self.route);
        self.fits(path, route, &moved)?;
        for movement in self.movements.iter().filter(|m| self.fills_whole(m)) {
            moved.fill(movement.target.tensor, &movement.text);
        }
        let of = (self.entry, self.name.as_str());
        let prepare = moved.prepare(self.at, self.program, of, Some(route))?;
        let plan = self.plans_here.then(|| self.plan_step(route, &[]));
        let gathers = self.movements.iter().any(|m| m.gathers());
        let moves = if gathers {
            let (first, last) = self.sums(path, route)?;
            vec![self.both_hops(route, first, last)]
        } else {
            let (first, last) = self.rows_on(path, route)?;
            vec![self.hop(route, first, true), self.hop(route, last, false)]
        };
        Ok(Steps { prepare, plan, moves, arrivals: Vec::new() })
    }

    /// F0999 for what no forwarder can do.
    fn fits(&self, path: &Path, route: Handle<Route>, moved: &Moved) -> Built<()> {
        let info = &self.at.schedule().routes[route];
        if info.ranks != path.ranks() || info.members != info.ranks {
            return Err(path.refuse("a path where not all ranks make one plan"));
        }
        if info.fan > SORTED {
            return Err(path.refuse("a path of a position with more than 32 choices"));
        }
        let shape = &self.plan.routes[&self.route];
        let route = &self.program.routes[self.route];
        let of_position = |k: &usize| route.vars[route.sources[*k]].name.as_str();
        let others = (0..route.sources.len()).filter(|k| shape.choice != Some(*k));
        let mut names = Vec::from_iter(others.map(|k| of_position(&k)));
        names.sort_unstable();
        if let Some(keys) = &path.keys {
            let mut keys = Vec::from_iter(keys.iter().map(String::as_str));
            keys.sort_unstable();
            if keys != names {
                return Err(path.refuse("a `dedup` by other keys than all sources but the choice"));
            }
        }
        if path.forward == Forward::Balanced {
            return Err(path.refuse("`forward balanced(bytes)`"));
        }
        if !moved.roles.is_empty() {
            return Err(path.refuse("a path of rows that are not moved as whole runs"));
        }
        Ok(())
    }

    /// A kernel that begins when all ranks have ended the one before it.
    fn hop(&mut self, route: Handle<Route>, own: Vec<Role>, first: bool) -> Step {
        let name = if first { format!("{}_hop", self.name) } else { self.name.clone() };
        let mut roles = Vec::new();
        if !first || !self.plans_here {
            roles.push(self.shake(format!("{name}_ready"), route, RoleKind::Open));
        }
        roles.extend(own);
        if !first {
            roles.push(self.shake(format!("{name}_done"), route, RoleKind::Close));
        }
        self.one_step(route, name, roles)
    }

    /// A kernel whose last roles begin when all ranks have ended the first ones. They read and write what is their own
    /// rank's.
    fn both_hops(&mut self, route: Handle<Route>, first: Vec<Role>, last: Vec<Role>) -> Step {
        let name = self.name.clone();
        let mut roles = Vec::new();
        if !self.plans_here {
            roles.push(self.shake(format!("{name}_ready"), route, RoleKind::Open));
        }
        roles.extend(first);
        roles.push(self.shake(format!("{name}_landed"), route, RoleKind::Meet));
        roles.extend(last);
        self.one_step(route, name, roles)
    }

    fn one_step(&self, route: Handle<Route>, name: String, roles: Vec<Role>) -> Step {
        let tuning = choice::tuning(choice::always(self.entry));
        let kernel = Kernel { name, route: Some(route), roles, fetched: None, tuning };
        Step { alternatives: vec![Alternative { when: None, kernel }] }
    }

    fn shake(&mut self, signal: String, route: Handle<Route>, kind: RoleKind) -> Role {
        let epoch = SignalKind::Epoch { per_cta: false };
        let signal = self.at.signal(signal, route, epoch, self.plan.ranks);
        let body = vec![
            Op::Barrier,
            Op::Once { body: vec![Op::Signal { signal, to: Peer::All, slot: Ix::Me }] },
            Op::Wait { signal, until: Until::Epoch },
        ];
        self.role(kind, Vec::new(), body)
    }

    fn most_positions(&self) -> i64 {
        self.plan.routes[&self.route].positions_bound
    }

    /// Memory for as many rows of a movement.
    fn landing(&mut self, movement: &'p Movement, elem: Elem, rows: i64) -> Landing<'p> {
        let target = &self.program.tensors[movement.target.tensor].name;
        let name = format!("landed_{}_{target}", self.entry.name);
        let elems = rows.saturating_mul(movement.run);
        Landing { movement, tensor: self.at.own_tensor(&name, elem, elems) }
    }

    /// The row of a landing.
    fn at_landing(&self, landing: &Landing, rank: Ix, row: Ix) -> Access {
        let run = landing.movement.run;
        let vector = self.elements(landing) * self.bytes(landing.tensor);
        Access { tensor: landing.tensor, rank, row, unit: run, run, vector }
    }

    fn bytes(&self, tensor: Handle<Tensor>) -> i64 {
        self.at.schedule().tensors[tensor].elem.bytes()
    }

    /// Elements of one access to rows of the movement, those that wait among them.
    fn elements(&self, landing: &Landing) -> i64 {
        let target = &landing.movement.target;
        let own = target.vector / self.program.tensors[target.tensor].dtype.elem.bytes();
        own.min(16 / self.bytes(landing.tensor))
    }

    /// In steps of as many elements.
    fn even(&self, landing: &Landing, access: Access) -> Access {
        let vector = self.elements(landing) * self.bytes(access.tensor);
        Access { vector, ..access }
    }

    /// The coordinate, on the outer axis, of the rank that holds the rows of a tuple.
    fn outer_of(&self, path: &Path, deal: Handle<Deal>) -> Ix {
        path.outer_of(self.at.owner(self.route, deal))
    }

    /// How many positions another rank has.
    fn positions_of(&self, route: Handle<Route>, rank: &Ix) -> Ix {
        at_rank(self.at, &self.at.schedule().routes[route].positions, rank)
    }

    /// Rows to their slots: where they lie already at the right coordinate at once, else to a forwarder; then on.
    fn rows_on(&mut self, path: &Path, route: Handle<Route>) -> Built<(Vec<Role>, Vec<Role>)> {
        let movements = Vec::from_iter(self.movements.iter().copied().filter(|m| m.pushes()));
        let deal = self.one_deal(path, &movements)?;
        let (nodes, most) = (path.outer.0, self.most_positions());
        let mut landings = Vec::new();
        for movement in movements {
            let elem = self.program.tensors[movement.target.tensor].dtype.elem;
            landings.push(self.landing(movement, elem, (nodes - 1) * most));
        }
        let outer = self.outer_of(path, deal);
        let here =
            Kept { only: Some(compare(CmpOp::Eq, outer.clone(), path.mine())), ..self.kept(route) };
        let across = Kept {
            only: Some(compare(CmpOp::Ne, outer.clone(), path.mine())),
            once: Some(outer.clone()),
            ..self.kept(route)
        };
        // Coordinates are counted from the forwarder's next one on: its own rows never land.
        let away = rest(plus_minus(plus(path.mine(), Ix::Lit(nodes - 1)), outer.clone()), nodes);
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let row = plus(times(away, most), position);
        let forwarder = path.rank(outer.clone(), path.inner_of_me());
        let to = Vec::from_iter(
            landings.iter().map(|l| self.at_landing(l, forwarder.clone(), row.clone())),
        );
        let near = self.trip(here, To::Slots);
        let far = self.trip(across, To::Others(&to));
        let mut roles = vec![self.trip_role(near), self.trip_role(far)];
        roles.extend(self.fills(route));
        roles.extend(self.derives(route));
        let landed = self.landed(path, route, 1);
        let on = self.forward(path, (route, deal), &landed, &landings);
        Ok((roles, vec![on]))
    }

    /// The one way in which the groups of all targets are dealt.
    fn one_deal(&mut self, path: &Path, movements: &[&Movement]) -> Built<Handle<Deal>> {
        let mut deals = Vec::new();
        for movement in movements {
            let of_group = |c: &Option<Coord>| matches!(c, None | Some(Coord::Group | Coord::Slot));
            if !movement.target.coords.iter().all(of_group) || movement.target.deal.is_none() {
                return Err(path.refuse("a path to places that a source names, too"));
            }
            deals.push(self.at.deal_of(self.route, &movement.target));
        }
        match deals[..] {
            [first, ..] if deals.iter().all(|d| *d == first) => Ok(first),
            _ => Err(path.refuse("a path to groups that are dealt in several ways")),
        }
    }

    /// Whose row a forwarder has at each place: of the `first`-th coordinate after its own and of those that follow.
    /// They take turns, so that links are never without any while own rows are moved.
    fn landed(&mut self, path: &Path, route: Handle<Route>, first: i64) -> Landed {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let var = self.at.var("landed");
        let (away, position) =
            (rest(Ix::Var(var), nodes - first), quotient(Ix::Var(var), nodes - first));
        let row = plus(times(away.clone(), most), position.clone());
        let from = plus(plus(away, path.mine()), Ix::Lit(first));
        let rank = path.rank(rest(from, nodes), path.inner_of_me());
        let only = compare(CmpOp::Lt, position.clone(), self.positions_of(route, &rank));
        Landed { var, row, rank, position, only }
    }

    /// From a forwarder to all slots at its coordinate.
    fn forward(
        &mut self,
        path: &Path,
        (route, deal): (Handle<Route>, Handle<Deal>),
        landed: &Landed,
        landings: &[Landing],
    ) -> Role {
        let (mut loads, mut puts, mut text) = (Vec::new(), Vec::new(), Vec::new());
        for (i, landing) in landings.iter().enumerate() {
            let row = Row(i as u32);
            let from = self.at_landing(landing, Ix::Me, landed.row.clone());
            loads.push(Op::Load { row, from });
            let (target, run) = (&landing.movement.target, landing.movement.run);
            puts.push(Op::Put {
                value: Value::Row(row),
                to: self.at.access(self.route, target, run),
            });
            text.push(landing.movement.text.clone());
        }
        let tuples = self.tuples_at(path, (route, deal), landed);
        loads.push(Op::Each { tuples, first: false, parts: None, body: puts });
        let extent = Ix::Lit((path.outer.0 - 1) * self.most_positions());
        let body = vec![Op::Tokens { var: landed.var, extent, body: loads }];
        self.role(RoleKind::Produce, text, body)
    }

    /// The tuples of a place whose rows this rank's coordinate holds.
    fn tuples_at(
        &self,
        path: &Path,
        (route, deal): (Handle<Route>, Handle<Deal>),
        landed: &Landed,
    ) -> Kept {
        let here = compare(CmpOp::Eq, self.outer_of(path, deal), path.mine());
        Kept {
            rank: landed.rank.clone(),
            position: landed.position.clone(),
            only: Some(both(landed.only.clone(), here)),
            ..self.kept(route)
        }
    }

    /// Sums back to their positions: what each coordinate holds is added up there, then these.
    fn sums(&mut self, path: &Path, route: Handle<Route>) -> Built<(Vec<Role>, Vec<Role>)> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        let movements = Vec::from_iter(self.movements.iter().copied().filter(|m| m.gathers()));
        for movement in movements {
            self.at.reduce_over(self.route, &movement.reduced);
            let Kind::Computed { value, to } = &movement.kind else {
                return Err(path.refuse("a path of rows that are not added up"));
            };
            let summed = self.summed(value, movement).and_then(|s| Some((s.within?, s)));
            let Some((within, summed)) = summed else {
                return Err(path.refuse("a path of more than one sum of products with a row"));
            };
            let rows = path.outer.0 * self.most_positions();
            let landing = self.landing(movement, within.partial, rows);
            first.push(self.partial(path, route, &landing, &summed)?);
            last.push(self.total(path, route, (&landing, &summed), (value, *to))?);
        }
        first.extend(self.derives(route));
        Ok((first, last))
    }

    /// What this rank's coordinate holds of a position of the rank with its own inner coordinate elsewhere.
    fn partial(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        landing: &Landing,
        summed: &Summed,
    ) -> Built<Role> {
        let landed = self.landed(path, route, 0);
        let deal = self.deal_in(path, summed)?;
        let position = self.at.tuple_vars(self.route).position;
        let run = landing.movement.run;
        let (mut each, mut factors) = (Vec::new(), Vec::new());
        for factor in &summed.factors {
            factors.push(match factor {
                Term::Lit(v) => Factor::Lit(*v),
                Term::Scalar(point) => {
                    let own = self.at.access(self.route, point, 1);
                    let there = |ix: &Ix| {
                        let at = ix.with(&|ix| {
                            (*ix == Ix::Var(position)).then(|| landed.position.clone())
                        });
                        at_rank(self.at, &at, &landed.rank)
                    };
                    let (rank, row) = (there(&own.rank), there(&own.row));
                    self.at.reach(own.tensor);
                    Factor::Scalar(Access { rank, row, ..own })
                }
                Term::Row(point) if point.deal.is_some() => {
                    let row = Row(each.len() as u32);
                    let from = self.at.access(self.route, point, run);
                    each.push(Op::Pull { row, from: self.even(landing, from) });
                    Factor::Row(row)
                }
                Term::Row(_) => {
                    return Err(path.refuse("a path of sums with a row of the position"));
                }
            });
        }
        each.push(Op::Reduce { factors, run });
        let tuples = self.tuples_at(path, (route, deal), &landed);
        let row = plus(times(path.mine(), self.most_positions()), landed.position.clone());
        let elem = self.at.schedule().tensors[landing.tensor].elem;
        let to = self.at_landing(landing, landed.rank.clone(), row);
        let put = Op::Put { value: Value::Sum { value: Tree::Sum, to: elem }, to };
        let body = vec![
            Op::Each { tuples, first: false, parts: None, body: each },
            Op::Summed { body: vec![put] },
        ];
        let extent = Ix::Lit(path.outer.0 * self.most_positions());
        let body = vec![Op::Tokens { var: landed.var, extent, body }];
        Ok(self.role(RoleKind::Reduce, vec![landing.movement.text.clone()], body))
    }

    /// What the coordinates that have terms of an own position made, ascending.
    fn total(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (landing, summed): (&Landing, &Summed),
        (value, to): (&crate::plan::Tree, Elem),
    ) -> Built<Role> {
        let (movement, nodes) = (landing.movement, path.outer.0);
        let deal = self.deal_in(path, summed)?;
        let outer = self.outer_of(path, deal);
        let position = self.at.tuple_vars(self.route).position;
        let row = plus(times(outer.clone(), self.most_positions()), Ix::Var(position));
        let from = self.at_landing(landing, Ix::Me, row);
        let each = vec![
            Op::Load { row: Row(0), from },
            Op::Reduce { factors: vec![Factor::Row(Row(0))], run: movement.run },
        ];
        let once = Some(outer.clone());
        let tuples = Kept { once, ..self.kept(route) };
        // They are rounded already.
        let parts = Some(Parts { of: outer, count: nodes, partial: Elem::F32 });
        let mut value = self.tree(value, movement.run, true);
        value.rows_mut(&mut |row| *row = self.even(landing, row.clone()));
        let value = Value::Sum { value, to };
        let to = self.at.access(self.route, &movement.target, movement.run);
        let to = self.even(landing, to);
        let body =
            vec![Op::Each { tuples, first: false, parts, body: each }, Op::Put { value, to }];
        let extent = self.at.schedule().routes[route].positions.clone();
        let body = vec![Op::Tokens { var: position, extent, body }];
        Ok(self.role(RoleKind::Reduce, vec![movement.text.clone()], body))
    }

    /// How the groups lie whose rows a sum reads.
    fn deal_in(&mut self, path: &Path, summed: &Summed) -> Built<Handle<Deal>> {
        let mut rows = summed.factors.iter().filter_map(|f| match f {
            Term::Row(point) if point.deal.is_some() => Some(*point),
            _ => None,
        });
        match (rows.next(), rows.next()) {
            (Some(point), None) => Ok(self.at.deal_of(self.route, point)),
            _ => Err(path.refuse("a path of sums of other than one row a term")),
        }
    }
}

/// What a rank says of itself, of another one.
fn at_rank(at: &Addresses, ix: &Ix, rank: &Ix) -> Ix {
    let dyns = &at.schedule().dyns;
    ix.with(&|ix| match ix {
        Ix::Me => Some(rank.clone()),
        Ix::Dyn(of) if dyns[*of].per_rank => {
            Some(Ix::DynAt { of: *of, rank: Box::new(rank.clone()) })
        }
        _ => None,
    })
}

fn plus_minus(a: Ix, b: Ix) -> Ix {
    Ix::binary(IxOp::Sub, a, b)
}
