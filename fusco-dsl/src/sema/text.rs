//! Trees and sizes as one line of text, for messages and dumps.

use super::hir::{Cond, CondKind, Program, Size};
use crate::syntax::ast::{Arg, Expr, ExprKind, Op, Term};

pub(super) fn expr(e: &Expr) -> String {
    if let Some(rounded) = rounded_expr(e) {
        return rounded;
    }
    match &e.kind {
        ExprKind::Int(v) => v.to_string(),
        ExprKind::Float(v) => format!("{v:?}"),
        ExprKind::Name(n) => n.clone(),
        ExprKind::Neg(inner) => format!("-{}", part(inner, 7)),
        ExprKind::Binary { op, lhs, rhs } => {
            let level = precedence(*op);
            format!("{} {} {}", part(lhs, level), symbol(*op), part(rhs, level + 1))
        }
        ExprKind::Index { base, args } => format!("{}[{}]", expr(base), list(args)),
        ExprKind::Call { base, args } => format!("{}({})", expr(base), arguments(args)),
        ExprKind::Field { base, name } => format!("{}.{}", expr(base), name.name),
        ExprKind::Tuple(args) => format!("({})", arguments(args)),
        ExprKind::Array(items) => format!("[{}]", list(items)),
    }
}

fn part(e: &Expr, level: u8) -> String {
    match &e.kind {
        ExprKind::Binary { op, .. } if precedence(*op) < level && rounded_expr(e).is_none() => {
            format!("({})", expr(e))
        }
        _ => expr(e),
    }
}

/// `ceil(a, b)` or `roundup(a, b)`, if that is what the operations are.
fn rounded_expr(e: &Expr) -> Option<String> {
    let binary = |e: &'_ Expr, wanted: Op| match &e.kind {
        ExprKind::Binary { op, lhs, rhs } if *op == wanted => Some((lhs.clone(), rhs.clone())),
        _ => None,
    };
    let ceil = |e: &Expr| {
        let (last, by) = binary(e, Op::Div)?;
        let int = |e: &Expr| if let ExprKind::Int(v) = e.kind { Some(v) } else { None };
        let a = match (binary(&last, Op::Add), binary(&last, Op::Sub)) {
            (Some((a, rest)), _) if int(&rest)?.checked_add(1) == int(&by) => a,
            (_, Some((sum, one))) if int(&one) == Some(1) => {
                let (a, b) = binary(&sum, Op::Add)?;
                Some(a).filter(|_| expr(&b) == expr(&by))?
            }
            _ => return None,
        };
        Some((expr(&a), expr(&by)))
    };
    if let Some((a, by)) = ceil(e) {
        return Some(format!("ceil({a}, {by})"));
    }
    let (blocks, times) = binary(e, Op::Mul)?;
    let (a, by) = ceil(&blocks)?;
    (by == expr(&times)).then(|| format!("roundup({a}, {by})"))
}

fn list(items: &[Expr]) -> String {
    items.iter().map(expr).collect::<Vec<_>>().join(", ")
}

pub(super) fn arguments(args: &[Arg]) -> String {
    let one = |a: &Arg| match (&a.binder, &a.named) {
        (Some(names), _) if names.len() == 1 => format!("{}: {}", names[0].name, expr(&a.value)),
        (Some(names), _) => {
            format!(
                "({}): {}",
                names.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
                expr(&a.value)
            )
        }
        (None, Some(name)) => format!("{} = {}", name.name, expr(&a.value)),
        (None, None) => expr(&a.value),
    };
    args.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `m/gpu`, `c.pack(128)`, as written.
pub(super) fn placement_term(term: &Term) -> String {
    let arguments = |args: &Option<Vec<Arg>>| {
        args.as_ref().map_or_else(String::new, |args| format!("({})", arguments(args)))
    };
    let mut out = format!("{}{}", term.name.name, arguments(&term.args));
    term.shard.iter().for_each(|m| out += &format!("/{}", m.name));
    term.tile.iter().for_each(|k| out += &format!(":{}", expr(k)));
    term.mods.iter().for_each(|w| out += &format!(".{}{}", w.name.name, arguments(&w.args)));
    out
}

fn precedence(op: Op) -> u8 {
    match op {
        Op::Or => 1,
        Op::And => 2,
        Op::Lt | Op::Le | Op::Eq | Op::Ne | Op::Ge | Op::Gt => 3,
        Op::Add | Op::Sub => 4,
        Op::Mul | Op::Div | Op::Rem => 5,
    }
}

pub(super) fn symbol(op: Op) -> &'static str {
    match op {
        Op::Or => "||",
        Op::And => "&&",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Ge => ">=",
        Op::Gt => ">",
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::Rem => "%",
    }
}

/// A size with the names of its params; `coords` names the earlier axes.
pub(crate) fn size(program: &Program, s: &Size, coords: &[&str]) -> String {
    match s {
        Size::Lit(v) => v.to_string(),
        Size::Param(p) => program.params[*p].name.clone(),
        Size::Mesh(m) => program.mesh_axes[*m].name.clone(),
        Size::Dyn { of, index } if index.is_empty() => program.dyns[*of].name.clone(),
        Size::Dyn { of, index } => {
            let index: Vec<String> = index.iter().map(|i| size(program, i, coords)).collect();
            format!("{}[{}]", program.dyns[*of].name, index.join(", "))
        }
        Size::Read { tensor, index } => {
            let index: Vec<String> = index.iter().map(|i| size(program, i, coords)).collect();
            format!("{}[{}]", program.tensors[*tensor].name, index.join(", "))
        }
        Size::Coord(i) => coords.get(*i).map_or_else(|| format!("#{i}"), |n| n.to_string()),
        Size::Binary { op, lhs, rhs } => {
            let of = |s: &Size| size(program, s, coords);
            if let Some((a, by)) = s.as_ceil() {
                return format!("ceil({}, {})", of(a), of(by));
            }
            if let Some((a, by)) = s.as_roundup() {
                return format!("roundup({}, {})", of(a), of(by));
            }
            let wrap = |s: &Size| match s {
                Size::Binary { .. } if s.as_ceil().or(s.as_roundup()).is_none() => {
                    format!("({})", of(s))
                }
                _ => size(program, s, coords),
            };
            format!("{} {} {}", wrap(lhs), op.symbol(), wrap(rhs))
        }
    }
}

pub(super) fn cond(program: &Program, c: &Cond) -> String {
    match &c.kind {
        CondKind::Compare { op, lhs, rhs } => {
            format!("{} {} {}", size(program, lhs, &[]), op.symbol(), size(program, rhs, &[]))
        }
        CondKind::And(a, b) => format!("{} && {}", cond(program, a), cond(program, b)),
        CondKind::Or(a, b) => format!("({} || {})", cond(program, a), cond(program, b)),
    }
}
