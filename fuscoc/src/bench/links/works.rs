//! What is timed on several devices, for any number of them that it divides among.

use crate::run;
use crate::source::Source;
use std::path::Path;

pub struct Work {
    pub name: &'static str,
    pub entry: &'static str,
    /// The peers' name of it.
    pub peer: &'static str,
    file: &'static str,
    text: String,
    /// Entries that leave what `entry` reads, and `entry`.
    entries: &'static [&'static str],
    feed: &'static [&'static str],
    set: String,
    small: String,
    /// `T=4096`
    dyns: Option<String>,
    trace: Option<&'static str>,
}

/// Experts, top-k, hidden, tokens a rank, the trace that routes them and its ranks.
struct Layer(&'static str, &'static str, [i64; 4], Option<(&'static str, usize)>);

const MOE: &str = include_str!("../../../../examples/programs/moe.fusco");
const ULYSSES: &str = include_str!("../../../../examples/programs/ulysses.fusco");
const RESHARD: &str = include_str!("../../../../examples/programs/reshard_transpose.fusco");

const LAYERS: [Layer; 4] = [
    Layer("dispatch", "combine", [256, 8, 7168, 4096], None),
    Layer(
        "dispatch_e256_trace",
        "combine_e256_trace",
        [256, 8, 7168, 4096],
        Some(("e256_k8_r8.safetensors", 8)),
    ),
    Layer(
        "dispatch_e128_trace",
        "combine_e128_trace",
        [128, 8, 7168, 4096],
        Some(("e128_k8_r4.safetensors", 4)),
    ),
    Layer(
        "dispatch_e8_trace",
        "combine_e8_trace",
        [8, 2, 7168, 2048],
        Some(("e8_k2_r2.safetensors", 2)),
    ),
];

/// Those that so many ranks can share.
pub fn works(ranks: usize, small: bool) -> Vec<Work> {
    let mut out = Vec::new();
    for Layer(dispatch, combine, [e, k, h, t], trace) in LAYERS {
        if !(e as usize).is_multiple_of(ranks) || trace.is_some_and(|(_, most)| ranks > most) {
            continue;
        }
        let t = if small { t.min(64) } else { t };
        let layer = |name, entry, entries, feed| Work {
            name,
            entry,
            peer: entry,
            file: "moe.fusco",
            text: MOE.to_string(),
            entries,
            feed,
            set: format!("G={ranks},E={e},K={k},H={h},TMAX={t}"),
            small: format!("G={ranks},E={e},K={k},H=32,TMAX={t}"),
            dyns: Some(format!("T={t}")),
            trace: trace.map(|(file, _)| file),
        };
        out.push(layer(dispatch, "dispatch", &["dispatch"], &[]));
        out.push(layer(combine, "combine", &["dispatch", "combine"], &["z=y"]));
    }
    if 64usize.is_multiple_of(ranks) {
        let mesh = ULYSSES.replace("gpu: 8", &format!("gpu: {ranks}"));
        let exchange = |name, entry, entries| Work {
            text: mesh.clone(),
            set: "B=1,S=32768,N=64,D=128".to_string(),
            small: "B=1,S=128,N=64,D=16".to_string(),
            ..moves(name, entry, entries, "ulysses.fusco")
        };
        out.push(exchange("ulysses_to_heads", "to_heads", &["to_heads"]));
        out.push(exchange("ulysses_to_seq", "to_seq", &["to_seq"]));
    }
    if 256usize.is_multiple_of(ranks) {
        out.push(Work {
            peer: "transpose",
            text: RESHARD.replace("gpu: 4", &format!("gpu: {ranks}")),
            set: "M=16384,N=16384".to_string(),
            small: format!("M={0},N={0}", 128 * ranks),
            ..moves("reshard_transpose", "main", &["main"], "reshard_transpose.fusco")
        });
    }
    out
}

fn moves(
    name: &'static str,
    entry: &'static str,
    entries: &'static [&'static str],
    file: &'static str,
) -> Work {
    let (text, set, small) = Default::default();
    Work {
        name,
        entry,
        peer: entry,
        file,
        text,
        entries,
        feed: &[],
        set,
        small,
        dyns: None,
        trace: None,
    }
}

impl Work {
    pub fn is_in(&self, names: &[String]) -> bool {
        names.iter().any(|n| n == self.name)
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
            if self.entry == "combine" { vec![topk, weights] } else { vec![topk] }
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
