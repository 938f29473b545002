//! The memory of a plan on one rank: what lies where.

use crate::arena::Handle;
use crate::schedule::ir::{Base, Route, Signal, Table};

/// Each field starts at a multiple of so many bytes.
pub const ALIGN: usize = 16;

#[derive(Clone, Debug)]
pub struct Workspace {
    /// The route that is planned; `None` is the home.
    pub route: Option<Handle<Route>>,
    /// CTAs of a rank that plan it.
    pub ctas: u32,
    pub fields: Vec<Field>,
    pub bytes: usize,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub what: What,
    /// Elements; none is one of them.
    pub dims: Vec<i64>,
    pub offset: usize,
    pub bytes: usize,
}

/// What a field is; kernels are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The word of the rank's barrier.
    Barrier,
    Dropped,
    /// Launches of a kernel.
    Epoch(String),
    /// Live rows of each group.
    Live,
    Base(Handle<Base>),
    Table(Handle<Table>),
    Signal(Handle<Signal>),
    Counts,
    Histograms,
    Pairs,
    /// Rows that peers push, how many have come for each place, and what peers ask for.
    Mail(String),
    Came(String),
    Asked(String),
}

impl What {
    /// Bytes of an element.
    pub(super) fn bytes(&self) -> usize {
        match self {
            What::Mail(_) => 16,
            What::Pairs => 8,
            _ => 4,
        }
    }
}
