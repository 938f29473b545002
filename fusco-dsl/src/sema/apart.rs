//! Whether two assignments of a statement can name one element: what the indices of the left side tell of its variables.

use super::hir::{Assign, BinOp, Bindings, Entry, Expr, ExprKind, Program};
use super::range::Ranges;
use super::reach::{named, value};
use crate::diag::Diagnostic;
use std::collections::BTreeMap;

/// Points that are compared one by one, at most.
const MOST_POINTS: i64 = 1 << 20;

/// F0205 if indices of the left side may collide.
pub(super) fn collision(
    program: &Program,
    (entry, stmt): (&Entry, &Assign),
    bound: &Bindings,
) -> Option<Diagnostic> {
    let computed = stmt.index.iter().find(|e| !matches!(e.kind, ExprKind::Var(_)))?;
    let mut told = Told::new(program, (entry, stmt), bound);
    told.by_all();
    let free = told.free();
    if free.iter().all(|v| told.known[*v]) {
        return None;
    }
    let note = match compared(program, stmt, bound, (&free, &told.ranges)) {
        Some(None) => return None,
        Some(Some((a, b))) => {
            let names = |point: &[i64]| {
                let at = |v: &usize| Some(format!("{}={}", name(stmt, *v)?, point[*v]));
                free.iter().filter_map(at).collect::<Vec<_>>().join(", ")
            };
            format!("it is equal at {} and at {}", names(&a), names(&b))
        }
        None => {
            let lost = free.iter().filter(|v| !told.known[**v]);
            let lost = lost.filter_map(|v| name(stmt, *v)).collect::<Vec<_>>().join("`, `");
            format!(
                "the indices do not tell `{lost}`: their factors are no mixed radix of the extents"
            )
        }
    };
    Some(
        Diagnostic::error("F0205", computed.span, "index may collide")
            .label("two sources would write one element")
            .note(note)
            .help("bind other numbers, or give each variable a factor of at least the span of those below it"),
    )
}

fn name(stmt: &Assign, var: usize) -> Option<&str> {
    stmt.vars.iter().nth(var).map(|(_, v)| v.name.as_str())
}

/// What is known once the coordinates of an element are.
struct Told<'a> {
    program: &'a Program,
    entry: &'a Entry,
    stmt: &'a Assign,
    bound: &'a Bindings,
    ranges: Ranges<'a>,
    /// By variable.
    known: Vec<bool>,
    /// Quotients and remainders.
    parts: Vec<&'a Expr>,
}

impl<'a> Told<'a> {
    fn new(
        program: &'a Program,
        (entry, stmt): (&'a Entry, &'a Assign),
        bound: &'a Bindings,
    ) -> Self {
        let ranges = Ranges::where_it_holds(program, stmt, bound);
        let one = |v: usize| ranges.extent(v).is_some_and(|(n, _)| n <= 1);
        let mut known: Vec<bool> = (0..stmt.vars.len()).map(one).collect();
        // What a route or a reducer binds is no part of it.
        let reduced = stmt.value.reduced();
        reduced.iter().for_each(|v| known[v.index()] = true);
        if let Some(via) = &stmt.via {
            let own = program.routes[via.route].vars.len();
            known[..own].fill(true);
        }
        Told { program, entry, stmt, bound, ranges, known, parts: Vec::new() }
    }

    /// The variables that the left side must tell.
    fn free(&self) -> Vec<usize> {
        let again = Told::new(self.program, (self.entry, self.stmt), self.bound).known;
        (0..again.len()).filter(|v| !again[*v]).collect()
    }

    fn by_all(&mut self) {
        loop {
            let before = (self.known.clone(), self.parts.len());
            self.stmt.index.iter().for_each(|e| self.by(e));
            if before == (self.known.clone(), self.parts.len()) {
                return;
            }
        }
    }

    /// What the value of an integer tells: all parts of a sum whose factors are a mixed radix.
    fn by(&mut self, e: &'a Expr) {
        let mut atoms = Vec::new();
        if self.atoms(e, 1, &mut atoms).is_none() {
            return;
        }
        atoms.retain(|(atom, times)| *times != 0 && !self.is_known(atom));
        let count = |atom: &Expr| {
            let (least, most) = self.ranges.of(atom).ok()??;
            Some(most - least + 1)
        };
        let counted =
            atoms.iter().map(|(atom, times)| Some((i128::from(times.abs()), count(atom)?)));
        let Some(mut radix) = counted.collect::<Option<Vec<_>>>() else { return };
        radix.sort_unstable();
        let mut below = 1i128;
        for (times, count) in radix {
            if times < below {
                return;
            }
            below = below.saturating_add(times.saturating_mul((count - 1).max(0)));
        }
        atoms.into_iter().for_each(|(atom, _)| self.learn(atom));
    }

