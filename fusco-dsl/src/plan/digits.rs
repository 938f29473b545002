//! Coordinates as mixed-radix numbers: where digit boundaries cut them, and what one step of a digit does
//! to an address.
//!
//! A coordinate is `sum(coefficient * digit)` over the digits of a statement's variables. A boundary `w`
//! of a table cuts it cleanly if the digits below it stay below `w` and all others are multiples of it;
//! then both sides of the cut are sums again and no division is left (`language.md` 5.1).

use super::moves::{Coordinate, Move, MoveDigit, Place, Shape};
use crate::layout::{Digit, Home, Table};

/// `(digit, coefficient)` of a coordinate.
pub type Terms = Vec<(usize, i64)>;

/// What adding one to a digit does to the place of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The offset in memory grows by so many elements; 0 if it does not depend on the digit.
    Memory(i64),
    /// The element is on another rank.
    Rank,
    /// Anything: a division, a table or a count is in between.
    Other,
}

/// The terms at or above the boundary, divided by it, and those below; `None` if a digit straddles it.
pub fn split(terms: &Terms, constant: i64, digits: &[MoveDigit], w: i64) -> Option<(Terms, Terms)> {
    let (mut above, mut below, mut most) = (Terms::new(), Terms::new(), constant);
    for (digit, coefficient) in terms {
        if coefficient % w == 0 {
            above.push((*digit, coefficient / w));
        } else {
            most += coefficient * (digits[*digit].radix - 1);
            below.push((*digit, *coefficient));
        }
    }
    (most < w && below.iter().all(|(_, c)| *c < w)).then_some((above, below))
}

impl Coordinate {
    /// Its terms and constant; `None` for an index read from a tensor.
    pub fn terms(&self, digits: &[MoveDigit]) -> Option<(Terms, i64)> {
        let Coordinate::Linear { terms, constant } = self else { return None };
        let mut out = Terms::new();
        for (var, coefficient) in terms {
            let mine = digits.iter().enumerate().filter(|(_, d)| d.var == *var);
            out.extend(mine.map(|(i, d)| (i, coefficient * d.weight)));
        }
        Some((out, *constant))
    }

    /// Whether its value depends on the variable.
    pub fn mentions(&self, var: usize) -> bool {
        match self {
            Coordinate::Linear { terms, .. } => terms.iter().any(|(v, _)| *v == var),
            Coordinate::Gather { coords, .. } => coords.iter().any(|c| c.mentions(var)),
        }
    }
}

/// The terms that a table's digit is made of; `None` if they straddle its boundaries.
pub fn piece(
    terms: &Terms,
    constant: i64,
    digits: &[MoveDigit],
    digit: &Digit,
    top: bool,
) -> Option<Terms> {
    let (above, _) = split(terms, constant, digits, digit.weight)?;
    if top {
        return Some(above);
    }
    split(&above, constant / digit.weight, digits, digit.radix.bound()).map(|(_, below)| below)
}

/// As [`piece`], of a coordinate.
pub fn piece_of(
    coordinate: &Coordinate,
    digits: &[MoveDigit],
    digit: &Digit,
    top: bool,
) -> Option<Terms> {
    let (terms, constant) = coordinate.terms(digits)?;
    (constant == 0).then(|| piece(&terms, 0, digits, digit, top)).flatten()
}

/// The effect of one step of `digit` on the place.
pub fn step(table: &Table, place: &Place, digits: &[MoveDigit], digit: usize) -> Step {
    let var = digits[digit].var;
    if digits[digit].tuple {
        let mentions = place.coords.iter().any(|c| c.mentions(var));
        return if mentions { Step::Other } else { Step::Memory(0) };
    }
    let mut memory = 0;
    for (axis, coordinate) in place.coords.iter().enumerate() {
        if !coordinate.mentions(var) {
            continue;
        }
        let Some((terms, constant)) = coordinate.terms(digits) else { return Step::Other };
        if !terms.iter().any(|(d, _)| *d == digit) {
            continue;
        }
        for row in table.digits.iter().filter(|d| d.axis == axis) {
            if table.maps.contains_key(&axis) {
                return Step::Other;
            }
            let Some(mine) = piece(&terms, constant, digits, row, table.is_top(row)) else {
                return Step::Other;
            };
            let Some((_, times)) = mine.iter().find(|(d, _)| *d == digit) else { continue };
            match row.home {
                Home::Memory { stride } | Home::Rows { stride } => memory += times * stride,
                Home::Mesh { .. } => return Step::Rank,
                _ => return Step::Other,
            }
        }
    }
    // The length of a group decides where the later ones begin.
    let counts = table.counted.as_ref().is_some_and(|c| place.coords[c.axis].mentions(var));
    let parent = table
        .digits
        .iter()
        .any(|d| matches!(d.home, Home::Parent { .. }) && place.coords[d.axis].mentions(var));
    if parent && !counts { Step::Other } else { Step::Memory(memory) }
}

impl Move {
    /// Whether the place goes along the runs of the movement; else one of its elements is for all of a run.
    pub fn is_row(&self, table: &Table, place: &Place) -> bool {
        let Shape::Rows { digits: inside, .. } = self.shape else { return true };
        let first = self.digits.len().saturating_sub(inside.max(1));
        let moves = |i: usize| {
            self.digits[i].radix > 1 && step(table, place, &self.digits, i) != Step::Memory(0)
        };
        (first..self.digits.len()).any(moves)
    }
}

/// What every change that one step of `digit` makes to the offset on a rank is a multiple of, whether or
/// not the rank changes, too; 0 if the offset does not depend on it.
pub fn unit_of(table: &Table, place: &Place, digits: &[MoveDigit], digit: usize) -> i64 {
    let var = digits[digit].var;
    let mut unit = 0;
    for row in &table.digits {
        let coordinate = &place.coords[row.axis];
        if !coordinate.mentions(var) {
            continue;
        }
        let terms = coordinate.terms(digits).filter(|_| !table.maps.contains_key(&row.axis));
        let mine =
            terms.and_then(|(t, constant)| piece(&t, constant, digits, row, table.is_top(row)));
        let times = match mine {
            Some(mine) => mine.iter().find(|(d, _)| *d == digit).map_or(0, |(_, times)| *times),
            None => 1,
        };
        unit = gcd(
            unit,
            match row.home {
                Home::Memory { stride } | Home::Rows { stride } => times * stride,
                // First rows of groups, and slots.
                Home::Group { stride } | Home::Packed { stride, .. } => stride,
                _ => 0,
            },
        );
    }
    // The length of a group decides where the later ones begin.
    let align = table.counted.as_ref().map_or(1, |c| c.align.max(1));
    let bases = table.digits.iter().filter_map(|d| match d.home {
        Home::Rows { stride } => Some(stride * align),
        _ => None,
    });
    bases.fold(unit, gcd)
}

pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}
