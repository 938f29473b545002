//! The body of a route to what a rank reads of each tuple: elements of its own tensors, in order, and integers of them.

use super::address::Addresses;
use super::arith::{cut, ix_op, plus, times};
use super::ir::*;
use crate::arena::Handle;
use crate::layout::Home;
use crate::plan::Coord;
use crate::sema::hir::{self, BinOp, ExprKind, OrElse, Program, Scalar, Step};
use std::collections::BTreeMap;

struct Walk<'a, 'p> {
    at: &'a mut Addresses<'p>,
    handle: Handle<hir::Route>,
    route: &'p hir::Route,
    /// Names bound so far.
    values: BTreeMap<Handle<hir::Var>, Ix>,
    lookups: Vec<Lookup>,
    /// What must hold before the next element is read.
    guards: Vec<Guard>,
    trap: bool,
}

/// Reads the body of each route into what names the group of a tuple.
pub(super) fn declare<'p>(at: &mut Addresses<'p>, program: &'p Program) {
    program.routes.iter().for_each(|(handle, route)| body(at, handle, route));
}

fn body<'p>(at: &mut Addresses<'p>, handle: Handle<hir::Route>, route: &'p hir::Route) {
    let (values, lookups, guards) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut walk = Walk { at, handle, route, values, lookups, guards, trap: false };
    let mut group = Ix::Lit(0);
    for step in &route.steps {
        let Step::Bind { var, value, orelse, .. } = step else { continue };
        walk.trap = *orelse == Some(OrElse::Trap);
        let number = walk.number(value, Some(&route.vars[*var].name));
        if *var == route.dests[0] {
            group = number.clone();
        }
        walk.values.insert(*var, number);
    }
    let Walk { at, lookups, mut guards, .. } = walk;
    // That the group is one is seen to where it is counted.
    if let (Some(last), Some(Guard::Valid { value, .. })) = (lookups.last(), guards.last())
        && *value == group
        && group == Ix::Var(last.var)
    {
        guards.pop();
    }
    let to = at.route_mut(handle);
    (to.lookups, to.guards, to.group) = (lookups, guards, group);
}

impl Walk<'_, '_> {
    /// Below the limit, or the launch fails.
    fn below(&mut self, tensor: Handle<Tensor>, value: &Ix, limit: i64) {
        let known = |g: &Guard| matches!(g, Guard::Valid { value: v, limit: l, .. } if v == value && *l <= limit);
        if !self.lookups.iter().flat_map(|l| &l.guards).chain(&self.guards).any(known) {
            self.guards.push(Guard::Valid { tensor, value: value.clone(), limit });
        }
    }

    fn number(&mut self, e: &hir::Expr, name: Option<&str>) -> Ix {
        match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Ix::Lit(*v),
            ExprKind::Size(size) => self.at.bound_size(size),
            ExprKind::Var(v) => match self.route.sources.iter().position(|s| s == v) {
                Some(source) => self.at.coord(self.handle, Coord::Source(source)),
                None => self.values.get(v).cloned().unwrap_or(Ix::Lit(0)),
            },
            ExprKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.number(lhs, None), self.number(rhs, None));
                if matches!(op, BinOp::Div | BinOp::Rem) && !matches!(b, Ix::Lit(_)) {
                    self.guards.push(Guard::NonZero { value: b.clone() });
                }
                Ix::binary(ix_op(*op), a, b)
            }
            ExprKind::Read { tensor, index } => self.read(*tensor, index, name),
            _ => Ix::Lit(0),
        }
    }

    fn read(&mut self, tensor: Handle<hir::Tensor>, index: &[hir::Expr], name: Option<&str>) -> Ix {
        let source = |i: &hir::Expr| match i.kind {
            ExprKind::Var(v) => self.route.sources.iter().position(|s| *s == v),
            _ => None,
        };
        let sources: Vec<Option<usize>> = index.iter().map(source).collect();
        let table = self.at.table_of(tensor);
        let coords: Vec<_> = sources.iter().map(|s| s.map(Coord::Source)).collect();
        let mut at = self.at.by_sources(self.handle, table, &coords, 1);
        let of = self.at.tensor(tensor);
        for (axis, i) in index.iter().enumerate().filter(|(axis, _)| sources[*axis].is_none()) {
            let value = self.number(i, None);
            let limit = self.at.axis_bound(tensor, axis);
            self.below(of, &value, limit);
            for digit in table.digits.iter().filter(|d| d.axis == axis && d.radix.bound() > 1) {
                let Home::Memory { stride } = digit.home else { continue };
                let digit_value =
                    cut(value.clone(), digit.weight, digit.radix.bound(), table.is_top(digit));
                at = plus(at, times(digit_value, stride));
            }
        }
        let var = self.at.var(name.unwrap_or(&format!("{}_", table.name)));
        let index = self.at.index_type(tensor);
        let guards = std::mem::take(&mut self.guards);
        let none = index.and_then(|(_, none)| none);
        self.lookups.push(Lookup { var, tensor: of, at, guards, none, trap: self.trap });
        match index {
            Some((limit, _)) => self.below(of, &Ix::Var(var), limit),
            None => self.at.signed(var),
        }
        Ix::Var(var)
    }
}
