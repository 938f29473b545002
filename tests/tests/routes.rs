//! Random programs with a route: what the compiler takes runs as the reference interpreter says, and what it
//! does not take it refuses at a place in the text. A defect of the compiler (F0790) or a panic is a failure.
//!
//! `FUSCO_ROUTES` asks for so many programs, or `FUSCO_MINUTES` for as many as it can; `FUSCO_SEED` for others.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::diag::{Diagnostic, Diagnostics, Severity};
use fusco_dsl::oracle::{Array, Inputs, Outputs, run_entry};
use fusco_dsl::schedule::ir::Route;
use fusco_dsl::sema::hir::{Elem, Extent};
use fusco_dsl::{Compiled, compile};
use fusco_runtime::{Bound, LaunchArgs, World, jit};
use fusco_tests::routes::{Case, case};
use fusco_tests::writes::{self, Writes};
use fusco_tests::{Random, Session};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PROGRAMS: u64 = 10_000;
/// What a program may be refused with: it is not lowered yet, or the draw broke a rule of the language.
const REFUSALS: [&str; 10] =
    ["F0999", "F0204", "F0208", "F0303", "F0304", "F0305", "F0308", "F0309", "F0311", "F0404"];

/// What became of a program.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Ran,
    Refused(String),
    Failed(String),
}

/// Panics with the program if it is neither refused, located, nor equal to the oracle.
pub fn check(case: &Case) -> End {
    check_on(case, |ranks| World::host(ranks).expect("a host"))
}

pub fn check_on(case: &Case, world: impl FnOnce(usize) -> World) -> End {
    let compiled = match compile(&case.text, None, &BTreeMap::new()) {
        Ok(compiled) => compiled,
        Err(diagnostics) => return End::Refused(refusal(case, &diagnostics)),
    };
    // A directive may ask for what this device's kernel has not; the host runs the schedule all the same.
    match generate(&compiled.schedule, &Target::hopper(case.ranks as u32)) {
        Ok(text) => {
            for kernel in &text.kernels {
                assert!(text.source.contains(&kernel.symbol), "no text for {}", kernel.name);
            }
        }
        Err(diagnostics) => {
            let why = refusal(case, &diagnostics);
            assert!(why.contains("stages of kernel"), "no CUDA text: {why}");
        }
    }
    let session = Session::of(compiled, &case.feeds, world(case.ranks));
    session.upload(&case.inputs);
    session.poison();
    let stream = session.world.stream().expect("a stream");
    let entries: Vec<&str> = case.entries.iter().map(String::as_str).collect();
    for entry in &entries {
        session.launch(entry, &stream, &case.inputs).expect("queued");
        stream.synchronize().expect("it runs");
    }
    let expected = session.expected(&entries, &case.inputs);
    if let Err(difference) = fusco_dsl::ranks::compare(&expected, &session.outputs()) {
        panic!("{difference}");
    }
    End::Ran
}

/// The kind of the first error; each has a code that a refusal may have, and a place in the text.
fn refusal(case: &Case, diagnostics: &Diagnostics) -> String {
    let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
    let errors: Vec<&Diagnostic> = diagnostics.0.iter().filter(is_error).collect();
    for error in &errors {
        assert!(error.help.is_some(), "no way on: {}: {}", error.code, error.message);
        let at = error.span.start as usize..error.span.end as usize;
        assert!(REFUSALS.contains(&error.code), "{}: {}", error.code, error.message);
        assert!(
            case.text.get(at.clone()).is_some_and(|t| !t.is_empty()),
            "{} is not located: {at:?}",
            error.code
        );
    }
    let first = errors.first().expect("an error");
    kind(&format!("{} {}", first.code, first.message))
}

