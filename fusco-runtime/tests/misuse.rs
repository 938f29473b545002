//! Safe Rust in wrong hands: what cannot be right is refused before it starts, what conflicts runs in order.

use fusco_runtime::{Bound, Buffer, Error, LaunchArgs, Plan, Stream, World, bf16, fusco};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const MOE: &str = include_str!("../../examples/programs/moe.fusco");

const RANKS: usize = 4;
const EXPERTS: usize = 16;
const FAN: usize = 2;
const HIDDEN: usize = 64;
const TOKENS: usize = 48;

/// `moe.fusco` with its buffers on a world.
struct Layer {
    world: World,
    bound: Bound,
    buffers: BTreeMap<&'static str, Buffer>,
}

impl Layer {
    fn new() -> Layer {
        Layer::on(World::host(RANKS).expect("a world"))
    }

    fn on(world: World) -> Layer {
        let values = [RANKS, EXPERTS, FAN, HIDDEN, TOKENS].map(|v| v as i64);
        let names = ["G", "E", "K", "H", "TMAX"].map(str::to_string);
        let params = names.into_iter().zip(values).collect();
        let bound = world.bind(MOE, None, &params).expect("a program");
        let names = ["x", "topk", "w", "y", "n", "z", "o"];
        let buffers = names.map(|n| (n, bound.alloc(n).expect("memory"))).into();
        let layer = Layer { world, bound, buffers };
        layer.fill("x", 0);
        layer.route("topk", 7);
        for rank in 0..RANKS {
            layer["w"].upload_as(rank, &[0.5f32; TOKENS * FAN]).expect("fits");
        }
        layer
    }

    fn fill(&self, x: &'static str, seed: usize) {
        for rank in 0..RANKS {
            let value = |i: usize| bf16::from_f32(((i * 37 + rank * 11 + seed) % 251) as f32);
            self[x]
                .upload_as(rank, &Vec::from_iter((0..TOKENS * HIDDEN).map(value)))
                .expect("fits");
        }
    }

    fn route(&self, topk: &'static str, step: usize) {
        for rank in 0..RANKS {
            let expert = |i: usize| ((i / FAN * step + rank + i % FAN * 3) % EXPERTS) as i64;
            self[topk]
                .upload_as(rank, &Vec::from_iter((0..TOKENS * FAN).map(expert)))
                .expect("fits");
        }
    }

    fn stream(&self) -> Stream {
        self.world.stream().expect("a stream")
    }

    fn plan(&self) -> Plan {
        self.bound.plan("r").expect("a plan")
    }

    /// `entry` for `tokens` positions of each rank, with some buffers other than the layer's.
    fn launch(
        &self,
        entry: &str,
        stream: &Stream,
        plan: &Plan,
        tokens: usize,
        others: &[(&'static str, &Buffer)],
    ) -> Result<(), Error> {
        let mut buffers: BTreeMap<_, _> = self.buffers.iter().map(|(n, b)| (*n, b)).collect();
        buffers.extend(others.iter().copied());
        let buffers = Vec::from_iter(buffers);
        let args =
            LaunchArgs { dyns: &[("T", &[tokens as i64])], buffers: &buffers, plans: &[plan] };
        self.bound.launch(entry, stream, &args)
    }

    fn dispatch(&self, stream: &Stream, plan: &Plan) -> Result<(), Error> {
        self.launch("dispatch", stream, plan, TOKENS, &[])
    }

    fn combine(&self, stream: &Stream, plan: &Plan) -> Result<(), Error> {
        self.launch("combine", stream, plan, TOKENS, &[])
    }
}

impl std::ops::Index<&'static str> for Layer {
    type Output = Buffer;

    fn index(&self, name: &'static str) -> &Buffer {
        &self.buffers[name]
    }
}

/// Device 0; `None`, with a line that says so, where a driver or NVRTC is missing.
fn gpu(ranks: usize) -> Option<World> {
    let nvrtc = fusco_runtime::jit::Nvrtc::find().map(|_| ());
    match nvrtc.and_then(|()| World::device(0, ranks)) {
        Err(error) if error.is_environment() => {
            println!("skipped: {error}");
            None
        }
        world => Some(world.expect("device 0")),
    }
}

fn bytes(buffer: &Buffer) -> Vec<Vec<u8>> {
    (0..buffer.ranks()).map(|rank| buffer.download(rank).expect("bytes")).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.expect_err("refused").code()
}

/// `source` bound on a world of its own, with a buffer for each name.
fn small<const N: usize>(
    ranks: usize,
    source: &str,
    names: [&str; N],
) -> (World, Bound, [Buffer; N]) {
    let world = World::host(ranks).expect("a world");
    let bound = world.bind(source, None, &BTreeMap::new()).expect("a program");
    let buffers = names.map(|n| bound.alloc(n).expect("memory"));
    (world, bound, buffers)
}

const TWO_COPIES: &str = "program p {
    in x: f32[i: 4096] @ [i]; in w: f32[i: 4096] @ [i];
    out y: f32[i: 4096] @ [i]; out z: f32[i: 4096] @ [i];
    entry e { y[i] <- x[i]; z[i] <- w[i]; }
}";

