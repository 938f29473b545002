//! Text to tree.

use fusco_dsl::syntax;

pub fn programs() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/programs");
    let mut out: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("the examples are in the repository")
        .filter_map(|e| {
            let path = e.ok()?.path();
            let name = path.file_stem()?.to_str()?.to_string();
            (path.extension()? == "fusco")
                .then(|| (name, std::fs::read_to_string(&path).unwrap_or_default()))
        })
        .collect();
    out.sort();
    out
}

#[test]
fn all_programs_parse() {
    let programs = programs();
    assert_eq!(programs.len(), 16);
    for (name, text) in programs {
        let (file, diagnostics) = syntax::parse(&text);
        assert!(!diagnostics.has_errors(), "{name}: {diagnostics:?}");
        assert_eq!(file.programs[0].name.name, name);
    }
}

#[test]
fn several_mistakes_are_reported_at_once() {
    let text = "program p {\n  mesh ep { g 8 }\n  param E int;\n  param H: int;\n  out y: bf16[e: E] @ e/g;\n const B = 4K; }";
    let (_, diagnostics) = syntax::parse(text);
    let codes: Vec<_> = diagnostics.0.iter().map(|d| (d.code, d.message.clone())).collect();
    assert_eq!(codes.len(), 4, "{codes:#?}");
}

#[test]
fn a_derived_entry_says_what_it_lacks() {
    let message = |entry: &str| {
        let (_, diagnostics) = syntax::parse(&format!("program p {{ {entry} mesh m {{ g: 2 }} }}"));
        diagnostics.0[0].message.clone()
    };
    let expected = "syntax error: expected `adjoint(ENTRY)`, found";
    assert_eq!(message("entry b = ;"), format!("{expected} `;`"));
    assert_eq!(message("entry b = 3;"), format!("{expected} `3`"));
    assert_eq!(message("entry b = adjoint a;"), "syntax error: expected `(`, found `a`");
    assert_eq!(message("entry b = adjoint(a)"), "a `;` is missing here");
    assert_eq!(
        message("entry b adjoint(a);"),
        "syntax error: expected `=` or `{`, found `adjoint`"
    );
}

/// A comment in front of what it speaks of, or behind it: a statement has a line of its own either way.
#[test]
fn a_statement_begins_a_line_behind_a_comment() {
    let text = "program p {
    param N: int; /* one */ entry a { y[i] <- x[i]; }
    /* two */ in x: f32[i: N] @ [i]; /* three */ /* four */ out y: f32[i: N] @ [i]; /* five */
    /* six */ /* seven */ entry b {
        /* eight */ y[i] <- x[i]; } /* nine */ entry c { /* ten */ y[i] <- x[i]; }
}";
    let once = syntax::fmt(text).expect("it parses");
    insta::assert_snapshot!(once, @r"
    program p {
        param N: int; /* one */
        entry a { y[i] <- x[i]; }
        /* two */ in x: f32[i: N] @ [i]; /* three */ /* four */
        out y: f32[i: N] @ [i]; /* five */
        /* six */ /* seven */ entry b {
            /* eight */ y[i] <- x[i];
        } /* nine */
        entry c { /* ten */ y[i] <- x[i]; }
    }
    ");
    assert_eq!(syntax::fmt(&once).expect("it parses"), once);
    let (before, after) = (syntax::parse(text).0, syntax::parse(&once).0);
    assert_eq!(syntax::dump(&before), syntax::dump(&after));
}

#[test]
fn formatting_keeps_the_tree_and_is_idempotent() {
    for (name, text) in programs() {
        let once = syntax::fmt(&text).unwrap_or_else(|d| panic!("{name}: {d:?}"));
        assert_eq!(syntax::fmt(&once).unwrap_or_default(), once, "{name} is not idempotent");
        assert!(once == text, "{name} is not in canonical form: run `fuscoc fmt` on it");
        let (before, after) = (syntax::parse(&text).0, syntax::parse(&once).0);
        assert_eq!(syntax::dump(&before), syntax::dump(&after), "{name} changed");
        assert_eq!(once.matches("//").count(), text.matches("//").count(), "{name} lost a comment");
        insta::with_settings!({ description => name.clone(), omit_expression => true }, {
            insta::assert_snapshot!(format!("{name}.fmt"), once);
        });
    }
}

#[test]
fn trees_of_all_programs() {
    for (name, text) in programs() {
        insta::with_settings!({ description => name.clone(), omit_expression => true }, {
            insta::assert_snapshot!(format!("{name}.ast"), syntax::dump(&syntax::parse(&text).0));
        });
    }
}
