//! The generated kernels of the example programs where there is no GPU: on one emulated device and on two, in orders
//! that differ, equal to the reference interpreter, and without a race. Each instruction that orders memory is left out
//! once, and is missed.

use fusco_tests::emulator::{Emulator, End, end};
use std::path::Path;
use std::process::Command;

/// A file of `examples/programs` or of `tests`, entries, and what a run of it is given.
struct Case {
    file: &'static str,
    entries: &'static str,
    given: &'static str,
    /// Devices of its ranks, where they are two.
    apart: &'static str,
}

const fn case(
    file: &'static str,
    entries: &'static str,
    given: &'static str,
    apart: &'static str,
) -> Case {
    Case { file, entries, given, apart }
}

#[rustfmt::skip]
const CASES: [Case; 23] = [
    case("moe", "dispatch,combine", "--feed z=y --set G=4,E=12,K=2,H=24,TMAX=40 --dyn T=40,0,1,17", "0,0,1,1"),
    // Rows of 8 KiB and more, positions enough: sums of rows that pass through shared memory.
    case("moe", "dispatch,combine", "--feed z=y --set G=2,E=4,K=2,H=4104,TMAX=80 --dyn T=80,63", "0,1"),
    case("moe_batch", "dispatch,combine", "--feed z=y --set G=2,E=5,K=2,H=64,B=3,S=10", "0,1"),
    case("moe_capacity", "dispatch", "--set E=16,H=32,C=128,TMAX=9 --dyn T=9,0,1,3,4,9,2,5", "0,0,0,0,1,1,1,1"),
    case("moe_ep_tp", "dispatch,combine", "--feed z=y --set G=2,TP=2,E=8,K=2,H=64,TMAX=24 --dyn T=24,9", "0,0,1,1"),
    case("moe_two_level", "dispatch,combine", "--feed z=y --set N=2,G=2,K=4,E=12,H=72,TMAX=9 --dyn T=9,0,1,7", "0,0,1,1"),
    case("moe_shared", "dispatch,combine,biased", "--feed z=y --set G=2,E=3,K=2,H=64,TMAX=24,OWNER=[1,0,1] --dyn T=24,9", "0,1"),
    case("local_permute", "permute", "--set E=6,H=96,TMAX=50 --dyn T=37", ""),
    case("reshard_transpose", "main", "--set M=256,N=512", "0,0,1,1"),
    case("cyclic_to_block", "main", "--set M=37,N=29,LDB=8", ""),
    case("dlrm", "forward,lookup", "--set B=16,D=8,LMAX=5", ""),
    case("kv_migrate", "main", "--set L=2,P=16,N=4,D=64,JMAX=8,RMAX=9 --dyn R=7", ""),
    case("to_tiles", "main", "--set M=24,C=256", ""),
    case("partials", "reduce_scatter,all_reduce", "--set M=16,N=16", ""),
    case("ulysses", "to_heads,to_seq", "--set B=2,S=8,N=8,D=16", ""),
    case("once_a_rank", "dispatch,combine", "--feed z=y --set G=4,E=8,K=3,H=72,TMAX=20 --dyn T=20,0,11,1", "0,0,1,1"),
    case("fetched", "dispatch,again,changed", "--set G=4,E=13,H=1032,D=64,TMAX=37,K=4 --dyn T=37,0,5,20", "0,0,1,1"),
    case("fetched", "dispatch,again,changed", "--set G=2,E=5,H=7168,D=64,TMAX=60,K=3 --dyn T=60,33", "0,1"),
    case("tree", "dispatch,combine,shared,folds,points", "--feed z=y --set N=2,G=2,K=4,E=12,H=72,TMAX=9 --dyn T=9,0,1,7", "0,0,1,1"),
    // More tuples than a warp has lanes.
    case("tree", "dispatch,combine,shared,folds,points", "--feed z=y --set N=3,G=1,K=33,E=12,H=8,TMAX=3 --dyn T=3,2,0", ""),
    case("two_rows", "dispatch", "--set G=2,E=4,K=2,H=512,D=1024,TMAX=60 --dyn T=60,33", "0,1"),
    case("balanced", "dispatch,combine", "--feed z=y --set N=2,G=2,K=4,E=12,H=72,TMAX=9 --dyn T=9,0,1,7", "0,0,1,1"),
    // Rows that pass through shared memory.
    case("balanced", "dispatch,combine", "--feed z=y --set N=2,G=2,K=2,E=4,H=4104,TMAX=24 --dyn T=24,3,0,20", "0,0,1,1"),
];

fn path(file: &str) -> String {
    let tests = ["balanced", "fetched", "once_a_rank", "tree", "two_rows"];
    let folder = if tests.contains(&file) { "tests/gpu" } else { "examples/programs" };
    format!("{}/../{folder}/{file}.fusco", env!("CARGO_MANIFEST_DIR"))
}

