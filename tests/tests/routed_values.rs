//! Values of statements with a route are those of statements without one: arithmetic of any number of elements and
//! reducers, in f32, f64 and integers, on their way to the slots and back.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, gpu};

/// Rows that go to their slots in entry `go`, where entry `e` finds them as `z`, `y` and `n`.
fn program(ranks: usize, declarations: &str, statement: &str) -> String {
    format!(
        "program p {{
            mesh ep {{ gpu: {ranks} }}
            dyn T[gpu]: int <= 7;
            in topk: ix32({groups}, none = -1)[s: gpu, t: T[s], k: 3] @ [s/gpu, t, k];
            in x: bf16[s: gpu, t: T[s], h: 5] @ [s/gpu, t, h];
            in w: f32[s: gpu, t: T[s], k: 3] @ [s/gpu, t, k];
            in v: f16[s: gpu, t: T[s], k: 3, j: 2] @ [s/gpu, t, k, j];
            in d: f64[s: gpu, t: T[s], h: 5] @ [s/gpu, t, h];
            in i: i16[s: gpu, t: T[s], k: 3, h: 5] @ [s/gpu, t, k, h];
            in q: e4m3[s: gpu, t: T[s], h: 5] @ [s/gpu, t, h];
            in b: f32[h: 5] @ [copy/gpu, h];
            in f: f32[e: {groups}] @ [e/gpu, e];
            out zy: bf16[e: {groups}, c: ragged, h: 5] @ [e/gpu, e, c.pack(4), h];
            in z: bf16[e: {groups}, c: ragged, h: 5] @ [e/gpu, e, c.pack(4), h];
            route r: (s, t, k) -> (e, c) {{
                e = topk[s, t, k] else drop;
                c = slot(e) by (s, t, k);
            }}
            {declarations}
            entry go {{ plan r; zy[e, c, h] <- x[s, t, h] via r; }}
            entry e {{ {statement} }}
            out sums: f32[s: gpu, t: T[s], h: 5] @ [s/gpu, t, h];
            entry sum {{ sums[s, t, h] <- sum(k: z[e, c, h]) via r; }}
        }}",
        groups = 2 * ranks,
    )
}

fn inputs(ranks: usize) -> Inputs {
    let mut random = Random(11 * ranks as u64);
    let live: Vec<i64> = (0..ranks as i64).map(|rank| [7, 0, 5][rank as usize % 3]).collect();
    let longest = *live.iter().max().expect("a rank") as usize;
    let mut inputs = Inputs { dyns: [("T".to_string(), live)].into(), ..Inputs::default() };
    for (name, elem, row) in [
        ("x", Elem::Bf16, &[5][..]),
        ("w", Elem::F32, &[3]),
        ("v", Elem::F16, &[3, 2]),
        ("d", Elem::F64, &[5]),
        ("i", Elem::I16, &[3, 5]),
        ("q", Elem::E4m3, &[5]),
    ] {
        let shape = [&[ranks, longest][..], row].concat();
        let mut array = Array::zeros(elem, shape);
        random.fill(&mut array);
        inputs.tensors.insert(name.to_string(), array);
    }
    for (name, shape) in [("b", vec![5]), ("f", vec![2 * ranks])] {
        let mut array = Array::zeros(Elem::F32, shape);
        random.fill(&mut array);
        inputs.tensors.insert(name.to_string(), array);
    }
    let topk = (0..ranks * longest * 3).map(|_| random.below(2 * ranks as u64 + 1) as i64 - 1);
    let topk = Array::from_i64(Elem::I32, vec![ranks, longest, 3], &Vec::from_iter(topk));
    inputs.tensors.insert("topk".to_string(), topk);
    inputs
}

/// Runs `go` and `e` on the host, and on a device where there is one, and compares all ranks with the oracle.
fn check(ranks: usize, text: &str, inputs: &Inputs) {
    for world in [World::host(ranks).ok(), gpu(ranks)].into_iter().flatten() {
        let session = Session::new(text, &[], &[("z", "zy")], world);
        session.upload(inputs);
        session.poison();
        let stream = session.world.stream().expect("a stream");
        for entry in ["go", "e"] {
            session.launch(entry, &stream, inputs).expect("queued");
            stream.synchronize().unwrap_or_else(|e| panic!("{e}\n{text}"));
        }
        session.check(&session.expected(&["go", "e"], inputs));
    }
}

