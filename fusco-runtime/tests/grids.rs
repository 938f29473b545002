//! Movements without a route, as schedules built by hand, against naive loops; homes of streams in flight.

mod grid;

use fusco_dsl::schedule::ir::*;
use fusco_dsl::sema::hir::{Elem, Io, Swizzle};
use fusco_runtime::{Bound, Buffer, LaunchArgs, World, bf16};
use grid::{Builder, add, run, times};
use proptest::prelude::*;

const RANKS: usize = 3;

/// How the points find the ranks that do the work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carrier {
    Pull,
    Push,
    /// All ranks could; each takes its part.
    Share,
}

/// A copy between two layouts of one array: extents, the axis over ranks on either side, and the order of
/// the others in memory. Rows of `run` elements lie together on both sides.
#[derive(Clone, Debug)]
struct Case {
    extents: Vec<i64>,
    from: (usize, Vec<usize>),
    to: (usize, Vec<usize>),
    elems: (Elem, Elem),
    run: i64,
    carrier: Carrier,
    /// Points with a coordinate from here on are left out: (axis, limit).
    below: Option<(usize, i64)>,
    /// Only points whose first two coordinates sum to an even number.
    even: bool,
    /// Indices are written so that they are not linear.
    odd_form: bool,
    swizzles: (Option<Swizzle>, Option<Swizzle>),
    copies: bool,
    tile: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let elems = prop::sample::select(vec![
        (Elem::U8, Elem::U8),
        (Elem::Bf16, Elem::Bf16),
        (Elem::F32, Elem::F32),
        (Elem::I64, Elem::I64),
        (Elem::F32, Elem::Bf16),
        (Elem::Bf16, Elem::F32),
        (Elem::I32, Elem::F32),
    ]);
    let swizzle = || {
        prop::sample::select(vec![
            None,
            None,
            Some(Swizzle::B32),
            Some(Swizzle::B64),
            Some(Swizzle::B128),
        ])
    };
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let carrier = prop::sample::select(vec![Carrier::Pull, Carrier::Push, Carrier::Share]);
    (
        prop::collection::vec(1i64..7, 2..4),
        any::<u64>(),
        elems,
        1i64..5,
        carrier,
        flags,
        (swizzle(), swizzle()),
    )
        .prop_map(|(mut extents, seed, elems, run, carrier, flags, swizzles)| {
            let mut pick = Pick(seed);
            let axes = extents.len();
            let (a, b) = (pick.below(axes), pick.below(axes));
            extents[a] = RANKS as i64;
            extents[b] = RANKS as i64;
            let tile = flags.3 && pick.below(2) == 0;
            if tile {
                extents.extend([1 + pick.below(150) as i64, 1 + pick.below(150) as i64]);
            }
            let order = |pick: &mut Pick, but: usize, n: usize| {
                let mut rest: Vec<usize> = (0..n).filter(|i| *i != but).collect();
                for i in (1..rest.len()).rev() {
                    rest.swap(i, pick.below(i + 1));
                }
                rest
            };
            let n = extents.len();
            let copies = flags.2 && carrier != Carrier::Pull;
            // A copied target is not split: all axes are in memory.
            let whole = if copies { usize::MAX } else { b };
            let (from, to) = ((a, order(&mut pick, a, n)), (b, order(&mut pick, whole, n)));
            let below = flags.0.then(|| {
                let axis = pick.below(n);
                (axis, pick.below(extents[axis] as usize + 1) as i64)
            });
            Case {
                from,
                to,
                elems,
                run: if tile { 1 } else { run * [1, 1, 16, 200][pick.below(4)] },
                carrier,
                below,
                even: flags.1 && flags.2,
                odd_form: flags.4 && flags.2,
                swizzles,
                copies,
                tile,
                extents,
            }
        })
}

struct Pick(u64);

