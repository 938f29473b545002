//! Indices that are computed, of statements without a route: reversals, windows, quotients and remainders, elements of
//! other tensors at any depth and on both sides, places that may be none. On the host, and on a device where there is
//! one, against the interpreter; the kernels of each are compiled by NVRTC.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Bindings, Extent, Io, Program, Size, Tensor};
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, gpu};

/// Declarations and statements; `G` is the number of ranks.
const FORMS: &[(&str, &str, &str)] = &[
    (
        "reversed",
        "in x: f32[i: 13, h: 5] @ [i/p, i, h] with uneven; out y: f32[i: 13, h: 5] @ [i/p, i, h] with uneven;",
        "y[i, h] <- x[12 - i, 4 - h];",
    ),
    (
        "reversed on the left",
        "in x: f32[i: 13, h: 8] @ [i/p, i, h] with uneven; out y: f32[i: 13, h: 8] @ [copy/p, h, i];",
        "y[12 - i, h] <- x[i, h];",
    ),
    (
        "a halo with walls",
        "in x: f32[i: 19, h: 4] @ [i/p, i, h] with uneven; out y: f32[i: 19, w: 3, h: 4] @ [i/p, i, w, h] with uneven, fill(-1);",
        "y[i, w, h] <- x[i + w - 1, h] where i + w >= 1 && i + w - 1 < 19;",
    ),
    (
        "cut and joined",
        "in x: i32[i: 24] @ [i/p, i] with uneven; out y: i32[a: 6, b: 4] @ [b/p, b, a] with uneven;",
        "y[i / 4, i % 4] <- x[i];",
    ),
    (
        "quotients of sums",
        "in x: i16[i: 12] @ [i/p, i] with uneven; out y: i16[u: 9, v: 7] @ [u/p, u, v] with uneven;",
        "y[u, v] <- x[(u * 3 + v) / 4 + (u + 11 - v) % 3];",
    ),
    (
        "a page table on the right",
        "in page: ix32(6)[r: 3, j: 2] @ [copy/p, r, j]; in pool: bf16[s: 24, d: 8] @ [d/p, s, d] with uneven; out kv: bf16[r: 3, u: 8, d: 8] @ [r/p, r, u, d] with uneven;",
        "kv[r, u, d] <- pool[page[r, u / 4] * 4 + u % 4, d];",
    ),
    (
        "a page table on the left",
        "in page: ix32(9)[r: 3, j: 2] @ [copy/p, r, j]; in kv: bf16[r: 3, u: 8, d: 8] @ [r/p, r, u, d] with uneven; out pool: bf16[s: 36, d: 8] @ [s/p, s, d] with uneven, fill(2); assume distinct((r, j): page[r, j]);",
        "pool[page[r, u / 4] * 4 + u % 4, d] <- kv[r, u, d];",
    ),
    (
        "pages of two sizes",
        "in from: ix32(8)[j: 4] @ [copy/p, j]; in to: ix32(16)[k: 8] @ [copy/p, k]; in a: f32[s: 32, d: 8] @ [d/p, s, d] with uneven; inout b: f32[s: 32, d: 8] @ [copy/p, s, d]; assume distinct(k: to[k]);",
        "b[to[u / 2] * 2 + u % 2, d] <- a[from[u / 4] * 4 + u % 4, d] where u < 16;",
    ),
    (
        "an element of an element",
        "in a: ix32(5)[r: 11] @ [r/p, r] with uneven; in b: ix32(7)[i: 5] @ [copy/p, i]; in x: f16[k: 7, h: 3] @ [copy/p, k, h]; out y: f16[r: 11, h: 3] @ [r/p, r, h] with uneven;",
        "y[r, h] <- x[b[a[r]], h];",
    ),
    (
        "places that may be none",
        "in a: ix32(9, none = -1)[r: 17] @ [r/p, r] with uneven; in x: f32[k: 9, h: 3] @ [k/p, k, h] with uneven; out y: f32[r: 17, h: 3] @ [r/p, r, h] with uneven, fill(7);",
        "y[r, h] <- x[a[r], h];",
    ),
    (
        "sums over places that may be none",
        "in a: ix32(9, none = -1)[r: 5, k: 4] @ [r/p, r, k] with uneven; in x: f32[i: 9, h: 3] @ [copy/p, i, h]; out y: f32[r: 5, h: 3] @ [r/p, r, h] with uneven;",
        "y[r, h] <- sum(k: x[a[r, k], h]);",
    ),
    (
        "rows put where none is nothing",
        "in to: ix32(20, none = -1)[r: 12] @ [copy/p, r]; in x: f32[r: 12, h: 6] @ [r/p, r, h] with uneven; inout y: f32[s: 20, h: 6] @ [s/p, s, h] with uneven; assume distinct(r: to[r]);",
        "y[to[r], h] <- x[r, h];",
    ),
    (
        "places of each row",
        "in to: ix32(6)[b: 7, i: 4] @ [copy/p, b, i]; in x: f32[b: 7, i: 4] @ [b/p, b, i] with uneven; out y: f32[b: 7, s: 6] @ [b/p, b, s] with uneven, fill(0); assume distinct(i: to[b, i]);",
        "y[b, to[b, i]] <- x[b, i];",
    ),
    (
        "one of each row",
        "in to: ix32(6)[b: 7] @ [copy/p, b]; in x: f32[b: 7] @ [b/p, b] with uneven; out y: f32[b: 7, s: 6] @ [b/p, b, s] with uneven, fill(0);",
        "y[b, to[b]] <- x[b];",
    ),
    (
        "an offset that a tensor gives",
        "in la: ix32(5)[b: 4] @ [copy/p, b]; in x: f32[b: 4, l: 6] @ [b/p, b, l] with uneven; inout y: f32[b: 4, l: 10] @ [b/p, b, l] with uneven;",
        "y[b, la[b] + l] <- x[b, l];",
    ),
    (
        "read by a condition",
        "in a: ix32(5, none = -1)[r: 9] @ [copy/p, r]; in w: i32[i: 5] @ [copy/p, i]; in x: f32[r: 9] @ [r/p, r] with uneven; out y: f32[r: 9] @ [copy/p, r] with fill(0);",
        "y[r] <- x[r] where a[r] >= 0 && w[a[r]] > 0;",
    ),
    (
        "padded",
        "in x: f32[i: 6, h: 5] @ [i/p, i, h] with uneven; out y: f32[i: 11, h: 8] @ [i/p, i, h] with uneven, fill(3);",
        "y[i, h] <- x[i, h];",
    ),
    (
        "the first of them",
        "in w: f32[r: 9, h: 4] @ [r/p, r, h] with uneven; out q: f32[r: 5, h: 4] @ [copy/p, h, r];",
        "q[r, h] <- w[r, h] where r < 5;",
    ),
    (
        "a block into a block",
        "in a: f32[i: 40] @ [i/p, i] with uneven; inout b: f32[i: 25] @ [i/p, i] with uneven;",
        "b[i + 5] <- a[i + 12] where i <= 18;",
    ),
    (
        "stacked",
        "in a: bf16[m: 9] @ [m/p, m] with uneven; in b: bf16[m: 9] @ [copy/p, m]; out o: bf16[z: 2, m: 9] @ [copy/p, z, m];",
        "o[0, m] <- a[m]; o[1, m] <- b[m];",
    ),
    (
        "interleaved",
        "in a: f32[m: 9, h: 4] @ [m/p, m, h] with uneven; in b: f32[m: 9, h: 4] @ [m/p, m, h] with uneven; out o: f32[m: 18, h: 4] @ [m/p, m, h] with uneven;",
        "o[m * 2, h] <- a[m, h]; o[m * 2 + 1, h] <- b[m, h];",
    ),
    (
        "three parts of one weight",
        "in q: bf16[i: 16, h: 8] @ [h/p, i, h] with uneven; in k: bf16[i: 4, h: 8] @ [i/p, i, h] with uneven; in v: bf16[i: 4, h: 8] @ [copy/p, i, h]; out w: bf16[i: 24, h: 8] @ [i/p, i, h] with uneven;",
        "w[i, h] <- q[i, h]; w[i + 16, h] <- k[i, h]; w[i + 20, h] <- v[i, h];",
    ),
    (
        "halves of a rotary row",
        "in x: f32[t: 7, h: 8] @ [t/p, t, h] with uneven; out o: f32[t: 7, h: 8] @ [t/p, t, h] with uneven;",
        "o[t, h] <- x[t, h + 4] * -1.0 where h < 4; o[t, h + 4] <- x[t, h] where h < 4;",
    ),
    (
        "parts told apart by a condition",
        "in a: i32[i: 13] @ [i/p, i] with uneven; in b: i32[i: 13] @ [copy/p, i]; out o: i32[i: 13] @ [i/p, i] with uneven;",
        "o[i] <- a[i] where i % 3 == 1; o[i] <- b[12 - i] where i % 3 != 1;",
    ),
];

