//! What values an integer that a statement stores can have, and whether the target's type holds them.

use super::dtype::is_integer;
use super::hir::{
    self, Assign, BinOp, Bindings, CmpOp, Expr, ExprKind, Filter, Program, Reducer, Scalar, Size,
    Step, TermKind, VarExtent,
};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use std::collections::BTreeMap;

/// Least and most.
pub(super) type Range = (i128, i128);

/// F0601: a stored integer that its type, or 64 bits on the way, do not hold, or a divisor that may be 0.
/// F0999 if only the sizes of a launch decide it.
pub(super) fn overflow(program: &Program, stmt: &Assign, bound: &Bindings) -> Option<Diagnostic> {
    let target = &program.tensors[stmt.target];
    let moved = matches!(stmt.value.at_first().kind, ExprKind::Read { .. });
    if moved || !is_integer(stmt.value.ty) || !is_integer(target.dtype.elem) {
        return None;
    }
    let ranges = Ranges::new(program, stmt, bound);
    let (range, part) = match ranges.of(&stmt.value) {
        Ok(range) => (range?, &stmt.value),
        Err(Wrong::Divisor(part)) => {
            return Some(divisor(part));
        }
        Err(Wrong::Wide(part, range)) => (range, part),
    };
    let casts = matches!(part.kind, ExprKind::Cast(_));
    let elem = match casts {
        true => part.ty,
        _ if std::ptr::eq(part, &stmt.value) => target.dtype.elem,
        _ => hir::Elem::I64,
    };
    let holds = elem.integers();
    let (least, most) = (i128::from(*holds.start()), i128::from(*holds.end()));
    if least <= range.0 && range.1 <= most {
        return None;
    }
    let past = if range.0 < least { range.0 } else { range.1 };
    let note = format!("{} holds {least}..={most}", elem.name());
    if part.is_of_plan() {
        return Some(
            Diagnostic::error(
                "F0601",
                part.span,
                format!("`{}` is {}, which may not hold it", target.name, elem.name()),
            )
            .label(format!("with these numbers it is up to {past}"))
            .note(note)
            .help("declare a wider type, or bind smaller numbers"),
        );
    }
    let summed = !part.indices().is_empty();
    let known =
        !summed && ranges.vars_of(part).all(|v| ranges.extent(v).is_some_and(|(_, exact)| exact));
    if !known {
        return Some(
            Diagnostic::unsupported(
                part.span,
                format!("a value that {} may not hold", elem.name()),
            )
            .label(match summed {
                true => format!("it is up to {past} if each element is the largest of its type"),
                false => format!("it is up to {past} if each `dyn` and count is at its bound"),
            })
            .note(note)
            .help(match casts {
                true => "cast to a type that holds all of it, or take `%` of it first".to_string(),
                false => format!("declare `{}` wider, or bind smaller numbers", target.name),
            }),
        );
    }
    let claim = match elem == target.dtype.elem && std::ptr::eq(part, &stmt.value) {
        _ if casts => format!("{} does not hold {past}", elem.name()),
        true => format!("`{}` is {}, which does not hold {past}", target.name, elem.name()),
        false => format!("{past} does not fit 64 bits"),
    };
    Some(
        Diagnostic::error("F0601", part.span, claim)
            .label(format!("it goes from {} to {}", range.0, range.1))
            .note(note)
            .help("declare a wider type, or bind smaller numbers"),
    )
}

pub(super) fn divisor(part: &Expr) -> Diagnostic {
    Diagnostic::error("F0601", part.span, "the divisor may be 0")
        .label("it is 0 for some values of its variables")
        .help("add 1 to it, or divide by a size")
}

pub(super) enum Wrong<'a> {
    Divisor(&'a Expr),
    Wide(&'a Expr, Range),
}

/// What the integers of a statement can be.
pub(super) struct Ranges<'a> {
    program: &'a Program,
    stmt: &'a Assign,
    bound: &'a Bindings,
    /// What the statement's condition leaves of its variables.
    left: BTreeMap<usize, Range>,
}

impl<'a> Ranges<'a> {
    /// For all values of the variables.
    pub fn new(program: &'a Program, stmt: &'a Assign, bound: &'a Bindings) -> Self {
        Ranges { program, stmt, bound, left: BTreeMap::new() }
    }