const AT_SLOTS: &str = "[e: GROUPS, c: ragged, h: 5] @ [e/gpu, e, c.pack(2), h] with fill(0)";
const AT_SOURCES: &str = "[s: gpu, t: T[s], h: 5] @ [s/gpu, t, h] with fill(3)";
const AT_TUPLES: &str = "[s: gpu, t: T[s], k: 3, h: 5] @ [s/gpu, t, k, h] with fill(3)";

/// The element of the target, where it lies, and the statement's right side.
const VALUES: [(&str, &str, &str); 28] = [
    ("bf16", AT_SLOTS, "cast(bf16, x[s, t, h] * w[s, t, k] + b[h])"),
    ("f32", AT_SLOTS, "-x[s, t, h] * 2.0 + w[s, t, k] / 3"),
    ("e4m3", AT_SLOTS, "cast(e4m3, w[s, t, k] * 100.0 * cast(f32, q[s, t, h]) * w[s, t, k] - 1.5)"),
    ("f16", AT_SLOTS, "cast(f16, max(j: v[s, t, k, j]) * x[s, t, h])"),
    ("f64", AT_SLOTS, "d[s, t, h] * 0.1 - cast(f64, x[s, t, h])"),
    ("f32", AT_SLOTS, "cast(f32, i[s, t, k, h]) * 0.5"),
    ("i32", AT_SLOTS, "i[s, t, k, h] * 2 - 7"),
    ("f32", AT_SLOTS, "x[s, t, h] * f[e]"),
    ("f32", AT_SLOTS, "w[s, t, k] * 2.0"),
    ("bf16", AT_TUPLES, "z[e, c, h]"),
    ("f32", AT_TUPLES, "cast(f32, z[e, c, h]) * w[s, t, k] + f[e]"),
    ("bf16", AT_SOURCES, "first(k: z[e, c, h])"),
    ("f32", AT_SOURCES, "first(k: z[e, c, h] * w[s, t, k]) + b[h]"),
    ("f32", AT_SOURCES, "max(k: z[e, c, h])"),
    ("bf16", AT_SOURCES, "cast(bf16, min(k: z[e, c, h] * w[s, t, k]) - x[s, t, h])"),
    ("e5m2", AT_SOURCES, "cast(e5m2, sum(k: z[e, c, h] * w[s, t, k]))"),
    ("f32", AT_SOURCES, "sum(k: z[e, c, h]) + 0.5 * sum(k: w[s, t, k] * z[e, c, h])"),
    ("f32", AT_SOURCES, "sum(k: z[e, c, h] + b[h])"),
    ("f32", AT_SOURCES, "sum(k: z[e, c, h] * w[s, t, k] * f[e] * 0.25)"),
    ("f32", AT_SOURCES, "sum((k, j): z[e, c, h] * v[s, t, k, j])"),
    (
        "f32",
        AT_SOURCES,
        "sum((j, k): z[e, c, h] * v[s, t, k, j]) + max(k: cast(f16, w[s, t, k] * 3.0))",
    ),
    (
        "bf16",
        AT_SOURCES,
        "cast(bf16, sum.tree(k: w[s, t, k] * z[e, c, h], within = gpu, partial = bf16))",
    ),
    ("f32", AT_SOURCES, "2.0 * sum.tree(k: f[e] * z[e, c, h], within = gpu) + b[h]"),
    (
        "f32",
        AT_SOURCES,
        "sum.tree((j, k): z[e, c, h] * v[s, t, k, j], within = gpu, partial = f16) - max(k: z[e, c, h])",
    ),
    ("f32", AT_SOURCES, "sum.tree(k: z[e, c, h] + b[h], within = gpu, partial = bf16)"),
    ("f64", AT_SOURCES, "sum(k: cast(f64, z[e, c, h]) * d[s, t, h]) + d[s, t, h]"),
    ("i64", AT_SOURCES, "sum(k: i[s, t, k, h] * i[s, t, k, h]) - 1"),
    ("f32", AT_SOURCES, "cast(f32, sum(k: i[s, t, k, h])) / 3.0"),
];