fn number(program: &Program, size: &Size) -> usize {
    let value = program.eval(size, &Bindings::new()).expect("a size known at bind");
    usize::try_from(value).expect("an extent")
}

fn shape(program: &Program, tensor: &Tensor) -> Vec<usize> {
    let one = |extent: &Extent| match extent {
        Extent::Fixed(size) => number(program, size),
        _ => panic!("a fixed extent"),
    };
    tensor.axes.iter().map(|a| one(&a.extent)).collect()
}

/// Random elements; indices in their range, some none, those assumed distinct all different.
fn inputs(program: &Program, random: &mut Random) -> Inputs {
    let mut inputs = Inputs::default();
    let read = program.tensors.iter().filter(|(_, t)| matches!(t.io, Io::In | Io::InOut));
    for (handle, tensor) in read {
        let shape = shape(program, tensor);
        let mut array = Array::zeros(tensor.dtype.elem, shape.clone());
        random.fill(&mut array);
        if let Some(index) = &tensor.dtype.index {
            let bound = number(program, &index.bound) as u64;
            let distinct = program.assumes.iter().find(|a| a.tensor == handle);
            let row = match distinct {
                Some(assume) => assume.axes.iter().map(|a| shape[*a]).product(),
                None => 1,
            };
            let mut values = Vec::new();
            while values.len() < shape.iter().product() {
                let mut left: Vec<i64> = (0..bound as i64).collect();
                for _ in 0..row {
                    let value = left.swap_remove(random.below(left.len() as u64) as usize);
                    values.push(match index.none {
                        Some(none) if random.below(4) == 0 => none,
                        _ => value,
                    });
                }
            }
            array = Array::from_i64(tensor.dtype.elem, shape, &values);
        }
        inputs.tensors.insert(tensor.name.clone(), array);
    }
    inputs
}

