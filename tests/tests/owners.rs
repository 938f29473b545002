//! Groups of a route whose owners a tensor names: whatever it holds, on any number of ranks.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs, run_entry};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, gpu};
use std::collections::BTreeMap;

const MOE: &str = include_str!("../gpu/moe_owners.fusco");
const CAPACITY: &str = include_str!("../gpu/capacity_owners.fusco");
const MOE_ENTRIES: [&str; 5] = ["dispatch", "combine", "weigh", "dispatch_bwd", "combine_bwd"];

/// A program, its params, its entries and what they hand on.
struct Program {
    text: &'static str,
    params: Vec<(&'static str, i64)>,
    entries: &'static [&'static str],
    feeds: &'static [(&'static str, &'static str)],
    groups: i64,
}

fn moe(ranks: i64, groups: i64) -> Program {
    Program {
        text: MOE,
        params: vec![("G", ranks), ("K", 3), ("P", groups), ("H", 24), ("TMAX", 61)],
        entries: &MOE_ENTRIES,
        feeds: &[("z", "y"), ("grad_y", "y")],
        groups,
    }
}

fn capacity(ranks: i64, groups: i64) -> Program {
    Program {
        text: CAPACITY,
        params: vec![("G", ranks), ("E", groups), ("C", 5), ("H", 24), ("TMAX", 61)],
        entries: &["dispatch"],
        feeds: &[],
        groups,
    }
}

impl Program {
    fn session(&self, world: World) -> Session {
        Session::new(self.text, &self.params, self.feeds, world)
    }

    /// Tokens of every kind for these owners.
    fn inputs(&self, session: &Session, owners: &[i64]) -> Inputs {
        let (ranks, mut random) = (session.ranks(), Random(owners.len() as u64 + 99));
        let params = self.params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let mut inputs = Inputs { params, ..Inputs::default() };
        let tokens = (0..ranks).map(|r| [61, 0, 17, 40][r % 4]).collect();
        inputs.dyns.insert("T".into(), tokens);
        let hir = &session.compiled.hir;
        let elem = |name: &str| hir.tensors[hir.tensor(name).expect(name)].dtype.elem;
        inputs
            .tensors
            .insert("owner".into(), Array::from_i64(elem("owner"), vec![owners.len()], owners));
        let fan = if self.text == MOE { 3 } else { 2 };
        let mut choice = |_| random.below(self.groups as u64 + 1) as i64 - 1;
        let topk: Vec<i64> = (0..ranks * 61 * fan).map(&mut choice).collect();
        inputs
            .tensors
            .insert("topk".into(), Array::from_i64(elem("topk"), vec![ranks, 61, fan], &topk));
        let shapes = [
            ("x", vec![ranks, 61, 24]),
            ("w", vec![ranks, 61, fan]),
            ("scale", vec![self.groups as usize]),
            ("grad_o", vec![ranks, 61, 24]),
        ];
        for (name, shape) in shapes.into_iter().filter(|(n, _)| hir.tensor(n).is_some()) {
            let mut array = Array::zeros(elem(name), shape);
            random.fill(&mut array);
            inputs.tensors.insert(name.into(), array);
        }
        inputs
    }

    /// One rank owns all, the last ones nothing, all alike, any.
    fn check(&self, world: World) {
        let session = self.session(world);
        let (ranks, groups, mut random) = (session.ranks() as i64, self.groups, Random(5));
        let any = Vec::from_iter((0..groups).map(|_| random.below(ranks as u64) as i64));
        let tables = [
            vec![0; groups as usize],
            vec![ranks - 1; groups as usize],
            Vec::from_iter((0..groups).map(|g| (groups - g) % ranks)),
            Vec::from_iter((0..groups).map(|g| g % ((ranks + 1) / 2))),
            any,
        ];
        let stream = session.world.stream().expect("a stream");
        for owners in tables {
            let inputs = self.inputs(&session, &owners);
            session.upload(&inputs);
            session.poison();
            for entry in self.entries {
                session.launch(entry, &stream, &inputs).expect("it launches");
            }
            stream.synchronize().expect("it runs");
            let compared = session.check(&session.expected(self.entries, &inputs));
            assert!(compared > 0, "nothing is compared: {owners:?}");
        }
    }
}

#[test]
fn groups_lie_with_the_owners_that_a_tensor_names() {
    for ranks in 1..=8 {
        for groups in [1, 7, 37] {
            moe(ranks, groups).check(World::host(ranks as usize).expect("a host"));
            capacity(ranks, groups).check(World::host(ranks as usize).expect("a host"));
        }
    }
}

#[test]
fn gpu_groups_lie_with_the_owners_that_a_tensor_names() {
    for (ranks, groups) in [(1, 7), (2, 1), (3, 37), (4, 7), (8, 37)] {
        for program in [moe(ranks, groups), capacity(ranks, groups)] {
            gpu(ranks as usize).into_iter().for_each(|world| program.check(world));
        }
    }
}

