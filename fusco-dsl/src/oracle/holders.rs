//! Which ranks have a tensor, and who owns the coordinates of an axis with a table.

use super::digits::Digits;
use super::scope::Scope;
use super::{Array, Error};
use crate::arena::Handle;
use crate::sema::hir::{Mesh, Owners, SpreadKind, TermKind};
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

impl Digits<'_> {
    /// The mesh of the tensor; copies over several meshes are on the ranks of each.
    pub fn mesh(&mut self) -> Result<(), Error> {
        let program = self.scope.program;
        if let [mesh] = self.meshes()[..] {
            let mesh = &program.meshes[mesh];
            self.first = self.size(&mesh.first)?;
            for axis in &mesh.axes {
                self.ranks *= self.axis_size(*axis)?;
            }
        }
        Ok(())
    }

    fn meshes(&self) -> Vec<Handle<Mesh>> {
        let terms = self.tensor.placement.iter().flat_map(|t| match &t.kind {
            TermKind::Shard(axis) => vec![*axis],
            TermKind::Mapped { mesh, .. } => mesh.clone(),
            _ => Vec::new(),
        });
        let spread = self.tensor.spread.iter().map(|s| s.mesh);
        let mut meshes: Vec<_> =
            terms.chain(spread).map(|axis| self.scope.program.mesh_axes[axis].mesh).collect();
        meshes.sort();
        meshes.dedup();
        meshes
    }

    pub fn read_maps(&mut self) -> Result<(), Error> {
        for term in &self.tensor.placement {
            let TermKind::Mapped { mesh, owners } = &term.kind else { continue };
            let mut axes = Vec::new();
            for axis in mesh {
                axes.push((self.axis_size(*axis)?, self.weight(*axis)?));
            }
            let map = Map::read(&self.scope, owners, axes, self.most(term.axis)?)?;
            self.maps.insert(term.axis, map);
        }
        Ok(())
    }

    pub fn holds(&self, rank: i64) -> Result<bool, Error> {
        if self.meshes().len() > 1 {
            return Ok(self.everywhere()?.contains(&rank));
        }
        let mine = rank - self.first;
        for spread in &self.tensor.spread {
            let SpreadKind::Only(at) = &spread.kind else { continue };
            let digit = mine / self.weight(spread.mesh)? % self.axis_size(spread.mesh)?;
            if digit != self.size(at)? {
                return Ok(false);
            }
        }
        Ok((0..self.ranks).contains(&mine))
    }

    /// What copies, single places and the part add to the rank.
    pub fn holders(&self, part: i64) -> Result<Vec<i64>, Error> {
        if self.meshes().len() > 1 {
            return self.everywhere();
        }
        let (mut out, mut part) = (vec![self.first], part);
        let mut spread: Vec<_> = self.tensor.spread.iter().collect();
        spread.sort_by_key(|s| s.mesh);
        for s in spread.into_iter().rev() {
            let (weight, size) = (self.weight(s.mesh)?, self.axis_size(s.mesh)?);
            let at = match &s.kind {
                SpreadKind::Copy => (0..size).collect(),
                SpreadKind::Only(at) => vec![self.size(at)?],
                SpreadKind::Sum { .. } => {
                    let mine = part % size;
                    part /= size;
                    vec![mine]
                }
            };
            out = out.iter().flat_map(|r| at.iter().map(move |i| r + i * weight)).collect();
        }
        Ok(out)
    }

    /// The ranks of several meshes, each of which holds a copy.
    fn everywhere(&self) -> Result<Vec<i64>, Error> {
        let program = self.scope.program;
        if self.tensor.spread.iter().any(|s| !matches!(s.kind, SpreadKind::Copy)) {
            return Err(Error::Unsupported("axes of several meshes that are not copies".into()));
        }
        let mut ranks = Vec::new();
        for mesh in self.meshes() {
            let mesh = &program.meshes[mesh];
            let (first, mut size) = (self.size(&mesh.first)?, 1);
            for axis in &mesh.axes {
                size *= self.axis_size(*axis)?;
            }
            ranks.extend(first..first + size);
        }
        ranks.sort_unstable();
        ranks.dedup();
        Ok(ranks)
    }
}
