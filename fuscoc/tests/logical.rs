//! `scatter` and `gather` of the library beside what `fuscoc run` writes: the same inputs, launched by both, leave
//! the same logical arrays, counts and bytes of each rank, for placements of every kind at odd sizes.

use fusco_runtime::{Bound, Buffer, Error, LaunchArgs, Logical, Plan, World, bf16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A program with one run of it.
#[derive(Clone, Copy, Default)]
struct Case<'a> {
    text: &'a str,
    params: &'a [(&'a str, i64)],
    dyns: &'a [(&'a str, &'a [i64])],
    entries: &'a [&'a str],
    /// Inputs that are what an earlier entry left.
    feeds: &'a [(&'a str, &'a str)],
    inputs: &'a [(&'a str, &'a [usize], Values)],
}

/// What the elements of an input are.
#[derive(Clone, Copy)]
enum Values {
    Bf16,
    F32,
    I32(fn(usize) -> i64),
    I64(fn(usize) -> i64),
}

/// Exact in bf16, different from its neighbours.
fn float(i: usize) -> f32 {
    (i * 37 % 251) as f32 - 125.0
}

impl Values {
    fn dtype(self) -> Dtype {
        match self {
            Values::Bf16 => Dtype::BF16,
            Values::F32 => Dtype::F32,
            Values::I32(_) => Dtype::I32,
            Values::I64(_) => Dtype::I64,
        }
    }

    fn bytes(self, len: usize) -> Vec<u8> {
        let each = |i| match self {
            Values::Bf16 => bf16::from_f32(float(i)).to_le_bytes().to_vec(),
            Values::F32 => float(i).to_le_bytes().to_vec(),
            Values::I32(of) => (of(i) as i32).to_le_bytes().to_vec(),
            Values::I64(of) => of(i).to_le_bytes().to_vec(),
        };
        (0..len).flat_map(each).collect()
    }

    /// By the type that the program declares.
    fn scatter(
        self,
        bound: &Bound,
        name: &str,
        shape: &[usize],
        args: &LaunchArgs<'_>,
    ) -> Result<(), Error> {
        let all = 0..shape.iter().product();
        match self {
            Values::Bf16 => {
                let values: Vec<_> = all.map(|i| bf16::from_f32(float(i))).collect();
                bound.scatter(name, shape, &values, args)
            }
            Values::F32 => bound.scatter(name, shape, &all.map(float).collect::<Vec<_>>(), args),
            Values::I32(of) => {
                let values: Vec<_> = all.map(|i| of(i) as i32).collect();
                bound.scatter(name, shape, &values, args)
            }
            Values::I64(of) => bound.scatter(name, shape, &all.map(of).collect::<Vec<_>>(), args),
        }
    }
}

/// Shape, bytes and counts of a logical array.
type Found = (Vec<usize>, Vec<u8>, Option<Vec<i32>>);

/// By the bits of its elements, which have so many bytes.
fn gather(bound: &Bound, name: &str, width: usize, args: &LaunchArgs<'_>) -> Result<Found, Error> {
    fn found<T>(logical: Logical<T>, bytes: impl Fn(&T) -> Vec<u8>) -> Found {
        (logical.shape, logical.values.iter().flat_map(bytes).collect(), logical.counts)
    }
    Ok(match width {
        2 => found(bound.gather::<u16>(name, args)?, |v| v.to_le_bytes().to_vec()),
        4 => found(bound.gather::<u32>(name, args)?, |v| v.to_le_bytes().to_vec()),
        8 => found(bound.gather::<u64>(name, args)?, |v| v.to_le_bytes().to_vec()),
        _ => panic!("`{name}` has elements of {width} bytes"),
    })
}

