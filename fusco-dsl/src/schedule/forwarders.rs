//! Who forwards each row of a path: the rank with the source's own number on the inner axis, or, where the program asks
//! for balance, the ranks of a coordinate in turn. Then the rows that one coordinate sends to another are numbered, in the
//! order of ranks and positions, and row i goes to rank `i % G`: each forwards as many of them, but for one.
//!
//! Kernels behind that of the plan count: a rank marks where its positions go, counts the marks before each position, and
//! tells the ranks beside it how many it has. What a rank forwards it is told, a number beside each row.

use super::arith::{plus, quotient, rest, times};
use super::choice;
use super::ir::*;
use super::path::{Built, Filter, Path, at_rank, compare};
use super::routed::{EntryLowering, Summed, Term};
use crate::arena::Handle;
use crate::plan::Kind;
use crate::sema::hir::{CmpOp, Elem};
use std::ops::Range;

/// Numbers of rows that are forwarded in turn, made with the plan.
#[derive(Clone, Copy)]
struct Turns {
    /// `[outer][inner]`: rows to a coordinate from the ranks beside this one that come before a rank.
    first: Handle<Table>,
    /// `[outer][positions + 1]`: rows to a coordinate from the positions of this rank before one, and from all.
    before: Handle<Table>,
}

/// What an entry does for its rows to be forwarded in turn.
pub(super) struct Told {
    turns: Turns,
    /// Whose row this rank has at each place: its number among the positions of a coordinate; one more where there is none.
    whose: Handle<Tensor>,
    /// Fills, before any rank is told.
    pub clear: Role,
}

/// What a forwarder knows of the place of a row in its memory: whose it is.
pub(super) struct Landed {
    pub var: Handle<Var>,
    /// Where it lies among all that wait.
    pub row: Ix,
    pub rank: Ix,
    pub position: Ix,
    /// There is such a position.
    pub only: Filter,
}

impl EntryLowering<'_, '_> {
    pub(super) fn most_positions(&self) -> i64 {
        self.plan.routes[&self.route].positions_bound
    }

    /// The coordinate, on the outer axis, of the rank that holds the rows of a tuple.
    pub(super) fn outer_of(&self, path: &Path, deal: Handle<Deal>) -> Ix {
        path.outer_of(self.at.owner(self.route, deal))
    }

    /// The tuples of a position whose rows lie at this rank's coordinate.
    pub(super) fn near(&self, path: &Path, (route, deal): (Handle<Route>, Handle<Deal>)) -> Kept {
        let here = compare(CmpOp::Eq, self.outer_of(path, deal), path.mine());
        Kept { only: Some(here), ..self.kept(route) }
    }

    /// Of those at each other coordinate the first.
    pub(super) fn far(&self, path: &Path, (route, deal): (Handle<Route>, Handle<Deal>)) -> Kept {
        let outer = self.outer_of(path, deal);
        let across = compare(CmpOp::Ne, outer.clone(), path.mine());
        Kept { only: Some(across), once: Some(outer), ..self.kept(route) }
    }

    /// Where what a position sends to a coordinate waits: the forwarder, and the place in its memory. Coordinates are
    /// counted from the forwarder's next one on: its own rows never land.
    pub(super) fn place(&self, path: &Path, told: Option<&Told>, outer: &Ix) -> (Ix, Ix) {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let ahead = plus(path.mine(), Ix::Lit(nodes - 1));
        let away = rest(Ix::binary(IxOp::Sub, ahead, outer.clone()), nodes);
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let (inner, number) = match told {
            None => (path.inner_of_me(), position),
            Some(told) => {
                let row = told.turns.number(path, outer, (position, most));
                (rest(row.clone(), path.inner.0), quotient(row, path.inner.0))
            }
        };
        (path.rank(outer.clone(), inner), plus(times(away, most), number))
    }

    /// Tells a forwarder whose row it has at a place.
    pub(super) fn tell(&self, path: &Path, told: &Told, (rank, row): (Ix, Ix)) -> Op {
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let whose = plus(times(path.inner_of_me(), self.most_positions()), position);
        put(whose, one(told.whose, rank, row))
    }

