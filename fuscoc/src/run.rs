//! `fuscoc run`: bind, fill, launch, compare, report.

mod expected;
mod feed;
mod missing;
pub mod moved;
mod report;
pub mod verify;
mod work;

use crate::data;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::{Source, bindings};
use crate::{Format, Outcome, file};
pub use expected::expected;
use fusco_dsl::Compiled;
use fusco_dsl::diag::hint;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Extent, Io};
use fusco_runtime::mem::room;
use fusco_runtime::{Bound, Buffer, LaunchArgs, Plan, World};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use work::pairs;
pub use work::{Backend, Finished, Prepared, Work};

#[derive(clap::Args)]
pub struct Args {
    /// The program.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Entries in the order of their launches; a sole one need not be named.
    #[arg(long, value_delimiter = ',')]
    entry: Vec<String>,
    #[command(flatten)]
    work: Work,
    /// Writes the outputs as safetensors: NAME, NAME.count and NAME@R of each.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to run; with several, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "host")]
    backend: Vec<Backend>,
    /// The CUDA device of each rank, in order; else device 0 has them all.
    #[arg(long, value_name = "N[,N..]", value_delimiter = ',')]
    devices: Vec<i32>,
    /// Runs the reference interpreter too and compares bit for bit.
    #[arg(long)]
    verify: bool,
    /// Launches each entry so many times more and reports the mean of those.
    #[arg(long, default_value_t = 0)]
    repeat: u32,
    /// The report for machines, as with --format json.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let source = Source::read(&args.file)?;
    let work = Work { entries: args.entry.clone(), ..args.work.clone() };
    if !args.devices.is_empty() && args.backend != [Backend::Cuda] {
        return Err(Failure::usage("`--devices` is for CUDA alone: add --backend cuda"));
    }
    let ready = prepare(work, &source)?;
    let stages = ready.work.entries.len() * (args.backend.len() + usize::from(args.verify));
    let progress = Progress::new(stages);
    let oracle = if args.verify { Some(verify::expect(&ready, &progress)?) } else { None };
    let (compiled, inputs) = (&ready.compiled, &ready.inputs);
    let (json, mut documents) = (args.json || format == Format::Json, Vec::new());
    let mut differs = None;
    for backend in &args.backend {
        let world = world(compiled, *backend, &args.devices)?;
        let finished = launch(&ready, &world, args.repeat, &progress)?;
        let (verdict, sums) = std::thread::scope(|threads| {
            let sums = threads.spawn(|| report::checksums(&finished));
            let verdict = oracle.as_ref().map(|e| verify::compare(compiled, e, &finished));
            (verdict, sums.join().expect("sums of bytes do not panic"))
        });
        progress.pause();
        let expected =
            if finished.warm { expected::expected(&ready, &world) } else { BTreeMap::new() };
        let of = report::Run { finished: &finished, sums: &sums, expected: &expected };
        if json {
            documents.push(report::json(compiled, inputs, &of, verdict.as_ref()));
        } else {
            file::say(report::text(compiled, inputs, &of, verdict.as_ref()) + "\n")?;
        }
        if let Some(path) = &args.out {
            data::write(path, &report::arrays(&ready, &finished)?)?;
        }
        if let Some(Err(difference)) = verdict {
            differs = Some(difference);
            break;
        }
    }
    if json {
        let document = match documents.len() {
            1 => documents.remove(0),
            _ => serde_json::Value::Array(documents),
        };
        file::say(format!("{document}\n"))?;
    }
    differs.map_or(Ok(()), |difference| Err(Failure::input(difference)))
}

/// Compiles, binds and fills.
pub fn prepare(mut work: Work, source: &Source) -> Result<Prepared, Failure> {
    let (params, name) = (bindings(&work.set)?, work.program.clone());
    let program = source.program(name.as_deref())?;
    let asked = work.entries.clone();
    let known: Vec<&str> = program.entries.iter().map(|e| e.name.as_str()).collect();
    if let Some(entry) = asked.iter().find(|e| !known.contains(&e.as_str())) {
        return Err(Failure::usage(format!("no entry `{entry}`{}", hint(entry, &known))));
    }
    missing::before_bind(&mut work, &program, &params)?;
    let compiled = source.compile(name.as_deref(), &params)?;
    named(&work, &compiled)?;
    missing::before_launch(&work, &compiled, &params, &used(&work, &compiled)?)?;
    let feeds = feed::feeds(&work, &compiled, &params)?;
    feed::in_order(&work, &compiled, &feeds)?;
    let inputs = inputs(&work, &compiled, &used(&work, &compiled)?, &feeds)?;
    let ranks = scattered(&work, &compiled, &inputs, &feeds)?;
    Ok(Prepared { work, compiled, inputs, feeds, ranks, live: OnceLock::new() })
}

