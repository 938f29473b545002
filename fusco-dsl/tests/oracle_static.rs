//! The oracle on the programs without a route, for 1 to 8 ranks and odd sizes, against formulas that owe
//! nothing to it: ScaLAPACK's local indices, torch.chunk's blocks, CUTLASS's swizzles, loops over rows.

use crate::syntax::programs;
use fusco_dsl::oracle::{self, Array, Error, Inputs, Outputs, Physical, run_entry};
use fusco_dsl::sema::hir::{Elem, Program};
use std::collections::BTreeMap;

/// Each rank's buffer of a tensor that no route fills.
fn scatter(program: &Program, inputs: &Inputs, name: &str) -> Result<Vec<Physical>, Error> {
    oracle::scatter(program, inputs, &BTreeMap::new(), name)
}

/// A checked program of the examples, with text replaced.
pub fn example(name: &str, edits: &[(&str, &str)]) -> Program {
    let (_, mut text) = programs().into_iter().find(|(n, _)| n == name).expect("an example");
    for (from, to) in edits {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    checked(&text)
}

pub fn checked(text: &str) -> Program {
    let programs = fusco_dsl::check(text);
    let render = |d| fusco_dsl::diag::render(&d, "test.fusco", text, false);
    programs.unwrap_or_else(|d| panic!("{}", render(d))).0.remove(0)
}

pub fn inputs(params: &[(&str, i64)], tensors: Vec<(&str, Array)>) -> Inputs {
    Inputs {
        params: params.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
        dyns: BTreeMap::new(),
        tensors: tensors.into_iter().map(|(n, a)| (n.to_string(), a)).collect(),
    }
}

/// Elements whose bits tell them apart, as far as they can.
fn numbered(elem: Elem, shape: &[usize]) -> Array {
    let mut out = Array::zeros(elem, shape.to_vec());
    (0..out.len()).for_each(|i| out.set_bits(i, i as u64 ^ (i as u64 >> 16)));
    out
}

/// Small floats, the same everywhere.
fn random(elem: Elem, shape: &[usize], seed: u32) -> Array {
    let (mut out, mut state) = (Array::zeros(elem, shape.to_vec()), seed);
    for i in 0..out.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = (state >> 8) as f32 / 16_777_216.0 * 6.0 - 3.0;
        out.set_bits(i, bits(elem, value));
    }
    out
}

fn bits(elem: Elem, value: f32) -> u64 {
    match elem {
        Elem::Bf16 => u64::from(half::bf16::from_f32(value).to_bits()),
        Elem::F16 => u64::from(half::f16::from_f32(value).to_bits()),
        _ => u64::from(value.to_bits()),
    }
}

fn run<'p>(program: &'p Program, entry: &str, inputs: &Inputs) -> Outputs<'p> {
    run_entry(program, entry, inputs, &mut BTreeMap::new())
        .unwrap_or_else(|e| panic!("{entry}: {e}"))
}

/// What each rank must hold: elements allocated, and the bits of those that mean something.
struct Want {
    lengths: Vec<usize>,
    elements: Vec<BTreeMap<usize, u64>>,
}

impl Want {
    fn new(ranks: usize, length: usize) -> Want {
        Want { lengths: vec![length; ranks], elements: vec![BTreeMap::new(); ranks] }
    }

    fn put(&mut self, rank: usize, offset: usize, bits: u64) {
        let before = self.elements[rank].insert(offset, bits);
        assert!(before.is_none(), "the formula puts two elements at {rank}:{offset}");
    }

    fn check(&self, what: &str, found: &[Physical]) {
        assert_eq!(found.len(), self.lengths.len(), "ranks of {what}");
        for (rank, held) in found.iter().enumerate() {
            assert_eq!(held.array.len(), self.lengths[rank], "length of {what}@{rank}");
            assert_eq!(held.defined.len(), held.array.len());
            for i in 0..held.array.len() {
                let got = held.defined.get(i).then(|| held.array.get_bits(i));
                assert_eq!(got, self.elements[rank].get(&i).copied(), "{what}@{rank}[{i}]");
            }
            let outside = self.elements[rank].keys().find(|k| **k >= held.array.len());
            assert_eq!(outside, None, "{what}@{rank} is too short");
        }
    }
}

/// Rows of each rank under torch.chunk.
fn chunk(n: usize, ranks: usize) -> usize {
    n.div_ceil(ranks)
}

