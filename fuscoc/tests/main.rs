//! The command line as a user meets it: runs against the oracle, exit codes, messages.

use proptest::prelude::*;
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn fuscoc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fuscoc"))
        .args(args)
        .current_dir(ROOT)
        .output()
        .expect("fuscoc runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs with `--verify`; panics unless every element equals the oracle.
fn verified(args: &[&str]) {
    let output = fuscoc(&[&["run"], args, &["--verify"]].concat());
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && out.contains("bit for bit"),
        "{args:?}\n{out}\n{}",
        stderr(&output)
    );
}

fn trace(file: &str, set: &str, tokens: &str) {
    let topk = format!("topk=examples/traces/{file}.safetensors:topk_idx");
    let w = format!("w=examples/traces/{file}.safetensors:topk_weight");
    let set = format!("{set},H=32,TMAX={tokens}");
    let t = format!("T={tokens}");
    let moe = [
        "examples/programs/moe.fusco",
        "--entry",
        "dispatch,combine",
        "--feed",
        "z=y",
        "--random",
        "1",
    ];
    verified(&[&moe[..], &["--set", &set, "--dyn", &t, "--in", &topk, "--in", &w]].concat());
}

#[test]
fn real_traces_equal_the_oracle() {
    trace("e256_k8_r8", "G=8,E=256,K=8", "4096");
    trace("e128_k8_r4", "G=4,E=128,K=8", "4096");
    trace("e8_k2_r2", "G=2,E=8,K=2", "2048");
}

#[test]
fn a_trace_through_capacity_and_through_one_device() {
    let topk = "topk=examples/traces/e8_k2_r2.safetensors:topk_idx";
    let moe = ["examples/programs/moe.fusco", "--entry", "dispatch", "--random", "3", "--in", topk];
    verified(&[&moe[..], &["--set", "G=2,E=8,K=2,H=8,TMAX=2048", "--dyn", "T=100,2048"]].concat());
    let capacity = ["examples/programs/moe_capacity.fusco", "--entry", "dispatch", "--random", "4"];
    verified(
        &[
            &capacity[..],
            &["--set", "E=16,H=16,C=128,TMAX=300", "--dyn", "T=300,0,1,299,17,300,2,64"],
        ]
        .concat(),
    );
    let permute = ["examples/programs/local_permute.fusco", "--entry", "permute", "--random", "5"];
    verified(&[&permute[..], &["--set", "E=20,H=24,TMAX=500", "--dyn", "T=333"]].concat());
}

/// The real router choices of 32768 tokens, through the capacity form (its K is 2) and through one device.
#[test]
fn the_256_expert_trace_through_capacity_and_through_one_device() {
    let topk = "topk=examples/traces/e256_k8_r8.safetensors:topk_idx";
    let capacity = ["examples/programs/moe_capacity.fusco", "--entry", "dispatch", "--random", "6"];
    let set = "E=256,H=16,C=128,TMAX=4096";
    verified(&[&capacity[..], &["--set", set, "--dyn", "T=4096", "--in", topk]].concat());
    let permute = ["examples/programs/local_permute.fusco", "--entry", "permute", "--random", "7"];
    let set = "E=256,H=16,TMAX=32768";
    verified(&[&permute[..], &["--set", set, "--dyn", "T=32768", "--in", topk]].concat());
}

/// Every example of static placements on the command line, counts and page numbers at random.
#[test]
fn movements_without_a_route_equal_the_oracle() {
    let run = |file: &str, more: &[&str]| {
        let file = format!("examples/programs/{file}.fusco");
        verified(&[&[file.as_str(), "--random", "11"], more].concat());
    };
    run("reshard_transpose", &["--entry", "main", "--set", "M=256,N=512"]);
    run("to_tiles", &["--entry", "main", "--set", "M=72,C=384"]);
    let entries = ["--entry", "to_heads,to_seq", "--feed", "a=p"];
    run("ulysses", &[&entries[..], &["--set", "B=3,S=40,N=16,D=24"]].concat());
    run("partials", &["--entry", "reduce_scatter,all_reduce", "--set", "M=40,N=56"]);
    run("cyclic_to_block", &["--entry", "main", "--set", "M=201,N=333,LDB=84"]);
    run("dlrm", &["--entry", "forward,lookup", "--set", "B=20,D=12,LMAX=9"]);
    let sizes = "L=2,P=13,N=8,D=16,JMAX=5,RMAX=6";
    run("kv_migrate", &["--entry", "main", "--set", sizes, "--dyn", "R=5"]);
}

