//! Every edit that a diagnostic offers, applied: its code is gone from there.

use fusco_dsl::diag::{Diagnostic, Diagnostics, Fix, entry, json, render};
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{check, compile, sema, syntax};

/// What parsing and checking say; like `check`, but with what follows from a syntax error too.
fn found(source: &str) -> Vec<Diagnostic> {
    let (file, Diagnostics(mut out)) = syntax::parse(source);
    file.programs.iter().for_each(|p| out.extend(sema::check(p).1.0));
    out
}

fn applied(source: &str, fix: &Fix) -> String {
    let (start, end) = (fix.span.start as usize, fix.span.end as usize);
    format!("{}{}{}", &source[..start], fix.replacement, &source[end..])
}

/// Where a byte that the edit does not touch is afterwards.
fn moved(at: u32, fix: &Fix) -> u32 {
    let longer = fix.replacement.len() as i64 - i64::from(fix.span.end - fix.span.start);
    if at >= fix.span.end && at > fix.span.start { (i64::from(at) + longer) as u32 } else { at }
}

/// Whether a diagnostic of that code is left at what was the span of `d`.
fn remains(d: &Diagnostic, fix: &Fix, after: &[Diagnostic]) -> bool {
    let start = moved(d.span.start, fix);
    after.iter().any(|e| e.code == d.code && e.span.start == start && e.message == d.message)
}

#[test]
fn each_fix_removes_its_error() {
    let mut codes = std::collections::BTreeMap::new();
    for file in crate::errors::folder("errors") {
        let source = std::fs::read_to_string(&file).expect("readable");
        for d in found(&source) {
            let Some(fix) = &d.fix else { continue };
            let after = found(&applied(&source, fix));
            let (name, edit) = (file.display(), &fix.replacement);
            assert!(!remains(&d, fix, &after), "{name}: {} stays after {edit:?}", d.message);
            let broken = |d: &&Diagnostic| d.code.starts_with("F000");
            let (before, after) = (found(&source).iter().filter(broken).count(), after);
            let after = after.iter().filter(broken).count();
            assert!(after <= before, "{name}: {edit:?} for {} does not parse", d.message);
            *codes.entry(d.code).or_insert(0) += 1;
        }
    }
    let fixed: Vec<&str> = codes.keys().copied().collect();
    assert!(fixed.len() >= 28, "only {fixed:?} offer an edit");
}

/// Edits of the catalogue's wrong programs: nothing is wrong afterwards.
#[test]
fn a_fix_of_the_smallest_program_leaves_no_error() {
    let mut repaired = Vec::new();
    for e in fusco_dsl::diag::codes().filter_map(entry) {
        let Some(wrong) = e.wrong else { continue };
        let params: Bindings = (e.params.iter().flat_map(|p| p.split(',')))
            .filter_map(|s| s.split_once('='))
            .map(|(n, v)| (n.to_string(), v.parse().expect("an integer")))
            .collect();
        let diagnostics = match check(wrong) {
            Err(found) => found,
            Ok(_) => compile(wrong, None, &params).err().unwrap_or_default(),
        };
        for fix in diagnostics.0.iter().filter_map(|d| d.fix.as_ref()) {
            let text = applied(wrong, fix);
            let left = match e.params {
                None => check(&text).err(),
                Some(_) => compile(&text, None, &params).err(),
            };
            assert!(left.is_none(), "{}: {text}\n{left:#?}", e.code);
            repaired.push(e.code);
        }
    }
    assert!(repaired.len() >= 30, "only {repaired:?}");
}

#[test]
fn a_fix_is_shown_and_is_data() {
    let e = entry("F0401").expect("a code");
    let wrong = e.wrong.expect("a program");
    let found = check(wrong).expect_err("wrong");
    let shown = render(&found, "p.fusco", wrong, false);
    assert!(shown.contains("slot(e) by (s, t, k)"), "{shown}");
    let object = json(&found, "p.fusco", wrong);
    let fix = &object[0]["fix"];
    assert_eq!(fix["replacement"], " by (s, t, k)");
    assert_eq!(fix["span"]["start"], fix["span"]["end"]);
}
