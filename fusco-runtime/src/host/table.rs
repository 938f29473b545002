//! Tables of the home: offsets of counted groups, positions among the coordinates of one owner.

use super::code::Resolver;
use super::guard::{Test, decode, points};
use super::index::Number;
use super::plan::Table;
use crate::error::Error;
use fusco_dsl::schedule::ir::{self, Op};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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

/// `Op::Claim` and `Op::Distinct`
pub(crate) struct Claims {
    table: Table,
    tensor: String,
    var: (usize, i64),
    guards: Vec<Test>,
    value: Number,
}

impl Resolver<'_> {
    pub(super) fn claims(&self, claims: &ir::Claims) -> Result<Claims, Error> {
        Ok(Claims {
            table: self.table(claims.table)?,
            tensor: self.schedule().tensors[claims.tensor].name.clone(),
            var: (claims.var.0.index(), claims.var.1),
            guards: self.guards(&claims.guards)?,
            value: self.number(&claims.value)?,
        })
    }

    pub(super) fn prefix(&self, op: &Op) -> Result<Prefix, Error> {
        let Op::Prefix { table, rank, groups, guards, count, align } = op else {
            return Err(Error::Internal("not a prefix".to_string()));
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

impl Claims {
    /// Each element and the value that it names, if it may have it.
    fn each(&self, vars: &mut [i64], mut visit: impl FnMut(&AtomicU32, i64, i64)) {
        let (var, extent) = self.var;
        for x in 0..extent {
            vars[var] = x;
            if self.guards.iter().all(|g| g.holds(vars)) {
                let value = self.value.get(vars);
                let word = usize::try_from(value).ok().and_then(|v| self.table.get(v));
                if let Some(word) = word {
                    visit(word, x, value);
                }
            }
        }
    }

    pub(crate) fn claim(&self, vars: &mut [i64]) {
        self.each(vars, |word, x, _| word.store(x as u32, Relaxed));
    }

    /// F0907: an element whose entry another has taken.
    pub(crate) fn compare(&self, vars: &mut [i64]) -> Result<(), Error> {
        let mut broken = None;
        self.each(vars, |word, x, value| {
            if broken.is_none() && word.load(Relaxed) != x as u32 {
                broken = Some((x, value));
            }
        });
        broken.map_or(Ok(()), |(x, value)| Err(Error::equal_elements(&self.tensor, x, value)))
    }
}

/// What lies past a table is not kept: its length is the schedule's promise.
fn put(table: &Table, at: i64, value: i64) {
    if let Some(word) = table.get(at as usize) {
        word.store(value as u32, Relaxed);
    }
}
