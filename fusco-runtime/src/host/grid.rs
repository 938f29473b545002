//! Grids: every point of a product of loop variables, in strips along the last one.
//!
//! A body that only moves rows is a list of moves, each done for a whole strip: where both sides are
//! linear along it, as one copy or as a strided one. Other bodies run point by point, or, where every
//! access continues the one of the point before, once for the strip.

use super::access::At;
use super::affine::{Affine, Piece};
use super::code::{Code, Resolver, Source, Term};
use super::index::{Number, wild};
use super::run::{Runner, Stop};
use super::{cast, copy, number};
use crate::engine::Error;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{self, Access, Guard, Ix, IxOp, Op, Row, Value};
use std::collections::BTreeMap;

/// `Op::Grid`, resolved.
pub(crate) struct Grid {
    /// Outer variables, major first.
    outer: Vec<(usize, i64)>,
    /// The variable of the strips.
    inner: (usize, i64),
    /// Variables that were joined to the inner one: they stay 0.
    joined: Vec<usize>,
    share: Part,
    guards: Vec<Test>,
    body: Body,
}

enum Body {
    Moves(Vec<Move>),
    Line {
        code: Vec<Code>,
        /// Whether a strip is one longer access of each kind.
        runs_on: bool,
    },
}

/// One `Put` and what it stores, with the `For` loops around it.
struct Move {
    loops: Vec<(usize, i64)>,
    what: What,
    to: At,
}

enum What {
    Row(At),
    Cast(At),
    Int(Affine),
    Bits(u64),
}

/// Which of the points: the `index`-th of `count` parts.
pub(crate) struct Part(Option<(Number, i64)>);

/// A guard as a comparison of a form.
pub(crate) struct Test {
    form: Affine,
    kind: TestKind,
}

enum TestKind {
    /// `form < 0`
    Below,
    /// `form == 0`
    Zero,
    /// `0 <= form < limit`, or the launch fails: the form was read from this tensor.
    Valid { limit: i64, tensor: String },
}

/// Bytes of a strip that is written several times: it stays in the caches.
const CHUNK: usize = 128 << 10;

/// Strips between two looks at the other ranks.
const LOOK: u32 = 4096;

pub(crate) fn points(vars: &[(usize, i64)]) -> i64 {
    vars.iter().map(|(_, n)| *n.max(&0)).product()
}

/// Sets the variables of a point by its number, major first.
pub(crate) fn decode(list: &[(usize, i64)], mut point: i64, vars: &mut [i64]) {
    for (var, extent) in list.iter().rev() {
        vars[*var] = point % extent;
        point /= extent;
    }
}

impl Resolver<'_> {
    pub(super) fn grid(
        &self,
        vars: &[(Handle<ir::Var>, i64)],
        share: Option<&ir::Share>,
        guards: &[Guard],
        body: &[Op],
    ) -> Result<Grid, Error> {
        let mut outer: Vec<(usize, i64)> = vars.iter().map(|(v, n)| (v.index(), *n)).collect();
        // A grid without variables is one point of a variable that nothing reads.
        let inner = outer.pop().unwrap_or((self.schedule().vars.len(), 1));
        let mut moves = Vec::new();
        let whole = self.moves(body, &mut Vec::new(), &mut BTreeMap::new(), &mut moves)?;
        let body = if whole {
            Body::Moves(moves)
        } else {
            let code = self.body(body)?;
            let runs_on = code.iter().all(|op| runs_on(op, inner.0));
            Body::Line { code, runs_on }
        };
        let (share, guards) = (self.part(share)?, self.guards(guards)?);
        let mut grid = Grid { outer, inner, joined: Vec::new(), share, guards, body };
        grid.join();
        Ok(grid)
    }

    pub(super) fn part(&self, share: Option<&ir::Share>) -> Result<Part, Error> {
        Ok(Part(share.map(|s| Ok::<_, Error>((self.number(&s.index)?, s.count))).transpose()?))
    }

    pub(super) fn guards(&self, guards: &[Guard]) -> Result<Vec<Test>, Error> {
        let difference = |a: &Ix, b: &Ix| {
            Ok::<_, Error>(Number::binary(IxOp::Sub, self.number(a)?, self.number(b)?))
        };
        let test = |guard: &Guard| -> Result<Test, Error> {
            let (form, kind) = match guard {
                Guard::Below { value, limit } => (difference(value, limit)?, TestKind::Below),
                Guard::Equal { value, to } => (difference(value, to)?, TestKind::Zero),
                Guard::Valid { tensor, value, limit } => {
                    let tensor = self.schedule().tensors[*tensor].name.clone();
                    (self.number(value)?, TestKind::Valid { limit: *limit, tensor })
                }
            };
            Ok(Test { form: Affine::of(&form), kind })
        };
        let mut tests: Vec<_> = guards.iter().map(test).collect::<Result<_, _>>()?;
        // Only a point that the others let through may fail the launch.
        tests.sort_by_key(|t| matches!(t.kind, TestKind::Valid { .. }));
        Ok(tests)
    }

    /// The moves of a body; false if it does something else too.
    fn moves<'b>(
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
                        Value::Sum(_) | Value::Scaled { .. } => None,
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

