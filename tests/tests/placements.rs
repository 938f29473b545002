//! Random pairs of placements, moved on both back ends and compared with the reference interpreter.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_runtime::{World, jit};
use fusco_tests::placements::Case;
use fusco_tests::{Random, Session, alone, gpu, gpu_in_parts};
use fusco_tests::{computed, placements};

/// Movements of one program: they share its compilation.
const ENTRIES: usize = 10;

fn check(case: &Case, world: World) -> u64 {
    let session = Session::new(&case.text, &[], &[], world);
    let inputs = Inputs { tensors: case.inputs.iter().cloned().collect(), ..Inputs::default() };
    session.upload(&inputs);
    session.poison();
    let stream = session.world.stream().expect("a stream");
    for entry in &case.entries {
        session.launch(entry, &stream, &inputs).expect("queued");
        stream.synchronize().unwrap_or_else(|e| panic!("{e}\n{}", about(case, entry)));
    }
    let entries: Vec<&str> = case.entries.iter().map(String::as_str).collect();
    let expected = session.expected(&entries, &inputs);
    match fusco_dsl::ranks::compare(&expected, &session.outputs()) {
        Ok(compared) => compared,
        Err(difference) => panic!("{difference}\n{}", about(case, &difference)),
    }
}

/// The lines of the program that speak of the tensor that differs.
fn about(case: &Case, difference: &str) -> String {
    let number = difference.split('@').next().unwrap_or_default();
    let number = number.trim_start_matches(['y', 'e']);
    let names = ["x", "y", "e", "Ws", "Wt"].map(|n| format!("{n}{number}"));
    let named = |l: &&str| names.iter().any(|n| l.contains(n.as_str())) || l.contains("mesh");
    case.text.lines().filter(named).collect::<Vec<_>>().join("\n")
}

fn workers() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

fn pairs(programs: u64, seed: u64, workers: u64, world: impl Fn(usize) -> Option<World> + Sync) {
    cases(placements::case, programs, seed, workers, world);
}

fn cases(
    make: fn(&mut Random, usize) -> Case,
    programs: u64,
    seed: u64,
    workers: u64,
    world: impl Fn(usize) -> Option<World> + Sync,
) {
    let work = |worker: u64| -> Option<(u64, usize)> {
        let (mut compared, mut moved) = (0, 0);
        for number in (worker..programs).step_by(workers as usize) {
            let case = make(&mut Random(seed + number), ENTRIES);
            compared += check(&case, world(case.ranks)?);
            moved += case.entries.len();
        }
        Some((compared, moved))
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..workers).map(|w| scope.spawn(move || work(w))).collect();
        running.into_iter().map(|r| r.join().expect("no pair differs")).collect()
    });
    let done: Option<Vec<_>> = done.into_iter().collect();
    let Some(done) = done else { return };
    let (compared, moved) = done.iter().fold((0, 0), |sum, d| (sum.0 + d.0, sum.1 + d.1));
    println!("{moved} statements, {compared} elements equal");
}

/// `FUSCO_PROGRAMS` asks for more.
fn programs(default: u64) -> u64 {
    std::env::var("FUSCO_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn random_pairs_equal_the_oracle() {
    pairs(programs(40), 1, workers(), |ranks| World::host(ranks).ok());
}

#[test]
fn gpu_random_pairs_equal_the_oracle() {
    pairs(programs(20), 1000, workers(), gpu);
}

/// Launches of half of the ranks each: every movement opens and closes with a handshake.
#[test]
fn gpu_random_pairs_over_two_launches_equal_the_oracle() {
    let _alone = alone();
    pairs(programs(10).min(20), 5000, 1, |ranks| match ranks % 2 {
        0 => gpu_in_parts(ranks),
        _ => gpu(ranks),
    });
}

#[test]
fn random_arithmetic_equals_the_oracle() {
    cases(computed::case, programs(40), 9000, workers(), |ranks| World::host(ranks).ok());
}

#[test]
fn gpu_random_arithmetic_equals_the_oracle() {
    cases(computed::case, programs(20), 9500, workers(), gpu);
}

#[test]
fn gpu_random_arithmetic_over_two_launches_equals_the_oracle() {
    let _alone = alone();
    cases(computed::case, programs(10).min(20), 9800, 1, |ranks| match ranks % 2 {
        0 => gpu_in_parts(ranks),
        _ => gpu(ranks),
    });
}

/// No GPU is needed, but NVRTC is.
#[test]
fn random_arithmetic_compiles_for_the_device() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    for seed in 0..4 {
        let case = computed::case(&mut Random(9700 + seed), 2 * ENTRIES);
        let compiled = compile(&case.text, None, &Bindings::new()).expect("a program");
        for ranks in [1, case.ranks as u32] {
            let unit = generate(&compiled.schedule, &Target::hopper(ranks)).expect("a text");
            let cubin = jit::compile(&unit.source, "random", "sm_90a").unwrap_or_else(|e| {
                panic!("{e}\n{}\n{}", case.text, unit.source);
            });
            for r in &cubin.resources {
                assert_eq!((r.spill_stores, r.spill_loads), (0, 0), "{} spills", r.name);
            }
        }
    }
}

