//! Placement lists: every mesh axis and every tensor axis accounted for, every digit exact.

use super::checker::{Checked, Checker};
use super::fix::fix_attribute;
use super::hir::{Axis, BinOp, Extent, Size, Spread, Term, TermKind};
use super::scope::unknown;
use super::text;
use crate::diag::{Diagnostic, Fix, nearest};
use crate::source::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// The digits of the list, and where it replicates.
    pub fn placement(
        &mut self,
        t: &ast::Tensor,
        axes: &[Axis],
        uneven: bool,
    ) -> Checked<(Vec<Term>, Vec<Spread>)> {
        let Some(placement) = &t.placement else {
            let list = self.suggested_placement(axes);
            let close = t.attrs.first().map_or(t.span.end.saturating_sub(1), |a| a.span.start);
            let placed = !t.attrs.is_empty() || t.io_span == t.span;
            let fix = Fix { span: Span::new(close, close), replacement: format!(" @ [{list}]") };
            let split = axes.first().zip(self.hir.mesh_axes.iter().next());
            let split = split.map_or(String::new(), |(a, (_, m))| {
                format!("; `{0}/{1}, {0}` splits `{0}` over the ranks", a.name, m.name)
            });
            return self.fail(
                Diagnostic::error(
                    "F0301",
                    t.name.span,
                    format!("`{}` has no placement", t.name.name),
                )
                .note("nothing is implied: the list says where each axis is, mesh and memory")
                .help(format!("add `@ [{list}]`{split}"))
                .fixed((!placed).then_some(fix)),
            );
        };
        if let Some(found) = self.foreign_placement(t, axes) {
            return self.fail(found);
        }
        let (mut terms, mut spread) = (Vec::new(), Vec::new());
        for term in &placement.terms {
            match axes.iter().position(|a| a.name == term.name.name) {
                Some(axis) => terms.extend(self.term(term, axis, &axes[axis])?),
                None if matches!(term.name.name.as_str(), "copy" | "sum" | "only") => {
                    spread.extend(self.spread(term)?);
                }
                None => {
                    let names: Vec<&str> = axes
                        .iter()
                        .map(|a| a.name.as_str())
                        .chain(["copy", "sum", "only"])
                        .collect();
                    return self.fail(unknown("F0101", "axis", &term.name, &names));
                }
            }
        }
        self.check_mesh_use(t, &terms, &spread, placement.span)?;
        self.check_ragged_terms(axes, &terms)?;
        for axis in 0..axes.len() {
            self.check_digits(t, axes, axis, &terms, (uneven, placement.span))?;
        }
        self.check_dyn_axes(axes, &terms)?;
        Ok((terms, spread))
    }

    /// One term of the list; `a/rank` gives one for each axis of the alias.
    fn term(&mut self, term: &ast::Term, axis: usize, info: &Axis) -> Checked<Vec<Term>> {
        if term.args.is_some() {
            return self.unsupported(term.span, "arguments of a placement term");
        }
        let kinds = match (&term.shard, &term.tile, term.mods.as_slice()) {
            (Some(mesh), None, []) => {
                self.mesh_axes(mesh)?.into_iter().map(TermKind::Shard).collect()
            }
            (Some(mesh), None, [word]) if word.name.name == "map" => {
                let mesh = self.mesh_axes(mesh)?;
                vec![self.mapped(info, mesh, word)?]
            }
            (None, Some(tile), []) => vec![self.tile(tile)?],
            (None, None, []) => vec![TermKind::Rest],
            (None, None, [word]) => vec![self.storage(word)?],
            (_, _, [word, ..]) => return self.wrong_modifier(word),
            _ => return self.unsupported(term.span, "this placement term"),
        };
        Ok(kinds.into_iter().map(|kind| Term { axis, kind, span: term.span }).collect())
    }

    fn tile(&mut self, tile: &ast::Expr) -> Checked<TermKind> {
        match self.size(tile, &[])? {
            Size::Lit(n) if n < 1 => self.fail(
                Diagnostic::error("F0304", tile.span, format!("{n} < 1"))
                    .help("a digit has a radix of at least 1"),
            ),
            size if super::facts::at_bind(&size) => Ok(TermKind::Tile(size)),
            _ => self.unsupported(tile.span, "a digit whose radix is not known at bind"),
        }
    }

    fn wrong_modifier<T>(&mut self, word: &ast::Word) -> Checked<T> {
        let known = ["map"];
        if matches!(word.name.name.as_str(), "map" | "pack" | "slab" | "any") {
            return self.unsupported(word.span, "modifiers on a split axis");
        }
        self.fail(unknown("F0101", "modifier of a split axis", &word.name, &known))
    }

    /// The other digits of an axis with a table split the position among those of an owner: a bare one,
    /// and any in memory.
    fn check_mapped(&mut self, name: &str, map: &Term, mine: &[&Term]) -> Checked<()> {
        let mut others = mine.iter().filter(|t| !std::ptr::eq(**t, map));
        match others.find(|t| !matches!(t.kind, TermKind::Rest | TermKind::Tile(_))) {
            Some(other) => {
                self.unsupported(other.span, "a second mesh digit of an axis with a table")
            }
            None if mine.iter().any(|t| matches!(t.kind, TermKind::Rest)) => Ok(()),
            None => self.fail(
                Diagnostic::error(
                    "F0303",
                    map.span,
                    format!("axis `{name}` has no place in memory"),
                )
                .note(format!("an owner holds several `{name}`, one after the other"))
                .help(format!("add a bare `{name}`"))
                .fix(map.span.after(), format!(", {name}")),
            ),
        }
    }

    /// F0303, F0304, F0305: the digits of one axis make up its extent.
    fn check_digits(
        &mut self,
        t: &ast::Tensor,
        axes: &[Axis],
        axis: usize,
        terms: &[Term],
        (uneven, list): (bool, Span),
    ) -> Checked<()> {
        let name = &axes[axis].name;
        let mine: Vec<&Term> = terms.iter().filter(|t| t.axis == axis).collect();
        let whole: Vec<&&Term> = mine
            .iter()
            .filter(|t| matches!(t.kind, TermKind::Rest | TermKind::Pack(_) | TermKind::Slab(_)))
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
                .help(format!("give one of them a radix, `{name}:64`, or remove it"))
                .fixed(self.drop_term(second.span)),
            );
        }
        let Some(last) = mine.last() else {
            return self.fail(
                Diagnostic::error("F0303", list, format!("axis `{name}` has no place"))
                    .note(format!("the list says nothing about `{name}`"))
                    .help(format!("add a bare `{name}`"))
                    .fix(list_end(list), format!(", {name}")),
            );
        };
        if let Some(map) = mine.iter().find(|t| matches!(t.kind, TermKind::Mapped { .. })) {
            return self.check_mapped(name, map, &mine);
        }
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
        // What is split is what is allocated.
        let extent = &self.at_bounds(extent);
        let names: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
        let split_size = split.clone();
        let (split_text, extent_text) =
            (text::size(&self.hir, &split, &names), text::size(&self.hir, extent, &names));
        // Where the last of them are cut short, nothing more is needed than room.
        let holds = uneven && self.facts.at_most(extent, &split);
        if whole.is_empty() && !self.equal(&split, extent) && !holds {
            return self.fail(
                Diagnostic::error(
                    "F0303",
                    last.span,
                    format!(
                        "axis `{name}` has radix {split_text} only, its extent is {extent_text}"
                    ),
                )
                .note(format!("{split_text} == {extent_text} is not known"))
                .help(format!("add a bare `{name}`"))
                .fix(last.span.after(), format!(", {name}")),
            );
        }
        if !whole.is_empty() && !self.facts.divides(extent, &split) {
            if uneven {
                return Ok(());
            }
            let mine = mine[0].span;
            let by = if matches!(split, Size::Binary { .. }) {
                format!("({split_text})")
            } else {
                split_text
            };
            let condition = format!("{extent_text} % {by} == 0");
            let ranks = match &split_size {
                Size::Mesh(m) => Some(self.hir.mesh_axes[*m].size.clone()),
                _ => None,
            };
            let literal = matches!(extent, Size::Lit(_));
            let by_mesh = ranks.as_ref().filter(|r| literal && matches!(r, Size::Param(_)));
            let (fix, help) = match by_mesh {
                Some(ranks) => (
                    self.fix_where(ranks, &condition),
                    format!(
                        "add `where {condition}` to the param of the mesh, or `with uneven` for ceil blocks"
                    ),
                ),
                None if literal => (
                    fix_attribute(t, "uneven"),
                    format!("choose an extent that {by} divides, or `with uneven` for ceil blocks"),
                ),
                None => (
                    self.fix_where(extent, &condition),
                    format!(
                        "add `where {condition}` to the param, or `with uneven` for ceil blocks"
                    ),
                ),
            };
            return self.fail(
                Diagnostic::error("F0304", mine, format!("{condition} is not known"))
                    .label(format!("`{name}` must split evenly"))
                    .note(format!("axis `{name}` has extent {extent_text}"))
                    .help(help)
                    .fixed(fix),
            );
        }
        Ok(())
    }

    /// An axis of extent `T[s]` needs `s` placed on the mesh axis of `T` (F0208).
    fn check_dyn_axes(&mut self, axes: &[Axis], terms: &[Term]) -> Checked<()> {
        for axis in axes {
            let Extent::Fixed(size) = &axis.extent else { continue };
            let places = size.dyns().into_iter().flat_map(|(of, index)| {
                let mesh = self.hir.dyns[of].axes.iter().copied();
                index.iter().zip(mesh).map(move |(coord, mesh)| (of, coord.clone(), mesh))
            });
            for (of, coord, mesh) in places.collect::<Vec<_>>() {
                let Size::Coord(i) = &coord else { continue };
                let found =
                    terms.iter().find(|t| t.axis == *i && matches!(t.kind, TermKind::Shard(_)));
                if !found.is_some_and(|t| matches!(t.kind, TermKind::Shard(m) if m == mesh)) {
                    let (s, mesh, dyn_name) =
                        (&axes[*i].name, &self.hir.mesh_axes[mesh].name, &self.hir.dyns[of].name);
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
}

/// Before the `]` of a list.
fn list_end(list: Span) -> Span {
    let end = list.end.saturating_sub(1);
    Span::new(end, end)
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
