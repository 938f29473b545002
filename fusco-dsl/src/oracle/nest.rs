//! The loop nest of a statement: which rows it has, whatever is done there.

use super::relation::walk;
use super::row::{Lane, Routed, Terms};
use super::scope::{Scope, mentions, names};
use super::{Error, Relation};
use crate::arena::Handle;
use crate::sema::hir::{Assign, Expr, ExprKind, Size, Var, VarExtent, Via};
use std::collections::{BTreeMap, BTreeSet};

/// One statement in one entry.
#[derive(Clone, Copy)]
pub(super) struct Nest<'a> {
    pub scope: Scope<'a>,
    pub stmt: &'a Assign,
}

/// What a statement does at one row: the variable along it, the terms of a sum over the route, and the
/// values of all other variables.
pub(super) type Visit<'v> = dyn FnMut(Lane, Terms, &mut [i64]) -> Result<(), Error> + 'v;

/// Told how many parts of a statement are done, of how many.
pub(super) type Parts<'w> = dyn FnMut(usize, usize) + 'w;

impl Nest<'_> {
    /// Visits every row of the statement once, in the order of its variables; tells of its outermost loop.
    pub fn run(&self, visit: &mut Visit, watch: &mut Parts) -> Result<(), Error> {
        let mut summed = Vec::new();
        sums(&self.stmt.value, &mut summed);
        let mut values = vec![0; self.stmt.vars.len()];
        let Some(via) = &self.stmt.via else {
            let mut free = self.free(&summed, &[]);
            self.lane_last(&mut free);
            let [var, inner @ ..] = &free[..] else { return visit(None, None, &mut values) };
            if inner.is_empty() {
                return self.nest(&free, None, &mut values, visit);
            }
            let all = self.extent(*var, &values)?;
            for value in 0..all {
                watch(value as usize, all as usize);
                values[var.index()] = value;
                self.nest(inner, None, &mut values, visit)?;
            }
            return Ok(());
        };
        let relation = self.scope.plan(via.route)?;
        let joined: Vec<_> = via.sources.iter().chain(&via.dests).copied().collect();
        let free = self.free(&summed, &joined);
        match via.sources.iter().position(|v| summed.contains(v)) {
            Some(k) => self.reduce((via, relation, k), &free, &mut values, (visit, watch))?,
            None => {
                for (i, tuple) in relation.tuples.iter().enumerate() {
                    watch(i, relation.tuples.len());
                    joined.iter().zip(tuple).for_each(|(v, x)| values[v.index()] = *x);
                    self.nest(&free, None, &mut values, visit)?;
                }
            }
        }
        Ok(())
    }

    /// A sum over source `k` of the route: for each position of the other sources, its kept tuples.
    fn reduce(
        &self,
        (via, relation, k): (&Via, &Relation, usize),
        free: &[Handle<Var>],
        values: &mut Vec<i64>,
        (visit, watch): (&mut Visit, &mut Parts),
    ) -> Result<(), Error> {
        let unbound: Vec<_> = via.dests.iter().chain([&via.sources[k]]).copied().collect();
        if self.stmt.index.iter().any(|i| unbound.iter().any(|v| mentions(i, *v))) {
            return Err(Error::Unsupported("a sum into a coordinate of what it sums".into()));
        }
        let route = &self.scope.program.routes[via.route];
        let mut groups: BTreeMap<Vec<i64>, Vec<i64>> = BTreeMap::new();
        walk(&self.scope, route, Some(k), &mut Vec::new(), &mut |at| {
            groups.insert(at.to_vec(), Vec::new());
        })?;
        let dests = via.sources.len();
        let bound = via.dests.iter().chain([&via.sources[k]]).map(|v| v.index());
        let bound: Vec<usize> = bound.collect();
        for tuple in relation.tuples.iter() {
            let mut at = tuple[..dests].to_vec();
            at[k] = 0;
            let terms = groups.entry(at).or_default();
            terms.extend_from_slice(&tuple[dests..]);
            terms.push(tuple[k]);
        }
        for (i, (at, values_of)) in groups.iter().enumerate() {
            watch(i, groups.len());
            let terms = Routed { var: via.sources[k], bound: &bound, values: values_of };
            via.sources.iter().zip(at).for_each(|(v, x)| values[v.index()] = *x);
            self.nest(free, Some(terms), values, visit)?;
        }
        Ok(())
    }

    /// Variables that neither the route nor a sum binds, in order.
    fn free(&self, summed: &[Handle<Var>], joined: &[Handle<Var>]) -> Vec<Handle<Var>> {
        let vars = self.stmt.vars.iter().map(|(h, _)| h);
        vars.filter(|h| !summed.contains(h) && !joined.contains(h)).collect()
    }

    /// Rows run along the target's last axis, where that variable can be the last.
    fn lane_last(&self, free: &mut Vec<Handle<Var>>) {
        let Some(ExprKind::Var(lane)) = self.stmt.index.last().map(|e| &e.kind) else { return };
        let names_lane = |v: &Handle<Var>| self.size(*v).is_none_or(|s| names(s, lane.index()));
        if free.contains(lane) && !free.iter().any(names_lane) {
            free.retain(|v| v != lane);
            free.push(*lane);
        }
    }

    /// The extent of a variable; `None` if a route decides it.
    fn size(&self, var: Handle<Var>) -> Option<&Size> {
        match &self.stmt.vars[var].extent {
            VarExtent::Fixed(size) | VarExtent::Counted { rows: size, .. } => Some(size),
            VarExtent::Ragged(_) => None,
        }
    }

    /// Loops over the free variables; the last one is the row's, unless a sum is as long as it says.
    fn nest(
        &self,
        free: &[Handle<Var>],
        terms: Terms,
        values: &mut Vec<i64>,
        visit: &mut Visit,
    ) -> Result<(), Error> {
        match free {
            [] => visit(None, terms, values),
            [lane] => {
                let extent = self.extent(*lane, values)?;
                let counts = |v| self.size(v).is_some_and(|s| names(s, lane.index()));
                match usize::try_from(extent) {
                    Ok(0) | Err(_) => Ok(()),
                    Ok(_)
                        if self.stmt.filter.is_some()
                            || self.may_be_absent()
                            || self.stmt.vars.iter().any(|(v, _)| counts(v)) =>
                    {
                        for value in 0..extent {
                            values[lane.index()] = value;
                            visit(None, terms, values)?;
                        }
                        Ok(())
                    }
                    Ok(n) => visit(Some((*lane, n)), terms, values),
                }
            }
            [var, inner @ ..] => {
                for value in 0..self.extent(*var, values)? {
                    values[var.index()] = value;
                    self.nest(inner, terms, values, visit)?;
                }
                Ok(())
            }
        }
    }

    /// Whether an index of the statement may be none: then each element is there or not by itself.
    fn may_be_absent(&self) -> bool {
        let mut lists = vec![&self.stmt.index[..]];
        reads(&self.stmt.value, &mut lists);
        let mut tensors = BTreeSet::new();
        lists.into_iter().flatten().for_each(|i| i.tensors(&mut tensors));
        let tensors = tensors.into_iter().map(|t| &self.scope.program.tensors[t]);
        tensors.into_iter().any(|t| t.dtype.index.as_ref().is_some_and(|i| i.none.is_some()))
    }

    /// Whether the statement assigns where its variables have these values.
    pub fn assigns(&self, values: &[i64]) -> Result<bool, Error> {
        match &self.stmt.filter {
            Some(filter) => filter.holds(&mut |e| self.scope.compared(e, values)),
            None => Ok(true),
        }
    }

    pub fn extent(&self, var: Handle<Var>, values: &[i64]) -> Result<i64, Error> {
        let scope = &self.scope;
        match &self.stmt.vars[var].extent {
            VarExtent::Fixed(size) => scope.inputs.size(scope.program, size, values),
            VarExtent::Counted { rows, bound } => {
                scope.inputs.counted(scope.program, (rows, bound), values)
            }
            VarExtent::Ragged(route) => {
                let group = self.group(var).map(|g| values[g.index()]);
                let live = &scope.plan(*route)?.live;
                group
                    .and_then(|g| live.get(usize::try_from(g).ok()?))
                    .copied()
                    .ok_or_else(|| Error::Unsupported("a ragged variable without a group".into()))
            }
        }
    }

    /// The variable of the axis before the one that a slot variable indexes.
    fn group(&self, slot: Handle<Var>) -> Option<Handle<Var>> {
        let mut lists = vec![&self.stmt.index[..]];
        reads(&self.stmt.value, &mut lists);
        lists.iter().flat_map(|l| l.windows(2)).find_map(|w| match (&w[0].kind, &w[1].kind) {
            (ExprKind::Var(group), ExprKind::Var(v)) if *v == slot => Some(*group),
            _ => None,
        })
    }
}

fn sums(expr: &Expr, out: &mut Vec<Handle<Var>>) {
    match &expr.kind {
        ExprKind::Reduce { over, body, .. } => {
            out.extend(over);
            sums(body, out);
        }
        ExprKind::Cast(inner) => sums(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            sums(lhs, out);
            sums(rhs, out);
        }
        _ => {}
    }
}

fn reads<'e>(expr: &'e Expr, out: &mut Vec<&'e [Expr]>) {
    match &expr.kind {
        ExprKind::Read { index, .. } => out.push(index),
        ExprKind::Reduce { body, .. } => reads(body, out),
        ExprKind::Cast(inner) => reads(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            reads(lhs, out);
            reads(rhs, out);
        }
        _ => {}
    }
}
