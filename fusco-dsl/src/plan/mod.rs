//! WHAT moves: each statement of an entry as a movement relation with its facts.
//!
//! Enters: a checked program, its bound params and the digit tables. Leaves: for each entry its
//! movements, in text order, with the run, the vector width and the direction that the tables imply.
//! Nothing here says how: the schedule decides that.

mod claims;
mod crossings;
mod dense;
mod digits;
pub mod image;
mod lower;
mod moves;
mod print;
mod prove;
mod reader;
mod refine;
mod routed;
mod shape;
mod union;

pub use claims::warnings;
pub(crate) use digits::gcd;
pub use digits::{Step, Sum, Terms, step};
pub use lower::lower;
pub use moves::{
    Coordinate, Cut, Live, Move, MoveDigit, MoveValue, MoveVar, Number, Place, Shape, Side,
    TileShape,
};
pub use print::print;

use crate::arena::Handle;
use crate::layout::{Deal, RouteShape, Table};
use crate::sema::hir;
use crate::source::Span;
use std::collections::BTreeMap;

/// The movements of a program, with everything they refer to.
#[derive(Clone, Debug)]
pub struct Plan {
    pub ranks: i64,
    pub tables: BTreeMap<Handle<hir::Tensor>, Table>,
    pub routes: BTreeMap<Handle<hir::Route>, RouteShape>,
    pub entries: Vec<EntryPlan>,
}

#[derive(Clone, Debug)]
pub struct EntryPlan {
    pub name: String,
    pub movements: Vec<Movement>,
    /// Statements that move point by point: those without a route, and those along one whose rows are not runs that
    /// are alike on all sides.
    pub moves: Vec<Move>,
    /// The same as each `schedule when` has them, if it changes them.
    pub scheduled: Vec<Option<Vec<Move>>>,
}

impl EntryPlan {
    /// The routes that its statements need plans of.
    pub fn routes(&self) -> impl Iterator<Item = Handle<hir::Route>> {
        let moves = self.moves.iter().filter_map(|m| m.route);
        self.movements.iter().map(|m| m.route).chain(moves)
    }
}

/// One statement: for all tuples of the route (or all of its groups), `target <- value`.
#[derive(Clone, Debug)]
pub struct Movement {
    /// Index of the statement in its entry.
    pub stmt: usize,
    pub text: String,
    pub span: Span,
    pub route: Handle<hir::Route>,
    pub target: Point,
    pub each: Each,
    pub kind: Kind,
    /// Where it does not hold nothing is written.
    pub filter: Option<hir::Filter<IntExpr>>,
    /// Variables that the value is reduced over.
    pub reduced: Vec<Reduced>,
    /// Elements that are contiguous on every side: the product of the trailing common axes.
    pub run: i64,
}

/// What a movement does something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// Each kept tuple, or each group of numbers of the plan.
    Tuple,
    /// The first kept tuple of each position that has one.
    First,
    /// Each position, whatever tuples of it are kept.
    Position,
}

/// A variable of a reducer.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// Its number in the statement.
    pub var: usize,
    pub name: String,
    pub extent: i64,
    /// It is the choice of the route: of its values only those of kept tuples count.
    pub choice: bool,
}

impl Movement {
    /// Whether ranks fetch what their own positions need, rather than send what they have to its slot.
    pub fn gathers(&self) -> bool {
        let dest =
            |p: &Point| p.coords.iter().flatten().any(|c| matches!(c, Coord::Group | Coord::Slot));
        self.each != Each::Tuple || !dest(&self.target) && self.kind.points().into_iter().any(dest)
    }

    /// Along the route, from a source tuple to its slot.
    pub fn pushes(&self) -> bool {
        !self.gathers() && !matches!(self.kind, Kind::Derive { .. })
    }
}

/// A tensor at coordinates that are bound variables, without its trailing run.
#[derive(Clone, Debug)]
pub struct Point {
    pub tensor: Handle<hir::Tensor>,
    /// One coordinate an axis; `None` for the axes of the run.
    pub coords: Vec<Option<Coord>>,
    /// Bytes of the widest access that run and alignment allow: 16, 8, 4, 2 or 1.
    pub vector: i64,
    /// Where the groups lie, if a coordinate is one.
    pub deal: Option<Deal>,
}

