//! Bytes that statements without a route read and write: points within their extents, times what each
//! point touches.

use fusco_dsl::Compiled;
use fusco_dsl::arena::Handle;
use fusco_dsl::layout::SpreadKind;
use fusco_dsl::oracle::Inputs;
use fusco_dsl::plan::{Live, Move, MoveVar};
use fusco_dsl::sema::hir::{self, Extent, Size};

/// Bytes read (every part of a sum; an element that several points name, once) and written (every copy of
/// a target). Along a route there are so many rows.
pub fn bytes(compiled: &Compiled, inputs: &Inputs, movement: &Move, rows: i64) -> (i64, i64) {
    let replicas = |place: &fusco_dsl::plan::Place, kind: SpreadKind| -> i64 {
        let spread = &compiled.tables()[&place.tensor].spread;
        spread.iter().filter(|s| s.kind == kind).map(|s| s.size).product()
    };
    let elem =
        |place: &fusco_dsl::plan::Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let written = elem(&movement.target) * replicas(&movement.target, SpreadKind::Copy);
    let rows = if movement.over_tuples() { rows } else { 1 };
    let points = |vars: &[MoveVar]| Points { compiled, inputs, vars }.count(&mut Vec::new()) * rows;
    let terms = points(&movement.vars);
    let read = |place: &&fusco_dsl::plan::Place| {
        let each = elem(place) * replicas(place, SpreadKind::Sum);
        terms.min(elements(compiled, inputs, place.tensor)) * each
    };
    let read = movement.value.places().iter().map(read).sum();
    (read, points(&written_vars(movement)) * written)
}

/// The variables of the target: one that is reduced has a single value there.
fn written_vars(movement: &Move) -> Vec<MoveVar> {
    let one = |(i, var): (usize, &MoveVar)| match movement.value.reduces(i) {
        true => MoveVar { extent: 1, live: Live::Known, ..var.clone() },
        false => var.clone(),
    };
    movement.vars.iter().enumerate().map(one).collect()
}

/// Elements of a tensor without rows of a route.
fn elements(compiled: &Compiled, inputs: &Inputs, handle: Handle<hir::Tensor>) -> i64 {
    let width = compiled.hir.tensors[handle].dtype.elem.bytes();
    tensor(compiled, inputs, handle, (i64::MAX / width, 1)) / width
}

/// Bytes of the elements that a tensor has in this run; one with rows of a route has them counted in `rows`,
/// of `run` elements each.
pub fn tensor(
    compiled: &Compiled,
    inputs: &Inputs,
    handle: Handle<hir::Tensor>,
    (rows, run): (i64, i64),
) -> i64 {
    let tensor = &compiled.hir.tensors[handle];
    let mut vars = Vec::new();
    for axis in &tensor.axes {
        let live = match &axis.extent {
            Extent::Fixed(size) => Live::Size(size.clone()),
            Extent::Counted { rows, .. } => Live::Size(rows.clone()),
            Extent::Ragged { .. } => return rows * run * tensor.dtype.elem.bytes(),
        };
        let (name, extent) = (axis.name.clone(), i64::MAX);
        vars.push(MoveVar { name, extent, live, guarded: false, first: false, tuple: None });
    }
    let points = Points { compiled, inputs, vars: &vars };
    points.count(&mut Vec::new()) * tensor.dtype.elem.bytes()
}

struct Points<'a> {
    compiled: &'a Compiled,
    inputs: &'a Inputs,
    vars: &'a [MoveVar],
}

impl Points<'_> {
    /// Points of the variables from `at.len()` on, the earlier ones being `at`.
    fn count(&self, at: &mut Vec<i64>) -> i64 {
        let Some(var) = self.vars.get(at.len()) else { return 1 };
        let extent = match &var.live {
            // Rows are counted apart.
            Live::Known if var.tuple.is_some() => 1,
            Live::Known => var.extent,
            Live::Size(size) => self.size(size, at).unwrap_or(0).clamp(0, var.extent),
        };
        let number = at.len();
        let matters = self.vars[number + 1..].iter().any(|v| match &v.live {
            Live::Size(size) => names(size, number),
            Live::Known => false,
        });
        let values = if matters { extent } else { extent.min(1) };
        let mut total = 0;
        for value in 0..values {
            at.push(value);
            total += self.count(at);
            at.pop();
        }
        if matters { total } else { total * extent }
    }

    fn size(&self, size: &Size, at: &[i64]) -> Option<i64> {
        match size {
            Size::Coord(i) => at.get(*i).copied(),
            Size::Dyn { of, index } => {
                let info = &self.compiled.hir.dyns[*of];
                let values = self.inputs.dyns.get(&info.name)?;
                let mut rank = 0;
                for (i, axis) in index.iter().zip(&info.axes) {
                    let axis = &self.compiled.hir.mesh_axes[*axis].size;
                    rank = rank * self.size(axis, at)? + self.size(i, at)?;
                }
                let rank = if values.len() == 1 { 0 } else { usize::try_from(rank).ok()? };
                values.get(rank).copied()
            }
            Size::Read { tensor, index } => {
                let name = &self.compiled.hir.tensors[*tensor].name;
                let array = self.inputs.tensors.get(name)?;
                let mut element = 0;
                for (i, extent) in index.iter().zip(&array.shape) {
                    element = element * extent + usize::try_from(self.size(i, at)?).ok()?;
                }
                (element < array.len()).then(|| array.int(element))
            }
            Size::Binary { op, lhs, rhs } => op.apply(self.size(lhs, at)?, self.size(rhs, at)?),
            size => self.compiled.hir.eval(size, &self.inputs.params),
        }
    }
}

/// Whether the size reads that variable.
fn names(size: &Size, var: usize) -> bool {
    match size {
        Size::Coord(i) => *i == var,
        Size::Dyn { index, .. } | Size::Read { index, .. } => index.iter().any(|i| names(i, var)),
        Size::Binary { lhs, rhs, .. } => names(lhs, var) || names(rhs, var),
        Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the only statement of `program p { mesh g { gpu: 2 } .. }`.
    fn both(body: &str) -> (i64, i64) {
        let text = format!("program p {{ mesh g {{ gpu: 2 }} {body} }}");
        let compiled = fusco_dsl::compile(&text, None, &Default::default()).expect("compiles");
        bytes(&compiled, &Inputs::default(), &compiled.plan.entries[0].moves[0], 1)
    }

    #[test]
    fn a_row_that_every_row_repeats_is_read_once() {
        let body = "in a: f32[n: 8] @ [copy/gpu, n]; out b: f32[m: 6, n: 8] @ [m/gpu, m, n];
            entry main { b[m, n] <- a[n]; }";
        assert_eq!(both(body), (8 * 4, 48 * 4));
    }

    #[test]
    fn every_part_of_a_sum_is_read_and_every_copy_is_written() {
        let body = "in a: f32[n: 8] @ [sum/gpu, n]; out b: f32[n: 8] @ [copy/gpu, n];
            entry main { b[n] <- a[n]; }";
        assert_eq!(both(body), (2 * 8 * 4, 2 * 8 * 4));
    }
}
