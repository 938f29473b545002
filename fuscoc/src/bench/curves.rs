//! `fuscoc bench --curves`: dispatch (its plan included) and combine over one size at a time, and over the
//! CTAs they may use. Ratios count the padding that is filled, which is most of what small batches of many
//! experts write. A point whose ratio lies far below both neighbours' is a cliff.

mod panels;
mod point;
mod sample;
mod shapes;
mod table;

use super::args::Args;
use super::check::{self, Checked};
use super::row::{Line, Row, ended, machine};
use super::work::{self, Job, Timed};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, Finished, Memory, Prepared, Work, collect, prepare, world};
use crate::source::Source;
use crate::{Outcome, file};
use fusco_runtime::{Bound, World};
use point::{CLIFF, Point};
use serde_json::{Value, json};
use shapes::{Curve, Shape};

const MOE: &str = include_str!("../../../examples/programs/moe.fusco");
const ENTRIES: [&str; 2] = ["dispatch", "combine"];
/// Bytes of `y` up to which every element is compared.
const COMPARED: i64 = 32 << 20;

pub fn run(args: &Args) -> Outcome {
    let curves = shapes::curves(args.small);
    let known: Vec<&str> = curves.iter().map(|c| c.name).collect();
    if let Some(name) = args.only.iter().find(|n| !known.contains(&n.as_str())) {
        let known = known.join(", ");
        return Err(Failure::usage(format!("there is no curve `{name}`; there are {known}")));
    }
    let backend = args.backend.unwrap_or(Backend::Cuda);
    if backend == Backend::Cuda {
        World::device(0, 1)?;
    }
    let wanted = |c: &&Curve| args.only.is_empty() || args.only.iter().any(|n| n == c.name);
    let wanted: Vec<&Curve> = curves.iter().filter(wanted).collect();
    let progress = Progress::new(wanted.iter().map(|c| c.shapes.len() * 4).sum());
    let mut points = Vec::new();
    for curve in wanted {
        for shape in &curve.shapes {
            points.extend(point(args, curve, shape, backend, &progress));
        }
    }
    progress.pause();
    mark_cliffs(&mut points);
    file::say(table::text(&points) + "\n")?;
    if let Some(path) = &args.json {
        file::write(path, format!("{:#}\n", to_json(&points)))?;
    }
    if let Some(path) = &args.svg {
        file::write(path, panels::svg(&points))?;
    }
    ended(points.iter().map(|p| &p.line))
}

fn point(
    args: &Args,
    curve: &Curve,
    shape: &Shape,
    backend: Backend,
    progress: &Progress,
) -> Vec<Point> {
    let of = |line| {
        let series = match line {
            Line::Row(ref row) => shape.series(curve, &row.work),
            Line::Missing { ref work, .. } => work.clone(),
        };
        Point { curve: curve.name, series, x: shape.x(curve), line, cliff: false }
    };
    match rows(args, shape, backend, progress) {
        Ok(rows) => rows.into_iter().map(|row| of(Line::Row(Box::new(row)))).collect(),
        Err(failure) => vec![of(Line::missing(&shape.words(), &failure))],
    }
}

fn rows(
    args: &Args,
    shape: &Shape,
    backend: Backend,
    progress: &Progress,
) -> Result<Vec<Row>, Failure> {
    let seed = args.work.random.unwrap_or_else(|| fastrand::u64(..));
    let whole = shape.bytes() <= COMPARED;
    // The reference interpreter reads logical arrays.
    let raw = backend == Backend::Cuda || !whole;
    let ready = ready(shape, seed, raw)?;
    let world = world(&ready.compiled, backend, &[])?;
    let (finished, checked) = checked(&ready, &world, (seed, whole), progress)?;
    let timed = ENTRIES.map(|e| Timed {
        name: e.to_string(),
        entries: vec![e.to_string()],
        bars: Vec::new(),
    });
    let still = |set: &Memory| sample::check(&ready, set, seed).map(|_| ());
    let job = Job {
        ready: &ready,
        world: &world,
        finished: &finished,
        checked: Some(&checked),
        still: Box::new(still),
    };
    work::rows(&job, &timed, args.repeat, progress)
}

fn ready(shape: &Shape, seed: u64, raw: bool) -> Result<Prepared, Failure> {
    let work = Work {
        entries: ENTRIES.map(str::to_string).to_vec(),
        program: None,
        set: vec![shape.set()],
        dyns: vec![format!("T={}", shape.tokens)],
        inputs: Vec::new(),
        feed: vec!["z=y".to_string()],
        random: Some(seed),
        raw,
    };
    prepare(work, &program(shape))
}

/// With few CTAs, if the shape says so.
fn program(shape: &Shape) -> Source {
    let few = |text: String, way: &str, n: i64| text.replace(way, &format!("{way} blocks {n};"));
    let text = match shape.blocks {
        None => MOE.to_string(),
        Some(n) => few(few(MOE.to_string(), "push;", n), "pull;", n),
    };
    Source { name: "moe.fusco".to_string(), text }
}

