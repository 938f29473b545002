//! Between logical global arrays and the buffers of ranks: how a host fills what an entry reads and judges
//! what it wrote.

use crate::Compiled;
use crate::arena::Handle;
use crate::layout::{Home, Radix, Table};
use crate::oracle::{self, Array, Inputs, Outputs};
use crate::sema::hir::{self, Extent, Size};
use std::collections::BTreeMap;

/// Each rank's bytes of a logical array, in the order of the placement.
///
/// # Errors
/// Counts, owners or sizes that do not fit the placement.
pub fn scatter(
    compiled: &Compiled,
    handle: Handle<hir::Tensor>,
    array: &Array,
    inputs: &Inputs,
) -> Result<Vec<Vec<u8>>, oracle::Error> {
    let tensor = &compiled.hir.tensors[handle];
    if oracle::is_static(&compiled.hir, tensor) {
        let ranks = oracle::scatter(&compiled.hir, inputs, &tensor.name)?;
        return Ok(ranks.into_iter().map(|p| p.array.data).collect());
    }
    let table = &compiled.tables()[&handle];
    let width = array.elem.bytes() as usize;
    let mut ranks = vec![Vec::new(); compiled.schedule.ranks as usize];
    let (mut coords, run) = (vec![0i64; tensor.axes.len()], contiguous(table, array));
    for first in (0..array.len()).step_by(run.max(1)) {
        let mut rest = first;
        for axis in (0..coords.len()).rev() {
            coords[axis] = (rest % array.shape[axis]) as i64;
            rest /= array.shape[axis];
        }
        if !live(compiled, tensor, &coords, inputs) {
            continue;
        }
        let (rank, offset) = table.locate(&coords, |_| 0);
        let buffer: &mut Vec<u8> = &mut ranks[rank];
        let (from, to) = (first * width, offset * width);
        if buffer.len() < to + run * width {
            buffer.resize(to + run * width, 0);
        }
        buffer[to..to + run * width].copy_from_slice(&array.data[from..from + run * width]);
    }
    Ok(ranks)
}

/// Elements of the last axis that lie together in memory.
fn contiguous(table: &Table, array: &Array) -> usize {
    let last = array.shape.len() - 1;
    let whole = table.digits.iter().filter(|d| d.axis == last).count() == 1;
    let inner = table
        .digits
        .last()
        .is_some_and(|d| d.axis == last && matches!(d.home, Home::Memory { stride: 1 }));
    let fixed = table.digits.last().is_some_and(|d| matches!(d.radix, Radix::Fixed(_)));
    if whole && inner && fixed { array.shape[last] } else { 1 }
}

/// Whether the coordinates lie inside the rank's `dyn` extents.
fn live(compiled: &Compiled, tensor: &hir::Tensor, coords: &[i64], inputs: &Inputs) -> bool {
    tensor.axes.iter().zip(coords).all(|(axis, at)| match &axis.extent {
        Extent::Fixed(Size::Dyn { of, index }) => {
            let values = inputs
                .dyns
                .get(&compiled.hir.dyns[*of].name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let rank = match index.first() {
                Some(Size::Coord(i)) if values.len() > 1 => coords[*i] as usize,
                _ => 0,
            };
            values.get(rank).is_some_and(|n| at < n)
        }
        _ => true,
    })
}

/// Compares each rank's buffers with the oracle's, bit for bit, wherever the program defines an element.
/// `found`: bytes of each rank, by tensor; tensors that were not kept are passed over.
///
/// # Errors
/// The first difference: `y@rank[element]`, both values.
pub fn compare(expected: &Outputs, found: &BTreeMap<String, Vec<Vec<u8>>>) -> Result<u64, String> {
    let mut compared = 0;
    for (name, ranks) in &expected.physical {
        let Some(got) = found.get(name) else { continue };
        for (rank, want) in ranks.iter().enumerate() {
            let width = want.array.elem.bytes() as usize;
            for i in (0..want.defined.len()).filter(|i| want.defined[*i]) {
                let a = &want.array.data[i * width..(i + 1) * width];
                let b = got[rank].get(i * width..(i + 1) * width);
                if b != Some(a) {
                    return Err(format!(
                        "{name}@{rank}[{i}] is {b:02x?}, the oracle says {a:02x?}"
                    ));
                }
                compared += 1;
            }
        }
    }
    Ok(compared)
}
