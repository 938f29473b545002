//! Numbers of a plan in every form, on any number of ranks: of groups, of groups and source ranks, of ranks.

use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_runtime::World;
use fusco_tests::{Random, Session, gpu};

const TEXT: &str = include_str!("../gpu/plan_numbers.fusco");
const ENTRIES: [&str; 2] = ["packed", "capped"];

/// Tokens of ranks of which some have few or none, that choose any group, the last alone, or none at all.
fn inputs(session: &Session, params: &[(&str, i64)], choices: usize) -> Inputs {
    let params: Bindings = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let groups = params["E"];
    let (ranks, mut random) = (session.ranks(), Random(groups as u64 + choices as u64));
    let mut inputs = Inputs { params, ..Inputs::default() };
    inputs
        .dyns
        .insert("T".into(), (0..ranks).map(|r| [61, 0, 17, 40][(r + choices) % 4]).collect());
    let mut choice = |_| match choices {
        0 => random.below(groups as u64 + 1) as i64 - 1,
        1 => groups - 1,
        _ => -1,
    };
    let topk = Vec::from_iter((0..ranks * 61 * 3).map(&mut choice));
    inputs.tensors.insert("topk".into(), Array::from_i64(Elem::I32, vec![ranks, 61, 3], &topk));
    let mut x = Array::zeros(Elem::Bf16, vec![ranks, 61, 24]);
    random.fill(&mut x);
    inputs.tensors.insert("x".into(), x);
    inputs
}

fn check(groups: i64, world: World) {
    let ranks = world.ranks() as i64;
    let params = [("G", ranks), ("K", 3), ("E", groups), ("C", 5), ("H", 24), ("TMAX", 61)];
    let session = Session::new(TEXT, &params, &[], world);
    let stream = session.world.stream().expect("a stream");
    for choices in 0..3 {
        let inputs = inputs(&session, &params, choices);
        session.upload(&inputs);
        session.poison();
        for entry in ENTRIES {
            session.launch(entry, &stream, &inputs).expect("it launches");
        }
        stream.synchronize().expect("it runs");
        let compared = session.check(&session.expected(&ENTRIES, &inputs));
        assert!(compared > 0, "nothing is compared: {ranks} ranks, {groups} groups");
    }
}

#[test]
fn numbers_of_plans_equal_the_oracle() {
    for ranks in 1..=8 {
        for groups in [1, 7, 37] {
            check(groups, World::host(ranks).expect("a host"));
        }
    }
}

#[test]
fn gpu_numbers_of_plans_equal_the_oracle() {
    for (ranks, groups) in [(1, 7), (3, 37), (4, 1), (8, 7)] {
        gpu(ranks).into_iter().for_each(|world| check(groups, world));
    }
}
