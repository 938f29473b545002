//! Who writes what: the routed part of an entry's schedule, walked for every rank with the kept tuples of the
//! reference interpreter, without a back end.

use fusco_dsl::arena::Handle;
use fusco_dsl::layout;
use fusco_dsl::layout::{Local, RouteShape};
use fusco_dsl::oracle::{Inputs, Relation};
use fusco_dsl::schedule::ir::{
    Access, Deal, DealTables, Entry, Guard, Ix, IxOp, Op, PairPart, Role, RoleKind, Route,
    Schedule, Table, TableKind, Tensor, Var,
};
use fusco_dsl::sema::hir::Size;
use std::collections::{BTreeMap, BTreeSet};

/// Elements of a tensor by (rank that holds them, offset).
#[derive(Default)]
pub struct Writes {
    /// The ranks that put each element.
    pub puts: BTreeMap<(usize, usize), Vec<usize>>,
    pub fills: BTreeSet<(usize, usize)>,
}

impl Writes {
    pub fn has(&self, rank: usize, element: usize) -> bool {
        self.puts.contains_key(&(rank, element)) || self.fills.contains(&(rank, element))
    }
}

/// By tensor name. What statements without a route write is left out.
pub fn routed(
    (schedule, shape): (&Schedule, &RouteShape),
    entry: &Entry,
    inputs: &Inputs,
    relation: &Relation,
) -> BTreeMap<String, Writes> {
    let mut out = BTreeMap::new();
    for me in 0..schedule.ranks as usize {
        let vars = vec![0; schedule.vars.len()];
        let mut walk = Walk { schedule, shape, inputs, relation, me, vars, out: &mut out };
        // Alternatives of a step differ in their tuning alone.
        let kernels = entry.steps.iter().filter_map(|s| s.alternatives.last()).map(|a| &a.kernel);
        let roles = kernels.flat_map(|k| &k.roles).filter(|role| is_routed(role));
        roles.for_each(|role| walk.ops(&role.body));
    }
    out
}

/// Whether its statements need the plan.
fn is_routed(role: &Role) -> bool {
    let reads =
        |text: &String| [" via ", "count(", "offset(", "dropped("].iter().any(|w| text.contains(w));
    role.kind != RoleKind::Move || role.text.iter().any(reads)
}

struct Walk<'a> {
    schedule: &'a Schedule,
    shape: &'a RouteShape,
    inputs: &'a Inputs,
    relation: &'a Relation,
    me: usize,
    vars: Vec<i64>,
    out: &'a mut BTreeMap<String, Writes>,
}

