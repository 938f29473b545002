//! What is known of sizes: which divide which, which are equal, what a param is at least.
//!
//! Enters: conditions of `param`s and the sizes of mesh axes. Leaves: answers that hold for every binding.

use super::hir::{BinOp, CmpOp, Cond, CondKind, MeshAxis, Param, Size, fold};
use super::poly::Poly;
use crate::arena::Handle;

/// `lhs % modulus == 0`, as declared, and what mesh axes stand for.
#[derive(Default)]
pub(super) struct Facts {
    multiples: Vec<(Size, Size)>,
    meshes: Vec<(Handle<MeshAxis>, Size)>,
    /// `where M == N`: the one is written as the other from here on.
    equals: Vec<(Handle<Param>, Size)>,
    /// Params that may be less than 1, by their least value.
    small: Vec<(Handle<Param>, i64)>,
}

impl Facts {
    /// Learns the divisibilities that hold whenever the condition does.
    pub fn learn(&mut self, cond: &Cond) {
        match &cond.kind {
            CondKind::And(a, b) => {
                self.learn(a);
                self.learn(b);
            }
            CondKind::Compare {
                op: CmpOp::Eq,
                lhs: Size::Binary { op: BinOp::Rem, lhs, rhs },
                rhs: zero,
            } if *zero == Size::Lit(0) => {
                self.multiples.push((self.plain(lhs), self.plain(rhs)));
            }
            CondKind::Compare { op: CmpOp::Eq, lhs: Size::Param(p), rhs } => {
                let rhs = self.plain(rhs);
                if self.plain(&Size::Param(*p)) == Size::Param(*p) && at_bind(&rhs) {
                    self.equate(*p, rhs);
                }
            }
            _ => {}
        }
    }

    /// Whatever mentions the param is rewritten too, so that one pass of `plain` is enough.
    fn equate(&mut self, param: Handle<Param>, size: Size) {
        if names_param(&size, param) {
            return;
        }
        self.equals.push((param, size));
        let was = std::mem::take(&mut self.multiples);
        self.multiples = was.iter().map(|(a, b)| (self.plain(a), self.plain(b))).collect();
        let was = std::mem::take(&mut self.equals);
        let one = Facts { equals: was.last().cloned().into_iter().collect(), ..Facts::default() };
        self.equals = was
            .into_iter()
            .map(|(p, s)| if p == param { (p, s) } else { (p, one.plain(&s)) })
            .collect();
    }

    /// Whether the sizes are equal sums of products, facts applied.
    pub fn equal(&self, a: &Size, b: &Size) -> bool {
        let (a, b) = (self.plain(a), self.plain(b));
        same(&a, &b) || self.poly(&a).minus(&self.poly(&b)).is_zero()
    }

    /// Whether `a <= b` for every binding.
    pub fn at_most(&self, a: &Size, b: &Size) -> bool {
        let (a, b) = (self.plain(a), self.plain(b));
        let below = |a: &Size, b: &Size| self.poly(b).minus(&self.poly(a)).at_least_zero();
        let ends = || {
            let (a, b) = (self.multiplied(&a), self.multiplied(&b));
            below(&self.end(&a, false), &self.end(&b, true))
        };
        same(&a, &b) || below(&a, &b) || ends()
    }

    /// A mesh axis is its size from here on.
    pub fn mesh(&mut self, axis: Handle<MeshAxis>, size: Size) {
        self.meshes.push((axis, size));
    }

    /// What a param may be, by all of its conditions together.
    pub fn bounded(&mut self, param: Handle<Param>, least: Option<i64>) {
        if let Some(least) = least.filter(|n| *n < 1) {
            self.small.push((param, least));
        }
    }

    /// The size as a polynomial.
    pub fn poly(&self, size: &Size) -> Poly {
        Poly::of(&self.least_one(&self.multiplied(&self.plain(size))))
    }

    /// Quotients times their divisors written out: `n / d * d` is `n - n % d`, and `n` where d divides it.
    fn multiplied(&self, size: &Size) -> Size {
        let Size::Binary { op, lhs, rhs } = size else { return size.clone() };
        let inner = || fold(*op, self.multiplied(lhs), self.multiplied(rhs));
        if *op != BinOp::Mul {
            return inner();
        }
        let (times, mut factors) = factors(size);
        let quotient = |f: &&Size| matches!(*f, Size::Binary { op: BinOp::Div, .. });
        let found = factors.iter().position(quotient).map(|at| factors.remove(at));
        let Some(Size::Binary { lhs: of, rhs: by, .. }) = found else { return inner() };
        let product = |of: i64, all: Vec<&Size>| {
            all.into_iter().fold(Size::Lit(of), |product, f| fold(BinOp::Mul, product, f.clone()))
        };
        let Some(rest) = without(&product(times, factors), by) else { return inner() };
        let rounded = match self.divides(of, by) {
            true => (**of).clone(),
            false => {
                fold(BinOp::Sub, (**of).clone(), fold(BinOp::Rem, (**of).clone(), (**by).clone()))
            }
        };
        self.multiplied(&fold(BinOp::Mul, rest, rounded))
    }