const MOVED: [&str; 2] = ["to_heads", "to_seq"];

#[test]
fn ulysses() {
    for ranks in 1..=8 {
        let mesh = format!("gpu: {ranks}");
        let edits = [
            ("gpu: 8", mesh.as_str()),
            (" where S % gpu == 0", ""),
            (" where N % gpu == 0", ""),
            ("@ [s/gpu, b, s, n, d]", "@ [s/gpu, b, s, n, d] with uneven"),
            ("@ [n/gpu, b, s, n, d]", "@ [n/gpu, b, s, n, d] with uneven"),
        ];
        let program = example("ulysses", &edits);
        for (s, n) in [(3 * ranks, 2 * ranks), (13, 7), (2, 1)] {
            let (b, d) = (2, 8);
            let shape = [b, s, n, d];
            let params = [("B", 2), ("S", s as i64), ("N", n as i64), ("D", 8)];
            let (q, a) = (numbered(Elem::Bf16, &shape), numbered(Elem::Bf16, &shape));
            let inputs = inputs(&params, vec![("q", q.clone()), ("a", a)]);
            let (sc, nc) = (chunk(s, ranks), chunk(n, ranks));
            let mut by_seq = Want::new(ranks, b * sc * n * d);
            let mut by_head = Want::new(ranks, b * s * nc * d);
            for flat in 0..q.len() {
                let (bi, si, ni, di) =
                    (flat / (s * n * d), flat / (n * d) % s, flat / d % n, flat % d);
                let x = q.get_bits(flat);
                by_seq.put(si / sc, ((bi * sc + si % sc) * n + ni) * d + di, x);
                by_head.put(ni / nc, ((bi * s + si) * nc + ni % nc) * d + di, x);
            }
            let [heads, seq] = MOVED.map(|e| run(&program, e, &inputs));
            by_head.check("p", &heads.physical["p"].ranks().expect("placed"));
            by_seq.check("u", &seq.physical["u"].ranks().expect("placed"));
            by_seq.check("q", &scatter(&program, &inputs, "q").expect("q"));
            by_head.check("a", &scatter(&program, &inputs, "a").expect("a"));
        }
    }
}

#[test]
fn reshard_transpose() {
    for ranks in 1..=8 {
        let program = example("reshard_transpose", &[("gpu: 4", &format!("gpu: {ranks}"))]);
        let (m, n) = (64 * ranks, 128 * ranks);
        let a = numbered(Elem::Bf16, &[m, n]);
        let inputs = inputs(&[("M", m as i64), ("N", n as i64)], vec![("a", a.clone())]);
        let out = run(&program, "main", &inputs);
        let (mut from, mut to) = (Want::new(ranks, 64 * n), Want::new(ranks, 128 * m));
        for i in 0..m {
            for j in 0..n {
                let x = a.get_bits(i * n + j);
                from.put(i / 64, i % 64 * n + j, x);
                to.put(j / 128, j % 128 * m + i, x);
            }
        }
        from.check("a", &scatter(&program, &inputs, "a").expect("a"));
        to.check("b", &out.physical["b"].ranks().expect("placed"));
        assert_eq!(out.logical["b"].shape, [n, m]);
    }
}

/// ScaLAPACK's NUMROC: how many of `n` in blocks of `nb` process `p` of `procs` holds.
fn numroc(n: usize, nb: usize, p: usize, procs: usize) -> usize {
    let blocks = n / nb;
    let whole = blocks / procs * nb;
    match p.cmp(&(blocks % procs)) {
        std::cmp::Ordering::Less => whole + nb,
        std::cmp::Ordering::Equal => whole + n % nb,
        std::cmp::Ordering::Greater => whole,
    }
}

/// ScaLAPACK's INDXG2P and INDXG2L, counted from 0.
fn cyclic(global: usize, nb: usize, procs: usize) -> (usize, usize) {
    (global / nb % procs, nb * (global / (nb * procs)) + global % nb)
}

