//! Rows and sums over two levels of links: on meshes of any two sizes, with ranks that have nothing, positions without a
//! tuple and several tuples of one group, equal to the oracle.

use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::World;
use fusco_tests::{Random, Session, gpu};

const TWO_LEVEL: &str = include_str!("../../examples/programs/moe_two_level.fusco");

/// The same over the only axis of a mesh.
const ONCE: &str = include_str!("../gpu/once_a_rank.fusco");

/// Several rows of one trip, computed and as they are; sums beside other arithmetic, rounded on the way.
const MORE: &str = "program more {
    param N: int;
    param G: int;
    mesh ep { node: N, gpu: G, rank = (node, gpu) }
    param K: int;
    param E: int where E % rank == 0;
    param H: int;
    param TMAX: int;
    dyn T[rank]: int <= TMAX;
    in x: bf16[s: rank, t: T[s], h: H] @ [s/rank, t, h];
    in topk: ix64(E, none = -1)[s: rank, t: T[s], k: K] @ [s/rank, t, k];
    in w: f32[s: rank, t: T[s], k: K] @ [s/rank, t, k];
    in b: f32[h: H] @ [copy/node, copy/gpu, h];
    out y: bf16[e: E, c: ragged, h: H] @ [e/rank, e, c.pack(4), h] with fill(0);
    out twice: f32[e: E, c: ragged, h: H] @ [e/rank, e, c.pack(8), h];
    out from: i32[e: E, c: ragged] @ [e/rank, e, c.pack(2)] with fill(-1);
    out n: i32[e: E] @ [e/rank, e];
    in z: bf16[e: E, c: ragged, h: H] @ [e/rank, e, c.pack(4), h];
    out o: bf16[s: rank, t: T[s], h: H] @ [s/rank, t, h];
    out u: f32[s: rank, t: T[s], h: H] @ [s/rank, t, h] with fill(1);
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
    entry dispatch {
        plan r;
        y[e, c, h] <- x[s, t, h] via r;
        twice[e, c, h] <- 2.0 * x[s, t, h] + b[h] via r;
        from[e, c] <- s * TMAX + t via r;
        n[e] <- count(y.c);
        schedule { path node, gpu; dedup node by (s, t); forward same; }
    }
    entry combine {
        o[s, t, h] <- cast(bf16, sum.tree(k: w[s, t, k] * z[e, c, h], within = node, partial = bf16)) via r;
        u[s, t, h] <- 0.5 * sum.tree(k: z[e, c, h], within = node, partial = f16) + x[s, t, h] - b[h] via r;
        schedule { path gpu, node; reduce node; }
    }
}";

fn inputs(ranks: usize, (k, e, h, most): (usize, i64, usize, i64)) -> Inputs {
    let mut random = Random(7 * ranks as u64 + most as u64);
    let live: Vec<i64> =
        (0..ranks as i64).map(|r| [most, 0, 1, most - 2][r as usize % 4]).collect();
    let mut inputs = Inputs { dyns: [("T".to_string(), live)].into(), ..Inputs::default() };
    let most = most as usize;
    for (name, elem, shape) in [
        ("x", Elem::Bf16, vec![ranks, most, h]),
        ("w", Elem::F32, vec![ranks, most, k]),
        ("b", Elem::F32, vec![h]),
    ] {
        let mut array = Array::zeros(elem, shape);
        random.fill(&mut array);
        inputs.tensors.insert(name.to_string(), array);
    }
    // One in eight is none; few groups, so that some are named twice.
    let few = e.min(7) as u64;
    let topk = (0..ranks * most * k).map(|_| match random.below(8) {
        0 => -1,
        1..=3 => random.below(few) as i64,
        _ => random.below(e as u64) as i64,
    });
    let topk = Array::from_i64(Elem::I64, vec![ranks, most, k], &Vec::from_iter(topk));
    inputs.tensors.insert("topk".to_string(), topk);
    inputs
}

fn check(text: &str, (nodes, gpus): (i64, i64), (k, each, h, most): (i64, i64, i64, i64)) {
    let e = each * nodes * gpus;
    let ranks = (nodes * gpus) as usize;
    let params = [("N", nodes), ("G", gpus), ("K", k), ("E", e), ("H", h), ("TMAX", most)];
    let own = |(name, _): &(&str, i64)| text.contains(&format!("param {name}:"));
    let params = Vec::from_iter(params.into_iter().filter(own));
    let mut inputs = inputs(ranks, (k as usize, e, h as usize, most));
    if !text.contains("in b:") {
        inputs.tensors.remove("b");
    }
    inputs.params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    for world in [World::host(ranks).ok(), gpu(ranks)].into_iter().flatten() {
        let session = Session::new(text, &params, &[("z", "y")], world);
        session.upload(&inputs);
        session.poison();
        let stream = session.world.stream().expect("a stream");
        // Twice: what a launch leaves in memory of its own is not taken for rows of the next.
        for entry in ["dispatch", "combine", "dispatch", "combine"] {
            session.launch(entry, &stream, &inputs).expect("queued");
            stream.synchronize().unwrap_or_else(|e| panic!("{e}"));
        }
        session.check(&session.expected(&["dispatch", "combine"], &inputs));
    }
}

#[test]
fn two_hops_equal_the_oracle() {
    for mesh in [(2, 2), (2, 4), (4, 2), (3, 3), (2, 1), (1, 3), (4, 8)] {
        for sizes in [(4, 3, 24, 9), (1, 1, 8, 3), (8, 2, 40, 6)] {
            check(TWO_LEVEL, mesh, sizes);
        }
    }
}

#[test]
fn one_hop_equals_the_oracle() {
    for ranks in [1, 2, 3, 8] {
        for sizes in [(4, 3, 24, 9), (1, 1, 8, 3), (8, 2, 40, 6)] {
            check(ONCE, (1, ranks), sizes);
        }
    }
}

#[test]
fn several_rows_and_sums_of_two_hops_equal_the_oracle() {
    for mesh in [(2, 2), (3, 2), (2, 3), (1, 2)] {
        for h in [1, 7, 24] {
            check(MORE, mesh, (3, 2, h, 7));
        }
    }
}
