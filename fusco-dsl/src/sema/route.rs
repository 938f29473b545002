//! Routes: each destination variable gets one value, in text order, in an order that is written.

use super::checker::{Checked, Checker, Stop};
use super::hir::{self, OrElse, Order, Step, Var, VarExtent};
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
            let step = self.route_step(r, &mut route, step)?;
            route.steps.push(step);
        }
        self.names_are_used(r, &route)?;
        self.sources_have_extents(&route)?;
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

    /// F0101: a name that is no destination is one that a later row computes with.
    fn names_are_used(&mut self, r: &ast::Route, route: &hir::Route) -> Checked<()> {
        let own = r.sources.len() + r.dests.len();
        let unused = route.vars.iter().skip(own).find(|(var, _)| {
            let reads = |s: &Step| matches!(s, Step::Bind { value, .. } if value.mentions(*var));
            !route.steps.iter().any(reads)
        });
        let Some((_, var)) = unused else { return Ok(()) };
        let name = r.steps.iter().find_map(|s| match s {
            ast::Step::Bind { name, .. } if name.name == var.name => Some(name),
            _ => None,
        });
        let Some(name) = name else { return Ok(()) };
        let names: Vec<&str> = r.dests.iter().map(|d| d.name.as_str()).collect();
        self.fail(unknown("F0101", "destination", name, &names))
    }

    fn route_step(
        &mut self,
        r: &ast::Route,
        route: &mut hir::Route,
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
                // A destination, or a name of the body alone.
                let found = route.vars.iter().find(|(_, v)| v.name == name.name).map(|(v, _)| v);
                let var = found.unwrap_or_else(|| {
                    let extent = route.vars[route.dests[1]].extent.clone();
                    route.vars.append(Var { name: name.name.clone(), extent })
                });
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
                if let Ast::Call { base, args } = &value.kind
                    && text::expr(base) == "slot"
                {
                    if let Some(word) = orelse {
                        return self.unsupported(word.span, "`else` on a slot");
                    }
                    return self.slot(r, route, var, value, args, order.as_ref(), *span);
                }
                if let Some(order) = order {
                    return self.unsupported(order.span, "`by` on anything but a slot");
                }
                if route.dests[1] == var {
                    let what = "a second destination that is no slot";
                    return self.unsupported(value.span, what);
                }
                self.bind_step(route, var, value, orelse.as_ref(), *span)
            }
        }
    }

    pub(super) fn orelse(&mut self, word: &Word) -> Checked<OrElse> {
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
        let bound = route.steps.iter().find_map(|s| defines(s).filter(|v| *v == route.dests[0]));
        if route.dests[0] == var {
            return self.unsupported(value.span, "a slot as the first destination");
        }
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

fn defines(step: &Step) -> Option<Handle<Var>> {
    match step {
        Step::Bind { var, .. } | Step::Slot { var, .. } => Some(*var),
        Step::Cap { .. } => None,
    }
}
