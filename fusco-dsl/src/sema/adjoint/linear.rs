//! What makes a statement linear: a product of tensor elements, possibly summed and rounded, to which others may be
//! added.

use super::pass::{Found, Left, Pass, Stop};
use crate::diag::Diagnostic;
use crate::sema::checker::unsupported;
use crate::sema::text;
use crate::sema::value::{is_metadata, literal};
use crate::syntax::ast::{Arg, Assign, Expr, ExprKind, Ident, Op, Tensor};
use std::borrow::Cow;

/// A linear statement: its value is a product of factors, of which one is the input.
pub(super) struct Linear<'s> {
    pub factors: Vec<Cow<'s, Expr>>,
    /// The product is summed, or there is no arithmetic around it.
    pub routed: bool,
    /// The factor that is differentiated.
    pub at: usize,
    pub input: Tensor,
    pub index: &'s [Expr],
    pub output: Tensor,
}

/// Functions that are not linear, and why.
const NOT_LINEAR: [(&str, &str); 4] = [
    ("quant", "the scale of a block depends on its values: quant(a + b) != quant(a) + quant(b)"),
    ("max", "it keeps one of its arguments: max(a + b) != max(a) + max(b)"),
    ("min", "it keeps one of its arguments: min(a + b) != min(a) + min(b)"),
    ("first", "it keeps one of its arguments: which one depends on the tuples that are kept"),
];

pub(super) fn is_float(elem: &str) -> bool {
    matches!(elem, "f64" | "f32" | "f16" | "bf16" | "e4m3" | "e5m2")
}