#[test]
fn memory_that_an_entry_writes_is_given_once() {
    let (world, bound, [x, w, y, z]) = small(1, TWO_COPIES, ["x", "w", "y", "z"]);
    let stream = world.stream().expect("a stream");
    let go = |buffers: &[(&str, &Buffer)]| {
        bound.launch("e", &stream, &LaunchArgs { buffers, ..LaunchArgs::default() })
    };
    for (name, refused) in [
        ("in place", go(&[("x", &x), ("w", &w), ("y", &x), ("z", &z)])),
        (
            "an output is another statement's input",
            go(&[("x", &x), ("w", &y), ("y", &y), ("z", &z)]),
        ),
        ("one buffer for two outputs", go(&[("x", &x), ("w", &w), ("y", &y), ("z", &y.clone())])),
        ("a name twice", go(&[("x", &x), ("x", &w), ("w", &w), ("y", &y), ("z", &z)])),
    ] {
        assert_eq!(code(refused), "F0902", "{name}");
    }
    x.upload_as(0, &Vec::from_iter((0..4096).map(|i| i as f32))).expect("fits");
    go(&[("x", &x), ("w", &x), ("y", &y), ("z", &z)]).expect("two inputs may share memory");
    stream.synchronize().expect("done");
    assert_eq!(y.download_as::<f32>(0).expect("there")[4095], 4095.0);
    assert_eq!(z.download_as::<f32>(0).expect("there")[4095], 4095.0);
}

fusco! {
    program transpose {
        mesh tp { gpu: 2 }
        in  a: f32[m: 64, n: 64] @ [m/gpu, m, n];
        out b: f32[n: 64, m: 64] @ [n/gpu, n, m];
        entry main { b[n, m] <- a[m, n]; }
    }
}

#[test]
fn a_typed_launch_in_place_is_refused() {
    let world = World::host(2).expect("a world");
    let p = transpose::bind(&world, transpose::Params {}).expect("a program");
    let (a, stream) = (p.alloc_a().expect("memory"), world.stream().expect("a stream"));
    let error = p.main(&stream, transpose::MainArgs { a: &a, b: &a }).expect_err("refused");
    assert_eq!(error.code(), "F0902");
    assert!(
        error.to_string().starts_with("`a` and `b` of entry `main` are given one buffer"),
        "{error}"
    );
}

#[test]
fn dyns_and_plans_are_given_once() {
    let (layer, stream) = (Layer::new(), Layer::new().stream());
    let (p, q) = (layer.plan(), layer.plan());
    let buffers = Vec::from_iter(layer.buffers.iter().map(|(n, b)| (*n, b)));
    let go = |dyns: &[(&str, &[i64])], plans: &[&Plan]| {
        layer.bound.launch("dispatch", &stream, &LaunchArgs { dyns, buffers: &buffers, plans })
    };
    assert_eq!(code(go(&[("T", &[4]), ("T", &[5])], &[&p])), "F0904");
    assert_eq!(code(go(&[("T", &[4])], &[&p, &q])), "F0909");
}

#[test]
fn a_plan_is_taken_after_it_is_made_and_for_the_same_sizes() {
    let (layer, plan) = (Layer::new(), Layer::new().plan());
    let stream = layer.stream();
    assert_eq!(code(layer.combine(&stream, &plan)), "F0909", "another program's");
    let plan = layer.plan();
    assert_eq!(
        layer.combine(&stream, &plan).expect_err("refused").to_string(),
        "entry `combine` takes a plan of route `r` that no launch has made: first launch an entry with `plan r`"
    );
    layer.launch("dispatch", &stream, &plan, 10, &[]).expect("queued");
    let error = layer.combine(&stream, &plan).expect_err("refused");
    assert_eq!(error.code(), "F0904");
    assert_eq!(
        error.to_string(),
        "entry `combine` has 48 positions on rank 0; its plan of route `r` was made for 10"
    );
    layer.launch("combine", &stream, &plan, 10, &[]).expect("the same sizes");
    layer.dispatch(&stream, &plan).expect("made anew");
    layer.combine(&stream, &plan).expect("the same sizes");
    stream.synchronize().expect("done");
}

