//! The catalogue of codes against the sources that raise them, and each of its programs against the
//! compiler.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::diag::{Diagnostics, Entry, Severity, codes, entry, explain};
use fusco_dsl::rust::names;
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{check, compile};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every `"F0..."` in the sources of the workspace.
fn raised() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut out = BTreeSet::new();
    for part in ["fusco-dsl", "fusco-runtime", "fuscoc", "fusco-macros"] {
        scan(&root.join(part).join("src"), &mut out);
    }
    out
}

fn scan(folder: &Path, out: &mut BTreeSet<String>) {
    for item in fs::read_dir(folder).expect("a folder of sources").map(|i| i.expect("readable")) {
        let path = item.path();
        if path.is_dir() {
            scan(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("diag/codes.rs") {
            let text = fs::read_to_string(&path).expect("readable");
            out.extend(text.split('"').filter(|s| is_code(s)).map(str::to_string));
        }
    }
}

fn is_code(word: &str) -> bool {
    word.len() == 5 && word.starts_with("F0") && word[1..].bytes().all(|b| b.is_ascii_digit())
}

#[test]
fn every_code_is_explained() {
    let is_raised = |c: &&str| entry(c).is_some_and(|e| e.stage != "reserved");
    let known: BTreeSet<String> = codes().filter(is_raised).map(str::to_string).collect();
    let raised = raised();
    assert!(raised.len() > 50, "the scan found {raised:?}");
    let missing: Vec<&String> = raised.difference(&known).collect();
    assert!(missing.is_empty(), "raised, not in the catalogue: {missing:?}");
    let stale: Vec<&String> = known.difference(&raised).collect();
    assert!(stale.is_empty(), "in the catalogue, never raised: {stale:?}");
}

#[test]
fn entries_have_their_parts() {
    for code in codes() {
        let e = entry(code).unwrap_or_else(|| panic!("{code} is malformed"));
        let stages = ["check", "bind", "check or bind", "generate", "rust", "launch", "reserved"];
        assert!(stages.contains(&e.stage), "{code}: {}", e.stage);
        let lines = e.text.lines().count();
        assert!((2..=6).contains(&lines), "{code}: {lines} lines");
        let exempt = matches!(e.stage, "launch" | "reserved") || matches!(code, "F0790" | "F0791");
        assert_eq!(exempt, e.wrong.is_none(), "{code}: a program");
        assert_eq!(e.wrong.is_some(), e.fixed.is_some(), "{code}: both programs");
        let shown = explain(code).expect("known");
        assert!(shown.starts_with(&format!("{code}: {}\n", e.title)) && shown.contains(e.text));
    }
}

#[test]
fn a_wrong_code_names_the_nearest() {
    assert_eq!(explain("F0312"), Err(Some("F0311")));
    assert_eq!(explain("F0006"), Err(Some("F0005")));
    assert_eq!(explain("F0699"), Err(Some("F0611")));
    assert_eq!(explain("F9999"), Err(Some("F0999")));
    assert_eq!(explain("F7777"), Err(None));
    assert!(explain("f0301").is_ok());
}

fn errors(e: &Entry, program: &str) -> Vec<(String, String)> {
    let mut params = Bindings::new();
    for set in e.params.iter().flat_map(|p| p.split(',')) {
        let (name, value) = set.split_once('=').expect("NAME=V");
        params.insert(name.trim().to_string(), value.trim().parse().expect("an integer"));
    }
    // A code of either stage is raised by the text alone, unless its wrong program passes that.
    let early = e.stage == "check or bind" && e.wrong.is_some_and(|w| check(w).is_err());
    let found = match e.stage {
        _ if early || e.stage == "check" => {
            check(program).map_or_else(|d| d, |(_, warnings)| warnings)
        }
        "rust" => {
            check(program).and_then(|(programs, _)| names(&programs)).err().unwrap_or_default()
        }
        _ => match compile(program, None, &params) {
            Err(d) => d,
            Ok(compiled) if e.stage == "generate" => {
                let ranks_per_device = compiled.schedule.ranks as u32;
                let target = Target::hopper(ranks_per_device);
                generate(&compiled.schedule, &target).err().unwrap_or_default()
            }
            Ok(compiled) => compiled.warnings,
        },
    };
    let Diagnostics(found) = found;
    found
        .into_iter()
        .map(|d| (d.code.to_string(), format!("{:?} {}", d.severity, d.message)))
        .collect()
}

#[test]
fn wrong_programs_raise_their_code_and_fixed_ones_none() {
    let mut bad = Vec::new();
    for e in codes().filter_map(entry) {
        let (Some(wrong), Some(fixed)) = (e.wrong, e.fixed) else { continue };
        let found = errors(&e, wrong);
        if found.is_empty() || found.iter().any(|(code, _)| code != e.code) {
            bad.push(format!("{} wrong: {found:?}", e.code));
        }
        let found = errors(&e, fixed);
        if !found.is_empty() {
            bad.push(format!("{} fixed: {found:?}", e.code));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(
        entry("F0105").map(|e| errors(&e, e.wrong.expect("one"))[0]
            .1
            .starts_with(&format!("{:?}", Severity::Warning))),
        Some(true)
    );
}