/// What a variable is to its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coord {
    /// A source, by its number.
    Source(usize),
    Group,
    Slot,
    /// A variable that a reducer gives values, by its number in the statement.
    Reduced(usize),
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// A row as it is.
    Row { source: Point },
    /// Arithmetic on each element of a row, rounded to the element.
    Computed { value: Tree, to: hir::Elem },
    /// An integer of the tuple.
    Int { value: IntExpr },
    /// Each group (or the source rank) gets a number of the plan.
    Derive { value: Derived },
}

impl Kind {
    /// Every point that it reads.
    pub fn points(&self) -> Vec<&Point> {
        match self {
            Kind::Row { source } => vec![source],
            Kind::Computed { value, .. } => value.points(),
            Kind::Int { .. } | Kind::Derive { .. } => Vec::new(),
        }
    }
}

/// Arithmetic on elements of points behind a route or of places without one: in f32 or f64, each operation rounded, or
/// in integers, as the elements are.
#[derive(Clone, Debug)]
pub enum Tree<P = Point> {
    /// A row; without a route, any element.
    Row(P),
    /// One element.
    Scalar(P),
    /// As a number of f32, f64 or i64.
    Lit(f64, hir::Elem),
    Binary {
        op: hir::BinOp,
        lhs: Box<Tree<P>>,
        rhs: Box<Tree<P>>,
    },
    /// Rounded to the element type, or converted from another kind of number.
    Cast {
        to: hir::Elem,
        of: Box<Tree<P>>,
    },
    /// The terms for all values of these variables, ascending, the last one's innermost. Those of a sum that are a
    /// product are fused with the addition.
    Fold {
        by: hir::Reducer,
        /// Of no integers, `max` and `min` are the least and the largest of this type.
        ty: hir::Elem,
        over: Vec<usize>,
        /// By the ranks of rows, as `sum.tree` says.
        within: Option<hir::Within>,
        term: Box<Tree<P>>,
    },
}

impl<P> Tree<P> {
    /// The points of its rows.
    pub fn rows_mut(&mut self) -> Vec<&mut P> {
        match self {
            Tree::Row(point) => vec![point],
            Tree::Binary { lhs, rhs, .. } => {
                let mut out = lhs.rows_mut();
                out.extend(rhs.rows_mut());
                out
            }
            Tree::Cast { of: inner, .. } | Tree::Fold { term: inner, .. } => inner.rows_mut(),
            Tree::Scalar(_) | Tree::Lit(..) => Vec::new(),
        }
    }

    /// Every point that it reads.
    pub fn points(&self) -> Vec<&P> {
        match self {
            Tree::Row(point) | Tree::Scalar(point) => vec![point],
            Tree::Binary { lhs, rhs, .. } => [lhs.points(), rhs.points()].concat(),
            Tree::Cast { of: inner, .. } | Tree::Fold { term: inner, .. } => inner.points(),
            Tree::Lit(..) => Vec::new(),
        }
    }

    /// The variables that it reduces.
    pub fn reduced(&self) -> Vec<usize> {
        match self {
            Tree::Binary { lhs, rhs, .. } => [lhs.reduced(), rhs.reduced()].concat(),
            Tree::Cast { of, .. } => of.reduced(),
            Tree::Fold { over, term, .. } => [over.clone(), term.reduced()].concat(),
            Tree::Row(_) | Tree::Scalar(_) | Tree::Lit(..) => Vec::new(),
        }
    }

    /// The factors of a product, left to right; of another value, itself.
    pub fn factors(&self) -> Vec<&Tree<P>> {
        match self {
            Tree::Binary { op: hir::BinOp::Mul, lhs, rhs } => {
                let mut out = lhs.factors();
                out.push(rhs);
                out
            }
            other => vec![other],
        }
    }
}

/// Integer arithmetic over the variables of a tuple.
#[derive(Clone, Debug)]
pub enum IntExpr {
    Lit(i64),
    Coord(Coord),
    /// An element of an integer tensor.
    Read(Point),
    Binary {
        op: hir::BinOp,
        lhs: Box<IntExpr>,
        rhs: Box<IntExpr>,
    },
}

#[derive(Clone, Debug)]
pub enum Derived {
    Count,
    /// First row of the group in the placement of this tensor, whose groups are dealt so.
    Offset(Handle<hir::Tensor>, Deal),
    Dropped,
}