#[test]
fn a_graph_may_make_the_plan_that_it_takes() {
    a_graph_may_make_the_plan_that_it_takes_on(Layer::new());
}

#[test]
fn gpu_a_graph_may_make_the_plan_that_it_takes() {
    gpu(RANKS)
        .into_iter()
        .for_each(|world| a_graph_may_make_the_plan_that_it_takes_on(Layer::on(world)));
}

fn a_graph_may_make_the_plan_that_it_takes_on(layer: Layer) {
    let (stream, plan) = (layer.stream(), layer.plan());
    let both = stream.capture(|s| layer.dispatch(s, &plan).and(layer.combine(s, &plan)));
    let back = stream.capture(|s| layer.combine(s, &plan)).expect("captured");
    assert_eq!(code(back.launch(&stream)), "F0909", "not made yet");
    both.expect("captured").launch(&stream).expect("made in the graph");
    back.launch(&stream).expect("made by the other graph");
    layer.launch("dispatch", &stream, &plan, 3, &[]).expect("queued");
    assert_eq!(code(back.launch(&stream)), "F0904", "made for others since");
    let apart =
        stream.capture(|s| layer.launch("dispatch", s, &plan, 3, &[]).and(layer.combine(s, &plan)));
    assert_eq!(code(apart), "F0904");
    stream.synchronize().expect("done");
}

#[test]
fn a_failed_launch_leaves_its_plan_unmade() {
    a_failed_launch_leaves_its_plan_unmade_on(Layer::new());
}

#[test]
fn gpu_a_failed_launch_leaves_its_plan_unmade() {
    gpu(RANKS)
        .into_iter()
        .for_each(|world| a_failed_launch_leaves_its_plan_unmade_on(Layer::on(world)));
}

fn a_failed_launch_leaves_its_plan_unmade_on(layer: Layer) {
    let (stream, other, plan) = (layer.stream(), layer.stream(), layer.plan());
    layer["topk"].upload_as(2, &[99i64; TOKENS * FAN]).expect("fits");
    layer.dispatch(&stream, &plan).expect("queued");
    // On another stream: whether it is submitted before or after the failure is known, it does not run.
    if let Err(error) = layer.combine(&other, &plan) {
        assert_eq!(error.code(), "F0909");
    } else {
        assert_eq!(code(other.synchronize()), "F0909");
    }
    assert_eq!(code(stream.synchronize()), "F0906");
    assert_eq!(code(layer.combine(&stream, &plan)), "F0909");
    layer.route("topk", 7);
    layer.dispatch(&stream, &plan).expect("queued");
    layer.combine(&other, &plan).expect("queued");
    other.synchronize().expect("after the other stream's");
    stream.synchronize().expect("done");
}

#[test]
fn what_belongs_to_another_world_is_refused() {
    let (a, b) = (Layer::new(), Layer::new());
    let (stream, plan) = (a.stream(), a.plan());
    assert_eq!(code(a.dispatch(&b.stream(), &plan)), "F0909", "stream");
    assert_eq!(code(a.dispatch(&stream, &b.plan())), "F0909", "plan");
    assert_eq!(code(a.launch("dispatch", &stream, &plan, 8, &[("y", &b["y"])])), "F0902", "buffer");
    assert_eq!(code(stream.copy(&a["x"], &b["x"])), "F0902", "copy");
    assert_eq!(code(stream.copy_around(&b["x"], &a["x"])), "F0902", "copy around");
    let graph = stream.capture(|s| a.dispatch(s, &plan)).expect("captured");
    assert_eq!(code(graph.launch(&b.stream())), "F0909", "graph");
    let [ours, theirs] = [&stream, &b.stream()].map(|s| s.mark().expect("a mark"));
    assert_eq!(code(ours.since(&theirs)), "F0909", "mark");
    let clone = a.world.clone().with_timeout(Duration::from_secs(3));
    a.dispatch(&clone.stream().expect("a stream"), &plan).expect("a clone is the same world");
}

const DISTINCT: &str = "program moe {
    mesh ep { gpu: 2 }
    param TMAX: int;
    dyn T[gpu]: int <= TMAX;
    in  x:    f32[s: gpu, t: T[s], h: 4] @ [s/gpu, t, h];
    in  topk: ix32(4, none = -1)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
    out y:    f32[e: 4, c: ragged, h: 4] @ [e/gpu, e, c.pack(1), h];
    assume distinct(k: topk[s, t, k]);
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
    entry dispatch { plan r; y[e, c, h] <- x[s, t, h] via r; }
}";

