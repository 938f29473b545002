//! Indices against numbers: inside the axis. What params leave open is compared at run time.

use super::hir::{
    Assign, BinOp, Bindings, CmpOp, Expr, ExprKind, Extent, Filter, Program, Scalar, Tensor,
};
use super::range::{Range, Ranges, Wrong, within};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use std::collections::BTreeMap;

/// Points that are tried one by one, at most.
const MOST_POINTS: i64 = 1 << 20;

/// Whether an index names a coordinate of its axis wherever the statement has a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Inside {
    Always,
    /// Where the variables have these values it is `at`.
    Not {
        at: i128,
        point: Vec<(String, i64)>,
    },
    /// Run-time numbers decide.
    Unknown,
}

/// F0206 for what params decide; the rest was decided by `check`. F0601 for integers.
pub(super) fn indices(program: &Program, stmt: &Assign, bound: &Bindings, out: &mut Diagnostics) {
    out.0.extend(super::range::overflow(program, stmt, bound));
    let reach = Reach::new(program, stmt, bound);
    reach.place(stmt.target, &stmt.index, out);
    reach.reads(&stmt.value, out);
    for compared in stmt.filter.iter().flat_map(|filter| filter.operands()) {
        reach.reads(compared, out);
    }
}

/// One statement.
pub(crate) struct Reach<'a> {
    program: &'a Program,
    stmt: &'a Assign,
    bound: &'a Bindings,
    ranges: Ranges<'a>,
}

impl<'a> Reach<'a> {
    pub fn new(program: &'a Program, stmt: &'a Assign, bound: &'a Bindings) -> Self {
        let ranges = Ranges::where_it_holds(program, stmt, bound);
        Reach { program, stmt, bound, ranges }
    }

