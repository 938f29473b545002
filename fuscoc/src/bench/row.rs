//! Rows of the result: for people a table, for machines JSON.

use super::bar::{Bar, Verdict};
use super::check::Checked;
use super::moved::Moved;
use super::peers::Peer;
use super::time::Stats;
use crate::failure::{Failure, Kind, Outcome};
use crate::table::print;
use serde_json::{Value, json};

/// One work, timed.
pub struct Row {
    pub work: String,
    pub program: String,
    pub entries: Vec<String>,
    pub backend: &'static str,
    pub ranks: i64,
    pub shape: String,
    pub moved: Moved,
    pub ours: Stats,
    /// A copy of as many bytes.
    pub copy: Stats,
    /// Seconds that the model expects.
    pub expected: Option<f64>,
    /// An empty graph, beside a graph.
    pub empty: Option<Stats>,
    pub sets: usize,
    pub batch: usize,
    pub checked: Option<Checked>,
    pub bars: Vec<Bar>,
    pub peers: Vec<Peer>,
}

#[cfg(test)]
impl Row {
    /// A row with that ratio.
    pub fn example(ratio: f64) -> Row {
        let stats = |median| Stats { median, least: median, most: median, runs: 1 };
        Row {
            work: "dispatch".to_string(),
            program: String::new(),
            entries: Vec::new(),
            backend: "host",
            ranks: 1,
            shape: String::new(),
            moved: Moved { read: 1, written: 1, fill: 0 },
            ours: stats(1.0),
            copy: stats(ratio),
            expected: None,
            empty: None,
            sets: 1,
            batch: 1,
            checked: None,
            bars: Vec::new(),
            peers: Vec::new(),
        }
    }
}

/// A row, or why there is none.
pub enum Line {
    Row(Box<Row>),
    Missing {
        work: String,
        why: String,
        /// It should have run.
        failed: bool,
    },
}

impl Row {
    /// Our rate over the copy's.
    pub fn ratio(&self) -> Option<f64> {
        (self.ours.median > 0.0).then(|| self.copy.median / self.ours.median)
    }

    /// The ratio if the padding that is filled counted too.
    pub fn with_fill(&self) -> Option<f64> {
        let more = (self.moved.total() + self.moved.fill) as f64 / self.moved.total().max(1) as f64;
        self.ratio().map(|r| r * more)
    }

    fn rate(&self, stats: &Stats) -> f64 {
        self.moved.total() as f64 / stats.median.max(f64::MIN_POSITIVE) / 1e9
    }

    pub fn verdicts(&self) -> Vec<Verdict> {
        self.bars.iter().map(|b| b.judge(self)).collect()
    }

    fn cells(&self) -> Vec<String> {
        let verdicts = self.verdicts();
        let bars = verdicts.iter().map(|v| format!("{} {}", v.text, v.word()));
        let bars: Vec<String> = bars.collect();
        vec![
            self.work.clone(),
            self.backend.to_string(),
            format!("{:.1}", self.moved.total() as f64 / 1e6),
            milliseconds(self.ours.median),
            milliseconds(self.ours.least),
            milliseconds(self.ours.most),
            milliseconds(self.copy.median),
            format!("{:.0}", self.rate(&self.copy)),
            self.ratio().map_or("-".into(), |r| format!("{:.1} %", r * 100.0)),
            bars.join(", "),
        ]
    }

    /// One line, for those who wait for the table.
    pub fn brief(&self) -> String {
        let ratio = self.ratio().map_or("-".into(), |r| format!("{:.1} %", r * 100.0));
        let ms = milliseconds(self.ours.median);
        format!("{}, {}: {ms} ms, {ratio} of a copy", self.work, self.shape)
    }

    /// Lines below the table.
    fn notes(&self) -> Vec<String> {
        let mut out = vec![format!(
            "{}: {}; {} ranks, {}; {} sets, {} a batch",
            self.work,
            self.checked.as_ref().map_or("NOT checked".to_string(), Checked::text),
            self.ranks,
            self.shape,
            self.sets,
            self.batch
        )];
        if self.moved.fill > 0 {
            let fill = self.moved.fill as f64 / 1e6;
            let share = self.with_fill().map_or(0.0, |r| r * 100.0);
            out.push(format!(
                "  {fill:.1} MB of padding are filled besides, not counted; with them {share:.1} %"
            ));
        }
        out.extend(self.against_model().map(|said| format!("  {said}")));
        if let Some(empty) = &self.empty {
            out.push(format!("  an empty graph takes {} ms", milliseconds(empty.median)));
        }
        out.extend(self.peers.iter().map(|p| format!("  {}", p.text(self.rate(&self.ours)))));
        out
    }

    /// What the model expects, and how many times as long it took.
    pub fn against_model(&self) -> Option<String> {
        let expected = self.expected?;
        let times = self.ours.median / expected.max(f64::MIN_POSITIVE);
        Some(format!(
            "the model expects {} ms; it takes {times:.2} times as long",
            milliseconds(expected)
        ))
    }