    /// Whose row a forwarder has at each place: of so many coordinates from its own one on, which take turns, so that
    /// links are never without any while own rows are moved.
    pub(super) fn landed(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        told: Option<&Told>,
        coordinates: Range<i64>,
    ) -> Landed {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let (var, count) = (self.at.var("landed"), coordinates.end - coordinates.start);
        let (away, place) = (rest(Ix::Var(var), count), quotient(Ix::Var(var), count));
        let row = plus(times(away.clone(), most), place.clone());
        let outer = rest(plus(plus(away, path.mine()), Ix::Lit(coordinates.start)), nodes);
        let Some(told) = told else {
            let rank = path.rank(outer, path.inner_of_me());
            let positions = &self.at.schedule().routes[route].positions;
            let limit = at_rank(self.at, positions, &rank);
            let only = compare(CmpOp::Lt, place.clone(), limit);
            return Landed { var, row, rank, position: place, only };
        };
        let whose = element(told.whose, Ix::Me, row.clone());
        // Where there is none it names a place that is one, too.
        let inner = rest(quotient(whose.clone(), most), path.inner.0);
        let only = compare(CmpOp::Lt, whose.clone(), Ix::Lit(path.inner.0 * most));
        Landed { var, row, rank: path.rank(outer, inner), position: rest(whose, most), only }
    }

    /// Forwarders that take turns, each with room for rows of so many coordinates.
    pub(super) fn told(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        coordinates: i64,
    ) -> Told {
        let (turns, most) = (self.turns(path, of), self.most_positions());
        let name = format!("whose_{}", self.name);
        let whose = self.at.own_tensor(&name, Elem::I32, coordinates * most);
        let clear = Op::FillAll { tensor: whose, bits: (path.inner.0 * most) as u64 };
        Told { turns, whose, clear: self.role(RoleKind::Fill, Vec::new(), vec![clear]) }
    }

    /// The tables of a plan that number rows, made on first use.
    fn turns(&mut self, path: &Path, (route, deal): (Handle<Route>, Handle<Deal>)) -> Turns {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let (of, number) =
            (&self.at.schedule().routes[route].name, self.at.schedule().deals[deal].number);
        // With a point, which no name of the program has.
        let ending = format!("{of}.turns{number}_{}", path.outer.1);
        let mut table = |what: &str, len: i64| {
            self.at.lookup(&format!("{what}_{ending}"), len, || TableKind::Planned(route))
        };
        Turns {
            first: table("first", nodes * path.inner.0),
            before: table("before", nodes * (most + 1)),
        }
    }

    /// Counts the rows from each coordinate to each other one once the route is planned, for every entry of the program
    /// whose forwarders take turns: what is done before the plan, and after it.
    pub(super) fn count_turns(&mut self) -> Built<[Vec<Step>; 2]> {
        let route = self.at.route(self.route);
        let [mut before, mut after] = [Vec::new(), Vec::new()];
        for (number, (path, deal)) in self.asked()?.into_iter().enumerate() {
            let turns = self.turns(&path, (route, deal));
            let nodes = path.outer.0;
            let ending = if number == 0 { String::new() } else { (number + 1).to_string() };
            let name = format!("{}_{}", self.entry.name, self.program.routes[self.route].name);
            let mut tensor = |what: &str, elems: i64| {
                self.at.own_tensor(&format!("{what}_{name}"), Elem::I32, elems)
            };
            let marks = tensor("marks", nodes * self.plan.routes[&self.route].positions_bound);
            let all = tensor("all", nodes * path.inner.0);
            let clear = vec![Op::FillAll { tensor: marks, bits: 0 }];
            let clear = vec![self.role(RoleKind::Fill, Vec::new(), clear)];
            let kernels = [
                ("marks", vec![self.mark(&path, (route, deal), marks)]),
                ("before", vec![self.count_before(&path, route, (marks, turns.before))]),
                ("all", vec![self.tell_all(&path, (turns.before, all))]),
                ("first", self.count_beside(&path, route, (all, turns.first))),
            ];
            let launch = |(what, roles): (&str, Vec<Role>)| {
                let name = format!("{name}_{what}{ending}");
                self.launch(name, (route, roles), choice::beside(self.entry))
            };
            before.push(launch(("clear", clear)));
            after.extend(kernels.map(launch));
        }
        Ok([before, after])
    }

