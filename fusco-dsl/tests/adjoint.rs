//! `<A x, y> = <x, A* y>` on the oracle: plain loops over the route's tuples in f64 on one side, what the
//! adjoint entries leave on the other. Values are small integers, so that every rounding is exact.

use crate::stages::compiled;
use crate::syntax::programs;
use fusco_dsl::diag::Severity;
use fusco_dsl::oracle::{Array, Inputs, Relation, relation, run_entry, run_entry_f64};
use fusco_dsl::sema::hir::{Elem, Program};
use std::collections::BTreeMap;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n) as i64
    }

    /// Multiples of 1/2 from -2 to 2, exact in every float type, as is a sum of 8 of their products.
    fn halves(&mut self, elem: Elem, shape: Vec<usize>) -> Array {
        let mut out = Array::zeros(elem, shape);
        for i in 0..out.len() {
            let bits = (self.below(9) as f32 / 2.0 - 2.0).to_bits();
            out.set_bits(i, u64::from(if elem == Elem::Bf16 { bits >> 16 } else { bits }));
        }
        out
    }
}

/// A program of the MoE family with inputs on which its route drops tuples.
struct Case {
    hir: Program,
    inputs: Inputs,
    relation: Relation,
    hidden: usize,
    rows: usize,
}

impl Case {
    /// `tokens` of each rank.
    fn new(program: &str, params: &[(&str, i64)], fan: usize, tokens: &[i64], seed: u64) -> Case {
        let hir = compiled(program, params).hir;
        let get = |n: &str| params.iter().find(|(p, _)| *p == n).map_or(0, |(_, v)| *v) as usize;
        let (ranks, longest) = (tokens.len(), *tokens.iter().max().unwrap_or(&0) as usize);
        let mut inputs = Inputs {
            params: params.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
            dyns: [("T".to_string(), tokens.to_vec())].into(),
            tensors: BTreeMap::new(),
        };
        let mut random = Random(seed);
        let shape = vec![ranks, longest, fan];
        let topk: Vec<i64> =
            (0..ranks * longest * fan).map(|_| random.below(get("E") as u64 + 1) - 1).collect();
        let elem = hir.tensors[hir.tensor("topk").expect("an index")].dtype.elem;
        inputs.tensors.insert("topk".into(), Array::from_i64(elem, shape.clone(), &topk));
        let handle = hir.routes.iter().next().expect("a route").0;
        let relation = relation(&hir, handle, &inputs).expect("a relation");
        let rows = relation.live.iter().copied().max().unwrap_or(0) as usize;
        let hidden = get("H");
        let by_token = vec![ranks, longest, hidden];
        let by_slot = vec![get("E"), rows, hidden];
        for (name, elem, shape) in [
            ("x", Elem::Bf16, by_token.clone()),
            ("grad_o", Elem::Bf16, by_token),
            ("z", Elem::Bf16, by_slot.clone()),
            ("grad_y", Elem::Bf16, by_slot),
            ("w", Elem::F32, shape),
        ] {
            if hir.tensor(name).is_some() {
                inputs.tensors.insert(name.into(), random.halves(elem, shape));
            }
        }
        Case { hir, inputs, relation, hidden, rows }
    }

    fn run(&self, entries: &[&str]) -> BTreeMap<String, Array> {
        let (mut plans, mut out) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            let left =
                run_entry(&self.hir, entry, &self.inputs, &mut plans).expect("it has a meaning");
            out.extend(left.logical.into_iter().map(|(name, array)| (name, array.dense())));
        }
        out
    }

    /// Sum over kept tuples and columns of `of([s, t, k, e, c], column)`.
    fn over_tuples(&self, of: impl Fn(&[usize], usize) -> f64) -> f64 {
        let tuples = self.relation.tuples.iter();
        let tuples = tuples.map(|t| t.iter().map(|v| *v as usize).collect::<Vec<_>>());
        tuples.map(|t| (0..self.hidden).map(|h| of(&t, h)).sum::<f64>()).sum()
    }

    fn input(&self, name: &str) -> &Array {
        &self.inputs.tensors[name]
    }

    /// `array[s, t, h]`
    fn at_token(&self, name: &str, t: &[usize], h: usize) -> f64 {
        let array = self.input(name);
        f64::from(array.get_f32((t[0] * array.shape[1] + t[1]) * self.hidden + h))
    }

    /// `array[e, c, h]`
    fn at_slot(&self, name: &str, t: &[usize], h: usize) -> f64 {
        f64::from(self.input(name).get_f32((t[3] * self.rows + t[4]) * self.hidden + h))
    }

    fn weight(&self, t: &[usize]) -> f64 {
        let w = self.input("w");
        f64::from(w.get_f32((t[0] * w.shape[1] + t[1]) * w.shape[2] + t[2]))
    }
}

