//! How the CTAs of a kernel share its work: threads, shared memory, and how many there are.

use super::launch::ByPosition;
use super::staged::{Ring, Staged};

/// The work of one CTA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A part of the tuples to plan.
    Plan,
    /// A part of a flat grid, or some tiles.
    Moves,
    /// A position for each warp.
    Warps,
    /// Positions whose rows pass through shared memory.
    Bulk(Staged),
    /// Positions whose tuples' rows pass through shared memory on their way into a sum.
    Ring(Ring),
    /// One position.
    Team,
}

/// A launch of one kernel, without its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub work: Work,
    pub threads: u32,
    /// CTAs that share a multiprocessor, at least.
    pub resident: u32,
    /// CTAs that share the work of one rank.
    pub ctas_per_rank: u32,
    /// Those by ranks; or all of a device, dealt to its ranks in turn.
    pub grid: (u32, u32),
    /// The CTAs are those of the most positions there may be: a launch may have fewer.
    pub by_position: Option<ByPosition>,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    /// CTAs wait for each other.
    pub cooperative: bool,
    /// All ranks share the launch, whose start and end are then all the handshake there is to make.
    pub alone: bool,
}

impl Form {
    /// Handshakes at the start and the end of the kernel are emitted.
    pub fn shakes(&self) -> bool {
        !self.alone || self.work == Work::Plan
    }

    /// The kernel makes a plan anew and zeroes all its counters, so that launches that take it need not.
    pub fn clears(&self) -> bool {
        self.alone && self.work == Work::Plan
    }

    /// CTAs are not dealt to ranks beforehand.
    pub fn is_flat(&self) -> bool {
        self.alone && matches!(self.work, Work::Bulk(_) | Work::Ring(_))
    }
}

/// Parts of shared memory that a kernel's rows pass through in turn; `None` if they do not.
pub(crate) fn stages(form: &Form) -> Option<i64> {
    match &form.work {
        Work::Bulk(staged) => Some(staged.stages),
        Work::Ring(ring) => Some(ring.slots),
        Work::Plan | Work::Moves | Work::Warps | Work::Team => None,
    }
}