#[test]
fn cyclic_to_block() {
    for (p, q) in [(1, 1), (2, 1), (1, 3), (2, 2), (5, 1), (3, 2), (1, 7), (2, 4)] {
        let (rows, columns) = (format!("p: {p}"), format!("q: {q}"));
        for (m, n, nb, ldb) in [(37, 29, 4, 32), (64, 16, 8, 16), (5, 3, 64, 4)] {
            let edits = [("p: 2", rows.as_str()), ("q: 4", &columns), ("= 64", &format!("= {nb}"))];
            let program = example("cyclic_to_block", &edits);
            let a = numbered(Elem::F32, &[m, n]);
            let params = [("M", m as i64), ("N", n as i64), ("LDB", ldb as i64)];
            let inputs = inputs(&params, vec![("a", a.clone())]);
            let up = |n: usize, procs| n.div_ceil(nb * procs) * nb;
            let lda = up(m, p);
            let mut from = Want::new(p * q, lda * up(n, q));
            let mut to = Want::new(p * q, ldb * chunk(m, p));
            for i in 0..m {
                for j in 0..n {
                    let x = a.get_bits(i * n + j);
                    let ((pi, li), (qj, lj)) = (cyclic(i, nb, p), cyclic(j, nb, q));
                    from.put(pi * q + qj, li + lj * lda, x);
                    let (mc, nc) = (chunk(m, p), chunk(n, q));
                    to.put(i / mc * q + j / nc, i % mc * ldb + j % nc, x);
                }
            }
            for (rank, held) in from.elements.iter().enumerate() {
                assert_eq!(held.len(), numroc(m, nb, rank / q, p) * numroc(n, nb, rank % q, q));
            }
            from.check("a", &scatter(&program, &inputs, "a").expect("a"));
            to.check("b", &run(&program, "main", &inputs).physical["b"].ranks().expect("placed"));
        }
    }
}

/// `(l, v, r, n, d)` and the page of each `j`, in loops.
#[test]
fn kv_migrate() {
    // Meshes apart, and over each other.
    for (tp, tq, at) in
        [(2, 4, 2), (1, 1, 1), (3, 2, 3), (1, 7, 1), (4, 4, 4), (2, 2, 0), (1, 3, 1)]
    {
        let decode = format!("{at}..{} {{ tq: {tq} }}", at + tq);
        let edits = [
            ("0..2 { tp: 2 }", format!("0..{tp} {{ tp: {tp} }}")),
            ("2..6 { tq: 4 }", decode),
            ("N % tq == 0", "N % (tp * tq) == 0".to_string()),
            ("PS = 16", "PS = 2".to_string()),
        ];
        let edits: Vec<_> = edits.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let program = example("kv_migrate", &edits);
        let (l, pages, ps, n, d, jmax, rmax) = (2, 6, 2, tp * tq, 8, 3, 4);
        let np = [2usize, 0, 3];
        let page = [5, 1, 0, 0, 0, 0, 4, 2, 0];
        let pool = numbered(Elem::Bf16, &[l, 2, pages, ps, n, d]);
        let params = [("L", l), ("P", pages), ("N", n), ("D", d), ("JMAX", jmax), ("RMAX", rmax)];
        let params = params.map(|(name, v)| (name, v as i64));
        let counts = Array::from_i64(Elem::I32, vec![3], &np.map(|n| n as i64));
        let table = Array::from_i64(Elem::I32, vec![3, jmax], &page);
        let mut inputs =
            inputs(&params, vec![("np", counts), ("page", table), ("pool", pool.clone())]);
        inputs.dyns.insert("R".into(), vec![3]);

        let ranks = (at + tq).max(tp);
        let (held, near) = (n / tp, n / tq);
        let mut from = Want::new(ranks, l * 2 * pages * ps * held * d);
        (tp..ranks).for_each(|r| from.lengths[r] = 0);
        for flat in 0..pool.len() {
            let (di, ni, outer) = (flat % d, flat / d % n, flat / (n * d));
            from.put(ni / held, (outer * held + ni % held) * d + di, pool.get_bits(flat));
        }
        from.check("pool", &scatter(&program, &inputs, "pool").expect("pool"));

        let slab = jmax * ps;
        let mut to = Want::new(ranks, l * 2 * rmax * near * slab * d);
        (0..at).for_each(|r| to.lengths[r] = 0);
        (at + tq..ranks).for_each(|r| to.lengths[r] = 0);
        for (lv, r, u) in triples(l * 2, 3, slab) {
            if u >= np[r] * ps {
                continue;
            }
            let g = page[r * jmax + u / ps] as usize;
            for nd in 0..n * d {
                let (ni, di) = (nd / d, nd % d);
                let x = pool.get_bits(((lv * pages + g) * ps + u % ps) * n * d + nd);
                let row = (lv * rmax + r) * near + ni % near;
                to.put(at + ni / near, (row * slab + u) * d + di, x);
            }
        }
        to.check("kv", &run(&program, "main", &inputs).physical["kv"].ranks().expect("placed"));

        let (mut everywhere, mut tables) = (Want::new(ranks, rmax), Want::new(ranks, rmax * jmax));
        for rank in 0..ranks {
            let holds = rank < tp || (at..at + tq).contains(&rank);
            everywhere.lengths[rank] *= usize::from(holds);
            tables.lengths[rank] *= usize::from(rank < tp);
            for (r, rows) in np.iter().enumerate().filter(|_| holds) {
                everywhere.put(rank, r, *rows as u64);
                for j in (0..*rows).filter(|_| rank < tp) {
                    tables.put(rank, r * jmax + j, page[r * jmax + j] as u64);
                }
            }
        }
        everywhere.check("np", &scatter(&program, &inputs, "np").expect("np"));
        tables.check("page", &scatter(&program, &inputs, "page").expect("page"));

        let mut wrong = inputs.clone();
        wrong.tensors.get_mut("page").expect("page").set_bits(7, pages as u64);
        let error = run_entry(&program, "main", &wrong, &mut BTreeMap::new()).unwrap_err();
        let (at, value, bound) = (vec![2, 1], pages as i64, pages as i64);
        assert_eq!(error, Error::Index { tensor: "page".into(), at, value, bound });
        let mut wrong = inputs.clone();
        wrong.tensors.get_mut("np").expect("np").set_bits(1, u64::from(-1i32 as u32));
        let error = run_entry(&program, "main", &wrong, &mut BTreeMap::new()).unwrap_err();
        let most = jmax as i64;
        assert_eq!(error, Error::Count { tensor: "np".into(), at: vec![1], rows: -1, bound: most });
    }
}

fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
}

#[test]
fn dlrm() {
    let tables = [[0, 0, 1, 1, 1, 2, 3, 3], [7, 2, 7, 0, 5, 7, 2, 4], [6, 6, 6, 6, 6, 6, 6, 6]];
    for (ranks, align) in (1..=8).flat_map(|r| [(r, 1), (r, 4)]) {
        let owner = tables[ranks % 3].map(|o| o % ranks);
        let edits = [
            ("gpu: 4", format!("gpu: {ranks}")),
            ("[0, 0, 1, 1, 1, 2, 3, 3]", format!("{owner:?}")),
            ("pack(1)", format!("pack({align})")),
        ];
        let edits: Vec<_> = edits.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let program = example("dlrm", &edits);
        let (f, each, d, lmax) = (8, 3, 4, 3);
        let b = each * ranks;
        let emb = random(Elem::F32, &[f, b, d], 5);
        let lens: Vec<usize> = (0..f * b).map(|i| (i * 7 + i / 3) % (lmax + 1)).collect();
        let longest = lens.iter().copied().max().unwrap_or(0);
        let ids = numbered(Elem::I64, &[f, b, longest]);
        let wide: Vec<i64> = lens.iter().map(|n| *n as i64).collect();
        let len = Array::from_i64(Elem::I32, vec![f, b], &wide);
        let params = [("B", b as i64), ("D", d as i64), ("LMAX", lmax as i64)];
        let tensors = vec![("emb", emb.clone()), ("len", len), ("ids", ids.clone())];
        let inputs = inputs(&params, tensors);
        let (forward, lookup) =
            (run(&program, "forward", &inputs), run(&program, "lookup", &inputs));

        let owned = |rank: usize| owner.iter().filter(|o| **o == rank).count();
        let most = (0..ranks).map(owned).max().unwrap_or(0);
        let position = |fi: usize| owner[..fi].iter().filter(|o| **o == owner[fi]).count();
        let mut z = Want::new(ranks, each * f * d);
        let mut held = Want::new(ranks, most * b * d);
        let mut jln = Want::new(ranks, most * b);
        let room = lmax.div_ceil(align) * align;
        let mut before = Want::new(ranks, f * each * room);
        let mut after = Want::new(ranks, most * b * room);
        let (mut rows_before, mut rows_after) = (vec![0; ranks], vec![0; ranks]);
        for (fi, bi) in (0..f * b).map(|i| (i / b, i % b)) {
            let (from, to) = (bi / each, owner[fi]);
            for di in 0..d {
                let x = emb.get_f32((fi * b + bi) * d + di);
                z.put(from, ((bi % each) * f + fi) * d + di, bits(Elem::Bf16, x));
                held.put(to, (position(fi) * b + bi) * d + di, u64::from(x.to_bits()));
            }
            let n = lens[fi * b + bi];
            jln.put(to, position(fi) * b + bi, n as u64);
            for li in 0..n {
                let x = ids.get_bits((fi * b + bi) * longest + li);
                before.put(from, rows_before[from] + li, x);
                after.put(to, rows_after[to] + li, x);
            }
            rows_before[from] += n.div_ceil(align) * align;
            rows_after[to] += n.div_ceil(align) * align;
        }
        z.check("z", &forward.physical["z"].ranks().expect("placed"));
        held.check("emb", &scatter(&program, &inputs, "emb").expect("emb"));
        jln.check("jln", &lookup.physical["jln"].ranks().expect("placed"));
        before.check("ids", &scatter(&program, &inputs, "ids").expect("ids"));
        after.check("jds", &lookup.physical["jds"].ranks().expect("placed"));
    }
}

