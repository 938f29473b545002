//! Mutated schedules are refused: whatever breaks a concurrency obligation (`language.md` 5.5) gives F0790.
//!
//! Every schedule of `stages::CASES` is changed in one place at a time. A change that is accepted must be one
//! of [`HARMLESS`], with the reason why nothing breaks.

use crate::stages::{CASES, compiled};
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::*;
use fusco_dsl::schedule::verify;
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{Compiled, compile};
use std::collections::BTreeMap;

/// Changes that break nothing, and why.
const HARMLESS: [(&str, &str); 15] = [
    (
        "drop a barrier in Open",
        "nothing was reset, written or pulled in this kernel before it: one CTA may speak for its rank",
    ),
    (
        "drop a role in Open",
        "an earlier kernel of the entry has met the peers, and nothing was filled since",
    ),
    ("put before the handshake in Move", "the same"),
    ("put before the handshake in Produce", "the exchange of the plan's kernel has met the peers"),
    (
        "put to another rank in Move",
        "another address, for which the closing handshake with every rank speaks as well",
    ),
    ("put to another rank of whom only a handshake tells in Produce", "the same, on a path"),
    ("put to another rank of whom only a handshake tells in Reduce", "the same, on a path"),
    (
        "put to a peer in Produce",
        "a number that is read behind a handshake, which speaks for another address as well",
    ),
    ("exchange two kernels in Fill", "a plan reads and writes nothing of what is filled"),
    ("on every CTA, not once in Derive", "each CTA writes the same number on its own rank"),
    ("drop an earlier kernel in Fill", "padding keeps what it had: a wrong value, not a race"),
    ("drop a barrier in Close on one rank", "no peer reads or writes"),
    ("drop a role in Close on one rank", "no peer reads or writes"),
    ("pull after the last handshake in Reduce on one rank", "no peer reads or writes"),
    ("signal another rank in Produce on one rank", "every rank is this one"),
];

/// A fill beside a movement, positions computed on the device, elements that are assumed distinct, and arithmetic
/// on elements of peers.
const FILLED: &str = "program filled {
    mesh m { p: 2 }
    in owner: ix32(2) [i: 10] @ [copy/p, i];
    in a: f32[i: 10] @ [i/p, i];
    out b: f32[i: 10] @ [i/p, i, i:4] with uneven, fill(0);
    out c: f32[i: 10] @ [i/p.map(owner), i] with fill(1);
    entry main { b[i] <- a[i]; }
    entry dealt { c[i] <- a[i]; }
    in to: ix32(10) [i: 10] @ [copy/p, i];
    out d: f32[i: 10] @ [i/p, i] with fill(0);
    assume distinct(i: to[i]);
    entry scattered { d[to[i]] <- a[i]; }
    out s: f32[i: 10] @ [i/p, i];
    entry computed { s[i] <- sum(j: a[j] * a[to[j]]) - a[i]; }
}";

/// What is handed from statement to statement, along a route and without one.
const HANDED: &str = "program handed {
    mesh m { p: 2 }
    in topk: ix32(4)[s: 2, t: 6, k: 2] @ [s/p, t, k];
    in x: f32[s: 2, t: 6] @ [s/p, t];
    tmp u: f32[t: 6, s: 2] @ [t/p, t, s];
    tmp z: f32[e: 4, c: ragged] @ [e/p, e, c.pack(4)] with fill(0);
    tmp w: f32[s: 2, t: 6, k: 2] @ [t/p, s, t, k];
    out y: f32[s: 2, t: 6] @ [s/p, t];
    out q: f32[s: 2, t: 6] @ [s/p, t];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry plain { u[t, s] <- x[s, t]; y[s, t] <- sum(j: u[t, j]); }
    entry routed { plan r; z[e, c] <- x[s, t] via r; w[s, t, k] <- z[e, c] via r; y[s, t] <- sum(k: w[s, t, k] * z[e, c]) via r; q[s, t] <- sum(j: w[s, t, j]); }
}";

