//! Rows that cross, against counts made by hand from the values that decide them.

use crate::stages::compiled;
use fusco_dsl::cuda::Target;
use fusco_dsl::explain::{
    Expected, Level, Statement, WayKind, deciding, expected, levels, times, ways,
};
use fusco_dsl::kernel::lower;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_dsl::{Compiled, compile};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as i64
    }
}

/// Choices of experts: some are none, some the same twice, low numbers more often.
fn choices(shape: [usize; 3], experts: i64, seed: u64) -> Vec<i64> {
    let mut numbers = Numbers(seed);
    let mut one = || {
        let e = numbers.below(experts + 1).min(numbers.below(experts + 1));
        if e == experts { -1 } else { e }
    };
    (0..shape.iter().product()).map(|_| one()).collect()
}

/// A program on its inputs: `topk` of the longest of `tokens`, and others.
fn inputs(
    compiled: &Compiled,
    tokens: &[i64],
    tensors: &[(&str, Elem, Vec<usize>, &[i64])],
) -> Inputs {
    let params = compiled.schedule.params.iter().cloned().collect();
    let array = |(name, elem, shape, values): &(&str, Elem, Vec<usize>, &[i64])| {
        (name.to_string(), Array::from_i64(*elem, shape.clone(), values))
    };
    let dyns = BTreeMap::from([("T".to_string(), tokens.to_vec())]);
    Inputs { params, dyns, tensors: tensors.iter().map(array).collect() }
}

/// (position, from, to) of each kept tuple, positions ascending.
type Pairs = Vec<((i64, i64), usize, usize)>;

fn pairs(topk: &[i64], tokens: &[i64], k: usize, owner: impl Fn(i64) -> usize) -> Pairs {
    let most = topk.len() / tokens.len() / k;
    let mut out = Vec::new();
    for (s, live) in tokens.iter().enumerate() {
        for t in 0..*live as usize {
            let first = (s * most + t) * k;
            let kept = topk[first..first + k].iter().filter(|e| **e >= 0);
            out.extend(kept.map(|e| ((s as i64, t as i64), s, owner(*e))));
        }
    }
    out
}

/// Rows between ranks of a way's hop.
fn rows(statement: &Statement, kind: WayKind, hop: usize) -> Vec<Vec<i64>> {
    let way = statement.ways.iter().find(|w| w.kind == kind).expect("the way");
    let flow = &way.hops[hop].flow;
    (0..flow.ranks).map(|a| (0..flow.ranks).map(|b| flow.rows(a, b)).collect()).collect()
}

