//! Index arithmetic as a linear form over the loop variables, so that a loop adds instead of evaluating.

use super::index::Number;

/// `base + sum(coefficient * var) + sum(factor * number)`, the numbers being what is not linear.
#[derive(Clone)]
pub(crate) struct Affine {
    base: i64,
    terms: Vec<(usize, i64)>,
    rest: Vec<(i64, Number)>,
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
            }
        }
    }
}
