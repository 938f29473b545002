//! The launch of a kernel: how many threads share its work, and what they take.

use super::work::{Work, sharing};

/// A launch of one kernel, without its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
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
    /// CTAs are not dealt to ranks beforehand.
    pub flat: bool,
}

/// A grid whose CTAs are dealt to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByPosition {
    /// Positions that a CTA takes.
    pub each: u32,
    /// CTAs for what else the kernel does.
    pub least: u32,
}

impl ByPosition {
    /// CTAs in x for so many positions, at most `most`.
    pub fn ctas(self, positions: u32, most: u32) -> u32 {
        positions.div_ceil(self.each).max(self.least).min(most).max(1)
    }
}

/// CTAs of a rank in one launch, at most.
pub(super) const MOST_CTAS: i64 = 1 << 20;

impl Form {
    /// CTAs of so many threads, `resident` on a multiprocessor; as many of a rank as the program asks for, or as are
    /// resident at once.
    pub(super) fn new(work: &Work, (threads, resident): (u32, u32)) -> Form {
        let resident = sharing(work.target, (threads, resident));
        let ctas = work.asked(work.resident(resident));
        Form {
            threads,
            resident,
            ctas_per_rank: ctas,
            grid: (ctas, work.target.ranks_per_device),
            by_position: None,
            shared_bytes: 0,
            cooperative: !work.alone,
            alone: work.alone,
            flat: false,
        }
    }

    /// With so many CTAs a rank.
    pub(super) fn with(self, ctas_per_rank: u32) -> Form {
        Form { ctas_per_rank, grid: (ctas_per_rank, self.grid.1), ..self }
    }

    /// CTAs for all positions, dealt in order, where nothing waits and the program asks for no number of them.
    pub(super) fn dealt(self, work: &Work, by: ByPosition) -> Form {
        let Some(route) =
            work.route().filter(|_| self.alone && work.kernel.tuning.blocks.is_none())
        else {
            return self;
        };
        let positions = u32::try_from(route.positions_bound).unwrap_or(u32::MAX);
        let ctas = by.ctas(positions, MOST_CTAS as u32);
        Form { by_position: Some(by), ..self.with(ctas) }
    }

    /// Where all ranks share the launch, so many CTAs are dealt to positions of any rank: none is left over.
    pub(super) fn flat(self, all: u32) -> Form {
        if self.alone { Form { grid: (all, 1), flat: true, ..self } } else { self }
    }

    /// CTAs of the launch.
    pub fn ctas(&self) -> u32 {
        self.grid.0.saturating_mul(self.grid.1)
    }

    /// Registers that a thread may have for so many CTAs to share a multiprocessor.
    pub fn registers(&self) -> u32 {
        (REGISTERS / (self.threads * self.resident).max(1) / 8 * 8).min(255)
    }
}

/// Registers of a multiprocessor, of every architecture since sm_80.
pub(super) const REGISTERS: u32 = 64 * 1024;
