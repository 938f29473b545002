//! What `parse` and `sema::check` say: one annotated source for each code, snapshots of the twelve
//! programs, and a mutation test that nothing panics.
//!
//! In `errors/*.fusco` a comment `// ^^^ F0301 "part of the message"` points at the columns of the
//! line above; several may follow one line. `FUSCO_BLESS=1` rewrites them.

use fusco_dsl::diag::{Diagnostic, Diagnostics, Severity};
use fusco_dsl::sema;
use fusco_dsl::syntax;
use std::fs;
use std::path::{Path, PathBuf};

pub fn folder(name: &str) -> Vec<PathBuf> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(at)
        .expect("the folder is in the repository")
        .map(|f| f.expect("readable").path())
        .collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "fusco"));
    files.sort();
    files
}

/// The checked programs (as text) and every diagnostic of a source.
fn check(source: &str) -> (Vec<String>, Vec<Diagnostic>) {
    let (file, Diagnostics(diagnostics)) = syntax::parse(source);
    let mut out = (Vec::new(), diagnostics);
    for program in &file.programs {
        let (hir, Diagnostics(diagnostics)) = sema::check(program);
        out.0.extend(hir.as_ref().map(sema::print));
        out.1.extend(diagnostics);
    }
    out
}

fn is_annotation(line: &str) -> bool {
    line.trim_start().strip_prefix("//").is_some_and(|l| l.trim_start().starts_with('^'))
}

/// The source with an annotation under each line that a diagnostic points at.
fn annotate(source: &str) -> String {
    let clean: String =
        source.lines().filter(|l| !is_annotation(l)).flat_map(|l| [l, "\n"]).collect();
    let (_, diagnostics) = check(&clean);
    let mut out = String::new();
    let mut start = 0;
    for line in clean.split_inclusive('\n') {
        out += line;
        for d in diagnostics
            .iter()
            .filter(|d| (start..start + line.len()).contains(&(d.span.start as usize)))
        {
            let column = d.span.start as usize - start;
            let width = (d.span.end - d.span.start).max(1) as usize;
            let width = width.min((line.trim_end().len()).saturating_sub(column).max(1));
            assert!(column >= 2, "indent the source: no room for an annotation at {line}");
            out += &format!(
                "//{}{} {} \"{}\"\n",
                " ".repeat(column - 2),
                "^".repeat(width),
                d.code,
                d.message
            );
        }
        start += line.len();
    }
    out
}

#[test]
fn annotated_errors() {
    let bless = std::env::var_os("FUSCO_BLESS").is_some();
    for file in folder("errors") {
        let source = fs::read_to_string(&file).expect("readable");
        let found = annotate(&source);
        if bless {
            fs::write(&file, &found).expect("writable");
        } else {
            assert_eq!(
                source,
                found,
                "{}: run with FUSCO_BLESS=1 if this is right",
                file.display()
            );
        }
        let code = file
            .file_stem()
            .and_then(|s| s.to_str())
            .and_then(|s| s.split('_').next())
            .expect("named by its code")
            .to_uppercase();
        assert!(found.contains(&format!("^ {code} ")), "{} does not give {code}", file.display());
    }
}

#[test]
fn every_error_has_a_fix() {
    for file in folder("errors") {
        for d in check(&fs::read_to_string(&file).expect("readable")).1 {
            assert!(d.help.is_some(), "{}: {} has no help", file.display(), d.message);
        }
    }
}

fn render(source: &str, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for d in diagnostics {
        let before = &source[..d.span.start as usize];
        let (line, column) = (
            before.lines().count().max(1),
            before.len() - before.rfind('\n').map_or(0, |i| i + 1) + 1,
        );
        let line = if before.ends_with('\n') { line + 1 } else { line };
        out += &format!(
            "{:?} {} {line}:{column} `{}`: {}\n",
            d.severity,
            d.code,
            &source[d.span.start as usize..d.span.end as usize],
            d.message
        );
        for note in &d.notes {
            out += &format!("    = {note}\n");
        }
    }
    out
}

#[test]
fn programs() {
    for file in folder("../../examples/programs") {
        let source = fs::read_to_string(&file).expect("readable");
        let (hir, diagnostics) = check(&source);
        let name = file.file_stem().and_then(|s| s.to_str()).expect("a name").to_string();
        let supported = name != "moe_fp8";
        assert_eq!(supported, diagnostics.is_empty(), "{name}: {}", render(&source, &diagnostics));
        assert!(
            diagnostics.iter().all(|d| d.code == "F0999" && d.severity == Severity::Error),
            "{name}: {}",
            render(&source, &diagnostics)
        );
        insta::assert_snapshot!(name, hir.join("\n") + &render(&source, &diagnostics));
    }
}

