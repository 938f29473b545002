//! What somebody probably meant: words of other libraries, what was left out, and what works today instead.
//!
//! Enters: a construct that is refused. Leaves: the diagnostic in the user's words, with an edit where one is sure.

use super::checker::{Checked, Checker};
use super::edits::insert;
use super::frame::Frame;
use super::hir::{self, Axis, Extent, Size};
use super::scope::Symbol;
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Decl, Expr, ExprKind, Ident};
use crate::syntax::words;

impl Checker<'_> {
    /// A size that nobody declares: `param M: int;` before the first tensor.
    pub fn undeclared_size(&self, name: &Ident, mut diagnostic: Diagnostic) -> Diagnostic {
        if diagnostic.fix.is_some() {
            return diagnostic;
        }
        let first = self.ast.decls.iter().find_map(|d| match d {
            Decl::Tensor(t) => Some(t.io_span.start),
            Decl::Dyn(d) => Some(d.span.start),
            _ => None,
        });
        let declaration = format!("param {}: int;", name.name);
        diagnostic.help = Some(format!(
            "declare it: `{declaration}`, given by `--set {}=..`; or `const {} = 1024;`",
            name.name, name.name
        ));
        diagnostic.fix = first.and_then(|at| insert(at, format!("{declaration} ")));
        diagnostic
    }

    /// A call of something that fusco has no function for.
    pub fn no_function(
        &self,
        name: &Ident,
        call: &Expr,
        args: &[ast::Arg],
        known: Diagnostic,
    ) -> Diagnostic {
        let Some(help) = words::collective(&name.name) else { return known };
        // `all_gather(x[m, h], dim=0)`: the tensor alone.
        let others = |rest: &[ast::Arg]| {
            let mesh = |a: &ast::Arg| {
                let name = a.value.as_name().and_then(|n| self.scope.get(n));
                matches!(name, Some(Symbol::Mesh(_) | Symbol::MeshName | Symbol::Alias(_)))
            };
            rest.iter()
                .all(|a| a.named.is_some() || mesh(a) || matches!(a.value.kind, ExprKind::Int(_)))
        };
        let only = match args {
            [arg, rest @ ..] if others(rest) => match &arg.value.kind {
                ExprKind::Index { .. } => Some(text::expr(&arg.value)),
                ExprKind::Name(name) => {
                    self.tensor_axes(name).map(|axes| format!("{name}[{}]", axes.join(", ")))
                }
                _ => None,
            },
            _ => None,
        };
        let replaced =
            only.filter(|_| help.starts_with("collectives") || help.starts_with("nothing is sent"));
        let fix = replaced.map(|replacement| Fix { span: call.span, replacement });
        Diagnostic::error("F0101", name.span, format!("there is no function `{}`", name.name))
            .help(help)
            .fixed(fix)
    }

    /// A placement that is certain to be accepted: a copy on each rank, or what the axes themselves ask for.
    pub fn suggested_placement(&self, axes: &[Axis]) -> String {
        let mut terms: Vec<String> = Vec::new();
        let mut bare: Vec<Option<String>> = axes
            .iter()
            .map(|a| match a.extent {
                Extent::Ragged { .. } => Some(format!("{}.pack(128)", a.name)),
                _ => Some(a.name.clone()),
            })
            .collect();
        let mesh = self.hir.meshes.iter().next().map(|(_, m)| m.axes.clone()).unwrap_or_default();
        for axis in mesh {
            // `t: T[s]` wants `s` on the mesh axis of `T`.
            let owner = axes.iter().find_map(|a| match &a.extent {
                Extent::Fixed(size) => size.dyns().into_iter().find_map(|(of, index)| {
                    let at = self.hir.dyns[of].axes.iter().position(|m| *m == axis)?;
                    match index.get(at) {
                        Some(Size::Coord(i)) => Some(*i),
                        _ => None,
                    }
                }),
                _ => None,
            });
            let name = &self.hir.mesh_axes[axis].name;
            match owner {
                Some(i) => {
                    terms.push(format!("{}/{name}", axes[i].name));
                    bare[i] = None;
                }
                None => terms.push(format!("copy/{name}")),
            }
        }
        terms.extend(bare.into_iter().flatten());
        terms.join(", ")
    }

    /// F0502: a statement over the variables of a route that names no route.
    pub fn forgot_via(&mut self, a: &ast::Assign) -> Checked<()> {
        let mut names = Vec::new();
        for target in &a.targets {
            target.index.iter().for_each(|e| mentioned(e, &mut names));
        }
        mentioned(&a.value, &mut names);
        let ragged = tensors(a).into_iter().any(|name| match self.scope.get(&name) {
            Some(Symbol::Tensor(t)) => {
                let axes = &self.hir.tensors[t].axes;
                axes.iter().any(|x| matches!(x.extent, Extent::Ragged { .. }))
            }
            _ => false,
        });
        let fits = |r: &hir::Route| {
            let all = |vars: &[Handle<hir::Var>]| {
                !vars.is_empty() && vars.iter().all(|v| names.contains(&r.vars[*v].name))
            };
            all(&r.dests)
        };
        let routes: Vec<&hir::Route> =
            self.hir.routes.iter().map(|(_, r)| r).filter(|r| ragged && fits(r)).collect();
        let [first, ..] = routes[..] else { return Ok(()) };
        let dests: Vec<String> =
            first.dests.iter().map(|v| format!("`{}`", first.vars[*v].name)).collect();
        let name = first.name.clone();
        let end = a.value.span.after();
        let fix =
            (routes.len() == 1).then(|| Fix { span: end, replacement: format!(" via {name}") });
        let diagnostic = Diagnostic::error("F0502", end, format!("`via {name}` is missing"))
            .label(format!("{} have no value without the route", dests.join(" and ")))
            .note(format!("route `{name}` says which {} belong to which tuple", dests.join(", ")))
            .help(format!("add `via {name}`"))
            .fixed(fix);
        self.fail(diagnostic)
    }

    /// F0407: a route that statements use and no entry plans.
    pub fn unplanned_routes(&mut self) {
        // A statement that was left out may have planned it.
        if self.diagnostics.has_errors() {
            return;
        }
        let mut found = Vec::new();
        for (handle, route) in self.hir.routes.iter() {
            let entries: Vec<&hir::Entry> = self.hir.entries.iter().collect();
            if entries.iter().any(|e| e.plans.contains(&handle)) {
                continue;
            }
            let Some(entry) = entries.iter().find(|e| e.takes.contains(&handle)) else { continue };
            let name = &route.name;
            let start = entry.stmts.iter().map(|s| s.span).min().unwrap_or(entry.span);
            let fix = (start != entry.span)
                .then(|| insert(start.start, format!("plan {name}; ")))
                .flatten();
            found.push(
                Diagnostic::error("F0407", route.span, format!("no entry plans route `{name}`"))
                    .related(entry.span, "it is used here")
                    .note("`plan` computes which slot each tuple gets; another entry may take it as an argument")
                    .help(format!("add `plan {name};` to entry `{}`", entry.name))
                    .fixed(fix),
            );
        }
        found.into_iter().for_each(|d| self.push(d));
    }

    /// The declaration of a tensor, left out.
    pub fn without_tensor(&self, name: &str) -> Option<Fix> {
        let decl = self.ast.decls.iter().find_map(|d| match d {
            Decl::Tensor(t) if t.name.name == name && t.io_span != t.span => Some(t),
            _ => None,
        })?;
        Some(Fix { span: decl.span, replacement: String::new() })
    }

    /// The dyn's axis at its declaration: `dyn T[gpu]`, where the mesh has one.
    pub fn dyn_by_rank(&self, name: &str) -> Option<Fix> {
        let mut axes = self.hir.mesh_axes.iter();
        let (Some((_, axis)), None) = (axes.next(), axes.next()) else { return None };
        let decl = self.ast.decls.iter().find_map(|d| match d {
            Decl::Dyn(d) if d.name.name == name && d.axes.is_empty() => Some(d),
            _ => None,
        })?;
        insert(decl.name.span.end, format!("[{}]", axis.name))
    }

    /// The index list of a statement's left side, where swapping it makes the extents fit.
    pub fn left_in_order(&self, frame: &Frame, name: &str) -> Option<(Span, String, String)> {
        let target = frame.target.as_ref()?;
        let Some(Symbol::Tensor(t)) = self.scope.get(&target.name.name) else { return None };
        let axes: Vec<&str> = self.hir.tensors[t].axes.iter().map(|a| a.name.as_str()).collect();
        let given: Vec<&str> = target.index.iter().filter_map(Expr::as_name).collect();
        let (mut g, mut w) = (given.clone(), axes.clone());
        if given == axes || !given.contains(&name) {
            return None;
        }
        g.sort_unstable();
        w.sort_unstable();
        let span = target.index.first()?.span.to(target.index.last()?.span);
        (g == w).then(|| (span, target.name.name.clone(), axes.join(", ")))
    }
}

