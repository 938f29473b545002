//! The rows that a statement with a route carries, and between which ranks: read off the relation and the placements.

use super::digits::Digits;
use super::scope::{Scope, overflow};
use super::{Error, Inputs, Relation};
use crate::arena::Handle;
use crate::sema::hir::{
    Assign, Elem, Expr, ExprKind, Program, Reducer, SpreadKind, Tensor, Var, Via,
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are one row as far as the program says: what a position sends to its slots, each a copy of the others; or
/// the terms that it adds up, each of which may join a sum of those that lie beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The rank that each row comes from, and the one that it goes to.
    pub ends: &'a [(i64, i64)],
    /// Bytes of one of them, of what several of them cross as, and of what is written for it.
    pub row: i64,
    pub merged: i64,
    pub target: i64,
}

/// Visits all rows of a statement, those that are one together, by ascending positions. A copy comes from the nearest
/// of its holders. A value that joins rows of two tensors is visited once for each.
///
/// # Errors
/// Missing plans, counts and owners out of range, and places that a route and other variables decide together.
pub fn carried(
    program: &Program,
    stmt: &Assign,
    (inputs, plans): (&Inputs, &BTreeMap<String, Relation>),
    visit: &mut dyn FnMut(Carried),
) -> Result<(), Error> {
    let Some(via) = &stmt.via else { return Ok(()) };
    if stmt.value.is_of_plan() {
        return Ok(());
    }
    let made = BTreeMap::new();
    let scope = Scope { program, inputs, plans, made: &made };
    let rows = RowsOf { scope, stmt, via, relation: scope.plan(via.route)? };
    if !stmt.fetches() {
        return rows.pushed(visit);
    }
    let there = |index: &[Expr]| index.iter().any(|i| via.dests.iter().any(|d| i.mentions(*d)));
    for (tensor, index) in stmt.value.reads().into_iter().filter(|(_, index)| there(index)) {
        rows.fetched((tensor, index), visit)?;
    }
    Ok(())
}

/// Bytes of each rank's buffer of a tensor, to the end of its last group.
///
/// # Errors
/// Counts and owners that do not fit the placement.
pub fn buffers(
    program: &Program,
    tensor: Handle<Tensor>,
    (inputs, plans): (&Inputs, &BTreeMap<String, Relation>),
) -> Result<Vec<i64>, Error> {
    let made = BTreeMap::new();
    let scope = Scope { program, inputs, plans, made: &made };
    let tensor = &program.tensors[tensor];
    let bytes = |n: usize| n as i64 * tensor.dtype.elem.bytes();
    Ok(super::deal::lengths(&scope, tensor)?.into_iter().map(bytes).collect())
}

#[derive(Clone, Copy)]
struct RowsOf<'a> {
    scope: Scope<'a>,
    stmt: &'a Assign,
    via: &'a Via,
    relation: &'a Relation,
}

/// How rows become one: the variables whose values name it, and its bytes.
struct Merge {
    by: Vec<Handle<Var>>,
    row: Elem,
    merged: Elem,
    /// Of the rows with one name only the first moves.
    first: bool,
}

impl<'a> RowsOf<'a> {
    /// From where the value is to its slots: rows are one where the value computes with nothing that tells them apart.
    fn pushed(&self, visit: &mut dyn FnMut(Carried)) -> Result<(), Error> {
        let by = self.joined().filter(|v| self.stmt.value.mentions(*v)).collect();
        let elem = self.scope.program.tensors[self.stmt.target].dtype.elem;
        let merge = Merge { by, row: elem, merged: elem, first: false };
        let from = match self.stmt.value.reads().first() {
            Some((tensor, index)) => End::new(&self.scope, *tensor, index)?,
            None => self.index()?,
        };
        let elements: Vec<_> =
            self.free().filter(|v| self.stmt.index.iter().any(|i| i.mentions(*v))).collect();
        self.visit((&from, &elements), &merge, visit)
    }

