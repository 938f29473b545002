//! What a run did, for people and for machines.

use super::Finished;
use crate::failure::Failure;
use crate::run::Prepared;
use crate::table::{bar, bytes, print, thousands, three};
use fusco_dsl::Compiled;
use fusco_dsl::arena::Handle;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::plan::{Kind, Move};
use fusco_dsl::sema::hir::{Elem, Route};
use fusco_runtime::View;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub type Verdict = Result<u64, String>;

/// Rows that one route moves, by owner, and what a row weighs.
struct Traffic {
    route: String,
    live: Vec<u32>,
    per_rank: Vec<u64>,
    row_bytes: i64,
}

fn traffic(compiled: &Compiled, inputs: &Inputs, finished: &Finished) -> Vec<Traffic> {
    let mut out = Vec::new();
    for (handle, shape) in &compiled.plan.routes {
        let name = compiled.hir.routes[*handle].name.clone();
        let live = finished.live.get(&name).cloned().unwrap_or_default();
        let movements = compiled.plan.entries.iter().flat_map(|e| &e.movements);
        let pushes = movements
            .filter(|m| m.route == *handle && m.pushes() && matches!(m.kind, Kind::Row { .. }));
        let deal = pushes.clone().find_map(|m| m.target.deal.clone());
        let known = deal.clone().and_then(|d| crate::data::dealt(compiled, d, inputs));
        let count = |group: &i64| live.get(*group as usize).map_or(0, |n| u64::from(*n));
        let rows = |rank| {
            let own = known.as_ref().and_then(|d| d.groups_of(shape.member_of(rank)));
            let own = own.unwrap_or_default();
            own.iter().map(count).sum()
        };
        // Whose the rows are is not told where another entry made the owners.
        let ranks = if known.is_some() == deal.is_some() { compiled.schedule.ranks } else { 0 };
        let per_rank = (0..ranks).map(rows).collect();
        let row_bytes =
            pushes.map(|m| m.run * compiled.hir.tensors[m.target.tensor].dtype.elem.bytes()).sum();
        out.push(Traffic { route: name, live, per_rank, row_bytes });
    }
    out
}

/// What was run, and what was expected of it.
pub struct Run<'a> {
    pub finished: &'a Finished,
    pub sums: &'a Sums,
    /// Seconds of an entry, by the model; empty where there is none.
    pub expected: &'a BTreeMap<String, f64>,
}

pub fn text(compiled: &Compiled, inputs: &Inputs, run: &Run, verdict: Option<&Verdict>) -> String {
    let Run { finished, sums, .. } = run;
    let mut out = Vec::new();
    let params = params(inputs);
    let dyns: Vec<String> = inputs.dyns.iter().map(|(n, v)| format!("{n}={}", short(v))).collect();
    let ranks = match compiled.schedule.ranks {
        1 => "1 rank".to_string(),
        n => format!("{n} ranks"),
    };
    let numbers = [params, dyns].concat().join(" ");
    let numbers = if numbers.is_empty() { numbers } else { format!(", {numbers}") };
    out.push(format!("{} on {}: {ranks}{numbers}", compiled.hir.name, finished.backend));
    for t in traffic(compiled, inputs, finished) {
        out.push(String::new());
        out.push(rank_table(&t));
        out.push(String::new());
        out.push(group_summary(&t));
    }
    out.push(String::new());
    out.push(time_table(compiled, inputs, run));
    out.push(String::new());
    out.push(output_table(compiled, sums));
    if let Some(verdict) = verdict {
        out.push(String::new());
        out.push(match verdict {
            Ok(n) => format!(
                "verified: {} elements equal the reference interpreter, bit for bit",
                thousands(*n as i64)
            ),
            Err(_) => "NOT verified".to_string(),
        });
    }
    out.join("\n")
}

/// `M=4`, `OWNER=[0,0,1]`
fn params(inputs: &Inputs) -> Vec<String> {
    let mut arrays: BTreeMap<&str, BTreeMap<usize, i64>> = BTreeMap::new();
    let mut out = Vec::new();
    for (name, value) in &inputs.params {
        let element = name.strip_suffix(']').and_then(|n| n.split_once('['));
        match element.and_then(|(n, i)| Some((n, i.parse().ok()?))) {
            Some((array, i)) => {
                arrays.entry(array).or_default().insert(i, *value);
            }
            None => out.push(format!("{name}={value}")),
        }
    }
    let list = |values: BTreeMap<usize, i64>| {
        values.into_values().map(|v| v.to_string()).collect::<Vec<_>>().join(",")
    };
    out.extend(arrays.into_iter().map(|(name, values)| format!("{name}=[{}]", list(values))));
    out
}

