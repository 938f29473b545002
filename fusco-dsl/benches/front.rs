//! How long the compiler takes without NVRTC: to parse, from text to a verified schedule (bar: 5 ms), and from
//! there to the text of every kernel.

use criterion::{Criterion, criterion_group, criterion_main};
use fusco_dsl::cuda::{Target, generate_each};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

/// Name, text, params.
type Case = (&'static str, &'static str, &'static [(&'static str, i64)]);

macro_rules! case {
    ($name:literal, $($param:ident = $value:literal),+) => {
        (
            $name,
            include_str!(concat!("../../examples/programs/", $name, ".fusco")),
            &[$((stringify!($param), $value)),+],
        )
    };
}

const CASES: [Case; 4] = [
    case!("moe", G = 8, E = 256, K = 8, H = 7168, TMAX = 4096),
    case!("ulysses", B = 1, S = 32768, N = 64, D = 128),
    case!("reshard_transpose", M = 8192, N = 8192),
    case!("kv_migrate", L = 4, P = 4096, N = 8, D = 128, JMAX = 64, RMAX = 64),
];

fn front(criterion: &mut Criterion) {
    for (name, text, params) in CASES {
        let params: BTreeMap<String, i64> =
            params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let compile = || fusco_dsl::compile(black_box(text), None, &params).expect("it compiles");
        let schedule = compile().schedule;
        let target = Target::hopper(schedule.ranks as u32);
        let mut group = criterion.benchmark_group(name);
        group.bench_function("parse", |b| b.iter(|| fusco_dsl::syntax::parse(black_box(text))));
        group.bench_function("text to verified schedule", |b| b.iter(compile));
        group.bench_function("schedule to CUDA", |b| {
            b.iter(|| generate_each(black_box(&schedule), &target).expect("it generates"));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = front
}
criterion_main!(benches);
