//! The trip of a row from its position to the slots of its tuples, as text.

use super::kept;
use crate::arena::Handle;
use crate::cuda::index::{bare, pointer};
use crate::cuda::namer::{route_type, var_name};
use crate::cuda::out::Out;
use crate::kernel::shape::{Arrival, Trip};
use crate::schedule::ir::{Access, Kept, Schedule, Var};

impl Trip<'_> {
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

    /// Once; or for each rank whose rows are fetched, which has a name then.
    pub(super) fn each_rank(&self, out: &mut Out, body: impl FnOnce(&mut Out)) {
        let Some(rank) = self.theirs() else { return body(out) };
        let r = route_type(&self.route.name);
        out.block(&format!("for (i32 peer = 1; peer <= {r}::MEMBERS; ++peer)"), |out| {
            out.line(&format!(
                "const i32 {rank} = {r}::rank(({r}::member(me) + peer) % {r}::MEMBERS, me);"
            ));
            body(out);
        });
    }

    /// The variable of the rank whose rows are fetched.
    pub(super) fn theirs(&self) -> Option<String> {
        self.rank.map(|rank| self.var(rank))
    }

    /// The tuple {k} of the position at hand, if it is kept.
    pub(super) fn kept(&self, out: &mut Out, body: impl FnOnce(&mut Out)) {
        kept::emit(out, self.schedule, self.tuples);
        self.if_kept(out, body);
    }

    /// The tuple whose `pair` says whether it is kept, if it is.
    pub(super) fn if_kept(&self, out: &mut Out, body: impl FnOnce(&mut Out)) {
        let (_, group, slot) = self.names();
        out.block("if (pair.group >= 0)", |out| {
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            body(out);
        });
    }
}

pub(super) fn emit_arrival(out: &mut Out, schedule: &Schedule, (counter, rank, slot): Arrival) {
    let [rank, slot] = [rank, slot].map(|ix| bare(schedule, ix));
    out.line(&format!("add_peer(&plans.at[{rank}]->{counter}[{slot}], 1);"));
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
    let k = trip.names().0;
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
        trip.kept(out, |out| {
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
    kept::each(out, trip.schedule, trip.tuples, |out| {
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