/// Each rank's bytes of what the entries read.
fn scattered(
    work: &Work,
    compiled: &Compiled,
    inputs: &Inputs,
    feeds: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Vec<Vec<u8>>>, Failure> {
    let mut out = BTreeMap::new();
    let mut rng = fastrand::Rng::with_seed(work.random.unwrap_or(0));
    for name in used(work, compiled)? {
        let Some(handle) = compiled.hir.tensor(&name).filter(|_| !feeds.contains_key(&name)) else {
            continue;
        };
        let reads = matches!(compiled.hir.tensors[handle].io, Io::In | Io::InOut);
        if inputs.tensors.contains_key(&name) {
            let live = BTreeMap::new();
            let ranks = fusco_dsl::ranks::scatter(&compiled.hir, &name, inputs, &live)?;
            out.insert(name, ranks);
        } else if reads && work.raw {
            out.insert(name, data::raw(compiled, handle, &mut rng));
        }
    }
    Ok(out)
}

/// Whether every tensor that a flag names exists, and is one that it may name.
fn named(work: &Work, compiled: &Compiled) -> Outcome {
    dyns(work, compiled)?;
    let (files, feeds) = (pairs(&work.inputs, "--in")?, pairs(&work.feed, "--feed")?);
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
    for name in files.keys() {
        let io = compiled.hir.tensor(name).map(|h| compiled.hir.tensors[h].io);
        if !matches!(io, Some(Io::In | Io::InOut)) {
            return Err(Failure::usage(format!(
                "`--in {name}=..`: the program writes `{name}`, it reads no file of it"
            )));
        }
        if feeds.contains_key(name) {
            return Err(Failure::usage(format!("`{name}` has a file and a feed: leave out one")));
        }
    }
    Ok(())
}

/// These of the inputs alone, from the files that the command line names or at random; and every `dyn`.
pub fn only(work: &Work, compiled: &Compiled, names: &[String]) -> Result<Inputs, Failure> {
    named(work, compiled)?;
    missing::before_launch(work, compiled, &bindings(&work.set)?, names)?;
    inputs(work, compiled, names, &BTreeMap::new())
}

/// Every `in` and `inout` of these that no entry feeds.
fn inputs(
    work: &Work,
    compiled: &Compiled,
    names: &[String],
    feeds: &BTreeMap<String, String>,
) -> Result<Inputs, Failure> {
    let mut inputs = Inputs {
        params: bindings(&work.set)?,
        dyns: dyns(work, compiled)?,
        tensors: BTreeMap::new(),
    };
    let files = pairs(&work.inputs, "--in")?;
    enough_memory(work, compiled, (&inputs, names), feeds)?;
    let mut rng = work.random.map(fastrand::Rng::with_seed);
    for name in names {
        let Some(handle) = compiled.hir.tensor(name) else { continue };
        let tensor = &compiled.hir.tensors[handle];
        if !matches!(tensor.io, Io::In | Io::InOut) || feeds.contains_key(name) {
            continue;
        }
        if work.raw && !files.contains_key(name) && data::is_raw(tensor) {
            continue;
        }
        let shape = data::shape(&compiled.hir, tensor, &inputs)?;
        let array = match (files.get(name), &mut rng) {
            (Some(spec), _) => data::read(spec, tensor)?,
            (None, Some(rng)) => data::random(&compiled.hir, tensor, shape.clone(), &inputs, rng)?,
            (None, None) => {
                return Err(Failure::usage(format!(
                    "`in {name}` has no file; give `--in {name}=FILE[:KEY]` or `--random SEED`"
                )));
            }
        };
        inputs.tensors.insert(name.clone(), fit(array, &shape, name)?);
    }
    fusco_dsl::oracle::check_indices(&compiled.hir, &inputs)?;
    fusco_dsl::oracle::check_assumes(&compiled.hir, &inputs)?;
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
    if found == shape {
        return Ok(array);
    }
    let mut out = Array::filled(array.elem, shape.to_vec(), 0)?;
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

fn dyns(work: &Work, compiled: &Compiled) -> Result<BTreeMap<String, Vec<i64>>, Failure> {
    let mut out = BTreeMap::new();
    for (name, list) in pairs(&work.dyns, "--dyn")? {
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
        let wanted = info.values as usize;
        if values.len() == 1 {
            values = vec![values[0]; wanted];
        }
        if values.len() != wanted {
            let all = !info.per_rank || info.values == compiled.schedule.ranks;
            let whose = if all { "ranks" } else { "coordinates of its mesh axes" };
            return Err(Failure::usage(format!(
                "`--dyn {name}`: {} values for {wanted} {whose}",
                values.len()
            )));
        }
        for (rank, value) in values.iter().enumerate() {
            let name = if values.len() == 1 { name.clone() } else { format!("{name}[{rank}]") };
            if *value < 0 {
                return Err(Failure::coded("F0904", format!("dyn {name} = {value} < 0")));
            }
            if *value > info.bound {
                let bound = info.bound;
                return Err(Failure::coded("F0904", format!("dyn {name} = {value} > {bound}")));
            }
        }
        out.insert(name, values);
    }
    Ok(out)
}

/// Whether the machine has the memory for what is read: the logical arrays, and each rank's bytes of them.
/// Asked before the first of them is made.
fn enough_memory(
    work: &Work,
    compiled: &Compiled,
    (inputs, names): (&Inputs, &[String]),
    feeds: &BTreeMap<String, String>,
) -> Outcome {
    let (ranks, mut total) = (compiled.schedule.ranks as u128, 0u128);
    let mut largest = (0, "");
    for name in names {
        let Some(handle) = compiled.hir.tensor(name).filter(|_| !feeds.contains_key(name)) else {
            continue;
        };
        let tensor = &compiled.hir.tensors[handle];
        if !matches!(tensor.io, Io::In | Io::InOut) {
            continue;
        }
        let each = u128::try_from(compiled.tables()[&handle].elems).unwrap_or(0);
        let mut elems = ranks.saturating_mul(each);
        if !(work.raw && data::is_raw(tensor)) {
            let shape = data::shape(&compiled.hir, tensor, inputs)?;
            let logical = shape.iter().fold(1u128, |n, e| n.saturating_mul(*e as u128));
            elems = elems.saturating_add(logical);
        }
        let bytes = elems.saturating_mul(tensor.dtype.elem.bytes() as u128);
        total = total.saturating_add(bytes);
        largest = largest.max((bytes, name));
    }
    let what = format!("the inputs of {ranks} ranks, most of it for tensor `{}`", largest.1);
    room(&what, total)?;
    Ok(())
}

/// Tensors of the entries, in declaration order.
pub fn used(work: &Work, compiled: &Compiled) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in &work.entries {
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

/// Where the ranks of a program run: on the device that is named for each, or all on the first.
pub fn world(compiled: &Compiled, backend: Backend, devices: &[i32]) -> Result<World, Failure> {
    let ranks = compiled.schedule.ranks as usize;
    if !devices.is_empty() && devices.len() != ranks {
        let (program, named) = (&compiled.schedule.program, devices.len());
        return Err(Failure::usage(format!(
            "`{program}` has {ranks} ranks, `--devices` names {named}: name one device for each rank"
        )));
    }
    Ok(match backend {
        Backend::Host => World::host(ranks)?,
        Backend::Cuda if devices.is_empty() => World::device(0, ranks)?,
        Backend::Cuda => World::devices(devices)?,
    })
}

/// Runs the entries in order; then each `repeat` times more, if any, to time those.
pub fn launch(
    ready: &Prepared,
    world: &World,
    repeat: u32,
    progress: &Progress,
) -> Result<Finished, Failure> {
    let bound = Bound::from_schedule(world, ready.compiled.schedule.clone())?;
    let memory = Memory::new(ready, &bound)?;
    memory.touch(ready)?;
    let stream = world.stream()?;
    let mut times = Vec::new();
    for entry in &ready.work.entries {
        progress.next(&format!("{entry} on {}", world.backend()));
        let started = Instant::now();
        memory.launch(ready, &bound, entry, &stream)?;
        stream.synchronize()?;
        let once = started.elapsed();
        let started = Instant::now();
        for _ in 0..repeat {
            memory.launch(ready, &bound, entry, &stream)?;
        }
        stream.synchronize()?;
        times.push((entry.clone(), if repeat > 0 { started.elapsed() / repeat } else { once }));
    }
    let finished = collect((&ready.compiled, &ready.inputs), world.backend(), times, &memory)?;
    Ok(Finished { warm: repeat > 0, ..finished })
}

/// No system that it runs on has smaller ones.
const PAGE: usize = 4096;

/// Buffers and plans of one run.
pub struct Memory {
    buffers: BTreeMap<String, Buffer>,
    pub plans: BTreeMap<String, Plan>,
}

impl Memory {
    /// Allocates what the entries use and uploads what they read.
    pub fn new(ready: &Prepared, bound: &Bound) -> Result<Memory, Failure> {
        let mut memory = Memory { buffers: BTreeMap::new(), plans: BTreeMap::new() };
        for name in used(&ready.work, &ready.compiled)? {
            if ready.feeds.contains_key(&name) {
                continue;
            }
            let buffer = bound.alloc(&name)?;
            for (rank, bytes) in ready.ranks.get(&name).into_iter().flatten().enumerate() {
                buffer.upload(rank, bytes)?;
            }
            memory.buffers.insert(name, buffer);
        }
        for (_, route) in ready.compiled.schedule.routes.iter() {
            memory.plans.insert(route.name.clone(), bound.plan(&route.name)?);
        }
        Ok(memory)
    }

    /// Writes a byte of each page of the host that the entries will write, so that no launch waits for its first
    /// pages: of rows that a route places, those that there will be, not all that there is room for.
    fn touch(&self, ready: &Prepared) -> Outcome {
        let hir = &ready.compiled.hir;
        let out = |name| hir.tensor(name).filter(|h| hir.tensors[*h].io == Io::Out);
        for (name, buffer) in self.buffers.iter().filter(|(_, b)| b.device_address(0).is_none()) {
            let Some(handle) = out(name) else { continue };
            let routed = hir.tensors[handle].axes.iter().find_map(|a| match a.extent {
                Extent::Ragged { route, .. } => Some(&hir.routes[route].name),
                Extent::Fixed(_) | Extent::Counted { .. } => None,
            });
            let live = routed.map(|route| (route, ready.live()));
            let live = live.filter(|(route, live)| live.contains_key(*route)).map(|(_, live)| live);
            for rank in 0..buffer.ranks() {
                let bytes = live.map_or(usize::MAX, |live| {
                    data::live_bytes(&ready.compiled, handle, (&ready.inputs, live), rank)
                });
                for at in (0..bytes.min(buffer.bytes(rank))).step_by(PAGE) {
                    buffer.upload_at(rank, at, &[0])?;
                }
            }
        }
        Ok(())
    }

    /// The buffer of a tensor that no other feeds.
    pub fn buffer(&self, name: &str) -> Option<&Buffer> {
        self.buffers.get(name)
    }

    /// Live rows of each group, by route.
    pub fn live(&self) -> Result<BTreeMap<String, Vec<u32>>, Failure> {
        self.plans.iter().map(|(name, plan)| Ok((name.clone(), plan.live(0)?))).collect()
    }

    /// Bytes on all ranks, without plans.
    pub fn bytes(&self) -> usize {
        self.buffers.values().map(|b| b.ranks() * b.bytes(0)).sum()
    }

    /// Queues one entry.
    pub fn launch(
        &self,
        ready: &Prepared,
        bound: &Bound,
        entry: &str,
        stream: &fusco_runtime::Stream,
    ) -> Outcome {
        launch_entry(ready, bound, entry, stream, self)
    }
}

fn launch_entry(
    ready: &Prepared,
    bound: &Bound,
    entry: &str,
    stream: &fusco_runtime::Stream,
    Memory { buffers, plans }: &Memory,
) -> Outcome {
    let Prepared { compiled, inputs, feeds, .. } = ready;
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

/// What the launches left, read where it lies; drop it before others write there.
pub fn collect(
    (compiled, inputs): (&Compiled, &Inputs),
    backend: &'static str,
    times: Vec<(String, Duration)>,
    memory: &Memory,
) -> Result<Finished, Failure> {
    let live = memory.live()?;
    let mut outputs = BTreeMap::new();
    for (name, buffer) in &memory.buffers {
        let Some(handle) =
            compiled.hir.tensor(name).filter(|h| compiled.hir.tensors[*h].io != Io::In)
        else {
            continue;
        };
        let view = |rank| {
            let bytes = data::live_bytes(compiled, handle, (inputs, &live), rank);
            buffer.view(rank, 0, bytes.min(buffer.bytes(rank)))
        };
        let ranks = (0..buffer.ranks()).map(view).collect::<Result<_, _>>()?;
        outputs.insert(name.clone(), ranks);
    }
    Ok(Finished { backend, times, warm: true, outputs, live })
}
