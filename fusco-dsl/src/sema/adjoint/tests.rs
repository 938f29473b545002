//! What is written out for each form of statement.

use super::expand;
use crate::sema::text;
use crate::syntax::ast::{Arg, Decl, Io, Stmt, Tensor, Term};
use crate::syntax::parse;

/// A program with a mesh, a route and the statement in entry `a`: the generated declarations and statements,
/// and the codes of the diagnostics.
fn adjoint(tensors: &str, statement: &str, call: &str) -> (Vec<String>, Vec<&'static str>) {
    let source = format!(
        "program p {{ mesh ep {{ gpu: 4 }} {tensors}
         route r: (s, t, k) -> (e, c) {{ e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }}
         entry a {{ {statement} }} entry b = {call}; }}"
    );
    let (file, found) = parse(&source);
    assert!(!found.has_errors(), "{found:?}");
    let expanded = expand(&file.programs[0]).expect("an entry is derived");
    let mut lines = Vec::new();
    for decl in &expanded.program.decls {
        match decl {
            Decl::Tensor(t) if t.name.name.starts_with("grad_") => lines.push(declaration(t)),
            Decl::Entry(e) if e.name.name == "b" => {
                lines.extend(e.stmts.iter().filter_map(statement_text))
            }
            _ => {}
        }
    }
    (lines, expanded.diagnostics.0.iter().map(|d| d.code).collect())
}

fn statement_text(stmt: &Stmt) -> Option<String> {
    let Stmt::Assign(a) = stmt else { return None };
    let index: Vec<String> = a.targets[0].index.iter().map(text::expr).collect();
    let via = a.via.as_ref().map_or(String::new(), |r| format!(" via {}", r.name));
    let target = &a.targets[0].name.name;
    Some(format!("{target}[{}] <- {}{via}", index.join(", "), text::expr(&a.value)))
}

fn declaration(t: &Tensor) -> String {
    let io = if t.io == Io::In { "in" } else { "out" };
    let dims: Vec<&str> = t.dims.iter().map(|d| d.name.name.as_str()).collect();
    let terms: Vec<String> = t.placement.iter().flat_map(|p| &p.terms).map(term).collect();
    let attrs: Vec<&str> = t.attrs.iter().map(|a| a.name.name.as_str()).collect();
    let attrs = if attrs.is_empty() { String::new() } else { format!(" {}", attrs.join(" ")) };
    let (name, elem) = (&t.name.name, &t.dtype.name.name);
    format!("{io} {name}: {elem}[{}] @ [{}]{attrs}", dims.join(", "), terms.join(", "))
}

fn term(t: &Term) -> String {
    let shard = t.shard.as_ref().map_or(String::new(), |m| format!("/{}", m.name));
    let tile = t.tile.as_ref().map_or(String::new(), |k| format!(":{}", text::expr(k)));
    let args = |args: &Vec<Arg>| args.iter().map(|a| text::expr(&a.value)).collect::<Vec<_>>();
    let word = |m: &crate::syntax::ast::Word| {
        let args = m.args.as_ref().map_or(String::new(), |a| format!("({})", args(a).join(", ")));
        format!(".{}{args}", m.name.name)
    };
    let mods: String = t.mods.iter().map(word).collect();
    format!("{}{shard}{tile}{mods}", t.name.name)
}

const ROWS: &str = "
    in x: bf16[s: gpu, t: 8, h: 16] @ [s/gpu, t, h];
    in w: f32[s: gpu, t: 8, k: 2] @ [s/gpu, t, k];
    in z: bf16[e: 8, c: ragged, h: 16] @ [e/gpu, e, c.pack(128), h];
    in f: f32[e: 8, c: ragged] @ [e/gpu, e, c.pack(128)];
    out y: bf16[e: 8, c: ragged, h: 16] @ [e/gpu, e, c.pack(128), h] with fill(0), align(1024);
    out o: bf16[s: gpu, t: 8, h: 16] @ [s/gpu, t, h];
    out g: i32[e: 8, c: ragged] @ [e/gpu, e, c.pack(128)];";

#[test]
fn dispatch_becomes_an_unweighted_combine() {
    let stmts = "plan r; y[e, c, h] <- x[s, t, h] via r; g[e, c] <- e via r; prove injective(y);";
    let (lines, codes) = adjoint(ROWS, stmts, "adjoint(a)");
    assert!(codes.is_empty(), "{codes:?}");
    assert_eq!(
        lines,
        [
            "grad_x[s, t, h] <- cast(bf16, sum(k: grad_y[e, c, h])) via r",
            "in grad_y: bf16[e, c, h] @ [e/gpu, e, c.pack(128), h] align",
            "out grad_x: bf16[s, t, h] @ [s/gpu, t, h]",
        ]
    );
}

