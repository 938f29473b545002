//! One statement read backwards: the same relation, from the output's gradient to the input's.

use super::linear::Linear;
use super::pass::{Found, Pass};
use super::tree;
use crate::sema::checker::unsupported;
use crate::source::Span;
use crate::syntax::ast::{Assign, Decl, Expr, ExprKind, Ident, Io, Tensor};
use std::borrow::Cow;

/// A generated statement, and the tensors whose gradients it reads and writes.
pub(super) struct Reversed {
    pub assign: Assign,
    pub output: Tensor,
    pub input: Tensor,
    /// Elements of the input's gradient that no tuple reaches are 0.
    pub fill: bool,
}

impl Pass<'_> {
    /// `Y[f(v)] <- E(X[g(v)]) via r` gives `grad_X[g(v)] <- E'(grad_Y[f(v)]) via r`, where E' sums over the
    /// sources of r, or without it the variables, that the left side does not name; `None` if the statement has no adjoint.
    pub(super) fn statement(
        &mut self,
        a: &Assign,
        input: Option<&Ident>,
        at: Span,
    ) -> Found<Option<Reversed>> {
        let Some(linear) = self.linear(a, input)? else { return Ok(None) };
        if linear.output.io == Io::InOut {
            return self
                .fail(unsupported(a.span, "the adjoint of a statement that updates an `inout`"));
        }
        let left = self.variables(linear.index)?;
        let right = self.variables(&a.targets[0].index)?;
        // What is added to a sum is its position's own: no route leads back.
        let via = a.via.as_ref().filter(|_| linear.routed);
        let (sources, dests) = if via.is_some() { self.route(a) } else { Default::default() };
        let has = |v: &String| left.contains(&v.as_str());
        let by_slot = !dests.is_empty() && dests.iter().all(has);
        let summed: Vec<&str> = match via {
            Some(_) => {
                let routed = [&sources[..], &dests[..]].concat();
                self.no_broadcast(a, &linear, &left, right, &routed, at)?;
                sources.iter().filter(|v| !by_slot && !has(v)).map(String::as_str).collect()
            }
            None => gathered(a, &linear, &left, right),
        };
        self.condition_outside(a, &summed)?;
        let assign = Assign {
            targets: vec![tree::target(&linear.input.name.name, linear.index, at)],
            tuple: false,
            value: value(&linear, &a.targets[0].index, &summed, at),
            via: via.map(|r| tree::ident(&r.name, at)),
            filter: a.filter.as_ref().map(|f| tree::expr(f, at)),
            span: at,
        };
        let fill = dests.iter().any(has) || a.filter.is_some();
        Ok(Some(Reversed { assign, fill, output: linear.output, input: linear.input }))
    }

    /// The indices as distinct names.
    fn variables<'e>(&mut self, index: &'e [Expr]) -> Found<Vec<&'e str>> {
        let mut out = Vec::new();
        for e in index {
            match e.as_name() {
                Some(name) if !out.contains(&name) => out.push(name),
                Some(_) => return self.fail(unsupported(e.span, "the adjoint of a diagonal")),
                None => {
                    let what = "the adjoint of an index that is not a variable";
                    return self.fail(unsupported(e.span, what));
                }
            }
        }
        Ok(out)
    }

    /// A variable outside the route that the input does not have: its adjoint would sum over an axis.
    fn no_broadcast(
        &mut self,
        a: &Assign,
        linear: &Linear,
        left: &[&str],
        right: Vec<&str>,
        routed: &[String],
        at: Span,
    ) -> Found<()> {
        let missing = |v: &&str| !left.contains(v) && !routed.iter().any(|r| r == v);
        let Some(var) = right.into_iter().find(missing) else { return Ok(()) };
        let what = format!(
            "`grad_{}` is a sum over the axis `{var}` of `{}`",
            linear.input.name.name, a.targets[0].name.name
        );
        self.fail(unsupported(at, what).related(a.span, "the statement read backwards"))
    }

    /// The reversed statement has the same condition, which no reducer gives the values of its variables.
    fn condition_outside(&mut self, a: &Assign, summed: &[&str]) -> Found<()> {
        let Some(filter) = &a.filter else { return Ok(()) };
        let mut used = Vec::new();
        names(filter, &mut used);
        let Some(var) = summed.iter().find(|v| used.contains(v)) else { return Ok(()) };
        let what =
            format!("the adjoint of a condition on `{var}`, over which the gradient is summed");
        self.fail(unsupported(filter.span, what))
    }

    /// Sources and destinations of the statement's route; none without one.
    pub(super) fn route(&self, a: &Assign) -> (Vec<String>, Vec<String>) {
        let via = a.via.as_ref().map(|v| v.name.as_str());
        let route = self.program.decls.iter().find_map(|d| match d {
            Decl::Route(r) if Some(r.name.name.as_str()) == via => Some(r),
            _ => None,
        });
        let names = |list: &[Ident]| list.iter().map(|i| i.name.clone()).collect();
        route.map_or((Vec::new(), Vec::new()), |r| (names(&r.sources), names(&r.dests)))
    }
}

