//! The trip of a row from its position to the slots of its tuples.

use super::rows::{Arrival, Guarded, arrival, is_alone};
use crate::arena::Handle;
use crate::schedule::ir::{Access, Ix, Kept, Op, Route, Row, Schedule, Value, Var};

/// The parts of a `Tokens { Load*, Each { (Load | Pull | Put | If)*, Signal* }, Signal? }` nest.
pub struct Trip<'a> {
    pub schedule: &'a Schedule,
    /// The variable of a position, and how many there are.
    pub position: Handle<Var>,
    pub extent: &'a Ix,
    pub route: &'a Route,
    /// The variable of the rank that has the rows, where they are fetched.
    pub rank: Option<Handle<Var>>,
    pub tuples: &'a Kept,
    /// Only the first kept tuple of each position makes the trip.
    pub first: bool,
    pub loads: Vec<(Row, &'a Access)>,
    pub tuple_loads: Vec<(Row, &'a Access)>,
    pub puts: Vec<(&'a Value, &'a Access)>,
    /// What is done of each tuple under a condition.
    pub guarded: Vec<Guarded<'a>>,
    /// Counters of arrivals, of tuples and of positions.
    pub signals: Vec<Arrival<'a>>,
    pub arrival: Option<Arrival<'a>>,
}

impl<'a> Trip<'a> {
    pub fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Trip<'a>> {
        if let Op::Peers { rank, body, .. } = op {
            let [tokens] = &body[..] else { return None };
            return Trip::of(schedule, tokens).map(|trip| Trip { rank: Some(*rank), ..trip });
        }
        let Op::Tokens { var, extent, body } = op else { return None };
        let at_end = body.last().and_then(|op| arrival(schedule, op));
        let (each, outer) = body[..body.len() - usize::from(at_end.is_some())].split_last()?;
        let Op::Each { tuples, first, parts: None, body } = each else { return None };
        let loads = |ops: &'a [Op]| -> Vec<(Row, &'a Access)> {
            ops.iter()
                .filter_map(|op| match op {
                    Op::Load { row, from } | Op::Pull { row, from } => Some((*row, from)),
                    _ => None,
                })
                .collect()
        };
        let puts = body
            .iter()
            .filter_map(|op| match op {
                Op::Put { value, to } => Some((value, to)),
                _ => None,
            })
            .collect();
        let guarded: Vec<Guarded> = body
            .iter()
            .filter_map(|op| match op {
                Op::If { guards, body } => Some((&guards[..], &body[..])),
                _ => None,
            })
            .collect();
        if !guarded.iter().all(|(_, ops)| is_alone(ops)) {
            return None;
        }
        Some(Trip {
            schedule,
            position: *var,
            extent,
            route: &schedule.routes[tuples.route],
            rank: None,
            tuples,
            first: *first,
            loads: loads(outer),
            tuple_loads: loads(body),
            puts,
            guarded,
            signals: body.iter().filter_map(|op| arrival(schedule, op)).collect(),
            arrival: at_end,
        })
    }

    /// The rows are other ranks', fetched by those that they go to.
    pub fn is_fetched(&self) -> bool {
        self.rank.is_some()
    }

    /// Where a row comes from: loaded once for the position, or with each tuple.
    pub fn loaded(&self, row: Row) -> Option<Loaded<'a>> {
        let find = |loads: &[(Row, &'a Access)]| {
            loads.iter().find(|(r, _)| *r == row).map(|(_, access)| *access)
        };
        find(&self.loads).map(Loaded::Shared).or_else(|| find(&self.tuple_loads).map(Loaded::Own))
    }
}

/// A row's source.
pub enum Loaded<'a> {
    /// One row for all tuples of the position.
    Shared(&'a Access),
    /// A row for each tuple.
    Own(&'a Access),
}