    /// The paths of the program along the route whose forwarders take turns, and how the groups are dealt there.
    fn asked(&mut self) -> Built<Vec<(Path, Handle<Deal>)>> {
        let mut out: Vec<(Path, Handle<Deal>)> = Vec::new();
        let along = self.route;
        for (entry, planned) in self.program.entries.iter().zip(&self.plan.entries) {
            let path = Path::of(self.program, self.bound, entry);
            let Some(path) = path.filter(|path| path.balanced) else { continue };
            for movement in planned.movements.iter().filter(|m| m.route == along) {
                let deal = match (&movement.kind, movement.gathers()) {
                    (Kind::Computed { value, .. }, true) => match self.summed(value, movement) {
                        Some(summed) => self.deal_in(&path, &summed)?,
                        None => continue,
                    },
                    _ if movement.pushes() => self.at.deal_of(self.route, &movement.target),
                    _ => continue,
                };
                let has = |(own, dealt): &(Path, _)| own.outer == path.outer && *dealt == deal;
                if !out.iter().any(has) {
                    out.push((path.clone(), deal));
                }
            }
        }
        Ok(out)
    }

    /// How the groups lie whose rows a sum reads.
    pub(super) fn deal_in(&mut self, path: &Path, summed: &Summed) -> Built<Handle<Deal>> {
        let mut rows = summed.factors.iter().filter_map(|f| match f {
            Term::Row(point) if point.deal.is_some() => Some(*point),
            _ => None,
        });
        match (rows.next(), rows.next()) {
            (Some(point), None) => Ok(self.at.deal_of(self.route, point)),
            _ => Err(path.refuse("a path of sums of other than one row a term")),
        }
    }

    /// Each rank marks where its positions send rows.
    fn mark(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        marks: Handle<Tensor>,
    ) -> Role {
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let at = plus(times(self.outer_of(path, of.1), self.most_positions()), position);
        self.each_tuple(self.far(path, of), put(Ix::Lit(1), one(marks, Ix::Me, at)))
    }

    /// The marks before each position.
    fn count_before(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (marks, table): (Handle<Tensor>, Handle<Table>),
    ) -> Role {
        let most = self.most_positions();
        let (toward, position) = (self.at.var("toward"), self.at.var("sender"));
        let at = plus(times(Ix::Var(toward), most), Ix::Var(position));
        let limit = self.at.schedule().routes[route].positions.clone();
        let count = Op::Prefix {
            table,
            rank: (toward, path.outer.0),
            groups: vec![(position, most + 1)],
            guards: vec![Guard::Below { value: Ix::Var(position), limit }],
            count: element(marks, Ix::Me, at),
            align: 1,
        };
        self.role(RoleKind::Tables, Vec::new(), vec![count])
    }

    /// All marks of this rank, to those beside it.
    fn tell_all(&mut self, path: &Path, (before, all): (Handle<Table>, Handle<Tensor>)) -> Role {
        let most = self.most_positions();
        let (beside, toward) = (self.at.var("beside"), self.at.var("toward"));
        let last = plus(times(Ix::Var(toward), most + 1), Ix::Lit(most));
        let at = plus(times(Ix::Var(toward), path.inner.0), path.inner_of_me());
        let to = one(all, path.rank(path.mine(), Ix::Var(beside)), at);
        let vars = vec![(beside, path.inner.0), (toward, path.outer.0)];
        let body = vec![put(found(before, last), to)];
        let body = vec![Op::Grid { vars, share: None, guards: Vec::new(), body }];
        self.role(RoleKind::Move, Vec::new(), body)
    }

