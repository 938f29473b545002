//! The numbers of a route: how many tuples, groups and bins, and the worst cases they imply.

use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::sema::hir::{self, Bindings, ExprKind, OrElse, Order, Program, Size, Step, VarExtent};
use crate::source::Span;

/// Numbering of a group's tuples, major to minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOrder {
    /// rank, position, k
    RankPositionFan,
    /// rank, k, position
    RankFanPosition,
    /// k, rank, position
    FanRankPosition,
}

/// A route `([s,] t [, k]) -> (e, c)` with its sizes bound.
#[derive(Clone, Debug)]
pub struct RouteShape {
    /// The index tensor that names the group of each tuple.
    pub index: Handle<hir::Tensor>,
    pub none: Option<i64>,
    /// Source variables by role.
    pub rank_var: Option<Handle<hir::Var>>,
    pub position_var: Handle<hir::Var>,
    pub fan_var: Option<Handle<hir::Var>>,
    pub group_var: Handle<hir::Var>,
    pub slot_var: Handle<hir::Var>,
    /// Extent of the position variable on one rank.
    pub positions: Size,
    pub positions_bound: i64,
    /// Ranks that make one plan together, those over which the source rank is sharded, and how far apart they are.
    /// Along the other mesh axes, where tensors are copied or rows are split, each coordinate makes the same plan.
    pub ranks: i64,
    pub stride: i64,
    pub fan: i64,
    pub groups: i64,
    pub order: SlotOrder,
    pub cap: Option<i64>,
    pub trap_none: bool,
    pub trap_cap: bool,
    /// A position never names one group twice (`assume distinct`).
    pub distinct: bool,
}

impl RouteShape {
    /// The number of a rank among those that make its plan.
    pub fn member_of(&self, rank: i64) -> i64 {
        rank / self.stride % self.ranks
    }
}

/// How many rows a route can make.
pub(crate) struct RouteBounds {
    /// Of one group.
    pub rows_per_group: i64,
    positions: i64,
    /// Groups that a position can name at once.
    names: i64,
}

impl RouteBounds {
    /// Of so many groups together; `None` beyond 2^63.
    pub fn rows_of(&self, groups: i64) -> Option<i64> {
        let named = self.positions.checked_mul(self.names)?;
        Some(named.min(self.rows_per_group.saturating_mul(groups)))
    }
}

/// Worst cases of a route: every tuple kept; `assume distinct` and the cap sharpen them.
pub(crate) fn route_bounds(
    program: &Program,
    bound: &Bindings,
    route: Handle<hir::Route>,
) -> Result<RouteBounds, Box<Diagnostic>> {
    let shape = route_shape(program, bound, route)?;
    let fan = if shape.distinct { 1 } else { shape.fan };
    let overflow = || unsupported(program, route, "more than 2^63 rows");
    let positions = shape.positions_bound.checked_mul(shape.ranks).ok_or_else(overflow)?;
    let rows = positions.checked_mul(fan).ok_or_else(overflow)?;
    let rows_per_group = shape.cap.map_or(rows, |cap| cap.min(rows));
    Ok(RouteBounds { rows_per_group, positions, names: shape.fan })
}

/// Reads a route's form off its steps.
///
/// # Errors
/// F0999 for a form that is not lowered yet, located at the route.
pub fn route_shape(
    program: &Program,
    bound: &Bindings,
    handle: Handle<hir::Route>,
) -> Result<RouteShape, Box<Diagnostic>> {
    let route = &program.routes[handle];
    let no = |what: &str| unsupported(program, handle, what);
    let eval = |size: &Size| {
        program.eval(size, bound).ok_or_else(|| no("a size that is not known at bind"))
    };

    let (group_var, index, none, bind_else) = bind_step(program, route)
        .ok_or_else(|| no("a group that is not read from one index tensor"))?;
    let groups_size = program.tensors[index]
        .dtype
        .index
        .as_ref()
        .map(|i| &i.bound)
        .ok_or_else(|| no("an index without `ix`"))?;
    let groups = eval(groups_size)?;
    let (rank_var, position_var, fan_var) = source_roles(program, route)
        .ok_or_else(|| no("sources other than `(s, t, k)`, `(s, t)`, `(t, k)` or `(t)`"))?;
    let (ranks, stride) = match rank_var {
        Some(_) => members(program, bound, index)
            .ok_or_else(|| no("a source over mesh axes that are not beside each other"))?,
        None => (1, 1),
    };
    if let Some(var) = rank_var {
        let each = match &route.vars[var].extent {
            VarExtent::Fixed(size) => eval(size)?,
            _ => return Err(no("a ragged source")),
        };
        if each != ranks {
            let name = &route.vars[var].name;
            return Err(no(&format!(
                "a sharded source `{name}` of {each} values, not one for each of the {ranks} ranks"
            )));
        }
    }
    let VarExtent::Fixed(positions) = &route.vars[position_var].extent else {
        return Err(no("a ragged source"));
    };
    let positions_bound = match positions {
        Size::Dyn { of, index } => {
            // One for all, or the one of the tuple's own rank.
            let own = matches!(index[..], [] | [Size::Coord(0)]);
            if !own || rank_var.is_none() && !index.is_empty() {
                return Err(no("as many positions as a `dyn` of another rank says"));
            }
            eval(&program.dyns[*of].bound)?
        }
        size => eval(size)?,
    };
    let fan = match fan_var.map(|v| &route.vars[v].extent) {
        None => 1,
        Some(VarExtent::Fixed(size)) => eval(size)?,
        Some(VarExtent::Ragged(_) | VarExtent::Counted { .. }) => {
            return Err(no("a ragged source"));
        }
    };
    let (slot_var, order) = slot_step(route, rank_var, position_var, fan_var).map_err(|by| {
        Box::new(
            Diagnostic::unsupported(
                by,
                format!("route `{}` numbers slots in this order", route.name),
            )
            .note("the position is numbered after the rank")
            .help("write the key of the rank before the key of the position"),
        )
    })?;
    let cap = route.steps.iter().find_map(|s| match s {
        Step::Cap { limit, orelse, .. } => Some((limit, *orelse)),
        _ => None,
    });
    Ok(RouteShape {
        index,
        none,
        rank_var,
        position_var,
        fan_var,
        group_var,
        slot_var,
        positions: positions.clone(),
        positions_bound,
        ranks,
        stride,
        fan,
        groups,
        order,
        cap: cap.map(|(limit, _)| eval(limit)).transpose()?,
        trap_none: bind_else == Some(OrElse::Trap),
        trap_cap: cap.is_some_and(|(_, orelse)| orelse == OrElse::Trap),
        distinct: fan_var.is_some() && assumes_distinct(program, index),
    })
}

