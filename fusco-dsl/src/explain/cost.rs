//! The lowerings a movement could have, by the bytes of memory sectors they touch.
//!
//! The model: device memory moves sectors of 32 bytes; a run that is shorter, or not aligned, pays for
//! whole sectors on that side. A tile makes both sides run along their own digit.

use crate::Compiled;
use crate::plan::{Move, MoveValue, Place, Shape, Step, step};

/// Bytes that device memory moves at once.
const SECTOR: i64 = 32;

struct Candidate {
    name: &'static str,
    bytes: i64,
    chosen: bool,
}

/// One line for the chosen lowering, one for each rejected.
pub(super) fn lines(compiled: &Compiled, movement: &Move) -> Vec<String> {
    let MoveValue::Read(source) = &movement.value else { return Vec::new() };
    let mut all = candidates(compiled, movement, source);
    all.sort_by_key(|c| (!c.chosen, c.bytes));
    let least = all.iter().map(|c| c.bytes).min().unwrap_or(1).max(1);
    let one = |c: &Candidate| {
        let word = if c.chosen { "chosen  " } else { "rejected" };
        let times = c.bytes as f64 / least as f64;
        format!(
            "{word} {}: {} of sectors, {times:.1} x the least",
            c.name,
            super::picture::size(c.bytes)
        )
    };
    all.iter().map(one).collect()
}

fn candidates(compiled: &Compiled, movement: &Move, source: &Place) -> Vec<Candidate> {
    let bytes = |place: &Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let points = movement.vars.iter().map(|v| v.extent).fold(1, i64::saturating_mul);
    let sectors = |run: i64, place: &Place| {
        let run = run.max(1) * bytes(place);
        let runs = points.saturating_mul(bytes(place)) / run.max(1);
        runs.saturating_mul(((run + SECTOR - 1) / SECTOR * SECTOR).max(SECTOR))
    };
    let along = |place: &Place| contiguous(compiled, movement, place);
    let (tiled, run) = match &movement.shape {
        Shape::Tile(_) => (true, 1),
        Shape::Rows { run, .. } => (false, *run),
    };
    // Lanes follow the target: the source pays where its own run is shorter.
    let (own, other) = (sectors(along(source), source), along(&movement.target));
    let other = sectors(other, &movement.target);
    let rows = other.saturating_add(sectors(run, source));
    let columns = own.saturating_add(sectors(run, &movement.target));
    let tile = own.saturating_add(other);
    vec![
        Candidate { name: "runs, lanes along the target", bytes: rows, chosen: !tiled },
        Candidate { name: "runs, lanes along the source", bytes: columns, chosen: false },
        Candidate { name: "a tile through shared memory", bytes: tile, chosen: tiled },
    ]
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