/// The owners are those of the launch that planned: a later entry does not even take the tensor.
fn later_entries_use_the_plan(world: World) {
    let program = moe(3, 7);
    let session = program.session(world);
    let schedule = &session.compiled.schedule;
    for entry in &schedule.entries {
        let takes = entry.tensors.iter().any(|t| schedule.tensors[*t].name == "owner");
        assert_eq!(takes, entry.name == "dispatch", "{}", entry.name);
    }
    let inputs = program.inputs(&session, &[2, 0, 2, 1, 0, 2, 2]);
    session.upload(&inputs);
    session.poison();
    let stream = session.world.stream().expect("a stream");
    session.launch("dispatch", &stream, &inputs).expect("it launches");
    stream.synchronize().expect("it runs");
    for other in [[1; 7], [-1; 7], [i32::MAX; 7]] {
        for rank in 0..session.ranks() {
            let bytes: Vec<u8> = other.iter().flat_map(|o| o.to_le_bytes()).collect();
            session.buffers["owner"].upload(rank, &bytes).expect("fits");
        }
        for entry in &MOE_ENTRIES[1..] {
            session.launch(entry, &stream, &inputs).expect("it launches");
        }
        stream.synchronize().expect("it runs");
        session.check(&session.expected(&MOE_ENTRIES, &inputs));
    }
}

#[test]
fn later_entries_use_the_owners_of_the_plan() {
    later_entries_use_the_plan(World::host(3).expect("a host"));
}

#[test]
fn gpu_later_entries_use_the_owners_of_the_plan() {
    gpu(3).into_iter().for_each(later_entries_use_the_plan);
}

/// F0906 names the tensor; no row moves; the next launch is as any.
fn an_owner_outside(world: World) {
    let program = moe(2, 7);
    let session = program.session(world);
    let stream = session.world.stream().expect("a stream");
    for wrong in [2, -1, i64::from(i32::MIN)] {
        let good = program.inputs(&session, &[0, 1, 1, 0, 0, 1, 1]);
        let mut bad = good.clone();
        let owners = Array::from_i64(Elem::I32, vec![7], &[0, 1, 1, wrong, 0, 1, 1]);
        bad.tensors.insert("owner".into(), owners);
        session.upload(&good);
        for rank in 0..2 {
            let owners = bad.tensors["owner"].bytes();
            session.buffers["owner"].upload(rank, owners).expect("fits");
        }
        session.poison();
        session.launch("dispatch", &stream, &bad).expect("queued");
        let error = stream.synchronize().expect_err("an owner is no rank");
        assert_eq!(error.code(), "F0906", "{error}");
        let text = error.to_string();
        assert!(text.contains("`owner`") && text.contains(&wrong.to_string()), "{text}");
        for rank in 0..2 {
            let y = session.buffers["y"].download(rank).expect("bytes");
            assert!(y.iter().all(|b| *b == 0xa5), "rows were moved");
        }
        let mut plans = BTreeMap::new();
        let hir = &session.compiled.hir;
        assert!(run_entry(hir, "dispatch", &bad, &mut plans).is_err(), "it has a meaning");
        session.upload(&good);
        session.poison();
        session.launch("dispatch", &stream, &good).expect("it launches");
        stream.synchronize().expect("it runs");
        session.check(&session.expected(&["dispatch"], &good));
    }
}

#[test]
fn an_owner_that_is_no_rank_ends_the_launch() {
    an_owner_outside(World::host(2).expect("a host"));
}

#[test]
fn gpu_an_owner_that_is_no_rank_ends_the_launch() {
    gpu(2).into_iter().for_each(an_owner_outside);
}

#[test]
fn tiles_of_groups_arrive_at_the_owners_of_the_plan() {
    let program = moe(3, 7);
    let session = program.session(World::host(3).expect("a host"));
    let owners = [2, 0, 2, 2, 0, 2, 2];
    let inputs = program.inputs(&session, &owners);
    session.upload(&inputs);
    let stream = session.world.stream().expect("a stream");
    session.launch("dispatch", &stream, &inputs).expect("it launches");
    let arrivals = session.bound.arrivals("dispatch", &session.plans["r"]).expect("arrivals");
    let mut plans = BTreeMap::new();
    run_entry(&session.compiled.hir, "dispatch", &inputs, &mut plans).expect("a meaning");
    for rank in 0..3 {
        let mut rows = vec![0; 7];
        for tile in arrivals.tiles(rank).expect("the launch runs") {
            let tile = tile.expect("it arrives");
            assert_eq!(owners[tile.group], rank as i64);
            rows[tile.group] += tile.rows as i64;
        }
        let own = |(g, n): (usize, &i64)| if owners[g] == rank as i64 { *n } else { 0 };
        assert_eq!(rows, Vec::from_iter(plans["r"].live.iter().enumerate().map(own)));
    }
    stream.synchronize().expect("it runs");
}

/// No GPU is needed, but NVRTC is.
#[test]
fn groups_with_read_owners_compile() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    for ranks in [1, 3, 8] {
        for program in [moe(ranks, 37), capacity(ranks, 37)] {
            let session = program.session(World::host(ranks as usize).expect("a host"));
            let target = Target::hopper(ranks as u32);
            let unit = generate(&session.compiled.schedule, &target).expect("CUDA text");
            let cubin = jit::compile(&unit.source, "owners", "sm_90a")
                .unwrap_or_else(|why| panic!("{why}\n{}", unit.source));
            assert!(cubin.resources.iter().all(|r| r.spill_stores == 0));
        }
    }
}
