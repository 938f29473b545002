//! The lowerings a movement could have, by the bytes of memory sectors they touch.
//!
//! The model: device memory moves sectors of 32 bytes; a run that is shorter, or not aligned, pays for
//! whole sectors on that side. A tile makes both sides run along their own digit.

use crate::Compiled;
use crate::layout::SpreadKind;
use crate::plan::{Move, MoveValue, Place, Shape, Side, Step, step};

/// Bytes that device memory moves at once.
const SECTOR: i64 = 32;

/// Bytes of sectors of each lowering, whether it is possible or not.
struct Costs {
    /// Runs, with the lanes of a warp along the target's memory or the source's.
    along_target: i64,
    along_source: i64,
    tile: i64,
}

/// One line for the chosen lowering, one for each rejected.
pub(super) fn lines(compiled: &Compiled, movement: &Move) -> Vec<String> {
    let MoveValue::Read(source) = &movement.value else { return Vec::new() };
    let costs = costs(compiled, movement, source);
    let size = super::picture::size;
    let tiled = matches!(movement.shape, Shape::Tile(_));
    let (name, least) = if tiled {
        ("a tile through shared memory", costs.tile)
    } else {
        ("runs, lanes along the target", costs.along_target)
    };
    let mut out = vec![format!("chosen    {name}: {} of {SECTOR}-byte sectors", size(least))];
    let more = |bytes: i64| {
        format!("{}, {:.1} times as many", size(bytes), bytes as f64 / least.max(1) as f64)
    };
    if tiled {
        out.push(format!("rejected  runs, lanes along the target: {}", more(costs.along_target)));
    } else {
        let why = match no_tile(compiled, movement, source) {
            Some(why) => why.to_string(),
            None if costs.tile < least => {
                format!("{}, but a run already fills its sectors", more(costs.tile))
            }
            None => "no fewer sectors, and a barrier for each tile".to_string(),
        };
        out.push(format!("rejected  a tile through shared memory: {why}"));
    }
    if costs.along_source > least {
        out.push(format!("rejected  runs, lanes along the source: {}", more(costs.along_source)));
    }
    out
}

/// Why the movement cannot be tiled.
fn no_tile(compiled: &Compiled, movement: &Move, source: &Place) -> Option<&'static str> {
    let tables = &compiled.plan.tables;
    let last = |place: &Place| {
        let digits = 0..movement.digits.len();
        let mut inner = digits.rev().filter(|i| movement.digits[*i].radix > 1);
        let table = &tables[&place.tensor];
        inner.find(|i| step(table, place, &movement.digits, *i) == Step::Memory(1))
    };
    let summed = tables[&source.tensor].spread.iter().any(|s| s.kind == SpreadKind::Sum);
    match (last(source), last(&movement.target)) {
        _ if summed => Some("parts are added as they are loaded"),
        (Some(a), Some(b)) if a == b => Some("both sides run along the same digit"),
        (Some(_), Some(_)) => None,
        _ => Some("one side has no digit of stride 1"),
    }
}

fn costs(compiled: &Compiled, movement: &Move, source: &Place) -> Costs {
    let bytes = |place: &Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let points = movement.vars.iter().map(|v| v.extent).fold(1, i64::saturating_mul);
    let sectors = |run: i64, place: &Place| {
        let run = run.max(1) * bytes(place);
        let runs = points.saturating_mul(bytes(place)) / run.max(1);
        runs.saturating_mul(((run + SECTOR - 1) / SECTOR * SECTOR).max(SECTOR))
    };
    // Every copy of a target is written. Every part of a sum is read once; where the target's ranks load,
    // each copy of it is loaded for itself.
    let tables = &compiled.plan.tables;
    let copies = tables[&movement.target.tensor].replicas(0).len() as i64;
    let from = &tables[&source.tensor];
    let reads = match movement.carrier {
        _ if from.spread.iter().any(|s| s.kind == SpreadKind::Sum) => from.replicas(0).len() as i64,
        Side::Source => 1,
        Side::Target => copies,
    };
    let read = |run: i64| sectors(run, source).saturating_mul(reads);
    let written = |run: i64| sectors(run, &movement.target).saturating_mul(copies);
    let along = |place: &Place| contiguous(compiled, movement, place);
    let run = match &movement.shape {
        Shape::Tile(_) => 1,
        Shape::Rows { run, .. } => *run,
    };
    // Lanes follow one side: the other pays where the common run is shorter than its own.
    let (from, to) = (along(source), along(&movement.target));
    Costs {
        along_target: written(to).saturating_add(read(run)),
        along_source: read(from).saturating_add(written(run)),
        tile: read(from).saturating_add(written(to)),
    }
}

/// Elements of a place that follow each other in its memory, whatever the other side does.
fn contiguous(compiled: &Compiled, movement: &Move, place: &Place) -> i64 {
    let table = &compiled.plan.tables[&place.tensor];
    let mut run = 1;
    loop {
        let next = (0..movement.digits.len()).find(|i| {
            movement.digits[*i].cut.is_none()
                && movement.digits[*i].radix > 1
                && step(table, place, &movement.digits, *i) == Step::Memory(run)
        });
        match next {
            Some(i) => run *= movement.digits[i].radix,
            None => return run,
        }
    }
}
