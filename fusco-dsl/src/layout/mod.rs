//! Digit tables: each tensor's placement as rows (axis, radix, weight, home, stride).
//!
//! Enters: a checked tensor and the bound params. Leaves: a [`Table`] with numbers in it, from which
//! the movement relation reads runs and the schedule reads addresses. Source: mixed-radix layouts as
//! in `language.md` 4.1; `pack` and `slab` store a ragged axis.

mod build;
mod print;
mod route;

pub use build::tables;
pub use print::print;
pub use route::{RouteShape, SlotOrder, route_shape};

use crate::arena::Handle;
use crate::sema::hir;

/// The digits of one tensor, in placement order, outermost first.
#[derive(Clone, Debug)]
pub struct Table {
    pub tensor: Handle<hir::Tensor>,
    pub name: String,
    pub axes: Vec<String>,
    pub digits: Vec<Digit>,
    /// Elements a rank allocates in the worst case.
    pub elems: i64,
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
    /// The value of a `dyn` at launch.
    Live {
        of: Handle<hir::Dyn>,
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

    /// The rank that holds the coordinates, and the element offset in its buffer.
    /// `base` gives the first row of a group (a coordinate of the packed axis's parent).
    pub fn locate(&self, at: &[i64], base: impl Fn(i64) -> i64) -> (usize, usize) {
        let (mut rank, mut offset) = (0, 0);
        for digit in &self.digits {
            let high = at[digit.axis] / digit.weight;
            let value = if self.is_top(digit) { high } else { high % digit.radix.bound() };
            match digit.home {
                Home::Mesh { weight, .. } => rank += value * weight,
                Home::Memory { stride } | Home::Packed { stride, .. } => offset += value * stride,
                Home::Group { stride } => offset += base(at[digit.axis]) * stride,
            }
        }
        (rank as usize, offset as usize)
    }

    /// Whether this is the most significant digit of its axis: digits read major to minor.
    pub fn is_top(&self, digit: &Digit) -> bool {
        self.digits.iter().find(|d| d.axis == digit.axis).is_some_and(|d| std::ptr::eq(d, digit))
    }
}
