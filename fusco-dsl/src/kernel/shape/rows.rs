//! Rows of positions that are computed in more ways than one sum of products.

use crate::arena::Handle;
use crate::schedule::ir::{Guard, Ix, Op, Peer, Schedule, Value, Var};

/// A counter of arrivals: its name, the rank and the slot.
pub type Arrival<'a> = (&'a str, &'a Ix, &'a Ix);

/// The ops of a row, and when they are done.
pub type Guarded<'a> = (&'a [Guard], &'a [Op]);

/// The parts of a `Tokens { (Put | If { (Load | Pull | Put)* })*, Signal? }` nest.
pub struct Rows<'a> {
    /// The variable of a position, and how many there are.
    pub position: Handle<Var>,
    pub extent: &'a Ix,
    pub rows: Vec<Guarded<'a>>,
    pub arrival: Option<Arrival<'a>>,
}

impl<'a> Rows<'a> {
    pub fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Rows<'a>> {
        let Op::Tokens { var, extent, body } = op else { return None };
        let arrival = body.last().and_then(|op| arrival(schedule, op));
        let before = &body[..body.len() - usize::from(arrival.is_some())];
        let row = |op: &'a Op| match op {
            Op::Put { value: Value::Sum { .. }, .. } => Some((&[][..], std::slice::from_ref(op))),
            Op::If { guards, body } if is_alone(body) => Some((&guards[..], &body[..])),
            _ => None,
        };
        let rows = before.iter().map(row).collect::<Option<Vec<Guarded>>>()?;
        Some(Rows { position: *var, extent, rows, arrival })
    }
}

/// Whether the ops compute, move or store rows that share nothing with others.
pub(super) fn is_alone(ops: &[Op]) -> bool {
    ops.iter().all(|op| match op {
        Op::Load { .. } | Op::Pull { .. } => true,
        Op::Put { value, .. } => {
            matches!(value, Value::Sum { .. } | Value::Row(_) | Value::Int(_))
        }
        _ => false,
    })
}

/// What an op counts of a rank, if it does.
pub fn arrival<'a>(schedule: &'a Schedule, op: &'a Op) -> Option<Arrival<'a>> {
    match op {
        Op::Signal { signal, to: Peer::Rank(rank), slot } => {
            Some((schedule.signals[*signal].name.as_str(), rank, slot))
        }
        _ => None,
    }
}
