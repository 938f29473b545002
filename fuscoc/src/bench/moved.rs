//! Bytes that an entry has to move: every element that it reads, once, and every one that it writes.

use crate::data;
use crate::run::{Finished, Prepared, moved};
use fusco_dsl::arena::Handle;
use fusco_dsl::plan::Movement;
use fusco_dsl::sema::hir::{Extent, Route, Tensor};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub read: i64,
    pub written: i64,
    /// Padding that the program fills: written too, but not counted in the rate.
    pub fill: i64,
}

impl Moved {
    pub fn total(&self) -> i64 {
        self.read + self.written
    }

    pub fn of(ready: &Prepared, finished: &Finished, entries: &[String]) -> Moved {
        entries.iter().map(|e| entry(ready, finished, e)).fold(Moved::default(), Moved::plus)
    }

    fn plus(self, other: Moved) -> Moved {
        Moved {
            read: self.read + other.read,
            written: self.written + other.written,
            fill: self.fill + other.fill,
        }
    }
}

fn entry(ready: &Prepared, finished: &Finished, name: &str) -> Moved {
    let compiled = &ready.compiled;
    let Some(plan) = compiled.plan.entries.iter().find(|e| e.name == name) else {
        return Moved::default();
    };
    let mut out = Moved { read: planned(ready, name), ..Moved::default() };
    for movement in &plan.moves {
        let along = movement.route.map_or(1, |route| rows(ready, finished, route));
        let (read, written) = moved::bytes(compiled, &ready.inputs, movement, along);
        out = out.plus(Moved { read, written, fill: 0 });
    }
    plan.movements.iter().map(|m| routed(ready, finished, m)).fold(out, Moved::plus)
}

/// The indices that the plans of an entry are made from.
fn planned(ready: &Prepared, name: &str) -> i64 {
    let schedule = &ready.compiled.schedule;
    let plans = schedule.entries.iter().filter(|e| e.name == name).flat_map(|e| &e.plans);
    let index = |route: &Handle<fusco_dsl::schedule::ir::Route>| {
        let name = &schedule.tensors[schedule.routes[*route].index].name;
        let handle = ready.compiled.hir.tensor(name);
        handle.map_or(0, |h| moved::tensor(&ready.compiled, &ready.inputs, h, (0, 0)))
    };
    plans.map(index).sum()
}

fn routed(ready: &Prepared, finished: &Finished, movement: &Movement) -> Moved {
    let compiled = &ready.compiled;
    let rows = rows(ready, finished, movement.route);
    // Each plan's ranks move rows of their own, and every copy of what has none.
    let plans = compiled.schedule.ranks / compiled.plan.routes[&movement.route].ranks;
    let bytes = |tensor: Handle<Tensor>| {
        let ragged = compiled.hir.tensors[tensor].axes.iter();
        let ragged = ragged.clone().any(|a| matches!(a.extent, Extent::Ragged { .. }));
        let spread = compiled.tables()[&tensor].spread.iter();
        let copies: i64 = spread.map(|s| s.size).product();
        let times = if ragged { plans } else { copies };
        moved::tensor(compiled, &ready.inputs, tensor, (rows, movement.run)) * times
    };
    let read = movement.kind.points().into_iter().map(|p| bytes(p.tensor)).sum();
    let written = bytes(movement.target.tensor);
    Moved { read, written, fill: fill(ready, finished, movement.target.tensor, written) }
}

fn rows(ready: &Prepared, finished: &Finished, route: Handle<Route>) -> i64 {
    let live = finished.live.get(&ready.compiled.hir.routes[route].name);
    live.map_or(0, |l| l.iter().map(|n| i64::from(*n)).sum())
}

/// What lies between the rows of a packed tensor with a fill.
fn fill(ready: &Prepared, finished: &Finished, tensor: Handle<Tensor>, written: i64) -> i64 {
    let info = &ready.compiled.hir.tensors[tensor];
    let ragged = info.axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. }));
    if !ragged || info.attrs.fill.is_none() {
        return 0;
    }
    let ranks = 0..ready.compiled.schedule.ranks as usize;
    let whole: usize = ranks
        .map(|r| data::live_bytes(&ready.compiled, tensor, (&ready.inputs, &finished.live), r))
        .sum();
    (whole as i64 - written).max(0)
}
