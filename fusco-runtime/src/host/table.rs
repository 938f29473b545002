//! Tables of the home: offsets of counted groups, positions among the coordinates of one owner.

use super::code::Resolver;
use super::guard::{Test, decode, points};
use super::index::Number;
use super::plan::Table;
use crate::engine::Error;
use fusco_dsl::schedule::ir::Op;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

/// `Op::Prefix`
pub(crate) struct Prefix {
    table: Table,
    rank: (usize, i64),
    groups: Vec<(usize, i64)>,
    guards: Vec<Test>,
    count: Number,
    align: i64,
}

/// `Op::Positions`
pub(crate) struct Positions {
    pub table: Table,
    pub var: usize,
    pub extent: i64,
    pub owner: Number,
}

impl Resolver<'_> {
    pub(super) fn prefix(&self, op: &Op) -> Result<Prefix, Error> {
        let Op::Prefix { table, rank, groups, guards, count, align } = op else {
            return Err(Error::plan("not a prefix".to_string()));
        };
        Ok(Prefix {
            table: self.table(*table)?,
            rank: (rank.0.index(), rank.1),
            groups: groups.iter().map(|(v, n)| (v.index(), *n)).collect(),
            guards: self.guards(guards)?,
            count: self.number(count)?,
            align: (*align).max(1),
        })
    }
}

impl Prefix {
    pub(crate) fn run(&self, vars: &mut [i64]) {
        let groups = points(&self.groups);
        for rank in 0..self.rank.1 {
            vars[self.rank.0] = rank;
            let mut total = 0;
            for group in 0..groups {
                decode(&self.groups, group, vars);
                put(&self.table, rank * groups + group, total);
                if self.guards.iter().all(|g| g.holds(vars)) {
                    let count = self.count.get(vars).max(0);
                    total += (count + self.align - 1) / self.align * self.align;
                }
            }
        }
    }
}

impl Positions {
    pub(crate) fn run(&self, vars: &mut [i64]) {
        let mut seen: HashMap<i64, i64> = HashMap::new();
        for x in 0..self.extent {
            vars[self.var] = x;
            let count = seen.entry(self.owner.get(vars)).or_default();
            put(&self.table, x, *count);
            *count += 1;
        }
    }
}

/// What lies past a table is not kept: its length is the schedule's promise.
fn put(table: &Table, at: i64, value: i64) {
    if let Some(word) = table.get(at as usize) {
        word.store(value as u32, Relaxed);
    }
}
