//! Who writes what on every rank, read off the schedule: random statements without a route, with computed
//! indices on axes cut over ranks, are run op by op on every rank and compared with the reference
//! interpreter and with what `prove` says of them.

use fusco_dsl::oracle::{Array, Inputs, run_entry};
use fusco_dsl::schedule::ir::{
    Access, Guard, Ix, Op, Row, Schedule, Share, TableKind, Tile, Value, Var,
};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_dsl::{Compiled, arena::Handle, compile, ranks};
use std::collections::BTreeMap;

/// A small generator: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let word = (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (word >> 24) as i64 % n
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as i64) as usize]
    }
}

const MESH: [&str; 2] = ["p", "q"];
const VARS: [&str; 3] = ["a", "b", "c"];

/// A sum of variables, each times a factor, and a constant.
#[derive(Clone, Default)]
struct Index {
    terms: Vec<(usize, i64)>,
    constant: i64,
}

impl Index {
    fn text(&self) -> String {
        let one = |(v, factor): &(usize, i64)| match factor {
            1 => VARS[*v].to_string(),
            _ => format!("{} * {factor}", VARS[*v]),
        };
        let mut parts: Vec<String> = self.terms.iter().map(one).collect();
        if self.constant > 0 || parts.is_empty() {
            parts.push(self.constant.to_string());
        }
        parts.join(" + ")
    }

    fn last(&self, extents: &[i64]) -> i64 {
        self.constant + self.terms.iter().map(|(v, f)| f * (extents[*v] - 1)).sum::<i64>()
    }
}

/// Strides, windows, halos, nested digits and offsets, over some of the variables.
fn computed(random: &mut Random, extents: &[i64]) -> Index {
    let mut out = Index::default();
    let mut reach = 1;
    for (var, extent) in extents.iter().enumerate() {
        if random.one_in(3) {
            continue;
        }
        // The span of those before, a little more or less, or anything.
        let factor = match random.below(4) {
            0 => reach,
            1 => random.of(&[2, 4, 8]),
            _ => 1 + random.below(5),
        };
        reach = reach.max(factor * extent);
        out.terms.push((var, factor));
    }
    if random.one_in(2) {
        out.constant = random.below(6);
    }
    out
}

/// Digits of each axis over ranks and in memory, and how mesh axes that cut nothing hold the tensor.
fn placement(random: &mut Random, mesh: &[i64], axes: &[String]) -> String {
    let mut digits: Vec<Vec<String>> = vec![Vec::new(); axes.len()];
    let mut terms = Vec::new();
    for (name, size) in MESH.iter().zip(mesh) {
        match random.below(6) {
            0 => terms.push(format!("copy/{name}")),
            1 => terms.push(format!("only({})/{name}", random.below(*size))),
            _ => {
                let axis = random.below(axes.len() as i64) as usize;
                digits[axis].push(format!("{}/{name}", axes[axis]));
            }
        }
    }
    for (axis, name) in axes.iter().enumerate() {
        for _ in 0..random.below(3) {
            let at = random.below(digits[axis].len() as i64 + 1) as usize;
            digits[axis].insert(at, format!("{name}:{}", random.of(&[2, 2, 3, 4])));
        }
        let at = random.below(digits[axis].len() as i64 + 1) as usize;
        digits[axis].insert(at, name.clone());
    }
    // Digits of one axis stay in order; the axes are shuffled into each other.
    let mut queues: Vec<Vec<String>> =
        digits.into_iter().map(|d| d.into_iter().rev().collect()).collect();
    while queues.iter().any(|q| !q.is_empty()) {
        let axis = random.below(queues.len() as i64) as usize;
        terms.extend(queues[axis].pop());
    }
    terms.join(", ")
}

