//! What the placement of a tensor behind a route must be: its sources on their own rank, each group on one of the
//! ranks that make a plan together.
//!
//! A plan numbers ranks and groups: tuples of rank `s` are planned on rank `s`, and a [`Deal`] says which rank holds
//! which groups of a tensor. Where a program has further mesh axes, its tensors are copied over them, or their rows
//! are split alike, and each coordinate of those has ranks and a plan of its own. Every digit table that a routed
//! movement addresses is compared with that, number by number; what lies elsewhere is F0999, never an address that
//! is nearly right.

use super::{Coord, Point};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::{
    Deal, DealForm, Digit, Home, Owners, RankDigit, RouteShape, SpreadKind, Table,
};
use crate::sema::hir::{self, Program};
use std::collections::BTreeMap;

type Decided<T = ()> = Result<T, Box<Diagnostic>>;
/// The program, and where each of its tensors lies.
type Placed<'a> = (&'a Program, &'a BTreeMap<Handle<hir::Tensor>, Table>);

/// The index tensor of a route: each rank reads its own part alone.
pub(super) fn index(program: &Program, table: &Table, shape: &RouteShape) -> Decided {
    if !table.maps.is_empty() {
        let what = "a map of owners over a source of a route";
        return Err(refuse(program, table, what));
    }
    shape
        .axes
        .iter()
        .enumerate()
        .try_for_each(|(axis, source)| by_source(program, table, (axis, *source), shape))
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
    for digit in table.digits.iter().filter(|d| matches!(d.home, Home::Mesh { .. })) {
        match point.coords[digit.axis] {
            Some(Coord::Group | Coord::Source(_)) => {}
            None if beside(shape, digit_on_mesh(digit)) => {}
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
    match table.spread.iter().find(|s| !beside(shape, (s.size, s.weight))) {
        Some(spread) => {
            let axis = &program.mesh_axes[spread.axis].name;
            let what = format!("copies over `{axis}`, along which the route sends,");
            Err(refuse(program, table, &what))
        }
        None => Ok(()),
    }
}

/// Whether a mesh axis, by its size and weight, is none of those whose ranks make one plan together.
fn beside(shape: &RouteShape, (size, weight): (i64, i64)) -> bool {
    size == 1 || weight * size <= shape.stride || weight >= shape.stride * shape.ranks
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
    let digits = table.digits.iter().filter(|d| d.axis == axis);
    let on_mesh = digits.filter_map(|d| match d.home {
        Home::Mesh { weight, .. } if d.radix.bound() > 1 => {
            Some(RankDigit { weight: d.weight, radix: d.radix.bound(), ranks: weight })
        }
        _ => None,
    });
    if on_mesh.eq(shape.sources[source].ranks.iter().copied()) {
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
    if sharded.chain(owned).any(|d| d.0 > 1 && beside(shape, d)) {
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
    let memory = |d: &&Digit| d.axis == axis && d.is_in_memory();
    if table.pack().is_some() && table.digits.iter().filter(memory).count() > 1 {
        return Err(refuse(program, table, "a packed group of several digits"));
    }
    Ok(deal)
}

/// A table of owners that each rank reads in its own memory, before it knows of another one.
fn whole(program: &Program, owners: &Table) -> Decided {
    let split = |d: &Digit| matches!(d.home, Home::Mesh { .. }) && d.radix.bound() > 1;
    let swizzled = program.tensors[owners.tensor].attrs.swizzle.is_some();
    let copied = owners.spread.iter().all(|s| s.size == 1 || s.kind == SpreadKind::Copy);
    if copied && !swizzled && owners.maps.is_empty() && !owners.digits.iter().any(split) {
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
