//! WHAT moves: each statement of an entry as a movement relation with its facts.
//!
//! Enters: a checked program, its bound params and the digit tables. Leaves: for each entry its
//! movements, in text order, with the run, the vector width and the direction that the tables imply.
//! Nothing here says how: the schedule decides that.

mod claims;
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

pub use claims::warnings;
pub use digits::{Step, Terms, split, step};
pub(crate) use digits::{gcd, piece_of};
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
    pub kind: Kind,
    /// Elements that are contiguous on every side: the product of the trailing common axes.
    pub run: i64,
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
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// Each kept tuple sends a row to its slot.
    Push { source: Point },
    /// Each kept tuple sends a row to its slot, times its scalars: f32, left to right, rounded to the element.
    Scale { factors: Vec<Factor>, to: hir::Elem },
    /// Each kept tuple sends an integer to its slot.
    PushInt { value: IntExpr },
    /// Each position adds up what its tuples name, ascending, in f32; what comes of the sum is rounded to the
    /// element.
    Reduce { factors: Vec<Factor>, value: Tree, to: hir::Elem },
    /// Each group (or the source rank) gets a number of the plan.
    Derive { value: Derived },
}

/// A factor of a product.
#[derive(Clone, Debug)]
pub enum Factor {
    /// A row at the destination of the tuple, or of the source position; the one row of a scaled push.
    Row(Point),
    /// One element at the source of the tuple.
    Scalar(Point),
    Lit(f64),
}

/// Arithmetic in f32, each operation rounded, on elements of points behind a route or of places without one.
#[derive(Clone, Debug)]
pub enum Tree<P = Point> {
    /// What the tuples of a position add up to.
    Sum,
    /// A row of the position; without a route, any element.
    Row(P),
    /// One element of the position.
    Scalar(P),
    Lit(f64),
    Binary {
        op: hir::BinOp,
        lhs: Box<Tree<P>>,
        rhs: Box<Tree<P>>,
    },
    /// The terms for all values of these variables, ascending, the last one's innermost. Those of a sum that are a
    /// product are fused with the addition.
    Fold {
        by: hir::Reducer,
        over: Vec<usize>,
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
            Tree::Fold { term, .. } => term.rows_mut(),
            Tree::Sum | Tree::Scalar(_) | Tree::Lit(_) => Vec::new(),
        }
    }

    /// Every point that it reads.
    pub fn points(&self) -> Vec<&P> {
        match self {
            Tree::Row(point) | Tree::Scalar(point) => vec![point],
            Tree::Binary { lhs, rhs, .. } => [lhs.points(), rhs.points()].concat(),
            Tree::Fold { term, .. } => term.points(),
            Tree::Sum | Tree::Lit(_) => Vec::new(),
        }
    }

    /// The variables that it reduces.
    pub fn reduced(&self) -> Vec<usize> {
        match self {
            Tree::Binary { lhs, rhs, .. } => [lhs.reduced(), rhs.reduced()].concat(),
            Tree::Fold { over, term, .. } => [over.clone(), term.reduced()].concat(),
            Tree::Sum | Tree::Row(_) | Tree::Scalar(_) | Tree::Lit(_) => Vec::new(),
        }
    }
}

/// Integer arithmetic over the variables of a tuple.
#[derive(Clone, Debug)]
pub enum IntExpr {
    Lit(i64),
    Coord(Coord),
    Binary { op: hir::BinOp, lhs: Box<IntExpr>, rhs: Box<IntExpr> },
}

#[derive(Clone, Debug)]
pub enum Derived {
    Count,
    /// First row of the group in the placement of this tensor, whose groups are dealt so.
    Offset(Handle<hir::Tensor>, Deal),
    Dropped,
}
