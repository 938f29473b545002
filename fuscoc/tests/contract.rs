//! The contract of the command line: what a failure looks like to a machine, who is at fault, what the files
//! hold, and that a run is judged by what it did.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MOE: &str = "examples/programs/moe.fusco";
const MOE_SET: [&str; 2] = ["--set", "G=2,E=4,K=2,H=8,TMAX=8"];

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
    command.args(args).current_dir(ROOT);
    command
}

fn fuscoc(args: &[&str]) -> Output {
    command(args).output().expect("fuscoc runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder with one program in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("p.fusco"), text).expect("written");
        Place { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_string()
    }

    fn program(&self) -> String {
        self.path("p.fusco")
    }

    fn write(&self, name: &str, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> String {
        let view = |(key, dtype, shape, data): &(&str, Dtype, &[usize], Vec<u8>)| {
            let view =
                TensorView::new(*dtype, shape.to_vec(), data).expect("a tensor").to_owned_parts();
            (key.to_string(), view)
        };
        let owned: Vec<_> = tensors.iter().map(view).collect();
        let views = owned.iter().map(|(key, (dtype, shape, data))| {
            (key.clone(), TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
        });
        let path: PathBuf = self.folder.path().join(name);
        safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, &path).expect("written");
        path.to_str().expect("UTF-8").to_string()
    }
}

trait Parts {
    fn to_owned_parts(&self) -> (Dtype, Vec<usize>, Vec<u8>);
}

impl Parts for TensorView<'_> {
    fn to_owned_parts(&self) -> (Dtype, Vec<usize>, Vec<u8>) {
        (self.dtype(), self.shape().to_vec(), self.data().to_vec())
    }
}

/// Shape and bytes of a key.
fn tensor(path: &str, key: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).expect("written");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let view = file.tensor(key).unwrap_or_else(|_| panic!("no `{key}`: {:?}", file.names()));
    (view.shape().to_vec(), view.data().to_vec())
}

fn ints(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks(4).map(|c| i32::from_le_bytes(c.try_into().expect("4 bytes"))).collect()
}

fn bytes(values: impl IntoIterator<Item = i32>) -> Vec<u8> {
    values.into_iter().flat_map(i32::to_le_bytes).collect()
}

// What a run is judged by, and what it writes.

const THIRDS: &str = "program thirds {
    mesh m { g: 2 }
    in a: i32[i: 4] @ [i/g, i];
    in b: i32[i: 4] @ [i/g, i];
    inout y: i32[p: 3, i: 4] @ [i/g, p, i];
    entry first { y[0, i] <- a[i]; }
    entry second { y[1, i] <- b[i]; }
}";

#[test]
fn each_entry_finds_what_the_one_before_left_in_an_inout() {
    let place = Place::new(THIRDS);
    let (file, out) = (place.program(), place.path("out"));
    let given = place.write(
        "in",
        &[
            ("a", Dtype::I32, &[4], bytes(1..5)),
            ("b", Dtype::I32, &[4], bytes(11..15)),
            ("y", Dtype::I32, &[3, 4], bytes(21..33)),
        ],
    );
    let ins: Vec<String> = ["a", "b", "y"].map(|n| format!("{n}={given}")).into();
    let mut args = vec!["run", &file, "--entry", "first,second", "--out", &out, "--verify"];
    ins.iter().for_each(|i| args.extend(["--in", i]));
    let done = fuscoc(&args);
    assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
    let wanted: Vec<i32> = (1..5).chain(11..15).chain(29..33).collect();
    assert_eq!(tensor(&out, "y"), (vec![3, 4], bytes(wanted)));
    assert_eq!(tensor(&out, "y@1"), (vec![6], bytes([3, 4, 13, 14, 31, 32])));
}

#[test]
fn a_file_has_the_logical_array_and_the_counts_with_and_without_verify() {
    let place = Place::new("");
    let run = |name: &str, more: &[&str]| {
        let out = place.path(name);
        let moe = ["run", MOE, "--entry", "dispatch", "--dyn", "T=8,3", "--random", "1"];
        let done = fuscoc(&[&moe[..], &MOE_SET, &["--out", &out], more].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        out
    };
    let (plain, verified) = (run("plain", &[]), run("verified", &["--verify"]));
    assert_eq!(std::fs::read(&plain).expect("read"), std::fs::read(&verified).expect("read"));
    let (shape, count) = tensor(&plain, "y.count");
    let count = ints(&count);
    assert_eq!((shape, count.iter().sum::<i32>()), (vec![4], 11 * 2));
    let longest = *count.iter().max().expect("four") as usize;
    let (shape, logical) = tensor(&plain, "y");
    assert_eq!(shape, [4, longest, 8]);
    assert_eq!(ints(&tensor(&plain, "n").1), count);
    // Each expert's rows lie on its rank, experts aligned to 128 rows of 16 bytes.
    for rank in 0..2 {
        let (elements, buffer) = tensor(&plain, &format!("y@{rank}"));
        let own = &count[rank * 2..rank * 2 + 2];
        let rows: Vec<usize> = own.iter().map(|n| (*n as usize).next_multiple_of(128)).collect();
        assert_eq!(elements, [rows.iter().sum::<usize>() * 8]);
        let mut first = 0;
        for (i, live) in own.iter().enumerate() {
            let (live, from) = (*live as usize * 16, (rank * 2 + i) * longest * 16);
            assert_eq!(buffer[first..first + live], logical[from..from + live]);
            assert!(logical[from + live..from + longest * 16].iter().all(|b| *b == 0), "padding");
            first += rows[i] * 16;
        }
    }
}

const JAGGED: &str = "program jagged {
    mesh m { g: 2 }
    in len: i32[b: 4] @ [b/g, b];
    in a: i32[b: 4, l: len[b] <= 8] @ [b/g, b, l.slab(8)];
    out y: i32[b: 4, l: len[b] <= 8] @ [b/g, b, l.pack(4)];
    entry e { y[b, l] <- a[b, l]; }
}";

