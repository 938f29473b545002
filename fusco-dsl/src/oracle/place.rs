//! Physical buffers, from the definition of a placement alone.

use super::digits::Digits;
use super::scope::{Scope, overflow};
use super::{Array, Bits, Error, deal, number};
use crate::sema::hir::{Elem, Scalar, Tensor, TermKind};

/// One rank's buffer in memory order. An undefined element is padding without a fill.
#[derive(Clone, Debug)]
pub struct Physical {
    pub array: Array,
    pub defined: Bits,
}

pub(super) fn fill_bits(tensor: &Tensor) -> u64 {
    let Some(fill) = tensor.attrs.fill else { return 0 };
    literal_bits(tensor.dtype.elem, fill)
}

/// A literal in an element type: through f32, but in f64.
pub(super) fn literal_bits(elem: Elem, literal: Scalar) -> u64 {
    if elem == Elem::F64 {
        return match literal {
            Scalar::Int(v) => (v as f64).to_bits(),
            Scalar::Float(v) => v.to_bits(),
        };
    }
    let (float, int) = match literal {
        Scalar::Int(v) => (v as f32, v),
        Scalar::Float(v) => (v as f32, v as i64),
    };
    number::from_f32(elem, float).unwrap_or(int as u64)
}

/// Every rank's buffer of a logical array.
pub(super) fn physical(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
) -> Result<Vec<Physical>, Error> {
    let lengths = lengths(scope, tensor, logical)?;
    let mut out = Vec::new();
    for len in &lengths {
        let array = Array::filled(logical.elem, vec![*len], fill_bits(tensor))?;
        out.push(Physical { array, defined: Bits::new(*len, tensor.attrs.fill.is_some()) });
    }
    let (width, from_bytes) = (logical.elem.bytes() as usize, logical.bytes());
    runs(scope, tensor, logical, &lengths, &mut |rank, at, from, run| {
        let buffer: &mut Physical = &mut out[rank];
        buffer.array.bytes_mut()[at * width..(at + run) * width]
            .copy_from_slice(&from_bytes[from * width..(from + run) * width]);
        buffer.defined.set(at, run);
        Ok(())
    })?;
    Ok(out)
}

/// Elements of each rank's buffer of an array; where the outermost digit has as many values as a launch says, those
/// that the array reaches.
pub(super) fn lengths(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
) -> Result<Vec<usize>, Error> {
    let mut lengths = deal::lengths(scope, tensor)?;
    let digits = Digits::new(scope, tensor)?;
    let attrs = &tensor.attrs;
    let whole = attrs.uneven || !attrs.stride.is_empty() || attrs.swizzle.is_some();
    let mapped = tensor.placement.iter().any(|t| matches!(t.kind, TermKind::Mapped { .. }));
    let says_more = whole || mapped || !tensor.spread.is_empty() || scope.program.meshes.len() > 1;
    let Some(stride) = digits.leading().filter(|_| !says_more) else { return Ok(lengths) };
    let mut reach = vec![0; lengths.len()];
    deal::visit(&digits, logical, &mut |rank, at, _, run| {
        if let Some(reach) = reach.get_mut(rank) {
            *reach = at.saturating_add(run).max(*reach);
        }
        Ok(())
    })?;
    let stride = usize::try_from(stride).map_err(|_| overflow())?.max(1);
    for (len, reach) in lengths.iter_mut().zip(reach) {
        *len = reach.next_multiple_of(stride).min(*len);
    }
    Ok(lengths)
}

/// Visits the live elements of a logical array on every rank that holds them, by runs inside these lengths.
pub(super) fn runs(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
    lengths: &[usize],
    visit: &mut deal::Deal,
) -> Result<(), Error> {
    let digits = Digits::new(scope, tensor)?;
    deal::visit(&digits, logical, &mut |rank, at, from, run| {
        let len = *lengths.get(rank).ok_or_else(overflow)?;
        if at.checked_add(run).is_none_or(|end| end > len) {
            return Err(deal::outside(tensor, rank, at));
        }
        visit(rank, at, from, run)
    })
}
