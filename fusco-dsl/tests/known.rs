//! Layouts and runs whose formulas are known from elsewhere: ScaLAPACK, PyTorch, `language.md` 5.2.

use crate::pairs::scattered;
use crate::stages::compiled;
use fusco_dsl::plan::{Move, Shape};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_dsl::{Compiled, compile};

fn program(text: &str) -> Compiled {
    compile(text, None, &Bindings::new())
        .unwrap_or_else(|d| panic!("{}", fusco_dsl::diag::render(&d, "known", text, false)))
}

/// (rank, offset) of the coordinates by the digit table.
fn located(compiled: &Compiled, name: &str, at: &[i64]) -> (i64, i64) {
    let table = &compiled.plan.tables[&compiled.hir.tensor(name).expect("declared")];
    let parts = at.iter().enumerate().map(|(axis, x)| table.part(axis, *x).expect("static"));
    parts.fold((table.first, 0), |(rank, offset), p| (rank + p.rank, offset + p.offset))
}

/// ScaLAPACK's INDXG2P and INDXG2L, counted from 0: process and local index.
fn block_cyclic(global: i64, nb: i64, processes: i64) -> (i64, i64) {
    (global / nb % processes, nb * (global / (nb * processes)) + global % nb)
}

/// ScaLAPACK's NUMROC: elements that a process has.
fn numroc(n: i64, nb: i64, process: i64, processes: i64) -> i64 {
    let blocks = n / nb;
    let whole = blocks / processes * nb;
    match (blocks % processes).cmp(&process) {
        std::cmp::Ordering::Greater => whole + nb,
        std::cmp::Ordering::Equal => whole + n % nb,
        std::cmp::Ordering::Less => whole,
    }
}

#[test]
fn block_cyclic_is_that_of_scalapack() {
    for (m, n, nb, p, q) in
        [(37, 29, 4, 2, 4), (37, 29, 8, 4, 2), (5, 3, 4, 2, 4), (64, 64, 4, 2, 2)]
    {
        let compiled = program(&format!(
            "program cyclic {{
                mesh grid {{ p: {p}, q: {q} }}
                in a: f32[i: {m}, j: {n}] @ [j, j/q, j:{nb}, i, i/p, i:{nb}] with uneven;
                out b: f32[i: {m}, j: {n}] @ [copy/p, copy/q, i, j];
                entry main {{ b[i, j] <- a[i, j]; }}
            }}"
        ));
        let places = scattered(&compiled, "a", Elem::F32, &[m as usize, n as usize]);
        // Local arrays are column-major with room for whole blocks.
        let lld = (m + nb * p - 1) / (nb * p) * nb;
        let mut rows = vec![std::collections::BTreeSet::new(); p as usize];
        for i in 0..m {
            for j in 0..n {
                let ((pi, li), (qj, lj)) = (block_cyclic(i, nb, p), block_cyclic(j, nb, q));
                let expected = (pi * q + qj, lj * lld + li);
                assert_eq!(located(&compiled, "a", &[i, j]), expected, "a[{i}, {j}]");
                assert_eq!(places[&((i * n + j) as u64 + 1)], [expected], "a[{i}, {j}]");
                rows[pi as usize].insert(li);
            }
        }
        for (process, rows) in rows.iter().enumerate() {
            assert_eq!(rows.len() as i64, numroc(m, nb, process as i64, p));
            assert!(rows.iter().all(|r| *r < lld));
        }
    }
}

/// `torch.chunk(x, c)`: chunks of ceil(n / c) elements, the last shorter, trailing ones missing.
#[test]
fn uneven_shards_are_those_of_torch_chunk() {
    for ranks in 1..=8 {
        for n in 1..=40i64 {
            let compiled = program(&format!(
                "program chunk {{
                    mesh m {{ gpu: {ranks} }}
                    in a: i32[i: {n}] @ [i/gpu, i] with uneven;
                    out b: i32[i: {n}] @ [copy/gpu, i];
                    entry main {{ b[i] <- a[i]; }}
                }}"
            ));
            let chunk = (n + ranks - 1) / ranks;
            let places = scattered(&compiled, "a", Elem::I32, &[n as usize]);
            let mut next = 0;
            for rank in 0..ranks {
                for offset in 0..chunk.min((n - next).max(0)) {
                    assert_eq!(located(&compiled, "a", &[next]), (rank, offset), "{n} on {ranks}");
                    assert_eq!(places[&(next as u64 + 1)], [(rank, offset)], "{n} on {ranks}");
                    next += 1;
                }
            }
            assert_eq!(next, n);
        }
    }
}

