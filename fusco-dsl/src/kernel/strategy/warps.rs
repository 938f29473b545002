//! A warp for each position: rows that are too short for the copy engine or change on the way, and what else a kernel
//! with a route does.

use super::offer::{Offer, Rate, Reason, Refusal};
use crate::kernel::form::{ByPosition, Form};
use crate::kernel::pipeline::Pipeline;
use crate::kernel::work::Work;

/// `docs/performance.md`: rows of 512 bytes, 88 %.
pub(super) const OF_COPY: f64 = 0.88;
/// Threads of a CTA, and such CTAs of a multiprocessor.
const SIZE: (u32, u32) = (256, 4);
/// Positions of a warp, at most.
const MOST_POSITIONS: u32 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warps {
    /// Positions that a warp takes between two signals.
    pub batch: i64,
}

pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Warps>, Refusal> {
    if work.route().is_none() {
        return Err(Refusal::Route(false));
    }
    if work.plans() {
        return Err(Refusal::Plan(true));
    }
    let tuning = &work.kernel.tuning;
    let warps = SIZE.0 / 32;
    let form = Form::new(work, SIZE);
    let chunk = tuning.chunk.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX));
    let each = (chunk / warps).clamp(1, MOST_POSITIONS) * warps;
    let least = form.ctas_per_rank;
    let form = form.dealt(work, ByPosition { each, least });
    let between = form.by_position.map_or(tuning.chunk(), |by| i64::from(by.each));
    Ok(Offer {
        parts: Warps { batch: (between / i64::from(warps)).max(1) },
        form,
        reason: Reason::General,
        shared: Vec::new(),
        pipeline: Pipeline::default(),
        rate: Rate { of_copy: OF_COPY, measured: true },
    })
}
