//! `with fill(0), align(1024), uneven, stride(i: LDB), swizzle(b128)`.

use super::checker::{Checked, Checker, Stop};
use super::dtype::{is_integer, literal};
use super::edits::{drop_attribute, replace};
use super::facts::at_bind;
use super::fit;
use super::fix::fix_attribute;
use super::hir::{self, Attrs, Bindings, Scalar, Size, Swizzle};
use super::scope::unknown;
use super::static_stmt::fits;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind, Ident, Word};
use crate::syntax::words;

const ATTRS: [&str; 5] = ["fill", "align", "uneven", "stride", "swizzle"];

impl Checker<'_> {
    pub fn attrs(&mut self, t: &ast::Tensor) -> Checked<Attrs> {
        let mut attrs = Attrs::default();
        let mut wrong = false;
        for (i, word) in t.attrs.iter().enumerate() {
            let repeated = t.attrs[..i].iter().find(|w| w.name.name == word.name.name);
            if let Some(first) = repeated.filter(|w| w.name.name != "stride") {
                self.push(
                    Diagnostic::error(
                        "F0102",
                        word.span,
                        format!("`{}` is given twice", word.name.name),
                    )
                    .related(first.span, "first here")
                    .help("remove one")
                    .fixed(drop_attribute(&t.attrs, i)),
                );
                wrong = true;
            } else if self.attr(t, word, &mut attrs).is_err() {
                wrong = true;
            }
        }
        if wrong { Err(Stop) } else { Ok(attrs) }
    }

    fn attr(&mut self, t: &ast::Tensor, word: &Word, attrs: &mut Attrs) -> Checked<()> {
        match word.name.name.as_str() {
            "fill" => attrs.fill = Some(self.fill(word)?),
            "align" => attrs.align = Some(self.align(word)?),
            "uneven" if word.args.is_none() => attrs.uneven = true,
            "uneven" => {
                return self.fail(
                    Diagnostic::error("F0101", word.span, "`uneven` takes no arguments")
                        .help("write `uneven`"),
                );
            }
            "stride" => self.stride(t, word, attrs)?,
            "swizzle" => attrs.swizzle = Some(self.swizzle(word)?),
            name => {
                let mut found = unknown("F0101", "attribute", &word.name, &ATTRS);
                if let Some(meant) = words::attribute(name) {
                    // Its argument is kept where it has one.
                    let (head, _) = meant.split_once('(').unwrap_or((meant, ""));
                    let bare = word.args.as_ref().is_none_or(Vec::is_empty);
                    let (span, text) =
                        if bare { (word.span, meant) } else { (word.name.span, head) };
                    found = Diagnostic::error("F0101", word.span, format!("no attribute `{name}`"))
                        .help(format!("write `{meant}`"))
                        .fix(span, text);
                }
                return self.fail(found);
            }
        }
        Ok(())
    }

    fn fill(&mut self, word: &Word) -> Checked<Scalar> {
        match single(word).and_then(|arg| literal(&arg.value)) {
            Some(value) => Ok(value),
            None => self.one_literal(word),
        }
    }

    fn align(&mut self, word: &Word) -> Checked<i64> {
        let Some(arg) = single(word) else { return self.one_literal(word) };
        match self.size(&arg.value, &[])? {
            Size::Lit(n) if n > 0 && n.count_ones() == 1 => Ok(n),
            _ => self.one_literal(word),
        }
    }

    fn one_literal<T>(&mut self, word: &Word) -> Checked<T> {
        let name = &word.name.name;
        let form = if name == "fill" { "fill(0)" } else { "align(128)" };
        let bare = word.args.as_ref().is_none_or(Vec::is_empty);
        self.fail(
            Diagnostic::error("F0101", word.span, format!("`{name}` takes one literal"))
                .help("write `fill(0)`, or `align(128)` with a power of two")
                .fixed(bare.then(|| Fix { span: word.span, replacement: form.to_string() })),
        )
    }

    /// `stride(i: LDB)`, one or several.
    fn stride(&mut self, t: &ast::Tensor, word: &Word, attrs: &mut Attrs) -> Checked<()> {
        let args = word.args.as_deref().unwrap_or_default();
        for arg in args {
            let Some([axis]) = arg.binder.as_deref() else { return self.stride_form(word) };
            let names: Vec<&str> = t.dims.iter().map(|d| d.name.name.as_str()).collect();
            let Some(at) = names.iter().position(|n| *n == axis.name) else {
                return self.fail(unknown("F0101", "axis", axis, &names));
            };
            if attrs.stride.iter().any(|(a, _)| *a == at) {
                return self.fail(
                    Diagnostic::error(
                        "F0102",
                        axis.span,
                        format!("`{}` has two strides", axis.name),
                    )
                    .help("remove one"),
                );
            }
            match self.size(&arg.value, &[])? {
                Size::Lit(n) if n < 1 => {
                    return self.fail(
                        Diagnostic::error("F0311", arg.value.span, format!("a stride of {n}"))
                            .note(format!("{n} < 1"))
                            .help("use at least 1"),
                    );
                }
                size if at_bind(&size) => attrs.stride.push((at, size)),
                _ => {
                    return self.unsupported(arg.value.span, "a stride that is not known at bind");
                }
            }
        }
        if args.is_empty() { self.stride_form(word) } else { Ok(()) }
    }

    fn stride_form(&mut self, word: &Word) -> Checked<()> {
        self.fail(
            Diagnostic::error("F0101", word.span, "`stride` takes an axis and its stride")
                .note("elements between neighbours of the axis's outermost memory digit")
                .help("write `stride(i: LDB)`"),
        )
    }

    fn swizzle(&mut self, word: &Word) -> Checked<Swizzle> {
        let name = single(word).and_then(|arg| match &arg.value.kind {
            ExprKind::Name(name) => Some(Ident { name: name.clone(), span: arg.value.span }),
            _ => None,
        });
        match name.as_ref().map(|n| n.name.as_str()) {
            Some("b32") => Ok(Swizzle::B32),
            Some("b64") => Ok(Swizzle::B64),
            Some("b128") => Ok(Swizzle::B128),
            _ => {
                let name = name.unwrap_or_else(|| word.name.clone());
                self.fail(unknown("F0101", "swizzle", &name, &["b32", "b64", "b128"]))
            }
        }
    }

    /// A fill is a value of the type, of a tensor that does not keep what it had.
    fn check_fill(&mut self, t: &ast::Tensor, tensor: &hir::Tensor, span: Span) -> Checked<()> {
        let Some(fill) = tensor.attrs.fill else { return Ok(()) };
        let (name, elem) = (&t.name.name, tensor.dtype.elem);
        if tensor.io == hir::Io::InOut {
            let at = t.attrs.iter().position(|w| w.name.name == "fill");
            return self.fail(
                Diagnostic::error("F0102", span, format!("`{name}` is `inout` and has a `fill`"))
                    .note(
                        "`inout` keeps the old value where nothing is written, `fill` replaces it",
                    )
                    .help("remove `fill`, or declare the tensor `out`")
                    .fixed(at.and_then(|i| drop_attribute(&t.attrs, i))),
            );
        }
        let Scalar::Int(v) = fill else {
            return match (is_integer(elem), fits(elem, fill)) {
                (false, false) => self.not_a_value(name, &tensor.dtype, fill, span),
                _ => Ok(()),
            };
        };
        let of_index = match &tensor.dtype.index {
            Some(index) if index.none != Some(v) => {
                let bound = match index.bound {
                    Size::Lit(n) => n,
                    _ => i64::MAX,
                };
                (0..bound).contains(&v)
            }
            _ => true,
        };
        if fits(elem, fill) && of_index {
            return Ok(());
        }
        self.not_a_value(name, &tensor.dtype, fill, span)
    }

    fn not_a_value(
        &mut self,
        name: &str,
        dtype: &hir::DType,
        fill: Scalar,
        span: Span,
    ) -> Checked<()> {
        let shown = match fill {
            Scalar::Int(v) => v.to_string(),
            Scalar::Float(v) => format!("{v:?}"),
        };
        let what = match &dtype.index {
            Some(_) => "an index tensor of another range",
            None => dtype.elem.name(),
        };
        self.fail(
            Diagnostic::error(
                "F0601",
                span,
                format!("`{name}` is {what}, which does not hold {shown}"),
            )
            .note("a fill is a value of the tensor's type")
            .help("fill with a value of the type, or declare a wider one"),
        )
    }

    /// What the attributes ask of the placement, as far as literals decide it.
    pub fn check_attrs(&mut self, t: &ast::Tensor, tensor: &hir::Tensor) -> Checked<()> {
        let span = |name: &str| {
            t.attrs.iter().find(|w| w.name.name == name).map_or(t.name.span, |w| w.span)
        };
        self.check_fill(t, tensor, span("fill"))?;
        if let (Some(Scalar::Float(v)), true) = (tensor.attrs.fill, is_integer(tensor.dtype.elem)) {
            return self.fail(
                Diagnostic::error(
                    "F0601",
                    span("fill"),
                    format!(
                        "`{}` is {}, the value is {v:?}",
                        t.name.name,
                        tensor.dtype.elem.name()
                    ),
                )
                .note("there is no implicit conversion")
                .help("fill with an integer"),
            );
        }
        if let Some((axis, _)) =
            tensor.attrs.stride.iter().find(|(a, _)| !fit::in_memory(tensor, *a))
        {
            let name = &tensor.axes[*axis].name;
            return self.fail(
                Diagnostic::error(
                    "F0311",
                    stride_span(t, name),
                    format!("axis `{name}` has no digit in memory"),
                )
                .note("a stride is the distance of neighbours in one rank's buffer")
                .help("give the stride of an axis that is in memory"),
            );
        }
        let none = Bindings::new();
        let strides =
            fit::strides(&self.hir, tensor, &none, |axis| stride_span(t, &tensor.axes[axis].name));
        let swizzle = fit::swizzle(&self.hir, tensor, &none, span("swizzle"));
        let swizzle = swizzle.or_else(|| aligned(t, tensor));
        let found: Vec<Diagnostic> = strides.into_iter().chain(swizzle).collect();
        if found.is_empty() {
            return Ok(());
        }
        found.into_iter().for_each(|d| self.push(d));
        Err(Stop)
    }
}