/// A program of one statement, and the shape of its input.
fn program(random: &mut Random) -> (String, Vec<usize>, Vec<usize>, bool) {
    let mesh: Vec<i64> = match random.below(3) {
        0 => vec![1 + random.below(6)],
        1 => vec![random.of(&[2, 4])],
        _ => vec![1 + random.below(3), 1 + random.below(3)],
    };
    let vars = 1 + random.below(3) as usize;
    let extents: Vec<i64> = (0..vars)
        .map(|_| if random.one_in(2) { random.of(&[2, 4, 8, 16]) } else { 1 + random.below(9) })
        .collect();
    let plain: Vec<Index> = (0..vars).map(|v| Index { terms: vec![(v, 1)], constant: 0 }).collect();
    let others: Vec<Index> = (0..1 + random.below(2)).map(|_| computed(random, &extents)).collect();
    let computed_left = random.one_in(2);
    let (left, right) = if computed_left { (others, plain) } else { (plain, others) };
    let dims = |random: &mut Random, side: &[Index], is_plain: bool| -> Vec<i64> {
        let more = |r: &mut Random| if is_plain || r.one_in(2) { 0 } else { r.below(4) };
        side.iter().map(|i| i.last(&extents) + 1 + more(random)).collect()
    };
    let (to, from) = (dims(random, &left, !computed_left), dims(random, &right, computed_left));
    let keep = random.one_in(4);
    let (io, fill) = match (keep, random.one_in(3)) {
        (true, _) => ("inout", ""),
        (false, true) => ("out", ""),
        (false, false) => ("out", ", fill(-7)"),
    };
    let names = |letter: &str, n: usize| (0..n).map(|i| format!("{letter}{i}")).collect::<Vec<_>>();
    let axes = |names: &[String], dims: &[i64]| {
        names.iter().zip(dims).map(|(n, d)| format!("{n}: {d}")).collect::<Vec<_>>().join(", ")
    };
    let (xs, ys) = (names("x", from.len()), names("y", to.len()));
    let mesh_text: Vec<String> = MESH.iter().zip(&mesh).map(|(n, s)| format!("{n}: {s}")).collect();
    let index = |side: &[Index]| side.iter().map(Index::text).collect::<Vec<_>>().join(", ");
    let text = format!(
        "program random {{
    mesh m {{ {} }}
    in x: i32[{}] @ [{}] with uneven;
    {io} y: i32[{}] @ [{}] with uneven{fill};
   
    entry main {{ y[{}] <- x[{}];{} }}
}}",
        mesh_text.join(", "),
        axes(&xs, &from),
        placement(random, &mesh, &xs),
        axes(&ys, &to),
        placement(random, &mesh, &ys),
        index(&left),
        index(&right),
        random.of(&["", "", " schedule { push; }", " schedule { pull; }"]),
    );
    let shape = |dims: &[i64]| dims.iter().map(|n| *n as usize).collect();
    (text, shape(&from), shape(&to), keep)
}

/// One rank's elements: the value, and how often a movement wrote it.
type Memory = Vec<Vec<(u64, u32)>>;

/// What the schedule's ops do, one rank after the other.
struct Run<'a> {
    schedule: &'a Schedule,
    tensors: BTreeMap<String, Memory>,
    me: usize,
    vars: BTreeMap<usize, i64>,
    rows: BTreeMap<Row, (i64, Vec<u64>)>,
    /// Elements that were put on another rank than the one they were read on.
    crossed: bool,
}

