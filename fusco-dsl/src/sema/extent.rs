//! Symbolic sizes, conditions over them, and what is known to divide what.
//!
//! Facts come from `where X % m == 0` and from literals; a division or a digit that they do not
//! prove is refused rather than guessed.

use super::check::{Checked, Checker, Stop};
use super::hir::{BinOp, CmpOp, Cond, CondKind, MeshAxis, Size};
use super::scope::{Symbol, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Expr, ExprKind, Ident, Op};

/// The earlier axes a size may name: name and extent (`None` if ragged).
pub(super) type Coords<'c> = &'c [(String, Option<Size>)];

impl Checker<'_> {
    /// A size; `coords` are the earlier axes of the tensor.
    pub fn size(&mut self, e: &Expr, coords: Coords) -> Checked<Size> {
        match &e.kind {
            ExprKind::Int(v) => Ok(Size::Lit(*v)),
            ExprKind::Name(name) => self.named_size(&Ident { name: name.clone(), span: e.span }),
            ExprKind::Neg(inner) => {
                let inner = self.size(inner, coords)?;
                Ok(fold(BinOp::Sub, Size::Lit(0), inner))
            }
            ExprKind::Index { base, args } => self.dyn_at(e, base, args, coords),
            ExprKind::Binary { op, lhs, rhs } => {
                let Some(op) = arithmetic(*op) else {
                    return self.fail(
                        Diagnostic::error("F0204", e.span, "a condition is not a size")
                            .help("write a sum or product of sizes"),
                    );
                };
                let (l, r) = (self.size(lhs, coords), self.size(rhs, coords));
                let (l, r) = (l?, r?);
                self.exact_division(e, op, &l, &r)?;
                self.folded(e, op, l, r)
            }
            ExprKind::Float(_) => self.fail(
                Diagnostic::error("F0204", e.span, "a size is a 64-bit integer")
                    .help("write an integer"),
            ),
            _ => self.unsupported(e.span, format!("`{}` as a size", text::expr(e))),
        }
    }

    fn folded(&mut self, e: &Expr, op: BinOp, l: Size, r: Size) -> Checked<Size> {
        match (&l, &r) {
            (Size::Lit(a), Size::Lit(b)) => match op.apply(*a, *b) {
                Some(v) => Ok(Size::Lit(v)),
                None => self.fail(
                    Diagnostic::error("F0204", e.span, "this size has no value")
                        .note(format!("{a} {} {b} overflows or divides by zero", op.symbol()))
                        .help("choose smaller numbers, and divisors other than 0"),
                ),
            },
            _ => Ok(Size::Binary { op, lhs: Box::new(l), rhs: Box::new(r) }),
        }
    }

    fn exact_division(&mut self, e: &Expr, op: BinOp, l: &Size, r: &Size) -> Checked<()> {
        if op != BinOp::Div
            || self.in_condition
            || matches!(r, Size::Lit(0))
            || self.facts.divides(l, r)
        {
            return Ok(());
        }
        let (l, r) = (text::size(&self.hir, l, &[]), text::size(&self.hir, r, &[]));
        self.fail(
            Diagnostic::error("F0204", e.span, format!("{l} % {r} == 0 is not known"))
                .label("this division may have a remainder")
                .note(format!("{l} / {r} is an extent, so it must be exact"))
                .help(format!("add `where {l} % {r} == 0`")),
        )
    }

    fn named_size(&mut self, name: &Ident) -> Checked<Size> {
        self.mark(&name.name);
        match self.scope.get(&name.name) {
            Some(Symbol::Const(v)) => Ok(Size::Lit(v)),
            Some(Symbol::Param(p)) => Ok(Size::Param(p)),
            Some(Symbol::Mesh(m)) => Ok(Size::Mesh(m)),
            Some(Symbol::Dyn(d)) => {
                let axes: Vec<String> = self.hir.dyns[d]
                    .axes
                    .iter()
                    .map(|a| self.hir.mesh_axes[*a].name.clone())
                    .collect();
                if axes.is_empty() || self.in_condition {
                    return Ok(Size::Dyn { of: d, index: Vec::new() });
                }
                let axis = axes.join(", ");
                self.fail(
                    Diagnostic::error(
                        "F0208",
                        name.span,
                        format!("`{}` differs by `{axis}`", name.name),
                    )
                    .note(format!("`dyn {}[{axis}]` has one value for each rank", name.name))
                    .help(format!("write `{}[s]` with `s: {axis}` placed on `{axis}`", name.name)),
                )
            }
            Some(Symbol::Poison) => Err(Stop),
            Some(_) => self.unsupported(name.span, format!("`{}` as a size", name.name)),
            None => self.unknown_name("F0101", "size", name, |s| {
                matches!(s, Symbol::Const(_) | Symbol::Param(_) | Symbol::Mesh(_) | Symbol::Dyn(_))
            }),
        }
    }

    /// `T[s]`: `s` is an earlier axis whose extent is the mesh axis that indexes `T`.
    fn dyn_at(&mut self, e: &Expr, base: &Expr, args: &[Expr], coords: Coords) -> Checked<Size> {
        let ExprKind::Name(name) = &base.kind else {
            return self.unsupported(e.span, format!("`{}` as a size", text::expr(e)));
        };
        let name = Ident { name: name.clone(), span: base.span };
        self.mark(&name.name);
        let of = match self.scope.get(&name.name) {
            Some(Symbol::Dyn(d)) => d,
            Some(Symbol::Poison) => return Err(Stop),
            Some(_) => {
                return self.unsupported(e.span, format!("an extent read from `{}`", name.name));
            }
            None => {
                return self.unknown_name("F0101", "dyn", &name, |s| matches!(s, Symbol::Dyn(_)));
            }
        };
        let axes = self.hir.dyns[of].axes.clone();
        if axes.len() != args.len() {
            return self.fail(
                Diagnostic::error(
                    "F0203",
                    e.span,
                    format!(
                        "`{}` has {} mesh axes, got {} indices",
                        name.name,
                        axes.len(),
                        args.len()
                    ),
                )
                .help("index it by an axis for each mesh axis of its declaration"),
            );
        }
        let mut index = Vec::new();
        for (arg, axis) in args.iter().zip(axes) {
            let mesh = self.hir.mesh_axes[axis].name.clone();
            let found = matches!(&arg.kind, ExprKind::Name(_))
                .then(|| text::expr(arg))
                .and_then(|n| coords.iter().position(|c| c.0 == n));
            match found {
                Some(i) if coords[i].1 == Some(Size::Mesh(axis)) => index.push(Size::Coord(i)),
                _ => {
                    return self.fail(
                        Diagnostic::error("F0208", arg.span, format!("`{}` differs by `{mesh}`, and `{}` is not an earlier axis of extent `{mesh}`", name.name, text::expr(arg)))
                            .help(format!("write `{}[s]` with `s: {mesh}` placed on `{mesh}`", name.name)),
                    );
                }
            }
        }
        Ok(Size::Dyn { of, index })
    }

    /// A condition (`where`, `when`).
    pub fn cond(&mut self, e: &Expr) -> Checked<Cond> {
        let was = std::mem::replace(&mut self.in_condition, true);
        let out = self.cond_inner(e);
        self.in_condition = was;
        out
    }

    fn cond_inner(&mut self, e: &Expr) -> Checked<Cond> {
        let kind = match &e.kind {
            ExprKind::Binary { op: Op::And, lhs, rhs } => {
                CondKind::And(Box::new(self.cond_inner(lhs)?), Box::new(self.cond_inner(rhs)?))
            }
            ExprKind::Binary { op: Op::Or, lhs, rhs } => {
                CondKind::Or(Box::new(self.cond_inner(lhs)?), Box::new(self.cond_inner(rhs)?))
            }
            ExprKind::Binary { op, lhs, rhs } if comparison(*op).is_some() => {
                let op = comparison(*op).unwrap_or(CmpOp::Eq);
                CondKind::Compare { op, lhs: self.size(lhs, &[])?, rhs: self.size(rhs, &[])? }
            }
            _ => return self.unsupported(e.span, format!("`{}` as a condition", text::expr(e))),
        };
        Ok(Cond { kind, text: text::expr(e), span: e.span })
    }
}

