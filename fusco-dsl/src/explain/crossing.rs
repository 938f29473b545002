//! Rows that cross between ranks along a route: of every tuple, once a rank, once a coordinate of each mesh axis. Expected
//! of tuples whose groups are spread evenly; which they are, the data says.

use crate::Compiled;
use crate::arena::Handle;
use crate::layout::{Deal, Home, RouteShape};
use crate::plan::{Coord, Each, Kind, Movement, Tree};
use crate::sema::hir::{self, DirectiveKind};

/// What the tuples of one position send to, or fetch from, other places of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// A mesh axis, with those that its mesh declares before it; `None` for the ranks.
    pub axis: Option<String>,
    /// Rows if each tuple's crosses by itself, and if those of one place cross as one.
    pub each: f64,
    pub merged: f64,
    /// The axis up to which the coordinates of a place are.
    pub within: String,
    /// Bytes of a row, and positions of a rank at most.
    pub row: i64,
    pub positions: i64,
    /// The schedule merges them.
    pub is_merged: bool,
}

impl Crossing {
    /// Bytes of a rank that cross, as the schedule has it.
    pub fn bytes(&self) -> f64 {
        let rows = if self.is_merged { self.merged } else { self.each };
        rows * self.positions as f64 * self.row as f64
    }
}

/// Of each rank and of each coordinate of the outer axes; empty where a launch reads who has which groups.
pub fn crossings(compiled: &Compiled, entry: usize, movement: &Movement) -> Vec<Crossing> {
    let shape = &compiled.plan.routes[&movement.route];
    let point = match movement.gathers() {
        true => movement.kind.points().into_iter().find(|p| p.coords.contains(&Some(Coord::Group))),
        false => Some(&movement.target),
    };
    let Some((point, deal)) = point.and_then(|p| Some((p, p.deal.as_ref()?))) else {
        return Vec::new();
    };
    if shape.ranks < 2 || matches!(movement.kind, Kind::Derive { .. }) {
        return Vec::new();
    }
    let bytes = compiled.hir.tensors[point.tensor].dtype.elem.bytes();
    let row = movement.run.saturating_mul(bytes);
    let last = compiled.plan.tables[&point.tensor].digits.iter().rev().find_map(|d| match d.home {
        Home::Mesh { axis, .. } => Some(compiled.hir.mesh_axes[axis].name.clone()),
        _ => None,
    });
    let last = last.unwrap_or_else(|| "..".to_string());
    let one = |(axis, per): (Option<Handle<hir::MeshAxis>>, i64)| {
        let (each, merged) = expected((shape, deal), per)?;
        let merges = |a| merged_over(&compiled.hir.entries[entry], a);
        Some(Crossing {
            axis: axis.map(|a| compiled.hir.mesh_axes[a].name.clone()),
            within: axis.map_or(last.clone(), |a| compiled.hir.mesh_axes[a].name.clone()),
            each,
            merged,
            row,
            positions: shape.positions_bound,
            is_merged: axis.is_some_and(merges),
        })
    };
    places(compiled, shape).into_iter().filter_map(one).collect()
}

/// Places, as how many ranks of the plan each has: nodes first, ranks last.
fn places(compiled: &Compiled, shape: &RouteShape) -> Vec<(Option<Handle<hir::MeshAxis>>, i64)> {
    let whole = |mesh: &&hir::Mesh| {
        let sizes = mesh.axes.iter().map(|a| compiled.hir.mesh_axes[*a].size.clone());
        let bound = compiled.schedule.params.iter().cloned().collect();
        let all = sizes.map(|s| compiled.hir.eval(&s, &bound)).try_fold(1, |n, s| Some(n * s?));
        all == Some(shape.ranks) && shape.stride == 1
    };
    let mut out = Vec::new();
    let mesh = compiled.hir.meshes.iter().map(|(_, m)| m).find(whole);
    for axis in mesh.iter().flat_map(|m| &m.axes) {
        let bound = compiled.schedule.params.iter().cloned().collect();
        if let Some((ranks, coordinates)) = compiled.hir.cut(*axis, &bound)
            && ranks > 1
            && coordinates > 1
        {
            out.push((Some(*axis), ranks));
        }
    }
    out.push((None, 1));
    out
}

