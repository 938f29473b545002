//! Placement lists to digit tables.

use super::route::route_bounds;
use super::{Counted, Digit, Home, Map, Owners, Radix, Spread, SpreadKind, Table};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::sema::hir::{self, BinOp, Bindings, Extent, Program, Size, TermKind};
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

/// No axis, digits included, and no rank's buffer is larger: products of two digits fit 64 bits.
const LARGEST: i64 = 1 << 46;

impl Builder<'_> {
    fn table(&self) -> Built<Table> {
        let maps = self.maps()?;
        let (first, ranks) = self.mesh()?;
        let mut digits = self.radices(&maps)?;
        let counted = self.counted(&mut digits)?;
        self.weights(&mut digits)?;
        let elems = self.strides(&mut digits, counted.as_ref())?;
        Ok(Table {
            first,
            ranks,
            spread: self.spread(ranks)?,
            maps,
            counted,
            tensor: self.handle,
            name: self.tensor.name.clone(),
            axes: self.tensor.axes.iter().map(|a| a.name.clone()).collect(),
            digits,
            elems,
        })
    }

    /// Digits with their radices; homes hold placeholders until `strides`.
    fn radices(&self, maps: &BTreeMap<usize, Map>) -> Built<Vec<Digit>> {
        let mut digits = Vec::new();
        for term in &self.tensor.placement {
            let (radix, home) = match &term.kind {
                TermKind::Shard(mesh) => (
                    Radix::Fixed(self.size(&self.program.mesh_axes[*mesh].size)?),
                    self.mesh_home(*mesh)?,
                ),
                TermKind::Tile(k) => (Radix::Fixed(self.size(k)?), Home::Memory { stride: 0 }),
                TermKind::Rest => (self.rest(term, maps)?, Home::Memory { stride: 0 }),
                TermKind::Pack(align) => {
                    (self.extent(term.axis)?, Home::Packed { align: self.size(align)?, stride: 0 })
                }
                TermKind::Mapped { .. } => (Radix::Fixed(1), Home::Owner),
                TermKind::Slab(rows) => {
                    (Radix::Fixed(self.size(rows)?), Home::Memory { stride: 0 })
                }
            };
            digits.push(Digit { axis: term.axis, radix, weight: 1, home });
        }
        for i in 1..digits.len() {
            let routed = matches!(self.tensor.axes[digits[i].axis].extent, Extent::Ragged { .. });
            if matches!(digits[i].home, Home::Packed { .. }) && routed {
                digits[i - 1].home = Home::Group { stride: 0 };
                // The number of a group is all of its digits.
                let axis = digits[i - 1].axis;
                let memory = digits[..i - 1].iter_mut().rev().filter(|d| d.is_in_memory());
                memory
                    .take_while(|d| d.axis == axis)
                    .for_each(|d| d.home = Home::Parent { stride: 0 });
            }
        }
        Ok(digits)
    }

    fn mesh_home(&self, axis: Handle<hir::MeshAxis>) -> Built<Home> {
        Ok(Home::Mesh { axis, weight: self.mesh_weight(axis)? })
    }

    /// Ranks between neighbours along a mesh axis.
    fn mesh_weight(&self, axis: Handle<hir::MeshAxis>) -> Built<i64> {
        let mesh = &self.program.meshes[self.program.mesh_axes[axis].mesh];
        let later = mesh.axes.iter().filter(|a| **a > axis);
        later
            .map(|a| self.size(&self.program.mesh_axes[*a].size))
            .try_fold(1, |n, s| self.product(n, s?))
    }

    /// First rank and number of ranks of the mesh that the tensor lives on, or of the meshes that it is
    /// copied over.
    fn mesh(&self) -> Built<(i64, i64)> {
        let mut meshes: Vec<_> = self.mesh_axes().map(|a| self.program.mesh_axes[a].mesh).collect();
        meshes.sort();
        meshes.dedup();
        let mut ranges = meshes.iter().map(|m| self.range(*m)).collect::<Built<Vec<_>>>()?;
        ranges.sort_unstable();
        let Some((first, mut end)) = ranges.first().copied() else {
            return Ok((0, self.program.ranks(self.bound).unwrap_or(1)));
        };
        for (from, to) in ranges {
            if from > end {
                let what = "copies over meshes with ranks between them";
                return Err(self.unsupported(self.tensor.placement_span, what));
            }
            end = end.max(to);
        }
        Ok((first, end - first))
    }

    /// First rank of a mesh, and the one past its last.
    fn range(&self, mesh: Handle<hir::Mesh>) -> Built<(i64, i64)> {
        let mesh = &self.program.meshes[mesh];
        let mut ranks = 1i64;
        for axis in &mesh.axes {
            ranks = self.product(ranks, self.size(&self.program.mesh_axes[*axis].size)?)?;
        }
        let first = self.size(&mesh.first)?;
        Ok((first, first + ranks))
    }

    fn mesh_axes(&self) -> impl Iterator<Item = Handle<hir::MeshAxis>> {
        let split = self.tensor.placement.iter().flat_map(|t| match &t.kind {
            TermKind::Shard(axis) => vec![*axis],
            TermKind::Mapped { mesh, .. } => mesh.clone(),
            _ => Vec::new(),
        });
        split.chain(self.tensor.spread.iter().map(|s| s.mesh))
    }

    /// Copies over several meshes are one copy a rank of them all.
    fn spread(&self, ranks: i64) -> Built<Vec<Spread>> {
        let mesh = |s: &hir::Spread| self.program.mesh_axes[s.mesh].mesh;
        let first = self.tensor.spread.first();
        if let Some(first) = first.filter(|f| self.tensor.spread.iter().any(|s| mesh(s) != mesh(f)))
        {
            let kind = SpreadKind::Copy;
            return Ok(vec![Spread { axis: first.mesh, size: ranks, weight: 1, kind }]);
        }
        let mut spread: Vec<Spread> =
            self.tensor.spread.iter().map(|s| self.one_spread(s)).collect::<Built<_>>()?;
        spread.sort_by_key(|s| s.axis);
        Ok(spread)
    }

    fn one_spread(&self, spread: &hir::Spread) -> Built<Spread> {
        let size = self.size(&self.program.mesh_axes[spread.mesh].size)?;
        let kind = match &spread.kind {
            hir::SpreadKind::Copy => SpreadKind::Copy,
            hir::SpreadKind::Sum { .. } => SpreadKind::Sum,
            hir::SpreadKind::Only(at) => match self.size(at)? {
                at if (0..size).contains(&at) => SpreadKind::Only(at),
                at => {
                    let message = format!("`only({at})` is outside the mesh axis");
                    return Err(Box::new(
                        Diagnostic::error("F0310", spread.span, message)
                            .note(format!("it has coordinates 0..{size}"))
                            .help(format!("choose one below {size}")),
                    ));
                }
            },
        };
        Ok(Spread { axis: spread.mesh, size, weight: self.mesh_weight(spread.mesh)?, kind })
    }

    fn maps(&self) -> Built<BTreeMap<usize, Map>> {
        let mut out = BTreeMap::new();
        for term in &self.tensor.placement {
            let TermKind::Mapped { mesh, owners } = &term.kind else { continue };
            let extent = self.extent(term.axis)?.bound();
            let parts = mesh
                .iter()
                .map(|a| Ok((self.size(&self.program.mesh_axes[*a].size)?, self.mesh_weight(*a)?)))
                .collect::<Built<Vec<_>>>()?;
            let owners = match owners {
                hir::Owners::Const { values, .. } => Owners::Known(values.clone()),
                hir::Owners::Param(p) => Owners::Known(self.program.array(*p, self.bound)),
                hir::Owners::Tensor(t) => Owners::Read(*t),
            };
            let map = Map { owners, parts, extent };
            self.check_map(term, &map)?;
            out.insert(term.axis, map);
        }
        Ok(out)
    }

    /// F0309, F0310: an owner for each coordinate, each on the mesh.
    fn check_map(&self, term: &hir::Term, map: &Map) -> Built<()> {
        let Owners::Known(values) = &map.owners else { return Ok(()) };
        let axis = &self.tensor.axes[term.axis].name;
        if values.len() as i64 != map.extent {
            let message =
                format!("the map has {} entries, axis `{axis}` has {}", values.len(), map.extent);
            return Err(Box::new(
                Diagnostic::error("F0309", term.span, message)
                    .help(format!("give it {} entries", map.extent)),
            ));
        }
        let owners: i64 = map.parts.iter().map(|p| p.0).product();
        match values.iter().position(|v| !(0..owners).contains(v)) {
            None => Ok(()),
            Some(at) => Err(Box::new(
                Diagnostic::error(
                    "F0310",
                    term.span,
                    format!("entry {at} of the map is outside the mesh"),
                )
                .note(format!("{} is not in 0..{owners}", values[at]))
                .help(format!("use owners below {owners}")),
            )),
        }
    }

    /// The packed axis that a tensor counts, and its parents: the memory digits to its left.
    fn counted(&self, digits: &mut [Digit]) -> Built<Option<Counted>> {
        let Some(at) = digits.iter().position(|d| {
            matches!(d.home, Home::Packed { .. })
                && matches!(self.tensor.axes[d.axis].extent, Extent::Counted { .. })
        }) else {
            return Ok(None);
        };
        let (axis, Home::Packed { align, .. }) = (digits[at].axis, digits[at].home.clone()) else {
            return Ok(None);
        };
        let Extent::Counted { rows, .. } = &self.tensor.axes[axis].extent else { return Ok(None) };
        let mut parents = Vec::new();
        read_axes(rows, &mut parents);
        digits[at].home = Home::Rows { stride: 0 };
        let mut groups = 1i64;
        for digit in digits[..at].iter_mut().rev() {
            if !matches!(digit.home, Home::Memory { .. }) {
                continue;
            }
            if !parents.contains(&digit.axis) {
                break;
            }
            digit.home = Home::Parent { stride: groups };
            groups = self.product(groups, digit.radix.bound())?;
        }
        Ok(Some(Counted { axis, rows: rows.clone(), groups, align }))
    }

    /// The radix of a bare axis: what its other digits leave.
    fn rest(&self, term: &hir::Term, maps: &BTreeMap<usize, Map>) -> Built<Radix> {
        let mut others = 1;
        for other in self.tensor.placement.iter().filter(|t| t.axis == term.axis) {
            let radix = match &other.kind {
                TermKind::Shard(mesh) => self.size(&self.program.mesh_axes[*mesh].size)?,
                TermKind::Tile(k) => self.size(k)?,
                _ => 1,
            };
            others = self.product(others, radix)?;
        }
        let extent = match (maps.get(&term.axis).map(|m| &m.owners), self.extent(term.axis)?) {
            (Some(Owners::Known(values)), Radix::Fixed(_)) => Radix::Fixed(most_owned(values)),
            (_, extent) => extent,
        };
        let loose = self.tensor.attrs.uneven || maps.contains_key(&term.axis);
        match extent {
            Radix::Fixed(n) if loose => Ok(Radix::Fixed((n + others - 1) / others)),
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
            // Blocks of what is allocated.
            Radix::Live { bound, .. } => {
                Ok(Radix::Fixed(BinOp::Div.apply(bound + others - 1, others).unwrap_or(1)))
            }
            _ => Err(self.unsupported(term.span, "a split `dyn` or ragged axis")),
        }
    }

    fn extent(&self, axis: usize) -> Built<Radix> {
        match &self.tensor.axes[axis].extent {
            Extent::Fixed(size) if size.is_live() => {
                Ok(Radix::Live { size: size.clone(), bound: self.most(size)? })
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

    fn weights(&self, digits: &mut [Digit]) -> Built<()> {
        let mut below = vec![1i64; self.tensor.axes.len()];
        for digit in digits.iter_mut().rev() {
            digit.weight = below[digit.axis];
            below[digit.axis] = self.product(digit.weight, digit.radix.bound().max(1))?;
        }
        Ok(())
    }

    /// Fills in the strides from the right end; returns the elements of one rank.
    fn strides(&self, digits: &mut [Digit], counted: Option<&Counted>) -> Built<i64> {
        let mut elems = 1i64;
        let mut packed = false;
        for i in (0..digits.len()).rev() {
            let mut radix = digits[i].radix.bound();
            let spaced = match digits[i].home {
                Home::Memory { .. } | Home::Packed { .. } | Home::Rows { .. } => true,
                Home::Group { .. } | Home::Parent { .. } => self.no_stride(digits[i].axis)?,
                Home::Mesh { .. } | Home::Owner => false,
            };
            if spaced && self.is_outermost(digits, i) {
                elems = self.asked_stride(digits[i].axis, elems)?;
            }
            match &mut digits[i].home {
                Home::Mesh { .. } | Home::Owner | Home::Parent { .. } => continue,
                Home::Memory { .. } if packed => {
                    let span = self.tensor.placement[i].span;
                    return Err(self.unsupported(span, "an axis to the left of a packed pair"));
                }
                Home::Memory { stride } => *stride = elems,
                Home::Packed { stride, .. } => {
                    *stride = elems;
                    continue;
                }
                Home::Rows { stride } => {
                    *stride = elems;
                    let (groups, align) = counted.map_or((1, 1), |c| (c.groups, c.align));
                    radix = (radix + align - 1) / align * align;
                    radix = self.product(radix, groups)?;
                }
                Home::Group { stride } => {
                    packed = true;
                    *stride = elems;
                }
            }
            let factor = if packed { self.packed_rows(digits, i)? } else { radix };
            elems = self.product(elems, factor)?;
        }
        Ok(elems)
    }

    /// Whether no memory digit of the same axis stands further left.
    fn is_outermost(&self, digits: &[Digit], i: usize) -> bool {
        !digits[..i]
            .iter()
            .any(|d| d.axis == digits[i].axis && matches!(d.home, Home::Memory { .. }))
    }

    /// Packed groups begin where those before them end.
    fn no_stride(&self, axis: usize) -> Built<bool> {
        match self.tensor.attrs.stride.iter().any(|(a, _)| *a == axis) {
            true => {
                Err(self.unsupported(self.tensor.placement_span, "a stride between packed groups"))
            }
            false => Ok(false),
        }
    }

    /// `stride(a: S)`, or what the digits to the right take.
    fn asked_stride(&self, axis: usize, elems: i64) -> Built<i64> {
        let Some((_, size)) = self.tensor.attrs.stride.iter().find(|(a, _)| *a == axis) else {
            return Ok(elems);
        };
        let asked = self.size(size)?;
        if asked >= elems {
            return Ok(asked);
        }
        let name = &self.tensor.axes[axis].name;
        Err(Box::new(
            Diagnostic::error(
                "F0311",
                self.tensor.span,
                format!("rows of `{}` overlap along `{name}`", self.tensor.name),
            )
            .note(format!("stride({name}: {asked}) < {elems}, the elements between neighbours"))
            .help(format!("use a stride of at least {elems}")),
        ))
    }

    /// Rows of all the groups of one rank, each rounded up.
    fn packed_rows(&self, digits: &[Digit], group: usize) -> Built<i64> {
        let Home::Packed { align, .. } = digits[group + 1].home else { return Ok(1) };
        let Extent::Ragged { route, .. } = self.tensor.axes[digits[group + 1].axis].extent else {
            return Ok(1);
        };
        let bounds = route_bounds(self.program, self.bound, route)?;
        let own = digits[..=group].iter().filter(|d| d.axis == digits[group].axis);
        let own = own.filter(|d| d.is_in_memory()).map(|d| d.radix.bound());
        let groups = own.fold(1i64, i64::saturating_mul);
        let rows = bounds.rows_of(groups).ok_or_else(|| self.overflow())?;
        let padding = self.product(groups, align - 1)?;
        rows.checked_add(padding).ok_or_else(|| self.overflow())
    }

    fn size(&self, size: &Size) -> Built<i64> {
        self.within(self.program.eval(size, self.bound))
    }

    /// The most a size can be, each `dyn` up to its bound.
    fn most(&self, size: &Size) -> Built<i64> {
        self.within(self.program.most(size, self.bound))
    }

    fn within(&self, size: Option<i64>) -> Built<i64> {
        let size = size.ok_or_else(|| {
            self.unsupported(self.tensor.span, "a size that is not known at bind")
        })?;
        if size > LARGEST { Err(self.overflow()) } else { Ok(size) }
    }

    fn product(&self, a: i64, b: i64) -> Built<i64> {
        a.checked_mul(b).filter(|n| *n <= LARGEST).ok_or_else(|| self.overflow())
    }

    fn unsupported(&self, span: crate::source::Span, what: &str) -> Box<Diagnostic> {
        let what = format!("{what} in the placement of `{}`", self.tensor.name);
        Box::new(Diagnostic::unsupported(span, what))
    }

    fn overflow(&self) -> Box<Diagnostic> {
        let message = format!("`{}` is larger than a machine can hold", self.tensor.name);
        Box::new(
            Diagnostic::error("F0901", self.tensor.span, message)
                .note("a digit, an axis, or a rank's buffer has more than 2^46 elements")
                .help("bind smaller numbers"),
        )
    }
}

/// Coordinates of the largest owner.
fn most_owned(owners: &[i64]) -> i64 {
    let count = |o: &i64| owners.iter().filter(|x| *x == o).count() as i64;
    owners.iter().map(count).max().unwrap_or(1)
}

/// The axes whose coordinates index the tensors that a size reads.
fn read_axes(size: &Size, out: &mut Vec<usize>) {
    match size {
        Size::Read { index, .. } => out.extend(index.iter().filter_map(|i| match i {
            Size::Coord(axis) => Some(*axis),
            _ => None,
        })),
        Size::Binary { lhs, rhs, .. } => {
            read_axes(lhs, out);
            read_axes(rhs, out);
        }
        _ => {}
    }
}