#[test]
fn a_packed_buffer_of_counted_rows_ends_at_the_last_live_one() {
    let place = Place::new(JAGGED);
    let (file, out) = (place.program(), place.path("out"));
    let given = place.write(
        "in",
        &[
            ("len", Dtype::I32, &[4], bytes([3, 5, 0, 1])),
            ("a", Dtype::I32, &[4, 8], bytes(100..132)),
        ],
    );
    let (len, a) = (format!("len={given}"), format!("a={given}"));
    let done = fuscoc(&["run", &file, "--in", &len, "--in", &a, "--out", &out, "--verify"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(tensor(&out, "y.count"), (vec![4], bytes([3, 5, 0, 1])));
    let (shape, logical) = tensor(&out, "y");
    assert_eq!(shape, [4, 5]);
    assert_eq!(ints(&logical)[..10], [100, 101, 102, 0, 0, 108, 109, 110, 111, 112]);
    assert_eq!(ints(&logical)[10..], [0, 0, 0, 0, 0, 124, 0, 0, 0, 0]);
    // 3 rows to 4, 5 rows to 8; no row, then one row to 4.
    let (shape, first) = tensor(&out, "y@0");
    assert_eq!((shape, ints(&first)[..3].to_vec()), (vec![12], vec![100, 101, 102]));
    assert_eq!(ints(&first)[4..9], [108, 109, 110, 111, 112]);
    assert_eq!(tensor(&out, "y@1").0, [4]);
}

#[test]
fn copies_and_other_meshes_are_gathered() {
    let place = Place::new("");
    let out = place.path("out");
    let partials = ["run", "examples/programs/partials.fusco", "--entry"];
    let rest = ["reduce_scatter,all_reduce", "--set", "M=8,N=8", "--random", "1", "--out", &out];
    let done = fuscoc(&[&partials[..], &rest].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    for key in ["a", "b"] {
        let (shape, logical) = tensor(&out, key);
        assert_eq!(shape, [8, 8]);
        let whole = (0..8).flat_map(|r| tensor(&out, &format!("a@{r}")).1);
        match key {
            "a" => assert_eq!(logical, whole.collect::<Vec<u8>>()),
            _ => assert_eq!(logical, tensor(&out, "b@3").1),
        }
    }
    let sizes = "L=2,P=13,N=8,D=16,JMAX=5,RMAX=6";
    let kv = ["run", "examples/programs/kv_migrate.fusco", "--set", sizes, "--dyn", "R=5"];
    let done = fuscoc(&[&kv[..], &["--random", "3", "--out", &out, "--verify"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(tensor(&out, "kv.count").0, [5]);
    assert_eq!(tensor(&out, "kv").0[..3], [2, 2, 5]);
    assert_eq!(tensor(&out, "kv@0").0, [0], "no rank of the decode mesh");
}

const FEEDS: &str = "program feeds {
    mesh m { g: 2 }
    in x: i32[i: 4, j: 4] @ [i/g, i, j];
    out y: i32[i: 4, j: 4] @ [i/g, i, j];
    in same: i32[r: 4, c: 4] @ [r/g, r, c];
    in turned: i32[i: 4, j: 4] @ [i/g, j, i];
    in copied: i32[i: 4, j: 4] @ [copy/g, i, j];
    in short: i32[i: 4, j: 2] @ [i/g, i, j:2];
    in float: f32[i: 4, j: 4] @ [i/g, i, j];
    inout kept: i32[i: 4, j: 4] @ [i/g, i, j];
    out o: i32[i: 4, j: 4] @ [i/g, i, j];
    entry make { y[i, j] <- x[i, j]; }
    entry a { o[i, j] <- same[i, j]; }
}";

#[test]
fn a_feed_has_the_shape_type_and_placement_of_its_input() {
    let place = Place::new(FEEDS);
    let file = place.program();
    let run = |entries: &str, feed: &str| {
        fuscoc(&["run", &file, "--entry", entries, "--feed", feed, "--random", "1", "--verify"])
    };
    let done = run("make,a", "same=y");
    assert!(done.status.success(), "{}", stderr(&done));
    for (feed, why) in [
        ("turned=y", "their placements"),
        ("copied=y", "their placements"),
        ("short=y", "their shapes"),
        ("float=y", "their element types, f32 and i32"),
        ("kept=y", "`kept` is not an `in`"),
        ("same=x", "`x` is not an `out`"),
    ] {
        let refused = run("make,a", feed);
        assert_eq!(refused.status.code(), Some(2), "{feed}");
        assert!(stderr(&refused).contains(why), "{feed}: {}", stderr(&refused));
    }
    let late = run("a,make", "same=y");
    assert_eq!(late.status.code(), Some(2));
    assert!(stderr(&late).contains("no entry before `a` makes `y`"), "{}", stderr(&late));
    let partials = ["run", "examples/programs/partials.fusco", "--entry"];
    let rest = ["all_reduce,reduce_scatter", "--feed", "y=b", "--set", "M=8,N=8", "--random", "1"];
    let summed = fuscoc(&[&partials[..], &rest].concat());
    assert_eq!(summed.status.code(), Some(2), "{}", stdout(&summed));
    assert!(stderr(&summed).contains("`y` and `b` differ in their placements"));
}

#[test]
fn a_plan_is_made_before_it_is_taken() {
    let args = ["run", MOE, "--entry", "combine", "--dyn", "T=4", "--random", "1", "--feed", "z=y"];
    let done = fuscoc(&[&args[..], &MOE_SET].concat());
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("--feed z=y"), "{}", stderr(&done));
    let place = Place::new(
        "program two {
            mesh m { g: 2 }
            in x: i32[s: g, t: 4] @ [s/g, t];
            in ids: ix32(2) [s: g, t: 4, k: 1] @ [s/g, t, k];
            out y: i32[e: 2, c: ragged, h: 8] @ [e/g, e, c.pack(8), h] with fill(0);
            out n: i32[e: 2] @ [e/g, e];
            in v: i32[s: g, t: 4, h: 8] @ [s/g, t, h];
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (s, t, k); }
            entry plans { plan r; n[e] <- count(y.c); }
            entry takes { y[e, c, h] <- v[s, t, h] via r; }
        }",
    );
    let file = place.program();
    let done = fuscoc(&["run", &file, "--entry", "takes", "--random", "1"]);
    if done.status.code() == Some(2) {
        assert!(stderr(&done).contains("--entry plans,takes"), "{}", stderr(&done));
    } else {
        panic!("{:?} {}", done.status.code(), stderr(&done));
    }
}

// Data that do not fit.

#[test]
fn sizes_of_a_launch_outside_their_bound_are_named() {
    for verify in [&["--verify"][..], &[]] {
        for (value, why) in [
            ("T=9", "error[F0904]: dyn T[0] = 9 > 8"),
            ("T=4294967296", "error[F0904]: dyn T[0] = 4294967296 > 8"),
            ("T=3,-1", "error[F0904]: dyn T[1] = -1 < 0"),
        ] {
            let args = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", value];
            let done = fuscoc(&[&args[..], &MOE_SET, verify].concat());
            assert_eq!(done.status.code(), Some(1));
            assert!(stderr(&done).starts_with(why), "{}", stderr(&done));
            assert!(stderr(&done).ends_with("for more about this error: fuscoc explain F0904\n"));
        }
    }
}

const TAKE: &str = "program take {
    mesh m { g: 1 }
    in pos: ix32(4) [i: 3, j: 2] @ [copy/g, i, j];
    in x: i32[n: 4] @ [copy/g, n];
    out y: i32[i: 3, j: 2] @ [copy/g, i, j];
    entry e { y[i, j] <- x[pos[i, j]]; }
}";

/// `pos` from a file of this type.
fn take(text: &str, dtype: Dtype, data: Vec<u8>, more: &[&str]) -> Output {
    let place = Place::new(text);
    let given = place.write("in", &[("pos", dtype, &[3, 2], data)]);
    let (file, at) = (place.program(), format!("pos={given}"));
    fuscoc(&[&["run", &file, "--in", &at, "--random", "1"][..], more].concat())
}

#[test]
fn an_index_out_of_range_is_one_error_with_and_without_verify() {
    for verify in [&["--verify"][..], &[]] {
        let done = take(TAKE, Dtype::I32, bytes([0, 3, 1, 4, 0, 0]), verify);
        assert_eq!(done.status.code(), Some(1));
        let said = stderr(&done);
        assert!(said.starts_with("error[F0906]: pos[1, 1] = 4, outside 0..3\n"), "{said}");
    }
}

#[test]
fn integers_of_a_file_are_widened_and_never_narrowed() {
    let values = [0u8, 3, 1, 2, 0, 1];
    let wide = |width: usize| -> Vec<u8> {
        let one = |v: &u8| {
            let mut word = vec![*v];
            word.resize(width, 0);
            word
        };
        values.iter().flat_map(one).collect()
    };
    let checksum = |output: &Output| {
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["checksums"]["y"].clone()
    };
    let json = ["--format", "json", "--verify"];
    let plain = checksum(&take(TAKE, Dtype::I32, wide(4), &json));
    assert!(plain.is_string());
    for (dtype, width) in [(Dtype::U8, 1), (Dtype::I8, 1), (Dtype::U16, 2), (Dtype::I16, 2)] {
        let done = take(TAKE, dtype, wide(width), &json);
        assert!(done.status.success(), "{dtype:?}: {}", stderr(&done));
        assert_eq!(checksum(&done), plain, "{dtype:?}");
    }
    let flags = take(TAKE, Dtype::BOOL, vec![0, 1, 1, 0, 0, 1], &json);
    assert!(flags.status.success(), "{}", stderr(&flags));
    for (dtype, width) in [(Dtype::U32, 4), (Dtype::I64, 8)] {
        let done = take(TAKE, dtype, wide(width), &[]);
        assert_eq!(done.status.code(), Some(1), "{dtype:?}");
        assert!(stderr(&done).contains("not every value of it fits"), "{}", stderr(&done));
        let long = TAKE.replace("ix32(4)", "ix64(4)");
        assert!(take(&long, dtype, wide(width), &json).status.success(), "{dtype:?}");
    }
    // Signs are kept.
    let minus = place_sum(Dtype::I16, [-1i16, 300].iter().flat_map(|v| v.to_le_bytes()).collect());
    assert_eq!(minus, [-1, 300]);
    let float = take(TAKE, Dtype::F32, wide(4), &[]);
    assert!(stderr(&float).contains("only integers are widened"), "{}", stderr(&float));
}

#[test]
fn each_type_of_a_file_is_a_type_of_a_program() {
    let types = [
        (Dtype::F64, "f64", 8),
        (Dtype::I16, "i16", 2),
        (Dtype::U16, "u16", 2),
        (Dtype::U64, "u64", 8),
        (Dtype::BOOL, "bool", 1),
    ];
    for (dtype, name, width) in types {
        let place = Place::new(&format!(
            "program copy_six {{ in x: {name}[i: 6] @ [i]; out y: {name}[i: 6] @ [i]; entry e {{ y[i] <- x[i]; }} }}"
        ));
        let byte = |i: u8| if name == "bool" { i % 2 } else { i.wrapping_mul(37) };
        let data: Vec<u8> = (0..6 * width).map(byte).collect();
        let given = place.write("in", &[("x", dtype, &[6], data.clone())]);
        let (file, x, out) = (place.program(), format!("x={given}"), place.path("out"));
        let done = fuscoc(&["run", &file, "--in", &x, "--out", &out]);
        assert!(done.status.success(), "{}", stderr(&done));
        let written = std::fs::read(&out).expect("written");
        let written = SafeTensors::deserialize(&written).expect("safetensors");
        let y = written.tensor("y").expect("y");
        assert_eq!((y.dtype(), y.data()), (dtype, &data[..]), "{name}");
        let random = fuscoc(&["run", &file, "--random", "3", "--verify"]);
        assert!(random.status.success(), "{}", stderr(&random));
    }
}

/// What a copy of two integers of this type leaves in an i32.
fn place_sum(dtype: Dtype, data: Vec<u8>) -> Vec<i32> {
    let place = Place::new(
        "program copy_two { mesh m { g: 1 } in x: i32[i: 2] @ [copy/g, i]; out y: i32[i: 2] @ [copy/g, i];
         entry e { y[i] <- x[i]; } }",
    );
    let given = place.write("in", &[("x", dtype, &[2], data)]);
    let (file, x, out) = (place.program(), format!("x={given}"), place.path("out"));
    let done = fuscoc(&["run", &file, "--in", &x, "--out", &out]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).starts_with("copy_two on host: 1 rank\n"), "{}", stdout(&done));
    ints(&tensor(&out, "y").1)
}