/// In f64, over the elements that both have and the program defines (the rest of the outputs is 0).
fn inner(a: &Array, b: &Array) -> f64 {
    assert_eq!(a.shape, b.shape);
    (0..a.len()).map(|i| f64::from(a.get_f32(i)) * f64::from(b.get_f32(i))).sum()
}

const MOE: &[(&str, i64)] = &[("G", 3), ("E", 9), ("K", 4), ("H", 24), ("TMAX", 40)];

#[test]
fn dispatch_and_its_adjoint_have_one_inner_product() {
    for (seed, tokens) in [[40, 17, 3], [5, 0, 11], [0, 0, 1], [0, 0, 0]].iter().enumerate() {
        let case = Case::new("moe", MOE, 4, tokens, seed as u64);
        let out = case.run(&["dispatch", "dispatch_bwd"]);
        let loops =
            case.over_tuples(|t, h| case.at_token("x", t, h) * case.at_slot("grad_y", t, h));
        assert_eq!(inner(&out["y"], case.input("grad_y")), loops, "<A x, y> of {tokens:?}");
        assert_eq!(inner(case.input("x"), &out["grad_x"]), loops, "<x, A* y> of {tokens:?}");
        assert!(loops != 0.0 || tokens.iter().sum::<i64>() < 2, "nothing is compared");
    }
}

#[test]
fn combine_and_its_adjoint_have_one_inner_product() {
    for (seed, tokens) in [[40, 17, 3], [5, 0, 11], [0, 0, 1], [0, 0, 0]].iter().enumerate() {
        let case = Case::new("moe", MOE, 4, tokens, 10 + seed as u64);
        let out = case.run(&["dispatch", "combine", "combine_bwd"]);
        let loops = case.over_tuples(|t, h| {
            case.weight(t) * case.at_slot("z", t, h) * case.at_token("grad_o", t, h)
        });
        assert_eq!(inner(&out["o"], case.input("grad_o")), loops, "<A x, y> of {tokens:?}");
        assert_eq!(inner(case.input("z"), &out["grad_z"]), loops, "<x, A* y> of {tokens:?}");
        assert!(loops != 0.0 || tokens.iter().sum::<i64>() < 2, "nothing is compared");
    }
}

/// Tuples over the capacity have no gradient.
#[test]
fn a_capped_dispatch_and_its_adjoint_have_one_inner_product() {
    let params = &[("E", 8), ("H", 16), ("C", 128), ("TMAX", 600)];
    let tokens = [600, 0, 31, 1, 500, 2, 600, 64];
    let case = Case::new("moe_capacity", params, 2, &tokens, 77);
    assert_eq!(case.relation.live, [128; 8], "every group is full");
    let out = case.run(&["dispatch", "dispatch_bwd"]);
    let loops = case.over_tuples(|t, h| case.at_token("x", t, h) * case.at_slot("grad_y", t, h));
    assert_eq!(inner(&out["y"], case.input("grad_y")), loops);
    assert_eq!(inner(case.input("x"), &out["grad_x"]), loops);
}

