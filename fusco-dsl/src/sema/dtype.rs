//! Tensors without their placement: element types, axes and their extents.

use super::checker::{Checked, Checker, Stop};
use super::facts::at_bind;
use super::hir::{self, DType, Elem, Extent, IndexType, Scalar, Size};
use super::scope::{Symbol, unknown};
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Decl, Expr, ExprKind, Word};

const ELEMS: [Elem; 15] = [
    Elem::F32,
    Elem::F16,
    Elem::Bf16,
    Elem::E4m3,
    Elem::E5m2,
    Elem::I8,
    Elem::I32,
    Elem::I64,
    Elem::U8,
    Elem::U32,
    Elem::F64,
    Elem::I16,
    Elem::U16,
    Elem::U64,
    Elem::Bool,
];

pub(super) fn elem(name: &str) -> Option<Elem> {
    ELEMS.into_iter().find(|e| e.name() == name)
}

pub(super) fn is_integer(elem: Elem) -> bool {
    elem.is_integer()
}

/// The place before the `;` of a declaration; `None` for a gradient, all of whose spans are its entry's name.
pub(super) fn close(t: &ast::Tensor) -> Option<Span> {
    let end = t.span.end.saturating_sub(1);
    (t.io_span != t.span).then_some(Span::new(end, end))
}

