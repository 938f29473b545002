//! Which kernel a launch takes: one for each `schedule` of an entry, chosen by its condition. Those that would
//! be equal are one kernel.

use super::address::Addresses;
use super::ir::*;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::sema::hir::{self, Bindings};
use crate::source::Span;

/// The schedules of an entry that have a condition; each launch tries them in order.
pub(super) fn conditional(entry: &hir::Entry) -> impl Iterator<Item = &hir::Schedule> {
    entry.schedules.iter().take_while(|s| s.when.is_some())
}

/// What holds where no condition does.
pub(super) fn always(entry: &hir::Entry) -> Option<&hir::Schedule> {
    entry.schedules.iter().find(|s| s.when.is_none())
}

/// The step that carries out an entry's statements. `variants`: the roles of each conditional schedule, which
/// are those of the last unless its directives change them, then the last.
pub(super) fn step(
    (at, bound): (&Addresses<'_>, &Bindings),
    (entry, name): (&hir::Entry, &str),
    route: Option<Handle<Route>>,
    variants: &[Option<Vec<Role>>],
    last: Vec<Role>,
) -> Result<Step, Box<Diagnostic>> {
    let mut made: Vec<(Option<When>, Kernel)> = Vec::new();
    let plain =
        Kernel { name: name.to_string(), route, roles: last, tuning: tuning(always(entry)) };
    for (i, schedule) in conditional(entry).enumerate() {
        let when = schedule.when.as_ref().map(|w| condition(at, bound, w)).transpose()?;
        let tuning = tuning(Some(schedule));
        let own = variants.get(i).and_then(Option::as_ref);
        let name = match own {
            None if tuning == plain.tuning => plain.name.clone(),
            None => {
                let mut before = (0..i).filter(|j| variants.get(*j).is_none_or(Option::is_none));
                let same = before.find(|j| made[*j].1.tuning == tuning);
                same.map_or(format!("{name}_when{i}"), |j| made[j].1.name.clone())
            }
            Some(_) => format!("{name}_when{i}"),
        };
        let roles = own.unwrap_or(&plain.roles).clone();
        made.push((when, Kernel { name, route, roles, tuning }));
    }
    // A condition between equal kernels decides nothing.
    while made.last().is_some_and(|(_, kernel)| kernel.name == plain.name) {
        made.pop();
    }
    made.push((None, plain));
    let alternatives = made.into_iter().map(|(when, kernel)| Alternative { when, kernel });
    Ok(Step { alternatives: alternatives.collect() })
}

/// What the program asks of a kernel.
pub(super) fn tuning(schedule: Option<&hir::Schedule>) -> Tuning {
    let mut tuning = Tuning::default();
    for directive in schedule.into_iter().flat_map(|s| &s.directives) {
        let asked = |number| Some(Asked { number, span: directive.span });
        match directive.kind {
            hir::DirectiveKind::Stages(n) => tuning.stages = asked(n),
            hir::DirectiveKind::Chunk(n) => tuning.chunk = Some(n),
            hir::DirectiveKind::Blocks(n) => tuning.blocks = asked(n),
            _ => {}
        }
    }
    tuning
}

/// What it asks of a kernel that prepares or plans: the number of its CTAs.
pub(super) fn beside(entry: &hir::Entry) -> Tuning {
    Tuning { blocks: tuning(always(entry)).blocks, ..Tuning::default() }
}

fn condition(
    at: &Addresses<'_>,
    bound: &Bindings,
    cond: &hir::Cond,
) -> Result<When, Box<Diagnostic>> {
    let both = |a, b| -> Result<_, Box<Diagnostic>> {
        Ok((Box::new(condition(at, bound, a)?), Box::new(condition(at, bound, b)?)))
    };
    Ok(match &cond.kind {
        hir::CondKind::And(a, b) => both(a, b).map(|(a, b)| When::And(a, b))?,
        hir::CondKind::Or(a, b) => both(a, b).map(|(a, b)| When::Or(a, b))?,
        hir::CondKind::Compare { op, lhs, rhs } => When::Compare {
            op: *op,
            lhs: number(at, bound, lhs, cond.span)?,
            rhs: number(at, bound, rhs, cond.span)?,
        },
    })
}

fn number(
    at: &Addresses<'_>,
    bound: &Bindings,
    size: &hir::Size,
    span: Span,
) -> Result<Ix, Box<Diagnostic>> {
    at.size(size, bound).ok_or_else(|| {
        Box::new(
            Diagnostic::unsupported(span, "this condition of a schedule")
                .help("compare dyns, params and numbers"),
        )
    })
}