impl Part {
    /// The points `from..to` of this rank's part.
    pub(crate) fn range(&self, points: i64, vars: &[i64]) -> (i64, i64) {
        let Some((index, count)) = &self.0 else { return (0, points) };
        let (index, count) = (i128::from(index.get(vars)), i128::from((*count).max(1)));
        let at = |i: i128| (i128::from(points) * i / count).clamp(0, i128::from(points)) as i64;
        (at(index), at(index + 1))
    }
}

impl Test {
    pub(crate) fn holds(&self, vars: &[i64]) -> bool {
        let v = self.form.get(vars);
        match &self.kind {
            TestKind::Below => v < 0,
            TestKind::Zero => v == 0,
            TestKind::Valid { limit, .. } if (0..*limit).contains(&v) => true,
            TestKind::Valid { limit, tensor } => {
                wild(|| format!("an index read from `{tensor}` is {v}, outside 0..{limit}"));
                false
            }
        }
    }

    /// As of a number: see [`Affine::piece`].
    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        let piece = self.form.piece(var, vars);
        if matches!(self.kind, TestKind::Valid { .. }) { piece.steady() } else { piece }
    }

    /// What the form grows by with a variable, if it is linear and [`Self::narrow`] can use that.
    pub(crate) fn step(&self, var: usize) -> Option<i64> {
        let valid = matches!(self.kind, TestKind::Valid { .. });
        self.form.step(var).filter(|step| *step == 0 || !valid)
    }

    /// The points of `range`, counted from the one at hand, for which it holds if it grows by `step`.
    pub(crate) fn narrow(&self, vars: &[i64], step: i64, (from, to): (i64, i64)) -> (i64, i64) {
        if from >= to {
            return (from, from);
        }
        if step == 0 {
            return if self.holds(vars) { (from, to) } else { (from, from) };
        }
        let at = self.form.get(vars);
        match self.kind {
            TestKind::Zero if at % step == 0 => (from.max(-at / step), to.min(-at / step + 1)),
            TestKind::Zero | TestKind::Valid { .. } => (from, from),
            TestKind::Below if step > 0 => (from, to.min((-at - 1).div_euclid(step) + 1)),
            TestKind::Below => (from.max(at.div_euclid(-step) + 1), to),
        }
    }
}

impl Grid {
    /// Joins outer variables to the inner one while every form depends on the two as on one longer loop.
    fn join(&mut self) {
        while let Some((var, extent)) = self.outer.last().copied() {
            let inner = self.inner;
            let Body::Moves(moves) = &self.body else { return };
            let mut forms =
                self.guards.iter().map(|g| &g.form).chain(moves.iter().flat_map(Move::forms));
            if !forms.all(|form| form.joins(var, inner)) {
                return;
            }
            drop(forms);
            self.outer.pop();
            self.joined.push(var);
            self.inner.1 *= extent;
        }
    }

    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<(), Stop> {
        let (var, extent) = self.inner;
        self.joined.iter().for_each(|v| runner.vars[*v] = 0);
        let (mut point, end) = self.share.range(points(&self.outer) * extent.max(0), &runner.vars);
        let mut strips = 0u32;
        while point < end {
            decode(&self.outer, point / extent, &mut runner.vars);
            let from = point % extent;
            let to = extent.min(from + end - point);
            point += to - from;
            self.strip(runner, var, (from, to))?;
            strips = strips.wrapping_add(1);
            if strips.is_multiple_of(LOOK) {
                runner.watch.check()?;
            }
        }
        Ok(())
    }

