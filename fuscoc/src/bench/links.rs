//! `fuscoc bench --devices`: dispatch, combine and reshards with ranks on several devices, beside what all
//! devices copy to their neighbours at once, measured in the same run.

mod across;
mod works;

use super::args::Args;
use super::check;
use super::peers::{Folder, Peer};
use super::row::{Line, Row, ended, machine};
use super::time::{Clock, Queue};
use super::work::{self, Job, Timed};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, prepare};
use crate::table::print;
use crate::{Outcome, file};
use across::Across;
use fusco_runtime::{Bound, World};
use serde_json::{Value, json};
use works::Work;

/// Bytes that each device copies to its neighbour.
const NEIGHBOUR: usize = 1 << 30;
const NEIGHBOUR_SMALL: usize = 1 << 20;

/// One work on all devices.
struct Link {
    line: Line,
    across: Across,
    /// Multiprocessors that it can keep busy on each device.
    multiprocessors: Option<u32>,
}

pub fn run(args: &Args) -> Outcome {
    let ranks = args.devices.len();
    let world = match args.backend {
        Some(Backend::Host) => World::host(ranks)?,
        _ => World::devices(&args.devices)?,
    };
    let works = works::works(ranks, args.small);
    let known: Vec<&str> = works.iter().flat_map(|w| w.timed).map(|t| t.name).collect();
    if let Some(name) = args.only.iter().find(|n| !known.contains(&n.as_str())) {
        let known = known.join(", ");
        return Err(Failure::usage(format!("{ranks} ranks have no `{name}`; they have {known}")));
    }
    let folder = if args.peers { Some(Folder::new()?) } else { None };
    let neighbours = neighbours(args, &world)?;
    let mut links = Vec::new();
    for work in &works {
        let timed = work.wanted(&args.only);
        if timed.is_empty() {
            continue;
        }
        let first = links.len();
        match of_work(args, work, &timed, &world) {
            Ok(found) => links.extend(found),
            Err(failure) => links.extend(timed.iter().map(|t| Link::missing(t.name, &failure))),
        }
        let Some(folder) = &folder else { continue };
        let device = if world.backend() == "host" { "cpu" } else { "cuda" };
        let words = format!("{} device={device}", work.words(args.small));
        let known = |t: &works::Timed| Some(t.peer).filter(|peer| !peer.is_empty());
        let mut names: Vec<&str> = timed.iter().filter_map(known).collect();
        names.dedup();
        if names.is_empty() {
            continue;
        }
        let peers = folder.run_across(&names, &words, &args.traces, ranks);
        for (timed, link) in timed.iter().zip(&mut links[first..]) {
            let of_it = |p: &&Peer| p.work == timed.peer || p.work.is_empty();
            if let Some(row) = link.line.row_mut() {
                row.peers = peers.iter().filter(of_it).cloned().collect();
            }
        }
    }
    file::say(text(args, &world, neighbours, &links) + "\n")?;
    if let Some(path) = &args.json {
        file::write(path, format!("{:#}\n", to_json(args, neighbours, &links)))?;
    }
    let lines: Vec<Line> = links.into_iter().map(|l| l.line).collect();
    if let Some(path) = &args.svg {
        file::write(path, super::plot::svg(&lines))?;
    }
    ended(&lines)
}

impl Link {
    fn missing(work: &str, failure: &Failure) -> Link {
        let line = Line::missing(work, failure);
        Link { line, across: Across::default(), multiprocessors: None }
    }

    /// Bytes a second that cross the busiest device's link; all pairs of a token count.
    fn rate(&self, row: &Row) -> f64 {
        self.across.busiest as f64 / row.ours.median.max(f64::MIN_POSITIVE)
    }

    fn rate_once(&self, row: &Row) -> f64 {
        self.across.busiest_once as f64 / row.ours.median.max(f64::MIN_POSITIVE)
    }
}

/// Bytes a second that each device sends to the next one and gets from the one before, all at once.
fn neighbours(args: &Args, world: &World) -> Result<f64, Failure> {
    let bytes = if args.small { NEIGHBOUR_SMALL } else { NEIGHBOUR };
    let (stream, from, to) = (world.stream()?, world.scratch(bytes)?, world.scratch(bytes)?);
    let clock = Clock::new(world, &stream, args.repeat)?;
    let next = |_| Ok(stream.copy_around(&from, &to)?);
    let (stats, _) = clock.race(&Queue { batch: 1, next: Box::new(next) }, None)?;
    Ok(bytes as f64 / stats.median.max(f64::MIN_POSITIVE))
}