#[test]
fn values_behind_a_route_equal_the_oracle() {
    for ranks in [1, 2, 3] {
        let inputs = inputs(ranks);
        for (elem, at, value) in VALUES {
            let declaration =
                format!("out o: {elem}{};", at.replace("GROUPS", &(2 * ranks).to_string()));
            let left = match at {
                AT_SLOTS => "o[e, c, h]",
                AT_TUPLES => "o[s, t, k, h]",
                _ => "o[s, t, h]",
            };
            check(
                ranks,
                &program(ranks, &declaration, &format!("{left} <- {value} via r;")),
                &inputs,
            );
        }
    }
}

#[test]
fn values_behind_a_route_compile_for_the_device() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    let (mut declarations, mut statements) = (String::new(), String::new());
    for (number, (elem, at, value)) in VALUES.iter().enumerate() {
        declarations += &format!("out o{number}: {elem}{};\n", at.replace("GROUPS", "4"));
        let left = match *at {
            AT_SLOTS => "e, c, h",
            AT_TUPLES => "s, t, k, h",
            _ => "s, t, h",
        };
        statements += &format!("o{number}[{left}] <- {value} via r;\n");
    }
    let text = program(2, &declarations, &statements);
    let compiled = compile(&text, None, &Bindings::new()).expect("a program");
    for devices in [1, 2] {
        let target = Target::hopper(2 / devices);
        let unit = generate(&compiled.schedule, &target).expect("a text");
        jit::compile(&unit.source, "values", "sm_90a")
            .unwrap_or_else(|e| panic!("{e}\n{}", unit.source));
    }
}

/// What is written where a condition holds, and to several targets at once: declarations, and a statement.
const PARTS: [(&str, &str); 8] = [
    ("out o: bf16AT_SLOTS", "o[e, c, h] <- x[s, t, h] via r where t < 3 && k != 1;"),
    ("out o: f32AT_SLOTS", "o[e, c, h] <- w[s, t, k] * x[s, t, h] via r where e == 1 || c > 2;"),
    (
        "out o: f32AT_SLOTS",
        "o[e, c, h] <- w[s, t, k] * x[s, t, h] via r where topk[s, t, k] < 1 || s == 1;",
    ),
    ("out o: bf16AT_TUPLES", "o[s, t, k, h] <- z[e, c, h] via r where t % 2 == 0;"),
    ("out o: f32AT_SOURCES", "o[s, t, h] <- sum(k: z[e, c, h] * w[s, t, k]) via r where t >= 2;"),
    ("out o: bf16AT_SOURCES", "o[s, t, h] <- first(k: z[e, c, h]) via r where t != 2 || s == 0;"),
    (
        "out o: bf16AT_SLOTS; out p: bf16AT_TUPLES",
        "(o[e, c, h], p[s, t, k, h]) <- x[s, t, h] via r;",
    ),
    (
        "out o: f32AT_SOURCES; out p: f32AT_SOURCES",
        "(o[s, t, h], p[s, t, h]) <- max(k: z[e, c, h]) via r;",
    ),
];

fn placed(declarations: &str, ranks: usize) -> String {
    let slots = AT_SLOTS.replace("GROUPS", &(2 * ranks).to_string());
    declarations
        .replace("AT_SLOTS", &slots)
        .replace("AT_TUPLES", AT_TUPLES)
        .replace("AT_SOURCES", AT_SOURCES)
}

#[test]
fn conditions_and_several_targets_equal_the_oracle() {
    for ranks in [1, 2, 3] {
        let inputs = inputs(ranks);
        for (declarations, statement) in PARTS {
            let declarations = format!("{};", placed(declarations, ranks));
            check(ranks, &program(ranks, &declarations, statement), &inputs);
        }
    }
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    for (declarations, statement) in PARTS {
        let text = program(2, &format!("{};", placed(declarations, 2)), statement);
        let compiled = compile(&text, None, &Bindings::new()).expect("a program");
        let unit = generate(&compiled.schedule, &Target::hopper(2)).expect("a text");
        jit::compile(&unit.source, "parts", "sm_90a")
            .unwrap_or_else(|e| panic!("{e}\n{}", unit.source));
    }
}