#[test]
fn combine_becomes_a_scaled_dispatch() {
    let stmt = "o[s, t, h] <- cast(bf16, sum(k: w[s, t, k] * z[e, c, h])) via r;";
    let (lines, codes) = adjoint(ROWS, stmt, "adjoint(a, z)");
    assert!(codes.is_empty(), "{codes:?}");
    // The rows are meant if nothing is named; the weights that are left out are told of.
    assert_eq!(adjoint(ROWS, stmt, "adjoint(a)"), (lines.clone(), vec!["F0806"]));
    assert_eq!(
        lines,
        [
            "grad_z[e, c, h] <- cast(bf16, w[s, t, k] * grad_o[s, t, h]) via r",
            "in grad_o: bf16[s, t, h] @ [s/gpu, t, h]",
            "out grad_z: bf16[e, c, h] @ [e/gpu, e, c.pack(128), h] fill",
        ]
    );
    // Without a factor and with equal types nothing is computed.
    let stmt = "o[s, t, h] <- cast(bf16, sum(k: z[e, c, h])) via r;";
    assert_eq!(adjoint(ROWS, stmt, "adjoint(a)").0[0], "grad_z[e, c, h] <- grad_o[s, t, h] via r");
}

#[test]
fn what_is_added_to_a_sum_has_its_own_gradient() {
    let tensors = format!("{ROWS} in sh: f32[s: gpu, t: 8, h: 16] @ [s/gpu, t, h];");
    let of = |value: &str, input: &str| {
        let stmt = format!("o[s, t, h] <- cast(bf16, {value}) via r;");
        let (lines, codes) = adjoint(&tensors, &stmt, &format!("adjoint(a{input})"));
        (lines.first().cloned().unwrap_or_default(), codes)
    };
    let sum = "sum(k: w[s, t, k] * z[e, c, h])";
    let scaled = |by: &str| {
        format!("grad_z[e, c, h] <- cast(bf16, {by} * w[s, t, k] * grad_o[s, t, h]) via r")
    };
    // The position's own: no route leads back.
    let value = format!("2.5 * {sum} - sh[s, t, h]");
    assert_eq!(of(&value, ", z"), (scaled("2.5"), vec![]));
    let own = "grad_sh[s, t, h] <- cast(f32, -1.0 * grad_o[s, t, h])".to_string();
    assert_eq!(of(&value, ", sh"), (own, vec![]));
    assert_eq!(
        of(&format!("sh[s, t, h] + {sum}"), ", sh").0,
        "grad_sh[s, t, h] <- cast(f32, grad_o[s, t, h])"
    );
    assert_eq!(of(&format!("-({sum} / 4.0)"), ", z"), (scaled("-1.0 * 0.25"), vec![]));
    // The rows are meant if nothing is named; all that is left out is told of.
    assert_eq!(of(&value, "").1, ["F0806", "F0806"]);
    assert_eq!(of(&format!("{sum} + sh[s, t, h] + sh[s, t, h]"), ", sh").1, ["F0999"]);
    assert_eq!(of(&format!("{sum} + x[s, t, h] * sh[s, t, h]"), ", z").1, Vec::<&str>::new());
}

#[test]
fn scalars_and_literals_stay_in_place() {
    let stmt =
        "o[s, t, h] <- cast(bf16, sum.any(k: 0.5 * w[s, t, k] * cast(f32, z[e, c, h]))) via r;";
    let (lines, _) = adjoint(ROWS, stmt, "adjoint(a)");
    assert_eq!(lines[0], "grad_z[e, c, h] <- cast(bf16, 0.5 * w[s, t, k] * grad_o[s, t, h]) via r");
    // The input is asked for: a factor on the destination side.
    let stmt = "o[s, t, h] <- cast(bf16, sum(k: f[e, c] * z[e, c, h])) via r;";
    let (lines, codes) = adjoint(ROWS, stmt, "adjoint(a, z)");
    assert_eq!(lines[0], "grad_z[e, c, h] <- cast(bf16, f[e, c] * grad_o[s, t, h]) via r");
    assert!(codes.is_empty());
    assert_eq!(adjoint(ROWS, stmt, "adjoint(a, f)").1, ["F0999"]);
}

#[test]
fn an_adjoint_has_an_adjoint() {
    let stmts = "plan r; y[e, c, h] <- x[s, t, h] via r; } entry m = adjoint(a); entry n {";
    let (lines, codes) = adjoint(ROWS, stmts, "adjoint(m)");
    assert!(codes.is_empty(), "{codes:?}");
    assert_eq!(lines[0], "grad_grad_y[e, c, h] <- grad_grad_x[s, t, h] via r");
    assert!(lines.contains(&"in grad_grad_x: bf16[s, t, h] @ [s/gpu, t, h]".to_string()));
}

