//! Entries without a route: what is prepared, what moves, and the two handshakes around it.
//!
//! A preparing kernel fills targets that are not wholly written and computes tables (first rows of counted
//! axes, positions of mapped ones); the moving kernel opens when every rank is in, and closes when every
//! rank's writes have landed.

use super::address::Addresses;
use super::bits::bits_of;
use super::choice::{self, Ways};
use super::ir::*;
use super::moves::MoveLowering;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::plan::{EntryPlan, Move, image};
use crate::sema::hir::{self, Bindings, Program};
use crate::source::Span;

/// The movements of an entry as roles, and the tables they look up.
#[derive(Default)]
pub(super) struct Moved {
    /// Where no condition of a schedule holds.
    pub roles: Vec<Role>,
    /// Those of each `schedule when` that moves in another way.
    pub variants: Vec<Option<Vec<Role>>>,
    /// With the movements that look them up.
    tables: Vec<(Span, Op)>,
    fills: Vec<(Handle<hir::Tensor>, String)>,
}

impl Moved {
    /// Of the statements of an entry that are asked for.
    pub fn new(at: &mut Addresses<'_>, plan: &EntryPlan, own: impl Fn(&Move) -> bool) -> Moved {
        let mut out = Moved {
            roles: Vec::new(),
            variants: Vec::new(),
            tables: Vec::new(),
            fills: Vec::new(),
        };
        out.roles = out.lower(at, plan.moves.iter().filter(|m| own(m)));
        for moves in &plan.scheduled {
            let moves = moves.as_ref().filter(|moves| moves.iter().any(&own));
            let roles = moves.map(|moves| out.lower(at, moves.iter().filter(|m| own(m))));
            out.variants.push(roles);
        }
        out
    }

