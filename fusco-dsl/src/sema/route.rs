//! Routes: each destination variable gets one value, in text order, in an order that is written.

use super::checker::{Checked, Checker, Stop};
use super::extent::rename;
use super::hir::{self, Expr, ExprKind, Extent, OrElse, Order, Size, Step, Var, VarExtent};
use super::placement::hint;
use super::scope::{Symbol, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, Decl, ExprKind as Ast, Ident, Op, Word};

/// A route as declared, its body not yet read.
pub(super) fn blank(r: &ast::Route) -> hir::Route {
    hir::Route {
        name: r.name.name.clone(),
        docs: r.docs.clone(),
        vars: Default::default(),
        sources: Vec::new(),
        dests: Vec::new(),
        steps: Vec::new(),
        span: r.name.span,
    }
}

impl Checker<'_> {
    pub fn routes(&mut self) {
        let routes = self.decls(|d| if let Decl::Route(r) = d { Some(r) } else { None });
        for (i, r) in routes.into_iter().enumerate() {
            let handle = self.hir.routes.handle(i);
            if let Ok(route) = self.route(r, handle)
                && self.scope.is_first(&r.name)
            {
                self.hir.routes[handle] = route;
                self.scope.set(&r.name.name, Symbol::Route(handle));
            }
        }
    }

    fn route(&mut self, r: &ast::Route, handle: Handle<hir::Route>) -> Checked<hir::Route> {
        let mut route = blank(r);
        for (i, name) in r.sources.iter().chain(&r.dests).enumerate() {
            if let Some(first) =
                r.sources.iter().chain(&r.dests).take(i).find(|n| n.name == name.name)
            {
                let diagnostic = Diagnostic::error(
                    "F0102",
                    name.span,
                    format!("`{}` is declared twice", name.name),
                )
                .related(first.span, "first here");
                return self.fail(diagnostic.help("rename one of them"));
            }
            let var = route
                .vars
                .append(Var { name: name.name.clone(), extent: VarExtent::Ragged(handle) });
            if i < r.sources.len() { route.sources.push(var) } else { route.dests.push(var) }
        }
        if route.dests.len() != 2 {
            return self.unsupported(r.name.span, "a route to other places than `-> (e, c)`");
        }
        for step in &r.steps {
            let step = self.route_step(r, &route, step)?;
            if let Step::Bind { var, value, .. } = &step {
                self.route_extents(&mut route, *var, value)?;
            }
            route.steps.push(step);
        }
        for (i, dest) in r.dests.iter().enumerate() {
            if !route.steps.iter().any(|s| defines(s) == Some(route.dests[i])) {
                return self.fail(
                    Diagnostic::error(
                        "F0502",
                        dest.span,
                        format!(
                            "`{}` is never given a value in route `{}`",
                            dest.name, r.name.name
                        ),
                    )
                    .note("every destination variable is computed from the sources")
                    .help(format!("add `{} = ..;` to the body", dest.name)),
                );
            }
        }
        Ok(route)
    }

    fn route_step(
        &mut self,
        r: &ast::Route,
        route: &hir::Route,
        step: &ast::Step,
    ) -> Checked<Step> {
        match step {
            ast::Step::Cap { cond, orelse, span } => {
                let orelse = self.orelse(orelse)?;
                let Ast::Binary { op: Op::Lt, lhs, rhs } = &cond.kind else {
                    return self.unsupported(cond.span, "a cap other than `c < C`");
                };
                let slot = route
                    .steps
                    .iter()
                    .find_map(|s| if let Step::Slot { var, .. } = s { Some(*var) } else { None });
                match (&lhs.kind, slot) {
                    (Ast::Name(n), Some(slot)) if route.vars[slot].name == *n => {
                        if route.steps.iter().any(|s| matches!(s, Step::Cap { .. })) {
                            return self.unsupported(*span, "a second cap of one route");
                        }
                        Ok(Step::Cap {
                            var: slot,
                            limit: self.size(rhs, &[])?,
                            orelse,
                            span: *span,
                        })
                    }
                    _ => {
                        self.unsupported(lhs.span, "a cap on anything but a slot numbered above it")
                    }
                }
            }
            ast::Step::Bind { name, value, order, orelse, span } => {
                let Some(var) =
                    route.dests.iter().copied().find(|d| route.vars[*d].name == name.name)
                else {
                    if r.sources.iter().any(|s| s.name == name.name) {
                        return self.fail(
                            Diagnostic::error(
                                "F0102",
                                name.span,
                                format!("`{}` is a source of the route", name.name),
                            )
                            .help("give a value to a destination"),
                        );
                    }
                    let names: Vec<&str> = r.dests.iter().map(|d| d.name.as_str()).collect();
                    return self.fail(unknown("F0101", "destination", name, &names));
                };
                if route.steps.iter().any(|s| defines(s) == Some(var)) {
                    return self.fail(
                        Diagnostic::error(
                            "F0102",
                            name.span,
                            format!("`{}` is given a value twice", name.name),
                        )
                        .help("remove one of the rows"),
                    );
                }
                let called = if let Ast::Call { base, args } = &value.kind {
                    Some((text::expr(base), args))
                } else {
                    None
                };
                if let Some((callee, args)) = called.filter(|c| c.0 == "slot") {
                    debug_assert_eq!(callee, "slot");
                    if let Some(word) = orelse {
                        return self.unsupported(word.span, "`else` on a slot");
                    }
                    return self.slot(r, route, var, value, args, order.as_ref(), *span);
                }
                if let Some(order) = order {
                    return self.unsupported(order.span, "`by` on anything but a slot");
                }
                self.bind_step(route, var, value, orelse.as_ref(), *span)
            }
        }
    }

    fn orelse(&mut self, word: &Word) -> Checked<OrElse> {
        match word.name.name.as_str() {
            "drop" if word.args.is_none() => Ok(OrElse::Drop),
            "trap" if word.args.is_none() => Ok(OrElse::Trap),
            name => {
                let mut found = unknown("F0705", "alternative", &word.name, &["drop", "trap"]);
                if let Some(meant) = crate::syntax::words::alternative(name) {
                    found.help = Some(
                        "write `drop` to leave the tuple out, or `trap` for an error".to_string(),
                    );
                    found = found.fix(word.span, meant);
                }
                self.fail(found)
            }
        }
    }

    /// `e = topk[s, t, k] else drop;`
    fn bind_step(
        &mut self,
        route: &hir::Route,
        var: Handle<Var>,
        value: &ast::Expr,
        orelse: Option<&Word>,
        span: crate::source::Span,
    ) -> Checked<Step> {
        let Ast::Index { base, args } = &value.kind else {
            return self.fail(unread(value.span));
        };
        let Ast::Name(name) = &base.kind else {
            return self.fail(unread(base.span));
        };
        if route.steps.iter().any(|s| matches!(s, Step::Bind { .. })) || route.dests[0] != var {
            return self.unsupported(
                value.span,
                "anything but `e = index[..]` and `c = slot(e)` for `(e, c)`",
            );
        }
        let tensor = self.tensor_named(&Ident { name: name.clone(), span: base.span })?;
        let orelse = orelse.map(|w| self.orelse(w)).transpose()?;
        self.behind_route(tensor, base.span)?;
        self.arity(tensor, args.len(), value.span)?;
        let info = &self.hir.tensors[tensor];
        let Some(index) = &info.dtype.index else {
            let diagnostic =
                Diagnostic::error("F0207", base.span, format!("`{name}` is not an index tensor"))
                    .note(format!("its elements are {}, of unknown range", info.dtype.elem.name()))
                    .help(format!("declare it `{name}: ix32(E)[..]`"));
            return self.fail(diagnostic);
        };
        if let (Some(none), None) = (index.none, orelse) {
            return self.fail(
                Diagnostic::error("F0403", value.span, format!("`{name}` may be none ({none})"))
                    .note(format!("its type says `none = {none}`"))
                    .help("add `else drop` or `else trap`")
                    .fix(value.span.after(), " else drop"),
            );
        }
        if info.io != hir::Io::In {
            return self.unsupported(base.span, "a route over an output");
        }
        let elem = info.dtype.elem;
        let mut vars = Vec::new();
        for arg in args {
            let found = if let Ast::Name(n) = &arg.kind {
                route.sources.iter().copied().position(|s| route.vars[s].name == *n)
            } else {
                None
            };
            match found {
                Some(p) if !vars.iter().any(|v| is_var(v, route.sources[p])) => vars.push(Expr {
                    kind: ExprKind::Var(route.sources[p]),
                    ty: hir::Elem::I64,
                    span: arg.span,
                }),
                Some(_) => {
                    return self.unsupported(arg.span, "a source that indexes two axes");
                }
                None => {
                    if let Ast::Name(n) = &arg.kind {
                        let names: Vec<&str> =
                            route.sources.iter().map(|s| route.vars[*s].name.as_str()).collect();
                        return self.fail(unknown(
                            "F0101",
                            "source",
                            &Ident { name: n.clone(), span: arg.span },
                            &names,
                        ));
                    }
                    return self.unsupported(arg.span, "an index that is not a source variable");
                }
            }
        }
        if let Some(free) = route.sources.iter().find(|s| !vars.iter().any(|v| is_var(v, **s))) {
            let free = route.vars[*free].name.clone();
            return self.fail(
                Diagnostic::error("F0502", value.span, format!("source `{free}` has no extent"))
                    .note(format!("a source ranges over the axis of `{name}` that it indexes"))
                    .help(format!("index `{name}` by `{free}`, or remove it from the route")),
            );
        }
        let value =
            Expr { kind: ExprKind::Read { tensor, index: vars }, ty: elem, span: value.span };
        Ok(Step::Bind { var, value, orelse, span })
    }

    /// Sources range over the axes they index, the destination over the index type.
    fn route_extents(
        &mut self,
        route: &mut hir::Route,
        var: Handle<Var>,
        value: &Expr,
    ) -> Checked<()> {
        let ExprKind::Read { tensor, index } = &value.kind else { return Ok(()) };
        let info = &self.hir.tensors[*tensor];
        let sources: Vec<_> = index
            .iter()
            .map(|i| route.sources.iter().position(|s| is_var(i, *s)).unwrap_or(0))
            .collect();
        let coords: Vec<_> = sources.iter().map(|s| Some(Size::Coord(*s))).collect();
        for (axis, source) in info.axes.iter().zip(&sources) {
            let Extent::Fixed(size) = &axis.extent else {
                let span = value.span;
                return self.unsupported(span, "a route over a ragged axis");
            };
            let size = rename(size, &coords).unwrap_or_else(|| size.clone());
            if let Size::Dyn { index, .. } = &size
                && index.iter().any(|i| matches!(i, Size::Coord(c) if c >= source))
            {
                let name = &route.vars[route.sources[*source]].name;
                let what = format!("source `{name}` before the source that its extent reads");
                return self.unsupported(value.span, what);
            }
            route.vars[route.sources[*source]].extent = VarExtent::Fixed(size);
        }
        let bound = info.dtype.index.as_ref().map_or(Size::Lit(1), |i| i.bound.clone());
        route.vars[var].extent = VarExtent::Fixed(bound);
        Ok(())
    }

    /// `c = slot(e) by (s, t, k);`
    #[expect(clippy::too_many_arguments, reason = "one row of the grammar, taken apart")]
    fn slot(
        &mut self,
        r: &ast::Route,
        route: &hir::Route,
        var: Handle<Var>,
        value: &ast::Expr,
        args: &[ast::Arg],
        order: Option<&ast::Order>,
        span: crate::source::Span,
    ) -> Checked<Step> {
        let bound = route
            .steps
            .iter()
            .find_map(|s| if let Step::Bind { var, .. } = s { Some(*var) } else { None });
        let group = match args {
            [arg] if arg.binder.is_none() && arg.named.is_none() => {
                bound.filter(|b| text::expr(&arg.value) == route.vars[*b].name)
            }
            _ => None,
        };
        let Some(group) = group else {
            return self
                .unsupported(value.span, "a slot of anything but the destination bound above it");
        };
        let sources: Vec<&str> = r.sources.iter().map(|s| s.name.as_str()).collect();
        let all = sources.join(", ");
        let Some(order) = order else {
            return self.fail(
                Diagnostic::error("F0401", value.span, "slot order is part of the meaning")
                    .label("which tuple comes first?")
                    .note("without an order two runs may number the same tuples differently")
                    .help(format!("add `by ({all})` or `by any`"))
                    .fix(value.span.after(), format!(" by ({all})")),
            );
        };
        if order.keys.len() == 1 && order.keys[0].name == "any" {
            return Ok(Step::Slot { var, group, order: Order::Any, by: order.span, span });
        }
        let mut keys = Vec::new();
        for key in &order.keys {
            match r.sources.iter().position(|s| s.name == key.name) {
                Some(i) if keys.contains(&route.sources[i]) => {
                    return self.fail(
                        Diagnostic::error(
                            "F0402",
                            key.span,
                            format!("key `{}` appears twice", key.name),
                        )
                        .help("remove one"),
                    );
                }
                Some(i) => keys.push(route.sources[i]),
                None => return self.fail(unknown("F0101", "source", key, &sources)),
            }
        }
        let missing: Vec<&str> = route
            .sources
            .iter()
            .filter(|s| !keys.contains(s))
            .map(|s| route.vars[*s].name.as_str())
            .collect();
        if !missing.is_empty() {
            let given = order.keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>().join(", ");
            return self.fail(
                Diagnostic::error(
                    "F0402",
                    order.span,
                    format!(
                        "keys ({given}) do not order the tuples; {} is missing",
                        missing.join(", ")
                    ),
                )
                .note(format!(
                    "two tuples that differ in {} only have equal keys",
                    missing.join(", ")
                ))
                .help(format!("write `by ({given}, {})`", missing.join(", ")))
                .fix(order.span, format!("by ({given}, {})", missing.join(", "))),
            );
        }
        Ok(Step::Slot { var, group, order: Order::Keys(keys), by: order.span, span })
    }

    /// The tensor of that name, marked as used.
    pub fn tensor_named(&mut self, name: &Ident) -> Checked<Handle<hir::Tensor>> {
        self.mark(&name.name);
        match self.scope.get(&name.name) {
            Some(Symbol::Tensor(t)) => Ok(t),
            Some(Symbol::Poison) => Err(Stop),
            Some(_) => self.fail(
                Diagnostic::error("F0101", name.span, format!("`{}` is not a tensor", name.name))
                    .help("index a tensor"),
            ),
            None => self.unknown_name("F0101", "tensor", name, |s| matches!(s, Symbol::Tensor(_))),
        }
    }

    pub fn route_named(&mut self, name: &Ident) -> Checked<Handle<hir::Route>> {
        match self.scope.get(&name.name) {
            Some(Symbol::Route(r)) => Ok(r),
            Some(Symbol::Poison) => Err(Stop),
            Some(_) => self.fail(
                Diagnostic::error(
                    "F0101",
                    name.span,
                    format!(
                        "`{}` is not a route{}",
                        name.name,
                        hint(&name.name, &self.scope.names(|s| matches!(s, Symbol::Route(_))))
                    ),
                )
                .help("name a route"),
            ),
            None if self.scope.names(|s| matches!(s, Symbol::Route(_))).is_empty() => {
                let mut found = unknown("F0101", "route", name, &[]);
                found.notes.push(
                    "data decides where the rows of a route go; other statements need none".into(),
                );
                found.help = Some(format!(
                    "leave it out, or declare it: `route {}: (s, t, k) -> (e, c) {{ .. }}`",
                    name.name
                ));
                self.scope.poison(name);
                self.fail(found)
            }
            None => self.unknown_name("F0101", "route", name, |s| matches!(s, Symbol::Route(_))),
        }
    }

    /// F0203: as many indices as axes.
    pub fn arity(
        &mut self,
        tensor: Handle<hir::Tensor>,
        got: usize,
        span: crate::source::Span,
    ) -> Checked<()> {
        let info = &self.hir.tensors[tensor];
        if info.axes.len() == got {
            return Ok(());
        }
        let axes = info.axes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
        let diagnostic = Diagnostic::error(
            "F0203",
            span,
            format!("`{}` has {} axes [{axes}], got {got} indices", info.name, info.axes.len()),
        )
        .help(format!("write `{}[{axes}]`", info.name))
        .fix(span, format!("{}[{axes}]", info.name));
        self.fail(diagnostic)
    }
}

fn is_var(e: &Expr, var: Handle<Var>) -> bool {
    matches!(e.kind, ExprKind::Var(v) if v == var)
}

fn defines(step: &Step) -> Option<Handle<Var>> {
    match step {
        Step::Bind { var, .. } | Step::Slot { var, .. } => Some(*var),
        Step::Cap { .. } => None,
    }
}

/// F0999: a coordinate that is computed.
fn unread(span: crate::source::Span) -> Diagnostic {
    let mut found =
        super::checker::unsupported(span, "a destination that is not read from an index tensor");
    found.help = Some(
        "a coordinate is read, `e = topk[s, t, k]`, or the place in its group, `c = slot(e) by (s, t, k)`; compute others outside, into an index tensor"
            .to_string(),
    );
    found
}
