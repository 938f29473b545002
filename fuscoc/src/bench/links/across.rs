//! Bytes that go from one rank to another.

use crate::run::Prepared;
use std::collections::BTreeSet;

/// With one rank a device these cross links; with all on one they would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Across {
    /// A copy of a token's row for each of its experts on another rank; all elements that change ranks.
    pub bytes: i64,
    /// A token's row once for each other rank that has some of its experts.
    pub once: i64,
    /// The most that a rank sends or gets, both ways of counting.
    pub busiest: i64,
    pub busiest_once: i64,
}

impl Across {
    /// `written`: bytes of the targets, for works without a route, whose every rank sends as much to every
    /// other.
    pub fn of(ready: &Prepared, written: i64) -> Across {
        let ranks = ready.compiled.schedule.ranks;
        let param = |name| ready.inputs.params.get(name).copied().unwrap_or(0);
        match ready.inputs.tensors.get("topk") {
            Some(topk) => {
                let experts: Vec<i64> = (0..topk.len()).map(|i| topk.int(i)).collect();
                routed(&experts, param("K"), param("E") / ranks, ranks, 2 * param("H"))
            }
            None => {
                let bytes = written * (ranks - 1) / ranks.max(1);
                let busiest = bytes / ranks.max(1);
                Across { bytes, once: bytes, busiest, busiest_once: busiest }
            }
        }
    }
}

/// `experts`: `[s][t][k]`, as many tokens on each rank.
fn routed(experts: &[i64], fan: i64, per_rank: i64, ranks: i64, row: i64) -> Across {
    let tokens: Vec<&[i64]> = experts.chunks(fan.max(1) as usize).collect();
    let each = tokens.len().div_ceil(ranks as usize).max(1);
    let (mut all, mut once) = (Traffic::new(ranks), Traffic::new(ranks));
    for (token, experts) in tokens.iter().enumerate() {
        let from = token / each;
        let named = experts.iter().filter(|e| **e >= 0);
        let targets: Vec<usize> = named.map(|e| (e / per_rank.max(1)) as usize).collect();
        targets.iter().for_each(|to| all.add(from, *to, row));
        let distinct: BTreeSet<usize> = targets.into_iter().collect();
        distinct.iter().for_each(|to| once.add(from, *to, row));
    }
    let (bytes, busiest) = all.sums();
    let (once, busiest_once) = once.sums();
    Across { bytes, once, busiest, busiest_once }
}

struct Traffic {
    sent: Vec<i64>,
    got: Vec<i64>,
}

impl Traffic {
    fn new(ranks: i64) -> Traffic {
        Traffic { sent: vec![0; ranks as usize], got: vec![0; ranks as usize] }
    }

    fn add(&mut self, from: usize, to: usize, bytes: i64) {
        if from != to {
            self.sent[from] += bytes;
            self.got[to] += bytes;
        }
    }

    /// All bytes, and the most of one rank in one direction.
    fn sums(&self) -> (i64, i64) {
        let most = self.sent.iter().chain(&self.got).max();
        (self.sent.iter().sum(), most.copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_for_each_expert_and_once_a_rank() {
        // Two ranks with two experts each; four tokens, two of each rank.
        let experts = [0, 1, 2, 3, 0, 2, -1, 3];
        let found = routed(&experts, 2, 2, 2, 10);
        assert_eq!(found, Across { bytes: 30, once: 20, busiest: 20, busiest_once: 10 });
    }
}