/// Deletes, duplicates or swaps words of programs, right and wrong ones: any answer is fine, a panic is not.
#[test]
fn mutants_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |n: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut checked = 0;
    let examples = folder("../../examples/programs").into_iter().map(|f| (f, 600));
    for (file, times) in examples.chain(folder("errors").into_iter().map(|f| (f, 40))) {
        let source = fs::read_to_string(&file).expect("readable");
        let words = tokens(&source);
        for _ in 0..times {
            let mut words = words.clone();
            for _ in 0..1 + random(3) {
                let (i, j) = (random(words.len()), random(words.len()));
                match random(4) {
                    0 => _ = words.remove(i),
                    1 => words.insert(j, words[i].clone()),
                    2 => words.swap(i, j),
                    _ => words[i] = words[j].clone(),
                }
            }
            let mutant = words.join(" ");
            let (file, found) = syntax::parse(&mutant);
            if !found.has_errors() {
                checked += 1;
                for program in &file.programs {
                    let (hir, diagnostics) = sema::check(program);
                    assert_eq!(hir.is_some(), !diagnostics.has_errors());
                    for d in &diagnostics.0 {
                        assert!(d.span.start <= d.span.end && d.span.end as usize <= mutant.len());
                    }
                    if let Some(hir) = hir {
                        _ = sema::print(&hir);
                        let bound = hir.params.iter().map(|(_, p)| (p.name.clone(), 8)).collect();
                        _ = sema::bind(&hir, &bound);
                    }
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} mutants parsed");
}

/// Words and punctuation; comments left out.
fn tokens(source: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in source.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else {
                ["<-", "->", "<=", ">=", "==", ".."]
                    .iter()
                    .find(|p| rest.starts_with(**p))
                    .map_or(first.len_utf8(), |p| p.len())
            };
            out.push(rest[..len].to_string());
            rest = rest[len..].trim_start();
        }
    }
    out
}

#[test]
fn bind_names_the_equation() {
    let source = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/programs/moe.fusco"),
    )
    .expect("readable");
    let (file, _) = syntax::parse(&source);
    let hir = sema::check(&file.programs[0]).0.expect("moe is fine");
    let bind = |values: &[(&str, i64)]| -> Vec<String> {
        let bound = values.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        sema::bind(&hir, &bound)
            .0
            .into_iter()
            .map(|d| format!("{} {}", d.code, d.message))
            .collect()
    };
    let good = [("G", 8), ("K", 8), ("E", 256), ("H", 7168), ("TMAX", 4096)];
    assert!(bind(&good).is_empty());
    let with = |name: &'static str, value: i64| {
        good.map(|(n, v)| if n == name { (n, value) } else { (n, v) })
    };
    assert_eq!(bind(&with("H", 7170)), ["F0901 param H: 7170 % 8 == 0 is false"]);
    assert_eq!(bind(&with("E", 255)), ["F0901 param E: 255 % 8 == 0 is false"]);
    assert_eq!(bind(&with("K", 33)), ["F0901 param K: 33 <= 32 is false"]);
    assert_eq!(bind(&with("G", 0)), ["F0901 param G: 0 >= 1 is false"]);
    assert_eq!(bind(&good[..4]), ["F0901 param `TMAX` is not bound"]);
    assert_eq!(bind(&[&good[..], &[("TMAXX", 1)]].concat()), ["F0901 no param `TMAXX`"]);
    assert!(
        bind(&with("TMAX", i64::MAX / 2)).iter().any(|m| m.starts_with("F0901 the size of `x`"))
    );
}

/// `CODE message` of every diagnostic of binding `program` to `values`.
fn bind(program: &str, values: &[(&str, i64)]) -> Vec<String> {
    let (file, _) = syntax::parse(program);
    let (hir, found) = sema::check(&file.programs[0]);
    let hir = hir.unwrap_or_else(|| panic!("{}", render(program, &found.0)));
    let bound = values.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let found = sema::bind(&hir, &bound).0;
    assert!(found.iter().all(|d| d.help.is_some()));
    found.into_iter().map(|d| format!("{} {}", d.code, d.message)).collect()
}

fn example(name: &str) -> String {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/programs");
    fs::read_to_string(at.join(name)).expect("readable")
}

