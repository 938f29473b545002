//! The digits of a placement as numbers: what each coordinate of each axis adds to the rank and to the offset,
//! from the definition in `language.md` 4.1. Enters: a tensor, and the rows of the groups of one that a route fills.
//! Leaves: [`Digits`].

use super::Error;
use super::owners::Map;
use super::scope::{Scope, dynamic, overflow};
use crate::arena::Handle;
use crate::sema::hir::{BinOp, Extent, MeshAxis, Size, Tensor, Term, TermKind};
use std::collections::BTreeMap;

pub(super) struct Digits<'a> {
    pub scope: Scope<'a>,
    pub tensor: &'a Tensor,
    digits: Vec<Digit>,
    pub maps: BTreeMap<usize, Map>,
    /// Elements that each holding rank allocates.
    pub elements: i64,
    /// Ranks of the tensor: `first .. first + ranks`.
    pub first: i64,
    pub ranks: i64,
    packed: Option<Packed>,
    /// Rows of each group, if a route fills the tensor.
    live: Option<&'a [i64]>,
}

/// A counted axis in rows one group after another.
struct Packed {
    axis: usize,
    align: i64,
    /// The axes that the size of the counted axis names; of a route, the one before it.
    parents: Vec<usize>,
    /// The first row of each group, by (rank in the mesh, group).
    bases: BTreeMap<(i64, i64), i64>,
    /// All rows of each rank in the mesh.
    rows: BTreeMap<i64, i64>,
    /// Elements of a row.
    row: i64,
}

struct Digit {
    axis: usize,
    radix: i64,
    weight: i64,
    home: Home,
}

#[derive(Clone, Copy)]
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

/// What a coordinate adds.
#[derive(Clone, Copy, Default)]
pub(super) struct Part {
    pub rank: i64,
    pub offset: i64,
    group: i64,
}

