//! Texts that nest deeply or go on for long: an error on the place, or an answer, never the end of the
//! stack, whatever has to be walked, printed or dropped.

use fusco_dsl::diag::Diagnostics;

/// What a thread has unless more is asked for.
const STACK: usize = 2 << 20;

/// Longest text whose tree is printed, too.
const SHOWN: usize = 400;

const STATIC: &str = "program p { param N: int; \
     in x: f32[i: EXTENT] @ [i]; out y: f32[i: N] @ [i]; entry e { y[i] <- x[INDEX]; } }";

/// Each form at a depth: its name, and the program.
fn forms(n: usize) -> Vec<(&'static str, String)> {
    let chain = |first: &str, next: &str| first.to_string() + &next.repeat(n);
    let konst = |value: String| format!("program p {{ const A = {value}; }}");
    let with = |extent: &str, index: &str| STATIC.replace("EXTENT", extent).replace("INDEX", index);
    let moe = include_str!("../../examples/programs/moe.fusco");
    let product = moe.replacen("sum(k:", &format!("sum(k: {}", chain("", "w[s, t, k] * ")), 1);
    assert_ne!(product, moe);
    vec![
        ("sum", konst(chain("1", "+1"))),
        ("difference", konst(chain("1", " - 1"))),
        ("product", konst(chain("1", "*1"))),
        ("quotient", konst(chain("1", "/1 % 7"))),
        ("brackets", konst("(".repeat(n) + "1" + &")".repeat(n))),
        ("open brackets", konst("(".repeat(n))),
        ("arrays", konst("[".repeat(n) + "1" + &"]".repeat(n))),
        ("closed", konst("]".repeat(n))),
        ("negations", konst("-(".repeat(n) + "1" + &")".repeat(n))),
        ("minuses", konst("- ".repeat(n) + "1")),
        ("sum in brackets", konst("(1+".repeat(n) + "1" + &")".repeat(n))),
        ("sum behind brackets", konst("(".repeat(n) + "1" + &"+1)".repeat(n))),
        ("indices", konst(chain("A", "[0]"))),
        ("calls", konst(chain("f", "()"))),
        ("calls of sums", konst(chain("f", "(1+1)"))),
        ("fields", konst(chain("a", ".b"))),
        ("where", format!("program p {{ param N: int where {}; }}", chain("N > 0", " && N > 0"))),
        ("or", format!("program p {{ param N: int where {}; }}", chain("N > 0", " || N > 0"))),
        ("comparisons", format!("program p {{ param N: int where {}; }}", chain("N", " < N"))),
        ("extent", with(&chain("N", "+N"), "i")),
        ("factors of an extent", with(&chain("N", "*N"), "i")),
        ("index", with("N", &chain("i", "+0"))),
        ("index of products", with("N", &chain("i", "*1"))),
        ("elements", product),
        ("braces", "program p { ".to_string() + &"entry e { ".repeat(n)),
        ("comments", "/*".repeat(n) + &"*/".repeat(n) + " program p { const A = 1; }"),
        ("open comments", "/*".repeat(n)),
        ("tiles", format!("program p {{ in x: f32[i: 8] @ [{}]; }}", chain("i", ":2"))),
        ("mods", format!("program p {{ in x: f32[i: 8] @ [{}]; }}", chain("i", ".pack(1)"))),
        ("stars", chain("", "*")),
    ]
}

