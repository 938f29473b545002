//! Digit tables: each tensor's placement as rows (axis, radix, weight, home, stride).
//!
//! Enters: a checked tensor and the bound params. Leaves: a [`Table`] with numbers in it, from which
//! the movement relation reads runs and the schedule reads addresses. Source: mixed-radix layouts as
//! in `language.md` 4.1; `pack` and `slab` store a ragged axis.

mod build;
mod deal;
mod holders;
mod print;
mod route;
mod sources;

pub use build::tables;
pub use deal::{Deal, DealForm};
pub use holders::Part;
pub use print::print;
pub use route::RouteShape;
pub(crate) use route::route_shape;
pub use sources::{Count, Local, OrderDigit, RankDigit, SlotOrder, Source, Tuples};

use crate::arena::Handle;
use crate::sema::hir;
use std::collections::BTreeMap;

/// The digits of one tensor, in placement order, outermost first.
#[derive(Clone, Debug)]
pub struct Table {
    pub tensor: Handle<hir::Tensor>,
    pub name: String,
    pub axes: Vec<String>,
    pub digits: Vec<Digit>,
    /// Elements a rank allocates in the worst case.
    pub elems: i64,
    /// First rank of the mesh it lives on, and how many ranks that mesh has.
    pub first: i64,
    pub ranks: i64,
    /// Mesh axes that split none of its axes.
    pub spread: Vec<Spread>,
    /// Axes whose coordinates are dealt out by a table; their memory digits split the position of a
    /// coordinate among those of its owner.
    pub maps: BTreeMap<usize, Map>,
    /// The packed axis that a tensor counts.
    pub counted: Option<Counted>,
}

/// A mesh axis over which the tensor is not split; one with all ranks, if it is copied over several meshes.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    pub axis: Handle<hir::MeshAxis>,
    pub size: i64,
    pub weight: i64,
    pub kind: SpreadKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadKind {
    Copy,
    Only(i64),
    Sum,
}

/// `.map(W)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    pub owners: Owners,
    /// (size, weight in ranks) of each mesh axis of the composite owner, major first.
    pub parts: Vec<(i64, i64)>,
    pub extent: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Owners {
    Known(Vec<i64>),
    /// An `in` tensor of one axis.
    Read(Handle<hir::Tensor>),
}

/// `l: len[f, b] <= LMAX` stored by `l.pack(A)`: `row = base(group) + l`.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    pub axis: usize,
    pub rows: hir::Size,
    /// Groups of a rank: the product of the parents' memory radices.
    pub groups: i64,
    pub align: i64,
}

/// One digit: `(coordinate / weight) % radix`.
#[derive(Clone, Debug, PartialEq)]
pub struct Digit {
    pub axis: usize,
    pub radix: Radix,
    pub weight: i64,
    pub home: Home,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Radix {
    Fixed(i64),
    /// A size that a launch says.
    Live {
        size: hir::Size,
        bound: i64,
    },
    /// The count of a group, known to the plan only.
    Ragged {
        bound: i64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Home {
    /// Adds `digit * weight` to the rank.
    Mesh { axis: Handle<hir::MeshAxis>, weight: i64 },
    /// Adds `digit * stride` elements.
    Memory { stride: i64 },
    /// The group of a packed axis: adds `base(group) * stride`.
    Group { stride: i64 },
    /// The packed axis: adds `digit * stride`; groups are rounded up to `align` rows.
    Packed { align: i64, stride: i64 },
    /// The owner of a mapped coordinate: `W[x]`, a composite digit of the mesh.
    Owner,
    /// A parent of a counted axis: adds `digit * stride` to the number of the group.
    Parent { stride: i64 },
    /// The counted axis: adds `(base(group) + digit) * stride`.
    Rows { stride: i64 },
}

impl Digit {
    /// Whether it says where in a rank's memory, not on which rank.
    pub fn is_in_memory(&self) -> bool {
        !matches!(self.home, Home::Mesh { .. } | Home::Owner)
    }
}

impl Radix {
    /// The largest value the radix can take.
    pub fn bound(&self) -> i64 {
        match self {
            Radix::Fixed(n) | Radix::Live { bound: n, .. } | Radix::Ragged { bound: n } => *n,
        }
    }
}

impl Table {
    /// The packed digit's alignment, if the placement packs.
    pub fn pack(&self) -> Option<i64> {
        self.digits.iter().find_map(|d| match d.home {
            Home::Packed { align, .. } => Some(align),
            _ => None,
        })
    }

    /// Whether an axis is cut over ranks as a source is: whatever a rank's tuples name lies on that rank.
    pub fn is_cut_as(&self, axis: usize, source: &Source) -> bool {
        let digits = self.digits.iter().filter(|d| d.axis == axis);
        let on_mesh = digits.filter_map(|d| match d.home {
            Home::Mesh { weight, .. } if d.radix.bound() > 1 => {
                Some(RankDigit { weight: d.weight, radix: d.radix.bound(), ranks: weight })
            }
            _ => None,
        });
        on_mesh.eq(source.ranks.iter().copied())
    }

    /// Whether this is the most significant digit of its axis: digits read major to minor.
    pub fn is_top(&self, digit: &Digit) -> bool {
        self.digits.iter().find(|d| d.axis == digit.axis).is_some_and(|d| std::ptr::eq(d, digit))
    }
}