    /// For those values for which the statement's condition may hold.
    pub fn where_it_holds(program: &'a Program, stmt: &'a Assign, bound: &'a Bindings) -> Self {
        let mut ranges = Ranges::new(program, stmt, bound);
        for (op, lhs, rhs) in stmt.filter.iter().flat_map(Filter::conjuncts) {
            ranges.narrow(op, lhs, rhs);
            ranges.narrow(op.turned(), rhs, lhs);
        }
        ranges
    }

    /// `variable op number`.
    fn narrow(&mut self, op: CmpOp, lhs: &'a Expr, rhs: &'a Expr) {
        let ExprKind::Var(var) = lhs.kind else { return };
        let (Ok(Some(mine)), Ok(Some(other))) = (self.of(lhs), self.of(rhs)) else { return };
        self.left.insert(var.index(), within(op, mine, other));
    }

    /// `None` if nothing is known of it, or it has no value at all: an axis is empty.
    pub fn of(&self, e: &'a Expr) -> Result<Option<Range>, Wrong<'a>> {
        let range = match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Some((i128::from(*v), i128::from(*v))),
            ExprKind::Size(size) => self.size(size),
            ExprKind::Var(var) if self.left.contains_key(&var.index()) => {
                self.left.get(&var.index()).copied()
            }
            ExprKind::Var(var) => {
                let most = self.extent(var.index()).map(|(n, _)| i128::from(n));
                most.filter(|n| *n > 0).map(|n| (0, n - 1))
            }
            ExprKind::Read { tensor, .. }
                if self.program.tensors[*tensor].dtype.index.is_some() =>
            {
                let index = self.program.tensors[*tensor].dtype.index.as_ref();
                let most = index.and_then(|i| self.program.eval(&i.bound, self.bound));
                most.map(|n| (0, i128::from(n) - 1))
            }
            ExprKind::Read { tensor, .. } => match self.program.tensors[*tensor].dtype.elem {
                hir::Elem::U64 => return Ok(Some((0, i128::from(u64::MAX)))),
                elem => {
                    let holds = elem.integers();
                    return Ok(Some((i128::from(*holds.start()), i128::from(*holds.end()))));
                }
            },
            ExprKind::Reduce { by: Reducer::First, body, .. } => self.of(body)?,
            ExprKind::Reduce { by: Reducer::Max | Reducer::Min, over, body, .. } => {
                let term = self.of(body)?;
                let whole = |v: &Handle<hir::Var>| {
                    self.extent(v.index()).is_some_and(|(n, exact)| exact && n > 0)
                };
                let tuples = self
                    .stmt
                    .via
                    .as_ref()
                    .is_some_and(|via| over.iter().any(|v| via.sources.contains(v)));
                // Of nothing it is an end of its type.
                let holds = e.ty.integers();
                let ends = (i128::from(*holds.start()), i128::from(*holds.end()));
                match over.iter().all(whole) && !tuples {
                    true => term,
                    false => term.map(|(a, b)| (a.min(ends.0), b.max(ends.1))),
                }
            }
            ExprKind::Reduce { over, body, .. } => {
                let Some((least, most)) = self.of(body)? else { return Ok(None) };
                let extents = over.iter().map(|v| self.extent(v.index()).map(|(n, _)| n.max(0)));
                let mut terms = extents.map(|n| n.map(i128::from));
                terms
                    .try_fold(1i128, |all, n| Some(all.saturating_mul(n?)))
                    .map(|n| (least.saturating_mul(n).min(0), most.saturating_mul(n).max(0)))
            }
            ExprKind::Count { .. } | ExprKind::Offset { .. } | ExprKind::Dropped { .. } => {
                self.of_plan(e).map(|most| (0, most))
            }
            ExprKind::Binary { op, lhs, rhs } => {
                let (Some(a), Some(b)) = (self.of(lhs)?, self.of(rhs)?) else { return Ok(None) };
                if matches!(op, BinOp::Div | BinOp::Rem) && b.0 <= 0 && 0 <= b.1 {
                    return Err(Wrong::Divisor(rhs));
                }
                Some(combine(*op, a, b))
            }
            ExprKind::Cast(inner) => {
                let Some((least, most)) = self.of(inner)? else { return Ok(None) };
                let holds = e.ty.integers();
                if least < (*holds.start()).into() || most > (*holds.end()).into() {
                    return Err(Wrong::Wide(e, (least, most)));
                }
                Some((least, most))
            }
            _ => None,
        };
        match range {
            Some((least, most))
                if i64::try_from(least).is_err() || i64::try_from(most).is_err() =>
            {
                Err(Wrong::Wide(e, (least, most)))
            }
            range => Ok(range),
        }
    }

