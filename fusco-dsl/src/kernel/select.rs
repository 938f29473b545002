//! Chooses what carries each kernel out, and writes down all that it takes.

use super::arrange::workspaces;
use super::cost::Cost;
use super::program::{Choice, DeviceKernel, DeviceProgram, DeviceRole, Epoch, Told};
use super::strategy::{self, Name, Offer, Refusal, Strategy, once};
use super::work::{Work, resident};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::Verified;
use crate::schedule::ir::{
    Entry, Kernel, Op, Role, RoleKind, Route, Schedule, Signal, SignalKind, Step,
};
use crate::target::{Capability, Target};
use std::collections::BTreeSet;

/// The device program of a schedule.
///
/// # Errors
/// F0706 for more CTAs than a device holds, F0999 for sizes beyond 32-bit rows and for stages that no strategy has.
pub fn select<'s>(
    schedule: &'s Verified<Schedule>,
    target: &Target,
) -> Result<DeviceProgram<'s>, Diagnostics> {
    routes_fit(schedule, target)?;
    let mut diagnostics = Diagnostics::default();
    let mut kernels = Vec::new();
    for (number, entry) in schedule.entries.iter().enumerate() {
        // Alternatives may share a kernel.
        let mut seen = BTreeSet::new();
        for step in &entry.steps {
            for kernel in step.alternatives.iter().map(|a| &a.kernel) {
                if seen.insert(&kernel.name) {
                    let chosen = match choose(schedule, target, (number, step, kernel)) {
                        Ok(chosen) => chosen,
                        Err(rejected) => {
                            diagnostics.push(nobody(entry, kernel, &rejected));
                            continue;
                        }
                    };
                    let found = refused(&chosen, target, kernel);
                    let said = |d: &Diagnostic| diagnostics.0.iter().any(|o| o.span == d.span);
                    let found = found.filter(|d| !said(d));
                    diagnostics.0.extend(found);
                    kernels.push(chosen);
                }
            }
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let workspaces = workspaces(schedule, target, &kernels);
    Ok(DeviceProgram { schedule, target: target.clone(), kernels, workspaces })
}

/// F0999 for routes whose rows or bins exceed a device.
fn routes_fit(schedule: &Schedule, target: &Target) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    for (_, route) in schedule.routes.iter() {
        let tuples = route.positions_bound.saturating_mul(route.fan).saturating_mul(route.members);
        if tuples + route.groups * 128 > i64::from(i32::MAX) {
            let what = format!("{tuples} tuples, which need 64-bit rows");
            diagnostics.push(Diagnostic::unsupported(route.span, what).help("bind smaller sizes"));
        }
        if strategy::plan_threads(route, target) == 0 {
            let arch = target.architecture.name;
            let what = format!("{} bins, which exceed the shared memory of {arch}", route.bins());
            let help = "take fewer groups, or write the keys that are sharded first";
            diagnostics.push(Diagnostic::unsupported(route.span, what).help(help));
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(()) }
}

/// F0999: shared memory has no room for what the kernel stages.
fn nobody(entry: &Entry, kernel: &Kernel, rejected: &[Rejected]) -> Diagnostic {
    let why = rejected.iter().map(|(name, refusal, _)| format!("{name}: {refusal}"));
    let what = format!("the kernel `{}` on this architecture", kernel.name);
    Diagnostic::unsupported(entry.span, what)
        .note(why.collect::<Vec<_>>().join("; "))
        .help("move some of its tensors in an entry of their own")
}

type Rejected = (Name, Refusal, Option<Cost>);

/// What carries a kernel out, and its roles in the way that it is done.
type Taken<'a> = (Work<'a>, Offer<Strategy>);

