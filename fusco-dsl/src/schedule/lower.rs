//! Movements to kernels: which roles an entry needs, in which order, and what signals join them.
//!
//! An entry that plans its route launches two kernels. The first counts, exchanges, scans and numbers;
//! its exchange also tells every rank that its peers have entered, so their buffers may be written and
//! read. An entry that takes a plan opens with a handshake of its own instead.

use super::address::Addresses;
use super::ir::*;
use super::moved::{self, Moved};
use super::path::Path;
use super::routed::EntryLowering;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::plan::{EntryPlan, Movement, Plan};
use crate::sema::hir::{self, Bindings, Program};

/// Lowers every entry of a planned program.
///
/// # Errors
/// What an entry cannot have beside a route (F0999), located.
pub fn lower(program: &Program, bound: &Bindings, plan: &Plan) -> Result<Schedule, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut addresses = Addresses::new(program, bound, plan);
    super::lookups::declare(&mut addresses, program);
    let mut entries = Vec::new();
    for (entry, movements) in program.entries.iter().zip(&plan.entries) {
        let plain = movements.routes().next().is_none() && entry.plans.is_empty();
        let lowered = match plain {
            true => moved::entry(&mut addresses, (program, bound), entry, movements),
            false => routed((program, bound, plan), &mut addresses, entry, movements),
        };
        match lowered {
            Ok(lowered) => entries.push(lowered),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    // Who plans reads the owners that any entry over the plan needs.
    for entry in &mut entries {
        addresses.uses(entry);
    }
    let mut schedule = addresses.into_schedule();
    schedule.entries = entries;
    super::names::distinct(&mut schedule);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(schedule) }
}

/// An entry over one route or several: each has kernels of its own, which use its plan. All plans are made before
/// anything moves.
fn routed<'p>(
    (program, bound, plan): (&'p Program, &'p Bindings, &'p Plan),
    at: &mut Addresses<'p>,
    entry: &'p hir::Entry,
    planned: &'p EntryPlan,
) -> Result<Entry, Box<Diagnostic>> {
    let mut routes = Vec::from_iter(planned.routes().chain(entry.plans.iter().copied()));
    routes.sort();
    routes.dedup();
    let (mut prepare, mut plans, mut moves) = (Vec::new(), Vec::new(), Vec::new());
    let mut arrivals = Vec::new();
    let stages = program.stages(entry);
    let last = stages.iter().copied().max().unwrap_or(0);
    for (stage, (i, route)) in units(entry, planned, (&routes, &stages)) {
        let name = match routes.len() {
            1 => entry.name.clone(),
            _ => format!("{}_{}", entry.name, program.routes[route].name),
        };
        let name = moved::stage_name(&name, stage);
        let now = |stmt: usize| stages[stmt] == stage;
        let mine = |m: &&Movement| m.route == route && now(m.stmt);
        let movements = planned.movements.iter().filter(mine).collect();
        let plans_here = stage == 0 && entry.plans.contains(&route);
        let is_last = stage == last;
        let mut moved = Moved::new(at, planned, |m| now(m.stmt) && m.route == Some(route));
        if i == 0 {
            let free = Moved::new(at, planned, |m| now(m.stmt) && m.route.is_none());
            match free.looks_up() {
                // Tables are the home's, whose kernels know no plan.
                true => {
                    let name = moved::stage_name(&format!("{}_beside", entry.name), stage);
                    let of = (entry, name.as_str());
                    let (ahead, step) = moved::apart(at, (program, bound), of, (free, is_last))?;
                    prepare.extend(ahead);
                    moves.push(step);
                }
                false => moved.join(free),
            }
        }
        let mut lowering = EntryLowering {
            program,
            bound,
            plan,
            at,
            entry,
            name,
            movements,
            route,
            plans_here,
            is_last,
        };
        let steps = match Path::of(program, bound, entry) {
            Some(path) => lowering.hops(&path, moved),
            None => lowering.steps(moved),
        }?;
        prepare.extend(steps.prepare);
        plans.extend(steps.plan);
        if plans_here {
            let [before, after] = lowering.count_turns()?;
            prepare.extend(before);
            plans.extend(after);
        }
        moves.extend(steps.moves);
        arrivals.extend(steps.arrivals);
    }
    let (made, taken): (Vec<_>, Vec<_>) = routes.iter().partition(|r| entry.plans.contains(r));
    let of = |routes: Vec<Handle<hir::Route>>| routes.into_iter().map(|r| at.route(r)).collect();
    Ok(Entry {
        name: entry.name.clone(),
        span: entry.span,
        plans: of(made),
        takes: of(taken),
        tensors: Vec::new(),
        temporaries: Vec::new(),
        dyns: Vec::new(),
        arrivals,
        steps: [prepare, plans, moves].concat(),
    })
}

/// The stages of an entry, and in each the routes along which its statements move, the first of which has those without
/// one: (stage, (number, route)).
fn units(
    entry: &hir::Entry,
    planned: &EntryPlan,
    (routes, stages): (&[Handle<hir::Route>], &[usize]),
) -> Vec<(usize, (usize, Handle<hir::Route>))> {
    let mut out = Vec::new();
    for stage in 0..=stages.iter().copied().max().unwrap_or(0) {
        let here = |route: &Handle<hir::Route>| {
            let moves = planned.moves.iter().filter(|m| m.route == Some(*route)).map(|m| m.stmt);
            let rows = planned.movements.iter().filter(|m| m.route == *route).map(|m| m.stmt);
            stage == 0 && entry.plans.contains(route)
                || moves.chain(rows).any(|stmt| stages[stmt] == stage)
        };
        let mut own = Vec::from_iter(routes.iter().copied().filter(here));
        if own.is_empty() {
            own.extend(routes.first());
        }
        out.extend(own.into_iter().enumerate().map(|unit| (stage, unit)));
    }
    out
}
