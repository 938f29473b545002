//! Rows and sums over two levels of links: on meshes of any two sizes, with ranks that have nothing, positions without a
//! tuple and several tuples of one group, equal to the oracle.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::schedule::ir::Schedule;
use fusco_dsl::schedule::verify;
use fusco_dsl::sema::hir::{Elem, Io};
use fusco_runtime::{Bound, LaunchArgs, World};
use fusco_tests::{Random, Session, gpu};
use std::collections::BTreeSet;

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
        (0..ranks as i64).map(|r| [most, 0, 1, (most - 2).max(0)][r as usize % 4]).collect();
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

fn check(text: &str, mesh: (i64, i64), (k, each, h, most): (i64, i64, i64, i64)) {
    check_groups(text, mesh, each * mesh.0 * mesh.1, (k, h, most));
}

fn check_groups(text: &str, (nodes, gpus): (i64, i64), e: i64, (k, h, most): (i64, i64, i64)) {
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

/// The same with forwarders that take turns, both ways.
fn balanced(text: &str) -> String {
    let both = text
        .replace("forward same;", "forward balanced(bytes);")
        .replace("reduce node;", "reduce node; forward balanced(bytes);");
    assert_eq!(both.matches("balanced").count(), 2);
    both
}

#[test]
fn balanced_forwarders_equal_the_oracle() {
    for mesh in [(2, 2), (2, 4), (4, 2), (3, 3), (2, 1), (1, 3), (4, 8)] {
        for sizes in [(4, 3, 24, 9), (1, 1, 8, 3), (8, 2, 40, 6)] {
            check(&balanced(TWO_LEVEL), mesh, sizes);
        }
    }
    for mesh in [(2, 2), (3, 2), (2, 3), (1, 2)] {
        for h in [1, 7, 24] {
            check(&balanced(MORE), mesh, (3, 2, h, 7));
        }
    }
}

/// The last ranks have fewer groups, or none.
#[test]
fn forwarders_of_uneven_groups_equal_the_oracle() {
    let uneven = TWO_LEVEL
        .replace("param E: int where E % rank == 0;", "param E: int;")
        .replace("h] with fill(0);", "h] with uneven, fill(0);")
        .replace(
            "in z: bf16[e: E, c: ragged, h: H] @ [e/rank, e, c.pack(128), h];",
            "in z: bf16[e: E, c: ragged, h: H] @ [e/rank, e, c.pack(128), h] with uneven;",
        );
    assert_eq!(uneven.matches("uneven").count(), 2);
    for text in [uneven.clone(), balanced(&uneven)] {
        for (mesh, groups) in [((2, 2), 5), ((2, 3), 13), ((3, 2), 3), ((4, 2), 9)] {
            check_groups(&text, mesh, groups, (3, 24, 9));
        }
    }
}

/// A program drawn: how groups are dealt and slots numbered, whether some tuples are dropped, which axis of which order
/// merges, and who forwards.
fn drawn(random: &mut Random, (nodes, gpus): (i64, i64), e: i64) -> String {
    let mut one = |of: &[&str]| of[random.below(of.len() as u64) as usize].to_string();
    let deal = one(&["e/rank, e, PACK", "e, PACK, e/rank", "e/rank.map(OWNER), e, PACK"]);
    let at = |rows: i64| deal.replace("PACK", &format!("c.pack({rows})"));
    let keys = one(&["s, t, k", "k, s, t", "s, k, t"]);
    let cap = one(&["", "cap c < 3 else drop;"]);
    let merged = one(&["node, gpu; dedup node by (s, t)", "gpu, node; dedup gpu by (t, s)"]);
    let forward =
        one(&["", "forward same;", "forward balanced(bytes);", "forward balanced(bytes);"]);
    let back = one(&["", "forward balanced(bytes);"]);
    let elem = one(&["bf16", "f32"]);
    let partial = one(&["", ", partial = bf16"]);
    let owners = (0..e).map(|_| random.below((nodes * gpus) as u64).to_string());
    let owners = Vec::from_iter(owners).join(", ");
    let cast = |value: &str| {
        if elem == "f32" { value.to_string() } else { format!("cast({elem}, {value})") }
    };
    format!(
        "program drawn {{
            param N: int; param G: int;
            mesh ep {{ node: N, gpu: G, rank = (node, gpu) }}
            param K: int; param E: int; param H: int; param TMAX: int;
            const OWNER = [{owners}];
            dyn T[rank]: int <= TMAX;
            in x: bf16[s: rank, t: T[s], h: H] @ [s/rank, t, h];
            in topk: ix64(E, none = -1)[s: rank, t: T[s], k: K] @ [s/rank, t, k];
            in w: f32[s: rank, t: T[s], k: K] @ [s/rank, t, k];
            out y: bf16[e: E, c: ragged, h: H] @ [{four}, h] with fill(0), uneven;
            out v: {elem}[e: E, c: ragged, h: H] @ [{eight}, h] with uneven;
            in z: bf16[e: E, c: ragged, h: H] @ [{four}, h] with uneven;
            out o: {elem}[s: rank, t: T[s], h: H] @ [s/rank, t, h] with fill(2);
            route r: (s, t, k) -> (e, c) {{ e = topk[s, t, k] else drop; c = slot(e) by ({keys}); {cap} }}
            entry dispatch {{
                plan r;
                y[e, c, h] <- x[s, t, h] via r;
                v[e, c, h] <- {computed} via r;
                schedule {{ path {merged}; {forward} }}
            }}
            entry combine {{
                o[s, t, h] <- {sum} via r;
                schedule {{ path gpu, node; reduce node; {back} }}
            }}
        }}",
        four = at(4),
        eight = at(8),
        computed = cast("x[s, t, h] * 0.5"),
        sum = cast(&format!("sum.tree(k: w[s, t, k] * z[e, c, h], within = node{partial})")),
    )
}