/// Groups with owners that the plan reads.
const OWNERS: &str = include_str!("../../tests/gpu/moe_owners.fusco");

/// Rows over two levels of links, forwarded in turn.
const BALANCED: &str = include_str!("../../tests/gpu/balanced.fusco");

/// Tables of a plan are read once it is made.
#[test]
fn tables_of_a_plan_are_read_after_it() {
    let sizes = [("G", 3), ("K", 2), ("P", 7), ("H", 8), ("TMAX", 5)];
    let sizes = sizes.map(|(name, v)| (name.to_string(), v)).into();
    let mut schedule = (*compile(OWNERS, None, &sizes).expect("it compiles").schedule).clone();
    let entry = schedule.entries.iter_mut().find(|e| e.name == "weigh").expect("an entry");
    assert!(entry.plans.is_empty());
    let route = std::mem::take(&mut entry.takes);
    assert_eq!(route.len(), 1);
    let found = verify(schedule).expect_err("nobody made the plan");
    let told = |words: &str| found.0.iter().any(|d| d.message.contains(words));
    assert!(told("a table is looked up before") && told("a plan is read before"), "{found:?}");
}

/// A `tmp` is read behind the handshake that follows its writes.
#[test]
fn what_has_not_landed_is_not_read() {
    let handed = compile(HANDED, None, &Bindings::new()).expect("it compiles").schedule;
    for (number, entry) in handed.entries.iter().enumerate() {
        let opens = |step: &Step| step.alternatives[0].kernel.roles[0].kind == RoleKind::Open;
        let later = (1..entry.steps.len()).filter(|s| opens(&entry.steps[*s]));
        let later = Vec::from_iter(later);
        assert_eq!(later.len(), number + 1);
        for step in later {
            let mut schedule = (*handed).clone();
            schedule.entries[number].steps[step].alternatives[0].kernel.roles.remove(0);
            let found = verify(schedule).expect_err("nobody waits");
            assert!(found.0.iter().any(|d| d.message.contains("(7)")), "{found:?}");
        }
    }
}

/// An op: entry, step, alternative, role, and the path of nested ops.
#[derive(Clone, Debug)]
struct At {
    kernel: (usize, usize, usize),
    role: usize,
    path: Vec<usize>,
}

fn kernel(schedule: &mut Schedule, at: (usize, usize, usize)) -> &mut Kernel {
    &mut schedule.entries[at.0].steps[at.1].alternatives[at.2].kernel
}

fn body_mut(op: &mut Op) -> Option<&mut Vec<Op>> {
    match op {
        Op::Tokens { body, .. }
        | Op::Each { body, .. }
        | Op::Groups { body, .. }
        | Op::Padding { body, .. }
        | Op::Once { body }
        | Op::Grid { body, .. }
        | Op::If { body, .. }
        | Op::Summed { body }
        | Op::For { body, .. } => Some(body),
        _ => None,
    }
}

/// The list that holds the op, and its index there.
fn list<'s>(schedule: &'s mut Schedule, at: &At) -> (&'s mut Vec<Op>, usize) {
    let mut body = &mut kernel(schedule, at.kernel).roles[at.role].body;
    let (last, outer) = at.path.split_last().expect("an op");
    for i in outer {
        body = body_mut(&mut body[*i]).expect("an op with a body");
    }
    (body, *last)
}

fn op<'s>(schedule: &'s mut Schedule, at: &At) -> &'s mut Op {
    let (list, i) = list(schedule, at);
    &mut list[i]
}

/// Every op, outermost first.
fn ops(schedule: &Schedule) -> Vec<(At, Op)> {
    fn walk(body: &[Op], at: &At, out: &mut Vec<(At, Op)>) {
        for (i, op) in body.iter().enumerate() {
            let mut at = at.clone();
            at.path.push(i);
            out.push((at.clone(), op.clone()));
            walk(op.body(), &at, out);
        }
    }
    let mut out = Vec::new();
    for (e, entry) in schedule.entries.iter().enumerate() {
        for (s, step) in entry.steps.iter().enumerate() {
            for (a, alternative) in step.alternatives.iter().enumerate() {
                for (role, info) in alternative.kernel.roles.iter().enumerate() {
                    walk(&info.body, &At { kernel: (e, s, a), role, path: Vec::new() }, &mut out);
                }
            }
        }
    }
    out
}

