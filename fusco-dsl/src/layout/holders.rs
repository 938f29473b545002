//! Who holds an element: the digit table read at one coordinate.

use super::{Digit, Home, Map, Owners, SpreadKind, Table};

/// Where one axis's coordinate goes: what it adds to the rank and to the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub rank: i64,
    pub offset: i64,
}

impl Table {
    /// What a coordinate of an axis adds to the rank and the offset; `None` if that is known at launch
    /// only (a device map, a counted or routed axis).
    pub fn part(&self, axis: usize, at: i64) -> Option<Part> {
        let mut out = Part::default();
        let map = self.maps.get(&axis);
        let local = map.map_or(Some(at), |m| m.position(at))?;
        for digit in self.digits.iter().filter(|d| d.axis == axis) {
            match digit.home {
                Home::Mesh { weight, .. } => out.rank += self.value(digit, at) * weight,
                Home::Memory { stride } => {
                    let top = map.is_some() && self.is_top_in_memory(digit);
                    let above = local / digit.weight;
                    let value = match map {
                        None => self.value(digit, at),
                        Some(_) if top => above,
                        Some(_) => above % digit.radix.bound(),
                    };
                    out.offset += value * stride;
                }
                Home::Owner => out.rank += map?.rank(at)?,
                Home::Group { .. }
                | Home::Packed { .. }
                | Home::Parent { .. }
                | Home::Rows { .. } => {
                    return None;
                }
            }
        }
        Some(out)
    }

    /// What a coordinate of an axis adds to the rank; `None` if a table read at launch decides.
    pub fn rank_part(&self, axis: usize, at: i64) -> Option<i64> {
        let mut rank = 0;
        for digit in self.digits.iter().filter(|d| d.axis == axis) {
            match digit.home {
                Home::Mesh { weight, .. } => rank += self.value(digit, at) * weight,
                Home::Owner => rank += self.maps.get(&axis)?.rank(at)?,
                _ => {}
            }
        }
        Some(rank)
    }

    fn value(&self, digit: &Digit, at: i64) -> i64 {
        let above = at / digit.weight;
        if self.is_top(digit) { above } else { above % digit.radix.bound() }
    }

    /// Whether this is the most significant digit of a mapped axis's position.
    pub fn is_top_in_memory(&self, digit: &Digit) -> bool {
        let mut memory =
            self.digits.iter().filter(|d| d.axis == digit.axis && d.home != Home::Owner);
        memory.next().is_some_and(|d| std::ptr::eq(d, digit))
    }

    /// Ranks that hold what lies at `rank` within the mesh: itself, or all of its copies or parts.
    pub fn replicas(&self, rank: i64) -> Vec<i64> {
        let mut out = vec![self.first + rank];
        for spread in &self.spread {
            let at: Vec<i64> = match spread.kind {
                SpreadKind::Only(at) => vec![at],
                SpreadKind::Copy | SpreadKind::Sum => (0..spread.size).collect(),
            };
            let of = |r: &i64| at.iter().map(|i| r + i * spread.weight).collect::<Vec<_>>();
            out = out.iter().flat_map(of).collect();
        }
        out
    }
}

impl Map {
    /// The position of a coordinate among those of its owner.
    pub fn position(&self, at: i64) -> Option<i64> {
        let Owners::Known(owners) = &self.owners else { return None };
        let at = usize::try_from(at).ok()?;
        let owner = owners.get(at)?;
        Some(owners[..at].iter().filter(|o| *o == owner).count() as i64)
    }

    /// What the owner of a coordinate adds to the rank.
    pub fn rank(&self, at: i64) -> Option<i64> {
        let Owners::Known(owners) = &self.owners else { return None };
        Some(self.rank_of(*owners.get(usize::try_from(at).ok()?)?))
    }

    /// What an owner adds to the rank.
    pub fn rank_of(&self, mut owner: i64) -> i64 {
        let mut rank = 0;
        for (size, weight) in self.parts.iter().rev() {
            rank += owner % size * weight;
            owner /= size;
        }
        rank
    }

    /// How many owners there are.
    pub fn size(&self) -> i64 {
        self.parts.iter().map(|(size, _)| size).product()
    }
}
