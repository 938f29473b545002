//! Index arithmetic as C expressions, 32 bits wide; addresses widen at the last multiplication. Numbers that
//! are stored, and comparisons with elements of tensors, are 64 bits wide throughout.

use super::namer::{name, table_name, var_name};
use crate::schedule::ir::{Access, Ix, IxOp, PairPart, Schedule, TableKind, Tensor};

/// Whether index arithmetic may exceed 32 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Narrow,
    Wide,
}

impl Width {
    /// Of element offsets of the tensor.
    fn of(tensor: &Tensor) -> Width {
        if tensor.elems < i64::from(i32::MAX) { Width::Narrow } else { Width::Wide }
    }
}

/// An operand of a larger expression.
pub(super) fn index(schedule: &Schedule, ix: &Ix) -> String {
    operand(schedule, ix, Width::Narrow, 3)
}

/// The whole of an expression, in the width.
pub(super) fn in_width(schedule: &Schedule, ix: &Ix, width: Width) -> String {
    let inner = |ix: &Ix| in_width(schedule, ix, width);
    match ix {
        Ix::Lit(v) => v.to_string(),
        Ix::Me
        | Ix::Var(_)
        | Ix::Dyn(_)
        | Ix::DynAt { .. }
        | Ix::Lookup { .. }
        | Ix::Base { .. }
        | Ix::Live { .. }
        | Ix::Dropped(_)
        | Ix::Pair { .. }
            if width == Width::Wide =>
        {
            format!("i64({})", bare(schedule, ix))
        }
        Ix::Me => "me".to_string(),
        Ix::Var(var) => var_name(schedule, *var),
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
            let info = &schedule.tensors[*tensor];
            let word = if width == Width::Wide { "i64" } else { "i32" };
            let buffer = format!("{}.at[{}]", name(&info.name), bare(schedule, rank));
            let at = in_width(schedule, at, Width::of(info));
            match info.swizzle {
                None => format!("{word}({buffer}[{at}])"),
                Some(swizzle) => format!(
                    "{word}(*swizzled<{}, const {}>({buffer}, {at}))",
                    swizzle.row_bytes(),
                    info.elem.name()
                ),
            }
        }
        Ix::Lookup { table, index } => {
            let info = &schedule.tables[*table];
            match info.kind {
                TableKind::Const(_) => {
                    format!("{}[{}]", table_name(schedule, *table), inner(index))
                }
                TableKind::Computed | TableKind::Planned(_) => {
                    format!("i32(plan->{}[{}])", table_name(schedule, *table), inner(index))
                }
            }
        }
        Ix::Base { base, group } => {
            format!("i32(plan->{}[{}])", schedule.bases[*base].name, inner(group))
        }
        Ix::Live { group, .. } => format!("i32(plan->live[{}])", inner(group)),
        Ix::Dropped(_) => "i32(plan->dropped)".to_string(),
        // The guard that keeps the tuple has read it.
        Ix::Pair { part: PairPart::Group, .. } => "pair.group".to_string(),
        Ix::Pair { part: PairPart::Slot, .. } => "pair.slot".to_string(),
        // Both are literals: C would compute them in 32 bits.
        Ix::Binary { op, lhs, rhs } if matches!((&**lhs, &**rhs), (Ix::Lit(_), Ix::Lit(_))) => {
            let (Ix::Lit(a), Ix::Lit(b)) = (&**lhs, &**rhs) else { return String::new() };
            op.apply(*a, *b).to_string()
        }
        Ix::Binary { op: op @ (IxOp::Div | IxOp::Rem), lhs, rhs }
            if !(never_negative(schedule, lhs, width) && never_negative(schedule, rhs, width)) =>
        {
            let word = if *op == IxOp::Div { "floor_div" } else { "floor_rem" };
            format!("{word}({}, {})", inner(lhs), inner(rhs))
        }
        Ix::Binary { op, lhs, rhs } => format!(
            "{} {} {}",
            operand(schedule, lhs, width, level(*op)),
            op.symbol(),
            // A sum may follow a plus as it is.
            operand(schedule, rhs, width, level(*op) + u8::from(*op != IxOp::Add))
        ),
    }
}

/// Whether no value of it is below 0, as far as its form tells. Elements are checked before they are used as
/// an index; ranks below a mesh take no part, so that no narrow index counts from before it.
fn never_negative(schedule: &Schedule, ix: &Ix, width: Width) -> bool {
    match ix {
        Ix::Lit(v) => *v >= 0,
        Ix::Var(var) => !schedule.vars[*var].signed,
        Ix::Binary { op: IxOp::Sub, lhs, .. } => width == Width::Narrow && **lhs == Ix::Me,
        Ix::Binary { op: IxOp::Rem, rhs, .. } => never_negative(schedule, rhs, width),
        Ix::Binary { lhs, rhs, .. } => {
            never_negative(schedule, lhs, width) && never_negative(schedule, rhs, width)
        }
        _ => true,
    }
}

/// A number that is stored: 64 bits wide, as the language says.
pub(super) fn stored(schedule: &Schedule, ix: &Ix) -> String {
    match ix {
        Ix::Binary { .. } | Ix::Element { .. } => in_width(schedule, ix, Width::Wide),
        ix => bare(schedule, ix),
    }
}

/// A multiplication binds closer than an addition; a division is not regrouped.
fn level(op: IxOp) -> u8 {
    match op {
        IxOp::Add | IxOp::Sub => 1,
        IxOp::Mul | IxOp::Div | IxOp::Rem => 2,
    }
}

fn operand(schedule: &Schedule, ix: &Ix, width: Width, least: u8) -> String {
    match ix {
        Ix::Binary { op, .. } if level(*op) < least => {
            format!("({})", in_width(schedule, ix, width))
        }
        ix => in_width(schedule, ix, width),
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
