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

/// The roles of a kernel in each way that it may be done.
pub(super) struct Ways {
    pub pushed: Vec<Role>,
    /// Rows of a route are fetched by the ranks that they go to.
    pub fetching: Option<Fetching>,
}

/// The roles of kernels of a step some of whose launches fetch rows: all make the same handshakes.
pub(super) struct Fetching {
    pub fetched: Vec<Role>,
    pub pushed: Vec<Role>,
}

impl Ways {
    /// What the program asks for, where `pulled` says whether some launches are to fetch; and else the roles of a step
    /// whose launches fetch where they may, if a back end finds that better.
    fn asked(
        &self,
        schedule: Option<&hir::Schedule>,
        pulled: bool,
    ) -> (Vec<Role>, Option<Vec<Role>>) {
        let asks = |kind| schedule.is_some_and(|s| s.directives.iter().any(|d| d.kind == kind));
        let Some(ways) = &self.fetching else { return (self.pushed.clone(), None) };
        let push = asks(hir::DirectiveKind::Push);
        match (pulled, asks(hir::DirectiveKind::Pull)) {
            (true, true) => (ways.fetched.clone(), None),
            (true, false) => (ways.pushed.clone(), None),
            (false, _) if push => (self.pushed.clone(), Some(ways.pushed.clone())),
            (false, _) => (self.pushed.clone(), Some(ways.fetched.clone())),
        }
    }
}

/// Where an entry asks for rows to be fetched by the ranks that they go to.
pub(super) fn pulled(entry: &hir::Entry) -> Option<Span> {
    let directives = entry.schedules.iter().flat_map(|s| &s.directives);
    directives.filter(|d| matches!(d.kind, hir::DirectiveKind::Pull)).map(|d| d.span).next()
}

/// The step that carries out an entry's statements. `ways`: those of the schedule without a condition, and of each
/// conditional one if its directives change them.
pub(super) fn step(
    (at, bound): (&Addresses<'_>, &Bindings),
    (entry, name): (&hir::Entry, &str),
    route: Option<Handle<Route>>,
    (last, variants): (Ways, Vec<Option<Ways>>),
) -> Result<Step, Box<Diagnostic>> {
    let mut made: Vec<(Option<When>, Kernel)> = Vec::new();
    let pulled = pulled(entry).is_some();
    let kernel = |name: &str, ways: &Ways, schedule: Option<&hir::Schedule>| {
        let (roles, fetched) = ways.asked(schedule, pulled);
        Kernel { name: name.to_string(), route, roles, fetched, tuning: tuning(schedule) }
    };
    let plain = kernel(name, &last, always(entry));
    for (i, schedule) in conditional(entry).enumerate() {
        let when = schedule.when.as_ref().map(|w| condition(at, bound, w)).transpose()?;
        let ways = variants.get(i).and_then(Option::as_ref).unwrap_or(&last);
        let mut own = kernel("", ways, Some(schedule));
        let mut before = std::iter::once(&plain).chain(made.iter().map(|(_, kernel)| kernel));
        own.name = match before.find(|k| k.does_as(&own)) {
            Some(same) => same.name.clone(),
            None => format!("{name}_when{i}"),
        };
        made.push((when, own));
    }
    // A condition between equal kernels decides nothing.
    while made.last().is_some_and(|(_, kernel)| kernel.name == plain.name) {
        made.pop();
    }
    made.push((None, plain));
    let fetches = |k: &Kernel| k.fetched.iter().flatten().flat_map(|r| &r.body).any(is_of_peers);
    if !made.iter().any(|(_, kernel)| fetches(kernel)) {
        made.iter_mut().for_each(|(_, kernel)| kernel.fetched = None);
    }
    let alternatives = made.into_iter().map(|(when, kernel)| Alternative { when, kernel });
    Ok(Step { alternatives: alternatives.collect() })
}

fn is_of_peers(op: &Op) -> bool {
    matches!(op, Op::Peers { .. })
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
