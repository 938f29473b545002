//! Placement lists: every mesh axis and every tensor axis accounted for, every digit exact.

use super::check::{Checked, Checker, Stop};
use super::extent::same;
use super::hir::{self, Axis, BinOp, Extent, Size, Term, TermKind};
use super::scope::{nearest, unknown};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast;

impl Checker<'_> {
    pub fn placement(&mut self, t: &ast::Tensor, axes: &[Axis]) -> Checked<Vec<Term>> {
        let Some(placement) = &t.placement else {
            return self.fail(
                Diagnostic::error(
                    "F0301",
                    t.name.span,
                    format!("`{}` has no placement", t.name.name),
                )
                .note("nothing is implied: the list says where each axis is, mesh and memory")
                .help(format!(
                    "add `@ [{}]`",
                    axes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ")
                )),
            );
        };
        let mut terms: Vec<Term> = Vec::new();
        for term in &placement.terms {
            let lowered = self.term(term, axes)?;
            terms.push(lowered);
        }
        self.check_mesh_use(t, &terms, placement.span)?;
        self.check_ragged_terms(axes, &terms)?;
        for axis in 0..axes.len() {
            self.check_digits(axes, axis, &terms, placement.span)?;
        }
        self.check_dyn_axes(axes, &terms)?;
        Ok(terms)
    }

    fn term(&mut self, term: &ast::Term, axes: &[Axis]) -> Checked<Term> {
        let Some(axis) = axes.iter().position(|a| a.name == term.name.name) else {
            if matches!(term.name.name.as_str(), "copy" | "sum" | "only") {
                return self
                    .unsupported(term.span, format!("`{}/..` in a placement", term.name.name));
            }
            let names: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
            return self.fail(unknown("F0101", "axis", &term.name, &names));
        };
        if term.args.is_some() {
            return self.unsupported(term.span, "arguments of a placement term");
        }
        let kind = match (&term.shard, &term.tile, term.mods.as_slice()) {
            (Some(mesh), None, []) => TermKind::Shard(self.mesh_axis(mesh)?),
            (None, Some(tile), []) => match self.size(tile, &[])? {
                Size::Lit(n) if n < 1 => {
                    return self.fail(
                        Diagnostic::error("F0304", tile.span, format!("{n} < 1"))
                            .help("a digit has a radix of at least 1"),
                    );
                }
                size => TermKind::Tile(size),
            },
            (None, None, []) => TermKind::Rest,
            (None, None, [word]) => self.storage(word)?,
            (_, _, [word, ..]) => return self.unsupported(word.span, "modifiers on a split axis"),
            _ => return self.unsupported(term.span, "this placement term"),
        };
        Ok(Term { axis, kind, span: term.span })
    }

    /// `.pack(A)` and `.slab(C)`.
    fn storage(&mut self, word: &ast::Word) -> Checked<TermKind> {
        let name = word.name.name.as_str();
        if !matches!(name, "pack" | "slab") {
            return if matches!(name, "map" | "any") {
                self.unsupported(word.span, format!("`.{name}` in a placement"))
            } else {
                self.fail(unknown(
                    "F0101",
                    "placement modifier",
                    &word.name,
                    &["pack", "slab", "map", "any"],
                ))
            };
        }
        let (first, more) = word
            .args
            .as_deref()
            .unwrap_or_default()
            .split_first()
            .map_or((None, None), |(a, rest)| (Some(a), rest.first()));
        if let Some(extra) = more {
            return self.unsupported(extra.value.span, format!("a second argument of `{name}`"));
        }
        let Some(arg) = first.filter(|a| a.named.is_none() && a.binder.is_none()) else {
            return self.fail(
                Diagnostic::error("F0101", word.span, format!("`{name}` takes a number of rows"))
                    .help(format!("write `{name}(128)`")),
            );
        };
        let size = self.size(&arg.value, &[])?;
        if let Size::Lit(n @ ..1) = size {
            return self.fail(
                Diagnostic::error("F0304", arg.value.span, format!("`{name}({n})` has no rows"))
                    .note(format!("{n} < 1"))
                    .help("use at least 1"),
            );
        }
        Ok(if name == "pack" { TermKind::Pack(size) } else { TermKind::Slab(size) })
    }

    fn check_mesh_use(&mut self, t: &ast::Tensor, terms: &[Term], list: Span) -> Checked<()> {
        let declared = self.decls(|d| if let ast::Decl::Mesh(m) = d { Some(m) } else { None });
        if declared.len() > 1 {
            // Refused already; which mesh the tensor lives on is not known.
            return Err(Stop);
        }
        let meshes: Vec<Handle<hir::MeshAxis>> =
            self.hir.mesh_axes.iter().map(|(h, _)| h).collect();
        for mesh in meshes {
            let name = self.hir.mesh_axes[mesh].name.clone();
            let uses: Vec<&Term> = terms
                .iter()
                .filter(|t| matches!(t.kind, TermKind::Shard(m) if m == mesh))
                .collect();
            match uses[..] {
                [_] => {}
                [] => {
                    let first = t.dims.first().map_or("a", |d| d.name.name.as_str());
                    return self.fail(
                        Diagnostic::error(
                            "F0301",
                            list,
                            format!(
                                "mesh axis `{name}` is not accounted for in the placement of `{}`",
                                t.name.name
                            ),
                        )
                        .label(format!("places nothing over {name}"))
                        .note("every mesh axis is sharded or replicated; none is implied")
                        .help(format!("shard an axis: `{first}/{name}`")),
                    );
                }
                [first, second, ..] => {
                    return self.fail(
                        Diagnostic::error(
                            "F0302",
                            second.span,
                            format!("`{name}` is used twice in the placement of `{}`", t.name.name),
                        )
                        .related(first.span, "first here")
                        .note("a rank has one coordinate on a mesh axis")
                        .help(format!("split it: `mesh .. {{ {name}_a: .., {name}_b: .. }}`")),
                    );
                }
            }
        }
        Ok(())
    }

    /// A ragged axis is packed or slabbed, right behind its parent.
    fn check_ragged_terms(&mut self, axes: &[Axis], terms: &[Term]) -> Checked<()> {
        for (i, term) in terms.iter().enumerate() {
            let name = &axes[term.axis].name;
            let is_ragged = matches!(axes[term.axis].extent, Extent::Ragged { .. });
            let is_stored = matches!(term.kind, TermKind::Pack(_) | TermKind::Slab(_));
            if is_ragged != is_stored {
                let (claim, help) = if is_ragged {
                    (
                        format!("ragged axis `{name}` needs a storage"),
                        format!("write `{name}.pack(128)`, or `{name}.slab(C)`"),
                    )
                } else {
                    (
                        format!("axis `{name}` is not ragged"),
                        format!("write `{name}`, or declare it `{name}: ragged`"),
                    )
                };
                return self.fail(
                    Diagnostic::error("F0404", term.span, claim)
                        .note("`pack` and `slab` store the rows of a ragged axis")
                        .help(help),
                );
            }
            if !is_stored {
                continue;
            }
            let Some(parent) = term.axis.checked_sub(1) else {
                return self.fail(
                    Diagnostic::error(
                        "F0404",
                        term.span,
                        format!("ragged axis `{name}` has no parent"),
                    )
                    .help("declare the axis it is counted by before it"),
                );
            };
            let adjacent =
                i > 0 && terms[i - 1].axis == parent && matches!(terms[i - 1].kind, TermKind::Rest);
            if matches!(term.kind, TermKind::Pack(_)) && !adjacent {
                let parent = axes[parent].name.clone();
                return self.fail(
                    Diagnostic::error("F0404", term.span, format!("`pack` needs its parent `{parent}` directly to the left"))
                        .note(format!("row({parent}, {name}) = base({parent}) + {name}: the pair is one digit of memory"))
                        .help(format!("write `{parent}, {}`", self.term_text(term, name))),
                );
            }
            self.check_slab_bound(axes, term)?;
        }
        Ok(())
    }

    fn term_text(&self, term: &Term, name: &str) -> String {
        match &term.kind {
            TermKind::Pack(s) => format!("{name}.pack({})", text::size(&self.hir, s, &[])),
            TermKind::Slab(s) => format!("{name}.slab({})", text::size(&self.hir, s, &[])),
            _ => name.to_string(),
        }
    }

    fn check_slab_bound(&mut self, axes: &[Axis], term: &Term) -> Checked<()> {
        let (TermKind::Slab(rows), Extent::Ragged { bound, .. }) =
            (&term.kind, &axes[term.axis].extent)
        else {
            return Ok(());
        };
        let name = &axes[term.axis].name;
        let rows_text = text::size(&self.hir, rows, &[]);
        let note = match bound {
            Some(bound)
                if same(bound, rows)
                    || matches!((bound, rows), (Size::Lit(b), Size::Lit(r)) if b <= r) =>
            {
                return Ok(());
            }
            Some(bound) => format!(
                "`{name}` may reach {}, and {} <= {rows_text} is not known",
                text::size(&self.hir, bound, &[]),
                text::size(&self.hir, bound, &[])
            ),
            None => "without a bound a group may hold every tuple of the route".to_string(),
        };
        self.fail(
            Diagnostic::error("F0405", term.span, format!("`slab({rows_text})` cannot hold `{name}`"))
                .note(note)
                .help(format!("declare `{name}: ragged <= {rows_text}` and `cap {name} < {rows_text} else drop`, or use `{name}.pack(128)`")),
        )
    }

    /// F0303, F0304, F0305: the digits of one axis make up its extent.
    fn check_digits(
        &mut self,
        axes: &[Axis],
        axis: usize,
        terms: &[Term],
        list: Span,
    ) -> Checked<()> {
        let name = &axes[axis].name;
        let mine: Vec<&Term> = terms.iter().filter(|t| t.axis == axis).collect();
        let whole: Vec<&&Term> = mine
            .iter()
            .filter(|t| !matches!(t.kind, TermKind::Shard(_) | TermKind::Tile(_)))
            .collect();
        if let [first, second, ..] = whole[..] {
            return self.fail(
                Diagnostic::error(
                    "F0305",
                    second.span,
                    format!("axis `{name}` appears bare twice"),
                )
                .related(first.span, "first here")
                .note("only one digit can take the rest")
                .help(format!("give one of them a radix, `{name}:64`, or remove it")),
            );
        }
        let Some(last) = mine.last() else {
            return self.fail(
                Diagnostic::error("F0303", list, format!("axis `{name}` has no place"))
                    .note(format!("the list says nothing about `{name}`"))
                    .help(format!("add a bare `{name}`")),
            );
        };
        let split = mine.iter().filter_map(|t| digit_size(t)).reduce(|a, b| Size::Binary {
            op: BinOp::Mul,
            lhs: Box::new(a),
            rhs: Box::new(b),
        });
        let Some(split) = split else { return Ok(()) };
        let Extent::Fixed(extent) = &axes[axis].extent else {
            return self
                .unsupported(mine[0].span, format!("the ragged axis `{name}` split over digits"));
        };
        if matches!(extent, Size::Dyn { .. }) {
            return self
                .unsupported(mine[0].span, format!("the `dyn` axis `{name}` split over digits"));
        }
        let names: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
        let (split_text, extent_text) =
            (text::size(&self.hir, &split, &names), text::size(&self.hir, extent, &names));
        if whole.is_empty() && !same(&split, extent) {
            return self.fail(
                Diagnostic::error(
                    "F0303",
                    last.span,
                    format!(
                        "axis `{name}` has radix {split_text} only, its extent is {extent_text}"
                    ),
                )
                .note(format!("{split_text} == {extent_text} is not known"))
                .help(format!("add a bare `{name}`")),
            );
        }
        if !whole.is_empty() && !self.facts.divides(extent, &split) {
            let mine = mine[0].span;
            let by = if matches!(split, Size::Binary { .. }) {
                format!("({split_text})")
            } else {
                split_text
            };
            return self.fail(
                Diagnostic::error("F0304", mine, format!("{extent_text} % {by} == 0 is not known"))
                    .label(format!("`{name}` must split evenly"))
                    .note(format!("axis `{name}` has extent {extent_text}"))
                    .help(format!("add `where {extent_text} % {by} == 0` to the param")),
            );
        }
        Ok(())
    }

    /// An axis of extent `T[s]` needs `s` placed on the mesh axis of `T` (F0208).
    fn check_dyn_axes(&mut self, axes: &[Axis], terms: &[Term]) -> Checked<()> {
        for axis in axes {
            let Extent::Fixed(Size::Dyn { of, index }) = &axis.extent else { continue };
            let mesh_axes = self.hir.dyns[*of].axes.clone();
            for (coord, mesh) in index.iter().zip(mesh_axes) {
                let Size::Coord(i) = coord else { continue };
                let found =
                    terms.iter().find(|t| t.axis == *i && matches!(t.kind, TermKind::Shard(_)));
                if !found.is_some_and(|t| matches!(t.kind, TermKind::Shard(m) if m == mesh)) {
                    let (s, mesh, dyn_name) =
                        (&axes[*i].name, &self.hir.mesh_axes[mesh].name, &self.hir.dyns[*of].name);
                    let diagnostic = Diagnostic::error(
                        "F0208",
                        axis.span,
                        format!("`{dyn_name}[{s}]` needs `{s}` placed on `{mesh}`"),
                    )
                    .note(format!(
                        "`{dyn_name}` differs by `{mesh}`; each rank knows its own value only"
                    ))
                    .help(format!("place `{s}/{mesh}`"));
                    return self.fail(diagnostic);
                }
            }
        }
        Ok(())
    }

    /// A declared `c: ragged <= C` is kept by a `cap` of the route that counts `c`.
    pub fn check_slab(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        route: Handle<hir::Route>,
    ) {
        let info = &self.hir.tensors[tensor].axes[axis];
        let Extent::Ragged { bound: Some(bound), .. } = &info.extent else { return };
        let route = &self.hir.routes[route];
        let limit = route
            .steps
            .iter()
            .find_map(|s| if let hir::Step::Cap { limit, .. } = s { Some(limit) } else { None });
        if limit.is_some_and(|l| {
            same(l, bound) || matches!((l, bound), (Size::Lit(l), Size::Lit(b)) if l <= b)
        }) {
            return;
        }
        let (name, c) = (&info.name, text::size(&self.hir, bound, &[]));
        let diagnostic = Diagnostic::error(
            "F0405",
            info.span,
            format!("`{name} <= {c}` is not kept by route `{}`", route.name),
        )
        .note(match limit {
            Some(limit) => format!(
                "its cap is {}, and {} <= {c} is not known",
                text::size(&self.hir, limit, &[]),
                text::size(&self.hir, limit, &[])
            ),
            None => "a group may reach the number of all tuples of the route".to_string(),
        })
        .help(format!("bound it in the route with `cap {name} < {c} else drop`, or use `pack`"));
        self.push(diagnostic);
    }
}

fn digit_size(term: &Term) -> Option<Size> {
    match &term.kind {
        TermKind::Shard(mesh) => Some(Size::Mesh(*mesh)),
        TermKind::Tile(size) => Some(size.clone()),
        _ => None,
    }
}

/// `did you mean` for names that are not identifiers of the program.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
