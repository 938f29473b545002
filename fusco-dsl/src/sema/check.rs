//! The driver: declares every name, then checks each kind of item in the order of its needs.

use super::checker::{Checked, Checker, Stop, unsupported};
use super::facts::Facts;
use super::hir::{self, Program, Size};
use super::scope::{Scope, Symbol};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::source::Span;
use crate::syntax::ast::{self, Decl, Ident};
use std::collections::{BTreeMap, BTreeSet};

/// Checks one program. The program is there exactly when no diagnostic is an error.
pub fn check(ast: &ast::Program) -> (Option<Program>, Diagnostics) {
    match super::adjoint::expand(ast) {
        None => check_expanded(ast),
        Some(expanded) => {
            let (hir, diagnostics) = check_expanded(&expanded.program);
            let diagnostics = expanded.report(diagnostics);
            (hir.filter(|_| !diagnostics.has_errors()), diagnostics)
        }
    }
}

fn check_expanded(ast: &ast::Program) -> (Option<Program>, Diagnostics) {
    let mut checker = Checker {
        ast,
        hir: Program {
            name: ast.name.name.clone(),
            docs: ast.docs.clone(),
            span: ast.span,
            name_span: ast.name.span,
            ..Program::default()
        },
        scope: Scope::default(),
        facts: Facts::default(),
        diagnostics: Diagnostics::default(),
        in_condition: false,
        aliases: Vec::new(),
        arrays: Vec::new(),
        used: BTreeSet::new(),
        counted: BTreeMap::new(),
        written: BTreeMap::new(),
        pending_proves: Vec::new(),
        pending_takes: Vec::new(),
        pending_counts: Vec::new(),
    };
    checker.run();
    let Checker { hir, mut diagnostics, .. } = checker;
    diagnostics.0.sort_by_key(|d| d.span);
    let diagnostics = diagnostics.once().folded("F0208");
    ((!diagnostics.has_errors()).then_some(hir), diagnostics)
}