impl<'a> Digits<'a> {
    pub fn new(scope: &Scope<'a>, tensor: &'a Tensor) -> Result<Digits<'a>, Error> {
        let mut digits = Digits {
            scope: *scope,
            tensor,
            digits: Vec::new(),
            maps: BTreeMap::new(),
            elements: 1,
            first: 0,
            ranks: 1,
            packed: None,
            live: scope.counts(tensor)?.map(|relation| &relation.live[..]),
        };
        digits.mesh()?;
        digits.read_maps()?;
        digits.pack()?;
        digits.radices()?;
        digits.groups();
        digits.strides()?;
        digits.count()?;
        Ok(digits)
    }

    pub fn size(&self, size: &Size) -> Result<i64, Error> {
        self.scope.size(size, &[])
    }

    pub fn axis_size(&self, axis: Handle<MeshAxis>) -> Result<i64, Error> {
        self.size(&self.scope.program.mesh_axes[axis].size)
    }

    /// Ranks between neighbours along a mesh axis: the product of the later axes of its mesh.
    pub fn weight(&self, axis: Handle<MeshAxis>) -> Result<i64, Error> {
        let program = self.scope.program;
        let mesh = &program.meshes[program.mesh_axes[axis].mesh];
        let mut weight = 1;
        for later in mesh.axes.iter().filter(|a| **a > axis) {
            weight *= self.axis_size(*later)?;
        }
        Ok(weight)
    }

    fn pack(&mut self) -> Result<(), Error> {
        for term in &self.tensor.placement {
            let axis = term.axis;
            let parents = match (&term.kind, &self.tensor.axes[axis].extent) {
                (TermKind::Pack(_), Extent::Counted { rows, .. }) => {
                    (0..axis).filter(|a| super::scope::names(rows, *a)).collect()
                }
                (TermKind::Pack(_), Extent::Ragged { .. }) => Vec::from_iter(axis.checked_sub(1)),
                _ => continue,
            };
            let TermKind::Pack(align) = &term.kind else { continue };
            let align = positive(self.size(align)?)?;
            let (bases, rows) = (BTreeMap::new(), BTreeMap::new());
            self.packed = Some(Packed { axis, align, parents, bases, rows, row: 1 });
        }
        Ok(())
    }

    fn radices(&mut self) -> Result<(), Error> {
        for term in &self.tensor.placement {
            let (radix, home) = match &term.kind {
                TermKind::Shard(axis) => (self.axis_size(*axis)?, Home::Rank(self.weight(*axis)?)),
                TermKind::Tile(k) | TermKind::Slab(k) => (self.size(k)?, Home::Memory(0)),
                TermKind::Mapped { .. } => (1, Home::Owner),
                TermKind::Pack(_) => (self.most(term.axis)?.max(1), Home::Rows(0)),
                TermKind::Rest => (self.rest(term)?, Home::Memory(0)),
            };
            let radix = positive(radix)?;
            self.digits.push(Digit { axis: term.axis, radix, weight: 1, home });
        }
        let mut below = vec![1i64; self.tensor.axes.len()];
        for digit in self.digits.iter_mut().rev() {
            digit.weight = below[digit.axis];
            below[digit.axis] = digit.weight.checked_mul(digit.radix).ok_or_else(overflow)?;
        }
        Ok(())
    }

    /// The radix of a bare axis: what the other digits leave of its extent, rounded up.
    fn rest(&self, term: &Term) -> Result<i64, Error> {
        let mut others = 1i64;
        for other in self.tensor.placement.iter().filter(|t| t.axis == term.axis) {
            let radix = match &other.kind {
                TermKind::Shard(axis) => self.axis_size(*axis)?,
                TermKind::Tile(k) => self.size(k)?,
                _ => 1,
            };
            others = others.checked_mul(positive(radix)?).ok_or_else(overflow)?;
        }
        let extent = match self.maps.get(&term.axis).filter(|m| m.known) {
            Some(map) => map.positions.iter().max().map_or(0, |p| p + 1),
            None => self.most(term.axis)?,
        };
        Ok(((extent + others - 1) / others).max(1))
    }

    /// The largest extent, each `dyn` and count at its bound.
    pub fn most(&self, axis: usize) -> Result<i64, Error> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.bound(size),
            Extent::Counted { bound, .. } => self.size(bound),
            Extent::Ragged { .. } => {
                Ok(self.live.and_then(|live| live.iter().max()).copied().unwrap_or(0).max(1))
            }
        }
    }

    fn bound(&self, size: &Size) -> Result<i64, Error> {
        self.ends(size).map(|(_, most)| most)
    }

    /// The least and the most that a size can be: of an operation, among those of its operands.
    fn ends(&self, size: &Size) -> Result<(i64, i64), Error> {
        match size {
            Size::Dyn { of, .. } => Ok((0, self.size(&self.scope.program.dyns[*of].bound)?)),
            Size::Binary { op: BinOp::Rem, rhs, .. } => Ok((0, self.ends(rhs)?.1 - 1)),
            Size::Binary { op, lhs, rhs } => {
                let ((a, b), (c, d)) = (self.ends(lhs)?, self.ends(rhs)?);
                let corners = [(a, c), (a, d), (b, c), (b, d)].map(|(x, y)| op.apply(x, y));
                let corners: Option<Vec<i64>> = corners.into_iter().collect();
                let corners = corners.ok_or_else(overflow)?;
                let (least, most) = (corners.iter().min(), corners.iter().max());
                Ok((least.copied().unwrap_or(0), most.copied().unwrap_or(0)))
            }
            size => self.size(size).map(|n| (n, n)),
        }
    }

    /// The memory digits of the parents, directly to the left of the packed axis, number its groups.
    fn groups(&mut self) {
        let Some(packed) = &self.packed else { return };
        let at = self.digits.iter().position(|d| matches!(d.home, Home::Rows(_))).unwrap_or(0);
        let mut groups = 1i64;
        for digit in self.digits[..at].iter_mut().rev() {
            match digit.home {
                Home::Memory(_) if packed.parents.contains(&digit.axis) => {
                    digit.home = Home::Group(groups);
                    groups = groups.saturating_mul(digit.radix);
                }
                Home::Memory(_) => break,
                _ => {}
            }
        }
    }

    /// Strides from the right end of the list, over allocated radices.
    fn strides(&mut self) -> Result<(), Error> {
        let mut elements = 1i64;
        for i in (0..self.digits.len()).rev() {
            let (axis, radix) = (self.digits[i].axis, self.digits[i].radix);
            let factor = match self.digits[i].home {
                Home::Memory(_) => {
                    if let Some(stride) = self.asked(i)? {
                        elements = stride;
                    }
                    self.digits[i].home = Home::Memory(elements);
                    radix
                }
                Home::Rows(_) => {
                    elements = self.asked(i)?.unwrap_or(elements);
                    self.digits[i].home = Home::Rows(elements);
                    let Some(packed) = &mut self.packed else { continue };
                    packed.row = elements;
                    round_up(self.most(axis)?, self.align())
                }
                Home::Group(_) => radix,
                Home::Rank(_) | Home::Owner => 1,
            };
            elements = elements.checked_mul(factor).ok_or_else(overflow)?;
        }
        for axis in 0..self.tensor.axes.len() {
            if self.most(axis)? < 1 {
                elements = 0;
            }
        }
        self.elements = elements;
        Ok(())
    }

    fn align(&self) -> i64 {
        self.packed.as_ref().map_or(1, |p| p.align)
    }

    /// The `stride` of an axis, if the digit is its outermost in memory.
    fn asked(&self, digit: usize) -> Result<Option<i64>, Error> {
        let axis = self.digits[digit].axis;
        let outer = self.digits[..digit]
            .iter()
            .any(|d| d.axis == axis && matches!(d.home, Home::Memory(_)));
        let asked = self.tensor.attrs.stride.iter().find(|(a, _)| *a == axis && !outer);
        asked.map(|(_, size)| self.size(size)).transpose()
    }

    /// First rows of all groups, in memory order, from the counts at all coordinates of the parents.
    fn count(&mut self) -> Result<(), Error> {
        let Some(packed) = &self.packed else { return Ok(()) };
        let mut counts = BTreeMap::new();
        self.counts(packed, &mut Vec::new(), &mut counts)?;
        let (mut sums, mut bases) = (BTreeMap::<i64, i64>::new(), BTreeMap::new());
        for ((rank, group), rows) in counts {
            let sum = sums.entry(rank).or_default();
            bases.insert((rank, group), *sum);
            *sum += rows;
        }
        if let Some(packed) = &mut self.packed {
            (packed.bases, packed.rows) = (bases, sums);
        }
        Ok(())
    }

    /// Rounded rows of each live group by its key; axes that the count does not name stay 0.
    fn counts(
        &self,
        packed: &Packed,
        at: &mut Vec<i64>,
        counts: &mut BTreeMap<(i64, i64), i64>,
    ) -> Result<(), Error> {
        if at.len() == packed.axis {
            let rows = round_up(self.extent(packed.axis, at)?, packed.align);
            return match counts.insert(self.group(packed, at)?, rows) {
                None => Ok(()),
                Some(_) => {
                    Err(Error::Unsupported("a parent that is not beside what it packs".into()))
                }
            };
        }
        let counted = packed.parents.contains(&at.len());
        let extent = if counted { self.extent(at.len(), at)? } else { 1 };
        for value in 0..extent {
            at.push(value);
            self.counts(packed, at, counts)?;
            at.pop();
        }
        Ok(())
    }

    /// The rank in the mesh and the number of the group at the coordinates.
    fn group(&self, packed: &Packed, at: &[i64]) -> Result<(i64, i64), Error> {
        let mut key = (0, 0);
        for parent in &packed.parents {
            let part = self.part(*parent, at[*parent])?;
            key = (key.0 + part.rank, key.1 + part.group);
        }
        Ok(key)
    }

    /// The live extent of an axis at the coordinates of the earlier ones.
    pub fn extent(&self, axis: usize, at: &[i64]) -> Result<i64, Error> {
        let (program, inputs) = (self.scope.program, self.scope.inputs);
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) => self.scope.size(size, at),
            Extent::Counted { rows, bound } => inputs.counted(program, (rows, bound), at),
            Extent::Ragged { .. } => {
                let group = axis.checked_sub(1).map_or(-1, |parent| at[parent]);
                let live = usize::try_from(group).ok().and_then(|g| self.live?.get(g));
                live.copied().ok_or_else(|| Error::Shape(format!("no segment {group}")))
            }
        }
    }

    /// Elements of a rank's buffer. One that a route fills ends with its last group.
    pub fn length(&self, rank: i64) -> Result<i64, Error> {
        let (Some(packed), true) = (&self.packed, self.live.is_some()) else {
            return Ok(self.elements);
        };
        let (mut key, mine) = (0, rank - self.first);
        for term in self.tensor.placement.iter().filter(|t| packed.parents.contains(&t.axis)) {
            let mesh = match &term.kind {
                TermKind::Shard(axis) => std::slice::from_ref(axis),
                TermKind::Mapped { mesh, .. } => mesh,
                _ => &[],
            };
            for axis in mesh {
                let weight = self.weight(*axis)?;
                key += mine / weight % self.axis_size(*axis)? * weight;
            }
        }
        let rows = packed.rows.get(&key).copied().unwrap_or(0);
        rows.checked_mul(packed.row).ok_or_else(overflow)
    }

    /// Where a group begins among the rows of its rank: `offset(y.c)`.
    pub fn first_row(&self, group: i64) -> Result<i64, Error> {
        let groups = self.live.map_or(0, <[i64]>::len) as i64;
        if !(0..groups).contains(&group) {
            return Err(Error::Shape(format!("no segment {group}")));
        }
        let unsupported = || Error::Unsupported("an offset of this placement".into());
        let ragged = |a: &crate::sema::hir::Axis| matches!(a.extent, Extent::Ragged { .. });
        let axis = self.tensor.axes.iter().position(ragged).filter(|axis| *axis > 0);
        let axis = axis.ok_or_else(unsupported)?;
        if let Some(packed) = &self.packed {
            let part = self.part(axis - 1, group)?;
            return packed.bases.get(&(part.rank, part.group)).copied().ok_or_else(unsupported);
        }
        let rank = |g| self.part(axis - 1, g).map(|p| p.rank);
        let (own, mut earlier) = (rank(group)?, 0);
        for other in 0..group {
            earlier += i64::from(rank(other)? == own);
        }
        let slab = self.digits.iter().find(|d| d.axis == axis).ok_or_else(unsupported)?;
        earlier.checked_mul(slab.radix).ok_or_else(overflow)
    }

    /// Elements between neighbours of the outermost digit in memory, if its axis has as many as a launch says.
    pub fn leading(&self) -> Option<i64> {
        let first = self.digits.iter().find(|d| !matches!(d.home, Home::Rank(_) | Home::Owner))?;
        match (first.home, &self.tensor.axes[first.axis].extent) {
            (Home::Memory(stride), Extent::Fixed(size)) if dynamic(size) => Some(stride),
            _ => None,
        }
    }

    /// Rows to which a packed buffer is rounded up, and the elements of a row.
    pub fn rows(&self) -> Option<(i64, i64)> {
        self.packed.as_ref().map(|p| (p.align, p.row))
    }

    /// What the first row of the group at the coordinates adds to the offset, if `axis` is packed.
    pub fn base(&self, axis: usize, at: &[i64]) -> Result<i64, Error> {
        let Some(packed) = self.packed.as_ref().filter(|p| p.axis == axis) else { return Ok(0) };
        let base = packed.bases.get(&self.group(packed, at)?).copied();
        base.and_then(|b| b.checked_mul(packed.row)).ok_or_else(overflow)
    }

    /// What a coordinate of an axis adds to the rank, the offset and the number of the group.
    pub fn part(&self, axis: usize, at: i64) -> Result<Part, Error> {
        let mut part = Part::default();
        let map = self.maps.get(&axis);
        let place = map.map_or(Ok(at), |m| m.position(at))?;
        let digits = self.digits.iter().filter(|d| d.axis == axis);
        for (i, digit) in digits.enumerate() {
            let whole = place / digit.weight;
            // Nothing lies to the left of an axis's first digit but its table.
            if i == 0 && map.is_none() && whole >= digit.radix {
                let (tensor, axis) = (&self.tensor.name, &self.tensor.axes[axis].name);
                let held = digit.weight * digit.radix;
                let why = format!("{tensor} holds {held} {axis}, not one at {at}");
                return Err(Error::Shape(why));
            }
            let value = whole % digit.radix;
            match digit.home {
                Home::Rank(weight) => part.rank += value * weight,
                Home::Memory(stride) | Home::Rows(stride) => part.offset += value * stride,
                Home::Group(stride) => part.group += value * stride,
                Home::Owner => part.rank += map.map_or(Ok(0), |m| m.rank(at))?,
            }
        }
        Ok(part)
    }

    /// Whether the coordinate of an axis says on which rank.
    pub fn on_mesh(&self, axis: usize) -> bool {
        let says = |d: &Digit| match d.home {
            Home::Rank(_) => d.radix > 1,
            Home::Owner => true,
            _ => false,
        };
        self.digits.iter().any(|d| d.axis == axis && says(d))
    }

    /// Coordinates of an axis that have a place: its largest extent, if its digits hold as many.
    pub fn capacity(&self, axis: usize) -> Result<i64, Error> {
        let most = self.most(axis)?;
        let first = self.digits.iter().find(|d| d.axis == axis);
        let held = first.map_or(1, |d| d.weight.saturating_mul(d.radix));
        Ok(if self.maps.contains_key(&axis) { most } else { most.min(held) })
    }
}

fn round_up(rows: i64, align: i64) -> i64 {
    (rows + align - 1) / align * align
}

fn positive(radix: i64) -> Result<i64, Error> {
    if radix > 0 { Ok(radix) } else { Err(Error::Shape(format!("a digit of radix {radix}"))) }
}
