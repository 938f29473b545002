//! The loop-nest meaning of a program, run literally on host arrays: slow, obvious, the judge of
//! everything else. It shares no code with the lowering and does not know that schedules exist.
//!
//! Enters: a checked program and its inputs as logical global arrays. Leaves: for each `out` its logical
//! array, the live length of its ragged segments, and each rank's buffer as the placement says.

mod array;
mod bits;
mod carried;
mod deal;
mod digits;
mod error;
mod gather;
mod held;
mod holders;
mod int;
mod linear;
mod nest;
mod number;
mod owners;
mod place;
mod placed;
mod relation;
mod row;
mod run;
mod scope;
mod shape;
mod tuples;

pub use array::Array;
pub use bits::Bits;
pub use carried::{Carried, buffers, carried};
pub use error::Error;
pub use gather::{Gathered, gather};
pub use linear::run_entry_f64;
pub use place::Physical;
pub use placed::Placed;
pub use relation::{check_assumes, check_indices, relation};
pub use run::{Outputs, run_entry, run_entry_watched, scatter};
pub use tuples::{Relation, Tuples};

use crate::sema::hir::{Bindings, Program, Size, SpreadKind, Tensor, VarExtent};
use std::collections::BTreeMap;

/// Told of long work: which route or tensor is being made, and how many of its parts are done, of how many.
pub type Watch<'w> = dyn FnMut(&str, usize, usize) + 'w;

/// What a program runs on. Arrays are logical and global, in the axis order of the declaration, `dyn` axes
/// padded to their longest; integers may be narrower than declared. An input placed as a `sum` over mesh axes
/// has its parts: a leading axis over their composite coordinate, row-major.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub params: Bindings,
    /// One value, or one for each rank.
    pub dyns: BTreeMap<String, Vec<i64>>,
    pub tensors: BTreeMap<String, Array>,
}

impl Inputs {
    /// A size, with the coordinates it may name.
    pub(crate) fn size(
        &self,
        program: &Program,
        size: &Size,
        coords: &[i64],
    ) -> Result<i64, Error> {
        match size {
            Size::Dyn { of, index } => {
                let name = &program.dyns[*of].name;
                let values =
                    self.dyns.get(name).ok_or_else(|| Error::Missing(format!("dyn {name}")))?;
                let mut at = 0i64;
                for (i, axis) in index.iter().zip(&program.dyns[*of].axes) {
                    let size = self.size(program, &program.mesh_axes[*axis].size, &[])?;
                    let i = self.size(program, i, coords)?;
                    at = at.checked_mul(size).and_then(|n| n.checked_add(i)).unwrap_or(-1);
                }
                let at = if values.len() == 1 { 0 } else { at };
                usize::try_from(at)
                    .ok()
                    .and_then(|i| values.get(i))
                    .copied()
                    .ok_or_else(|| Error::Missing(format!("dyn {name}[{at}]")))
            }
            Size::Coord(i) => coords
                .get(*i)
                .copied()
                .ok_or_else(|| Error::Unsupported("a size of a later axis".into())),
            Size::Binary { op, lhs, rhs } => {
                let (a, b) = (self.size(program, lhs, coords)?, self.size(program, rhs, coords)?);
                op.apply(a, b).ok_or_else(|| Error::Unsupported("integer overflow".into()))
            }
            Size::Read { tensor, index } => {
                let array = self.tensor(&program.tensors[*tensor].name)?;
                let mut at = Vec::new();
                for i in index {
                    at.push(self.size(program, i, coords)?);
                }
                let name = &program.tensors[*tensor].name;
                let flat = array.at(&at).ok_or_else(|| Error::outside(name, &at, &array.shape))?;
                Ok(array.get_i64(flat))
            }
            size => program
                .eval(size, &self.params)
                .ok_or_else(|| Error::Missing(format!("a param of {size:?}"))),
        }
    }

    pub(crate) fn extent(
        &self,
        program: &Program,
        extent: &VarExtent,
        coords: &[i64],
    ) -> Result<i64, Error> {
        match extent {
            VarExtent::Fixed(size) => self.size(program, size, coords),
            VarExtent::Counted { rows, bound } => self.counted(program, (rows, bound), coords),
            VarExtent::Ragged(_) => Err(Error::Unsupported("a ragged source".into())),
        }
    }

    /// The extent of a counted axis, which its bound must admit.
    pub(crate) fn counted(
        &self,
        program: &Program,
        (rows, bound): (&Size, &Size),
        coords: &[i64],
    ) -> Result<i64, Error> {
        let (count, most) = (self.size(program, rows, coords)?, self.size(program, bound, coords)?);
        if (0..=most).contains(&count) {
            return Ok(count);
        }
        let (tensor, at) = self.source(program, rows, coords)?.unwrap_or_default();
        Err(Error::Count { tensor, at, rows: count, bound: most })
    }

    /// The element that a size reads: its tensor's name and its coordinates.
    fn source(
        &self,
        program: &Program,
        size: &Size,
        coords: &[i64],
    ) -> Result<Option<(String, Vec<i64>)>, Error> {
        match size {
            Size::Read { tensor, index } => {
                let at = index.iter().map(|i| self.size(program, i, coords));
                Ok(Some((program.tensors[*tensor].name.clone(), at.collect::<Result<_, _>>()?)))
            }
            Size::Binary { lhs, rhs, .. } => match self.source(program, lhs, coords)? {
                None => self.source(program, rhs, coords),
                found => Ok(found),
            },
            _ => Ok(None),
        }
    }

    /// Coordinates of the axes over which a tensor is a sum: one part for each combination.
    pub(crate) fn parts(&self, program: &Program, tensor: &Tensor) -> Result<Option<i64>, Error> {
        let mut parts = None;
        for spread in &tensor.spread {
            if let SpreadKind::Sum { .. } = spread.kind {
                let size = self.size(program, &program.mesh_axes[spread.mesh].size, &[])?;
                parts = Some(parts.unwrap_or(1) * size);
            }
        }
        Ok(parts)
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<&Array, Error> {
        self.tensors.get(name).ok_or_else(|| Error::Missing(format!("tensor {name}")))
    }

    /// Whether every array is whole and has its tensor's axes, and every `dyn` is within its bound.
    pub(crate) fn check(&self, program: &Program) -> Result<(), Error> {
        for (_, tensor) in program.tensors.iter() {
            let Some(array) = self.tensors.get(&tensor.name) else { continue };
            array.check()?;
            let parts = self.parts(program, tensor)?;
            let (name, axes) = (&tensor.name, tensor.axes.len());
            if array.shape.len() != axes + usize::from(parts.is_some()) {
                let shape = &array.shape;
                return Err(Error::Shape(format!("{name} has {axes} axes, its array {shape:?}")));
            }
            if let Some(parts) = parts.filter(|n| *n != array.shape[0] as i64) {
                let found = array.shape[0];
                return Err(Error::Shape(format!("{name} has {parts} parts, its array {found}")));
            }
        }
        for (_, info) in program.dyns.iter() {
            let Some(values) = self.dyns.get(&info.name) else { continue };
            let bound = self.size(program, &info.bound, &[])?;
            for (i, value) in values.iter().enumerate() {
                if !(0..=bound).contains(value) {
                    let name = match values.len() {
                        1 => info.name.clone(),
                        _ => format!("{}[{i}]", info.name),
                    };
                    return Err(Error::Dyn { name, value: *value, bound });
                }
            }
        }
        Ok(())
    }
}