    fn vars_of(&self, e: &Expr) -> impl Iterator<Item = usize> + use<> {
        fn collect(e: &Expr, out: &mut Vec<usize>) {
            match &e.kind {
                ExprKind::Var(v) => out.push(v.index()),
                ExprKind::Binary { lhs, rhs, .. } => {
                    collect(lhs, out);
                    collect(rhs, out);
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        collect(e, &mut out);
        out.into_iter()
    }

    /// A size; a `dyn` is at least 0.
    fn size(&self, size: &Size) -> Option<Range> {
        let whole = |v: i64| (i128::from(v), i128::from(v));
        match size {
            Size::Dyn { of, .. } => {
                let bound = self.program.eval(&self.program.dyns[*of].bound, self.bound)?;
                Some((0, i128::from(bound)))
            }
            Size::Binary { op, lhs, rhs } => match self.program.eval(size, self.bound) {
                Some(v) => Some(whole(v)),
                None => {
                    let (a, b) = (self.size(lhs)?, self.size(rhs)?);
                    let divides = matches!(op, BinOp::Div | BinOp::Rem);
                    (!divides || b.0 > 0).then(|| combine(*op, a, b))
                }
            },
            size => self.program.eval(size, self.bound).map(whole),
        }
    }

    /// The most that a number of a plan can be: every tuple names one group, with each `dyn` at its bound.
    fn of_plan(&self, number: &Expr) -> Option<i128> {
        let route = &self.program.routes[self.program.plan_of(number)?];
        let tuples = |skipped: usize| {
            let sources = route.sources.iter().skip(skipped);
            let most = |v: &Handle<hir::Var>| self.most_of(&route.vars[*v].extent);
            sources.map(most).try_fold(1i128, |all, n| Some(all.saturating_mul(n?.0.into())))
        };
        let cap = route.steps.iter().find_map(|step| match step {
            Step::Cap { limit, .. } => self.program.eval(limit, self.bound).map(i128::from),
            _ => None,
        });
        match &number.kind {
            ExprKind::Count { source, .. } => {
                let tuples = tuples(usize::from(source.is_some()))?;
                Some(cap.map_or(tuples, |cap| cap.clamp(0, tuples)))
            }
            ExprKind::Dropped { .. } => tuples(1),
            ExprKind::Offset { tensor, group } => {
                let groups = i128::from(self.extent(group.index())?.0);
                let terms = &self.program.tensors[*tensor].placement;
                let size = |size| self.program.eval(size, self.bound).map(i128::from);
                terms.iter().find_map(|t| match &t.kind {
                    TermKind::Pack(align) => {
                        let padding = groups.saturating_mul(size(align)? - 1);
                        Some(tuples(0)?.saturating_add(padding))
                    }
                    TermKind::Slab(rows) => Some((groups - 1).max(0).saturating_mul(size(rows)?)),
                    _ => None,
                })
            }
            _ => None,
        }
    }

    /// The most values of a variable, and whether it always has as many.
    pub fn extent(&self, var: usize) -> Option<(i64, bool)> {
        self.most_of(&self.stmt.vars.iter().nth(var)?.1.extent)
    }

    fn most_of(&self, extent: &VarExtent) -> Option<(i64, bool)> {
        match extent {
            VarExtent::Fixed(size) => match self.program.eval(size, self.bound) {
                Some(n) => Some((n, true)),
                None => Some((self.most(size)?, false)),
            },
            VarExtent::Counted { bound, .. } => Some((self.most(bound)?, false)),
            VarExtent::Ragged(_) => {
                // A slot: a group holds at most every tuple of the route.
                let via = self.stmt.via.as_ref()?;
                let mut sources =
                    via.sources.iter().map(|v| self.extent(v.index()).map(|(n, _)| n));
                let tuples = sources.try_fold(1i64, |all, n| all.checked_mul(n?))?;
                Some((tuples, false))
            }
        }
    }

    /// The most a size can be.
    fn most(&self, size: &Size) -> Option<i64> {
        self.program.most(size, self.bound)
    }
}

impl Program {
    /// The most a size can be, each `dyn` from 0 to its bound; `None` where that is not known at bind.
    pub fn most(&self, size: &Size, bound: &Bindings) -> Option<i64> {
        self.range(size, bound).and_then(|(_, most)| i64::try_from(most).ok())
    }

    fn range(&self, size: &Size, bound: &Bindings) -> Option<Range> {
        match size {
            Size::Dyn { of, .. } => Some((0, self.eval(&self.dyns[*of].bound, bound)?.into())),
            Size::Binary { op, lhs, rhs } => {
                let (a, b) = (self.range(lhs, bound)?, self.range(rhs, bound)?);
                let by_zero = matches!(op, BinOp::Div | BinOp::Rem) && b.0 <= 0 && 0 <= b.1;
                (!by_zero).then(|| combine(*op, a, b))
            }
            size => self.eval(size, bound).map(|v| (v.into(), v.into())),
        }
    }
}

/// What a comparison with such a number leaves of a range.
pub(super) fn within(op: CmpOp, (least, most): Range, other: Range) -> Range {
    match op {
        CmpOp::Lt => (least, most.min(other.1 - 1)),
        CmpOp::Le => (least, most.min(other.1)),
        CmpOp::Eq => (least.max(other.0), most.min(other.1)),
        CmpOp::Ge => (least.max(other.0), most),
        CmpOp::Gt => (least.max(other.0 + 1), most),
        CmpOp::Ne => (least, most),
    }
}

/// All values of the operation; no divisor is 0.
fn combine(op: BinOp, a: Range, b: Range) -> Range {
    let floor = |x: i128, y: i128| x.div_euclid(y) - i128::from(y < 0 && x.rem_euclid(y) != 0);
    let corners = |f: &dyn Fn(i128, i128) -> i128| {
        let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
        all.iter().fold((all[0], all[0]), |(least, most), v| (least.min(*v), most.max(*v)))
    };
    match op {
        BinOp::Add => (a.0 + b.0, a.1 + b.1),
        BinOp::Sub => (a.0 - b.1, a.1 - b.0),
        BinOp::Mul => corners(&|x, y| x.saturating_mul(y)),
        BinOp::Div => corners(&floor),
        BinOp::Rem if b.0 == b.1 && floor(a.0, b.0) == floor(a.1, b.0) => {
            let rest = |x: i128| x - floor(x, b.0) * b.0;
            (rest(a.0), rest(a.1))
        }
        BinOp::Rem if b.0 > 0 => (0, b.1 - 1),
        BinOp::Rem => (b.0 + 1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_all_values() {
        for op in [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Rem] {
            for (a, b) in
                [((-7, 5), (1, 3)), ((-9, -2), (4, 4)), ((0, 6), (-3, -2)), ((3, 5), (7, 7))]
            {
                let all = (a.0..=a.1).flat_map(|x| (b.0..=b.1).map(move |y| (x, y)));
                let all: Vec<i64> = all.filter_map(|(x, y)| op.apply(x, y)).collect();
                let wide = |(x, y): (i64, i64)| (i128::from(x), i128::from(y));
                let (least, most) = combine(op, wide(a), wide(b));
                assert!(
                    all.iter().all(|v| (least..=most).contains(&i128::from(*v))),
                    "{op:?} {a:?} {b:?}"
                );
                let ends = [all.iter().min(), all.iter().max()].map(|v| v.copied().map(i128::from));
                let exact = !matches!(op, BinOp::Rem) || b.0 == b.1 && a.0 / b.0 == a.1 / b.0;
                assert!(!exact || ends == [Some(least), Some(most)], "{op:?} {a:?} {b:?}");
            }
        }
    }
}
