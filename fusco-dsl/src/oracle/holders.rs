//! Which ranks have a tensor, and its tables of owners.

use super::Error;
use super::digits::Digits;
use super::owners::Map;
use crate::arena::Handle;
use crate::sema::hir::{Mesh, SpreadKind, TermKind};

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
