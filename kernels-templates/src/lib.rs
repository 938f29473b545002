//! CUDA device code as text: prelude parts in the order in which they may depend on each other.
//! No logic: `fusco-dsl` decides which parts a kernel needs, by the names that it uses.

/// A constant piece of device code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Types,
    Launch,
    Sync,
    Barrier,
    Shuffle,
    Order,
    Rows,
    Bulk,
    Convert,
    Cast,
    Extreme,
    Swizzle,
    Scan,
    Valid,
    Floor,
    Pair,
    First,
    Deal,
    Owners,
    Route,
    Senders,
}

impl Part {
    /// What it defines for others: types and constants as words, functions with an opening parenthesis.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Part::Types => &[
                "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "bf16", "f16",
                "ALL",
            ],
            Part::Launch => &["Ranks", "Values", "Report", "Launch", "fail("],
            Part::Sync => &[
                "load_acquire(",
                "store_release(",
                "fence_peers(",
                "fence_device(",
                "add_peer(",
                "post_peer(",
                "publish_peer(",
                "now_ns(",
                "wait_for(",
            ],
            Part::Barrier => &["barrier("],
            Part::Shuffle => &["shuffle("],
            Part::Order => &["Order", "by_part("],
            Part::Rows => &["Vec", "load(", "store("],
            Part::Bulk => &[
                "init_mbarrier(",
                "arrive_mbarrier(",
                "wait_mbarrier(",
                "test_mbarrier(",
                "fence_bulk(",
                "fence_bulk_global(",
                "expect_bulk(",
                "load_bulk(",
                "store_bulk(",
                "stream_bulk(",
                "commit_bulk(",
                "wait_bulk_read(",
                "wait_bulk(",
            ],
            Part::Convert => &["to_f32(", "from_f32("],
            Part::Cast => &["e4m3", "e5m2", "canonical(", "cast("],
            Part::Extreme => &["larger(", "smaller("],
            Part::Swizzle => &["swizzled("],
            Part::Scan => &["scan_block("],
            Part::Valid => &["valid(", "divides("],
            Part::Floor => &["floor_div(", "floor_rem("],
            Part::Pair => &["Pair"],
            Part::First => &["is_first("],
            Part::Deal => &["Blocks", "Cyclic", "Copies"],
            Part::Owners => &["Dealt", "owners_fit(", "deal_groups("],
            Part::Route => &["count(", "scan_and_send(", "totals(", "first_rows(", "slots("],
            Part::Senders => &["totals_from("],
        }
    }
}

/// Every part, in dependency order, with its text.
pub const PRELUDE: [(Part, &str); 21] = [
    (Part::Types, include_str!("prelude/types.cuh")),
    (Part::Launch, include_str!("prelude/launch.cuh")),
    (Part::Sync, include_str!("prelude/sync.cuh")),
    (Part::Barrier, include_str!("prelude/barrier.cuh")),
    (Part::Shuffle, include_str!("prelude/shuffle.cuh")),
    (Part::Order, include_str!("prelude/order.cuh")),
    (Part::Rows, include_str!("prelude/rows.cuh")),
    (Part::Bulk, include_str!("prelude/bulk.cuh")),
    (Part::Convert, include_str!("prelude/convert.cuh")),
    (Part::Cast, include_str!("prelude/cast.cuh")),
    (Part::Extreme, include_str!("prelude/extreme.cuh")),
    (Part::Swizzle, include_str!("prelude/swizzle.cuh")),
    (Part::Scan, include_str!("prelude/scan.cuh")),
    (Part::Valid, include_str!("prelude/valid.cuh")),
    (Part::Floor, include_str!("prelude/floor.cuh")),
    (Part::Pair, include_str!("prelude/pair.cuh")),
    (Part::First, include_str!("prelude/first.cuh")),
    (Part::Deal, include_str!("prelude/deal.cuh")),
    (Part::Owners, include_str!("prelude/owners.cuh")),
    (Part::Route, include_str!("prelude/route.cuh")),
    (Part::Senders, include_str!("prelude/senders.cuh")),
];

/// Device functions for kernels that consume an entry's rows while it runs: a header for users.
pub const CONSUMER_CUH: &str = include_str!("consumer.cuh");

#[cfg(test)]
mod tests {
    use super::PRELUDE;

    #[test]
    fn a_part_defines_what_it_says_and_uses_only_earlier_ones() {
        for (i, (part, text)) in PRELUDE.iter().enumerate() {
            for name in part.names() {
                let word = name.trim_end_matches('(');
                assert!(text.contains(word), "{part:?} has no {name}");
                let before = PRELUDE[..i]
                    .iter()
                    .find(|(_, t)| name.ends_with('(') && t.contains(&format!(" {name}")));
                assert!(before.is_none(), "{name} is used before {part:?} defines it");
            }
        }
    }
}