/// A message without its names and numbers.
fn kind(message: &str) -> String {
    let mut out = String::new();
    for (i, part) in message.split('`').enumerate() {
        out += if i % 2 == 0 { part } else { ".." };
    }
    let code = message.starts_with('F') as usize * 5;
    let plain = |(i, c): (usize, char)| (i < code || !c.is_ascii_digit()).then_some(c);
    out.chars().enumerate().filter_map(plain).take(120).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

#[test]
fn random_routes_equal_the_oracle_or_are_refused() {
    let seed = number("FUSCO_SEED").unwrap_or(1);
    let until = number("FUSCO_MINUTES").map(|m| Instant::now() + Duration::from_secs(60 * m));
    let most = number("FUSCO_ROUTES").unwrap_or(if until.is_some() { u64::MAX } else { PROGRAMS });
    println!("FUSCO_SEED={seed}");
    let next = AtomicU64::new(0);
    // The first failure of each kind.
    let failures: Mutex<BTreeMap<String, (String, String)>> = Mutex::default();
    let work = || {
        let mut ends: BTreeMap<End, u64> = BTreeMap::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= most || until.is_some_and(|end| Instant::now() > end) {
                return ends;
            }
            let case = case(&mut Random(seed.wrapping_mul(1_000_003).wrapping_add(number)));
            let end = catch_unwind(AssertUnwindSafe(|| check(&case))).unwrap_or_else(|why| {
                let word = why.downcast_ref::<&str>().map(ToString::to_string);
                let why = why.downcast_ref::<String>().cloned().or(word).unwrap_or_default();
                let about = format!("program {number}, dyn {:?}\n{}", case.inputs.dyns, case.text);
                failures
                    .lock()
                    .expect("no holder panics")
                    .entry(kind(&why))
                    .or_insert((why.clone(), about));
                End::Failed(kind(&why))
            });
            *ends.entry(end).or_default() += 1;
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            for (end, n) in worker.join().unwrap_or_else(|why| std::panic::resume_unwind(why)) {
                *ends.entry(end).or_default() += n;
            }
        }
    });
    let ran = ends.get(&End::Ran).copied().unwrap_or(0);
    let all: u64 = ends.values().sum();
    println!("{ran} of {all} programs ran");
    for (end, n) in &ends {
        match end {
            End::Ran => {}
            End::Refused(why) => println!("{n} refused: {why}"),
            End::Failed(why) => println!("{n} FAILED: {why}"),
        }
    }
    for (why, about) in failures.into_inner().expect("no holder panics").values() {
        println!("{why}\n{about}");
    }
    assert!(!ends.keys().any(|e| matches!(e, End::Failed(_))), "seed {seed}: see above");
    assert!(ran * 2 >= all, "fewer than half of the programs ran: {ran} of {all}");
}

