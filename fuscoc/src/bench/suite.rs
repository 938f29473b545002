//! The works that a release is measured by, with their bars and their peers.

use super::args::Args;
use super::bar::Bar::{self, Copy, Filled, Peer, Time};
use super::check;
use super::peers::Folder;
use super::row::Line;
use super::work::{self, Job, Timed};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Backend, Prepared, Work, prepare, world};
use crate::source::Source;
use fusco_runtime::World;

/// A program of the suite, run once for all its works.
struct Item {
    file: &'static str,
    text: &'static str,
    backend: Backend,
    /// Entries in the order of the first run.
    run: &'static [&'static str],
    feed: &'static [&'static str],
    whole: Shape,
    /// Small enough for the reference interpreter. `None`: the whole shape is.
    small: Option<Shape>,
    /// The file of the traces that routes it.
    trace: Option<&'static str>,
    works: &'static [WorkOf],
}

#[derive(Clone, Copy)]
struct Shape {
    set: &'static str,
    dyns: &'static [&'static str],
}

struct WorkOf {
    name: &'static str,
    /// One alone, several as one graph.
    entries: &'static [&'static str],
    bars: &'static [Bar],
    /// The script that knows what others offer, and its name of the work.
    peers: Option<(&'static str, &'static str)>,
}

macro_rules! program {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../", $name)))
    };
}

const MOE: (&str, &str) = program!("examples/programs/moe.fusco");
const PARTS: (&str, &str) = program!("tests/gpu/moe_parts.fusco");
const DECODE: (&str, &str) = program!("tests/gpu/moe_decode.fusco");
const RESHARD: (&str, &str) = program!("examples/programs/reshard_transpose.fusco");
const TILES: (&str, &str) = program!("examples/programs/to_tiles.fusco");
const ULYSSES: (&str, &str) = program!("examples/programs/ulysses.fusco");
const CYCLIC: (&str, &str) = program!("examples/programs/cyclic_to_block.fusco");
const KV: (&str, &str) = program!("examples/programs/kv_migrate.fusco");
const DLRM: (&str, &str) = program!("examples/programs/dlrm.fusco");
const PARTIALS: (&str, &str) = program!("examples/programs/partials.fusco");

const WIDE: Option<&str> = Some("e256_k8_r8.safetensors");

const fn shape(set: &'static str, dyns: &'static [&'static str]) -> Shape {
    Shape { set, dyns }
}

const fn work(
    name: &'static str,
    entries: &'static [&'static str],
    bars: &'static [Bar],
    peers: Option<(&'static str, &'static str)>,
) -> WorkOf {
    WorkOf { name, entries, bars, peers }
}

/// One entry `main` without routes, on a device.
const fn moves(
    (file, text): (&'static str, &'static str),
    whole: &'static str,
    small: &'static str,
    works: &'static [WorkOf],
) -> Item {
    Item {
        file,
        text,
        backend: Backend::Cuda,
        run: &["main"],
        feed: &[],
        whole: shape(whole, &[]),
        small: Some(shape(small, &[])),
        trace: None,
        works,
    }
}

/// Plan, dispatch and combine of a small batch as one graph.
const fn decode(
    set: &'static str,
    dyns: &'static [&'static str],
    small: &'static str,
    works: &'static [WorkOf],
) -> Item {
    Item {
        file: DECODE.0,
        text: DECODE.1,
        backend: Backend::Cuda,
        run: &["dispatch", "combine"],
        feed: &["z=y"],
        whole: shape(set, dyns),
        small: Some(shape(small, dyns)),
        trace: WIDE,
        works,
    }
}

/// Dispatch and combine of a trace of two ranks on the host.
const fn host(set: &'static str, works: &'static [WorkOf]) -> Item {
    Item {
        file: MOE.0,
        text: MOE.1,
        backend: Backend::Host,
        run: LAYER,
        feed: &["z=y"],
        whole: shape(set, &["T=2048"]),
        small: Some(shape("G=2,E=8,K=2,H=64,TMAX=512", &["T=512"])),
        trace: Some("e8_k2_r2.safetensors"),
        works,
    }
}

