//! Signals of the current chunk, not yet sent.
//!
//! Noting one touches no shared line: an atomic operation between two rows would wait for the streaming
//! stores of the row before, and counters that all ranks add to would travel between their cores.

use super::copy;
use super::plan::Table;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

#[derive(Default)]
pub(crate) struct Pending {
    /// The tables that were ever noted: few, a rank and signal each.
    tables: Vec<Table>,
    /// Which table, which slot.
    noted: Vec<(usize, usize)>,
}

impl Pending {
    /// One arrival, told by the next [`Self::send`]. The slot is within the table.
    pub(crate) fn note(&mut self, table: &Table, slot: usize) {
        let known = self.tables.iter().position(|t| Arc::ptr_eq(t, table));
        let at = known.unwrap_or_else(|| {
            self.tables.push(table.clone());
            self.tables.len() - 1
        });
        self.noted.push((at, slot));
    }

    /// Releases everything written so far, then counts it: once a counter.
    pub(crate) fn send(&mut self) {
        if self.noted.is_empty() {
            return;
        }
        copy::fence();
        self.noted.sort_unstable();
        for arrivals in self.noted.chunk_by(|a, b| a == b) {
            let (table, slot) = arrivals[0];
            self.tables[table][slot].fetch_add(arrivals.len() as u32, Release);
        }
        self.noted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[test]
    fn every_arrival_is_counted_where_it_belongs() {
        let tables: [Table; 2] =
            std::array::from_fn(|_| (0..3).map(|_| AtomicU32::new(0)).collect());
        let mut pending = Pending::default();
        for (table, slot) in [(0, 2), (1, 2), (0, 1), (0, 2), (1, 0), (0, 2)] {
            pending.note(&tables[table], slot);
        }
        let seen = || tables.each_ref().map(|t| [0, 1, 2].map(|i| t[i].load(Relaxed)));
        assert_eq!(seen(), [[0; 3]; 2]);
        pending.send();
        pending.send();
        assert_eq!(seen(), [[0, 1, 3], [1, 0, 1]]);
    }
}
