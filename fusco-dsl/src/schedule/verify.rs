//! The only way to make a `Verified<Schedule>`: the concurrency obligations of a schedule.
//!
//! Decided on the one rank template that all ranks run, so a property of the text holds for every
//! number of ranks. Numbers refer to `language.md` 5.5.
//!
//! (1) every write that may land on a peer is followed, in the same body, by a signal to that peer, or
//!     later by a barrier of the rank and a signal to every rank; peers reach `remote` tensors only;
//! (2) every pull is dominated by a handshake, every kernel that reads a plan by its making (a peer's by a handshake
//!     after it), and every
//!     lookup of a computed table by an earlier kernel that computes it;
//! (3) each counter's produced amount equals its awaited amount, per launch, or is the one that a consumer
//!     is told to expect;
//! (4) a counter is reset only before a handshake, and written only after that one; a pulled buffer is
//!     released by a barrier and a second handshake at the end; a fill of a whole buffer comes before a handshake that
//!     comes before any other write to it;
//! (5) every signal belongs to one entry;
//! (6) inside a kernel each signal comes before the wait that needs it;
//! (7) a `tmp` is read behind a handshake that follows its writes, on one rank in a later kernel than those:
//!     all but what a rank reads of its own memory, of one that no peer has written. What is filled is written, too.

use super::ir::*;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::sema::hir::{CmpOp, Filter, Io, Reducer};
use crate::source::Span;
use crate::verified::{Verified, Verify};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Checks every entry.
///
/// # Errors
/// F0790 with the obligation that fails: a defect of the lowering, never of the program.
pub fn verify(schedule: Schedule) -> Result<Verified<Schedule>, Diagnostics> {
    Verified::new(schedule)
}

impl Verify for Schedule {
    type Error = Diagnostics;

    fn verify(&self) -> Result<(), Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let mut found = obligations(self, |_, kernel| Launch::of(&kernel.roles));
        let other = obligations(self, |_, kernel| {
            Launch::of(kernel.fetched.as_ref().unwrap_or(&kernel.roles))
        });
        // What is wrong in both ways is said once.
        let more: Vec<_> = other.into_iter().filter(|problem| !found.contains(problem)).collect();
        found.extend(more);
        for (entry, problem) in found {
            let entry = &self.entries[entry];
            diagnostics.push(defect(entry.span, &entry.name, &problem.to_string()));
        }
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
    }
}

/// One kernel as it runs.
pub(crate) struct Launch<'a> {
    pub roles: Vec<(RoleKind, &'a [Op])>,
    pub between: Between<'a>,
}

impl Launch<'_> {
    fn of(roles: &[Role]) -> Launch<'_> {
        let roles = roles.iter().map(|r| (r.kind, &r.body[..])).collect();
        Launch { roles, between: Between::Handshakes }
    }
}

/// What makes sure that peers are ready for a launch, and have seen what it did.
#[derive(Clone, Copy)]
pub(crate) enum Between<'a> {
    /// Handshakes of the kernel and of those before it.
    Handshakes,
    /// Its own handshakes alone: the launches before were of all ranks.
    OwnHandshakes,
    /// The launch itself, which all ranks share and before which these counters are zeroed.
    Launch(&'a [Handle<Signal>]),
}

/// An obligation that does not hold, by its number where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub obligation: Option<u8>,
    pub what: String,
}