    fn lower<'m>(
        &mut self,
        at: &mut Addresses<'_>,
        moves: impl Iterator<Item = &'m Move>,
    ) -> Vec<Role> {
        let mut roles = Vec::new();
        for movement in moves {
            let mut lowering = MoveLowering::new(at, movement);
            let body = vec![lowering.lower()];
            for op in std::mem::take(&mut lowering.prepare) {
                let compares = assumed(&op, movement).filter(|role| !roles.contains(role));
                roles.extend(compares);
                if !self.tables.iter().any(|(_, t)| table_of(t) == table_of(&op)) {
                    self.tables.push((movement.span, op));
                }
            }
            roles.push(Role {
                kind: RoleKind::Move,
                text: vec![movement.text.clone()],
                span: movement.span,
                body,
            });
            let target = movement.target.tensor;
            let has_none = |t| at.index_type(t).is_some_and(|(_, none)| none.is_some());
            let whole = movement.filter.is_none()
                && !movement.may_be_absent(&has_none)
                && !movement.over_tuples()
                && image::is_everything(at.table_of(target), movement);
            if !whole && self.fills.iter().all(|(filled, _)| *filled != target) {
                self.fills.push((target, movement.text.clone()));
            }
        }
        roles
    }

    /// Whether tables are made for it on the device.
    pub fn looks_up(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The movements of the other are its own, too.
    pub fn join(&mut self, mut other: Moved) {
        self.take_preparation(&mut other);
        let both = |a: &mut Option<Vec<Role>>, b: Option<Vec<Role>>| {
            if a.is_some() || b.is_some() {
                let (first, second) = (a.take(), b.unwrap_or_else(|| other.roles.clone()));
                *a = Some([first.unwrap_or_else(|| self.roles.clone()), second].concat());
            }
        };
        self.variants.iter_mut().zip(other.variants).for_each(|(a, b)| both(a, b));
        self.roles.append(&mut other.roles);
    }

    /// What others prepare is prepared with it.
    fn take_preparation(&mut self, other: &mut Moved) {
        for (span, table) in other.tables.drain(..) {
            if !self.tables.iter().any(|(_, t)| table_of(t) == table_of(&table)) {
                self.tables.push((span, table));
            }
        }
        self.fills.append(&mut other.fills);
    }

    /// The whole of a target gets its fill before a movement of a route writes some of it.
    pub fn fill(&mut self, tensor: Handle<hir::Tensor>, text: &str) {
        if !self.fills.iter().any(|(t, _)| *t == tensor) {
            self.fills.push((tensor, text.to_string()));
        }
    }

    /// Fills and tables, in kernels before the others: a table that is found by another is computed after it.
    ///
    /// # Errors
    /// F0999 for a table beside a route, whose kernels do not see the home workspace.
    pub fn prepare(
        &mut self,
        at: &mut Addresses<'_>,
        program: &Program,
        (entry, name): (&hir::Entry, &str),
        route: Option<Handle<Route>>,
    ) -> Result<Vec<Step>, Box<Diagnostic>> {
        if let (Some((span, _)), true) = (self.tables.first(), route.is_some()) {
            let what = "a table of the device in a statement with a route";
            return Err(Box::new(
                Diagnostic::unsupported(*span, what)
                    .label("this statement counts rows, looks up owners, or checks an `assume`")
                    .help("let a statement without a route do that, by a `tmp`"),
            ));
        }
        let tables = std::mem::take(&mut self.tables).into_iter().map(|(_, op)| op).collect();
        let mut kernels: Vec<Vec<Role>> = Vec::new();
        for body in in_order(tables) {
            let mut roles = Vec::new();
            if kernels.is_empty() && at.schedule().ranks > 1 {
                roles.push(handshake(at, (entry, name), "prepare_ready", RoleKind::Open));
            }
            let text = vec!["first rows and positions".to_string()];
            roles.push(Role { kind: RoleKind::Tables, text, span: entry.span, body });
            kernels.push(roles);
        }
        let mut fills = Vec::new();
        for (tensor, _) in &self.fills {
            let info = &program.tensors[*tensor];
            let Some(fill) = info.attrs.fill else { continue };
            let bits = bits_of(fill, info.dtype.elem);
            let body = vec![Op::FillAll { tensor: at.tensor(*tensor), bits }];
            let text = vec![format!("{} with fill", info.name)];
            fills.push(Role { kind: RoleKind::Fill, text, span: entry.span, body });
        }
        match kernels.last_mut() {
            Some(last) => last.append(&mut fills),
            None if fills.is_empty() => {}
            None => kernels.push(fills),
        }
        let step = |(i, roles): (usize, Vec<Role>)| {
            let number = if i == 0 { String::new() } else { (i + 1).to_string() };
            let name = format!("{name}_prepare{number}");
            let kernel =
                Kernel { name, route, roles, fetched: None, tuning: choice::beside(entry) };
            Step { alternatives: vec![Alternative { when: None, kernel }] }
        };
        Ok(kernels.into_iter().enumerate().map(step).collect())
    }
}

/// Tables by the kernel that computes them: each looks up those of kernels before it only.
fn in_order(mut tables: Vec<Op>) -> Vec<Vec<Op>> {
    let mut kernels = Vec::new();
    while !tables.is_empty() {
        let open: Vec<_> = tables.iter().filter_map(table_of).collect();
        let waits = |op: &Op| {
            let mut waits = false;
            op.walk_own(&mut |ix| {
                waits |= matches!(ix, Ix::Lookup { table, .. } if open.contains(table));
            });
            waits
        };
        let (later, now): (Vec<Op>, Vec<Op>) = tables.into_iter().partition(waits);
        // No table is found by itself: were one, the verifier would say so.
        let stuck = now.is_empty();
        kernels.push(if stuck { later.clone() } else { now });
        tables = if stuck { Vec::new() } else { later };
    }
    kernels
}

