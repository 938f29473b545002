//! Rows and bytes between ranks, counted from the values that decide them: tables, a picture, JSON.

use super::heat;
use crate::table::{bytes, print, thousands};
use fusco_dsl::explain::{Flow, Hop, Level, Statement, Timed, Way, WayKind};
use serde_json::{Value, json};

/// The statements of a program on some inputs.
pub struct Counted {
    /// Where the inputs come from, as `topk=trace.safetensors`.
    pub of: String,
    pub level: Option<Level>,
    pub statements: Vec<Statement>,
    /// The devices that share the ranks.
    pub machines: String,
    /// What each kernel of each way of each statement is expected to take there.
    pub times: Vec<Vec<Vec<Timed>>>,
}

pub fn text(counted: &Counted, colour: bool) -> String {
    let mut out = format!("rows between ranks of {}\n", counted.of);
    for (statement, times) in counted.statements.iter().zip(&counted.times) {
        let level = counted.level.as_ref();
        out += &format!("\n  {} of {}\n", statement.text, statement.entry);
        out += &indented(&ways(statement, level));
        out += &indented(&format!("expected on {}, a model:", counted.machines));
        out += &indented(&timed((statement, times), level));
        let Some(each) = statement.ways.first().map(|way| &way.hops[0].flow) else { continue };
        let (rows, own) = each.sum(|from, to| from == to);
        let stay = format!("{} rows, {}, stay on their rank", thousands(rows), bytes(own as f64));
        out += &indented(&stay);
        if let Some(level) = &counted.level {
            out += &indented(&forwarders(statement, level));
        }
        out += &indented(&heat::map(each, colour));
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n").replace("  \n", "\n")).collect()
}

/// A line for each hop of each way: what leaves its rank, the busiest rank's part, and what leaves its place.
fn ways(statement: &Statement, level: Option<&Level>) -> String {
    let mut header = vec!["rows", "bytes", "busiest out", "in"];
    let between = level.map(|l| format!("rows to other {}s", l.name)).unwrap_or_default();
    if level.is_some() {
        header.extend([between.as_str(), "bytes"]);
    }
    header.push("way");
    let mut lines = Vec::new();
    for way in &statement.ways {
        let crosses = |hop: &&Hop| hop.flow.sum(|from, to| from != to).0 > 0;
        let hops: Vec<&Hop> = way.hops.iter().filter(crosses).collect();
        for (number, hop) in hops.iter().enumerate() {
            let (rows, all) = hop.flow.sum(|from, to| from != to);
            let (out, into) = busiest(&hop.flow);
            let mut cells = vec![thousands(rows), size(all), size(out), size(into)];
            if let Some(level) = level {
                let (rows, all) = hop.flow.sum(|a, b| level.place(a) != level.place(b));
                cells.extend([thousands(rows), size(all)]);
            }
            let which = match hops.len() {
                1 => String::new(),
                _ => format!(", hop {}", number + 1),
            };
            cells.push(name(way.kind, level) + &which);
            lines.push(cells);
        }
    }
    print(&header, &lines)
}

/// A line for each way: what each of its kernels is expected to take, and what it waits for.
fn timed((statement, times): (&Statement, &[Vec<Timed>]), level: Option<&Level>) -> String {
    let all = |hops: &[Timed]| hops.iter().map(|h| h.time).sum::<f64>();
    let least = times.iter().map(|hops| all(hops)).fold(f64::INFINITY, f64::min);
    let lines = statement.ways.iter().zip(times).map(|(way, hops)| {
        let each: Vec<String> = hops.iter().map(|h| format!("{:.1}", h.time / 1e3)).collect();
        let limits: Vec<String> = hops.iter().map(|h| h.limit.to_string()).collect();
        let quickest = if all(hops) == least { ", the quickest" } else { "" };
        vec![
            format!("{:.1}", all(hops) / 1e3),
            each.join(" + "),
            limits.join(", "),
            name(way.kind, level) + quickest,
        ]
    });
    print(&["us", "kernels", "limited by", "way"], &lines.collect::<Vec<_>>())
}

fn size(number: i64) -> String {
    bytes(number as f64)
}

pub fn name(kind: WayKind, level: Option<&Level>) -> String {
    let place = level.map_or("place", |l| l.name.as_str());
    match kind {
        WayKind::Each => "every pair".to_string(),
        WayKind::OnceARank => "once a rank".to_string(),
        WayKind::OnceAPlace => format!("once a {place}, forward same"),
        WayKind::Balanced => format!("once a {place}, forward balanced(bytes)"),
    }
}

/// Bytes of the rank that sends most to others, and of the one that gets most.
fn busiest(flow: &Flow) -> (i64, i64) {
    let ranks = || 0..flow.ranks;
    let out = ranks().map(|r| flow.sum(|from, to| from == r && to != r).1).max();
    let into = ranks().map(|r| flow.sum(|from, to| to == r && from != r).1).max();
    (out.unwrap_or(0), into.unwrap_or(0))
}

/// Most ranks that are listed one by one; JSON has all.
const WIDE: usize = 16;

/// The load of each forwarder, before and after balancing.
fn forwarders(statement: &Statement, level: &Level) -> String {
    let way = |kind| statement.ways.iter().find(|w| w.kind == kind);
    let (Some(same), Some(balanced)) = (way(WayKind::OnceAPlace), way(WayKind::Balanced)) else {
        return String::new();
    };
    let line = |rank: usize| {
        let (a, b) = (same.forwarded[rank], balanced.forwarded[rank]);
        vec![
            level.place(rank).to_string(),
            rank.to_string(),
            thousands(a.0),
            size(a.1),
            thousands(b.0),
            size(b.1),
        ]
    };
    let ranks = same.forwarded.len();
    let lines: Vec<_> = (0..if ranks > WIDE { 0 } else { ranks }).map(line).collect();
    let header = [&level.name, "forwarder", "same: rows", "bytes", "balanced: rows", "bytes"];
    let spread = |way: &Way| {
        let loads = || way.forwarded.iter().map(|(rows, _)| *rows);
        let mean = loads().sum::<i64>() as f64 / way.forwarded.len().max(1) as f64;
        loads().max().unwrap_or(0) as f64 / mean.max(f64::MIN_POSITIVE)
    };
    let each = if lines.is_empty() { String::new() } else { print(&header, &lines) + "\n" };
    format!(
        "{each}the busiest forwarder has {:.2} times the mean, balanced {:.2} times",
        spread(same),
        spread(balanced)
    )
}

pub fn json(counted: &Counted) -> Value {
    let all = counted.statements.iter().zip(&counted.times);
    let statements = all.map(|(s, times)| statement((s, times), counted.level.as_ref()));
    json!({
        "of": counted.of,
        "machines": counted.machines,
        "level": counted.level.as_ref().map(|l| json!({ "name": l.name, "ranks": l.per })),
        "statements": statements.collect::<Value>(),
    })
}

fn statement((statement, times): (&Statement, &[Vec<Timed>]), level: Option<&Level>) -> Value {
    let own = statement.ways.first().map(|way| way.hops[0].flow.sum(|from, to| from == to));
    json!({
        "entry": statement.entry,
        "statement": statement.text,
        "own_rows": own.map(|o| o.0),
        "own_bytes": own.map(|o| o.1),
        "ways": statement.ways.iter().zip(times).map(|(w, t)| way((w, t), level)).collect::<Value>(),
    })
}

fn way((way, times): (&Way, &[Timed]), level: Option<&Level>) -> Value {
    let matrix = |flow: &Flow, cell: &dyn Fn(usize, usize) -> i64| -> Value {
        let row = |from| (0..flow.ranks).map(|to| cell(from, to)).collect::<Value>();
        (0..flow.ranks).map(row).collect()
    };
    let hops = way.hops.iter().map(|hop| {
        let flow = &hop.flow;
        let (rows, all) = flow.sum(|from, to| from != to);
        let between = level.map(|l| flow.sum(|from, to| l.place(from) != l.place(to)));
        json!({
            "rows": rows,
            "bytes": all,
            "rows_between": between.map(|b| b.0),
            "bytes_between": between.map(|b| b.1),
            "rows_from_to": matrix(flow, &|from, to| flow.rows(from, to)),
            "bytes_from_to": matrix(flow, &|from, to| flow.bytes(from, to)),
        })
    });
    let forwarded =
        |part: fn(&(i64, i64)) -> i64| way.forwarded.iter().map(part).collect::<Value>();
    let kernels = times.iter().map(|t| json!({ "ns": t.time, "limited_by": t.limit.to_string() }));
    json!({
        "way": name(way.kind, level),
        "ns": times.iter().map(|t| t.time).sum::<f64>(),
        "hops": hops.collect::<Value>(),
        "kernels": kernels.collect::<Value>(),
        "forwarded_rows": forwarded(|f| f.0),
        "forwarded_bytes": forwarded(|f| f.1),
    })
}