impl Walk<'_> {
    fn ops(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Tokens { var, extent, body } => {
                for at in 0..self.value(extent) {
                    self.vars[var.index()] = at;
                    self.ops(body);
                }
            }
            Op::Peers { route, rank, body } => {
                for peer in self.schedule.routes[*route].peers_of(self.me as i64) {
                    self.vars[rank.index()] = peer;
                    self.ops(body);
                }
            }
            Op::Each { tuples, first, body, .. } => {
                let at = self.value(&tuples.position);
                let most = if *first { 1 } else { usize::MAX };
                let rank = self.value(&tuples.rank) as usize;
                let mut taken = Vec::new();
                for (choice, e, c) in self.tuples(tuples.route, rank, at) {
                    let vars = [(tuples.k, choice), (tuples.group, e), (tuples.slot, c)];
                    for (var, value) in vars {
                        self.vars[var.index()] = value;
                    }
                    let only = tuples.only.clone().map(Guard::Holds);
                    let number = tuples.once.as_ref().map(|once| self.value(once));
                    let again = number.is_some() && taken.contains(&number);
                    if taken.len() < most && !again && only.iter().all(|g| self.holds(g)) {
                        taken.push(number);
                        self.ops(body);
                    }
                }
            }
            Op::Groups { deal, var, body } => {
                for group in self.own_groups(*deal) {
                    self.vars[var.index()] = group;
                    self.ops(body);
                }
            }
            Op::Padding { deal, group, slot, until, body } => {
                for g in self.own_groups(*deal) {
                    self.vars[group.index()] = g;
                    for at in self.relation.live[g as usize]..self.value(until) {
                        self.vars[slot.index()] = at;
                        self.ops(body);
                    }
                }
            }
            Op::Once { body } => self.ops(body),
            Op::Grid { vars, guards, body, .. } => self.points(vars, guards, body),
            Op::If { guards, body } if guards.iter().all(|guard| self.holds(guard)) => {
                self.ops(body)
            }
            Op::If { .. } => {}
            Op::For { var, extent, body } => {
                for at in 0..*extent {
                    self.vars[var.index()] = at;
                    self.ops(body);
                }
            }
            Op::Put { to, .. } => self.write(to, true),
            Op::Fill { to, .. } => self.write(to, false),
            Op::FillAll { tensor, .. } => {
                let all = 0..self.schedule.tensors[*tensor].elems as usize;
                let me = self.me;
                self.of(*tensor).fills.extend(all.map(|at| (me, at)));
            }
            _ => {}
        }
    }

    fn points(&mut self, vars: &[(Handle<Var>, i64)], guards: &[Guard], body: &[Op]) {
        if let Some(((var, extent), inner)) = vars.split_first() {
            for at in 0..*extent {
                self.vars[var.index()] = at;
                self.points(inner, guards, body);
            }
        } else if guards.iter().all(|guard| self.holds(guard)) {
            self.ops(body);
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Below { value, limit } => self.value(value) < self.value(limit),
            Guard::Equal { value, to } => self.value(value) == self.value(to),
            Guard::Kept { route, tuple, first } => self.keeps(*route, tuple, *first),
            Guard::Holds(filter) => {
                filter.holds(&mut |n| Ok::<_, ()>(self.value(n))).expect("numbers")
            }
            Guard::Valid { .. } | Guard::NonZero { .. } => true,
        }
    }

    /// Group and slot of an own tuple.
    fn pair(&self, route: Handle<Route>, tuple: &Ix) -> Option<(i64, i64)> {
        let (number, fan) = (self.value(tuple), self.schedule.routes[route].fan);
        let tuples = self.tuples(route, self.me, number / fan);
        tuples.into_iter().find(|(k, ..)| *k == number % fan).map(|(_, group, slot)| (group, slot))
    }

    /// The tuple is kept; if `first`, it is the first of its position that is.
    fn keeps(&self, route: Handle<Route>, tuple: &Ix, first: bool) -> bool {
        let (number, fan) = (self.value(tuple), self.schedule.routes[route].fan);
        let tuples = self.tuples(route, self.me, number / fan);
        let least = tuples.iter().map(|(k, ..)| *k).min();
        match first {
            true => least == Some(number % fan),
            false => tuples.iter().any(|(k, ..)| *k == number % fan),
        }
    }

    fn own_groups(&self, deal: Handle<Deal>) -> Vec<i64> {
        let member =
            self.schedule.routes[self.schedule.deals[deal].route].member_of(self.me as i64);
        self.known(&self.schedule.deals[deal]).groups_of(member).expect("known")
    }

    /// How groups are dealt by these inputs.
    fn known(&self, deal: &Deal) -> layout::Deal {
        let Some(read) = &deal.read else { return deal.groups.clone() };
        let owners = &self.inputs.tensors[&self.schedule.tensors[read.tensor].name];
        deal.groups.with((0..owners.len()).map(|i| owners.get_i64(i)).collect())
    }

    /// An entry of a table that a plan makes of the owners that it reads.
    fn planned(&self, table: Handle<Table>, group: i64) -> i64 {
        let read =
            |(_, d): (_, &Deal)| Some((self.known(d), d.tables?, d.read.as_ref()?.positions));
        let of = |(_, t, p): &(_, DealTables, _)| table == t.owners || table == *p;
        let found = self.schedule.deals.iter().filter_map(read).find(of);
        let (deal, tables, _) = found.expect("no address reads another table of a plan");
        let owner = deal.owner(group);
        if table == tables.owners {
            return owner.expect("known");
        }
        (0..group).filter(|g| deal.owner(*g) == owner).count() as i64
    }

    /// Kept tuples of a position of a rank: choice, group, slot.
    fn tuples(&self, route: Handle<Route>, rank: usize, position: i64) -> Vec<(i64, i64, i64)> {
        let member = self.schedule.routes[route].member_of(rank as i64);
        let own = |t: &&[i64]| {
            let (m, p, _) = self.numbers(t);
            (m, p) == (member, position)
        };
        let tuple = |t: &[i64]| (self.numbers(t).2, t[t.len() - 2], t[t.len() - 1]);
        self.relation.tuples.iter().filter(own).map(tuple).collect()
    }

    /// The rank of a tuple among those that plan together, its position there and its choice.
    fn numbers(&self, tuple: &[i64]) -> (i64, i64, i64) {
        let shape = self.shape;
        let (mut member, mut locals) = (0, Vec::new());
        for (source, value) in shape.sources.iter().zip(tuple) {
            // Digits that are no rank, major to minor, make the number on the rank.
            let (mut local, mut rest, mut before) = (0, *value, 0);
            for digit in &source.ranks {
                let whole = digit.weight * digit.radix;
                local = local * (before / whole) + rest / whole;
                member += rest % whole / digit.weight * (digit.ranks / shape.stride);
                (rest, before) = (rest % digit.weight, digit.weight);
            }
            locals.push(local * before.max(1) + rest);
        }
        let position = shape.positions.iter().fold(0, |number, k| {
            let extent = match &shape.sources[*k].local {
                Local::Each(counts) => counts[member as usize],
                Local::Size(Size::Dyn { of, index }) => {
                    let name = &self.schedule.dyns.iter().nth(of.index()).expect("declared").1.name;
                    let at = match index[..] {
                        [Size::Coord(source)] => tuple[source],
                        _ => 0,
                    };
                    self.dynamic(name, at as usize)
                }
                Local::Size(_) => shape.sources[*k].bound,
            };
            number * extent + locals[*k]
        });
        (member, position, shape.choice.map_or(0, |k| locals[k]))
    }

    fn of(&mut self, tensor: Handle<Tensor>) -> &mut Writes {
        self.out.entry(self.schedule.tensors[tensor].name.clone()).or_default()
    }

    fn write(&mut self, to: &Access, put: bool) {
        let (rank, first) = (self.value(&to.rank) as usize, self.value(&to.row) * to.unit);
        let me = self.me;
        assert!(first >= 0 && first + to.run <= self.schedule.tensors[to.tensor].elems);
        for at in first as usize..(first + to.run) as usize {
            let writes = self.of(to.tensor);
            match put {
                true => writes.puts.entry((rank, at)).or_default().push(me),
                false => _ = writes.fills.insert((rank, at)),
            }
        }
    }

    fn value(&self, ix: &Ix) -> i64 {
        match ix {
            Ix::Lit(v) => *v,
            Ix::Me => self.me as i64,
            Ix::Var(v) => self.vars[v.index()],
            Ix::Dyn(d) => self.dynamic(&self.schedule.dyns[*d].name, self.me),
            Ix::DynAt { of, rank } => {
                self.dynamic(&self.schedule.dyns[*of].name, self.value(rank) as usize)
            }
            Ix::Base { base, group } => {
                let info = &self.schedule.bases[*base];
                let deal = self.known(&self.schedule.deals[info.deal]);
                let group = self.value(group);
                let earlier = (0..group).filter(|g| deal.owner(*g) == deal.owner(group));
                let rows = earlier.map(|g| self.relation.live[g as usize]);
                rows.map(|n| (n + info.align - 1) / info.align * info.align).sum()
            }
            Ix::Live { group, .. } => self.relation.live[self.value(group) as usize],
            Ix::Dropped(route) => {
                let member = self.schedule.routes[*route].member_of(self.me as i64);
                self.relation.dropped.get(member as usize).copied().unwrap_or(0)
            }
            Ix::Pair { route, tuple, part } => {
                let (group, slot) = self.pair(*route, tuple).expect("a guard keeps the tuple");
                if *part == PairPart::Group { group } else { slot }
            }
            Ix::Binary { op, lhs, rhs } => {
                let (a, b) = (self.value(lhs), self.value(rhs));
                match op {
                    IxOp::Add => a + b,
                    IxOp::Sub => a - b,
                    IxOp::Mul => a * b,
                    IxOp::Div => a.div_euclid(b),
                    IxOp::Rem => a.rem_euclid(b),
                }
            }
            Ix::Lookup { table, index } => match &self.schedule.tables[*table].kind {
                TableKind::Const(values) => values[self.value(index) as usize],
                TableKind::Planned(_) => self.planned(*table, self.value(index)),
                TableKind::Computed => panic!("no address of a route reads a computed table"),
            },
            Ix::Element { .. } => panic!("no address of a route reads an element"),
        }
    }

    fn dynamic(&self, name: &str, rank: usize) -> i64 {
        let values = &self.inputs.dyns[name];
        values.get(rank).or(values.first()).copied().unwrap_or(0)
    }
}