    /// The size with each remainder at its least, or at its most: what it is at least, or at most.
    fn end(&self, size: &Size, least: bool) -> Size {
        match size {
            Size::Binary { op: BinOp::Rem, rhs, .. } if !least => {
                fold(BinOp::Sub, (**rhs).clone(), Size::Lit(1))
            }
            Size::Binary { op: BinOp::Rem, .. } => Size::Lit(0),
            Size::Binary { op: BinOp::Add, lhs, rhs } => {
                fold(BinOp::Add, self.end(lhs, least), self.end(rhs, least))
            }
            Size::Binary { op: BinOp::Sub, lhs, rhs } => {
                fold(BinOp::Sub, self.end(lhs, least), self.end(rhs, !least))
            }
            Size::Binary { op: BinOp::Mul, lhs, rhs } if self.poly(lhs).at_least_zero() => {
                fold(BinOp::Mul, (**lhs).clone(), self.end(rhs, least))
            }
            size => size.clone(),
        }
    }

    /// Polynomials are of what is at least 1: a param that may be less stands for itself plus what makes it so.
    fn least_one(&self, size: &Size) -> Size {
        match size {
            Size::Param(p) => match self.small.iter().find(|(of, _)| of == p) {
                Some((_, least)) => Size::Binary {
                    op: BinOp::Sub,
                    lhs: Box::new(size.clone()),
                    rhs: Box::new(Size::Lit(1i64.saturating_sub(*least))),
                },
                None => size.clone(),
            },
            Size::Binary { op, lhs, rhs } => Size::Binary {
                op: *op,
                lhs: Box::new(self.least_one(lhs)),
                rhs: Box::new(self.least_one(rhs)),
            },
            size => size.clone(),
        }
    }

    /// The size with its mesh axes written out.
    pub fn plain(&self, size: &Size) -> Size {
        match size {
            Size::Param(p) => self
                .equals
                .iter()
                .find(|(of, _)| of == p)
                .map_or_else(|| size.clone(), |(_, s)| s.clone()),
            Size::Dyn { of, index } => {
                Size::Dyn { of: *of, index: index.iter().map(|i| self.plain(i)).collect() }
            }
            Size::Read { tensor, index } => {
                Size::Read { tensor: *tensor, index: index.iter().map(|i| self.plain(i)).collect() }
            }
            Size::Mesh(m) => {
                self.meshes.iter().find(|(of, _)| of == m).map_or(size.clone(), |(_, s)| s.clone())
            }
            Size::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (self.plain(lhs), self.plain(rhs));
                match (&lhs, &rhs) {
                    (Size::Lit(a), Size::Lit(b)) => op.apply(*a, *b).map(Size::Lit),
                    _ => None,
                }
                .unwrap_or(Size::Binary {
                    op: *op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                })
            }
            _ => size.clone(),
        }
    }

    /// Whether `size % by == 0` follows from the facts and the literals.
    pub fn divides(&self, size: &Size, by: &Size) -> bool {
        self.follows(&self.plain(size), &self.plain(by))
    }

    fn follows(&self, size: &Size, by: &Size) -> bool {
        if *by == Size::Lit(1) || size == by || *size == Size::Lit(0) {
            return true;
        }
        if let (Size::Lit(a), Size::Lit(b)) = (size, by) {
            return a.checked_rem(*b) == Some(0);
        }
        if factors_within(by, size)
            || self.multiples.iter().any(|(of, m)| of == size && factors_within(by, m))
        {
            return true;
        }
        match size {
            Size::Binary { op: BinOp::Mul, lhs, rhs } => {
                self.follows(lhs, by) || self.follows(rhs, by)
            }
            Size::Binary { op: BinOp::Add | BinOp::Sub, lhs, rhs } => {
                self.follows(lhs, by) && self.follows(rhs, by)
            }
            _ => false,
        }
    }
}

/// Whether the product `whole` visibly contains the product `part`.
fn factors_within(part: &Size, whole: &Size) -> bool {
    without(whole, part).is_some()
}

/// What is left of the product `whole` without the factors of the product `part`, if it visibly contains them.
fn without(whole: &Size, part: &Size) -> Option<Size> {
    let (part_lit, part) = factors(part);
    let (whole_lit, mut whole) = factors(whole);
    for factor in part {
        whole.remove(whole.iter().position(|w| *w == factor)?);
    }
    let times = (whole_lit.checked_rem(part_lit)? == 0).then(|| whole_lit / part_lit)?;
    Some(whole.into_iter().fold(Size::Lit(times), |all, f| fold(BinOp::Mul, all, f.clone())))
}

fn factors(size: &Size) -> (i64, Vec<&Size>) {
    match size {
        Size::Lit(v) => (*v, Vec::new()),
        Size::Binary { op: BinOp::Mul, lhs, rhs } => {
            let ((a, mut l), (b, r)) = (factors(lhs), factors(rhs));
            l.extend(r);
            (a.saturating_mul(b), l)
        }
        other => (1, vec![other]),
    }
}

/// Whether two sizes are the same product, whatever the order of its factors.
pub(super) fn same(a: &Size, b: &Size) -> bool {
    a == b || (factors_within(a, b) && factors_within(b, a))
}

fn names_param(size: &Size, param: Handle<Param>) -> bool {
    match size {
        Size::Param(p) => *p == param,
        Size::Binary { lhs, rhs, .. } => names_param(lhs, param) || names_param(rhs, param),
        _ => false,
    }
}

/// Whether params and mesh axes alone decide the size.
pub(super) fn at_bind(size: &Size) -> bool {
    size.is_known_at_bind()
}
