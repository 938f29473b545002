//! Decides what the program asks to `prove`, with the numbers known at bind.

use super::{Each, EntryPlan, Kind, Movement, Plan, Tree, claims, crossings};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::layout::{Digit, Home, Spread, SpreadKind};
use crate::sema::hir::{self, Attrs, Bindings, Program, Prove, ProveKind, TermKind};
use crate::source::Span;

pub(super) fn prove(
    program: &Program,
    bound: &Bindings,
    plan: &Plan,
    diagnostics: &mut Diagnostics,
) {
    for (index, entry) in program.entries.iter().enumerate() {
        let moves = &plan.entries[index].moves;
        claims::obligations(program, bound, moves, diagnostics);
        for claim in &entry.proves {
            let written = written(&plan.entries[index]);
            let refuted = match claim.kind {
                _ if written.is_empty() && entry.plans.is_empty() => None,
                _ => refute(program, plan, &written, claim),
            };
            let refuted = refuted.or_else(|| claims::refute(program, bound, plan, moves, claim));
            let of = (program, bound, plan);
            diagnostics.0.extend(refuted.or_else(|| either(of, index, claim)));
        }
    }
}

/// A tensor that a statement writes along a route, or by the numbers of its plan.
struct Written {
    tensor: Handle<hir::Tensor>,
    route: Handle<hir::Route>,
    span: Span,
    /// Each of its positions, as a sum does: no tuple and no condition leaves one out.
    whole: bool,
    /// What it reads of any rank.
    reads: Vec<Handle<hir::Tensor>>,
}

fn written(entry: &EntryPlan) -> Vec<Written> {
    let rows = entry.movements.iter().map(|m| Written {
        tensor: m.target.tensor,
        route: m.route,
        span: m.span,
        whole: m.each == Each::Position && m.filter.is_none(),
        reads: Vec::new(),
    });
    let points = entry.moves.iter().filter_map(|m| {
        let reduced = |v: usize| m.vars[v].tuple.is_some() && m.value.reduces(v);
        Some(Written {
            tensor: m.target.tensor,
            route: m.route?,
            span: m.span,
            whole: (0..m.vars.len()).any(reduced) && m.filter.is_none(),
            reads: m.value.places().iter().map(|p| p.tensor).collect(),
        })
    });
    rows.chain(points).collect()
}

fn refute(
    program: &Program,
    plan: &Plan,
    movements: &[Written],
    claim: &Prove,
) -> Option<Diagnostic> {
    match &claim.kind {
        ProveKind::Injective(tensor) => refute_injective(program, movements, *tensor, claim),
        ProveKind::Covers(tensor) => refute_kept(program, movements, *tensor, claim)
            .or_else(|| refute_covers(program, plan, *tensor, claim)),
        ProveKind::Deterministic(tensor) => {
            refute_deterministic(program, movements, *tensor, claim)
        }
        ProveKind::Local(tensor) => refute_local(program, plan, movements, (*tensor, claim)),
        ProveKind::Vector { tensor, axis, bytes } => {
            refute_vector(program, plan, (*tensor, *axis), *bytes, claim)
        }
        ProveKind::Same(..) | ProveKind::Crossings { .. } | ProveKind::Inverse(..) => None,
    }
}

/// Claims that are about entries or axes rather than statements.
fn either(of: (&Program, &Bindings, &Plan), entry: usize, claim: &Prove) -> Option<Diagnostic> {
    let (program, _, plan) = of;
    match &claim.kind {
        ProveKind::Inverse(first, second) => {
            let (a, b) = (&plan.entries[*first], &plan.entries[*second]);
            let by_routes = |e: &EntryPlan| e.moves.iter().all(|m| m.route.is_some());
            if by_routes(a) && by_routes(b) {
                return refute_inverse(plan, *first, *second, claim);
            }
            claims::not_inverse(program, &a.moves, &b.moves, claim)
        }
        ProveKind::Same(a, b) => refute_same(program, *a, *b, claim),
        ProveKind::Crossings { .. } => crossings::refute(of, entry, claim),
        _ => None,
    }
}

