//! `<A x, y> = <x, A* y>` in f64 on numbers that no element type holds: what a rounding hides, shows here.

use crate::oracle_static::{checked, example};
use fusco_dsl::oracle::{Array, Error, Inputs, relation, run_entry, run_entry_f64};
use fusco_dsl::sema::hir::{Elem, Program};
use std::collections::BTreeMap;

type Reals = BTreeMap<String, Vec<f64>>;

/// Full mantissas in -1..1.
fn reals(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state ^ (state >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A program with the adjoint of one of its entries, and what both run on.
struct Pair {
    program: Program,
    inputs: Inputs,
    entry: &'static str,
    back: &'static str,
    /// The input that varies, and the output.
    names: [&'static str; 2],
    /// Their elements.
    sizes: [usize; 2],
    /// Floats that stay.
    fixed: Reals,
}

impl Pair {
    fn run(&self, entry: &str, name: &str, value: Vec<f64>) -> Reals {
        let mut tensors = self.fixed.clone();
        tensors.insert(name.to_string(), value);
        let out = run_entry_f64(&self.program, entry, &self.inputs, &tensors);
        out.unwrap_or_else(|e| panic!("{} {entry}: {e}", self.program.name))
    }

    /// The product, which both sides have.
    fn check(&self) -> f64 {
        let [input, output] = self.names;
        let (x, y) = (reals(self.sizes[0], 1), reals(self.sizes[1], 2));
        let forward = self.run(self.entry, input, x.clone()).remove(output).expect("an output");
        let (gradient, seed) = (format!("grad_{input}"), format!("grad_{output}"));
        let backward = self.run(self.back, &seed, y.clone()).remove(&gradient).expect("a gradient");
        let left = dot(&forward, &y);
        // Parts of a sum have one gradient.
        let right: f64 = x.chunks(backward.len().max(1)).map(|part| dot(part, &backward)).sum();
        let scale: f64 = forward.iter().zip(&y).map(|(a, b)| (a * b).abs()).sum();
        let near = (left - right).abs() <= 1e-13 * scale;
        assert!(near, "{} {}: {left} against {right}", self.program.name, self.entry);
        left
    }
}

fn sized(params: &[(&str, i64)]) -> Inputs {
    Inputs {
        params: params.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
        ..Inputs::default()
    }
}

/// The example with `entry back = adjoint(entry);` at its end.
fn derived(name: &str, entry: &str) -> Program {
    let (_, text) =
        crate::syntax::programs().into_iter().find(|(n, _)| n == name).expect("an example");
    let end = text.rfind('}').expect("a program ends");
    checked(&format!("{}    entry back = adjoint({entry});\n}}\n", &text[..end]))
}

#[test]
fn movements_without_a_route() {
    let ulysses = &[("B", 2), ("S", 16), ("N", 8), ("D", 8)][..];
    let partials = &[("M", 16), ("N", 8)][..];
    let cases = [
        ("ulysses", "to_heads", ["q", "p"], [2048; 2], ulysses),
        ("ulysses", "to_seq", ["a", "u"], [2048; 2], ulysses),
        ("reshard_transpose", "main", ["a", "b"], [256 * 256; 2], &[("M", 256), ("N", 256)]),
        (
            "cyclic_to_block",
            "main",
            ["a", "b"],
            [37 * 129; 2],
            &[("M", 37), ("N", 129), ("LDB", 64)],
        ),
        ("to_tiles", "main", ["a", "b"], [24 * 256; 2], &[("M", 24), ("C", 256)]),
        ("dlrm", "forward", ["emb", "z"], [8 * 12 * 4; 2], &[("B", 12), ("D", 4), ("LMAX", 3)]),
        ("partials", "reduce_scatter", ["y", "a"], [8 * 128, 128], partials),
        ("partials", "all_reduce", ["v", "b"], [8 * 128, 128], partials),
    ];
    for (name, entry, names, sizes, params) in cases {
        let program = derived(name, entry);
        let (inputs, fixed) = (sized(params), Reals::new());
        let product = Pair { program, inputs, entry, back: "back", names, sizes, fixed }.check();
        assert!(product.abs() > 1e-3, "{name}: nothing is compared");
    }
}

/// Tokens of a program of the MoE family, some choices absent.
fn routed(name: &str, params: &[(&str, i64)], fan: usize, tokens: &[i64]) -> (Program, Inputs) {
    let (program, mut inputs) = (example(name, &[]), sized(params));
    inputs.dyns.insert("T".into(), tokens.to_vec());
    let longest = tokens.iter().copied().max().unwrap_or(0) as usize;
    let experts = params.iter().find(|(n, _)| *n == "E").map_or(1, |(_, v)| *v);
    let choice = |i: i64| (i * i * 31 + i * 7 + i / 5) % (experts + 1) - 1;
    let topk: Vec<i64> = (0..(tokens.len() * longest * fan) as i64).map(choice).collect();
    let shape = vec![tokens.len(), longest, fan];
    inputs.tensors.insert("topk".into(), Array::from_i64(Elem::I64, shape, &topk));
    (program, inputs)
}

#[test]
fn movements_over_a_route() {
    let moe = &[("G", 3), ("E", 9), ("K", 4), ("H", 24), ("TMAX", 40)][..];
    let capped = &[("E", 8), ("H", 16), ("C", 128), ("TMAX", 600)][..];
    let full = [600, 0, 31, 1, 500, 2, 600, 64];
    let cases = [
        ("moe", moe, 4, &[40, 17, 3][..], "dispatch", ["x", "y"]),
        ("moe", moe, 4, &[40, 17, 3], "combine", ["z", "o"]),
        ("moe", moe, 4, &[0, 0, 5], "combine", ["z", "o"]),
        ("moe_capacity", capped, 2, &full, "dispatch", ["x", "y"]),
    ];
    for (name, params, fan, tokens, entry, names) in cases {
        let (program, inputs) = routed(name, params, fan, tokens);
        let route = program.routes.iter().next().expect("a route").0;
        let relation = relation(&program, route, &inputs).expect("a relation");
        let get = |n: &str| params.iter().find(|(p, _)| *p == n).map_or(0, |(_, v)| *v as usize);
        let longest = tokens.iter().copied().max().unwrap_or(0) as usize;
        let by_token = tokens.len() * longest * get("H");
        let rows = relation.live.iter().copied().max().unwrap_or(0) as usize;
        let by_slot = get("E") * rows * get("H");
        let mut fixed = Reals::new();
        if program.tensor("w").is_some() {
            fixed.insert("w".into(), reals(tokens.len() * longest * fan, 3));
        }
        let (sizes, back) = match entry {
            "dispatch" => ([by_token, by_slot], "dispatch_bwd"),
            _ => ([by_slot, by_token], "combine_bwd"),
        };
        let product = Pair { program, inputs, entry, back, names, sizes, fixed }.check();
        assert!(product.abs() > 1e-3, "{name}: nothing is compared");
    }
}

/// Where nothing rounds, the two evaluators agree.
#[test]
fn exact_numbers_agree_with_the_exact_run() {
    let params = &[("G", 3), ("E", 9), ("K", 4), ("H", 24), ("TMAX", 40)];
    let (program, mut inputs) = routed("moe", params, 4, &[40, 17, 3]);
    let halves = |n: usize| (0..n).map(|i| (i * 5 % 9) as f64 / 2.0 - 2.0).collect::<Vec<_>>();
    let (x, w) = (halves(3 * 40 * 24), halves(3 * 40 * 4));
    let narrow = |values: &[f64], elem, shape: &[usize]| {
        let mut out = Array::zeros(elem, shape.to_vec());
        for (i, v) in values.iter().enumerate() {
            let wide = u64::from((*v as f32).to_bits());
            out.set_bits(i, if elem == Elem::Bf16 { wide >> 16 } else { wide });
        }
        out
    };
    inputs.tensors.insert("x".into(), narrow(&x, Elem::Bf16, &[3, 40, 24]));
    inputs.tensors.insert("w".into(), narrow(&w, Elem::F32, &[3, 40, 4]));
    let mut plans = BTreeMap::new();
    let y = run_entry(&program, "dispatch", &inputs, &mut plans).expect("it runs");
    let y = y.logical["y"].dense();
    inputs.tensors.insert("z".into(), y.clone());
    let o = run_entry(&program, "combine", &inputs, &mut plans).expect("it runs");
    let tensors = Reals::from([("x".into(), x), ("w".into(), w)]);
    let mut out = run_entry_f64(&program, "dispatch", &inputs, &tensors).expect("it runs");
    let wide = |a: &Array| (0..a.len()).map(|i| f64::from(a.get_f32(i))).collect::<Vec<_>>();
    assert_eq!(out["y"], wide(&y));
    assert!(!out.contains_key("n"), "integers have no f64");
    let mut tensors = tensors;
    tensors.insert("z".into(), out.remove("y").expect("y"));
    let out = run_entry_f64(&program, "combine", &inputs, &tensors).expect("it runs");
    assert_eq!(out["o"], wide(&o.logical["o"]));

    tensors.get_mut("w").expect("w").pop();
    let error = run_entry_f64(&program, "combine", &inputs, &tensors).unwrap_err();
    assert_eq!(error, Error::Shape("479 numbers for w of [3, 40, 4]".into()));
    tensors.remove("w");
    let error = run_entry_f64(&program, "combine", &inputs, &tensors).unwrap_err();
    assert_eq!(error, Error::Missing("tensor w".into()));
}