#[test]
fn computed_indices_equal_the_oracle() {
    for (name, declarations, statements) in FORMS {
        for ranks in 1..=8usize {
            let text = format!(
                "program p {{ mesh m {{ p: {ranks} }} {declarations} entry e {{ {statements} }} }}"
            );
            for world in [World::host(ranks).ok(), gpu(ranks)].into_iter().flatten() {
                let session = Session::new(&text, &[], &[], world);
                let inputs = inputs(&session.compiled.hir, &mut Random(ranks as u64));
                session.upload(&inputs);
                session.poison();
                let stream = session.world.stream().expect("a stream");
                session.launch("e", &stream, &inputs).expect("queued");
                stream.synchronize().unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
                let expected = session.expected(&["e"], &inputs);
                let compared = fusco_dsl::ranks::compare(&expected, &session.outputs());
                assert!(compared.as_ref().is_ok_and(|n| *n > 0), "{name}: {compared:?}\n{text}");
            }
        }
    }
}

#[test]
fn computed_indices_compile() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    for (name, declarations, statements) in FORMS {
        let text =
            format!("program p {{ mesh m {{ p: 3 }} {declarations} entry e {{ {statements} }} }}");
        let compiled = compile(&text, None, &Bindings::new()).expect("a program");
        let unit = generate(&compiled.schedule, &Target::hopper(3)).expect("a text");
        jit::compile(&unit.source, "indices", "sm_90a")
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", unit.source));
    }
}
