//! Physical buffers, from the definition of a placement alone.

use super::{Array, Error, Inputs, Relation, number};
use crate::sema::hir::{Extent, Program, Scalar, Tensor, TermKind};

/// One rank's buffer in memory order. An undefined element is padding without a fill.
#[derive(Clone, Debug)]
pub struct Physical {
    pub array: Array,
    pub defined: Vec<bool>,
}

/// A term with its radix and weight, numbers filled in for one rank.
struct Digit {
    axis: usize,
    radix: i64,
    weight: i64,
    mesh: Option<i64>,
}

pub(super) fn fill_bits(tensor: &Tensor) -> u64 {
    let Some(fill) = tensor.attrs.fill else { return 0 };
    let float = match fill {
        Scalar::Int(v) => v as f32,
        Scalar::Float(v) => v as f32,
    };
    number::from_f32(tensor.dtype.elem, float).unwrap_or(match fill {
        Scalar::Int(v) => v as u64,
        Scalar::Float(v) => v as i64 as u64,
    })
}

/// Every rank's buffer of a logical array.
pub(super) fn physical(
    program: &Program,
    inputs: &Inputs,
    tensor: &Tensor,
    logical: &Array,
    relation: Option<&Relation>,
) -> Result<Vec<Physical>, Error> {
    let ranks = program.ranks(&inputs.params).unwrap_or(1);
    (0..ranks)
        .map(|rank| Placer { program, inputs, tensor, relation, rank }.buffer(logical))
        .collect()
}

struct Placer<'a> {
    program: &'a Program,
    inputs: &'a Inputs,
    tensor: &'a Tensor,
    relation: Option<&'a Relation>,
    rank: i64,
}

