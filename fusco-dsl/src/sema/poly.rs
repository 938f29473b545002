//! Sizes as polynomials, to decide what holds for every binding.
//!
//! Atoms are params (at least 1) and whatever else is not a sum or product: run-time counts,
//! coordinates, quotients (at least 0).

use super::hir::{BinOp, Size};
use std::collections::BTreeMap;

/// Beyond so many terms or factors nothing is proven: real sizes are far below.
const MOST_TERMS: usize = 1024;
const MOST_FACTORS: usize = 8;

/// A sum of products of atoms with integer coefficients. Where a coefficient leaves 64 bits, nothing
/// is proven either.
#[derive(Clone, Debug, Default)]
pub(super) struct Poly {
    terms: BTreeMap<Vec<Atom>, i64>,
    overflow: bool,
}

/// An atom by its structure; `Ord` makes the form canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Atom {
    key: String,
    at_least_one: bool,
}

impl Poly {
    pub fn lit(value: i64) -> Poly {
        let mut out = Poly::default();
        out.add_term(Vec::new(), value);
        out
    }

    /// Mesh axes should be written out first (`Facts::plain`).
    pub fn of(size: &Size) -> Poly {
        match size {
            Size::Lit(v) => Poly::lit(*v),
            Size::Binary { op: BinOp::Add, lhs, rhs } => Poly::of(lhs).plus(&Poly::of(rhs)),
            Size::Binary { op: BinOp::Sub, lhs, rhs } => Poly::of(lhs).minus(&Poly::of(rhs)),
            Size::Binary { op: BinOp::Mul, lhs, rhs } => Poly::of(lhs).times(&Poly::of(rhs)),
            atom => {
                let at_least_one = matches!(atom, Size::Param(_) | Size::Mesh(_));
                let mut out = Poly::default();
                out.add_term(vec![Atom { key: format!("{atom:?}"), at_least_one }], 1);
                out
            }
        }
    }

    fn add_term(&mut self, key: Vec<Atom>, by: i64) {
        let slot = self.terms.entry(key).or_insert(0);
        match slot.checked_add(by) {
            Some(sum) => *slot = sum,
            None => self.overflow = true,
        }
        if *slot == 0 {
            self.terms.retain(|_, c| *c != 0);
        }
    }

    pub fn plus(&self, other: &Poly) -> Poly {
        self.combine(other, 1)
    }

    pub fn minus(&self, other: &Poly) -> Poly {
        self.combine(other, -1)
    }

    fn combine(&self, other: &Poly, sign: i64) -> Poly {
        let mut out = self.clone();
        out.overflow |= other.overflow;
        for (key, c) in &other.terms {
            match c.checked_mul(sign) {
                Some(c) => out.add_term(key.clone(), c),
                None => out.overflow = true,
            }
        }
        out
    }

    pub fn times(&self, other: &Poly) -> Poly {
        let mut out = Poly { terms: BTreeMap::new(), overflow: self.overflow || other.overflow };
        if self.terms.len() * other.terms.len() > MOST_TERMS {
            return Poly { overflow: true, ..out };
        }
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                let mut key = [a.as_slice(), b.as_slice()].concat();
                key.sort();
                match x.checked_mul(*y) {
                    Some(c) => out.add_term(key, c),
                    None => out.overflow = true,
                }
            }
        }
        out
    }

    pub fn is_zero(&self) -> bool {
        !self.overflow && self.terms.is_empty()
    }

    /// The number, if no atom is left.
    pub fn constant(&self) -> Option<i64> {
        match self.terms.iter().next() {
            _ if self.overflow || self.terms.len() > 1 => None,
            None => Some(0),
            Some((key, c)) => key.is_empty().then_some(*c),
        }
    }

    /// Whether it is at least 0 whatever the atoms are.
    pub fn at_least_zero(&self) -> bool {
        let shifted = self.shifted();
        !shifted.overflow && shifted.terms.values().all(|c| *c >= 0)
    }

    /// The same, given that the product `positive` is at least 1: so is each of its atoms.
    pub fn given(mut self, positive: &Poly) -> Poly {
        let [(known, _)] = positive.terms.iter().collect::<Vec<_>>()[..] else { return self };
        let terms = std::mem::take(&mut self.terms);
        for (mut key, c) in terms {
            for atom in &mut key {
                atom.at_least_one |= known.iter().any(|k| k.key == atom.key);
            }
            key.sort();
            self.add_term(key, c);
        }
        self
    }

    /// Whether it is below 0 whatever the atoms are.
    pub fn below_zero(&self) -> bool {
        Poly::lit(-1).minus(self).at_least_zero()
    }

    /// Every atom of at least 1 written as 1 + something of at least 0.
    fn shifted(&self) -> Poly {
        let mut out = Poly { terms: BTreeMap::new(), overflow: self.overflow };
        for (key, c) in &self.terms {
            if key.len() > MOST_FACTORS {
                return Poly { overflow: true, ..out };
            }
            let mut product = Poly::lit(*c);
            for atom in key {
                let mut factor = Poly::lit(i64::from(atom.at_least_one));
                factor.add_term(vec![atom.clone()], 1);
                product = product.times(&factor);
            }
            out = out.plus(&product);
        }
        out
    }
}
