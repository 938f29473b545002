//! A statement as a movement: its variables in digits, its places in those digits, who carries it out, and how long
//! its runs are. Behind a route, its points are kept tuples, whose variables the plan gives.

use super::{Coord, Tree};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::Owners;
use crate::sema::hir::{self, Scalar, Size};
use crate::source::Span;

pub(super) type Built<T> = Result<T, Box<Diagnostic>>;

/// For all values of the variables within their extents: `target <- value`.
#[derive(Clone, Debug)]
pub struct Move {
    /// Index of the statement in its entry.
    pub stmt: usize,
    pub text: String,
    pub span: Span,
    /// The route whose plan it reads.
    pub route: Option<Handle<hir::Route>>,
    pub vars: Vec<MoveVar>,
    /// Digits of all variables; those that loop are in the order of the target's memory, outermost first.
    pub digits: Vec<MoveDigit>,
    pub target: Place,
    pub value: MoveValue,
    /// Where it does not hold nothing is written.
    pub filter: Option<hir::Filter<Number>>,
    /// The element type that the value is rounded to, if it is converted.
    pub cast: Option<hir::Elem>,
    /// Whose ranks carry it out.
    pub carrier: Side,
    /// Coordinates of the carrier that the rank does not decide by digits alone: compared at run time.
    pub checks: Vec<(usize, usize)>,
    pub shape: Shape,
    /// Why the runs end where they do.
    pub why: String,
    /// Blocks of one axis on the two sides of which neither divides the other: (variable, both sizes).
    pub divided: Option<(usize, i64, i64)>,
}

/// A variable of the statement.
#[derive(Clone, Debug)]
pub struct MoveVar {
    pub name: String,
    /// Values `0..extent` at most.
    pub extent: i64,
    /// What it is to the route of the movement: a tuple has one value of it.
    pub tuple: Option<Coord>,
    pub live: Live,
    /// The digits reach past the extent: each point is compared.
    pub guarded: bool,
    /// Of its values only the smallest that there is counts: 0, or that of the first kept tuple.
    pub first: bool,
}

/// What bounds a variable at run time.
#[derive(Clone, Debug)]
pub enum Live {
    /// Its extent, known at bind.
    Known,
    /// A size that reads a `dyn` or a tensor; `Size::Coord(i)` is the i-th variable.
    Size(Size),
}

/// `(variable / weight) % radix`.
#[derive(Clone, Debug)]
pub struct MoveDigit {
    pub var: usize,
    pub weight: i64,
    pub radix: i64,
    /// Decided by the rank of the carrier: no loop.
    pub cut: Option<Cut>,
    /// Decided by the tuple: no loop of its own.
    pub tuple: bool,
}

/// The rank's coordinate on a mesh axis of `size` ranks, `weight` apart, divided by `below`, modulo the digit's radix unless it is the top one.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub weight: i64,
    pub size: i64,
    pub below: i64,
    pub top: bool,
}

/// A tensor at coordinates, one an axis.
#[derive(Clone, Debug)]
pub struct Place {
    pub tensor: Handle<hir::Tensor>,
    pub coords: Vec<Coordinate>,
}

#[derive(Clone, Debug)]
pub enum Coordinate {
    /// `sum(coefficient * variable) + constant`
    Linear { terms: Vec<(usize, i64)>, constant: i64 },
    /// Any other integer. With a limit it is compared at run time with `0..limit`: nothing known at bind tells.
    Computed { value: Number, limit: Option<i64> },
}

impl Coordinate {
    /// The element of an integer tensor that it is.
    pub fn element(&self) -> Option<&Place> {
        match self {
            Coordinate::Computed { value: Number::Read(place), .. } => Some(place),
            _ => None,
        }
    }

    /// Whether an element of a tensor decides it.
    pub fn reads(&self) -> bool {
        matches!(self, Coordinate::Computed { value, .. } if !value.places().is_empty())
    }

    /// The tensors of which elements decide it, directly or by another.
    pub fn looks_up(&self) -> Vec<Handle<hir::Tensor>> {
        let Coordinate::Computed { value, .. } = self else { return Vec::new() };
        let one = |place: &Place| {
            let mut out = Vec::from_iter(place.coords.iter().flat_map(Coordinate::looks_up));
            out.push(place.tensor);
            out
        };
        value.places().into_iter().flat_map(one).collect()
    }

    /// The variables that it names.
    pub fn vars(&self) -> Vec<usize> {
        match self {
            Coordinate::Linear { terms, .. } => terms.iter().map(|(v, _)| *v).collect(),
            Coordinate::Computed { value, .. } => value.vars(),
        }
    }

    /// Whether its value depends on the variable.
    pub fn mentions(&self, var: usize) -> bool {
        self.vars().contains(&var)
    }

    /// Its value where the variables have these; `None` if more than they decide it.
    pub fn eval(&self, values: &[i64]) -> Option<i64> {
        match self {
            Coordinate::Linear { terms, constant } => {
                terms.iter().try_fold(*constant, |sum, (v, times)| {
                    sum.checked_add(times.checked_mul(*values.get(*v)?)?)
                })
            }
            Coordinate::Computed { value, .. } => value.eval(values),
        }
    }
}