// Failures for machines.

#[test]
fn every_failure_is_one_document_with_its_exit_code() {
    let place = Place::new("program p { mesh m { g: 2 } }");
    let bad = Place::new("program p { nonsense }");
    let odd = Place::new("program   p{mesh m{g:2}}");
    let (file, bad, odd, folder) = (place.program(), bad.program(), odd.program(), place.path(""));
    let not_tensors = format!("topk={file}");
    let moe = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", "T=4"];
    let moe = [&moe[..], &MOE_SET].concat();
    let (none, nowhere) = ("no_such_file.fusco", format!("{folder}no/out"));
    let cases: Vec<(i32, Vec<&str>)> = vec![
        (1, vec!["check", none]),
        (1, vec!["check", &bad, none, &bad]),
        (1, vec!["fmt", none]),
        (1, vec!["fmt", "--check", &odd, &odd]),
        (1, vec!["fmt", &bad]),
        (1, vec!["emit", none, "--stage", "ast"]),
        (1, vec!["emit", MOE, "--stage", "ast", "-o", &nowhere]),
        (2, vec!["emit", MOE, "--stage", "shedule"]),
        (2, vec!["emit", MOE, "--stage", "hir", "--entry", "no"]),
        (1, vec!["explain", "F0312"]),
        (1, vec!["explain", none]),
        (2, vec!["explain"]),
        (2, vec!["run", MOE, "--entry", "dispatch"]),
        (2, vec!["run", MOE, "--entry", "dispach", "--random", "1"]),
        (2, vec!["run"]),
        (2, vec!["no_such_command"]),
        (2, [&moe[..], &["--in", "topkk=x"]].concat()),
        (1, [&moe[..], &["--in", &not_tensors]].concat()),
        (1, [&moe[..], &["--in", "topk=no_such_file"]].concat()),
        (1, [&moe[..], &["--out", &nowhere]].concat()),
        (2, vec!["bench", "--only", "plam"]),
        (2, vec!["completions", "no_shell"]),
    ];
    for (code, args) in cases {
        for json in [&["--format", "json"][..], &["--format=json"]] {
            let done = fuscoc(&[json, &args].concat());
            let said = stderr(&done);
            assert_eq!(done.status.code(), Some(code), "{args:?} {said}");
            let document: Value =
                serde_json::from_str(&said).unwrap_or_else(|e| panic!("{args:?}: {e}\n{said}"));
            let list = document.as_array().expect("a list");
            assert!(!list.is_empty(), "{args:?}");
            for one in list {
                assert_eq!(one["severity"], "error", "{args:?} {one}");
                let message = one["message"].as_str().expect("a message");
                assert!(!message.is_empty() && !message.starts_with("error"), "{message}");
            }
        }
    }
    let several = fuscoc(&["--format", "json", "check", &bad, none, &bad]);
    let several: Value = serde_json::from_str(&stderr(&several)).expect("JSON");
    let files: Vec<_> = several.as_array().expect("a list").iter().map(|d| &d["file"]).collect();
    assert!(files.len() >= 3 && files.contains(&&Value::Null), "{several}");
}

