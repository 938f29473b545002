//! Curves as one SVG, a small plot each: ratios to a copy over the sizes, evenly spaced; cliffs are ringed.

use super::point::Point;
use crate::bench::row::Row;
use std::fmt::Write;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 180.0;
const GAP: f64 = 80.0;
const COLUMNS: usize = 2;
/// The highest ratio drawn.
const MOST: f64 = 1.2;
const COLOURS: [&str; 4] = ["#1b9e77", "#7570b3", "#d95f02", "#66a61e"];

pub fn svg(points: &[Point]) -> String {
    let curves: Vec<&[Point]> = points.chunk_by(|a, b| a.curve == b.curve).collect();
    let rows = curves.len().div_ceil(COLUMNS) as f64;
    let (width, height) = (GAP + COLUMNS as f64 * (WIDTH + GAP), GAP + rows * (HEIGHT + GAP));
    let mut body = String::new();
    for (i, curve) in curves.iter().enumerate() {
        let left = GAP + (i % COLUMNS) as f64 * (WIDTH + GAP);
        let top = GAP + (i / COLUMNS) as f64 * (HEIGHT + GAP);
        body.push_str(&panel(curve, left, top));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{GAP}\" y=\"24\" font-size=\"14\">rate of dispatch and combine, padding counted, as a share of a copy of the same bytes</text>\n\
         {body}</svg>\n"
    )
}

fn panel(curve: &[Point], left: f64, top: f64) -> String {
    let mut xs: Vec<i64> = curve.iter().map(|p| p.x).collect();
    xs.sort_unstable();
    xs.dedup();
    let at = |x: i64| {
        let i = xs.iter().position(|v| *v == x).unwrap_or(0) as f64;
        left + WIDTH * (i + 0.5) / xs.len() as f64
    };
    let height = |ratio: f64| top + HEIGHT * (1.0 - ratio.clamp(0.0, MOST) / MOST);
    let mut out = axes(curve[0].curve, &xs, (left, top), &at, &height);
    for (i, series) in series(curve).into_iter().enumerate() {
        let own = curve.iter().filter(|p| p.series == series);
        let ratios: Vec<(f64, f64, bool)> = own
            .filter_map(|p| {
                let ratio = p.line.row().and_then(Row::with_fill)?;
                Some((at(p.x), height(ratio), p.cliff))
            })
            .collect();
        let colour = COLOURS[i % COLOURS.len()];
        let path: Vec<String> = ratios.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{series}</text>",
            path.join(" "),
            left + WIDTH,
            top + HEIGHT - 8.0 - 14.0 * i as f64
        );
        for (x, y, cliff) in ratios {
            let (radius, fill) = if cliff { (6.0, "none") } else { (2.5, colour) };
            _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\"/>"
            );
        }
    }
    out
}

fn series(curve: &[Point]) -> Vec<&str> {
    let mut out = Vec::new();
    for point in curve.iter().filter(|p| p.line.row().is_some()) {
        if !out.contains(&point.series.as_str()) {
            out.push(point.series.as_str());
        }
    }
    out
}

fn axes(
    name: &str,
    xs: &[i64],
    (left, top): (f64, f64),
    at: &impl Fn(i64) -> f64,
    height: &impl Fn(f64) -> f64,
) -> String {
    let mut out =
        format!("<text x=\"{left}\" y=\"{}\" font-size=\"13\">{name}</text>\n", top - 8.0);
    for fifth in 0..=6 {
        let (y, colour) =
            (height(f64::from(fifth) / 5.0), if fifth == 5 { "#555" } else { "#ddd" });
        _ = writeln!(
            out,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>",
            left + WIDTH,
            left - 4.0,
            y + 4.0,
            fifth * 20
        );
    }
    for x in xs {
        let (x_at, y) = (at(*x), top + HEIGHT + 12.0);
        _ = writeln!(
            out,
            "<text x=\"{x_at:.1}\" y=\"{y}\" text-anchor=\"end\" transform=\"rotate(-40 {x_at:.1} {y})\">{x}</text>"
        );
    }
    out
}
