//! The engine on the host: values, concurrency, capture, arrivals, errors.

mod moe;

use fusco_runtime::{
    Arrivals, Bound, Buffer, Error, Graph, LaunchArgs, Params, Plan, Stream, World,
};
use half::bf16;
use moe::Shape;
use std::collections::BTreeMap;
use std::time::Duration;

const MOE: &str = include_str!("../../examples/programs/moe.fusco");

const SMALL: Shape = Shape { ranks: 3, experts: 6, fan: 2, hidden: 24, tokens: 40 };

/// A program with its buffers, and the naive meaning beside it.
struct Case {
    shape: Shape,
    bound: Bound,
    plan: Plan,
    buffers: Vec<(&'static str, Buffer)>,
    tokens: Vec<i64>,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }
}

/// One rank's input, as the program sees it.
struct Input {
    x: Vec<bf16>,
    topk: Vec<i64>,
    w: Vec<f32>,
}

impl Case {
    fn new(bound: &Bound, shape: Shape) -> Case {
        let names = ["x", "topk", "w", "y", "n", "z", "o"];
        let buffers = names.map(|n| (n, bound.alloc(n).unwrap())).into();
        let tokens = (0..shape.ranks).map(|r| shape.tokens - r % 3).collect();
        Case { shape, bound: bound.clone(), plan: bound.plan("r").unwrap(), buffers, tokens }
    }

    fn fill(&self, seed: u64) -> Vec<Input> {
        let mut random = Random(seed);
        (0..self.shape.ranks as usize)
            .map(|rank| {
                let (t, k, h) =
                    (self.tokens[rank] as usize, self.shape.fan, self.shape.hidden as usize);
                let x: Vec<_> = (0..t * h)
                    .map(|_| bf16::from_f32((random.next() % 2001) as f32 / 500.0 - 2.0))
                    .collect();
                let w: Vec<_> =
                    (0..t * k as usize).map(|_| (random.next() % 1000) as f32 / 1000.0).collect();
                let mut topk = Vec::new();
                for _ in 0..t {
                    let first = random.next() as i64 % self.shape.experts;
                    let step = random.next() as i64 % self.shape.experts;
                    topk.extend((0..k).map(|i| {
                        if step == 0 && i == 1 { -1 } else { (first + i) % self.shape.experts }
                    }));
                }
                self.buffer("x").upload_as(rank, &x).unwrap();
                self.buffer("topk").upload_as(rank, &topk).unwrap();
                self.buffer("w").upload_as(rank, &w).unwrap();
                Input { x, topk, w }
            })
            .collect()
    }