    fn reads(&self, e: &'a Expr, out: &mut Diagnostics) {
        match &e.kind {
            ExprKind::Read { tensor, index } => {
                self.place(*tensor, index, out);
                index.iter().for_each(|i| self.reads(i, out));
            }
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => self.reads(inner, out),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.reads(lhs, out);
                self.reads(rhs, out);
            }
            _ => {}
        }
    }

    /// F0206.
    fn place(&self, tensor: Handle<Tensor>, index: &'a [Expr], out: &mut Diagnostics) {
        let info = &self.program.tensors[tensor];
        for (axis, e) in info.axes.iter().zip(index) {
            if let Err(Wrong::Divisor(part)) = self.ranges.of(e)
                && self.is_known(part)
            {
                out.push(super::range::divisor(part));
            }
            let Inside::Not { at, point } = self.inside(e, &axis.extent) else { continue };
            let Extent::Fixed(size) = &axis.extent else { continue };
            let Some(extent) = self.program.eval(size, self.bound) else { continue };
            let last: Vec<String> = point.iter().map(|(v, at)| format!("{v}={at}")).collect();
            let (claim, note) = (
                format!("index reaches {at}, outside 0..{extent}"),
                match last.is_empty() {
                    true => format!("it is {at}"),
                    false => format!("it is {at} at {}", last.join(", ")),
                },
            );
            out.push(
                Diagnostic::error("F0206", e.span, claim)
                    .label(format!("axis `{}` of `{}` has extent {extent}", axis.name, info.name))
                    .note(note)
                    .help(
                        "bind other numbers, make the axis larger, or leave these out by a `where`",
                    ),
            );
        }
    }

    /// Whether the index of such an axis stays inside it.
    pub fn inside(&self, e: &'a Expr, extent: &Extent) -> Inside {
        let known = match extent {
            Extent::Fixed(size) => self.program.eval(size, self.bound),
            Extent::Counted { .. } | Extent::Ragged { .. } => None,
        };
        if matches!(e.kind, ExprKind::Var(_)) {
            return Inside::Always;
        }
        let Some(extent) = known.map(i128::from) else { return Inside::Unknown };
        let range = match self.ranges.of(e) {
            Ok(Some(range)) => self.by_condition(e, range),
            // An axis is empty: there is no assignment.
            Ok(None) if self.is_known(e) => return Inside::Always,
            _ => return Inside::Unknown,
        };
        if 0 <= range.0 && range.1 < extent {
            return Inside::Always;
        }
        self.tried(e, extent)
    }

    /// The range, less what a comparison with the same sum of variables leaves out.
    fn by_condition(&self, e: &Expr, mut range: Range) -> Range {
        let Some(mine) = self.sum(e) else { return range };
        for (op, lhs, rhs) in self.stmt.filter.iter().flat_map(Filter::conjuncts) {
            for (op, lhs, rhs) in [(op, lhs, rhs), (op.turned(), rhs, lhs)] {
                let (Some(other), Ok(Some(to))) = (self.sum(lhs), self.ranges.of(rhs)) else {
                    continue;
                };
                if mine.0 == other.0 && !mine.0.is_empty() {
                    let more = i128::from(mine.1) - i128::from(other.1);
                    range = within(op, range, (to.0 + more, to.1 + more));
                }
            }
        }
        range
    }

    /// As variables with their factors, and a constant.
    fn sum(&self, e: &Expr) -> Option<(BTreeMap<usize, i64>, i64)> {
        let joined = |a: &Expr, b: &Expr, sign: i64| {
            let ((mut terms, constant), (others, more)) = (self.sum(a)?, self.sum(b)?);
            for (var, times) in others {
                let sum = terms.entry(var).or_default();
                *sum = sum.checked_add(times.checked_mul(sign)?)?;
            }
            terms.retain(|_, times| *times != 0);
            Some((terms, constant.checked_add(more.checked_mul(sign)?)?))
        };
        match &e.kind {
            ExprKind::Var(v) => Some((BTreeMap::from([(v.index(), 1)]), 0)),
            ExprKind::Scalar(Scalar::Int(v)) => Some((BTreeMap::new(), *v)),
            ExprKind::Size(size) => Some((BTreeMap::new(), self.program.eval(size, self.bound)?)),
            ExprKind::Binary { op: BinOp::Add, lhs, rhs } => joined(lhs, rhs, 1),
            ExprKind::Binary { op: BinOp::Sub, lhs, rhs } => joined(lhs, rhs, -1),
            ExprKind::Binary { op: BinOp::Mul, lhs, rhs } => {
                let (a, b) = (self.sum(lhs)?, self.sum(rhs)?);
                let ((terms, constant), (others, by)) =
                    if b.0.is_empty() { (a, b) } else { (b, a) };
                let scaled = terms.into_iter().map(|(v, t)| Some((v, t.checked_mul(by)?)));
                let scaled = scaled.collect::<Option<_>>().filter(|_| others.is_empty())?;
                Some((scaled, constant.checked_mul(by)?))
            }
            _ => None,
        }
    }

    /// Whether params decide every value of the index.
    fn is_known(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Scalar(_) => true,
            ExprKind::Size(size) => self.program.eval(size, self.bound).is_some(),
            ExprKind::Var(v) => self.ranges.extent(v.index()).is_some_and(|(_, exact)| exact),
            ExprKind::Binary { lhs, rhs, .. } => self.is_known(lhs) && self.is_known(rhs),
            _ => false,
        }
    }

    /// Every value of the index, one by one.
    fn tried(&self, e: &Expr, extent: i128) -> Inside {
        let mut vars = Vec::new();
        named(e, &mut vars);
        let conditions = self.stmt.filter.iter().flat_map(Filter::conjuncts);
        let is_decided =
            |(_, lhs, rhs): &(_, &Expr, &Expr)| self.is_known(lhs) && self.is_known(rhs);
        let (decided, others): (Vec<_>, Vec<_>) = conditions.partition(is_decided);
        let whole = self.stmt.filter.as_ref().is_none_or(Filter::is_conjunction);
        for (_, lhs, rhs) in &decided {
            named(lhs, &mut vars);
            named(rhs, &mut vars);
        }
        let extents = vars.iter().map(|v| self.ranges.extent(*v).filter(|(_, exact)| *exact));
        let Some(extents) = extents.map(|e| Some(e?.0)).collect::<Option<Vec<i64>>>() else {
            return Inside::Unknown;
        };
        let points = extents.iter().try_fold(1i64, |n, e| n.checked_mul((*e).max(0)));
        if !self.is_known(e) {
            return Inside::Unknown;
        }
        if let Some(found) = self.at_an_end(e, extent) {
            return found;
        }
        let Some(points) = points.filter(|n| *n <= MOST_POINTS) else { return Inside::Unknown };
        let mut values = vec![0; self.stmt.vars.len()];
        for point in 0..points {
            vars.iter().zip(&extents).rev().fold(point, |rest, (v, n)| {
                values[*v] = rest % n;
                rest / n
            });
            let value = |e: &Expr| self.value(e, &values);
            let holds =
                |(op, lhs, rhs): &(CmpOp, &Expr, &Expr)| Some(op.holds(value(lhs)?, value(rhs)?));
            if !decided.iter().all(|c| holds(c) != Some(false)) {
                continue;
            }
            let at = match value(e) {
                Some(at) if 0 <= at && i128::from(at) < extent => continue,
                Some(at) => i128::from(at),
                None => return Inside::Unknown,
            };
            if !others.is_empty() || !whole {
                return Inside::Unknown;
            }
            let name = |v: &usize| self.stmt.vars.iter().nth(*v).map(|(_, v)| v.name.clone());
            let point = vars.iter().filter_map(|v| Some((name(v)?, values[*v]))).collect();
            return Inside::Not { at, point };
        }
        Inside::Always
    }

    /// A sum of variables without a condition has both ends of its range.
    fn at_an_end(&self, e: &Expr, extent: i128) -> Option<Inside> {
        let (terms, constant) = self.sum(e).filter(|_| self.stmt.filter.is_none())?;
        let ends = [false, true].map(|largest| {
            let (mut at, mut point) = (i128::from(constant), Vec::new());
            for (var, times) in &terms {
                let n = self.ranges.extent(*var)?.0;
                let value = if (*times > 0) == largest { n - 1 } else { 0 };
                at += i128::from(*times) * i128::from(value);
                point.push((self.stmt.vars.iter().nth(*var)?.1.name.clone(), value));
            }
            Some((at, point))
        });
        let outside = |(at, _): &(i128, _)| *at < 0 || extent <= *at;
        let (at, point) = ends.into_iter().flatten().find(outside)?;
        Some(Inside::Not { at, point })
    }

    /// The value of an integer where the variables have these.
    fn value(&self, e: &Expr, values: &[i64]) -> Option<i64> {
        value(self.program, self.bound, e, values)
    }
}

