//! Which elements of the target a movement writes: every one, all but some, or some twice.

use super::moves::{Coordinate, Live, Move, MoveVar};
use crate::layout::{Home, Table};
use crate::sema::hir;

/// The image of one axis of the target under the statement's variables.
#[derive(Clone, Debug, PartialEq)]
pub enum Image {
    /// Each coordinate once.
    Bijective,
    /// No coordinate twice; `missing` is one that nothing reaches.
    Partial { missing: i64 },
    /// Two values of the variables reach `at`: (values of the axis's variables) twice.
    Conflict { at: i64, first: Vec<(usize, i64)>, second: Vec<(usize, i64)> },
    /// Decided by an index tensor.
    Unknown,
}

/// Points of one axis that are enumerated at most.
const ENUMERATED: i64 = 1 << 22;

/// The image of an axis of extent `extent`.
pub fn of_axis(coordinate: &Coordinate, extent: i64, movement: &Move) -> Image {
    let vars = &movement.vars;
    if let Coordinate::Linear { terms, constant } = coordinate {
        let (sorted, constant) = ascending(terms, *constant, vars);
        // Nested digits: each coefficient is larger than all that the smaller terms can add.
        let (mut most, mut nested, mut gapless) = (0i64, true, true);
        for (var, coefficient) in &sorted {
            nested &= *coefficient > most;
            gapless &= *coefficient == most + 1;
            most = most.saturating_add(coefficient.saturating_mul(vars[*var].extent - 1));
        }
        if nested && gapless && constant == 0 && most == extent - 1 {
            return Image::Bijective;
        }
        if nested {
            return Image::Partial { missing: missing_of_nested(&sorted, constant, vars) };
        }
    }
    enumerate(coordinate, extent, movement).unwrap_or(Image::Unknown)
}

/// The terms by their factors, each of which is positive: a variable that is subtracted counts from its other end.
/// What has one value only adds nothing.
fn ascending(terms: &[(usize, i64)], constant: i64, vars: &[MoveVar]) -> (Vec<(usize, i64)>, i64) {
    let mut sorted = Vec::new();
    let mut least = constant;
    for (var, coefficient) in terms.iter().filter(|(v, _)| vars[*v].extent > 1) {
        least += coefficient.min(&0) * (vars[*var].extent - 1);
        sorted.push((*var, coefficient.abs()));
    }
    sorted.sort_by_key(|(_, c)| *c);
    (sorted, least)
}

/// The first element that is not reached: below the constant, in a gap between two digits, or at the end.
fn missing_of_nested(sorted: &[(usize, i64)], constant: i64, vars: &[MoveVar]) -> i64 {
    if constant > 0 {
        return 0;
    }
    let mut most = 0i64;
    for (var, coefficient) in sorted {
        if *coefficient > most.saturating_add(1) {
            break;
        }
        most = most.saturating_add(coefficient.saturating_mul(vars[*var].extent - 1));
    }
    most.saturating_add(1)
}

/// Every value that the coordinate has; `None` if they are too many, or not known at bind.
fn enumerate(coordinate: &Coordinate, extent: i64, movement: &Move) -> Option<Image> {
    let vars = &movement.vars;
    let mut mine = coordinate.vars();
    mine.sort_unstable();
    mine.dedup();
    mine.retain(|v| vars[*v].extent > 1);
    let points = mine.iter().try_fold(1i64, |n, v| n.checked_mul(vars[*v].extent))?;
    if points > ENUMERATED || extent > ENUMERATED || coordinate.reads() {
        return None;
    }
    let mut seen: Vec<Option<Vec<i64>>> = vec![None; usize::try_from(extent).unwrap_or(0)];
    let mut at = vec![0i64; vars.len()];
    let named = |values: &[i64]| mine.iter().map(|v| (*v, values[*v])).collect::<Vec<_>>();
    for point in 0..points {
        mine.iter().rev().fold(point, |rest, v| {
            at[*v] = rest % vars[*v].extent;
            rest / vars[*v].extent
        });
        let value = coordinate.eval(&at)?;
        match usize::try_from(value).ok().and_then(|i| seen.get_mut(i)) {
            Some(Some(first)) => {
                return Some(Image::Conflict {
                    at: value,
                    first: named(first),
                    second: named(&at),
                });
            }
            Some(slot) => *slot = Some(at.clone()),
            None => {}
        }
    }
    Some(match seen.iter().position(Option::is_none) {
        Some(missing) => Image::Partial { missing: missing as i64 },
        None => Image::Bijective,
    })
}

/// Whether a variable is part of several of the target's indices: then the image is not the product of those of
/// the axes.
pub fn is_diagonal(movement: &Move) -> bool {
    let coords = &movement.target.coords;
    let often = |var: usize| coords.iter().filter(|c| c.mentions(var)).count() > 1;
    (0..movement.vars.len()).any(|var| movement.vars[var].extent > 1 && often(var))
}

/// Whether the movement writes every element that a rank's buffer has, padding included.
pub fn is_everything(table: &Table, movement: &Move) -> bool {
    if is_diagonal(movement) {
        return false;
    }
    let static_extents = movement.vars.iter().all(|v| matches!(v.live, Live::Known));
    let plain = table.maps.is_empty() && table.counted.is_none();
    let axes = movement.target.coords.iter().enumerate().all(|(axis, coordinate)| {
        let digits = table.digits.iter().filter(|d| d.axis == axis);
        let allocated: i64 = digits.map(|d| d.radix.bound()).product();
        of_axis(coordinate, allocated, movement) == Image::Bijective
    });
    let mut memory: Vec<(i64, i64)> = table
        .digits
        .iter()
        .filter_map(|d| match d.home {
            Home::Memory { stride } => Some((stride, d.radix.bound())),
            _ => None,
        })
        .collect();
    memory.sort_unstable();
    let dense = memory.iter().try_fold(1i64, |next, (stride, radix)| {
        (*stride == next || *radix == 1).then_some(next * radix)
    });
    static_extents && plain && axes && dense == Some(table.elems)
}

/// The image of an axis of the target, run-time extents included; `most` is its largest extent.
pub fn of_live_axis(
    extent: &hir::Extent,
    coordinate: &Coordinate,
    most: i64,
    movement: &Move,
) -> Image {
    let runtime =
        |v: usize| matches!(&movement.vars[v].live, Live::Size(size) if !size.is_known_at_bind());
    if matches!(extent, hir::Extent::Fixed(size) if size.is_known_at_bind())
        && coordinate.vars().into_iter().any(runtime)
    {
        return Image::Partial { missing: most - 1 };
    }
    if is_same_counted(extent, coordinate, movement) {
        return Image::Bijective;
    }
    of_axis(coordinate, most, movement)
}

/// A run-time extent is covered by a lone variable of that extent: `check` has compared them.
fn is_same_counted(extent: &hir::Extent, coordinate: &Coordinate, movement: &Move) -> bool {
    let lone = matches!(coordinate, Coordinate::Linear { terms, constant: 0 } if matches!(terms[..], [(_, 1)]));
    let Coordinate::Linear { terms, .. } = coordinate else { return false };
    let runtime = terms.iter().any(|(v, _)| matches!(movement.vars[*v].live, Live::Size(_)));
    match extent {
        hir::Extent::Counted { .. } => runtime,
        hir::Extent::Fixed(_) => lone && runtime,
        hir::Extent::Ragged { .. } => false,
    }
}