    /// From the other side of the route to a position: the terms of a sum are one, other rows where they lie at one place.
    fn fetched(
        &self,
        (tensor, index): (Handle<Tensor>, &'a [Expr]),
        visit: &mut dyn FnMut(Carried),
    ) -> Result<(), Error> {
        let reducer = self.stmt.gathers();
        let over = |v: &Handle<Var>| reduces(&self.stmt.value, *v);
        let by = match reducer {
            Some(_) => self.via.sources.iter().copied().filter(|v| !over(v)).collect(),
            None => self.joined().filter(|v| index.iter().any(|i| i.mentions(*v))).collect(),
        };
        let row = self.scope.program.tensors[tensor].dtype.elem;
        let merged = partial(&self.stmt.value, tensor).unwrap_or(row);
        let merge = Merge { by, row, merged, first: reducer == Some(Reducer::First) };
        let from = End::new(&self.scope, tensor, index)?;
        let elements: Vec<_> =
            self.free().filter(|v| index.iter().any(|i| i.mentions(*v))).collect();
        self.visit((&from, &elements), &merge, visit)
    }

    fn joined(&self) -> impl Iterator<Item = Handle<Var>> + use<'a> {
        self.via.sources.iter().chain(&self.via.dests).copied()
    }

    fn free(&self) -> impl Iterator<Item = Handle<Var>> + use<'a> {
        let via = self.via;
        let joined = move |v: &Handle<Var>| via.sources.contains(v) || via.dests.contains(v);
        self.stmt.vars.iter().map(|(v, _)| v).filter(move |v| !joined(v))
    }

    /// Where the first tensor lies that the route reads: whose tuples these are. Its sources are numbered as the
    /// statement's are by the join.
    fn index(&self) -> Result<End<'a>, Error> {
        let route = &self.scope.program.routes[self.via.route];
        let reads = route.steps.iter().filter_map(|s| s.value()).flat_map(Expr::reads);
        let by_sources = |(_, index): &(Handle<Tensor>, &[Expr])| {
            route.sources.iter().any(|s| index.iter().any(|i| i.mentions(*s)))
        };
        let (tensor, index) = reads.into_iter().find(by_sources).ok_or_else(|| {
            Error::Unsupported("rows of a route that reads nothing of its sources".into())
        })?;
        Ok(End { of_route: true, ..End::new(&self.scope, tensor, index)? })
    }

    fn visit(
        &self,
        (from, elements): (&End, &[Handle<Var>]),
        merge: &Merge,
        visit: &mut dyn FnMut(Carried),
    ) -> Result<(), Error> {
        let to = End::new(&self.scope, self.stmt.target, &self.stmt.index)?;
        let classes = self.classes((from, &to), elements)?;
        let names: Vec<usize> =
            merge.by.iter().filter_map(|v| self.joined().position(|j| j == *v)).collect();
        let order = self.order(&names);
        let tuples = &self.relation.tuples;
        let tuple = |i: usize| &tuples[order.as_ref().map_or(i, |o| o[i])];
        let same = |a: usize, b: usize| names.iter().all(|n| tuple(a)[*n] == tuple(b)[*n]);
        let (mut at, mut bases, mut ends) = (0, Vec::new(), Vec::new());
        let target = self.scope.program.tensors[self.stmt.target].dtype.elem;
        let mut values = Values::new(self);
        while at < tuples.len() {
            let mut end = at;
            bases.clear();
            while end < tuples.len() && same(at, end) {
                values.set(self, tuple(end));
                end += 1;
                if merge.first && !bases.is_empty() || !self.assigns(&values)? {
                    continue;
                }
                bases.push((self.base(from, &values)?, self.base(&to, &values)?));
            }
            at = end;
            for class in &classes {
                ends.clear();
                for (a, b) in &bases {
                    ends_of((from, a + class.from), (&to, b + class.to), &mut ends);
                }
                if !ends.is_empty() {
                    let bytes = |elem: Elem| class.elements.saturating_mul(elem.bytes());
                    let (row, merged) = (bytes(merge.row), bytes(merge.merged));
                    visit(Carried { ends: &ends, row, merged, target: bytes(target) });
                }
            }
        }
        Ok(())
    }

    /// The tuples by their names, if they are not yet.
    fn order(&self, names: &[usize]) -> Option<Vec<usize>> {
        let tuples = &self.relation.tuples;
        let name = |i: usize| names.iter().map(move |n| tuples[i][*n]);
        if (1..tuples.len()).all(|i| name(i - 1).le(name(i))) {
            return None;
        }
        let mut order: Vec<usize> = (0..tuples.len()).collect();
        order.sort_by(|a, b| name(*a).cmp(name(*b)));
        Some(order)
    }

    fn assigns(&self, values: &Values) -> Result<bool, Error> {
        match &self.stmt.filter {
            Some(filter) => filter.holds(&mut |e| self.scope.compared(e, &values.stmt)),
            None => Ok(true),
        }
    }

    /// What the route's variables say of the rank.
    fn base(&self, end: &End, values: &Values) -> Result<i64, Error> {
        let values = if end.of_route { &values.route } else { &values.stmt };
        let mut rank = 0;
        for axis in end.axes.iter().filter(|a| end.of_route || !self.is_free(a.index)) {
            rank += axis.part(&self.scope, values)?;
        }
        Ok(rank)
    }

    fn is_free(&self, index: &Expr) -> bool {
        self.free().any(|v| index.mentions(v))
    }

    /// The other variables that say where a row lies, in all their values: what they add to both ranks, and how many
    /// elements there are of it.
    fn classes(
        &self,
        (from, to): (&End, &End),
        elements: &[Handle<Var>],
    ) -> Result<Vec<Class>, Error> {
        let axes = [from, to].into_iter().filter(|e| !e.of_route).flat_map(|e| &e.axes);
        let axes: Vec<&Axis> = axes.filter(|a| self.is_free(a.index)).collect();
        if axes.iter().any(|a| self.joined().any(|v| a.index.mentions(v))) {
            return Err(Error::Unsupported(
                "rows whose rank a route and another variable decide".into(),
            ));
        }
        let vars: Vec<_> =
            self.free().filter(|v| axes.iter().any(|a| a.index.mentions(*v))).collect();
        let mut others = 1i64;
        for var in elements.iter().filter(|v| !vars.contains(v)) {
            others = others.checked_mul(self.extent(*var)?).ok_or_else(overflow)?;
        }
        let (mut found, mut values) = (BTreeMap::<_, BTreeSet<Vec<i64>>>::new(), Values::new(self));
        self.each(&vars, &mut values.stmt, &mut |values| {
            let rank = |end: &End| -> Result<i64, Error> {
                let own = end.axes.iter().filter(|a| !end.of_route && self.is_free(a.index));
                own.map(|a| a.part(&self.scope, values)).sum()
            };
            let element = vars.iter().filter(|v| elements.contains(v)).map(|v| values[v.index()]);
            found.entry((rank(from)?, rank(to)?)).or_default().insert(element.collect());
            Ok(())
        })?;
        let class = |((from, to), own): ((i64, i64), BTreeSet<Vec<i64>>)| Class {
            from,
            to,
            elements: others.saturating_mul(own.len() as i64),
        };
        Ok(found.into_iter().map(class).collect())
    }

    fn extent(&self, var: Handle<Var>) -> Result<i64, Error> {
        self.scope.inputs.extent(self.scope.program, &self.stmt.vars[var].extent, &[])
    }

    fn each(
        &self,
        vars: &[Handle<Var>],
        values: &mut Vec<i64>,
        visit: &mut dyn FnMut(&[i64]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [var, inner @ ..] = vars else { return visit(values) };
        for value in 0..self.extent(*var)? {
            values[var.index()] = value;
            self.each(inner, values, visit)?;
        }
        Ok(())
    }
}

