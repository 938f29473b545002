//! Every stage of every program that lowers, as snapshots with the source's parameters beside them.

use crate::syntax::programs;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{Compiled, compile};

/// Name, program, params.
pub type Case = (&'static str, &'static str, Params);
type Params = &'static [(&'static str, i64)];

const MOE_BALANCED: Params =
    &[("G", 4), ("K", 8), ("L", 64), ("P", 72), ("R", 4), ("H", 7168), ("TMAX", 4096)];

const MOE_BATCH: Params = &[("G", 4), ("E", 64), ("K", 8), ("H", 7168), ("B", 4), ("S", 4096)];

const MOE_SHARED: Params = &[
    ("G", 4),
    ("E", 6),
    ("K", 2),
    ("H", 7168),
    ("TMAX", 4096),
    ("OWNER[0]", 2),
    ("OWNER[1]", 0),
    ("OWNER[2]", 3),
    ("OWNER[3]", 2),
    ("OWNER[4]", 0),
    ("OWNER[5]", 2),
];

/// Parameters small enough to read, of every kind that matters.
pub const CASES: [Case; 19] = [
    ("moe", "moe", &[("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)]),
    ("moe_odd", "moe", &[("G", 3), ("E", 9), ("K", 2), ("H", 24), ("TMAX", 40)]),
    ("moe_one_rank", "moe", &[("G", 1), ("E", 8), ("K", 2), ("H", 16), ("TMAX", 64)]),
    (
        "moe_ep_tp",
        "moe_ep_tp",
        &[("G", 4), ("TP", 2), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)],
    ),
    (
        "moe_two_level",
        "moe_two_level",
        &[("N", 2), ("G", 4), ("K", 8), ("E", 256), ("H", 7168), ("TMAX", 4096)],
    ),
    ("moe_balanced", "moe_balanced", MOE_BALANCED),
    ("moe_batch", "moe_batch", MOE_BATCH),
    ("moe_shared", "moe_shared", MOE_SHARED),
    ("moe_capacity", "moe_capacity", &[("E", 64), ("H", 384), ("C", 256), ("TMAX", 512)]),
    ("local_permute", "local_permute", &[("E", 128), ("H", 4096), ("TMAX", 4096)]),
    ("reshard_transpose", "reshard_transpose", &[("M", 8192), ("N", 8192)]),
    ("ulysses", "ulysses", &[("B", 1), ("S", 32768), ("N", 64), ("D", 128)]),
    ("cyclic_to_block", "cyclic_to_block", &[("M", 8192), ("N", 8192), ("LDB", 2048)]),
    ("cyclic_to_block_odd", "cyclic_to_block", &[("M", 37), ("N", 29), ("LDB", 8)]),
    (
        "kv_migrate",
        "kv_migrate",
        &[("L", 4), ("P", 4096), ("N", 8), ("D", 128), ("JMAX", 64), ("RMAX", 64)],
    ),
    ("dlrm", "dlrm", &[("B", 1024), ("D", 128), ("LMAX", 32)]),
    ("to_tiles", "to_tiles", &[("M", 8192), ("C", 8192)]),
    ("to_tiles_odd", "to_tiles", &[("M", 24), ("C", 256)]),
    ("partials", "partials", &[("M", 4096), ("N", 4096)]),
];

pub fn compiled(program: &str, params: &[(&str, i64)]) -> Compiled {
    let (_, text) =
        programs().into_iter().find(|(n, _)| n == program).expect("a program of the examples");
    let params: Bindings = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    compile(&text, None, &params).unwrap_or_else(|d| panic!("{program}: {d:#?}"))
}

#[test]
fn stages() {
    for (case, program, params) in CASES {
        let compiled = compiled(program, params);
        for stage in ["layout", "plan", "schedule"] {
            insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
                insta::assert_snapshot!(format!("{case}.{stage}"), compiled.stage(stage).unwrap_or_default());
            });
        }
        let unit = generate(&compiled.schedule, &Target::hopper(compiled.schedule.ranks as u32))
            .expect("it generates");
        insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
            insta::assert_snapshot!(format!("{case}.cuda"), unit.source);
        });
    }
}

/// Several devices with a rank each: peers are waited for, and links are kept busy.
#[test]
fn kernels_of_one_rank_a_device() {
    let apart = ["moe", "reshard_transpose", "ulysses", "to_tiles_odd", "partials"];
    for (case, program, params) in CASES.iter().filter(|c| apart.contains(&c.0)) {
        let unit = generate(&compiled(program, params).schedule, &Target::hopper(1))
            .expect("it generates");
        insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
            insta::assert_snapshot!(format!("{case}.apart.cuda"), unit.source);
        });
    }
}

/// Text to verified schedule; the bar is 5 ms with optimisation, so a debug build gets ten times that.
#[test]
fn front_end_is_quick() {
    let (_, text) = programs().into_iter().find(|(n, _)| n == "moe").expect("moe is an example");
    let params: Bindings = CASES[0].2.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let started = std::time::Instant::now();
            compile(&text, None, &params).expect("it compiles");
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("text to verified schedule: median {:.2} ms", times[10]);
    assert!(times[10] < 50.0, "{times:?}");
}
