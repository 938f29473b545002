//! Names never collide: programs whose words are those of generated texts, of C++ and of each other give the
//! text that any words give, but for the words.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{check, compile};
use std::collections::{BTreeMap, BTreeSet};

const MOE: &str = include_str!("../../examples/programs/moe.fusco");
const MOE_PARAMS: [(&str, i64); 5] = [("G", 4), ("E", 8), ("K", 2), ("H", 7168), ("TMAX", 4096)];
const MOE_WORDS: [&str; 18] = [
    "x", "y", "topk", "w", "n", "z", "o", "T", "t", "k", "c", "e", "s", "h", "r", "dispatch",
    "combine", "gpu",
];

const TREE: &str = include_str!("../../tests/gpu/tree.fusco");
const TREE_PARAMS: [(&str, i64); 6] =
    [("N", 2), ("G", 2), ("K", 2), ("E", 8), ("H", 64), ("TMAX", 16)];
const TREE_WORDS: [&str; 10] = ["x", "topk", "w", "z", "o", "t", "k", "c", "e", "combine"];

/// Tables known at bind, computed ones, elements that are assumed distinct, fills, tiles and rows, without a route.
const STATIC: &str = "program p {
    mesh m { p: 2 }
    const W = [1, 0, 1, 0];
    in  a: f32[f: 4, g: 8] @ [f/p.map(W), f, g];
    in  b: i32[q: 16] @ [copy/p, q];
    in  l: u8[u: 256, v: 256] @ [copy/p, u, v];
    out c: f32[f: 4, g: 8] @ [copy/p, f, g];
    in  n: ix32(16)[q: 16] @ [q/p, q];
    out d: i32[q: 16] @ [q/p, q, q:3] with uneven, fill(0);
    out o: i32[q: 16] @ [q/p, q] with fill(0);
    out k: u8[v: 256, u: 256] @ [v/p, v, u];
    entry first { c[f, g] <- a[f, g]; d[q] <- b[q]; }
    entry second { k[v, u] <- l[u, v]; d[q] <- b[q]; }
    entry third { o[n[q]] <- b[q]; assume distinct(q: n[q]); }
}";
const STATIC_WORDS: [&str; 15] =
    ["a", "b", "l", "c", "d", "k", "n", "o", "f", "g", "q", "u", "v", "first", "second"];

/// Words of C++ that no generated text has, and those that the compiler makes of a program's.
const MORE: [&str; 29] = [
    "wchar_t",
    "decltype",
    "nullptr",
    "thread_local",
    "and_eq",
    "threadIdx",
    "warpSize",
    "main_prepare",
    "owner_a_f",
    "owner_a_f_",
    "position_a_f",
    "Plan_r",
    "Route_r",
    "Plan_x",
    "Home",
    "first_prepare",
    "first_ready",
    "second_prepare",
    "epoch_first",
    "barrier",
    "v_",
    "row_",
    "row__",
    "load_tile_",
    "x_",
    "t_",
    "first_prepare_",
    "first_done",
    "__ballot_sync",
];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Words and what is between them, without comments. Members and what types hold are words with what is before
/// them: no other word hides them.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut rest = line.split_once("//").map_or(line, |(code, _)| code);
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            let before = out.last().map_or("", String::as_str);
            let held = [".", "->", "::"].into_iter().find(|mark| before.ends_with(mark));
            out.push(format!("{}{token}", held.filter(|_| is_word(first)).unwrap_or_default()));
            rest = after;
        }
    }
    out
}

/// What is generated for the program: without the prelude, directives and what types hold.
fn own_text(text: &str) -> String {
    let mut text = text.to_string();
    for (_, part) in kernels_templates::PRELUDE {
        text = text.replace(part.trim(), "");
    }
    let (mut out, mut held) = (String::new(), false);
    for line in text.lines().map(str::trim_start) {
        if line.starts_with('#') || line.starts_with("static_assert") {
            continue;
        }
        held |= line.starts_with("struct ");
        if !held {
            out.push_str(line.trim_start_matches("extern \"C\""));
            out.push('\n');
        }
        held &= !line.ends_with("};");
    }
    out
}

fn renamed(text: &str, names: &BTreeMap<&str, &str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        out.push_str(names.get(token).unwrap_or(&token));
        rest = after;
    }
    out
}

