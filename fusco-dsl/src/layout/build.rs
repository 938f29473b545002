//! Placement lists to digit tables.

use super::route::route_bounds;
use super::{Digit, Home, Radix, Table};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::sema::hir::{self, Bindings, Extent, Program, Size, TermKind};
use std::collections::BTreeMap;

/// One table a tensor, in declaration order.
///
/// # Errors
/// A size that does not evaluate, a digit that does not divide (F0304), or a form that is not
/// lowered yet (F0999), each at its term.
pub fn tables(
    program: &Program,
    bound: &Bindings,
) -> Result<BTreeMap<Handle<hir::Tensor>, Table>, Diagnostics> {
    let mut out = BTreeMap::new();
    let mut diagnostics = Diagnostics::default();
    for (handle, tensor) in program.tensors.iter() {
        let builder = Builder { program, bound, handle, tensor };
        match builder.table() {
            Ok(table) => _ = out.insert(handle, table),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(out) }
}

struct Builder<'a> {
    program: &'a Program,
    bound: &'a Bindings,
    handle: Handle<hir::Tensor>,
    tensor: &'a hir::Tensor,
}

type Built<T> = Result<T, Box<Diagnostic>>;

impl Builder<'_> {
    fn table(&self) -> Built<Table> {
        let mut digits = self.radices()?;
        self.weights(&mut digits);
        let elems = self.strides(&mut digits)?;
        Ok(Table {
            tensor: self.handle,
            name: self.tensor.name.clone(),
            axes: self.tensor.axes.iter().map(|a| a.name.clone()).collect(),
            digits,
            elems,
        })
    }

    /// Digits with their radices; homes hold placeholders until `strides`.
    fn radices(&self) -> Built<Vec<Digit>> {
        let mut digits = Vec::new();
        for term in &self.tensor.placement {
            let (radix, home) = match &term.kind {
                TermKind::Shard(mesh) => (
                    Radix::Fixed(self.size(&self.program.mesh_axes[*mesh].size)?),
                    self.mesh_home(*mesh)?,
                ),
                TermKind::Tile(k) => (Radix::Fixed(self.size(k)?), Home::Memory { stride: 0 }),
                TermKind::Rest => (self.rest(term)?, Home::Memory { stride: 0 }),
                TermKind::Pack(align) => {
                    (self.extent(term.axis)?, Home::Packed { align: self.size(align)?, stride: 0 })
                }
                TermKind::Mapped { .. } => {
                    return Err(self.unsupported(term.span, "`.map`"));
                }
                TermKind::Slab(rows) => {
                    (Radix::Fixed(self.size(rows)?), Home::Memory { stride: 0 })
                }
            };
            digits.push(Digit { axis: term.axis, radix, weight: 1, home });
        }
        for i in 1..digits.len() {
            if matches!(digits[i].home, Home::Packed { .. }) {
                digits[i - 1].home = Home::Group { stride: 0 };
            }
        }
        Ok(digits)
    }

    fn mesh_home(&self, mesh: Handle<hir::MeshAxis>) -> Built<Home> {
        let mut weight = 1;
        for (axis, info) in self.program.mesh_axes.iter() {
            if axis > mesh {
                weight *= self.size(&info.size)?;
            }
        }
        Ok(Home::Mesh { axis: mesh, weight })
    }

    /// The radix of a bare axis: what its other digits leave.
    fn rest(&self, term: &hir::Term) -> Built<Radix> {
        let mut others = 1;
        for other in self.tensor.placement.iter().filter(|t| t.axis == term.axis) {
            others *= match &other.kind {
                TermKind::Shard(mesh) => self.size(&self.program.mesh_axes[*mesh].size)?,
                TermKind::Tile(k) => self.size(k)?,
                _ => 1,
            };
        }
        match self.extent(term.axis)? {
            Radix::Fixed(n) if n % others == 0 => Ok(Radix::Fixed(n / others)),
            Radix::Fixed(n) => Err(Box::new(
                Diagnostic::error(
                    "F0304",
                    term.span,
                    format!("axis `{}` does not divide", self.tensor.axes[term.axis].name),
                )
                .note(format!("{n} % {others} = {}", n % others))
                .help("choose a size that divides"),
            )),
            radix if others == 1 => Ok(radix),
            _ => Err(self.unsupported(term.span, "a split `dyn` or ragged axis")),
        }
    }

    fn extent(&self, axis: usize) -> Built<Radix> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(Size::Dyn { of, .. }) => {
                Ok(Radix::Live { of: *of, bound: self.size(&self.program.dyns[*of].bound)? })
            }
            Extent::Fixed(size) => Ok(Radix::Fixed(self.size(size)?)),
            Extent::Counted { bound, .. } => Ok(Radix::Ragged { bound: self.size(bound)? }),
            Extent::Ragged { route, bound } => {
                let rows = route_bounds(self.program, self.bound, *route)?.rows_per_group;
                let declared = bound.as_ref().map(|b| self.size(b)).transpose()?;
                Ok(Radix::Ragged { bound: declared.map_or(rows, |b| b.min(rows)) })
            }
        }
    }

    fn weights(&self, digits: &mut [Digit]) {
        let mut below = vec![1i64; self.tensor.axes.len()];
        for digit in digits.iter_mut().rev() {
            digit.weight = below[digit.axis];
            below[digit.axis] = below[digit.axis].saturating_mul(digit.radix.bound().max(1));
        }
    }

    /// Fills in the strides from the right end; returns the elements of one rank.
    fn strides(&self, digits: &mut [Digit]) -> Built<i64> {
        let mut elems = 1i64;
        let mut packed = false;
        for i in (0..digits.len()).rev() {
            let radix = digits[i].radix.bound();
            let span = self.tensor.placement[i].span;
            match &mut digits[i].home {
                Home::Mesh { .. } => continue,
                Home::Memory { .. } if packed => {
                    return Err(self.unsupported(span, "an axis to the left of a packed pair"));
                }
                Home::Memory { stride } => *stride = elems,
                Home::Packed { stride, .. } => {
                    *stride = elems;
                    continue;
                }
                Home::Group { stride } => {
                    packed = true;
                    *stride = elems;
                }
            }
            let factor = if packed { self.packed_rows(digits, i)? } else { radix };
            elems = elems.checked_mul(factor).ok_or_else(|| self.overflow(span))?;
        }
        Ok(elems)
    }

    /// Rows of all the groups of one rank, each rounded up.
    fn packed_rows(&self, digits: &[Digit], group: usize) -> Built<i64> {
        let Home::Packed { align, .. } = digits[group + 1].home else { return Ok(1) };
        let Extent::Ragged { route, .. } = self.tensor.axes[digits[group + 1].axis].extent else {
            return Ok(1);
        };
        let bounds = route_bounds(self.program, self.bound, route)?;
        let groups = digits[group].radix.bound();
        let rows = bounds.pairs_per_rank.min(bounds.rows_per_group.saturating_mul(groups));
        Ok(rows + groups * (align - 1))
    }

    fn size(&self, size: &Size) -> Built<i64> {
        self.program
            .eval(size, self.bound)
            .ok_or_else(|| self.unsupported(self.tensor.span, "a size that is not known at bind"))
    }

    fn unsupported(&self, span: crate::source::Span, what: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(
            "F0999",
            span,
            format!("not supported yet: {what} in the placement of `{}`", self.tensor.name),
        ))
    }

    fn overflow(&self, span: crate::source::Span) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(
            "F0901",
            span,
            format!("`{}` has more than 2^63 elements", self.tensor.name),
        ))
    }
}
