//! `fuscoc bench --links`: the rates that the compiler's model has, measured on these devices and kept for this machine.

use super::args::Args;
use super::check;
use super::row::Row;
use super::work::{self, Job, Timed};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, Prepared, Work, launch, prepare};
use crate::source::Source;
use crate::table::{print, three};
use crate::{Format, Outcome, file};
use fusco_dsl::cuda::Target;
use fusco_dsl::kernel;
use fusco_runtime::{World, jit};
use serde_json::{Value, json};

const LINKS: &str = include_str!("links.fusco");
const ENTRIES: [&str; 2] = ["store", "load"];
/// Bytes of a rank: of a rate, and of a launch that has none to speak of.
const LARGE: i64 = 512 << 20;
const LARGE_SMALL: i64 = 256 << 10;
const TINY: i64 = 64;

/// What was measured, by the names that are kept.
type Rates = Vec<(&'static str, f64)>;

pub fn run(args: &Args, format: Format) -> Outcome {
    if args.backend == Some(Backend::Host) {
        return Err(Failure::usage("`--links` is of devices: leave out --backend host"));
    }
    let devices = if args.devices.is_empty() { vec![0] } else { args.devices.clone() };
    let world = World::devices(&devices)?;
    let target = world.target().ok_or_else(|| Failure::usage("a host has no links"))?;
    let measured = measured(args, &world, (&devices, &target))?;
    let path = jit::keep(target.architecture, target.sms, &measured)?;
    let known = target.architecture.rates();
    let before = [
        ("copy", known.copy, "GB/s read and written by a copy in memory"),
        (
            "store",
            known.link,
            "GB/s one way that stores of a kernel send to peers, both ways at once",
        ),
        (
            "load",
            known.pull,
            "GB/s one way that loads of a kernel fetch from peers, both ways at once",
        ),
        ("launch", known.launch, "ns from a kernel of a stream to the next"),
        ("barrier", known.barrier, "ns of a barrier or handshake of all CTAs"),
    ];
    let of = |name: &str| measured.iter().find(|(n, _)| *n == name).map(|(_, number)| *number);
    if format == Format::Json || args.json.is_some() {
        let rates = before.iter().map(|(name, known, _)| {
            (name.to_string(), json!({ "measured": of(name), "architecture": known.number }))
        });
        let object = json!({
            "arch": target.architecture.name,
            "devices": devices,
            "kept": path.display().to_string(),
            "rates": Value::Object(rates.collect()),
        });
        if let Some(path) = &args.json {
            file::write(path, format!("{object:#}\n"))?;
        }
        if format == Format::Json {
            return file::say(format!("{object}\n"));
        }
    }
    let line = |(name, known, what): &(&str, fusco_dsl::cuda::Rate, &str)| {
        let shown = of(name).map_or("not measured".to_string(), three);
        vec![name.to_string(), shown, three(known.number), what.to_string()]
    };
    let lines: Vec<_> = before.iter().map(line).collect();
    let table = print(&["rate", "measured", "known of the architecture", ""], &lines);
    file::say(format!("{table}\nkept in {}\n", path.display()))
}

/// Rates that came out as numbers; links only if there are several devices.
fn measured(
    args: &Args,
    world: &World,
    (devices, target): (&[i32], &Target),
) -> Result<Rates, Failure> {
    let progress = Progress::new(3 * (2 + ENTRIES.len()));
    let (ranks, here) = (devices.len() as i64, i64::from(target.ranks_per_device));
    let of_one = World::device(devices[0], 1)?;
    let one = rows(args, &of_one, (1, TINY), &progress)?;
    let across = rows(args, world, (ranks, TINY), &progress)?;
    let bytes = if args.small { LARGE_SMALL } else { LARGE };
    let large = rows(args, world, (ranks, bytes), &progress)?;
    let nanoseconds = |row: &Row| row.ours.median * 1e9;
    let launched = nanoseconds(&one.rows[0]) / one.kernels[0].0;
    let copied = &large.rows[0];
    let each = copied.moved.total() as f64 * here as f64 / ranks as f64;
    let mut out = vec![("launch", launched), ("copy", each / (copied.copy.median * 1e9))];
    if here < ranks {
        let (kernels, waits) = across.kernels[0];
        out.push(("barrier", (nanoseconds(&across.rows[0]) - kernels * launched) / waits));
        let crossing = bytes as f64 * here as f64 * (ranks - here) as f64 / ranks as f64;
        for (i, name) in ENTRIES.into_iter().enumerate() {
            let time = nanoseconds(&large.rows[i]) - nanoseconds(&across.rows[i]);
            out.push((name, crossing / time));
        }
    }
    out.retain(|(_, number)| number.is_finite() && *number > 0.0);
    Ok(out)
}

/// The entries, timed, and of each how many kernels it has and how often those wait.
struct Measured {
    rows: Vec<Row>,
    kernels: Vec<(f64, f64)>,
}

/// Both entries with so many bytes on each of so many ranks; few are compared with the reference interpreter.
fn rows(
    args: &Args,
    world: &World,
    (ranks, bytes): (i64, i64),
    progress: &Progress,
) -> Result<Measured, Failure> {
    let work = Work {
        entries: ENTRIES.map(str::to_string).to_vec(),
        set: vec![format!("G={ranks},N={}", (bytes / 4 / ranks).max(1))],
        random: Some(args.work.random.unwrap_or(1)),
        ..Work::default()
    };
    let source = Source { name: "links.fusco".to_string(), text: LINKS.to_string() };
    let ready = prepare(work, &source)?;
    let (finished, checked) = match bytes {
        TINY => {
            let (finished, checked) = check::by_oracle(&ready, world, progress)?;
            (finished, Some(checked))
        }
        _ => (launch(&ready, world, 0, progress)?, None),
    };
    let alone =
        |e: &str| Timed { name: e.to_string(), entries: vec![e.to_string()], bars: Vec::new() };
    let job = Job::new(&ready, world, &finished, checked.as_ref());
    let rows = work::rows(&job, &ENTRIES.map(alone), args.repeat, progress)?;
    Ok(Measured { rows, kernels: kernels(&ready, world) })
}

/// Of each entry: kernels, and barriers and handshakes of them all.
fn kernels(ready: &Prepared, world: &World) -> Vec<(f64, f64)> {
    let target = world.target();
    let program = target.and_then(|t| kernel::lower(&ready.compiled.schedule, &t).ok());
    let of = |entry: &str| {
        let number = ready.compiled.schedule.entries.iter().position(|e| e.name == entry);
        let all = program.iter().flat_map(|p| &p.kernels);
        let own = all.filter(|k| Some(k.entry) == number);
        own.fold((0.0, 0.0), |(n, waits), k| (n + 1.0, waits + k.choice.cost.load.waits))
    };
    ENTRIES.map(of).to_vec()
}
