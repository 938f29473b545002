//! The trip of a row from its position to the slots of its tuples.

use crate::arena::Handle;
use crate::schedule::ir::{Access, Ix, Op, Peer, Route, Row, Schedule, Value, Var};

/// The parts of a `Tokens { Load*, Each { (Load | Put)*, Signal* } }` nest.
pub struct Trip<'a> {
    pub schedule: &'a Schedule,
    /// The variable of a position, and how many there are.
    pub position: Handle<Var>,
    pub extent: &'a Ix,
    pub route: &'a Route,
    pub base_position: &'a Ix,
    pub k: Handle<Var>,
    pub group: Handle<Var>,
    pub slot: Handle<Var>,
    pub loads: Vec<(Row, &'a Access)>,
    pub tuple_loads: Vec<(Row, &'a Access)>,
    pub puts: Vec<(&'a Value, &'a Access)>,
    /// Counters of arrivals: name, rank and slot.
    pub signals: Vec<(&'a str, &'a Ix, &'a Ix)>,
}

impl<'a> Trip<'a> {
    pub fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Trip<'a>> {
        let Op::Tokens { var, extent, body } = op else { return None };
        let (each, outer) = body.split_last()?;
        let Op::Each { route, position, k, group, slot, body } = each else { return None };
        let loads = |ops: &'a [Op]| -> Vec<(Row, &'a Access)> {
            ops.iter()
                .filter_map(|op| match op {
                    Op::Load { row, from } => Some((*row, from)),
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
        Some(Trip {
            schedule,
            position: *var,
            extent,
            route: &schedule.routes[*route],
            base_position: position,
            k: *k,
            group: *group,
            slot: *slot,
            loads: loads(outer),
            tuple_loads: loads(body),
            puts,
            signals: body
                .iter()
                .filter_map(|op| match op {
                    Op::Signal { signal, to: Peer::Rank(rank), slot } => {
                        Some((schedule.signals[*signal].name.as_str(), rank, slot))
                    }
                    _ => None,
                })
                .collect(),
        })
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