impl Problem {
    fn new(text: &str) -> Problem {
        let number = text.strip_prefix('(').and_then(|rest| rest.split_once(") "));
        match number.and_then(|(n, what)| Some((n.parse().ok()?, what))) {
            Some((number, what)) => Problem { obligation: Some(number), what: what.to_string() },
            None => Problem { obligation: None, what: text.to_string() },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.obligation {
            write!(f, "({number}) ")?;
        }
        f.write_str(&self.what)
    }
}

/// What does not hold of the launches that the kernels become, with the number of the entry.
pub(crate) fn obligations<'a>(
    schedule: &'a Schedule,
    launch: impl Fn(usize, &'a Kernel) -> Launch<'a>,
) -> Vec<(usize, Problem)> {
    let mut out = Vec::new();
    let mut owners: BTreeMap<Handle<Signal>, usize> = BTreeMap::new();
    for (number, entry) in schedule.entries.iter().enumerate() {
        for alternatives in alternatives_of(entry) {
            let mut checker = Checker::new(schedule, entry);
            for kernel in &alternatives {
                checker.kernel(&launch(number, kernel));
            }
            checker.end();
            let used =
                checker.counts.iter().filter(|(_, c)| c.is_used()).map(|(signal, _)| *signal);
            for signal in used.collect::<Vec<_>>() {
                if owners.insert(signal, number).is_some_and(|other| other != number) {
                    checker.problems.push(format!(
                        "(5) signal `{}` is used by two entries",
                        schedule.signals[signal].name
                    ));
                }
            }
            out.extend(checker.problems.iter().map(|text| (number, Problem::new(text))));
        }
    }
    out
}

fn defect(span: Span, entry: &str, problem: &str) -> Diagnostic {
    Diagnostic::error("F0790", span, format!("the schedule of `{entry}` is not safe: {problem}"))
        .help("this is a defect of fusco, not of the program: please report it")
}

/// Every sequence of kernels a launch can take: first alternatives, second alternatives, ..
fn alternatives_of(entry: &Entry) -> Vec<Vec<&Kernel>> {
    let most = entry.steps.iter().map(|s| s.alternatives.len()).max().unwrap_or(0);
    (0..most)
        .map(|i| {
            entry
                .steps
                .iter()
                .filter_map(|s| s.alternatives.get(i).or(s.alternatives.last()))
                .map(|a| &a.kernel)
                .collect()
        })
        .collect()
}

/// What one launch adds to a counter array, and what it waits for.
#[derive(Default)]
struct Counts {
    produced: Vec<Amount>,
    awaited: Vec<Amount>,
    resets: u32,
    /// A launch of all ranks ends before anyone reads them.
    ended: bool,
}

impl Counts {
    fn is_used(&self) -> bool {
        !self.produced.is_empty() || !self.awaited.is_empty()
    }
}

/// A symbolic total over all ranks' signals to one rank.
#[derive(Clone, Debug, PartialEq)]
enum Amount {
    /// One from each rank (times CTAs if the signal is per CTA).
    EachRank,
    /// One for each kept tuple that lands here, at its tile.
    Tuples {
        base: Handle<Base>,
    },
    /// The same, all of them by this rank.
    OwnTuples {
        base: Handle<Base>,
    },
    /// One for each own position, at its tile.
    Positions(Ix),
    Other,
}

struct Checker<'a> {
    schedule: &'a Schedule,
    entry: &'a Entry,
    problems: Vec<String>,
    counts: BTreeMap<Handle<Signal>, Counts>,
    /// A handshake of this entry has completed.
    met: bool,
    /// Routes whose plan is taken, or has been made.
    planned: BTreeSet<Handle<Route>>,
    /// Those whose tuples this kernel counts, until all CTAs have.
    counting: BTreeSet<Handle<Route>>,
    /// Those whose plan every rank is known to have made.
    shared: BTreeSet<Handle<Route>>,
    /// Tensors pulled from peers since the last handshake, and whether all CTAs are known to have done theirs.
    pulled: bool,
    barrier_since_pull: bool,
    barrier_since_reset: bool,
    /// Counters that are reset since the last handshake began, and those that it will have told peers of.
    resets: BTreeSet<Handle<Signal>>,
    told: BTreeSet<Handle<Signal>>,
    /// Remote writes that no signal covers yet, and whether all CTAs are known to have done theirs.
    unreleased: bool,
    barrier_since_write: bool,
    /// Tables computed by earlier kernels, and by this one.
    tables: BTreeSet<Handle<Table>>,
    computed: BTreeSet<Handle<Table>>,
    /// Tensors filled in this kernel, and those written at all.
    filled: BTreeSet<Handle<Tensor>>,
    written: BTreeSet<Handle<Tensor>>,
    temporaries: Temporaries,
}