#[test]
fn data_that_breaks_an_assumption_is_told() {
    let told = broken_assumption(World::host(2).expect("a world"));
    assert_eq!(told, "topk[s=1, t=0, k=1] = 3, as at k=0: `assume distinct` of `topk` is false");
}

#[test]
fn gpu_data_that_breaks_an_assumption_is_told() {
    let Some(world) = gpu(2) else { return };
    let told = broken_assumption(world);
    assert_eq!(
        told,
        "topk[s=1, t=0, k=1] = 3, as at an earlier choice: `assume distinct` of `topk` is false"
    );
}

/// The message of F0907. All tuples of a rank name one group: far more rows than there is memory for.
fn broken_assumption(world: World) -> String {
    let params = [("TMAX".to_string(), 8)].into();
    let bound = world.bind(DISTINCT, None, &params).expect("a program");
    let [x, topk, y] = ["x", "topk", "y"].map(|n| bound.alloc(n).expect("memory"));
    let (stream, plan) = (world.stream().expect("a stream"), bound.plan("r").expect("a plan"));
    let buffers = [("x", &x), ("topk", &topk), ("y", &y)];
    let go = |first: [i32; 2]| {
        for rank in 0..2 {
            let mut values = [first, [0, 1], [1, 0], [3, -1], [-1, -1], [2, 3], [3, 2], [0, 2]];
            if rank == 0 {
                values[0] = [0, 1];
            }
            topk.upload_as(rank, values.as_flattened()).expect("fits");
        }
        let args = LaunchArgs { dyns: &[("T", &[8])], buffers: &buffers, plans: &[&plan] };
        bound.launch("dispatch", &stream, &args).expect("queued");
        stream.synchronize()
    };
    let error = go([3, 3]).expect_err("told");
    assert_eq!(error.code(), "F0907");
    go([3, 2]).expect("the plan recovers");
    go([-1, -1]).expect("absent ones are no repetition");
    (0..2).for_each(|rank| topk.upload_as(rank, &[2i32; 16]).expect("fits"));
    let args = LaunchArgs { dyns: &[("T", &[8])], buffers: &buffers, plans: &[&plan] };
    bound.launch("dispatch", &stream, &args).expect("queued");
    assert_eq!(code(stream.synchronize()), "F0907", "more rows than memory");
    go([0, 3]).expect("the plan recovers");
    error.to_string()
}

/// The same of elements that a statement writes at: on several ranks, and copied to all of them.
const SCATTERED: &str = "program scattered {
    mesh m { gpu: 2 }
    param N: int;
    dyn T: int <= N;
    in x: f32[i: T, h: 4] @ [copy/gpu, i, h];
    in to: ix32(16)[i: 8] @ [i/gpu, i];
    in all: ix32(16)[i: T] @ [copy/gpu, i];
    in z: f32[i: 8] @ [i/gpu, i];
    out y: f32[j: 16] @ [j/gpu, j] with fill(0);
    out w: f32[j: 16, h: 4] @ [j/gpu, j, h] with fill(0);
    assume distinct(i: to[i]), distinct(i: all[i]);
    entry dealt { y[to[i]] <- z[i]; }
    entry copied { w[all[i], h] <- x[i, h]; }
}";

#[test]
fn elements_that_name_one_place_are_told() {
    equal_elements(World::host(2).expect("a world"));
}

#[test]
fn gpu_elements_that_name_one_place_are_told() {
    let Some(world) = gpu(2) else { return };
    equal_elements(world);
}

