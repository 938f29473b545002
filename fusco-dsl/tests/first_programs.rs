//! First programs of people who know other languages: what they are told, and where the offered edits lead.
//!
//! Each snapshot beside the programs has what is said, then what is left once the first edit is applied, again
//! and again. A program is accepted at the end unless it is listed here, with the reason why it cannot be.

use fusco_dsl::diag::{Diagnostics, Fix, render};
use fusco_dsl::{check, lower};
use std::fs;

/// Most edits that a program takes.
const MOST_EDITS: usize = 12;

/// No edit is certain to be what is meant: a value that has to be computed elsewhere (23, 106, 107, 111, 151, 216,
/// 242), which of two declarations, names or statements stays (24, 56, 57, 176, 182, 218), what to
/// reduce by or to add to (26, 73, 134), the range of an index or a size (35, 55, 140, 171, 179, 206, 72), a type or
/// axes that the text does not have (112, 277, 128, 167, 168, 169, 177, 180, 181), what a route, a loop over ranks or another
/// library would have done (76, 77, 78, 138, 160), a directive that is refused however it is spelt (196), an output
/// that the program is without once the first mistake is mended (28, 29, 31, 33, 34).
const NO_EDIT: &[&str] = &[
    "106_matmul",
    "107_ternary",
    "111_divide_comment",
    "112_empty_file",
    "128_placed_cute",
    "134_said_allreduce_stmt",
    "138_said_view",
    "140_said_numpy_slice",
    "151_said_sum_py",
    "160_said_via_unknown",
    "167_type_bool",
    "168_type_u16",
    "169_type_layout",
    "171_type_qmark",
    "176_type_dup_axis",
    "177_type_rust_arr",
    "179_type_shape_x",
    "180_type_type_only",
    "181_type_notype",
    "182_type_reserved",
    "196_directive_vectr",
    "206_header_mesh_zero",
    "216_route_cumsum",
    "218_route_route_names",
    "242_route_combine_topk_idx",
    "24_two_writes",
    "277_more_axis_decl",
    "28_no_else",
    "29_no_by",
    "31_c_noext",
    "33_T_noidx",
    "34_dyn_nobound",
    "35_topk_i32",
    "55_negative_extent",
    "56_duplicate_name",
    "57_keyword_axis",
    "72_ranges",
    "73_plus_equals",
    "76_send_recv",
    "77_transpose_call",
    "78_if_statement",
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
