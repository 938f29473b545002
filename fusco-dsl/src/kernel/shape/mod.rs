//! The shapes of ops: what a back end's strategies can carry out, told apart once, before anything is chosen.
//!
//! Enters: an op of a verified schedule. Leaves: its parts by name. An op that has no shape is refused here, with
//! what it lacks, so that no printer meets it.

mod gather;
mod grid;
mod rows;
mod scatter;
mod size;
mod tile;

pub use gather::Nest;
pub use grid::{Parts, UNROLL, Written};
pub use rows::{Arrival, Guarded, Rows, arrival};
pub use scatter::{Loaded, Trip};
pub use size::{count, row_bytes};
pub use tile::{bytes as tile_bytes, is_large};

use crate::arena::Handle;
use crate::schedule::ir::{
    Access, Claims, Deal, Guard, Ix, Op, Peer, Route, Schedule, Signal, Table, Tensor, Tile, Until,
    Value, Var,
};
use std::fmt;

/// A top-level op of a role, or one inside `Once` and `Groups`.
pub enum Shape<'a> {
    Scatter(Trip<'a>),
    Gather(Nest<'a>),
    Rows(Rows<'a>),
    Grid(Parts<'a>),
    Tile(&'a Tile),
    Padding(Padding<'a>),
    /// Ops for each group of this rank.
    Groups {
        deal: Handle<Deal>,
        var: Handle<Var>,
        body: &'a [Op],
    },
    Once(&'a [Op]),
    /// Every element of a buffer gets these bits.
    FillAll(Handle<Tensor>, u64),
    /// A number, stored.
    Number {
        value: &'a Ix,
        to: &'a Access,
    },
    Prefix(Prefix<'a>),
    Positions {
        table: Handle<Table>,
        var: Handle<Var>,
        extent: i64,
        owner: &'a Ix,
    },
    Claim(&'a Claims),
    Distinct(&'a Claims),
    Count(Handle<Route>),
    Scan(Handle<Route>),
    Tables(Handle<Route>),
    Slots(Handle<Route>),
    Barrier,
    Reset(Handle<Signal>),
    /// To every rank.
    Signal {
        signal: Handle<Signal>,
        slot: &'a Ix,
    },
    Wait {
        signal: Handle<Signal>,
        until: &'a Until,
    },
}

/// Rows past the live ones of each group, filled with these bits.
pub struct Padding<'a> {
    pub deal: Handle<Deal>,
    pub group: Handle<Var>,
    pub slot: Handle<Var>,
    pub until: &'a Ix,
    pub to: &'a Access,
    pub bits: u64,
}

/// A table of the sums of the counts before each group.
pub struct Prefix<'a> {
    pub table: Handle<Table>,
    pub rank: (Handle<Var>, i64),
    pub groups: &'a [(Handle<Var>, i64)],
    pub guards: &'a [Guard],
    pub count: &'a Ix,
    pub align: i64,
}

/// An op that no strategy carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// It stands where only whole loops do.
    Loose(&'static str),
    /// A loop over positions is neither a scatter nor a sum of rows.
    Tokens,
    Grid,
    /// Padding is filled with nothing else.
    Padding,
    /// A signal to one rank that no row comes before.
    Signal,
}

impl<'a> Shape<'a> {
    /// The shape of an op of a CTA with so many threads.
    ///
    /// # Errors
    /// Why it has none.
    pub fn of(schedule: &'a Schedule, op: &'a Op, threads: i64) -> Result<Shape<'a>, Gap> {
        match op {
            Op::Tokens { .. } if sums(op) => Nest::of(schedule, op)
                .map(Shape::Gather)
                .or_else(|| Rows::of(schedule, op).map(Shape::Rows))
                .ok_or(Gap::Tokens),
            Op::Tokens { .. } | Op::Peers { .. } => {
                Trip::of(schedule, op).map(Shape::Scatter).ok_or(Gap::Tokens)
            }
            Op::Grid { .. } => Parts::of(schedule, op, threads).map(Shape::Grid).ok_or(Gap::Grid),
            Op::Tile(tile) => Ok(Shape::Tile(tile)),
            Op::Padding { deal, group, slot, until, body } => match &body[..] {
                [Op::Fill { to, bits }] => Ok(Shape::Padding(Padding {
                    deal: *deal,
                    group: *group,
                    slot: *slot,
                    until,
                    to,
                    bits: *bits,
                })),
                _ => Err(Gap::Padding),
            },
            Op::Groups { deal, var, body } => Ok(Shape::Groups { deal: *deal, var: *var, body }),
            Op::Once { body } => Ok(Shape::Once(body)),
            Op::FillAll { tensor, bits } => Ok(Shape::FillAll(*tensor, *bits)),
            Op::Prefix { table, rank, groups, guards, count, align } => {
                let (table, rank, align) = (*table, *rank, *align);
                Ok(Shape::Prefix(Prefix { table, rank, groups, guards, count, align }))
            }
            Op::Positions { table, var, extent, owner } => {
                Ok(Shape::Positions { table: *table, var: *var, extent: *extent, owner })
            }
            Op::Claim(claims) => Ok(Shape::Claim(claims)),
            Op::Distinct(claims) => Ok(Shape::Distinct(claims)),
            Op::Count { route } => Ok(Shape::Count(*route)),
            Op::Scan { route } => Ok(Shape::Scan(*route)),
            Op::Tables { route } => Ok(Shape::Tables(*route)),
            Op::Slots { route } => Ok(Shape::Slots(*route)),
            Op::Put { value: Value::Int(value), to } => Ok(Shape::Number { value, to }),
            Op::Barrier => Ok(Shape::Barrier),
            Op::Reset { signal } => Ok(Shape::Reset(*signal)),
            Op::Signal { signal, to: Peer::All, slot } => {
                Ok(Shape::Signal { signal: *signal, slot })
            }
            Op::Signal { to: Peer::Rank(_), .. } => Err(Gap::Signal),
            Op::Wait { signal, until } => Ok(Shape::Wait { signal: *signal, until }),
            Op::For { .. } => Err(Gap::Loose("a loop")),
            Op::Summed { .. } => Err(Gap::Loose("what waits for a sum")),
            Op::If { .. } => Err(Gap::Loose("a condition")),
            Op::Each { .. } => Err(Gap::Loose("a loop over tuples")),
            Op::Load { .. } | Op::Pull { .. } => Err(Gap::Loose("a load")),
            Op::Put { .. } | Op::Fill { .. } => Err(Gap::Loose("a store of rows")),
            Op::Reduce { .. } => Err(Gap::Loose("a term of a sum")),
        }
    }
}

/// Whether a loop over positions leaves a row for each, which is computed.
pub fn sums(op: &Op) -> bool {
    let row = |op: &Op| {
        matches!(op, Op::Put { value: Value::Sum { .. }, .. } | Op::If { .. } | Op::Summed { .. })
    };
    op.body().iter().any(row)
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Loose(what) => write!(f, "{what} stands outside of what carries it out"),
            Gap::Tokens => {
                write!(f, "a loop over positions neither scatters rows nor sums them up")
            }
            Gap::Grid => write!(f, "a grid stores nothing at its end"),
            Gap::Padding => write!(f, "padding is more than one fill"),
            Gap::Signal => write!(f, "a signal to one rank has no row before it"),
        }
    }
}