/// Values of the variables of a statement, and of those of its route.
struct Values {
    stmt: Vec<i64>,
    route: Vec<i64>,
}

impl Values {
    fn new(of: &RowsOf) -> Values {
        let route = &of.scope.program.routes[of.via.route];
        Values { stmt: vec![0; of.stmt.vars.len()], route: vec![0; route.vars.len()] }
    }

    fn set(&mut self, of: &RowsOf, tuple: &[i64]) {
        let route = &of.scope.program.routes[of.via.route];
        of.joined().zip(tuple).for_each(|(v, x)| self.stmt[v.index()] = *x);
        let joined = route.sources.iter().chain(&route.dests);
        joined.zip(tuple).for_each(|(v, x)| self.route[v.index()] = *x);
    }
}

/// Elements of a row that are together on both sides.
struct Class {
    from: i64,
    to: i64,
    elements: i64,
}

/// Where one side of a row lies.
struct End<'a> {
    /// The axes that are on a mesh.
    axes: Vec<Axis<'a>>,
    /// What copies and single places add to the rank, of each part of a sum.
    parts: Vec<Vec<i64>>,
    first: i64,
    /// (weight, size) of the mesh axes of copies.
    copies: Vec<(i64, i64)>,
    /// Its indices are of variables of the route.
    of_route: bool,
}