impl Pick {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

impl Case {
    /// Rows of a rank on one side, a multiple of what a swizzle needs.
    fn rows(&self, order: &[usize]) -> i64 {
        order.iter().map(|a| self.extents[*a]).product()
    }

    fn elements(&self, order: &[usize]) -> i64 {
        (self.rows(order) * self.run + 127) / 128 * 128
    }

    fn row(&self, order: &[usize], at: &[i64]) -> i64 {
        order.iter().fold(0, |row, a| row * self.extents[*a] + at[*a])
    }

    fn row_ix(&self, order: &[usize], vars: &[Ix]) -> Ix {
        order.iter().fold(Ix::Lit(0), |row, a| add(times(row, self.extents[*a]), vars[*a].clone()))
    }

    fn bound(&self, world: &World) -> Bound {
        let mut b = Builder::new(RANKS);
        let x = b.tensor("x", Io::In, self.elems.0, self.elements(&self.from.1), self.swizzles.0);
        let y = b.tensor("y", Io::Out, self.elems.1, self.elements(&self.to.1), self.swizzles.1);
        let mut vars: Vec<_> = (0..self.extents.len()).map(|_| b.var()).collect();
        let mut index: Vec<Ix> = vars.iter().map(|v| Ix::Var(*v)).collect();
        if self.odd_form {
            for ix in &mut index {
                let (half, rest) = (
                    Ix::binary(IxOp::Div, ix.clone(), Ix::Lit(2)),
                    Ix::binary(IxOp::Rem, ix.clone(), Ix::Lit(2)),
                );
                *ix = add(times(half, 2), rest);
            }
        }
        let copy = self.copies.then(|| b.var());
        let mut guards = Vec::new();
        let mine = |axis: usize| Guard::Equal { value: index[axis].clone(), to: Ix::Me };
        match self.carrier {
            Carrier::Pull => guards.push(mine(self.to.0)),
            Carrier::Push => guards.push(mine(self.from.0)),
            Carrier::Share => {}
        }
        if let Some((axis, limit)) = self.below {
            guards.push(Guard::Below { value: index[axis].clone(), limit: Ix::Lit(limit) });
        }
        if self.even {
            let sum = add(index[0].clone(), index[1].clone());
            let odd = Ix::binary(IxOp::Rem, sum, Ix::Lit(2));
            guards.push(Guard::Equal { value: odd, to: Ix::Lit(0) });
        }
        let share = (self.carrier == Carrier::Share)
            .then_some(Share { index: Ix::Me, count: RANKS as i64 });
        let from_rank =
            if self.carrier == Carrier::Push { Ix::Me } else { index[self.from.0].clone() };
        let from = run(x, from_rank, self.row_ix(&self.from.1, &index), self.run);
        let to_rank = match (self.carrier, copy) {
            (Carrier::Pull, _) => Ix::Me,
            (_, Some(copy)) => Ix::Var(copy),
            _ => index[self.to.0].clone(),
        };
        let to = run(y, to_rank, self.row_ix(&self.to.1, &index), self.run);
        let cast = (self.elems.0 != self.elems.1).then_some(self.elems.1);
        let op = if self.tile {
            let (target, source) = (vars.len() - 1, vars.len() - 2);
            let along = |i: usize| (vars[i], self.extents[i]);
            Op::Tile(Box::new(Tile {
                vars: (0..source).map(along).collect(),
                share,
                along_source: along(source),
                along_target: along(target),
                guards,
                from,
                to,
                copies: copy.map(|c| (c, RANKS as i64)),
                cast,
            }))
        } else {
            let value = cast.map_or(Value::Row(Row(0)), |elem| Value::Cast(Row(0), elem));
            let put = Op::Put { value, to };
            let put = match copy {
                Some(var) => Op::For { var, extent: RANKS as i64, body: vec![put] },
                None => put,
            };
            let load = match self.carrier {
                Carrier::Push => Op::Load { row: Row(0), from },
                _ => Op::Pull { row: Row(0), from },
            };
            let list = vars.drain(..).zip(self.extents.iter().copied()).collect();
            Op::Grid { vars: list, share, guards, body: vec![load, put] }
        };
        b.entry("main", vec![vec![op]], vec![x, y], vec![]);
        b.bind(world)
    }

