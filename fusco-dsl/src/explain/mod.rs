//! What the compiler made of a program, for people: who holds what, how digits refine, how wide accesses
//! are and why, which bytes go between which ranks, and what else could have been chosen.
//!
//! Enters: a [`Compiled`] program. Leaves: text, or an SVG of layout and traffic.

mod cost;
mod picture;
mod svg;
mod traffic;

pub use svg::svg;
pub use traffic::{Traffic, traffic};

use crate::Compiled;
use crate::plan::{Live, Move, MoveValue, Shape, Side};
use crate::schedule::ir::Entry;
use std::fmt::Write;

/// All entries, or the one named.
pub fn text(compiled: &Compiled, entry: Option<&str>) -> String {
    let mut out = String::new();
    for (index, info) in compiled.schedule.entries.iter().enumerate() {
        if entry.is_none_or(|name| name == info.name) {
            one_entry(&mut out, compiled, index, info);
        }
    }
    out
}

fn one_entry(out: &mut String, compiled: &Compiled, index: usize, entry: &Entry) {
    _ = writeln!(out, "entry {}\n", entry.name);
    for tensor in &entry.tensors {
        let name = &compiled.schedule.tensors[*tensor].name;
        if let Some(handle) = compiled.hir.tensor(name) {
            out.push_str(&picture::picture(compiled, handle));
            out.push('\n');
        }
    }
    let plan = &compiled.plan.entries[index];
    for movement in &plan.moves {
        one_move(out, compiled, movement);
    }
    for movement in &plan.movements {
        let width = movement.target.vector;
        _ = writeln!(out, "  {}", movement.text);
        _ = writeln!(out, "    routed: runs of {} elements, {width} bytes an access", movement.run);
        _ = writeln!(out, "    bytes between ranks follow from the route at launch\n");
    }
}

fn one_move(out: &mut String, compiled: &Compiled, movement: &Move) {
    _ = writeln!(out, "  {}", movement.text);
    for line in crate::plan::digit_lines(&compiled.plan, movement) {
        _ = writeln!(out, "    {line}");
    }
    _ = writeln!(out, "    {}", shape(compiled, movement));
    for line in cost::lines(compiled, movement) {
        _ = writeln!(out, "    {line}");
    }
    match traffic(compiled, movement) {
        Some(traffic) => out.push_str(&traffic.table()),
        None if movement.vars.iter().all(|v| matches!(v.live, Live::Known)) => {
            out.push_str(
                "    bytes between ranks are not counted: a table decides, or they are many\n",
            );
        }
        None => out.push_str("    bytes between ranks follow from tables read at launch\n"),
    }
    out.push('\n');
}

/// Runs and accesses, in bytes, and what ends them.
fn shape(compiled: &Compiled, movement: &Move) -> String {
    let elem = |place: &crate::plan::Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let to = elem(&movement.target);
    let MoveValue::Read(source) = &movement.value else {
        return "computed where it is written".to_string();
    };
    let who = match movement.carrier {
        Side::Source => "pushed by the ranks of the source",
        Side::Target => "fetched by the ranks of the target",
    };
    match &movement.shape {
        Shape::Rows { run, vector, .. } => format!(
            "{who} in runs of {} bytes, {} bytes an access; the run ends because {}",
            run * to,
            vector * to,
            movement.why
        ),
        Shape::Tile(tile) => format!(
            "{who} in tiles of {} x {} through shared memory, {} bytes a load, {} bytes a store; \
             without a tile a run is short because {}",
            tile.source.1,
            tile.target.1,
            tile.source.2 * elem(source),
            tile.target.2 * to,
            movement.why
        ),
    }
}