#[derive(Clone, Debug)]
pub enum MoveValue {
    Read(Place),
    /// Arithmetic on elements, in f32, rounded once more to the target's type.
    Computed(Tree<Place>),
    /// Integer arithmetic over the variables.
    Int(Number),
    /// The bits of a literal in the target's element type.
    Literal(Scalar),
}

impl MoveValue {
    /// Every place that it reads.
    pub fn places(&self) -> Vec<&Place> {
        match self {
            MoveValue::Read(place) => vec![place],
            MoveValue::Computed(tree) => tree.points(),
            MoveValue::Int(_) | MoveValue::Literal(_) => Vec::new(),
        }
    }

    /// Whether it reduces the variable: the target has no part in it.
    pub fn reduces(&self, var: usize) -> bool {
        matches!(self, MoveValue::Computed(tree) if tree.reduced().contains(&var))
    }
}

impl Move {
    /// Whether its points are the tuples of its route that are kept.
    pub fn over_tuples(&self) -> bool {
        self.vars.iter().any(|v| v.tuple.is_some())
    }

    /// The tensor whose ranks carry it out; along a route those do that have the tuples.
    pub fn carried(&self) -> Option<&Place> {
        match (self.carrier, &self.value) {
            _ if self.over_tuples() => None,
            (Side::Source, MoveValue::Read(place)) => Some(place),
            _ => Some(&self.target),
        }
    }

    /// Whether an element that decides where it reads or writes may be none: then nothing is written. Terms of a reducer
    /// are left out by themselves.
    pub fn may_be_absent(&self, has_none: &impl Fn(Handle<hir::Tensor>) -> bool) -> bool {
        let reduced = |c: &Coordinate| c.vars().iter().any(|v| self.value.reduces(*v));
        let places = std::iter::once(&self.target).chain(self.value.places());
        let coords = places.flat_map(|place| &place.coords).filter(|c| !reduced(c));
        coords.into_iter().any(|c| c.looks_up().into_iter().any(has_none))
    }

    /// The axis's coordinate is what the variable of the route is.
    pub fn is_coord(&self, place: &Place, axis: usize, coord: Coord) -> bool {
        match &place.coords[axis] {
            Coordinate::Linear { terms, constant: 0 } => {
                matches!(terms[..], [(var, 1)] if self.vars[var].tuple == Some(coord))
            }
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Number {
    Lit(i64),
    /// A size that a launch decides.
    Size(Size),
    Var(usize),
    /// Live rows of the group that is the variable.
    Count(usize),
    /// Of the live rows of the group that is the second variable, those from the source rank that is the first.
    From(usize, usize),
    /// First row of the group that is the variable, in a tensor.
    First(usize, Handle<hir::Tensor>),
    /// Tuples of this rank that are left out.
    Dropped,
    /// An element of an integer tensor.
    Read(Place),
    Binary {
        op: hir::BinOp,
        lhs: Box<Number>,
        rhs: Box<Number>,
    },
}

impl Number {
    /// What it is computed from, left to right.
    pub fn leaves(&self) -> Vec<&Number> {
        match self {
            Number::Binary { lhs, rhs, .. } => [lhs.leaves(), rhs.leaves()].concat(),
            leaf => vec![leaf],
        }
    }

    /// The variables that it names.
    pub fn vars(&self) -> Vec<usize> {
        match self {
            Number::Lit(_) | Number::Dropped => Vec::new(),
            Number::Size(size) => size.coords(),
            Number::Var(v) | Number::Count(v) | Number::First(v, _) => vec![*v],
            Number::From(source, group) => vec![*source, *group],
            Number::Read(place) => place.coords.iter().flat_map(Coordinate::vars).collect(),
            Number::Binary { lhs, rhs, .. } => [lhs.vars(), rhs.vars()].concat(),
        }
    }

    /// The elements that it is computed from, not those that say where they lie.
    pub fn places(&self) -> Vec<&Place> {
        match self {
            Number::Read(place) => vec![place],
            Number::Binary { lhs, rhs, .. } => [lhs.places(), rhs.places()].concat(),
            _ => Vec::new(),
        }
    }

    /// Its value where the variables have these; `None` if more than they decide it.
    pub fn eval(&self, values: &[i64]) -> Option<i64> {
        match self {
            Number::Lit(v) => Some(*v),
            Number::Var(v) => values.get(*v).copied(),
            Number::Binary { op, lhs, rhs } => op.apply(lhs.eval(values)?, rhs.eval(values)?),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ranks push what they hold.
    Source,
    /// Ranks fetch what they need.
    Target,
}

#[derive(Clone, Debug)]
pub enum Shape {
    /// Runs of so many elements in accesses of so many elements; the last digits make up the run.
    Rows { run: i64, vector: i64, digits: usize },
    /// Staged tiles: the two sides are contiguous along different digits.
    Tile(TileShape),
}

#[derive(Clone, Copy, Debug)]
pub struct TileShape {
    /// The digit along which each side is contiguous, the elements of it in a tile, and in an access.
    pub source: (usize, i64, i64),
    pub target: (usize, i64, i64),
}

pub(super) fn no(span: Span, what: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::unsupported(span, what))
}

impl Owners {
    /// The tensor that is read to find an owner.
    pub fn tensor(&self) -> Option<Handle<hir::Tensor>> {
        match self {
            Owners::Read(tensor) => Some(*tensor),
            Owners::Known(_) => None,
        }
    }
}