#[test]
fn bind_measures_strides() {
    let source = example("cyclic_to_block.fusco");
    let with = |ldb| bind(&source, &[("M", 37), ("N", 29), ("LDB", ldb)]);
    assert!(with(8).is_empty());
    assert_eq!(with(4), ["F0311 neighbours of `i` overlap: rows of 8 in 4"]);
    assert_eq!(with(9), ["F0901 param LDB: 9 % 4 == 0 is false"]);
}

#[test]
fn bind_measures_numbers_of_plans() {
    let source = "program p {
        param G: int;
        mesh ep { gpu: G }
        param T: int;
        in ids: ix32(4) [s: gpu, t: T, k: 2] @ [s/gpu, t, k];
        out y: i32[e: 4, c: ragged] @ [copy/gpu, e, c.pack(8)];
        out n: u8[e: 4] @ [copy/gpu, e];
        out m: i8[s: gpu, e: 4] @ [s/gpu, e];
        out u: i16[e: 4] @ [copy/gpu, e];
        out v: i8[s: gpu] @ [s/gpu];
        route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (s, t, k); }
        entry main {
            plan r;
            y[e, c] <- t via r;
            n[e] <- count(y.c);
            m[s, e] <- count(y.c, s);
            u[e] <- ends(y.c);
            v[s] <- dropped(r, s);
        }
    }";
    let with = |t| bind(source, &[("G", 2), ("T", t)]);
    let no = |name, elem| format!("F0601 `{name}` is {elem}, which may not hold it");
    assert!(with(63).is_empty());
    assert_eq!(with(64), [no("n", "u8"), no("m", "i8"), no("v", "i8")]);
    assert_eq!(with(8192), [no("n", "u8"), no("m", "i8"), no("u", "i16"), no("v", "i8")]);
}

#[test]
fn bind_measures_tables() {
    let source = "program p {
        mesh dp { gpu: G }
        param G: int;
        param F: int;
        param OWNER: ints;
        in a: f32[f: F] @ [f/gpu.map(OWNER), f];
        in c: f32[f: F] @ [only(G - 2)/gpu, f];
        out b: f32[f: F] @ [copy/gpu, f];
        entry main { b[f] <- a[f]; }
        entry also { b[f] <- c[f]; }
    }";
    let good = [("G", 2), ("F", 3), ("OWNER[0]", 1), ("OWNER[1]", 0), ("OWNER[2]", 1)];
    let with = |name: &'static str, value| {
        bind(source, &good.map(|(n, v)| if n == name { (n, value) } else { (n, v) }))
    };
    assert!(bind(source, &good).is_empty());
    assert_eq!(with("OWNER[1]", 9), ["F0310 OWNER[1] = 9 is outside mesh axis `gpu`"]);
    assert_eq!(with("F", 4), ["F0309 `OWNER` has 3 entries, axis `f` has 4"]);
    assert_eq!(
        with("G", 1),
        [
            "F0310 OWNER[0] = 1 is outside mesh axis `gpu`",
            "F0310 only(-1) is outside mesh axis `gpu`"
        ]
    );
    assert_eq!(bind(source, &good[..2]), ["F0901 param `OWNER` is not bound"]);
    let gap = [good[0], good[1], good[2], good[4]];
    assert_eq!(bind(source, &gap), ["F0901 param `OWNER` has no element 1"]);
    let number = [&good[..], &[("OWNER", 1)]].concat();
    assert_eq!(bind(source, &number), ["F0901 param `OWNER` is an array, not one number"]);
    let stray = [&good[..], &[("OWNER[03]", 1)]].concat();
    assert_eq!(bind(source, &stray), ["F0901 no param `OWNER[03]`"]);
}

#[test]
fn bind_measures_ranges_of_ranks() {
    let source = "program p {
        mesh a { x: 2 }
        mesh b at FIRST..8 { y: Y }
        param FIRST: int;
        param Y: int;
        in s: f32[m: 8] @ [copy/x, m];
        out d: f32[m: 8] @ [copy/y, m];
        entry main { d[m] <- s[m]; }
    }";
    assert!(bind(source, &[("FIRST", 2), ("Y", 6)]).is_empty());
    assert_eq!(
        bind(source, &[("FIRST", 2), ("Y", 4)]),
        ["F0901 mesh `b` has 4 ranks, its range 2..8 holds 6"]
    );
}

#[test]
fn bind_measures_rows_of_swizzles() {
    let source = "program p {
        param C: int;
        in a: bf16[m: 8, c: C] @ [m, c] with swizzle(b128), align(1024);
        out b: bf16[m: 8, c: C] @ [m, c];
        entry main { b[m, c] <- a[m, c]; }
    }";
    assert!(bind(source, &[("C", 64)]).is_empty());
    let narrow = source.replace("m: 8", "m: 4");
    assert!(bind(&narrow, &[("C", 16)]).is_empty(), "one row of 4 x 16");
    for c in [16, 48, 128] {
        assert_eq!(bind(source, &[("C", c)]), ["F0308 a 128-byte swizzle needs rows of 128 bytes"]);
    }
}