const LAYER: &[&str] = &["dispatch", "combine"];

const ITEMS: &[Item] = &[
    Item {
        file: PARTS.0,
        text: PARTS.1,
        backend: Backend::Cuda,
        run: &["plan_only", "rows_only", "dispatch", "combine"],
        feed: &["z=y"],
        whole: shape("G=8,E=256,K=8,H=7168,TMAX=4096", &["T=4096"]),
        small: Some(shape("G=8,E=256,K=8,H=32,TMAX=4096", &["T=4096"])),
        trace: WIDE,
        works: &[
            work(
                "plan",
                &["plan_only"],
                &[Time(25.0), Peer("PyTorch sort", 10.0)],
                Some(("plan.py", "plan")),
            ),
            work(
                "dispatch_rows",
                &["rows_only"],
                &[
                    Copy(0.92),
                    Peer("PyTorch compiled gather", 1.7),
                    Peer("PyTorch three passes", 4.8),
                ],
                Some(("dispatch.py", "dispatch_rows")),
            ),
            // Plans, and fills the padding.
            work("dispatch", &["dispatch"], &[Filled(0.92)], None),
            work(
                "combine",
                &["combine"],
                &[Copy(0.95), Peer("PyTorch compiled", 3.4)],
                Some(("combine.py", "combine")),
            ),
        ],
    },
    decode(
        "G=8,E=256,K=8,H=7168,TMAX=1",
        &["T=1"],
        "G=8,E=256,K=8,H=64,TMAX=1",
        &[work("decode_1", LAYER, &[], None)],
    ),
    decode(
        "G=8,E=256,K=8,H=7168,TMAX=8",
        &["T=8"],
        "G=8,E=256,K=8,H=64,TMAX=8",
        &[work("decode_8", LAYER, &[], None)],
    ),
    decode(
        "G=8,E=256,K=8,H=7168,TMAX=32",
        &["T=32"],
        "G=8,E=256,K=8,H=64,TMAX=32",
        &[work("decode_32", LAYER, &[], None)],
    ),
    decode(
        "G=8,E=256,K=8,H=7168,TMAX=128",
        &["T=128"],
        "G=8,E=256,K=8,H=64,TMAX=128",
        &[work("decode_128", LAYER, &[], None)],
    ),
    // At H = 7168 the rows alone take 87 us at the rate of a copy: the bar is about what is beside them.
    decode(
        "G=8,E=256,K=8,H=2048,TMAX=128",
        &["T=128"],
        "G=8,E=256,K=8,H=64,TMAX=128",
        &[work("decode_128_h2048", LAYER, &[Time(45.0)], None)],
    ),
    moves(
        RESHARD,
        "M=8192,N=8192",
        "M=768,N=512",
        &[work(
            "reshard_8192",
            &["main"],
            &[Copy(0.88), Copy(0.92)],
            Some(("reshard.py", "transpose")),
        )],
    ),
    moves(
        RESHARD,
        "M=16384,N=16384",
        "M=512,N=1024",
        &[work(
            "reshard_16384",
            &["main"],
            &[Copy(0.88), Copy(0.92)],
            Some(("reshard.py", "transpose")),
        )],
    ),
    moves(
        TILES,
        "M=8192,C=8192",
        "M=512,C=768",
        &[work("to_tiles", &["main"], &[Copy(0.88), Copy(0.92)], Some(("reshard.py", "to_tiles")))],
    ),
    Item {
        file: ULYSSES.0,
        text: ULYSSES.1,
        backend: Backend::Cuda,
        run: &["to_heads", "to_seq"],
        feed: &["a=p"],
        whole: shape("B=1,S=32768,N=64,D=128", &[]),
        small: Some(shape("B=2,S=128,N=16,D=128", &[])),
        trace: None,
        works: &[
            work(
                "ulysses_to_heads",
                &["to_heads"],
                &[Copy(0.88), Copy(0.92)],
                Some(("reshard.py", "to_heads")),
            ),
            work(
                "ulysses_to_seq",
                &["to_seq"],
                &[Copy(0.88), Copy(0.92)],
                Some(("reshard.py", "to_seq")),
            ),
        ],
    },
    moves(
        CYCLIC,
        "M=8192,N=8192,LDB=2048",
        "M=1000,N=777,LDB=200",
        &[work(
            "cyclic_to_block",
            &["main"],
            &[Copy(0.80), Copy(0.88)],
            Some(("reshard.py", "cyclic")),
        )],
    ),
    Item {
        whole: shape("L=16,P=1024,N=8,D=128,JMAX=64,RMAX=8", &["R=8"]),
        small: Some(shape("L=2,P=64,N=8,D=64,JMAX=8,RMAX=9", &["R=7"])),
        ..moves(
            KV,
            "",
            "",
            &[work("kv_migrate", &["main"], &[Copy(0.80)], Some(("reshard.py", "kv")))],
        )
    },
    Item {
        run: &["forward"],
        ..moves(
            DLRM,
            "B=16384,D=128,LMAX=9",
            "B=512,D=64,LMAX=9",
            &[work("dlrm_forward", &["forward"], &[Copy(0.92)], Some(("reshard.py", "dlrm")))],
        )
    },
    Item {
        run: &["reduce_scatter", "all_reduce"],
        ..moves(
            PARTIALS,
            "M=8192,N=8192",
            "M=512,N=256",
            &[
                work(
                    "reduce_scatter",
                    &["reduce_scatter"],
                    &[],
                    Some(("reshard.py", "reduce_scatter")),
                ),
                work("all_reduce", &["all_reduce"], &[], Some(("reshard.py", "all_reduce"))),
            ],
        )
    },
    host(
        "G=2,E=8,K=2,H=7168,TMAX=2048",
        &[
            work(
                "host_dispatch",
                &["dispatch"],
                &[Copy(0.60), Peer("NumPy take", 2.0)],
                Some(("host.py", "dispatch")),
            ),
            work(
                "host_combine",
                &["combine"],
                &[Copy(0.60), Peer("NumPy take", 2.0)],
                Some(("host.py", "combine")),
            ),
        ],
    ),
    host(
        "G=2,E=8,K=2,H=1024,TMAX=2048",
        &[
            work("host_dispatch_h1024", &["dispatch"], &[], Some(("host.py", "dispatch"))),
            work("host_combine_h1024", &["combine"], &[], Some(("host.py", "combine"))),
        ],
    ),
    Item {
        backend: Backend::Host,
        ..moves(
            RESHARD,
            "M=4096,N=4096",
            "M=512,N=512",
            &[work("host_reshard", &["main"], &[], Some(("host.py", "transpose")))],
        )
    },
];