    fn json(&self) -> Value {
        let stats = |s: &Stats| json!({ "median": s.median * 1e3, "min": s.least * 1e3, "max": s.most * 1e3, "runs": s.runs });
        let bars = self.verdicts().into_iter().map(|v| json!({ "bar": v.text, "ok": v.ok }));
        json!({
            "work": self.work,
            "program": self.program,
            "entries": self.entries,
            "backend": self.backend,
            "ranks": self.ranks,
            "shape": self.shape,
            "read_bytes": self.moved.read,
            "written_bytes": self.moved.written,
            "fill_bytes": self.moved.fill,
            "ms": stats(&self.ours),
            "copy_ms": stats(&self.copy),
            "expected_ms": self.expected.map(|s| s * 1e3),
            "empty_ms": self.empty.as_ref().map(stats),
            "gb_s": self.rate(&self.ours),
            "copy_gb_s": self.rate(&self.copy),
            "ratio": self.ratio(),
            "ratio_with_fill": self.with_fill(),
            "sets": self.sets,
            "batch": self.batch,
            "checked": self.checked.as_ref().map(|c| json!({ "elements": c.elements, "by": c.by })),
            "bars": bars.collect::<Vec<_>>(),
            "peers": self.peers.iter().map(Peer::json).collect::<Vec<_>>(),
        })
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.4}", seconds * 1e3)
}

const HEADER: [&str; 10] =
    ["work", "on", "MB", "ms", "min", "max", "copy ms", "copy GB/s", "ratio", "bar"];

pub fn text(lines: &[Line]) -> String {
    let rows: Vec<&Row> = lines.iter().filter_map(Line::row).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|r| r.cells()).collect();
    let mut out = vec![print(&HEADER, &cells), String::new()];
    out.extend(rows.iter().flat_map(|r| r.notes()));
    for line in lines {
        if let Line::Missing { work, why, failed } = line {
            out.push(format!("{work}: {}: {why}", if *failed { "FAILED" } else { "missing" }));
        }
    }
    out.join("\n")
}

/// `machine`: what the numbers are of.
pub fn json(lines: &[Line], machine: &[String]) -> Value {
    let rows: Vec<Value> = lines.iter().map(Line::json).collect();
    json!({ "fuscoc": env!("CARGO_PKG_VERSION"), "machine": machine, "rows": rows })
}

impl Line {
    /// A work that ended so: a machine that lacks something is no fault.
    pub fn missing(work: &str, failure: &Failure) -> Line {
        let why = failure.text();
        let why =
            why.trim_start_matches("error[F0911]: ").trim_start_matches("error: ").to_string();
        let failed = failure.kind() != Kind::Environment;
        Line::Missing { work: work.to_string(), why, failed }
    }

    pub fn row_mut(&mut self) -> Option<&mut Row> {
        match self {
            Line::Row(row) => Some(row),
            Line::Missing { .. } => None,
        }
    }

    pub fn row(&self) -> Option<&Row> {
        match self {
            Line::Row(row) => Some(row),
            Line::Missing { .. } => None,
        }
    }

    pub fn json(&self) -> Value {
        match self {
            Line::Row(row) => row.json(),
            Line::Missing { work, why, failed } => {
                json!({ "work": work, "missing": why, "failed": failed })
            }
        }
    }
}

impl Bar {
    pub fn judge(&self, row: &Row) -> Verdict {
        let (text, ok) = match self {
            Bar::Copy(share) => {
                let ok = row.ratio().map(|r| r >= *share);
                (format!(">= {:.0} % of a copy", share * 100.0), ok)
            }
            Bar::Filled(share) => {
                let ok = row.with_fill().map(|r| r >= *share);
                (format!(">= {:.0} % of a copy, with padding", share * 100.0), ok)
            }
            Bar::Time(most) => (format!("<= {most:.0} us"), Some(row.ours.median * 1e6 <= *most)),
            Bar::Peer(name, factor) => {
                let peer = row.peers.iter().find(|p| p.peer == *name).and_then(|p| p.ms);
                let ok = peer.map(|ms| ms / 1e3 >= factor * row.ours.median);
                (format!(">= {factor} x {name}"), ok)
            }
        };
        Verdict { text, ok }
    }
}

/// What failed is in the table; the exit code says so. A machine that lacks what every work needs is not fine.
pub fn ended<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Outcome {
    let (mut timed, mut lacks) = (false, None);
    for line in lines {
        match line {
            Line::Row(_) => timed = true,
            Line::Missing { failed: true, .. } => {
                return Err(Failure::input("a work failed: the table says which and why"));
            }
            Line::Missing { why, .. } => lacks = lacks.or(Some(why)),
        }
    }
    match lacks.filter(|_| !timed) {
        Some(why) => Err(Failure::environment(format!("nothing could be timed: {why}"))),
        None => Ok(()),
    }
}

/// What the numbers are of: processors, and devices if there are any.
pub fn machine() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut out = vec![format!("{cores} cores")];
    out.extend(fusco_runtime::devices().unwrap_or_default());
    out
}