    fn buffer(&self, name: &str) -> &Buffer {
        &self.buffers.iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn launch(&self, entry: &str, stream: &Stream) -> Result<(), Error> {
        let buffers: Vec<_> = self.buffers.iter().map(|(n, b)| (*n, b)).collect();
        let args =
            LaunchArgs { dyns: &[("T", &self.tokens)], buffers: &buffers, plans: &[&self.plan] };
        self.bound.launch(entry, stream, &args)
    }

    /// Dispatch, `z := y`, combine.
    fn round_trip(&self, stream: &Stream) {
        self.launch("dispatch", stream).unwrap();
        stream.synchronize().unwrap();
        self.copy_y_to_z();
        self.launch("combine", stream).unwrap();
        stream.synchronize().unwrap();
    }

    fn copy_y_to_z(&self) {
        for rank in 0..self.shape.ranks as usize {
            self.buffer("z").upload(rank, &self.buffer("y").download(rank).unwrap()).unwrap();
        }
    }

    /// Every element of every output against loops over the inputs.
    fn check(&self, inputs: &[Input]) {
        let expected = self.check_dispatch(inputs);
        let (k, h) = (self.shape.fan as usize, self.shape.hidden as usize);
        for (rank, input) in inputs.iter().enumerate() {
            let o = self.buffer("o").download_as::<bf16>(rank).unwrap();
            for (i, found) in o.iter().enumerate().take(self.tokens[rank] as usize * h) {
                let (t, column) = (i / h, i % h);
                let mut sum = 0f32;
                for j in (t * k..t * k + k).filter(|j| input.topk[*j] >= 0) {
                    sum = input.w[j].mul_add(input.x[t * h + column].to_f32(), sum);
                }
                assert_eq!(
                    found.to_bits(),
                    bf16::from_f32(sum).to_bits(),
                    "o[{rank}, {t}, {column}]"
                );
            }
        }
        let dropped: Vec<_> =
            (0..inputs.len()).map(|r| self.plan.dropped(r).unwrap() as usize).collect();
        assert_eq!(
            dropped,
            inputs.iter().map(|i| i.topk.iter().filter(|e| **e < 0).count()).collect::<Vec<_>>()
        );
        assert_eq!(expected, self.plan.live(0).unwrap());
    }

    fn check_dispatch(&self, inputs: &[Input]) -> Vec<u32> {
        let (k, h) = (self.shape.fan as usize, self.shape.hidden as usize);
        let per_rank = (self.shape.experts / self.shape.ranks) as usize;
        let mut counts = Vec::new();
        for rank in 0..inputs.len() {
            let (y, n) = (
                self.buffer("y").download_as::<bf16>(rank).unwrap(),
                self.buffer("n").download_as::<i32>(rank).unwrap(),
            );
            let mut base = 0;
            for (local, count) in n.iter().enumerate().take(per_rank) {
                let e = (rank * per_rank + local) as i64;
                let rows: Vec<_> = inputs
                    .iter()
                    .flat_map(|i| {
                        i.topk
                            .iter()
                            .enumerate()
                            .filter(|(_, g)| **g == e)
                            .map(|(j, _)| &i.x[j / k * h..j / k * h + h])
                    })
                    .collect();
                assert_eq!(*count as usize, rows.len());
                for (c, row) in rows.iter().enumerate() {
                    assert_eq!(&y[(base + c) * h..(base + c + 1) * h], *row, "y[{e}, {c}]");
                }
                let end = base + rows.len().next_multiple_of(128);
                assert!(y[(base + rows.len()) * h..end * h].iter().all(|v| v.to_bits() == 0));
                base = end;
                counts.push(rows.len() as u32);
            }
        }
        counts
    }
}

fn host(shape: Shape) -> (World, Bound) {
    let world = World::host(shape.ranks as usize).unwrap();
    let bound = Bound::from_schedule(&world, shape.schedule()).unwrap();
    (world, bound)
}

/// All ranks on device 0; `None`, with a line that says so, where there is no driver or no NVRTC.
fn gpu(shape: Shape) -> Option<(World, Bound)> {
    let world = World::device(0, shape.ranks as usize);
    let bound = world.and_then(|w| Bound::from_schedule(&w, shape.schedule()).map(|b| (w, b)));
    match bound {
        Err(Error::NoDriver(why) | Error::NoNvrtc(why)) => {
            println!("skipped: {why}");
            None
        }
        other => Some(other.unwrap()),
    }
}

const SHAPES: [Shape; 4] = [
    SMALL,
    Shape { ranks: 1, experts: 2, fan: 2, hidden: 8, tokens: 300 },
    Shape { ranks: 8, experts: 16, fan: 4, hidden: 264, tokens: 200 },
    Shape { ranks: 2, experts: 4, fan: 2, hidden: 2048, tokens: 1500 },
];

#[test]
fn dispatch_and_combine_agree_with_the_naive_loops() {
    SHAPES.into_iter().for_each(|shape| round_trips(shape, host(shape)));
}

#[test]
fn gpu_dispatch_and_combine_agree_with_the_naive_loops() {
    SHAPES
        .into_iter()
        .for_each(|shape| gpu(shape).into_iter().for_each(|it| round_trips(shape, it)));
}

fn round_trips(shape: Shape, (world, bound): (World, Bound)) {
    let (case, stream) = (Case::new(&bound, shape), world.stream().unwrap());
    for seed in 0..3 {
        let inputs = case.fill(seed);
        case.round_trip(&stream);
        case.check(&inputs);
    }
}

#[test]
fn micro_batches_in_flight_do_not_touch_each_other() {
    micro_batches(host(SMALL));
}

#[test]
fn gpu_micro_batches_in_flight_do_not_touch_each_other() {
    gpu(SMALL).into_iter().for_each(micro_batches);
}

fn micro_batches((world, bound): (World, Bound)) {
    let cases = [Case::new(&bound, SMALL), Case::new(&bound, SMALL)];
    let streams = [world.stream().unwrap(), world.stream().unwrap()];
    for round in 0..200 {
        let inputs = [cases[0].fill(2 * round), cases[1].fill(2 * round + 1)];
        for (case, stream) in cases.iter().zip(&streams) {
            case.launch("dispatch", stream).unwrap();
        }
        for (case, stream) in cases.iter().zip(&streams) {
            stream.synchronize().unwrap();
            case.copy_y_to_z();
            case.launch("combine", stream).unwrap();
        }
        for ((case, stream), inputs) in cases.iter().zip(&streams).zip(&inputs) {
            stream.synchronize().unwrap();
            case.check(inputs);
        }
    }
}

#[test]
fn launches_queue_without_waiting() {
    queued(host(SMALL));
}

#[test]
fn gpu_launches_queue_without_waiting() {
    gpu(SMALL).into_iter().for_each(queued);
}

fn queued((world, bound): (World, Bound)) {
    let (case, stream) = (Case::new(&bound, SMALL), world.stream().unwrap());
    let inputs = case.fill(9);
    case.round_trip(&stream);
    for _ in 0..50 {
        case.launch("dispatch", &stream).unwrap();
        case.launch("combine", &stream).unwrap();
    }
    stream.synchronize().unwrap();
    case.check(&inputs);
}

#[test]
fn a_graph_replays_with_fresh_routing() {
    replays(host(SMALL));
}

#[test]
fn gpu_a_graph_replays_with_fresh_routing() {
    gpu(SMALL).into_iter().for_each(replays);
}

fn replays((world, bound): (World, Bound)) {
    let (case, stream) = (Case::new(&bound, SMALL), world.stream().unwrap());
    let [dispatch, combine] =
        ["dispatch", "combine"].map(|entry| stream.capture(|s| case.launch(entry, s)).unwrap());
    for seed in 0..10 {
        let inputs = case.fill(100 + seed);
        dispatch.launch(&stream).unwrap();
        stream.synchronize().unwrap();
        case.copy_y_to_z();
        combine.launch(&stream).unwrap();
        stream.synchronize().unwrap();
        case.check(&inputs);
    }
}

#[test]
fn a_tile_is_consumed_before_the_entry_ends() {
    let shape = Shape { ranks: 2, experts: 4, fan: 2, hidden: 4096, tokens: 4000 };
    let (world, bound) = host(shape);
    let (case, stream) = (Case::new(&bound, shape), world.stream().unwrap());
    let inputs = case.fill(3);
    case.launch("dispatch", &stream).unwrap();
    let arrivals = bound.arrivals("dispatch", &case.plan).unwrap();
    let row = shape.hidden as usize * 2;
    let mut rows = [0, 0];
    let mut early = false;
    for (rank, rows) in rows.iter_mut().enumerate() {
        for tile in arrivals.tiles(rank).unwrap() {
            let tile = tile.unwrap();
            early |= !stream.is_idle();
            // SAFETY: the tile has arrived and nothing that writes `y` is submitted after its launch.
            let bytes = unsafe {
                case.buffer("y").peek_arrived(rank, tile.first_row * row, tile.rows * row)
            };
            let bytes = bytes.unwrap();
            assert_eq!(bytes.len(), tile.rows * row);
            *rows += tile.rows;
        }
    }
    stream.synchronize().unwrap();
    assert!(early, "no tile arrived while the entry ran");
    let counts = case.check_dispatch(&inputs);
    assert_eq!(rows, [counts[0] + counts[1], counts[2] + counts[3]].map(|n| n as usize));
}

#[test]
fn wrong_arguments_are_refused() {
    let (world, bound) = host(SMALL);
    let (mut case, stream) = (Case::new(&bound, SMALL), world.stream().unwrap());
    case.tokens[2] = 41;
    assert_eq!(case.launch("dispatch", &stream).unwrap_err().to_string(), "dyn T[2] = 41 > 40");
    case.tokens = vec![40];
    assert!(case.launch("dispatch", &stream).is_ok(), "one value serves all ranks");
    case.tokens = vec![1, 2];
    assert_eq!(case.launch("dispatch", &stream).unwrap_err().code(), "F0904");
    case.tokens = vec![40; 3];
    assert_eq!(case.launch("nothing", &stream).unwrap_err().code(), "F0909");

    let y = case.buffers.remove(3);
    assert_eq!(
        case.launch("dispatch", &stream).unwrap_err().to_string(),
        "entry `dispatch` needs a buffer for `y`"
    );
    case.buffers.push(("y", case.buffer("x").clone()));
    assert!(case.launch("dispatch", &stream).unwrap_err().to_string().starts_with("`y` needs "));
    case.buffers.pop();
    case.buffers.push(y);
    case.buffers.push(("q", case.buffer("x").clone()));
    assert!(
        case.launch("dispatch", &stream).unwrap_err().to_string().contains("has no tensor `q`")
    );
    case.buffers.pop();

    case.plan = host(SMALL).1.plan("r").unwrap();
    assert_eq!(case.launch("combine", &stream).unwrap_err().code(), "F0909");
    let none = LaunchArgs {
        dyns: &[("T", &[40])],
        buffers: &case.buffers.iter().map(|(n, b)| (*n, b)).collect::<Vec<_>>(),
        plans: &[],
    };
    assert_eq!(
        bound.launch("combine", &stream, &none).unwrap_err().to_string(),
        "entry `combine` needs a plan of route `r`"
    );
    assert!(bound.alloc("q").is_err() && bound.plan("q").is_err());
    assert!(case.buffer("x").upload(0, &vec![0; 1 << 20]).is_err());
    stream.synchronize().unwrap();
}

#[test]
fn a_wild_index_is_reported_and_the_plan_recovers() {
    wild_index(host(SMALL));
}

#[test]
fn gpu_a_wild_index_is_reported_and_the_plan_recovers() {
    gpu(SMALL).into_iter().for_each(wild_index);
}

fn wild_index((world, bound): (World, Bound)) {
    let (case, stream) = (Case::new(&bound, SMALL), world.stream().unwrap());
    case.fill(1);
    let mut topk = case.buffer("topk").download_as::<i64>(2).unwrap();
    topk[17 * 2 + 1] = 300;
    case.buffer("topk").upload_as(2, &topk).unwrap();
    case.launch("dispatch", &stream).unwrap();
    case.launch("combine", &stream).unwrap();
    let error = stream.synchronize().unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("F0906", "topk[s=2, t=17, k=1] = 300, outside 0..5")
    );
    let inputs = case.fill(2);
    case.round_trip(&stream);
    case.check(&inputs);
}

