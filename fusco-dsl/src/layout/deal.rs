//! How the groups of a route lie over the members of its plan.

use super::{Digit, Home, Map, Owners, RouteShape, Table};
use crate::arena::Handle;
use crate::sema::hir;
use std::fmt;

/// Which member of a plan holds each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    pub groups: i64,
    pub members: i64,
    pub form: DealForm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DealForm {
    /// Member m holds `each` groups from m * each on; the last ones may hold fewer, or none.
    Blocks { each: i64 },
    /// Group g is with member g % members.
    Cyclic,
    /// Group g is with member owners[g].
    Owners(Vec<i64>),
    /// Group g is with the member that element g of an `in` tensor names in the launch that plans.
    Read(Handle<hir::Tensor>),
    /// Each member holds a copy of every group.
    Copies,
}

impl Deal {
    /// The simplest form that says where a table has the coordinates of an axis; `None` where a coordinate is
    /// with no member.
    pub fn of(table: &Table, axis: usize, shape: &RouteShape) -> Option<Deal> {
        let (groups, members) = (shape.groups, shape.ranks);
        if let Some(map) = table.maps.get(&axis)
            && let Owners::Read(tensor) = map.owners
        {
            let form = DealForm::Read(tensor);
            return Deal::is_read((table, axis), map, shape).then_some(Deal {
                groups,
                members,
                form,
            });
        }
        let member = |g| {
            let rank = table.first + table.rank_part(axis, g)?;
            let is_member = rank % shape.stride == 0 && rank < shape.stride * shape.ranks;
            is_member.then_some(rank / shape.stride)
        };
        if members > 1 && !table.digits.iter().any(|d| d.axis == axis && !d.is_in_memory()) {
            return Some(Deal { groups, members, form: DealForm::Copies });
        }
        let owners: Vec<i64> = (0..shape.groups).map(member).collect::<Option<_>>()?;
        let each = owners.iter().take_while(|o| **o == 0).count().max(1) as i64;
        let forms = [DealForm::Blocks { each }, DealForm::Cyclic];
        let deals = forms.map(|form| Deal { groups, members, form });
        let same = |d: &Deal| (0..).zip(&owners).all(|(g, o)| d.owner(g) == Some(*o));
        let found = deals.into_iter().find(same);
        Some(found.unwrap_or(Deal { groups, members, form: DealForm::Owners(owners) }))
    }

    /// Whether the owners that a tensor may name are the members, in order.
    fn is_read((table, axis): (&Table, usize), map: &Map, shape: &RouteShape) -> bool {
        let split = |d: &Digit| matches!(d.home, Home::Mesh { .. }) && d.radix.bound() > 1;
        map.size() == shape.ranks
            && (0..shape.ranks).all(|m| map.rank_of(m) == m * shape.stride)
            && !table.digits.iter().any(|d| d.axis == axis && split(d))
    }

    /// The same where the owners that a launch reads are these.
    pub fn with(&self, owners: Vec<i64>) -> Deal {
        Deal { form: DealForm::Owners(owners), ..self.clone() }
    }

    /// The member that holds a group; of copies, the first. `None` where a launch reads it.
    pub fn owner(&self, group: i64) -> Option<i64> {
        Some(match &self.form {
            DealForm::Blocks { each } => group / each,
            DealForm::Cyclic => group % self.members,
            DealForm::Owners(owners) => owners.get(group as usize).copied().unwrap_or(0),
            DealForm::Copies => 0,
            DealForm::Read(_) => return None,
        })
    }

    /// The groups of a member, ascending; `None` where a launch reads whose they are.
    pub fn groups_of(&self, member: i64) -> Option<Vec<i64>> {
        let to = |end: i64| end.clamp(0, self.groups);
        Some(match &self.form {
            DealForm::Blocks { each } => (to(member * each)..to((member + 1) * each)).collect(),
            DealForm::Cyclic => (member..self.groups).step_by(self.members as usize).collect(),
            DealForm::Copies => (0..self.groups).collect(),
            DealForm::Owners(owners) => {
                (0..).zip(owners).filter(|(_, o)| **o == member).map(|(g, _)| g).collect()
            }
            DealForm::Read(_) => return None,
        })
    }

    /// Groups of the member that holds most; where a launch reads the owners, one may hold all.
    pub fn most(&self) -> i64 {
        match &self.form {
            DealForm::Blocks { each } => (*each).min(self.groups),
            DealForm::Cyclic => (self.groups + self.members - 1) / self.members,
            DealForm::Copies | DealForm::Read(_) => self.groups,
            DealForm::Owners(owners) => {
                let own = |m: i64| owners.iter().filter(|o| **o == m).count() as i64;
                (0..self.members).map(own).max().unwrap_or(0)
            }
        }
    }

    /// Whether every member holds as many groups.
    pub fn is_even(&self) -> bool {
        self.form == DealForm::Copies || self.most() * self.members == self.groups
    }
}

impl fmt::Display for Deal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            DealForm::Blocks { each } => write!(f, "blocks of {each}"),
            DealForm::Cyclic => write!(f, "cyclic over {}", self.members),
            DealForm::Copies => write!(f, "a copy of all {} on each rank", self.groups),
            DealForm::Owners(_) => write!(f, "by a table of owners, {} at most", self.most()),
            DealForm::Read(_) => {
                write!(f, "by owners that the plan's launch reads, {} at most", self.most())
            }
        }
    }
}