/// CUTLASS: `Swizzle<B, 4, 3>` of the byte.
fn swizzle(b: usize, byte: usize) -> usize {
    byte ^ ((byte >> 3) & (((1 << b) - 1) << 4))
}

#[test]
fn to_tiles() {
    for (ranks, b) in (1..=8).flat_map(|r| [(r, 1), (r, 2), (r, 3)]) {
        let w = 8usize << b;
        let edits = [
            ("gpu: 2", format!("gpu: {ranks}")),
            ("c:64", format!("c:{w}")),
            ("(64 * gpu)", format!("({w} * gpu)")),
            ("b128", format!("b{}", 2 * w)),
        ];
        let edits: Vec<_> = edits.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let program = example("to_tiles", &edits);
        let (m, c) = (24, 2 * w * ranks);
        let a = numbered(Elem::Bf16, &[m, c]);
        let inputs = inputs(&[("M", m as i64), ("C", c as i64)], vec![("a", a.clone())]);
        let (mc, cc) = (chunk(m, ranks), c / ranks);
        let (mut from, mut to) = (Want::new(ranks, mc * c), Want::new(ranks, m * cc));
        for i in 0..m {
            for j in 0..c {
                let x = a.get_bits(i * c + j);
                from.put(i / mc, i % mc * c + j, x);
                let (tile, row) = (j % cc / w * (m / 8) + i / 8, i % 8);
                let element = (tile * 8 + row) * w + j % w;
                to.put(j / cc, swizzle(b, element * 2) / 2, x);
            }
        }
        from.check("a", &scatter(&program, &inputs, "a").expect("a"));
        to.check("b", &run(&program, "main", &inputs).physical["b"].ranks().expect("placed"));
    }
}

#[test]
fn partials() {
    for ranks in 1..=8 {
        let program = example("partials", &[("gpu: 8", &format!("gpu: {ranks}"))]);
        let (each, n) = (3, 8);
        let m = each * ranks;
        let (y, v) = (random(Elem::Bf16, &[ranks, m, n], 1), random(Elem::Bf16, &[ranks, m, n], 2));
        let params = [("M", m as i64), ("N", n as i64)];
        let inputs = inputs(&params, vec![("y", y.clone()), ("v", v.clone())]);
        let sum = |of: &Array, at: usize| {
            let parts = (0..ranks).map(|r| of.get_f32(r * m * n + at));
            bits(Elem::Bf16, parts.fold(0.0f32, |acc, part| acc + part))
        };
        let (mut a, mut b) = (Want::new(ranks, each * n), Want::new(ranks, m * n));
        let mut parts = Want::new(ranks, m * n);
        for at in 0..m * n {
            a.put(at / n / each, at % (each * n), sum(&y, at));
            for rank in 0..ranks {
                b.put(rank, at, sum(&v, at));
                parts.put(rank, at, y.get_bits(rank * m * n + at));
            }
        }
        a.check(
            "a",
            &run(&program, "reduce_scatter", &inputs).physical["a"].ranks().expect("placed"),
        );
        b.check("b", &run(&program, "all_reduce", &inputs).physical["b"].ranks().expect("placed"));
        parts.check("y", &scatter(&program, &inputs, "y").expect("y"));
        let mut wrong = inputs.clone();
        wrong.tensors.insert("y".into(), random(Elem::Bf16, &[ranks + 1, m, n], 1));
        assert!(matches!(scatter(&program, &wrong, "y"), Err(Error::Shape(_))));
        wrong.tensors.insert("y".into(), random(Elem::Bf16, &[m, n], 1));
        assert!(matches!(scatter(&program, &wrong, "y"), Err(Error::Shape(_))));
    }
}

