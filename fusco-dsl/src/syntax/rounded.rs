//! `ceil(a, b)` and `roundup(a, b)`: what they stand for in `+ - * /`.
//!
//! Enters: a call as the tree is built. Leaves: the operations, which everything after reads as it reads any others.

use super::ast::{Arg, Expr, ExprKind, Op};
use crate::source::Span;

/// The two functions.
pub const ROUNDED: [&str; 2] = ["ceil", "roundup"];

/// `(a + b - 1) / b`, of `roundup` times `b`; `None` for any other call.
pub(super) fn written_out(base: &Expr, args: &[Arg], span: Span) -> Option<ExprKind> {
    let name = base.as_name().filter(|n| ROUNDED.contains(n))?;
    let [a, b] = args else { return None };
    if [a, b].iter().any(|arg| arg.binder.is_some() || arg.named.is_some()) {
        return None;
    }
    let (a, b) = (&a.value, &b.value);
    let of = |op, lhs: Expr, rhs: Expr| Expr {
        kind: ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) },
        span,
    };
    let int = |v| Expr { kind: ExprKind::Int(v), span };
    let last = match b.kind {
        ExprKind::Int(v) => of(Op::Add, a.clone(), int(v.saturating_sub(1))),
        _ => of(Op::Sub, of(Op::Add, a.clone(), b.clone()), int(1)),
    };
    let blocks = of(Op::Div, last, b.clone());
    Some(if name == "ceil" { blocks.kind } else { of(Op::Mul, blocks, b.clone()).kind })
}
