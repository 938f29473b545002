//! Where an access lies: a part of a buffer, a byte range in it, and the swizzle of its tensor.

use super::affine::{Affine, Piece};
use super::index::wild;
use super::number::load_int;
use crate::error::Error;
use crate::mem::Buffer;
use fusco_dsl::sema::hir::{Elem, Swizzle};

/// `bytes` of a tensor on a rank, from byte `row * unit`.
#[derive(Clone)]
pub(crate) struct At {
    pub buffer: Buffer,
    pub elem: Elem,
    pub rank: Affine,
    pub row: Affine,
    /// Bytes that `row` counts in.
    pub unit: usize,
    pub bytes: usize,
    pub swizzle: Option<Swizzle>,
    /// Too large for the caches: stores go past them.
    pub large: bool,
}

/// One integer element of a tensor.
#[derive(Clone)]
pub(crate) struct Element(pub At);

/// Bytes that a swizzle moves together.
pub(crate) const PIECE: usize = 16;

impl At {
    /// The rank, and the byte where the access begins before any swizzle.
    #[inline]
    pub(crate) fn place(&self, vars: &[i64]) -> (i64, i64) {
        (self.rank.get(vars), self.row.get(vars).wrapping_mul(self.unit as i64))
    }

    /// Where the access begins, with `count` such accesses in a row; not for a swizzled tensor.
    #[inline]
    pub(crate) fn locate_run(&self, vars: &[i64], count: usize) -> Result<*mut u8, Error> {
        let (rank, start) = self.place(vars);
        self.part(rank, start, self.bytes * count)
    }

    /// `bytes` readable and writable bytes of a rank's part.
    #[inline]
    pub(crate) fn part(&self, rank: i64, start: i64, bytes: usize) -> Result<*mut u8, Error> {
        let outside = || self.outside(rank, start, bytes);
        let parts = self.buffer.here();
        let part = usize::try_from(rank).ok().and_then(|r| parts.get(r)).ok_or_else(outside)?;
        let start = usize::try_from(start).map_err(|_| outside())?;
        if start.checked_add(bytes).is_none_or(|end| end > part.len()) {
            return Err(outside());
        }
        // SAFETY: `start + bytes` is within the allocation by the line above.
        Ok(unsafe { part.start().add(start) })
    }

    /// What the byte place and the rank grow by with a variable, if the rank stays and both are linear.
    pub(crate) fn step(&self, var: usize) -> Option<i64> {
        let still = self.rank.step(var) == Some(0);
        self.row.step(var).filter(|_| still).map(|s| s.wrapping_mul(self.unit as i64))
    }

    /// What the byte place grows by with a variable, as far as the rank stays and that holds.
    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        let rows = self.row.piece(var, vars);
        let rank = self.rank.piece(var, vars).steady();
        Piece { step: rows.step.wrapping_mul(self.unit as i64), ..rows }.within(rank)
    }

    pub(crate) fn joins(&self, outer: usize, inner: (usize, i64)) -> bool {
        self.rank.joins(outer, inner) && self.row.joins(outer, inner)
    }

    pub(crate) fn reads(&self, var: usize) -> bool {
        self.rank.reads(var) || self.row.reads(var)
    }

    /// The contiguous pieces of `bytes` from `start`, each as (bytes before it, its address).
    ///
    /// # Errors
    /// As [`part`](Self::part).
    pub(crate) fn pieces(
        &self,
        rank: i64,
        start: i64,
        bytes: usize,
        mut visit: impl FnMut(usize, *mut u8, usize),
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes {
            let at = start.wrapping_add(done as i64);
            let len = (PIECE - at.rem_euclid(PIECE as i64) as usize).min(bytes - done);
            let moved = self.swizzle.map_or(at, |s| swizzled(s, at));
            visit(done, self.part(rank, moved, len)?, len);
            done += len;
        }
        Ok(())
    }

    #[cold]
    fn outside(&self, rank: i64, start: i64, bytes: usize) -> Error {
        self.buffer.outside(rank, start, bytes)
    }
}

impl Element {
    pub(crate) fn get(&self, vars: &[i64]) -> i64 {
        let (rank, start) = self.0.place(vars);
        let start = self.0.swizzle.map_or(start, |s| swizzled(s, start));
        match self.0.part(rank, start, self.0.bytes) {
            // SAFETY: `part` gives one readable element.
            Ok(at) => unsafe { load_int(self.0.elem, at) },
            Err(error) => wild(|| error.to_string()),
        }
    }

    pub(crate) fn reads(&self, var: usize) -> bool {
        self.0.reads(var)
    }

    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        self.0.piece(var, vars).steady()
    }

    pub(crate) fn joins(&self, outer: usize, inner: (usize, i64)) -> bool {
        self.0.joins(outer, inner)
    }
}

/// Bits 4..4+w of the byte offset xor bits 7..7+w, for rows of 2^(w+4) bytes.
pub(crate) fn swizzled(swizzle: Swizzle, at: i64) -> i64 {
    let mask = match swizzle {
        Swizzle::B32 => 1,
        Swizzle::B64 => 3,
        Swizzle::B128 => 7,
    };
    at ^ (((at >> 7) & mask) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swizzle_exchanges_16_byte_columns_by_the_row() {
        assert_eq!(swizzled(Swizzle::B128, 3 * 128 + 5 * 16 + 2), 3 * 128 + (5 ^ 3) * 16 + 2);
        assert_eq!(swizzled(Swizzle::B64, 0b111_0110_0001), 0b111_0100_0001);
        assert_eq!(swizzled(Swizzle::B32, 128), 128 + 16);
        for swizzle in [Swizzle::B32, Swizzle::B64, Swizzle::B128] {
            let mut seen: Vec<_> = (0..2048).map(|at| swizzled(swizzle, at)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..2048).collect::<Vec<_>>());
        }
    }
}
