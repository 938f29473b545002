//! Physical buffers, from the definition of a placement alone.

use super::digits::Digits;
use super::owners::Map;
use super::scope::{Scope, dynamic, overflow};
use super::{Array, Bits, Error, deal, number};
use crate::arena::Handle;
use crate::sema::hir::{
    Extent, MeshAxis, Owners, Scalar, Size, Spread, SpreadKind, Tensor, TermKind,
};
use std::collections::BTreeMap;

/// One rank's buffer in memory order. An undefined element is padding without a fill.
#[derive(Clone, Debug)]
pub struct Physical {
    pub array: Array,
    pub defined: Bits,
}

pub(super) fn fill_bits(tensor: &Tensor) -> u64 {
    let Some(fill) = tensor.attrs.fill else { return 0 };
    let (float, int) = match fill {
        Scalar::Int(v) => (v as f32, v),
        Scalar::Float(v) => (v as f32, v as i64),
    };
    number::from_f32(tensor.dtype.elem, float).unwrap_or(int as u64)
}

/// Every rank's buffer of a logical array.
pub(super) fn physical(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
) -> Result<Vec<Physical>, Error> {
    let lengths = lengths(scope, tensor)?;
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

/// Elements of each rank's buffer.
pub(super) fn lengths(scope: &Scope, tensor: &Tensor) -> Result<Vec<usize>, Error> {
    if deal::is_static(scope.program, tensor) {
        return deal::lengths(scope, tensor);
    }
    let layout = Layout::new(scope, tensor)?;
    // The leading digit of what each rank holds, for an axis whose extent is known at launch only.
    let mut reach = vec![0; layout.ranks()?];
    if let Some(leading) = layout.leading() {
        layout.walk(&mut Vec::new(), &mut |rank, _, at, run| {
            // A run goes along the last axis.
            let more = if leading.axis + 1 == at.len() { run as i64 - 1 } else { 0 };
            reach[rank] = reach[rank].max(leading.of(at[leading.axis] + more) + 1);
        })?;
    }
    let length = |(rank, reach): (usize, &i64)| {
        usize::try_from(layout.elements(rank, *reach)?).map_err(|_| overflow())
    };
    reach.iter().enumerate().map(length).collect()
}

/// Visits the live elements of a logical array on every rank that holds them, by runs inside these lengths.
pub(super) fn runs(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
    lengths: &[usize],
    visit: &mut deal::Deal,
) -> Result<(), Error> {
    if deal::is_static(scope.program, tensor) {
        let digits = Digits::new(scope, tensor)?;
        return deal::visit(&digits, &logical.shape, logical.elem, &mut |rank, at, from, run| {
            let len = *lengths.get(rank).ok_or_else(overflow)?;
            if at.checked_add(run).is_none_or(|end| end > len) {
                return Err(deal::outside(tensor, rank, at));
            }
            visit(rank, at, from, run)
        });
    }
    let layout = Layout::new(scope, tensor)?;
    let mut wrong = None;
    layout.walk(&mut Vec::new(), &mut |rank, offset, at, run| {
        // A run goes along the last axis.
        let end = at.last().map(|last| *last as usize + run);
        let whole = end.is_none_or(|end| logical.shape.last().is_some_and(|n| end <= *n));
        let done = match (logical.at(at), lengths.get(rank)) {
            (Some(from), Some(len)) if whole && offset + run <= *len => {
                visit(rank, offset, from, run)
            }
            _ => Err(Error::outside(&tensor.name, at, &logical.shape)),
        };
        if let Err(error) = done {
            wrong.get_or_insert(error);
        }
    })?;
    wrong.map_or(Ok(()), Err)
}

/// Visits each live element of a tensor that a route fills, as [`Layout::walk`]; leaves the rows to which its
/// packed buffers are rounded up, and the elements of a row.
pub(super) fn visit(
    scope: &Scope,
    tensor: &Tensor,
    visit: &mut impl FnMut(usize, usize, &[i64], usize),
) -> Result<Option<(i64, i64)>, Error> {
    let layout = Layout::new(scope, tensor)?;
    layout.walk(&mut Vec::new(), visit)?;
    let Some(pack) = layout.pack else { return Ok(None) };
    let TermKind::Pack(align) = &tensor.placement[pack].kind else { return Ok(None) };
    let inner = layout.digits[pack + 1..].iter().filter(|d| d.is_in_memory());
    Ok(Some((positive(layout.size(align)?)?, inner.map(|d| d.radix).product())))
}

/// `offset(y.c)`: where a group begins among the rows of its rank.
pub(super) fn first_row(scope: &Scope, tensor: &Tensor, group: i64) -> Result<i64, Error> {
    let layout = Layout::new(scope, tensor)?;
    let unsupported = || Error::Unsupported("an offset of this placement".into());
    let at = usize::try_from(group).ok().filter(|g| *g < layout.live.len());
    let at = at.ok_or_else(|| Error::Shape(format!("no segment {group}")))?;
    if layout.pack.is_some() {
        return layout.bases.get(at).copied().ok_or_else(unsupported);
    }
    let axis = layout.ragged.ok_or_else(unsupported)?;
    let slab = layout.digits.iter().find(|d| d.axis == axis).ok_or_else(unsupported)?;
    let local = layout.bases.get(at).copied().ok_or_else(unsupported)?;
    local.checked_mul(slab.radix).ok_or_else(overflow)
}

/// One term with its numbers: the digit is `coordinate / weight % radix`.
struct Digit {
    axis: usize,
    radix: i64,
    weight: i64,
    mesh: Option<Handle<MeshAxis>>,
    /// The mesh axes of owners that a table names: it adds no digit of its own.
    owner: Option<Vec<Handle<MeshAxis>>>,
    /// Its radix is a bound; the extent differs by launch.
    varies: bool,
    packs: bool,
}

impl Digit {
    /// Of a coordinate; where a table deals the axis out, of its position among those of its owner.
    fn of(&self, at: i64) -> i64 {
        at / self.weight % self.radix
    }

    fn is_in_memory(&self) -> bool {
        self.mesh.is_none() && self.owner.is_none()
    }
}

struct Layout<'a> {
    scope: Scope<'a>,
    tensor: &'a Tensor,
    mesh: Vec<i64>,
    digits: Vec<Digit>,
    ragged: Option<usize>,
    /// Rows of each group.
    live: &'a [i64],
    /// The term that packs.
    pack: Option<usize>,
    /// Packed: the first row of each group among those of its rank. Else: how many groups come earlier.
    bases: Vec<i64>,
    /// Packed: all rows, by what the group adds to the rank.
    rows: BTreeMap<i64, i64>,
    /// Axes whose coordinates a table deals out.
    maps: BTreeMap<usize, Map>,
    /// What mesh axes that split nothing add to the rank: each holds a copy.
    copies: Vec<i64>,
}

