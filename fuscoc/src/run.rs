//! `fuscoc run`: bind, fill, launch, compare, report.

mod moved;
mod report;
mod verify;

use crate::data;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::{Source, bindings};
use crate::{Format, Outcome};
use clap::ValueEnum;
use fusco_dsl::Compiled;
use fusco_dsl::diag::hint;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Io;
use fusco_runtime::{Bound, Buffer, LaunchArgs, Plan, World};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    file: PathBuf,
    /// Entries in the order of their launches.
    #[arg(long, required = true, value_delimiter = ',')]
    entry: Vec<String>,
    /// One of several programs of the file.
    #[arg(long)]
    program: Option<String>,
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
    /// A launch-time size: one value, or one for each rank.
    #[arg(long = "dyn", value_name = "NAME=N[,N..]")]
    dyns: Vec<String>,
    /// A tensor from a safetensors file, as the logical global array.
    #[arg(long = "in", value_name = "TENSOR=FILE[:KEY]")]
    inputs: Vec<String>,
    /// An `in` that is an earlier entry's `out`.
    #[arg(long, value_name = "IN=OUT")]
    feed: Vec<String>,
    /// Fills every other `in`.
    #[arg(long, value_name = "SEED")]
    random: Option<u64>,
    /// Writes the outputs as safetensors.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "host")]
    backend: Vec<Backend>,
    /// Runs the reference interpreter too and compares bit for bit.
    #[arg(long)]
    verify: bool,
    /// Launches each entry so many times more and reports the mean of those.
    #[arg(long, default_value_t = 0)]
    repeat: u32,
    /// The report for machines.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Host,
    Cuda,
}

/// One finished run of all entries on one back end.
pub struct Finished {
    pub backend: &'static str,
    pub times: Vec<(String, Duration)>,
    /// Each rank's buffer of each `out`.
    pub outputs: BTreeMap<String, Vec<Vec<u8>>>,
    /// Live rows of each group, by route.
    pub live: BTreeMap<String, Vec<u32>>,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let source = Source::read(&args.file)?;
    let compiled = source.compile(args.program.as_deref(), &bindings(&args.set)?, format)?;
    let feeds = pairs(&args.feed, "--feed")?;
    let inputs = inputs(args, &compiled, &feeds)?;
    let stages = args.entry.len() * (args.backend.len() + usize::from(args.verify));
    let progress = Progress::new(stages);
    let expected = if args.verify {
        Some(verify::expect(args, &compiled, &inputs, &feeds, &progress)?)
    } else {
        None
    };
    for backend in &args.backend {
        let finished = launch(args, &compiled, &inputs, &feeds, *backend, &progress)?;
        let verdict = expected.as_ref().map(|e| verify::compare(&compiled, e, &finished));
        progress.pause();
        if args.json {
            println!("{}", report::json(&compiled, &inputs, &finished, verdict.as_ref()));
        } else {
            println!("{}", report::text(&compiled, &inputs, &finished, verdict.as_ref()));
        }
        if let Some(path) = &args.out {
            data::write(path, &report::arrays(&compiled, &finished, expected.as_ref()))?;
        }
        if let Some(Err(difference)) = verdict {
            return Err(Failure::input(difference));
        }
    }
    Ok(())
}

fn pairs(list: &[String], flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    list.iter()
        .map(|item| {
            let (name, value) = item
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("`{flag} {item}`: write NAME=VALUE")))?;
            Ok((name.to_string(), value.to_string()))
        })
        .collect()
}

/// Every `in` and `inout` that the entries use and no entry feeds.
fn inputs(
    args: &Args,
    compiled: &Compiled,
    feeds: &BTreeMap<String, String>,
) -> Result<Inputs, Failure> {
    let mut inputs = Inputs {
        params: bindings(&args.set)?,
        dyns: dyns(args, compiled)?,
        tensors: BTreeMap::new(),
    };
    let files = pairs(&args.inputs, "--in")?;
    let known: Vec<&str> = compiled.hir.tensors.iter().map(|(_, t)| t.name.as_str()).collect();
    for name in files.keys().chain(feeds.keys()).chain(feeds.values()) {
        if compiled.hir.tensor(name).is_none() {
            return Err(Failure::usage(format!(
                "program `{}` has no tensor `{name}`{}",
                compiled.hir.name,
                hint(name, &known)
            )));
        }
    }
    let mut rng = args.random.map(fastrand::Rng::with_seed);
    for name in used(args, compiled)? {
        let Some(handle) = compiled.hir.tensor(&name) else { continue };
        let tensor = &compiled.hir.tensors[handle];
        if !matches!(tensor.io, Io::In | Io::InOut) || feeds.contains_key(&name) {
            continue;
        }
        let shape = data::shape(&compiled.hir, tensor, &inputs)?;
        let array = match (files.get(&name), &mut rng) {
            (Some(spec), _) => data::widen(data::read(spec, &name)?, tensor)?,
            (None, Some(rng)) => data::random(&compiled.hir, tensor, shape.clone(), &inputs, rng),
            (None, None) => {
                return Err(Failure::usage(format!(
                    "`in {name}` has no file; give `--in {name}=FILE[:KEY]` or `--random SEED`"
                )));
            }
        };
        inputs.tensors.insert(name.clone(), fit(array, &shape, &name)?);
    }
    fusco_dsl::oracle::check_assumes(&compiled.hir, &inputs)
        .map_err(|e| Failure::coded("F0907", e))?;
    Ok(inputs)
}