struct Axis<'a> {
    index: &'a Expr,
    /// What each coordinate adds to the rank.
    ranks: Vec<i64>,
}

impl Axis<'_> {
    fn part(&self, scope: &Scope, values: &[i64]) -> Result<i64, Error> {
        let at = scope.int(self.index, values)?;
        let rank = at.and_then(|at| self.ranks.get(usize::try_from(at).ok()?));
        rank.copied().ok_or_else(|| Error::Shape(format!("no rank has a row at {at:?}")))
    }
}

impl<'a> End<'a> {
    fn new(scope: &Scope<'a>, tensor: Handle<Tensor>, index: &'a [Expr]) -> Result<End<'a>, Error> {
        let tensor = &scope.program.tensors[tensor];
        let digits = Digits::new(scope, tensor)?;
        let mut axes = Vec::new();
        for (axis, index) in index.iter().enumerate().filter(|(axis, _)| digits.on_mesh(*axis)) {
            let ranks = (0..digits.capacity(axis)?).map(|at| digits.part(axis, at).map(|p| p.rank));
            axes.push(Axis { index, ranks: ranks.collect::<Result<_, _>>()? });
        }
        let parts = scope.inputs.parts(scope.program, tensor)?.unwrap_or(1);
        let mut copies = Vec::new();
        for spread in tensor.spread.iter().filter(|s| matches!(s.kind, SpreadKind::Copy)) {
            copies.push((digits.weight(spread.mesh)?, digits.axis_size(spread.mesh)?));
        }
        let parts = (0..parts).map(|part| digits.holders(part)).collect::<Result<_, _>>()?;
        Ok(End { axes, parts, first: digits.first, copies, of_route: false })
    }

    /// Of the holders of a copy the one at a rank's own coordinates, or the first.
    fn nearest(&self, base: i64, holders: &[i64], to: i64) -> Option<i64> {
        let own = |rank: i64, (weight, size): &(i64, i64)| (rank - self.first) / weight % size;
        let beside = |rank: &i64| self.copies.iter().all(|c| own(*rank, c) == own(to, c));
        let mut ranks = holders.iter().map(|h| base + h);
        let all = ranks.clone();
        all.clone().find(|r| *r == to).or_else(|| all.clone().find(beside)).or_else(|| ranks.next())
    }
}

/// From each part to each copy.
fn ends_of((from, a): (&End, i64), (to, b): (&End, i64), out: &mut Vec<(i64, i64)>) {
    for to in to.parts.iter().flatten().map(|holder| b + holder) {
        out.extend(
            from.parts.iter().filter_map(|holders| Some((from.nearest(a, holders, to)?, to))),
        );
    }
}

/// Whether a reducer of the value runs over a variable.
fn reduces(value: &Expr, var: Handle<Var>) -> bool {
    value.reduced_by(&|v| *v == var).is_some()
}

/// What sums of the rows of a tensor are rounded to before they cross.
fn partial(value: &Expr, rows: Handle<Tensor>) -> Option<Elem> {
    match &value.kind {
        ExprKind::Reduce { within: Some(within), .. } if within.rows == rows => {
            Some(within.partial)
        }
        ExprKind::Reduce { body: inner, .. } | ExprKind::Cast(inner) => partial(inner, rows),
        ExprKind::Binary { lhs, rhs, .. } => partial(lhs, rows).or_else(|| partial(rhs, rows)),
        _ => None,
    }
}