/// How far what was written to each `tmp` is known to have landed.
#[derive(Default)]
struct Temporaries {
    /// Written in this kernel.
    own: BTreeSet<Handle<Tensor>>,
    /// Not yet told of by a handshake, told of by one that is under way, and behind it.
    written: BTreeSet<Handle<Tensor>>,
    told: BTreeSet<Handle<Tensor>>,
    landed: BTreeSet<Handle<Tensor>>,
    /// Written by a peer.
    reached: BTreeSet<Handle<Tensor>>,
}

impl Temporaries {
    /// Of this rank's `own` memory, or of any.
    fn may_be_read(&self, tensor: Handle<Tensor>, own: bool) -> bool {
        let earlier = self.has(tensor) && !self.own.contains(&tensor);
        let kept = own && earlier && !self.reached.contains(&tensor);
        kept || self.landed.contains(&tensor)
    }

    /// An earlier kernel has written it.
    fn has(&self, tensor: Handle<Tensor>) -> bool {
        self.written.contains(&tensor) || self.told.contains(&tensor)
    }
}

/// The loops around an op.
#[derive(Clone, Default)]
struct Scope<'a> {
    once: bool,
    tokens: Option<(&'a Ix, Handle<Var>)>,
    tuples: Option<&'a Kept>,
    moving: bool,
    conditional: bool,
}

impl<'a> Checker<'a> {
    fn new(schedule: &'a Schedule, entry: &'a Entry) -> Self {
        Checker {
            schedule,
            entry,
            problems: Vec::new(),
            counts: BTreeMap::new(),
            met: false,
            planned: entry.takes.iter().copied().collect(),
            counting: BTreeSet::new(),
            shared: BTreeSet::new(),
            pulled: false,
            barrier_since_pull: false,
            barrier_since_reset: false,
            resets: BTreeSet::new(),
            told: BTreeSet::new(),
            unreleased: false,
            barrier_since_write: false,
            tables: BTreeSet::new(),
            computed: BTreeSet::new(),
            filled: BTreeSet::new(),
            written: BTreeSet::new(),
            temporaries: Temporaries::default(),
        }
    }

    fn kernel(&mut self, launch: &Launch<'a>) {
        match launch.between {
            Between::Handshakes => {}
            Between::OwnHandshakes => self.met = false,
            Between::Launch(zeroed) => {
                for signal in zeroed {
                    self.counts.entry(*signal).or_default().resets += 1;
                }
                self.met = true;
                self.shared.extend(&self.planned);
            }
        }
        for (_, body) in &launch.roles {
            self.body(body, &Scope::default());
        }
        let ops = launch.roles.iter().flat_map(|(_, body)| body.iter());
        self.planned.extend(ops.filter_map(|op| match op {
            Op::Slots { route } => Some(*route),
            _ => None,
        }));
        if let Between::Launch(_) = launch.between {
            (self.unreleased, self.pulled) = (false, false);
            self.counts.values_mut().for_each(|c| c.ended = true);
        }
        let Temporaries { own, written, landed, .. } = &mut self.temporaries;
        own.clear();
        if self.schedule.ranks == 1 || matches!(launch.between, Between::Launch(_)) {
            landed.append(written);
        }
        // The next kernel of a rank starts when all CTAs of this one have ended.
        self.barrier_since_pull = true;
        self.tables.append(&mut self.computed);
        self.filled.clear();
    }

    fn body(&mut self, body: &'a [Op], scope: &Scope<'a>) {
        for (i, op) in body.iter().enumerate() {
            self.op(op, scope);
            self.indices(op);
            // What is written under a condition is told of without it.
            let written = match op {
                Op::If { body, .. } => &body[..],
                _ if scope.conditional => &[],
                op => std::slice::from_ref(op),
            };
            let signals = |rank: &Ix| {
                body[i + 1..].iter().any(
                    |later| matches!(later, Op::Signal { to: Peer::Rank(to), .. } if to == rank),
                )
            };
            let tells = body.iter().any(|op| matches!(op, Op::Signal { to: Peer::Rank(_), .. }));
            for op in written {
                if let Op::Put { to, .. } | Op::Fill { to, .. } = op
                    && to.rank != Ix::Me
                    && !scope.moving
                    && !signals(&to.rank)
                {
                    if tells {
                        self.problem("(1) a remote write is not followed by a signal to its rank");
                    }
                    self.unreleased = true;
                    self.barrier_since_write = false;
                }
            }
            let inner = self.enter(op, scope);
            self.body(op.body(), &inner);
        }
    }

