//! `fuscoc explain`: a code of the catalogue, or what the compiler made of a file.

mod heat;
mod rows;

use crate::device::Device;
use crate::failure::{Failure, Reports};
use crate::run::{self, Work};
use crate::source::{Source, bindings};
use crate::{Format, Outcome, file, terminal, topology};
use fusco_dsl::cuda::Target;
use fusco_dsl::diag::{self, Diagnostics, render};
use fusco_dsl::explain::Level;
use fusco_dsl::kernel::{self, DeviceKernel, DeviceProgram};
use fusco_dsl::schedule::Verified;
use fusco_dsl::{Compiled, explain};
use rows::Counted;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// A code (`F0301`), or a file.
    #[arg(value_name = "CODE|FILE", required_unless_present = "list")]
    what: Option<String>,
    /// Every code with its title.
    #[arg(long, conflicts_with_all = ["what", "svg", "entry", "program", "set"])]
    list: bool,
    /// One of several programs of the file.
    #[arg(long)]
    program: Option<String>,
    /// One of its entries; all if left out.
    #[arg(long)]
    entry: Option<String>,
    /// Params.
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
    /// The values that decide where rows go, of the logical global array: with them rows and bytes are counted.
    #[arg(long = "in", value_name = "TENSOR=FILE[:KEY]")]
    inputs: Vec<String>,
    /// Those of them that no file gives.
    #[arg(long, value_name = "SEED")]
    random: Option<u64>,
    /// A launch-time size: one value, or one for each rank.
    #[arg(long = "dyn", value_name = "NAME=N[,N..]")]
    dyns: Vec<String>,
    #[command(flatten)]
    device: Device,
    /// The machines that share the ranks, as a TOML file: what each way of the rows is expected to take there. Without
    /// the values that decide where rows go, random ones are expected.
    #[arg(long, value_name = "FILE", conflicts_with = "arch")]
    topology: Option<PathBuf>,
    /// Draws layout and traffic into this file too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    file::say(match args.what.as_deref() {
        None => list(format),
        Some(what) if is_code(what) => code(what, format)?,
        Some(what) => of_file(args, what, format)?,
    })
}

/// The catalogue, a line a code.
fn list(format: Format) -> String {
    let entries = diag::codes().filter_map(diag::entry);
    match format {
        Format::Text => entries.map(|e| format!("{}  {}\n", e.code, e.title)).collect(),
        Format::Json => {
            let one =
                |e: diag::Entry| json!({ "code": e.code, "title": e.title, "stage": e.stage });
            format!("{}\n", entries.map(one).collect::<serde_json::Value>())
        }
    }
}

