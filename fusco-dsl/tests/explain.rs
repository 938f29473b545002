//! `explain::text` of programs of every kind, as snapshots; the drawing is well formed.

use crate::stages::compiled;
use fusco_dsl::compile;
use fusco_dsl::explain::{svg, text, traffic};

const CASES: [crate::stages::Case; 8] = [
    ("reshard_transpose", "reshard_transpose", &[("M", 8192), ("N", 8192)]),
    ("ulysses", "ulysses", &[("B", 1), ("S", 32768), ("N", 64), ("D", 128)]),
    ("to_tiles", "to_tiles", &[("M", 8192), ("C", 8192)]),
    ("partials", "partials", &[("M", 4096), ("N", 4096)]),
    ("dlrm", "dlrm", &[("B", 64), ("D", 16), ("LMAX", 8)]),
    ("cyclic_to_block_odd", "cyclic_to_block", &[("M", 37), ("N", 29), ("LDB", 8)]),
    (
        "kv_migrate",
        "kv_migrate",
        &[("L", 4), ("P", 4096), ("N", 8), ("D", 128), ("JMAX", 64), ("RMAX", 64)],
    ),
    ("moe", "moe", &[("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)]),
];

#[test]
fn texts() {
    for (case, program, params) in CASES {
        let compiled = compiled(program, params);
        insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
            insta::assert_snapshot!(case, text(&compiled, None));
        });
    }
}

#[test]
fn one_entry_is_one_entry() {
    let compiled = compiled("ulysses", &[("B", 1), ("S", 64), ("N", 8), ("D", 8)]);
    let one = text(&compiled, Some("to_seq"));
    assert!(one.starts_with("entry to_seq\n") && !one.contains("to_heads"), "{one}");
    assert!(text(&compiled, None).ends_with(&one));
    let both = svg(&compiled, None);
    assert!(both.contains("entry to_heads") && both.contains("entry to_seq"));
    assert!(!svg(&compiled, Some("to_seq")).contains("to_heads"));
}

/// Of each statement of a path: which ranks forward its rows.
#[test]
fn forwarders_are_named() {
    let levels = include_str!("../../tests/gpu/balanced.fusco");
    let sizes = |gpus: i64| {
        let sizes = [("N", 2), ("G", gpus), ("K", 8), ("E", 64), ("H", 64), ("TMAX", 64)];
        sizes.map(|(name, v)| (name.to_string(), v)).into()
    };
    let said =
        |source: &str, gpus| text(&compile(source, None, &sizes(gpus)).expect("it compiles"), None);
    let balanced = said(levels, 4);
    assert_eq!(balanced.matches("in each other `node` rank i % 4 of it").count(), 2, "{balanced}");
    let same = said(&levels.replace("forward balanced(bytes);", "forward same;"), 4);
    assert_eq!(
        same.matches("in each other `node` the rank with the same `gpu`").count(),
        2,
        "{same}"
    );
    // Of nodes of one rank that one forwards.
    assert!(!said(levels, 1).contains("in each other"));
}

/// Every tag that opens is closed, and the drawing says as many bytes as move.
#[test]
fn drawings_close_their_tags() {
    for (case, program, params) in CASES {
        let drawing = svg(&compiled(program, params), None);
        assert!(drawing.starts_with("<svg ") && drawing.trim_end().ends_with("</svg>"), "{case}");
        let opened = drawing.matches("<text").count();
        assert_eq!(opened, drawing.matches("</text>").count(), "{case}");
        assert!(opened > 3, "{case} draws nothing");
    }
}

#[test]
fn bytes_are_those_of_the_tensors() {
    let compiled = compiled("reshard_transpose", &[("M", 512), ("N", 512)]);
    let found = traffic(&compiled, &compiled.plan.entries[0].moves[0]).expect("it is static");
    assert_eq!(found.total(), 512 * 512 * 2);
    assert_eq!(found.crossing(), found.total() / 4 * 3);
}
