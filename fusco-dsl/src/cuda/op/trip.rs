//! The trip of a row from its position to the slots of its tuples, as the ops say it and as text.

use super::{computed, ix};
use crate::arena::Handle;
use crate::cuda::index::{bare, pointer};
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Guard, Ix, Kept, Op, Peer, Route, Row, Schedule, Value, Var};

/// The parts of a `Tokens { Load*, Each { (Load | Pull | Put)*, Signal* }, Signal? }` nest.
pub(super) struct Trip<'a> {
    pub schedule: &'a Schedule,
    pub position: String,
    pub extent: &'a Ix,
    pub route: &'a Route,
    pub tuples: &'a Kept,
    /// Only the first kept tuple of each position makes the trip.
    pub first: bool,
    pub loads: Vec<(Row, &'a Access)>,
    pub tuple_loads: Vec<(Row, &'a Access)>,
    pub puts: Vec<(&'a Value, &'a Access)>,
    /// What is done of each tuple under a condition.
    pub guarded: Vec<(&'a [Guard], &'a [Op])>,
    /// Counters of arrivals: name, rank and slot.
    pub signals: Vec<(&'a str, &'a Ix, &'a Ix)>,
    /// The same, of positions.
    pub arrival: Option<(&'a str, &'a Ix, &'a Ix)>,
}

impl<'a> Trip<'a> {
    pub(super) fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Trip<'a>> {
        let Op::Tokens { var, extent, body } = op else { return None };
        let arrival = body.last().and_then(|op| arrival(schedule, op));
        let (each, outer) = body[..body.len() - usize::from(arrival.is_some())].split_last()?;
        let Op::Each { tuples, first, body } = each else { return None };
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
        Some(Trip {
            schedule,
            position: var_name(schedule, *var),
            extent,
            route: &schedule.routes[tuples.route],
            tuples,
            first: *first,
            loads: loads(outer),
            tuple_loads: loads(body),
            puts,
            guarded: body
                .iter()
                .filter_map(|op| match op {
                    Op::If { guards, body } => Some((&guards[..], &body[..])),
                    _ => None,
                })
                .collect(),
            signals: body.iter().filter_map(|op| self::arrival(schedule, op)).collect(),
            arrival,
        })
    }

    /// A tuple's row has arrived wherever it was put.
    pub(super) fn arrive(&self, out: &mut Out) {
        self.signals.iter().for_each(|signal| emit_arrival(out, self.schedule, *signal));
    }

    pub(super) fn var(&self, var: Handle<Var>) -> String {
        var_name(self.schedule, var)
    }

    /// The variables of a tuple: its choice, group and slot.
    pub(super) fn names(&self) -> (String, String, String) {
        let Kept { k, group, slot, .. } = *self.tuples;
        (self.var(k), self.var(group), self.var(slot))
    }

    /// Rounds of at most 32 tuples.
    pub(super) fn rounds(&self) -> i64 {
        (self.route.fan + 31) / 32
    }

    pub(super) fn tuples(&self, round: i64) -> i64 {
        (self.route.fan - round * 32).min(32)
    }

    /// Where a row comes from: loaded once for the position, or with each tuple.
    pub(super) fn loaded(&self, row: Row) -> Option<Loaded<'a>> {
        let find = |loads: &[(Row, &'a Access)]| {
            loads.iter().find(|(r, _)| *r == row).map(|(_, access)| *access)
        };
        find(&self.loads).map(Loaded::Shared).or_else(|| find(&self.tuple_loads).map(Loaded::Own))
    }
}

/// A counter of arrivals: its name, the rank and the slot.
pub(super) fn arrival<'a>(schedule: &'a Schedule, op: &'a Op) -> Option<(&'a str, &'a Ix, &'a Ix)> {
    match op {
        Op::Signal { signal, to: Peer::Rank(rank), slot } => {
            Some((schedule.signals[*signal].name.as_str(), rank, slot))
        }
        _ => None,
    }
}

pub(super) fn emit_arrival(
    out: &mut Out,
    schedule: &Schedule,
    (counter, rank, slot): (&str, &Ix, &Ix),
) {
    let [rank, slot] = [rank, slot].map(|ix| bare(schedule, ix));
    out.line(&format!("add_peer(&plans.at[{rank}]->{counter}[{slot}], 1);"));
}

/// A row's source.
pub(super) enum Loaded<'a> {
    /// One row for all tuples of the position.
    Shared(&'a Access),
    /// A row for each tuple.
    Own(&'a Access),
}

/// Lane k holds the place of tuple k, and its scalars as (variable, value).
pub(super) fn emit_places(
    out: &mut Out,
    trip: &Trip,
    to: &Access,
    round: i64,
    scalars: &[(String, String)],
) {
    let fan = trip.tuples(round);
    let (k, group, slot) = trip.names();
    let width = to.vector;
    out.line(&format!("Vec<{width}>* place = nullptr;  // lane {k}: where tuple {k} goes"));
    for (variable, _) in scalars {
        out.line(&format!("float {variable} = 0;"));
    }
    out.block(&format!("if (lane < {fan})"), |out| {
        let first = round * 32;
        out.line(&format!(
            "const i32 {k} = lane{};",
            if first == 0 { String::new() } else { format!(" + {first}") }
        ));
        out.line(&format!(
            "const Pair pair = plan->pairs[{} * {} + {k}];",
            ix(trip.schedule, &trip.tuples.position),
            trip.route.fan
        ));
        out.block("if (pair.group >= 0)", |out| {
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            out.line(&format!(
                "place = reinterpret_cast<Vec<{width}>*>({});",
                pointer(trip.schedule, to)
            ));
            for (variable, value) in scalars {
                out.line(&format!("{variable} = {value};"));
            }
        });
    });
}

/// A loop over the kept tuples.
pub(super) fn each_tuple(out: &mut Out, trip: &Trip, body: impl FnOnce(&mut Out)) {
    let (k, fan) = (trip.names().0, trip.route.fan);
    out.block(&format!("for (i32 {k} = 0; {k} < {fan}; ++{k})"), |out| {
        computed::pair(out, trip.schedule, trip.tuples);
        body(out);
        if trip.first {
            out.line("break;");
        }
    });
}

/// The same with `from` and `to` at the tuple's rows.
pub(super) fn emit_tuple(
    out: &mut Out,
    trip: &Trip,
    from: &Access,
    to: &Access,
    body: impl FnOnce(&mut Out),
) {
    each_tuple(out, trip, |out| {
        out.line(&format!(
            "const auto* from = reinterpret_cast<const Vec<{}>*>({});",
            from.vector,
            pointer(trip.schedule, from)
        ));
        out.line(&format!(
            "auto* to = reinterpret_cast<Vec<{}>*>({});",
            to.vector,
            pointer(trip.schedule, to)
        ));
        body(out);
    });
}