/// `F` and four digits.
fn is_code(what: &str) -> bool {
    let digits = what.strip_prefix(['F', 'f']).unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The entry of the catalogue, with what the compiler says of its wrong program.
fn code(code: &str, format: Format) -> Result<String, Failure> {
    let Some(entry) = diag::entry(code) else {
        let near = diag::explain(code).err().flatten();
        let hint = near.map_or(String::new(), |near| format!("; the nearest is {near}"));
        return Err(Failure::input(format!("no code `{code}`{hint}")));
    };
    if format == Format::Json {
        let object = json!({
            "code": entry.code,
            "title": entry.title,
            "stage": entry.stage,
            "explanation": entry.text,
            "wrong": entry.wrong,
            "params": entry.params,
            "fixed": entry.fixed,
        });
        return Ok(format!("{object}\n"));
    }
    let said = said(&entry)?;
    let said = if said.is_empty() { said } else { format!("\nWhat is said:\n\n{said}\n") };
    Ok(format!("{entry}{said}"))
}

/// The diagnostics of the wrong program, if the text and its params decide them.
fn said(entry: &diag::Entry) -> Result<String, Failure> {
    let Some(wrong) = entry.wrong else { return Ok(String::new()) };
    let params = bindings(entry.params.map(str::to_string).as_slice())?;
    let found = match fusco_dsl::check(wrong) {
        Err(found) => found,
        Ok((_, warnings)) if !warnings.0.is_empty() => warnings,
        Ok((programs, _)) if entry.stage == "rust" => {
            fusco_dsl::rust::names(&programs).err().unwrap_or_default()
        }
        Ok(_) => fusco_dsl::compile(wrong, None, &params).err().unwrap_or_default(),
    };
    let Diagnostics(mut found) = found;
    found.retain(|d| d.code == entry.code);
    Ok(render(&Diagnostics(found), "wrong.fusco", wrong, false))
}

fn of_file(args: &Args, what: &str, format: Format) -> Result<String, Failure> {
    let source = Source::read(Path::new(what))?;
    let compiled = source.compile(args.program.as_deref(), &bindings(&args.set)?)?;
    let entry = args.entry.as_deref();
    known_entry(&compiled, entry)?;
    if let Some(path) = &args.svg {
        file::write(path, explain::svg(&compiled, entry))?;
    }
    // A schedule that a device does not hold may run on the host: what it does is told all the same.
    let (machines, target) = target(args, compiled.schedule.ranks)?;
    let (device, without) = match kernel::lower(&compiled.schedule, &target) {
        Ok(program) => (Some(program), Diagnostics::default()),
        Err(found) => (None, found),
    };
    let kernels = device.as_ref().map_or(String::new(), |d| explain::kernels(d, entry));
    let text = explain::text(&compiled, entry) + &kernels;
    let counted = counted(args, &compiled, (machines, &target))?;
    Ok(match format {
        Format::Text => {
            let mut warnings = Reports::default();
            warnings.add(compiled.warnings.clone(), &source);
            warnings.add(without, &source);
            warnings.print(format);
            let columns = terminal::columns(terminal::To::Output);
            let text = columns.map_or(text.clone(), |columns| folded(&text, columns));
            let rows = |c| format!("\n{}", rows::text(c, terminal::colours_output()));
            text + &counted.as_ref().map_or(String::new(), rows)
        }
        Format::Json => {
            let warnings = diag::json(&compiled.warnings, &source.name, &source.text);
            let name = &compiled.hir.name;
            let kernels: Vec<Value> =
                device.iter().flat_map(|d| chosen(d, entry)).map(|(e, k)| object(e, k)).collect();
            let refused = diag::json(&without, &source.name, &source.text);
            let object = json!({ "program": name, "text": text, "warnings": warnings, "arch": target.architecture.name, "kernels": kernels, "crossings": crossings(&compiled, entry), "carried": counted.as_ref().map(rows::json), "refused": refused });
            format!("{object}\n")
        }
    })
}

/// What the devices are in words, and one of them.
fn target(args: &Args, ranks: i64) -> Result<(String, Target), Failure> {
    if let Some(path) = &args.topology {
        let topology = topology::parse(&Source::read(path)?)?;
        let target = args.device.of(&topology, ranks)?;
        return Ok((topology.name, target));
    }
    let target = args.device.target(ranks)?;
    let devices = ranks / i64::from(target.ranks_per_device).max(1);
    let machines = match devices {
        1 => format!("one device of {}", target.architecture.name),
        n => format!("{n} devices of {}", target.architecture.name),
    };
    Ok((machines, target))
}

/// Random values that stand for those which nobody gave.
const EXPECTED: u64 = 1;

/// The rows that the statements carry on the inputs that are given, if any are or times are asked for.
fn counted(
    args: &Args,
    compiled: &Compiled,
    (machines, target): (String, &Target),
) -> Result<Option<Counted>, Failure> {
    let given = !args.inputs.is_empty() || args.random.is_some();
    if !given && args.topology.is_none() {
        return Ok(None);
    }
    let entry = args.entry.as_deref();
    let chosen = compiled.schedule.entries.iter().map(|e| &e.name);
    let work = Work {
        entries: chosen.filter(|name| entry.is_none_or(|e| e == *name)).cloned().collect(),
        set: args.set.clone(),
        dyns: if given { args.dyns.clone() } else { at_bounds(args, compiled) },
        inputs: args.inputs.clone(),
        random: args.random.or((!given).then_some(EXPECTED)),
        ..Work::default()
    };
    let inputs = run::only(&work, compiled, &explain::deciding(compiled, entry))?;
    let level = level(compiled, target);
    let statements = explain::ways(compiled, entry, (&inputs, level.as_ref()))?;
    let times = statements.iter().map(|s| explain::times(s, target)).collect();
    let random = match given {
        true => args.random.map(|seed| format!("random values of seed {seed}")),
        false => Some(format!("random values of seed {EXPECTED}, for none were given")),
    };
    let of = args.inputs.iter().cloned().chain(random).collect::<Vec<_>>().join(", ");
    Ok(Some(Counted { of, level, statements, machines, times }))
}

/// Launch-time sizes as the command line has them, others at their bounds.
fn at_bounds(args: &Args, compiled: &Compiled) -> Vec<String> {
    let said = |name: &str| args.dyns.iter().any(|d| d.split('=').next() == Some(name));
    let others = compiled.schedule.dyns.iter().map(|(_, d)| d).filter(|d| !said(&d.name));
    let others = others.map(|d| format!("{}={}", d.name, d.bound));
    args.dyns.iter().cloned().chain(others).collect()
}

/// The nodes of the machines, or else the outermost mesh axis whose coordinates have several ranks.
fn level(compiled: &Compiled, target: &Target) -> Option<Level> {
    let ranks = compiled.schedule.ranks;
    let node = target.node.map(|devices| i64::from(devices) * i64::from(target.ranks_per_device));
    match node {
        Some(per) => (per < ranks).then(|| Level { name: "node".to_string(), first: 0, per }),
        None => explain::levels(compiled).into_iter().next(),
    }
}

/// The kernels of all entries, or of the one named, with the names of their entries.
fn chosen<'a>(
    program: &'a Verified<DeviceProgram>,
    entry: Option<&str>,
) -> Vec<(&'a str, &'a DeviceKernel)> {
    let named =
        program.kernels.iter().map(|k| (program.schedule.entries[k.entry].name.as_str(), k));
    named.filter(|(name, _)| entry.is_none_or(|e| e == *name)).collect()
}

