//! What dispatch and combine must leave, worked out here from the experts that were named: counts of all
//! experts, and every element of some random rows.

use crate::bench::check::Checked;
use crate::failure::Failure;
use crate::run::{Memory, Prepared};
use fusco_runtime::{Buffer, bf16};

/// Pairs and tokens that are looked at.
const ROWS: usize = 256;
/// Rows to which `y` rounds up each expert's.
const PACK: i64 = 128;

/// Where each pair's row lies.
struct Places<'a> {
    ready: &'a Prepared,
    memory: &'a Memory,
    /// `[s][t][k]`, flat.
    experts: Vec<usize>,
    slots: Vec<i64>,
    /// Rows of each expert, and its first one on its rank.
    counts: Vec<i64>,
    first: Vec<i64>,
    size: Sizes,
}

#[derive(Clone, Copy)]
struct Sizes {
    ranks: usize,
    tokens: usize,
    topk: usize,
    hidden: usize,
    experts: usize,
}

/// Compares counts and random rows of `y` and `o`.
pub fn check(ready: &Prepared, memory: &Memory, seed: u64) -> Result<Checked, Failure> {
    let places = Places::new(ready, memory)?;
    let s = places.size;
    places.counts()?;
    let mut rng = fastrand::Rng::with_seed(seed);
    let pairs = s.ranks * s.tokens * s.topk;
    for _ in 0..ROWS.min(pairs) {
        places.pair(rng.usize(0..pairs))?;
        places.token(rng.usize(0..pairs / s.topk))?;
    }
    let elements = 2 * ROWS.min(pairs) * s.hidden + s.experts;
    let by = "what follows from the inputs: all counts and random rows (a sample)";
    Ok(Checked { elements: elements as u64, by })
}

impl Sizes {
    fn of(ready: &Prepared) -> Sizes {
        let param = |name| ready.inputs.params.get(name).copied().unwrap_or(0) as usize;
        Sizes {
            ranks: param("G"),
            tokens: param("TMAX"),
            topk: param("K"),
            hidden: param("H"),
            experts: param("E"),
        }
    }

    fn experts_per_rank(&self) -> usize {
        self.experts / self.ranks
    }
}

impl<'a> Places<'a> {
    fn new(ready: &'a Prepared, memory: &'a Memory) -> Result<Places<'a>, Failure> {
        let size = Sizes::of(ready);
        let topk = ready.inputs.tensors.get("topk");
        let topk = topk.ok_or_else(|| Failure::input("no experts are named"))?;
        let experts: Vec<usize> = (0..topk.len()).map(|i| topk.int(i) as usize).collect();
        let mut counts = vec![0; size.experts];
        let mut slots = Vec::with_capacity(experts.len());
        for expert in &experts {
            slots.push(counts[*expert]);
            counts[*expert] += 1;
        }
        let mut first = Vec::new();
        for rank in counts.chunks(size.experts_per_rank()) {
            let mut next = 0;
            for count in rank {
                first.push(next);
                next += (count + PACK - 1) / PACK * PACK;
            }
        }
        Ok(Places { ready, memory, experts, slots, counts, first, size })
    }

    fn counts(&self) -> Result<(), Failure> {
        let per_rank = self.size.experts_per_rank();
        for (rank, counts) in self.counts.chunks(per_rank).enumerate() {
            let found = self.buffer("n")?.peek(rank, 0, 4 * per_rank)?;
            let want: Vec<u8> = counts.iter().flat_map(|n| (*n as i32).to_le_bytes()).collect();
            need(found == want, || format!("n@{rank}"))?;
        }
        Ok(())
    }

    /// A pair's row of `y` is its token's.
    fn pair(&self, pair: usize) -> Result<(), Failure> {
        let expert = self.experts[pair];
        let rank = expert / self.size.experts_per_rank();
        let bytes = 2 * self.size.hidden;
        let row = (self.first[expert] + self.slots[pair]) as usize;
        let found = self.buffer("y")?.peek(rank, row * bytes, bytes)?;
        need(found == self.input(pair / self.size.topk), || format!("y@{rank}, row {row}"))
    }

    /// A token's row of `o` is its row of `x`, weighted and added up in the order of k (fused), then
    /// rounded.
    fn token(&self, token: usize) -> Result<(), Failure> {
        let Sizes { tokens, topk, hidden, .. } = self.size;
        let (rank, row) = (token / tokens, token % tokens);
        let weights = &self.ranks("w")?[rank][4 * row * topk..][..4 * topk];
        let weights: Vec<f32> =
            weights.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let element = |b: &[u8; 2]| {
            let x = bf16::from_le_bytes(*b).to_f32();
            bf16::from_f32(weights.iter().fold(0.0, |sum, w| w.mul_add(x, sum))).to_le_bytes()
        };
        let want: Vec<u8> = self.input(token).as_chunks().0.iter().flat_map(element).collect();
        let found = self.buffer("o")?.peek(rank, 2 * row * hidden, 2 * hidden)?;
        need(found == want, || format!("o@{rank}, row {row}"))
    }

    /// The token's row of `x`.
    fn input(&self, token: usize) -> &[u8] {
        let Sizes { tokens, hidden, .. } = self.size;
        let rank = self.ranks("x").map(|x| x[token / tokens].as_slice()).unwrap_or_default();
        &rank[2 * (token % tokens) * hidden..][..2 * hidden]
    }

    fn ranks(&self, name: &str) -> Result<&[Vec<u8>], Failure> {
        let ranks = self.ready.ranks.get(name).map(Vec::as_slice);
        ranks.ok_or_else(|| Failure::input(format!("`{name}` was not filled")))
    }

    fn buffer(&self, name: &str) -> Result<&Buffer, Failure> {
        let buffer = self.memory.buffer(name);
        buffer.ok_or_else(|| Failure::input(format!("no buffer for `{name}`")))
    }
}

fn need(right: bool, what: impl Fn() -> String) -> Result<(), Failure> {
    if right {
        return Ok(());
    }
    Err(Failure::input(format!("{} differs from what the inputs give", what())))
}