fn matrix(ranks: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<Vec<i64>> {
    let mut out = vec![vec![0; ranks]; ranks];
    pairs.into_iter().for_each(|(a, b)| out[a][b] += 1);
    out
}

fn turned(matrix: &[Vec<i64>]) -> Vec<Vec<i64>> {
    (0..matrix.len()).map(|a| matrix.iter().map(|row| row[a]).collect()).collect()
}

/// Rows of every pair, and once a rank; of rows that are weighted before they go, each is one of its own.
fn check(statement: &Statement, pairs: &Pairs, ranks: usize) {
    let each = matrix(ranks, pairs.iter().map(|(_, a, b)| (*a, *b)));
    let once: BTreeSet<_> = pairs.iter().copied().collect();
    let once = matrix(ranks, once.into_iter().map(|(_, a, b)| (a, b)));
    let alike = statement.sums || !statement.text.contains("w[");
    let once = if alike { once } else { each.clone() };
    let seen = |m: &[Vec<i64>]| if statement.sums { turned(m) } else { m.to_vec() };
    assert_eq!(rows(statement, WayKind::Each, 0), seen(&each), "{}", statement.text);
    assert_eq!(rows(statement, WayKind::OnceARank, 0), seen(&once), "{}", statement.text);
}

#[test]
fn every_pair_and_once_a_rank_are_those_of_the_choices() {
    let sizes = [("G", 3), ("E", 6), ("K", 3), ("H", 16), ("TMAX", 7)];
    let compiled = compiled("moe", &sizes);
    for (seed, tokens) in [(1, [5, 0, 7]), (2, [1, 7, 7]), (3, [0, 0, 0]), (4, [7, 7, 7])] {
        let topk = choices([3, 7, 3], 6, seed);
        let inputs = inputs(&compiled, &tokens, &[("topk", Elem::I64, vec![3, 7, 3], &topk)]);
        let found = ways(&compiled, None, (&inputs, None)).expect("it is counted");
        let pairs = pairs(&topk, &tokens, 3, |e| e as usize / 2);
        assert_eq!(found.is_empty(), pairs.is_empty());
        let rows = found.iter().filter(|s| s.text.contains('h'));
        for statement in rows {
            check(statement, &pairs, 3);
            let (number, bytes) = statement.ways[0].hops[0].flow.sum(|_, _| true);
            assert_eq!((number, bytes), (pairs.len() as i64, pairs.len() as i64 * 16 * 2));
        }
    }
}

#[test]
fn what_decides_is_what_routes_and_owners_read() {
    let names = |program, sizes: &[(&str, i64)]| deciding(&compiled(program, sizes), None);
    let moe = [("G", 2), ("E", 4), ("K", 2), ("H", 8), ("TMAX", 4)];
    assert_eq!(names("moe", &moe), ["topk"]);
    let balanced = [("G", 2), ("L", 4), ("P", 6), ("R", 2), ("K", 2), ("H", 8), ("TMAX", 4)];
    assert_eq!(names("moe_balanced", &balanced), ["copies", "place", "owner", "topk"]);
}

#[test]
fn owners_and_copies_of_experts_decide_as_tables_say() {
    let sizes = [("G", 3), ("L", 4), ("P", 6), ("R", 2), ("K", 2), ("H", 8), ("TMAX", 6)];
    let compiled = compiled("moe_balanced", &sizes);
    let (tokens, topk) = ([6, 2, 0], choices([3, 6, 2], 4, 5));
    let (copies, place, owner) = ([2, 1, 2, 1], [0, 4, 1, -1, 2, 5, 3, -1], [2, 0, 0, 2, 1, 0]);
    let given = inputs(
        &compiled,
        &tokens,
        &[
            ("topk", Elem::I64, vec![3, 6, 2], &topk),
            ("copies", Elem::I32, vec![4], &copies),
            ("place", Elem::I64, vec![4, 2], &place),
            ("owner", Elem::I32, vec![6], &owner),
        ],
    );
    let found = ways(&compiled, Some("dispatch"), (&given, None)).expect("it is counted");
    let mut expected = Vec::new();
    for (s, live) in tokens.iter().enumerate() {
        for t in 0..*live {
            for l in &topk[(s * 6 + t as usize) * 2..][..2] {
                let Ok(l) = usize::try_from(*l) else { continue };
                let physical = place[l * 2 + ((s as i64 + t) % copies[l]) as usize];
                expected.push(((s as i64, t), s, owner[physical as usize] as usize));
            }
        }
    }
    assert!(expected.len() > 5);
    check(&found[0], &expected, 3);
}

#[test]
fn rows_beyond_the_capacity_do_not_move() {
    let sizes = [("E", 8), ("H", 8), ("C", 128), ("TMAX", 90)];
    let compiled = compiled("moe_capacity", &sizes);
    let (tokens, topk) = ([90, 90, 0, 90, 89, 90, 1, 90], choices([8, 90, 2], 8, 9));
    let given = inputs(&compiled, &tokens, &[("topk", Elem::I32, vec![8, 90, 2], &topk)]);
    let found = ways(&compiled, Some("dispatch"), (&given, None)).expect("it is counted");
    // First choices of all tokens come before second ones.
    let (mut taken, mut kept) = ([0; 8], Vec::new());
    for k in 0..2 {
        for (s, live) in tokens.iter().enumerate() {
            for t in 0..*live {
                let Ok(e) = usize::try_from(topk[(s * 90 + t as usize) * 2 + k]) else { continue };
                taken[e] += 1;
                if taken[e] <= 128 {
                    kept.push(((s as i64, t), s, e));
                }
            }
        }
    }
    assert!(taken.iter().any(|n| *n > 128), "{taken:?}");
    check(&found[0], &kept, 8);
}

#[test]
fn a_part_of_a_row_goes_beside_the_others() {
    let sizes = [("G", 2), ("TP", 2), ("E", 4), ("K", 2), ("H", 32), ("TMAX", 5)];
    let compiled = compiled("moe_ep_tp", &sizes);
    let (tokens, topk) = ([5, 3], choices([2, 5, 2], 4, 7));
    let given = inputs(&compiled, &tokens, &[("topk", Elem::I64, vec![2, 5, 2], &topk)]);
    let found = ways(&compiled, Some("dispatch"), (&given, None)).expect("it is counted");
    let halves = pairs(&topk, &tokens, 2, |e| e as usize / 2).into_iter().flat_map(|(p, a, b)| {
        (0..2).map(move |tp| ((p.0 * 2 + tp as i64, p.1), a * 2 + tp, b * 2 + tp))
    });
    let halves: Pairs = halves.collect();
    check(&found[0], &halves, 4);
    let bytes = found[0].ways[0].hops[0].flow.sum(|_, _| true).1;
    assert_eq!(bytes, halves.len() as i64 * 16 * 2);
}

const SIZES: [(&str, i64); 6] = [("N", 3), ("G", 2), ("E", 12), ("K", 4), ("H", 8), ("TMAX", 9)];

#[test]
fn a_node_is_crossed_to_once_and_forwarders_take_turns() {
    let compiled = compiled("moe_two_level", &SIZES);
    let (tokens, topk) = ([9, 1, 0, 7, 3, 9], choices([6, 9, 4], 12, 11));
    let given = inputs(&compiled, &tokens, &[("topk", Elem::I64, vec![6, 9, 4], &topk)]);
    let level = levels(&compiled).into_iter().next().expect("nodes");
    assert_eq!(level, Level { name: "node".to_string(), first: 0, per: 2 });
    let found = ways(&compiled, None, (&given, Some(&level))).expect("it is counted");
    let pairs = pairs(&topk, &tokens, 4, |e| e as usize / 2);
    let mut there: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for (position, from, to) in &pairs {
        if from / 2 != to / 2 {
            there.entry((*position, *from)).or_default().insert(to / 2);
        }
    }
    let (mut same, mut balanced) = (vec![0; 6], vec![0; 6]);
    let mut turns: BTreeMap<_, usize> = BTreeMap::new();
    for ((_, from), nodes) in &there {
        for node in nodes {
            same[node * 2 + from % 2] += 1;
            let turn = turns.entry((from / 2, *node)).or_default();
            balanced[node * 2 + *turn % 2] += 1;
            *turn += 1;
        }
    }
    assert_ne!(same, balanced);
    let dispatch = found.iter().find(|s| s.entry == "dispatch").expect("a dispatch");
    check(dispatch, &pairs, 6);
    for (kind, loads) in [(WayKind::OnceAPlace, same), (WayKind::Balanced, balanced)] {
        let way = dispatch.ways.iter().find(|w| w.kind == kind).expect("the way");
        let rows: Vec<i64> = way.forwarded.iter().map(|f| f.0).collect();
        assert_eq!(rows, loads, "{kind:?}");
        let between = |hop: usize| way.hops[hop].flow.sum(|a, b| a / 2 != b / 2).0;
        assert_eq!((between(0), between(1)), (loads.iter().sum(), 0));
        // All slots are written in the end, whoever puts the rows there.
        let slots: i64 = way.hops.iter().flat_map(|h| &h.written).sum();
        let landed: i64 = way.forwarded.iter().map(|f| f.1).sum();
        assert_eq!(slots - landed, pairs.len() as i64 * 16);
    }
}

#[test]
fn a_sum_comes_from_a_node_once() {
    let compiled = compiled("moe_two_level", &SIZES);
    let (tokens, topk) = ([2, 9, 9, 0, 9, 4], choices([6, 9, 4], 12, 13));
    let given = inputs(&compiled, &tokens, &[("topk", Elem::I64, vec![6, 9, 4], &topk)]);
    let level = levels(&compiled).into_iter().next().expect("nodes");
    let found = ways(&compiled, Some("combine"), (&given, Some(&level))).expect("it is counted");
    let pairs = pairs(&topk, &tokens, 4, |e| e as usize / 2);
    check(&found[0], &pairs, 6);
    let nodes: BTreeSet<_> = pairs.iter().map(|(p, s, e)| (*p, *s, e / 2)).collect();
    let away = nodes.iter().filter(|(_, s, node)| s / 2 != *node);
    for way in found[0].ways.iter().filter(|w| !w.forwarded.iter().all(|f| f.0 == 0)) {
        let (rows, bytes) = way.hops[0].flow.sum(|a, b| a / 2 != b / 2);
        // Sums cross in f32, 8 elements each.
        assert_eq!((rows, bytes), (away.clone().count() as i64, rows * 32), "{:?}", way.kind);
        let waiting: i64 = way.hops[1].read.iter().sum();
        assert_eq!(waiting, nodes.len() as i64 * 32);
    }
}

#[test]
fn a_copy_comes_from_the_nearest_rank_that_has_it() {
    let text = "program p {
        mesh a { node: 2, gpu: 2, rank = (node, gpu) }
        in topk: ix32(4, none = -1)[s: node, t: 3, k: 1] @ [s/node, copy/gpu, t, k];
        in x: f32[s: node, t: 3, h: 4] @ [s/node, copy/gpu, t, h];
        out y: f32[e: 4, c: ragged, h: 4] @ [e/node, copy/gpu, e, c.pack(4), h];
        route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
        entry main { plan r; y[e, c, h] <- x[s, t, h] via r; }
    }";
    let compiled = compile(text, None, &BTreeMap::new()).expect("it compiles");
    let topk = [3, -1, 0, 1, 2, 2];
    let given = inputs(&compiled, &[], &[("topk", Elem::I32, vec![2, 3, 1], &topk)]);
    let found = ways(&compiled, None, (&given, None)).expect("it is counted");
    // Both copies of a slot's rank take the row from the copy at their own coordinate.
    let expected = [(0, 1), (0, 0), (1, 0), (1, 1), (1, 1)];
    let expected = expected.iter().flat_map(|(a, b)| (0..2).map(move |g| (a * 2 + g, b * 2 + g)));
    assert_eq!(rows(&found[0], WayKind::Each, 0), matrix(4, expected));
}