fn equal_elements(world: World) {
    let bound = world.bind(SCATTERED, None, &[("N".to_string(), 8)].into()).expect("a program");
    let names = ["x", "to", "all", "z", "y", "w"];
    let buffers = names.map(|n| (n, bound.alloc(n).expect("memory")));
    let of = |name: &str| &buffers.iter().find(|(n, _)| *n == name).expect("a tensor").1;
    let stream = world.stream().expect("a stream");
    let launch = |entry: &str, used: &[&'static str], rows: &[i64]| {
        let buffers = Vec::from_iter(used.iter().map(|n| (*n, of(n))));
        let dyns = [("T", rows)];
        let dyns = if rows.is_empty() { &[][..] } else { &dyns };
        let args = LaunchArgs { dyns, buffers: &buffers, plans: &[] };
        bound.launch(entry, &stream, &args).expect("queued");
        stream.synchronize()
    };
    for rank in 0..2 {
        let value = |i: usize| (rank * 4 + i) as f32;
        of("z").upload_as(rank, &Vec::from_iter((0..4).map(value))).expect("fits");
        of("x").upload_as(rank, &[1f32; 32]).expect("fits");
        of("all").upload_as(rank, &[3i32, 2, 1, 0, 15, 9, 15, 1]).expect("fits");
    }
    of("to").upload_as(0, &[15i32, 3, 2, 7]).expect("fits");
    let dealt = |to: [i32; 4]| {
        of("to").upload_as(1, &to).expect("fits");
        launch("dealt", &["z", "to", "y"], &[])
    };
    dealt([0, 1, 14, 9]).expect("all differ");
    assert_eq!(of("y").download_as::<f32>(0).expect("data"), [4., 5., 2., 1., 0., 0., 0., 3.]);
    // Of two ranks, and of one.
    for (to, value) in [([0, 1, 2, 9], 2), ([9, 1, 8, 9], 9)] {
        let error = dealt(to).expect_err("two are equal");
        assert_eq!(error.code(), "F0907");
        let told = error.to_string();
        assert!(told.contains(&format!("] = {value}, as another element")), "{told}");
        assert!(told.ends_with("`assume distinct` of `to` is false"), "{told}");
    }
    dealt([9, 1, 8, 4]).expect("the next launch is as any");
    // Only the elements of this launch.
    launch("copied", &["x", "all", "w"], &[6]).expect("all differ");
    assert_eq!(code(launch("copied", &["x", "all", "w"], &[7])), "F0907");
}

#[test]
fn two_threads_may_use_one_stream() {
    two_threads_may_use_one_stream_on(World::host(RANKS).expect("a world"));
}

#[test]
fn gpu_two_threads_may_use_one_stream() {
    gpu(RANKS).into_iter().for_each(two_threads_may_use_one_stream_on);
}

fn two_threads_may_use_one_stream_on(world: World) {
    let layer = Layer::on(world.with_timeout(Duration::from_secs(5)));
    let stream = layer.stream();
    for _ in 0..5 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (plan, y) = (layer.plan(), layer.bound.alloc("y").expect("memory"));
                    for _ in 0..20 {
                        layer
                            .launch("dispatch", &stream, &plan, TOKENS, &[("y", &y)])
                            .expect("queued");
                        layer.combine(&stream, &plan).expect("queued");
                    }
                });
            }
        });
        stream.synchronize().expect("one order on all ranks");
    }
}

#[test]
fn launches_that_share_a_plan_run_in_order() {
    launches_that_share_a_plan_run_in_order_on(Layer::new());
}

#[test]
fn gpu_launches_that_share_a_plan_run_in_order() {
    gpu(RANKS)
        .into_iter()
        .for_each(|world| launches_that_share_a_plan_run_in_order_on(Layer::on(world)));
}

fn launches_that_share_a_plan_run_in_order_on(layer: Layer) {
    let [y, n, other_topk] = ["y", "n", "topk"].map(|n| layer.bound.alloc(n).expect("memory"));
    let (one, two, plan) = (layer.stream(), layer.stream(), layer.plan());
    for rank in 0..RANKS {
        let expert = |i: usize| ((i * 5 + rank) % EXPERTS) as i64;
        other_topk.upload_as(rank, &Vec::from_iter((0..TOKENS * FAN).map(expert))).expect("fits");
    }
    let others: &[(&str, &Buffer)] = &[("y", &y), ("n", &n), ("topk", &other_topk)];
    let both = || {
        layer.dispatch(&one, &plan).expect("queued");
        layer.launch("dispatch", &two, &plan, TOKENS, others).expect("queued");
    };
    layer.dispatch(&one, &plan).expect("queued");
    one.synchronize().expect("done");
    layer.launch("dispatch", &two, &plan, TOKENS, others).expect("queued");
    two.synchronize().expect("done");
    let want = [bytes(&layer["y"]), bytes(&y)];
    for round in 0..100 {
        both();
        one.synchronize().expect("done");
        two.synchronize().expect("done");
        assert!([bytes(&layer["y"]), bytes(&y)] == want, "round {round}");
    }
}

#[test]
fn the_launch_submitted_last_is_the_last_to_write() {
    the_launch_submitted_last_is_the_last_to_write_on(Layer::new());
}

#[test]
fn gpu_the_launch_submitted_last_is_the_last_to_write() {
    gpu(RANKS)
        .into_iter()
        .for_each(|world| the_launch_submitted_last_is_the_last_to_write_on(Layer::on(world)));
}