impl Checker<'_> {
    /// Sizes before tensors, tensors before routes, routes before entries: each reads the former.
    fn run(&mut self) {
        self.declare_names();
        self.consts();
        self.meshes();
        self.params();
        self.dyns();
        self.tensors();
        self.routes();
        self.assumes();
        self.entries();
        self.finish_ragged();
        self.finish_usage();
    }

    fn declare_names(&mut self) {
        for decl in &self.ast.decls {
            match decl {
                Decl::Mesh(mesh) => self.declare_mesh(mesh),
                // Poison until `consts` has their values.
                Decl::Const(c) => self.declare(&c.name, Symbol::Poison),
                Decl::Param(p) => {
                    let param = hir::Param {
                        name: p.name.name.clone(),
                        docs: p.docs.clone(),
                        kind: param_kind(&p.ty),
                        constraints: Vec::new(),
                        span: p.name.span,
                    };
                    let handle = self.hir.params.append(param);
                    self.declare(&p.name, Symbol::Param(handle));
                }
                Decl::Dyn(d) => {
                    let info = hir::Dyn {
                        name: d.name.name.clone(),
                        docs: d.docs.clone(),
                        axes: Vec::new(),
                        bound: Size::Lit(1),
                        span: d.name.span,
                    };
                    let handle = self.hir.dyns.append(info);
                    self.declare(&d.name, Symbol::Dyn(handle));
                }
                // Poison until `tensors` and `routes` have checked them.
                Decl::Tensor(t) => self.declare(&t.name, Symbol::Poison),
                Decl::Route(r) => {
                    self.hir.routes.append(super::route::blank(r));
                    self.declare(&r.name, Symbol::Poison);
                }
                Decl::Entry(e) => self.declare(&e.name, Symbol::Entry),
                Decl::Assume(_) | Decl::Prove(_) => {}
            }
        }
    }

    fn params(&mut self) {
        for p in self.decls(|d| if let Decl::Param(p) = d { Some(p) } else { None }) {
            let Some(Symbol::Param(handle)) = self.scope.get(&p.name.name) else { continue };
            if !matches!(p.ty.name.as_str(), "int" | "ints") {
                self.push(super::scope::unknown("F0101", "type", &p.ty, &["int", "ints"]));
            }
            let is_array = self.hir.params[handle].kind == hir::ParamKind::Ints;
            if let (true, Some(span)) = (is_array, condition_span(p)) {
                self.push(unsupported(span, "a condition on an array"));
                continue;
            }
            let choices = p.choices.as_ref().map(|c| self.choices(handle, c));
            let constraint = p.constraint.as_ref().map(|c| self.cond(c));
            let conds: Vec<_> = [choices, constraint].into_iter().flatten().flatten().collect();
            self.facts.bounded(handle, hir::least(handle, &conds));
            for cond in conds {
                self.facts.learn(&cond);
                self.hir.params[handle].constraints.push(cond);
            }
        }
    }

    /// `in (16, 32)`: one of the values.
    fn choices(&mut self, param: Handle<hir::Param>, list: &ast::Expr) -> Checked<hir::Cond> {
        let ast::ExprKind::Tuple(args) = &list.kind else {
            return self.choice(param, list);
        };
        let mut any: Option<hir::Cond> = None;
        for arg in args {
            let one = self.choice(param, &arg.value)?;
            any = Some(match any {
                Some(before) => hir::Cond {
                    text: format!("{} || {}", before.text, one.text),
                    span: list.span,
                    kind: hir::CondKind::Or(Box::new(before), Box::new(one)),
                },
                None => one,
            });
        }
        any.ok_or(Stop)
    }

    fn choice(&mut self, param: Handle<hir::Param>, e: &ast::Expr) -> Checked<hir::Cond> {
        let rhs = self.size(e, &[])?;
        let name = &self.hir.params[param].name;
        Ok(hir::Cond {
            text: format!("{name} == {}", super::text::expr(e)),
            span: e.span,
            kind: hir::CondKind::Compare { op: hir::CmpOp::Eq, lhs: Size::Param(param), rhs },
        })
    }

    fn dyns(&mut self) {
        for d in self.decls(|d| if let Decl::Dyn(d) = d { Some(d) } else { None }) {
            let Some(Symbol::Dyn(handle)) = self.scope.get(&d.name.name) else { continue };
            self.integer_type(&d.ty);
            for axis in &d.axes {
                match self.mesh_axes(axis) {
                    Ok(mesh) if mesh.len() > 1 && d.axes.len() > 1 => {
                        self.push(unsupported(axis.span, "an alias among several mesh axes"));
                    }
                    Ok(mesh) => self.hir.dyns[handle].axes.extend(mesh),
                    Err(Stop) => self.scope.set(&d.name.name, Symbol::Poison),
                }
            }
            match self.size(&d.bound, &[]) {
                Ok(bound) => self.hir.dyns[handle].bound = bound,
                Err(Stop) => self.scope.set(&d.name.name, Symbol::Poison),
            }
            if let Some(constraint) = &d.constraint {
                self.push(unsupported(constraint.span, "a condition on a `dyn`"));
            }
        }
    }

    fn integer_type(&mut self, ty: &Ident) {
        if ty.name != "int" {
            self.push(super::scope::unknown("F0101", "type", ty, &["int"]));
        }
    }

    /// Every `ragged` axis has one route that counts it.
    fn finish_ragged(&mut self) {
        let tensors: Vec<_> = self.hir.tensors.iter().map(|(h, _)| h).collect();
        for handle in tensors {
            let Some(axis) = self.hir.tensors[handle]
                .axes
                .iter()
                .position(|a| matches!(a.extent, hir::Extent::Ragged { .. }))
            else {
                continue;
            };
            if let Some(counted) = self.counted.get(&handle) {
                let found = counted.route;
                if let hir::Extent::Ragged { route, .. } =
                    &mut self.hir.tensors[handle].axes[axis].extent
                {
                    *route = found;
                }
                self.check_slab(handle, axis, found);
            } else if !self.diagnostics.has_errors() {
                let tensor = &self.hir.tensors[handle];
                let name = &tensor.axes[axis].name;
                if !self.used.contains(&tensor.name) && !self.written.contains_key(&handle) {
                    let fix = self.without_tensor(&tensor.name);
                    let diagnostic = Diagnostic::error("F0406", tensor.span, format!("`{}` is never used, so no route counts its axis `{name}`", tensor.name))
                        .note("the length of a ragged axis is the number of tuples that a route sends to it")
                        .help(format!("remove it, or read or write it with `via r`, or give `{name}` an extent"))
                        .fixed(fix);
                    self.push(diagnostic);
                    continue;
                }
                self.push(
                    Diagnostic::error("F0406", tensor.axes[axis].span, format!("no route counts the ragged axis `{name}` of `{}`", tensor.name))
                        .label("never used `via` a route")
                        .note("the length of a ragged axis is the number of tuples that a route sends to it")
                        .help(format!("read or write `{}` with `via r`, or give `{name}` an extent", tensor.name)),
                );
            }
        }
    }

    /// Names nobody reads (F0105) and outputs nobody writes (F0503); moot once there are errors.
    fn finish_usage(&mut self) {
        if self.diagnostics.has_errors() {
            return;
        }
        for (handle, tensor) in self.hir.tensors.iter() {
            let mut stmts = self.hir.entries.iter().flat_map(|e| &e.stmts);
            let what = match tensor.io {
                hir::Io::In if !self.used.contains(&tensor.name) => "input",
                hir::Io::Tmp if !stmts.any(|s| s.reads().contains(&handle)) => "temporary",
                _ => "",
            };
            if !what.is_empty() {
                let claim = format!("{what} `{}` is never used", tensor.name);
                self.diagnostics.push(Diagnostic {
                    severity: Severity::Warning,
                    ..Diagnostic::error("F0105", tensor.span, claim)
                        .help("remove it, or read it in an entry")
                });
            }
            if tensor.io == hir::Io::Out && !self.written.contains_key(&handle) {
                let diagnostic = Diagnostic::error(
                    "F0503",
                    tensor.span,
                    format!("no entry writes the output `{}`", tensor.name),
                )
                .note("all of its elements would be undefined")
                .help(format!("add a statement `{}[..] <- ..`, or remove it", tensor.name));
                self.diagnostics.push(diagnostic);
            }
        }
    }
}

fn param_kind(ty: &Ident) -> hir::ParamKind {
    if ty.name == "ints" { hir::ParamKind::Ints } else { hir::ParamKind::Int }
}

fn condition_span(p: &ast::Param) -> Option<Span> {
    p.choices.as_ref().or(p.constraint.as_ref()).map(|e| e.span)
}