const GRIDS: &str = "
    in a0: bf16[m: 8, n: 16] @ [m/gpu, m, n] with uneven;
    in p: bf16[m: 8, n: 16] @ [sum/gpu.any, m, n];
    in v: f32[m: 8, n: 16] @ [m/gpu, m, n];
    in line: f32[n: 16] @ [copy/gpu, n];
    in ix: i32[m: 8] @ [copy/gpu, m];
    out b: bf16[n: 16, m: 8] @ [n/gpu, n, m:4, m] with swizzle(b64), align(512);
    out all: bf16[m: 8, n: 16] @ [copy/gpu, m, n];
    out wide: f32[m: 8, n: 16] @ [m/gpu, m, n];
    out iy: i32[m: 8] @ [m/gpu, m];
    inout kept: bf16[m: 8, n: 16] @ [m/gpu, m, n];";

#[test]
fn reshards_are_read_backwards() {
    let grid = |stmt: &str| adjoint(GRIDS, stmt, "adjoint(a)");
    assert_eq!(
        grid("b[n, m] <- a0[m, n]; iy[m] <- ix[m];"),
        (
            vec![
                "grad_a0[m, n] <- grad_b[n, m]".to_string(),
                "in grad_b: bf16[n, m] @ [n/gpu, n, m:4, m] swizzle align".to_string(),
                "out grad_a0: bf16[m, n] @ [m/gpu, m, n] uneven".to_string(),
            ],
            vec![]
        )
    );
    let (lines, _) = grid("all[m, n] <- p[m, n];");
    assert_eq!(
        lines[1..],
        ["in grad_all: bf16[m, n] @ [copy/gpu, m, n]", "out grad_p: bf16[m, n] @ [copy/gpu, m, n]"]
    );
    let (lines, _) = grid("b[n, m] <- cast(bf16, v[m, n]);");
    assert_eq!(lines[0], "grad_v[m, n] <- cast(f32, grad_b[n, m])");
}

#[test]
fn what_the_input_lacks_is_summed() {
    let grid = |stmt: &str, of: &str| adjoint(GRIDS, stmt, &format!("adjoint(a{of})")).0[0].clone();
    assert_eq!(grid("wide[m, n] <- line[n];", ""), "grad_line[n] <- sum(m: grad_wide[m, n])");
    let stmt = "wide[m, n] <- 2.0 * (v[m, n] - line[n] / 4);";
    assert_eq!(grid(stmt, ", v"), "grad_v[m, n] <- cast(f32, 2.0 * grad_wide[m, n])");
    let line = "grad_line[n] <- sum(m: 2.0 * -1.0 * 0.25 * grad_wide[m, n])";
    assert_eq!(grid(stmt, ", line"), line);
    let stmt = "sums[m] <- sum((i, n): v[m, n] * line[n] * v2[m, i]);";
    let of = |input: &str| {
        let tensors = format!(
            "{GRIDS} out sums: f32[m: 8] @ [m/gpu, m]; in v2: f32[m: 8, i: 3] @ [m/gpu, m, i];"
        );
        let (lines, codes) = adjoint(&tensors, stmt, &format!("adjoint(a, {input})"));
        assert!(codes.is_empty(), "{codes:?}");
        lines[0].clone()
    };
    assert_eq!(of("v"), "grad_v[m, n] <- sum(i: grad_sums[m] * line[n] * v2[m, i])");
    assert_eq!(of("line"), "grad_line[n] <- sum((m, i): v[m, n] * grad_sums[m] * v2[m, i])");
}

#[test]
fn what_is_not_supported_yet_says_so() {
    let codes = |stmt: &str| adjoint(GRIDS, stmt, "adjoint(a)").1;
    assert_eq!(codes("b[n, m] <- a0[ix[m], n];"), ["F0999"]);
    assert_eq!(codes("kept[m, n] <- a0[m, n];"), ["F0999"]);
    assert_eq!(codes("wide[m, n] <- v[m, n] + v[m, n];"), ["F0999"]);
    assert_eq!(
        codes("wide[m, n] <- v[m, n]; all[m, n] <- a0[m, n]; b[n, m] <- a0[m, n];"),
        ["F0999"]
    );
    assert_eq!(codes("wide[m, n] <- 1.0;"), ["F0805"]);
    assert_eq!(codes("iy[m] <- ix[m];"), ["F0805"]);
}