impl Pass<'_> {
    /// The statement as a linear map of its input; `None` if it is a constant (integers, plan metadata) or
    /// does not read `input`.
    pub(super) fn linear<'s>(
        &mut self,
        a: &'s Assign,
        input: Option<&Ident>,
    ) -> Found<Option<Linear<'s>>> {
        self.no_function(a, &a.value)?;
        let [target] = a.targets.as_slice() else {
            return self
                .fail(unsupported(a.span, "the adjoint of a statement with several targets"));
        };
        // An unknown tensor is reported where the entry is checked.
        let Some(output) = self.tensor(&target.name.name).cloned() else { return Err(Stop) };
        if !is_float(&output.dtype.name.name) || is_metadata(&a.value) {
            return Ok(None);
        }
        let mut terms = Vec::new();
        self.terms(&a.value, &mut Vec::new(), &mut terms)?;
        let alone = terms.len() == 1;
        let Some(term) = self.term(a, &terms, input)? else { return Ok(None) };
        let other_terms = terms.iter().enumerate().filter(|(i, _)| *i != term);
        let others: Vec<String> = other_terms
            .flat_map(|(_, t)| self.float_reads(&t.factors).into_iter().map(|i| &t.factors[i]))
            .filter_map(|e| read_of(e).map(|(name, _)| name.to_string()))
            .collect();
        let Term { factors, summed } = terms.swap_remove(term);
        let reads = self.float_reads(&factors);
        self.once(a, &factors, &reads)?;
        let Some(at) = self.choose(a, &factors, &reads, input)? else { return Ok(None) };
        let Cow::Borrowed(chosen) = factors[at] else { return Err(Stop) };
        let Some((name, index)) = read_of(chosen) else { return Err(Stop) };
        if others.iter().any(|other| other == name) {
            return self.read_twice(a, name);
        }
        if input.is_none() {
            let left = reads.iter().filter(|i| **i != at).filter_map(|i| read_of(&factors[*i]));
            let left = left.map(|(other, _)| other.to_string()).chain(others);
            self.left.extend(left.map(|other| Left {
                statement: a.clone(),
                made: name.to_string(),
                other,
            }));
        }
        let Some(tensor) = self.tensor(name).cloned() else { return Err(Stop) };
        Ok(Some(Linear { factors, routed: summed || alone, at, input: tensor, index, output }))
    }

    /// F0805 at a call that is not linear.
    fn no_function(&mut self, a: &Assign, e: &Expr) -> Found<()> {
        if let ExprKind::Call { base, .. } = &e.kind {
            let name = base_name(base);
            if let Some((name, why)) = NOT_LINEAR.iter().find(|(f, _)| *f == name) {
                let target = a.targets.first().map_or("", |t| &t.name.name);
                return self.fail(
                    Diagnostic::error(
                        "F0805",
                        e.span,
                        format!("not linear: `{target}` is a `{name}`"),
                    )
                    .label("has no adjoint")
                    .note(*why)
                    .help("write the backward of this entry by hand, as an entry of its own"),
                );
            }
        }
        children(e).into_iter().try_for_each(|inner| self.no_function(a, inner))
    }

    /// The products that a value is the sum of; `scale` is what all of it is multiplied by.
    fn terms<'s>(
        &mut self,
        e: &'s Expr,
        scale: &mut Vec<Cow<'s, Expr>>,
        out: &mut Vec<Term<'s>>,
    ) -> Found<()> {
        let minus = |span| number(-1.0, span);
        match &e.kind {
            ExprKind::Call { base, args } if base_name(base) == "cast" && args.len() == 2 => {
                return self.terms(&args[1].value, scale, out);
            }
            ExprKind::Binary { op: op @ (Op::Add | Op::Sub), lhs, rhs } => {
                self.terms(lhs, scale, out)?;
                let depth = scale.len();
                scale.extend((*op == Op::Sub).then(|| minus(e.span)));
                self.terms(rhs, scale, out)?;
                scale.truncate(depth);
                return Ok(());
            }
            ExprKind::Neg(inner) if self.has_tensor(inner) => {
                scale.push(minus(e.span));
                self.terms(inner, scale, out)?;
                scale.pop();
                return Ok(());
            }
            ExprKind::Binary { op: Op::Mul, lhs, rhs } => {
                let sides = [(lhs, rhs), (rhs, lhs)];
                let around = sides.into_iter().find(|(c, e)| is_literal(c) && is_more(e));
                if let Some((literal, inner)) = around {
                    scale.push(Cow::Borrowed(literal));
                    self.terms(inner, scale, out)?;
                    scale.pop();
                    return Ok(());
                }
            }
            ExprKind::Binary { op: Op::Div, lhs, rhs } => {
                if let Some(by) = literal(rhs).filter(|by| *by != 0.0) {
                    scale.push(number(1.0 / by, rhs.span));
                    self.terms(lhs, scale, out)?;
                    scale.pop();
                    return Ok(());
                }
            }
            _ => {}
        }
        let mut factors = scale.clone();
        self.product(e, &mut factors)?;
        let summed = matches!(&e.kind, ExprKind::Call { base, .. } if base_name(base) == "sum");
        out.push(Term { factors, summed });
        Ok(())
    }

    /// The one that reads the input, or the one that is summed among several; none if no term reads it.
    fn term(&mut self, a: &Assign, terms: &[Term], input: Option<&Ident>) -> Found<Option<usize>> {
        let reads = |t: &Term, name: &str| {
            t.factors.iter().any(|f| read_of(f).is_some_and(|(found, _)| found == name))
        };
        let Some(input) = input else {
            return Ok(Some(terms.iter().position(|t| t.summed).unwrap_or(0)));
        };
        let mut found = (0..terms.len()).filter(|i| reads(&terms[*i], &input.name));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => self.read_twice(a, &input.name),
            (first, _) => Ok(first),
        }
    }

    /// Its gradient would be the sum of two.
    fn read_twice<T>(&mut self, a: &Assign, name: &str) -> Found<T> {
        let what = format!("the adjoint of `{name}`, which is added twice");
        self.fail(unsupported(a.span, what))
    }

    /// Through `cast` and `sum`, which are linear, to the factors of the product.
    fn product<'s>(&mut self, e: &'s Expr, out: &mut Vec<Cow<'s, Expr>>) -> Found<()> {
        match &e.kind {
            ExprKind::Binary { op: Op::Mul, lhs, rhs } => {
                self.product(lhs, out)?;
                self.product(rhs, out)
            }
            ExprKind::Call { base, args } => match (base_name(base), args.as_slice()) {
                ("cast", [_, inner]) => self.product(&inner.value, out),
                ("sum", [Arg { binder: Some(_), value, .. }, ..]) => self.product(value, out),
                _ => self.fail(unsupported(e.span, format!("the adjoint of `{}`", text::expr(e)))),
            },
            _ if read_of(e).is_none() && self.has_tensor(e) => {
                self.fail(unsupported(e.span, format!("the adjoint of `{}`", text::expr(e))))
            }
            _ => {
                out.push(Cow::Borrowed(e));
                Ok(())
            }
        }
    }

    fn has_tensor(&self, e: &Expr) -> bool {
        read_of(e).is_some_and(|(name, _)| self.tensor(name).is_some())
            || children(e).into_iter().any(|inner| self.has_tensor(inner))
    }

    /// The factors that are elements of float tensors.
    fn float_reads(&self, factors: &[Cow<Expr>]) -> Vec<usize> {
        let float = |e: &Expr| {
            read_of(e)
                .and_then(|(name, _)| self.tensor(name))
                .is_some_and(|t| is_float(&t.dtype.name.name))
        };
        (0..factors.len()).filter(|i| float(&factors[*i])).collect()
    }

    /// F0805: a constant, or a square.
    fn once(&mut self, a: &Assign, factors: &[Cow<Expr>], reads: &[usize]) -> Found<()> {
        let target = &a.targets[0].name.name;
        let name = |i: &usize| read_of(&factors[*i]).map_or("", |(name, _)| name);
        if reads.is_empty() {
            return self.fail(
                Diagnostic::error(
                    "F0805",
                    a.value.span,
                    format!("not linear: `{target}` is a constant"),
                )
                .note("a linear map sends zero to zero; this value reads no float tensor")
                .help("write the constant in an entry of its own"),
            );
        }
        match (1..reads.len()).find(|i| reads[..*i].iter().any(|j| name(j) == name(&reads[*i]))) {
            None => Ok(()),
            Some(i) => {
                let twice = name(&reads[i]);
                self.fail(
                    Diagnostic::error(
                        "F0805",
                        factors[reads[i]].span,
                        format!("not linear: `{target}` is a product of `{twice}` with itself"),
                    )
                    .note(format!("twice `{twice}` would give four times `{target}`"))
                    .help("write the backward of this entry by hand, as an entry of its own"),
                )
            }
        }
    }

    /// The input: the one that is asked for, or the row among scalars.
    fn choose(
        &mut self,
        a: &Assign,
        factors: &[Cow<Expr>],
        reads: &[usize],
        input: Option<&Ident>,
    ) -> Found<Option<usize>> {
        let name = |i: &usize| read_of(&factors[*i]).map_or("", |(name, _)| name);
        if let Some(input) = input {
            return Ok(reads.iter().copied().find(|i| name(i) == input.name));
        }
        let (sources, dests) = self.route(a);
        let mentions = |i: &usize, want: &dyn Fn(&str) -> bool| {
            read_of(&factors[*i])
                .is_some_and(|(_, index)| index.iter().any(|e| e.as_name().is_some_and(want)))
        };
        let free = |v: &str| !sources.iter().chain(&dests).any(|x| x == v);
        let routed = |v: &str| dests.iter().any(|x| x == v);
        let only = |want: &dyn Fn(&str) -> bool| {
            let mut rows = reads.iter().copied().filter(|i| mentions(i, want));
            rows.next().filter(|_| rows.next().is_none())
        };
        let single = reads.first().copied().filter(|_| reads.len() == 1);
        if let Some(at) = single.or_else(|| only(&free)).or_else(|| only(&routed)) {
            return Ok(Some(at));
        }
        let (last, most) = reads.split_last().unwrap_or((&0, &[]));
        let most: Vec<String> = most.iter().map(|i| format!("`{}`", name(i))).collect();
        let row = reads.iter().find(|i| mentions(i, &free)).unwrap_or(last);
        let help = format!("name the one that varies: `adjoint({}, {})`", self.from, name(row));
        self.fail(
            Diagnostic::error(
                "F0805",
                a.value.span,
                format!(
                    "linear in {} and `{}` each, not in all at once",
                    most.join(", "),
                    name(last)
                ),
            )
            .note("an adjoint holds all factors but one fixed")
            .help(help),
        )
    }
}