fn the_launch_submitted_last_is_the_last_to_write_on(layer: Layer) {
    let (one, two) = (layer.stream(), layer.stream());
    let (p, q) = (layer.plan(), layer.plan());
    let zeros = layer.bound.alloc("x").expect("memory");
    for round in 0..100 {
        layer.dispatch(&one, &p).expect("queued");
        layer.launch("dispatch", &two, &q, TOKENS, &[("x", &zeros)]).expect("queued");
        // No `synchronize`: what is downloaded is what the launches before leave.
        let y = bytes(&layer["y"]);
        assert!(y.iter().flatten().all(|b| *b == 0), "round {round}");
    }
}

#[test]
fn an_upload_is_seen_whole_or_not_at_all() {
    let layer = Layer::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                for rank in 0..RANKS {
                    let rows = vec![bf16::from_f32((round % 100) as f32); TOKENS * HIDDEN];
                    layer["x"].upload_as(rank, &rows).expect("fits");
                }
            }
            done.store(true, SeqCst);
        });
        let (stream, plan) = (layer.stream(), layer.plan());
        for rank in 0..RANKS {
            layer["x"].upload_as(rank, &[bf16::from_f32(0.0); TOKENS * HIDDEN]).expect("fits");
        }
        while !done.load(SeqCst) {
            layer.dispatch(&stream, &plan).expect("queued");
            stream.synchronize().expect("done");
            let y = layer["y"].download_as::<bf16>(0).expect("there");
            assert!(y.chunks(HIDDEN).all(|row| row.iter().all(|v| *v == row[0])), "a torn row");
        }
    });
}

#[test]
fn a_peek_waits_for_nothing_and_races_with_nothing() {
    let source = "program p {
        in x: f32[i: 8388608] @ [i]; out y: f32[i: 8388608] @ [i];
        entry e { y[i] <- x[i]; }
    }";
    let (world, bound, [x, y]) = small(1, source, ["x", "y"]);
    x.upload_as(0, &vec![1f32; 8388608]).expect("fits");
    let stream = world.stream().expect("a stream");
    let args = LaunchArgs { buffers: &[("x", &x), ("y", &y)], ..LaunchArgs::default() };
    // So many that the last is not done before this thread looks.
    (0..8).for_each(|_| bound.launch("e", &stream, &args).expect("queued"));
    let error = y.peek(0, 0, 16).expect_err("it is being written");
    assert_eq!(error.code(), "F0902");
    assert!(error.to_string().starts_with("`y` is being written by a launch in flight"), "{error}");
    assert_eq!(x.peek(0, 0, 4).expect("nothing writes it"), 1f32.to_ne_bytes());
    stream.synchronize().expect("done");
    assert_eq!(y.peek(0, 4, 4).expect("nothing writes it"), 1f32.to_ne_bytes());
    assert_eq!(code(y.peek(0, 8388608 * 4 - 3, 4)), "F0902");
}

#[test]
fn a_view_keeps_writers_away_until_it_is_dropped() {
    let source = "program p {
        in x: f32[i: 1024] @ [i]; out y: f32[i: 1024] @ [i];
        entry e { y[i] <- x[i]; }
    }";
    let (world, bound, [x, y]) = small(1, source, ["x", "y"]);
    let stream = world.stream().expect("a stream");
    let args = LaunchArgs { buffers: &[("x", &x), ("y", &y)], ..LaunchArgs::default() };
    x.upload_as(0, &[1f32; 1024]).expect("fits");
    bound.launch("e", &stream, &args).expect("queued");
    stream.synchronize().expect("done");
    let (first, second) = (y.view(0, 0, 8).expect("there"), y.view(0, 8, 4088).expect("there"));
    let ones = |bytes: &[u8]| bytes.chunks(4).all(|b| *b == 1f32.to_ne_bytes());
    assert_eq!(code(y.view(0, 4093, 4)), "F0902");
    assert_eq!(code(y.view(1, 0, 4)), "F0902");
    // Readers go on, a launch and a caller that write wait for the last view.
    x.upload_as(0, &[2f32; 1024]).expect("nothing views it");
    bound.launch("e", &stream, &args).expect("queued");
    assert_eq!(code(y.view(0, 0, 4)), "F0902", "a launch is to write it");
    drop(first);
    std::thread::sleep(Duration::from_millis(50));
    assert!(second.len() == 4088 && ones(&second));
    drop(second);
    stream.synchronize().expect("done");
    let twos = y.view(0, 0, 4).expect("nothing writes it");
    assert_eq!(*twos, 2f32.to_ne_bytes());
    let other = y.clone();
    let upload = std::thread::spawn(move || other.upload(0, &[7; 4]));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!upload.is_finished() && *twos == 2f32.to_ne_bytes());
    drop(twos);
    upload.join().expect("no panic").expect("fits");
    let sevens = y.view(0, 0, 4).expect("nothing writes it");
    drop((x, y, bound, stream, world));
    assert_eq!(*sevens, [7; 4], "the bytes stay as long as the view");
}