/// Whether a part of the statement's condition holds for all values of the variables.
pub(crate) fn always_holds(
    program: &Program,
    stmt: &Assign,
    bound: &Bindings,
    part: &Filter,
) -> bool {
    let Filter::Compare { op, lhs, rhs } = part else { return false };
    let ranges = Ranges::new(program, stmt, bound);
    let (Ok(Some(a)), Ok(Some(b))) = (ranges.of(lhs), ranges.of(rhs)) else { return false };
    match op {
        CmpOp::Lt => a.1 < b.0,
        CmpOp::Le => a.1 <= b.0,
        CmpOp::Ge => a.0 >= b.1,
        CmpOp::Gt => a.0 > b.1,
        CmpOp::Ne => a.1 < b.0 || a.0 > b.1,
        CmpOp::Eq => a.0 == b.1 && a.1 == b.0,
    }
}

/// The value of an integer where the variables have these; `None` if more than they and the params decide it.
pub(super) fn value(program: &Program, bound: &Bindings, e: &Expr, at: &[i64]) -> Option<i64> {
    match &e.kind {
        ExprKind::Scalar(Scalar::Int(v)) => Some(*v),
        ExprKind::Size(size) => program.eval(size, bound),
        ExprKind::Var(v) => at.get(v.index()).copied(),
        ExprKind::Binary { op, lhs, rhs } => {
            op.apply(value(program, bound, lhs, at)?, value(program, bound, rhs, at)?)
        }
        _ => None,
    }
}

/// Adds the variables that an integer names, those of elements among them.
pub(super) fn named(e: &Expr, out: &mut Vec<usize>) {
    match &e.kind {
        ExprKind::Var(v) if !out.contains(&v.index()) => out.push(v.index()),
        ExprKind::Binary { lhs, rhs, .. } => {
            named(lhs, out);
            named(rhs, out);
        }
        ExprKind::Read { index, .. } => index.iter().for_each(|i| named(i, out)),
        _ => {}
    }
}