/// Scales, differences, sums over one axis and several, and copies, of tensors that lie in different ways.
#[test]
fn arithmetic_without_a_route_and_its_adjoints_have_one_inner_product() {
    let text = "program p {
        mesh m { p: 3 }
        in a: f32[i: 6, j: 5] @ [i/p, i, j];
        in b: f32[j: 5] @ [copy/p, j];
        in c: f32[k: 4, j: 5] @ [sum/p, k, j];
        out y: f32[j: 5, i: 6] @ [copy/p, i, j] with fill(0);
        out z: f32[i: 6] @ [i/p, i] with fill(0);
        out w: f32[i: 6, k: 4] @ [only(1)/p, k, i];
        entry scaled { y[j, i] <- -(a[i, j] / 4 - b[j]) * 3.0; }
        entry summed { z[i] <- 2.0 * sum((k, j): a[i, j] * c[k, j]) + z2[i]; }
        in z2: f32[i: 6] @ [i/p, i];
        entry product { w[i, k] <- sum(j: c[k, j] * a[i, j]); }
        tmp h: f32[j: 5, i: 6] @ [j, i/p, i];
        tmp g: f32[i: 6] @ [copy/p, i];
        entry some { y[j, i] <- 2.0 * a[i, j] where j < 3 || i == 1; }
        entry parts { z[i] <- sum(j: a[i, j] * b[j]) where i % 2 == 1; }
        entry steps { h[j, i] <- 0.5 * a[i, j]; g[i] <- sum(j: h[j, i] * b[j]); z[i] <- g[i] - z2[i]; }
        BACK
    }";
    let cases = [
        ("scaled", "a", "y"),
        ("scaled", "b", "y"),
        ("summed", "a", "z"),
        ("summed", "c", "z"),
        ("summed", "z2", "z"),
        ("some", "a", "y"),
        ("parts", "a", "z"),
        ("steps", "a", "z"),
        ("steps", "b", "z"),
        ("steps", "z2", "z"),
        ("product", "c", "w"),
        ("product", "a", "w"),
    ];
    for (number, (entry, input, output)) in cases.into_iter().enumerate() {
        let back = format!("entry back = adjoint({entry}, {input});");
        let program = fusco_dsl::compile(&text.replace("BACK", &back), None, &BTreeMap::new());
        let program = program.unwrap_or_else(|d| panic!("{entry} {input}: {d:?}")).hir;
        let mut random = Random(900 + number as u64);
        let mut numbers =
            |n: usize| (0..n).map(|_| random.below(201) as f64 / 100.0 - 1.0).collect::<Vec<_>>();
        let mut tensors: BTreeMap<String, Vec<f64>> = [
            ("a", 30),
            ("b", 5),
            ("c", 60),
            ("z2", 6),
            ("grad_y", 30),
            ("grad_z", 6),
            ("grad_w", 24),
        ]
        .map(|(name, n)| (name.to_string(), numbers(n)))
        .into();
        tensors.retain(|name, _| program.tensor(name).is_some());
        let run = |tensors: &BTreeMap<String, Vec<f64>>, entry: &str| {
            run_entry_f64(&program, entry, &Inputs::default(), tensors).expect("it runs")
        };
        // What the others add is no part of the map.
        let with = run(&tensors, entry);
        let mut without = tensors.clone();
        without.get_mut(input).expect("an input").fill(0.0);
        let constant = run(&without, entry);
        let gradient = run(&tensors, "back").remove(&format!("grad_{input}")).expect("a gradient");
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let grad = &tensors[&format!("grad_{output}")];
        let forth = dot(&with[output], grad) - dot(&constant[output], grad);
        // Each part of a sum has the gradient of the whole.
        let parts = tensors[input].len() / gradient.len();
        let back = dot(&tensors[input], &gradient.repeat(parts));
        assert!(
            (forth - back).abs() < 1e-9 * forth.abs().max(1.0),
            "{entry} {input}: {forth} {back}"
        );
        assert!(forth.abs() > 1e-3, "{entry} {input}: nothing is compared");
    }
}

/// There and back along a route by a `tmp`, under a condition: the gradient takes the same way by `grad_y`.
#[test]
fn a_layer_by_a_temporary_and_its_adjoint_have_one_inner_product() {
    let text = "program p {
        mesh m { gpu: 2 }
        in topk: ix32(4, none = -1)[s: gpu, t: 5, k: 2] @ [s/gpu, t, k];
        in w: f32[s: gpu, t: 5, k: 2] @ [s/gpu, t, k];
        in x: f32[s: gpu, t: 5, h: 3] @ [s/gpu, t, h];
        tmp y: f32[e: 4, c: ragged, h: 3] @ [e/gpu, e, c.pack(4), h] with fill(0);
        tmp half: f32[s: gpu, t: 5, h: 3] @ [s/gpu, t, h] with fill(0);
        out o: f32[s: gpu, t: 5, h: 3] @ [copy/gpu, s, t, h];
        route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
        entry layer {
            plan r;
            y[e, c, h] <- x[s, t, h] via r where h != 1;
            half[s, t, h] <- sum(k: w[s, t, k] * y[e, c, h]) via r where t < 4;
            o[s, t, h] <- 0.5 * half[s, t, h];
        }
        entry back = adjoint(layer, x);
    }";
    let program = fusco_dsl::compile(text, None, &BTreeMap::new());
    let program = program.unwrap_or_else(|d| panic!("{d:?}")).hir;
    let written = Vec::from_iter(program.entry("back").expect("it").stmts.iter().map(|s| &s.text));
    assert_eq!(written.len(), 3, "{written:?}");
    let mut random = Random(77);
    let ids: Vec<i64> = (0..20).map(|_| random.below(5) - 1).collect();
    let index = Array::from_i64(Elem::I32, vec![2, 5, 2], &ids);
    let inputs = Inputs { tensors: [("topk".to_string(), index)].into(), ..Inputs::default() };
    let mut numbers =
        |n: usize| Vec::from_iter((0..n).map(|_| random.below(201) as f64 / 100.0 - 1.0));
    let tensors: BTreeMap<String, Vec<f64>> = [("w", 20), ("x", 30), ("grad_o", 30)]
        .map(|(name, n)| (name.to_string(), numbers(n)))
        .into();
    let run = |entry| run_entry_f64(&program, entry, &inputs, &tensors).expect("it runs");
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let forth = dot(&run("layer")["o"], &tensors["grad_o"]);
    let back = dot(&tensors["x"], &run("back")["grad_x"]);
    assert!((forth - back).abs() < 1e-9, "{forth} {back}");
    assert!(forth.abs() > 1e-3, "nothing is compared");
}

