//! What is timed on several devices, for any number of them that it divides among.

use crate::run;
use crate::source::Source;
use std::path::Path;

/// One program, run once for all that is timed of it.
pub struct Work {
    /// Entries in the order of the run.
    entries: &'static [&'static str],
    pub timed: &'static [Timed],
    file: &'static str,
    text: String,
    feed: &'static [&'static str],
    set: String,
    small: String,
    /// `T=4096`
    dyns: Option<String>,
    trace: Option<&'static str>,
}

/// One entry of a program, or several as one graph.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    pub name: &'static str,
    pub entries: &'static [&'static str],
    /// The peers' name of it; empty if they have none.
    pub peer: &'static str,
}

const fn timed(name: &'static str, entries: &'static [&'static str], peer: &'static str) -> Timed {
    Timed { name, entries, peer }
}

/// Dispatch and combine of a layer.
struct Layer {
    program: Program,
    timed: &'static [Timed],
    /// Experts, top-k, hidden, tokens a rank.
    shape: [i64; 4],
    /// What routes them, and for how many ranks.
    trace: Option<(&'static str, usize)>,
}

/// Its file, its text and the entries that run.
type Program = (&'static str, &'static str, &'static [&'static str]);

const MOE: Program = (
    "moe.fusco",
    include_str!("../../../../examples/programs/moe.fusco"),
    &["dispatch", "combine"],
);
const PARTS: Program = (
    "moe_parts.fusco",
    include_str!("../../../../tests/gpu/moe_parts.fusco"),
    &["plan_only", "rows_only", "dispatch", "combine"],
);
/// Without padding, and with sums before the link.
const TIGHT: Program = (
    "moe_tight.fusco",
    include_str!("../../../../tests/gpu/moe_tight.fusco"),
    &["plan_only", "rows_only", "dispatch", "combine"],
);
const ULYSSES: &str = include_str!("../../../../examples/programs/ulysses.fusco");
const RESHARD: &str = include_str!("../../../../examples/programs/reshard_transpose.fusco");

const LAYERS: [Layer; 7] = [
    Layer {
        program: PARTS,
        timed: &[
            timed("dispatch_rows", &["rows_only"], "dispatch"),
            // Plans, and fills the padding.
            timed("dispatch", &["dispatch"], "dispatch"),
            timed("combine", &["combine"], "combine"),
        ],
        shape: [256, 8, 7168, 4096],
        trace: None,
    },
    Layer {
        program: TIGHT,
        timed: &[
            timed("tight_rows", &["rows_only"], ""),
            timed("tight_dispatch", &["dispatch"], ""),
            timed("combine_tree", &["combine"], ""),
        ],
        shape: [256, 8, 7168, 4096],
        trace: None,
    },
    Layer {
        program: TIGHT,
        timed: &[
            timed("tight_dispatch_128", &["dispatch"], ""),
            timed("combine_tree_128", &["combine"], ""),
            timed("tight_both_128", &["dispatch", "combine"], ""),
        ],
        shape: [256, 8, 7168, 128],
        trace: None,
    },
    Layer {
        program: MOE,
        timed: &[
            timed("dispatch_e256_trace", &["dispatch"], "dispatch"),
            timed("combine_e256_trace", &["combine"], "combine"),
        ],
        shape: [256, 8, 7168, 4096],
        trace: Some(("e256_k8_r8.safetensors", 8)),
    },
    Layer {
        program: MOE,
        timed: &[
            timed("dispatch_e128_trace", &["dispatch"], "dispatch"),
            timed("combine_e128_trace", &["combine"], "combine"),
        ],
        shape: [128, 8, 7168, 4096],
        trace: Some(("e128_k8_r4.safetensors", 4)),
    },
    Layer {
        program: MOE,
        timed: &[
            timed("dispatch_e8_trace", &["dispatch"], "dispatch"),
            timed("combine_e8_trace", &["combine"], "combine"),
        ],
        shape: [8, 2, 7168, 2048],
        trace: Some(("e8_k2_r2.safetensors", 2)),
    },
    Layer {
        program: TIGHT,
        timed: &[
            timed("tight_dispatch_e8_trace", &["dispatch"], ""),
            timed("combine_tree_e8_trace", &["combine"], ""),
        ],
        shape: [8, 2, 7168, 2048],
        trace: Some(("e8_k2_r2.safetensors", 2)),
    },
];
const EXCHANGE: &[Timed] = &[
    timed("ulysses_to_heads", &["to_heads"], "to_heads"),
    timed("ulysses_to_seq", &["to_seq"], "to_seq"),
];
const TRANSPOSE: &[Timed] = &[timed("reshard_transpose", &["main"], "transpose")];

/// Those that so many ranks can share.
pub fn works(ranks: usize, small: bool) -> Vec<Work> {
    let mut out = Vec::new();
    for Layer { program: (file, text, entries), timed, shape: [e, k, h, t], trace } in LAYERS {
        if !(e as usize).is_multiple_of(ranks) || trace.is_some_and(|(_, most)| ranks > most) {
            continue;
        }
        let t = if small { t.min(64) } else { t };
        out.push(Work {
            entries,
            timed,
            file,
            text: text.to_string(),
            feed: &["z=y"],
            set: format!("G={ranks},E={e},K={k},H={h},TMAX={t}"),
            small: format!("G={ranks},E={e},K={k},H=32,TMAX={t}"),
            dyns: Some(format!("T={t}")),
            trace: trace.map(|(file, _)| file),
        });
    }
    if 64usize.is_multiple_of(ranks) {
        out.push(Work {
            entries: &["to_heads", "to_seq"],
            timed: EXCHANGE,
            file: "ulysses.fusco",
            text: ULYSSES.replace("gpu: 8", &format!("gpu: {ranks}")),
            feed: &["a=p"],
            set: "B=1,S=32768,N=64,D=128".to_string(),
            small: "B=1,S=128,N=64,D=16".to_string(),
            dyns: None,
            trace: None,
        });
    }
    if 256usize.is_multiple_of(ranks) {
        out.push(Work {
            entries: &["main"],
            timed: TRANSPOSE,
            file: "reshard_transpose.fusco",
            text: RESHARD.replace("gpu: 4", &format!("gpu: {ranks}")),
            feed: &[],
            set: "M=16384,N=16384".to_string(),
            small: format!("M={0},N={0}", 128 * ranks),
            dyns: None,
            trace: None,
        });
    }
    out
}

impl Work {
    /// Those that `--only` names.
    pub fn wanted(&self, names: &[String]) -> Vec<Timed> {
        let wanted = |t: &&Timed| names.is_empty() || names.iter().any(|n| n == t.name);
        self.timed.iter().filter(wanted).copied().collect()
    }

    pub fn source(&self) -> Source {
        Source { name: self.file.to_string(), text: self.text.clone() }
    }

    fn set(&self, small: bool) -> &str {
        if small { &self.small } else { &self.set }
    }

    /// What the peers are told: `G=8 E=256 T=4096`
    pub fn words(&self, small: bool) -> String {
        let random = self.dyns.is_some() && self.trace.is_none();
        let sets = self.set(small).split(',').chain(self.dyns.as_deref());
        sets.chain(random.then_some("random=1")).collect::<Vec<_>>().join(" ")
    }

    pub fn run(&self, small: bool, raw: bool, seed: u64, traces: &Path) -> run::Work {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let inputs = self.trace.map(|file| {
            let file = traces.join(file);
            let topk = format!("topk={}:topk_idx", file.display());
            let weights = format!("w={}:topk_weight", file.display());
            vec![topk, weights]
        });
        run::Work {
            entries: owned(self.entries),
            program: None,
            set: vec![self.set(small).to_string()],
            dyns: self.dyns.clone().into_iter().collect(),
            inputs: inputs.unwrap_or_default(),
            feed: owned(self.feed),
            random: Some(seed),
            raw,
        }
    }
}