#[test]
fn what_the_machine_lacks_is_a_document_too() {
    let moe = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", "T=4"];
    let cuda = fuscoc(&[&moe[..], &MOE_SET, &["--backend", "cuda", "--format", "json"]].concat());
    let doctor = command(&["doctor", "--format", "json"])
        .env("FUSCO_CUDA_PATH", "/no/such/folder")
        .output()
        .expect("fuscoc runs");
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    assert!(report["nvrtc"]["ok"].is_boolean() && report["gpu"]["ok"].is_boolean(), "{report}");
    let bench = fuscoc(&["bench", "--backend", "cuda", "--only", "dispatch", "--small"]);
    if report["gpu"]["ok"] == false {
        let said: Value = serde_json::from_str(&stderr(&cuda)).expect("JSON");
        assert_eq!((cuda.status.code(), &said[0]["code"]), (Some(3), &Value::from("F0911")));
        assert_eq!(bench.status.code(), Some(3), "{}", stdout(&bench));
        assert!(stderr(&bench).contains("nothing could be timed"), "{}", stderr(&bench));
    }
    if report["nvrtc"]["ok"] == false {
        let said: Value = serde_json::from_str(&stderr(&doctor)).expect("JSON");
        assert_eq!((doctor.status.code(), &said[0]["code"]), (Some(3), &Value::from("F0911")));
    }
}

#[test]
fn success_is_a_document_too() {
    let check = fuscoc(&["check", MOE, "--format", "json"]);
    assert!(check.status.success());
    assert_eq!(stderr(&check), "[]\n");
    let moe = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", "T=4"];
    let run = fuscoc(&[&moe[..], &MOE_SET, &["--format", "json", "--verify"]].concat());
    let report: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(
        (&report["verified"], &report["program"]),
        (&Value::from(true), &Value::from("moe"))
    );
    assert_eq!(report["entries"]["dispatch"]["warm"], false);
    let list = fuscoc(&["explain", "--list", "--format", "json"]);
    let list: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert!(list.as_array().is_some_and(|l| l.iter().any(|e| e["code"] == "F0304")));
}

// What is typed.

#[test]
fn all_that_a_run_lacks_is_said_at_once() {
    let done = fuscoc(&["run", MOE]);
    assert_eq!(done.status.code(), Some(2));
    let said = stderr(&done);
    let line = format!(
        "type: fuscoc run {MOE} --entry dispatch --set G=..,K=..,E=..,H=..,TMAX=.. --dyn T=N --random 1"
    );
    assert!(said.contains(&line), "{said}");
    let bound = [&["run", MOE, "--entry", "dispatch,combine"][..], &MOE_SET].concat();
    let said = stderr(&fuscoc(&bound));
    let line = "TMAX=8 --dyn T=N --feed z=y --random 1";
    assert!(said.contains(line) && said.contains("x, topk, w"), "{said}");
    // The line, its sizes put in, works.
    let typed = ["--dyn", "T=4", "--feed", "z=y", "--random", "1"];
    assert!(fuscoc(&[&bound[..], &typed].concat()).status.success());
}

#[test]
fn a_name_is_as_long_as_it_likes() {
    let long = "q".repeat(70_000);
    let text = "program p { param N: int; in x: f32[i: N] @ [i]; out y: f32[i: N] @ [i]; \
        entry LONG { y[i] <- x[i]; } }"
        .replace("LONG", &long);
    let place = Place::new(&text);
    let file = place.program();
    let said = stderr(&fuscoc(&["run", &file, "--entry", &long]));
    assert!(said.contains("--set N=.."), "{}", &said[..said.len().min(200)]);
    let set = text.replace("param N", &format!("param {long}n"));
    let set = set.replace(": N]", &format!(": {long}n]"));
    let place = Place::new(&set);
    let said = stderr(&fuscoc(&["run", &place.program()]));
    assert!(said.contains(&format!("--set {long}n=..")), "{}", &said[..said.len().min(200)]);
    let done = fuscoc(&["run", &file, "--set", "N=4", "--random", "1", "--verify"]);
    assert!(done.status.success() && stdout(&done).contains("verified"));
}