/// The kernels of accepted programs on the device: `FUSCO_PROGRAMS` of them, or a few.
#[test]
fn gpu_random_routes_equal_the_oracle() {
    if fusco_tests::gpu(1).is_none() {
        return;
    }
    let asked = std::env::var("FUSCO_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let (mut left, mut ran) = (asked.unwrap_or(24u64), 0);
    let first = std::env::var("FUSCO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7u64);
    for number in 0.. {
        let case = case(&mut Random(first.wrapping_mul(1 << 32).wrapping_add(number)));
        // What this device's kernels have not is refused before anything runs.
        let target = Target::hopper(case.ranks as u32);
        let taken = compile(&case.text, None, &BTreeMap::new());
        if !taken.is_ok_and(|c| generate(&c.schedule, &target).is_ok()) {
            continue;
        }
        let world = |ranks| fusco_tests::gpu(ranks).expect("there was one");
        let end = catch_unwind(AssertUnwindSafe(|| check_on(&case, world)));
        let ok = matches!(end, Ok(End::Ran));
        assert!(ok, "seed {first}, program {number}\n{}", case.text);
        (left, ran) = (left.saturating_sub(1), ran + 1);
        if left == 0 {
            return println!("{ran} programs with routes on the device");
        }
    }
}

/// The claims of `prove` are about what runs: for each target of a random program, each claim that the compiler
/// takes is compared with all writes of the schedule on all ranks.
#[test]
fn proofs_of_routed_targets_hold_of_what_is_written() {
    let seed = number("FUSCO_SEED").unwrap_or(1);
    let (mut claims, mut programs) = (BTreeMap::<&str, (u64, u64)>::new(), 0);
    for number in 0..number("FUSCO_ROUTES").unwrap_or(500) {
        let case = case(&mut Random(seed.wrapping_mul(7_000_003).wrapping_add(number)));
        let Ok(compiled) = compile(&case.text, None, &BTreeMap::new()) else { continue };
        programs += 1;
        let mut plans = BTreeMap::new();
        let expected = run_entry(&compiled.hir, "go", &case.inputs, &mut plans).expect("a meaning");
        let schedule = &compiled.schedule;
        let entry = schedule.entries.iter().find(|e| e.name == "go").expect("an entry");
        let shape = compiled.plan.routes.values().next().expect("a route");
        let all = writes::routed((schedule, shape), entry, &case.inputs, &plans["r"]);
        let none = Writes::default();
        for target in &case.targets {
            let writes = all.get(target).unwrap_or(&none);
            for claim in ["injective", "covers", "local"] {
                let proof = format!("plan r; prove {claim}({target});");
                let text = case.text.replacen("plan r;", &proof, 1);
                let taken = compile(&text, None, &BTreeMap::new()).is_ok();
                let count = claims.entry(claim).or_default();
                if !taken {
                    count.1 += 1;
                    continue;
                }
                count.0 += 1;
                if let Some(why) = counter_example(claim, writes, &expected, target, &compiled) {
                    let dyns = &case.inputs.dyns;
                    panic!(
                        "seed {seed}, program {number}: {claim}({target}) but {why}\n{dyns:?}\n{text}"
                    );
                }
            }
        }
    }
    println!("{programs} programs; claims taken and refused: {claims:?}");
    assert!(claims.values().all(|(taken, _)| *taken > 20), "a claim is hardly ever taken");
    assert!(claims["covers"].1 > 0 && claims["local"].1 > 0, "a claim is never refused");
}

/// What contradicts a claim.
fn counter_example(
    claim: &str,
    writes: &Writes,
    expected: &Outputs,
    target: &str,
    compiled: &Compiled,
) -> Option<String> {
    match claim {
        "injective" => {
            let twice = writes.puts.iter().find(|(_, by)| by.len() > 1);
            twice.map(|((rank, at), by)| format!("ranks {by:?} put {target}@{rank}[{at}]"))
        }
        "local" => {
            let far = writes.puts.iter().find(|((rank, _), by)| by.iter().any(|b| b != rank));
            far.map(|((rank, at), by)| format!("ranks {by:?} put {target}@{rank}[{at}]"))
        }
        _ => {
            let tensor = compiled.hir.tensor(target)?;
            let axes = &compiled.hir.tensors[tensor].axes;
            let ragged = axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. }));
            expected.physical[target].ranks().expect("placed").iter().enumerate().find_map(
                |(rank, want)| {
                    // Rows of groups up to the end of their storage; elsewhere whatever the program defines.
                    let wanted =
                        (0..want.defined.len()).filter(|at| ragged || want.defined.get(*at));
                    wanted
                        .into_iter()
                        .find(|at| !writes.has(rank, *at))
                        .map(|at| format!("nobody writes {target}@{rank}[{at}]"))
                },
            )
        }
    }
}

/// Over two ranks, 4 groups, up to 5 tokens with two choices each.
fn program(mesh: &str, declarations: &str, statements: &str) -> String {
    format!(
        "program p {{
    mesh m {{ {mesh} }}
    dyn T[gpu]: int <= 5;
    in x: bf16[s: gpu, t: T[s], h: 8] @ [s/gpu, t, h];
    {declarations}
    route r: (s, t, k) -> (e, c) {{ e = ids[s, t, k] else drop; c = slot(e) by (s, t, k); }}
    entry go {{ plan r; {statements} }}
}}"
    )
}

const IDS: &str = "in ids: ix32(4, none = -1)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];";
const ROWS: &str = "out y: bf16[e: 4, c: ragged, h: 8] @ [e/gpu, e, c.pack(2), h] with fill(0);";
const PUSH: &str = "y[e, c, h] <- x[s, t, h] via r;";

fn by_hand(text: String, more: &[(&str, Array)]) -> End {
    let live = [3usize, 5];
    let ids = [1, 3, -1, 0, 2, 2, 0, 0, 0, 0, 3, 2, 1, -1, 0, 3, 3, 1, -1, 2];
    let mut inputs = Inputs::default();
    inputs.dyns.insert("T".into(), live.map(|n| n as i64).to_vec());
    inputs.tensors.insert("ids".into(), Array::from_i64(Elem::I32, vec![2, 5, 2], &ids));
    let mut x = Array::zeros(Elem::Bf16, vec![2, 5, 8]);
    Random(7).fill(&mut x);
    inputs.tensors.insert("x".into(), x);
    inputs.tensors.extend(more.iter().map(|(n, a)| (n.to_string(), a.clone())));
    let case = Case {
        text,
        ranks: 2,
        inputs,
        entries: vec!["go".into()],
        targets: Vec::new(),
        feeds: Vec::new(),
    };
    check(&case)
}

