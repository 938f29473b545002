//! Decides what the program asks to `prove`, with the numbers known at bind.

use super::{Kind, Movement, Plan};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::layout::Home;
use crate::sema::hir::{self, Attrs, Program, Prove, ProveKind, TermKind};

pub(super) fn prove(program: &Program, plan: &Plan, diagnostics: &mut Diagnostics) {
    for (index, entry) in program.entries.iter().enumerate() {
        for claim in &entry.proves {
            let movements = &plan.entries[index].movements;
            if let Some(diagnostic) = refute(program, plan, movements, claim) {
                diagnostics.push(diagnostic);
            }
        }
    }
}

fn refute(
    program: &Program,
    plan: &Plan,
    movements: &[Movement],
    claim: &Prove,
) -> Option<Diagnostic> {
    match &claim.kind {
        ProveKind::Injective(tensor) => refute_injective(program, movements, *tensor, claim),
        ProveKind::Covers(tensor) => refute_covers(program, plan, *tensor, claim),
        ProveKind::Deterministic(tensor) => {
            refute_deterministic(program, movements, *tensor, claim)
        }
        ProveKind::Local(tensor) => refute_local(program, plan, *tensor, claim),
        ProveKind::Vector { tensor, axis, bytes } => {
            refute_vector(program, plan, (*tensor, *axis), *bytes, claim)
        }
        ProveKind::Same(..) | ProveKind::Crossings { .. } => None,
        ProveKind::Inverse(first, second) => refute_inverse(plan, *first, *second, claim),
    }
}

/// Slots are injective by construction; a tensor written by two movements is not.
fn refute_injective(
    program: &Program,
    movements: &[Movement],
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let writers: Vec<&Movement> = movements.iter().filter(|m| m.target.tensor == tensor).collect();
    (writers.len() > 1).then(|| {
        Diagnostic::error(
            "F0504",
            claim.span,
            format!("`{}` is written by two statements", program.tensors[tensor].name),
        )
        .related(writers[0].span, "first here")
        .related(writers[1].span, "and here")
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
    let padded = plan.tables[&tensor].pack().is_some_and(|a| a > 1) || slab;
    let Attrs { fill, .. } = &info.attrs;
    (padded && fill.is_none()).then(|| {
        Diagnostic::error(
            "F0801",
            claim.span,
            format!("not covered: the padding rows of `{}` are never written", info.name),
        )
        .note("slots cover 0..n of each group; its storage is longer")
        .help("add `with fill(0)`")
    })
}

fn refute_deterministic(
    program: &Program,
    movements: &[Movement],
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let any = movements.iter().filter(|m| m.target.tensor == tensor).find_map(|m| {
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
    tensor: Handle<hir::Tensor>,
    claim: &Prove,
) -> Option<Diagnostic> {
    let table = &plan.tables[&tensor];
    let digit =
        table.digits.iter().find(|d| matches!(d.home, Home::Mesh { .. }) && d.radix.bound() > 1)?;
    Some(
        Diagnostic::error(
            "F0804",
            claim.span,
            format!("`{}` is not local", program.tensors[tensor].name),
        )
        .note(format!(
            "axis `{}` has {} values on the mesh",
            table.axes[digit.axis],
            digit.radix.bound()
        )),
    )
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
    let route = |entry: usize, want: fn(&Kind) -> bool| {
        plan.entries[entry].movements.iter().find(|m| want(&m.kind)).map(|m| m.route)
    };
    let pushes = route(first, |k| matches!(k, Kind::Push { .. }));
    let reduces = route(second, |k| matches!(k, Kind::Reduce { .. }));
    (pushes.is_none() || pushes != reduces).then(|| {
        Diagnostic::error("F0802", claim.span, "the entries are not inverse").note(
            "an inverse pair pushes rows along a route and sums them back along the same route",
        )
    })
}
