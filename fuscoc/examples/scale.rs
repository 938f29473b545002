//! The tables of `docs/scale.md`: what 64 ranks on eight nodes are expected to take for three routings, and one of
//! uneven ranks. Each is written as a trace and given to `fuscoc explain --topology`.
//!
//! `cargo build --release -p fuscoc && cargo run --release -p fuscoc --example scale [FUSCOC] [TOKENS,..]`

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

pub type Done<T> = Result<T, Box<dyn Error>>;

const NODES: usize = 8;
const GPUS: usize = 8;
const RANKS: usize = NODES * GPUS;
const EXPERTS: usize = 256;
const CHOICES: usize = 8;
/// Experts of a rank, and of a node.
const OF_RANK: usize = EXPERTS / RANKS;
const OF_NODE: usize = EXPERTS / NODES;
/// Tokens of a rank.
const TOKENS: [usize; 4] = [4096, 8192, 16384, 32768];

/// How tokens choose experts, in the words of the tables.
#[derive(Clone, Copy)]
enum Routing {
    /// Ranks read the eight of the trace in turn, tokens beyond its 4,096 from its start.
    Trace,
    /// All experts of a token are of one node, any.
    OneNode,
    /// Experts of the first rank of each node are chosen four times as often as others.
    HotRanks,
    /// Any experts; the first rank of each node has all its tokens, others a quarter.
    UnevenTokens,
}

const ROUTINGS: [(Routing, &str); 4] = [
    (Routing::Trace, "trace of 256 experts, repeated"),
    (Routing::OneNode, "a token's experts on one node"),
    (Routing::HotRanks, "a rank of each node four times as hot"),
    (Routing::UnevenTokens, "a rank of each node with four times the tokens"),
];

/// Numbers that look random, the same each time (Steele, Lea, Flood: SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Different ones of so many, each drawn by `draw`.
    fn distinct(&mut self, draw: &dyn Fn(&mut Numbers) -> usize) -> [i32; CHOICES] {
        let mut out = [-1; CHOICES];
        for i in 0..CHOICES {
            while out[i] < 0 || out[..i].contains(&out[i]) {
                out[i] = draw(self) as i32;
            }
        }
        out
    }
}

impl Routing {
    /// The experts of each token of each rank.
    fn choices(self, tokens: usize, trace: &[i32]) -> Vec<i32> {
        let mut numbers = Numbers(64);
        let of_rank = trace.len() / 8;
        let mut out = Vec::with_capacity(RANKS * tokens * CHOICES);
        for rank in 0..RANKS {
            for token in 0..tokens {
                let chosen = match self {
                    Routing::Trace => {
                        let at = rank % 8 * of_rank + token * CHOICES % of_rank;
                        out.extend_from_slice(&trace[at..at + CHOICES]);
                        continue;
                    }
                    Routing::OneNode => {
                        let node = numbers.below(NODES);
                        numbers.distinct(&|n| node * OF_NODE + n.below(OF_NODE))
                    }
                    Routing::HotRanks => numbers.distinct(&hot),
                    Routing::UnevenTokens => numbers.distinct(&|n| n.below(EXPERTS)),
                };
                out.extend(chosen);
            }
        }
        out
    }

    /// Tokens of each rank, as `--dyn` has them.
    fn tokens(self, most: usize) -> String {
        let of = |rank: usize| match self {
            Routing::UnevenTokens if !rank.is_multiple_of(GPUS) => most / 4,
            _ => most,
        };
        let each: Vec<String> = (0..RANKS).map(|rank| of(rank).to_string()).collect();
        format!("T={}", each.join(","))
    }
}

/// An expert; those of the first rank of a node count as four.
fn hot(numbers: &mut Numbers) -> usize {
    let weight = GPUS - 1 + 4;
    let at = numbers.below(NODES * weight * OF_RANK);
    let (node, at) = (at / (weight * OF_RANK), at % (weight * OF_RANK));
    let rank = (at / OF_RANK).saturating_sub(3);
    node * OF_NODE + rank * OF_RANK + at % OF_RANK
}

fn main() -> Done<()> {
    let mut args = std::env::args().skip(1);
    let fuscoc = args.next().map_or_else(beside, |path| Ok(PathBuf::from(path)))?;
    let tokens: Vec<usize> = match args.next() {
        Some(list) => list.split(',').map(str::parse).collect::<Result<_, _>>()?,
        None => TOKENS.to_vec(),
    };
    for line in lines(&fuscoc, &tokens)? {
        println!("{line}");
    }
    Ok(())
}