#[track_caller]
fn runs(declarations: &str, statements: &str) {
    let text = program("gpu: 2", declarations, statements);
    assert!(by_hand(text, &[]) == End::Ran, "refused: {declarations}");
}

#[track_caller]
fn refused(declarations: &str, statements: &str, words: &str) {
    let text = program("gpu: 2", declarations, statements);
    let found = compile(&text, None, &BTreeMap::new()).expect_err("refused");
    let first = &found.0[0];
    assert!(first.code == "F0999" && first.message.contains(words), "{}", first.message);
    assert!(by_hand(text, &[]) != End::Ran);
}

#[test]
fn the_layout_of_the_index_tensor_is_obeyed() {
    for order in ["[s/gpu, k, t]", "[k, s/gpu, t]", "[k, t, s/gpu]", "[t, s, s/gpu, k:2, k]"] {
        let ids = format!("in ids: ix32(4, none = -1)[s: gpu, t: T[s], k: 2] @ {order};");
        runs(&format!("{ids} {ROWS}"), PUSH);
    }
    let text = program("gpu: 2", &format!("{IDS} {ROWS}"), PUSH).replace("t, k];", "k, t];");
    let compiled = compile(&text, None, &BTreeMap::new()).expect("it compiles");
    let cuda = generate(&compiled.schedule, &Target::hopper(2)).expect("CUDA text").source;
    assert!(cuda.contains("ids.at[me][t + k * 5]"), "the device reads the index as it lies");
}

#[test]
fn groups_lie_where_the_placement_says() {
    const TABLES: &str = "const W = [1, 0, 1, 1]; const ONE = [1, 1, 1, 1];";
    let with = |more: &str| format!("{IDS} {ROWS} {TABLES} {more}");
    let places = ["[e, e/gpu]", "[e:2, e/gpu]", "[e/gpu.map(W), e]", "[e/gpu.map(ONE), e]"];
    for place in places {
        for word in ["count", "offset"] {
            let n = format!("out n: i32[e: 4] @ {place};");
            runs(&with(&n), &format!("{PUSH} n[e] <- {word}(y.c);"));
        }
    }
    for place in ["[e, c.pack(2), e/gpu, h]", "[e/gpu.map(W), e, c.pack(2), h]"] {
        let y = format!("out y: bf16[e: 4, c: ragged, h: 8] @ {place} with fill(2);");
        runs(&format!("{IDS} {TABLES} {y}"), PUSH);
    }
    // Seven groups on two ranks: four and three.
    let ids = IDS.replace("ix32(4", "ix32(7");
    let y = "out y: bf16[e: 7, c: ragged, h: 8] @ [e/gpu, e, c.pack(4), h] with fill(0), uneven;
        out n: i32[e: 7] @ [e/gpu, e] with uneven; out l: i32[e: 7] @ [e, e/gpu] with uneven;";
    let numbers = "n[e] <- offset(y.c); l[e] <- count(y.c);";
    runs(&format!("{ids} {y}"), &format!("{PUSH} {numbers}"));
}

#[test]
fn rows_of_one_entry_go_wherever_their_groups_lie() {
    let more = "out v: bf16[e: 4, c: ragged, h: 8] @ [e, c.pack(2), e/gpu, h];
        const W = [1, 1, 1, 0];
        out u: i32[e: 4, c: ragged] @ [e/gpu.map(W), e, c.pack(1)];
        out n: i32[e: 4] @ [e/gpu.map(W), e];";
    let others = "v[e, c, h] <- x[s, t, h] via r; u[e, c] <- t via r; n[e] <- offset(u.c);";
    runs(&format!("{IDS} {ROWS} {more}"), &format!("{PUSH} {others}"));
}