impl<'a> Layout<'a> {
    fn new(scope: &Scope<'a>, tensor: &'a Tensor) -> Result<Layout<'a>, Error> {
        let mut mesh = Vec::new();
        for (_, axis) in scope.program.mesh_axes.iter() {
            mesh.push(positive(scope.inputs.size(scope.program, &axis.size, &[])?)?);
        }
        let ragged = tensor.axes.iter().position(|a| matches!(a.extent, Extent::Ragged { .. }));
        if ragged == Some(0) {
            return Err(Error::Unsupported("a ragged axis without a parent".into()));
        }
        let live = scope.counts(tensor)?.map_or(&[][..], |r| &r.live[..]);
        let mut layout = Layout {
            scope: *scope,
            tensor,
            mesh,
            digits: Vec::new(),
            ragged,
            live,
            pack: tensor.placement.iter().position(|t| matches!(t.kind, TermKind::Pack(_))),
            bases: Vec::new(),
            rows: BTreeMap::new(),
            maps: BTreeMap::new(),
            copies: vec![0],
        };
        layout.radices()?;
        layout.spread();
        layout.account()?;
        if let Some(axis) = ragged {
            layout.groups(axis - 1)?;
        }
        Ok(layout)
    }

    fn size(&self, size: &Size) -> Result<i64, Error> {
        self.scope.inputs.size(self.scope.program, size, &[])
    }

    fn radices(&mut self) -> Result<(), Error> {
        let mut bare = Vec::new();
        for (i, term) in self.tensor.placement.iter().enumerate() {
            let mut digit = Digit {
                axis: term.axis,
                radix: 1,
                weight: 1,
                mesh: None,
                owner: None,
                varies: false,
                packs: Some(i) == self.pack,
            };
            match &term.kind {
                TermKind::Shard(m) => {
                    digit.mesh = Some(*m);
                    digit.radix = self.mesh[m.index()];
                }
                TermKind::Tile(k) | TermKind::Slab(k) => digit.radix = positive(self.size(k)?)?,
                TermKind::Rest => bare.push(i),
                TermKind::Pack(_) => digit.radix = i64::MAX,
                TermKind::Mapped { mesh, owners } => {
                    digit.owner = Some(mesh.clone());
                    self.map(term.axis, mesh, owners)?;
                }
            }
            self.digits.push(digit);
        }
        for i in bare {
            let axis = self.digits[i].axis;
            let others = self.digits.iter().filter(|d| d.axis == axis).map(|d| d.radix);
            let others = others.fold(1i64, i64::saturating_mul);
            let Extent::Fixed(size) = &self.tensor.axes[axis].extent else {
                return Err(Error::Unsupported("a bare ragged axis".into()));
            };
            // A rank has room for all where it is not known what it owns.
            let extent = match self.maps.get(&axis).filter(|m| m.known) {
                Some(map) => map.positions.iter().max().map_or(0, |p| p + 1),
                None => self.bound(size)?,
            };
            self.digits[i].varies = dynamic(size);
            self.digits[i].radix = ((extent + others - 1) / others).max(1);
        }
        let mut below = vec![1i64; self.tensor.axes.len()];
        for digit in self.digits.iter_mut().rev() {
            digit.weight = below[digit.axis];
            below[digit.axis] = digit.weight.saturating_mul(digit.radix);
        }
        Ok(())
    }

    /// Owners of an axis, by a table.
    fn map(
        &mut self,
        axis: usize,
        mesh: &[Handle<MeshAxis>],
        owners: &Owners,
    ) -> Result<(), Error> {
        let Extent::Fixed(size) = &self.tensor.axes[axis].extent else {
            return Err(Error::Unsupported("owners of a ragged axis".into()));
        };
        let mesh = mesh.iter().map(|m| (self.mesh[m.index()], self.weight(*m))).collect();
        let map = Map::read(&self.scope, owners, mesh, self.bound(size)?)?;
        self.maps.insert(axis, map);
        Ok(())
    }

    fn spread(&mut self) {
        for spread in &self.tensor.spread {
            let coordinates = match spread.kind {
                SpreadKind::Copy => 0..self.mesh[spread.mesh.index()],
                SpreadKind::Only(_) | SpreadKind::Sum { .. } => continue,
            };
            let weight = self.weight(spread.mesh);
            let each = |at: i64| self.copies.iter().map(move |c| c + at * weight);
            self.copies = coordinates.flat_map(each).collect();
        }
    }

    /// How far apart the ranks of a mesh axis are; they are numbered row-major.
    fn weight(&self, mesh: Handle<MeshAxis>) -> i64 {
        self.mesh[mesh.index() + 1..].iter().product()
    }

    /// What is allocated for an extent: each `dyn` at its bound.
    fn bound(&self, size: &Size) -> Result<i64, Error> {
        match size {
            Size::Dyn { of, .. } => self.size(&self.scope.program.dyns[*of].bound),
            Size::Binary { op, lhs, rhs } if dynamic(size) => {
                op.apply(self.bound(lhs)?, self.bound(rhs)?).ok_or_else(overflow)
            }
            size => self.size(size),
        }
    }

    /// Every mesh axis of more than one rank is used once, and nothing lies outside a packed pair.
    fn account(&self) -> Result<(), Error> {
        for (axis, info) in self.scope.program.mesh_axes.iter() {
            let copied = |s: &&Spread| s.mesh == axis && matches!(s.kind, SpreadKind::Copy);
            let owned = |d: &&Digit| d.owner.as_ref().is_some_and(|mesh| mesh.contains(&axis));
            let uses = self.digits.iter().filter(|d| d.mesh == Some(axis) || owned(d)).count()
                + self.tensor.spread.iter().filter(copied).count();
            if uses > 1 || (uses == 0 && self.mesh[axis.index()] > 1) {
                return Err(Error::Unsupported(format!(
                    "{} uses mesh axis {} {uses} times",
                    self.tensor.name, info.name
                )));
            }
        }
        let Some(pack) = self.pack else { return Ok(()) };
        let parent = pack.checked_sub(1).map(|i| &self.digits[i]);
        let direct = parent.is_some_and(|d| d.is_in_memory() && Some(d.axis + 1) == self.ragged);
        let outer = self.digits[..pack.saturating_sub(1)].iter();
        if !direct || outer.filter(|d| d.is_in_memory()).any(|d| d.radix > 1) {
            return Err(Error::Unsupported("an axis to the left of a packed pair".into()));
        }
        Ok(())
    }

    fn groups(&mut self, axis: usize) -> Result<(), Error> {
        let align = match self.pack.map(|i| &self.tensor.placement[i].kind) {
            Some(TermKind::Pack(align)) => Some(positive(self.size(align)?)?),
            _ => None,
        };
        for (group, live) in self.live.iter().enumerate() {
            let key = self.owner(axis, group as i64)?;
            let next = self.rows.entry(key).or_default();
            self.bases.push(*next);
            *next += align.map_or(1, |a| (live + a - 1) / a * a);
        }
        Ok(())
    }

    /// What a coordinate adds to the rank.
    fn owner(&self, axis: usize, value: i64) -> Result<i64, Error> {
        let mapped = self.maps.get(&axis).map_or(Ok(0), |map| map.rank(value))?;
        let digits = self.digits.iter().filter(|d| d.axis == axis);
        let sharded = digits.filter_map(|d| Some(d.of(value) * self.weight(d.mesh?)));
        Ok(mapped + sharded.sum::<i64>())
    }

    /// A digit in memory at the coordinates.
    fn value(&self, digit: &Digit, at: &[i64]) -> Result<i64, Error> {
        let at = at[digit.axis];
        Ok(digit.of(self.maps.get(&digit.axis).map_or(Ok(at), |map| map.position(at))?))
    }

    fn ranks(&self) -> Result<usize, Error> {
        let ranks = self.mesh.iter().try_fold(1i64, |n, m| n.checked_mul(*m));
        ranks.and_then(|n| usize::try_from(n).ok()).ok_or_else(overflow)
    }

    /// The outermost digit in memory, if its extent is known at launch only.
    fn leading(&self) -> Option<&Digit> {
        self.digits.iter().find(|d| d.is_in_memory()).filter(|d| d.varies)
    }

    /// The elements of a rank; `reach` replaces a leading radix that varies.
    fn elements(&self, rank: usize, reach: i64) -> Result<i64, Error> {
        let mut elements = 1i64;
        let first = self.digits.iter().position(Digit::is_in_memory);
        for (i, digit) in self.digits.iter().enumerate() {
            let factor = if !digit.is_in_memory() || Some(i + 1) == self.pack {
                1
            } else if digit.packs {
                let groups = self.digits.iter().filter(|d| Some(d.axis + 1) == self.ragged);
                let mesh = groups.flat_map(|d| d.mesh.iter().chain(d.owner.iter().flatten()));
                let key = mesh.map(|m| self.coordinate(rank, *m) * self.weight(*m)).sum();
                self.rows.get(&key).copied().unwrap_or(0)
            } else if Some(i) == first && digit.varies {
                reach
            } else if self.empty(digit.axis)? {
                0
            } else {
                digit.radix
            };
            elements = elements.checked_mul(factor).ok_or_else(overflow)?;
        }
        Ok(elements)
    }

    /// Whether no coordinate of an axis can exist.
    fn empty(&self, axis: usize) -> Result<bool, Error> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => Ok(self.bound(size)? <= 0),
            Extent::Ragged { .. } | Extent::Counted { .. } => Ok(false),
        }
    }

    /// A rank's coordinate on a mesh axis; ranks are numbered row-major.
    fn coordinate(&self, rank: usize, mesh: Handle<MeshAxis>) -> i64 {
        rank as i64 / self.weight(mesh) % self.mesh[mesh.index()]
    }

    /// Visits the live index space: rank, offset, coordinates, and how many elements follow each other
    /// in both orders.
    fn walk(
        &self,
        at: &mut Vec<i64>,
        visit: &mut impl FnMut(usize, usize, &[i64], usize),
    ) -> Result<(), Error> {
        let axes = self.tensor.axes.len();
        let axis = at.len();
        if axis == axes || (axis + 1 == axes && self.whole_rows()) {
            let run = if axis == axes { 1 } else { self.extent(axis, at)? };
            at.resize(axes, 0);
            if let (Ok(run @ 1..), Some((rank, offset))) = (usize::try_from(run), self.locate(at)?)
            {
                for copy in &self.copies {
                    visit(rank + *copy as usize, offset, at, run);
                }
            }
            at.truncate(axis);
            return Ok(());
        }
        for value in 0..self.extent(axis, at)? {
            at.push(value);
            self.walk(at, visit)?;
            at.pop();
        }
        Ok(())
    }

    fn extent(&self, axis: usize, at: &[i64]) -> Result<i64, Error> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.scope.inputs.size(self.scope.program, size, at),
            Extent::Counted { .. } => Err(Error::Unsupported("a counted axis".into())),
            Extent::Ragged { .. } => {
                let group = usize::try_from(at[axis - 1]).ok().and_then(|g| self.live.get(g));
                group.copied().ok_or_else(|| Error::Shape(format!("no segment {}", at[axis - 1])))
            }
        }
    }

    /// Whether the last axis is also last in memory, undivided.
    fn whole_rows(&self) -> bool {
        let last = self.tensor.axes.len().wrapping_sub(1);
        let undivided = self.digits.iter().filter(|d| d.axis == last).count() == 1;
        undivided
            && self.digits.last().is_some_and(|d| d.axis == last && d.is_in_memory())
            && matches!(self.tensor.axes[last].extent, Extent::Fixed(_))
    }

    fn locate(&self, at: &[i64]) -> Result<Option<(usize, usize)>, Error> {
        let (mut rank, mut offset, mut stride) = (0i64, 0i64, 1i64);
        for (axis, value) in at.iter().enumerate() {
            rank += self.owner(axis, *value)?;
        }
        for (i, digit) in self.digits.iter().enumerate().rev() {
            if !digit.is_in_memory() {
                continue;
            }
            let value = self.value(digit, at)?;
            if digit.packs {
                let base = self.bases.get(at[digit.axis - 1] as usize).copied().unwrap_or(0);
                offset += (base + at[digit.axis]) * stride;
            } else if Some(i + 1) != self.pack {
                if matches!(self.tensor.placement[i].kind, TermKind::Slab(_))
                    && at[digit.axis] >= digit.radix
                {
                    return Err(Error::Index {
                        tensor: self.tensor.name.clone(),
                        at: at.to_vec(),
                        value: at[digit.axis],
                        bound: digit.radix,
                    });
                }
                offset += value * stride;
                stride = stride.checked_mul(digit.radix).ok_or_else(overflow)?;
            }
        }
        Ok(usize::try_from(rank).ok().zip(usize::try_from(offset).ok()))
    }
}

fn positive(value: i64) -> Result<i64, Error> {
    if value > 0 { Ok(value) } else { Err(Error::Shape(format!("a digit of radix {value}"))) }
}