/// Rows and bytes that are expected to cross, of each statement with a route.
fn crossings(compiled: &Compiled, entry: Option<&str>) -> Vec<Value> {
    let mut out = Vec::new();
    for (number, planned) in compiled.plan.entries.iter().enumerate() {
        if entry.is_some_and(|name| name != planned.name) {
            continue;
        }
        for movement in &planned.movements {
            for c in explain::crossings(compiled, number, movement) {
                let bytes = |rows: f64| rows * c.positions as f64 * c.row as f64;
                out.push(json!({
                    "entry": planned.name,
                    "statement": movement.text,
                    "to": c.axis.as_deref().unwrap_or("rank"),
                    "rows_each": c.each,
                    "rows_merged": c.merged,
                    "bytes_each": bytes(c.each),
                    "bytes_merged": bytes(c.merged),
                    "merged": c.is_merged,
                    "bytes": c.bytes(),
                }));
            }
        }
    }
    out
}

/// What carries a kernel out, why, and what else was considered.
fn object(entry: &str, kernel: &DeviceKernel) -> Value {
    let (form, choice) = (&kernel.form, &kernel.choice);
    let cost = &choice.cost;
    let rejected = choice.rejected.iter().map(|(name, refusal, cost)| {
        json!({ "strategy": name.to_string(), "reason": refusal.to_string(), "ns": cost.map(|c| c.time) })
    });
    json!({
        "entry": entry,
        "name": kernel.name,
        "strategy": kernel.strategy.name().to_string(),
        "reason": choice.reason.to_string(),
        "threads": form.threads,
        "grid": [form.grid.0, form.grid.1],
        "cooperative": form.cooperative,
        "shared_bytes": form.shared_bytes,
        "cost": {
            "read": cost.read,
            "written": cost.written,
            "link": cost.link,
            "network": cost.network,
            "messages": cost.messages,
            "waits": cost.waits,
            "ns": cost.time,
        },
        "rejected": rejected.collect::<Value>(),
    })
}

/// Less is not enough for a digit of a placement.
const NARROWEST: usize = 30;

/// The text in so many columns: the digits of a placement one a line, sentences at their blanks. A word that is
/// longer stays whole.
fn folded(text: &str, columns: usize) -> String {
    let columns = columns.max(NARROWEST);
    let mut out = String::new();
    for line in text.lines() {
        if line.chars().count() <= columns {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        // A picture's ranks stay to the right of their bar.
        let bar = line.find("| ").filter(|at| !line[..*at].contains(": "));
        let behind = bar.map_or(indent + 4, |at| at + 2).min(columns / 2);
        let parts: Vec<&str> = match bar {
            Some(_) => vec![line],
            None => line.split(" | ").collect(),
        };
        for (i, part) in parts.iter().enumerate() {
            let start = if i > 0 { format!("{}| ", " ".repeat(behind)) } else { String::new() };
            words(&mut out, &start, part, behind + 2 * usize::from(i > 0), columns);
        }
    }
    out
}

/// Words behind `start`; lines after the first are indented.
fn words(out: &mut String, start: &str, text: &str, indent: usize, columns: usize) {
    let (mut line, mut blanks, mut empty) = (start.to_string(), String::new(), true);
    for word in text.split_inclusive(' ') {
        let bare = word.trim_end_matches(' ');
        let used = line.chars().count() + blanks.len() + bare.chars().count();
        if !bare.is_empty() && !empty && used > columns {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            blanks.clear();
        }
        if !bare.is_empty() {
            line.push_str(&blanks);
            line.push_str(bare);
            blanks.clear();
            empty = false;
        }
        blanks.push_str(&word[bare.len()..]);
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn known_entry(compiled: &Compiled, entry: Option<&str>) -> Outcome {
    let names: Vec<&str> = compiled.schedule.entries.iter().map(|e| e.name.as_str()).collect();
    match entry {
        Some(wanted) if !names.contains(&wanted) => {
            let known = names.join(", ");
            Err(Failure::usage(format!("no entry `{wanted}`; the program has {known}")))
        }
        _ => Ok(()),
    }
}
