//! What a tensor behind a route may not be yet: its placement is a rank, groups and rows.

use super::checker::{Checked, Checker};
use super::hir::{self, SpreadKind};
use crate::arena::Handle;
use crate::source::Span;

impl Checker<'_> {
    /// F0999 for a placement that no route is lowered over. Reported where the tensor is used.
    pub fn behind_route(&mut self, tensor: Handle<hir::Tensor>, span: Span) -> Checked<()> {
        let info = &self.hir.tensors[tensor];
        let spread = info.spread.iter().find_map(|s| match s.kind {
            SpreadKind::Copy => None,
            SpreadKind::Only(_) => Some("a tensor on one rank only"),
            SpreadKind::Sum { .. } => Some("partial sums"),
        });
        let attrs = &info.attrs;
        let ragged = info.axes.iter().any(|a| matches!(a.extent, hir::Extent::Ragged { .. }));
        let found = match spread {
            Some(what) => Some(what),
            // What it holds before the launch has the rows of another plan.
            None if info.io == hir::Io::InOut && ragged => Some("an `inout` tensor of ragged rows"),
            None if attrs.swizzle.is_some() => Some("a swizzle"),
            None if !attrs.stride.is_empty() => Some("a given stride"),
            None => None,
        };
        match found {
            Some(what) => self.unsupported(span, format!("{what} behind a route")),
            None => Ok(()),
        }
    }

    /// Routes number all ranks of the program, from 0.
    pub fn one_mesh_for_routes(&mut self) {
        let first = self.hir.meshes.iter().next();
        let wrong = match self.hir.meshes.iter().nth(1).or(first) {
            Some((_, mesh)) if self.hir.meshes.len() > 1 => Some((mesh.span, "several meshes")),
            Some((_, mesh)) if mesh.first != hir::Size::Lit(0) => {
                Some((mesh.span, "a mesh that starts at another rank than 0"))
            }
            _ => None,
        };
        if let (Some((span, what)), false) = (wrong, self.hir.routes.is_empty()) {
            self.push(super::checker::unsupported(
                span,
                format!("{what} in a program with a route"),
            ));
        }
    }
}