/// As in the suite: a smaller shape against the reference interpreter, the whole one against the host back end.
fn of_work(
    args: &Args,
    work: &Work,
    wanted: &[works::Timed],
    world: &World,
) -> Result<Vec<Link>, Failure> {
    let progress = Progress::new(4 + wanted.len());
    let seed = args.work.random.unwrap_or_else(|| fastrand::u64(..));
    let prepared =
        |small: bool, raw: bool| prepare(work.run(small, raw, seed, &args.traces), &work.source());
    let small = prepared(true, false)?;
    let (ready, (finished, checked)) = if args.small {
        let checked = check::by_oracle(&small, world, &progress)?;
        (small, checked)
    } else {
        let ready = prepared(false, true)?;
        let checked = check::by_host(&small, &ready, world, &progress)?;
        (ready, checked)
    };
    let alone = |t: &works::Timed| Timed {
        name: t.name.to_string(),
        entries: t.entries.iter().map(ToString::to_string).collect(),
        bars: Vec::new(),
    };
    let timed: Vec<Timed> = wanted.iter().map(alone).collect();
    let job = Job::new(&ready, world, &finished, Some(&checked));
    let rows = work::rows(&job, &timed, args.repeat, &progress)?;
    let bound = Bound::from_schedule(world, ready.compiled.schedule.clone())?;
    let link = |(timed, row): (&works::Timed, Row)| Link {
        across: Across::of(&ready, row.moved.written),
        multiprocessors: timed.entries.iter().filter_map(|e| bound.multiprocessors(e)).max(),
        line: Line::Row(Box::new(row)),
    };
    Ok(wanted.iter().zip(rows).map(link).collect())
}

const HEADER: [&str; 11] = [
    "work",
    "MB",
    "MB across",
    "once a rank",
    "ms",
    "of a copy",
    "GB/s a device",
    "of peers",
    "once",
    "SMs",
    "checked",
];

fn text(args: &Args, world: &World, neighbours: f64, links: &[Link]) -> String {
    let mut distinct = args.devices.clone();
    distinct.dedup();
    let mut out = vec![match (world.backend(), distinct.len()) {
        ("host", _) => "a dry run on the host: nothing crosses a link".to_string(),
        (_, 1) => "a dry run: all ranks are on one device, nothing crosses a link".to_string(),
        (_, n) => format!("{} ranks on {n} devices", args.devices.len()),
    }];
    out.push(format!(
        "each device to the next, all at once: {:.1} GB/s out and as much in\n",
        neighbours / 1e9
    ));
    let rows = links.iter().filter_map(|l| Some((l, l.line.row()?)));
    let cells: Vec<Vec<String>> = rows.map(|(l, row)| cells(l, row, neighbours)).collect();
    out.push(print(&HEADER, &cells));
    for link in links {
        match &link.line {
            Line::Row(row) => {
                let ours = row.moved.total() as f64 / row.ours.median / 1e9;
                let model = row.against_model().map(|said| format!("  {}: {said}", row.work));
                out.extend(model);
                out.extend(row.peers.iter().map(|p| format!("  {}: {}", row.work, p.text(ours))));
            }
            Line::Missing { work, why, failed } => {
                out.push(format!("{work}: {}: {why}", if *failed { "FAILED" } else { "missing" }));
            }
        }
    }
    out.join("\n")
}

fn cells(link: &Link, row: &Row, neighbours: f64) -> Vec<String> {
    let share = |rate: f64| format!("{:.1} %", rate / neighbours * 100.0);
    let megabytes = |bytes: i64| format!("{:.2}", bytes as f64 / 1e6);
    vec![
        row.work.clone(),
        megabytes(row.moved.total()),
        megabytes(link.across.bytes),
        megabytes(link.across.once),
        format!("{:.4}", row.ours.median * 1e3),
        row.ratio().map_or("-".to_string(), |r| format!("{:.1} %", r * 100.0)),
        format!("{:.1}", link.rate(row) / 1e9),
        share(link.rate(row)),
        share(link.rate_once(row)),
        link.multiprocessors.map_or("-".to_string(), |n| n.to_string()),
        row.checked.as_ref().map_or("NOT checked".to_string(), |c| c.text()),
    ]
}

fn to_json(args: &Args, neighbours: f64, links: &[Link]) -> Value {
    let row = |link: &Link| {
        let mut out = link.line.json();
        if let Some(row) = link.line.row() {
            out["across_bytes"] = json!(link.across.bytes);
            out["across_once_bytes"] = json!(link.across.once);
            out["link_gb_s"] = json!(link.rate(row) / 1e9);
            out["link_ratio"] = json!(link.rate(row) / neighbours);
            out["link_ratio_once"] = json!(link.rate_once(row) / neighbours);
            out["multiprocessors"] = json!(link.multiprocessors);
        }
        out
    };
    json!({
        "fuscoc": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "devices": args.devices,
        "neighbour_gb_s": neighbours / 1e9,
        "rows": links.iter().map(row).collect::<Vec<_>>(),
    })
}
