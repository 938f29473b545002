//! `fuscoc bench`: times beside a copy of the same bytes, after every element was checked. With a file its
//! entries, without one the suite.

mod args;
mod bar;
mod check;
mod curves;
mod links;
mod moved;
mod peers;
mod plot;
mod rates;
mod row;
mod suite;
mod time;
mod work;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, Work, launch, prepare, world};
use crate::source::Source;
use crate::{Format, Outcome, file};
pub use args::Args;
use row::{Line, ended, machine};
use std::path::Path;
use work::{Job, Timed};

pub fn run(args: &Args, format: Format) -> Outcome {
    if args.curves {
        return curves::run(args);
    }
    if args.links {
        return rates::run(args, format);
    }
    if args.file.is_none() && !args.devices.is_empty() {
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

/// Each entry of a file.
fn of_file(args: &Args, path: &Path) -> Result<Vec<Line>, Failure> {
    if args.entry.is_empty() {
        return Err(Failure::usage("name the entries to time: --entry E[,E..]"));
    }
    let work = Work { entries: args.entry.clone(), ..args.work.clone() };
    let ready = prepare(work, &Source::read(path)?)?;
    let usual = if args.devices.is_empty() { Backend::Host } else { Backend::Cuda };
    let world = world(&ready.compiled, args.backend.unwrap_or(usual), &args.devices)?;
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
