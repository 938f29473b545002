//! Symbolic sizes, conditions over them, and what is known to divide what.
//!
//! Facts come from `where X % m == 0` and from literals; a division or a digit that they do not
//! prove is refused rather than guessed.

use super::check::{Checked, Checker, Stop};
use super::dtype::is_integer;
use super::hir::{
    BinOp, CmpOp, Cond, CondKind, Extent, Io, MeshAxis, Param, ParamKind, Size, Tensor,
};
use super::mesh::at_bind;
use super::poly::Poly;
use super::scope::{Symbol, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
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
                    .help("write an integer")
                    .fixed(whole(e).map(|n| Fix { span: e.span, replacement: n.to_string() })),
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
        let size = l;
        let (l, r) = (text::operand(&self.hir, l), text::operand(&self.hir, r));
        let fix = self.fix_where(size, &format!("{l} % {r} == 0"));
        let help = match size {
            // `(M + 127) / 128` is meant to round up: no fact makes it exact.
            Size::Binary { op: BinOp::Add, .. } => format!(
                "sizes do not round: declare the quotient, `param N: int;`, or a size with `where SIZE % {r} == 0`"
            ),
            _ => format!("add `where {l} % {r} == 0`"),
        };
        self.fail(
            Diagnostic::error("F0204", e.span, format!("{l} % {r} == 0 is not known"))
                .label("this division may have a remainder")
                .note(format!("{l} / {r} is an extent, so it must be exact"))
                .help(help)
                .fixed(fix),
        )
    }

    fn named_size(&mut self, name: &Ident) -> Checked<Size> {
        self.mark(&name.name);
        match self.scope.get(&name.name) {
            Some(Symbol::Const(v)) => Ok(Size::Lit(v)),
            Some(Symbol::Param(p)) if self.hir.params[p].kind == ParamKind::Int => {
                Ok(Size::Param(p))
            }
            Some(Symbol::Param(_) | Symbol::Array(_)) => self.fail(
                Diagnostic::error("F0204", name.span, format!("`{}` is an array", name.name))
                    .note("a size is one integer")
                    .help("use it as a table, `x/m.map(W)`, or declare an `int`"),
            ),
            Some(Symbol::Mesh(m)) => Ok(Size::Mesh(m)),
            Some(Symbol::Alias(a)) => Ok(self.mesh_product(&self.aliases[a])),
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
                    .help(format!("write `{}[s]` with `s: {axis}` placed on `{axis}`", name.name))
                    .fixed(self.own_value(name.span, &name.name, &axis)),
                )
            }
            Some(Symbol::Poison) => Err(Stop),
            Some(_) => self.unsupported(name.span, format!("`{}` as a size", name.name)),
            None => self.unknown_name("F0101", "size", name, |s| {
                matches!(
                    s,
                    Symbol::Const(_)
                        | Symbol::Param(_)
                        | Symbol::Mesh(_)
                        | Symbol::Alias(_)
                        | Symbol::Dyn(_)
                )
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
            Some(Symbol::Tensor(t)) => return self.read_size(e, t, args, coords),
            Some(Symbol::Poison) => return Err(Stop),
            Some(_) => {
                return self.unsupported(e.span, format!("an extent read from `{}`", name.name));
            }
            None => {
                return self.unknown_name("F0101", "dyn", &name, |s| matches!(s, Symbol::Dyn(_)));
            }
        };
        let axes = self.hir.dyns[of].axes.clone();
        // One index stands for the composite of all axes: `dyn T[rank]`.
        let groups: Vec<Vec<Handle<MeshAxis>>> = match args {
            [_] if axes.len() > 1 => vec![axes],
            _ => axes.into_iter().map(|a| vec![a]).collect(),
        };
        if groups.len() != args.len() {
            if let Some(fix) = self.dyn_by_rank(&name.name).filter(|_| args.len() == 1) {
                // Once: the declaration is what is mended.
                self.scope.poison(&name);
                return self.fail(
                    Diagnostic::error(
                        "F0203",
                        e.span,
                        format!("`{}` has one value for all ranks, and is indexed", name.name),
                    )
                    .help(format!(
                        "declare one for each rank: `dyn {}{}`",
                        name.name, fix.replacement
                    ))
                    .fixed(Some(fix)),
                );
            }
            return self.fail(
                Diagnostic::error(
                    "F0203",
                    e.span,
                    format!(
                        "`{}` has {} mesh axes, got {} indices",
                        name.name,
                        groups.len(),
                        args.len()
                    ),
                )
                .help("index it by an axis for each mesh axis of its declaration"),
            );
        }
        let mut index = Vec::new();
        for (arg, group) in args.iter().zip(groups) {
            let mesh = self.mesh_names(&group);
            let extent = self.mesh_product(&group);
            let found = matches!(&arg.kind, ExprKind::Name(_))
                .then(|| text::expr(arg))
                .and_then(|n| coords.iter().position(|c| c.0 == n));
            match found {
                Some(i) if coords[i].1.as_ref().is_some_and(|c| same(c, &extent)) => {
                    index.push(Size::Coord(i))
                }
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

    /// The name of an alias that stands for these axes, or the names of the axes.
    pub fn mesh_names(&self, axes: &[Handle<MeshAxis>]) -> String {
        let alias = self
            .scope
            .names(|s| matches!(s, Symbol::Alias(a) if axes.len() > 1 && self.aliases[a] == axes));
        match alias.first() {
            Some(name) => name.to_string(),
            None => {
                let names: Vec<&str> =
                    axes.iter().map(|a| self.hir.mesh_axes[*a].name.as_str()).collect();
                names.join(" * ")
            }
        }
    }

    /// `len[f, b]`: an element of an `in` integer tensor at earlier axes.
    fn read_size(
        &mut self,
        e: &Expr,
        tensor: Handle<Tensor>,
        args: &[Expr],
        coords: Coords,
    ) -> Checked<Size> {
        self.arity(tensor, args.len(), e.span)?;
        let info = &self.hir.tensors[tensor];
        let name = info.name.clone();
        if info.io != Io::In || !is_integer(info.dtype.elem) {
            let elem = info.dtype.elem.name();
            return self.fail(
                Diagnostic::error(
                    "F0204",
                    e.span,
                    format!("`{name}` cannot count: it is not an `in` tensor of integers"),
                )
                .note(format!("it is `{:?} {name}: {elem}`", info.io).to_lowercase())
                .help(format!("declare it `in {name}: i32[..]`")),
            );
        }
        if info.dtype.index.as_ref().is_some_and(|i| i.none.is_some()) {
            return self.fail(
                Diagnostic::error("F0403", e.span, format!("`{name}` may be none"))
                    .note("a count is a number")
                    .help("declare it without `none = ..`"),
            );
        }
        let mut index = Vec::new();
        for (axis, arg) in args.iter().enumerate() {
            let extent = match &self.hir.tensors[tensor].axes[axis].extent {
                Extent::Fixed(size) => rename(size, &index),
                _ => None,
            };
            let Some(extent) = extent else {
                return self.unsupported(arg.span, "a count read from a ragged tensor");
            };
            index.push(Some(self.count_index(&name, axis, arg, &extent, coords)?));
        }
        Ok(Size::Read { tensor, index: index.into_iter().flatten().collect() })
    }

    /// One index of a count: an earlier axis of the same extent.
    fn count_index(
        &mut self,
        tensor: &str,
        axis: usize,
        arg: &Expr,
        extent: &Size,
        coords: Coords,
    ) -> Checked<Size> {
        let names: Vec<&str> = coords.iter().map(|c| c.0.as_str()).collect();
        let ExprKind::Name(name) = &arg.kind else {
            return self.unsupported(arg.span, "a count read at anything but earlier axes");
        };
        let Some(at) = names.iter().position(|n| n == name) else {
            let name = Ident { name: name.clone(), span: arg.span };
            return self.fail(
                unknown("F0101", "earlier axis", &name, &names)
                    .note("an extent reads axes to its left only"),
            );
        };
        if coords[at].1.as_ref().is_some_and(|c| self.equal(c, extent)) {
            return Ok(Size::Coord(at));
        }
        let (want, got) = (
            text::size(&self.hir, extent, &names),
            coords[at]
                .1
                .as_ref()
                .map_or_else(|| "run-time data".to_string(), |c| text::size(&self.hir, c, &names)),
        );
        self.fail(
            Diagnostic::error(
                "F0207",
                arg.span,
                format!("`{name}` has extent {got}, axis {} of `{tensor}` has {want}", axis + 1),
            )
            .note(format!("{got} == {want} is not known"))
            .help("give both axes one extent"),
        )
    }

    /// Whether two sizes are equal for every binding, as far as it is known.
    pub fn equal(&self, a: &Size, b: &Size) -> bool {
        same(a, b) || self.facts.equal(a, b)
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
    /// `where M == N`: the one is written as the other from here on.
    equals: Vec<(Handle<Param>, Size)>,
    /// Params that may be less than 1, by their least value.
    small: Vec<(Handle<Param>, i64)>,
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
            CondKind::Compare { op: CmpOp::Eq, lhs: Size::Param(p), rhs } => {
                let rhs = self.plain(rhs);
                if self.plain(&Size::Param(*p)) == Size::Param(*p) && at_bind(&rhs) {
                    self.equate(*p, rhs);
                }
            }
            _ => {}
        }
    }

    /// Whatever mentions the param is rewritten too, so that one pass of `plain` is enough.
    fn equate(&mut self, param: Handle<Param>, size: Size) {
        if names_param(&size, param) {
            return;
        }
        self.equals.push((param, size));
        let was = std::mem::take(&mut self.multiples);
        self.multiples = was.iter().map(|(a, b)| (self.plain(a), self.plain(b))).collect();
        let was = std::mem::take(&mut self.equals);
        let one = Facts { equals: was.last().cloned().into_iter().collect(), ..Facts::default() };
        self.equals = was
            .into_iter()
            .map(|(p, s)| if p == param { (p, s) } else { (p, one.plain(&s)) })
            .collect();
    }

    /// Whether the sizes are equal sums of products, facts applied.
    pub fn equal(&self, a: &Size, b: &Size) -> bool {
        let (a, b) = (self.plain(a), self.plain(b));
        same(&a, &b) || self.poly(&a).minus(&self.poly(&b)).is_zero()
    }

    /// Whether `a <= b` for every binding.
    pub fn at_most(&self, a: &Size, b: &Size) -> bool {
        let (a, b) = (self.plain(a), self.plain(b));
        same(&a, &b) || self.poly(&b).minus(&self.poly(&a)).at_least_zero()
    }

    /// A mesh axis is its size from here on.
    pub fn mesh(&mut self, axis: Handle<MeshAxis>, size: Size) {
        self.meshes.push((axis, size));
    }

    /// What a param may be, by all of its conditions together.
    pub fn bounded(&mut self, param: Handle<Param>, least: Option<i64>) {
        if let Some(least) = least.filter(|n| *n < 1) {
            self.small.push((param, least));
        }
    }

    /// The size as a polynomial.
    pub fn poly(&self, size: &Size) -> Poly {
        Poly::of(&self.least_one(&self.plain(size)))
    }

    /// Polynomials are of what is at least 1: a param that may be less stands for itself plus what makes it so.
    fn least_one(&self, size: &Size) -> Size {
        match size {
            Size::Param(p) => match self.small.iter().find(|(of, _)| of == p) {
                Some((_, least)) => Size::Binary {
                    op: BinOp::Sub,
                    lhs: Box::new(size.clone()),
                    rhs: Box::new(Size::Lit(1i64.saturating_sub(*least))),
                },
                None => size.clone(),
            },
            Size::Binary { op, lhs, rhs } => Size::Binary {
                op: *op,
                lhs: Box::new(self.least_one(lhs)),
                rhs: Box::new(self.least_one(rhs)),
            },
            size => size.clone(),
        }
    }

    /// The size with its mesh axes written out.
    pub fn plain(&self, size: &Size) -> Size {
        match size {
            Size::Param(p) => self
                .equals
                .iter()
                .find(|(of, _)| of == p)
                .map_or_else(|| size.clone(), |(_, s)| s.clone()),
            Size::Dyn { of, index } => {
                Size::Dyn { of: *of, index: index.iter().map(|i| self.plain(i)).collect() }
            }
            Size::Read { tensor, index } => {
                Size::Read { tensor: *tensor, index: index.iter().map(|i| self.plain(i)).collect() }
            }
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

fn names_param(size: &Size, param: Handle<Param>) -> bool {
    match size {
        Size::Param(p) => *p == param,
        Size::Binary { lhs, rhs, .. } => names_param(lhs, param) || names_param(rhs, param),
        _ => false,
    }
}

/// The size with each `Coord(i)` replaced by `index[i]`; `None` where that is not known as a size.
pub(super) fn rename(size: &Size, index: &[Option<Size>]) -> Option<Size> {
    let all =
        |sizes: &[Size]| -> Option<Vec<Size>> { sizes.iter().map(|s| rename(s, index)).collect() };
    Some(match size {
        Size::Coord(i) => index.get(*i).cloned().flatten()?,
        Size::Dyn { of, index } => Size::Dyn { of: *of, index: all(index)? },
        Size::Read { tensor, index } => Size::Read { tensor: *tensor, index: all(index)? },
        Size::Binary { op, lhs, rhs } => Size::Binary {
            op: *op,
            lhs: Box::new(rename(lhs, index)?),
            rhs: Box::new(rename(rhs, index)?),
        },
        Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => size.clone(),
    })
}

pub(super) fn fold(op: BinOp, l: Size, r: Size) -> Size {
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
        let mut diagnostic = unknown(code, what, name, &self.scope.names(keep));
        if what == "size" {
            diagnostic = self.undeclared_size(name, diagnostic);
        }
        self.scope.poison(name);
        self.fail(diagnostic)
    }
}

/// The integer that is written as a fraction: `1024.0`.
fn whole(e: &Expr) -> Option<i64> {
    let ExprKind::Float(v) = e.kind else { return None };
    // Beyond 2^53 not every integer is a float.
    (v.fract() == 0.0 && v.abs() < 9e15).then_some(v as i64)
}