#[test]
fn rows_from_one_mesh_to_another_all_cross() {
    let text = "program p {
        mesh a at 0..2 { ga: 2 }
        mesh b at 2..5 { gb: 3 }
        in topk: ix32(6, none = -1)[s: ga, t: 3, k: 1] @ [s/ga, t, k];
        in x: f32[s: ga, t: 3, h: 4] @ [s/ga, t, h];
        out y: f32[e: 6, c: ragged, h: 4] @ [e/gb, e, c.pack(4), h];
        route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
        entry main { plan r; y[e, c, h] <- x[s, t, h] via r; }
    }";
    let compiled = compile(text, None, &BTreeMap::new()).expect("it compiles");
    let topk = [5, 0, 1, -1, 4, 3];
    let given = inputs(&compiled, &[], &[("topk", Elem::I32, vec![2, 3, 1], &topk)]);
    let found = ways(&compiled, None, (&given, None)).expect("it is counted");
    let expected = matrix(5, [(0, 4), (0, 2), (0, 2), (1, 4), (1, 3)]);
    assert_eq!(rows(&found[0], WayKind::Each, 0), expected);
}

#[test]
fn what_is_missing_is_named() {
    let compiled = compiled("moe_two_level", &SIZES);
    let found = ways(&compiled, None, (&inputs(&compiled, &[9; 6], &[]), None));
    assert_eq!(found.expect_err("no choices").to_string(), "tensor topk is not given");
}