fn first_move(compiled: &Compiled, entry: usize) -> &Move {
    &compiled.plan.entries[entry].moves[0]
}

/// The run of a movement in rows; `None` for one in tiles.
fn run(movement: &Move) -> Option<(i64, i64)> {
    match movement.shape {
        Shape::Rows { run, vector, .. } => Some((run, vector)),
        Shape::Tile(_) => None,
    }
}

/// Sequence-sharded to head-sharded and back: (N/P) * D elements.
#[test]
fn a_run_of_ulysses_is_the_heads_of_a_rank() {
    for (s, n, d) in [(32768, 64, 128), (64, 16, 8), (8, 8, 24)] {
        let compiled = compiled("ulysses", &[("B", 1), ("S", s), ("N", n), ("D", d)]);
        for entry in 0..2 {
            assert_eq!(run(first_move(&compiled, entry)), Some((n / 8 * d, 8)), "{s} {n} {d}");
        }
    }
}

fn on_four(from: &str, to: &str, (m, n): (i64, i64)) -> Compiled {
    program(&format!(
        "program pair {{
            mesh m {{ gpu: 4 }}
            in a: bf16[m: {m}, n: {n}] @ [{from}];
            out b: bf16[m: {m}, n: {n}] @ [{to}];
            entry main {{ b[m, n] <- a[m, n]; }}
        }}"
    ))
}

#[test]
fn a_run_of_rows_to_columns_is_the_columns_of_a_rank() {
    for n in [32, 64, 1024, 4096] {
        let compiled = on_four("m/gpu, m, n", "n/gpu, m, n", (64, n));
        assert_eq!(run(first_move(&compiled, 0)), Some((n / 4, 8.min(n / 4))), "{n}");
    }
}

/// One element, so sides of some length are staged in tiles, each side in accesses as wide as can be.
#[test]
fn a_run_of_a_transpose_is_one_element() {
    let small = on_four("m/gpu, m, n", "n/gpu, n, m", (8, 8));
    assert_eq!(run(first_move(&small, 0)), Some((1, 1)));
    let large = on_four("m/gpu, m, n", "n/gpu, n, m", (512, 256));
    let movement = first_move(&large, 0);
    let Shape::Tile(tile) = movement.shape else { panic!("{:?}", movement.shape) };
    let name = |digit: usize| movement.vars[movement.digits[digit].var].name.as_str();
    assert_eq!((name(tile.source.0), name(tile.target.0)), ("n", "m"));
    assert_eq!((tile.source.2, tile.target.2), (8, 8));
    assert!(movement.why.contains("steps by"), "{}", movement.why);
}

/// Rows to tiles of k columns: k elements.
#[test]
fn a_run_into_tiles_is_their_inner_digit() {
    for k in [16, 32, 64] {
        let compiled = on_four("m/gpu, m, n", &format!("m/gpu, m, n, m:8, n:{k}"), (64, 256));
        assert_eq!(run(first_move(&compiled, 0)), Some((k, 8)), "{k}");
    }
    let compiled = compiled("to_tiles", &[("M", 64), ("C", 256)]);
    assert_eq!(run(first_move(&compiled, 0)), Some((64, 8)));
}

/// On each rank of both, and on none between or beyond.
#[test]
fn copies_over_two_meshes_are_on_every_rank_of_both() {
    let compiled = program(
        "program two {
            mesh one at 0..2 { p: 2 }
            mesh two at 2..6 { q: 2, r: 2 }
            mesh other at 6..8 { s: 2 }
            in x: f32[i: 8] @ [i/p, i];
            out y: f32[i: 8] @ [copy/p, copy/q, copy/r, i];
            out z: f32[i: 8] @ [i/s, i];
            entry main { y[i] <- x[i]; }
            entry away { z[i] <- x[i]; }
        }",
    );
    let table = &compiled.plan.tables[&compiled.hir.tensor("y").expect("declared")];
    assert_eq!(table.replicas(0), [0, 1, 2, 3, 4, 5]);
    for (element, at) in scattered(&compiled, "y", Elem::F32, &[8]) {
        let expected: Vec<_> = (0..6).map(|rank| (rank, element as i64 - 1)).collect();
        assert_eq!(at, expected);
    }
}
