//! Rows on their way through shared memory: what a CTA has room for, in bytes and rows.

use crate::kernel::region::lines;
use crate::kernel::shape::{Padding, row_bytes};
use crate::schedule::ir::{Row, Schedule};

/// Rows of a turn in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Positions of a CTA in one turn.
    pub rows: i64,
    /// Turns whose rows are in shared memory at once.
    pub stages: i64,
    /// Bytes of each row of a position that passes through shared memory.
    pub parts: Vec<(Row, i64)>,
    /// All that is written may be more than L2 holds.
    pub streams: bool,
}

impl Staged {
    /// Bytes of one position's rows.
    pub fn position(&self) -> i64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes from one position to the next.
    pub fn pitch(&self) -> i64 {
        self.parts.iter().map(|(_, bytes)| lines(*bytes)).sum()
    }

    pub fn bytes(&self) -> i64 {
        self.stages * self.rows * self.pitch()
    }

    /// Bytes of a padding row, if one row in shared memory that holds its value is stored to all of them.
    pub fn pads(&self, schedule: &Schedule, padding: &Padding) -> Option<i64> {
        let bytes = row_bytes(schedule, padding.to);
        (padding.to.vector == 16 && bytes <= self.bytes()).then_some(bytes)
    }

    /// Bytes before a row in its position's part of shared memory, and its own.
    pub fn part(&self, row: Row) -> Option<(i64, i64)> {
        let at = self.parts.iter().position(|(r, _)| *r == row)?;
        Some((self.parts[..at].iter().map(|(_, bytes)| lines(*bytes)).sum(), self.parts[at].1))
    }
}
