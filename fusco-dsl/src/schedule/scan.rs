//! First rows of a packed axis that a tensor counts: a prefix sum over the groups of each rank.

use super::address::Addresses;
use super::arith::{cut, plus, times};
use super::ir::*;
use crate::arena::Handle;
use crate::layout::{Home, Owners, Table as Digits};
use crate::sema::hir::{self, Size};

/// Fills `table[rank * groups + g]` for every rank.
pub(super) fn prefix(
    at: &mut Addresses<'_>,
    tensor: Handle<hir::Tensor>,
    table: Handle<Table>,
) -> Op {
    let digits = at.table_of(tensor);
    let rank = at.var("rank");
    let mut scan = Scan { at, digits, tensor, rank, groups: Vec::new(), guards: Vec::new() };
    let coords = scan.coordinates();
    let counted = digits.counted.as_ref();
    let count = counted.map_or(Ix::Lit(0), |c| scan.size(&c.rows, &coords));
    let most = digits.digits.iter().find(|d| matches!(d.home, Home::Rows { .. }));
    let Scan { groups, mut guards, at, .. } = scan;
    // Rows of a group beyond the declared bound have no place.
    if let (Some(of), Some(most)) = (counted.and_then(|c| c.rows.tensor()), most) {
        let limit = most.radix.bound().saturating_add(1);
        guards.push(Guard::Valid { tensor: at.tensor(of), value: count.clone(), limit });
    }
    let ranks = at.schedule().ranks;
    let align = counted.map_or(1, |c| c.align);
    Op::Prefix { table, rank: (rank, ranks), groups, guards, count, align }
}

struct Scan<'a, 'p> {
    at: &'a mut Addresses<'p>,
    digits: &'p Digits,
    tensor: Handle<hir::Tensor>,
    rank: Handle<Var>,
    groups: Vec<(Handle<Var>, i64)>,
    guards: Vec<Guard>,
}

impl Scan<'_, '_> {
    /// Each parent axis as a function of the rank and the group's digits; `None` for other axes.
    fn coordinates(&mut self) -> Vec<Option<Ix>> {
        let digits = self.digits;
        let mut values: Vec<Option<Ix>> = vec![None; digits.axes.len()];
        for row in &digits.digits {
            let value = match row.home {
                Home::Parent { .. } => {
                    let var = self.at.var(&digits.axes[row.axis]);
                    self.groups.push((var, row.radix.bound()));
                    Ix::Var(var)
                }
                Home::Mesh { weight, .. } => self.on_mesh(weight, row.radix.bound()),
                _ => continue,
            };
            let before = values[row.axis].take().unwrap_or(Ix::Lit(0));
            values[row.axis] = Some(plus(before, times(value, row.weight)));
        }
        let mut place = |(axis, value): (usize, Option<Ix>)| {
            let value = self.unmapped(axis, value?);
            let limit = self.at.axis_bound(self.tensor, axis);
            self.guards.push(Guard::Below { value: value.clone(), limit: Ix::Lit(limit) });
            Some(value)
        };
        values.into_iter().enumerate().map(&mut place).collect()
    }

    fn on_mesh(&self, weight: i64, size: i64) -> Ix {
        let me = Ix::binary(IxOp::Sub, Ix::Var(self.rank), Ix::Lit(self.digits.first));
        cut(me, weight, size, false)
    }

    /// The coordinate that is number `position` of the rank: one past the extent if there is none.
    fn unmapped(&mut self, axis: usize, position: Ix) -> Ix {
        let Some(map) = self.digits.maps.get(&axis) else { return position };
        let Owners::Known(owners) = &map.owners else { return Ix::Lit(map.extent) };
        let most = owners.len() as i64;
        let count: i64 = map.parts.iter().map(|p| p.0).product();
        let name = format!("owned_{}_{}", self.digits.name, self.digits.axes[axis]);
        let table =
            self.at.lookup(&name, count * most, || TableKind::Const(owned(owners, count, most)));
        let owner = map.parts.iter().fold(Ix::Lit(0), |sum, (size, weight)| {
            plus(times(sum, *size), self.on_mesh(*weight, *size))
        });
        let index = plus(times(owner, most), position);
        Ix::Lookup { table, index: Box::new(index) }
    }

    fn size(&mut self, size: &Size, coords: &[Option<Ix>]) -> Ix {
        match size {
            Size::Coord(i) => coords[*i].clone().unwrap_or(Ix::Lit(0)),
            Size::Read { tensor, index } => {
                let index: Vec<Ix> = index.iter().map(|i| self.size(i, coords)).collect();
                self.at.element(*tensor, &index)
            }
            Size::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (self.size(lhs, coords), self.size(rhs, coords));
                Ix::binary(super::arith::ix_op(*op), lhs, rhs)
            }
            size => Ix::Lit(self.at.known(size)),
        }
    }
}

/// `[owner][position]`: the coordinates of each owner, ascending, then the extent.
fn owned(owners: &[i64], count: i64, most: i64) -> Vec<i64> {
    let mut out = Vec::new();
    for owner in 0..count {
        let mine = (0..owners.len()).filter(|x| owners[*x] == owner).map(|x| x as i64);
        out.extend(mine.chain(std::iter::repeat(most)).take(most as usize));
    }
    out
}