/// The tables, for so many tokens of a rank.
pub fn lines(fuscoc: &Path, tokens: &[usize]) -> Done<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("levels.fusco");
    let text = std::fs::read_to_string(root.join("examples/programs/moe_two_level.fusco"))?;
    std::fs::write(&program, text.replace("within = node)", "within = node, partial = bf16)"))?;
    let trace = trace(&root.join("examples/traces/e256_k8_r8.safetensors"))?;
    let mut out = Vec::new();
    for entry in ["dispatch", "combine"] {
        out.push(format!(
            "| {entry} | tokens | every pair | once a rank | once a node | balanced | busiest forwarder | GB between nodes |"
        ));
        out.push("|---|---|---|---|---|---|---|---|".to_string());
        for (routing, words) in ROUTINGS {
            for tokens in tokens {
                let file = folder.path().join("trace.safetensors");
                write(&file, *tokens, &routing.choices(*tokens, &trace))?;
                let found = explain((fuscoc, &root), (&program, &file), (entry, routing, *tokens))?;
                out.push(format!("| {words} | {tokens} | {} |", cells(&found)?.join(" | ")));
            }
        }
        out.push(String::new());
    }
    Ok(out)
}

/// The program that was built beside this one.
fn beside() -> Done<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).ok_or("no folder of built programs")?;
    Ok(folder.join("fuscoc"))
}

fn trace(path: &Path) -> Done<Vec<i32>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let data = file.tensor("topk_idx")?.data().to_vec();
    Ok(data.as_chunks().0.iter().map(|c| i32::from_le_bytes(*c)).collect())
}

fn write(path: &Path, tokens: usize, choices: &[i32]) -> Done<()> {
    let bytes: Vec<u8> = choices.iter().flat_map(|e| e.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::I32, vec![RANKS, tokens, CHOICES], &bytes)?;
    Ok(safetensors::serialize_to_file([("topk", view)], None, path)?)
}

/// The only statement of an entry, as `explain` counts and expects it.
fn explain(
    (fuscoc, root): (&Path, &Path),
    (program, trace): (&Path, &Path),
    (entry, routing, tokens): (&str, Routing, usize),
) -> Done<Value> {
    let mut command = Command::new(fuscoc);
    command.arg("explain").arg(program).args(["--entry", entry, "--format", "json"]);
    command.arg("--topology").arg(root.join("examples/topologies/h100_64.toml"));
    let sizes = format!("N={NODES},G={GPUS},E={EXPERTS},K={CHOICES},H=7168,TMAX={tokens}");
    command.args(["--set", &sizes, "--dyn", &routing.tokens(tokens)]);
    command.args(["--in", &format!("topk={}", trace.display())]);
    let done = command.output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    let mut object: Value = serde_json::from_slice(&done.stdout)?;
    Ok(object["carried"]["statements"][0].take())
}

/// Milliseconds of each way, the busiest forwarder over their mean, and what crosses between nodes.
fn cells(statement: &Value) -> Done<Vec<String>> {
    let ways = statement["ways"].as_array().ok_or("no ways")?;
    let time = |way: &Value| way["ns"].as_f64().map(|ns| format!("{:.2}", ns / 1e6));
    let mut out: Vec<String> = ways.iter().map(time).collect::<Option<_>>().ok_or("no times")?;
    let busiest = |way: &Value| {
        let loads: Vec<f64> =
            way["forwarded_bytes"].as_array()?.iter().filter_map(Value::as_f64).collect();
        let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
        Some(loads.iter().copied().fold(0.0, f64::max) / mean.max(f64::MIN_POSITIVE))
    };
    let [same, balanced] = [2, 3].map(|way| ways.get(way).and_then(busiest).unwrap_or(0.0));
    out.push(format!("{same:.2} -> {balanced:.2}"));
    let between = |way: usize| {
        let hops = ways.get(way)?["hops"].as_array()?;
        Some(hops.iter().filter_map(|h| h["bytes_between"].as_f64()).sum::<f64>() / 1e9)
    };
    let [pair, rank, node] = [0, 1, 2].map(|way| between(way).unwrap_or(0.0));
    out.push(format!("{pair:.0} / {rank:.0} / {node:.0}"));
    Ok(out)
}