/// Tokens a rank, experts, choices, hidden; microseconds of a dispatch with its plan whose rows are pushed, and of one whose
/// rows are fetched: `tests/gpu/ways.sh` on two H200.
const MEASURED: [([i64; 4], f64, f64); 40] = [
    ([1, 256, 8, 7168], 17.3, 22.3),
    ([1, 64, 1, 7168], 12.4, 19.0),
    ([1, 64, 4, 4096], 13.1, 18.4),
    ([1, 8, 2, 16384], 14.3, 19.7),
    ([1, 128, 6, 512], 12.7, 19.0),
    ([8, 256, 8, 7168], 35.5, 39.9),
    ([8, 64, 1, 7168], 14.8, 21.2),
    ([8, 64, 4, 4096], 17.1, 22.4),
    ([8, 8, 2, 16384], 16.9, 23.0),
    ([8, 128, 6, 512], 17.5, 19.9),
    ([32, 256, 8, 7168], 63.2, 66.7),
    ([32, 64, 1, 7168], 20.1, 26.0),
    ([32, 64, 4, 4096], 21.0, 25.1),
    ([32, 8, 2, 16384], 18.7, 24.2),
    ([32, 128, 6, 512], 18.8, 20.6),
    ([128, 256, 8, 7168], 85.2, 77.4),
    ([128, 64, 1, 7168], 28.6, 32.8),
    ([128, 64, 4, 4096], 26.4, 28.2),
    ([128, 8, 2, 16384], 28.8, 31.9),
    ([128, 128, 6, 512], 22.4, 23.4),
    ([512, 256, 8, 7168], 133.6, 87.5),
    ([512, 64, 1, 7168], 37.5, 40.7),
    ([512, 64, 4, 4096], 45.1, 37.9),
    ([512, 8, 2, 16384], 69.4, 65.3),
    ([512, 128, 6, 512], 26.9, 25.8),
    ([2048, 256, 8, 7168], 372.4, 153.8),
    ([2048, 64, 1, 7168], 67.6, 73.4),
    ([2048, 64, 4, 4096], 120.6, 73.5),
    ([2048, 8, 2, 16384], 216.1, 181.3),
    ([2048, 128, 6, 512], 44.3, 32.2),
    ([4096, 256, 8, 7168], 698.5, 246.9),
    ([4096, 64, 1, 7168], 106.3, 115.5),
    ([4096, 64, 4, 4096], 220.5, 121.7),
    ([4096, 8, 2, 16384], 398.4, 345.8),
    ([4096, 128, 6, 512], 64.7, 44.9),
    ([8192, 256, 8, 7168], 1352.1, 421.1),
    ([8192, 64, 1, 7168], 186.9, 208.1),
    ([8192, 64, 4, 4096], 407.8, 226.2),
    ([8192, 8, 2, 16384], 764.3, 659.5),
    ([8192, 128, 6, 512], 100.2, 59.3),
];
/// Of which making the plan takes about so many, more the more tuples there are.
const PLAN: f64 = 8.0;