/// Name of a change, and the schedule with it.
type Mutant = (String, Schedule);

struct Mutants<'a> {
    schedule: &'a Schedule,
    out: Vec<Mutant>,
}

impl Mutants<'_> {
    fn add(&mut self, name: &str, at: &At, change: impl FnOnce(&mut Schedule)) {
        let mut schedule = self.schedule.clone();
        let kind = kernel(&mut schedule, at.kernel).roles[at.role].kind;
        change(&mut schedule);
        let where_ = if schedule.ranks == 1 { " on one rank" } else { "" };
        self.out.push((format!("{name} in {kind:?}{where_}"), schedule));
    }

    /// All changes of one op.
    fn op(&mut self, at: &At, found: &Op) {
        match found {
            Op::Signal { to, .. } => self.signal(at, to),
            Op::Wait { until, .. } => self.wait(at, until),
            Op::Barrier => self.add("drop a barrier", at, |s| drop_op(s, at)),
            Op::Reset { .. } => self.reset(at),
            Op::Put { to, .. } => self.put(at, to),
            Op::Prefix { .. } | Op::Positions { .. } => {
                self.add("drop a table", at, |s| drop_op(s, at));
                self.add("compute a table in the kernel that looks it up", at, |s| join(s, at));
            }
            Op::Claim(_) => {
                self.add("drop a claim", at, |s| drop_op(s, at));
                self.add("claim in the kernel that compares", at, |s| join(s, at));
            }
            Op::FillAll { .. } => {
                self.add("fill in the moving kernel", at, |s| join(s, at));
                self.add("fill in a kernel of its own, after the moving one", at, |s| {
                    fill_last(s, at)
                });
            }
            Op::Tables { .. } | Op::Slots { .. } => {
                self.add("read counts before they are exchanged", at, |s| first_in_role(s, at));
            }
            Op::Once { .. } => self.add("on every CTA, not once", at, |s| {
                let (list, i) = list(s, at);
                let body = body_mut(&mut list[i]).map(std::mem::take).unwrap_or_default();
                list.splice(i..=i, body);
            }),
            Op::Tile(_) => self.tile(at),
            Op::Load { .. } => self.add("load from a peer", at, |s| {
                if let Op::Load { from, .. } = op(s, at) {
                    from.rank = Ix::Lit(0);
                }
            }),
            _ => {}
        }
    }

    fn signal(&mut self, at: &At, to: &Peer) {
        self.add("drop a signal", at, |s| drop_op(s, at));
        self.add("repeat a signal", at, |s| {
            let (list, i) = list(s, at);
            list.insert(i, list[i].clone());
        });
        self.add("another slot of a signal", at, |s| {
            if let Op::Signal { slot, .. } = op(s, at) {
                *slot = Ix::binary(IxOp::Add, slot.clone(), Ix::Lit(1));
            }
        });
        let other = match to {
            Peer::All => Peer::Rank(Ix::Me),
            Peer::Rank(Ix::Me) => Peer::Rank(Ix::Lit(self.schedule.ranks - 1)),
            Peer::Rank(_) => Peer::Rank(Ix::Me),
        };
        self.add("signal another rank", at, |s| {
            if let Op::Signal { to, .. } = op(s, at) {
                *to = other;
            }
        });
        if let Some(signal) = self.foreign(at) {
            self.add("a signal of another entry", at, |s| set_signal(op(s, at), signal));
        }
    }

    /// A signal of the same kind that another entry uses.
    fn foreign(&self, at: &At) -> Option<Handle<Signal>> {
        let mine = |op: &Op| match op {
            Op::Signal { signal, .. } | Op::Wait { signal, .. } => Some(*signal),
            _ => None,
        };
        let all = ops(self.schedule);
        let here =
            all.iter().filter(|(a, _)| a.kernel.0 == at.kernel.0).filter_map(|(_, o)| mine(o));
        let here: Vec<_> = here.collect();
        let kind = |s: Handle<Signal>| self.schedule.signals[s].kind;
        let own = all
            .iter()
            .find(|(a, _)| a.path == at.path && a.kernel == at.kernel && a.role == at.role);
        let own = own.and_then(|(_, o)| mine(o))?;
        let others = self.schedule.signals.iter().map(|(h, _)| h);
        others.into_iter().find(|s| !here.contains(s) && kind(*s) == kind(own))
    }

    fn wait(&mut self, at: &At, until: &Until) {
        self.add("drop a wait", at, |s| drop_op(s, at));
        self.add("repeat a wait", at, |s| {
            let (list, i) = list(s, at);
            list.insert(i, list[i].clone());
        });
        self.add("wait before the signal", at, |s| first_in_kernel(s, at));
        let other = match until {
            Until::Epoch => vec![Until::Rows { extent: Ix::Lit(1) }],
            Until::Groups { .. } => vec![Until::Epoch, Until::Rows { extent: Ix::Lit(1) }],
            Until::Rows { extent } => {
                vec![
                    Until::Epoch,
                    Until::Rows { extent: Ix::binary(IxOp::Sub, extent.clone(), Ix::Lit(1)) },
                ]
            }
        };
        let bases = self.schedule.bases.iter().map(|(base, _)| Until::Groups { base });
        let bases: Vec<Until> = bases.filter(|u| u != until).collect();
        for other in other.into_iter().chain(bases) {
            self.add("wait for another amount", at, |s| {
                if let Op::Wait { until, .. } = op(s, at) {
                    *until = other.clone();
                }
            });
        }
    }

    fn reset(&mut self, at: &At) {
        self.add("drop a reset", at, |s| drop_op(s, at));
        self.add("repeat a reset", at, |s| {
            let (list, i) = list(s, at);
            list.insert(i, list[i].clone());
        });
        self.add("reset last", at, |s| {
            let (list, i) = list(s, at);
            let reset = list.remove(i);
            list.push(reset);
        });
        self.add("reset after the barrier", at, |s| {
            let (list, i) = list(s, at);
            let reset = list.remove(i);
            let barrier = list.iter().position(|op| matches!(op, Op::Barrier)).expect("a barrier");
            list.insert(barrier + 1, reset);
        });
    }

    fn put(&mut self, at: &At, to: &Access) {
        self.add("a vector that does not divide", at, |s| {
            if let Op::Put { to, .. } = op(s, at) {
                to.vector *= 3;
            }
        });
        if to.rank == Ix::Me {
            self.add("put to a peer", at, |s| set_rank(op(s, at)));
            return;
        }
        let mut same = self.schedule.clone();
        let told = list(&mut same, at).0.iter().any(|op| matches!(op, Op::Signal { .. }));
        let moving = kernel(&mut same, at.kernel).roles[at.role].kind == RoleKind::Move;
        let other = match told || moving {
            true => "put to another rank",
            false => "put to another rank of whom only a handshake tells",
        };
        self.add(other, at, |s| set_rank(op(s, at)));
        self.add("put before the handshake", at, |s| first_role(s, at));
        if told {
            self.add("put after the signal", at, |s| {
                let (list, i) = list(s, at);
                let put = list.remove(i);
                list.push(put);
            });
        }
        if self.closes(at) {
            self.add("put after the last signal", at, |s| last_role(s, at));
        }
    }

    /// The kernel ends with a handshake; if not, the next one begins with it.
    fn closes(&self, at: &At) -> bool {
        let (entry, step, alternative) = at.kernel;
        let step = &self.schedule.entries[entry].steps[step];
        let last = step.alternatives[alternative].kernel.roles.last();
        last.is_some_and(|role| role.kind == RoleKind::Close)
    }

    fn tile(&mut self, at: &At) {
        self.add("a tile before the handshake", at, |s| first_role(s, at));
        self.add("a tile after the last signal", at, |s| last_role(s, at));
        self.add("a vector that does not divide", at, |s| {
            if let Op::Tile(tile) = op(s, at) {
                tile.to.vector *= 3;
            }
        });
    }

    /// Changes of whole roles and steps.
    fn roles(&mut self) {
        for (e, entry) in self.schedule.entries.iter().enumerate() {
            for (s, step) in entry.steps.iter().enumerate() {
                let at = At { kernel: (e, s, 0), role: 0, path: Vec::new() };
                if s + 1 < entry.steps.len() {
                    self.add("drop an earlier kernel", &at, |m| _ = m.entries[e].steps.remove(s));
                    self.add("exchange two kernels", &at, |m| m.entries[e].steps.swap(s, s + 1));
                }
                for (role, info) in step.alternatives[0].kernel.roles.iter().enumerate() {
                    let at = At { role, ..at.clone() };
                    if matches!(info.kind, RoleKind::Open | RoleKind::Close) {
                        self.add("drop a role", &at, |m| {
                            _ = kernel(m, at.kernel).roles.remove(role)
                        });
                    }
                    if info.body.iter().any(pulls) {
                        self.add("pull before the handshake", &at, |m| first_role(m, &at));
                        if self.closes(&at) {
                            self.add("pull after the last handshake", &at, |m| last_role(m, &at));
                        }
                    }
                }
            }
        }
    }
}