/// Owners from a file, at random, and from an entry before: what is verified, told and written follows them.
#[test]
fn groups_lie_with_owners_that_a_tensor_names() {
    let set = "K=2,P=7,H=16,TMAX=9";
    let moe = "tests/gpu/moe_owners.fusco";
    let entries = ["--entry", "dispatch,combine", "--feed", "z=y", "--random", "3", "--dyn", "T=9"];
    for ranks in 1..=8 {
        let set = format!("G={ranks},{set}");
        verified(&[&[moe, "--set", &set], &entries[..]].concat());
    }
    let text = std::fs::read_to_string(std::path::Path::new(ROOT).join(moe)).expect("a program");
    let made = "in given: ix32(gpu)[e: P] @ [copy/gpu, e];
    out made: ix32(gpu)[e: P] @ [copy/gpu, e];
    entry place { made[e] <- given[e]; }
    in owner";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.fusco");
    std::fs::write(&path, text.replace("in owner", made)).expect("written");
    let (file, out) = (path.display().to_string(), folder.path().join("out.safetensors"));
    let (set, out) = (format!("G=3,{set}"), out.display().to_string());
    let run = [&file, "--set", &set, "--entry", "place,dispatch,combine", "--feed", "owner=made"];
    let run =
        [&run[..], &["--feed", "z=y", "--random", "3", "--dyn", "T=9", "--out", &out]].concat();
    verified(&run);
    let output = fuscoc(&[&["run"], &run[..]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("route r, whose groups have owners that an earlier entry named"),
        "{told}"
    );
    assert!(std::fs::metadata(&out).expect("it is written").len() > 0);
}

const OWNERS: &str = "program owners {
    mesh m { g: 3 }
    param OWNER: ints;
    param F: int;
    in    x: i32[f: F, d: 5] @ [copy/g, f, d];
    inout y: i32[f: F, d: 5] @ [f/g.map(OWNER), f, d];
    entry main { y[f, d] <- x[f, d]; }
}";

#[test]
fn arrays_are_set_on_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("owners.fusco");
    std::fs::write(&path, OWNERS).expect("written");
    let file = path.to_str().expect("UTF-8");
    let run = [file, "--entry", "main", "--random", "2", "--set", "OWNER=[2,0,2,1],F=4"];
    verified(&run);
    let output = fuscoc(&[&["run"], &run[..]].concat());
    let out = String::from_utf8_lossy(&output.stdout);
    // 4 x 5 elements of 4 bytes, read and written.
    assert!(out.contains("F=4 OWNER=[2,0,2,1]") && out.contains("160 B"), "{out}");
    let short =
        fuscoc(&["run", file, "--entry", "main", "--random", "2", "--set", "OWNER=[2,0,F=4"]);
    assert_eq!(short.status.code(), Some(2), "{}", stderr(&short));
    assert!(stderr(&short).contains("`]` is missing"), "{}", stderr(&short));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_parameters_equal_the_oracle(
        ranks in 1i64..9, per_rank in 1i64..6, k in 1i64..6, h in 1i64..6, tokens in prop::collection::vec(0i64..70, 8), seed in 0u64..1000,
    ) {
        let experts = ranks * per_rank;
        let k = k.min(experts);
        let set = format!("G={ranks},E={experts},K={k},H={},TMAX=70", h * 8);
        let t = tokens[..ranks as usize].iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (t, seed) = (format!("T={t}"), seed.to_string());
        verified(&["examples/programs/moe.fusco", "--entry", "dispatch,combine", "--feed", "z=y", "--set", &set, "--dyn", &t, "--random", &seed]);
    }
}

