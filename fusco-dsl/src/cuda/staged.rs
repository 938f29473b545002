//! Rows on their way through shared memory: what a CTA has room for, in bytes, rows and threads.

use crate::schedule::ir::Row;

/// Rows in shared memory begin at whole lines.
const LINE: i64 = 128;

/// Rows of a turn in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
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
    /// The function that stores a row.
    pub fn store(&self) -> &'static str {
        if self.streams { "stream_bulk" } else { "store_bulk" }
    }

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

    /// Bytes before a row in its position's part of shared memory, and its own.
    pub fn part(&self, row: Row) -> Option<(i64, i64)> {
        let at = self.parts.iter().position(|(r, _)| *r == row)?;
        Some((self.parts[..at].iter().map(|(_, bytes)| lines(*bytes)).sum(), self.parts[at].1))
    }
}

/// Rows in shared memory and the threads that add them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// Bytes of a row, and of a sum.
    pub row: i64,
    pub slots: i64,
    /// Threads that add up, and vectors of a row that each has.
    pub adders: (i64, i64),
    /// Arrivals are told.
    pub tells: bool,
    /// Ranks are on several devices.
    pub mail: Option<Mail>,
}

impl Ring {
    /// Two warps more find, one fetches, one tells, and some push what peers ask for.
    pub fn threads(&self) -> u32 {
        (self.told() + if self.mail.is_some() { PUSHING } else { 0 }) as u32
    }

    /// Threads before those that push.
    pub fn told(&self) -> i64 {
        self.adders.0 + if self.tells { 128 } else { 96 }
    }

    /// Dynamic shared memory.
    pub fn bytes(&self) -> i64 {
        let pushed = if self.mail.is_some() { PUSHERS } else { 0 };
        (self.slots + pushed) * lines(self.row)
    }

    /// Vectors from one row to the next.
    pub fn pitch(&self) -> i64 {
        lines(self.row) / 16
    }
}

/// Warps that push, each with a row of shared memory.
pub(super) const PUSHERS: i64 = 4;
pub(super) const PUSHING: i64 = PUSHERS * 32;
/// Rows that are asked for ahead of the ring, at least. At most as many as a warp has found at once, 17 or more.
const AHEAD: i64 = 8;
/// Places for rows of peers on other devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    /// Rows that a CTA has place for: those asked for and those that the ring may still be reading.
    pub places: i64,
    /// Rows that are asked for ahead of the ring.
    pub ahead: i64,
}

impl Mail {
    pub fn new(slots: i64) -> Mail {
        let places = (slots + AHEAD + PUSHERS - 1) / PUSHERS * PUSHERS;
        Mail { places, ahead: places - slots }
    }
}

/// Whole lines.
pub(super) fn lines(bytes: i64) -> i64 {
    (bytes + LINE - 1) / LINE * LINE
}
