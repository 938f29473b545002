//! Backward entries against the oracle, bit for bit: dropped tuples, ranks without tokens, one token.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, alone, gpu, gpu_in_parts};

const MOE: &str = include_str!("../../examples/programs/moe.fusco");
const CAPACITY: &str = include_str!("../../examples/programs/moe_capacity.fusco");

/// `z` and `grad_y` are rows by slot: what an earlier entry left.
const MOE_FEEDS: [(&str, &str); 2] = [("z", "y"), ("grad_y", "grad_z")];
const MOE_ENTRIES: [&str; 4] = ["dispatch", "combine", "combine_bwd", "dispatch_bwd"];

struct Shape {
    experts: i64,
    fan: i64,
    hidden: i64,
    tokens: &'static [i64],
}

const SHAPES: [Shape; 5] = [
    Shape { experts: 9, fan: 2, hidden: 24, tokens: &[40, 0, 1] },
    Shape { experts: 8, fan: 1, hidden: 8, tokens: &[1] },
    Shape { experts: 16, fan: 8, hidden: 264, tokens: &[100, 7, 0, 33, 100, 1, 99, 64] },
    Shape { experts: 4, fan: 3, hidden: 2048, tokens: &[0, 150] },
    Shape { experts: 36, fan: 32, hidden: 40, tokens: &[9, 5, 20] },
];

/// Random inputs; a token's experts are distinct, every fourth or so is none.
fn inputs(shape: &Shape, index: Elem, names: &[&str], random: &mut Random) -> Inputs {
    let longest = *shape.tokens.iter().max().expect("a rank") as usize;
    let by_token = |last: i64| vec![shape.tokens.len(), longest, last as usize];
    let mut inputs = Inputs::default();
    inputs.dyns.insert("T".into(), shape.tokens.to_vec());
    let mut topk = Vec::new();
    for _ in 0..shape.tokens.len() * longest {
        let first = random.below(shape.experts as u64) as i64;
        topk.extend((0..shape.fan).map(|k| match random.below(4) {
            0 => -1,
            _ => (first + k) % shape.experts,
        }));
    }
    inputs.tensors.insert("topk".into(), Array::from_i64(index, by_token(shape.fan), &topk));
    for name in names {
        let (elem, last) =
            if *name == "w" { (Elem::F32, shape.fan) } else { (Elem::Bf16, shape.hidden) };
        let mut array = Array::zeros(elem, by_token(last));
        random.fill(&mut array);
        inputs.tensors.insert(name.to_string(), array);
    }
    inputs
}

fn moe(shape: &Shape, world: World, rounds: u64) {
    let (ranks, longest) = (shape.tokens.len() as i64, *shape.tokens.iter().max().expect("a rank"));
    let params = [
        ("G", ranks),
        ("E", shape.experts),
        ("K", shape.fan),
        ("H", shape.hidden),
        ("TMAX", longest),
    ];
    let session = Session::new(MOE, &params, &MOE_FEEDS, world);
    let stream = session.world.stream().expect("a stream");
    for seed in 0..rounds {
        let mut inputs = inputs(shape, Elem::I64, &["x", "w", "grad_o"], &mut Random(seed));
        inputs.params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        session.upload(&inputs);
        for entry in MOE_ENTRIES {
            session.launch(entry, &stream, &inputs).expect("it launches");
        }
        stream.synchronize().expect("it runs");
        let compared = session.check(&session.expected(&MOE_ENTRIES, &inputs));
        assert!(compared > 0, "nothing is compared");
    }
}

#[test]
fn backward_of_moe_equals_the_oracle() {
    for shape in &SHAPES {
        moe(shape, World::host(shape.tokens.len()).expect("a host"), 4);
    }
}

#[test]
fn gpu_backward_of_moe_equals_the_oracle() {
    // Positions enough, and rows long enough, for sums of rows that pass through shared memory.
    let long = Shape { experts: 4, fan: 3, hidden: 4096, tokens: &[1100, 1040] };
    for shape in SHAPES.iter().chain([&long]) {
        gpu(shape.tokens.len()).into_iter().for_each(|world| moe(shape, world, 4));
    }
}

/// Sums of long rows that come by mail from the other launch: of two ranks and of four, rows of odd lengths,
/// ranks without tokens, all tuples of a token on the other side, the most tuples of a token.
#[test]
fn gpu_sums_by_mail_equal_the_oracle() {
    let _alone = alone();
    let shapes = [
        Shape { experts: 4, fan: 3, hidden: 4096, tokens: &[1100, 1040] },
        Shape { experts: 12, fan: 5, hidden: 4104, tokens: &[700, 0, 531, 1] },
        Shape { experts: 2, fan: 1, hidden: 7168, tokens: &[0, 1000] },
        Shape { experts: 34, fan: 17, hidden: 4104, tokens: &[990, 3] },
    ];
    for shape in &shapes {
        gpu_in_parts(shape.tokens.len()).into_iter().for_each(|world| moe(shape, world, 2));
    }
}