/// A longer array gives its leading part; extra leading axes count as one, so that a file of all ranks
/// serves a program of one.
fn fit(mut array: Array, shape: &[usize], name: &str) -> Result<Array, Failure> {
    let found = array.shape.clone();
    if array.shape.len() > shape.len() && !shape.is_empty() {
        let merged = array.shape.len() - shape.len();
        let first = array.shape.drain(..=merged).product();
        array.shape.insert(0, first);
    }
    let fits = array.shape.len() == shape.len()
        && array.shape.iter().zip(shape).all(|(have, want)| have >= want);
    if !fits {
        return Err(Failure::input(format!("`{name}` is {shape:?}, the file has {found:?}")));
    }
    let mut out = Array::zeros(array.elem, shape.to_vec());
    for flat in 0..out.len() {
        let (mut rest, mut from, mut stride) = (flat, 0, 1);
        for axis in (0..shape.len()).rev() {
            from += rest % shape[axis] * stride;
            rest /= shape[axis];
            stride *= array.shape[axis];
        }
        out.set_bits(flat, array.bits(from));
    }
    Ok(out)
}

fn dyns(args: &Args, compiled: &Compiled) -> Result<BTreeMap<String, Vec<i64>>, Failure> {
    let mut out = BTreeMap::new();
    for (name, list) in pairs(&args.dyns, "--dyn")? {
        let found = compiled.schedule.dyns.iter().map(|(_, d)| d).find(|d| d.name == name);
        let info = found.ok_or_else(|| {
            let known: Vec<&str> =
                compiled.schedule.dyns.iter().map(|(_, d)| d.name.as_str()).collect();
            let hint = hint(&name, &known);
            Failure::usage(format!("program `{}` has no dyn `{name}`{hint}", compiled.hir.name))
        })?;
        let values: Result<Vec<i64>, _> = list.split(',').map(str::parse).collect();
        let mut values =
            values.map_err(|_| Failure::usage(format!("`--dyn {name}={list}`: write integers")))?;
        let ranks = if info.per_rank { compiled.schedule.ranks as usize } else { 1 };
        if values.len() == 1 {
            values = vec![values[0]; ranks];
        }
        if values.len() != ranks {
            return Err(Failure::usage(format!(
                "`--dyn {name}`: {} values for {ranks} ranks",
                values.len()
            )));
        }
        out.insert(name, values);
    }
    Ok(out)
}

/// Tensors of the entries, in declaration order.
fn used(args: &Args, compiled: &Compiled) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in &args.entry {
        let found = compiled.schedule.entries.iter().find(|e| e.name == *entry);
        let known: Vec<&str> = compiled.schedule.entries.iter().map(|e| e.name.as_str()).collect();
        let entry = found
            .ok_or_else(|| Failure::usage(format!("no entry `{entry}`{}", hint(entry, &known))))?;
        names.extend(entry.tensors.iter().map(|t| compiled.schedule.tensors[*t].name.clone()));
    }
    let order: Vec<String> = compiled
        .hir
        .tensors
        .iter()
        .map(|(_, t)| t.name.clone())
        .filter(|n| names.contains(n))
        .collect();
    Ok(order)
}

