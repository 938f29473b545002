//! Every generated text compiles to a cubin, and what each kernel needs is on record. No GPU is needed;
//! without NVRTC the tests say so and are skipped.

use fusco_dsl::cuda::{Architecture, Target, generate_each};
use fusco_runtime::jit;
use std::fmt::Write;

/// Name, program, params.
type Case = (&'static str, &'static str, &'static [(&'static str, i64)]);

const CASES: [Case; 26] = [
    ("moe", "moe", &[("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)]),
    ("moe_odd", "moe", &[("G", 3), ("E", 9), ("K", 2), ("H", 24), ("TMAX", 40)]),
    ("moe_one_rank", "moe", &[("G", 1), ("E", 8), ("K", 2), ("H", 16), ("TMAX", 64)]),
    ("moe_wide", "moe", &[("G", 16), ("E", 1024), ("K", 32), ("H", 2048), ("TMAX", 256)]),
    (
        "moe_ep_tp",
        "moe_ep_tp",
        &[("G", 4), ("TP", 2), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)],
    ),
    (
        "moe_two_level",
        "moe_two_level",
        &[("N", 4), ("G", 8), ("K", 8), ("E", 256), ("H", 7168), ("TMAX", 4096)],
    ),
    (
        "moe_two_level_odd",
        "moe_two_level",
        &[("N", 3), ("G", 2), ("K", 3), ("E", 12), ("H", 24), ("TMAX", 40)],
    ),
    (
        "balanced",
        "../../tests/gpu/balanced",
        &[("N", 2), ("G", 8), ("K", 8), ("E", 256), ("H", 7168), ("TMAX", 4096)],
    ),
    (
        "balanced_odd",
        "../../tests/gpu/balanced",
        &[("N", 3), ("G", 2), ("K", 3), ("E", 12), ("H", 24), ("TMAX", 40)],
    ),
    (
        "moe_balanced",
        "moe_balanced",
        &[("G", 8), ("K", 8), ("L", 256), ("P", 288), ("R", 4), ("H", 7168), ("TMAX", 4096)],
    ),
    (
        "moe_balanced_odd",
        "moe_balanced",
        &[("G", 3), ("K", 2), ("L", 5), ("P", 7), ("R", 3), ("H", 24), ("TMAX", 40)],
    ),
    (
        "moe_batch",
        "moe_batch",
        &[("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("B", 4), ("S", 8192)],
    ),
    ("moe_batch_odd", "moe_batch", &[("G", 3), ("E", 9), ("K", 2), ("H", 24), ("B", 3), ("S", 15)]),
    (
        "moe_shared",
        "moe_shared",
        &[
            ("G", 2),
            ("E", 3),
            ("K", 8),
            ("H", 7168),
            ("TMAX", 4096),
            ("OWNER[0]", 1),
            ("OWNER[1]", 0),
            ("OWNER[2]", 1),
        ],
    ),
    (
        "moe_shared_odd",
        "moe_shared",
        &[
            ("G", 2),
            ("E", 3),
            ("K", 2),
            ("H", 24),
            ("TMAX", 40),
            ("OWNER[0]", 1),
            ("OWNER[1]", 1),
            ("OWNER[2]", 1),
        ],
    ),
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

/// Symbol and text of each kernel.
fn kernels(program: &str, params: &[(&str, i64)]) -> Vec<(String, String)> {
    kernels_of(program, params, None)
}

/// With so many ranks on a device, or all of them.
fn kernels_of(
    program: &str,
    params: &[(&str, i64)],
    ranks_per_device: Option<u32>,
) -> Vec<(String, String)> {
    let hopper = Architecture::find("sm_90a").expect("it is known");
    kernels_for(hopper, program, params, ranks_per_device)
}

fn kernels_for(
    architecture: &'static Architecture,
    program: &str,
    params: &[(&str, i64)],
    ranks_per_device: Option<u32>,
) -> Vec<(String, String)> {
    let path = format!("{}/../examples/programs/{program}.fusco", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the examples are in the repository");
    let params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let compiled = fusco_dsl::compile(&text, None, &params).expect("it compiles");
    let ranks_per_device = ranks_per_device.unwrap_or(compiled.schedule.ranks as u32);
    let target = Target::new(architecture, ranks_per_device);
    let (unit, texts) = generate_each(&compiled.schedule, &target).expect("it generates");
    unit.kernels.into_iter().map(|k| k.symbol).zip(texts).collect()
}

/// What `jit::cubins` takes.
fn named(kernels: &[(String, String)]) -> Vec<(&str, &str)> {
    kernels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
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
        let mut resources = Vec::new();
        for (name, source) in kernels(program, params) {
            let cubin = jit::compile(&source, &name, "sm_90a")
                .unwrap_or_else(|e| panic!("{case}: {e}\n{source}"));
            assert_eq!(cubin.resources.len(), 1, "{case}: one kernel a unit:\n{}", cubin.log);
            resources.extend(cubin.resources);
        }
        resources.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = String::new();
        for r in &resources {
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

/// Texts that NVRTC once refused, or took for something else: a table of one owner, divisions of numbers below 0,
/// 64-bit numbers, indices and lengths of 64 bits.
#[test]
fn small_programs_compile() {
    if !have_nvrtc() {
        return;
    }
    let cases = [
        "program p { mesh g { p: 2 } in W: ix32(2)[w: 1] @ [copy/p, w]; in x: f32[i: 1, j: 4] @ [i/p.map(W), i, j];
            out y: f32[i: 1, j: 4] @ [copy/p, i, j]; entry e { y[i, j] <- x[i, j]; } }",
        "program p { out a: i32[i: 8] @ [i]; out b: i64[i: 8] @ [i];
            entry e { a[i] <- (i - 9) / 3 % 4; b[i] <- (i + 1) * 100000 * 100000; } }",
        "program p { in of: ix64(8)[t: 64] @ [t]; in x: f32[i: 8, h: 16] @ [i, h]; out y: f32[t: 64, h: 16] @ [t, h];
            entry e { y[t, h] <- x[of[t], h]; } }",
        "program p { in len: i64[r: 4] @ [r]; in x: f32[r: 4, l: len[r] <= 8] @ [r, l.pack(4)];
            out y: f32[r: 4, l: len[r] <= 8] @ [r, l.pack(2)] with fill(0); entry e { y[r, l] <- x[r, l]; } }",
        "program p { mesh g { p: 2 } in of: ix64(8)[t: 6] @ [t/p, t]; in x: f32[t: 6, h: 16] @ [t/p, t, h];
            inout y: f32[i: 8, h: 16] @ [i/p, i, h]; assume distinct(t: of[t]);
            entry e { y[of[t], h] <- x[t, h]; } }",
    ];
    for text in cases {
        let compiled = fusco_dsl::compile(text, None, &Default::default()).expect("it compiles");
        for ranks in [1, compiled.schedule.ranks as u32] {
            let (unit, texts) =
                generate_each(&compiled.schedule, &Target::hopper(ranks)).expect("it generates");
            for (kernel, source) in unit.kernels.iter().zip(texts) {
                jit::compile(&source, &kernel.symbol, "sm_90a")
                    .unwrap_or_else(|e| panic!("{text}: {e}\n{source}"));
            }
        }
    }
}

/// A program may use any word that the language allows, also those of generated kernels.
#[test]
fn words_of_generated_kernels_are_free_for_programs() {
    if !have_nvrtc() {
        return;
    }
    // What kernels call their own, in two sets.
    let words = [
        ("x", ["turns", "came"]),
        ("y", ["total", "asked"]),
        ("n", ["ROWS", "MAIL"]),
        ("w", ["stream_bulk", "pusher"]),
        ("z", ["load_rows", "peer"]),
        ("o", ["GRID", "open"]),
        ("T", ["t", "deadline"]),
        ("t", ["barrier", "ahead"]),
        ("k", ["i", "got"]),
        ("c", ["turn_at", "word"]),
        ("e", ["found", "owner"]),
        ("s", ["tuple", "pushed"]),
        ("h", ["parity", "AHEAD"]),
    ];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/programs/moe.fusco");
    let text = std::fs::read_to_string(path).expect("the examples are in the repository");
    for set in 0..2 {
        words_are_free(&text, &words.map(|(from, to)| (from, to[set])));
    }
}

/// MoE with some of its words renamed compiles.
fn words_are_free(text: &str, words: &[(&str, &str)]) {
    let renamed = |word: &str| words.iter().find(|(from, _)| *from == word).map(|(_, to)| *to);
    let text: String = text
        .split_inclusive(|c: char| !c.is_alphanumeric() && c != '_')
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
            renamed(word).map_or(piece.to_string(), |to| piece.replacen(word, to, 1))
        })
        .collect();
    let params = CASES[0].2.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let compiled = fusco_dsl::compile(&text, None, &params).unwrap_or_else(|d| panic!("{d:#?}"));
    for ranks in [1, 8] {
        let (unit, texts) =
            generate_each(&compiled.schedule, &Target::hopper(ranks)).expect("it generates");
        for (kernel, source) in unit.kernels.iter().zip(&texts) {
            let made = jit::compile(source, &kernel.symbol, "sm_90a");
            made.unwrap_or_else(|e| panic!("{e}\n{source}"));
        }
    }
}

/// Peers are waited for then, in every kernel.
#[test]
fn kernels_of_one_rank_a_device_compile() {
    if !have_nvrtc() {
        return;
    }
    // More ranks ask for rows than a warp has lanes for.
    let many: Case =
        ("moe_many", "moe", &[("G", 16), ("E", 256), ("K", 17), ("H", 4104), ("TMAX", 4096)]);
    for (case, program, params) in CASES.iter().chain([&many]) {
        compile_without_spills(case, &kernels_of(program, params, Some(1)));
    }
}

/// Ranks of one device are no peers to wait for, those of others are.
#[test]
fn kernels_of_two_ranks_a_device_compile() {
    if !have_nvrtc() {
        return;
    }
    let (case, program, params) = CASES[0];
    compile_without_spills(case, &kernels_of(program, params, Some(2)));
}

/// Every architecture has a path of its own abilities: no copy engine before sm_90, 99 KiB of shared memory on
/// sm_89 and sm_120.
#[test]
fn kernels_compile_for_every_architecture() {
    if !have_nvrtc() {
        return;
    }
    let programs = ["moe", "reshard_transpose", "to_tiles", "kv_migrate"];
    for arch in ["sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a"] {
        let architecture = Architecture::find(arch).expect("it is known");
        for program in programs {
            let (case, _, params) = CASES.iter().find(|(case, ..)| *case == program).expect("one");
            // Ranks that share a device, and those that wait for peers.
            for ranks_per_device in [None, Some(1)] {
                for (name, source) in kernels_for(architecture, program, params, ranks_per_device) {
                    let compiled = jit::compile(&source, &name, arch);
                    compiled.unwrap_or_else(|e| panic!("{case} for {arch}: {e}\n{source}"));
                    let bulk = source.contains("cp.async.bulk");
                    assert!(!bulk || architecture.name != "sm_80" && architecture.name != "sm_89");
                }
            }
        }
    }
}

/// What a device of an architecture may hold is never exceeded.
#[test]
fn shared_memory_is_what_the_architecture_has() {
    for name in Architecture::names() {
        let architecture = Architecture::find(name).expect("it is known");
        for (case, program, params) in CASES {
            let path =
                format!("{}/../examples/programs/{program}.fusco", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("the examples are in the repository");
            let params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
            let compiled = fusco_dsl::compile(&text, None, &params).expect("it compiles");
            for ranks_per_device in [1, compiled.schedule.ranks as u32] {
                let target = Target::new(architecture, ranks_per_device);
                let (unit, _) = generate_each(&compiled.schedule, &target).expect("it generates");
                for kernel in &unit.kernels {
                    let (used, most) = (i64::from(kernel.shared_bytes), target.shared);
                    assert!(
                        used <= most,
                        "{case}, {name}: {} needs {used} of {most}",
                        kernel.symbol
                    );
                }
            }
        }
    }
}

fn compile_without_spills(case: &str, kernels: &[(String, String)]) {
    for (name, source) in kernels {
        let compiled = jit::compile(source, name, "sm_90a");
        let compiled = compiled.unwrap_or_else(|e| panic!("{case}: {e}\n{source}"));
        let used = &compiled.resources[0];
        // Where rows come by mail, the rank of a member beside other plans takes registers that there are not.
        let most = if name == "moe_ep_tp_combine" { 16 } else { 0 };
        let spills = used.spill_stores.max(used.spill_loads);
        assert!(spills <= most, "{case}: {name} spills {spills} bytes");
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

/// The bars are 600 ms cold and 10 ms from the cache, on a quiet machine; tests share theirs.
#[test]
fn compiling_is_quick_and_the_cache_quicker() {
    if !have_nvrtc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // SAFETY: as above.
    unsafe { std::env::set_var("FUSCO_CACHE_DIR", folder.path()) };
    let kernels = kernels(CASES[0].1, CASES[0].2);
    let timed = || {
        let started = std::time::Instant::now();
        let cubins = jit::cubins(&named(&kernels), "sm_90a").expect("it compiles");
        (cubins, started.elapsed().as_secs_f64() * 1e3)
    };
    let ((made, cold), (kept, warm)) = (timed(), timed());
    println!("{} kernels to cubins: {cold:.0} ms cold, {warm:.2} ms from the cache", made.len());
    assert_eq!(made, kept);
    assert!(cold < 10_000.0 && warm < 200.0, "{cold} {warm}");
}

/// What is not planned by a kernel is not in its text, and yet all kernels agree on the plan.
#[test]
fn a_kernel_stands_on_what_it_uses() {
    let kernels = kernels(CASES[0].1, CASES[0].2);
    assert!(kernels.len() >= 6, "{}", kernels.len());
    let layout =
        |text: &str| text.lines().find(|l| l.contains("sizeof(Plan_r)")).map(str::to_string);
    for (name, text) in &kernels {
        assert_eq!(layout(text), layout(&kernels[0].1), "{name}");
        assert_eq!(text.matches("__global__").count(), 1, "{name}");
        assert_eq!(text.contains("scan_and_send"), name.contains("plan"), "{name}");
        let adds = ["combine", "bwd"].iter().any(|w| name.contains(w));
        assert_eq!(text.contains("from_f32"), adds, "{name}");
    }
}

#[test]
fn a_wrong_text_gives_the_log() {
    if !have_nvrtc() {
        return;
    }
    let error = jit::compile("not cuda", "wrong", "sm_90a").expect_err("it is wrong").to_string();
    assert!(error.contains("wrong.cu"), "{error}");
}

#[test]
fn of_several_wrong_texts_the_first_is_told_and_the_right_ones_are_kept() {
    if !have_nvrtc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // SAFETY: as above.
    unsafe { std::env::set_var("FUSCO_CACHE_DIR", folder.path()) };
    let right = "extern \"C\" __global__ void right() {}";
    let sources = [("first", "not cuda"), ("second", "nor this"), ("right", right)];
    let error = jit::cubins(&sources, "sm_90a").expect_err("they are wrong").to_string();
    assert!(error.contains("first.cu") && !error.contains("second.cu"), "{error}");
    let kept = std::fs::read_dir(folder.path().join("cubin")).expect("the cache");
    let cubins =
        kept.filter_map(Result::ok).filter(|f| f.path().extension().is_some_and(|e| e == "cubin"));
    assert_eq!(cubins.count(), 1);
}
