//! `crossings(node, per = (s, t)) <= n`: how many copies of what the keys name cross to a coordinate of a mesh axis.

use super::Plan;
use super::routed::{most_of, route_of};
use crate::diag::Diagnostic;
use crate::plan::Coord;
use crate::sema::hir::{self, Bindings, DirectiveKind, Program, Prove, ProveKind};
use crate::source::Span;

type Axis = crate::arena::Handle<hir::MeshAxis>;

/// F0804 if some statement sends more; F0999 for what has no route.
pub(super) fn refute(
    of: (&Program, &Bindings, &Plan),
    entry: usize,
    claim: &Prove,
) -> Option<Diagnostic> {
    let ProveKind::Crossings { mesh, per, most } = &claim.kind else { return None };
    let program = of.0;
    let moves = |s: &&hir::Assign| !s.value.is_of_plan();
    program.entries[entry].stmts.iter().filter(moves).find_map(|stmt| {
        let sent = match sent(of, (&program.entries[entry], stmt), *mesh, (per, claim.span)) {
            Ok(sent) => sent,
            Err(found) => return Some(*found),
        };
        (sent.copies > *most).then(|| refuted(of, stmt, (&sent, *most), claim, *mesh))
    })
}

/// Copies at most, and whether rows come back to their sources.
struct Sent {
    copies: i64,
    fetches: bool,
    merged: bool,
}

fn sent(
    (program, bound, plan): (&Program, &Bindings, &Plan),
    (entry, stmt): (&hir::Entry, &hir::Assign),
    axis: Axis,
    (per, span): (&[String], Span),
) -> Result<Sent, Box<Diagnostic>> {
    let no = |what: &str| Box::new(Diagnostic::unsupported(span, what).help("remove the claim"));
    let route = route_of(program, stmt).ok_or_else(|| no("`crossings` of rows without a route"))?;
    let (shape, info) = (&plan.routes[&route], &program.routes[route]);
    let names = Vec::from_iter(info.sources.iter().map(|v| info.vars[*v].name.as_str()));
    if let Some(key) = per.iter().find(|k| !names.contains(&k.as_str())) {
        let found = format!("`{key}` is no source of route `{}`", info.name);
        let help = format!("its sources are {}", names.join(", "));
        return Err(Box::new(Diagnostic::error("F0101", span, found).help(help)));
    }
    let size = program.eval(&program.mesh_axes[axis].size, bound);
    let (Some(size), Some((weight, _))) = (size, program.cut(axis, bound)) else {
        return Err(no("`crossings` over an axis whose size is not known"));
    };
    let fetches = stmt.fetches();
    if size == 1 || shape.beside((size, weight)) {
        return Ok(Sent { copies: 0, fetches, merged: true });
    }
    let merged = merges(entry, axis);
    // Rows with the same keys, each of which crosses.
    let counts =
        |k: &usize| !(merged && shape.choice == Some(*k) || per.iter().any(|p| p == names[*k]));
    let each = (0..names.len()).filter(counts).map(|k| most_of(shape, Coord::Source(k)));
    let copies = each.fold(1i64, i64::saturating_mul);
    Ok(Sent { copies, fetches, merged })
}

/// Whether what a position sends over the axis crosses as one.
fn merges(entry: &hir::Entry, axis: Axis) -> bool {
    let directives = entry.schedules.iter().flat_map(|s| &s.directives);
    let over = |d: &hir::Directive| match &d.kind {
        DirectiveKind::Dedup { axis, .. } | DirectiveKind::Reduce(axis) => Some(*axis),
        _ => None,
    };
    directives.filter_map(over).any(|own| own == axis)
}

fn refuted(
    (program, _, _): (&Program, &Bindings, &Plan),
    stmt: &hir::Assign,
    (sent, most): (&Sent, i64),
    claim: &Prove,
    axis: Axis,
) -> Diagnostic {
    let name = &program.mesh_axes[axis].name;
    let mesh = &program.meshes[program.mesh_axes[axis].mesh];
    let found = format!("up to {} copies cross to one `{name}`, not {most}", sent.copies);
    let found =
        Diagnostic::error("F0804", claim.span, found).related(stmt.span, "they are sent here");
    let found = found.note(match (sent.merged, sent.fetches) {
        (true, _) => "rows of other positions have the same keys".to_string(),
        (false, false) => "each tuple sends its row by itself".to_string(),
        (false, true) => "each tuple fetches its row by itself".to_string(),
    });
    let other = mesh.axes.iter().find(|a| **a != axis).map(|a| &program.mesh_axes[*a].name);
    found.help(match (sent.merged, mesh.axes.len(), other, sent.fetches) {
        (false, 2, Some(other), false) => {
            format!("add `path {name}, {other}; dedup {name} by (s, t);` to the schedule, by the sources but the choice")
        }
        (false, 2, Some(other), true) => format!(
            "write `sum.tree(k: .., within = {name})`, and `path {other}, {name}; reduce {name};` in the schedule"
        ),
        _ => "claim no more than that, or drop the claim".to_string(),
    })
}