fn pulls(op: &Op) -> bool {
    let mut found = false;
    op.walk(&mut |op| found |= matches!(op, Op::Pull { .. }));
    found
}

fn drop_op(schedule: &mut Schedule, at: &At) {
    let (list, i) = list(schedule, at);
    list.remove(i);
}

fn set_signal(op: &mut Op, to: Handle<Signal>) {
    if let Op::Signal { signal, .. } | Op::Wait { signal, .. } = op {
        *signal = to;
    }
}

fn set_rank(op: &mut Op) {
    if let Op::Put { to, .. } = op {
        to.rank = Ix::binary(IxOp::Rem, Ix::binary(IxOp::Add, Ix::Me, Ix::Lit(1)), Ix::Lit(2));
    }
}

fn first_in_role(schedule: &mut Schedule, at: &At) {
    let (list, i) = list(schedule, at);
    let op = list.remove(i);
    list.insert(0, op);
}

fn first_in_kernel(schedule: &mut Schedule, at: &At) {
    let (list, i) = list(schedule, at);
    let op = list.remove(i);
    kernel(schedule, at.kernel).roles[0].body.insert(0, op);
}

fn first_role(schedule: &mut Schedule, at: &At) {
    let roles = &mut kernel(schedule, at.kernel).roles;
    let role = roles.remove(at.role);
    roles.insert(0, role);
}