impl Placer<'_> {
    fn buffer(&self, logical: &Array) -> Result<Physical, Error> {
        let digits = self.digits()?;
        let len = self.elements(&digits)? as usize;
        let mut array = Array::zeros(self.tensor.dtype.elem, vec![len]);
        let filled = self.tensor.attrs.fill.is_some();
        if fill_bits(self.tensor) != 0 {
            (0..len).for_each(|i| array.set_bits(i, fill_bits(self.tensor)));
        }
        let mut out = Physical { array, defined: vec![filled; len] };
        let mut coords = Vec::new();
        self.place(&digits, logical, &mut coords, &mut out)?;
        Ok(out)
    }

    fn digits(&self) -> Result<Vec<Digit>, Error> {
        let mut digits = Vec::new();
        for term in &self.tensor.placement {
            let (radix, mesh) = match &term.kind {
                TermKind::Shard(m) => (
                    self.inputs.size(self.program, &self.program.mesh_axes[*m].size, &[])?,
                    Some(m.index() as i64),
                ),
                TermKind::Tile(k) | TermKind::Slab(k) => {
                    (self.inputs.size(self.program, k, &[])?, None)
                }
                TermKind::Rest | TermKind::Pack(_) => (0, None),
            };
            digits.push(Digit { axis: term.axis, radix, weight: 1, mesh });
        }
        for i in 0..digits.len() {
            if digits[i].radix == 0 {
                let others: i64 = digits
                    .iter()
                    .filter(|d| d.axis == digits[i].axis && d.radix > 0)
                    .map(|d| d.radix)
                    .product();
                digits[i].radix = self.extent(digits[i].axis)? / others;
            }
        }
        for i in (0..digits.len()).rev() {
            digits[i].weight = digits[i + 1..]
                .iter()
                .filter(|d| d.axis == digits[i].axis)
                .map(|d| d.radix)
                .product();
        }
        Ok(digits)
    }

    /// The extent of an axis on this rank; a ragged one has no extent of its own.
    fn extent(&self, axis: usize) -> Result<i64, Error> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.inputs.size(self.program, size, &vec![self.rank; axis]),
            Extent::Ragged { .. } => Ok(1),
        }
    }

    fn align(&self) -> Result<Option<i64>, Error> {
        let pack = self.tensor.placement.iter().find_map(|t| match &t.kind {
            TermKind::Pack(align) => Some(align),
            _ => None,
        });
        pack.map(|a| self.inputs.size(self.program, a, &[])).transpose()
    }

    fn live(&self, group: i64) -> i64 {
        self.relation.and_then(|r| r.live.get(group as usize)).copied().unwrap_or(0)
    }

    /// Rows before a group (a global number) in this rank's buffer: earlier local groups, rounded up.
    fn base(&self, group: i64, per_rank: i64, align: i64) -> i64 {
        (self.rank * per_rank..group).map(|g| (self.live(g) + align - 1) / align * align).sum()
    }

    fn elements(&self, digits: &[Digit]) -> Result<i64, Error> {
        let mut elements = 1;
        let align = self.align()?;
        for (i, digit) in digits.iter().enumerate() {
            let packed = matches!(self.tensor.placement[i].kind, TermKind::Pack(_));
            let parent = matches!(
                self.tensor.placement.get(i + 1).map(|t| &t.kind),
                Some(TermKind::Pack(_))
            );
            elements *= match align {
                Some(align) if packed => {
                    self.base((self.rank + 1) * digits[i - 1].radix, digits[i - 1].radix, align)
                }
                _ if parent || digit.mesh.is_some() => 1,
                _ => digit.radix,
            };
        }
        Ok(elements)
    }

    /// Walks the live index space and copies what this rank holds; the last axis by whole rows if it is
    /// last in memory too.
    fn place(
        &self,
        digits: &[Digit],
        logical: &Array,
        coords: &mut Vec<i64>,
        out: &mut Physical,
    ) -> Result<(), Error> {
        let axis = coords.len();
        let last = self.tensor.axes.len() - 1;
        let whole_row = digits.iter().filter(|d| d.axis == last).count() == 1
            && digits.last().is_some_and(|d| d.axis == last && d.weight == 1 && d.mesh.is_none())
            && matches!(self.tensor.placement.last().map(|t| &t.kind), Some(TermKind::Rest));
        if axis == self.tensor.axes.len() || (axis == last && whole_row) {
            let run = if axis == last { *logical.shape.last().unwrap_or(&1) } else { 1 };
            coords.resize(self.tensor.axes.len(), 0);
            self.copy(digits, logical, coords, run, out)?;
            coords.truncate(axis);
            return Ok(());
        }
        let extent = match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.inputs.size(self.program, size, coords)?,
            Extent::Ragged { .. } => self.live(coords[axis - 1]),
        };
        for value in 0..extent {
            coords.push(value);
            self.place(digits, logical, coords, out)?;
            coords.pop();
        }
        Ok(())
    }

    fn copy(
        &self,
        digits: &[Digit],
        logical: &Array,
        coords: &[i64],
        run: usize,
        out: &mut Physical,
    ) -> Result<(), Error> {
        let Some(offset) = self.offset(digits, coords)? else { return Ok(()) };
        let from = logical.at(coords).ok_or_else(|| {
            Error::Shape(format!("{}{coords:?} is outside {:?}", self.tensor.name, logical.shape))
        })?;
        for i in 0..run {
            out.array.set_bits(offset as usize + i, logical.bits(from + i));
            out.defined[offset as usize + i] = true;
        }
        Ok(())
    }

    /// Where the coordinates lie on this rank; `None` if another rank holds them.
    fn offset(&self, digits: &[Digit], coords: &[i64]) -> Result<Option<i64>, Error> {
        let (mut rank, mut offset, mut stride) = (0, 0, 1);
        let align = self.align()?;
        for (i, digit) in digits.iter().enumerate().rev() {
            let value = coords[digit.axis] / digit.weight % digit.radix.max(1);
            let packed = matches!(self.tensor.placement[i].kind, TermKind::Pack(_));
            match (digit.mesh, align) {
                (Some(_), _) => rank = value,
                (None, Some(align)) if packed => {
                    let per_rank = digits[i - 1].radix;
                    let group = coords[digits[i - 1].axis];
                    if group / per_rank == self.rank {
                        offset += (self.base(group, per_rank, align) + coords[digit.axis]) * stride;
                    }
                }
                (None, _)
                    if matches!(
                        self.tensor.placement.get(i + 1).map(|t| &t.kind),
                        Some(TermKind::Pack(_))
                    ) => {}
                _ => {
                    offset += value * stride;
                    stride *= digit.radix;
                }
            }
        }
        Ok((rank == self.rank).then_some(offset))
    }
}
