//! CUDA device code as text: prelude parts in the order in which they may depend on each other.
//! No logic: `fusco-dsl` decides which parts a program needs.

/// A constant piece of device code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Types,
    Launch,
    Sync,
    Barrier,
    Shuffle,
    Rows,
    Bulk,
    Convert,
    Cast,
    Swizzle,
    Scan,
    Valid,
    Route,
}

/// Every part, in dependency order, with its text.
pub const PRELUDE: [(Part, &str); 13] = [
    (Part::Types, include_str!("prelude/types.cuh")),
    (Part::Launch, include_str!("prelude/launch.cuh")),
    (Part::Sync, include_str!("prelude/sync.cuh")),
    (Part::Barrier, include_str!("prelude/barrier.cuh")),
    (Part::Shuffle, include_str!("prelude/shuffle.cuh")),
    (Part::Rows, include_str!("prelude/rows.cuh")),
    (Part::Bulk, include_str!("prelude/bulk.cuh")),
    (Part::Convert, include_str!("prelude/convert.cuh")),
    (Part::Cast, include_str!("prelude/cast.cuh")),
    (Part::Swizzle, include_str!("prelude/swizzle.cuh")),
    (Part::Scan, include_str!("prelude/scan.cuh")),
    (Part::Valid, include_str!("prelude/valid.cuh")),
    (Part::Route, include_str!("prelude/route.cuh")),
];

/// Device functions for kernels that consume an entry's rows while it runs: a header for users.
pub const CONSUMER_CUH: &str = include_str!("consumer.cuh");
