//! A directive is obeyed or refused: it changes the device program, or an error stands at it.

use fusco_dsl::compile;
use fusco_dsl::cuda::{CudaUnit, Target, generate};
use fusco_dsl::diag::{Diagnostic, Diagnostics};
use fusco_dsl::sema::hir::Bindings;

/// Rows are pushed along a route.
const PUSHED: &str = "
    dyn T[gpu]: int <= 4096;
    in  x:    bf16[s: gpu, t: T[s], h: 4096] @ [s/gpu, t, h];
    in  topk: ix32(8)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
    out y:    bf16[e: 8, c: ragged, h: 4096] @ [e/gpu, e, c.pack(128), h];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry main { plan r; y[e, c, h] <- x[s, t, h] via r; SCHEDULE }";

/// The same with short rows.
const SHORT: &str = "
    dyn T[gpu]: int <= 4096;
    in  x:    bf16[s: gpu, t: T[s], h: 8] @ [s/gpu, t, h];
    in  topk: ix32(8)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
    out y:    bf16[e: 8, c: ragged, h: 8] @ [e/gpu, e, c.pack(128), h];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry main { plan r; y[e, c, h] <- x[s, t, h] via r; SCHEDULE }";

/// Rows are pulled along a route and added up.
const SUMMED: &str = "
    dyn T[gpu]: int <= 4096;
    in  topk: ix32(8)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
    in  z:    bf16[e: 8, c: ragged, h: 4096] @ [e/gpu, e, c.pack(128), h];
    out o:    bf16[s: gpu, t: T[s], h: 4096] @ [s/gpu, t, h];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry first { plan r; }
    entry main { o[s, t, h] <- cast(bf16, sum(k: z[e, c, h])) via r; SCHEDULE }";

/// A route is planned, and nothing moves.
const PLANNED: &str = "
    dyn T[gpu]: int <= 4096;
    in  x:    bf16[s: gpu, t: T[s], h: 8] @ [s/gpu, t, h];
    in  topk: ix32(8)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
    out y:    bf16[e: 8, c: ragged, h: 8] @ [e/gpu, e, c.pack(128), h];
    out n:    i32[e: 8] @ [e/gpu, e];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry first { plan r; y[e, c, h] <- x[s, t, h] via r; }
    entry main { plan r; n[e] <- count(y.c); SCHEDULE }";

/// Whole rows go to other ranks.
const ROWS: &str = "
    dyn T: int <= 4096;
    in  a: bf16[t: T, m: 4096] @ [m/gpu, t, m];
    out b: bf16[t: T, m: 4096] @ [copy/gpu, t, m];
    entry main { b[t, m] <- a[t, m]; SCHEDULE }";

/// Tiles go to other ranks.
const TILES: &str = "
    dyn T: int <= 4096;
    in  a: bf16[m: 4096, n: 4096] @ [m/gpu, m, n];
    out b: bf16[n: 4096, m: 4096] @ [n/gpu, n, m];
    entry main { b[n, m] <- a[m, n]; SCHEDULE }";

/// Partial sums are fetched.
const PARTIAL: &str = "
    dyn T: int <= 4096;
    in  a: bf16[m: 4096, n: 4096] @ [sum/gpu, m, n];
    out b: bf16[m: 4096, n: 4096] @ [m/gpu, m, n];
    entry main { b[m, n] <- a[m, n]; SCHEDULE }";

/// Every rank has what it needs.
const COPIES: &str = "
    dyn T: int <= 4096;
    in  a: bf16[m: 4096, n: 4096] @ [copy/gpu, m, n];
    out b: bf16[m: 4096, n: 4096] @ [m/gpu, m, n];
    entry main { b[m, n] <- a[m, n]; SCHEDULE }";

/// Numbers are computed where they are kept.
const NUMBERS: &str = "
    dyn T: int <= 4096;
    out b: i32[m: 4096] @ [m/gpu, m];
    entry main { b[m] <- m * 2; SCHEDULE }";

