//! A plan: each CTA counts and numbers a part of the tuples, with histograms in shared memory.

use super::offer::{Offer, Rate, Reason, Refusal};
use crate::arena::Handle;
use crate::kernel::form::Form;
use crate::kernel::pipeline::Pipeline;
use crate::kernel::region::{Memory, Regions};
use crate::kernel::work::{Work, is_plan, resident, sharing};
use crate::schedule::ir::{Route, Schedule};
use crate::target::Target;

/// `docs/performance.md`: 262,144 pairs in 14 us, of which a launch, a barrier and an exchange are 5.
pub(super) const OF_COPY: f64 = 0.23;
/// CTAs that share a multiprocessor.
pub(super) const CTAS_PER_SM: u32 = 2;
/// Tuples of a thread, where there are enough.
const TUPLES: i64 = 2;
/// The prelude's words for sums of warps, and for the number of kept tuples.
const SUMS: i64 = 32 * 4 + 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan;

pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Plan>, Refusal> {
    let (Some(route), Some(handle)) = (work.route(), work.kernel.route) else {
        return Err(Refusal::Route(false));
    };
    if !work.plans() {
        return Err(Refusal::Plan(false));
    }
    let threads = threads(route, work.target);
    let mut shared = Regions::default();
    let bins = route.bins() * 4;
    shared.add(Memory::Dynamic, ("histograms", i64::from(threads / 32) * bins), 4);
    shared.add(Memory::Dynamic, ("starts", bins), 4);
    shared.add(Memory::Dynamic, ("live rows", route.groups * 4), 4);
    shared.add(Memory::Static, ("sums", SUMS), 4);
    let ctas = plan_ctas(work.schedule, work.target, handle);
    let form = Form::new(work, (threads, CTAS_PER_SM)).with(ctas);
    let shared_bytes = (words(route, threads) * 4) as u32;
    Ok(Offer {
        parts: Plan,
        form: Form { shared_bytes, cooperative: true, ..form },
        reason: Reason::Plans,
        shared: shared.0,
        pipeline: Pipeline::default(),
        rate: Rate { of_copy: OF_COPY, measured: true },
    })
}

/// CTAs of a rank that plan a route: its plans keep a histogram of each, so all its kernels agree. Few tuples
/// take few, which then wait for fewer.
pub fn plan_ctas(schedule: &Schedule, target: &Target, route: Handle<Route>) -> u32 {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    let kernels = steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel);
    let planning = kernels.filter(|k| k.route == Some(route) && is_plan(k));
    let blocks = planning.filter_map(|k| k.tuning.blocks).map(|n| n.number).min();
    let most = blocks.unwrap_or(i64::MAX).min(i64::from(resident(target, CTAS_PER_SM)));
    let info = &schedule.routes[route];
    let tuples = info.positions_bound.saturating_mul(info.fan);
    let each = TUPLES * i64::from(threads(info, target).max(32));
    (tuples.saturating_add(each - 1) / each).clamp(1, most.max(1)) as u32
}

/// A histogram for each warp, the starts of all bins, and the live rows of all groups.
fn words(route: &Route, threads: u32) -> i64 {
    (i64::from(threads / 32) + 1) * route.bins() + route.groups
}

/// As many warps as shared memory has histograms for; 0 if it has none.
pub(in crate::kernel) fn threads(route: &Route, target: &Target) -> u32 {
    let fits = |threads: &u32| {
        let sharing = i64::from(sharing(target, (*threads, CTAS_PER_SM)));
        words(route, *threads) * 4 <= target.shared_of_each(sharing) - SUMS
    };
    [512, 256, 128, 64, 32].into_iter().find(fits).unwrap_or(0)
}