/// Two meshes' axes, an alias, tables of owners known at bind and at launch, single places, strides and fills.
#[test]
fn every_word_of_a_placement() {
    let program = checked(
        "program words {
            mesh m at 1..7 { p: 2, q: 3, rank = (p, q) }
            param W: ints;
            param S: int;
            in t: ix32(6)[i: 5] @ [copy/rank, i];
            in x: i32[i: 5, j: 4] @ [copy/rank, j, i];
            out a: i32[i: 5, j: 4] @ [i/rank.map(W), i, j] with fill(9);
            out b: i32[i: 5, j: 4] @ [j, i/rank.map(t), i];
            out c: i32[i: 5, j: 4] @ [only(1)/p, j/q, i, j] with uneven, stride(i: S);
            out d: i32[j: 4, i: 5] @ [i/q, copy/p, j, i:2, i] with uneven, fill(-1);
            out e: i32[i: 5, j: 4] @ [i/rank, i, j] with uneven;
            entry main {
                a[i, j] <- x[i, j]; b[i, j] <- x[i, j]; c[i, j] <- x[i, j];
                d[j, i] <- x[i, j]; e[i, j] <- x[i, j];
            }
        }",
    );
    let x = numbered(Elem::I32, &[5, 4]);
    let owners = [4usize, 0, 4, 5, 0];
    // Narrower than declared: widened.
    let t = Array::from_i64(Elem::U8, vec![5], &[1, 1, 3, 1, 5]);
    let mut inputs = inputs(&[("S", 8)], vec![("x", x.clone()), ("t", t)]);
    for (i, owner) in owners.iter().enumerate() {
        inputs.params.insert(format!("W[{i}]"), *owner as i64);
    }
    let out = run(&program, "main", &inputs);
    // Rank 0 is outside the mesh.
    let new = |length: usize| {
        let mut want = Want::new(7, length);
        want.lengths[0] = 0;
        want
    };
    let filled = |mut want: Want, fill: u64| {
        for (length, elements) in want.lengths.iter().zip(&mut want.elements) {
            (0..*length).for_each(|i| {
                elements.entry(i).or_insert(fill);
            });
        }
        want
    };
    let (mut xs, mut ts) = (new(20), new(5));
    let (mut a, mut b, mut c, mut d, mut e) = (new(8), new(20), new(16), new(8), new(4));
    [1, 2, 3].iter().for_each(|r| c.lengths[*r] = 0);
    // Positions among the coordinates of one owner.
    let (by_w, by_t) = ([0, 0, 1, 0, 1], [0, 1, 0, 2, 0]);
    for (i, owner) in [1, 1, 3, 1, 5].iter().enumerate() {
        (1..7).for_each(|r| ts.put(r, i, *owner as u64));
        for j in 0..4 {
            let v = x.get_bits(i * 4 + j);
            (1..7).for_each(|r| xs.put(r, j * 5 + i, v));
            a.put(1 + owners[i], by_w[i] * 4 + j, v);
            b.put(1 + owner, j * 5 + by_t[i], v);
            // j = 2 (j / 2) + j % 2; of three processes the last has none.
            c.put(1 + 3 + j / 2, i * 8 + j % 2, v);
            // Minor digits of radix 1: one i of two is beside the next.
            [0, 3].iter().for_each(|p| d.put(1 + p + i / 2, j * 2 + i % 2, v));
            e.put(1 + i, j, v);
        }
    }
    c.lengths[4..].iter_mut().for_each(|n| *n = 8 * 5);
    xs.check("x", &scatter(&program, &inputs, "x").expect("x"));
    let table = scatter(&program, &inputs, "t").expect("t");
    assert_eq!(table[1].array.elem, Elem::I32);
    ts.check("t", &table);
    filled(a, 9).check("a", &out.physical["a"].ranks().expect("placed"));
    b.check("b", &out.physical["b"].ranks().expect("placed"));
    c.check("c", &out.physical["c"].ranks().expect("placed"));
    filled(d, u64::from(u32::MAX)).check("d", &out.physical["d"].ranks().expect("placed"));
    e.check("e", &out.physical["e"].ranks().expect("placed"));

    inputs.tensors.insert("t".into(), Array::from_i64(Elem::I32, vec![5], &[1, 1, 6, 1, 5]));
    let error = run_entry(&program, "main", &inputs, &mut BTreeMap::new()).unwrap_err();
    assert_eq!(error, Error::Index { tensor: "t".into(), at: vec![2], value: 6, bound: 6 });
}