/// Each rank reads the owners where it is, before it knows that another one has come.
#[test]
fn owners_that_a_tensor_names_lie_on_each_rank() {
    let owners = |w: &str, y: &str| {
        format!(
            "{IDS} in W: ix32(2)[e: 4] @ {w};
        out y: bf16[e: 4, c: ragged, h: 8] @ {y} with fill(1);
        out n: i32[e: 4] @ [e/gpu.map(W), e] with fill(9);"
        )
    };
    let statements = format!("{PUSH} n[e] <- offset(y.c);");
    for table in [[1, 0, 0, 1], [0; 4], [1; 4]] {
        for w in ["[copy/gpu, e]", "[e, copy/gpu]", "[copy/gpu, e, e:2]"] {
            for y in ["[e/gpu.map(W), e, c.pack(2), h]", "[e, c.pack(1), h, e/gpu.map(W)]"] {
                let text = program("gpu: 2", &owners(w, y), &statements);
                let values = Array::from_i64(Elem::I32, vec![4], &table);
                assert!(by_hand(text, &[("W", values)]) == End::Ran, "refused: {w} {y}");
            }
        }
    }
    let y = "[e/gpu.map(W), e, c.pack(2), h]";
    for w in ["[e/gpu, e]", "[only(1)/gpu, e]"] {
        refused(
            &owners(w, y),
            &statements,
            "is not a whole copy on each rank, in the placement of `W`",
        );
    }
}

#[test]
fn owners_are_the_ranks_of_the_plan_in_order() {
    let text = "program p {
        mesh m { dp: 2, ep: 2, all = (dp, ep), turned = (ep, dp) }
        in x: f32[s: all, t: 3, h: 8] @ [s/all, t, h];
        in ids: ix32(4)[s: all, t: 3] @ [s/all, t];
        in W: ix32(turned)[e: 4] @ [copy/dp, copy/ep, e];
        out y: f32[e: 4, c: ragged, h: 8] @ [e/turned.map(W), e, c.pack(2), h];
        route r: (s, t) -> (e, c) { e = ids[s, t]; c = slot(e) by (s, t); }
        entry go { plan r; y[e, c, h] <- x[s, t, h] via r; }
    }";
    let found = compile(text, None, &BTreeMap::new()).expect_err("refused");
    assert_eq!((found.0[0].code, found.0.len()), ("F0999", 1));
    assert!(found.0[0].message.contains("by other numbers than the ranks of the plan"));
    let compiled = compile(
        &text.replace("turned", "all").replace(", all = (ep, dp)", ""),
        None,
        &BTreeMap::new(),
    );
    assert!(compiled.is_ok());
}

/// What is refused behind a route, and what it is about each.
#[test]
fn a_refusal_says_which_it_is() {
    let slots = |h: &str| {
        format!("out u: f32[e: 4, c: ragged{h}] @ [e/gpu, e, c.pack(2){}];", h.replace(": 8", ""))
    };
    let w = "in w: f32[s: gpu, t: T[s], e: 4] @ [s/gpu, t, e];";
    let with = |more: &str| format!("{IDS} {ROWS} {more}");
    // A row that the group of a tuple chooses, here or at the group's own rank.
    let runs = |declarations: String, statement: &str, name: &str, shape: &[usize]| {
        let mut array = Array::zeros(Elem::F32, shape.to_vec());
        Random(5).fill(&mut array);
        let text = program("gpu: 2", &with(&declarations), statement);
        assert!(by_hand(text, &[(name, array)]) == End::Ran, "{statement}");
    };
    let statement = format!("{PUSH} u[e, c] <- w[s, t, e] via r;");
    runs(format!("{w} {}", slots("")), &statement, "w", &[2, 5, 4]);
    let b = "in b: f32[e: 4, h: 8] @ [e/gpu, e, h];";
    let statement = format!("{PUSH} u[e, c, h] <- b[e, h] via r;");
    runs(format!("{b} {}", slots(", h: 8")), &statement, "b", &[4, 8]);
    let kept = "inout v: bf16[e: 4, c: ragged, h: 8] @ [e/gpu, e, c.pack(2), h];";
    let statement = format!("{PUSH} v[e, c, h] <- x[s, t, h] via r;");
    refused(&with(kept), &statement, "an `inout` tensor of ragged rows behind a route");
    let o = "out o: bf16[s: gpu, t: T[s], k: 4, h: 8] @ [s/gpu, t, k, h] with fill(0);";
    let statement = format!("{PUSH} o[s, t, 2 * k, h] <- x[s, t, h] via r;");
    refused(&with(o), &statement, "a variable of the route in a computed index on the left");
    let w = "in W: ix32(2)[q: 8] @ [copy/gpu, q];
        out v: bf16[e: 4, c: ragged, q: 8] @ [e, c.pack(2), q/gpu.map(W), q] with fill(0);";
    let statement = format!("{PUSH} v[e, c, q] <- x[s, t, q] via r;");
    refused(&with(w), &statement, "rows that mesh axes split in different ways on the two sides");
}