    /// The points of one strip whose guards hold, in as few parts as they need.
    fn strip(&self, runner: &mut Runner<'_>, var: usize, range: (i64, i64)) -> Result<(), Stop> {
        let mut at = range.0;
        while at < range.1 {
            runner.vars[var] = at;
            let (mut kept, mut points) = ((0, range.1 - at), range.1 - at);
            // A guard is asked only where the ones before it hold: it may read what they protect.
            for guard in &self.guards {
                let piece = guard.piece(var, &runner.vars);
                points = points.min(piece.points);
                kept = guard.narrow(&runner.vars, piece.step, (0, points));
                if kept.0 > 0 || kept.0 >= kept.1 {
                    break;
                }
                points = kept.1;
            }
            if kept.0 > 0 || kept.0 >= kept.1 {
                at += if kept.0 < kept.1 { kept.0 } else { points };
                continue;
            }
            self.body.strip(runner, var, (at, at + points))?;
            at += points;
        }
        Ok(())
    }
}

impl Body {
    fn strip(&self, runner: &mut Runner<'_>, var: usize, range: (i64, i64)) -> Result<(), Stop> {
        match self {
            Body::Moves(moves) => {
                let often = moves.len() > 1 || moves.iter().any(|m| !m.loops.is_empty());
                let bytes = moves.iter().map(|m| m.to.bytes).max().unwrap_or(1).max(1);
                let most = if often { (CHUNK / bytes).max(1) } else { usize::MAX >> 1 };
                for from in (range.0..range.1).step_by(most) {
                    let to = range.1.min(from.saturating_add(most as i64));
                    moves.iter().try_for_each(|m| m.looped(runner, 0, var, (from, to)))?;
                }
                Ok(())
            }
            Body::Line { code, runs_on: true } => {
                runner.vars[var] = range.0;
                runner.point(code, (range.1 - range.0) as usize)
            }
            Body::Line { code, .. } => (range.0..range.1).try_for_each(|v| {
                runner.vars[var] = v;
                runner.point(code, 1)
            }),
        }
    }
}

impl Move {
    fn forms(&self) -> impl Iterator<Item = &Affine> {
        let (a, b) = match &self.what {
            What::Row(from) | What::Cast(from) => (Some(&from.rank), Some(&from.row)),
            What::Int(form) => (Some(form), None),
            What::Bits(_) => (None, None),
        };
        [a, b, Some(&self.to.rank), Some(&self.to.row)].into_iter().flatten()
    }

    /// The strip for every value of the loops from `depth` on.
    fn looped(
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
pub(crate) fn span(at: &At, vars: &[i64], step: i64, count: usize) -> Result<*mut u8, Error> {
    let (rank, start) = at.place(vars);
    let last = start.saturating_add(step.saturating_mul(count as i64 - 1));
    at.part(rank, last, at.bytes)?;
    at.part(rank, start, at.bytes)
}

/// Whether an op of a line does for a strip of `var` what it does for a point, on longer rows.
fn runs_on(op: &Code, var: usize) -> bool {
    let contiguous = |at: &At| at.step(var) == Some(at.bytes as i64);
    let still = |factors: &[Term]| {
        factors.iter().all(|f| match f {
            Term::Scalar(at) => !at.reads(var),
            Term::Row(_) | Term::Lit(_) => true,
        })
    };
    match op {
        Code::Load { from, .. } => contiguous(from),
        Code::Put { value: Source::Int(n), to } => !n.reads(var) && contiguous(to),
        Code::Put { value: Source::Scaled(factors, _), to } => still(factors) && contiguous(to),
        Code::Put { to, .. } => contiguous(to),
        Code::Reduce { factors } => still(factors),
        Code::For { body, .. } => body.iter().all(|op| runs_on(op, var)),
        _ => false,
    }
}
