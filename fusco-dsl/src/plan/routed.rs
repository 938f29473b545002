//! What the placement of a tensor behind a route must be: its sources on their own rank, each group on one of the
//! ranks that make a plan together.
//!
//! A plan numbers ranks and groups: tuples of rank `s` are planned on rank `s`, and a [`Deal`] says which rank holds
//! which groups of a tensor. Where a program has further mesh axes, its tensors are copied over them, or their rows
//! are split alike, and each coordinate of those has ranks and a plan of its own. Every digit table that a routed
//! movement addresses is compared with that, number by number; what lies elsewhere is F0999, never an address that
//! is nearly right.

use super::moves::{Coordinate, MoveValue, Number, Place};
use super::refine::Builder;
use super::{Coord, Point};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::{Deal, DealForm, Digit, Home, Owners, Radix, RouteShape, SpreadKind, Table};
use crate::sema::hir::{self, Program};
use crate::source::Span;
use std::collections::BTreeMap;

type Decided<T = ()> = Result<T, Box<Diagnostic>>;
/// The program, and where each of its tensors lies.
type Placed<'a> = (&'a Program, &'a BTreeMap<Handle<hir::Tensor>, Table>);

/// A tensor that a route reads: each rank its own part alone.
pub(super) fn index(
    program: &Program,
    table: &Table,
    shape: &RouteShape,
    axes: &[Option<usize>],
) -> Decided {
    if !table.maps.is_empty() {
        let what = "a map of owners over a source of a route";
        return Err(refuse(program, table, what));
    }
    if table.spread.iter().any(|s| s.size > 1 && s.kind != SpreadKind::Copy) {
        let what = "an index of a route that not every rank has";
        return Err(refuse(program, table, what));
    }
    for (axis, source) in axes.iter().enumerate() {
        let mut own = table.digits.iter().filter(|d| d.axis == axis);
        if let Some(source) = source {
            by_source(program, table, (axis, *source), shape)?;
        } else if own.clone().any(|d| digit_on_mesh(d).0 > 1) {
            let what = "an axis over ranks that a route computes an index into";
            return Err(refuse(program, table, what));
        } else if own.any(|d| matches!(d.radix, Radix::Live { .. })) {
            let what = "a `dyn` axis that a route computes an index into";
            return Err(refuse(program, table, what));
        }
    }
    Ok(())
}

/// The route that a statement moves along, or whose numbers it reads.
pub(super) fn route_of(program: &Program, assign: &hir::Assign) -> Option<Handle<hir::Route>> {
    match &assign.via {
        Some(via) => Some(via.route),
        None => assign.value.plan_numbers().first().and_then(|n| program.plan_of(n)),
    }
}

/// The numbers of plans in a value are of one plan, and all of ranks or all of groups.
pub(super) fn one_plan(program: &Program, assign: &hir::Assign) -> Decided {
    let numbers = assign.value.plan_numbers();
    let no = |what: &str| Err(Box::new(Diagnostic::unsupported(assign.value.span, what)));
    let dropped = |n: &&hir::Expr| matches!(n.kind, hir::ExprKind::Dropped { .. });
    if numbers.iter().any(|n| program.plan_of(n) != program.plan_of(numbers[0])) {
        return no("numbers of two plans in one value");
    }
    match numbers.iter().filter(|n| dropped(n)).count() {
        0 => Ok(()),
        n if n == numbers.len() => Ok(()),
        _ => no("`dropped` beside numbers of groups in one value"),
    }
}

/// What a variable of a statement is to the route that it moves along.
pub(super) fn coord_of(
    (route, shape): (&hir::Route, &RouteShape),
    via: &hir::Via,
    var: Handle<hir::Var>,
) -> Option<Coord> {
    if let Some(source) = via.sources.iter().position(|v| *v == var) {
        return Some(Coord::Source(source));
    }
    let found = via.dests.iter().position(|v| *v == var).map(|i| route.dests[i])?;
    let roles = [(shape.group_var, Coord::Group), (shape.slot_var, Coord::Slot)];
    roles.iter().find(|(v, _)| *v == found).map(|(_, c)| *c)
}

/// The values that a variable of the route may have.
pub(super) fn most_of(shape: &RouteShape, coord: Coord) -> i64 {
    match coord {
        Coord::Source(k) => {
            let source = &shape.sources[k];
            source.ranks.iter().fold(source.bound, |n, d| n.saturating_mul(d.radix))
        }
        Coord::Group => shape.groups,
        Coord::Slot => {
            let tuples = shape.positions_bound.saturating_mul(shape.fan * shape.ranks);
            shape.cap.map_or(tuples, |cap| cap.min(tuples))
        }
        // It is none of the route's.
        Coord::Reduced(_) => 0,
    }
}