fn last_role(schedule: &mut Schedule, at: &At) {
    let roles = &mut kernel(schedule, at.kernel).roles;
    let role = roles.remove(at.role);
    roles.push(role);
}

/// The op's role goes into the next kernel that moves, or that writes what the op fills, before the role that does.
fn join(schedule: &mut Schedule, at: &At) {
    let filled = match op(schedule, at) {
        Op::FillAll { tensor, .. } => Some(*tensor),
        _ => None,
    };
    let role = kernel(schedule, at.kernel).roles.remove(at.role);
    let moves = |r: &Role| {
        let kind = matches!(r.kind, RoleKind::Move | RoleKind::Produce | RoleKind::Reduce);
        kind && filled.is_none_or(|tensor| r.body.iter().any(|op| writes(op, tensor)))
    };
    let later = schedule.entries[at.kernel.0].steps.iter_mut().skip(at.kernel.1 + 1);
    let kernels = later.map(|step| &mut step.alternatives[at.kernel.2].kernel);
    let mut found = kernels.filter_map(|k| k.roles.iter().position(moves).map(|i| (i, k)));
    let (moving, kernel) = found.next().expect("a role that moves");
    kernel.roles.insert(moving, role);
}

fn writes(op: &Op, tensor: Handle<Tensor>) -> bool {
    let mut found = false;
    op.walk(&mut |op| found |= matches!(op, Op::Put { to, .. } if to.tensor == tensor));
    found
}

