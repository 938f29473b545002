//! Who forwards each row of a path: the rank with the source's own number on the inner axis, or, where the program asks
//! for balance, the ranks of a coordinate in turn. Then the rows that one coordinate sends to another are numbered, in the
//! order of ranks and positions, and row i goes to rank `i % G`: each forwards as many of them, but for one.
//!
//! Kernels ahead of the hops count: a rank marks where its positions go, counts the marks before each position, and reads
//! how many each rank beside it has. What a rank forwards it is told, a number beside each row.

use super::arith::{plus, quotient, rest, times};
use super::choice;
use super::ir::*;
use super::path::{Filter, Path, at_rank, compare};
use super::routed::EntryLowering;
use crate::arena::Handle;
use crate::sema::hir::{CmpOp, Elem};
use std::ops::Range;

/// Numbers of rows that are forwarded in turn.
pub(super) struct Turns {
    /// `[outer][inner]`: rows to a coordinate from the ranks beside this one that come before a rank.
    first: Handle<Table>,
    /// `[outer][positions + 1]`: rows to a coordinate from the positions of this rank before one, and from all.
    before: Handle<Table>,
    /// Whose row this rank has at each place: its number among the positions of a coordinate; one more where there is none.
    whose: Handle<Tensor>,
    /// Fills, before any rank counts.
    pub clear: Role,
    /// The kernels that count.
    pub steps: Vec<Step>,
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
    pub(super) fn place(&self, path: &Path, turns: Option<&Turns>, outer: &Ix) -> (Ix, Ix) {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let ahead = plus(path.mine(), Ix::Lit(nodes - 1));
        let away = rest(Ix::binary(IxOp::Sub, ahead, outer.clone()), nodes);
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let (inner, number) = match turns {
            None => (path.inner_of_me(), position),
            Some(turns) => {
                let row = turns.number(path, outer, (position, most));
                (rest(row.clone(), path.inner.0), quotient(row, path.inner.0))
            }
        };
        (path.rank(outer.clone(), inner), plus(times(away, most), number))
    }

    /// Tells a forwarder whose row it has at a place.
    pub(super) fn tell(&self, path: &Path, turns: &Turns, (rank, row): (Ix, Ix)) -> Op {
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let whose = plus(times(path.inner_of_me(), self.most_positions()), position);
        put(whose, one(turns.whose, rank, row))
    }

    /// Whose row a forwarder has at each place: of so many coordinates from its own one on, which take turns, so that
    /// links are never without any while own rows are moved.
    pub(super) fn landed(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        turns: Option<&Turns>,
        coordinates: Range<i64>,
    ) -> Landed {
        let (nodes, most) = (path.outer.0, self.most_positions());
        let (var, count) = (self.at.var("landed"), coordinates.end - coordinates.start);
        let (away, place) = (rest(Ix::Var(var), count), quotient(Ix::Var(var), count));
        let row = plus(times(away.clone(), most), place.clone());
        let outer = rest(plus(plus(away, path.mine()), Ix::Lit(coordinates.start)), nodes);
        let Some(turns) = turns else {
            let rank = path.rank(outer, path.inner_of_me());
            let positions = &self.at.schedule().routes[route].positions;
            let limit = at_rank(self.at, positions, &rank);
            let only = compare(CmpOp::Lt, place.clone(), limit);
            return Landed { var, row, rank, position: place, only };
        };
        let whose = element(turns.whose, Ix::Me, row.clone());
        // Where there is none it names a place that is one, too.
        let inner = rest(quotient(whose.clone(), most), path.inner.0);
        let only = compare(CmpOp::Lt, whose.clone(), Ix::Lit(path.inner.0 * most));
        Landed { var, row, rank: path.rank(outer, inner), position: rest(whose, most), only }
    }

    /// Counts the rows from each coordinate to each other one; a forwarder has room for those of so many coordinates.
    /// Where no rows come that it could be told with, it is told ahead of them.
    pub(super) fn turns(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        (coordinates, ahead): (i64, bool),
    ) -> Turns {
        let (nodes, inner, most) = (path.outer.0, path.inner.0, self.most_positions());
        let name = self.name.clone();
        let mut table = |what: &str, len: i64| {
            let name = format!("{what}_{name}.turns");
            self.at.lookup(&name, len, || TableKind::Planned(of.0))
        };
        let (first, before) = (table("first", nodes * inner), table("before", nodes * (most + 1)));
        let mut tensor = |what: &str, elems: i64| {
            self.at.own_tensor(&format!("{what}_{name}"), Elem::I32, elems)
        };
        let [marks, all] = [tensor("marks", nodes * most), tensor("all", nodes)];
        let whose = tensor("whose", coordinates * most);
        let nobody = (inner * most) as u64;
        let clear = [(marks, 0), (whose, nobody)];
        let clear = clear.map(|(tensor, bits)| Op::FillAll { tensor, bits }).to_vec();
        let clear = self.role(RoleKind::Fill, Vec::new(), clear);
        let steps = vec![
            self.mark(path, of, marks),
            self.count_before(path, of.0, (marks, before)),
            self.count_all(path, of.0, (before, all)),
            self.count_beside(path, of.0, (all, first)),
        ];
        let mut turns = Turns { first, before, whose, clear, steps };
        if ahead {
            let told = self.tell_ahead(path, of, &turns);
            turns.steps.push(told);
        }
        turns
    }