impl Run<'_> {
    fn ix(&self, ix: &Ix) -> i64 {
        match ix {
            Ix::Lit(v) => *v,
            Ix::Me => self.me as i64,
            Ix::Var(v) => self.vars[&v.index()],
            Ix::Binary { op, lhs, rhs } => op.apply(self.ix(lhs), self.ix(rhs)),
            Ix::Lookup { table, index } => match &self.schedule.tables[*table].kind {
                TableKind::Const(values) => values[self.ix(index) as usize],
                TableKind::Computed | TableKind::Planned(_) => {
                    panic!("no program here has computed tables")
                }
            },
            other => panic!("{other:?} in a program without data"),
        }
    }

    fn place(&self, access: &Access) -> (String, usize, std::ops::Range<usize>) {
        let first = (self.ix(&access.row) * access.unit) as usize;
        let name = self.schedule.tensors[access.tensor].name.clone();
        let width = access.vector / self.schedule.tensors[access.tensor].elem.bytes();
        assert!(width < 1 || first as i64 % width.max(1) == 0, "an access of {width} at {first}");
        (name, self.ix(&access.rank) as usize, first..first + access.run as usize)
    }

    fn ops(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Grid { vars, share, guards, body } => {
                self.points(vars, share.as_ref(), guards, &mut |run| run.ops(body));
            }
            Op::Tile(tile) => self.tile(tile),
            Op::For { var, extent, body } => {
                for value in 0..*extent {
                    self.vars.insert(var.index(), value);
                    self.ops(body);
                }
            }
            Op::Load { row, from } | Op::Pull { row, from } => self.load(*row, from),
            Op::Put { value: Value::Row(row), to } => self.put(*row, to),
            Op::FillAll { tensor, bits } => {
                let name = &self.schedule.tensors[*tensor].name;
                let memory = self.tensors.get_mut(name).expect("a tensor");
                memory[self.me].iter_mut().for_each(|e| *e = (*bits, 0));
            }
            Op::Barrier | Op::Once { .. } | Op::Wait { .. } => {}
            other => panic!("{other:?} in a movement"),
        }
    }

    fn load(&mut self, row: Row, from: &Access) {
        let (name, rank, range) = self.place(from);
        let values = self.tensors[&name][rank][range].iter().map(|e| e.0).collect();
        self.rows.insert(row, (rank as i64, values));
    }

    fn put(&mut self, row: Row, to: &Access) {
        let (name, rank, range) = self.place(to);
        let (from, values) = self.rows[&row].clone();
        self.crossed |= from != rank as i64;
        let memory = self.tensors.get_mut(&name).expect("a tensor");
        for (element, value) in memory[rank][range].iter_mut().zip(values) {
            *element = (value, element.1 + 1);
        }
    }

    fn tile(&mut self, tile: &Tile) {
        let mut vars = tile.vars.clone();
        vars.extend([tile.along_source, tile.along_target]);
        // The share is of tiles: as many points of each.
        self.points(&vars, tile.share.as_ref(), &tile.guards, &mut |run| {
            let (copy, copies) = tile.copies.map_or((None, 1), |(v, n)| (Some(v), n));
            let one = |access: &Access| Access { vector: 1, ..access.clone() };
            run.load(Row(0), &one(&tile.from));
            for value in 0..copies {
                if let Some(copy) = copy {
                    run.vars.insert(copy.index(), value);
                }
                run.put(Row(0), &one(&tile.to));
            }
        });
    }

    fn points(
        &mut self,
        vars: &[(Handle<Var>, i64)],
        share: Option<&Share>,
        guards: &[Guard],
        body: &mut dyn FnMut(&mut Self),
    ) {
        let points: i64 = vars.iter().map(|(_, n)| n).product();
        let (from, to) = share.map_or((0, points), |s| {
            let index = self.ix(&s.index);
            (points * index / s.count, points * (index + 1) / s.count)
        });
        for point in from..to {
            let mut rest = point;
            for (var, extent) in vars.iter().rev() {
                self.vars.insert(var.index(), rest % extent);
                rest /= extent;
            }
            let holds = guards.iter().all(|guard| match guard {
                Guard::Holds(filter) => {
                    filter.holds(&mut |n| Ok::<_, ()>(self.ix(n))).expect("numbers")
                }
                Guard::Below { value, limit } => self.ix(value) < self.ix(limit),
                Guard::Equal { value, to } => self.ix(value) == self.ix(to),
                Guard::NonZero { value } => self.ix(value) != 0,
                Guard::Valid { .. } => panic!("nothing is read from an index tensor"),
                Guard::Kept { .. } => panic!("nothing moves along a route"),
            });
            if holds {
                body(self);
            }
        }
    }
}

