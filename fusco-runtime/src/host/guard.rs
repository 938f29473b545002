//! Which points of a grid a rank does: the variables' product, the share, the guards.

use super::affine::{Affine, Piece};
use super::code::Resolver;
use super::index::{Number, wild};
use super::plan::{Pairs, unpack};
use crate::error::Error;
use fusco_dsl::schedule::ir::{self, Guard, Ix, IxOp, PairPart};
use fusco_dsl::sema::hir::Filter;
use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;

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
    /// `form >= 0`: the group of a tuple that is kept.
    Kept,
    /// The same, and none of the `fan` tuples of its position before this one is kept.
    First { pairs: Pairs, tuple: Number, fan: i64 },
    /// `0 <= form < limit`, or the launch fails: the form was read from this tensor.
    Valid { limit: i64, tensor: String },
    /// `form != 0`, or the launch fails: it divides.
    NonZero,
    /// A condition on other numbers.
    Holds(Filter<Number>),
}

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
                Guard::Kept { route, tuple, first } => {
                    let (pairs, tuple) = (self.pairs(*route)?, self.number(tuple)?);
                    let fan = self.schedule().routes[*route].fan;
                    let kind = match first {
                        true => TestKind::First { pairs: pairs.clone(), tuple: tuple.clone(), fan },
                        false => TestKind::Kept,
                    };
                    (Number::Pair(pairs, Box::new(tuple), PairPart::Group), kind)
                }
                Guard::NonZero { value } => (self.number(value)?, TestKind::NonZero),
                Guard::Holds(filter) => {
                    (Number::Lit(0), TestKind::Holds(filter.map(&mut |n| self.number(n))?))
                }
            };
            Ok(Test { form: Affine::of(&form), kind })
        };
        guards.iter().map(test).collect()
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
            TestKind::Kept => v >= 0,
            TestKind::First { pairs, tuple, fan } => {
                let tuple = tuple.get(vars);
                let before = tuple - tuple % fan..tuple;
                let kept = |i: i64| unpack(pairs[i as usize].load(Relaxed)).is_some();
                v >= 0 && !before.into_iter().any(kept)
            }
            TestKind::Holds(filter) => filter
                .holds(&mut |n| Ok::<_, Infallible>(n.get(vars)))
                .unwrap_or_else(|e| match e {}),
            TestKind::NonZero if v != 0 => true,
            TestKind::NonZero => {
                wild(|| "a divisor is 0".to_string());
                false
            }
            TestKind::Valid { limit, .. } if (0..*limit).contains(&v) => true,
            TestKind::Valid { limit, tensor } => {
                wild(|| format!("an index read from `{tensor}` is {v}, outside 0..{limit}"));
                false
            }
        }
    }

    /// As of a number: see [`Affine::piece`].
    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        if let TestKind::Holds(filter) = &self.kind {
            let pieces = filter.operands().into_iter().map(|n| n.piece(var, vars).steady());
            return pieces.fold(Piece::still(), Piece::within);
        }
        let piece = self.form.piece(var, vars);
        if self.fails() { piece.steady() } else { piece }
    }

    /// What the form grows by with a variable, if it is linear and [`Self::narrow`] can use that.
    pub(crate) fn step(&self, var: usize) -> Option<i64> {
        if matches!(self.kind, TestKind::Holds(_)) {
            return (!self.reads(var)).then_some(0);
        }
        self.form.step(var).filter(|step| *step == 0 || !self.fails())
    }

    /// Whether it depends on the variable.
    pub(crate) fn reads(&self, var: usize) -> bool {
        match &self.kind {
            TestKind::Holds(filter) => filter.operands().into_iter().any(|n| n.reads(var)),
            _ => self.form.reads(var),
        }
    }

    /// Whether it depends on two variables as on one longer loop.
    pub(crate) fn joins(&self, var: usize, inner: (usize, i64)) -> bool {
        match self.kind {
            TestKind::Holds(_) => !self.reads(var) && !self.reads(inner.0),
            _ => self.form.joins(var, inner),
        }
    }

    /// Where it does not hold the launch fails.
    fn fails(&self) -> bool {
        matches!(self.kind, TestKind::Valid { .. } | TestKind::NonZero)
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
            // A group is steady along its points.
            TestKind::Zero
            | TestKind::Kept
            | TestKind::First { .. }
            | TestKind::Valid { .. }
            | TestKind::NonZero
            | TestKind::Holds(_) => (from, from),
            TestKind::Below if step > 0 => (from, to.min((-at - 1).div_euclid(step) + 1)),
            TestKind::Below => (from.max(at.div_euclid(-step) + 1), to),
        }
    }
}
