//! Symbolic sizes and conditions over them.
//!
//! `/` rounds down, here as everywhere.

use super::checker::{Checked, Checker, Stop};
use super::dtype::is_integer;
use super::facts::same;
use super::hir::{
    BinOp, CmpOp, Cond, CondKind, Extent, Io, MeshAxis, ParamKind, Size, Tensor, fold,
};
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

pub(super) fn comparison(op: Op) -> Option<CmpOp> {
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
