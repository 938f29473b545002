//! Several statements that write one tensor: they are one assignment if no element is named by two of them.

use super::image;
use super::moves::{Coordinate, Live, Move};
use crate::sema::hir::{self, Program};
use std::collections::BTreeSet;

/// Points that are listed one by one, at most.
const LISTED: i64 = 1 << 20;

/// Whether two statements write no element both.
pub(super) enum Apart {
    Yes,
    /// Both write this element.
    At(Vec<i64>),
    Unknown,
}

/// Two statements with one target.
pub(super) fn apart(a: &Move, b: &Move) -> Apart {
    let axes = a.target.coords.iter().zip(&b.target.coords);
    let distinct = |(x, y): (&Coordinate, &Coordinate)| {
        let (Some(mine), Some(other)) = (values(a, x), values(b, y)) else { return false };
        mine.is_disjoint(&other)
    };
    if axes.into_iter().any(distinct) {
        return Apart::Yes;
    }
    let (Some(mine), Some(other)) = (elements(a), elements(b)) else { return Apart::Unknown };
    let is_exact = |m: &Move| {
        m.vars.iter().all(|v| matches!(v.live, Live::Known))
            && m.filter.iter().flat_map(|f| f.operands()).all(|n| n.places().is_empty())
    };
    match mine.intersection(&other).next() {
        None => Apart::Yes,
        Some(at) if is_exact(a) && is_exact(b) => Apart::At(at.clone()),
        Some(_) => Apart::Unknown,
    }
}

/// Whether the statements, which are apart, write every element of their target together.
pub(super) fn covers(program: &Program, together: &[&Move], extents: &[i64]) -> bool {
    let Some(first) = together.first() else { return false };
    let axes = &program.tensors[first.target.tensor].axes;
    // What every statement names by one variable of the axis's own extent is no matter.
    let is_whole = |axis: &usize| {
        together.iter().all(|m| {
            let coordinate = &m.target.coords[*axis];
            let lone = matches!(coordinate, Coordinate::Linear { terms, constant: 0 } if matches!(terms[..], [(_, 1)]));
            let elsewhere = |v: usize| {
                let others = m.target.coords.iter().filter(|c| c.mentions(v)).count() > 1;
                let filter = m.filter.iter().flat_map(|f| f.operands());
                others || filter.into_iter().any(|n| n.vars().contains(&v))
            };
            let image = image::of_live_axis(&axes[*axis].extent, coordinate, extents[*axis], m);
            lone && image == image::Image::Bijective && !coordinate.vars().into_iter().any(elsewhere)
        })
    };
    let rest: Vec<usize> = (0..axes.len()).filter(|axis| !is_whole(axis)).collect();
    let elements = rest.iter().try_fold(1i64, |n, axis| n.checked_mul(extents[*axis]));
    let written = together.iter().try_fold(0i64, |sum, m| sum.checked_add(points(m, &rest)?));
    elements.is_some() && elements == written
}

/// How many coordinates on these axes the statement names; `None` if run-time numbers decide.
fn points(movement: &Move, axes: &[usize]) -> Option<i64> {
    let coords: Vec<&Coordinate> = axes.iter().map(|axis| &movement.target.coords[*axis]).collect();
    let vars = named(movement, &coords);
    let known = |v: &usize| matches!(movement.vars[*v].live, Live::Known);
    if !vars.iter().all(known) || coords.iter().any(|c| c.reads()) {
        return None;
    }
    match movement.filter {
        None => vars.iter().try_fold(1i64, |n, v| n.checked_mul(movement.vars[*v].extent)),
        Some(_) => {
            let mut count = 0;
            each(movement, &vars, &mut |values| {
                let holds = holds(movement, values)?;
                count += i64::from(holds);
                Some(())
            })?;
            Some(count)
        }
    }
}

/// Every value that a coordinate of the target may have.
fn values(movement: &Move, coordinate: &Coordinate) -> Option<BTreeSet<i64>> {
    let vars = named(movement, &[coordinate]);
    let mut out = BTreeSet::new();
    each(movement, &vars, &mut |values| {
        if holds(movement, values) != Some(false) {
            out.insert(coordinate.eval(values)?);
        }
        Some(())
    })?;
    Some(out)
}

/// Every element that the statement may write.
fn elements(movement: &Move) -> Option<BTreeSet<Vec<i64>>> {
    let coords: Vec<&Coordinate> = movement.target.coords.iter().collect();
    let vars = named(movement, &coords);
    let mut out = BTreeSet::new();
    each(movement, &vars, &mut |values| {
        if holds(movement, values) != Some(false) {
            out.insert(coords.iter().map(|c| c.eval(values)).collect::<Option<Vec<_>>>()?);
        }
        Some(())
    })?;
    Some(out)
}

/// The variables that these name, and with them those that a condition compares.
fn named(movement: &Move, coords: &[&Coordinate]) -> Vec<usize> {
    let mut vars: BTreeSet<usize> = coords.iter().flat_map(|c| c.vars()).collect();
    for number in movement.filter.iter().flat_map(|f| f.conjuncts()).map(|(_, l, r)| [l, r]) {
        let mine: BTreeSet<usize> = number.iter().flat_map(|n| n.vars()).collect();
        if !mine.is_disjoint(&vars) {
            vars.extend(mine);
        }
    }
    vars.into_iter().collect()
}

/// Visits all values of the variables; `None` if they are too many, or `visit` says so.
fn each(
    movement: &Move,
    vars: &[usize],
    visit: &mut dyn FnMut(&[i64]) -> Option<()>,
) -> Option<()> {
    let points =
        vars.iter().try_fold(1i64, |n, v| n.checked_mul(movement.vars[*v].extent.max(0)))?;
    if points > LISTED {
        return None;
    }
    let mut values = vec![0; movement.vars.len()];
    for point in 0..points {
        vars.iter().rev().fold(point, |rest, v| {
            values[*v] = rest % movement.vars[*v].extent;
            rest / movement.vars[*v].extent
        });
        visit(&values)?;
    }
    Some(())
}

/// Whether the statement's condition holds; `None` if run-time numbers decide.
fn holds(movement: &Move, values: &[i64]) -> Option<bool> {
    let Some(filter) = &movement.filter else { return Some(true) };
    let part = |f: &hir::Filter<super::Number>| f.holds(&mut |n| n.eval(values).ok_or(())).ok();
    let parts: Vec<Option<bool>> = filter.parts().into_iter().map(part).collect();
    match parts.contains(&Some(false)) {
        true => Some(false),
        false => parts.into_iter().all(|p| p == Some(true)).then_some(true),
    }
}