/// Runs the entry; returns the memory of every rank and whether an element changed its rank.
fn run(compiled: &Compiled, inputs: &Inputs) -> (BTreeMap<String, Memory>, bool) {
    let schedule = &compiled.schedule;
    let ranks = schedule.ranks as usize;
    let mut tensors = BTreeMap::new();
    for (_, tensor) in schedule.tensors.iter() {
        let mut memory = vec![vec![(0xdead, 0); tensor.elems as usize]; ranks];
        if inputs.tensors.contains_key(&tensor.name) {
            let live = BTreeMap::new();
            let parts = ranks::scatter(&compiled.hir, &tensor.name, inputs, &live);
            let parts = parts.expect("it fits");
            for (memory, bytes) in memory.iter_mut().zip(parts) {
                for (element, bytes) in memory.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *element = (u64::from(u32::from_le_bytes(*bytes)), 0);
                }
            }
        }
        tensors.insert(tensor.name.clone(), memory);
    }
    let mut run = Run {
        schedule,
        tensors,
        me: 0,
        vars: BTreeMap::new(),
        rows: BTreeMap::new(),
        crossed: false,
    };
    for step in &schedule.entries[0].steps {
        for me in 0..ranks {
            run.me = me;
            let kernel = &step.alternatives.last().expect("a kernel").kernel;
            kernel.roles.iter().for_each(|role| run.ops(&role.body));
        }
    }
    (run.tensors, run.crossed)
}

/// Whether a claim holds by the compiler; `None` if it says that it cannot tell.
fn claimed(text: &str, claim: &str) -> Option<bool> {
    match compile(
        &text.replace("entry main {", &format!("entry main {{ {claim}")),
        None,
        &Bindings::new(),
    ) {
        Ok(_) => Some(true),
        Err(d) if d.0.iter().all(|d| d.message.contains("not decided")) => None,
        Err(d) if d.0.iter().all(|d| ["F0801", "F0804"].contains(&d.code)) => Some(false),
        Err(d) => panic!("{}", fusco_dsl::diag::render(&d, "test.fusco", text, false)),
    }
}

fn numbered(shape: &[usize], first: i64) -> Array {
    let values: Vec<i64> = (first..first + shape.iter().product::<usize>() as i64).collect();
    Array::from_i64(Elem::I32, shape.to_vec(), &values)
}

/// One program: `false` if it is refused, which only a gap, a conflict or what cannot be lowered may be.
fn check(text: &str, from: &[usize], to: &[usize], keep: bool) -> bool {
    let compiled = match compile(text, None, &Bindings::new()) {
        Ok(compiled) => compiled,
        Err(found) => {
            // F0202: what happens to be one variable alone ranges over the axis.
            let fine = ["F0202", "F0205", "F0502", "F0503", "F0999"];
            assert!(found.0.iter().all(|d| fine.contains(&d.code)), "{found:?}\n{text}");
            return false;
        }
    };
    let mut inputs = Inputs::default();
    inputs.tensors.insert("x".to_string(), numbered(from, 1));
    if keep {
        inputs.tensors.insert("y".to_string(), numbered(to, 1_000_000));
    }
    let (memory, crossed) = run(&compiled, &inputs);
    let expected =
        run_entry(&compiled.hir, "main", &inputs, &mut BTreeMap::new()).expect("a meaning");
    let mut missing = false;
    let wanted = expected.physical["y"].ranks().expect("placed");
    for (rank, (seen, wanted)) in memory["y"].iter().zip(&wanted).enumerate() {
        for (at, (value, writes)) in seen.iter().enumerate() {
            assert!(*writes < 2, "y[{at}] of rank {rank} is written {writes} times\n{text}");
            if !wanted.defined.get(at) {
                continue;
            }
            let right = wanted.array.get_i64(at) as u32;
            assert_eq!(*value as u32, right, "y[{at}] of rank {rank}\n{text}");
            missing |= *writes == 0 && !is_padding(text, right);
        }
    }
    assert_ne!(claimed(text, "prove injective(y);"), Some(false), "{text}");
    assert_ne!(claimed(text, "prove deterministic(y);"), Some(false), "{text}");
    if text.contains("fill") || !missing {
        assert_ne!(claimed(text, "prove covers(y);"), Some(false), "{text}");
    } else {
        assert_ne!(claimed(text, "prove covers(y);"), Some(true), "{text}");
    }
    if let Some(local) = claimed(text, "prove local(y);") {
        assert_eq!(local, !crossed, "local\n{text}");
    }
    true
}

