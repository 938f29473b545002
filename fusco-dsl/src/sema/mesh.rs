//! Meshes: their axes, aliases and ranges of ranks, known at bind.

use super::checker::{Checked, Checker, Stop, unsupported};
use super::hir::{self, BinOp, Size};
use super::scope::{Symbol, unknown};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Decl, Expr, Ident, Mesh, MeshAxisKind};

impl Checker<'_> {
    /// Declares the axes, with size 1 until `meshes` has read the params.
    pub fn declare_mesh(&mut self, mesh: &Mesh) {
        let of = self.hir.meshes.append(hir::Mesh {
            name: mesh.name.name.clone(),
            first: Size::Lit(0),
            end: None,
            axes: Vec::new(),
            span: mesh.name.span,
        });
        self.declare(&mesh.name, Symbol::MeshName);
        for axis in &mesh.axes {
            match &axis.kind {
                MeshAxisKind::Size(_) => {
                    let info = hir::MeshAxis {
                        name: axis.name.name.clone(),
                        mesh: of,
                        size: Size::Lit(1),
                        span: axis.name.span,
                    };
                    let handle = self.hir.mesh_axes.append(info);
                    self.hir.meshes[of].axes.push(handle);
                    self.declare(&axis.name, Symbol::Mesh(handle));
                }
                // Poison until `meshes` has resolved its parts.
                MeshAxisKind::Alias(_) => self.declare(&axis.name, Symbol::Poison),
            }
        }
    }

    pub fn meshes(&mut self) {
        let meshes = self.decls(|d| if let Decl::Mesh(m) = d { Some(m) } else { None });
        for (i, mesh) in meshes.into_iter().enumerate() {
            let handle = self.hir.meshes.handle(i);
            for axis in &mesh.axes {
                match &axis.kind {
                    MeshAxisKind::Alias(parts) => self.alias(handle, &axis.name, parts),
                    MeshAxisKind::Size(size) => self.mesh_size(&axis.name, size),
                }
            }
            if let Some((first, end)) = &mesh.at {
                self.mesh_range(handle, first, end);
            }
        }
    }

    /// `rank = (node, gpu)`: parts are axes of the same mesh, each once.
    fn alias(&mut self, mesh: Handle<hir::Mesh>, name: &Ident, parts: &[Ident]) {
        let mut axes: Vec<Handle<hir::MeshAxis>> = Vec::new();
        for part in parts {
            let Ok(found) = self.mesh_axes(part) else {
                // Poison without a report so far: an alias that is declared further down.
                if !self.diagnostics.has_errors() {
                    self.push(unsupported(part.span, "an alias of an alias declared below it"));
                }
                return;
            };
            for axis in found {
                if self.hir.mesh_axes[axis].mesh != mesh {
                    let here = self.hir.meshes[mesh].name.clone();
                    let other = self.hir.meshes[self.hir.mesh_axes[axis].mesh].name.clone();
                    return self.push(
                        Diagnostic::error(
                            "F0306",
                            part.span,
                            format!("`{}` is in mesh {other}, the alias in {here}", part.name),
                        )
                        .note("an alias is one number over the axes of its own mesh")
                        .help(format!("name axes of `{here}`")),
                    );
                }
                if axes.contains(&axis) {
                    return self.push(
                        Diagnostic::error(
                            "F0302",
                            part.span,
                            format!("`{}` is used twice in the alias `{}`", part.name, name.name),
                        )
                        .note("a rank has one coordinate on a mesh axis")
                        .help("name each axis once"),
                    );
                }
                axes.push(axis);
            }
        }
        if self.scope.is_first(name) {
            self.aliases.push(axes);
            self.scope.set(&name.name, Symbol::Alias(self.aliases.len() - 1));
        }
    }

    /// `at first..end`: as many ranks as the product of the axes; what params decide waits for bind.
    fn mesh_range(&mut self, mesh: Handle<hir::Mesh>, first: &Expr, end: &Expr) {
        let (Ok(from), Ok(to)) = (self.size(first, &[]), self.size(end, &[])) else { return };
        if !bind_only(&from) || !bind_only(&to) {
            return self.push(unsupported(
                first.span.to(end.span),
                "a range of ranks that reads a mesh axis or a `dyn`",
            ));
        }
        let info = &mut self.hir.meshes[mesh];
        (info.first, info.end) = (from, Some(to));
        let none = hir::Bindings::new();
        let Some((from, to, ranks)) = self.hir.mesh_range(mesh, &none) else { return };
        if from < 0 || to.checked_sub(from) != Some(ranks) {
            let start = from.max(0);
            let range = format!("{start}..{}", start.saturating_add(ranks));
            let diagnostic = wrong_range(&self.hir.meshes[mesh], (from, to, ranks))
                .fix(first.span.to(end.span), range);
            self.push(diagnostic);
        }
    }

    /// Literals, consts and params only: a mesh axis or `dyn` in it could be circular.
    fn mesh_size(&mut self, name: &Ident, e: &Expr) {
        let Some(Symbol::Mesh(handle)) = self.scope.get(&name.name) else { return };
        match self.size(e, &[]) {
            Ok(Size::Lit(n)) if n < 1 => {
                self.scope.set(&name.name, Symbol::Poison);
                self.push(
                    Diagnostic::error(
                        "F0301",
                        e.span,
                        format!("mesh axis `{}` has no ranks", name.name),
                    )
                    .note(format!("{n} < 1"))
                    .help("give it a size of at least 1"),
                );
            }
            Ok(size) if bind_only(&size) => {
                self.facts.mesh(handle, size.clone());
                self.hir.mesh_axes[handle].size = size;
            }
            Ok(_) => self
                .push(unsupported(e.span, "a mesh axis whose size reads a mesh axis or a `dyn`")),
            Err(Stop) => self.scope.set(&name.name, Symbol::Poison),
        }
    }

    /// The mesh axis of that name, or the axes of that alias, major first; F0104 without either.
    pub fn mesh_axes(&mut self, name: &Ident) -> Checked<Vec<Handle<hir::MeshAxis>>> {
        match self.scope.get(&name.name) {
            Some(Symbol::Mesh(m)) => Ok(vec![m]),
            Some(Symbol::Alias(a)) => Ok(self.aliases[a].clone()),
            Some(Symbol::Poison) => Err(Stop),
            _ => {
                let axes = self.scope.names(|s| matches!(s, Symbol::Mesh(_) | Symbol::Alias(_)));
                let listed = if axes.is_empty() {
                    "the program has no mesh".to_string()
                } else {
                    format!("axes are {}", axes.join(", "))
                };
                let mut diagnostic = unknown("F0104", "mesh axis or alias", name, &axes);
                diagnostic.notes.push(listed);
                if axes.is_empty() {
                    self.missing_mesh(name, &mut diagnostic);
                } else if let Some(Symbol::MeshName) = self.scope.get(&name.name) {
                    diagnostic.message = format!("`{}` is a mesh, not an axis of one", name.name);
                    diagnostic.help = Some(format!("write its axis, `{}`", axes[0]));
                    if let [axis] = axes[..] {
                        diagnostic = diagnostic.fix(name.span, axis);
                    }
                }
                if self.scope.get(&name.name).is_none() {
                    self.scope.poison(name);
                }
                self.fail(diagnostic)
            }
        }
    }

    /// The number of ranks along mesh axes, as a size.
    pub fn mesh_product(&self, axes: &[Handle<hir::MeshAxis>]) -> Size {
        let product = axes.iter().map(|a| Size::Mesh(*a)).reduce(|a, b| Size::Binary {
            op: BinOp::Mul,
            lhs: Box::new(a),
            rhs: Box::new(b),
        });
        product.unwrap_or(Size::Lit(1))
    }

    /// Whether a variable of this extent is a rank: a mesh axis, or an alias of several.
    pub fn is_rank(&self, extent: &Size) -> bool {
        match extent {
            Size::Mesh(_) => true,
            Size::Binary { op: BinOp::Mul, lhs, rhs } => self.is_rank(lhs) && self.is_rank(rhs),
            _ => false,
        }
    }
}

