//! Where a tensor is, mesh axis by mesh axis: split, copied, fixed or partial, each exactly once.

use super::checker::{Checked, Checker};
use super::dtype::is_integer;
use super::facts::at_bind;
use super::hir::{self, BinOp, Elem, MeshAxis, Size, Spread, SpreadKind, Term, TermKind};
use super::owners::no_such_rank;
use super::scope::unknown;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast;

/// One use of a mesh axis in a placement.
struct Use {
    mesh: Handle<MeshAxis>,
    span: Span,
    is_copy: bool,
}

impl Checker<'_> {
    /// `copy/m`, `only(i)/m`, `sum/m`, `sum/m.any`; an alias gives one for each of its axes.
    pub fn spread(&mut self, term: &ast::Term) -> Checked<Vec<Spread>> {
        let word = term.name.name.as_str();
        let Some(mesh) = &term.shard else {
            let axes = self.hir.mesh_axes.iter().map(|(_, a)| a.name.as_str());
            let fix = match axes.collect::<Vec<_>>()[..] {
                [axis] => Some(Fix { span: term.span.after(), replacement: format!("/{axis}") }),
                _ => None,
            };
            return self.fail(
                Diagnostic::error("F0301", term.span, format!("`{word}` needs a mesh axis"))
                    .note("it says what all the ranks along a mesh axis hold")
                    .help(format!("write `{word}/gpu`, with an axis of the mesh"))
                    .fixed(fix),
            );
        };
        let axes = self.mesh_axes(mesh)?;
        let any = self.any_order(term)?;
        let kinds: Vec<SpreadKind> = match (word, term.args.as_deref()) {
            ("copy", None) => vec![SpreadKind::Copy; axes.len()],
            ("sum", None) => vec![SpreadKind::Sum { any }; axes.len()],
            ("only", Some([arg])) if arg.named.is_none() && arg.binder.is_none() => {
                self.only(&arg.value, &axes)?.into_iter().map(SpreadKind::Only).collect()
            }
            _ => {
                let form = if word == "only" { "only(0)" } else { word };
                return self.fail(
                    Diagnostic::error("F0101", term.span, format!("`{word}` is not written so"))
                        .help(format!("write `{form}/{}`", mesh.name)),
                );
            }
        };
        let spread = axes.into_iter().zip(kinds);
        Ok(spread.map(|(mesh, kind)| Spread { mesh, kind, span: term.span }).collect())
    }

    /// `.any`, which only a sum takes.
    fn any_order(&mut self, term: &ast::Term) -> Checked<bool> {
        match term.mods.as_slice() {
            [] => Ok(false),
            [word] if word.name.name == "any" && word.args.is_none() => {
                if term.name.name == "sum" {
                    return Ok(true);
                }
                self.fail(
                    Diagnostic::error(
                        "F0101",
                        word.span,
                        format!("`{}` has no order to leave open", term.name.name),
                    )
                    .help("remove `.any`"),
                )
            }
            [word, ..] => self.fail(unknown("F0101", "modifier", &word.name, &["any"])),
        }
    }

    /// The coordinate on each axis of the composite coordinate `i`.
    fn only(&mut self, e: &ast::Expr, axes: &[Handle<MeshAxis>]) -> Checked<Vec<Size>> {
        let at = self.size(e, &[])?;
        if !at_bind(&at) {
            return self.unsupported(e.span, "`only` at a coordinate that is not known at bind");
        }
        let ranks = self.facts.plain(&self.mesh_product(axes));
        if let (Size::Lit(at), Size::Lit(ranks)) = (self.facts.plain(&at), ranks)
            && !(0..ranks).contains(&at)
        {
            let diagnostic =
                no_such_rank(&format!("only({at})"), at, &self.mesh_names(axes), ranks, e.span);
            return self.fail(diagnostic);
        }
        let (mut out, mut rest) = (Vec::new(), at);
        for axis in axes.iter().skip(1).rev() {
            let size = self.facts.plain(&Size::Mesh(*axis));
            out.push(super::hir::fold(BinOp::Rem, rest.clone(), size.clone()));
            rest = super::hir::fold(BinOp::Div, rest, size);
        }
        out.push(rest);
        out.reverse();
        Ok(out)
    }

    /// F0307 and F0601: `sum` is for inputs of floating point numbers.
    pub fn check_sum(
        &mut self,
        io: hir::Io,
        elem: Elem,
        name: &str,
        spread: &[Spread],
    ) -> Checked<()> {
        let Some(sum) = spread.iter().find(|s| matches!(s.kind, SpreadKind::Sum { .. })) else {
            return Ok(());
        };
        if io != hir::Io::In {
            let mesh = self.hir.mesh_axes[sum.mesh].name.clone();
            let alone = spread.iter().filter(|s| s.span == sum.span).count() == 1;
            let replacement = format!("copy/{mesh}");
            let fix = alone.then_some(Fix { span: sum.span, replacement });
            return self.fail(
                Diagnostic::error("F0307", sum.span, "cannot write a partial tensor")
                    .label("`sum` is for inputs")
                    .note(format!(
                        "which part of a value of `{name}` goes to which rank is not said"
                    ))
                    .help(format!("replicate it, `copy/{mesh}`, or split an axis"))
                    .fixed(fix),
            );
        }
        if elem == Elem::F64 {
            return self.unsupported(sum.span, "parts of f64: they are added in f32");
        }
        if is_integer(elem) {
            return self.fail(
                Diagnostic::error(
                    "F0601",
                    sum.span,
                    format!("`{name}` is {}, `sum` adds in f32", elem.name()),
                )
                .note("there is no implicit conversion")
                .help("declare it with a floating point element"),
            );
        }
        Ok(())
    }

    /// F0301, F0302, F0306: every axis of the tensor's mesh is used exactly once.
    pub fn check_mesh_use(
        &mut self,
        t: &ast::Tensor,
        terms: &[Term],
        spread: &[Spread],
        list: Span,
    ) -> Checked<()> {
        let mut uses = mesh_uses(terms, spread);
        uses.sort_by_key(|u| u.span);
        self.used_once(t, &uses)?;
        self.one_mesh(&uses)?;
        let used =
            |m: &Handle<hir::Mesh>| uses.iter().any(|u| self.hir.mesh_axes[u.mesh].mesh == *m);
        let meshes: Vec<Handle<hir::Mesh>> = self.hir.meshes.iter().map(|(h, _)| h).collect();
        let on = match meshes.iter().copied().filter(used).collect::<Vec<_>>() {
            none if none.is_empty() => meshes.into_iter().take(1).collect(),
            some => some,
        };
        let missing = on
            .iter()
            .flat_map(|m| self.hir.meshes[*m].axes.clone())
            .find(|a| !uses.iter().any(|u| u.mesh == *a));
        match missing {
            Some(axis) => self.not_accounted(t, axis, &uses, list),
            None => Ok(()),
        }
    }

    fn used_once(&mut self, t: &ast::Tensor, uses: &[Use]) -> Checked<()> {
        for (i, second) in uses.iter().enumerate() {
            let Some(first) = uses[..i].iter().find(|u| u.mesh == second.mesh) else { continue };
            let name = &self.hir.mesh_axes[second.mesh].name;
            let diagnostic = Diagnostic::error(
                "F0302",
                second.span,
                format!("`{name}` is used twice in the placement of `{}`", t.name.name),
            )
            .related(first.span, "first here")
            .note("a rank has one coordinate on a mesh axis")
            .help(format!("remove one, or split it: `mesh .. {{ {name}_a: .., {name}_b: .. }}`"))
            .fixed(self.drop_term(second.span));
            return self.fail(diagnostic);
        }
        Ok(())
    }

    /// Axes of several meshes replicate, or it is not one tensor.
    fn one_mesh(&mut self, uses: &[Use]) -> Checked<()> {
        let mesh = |u: &Use| self.hir.mesh_axes[u.mesh].mesh;
        let Some(first) = uses.iter().find(|u| !u.is_copy).or(uses.first()) else { return Ok(()) };
        let all_copies = uses.iter().all(|u| u.is_copy);
        let Some(other) = uses.iter().find(|u| mesh(u) != mesh(first)) else { return Ok(()) };
        if all_copies {
            return Ok(());
        }
        let (first, second) = if first.span < other.span { (first, other) } else { (other, first) };
        let axis = |u: &Use| self.hir.mesh_axes[u.mesh].name.clone();
        let of = |u: &Use| self.hir.meshes[mesh(u)].name.clone();
        let diagnostic = Diagnostic::error(
            "F0306",
            second.span,
            format!(
                "`{}` is in mesh {}, `{}` in {}",
                axis(first),
                of(first),
                axis(second),
                of(second)
            ),
        )
        .related(first.span, format!("mesh {} here", of(first)))
        .note("a tensor lives on one mesh, or is copied over several")
        .help(format!(
            "use axes of one mesh, or `copy/{}, copy/{}`",
            axis(first),
            axis(second)
        ));
        self.fail(diagnostic)
    }

    fn not_accounted(
        &mut self,
        t: &ast::Tensor,
        axis: Handle<MeshAxis>,
        uses: &[Use],
        list: Span,
    ) -> Checked<()> {
        let name = self.hir.mesh_axes[axis].name.clone();
        let first = t.dims.first().map_or("a", |d| d.name.name.as_str());
        // An axis as long as the mesh axis is meant for it; otherwise a replica is always right.
        let own = t.dims.iter().find(|d| match &d.extent.size {
            Some(ast::Expr { kind: ast::ExprKind::Name(size), .. }) => *size == name,
            _ => false,
        });
        let first_term = t.placement.as_ref().and_then(|p| p.terms.first());
        let added = own.map_or("copy", |d| d.name.name.as_str());
        let label = if uses.is_empty() {
            format!("places nothing over {name}")
        } else {
            let over: Vec<&str> =
                uses.iter().map(|u| self.hir.mesh_axes[u.mesh].name.as_str()).collect();
            format!("places over {} only", over.join(", "))
        };
        self.fail(
            Diagnostic::error(
                "F0301",
                list,
                format!(
                    "mesh axis `{name}` is not accounted for in the placement of `{}`",
                    t.name.name
                ),
            )
            .label(label)
            .note("every mesh axis is sharded or replicated; none is implied")
            .help(format!(
                "shard an axis, `{first}/{name}`, or keep a replica on each, `copy/{name}`"
            ))
            .fixed(first_term.map(|term| Fix {
                span: term.span.before(),
                replacement: format!("{added}/{name}, "),
            })),
        )
    }
}

fn mesh_uses(terms: &[Term], spread: &[Spread]) -> Vec<Use> {
    let mut uses = Vec::new();
    for term in terms {
        let axes: &[Handle<MeshAxis>] = match &term.kind {
            TermKind::Shard(m) => std::slice::from_ref(m),
            TermKind::Mapped { mesh, .. } => mesh,
            _ => &[],
        };
        uses.extend(axes.iter().map(|m| Use { mesh: *m, span: term.span, is_copy: false }));
    }
    uses.extend(spread.iter().map(|s| Use {
        mesh: s.mesh,
        span: s.span,
        is_copy: matches!(s.kind, SpreadKind::Copy),
    }));
    uses
}