impl Checker<'_> {
    /// Each tensor after those that its extents and tables read.
    pub fn tensors(&mut self) {
        let all = self.decls(|d| if let Decl::Tensor(t) = d { Some(t) } else { None });
        let mut state = vec![Visit::New; all.len()];
        for i in 0..all.len() {
            self.visit(&all, i, &mut state);
        }
    }

    fn visit(&mut self, all: &[&ast::Tensor], i: usize, state: &mut [Visit]) {
        if state[i] != Visit::New {
            return;
        }
        state[i] = Visit::Open;
        let t = all[i];
        for name in names_read(t) {
            let Some(needed) = all.iter().position(|o| o.name.name == name.name) else { continue };
            if state[needed] == Visit::Open {
                self.push(
                    Diagnostic::error(
                        "F0204",
                        name.span,
                        format!("`{}` is declared by itself", t.name.name),
                    )
                    .note("its extents or its table read a tensor that reads it")
                    .help("read another tensor, or give it a fixed extent"),
                );
                state[i] = Visit::Done;
                return;
            }
            self.visit(all, needed, state);
        }
        if let Ok(tensor) = self.tensor(t)
            && self.scope.is_first(&t.name)
        {
            let handle = self.hir.tensors.append(tensor);
            self.scope.set(&t.name.name, Symbol::Tensor(handle));
        }
        state[i] = Visit::Done;
    }

    fn tensor(&mut self, t: &ast::Tensor) -> Checked<hir::Tensor> {
        let io = match t.io {
            ast::Io::In => hir::Io::In,
            ast::Io::Out => hir::Io::Out,
            ast::Io::InOut => hir::Io::InOut,
            ast::Io::Tmp => hir::Io::Tmp,
        };
        // Each part is checked even if another is wrong: they are separate mistakes.
        let dtype = self.dtype(&t.dtype);
        let axes = self.axes(&t.dims);
        let attrs = self.attrs(t);
        let (dtype, axes, attrs) = (dtype?, axes?, attrs?);
        let (placement, spread) = self.placement(t, &axes, attrs.uneven)?;
        self.check_sum(io, dtype.elem, &t.name.name, &spread)?;
        let tensor = hir::Tensor {
            name: t.name.name.clone(),
            docs: t.docs.clone(),
            io,
            dtype,
            axes,
            placement,
            spread,
            attrs,
            span: t.name.span,
            placement_span: t.placement.as_ref().map_or(t.name.span, |p| p.span),
            close: close(t),
        };
        self.check_attrs(t, &tensor)?;
        Ok(tensor)
    }

    pub fn elem_named(&mut self, name: &ast::Ident) -> Checked<Elem> {
        match elem(&name.name) {
            Some(elem) => Ok(elem),
            None => {
                let names: Vec<&str> =
                    ELEMS.iter().map(|e| e.name()).chain(["ix32", "ix64"]).collect();
                if let Some((help, meant)) = crate::syntax::words::other_element(&name.name) {
                    let fix = meant.map(|m| Fix { span: name.span, replacement: m.to_string() });
                    let claim = format!("no element type `{}`", name.name);
                    return self
                        .fail(Diagnostic::error("F0101", name.span, claim).help(help).fixed(fix));
                }
                let Some(meant) = crate::syntax::words::element(&name.name) else {
                    return self.fail(unknown("F0101", "element type", name, &names));
                };
                let claim = format!("no element type `{}`; did you mean `{meant}`?", name.name);
                self.fail(
                    Diagnostic::error("F0101", name.span, claim)
                        .label("not known")
                        .help(format!("write `{meant}`"))
                        .fix(name.span, meant),
                )
            }
        }
    }

    fn dtype(&mut self, word: &Word) -> Checked<DType> {
        let elem = match word.name.name.as_str() {
            "ix32" => Elem::I32,
            "ix64" => Elem::I64,
            _ => {
                let elem = self.elem_named(&word.name)?;
                if word.args.is_some() {
                    return self.unsupported(
                        word.span,
                        format!("arguments of the element type `{}`", word.name.name),
                    );
                }
                return Ok(DType { elem, index: None });
            }
        };
        let args = word.args.as_deref().unwrap_or_default();
        let positional: Vec<&ast::Arg> =
            args.iter().filter(|a| a.named.is_none() && a.binder.is_none()).collect();
        let [bound] = positional[..] else {
            return self.fail(
                Diagnostic::error(
                    "F0207",
                    word.span,
                    format!("`{}` needs the number of its values", word.name.name),
                )
                .help(format!("write `{}(E)` for values 0..E", word.name.name)),
            );
        };
        let bound = self.size(&bound.value, &[])?;
        let mut none = None;
        for arg in args.iter().filter(|a| a.named.is_some() || a.binder.is_some()) {
            match (&arg.named, literal(&arg.value)) {
                (Some(name), Some(Scalar::Int(v))) if name.name == "none" => none = Some(v),
                _ => {
                    return self.unsupported(
                        arg.value.span,
                        format!("this argument of `{}`", word.name.name),
                    );
                }
            }
        }
        Ok(DType { elem, index: Some(IndexType { bound, none }) })
    }

    fn axes(&mut self, dims: &[ast::Dim]) -> Checked<Vec<hir::Axis>> {
        let mut axes: Vec<hir::Axis> = Vec::new();
        let mut coords: Vec<(String, Option<Size>)> = Vec::new();
        let mut wrong = false;
        for dim in dims {
            if let Some(first) = axes.iter().find(|a| a.name == dim.name.name) {
                let diagnostic = Diagnostic::error(
                    "F0102",
                    dim.name.span,
                    format!("axis `{}` is declared twice", dim.name.name),
                )
                .related(first.span, "first here")
                .help("rename one of them");
                return self.fail(diagnostic);
            }
            match self.extent(dim, &coords, &axes) {
                Ok(extent) => {
                    let size =
                        if let Extent::Fixed(size) = &extent { Some(size.clone()) } else { None };
                    coords.push((dim.name.name.clone(), size));
                    axes.push(hir::Axis {
                        name: dim.name.name.clone(),
                        extent,
                        span: dim.name.span,
                    });
                }
                Err(Stop) => wrong = true,
            }
        }
        if wrong { Err(Stop) } else { Ok(axes) }
    }

    fn extent(
        &mut self,
        dim: &ast::Dim,
        coords: &[(String, Option<Size>)],
        axes: &[hir::Axis],
    ) -> Checked<Extent> {
        let Some(size) = &dim.extent.size else { return self.ragged(dim, axes) };
        let lowered = self.size(size, coords)?;
        if reads_tensor(&lowered) {
            return self.counted(dim, size, lowered, axes);
        }
        if let Some(bound) = &dim.extent.bound {
            return self.unsupported(
                bound.span,
                "an extent with a bound (`<=`) that is not `ragged` and reads no tensor",
            );
        }
        match lowered {
            Size::Lit(n) if n < 1 => self.fail(
                Diagnostic::error("F0204", size.span, format!("axis `{}` is empty", dim.name.name))
                    .note(format!("{n} < 1"))
                    .help(if n < 0 {
                        "give it an extent of at least 1; one that is given later is a `param N: int;`, one that the data decides a `dyn`"
                    } else {
                        "give it an extent of at least 1"
                    }),
            ),
            size => Ok(Extent::Fixed(size)),
        }
    }

    /// `len[f, b] <= LMAX`
    fn counted(
        &mut self,
        dim: &ast::Dim,
        size: &Expr,
        rows: Size,
        axes: &[hir::Axis],
    ) -> Checked<Extent> {
        if axes.iter().any(|a| !matches!(a.extent, Extent::Fixed(_))) {
            return self.unsupported(dim.name.span, "a second ragged axis of one tensor");
        }
        if rows.is_live() {
            return self.unsupported(size.span, "a `dyn` beside a count in an extent");
        }
        let Some(bound) = &dim.extent.bound else {
            return self.fail(
                Diagnostic::error(
                    "F0204",
                    size.span,
                    format!("the extent of `{}` has no bound", dim.name.name),
                )
                .note(format!(
                    "{} is known on the device only; buffers are allocated before",
                    super::text::expr(size)
                ))
                .help(format!(
                    "write `{}: {} <= LMAX`",
                    dim.name.name,
                    super::text::expr(size)
                )),
            );
        };
        match self.size(bound, &[])? {
            Size::Lit(n) if n < 1 => self.fail(
                Diagnostic::error(
                    "F0204",
                    bound.span,
                    format!("axis `{}` is empty", dim.name.name),
                )
                .note(format!("{n} < 1"))
                .help("give it a bound of at least 1"),
            ),
            most if at_bind(&most) => Ok(Extent::Counted { rows, bound: most }),
            _ => self.unsupported(bound.span, "a bound that is not known at bind"),
        }
    }

    /// The route is filled in once a statement has named it.
    fn ragged(&mut self, dim: &ast::Dim, axes: &[hir::Axis]) -> Checked<Extent> {
        if axes.iter().any(|a| !matches!(a.extent, Extent::Fixed(_))) {
            return self.unsupported(dim.name.span, "a second ragged axis of one tensor");
        }
        if self.hir.routes.is_empty() {
            return self.fail(
                Diagnostic::error(
                    "F0406",
                    dim.span,
                    format!("no route counts the ragged axis `{}`", dim.name.name),
                )
                .note("the program has no route")
                .help("declare a `route` and use the tensor `via` it, or give the axis an extent"),
            );
        }
        let bound = dim.extent.bound.as_ref().map(|b| self.size(b, &[])).transpose()?;
        Ok(Extent::Ragged { route: self.hir.routes.handle(0), bound })
    }
}

