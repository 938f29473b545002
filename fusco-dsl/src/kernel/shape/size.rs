//! Sizes of what ops move.

use crate::arena::Handle;
use crate::schedule::ir::{Access, Schedule, Var};

/// The product of the extents.
pub fn count(vars: &[(Handle<Var>, i64)]) -> i64 {
    vars.iter().fold(1i64, |n, (_, radix)| n.saturating_mul(*radix))
}

/// Bytes of a row.
pub fn row_bytes(schedule: &Schedule, access: &Access) -> i64 {
    access.run * schedule.tensors[access.tensor].elem.bytes()
}
