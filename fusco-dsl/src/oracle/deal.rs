//! Buffers of tensors whose placement needs no route: each axis's coordinates are dealt to ranks and
//! offsets, one at a time, from the definition in `language.md` 4.1.

use super::place::{Physical, fill_bits};
use super::scope::{Scope, overflow};
use super::{Array, Error};
use crate::arena::Handle;
use crate::sema::hir::{Extent, MeshAxis, Owners, Size, SpreadKind, Tensor, TermKind};
use std::collections::BTreeMap;

/// Whether a tensor's placement says more than whole axes over ranks, and needs no route.
pub fn is_static(tensor: &Tensor) -> bool {
    let routed = tensor.axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. }));
    let counted = tensor.axes.iter().any(|a| matches!(a.extent, Extent::Counted { .. }));
    let mapped = tensor.placement.iter().any(|t| matches!(t.kind, TermKind::Mapped { .. }));
    let attrs = &tensor.attrs;
    let asked = attrs.uneven || !attrs.stride.is_empty() || attrs.swizzle.is_some();
    !routed && (counted || mapped || asked || !tensor.spread.is_empty())
}

/// Coordinates of the axes over which a tensor is a sum: one part for each combination.
pub(super) fn parts(scope: &Scope, tensor: &Tensor) -> Result<Option<i64>, Error> {
    let mut parts = None;
    for spread in &tensor.spread {
        if let SpreadKind::Sum { .. } = spread.kind {
            let size = scope.size(&scope.program.mesh_axes[spread.mesh].size, &[])?;
            parts = Some(parts.unwrap_or(1) * size);
        }
    }
    Ok(parts)
}

/// Every rank's buffer of a logical array; one with parts has a leading axis that numbers them.
pub(super) fn deal(
    scope: &Scope,
    tensor: &Tensor,
    logical: &Array,
) -> Result<Vec<Physical>, Error> {
    let layout = Layout::new(scope, tensor)?;
    let ranks = usize::try_from(scope.program.ranks(&scope.inputs.params).unwrap_or(1))
        .map_err(|_| overflow())?;
    let elements = usize::try_from(layout.elements).map_err(|_| overflow())?;
    let filled = tensor.attrs.fill.is_some();
    let mut out = Vec::new();
    for rank in 0..ranks {
        let len = if layout.holds(rank as i64) { elements } else { 0 };
        let array = Array::filled(logical.elem, vec![len], fill_bits(tensor))?;
        out.push(Physical { array, defined: vec![filled; len] });
    }
    for part in 0..parts(scope, tensor)?.unwrap_or(1) {
        let holders = layout.holders(part);
        let lead = parts(scope, tensor)?.map(|_| part);
        layout.walk(&mut Vec::new(), (0, 0), &mut |rank, offset, at, run| {
            let whole: Vec<i64> = lead.iter().chain(at).copied().collect();
            let from = logical.at(&whole);
            let from = from.ok_or_else(|| Error::outside(&tensor.name, at, &logical.shape))?;
            for holder in &holders {
                let rank = usize::try_from(rank + holder).map_err(|_| overflow())?;
                let buffer = out.get_mut(rank).ok_or_else(overflow)?;
                layout.write(buffer, offset, (logical, from), run)?;
            }
            Ok(())
        })?;
    }
    Ok(out)
}

struct Layout<'a> {
    scope: Scope<'a>,
    tensor: &'a Tensor,
    digits: Vec<Digit>,
    maps: BTreeMap<usize, Map>,
    /// Elements that each holding rank allocates.
    elements: i64,
    first: i64,
    ranks: i64,
    /// First rank and ranks of each mesh it lives on; several only hold copies.
    meshes: Vec<(i64, i64)>,
    /// Rows of a counted axis: the first of each group, by (rank in the mesh, group).
    bases: BTreeMap<(i64, i64), i64>,
    counted: Option<usize>,
}

struct Digit {
    axis: usize,
    radix: i64,
    weight: i64,
    home: Home,
}

#[derive(Clone, Copy, PartialEq)]
enum Home {
    /// Adds `digit * weight` to the rank.
    Rank(i64),
    Memory(i64),
    /// Adds to the number of the group.
    Group(i64),
    /// The counted axis, by rows of so many elements.
    Rows(i64),
    Owner,
}