#[test]
fn what_is_not_written_at_a_source_keeps_its_fill() {
    let pos = "out pos: i32[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k] with fill(-1);";
    runs(&format!("{IDS} {ROWS} {pos}"), &format!("{PUSH} pos[s, t, k] <- c via r;"));
    // A slot names one choice; the other of its row keeps the fill, too.
    let by = "out b: bf16[e: 4, c: ragged, k: 2, h: 8] @ [e/gpu, e, c.pack(2), k, h] with fill(3);";
    runs(&format!("{IDS} {by}"), "b[e, c, k, h] <- x[s, t, h] via r;");
    let text = program("gpu: 2", &format!("{IDS} {pos}"), "pos[s, t, k] <- c via r;");
    let compiled = compile(&text, None, &BTreeMap::new()).expect("it compiles");
    let cuda = generate(&compiled.schedule, &Target::hopper(2)).expect("CUDA text");
    assert!(cuda.kernels.iter().any(|k| k.name == "go_prepare"), "the device fills, too");
}

#[test]
fn rows_of_one_element_move() {
    let one = "in v: f32[s: gpu, t: T[s], b: 1] @ [s/gpu, b, t];
        out u: f32[e: 4, c: ragged, b: 1] @ [e/gpu, e, c.pack(2), b] with fill(0);";
    let text = program("gpu: 2", &format!("{IDS} {one}"), "u[e, c, b] <- v[s, t, b] via r;");
    let mut v = Array::zeros(Elem::F32, vec![2, 5, 1]);
    Random(3).fill(&mut v);
    assert!(by_hand(text, &[("v", v)]) == End::Ran);
}

/// Token axes and what cuts them over ranks: blocks, in turn, with a rest, two axes over two of the mesh, in any order
/// of the keys and of the axes of the index tensor.
#[test]
fn tokens_of_several_axes_run() {
    let meshes = ["gpu: 3", "dp: 2, ep: 2"];
    let cuts = [
        (0, "q/gpu, b, q", "q/gpu, q, b", 6),
        (0, "q, q/gpu, b", "b, q, q/gpu", 6),
        (0, "q, q/gpu, q:2, b", "q, q/gpu, b, q:2", 12),
        (0, "b, q/gpu, q", "q/gpu, q, b", 5),
        (0, "b/gpu, b, q", "b/gpu, q, b", 4),
        (1, "b/dp, b, q/ep, q", "b/dp, q/ep, q, b", 4),
        (1, "q/ep, q/dp, b, q", "q/ep, b, q/dp, q", 8),
    ];
    for (mesh, index, rows, q) in cuts {
        for keys in ["b, q, k", "q, b, k", "k, q, b", "b, k, q", "q, k, b", "k, b, q"] {
            let text = format!(
                "program tokens {{
                    mesh m {{ {mesh} }}
                    in ids: ix32(12, none = -1)[b: 4, q: {q}, k: 2] @ [{index}, k] with uneven;
                    in x: f32[q: {q}, b: 4, h: 4] @ [{rows}, h] with uneven;
                    out y: f32[e: 12, c: ragged, h: 4] @ [e/{all}, e, c.pack(2), h] with fill(1);
                    out from: i32[e: 12, c: ragged] @ [e/{all}, e, c.pack(1)] with fill(-1);
                    in z: f32[e: 12, c: ragged, h: 4] @ [e/{all}, e, c.pack(2), h];
                    out o: f32[b: 4, q: {q}, h: 4] @ [{index}, h] with fill(0), uneven;
                    route r: (b, q, k) -> (e, c) {{ e = ids[b, q, k] else drop; c = slot(e) by ({keys}); cap c < 7 else drop; }}
                    entry go {{ plan r; y[e, c, h] <- x[q, b, h] via r; from[e, c] <- (b * 100 + q) * 10 + k via r; }}
                    entry back {{ o[b, q, h] <- sum(k: z[e, c, h]) + x[q, b, h] via r; }}
                }}",
                mesh = meshes[mesh],
                all = if mesh == 0 { "gpu" } else { "dp, e/ep" },
            );
            let mut random = Random(7);
            let values = Vec::from_iter((0..4 * q * 2).map(|_| random.below(13) as i64 - 1));
            let ids = Array::from_i64(Elem::I32, vec![4, q, 2], &values);
            let mut x = Array::zeros(Elem::F32, vec![q, 4, 4]);
            random.fill(&mut x);
            let mut inputs = Inputs::default();
            inputs.tensors.extend([("ids".to_string(), ids), ("x".to_string(), x)]);
            let case = Case {
                text: text.clone(),
                ranks: [3, 4][mesh],
                inputs,
                entries: vec!["go".into(), "back".into()],
                targets: vec!["y".into(), "from".into()],
                feeds: vec![("z".into(), "y".into())],
            };
            assert!(check(&case) == End::Ran, "{text}");
        }
    }
}

