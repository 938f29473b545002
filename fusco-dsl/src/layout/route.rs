//! The numbers of a route: how many tuples, groups and bins, and the worst cases they imply.

use super::sources::{Keys, Local, RankDigit, SlotOrder, Source};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::sema::hir::{self, Bindings, ExprKind, OrElse, Order, Program, Size, Step, VarExtent};
use crate::source::Span;

/// A route `(sources) -> (e, c)` with its sizes bound.
#[derive(Clone, Debug)]
pub struct RouteShape {
    /// The tensor that names the group of each tuple, or the first of those from which it is computed.
    pub index: Handle<hir::Tensor>,
    /// Every tensor that a tuple reads, and the source by which each of its axes is indexed alone.
    pub reads: Vec<(Handle<hir::Tensor>, Vec<Option<usize>>)>,
    pub sources: Vec<Source>,
    /// The sources, by number, whose values on a rank number its positions, major first.
    pub positions: Vec<usize>,
    /// The source that counts the tuples of a position.
    pub choice: Option<usize>,
    pub group_var: Handle<hir::Var>,
    pub slot_var: Handle<hir::Var>,
    pub positions_bound: i64,
    /// Ranks that make one plan together, those over which sources are sharded, and how far apart they are.
    /// Along the other mesh axes, where tensors are copied or rows are split, each coordinate makes the same plan.
    pub ranks: i64,
    pub stride: i64,
    /// First rank of the mesh that has the tuples, and its ranks: all, but beside other meshes.
    pub mesh: (i64, i64),
    /// Ranks that have tuples: those of a plan, but beside other meshes.
    pub holders: i64,
    pub fan: i64,
    pub groups: i64,
    pub order: SlotOrder,
    pub cap: Option<i64>,
    pub trap_cap: bool,
    /// A position never names one group twice (`assume distinct`).
    pub distinct: bool,
}

impl RouteShape {
    /// Whether a mesh axis, by its size and weight, is none of those whose ranks make one plan together.
    pub fn beside(&self, (size, weight): (i64, i64)) -> bool {
        size == 1 || weight * size <= self.stride || weight >= self.stride * self.ranks
    }

    /// The program has ranks outside the mesh of the tuples: those, too, know all counts.
    pub fn is_beside_others(&self) -> bool {
        self.mesh != (0, self.ranks * self.stride) && self.mesh.1 < self.ranks
    }

    /// Whether a rank has tuples.
    pub fn holds(&self, rank: i64) -> bool {
        !self.is_beside_others() || (0..self.holders).contains(&(rank - self.mesh.0))
    }

    /// Whether the values of a source are the ranks that make a plan, by their numbers.
    pub fn is_of_members(&self, source: usize) -> bool {
        let source = &self.sources[source];
        let whole =
            |d: &RankDigit| d.weight == 1 && d.radix == self.ranks && d.ranks == self.stride;
        match &source.ranks[..] {
            [] => self.ranks == 1 && source.bound == 1,
            [digit] => source.bound == 1 && whole(digit),
            _ => false,
        }
    }

    /// The number of a rank among those that make its plan.
    pub fn member_of(&self, rank: i64) -> i64 {
        rank / self.stride % self.ranks
    }
}

