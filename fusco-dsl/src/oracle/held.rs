//! Which ranks hold the rows that a `sum.tree` adds up: what it groups its terms by.

use super::Error;
use super::digits::Digits;
use super::scope::{Scope, overflow};
use crate::arena::Handle;
use crate::sema::hir::{Assign, Expr, ExprKind, Tensor, Within};
use std::collections::BTreeMap;

/// The placements of those rows.
pub(super) struct Held<'a>(BTreeMap<Handle<Tensor>, Digits<'a>>);

impl<'a> Held<'a> {
    pub fn new(scope: &Scope<'a>, stmt: &Assign) -> Result<Held<'a>, Error> {
        let (mut rows, mut out) = (Vec::new(), BTreeMap::new());
        named(&stmt.value, &mut rows);
        for tensor in rows {
            out.insert(tensor, Digits::new(scope, &scope.program.tensors[tensor])?);
        }
        Ok(Held(out))
    }

    /// The coordinates, up to the axis of `within`, of the rank that holds the row of a term, as one number. An axis
    /// along which rows are copied has one coordinate for all terms.
    pub fn group(
        &self,
        scope: &Scope,
        (within, body): (Within, &Expr),
        values: &[i64],
    ) -> Result<i64, Error> {
        let reads = body.reads();
        let row = reads.iter().find(|(tensor, _)| *tensor == within.rows);
        let (Some((_, index)), Some(digits)) = (row, self.0.get(&within.rows)) else {
            return Err(Error::Unsupported("a `sum.tree` of no rows".into()));
        };
        let mut rank = 0;
        for (axis, index) in index.iter().enumerate() {
            let none = || Error::Shape("an index of a row is none".into());
            let at = scope.int(index, values)?.ok_or_else(none)?;
            rank += digits.part(axis, at)?.rank;
        }
        let cut = scope.program.cut(within.axis, &scope.inputs.params).ok_or_else(overflow)?;
        Ok(rank / cut.0)
    }
}

/// The rows of every `sum.tree` of a value.
fn named(value: &Expr, out: &mut Vec<Handle<Tensor>>) {
    match &value.kind {
        ExprKind::Reduce { within, body, .. } => {
            out.extend(within.map(|w| w.rows));
            named(body, out);
        }
        ExprKind::Cast(inner) => named(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            named(lhs, out);
            named(rhs, out);
        }
        _ => {}
    }
}