    fn enter(&mut self, op: &'a Op, scope: &Scope<'a>) -> Scope<'a> {
        let mut inner = scope.clone();
        match op {
            Op::Once { .. } => inner.once = true,
            Op::Tokens { var, extent, .. } => inner.tokens = Some((extent, *var)),
            Op::Each { tuples, .. } => inner.tuples = Some(tuples),
            Op::Grid { .. } => inner.moving = true,
            Op::If { .. } => inner.conditional = true,
            _ => {}
        }
        inner
    }

    fn op(&mut self, op: &'a Op, scope: &Scope<'a>) {
        let is_tmp = |t: &Handle<Tensor>| self.schedule.tensors[*t].io == Io::Tmp;
        let read = Vec::from_iter(op.reads().into_iter().filter(|(t, _)| is_tmp(t)));
        if read.iter().any(|(t, own)| !self.temporaries.may_be_read(*t, *own)) {
            self.problem("(7) a `tmp` is read before what was written to it has landed");
        }
        if read.iter().any(|(t, _)| !self.written.contains(t)) {
            self.problem("(7) a `tmp` is read that has nothing but its fill");
        }
        if let Op::Put { value: Value::Sum { value, .. }, .. } = op {
            if scope.moving && *value != Tree::Sum && value.reads_sum() {
                self.problem("arithmetic on a sum that no route gathers");
            }
            let unsound =
                |f: &&Fold| f.parts.as_ref().is_some_and(|p| f.by != Reducer::Sum || !p.is_sound());
            if value.folds().iter().any(unsound) {
                self.problem("parts of what is not added up");
            }
            for tuples in value.folds().iter().filter_map(|f| f.tuples.as_ref()) {
                self.reads_plan(tuples.route);
                if !tuples.is_plain() {
                    self.problem("arithmetic on some tuples of a position");
                }
            }
            if value.reads().iter().any(|(access, _)| access.rank != Ix::Me) {
                self.pull();
                if !self.met {
                    self.problem(
                        "(2) a remote operand is read before its owner is known to be ready",
                    );
                }
            }
        }
        match op {
            Op::Each { tuples, first, parts, body } => {
                self.reads_plan(tuples.route);
                if tuples.rank != Ix::Me {
                    self.pull();
                    if !self.shared.contains(&tuples.route) {
                        self.problem("(2) a peer's plan is read before it is known to be made");
                    }
                }
                let adds = body.iter().any(|op| matches!(op, Op::Reduce { .. }));
                if parts.as_ref().is_some_and(|p| *first || !adds || !p.is_sound()) {
                    self.problem("parts of what is not added up");
                }
            }
            Op::Groups { deal, .. } | Op::Padding { deal, .. } => {
                self.reads_plan(self.schedule.deals[*deal].route);
            }
            Op::Reduce { .. } if op.accesses().iter().any(|a| a.rank != Ix::Me) => {
                self.pull();
                if !self.met {
                    self.problem(
                        "(2) a remote factor is read before its owner is known to be ready",
                    );
                }
            }
            Op::Pull { from, .. } if from.rank != Ix::Me => {
                self.pull();
                if !self.met {
                    self.problem("(2) a remote row is read before its owner is known to be ready");
                }
            }
            Op::Put { to, .. } | Op::Fill { to, .. } if to.rank != Ix::Me && !self.met => {
                self.problem("(4) a remote row is written before its owner is known to be ready")
            }
            Op::Load { from, .. } if from.rank != Ix::Me => {
                self.problem("(2) a load names another rank")
            }
            // A literal that moves is stored as any other value.
            Op::Fill { to, .. } if to.rank != Ix::Me && !scope.moving => {
                self.problem("(1) a fill names another rank")
            }
            Op::Tables { .. } | Op::Slots { .. } if !self.met => {
                self.problem("(2) counts of peers are read before they have arrived")
            }
            Op::Count { route } => _ = self.counting.insert(*route),
            Op::Scan { route } if self.counting.contains(route) => {
                self.problem("(2) tuples are scanned before all CTAs have counted theirs");
            }
            Op::Barrier => {
                self.counting.clear();
                self.barrier_since_reset = true;
                self.barrier_since_write = true;
                self.barrier_since_pull = true;
            }
            Op::Tile(tile) => self.tile(tile),
            Op::FillAll { tensor, .. } => {
                if self.written.contains(tensor) {
                    self.problem("(4) a buffer is filled after it has been written");
                }
                self.filled.insert(*tensor);
                self.met = false;
                self.temporary(*tensor);
            }
            Op::Prefix { table, .. } | Op::Positions { table, .. } => {
                self.computed.insert(*table);
            }
            Op::Claim(claims) => {
                self.computed.insert(claims.table);
            }
            Op::Distinct(claims) if !self.tables.contains(&claims.table) => {
                self.problem("(2) claims are compared before an earlier kernel has made them")
            }
            Op::Reset { signal } => self.reset(*signal),
            Op::Signal { signal, to, slot } => self.signal(*signal, to, slot, scope),
            Op::Wait { signal, until } => self.wait(*signal, until),
            _ => {}
        }
        if let Op::Put { to, .. } | Op::Fill { to, .. } = op {
            self.write(to, scope.moving);
        }
        let remote = |a: &&Access| a.rank != Ix::Me && !self.schedule.tensors[a.tensor].remote;
        if op.accesses().iter().any(remote) {
            self.problem("(1) peers reach a tensor that is not remote");
        }
        self.vectors(op);
    }

    fn reads_plan(&mut self, route: Handle<Route>) {
        if !self.planned.contains(&route) {
            self.problem("(2) a plan is read before it is made");
        }
    }

    fn tile(&mut self, tile: &Tile) {
        if tile.from.rank != Ix::Me {
            self.pull();
            if !self.met {
                self.problem("(2) a remote tile is read before its owner is known to be ready");
            }
        }
        if tile.to.rank != Ix::Me && !self.met {
            self.problem("(4) a remote tile is written before its owner is known to be ready");
        }
        self.write(&tile.to, true);
        for (access, (_, extent)) in
            [(&tile.from, tile.along_source), (&tile.to, tile.along_target)]
        {
            let bytes = extent * self.schedule.tensors[access.tensor].elem.bytes();
            if !is_width(access.vector) || bytes % access.vector != 0 {
                self.problem("a vector does not divide its tile");
            }
        }
    }

    fn pull(&mut self) {
        self.pulled = true;
        self.barrier_since_pull = false;
    }

    fn write(&mut self, to: &Access, moving: bool) {
        if self.filled.contains(&to.tensor) {
            self.problem("(4) a buffer is filled and written in one kernel");
        }
        self.written.insert(to.tensor);
        if to.rank != Ix::Me {
            self.temporaries.reached.insert(to.tensor);
        }
        self.temporary(to.tensor);
        if moving && to.rank != Ix::Me {
            self.unreleased = true;
            self.barrier_since_write = false;
        }
    }

    fn temporary(&mut self, tensor: Handle<Tensor>) {
        if self.schedule.tensors[tensor].io == Io::Tmp {
            self.temporaries.own.insert(tensor);
            self.temporaries.written.insert(tensor);
            self.temporaries.landed.remove(&tensor);
            self.barrier_since_write = false;
        }
    }

    /// What the op's index arithmetic itself reads.
    fn indices(&mut self, op: &'a Op) {
        let mut remote = false;
        let mut unknown = false;
        let mut plans = BTreeSet::new();
        op.walk_own(&mut |ix| match ix {
            Ix::Element { rank, .. } => remote |= **rank != Ix::Me,
            Ix::Lookup { table, .. } => {
                unknown |= match self.schedule.tables[*table].kind {
                    TableKind::Const(_) => false,
                    TableKind::Planned(route) if self.comes_with(route, *table) => {
                        !self.planned.contains(&route)
                    }
                    TableKind::Computed | TableKind::Planned(_) => !self.tables.contains(table),
                };
            }
            Ix::Pair { route, .. } | Ix::Live { route, .. } | Ix::Dropped(route) => {
                plans.insert(*route);
            }
            Ix::Base { base, .. } => {
                plans.insert(self.schedule.deals[self.schedule.bases[*base].deal].route);
            }
            _ => {}
        });
        let folds = match op {
            Op::Put { value: Value::Sum { value, .. }, .. } => value.folds(),
            _ => Vec::new(),
        };
        let guards = op.guards().iter().chain(folds.into_iter().flat_map(|f| &f.guards));
        plans.extend(guards.filter_map(|g| match g {
            Guard::Kept { route, .. } => Some(*route),
            _ => None,
        }));
        plans.into_iter().for_each(|route| self.reads_plan(route));
        if remote {
            self.pull();
            if !self.met {
                self.problem("(2) a remote element is read before its owner is known to be ready");
            }
        }
        if unknown {
            self.problem("(2) a table is looked up before an earlier kernel has computed it");
        }
    }

    /// A plan that is made or taken here has the table.
    fn comes_with(&self, route: Handle<Route>, table: Handle<Table>) -> bool {
        self.entry.takes.contains(&route) || self.is_with_plan(route, table)
    }

    /// The plan's own kernel makes it.
    fn is_with_plan(&self, route: Handle<Route>, table: Handle<Table>) -> bool {
        self.schedule.routes[route].from == Some(table)
            || self.schedule.owners_of(route).any(|(_, tables, read)| {
                [tables.owners, tables.groups, tables.first, read.positions].contains(&table)
            })
    }

    /// Entries that take a plan look its tables up.
    fn plans_are_whole(&mut self) {
        let lacks = |route: &Handle<Route>| {
            let made = |t| self.is_with_plan(*route, t) || self.tables.contains(&t);
            !self.schedule.tables_in(Some(*route)).all(|(table, _)| made(table))
        };
        if self.entry.plans.iter().any(lacks) {
            self.problem("(2) a plan lacks a table that goes with it");
        }
    }

    fn reset(&mut self, signal: Handle<Signal>) {
        let counts = self.counts.entry(signal).or_default();
        counts.resets += 1;
        if !counts.produced.is_empty() {
            self.problem("(4) a counter is reset after peers may have written it");
        }
        self.resets.insert(signal);
        self.barrier_since_reset = false;
    }

    fn signal(&mut self, signal: Handle<Signal>, to: &Peer, slot: &Ix, scope: &Scope<'a>) {
        let info = &self.schedule.signals[signal];
        let amount = match (info.kind, to) {
            (SignalKind::Epoch { per_cta }, Peer::All)
                if *slot == Ix::Me && (per_cta || scope.once) =>
            {
                if !self.resets.is_empty() && !self.barrier_since_reset {
                    self.problem("(4) a handshake does not wait for the reset of all CTAs");
                }
                self.told.append(&mut self.resets);
                if self.barrier_since_write {
                    self.unreleased = false;
                    self.temporaries.told.append(&mut self.temporaries.written);
                }
                if self.barrier_since_pull {
                    self.pulled = false;
                }
                Amount::EachRank
            }
            (SignalKind::Tiles, Peer::Rank(rank)) => self.tile_amount(rank, slot, scope),
            _ => Amount::Other,
        };
        let fresh = self.resets.contains(&signal) || self.told.contains(&signal);
        if info.kind == SignalKind::Tiles && (fresh || !self.met) {
            self.problem("(4) a counter is written before its reset is known to be done");
        }
        self.counts.entry(signal).or_default().produced.push(amount);
    }

    fn tile_amount(&self, rank: &Ix, slot: &Ix, scope: &Scope<'a>) -> Amount {
        match (scope.tuples, scope.tokens) {
            (Some(tuples), Some(_)) => {
                let (group, at) = (tuples.group, tuples.slot);
                let base = self
                    .schedule
                    .bases
                    .iter()
                    .map(|(h, _)| h)
                    .find(|base| *slot == tuple_tile(*base, group, at));
                let lands = |base: &Handle<Base>| {
                    let deal = &self.schedule.deals[self.schedule.bases[*base].deal];
                    let owner = deal.owner(Ix::Var(group));
                    let owner = self.schedule.routes[deal.route].rank_of(owner);
                    match &tuples.only {
                        _ if self.schedule.ranks == 1 => true,
                        None => *rank == owner,
                        Some(Filter::Compare { op: CmpOp::Eq, lhs, rhs: Ix::Me }) => {
                            *rank == Ix::Me && *lhs == owner
                        }
                        Some(_) => false,
                    }
                };
                base.filter(lands).map_or(Amount::Other, |base| match tuples.only {
                    Some(_) => Amount::OwnTuples { base },
                    None => Amount::Tuples { base },
                })
            }
            (None, Some((extent, var)))
                if *rank == Ix::Me
                    && *slot == Ix::binary(IxOp::Div, Ix::Var(var), Ix::Lit(TILE_ROWS)) =>
            {
                Amount::Positions(extent.clone())
            }
            _ => Amount::Other,
        }
    }

    fn wait(&mut self, signal: Handle<Signal>, until: &Until) {
        let counts = self.counts.entry(signal).or_default();
        if counts.produced.is_empty() {
            self.problems.push(format!(
                "(6) `{}` is awaited before this rank signals it",
                self.schedule.signals[signal].name
            ));
        }
        counts.awaited.push(match until {
            Until::Epoch => Amount::EachRank,
            Until::Groups { base } => Amount::Tuples { base: *base },
            Until::Rows { extent } => Amount::Positions(extent.clone()),
        });
        if *until == Until::Epoch {
            self.met = true;
            self.shared.extend(&self.planned);
            self.told.clear();
            self.temporaries.landed.append(&mut self.temporaries.told);
        }
    }

    fn end(&mut self) {
        self.plans_are_whole();
        if self.unreleased && self.schedule.ranks > 1 {
            self.problem(
                "(1) remote writes are not released by a barrier and a signal to every rank",
            );
        }
        if self.pulled && self.schedule.ranks > 1 {
            self.problem("(4) pulled rows are not released by a handshake at the end");
        }
        for (signal, counts) in &self.counts {
            // Counters that a plan clears for entries that take it.
            if !counts.is_used() && !self.entry.arrivals.contains(signal) {
                continue;
            }
            let info = &self.schedule.signals[*signal];
            // Counters of rows are for consumers only; the rank's own order covers them here.
            let own =
                matches!(counts.produced[..], [Amount::Positions(_) | Amount::OwnTuples { .. }]);
            let local_only = counts.awaited.is_empty() && (counts.ended || own);
            let equal = !counts.produced.is_empty() && counts.produced == counts.awaited;
            if counts.produced.contains(&Amount::Other) || !(equal || local_only) {
                self.problems.push(format!(
                    "(3) `{}` produces {:?} and waits for {:?}",
                    info.name, counts.produced, counts.awaited
                ));
            }
            let wanted = u32::from(info.kind == SignalKind::Tiles);
            let again = counts.ended && wanted > 0 && counts.resets > wanted;
            if counts.resets != wanted && !again {
                self.problems.push(format!(
                    "(4) `{}` is reset {} times, not {wanted}",
                    info.name, counts.resets
                ));
            }
        }
    }

    fn vectors(&mut self, op: &Op) {
        for access in op.accesses().into_iter().filter(|_| !matches!(op, Op::Tile(_))) {
            let bytes = access.run * self.schedule.tensors[access.tensor].elem.bytes();
            if !is_width(access.vector) || bytes % access.vector != 0 {
                self.problem("a vector does not divide its run");
            }
        }
    }

    fn problem(&mut self, text: &str) {
        self.problems.push(text.to_string());
    }
}

/// Bytes of one access.
fn is_width(bytes: i64) -> bool {
    matches!(bytes, 1 | 2 | 4 | 8 | 16)
}

/// The arrival tile of a tuple.
fn tuple_tile(base: Handle<Base>, group: Handle<Var>, slot: Handle<Var>) -> Ix {
    let row =
        Ix::binary(IxOp::Add, Ix::Base { base, group: Box::new(Ix::Var(group)) }, Ix::Var(slot));
    Ix::binary(IxOp::Div, row, Ix::Lit(TILE_ROWS))
}