/// Products of a route's numbers stay within 64 bits.
const MOST_TUPLES: i64 = 1 << 60;

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
    let positions = shape.positions_bound.checked_mul(shape.holders).ok_or_else(overflow)?;
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

    let (group_var, slot_var, by) = slot_step(route).ok_or_else(|| no("no slot"))?;
    let VarExtent::Fixed(groups) = &route.vars[group_var].extent else {
        return Err(no("groups without a number"));
    };
    let groups = eval(groups)?;
    let reads = reads(route);
    let direct = direct(route, group_var);
    let assumed = |(tensor, _): &Read| assumes_distinct(program, *tensor).is_some();
    if direct.is_none() && reads.iter().any(assumed) {
        return Err(no("an `assume distinct` of a tensor that it computes with"));
    }
    let first = reads.first().map(|(tensor, _)| *tensor);
    let index = direct.or(first).ok_or_else(|| no("no tensor that tuples read"))?;
    let mut sources = Vec::new();
    for (number, var) in route.sources.iter().enumerate() {
        let VarExtent::Fixed(extent) = &route.vars[*var].extent else {
            return Err(no("a ragged source"));
        };
        // Others that it indexes are cut alike: `plan::routed` sees to it.
        let axis = reads.iter().find_map(|(tensor, axes)| {
            let axis = axes.iter().position(|a| *a == Some(number))?;
            Some((&program.tensors[*tensor], axis))
        });
        let axis = axis.ok_or_else(|| no("a source that indexes no axis"))?;
        let source = Source::of((program, bound), axis, (*var, extent));
        sources.push(
            source.ok_or_else(|| no("a source over ranks whose digits are not known at bind"))?,
        );
    }
    let (holders, stride) = members(&sources)
        .ok_or_else(|| no("a source over mesh axes that are not beside each other"))?;
    let all_ranks = program.ranks(bound).unwrap_or(1);
    let mesh = mesh_of(program, bound, index).unwrap_or((0, all_ranks));
    let apart = mesh != (0, all_ranks);
    if apart && holders != 1 && (holders, stride) != (mesh.1, 1) {
        return Err(no("sources over some axes of a mesh that is not all ranks"));
    }
    // Beside other meshes all ranks make one plan: those of the others have no tuples.
    let ranks = if apart { all_ranks } else { holders };
    for (source, var) in sources.iter_mut().zip(&route.sources) {
        if let VarExtent::Fixed(size) = &route.vars[*var].extent
            && let Some(all) = program.eval(size, bound)
        {
            source.count_each(all, (holders, stride));
        }
        if let (Local::Each(counts), true) = (&mut source.local, apart) {
            counts.splice(0..0, (0..mesh.0).map(|_| 0));
            counts.resize(usize::try_from(ranks).unwrap_or(0), 0);
        }
    }
    for source in &sources {
        let Local::Size(size) = &source.local else { continue };
        // One for all, or the one of the tuple's own rank.
        let own = |at: &Size| matches!(at, Size::Coord(i) if sources[*i].bound == 1);
        if !size.dyn_index().into_iter().all(own) {
            return Err(no("as many positions as a `dyn` of another rank says"));
        }
    }
    let assumed = direct.and_then(|t| assumes_distinct(program, t));
    let distinct = assumed.and_then(|axis| reads[0].1[axis]);
    let choice = choice(program, handle, &sources, distinct);
    let keys = keys(route, &sources).ok_or_else(|| no("no slot"))?;
    let positions: Vec<usize> = keys.iter().copied().filter(|k| Some(*k) != choice).collect();
    let bound_of = |all: i64, k: &usize| all.checked_mul(sources[*k].bound);
    let positions_bound = positions.iter().try_fold(1i64, bound_of);
    let fan = choice.map_or(1, |c| sources[c].bound);
    let tuples = positions_bound.and_then(|n| n.checked_mul(fan)?.checked_mul(ranks));
    let (Some(positions_bound), true) = (positions_bound, tuples.is_some_and(|n| n <= MOST_TUPLES))
    else {
        return Err(no("more than 2^60 tuples"));
    };
    let names = keys.iter().map(|k| route.vars[route.sources[*k]].name.clone()).collect();
    let order = Keys { sources: &sources, order: &keys, names, choice, stride }.slots();
    let order = order.map_err(|what| {
        let what = format!("route `{}` with {what},", route.name);
        Box::new(Diagnostic::unsupported(by, what).help("write the keys that are sharded first"))
    })?;
    let order = match apart {
        true => over_all(order, (holders, ranks)).ok_or_else(|| {
            no("ranks of a mesh that is not all ranks, in another order than their numbers")
        })?,
        false => order,
    };
    if order.outer.checked_mul(groups).is_none_or(|bins| bins > MOST_TUPLES) {
        return Err(no("more than 2^60 counts"));
    }
    let cap = route.steps.iter().find_map(|s| match s {
        Step::Cap { limit, orelse, .. } => Some((limit, *orelse)),
        _ => None,
    });
    Ok(RouteShape {
        index,
        reads,
        positions,
        choice,
        group_var,
        slot_var,
        positions_bound,
        ranks,
        stride,
        mesh,
        holders,
        fan,
        groups,
        order,
        cap: cap.map(|(limit, _)| eval(limit)).transpose()?,
        trap_cap: cap.is_some_and(|(_, orelse)| orelse == OrElse::Trap),
        distinct: choice.is_some() && distinct == choice,
        sources,
    })
}

