//! The schedule as text (`--stage schedule`).

use super::ir::*;
use crate::arena::Handle;
use crate::sema::hir::Filter;
use std::fmt::Write;

pub fn print(schedule: &Schedule) -> String {
    let mut p = Printer { schedule, out: String::new() };
    p.header();
    for entry in &schedule.entries {
        p.entry(entry);
    }
    p.out
}

/// Some ops, so far indented.
pub(crate) fn print_ops(schedule: &Schedule, ops: &[Op], indent: usize) -> String {
    let mut p = Printer { schedule, out: String::new() };
    ops.iter().for_each(|op| p.op(op, indent));
    p.out
}

struct Printer<'a> {
    schedule: &'a Schedule,
    out: String,
}

impl Printer<'_> {
    fn header(&mut self) {
        let s = self.schedule;
        _ = writeln!(self.out, "schedule {}  ranks {}", s.program, s.ranks);
        for (_, r) in s.routes.iter() {
            _ = writeln!(
                self.out,
                "route {}: {} positions (<= {}) x {} -> {} groups, slots by ({}), {} bins",
                r.name,
                self.ix(&r.positions),
                r.positions_bound,
                r.fan,
                r.groups,
                r.order.keys.join(", "),
                r.bins()
            );
        }
        for (_, deal) in s.deals.iter() {
            let name = deal_name(s, deal);
            let owners = deal.read.as_ref().map(|read| format!(" from {}", self.ix(&read.owner)));
            let owners = owners.unwrap_or_default();
            _ = writeln!(self.out, "groups of {name}: {}{owners}", deal.groups);
        }
        for (_, signal) in s.signals.iter() {
            _ = writeln!(self.out, "signal {}[{}] {:?}", signal.name, signal.slots, signal.kind);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let tensors: Vec<&str> =
            entry.tensors.iter().map(|t| self.schedule.tensors[*t].name.as_str()).collect();
        _ = writeln!(self.out, "\nentry {}({})", entry.name, tensors.join(", "));
        for own in &entry.temporaries {
            let Tensor { name, elem, elems, .. } = &self.schedule.tensors[*own];
            _ = writeln!(self.out, "  tmp {name}: {elems} x {}", elem.name());
        }
        for step in &entry.steps {
            let same = step.alternatives.len() > 1;
            for alternative in &step.alternatives {
                let when = alternative
                    .when
                    .as_ref()
                    .map_or(String::new(), |w| format!(" when {}", self.when(w)));
                let kernel = &alternative.kernel;
                let asked = asked(&kernel.tuning);
                _ = writeln!(self.out, "  kernel {}{when}{asked}", kernel.name);
                let last = step.alternatives.last().map(|a| &a.kernel.roles);
                if same && alternative.when.is_some() && last == Some(&kernel.roles) {
                    _ = writeln!(self.out, "    (roles as below)");
                    continue;
                }
                for role in &kernel.roles {
                    self.role(role);
                }
                let other = |r: &&Role| !kernel.roles.contains(r);
                if let Some(fetched) = &kernel.fetched {
                    _ = writeln!(self.out, "   or, to fetch rows:");
                    fetched.iter().filter(other).for_each(|role| self.role(role));
                }
            }
        }
    }

    fn role(&mut self, role: &Role) {
        _ = writeln!(
            self.out,
            "    role {}  {}",
            format!("{:?}", role.kind).to_lowercase(),
            role.text.join("  ")
        );
        for op in &role.body {
            self.op(op, 6);
        }
    }

    fn op(&mut self, op: &Op, indent: usize) {
        let text = self.line(op);
        _ = writeln!(self.out, "{:indent$}{text}", "");
        for inner in op.body() {
            self.op(inner, indent + 2);
        }
    }

    fn line(&self, op: &Op) -> String {
        let route = |r: &Handle<Route>| self.schedule.routes[*r].name.clone();
        let var = |v: &Handle<Var>| self.schedule.vars[*v].name.clone();
        let signal = |s: &Handle<Signal>| self.schedule.signals[*s].name.clone();
        match op {
            Op::Tokens { var: v, extent, .. } => {
                format!("for {} in 0..{} by warp", var(v), self.ix(extent))
            }
            Op::Peers { route: r, rank, .. } => {
                format!("for {} in ranks that plan {}", var(rank), route(r))
            }
            Op::Each { tuples, first, parts, .. } => {
                let first = if *first { "first " } else { "" };
                format!("for {first}{}{}", self.kept(tuples), self.parts(parts.as_ref()))
            }
            Op::Groups { deal, var: v, .. } => {
                let deal = deal_name(self.schedule, &self.schedule.deals[*deal]);
                format!("for {} in own groups of {deal}", var(v))
            }
            Op::Padding { deal, group, slot, until, .. } => {
                format!(
                    "for {} in own groups of {}, {} in live..{}",
                    var(group),
                    deal_name(self.schedule, &self.schedule.deals[*deal]),
                    var(slot),
                    self.ix(until)
                )
            }
            Op::Once { .. } => "once".to_string(),
            Op::Count { route: r } => format!("count {} -> hist[cta]", route(r)),
            Op::Scan { route: r } => format!(
                "scan hist of {} over ctas; put totals -> counts[me] of every rank",
                route(r)
            ),
            Op::Tables { route: r } => format!("scan counts of {} -> live, bases", route(r)),
            Op::Slots { route: r } => format!("route {} -> pairs", route(r)),
            Op::Load { row, from } => format!("r{} = load {}", row.0, self.access(from)),
            Op::Pull { row, from } => format!("r{} = pull {}", row.0, self.access(from)),
            Op::Put { value, to } => format!("put {} -> {}", self.value(value), self.access(to)),
            Op::Fill { to, bits } => format!("fill {bits:#x} -> {}", self.access(to)),
            Op::Reduce { factors, .. } => format!("reduce acc += {}", self.product(factors)),
            Op::Summed { .. } => "if there was one".to_string(),
            Op::If { guards, .. } => format!("if{}", self.guards(guards)),
            Op::Grid { vars, share, guards, .. } => {
                format!("grid {}{}{}", self.extents(vars), self.share(share), self.guards(guards))
            }
            Op::Tile(tile) => self.tile(tile),
            Op::For { var: v, extent, .. } => format!("for {} in 0..{extent}", var(v)),
            Op::FillAll { tensor, bits } => {
                format!("fill all {} with {bits:#x}", self.schedule.tensors[*tensor].name)
            }
            Op::Prefix { table, rank, groups, guards, count, align } => format!(
                "prefix {}[{} {}] of {} rounded to {align}{}",
                self.schedule.tables[*table].name,
                self.extents(std::slice::from_ref(rank)),
                self.extents(groups),
                self.ix(count),
                self.guards(guards)
            ),
            Op::Positions { table, var: v, extent, owner } => format!(
                "positions {}[{} < {extent}] among those of owner {}",
                self.schedule.tables[*table].name,
                var(v),
                self.ix(owner)
            ),
            Op::Claim(claims) => self.claims("claim", claims),
            Op::Distinct(claims) => self.claims("distinct", claims),
            Op::Barrier => "barrier".to_string(),
            Op::Reset { signal: s } => format!("reset {}", signal(s)),
            Op::Signal { signal: s, to, slot } => match to {
                Peer::All => format!("signal {}[{}] of every rank", signal(s), self.ix(slot)),
                Peer::Rank(rank) => {
                    format!("signal {}[{}] @ {}", signal(s), self.ix(slot), self.ix(rank))
                }
            },
            Op::Wait { signal: s, until } => match until {
                Until::Epoch => format!("wait {} == epoch from every rank", signal(s)),
                Until::Groups { .. } => format!("wait {} == live rows of own groups", signal(s)),
                Until::Rows { extent } => format!("wait {} == {} rows", signal(s), self.ix(extent)),
            },
        }
    }

    fn kept(&self, tuples: &Kept) -> String {
        let var = |v: Handle<Var>| &self.schedule.vars[v].name;
        let mut out = format!(
            "{} ascending, kept ({}, {}) of {}[{}]",
            var(tuples.k),
            var(tuples.group),
            var(tuples.slot),
            self.schedule.routes[tuples.route].name,
            self.ix(&tuples.position)
        );
        if tuples.rank != Ix::Me {
            out += &format!(" @ {}", self.ix(&tuples.rank));
        }
        if let Some(only) = &tuples.only {
            out += &format!(" where {}", self.filter(only));
        }
        if let Some(once) = &tuples.once {
            out += &format!(" once for each {}", self.ix(once));
        }
        out
    }

    fn access(&self, a: &Access) -> String {
        let name = &self.schedule.tensors[a.tensor].name;
        let run = if a.unit == a.run { String::new() } else { format!(" run {}", a.run) };
        format!("{name}[{} *{}{run}] @ {} v{}", self.ix(&a.row), a.unit, self.ix(&a.rank), a.vector)
    }

    fn extents(&self, vars: &[(Handle<Var>, i64)]) -> String {
        let one = |(v, n): &(Handle<Var>, i64)| format!("{}<{n}", self.schedule.vars[*v].name);
        vars.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn share(&self, share: &Option<Share>) -> String {
        share
            .as_ref()
            .map_or(String::new(), |s| format!(" part {} of {}", self.ix(&s.index), s.count))
    }

    fn claims(&self, word: &str, claims: &Claims) -> String {
        format!(
            "{word} {}[{}] by {}{}",
            self.schedule.tables[claims.table].name,
            self.ix(&claims.value),
            self.extents(std::slice::from_ref(&claims.var)),
            self.guards(&claims.guards)
        )
    }

    fn guards(&self, guards: &[Guard]) -> String {
        let one = |g: &Guard| match g {
            Guard::Below { value, limit } => format!("{} < {}", self.ix(value), self.ix(limit)),
            Guard::Equal { value, to } => format!("{} == {}", self.ix(value), self.ix(to)),
            Guard::Valid { value, limit, .. } => format!("{} in 0..{limit}", self.ix(value)),
            Guard::NonZero { value } => format!("{} != 0", self.ix(value)),
            Guard::Kept { route, tuple, first } => {
                let word = if *first { "first kept" } else { "kept" };
                format!("{word} {}[{}]", self.schedule.routes[*route].name, self.ix(tuple))
            }
            Guard::Holds(filter) => self.filter(filter),
        };
        let all: Vec<String> = guards.iter().map(one).collect();
        if all.is_empty() { String::new() } else { format!(" where {}", all.join(", ")) }
    }

    fn filter(&self, filter: &Filter<Ix>) -> String {
        match filter {
            Filter::Compare { op, lhs, rhs } => {
                format!("{} {} {}", self.ix(lhs), op.symbol(), self.ix(rhs))
            }
            Filter::And(a, b) => format!("({} && {})", self.filter(a), self.filter(b)),
            Filter::Or(a, b) => format!("({} || {})", self.filter(a), self.filter(b)),
        }
    }

    fn tile(&self, t: &Tile) -> String {
        let copies = t
            .copies
            .as_ref()
            .map_or(String::new(), |c| format!(" for {}", self.extents(std::slice::from_ref(c))));
        let cast = t.cast.map_or(String::new(), |e| format!(" as {}", e.name()));
        format!(
            "tile {}{}{}: {} along {} -> {} along {}{cast}{copies}",
            self.extents(&t.vars),
            self.share(&t.share),
            self.guards(&t.guards),
            self.access(&t.from),
            self.extents(std::slice::from_ref(&t.along_source)),
            self.access(&t.to),
            self.extents(std::slice::from_ref(&t.along_target)),
        )
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Row(row) => format!("r{}", row.0),
            Value::Cast(row, elem) => format!("{}(r{})", elem.name(), row.0),
            Value::Scaled { factors, to } => format!("{}({})", to.name(), self.product(factors)),
            Value::Int(ix) => self.ix(ix),
            Value::Sum { value, to } => format!("{}({})", to.name(), self.tree(value)),
        }
    }

    fn tree(&self, value: &Tree) -> String {
        match value {
            Tree::Sum => "acc".to_string(),
            Tree::Row(access) | Tree::Scalar(access) => self.access(access),
            Tree::Lit(v, _) => format!("{v:?}"),
            Tree::Cast(to, inner) => format!("{}({})", to.name(), self.tree(inner)),
            Tree::Fold(fold) => format!(
                "{}({}{}{}{}: {})",
                fold.by.name(),
                self.extents(&fold.vars),
                fold.tuples.as_ref().map_or(String::new(), |t| format!(", {}", self.kept(t))),
                self.parts(fold.parts.as_ref()),
                self.guards(&fold.guards),
                self.tree(&fold.term)
            ),
            Tree::Binary { op, lhs, rhs } => {
                format!("({} {} {})", self.tree(lhs), op.symbol(), self.tree(rhs))
            }
        }
    }

    fn parts(&self, parts: Option<&Parts>) -> String {
        parts.map_or(String::new(), |p| {
            format!(" in parts {} of {} as {}", self.ix(&p.of), p.count, p.partial.name())
        })
    }

    fn product(&self, factors: &[Factor]) -> String {
        factors.iter().map(|f| self.factor(f)).collect::<Vec<_>>().join(" * ")
    }

    fn factor(&self, factor: &Factor) -> String {
        match factor {
            Factor::Row(row) => format!("r{}", row.0),
            Factor::Scalar(access) => self.access(access),
            Factor::Lit(v) => format!("{v:?}"),
        }
    }

    fn when(&self, when: &When) -> String {
        match when {
            When::Compare { op, lhs, rhs } => {
                format!("{} {} {}", self.ix(lhs), op.symbol(), self.ix(rhs))
            }
            When::And(a, b) => format!("({} && {})", self.when(a), self.when(b)),
            When::Or(a, b) => format!("({} || {})", self.when(a), self.when(b)),
        }
    }

    fn ix(&self, ix: &Ix) -> String {
        match ix {
            Ix::DynAt { of, rank } => {
                format!("{}[{}]", self.schedule.dyns[*of].name, self.ix(rank))
            }
            Ix::Element { tensor, rank, at } => format!(
                "{}[{} @ {}]",
                self.schedule.tensors[*tensor].name,
                self.ix(at),
                self.ix(rank)
            ),
            Ix::Lookup { table, index } => {
                format!("{}[{}]", self.schedule.tables[*table].name, self.ix(index))
            }
            Ix::Lit(v) => v.to_string(),
            Ix::Me => "me".to_string(),
            Ix::Var(v) => self.schedule.vars[*v].name.clone(),
            Ix::Dyn(d) => self.schedule.dyns[*d].name.clone(),
            Ix::Base { base, group } => {
                format!("{}[{}]", self.schedule.bases[*base].name, self.ix(group))
            }
            Ix::Live { group, .. } => format!("live[{}]", self.ix(group)),
            Ix::Dropped(_) => "dropped".to_string(),
            Ix::Pair { route, tuple, part } => {
                let part = match part {
                    PairPart::Group => "group",
                    PairPart::Slot => "slot",
                };
                format!("{part} {}[{}]", self.schedule.routes[*route].name, self.ix(tuple))
            }
            Ix::Binary { op, lhs, rhs } => {
                format!("({} {} {})", self.ix(lhs), op.symbol(), self.ix(rhs))
            }
        }
    }
}

/// What the program asks of a kernel.
fn asked(tuning: &Tuning) -> String {
    let numbers = [
        ("chunk", tuning.chunk),
        ("stages", tuning.stages.map(|a| a.number)),
        ("blocks", tuning.blocks.map(|a| a.number)),
    ];
    let said = numbers.into_iter().filter_map(|(word, n)| Some(format!("  {word} {}", n?)));
    said.collect()
}

/// `r`, or `r (2)` where groups of the route are dealt in several ways.
fn deal_name(schedule: &Schedule, deal: &Deal) -> String {
    let route = &schedule.routes[deal.route].name;
    match deal.number {
        1 => route.clone(),
        n => format!("{route} ({n})"),
    }
}