/// Copies over two meshes are written on every rank of both, and read where they are.
#[test]
fn copies_over_two_meshes_equal_the_oracle() {
    let text = "program two {
        mesh one at 0..2 { p: 2 }
        mesh two at 2..6 { q: 2, r: 2 }
        in x: i32[i: 8] @ [i/p, i];
        in w: i32[i: 8] @ [copy/p, copy/q, copy/r, i];
        out y: i32[i: 8] @ [copy/p, copy/q, copy/r, i];
        out z: i32[i: 8] @ [i/q, copy/r, i];
        entry e0 { y[i] <- x[i]; }
        entry e1 { z[i] <- w[i]; }
    }";
    let array = |base: i64| {
        let values: Vec<i64> = (base..base + 8).collect();
        Array::from_i64(Elem::I32, vec![8], &values)
    };
    let case = Case {
        text: text.to_string(),
        ranks: 6,
        inputs: vec![("x".to_string(), array(1)), ("w".to_string(), array(101))],
        entries: vec!["e0".to_string(), "e1".to_string()],
    };
    assert_eq!(check(&case, World::host(6).expect("a host")), 6 * 8 + 4 * 4);
}

/// Counts that are dealt out by a table themselves, on both sides of a jagged move.
#[test]
fn rows_counted_by_a_mapped_tensor_equal_the_oracle() {
    let text = "program mapped {
        mesh dp { gpu: 3 }
        const OWNER = [2, 0, 1, 0];
        in  len: i32[f: 4, b: 6]                    @ [f/gpu.map(OWNER), f, b];
        in  ids: i64[f: 4, b: 6, l: len[f, b] <= 5] @ [f/gpu.map(OWNER), f, b, l.pack(1)];
        out jds: i64[f: 4, b: 6, l: len[f, b] <= 5] @ [b/gpu, f, b, l.pack(2)] with fill(0);
        entry go { jds[f, b, l] <- ids[f, b, l]; }
    }";
    let lens: Vec<i64> = (0..24).map(|i| i * 7 % 6).collect();
    let ids: Vec<i64> = (1..=120).collect();
    let case = Case {
        text: text.to_string(),
        ranks: 3,
        inputs: vec![
            ("len".to_string(), Array::from_i64(Elem::I32, vec![4, 6], &lens)),
            ("ids".to_string(), Array::from_i64(Elem::I64, vec![4, 6, 5], &ids)),
        ],
        entries: vec!["go".to_string()],
    };
    assert!(check(&case, World::host(3).expect("a host")) > 0);
}

/// Elements that name places lie where a tensor says: their owners are found before they are compared.
#[test]
fn places_named_by_a_mapped_tensor_equal_the_oracle() {
    for (owners, out) in [
        ("in W: ix32(2)[w: 4] @ [copy/p, w];", "out"),
        ("const W = [1, 0, 0, 1];", "out"),
        ("in W: ix32(2)[w: 4] @ [copy/p, w];", "inout"),
    ] {
        let fill = if out == "out" { " with fill(3)" } else { "" };
        let text = format!(
            "program scattered {{
        mesh m {{ p: 2 }}
        {owners}
        in g: ix32(8)[i: 4] @ [i/p.map(W), i];
        in x: f32[i: 4] @ [i/p.map(W), i];
        {out} y: f32[j: 8] @ [j/p, j]{fill};
        assume distinct(i: g[i]);
        entry go {{ y[g[i]] <- x[i]; }}
    }}"
        );
        let ints = |elem, shape: Vec<usize>, values: &[i64]| Array::from_i64(elem, shape, values);
        let mut inputs = vec![
            ("g".to_string(), ints(Elem::I32, vec![4], &[6, 1, 0, 5])),
            ("x".to_string(), ints(Elem::F32, vec![4], &[1, 2, 3, 4])),
        ];
        if owners.starts_with("in") {
            inputs.push(("W".to_string(), ints(Elem::I32, vec![4], &[1, 0, 0, 1])));
        }
        if out == "inout" {
            inputs.push(("y".to_string(), ints(Elem::F32, vec![8], &[9; 8])));
        }
        let case = Case { text, ranks: 2, inputs, entries: vec!["go".to_string()] };
        assert!(check(&case, World::host(2).expect("a host")) == 8);
    }
}
