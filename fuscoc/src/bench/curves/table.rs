//! Curves as tables, one each.

use super::point::{CLIFF, Point};
use crate::bench::check::Checked;
use crate::bench::row::Line;
use crate::table::print;

const HEADER: [&str; 9] =
    ["", "entry", "MB", "ms", "copy ms", "GB/s", "copy GB/s", "with padding", "checked"];

pub fn text(points: &[Point]) -> String {
    let mut out = Vec::new();
    for curve in points.chunk_by(|a, b| a.curve == b.curve) {
        let mut header = HEADER;
        header[0] = curve[0].curve;
        let cells: Vec<Vec<String>> = curve.iter().filter_map(cells).collect();
        out.push(print(&header, &cells));
        for point in curve {
            if let Line::Missing { work, why, failed } = &point.line {
                let word = if *failed { "FAILED" } else { "missing" };
                out.push(format!("  {work}: {word}: {why}"));
            }
        }
        out.push(String::new());
    }
    out.push(cliffs(points));
    out.join("\n")
}

fn cells(point: &Point) -> Option<Vec<String>> {
    let row = point.line.row()?;
    let rate = |seconds: f64| row.moved.total() as f64 / seconds.max(f64::MIN_POSITIVE) / 1e9;
    let ratio = row.with_fill().unwrap_or(0.0) * 100.0;
    Some(vec![
        point.x.to_string(),
        point.series.clone(),
        format!("{:.2}", row.moved.total() as f64 / 1e6),
        format!("{:.4}", row.ours.median * 1e3),
        format!("{:.4}", row.copy.median * 1e3),
        format!("{:.0}", rate(row.ours.median)),
        format!("{:.0}", rate(row.copy.median)),
        format!("{ratio:.1} %{}", if point.cliff { " CLIFF" } else { "" }),
        row.checked.as_ref().map_or("NOT checked".to_string(), Checked::text),
    ])
}

fn cliffs(points: &[Point]) -> String {
    let found: Vec<String> = points
        .iter()
        .filter(|p| p.cliff)
        .map(|p| format!("{} of {} = {}", p.series, p.curve, p.x))
        .collect();
    let points = CLIFF * 100.0;
    match found.is_empty() {
        true => format!("no cliff: no ratio lies {points:.0} points below both neighbours'"),
        false => format!("cliffs, {points:.0} points below both neighbours: {}", found.join("; ")),
    }
}