#[test]
fn random_paths_equal_the_oracle() {
    let seed = std::env::var("FUSCO_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let programs = std::env::var("FUSCO_PROGRAMS").ok().and_then(|s| s.parse().ok());
    let mut random = Random(seed);
    for _ in 0..programs.unwrap_or(30) {
        let mut below = |n: u64| random.below(n) as i64 + 1;
        let (mesh, k, h, most) = ((below(4), below(3)), below(9), below(20), below(12));
        let e = below((mesh.0 * mesh.1 * 3) as u64);
        let text = drawn(&mut random, mesh, e);
        println!("{mesh:?} E={e} K={k} H={h} TMAX={most}\n{text}");
        check_groups(&text, mesh, e, (k, h, most));
        let params = [("N", mesh.0), ("G", mesh.1), ("K", k), ("E", e), ("H", h), ("TMAX", most)];
        let params = params.map(|(name, v)| (name.to_string(), v)).into();
        let compiled = compile(&text, None, &params).expect("it compiles");
        for ranks in [mesh.1, mesh.0 * mesh.1] {
            let made = generate(&compiled.schedule, &Target::hopper(ranks as u32));
            made.unwrap_or_else(|d| panic!("{d:?}"));
        }
    }
}

/// A schedule of which a caller sees what a forwarder is told: whose row it has at each of its places.
fn seen(schedule: &Schedule, entry: &str) -> Schedule {
    let mut schedule = schedule.clone();
    let name = format!("whose_{entry}");
    let whose = schedule.tensors.iter().find(|(_, t)| t.name == name).expect("it counts").0;
    schedule.tensors[whose].io = Io::Out;
    let entry = schedule.entries.iter_mut().find(|e| e.name == entry).expect("an entry");
    entry.temporaries.retain(|t| *t != whose);
    entry.tensors.push(whose);
    schedule
}

/// Of each source node and target node, the rows of each of its forwarders, by the positions of the source's ranks.
fn forwarded(whose: &[Vec<u8>], (nodes, gpus, most): (usize, usize, usize)) -> Vec<Vec<Vec<i32>>> {
    let mut out = vec![Vec::new(); nodes * nodes];
    for (rank, bytes) in whose.iter().enumerate() {
        let at = |place: &[u8]| i32::from_ne_bytes(place.try_into().expect("4 bytes"));
        let places = Vec::from_iter(bytes.chunks_exact(4).map(at));
        for (away, rows) in places.chunks_exact(most).enumerate() {
            let source = (rank / gpus + 1 + away) % nodes;
            let rows = rows.iter().copied().filter(|row| *row < (gpus * most) as i32);
            out[source * nodes + rank / gpus].push(rows.collect());
        }
    }
    out
}

/// Each forwarder has as many rows as another, but for one: also of nodes whose ranks have very different numbers of
/// tokens, and of tokens that go where few others do.
#[test]
fn forwarders_share_the_rows_of_a_node() {
    for (nodes, gpus) in [(2, 2), (2, 4), (4, 2), (3, 3)] {
        let (ranks, k, h, most) = (nodes * gpus, 3, 8, 23);
        let e = 2 * ranks as i64;
        let params = [("N", nodes), ("G", gpus), ("K", k), ("H", h), ("TMAX", most)];
        let mut params = Vec::from_iter(params.map(|(n, v)| (n.to_string(), v as i64)));
        params.push(("E".to_string(), e));
        let params = params.into_iter().collect();
        let compiled = compile(&balanced(TWO_LEVEL), None, &params).expect("it compiles");
        let mut inputs = inputs(ranks, (k, e, h, most as i64));
        inputs.tensors.remove("b");
        // The first rank of each node has nearly all of its tokens.
        let live = (0..ranks).map(|r| if r % gpus == 0 { most as i64 } else { r as i64 % 2 });
        inputs.dyns.insert("T".to_string(), live.collect());
        inputs.params = params;
        let session = Session::of(compiled, &[], World::host(ranks).expect("a world"));
        session.upload(&inputs);
        let schedule = seen(&session.compiled.schedule, "dispatch");
        let bound = Bound::from_schedule(&session.world, verify(schedule).expect("it is safe"));
        let bound = bound.expect("it binds");
        let whose = bound.alloc("whose_dispatch").expect("memory");
        let own = ["x", "topk", "y"].map(|name| (name, &session.buffers[name]));
        let buffers = own.into_iter().chain([("whose_dispatch", &whose)]);
        let plan = bound.plan("r").expect("a plan");
        let args = LaunchArgs {
            dyns: &[("T", &inputs.dyns["T"])],
            buffers: &Vec::from_iter(buffers),
            plans: &[&plan],
        };
        let stream = session.world.stream().expect("a stream");
        bound.launch("dispatch", &stream, &args).expect("queued");
        stream.synchronize().expect("it ends");
        let whose = Vec::from_iter((0..ranks).map(|r| whose.download(r).expect("bytes")));
        let mesh = (nodes, gpus, most);
        for (pair, rows) in forwarded(&whose, mesh).into_iter().enumerate() {
            let (source, target) = (pair / nodes, pair % nodes);
            let sizes = Vec::from_iter(rows.iter().map(Vec::len));
            let (least, all) = (sizes.iter().min(), sizes.iter().max());
            if source != target {
                assert!(all <= least.map(|n| n + 1).as_ref(), "{source} to {target}: {sizes:?}");
            }
            let told = Vec::from_iter(rows.into_iter().flatten());
            let sent = sent(&inputs, mesh, (source, target));
            assert_eq!(told.len(), sent.len(), "{source} to {target}");
            assert_eq!(BTreeSet::from_iter(told), sent, "{source} to {target}");
        }
    }
}

/// The positions of a node that name a group of another one.
fn sent(
    inputs: &Inputs,
    (nodes, gpus, most): (usize, usize, usize),
    (source, target): (usize, usize),
) -> BTreeSet<i32> {
    let topk = &inputs.tensors["topk"];
    let (k, e) = (inputs.params["K"] as usize, inputs.params["E"]);
    let each = e / nodes as i64;
    let names = |rank: usize, t: usize| {
        (0..k).any(|k_of| {
            let group = topk.bits((rank * most + t) * k + k_of) as i64;
            group >= 0 && group / each == target as i64
        })
    };
    let mut out = BTreeSet::new();
    for gpu in (0..gpus).filter(|_| source != target) {
        let rank = source * gpus + gpu;
        let live = inputs.dyns["T"][rank] as usize;
        out.extend((0..live).filter(|t| names(rank, *t)).map(|t| (gpu * most + t) as i32));
    }
    out
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
