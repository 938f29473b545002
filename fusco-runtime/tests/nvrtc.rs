//! Every generated text compiles to a cubin, and what each kernel needs is on record. No GPU is needed;
//! without NVRTC the tests say so and are skipped.

use fusco_dsl::cuda::{Target, generate};
use fusco_runtime::jit;
use std::fmt::Write;

/// Name, program, params.
type Case = (&'static str, &'static str, &'static [(&'static str, i64)]);

const CASES: [Case; 15] = [
    ("moe", "moe", &[("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)]),
    ("moe_odd", "moe", &[("G", 3), ("E", 9), ("K", 2), ("H", 24), ("TMAX", 40)]),
    ("moe_one_rank", "moe", &[("G", 1), ("E", 8), ("K", 2), ("H", 16), ("TMAX", 64)]),
    ("moe_wide", "moe", &[("G", 16), ("E", 1024), ("K", 32), ("H", 2048), ("TMAX", 256)]),
    ("moe_capacity", "moe_capacity", &[("E", 64), ("H", 384), ("C", 256), ("TMAX", 512)]),
    ("local_permute", "local_permute", &[("E", 128), ("H", 1024), ("TMAX", 4096)]),
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

fn unit(program: &str, params: &[(&str, i64)]) -> String {
    let path = format!("{}/../examples/programs/{program}.fusco", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the examples are in the repository");
    let params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let compiled = fusco_dsl::compile(&text, None, &params).expect("it compiles");
    generate(&compiled.schedule, &Target::hopper(compiled.schedule.ranks as u32))
        .expect("it generates")
        .source
}

fn have_nvrtc() -> bool {
    let found = jit::Nvrtc::find();
    if let Err(error) = &found {
        println!("skipped: {error}");
    }
    found.is_ok()
}

#[test]
fn every_program_compiles_without_spills() {
    if !have_nvrtc() {
        return;
    }
    for (case, program, params) in CASES {
        let cubin = jit::compile(&unit(program, params), case, "sm_90a")
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        assert!(!cubin.resources.is_empty(), "{case}: no resources in the log:\n{}", cubin.log);
        let mut text = String::new();
        for r in &cubin.resources {
            assert_eq!((r.spill_stores, r.spill_loads), (0, 0), "{case}: {} spills", r.name);
            _ = writeln!(
                text,
                "{}: {} registers, {} stack, {} shared",
                r.name, r.registers, r.stack, r.shared
            );
        }
        insta::with_settings!({ description => format!("{program} {params:?}"), omit_expression => true }, {
            insta::assert_snapshot!(format!("{case}.resources"), text);
        });
    }
}

#[test]
fn the_cache_keeps_cubins_and_distrusts_damaged_ones() {
    if !have_nvrtc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // SAFETY: nextest gives each test a process of its own, and the other test does not read the variable.
    unsafe { std::env::set_var("FUSCO_CACHE_DIR", folder.path()) };
    let source = "extern \"C\" __global__ void nothing() {}";
    let first = jit::cubin(source, "nothing", "sm_90a").expect("it compiles");
    let files = || -> Vec<_> {
        let all = std::fs::read_dir(folder.path().join("cubin")).expect("the cache");
        all.filter_map(|f| Some(f.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "cubin"))
            .collect()
    };
    let [file] = &files()[..] else { panic!("one file") };
    assert_eq!(jit::cubin(source, "nothing", "sm_90a").expect("cached"), first);
    std::fs::write(file, b"damaged").expect("writable");
    assert_eq!(jit::cubin(source, "nothing", "sm_90a").expect("compiled again"), first);
    assert!(
        std::fs::read(file).expect("readable").len() > first.len(),
        "the damaged file was replaced"
    );
}

/// The bars are 1 s cold and 20 ms from the cache, on a quiet machine; tests share theirs.
#[test]
fn compiling_is_quick_and_the_cache_quicker() {
    if !have_nvrtc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // SAFETY: as above.
    unsafe { std::env::set_var("FUSCO_CACHE_DIR", folder.path()) };
    let source = unit(CASES[0].1, CASES[0].2);
    let timed = || {
        let started = std::time::Instant::now();
        jit::cubin(&source, "moe", "sm_90a").expect("it compiles");
        started.elapsed().as_secs_f64() * 1e3
    };
    let (cold, warm) = (timed(), timed());
    println!("text to cubin: {cold:.0} ms cold, {warm:.2} ms from the cache");
    assert!(cold < 10_000.0 && warm < 200.0, "{cold} {warm}");
}

#[test]
fn a_wrong_text_gives_the_log() {
    if !have_nvrtc() {
        return;
    }
    let error = jit::compile("not cuda", "wrong", "sm_90a").expect_err("it is wrong").to_string();
    assert!(error.contains("wrong.cu"), "{error}");
}
