//! Index arithmetic as a linear form over the loop variables, so that a loop adds instead of evaluating.

use super::index::Number;

/// `base + sum(coefficient * var) + sum(factor * number)`, the numbers being what is not linear.
#[derive(Clone)]
pub(crate) struct Affine {
    base: i64,
    terms: Vec<(usize, i64)>,
    rest: Vec<(i64, Number)>,
}

/// A number as a linear function of one variable for some points from the one at hand, which it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    pub step: i64,
    /// At least 1.
    pub points: i64,
}

impl Piece {
    pub(crate) fn still() -> Piece {
        Piece { step: 0, points: i64::MAX }
    }

    /// This point alone.
    pub(crate) fn point() -> Piece {
        Piece { step: 0, points: 1 }
    }

    pub(crate) fn plus(self, factor: i64, other: Piece) -> Piece {
        let step = self.step.wrapping_add(other.step.wrapping_mul(factor));
        Piece { step, points: self.points.min(other.points) }
    }

    pub(crate) fn within(self, other: Piece) -> Piece {
        Piece { points: self.points.min(other.points), ..self }
    }

    /// As far as the value does not change.
    pub(crate) fn steady(self) -> Piece {
        if self.step == 0 { self } else { Piece::point() }
    }

    /// Of `value / n`, the value being non-negative: until the quotient changes.
    pub(crate) fn divided(self, value: i64, n: i64) -> Piece {
        Piece { step: 0, ..self.wrapped(value, n) }
    }

    /// Of `value % n`: until it wraps.
    pub(crate) fn wrapped(self, value: i64, n: i64) -> Piece {
        if self.step == 0 {
            return self;
        }
        if value < 0 {
            return Piece::point();
        }
        let rest = value % n;
        let room = if self.step > 0 { n - 1 - rest } else { rest };
        let steps = room / self.step.saturating_abs();
        Piece { points: self.points.min(steps + 1), ..self }
    }
}

impl Affine {
    pub(crate) fn of(number: &Number) -> Affine {
        let mut out = Affine { base: 0, terms: Vec::new(), rest: Vec::new() };
        out.add(1, number);
        out
    }

    fn add(&mut self, factor: i64, number: &Number) {
        match number {
            Number::Lit(v) => self.base = self.base.wrapping_add(factor.wrapping_mul(*v)),
            Number::Var(var) => match self.terms.iter_mut().find(|(v, _)| v == var) {
                Some((_, c)) => *c = c.wrapping_add(factor),
                None => self.terms.push((*var, factor)),
            },
            Number::Add(p) => {
                self.add(factor, &p.0);
                self.add(factor, &p.1);
            }
            Number::Sub(p) => {
                self.add(factor, &p.0);
                self.add(factor.wrapping_neg(), &p.1);
            }
            Number::Mul(p) => match &**p {
                (Number::Lit(c), n) | (n, Number::Lit(c)) => self.add(factor.wrapping_mul(*c), n),
                _ => self.rest.push((factor, number.clone())),
            },
            _ => self.rest.push((factor, number.clone())),
        }
    }

    #[inline]
    pub(crate) fn get(&self, vars: &[i64]) -> i64 {
        let mut out = self.base;
        for (var, c) in &self.terms {
            out = out.wrapping_add(vars[*var].wrapping_mul(*c));
        }
        for (c, number) in &self.rest {
            out = out.wrapping_add(number.get(vars).wrapping_mul(*c));
        }
        out
    }

    /// What it grows by when the variable grows by one; `None` if that is not one number.
    pub(crate) fn step(&self, var: usize) -> Option<i64> {
        if self.rest.iter().any(|(_, n)| n.reads(var)) {
            return None;
        }
        Some(self.terms.iter().find(|(v, _)| *v == var).map_or(0, |(_, c)| *c))
    }

    pub(crate) fn piece(&self, var: usize, vars: &[i64]) -> Piece {
        let step = self.terms.iter().find(|(v, _)| *v == var).map_or(0, |(_, c)| *c);
        let linear = Piece { step, points: i64::MAX };
        self.rest.iter().fold(linear, |all, (c, n)| all.plus(*c, n.piece(var, vars)))
    }

    /// Whether it depends on two variables only through `outer * extent + inner`.
    pub(crate) fn joins(&self, outer: usize, inner: (usize, i64)) -> bool {
        let of = |var| self.terms.iter().find(|(v, _)| *v == var).map_or(0, |(_, c)| *c);
        of(outer) == of(inner.0).wrapping_mul(inner.1)
            && self.rest.iter().all(|(_, n)| n.joins(outer, inner))
    }

    pub(crate) fn reads(&self, var: usize) -> bool {
        self.step(var) != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusco_dsl::schedule::ir::IxOp;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Number> {
        let leaf = prop_oneof![(-9i64..9).prop_map(Number::Lit), (0usize..3).prop_map(Number::Var)];
        leaf.prop_recursive(4, 24, 2, |inner| {
            let op = prop_oneof![
                Just(IxOp::Add),
                Just(IxOp::Sub),
                Just(IxOp::Mul),
                Just(IxOp::Div),
                Just(IxOp::Rem)
            ];
            (op, inner.clone(), inner).prop_map(|(op, a, b)| Number::binary(op, a, b))
        })
    }

    proptest! {
        #[test]
        fn joined_variables_count_on(n in number(), extent in 1i64..9, outer in 0i64..9, third in 0i64..9) {
            let form = Affine::of(&n);
            if form.joins(0, (1, extent)) {
                for inner in 0..extent {
                    let apart = form.get(&[outer, inner, third]);
                    prop_assert_eq!(apart, form.get(&[0, outer * extent + inner, third]));
                }
            }
        }

        #[test]
        fn the_linear_form_has_the_same_value_and_its_steps_are_right(
            n in number(), vars in prop::collection::vec(-50i64..50, 3),
        ) {
            let form = Affine::of(&n);
            prop_assert_eq!(form.get(&vars), n.get(&vars));
            for var in 0..3 {
                let mut next = vars.clone();
                next[var] += 1;
                if let Some(step) = form.step(var) {
                    prop_assert_eq!(n.get(&next), n.get(&vars).wrapping_add(step));
                }
                let piece = form.piece(var, &vars);
                prop_assert!(piece.points >= 1);
                for i in 0..piece.points.min(200) {
                    next[var] = vars[var] + i;
                    prop_assert_eq!(n.get(&next), n.get(&vars).wrapping_add(piece.step.wrapping_mul(i)));
                }
            }
        }
    }
}
