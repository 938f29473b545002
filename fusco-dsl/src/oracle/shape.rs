//! How long the logical array of a tensor is along each axis.

use super::Error;
use super::scope::{Scope, names};
use crate::sema::hir::{Extent, Size, Tensor};

/// Extents of the logical array of a tensor, `dyn` and ragged axes at their longest.
pub(super) fn shape(scope: &Scope, tensor: &Tensor) -> Result<Vec<usize>, Error> {
    let counts = scope.counts(tensor)?;
    let mut shape = Vec::new();
    for axis in &tensor.axes {
        let longest = match &axis.extent {
            Extent::Fixed(size) => longest(scope, tensor, size, &mut vec![0; shape.len()], 0)?,
            Extent::Counted { rows, .. } => {
                longest(scope, tensor, rows, &mut vec![0; shape.len()], 0)?
            }
            Extent::Ragged { .. } => counts.and_then(|r| r.live.iter().max()).copied().unwrap_or(0),
        };
        shape.push(
            usize::try_from(longest)
                .map_err(|_| Error::Shape(format!("{} is {longest} long", axis.name)))?,
        );
    }
    Ok(shape)
}

/// The largest extent over all coordinates of the earlier axes that it names.
fn longest(
    scope: &Scope,
    tensor: &Tensor,
    size: &Size,
    at: &mut Vec<i64>,
    axis: usize,
) -> Result<i64, Error> {
    if axis == at.len() {
        return scope.inputs.size(scope.program, size, at);
    }
    let extent = match &tensor.axes[axis].extent {
        Extent::Fixed(own) if names(size, axis) => {
            scope.inputs.size(scope.program, own, &at[..axis])?
        }
        _ => 1,
    };
    let mut most = 0;
    for value in 0..extent {
        at[axis] = value;
        most = most.max(longest(scope, tensor, size, at, axis + 1)?);
    }
    Ok(most)
}