/// Owners and places that a launch reads, and counted rows, of statements that a route does not concern.
#[test]
fn tables_of_the_device_are_made_beside_a_route() {
    let more = "in W: ix32(2)[w: 4] @ [copy/gpu, w];
        in a: f32[w: 4] @ [w/gpu.map(W), w];
        in place: ix32(4)[w: 4] @ [copy/gpu, w];
        in b: f32[w: 4] @ [w/gpu, w];
        in len: i32[w: 4] @ [w/gpu, w];
        in rows: f32[w: 4, l: len[w] <= 5] @ [w/gpu, w, l.pack(1)];
        tmp u: f32[w: 4] @ [w/gpu.map(W), w];
        out d: f32[w: 4] @ [w/gpu, w] with fill(0);
        out g: f32[w: 4] @ [w/gpu, w];
        out wide: f32[w: 4, l: len[w] <= 5] @ [w/gpu, w, l.slab(5)] with fill(2);";
    let ints = |values: &[i64]| Array::from_i64(Elem::I32, vec![values.len()], values);
    let floats = |shape: Vec<usize>| {
        let mut array = Array::zeros(Elem::F32, shape);
        Random(3).fill(&mut array);
        array
    };
    let given = [
        ("W", ints(&[1, 0, 1, 1])),
        ("place", ints(&[2, 0, 3, 1])),
        ("len", ints(&[5, 0, 3, 1])),
        ("a", floats(vec![4])),
        ("b", floats(vec![4])),
        ("rows", floats(vec![4, 5])),
    ];
    let rest = ["g[w] <- b[w];", "wide[w, l] <- rows[w, l];"];
    for statements in [
        ["d[w] <- a[w];", rest[0], rest[1]].concat(),
        ["d[place[w]] <- b[w]; assume distinct(w: place[w]);", rest[0], rest[1]].concat(),
        // In an order that is their own.
        ["u[w] <- b[w]; d[w] <- a[w] + u[w];", rest[0], rest[1]].concat(),
    ] {
        let text =
            program("gpu: 2", &format!("{IDS} {ROWS} {more}"), &format!("{PUSH} {statements}"));
        assert!(by_hand(text.clone(), &given) == End::Ran, "{text}");
    }
}

/// An index tensor in a swizzle is read through it, whatever numbers its tuples.
#[test]
fn a_route_reads_through_a_swizzle() {
    for (k, cut) in [(8, "s/gpu, t, k"), (16, "s/gpu, k, t, k:8")] {
        let ids = format!(
            "in ids: ix32(4, none = -1)[s: gpu, t: T[s], k: {k}] @ [{cut}] with swizzle(b32), align(256);"
        );
        let text = program("gpu: 2", &format!("{ids} {ROWS}"), PUSH);
        let values = Vec::from_iter((0..10 * k as i64).map(|i| i * 7 % 5 - 1));
        let ids = Array::from_i64(Elem::I32, vec![2, 5, k], &values);
        assert!(by_hand(text.clone(), &[("ids", ids)]) == End::Ran, "{text}");
    }
}