impl Case<'_> {
    /// What `fuscoc run` writes of it.
    fn written(&self, folder: &Path) -> Vec<u8> {
        let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_string();
        std::fs::write(path("p.fusco"), self.text).expect("written");
        let bytes: Vec<_> =
            self.inputs.iter().map(|(_, s, v)| v.bytes(s.iter().product())).collect();
        let views = self.inputs.iter().zip(&bytes).map(|((name, shape, values), bytes)| {
            (*name, TensorView::new(values.dtype(), shape.to_vec(), bytes).expect("whole"))
        });
        let file = path("in.safetensors");
        safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, Path::new(&file))
            .expect("written");
        let mut fuscoc = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
        fuscoc.args(["run", &path("p.fusco"), "--entry", &self.entries.join(","), "--verify"]);
        fuscoc.args(["--out", &path("out.safetensors")]);
        for (name, value) in self.params {
            fuscoc.args(["--set", &format!("{name}={value}")]);
        }
        for (name, values) in self.dyns {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            fuscoc.args(["--dyn", &format!("{name}={}", values.join(","))]);
        }
        self.inputs.iter().for_each(|(n, ..)| _ = fuscoc.args(["--in", &format!("{n}={file}")]));
        self.feeds.iter().for_each(|(to, of)| _ = fuscoc.args(["--feed", &format!("{to}={of}")]));
        let done = fuscoc.output().expect("it runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(path("out.safetensors")).expect("written")
    }

    fn check(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let written = self.written(folder.path());
        let written = SafeTensors::deserialize(&written).expect("safetensors");
        let params = self.params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let run = Run::new(self, &params);
        let buffers: Vec<_> = run.buffers.iter().map(|(n, b)| (n.as_str(), b)).collect();
        let plans: Vec<_> = run.plans.iter().collect();
        let args = LaunchArgs { dyns: self.dyns, buffers: &buffers, plans: &plans };
        // Tables of counts and owners come before what follows from them: so do the cases name them.
        for (name, shape, values) in self.inputs {
            values.scatter(&run.bound, name, shape, &args).expect(name);
        }
        let stream = run.bound.world().stream().expect("a stream");
        for entry in self.entries {
            run.feed(self, entry, &args);
            run.bound.launch(entry, &stream, &args).expect(entry);
            stream.synchronize().expect(entry);
        }
        for (name, shape, values) in self.inputs {
            let bytes = values.bytes(shape.iter().product());
            let width = bytes.len() / shape.iter().product::<usize>();
            let found = gather(&run.bound, name, width, &args).expect(name);
            assert_eq!((&found.0[..], &found.1), (*shape, &bytes), "{name} is as it was filled");
        }
        let mut compared = 0;
        for (name, view) in written.tensors() {
            if let Some((name, rank)) = name.split_once('@') {
                let part = run.buffers[name].download(rank.parse().expect("a rank"));
                let part = part.expect("readable");
                assert_eq!(&part[..view.data().len()], view.data(), "{name}@{rank}");
                continue;
            }
            if name.ends_with(".count") {
                continue;
            }
            let width = view.data().len() / view.shape().iter().product::<usize>().max(1);
            let (shape, bytes, counts) = gather(&run.bound, &name, width, &args).expect("gathered");
            assert_eq!((&shape[..], &bytes[..]), (view.shape(), view.data()), "{name}");
            let count = written.tensor(&format!("{name}.count")).ok().map(|view| {
                let words = view.data().as_chunks::<4>().0.iter();
                words.map(|w| i32::from_le_bytes(*w)).collect::<Vec<_>>()
            });
            assert_eq!(counts, count, "{name}");
            compared += bytes.len();
        }
        assert!(compared > 0);
    }
}

/// A bound program with a buffer a tensor and a plan a route.
struct Run {
    bound: Bound,
    buffers: BTreeMap<String, Buffer>,
    plans: Vec<Plan>,
}

impl Run {
    fn new(case: &Case<'_>, params: &BTreeMap<String, i64>) -> Run {
        let ranks =
            fusco_dsl::compile(case.text, None, params).expect("it compiles").schedule.ranks;
        let world = World::host(ranks as usize).expect("a world");
        let bound = world.bind(case.text, None, params).expect("bound");
        let alloc = |name: &str| (name.to_string(), bound.alloc(name).expect("memory"));
        let buffers = bound.tensors().map(alloc).collect();
        let plans = bound.routes().map(|n| bound.plan(n).expect("memory")).collect();
        Run { bound, buffers, plans }
    }

