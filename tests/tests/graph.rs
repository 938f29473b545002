//! `moe.fusco` captured once as a graph of plan, dispatch and combine, and replayed with the routing of a real
//! trace, another part of it each time.

use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::World;
use fusco_tests::{Random, Session, alone, gpu, gpu_in_parts};
use safetensors::SafeTensors;

const MOE: &str = include_str!("../../examples/programs/moe.fusco");
const TRACE: &[u8] = include_bytes!("../../examples/traces/e256_k8_r8.safetensors");
const RANKS: usize = 8;
const TOKENS: usize = 256;
const FAN: usize = 8;
const HIDDEN: usize = 64;

/// Tokens `first..first + TOKENS` of every rank of the trace.
fn routing(first: usize, random: &mut Random) -> Inputs {
    let file = SafeTensors::deserialize(TRACE).expect("safetensors");
    let part = |key: &str| {
        let view = file.tensor(key).expect("in the trace");
        let row = view.shape()[2] * 4;
        let rank = view.shape()[1] * row;
        let take = |r: usize| &view.data()[r * rank + first * row..][..TOKENS * row];
        (0..RANKS).flat_map(take).copied().collect::<Vec<u8>>()
    };
    let wide = part("topk_idx")
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| i64::from(i32::from_le_bytes(*b)))
        .collect::<Vec<_>>();
    let mut x = Array::zeros(Elem::Bf16, vec![RANKS, TOKENS, HIDDEN]);
    random.fill(&mut x);
    let mut inputs = Inputs::default();
    let w = Array::new(Elem::F32, vec![RANKS, TOKENS, FAN], part("topk_weight")).expect("whole");
    inputs.tensors.insert("x".into(), x);
    inputs
        .tensors
        .insert("topk".into(), Array::from_i64(Elem::I64, vec![RANKS, TOKENS, FAN], &wide));
    inputs.tensors.insert("w".into(), w);
    inputs.dyns.insert("T".into(), vec![TOKENS as i64; RANKS]);
    inputs.params = [("G", RANKS), ("E", 256), ("K", FAN), ("H", HIDDEN), ("TMAX", TOKENS)]
        .map(|(n, v)| (n.to_string(), v as i64))
        .into();
    inputs
}

#[test]
fn a_captured_layer_replays_a_trace() {
    replay(World::host(RANKS).expect("a world"));
}

#[test]
fn gpu_a_captured_layer_replays_a_trace() {
    gpu(RANKS).into_iter().for_each(replay);
}

#[test]
fn gpu_a_captured_layer_replays_a_trace_over_two_launches() {
    let _alone = alone();
    gpu_in_parts(RANKS).into_iter().for_each(replay);
}

fn replay(world: World) {
    let params = [("G", 8), ("E", 256), ("K", 8), ("H", HIDDEN as i64), ("TMAX", TOKENS as i64)];
    let session = Session::new(MOE, &params, &[("z", "y")], world);
    let (stream, mut random) = (session.world.stream().expect("a stream"), Random(11));
    let any = routing(0, &mut random);
    let layer = stream
        .capture(|s| {
            session.launch("dispatch", s, &any)?;
            session.launch("combine", s, &any)
        })
        .expect("captured");
    let mut compared = 0;
    for step in 0..6 {
        let inputs = routing(step * 600, &mut random);
        session.upload(&inputs);
        // Twice: the second replay finds the first one's counters.
        layer.launch(&stream).expect("queued");
        layer.launch(&stream).expect("queued");
        stream.synchronize().expect("replayed");
        compared += session.check(&session.expected(&["dispatch", "combine"], &inputs));
    }
    println!(
        "{}: 6 parts of the trace replayed, {compared} elements equal",
        session.world.backend()
    );
}