/// What is expected of those shapes on two H200, whose memory copies 4.24 TB/s.
#[test]
fn what_is_expected_is_near_what_was_measured() {
    let mut target = Target::hopper(1);
    target.rates.copy.number = 4240.0;
    let mut lost = Vec::new();
    for ([tokens, e, k, hidden], pushed, fetched) in MEASURED {
        let sizes = [("G", 2), ("E", e), ("K", k), ("H", hidden), ("TMAX", tokens)];
        let compiled = compiled("moe", &sizes);
        let mut numbers = Numbers(3);
        let topk: Vec<i64> = (0..2 * tokens * k).map(|_| numbers.below(e)).collect();
        let shape = vec![2, tokens as usize, k as usize];
        let given = inputs(&compiled, &[tokens; 2], &[("topk", Elem::I64, shape, &topk)]);
        let found = ways(&compiled, Some("dispatch"), (&given, None)).expect("it is counted");
        let times = times(&found[0], &target);
        let [push, fetch] = [0, 1].map(|way| times[way][0].time / 1e3 + PLAN);
        for (expected, measured) in [(push, pushed), (fetch, fetched)] {
            let ratio = expected / measured;
            let shape = (tokens, e, k, hidden);
            assert!((0.6..1.5).contains(&ratio), "{shape:?}: {expected} for {measured}");
        }
        let chosen = if push < fetch { pushed } else { fetched };
        lost.push(chosen / pushed.min(fetched) - 1.0);
    }
    let near = lost.iter().filter(|lost| **lost <= 0.05).count();
    assert!(near >= 36 && lost.iter().all(|lost| *lost < 0.2), "{lost:?}");
}

