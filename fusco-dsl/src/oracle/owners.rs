//! Who owns the coordinates of an axis with a table.

use super::scope::Scope;
use super::{Array, Error};
use crate::sema::hir::Owners;
use std::collections::BTreeMap;

/// The owner of each coordinate, and its position among those of the owner.
pub(super) struct Map {
    table: String,
    owners: Vec<i64>,
    pub positions: Vec<i64>,
    /// (size, weight) of the mesh axes, major first.
    mesh: Vec<(i64, i64)>,
    /// Whether its numbers are known at bind.
    pub known: bool,
}

impl Map {
    /// The owners of `extent` coordinates over mesh axes of these (size, weight), major first.
    pub fn read(
        scope: &Scope,
        owners: &Owners,
        mesh: Vec<(i64, i64)>,
        extent: i64,
    ) -> Result<Map, Error> {
        let (table, mut owners, known) = table(scope, owners)?;
        owners.truncate(usize::try_from(extent).unwrap_or(0));
        let (mut have, mut positions) = (BTreeMap::new(), Vec::new());
        for owner in &owners {
            let next = have.entry(*owner).or_insert(0i64);
            positions.push(*next);
            *next += 1;
        }
        Ok(Map { table, owners, positions, mesh, known })
    }

    fn nth(&self, list: &[i64], at: i64) -> Result<i64, Error> {
        let found = usize::try_from(at).ok().and_then(|i| list.get(i)).copied();
        found.ok_or_else(|| Error::Shape(format!("{} has no entry {at}", self.table)))
    }

    /// The position of a coordinate among those of its owner.
    pub fn position(&self, at: i64) -> Result<i64, Error> {
        self.nth(&self.positions, at)
    }

    /// The ranks that the owner of a coordinate lies beyond the first.
    pub fn rank(&self, at: i64) -> Result<i64, Error> {
        let owner = self.nth(&self.owners, at)?;
        let owners = self.mesh.iter().map(|(size, _)| size).product();
        if !(0..owners).contains(&owner) {
            let tensor = self.table.clone();
            return Err(Error::Index { tensor, at: vec![at], value: owner, bound: owners });
        }
        let (mut rank, mut rest) = (0, owner);
        for (size, weight) in self.mesh.iter().rev() {
            rank += rest % size * weight;
            rest /= size;
        }
        Ok(rank)
    }
}

/// The name of a table of owners, its entries, and whether they are known at bind.
fn table(scope: &Scope, owners: &Owners) -> Result<(String, Vec<i64>, bool), Error> {
    let program = scope.program;
    Ok(match owners {
        Owners::Const { name, values } => (name.clone(), values.clone(), true),
        Owners::Param(p) => {
            (program.params[*p].name.clone(), program.array(*p, &scope.inputs.params), true)
        }
        Owners::Tensor(t) => {
            let array: &Array = scope.array(*t)?;
            let values = (0..array.len()).map(|i| array.get_i64(i)).collect();
            (program.tensors[*t].name.clone(), values, false)
        }
    })
}