const ENTRIES: [(&str, &str); 9] = [
    ("pushed", PUSHED),
    ("short", SHORT),
    ("summed", SUMMED),
    ("planned", PLANNED),
    ("rows", ROWS),
    ("tiles", TILES),
    ("partial", PARTIAL),
    ("copies", COPIES),
    ("numbers", NUMBERS),
];

/// What the entry's kind of work makes of a directive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// Another program than without it.
    Obeyed,
    /// What it asks for is what is done.
    Same,
    Refused(&'static str),
}
use Answer::{Obeyed, Refused, Same};

const NO: Answer = Refused("F0999");

/// A directive, and the answers in the order of [`ENTRIES`].
const TABLE: [(&str, [Answer; 9]); 26] = [
    ("push", [Same, Same, NO, NO, Same, Same, NO, NO, NO]),
    ("pull", [Obeyed, Obeyed, Same, NO, Obeyed, Obeyed, Same, Same, Same]),
    ("stages 3", [Obeyed, Obeyed, NO, NO, NO, NO, NO, NO, NO]),
    ("stages 6", [Obeyed, Obeyed, Obeyed, NO, NO, NO, NO, NO, NO]),
    ("stages 600", [NO, NO, NO, NO, NO, NO, NO, NO, NO]),
    ("chunk t: 4", [Obeyed, Same, NO, NO, NO, NO, NO, NO, NO]),
    ("chunk t: 16", [Obeyed, Obeyed, NO, NO, NO, NO, NO, NO, NO]),
    ("chunk h: 16", [NO; 9]),
    ("blocks 3", [Obeyed; 9]),
    ("blocks 60000", [Refused("F0706"); 9]),
    ("tile (m: 32, n: 32)", [BAD, BAD, BAD, BAD, BAD, Obeyed, NO, NO, BAD]),
    ("tile (n: 32) through smem", [BAD, BAD, BAD, BAD, BAD, Obeyed, NO, NO, BAD]),
    ("tile (n: 48) through smem", [BAD, BAD, BAD, BAD, BAD, NO, NO, NO, BAD]),
    ("tile (t: 32) through smem", [BAD, BAD, BAD, BAD, NO, BAD, BAD, BAD, BAD]),
    ("multicast gpu", [NO, NO, NO, NO, NO, NO, Refused("F0703"), NO, NO]),
    ("transport gpu = nvlink", [NO; 9]),
    ("path gpu", [NO; 9]),
    ("dedup", [BAD; 9]),
    ("dedup gpu by (s, t)", [NO; 9]),
    ("forward same", [NO; 9]),
    ("forward balance", [BAD; 9]),
    ("forward balanced(bytes)", [NO; 9]),
    ("reduce gpu", [NO; 9]),
    ("encode at source", [NO; 9]),
    ("vector 16", [NO; 9]),
    ("threads 128", [NO; 9]),
];
const BAD: Answer = Refused("F0705");

fn source(entry: &str, schedule: &str) -> String {
    format!("program p {{ mesh ep {{ gpu: 4 }} {}\n}}", entry.replace("SCHEDULE", schedule))
}

fn made(text: &str) -> Result<CudaUnit, Diagnostics> {
    let compiled = compile(text, None, &Bindings::new())?;
    generate(&compiled.schedule, &Target::hopper(4))
}

fn unit(text: &str) -> CudaUnit {
    made(text).unwrap_or_else(|d| panic!("{text}: {d:#?}"))
}

/// The text and how it is launched: all that a device sees.
fn device(unit: &CudaUnit) -> String {
    let launches = unit.kernels.iter().map(|k| format!("{:?} {}\n", k.grid, k.threads));
    launches.chain([unit.source.clone()]).collect()
}

fn errors(text: &str) -> Vec<Diagnostic> {
    made(text).err().unwrap_or_default().0
}

