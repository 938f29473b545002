//! First programs of people who know other languages: what they are told, and where the offered edits lead.
//!
//! Each snapshot beside the programs has what is said, then what is left once the first edit is applied, again
//! and again. A program is accepted at the end unless it is listed here, with the reason why it cannot be.

use fusco_dsl::diag::{Diagnostics, Fix, render};
use fusco_dsl::{check, lower};
use std::fs;

/// Most edits that a program takes.
const MOST_EDITS: usize = 12;

/// No edit is certain to be what is meant: a value that has to be computed elsewhere (22, 23, 37), which of two
/// statements stays (24), what to reduce by (26), the range of an index (35), an output that the program is
/// without once the first mistake is mended (28, 29, 31, 33, 34).
const NO_EDIT: &[&str] = &[
    "22_shared_plus",
    "23_shared_plus_nocast",
    "24_two_writes",
    "26_no_sum",
    "28_no_else",
    "29_no_by",
    "31_c_noext",
    "33_T_noidx",
    "34_dyn_nobound",
    "35_topk_i32",
    "37_scale",
];

/// What is wrong, down to the schedule where there is nothing to bind.
fn wrong(text: &str) -> Option<Diagnostics> {
    match check(text) {
        Err(found) => Some(found),
        Ok((programs, _)) => programs
            .into_iter()
            .filter(|p| p.params.iter().next().is_none())
            .find_map(|p| lower(p, &Default::default()).err()),
    }
}

fn applied(text: &str, fix: &Fix) -> String {
    let (start, end) = (fix.span.start as usize, fix.span.end as usize);
    format!("{}{}{}", &text[..start], fix.replacement, &text[end..])
}

#[test]
fn first_programs() {
    let mut unmended = Vec::new();
    for file in crate::errors::folder("first_programs") {
        let name = file.file_stem().and_then(|s| s.to_str()).expect("a name").to_string();
        let mut text = fs::read_to_string(&file).expect("readable");
        let mut said = String::new();
        let mut edits = 0;
        let accepted = loop {
            let Some(found) = wrong(&text) else { break true };
            assert!(found.0.iter().all(|d| d.help.is_some()), "{name}: {found:#?}");
            let fix = found.0.iter().find_map(|d| d.fix.clone());
            if edits == 0 || fix.is_none() {
                said += &render(&found, "first.fusco", &text, false);
                said += "\n";
            }
            let Some(fix) = fix.filter(|_| edits < MOST_EDITS) else { break false };
            text = applied(&text, &fix);
            edits += 1;
        };
        said += &match (accepted, edits) {
            (true, 0) => "accepted\n".to_string(),
            (true, n) => format!("accepted after {n} edits:\n{text}"),
            (false, 0) => "no edit\n".to_string(),
            (false, n) => format!("not accepted after {n} edits:\n{text}"),
        };
        if !accepted {
            unmended.push(name.clone());
        }
        insta::with_settings!({
            snapshot_path => "first_programs",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!(name, said) });
    }
    assert_eq!(unmended, NO_EDIT);
}