    fn check(&self) {
        let world = World::host(RANKS).unwrap();
        let bound = self.bound(&world);
        let [x, y] = ["x", "y"].map(|n| bound.alloc(n).unwrap());
        let mut pick = Pick(self.run as u64 + 77);
        let mut bytes =
            || (0..x.bytes(0)).map(|_| (pick.below(250) % 120) as u8).collect::<Vec<_>>();
        let inputs: Vec<Vec<u8>> = (0..RANKS).map(|_| bytes()).collect();
        for (rank, input) in inputs.iter().enumerate() {
            x.upload(rank, input).unwrap();
            y.upload(rank, &vec![0xa5; y.bytes(rank)]).unwrap();
        }
        let stream = world.stream().unwrap();
        let args = LaunchArgs { buffers: &[("x", &x), ("y", &y)], ..LaunchArgs::default() };
        bound.launch("main", &stream, &args).unwrap();
        stream.synchronize().unwrap();
        let expected = self.naive(&inputs, y.bytes(0));
        for (rank, expected) in expected.iter().enumerate() {
            assert!(y.download(rank).unwrap() == *expected, "rank {rank} of {self:?}");
        }
    }

    /// Element by element, addresses by the definition.
    fn naive(&self, inputs: &[Vec<u8>], bytes: usize) -> Vec<Vec<u8>> {
        let mut out = vec![vec![0xa5u8; bytes]; RANKS];
        let points: i64 = self.extents.iter().product();
        for point in 0..points {
            let (mut rest, mut at) = (point, vec![0; self.extents.len()]);
            for axis in (0..at.len()).rev() {
                at[axis] = rest % self.extents[axis];
                rest /= self.extents[axis];
            }
            if self.below.is_some_and(|(axis, limit)| at[axis] >= limit)
                || (self.even && (at[0] + at[1]) % 2 != 0)
            {
                continue;
            }
            let ranks: Vec<i64> =
                if self.copies { (0..RANKS as i64).collect() } else { vec![at[self.to.0]] };
            for e in 0..self.run {
                let (wide, narrow) = (self.elems.0.bytes(), self.elems.1.bytes());
                let from =
                    place(self.swizzles.0, (self.row(&self.from.1, &at) * self.run + e) * wide);
                let to =
                    place(self.swizzles.1, (self.row(&self.to.1, &at) * self.run + e) * narrow);
                let bits = &inputs[at[self.from.0] as usize][from..from + wide as usize];
                let bits = self.converted(bits);
                for rank in &ranks {
                    out[*rank as usize][to..to + narrow as usize].copy_from_slice(&bits);
                }
            }
        }
        out
    }

