//! The points of a grid or of a tile's loop: a flat number to the values of its variables, and the guards.

use super::Emit;
use crate::arena::Handle;
use crate::cuda::index::{Width, bare, in_width};
use crate::cuda::namer::{name, var_name};
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Guard, Ix, Schedule, Share, Var};

/// `const i32 n = i / 8 % 64;`, one line a variable, from flat number `flat` with `inner` steps below the
/// last variable.
pub(super) fn decode(
    out: &mut Out,
    schedule: &Schedule,
    vars: &[(Handle<Var>, i64)],
    flat: &str,
    inner: i64,
) {
    let mut below = inner;
    let mut lines = Vec::new();
    for (i, (var, radix)) in vars.iter().enumerate().rev() {
        let word = var_name(schedule, *var);
        let quotient = if below == 1 { flat.to_string() } else { format!("{flat} / {below}") };
        let value = if i == 0 { quotient } else { format!("{quotient} % {radix}") };
        lines.push(format!("const i32 {word} = {value};"));
        below = below.saturating_mul(*radix);
    }
    lines.iter().rev().for_each(|l| out.line(l));
}

/// The product of the extents.
pub(super) fn count(vars: &[(Handle<Var>, i64)]) -> i64 {
    vars.iter().fold(1i64, |n, (_, radix)| n.saturating_mul(*radix))
}

/// `i32`, or `i64` where a flat number needs it.
pub(super) fn flat_type(points: i64) -> &'static str {
    if points < i64::from(i32::MAX) - (1 << 24) { "i32" } else { "i64" }
}

/// A condition for all guards; `None` if there are none.
pub(super) fn condition(schedule: &Schedule, guards: &[Guard]) -> Option<String> {
    let one = |g: &Guard| match g {
        Guard::Below { value, limit } => {
            format!("{} < {}", bare(schedule, value), bare(schedule, limit))
        }
        Guard::Equal { value, to } => {
            format!("{} == {}", bare(schedule, value), bare(schedule, to))
        }
        Guard::Valid { value, limit, .. } => {
            format!("valid({}, {limit}, launch, me)", bare(schedule, value))
        }
    };
    let all: Vec<String> = guards.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(" && "))
}

impl Emit<'_> {
    /// Guards that read only the rank: false for a rank that has no part in the movement.
    pub(super) fn split_guards<'g>(&self, guards: &'g [Guard]) -> (Vec<Guard>, Vec<Guard>) {
        let by_rank = |g: &&'g Guard| {
            let mut all = true;
            let mut see = |ix: &Ix| {
                all &= matches!(ix, Ix::Lit(_) | Ix::Me | Ix::Binary { .. });
            };
            match g {
                Guard::Below { value, limit: other } | Guard::Equal { value, to: other } => {
                    value.walk(&mut see);
                    other.walk(&mut see);
                }
                Guard::Valid { .. } => return false,
            }
            all
        };
        let (rank, point): (Vec<&Guard>, Vec<&Guard>) = guards.iter().partition(by_rank);
        (rank.into_iter().cloned().collect(), point.into_iter().cloned().collect())
    }
}

/// First and last flat number of this rank's part.
pub(super) fn bounds(schedule: &Schedule, share: &Option<Share>, points: i64) -> (String, String) {
    match share {
        None => ("0".to_string(), points.to_string()),
        Some(share) => {
            let part = (points + share.count - 1) / share.count;
            let index = bare(schedule, &share.index);
            let ty = flat_type(points);
            (
                format!("{ty}({index}) * {part}"),
                format!("min(({index}) * {ty}({part}) + {part}, {ty}({points}))"),
            )
        }
    }
}

/// A pointer to vector `v` of the access.
pub(super) fn place(schedule: &Schedule, access: &Access, v: &str) -> String {
    let tensor = &schedule.tensors[access.tensor];
    let (word, bytes) = (name(&tensor.name), access.vector);
    let width = if tensor.elems / access.unit.max(1) < i64::from(i32::MAX) {
        Width::Narrow
    } else {
        Width::Wide
    };
    let row = in_width(schedule, &access.row, width);
    let rank = bare(schedule, &access.rank);
    let offset = match access.unit {
        _ if access.row == Ix::Lit(0) => "0".to_string(),
        1 => format!("i64({row})"),
        unit => format!("i64({row}) * {unit}"),
    };
    let constness = if tensor.io == crate::sema::hir::Io::In { "const " } else { "" };
    let after = if v == "0" { String::new() } else { format!(" + {v}") };
    match tensor.swizzle {
        None => format!(
            "reinterpret_cast<{constness}Vec<{bytes}>*>({word}.at[{rank}] + {offset}){after}"
        ),
        Some(swizzle) => {
            let elements = bytes / tensor.elem.bytes();
            let at = if v == "0" { offset } else { format!("{offset} + i64({v}) * {elements}") };
            format!(
                "swizzled<{}, {constness}Vec<{bytes}>>({word}.at[{rank}], {at})",
                swizzle.row_bytes()
            )
        }
    }
}
