//! Generated parts of the tree, all at one span.

use crate::source::Span;
use crate::syntax::ast::{
    Arg, Assign, Dim, Expr, ExprKind, Extent, Ident, Io, Op, Placement, Ref, Tensor, Term, Word,
};

/// What the adjoint calls the gradient of a tensor.
pub(super) fn grad(name: &str) -> String {
    format!("grad_{name}")
}

/// The gradient's declaration: type, axes and placement of the tensor. Every part of a `sum` has the
/// gradient of the whole, so `sum/m` becomes `copy/m`.
pub(super) fn cotangent(of: &Tensor, io: Io, fill: bool, at: Span) -> Tensor {
    let mut attrs: Vec<Word> =
        of.attrs.iter().filter(|a| a.name.name != "fill").map(|a| word(a, at)).collect();
    if fill {
        let zero =
            Arg { binder: None, named: None, value: Expr { kind: ExprKind::Int(0), span: at } };
        attrs.push(Word { name: ident("fill", at), args: Some(vec![zero]), span: at });
    }
    Tensor {
        docs: vec![format!("Gradient of `{}`.", of.name.name)],
        io,
        io_span: at,
        name: ident(&grad(&of.name.name), at),
        dtype: word(&of.dtype, at),
        dims: of.dims.iter().map(|d| dim(d, at)).collect(),
        placement: of.placement.as_ref().map(|p| placement(p, at)),
        attrs,
        span: at,
    }
}

pub(super) fn ident(name: &str, at: Span) -> Ident {
    Ident { name: name.to_string(), span: at }
}

pub(super) fn name(name: &str, at: Span) -> Expr {
    Expr { kind: ExprKind::Name(name.to_string()), span: at }
}

/// `grad_x[index]` as a target.
pub(super) fn target(of: &str, index: &[Expr], at: Span) -> Ref {
    Ref { name: ident(&grad(of), at), index: exprs(index, at), span: at }
}

/// `grad_x[index]` as a value.
pub(super) fn read(of: &str, index: &[Expr], at: Span) -> Expr {
    let kind = ExprKind::Index { base: Box::new(name(&grad(of), at)), args: exprs(index, at) };
    Expr { kind, span: at }
}

/// The same statement at another span.
pub(super) fn statement(a: &Assign, at: Span) -> Assign {
    let target =
        |t: &Ref| Ref { name: ident(&t.name.name, at), index: exprs(&t.index, at), span: at };
    Assign {
        targets: a.targets.iter().map(target).collect(),
        tuple: a.tuple,
        value: expr(&a.value, at),
        via: a.via.as_ref().map(|r| ident(&r.name, at)),
        filter: a.filter.as_ref().map(|f| expr(f, at)),
        span: at,
    }
}

/// The product, left to right.
pub(super) fn product(factors: Vec<Expr>, at: Span) -> Option<Expr> {
    factors.into_iter().reduce(|lhs, rhs| {
        let kind = ExprKind::Binary { op: Op::Mul, lhs: Box::new(lhs), rhs: Box::new(rhs) };
        Expr { kind, span: at }
    })
}

/// `sum(k: body)`.
pub(super) fn sum(vars: &[&str], body: Expr, at: Span) -> Expr {
    let binder = Some(vars.iter().map(|v| ident(v, at)).collect());
    call("sum", vec![Arg { binder, named: None, value: body }], at)
}

/// `cast(T, value)`.
pub(super) fn cast(to: &str, value: Expr, at: Span) -> Expr {
    let plain = |value| Arg { binder: None, named: None, value };
    call("cast", vec![plain(name(to, at)), plain(value)], at)
}

fn call(function: &str, args: Vec<Arg>, at: Span) -> Expr {
    Expr { kind: ExprKind::Call { base: Box::new(name(function, at)), args }, span: at }
}

/// The same expression at another span.
pub(super) fn expr(e: &Expr, at: Span) -> Expr {
    let boxed = |e: &Expr| Box::new(expr(e, at));
    let kind = match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Name(_) => e.kind.clone(),
        ExprKind::Tuple(items) => ExprKind::Tuple(args(items, at)),
        ExprKind::Array(items) => ExprKind::Array(exprs(items, at)),
        ExprKind::Binary { op, lhs, rhs } => {
            ExprKind::Binary { op: *op, lhs: boxed(lhs), rhs: boxed(rhs) }
        }
        ExprKind::Neg(inner) => ExprKind::Neg(boxed(inner)),
        ExprKind::Index { base, args } => {
            ExprKind::Index { base: boxed(base), args: exprs(args, at) }
        }
        ExprKind::Call { base, args: list } => {
            ExprKind::Call { base: boxed(base), args: args(list, at) }
        }
        ExprKind::Field { base, name } => {
            ExprKind::Field { base: boxed(base), name: ident(&name.name, at) }
        }
    };
    Expr { kind, span: at }
}

fn exprs(list: &[Expr], at: Span) -> Vec<Expr> {
    list.iter().map(|e| expr(e, at)).collect()
}

fn args(list: &[Arg], at: Span) -> Vec<Arg> {
    let one = |a: &Arg| Arg {
        binder: a.binder.as_ref().map(|b| b.iter().map(|i| ident(&i.name, at)).collect()),
        named: a.named.as_ref().map(|i| ident(&i.name, at)),
        value: expr(&a.value, at),
    };
    list.iter().map(one).collect()
}

fn word(w: &Word, at: Span) -> Word {
    let args = w.args.as_ref().map(|a| args(a, at));
    Word { name: ident(&w.name.name, at), args, span: at }
}

fn dim(d: &Dim, at: Span) -> Dim {
    let extent = Extent {
        size: d.extent.size.as_ref().map(|e| expr(e, at)),
        bound: d.extent.bound.as_ref().map(|e| expr(e, at)),
        span: at,
    };
    Dim { name: ident(&d.name.name, at), extent, span: at }
}

fn placement(p: &Placement, at: Span) -> Placement {
    Placement { terms: p.terms.iter().map(|t| term(t, at)).collect(), span: at }
}

fn term(t: &Term, at: Span) -> Term {
    let partial = t.name.name == "sum" && t.shard.is_some();
    let mods = if partial { Vec::new() } else { t.mods.iter().map(|m| word(m, at)).collect() };
    Term {
        name: ident(if partial { "copy" } else { &t.name.name }, at),
        args: t.args.as_ref().map(|a| args(a, at)),
        shard: t.shard.as_ref().map(|m| ident(&m.name, at)),
        tile: t.tile.as_ref().map(|e| expr(e, at)),
        mods,
        span: at,
    }
}