fn emulator() -> Option<Emulator> {
    Emulator::new(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn run(mut command: Command, case: &Case, apart: bool) -> (End, String) {
    command.arg("run").arg(path(case.file)).args(["--entry", case.entries]);
    command.args(["--backend", "cuda", "--random", "5", "--verify"]);
    command.args(case.given.split_whitespace());
    if apart {
        command.args(["--devices", case.apart]);
    }
    end(&mut command)
}

#[test]
fn ranks_of_a_device_are_neighbours() {
    let Some(machine) = emulator() else { return };
    let moe = Case { apart: "0,1,0,1", ..CASES[0] };
    let (end, said) = run(machine.command(env!("CARGO_BIN_EXE_fuscoc"), 1), &moe, true);
    assert_eq!(end, End::Failed, "{said}");
    assert!(said.contains("neighbours"), "{said}");
}

#[test]
fn what_the_model_expects_stands_beside_what_was_measured() {
    let Some(machine) = emulator() else { return };
    let repeated = |backend: &str| {
        let mut command = machine.command(env!("CARGO_BIN_EXE_fuscoc"), 1);
        command.arg("run").arg(path("moe")).args(["--entry", "dispatch,combine", "--feed", "z=y"]);
        command.args(["--set", "G=2,E=4,K=2,H=32,TMAX=8", "--dyn", "T=3,8", "--random", "2"]);
        command.args(["--backend", backend, "--repeat", "1", "--json"]);
        let done = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect(&said);
        ["dispatch", "combine"].map(|e| json["entries"][e]["expected_seconds"].as_f64())
    };
    // Two launches with their handshakes, and no bytes to speak of.
    let [dispatch, combine] = repeated("cuda").map(|s| s.expect("a model"));
    assert!(combine > 1e-6 && dispatch > combine && dispatch < 2e-5, "{dispatch} {combine}");
    assert_eq!(repeated("host"), [None, None]);
}

#[test]
fn rates_that_were_measured_are_what_is_expected_from_then_on() {
    let Some(machine) = emulator() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let json = |args: &[&str]| -> serde_json::Value {
        let mut command = machine.command(env!("CARGO_BIN_EXE_fuscoc"), 1);
        let done = command.env("FUSCO_CACHE_DIR", cache.path()).args(args).output();
        let done = done.expect("it runs");
        serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&done.stderr)))
    };
    let expected = || {
        let file = path("ulysses");
        let run = ["run", &file, "--entry", "to_heads", "--set", "B=1,S=8,N=8,D=16", "--random"];
        let run = [&run[..], &["1", "--backend", "cuda", "--devices", "0,0,0,0,1,1,1,1"]].concat();
        let run = json(&[&run[..], &["--repeat", "1", "--json"]].concat());
        run["entries"]["to_heads"]["expected_seconds"].as_f64().expect("a model")
    };
    let known = expected();
    let bench = ["bench", "--links", "--devices", "0,0,1,1", "--small", "--repeat", "2"];
    let measured = json(&[&bench[..], &["--format", "json"]].concat());
    let rate = |name: &str| measured["rates"][name]["measured"].as_f64();
    let barrier = rate("barrier").expect("several devices meet");
    assert!(rate("launch").is_some_and(|ns| ns > 0.0), "{measured}");
    // Threads of one emulated device after the other take far longer than those of a device.
    assert!(barrier > 10.0 * measured["rates"]["barrier"]["architecture"].as_f64().expect("known"));
    let file = measured["kept"].as_str().expect("a file");
    let kept = std::fs::read_to_string(file).expect("kept");
    assert!(kept.contains(&format!("barrier {barrier}")), "{kept}");
    assert!(expected() > known + barrier / 1e9, "{known} {barrier}");
    let host = machine
        .command(env!("CARGO_BIN_EXE_fuscoc"), 1)
        .args(bench)
        .args(["--backend", "host"])
        .output();
    assert_eq!(host.expect("it runs").status.code(), Some(2));
}

#[test]
fn kernels_equal_the_oracle_in_any_order_of_their_threads() {
    let Some(machine) = emulator() else { return };
    for case in &CASES {
        for (seed, apart) in [(1, false), (2, true), (3, true)] {
            if apart && case.apart.is_empty() {
                continue;
            }
            let command = machine.command(env!("CARGO_BIN_EXE_fuscoc"), seed);
            let (end, said) = run(command, case, apart);
            assert_eq!(end, End::Passed, "{} {}, seed {seed}:\n{said}", case.file, case.given);
            assert!(said.contains("bit for bit"), "{} is not compared: {said}", case.file);
        }
    }
}

/// Threads, CTAs, ranks and the copy engine meet only where one knows of the other.
#[test]
fn kernels_race_nowhere() {
    let Some(machine) = emulator() else { return };
    for case in &CASES {
        let apart = !case.apart.is_empty();
        let Some(command) = machine.watched(env!("CARGO_BIN_EXE_fuscoc"), 4) else { return };
        let (end, said) = run(command, case, apart);
        assert_eq!(end, End::Passed, "{} {}:\n{said}", case.file, case.given);
    }
}

/// An instruction that orders memory, and a program that lives by it. `st.release` is for consumers of arrivals alone.
const ORDERS: [(&str, usize); 8] = [
    ("fence_acq_rel", 0),
    ("ld_acquire", 0),
    ("red_release", 1),
    ("fence_proxy_async_shared", 14),
    ("mbarrier_try_wait", 1),
    ("cp_async_bulk_wait_group_read", 14),
    ("__syncwarp", 0),
    ("__syncthreads", 0),
];

#[test]
fn an_order_that_is_left_out_is_missed() {
    let Some(machine) = emulator() else { return };
    let mut unmissed = Vec::new();
    for (order, at) in ORDERS {
        let case = &CASES[at];
        let Some(mut command) = machine.watched(env!("CARGO_BIN_EXE_fuscoc"), 4) else { return };
        command.env("FUSCO_EMULATED_WITHOUT", order);
        // Such text must not be taken for the other.
        let scratch = tempfile::tempdir().expect("a folder");
        command.env("FUSCO_CACHE_DIR", scratch.path());
        let (end, said) = run(command, case, true);
        println!("{order}: {end:?}");
        if end == End::Passed {
            unmissed.push((order, case.file, said));
        }
    }
    assert!(unmissed.is_empty(), "nobody misses {unmissed:?}");
}
