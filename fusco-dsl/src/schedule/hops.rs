//! Paths of two hops over a mesh of two axes, or of one over its only axis. A row crosses to a coordinate of the outer
//! axis once, lands in memory of a rank there, the forwarder, and is put from there to all its slots; on the way back the
//! forwarder adds up what its coordinate holds, and sends one row. Rows take a kernel for each hop, sums one for both; the
//! handshake between hops is where what crossed has landed.

use super::arith::{plus, times};
use super::choice;
use super::forwarders::{Landed, Told};
use super::ir::*;
use super::moved::Moved;
use super::path::{Built, Path, at_rank, both, compare};
use super::routed::{EntryLowering, SORTED, Steps, Summed, Term, To};
use crate::arena::Handle;
use crate::plan::{Coord, Kind, Movement};
use crate::sema::hir::{CmpOp, Elem};

/// Rows that wait at a forwarder, or at the rank that adds them up.
struct Landing<'p> {
    movement: &'p Movement,
    tensor: Handle<Tensor>,
}

/// What the two kernels of a path do.
struct Hops {
    first: Vec<Role>,
    last: Vec<Role>,
    /// Fills ahead of them, and the kernel that tells forwarders of sums.
    clear: Option<Role>,
    told: Option<Step>,
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
        let mut prepare = moved.prepare(self.at, self.program, of, Some(route))?;
        let plan = self.plans_here.then(|| self.plan_step(route, &[]));
        let gathers = self.movements.iter().any(|m| m.gathers());
        let Hops { first, last, clear, told } = match gathers {
            true => self.sums(path, route)?,
            false => self.rows_on(path, route)?,
        };
        // What forwarders are told of their sums they read behind a handshake.
        let opens = !self.plans_here || told.is_some();
        let mut moves = Vec::from_iter(told);
        if let Some(clear) = clear {
            let name = format!("{}_clear", self.name);
            prepare.push(self.launch(name, (route, vec![clear]), choice::beside(self.entry)));
        }
        if gathers {
            moves.push(self.both_hops(route, (first, last), opens));
        } else {
            let name = format!("{}_hop", self.name);
            moves.push(self.hop(name, (route, first), (opens, false)));
            moves.push(self.hop(self.name.clone(), (route, last), (true, true)));
        }
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
        if !moved.roles.is_empty() {
            return Err(path.refuse("a path of rows that are not moved as whole runs"));
        }
        Ok(())
    }

    /// A kernel that begins when all ranks have ended the one before it.
    fn hop(
        &mut self,
        name: String,
        (route, own): (Handle<Route>, Vec<Role>),
        (opens, closes): (bool, bool),
    ) -> Step {
        let mut roles = Vec::new();
        if opens {
            roles.push(self.shake(format!("{name}_ready"), route, RoleKind::Open));
        }
        roles.extend(own);
        if closes {
            roles.push(self.shake(format!("{name}_done"), route, RoleKind::Close));
        }
        self.one_step(name, (route, roles))
    }

    /// A kernel whose last roles begin when all ranks have ended the first ones. They read and write what is their own
    /// rank's.
    fn both_hops(
        &mut self,
        route: Handle<Route>,
        (first, last): (Vec<Role>, Vec<Role>),
        opens: bool,
    ) -> Step {
        let name = self.name.clone();
        let mut roles = Vec::new();
        if opens {
            roles.push(self.shake(format!("{name}_ready"), route, RoleKind::Open));
        }
        roles.extend(first);
        roles.push(self.shake(format!("{name}_landed"), route, RoleKind::Meet));
        roles.extend(last);
        self.one_step(name, (route, roles))
    }

    fn one_step(&self, name: String, of: (Handle<Route>, Vec<Role>)) -> Step {
        let tuning = choice::tuning(choice::always(self.entry));
        self.launch(name, of, tuning)
    }

    /// Memory for as many rows of a movement.
    fn landing(&mut self, movement: &'p Movement, elem: Elem, rows: i64) -> Landing<'p> {
        let target = &self.program.tensors[movement.target.tensor].name;
        let name = format!("landed_{}_{target}", self.entry.name);
        let elems = rows.saturating_mul(movement.run);
        Landing { movement, tensor: self.at.own_tensor(&name, elem, elems) }
    }

    /// The row of a landing.
    fn at_landing(&self, landing: &Landing, (rank, row): (Ix, Ix)) -> Access {
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

    /// Rows to their slots: where they lie already at the right coordinate at once, else to a forwarder; then on.
    fn rows_on(&mut self, path: &Path, route: Handle<Route>) -> Built<Hops> {
        let movements = Vec::from_iter(self.movements.iter().copied().filter(|m| m.pushes()));
        let deal = self.one_deal(path, &movements)?;
        let (others, most) = (path.outer.0 - 1, self.most_positions());
        let mut landings = Vec::new();
        for movement in movements {
            let elem = self.program.tensors[movement.target.tensor].dtype.elem;
            landings.push(self.landing(movement, elem, others * most));
        }
        let of = (route, deal);
        let told = path.balanced.then(|| self.told(path, of, others));
        let place = self.place(path, told.as_ref(), &self.outer_of(path, deal));
        let to = Vec::from_iter(landings.iter().map(|l| self.at_landing(l, place.clone())));
        let near = self.trip(self.near(path, of), To::Slots);
        let mut far = self.trip(self.far(path, of), To::Others(&to));
        far.each.extend(told.iter().map(|told| self.tell(path, told, place.clone())));
        let mut first = vec![self.trip_role(near), self.trip_role(far)];
        first.extend(self.fills(route));
        first.extend(self.derives(route));
        let landed = self.landed(path, route, told.as_ref(), 1..path.outer.0);
        let last = vec![self.forward(path, of, &landed, &landings)];
        Ok(Hops { first, last, clear: told.map(|told| told.clear), told: None })
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
            let from = self.at_landing(landing, (Ix::Me, landed.row.clone()));
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
    fn sums(&mut self, path: &Path, route: Handle<Route>) -> Built<Hops> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        let mut dealt: Option<(Handle<Deal>, Told)> = None;
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
            let deal = self.deal_in(path, &summed)?;
            if path.balanced && dealt.is_none() {
                dealt = Some((deal, self.told(path, (route, deal), path.outer.0)));
            }
            if dealt.as_ref().is_some_and(|(own, _)| *own != deal) {
                let what = "`forward balanced` of groups that are dealt in several ways";
                return Err(path.refuse(what));
            }
            let told = dealt.as_ref().map(|(_, told)| told);
            let rows = path.outer.0 * self.most_positions();
            let landing = self.landing(movement, within.partial, rows);
            let (of, sum) = ((route, deal), (&landing, &summed));
            first.push(self.partial(path, of, sum, told)?);
            last.push(self.total(path, of, &landing, (value, *to)));
        }
        first.extend(self.derives(route));
        let told = dealt.as_ref().map(|(deal, told)| self.tell_ahead(path, (route, *deal), told));
        Ok(Hops { first, last, clear: dealt.map(|(_, told)| told.clear), told })
    }

    /// What this rank's coordinate holds of the positions that it adds up for.
    fn partial(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        (landing, summed): (&Landing, &Summed),
        told: Option<&Told>,
    ) -> Built<Role> {
        // Its own coordinate comes last where it is told of that, too.
        let first = i64::from(told.is_some());
        let landed = self.landed(path, of.0, told, first..first + path.outer.0);
        let position = self.at.tuple_vars(self.route).position;
        let run = landing.movement.run;
        let (mut each, mut factors) = (Vec::new(), Vec::new());
        for factor in &summed.factors {
            factors.push(match factor {
                Term::Lit(v) => Factor::Lit(*v),
                Term::Scalar(point) => {
                    let own = self.at.access(self.route, point, 1);
                    // Its place is that of another position of another rank.
                    let there = |ix: &Ix| {
                        let own = Ix::Var(position);
                        at_rank(self.at, ix, &landed.rank)
                            .with(&|ix| (*ix == own).then(|| landed.position.clone()))
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
        let tuples = self.tuples_at(path, of, &landed);
        let row = plus(times(path.mine(), self.most_positions()), landed.position.clone());
        let elem = self.at.schedule().tensors[landing.tensor].elem;
        let to = self.at_landing(landing, (landed.rank.clone(), row));
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
        (route, deal): (Handle<Route>, Handle<Deal>),
        landing: &Landing,
        (value, to): (&crate::plan::Tree, Elem),
    ) -> Role {
        let (movement, nodes) = (landing.movement, path.outer.0);
        let outer = self.outer_of(path, deal);
        let position = self.at.tuple_vars(self.route).position;
        let row = plus(times(outer.clone(), self.most_positions()), Ix::Var(position));
        let from = self.at_landing(landing, (Ix::Me, row));
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
        self.role(RoleKind::Reduce, vec![movement.text.clone()], body)
    }
}