/// Every work that `--only` leaves, in the order of the suite.
pub fn run(args: &Args) -> Result<Vec<Line>, Failure> {
    let known: Vec<&str> = ITEMS.iter().flat_map(|i| i.works).map(|w| w.name).collect();
    if let Some(name) = args.only.iter().find(|n| !known.contains(&n.as_str())) {
        let known = known.join(", ");
        return Err(Failure::usage(format!("the suite has no `{name}`; it has {known}")));
    }
    let device = World::device(0, 1).err().map(|e| e.to_string());
    let folder = if args.peers { Some(Folder::new()?) } else { None };
    let mut lines = Vec::new();
    for item in ITEMS {
        let works: Vec<&WorkOf> = item.works.iter().filter(|w| wanted(args, w)).collect();
        if works.is_empty() {
            continue;
        }
        let backend = args.backend.unwrap_or(item.backend);
        let missing = device.as_deref().filter(|_| backend == Backend::Cuda);
        let found = match missing {
            Some(why) => Err(Failure::environment(why)),
            None => item.rows(args, &works, backend),
        };
        match found {
            Ok(found) => lines.extend(found),
            Err(failure) => lines.extend(works.iter().map(|w| Line::missing(w.name, &failure))),
        }
        if let Some(folder) = &folder {
            peers(args, item, &works, folder, &mut lines);
        }
    }
    Ok(lines)
}