    /// The marks of the ranks beside this one before each, once they have counted theirs.
    fn count_beside(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (all, table): (Handle<Tensor>, Handle<Table>),
    ) -> Vec<Role> {
        let (toward, beside) = (self.at.var("toward"), self.at.var("beside"));
        let at = plus(times(Ix::Var(toward), path.inner.0), Ix::Var(beside));
        let count = Op::Prefix {
            table,
            rank: (toward, path.outer.0),
            groups: vec![(beside, path.inner.0)],
            guards: Vec::new(),
            count: element(all, Ix::Me, at),
            align: 1,
        };
        let name = format!("{}_counted", self.entry.name);
        let open = self.shake(name, route, RoleKind::Open);
        vec![open, self.role(RoleKind::Tables, Vec::new(), vec![count])]
    }

    /// Each forwarder is told whose sums it makes; those at a rank's own coordinate it makes by itself.
    pub(super) fn tell_ahead(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        told: &Told,
    ) -> Step {
        let name = format!("{}_told", self.name);
        let mut roles = Vec::new();
        if !self.plans_here {
            roles.push(self.shake(format!("{name}_ready"), of.0, RoleKind::Open));
        }
        let outer = self.outer_of(path, of.1);
        let far = self.tell(path, told, self.place(path, Some(told), &outer));
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let own = plus(position, Ix::Lit((path.outer.0 - 1) * self.most_positions()));
        let near = self.tell(path, told, (Ix::Me, own));
        let once = Kept { once: Some(outer), ..self.near(path, of) };
        roles.extend([self.each_tuple(once, near), self.each_tuple(self.far(path, of), far)]);
        self.launch(name, (of.0, roles), choice::beside(self.entry))
    }

    /// A number for each of some tuples.
    fn each_tuple(&self, tuples: Kept, put: Op) -> Role {
        let extent = self.at.schedule().routes[tuples.route].positions.clone();
        let var = self.at.tuple_vars(self.route).position;
        let each = Op::Each { tuples, first: false, parts: None, body: vec![put] };
        let body = vec![Op::Tokens { var, extent, body: vec![each] }];
        self.role(RoleKind::Produce, Vec::new(), body)
    }

    pub(super) fn launch(
        &self,
        name: String,
        (route, roles): (Handle<Route>, Vec<Role>),
        tuning: Tuning,
    ) -> Step {
        let kernel = Kernel { name, route: Some(route), roles, fetched: None, tuning };
        Step { alternatives: vec![Alternative { when: None, kernel }] }
    }

    /// Every rank has come here.
    pub(super) fn shake(&mut self, signal: String, route: Handle<Route>, kind: RoleKind) -> Role {
        let epoch = SignalKind::Epoch { per_cta: false };
        let signal = self.at.signal(signal, route, epoch, self.plan.ranks);
        let body = vec![
            Op::Barrier,
            Op::Once { body: vec![Op::Signal { signal, to: Peer::All, slot: Ix::Me }] },
            Op::Wait { signal, until: Until::Epoch },
        ];
        self.role(kind, Vec::new(), body)
    }
}

impl Turns {
    /// The number of the row of a position of this rank, among those from its coordinate to another.
    fn number(&self, path: &Path, outer: &Ix, (position, most): (Ix, i64)) -> Ix {
        let rank = plus(times(outer.clone(), path.inner.0), path.inner_of_me());
        let own = plus(times(outer.clone(), most + 1), position);
        plus(found(self.first, rank), found(self.before, own))
    }
}

fn one(tensor: Handle<Tensor>, rank: Ix, row: Ix) -> Access {
    Access { tensor, rank, row, unit: 1, run: 1, vector: Elem::I32.bytes() }
}

fn put(value: Ix, to: Access) -> Op {
    Op::Put { value: Value::Int(value), to }
}

fn element(tensor: Handle<Tensor>, rank: Ix, at: Ix) -> Ix {
    Ix::Element { tensor, rank: Box::new(rank), at: Box::new(at) }
}

fn found(table: Handle<Table>, index: Ix) -> Ix {
    Ix::Lookup { table, index: Box::new(index) }
}