fn short(values: &[i64]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|v| v == first) => first.to_string(),
        values => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

fn rank_table(t: &Traffic) -> String {
    if t.per_rank.is_empty() {
        return format!("route {}, whose groups have owners that an earlier entry named", t.route);
    }
    let total: u64 = t.per_rank.iter().sum();
    let mean = total as f64 / t.per_rank.len().max(1) as f64;
    let most = t.per_rank.iter().copied().max().unwrap_or(0).max(1) as f64;
    let rows: Vec<Vec<String>> = t
        .per_rank
        .iter()
        .enumerate()
        .map(|(rank, n)| {
            let load = if mean > 0.0 { *n as f64 / mean } else { 0.0 };
            vec![
                rank.to_string(),
                thousands(*n as i64),
                bytes(*n as f64 * t.row_bytes as f64),
                format!("{load:.2}"),
                bar(*n as f64 / most, 24),
            ]
        })
        .collect();
    format!("route {}\n{}", t.route, print(&["rank", "rows", "bytes", "load", ""], &rows))
}

fn group_summary(t: &Traffic) -> String {
    let mut sorted = t.live.clone();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().map(|n| u64::from(*n)).sum();
    let mean = total as f64 / sorted.len().max(1) as f64;
    let at = |share: f64| {
        sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0)
    };
    let busiest =
        t.live.iter().enumerate().max_by_key(|(i, n)| (**n, usize::MAX - i)).map_or(0, |(i, _)| i);
    let row = vec![
        t.live.len().to_string(),
        thousands(total as i64),
        at(0.0).to_string(),
        at(0.5).to_string(),
        format!("{mean:.0}"),
        at(1.0).to_string(),
        format!(
            "expert {busiest}, {:.2} x mean",
            if mean > 0.0 { f64::from(at(1.0)) / mean } else { 0.0 }
        ),
    ];
    print(&["experts", "rows", "least", "median", "mean", "most", "busiest"], &[row])
}

/// Bytes of the rows that an entry moves by routes, read and written by its other statements.
fn entry_bytes(compiled: &Compiled, inputs: &Inputs, finished: &Finished, entry: &str) -> i64 {
    let Some(plan) = compiled.plan.entries.iter().find(|e| e.name == entry) else { return 0 };
    let rows_of = |route: Handle<Route>| -> i64 {
        let live = finished.live.get(&compiled.hir.routes[route].name);
        live.map_or(0, |l| l.iter().map(|n| i64::from(*n)).sum())
    };
    let both = |m: &Move| {
        let rows = m.route.map_or(1, rows_of);
        let (read, written) = super::moved::bytes(compiled, inputs, m, rows);
        read + written
    };
    let mut total = plan.moves.iter().map(both).sum();
    for m in &plan.movements {
        let rows = rows_of(m.route);
        let row = m.run * compiled.hir.tensors[m.target.tensor].dtype.elem.bytes();
        total += match m.kind {
            Kind::Row { .. } | Kind::Computed { .. } | Kind::Int { .. } => rows * row,
            Kind::Derive { .. } => 0,
        };
    }
    total
}

/// Where the model says what is expected, that and how many times as long it took.
fn time_table(compiled: &Compiled, inputs: &Inputs, run: &Run) -> String {
    let Run { finished, expected, .. } = run;
    let rows: Vec<Vec<String>> = finished
        .times
        .iter()
        .map(|(entry, time)| {
            let moved = entry_bytes(compiled, inputs, finished, entry) as f64;
            let rate = moved / time.as_secs_f64() / 1e9;
            let mut cells = vec![
                entry.clone(),
                bytes(moved),
                format!("{} ms", three(time.as_secs_f64() * 1e3)),
                format!("{} GB/s", three(rate)),
            ];
            if !expected.is_empty() {
                let model = expected.get(entry);
                let cell = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
                cells.push(cell(model.map(|s| format!("{} ms", three(s * 1e3)))));
                cells.push(cell(model.map(|s| three(time.as_secs_f64() / s))));
            }
            cells.push(if finished.warm { "warm" } else { "cold" }.to_string());
            cells
        })
        .collect();
    let model: &[&str] = if expected.is_empty() { &[] } else { &["expected", "times as long"] };
    print(&[&["entry", "moved", "time", "rate"], model, &["launch"]].concat(), &rows)
}