/// Two ragged axes have the same counts if one route, or one size, counts both.
fn refute_same(
    program: &Program,
    a: (Handle<hir::Tensor>, usize),
    b: (Handle<hir::Tensor>, usize),
    claim: &Prove,
) -> Option<Diagnostic> {
    let extent = |(t, axis): (Handle<hir::Tensor>, usize)| &program.tensors[t].axes[axis].extent;
    let same = match (extent(a), extent(b)) {
        (hir::Extent::Ragged { route: r, .. }, hir::Extent::Ragged { route: q, .. }) => r == q,
        (hir::Extent::Counted { rows: r, .. }, hir::Extent::Counted { rows: q, .. }) => r == q,
        (hir::Extent::Fixed(r), hir::Extent::Fixed(q)) => r == q,
        _ => false,
    };
    (!same).then(|| {
        Diagnostic::error("F0801", claim.span, format!("`{}` is not known", claim.text))
            .note("the two axes are counted by different routes or sizes")
            .help("count both by one route or size, or drop the claim")
    })
}

/// Slots are injective by construction; a tensor written by two movements is not.
fn refute_injective(
    program: &Program,
    movements: &[Written],
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let writers = Vec::from_iter(movements.iter().filter(|m| m.tensor == tensor));
    (writers.len() > 1).then(|| {
        Diagnostic::error(
            "F0504",
            claim.span,
            format!("`{}` is written by two statements", program.tensors[tensor].name),
        )
        .related(writers[0].span, "first here")
        .related(writers[1].span, "and here")
        .help("write it once, or in two entries")
    })
}

/// Of an `inout`, elements that a dropped tuple leaves out keep their value.
fn refute_kept(
    program: &Program,
    movements: &[Written],
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let info = &program.tensors[tensor];
    let writes = movements.iter().find(|m| m.tensor == tensor)?;
    let partly = info.io == hir::Io::InOut && !writes.whole;
    partly.then(|| {
        Diagnostic::error(
            "F0801",
            claim.span,
            format!("not covered: `{}` may keep elements", info.name),
        )
        .related(writes.span, "only tuples that are kept are written")
        .note("an element of an `inout` that nothing writes keeps the value that it had")
        .help(format!("declare `{}` an `out` with a fill, or drop the claim", info.name))
    })
}

/// Slots cover `0..live`. A slab also holds rows past `live`, which only a fill covers.
fn refute_covers(
    program: &Program,
    plan: &Plan,
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let info = &program.tensors[tensor];
    let slab = info.placement.iter().any(|t| matches!(t.kind, TermKind::Slab(_)));
    let spaced = !info.attrs.stride.is_empty();
    let padded = plan.tables[&tensor].pack().is_some_and(|a| a > 1) || slab || spaced;
    let Attrs { fill, .. } = &info.attrs;
    (padded && fill.is_none()).then(|| {
        Diagnostic::error(
            "F0801",
            claim.span,
            format!("not covered: the padding rows of `{}` are never written", info.name),
        )
        .note("slots cover 0..n of each group; its storage is longer")
        .help(format!("add `with fill(0)` to `{}`", info.name))
        .fixed(info.fix_with("fill(0)"))
    })
}

fn refute_deterministic(
    program: &Program,
    movements: &[Written],
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let any = movements.iter().filter(|m| m.tensor == tensor).find_map(|m| {
        program.routes[m.route].steps.iter().find_map(|s| match s {
            hir::Step::Slot { order: hir::Order::Any, span, .. } => Some(*span),
            _ => None,
        })
    })?;
    Some(
        Diagnostic::error(
            "F0803",
            claim.span,
            format!("`{}` is not deterministic", program.tensors[tensor].name),
        )
        .related(any, "`by any` allows any order")
        .help("number the slots by keys: `by (s, t, k)`"),
    )
}