fn plain_word(i: usize) -> String {
    format!("plain{i}word")
}

/// The program with words that nothing else has.
fn plainly(source: &str, own: &[&str]) -> String {
    let plain: Vec<String> = (0..own.len()).map(plain_word).collect();
    renamed(source, &own.iter().copied().zip(plain.iter().map(String::as_str)).collect())
}

/// The texts for devices that share ranks and for those that have one each.
fn texts(source: &str, params: &[(&str, i64)]) -> Option<Vec<String>> {
    let params: Bindings = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let compiled = compile(source, None, &params).ok()?;
    let ranks = compiled.schedule.ranks as u32;
    let text = |ranks| Some(generate(&compiled.schedule, &Target::hopper(ranks)).ok()?.source);
    [ranks, 1].into_iter().map(text).collect()
}

/// Whether one text is the other with some words exchanged for others, one for one.
fn differ(a: &str, b: &str) -> Option<String> {
    let (a, b) = (tokens(&own_text(a)), tokens(&own_text(b)));
    let (mut to, mut back) = (BTreeMap::new(), BTreeMap::new());
    for (x, y) in a.iter().zip(&b) {
        if to.insert(x, y).is_some_and(|old| old != y)
            || back.insert(y, x).is_some_and(|old| old != x)
        {
            return Some(format!("`{x}` and `{y}`"));
        }
    }
    (a.len() != b.len()).then(|| "length".to_string())
}

/// Gives the program's words others from the list, in turn, until each of them had its turn in every place.
fn collide(source: &str, params: &[(&str, i64)], own: &[&str]) {
    let source = &plainly(source, own);
    let own: Vec<String> = (0..own.len()).map(plain_word).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let plain = texts(source, params).expect("it compiles");
    let found: Vec<String> = plain.iter().flat_map(|t| tokens(t)).collect();
    let mut words: BTreeSet<&str> =
        found.iter().map(|w| w.trim_start_matches(|c| !is_word(c))).collect();
    words.extend(MORE);
    let is_name = |w: &&str| w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let reserved: BTreeSet<String> = tokens(source).into_iter().collect();
    // Parameters may be called as the kernel.
    let kernel = |w: &str| ["moe_", "p_", "tree_"].iter().any(|own| w.starts_with(own));
    let free =
        |w: &&str| !kernel(w) && !reserved.contains(*w) && !w.contains("plain") && is_name(w);
    // Those that the language has for itself are not for programs.
    let usable =
        |w: &&str| texts(&renamed(source, &BTreeMap::from([(own[0], *w)])), params).is_some();
    let candidates: Vec<&str> = words.into_iter().filter(free).collect();
    let words: Vec<&str> = candidates.iter().copied().filter(usable).collect();
    assert!(words.len() * 10 > candidates.len() * 8, "{} of {}", words.len(), candidates.len());
    let mut bad = BTreeMap::new();
    for turn in 0..words.len() {
        let at = |i: usize| words[(turn + i) % words.len()];
        let names: BTreeMap<&str, &str> =
            own.iter().enumerate().map(|(i, w)| (*w, at(i))).collect();
        let Some(made) = texts(&renamed(source, &names), params) else {
            bad.insert("does not compile".to_string(), names);
            continue;
        };
        for (a, b) in plain.iter().zip(&made) {
            bad.extend(differ(a, b).map(|what| (what, names.clone())));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn words_of_texts_are_free_for_programs_with_routes() {
    collide(MOE, &MOE_PARAMS, &MOE_WORDS);
}

#[test]
fn words_of_texts_are_free_for_sums_in_parts() {
    collide(TREE, &TREE_PARAMS, &TREE_WORDS);
}

#[test]
fn words_of_texts_are_free_for_programs_without() {
    collide(STATIC, &[], &STATIC_WORDS);
}

/// The words of this program against words that nothing else has.
fn alike(source: &str, own: &[&str]) {
    let made = texts(source, &[]).expect("it compiles");
    let plain = texts(&plainly(source, own), &[]).expect("it compiles");
    for (a, b) in plain.iter().zip(&made) {
        assert_eq!(differ(a, b), None, "{source}\n{b}");
    }
}

#[test]
fn an_entry_may_be_called_as_a_kernel_of_another() {
    let source = "program names {
        mesh m { p: 2 }
        in a: f32[i: 10] @ [i/p, i];
        out b: f32[i: 10] @ [i/p, i, i:4] with uneven, fill(0);
        out c: f32[i: 10] @ [copy/p, i];
        entry main { b[i] <- a[i]; }
        entry main_prepare { c[i] <- a[i]; }
    }";
    let params = Bindings::new();
    let compiled = compile(source, None, &params).expect("it compiles");
    let steps = compiled.schedule.entries.iter().flat_map(|e| &e.steps);
    let kernels: Vec<_> = steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel.name).collect();
    let distinct: BTreeSet<_> = kernels.iter().collect();
    assert_eq!(distinct.len(), kernels.len(), "{kernels:?}");
}

#[test]
fn a_tensor_may_be_called_as_a_table() {
    let source = "program tables {
        mesh m { p: 2 }
        const W = [1, 0, 1, 0];
        in a: f32[f: 4, h: 8] @ [f/p.map(W), f, h];
        in owner_a_f: f32[h: 8, f: 4] @ [copy/p, h, f];
        out b: f32[f: 4, h: 8] @ [copy/p, f, h];
        out d: f32[h: 8, f: 4] @ [copy/p, h, f];
        entry main { b[f, h] <- a[f, h]; d[h, f] <- owner_a_f[h, f]; }
    }";
    alike(source, &["owner_a_f"]);
}