#[test]
fn a_directive_changes_the_device_program_or_is_refused_where_it_stands() {
    let mut bad = Vec::new();
    for (directive, answers) in TABLE {
        for ((kind, entry), answer) in ENTRIES.into_iter().zip(answers) {
            let text = source(entry, &format!("schedule {{ {directive}; }}"));
            let at = text.find(directive).expect("it is there") as u32;
            let inside = at..=at + directive.len() as u32 + 1;
            let plain = device(&unit(&source(entry, "")));
            match (answer, made(&text)) {
                (Obeyed, Ok(unit)) if device(&unit) != plain => {}
                (Same, Ok(unit)) if device(&unit) == plain => {}
                (Refused(code), Err(Diagnostics(found)))
                    if found.len() == 1
                        && found[0].code == code
                        && inside.contains(&found[0].span.start)
                        && inside.contains(&found[0].span.end) => {}
                (_, Ok(_)) => bad.push(format!("{directive} on {kind}: {answer:?} is wrong")),
                (_, Err(found)) => bad.push(format!("{directive} on {kind}: {found:#?}")),
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Rows and sums over two levels of links.
const LEVELS: &str = "program p {
    mesh ep { node: 2, gpu: 2, rank = (node, gpu) }
    dyn T[rank]: int <= 64;
    in  x:    bf16[s: rank, t: T[s], h: 64] @ [s/rank, t, h];
    in  topk: ix32(8)[s: rank, t: T[s], k: 2] @ [s/rank, t, k];
    in  w:    f32[s: rank, t: T[s], k: 2] @ [s/rank, t, k];
    out y:    bf16[e: 8, c: ragged, h: 64] @ [e/rank, e, c.pack(128), h];
    out wy:   bf16[e: 8, c: ragged, h: 64] @ [e/rank, e, c.pack(128), h];
    in  z:    bf16[e: 8, c: ragged, h: 64] @ [e/rank, e, c.pack(128), h];
    out o:    bf16[s: rank, t: T[s], h: 64] @ [s/rank, t, h];
    route r: (s, t, k) -> (e, c) { e = topk[s, t, k]; c = slot(e) by (s, t, k); }
    entry first { plan r; y[e, c, h] <- x[s, t, h] via r; wy[e, c, h] <- x[s, t, h] via r; }
    entry other { o[s, t, h] <- cast(bf16, sum(k: w[s, t, k] * z[e, c, h])) via r; }
    entry main { STATEMENT SCHEDULE }
}";
const SENT: &str = "plan r; y[e, c, h] <- x[s, t, h] via r;";
const WEIGHTED: &str = "plan r; wy[e, c, h] <- cast(bf16, w[s, t, k] * x[s, t, h]) via r;";
const ADDED: &str = "o[s, t, h] <- cast(bf16, sum(k: w[s, t, k] * z[e, c, h])) via r;";
const BY_NODE: &str =
    "o[s, t, h] <- cast(bf16, sum.tree(k: w[s, t, k] * z[e, c, h], within = node)) via r;";
const BY_RANK: &str =
    "o[s, t, h] <- cast(bf16, sum.tree(k: w[s, t, k] * z[e, c, h], within = gpu)) via r;";

#[test]
fn paths_are_obeyed_or_refused() {
    let cases = [
        (SENT, "path node, gpu; dedup node by (s, t);", Obeyed),
        (SENT, "path gpu, node; dedup gpu by (t, s); forward same;", Obeyed),
        (SENT, "path node, gpu; dedup node by (s, t); blocks 3;", Obeyed),
        (SENT, "path node, gpu; dedup node by (s, t); forward balanced(bytes);", Obeyed),
        (SENT, "path gpu, node; dedup gpu by (t, s); forward balanced(bytes);", Obeyed),
        (SENT, "path node, gpu; dedup node by (s, t); forward balanced(rows);", BAD),
        (SENT, "path node, gpu; dedup gpu by (s, t);", NO),
        (SENT, "path node, gpu;", NO),
        (SENT, "path node, gpu; reduce node;", NO),
        (SENT, "path node, node; dedup node by (s, t);", NO),
        (SENT, "path node, rank; dedup node by (s, t);", NO),
        (SENT, "path node, gpu; dedup node by (s, t); push;", NO),
        (SENT, "path node, gpu; dedup node by (s, t); stages 4;", NO),
        (SENT, "path node, gpu; dedup node by (s, t); chunk t: 4;", NO),
        (SENT, "path node, gpu; dedup node by (s, t, k);", NO),
        (SENT, "path node, gpu; dedup node by (s);", Refused("F0702")),
        (SENT, "path node, gpu; dedup node by (s, u);", Refused("F0702")),
        (WEIGHTED, "path node, gpu; dedup node by (s, t);", Refused("F0702")),
        (ADDED, "path gpu, node; reduce node;", Refused("F0701")),
        (BY_RANK, "path gpu, node; reduce node;", Refused("F0701")),
        (BY_NODE, "path gpu, node; reduce node;", Obeyed),
        (BY_NODE, "path gpu, node; reduce node; forward balanced(bytes);", Obeyed),
        (BY_NODE, "path node, gpu; reduce node;", NO),
        (BY_NODE, "path node, gpu; reduce gpu;", NO),
        (BY_NODE, "reduce node;", NO),
    ];
    let mut bad = Vec::new();
    for (statement, schedule, answer) in cases {
        let text =
            |schedule: &str| LEVELS.replace("STATEMENT", statement).replace("SCHEDULE", schedule);
        let plain = device(&unit(&text("")));
        match (answer, made(&text(&format!("schedule {{ {schedule} }}")))) {
            (Obeyed, Ok(unit)) if device(&unit) != plain => {}
            (Refused(code), Err(Diagnostics(found)))
                if found.len() == 1 && found[0].code == code => {}
            (_, Ok(_)) => bad.push(format!("{statement} {schedule}: {answer:?} is wrong")),
            (_, Err(found)) => bad.push(format!("{statement} {schedule}: {found:#?}")),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn crossings_are_those_of_the_schedule() {
    let merged = "path node, gpu; dedup node by (s, t);";
    let balanced = "path node, gpu; dedup node by (s, t); forward balanced(bytes);";
    let cases = [
        (SENT, merged, "crossings(node, per = (s, t)) <= 1", true),
        (SENT, merged, "crossings(gpu, per = (s, t)) <= 1", false),
        (SENT, merged, "crossings(gpu, per = (s, t)) <= 2", true),
        (SENT, merged, "crossings(node, per = s) <= 1", false),
        (SENT, merged, "crossings(node, per = s) <= 64", true),
        (SENT, "", "crossings(node, per = (s, t)) <= 1", false),
        (SENT, "", "crossings(node, per = (s, t)) <= 2", true),
        (SENT, "", "crossings(node, per = (s, t, k)) <= 1", true),
        (SENT, balanced, "crossings(node, per = (s, t)) <= 1", true),
        (SENT, balanced, "crossings(gpu, per = (s, t)) <= 1", false),
        (BY_NODE, "path gpu, node; reduce node;", "crossings(node, per = (s, t)) <= 1", true),
        (BY_NODE, "", "crossings(node, per = (s, t)) <= 1", false),
        (ADDED, "", "crossings(node, per = (s, t)) <= 1", false),
    ];
    for (statement, schedule, claim, holds) in cases {
        let statement = format!("{statement} prove {claim};");
        let text = LEVELS.replace("STATEMENT", &statement);
        let found = errors(&text.replace("SCHEDULE", &format!("schedule {{ {schedule} }}")));
        let codes = Vec::from_iter(found.iter().map(|d| d.code));
        let wanted: &[&str] = if holds { &[] } else { &["F0804"] };
        assert_eq!(codes, wanted, "{statement} {schedule}");
        assert!(found.iter().all(|d| d.help.is_some()));
    }
}

#[test]
fn what_one_schedule_says_twice_is_an_error() {
    for both in ["push; pull;", "pull; pull;", "blocks 3; blocks 4;"] {
        let found = errors(&source(ROWS, &format!("schedule {{ {both} }}")));
        assert!(found.len() == 1 && found[0].code == "F0705", "{both}: {found:#?}");
    }
    let found = errors(&source(ROWS, "schedule { blocks 3; } schedule { blocks 4; }"));
    assert!(found.len() == 1 && found[0].message.contains("never chosen"), "{found:#?}");
}

/// A condition holds for the schedule that has it, whatever the entry does.
#[test]
fn conditions_choose_among_kernels() {
    for (kind, entry) in ENTRIES {
        let compiled = |schedule: &str| {
            let text = source(entry, schedule);
            let made = compile(&text, None, &Bindings::new());
            made.unwrap_or_else(|d| panic!("{kind}: {d:#?}"))
        };
        let steps = |schedule: &str| -> Vec<Vec<(bool, String, Option<i64>)>> {
            let made = compiled(schedule);
            let main = made.schedule.entries.iter().find(|e| e.name == "main").expect("one");
            let alternatives = main.steps.iter().map(|step| {
                let each = step.alternatives.iter();
                let blocks = |a: &fusco_dsl::schedule::ir::Alternative| {
                    a.kernel.tuning.blocks.map(|n| n.number)
                };
                each.map(|a| (a.when.is_some(), a.kernel.name.clone(), blocks(a))).collect()
            });
            alternatives.collect()
        };
        let two = steps("schedule when T <= 4 { blocks 3; } schedule { blocks 2; }");
        let last = two.last().expect("a step");
        let name = |w: &str| w.to_string();
        assert_eq!(
            last[..],
            [(true, name("main_when0"), Some(3)), (false, name("main"), Some(2))],
            "{kind}"
        );
        let one = steps("schedule when T <= 4 { blocks 3; }");
        assert_eq!(
            one.last().expect("a step")[..],
            [(true, name("main_when0"), Some(3)), (false, name("main"), None)],
            "{kind}"
        );
        // What a condition asks for is not asked of the kernels before.
        assert!(one[..one.len() - 1].iter().flatten().all(|(_, _, blocks)| blocks.is_none()));
        // Equal kernels are one.
        let same = "schedule when T <= 4 { blocks 3; } schedule when T <= 8 { blocks 5; } schedule when T <= 9 { blocks 3; } schedule { blocks 2; }";
        let names: Vec<String> =
            steps(same).pop().expect("a step").into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["main_when0", "main_when1", "main_when0", "main"], "{kind}");
        let same = "schedule when T <= 4 { blocks 2; } schedule { blocks 2; }";
        assert_eq!(steps(same).last().expect("a step").len(), 1, "{kind}");
        let unit = generate(
            &compiled("schedule when T <= 4 { blocks 3; } schedule when T <= 9 { blocks 3; }")
                .schedule,
            &Target::hopper(4),
        )
        .expect("it generates");
        let symbols: Vec<&str> = unit.kernels.iter().map(|k| k.symbol.as_str()).collect();
        assert_eq!(symbols.iter().filter(|s| s.ends_with("when0")).count(), 1, "{symbols:?}");
    }
}

/// Who carries a movement out may depend on a condition, too.
#[test]
fn a_condition_may_choose_who_moves() {
    let text = |schedule: &str| unit(&source(ROWS, schedule)).source;
    let kernel = |source: &str, symbol: &str| {
        let begin = source.find(&format!(" {symbol}(")).expect("it is there");
        let body = &source[begin + symbol.len() + 1..];
        body[..body.find("\n}").expect("it ends")].to_string()
    };
    let both = text("schedule when T <= 4 { pull; } schedule { push; }");
    let (pull, push) = (text("schedule { pull; }"), text("schedule { push; }"));
    assert_eq!(kernel(&both, "p_main_when0"), kernel(&pull, "p_main"));
    assert_eq!(kernel(&both, "p_main"), kernel(&push, "p_main"));
}
