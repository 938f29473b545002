//! Axes whose extents are computed, known at launch, or counted, over several numbers of ranks: each program runs as the
//! reference interpreter says, and its CUDA text compiles where there is an NVRTC.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::sema::hir::Bindings;
use fusco_runtime::jit;
use std::io::Write;
use std::process::Command;

/// Runs every entry on random inputs, each of these values of the param `G` with each of the other arguments.
#[track_caller]
fn runs(text: &str, ranks: &[i64], others: &[&[&str]]) {
    let mut file = tempfile::Builder::new().suffix(".fusco").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let entries = text.split("entry ").skip(1).filter_map(|part| part.split(' ').next());
    for entry in entries {
        for (g, other) in ranks.iter().flat_map(|g| others.iter().map(move |other| (g, other))) {
            let output = Command::new(env!("CARGO_BIN_EXE_fuscoc"))
                .arg("run")
                .arg(file.path())
                .args(["--set", &format!("G={g}"), "--entry", entry])
                .args(["--random", "7", "--verify"])
                .args(*other)
                .output()
                .expect("fuscoc runs");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(
                output.status.success() && said.contains("bit for bit"),
                "G={g} {other:?} {entry}\n{said}\n{text}"
            );
        }
    }
}

/// The CUDA text of the program with these params is one that NVRTC takes.
#[track_caller]
fn compiles(text: &str, params: &[(&str, i64)]) {
    let bound: Bindings = params.iter().map(|(name, v)| (name.to_string(), *v)).collect();
    let compiled = compile(text, None, &bound).unwrap_or_else(|d| panic!("{d:?}"));
    let target = Target::hopper(u32::try_from(compiled.schedule.ranks).expect("a few ranks"));
    let unit = generate(&compiled.schedule, &target).unwrap_or_else(|d| panic!("{d:?}"));
    if jit::Nvrtc::find().is_err() {
        return println!("skipped: no NVRTC");
    }
    jit::compile(&unit.source, "axes", "sm_90a").unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn sizes_round_up_and_down() {
    let text = "program sizes {
        mesh m { p: G }
        param G: int where 12 % G == 0;
        param M: int;
        in x: bf16[a: ceil(M, 4), r: 4, k: 3] @ [a/p, a, r, k] with uneven;
        out y: bf16[m: roundup(M, 4), k: 3] @ [m/p, m, k] with uneven;
        in u: bf16[m: M, k: 3] @ [m/p, m:ceil(M, G), k] with uneven;
        out b: bf16[m: M, k: 3] @ [copy/p, m:((M + 3) / 4), m:4, k] with uneven;
        in q: i32[m: 12] @ [m/p, m];
        out q2: i32[m: 12] @ [m, m/p];
        out z: i32[m: roundup(M, 4) / 4, r: M / 2 + 1] @ [copy/p, m, r];
        entry e { y[a * 4 + r, k] <- x[a, r, k]; q2[m] <- q[m]; }
        entry f { b[m, k] <- u[m, k]; z[m, r] <- ceil(m * 4 + r, 3) + roundup(r, 3) - M % 3; }
    }";
    let sizes = ["M=1", "M=7", "M=10", "M=13"].map(|m| ["--set", m]);
    runs(text, &[1, 2, 3, 4, 6], &sizes.each_ref().map(|s| &s[..]));
    compiles(text, &[("G", 4), ("M", 13)]);
}

#[test]
fn sizes_of_a_launch_are_computed_with() {
    let text = "program launched {
        mesh m { p: G }
        param G: int;
        dyn T: int <= 11;
        in x: bf16[t: T * 2, h: 4] @ [copy/p, t, h];
        out y: bf16[t: T * 2, h: 4] @ [h/p, t, h] with uneven;
        in u: bf16[a: ceil(T, 3), h: 4] @ [a/p, a, h] with uneven;
        out v: bf16[h: 4, a: ceil(T, 3)] @ [h/p, a, h] with uneven;
        in w: f32[t: 12 - T, h: 4] @ [t/p, t, h] with uneven;
        out o: f32[t: 12 - T, h: 4] @ [t, t/p, h] with uneven;
        entry e { y[t, h] <- x[t, h]; v[h, a] <- u[a, h]; o[t, h] <- w[t, h]; }
    }";
    let launches = ["T=0", "T=1", "T=8", "T=11"].map(|t| ["--dyn", t]);
    runs(text, &[1, 2, 3, 5, 8], &launches.each_ref().map(|t| &t[..]));
    compiles(text, &[("G", 3)]);
}

#[test]
fn an_axis_of_a_launch_is_split_over_ranks() {
    let text = "program split {
        mesh m { p: G }
        param G: int;
        dyn T: int <= 11;
        in x: bf16[t: T, h: 4] @ [t/p, t, h] with uneven;
        out y: bf16[t: T, h: 4] @ [h/p, t, h] with uneven;
        out z: bf16[t: T, h: 4] @ [t, t/p, h] with uneven;
        out c: bf16[h: 4, t: T] @ [t:2, t/p, h, t, t:3] with uneven;
        entry e { y[t, h] <- x[t, h]; z[t, h] <- x[t, h]; }
        entry f { c[h, t] <- x[t, h]; }
    }";
    let launches = ["T=0", "T=1", "T=5", "T=11"].map(|t| ["--dyn", t]);
    runs(text, &[1, 2, 3, 5, 8], &launches.each_ref().map(|t| &t[..]));
    compiles(text, &[("G", 3)]);
}
