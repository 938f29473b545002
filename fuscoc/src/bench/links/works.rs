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

/// One entry of a program.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    pub name: &'static str,
    pub entry: &'static str,
    /// The peers' name of it.
    pub peer: &'static str,
}

const fn timed(name: &'static str, entry: &'static str, peer: &'static str) -> Timed {
    Timed { name, entry, peer }
}

/// Experts, top-k, hidden, tokens a rank, the trace that routes them and its ranks.
struct Layer(&'static [Timed], [i64; 4], Option<(&'static str, usize)>);

const PARTS: &str = include_str!("../../../../tests/gpu/moe_parts.fusco");
const MOE: &str = include_str!("../../../../examples/programs/moe.fusco");
const ULYSSES: &str = include_str!("../../../../examples/programs/ulysses.fusco");
const RESHARD: &str = include_str!("../../../../examples/programs/reshard_transpose.fusco");

const LAYERS: [Layer; 4] = [
    Layer(
        &[
            timed("dispatch_rows", "rows_only", "dispatch"),
            // Plans, and fills the padding.
            timed("dispatch", "dispatch", "dispatch"),
            timed("combine", "combine", "combine"),
        ],
        [256, 8, 7168, 4096],
        None,
    ),
    Layer(
        &[
            timed("dispatch_e256_trace", "dispatch", "dispatch"),
            timed("combine_e256_trace", "combine", "combine"),
        ],
        [256, 8, 7168, 4096],
        Some(("e256_k8_r8.safetensors", 8)),
    ),
    Layer(
        &[
            timed("dispatch_e128_trace", "dispatch", "dispatch"),
            timed("combine_e128_trace", "combine", "combine"),
        ],
        [128, 8, 7168, 4096],
        Some(("e128_k8_r4.safetensors", 4)),
    ),
    Layer(
        &[
            timed("dispatch_e8_trace", "dispatch", "dispatch"),
            timed("combine_e8_trace", "combine", "combine"),
        ],
        [8, 2, 7168, 2048],
        Some(("e8_k2_r2.safetensors", 2)),
    ),
];
const LAYER: &[&str] = &["dispatch", "combine"];
const LAYER_PARTS: &[&str] = &["plan_only", "rows_only", "dispatch", "combine"];
const EXCHANGE: &[Timed] = &[
    timed("ulysses_to_heads", "to_heads", "to_heads"),
    timed("ulysses_to_seq", "to_seq", "to_seq"),
];
const TRANSPOSE: &[Timed] = &[timed("reshard_transpose", "main", "transpose")];

/// Those that so many ranks can share.
pub fn works(ranks: usize, small: bool) -> Vec<Work> {
    let mut out = Vec::new();
    for Layer(timed, [e, k, h, t], trace) in LAYERS {
        if !(e as usize).is_multiple_of(ranks) || trace.is_some_and(|(_, most)| ranks > most) {
            continue;
        }
        let t = if small { t.min(64) } else { t };
        let parts = timed.iter().any(|t| t.entry == "rows_only");
        out.push(Work {
            entries: if parts { LAYER_PARTS } else { LAYER },
            timed,
            file: if parts { "moe_parts.fusco" } else { "moe.fusco" },
            text: if parts { PARTS } else { MOE }.to_string(),
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
