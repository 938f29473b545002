//! The way back: the logical array of a tensor from the buffers of its ranks, by the same placement.

use super::digits::Digits;
use super::place::fill_bits;
use super::scope::{Scope, names, overflow};
use super::shape::shape;
use super::{Array, Error, Inputs, Relation, deal};
use crate::sema::hir::{Extent, Program, Tensor};
use std::collections::BTreeMap;

/// What the buffers of all ranks hold of a tensor.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Ragged axes padded to the longest with the fill value, or 0.
    pub logical: Array,
    /// Live length of each ragged segment, parents in declaration order; none if no axis is ragged.
    pub count: Option<Vec<i32>>,
    /// Elements of each rank's buffer that mean something: a packed one ends at its last live row, rounded up
    /// to the alignment.
    pub ends: Vec<usize>,
}

/// `live`: rows of each group, by route. `ranks`: bytes of each rank's buffer; where ranks hold copies, one of
/// them counts.
///
/// # Errors
/// A name, a count or a buffer that does not fit the placement.
pub fn gather(
    program: &Program,
    inputs: &Inputs,
    live: &BTreeMap<String, Vec<u32>>,
    name: &str,
    ranks: &[impl AsRef<[u8]>],
) -> Result<Gathered, Error> {
    inputs.check(program)?;
    let plans = counted(live);
    let scope = Scope { program, inputs, plans: &plans, made: &BTreeMap::new() };
    let handle = program.tensor(name).ok_or_else(|| Error::Missing(format!("tensor {name}")))?;
    let tensor = &program.tensors[handle];
    let elem = tensor.dtype.elem;
    let mut shape = shape(&scope, tensor)?;
    if let Some(parts) = deal::parts(&scope, tensor)? {
        shape.insert(0, usize::try_from(parts).map_err(|_| overflow())?);
    }
    let mut logical = Array::filled(elem, shape.clone(), fill_bits(tensor))?;
    let data = logical.bytes_mut();
    let width = elem.bytes() as usize;
    let mut last = vec![0; ranks.len()];
    let mut take = |rank: usize, at: usize, from: usize, run: usize| {
        let bytes = ranks.get(rank).and_then(|b| b.as_ref().get(at * width..(at + run) * width));
        let bytes = bytes.ok_or_else(|| deal::outside(tensor, rank, at))?;
        data[from * width..(from + run) * width].copy_from_slice(bytes);
        last[rank] = last[rank].max(at + run);
        Ok(())
    };
    let mut held = vec![true; ranks.len()];
    let digits = Digits::new(&scope, tensor)?;
    deal::visit(&digits, &Array::outline(elem, shape), &mut take)?;
    for (rank, held) in held.iter_mut().enumerate() {
        *held = digits.holds(rank as i64)?;
    }
    let rows = digits.rows();
    let end = |(rank, bytes): (usize, &[u8])| {
        let whole = if held[rank] { bytes.len() / width } else { 0 };
        let block = rows.and_then(|(align, row)| usize::try_from(align * row).ok());
        block.map_or(whole, |block| last[rank].next_multiple_of(block.max(1)).min(whole))
    };
    let ends = ranks.iter().map(AsRef::as_ref).enumerate().map(end).collect();
    Ok(Gathered { logical, count: segments(&scope, tensor)?, ends })
}

/// What plans that were made elsewhere say of the routes: rows of each group.
pub(super) fn counted(live: &BTreeMap<String, Vec<u32>>) -> BTreeMap<String, Relation> {
    let of = |rows: &Vec<u32>| {
        let live = rows.iter().map(|n| i64::from(*n)).collect();
        Relation { live, ..Relation::default() }
    };
    live.iter().map(|(route, rows)| (route.clone(), of(rows))).collect()
}

/// Live length of each segment of a ragged or counted axis, over the coordinates of the axes it depends on.
pub(super) fn segments(scope: &Scope, tensor: &Tensor) -> Result<Option<Vec<i32>>, Error> {
    if let Some(relation) = scope.counts(tensor)? {
        return Ok(Some(relation.live.iter().map(|n| *n as i32).collect()));
    }
    let counted = |a: &crate::sema::hir::Axis| matches!(a.extent, Extent::Counted { .. });
    let Some(axis) = tensor.axes.iter().position(counted) else { return Ok(None) };
    let mut out = Vec::new();
    segment(scope, tensor, axis, &mut Vec::new(), &mut out)?;
    Ok(Some(out))
}

fn segment(
    scope: &Scope,
    tensor: &Tensor,
    axis: usize,
    at: &mut Vec<i64>,
    out: &mut Vec<i32>,
) -> Result<(), Error> {
    let Extent::Counted { rows, bound } = &tensor.axes[axis].extent else { return Ok(()) };
    if at.len() == axis {
        let count = scope.inputs.counted(scope.program, (rows, bound), at)?;
        out.push(i32::try_from(count).map_err(|_| overflow())?);
        return Ok(());
    }
    let extent = match &tensor.axes[at.len()].extent {
        Extent::Fixed(size) if names(rows, at.len()) => scope.size(size, at)?,
        _ => 1,
    };
    for value in 0..extent {
        at.push(value);
        segment(scope, tensor, axis, at, out)?;
        at.pop();
    }
    Ok(())
}