#[test]
fn a_tile_that_never_comes_is_a_timeout() {
    let world = World::host(2).unwrap().with_timeout(Duration::from_millis(200));
    let shape = Shape { ranks: 2, experts: 4, ..SMALL };
    let bound = Bound::from_schedule(&world, shape.schedule()).unwrap();
    let (case, stream) = (Case::new(&bound, shape), world.stream().unwrap());
    let arrivals = bound.arrivals("dispatch", &case.plan).unwrap();
    let error = arrivals.wait_tile(1, 0, 5).unwrap_err();
    assert_eq!(error.code(), "F0908");
    assert_eq!(
        error.to_string(),
        "dispatch: rank 1 waited 0.2 s for its peers, dispatch_tiles slot 0: expected 5 arrivals, saw 0"
    );
    stream.synchronize().unwrap();
}

/// `moe.fusco` from its text, on the host and, where there is one, on a device.
#[test]
fn a_program_is_bound_from_its_text() {
    let shape = Shape { ranks: 4, experts: 16, fan: 3, hidden: 64, tokens: 150 };
    let names = ["G", "E", "K", "H", "TMAX"];
    let values = [shape.ranks, shape.experts, shape.fan, shape.hidden, shape.tokens];
    let params: BTreeMap<_, _> = names.map(String::from).into_iter().zip(values).collect();
    let bind = |world: World| world.bind(MOE, None, &params).map(|bound| (world, bound));
    let (world, bound) = bind(World::host(4).unwrap()).unwrap();
    let mut case = Case::new(&bound, shape);
    case.tokens[3] = 151;
    let error = case.launch("dispatch", &world.stream().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "dyn T[3] = 151 > TMAX = 150");
    round_trips(shape, (world, bound));
    match World::device(0, 4).and_then(bind) {
        Err(Error::NoDriver(why) | Error::NoNvrtc(why)) => println!("skipped: {why}"),
        other => round_trips(shape, other.unwrap()),
    }
    assert_eq!(bind(World::host(3).unwrap()).err().unwrap().code(), "F0909");
    let wrong = World::host(4).unwrap().bind("program p {", None, &params).err().unwrap();
    assert!(matches!(wrong, Error::Program(_)), "{wrong}");
}

