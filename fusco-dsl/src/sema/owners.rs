//! `.map(W)`: which table says who owns a coordinate, and whether its numbers fit.

use super::checker::{Checked, Checker, Stop};
use super::facts::at_bind;
use super::hir::{self, Axis, Extent, MeshAxis, Owners, ParamKind, Size, TermKind};
use super::scope::Symbol;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind, Ident};

impl Checker<'_> {
    /// `a/m.map(W)` over the mesh axes `mesh`.
    pub fn mapped(
        &mut self,
        axis: &Axis,
        mesh: Vec<Handle<MeshAxis>>,
        word: &ast::Word,
    ) -> Checked<TermKind> {
        let table = match word.args.as_deref() {
            Some([arg]) if arg.named.is_none() && arg.binder.is_none() => match &arg.value.kind {
                ExprKind::Name(name) => Some(Ident { name: name.clone(), span: arg.value.span }),
                _ => None,
            },
            _ => None,
        };
        let Some(table) = table else {
            return self.fail(
                Diagnostic::error("F0101", word.span, "`map` takes the name of a table")
                    .help("write `.map(W)` with a `const` or `param` array, or an `in` tensor"),
            );
        };
        let Extent::Fixed(extent) = &axis.extent else {
            return self.unsupported(word.span, "a table of owners for a ragged axis");
        };
        if !at_bind(extent) {
            return self.unsupported(word.span, "a table of owners for a `dyn` axis");
        }
        self.mark(&table.name);
        let owners = match self.scope.get(&table.name) {
            Some(Symbol::Array(i)) => self.const_owners(axis, extent, &mesh, &table, i)?,
            Some(Symbol::Param(p)) if self.hir.params[p].kind == ParamKind::Ints => {
                Owners::Param(p)
            }
            Some(Symbol::Tensor(t)) => {
                self.tensor_owners(axis, extent, &mesh, &table, t)?;
                Owners::Tensor(t)
            }
            Some(Symbol::Poison) => return Err(Stop),
            Some(_) => {
                return self.fail(
                    Diagnostic::error(
                        "F0101",
                        table.span,
                        format!("`{}` is not a table", table.name),
                    )
                    .help(format!(
                        "declare `const {0} = [..];`, `param {0}: ints;` or `in {0}: ix32(..)[..]`",
                        table.name
                    )),
                );
            }
            None => {
                return self.unknown_name("F0101", "table", &table, |s| {
                    matches!(s, Symbol::Array(_) | Symbol::Tensor(_))
                });
            }
        };
        Ok(TermKind::Mapped { mesh, owners })
    }

    fn const_owners(
        &mut self,
        axis: &Axis,
        extent: &Size,
        mesh: &[Handle<MeshAxis>],
        table: &Ident,
        array: usize,
    ) -> Checked<Owners> {
        let ranks = self.facts.plain(&self.mesh_product(mesh));
        let array = &self.arrays[array];
        let values: Vec<i64> = array.values.iter().map(|v| v.0).collect();
        if let Size::Lit(extent) = self.facts.plain(extent)
            && extent != values.len() as i64
        {
            let diagnostic =
                wrong_length(&array.name, values.len(), &axis.name, extent, table.span);
            return self.fail(diagnostic);
        }
        if let Size::Lit(ranks) = ranks
            && let Some(i) = values.iter().position(|v| !(0..ranks).contains(v))
        {
            let span = array.values[i].1;
            let name = array.name.clone();
            let diagnostic = no_such_rank(
                &format!("{name}[{i}] = {}", values[i]),
                values[i],
                &self.mesh_names(mesh),
                ranks,
                span,
            )
            .related(table.span, "used here");
            return self.fail(diagnostic);
        }
        Ok(Owners::Const { name: array.name.clone(), values })
    }

    /// An `in ix32(|m|)` tensor with one element for each coordinate.
    fn tensor_owners(
        &mut self,
        axis: &Axis,
        extent: &Size,
        mesh: &[Handle<MeshAxis>],
        table: &Ident,
        tensor: Handle<hir::Tensor>,
    ) -> Checked<()> {
        self.arity(tensor, 1, table.span)?;
        let ranks = self.mesh_product(mesh);
        let (mesh_text, extent_text) = (self.mesh_names(mesh), text::size(&self.hir, extent, &[]));
        let info = &self.hir.tensors[tensor];
        let name = info.name.clone();
        let fits = info
            .dtype
            .index
            .as_ref()
            .is_some_and(|i| i.none.is_none() && self.equal(&i.bound, &ranks));
        if info.io != hir::Io::In || !fits {
            return self.fail(
                Diagnostic::error(
                    "F0207",
                    table.span,
                    format!("`{name}` does not hold coordinates of `{mesh_text}`"),
                )
                .note("an owner is one of the coordinates, never none")
                .help(format!("declare `in {name}: ix32({mesh_text})[..]`")),
            );
        }
        let length = match &info.axes[0].extent {
            Extent::Fixed(size) if self.equal(size, extent) => return Ok(()),
            Extent::Fixed(size) => text::size(&self.hir, size, &[]),
            _ => "a ragged number of".to_string(),
        };
        self.fail(
            Diagnostic::error(
                "F0309",
                table.span,
                format!("`{name}` has {length} entries, axis `{}` has {extent_text}", axis.name),
            )
            .note(format!("{length} == {extent_text} is not known"))
            .help(format!("declare `{name}` over an axis of extent {extent_text}")),
        )
    }
}

/// F0309: a table has one entry for each coordinate.
pub(super) fn wrong_length(
    table: &str,
    entries: usize,
    axis: &str,
    extent: i64,
    span: Span,
) -> Diagnostic {
    Diagnostic::error(
        "F0309",
        span,
        format!("`{table}` has {entries} entries, axis `{axis}` has {extent}"),
    )
    .note("a table of owners has one entry for each coordinate of its axis")
    .help(format!("give `{table}` {extent} entries"))
}

/// F0310: `what`, of that value, names no coordinate of the mesh.
pub(super) fn no_such_rank(
    what: &str,
    value: i64,
    mesh: &str,
    ranks: i64,
    span: Span,
) -> Diagnostic {
    Diagnostic::error("F0310", span, format!("{what} is outside mesh axis `{mesh}`"))
        .label(format!("coordinates of `{mesh}` are 0..{ranks}"))
        .note(format!("0 <= {value} < {ranks} is false"))
        .help(format!("use a number from 0 to {}", ranks - 1))
}
