//! Moves: one `Put` of a grid's body and what it stores, done for whole strips of points.

use super::access::At;
use super::affine::{Affine, Piece};
use super::code::Resolver;
use super::run::{Runner, Stop};
use super::{cast, copy, number};
use crate::error::Error;
use fusco_dsl::schedule::ir::{Access, Op, Row, Value};
use std::collections::BTreeMap;

/// One `Put` and what it stores, with the `For` loops around it.
pub(super) struct Move {
    pub loops: Vec<(usize, i64)>,
    what: What,
    pub to: At,
}

enum What {
    Row(At),
    Cast(At),
    Int(Affine),
    Bits(u64),
}

impl Resolver<'_> {
    /// The moves of a body; false if it does something else too.
    pub(super) fn moves<'b>(
        &self,
        ops: &'b [Op],
        loops: &mut Vec<(usize, i64)>,
        rows: &mut BTreeMap<Row, &'b Access>,
        out: &mut Vec<Move>,
    ) -> Result<bool, Error> {
        for op in ops {
            match op {
                Op::Load { row, from } | Op::Pull { row, from } => {
                    rows.insert(*row, from);
                }
                Op::Put { value, to } => {
                    let source = |row: &Row| rows.get(row).map(|from| self.at(from)).transpose();
                    let what = match value {
                        Value::Row(row) => source(row)?.map(What::Row),
                        Value::Cast(row, _) => source(row)?.map(What::Cast),
                        Value::Int(ix) => Some(What::Int(Affine::of(&self.number(ix)?))),
                        Value::Sum { .. } | Value::Scaled { .. } => None,
                    };
                    let Some(what) = what else { return Ok(false) };
                    out.push(Move { loops: loops.clone(), what, to: self.at(to)? });
                }
                Op::Fill { to, bits } => {
                    let what = What::Bits(*bits);
                    out.push(Move { loops: loops.clone(), what, to: self.at(to)? });
                }
                Op::For { var, extent, body } => {
                    loops.push((var.index(), *extent));
                    let whole = self.moves(body, loops, &mut rows.clone(), out)?;
                    loops.pop();
                    if !whole {
                        return Ok(false);
                    }
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Move {
    pub(super) fn forms(&self) -> impl Iterator<Item = &Affine> {
        let (a, b) = match &self.what {
            What::Row(from) | What::Cast(from) => (Some(&from.rank), Some(&from.row)),
            What::Int(form) => (Some(form), None),
            What::Bits(_) => (None, None),
        };
        [a, b, Some(&self.to.rank), Some(&self.to.row)].into_iter().flatten()
    }

    /// The strip for every value of the loops from `depth` on.
    pub(super) fn looped(
        &self,
        runner: &mut Runner<'_>,
        depth: usize,
        var: usize,
        range: (i64, i64),
    ) -> Result<(), Stop> {
        let Some((loop_var, extent)) = self.loops.get(depth) else {
            return self.strip(runner, var, range);
        };
        for v in 0..*extent {
            runner.vars[*loop_var] = v;
            self.looped(runner, depth + 1, var, range)?;
        }
        Ok(())
    }

    /// The strip in pieces along which both sides are linear.
    fn strip(&self, runner: &mut Runner<'_>, var: usize, range: (i64, i64)) -> Result<(), Stop> {
        let mut at = range.0;
        while at < range.1 {
            runner.vars[var] = at;
            let from = match &self.what {
                What::Row(from) | What::Cast(from) => from.piece(var, &runner.vars),
                What::Int(form) => form.piece(var, &runner.vars),
                What::Bits(_) => Piece::still(),
            };
            let to = self.to.piece(var, &runner.vars);
            let points = from.points.min(to.points).min(range.1 - at);
            if !self.linear(runner, (from.step, to.step), points as usize)? {
                for v in at..at + points {
                    runner.vars[var] = v;
                    self.one(runner, 1)?;
                }
            }
            at += points;
        }
        Ok(())
    }

    /// A strip along which both sides advance by `steps`; false if it must go point by point.
    fn linear(
        &self,
        runner: &mut Runner<'_>,
        steps: (i64, i64),
        count: usize,
    ) -> Result<bool, Stop> {
        let runs_on = |at: &At, step| at.bytes as i64 == step;
        let to_runs = runs_on(&self.to, steps.1);
        match &self.what {
            What::Row(from) | What::Cast(from) => {
                if count == 1 || (to_runs && runs_on(from, steps.0)) {
                    self.one(runner, count)?;
                    return Ok(true);
                }
                if from.swizzle.is_some() || self.to.swizzle.is_some() {
                    return Ok(false);
                }
                let a = span(from, &runner.vars, steps.0, count)?;
                let b = span(&self.to, &runner.vars, steps.1, count)?;
                // SAFETY: both spans were checked; an entry does not read what it writes.
                unsafe { self.strided(from, (a, b), steps, count) }
            }
            What::Int(_) | What::Bits(_) if steps.0 == 0 && to_runs => self.one(runner, count)?,
            What::Bits(_) => return Ok(false),
            What::Int(form) => {
                if self.to.swizzle.is_some() || self.to.bytes as i64 != self.to.elem.bytes() {
                    return Ok(false);
                }
                let b = span(&self.to, &runner.vars, steps.1, count)?;
                let first = form.get(&runner.vars);
                for i in 0..count as i64 {
                    let bits = number::int_bits(self.to.elem, first + i * steps.0);
                    // SAFETY: the span was checked.
                    unsafe { number::store(b.offset((i * steps.1) as isize), self.to.elem, bits) }
                }
            }
        }
        Ok(true)
    }

    /// # Safety
    /// `count` rows `steps` bytes apart are readable at the first place and writable at the second.
    unsafe fn strided(
        &self,
        from: &At,
        places: (*const u8, *mut u8),
        steps: (i64, i64),
        count: usize,
    ) {
        let elems = from.bytes / from.elem.bytes() as usize;
        // SAFETY: by the caller.
        unsafe {
            match &self.what {
                What::Cast(_) if elems == 1 => {
                    cast::strided((places.0, from.elem), (places.1, self.to.elem), steps, count)
                }
                What::Cast(_) => (0..count as isize).for_each(|i| {
                    cast::row(
                        (places.0.offset(i * steps.0 as isize), from.elem),
                        (places.1.offset(i * steps.1 as isize), self.to.elem),
                        elems,
                    )
                }),
                _ => copy::strided(
                    places.0,
                    places.1,
                    steps,
                    from.bytes.min(self.to.bytes),
                    count,
                    self.to.large,
                ),
            }
        }
    }

    /// The point at hand, `count` times as long.
    fn one(&self, runner: &mut Runner<'_>, count: usize) -> Result<(), Stop> {
        runner.begin(count);
        match &self.what {
            What::Row(from) => {
                let row = runner.read(from)?;
                runner.write_row(row, &self.to)
            }
            What::Cast(from) => {
                let row = runner.read(from)?;
                runner.write_cast(row, &self.to)
            }
            What::Int(form) => {
                let bits = number::int_bits(self.to.elem, form.get(&runner.vars));
                runner.write_bits(bits, &self.to)
            }
            What::Bits(bits) => runner.write_bits(*bits, &self.to),
        }
    }
}

/// The first of `count` rows that lie `step` bytes apart, all within the rank's part.
fn span(at: &At, vars: &[i64], step: i64, count: usize) -> Result<*mut u8, Error> {
    let (rank, start) = at.place(vars);
    let last = start.saturating_add(step.saturating_mul(count as i64 - 1));
    at.part(rank, last, at.bytes)?;
    at.part(rank, start, at.bytes)
}
