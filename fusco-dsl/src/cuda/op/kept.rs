//! What a plan says of a tuple, as text.

use super::ix;
use super::points::holds;
use crate::cuda::index::bare;
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Ix, Kept, Schedule};

/// `pair`: group and slot of tuple k; of one that is passed over the group is negative.
pub(super) fn emit(out: &mut Out, schedule: &Schedule, kept: &Kept) {
    let word = if kept.only.is_none() && kept.once.is_none() { "const Pair" } else { "Pair" };
    let k = var_name(schedule, kept.k);
    out.line(&format!("{word} pair = {};", entry(schedule, kept, &k)));
    pass_over(out, schedule, kept);
}

/// Of tuple k, whose `pair` is known: its group becomes negative if it is passed over.
pub(super) fn pass_over(out: &mut Out, schedule: &Schedule, kept: &Kept) {
    let [k, group, slot] = [kept.k, kept.group, kept.slot].map(|v| var_name(schedule, v));
    let only = kept.only.as_ref().map(|only| holds(schedule, only));
    if let Some(only) = &only {
        out.block("if (pair.group >= 0)", |out| {
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            out.line(&format!("if (!({only})) pair.group = -1;"));
        });
    }
    let Some(once) = &kept.once else { return };
    let of = ix(schedule, once);
    out.block("if (pair.group >= 0)", |out| {
        out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot, number = {of};"));
        out.line("// A tuple before it may have the same.");
        out.block(&format!("for (i32 first = 0; first < {k}; ++first)"), |out| {
            out.line(&format!("const Pair before = {};", entry(schedule, kept, "first")));
            out.line("if (before.group < 0) continue;");
            out.line(&format!("const i32 {group} = before.group, {slot} = before.slot;"));
            let only = only.map_or(String::new(), |only| format!("({only}) && "));
            out.line(&format!("if ({only}{of} == number) pair.group = -1;"));
        });
    });
}

/// Where a plan keeps a tuple.
pub(super) fn entry(schedule: &Schedule, kept: &Kept, k: &str) -> String {
    let plan = match &kept.rank {
        Ix::Me => "plan".to_string(),
        rank => format!("plans.at[{}]", bare(schedule, rank)),
    };
    let (fan, position) = (schedule.routes[kept.route].fan, ix(schedule, &kept.position));
    format!("{plan}->pairs[{position} * {fan} + {k}]")
}

/// A loop over the kept tuples, one after the other.
pub(super) fn each(out: &mut Out, schedule: &Schedule, kept: &Kept, body: impl FnOnce(&mut Out)) {
    let (k, fan) = (var_name(schedule, kept.k), schedule.routes[kept.route].fan);
    out.block(&format!("for (i32 {k} = 0; {k} < {fan}; ++{k})"), |out| {
        next(out, schedule, kept);
        body(out);
    });
}

/// Of tuple `k`, if it is kept: its group and slot; else on to the next.
pub(super) fn next(out: &mut Out, schedule: &Schedule, kept: &Kept) {
    let [group, slot] = [kept.group, kept.slot].map(|v| var_name(schedule, v));
    emit(out, schedule, kept);
    out.line("if (pair.group < 0) continue;");
    out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
}