/// `lhs % modulus == 0`, as declared, and what mesh axes stand for.
#[derive(Default)]
pub(super) struct Facts {
    multiples: Vec<(Size, Size)>,
    meshes: Vec<(Handle<MeshAxis>, Size)>,
}

impl Facts {
    /// Learns the divisibilities that hold whenever the condition does.
    pub fn learn(&mut self, cond: &Cond) {
        match &cond.kind {
            CondKind::And(a, b) => {
                self.learn(a);
                self.learn(b);
            }
            CondKind::Compare {
                op: CmpOp::Eq,
                lhs: Size::Binary { op: BinOp::Rem, lhs, rhs },
                rhs: zero,
            } if *zero == Size::Lit(0) => {
                self.multiples.push((self.plain(lhs), self.plain(rhs)));
            }
            _ => {}
        }
    }

    /// A mesh axis is its size from here on.
    pub fn mesh(&mut self, axis: Handle<MeshAxis>, size: Size) {
        self.meshes.push((axis, size));
    }

    /// The size with its mesh axes written out.
    fn plain(&self, size: &Size) -> Size {
        match size {
            Size::Mesh(m) => {
                self.meshes.iter().find(|(of, _)| of == m).map_or(size.clone(), |(_, s)| s.clone())
            }
            Size::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (self.plain(lhs), self.plain(rhs));
                match (&lhs, &rhs) {
                    (Size::Lit(a), Size::Lit(b)) => op.apply(*a, *b).map(Size::Lit),
                    _ => None,
                }
                .unwrap_or(Size::Binary {
                    op: *op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                })
            }
            _ => size.clone(),
        }
    }

    /// Whether `size % by == 0` follows from the facts and the literals.
    pub fn divides(&self, size: &Size, by: &Size) -> bool {
        self.follows(&self.plain(size), &self.plain(by))
    }

    fn follows(&self, size: &Size, by: &Size) -> bool {
        if *by == Size::Lit(1) || size == by || *size == Size::Lit(0) {
            return true;
        }
        if let (Size::Lit(a), Size::Lit(b)) = (size, by) {
            return a.checked_rem(*b) == Some(0);
        }
        if factors_within(by, size)
            || self.multiples.iter().any(|(of, m)| of == size && factors_within(by, m))
        {
            return true;
        }
        match size {
            Size::Binary { op: BinOp::Mul, lhs, rhs } => {
                self.follows(lhs, by) || self.follows(rhs, by)
            }
            Size::Binary { op: BinOp::Add | BinOp::Sub, lhs, rhs } => {
                self.follows(lhs, by) && self.follows(rhs, by)
            }
            _ => false,
        }
    }
}

