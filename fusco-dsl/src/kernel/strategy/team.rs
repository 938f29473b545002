//! Sums of rows, a CTA for each position, whose threads have a vector each; short rows have a warp each. Where such CTAs
//! are dealt in order, what is read and written at one time is close in memory.

use super::offer::{Offer, Rate, Reason, Refusal};
use crate::kernel::form::{ByPosition, Form};
use crate::kernel::pipeline::Pipeline;
use crate::kernel::shape::Nest;
use crate::kernel::work::Work;

/// `docs/performance.md`: rows of 14 KiB, 96.7 %; shorter ones were not measured.
pub(super) const OF_COPY: f64 = 0.967;
/// Vectors of a row up to which a warp takes it alone, and warps of a CTA then.
const WARP_VECTORS: i64 = 32;
const WARPS: u32 = 8;
/// Threads of a CTA that takes a position, at most.
const MOST_THREADS: i64 = 512;
/// Registers of a multiprocessor allow so many threads with 42 each, which the sum of a CTA's rows needs.
const THREADS: u32 = 1536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Team {
    /// A CTA takes one position; else each of its warps does.
    pub whole: bool,
}

pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Team>, Refusal> {
    if work.route().is_none() {
        return Err(Refusal::Route(false));
    }
    let nests = work.tokens().map(|op| Nest::of(work.schedule, op).ok_or(Refusal::NoSum));
    let nests = nests.collect::<Result<Vec<Nest>, Refusal>>()?;
    let vectors = nests.iter().map(|n| n.to.run / n.width()).max().ok_or(Refusal::NoSum)?;
    let passes = (vectors + MOST_THREADS - 1) / MOST_THREADS;
    let (threads, each) = match vectors <= WARP_VECTORS {
        true => (WARPS * 32, WARPS),
        false => ((((vectors + passes - 1) / passes) as u32).next_multiple_of(32), 1),
    };
    let form = Form::new(work, (threads, (THREADS / threads).max(1)));
    Ok(Offer {
        parts: Team { whole: each == 1 },
        form: form.dealt(work, ByPosition { each, least: 1 }),
        reason: Reason::Sums { vectors },
        shared: Vec::new(),
        pipeline: Pipeline::default(),
        rate: Rate { of_copy: OF_COPY, measured: vectors > WARP_VECTORS },
    })
}