/// Rows that the ranks of their slots fetch: what they are computed from is read where it lies.
#[test]
fn rows_that_change_are_pulled() {
    let mut statements = Vec::new();
    for (elem, _, value) in VALUES.iter().filter(|v| v.1 == AT_SLOTS && !v.2.contains("max")) {
        let declaration = format!("out o: {elem}AT_SLOTS");
        statements.push((declaration, format!("o[e, c, h] <- {value} via r;")));
    }
    let at_slots = |d: &str| d.contains("AT_SLOTS") && !d.contains("AT_TUPLES");
    for (declarations, statement) in PARTS.iter().filter(|(d, _)| at_slots(d)) {
        statements.push((declarations.to_string(), statement.to_string()));
    }
    let both = "(o[e, c, h], p[e, c, h]) <- x[s, t, h] via r where t != 1;";
    statements.push(("out o: bf16AT_SLOTS; out p: bf16AT_SLOTS".to_string(), both.to_string()));
    let two = "o[e, c, h] <- x[s, t, h] via r; p[e, c, h] <- 2.0 * x[s, t, h] + b[h] via r;";
    statements.push(("out o: bf16AT_SLOTS; out p: f32AT_SLOTS".to_string(), two.to_string()));
    assert!(statements.len() > 10);
    for (declarations, statement) in statements {
        for ranks in [1, 2, 3] {
            let declarations = format!("{};", placed(&declarations, ranks));
            let text = program(ranks, &declarations, &format!("{statement} schedule {{ pull; }}"));
            check(ranks, &text, &inputs(ranks));
            if ranks == 2 && jit::Nvrtc::find().is_ok() {
                let compiled = compile(&text, None, &Bindings::new()).expect("a program");
                let unit = generate(&compiled.schedule, &Target::hopper(1)).expect("a text");
                jit::compile(&unit.source, "pulled", "sm_90a")
                    .unwrap_or_else(|e| panic!("{e}\n{}", unit.source));
            }
        }
    }
    for (declarations, statement) in [
        (
            "out o: f16AT_SLOTS",
            "o[e, c, h] <- cast(f16, max(j: v[s, t, k, j]) * x[s, t, h]) via r;",
        ),
        PARTS[6],
    ] {
        let declarations = format!("{};", placed(declarations, 2));
        let text = program(2, &declarations, &format!("{statement} schedule {{ pull; }}"));
        let found = compile(&text, None, &Bindings::new()).map(|_| ()).expect_err("it is refused");
        assert_eq!(found.0[0].code, "F0999", "{found:?}");
    }
}