    fn converted(&self, bits: &[u8]) -> Vec<u8> {
        match self.elems {
            (Elem::F32, Elem::Bf16) => {
                bf16::from_f32(f32::from_le_bytes(bits.try_into().unwrap())).to_le_bytes().to_vec()
            }
            (Elem::Bf16, Elem::F32) => {
                bf16::from_le_bytes(bits.try_into().unwrap()).to_f32().to_le_bytes().to_vec()
            }
            (Elem::I32, Elem::F32) => {
                (i32::from_le_bytes(bits.try_into().unwrap()) as f32).to_le_bytes().to_vec()
            }
            _ => bits.to_vec(),
        }
    }
}

fn place(swizzle: Option<Swizzle>, at: i64) -> usize {
    let width = match swizzle {
        None => 0,
        Some(Swizzle::B32) => 1,
        Some(Swizzle::B64) => 2,
        Some(Swizzle::B128) => 3,
    };
    (0..width).fold(at, |to, bit| to ^ ((at >> (7 + bit) & 1) << (4 + bit))) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_copy_equals_the_naive_loops(case in case()) {
        case.check();
    }
}

/// `y[i, j] = sum over ranks of x[i, j]`, each rank a part, written to all.
#[test]
fn parts_are_added_in_rank_order() {
    let (rows, columns) = (6, 64);
    let mut b = Builder::new(RANKS);
    let x = b.tensor("x", Io::In, Elem::F32, rows * columns, None);
    let y = b.tensor("y", Io::Out, Elem::Bf16, rows * columns, Some(Swizzle::B64));
    let [i, j, part, copy] = std::array::from_fn(|_| b.var());
    let row = add(times(Ix::Var(i), columns / 8), Ix::Var(j));
    let pull = Op::Pull { row: Row(0), from: run(x, Ix::Var(part), row.clone(), 8) };
    let sum = Op::Reduce { factors: vec![Factor::Row(Row(0))], run: 8 };
    let put = Op::Put {
        value: Value::Sum { value: Tree::Sum, to: Elem::Bf16 },
        to: run(y, Ix::Var(copy), row, 8),
    };
    let n = RANKS as i64;
    let body = vec![
        Op::For { var: part, extent: n, body: vec![pull, sum] },
        Op::For { var: copy, extent: n, body: vec![put] },
    ];
    let share = Some(Share { index: Ix::Me, count: n });
    let grid = Op::Grid { vars: vec![(i, rows), (j, columns / 8)], share, guards: vec![], body };
    b.entry("main", vec![vec![grid]], vec![x, y], vec![]);
    let world = World::host(RANKS).unwrap();
    let bound = b.bind(&world);
    let [x, y] = ["x", "y"].map(|n| bound.alloc(n).unwrap());
    let value = |rank: usize, e: i64| ((e * 37 + rank as i64 * 101) % 997) as f32 * 1.7e-3 - 0.8;
    for rank in 0..RANKS {
        let part: Vec<f32> = (0..rows * columns).map(|e| value(rank, e)).collect();
        x.upload_as(rank, &part).unwrap();
    }
    let stream = world.stream().unwrap();
    let args = LaunchArgs { buffers: &[("x", &x), ("y", &y)], ..LaunchArgs::default() };
    bound.launch("main", &stream, &args).unwrap();
    stream.synchronize().unwrap();
    for rank in 0..RANKS {
        let found = y.download(rank).unwrap();
        for e in 0..rows * columns {
            let sum = (0..RANKS).fold(0f32, |acc, r| acc + value(r, e));
            let at = place(Some(Swizzle::B64), e * 2);
            assert_eq!(found[at..at + 2], bf16::from_f32(sum).to_le_bytes(), "{e} on rank {rank}");
        }
    }
}

/// Counted groups of each rank pulled together by a computed prefix; owners from a table of the device.
struct Counted {
    bound: Bound,
    len: Buffer,
    x: Buffer,
    y: Buffer,
}

const GROUPS: i64 = 5;
const MOST: i64 = 70;
const ALIGN: i64 = 4;

impl Counted {
    /// `y[g][rank * MOST + l] <- x@rank[base(rank, g) + l]` on the rank `(g + rank) % 3`, with
    /// `base = prefix of len@rank[g]`; `l < len@rank[g]`.
    fn new(world: &World) -> Counted {
        let mut b = Builder::new(RANKS);
        let n = RANKS as i64;
        let len = b.tensor("len", Io::In, Elem::I32, GROUPS, None);
        let x = b.tensor("x", Io::In, Elem::I64, GROUPS * MOST, None);
        let y = b.tensor("y", Io::Out, Elem::I64, GROUPS * n * MOST, None);
        let [rank, group, r, g, l] = std::array::from_fn(|_| b.var());
        let count = |rank: Ix, group: Ix| Ix::Element {
            tensor: len,
            rank: Box::new(rank),
            at: Box::new(group),
        };
        let table = b.computed("first", n * GROUPS);
        let prefix = Op::Prefix {
            table,
            rank: (rank, n),
            groups: vec![(group, GROUPS)],
            guards: vec![Guard::Below { value: Ix::Var(group), limit: Ix::Lit(GROUPS - 1) }],
            count: count(Ix::Var(rank), Ix::Var(group)),
            align: ALIGN,
        };
        let index = add(times(Ix::Var(r), GROUPS), Ix::Var(g));
        let first = Ix::Lookup { table, index: Box::new(index) };
        let from = run(x, Ix::Var(r), add(first, Ix::Var(l)), 1);
        let row = add(times(add(times(Ix::Var(g), n), Ix::Var(r)), MOST), Ix::Var(l));
        let owner = Ix::binary(IxOp::Rem, add(Ix::Var(g), Ix::Var(r)), Ix::Lit(n));
        let guards = vec![
            Guard::Equal { value: owner, to: Ix::Me },
            Guard::Below { value: Ix::Var(l), limit: count(Ix::Var(r), Ix::Var(g)) },
        ];
        let body = vec![
            Op::Pull { row: Row(0), from },
            Op::Put { value: Value::Row(Row(0)), to: run(y, Ix::Me, row, 1) },
        ];
        let vars = vec![(r, n), (g, GROUPS), (l, MOST)];
        let grid = Op::Grid { vars, share: None, guards, body };
        b.entry("main", vec![vec![prefix], vec![grid]], vec![len, x, y], vec![]);
        let bound = b.bind(world);
        let [len, x, y] = ["len", "x", "y"].map(|n| bound.alloc(n).unwrap());
        Counted { bound, len, x, y }
    }

