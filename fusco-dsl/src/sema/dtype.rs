//! Tensors without their placement: element types, axes, attributes.

use super::check::{Checked, Checker, Stop};
use super::hir::{self, Attrs, DType, Elem, Extent, IndexType, Scalar, Size};
use super::scope::{Symbol, unknown};
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, Decl, Expr, ExprKind, Word};

const ELEMS: [Elem; 10] = [
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
];

pub(super) fn elem(name: &str) -> Option<Elem> {
    ELEMS.into_iter().find(|e| e.name() == name)
}

pub(super) fn is_integer(elem: Elem) -> bool {
    matches!(elem, Elem::I8 | Elem::I32 | Elem::I64 | Elem::U8 | Elem::U32)
}

impl Checker<'_> {
    pub fn tensors(&mut self) {
        for t in self.decls(|d| if let Decl::Tensor(t) = d { Some(t) } else { None }) {
            if let Ok(tensor) = self.tensor(t)
                && self.scope.is_first(&t.name)
            {
                let handle = self.hir.tensors.append(tensor);
                self.scope.set(&t.name.name, Symbol::Tensor(handle));
            }
        }
    }

    fn tensor(&mut self, t: &ast::Tensor) -> Checked<hir::Tensor> {
        let io = match t.io {
            ast::Io::In => hir::Io::In,
            ast::Io::Out => hir::Io::Out,
            ast::Io::InOut => return self.unsupported(t.io_span, "an `inout` tensor"),
            ast::Io::Tmp => return self.unsupported(t.io_span, "a `tmp` tensor"),
        };
        // Each part is checked even if another is wrong: they are separate mistakes.
        let dtype = self.dtype(&t.dtype);
        let axes = self.axes(&t.dims);
        let attrs = self.attrs(&t.attrs);
        let (dtype, axes, attrs) = (dtype?, axes?, attrs?);
        let placement = self.placement(t, &axes)?;
        Ok(hir::Tensor {
            name: t.name.name.clone(),
            docs: t.docs.clone(),
            io,
            dtype,
            axes,
            placement,
            spread: Vec::new(),
            attrs,
            span: t.name.span,
            placement_span: t.placement.as_ref().map_or(t.name.span, |p| p.span),
        })
    }

    pub fn elem_named(&mut self, name: &ast::Ident) -> Checked<Elem> {
        match elem(&name.name) {
            Some(elem) => Ok(elem),
            None => {
                let names: Vec<&str> =
                    ELEMS.iter().map(|e| e.name()).chain(["ix32", "ix64"]).collect();
                self.fail(unknown("F0101", "element type", name, &names))
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
        if let Some(bound) = &dim.extent.bound {
            return self
                .unsupported(bound.span, "an extent with a bound (`<=`) that is not `ragged`");
        }
        let lowered = self.size(size, coords)?;
        match lowered {
            Size::Lit(n) if n < 1 => self.fail(
                Diagnostic::error("F0204", size.span, format!("axis `{}` is empty", dim.name.name))
                    .note(format!("{n} < 1"))
                    .help("give it an extent of at least 1"),
            ),
            Size::Binary { .. } if reads_dyn(&lowered) => {
                self.unsupported(size.span, "arithmetic with a `dyn` in an extent")
            }
            size => Ok(Extent::Fixed(size)),
        }
    }

    /// The route is filled in once a statement has named it.
    fn ragged(&mut self, dim: &ast::Dim, axes: &[hir::Axis]) -> Checked<Extent> {
        if axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. })) {
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

    fn attrs(&mut self, words: &[Word]) -> Checked<Attrs> {
        let mut attrs = Attrs::default();
        for word in words {
            let arg = match word.args.as_deref() {
                Some([arg]) if arg.named.is_none() && arg.binder.is_none() => literal(&arg.value),
                _ => None,
            };
            match (word.name.name.as_str(), arg) {
                ("fill", Some(value)) => attrs.fill = Some(value),
                ("align", Some(Scalar::Int(n))) if n > 0 && n.count_ones() == 1 => {
                    attrs.align = Some(n)
                }
                ("fill" | "align", _) => {
                    return self.fail(
                        Diagnostic::error(
                            "F0101",
                            word.span,
                            format!("`{}` takes one literal", word.name.name),
                        )
                        .help("write `fill(0)`, or `align(128)` with a power of two"),
                    );
                }
                ("uneven" | "stride" | "swizzle", _) => {
                    return self
                        .unsupported(word.span, format!("the attribute `{}`", word.name.name));
                }
                _ => {
                    return self.fail(unknown(
                        "F0101",
                        "attribute",
                        &word.name,
                        &["fill", "align", "uneven", "stride", "swizzle"],
                    ));
                }
            }
        }
        Ok(attrs)
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

fn reads_dyn(size: &Size) -> bool {
    match size {
        Size::Dyn { .. } => true,
        Size::Binary { lhs, rhs, .. } => reads_dyn(lhs) || reads_dyn(rhs),
        _ => false,
    }
}
