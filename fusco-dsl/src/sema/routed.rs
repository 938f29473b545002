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
        // Integers are never parts of a sum.
        let only = info.spread.iter().find(|s| matches!(s.kind, SpreadKind::Only(_)));
        let Some(spread) = only else { return Ok(()) };
        let copy = format!("copy/{}", self.hir.mesh_axes[spread.mesh].name);
        let found = unsupported(span, "a tensor on one rank only in the body of a route");
        self.fail(
            found
                .note("a plan begins with what each rank reads in its own memory, before it has met another one")
                .help(format!("place it `{copy}`; an entry before can write that copy")),
        )
    }
}
