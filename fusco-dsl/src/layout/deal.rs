//! How the groups of a route lie over the members of its plan.

use super::{RouteShape, Table};
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
}

impl Deal {
    /// The simplest form that says where a table has the coordinates of an axis; `None` where a coordinate is
    /// with no member, or a table read at launch decides.
    pub fn of(table: &Table, axis: usize, shape: &RouteShape) -> Option<Deal> {
        let member = |g| {
            let rank = table.rank_part(axis, g)?;
            let is_member = rank % shape.stride == 0 && rank < shape.stride * shape.ranks;
            is_member.then_some(rank / shape.stride)
        };
        let owners: Vec<i64> = (0..shape.groups).map(member).collect::<Option<_>>()?;
        let (groups, members) = (shape.groups, shape.ranks);
        let each = owners.iter().take_while(|o| **o == 0).count().max(1) as i64;
        let forms = [DealForm::Blocks { each }, DealForm::Cyclic];
        let deals = forms.map(|form| Deal { groups, members, form });
        let same = |d: &Deal| (0..).zip(&owners).all(|(g, o)| d.owner(g) == *o);
        let found = deals.into_iter().find(same);
        Some(found.unwrap_or(Deal { groups, members, form: DealForm::Owners(owners) }))
    }

    /// The member that holds a group.
    pub fn owner(&self, group: i64) -> i64 {
        match &self.form {
            DealForm::Blocks { each } => group / each,
            DealForm::Cyclic => group % self.members,
            DealForm::Owners(owners) => owners.get(group as usize).copied().unwrap_or(0),
        }
    }

    /// The groups of a member, ascending.
    pub fn groups_of(&self, member: i64) -> Vec<i64> {
        let to = |end: i64| end.clamp(0, self.groups);
        match &self.form {
            DealForm::Blocks { each } => (to(member * each)..to((member + 1) * each)).collect(),
            DealForm::Cyclic => (member..self.groups).step_by(self.members as usize).collect(),
            DealForm::Owners(owners) => {
                (0..).zip(owners).filter(|(_, o)| **o == member).map(|(g, _)| g).collect()
            }
        }
    }

    /// Groups of the member that holds most.
    pub fn most(&self) -> i64 {
        match &self.form {
            DealForm::Blocks { each } => (*each).min(self.groups),
            DealForm::Cyclic => (self.groups + self.members - 1) / self.members,
            DealForm::Owners(_) => {
                (0..self.members).map(|m| self.groups_of(m).len() as i64).max().unwrap_or(0)
            }
        }
    }

    /// Whether every member holds as many groups.
    pub fn is_even(&self) -> bool {
        self.most() * self.members == self.groups
    }
}

impl fmt::Display for Deal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            DealForm::Blocks { each } => write!(f, "blocks of {each}"),
            DealForm::Cyclic => write!(f, "cyclic over {}", self.members),
            DealForm::Owners(_) => write!(f, "by a table of owners, {} at most", self.most()),
        }
    }
}
