//! A small picture of who holds what: the ranks at sample points of the two axes that are split most.

use crate::Compiled;
use crate::arena::Handle;
use crate::layout::{Home, Table};
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
    let Some(samples) = samples(compiled, handle) else { return out };
    let width = samples.ranks.iter().flatten().flatten().max().map_or(1, |r| r.to_string().len());
    _ = writeln!(out, "      {} ->", samples.columns.0);
    for (at, row) in samples.rows.1.iter().zip(&samples.ranks) {
        let cells: Vec<String> = row
            .iter()
            .map(|r| r.map_or(format!("{:>width$}", "?"), |r| format!("{r:>width$}")))
            .collect();
        _ = writeln!(out, "      {}{at:<7}| {}", samples.rows.0, cells.join(" "));
    }
    out
}

fn held(table: &Table) -> String {
    let ranks = table.replicas(0);
    let parts = table.spread.iter().any(|s| s.kind == crate::layout::SpreadKind::Sum);
    match ranks.len() {
        0 | 1 => String::new(),
        n if parts => format!(", each element the sum of {n} parts"),
        n => format!(", each element on {n} ranks"),
    }
}

fn digits(compiled: &Compiled, table: &Table) -> String {
    let line = crate::layout::print(&compiled.hir, [table]);
    let line = line.trim_end();
    let (_, digits) = line.split_at(table.name.len().min(line.len()));
    digits.rsplit_once("   (").map_or(digits, |(d, _)| d).trim().to_string()
}

/// `None` for a tensor that is not split over ranks.
pub(super) fn samples(compiled: &Compiled, handle: Handle<hir::Tensor>) -> Option<Samples> {
    let table = &compiled.plan.tables[&handle];
    if compiled.schedule.ranks == 1 {
        return None;
    }
    let split = |axis: usize| {
        let mine = table.digits.iter().filter(|d| d.axis == axis);
        mine.filter(|d| matches!(d.home, Home::Mesh { .. } | Home::Owner)).count()
    };
    if (0..table.axes.len()).all(|axis| split(axis) == 0) {
        return None;
    }
    let mut axes: Vec<usize> = (0..table.axes.len()).collect();
    axes.sort_by_key(|a| (std::cmp::Reverse(split(*a)), *a));
    let (down, across) = match axes[..] {
        [a] => (None, a),
        [a, b, ..] => (Some(a.min(b)), a.max(b)),
        [] => return None,
    };
    let columns = points(extent(table, across), ACROSS);
    let rows = down.map_or(vec![0], |d| points(extent(table, d), DOWN));
    let at = |r: i64, c: i64| {
        let row = match down {
            Some(d) => table.part(d, r)?.rank,
            None => 0,
        };
        let others = (0..table.axes.len()).filter(|a| *a != across && Some(*a) != down);
        let rest = others.map(|a| Some(table.part(a, 0)?.rank)).try_fold(0, |n, r| Some(n + r?))?;
        table.replicas(row + table.part(across, c)?.rank + rest).first().copied()
    };
    let ranks = rows.iter().map(|r| columns.iter().map(|c| at(*r, *c)).collect()).collect();
    let name = |a: usize| table.axes[a].clone();
    Some(Samples {
        rows: (down.map_or(String::new(), name), rows),
        columns: (name(across), columns),
        ranks,
    })
}

/// The extent that the digits can hold, at most.
fn extent(table: &Table, axis: usize) -> i64 {
    if let Some(map) = table.maps.get(&axis) {
        return map.extent;
    }
    let radices = table.digits.iter().filter(|d| d.axis == axis).map(|d| d.radix.bound());
    radices.fold(1i64, i64::saturating_mul)
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