fn wanted(args: &Args, work: &WorkOf) -> bool {
    args.only.is_empty() || args.only.iter().any(|n| n == work.name)
}

fn peers(args: &Args, item: &Item, works: &[&WorkOf], folder: &Folder, lines: &mut [Line]) {
    for work in works {
        let row = lines.iter_mut().filter_map(Line::row_mut).find(|r| r.work == work.name);
        if let (Some((script, name)), Some(row)) = (work.peers, row) {
            row.peers = folder.run(name, script, &item.shape(args).words(), &args.traces);
        }
    }
}

impl Shape {
    /// `G=8 E=256 T=4096`
    fn words(&self) -> String {
        let sets = self.set.split(',').chain(self.dyns.iter().copied());
        sets.filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Item {
    fn shape(&self, args: &Args) -> Shape {
        if args.small { self.small.unwrap_or(self.whole) } else { self.whole }
    }

    fn rows(&self, args: &Args, works: &[&WorkOf], backend: Backend) -> Result<Vec<Line>, Failure> {
        let progress = Progress::new(4 * self.run.len() + works.len());
        let (ready, world, finished, checked) = match self.small.filter(|_| !args.small) {
            None => {
                let ready = self.prepare(args, self.shape(args), false)?;
                let world = world(&ready.compiled, backend, &[])?;
                let (finished, checked) = check::by_oracle(&ready, &world, &progress)?;
                (ready, world, finished, checked)
            }
            Some(small) => {
                let small = self.prepare(args, small, false)?;
                let ready = self.prepare(args, self.whole, true)?;
                let world = world(&ready.compiled, backend, &[])?;
                let (finished, checked) = check::by_host(&small, &ready, &world, &progress)?;
                (ready, world, finished, checked)
            }
        };
        let timed: Vec<Timed> = works.iter().map(|w| w.timed(args, backend, self)).collect();
        let job = Job::new(&ready, &world, &finished, Some(&checked));
        let rows = work::rows(&job, &timed, args.repeat, &progress)?;
        Ok(rows.into_iter().map(|r| Line::Row(Box::new(r))).collect())
    }

    fn prepare(&self, args: &Args, shape: Shape, raw: bool) -> Result<Prepared, Failure> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut inputs = Vec::new();
        if let Some(trace) = self.trace {
            let path = args.traces.join(trace);
            inputs.push(format!("topk={}:topk_idx", path.display()));
            if self.run.contains(&"combine") {
                inputs.push(format!("w={}:topk_weight", path.display()));
            }
        }
        let work = Work {
            entries: owned(self.run),
            program: None,
            set: vec![shape.set.to_string()],
            dyns: owned(shape.dyns),
            inputs,
            feed: owned(self.feed),
            random: Some(args.work.random.unwrap_or_else(|| fastrand::u64(..))),
            raw,
        };
        let source = Source { name: self.file.to_string(), text: self.text.to_string() };
        prepare(work, &source)
    }
}

impl WorkOf {
    /// The bars hold for the whole shape where it is at home.
    fn timed(&self, args: &Args, backend: Backend, item: &Item) -> Timed {
        let judged = !args.small && backend == item.backend;
        Timed {
            name: self.name.to_string(),
            entries: self.entries.iter().map(ToString::to_string).collect(),
            bars: if judged { self.bars.to_vec() } else { Vec::new() },
        }
    }
}
