//! How long a program's kernels take to become cubins: with NVRTC, all at the same time (bar: 600 ms), and from
//! the cache on disk (bar: 10 ms). Says so and does nothing where there is no NVRTC.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fusco_dsl::cuda::{Target, generate_each};
use fusco_runtime::jit;
use std::time::Duration;
use tempfile::TempDir;

const MOE: &str = include_str!("../../examples/programs/moe.fusco");

/// Symbol and text of each kernel.
fn kernels() -> Vec<(String, String)> {
    let params = [("G", 8), ("E", 256), ("K", 8), ("H", 7168), ("TMAX", 4096)];
    let params = params.map(|(n, v)| (n.to_string(), v)).into();
    let compiled = fusco_dsl::compile(MOE, None, &params).expect("it compiles");
    let (unit, texts) =
        generate_each(&compiled.schedule, &Target::hopper(8)).expect("it generates");
    unit.kernels.into_iter().map(|k| k.symbol).zip(texts).collect()
}

/// An empty cache, for as long as the folder lives.
fn fresh_cache() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    // SAFETY: only this thread runs here; the ones that compile have ended.
    unsafe { std::env::set_var("FUSCO_CACHE_DIR", folder.path()) };
    folder
}

fn cubins(criterion: &mut Criterion) {
    if let Err(error) = jit::Nvrtc::find() {
        println!("skipped: {error}");
        return;
    }
    let kernels = kernels();
    let sources: Vec<(&str, &str)> =
        kernels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let all = || jit::cubins(&sources, "sm_90a").expect("they compile");
    let mut group = criterion.benchmark_group(format!("moe, {} kernels", sources.len()));
    group.bench_function("cold", |b| {
        b.iter_batched(fresh_cache, |folder| (folder, all()), BatchSize::PerIteration);
    });
    let _folder = fresh_cache();
    all();
    group.bench_function("from the cache", |b| b.iter(all));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(8));
    targets = cubins
}
criterion_main!(benches);