/// Lowers an entry that plans and takes nothing.
pub(super) fn entry(
    at: &mut Addresses<'_>,
    (program, bound): (&Program, &Bindings),
    entry: &hir::Entry,
    plan: &EntryPlan,
) -> Result<Entry, Box<Diagnostic>> {
    if plan.moves.is_empty() {
        return Err(Box::new(
            Diagnostic::unsupported(entry.span, "an entry without statements")
                .help("give it a statement"),
        ));
    }
    let stages = program.stages(entry);
    let last = stages.iter().copied().max().unwrap_or(0);
    let mut own = |stage: usize| Moved::new(at, plan, |m| stages[m.stmt] == stage);
    let mut moved = Vec::from_iter((0..=last).map(&mut own));
    let mut preparation = Moved::default();
    moved.iter_mut().for_each(|m| preparation.take_preparation(m));
    let mut steps = preparation.prepare(at, program, (entry, &entry.name), None)?;
    for (stage, moved) in moved.into_iter().enumerate() {
        let name = stage_name(&entry.name, stage);
        steps.push(moving(at, bound, (entry, name.as_str()), (moved, stage == last))?);
    }
    Ok(Entry {
        name: entry.name.clone(),
        span: entry.span,
        plans: Vec::new(),
        takes: Vec::new(),
        tensors: Vec::new(),
        temporaries: Vec::new(),
        dyns: Vec::new(),
        arrivals: Vec::new(),
        steps,
    })
}

/// The kernels of movements that need no plan, in an entry that has one: those that prepare, and the one that moves.
pub(super) fn apart(
    at: &mut Addresses<'_>,
    (program, bound): (&Program, &Bindings),
    of: (&hir::Entry, &str),
    (mut moved, is_last): (Moved, bool),
) -> Result<(Vec<Step>, Step), Box<Diagnostic>> {
    let prepare = moved.prepare(at, program, of, None)?;
    Ok((prepare, moving(at, bound, of, (moved, is_last))?))
}

/// The step that moves, between two handshakes, of which a later stage begins with the second.
fn moving(
    at: &mut Addresses<'_>,
    bound: &Bindings,
    of: (&hir::Entry, &str),
    (Moved { mut roles, mut variants, .. }, is_last): (Moved, bool),
) -> Result<Step, Box<Diagnostic>> {
    let words = [("ready", RoleKind::Open), ("done", RoleKind::Close)];
    for (word, kind) in words.into_iter().take(if is_last { 2 } else { 1 }) {
        if at.schedule().ranks > 1 {
            let shaken = handshake(at, of, word, kind);
            for roles in variants.iter_mut().flatten().chain([&mut roles]) {
                let place = if kind == RoleKind::Open { 0 } else { roles.len() };
                roles.insert(place, shaken.clone());
            }
        }
    }
    let ways = |pushed| Ways { pushed, fetching: None };
    let variants = variants.into_iter().map(|own| own.map(ways)).collect();
    choice::step((&*at, bound), of, None, (ways(roles), variants))
}

/// What the kernels of a stage are named after.
pub(super) fn stage_name(entry: &str, stage: usize) -> String {
    if stage == 0 { entry.to_string() } else { format!("{entry}_{}", stage + 1) }
}

/// Every rank has come here.
fn handshake(
    at: &mut Addresses<'_>,
    (entry, name): (&hir::Entry, &str),
    word: &str,
    kind: RoleKind,
) -> Role {
    let signal = at.home_signal(format!("{name}_{word}"), at.schedule().ranks);
    let body = vec![
        Op::Barrier,
        Op::Once { body: vec![Op::Signal { signal, to: Peer::All, slot: Ix::Me }] },
        Op::Wait { signal, until: Until::Epoch },
    ];
    Role { kind, text: Vec::new(), span: entry.span, body }
}

/// What the movement finds claimed in the table that the op prepares, before it writes by it.
fn assumed(op: &Op, movement: &Move) -> Option<Role> {
    let Op::Claim(claims) = op else { return None };
    Some(Role {
        kind: RoleKind::Assume,
        text: vec!["no two elements are equal".to_string()],
        span: movement.span,
        body: vec![Op::Distinct(claims.clone())],
    })
}

fn table_of(op: &Op) -> Option<Handle<Table>> {
    match op {
        Op::Prefix { table, .. } | Op::Positions { table, .. } => Some(*table),
        Op::Claim(claims) => Some(claims.table),
        _ => None,
    }
}
