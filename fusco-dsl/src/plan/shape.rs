//! How a movement's elements travel: in runs that both sides step through without a gap, or in tiles where
//! the two sides are contiguous along different digits; and how wide an access may be.

use super::digits::gcd;
use super::digits::{Step, step, unit_of};
use super::moves::{Coordinate, Live, MoveDigit, MoveValue, Place, Shape, TileShape};
use super::refine::Builder;
use crate::layout::{Digit, Home, SpreadKind};
use crate::sema::hir;

/// Bytes from which a run is long enough to move without a tile.
const LONG_RUN: i64 = 32;
/// Bytes of a tile along each side, unless the program asks for a number of elements: runs of 256 bytes reach
/// 95 % of a copy, runs of 128 bytes 91 %.
const TILE: i64 = 256;
/// Elements of it, at most.
const TILE_ELEMENTS: i64 = 128;
/// Bytes of shared memory a tile may take.
const SHARED: i64 = 48 * 1024;

impl Builder<'_> {
    pub(super) fn shape(
        &self,
        digits: Vec<MoveDigit>,
        cast: Option<hir::Elem>,
    ) -> (Shape, Vec<MoveDigit>, String) {
        let source = match &self.value {
            MoveValue::Read(place) => place,
            MoveValue::Computed(_) => return self.computed(digits),
            MoveValue::Int(_) | MoveValue::Literal(_) => {
                return (Shape::Rows { run: 1, vector: 1, digits: 0 }, digits, String::new());
            }
        };
        let (from, to) = (self.table(source).clone(), self.table(&self.target).clone());
        let steps: Vec<(Step, Step)> = (0..digits.len())
            .map(|i| (step(&from, source, &digits, i), step(&to, &self.target, &digits, i)))
            .collect();
        let (run, taken, why) = self.run(&digits, &steps);
        let bytes = self.bytes(source, cast);
        let inside: Vec<usize> = (0..digits.len()).rev().take(taken).collect();
        let vector = self.vector(run, &digits, &inside, &[&self.target, source]);
        let vector = vector.min(16 / bytes).max(1);
        // Tuples are looked up one by one.
        if run * bytes < LONG_RUN
            && !self.over_tuples()
            && let Some(tile) = self.tile(&digits, &steps, bytes)
        {
            return (Shape::Tile(tile), digits, why);
        }
        (Shape::Rows { run, vector, digits: taken }, digits, why)
    }

    /// Runs along which each place goes on with the target or stays where it is.
    fn computed(&self, digits: Vec<MoveDigit>) -> (Shape, Vec<MoveDigit>, String) {
        let places = self.value.places();
        let steps = |i: usize| {
            let one = |p: &&Place| step(self.table(p), p, &digits, i);
            places.iter().map(one).collect::<Vec<_>>()
        };
        let (mut run, mut taken, mut goes) = (1i64, 0, vec![None; places.len()]);
        let mut why = "it is all of the movement".to_string();
        for (i, digit) in digits.iter().enumerate().rev() {
            if digit.radix == 1 && digit.cut.is_none() && self.whole(digit) {
                taken += 1;
                continue;
            }
            let fits = |(step, goes): (&Step, &Option<bool>)| match step {
                Step::Memory(0) => *goes != Some(true),
                step => *step == Step::Memory(run) && *goes != Some(false),
            };
            let own = step(self.table(&self.target), &self.target, &digits, i);
            let steps = steps(i);
            if digit.cut.is_some()
                || own != Step::Memory(run)
                || !self.whole(digit)
                || !steps.iter().zip(&goes).all(fits)
            {
                let name = &self.vars[digit.var].name;
                why = match self.value.reduces(digit.var) {
                    true => "the rest is reduced".to_string(),
                    false => format!("`{name}` does not go on with it on every side"),
                };
                break;
            }
            goes = steps.iter().map(|s| Some(*s != Step::Memory(0))).collect();
            (run, taken) = (run * digit.radix, taken + 1);
        }
        let rows = places.iter().zip(&goes).filter(|(_, goes)| **goes == Some(true));
        let rows: Vec<&Place> = rows.map(|(p, _)| *p).chain([&self.target]).collect();
        let inside: Vec<usize> = (0..digits.len()).rev().take(taken).collect();
        let widths = rows.iter().map(|p| self.program.tensors[p.tensor].dtype.elem.bytes());
        let most = 16 / widths.max().unwrap_or(1);
        let vector = self.vector(run, &digits, &inside, &rows).min(most).max(1);
        (Shape::Rows { run, vector, digits: taken }, digits, why)
    }

    /// Bytes of the wider of the two element types.
    fn bytes(&self, source: &Place, cast: Option<hir::Elem>) -> i64 {
        let from = self.program.tensors[source.tensor].dtype.elem.bytes();
        let to = self.program.tensors[self.target.tensor].dtype.elem.bytes();
        from.max(to).max(cast.map_or(1, hir::Elem::bytes))
    }

    /// The product of the last digits that both sides step through without a gap.
    fn run(&self, digits: &[MoveDigit], steps: &[(Step, Step)]) -> (i64, usize, String) {
        let (mut run, mut taken) = (1i64, 0);
        for (i, digit) in digits.iter().enumerate().rev() {
            let name = &self.vars[digit.var].name;
            let reason = if digit.cut.is_some() {
                format!("`{name}` is split over ranks beyond it")
            } else if steps[i] != (Step::Memory(run), Step::Memory(run)) {
                format!(
                    "`{name}` steps by {} in the source, {} in the target",
                    show(steps[i].0),
                    show(steps[i].1)
                )
            } else if !self.whole(digit) {
                format!("`{name}` ends inside a block")
            } else {
                run *= digit.radix;
                taken += 1;
                continue;
            };
            return (run, taken, reason);
        }
        (run, taken, "it is all of the movement".to_string())
    }

    /// Whether the variable's end does not cut the digit.
    fn whole(&self, digit: &MoveDigit) -> bool {
        let var = &self.vars[digit.var];
        matches!(var.live, Live::Known)
            && !self.checked.contains(&digit.var)
            && var.extent % (digit.weight * digit.radix) == 0
    }

    /// Elements of the widest access: a power of two that divides the run and every other step.
    fn vector(&self, run: i64, digits: &[MoveDigit], inside: &[usize], places: &[&Place]) -> i64 {
        let others = (0..digits.len()).filter(|i| !inside.contains(i));
        let mut unit = others.fold(run, |unit, i| {
            places.iter().fold(unit, |unit, p| gcd(unit, unit_of(self.table(p), p, digits, i)))
        });
        for place in places {
            unit = gcd(unit, self.fixed_offset(place, digits));
        }
        1 << unit.trailing_zeros().min(5)
    }

    /// What the offset that constants in the indices add is a multiple of.
    fn fixed_offset(&self, place: &Place, digits: &[MoveDigit]) -> i64 {
        let table = self.table(place);
        let constant = |row: &&Digit| matches!(place.coords[row.axis], Coordinate::Linear { constant, .. } if constant != 0);
        table.digits.iter().filter(constant).fold(0, |unit, row| {
            let (Home::Memory { stride } | Home::Rows { stride }) = row.home else { return unit };
            let mapped = table.maps.contains_key(&row.axis);
            let mine = place.coords[row.axis].piece(digits, row, table.is_top(row));
            gcd(unit, stride * mine.filter(|_| !mapped).map_or(1, |mine| mine.constant))
        })
    }

    /// A tile if each side is contiguous along a digit of its own.
    fn tile(&self, digits: &[MoveDigit], steps: &[(Step, Step)], bytes: i64) -> Option<TileShape> {
        let minor = |pick: fn(&(Step, Step)) -> Step| {
            (0..digits.len()).rev().find(|i| {
                digits[*i].cut.is_none()
                    && digits[*i].radix > 1
                    && pick(&steps[*i]) == Step::Memory(1)
            })
        };
        let (source, target) = (minor(|s| s.0)?, minor(|s| s.1)?);
        let summed = self
            .source()
            .is_some_and(|p| self.table(p).spread.iter().any(|s| s.kind == SpreadKind::Sum));
        if source == target || summed || digits[source].radix.min(digits[target].radix) < 4 {
            return None;
        }
        let size = |i: usize| {
            let name = &self.vars[digits[i].var].name;
            let asked = self.asked.tile.iter().find(|(n, _)| n == name).map(|t| t.1);
            let most = asked.unwrap_or((TILE / bytes).min(TILE_ELEMENTS)).clamp(1, 256);
            let fit = (digits[i].radix as u64).next_power_of_two() as i64;
            fit.min((most as u64).next_power_of_two() as i64).max(16)
        };
        let (mut s, mut t) = (size(source), size(target));
        while s * t * bytes > SHARED && s.max(t) > 16 {
            *(if s > t { &mut s } else { &mut t }) /= 2;
        }
        let access = |i: usize, place: &Place, extent: i64| {
            let others = (0..digits.len()).filter(|j| *j != i);
            let unit =
                others.fold(extent, |u, j| gcd(u, unit_of(self.table(place), place, digits, j)));
            let unit = gcd(unit, digits[i].radix);
            let var = &self.vars[digits[i].var];
            let unit = match var.live {
                _ if self.checked.contains(&digits[i].var) => 1,
                Live::Known if var.guarded && var.extent % digits[i].weight == 0 => {
                    gcd(unit, var.extent / digits[i].weight)
                }
                Live::Known if var.guarded => 1,
                Live::Known => unit,
                Live::Size(_) => 1,
            };
            let unit = self.places().fold(unit, |u, p| gcd(u, self.fixed_offset(p, digits)));
            (1i64 << unit.trailing_zeros()).min(16 / bytes).max(1)
        };
        let shape = TileShape {
            source: (source, s, access(source, self.source()?, s)),
            target: (target, t, access(target, &self.target, t)),
        };
        Some(shape)
    }
}

fn show(step: Step) -> String {
    match step {
        Step::Memory(n) => n.to_string(),
        Step::Rank => "a rank".to_string(),
        Step::Other => "a table or a division".to_string(),
    }
}
