//! How ragged and counted axes are stored: packed behind their parents, or in slabs.

use super::checker::{Checked, Checker};
use super::facts::same;
use super::hir::{self, Axis, Extent, Size, Term, TermKind};
use super::scope::unknown;
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Fix};
use crate::syntax::ast;

impl Checker<'_> {
    /// `.pack(A)` and `.slab(C)`.
    pub fn storage(&mut self, word: &ast::Word) -> Checked<TermKind> {
        let name = word.name.name.as_str();
        if !matches!(name, "pack" | "slab") {
            return if matches!(name, "map" | "any") {
                let form = if name == "map" { "a/gpu.map(W)" } else { "sum/gpu.any" };
                self.fail(
                    Diagnostic::error(
                        "F0101",
                        word.span,
                        format!("`.{name}` belongs to a mesh axis"),
                    )
                    .help(format!("write `{form}`")),
                )
            } else {
                let known = ["pack", "slab", "map", "any"];
                let mut found = unknown("F0101", "placement modifier", &word.name, &known);
                if matches!(name, "pad" | "padded" | "packed" | "align" | "grouped" | "ragged") {
                    found.help = Some("write `.pack(128)`: each group padded to 128 rows".into());
                    found = found.fix(word.name.span, "pack");
                }
                self.fail(found)
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
                    .help(format!("write `{name}(128)`"))
                    .fixed(
                        first
                            .is_none()
                            .then(|| Fix { span: word.span, replacement: format!(".{name}(128)") }),
                    ),
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

    /// A ragged axis is packed or slabbed, right behind its parents.
    pub fn check_ragged_terms(&mut self, axes: &[Axis], terms: &[Term]) -> Checked<()> {
        for (i, term) in terms.iter().enumerate() {
            let name = &axes[term.axis].name;
            let is_ragged = !matches!(axes[term.axis].extent, Extent::Fixed(_));
            let is_stored = matches!(term.kind, TermKind::Pack(_) | TermKind::Slab(_));
            let stored = |t: &&Term| {
                t.axis == term.axis && matches!(t.kind, TermKind::Pack(_) | TermKind::Slab(_))
            };
            if let (true, false, Some(storage)) =
                (is_ragged, is_stored, terms.iter().find(|t| stored(t)))
            {
                let mut diagnostic = super::checker::unsupported(
                    term.span,
                    format!("the ragged axis `{name}` split over digits"),
                );
                diagnostic.help = Some(format!(
                    "`{name}` stays whole on a rank: place another axis over the mesh, and `{name}` once"
                ));
                return self.fail(diagnostic.related(storage.span, "stored here"));
            }
            if is_ragged != is_stored {
                let (claim, help, fix) = if is_ragged {
                    (
                        format!("ragged axis `{name}` needs a storage"),
                        format!("write `{name}.pack(128)`, or `{name}.slab(C)`"),
                        format!("{name}.pack(128)"),
                    )
                } else {
                    (
                        format!("axis `{name}` is not ragged"),
                        format!("write `{name}`, or declare it `{name}: ragged`"),
                        name.to_string(),
                    )
                };
                let ragged = (!is_ragged).then(|| self.fix_ragged(term.span, name)).flatten();
                let help = match &ragged {
                    Some(_) => format!("write `{name}: ragged`: a route says how many there are"),
                    None => help,
                };
                let fix = ragged.unwrap_or(Fix { span: term.span, replacement: fix });
                return self.fail(
                    Diagnostic::error("F0404", term.span, claim)
                        .note("`pack` and `slab` store the rows of a ragged axis")
                        .help(help)
                        .fixed(Some(fix)),
                );
            }
            if !is_stored {
                continue;
            }
            match &axes[term.axis].extent {
                Extent::Counted { rows, .. } => self.behind_parents(axes, terms, i, rows)?,
                _ => self.behind_parent(axes, terms, i)?,
            }
            self.check_slab_bound(axes, term)?;
        }
        Ok(())
    }

    /// `c.pack(A)` of a route's axis follows the bare axis that it is counted by.
    fn behind_parent(&mut self, axes: &[Axis], terms: &[Term], i: usize) -> Checked<()> {
        let (term, name) = (&terms[i], &axes[terms[i].axis].name);
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
        // All digits of the group, and the last of them directly before its rows.
        let own = |t: &&Term| t.axis == parent && in_memory(t);
        let memory = terms[..i].iter().rev().filter(|t| in_memory(t));
        let behind = memory.take_while(|t| t.axis == parent).count();
        let last = i.checked_sub(1).is_some_and(|before| own(&&terms[before]));
        let adjacent = last && behind == terms.iter().filter(own).count();
        if matches!(term.kind, TermKind::Pack(_)) && !adjacent {
            return self.not_adjacent(axes, term, &[parent]);
        }
        Ok(())
    }

    /// `l.pack(A)` of a counted axis follows every memory digit of the axes that its count names.
    fn behind_parents(
        &mut self,
        axes: &[Axis],
        terms: &[Term],
        i: usize,
        rows: &Size,
    ) -> Checked<()> {
        if !matches!(terms[i].kind, TermKind::Pack(_)) {
            return Ok(());
        }
        let mut parents = Vec::new();
        coords(rows, &mut parents);
        let is_parent = |t: &Term| parents.contains(&t.axis) && in_memory(t);
        let behind = terms[..i].iter().rev().take_while(|t| is_parent(t)).count();
        if behind == terms.iter().filter(|t| is_parent(t)).count() {
            return Ok(());
        }
        parents.sort_unstable();
        self.not_adjacent(axes, &terms[i], &parents)
    }

    fn not_adjacent(&mut self, axes: &[Axis], term: &Term, parents: &[usize]) -> Checked<()> {
        let name = &axes[term.axis].name;
        let names: Vec<&str> = parents.iter().map(|p| axes[*p].name.as_str()).collect();
        let (list, whose) =
            (names.join(", "), if names.len() > 1 { "its parents" } else { "its parent" });
        let quoted = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" and ");
        self.fail(
            Diagnostic::error(
                "F0404",
                term.span,
                format!("`pack` needs {whose} {quoted} directly to the left"),
            )
            .note(format!(
                "row({list}, {name}) = base({list}) + {name}: together they are one digit of memory"
            ))
            .help(format!("write `{list}, {}`", self.term_text(term, name)))
            .fixed(self.behind(term.span, &names)),
        )
    }

    fn term_text(&self, term: &Term, name: &str) -> String {
        match &term.kind {
            TermKind::Pack(s) => format!("{name}.pack({})", text::size(&self.hir, s, &[])),
            TermKind::Slab(s) => format!("{name}.slab({})", text::size(&self.hir, s, &[])),
            _ => name.to_string(),
        }
    }

    fn check_slab_bound(&mut self, axes: &[Axis], term: &Term) -> Checked<()> {
        let TermKind::Slab(rows) = &term.kind else { return Ok(()) };
        let bound = match &axes[term.axis].extent {
            Extent::Ragged { bound, .. } => bound.as_ref(),
            Extent::Counted { bound, .. } => Some(bound),
            Extent::Fixed(_) => return Ok(()),
        };
        let name = &axes[term.axis].name;
        let rows_text = text::size(&self.hir, rows, &[]);
        let note = match bound {
            Some(bound) if self.facts.at_most(bound, rows) => {
                return Ok(());
            }
            Some(bound) => format!(
                "`{name}` may reach {}, and {} <= {rows_text} is not known",
                text::size(&self.hir, bound, &[]),
                text::size(&self.hir, bound, &[])
            ),
            None => "without a bound a group may hold every tuple of the route".to_string(),
        };
        let (help, fix) = match &axes[term.axis].extent {
            Extent::Counted { .. } => (
                format!(
                    "declare `{name}` with a bound of at most {rows_text}, or use `{name}.pack(1)`"
                ),
                format!("{name}.pack(1)"),
            ),
            _ => (
                format!(
                    "declare `{name}: ragged <= {rows_text}` and `cap {name} < {rows_text} else drop`, or use `{name}.pack(128)`"
                ),
                format!("{name}.pack(128)"),
            ),
        };
        self.fail(
            Diagnostic::error(
                "F0405",
                term.span,
                format!("`slab({rows_text})` cannot hold `{name}`"),
            )
            .note(note)
            .help(help)
            .fix(term.span, fix),
        )
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
        .help(format!("bound it in the route with `cap {name} < {c} else drop`, or use `pack`"))
        .fixed(if limit.is_none() { self.cap(&route.name, &c) } else { None });
        self.push(diagnostic);
    }
}

fn in_memory(term: &Term) -> bool {
    !matches!(term.kind, TermKind::Shard(_) | TermKind::Mapped { .. })
}

/// The earlier axes that a size names.
fn coords(size: &Size, out: &mut Vec<usize>) {
    match size {
        Size::Coord(i) if !out.contains(i) => out.push(*i),
        Size::Read { index, .. } | Size::Dyn { index, .. } => {
            index.iter().for_each(|i| coords(i, out));
        }
        Size::Binary { lhs, rhs, .. } => {
            coords(lhs, out);
            coords(rhs, out);
        }
        _ => {}
    }
}
