//! `sum.tree(k: .., within = node, partial = bf16)`: a sum behind a route whose terms are grouped by the ranks that hold
//! their rows.

use super::checker::{Checked, Checker};
use super::frame::Frame;
use super::hir::{self, Elem, Expr, ExprKind, MeshAxis, Reducer, SpreadKind, TermKind, Within};
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Arg, ExprKind as Ast, Ident};

const FORM: &str = "sum.tree(k: w[s, t, k] * z[e, c, h], within = node)";
/// What a partial sum may be rounded to.
const PARTIAL: [Elem; 3] = [Elem::F32, Elem::F16, Elem::Bf16];

/// `sum.tree`
pub(super) fn is_tree(base: &ast::Expr) -> bool {
    matches!(&base.kind, Ast::Field { base, name } if base.as_name() == Some("sum") && name.name == "tree")
}

impl Checker<'_> {
    pub fn tree_sum(
        &mut self,
        frame: &mut Frame,
        e: &ast::Expr,
        args: &[Arg],
        want: Elem,
    ) -> Checked<(ExprKind, Elem)> {
        let [terms @ Arg { binder: Some(names), .. }, options @ ..] = args else {
            return self.malformed(e, FORM);
        };
        let (axis, partial) = self.options(e, options)?;
        let gathers = frame.via.as_ref().is_some_and(|via| {
            let source = |n: &Ident| via.sources.iter().any(|v| frame.vars[*v].name == n.name);
            names.iter().any(source)
        });
        if !gathers {
            return self.groups_nothing(e, terms, "its terms lie behind no route".to_string());
        }
        let (mut kind, ty) =
            self.reduced(frame, e, (Reducer::Sum, std::slice::from_ref(terms)), want)?;
        if frame.number.unwrap_or(want.number()) != Elem::F32 {
            return self.fail(
                Diagnostic::error("F0601", e.span, "`sum.tree` adds in f32, its terms are not f32")
                    .help("write `sum`, whose terms are added in one order"),
            );
        }
        if let ExprKind::Reduce { body, within, .. } = &mut kind {
            let rows = self.rows_of(frame, (e, terms), body)?;
            self.splits(frame, (e, terms), (rows, body), &axis)?;
            *within = Some(Within { rows, axis: axis.axis, partial });
        }
        Ok((kind, ty))
    }

    /// `within = node` and `partial = bf16`, in any order.
    fn options(&mut self, e: &ast::Expr, options: &[Arg]) -> Checked<(Group, Elem)> {
        let (mut axis, mut partial) = (None, Elem::F32);
        let mut seen = Vec::new();
        for option in options {
            let (Some(name), Ast::Name(value)) = (&option.named, &option.value.kind) else {
                return self.malformed(e, FORM);
            };
            let value = Ident { name: value.clone(), span: option.value.span };
            let twice = seen.contains(&name.name.as_str());
            match name.name.as_str() {
                "within" if !twice => axis = Some(self.group(&value)?),
                "partial" if !twice => partial = self.partial(&value)?,
                _ => return self.malformed(e, FORM),
            }
            seen.push(name.name.as_str());
        }
        match axis {
            Some(axis) => Ok((axis, partial)),
            None => self.malformed(e, FORM),
        }
    }

    /// An axis or an alias: with those before it, up to the last of its axes.
    fn group(&mut self, name: &Ident) -> Checked<Group> {
        let own = self.mesh_axes(name)?;
        let mesh = &self.hir.meshes[self.hir.mesh_axes[own[0]].mesh];
        let last = mesh.axes.iter().rev().find(|a| own.contains(a)).copied();
        Ok(Group { axis: last.unwrap_or(own[0]), own, span: name.span })
    }

    fn partial(&mut self, name: &Ident) -> Checked<Elem> {
        let elem = self.elem_named(name)?;
        if PARTIAL.contains(&elem) {
            return Ok(elem);
        }
        let found = format!("a partial sum in {}, which is not f32, f16 or bf16", elem.name());
        let found = Diagnostic::error("F0203", name.span, found);
        self.fail(found.help("write `partial = bf16`").fix(name.span, "bf16"))
    }

    /// The tensor whose rows a term reads at the other side of the route.
    fn rows_of(
        &mut self,
        frame: &Frame,
        of: (&ast::Expr, &Arg),
        body: &Expr,
    ) -> Checked<Handle<hir::Tensor>> {
        let dests = frame.via.as_ref().map_or(&[][..], |via| &via.dests[..]);
        let names =
            |index: &[Expr]| dests.iter().filter(|d| index.iter().any(|i| i.mentions(**d))).count();
        // Rows before what a whole group has.
        let most = body.reads().iter().map(|(_, index)| names(index)).max().unwrap_or(0);
        let mut found: Vec<Handle<hir::Tensor>> = Vec::new();
        for (tensor, _) in body.reads().into_iter().filter(|(_, i)| names(i) == most.max(1)) {
            if !found.contains(&tensor) {
                found.push(tensor);
            }
        }
        let name = |t: &Handle<hir::Tensor>| self.hir.tensors[*t].name.clone();
        match found[..] {
            [one] => Ok(one),
            [] => self.groups_nothing(of.0, of.1, "its terms read no row behind it".to_string()),
            [first, second, ..] => {
                let (first, second) = (name(&first), name(&second));
                let what = format!("a term of rows of `{first}` and of `{second}` in `sum.tree`");
                self.unsupported(of.1.value.span, what)
            }
        }
    }

    /// F0409 where all rows of a target lie on ranks with one coordinate of the axis, or on no rank alone.
    fn splits(
        &mut self,
        frame: &Frame,
        (e, terms): (&ast::Expr, &Arg),
        (rows, body): (Handle<hir::Tensor>, &Expr),
        group: &Group,
    ) -> Checked<()> {
        let dests = frame.via.as_ref().map_or(&[][..], |via| &via.dests[..]);
        let info = &self.hir.tensors[rows];
        let reads = body.reads();
        let index = reads.iter().find(|(t, _)| *t == rows).map_or(&[][..], |(_, index)| index);
        let routed = |axis: usize| dests.iter().any(|d| index[axis].mentions(*d));
        let mut split: Vec<Handle<MeshAxis>> = Vec::new();
        for term in info.placement.iter().filter(|t| routed(t.axis)) {
            match &term.kind {
                TermKind::Shard(axis) => split.push(*axis),
                TermKind::Mapped { mesh, .. } => split.extend(mesh),
                _ => {}
            }
        }
        let name = &info.name;
        let parts = info.spread.iter().find(|s| matches!(s.kind, SpreadKind::Sum { .. }));
        if let Some(spread) = parts {
            let axis = &self.hir.mesh_axes[spread.mesh].name;
            let why = format!("a row of `{name}` is in parts on all ranks along `{axis}`");
            return self.groups_nothing(e, terms, why);
        }
        if group.own.iter().any(|axis| split.contains(axis)) {
            return Ok(());
        }
        let axes = group.own.iter().map(|a| format!("`{}`", self.hir.mesh_axes[*a].name));
        let axes = Vec::from_iter(axes).join(", ");
        let why = format!("rows of `{name}` are not split over {axes}: the reader's own are read");
        let placed = info.placement_span;
        let found = Diagnostic::error("F0409", group.span, "`sum.tree` has nothing to group by")
            .related(placed, "rows lie so")
            .note(why);
        let found = match split.last().map(|a| self.hir.mesh_axes[*a].name.clone()) {
            Some(axis) => found.help(format!("write `within = {axis}`")).fix(group.span, &axis),
            None => found.help("write `sum`").fixed(plain(e, terms)),
        };
        self.fail(found)
    }

    fn groups_nothing<T>(&mut self, e: &ast::Expr, terms: &Arg, why: String) -> Checked<T> {
        let found = Diagnostic::error("F0409", e.span, "`sum.tree` has nothing to group by");
        let note = "it groups the terms of a route by the ranks that hold their rows";
        self.fail(found.note(why).note(note).help("write `sum`").fixed(plain(e, terms)))
    }
}

/// The same terms in one order.
fn plain(e: &ast::Expr, terms: &Arg) -> Option<Fix> {
    let replacement = format!("sum({})", text::arguments(std::slice::from_ref(terms)));
    Some(Fix { span: e.span, replacement })
}

/// What terms are grouped by.
struct Group {
    /// The last axis that counts.
    axis: Handle<MeshAxis>,
    /// What was written.
    own: Vec<Handle<MeshAxis>>,
    span: Span,
}