/// A movement of single points along a route, or of numbers of its plan: where every place lies can be told of its
/// tuple.
pub(super) fn movement(builder: &Builder<'_>, shape: &RouteShape, span: Span) -> Decided {
    let no = |what: &str| Err(Box::new(Diagnostic::unsupported(span, what)));
    let choice = shape.choice.map(Coord::Source);
    let tuple = |v: usize| builder.vars[v].tuple;
    let reduces = |v: &usize| builder.value.reduces(*v) && tuple(*v).is_some();
    let reduced = Vec::from_iter((0..builder.vars.len()).filter(reduces));
    let firsts = (0..builder.vars.len()).filter(|v| builder.vars[*v].first && tuple(*v).is_some());
    let firsts = Vec::from_iter(firsts);
    if reduced.iter().chain(&firsts).any(|v| tuple(*v) != choice) {
        return no("a reducer over a variable other than the last source of the route");
    }
    if !reduced.is_empty() && !firsts.is_empty() {
        return no("a `first` beside another reducer over the same variable");
    }
    let coord = |place: &Place, axis: usize| match &place.coords[axis] {
        Coordinate::Linear { terms, constant: 0 } => match terms[..] {
            [(var, 1)] => tuple(var),
            _ => None,
        },
        _ => None,
    };
    for place in builder.places() {
        let table = &builder.tables[&place.tensor];
        for digit in &table.digits {
            let is_group = coord(place, digit.axis) == Some(Coord::Group);
            match digit.home {
                Home::Group { .. } if !is_group => return no("a packed axis at another group"),
                Home::Rows { .. } | Home::Parent { .. } if table.counted.is_some() => {
                    return no("a counted axis in a statement with a route");
                }
                _ => {}
            }
        }
        for (axis, map) in &table.maps {
            let is_group = coord(place, *axis) == Some(Coord::Group);
            if matches!(map.owners, Owners::Read(_)) && !is_group {
                let what = "a map of owners over an axis other than the group of a route";
                return Err(refuse(builder.program, table, what));
            }
            if map.parts.iter().any(|p| p.0 > 1 && shape.beside(*p)) {
                let what = "owners on mesh axes along which the route does not send,";
                return Err(refuse(builder.program, table, what));
            }
        }
        let placed = (builder.program, builder.tables);
        for axis in 0..place.coords.len() {
            let first = |d: &Digit| d.axis == axis && matches!(d.home, Home::Group { .. });
            let read = table.maps.get(&axis).is_some_and(|m| matches!(m.owners, Owners::Read(_)));
            if table.digits.iter().any(first) || read {
                groups(placed, table, axis, shape)?;
            }
        }
    }
    let MoveValue::Int(number) = &builder.value else { return Ok(()) };
    number.leaves().into_iter().try_for_each(|leaf| match leaf {
        Number::Dropped if shape.sources[0].bound > 1 => {
            no("`dropped` of a source of which a rank has several values")
        }
        Number::From(..) if !shape.is_of_members(0) => {
            no("`count` by a source that does not number the ranks of the plan")
        }
        Number::First(_, tensor) => {
            first_rows((builder.program, builder.tables), *tensor, shape).map(|_| ())
        }
        _ => Ok(()),
    })
}

/// What a movement does at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// A rank reads or writes its own: where there are copies, its copy.
    Own,
    /// A rank writes what may be another's, or one of several copies.
    Sent,
}

/// A tensor that a movement reads or writes at a point: how its groups are dealt, if a coordinate is one.
pub(super) fn point(
    placed: Placed,
    shape: &RouteShape,
    (point, usage): (&Point, Usage),
) -> Decided<Option<Deal>> {
    let (program, table) = (placed.0, &placed.1[&point.tensor]);
    let attrs = &program.tensors[point.tensor].attrs;
    if shape.is_beside_others() {
        return Err(refuse(program, table, "ranks of several meshes"));
    }
    let apart = match table.spread.iter().find(|s| s.kind != SpreadKind::Copy) {
        Some(spread) if spread.kind == SpreadKind::Sum => Some("partial sums"),
        Some(_) => Some("a tensor on one rank only"),
        None if attrs.swizzle.is_some() => Some("a swizzle"),
        None => (!attrs.stride.is_empty()).then_some("a given stride"),
    };
    if let Some(what) = apart {
        return Err(refuse(program, table, what));
    }
    for digit in table.digits.iter().filter(|d| matches!(d.home, Home::Mesh { .. })) {
        match point.coords[digit.axis] {
            Some(Coord::Group | Coord::Source(_)) => {}
            None if shape.beside(digit_on_mesh(digit)) => {}
            _ => {
                let what = "a mesh axis that shards neither the source rank nor the group";
                return Err(refuse(program, table, what));
            }
        }
    }
    for (axis, coord) in point.coords.iter().enumerate() {
        if let Some(Coord::Source(source)) = coord {
            by_source(program, table, (axis, *source), shape)?;
        }
    }
    if table.maps.keys().any(|axis| point.coords[*axis] != Some(Coord::Group)) {
        let what = "a map of owners over an axis other than the group of a route";
        return Err(refuse(program, table, what));
    }
    if usage == Usage::Sent {
        copies(program, table, shape)?;
    }
    let dealt = |axis: &usize| {
        point.coords[*axis] == Some(Coord::Group)
            && table.digits.iter().any(|d| d.axis == *axis && !d.is_in_memory())
    };
    let by_group: Vec<usize> =
        (0..point.coords.len()).filter(|a| point.coords[*a] == Some(Coord::Group)).collect();
    match by_group[..] {
        [] => Ok(None),
        [axis] => groups(placed, table, axis, shape).map(Some),
        [axis, ..] if !by_group.iter().any(dealt) => groups(placed, table, axis, shape).map(Some),
        _ => Err(refuse(program, table, "a sharded group that indexes several axes")),
    }
}