/// Whether the product `whole` visibly contains the product `part`.
fn factors_within(part: &Size, whole: &Size) -> bool {
    let (part_lit, part) = factors(part);
    let (whole_lit, mut whole) = factors(whole);
    let all = part
        .into_iter()
        .all(|p| whole.iter().position(|w| *w == p).map(|i| whole.remove(i)).is_some());
    all && whole_lit.checked_rem(part_lit) == Some(0)
}

fn factors(size: &Size) -> (i64, Vec<&Size>) {
    match size {
        Size::Lit(v) => (*v, Vec::new()),
        Size::Binary { op: BinOp::Mul, lhs, rhs } => {
            let ((a, mut l), (b, r)) = (factors(lhs), factors(rhs));
            l.extend(r);
            (a.saturating_mul(b), l)
        }
        other => (1, vec![other]),
    }
}

/// Whether two sizes are the same product, whatever the order of its factors.
pub(super) fn same(a: &Size, b: &Size) -> bool {
    a == b || (factors_within(a, b) && factors_within(b, a))
}

fn fold(op: BinOp, l: Size, r: Size) -> Size {
    match (&l, &r) {
        (Size::Lit(a), Size::Lit(b)) if op.apply(*a, *b).is_some() => {
            Size::Lit(op.apply(*a, *b).unwrap_or(0))
        }
        _ => Size::Binary { op, lhs: Box::new(l), rhs: Box::new(r) },
    }
}

pub(super) fn arithmetic(op: Op) -> Option<BinOp> {
    match op {
        Op::Add => Some(BinOp::Add),
        Op::Sub => Some(BinOp::Sub),
        Op::Mul => Some(BinOp::Mul),
        Op::Div => Some(BinOp::Div),
        Op::Rem => Some(BinOp::Rem),
        _ => None,
    }
}

fn comparison(op: Op) -> Option<CmpOp> {
    match op {
        Op::Lt => Some(CmpOp::Lt),
        Op::Le => Some(CmpOp::Le),
        Op::Eq => Some(CmpOp::Eq),
        Op::Ne => Some(CmpOp::Ne),
        Op::Ge => Some(CmpOp::Ge),
        Op::Gt => Some(CmpOp::Gt),
        _ => None,
    }
}

/// Reports an unknown name once; later uses are silent.
impl Checker<'_> {
    pub fn unknown_name<T>(
        &mut self,
        code: &'static str,
        what: &str,
        name: &Ident,
        keep: impl Fn(Symbol) -> bool,
    ) -> Checked<T> {
        let diagnostic = unknown(code, what, name, &self.scope.names(keep));
        self.scope.poison(name);
        self.fail(diagnostic)
    }
}