/// Runs both entries once. Small results are compared element by element, of others a sample.
fn checked(
    ready: &Prepared,
    world: &World,
    (seed, whole): (u64, bool),
    progress: &Progress,
) -> Result<(Finished, Checked), Failure> {
    let bound = Bound::from_schedule(world, ready.compiled.schedule.clone())?;
    let (memory, stream) = (Memory::new(ready, &bound)?, world.stream()?);
    for entry in ENTRIES {
        progress.next(&format!("{entry} is checked"));
        memory.launch(ready, &bound, entry, &stream)?;
    }
    stream.synchronize()?;
    let mut checked = sample::check(ready, &memory, seed)?;
    let (backend, times, live) = (world.backend(), Vec::new(), memory.live()?);
    if !whole {
        let outputs = Default::default();
        return Ok((Finished { backend, times, warm: true, outputs, live }, checked));
    }
    let finished = collect((&ready.compiled, &ready.inputs), backend, times, &memory)?;
    if backend == "host" {
        checked = check::by_oracle(ready, world, progress)?.1;
    } else {
        let elements = check::against_host(ready, &finished, progress)?;
        checked = Checked { elements, by: "the host back end" };
    }
    Ok((finished, checked))
}

/// Neighbours are points of the same line.
fn mark_cliffs(points: &mut [Point]) {
    let ratio = |p: &Point| p.line.row().and_then(Row::with_fill);
    let same = |a: &Point, b: &Point| a.curve == b.curve && a.series == b.series;
    let falls = |i: usize, points: &[Point]| {
        let here = ratio(&points[i])?;
        let before = points[..i].iter().rev().find(|p| same(p, &points[i])).and_then(ratio)?;
        let after = points[i + 1..].iter().find(|p| same(p, &points[i])).and_then(ratio)?;
        Some(here + CLIFF < before.min(after))
    };
    let found: Vec<bool> = (0..points.len()).map(|i| falls(i, points).unwrap_or(false)).collect();
    points.iter_mut().zip(found).for_each(|(p, cliff)| p.cliff = cliff);
}

fn to_json(points: &[Point]) -> Value {
    let rows: Vec<Value> = points
        .iter()
        .map(|p| {
            let mut row = p.line.json();
            row["curve"] = json!(p.curve);
            row["series"] = json!(p.series);
            row["x"] = json!(p.x);
            row["cliff"] = json!(p.cliff);
            row
        })
        .collect();
    json!({ "fuscoc": env!("CARGO_PKG_VERSION"), "machine": machine(), "rows": rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(ratios: &[f64]) -> Vec<Point> {
        let line = |ratio: &f64| Line::Row(Box::new(Row::example(*ratio)));
        let point = |(x, ratio): (usize, &f64)| Point {
            curve: "tokens",
            series: "dispatch".to_string(),
            x: x as i64,
            line: line(ratio),
            cliff: false,
        };
        ratios.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_cliff_lies_below_both_neighbours() {
        let mut all = points(&[0.2, 0.9, 0.7, 0.9, 0.76, 0.9, 0.5]);
        mark_cliffs(&mut all);
        let cliffs: Vec<i64> = all.iter().filter(|p| p.cliff).map(|p| p.x).collect();
        assert_eq!(cliffs, [2]);
    }

    #[test]
    fn every_shape_compiles_and_fits_a_device() {
        for shape in shapes::curves(false).iter().flat_map(|c| &c.shapes) {
            let compiled = program(shape)
                .compile(None, &crate::source::bindings(&[shape.set()]).unwrap_or_default());
            let compiled = compiled.ok().expect("every shape compiles");
            let y = compiled.hir.tensor("y").expect("an output");
            let bytes = compiled.tables()[&y].elems * 2 * shape.ranks;
            assert!(bytes < 20 << 30, "{shape:?}: {bytes} bytes");
            let target = fusco_dsl::cuda::Target::hopper(shape.ranks as u32);
            let unit = fusco_dsl::cuda::generate(&compiled.schedule, &target);
            assert!(unit.is_ok(), "{shape:?}: {:?}", unit.err());
        }
    }

    #[test]
    fn a_sample_finds_a_wrong_row() {
        let shape = Shape { ranks: 2, experts: 4, topk: 2, hidden: 16, tokens: 40, blocks: None };
        let ready = ready(&shape, 3, true).ok().expect("it compiles");
        let world = World::host(2).expect("two ranks");
        let schedule = ready.compiled.schedule.clone();
        let bound = Bound::from_schedule(&world, schedule).expect("it is bound");
        let stream = world.stream().expect("a stream");
        let memory = Memory::new(&ready, &bound).ok().expect("memory");
        for entry in ENTRIES {
            assert!(memory.launch(&ready, &bound, entry, &stream).is_ok());
        }
        stream.synchronize().expect("it runs");
        let checked = sample::check(&ready, &memory, 1);
        assert!(checked.is_ok_and(|c| c.elements > 1000));
        for name in ["y", "o", "n"] {
            let buffer = memory.buffer(name).expect("an output");
            let before = buffer.download(1).expect("it is read");
            buffer.upload(1, &vec![0x55; before.len()]).expect("it is written");
            let wrong = sample::check(&ready, &memory, 1).err();
            assert!(wrong.is_some_and(|f| f.text().contains(name)), "{name}");
            buffer.upload(1, &before).expect("it is written");
        }
    }
}