/// The first strategy that makes an offer.
fn choose(
    schedule: &Schedule,
    target: &Target,
    (entry, step, kernel): (usize, &Step, &Kernel),
) -> Result<DeviceKernel, Vec<Rejected>> {
    let last = step.alternatives.last().map_or(kernel, |a| &a.kernel);
    let (mut taken, mut rejected) = ways(Work::new(schedule, target, last));
    if last.name != kernel.name {
        // Launches of one step count the same handshakes.
        let fetches = taken.as_ref().is_some_and(|(work, _)| work.is_fetched());
        let work = Work::new(schedule, target, kernel);
        let work = work.fetched().filter(|_| fetches).unwrap_or(work);
        let (offer, others) = offers(&work);
        (taken, rejected) = (offer.map(|offer| (work, offer)), others);
    }
    let Some((work, offer)) = taken else { return Err(rejected) };
    let choice =
        Choice { reason: offer.reason, rate: offer.rate, cost: Cost::of(&work, &offer), rejected };
    Ok(device_kernel(&work, (entry, step), offer, choice))
}

/// Rows are pushed, or fetched where that is expected to be quicker. Where all ranks share memory nothing crosses a
/// link, and a row that is pushed is read once as it is.
fn ways(pushed: Work) -> (Option<Taken>, Vec<Rejected>) {
    let (first, mut rejected) = offers(&pushed);
    let fetched = pushed.fetched().filter(|_| !pushed.alone);
    let other = fetched.and_then(|work| Some((Cost::of(&work, &once(&work).ok()?), work)));
    let cost = first.as_ref().map(|offer| Cost::of(&pushed, offer));
    let quicker = |other: &Cost| cost.is_none_or(|cost| other.time < cost.time);
    match other {
        Some((other, work)) if quicker(&other) => {
            rejected.retain(|(name, ..)| *name != Name::Once);
            rejected.extend(first.map(|offer| (offer.parts.name(), Refusal::Slower, cost)));
            (once(&work).ok().map(|offer| (work, offer)), rejected)
        }
        other => {
            let slower = other.map(|(cost, _)| (Name::Once, Refusal::Slower, Some(cost)));
            if slower.is_some() {
                rejected.retain(|(name, ..)| *name != Name::Once);
            }
            rejected.extend(slower);
            (first.map(|offer| (pushed, offer)), rejected)
        }
    }
}

/// The first offer, and why there is none of the others.
fn offers(work: &Work) -> (Option<Offer<Strategy>>, Vec<Rejected>) {
    let mut rejected: Vec<Rejected> = Vec::new();
    let mut taken: Option<Offer<Strategy>> = None;
    for (name, consider) in strategy::ALL {
        match consider(work) {
            Err(refusal) => rejected.push((*name, refusal, None)),
            Ok(offer) if taken.is_some() => {
                rejected.push((*name, Refusal::Later, Some(Cost::of(work, &offer))));
            }
            Ok(offer) => taken = Some(offer),
        }
    }
    (taken, rejected)
}

fn device_kernel(
    work: &Work,
    (entry, step): (usize, &Step),
    offer: Offer<Strategy>,
    choice: Choice,
) -> DeviceKernel {
    let (schedule, kernel) = (work.schedule, work.kernel);
    let plans = matches!(offer.parts, Strategy::Plan(_));
    let shakes = !work.alone || plans;
    let cleared: Vec<Handle<Signal>> = match work.alone && plans {
        true => counters(schedule, kernel.route).collect(),
        false => Vec::new(),
    };
    let epochs = has_epoch(work);
    let told = match (epochs, shakes) {
        (true, true) => Told::Awaited,
        (true, false) if kernel.route.is_some() => Told::AtStart,
        _ => Told::Never,
    };
    let handshake = |r: &&Role| matches!(r.kind, RoleKind::Open | RoleKind::Close);
    let roles = work.roles.iter().filter(|r| shakes || !handshake(r)).map(|role| DeviceRole {
        kind: role.kind,
        text: role.text.clone(),
        ops: ops(role, &cleared),
        own_ctas: offer.form.flat && !matches!(role.kind, RoleKind::Produce | RoleKind::Reduce),
        publishes: told == Told::Awaited && matches!(role.kind, RoleKind::Plan | RoleKind::Open),
    });
    DeviceKernel {
        name: kernel.name.clone(),
        entry,
        route: kernel.route,
        roles: roles.collect(),
        epoch: step
            .alternatives
            .last()
            .filter(|_| epochs)
            .map(|last| Epoch { kernel: last.kernel.name.clone(), told }),
        zeroed: if shakes { Vec::new() } else { opened(work.roles) },
        cleared,
        strategy: offer.parts,
        form: offer.form,
        shared: offer.shared,
        pipeline: offer.pipeline,
        choice,
    }
}

