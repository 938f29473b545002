//! What a tensor behind a route may not be: one that would keep rows of another plan.

use super::checker::{Checked, Checker, unsupported};
use super::hir::{self, SpreadKind};
use crate::arena::Handle;
use crate::source::Span;

impl Checker<'_> {
    /// F0999 for a ragged `inout`. Reported where the tensor is used.
    pub fn behind_route(&mut self, tensor: Handle<hir::Tensor>, span: Span) -> Checked<()> {
        let info = &self.hir.tensors[tensor];
        let ragged = info.axes.iter().any(|a| matches!(a.extent, hir::Extent::Ragged { .. }));
        if info.io != hir::Io::InOut || !ragged {
            return Ok(());
        }
        let found = unsupported(span, "an `inout` tensor of ragged rows behind a route");
        let why = "what it holds before the launch are rows of another plan: none keeps its place";
        self.fail(found.note(why).help("declare it an `out` with a fill"))
    }

    /// F0999 for what a route cannot read to name groups. Reported where it is read.
    pub fn in_route(&mut self, tensor: Handle<hir::Tensor>, span: Span) -> Checked<()> {
        let info = &self.hir.tensors[tensor];
        let spread = info.spread.iter().find_map(|s| match s.kind {
            SpreadKind::Copy => None,
            SpreadKind::Only(_) => Some("a tensor on one rank only"),
            SpreadKind::Sum { .. } => Some("partial sums"),
        });
        let found = spread.or(info.attrs.swizzle.is_some().then_some("a swizzle"));
        match found {
            Some(what) => self.unsupported(span, format!("{what} in the body of a route")),
            None => Ok(()),
        }
    }
}