/// The tuple that a wrong index is of, by the names of its sources, whatever numbers it on its rank.
#[test]
fn an_index_outside_its_type_is_told_by_its_sources() {
    for (keys, cut) in [("b, q, k", "q/gpu, b, q, k"), ("q, b, k", "q, q/gpu, b, k")] {
        let text = format!(
            "program tokens {{
                mesh m {{ gpu: 2 }}
                in ids: ix32(4)[b: 3, q: 6, k: 2] @ [{cut}];
                in x: f32[b: 3, q: 6, h: 4] @ [{}, h];
                out y: f32[e: 4, c: ragged, h: 4] @ [e/gpu, e, c.pack(2), h];
                route r: (b, q, k) -> (e, c) {{ e = ids[b, q, k]; c = slot(e) by ({keys}); }}
                entry go {{ plan r; y[e, c, h] <- x[b, q, h] via r; }}
            }}",
            cut.trim_end_matches(", k")
        );
        let schedule = compile(&text, None, &BTreeMap::new()).expect("it compiles").schedule;
        let world = World::host(2).expect("a world");
        let bound = Bound::from_schedule(&world, schedule).expect("bound");
        let [ids, x, y] = ["ids", "x", "y"].map(|t| bound.alloc(t).expect("room"));
        // Where b = 2, q = 4, k = 1 lies: on rank 1 in blocks, on rank 0 in turn.
        let (rank, at) =
            if keys.starts_with('b') { (1, (2 * 3 + 1) * 2 + 1) } else { (0, (2 * 3 + 2) * 2 + 1) };
        let mut values = vec![0i32; 18];
        values[at] = 9;
        ids.upload_as(rank, &values).expect("fits");
        let stream = world.stream().expect("a stream");
        let plan = bound.plan("r").expect("a plan");
        let buffers = [("ids", &ids), ("x", &x), ("y", &y)];
        let args = LaunchArgs { buffers: &buffers, plans: &[&plan], ..Default::default() };
        let told = bound.launch("go", &stream, &args).and_then(|()| stream.synchronize());
        let told = told.expect_err("an index is wrong").to_string();
        assert_eq!(told, "ids[b=2, q=4, k=1] = 9, outside 0..3", "{keys}");
    }
}

#[test]
fn more_tuples_than_there_are_numbers_are_refused() {
    let huge = 1i64 << 40;
    for keys in ["b, q", "q, b"] {
        let text = format!(
            "program tokens {{
                mesh m {{ gpu: 2 }}
                in u: i8[b: {huge}] @ [copy/gpu, b];
                in v: i8[q: {huge}] @ [q/gpu, q];
                out y: i64[e: 4, c: ragged] @ [e/gpu, e, c.pack(2)];
                route r: (b, q) -> (e, c) {{ e = (u[b] + v[q]) % 4; c = slot(e) by ({keys}); }}
                entry go {{ plan r; y[e, c] <- b via r; }}
            }}"
        );
        let found = compile(&text, None, &BTreeMap::new()).expect_err("refused");
        let tuples =
            |d: &Diagnostic| d.code == "F0999" && d.message.contains("more than 2^60 tuples");
        assert!(found.0.iter().any(tuples), "{found:?}");
    }
}

#[test]
fn an_order_of_slots_is_refused_where_it_is_written() {
    let text = program("gpu: 2", &format!("{IDS} {ROWS}"), PUSH);
    let text = text.replace("(s, t, k); }", "(k, t, s); }");
    let found = compile(&text, None, &BTreeMap::new()).expect_err("refused");
    let at = &found.0[0].span;
    assert_eq!(&text[at.start as usize..at.end as usize], "by (k, t, s)");
}

/// A handful of the texts become cubins; the tests above see that each accepted program has one.
#[test]
fn random_routes_compile_for_the_device() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    let (mut left, mut computed) = (4, 6);
    for number in 0.. {
        let case = case(&mut Random(number + 31));
        let Ok(compiled) = compile(&case.text, None, &BTreeMap::new()) else { continue };
        // What the examples do not have: an index tensor in another order, and fills before the rest.
        let schedule = &compiled.schedule;
        let plain = |r: &Route| r.row_major_index(&schedule.tensors).is_some();
        let reordered = schedule.routes.iter().any(|(_, r)| !plain(r));
        let Ok(unit) = generate(&compiled.schedule, &Target::hopper(case.ranks as u32)) else {
            continue;
        };
        let fills = unit.kernels.iter().any(|k| k.name.ends_with("_prepare"));
        let wanted = left > 0 && (reordered || fills && left % 2 == 0);
        let computes = computed > 0 && case.text.contains("own");
        if !wanted && !computes {
            continue;
        }
        if let Err(why) = jit::compile(&unit.source, "routes", "sm_90a") {
            panic!("{why}\n{}\n{}", case.text, unit.source);
        }
        left -= i32::from(wanted);
        computed -= i32::from(computes);
        if left == 0 && computed == 0 {
            return;
        }
    }
}