/// Without a route: what the target and the other factors are read at and the input is not, whether the left
/// side names it or a reducer does.
fn gathered<'a>(
    a: &'a Assign,
    linear: &'a Linear,
    left: &[&str],
    right: Vec<&'a str>,
) -> Vec<&'a str> {
    let others = linear.factors.iter().enumerate().filter(|(i, _)| *i != linear.at);
    let mut named = right.clone();
    others.for_each(|(_, e)| names(e, &mut named));
    let mut known = right;
    binders(&a.value, &mut known);
    let mut out: Vec<&str> = Vec::new();
    for v in known {
        if named.contains(&v) && !left.contains(&v) && !out.contains(&v) {
            out.push(v);
        }
    }
    out
}

/// Every name in the indices of a factor.
fn names<'e>(e: &'e Expr, out: &mut Vec<&'e str>) {
    match &e.kind {
        ExprKind::Name(name) => out.push(name),
        ExprKind::Index { args, .. } => args.iter().for_each(|a| names(a, out)),
        ExprKind::Binary { lhs, rhs, .. } => {
            names(lhs, out);
            names(rhs, out);
        }
        ExprKind::Neg(inner) => names(inner, out),
        _ => {}
    }
}

/// Every variable that a reducer of the value has.
fn binders<'e>(e: &'e Expr, out: &mut Vec<&'e str>) {
    match &e.kind {
        ExprKind::Binary { lhs, rhs, .. } => {
            binders(lhs, out);
            binders(rhs, out);
        }
        ExprKind::Neg(inner) => binders(inner, out),
        ExprKind::Call { args, .. } => {
            for arg in args {
                out.extend(arg.binder.iter().flatten().map(|name| name.name.as_str()));
                binders(&arg.value, out);
            }
        }
        _ => {}
    }
}

/// The product with the output's gradient in the input's place, summed and rounded to the input's type.
fn value(linear: &Linear, index: &[Expr], summed: &[&str], at: Span) -> Expr {
    let cotangent = tree::read(&linear.output.name.name, index, at);
    let factor = |(i, e): (usize, &Cow<Expr>)| {
        if i == linear.at { cotangent.clone() } else { tree::expr(e, at) }
    };
    let factors: Vec<Expr> = linear.factors.iter().enumerate().map(factor).collect();
    let scaled = factors.len() > 1;
    let mut value = tree::product(factors, at).unwrap_or(cotangent);
    let mut elem = linear.output.dtype.name.name.as_str();
    if !summed.is_empty() {
        value = tree::sum(summed, value, at);
        elem = "f32";
    }
    let to = linear.input.dtype.name.name.as_str();
    // A product outside a sum says where it is rounded.
    let rounds = elem != to || (scaled && summed.is_empty());
    if rounds { tree::cast(to, value, at) } else { value }
}