/// The op's kernel comes last.
fn fill_last(schedule: &mut Schedule, at: &At) {
    let steps = &mut schedule.entries[at.kernel.0].steps;
    let step = steps.remove(at.kernel.1);
    steps.push(step);
}

fn mutants(schedule: &Schedule) -> Vec<Mutant> {
    let mut all = Mutants { schedule, out: Vec::new() };
    for (at, op) in ops(schedule) {
        all.op(&at, &op);
    }
    all.roles();
    all.out
}

/// Names of the changes that are accepted, with the program.
fn accepted() -> BTreeMap<String, Vec<String>> {
    let mut all: Vec<(&str, Compiled)> =
        CASES.iter().map(|(case, program, params)| (*case, compiled(program, params))).collect();
    all.push(("handed", compile(HANDED, None, &Bindings::new()).expect("it compiles")));
    all.push(("filled", compile(FILLED, None, &Bindings::new()).expect("it compiles")));
    let sizes = [("G", 3), ("K", 2), ("P", 7), ("H", 8), ("TMAX", 5)];
    let sizes = sizes.map(|(name, v)| (name.to_string(), v)).into();
    all.push(("owners", compile(OWNERS, None, &sizes).expect("it compiles")));
    let sizes = [("N", 2), ("G", 2), ("K", 2), ("E", 4), ("H", 8), ("TMAX", 5)];
    let sizes = sizes.map(|(name, v)| (name.to_string(), v)).into();
    all.push(("balanced", compile(BALANCED, None, &sizes).expect("it compiles")));
    let mut accepted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (case, compiled) in &all {
        assert!(verify((*compiled.schedule).clone()).is_ok(), "{case}");
        for (name, mutant) in mutants(&compiled.schedule) {
            match verify(mutant) {
                Ok(_) => accepted.entry(name).or_default().push(case.to_string()),
                Err(found) => {
                    assert!(found.0.iter().all(|d| d.code == "F0790"), "{case}: {name}: {found:?}");
                }
            }
        }
    }
    accepted
}

/// Takes parts of the other way to do a kernel away, one at a time.
#[test]
fn rows_are_not_fetched_without_handshakes() {
    let (_, moe, params) = CASES[0];
    let schedule = compiled(moe, params).schedule.clone();
    let find = |e: usize| {
        let kernel = &schedule.entries[e].steps.last()?.alternatives.last()?.kernel;
        Some((e, kernel.fetched.clone()?))
    };
    let (e, fetched) = (0..schedule.entries.len()).find_map(find).expect("a dispatch");
    let mut tried = 0;
    for (r, role) in fetched.iter().enumerate() {
        for (o, op) in role.body.iter().enumerate() {
            let shakes = match op {
                Op::Once { .. } | Op::Wait { .. } => true,
                // Nothing is done before the first.
                Op::Barrier => role.kind == RoleKind::Close,
                _ => false,
            };
            if !shakes {
                continue;
            }
            let mut broken: Schedule = (*schedule).clone();
            let steps = broken.entries[e].steps.last_mut().expect("a step");
            let kernel = &mut steps.alternatives.last_mut().expect("a kernel").kernel;
            kernel.fetched.as_mut().expect("another way")[r].body.remove(o);
            let found = verify(broken).expect_err("one part less");
            assert!(found.0.iter().all(|d| d.code == "F0790"), "{:?} {op:?}: {found:?}", role.kind);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried} of open and close");
}

#[test]
fn mutated_schedules_are_refused() {
    let accepted = accepted();
    let harmful: Vec<_> =
        accepted.iter().filter(|(name, _)| !HARMLESS.iter().any(|(n, _)| n == name)).collect();
    assert!(harmful.is_empty(), "accepted: {harmful:#?}");
    for (name, why) in HARMLESS {
        assert!(accepted.contains_key(name), "`{name}` is never accepted, though: {why}");
    }
}