/// Indices of one statement, and of several, against numbers.
#[test]
fn bind_tells_elements_apart() {
    let of = |statements: &str| {
        let source = format!(
            "program p {{
                in page: ix32(4)[j: 4] @ [j];
                in none: ix32(8, none = -1)[i: 8] @ [i];
                in a: f32[i: 8] @ [i];
                in b: f32[i: 8] @ [i];
                out o: f32[i: 8] @ [i];
                out w: f32[i: 16] @ [i];
                inout z: f32[i: 8] @ [i];
                entry main {{ {statements} }}
                entry rest {{ o[i] <- b[page[i / 2]]; w[i] <- a[i]; w[i + 8] <- a[i]; z[i] <- a[none[i]]; }}
            }}"
        );
        let found = fusco_dsl::compile(&source, None, &Default::default()).err();
        let all = found.into_iter().flat_map(|d| d.0);
        all.map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(of("o[i] <- a[7 - i]; w[i] <- a[i]; w[i + 8] <- b[i];"), none);
    assert_eq!(of("o[i] <- a[i]; w[i * 2] <- a[i]; w[i * 2 + 1] <- b[i];"), none);
    assert_eq!(
        of("w[i * 2] <- a[i]; w[i + 8] <- b[i];"),
        ["F0504 `w` is written by two statements"]
    );
    assert_eq!(
        of("w[i] <- a[i]; w[i + 8] <- b[i] where i != 3;"),
        ["F0503 some elements of `w` are never written"]
    );
    assert_eq!(of("o[i] <- a[6 - i];"), ["F0206 index reaches -1, outside 0..8"]);
    assert_eq!(
        of("o[i] <- a[i + 1] where i < 7;"),
        ["F0503 some elements of `o` are never written"]
    );
    assert_eq!(of("o[i] <- a[none[i]];"), ["F0503 some elements of `o` are never written"]);
    assert_eq!(of("o[i / 2] <- a[i];"), ["F0205 index may collide"]);
    assert_eq!(
        of("w[i / 2 + i % 2 * 8] <- a[i];"),
        ["F0503 some elements of `w` are never written"]
    );
    assert_eq!(of("w[page[i / 2] * 4 + i % 2] <- a[i];"), ["F0205 index may collide"]);
    assert_eq!(of("o[i] <- a[i / (i - 3)];"), ["F0601 the divisor may be 0"]);
}

#[test]
fn bind_measures_computed_indices() {
    let source = "program p {
        param N: int;
        param K: int;
        in a: f32[i: N, j: 4] @ [i, j];
        out b: f32[m: 40] @ [m];
        entry main { b[i * K + j] <- a[i, j]; }
    }";
    assert!(bind(source, &[("N", 10), ("K", 4)]).is_empty());
    assert!(bind(source, &[("N", 1), ("K", 1)]).is_empty(), "one row never meets another");
    assert_eq!(bind(source, &[("N", 10), ("K", 3)]), ["F0205 index may collide"]);
    assert_eq!(bind(source, &[("N", 11), ("K", 4)]), ["F0206 index reaches 43, outside 0..40"]);
}

#[test]
fn bind_chooses_among_values() {
    let source = "program p {
        param K: int in (2, 4) where K < N;
        param N: int;
        in a: f32[k: K] @ [k];
        out b: f32[k: K] @ [k];
        entry main { b[k] <- a[k]; }
    }";
    assert!(bind(source, &[("K", 4), ("N", 8)]).is_empty());
    assert_eq!(bind(source, &[("K", 3), ("N", 8)]), ["F0901 param K: 3 == 2 || 3 == 4 is false"]);
}

/// Where a mistake of a token and one of the grammar meet, one of them is said.
#[test]
fn what_is_no_token_is_never_passed_over() {
    let text = |middle: &str| {
        format!(
            "program p {{ in a: f32[m: 4] @ [m]; {middle}\n out b: f32[m: 4] @ [m]; entry main {{ b[m] <- a[m]; }} }}"
        )
    };
    for middle in ["expert's output", "an 'a' b", "x → y", "\"s\" t", "é é", "4experts 5x"] {
        let (_, found) = syntax::parse(&text(middle));
        assert!(found.has_errors(), "accepted: {middle}");
    }
}
