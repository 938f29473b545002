//! What the compiler made of a program, for people: who holds what, how digits refine, how wide accesses
//! are and why, which bytes go between which ranks, and what else could have been chosen.
//!
//! Enters: a [`Compiled`] program. Leaves: text, or an SVG of layout and traffic.

mod cost;
mod crossing;
mod expected;
mod kernels;
mod picture;
mod roles;
mod routed;
mod svg;
mod times;
mod traffic;
mod ways;

pub use crossing::{Crossing, crossings};
pub use expected::{Expected, expected};
pub use kernels::kernels;
pub use svg::svg;
pub use times::{Timed, times};
pub use traffic::{Traffic, traffic};
pub use ways::{Flow, Hop, Level, Statement, Way, WayKind, deciding, levels, ways};

use crate::Compiled;
use crate::layout::SpreadKind;
use crate::plan::{Live, Move, MoveValue, Place, Shape, Side};
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
    for tensor in entry.operands() {
        let name = &compiled.schedule.tensors[tensor].name;
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
        _ = writeln!(out, "  {}", movement.text);
        section(out, "", &routed::lines(compiled, movement));
        section(out, "", &crossing::lines(compiled, index, movement));
        out.push('\n');
    }
}

fn one_move(out: &mut String, compiled: &Compiled, movement: &Move) {
    _ = writeln!(out, "  {}", movement.text);
    section(out, "digits (radix, weight), source -> target", &roles::lines(compiled, movement));
    if movement.over_tuples() {
        section(out, "lowering", &computed(compiled, movement));
    } else if let MoveValue::Read(source) = &movement.value {
        let mut lines = vec![carrier(compiled, movement, source)];
        lines.extend(shape(compiled, movement, source));
        section(out, "lowering", &lines);
        section(out, "against the others", &cost::lines(compiled, movement));
        let bytes = match traffic(compiled, movement) {
            Some(traffic) => traffic.lines(),
            None if movement.vars.iter().all(|v| matches!(v.live, Live::Known)) => {
                vec!["too irregular, or too many ranks, to list".to_string()]
            }
            None => vec!["between which ranks follows from tables read at launch".to_string()],
        };
        section(out, "bytes", &bytes);
    } else if let MoveValue::Computed(_) = &movement.value {
        section(out, "lowering", &computed(compiled, movement));
    }
    out.push('\n');
}

/// Who computes, and in which accesses.
fn computed(compiled: &Compiled, movement: &Move) -> Vec<String> {
    let Shape::Rows { run, vector, .. } = movement.shape else { return Vec::new() };
    let bytes = compiled.hir.tensors[movement.target.tensor].dtype.elem.bytes();
    let who = match movement.over_tuples() {
        true => {
            "the ranks of the tuples load what those name from where it lies, and store what comes of it"
        }
        false => {
            "the target's ranks load the operands from where they lie and compute in f32, rounding each operation"
        }
    };
    vec![
        who.to_string(),
        format!("runs of {}: {}", picture::elements(run, bytes), movement.why),
        format!("{} bytes a store", vector * bytes),
    ]
}

/// A title and its lines, indented under it.
fn section(out: &mut String, title: &str, lines: &[String]) {
    if !title.is_empty() && !lines.is_empty() {
        _ = writeln!(out, "    {title}");
    }
    let indent = if title.is_empty() { "    " } else { "      " };
    for line in lines {
        _ = writeln!(out, "{indent}{line}");
    }
}

/// Who carries it out, and why.
fn carrier(compiled: &Compiled, movement: &Move, source: &Place) -> String {
    let (from, to) =
        (&compiled.plan.tables[&source.tensor], &compiled.plan.tables[&movement.target.tensor]);
    let holds = |kind: SpreadKind| from.spread.iter().any(|s| s.kind == kind);
    match movement.carrier {
        Side::Source => "the source's ranks store into the target's buffers: a remote store needs \
                         no answer, a remote load waits for one"
            .to_string(),
        Side::Target if holds(SpreadKind::Sum) => {
            "the target's ranks load the parts and add them in f32: one write an element"
                .to_string()
        }
        Side::Target if holds(SpreadKind::Copy) && from.first == to.first => {
            "the target's ranks load from their own copy: nothing crosses".to_string()
        }
        Side::Target if !from.maps.is_empty() => {
            "the target's ranks load: they know the owners of what they need".to_string()
        }
        Side::Target => "the target's ranks load, as `pull` asks".to_string(),
    }
}

/// Runs and accesses, in bytes, and what ends or narrows them.
fn shape(compiled: &Compiled, movement: &Move, source: &Place) -> Vec<String> {
    let bytes = |place: &Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let (from, to) = (bytes(source), bytes(&movement.target));
    let (mut out, load, store, run) = match &movement.shape {
        Shape::Rows { run, vector, .. } => {
            let line = format!("runs of {}: {}", picture::elements(*run, from), movement.why);
            (vec![line], vector * from, vector * to, Some(*run))
        }
        Shape::Tile(tile) => {
            let (a, b) = (tile.source, tile.target);
            let lines = vec![
                format!(
                    "tiles of {} x {} through shared memory, so that each side runs along its own last digit",
                    a.1, b.1
                ),
                format!("without a tile, runs of {}: {}", picture::elements(1, from), movement.why),
            ];
            (lines, a.2 * from, b.2 * to, None)
        }
    };
    let narrow = match run {
        _ if load.max(store) >= 16 => String::new(),
        Some(run) if run * from.max(to) == load.max(store) => ": the run is no longer".to_string(),
        _ => ": a stride, the end of an axis or a first offset is no multiple of 16 bytes"
            .to_string(),
    };
    let convert = movement.cast.map_or(String::new(), |e| format!(", converted to {}", e.name()));
    out.push(format!("{load} bytes a load, {store} bytes a store{convert}{narrow}"));
    out
}