fn launch(
    args: &Args,
    compiled: &Compiled,
    inputs: &Inputs,
    feeds: &BTreeMap<String, String>,
    backend: Backend,
    progress: &Progress,
) -> Result<Finished, Failure> {
    let ranks = compiled.schedule.ranks as usize;
    let world = match backend {
        Backend::Host => World::host(ranks)?,
        Backend::Cuda => World::device(0, ranks)?,
    };
    let bound = Bound::from_schedule(&world, compiled.schedule.clone())?;
    let mut buffers: BTreeMap<String, Buffer> = BTreeMap::new();
    for name in used(args, compiled)? {
        if !feeds.contains_key(&name) {
            let buffer = bound.alloc(&name)?;
            if let (Some(array), Some(handle)) =
                (inputs.tensors.get(&name), compiled.hir.tensor(&name))
            {
                let ranks = fusco_dsl::ranks::scatter(compiled, handle, array, inputs);
                for (rank, bytes) in ranks.iter().enumerate() {
                    buffer.upload(rank, bytes)?;
                }
            }
            buffers.insert(name, buffer);
        }
    }
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for (_, route) in compiled.schedule.routes.iter() {
        plans.insert(route.name.clone(), bound.plan(&route.name)?);
    }
    let stream = world.stream()?;
    let mut times = Vec::new();
    for entry in &args.entry {
        progress.next(&format!("{entry} on {}", world.backend()));
        let started = Instant::now();
        launch_entry(compiled, &bound, entry, &stream, (inputs, feeds, &buffers, &plans))?;
        stream.synchronize()?;
        let once = started.elapsed();
        let started = Instant::now();
        for _ in 0..args.repeat {
            launch_entry(compiled, &bound, entry, &stream, (inputs, feeds, &buffers, &plans))?;
        }
        stream.synchronize()?;
        times.push((
            entry.clone(),
            if args.repeat > 0 { started.elapsed() / args.repeat } else { once },
        ));
    }
    collect(compiled, world.backend(), times, &buffers, &plans)
}

type Memory<'a> = (
    &'a Inputs,
    &'a BTreeMap<String, String>,
    &'a BTreeMap<String, Buffer>,
    &'a BTreeMap<String, Plan>,
);

fn launch_entry(
    compiled: &Compiled,
    bound: &Bound,
    entry: &str,
    stream: &fusco_runtime::Stream,
    (inputs, feeds, buffers, plans): Memory,
) -> Outcome {
    let Some(info) = compiled.schedule.entries.iter().find(|e| e.name == entry) else {
        return Ok(());
    };
    let mut list = Vec::new();
    for tensor in &info.tensors {
        let name = compiled.schedule.tensors[*tensor].name.as_str();
        let held = feeds.get(name).map_or(name, String::as_str);
        let buffer = buffers.get(held).ok_or_else(|| {
            Failure::usage(format!("`--feed {name}={held}`: no earlier entry makes `{held}`"))
        })?;
        list.push((name, buffer));
    }
    let dyns: Vec<(&str, &[i64])> = info
        .dyns
        .iter()
        .map(|d| {
            let name = compiled.schedule.dyns[*d].name.as_str();
            let values = inputs.dyns.get(name).map(Vec::as_slice);
            values.map(|v| (name, v)).ok_or_else(|| {
                Failure::usage(format!("`dyn {name}` needs a value: --dyn {name}=N"))
            })
        })
        .collect::<Result<_, _>>()?;
    let plans: Vec<&Plan> = info
        .plans
        .iter()
        .chain(&info.takes)
        .filter_map(|r| plans.get(&compiled.schedule.routes[*r].name))
        .collect();
    bound.launch(entry, stream, &LaunchArgs { dyns: &dyns, buffers: &list, plans: &plans })?;
    Ok(())
}

fn collect(
    compiled: &Compiled,
    backend: &'static str,
    times: Vec<(String, Duration)>,
    buffers: &BTreeMap<String, Buffer>,
    plans: &BTreeMap<String, Plan>,
) -> Result<Finished, Failure> {
    let live: BTreeMap<String, Vec<u32>> = plans
        .iter()
        .map(|(name, plan)| Ok((name.clone(), plan.live(0)?)))
        .collect::<Result<_, Failure>>()?;
    let mut outputs = BTreeMap::new();
    for (name, buffer) in buffers {
        let Some(handle) =
            compiled.hir.tensor(name).filter(|h| compiled.hir.tensors[*h].io != Io::In)
        else {
            continue;
        };
        let ranks = (0..compiled.schedule.ranks as usize)
            .map(|rank| {
                buffer.peek(
                    rank,
                    0,
                    data::live_bytes(compiled, handle, &live, rank).min(buffer.bytes(rank)),
                )
            })
            .collect::<Result<_, _>>()?;
        outputs.insert(name.clone(), ranks);
    }
    Ok(Finished { backend, times, outputs, live })
}

impl Args {
    pub fn entries(&self) -> &[String] {
        &self.entry
    }
}