/// Everything that is done to a text, on a small stack.
fn all(text: String) -> Result<(), Diagnostics> {
    let work = move || {
        let (file, _) = fusco_dsl::syntax::parse(&text);
        // The layers of a tree as text make its time cubic.
        if text.len() < SHOWN {
            _ = fusco_dsl::syntax::dump(&file);
        }
        drop(file.clone());
        drop(file);
        _ = fusco_dsl::syntax::fmt(&text);
        let checked = fusco_dsl::check(&text);
        let params = [("N", 8), ("G", 2), ("E", 4), ("K", 2), ("H", 8), ("TMAX", 8)];
        let params = params.map(|(n, v)| (n.to_string(), v));
        for (program, bound) in checked.iter().flat_map(|(p, _)| p).map(|p| {
            let mine = |(n, _): &(String, i64)| p.params.iter().any(|(_, q)| q.name == *n);
            (p, params.iter().filter(|b| mine(b)).cloned().collect())
        }) {
            _ = fusco_dsl::sema::print(program);
            if let Ok(compiled) = fusco_dsl::lower(program.clone(), &bound) {
                _ = ["layout", "plan", "schedule"].map(|s| compiled.stage(s));
            }
        }
        if let Err(found) = &checked {
            _ = fusco_dsl::diag::render(found, "p.fusco", &text, false);
        }
        checked.map(|_| ())
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread.expect("a thread").join().expect("it does not panic")
}

#[test]
fn long_and_deep_texts_are_refused_where_they_are_too_long() {
    for n in [300, 3_000, 30_000] {
        for (name, text) in forms(n) {
            let len = text.len();
            let found = all(text).expect_err(name);
            let first = found.0.first().unwrap_or_else(|| panic!("{name} says nothing"));
            assert!(first.code.starts_with("F0"), "{name}: {first:?}");
            assert!((first.span.end as usize) <= len, "{name}: {first:?}");
        }
    }
}

#[test]
fn the_limit_is_said_and_the_place_with_it() {
    let text = "program p {\n    const A = ".to_string() + &"1+".repeat(20_000) + "1;\n}";
    let found = fusco_dsl::check(&text).expect_err("too long");
    let [one] = &found.0[..] else { panic!("{found:?}") };
    assert_eq!(one.code, "F0001");
    assert!(one.message.contains("256 operators") && one.help.is_some(), "{one:?}");
    assert_eq!(&text[one.span.start as usize..one.span.end as usize], "+");
    assert_eq!(text[..one.span.start as usize].matches('+').count(), 256);
    let text = "program p { /* ".to_string() + &"/*".repeat(70) + &"*/".repeat(71) + " }";
    let found = fusco_dsl::check(&text).expect_err("too deep");
    assert!(found.0[0].message.contains("comments nest"), "{found:?}");
}

/// As long and as deep as is allowed, every stage has stack enough.
#[test]
fn what_is_allowed_fits_a_small_stack() {
    for n in [60, 120, 250] {
        for (name, text) in forms(n) {
            println!("{name} {n}");
            _ = all(text);
        }
    }
    let sum = |n: usize| format!("program p {{ const A = 1{}; }}", "+1".repeat(n));
    all(sum(256)).expect("as long as is allowed");
    assert!(all(sum(257)).is_err());
}

/// The limit is of one expression: a program has as many as it wants.
#[test]
fn many_short_expressions_are_no_long_one() {
    let consts: String = (0..500).map(|i| format!("const A{i} = (1 + 2) * 3 - 4;\n")).collect();
    let list = vec!["1 + 2 * 3"; 500].join(", ");
    let entries: String =
        (0..200).map(|i| format!("entry e{i} {{ y{i}[i] <- x[i]; }}\n")).collect();
    let outs: String = (0..200).map(|i| format!("out y{i}: f32[i: 4] @ [i];\n")).collect();
    let brackets = "/* ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((( */";
    let text = format!(
        "program p {{ {brackets} {consts} const L = [{list}];\n in x: f32[i: 4] @ [i];\n{outs}{entries} }}"
    );
    fusco_dsl::check(&text).unwrap_or_else(|d| panic!("{:?}", d.0.first()));
}

/// A word of 70,000 letters in place of each word, of the grammar's too: an error that mends it, or an answer.
#[test]
fn words_are_as_long_as_they_like() {
    let text = "program p { mesh m { gpu: 2 } in x: f32[i: 8, j: 8] @ [i/gpu, i, j]; \
         out y: f32[j: 8, i: 8] @ [j/gpu, j, i]; entry e { y[j, i] <- x[i, j]; } }";
    let long = "q".repeat(70_000);
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let words: std::collections::BTreeSet<&str> =
        text.split(|c| !is_word(c)).filter(|w| w.starts_with(char::is_alphabetic)).collect();
    let mut answers = 0;
    for word in words {
        let replaced: Vec<&str> = text
            .split_inclusive(|c| !is_word(c))
            .flat_map(|part| {
                let (name, rest) = part.split_at(part.trim_end_matches(|c| !is_word(c)).len());
                [if name == word { &long } else { name }, rest]
            })
            .collect();
        let replaced = replaced.concat();
        match fusco_dsl::compile(&replaced, None, &Default::default()) {
            Ok(compiled) => {
                answers += usize::from(fusco_dsl::explain::text(&compiled, None).contains(&long))
            }
            Err(found) => _ = fusco_dsl::diag::render(&found, "p.fusco", &replaced, false),
        }
    }
    assert!(answers >= 6, "{answers} programs with a long name are explained");
}

#[test]
fn thousands_of_errors_are_quick_to_show() {
    let text = format!("program p {{ {} }}", "const A = 1; ".repeat(8_000));
    let found = fusco_dsl::check(&text).expect_err("declared twice");
    assert!(found.0.len() > 7_000, "{}", found.0.len());
    let started = std::time::Instant::now();
    let shown = fusco_dsl::diag::render(&found, "p.fusco", &text, false);
    assert!(shown.ends_with("more; `--format json` lists all"));
    _ = fusco_dsl::diag::json(&found, "p.fusco", &text);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
