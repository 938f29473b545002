//! How a statement becomes a movement: read, refined into digits, cut, shaped. A statement along a route does, too,
//! where its rows are not runs that are alike on all sides.
//!
//! The digits of a variable are the common refinement of the boundaries that both tables put on it. If
//! the boundaries do not form a chain, those of the carrying side win and the other side divides.

use super::Plan;
use super::moves::{Built, Move, MoveDigit};
use super::reader::Reader;
use super::refine::{Asked, Builder};
use crate::sema::hir::{self, Bindings, Program};

/// Reads statement number `stmt` of an entry.
///
/// # Errors
/// What cannot be lowered yet (F0999), located.
pub(super) fn lower(
    (program, bound, plan): (&Program, &Bindings, &Plan),
    asked: &Asked,
    (entry, stmt): (&hir::Entry, usize),
) -> Built<Move> {
    let assign = &entry.stmts[stmt];
    let route = super::routed::route_of(program, assign);
    let shape = route.map(|r| &plan.routes[&r]);
    super::routed::one_plan(program, assign)?;
    let reader = Reader { program, bound, assign, shape };
    let (value, cast) = reader.value()?;
    let target = reader.place(assign.target, &assign.index)?;
    let vars = reader.vars()?;
    let filter = reader.filter()?;
    let (tables, checked) = (&plan.tables, Vec::new());
    let mut builder = Builder { program, tables, asked, shape, target, value, vars, checked };
    builder.supported(assign.span)?;
    if let Some(shape) = shape {
        super::routed::movement(&builder, shape, assign.span)?;
    }
    let carrier = builder.carrier()?;
    let divided = builder.divided(carrier);
    let mut digits = builder.digits(carrier);
    let checks = builder.cut(carrier, &mut digits);
    builder.checked = builder.compared(carrier, &checks);
    let filtered = filter.iter().flat_map(|f| f.operands()).flat_map(|n| n.vars());
    builder.checked.extend(filtered);
    builder.guard(&mut digits);
    let order = builder.order(&digits);
    let digits: Vec<MoveDigit> = order.into_iter().map(|i| digits[i].clone()).collect();
    let (shape, digits, why) = builder.shape(digits, cast);
    Ok(Move {
        stmt,
        text: assign.text.clone(),
        span: assign.span,
        route,
        filter,
        cast,
        carrier,
        checks,
        shape,
        why,
        divided,
        digits,
        vars: builder.vars,
        target: builder.target,
        value: builder.value,
    })
}