/// The ranks over which the first axis of the index tensor is sharded: how many, and how far apart. `None` if the
/// mesh has other axes between them.
fn members(program: &Program, bound: &Bindings, index: Handle<hir::Tensor>) -> Option<(i64, i64)> {
    let (mut ranks, mut stride) = (1, None);
    for term in program.tensors[index].placement.iter().rev().filter(|t| t.axis == 0) {
        let hir::TermKind::Shard(axis) = term.kind else { continue };
        let size = |a: &Handle<hir::MeshAxis>| program.eval(&program.mesh_axes[*a].size, bound);
        let axes = &program.meshes[program.mesh_axes[axis].mesh].axes;
        let minor = axes.iter().skip_while(|a| **a != axis).skip(1);
        let weight = minor.map(size).try_fold(1i64, |n, size| n.checked_mul(size?))?;
        let first = *stride.get_or_insert(weight);
        if weight != first * ranks {
            return None;
        }
        ranks *= size(&axis)?;
    }
    Some((ranks, stride.unwrap_or(1)))
}

type BindStep = (Handle<hir::Var>, Handle<hir::Tensor>, Option<i64>, Option<OrElse>);

/// `e = topk[s, t, k] else ..`, read with the source variables in order.
fn bind_step(program: &Program, route: &hir::Route) -> Option<BindStep> {
    let mut binds = route.steps.iter().filter_map(|s| match s {
        Step::Bind { var, value, orelse, .. } => Some((*var, value, *orelse)),
        _ => None,
    });
    let (var, value, orelse) = binds.next()?;
    let ExprKind::Read { tensor, index } = &value.kind else { return None };
    let in_order = index.len() == route.sources.len()
        && index
            .iter()
            .zip(&route.sources)
            .all(|(i, v)| matches!(i.kind, ExprKind::Var(x) if x == *v));
    let none = program.tensors[*tensor].dtype.index.as_ref().and_then(|i| i.none);
    (in_order && binds.next().is_none()).then_some((var, *tensor, none, orelse))
}

type Roles = (Option<Handle<hir::Var>>, Handle<hir::Var>, Option<Handle<hir::Var>>);

/// Which source is the rank, the position and the fan. A source is the rank if the index tensor
/// shards it over the mesh.
fn source_roles(program: &Program, route: &hir::Route) -> Option<Roles> {
    let (_, index, ..) = bind_step(program, route)?;
    let sharded = |axis: usize| {
        program.tensors[index]
            .placement
            .iter()
            .any(|t| t.axis == axis && matches!(t.kind, hir::TermKind::Shard(_)))
    };
    let mut sources = route.sources.iter().copied().enumerate().peekable();
    let rank = sources.next_if(|(axis, _)| sharded(*axis)).map(|(_, v)| v);
    let (_, position) = sources.next()?;
    let fan = sources.next().map(|(_, v)| v);
    sources.next().is_none().then_some((rank, position, fan))
}

fn slot_step(
    route: &hir::Route,
    rank: Option<Handle<hir::Var>>,
    position: Handle<hir::Var>,
    fan: Option<Handle<hir::Var>>,
) -> Result<(Handle<hir::Var>, SlotOrder), Span> {
    let slot = route.steps.iter().find_map(|s| match s {
        Step::Slot { var, order, by, .. } => Some((*var, order, *by)),
        _ => None,
    });
    let (var, order, by) = slot.ok_or(route.span)?;
    let Order::Keys(keys) = order else { return Ok((var, SlotOrder::RankPositionFan)) };
    // Every source is a key: F0402 is decided before.
    let at = |v: Handle<hir::Var>| keys.iter().position(|k| *k == v).unwrap_or(keys.len());
    let (rank, position, fan) = (rank.map(at), at(position), fan.map(at));
    if rank.is_some_and(|r| r > position) {
        return Err(by);
    }
    let order = match (rank, fan) {
        (_, None) => SlotOrder::RankPositionFan,
        (_, Some(f)) if f > position => SlotOrder::RankPositionFan,
        (Some(r), Some(f)) if f < r => SlotOrder::FanRankPosition,
        _ => SlotOrder::RankFanPosition,
    };
    Ok((var, order))
}

fn assumes_distinct(program: &Program, index: Handle<hir::Tensor>) -> bool {
    let last = program.tensors[index].axes.len() - 1;
    program
        .assumes
        .iter()
        .chain(program.entries.iter().flat_map(|e| &e.assumes))
        .any(|a| a.tensor == index && a.axis == last)
}

fn unsupported(program: &Program, route: Handle<hir::Route>, what: &str) -> Box<Diagnostic> {
    let route = &program.routes[route];
    Box::new(Diagnostic::unsupported(route.span, format!("route `{}` has {what}", route.name)))
}