#[test]
fn streams_and_callers_in_any_order_neither_wait_for_ever_nor_mix() {
    streams_and_callers_in_any_order_neither_wait_for_ever_nor_mix_on(
        World::host(RANKS).expect("a world"),
    );
}

#[test]
fn gpu_streams_and_callers_in_any_order_neither_wait_for_ever_nor_mix() {
    gpu(RANKS)
        .into_iter()
        .for_each(streams_and_callers_in_any_order_neither_wait_for_ever_nor_mix_on);
}

fn streams_and_callers_in_any_order_neither_wait_for_ever_nor_mix_on(world: World) {
    let layer = Layer::on(world.with_timeout(Duration::from_secs(20)));
    let plans = [layer.plan(), layer.plan()];
    let streams = [layer.stream(), layer.stream(), layer.stream()];
    let graph = streams[0]
        .capture(|s| layer.dispatch(s, &plans[0]).and(layer.combine(s, &plans[0])))
        .expect("captured");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (layer, plans, streams, graph) = (&layer, &plans, &streams, &graph);
            scope.spawn(move || {
                for i in 0..40 {
                    let (stream, plan) = (&streams[(i + thread) % 3], &plans[(i / 2 + thread) % 2]);
                    match (i + thread) % 4 {
                        0 => layer.fill("x", i),
                        1 => graph.launch(stream).expect("queued"),
                        2 => layer.dispatch(stream, plan).expect("queued"),
                        // Whether another thread has made it by now is chance.
                        _ => assert!(layer.combine(stream, plan).is_ok_or("F0909")),
                    }
                }
            });
        }
    });
    streams.iter().for_each(|s| s.synchronize().expect("done"));
    layer.fill("x", 0);
    graph.launch(&streams[1]).expect("queued");
    let want = Layer::new();
    let (stream, plan) = (want.stream(), want.plan());
    want.dispatch(&stream, &plan).expect("queued");
    assert!(bytes(&layer["y"]) == bytes(&want["y"]));
}

trait OkOr {
    fn is_ok_or(&self, code: &str) -> bool;
}

impl OkOr for Result<(), Error> {
    fn is_ok_or(&self, code: &str) -> bool {
        self.as_ref().map_or_else(|e| e.code() == code, |()| true)
    }
}

#[test]
fn handles_may_be_dropped_while_launches_run() {
    for _ in 0..10 {
        let layer = Layer::new();
        let (one, two, plan) = (layer.stream(), layer.stream(), layer.plan());
        let y = layer["y"].clone();
        layer.dispatch(&one, &plan).expect("queued");
        layer.combine(&two, &plan).expect("queued");
        drop((layer, plan, one));
        y.download(0).expect("after the launches");
        two.synchronize().expect("done");
    }
}

#[test]
fn worlds_of_absurd_size_are_refused() {
    assert_eq!(code(World::host(0)), "F0909");
    assert_eq!(code(World::host(usize::MAX)), "F0909");
    assert_eq!(code(World::device(0, usize::MAX)), "F0909");
    assert_eq!(code(World::device(0, 0)), "F0909");
    assert_eq!(code(World::device_in_parts(0, usize::MAX, 2)), "F0909");
    assert_eq!(code(World::devices(&[])), "F0909");
}

/// A thread that begins when the process has no more memory areas aborts it: the limit is far below.
#[test]
fn streams_of_too_many_ranks_are_refused() {
    let (few, many) = (World::host(2).expect("a world"), World::host(16_300).expect("a world"));
    assert_eq!(code(many.stream()), "F0911");
    let half = World::host(4_096).expect("a world");
    let streams = [half.stream().expect("room"), half.stream().expect("room")];
    assert_eq!(code(few.stream()), "F0911");
    drop(streams);
    few.stream().expect("given back");
}

/// What a logical array does not fit, or lacks to be placed, is said before a byte is written.
#[test]
fn a_logical_array_that_has_no_place_is_refused() {
    logical_misuse(Layer::new());
}

#[test]
fn gpu_a_logical_array_that_has_no_place_is_refused() {
    gpu(RANKS).into_iter().for_each(|world| logical_misuse(Layer::on(world)));
}