    fn fill(&self, seed: u64) -> Vec<Vec<i32>> {
        let mut pick = Pick(seed);
        (0..RANKS)
            .map(|rank| {
                let most = MOST as usize - ALIGN as usize;
                let counts: Vec<i32> = (0..GROUPS).map(|_| pick.below(most) as i32).collect();
                let x: Vec<i64> = (0..GROUPS * MOST).map(|_| pick.below(1 << 30) as i64).collect();
                self.len.upload_as(rank, &counts).unwrap();
                self.x.upload_as(rank, &x).unwrap();
                self.y.upload_as(rank, &vec![-1i64; self.y.bytes(rank) / 8]).unwrap();
                counts
            })
            .collect()
    }

    fn launch(&self, stream: &fusco_runtime::Stream) {
        let buffers = [("len", &self.len), ("x", &self.x), ("y", &self.y)];
        let args = LaunchArgs { buffers: &buffers, ..LaunchArgs::default() };
        self.bound.launch("main", stream, &args).unwrap();
    }

    fn check(&self, counts: &[Vec<i32>]) {
        let mut expected = vec![vec![-1i64; (GROUPS * RANKS as i64 * MOST) as usize]; RANKS];
        for (rank, counts) in counts.iter().enumerate() {
            let x = self.x.download_as::<i64>(rank).unwrap();
            let mut first = 0;
            for (g, count) in counts.iter().enumerate() {
                for l in 0..*count as usize {
                    let to = (g * RANKS + rank) * MOST as usize + l;
                    expected[(g + rank) % RANKS][to] = x[first + l];
                }
                first += (*count as usize).next_multiple_of(ALIGN as usize);
            }
        }
        for (rank, expected) in expected.iter().enumerate() {
            assert!(self.y.download_as::<i64>(rank).unwrap() == *expected, "rank {rank}");
        }
    }
}

#[test]
fn streams_in_flight_have_homes_of_their_own() {
    let world = World::host(RANKS).unwrap();
    let first = Counted::new(&world);
    let [len, x, y] = ["len", "x", "y"].map(|n| first.bound.alloc(n).unwrap());
    let cases = [Counted { bound: first.bound.clone(), len, x, y }, first];
    let streams = [world.stream().unwrap(), world.stream().unwrap()];
    for round in 0..100 {
        let counts = [cases[0].fill(2 * round), cases[1].fill(2 * round + 1)];
        cases.iter().zip(&streams).for_each(|(case, stream)| case.launch(stream));
        cases.iter().zip(&streams).for_each(|(case, stream)| case.launch(stream));
        streams.iter().for_each(|stream| stream.synchronize().unwrap());
        cases.iter().zip(&counts).for_each(|(case, counts)| case.check(counts));
    }
}

#[test]
fn a_graph_replays_movements_with_fresh_counts() {
    let world = World::host(RANKS).unwrap();
    let (case, stream) = (Counted::new(&world), world.stream().unwrap());
    let graph = stream
        .capture(|s| {
            case.launch(s);
            Ok(())
        })
        .unwrap();
    for seed in 0..5 {
        let counts = case.fill(1000 + seed);
        graph.launch(&stream).unwrap();
        stream.synchronize().unwrap();
        case.check(&counts);
    }
}

/// `y[i, j] <- x[page[i], j]`, one rank: page numbers from a tensor, checked.
#[test]
fn a_wild_page_is_told_and_the_stream_recovers() {
    let (pages, width, rows) = (7, 6, 12);
    let mut b = Builder::new(1);
    let page = b.tensor("page", Io::In, Elem::I32, rows, None);
    let x = b.tensor("x", Io::In, Elem::Bf16, pages * width, None);
    let y = b.tensor("y", Io::Out, Elem::Bf16, rows * width, None);
    let [i, j] = std::array::from_fn(|_| b.var());
    let at = Ix::Element { tensor: page, rank: Box::new(Ix::Me), at: Box::new(Ix::Var(i)) };
    let from = run(x, Ix::Me, add(times(at.clone(), width), Ix::Var(j)), 1);
    let to = run(y, Ix::Me, add(times(Ix::Var(i), width), Ix::Var(j)), 1);
    let body = vec![Op::Load { row: Row(0), from }, Op::Put { value: Value::Row(Row(0)), to }];
    let guards = vec![Guard::Valid { tensor: page, value: at, limit: pages }];
    let grid = Op::Grid { vars: vec![(i, rows), (j, width)], share: None, guards, body };
    b.entry("main", vec![vec![grid]], vec![page, x, y], vec![]);
    let world = World::host(1).unwrap();
    let bound = b.bind(&world);
    let [page, x, y] = ["page", "x", "y"].map(|n| bound.alloc(n).unwrap());
    let values: Vec<bf16> = (0..pages * width).map(|v| bf16::from_f32(v as f32)).collect();
    x.upload_as(0, &values).unwrap();
    let mut numbers: Vec<i32> = (0..rows).map(|r| ((r * 5) % pages) as i32).collect();
    let stream = world.stream().unwrap();
    let buffers = [("page", &page), ("x", &x), ("y", &y)];
    let go = |numbers: &[i32]| {
        page.upload_as(0, numbers).unwrap();
        let args = LaunchArgs { buffers: &buffers, ..LaunchArgs::default() };
        bound.launch("main", &stream, &args).unwrap();
        stream.synchronize()
    };
    numbers[9] = 7;
    let error = go(&numbers).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("F0906", "an index read from `page` is 7, outside 0..7")
    );
    numbers[9] = 6;
    go(&numbers).unwrap();
    let found = y.download_as::<bf16>(0).unwrap();
    for (e, value) in found.iter().enumerate() {
        let (row, column) = (e / width as usize, e % width as usize);
        assert_eq!(*value, values[numbers[row] as usize * width as usize + column]);
    }
}

