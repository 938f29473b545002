//! The right side of a statement: rows, integers of the bound variables, sums, plan metadata.

use super::checker::{Checked, Checker, Stop};
use super::dtype::is_integer;
use super::extent::arithmetic;
use super::frame::{CountOf, Frame};
use super::hir::{self, BinOp, Elem, Expr, ExprKind, Extent, Reducer, Scalar, Size};
use super::scope::{Symbol, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ROUNDED;
use crate::syntax::ast::{self, Arg, ExprKind as Ast, Ident};

const CALLS: [&str; 9] =
    ["cast", "sum", "max", "min", "first", "count", "offset", "ends", "dropped"];
/// The numbers of a plan.
const METADATA: [&str; 4] = ["count", "offset", "ends", "dropped"];
const LATER: [&str; 3] = ["quant", "arrivals", "pick"];

/// Computed from `count(y.c)`, `offset(y.c)`, `ends(y.c)` or `dropped(r, s)`: these read the plan, not the data.
pub(super) fn is_metadata(e: &ast::Expr) -> bool {
    match &e.kind {
        Ast::Call { base, .. } => METADATA.contains(&text::expr(base).as_str()),
        Ast::Neg(inner) => is_metadata(inner),
        Ast::Binary { lhs, rhs, .. } => is_metadata(lhs) || is_metadata(rhs),
        _ => false,
    }
}

/// A number that is written as it is.
pub(super) fn literal(e: &ast::Expr) -> Option<f64> {
    match &e.kind {
        Ast::Int(v) => Some(*v as f64),
        Ast::Float(v) => Some(*v),
        Ast::Neg(inner) => literal(inner).map(|v| -v),
        _ => None,
    }
}

/// An integer as a literal of arithmetic in that type.
fn in_type(value: i64, number: Elem) -> Scalar {
    match is_integer(number) {
        true => Scalar::Int(value),
        false => Scalar::Float(value as f64),
    }
}

impl Checker<'_> {
    /// `want` is the element type that integers of unknown width take.
    pub fn value(&mut self, frame: &mut Frame, e: &ast::Expr, want: Elem) -> Checked<Expr> {
        let width = if is_integer(want) { want } else { Elem::I64 };
        let (kind, ty) = match (&e.kind, frame.number) {
            (Ast::Int(v), None) => (ExprKind::Scalar(Scalar::Int(*v)), width),
            (Ast::Int(v), Some(number)) => (ExprKind::Scalar(in_type(*v, number)), number),
            (Ast::Float(v), Some(number)) if v.is_finite() && !is_integer(number) => {
                (ExprKind::Scalar(Scalar::Float(*v)), number)
            }
            (Ast::Name(name), _) => {
                self.named_value(frame, &Ident { name: name.clone(), span: e.span }, width)?
            }
            (Ast::Neg(inner), Some(number)) => {
                // Exact, and -0 stays what it is.
                let minus = ExprKind::Scalar(in_type(-1, number));
                let minus = Expr { kind: minus, ty: number, span: e.span };
                let inner = self.value(frame, inner, number)?;
                let (lhs, rhs) = (Box::new(minus), Box::new(inner));
                (ExprKind::Binary { op: BinOp::Mul, lhs, rhs }, number)
            }
            (Ast::Neg(inner), None) => {
                let zero = Expr { kind: ExprKind::Scalar(Scalar::Int(0)), ty: width, span: e.span };
                let inner = self.integer(frame, inner, want)?;
                (
                    ExprKind::Binary { op: BinOp::Sub, lhs: Box::new(zero), rhs: Box::new(inner) },
                    width,
                )
            }
            (Ast::Binary { op: written, lhs, rhs }, number) => match (arithmetic(*written), number)
            {
                (Some(op), Some(number)) => self.tree(frame, e, (op, number), (lhs, rhs))?,
                (Some(op), None) => {
                    let (l, r) = (self.integer(frame, lhs, want), self.integer(frame, rhs, want));
                    (ExprKind::Binary { op, lhs: Box::new(l?), rhs: Box::new(r?) }, width)
                }
                (None, _) => return self.unsupported(e.span, "a condition as a value"),
            },
            (Ast::Index { base, args }, _) => self.read(frame, e, base, args)?,
            (Ast::Call { base, args }, _) => self.call(frame, e, base, args, want)?,
            _ => {
                if let Some(found) = self.foreign_value(frame, e) {
                    return self.fail(found);
                }
                return self.unsupported(e.span, format!("`{}` as a value", text::expr(e)));
            }
        };
        Ok(Expr { kind, ty, span: e.span })
    }

    /// Arithmetic is over bound variables and sizes only; data is moved, not computed.
    fn integer(&mut self, frame: &mut Frame, e: &ast::Expr, want: Elem) -> Checked<Expr> {
        let out = self.value(frame, e, want)?;
        match out.kind {
            ExprKind::Scalar(_)
            | ExprKind::Size(_)
            | ExprKind::Var(_)
            | ExprKind::Count { .. }
            | ExprKind::Offset { .. }
            | ExprKind::Dropped { .. }
            | ExprKind::Binary { .. } => Ok(out),
            _ => self.unsupported(e.span, "this in integer arithmetic"),
        }
    }

    fn tree(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        (op, number): (BinOp, Elem),
        (lhs, rhs): (&ast::Expr, &ast::Expr),
    ) -> Checked<(ExprKind, Elem)> {
        match (op, literal(rhs)) {
            (BinOp::Rem, _) if !is_integer(number) => {
                return self.unsupported(e.span, "`%` of what is no integer");
            }
            (BinOp::Div, None) if !is_integer(number) => {
                return self.unsupported(e.span, "a division by anything but a literal");
            }
            (BinOp::Div | BinOp::Rem, Some(0.0)) => return self.divides_by_zero(rhs.span),
            _ => {}
        }
        let (l, r) = (self.value(frame, lhs, number), self.value(frame, rhs, number));
        Ok((ExprKind::Binary { op, lhs: Box::new(l?), rhs: Box::new(r?) }, number))
    }

    pub(super) fn divides_by_zero<T>(&mut self, span: Span) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0203", span, "a division by zero").help("divide by another number"),
        )
    }

    pub fn no_value_outside<T>(
        &mut self,
        frame: &Frame,
        span: Span,
        var: Handle<hir::Var>,
        by: Reducer,
    ) -> Checked<T> {
        let (name, by) = (frame.vars[var].name.clone(), by.name());
        self.fail(
            Diagnostic::error(
                "F0502",
                span,
                format!("`{name}` has no value outside of the `{by}`"),
            )
            .note(format!("the {by} has one term for each of its values"))
            .help(format!("read it inside of the `{by}`, as a factor of its terms")),
        )
    }

    fn named_value(
        &mut self,
        frame: &Frame,
        name: &Ident,
        width: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let var = frame.vars.iter().find(|(_, v)| v.name == name.name).map(|(h, _)| h);
        if frame.number.is_some() {
            return self.unsupported(name.span, "an integer in arithmetic on elements");
        }
        if let Some(var) = var {
            return Ok((ExprKind::Var(var), width));
        }
        match self.scope.get(&name.name) {
            Some(Symbol::Const(v)) => Ok((ExprKind::Size(Size::Lit(v)), width)),
            Some(Symbol::Param(p)) if self.hir.params[p].kind == hir::ParamKind::Int => {
                Ok((ExprKind::Size(Size::Param(p)), width))
            }
            Some(Symbol::Mesh(m)) => Ok((ExprKind::Size(Size::Mesh(m)), width)),
            Some(Symbol::Alias(a)) => {
                Ok((ExprKind::Size(self.mesh_product(&self.aliases[a])), width))
            }
            Some(Symbol::Poison) => Err(Stop),
            Some(Symbol::Tensor(t)) => {
                self.mark(&name.name);
                self.arity(t, 0, name.span)?;
                Err(Stop)
            }
            Some(_) => self.unsupported(name.span, format!("`{}` as a value", name.name)),
            None if frame.deferred.iter().any(|n| n.name == name.name) => self.without_extent(name),
            None => {
                let vars: Vec<&str> = frame.vars.iter().map(|(_, v)| v.name.as_str()).collect();
                self.fail(unknown("F0101", "variable or size", name, &vars))
            }
        }
    }

    fn read(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        base: &ast::Expr,
        args: &[ast::Expr],
    ) -> Checked<(ExprKind, Elem)> {
        let Ast::Name(name) = &base.kind else {
            if let Some(found) = self.foreign_value(frame, e) {
                return self.fail(found);
            }
            return self.unsupported(base.span, format!("indexing `{}`", text::expr(base)));
        };
        let tensor = self.tensor_named(&Ident { name: name.clone(), span: base.span })?;
        self.is_there(frame, tensor, e.span)?;
        let index = self.index(frame, tensor, args, e.span)?;
        if !frame.is_static {
            self.behind_route(tensor, e.span)?;
        }
        let elem = self.hir.tensors[tensor].dtype.elem;
        if let Some(number) = frame.number
            && elem.number() != number
        {
            let name = &self.hir.tensors[tensor].name;
            let (from, to) = (elem.name(), number.name());
            let found = Diagnostic::error(
                "F0601",
                e.span,
                format!("`{name}` is {from}, arithmetic on elements is {to} here"),
            )
            .note("there is no implicit conversion");
            return self.fail(match is_integer(number) {
                true => found.help("declare the target f32, or write `cast(f32, ..)` around it"),
                false => found.help(format!("write `cast({to}, {})`", text::expr(e))),
            });
        }
        if frame.number.is_some() && self.hir.tensors[tensor].dtype.index.is_some() {
            return self.unsupported(e.span, "arithmetic on indices");
        }
        Ok((ExprKind::Read { tensor, index }, elem))
    }

    /// F0505 for what has no value yet where it is read.
    fn is_there(&mut self, frame: &Frame, tensor: Handle<hir::Tensor>, span: Span) -> Checked<()> {
        let hir::Tensor { name, io, .. } = &self.hir.tensors[tensor];
        let name = name.clone();
        let written = frame.outputs.iter().rposition(|target| *target == name);
        let error = |claim| Diagnostic::error("F0505", span, format!("`{name}` is {claim}"));
        match (io, written) {
            (hir::Io::Tmp, Some(at)) if at < frame.above => Ok(()),
            (hir::Io::Tmp, written) => {
                let help = match written {
                    Some(_) => "read it in a statement below the one that writes it",
                    None => "write it in this entry, above",
                };
                self.fail(
                    error("read before it is written")
                        .note("a `tmp` has the value that an earlier statement of the same entry gives it")
                        .help(help),
                )
            }
            (_, Some(_)) => self.fail(
                error("an output of this entry")
                    .note("statements of an entry are unordered: its value is not there yet")
                    .help(format!("read it in a second entry, as an `in`, or write a `tmp` first and read `{name}` from it")),
            ),
            (hir::Io::Out, None) => {
                self.unsupported(span, "reading an `out` that another entry writes")
            }
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        base: &ast::Expr,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        if super::tree::is_tree(base) {
            return self.tree_sum(frame, e, args, want);
        }
        let Ast::Name(name) = &base.kind else {
            if let Some(found) = self.foreign_value(frame, e) {
                return self.fail(found);
            }
            return self.unsupported(base.span, format!("`{}(..)`", text::expr(base)));
        };
        match name.as_str() {
            "cast" => self.cast(frame, e, args),
            "sum" => self.reduced(frame, e, (Reducer::Sum, args), want),
            "max" => self.reduced(frame, e, (Reducer::Max, args), want),
            "min" => self.reduced(frame, e, (Reducer::Min, args), want),
            "first" => self.reduced(frame, e, (Reducer::First, args), want),
            name if METADATA.contains(&name) && frame.via.is_some() => {
                self.unsupported(e.span, format!("`{name}` in a statement with `via`"))
            }
            name if METADATA.contains(&name) && frame.number.is_some() => {
                self.unsupported(e.span, format!("`{name}` in arithmetic on elements"))
            }
            "count" | "offset" | "ends" => self.group_metadata(frame, e, name, args, want),
            "dropped" => self.dropped(frame, e, args, want),
            _ if LATER.contains(&name.as_str()) => {
                self.unsupported(e.span, format!("`{name}(..)`"))
            }
            _ => {
                if let Some(found) = self.foreign_value(frame, e) {
                    return self.fail(found);
                }
                let name = Ident { name: name.clone(), span: base.span };
                // What is refused anyway is no help, unless it was misspelt.
                let near = nearest(&name.name, &LATER).is_some();
                let mut known = [&CALLS[..], &ROUNDED[..]].concat();
                known.extend(LATER.iter().filter(|_| near));
                let diagnostic = unknown("F0101", "function", &name, &known);
                let diagnostic = self.no_function(&name, e, args, diagnostic);
                self.fail(diagnostic)
            }
        }
    }

    pub fn malformed<T>(&mut self, e: &ast::Expr, form: &str) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0203", e.span, "these are not the arguments it takes")
                .help(format!("write `{form}`"))
                .fixed(self.reordered(e)),
        )
    }

    pub fn left_and_reduced<T>(&mut self, name: &Ident) -> Checked<T> {
        self.fail(
            Diagnostic::error(
                "F0502",
                name.span,
                format!("`{}` is both on the left and reduced", name.name),
            )
            .help(format!("remove `{}` from the left, or the reducer", name.name)),
        )
    }

    /// `count(y.c)` and `offset(y.c)`, one number for each group.
    fn group_metadata(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        name: &str,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let form = match name {
            "count" => "count(y.c)`, or `count(y.c, s)".to_string(),
            _ => format!("{name}(y.c)"),
        };
        let plain = |arg: &Arg| arg.binder.is_none() && arg.named.is_none();
        let (value, source) = match args {
            [of] if plain(of) => (&of.value, None),
            [of, by] if plain(of) && plain(by) && name == "count" => (&of.value, Some(&by.value)),
            _ => return self.malformed(e, &form),
        };
        let Ast::Field { base, name: axis } = &value.kind else { return self.malformed(e, &form) };
        let Ast::Name(tensor) = &base.kind else { return self.malformed(e, &form) };
        let tensor = self.tensor_named(&Ident { name: tensor.clone(), span: base.span })?;
        let info = &self.hir.tensors[tensor];
        let Some(at) = info.axes.iter().position(|a| a.name == axis.name) else {
            let names: Vec<&str> = info.axes.iter().map(|a| a.name.as_str()).collect();
            let diagnostic = unknown("F0101", "axis", axis, &names);
            return self.fail(diagnostic);
        };
        let (true, Some(parent)) =
            (matches!(info.axes[at].extent, Extent::Ragged { .. }), at.checked_sub(1))
        else {
            let (axis_name, tensor) = (&axis.name, &info.name);
            if let Extent::Counted { rows, .. } = &info.axes[at].extent {
                let names: Vec<&str> = info.axes.iter().map(|a| a.name.as_str()).collect();
                let rows = text::size(&self.hir, rows, &names);
                let diagnostic = Diagnostic::error(
                    "F0406",
                    axis.span,
                    format!(
                        "axis `{axis_name}` of `{tensor}` is counted by `{rows}`, not by a route"
                    ),
                )
                .note(format!("`{name}` reads the plan of the route that counts an axis"))
                .help(format!("its counts are an input already: read `{rows}`"));
                return self.fail(diagnostic);
            }
            let diagnostic = Diagnostic::error(
                "F0406",
                axis.span,
                format!("axis `{axis_name}` of `{tensor}` is not ragged"),
            )
            .note(format!("`{name}` is known to the plan of the route that counts the axis"))
            .help("name a ragged axis");
            return self.fail(diagnostic);
        };
        let Extent::Fixed(groups) = info.axes[parent].extent.clone() else { return Err(Stop) };
        let parent = info.axes[parent].name.clone();
        let source = source.map(|s| self.source_on_left(frame, s)).transpose()?;
        let others = frame.left.iter().filter(|v| source.as_ref().is_none_or(|s| s.0 != **v));
        let named = |v: &&Handle<hir::Var>| frame.vars[**v].name == parent;
        let group = match others.clone().count() {
            1 => others.clone().next(),
            _ => others.clone().find(named),
        };
        let Some(group) = group.copied() else {
            return self.fail(
                Diagnostic::error("F0502", e.span, format!("`{parent}` is not on the left"))
                    .note(format!("`{name}` gives one number for each `{parent}`"))
                    .help(format!("write `..[{parent}] <- {}`", text::expr(e))),
            );
        };
        if !matches!(&frame.vars[group].extent, hir::VarExtent::Fixed(size) if super::facts::same(size, &groups))
        {
            let groups = text::size(&self.hir, &groups, &[]);
            return self.fail(
                Diagnostic::error(
                    "F0202",
                    e.span,
                    format!(
                        "`{name}` gives one number for each `{parent}`, which has extent {groups}"
                    ),
                )
                .help(format!("write it into a tensor `[{parent}: {groups}]`")),
            );
        }
        let from = source.as_ref().map(|(_, name, extent)| (name.clone(), extent.clone()));
        frame.counts.push(CountOf { tensor, from });
        let ty = self.count_type(want, e)?;
        let source = source.map(|(var, ..)| var);
        let kind = match name {
            "count" => ExprKind::Count { tensor, group, source },
            "offset" => ExprKind::Offset { tensor, group },
            _ => self.ends((tensor, at), group, (ty, e.span)),
        };
        Ok((kind, ty))
    }

    /// `ends(y.c)`: the first row behind the group and its padding.
    fn ends(
        &self,
        (tensor, axis): (Handle<hir::Tensor>, usize),
        group: Handle<hir::Var>,
        (ty, span): (Elem, Span),
    ) -> ExprKind {
        let new = |kind| Box::new(Expr { kind, ty, span });
        let binary = |op, lhs, rhs| ExprKind::Binary { op, lhs, rhs };
        let first = new(ExprKind::Offset { tensor, group });
        let rows = new(ExprKind::Count { tensor, group, source: None });
        let terms = &self.hir.tensors[tensor].placement;
        let align = terms.iter().filter(|t| t.axis == axis).find_map(|t| match &t.kind {
            hir::TermKind::Pack(align) => Some(align.clone()),
            _ => None,
        });
        let Some(align) = align else { return binary(BinOp::Add, first, rows) };
        let align = || new(ExprKind::Size(align.clone()));
        let rest = binary(BinOp::Sub, align(), new(ExprKind::Scalar(Scalar::Int(1))));
        let blocks = binary(BinOp::Div, new(binary(BinOp::Add, rows, new(rest))), align());
        binary(BinOp::Add, first, new(binary(BinOp::Mul, new(blocks), align())))
    }

    /// A source by which rows are counted: a variable of the left, its name and its extent.
    fn source_on_left(
        &mut self,
        frame: &Frame,
        s: &ast::Expr,
    ) -> Checked<(Handle<hir::Var>, Ident, Size)> {
        let Ast::Name(name) = &s.kind else { return self.malformed(s, "count(y.c, s)") };
        let var = frame.left.iter().copied().find(|v| frame.vars[*v].name == *name);
        let Some(var) = var else {
            return self.fail(
                Diagnostic::error("F0502", s.span, format!("`{name}` is not on the left"))
                    .help(format!("write `..[{name}, e] <- count(y.c, {name})`")),
            );
        };
        let hir::VarExtent::Fixed(extent) = frame.vars[var].extent.clone() else {
            return self.unsupported(s.span, "`count` by a variable whose extent the data decides");
        };
        Ok((var, Ident { name: name.clone(), span: s.span }, extent))
    }

    /// A source that numbers the ranks of a plan: the route's first, all of whose values are ranks.
    pub(super) fn is_first_source(
        &mut self,
        route: Handle<hir::Route>,
        source: &Ident,
        extent: &Size,
    ) -> Checked<()> {
        let info = &self.hir.routes[route];
        let names: Vec<&str> = info.sources.iter().map(|v| info.vars[*v].name.as_str()).collect();
        let Some(at) = names.iter().position(|n| *n == source.name) else {
            let diagnostic = unknown("F0101", "source", source, &names);
            return self.fail(diagnostic);
        };
        let hir::VarExtent::Fixed(own) = info.vars[info.sources[at]].extent.clone() else {
            return Err(Stop);
        };
        if at != 0 || !self.is_rank(&own) {
            return self
                .unsupported(source.span, "`count` by anything but the rank, the first source");
        }
        if super::facts::same(&own, extent) {
            return Ok(());
        }
        let (name, own) = (&source.name, text::size(&self.hir, &own, &[]));
        self.fail(
            Diagnostic::error(
                "F0202",
                source.span,
                format!("`{name}` has extent {own} in the route"),
            )
            .help("use the same extent on the left"),
        )
    }

    /// `dropped(r, s)`, one number for each rank.
    fn dropped(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let [
            Arg { binder: None, named: None, value: r },
            Arg { binder: None, named: None, value: s },
        ] = args
        else {
            return self.malformed(e, "dropped(r, s)");
        };
        let (Ast::Name(route), Ast::Name(source)) = (&r.kind, &s.kind) else {
            return self.malformed(e, "dropped(r, s)");
        };
        let route = self.route_named(&Ident { name: route.clone(), span: r.span })?;
        let info = &self.hir.routes[route];
        let names: Vec<&str> = info.sources.iter().map(|v| info.vars[*v].name.as_str()).collect();
        let Some(at) = names.iter().position(|n| n == source) else {
            let diagnostic =
                unknown("F0101", "source", &Ident { name: source.clone(), span: s.span }, &names);
            return self.fail(diagnostic);
        };
        let hir::VarExtent::Fixed(extent) = info.vars[info.sources[at]].extent.clone() else {
            return Err(Stop);
        };
        if at != 0 || !self.is_rank(&extent) {
            return self
                .unsupported(s.span, "`dropped` by anything but the rank, the first source");
        }
        let [var] = frame.left[..] else {
            return self.unsupported(e.span, "`dropped` into a tensor of more than the rank axis");
        };
        if frame.vars[var].name != *source {
            return self.unbound_source(source, s);
        }
        if !matches!(&frame.vars[var].extent, hir::VarExtent::Fixed(size) if *size == extent) {
            let extent = text::size(&self.hir, &extent, &[]);
            return self.fail(
                Diagnostic::error(
                    "F0202",
                    s.span,
                    format!("`{source}` has extent {extent} in the route"),
                )
                .help("use the same extent on the left"),
            );
        }
        frame.needs.push(route);
        let ty = self.count_type(want, e)?;
        Ok((ExprKind::Dropped { route, source: var }, ty))
    }

    fn unbound_source<T>(&mut self, source: &str, s: &ast::Expr) -> Checked<T> {
        self.fail(
            Diagnostic::error("F0502", s.span, format!("`{source}` is not on the left"))
                .help(format!("write `..[{source}] <- dropped(..)`")),
        )
    }

    fn count_type(&mut self, want: Elem, e: &ast::Expr) -> Checked<Elem> {
        match want {
            want if is_integer(want) => Ok(want),
            want => self.fail(
                Diagnostic::error(
                    "F0601",
                    e.span,
                    format!("a count is an integer, the target is {}", want.name()),
                )
                .help("declare the target i32, u32 or i64"),
            ),
        }
    }

    /// F0506 and F0601: nothing is converted unless the program says so.
    pub fn same_type(
        &mut self,
        target: Handle<hir::Tensor>,
        value: &Expr,
        written: &ast::Expr,
    ) -> Checked<()> {
        let info = &self.hir.tensors[target];
        let (to, name) = (info.dtype.elem, info.name.clone());
        if to == value.ty {
            return self.same_index(target, value);
        }
        let fix = self.fix_cast(written, value.ty, to);
        let (from, to) = (value.ty.name(), to.name());
        if let Some(Expr { kind: ExprKind::Reduce { by, .. }, .. }) =
            value.sum().filter(|_| !matches!(value.kind, ExprKind::Cast(_)))
        {
            let does = match by {
                Reducer::Sum => "adds",
                Reducer::Max | Reducer::Min => "compares",
                Reducer::First => "computes",
            };
            let by = by.name();
            return self.fail(
                Diagnostic::error(
                    "F0506",
                    value.span,
                    format!("result of `{by}` is {from}, `{name}` is {to}"),
                )
                .note(format!(
                    "`{by}` {does} in {from}; rounding its result is part of the meaning"
                ))
                .help(format!("add `cast({to}, ..)`"))
                .fixed(fix),
            );
        }
        self.fail(
            Diagnostic::error(
                "F0601",
                value.span,
                format!("`{name}` is {to}, the value is {from}"),
            )
            .note("there is no implicit conversion")
            .help(format!("declare `{name}` {from}, or use `cast` or `quant`"))
            .fixed(fix),
        )
    }

    /// A moved index keeps its range.
    fn same_index(&mut self, target: Handle<hir::Tensor>, value: &Expr) -> Checked<()> {
        let Some(to) = &self.hir.tensors[target].dtype.index else { return Ok(()) };
        let ExprKind::Read { tensor, .. } = &value.kind else {
            return self.unsupported(value.span, "a computed value into an index tensor");
        };
        let from = self.hir.tensors[*tensor].dtype.index.as_ref();
        if from.is_some_and(|f| self.equal(&f.bound, &to.bound) && f.none == to.none) {
            return Ok(());
        }
        let name = self.hir.tensors[target].name.clone();
        self.fail(
            Diagnostic::error(
                "F0207",
                value.span,
                format!("the range of `{name}` is not the range of this value"),
            )
            .help("give both the same `ix` type"),
        )
    }
}