fn output_table(compiled: &Compiled, sums: &Sums) -> String {
    let rows: Vec<Vec<String>> = sums
        .iter()
        .map(|(name, sum)| {
            let elem =
                compiled.hir.tensor(name).map_or("", |h| compiled.hir.tensors[h].dtype.elem.name());
            vec![name.clone(), elem.to_string(), sum.clone()]
        })
        .collect();
    print(&["out", "type", "checksum"], &rows)
}

/// A checksum of each output, by name.
pub type Sums = BTreeMap<String, String>;

pub fn checksums(finished: &Finished) -> Sums {
    let sum = |ranks: &Vec<View>| format!("{:016x}", checksum(ranks));
    finished.outputs.iter().map(|(name, ranks)| (name.clone(), sum(ranks))).collect()
}

/// Of all ranks' bytes and how many each has, eight bytes at a time: as FNV-1a, with high bits brought down.
fn checksum(ranks: &[impl AsRef<[u8]>]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |word: u64| {
        sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
        sum ^= sum >> 32;
    };
    for bytes in ranks.iter().map(AsRef::as_ref) {
        add(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        add(u64::from_le_bytes(last));
    }
    sum
}

pub fn json(
    compiled: &Compiled,
    inputs: &Inputs,
    Run { finished, sums, expected }: &Run,
    verdict: Option<&Verdict>,
) -> Value {
    let times: BTreeMap<&str, Value> = finished
        .times
        .iter()
        .map(|(e, t)| {
            (
                e.as_str(),
                json!({
                    "seconds": t.as_secs_f64(),
                    "bytes": entry_bytes(compiled, inputs, finished, e),
                    "warm": finished.warm,
                    "expected_seconds": expected.get(e),
                }),
            )
        })
        .collect();
    json!({
        "program": compiled.hir.name,
        "backend": finished.backend,
        "ranks": compiled.schedule.ranks,
        "params": inputs.params,
        "dyns": inputs.dyns,
        "live": finished.live,
        "entries": times,
        "checksums": sums,
        "verified": verdict.map(|v| v.is_ok()),
        "compared": verdict.and_then(|v| v.as_ref().ok()),
    })
}

/// Outputs for a file, all of them from the ranks' buffers: the logical array, the live length of each ragged
/// segment, and each rank's buffer.
pub fn arrays(ready: &Prepared, finished: &Finished) -> Result<BTreeMap<String, Array>, Failure> {
    let Prepared { compiled, feeds, .. } = ready;
    let (mut out, mut inputs) = (BTreeMap::new(), ready.inputs.clone());
    // Counts may be read from what an entry was fed: those tensors first.
    let mut names: Vec<&String> = finished.outputs.keys().collect();
    names.sort_by_key(|name| !feeds.values().any(|from| from == *name));
    for name in names {
        let ranks = &finished.outputs[name];
        let found = fusco_dsl::ranks::gather(&compiled.hir, name, ranks, &inputs, &finished.live)?;
        let elem = found.logical.elem;
        for (rank, (data, end)) in ranks.iter().zip(found.ends).enumerate() {
            let data = data[..end * elem.bytes() as usize].to_vec();
            out.insert(format!("{name}@{rank}"), Array::new(elem, vec![end], data)?);
        }
        if let Some(count) = found.count {
            let values: Vec<i64> = count.into_iter().map(i64::from).collect();
            let array = Array::from_i64(Elem::I32, vec![values.len()], &values);
            out.insert(format!("{name}.count"), array);
        }
        for (to, _) in feeds.iter().filter(|(_, from)| *from == name) {
            inputs.tensors.insert(to.clone(), found.logical.clone());
        }
        out.insert(name.clone(), found.logical);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn a_checksum_tells_every_bit_and_which_rank_has_it() {
        let ranks = |n: usize| vec![vec![0u8; n], vec![0u8; 5]];
        let mut seen =
            std::collections::BTreeSet::from([checksum(&ranks(19)), checksum(&ranks(20))]);
        for bit in 0..19 * 8 {
            for other in 0..5 * 8 {
                let mut flipped = ranks(19);
                flipped[0][bit / 8] ^= 1 << (bit % 8);
                seen.insert(checksum(&flipped));
                flipped[1][other / 8] ^= 1 << (other % 8);
                seen.insert(checksum(&flipped));
            }
        }
        assert_eq!(seen.len(), 2 + 19 * 8 + 19 * 8 * 5 * 8);
    }
}
