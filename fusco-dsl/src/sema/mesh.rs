//! The mesh: at most one, its axes known at bind.

use super::check::{Checked, Checker, Stop, unsupported};
use super::hir::{self, Size};
use super::scope::{Symbol, unknown};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Decl, Ident, Mesh, MeshAxisKind};

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
        self.declare(&mesh.name, Symbol::Poison);
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
                MeshAxisKind::Alias(_) => self.declare(&axis.name, Symbol::Poison),
            }
        }
    }

    pub fn meshes(&mut self) {
        let meshes = self.decls(|d| if let Decl::Mesh(m) = d { Some(m) } else { None });
        if let Some(second) = meshes.get(1) {
            self.push(unsupported(second.name.span, "a second mesh"));
        }
        for mesh in meshes {
            if mesh.at.is_some() {
                self.push(unsupported(mesh.name.span, "a mesh that starts `at` a rank"));
            }
            for axis in &mesh.axes {
                match &axis.kind {
                    MeshAxisKind::Alias(_) => {
                        self.push(unsupported(axis.name.span, "an alias of mesh axes"))
                    }
                    MeshAxisKind::Size(size) => self.mesh_size(&axis.name, size),
                }
            }
        }
    }

    /// Literals, consts and params only: a mesh axis or `dyn` in it could be circular.
    fn mesh_size(&mut self, name: &Ident, e: &crate::syntax::ast::Expr) {
        let Some(Symbol::Mesh(handle)) = self.scope.get(&name.name) else { return };
        match self.size(e, &[]) {
            Ok(Size::Lit(n)) if n < 1 => self.push(
                Diagnostic::error(
                    "F0301",
                    e.span,
                    format!("mesh axis `{}` has no ranks", name.name),
                )
                .note(format!("{n} < 1"))
                .help("give it a size of at least 1"),
            ),
            Ok(size) if bind_only(&size) => {
                self.facts.mesh(handle, size.clone());
                self.hir.mesh_axes[handle].size = size;
            }
            Ok(_) => self
                .push(unsupported(e.span, "a mesh axis whose size reads a mesh axis or a `dyn`")),
            Err(Stop) => self.scope.set(&name.name, Symbol::Poison),
        }
    }

    /// The mesh axis of that name, or F0104.
    pub fn mesh_axis(&mut self, name: &Ident) -> Checked<Handle<hir::MeshAxis>> {
        match self.scope.get(&name.name) {
            Some(Symbol::Mesh(m)) => Ok(m),
            Some(Symbol::Poison) => Err(Stop),
            _ => {
                let axes = self.scope.names(|s| matches!(s, Symbol::Mesh(_)));
                let listed = if axes.is_empty() {
                    "the program has no mesh".to_string()
                } else {
                    format!("axes are {}", axes.join(", "))
                };
                let mut diagnostic = unknown("F0104", "mesh axis or alias", name, &axes);
                diagnostic.notes.push(listed);
                self.scope.poison(name);
                self.fail(diagnostic)
            }
        }
    }
}

fn bind_only(size: &Size) -> bool {
    match size {
        Size::Lit(_) | Size::Param(_) => true,
        Size::Mesh(_) | Size::Dyn { .. } | Size::Coord(_) | Size::Read { .. } => false,
        Size::Binary { lhs, rhs, .. } => bind_only(lhs) && bind_only(rhs),
    }
}