/// One product of a value.
struct Term<'s> {
    factors: Vec<Cow<'s, Expr>>,
    summed: bool,
}

fn number<'s>(value: f64, span: crate::source::Span) -> Cow<'s, Expr> {
    Cow::Owned(Expr { kind: ExprKind::Float(value), span })
}

fn is_literal(e: &Expr) -> bool {
    literal(e).is_some()
}

/// Whether a value is a sum, or arithmetic on one.
fn is_sum(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Call { base, .. } => base_name(base) == "sum",
        ExprKind::Binary { lhs, rhs, .. } => is_sum(lhs) || is_sum(rhs),
        ExprKind::Neg(inner) => is_sum(inner),
        _ => false,
    }
}

/// Whether a value is more than a product: a sum, or arithmetic.
fn is_more(e: &Expr) -> bool {
    let added = matches!(
        &e.kind,
        ExprKind::Neg(_) | ExprKind::Binary { op: Op::Add | Op::Sub | Op::Div, .. }
    );
    added || is_sum(e)
}

/// `x[..]`, also under casts: the name and the index.
pub(super) fn read_of(e: &Expr) -> Option<(&str, &[Expr])> {
    match &e.kind {
        ExprKind::Index { base, args } => Some((base.as_name()?, args)),
        _ => None,
    }
}

/// Whether a value reads the tensor.
pub(super) fn reads(e: &Expr, tensor: &str) -> bool {
    read_of(e).is_some_and(|(name, _)| name == tensor)
        || children(e).into_iter().any(|inner| reads(inner, tensor))
}

/// `sum` of `sum.any`.
fn base_name(base: &Expr) -> &str {
    match &base.kind {
        ExprKind::Name(name) => name,
        ExprKind::Field { base, .. } => base_name(base),
        _ => "",
    }
}

fn children(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Name(_) => Vec::new(),
        ExprKind::Tuple(args) => args.iter().map(|a| &a.value).collect(),
        ExprKind::Array(items) => items.iter().collect(),
        ExprKind::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        ExprKind::Neg(inner) | ExprKind::Field { base: inner, .. } => vec![inner],
        ExprKind::Index { base, args } => std::iter::once(&**base).chain(args).collect(),
        ExprKind::Call { base, args } => {
            std::iter::once(&**base).chain(args.iter().map(|a| &a.value)).collect()
        }
    }
}
