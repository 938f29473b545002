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

/// `sum(coefficient * digit) + constant`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    pub terms: Terms,
    pub constant: i64,
}

impl Sum {
    /// What lies at or above a boundary, divided by it, and what lies below; `None` if it straddles the boundary.
    pub fn split(&self, digits: &[MoveDigit], w: i64) -> Option<(Sum, Sum)> {
        let whole = |(_, coefficient): &&(usize, i64)| coefficient % w == 0;
        let above = self.terms.iter().filter(whole).map(|(digit, c)| (*digit, c / w)).collect();
        let below: Terms = self.terms.iter().filter(|t| !whole(t)).copied().collect();
        let constant = self.constant.rem_euclid(w);
        let spans = below.iter().map(|(digit, c)| c * (digits[*digit].radix - 1));
        let (least, most) = spans.fold((constant, constant), |(least, most), span| {
            (least + span.min(0), most + span.max(0))
        });
        let above = Sum { terms: above, constant: self.constant.div_euclid(w) };
        (0 <= least && most < w).then_some((above, Sum { terms: below, constant }))
    }

    /// The part that a table's digit is made of; `None` if it straddles its boundaries.
    pub fn piece(&self, digits: &[MoveDigit], digit: &Digit, top: bool) -> Option<Sum> {
        let (above, _) = self.split(digits, digit.weight)?;
        if top {
            return Some(above);
        }
        above.split(digits, digit.radix.bound()).map(|(_, below)| below)
    }

    /// What is added for one step of the digit.
    pub fn of(&self, digit: usize) -> Option<i64> {
        self.terms.iter().find(|(d, _)| *d == digit).map(|(_, times)| *times)
    }
}

impl Coordinate {
    /// As a sum of digits; `None` for one that is computed otherwise.
    pub fn sum(&self, digits: &[MoveDigit]) -> Option<Sum> {
        let Coordinate::Linear { terms, constant } = self else { return None };
        let mut out = Terms::new();
        for (var, coefficient) in terms {
            let mine = digits.iter().enumerate().filter(|(_, d)| d.var == *var);
            out.extend(mine.map(|(i, d)| (i, coefficient * d.weight)));
        }
        Some(Sum { terms: out, constant: *constant })
    }

    /// As [`Sum::piece`].
    pub fn piece(&self, digits: &[MoveDigit], digit: &Digit, top: bool) -> Option<Sum> {
        self.sum(digits)?.piece(digits, digit, top)
    }
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
        let Some(sum) = coordinate.sum(digits) else { return Step::Other };
        if sum.of(digit).is_none() {
            continue;
        }
        for row in table.digits.iter().filter(|d| d.axis == axis) {
            if table.maps.contains_key(&axis) {
                return Step::Other;
            }
            let Some(mine) = sum.piece(digits, row, table.is_top(row)) else {
                return Step::Other;
            };
            let Some(times) = mine.of(digit) else { continue };
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
        let mapped = table.maps.contains_key(&row.axis);
        let mine = coordinate.piece(digits, row, table.is_top(row)).filter(|_| !mapped);
        let times = mine.map_or(1, |mine| mine.of(digit).unwrap_or(0));
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