#[test]
fn params_without_a_value_are_one_report_with_what_to_type() {
    for (args, set) in [
        (&["explain", MOE][..], "--set G=..,K=..,E=..,H=..,TMAX=.."),
        (&["emit", MOE, "--stage", "plan"], "--set G=..,K=..,E=..,H=..,TMAX=.."),
        (&["emit", MOE, "--stage", "cuda", "--set", "G=2,E=4"], "--set K=..,H=..,TMAX=.."),
        (&["check", MOE, "--set", "G=2,E=4,K=2,H=8"], "--set TMAX=.."),
        (&["explain", "examples/programs/dlrm.fusco"], "--set B=..,D=..,LMAX=.."),
    ] {
        let done = fuscoc(args);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        assert_eq!(said.matches("error[F0901]").count(), 1, "{args:?}: {said}");
        assert!(said.contains(&format!("`{set}`")), "{args:?}: {said}");
    }
}

#[test]
fn what_an_adjoint_leaves_out_is_told_by_check_and_explain() {
    let text = std::fs::read_to_string(Path::new(ROOT).join(MOE)).expect("an example");
    let place = Place::new(&text.replace("adjoint(combine, z)", "adjoint(combine)"));
    let file = place.program();
    let claim = "warning[F0806]: `combine_bwd` leaves out the gradient of `w`";
    let check = fuscoc(&["check", &file]);
    assert!(check.status.success() && stderr(&check).contains(claim), "{}", stderr(&check));
    let explain = fuscoc(&[&["explain", &file][..], &MOE_SET].concat());
    assert!(explain.status.success() && stderr(&explain).contains(claim), "{}", stderr(&explain));
    let json = fuscoc(&[&["explain", &file, "--format", "json"][..], &MOE_SET].concat());
    let json: Value = serde_json::from_slice(&json.stdout).expect("one document");
    assert_eq!(json["warnings"][0]["code"], "F0806");
}

#[test]
fn what_explain_cannot_show_is_refused_as_by_check() {
    // Two statements use a route that cannot be lowered: one report.
    let place = Place::new(
        "program p {
            mesh m { g: 2 }
            dyn T[g]: int <= 4;
            in x: i32[s: g, t: T[s], h: 4] @ [s/g, t, h];
            in ids: ix32(4)[s: g, t: T[s], k: 1] @ [s/g, t, k];
            out y: i32[e: 4, c: ragged, h: 4] @ [e/g, e, c.pack(8), h] with fill(0);
            out z: i32[e: 4, c: ragged, h: 4] @ [e/g, e, c.pack(8), h] with fill(0);
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (k, t, s); }
            entry main { plan r; y[e, c, h] <- x[s, t, h] via r; z[e, c, h] <- x[s, t, h] via r; }
        }",
    );
    let file = place.program();
    let (check, explain) = (fuscoc(&["check", &file]), fuscoc(&["explain", &file]));
    assert_eq!(stderr(&check), stderr(&explain));
    assert_eq!((check.status.code(), explain.status.code()), (Some(1), Some(1)));
    assert!(stdout(&explain).is_empty());
    let said = stderr(&check);
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    assert!(said.contains("^^^^^^^^^^^^") && said.contains("by (k, t, s)"), "{said}");
}

// Machines that kernels are made for.

/// `emit` of dispatch and combine for 4 ranks.
fn emitted(stage: &str, more: &[&str]) -> Output {
    let set = ["--set", "G=4,E=8,K=2,H=1024,TMAX=512"];
    fuscoc(&[&["emit", MOE, "--stage", stage][..], &set, more].concat())
}

#[test]
fn an_architecture_is_one_that_is_known() {
    let text = |arch: &str| {
        let done = emitted("cuda", &["--arch", arch]);
        assert!(done.status.success(), "{arch}: {}", stderr(&done));
        stdout(&done)
    };
    let (old, new) = (text("sm_80"), text("sm_90a"));
    assert_ne!(old, new, "sm_80 has no bulk copies");
    assert_eq!(stdout(&emitted("cuda", &[])), new, "the default");
    for wrong in ["sm_81", "sm_90A", "90", ""] {
        let done = emitted("cuda", &["--arch", wrong]);
        assert_eq!(done.status.code(), Some(2), "{wrong}");
        let said = stderr(&done);
        assert!(["sm_80", "sm_90a", "sm_120a"].iter().all(|a| said.contains(a)), "{said}");
    }
}

#[test]
fn ranks_of_a_device_divide_those_of_the_program() {
    let text = |more: &[&str]| {
        let done = emitted("cuda", more);
        assert!(done.status.success(), "{more:?}: {}", stderr(&done));
        stdout(&done)
    };
    let [all, two, one] = ["4", "2", "1"].map(|n| text(&["--ranks-per-device", n]));
    assert_eq!(all, text(&[]), "all share a device if nothing is said");
    assert!(all != two && two != one && all != one, "ranks apart signal through the system");
    for wrong in ["0", "3", "8"] {
        let done = emitted("cuda", &["--ranks-per-device", wrong]);
        assert_eq!(done.status.code(), Some(2), "{wrong}");
        assert!(stderr(&done).contains("give one of 1, 2, 4"), "{}", stderr(&done));
    }
    for wrong in ["-1", "two", "4294967296"] {
        assert_eq!(emitted("cuda", &["--ranks-per-device", wrong]).status.code(), Some(2));
    }
}

