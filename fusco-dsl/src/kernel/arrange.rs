//! What a program keeps in its workspaces, and where.

use super::program::DeviceKernel;
use super::strategy::{Strategy, plan_ctas};
use super::workspace::{ALIGN, Field, What, Workspace};
use crate::arena::Handle;
use crate::schedule::ir::{Route, Schedule};
use crate::target::Target;

/// A field and its dimensions.
type Part = (What, Vec<i64>);

/// Of each route, then the home.
pub(super) fn workspaces(
    schedule: &Schedule,
    target: &Target,
    kernels: &[DeviceKernel],
) -> Vec<Workspace> {
    let routes = schedule.routes.iter().map(|(handle, _)| {
        let ctas = plan_ctas(schedule, target, handle);
        laid_out(Some(handle), ctas, plan(schedule, handle, ctas, kernels))
    });
    // Temporaries live beside the home, whoever uses them.
    let own = schedule.entries.iter().any(|e| !e.temporaries.is_empty());
    let kept = own || !epochs(schedule, None).is_empty();
    routes.chain(kept.then(|| laid_out(None, 1, home(schedule)))).collect()
}

fn laid_out(route: Option<Handle<Route>>, ctas: u32, all: Vec<Part>) -> Workspace {
    let mut workspace = Workspace { route, ctas, fields: Vec::new(), bytes: 0 };
    for (what, dims) in all {
        let bytes = dims.iter().product::<i64>() as usize * what.bytes();
        let offset = workspace.bytes;
        workspace.fields.push(Field { what, dims, offset, bytes });
        workspace.bytes += bytes.next_multiple_of(ALIGN);
    }
    workspace
}

fn home(schedule: &Schedule) -> Vec<Part> {
    let mut out = vec![(What::Barrier, Vec::new())];
    out.extend(epochs(schedule, None));
    out.extend(signals(schedule, None));
    out.extend(tables(schedule, None));
    out
}

/// Rows in the mail come first: they begin at whole lines.
fn plan(
    schedule: &Schedule,
    handle: Handle<Route>,
    ctas: u32,
    kernels: &[DeviceKernel],
) -> Vec<Part> {
    let route = &schedule.routes[handle];
    let of = kernels.iter().filter(|k| k.route == Some(handle));
    let (mut out, words): (Vec<_>, Vec<_>) = of.filter_map(|k| mail(schedule, k)).unzip();
    out.extend(words.into_iter().flatten());
    out.extend([(What::Barrier, Vec::new()), (What::Dropped, Vec::new())]);
    out.extend(epochs(schedule, Some(handle)));
    out.push((What::Live, vec![route.groups]));
    out.extend(schedule.bases_of(handle).map(|(base, _)| (What::Base(base), vec![route.groups])));
    out.extend(tables(schedule, Some(handle)));
    out.extend(signals(schedule, Some(handle)));
    out.push((What::Counts, vec![2, route.members, route.bins()]));
    out.push((What::Histograms, vec![i64::from(ctas), route.bins()]));
    out.push((What::Pairs, vec![route.positions_bound * route.fan]));
    out
}

/// What a kernel whose rows come by mail keeps: the rows, and words about them.
fn mail(schedule: &Schedule, kernel: &DeviceKernel) -> Option<(Part, [Part; 2])> {
    let Strategy::Ring(ring) = &kernel.strategy else { return None };
    let (ctas, places) = (i64::from(kernel.form.ctas_per_rank), ring.mail?.places);
    let name = || kernel.name.clone();
    let rows = (What::Mail(name()), vec![ctas, places, ring.pitch()]);
    let came = (What::Came(name()), vec![ctas, places]);
    Some((rows, [came, (What::Asked(name()), vec![schedule.ranks, ctas, places])]))
}

/// One a step, so that alternatives share it.
fn epochs(schedule: &Schedule, route: Option<Handle<Route>>) -> Vec<Part> {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    let last = steps.filter_map(|s| s.alternatives.last()).filter(|a| a.kernel.route == route);
    last.map(|a| (What::Epoch(a.kernel.name.clone()), Vec::new())).collect()
}

fn signals(schedule: &Schedule, route: Option<Handle<Route>>) -> impl Iterator<Item = Part> {
    let own = schedule.signals.iter().filter(move |(_, s)| s.route == route);
    own.map(|(signal, s)| (What::Signal(signal), vec![s.slots]))
}

fn tables(schedule: &Schedule, route: Option<Handle<Route>>) -> impl Iterator<Item = Part> {
    schedule.tables_in(route).map(|(table, t)| (What::Table(table), vec![t.len]))
}
