//! Index arithmetic as C expressions, 32 bits wide; addresses widen at the last multiplication.

use super::namer::name;
use crate::schedule::ir::{Access, Ix, Schedule, TableKind};

/// Whether index arithmetic may exceed 32 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Narrow,
    Wide,
}

pub(super) fn index(schedule: &Schedule, ix: &Ix) -> String {
    parenthesised(schedule, ix, Width::Narrow)
}

/// Without the outer parentheses, in the width.
pub(super) fn in_width(schedule: &Schedule, ix: &Ix, width: Width) -> String {
    let text = parenthesised(schedule, ix, width);
    match ix {
        Ix::Binary { .. } => text[1..text.len() - 1].to_string(),
        _ => text,
    }
}

fn parenthesised(schedule: &Schedule, ix: &Ix, width: Width) -> String {
    let inner = |ix: &Ix| in_width(schedule, ix, width);
    match ix {
        Ix::Lit(v) => v.to_string(),
        Ix::Me => "me".to_string(),
        Ix::Var(var) if width == Width::Wide => format!("i64({})", name(&schedule.vars[*var].name)),
        Ix::Var(var) => name(&schedule.vars[*var].name),
        Ix::Dyn(handle) => {
            let d = &schedule.dyns[*handle];
            if d.per_rank { format!("{}.at[me]", name(&d.name)) } else { name(&d.name) }
        }
        Ix::DynAt { of, rank } => {
            let d = &schedule.dyns[*of];
            if d.per_rank {
                format!("{}.at[{}]", name(&d.name), inner(rank))
            } else {
                name(&d.name)
            }
        }
        Ix::Element { tensor, rank, at } => {
            format!(
                "i32({}.at[{}][{}])",
                name(&schedule.tensors[*tensor].name),
                inner(rank),
                inner(at)
            )
        }
        Ix::Lookup { table, index } => {
            let info = &schedule.tables[*table];
            match info.kind {
                TableKind::Const(_) => format!("{}[{}]", name(&info.name), inner(index)),
                TableKind::Computed => format!("i32(plan->{}[{}])", name(&info.name), inner(index)),
            }
        }
        Ix::Base { base, group } => {
            format!("i32(plan->base{}[{}])", schedule.bases[*base].align, inner(group))
        }
        Ix::Live { group, .. } => format!("i32(plan->live[{}])", inner(group)),
        Ix::Dropped(_) => "i32(plan->dropped)".to_string(),
        Ix::Binary { op, lhs, rhs } => format!(
            "({} {} {})",
            parenthesised(schedule, lhs, width),
            op.symbol(),
            parenthesised(schedule, rhs, width)
        ),
    }
}

/// Without the outer parentheses.
pub(super) fn bare(schedule: &Schedule, ix: &Ix) -> String {
    in_width(schedule, ix, Width::Narrow)
}

/// The first element of an access.
pub(super) fn pointer(schedule: &Schedule, access: &Access) -> String {
    let tensor = name(&schedule.tensors[access.tensor].name);
    let row = index(schedule, &access.row);
    let offset = match access.run {
        1 => row,
        run => format!("i64({}) * {run}", bare(schedule, &access.row)),
    };
    format!("{tensor}.at[{}] + {offset}", bare(schedule, &access.rank))
}