#[test]
fn grids_fit_the_multiprocessors() {
    let grids = |sms: &[&str]| -> Vec<u32> {
        let done = emitted("launch", sms);
        assert!(done.status.success(), "{sms:?}: {}", stderr(&done));
        let text = stdout(&done);
        let grid = |line: &str| {
            let (x, rest) = line.split_once("grid ")?.1.split_once(" x ")?;
            let y = rest.split(',').next()?;
            Some(x.parse::<u32>().ok()? * y.parse::<u32>().ok()?)
        };
        text.lines().filter(|l| l.starts_with("kernel ")).filter_map(grid).collect()
    };
    let (few, many) = (grids(&["--sms", "8"]), grids(&["--sms", "132"]));
    assert!(few.len() >= 2 && few.len() == many.len(), "{few:?} {many:?}");
    assert!(few.iter().zip(&many).all(|(a, b)| a <= b) && few != many, "{few:?} {many:?}");
    for wrong in ["0", "1025", "many"] {
        assert_eq!(emitted("launch", &["--sms", wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn the_version_says_what_was_built_and_what_it_makes() {
    let short = stdout(&fuscoc(&["-V"]));
    assert_eq!(short, concat!("fuscoc ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = stdout(&fuscoc(&["--version"]));
    assert!(long.starts_with(short.trim_end()), "{long}");
    assert!(long.contains("NVRTC 13") && long.contains("sm_80, ") && long.contains("sm_120a"));
    let git = |args: &[&str]| Command::new("git").args(args).current_dir(ROOT).output();
    let own = git(&["ls-files", "--error-unmatch", "fuscoc/build.rs"]);
    if own.is_ok_and(|o| o.status.success()) {
        let head = git(&["rev-parse", "HEAD"]).expect("git runs");
        let commit = long.split_once('(').and_then(|(_, c)| c.split_once(',')).expect("one").0;
        assert!(commit.len() >= 7 && stdout(&head).starts_with(commit), "{long}");
    }
}

// Narrow terminals.

#[test]
fn explanations_fold_to_the_terminal() {
    let kv = ["explain", "examples/programs/kv_migrate.fusco"];
    let set = ["--set", "L=2,P=13,N=8,D=16,JMAX=5,RMAX=6"];
    let wide = stdout(&fuscoc(&[&kv[..], &set].concat()));
    assert!(wide.lines().any(|l| l.chars().count() > 100), "a pipe is not folded");
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace().filter(|w| *w != "|").map(str::to_string).collect()
    };
    for columns in [40, 60, 80] {
        let mut command = command(&[&kv[..], &set].concat());
        let text = stdout(&command.env("COLUMNS", columns.to_string()).output().expect("it runs"));
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{columns}: `{line}`\n{text}");
        }
        assert_eq!(words(&text), words(&wide), "{columns}");
        assert!(text.contains("\n      | l r2 w1 mem*26624\n"), "a digit a line\n{text}");
    }
}

#[test]
fn diagnostics_and_help_fold_to_the_terminal() {
    let place = Place::new(
        "program p {
            mesh m { g: 2 }
            in w: f32[k: 6] @ [copy/g, k];
            out q: f32[r: 4] @ [r/g, r];
            in a: f32[i: 6] @ [i/g, i];
            out b: bf16[i: 8] @ [i/g, i];
            entry main { q[r] <- w[r]; b[i] <- a[i]; }
        }",
    );
    let file = place.program();
    for columns in [40usize, 60, 80] {
        let said = |args: &[&str]| {
            let output = command(args).env("COLUMNS", columns.to_string()).output();
            let output = output.expect("it runs");
            format!("{}{}", stdout(&output), stderr(&output))
        };
        let check = said(&["check", &file]);
        assert!(check.matches("error[").count() >= 2, "{check}");
        // Lines of the source, and its name, are as long as they are.
        let own = |l: &&str| !l.contains('|') && !l.contains("-->") && !l.starts_with("for more");
        for line in check.lines().filter(own) {
            assert!(line.chars().count() <= columns, "{columns}: `{line}`\n{check}");
        }
        for command in ["check", "emit", "explain", "run", "bench", "doctor", "fmt"] {
            let help = said(&[command, "--help"]);
            let (flags, _) = help.split_once("Examples:").expect("examples");
            for line in flags.lines().filter(|l| !l.starts_with("Usage: ")) {
                let word = line.trim().chars().count();
                assert!(
                    line.chars().count() <= columns || !line.trim().contains(' ') && word <= 80,
                    "{columns}: `{line}`\n{help}"
                );
            }
        }
    }
}

#[test]
fn what_is_given_twice_or_to_nobody_is_refused() {
    let moe = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", "T=4"];
    let moe = [&moe[..], &MOE_SET].concat();
    for (more, why) in [
        (&["--set", "G=2"][..], "`--set G` is given twice"),
        (&["--dyn", "T=5"], "`--dyn T` is given twice"),
        (&["--in", "topk=a", "--in", "topk=b"], "`--in topk` is given twice"),
        (&["--feed", "z=y", "--feed", "z=y"], "`--feed z` is given twice"),
        (&["--in", "y=a"], "the program writes `y`"),
        (&["--in", "z=a", "--feed", "z=y"], "leave out one"),
        (&["--set", "ZZZZ=3"], "`--set ZZZZ=..`: no such param; the params are G, K, E, H, TMAX"),
        (&["--set", "TMAXX=3"], "did you mean `TMAX`?"),
    ] {
        let done = fuscoc(&[&moe[..], more].concat());
        assert_eq!(done.status.code(), Some(2), "{more:?}");
        assert!(stderr(&done).contains(why), "{more:?}: {}", stderr(&done));
    }
    let check = fuscoc(&["check", MOE, "--set", "ZZZZ=3"]);
    assert_eq!(check.status.code(), Some(2), "{}", stderr(&check));
}

#[test]
fn standard_input_is_checked_and_formatted() {
    let piped = |args: &[&str], text: &str| {
        let mut child = command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fuscoc runs");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("read");
        child.wait_with_output().expect("it ends")
    };
    let text = std::fs::read_to_string(Path::new(ROOT).join(MOE)).expect("an example");
    assert!(piped(&["check", "-"], &text).status.success());
    let wrong = piped(&["check", "-"], "program p { nonsense }");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("<stdin>:1:"), "{}", stderr(&wrong));
    let loose = text.replace("    mesh ep", "  mesh   ep");
    assert_eq!(stdout(&piped(&["fmt", "-"], &loose)), text);
    assert_eq!(piped(&["fmt", "--check", "-"], &loose).status.code(), Some(1));
}

#[test]
fn colours_follow_the_environment() {
    let with = |pairs: &[(&str, &str)]| {
        let mut command = command(&["check", "examples/programs/moe_fp8.fusco"]);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
            command.env_remove(name);
        }
        let output = command.envs(pairs.iter().copied()).output().expect("fuscoc runs");
        stderr(&output).contains('\u{1b}')
    };
    assert!(!with(&[]), "a pipe");
    assert!(with(&[("CLICOLOR_FORCE", "1")]));
    assert!(!with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn help_has_examples_and_a_text_for_everything() {
    for command in
        ["check", "emit", "explain", "run", "bench", "doctor", "fmt", "completions", "man"]
    {
        let help = fuscoc(&[command, "--help"]);
        let text = stdout(&help);
        assert!(text.contains("Examples:\n  ") && text.contains("fuscoc "), "{text}");
        let (flags, examples) = text.split_once("Examples:").expect("examples");
        assert!(examples.lines().all(|l| l.len() <= 80), "{examples}");
        let mut lines = flags.lines().peekable();
        while let Some(line) = lines.next() {
            let flag = line.trim_start();
            let named = flag.starts_with('-') || flag.starts_with('<') || flag.starts_with('[');
            if !named || !line.starts_with("  ") || line.starts_with("          ") {
                continue;
            }
            let beside = flag.split_once("  ").is_some_and(|(_, text)| !text.trim().is_empty());
            let below = lines.peek().is_some_and(|l| l.starts_with("          "));
            assert!(beside || below, "{command}: `{flag}` has no text\n{text}");
        }
    }
    for width in ["60", "80"] {
        let help = command(&["bench", "--help"]).env("COLUMNS", width).output();
        let text = stdout(&help.expect("fuscoc runs"));
        let most = width.parse().expect("a number");
        assert!(text.lines().take(40).all(|l| l.len() <= most), "{width}\n{text}");
    }
    let complete = fuscoc(&["completions", "bash"]);
    assert!(stdout(&complete).contains("--entry"), "{}", stderr(&complete));
}

#[test]
fn each_command_has_a_manual_page() {
    let page = stdout(&fuscoc(&["man"]));
    assert!(page.contains(".TH fuscoc 1") && page.contains("fuscoc\\-run(1)"), "{page}");
    for name in ["check", "emit", "explain", "run", "bench", "doctor", "fmt", "completions", "man"]
    {
        let page = stdout(&fuscoc(&["man", name]));
        assert!(page.contains(&format!(".TH fuscoc-{name} 1")), "{page}");
        assert!(page.contains("Examples:") && page.contains("\\-\\-format"), "{page}");
    }
    let wrong = fuscoc(&["man", "walk"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("no command `walk`; known are check, emit"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn the_catalogue_is_listed() {
    let text = stdout(&fuscoc(&["explain", "--list"]));
    assert!(text.lines().all(|l| l.starts_with('F') && l.len() > 7), "{text}");
    assert!(text.contains("F0904  A dyn is missing or over its bound\n"), "{text}");
    let wrong = fuscoc(&["check", "examples/programs/moe_fp8.fusco"]);
    let last = "\n\nfor more about this error: fuscoc explain F0999\n";
    assert!(stderr(&wrong).ends_with(last), "{}", stderr(&wrong));
}

#[test]
fn emit_prints_several_stages_under_their_names() {
    let emit = |stage: &str| fuscoc(&[&["emit", MOE, "--stage", stage][..], &MOE_SET].concat());
    let (hir, plan, both) = (emit("hir"), emit("plan"), emit("hir,plan"));
    assert!(both.status.success(), "{}", stderr(&both));
    assert_eq!(stdout(&both), format!("== hir\n{}== plan\n{}", stdout(&hir), stdout(&plan)));
    let bytes = emit("hir,cubin");
    assert_eq!(bytes.status.code(), Some(2));
    assert!(stderr(&bytes).contains("ask for it alone"), "{}", stderr(&bytes));
}

#[test]
fn devices_are_named_one_a_rank_and_for_cuda_alone() {
    let run = |more: &[&str]| {
        let run = ["run", MOE, "--entry", "dispatch", "--random", "1", "--dyn", "T=4"];
        let output = fuscoc(&[&run, &MOE_SET[..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let of_a_host = run(&["--devices", "0,1"]);
    assert!(of_a_host.contains("--backend cuda"), "{of_a_host}");
    let too_few = run(&["--backend", "cuda", "--devices", "0"]);
    assert!(too_few.contains("2 ranks") && too_few.contains("names 1"), "{too_few}");
}

#[test]
fn explain_says_what_carries_each_kernel_out_and_what_else_was_considered() {
    let sizes = ["--set", "G=8,E=256,K=8,H=7168,TMAX=4096", "--entry", "dispatch"];
    let explain = |more: &[&str]| fuscoc(&[&["explain", MOE][..], &sizes, more].concat());
    let of_device = |more: &[&str]| {
        let text = stdout(&explain(more));
        text[text.find("kernels for").expect("what a device runs")..].to_string()
    };
    let hopper = of_device(&[]);
    assert!(
        hopper.contains("chosen    bulk scatter") && hopper.contains("rejected  warps"),
        "{hopper}"
    );
    let ampere = of_device(&["--arch", "sm_80"]);
    let lacks =
        ["chosen    warps", "rejected  bulk scatter", "the architecture has no copy engine"];
    assert!(lacks.iter().all(|l| ampere.contains(l)), "{ampere}");
    let apart = of_device(&["--ranks-per-device", "1"]);
    assert!(apart.contains("over links") && !hopper.contains("over links"), "{apart}");

    let json = explain(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let kernel = json["kernels"].as_array().and_then(|k| k.last()).expect("kernels");
    assert_eq!((&kernel["strategy"], &kernel["grid"][0]), (&"bulk scatter".into(), &132.into()));
    assert!(kernel["cost"]["ns"].as_f64().is_some_and(|ns| ns > 1e6), "{kernel}");
    let rejected = kernel["rejected"].as_array().expect("the others");
    assert!(rejected.iter().any(|r| r["strategy"] == "warps" && r["ns"].is_number()), "{kernel}");

    let small = explain(&["--sms", "1"]);
    assert!(small.status.success() && stderr(&small).contains("F0706"), "{}", stderr(&small));
}

const LEVELS: &str = "examples/programs/moe_two_level.fusco";

#[test]
fn explain_counts_the_rows_of_a_trace() {
    let trace = "topk=examples/traces/e8_k2_r2.safetensors:topk_idx";
    let sizes = ["--set", "G=2,E=8,K=2,H=16,TMAX=2048", "--entry", "dispatch", "--in", trace];
    let explain = |more: &[&str]| fuscoc(&[&["explain", MOE][..], &sizes, more].concat());
    let lacks = explain(&[]);
    assert_eq!(lacks.status.code(), Some(2));
    assert!(stderr(&lacks).contains("--dyn T=N"), "{}", stderr(&lacks));
    let text = stdout(&explain(&["--dyn", "T=2048"]));
    let counted = &text[text.find("rows between ranks of topk=").expect("counted")..];
    assert!(counted.contains("every pair") && counted.contains("once a rank"), "{counted}");
    assert!(!counted.contains('\x1b') && counted.contains("\n     0 "), "{counted}");
    // Two choices of 4096 tokens; ranks are even, and there is no node.
    let json = explain(&["--dyn", "T=2048", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let statement = &json["carried"]["statements"][0];
    let each = &statement["ways"][0];
    assert_eq!(each["way"], "every pair");
    let rows = |v: &serde_json::Value| v.as_i64().expect("a number");
    let all = rows(&statement["own_rows"]) + rows(&each["hops"][0]["rows"]);
    assert_eq!(all, 2 * 4096);
    let once = rows(&statement["ways"][1]["hops"][0]["rows"]);
    assert!(once < rows(&each["hops"][0]["rows"]) && once > 0, "{statement}");
    assert_eq!(rows(&each["hops"][0]["bytes"]), 32 * rows(&each["hops"][0]["rows"]));
    assert!(json["carried"]["level"].is_null() && statement["ways"].get(2).is_none());
    let none = fuscoc(&[&["explain", MOE][..], &sizes[..4], &["--format", "json"]].concat());
    let none: serde_json::Value = serde_json::from_slice(&none.stdout).expect("JSON");
    assert!(none["carried"].is_null());
}

#[test]
fn explain_counts_what_each_forwarder_passes_on() {
    let sizes = ["--set", "N=2,G=2,E=8,K=2,H=16,TMAX=9", "--dyn", "T=9,0,5,1", "--random", "3"];
    let explain = |more: &[&str]| fuscoc(&[&["explain", LEVELS][..], &sizes, more].concat());
    let text = stdout(&explain(&[]));
    assert!(text.contains("once a node, forward balanced(bytes)"), "{text}");
    assert!(text.contains("the busiest forwarder has"), "{text}");
    let json = explain(&["--entry", "dispatch", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let ways = json["carried"]["statements"][0]["ways"].as_array().expect("ways");
    let loads = |way: usize| -> Vec<i64> {
        let loads = ways[way]["forwarded_rows"].as_array().expect("loads");
        loads.iter().filter_map(serde_json::Value::as_i64).collect()
    };
    let (same, balanced) = (loads(2), loads(3));
    assert_eq!(same.iter().sum::<i64>(), balanced.iter().sum::<i64>());
    // Rows from the other node, of which one rank has none or one.
    assert_eq!(same[3], 0, "{same:?}");
    assert!(balanced[2] - balanced[3] <= 1 && balanced[0] - balanced[1] <= 1, "{balanced:?}");
    let wrong = explain(&["--in", "tokp=x.safetensors"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("no tensor `tokp`"), "{}", stderr(&wrong));
}

/// What `explain` expects of `dispatch`, in microseconds, by way.
fn expected(program: &str, sizes: &str, topology: &str) -> Vec<(String, f64)> {
    let file = format!("examples/topologies/{topology}.toml");
    let args = ["explain", program, "--set", sizes, "--entry", "dispatch", "--topology", &file];
    let json = fuscoc(&[&args[..], &["--format", "json"]].concat());
    assert!(json.status.success(), "{topology}: {}", stderr(&json));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let ways = json["carried"]["statements"][0]["ways"].as_array().expect("ways").clone();
    let time = |w: &serde_json::Value| w["ns"].as_f64().expect("a time") / 1e3;
    ways.iter().map(|w| (w["way"].as_str().expect("a name").to_string(), time(w))).collect()
}

#[test]
fn explain_expects_times_on_the_machines_of_a_topology() {
    let sizes = |ranks: i64| format!("G={ranks},E=256,K=8,H=7168,TMAX=1024");
    for (topology, ranks) in [("h100", 4), ("h100_2", 2), ("h100_8", 8), ("gb200_nvl72", 64)] {
        let found = expected(MOE, &sizes(ranks), topology);
        assert_eq!(found.len(), 2, "{topology}");
        // Rows that cross once are quicker where links are what is slow.
        let crosses_less = topology.starts_with("h100_");
        assert_eq!(found[1].1 < found[0].1, crosses_less, "{topology}: {found:?}");
    }
    let nodes = "N=8,G=8,E=256,K=8,H=7168,TMAX=256";
    let found = expected(LEVELS, nodes, "h100_64");
    assert_eq!(found.len(), 4);
    assert!(found[2].1 < found[1].1 && found[1].1 < found[0].1, "{found:?}");
    // 16 ranks of one rank a device on two nodes: a level without an axis of that name.
    let found = expected(MOE, "G=16,E=256,K=8,H=7168,TMAX=64", "h100_64");
    assert_eq!(found[2].0, "once a node, forward same");
}

#[test]
fn a_topology_that_does_not_hold_the_ranks_or_is_wrong_is_refused() {
    let explain = |file: &str| {
        fuscoc(&["explain", MOE, "--set", "G=3,E=6,K=2,H=8,TMAX=8", "--topology", file])
    };
    let few = explain("examples/topologies/h100_2.toml");
    assert_eq!(few.status.code(), Some(2));
    assert!(stderr(&few).contains("do not lie on them, 2 on each"), "{}", stderr(&few));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.toml");
    std::fs::write(&file, "nodes = 1\ndevices = 3\n[nics]\nrate = 3\n").expect("written");
    let wrong = explain(file.to_str().expect("a path"));
    let told = stderr(&wrong);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        told.contains("F0912") && told.contains("t.toml:3:2") && told.contains("`nics`"),
        "{told}"
    );
    let both = ["--arch", "sm_80", "--topology", "examples/topologies/h100.toml"];
    let both = fuscoc(&[&["explain", MOE, MOE_SET[0], MOE_SET[1]][..], &both].concat());
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn emit_shows_the_device_program() {
    let kernel = stdout(&emitted("kernel", &["--entry", "combine"]));
    let parts =
        ["kernel combine of entry combine: ", "  because: ", "  launch: ", "  not ", "plan of r: "];
    assert!(parts.iter().all(|part| kernel.contains(part)), "{kernel}");
    assert!(!kernel.contains("of entry dispatch"), "{kernel}");
}