/// Owners read from a tensor: `y[x] <- position of x among its owner's`, `z[x] <- W[owner]`, `w` filled.
#[test]
fn positions_lookups_and_fills() {
    let count = 50;
    let mut b = Builder::new(2);
    let owner = b.tensor("owner", Io::In, Elem::I64, count, None);
    let y = b.tensor("y", Io::Out, Elem::I32, count, None);
    let z = b.tensor("z", Io::Out, Elem::F32, count, None);
    let w = b.tensor("w", Io::Out, Elem::Bf16, 33, None);
    let [v, x] = std::array::from_fn(|_| b.var());
    let (positions, known) = (b.computed("positions", count), b.known("known", vec![5, -3, 8]));
    let read = |v| Ix::Element { tensor: owner, rank: Box::new(Ix::Me), at: Box::new(Ix::Var(v)) };
    let first = Op::Positions { table: positions, var: v, extent: count, owner: read(v) };
    let lookup = |table, index| Ix::Lookup { table, index: Box::new(index) };
    let put = |tensor, value| Op::Put {
        value: Value::Int(value),
        to: run(tensor, Ix::Me, Ix::Var(x), 1),
    };
    let t = b.dynamic("T", 9);
    let of_last = Ix::DynAt { of: t, rank: Box::new(Ix::Lit(1)) };
    let scaled = Ix::binary(IxOp::Mul, lookup(known, read(x)), of_last);
    let body = vec![put(y, lookup(positions, Ix::Var(x))), put(z, scaled)];
    let grid = Op::Grid { vars: vec![(x, count)], share: None, guards: vec![], body };
    let fill = Op::FillAll { tensor: w, bits: 0x3f81 };
    b.entry("main", vec![vec![first, fill], vec![grid]], vec![owner, y, z, w], vec![t]);
    let world = World::host(2).unwrap();
    let bound = b.bind(&world);
    let [owner, y, z, w] = ["owner", "y", "z", "w"].map(|n| bound.alloc(n).unwrap());
    let owners =
        |rank: usize| (0..count as usize).map(move |i| ((i * 7 + i / 3 + rank) % 3) as i64);
    (0..2).for_each(|rank| owner.upload_as(rank, &owners(rank).collect::<Vec<_>>()).unwrap());
    let stream = world.stream().unwrap();
    let buffers = [("owner", &owner), ("y", &y), ("z", &z), ("w", &w)];
    let args = LaunchArgs { buffers: &buffers, dyns: &[("T", &[4, 6])], plans: &[] };
    bound.launch("main", &stream, &args).unwrap();
    stream.synchronize().unwrap();
    for rank in 0..2 {
        let owners: Vec<i64> = owners(rank).collect();
        let (y, z) = (y.download_as::<i32>(rank).unwrap(), z.download_as::<f32>(rank).unwrap());
        for x in 0..count as usize {
            let before = owners[..x].iter().filter(|o| **o == owners[x]).count();
            assert_eq!(y[x], before as i32);
            assert_eq!(z[x], [5.0, -3.0, 8.0][owners[x] as usize] * 6.0);
        }
        assert!(w.download_as::<u16>(rank).unwrap().iter().all(|v| *v == 0x3f81));
    }
}

#[test]
fn buffers_begin_where_the_program_says() {
    let launch = |align: &str| {
        let text = format!(
            "program p {{ mesh m {{ g: 2 }} in x: f32[i: 6] @ [i/g, i]; \
             out y: f32[i: 6] @ [i/g, i] with align({align}); entry main {{ y[i] <- x[i]; }} }}"
        );
        let world = World::host(2).unwrap();
        let bound = world.bind(&text, None, &std::collections::BTreeMap::new()).unwrap();
        let [x, y] = ["x", "y"].map(|n| bound.alloc(n).unwrap());
        let stream = world.stream().unwrap();
        let args = LaunchArgs { buffers: &[("x", &x), ("y", &y)], ..LaunchArgs::default() };
        bound.launch("main", &stream, &args).and_then(|()| stream.synchronize())
    };
    launch("1024").unwrap();
    let error = launch("1099511627776").unwrap_err();
    assert_eq!(error.code(), "F0902");
    assert!(error.to_string().starts_with("`y` is declared `align(1099511627776)`"), "{error}");
}
