//! Integers and fills against the types that hold them: what is refused, where, and at which bindings.

use fusco_dsl::compile;
use fusco_dsl::sema::hir::Bindings;

/// `CODE text under the caret` of each error.
fn refused(text: &str, params: &[(&str, i64)]) -> Vec<String> {
    let bound: Bindings = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let Err(found) = compile(text, None, &bound) else { return Vec::new() };
    let place = |d: &fusco_dsl::diag::Diagnostic| {
        format!("{} {}", d.code, &text[d.span.start as usize..d.span.end as usize])
    };
    found.0.iter().map(place).collect()
}

fn stored(elem: &str, value: &str) -> String {
    format!(
        "program p {{ param N: int; out b: {elem}[n: N] @ [n]; entry e {{ b[n] <- {value}; }} }}"
    )
}

#[test]
fn integers_fit_their_target_at_bind() {
    let cases = [
        ("u8", "n", 256, 257),
        ("i8", "n - 128", 256, 257),
        ("i8", "n - 129", 0, 1),
        ("i32", "n * 100000000", 22, 23),
        ("u32", "n * n", 65536, 65537),
        ("u32", "n - 1", 0, 1),
        ("i64", "n * 1000000000 * 1000000000", 10, 11),
        ("u8", "n % 256", 100_000, 0),
        ("u8", "n / 4", 1024, 1025),
        ("i8", "(0 - n) / 2", 257, 258),
    ];
    for (elem, value, fits, over) in cases {
        let text = stored(elem, value);
        if fits > 0 {
            assert_eq!(refused(&text, &[("N", fits)]), [""; 0], "{elem} <- {value}, N = {fits}");
        }
        if over > 0 {
            let found = refused(&text, &[("N", over)]);
            assert_eq!(found, [format!("F0601 {value}")], "{elem} <- {value}, N = {over}");
        }
    }
}

#[test]
fn a_divisor_is_never_0() {
    assert_eq!(refused(&stored("i32", "5 / n"), &[("N", 4)]), ["F0601 n"]);
    assert_eq!(refused(&stored("i32", "5 % (n - 2)"), &[("N", 4)]), ["F0601 (n - 2)"]);
    assert_eq!(refused(&stored("i32", "5 / (n + 1)"), &[("N", 4)]), [""; 0]);
}

/// What only a launch decides cannot be checked there yet.
#[test]
fn a_value_of_a_dyn_that_may_not_fit_is_refused() {
    let text = "program p {
        param TMAX: int;
        dyn T: int <= TMAX;
        out b: u8[t: T] @ [t];
        entry e { b[t] <- t; }
    }";
    assert_eq!(refused(text, &[("TMAX", 256)]), [""; 0]);
    assert_eq!(refused(text, &[("TMAX", 257)]), ["F0999 t"]);
}

#[test]
fn a_fill_is_a_value_of_the_type() {
    let filled = |elem: &str, value: &str| {
        format!(
            "program p {{ in a: {elem}[i: 3] @ [i]; out y: {elem}[i: 5] @ [i] with fill({value}); entry e {{ y[i] <- a[i]; }} }}"
        )
        .replace("y[i] <-", "y[i + 1] <-")
    };
    let good = [
        ("u8", "255"),
        ("i8", "-128"),
        ("u32", "4294967295"),
        ("e4m3", "448"),
        ("e5m2", "-57344"),
        ("f16", "65504.0"),
        ("ix32(9)", "8"),
        ("ix32(9, none = -1)", "-1"),
    ];
    for (elem, value) in good {
        assert_eq!(refused(&filled(elem, value), &[]), [""; 0], "{elem} {value}");
    }
    let bad = [
        ("u8", "300"),
        ("u8", "-1"),
        ("i8", "128"),
        ("i32", "2147483648"),
        ("u32", "-1"),
        ("i32", "1.5"),
        ("e4m3", "449"),
        ("e5m2", "60000.0"),
        ("f16", "65520"),
        ("ix32(9)", "9"),
        ("ix32(9)", "-1"),
    ];
    for (elem, value) in bad {
        let found = refused(&filled(elem, value), &[]);
        assert_eq!(found, [format!("F0601 fill({value})")], "{elem} {value}");
    }
}

#[test]
fn what_is_kept_is_not_filled() {
    let text = "program p { inout y: f32[k: 8] @ [k] with align(16), fill(-1); in g: f32[i: 3] @ [i]; entry e { y[i * 2 + 1] <- g[i]; } }";
    assert_eq!(refused(text, &[]), ["F0102 fill(-1)"]);
}

/// Params are at least 1, or what their conditions say.
#[test]
fn offsets_of_0_can_be_bound() {
    let text = |cond: &str| {
        format!(
            "program p {{ param O: int {cond}; in x: f32[i: 20] @ [i]; out y: f32[i: 6] @ [i]; entry e {{ y[i] <- x[i + O]; }} }}"
        )
    };
    for (cond, value, fine) in [
        ("", 0, false),
        ("where O >= 0", 0, true),
        ("where O > 0 - 1", 0, true),
        ("where O <= 14", 0, false),
        ("where 0 <= O && O <= 14", 14, true),
        ("where 0 <= O && O <= 14", 15, false),
        ("in (0, 1, 2)", 0, true),
        ("in (0, 1, 2)", 3, false),
        ("where O >= 2", 1, false),
    ] {
        let found = refused(&text(cond), &[("O", value)]);
        assert_eq!(found.is_empty(), fine, "{cond} O={value}: {found:?}");
    }
    // A negative offset is outside, whatever the declaration allows.
    assert_eq!(refused(&text("where O >= 0 - 3"), &[("O", -1)]), ["F0206 i + O"]);
}

/// A dyn is at most its bound, digits need only hold the extent, and sums may be written with a minus.
#[test]
fn what_the_language_says_is_accepted() {
    let bounded = "program p { dyn T: int <= 8; in x: f32[t: T] @ [t]; out y: f32[t: 16] @ [t] with fill(0); entry e { y[t + N] <- x[t]; } }";
    for (offset, fine) in [("0", true), ("8", true), ("9", false)] {
        let found = refused(&bounded.replace('N', offset), &[]);
        assert_eq!(found.is_empty(), fine, "{offset}: {found:?}");
    }
    let digits = |extent: i64| {
        format!(
            "program p {{ in x: f32[i: {extent}] @ [i:4, i:2] with uneven; out y: f32[i: {extent}] @ [i]; entry e {{ y[i] <- x[i]; }} }}"
        )
    };
    assert_eq!(refused(&digits(6), &[]), [""; 0]);
    assert_eq!(refused(&digits(9), &[]), ["F0303 i:2"]);
    let minus = "program p { param O: int; in x: f32[i: 20] @ [i]; out y: f32[i: 6] @ [i]; out z: f32[i: 6] @ [i]; entry e { y[i] <- x[i + O - 1]; z[i] <- x[(i + O) - 1]; } }";
    assert_eq!(refused(minus, &[("O", 3)]), [""; 0]);
}

/// Two entries that undo each other by arithmetic are not called wrong.
#[test]
fn an_inverse_by_arithmetic_is_undecided() {
    let text = "program p {
        in x: f32[a: 2, b: 4] @ [a, b];
        in z: f32[i: 8] @ [i];
        out y: f32[i: 8] @ [i];
        out w: f32[a: 2, b: 4] @ [a, b];
        entry there { y[a * 4 + b] <- x[a, b]; prove inverse(there, back); }
        entry back { w[a, b] <- z[a * 4 + b]; }
    }";
    assert_eq!(refused(text, &[]), ["F0801 inverse(there, back)"]);
}