    /// Each rank marks where its positions send rows.
    fn mark(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        marks: Handle<Tensor>,
    ) -> Step {
        let tuples = self.far(path, of);
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let at = plus(times(self.outer_of(path, of.1), self.most_positions()), position);
        let role = self.each_tuple(tuples, put(Ix::Lit(1), one(marks, Ix::Me, at)));
        self.ahead("marks", of.0, vec![role])
    }

    /// The marks before each position.
    fn count_before(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (marks, table): (Handle<Tensor>, Handle<Table>),
    ) -> Step {
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
        let role = self.role(RoleKind::Tables, Vec::new(), vec![count]);
        self.ahead("before", route, vec![role])
    }

    /// All marks of this rank, where those beside it read them.
    fn count_all(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (before, all): (Handle<Table>, Handle<Tensor>),
    ) -> Step {
        let most = self.most_positions();
        let toward = self.at.var("toward");
        let last = plus(times(Ix::Var(toward), most + 1), Ix::Lit(most));
        let body = vec![put(found(before, last), one(all, Ix::Me, Ix::Var(toward)))];
        let vars = vec![(toward, path.outer.0)];
        let body = vec![Op::Grid { vars, share: None, guards: Vec::new(), body }];
        let role = self.role(RoleKind::Move, Vec::new(), body);
        self.ahead("all", route, vec![role])
    }

    /// The marks of the ranks beside this one before each.
    fn count_beside(
        &mut self,
        path: &Path,
        route: Handle<Route>,
        (all, table): (Handle<Tensor>, Handle<Table>),
    ) -> Step {
        let (toward, beside) = (self.at.var("toward"), self.at.var("beside"));
        let rank = path.rank(path.mine(), Ix::Var(beside));
        let count = Op::Prefix {
            table,
            rank: (toward, path.outer.0),
            groups: vec![(beside, path.inner.0)],
            guards: Vec::new(),
            count: element(all, rank, Ix::Var(toward)),
            align: 1,
        };
        let open = self.shake(format!("{}_first_ready", self.name), route, RoleKind::Open);
        let role = self.role(RoleKind::Tables, Vec::new(), vec![count]);
        self.ahead("first", route, vec![open, role])
    }

    /// Each forwarder is told whose sums it makes; those at a rank's own coordinate it makes by itself.
    fn tell_ahead(
        &mut self,
        path: &Path,
        of: (Handle<Route>, Handle<Deal>),
        turns: &Turns,
    ) -> Step {
        let outer = self.outer_of(path, of.1);
        let far = self.tell(path, turns, self.place(path, Some(turns), &outer));
        let position = Ix::Var(self.at.tuple_vars(self.route).position);
        let own = plus(position, Ix::Lit((path.outer.0 - 1) * self.most_positions()));
        let near = self.tell(path, turns, (Ix::Me, own));
        let once = Kept { once: Some(outer), ..self.near(path, of) };
        let roles = vec![self.each_tuple(once, near), self.each_tuple(self.far(path, of), far)];
        self.ahead("told", of.0, roles)
    }

    /// A number for each of some tuples.
    fn each_tuple(&self, tuples: Kept, put: Op) -> Role {
        let extent = self.at.schedule().routes[tuples.route].positions.clone();
        let var = self.at.tuple_vars(self.route).position;
        let each = Op::Each { tuples, first: false, parts: None, body: vec![put] };
        let body = vec![Op::Tokens { var, extent, body: vec![each] }];
        self.role(RoleKind::Produce, Vec::new(), body)
    }

    /// A kernel ahead of the hops.
    fn ahead(&self, what: &str, route: Handle<Route>, roles: Vec<Role>) -> Step {
        let name = format!("{}_{what}", self.name);
        self.launch(name, (route, roles), choice::beside(self.entry))
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