/// A kernel that makes a plan anew zeroes all its counters, so that launches that take the plan need not.
fn ops(role: &Role, cleared: &[Handle<Signal>]) -> Vec<Op> {
    if cleared.is_empty() || role.kind != RoleKind::Plan {
        return role.body.clone();
    }
    let resets = cleared.iter().map(|signal| Op::Reset { signal: *signal });
    let others = role.body.iter().filter(|op| !matches!(op, Op::Reset { .. })).cloned();
    resets.chain(others).collect()
}

/// Every counter of arrivals in a route's plan.
fn counters(
    schedule: &Schedule,
    route: Option<Handle<Route>>,
) -> impl Iterator<Item = Handle<Signal>> {
    let own = move |s: &Signal| s.route == route && matches!(s.kind, SignalKind::Tiles);
    schedule.signals.iter().filter(move |(_, s)| own(s)).map(|(handle, _)| handle)
}

/// The counters that the handshake at the kernel's start would reset.
fn opened(roles: &[Role]) -> Vec<Handle<Signal>> {
    let open = roles.iter().filter(|r| r.kind == RoleKind::Open).flat_map(|r| &r.body);
    let reset = open.filter_map(|op| match op {
        Op::Reset { signal } => Some(*signal),
        _ => None,
    });
    reset.collect()
}

fn has_epoch(work: &Work) -> bool {
    let schedule = work.schedule;
    let epoch = |signal: &Signal| matches!(signal.kind, SignalKind::Epoch { .. });
    let mut found = false;
    for op in work.ops() {
        op.walk(&mut |op| {
            if let Op::Wait { signal, .. } | Op::Signal { signal, .. } = op {
                found |= epoch(&schedule.signals[*signal]);
            }
        });
    }
    found
}

/// What the program asks of a kernel and does not get.
fn refused(chosen: &DeviceKernel, target: &Target, kernel: &Kernel) -> Option<Diagnostic> {
    too_many(chosen, target, kernel).or_else(|| unstaged(chosen, target, kernel))
}

/// F0706: more CTAs than are resident.
fn too_many(chosen: &DeviceKernel, target: &Target, kernel: &Kernel) -> Option<Diagnostic> {
    let blocks = kernel.tuning.blocks?;
    let form = &chosen.form;
    let most = resident(target, form.resident);
    if blocks.number <= i64::from(most) {
        return None;
    }
    let message =
        format!("{} CTAs a rank of kernel `{}` cannot be resident", blocks.number, kernel.name);
    let note = format!(
        "{} SMs x {} / {} ranks = {most}; spinning waits would hang",
        target.sms, form.resident, target.ranks_per_device
    );
    let help = format!("ask for `blocks {most}` or fewer");
    Some(Diagnostic::error("F0706", blocks.span, message).note(note).help(help))
}

/// F0999: stages that the kernel does not have.
fn unstaged(chosen: &DeviceKernel, target: &Target, kernel: &Kernel) -> Option<Diagnostic> {
    let stages = kernel.tuning.stages?;
    if chosen.stages() == Some(stages.number) {
        return None;
    }
    let arch = target.architecture.name;
    let what = format!("{} stages of kernel `{}`", stages.number, kernel.name);
    let note = match target.has(Capability::BulkCopy) {
        true => format!(
            "rows of a route pass through the {} KiB of shared memory of {arch} if they are multiples of 16 bytes and all stages fit; sums take 4 to 32 stages of rows of 8 KiB or more, and no `blocks`",
            target.shared / 1024
        ),
        false => format!("{arch} has no copy engine that takes rows through shared memory"),
    };
    let help = "leave the directive out: the compiler chooses";
    Some(Diagnostic::unsupported(stages.span, what).note(note).help(help))
}