    /// Puts what an earlier entry left into the inputs of this one, through its logical array.
    fn feed(&self, case: &Case<'_>, entry: &str, args: &LaunchArgs<'_>) {
        let schedule = self.bound.schedule();
        let info = schedule.entries.iter().find(|e| e.name == entry).expect("an entry");
        let reads = |name: &str| info.tensors.iter().any(|t| schedule.tensors[*t].name == name);
        for (to, from) in case.feeds.iter().filter(|(to, _)| reads(to)) {
            let logical = self.bound.gather::<bf16>(from, args).expect("gathered");
            self.bound.scatter(to, &logical.shape, &logical.values, args).expect("scattered");
        }
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/examples/programs/{name}.fusco")).expect("an example")
}

#[test]
fn swizzled_strided_uneven_cyclic_and_summed_tensors() {
    let tiles = example("to_tiles");
    for (m, c) in [(8, 128), (40, 384), (24, 256)] {
        let shape = [m as usize, c as usize];
        let inputs = [("a", &shape[..], Values::Bf16)];
        let params = [("M", m), ("C", c)];
        Case {
            text: &tiles,
            params: &params,
            entries: &["main"],
            inputs: &inputs,
            ..Case::default()
        }
        .check();
    }
    let cyclic = example("cyclic_to_block");
    for (m, n, ldb) in [(201, 203, 60), (65, 130, 36), (1, 257, 68)] {
        let shape = [m as usize, n as usize];
        let inputs = [("a", &shape[..], Values::F32)];
        let params = [("M", m), ("N", n), ("LDB", ldb)];
        Case {
            text: &cyclic,
            params: &params,
            entries: &["main"],
            inputs: &inputs,
            ..Case::default()
        }
        .check();
    }
    Case {
        text: &example("partials"),
        params: &[("M", 8), ("N", 24)],
        entries: &["reduce_scatter", "all_reduce"],
        inputs: &[("y", &[8, 8, 24], Values::Bf16), ("v", &[8, 8, 24], Values::Bf16)],
        ..Case::default()
    }
    .check();
}

#[test]
fn mapped_and_counted_tensors() {
    let inputs = [
        ("emb", &[8, 12, 4][..], Values::F32),
        ("len", &[8, 12], Values::I32(|i| [3, 0, 5, 1, 2][i % 5])),
        // Beyond the length of a row there is nothing to fill; `gather` leaves 0 there.
        (
            "ids",
            &[8, 12, 5],
            Values::I64(|i| if i % 5 < [3, 0, 5, 1, 2][i / 5 % 5] { 7 * i as i64 + 1 } else { 0 }),
        ),
    ];
    Case {
        text: &example("dlrm"),
        params: &[("B", 12), ("D", 4), ("LMAX", 5)],
        entries: &["forward", "lookup"],
        inputs: &inputs,
        ..Case::default()
    }
    .check();
    let inputs = [
        ("np", &[5][..], Values::I32(|i| [3, 5, 0, 2, 1][i])),
        (
            "page",
            &[5, 5],
            Values::I32(|i| if (i % 5) < [3, 5, 0, 2, 1][i / 5] { i as i64 * 5 % 13 } else { 0 }),
        ),
        ("pool", &[2, 2, 13, 16, 8, 16], Values::Bf16),
    ];
    Case {
        text: &example("kv_migrate"),
        params: &[("L", 2), ("P", 13), ("N", 8), ("D", 16), ("JMAX", 5), ("RMAX", 6)],
        dyns: &[("R", &[5])],
        entries: &["main"],
        inputs: &inputs,
        ..Case::default()
    }
    .check();
}

/// Two choices of 6, -1 for none; rows of 11 tokens.
fn topk(i: usize) -> i64 {
    let token = i / 2 * 7 % 6;
    if i % 9 == 4 { -1 } else { ((token + i % 2 * 2) % 6) as i64 }
}

/// [`topk`] where the rank has such a token, and 0 elsewhere: what `gather` finds where nothing was filled.
fn live<const FAN: usize>(i: usize, of: fn(usize) -> i64) -> i64 {
    let (rank, token) = (i / (11 * FAN), i / FAN % 11);
    if token < [11, 7, 0][rank] { of(i) } else { 0 }
}

#[test]
fn packed_tensors_of_a_route() {
    let inputs = [
        ("x", &[3, 11, 24][..], Values::Bf16),
        ("topk", &[3, 11, 2], Values::I64(topk)),
        ("w", &[3, 11, 2], Values::F32),
    ];
    let moe = example("moe");
    let case = Case {
        text: &moe,
        params: &[("G", 3), ("E", 6), ("K", 2), ("H", 24), ("TMAX", 11)],
        dyns: &[("T", &[11, 11, 11])],
        entries: &["dispatch", "combine"],
        feeds: &[("z", "y")],
        inputs: &inputs,
    };
    case.check();
    let inputs = [("topk", &[3, 11, 2][..], Values::I64(|i| live::<2>(i, topk)))];
    let text = "program counts {
        mesh ep { gpu: 3 }
        dyn T[gpu]: int <= 12;
        in topk: ix64(6, none = -1)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
        out y: i32[e: 6, c: ragged] @ [e/gpu, e, c.pack(16)] with fill(-7);
        route r: (s, t, k) -> (e, c) { e = topk[s, t, k] else drop; c = slot(e) by (s, t, k); }
        entry main { plan r; y[e, c] <- s * 100 + t via r; }
    }";
    let dyns: &[(&str, &[i64])] = &[("T", &[11, 7, 0])];
    Case { text, dyns, entries: &["main"], inputs: &inputs, ..Case::default() }.check();
    let inputs = [("a", &[3, 11][..], Values::I32(|i| live::<1>(i, |i| 3 * i as i64 - 40)))];
    let text = "program rows {
        mesh ep { gpu: 3 }
        dyn T[gpu]: int <= 12;
        in a: i32[s: gpu, t: T[s]] @ [s/gpu, t];
        out b: i32[s: gpu, t: T[s]] @ [s/gpu, t];
        entry main { b[s, t] <- a[s, t]; }
    }";
    Case { text, dyns, entries: &["main"], inputs: &inputs, ..Case::default() }.check();
    let inputs = [
        ("x", &[9, 8][..], Values::Bf16),
        ("topk", &[9, 8], Values::I32(|i| [4, -1, 0, 3, 3, 1, 2][i % 7])),
    ];
    Case {
        text: &example("local_permute"),
        params: &[("E", 5), ("H", 8), ("TMAX", 10)],
        dyns: &[("T", &[9])],
        entries: &["permute"],
        inputs: &inputs,
        ..Case::default()
    }
    .check();
}