/// First rank and number of ranks of the mesh that a tensor lies on.
fn mesh_of(program: &Program, bound: &Bindings, tensor: Handle<hir::Tensor>) -> Option<(i64, i64)> {
    let tensor = &program.tensors[tensor];
    let split = tensor.placement.iter().find_map(|t| match t.kind {
        hir::TermKind::Shard(axis) => Some(axis),
        _ => None,
    });
    let axis = split.or_else(|| Some(tensor.spread.first()?.mesh))?;
    let mesh = &program.meshes[program.mesh_axes[axis].mesh];
    let sizes = mesh.axes.iter().map(|a| program.eval(&program.mesh_axes[*a].size, bound));
    let ranks = sizes.into_iter().try_fold(1i64, |n, size| n.checked_mul(size?))?;
    Some((program.eval(&mesh.first, bound)?, ranks))
}

/// The order of slots where the digit that is the rank counts all ranks, most of which have no tuples.
fn over_all(mut order: SlotOrder, (holders, all): (i64, i64)) -> Option<SlotOrder> {
    let mut ranks = order.digits.iter_mut().filter(|d| d.of_rank);
    let (digit, more) = (ranks.next(), ranks.next().is_some());
    let digit = digit.filter(|d| !more && d.radix == holders && (d.weight == 1 || holders == 1))?;
    (digit.radix, digit.weight) = (all, 1);
    Some(order)
}

/// The ranks over which sources are sharded: how many, and how far apart. `None` if the mesh has other axes between
/// them.
fn members(sources: &[Source]) -> Option<(i64, i64)> {
    let mut digits: Vec<_> = sources.iter().flat_map(|s| &s.ranks).collect();
    digits.sort_by_key(|d| d.ranks);
    let stride = digits.first().map_or(1, |d| d.ranks);
    let all = digits.iter().try_fold(1i64, |ranks, digit| {
        (digit.ranks == ranks.checked_mul(stride)?).then(|| ranks.checked_mul(digit.radix))?
    })?;
    Some((all, stride))
}

/// A tensor, and the source by which each of its axes is indexed alone.
type Read = (Handle<hir::Tensor>, Vec<Option<usize>>);

/// Every read of the body.
fn reads(route: &hir::Route) -> Vec<Read> {
    let mut out = Vec::new();
    for step in &route.steps {
        if let Step::Bind { value, .. } = step {
            reads_of(route, value, &mut out);
        }
    }
    out
}

fn reads_of(route: &hir::Route, e: &hir::Expr, out: &mut Vec<Read>) {
    match &e.kind {
        ExprKind::Read { tensor, index } => {
            let source = |i: &hir::Expr| match i.kind {
                ExprKind::Var(v) => route.sources.iter().position(|s| *s == v),
                _ => None,
            };
            index.iter().for_each(|i| reads_of(route, i, out));
            out.push((*tensor, index.iter().map(source).collect()));
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            reads_of(route, lhs, out);
            reads_of(route, rhs, out);
        }
        _ => {}
    }
}