/// Copies of what is written are on ranks that plan alike, each of which moves its own.
fn copies(program: &Program, table: &Table, shape: &RouteShape) -> Decided {
    match table.spread.iter().find(|s| !shape.beside((s.size, s.weight))) {
        Some(spread) => {
            let axis = &program.mesh_axes[spread.axis].name;
            let what = format!("copies over `{axis}`, along which the route sends,");
            Err(refuse(program, table, &what))
        }
        None => Ok(()),
    }
}

fn digit_on_mesh(digit: &Digit) -> (i64, i64) {
    match digit.home {
        Home::Mesh { weight, .. } => (digit.radix.bound(), weight),
        _ => (1, 1),
    }
}

/// A ragged tensor of a route whose first rows are asked for: how its groups are dealt.
pub(super) fn first_rows(
    placed: Placed,
    tensor: Handle<hir::Tensor>,
    shape: &RouteShape,
) -> Decided<Deal> {
    let (program, table) = (placed.0, &placed.1[&tensor]);
    let tensor = &program.tensors[tensor];
    let ragged = tensor.axes.iter().position(|a| matches!(a.extent, hir::Extent::Ragged { .. }));
    match ragged.and_then(|at| at.checked_sub(1)) {
        Some(parent) => groups(placed, table, parent, shape),
        None => Err(refuse(program, table, "a ragged axis without a group")),
    }
}

/// The axis is cut over ranks as its source is: whatever a rank's tuples name lies on that rank.
fn by_source(
    program: &Program,
    table: &Table,
    (axis, source): (usize, usize),
    shape: &RouteShape,
) -> Decided {
    if table.is_cut_as(axis, &shape.sources[source]) {
        return Ok(());
    }
    let what = format!("`{}` on other ranks than the source of the route", table.axes[axis]);
    Err(refuse(program, table, &what))
}

/// Each group is with a member of the plan, and a packed one is numbered by a single digit.
fn groups(placed: Placed, table: &Table, axis: usize, shape: &RouteShape) -> Decided<Deal> {
    let program = placed.0;
    let owned = table.maps.get(&axis).into_iter().flat_map(|m| m.parts.iter().copied());
    let sharded = table.digits.iter().filter(|d| d.axis == axis).map(digit_on_mesh);
    if sharded.chain(owned).any(|d| d.0 > 1 && shape.beside(d)) {
        let what = "a group on mesh axes along which the route does not send,";
        return Err(refuse(program, table, what));
    }
    let Some(deal) = Deal::of(table, axis, shape) else {
        let read = table.maps.get(&axis).is_some_and(|m| matches!(m.owners, Owners::Read(_)));
        let what = match read {
            true => {
                "owners that a tensor names by other numbers than the ranks of the plan".to_string()
            }
            false => {
                format!(
                    "`{}` on ranks that do not make the plan, behind a route,",
                    table.axes[axis]
                )
            }
        };
        return Err(refuse(program, table, &what));
    };
    if let DealForm::Read(owners) = deal.form {
        whole(program, &placed.1[&owners])?;
    }
    Ok(deal)
}

/// A table of owners that each rank reads in its own memory, before it knows of another one.
fn whole(program: &Program, owners: &Table) -> Decided {
    let split = |d: &Digit| matches!(d.home, Home::Mesh { .. }) && d.radix.bound() > 1;
    let copied = owners.spread.iter().all(|s| s.size == 1 || s.kind == SpreadKind::Copy);
    if copied && owners.maps.is_empty() && !owners.digits.iter().any(split) {
        return Ok(());
    }
    let what = "a table of owners of a route that is not a whole copy on each rank,";
    let help = "copy it over every mesh axis: `@ [copy/m, e]`";
    Err(Box::new(refuse(program, owners, what).help(help)))
}

fn refuse(program: &Program, table: &Table, what: &str) -> Box<Diagnostic> {
    let tensor = &program.tensors[table.tensor];
    let what = format!("{what} in the placement of `{}`", tensor.name);
    Box::new(Diagnostic::unsupported(tensor.placement_span, what))
}