/// The owner of each coordinate, and its position among those of the owner.
struct Map {
    owners: Vec<i64>,
    positions: Vec<i64>,
    /// (size, weight) of the mesh axes, major first.
    parts: Vec<(i64, i64)>,
}

impl<'a> Layout<'a> {
    fn new(scope: &Scope<'a>, tensor: &'a Tensor) -> Result<Layout<'a>, Error> {
        let counted = tensor.axes.iter().position(|a| matches!(a.extent, Extent::Counted { .. }));
        let mut layout = Layout {
            scope: *scope,
            tensor,
            digits: Vec::new(),
            maps: BTreeMap::new(),
            elements: 1,
            first: 0,
            ranks: 1,
            meshes: Vec::new(),
            bases: BTreeMap::new(),
            counted: counted.filter(|axis| {
                tensor
                    .placement
                    .iter()
                    .any(|t| t.axis == *axis && matches!(t.kind, TermKind::Pack(_)))
            }),
        };
        layout.mesh()?;
        layout.read_maps()?;
        layout.radices()?;
        layout.strides()?;
        layout.count()?;
        Ok(layout)
    }

    fn size(&self, size: &Size) -> Result<i64, Error> {
        self.scope.size(size, &[])
    }

    fn axis_size(&self, axis: Handle<MeshAxis>) -> Result<i64, Error> {
        self.size(&self.scope.program.mesh_axes[axis].size)
    }

    /// Ranks between neighbours along a mesh axis: the product of the later axes of its mesh.
    fn weight(&self, axis: Handle<MeshAxis>) -> Result<i64, Error> {
        let program = self.scope.program;
        let mesh = &program.meshes[program.mesh_axes[axis].mesh];
        let mut weight = 1;
        for later in mesh.axes.iter().filter(|a| **a > axis) {
            weight *= self.axis_size(*later)?;
        }
        Ok(weight)
    }

    /// The mesh of the tensor; copies over several meshes are on all ranks.
    fn mesh(&mut self) -> Result<(), Error> {
        let program = self.scope.program;
        let mut meshes: Vec<_> = self
            .tensor
            .placement
            .iter()
            .flat_map(|t| match &t.kind {
                TermKind::Shard(axis) => vec![*axis],
                TermKind::Mapped { mesh, .. } => mesh.clone(),
                _ => Vec::new(),
            })
            .chain(self.tensor.spread.iter().map(|s| s.mesh))
            .map(|axis| program.mesh_axes[axis].mesh)
            .collect();
        meshes.sort();
        meshes.dedup();
        for mesh in meshes {
            let mesh = &program.meshes[mesh];
            let mut ranks = 1;
            for axis in &mesh.axes {
                ranks *= self.axis_size(*axis)?;
            }
            self.meshes.push((self.size(&mesh.first)?, ranks));
        }
        match self.meshes[..] {
            [(first, ranks)] => (self.first, self.ranks) = (first, ranks),
            _ => self.ranks = program.ranks(&self.scope.inputs.params).ok_or_else(overflow)?,
        }
        Ok(())
    }

    fn read_maps(&mut self) -> Result<(), Error> {
        for term in &self.tensor.placement {
            let TermKind::Mapped { mesh, owners } = &term.kind else { continue };
            let program = self.scope.program;
            let owners = match owners {
                Owners::Const { values, .. } => values.clone(),
                Owners::Param(p) => program.array(*p, &self.scope.inputs.params),
                Owners::Tensor(t) => {
                    let array = self.scope.array(*t)?;
                    (0..array.len()).map(|i| array.get_i64(i)).collect()
                }
            };
            let before = |i: usize| owners[..i].iter().filter(|o| **o == owners[i]).count() as i64;
            let positions = (0..owners.len()).map(before).collect();
            let mut parts = Vec::new();
            for axis in mesh {
                parts.push((self.axis_size(*axis)?, self.weight(*axis)?));
            }
            self.maps.insert(term.axis, Map { owners, positions, parts });
        }
        Ok(())
    }

    fn radices(&mut self) -> Result<(), Error> {
        let mut bare = Vec::new();
        for (i, term) in self.tensor.placement.iter().enumerate() {
            let (radix, home) = match &term.kind {
                TermKind::Shard(axis) => (self.axis_size(*axis)?, Home::Rank(self.weight(*axis)?)),
                TermKind::Tile(k) | TermKind::Slab(k) => (self.size(k)?, Home::Memory(0)),
                TermKind::Mapped { .. } => (1, Home::Owner),
                TermKind::Pack(_) => (self.most(term.axis)?, Home::Rows(0)),
                TermKind::Rest => {
                    bare.push(i);
                    (1, Home::Memory(0))
                }
            };
            if radix < 1 {
                return Err(Error::Shape(format!("a digit of radix {radix}")));
            }
            self.digits.push(Digit { axis: term.axis, radix, weight: 1, home });
        }
        for i in bare {
            let axis = self.digits[i].axis;
            let others: i64 =
                self.digits.iter().filter(|d| d.axis == axis).map(|d| d.radix).product();
            let extent = self.local_extent(axis)?;
            self.digits[i].radix = ((extent + others - 1) / others).max(1);
        }
        let mut below = vec![1i64; self.tensor.axes.len()];
        for digit in self.digits.iter_mut().rev() {
            digit.weight = below[digit.axis];
            below[digit.axis] = digit.weight.checked_mul(digit.radix).ok_or_else(overflow)?;
        }
        Ok(())
    }

    /// What the digits of an axis in memory must hold: of a mapped axis the most that one owner has.
    fn local_extent(&self, axis: usize) -> Result<i64, Error> {
        let known = |t: &crate::sema::hir::Term| {
            t.axis == axis
                && matches!(&t.kind, TermKind::Mapped { owners, .. } if !matches!(owners, Owners::Tensor(_)))
        };
        match self.maps.get(&axis) {
            Some(map) if self.tensor.placement.iter().any(known) => {
                Ok(map.positions.iter().max().map_or(1, |p| p + 1))
            }
            _ => self.most(axis),
        }
    }

    /// The largest extent, each `dyn` and count at its bound.
    fn most(&self, axis: usize) -> Result<i64, Error> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.bound(size),
            Extent::Counted { bound, .. } => self.size(bound),
            Extent::Ragged { .. } => Err(Error::Unsupported("a routed axis here".into())),
        }
    }

    fn bound(&self, size: &Size) -> Result<i64, Error> {
        match size {
            Size::Dyn { of, .. } => self.size(&self.scope.program.dyns[*of].bound),
            Size::Binary { op, lhs, rhs } => {
                op.apply(self.bound(lhs)?, self.bound(rhs)?).ok_or_else(overflow)
            }
            size => self.size(size),
        }
    }

    fn strides(&mut self) -> Result<(), Error> {
        let parents = self.parents();
        let align = self.align()?;
        let mut groups = 1i64;
        let pack = self.digits.iter().position(|d| matches!(d.home, Home::Rows(_)));
        if let Some(pack) = pack {
            for digit in self.digits[..pack].iter_mut().rev() {
                match digit.home {
                    Home::Memory(_) if parents.contains(&digit.axis) => {
                        digit.home = Home::Group(groups);
                        groups *= digit.radix;
                    }
                    Home::Memory(_) => break,
                    _ => {}
                }
            }
        }
        let mut elements = 1i64;
        for i in (0..self.digits.len()).rev() {
            let axis = self.digits[i].axis;
            let outermost = !self.digits[..i]
                .iter()
                .any(|d| d.axis == axis && matches!(d.home, Home::Memory(_)));
            let radix = self.digits[i].radix;
            let factor = match self.digits[i].home {
                Home::Memory(_) => {
                    let asked = self.tensor.attrs.stride.iter().find(|(a, _)| *a == axis);
                    if let Some((_, size)) = asked.filter(|_| outermost) {
                        elements = self.size(size)?;
                    }
                    self.digits[i].home = Home::Memory(elements);
                    radix
                }
                Home::Rows(_) => {
                    self.digits[i].home = Home::Rows(elements);
                    (radix + align - 1) / align * align * groups
                }
                _ => 1,
            };
            elements = elements.checked_mul(factor).ok_or_else(overflow)?;
        }
        self.elements = elements;
        Ok(())
    }

    fn align(&self) -> Result<i64, Error> {
        let pack = self.tensor.placement.iter().find_map(|t| match &t.kind {
            TermKind::Pack(align) => Some(align),
            _ => None,
        });
        pack.map_or(Ok(1), |a| self.size(a))
    }

    /// The axes that the size of the counted axis names.
    fn parents(&self) -> Vec<usize> {
        let Some(axis) = self.counted else { return Vec::new() };
        let Extent::Counted { rows, .. } = &self.tensor.axes[axis].extent else {
            return Vec::new();
        };
        (0..axis).filter(|a| super::run::names(rows, *a)).collect()
    }

    /// First rows of all groups, from the counts at all coordinates of the parents.
    fn count(&mut self) -> Result<(), Error> {
        let Some(axis) = self.counted else { return Ok(()) };
        let Extent::Counted { rows, .. } = &self.tensor.axes[axis].extent else { return Ok(()) };
        let (parents, align) = (self.parents(), self.align()?);
        let mut counts: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut at = vec![0i64; axis];
        loop {
            let rounded = (self.scope.size(rows, &at)? + align - 1) / align * align;
            let mut key = (0, 0);
            for parent in &parents {
                let (rank, _, group) = self.part(*parent, at[*parent])?;
                key = (key.0 + rank, key.1 + group);
            }
            counts.insert(key, rounded);
            let mut next = None;
            for parent in parents.iter().rev() {
                if at[*parent] + 1 < self.most(*parent)? {
                    next = Some(*parent);
                    break;
                }
                at[*parent] = 0;
            }
            match next {
                Some(parent) => at[parent] += 1,
                None => break,
            }
        }
        let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
        for ((rank, group), rows) in counts {
            let sum = sums.entry(rank).or_default();
            self.bases.insert((rank, group), *sum);
            *sum += rows;
        }
        Ok(())
    }

    /// What a coordinate of an axis adds to the rank, the offset and the number of the group.
    fn part(&self, axis: usize, at: i64) -> Result<(i64, i64, i64), Error> {
        let (mut rank, mut offset, mut group) = (0, 0, 0);
        let map = self.maps.get(&axis);
        let nth = |list: &[i64]| {
            usize::try_from(at).ok().and_then(|i| list.get(i)).copied().ok_or_else(|| {
                Error::Shape(format!("the map of {} has no entry {at}", self.tensor.name))
            })
        };
        for digit in self.digits.iter().filter(|d| d.axis == axis) {
            let value = match map {
                None => at,
                Some(map) => nth(&map.positions)?,
            } / digit.weight
                % digit.radix;
            match digit.home {
                Home::Rank(weight) => rank += value * weight,
                Home::Memory(stride) | Home::Rows(stride) => offset += value * stride,
                Home::Group(stride) => group += value * stride,
                Home::Owner => {
                    let Some(map) = map else { continue };
                    let mut owner = nth(&map.owners)?;
                    for (size, weight) in map.parts.iter().rev() {
                        rank += owner % size * weight;
                        owner /= size;
                    }
                    if owner != 0 {
                        return Err(Error::Shape(format!(
                            "owner {} is outside the mesh",
                            nth(&map.owners)?
                        )));
                    }
                }
            }
        }
        Ok((rank, offset, group))
    }

    fn holds(&self, rank: i64) -> bool {
        let mine = rank - self.first;
        let only = self.tensor.spread.iter().all(|s| match &s.kind {
            SpreadKind::Only(at) => {
                let (weight, size) = (self.weight(s.mesh), self.axis_size(s.mesh));
                match (weight, size, self.size(at)) {
                    (Ok(weight), Ok(size), Ok(at)) => mine / weight % size == at,
                    _ => false,
                }
            }
            _ => true,
        });
        let within = |(first, ranks): &(i64, i64)| (0..*ranks).contains(&(rank - first));
        (0..self.ranks).contains(&mine)
            && only
            && (self.meshes.is_empty() || self.meshes.iter().any(within))
    }

    /// What copies, single places and the part add to the rank.
    fn holders(&self, part: i64) -> Vec<i64> {
        if self.meshes.len() > 1 {
            return (0..self.ranks).filter(|rank| self.holds(*rank)).collect();
        }
        let mut out = vec![self.first];
        let mut part = part;
        let mut spread: Vec<_> = self.tensor.spread.iter().collect();
        spread.sort_by_key(|s| s.mesh);
        for s in spread.into_iter().rev() {
            let weight = self.weight(s.mesh).unwrap_or(0);
            let size = self.axis_size(s.mesh).unwrap_or(1);
            let at = match &s.kind {
                SpreadKind::Copy => (0..size).collect(),
                SpreadKind::Only(at) => vec![self.size(at).unwrap_or(0)],
                SpreadKind::Sum { .. } => {
                    let mine = part % size;
                    part /= size;
                    vec![mine]
                }
            };
            out = out.iter().flat_map(|r| at.iter().map(move |i| r + i * weight)).collect();
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Visits every live coordinate: rank in the mesh, offset, coordinates, elements that follow each other.
    fn walk(
        &self,
        at: &mut Vec<i64>,
        (rank, offset): (i64, i64),
        visit: &mut impl FnMut(i64, i64, &[i64], usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let axis = at.len();
        let Some(info) = self.tensor.axes.get(axis) else { return visit(rank, offset, at, 1) };
        let extent = match &info.extent {
            Extent::Fixed(size) | Extent::Counted { rows: size, .. } => {
                self.scope.size(size, at)?
            }
            Extent::Ragged { .. } => return Err(Error::Unsupported("a routed axis here".into())),
        };
        if let Extent::Counted { bound, .. } = &info.extent
            && extent > self.size(bound)?
        {
            return Err(Error::Shape(format!("{}{at:?} has {extent} rows", self.tensor.name)));
        }
        let start = if self.counted == Some(axis) { self.base(at)? } else { 0 };
        let last = axis + 1 == self.tensor.axes.len() && self.tensor.attrs.swizzle.is_none();
        let mut value = 0;
        while value < extent {
            let (r, o, _) = self.part(axis, value)?;
            let run = if last { self.run(axis, value, extent)? } else { 1 };
            at.push(value);
            if last {
                visit(rank + r, offset + o + start, at, run as usize)?;
            } else {
                self.walk(at, (rank + r, offset + o + start), visit)?;
            }
            at.pop();
            value += run;
        }
        Ok(())
    }

    /// Offset of the first row of the group at the coordinates.
    fn base(&self, at: &[i64]) -> Result<i64, Error> {
        let mut key = (0, 0);
        for parent in self.parents() {
            let (rank, _, group) = self.part(parent, at[parent])?;
            key = (key.0 + rank, key.1 + group);
        }
        let stride = self.digits.iter().find_map(|d| match d.home {
            Home::Rows(stride) => Some(stride),
            _ => None,
        });
        let base = self.bases.get(&key).copied().ok_or_else(overflow)?;
        Ok(base * stride.unwrap_or(1))
    }

    /// Coordinates from `value` on that lie side by side: the rest of an innermost block of memory.
    fn run(&self, axis: usize, value: i64, extent: i64) -> Result<i64, Error> {
        let lowest = self.digits.iter().rfind(|d| d.axis == axis);
        let block = match lowest {
            Some(Digit { home: Home::Memory(1) | Home::Rows(1), radix, .. })
                if !self.maps.contains_key(&axis) =>
            {
                *radix
            }
            _ => 1,
        };
        Ok((block - value % block).min(extent - value))
    }

    fn write(
        &self,
        buffer: &mut Physical,
        offset: i64,
        (logical, from): (&Array, usize),
        run: usize,
    ) -> Result<(), Error> {
        let width = logical.elem.bytes() as usize;
        let at = usize::try_from(self.swizzled(offset, width as i64)).map_err(|_| overflow())?;
        let to = buffer.defined.get_mut(at..at + run).ok_or_else(overflow)?;
        to.fill(true);
        buffer.array.data[at * width..(at + run) * width]
            .copy_from_slice(&logical.data[from * width..(from + run) * width]);
        Ok(())
    }

    /// Bits 4.. of the byte offset become their xor with bits 7.., as many as a row has columns of 16 bytes.
    fn swizzled(&self, element: i64, width: i64) -> i64 {
        let Some(swizzle) = self.tensor.attrs.swizzle else { return element };
        let columns = swizzle.row_bytes() / 16;
        let byte = element * width;
        (byte ^ (byte / 128 % columns * 16)) / width
    }
}
