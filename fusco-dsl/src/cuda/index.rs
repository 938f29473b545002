//! Index arithmetic as C expressions, 32 bits wide; addresses widen at the last multiplication.

use super::namer::name;
use crate::schedule::ir::{Access, Ix, Schedule};

pub(super) fn index(schedule: &Schedule, ix: &Ix) -> String {
    match ix {
        Ix::Lit(v) => v.to_string(),
        Ix::Me => "me".to_string(),
        Ix::Var(var) => name(&schedule.vars[*var].name),
        Ix::Dyn(handle) => {
            let d = &schedule.dyns[*handle];
            if d.per_rank { format!("{}.at[me]", name(&d.name)) } else { name(&d.name) }
        }
        Ix::Base { base, group } => {
            format!("i32(plan->base{}[{}])", schedule.bases[*base].align, index(schedule, group))
        }
        Ix::Live { group, .. } => format!("i32(plan->live[{}])", index(schedule, group)),
        // The verifier keeps these to static movements, which spell them themselves.
        Ix::DynAt { .. } | Ix::Element { .. } | Ix::Lookup { .. } => String::new(),
        Ix::Dropped(_) => "i32(plan->dropped)".to_string(),
        Ix::Binary { op, lhs, rhs } => {
            format!("({} {} {})", index(schedule, lhs), op.symbol(), index(schedule, rhs))
        }
    }
}

/// Without the outer parentheses.
pub(super) fn bare(schedule: &Schedule, ix: &Ix) -> String {
    let text = index(schedule, ix);
    match ix {
        Ix::Binary { .. } => text[1..text.len() - 1].to_string(),
        _ => text,
    }
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
