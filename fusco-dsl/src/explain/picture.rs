//! A small picture of who holds what: the ranks at sample points of the two axes that are split most.

use crate::Compiled;
use crate::arena::Handle;
use crate::layout::{Digit, Home, SpreadKind, Table};
use crate::plan::{Coordinate, MoveValue};
use crate::sema::hir;
use std::fmt::Write;

/// Samples along each side of a picture.
const ACROSS: i64 = 16;
const DOWN: i64 = 8;

/// Ranks at sample points of two axes.
pub(super) struct Samples {
    pub rows: (String, Vec<i64>),
    pub columns: (String, Vec<i64>),
    /// `[row][column]`: the first rank that holds the point; `None` if it is known at launch only.
    pub ranks: Vec<Vec<Option<i64>>>,
}

pub(super) fn picture(compiled: &Compiled, handle: Handle<hir::Tensor>) -> String {
    let (table, info) = (&compiled.plan.tables[&handle], &compiled.hir.tensors[handle]);
    let mut out = format!(
        "  {}: {} {}   {} a rank{}\n",
        info.name,
        info.dtype.elem.name(),
        digits(compiled, table),
        size(table.elems * info.dtype.elem.bytes()),
        held(table)
    );
    let Some(samples) = samples(compiled, handle) else {
        out.push_str(&format!("      {}\n", everywhere(table)));
        return out;
    };
    let width = samples.ranks.iter().flatten().flatten().max().map_or(1, |r| r.to_string().len());
    _ = writeln!(out, "      {}", axis_line(&samples));
    for (at, row) in samples.rows.1.iter().zip(&samples.ranks) {
        let cells: Vec<String> = row
            .iter()
            .map(|r| r.map_or(format!("{:>width$}", "?"), |r| format!("{r:>width$}")))
            .collect();
        let label = match samples.rows.0.as_str() {
            "" => "rank".to_string(),
            axis => format!("{axis}={at}"),
        };
        _ = writeln!(out, "      {label:<8}| {}", cells.join(" "));
    }
    out
}

/// `n = 0, 512, .. 7680 ->`
fn axis_line(samples: &Samples) -> String {
    let at = &samples.columns.1;
    let name = &samples.columns.0;
    match at[..] {
        [a, b, .., last] if at.len() > 2 => format!("{name} = {a}, {b}, .. {last} ->"),
        _ => format!("{name} ->"),
    }
}

/// Where a tensor is that no mesh axis splits.
fn everywhere(table: &Table) -> String {
    let holders = table.replicas(0);
    let sum = table.spread.iter().any(|s| s.kind == SpreadKind::Sum);
    match holders[..] {
        [rank] => format!("all of it on rank {rank}"),
        _ if sum => format!("a part of every element on each of {} ranks", holders.len()),
        _ => format!("all of it on each of {} ranks", holders.len()),
    }
}

fn held(table: &Table) -> String {
    let copies = table.replicas(0).len();
    let split = table.digits.iter().any(on_mesh);
    if copies > 1 && split { format!(", each element on {copies} ranks") } else { String::new() }
}

fn on_mesh(digit: &Digit) -> bool {
    matches!(digit.home, Home::Mesh { .. } | Home::Owner) && digit.radix.bound() > 1
        || digit.home == Home::Owner
}

fn digits(compiled: &Compiled, table: &Table) -> String {
    let line = crate::layout::print(&compiled.hir, [table]);
    let line = line.trim_end();
    let (_, digits) = line.split_at(table.name.len().min(line.len()));
    digits.rsplit_once("   (").map_or(digits, |(d, _)| d).trim().to_string()
}

/// `None` for a tensor that no mesh axis splits.
pub(super) fn samples(compiled: &Compiled, handle: Handle<hir::Tensor>) -> Option<Samples> {
    let table = &compiled.plan.tables[&handle];
    let split: Vec<usize> = (0..table.axes.len())
        .filter(|a| table.digits.iter().any(|d| d.axis == *a && on_mesh(d)))
        .collect();
    let (down, across) = match split[..] {
        [a] => (None, a),
        [a, b, ..] => (Some(a), b),
        [] => return None,
    };
    let columns = points(extent(compiled, handle, across), ACROSS);
    let rows = down.map_or(vec![0], |d| points(extent(compiled, handle, d), DOWN));
    let at = |r: i64, c: i64| {
        let row = down.map_or(Some(0), |d| table.rank_part(d, r))?;
        table.replicas(row + table.rank_part(across, c)?).first().copied()
    };
    let ranks = rows.iter().map(|r| columns.iter().map(|c| at(*r, *c)).collect()).collect();
    let name = |a: usize| table.axes[a].clone();
    Some(Samples {
        rows: (down.map_or(String::new(), name), rows),
        columns: (name(across), columns),
        ranks,
    })
}

/// The extent of an axis where a statement walks it; else what its digits can hold.
fn extent(compiled: &Compiled, handle: Handle<hir::Tensor>, axis: usize) -> i64 {
    let table = &compiled.plan.tables[&handle];
    if let Some(map) = table.maps.get(&axis) {
        return map.extent;
    }
    let walked = compiled.plan.entries.iter().flat_map(|e| &e.moves).find_map(|m| {
        let source = match &m.value {
            MoveValue::Read(place) => Some(place),
            _ => None,
        };
        let place = source.into_iter().chain([&m.target]).find(|p| p.tensor == handle)?;
        match &place.coords[axis] {
            Coordinate::Linear { terms, constant: 0 } if terms.len() == 1 && terms[0].1 == 1 => {
                Some(m.vars[terms[0].0].extent)
            }
            _ => None,
        }
    });
    let radices = table.digits.iter().filter(|d| d.axis == axis).map(|d| d.radix.bound());
    walked.unwrap_or_else(|| radices.fold(1i64, i64::saturating_mul))
}

fn points(extent: i64, most: i64) -> Vec<i64> {
    let count = extent.clamp(1, most);
    (0..count).map(|i| i * extent / count).collect()
}

/// Bytes in the largest unit that leaves a number below 1024.
pub(super) fn size(bytes: i64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// `2.0 KiB (1024 elements)`
pub(super) fn elements(count: i64, bytes: i64) -> String {
    let word = if count == 1 { "element" } else { "elements" };
    format!("{} ({count} {word})", size(count.saturating_mul(bytes)))
}
