//! Lists of integers of one length, one after the other in memory.

use super::Error;
use std::ops::Index;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuples {
    width: usize,
    values: Vec<i64>,
}

impl Tuples {
    pub(super) fn new(width: usize) -> Tuples {
        Tuples { width, values: Vec::new() }
    }

    /// Elements of one; a tuple of none takes a place, too.
    fn each(&self) -> usize {
        self.width.max(1)
    }

    pub(super) fn push(&mut self, tuple: impl IntoIterator<Item = i64>) {
        let end = self.values.len() + self.each();
        self.values.extend(tuple);
        self.values.resize(end, 0);
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.each()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[i64]> {
        self.values.chunks_exact(self.each())
    }

    pub(super) fn get_mut(&mut self, i: usize) -> &mut [i64] {
        let each = self.each();
        &mut self.values[i * each..(i + 1) * each]
    }

    /// Keeps those of which `wanted`, which may change them, says so.
    pub(super) fn keep(
        &mut self,
        mut wanted: impl FnMut(&mut [i64]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let (each, mut kept) = (self.each(), 0);
        for first in (0..self.values.len()).step_by(each) {
            if wanted(&mut self.values[first..first + each])? {
                self.values.copy_within(first..first + each, kept);
                kept += each;
            }
        }
        self.values.truncate(kept);
        Ok(())
    }
}

impl Index<usize> for Tuples {
    type Output = [i64];

    fn index(&self, i: usize) -> &[i64] {
        &self.values[i * self.each()..(i + 1) * self.each()]
    }
}

/// The kept tuples of a route in source order, and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// Source coordinates, then destination coordinates.
    pub tuples: Tuples,
    /// Rows of each group, after the cap.
    pub live: Vec<i64>,
    /// Source tuples of the live domain without a pair, by their first coordinate.
    pub dropped: Vec<i64>,
}

impl Relation {
    /// Rows of each group, as plans count them.
    pub fn counts(&self) -> Vec<u32> {
        self.live.iter().map(|n| u32::try_from(*n).unwrap_or(u32::MAX)).collect()
    }
}