    /// A sum as its parts, with their factors; those that are equal once.
    fn atoms(&self, e: &'a Expr, times: i64, out: &mut Vec<(&'a Expr, i64)>) -> Option<()> {
        match &e.kind {
            ExprKind::Scalar(_) | ExprKind::Size(_) => {}
            ExprKind::Binary { op: BinOp::Add, lhs, rhs } => {
                self.atoms(lhs, times, out)?;
                self.atoms(rhs, times, out)?;
            }
            ExprKind::Binary { op: BinOp::Sub, lhs, rhs } => {
                self.atoms(lhs, times, out)?;
                self.atoms(rhs, times.checked_neg()?, out)?;
            }
            ExprKind::Binary { op: BinOp::Mul, lhs, rhs }
                if self.constant(lhs).or(self.constant(rhs)).is_some() =>
            {
                let (factor, rest) = match self.constant(lhs) {
                    Some(n) => (n, rhs),
                    None => (self.constant(rhs)?, lhs),
                };
                self.atoms(rest, times.checked_mul(factor)?, out)?;
            }
            _ => match out.iter_mut().find(|(atom, _)| alike(atom, e)) {
                Some((_, sum)) => *sum = sum.checked_add(times)?,
                None => out.push((e, times)),
            },
        }
        Some(())
    }

    fn constant(&self, e: &Expr) -> Option<i64> {
        value(self.program, self.bound, e, &[])
    }

    fn is_known(&self, e: &Expr) -> bool {
        let mut vars = Vec::new();
        named(e, &mut vars);
        vars.iter().all(|v| self.known[*v])
    }

    /// The value of a part of a sum is known.
    fn learn(&mut self, atom: &'a Expr) {
        match &atom.kind {
            ExprKind::Var(v) => self.known[v.index()] = true,
            ExprKind::Binary { op: BinOp::Div | BinOp::Rem, lhs, rhs } => {
                let is_part = |e: &&Expr| matches!(&e.kind, ExprKind::Binary { lhs: l, rhs: r, .. } if alike(l, lhs) && alike(r, rhs));
                let others = self.parts.iter().copied().filter(is_part);
                let both = others.into_iter().any(|other| !alike(other, atom));
                if !self.parts.iter().any(|p| alike(p, atom)) {
                    self.parts.push(atom);
                }
                if both {
                    self.by(lhs);
                }
            }
            ExprKind::Read { tensor, index } => {
                let assumes = self.program.assumes.iter().chain(&self.entry.assumes);
                for assume in assumes.filter(|a| a.tensor == *tensor) {
                    let along = |axis: &usize| assume.axes.contains(axis);
                    let mut others = (0..index.len()).filter(|a| !along(a));
                    if others.all(|axis| self.is_known(&index[axis])) {
                        assume.axes.iter().for_each(|axis| self.by(&index[*axis]));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether two integers are written alike.
fn alike(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Scalar(a), ExprKind::Scalar(b)) => a == b,
        (ExprKind::Size(a), ExprKind::Size(b)) => a == b,
        (ExprKind::Var(a), ExprKind::Var(b)) => a == b,
        (ExprKind::Read { tensor: a, index: i }, ExprKind::Read { tensor: b, index: j }) => {
            a == b && i.len() == j.len() && i.iter().zip(j).all(|(i, j)| alike(i, j))
        }
        (
            ExprKind::Binary { op: a, lhs: l, rhs: r },
            ExprKind::Binary { op: b, lhs: m, rhs: s },
        ) => a == b && alike(l, m) && alike(r, s),
        _ => false,
    }
}

/// Two assignments with equal indices; `Some(None)` if there are none, `None` if they are too many to compare, or not
/// known at bind.
fn compared(
    program: &Program,
    stmt: &Assign,
    bound: &Bindings,
    (free, ranges): (&[usize], &Ranges<'_>),
) -> Option<Option<(Vec<i64>, Vec<i64>)>> {
    let extent = |v: &usize| ranges.extent(*v).filter(|(_, exact)| *exact).map(|(n, _)| n);
    let extents = free.iter().map(extent).collect::<Option<Vec<i64>>>()?;
    let points = extents.iter().try_fold(1i64, |n, e| n.checked_mul((*e).max(0)))?;
    if points > MOST_POINTS {
        return None;
    }
    let mut seen: BTreeMap<Vec<i64>, Vec<i64>> = BTreeMap::new();
    let mut at = vec![0; stmt.vars.len()];
    for point in 0..points {
        free.iter().zip(&extents).rev().fold(point, |rest, (v, n)| {
            at[*v] = rest % n;
            rest / n
        });
        let number = |e: &Expr| value(program, bound, e, &at).ok_or(());
        // What a condition that the launch decides leaves out may be there.
        if let Some(filter) = &stmt.filter
            && filter.holds(&mut |e| number(e)) == Ok(false)
        {
            continue;
        }
        let index = stmt.index.iter().map(|e| number(e).ok()).collect::<Option<Vec<_>>>()?;
        if let Some(first) = seen.insert(index, at.clone()) {
            return Some(Some((first, at)));
        }
    }
    Some(None)
}