#[test]
fn axes_whose_names_join_alike_have_tables_of_their_own() {
    let source = "program joined {
        mesh m { p: 2 }
        const W = [1, 0, 1, 0];
        const V = [0, 1, 1, 0];
        in a_b: f32[c: 4, h: 8] @ [c/p.map(W), c, h];
        in a: f32[b_c: 4, h: 8] @ [b_c/p.map(V), b_c, h];
        out d: f32[c: 4, h: 8] @ [copy/p, c, h];
        out e: f32[b_c: 4, h: 8] @ [copy/p, b_c, h];
        entry main { d[c, h] <- a_b[c, h]; e[b_c, h] <- a[b_c, h]; }
    }";
    alike(source, &["a_b", "b_c"]);
}

#[test]
fn a_tensor_may_be_called_as_a_function_of_the_prelude() {
    for word in ["load_tile", "floor_div", "floor_rem", "repeated"] {
        let source = format!(
            "program v1 {{
                in {word}: u8[m: 256, n: 256] @ [m, n];
                out b: u8[n: 256, m: 256] @ [n, m];
                entry main {{ b[n, m] <- {word}[m, n]; }}
            }}"
        );
        alike(&source, &[word]);
        let text = texts(&source, &[]).expect("it compiles").remove(0);
        assert!(tokens(&text).contains(&format!("{word}_")), "{word}: {text}");
    }
}

#[test]
fn names_that_underscores_tell_apart_stay_apart() {
    let axes = "program v2 {
        in a: f32[v: 8, v_: 16, h: 64] @ [v, v_, h];
        out b: f32[v_: 16, v: 8, h: 64] @ [v_, v, h];
        entry main { b[v_, v, h] <- a[v, v_, h]; }
    }";
    alike(axes, &["v", "v_"]);
    let tensors = "program v3 {
        in row: f32[i: 8, h: 64] @ [i, h];
        in row_: f32[i: 8, h: 64] @ [i, h];
        out b: f32[i: 8, h: 64] @ [i, h];
        out c: f32[i: 8, h: 64] @ [i, h];
        entry main { b[i, h] <- row[i, h]; c[i, h] <- row_[i, h]; }
    }";
    alike(tensors, &["row", "row_"]);
}

#[test]
fn programs_of_one_file_have_names_of_their_own() {
    let program = "program p {
    mesh tp { gpu: 4 }
    in  a: bf16[m: 8, n: 64] @ [m/gpu, m, n];
    out b: bf16[n: 64, m: 8] @ [n/gpu, n, m];
    entry main { b[n, m] <- a[m, n]; }
}
";
    let twice = format!("{program}{program}");
    let found = check(&twice).expect_err("two programs are called `p`").0;
    let second = program.len() + "program ".len();
    let found: Vec<_> = found.iter().map(|d| (d.code, d.span.start as usize)).collect();
    assert_eq!(found, [("F0102", second)]);
    assert!(check(&format!("{program}{}", program.replace("program p", "program q"))).is_ok());
}
