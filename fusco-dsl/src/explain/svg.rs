//! Layout and traffic as one SVG: a coloured grid for each tensor, a heat map for each movement.

use super::picture::{self, Samples};
use super::traffic::{Traffic, traffic};
use crate::Compiled;
use std::fmt::Write;

const CELL: i64 = 18;
const MARGIN: i64 = 24;
const WIDTH: i64 = 720;

/// One drawing of all entries, or of the one named.
pub fn svg(compiled: &Compiled, entry: Option<&str>) -> String {
    let mut drawing = Drawing { body: String::new(), y: MARGIN };
    for (index, info) in compiled.schedule.entries.iter().enumerate() {
        if entry.is_some_and(|name| name != info.name) {
            continue;
        }
        drawing.text(&format!("entry {}", info.name), 16);
        for tensor in &info.tensors {
            let name = &compiled.schedule.tensors[*tensor].name;
            let samples = compiled.hir.tensor(name).and_then(|h| picture::samples(compiled, h));
            if let Some(samples) = samples {
                drawing.text(&format!("{name}: who holds what"), 12);
                drawing.layout(&samples, compiled.schedule.ranks);
            }
        }
        for movement in &compiled.plan.entries[index].moves {
            drawing.text(&movement.text, 12);
            if let Some(found) = traffic(compiled, movement) {
                drawing.traffic(&found);
            }
        }
    }
    drawing.finish()
}

struct Drawing {
    body: String,
    y: i64,
}

impl Drawing {
    fn text(&mut self, text: &str, size: i64) {
        self.y += size;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        _ = writeln!(
            self.body,
            "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"{size}\">{text}</text>",
            self.y
        );
        self.y += 8;
    }

    fn cell(&mut self, row: i64, column: i64, colour: &str, label: &str) {
        let (x, y) = (MARGIN + column * CELL, self.y + row * CELL);
        _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{colour}\" \
             stroke=\"white\"/><text x=\"{}\" y=\"{}\" font-size=\"9\" text-anchor=\"middle\">{label}</text>",
            x + CELL / 2,
            y + CELL / 2 + 3
        );
    }

    fn layout(&mut self, samples: &Samples, ranks: i64) {
        for (r, row) in samples.ranks.iter().enumerate() {
            for (c, rank) in row.iter().enumerate() {
                let (colour, label) = match rank {
                    Some(rank) => (hue(*rank, ranks), rank.to_string()),
                    None => ("#dddddd".to_string(), "?".to_string()),
                };
                self.cell(r as i64, c as i64, &colour, &label);
            }
        }
        self.y += samples.ranks.len() as i64 * CELL + 12;
    }

    fn traffic(&mut self, traffic: &Traffic) {
        let most = traffic.bytes.iter().flatten().max().copied().unwrap_or(0).max(1);
        self.text("bytes from rank (row) to rank (column)", 10);
        for (from, row) in traffic.bytes.iter().enumerate() {
            for (to, bytes) in row.iter().enumerate() {
                let shade = 255 - 200 * bytes / most;
                let colour = format!("rgb({shade},{shade},255)");
                self.cell(from as i64, to as i64, &colour, &short(*bytes));
            }
        }
        self.y += traffic.bytes.len() as i64 * CELL + 16;
    }

    fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{0}\" \
             viewBox=\"0 0 {WIDTH} {0}\" font-family=\"monospace\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{1}</svg>\n",
            self.y + MARGIN,
            self.body
        )
    }
}

fn hue(rank: i64, ranks: i64) -> String {
    format!("hsl({}, 60%, 75%)", 360 * rank / ranks.max(1))
}

/// Bytes in three characters at most: `64k`, `2M`.
fn short(bytes: i64) -> String {
    match bytes {
        0 => String::new(),
        b if b < 1000 => b.to_string(),
        b if b < 1000 << 10 => format!("{}k", b >> 10),
        b if b < 1000 << 20 => format!("{}M", b >> 20),
        b => format!("{}G", b >> 30),
    }
}