/// Parts over two axes are numbered row-major whatever the order of the list; the sum is rounded once.
#[test]
fn sums_round_once() {
    let program = checked(
        "program sums {
            mesh m { p: 2, q: 3 }
            in x: f16[i: 40] @ [sum/q, sum/p, i];
            out a: f16[i: 40] @ [copy/p, copy/q, i];
            out b: bf16[i: 40] @ [only(0)/p, only(2)/q, i];
            out c: f32[i: 40] @ [copy/p, i/q, i] with uneven;
            entry main { a[i] <- x[i]; b[i] <- cast(bf16, x[i]); c[i] <- cast(f32, x[i]); }
        }",
    );
    let x = random(Elem::F16, &[6, 40], 3);
    let inputs = inputs(&[], vec![("x", x.clone())]);
    let out = run(&program, "main", &inputs);
    let parts = scatter(&program, &inputs, "x").expect("x");
    for i in 0..40 {
        let sum = (0..6).fold(0f32, |acc, part| acc + x.get_f32(part * 40 + i));
        assert_eq!(out.logical["a"].get_bits(i), bits(Elem::F16, sum));
        assert_eq!(out.logical["b"].get_bits(i), bits(Elem::Bf16, sum));
        assert_eq!(out.logical["c"].get_bits(i), bits(Elem::F32, sum));
        for (rank, held) in parts.iter().enumerate() {
            assert_eq!(held.array.get_bits(i), x.get_bits(rank * 40 + i), "part {rank}");
        }
    }
    let lengths = |name: &str| out.physical[name].lengths();
    assert_eq!(lengths("b"), [0, 0, 40, 0, 0, 0]);
    assert_eq!(lengths("c"), [14; 6]);
    let absent =
        out.physical["c"].ranks().expect("placed")[5].defined.iter().filter(|d| !d).count();
    assert_eq!(absent, 14 * 3 - 40);
}

/// Old values stay where nothing is written; values of variables and literals are written like reads.
#[test]
fn old_values_and_computed_ones() {
    let program = checked(
        "program values {
            mesh m { p: 2 }
            param N: int;
            in pick: ix32(8)[i: 3] @ [copy/p, i];
            in table: f32[k: 8] @ [k/p, k];
            inout y: f32[k: 8] @ [copy/p, k];
            out g: f32[i: 3] @ [copy/p, i];
            out n: i64[i: 3, j: 2] @ [copy/p, i, j];
            out w: bf16[i: 3] @ [copy/p, i];
            entry main {
                y[i * 2 + 1] <- g0[i];
                g[i] <- table[pick[i]];
                n[i, j] <- i * N + j;
                w[i] <- cast(bf16, pick[i]);
            }
            in g0: f32[i: 3] @ [copy/p, i];
        }",
    );
    let floats = |n: usize, from: usize| {
        let mut out = Array::zeros(Elem::F32, vec![n]);
        (0..n).for_each(|i| out.set_bits(i, bits(Elem::F32, (from + i) as f32)));
        out
    };
    let pick = Array::from_i64(Elem::I32, vec![3], &[7, 0, 7]);
    let tensors =
        vec![("pick", pick), ("table", floats(8, 10)), ("y", floats(8, 50)), ("g0", floats(3, 1))];
    let mut inputs = inputs(&[("N", 100)], tensors);
    let out = run(&program, "main", &inputs);
    let values = |n: &str| {
        let array = &out.logical[n];
        (0..array.len()).map(|i| array.get_f32(i)).collect::<Vec<_>>()
    };
    assert_eq!(values("y"), [50., 1., 52., 2., 54., 3., 56., 57.]);
    assert_eq!(values("g"), [17., 10., 17.]);
    assert_eq!(values("n"), [0., 1., 100., 101., 200., 201.]);
    assert_eq!(values("w"), [7., 0., 7.]);
    inputs.tensors.remove("y");
    let error = run_entry(&program, "main", &inputs, &mut BTreeMap::new()).unwrap_err();
    assert_eq!(error, Error::Missing("tensor y".into()));
}
