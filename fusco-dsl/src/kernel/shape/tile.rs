//! Movements through shared memory: a tile is read along one digit and written along another.

use crate::schedule::ir::{Schedule, Tile};

/// Bytes beyond which a tile takes twice the threads.
const LARGE: i64 = 16 * 1024;

/// Whether a CTA of a movement has twice the threads for it, and no second tile.
pub fn is_large(schedule: &Schedule, tile: &Tile) -> bool {
    bytes(schedule, tile) > LARGE
}

/// Shared memory of a tile.
pub fn bytes(schedule: &Schedule, tile: &Tile) -> i64 {
    let elem = schedule.tensors[tile.from.tensor].elem.bytes();
    tile.along_source.1 * tile.along_target.1 * elem
}
