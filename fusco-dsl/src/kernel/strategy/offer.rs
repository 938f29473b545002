//! What a strategy offers for a kernel, or why it makes no offer.

use crate::kernel::form::Form;
use crate::kernel::pipeline::Pipeline;
use crate::kernel::region::Region;
use crate::target::Capability;
use std::fmt;

/// A strategy that would do, and all that it takes.
pub struct Offer<Parts> {
    /// The sizes that are the strategy's own.
    pub parts: Parts,
    pub form: Form,
    pub reason: Reason,
    pub shared: Vec<Region>,
    pub pipeline: Pipeline,
    pub rate: Rate,
}

impl<Parts> Offer<Parts> {
    /// The same with other parts.
    pub fn map<Other>(self, of: impl FnOnce(Parts) -> Other) -> Offer<Other> {
        let Offer { parts, form, reason, shared, pipeline, rate } = self;
        Offer { parts: of(parts), form, reason, shared, pipeline, rate }
    }
}

/// Of what a copy of the same bytes reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub of_copy: f64,
    /// Whether that was measured, or is what its neighbours reach.
    pub measured: bool,
}

/// Why a strategy was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The kernel makes a plan.
    Plans,
    /// No route: points or tiles, dealt to CTAs.
    NoRoute,
    /// Rows of so many bytes, which the copy engine moves while threads only find their places.
    LongRows { bytes: i64 },
    /// Each CTA has so many positions: memory is never without rows to fetch.
    ManyPositions { each: i64 },
    /// The kernel only adds rows up, each of so many vectors.
    Sums { vectors: i64 },
    /// The program asks for stages.
    Stages,
    /// A row crosses a link once for each rank that it goes to.
    Once,
    /// It carries out whatever has a route.
    General,
}

/// Why a strategy does not carry a kernel out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel makes a plan, or makes none.
    Plan(bool),
    /// It has a route, or has none.
    Route(bool),
    Lacks(Capability),
    /// It does not scatter rows, or not in one loop.
    NoScatter,
    /// It does not add rows up, or not in one loop.
    NoSum,
    /// Rows change on the way.
    Computes,
    /// Rows are added up part by part.
    Parts,
    /// Only some rows are moved: where a condition holds, or the first of a position.
    Chosen,
    /// A row is moved in accesses of so many bytes, not 16.
    Narrow {
        bytes: i64,
    },
    /// A row beside the long ones has more vectors than a thread takes by itself.
    Beside {
        vectors: i64,
        most: i64,
    },
    /// Rows of so many bytes do not pay.
    Short {
        bytes: i64,
        least: i64,
    },
    /// A position has more tuples than a warp has lanes.
    Tuples {
        number: i64,
        most: i64,
    },
    /// A term reads more than one row.
    Rows {
        number: usize,
    },
    /// Shared memory has no room for it.
    Room {
        bytes: i64,
        most: i64,
    },
    /// A number of stages that it does not have.
    Stages {
        asked: i64,
        least: i64,
        most: i64,
    },
    /// A CTA has fewer positions than pay.
    Positions {
        each: i64,
        least: i64,
    },
    /// The program asks for a number of CTAs, which it deals by itself.
    Blocks,
    /// A word of a peer cannot name so many bytes of rows.
    Named {
        bytes: i64,
        most: i64,
    },
    /// Rows are fetched by the ranks that they go to, or are pushed.
    Fetched(bool),
    /// One that is asked earlier does it.
    Later,
    /// Another way to do it is expected to be quicker.
    Slower,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Plans => write!(f, "the kernel makes a plan"),
            Reason::NoRoute => write!(f, "no route: points and tiles are dealt to CTAs"),
            Reason::LongRows { bytes } => {
                write!(f, "rows of {bytes} bytes: the copy engine moves them")
            }
            Reason::ManyPositions { each } => {
                write!(f, "{each} positions a CTA: memory always has rows to fetch")
            }
            Reason::Sums { vectors } => {
                write!(f, "the kernel only adds rows up, of {vectors} vectors")
            }
            Reason::Once => write!(f, "a row crosses once to each rank that has slots for it"),
            Reason::Stages => write!(f, "the program asks for stages"),
            Reason::General => write!(f, "takes whatever has a route"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Plan(true) => write!(f, "the kernel makes a plan"),
            Refusal::Plan(false) => write!(f, "the kernel makes no plan"),
            Refusal::Route(true) => write!(f, "the kernel has a route"),
            Refusal::Route(false) => write!(f, "the kernel has no route"),
            Refusal::Lacks(Capability::BulkCopy) => {
                write!(f, "the architecture has no copy engine")
            }
            Refusal::NoScatter => write!(f, "the kernel is not one scatter of rows"),
            Refusal::NoSum => write!(f, "the kernel is not one sum of rows"),
            Refusal::Computes => write!(f, "rows change on the way"),
            Refusal::Parts => write!(f, "rows are added up part by part"),
            Refusal::Chosen => write!(f, "only some rows are moved"),
            Refusal::Narrow { bytes } => write!(f, "accesses of {bytes} bytes, not 16"),
            Refusal::Beside { vectors, most } => {
                write!(f, "a row beside the long ones has {vectors} vectors, at most {most}")
            }
            Refusal::Short { bytes, least } => write!(f, "rows of {bytes} bytes, at least {least}"),
            Refusal::Tuples { number, most } => {
                write!(f, "{number} tuples a position, at most {most}")
            }
            Refusal::Rows { number } => write!(f, "{number} rows a term, not 1"),
            Refusal::Room { bytes, most } => {
                write!(f, "{bytes} bytes of shared memory, at most {most}")
            }
            Refusal::Stages { asked, least, most } => {
                write!(f, "{asked} stages, not {least} to {most}")
            }
            Refusal::Positions { each, least } => {
                write!(f, "{each} positions a CTA, at least {least}")
            }
            Refusal::Blocks => write!(f, "the program asks for a number of CTAs"),
            Refusal::Named { bytes, most } => {
                write!(f, "{bytes} bytes of rows to name by a word, at most {most}")
            }
            Refusal::Fetched(true) => write!(f, "rows are fetched"),
            Refusal::Fetched(false) => write!(f, "rows are pushed"),
            Refusal::Slower => write!(f, "would do; another is expected to be quicker"),
            Refusal::Later => write!(f, "would do; an earlier one is expected to be quicker"),
        }
    }
}