/// The tensor of `e = topk[s, t, k]`, where that is all that a route reads.
fn direct(route: &hir::Route, group: Handle<hir::Var>) -> Option<Handle<hir::Tensor>> {
    let mut binds = route.steps.iter().filter_map(|s| match s {
        Step::Bind { var, value, .. } => Some((*var, value)),
        _ => None,
    });
    let (var, value) = binds.next()?;
    let ExprKind::Read { tensor, index } = &value.kind else { return None };
    let plain = |i: &hir::Expr| matches!(i.kind, ExprKind::Var(_));
    (var == group && index.iter().all(plain) && binds.next().is_none()).then_some(*tensor)
}

/// The last source, if it is whole on each rank and tuples that differ in it only have something in common: a sum
/// over it, a row that does not name it, groups that are distinct. Otherwise each tuple is a position.
fn choice(
    program: &Program,
    handle: Handle<hir::Route>,
    sources: &[Source],
    distinct: Option<usize>,
) -> Option<usize> {
    let last = sources.len() - 1;
    if last == 0 || !sources[last].ranks.is_empty() || sources[last].known().is_none() {
        return None;
    }
    let stmts = program.entries.iter().flat_map(|e| &e.stmts);
    let mut via = stmts.filter_map(|a| Some((a, a.via.as_ref().filter(|v| v.route == handle)?)));
    // A row of each tuple.
    let own_row =
        |(a, via): (&hir::Assign, &hir::Via)| {
            let vars = |index: &[hir::Expr]| -> Vec<_> {
                let var = |i: &hir::Expr| match i.kind {
                    ExprKind::Var(v) => Some(v),
                    _ => None,
                };
                index.iter().filter_map(var).collect()
            };
            let routed = |v: &Handle<hir::Var>| via.sources.contains(v) || via.dests.contains(v);
            a.value.indices().into_iter().map(vars).any(|index| {
                via.sources.iter().all(|s| index.contains(s)) && !index.iter().all(routed)
            })
        };
    let apart = via.clone().any(own_row) && !via.any(|(a, _)| a.gathers().is_some());
    (distinct == Some(last) || !apart).then_some(last)
}

/// The group, its slot, and where the keys are written.
fn slot_step(route: &hir::Route) -> Option<(Handle<hir::Var>, Handle<hir::Var>, Span)> {
    route.steps.iter().find_map(|s| match s {
        Step::Slot { var, group, by, .. } => Some((*group, *var, *by)),
        _ => None,
    })
}

/// The keys of the slot as numbers of sources.
fn keys(route: &hir::Route, sources: &[Source]) -> Option<Vec<usize>> {
    let order = route.steps.iter().find_map(|s| match s {
        Step::Slot { order, .. } => Some(order),
        _ => None,
    })?;
    match order {
        Order::Keys(keys) => {
            let number = |k| route.sources.iter().position(|s| s == k);
            keys.iter().map(number).collect()
        }
        // Ranks first: one count a group is enough.
        Order::Any => {
            let mut keys = Vec::from_iter(0..sources.len());
            keys.sort_by_key(|k| sources[*k].ranks.is_empty());
            Some(keys)
        }
    }
}

/// The axis of an index tensor along which its values are assumed distinct.
fn assumes_distinct(program: &Program, index: Handle<hir::Tensor>) -> Option<usize> {
    let own = program.entries.iter().flat_map(|e| &e.assumes);
    let mut all = program.assumes.iter().chain(own).filter(|a| a.tensor == index);
    all.find_map(|a| if let [axis] = a.axes[..] { Some(axis) } else { None })
}

fn unsupported(program: &Program, route: Handle<hir::Route>, what: &str) -> Box<Diagnostic> {
    let route = &program.routes[route];
    Box::new(Diagnostic::unsupported(route.span, format!("route `{}` has {what}", route.name)))
}