impl hir::Program {
    /// The declared range of a mesh and the product of its axes; `None` without `at`, or where a number
    /// is not known.
    pub fn mesh_range(
        &self,
        mesh: Handle<hir::Mesh>,
        bound: &hir::Bindings,
    ) -> Option<(i64, i64, i64)> {
        let info = &self.meshes[mesh];
        let ranks = info.axes.iter().try_fold(1i64, |n, axis| {
            n.checked_mul(self.eval(&self.mesh_axes[*axis].size, bound)?)
        })?;
        Some((self.eval(&info.first, bound)?, self.eval(info.end.as_ref()?, bound)?, ranks))
    }
}

pub(super) fn bind_only(size: &Size) -> bool {
    match size {
        Size::Lit(_) | Size::Param(_) => true,
        Size::Mesh(_) | Size::Dyn { .. } | Size::Coord(_) | Size::Read { .. } => false,
        Size::Binary { lhs, rhs, .. } => bind_only(lhs) && bind_only(rhs),
    }
}

/// F0901: a mesh has as many ranks as its range.
pub(super) fn wrong_range(mesh: &hir::Mesh, (first, end, ranks): (i64, i64, i64)) -> Diagnostic {
    let (claim, note, help) = if first < 0 {
        ("starts below rank 0".to_string(), format!("{first} >= 0 is false"), 0)
    } else {
        let held = end.saturating_sub(first);
        (
            format!("has {ranks} ranks, its range {first}..{end} holds {held}"),
            format!("{end} - {first} == {ranks} is false"),
            first,
        )
    };
    Diagnostic::error("F0901", mesh.span, format!("mesh `{}` {claim}", mesh.name))
        .note(note)
        .help(format!("write `at {help}..{}`", help.saturating_add(ranks)))
}
