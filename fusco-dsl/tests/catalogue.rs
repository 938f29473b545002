//! The catalogue of codes: complete, without dead entries, and true of its own examples.

use fusco_dsl::diag::{self, Diagnostics, Entry, Stage};
use fusco_dsl::sema::hir::Bindings;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = [
    "fusco-dsl/src",
    "fusco-macros/src",
    "fusco-runtime/src",
    "fuscoc/src",
    "kernels-templates/src",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for file in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = file.expect("readable").path();
        let catalogue = path.ends_with("diag/codes.rs") || path.ends_with("diag/catalogue");
        if path.is_dir() && !catalogue {
            sources(&path, out);
        } else if path.is_file() && !catalogue {
            out.push(path);
        }
    }
}

/// Codes in the sources, and those of them that a literal gives to an error.
fn used() -> (BTreeMap<String, PathBuf>, BTreeSet<String>) {
    let mut files = Vec::new();
    CRATES.iter().for_each(|c| sources(&root().join(c), &mut files));
    let (mut all, mut raised) = (BTreeMap::new(), BTreeSet::new());
    for file in files {
        let text = fs::read(&file).expect("readable");
        for (at, window) in text.windows(5).enumerate() {
            let is_code = window[0] == b'F' && window[1..].iter().all(u8::is_ascii_digit);
            let before = at.checked_sub(1).map_or(b' ', |i| text[i]);
            let after = text.get(at + 5).copied().unwrap_or(b' ');
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if !is_code || word(before) || word(after) {
                continue;
            }
            let code = String::from_utf8_lossy(window).into_owned();
            if before == b'"' {
                raised.insert(code.clone());
            }
            all.insert(code, file.clone());
        }
    }
    (all, raised)
}

#[test]
fn every_code_is_explained_and_every_entry_is_alive() {
    let entries = diag::catalogue();
    let (all, raised) = used();
    let known: BTreeSet<&str> = entries.iter().map(|e| e.code).collect();
    for (code, file) in &all {
        assert!(known.contains(code.as_str()), "{code} in {} is not explained", file.display());
    }
    for entry in &entries {
        let alive = raised.contains(entry.code);
        assert_eq!(alive, entry.reserved.is_empty(), "{}: raised {alive}", entry.code);
    }
    assert!(raised.len() > 50, "{raised:?}");
}

#[test]
fn every_file_is_read_whole() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diag/catalogue"))
        .expect("the catalogue");
    assert_eq!(files.count(), diag::catalogue().len());
    for entry in diag::catalogue() {
        let lines = entry.text.lines().count();
        assert!((1..=8).contains(&lines), "{}: {lines} lines", entry.code);
        assert!(entry.text.len() > 60 && !entry.title.is_empty(), "{}", entry.code);
        assert!(entry.text.lines().all(|l| l.len() <= 125), "{}: a line is too long", entry.code);
        let has_program = !entry.wrong.is_empty() && !entry.fixed.is_empty();
        let elsewhere = !entry.arises.is_empty() || !entry.reserved.is_empty();
        assert!(has_program != elsewhere, "{}: a program or where it arises", entry.code);
    }
}

fn settings(text: &str) -> Bindings {
    let one = |s: &str| {
        let (name, value) = s.split_once('=').expect("NAME=VALUE");
        (name.trim().to_string(), value.trim().parse().expect("an integer"))
    };
    text.split(',').filter(|s| !s.is_empty()).map(one).collect()
}

/// What the compiler says: everything at compile time, and at bind where the entry binds or its stage is
/// past the text.
fn says(entry: &Entry, program: &str, set: &str) -> Diagnostics {
    match fusco_dsl::check(program) {
        Err(diagnostics) => diagnostics,
        Ok((_, warnings)) if entry.is_warning() => warnings,
        Ok(_) => {
            let params = settings(set);
            fusco_dsl::compile(program, None, &params).err().unwrap_or_default()
        }
    }
}

#[test]
fn examples_raise_their_code_and_their_fixes_raise_nothing() {
    let mut wrong = String::new();
    for entry in diag::catalogue().iter().filter(|e| !e.wrong.is_empty()) {
        let found = says(entry, entry.wrong, entry.wrong_set);
        if found.0.is_empty() || found.0.iter().any(|d| d.code != entry.code) {
            let text = diag::render(&found, "wrong", entry.wrong, false);
            wrong += &format!("{} alone is expected:\n{text}\n", entry.code);
        }
        let found = match fusco_dsl::check(entry.fixed) {
            Err(found) | Ok((_, found)) if !found.0.is_empty() => found,
            _ => says(entry, entry.fixed, entry.fixed_set),
        };
        if !found.0.is_empty() {
            let text = diag::render(&found, "fixed", entry.fixed, false);
            wrong += &format!("{} is not fixed:\n{text}\n", entry.code);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Applied, the fix of a wrong example leaves nothing to say, unless a param is not bound.
#[test]
fn fixes_put_the_examples_right() {
    let (mut wrong, mut applied) = (String::new(), 0);
    for entry in diag::catalogue().iter().filter(|e| !e.wrong.is_empty()) {
        for fix in says(entry, entry.wrong, entry.wrong_set).0.iter().filter_map(|d| d.fix.clone())
        {
            applied += 1;
            let after = fix.apply(entry.wrong);
            let mut found = says(entry, &after, entry.fixed_set);
            found.0.retain(|d| !d.message.ends_with("is not bound"));
            if !found.0.is_empty() {
                wrong += &diag::render(&found, entry.code, &after, false);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(applied >= 30, "only {applied} examples have a fix");
}

#[test]
fn explaining_a_code() {
    let text = diag::explain("f0301").expect("known");
    assert!(text.starts_with("F0301: a mesh axis is not accounted for\n"), "{text}");
    for part in ["copy/gpu", "Wrong:\n\n    program p {", "Put right:\n", "raised by: placement"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let bound = diag::explain("F0901").expect("known");
    assert!(bound.contains("Wrong, with --set N=12") && bound.contains("--set N=16"), "{bound}");
    assert!(diag::explain("F0908").is_ok_and(|t| t.contains("arises: while a launch runs")));
    assert_eq!(
        diag::explain("F0310 ").err().as_deref(),
        Some("no code `F0310 `; did you mean `F0310`?")
    );
    assert!(diag::explain("G").is_err_and(|e| e == "no code `G`"));
    let entry = diag::entry("F0203").expect("known");
    assert_eq!(entry.stage, Stage::Sizes);
    assert_eq!(diag::explain_json(&entry)["stage"], "sizes");
}