/// Rows of a position that leave their place, of all ranks on average: every one, and once a place.
fn expected((shape, deal): (&RouteShape, &Deal), per: i64) -> Option<(f64, f64)> {
    let members = (0..shape.ranks).map(|m| deal.groups_of(m).map(|g| g.len() as f64));
    let members = members.collect::<Option<Vec<f64>>>()?;
    let held = Vec::from_iter(members.chunks(per.max(1) as usize).map(|c| c.iter().sum::<f64>()));
    let groups = shape.groups.max(1) as f64;
    let some = |n: f64| -> f64 {
        let none = (0..shape.fan).map(|i| match shape.distinct {
            true if groups - i as f64 > 0.0 => {
                ((groups - n - i as f64) / (groups - i as f64)).max(0.0)
            }
            true => 0.0,
            false => 1.0 - n / groups,
        });
        1.0 - none.product::<f64>()
    };
    let others = |own: usize, of: &dyn Fn(f64) -> f64| -> f64 {
        held.iter().enumerate().filter(|(i, _)| *i != own).map(|(_, n)| of(*n)).sum()
    };
    let mean = |of: &dyn Fn(f64) -> f64| {
        (0..held.len()).map(|own| others(own, of)).sum::<f64>() / held.len().max(1) as f64
    };
    Some((mean(&|n| shape.fan as f64 * n / groups), mean(&some)))
}

fn merged_over(entry: &hir::Entry, axis: Handle<hir::MeshAxis>) -> bool {
    let directives = entry.schedules.iter().flat_map(|s| &s.directives);
    directives.into_iter().any(|d| match &d.kind {
        DirectiveKind::Dedup { axis: own, .. } | DirectiveKind::Reduce(own) => *own == axis,
        _ => false,
    })
}

pub(super) fn lines(compiled: &Compiled, entry: usize, movement: &Movement) -> Vec<String> {
    let all = crossings(compiled, entry, movement);
    let way = if movement.gathers() { "come from" } else { "go to" };
    let mut out = Vec::new();
    for crossing in &all {
        let (place, each) = match &crossing.axis {
            Some(axis) => (format!("other `{axis}`s"), format!("once a `{axis}`")),
            None => ("other ranks".to_string(), "once a rank".to_string()),
        };
        let rows = crossing.positions as f64 * crossing.row as f64;
        let size = |n: f64| super::picture::size((n * rows) as i64);
        let which = if crossing.is_merged { ", as the schedule has it" } else { "" };
        out.push(format!(
            "expected of a position: {:.2} rows {way} {place}, {:.2} if {each}{which}; of a rank {} or {}",
            crossing.each,
            crossing.merged,
            size(crossing.each),
            size(crossing.merged)
        ));
    }
    if all.iter().any(|c| c.is_merged) {
        out.extend(forwarders(compiled, entry, movement.gathers()));
    }
    if let (Kind::Computed { value, .. }, Each::Position) = (&movement.kind, movement.each) {
        out.extend(saved(&all, value));
    }
    out
}

/// Which rank of a coordinate forwards what crosses as one row: of a path of two hops.
fn forwarders(compiled: &Compiled, entry: usize, gathers: bool) -> Option<String> {
    let directives = compiled.hir.entries[entry].schedules.iter().flat_map(|s| &s.directives);
    let directives = Vec::from_iter(directives.map(|d| &d.kind));
    let path = directives.iter().find_map(|d| match d {
        DirectiveKind::Path([a, b]) if a != b => Some(if gathers { [b, a] } else { [a, b] }),
        _ => None,
    })?;
    let [outer, inner] = path.map(|axis| &compiled.hir.mesh_axes[*axis]);
    let bound = compiled.schedule.params.iter().cloned().collect();
    let ranks = compiled.hir.eval(&inner.size, &bound).filter(|ranks| *ranks > 1)?;
    let does =
        if gathers { "adds them up and sends the row" } else { "takes the row and passes it on" };
    let (outer, inner) = (&outer.name, &inner.name);
    Some(match directives.contains(&&DirectiveKind::Forward(hir::Forward::Balanced)) {
        true => format!(
            "in each other `{outer}` rank i % {ranks} of it {does}: number i of those from one `{outer}`, so that its {ranks} ranks have as many, but for one; counted with the plan"
        ),
        false => format!(
            "in each other `{outer}` the rank with the same `{inner}` as the position {does}"
        ),
    })
}

/// What another order of additions would save, which is the program's to choose.
fn saved(all: &[Crossing], value: &Tree) -> Option<String> {
    let plain =
        |tree: &Tree| matches!(tree, Tree::Fold { by: hir::Reducer::Sum, within: None, .. });
    let found = match value {
        Tree::Binary { lhs, rhs, .. } => plain(lhs) || plain(rhs),
        Tree::Cast { of, .. } => plain(of),
        value => plain(value),
    };
    let best = all.iter().find(|c| c.each > 1.2 * c.merged).filter(|_| found)?;
    let axis = best.within.as_str();
    Some(format!(
        "`sum` adds in ascending order, so each row comes by itself; `sum.tree(.., within = {axis})` would let {:.1} x fewer come",
        best.each / best.merged.max(f64::MIN_POSITIVE)
    ))
}