/// Rows of groups 0 and 1 lie in node 0, of 2 and 3 in node 1; of one on each rank of it.
#[test]
fn a_tree_adds_what_a_node_holds_first() {
    let text = |value: &str| {
        format!(
            "program p {{
                mesh ep {{ node: 2, gpu: 2, rank = (node, gpu) }}
                in topk: ix32(4, none = -1)[s: rank, k: 3] @ [s/rank, k];
                in x: f32[s: rank, k: 3] @ [s/rank, k];
                out y: f32[e: 4, c: ragged] @ [e/rank, e, c.pack(1)];
                in z: f32[e: 4, c: ragged] @ [e/rank, e, c.pack(1)];
                out o: f32[s: rank] @ [s/rank] with fill(9);
                route r: (s, k) -> (e, c) {{ e = topk[s, k] else drop; c = slot(e) by (s, k); }}
                entry go {{ plan r; y[e, c] <- x[s, k] via r; }}
                entry e {{ o[s] <- {value} via r; }}
            }}"
        )
    };
    let topk = [0, 2, 1, 0, 1, 2, -1, -1, -1, 3, -1, 3];
    let topk = Array::from_i64(Elem::I32, vec![4, 3], &topk);
    // 259 has one bit too many for bf16.
    let rows = [1e8f32, 1.0, -1e8, 1e8, 1.0, -1e8, 5.0, 5.0, 5.0, 257.0, 7.0, 2.0];
    let mut x = Array::zeros(Elem::F32, vec![4, 3]);
    rows.iter().enumerate().for_each(|(i, v)| x.set_bits(i, u64::from(v.to_bits())));
    let inputs = Inputs {
        tensors: [("topk".to_string(), topk), ("x".to_string(), x)].into(),
        ..Inputs::default()
    };
    for (value, wanted) in [
        ("sum(k: z[e, c])", [0.0, 0.0, 0.0, 259.0]),
        ("sum.tree(k: z[e, c], within = node)", [1.0, 0.0, 0.0, 259.0]),
        ("sum.tree(k: z[e, c], within = node, partial = bf16)", [1.0, 0.0, 0.0, 260.0]),
        ("sum.tree(k: z[e, c], within = gpu)", [1.0, 0.0, 0.0, 259.0]),
        ("sum.tree(k: z[e, c], partial = f16, within = rank)", [f32::NAN, f32::NAN, 0.0, 259.0]),
    ] {
        let session =
            Session::new(&text(value), &[], &[("z", "y")], World::host(4).expect("a host"));
        session.upload(&inputs);
        session.poison();
        let stream = session.world.stream().expect("a stream");
        for entry in ["go", "e"] {
            session.launch(entry, &stream, &inputs).expect("queued");
            stream.synchronize().expect("it runs");
        }
        let outputs = session.outputs();
        let floats = outputs["o"]
            .iter()
            .map(|rank| f32::from_le_bytes(rank[..4].try_into().expect("an element")));
        let floats = Vec::from_iter(floats.map(|v| format!("{v:.5}")));
        assert_eq!(floats, wanted.map(|v| format!("{v:.5}")), "{value}");
        session.check(&session.expected(&["go", "e"], &inputs));
    }
}

/// Of nothing, the largest is minus infinity, and there is no first: a position whose tuples are all dropped keeps
/// the fill.
#[test]
fn positions_without_tuples_have_the_value_of_nothing() {
    let text = |value: &str| {
        format!(
            "program p {{
                in topk: ix32(2, none = -1)[t: 3, k: 2] @ [t, k];
                in x: f32[t: 3, k: 2] @ [t, k];
                out y: f32[e: 2, c: ragged] @ [e, c.pack(1)];
                in z: f32[e: 2, c: ragged] @ [e, c.pack(1)];
                out o: f32[t: 3] @ [t] with fill(9);
                route r: (t, k) -> (e, c) {{ e = topk[t, k] else drop; c = slot(e) by (t, k); }}
                entry go {{ plan r; y[e, c] <- x[t, k] via r; }}
                entry e {{ o[t] <- {value} via r; }}
            }}"
        )
    };
    let topk = Array::from_i64(Elem::I32, vec![3, 2], &[0, 1, -1, -1, -1, 0]);
    let mut x = Array::zeros(Elem::F32, vec![3, 2]);
    for (i, v) in [1.5f32, -2.0, 3.0, 4.0, 5.0, 6.0].into_iter().enumerate() {
        x.set_bits(i, u64::from(v.to_bits()));
    }
    let inputs = Inputs {
        tensors: [("topk".to_string(), topk), ("x".to_string(), x)].into(),
        ..Inputs::default()
    };
    let infinity = f32::INFINITY;
    for (value, wanted) in [
        ("sum(k: z[e, c])", [-0.5, 0.0, 6.0]),
        ("max(k: z[e, c])", [1.5, -infinity, 6.0]),
        ("min(k: z[e, c])", [-2.0, infinity, 6.0]),
        ("first(k: z[e, c])", [1.5, 9.0, 6.0]),
    ] {
        let session =
            Session::new(&text(value), &[], &[("z", "y")], World::host(1).expect("a host"));
        session.upload(&inputs);
        session.poison();
        let stream = session.world.stream().expect("a stream");
        for entry in ["go", "e"] {
            session.launch(entry, &stream, &inputs).expect("queued");
            stream.synchronize().expect("it runs");
        }
        let floats = session.outputs()["o"][0].as_chunks::<4>().0.to_vec();
        let floats: Vec<f32> = floats.into_iter().map(f32::from_le_bytes).collect();
        assert_eq!(floats, wanted, "{value}");
        session.check(&session.expected(&["go", "e"], &inputs));
    }
}
