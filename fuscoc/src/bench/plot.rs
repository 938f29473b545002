//! The ratios as bars in one SVG, the bars to reach as ticks.

use super::bar::Bar;
use super::row::{Line, Row};
use std::fmt::Write;

const LEFT: f64 = 180.0;
const SCALE: f64 = 480.0;
const PITCH: f64 = 26.0;
const TOP: f64 = 48.0;
/// The widest bar, in shares of a copy.
const WIDEST: f64 = 1.2;

pub fn svg(lines: &[Line]) -> String {
    let rows: Vec<&Row> = lines.iter().filter_map(Line::row).collect();
    let (width, bottom) = (LEFT + SCALE * WIDEST + 120.0, TOP + PITCH * rows.len() as f64);
    let mut body = String::new();
    for tenth in 0..=12 {
        let x = LEFT + SCALE * f64::from(tenth) / 10.0;
        let colour = if tenth == 10 { "#555" } else { "#ddd" };
        _ = writeln!(
            body,
            "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"{colour}\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{} %</text>",
            TOP - 6.0,
            tenth * 10
        );
    }
    for (i, row) in rows.iter().enumerate() {
        body.push_str(&bar(row, TOP + PITCH * i as f64));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">rate, as a share of a copy of the same bytes</text>\n{body}</svg>\n",
        bottom + 20.0
    )
}

fn bar(row: &Row, y: f64) -> String {
    let ratio = row.ratio().unwrap_or(0.0);
    let length = ratio.clamp(0.0, WIDEST) * SCALE;
    let below = row.verdicts().iter().any(|v| v.ok == Some(false));
    let colour = if below { "#d95f02" } else { "#1b9e77" };
    let mut out = format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{}\">{:.1} %, {:.3} ms</text>\n",
        LEFT - 8.0,
        y + 16.0,
        escape(&row.work),
        y + 3.0,
        PITCH - 6.0,
        LEFT + length + 6.0,
        y + 16.0,
        ratio * 100.0,
        row.ours.median * 1e3
    );
    for share in row.bars.iter().filter_map(|b| if let Bar::Copy(s) = b { Some(s) } else { None }) {
        let x = LEFT + SCALE * share;
        _ = writeln!(
            out,
            "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\" stroke=\"black\" stroke-width=\"2\"/>",
            y + 1.0,
            y + PITCH - 1.0
        );
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