/// Worlds and what they make may be shared by threads.
#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<(World, Bound, Plan, Buffer, Stream, Graph, Arrivals)>();
}

/// Not a test: `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "prints timings"]
fn speed() {
    let shape = Shape { ranks: 4, experts: 32, fan: 8, hidden: 7168, tokens: 512 };
    let (world, bound) = host(shape);
    let (case, stream) = (Case::new(&bound, shape), world.stream().unwrap());
    case.fill(1);
    case.round_trip(&stream);
    let bytes = case.tokens.iter().sum::<i64>() * shape.hidden * 2 * (shape.fan + 1);
    let (from, mut to) = (vec![1u8; bytes as usize / 2], vec![0u8; bytes as usize / 2]);
    for round in 0..3 {
        let best = |f: &mut dyn FnMut()| {
            let times = (0..5).map(|_| {
                let start = std::time::Instant::now();
                f();
                start.elapsed().as_secs_f64()
            });
            times.fold(f64::INFINITY, f64::min)
        };
        let copy = best(&mut || {
            let half = from.len() / 2;
            let (a, b) = to.split_at_mut(half);
            std::thread::scope(|s| {
                s.spawn(|| a.copy_from_slice(&from[..half]));
                s.spawn(|| b.copy_from_slice(&from[half..]));
            });
        });
        let entry = |name| {
            best(&mut || {
                case.launch(name, &stream).unwrap();
                stream.synchronize().unwrap();
            })
        };
        let (dispatch, combine) = (entry("dispatch"), entry("combine"));
        println!(
            "{round}: copy {copy:.4} s, dispatch {:.2}, combine {:.2} of it",
            copy / dispatch,
            copy / combine
        );
    }
}