/// Every name in indices and reducers of an expression.
fn mentioned(e: &Expr, out: &mut Vec<String>) {
    match &e.kind {
        ExprKind::Name(name) => out.push(name.clone()),
        ExprKind::Neg(inner) => mentioned(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            mentioned(lhs, out);
            mentioned(rhs, out);
        }
        ExprKind::Index { args, .. } => args.iter().for_each(|a| mentioned(a, out)),
        ExprKind::Call { args, .. } => args.iter().for_each(|a| mentioned(&a.value, out)),
        _ => {}
    }
}

/// Names that are indexed on either side.
fn tensors(a: &ast::Assign) -> Vec<String> {
    fn read(e: &Expr, out: &mut Vec<String>) {
        match &e.kind {
            ExprKind::Index { base, args } => {
                if let ExprKind::Name(name) = &base.kind {
                    out.push(name.clone());
                }
                args.iter().for_each(|a| read(a, out));
            }
            ExprKind::Neg(inner) => read(inner, out),
            ExprKind::Binary { lhs, rhs, .. } => {
                read(lhs, out);
                read(rhs, out);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(|a| read(&a.value, out)),
            _ => {}
        }
    }
    let mut out: Vec<String> = a.targets.iter().map(|t| t.name.name.clone()).collect();
    read(&a.value, &mut out);
    out
}