#[test]
fn exit_codes_say_who_is_at_fault() {
    let moe = "examples/programs/moe.fusco";
    assert_eq!(fuscoc(&["check", moe]).status.code(), Some(0));
    let wrong = fuscoc(&["emit", moe, "--stage", "plan", "--set", "G=8,E=256,K=8,H=7170,TMAX=16"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("7170 % 8 == 0 is false"), "{}", stderr(&wrong));
    assert_eq!(fuscoc(&["run", moe]).status.code(), Some(2));
    let missing = fuscoc(&[
        "run",
        moe,
        "--entry",
        "dispatch",
        "--set",
        "G=2,E=4,K=2,H=8,TMAX=4",
        "--dyn",
        "T=4",
    ]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("--random SEED"), "{}", stderr(&missing));
    let cuda = [
        "run",
        moe,
        "--entry",
        "dispatch",
        "--set",
        "G=2,E=4,K=2,H=8,TMAX=4",
        "--dyn",
        "T=4",
        "--random",
        "1",
        "--backend",
        "cuda",
    ];
    let cuda = fuscoc(&cuda);
    // A machine with a GPU runs it; one without says what it lacks.
    assert!(matches!(cuda.status.code(), Some(0 | 3)), "{}", stderr(&cuda));
}

#[test]
fn one_entry_and_ptx_are_emitted() {
    let moe = ["emit", "examples/programs/moe.fusco", "--set", "G=2,E=4,K=2,H=8,TMAX=4"];
    let emit = |more: &[&str]| fuscoc(&[&moe[..], more].concat());
    let cuda = emit(&["--stage", "cuda", "--entry", "combine"]);
    let text = String::from_utf8_lossy(&cuda.stdout);
    assert!(text.contains("moe_combine(") && !text.contains("moe_dispatch("), "{text}");
    let unknown = emit(&["--stage", "cuda", "--entry", "combin"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("did you mean `combine`?"), "{}", stderr(&unknown));
    let ptx = emit(&["--stage", "ptx"]);
    let text = String::from_utf8_lossy(&ptx.stdout);
    match ptx.status.code() {
        Some(0) => assert!(text.contains(".target sm_90a") && text.contains("moe_dispatch")),
        code => assert_eq!(code, Some(3), "{}", stderr(&ptx)),
    }
}

#[test]
fn not_lowered_yet_is_located_and_in_json_too() {
    let text = fuscoc(&["check", "examples/programs/moe_fp8.fusco"]);
    assert_eq!(text.status.code(), Some(1));
    assert!(
        stderr(&text).contains("F0999") && stderr(&text).contains("moe_fp8.fusco:"),
        "{}",
        stderr(&text)
    );
    let json = fuscoc(&["--format", "json", "check", "examples/programs/moe_fp8.fusco"]);
    let parsed: serde_json::Value = serde_json::from_str(&stderr(&json)).expect("JSON");
    assert!(parsed.as_array().is_some_and(|a| a.len() > 1 && a[0]["code"] == "F0999"));
}

#[test]
fn outputs_go_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.safetensors");
    let path = path.to_str().expect("UTF-8");
    let permute = [
        "examples/programs/local_permute.fusco",
        "--entry",
        "permute",
        "--random",
        "5",
        "--out",
        path,
    ];
    verified(&[&permute[..], &["--set", "E=20,H=24,TMAX=500", "--dyn", "T=333"]].concat());
    let bytes = std::fs::read(path).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let (count, y) =
        (file.tensor("y.count").expect("counts"), file.tensor("y@0").expect("the buffer"));
    let rows: usize = count
        .data()
        .chunks(4)
        .map(|c| i32::from_le_bytes([c[0], c[1], c[2], c[3]]) as usize)
        .map(|n| n.div_ceil(128) * 128)
        .sum();
    assert_eq!(y.shape(), [rows * 24]);
}

/// Benches on the host and reads the rows of its JSON.
fn benched(args: &[&str]) -> (String, Vec<serde_json::Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.json");
    let svg = folder.path().join("rows.svg");
    let files = ["--json", path.to_str().expect("UTF-8"), "--svg", svg.to_str().expect("UTF-8")];
    let output = fuscoc(&[&["bench", "--repeat", "4"], args, &files].concat());
    assert!(output.status.success(), "{args:?}\n{}", stderr(&output));
    let text = std::fs::read_to_string(&path).expect("written");
    let mut parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let drawn = std::fs::read_to_string(&svg).expect("drawn");
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{drawn}");
    let rows = parsed["rows"].take();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    // Each work is told of as soon as it is timed.
    for row in rows.as_array().expect("a list").iter().filter(|r| r["missing"].is_null()) {
        let work = row["work"].as_str().expect("a name");
        let told = stderr(&output).lines().any(|l| l.starts_with(&format!("{work}, ")));
        assert!(told, "{work}\n{}", stderr(&output));
    }
    (out, rows.as_array().expect("a list").clone())
}

fn timed(row: &serde_json::Value) {
    for key in ["/ms/median", "/ms/min", "/ms/max", "/copy_ms/median", "/copy_gb_s", "/ratio"] {
        assert!(row.pointer(key).and_then(|v| v.as_f64()).is_some_and(|v| v > 0.0), "{key}: {row}");
    }
    assert!(row["ms"]["min"].as_f64() <= row["ms"]["median"].as_f64(), "{row}");
    assert!(row["ms"]["median"].as_f64() <= row["ms"]["max"].as_f64(), "{row}");
    assert_eq!(row["ms"]["runs"], 4);
    assert!(row["checked"]["elements"].as_u64().is_some_and(|n| n > 0), "{row}");
}

#[test]
fn a_bench_counts_the_bytes_of_a_layer() {
    let moe = ["examples/programs/moe.fusco", "--entry", "dispatch,combine", "--feed", "z=y"];
    let shape = ["--set", "G=2,E=4,K=2,H=16,TMAX=40", "--dyn", "T=40,10", "--random", "1"];
    let (_, rows) = benched(&[&moe[..], &shape].concat());
    assert_eq!(rows.iter().map(|r| &r["work"]).collect::<Vec<_>>(), ["dispatch", "combine"]);
    rows.iter().for_each(timed);
    // 50 tokens, 100 pairs, rows of 32 bytes; indices of 8, weights of 4, 4 counts of 4.
    assert_eq!(rows[0]["read_bytes"], 50 * 32 + 100 * 8);
    assert_eq!(rows[0]["written_bytes"], 100 * 32 + 16);
    assert_eq!(rows[0]["fill_bytes"], (4 * 128 - 100) * 32);
    assert_eq!(rows[1]["read_bytes"], 100 * 32 + 100 * 4);
    assert_eq!(rows[1]["written_bytes"], 50 * 32);
}

#[test]
fn a_bench_counts_the_bytes_of_a_reshard() {
    let reshard = ["examples/programs/reshard_transpose.fusco", "--entry", "main", "--random", "2"];
    let (out, rows) = benched(&[&reshard[..], &["--set", "M=256,N=512"]].concat());
    timed(&rows[0]);
    assert_eq!(rows[0]["read_bytes"], 256 * 512 * 2);
    assert_eq!(rows[0]["written_bytes"], 256 * 512 * 2);
    assert_eq!(rows[0]["checked"]["elements"], 256 * 512);
    assert!(out.contains("equal the reference interpreter"), "{out}");
    let unchecked =
        [&reshard[..], &["--set", "M=256,N=256", "--no-verify", "--repeat", "1"]].concat();
    let output = fuscoc(&[&["bench"], &unchecked[..]].concat());
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT checked"));
}

#[test]
fn a_work_of_the_suite_runs_small_as_a_graph() {
    let (_, rows) =
        benched(&["--small", "--backend", "host", "--only", "decode_8,cyclic_to_block"]);
    assert_eq!(rows.len(), 2);
    rows.iter().for_each(timed);
    assert_eq!(rows[0]["entries"], serde_json::json!(["dispatch", "combine"]));
    assert!(rows[0]["empty_ms"]["median"].is_f64(), "{}", rows[0]);
    assert_eq!(rows[1]["read_bytes"], 1000 * 777 * 4);
}

#[test]
fn curves_are_timed_checked_and_drawn() {
    let (out, rows) = benched(&["--curves", "--small", "--backend", "host"]);
    let curves = ["tokens", "experts", "topk", "hidden", "ranks", "ctas"];
    for (curve, points) in curves.iter().zip([3, 2, 3, 2, 3, 4]) {
        let own: Vec<_> = rows.iter().filter(|r| r["curve"] == *curve).collect();
        assert_eq!(own.len(), 2 * points, "{curve}");
        assert!(out.contains(curve), "{out}");
    }
    for row in &rows {
        timed(row);
        assert_eq!(row["checked"]["by"], "the reference interpreter");
        assert!(row["x"].as_i64() > Some(0) && row["cliff"].is_boolean(), "{row}");
    }
    assert_eq!(rows[2]["read_bytes"], 2 * 3 * (64 * 2 + 2 * 8));
    assert!(out.contains("combine, 2 ranks"), "{out}");
    let (_, rows) = benched(&["--curves", "--small", "--backend", "host", "--only", "ranks"]);
    assert_eq!(rows.iter().map(|r| r["x"].clone()).collect::<Vec<_>>(), [1, 1, 2, 2, 4, 4]);
    let output = fuscoc(&["bench", "--curves", "--only", "token"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there are tokens, experts"), "{}", stderr(&output));
}

#[test]
fn several_ranks_are_timed_beside_their_neighbours() {
    let (out, rows) = benched(&["--devices", "0,0,0,0", "--small", "--backend", "host"]);
    assert!(
        out.contains("a dry run on the host") && out.contains("each device to the next"),
        "{out}"
    );
    let works: Vec<_> = rows.iter().map(|r| r["work"].as_str().expect("a name")).collect();
    let drawn = ["dispatch_rows", "dispatch", "combine"];
    let tight = ["tight_rows", "tight_dispatch", "combine_tree"];
    let few = ["tight_dispatch_128", "combine_tree_128", "tight_both_128"];
    let traced =
        ["dispatch_e256_trace", "combine_e256_trace", "dispatch_e128_trace", "combine_e128_trace"];
    let whole = ["ulysses_to_heads", "ulysses_to_seq", "reshard_transpose"];
    assert_eq!(works, [&drawn[..], &tight, &few, &traced, &whole].concat());
    for row in &rows {
        timed(row);
        let number = |key: &str| row[key].as_i64().unwrap_or_default();
        assert!(0 < number("across_once_bytes"), "{row}");
        assert!(number("across_once_bytes") <= number("across_bytes"), "{row}");
    }
    // Three of four parts of [128, 64, 16] bf16 change ranks.
    let heads = rows.iter().find(|r| r["work"] == "ulysses_to_heads").expect("a row");
    assert_eq!(heads["across_bytes"], 128 * 64 * 16 * 2 * 3 / 4);
    let output = fuscoc(&["bench", "--devices", "0,0", "--backend", "host", "--only", "dispach"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("they have dispatch_rows, dispatch, combine"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_work_that_is_not_in_the_suite_is_a_usage_error() {
    let output = fuscoc(&["bench", "--only", "plam"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("it has plan, dispatch"), "{}", stderr(&output));
    assert_eq!(fuscoc(&["bench", "examples/programs/moe.fusco"]).status.code(), Some(2));
}

#[test]
fn explain_prints_the_catalogue() {
    let known = fuscoc(&["explain", "F0304"]);
    let text = String::from_utf8_lossy(&known.stdout);
    assert!(known.status.success(), "{}", stderr(&known));
    for part in ["F0304: ", "Wrong:", "Fixed:", "error[F0304]: M % gpu == 0 is not known"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let object = fuscoc(&["explain", "f0901", "--format", "json"]);
    let object: serde_json::Value = serde_json::from_slice(&object.stdout).expect("JSON");
    assert_eq!(object["code"], "F0901");
    assert_eq!(object["stage"], "bind");
    assert!(object["wrong"].as_str().is_some_and(|p| p.starts_with("program")));
    let unknown = fuscoc(&["explain", "F0312"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(stderr(&unknown).trim(), "error: no code `F0312`; the nearest is F0311");
}

#[test]
fn explain_describes_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let drawing = folder.path().join("layout.svg");
    let drawing = drawing.to_str().expect("a path");
    let file = "examples/programs/reshard_transpose.fusco";
    let set = ["--set", "M=512,N=512"];
    let done =
        fuscoc(&[&["explain", file, "--entry", "main", "--svg", drawing][..], &set].concat());
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}", stderr(&done));
    for part in ["entry main", "gather", "scatter", "transpose", "chosen", "rejected", "bytes"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let drawn = std::fs::read_to_string(drawing).expect("written");
    assert!(drawn.starts_with("<svg ") && drawn.contains("</svg>"));
    let none = fuscoc(&[&["explain", file, "--entry", "mian"][..], &set].concat());
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("the program has main"), "{}", stderr(&none));
    let unbound = fuscoc(&["explain", file]);
    assert_eq!(unbound.status.code(), Some(1));
    assert!(stderr(&unbound).contains("F0901"), "{}", stderr(&unbound));
    assert_eq!(fuscoc(&["explain", "no_such_file.fusco"]).status.code(), Some(1));
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let moe = "examples/programs/moe.fusco";
    let set = ["--set", "G=2,E=4,K=2,H=8,TMAX=4"];
    let run = |more: &[&str]| stderr(&fuscoc(&[&["run", moe][..], &set, more].concat()));
    let dispatch = ["--entry", "dispatch", "--dyn", "T=4", "--random", "1"];
    for (more, near) in [
        (vec!["--entry", "dispach"], "dispatch"),
        (vec!["--entry", "dispatch", "--dyn", "TT=4"], "T"),
        ([&dispatch[..], &["--in", "topkk=x"]].concat(), "topk"),
        ([&dispatch[..], &["--feed", "z=yy"]].concat(), "y"),
        ([&dispatch[..], &["--program", "moee"]].concat(), "moe"),
        ([&dispatch[..], &["--set", "TMAXX=4"]].concat(), "TMAX"),
    ] {
        let said = run(&more);
        assert!(said.contains(&format!("`{near}`")), "{more:?}: {said}");
    }
    let stage = stderr(&fuscoc(&["emit", moe, "--stage", "shedule"]));
    assert!(stage.contains("schedule"), "{stage}");
}