#[test]
fn marks_measure_what_lies_between_them_and_copies_arrive() {
    let world = World::host(2).expect("a world");
    let stream = world.stream().expect("a stream");
    let (from, to) = (world.scratch(5000).expect("memory"), world.scratch(5000).expect("memory"));
    let values: Vec<u8> = (0..5000).map(|i| (i % 253) as u8).collect();
    from.upload(0, &values).expect("uploaded");
    let before = stream.mark().expect("a mark");
    stream.copy(&from, &to).expect("copied");
    std::thread::sleep(Duration::from_millis(5));
    let after = stream.mark().expect("a mark");
    assert!(after.since(&before).expect("a time") >= Duration::from_millis(5));
    assert_eq!(to.download(0).expect("there"), values);
    let short = world.scratch(4999).expect("memory");
    assert_eq!(stream.copy(&from, &short).expect_err("refused").code(), "F0902");
    let captured = stream.capture(|s| s.copy(&from, &to));
    assert_eq!(captured.expect_err("refused").code(), "F0909");
}

/// What an entry hands from statement to statement is its own: each stream has its part, and nobody gives it.
#[test]
fn a_temporary_is_the_programs_own() {
    let text = "program p {
        mesh m { gpu: 2 }
        in a: i32[i: 64, j: 64] @ [i/gpu, i, j];
        tmp t: i32[j: 64, i: 64] @ [j/gpu, j, i];
        out b: i32[i: 64, j: 64] @ [copy/gpu, i, j];
        entry e { t[j, i] <- a[i, j]; b[i, j] <- t[j, i]; }
    }";
    let world = World::host(2).unwrap();
    let program = world.bind(text, None, &Params::new()).unwrap();
    assert!(program.tensors().eq(["a", "b"]) && program.alloc("t").is_err());
    let other = program.alloc("b").unwrap();
    let work: Vec<_> = (0..3)
        .map(|n| {
            let (a, b) = (program.alloc("a").unwrap(), program.alloc("b").unwrap());
            let values = Vec::from_iter((0..4096).map(|i| i * 7 + n));
            let given = [("a", &a), ("b", &b)];
            let args = LaunchArgs { buffers: &given, ..LaunchArgs::default() };
            program.scatter("a", &[64, 64], &values, &args).unwrap();
            (world.stream().unwrap(), a, b, values)
        })
        .collect();
    for _ in 0..20 {
        for (stream, a, b, _) in &work {
            let given = [("a", a), ("b", b)];
            let args = LaunchArgs { buffers: &given, ..LaunchArgs::default() };
            program.launch("e", stream, &args).unwrap();
        }
    }
    for (stream, a, b, values) in &work {
        stream.synchronize().unwrap();
        let given = [("a", a), ("b", b)];
        let args = LaunchArgs { buffers: &given, ..LaunchArgs::default() };
        assert_eq!(program.gather::<i32>("b", &args).unwrap().values, *values);
        let given = [("a", a), ("b", b), ("t", &other)];
        let args = LaunchArgs { buffers: &given, ..LaunchArgs::default() };
        let refused = program.launch("e", stream, &args).unwrap_err();
        assert!(refused.to_string().contains("has no tensor `t`"), "{refused}");
    }
}
