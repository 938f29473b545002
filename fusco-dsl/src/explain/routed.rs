//! What a statement behind a route does: which rows move, how wide, and at most how many bytes.
//!
//! Enters: a routed movement. Leaves: lines of text. Which rank gets what is known to the plan only.

use crate::Compiled;
use crate::layout::DealForm;
use crate::plan::{Derived, Each, Kind, Movement, Point, Tree};

pub(super) fn lines(compiled: &Compiled, movement: &Movement) -> Vec<String> {
    let bytes = |point: &Point| compiled.hir.tensors[point.tensor].dtype.elem.bytes();
    let row = |point: &Point| super::picture::elements(movement.run, bytes(point));
    let target = &movement.target;
    let access = format!("{} bytes an access", target.vector);
    match (&movement.kind, movement.each) {
        (Kind::Row { source }, each) => {
            let what = match (movement.gathers(), each) {
                (false, _) => "each kept tuple sends one row",
                (true, Each::First) => "each position fetches the first row that its tuples name,",
                (true, _) => "each kept tuple fetches one row",
            };
            let to = if movement.gathers() { "" } else { " to its slot" };
            vec![
                format!("{what} of {}{to}, {access}", row(source)),
                bound(compiled, movement, bytes(source)),
            ]
        }
        (Kind::Int { .. }, _) => vec![
            "each kept tuple writes an integer to its slot".to_string(),
            bound(compiled, movement, bytes(target)),
        ],
        (Kind::Computed { value, .. }, Each::Position) => {
            let (gathered, own) = parted(value);
            let read = gathered.iter().copied().find(|p| is_row(p)).unwrap_or(target);
            let added = format!(
                "each position adds the rows of {} that its tuples name, ascending, in f32, {access}",
                row(read)
            );
            let own = own.into_iter().map(row).collect::<Vec<_>>().join(", ");
            let then = (!own.is_empty())
                .then(|| format!("to the sum of a position comes what is its own of {own}"));
            let bound = bound(compiled, movement, bytes(read));
            [added].into_iter().chain(then).chain([bound]).collect()
        }
        (Kind::Computed { value, .. }, _) => {
            let what = match movement.gathers() {
                true => "fetches and computes",
                false => "computes and sends",
            };
            vec![
                format!(
                    "each kept tuple {what} one row of {} from {} operands, {access}",
                    row(target),
                    value.points().len()
                ),
                bound(compiled, movement, bytes(target)),
            ]
        }
        (Kind::Derive { value }, _) => vec![
            match value {
                Derived::Count => "the rows of each group, read off the plan",
                Derived::Offset(..) => "the first row of each group, read off the plan",
                Derived::Dropped => "tuples that the route dropped, read off the plan",
            }
            .to_string(),
        ],
    }
}

/// What a value reads for each tuple, and once for the position.
fn parted(value: &Tree) -> (Vec<&Point>, Vec<&Point>) {
    match value {
        Tree::Fold { term, .. } => (term.points(), Vec::new()),
        Tree::Cast { of, .. } => parted(of),
        Tree::Binary { lhs, rhs, .. } => {
            let ((mut a, mut b), (c, d)) = (parted(lhs), parted(rhs));
            a.extend(c);
            b.extend(d);
            (a, b)
        }
        other => (Vec::new(), other.points()),
    }
}

/// Whether a point has a run.
fn is_row(point: &Point) -> bool {
    point.coords.contains(&None)
}

/// The most that one rank can send or fetch: every tuple kept, every partner on another rank.
fn bound(compiled: &Compiled, movement: &Movement, bytes: i64) -> String {
    let route = &compiled.plan.routes[&movement.route];
    let read = movement.target.deal.as_ref().and_then(|deal| match deal.form {
        DealForm::Read(owners) => Some(&compiled.hir.tensors[owners].name),
        _ => None,
    });
    let which = match read {
        Some(owners) => format!("which ranks, `{owners}` says in the launch that plans"),
        None => "which ranks, the plan knows".to_string(),
    };
    let tuples = route.positions_bound.saturating_mul(route.fan);
    let most = tuples.saturating_mul(movement.run).saturating_mul(bytes);
    format!(
        "at most {} a rank: {} positions, {} tuples each; {which}",
        super::picture::size(most),
        route.positions_bound,
        route.fan
    )
}