/// F0308: a buffer starts where the pattern of its swizzle does, whose rows are eight.
fn aligned(t: &ast::Tensor, tensor: &hir::Tensor) -> Option<Diagnostic> {
    let width = fit::row_bytes(tensor.attrs.swizzle?);
    let (pattern, align) = (8 * width, tensor.attrs.align);
    if align.is_some_and(|a| a >= pattern) {
        return None;
    }
    let word = |name| t.attrs.iter().find(|w| w.name.name == name);
    let wanted = format!("align({pattern})");
    let (at, fix) = match word("align") {
        None => (word("swizzle")?.span, fix_attribute(t, &wanted)),
        Some(given) => (given.span, replace(given.span, wanted.as_str())),
    };
    let claim = format!("a {width}-byte swizzle needs a buffer that is aligned to {pattern} bytes");
    let has = align.map_or("no `align`".to_string(), |a| format!("align({a})"));
    Some(
        Diagnostic::error("F0308", at, claim)
            .label(has)
            .note(format!(
                "the pattern is 8 rows of {width} bytes; tensor cores count them by address"
            ))
            .help(format!("write `{wanted}`"))
            .fixed(fix),
    )
}

fn single(word: &Word) -> Option<&Arg> {
    match word.args.as_deref() {
        Some([arg]) if arg.named.is_none() && arg.binder.is_none() => Some(arg),
        _ => None,
    }
}

/// The stride of that axis, in the attributes.
fn stride_span(t: &ast::Tensor, axis: &str) -> Span {
    let args =
        t.attrs.iter().filter(|w| w.name.name == "stride").flat_map(|w| w.args.iter().flatten());
    args.filter(|a| a.binder.iter().flatten().any(|b| b.name == axis))
        .map(|a| a.binder.iter().flatten().fold(a.value.span, |span, b| span.to(b.span)))
        .next()
        .unwrap_or(t.name.span)
}