/// The program with `entry back = adjoint(entry);` at its end.
fn with_adjoint(program: &str, entry: &str) -> String {
    let (_, text) = programs().into_iter().find(|(n, _)| n == program).expect("an example");
    let end = text.rfind('}').expect("a program ends");
    format!("{}    entry back = adjoint({entry});\n}}\n", &text[..end])
}

/// Which entries of the examples have an adjoint, and why the others have none.
#[test]
fn every_entry_of_the_examples_has_an_adjoint_or_says_why() {
    let mut found = Vec::new();
    for (program, text) in programs() {
        let names = text.lines().filter_map(|l| l.trim().strip_prefix("entry "));
        for entry in names.filter_map(|l| l.split_once(" {")).map(|(name, _)| name) {
            let codes = |text: &str| -> Vec<&str> {
                let diagnostics = fusco_dsl::check(text).err().unwrap_or_default();
                let errors = diagnostics.0.iter().filter(|d| d.severity == Severity::Error);
                errors.map(|d| d.code).collect()
            };
            let (mut with, without) = (codes(&with_adjoint(&program, entry)), codes(&text));
            without.iter().for_each(|c| {
                if let Some(i) = with.iter().position(|w| w == c) {
                    with.remove(i);
                }
            });
            found.push(format!("{program}.{entry} {}", with.join(" ")).trim_end().to_string());
        }
    }
    let expected = [
        "cyclic_to_block.main",
        "dlrm.forward",
        "dlrm.lookup F0805",     // moves integers only
        "kv_migrate.main F0999", // gathers by a page table
        "local_permute.permute",
        "moe.dispatch",
        "moe.combine",
        "moe_balanced.dispatch",
        "moe_balanced.combine",
        "moe_batch.dispatch",
        "moe_batch.combine",
        "moe_capacity.dispatch",
        "moe_ep_tp.dispatch",
        "moe_ep_tp.combine",
        "moe_fp8.dispatch F0805", // quantises
        "moe_shared.dispatch",
        "moe_shared.combine",
        "moe_shared.biased",
        "moe_two_level.dispatch",
        "moe_two_level.combine",
        "partials.reduce_scatter",
        "partials.all_reduce",
        "reshard_transpose.main",
        "to_tiles.main",
        "ulysses.to_heads",
        "ulysses.to_seq",
    ];
    assert_eq!(found, expected);
}

/// `(program, entry, input, output, extents of both, params)`: reshards.
type Reshard = (&'static str, &'static str, [&'static str; 2], [&'static [usize]; 2], Params);
type Params = &'static [(&'static str, i64)];

const RESHARDS: [Reshard; 7] = [
    (
        "ulysses",
        "to_heads",
        ["q", "p"],
        [&[2, 16, 8, 8]; 2],
        &[("B", 2), ("S", 16), ("N", 8), ("D", 8)],
    ),
    (
        "reshard_transpose",
        "main",
        ["a", "b"],
        [&[256, 512], &[512, 256]],
        &[("M", 256), ("N", 512)],
    ),
    (
        "cyclic_to_block",
        "main",
        ["a", "b"],
        [&[130, 261]; 2],
        &[("M", 130), ("N", 261), ("LDB", 132)],
    ),
    ("to_tiles", "main", ["a", "b"], [&[16, 128]; 2], &[("M", 16), ("C", 128)]),
    (
        "dlrm",
        "forward",
        ["emb", "z"],
        [&[8, 12, 4], &[12, 8, 4]],
        &[("B", 12), ("D", 4), ("LMAX", 3)],
    ),
    // A sum's input is its parts: each of them gets the whole gradient.
    ("partials", "reduce_scatter", ["y", "a"], [&[8, 16, 24], &[16, 24]], &[("M", 16), ("N", 24)]),
    ("partials", "all_reduce", ["v", "b"], [&[8, 16, 24], &[16, 24]], &[("M", 16), ("N", 24)]),
];