pub(super) fn literal(e: &Expr) -> Option<Scalar> {
    match &e.kind {
        ExprKind::Int(v) => Some(Scalar::Int(*v)),
        ExprKind::Float(v) if v.is_finite() => Some(Scalar::Float(*v)),
        ExprKind::Neg(inner) => match literal(inner)? {
            Scalar::Int(v) => Some(Scalar::Int(v.checked_neg()?)),
            Scalar::Float(v) => Some(Scalar::Float(-v)),
        },
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

/// The names that the extents and the tables of a tensor mention.
fn names_read(t: &ast::Tensor) -> Vec<ast::Ident> {
    let mut out = Vec::new();
    for extent in t.dims.iter().map(|d| &d.extent) {
        extent.size.iter().chain(&extent.bound).for_each(|e| names_in(e, &mut out));
    }
    let terms = t.placement.iter().flat_map(|p| &p.terms);
    let words = terms.flat_map(|t| &t.mods).filter(|w| w.name.name == "map");
    for arg in words.flat_map(|w| w.args.iter().flatten()) {
        names_in(&arg.value, &mut out);
    }
    out
}

fn names_in(e: &Expr, out: &mut Vec<ast::Ident>) {
    match &e.kind {
        ExprKind::Name(name) => out.push(ast::Ident { name: name.clone(), span: e.span }),
        ExprKind::Neg(inner) => names_in(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            names_in(lhs, out);
            names_in(rhs, out);
        }
        // Indices of an element are axes, not tensors.
        ExprKind::Index { base, .. } => names_in(base, out),
        _ => {}
    }
}

fn reads_tensor(size: &Size) -> bool {
    match size {
        Size::Read { .. } => true,
        Size::Binary { lhs, rhs, .. } => reads_tensor(lhs) || reads_tensor(rhs),
        _ => false,
    }
}
