//! `fuscoc bench`: times beside a copy of the same bytes, after every element was checked. With a file its
//! entries, without one the suite.

mod bar;
mod check;
mod curves;
mod links;
mod moved;
mod peers;
mod plot;
mod row;
mod suite;
mod time;
mod work;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, Work, launch, prepare, world};
use crate::source::Source;
use crate::{Format, Outcome, file};
use row::Line;
use std::path::{Path, PathBuf};
use work::{Job, Timed};

#[derive(clap::Args)]
pub struct Args {
    /// A program; without one the suite runs.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Entries in the order of their launches; each is timed alone.
    #[arg(long, value_delimiter = ',')]
    entry: Vec<String>,
    #[command(flatten)]
    work: Work,
    /// Where to run; the suite's works have their own.
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Times of each, of which the median counts.
    #[arg(long, default_value_t = 30)]
    repeat: usize,
    /// Times without comparing with the reference interpreter.
    #[arg(long)]
    no_verify: bool,
    /// Times dispatch and combine over one size at a time: tokens, experts, topk, hidden, ranks, ctas.
    #[arg(long, conflicts_with = "file")]
    curves: bool,
    /// Times dispatch, combine and reshards with a rank on each of these devices, beside what all of them copy to
    /// their neighbours at once. One device for all ranks is a dry run.
    #[arg(long, value_name = "N[,N..]", value_delimiter = ',', conflicts_with_all = ["file", "curves"])]
    devices: Vec<i32>,
    /// Only these works of the suite, or these curves.
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    only: Vec<String>,
    /// The suite's smaller shapes, to see that all of it works.
    #[arg(long)]
    small: bool,
    /// Runs what others offer for the same work, too: Python with PyTorch and Triton.
    #[arg(long)]
    peers: bool,
    /// Where the router traces are.
    #[arg(long, value_name = "DIR", default_value = "examples/traces")]
    traces: PathBuf,
    /// Writes the rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the ratios.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    if args.curves {
        return curves::run(args);
    }
    if !args.devices.is_empty() {
        return links::run(args);
    }
    let lines = match &args.file {
        Some(path) => of_file(args, path)?,
        None => suite::run(args)?,
    };
    match format {
        Format::Json => file::say(format!("{}\n", row::json(&lines, &machine())))?,
        Format::Text => file::say(row::text(&lines) + "\n")?,
    }
    if let Some(path) = &args.json {
        file::write(path, format!("{:#}\n", row::json(&lines, &machine())))?;
    }
    if let Some(path) = &args.svg {
        file::write(path, plot::svg(&lines))?;
    }
    // What failed is in the table; the exit code says so.
    ended(&lines)
}

/// What failed is in the table; the exit code says so. A machine that lacks what every work needs is not fine.
fn ended<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Outcome {
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

/// Each entry of a file.
fn of_file(args: &Args, path: &Path) -> Result<Vec<Line>, Failure> {
    if args.entry.is_empty() {
        return Err(Failure::usage("name the entries to time: --entry E[,E..]"));
    }
    let work = Work { entries: args.entry.clone(), ..args.work.clone() };
    let ready = prepare(work, &Source::read(path)?)?;
    let backend = args.backend.unwrap_or(Backend::Host);
    let world = world(&ready.compiled, backend)?;
    let progress = Progress::new(3 * args.entry.len());
    let (finished, checked) = if args.no_verify {
        (launch(&ready, &world, 0, &progress)?, None)
    } else {
        let (finished, checked) = check::by_oracle(&ready, &world, &progress)?;
        (finished, Some(checked))
    };
    let alone = |e: &String| Timed { name: e.clone(), entries: vec![e.clone()], bars: Vec::new() };
    let timed: Vec<Timed> = args.entry.iter().map(alone).collect();
    let job = Job::new(&ready, &world, &finished, checked.as_ref());
    let rows = work::rows(&job, &timed, args.repeat, &progress)?;
    Ok(rows.into_iter().map(|r| Line::Row(Box::new(r))).collect())
}

/// What the numbers are of: processors, and devices if there are any.
fn machine() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut out = vec![format!("{cores} cores")];
    out.extend(fusco_runtime::engine::devices().unwrap_or_default());
    out
}