fn capacity(world: World) {
    let shape = Shape { experts: 8, fan: 2, hidden: 16, tokens: &[600, 0, 31, 1, 500, 2, 600, 64] };
    let params = [("E", shape.experts), ("H", shape.hidden), ("C", 128), ("TMAX", 600)];
    let session = Session::new(CAPACITY, &params, &[("grad_y", "y")], world);
    let stream = session.world.stream().expect("a stream");
    let mut inputs = inputs(&shape, Elem::I32, &["x"], &mut Random(5));
    inputs.params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    session.upload(&inputs);
    let entries = ["dispatch", "dispatch_bwd"];
    for entry in entries {
        session.launch(entry, &stream, &inputs).expect("it launches");
    }
    stream.synchronize().expect("it runs");
    session.check(&session.expected(&entries, &inputs));
}

#[test]
fn backward_of_a_capped_dispatch_equals_the_oracle() {
    capacity(World::host(8).expect("a host"));
}

#[test]
fn gpu_backward_of_a_capped_dispatch_equals_the_oracle() {
    gpu(8).into_iter().for_each(capacity);
}

/// Products of several scalars and a literal, f32 targets, a row of each tuple's own, rows of one element;
/// names that the generated code has too.
const FORMS: &str = "
program forms {
    mesh ep { gpu: 3 }
    param E: int where E % gpu == 0;
    const K = 2;
    param H: int;
    param TMAX: int;
    dyn T[gpu]: int <= TMAX;
    in x: bf16[s: gpu, t: T[s], h: H] @ [s/gpu, t, h];
    in row: f16[s: gpu, t: T[s], k: K, h: H] @ [s/gpu, t, k, h];
    in a1: f32[s: gpu, t: T[s]] @ [s/gpu, t];
    in topk: ix64(E, none = -1) [s: gpu, t: T[s], k: K] @ [s/gpu, t, k];
    in w: f32[s: gpu, t: T[s], k: K] @ [s/gpu, t, k];
    out a: f32[e: E, c: ragged, h: H] @ [e/gpu, e, c.pack(128), h] with fill(0);
    out b: bf16[e: E, c: ragged, h: H] @ [e/gpu, e, c.pack(1), h];
    out d: f32[e: E, c: ragged] @ [e/gpu, e, c.pack(128)];
    route r: (s, t, k) -> (e, c) {
        e = topk[s, t, k] else drop;
        c = slot(e) by (s, t, k);
    }
    entry main {
        plan r;
        a[e, c, h] <- cast(f32, w[s, t, k] * x[s, t, h] * a1[s, t]) via r;
        b[e, c, h] <- cast(bf16, 1.5 * row[s, t, k, h] * w[s, t, k]) via r;
        d[e, c] <- cast(f32, w[s, t, k] * a1[s, t]) via r;
    }
}";

fn forms(world: World, hidden: i64) {
    let shape = Shape { experts: 6, fan: 2, hidden, tokens: &[70, 0, 3] };
    let params = [("E", shape.experts), ("H", hidden), ("TMAX", 70)];
    let session = Session::new(FORMS, &params, &[], world);
    let stream = session.world.stream().expect("a stream");
    let mut random = Random(hidden as u64);
    let mut inputs = inputs(&shape, Elem::I64, &["x", "w"], &mut random);
    for (name, elem, shape) in
        [("row", Elem::F16, vec![3, 70, 2, hidden as usize]), ("a1", Elem::F32, vec![3, 70])]
    {
        let mut array = Array::zeros(elem, shape);
        random.fill(&mut array);
        inputs.tensors.insert(name.into(), array);
    }
    inputs.params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    session.upload(&inputs);
    session.launch("main", &stream, &inputs).expect("it launches");
    stream.synchronize().expect("it runs");
    session.check(&session.expected(&["main"], &inputs));
}

#[test]
fn scaled_pushes_equal_the_oracle() {
    [8, 24, 33, 256, 2].into_iter().for_each(|h| forms(World::host(3).expect("a host"), h));
}

#[test]
fn gpu_scaled_pushes_equal_the_oracle() {
    [8, 24, 33, 256, 2].into_iter().for_each(|h| {
        gpu(3).into_iter().for_each(|world| forms(world, h));
    });
}

/// No GPU is needed, but NVRTC is.
#[test]
fn scaled_pushes_compile_without_spills() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    for hidden in [2, 33, 7168] {
        let params = [("E", 6), ("H", hidden), ("TMAX", 70)];
        let session = Session::new(FORMS, &params, &[], World::host(3).expect("a host"));
        let unit = generate(&session.compiled.schedule, &Target::hopper(3)).expect("it generates");
        let cubin = jit::compile(&unit.source, "forms", "sm_90a").expect("it compiles");
        assert!(!cubin.resources.is_empty(), "no resources in the log:\n{}", cubin.log);
        for r in &cubin.resources {
            assert_eq!((r.spill_stores, r.spill_loads), (0, 0), "{}: {} spills", hidden, r.name);
        }
    }
}