fn refute_local(
    program: &Program,
    plan: &Plan,
    movements: &[Written],
    (tensor, claim): (Handle<hir::Tensor>, &Prove),
) -> Option<Diagnostic> {
    let writes = movements.iter().find(|m| m.tensor == tensor);
    let not_local = |note: String| {
        let message = format!("`{}` is not local", program.tensors[tensor].name);
        let diagnostic = Diagnostic::error("F0804", claim.span, message).note(note);
        Some(diagnostic.help("drop the claim: rows of a route may go to any rank"))
    };
    let apart = |t: &Handle<hir::Tensor>| {
        let shape = &plan.routes[&writes?.route];
        let beside = |s: &Spread| s.kind == SpreadKind::Copy && shape.beside((s.size, s.weight));
        let mut others = plan.tables[t].spread.iter().filter(|s| s.size > 1 && !beside(s));
        others.find(|s| *t == tensor || s.kind != SpreadKind::Copy)
    };
    let read = writes.map_or(&[][..], |w| &w.reads);
    if let Some(spread) = read.iter().chain([&tensor]).find_map(apart) {
        let axis = &program.mesh_axes[spread.axis].name;
        return not_local(format!("mesh axis `{axis}` has what other ranks need"));
    }
    let split = |t: &&Handle<hir::Tensor>| plan.tables[t].digits.iter().any(|d| !d.is_in_memory());
    if let Some(other) = read.iter().find(split) {
        return not_local(format!("`{}` is split over ranks", program.tensors[*other].name));
    }
    let table = &plan.tables[&tensor];
    // Values that a digit has on the mesh.
    let places = |d: &Digit| match d.home {
        Home::Mesh { .. } => d.radix.bound(),
        Home::Owner => table.maps.get(&d.axis).map_or(1, |m| m.size()),
        _ => 1,
    };
    let digit = table.digits.iter().find(|d| places(d) > 1)?;
    not_local(format!("axis `{}` has {} values on the mesh", table.axes[digit.axis], places(digit)))
}

/// Every access of the tensor in the program moves at least this many bytes.
fn refute_vector(
    program: &Program,
    plan: &Plan,
    (tensor, axis): (Handle<hir::Tensor>, usize),
    bytes: i64,
    claim: &Prove,
) -> Option<Diagnostic> {
    let info = &program.tensors[tensor];
    let narrow = plan
        .entries
        .iter()
        .flat_map(|e| &e.movements)
        .filter(|m| m.target.tensor == tensor && m.target.coords[axis].is_none())
        .find(|m| m.target.vector < bytes)?;
    let run = narrow.run * info.dtype.elem.bytes();
    Some(
        Diagnostic::error(
            "F0610",
            claim.span,
            format!("`vector({}.{}) >= {bytes}` fails", info.name, info.axes[axis].name),
        )
        .label(format!("widest is {} bytes", narrow.target.vector))
        .note(format!(
            "a run is {} elements = {run} bytes; {run} % {bytes} = {}",
            narrow.run,
            run % bytes.max(1)
        ))
        .help("choose a row length that is a multiple of the width"),
    )
}

/// A push and a reduce over one route are inverse on kept tuples: both use the same slots.
fn refute_inverse(plan: &Plan, first: usize, second: usize, claim: &Prove) -> Option<Diagnostic> {
    let route = |entry: usize, want: fn(&Movement) -> bool| {
        plan.entries[entry].movements.iter().find(|m| want(m)).map(|m| m.route)
    };
    let pushes = route(first, |m| m.pushes() && matches!(m.kind, Kind::Row { .. }));
    let reduces = route(second, |m| {
        let sums = |value: &Tree| matches!(value, Tree::Fold { by: hir::Reducer::Sum, .. });
        m.each == Each::Position && matches!(&m.kind, Kind::Computed { value, .. } if sums(value))
    });
    (pushes.is_none() || pushes != reduces).then(|| {
        Diagnostic::error("F0802", claim.span, "the entries are not inverse")
            .note(
                "an inverse pair pushes rows along a route and sums them back along the same route",
            )
            .help("claim it of a dispatch and the combine over its route")
    })
}
