//! Who owns the coordinates of an axis with a table.

use super::Error;

/// The owner of each coordinate, and its position among those of the owner.
pub(super) struct Map {
    pub table: String,
    pub owners: Vec<i64>,
    pub positions: Vec<i64>,
    /// (size, weight) of the mesh axes, major first.
    pub mesh: Vec<(i64, i64)>,
    /// Whether its numbers are known at bind.
    pub known: bool,
}

impl Map {
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