/// Padding of an allocation has the fill.
fn is_padding(text: &str, bits: u32) -> bool {
    text.contains("fill") && bits == (-7i32) as u32
}

/// `FUSCO_PROGRAMS` asks for more.
#[test]
fn each_element_is_written_once_by_the_rank_that_holds_it() {
    let programs =
        std::env::var("FUSCO_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let seed = std::env::var("FUSCO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1u64);
    let mut ran = 0;
    for number in 0..programs {
        let (text, from, to, keep) = program(&mut Random(seed * 1_000_003 + number));
        ran += u64::from(check(&text, &from, &to, keep));
    }
    assert!(ran * 3 > programs, "{ran} of {programs} programs ran");
}

/// Indices whose terms are no full mixed radix of the ranks' digits, each from a report.
#[test]
fn computed_indices_on_cut_axes() {
    let cases: [(&str, &[usize], &[usize], bool); 8] = [
        ("mesh m { p: 4 } in x: i32[i: 4] @ [i/p, i]; out y: i32[i: 2] @ [copy/p, i];
          entry main { y[i] <- x[i * 2]; }", &[4], &[2], false),
        ("mesh m { p: 4 } in x: i32[i: 64] @ [i/p, i]; out y: i32[i: 8] @ [i/p, i];
          entry main { y[i] <- x[i * 8]; }", &[64], &[8], false),
        ("mesh m { p: 4 } in x: i32[a: 2, b: 4] @ [copy/p, a, b]; out y: i32[i: 16] @ [i/p, i] with fill(-7);
          entry main { y[a * 8 + b] <- x[a, b]; }", &[2, 4], &[16], false),
        ("mesh m { p: 2 } in x: i32[a: 2] @ [copy/p, a]; inout y: i32[i: 8] @ [i/p, i];
          entry main { y[a * 4] <- x[a]; }", &[2], &[8], true),
        ("mesh m { p: 4 } in x: i32[i: 6] @ [i/p, i] with uneven; out y: i32[i: 4, w: 3] @ [i/p, i, w];
          entry main { y[i, w] <- x[i + w]; }", &[6], &[4, 3], false),
        ("mesh m { p: 4 } in x: i32[i: 17] @ [i/p, i] with uneven; out y: i32[s: 4, w: 5] @ [s/p, s, w];
          entry main { y[s, w] <- x[s * 4 + w]; }", &[17], &[4, 5], false),
        ("mesh m { p: 6 } in x: i32[b: 6] @ [b/p, b, b:2] with uneven; out y: i32[a: 2, b: 3] @ [copy/p, a, b];
          entry main { y[a, b] <- x[a * 3 + b]; }", &[6], &[2, 3], false),
        ("mesh m { q: 2 } in x: i32[i: 8, j: 8, z: 8] @ [i, z, j, i/q] with stride(z: 11); out y: i32[i: 8, j: 8] @ [only(0)/q, i, j];
          entry main { y[i, j] <- x[i, j, i]; }", &[8, 8, 8], &[8, 8], false),
    ];
    for (body, from, to, keep) in cases {
        assert!(check(&format!("program case {{ {body} }}"), from, to, keep), "refused: {body}");
    }
}