fn logical_misuse(layer: Layer) {
    let (plan, stream, bound) = (layer.plan(), layer.stream(), &layer.bound);
    let buffers: Vec<_> = layer.buffers.iter().map(|(n, b)| (*n, b)).collect();
    let tokens = [TOKENS as i64, 5, 0, 1];
    let plans = [&plan];
    let args = LaunchArgs { dyns: &[("T", &tokens)], buffers: &buffers, plans: &plans };
    let (shape, len) = ([RANKS, TOKENS, HIDDEN], RANKS * TOKENS * HIDDEN);
    let rows: Vec<bf16> = (0..len).map(|i| bf16::from_f32((i % 251) as f32)).collect();
    let before = bytes(&layer["x"]);

    let none = LaunchArgs { buffers: &buffers, ..LaunchArgs::default() };
    let error = bound.scatter("x", &shape, &rows, &none).expect_err("refused");
    assert!(matches!(error, Error::PlacementNeeds { .. }), "{error:?}");
    assert_eq!(error.to_string(), "where `x` lies follows from dyn `T`");
    assert_eq!(code(bound.gather::<bf16>("y", &none)), "F0909", "it lacks the plan");
    assert_eq!(code(bound.gather::<bf16>("y", &args)), "F0909", "nothing has made the plan");
    let bare = LaunchArgs { buffers: &[], ..args };
    assert_eq!(code(bound.scatter("x", &shape, &rows, &bare)), "F0902", "it lacks the buffer");
    let floats = vec![0f32; len];
    let error = bound.scatter("x", &shape, &floats, &args).expect_err("refused");
    assert_eq!(error.to_string(), "`x` holds bf16, not f32");
    assert_eq!(code(bound.gather::<i16>("x", &args)), "F0902", "bits are unsigned");
    for wrong in [&shape[1..], &[RANKS, TOKENS - 1, HIDDEN], &[RANKS, HIDDEN, TOKENS], &[]] {
        let len = wrong.iter().product();
        let error = bound.scatter("x", wrong, &vec![rows[0]; len], &args).expect_err("refused");
        assert!(matches!(error, Error::Array { .. }), "{wrong:?}: {error:?}");
    }
    assert_eq!(code(bound.scatter("x", &shape, &rows[1..], &args)), "F0902", "one is missing");
    let absurd = [usize::MAX, 2, HIDDEN];
    assert_eq!(code(bound.scatter("x", &absurd, &rows, &args)), "F0902");
    let late = LaunchArgs { dyns: &[("T", &[TOKENS as i64 + 1; RANKS])], ..args };
    assert_eq!(code(bound.scatter("x", &shape, &rows, &late)), "F0904");
    let error = bound.scatter("xx", &shape, &rows, &args).expect_err("refused");
    assert!(matches!(&error, Error::Unknown { name, .. } if name == "xx"), "{error:?}");
    let (other, swapped) = (Layer::new(), [("x", &layer["y"])]);
    let foreign = [("x", &other["x"])];
    for buffers in [&swapped[..], &foreign[..]] {
        let args = LaunchArgs { buffers, ..args };
        assert_eq!(code(bound.scatter("x", &shape, &rows, &args)), "F0902");
    }
    let plans = [&other.plan()];
    assert_eq!(code(bound.gather::<bf16>("y", &LaunchArgs { plans: &plans, ..args })), "F0909");
    assert_eq!(bytes(&layer["x"]), before, "nothing was written");

    // A longer array gives what fits, and only rows that are there are written.
    let long = [RANKS, TOKENS + 1, HIDDEN];
    let values = vec![bf16::from_f32(3.0); long.iter().product()];
    bound.scatter("x", &long, &values, &args).expect("it fits");
    let found = bound.gather::<bf16>("x", &args).expect("it is there");
    assert_eq!(found.shape, shape);
    for (i, value) in found.values.iter().enumerate() {
        let there = ((i / HIDDEN % TOKENS) as i64) < tokens[i / HIDDEN / TOKENS];
        assert_eq!(value.to_f32(), if there { 3.0 } else { 0.0 }, "{i}");
    }
    bound.launch("dispatch", &stream, &args).expect("it fits");
    // Without a `synchronize`: it waits for the launch that makes the plan, and for the rows.
    let y = bound.gather::<bf16>("y", &args).expect("it is made");
    let counts = y.counts.expect("a ragged axis");
    assert_eq!(counts.iter().sum::<i32>() as i64, tokens.iter().sum::<i64>() * FAN as i64);
    assert_eq!(y.shape, [EXPERTS, *counts.iter().max().expect("groups") as usize, HIDDEN]);
    assert_eq!(counts, bound.gather::<i32>("n", &args).expect("counts").values);
    stream.synchronize().expect("it ran");
}