/// A reshard is a permutation of elements, or a sum of such: <Ax, y> = <x, A*y>.
#[test]
fn reshards_and_their_adjoints_have_one_inner_product() {
    for (program, entry, [input, output], [from, to], params) in RESHARDS {
        let checked = fusco_dsl::check(&with_adjoint(program, entry));
        let hir = checked.unwrap_or_else(|d| panic!("{program}: {d:#?}")).0.remove(0);
        let elem = |n: &str| hir.tensors[hir.tensor(n).expect("a tensor")].dtype.elem;
        let mut random = Random(from.len() as u64);
        let x = random.halves(elem(input), from.to_vec());
        let y = random.halves(elem(output), to.to_vec());
        let inputs = Inputs {
            params: params.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
            dyns: BTreeMap::new(),
            tensors: [(input.to_string(), x), (format!("grad_{output}"), y)].into(),
        };
        let run = |entry: &str, name: &str| {
            let left = run_entry(&hir, entry, &inputs, &mut BTreeMap::new());
            left.unwrap_or_else(|e| panic!("{program}: {e}")).logical[name].clone()
        };
        let (forward, backward) = (run(entry, output), run("back", &format!("grad_{input}")));
        let (x, y) = (&inputs.tensors[input], &inputs.tensors[&format!("grad_{output}")]);
        let product = inner(&forward, y);
        let each = backward.bytes().len();
        let parts = x.bytes().chunks(each).map(|part| {
            let shape = backward.shape.clone();
            let part = Array::new(x.elem, shape, part.to_vec()).expect("a part has the shape");
            inner(&part, &backward)
        });
        assert_eq!(product, parts.sum::<f64>(), "{program}");
        assert!(product != 0.0, "{program}: nothing is compared");
    }
}

const PRODUCT: &str = "program p {
    mesh ep { gpu: 4 }
    in topk: ix32(8)[s: gpu, t: 4, k: 2]  @ [s/gpu, t, k];
    in g: f32[s: gpu, t: 4, k: 2]         @ [s/gpu, t, k];
    in z: f32[e: 8, c: ragged, h: 64]     @ [e/gpu, e, c.pack(128), h];
    out o: f32[s: gpu, t: 4, h: 64]       @ [s/gpu, t, h];
    in v: f32[e: 8, c: ragged]            @ [e/gpu, e, c.pack(128)];
    out q: f32[s: gpu, t: 4]              @ [s/gpu, t];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry rows { plan r; o[s, t, h] <- sum(k: g[s, t, k] * z[e, c, h]) via r; }
    entry single { plan r; q[s, t] <- sum(k: g[s, t, k] * v[e, c]) via r; }
    entry back = adjoint(ENTRY);
}";

/// What `check` warns of, if it warns.
fn warned(entry: &str) -> Option<fusco_dsl::diag::Diagnostic> {
    let (_, mut warnings) = fusco_dsl::check(&PRODUCT.replace("ENTRY", entry)).expect("no error");
    assert!(warnings.0.len() <= 1, "{warnings:?}");
    warnings.0.pop()
}

#[test]
fn a_gradient_that_is_left_out_is_told_of() {
    let found = warned("rows").expect("a warning");
    assert_eq!((found.code, found.severity), ("F0806", Severity::Warning));
    assert_eq!(found.message, "`back` leaves out the gradient of `g`");
    // It cannot be had yet.
    let refused = PRODUCT.replace("ENTRY", "rows, g");
    let refused = fusco_dsl::check(&refused).expect_err("a sum over `h`").0.remove(0);
    assert_eq!(found.notes, [format!("`adjoint(rows, g)` is {}", refused.message)]);
    // Named, it is meant.
    let fix = found.fix.expect("an edit");
    let source = PRODUCT.replace("ENTRY", "rows");
    let (start, end) = (fix.span.start as usize, fix.span.end as usize);
    let fixed = format!("{}{}{}", &source[..start], fix.replacement, &source[end..]);
    assert!(fixed.contains("adjoint(rows, z)"), "{fixed}");
    assert!(fusco_dsl::check(&fixed).expect("no error").1.0.is_empty());
}

#[test]
fn a_gradient_that_can_be_had_is_asked_for() {
    let found = warned("single").expect("a warning");
    assert_eq!(found.notes, ["for the other, `entry back_g = adjoint(single, g);`"]);
    assert!(warned("single, v").is_none());
    let asked = fusco_dsl::check(&PRODUCT.replace("ENTRY", "single, g"));
    let codes: Vec<_> = asked.err().unwrap_or_default().0.iter().map(|d| d.code).collect();
    assert_eq!(codes, Vec::<&str>::new());
}
