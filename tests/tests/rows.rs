//! Long rows by the copy engine against the oracle: two of a token in one trip, and one beside its numbers.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, alone, gpu, gpu_in_parts};

const TWO_ROWS: &str = include_str!("../gpu/two_rows.fusco");
const EXPERTS: i64 = 16;
const FAN: i64 = 2;

fn session(
    tokens: &[i64],
    (h, d): (i64, i64),
    world: World,
) -> (Session, Vec<(&'static str, i64)>) {
    let longest = *tokens.iter().max().expect("a rank");
    let params = vec![
        ("G", tokens.len() as i64),
        ("E", EXPERTS),
        ("K", FAN),
        ("H", h),
        ("D", d),
        ("TMAX", longest),
    ];
    (Session::new(TWO_ROWS, &params, &[], world), params)
}

fn two_rows(tokens: &[i64], (h, d): (i64, i64), world: World) {
    let (session, params) = session(tokens, (h, d), world);
    let longest = *tokens.iter().max().expect("a rank") as usize;
    let mut random = Random(tokens.len() as u64 + h as u64);
    let params = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let mut inputs = Inputs { params, ..Inputs::default() };
    inputs.dyns.insert("T".into(), tokens.to_vec());
    let pairs = tokens.len() * longest * FAN as usize;
    // Every fourth or so is none.
    let topk: Vec<i64> = (0..pairs)
        .map(|_| match random.below(4) {
            0 => -1,
            _ => random.below(EXPERTS as u64) as i64,
        })
        .collect();
    let by_token = |last: i64| vec![tokens.len(), longest, last as usize];
    inputs.tensors.insert("topk".into(), Array::from_i64(Elem::I64, by_token(FAN), &topk));
    for (name, elem, last) in [("x", Elem::Bf16, h), ("v", Elem::F32, d)] {
        let mut array = Array::zeros(elem, by_token(last));
        random.fill(&mut array);
        inputs.tensors.insert(name.into(), array);
    }
    session.upload(&inputs);
    session.poison();
    let stream = session.world.stream().expect("a stream");
    session.launch("dispatch", &stream, &inputs).expect("it launches");
    stream.synchronize().expect("it runs");
    let compared = session.check(&session.expected(&["dispatch"], &inputs));
    assert!(compared > 0, "nothing is compared");
}

#[test]
fn two_rows_of_a_token_equal_the_oracle() {
    two_rows(&[40, 0, 13, 1], (4096, 2048), World::host(4).expect("a host"));
}

/// Several turns of each CTA, in one launch and in two that meet.
#[test]
fn gpu_two_rows_of_a_token_equal_the_oracle() {
    let _alone = alone();
    for rows in [(4096, 2048), (4104, 1032), (512, 1024), (24, 4096)] {
        gpu(2).into_iter().for_each(|world| two_rows(&[2000, 1300], rows, world));
        gpu_in_parts(2).into_iter().for_each(|world| two_rows(&[2000, 1300], rows, world));
    }
}

/// No GPU is needed, but NVRTC is.
#[test]
fn two_rows_of_a_token_compile() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    let (session, _) = session(&[512, 512], (4096, 2048), World::host(2).expect("a host"));
    for ranks in [1, 2] {
        let unit = generate(&session.compiled.schedule, &Target::hopper(ranks)).expect("a text");
        assert!(unit.source.contains("expect_bulk(&full["), "{}", unit.source);
        let cubin = jit::compile(&unit.source, "two_rows", "sm_90a").expect("it compiles");
        for r in &cubin.resources {
            assert_eq!((r.spill_stores, r.spill_loads), (0, 0), "{} spills", r.name);
        }
    }
}