/// Kernels of an entry, by name: whether their rows are counted, and their time.
fn kernels(compiled: &Compiled, target: &Target, entry: &str, given: &Inputs) -> Vec<Expected> {
    let program = lower(&compiled.schedule, target).expect("a device program");
    expected(compiled, &program, (entry, given)).expect("it is expected")
}

#[test]
fn kernels_are_expected_to_take_what_their_rows_do() {
    let compiled = compiled("moe_two_level", &SIZES);
    let topk = choices([6, 9, 4], 12, 17);
    let of = |tokens: [i64; 6]| {
        let given = inputs(&compiled, &tokens, &[("topk", Elem::I64, vec![6, 9, 4], &topk)]);
        kernels(&compiled, &Target::hopper(1), "dispatch", &given)
    };
    let (all, none) = (of([9; 6]), of([0; 6]));
    let names: Vec<&str> = all.iter().map(|k| k.kernel.as_str()).collect();
    assert_eq!(names, ["dispatch_plan_r", "dispatch_hop", "dispatch"]);
    assert_eq!(all.iter().map(|k| k.counted).collect::<Vec<_>>(), [false, true, true]);
    for (all, none) in all.iter().zip(&none) {
        assert!(all.timed.time > none.timed.time, "{all:?} {none:?}");
        assert_eq!(none.timed.load.stored, 0.0);
    }
    // What leaves a rank in the first hop is what the busiest sends by that way.
    let given = inputs(&compiled, &[9; 6], &[("topk", Elem::I64, vec![6, 9, 4], &topk)]);
    let level = levels(&compiled).into_iter().next().expect("nodes");
    let found = ways(&compiled, Some("dispatch"), (&given, Some(&level))).expect("counted");
    let flow = &found[0].ways[2].hops[0].flow;
    let busier = |r: usize| {
        let out = flow.sum(|a, b| a == r && b != r).1;
        out.max(flow.sum(|a, b| a != r && b == r).1)
    };
    let sent = all[1].timed.load.stored as i64;
    assert!((0..6).any(|r| busier(r) == sent), "{sent}");
}

#[test]
fn a_sum_takes_one_kernel_and_turns_take_some_before() {
    let compiled = compiled("moe_two_level", &SIZES);
    let topk = choices([6, 9, 4], 12, 19);
    let given = inputs(&compiled, &[9; 6], &[("topk", Elem::I64, vec![6, 9, 4], &topk)]);
    let target = Target::hopper(1);
    let combine = kernels(&compiled, &target, "combine", &given);
    assert_eq!(combine.len(), 1);
    let level = levels(&compiled).into_iter().next().expect("nodes");
    let found = ways(&compiled, Some("combine"), (&given, Some(&level))).expect("counted");
    let each = times(&found[0], &target);
    assert_eq!(each.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 2]);
    // All that the rank does which does most, both hops together.
    let way = &found[0].ways[2];
    let bytes = |r: usize| way.hops.iter().map(|h| h.read[r] + h.written[r]).sum::<i64>();
    let memory = combine[0].timed.load.memory as i64;
    assert!(combine[0].counted && (0..6).any(|r| bytes(r) == memory), "{memory}");
    let dispatch = ways(&compiled, Some("dispatch"), (&given, Some(&level))).expect("counted");
    let each = times(&dispatch[0], &target);
    assert_eq!(each.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 2, 3]);
}

#[test]
fn without_routes_kernels_take_what_the_model_has() {
    let compiled = compiled("reshard_transpose", &[("M", 512), ("N", 512)]);
    let target = Target::hopper(1);
    let found = kernels(&compiled, &target, "main", &Inputs::default());
    let program = lower(&compiled.schedule, &target).expect("a device program");
    let costs: Vec<f64> = program.kernels.iter().map(|k| k.choice.cost.time).collect();
    assert_eq!(found.iter().map(|k| k.timed.time).collect::<Vec<_>>(), costs);
    assert!(!found[0].counted);
}
