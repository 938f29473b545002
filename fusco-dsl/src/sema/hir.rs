//! The checked program: names resolved, variables typed by their extents, constants folded.
//!
//! Enters: what `sema::check` accepts of the tree. Leaves: the one description that the oracle,
//! the lowering and the macro read. Sizes stay symbolic in `param`s, mesh axes and `dyn`s; they
//! become numbers only at bind, through [`Bindings`].

use crate::arena::{Arena, Handle};
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

/// One checked `program`.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub name: String,
    pub docs: Vec<String>,
    pub span: Span,
    pub name_span: Span,
    pub meshes: Arena<Mesh>,
    pub mesh_axes: Arena<MeshAxis>,
    pub params: Arena<Param>,
    pub dyns: Arena<Dyn>,
    pub tensors: Arena<Tensor>,
    pub routes: Arena<Route>,
    pub entries: Vec<Entry>,
    pub assumes: Vec<Assume>,
}

/// A mesh: its ranks are `first..first + product`, row-major over its axes in declaration order.
#[derive(Clone, Debug)]
pub struct Mesh {
    pub name: String,
    /// `at first..end`; 0 without it.
    pub first: Size,
    /// The declared `end`, checked at bind against the product of the axes.
    pub end: Option<Size>,
    pub axes: Vec<Handle<MeshAxis>>,
    pub span: Span,
}

/// One axis of a mesh. An alias (`rank = (node, gpu)`) is no axis: placements that use it name its parts.
#[derive(Clone, Debug)]
pub struct MeshAxis {
    pub name: String,
    pub mesh: Handle<Mesh>,
    pub size: Size,
    pub span: Span,
}

/// A `param`: known at bind.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub docs: Vec<String>,
    pub kind: ParamKind,
    /// Every `where` clause, as written and as a condition, checked at bind (F0901).
    pub constraints: Vec<Cond>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// `param E: int`
    Int,
    /// `param OWNER: ints`, an array; bound element by element as `OWNER[0]`, `OWNER[1]`, ..
    Ints,
}

/// A `dyn`: known to the host at each launch; one value for each rank if indexed by the mesh.
#[derive(Clone, Debug)]
pub struct Dyn {
    pub name: String,
    pub docs: Vec<String>,
    /// Mesh axes that index it, empty for one value shared by all ranks.
    pub axes: Vec<Handle<MeshAxis>>,
    pub bound: Size,
    pub span: Span,
}

/// A symbolic integer.
#[derive(Clone, Debug, PartialEq)]
pub enum Size {
    Lit(i64),
    Param(Handle<Param>),
    Mesh(Handle<MeshAxis>),
    /// `T` or `T[s]`: the index is over the mesh, given by coordinates of earlier axes.
    Dyn {
        of: Handle<Dyn>,
        index: Vec<Size>,
    },
    /// The coordinate of an earlier axis of the same tensor or route (`s` in `t: T[s]`).
    Coord(usize),
    /// `len[f, b]`: an element of an `in` integer tensor; known on the device only.
    Read {
        tensor: Handle<Tensor>,
        index: Vec<Size>,
    },
    Binary {
        op: BinOp,
        lhs: Box<Size>,
        rhs: Box<Size>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmpOp {
    Lt,
    Le,
    Eq,
    Ne,
    Ge,
    Gt,
}

/// A condition over sizes (`where`, `when`). A `dyn` over ranks holds when it holds on every rank.
#[derive(Clone, Debug)]
pub struct Cond {
    pub kind: CondKind,
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum CondKind {
    Compare { op: CmpOp, lhs: Size, rhs: Size },
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
}

/// Element types in the order of `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Elem {
    F32,
    F16,
    Bf16,
    E4m3,
    E5m2,
    I8,
    I32,
    I64,
    U8,
    U32,
    F64,
    I16,
    U16,
    U64,
    /// A byte, 0 or 1.
    Bool,
}

/// A numeric element, or an integer index into `0..bound`.
#[derive(Clone, Debug)]
pub struct DType {
    pub elem: Elem,
    /// `ixW(E, none = v)`.
    pub index: Option<IndexType>,
}

#[derive(Clone, Debug)]
pub struct IndexType {
    pub bound: Size,
    pub none: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    In,
    Out,
    InOut,
    Tmp,
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub docs: Vec<String>,
    pub io: Io,
    pub dtype: DType,
    pub axes: Vec<Axis>,
    /// The placement list without its replicating terms, outermost first.
    pub placement: Vec<Term>,
    /// `copy/m`, `only(i)/m`, `sum/m`: mesh axes over which no axis of the tensor is split.
    pub spread: Vec<Spread>,
    pub attrs: Attrs,
    pub span: Span,
    pub placement_span: Span,
    /// Before the `;` of its declaration, where an attribute is added; `None` if nobody wrote it.
    pub close: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct Axis {
    pub name: String,
    pub extent: Extent,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Extent {
    Fixed(Size),
    /// Counted by `route`, whose slot variable it is; `bound` is the declared `<= C`.
    Ragged {
        route: Handle<Route>,
        bound: Option<Size>,
    },
    /// `len[f, b] <= LMAX`: read from an `in` tensor at earlier axes (a [`Size::Read`] is inside).
    Counted {
        rows: Size,
        bound: Size,
    },
}

/// One term of a placement list.
#[derive(Clone, Debug)]
pub struct Term {
    pub axis: usize,
    pub kind: TermKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TermKind {
    /// `a/m`
    Shard(Handle<MeshAxis>),
    /// bare `a`
    Rest,
    /// `a:k`
    Tile(Size),
    /// `c.pack(A)`; the parent is the term directly to the left.
    Pack(Size),
    /// `c.slab(C)`
    Slab(Size),
    /// `a/m.map(W)`: coordinate x lies at `W[x]` on these mesh axes (major first); a bare `a` is the
    /// position of x among those of its owner, ascending.
    Mapped { mesh: Vec<Handle<MeshAxis>>, owners: Owners },
}

/// The table of `.map(W)`.
#[derive(Clone, Debug)]
pub enum Owners {
    Const {
        name: String,
        values: Vec<i64>,
    },
    /// A `param` array.
    Param(Handle<Param>),
    /// An `in ix32(|m|)` tensor of one axis.
    Tensor(Handle<Tensor>),
}

/// A tensor's place on a mesh axis that splits none of its axes.
#[derive(Clone, Debug)]
pub struct Spread {
    pub mesh: Handle<MeshAxis>,
    pub kind: SpreadKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum SpreadKind {
    /// `copy/m`: every coordinate holds all of it.
    Copy,
    /// `only(i)/m`
    Only(Size),
    /// `sum/m`: the value is the sum of the parts, ascending, in f32; `sum/m.any` in any order.
    Sum { any: bool },
}

/// `swizzle(b32|b64|b128)`: 16-byte columns of a row are exchanged by the low bits of the row number,
/// rows of so many bytes, as TMA and wgmma expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swizzle {
    B32,
    B64,
    B128,
}

#[derive(Clone, Debug, Default)]
pub struct Attrs {
    pub fill: Option<Scalar>,
    /// Bytes to which each rank's buffer is aligned.
    pub align: Option<i64>,
    /// Digits that do not divide are ceil blocks.
    pub uneven: bool,
    /// `stride(i: LDB)`: elements between neighbours of the axis's outermost memory digit.
    pub stride: Vec<(usize, Size)>,
    pub swizzle: Option<Swizzle>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Int(i64),
    Float(f64),
}

/// `(s, t, k) -> (e, c)`.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub docs: Vec<String>,
    /// Sources first, then destinations, then any other name bound in the body.
    pub vars: Arena<Var>,
    pub sources: Vec<Handle<Var>>,
    pub dests: Vec<Handle<Var>>,
    pub steps: Vec<Step>,
    pub span: Span,
}

/// One row of a route's body, in text order.
#[derive(Clone, Debug)]
pub enum Step {
    /// `e = topk[s, t, k] else drop;`
    Bind { var: Handle<Var>, value: Expr, orelse: Option<OrElse>, span: Span },
    /// `c = slot(e) by (s, t, k);`
    /// `by` is where the order is written.
    Slot { var: Handle<Var>, group: Handle<Var>, order: Order, by: Span, span: Span },
    /// `cap c < C else drop;`
    Cap { var: Handle<Var>, limit: Size, orelse: OrElse, span: Span },
}

impl Step {
    /// What a name of the body is bound to.
    pub fn value(&self) -> Option<&Expr> {
        match self {
            Step::Bind { value, .. } => Some(value),
            Step::Slot { .. } | Step::Cap { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrElse {
    Drop,
    Trap,
}

#[derive(Clone, Debug)]
pub enum Order {
    Keys(Vec<Handle<Var>>),
    Any,
}

/// A bound variable and the extent it ranges over.
#[derive(Clone, Debug)]
pub struct Var {
    pub name: String,
    pub extent: VarExtent,
}

#[derive(Clone, Debug)]
pub enum VarExtent {
    /// `Size::Coord(i)` names the i-th variable of the route's sources or of the statement.
    Fixed(Size),
    /// The slot variable of a route, or a number of its body without a range.
    Ragged(Handle<Route>),
    /// The axis of a counted tensor.
    Counted { rows: Size, bound: Size },
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub docs: Vec<String>,
    pub span: Span,
    /// Routes planned here (`plan r;`).
    pub plans: Vec<Handle<Route>>,
    /// Routes used but not planned here: the entry takes a `Plan`.
    pub takes: Vec<Handle<Route>>,
    pub stmts: Vec<Assign>,
    pub proves: Vec<Prove>,
    pub assumes: Vec<Assume>,
    pub schedules: Vec<Schedule>,
}

/// `Y[f(v)] <- E(v) via r where p;`
#[derive(Clone, Debug)]
pub struct Assign {
    pub target: Handle<Tensor>,
    pub index: Vec<Expr>,
    pub value: Expr,
    pub via: Option<Via>,
    /// `where p`: assignments for which it does not hold are not made.
    pub filter: Option<Filter>,
    /// Every variable of the statement. Under `via`, all of the route's variables are here.
    pub vars: Arena<Var>,
    pub span: Span,
    pub text: String,
}

impl Assign {
    /// What reduces the value over a source of its route.
    pub fn gathers(&self) -> Option<Reducer> {
        let via = self.via.as_ref()?;
        self.value.reduced_by(&|v| via.sources.contains(v))
    }

    /// Whether it needs what lies at the other side of its route.
    pub fn fetches(&self) -> bool {
        let Some(via) = &self.via else { return false };
        let dest = |index: &[Expr]| index.iter().any(|i| via.dests.iter().any(|d| i.mentions(*d)));
        self.gathers().is_some() || !dest(&self.index) && self.value.indices().into_iter().any(dest)
    }

    /// Every tensor that it reads: in its value, its condition and its indices.
    pub fn reads(&self) -> BTreeSet<Handle<Tensor>> {
        let mut out = BTreeSet::new();
        let condition = self.filter.iter().flat_map(Filter::operands);
        let all = self.index.iter().chain([&self.value]).chain(condition);
        all.for_each(|e| e.tensors(&mut out));
        out
    }
}

/// A condition over integers of the variables and elements of integer tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter<N = Expr> {
    Compare { op: CmpOp, lhs: N, rhs: N },
    And(Box<Filter<N>>, Box<Filter<N>>),
    Or(Box<Filter<N>>, Box<Filter<N>>),
}

impl<N> Filter<N> {
    /// What it compares.
    pub fn operands(&self) -> Vec<&N> {
        match self {
            Filter::Compare { lhs, rhs, .. } => vec![lhs, rhs],
            Filter::And(a, b) | Filter::Or(a, b) => {
                let mut out = a.operands();
                out.extend(b.operands());
                out
            }
        }
    }

    /// Conditions all of which hold where it does, and nowhere else.
    pub fn parts(&self) -> Vec<&Filter<N>> {
        match self {
            Filter::And(a, b) => [a.parts(), b.parts()].concat(),
            Filter::Compare { .. } | Filter::Or(..) => vec![self],
        }
    }

    /// Comparisons all of which hold where it does.
    pub fn conjuncts(&self) -> Vec<(CmpOp, &N, &N)> {
        match self {
            Filter::Compare { op, lhs, rhs } => vec![(*op, lhs, rhs)],
            Filter::And(a, b) => [a.conjuncts(), b.conjuncts()].concat(),
            Filter::Or(..) => Vec::new(),
        }
    }

    /// Whether those comparisons are all that it says.
    pub fn is_conjunction(&self) -> bool {
        match self {
            Filter::Compare { .. } => true,
            Filter::And(a, b) => a.is_conjunction() && b.is_conjunction(),
            Filter::Or(..) => false,
        }
    }

    /// The same condition over other numbers.
    pub fn map<M, E>(&self, number: &mut impl FnMut(&N) -> Result<M, E>) -> Result<Filter<M>, E> {
        Ok(match self {
            Filter::Compare { op, lhs, rhs } => {
                Filter::Compare { op: *op, lhs: number(lhs)?, rhs: number(rhs)? }
            }
            Filter::And(a, b) => Filter::And(Box::new(a.map(number)?), Box::new(b.map(number)?)),
            Filter::Or(a, b) => Filter::Or(Box::new(a.map(number)?), Box::new(b.map(number)?)),
        })
    }

    /// Whether it holds of these numbers.
    pub fn holds<E>(&self, number: &mut impl FnMut(&N) -> Result<i64, E>) -> Result<bool, E> {
        Ok(match self {
            Filter::Compare { op, lhs, rhs } => op.holds(number(lhs)?, number(rhs)?),
            Filter::And(a, b) => a.holds(number)? && b.holds(number)?,
            Filter::Or(a, b) => a.holds(number)? || b.holds(number)?,
        })
    }
}

/// The join with a route: its variables, named in this statement's arena.
#[derive(Clone, Debug)]
pub struct Via {
    pub route: Handle<Route>,
    pub sources: Vec<Handle<Var>>,
    pub dests: Vec<Handle<Var>>,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Elem,
    pub span: Span,
}

impl Expr {
    /// The `sum`, or another reducer, that it computes with.
    pub fn sum(&self) -> Option<&Expr> {
        match &self.kind {
            ExprKind::Reduce { .. } => Some(self),
            ExprKind::Cast(inner) => inner.sum(),
            ExprKind::Binary { lhs, rhs, .. } => lhs.sum().or_else(|| rhs.sum()),
            _ => None,
        }
    }

    /// What reduces it over a variable for which `wanted` holds.
    pub fn reduced_by(&self, wanted: &impl Fn(&Handle<Var>) -> bool) -> Option<Reducer> {
        match &self.kind {
            ExprKind::Reduce { by, over, .. } if over.iter().any(wanted) => Some(*by),
            ExprKind::Reduce { body: inner, .. } | ExprKind::Cast(inner) => {
                inner.reduced_by(wanted)
            }
            ExprKind::Binary { lhs, rhs, .. } => {
                lhs.reduced_by(wanted).or_else(|| rhs.reduced_by(wanted))
            }
            _ => None,
        }
    }

    /// The variables of every reducer.
    pub fn reduced(&self) -> Vec<Handle<Var>> {
        match &self.kind {
            ExprKind::Reduce { over, body, .. } => [over.clone(), body.reduced()].concat(),
            ExprKind::Cast(inner) => inner.reduced(),
            ExprKind::Binary { lhs, rhs, .. } => [lhs.reduced(), rhs.reduced()].concat(),
            _ => Vec::new(),
        }
    }

    /// Whether it is, or computes with, a `first`.
    pub fn takes_first(&self) -> bool {
        !self.firsts().is_empty()
    }

    /// The variables of which each `first` takes the smallest value that there is.
    pub fn firsts(&self) -> Vec<Handle<Var>> {
        match &self.kind {
            ExprKind::Reduce { by: Reducer::First, over, body, .. } => {
                [over.clone(), body.firsts()].concat()
            }
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => inner.firsts(),
            ExprKind::Binary { lhs, rhs, .. } => [lhs.firsts(), rhs.firsts()].concat(),
            _ => Vec::new(),
        }
    }

    /// The value where the variables of each `first` have the values that it takes.
    pub fn at_first(&self) -> Expr {
        let kind = match &self.kind {
            ExprKind::Reduce { by: Reducer::First, body, .. } => return body.at_first(),
            ExprKind::Cast(inner) => ExprKind::Cast(Box::new(inner.at_first())),
            ExprKind::Binary { op, lhs, rhs } => ExprKind::Binary {
                op: *op,
                lhs: Box::new(lhs.at_first()),
                rhs: Box::new(rhs.at_first()),
            },
            _ => return self.clone(),
        };
        Expr { kind, ..*self }
    }

    /// Whether it computes with a variable.
    pub fn mentions(&self, var: Handle<Var>) -> bool {
        match &self.kind {
            ExprKind::Var(v) => *v == var,
            ExprKind::Read { index, .. } => index.iter().any(|i| i.mentions(var)),
            ExprKind::Binary { lhs, rhs, .. } => lhs.mentions(var) || rhs.mentions(var),
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => inner.mentions(var),
            _ => false,
        }
    }

    /// The tensor of the first element that it reads.
    pub fn first_read(&self) -> Option<Handle<Tensor>> {
        match &self.kind {
            ExprKind::Read { tensor, .. } => Some(*tensor),
            ExprKind::Binary { lhs, rhs, .. } => lhs.first_read().or_else(|| rhs.first_read()),
            _ => None,
        }
    }

    /// Adds every tensor that it reads, those of indices among them.
    pub(crate) fn tensors(&self, out: &mut BTreeSet<Handle<Tensor>>) {
        match &self.kind {
            ExprKind::Read { tensor, index } => {
                out.insert(*tensor);
                index.iter().for_each(|i| i.tensors(out));
            }
            ExprKind::Binary { lhs, rhs, .. } => {
                lhs.tensors(out);
                rhs.tensors(out);
            }
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => inner.tensors(out),
            _ => {}
        }
    }

    /// Every tensor that it reads, and at which indices.
    pub fn reads(&self) -> Vec<(Handle<Tensor>, &[Expr])> {
        match &self.kind {
            ExprKind::Read { tensor, index } => vec![(*tensor, index)],
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => inner.reads(),
            ExprKind::Binary { lhs, rhs, .. } => [lhs.reads(), rhs.reads()].concat(),
            _ => Vec::new(),
        }
    }

    /// The numbers of plans in it.
    pub fn plan_numbers(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Count { .. } | ExprKind::Offset { .. } | ExprKind::Dropped { .. } => {
                vec![self]
            }
            ExprKind::Binary { lhs, rhs, .. } => [lhs.plan_numbers(), rhs.plan_numbers()].concat(),
            _ => Vec::new(),
        }
    }

    /// Whether it is computed from numbers of a plan.
    pub fn is_of_plan(&self) -> bool {
        !self.plan_numbers().is_empty()
    }

    /// The indices of every tensor that it reads.
    pub fn indices(&self) -> Vec<&[Expr]> {
        self.reads().into_iter().map(|(_, index)| index).collect()
    }
}

/// What becomes of the terms of a reducer: their sum from +0, the largest or least of them from an infinity, or the
/// first of them, without which there is no value. NaN stays, and +0 is more than -0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reducer {
    Sum,
    Max,
    Min,
    First,
}

impl Reducer {
    pub fn name(self) -> &'static str {
        match self {
            Reducer::Sum => "sum",
            Reducer::Max => "max",
            Reducer::Min => "min",
            Reducer::First => "first",
        }
    }
}

/// `sum.tree(k: .., within = m, partial = T)`: terms whose rows lie on ranks with the same coordinates on the mesh axes
/// up to `axis` are added up first, and rounded; then what comes of them, ascending by those coordinates, in f32 from +0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// The rows, indexed by the other side of the route.
    pub rows: Handle<Tensor>,
    /// The last axis that counts, and with it all that its mesh declares before it.
    pub axis: Handle<MeshAxis>,
    pub partial: Elem,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Scalar(Scalar),
    /// A size that names no variable (`K`, `E * 2`).
    Size(Size),
    Var(Handle<Var>),
    Read {
        tensor: Handle<Tensor>,
        index: Vec<Expr>,
    },
    Binary {
        op: BinOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    /// Round to nearest even.
    Cast(Box<Expr>),
    /// `sum((j, k): body)`: ascending, the last variable innermost; `acc = fma(a, b, acc)` when the body is a product of
    /// floats.
    Reduce {
        by: Reducer,
        over: Vec<Handle<Var>>,
        /// Of a `sum.tree`.
        within: Option<Within>,
        body: Box<Expr>,
    },
    /// `count(y.c)`, indexed by the statement's group variable; `count(y.c, s)`: of these rows, those from one rank.
    Count {
        tensor: Handle<Tensor>,
        group: Handle<Var>,
        source: Option<Handle<Var>>,
    },
    /// `offset(y.c)`: the first row of the group in its rank's buffer.
    Offset {
        tensor: Handle<Tensor>,
        group: Handle<Var>,
    },
    /// `dropped(r, s)`: tuples of source `s` that have no pair in `r`.
    Dropped {
        route: Handle<Route>,
        source: Handle<Var>,
    },
}

/// `prove injective(y);` A property this version cannot decide is refused by `check` (F0999).
#[derive(Clone, Debug)]
pub struct Prove {
    pub kind: ProveKind,
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ProveKind {
    Injective(Handle<Tensor>),
    Covers(Handle<Tensor>),
    Deterministic(Handle<Tensor>),
    Local(Handle<Tensor>),
    /// `vector(y.h) >= 16`: tensor, axis, bytes.
    Vector {
        tensor: Handle<Tensor>,
        axis: usize,
        bytes: i64,
    },
    /// `inverse(a, b)`: entry indices.
    Inverse(usize, usize),
    /// `same(q.c, f.c)`: two ragged axes with the same counts: (tensor, axis) each.
    Same((Handle<Tensor>, usize), (Handle<Tensor>, usize)),
    /// `crossings(node, per = (s, t)) <= n`: copies of a source row that cross to another coordinate of a mesh axis.
    Crossings {
        mesh: Handle<MeshAxis>,
        per: Vec<String>,
        most: i64,
    },
}

/// `assume distinct(k: topk[s, t, k]);`, `assume distinct((r, j): page[r, j]);`
#[derive(Clone, Debug)]
pub struct Assume {
    pub tensor: Handle<Tensor>,
    /// The axes along which values differ, ascending.
    pub axes: Vec<usize>,
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Schedule {
    pub when: Option<Cond>,
    pub directives: Vec<Directive>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Directive {
    pub kind: DirectiveKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectiveKind {
    Push,
    Pull,
    Stages(i64),
    /// `chunk t: 32`
    Chunk(i64),
    /// `blocks 33`: CTAs a rank.
    Blocks(i64),
    /// `tile (m: 64, n: 64) through smem`: by axis name.
    Tile(Vec<(String, i64)>),
    /// `path node, gpu`: rows cross along the first axis, then along the second.
    Path([Handle<MeshAxis>; 2]),
    /// `dedup node by (s, t)`: what these sources name crosses to a coordinate of the axis once.
    Dedup {
        axis: Handle<MeshAxis>,
        keys: Vec<String>,
    },
    Forward(Forward),
    /// `reduce node`: rows that lie at one coordinate of the axis cross as their sum.
    Reduce(Handle<MeshAxis>),
}

/// Which rank at the other end of the first hop takes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The one with the source's own coordinate on the other axis.
    Same,
    /// Row i, of those that go from one coordinate to another in the order of their keys, the i-th in turn.
    Balanced,
}

/// The numbers given at bind: one for each `param`, by name.
pub type Bindings = BTreeMap<String, i64>;

impl Program {
    /// The route whose plan has this number.
    pub fn plan_of(&self, number: &Expr) -> Option<Handle<Route>> {
        match &number.kind {
            ExprKind::Dropped { route, .. } => Some(*route),
            ExprKind::Count { tensor, .. } | ExprKind::Offset { tensor, .. } => {
                self.tensors[*tensor].axes.iter().find_map(|a| match a.extent {
                    Extent::Ragged { route, .. } => Some(route),
                    Extent::Fixed(_) | Extent::Counted { .. } => None,
                })
            }
            _ => None,
        }
    }

    /// The value of a size that depends on params and mesh axes only.
    /// `None` if it reads a `dyn` or a coordinate, a param is unbound, or the arithmetic overflows.
    pub fn eval(&self, size: &Size, bound: &Bindings) -> Option<i64> {
        match size {
            Size::Lit(v) => Some(*v),
            Size::Param(p) => bound.get(&self.params[*p].name).copied(),
            Size::Mesh(m) => self.eval(&self.mesh_axes[*m].size, bound),
            Size::Dyn { .. } | Size::Coord(_) | Size::Read { .. } => None,
            Size::Binary { op, lhs, rhs } => {
                op.apply(self.eval(lhs, bound)?, self.eval(rhs, bound)?)
            }
        }
    }

    /// Number of ranks of all meshes; 1 for a program without one.
    pub fn ranks(&self, bound: &Bindings) -> Option<i64> {
        self.meshes.iter().try_fold(1i64, |most, (_, mesh)| {
            let size = mesh.axes.iter().try_fold(1i64, |n, axis| {
                n.checked_mul(self.eval(&self.mesh_axes[*axis].size, bound)?)
            })?;
            Some(most.max(self.eval(&mesh.first, bound)?.checked_add(size)?))
        })
    }

    /// How many ranks of its mesh have the same coordinates up to an axis, and how many such coordinates there are.
    pub fn cut(&self, axis: Handle<MeshAxis>, bound: &Bindings) -> Option<(i64, i64)> {
        let axes = &self.meshes[self.mesh_axes[axis].mesh].axes;
        let at = axes.iter().position(|a| *a == axis)?;
        let ranks = |axes: &[Handle<MeshAxis>]| {
            let size = |a: &Handle<MeshAxis>| self.eval(&self.mesh_axes[*a].size, bound);
            axes.iter().try_fold(1i64, |n, a| n.checked_mul(size(a)?))
        };
        Some((ranks(&axes[at + 1..])?, ranks(&axes[..=at])?))
    }

    /// The elements of a `param` array: `NAME[0]`, `NAME[1]`, .. up to the first that is not bound.
    pub fn array(&self, param: Handle<Param>, bound: &Bindings) -> Vec<i64> {
        let name = &self.params[param].name;
        (0..).map_while(|i| bound.get(&format!("{name}[{i}]")).copied()).collect()
    }

    pub fn tensor(&self, name: &str) -> Option<Handle<Tensor>> {
        self.tensors.iter().find(|(_, t)| t.name == name).map(|(h, _)| h)
    }

    /// Of each statement of an entry how many others come before it: each is the writer of a `tmp` that the next reads.
    pub fn stages(&self, entry: &Entry) -> Vec<usize> {
        let mut stages: Vec<usize> = Vec::new();
        for stmt in &entry.stmts {
            let reads = stmt.reads();
            let writes =
                |s: &Assign| self.tensors[s.target].io == Io::Tmp && reads.contains(&s.target);
            let before = entry.stmts.iter().zip(&stages).filter(|(s, _)| writes(s));
            stages.push(before.map(|(_, stage)| stage + 1).max().unwrap_or(0));
        }
        stages
    }

    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }
}

/// The least value of a param that its conditions name: `O >= 0`, `in (0, 1, 2)`. Without one it is at least 1.
pub fn least(param: Handle<Param>, conditions: &[Cond]) -> Option<i64> {
    let known = |size: &Size| match size {
        Size::Lit(v) => Some(*v),
        Size::Binary { op, lhs, rhs } => match (&**lhs, &**rhs) {
            (Size::Lit(a), Size::Lit(b)) => op.apply(*a, *b),
            _ => None,
        },
        _ => None,
    };
    let one = |cond: &Cond| match &cond.kind {
        CondKind::And(a, b) => {
            let sides = [a, b].map(|c| least(param, std::slice::from_ref(&**c)));
            sides.into_iter().flatten().max()
        }
        CondKind::Or(a, b) => {
            let [a, b] = [a, b].map(|c| least(param, std::slice::from_ref(&**c)));
            Some(a?.min(b?))
        }
        CondKind::Compare { op, lhs, rhs } => match (lhs == &Size::Param(param), op) {
            (true, CmpOp::Ge | CmpOp::Eq) => known(rhs),
            (true, CmpOp::Gt) => known(rhs)?.checked_add(1),
            (false, CmpOp::Le | CmpOp::Eq) if *rhs == Size::Param(param) => known(lhs),
            (false, CmpOp::Lt) if *rhs == Size::Param(param) => known(lhs)?.checked_add(1),
            _ => None,
        },
    };
    conditions.iter().filter_map(one).max()
}

impl Size {
    /// The coordinates that it names.
    pub fn coords(&self) -> Vec<usize> {
        match self {
            Size::Coord(i) => vec![*i],
            Size::Dyn { index, .. } | Size::Read { index, .. } => {
                index.iter().flat_map(Size::coords).collect()
            }
            Size::Binary { lhs, rhs, .. } => [lhs.coords(), rhs.coords()].concat(),
            Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => Vec::new(),
        }
    }

    /// Whether params and mesh axes alone decide it.
    pub fn is_known_at_bind(&self) -> bool {
        match self {
            Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => true,
            Size::Dyn { .. } | Size::Coord(_) | Size::Read { .. } => false,
            Size::Binary { lhs, rhs, .. } => lhs.is_known_at_bind() && rhs.is_known_at_bind(),
        }
    }

    /// `a` and `b` of a size that is `ceil(a, b)`: `(a + b - 1) / b`.
    pub(crate) fn as_ceil(&self) -> Option<(&Size, &Size)> {
        let Size::Binary { op: BinOp::Div, lhs: last, rhs: by } = self else { return None };
        let a = match (&**last, &**by) {
            (Size::Binary { op: BinOp::Add, lhs, rhs }, Size::Lit(by)) => {
                Some(lhs).filter(|_| **rhs == Size::Lit(by.saturating_sub(1)))
            }
            (Size::Binary { op: BinOp::Sub, lhs, rhs }, by) if **rhs == Size::Lit(1) => {
                match &**lhs {
                    Size::Binary { op: BinOp::Add, lhs, rhs } => Some(lhs).filter(|_| **rhs == *by),
                    _ => None,
                }
            }
            _ => None,
        };
        Some((a?, by))
    }

    /// `a` and `b` of a size that is `roundup(a, b)`: `ceil(a, b) * b`.
    pub(crate) fn as_roundup(&self) -> Option<(&Size, &Size)> {
        let Size::Binary { op: BinOp::Mul, lhs, rhs } = self else { return None };
        lhs.as_ceil().filter(|(_, by)| **by == **rhs)
    }

    /// Whether a launch says what it is: a `dyn` is part of it.
    pub fn is_live(&self) -> bool {
        match self {
            Size::Dyn { .. } => true,
            Size::Binary { lhs, rhs, .. } => lhs.is_live() || rhs.is_live(),
            _ => false,
        }
    }

    /// Every `dyn` in it, and what indexes it.
    pub fn dyns(&self) -> Vec<(Handle<Dyn>, &[Size])> {
        match self {
            Size::Dyn { of, index } => vec![(*of, index)],
            Size::Binary { lhs, rhs, .. } => [lhs.dyns(), rhs.dyns()].concat(),
            _ => Vec::new(),
        }
    }

    /// The coordinates of earlier axes that index a `dyn` in it.
    pub fn dyn_index(&self) -> Vec<&Size> {
        self.dyns().into_iter().flat_map(|(_, index)| index).collect()
    }

    /// A tensor that the size reads.
    pub fn tensor(&self) -> Option<Handle<Tensor>> {
        match self {
            Size::Read { tensor, .. } => Some(*tensor),
            Size::Binary { lhs, rhs, .. } => lhs.tensor().or_else(|| rhs.tensor()),
            _ => None,
        }
    }
}

/// The operation on two sizes, done where both are literals.
pub(crate) fn fold(op: BinOp, l: Size, r: Size) -> Size {
    let known = match (&l, &r) {
        (Size::Lit(a), Size::Lit(b)) => op.apply(*a, *b).map(Size::Lit),
        _ => None,
    };
    known.unwrap_or_else(|| Size::Binary { op, lhs: Box::new(l), rhs: Box::new(r) })
}

impl BinOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinOp::Add => "+",
            BinOp::Sub => "-",
            BinOp::Mul => "*",
            BinOp::Div => "/",
            BinOp::Rem => "%",
        }
    }

    /// Checked arithmetic: `/` rounds toward minus infinity, `%` has the sign of the divisor. `None` on
    /// overflow or division by zero.
    pub fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            BinOp::Add => a.checked_add(b),
            BinOp::Sub => a.checked_sub(b),
            BinOp::Mul => a.checked_mul(b),
            BinOp::Div => {
                let exact = a.checked_rem(b)? == 0 || (a < 0) == (b < 0);
                a.checked_div(b).map(|q| q - i64::from(!exact))
            }
            BinOp::Rem => {
                let rest = a.checked_rem(b)?;
                Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
            }
        }
    }
}

impl CmpOp {
    pub fn holds(self, a: i64, b: i64) -> bool {
        match self {
            CmpOp::Lt => a < b,
            CmpOp::Le => a <= b,
            CmpOp::Eq => a == b,
            CmpOp::Ne => a != b,
            CmpOp::Ge => a >= b,
            CmpOp::Gt => a > b,
        }
    }

    /// `b op a` where this is `a op b`.
    pub fn turned(self) -> CmpOp {
        match self {
            CmpOp::Lt => CmpOp::Gt,
            CmpOp::Le => CmpOp::Ge,
            CmpOp::Ge => CmpOp::Le,
            CmpOp::Gt => CmpOp::Lt,
            same => same,
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            CmpOp::Lt => "<",
            CmpOp::Le => "<=",
            CmpOp::Eq => "==",
            CmpOp::Ne => "!=",
            CmpOp::Ge => ">=",
            CmpOp::Gt => ">",
        }
    }
}

impl Swizzle {
    /// Bytes of the rows whose columns are exchanged.
    pub fn row_bytes(self) -> i64 {
        match self {
            Swizzle::B32 => 32,
            Swizzle::B64 => 64,
            Swizzle::B128 => 128,
        }
    }
}

impl Elem {
    /// Bytes of one element.
    pub fn bytes(self) -> i64 {
        match self {
            Elem::E4m3 | Elem::E5m2 | Elem::I8 | Elem::U8 | Elem::Bool => 1,
            Elem::F16 | Elem::Bf16 | Elem::I16 | Elem::U16 => 2,
            Elem::F32 | Elem::I32 | Elem::U32 => 4,
            Elem::F64 | Elem::I64 | Elem::U64 => 8,
        }
    }

    /// The type in which arithmetic on its elements is done: f32, f64 or i64.
    pub fn number(self) -> Elem {
        match self {
            Elem::F64 => Elem::F64,
            elem if elem.is_integer() => Elem::I64,
            _ => Elem::F32,
        }
    }

    /// The values of an integer type.
    pub fn integers(self) -> std::ops::RangeInclusive<i64> {
        match self {
            Elem::Bool => 0..=1,
            Elem::I8 => i8::MIN.into()..=i8::MAX.into(),
            Elem::I16 => i16::MIN.into()..=i16::MAX.into(),
            Elem::U16 => 0..=u16::MAX.into(),
            Elem::U8 => 0..=u8::MAX.into(),
            Elem::I32 => i32::MIN.into()..=i32::MAX.into(),
            Elem::U32 => 0..=u32::MAX.into(),
            // Numbers of a program have 64 bits and a sign.
            Elem::U64 => 0..=i64::MAX,
            _ => i64::MIN..=i64::MAX,
        }
    }

    pub fn is_integer(self) -> bool {
        use Elem::{Bf16, E4m3, E5m2, F16, F32, F64};
        !matches!(self, F64 | F32 | F16 | Bf16 | E4m3 | E5m2)
    }

    pub fn name(self) -> &'static str {
        match self {
            Elem::F64 => "f64",
            Elem::F32 => "f32",
            Elem::F16 => "f16",
            Elem::Bf16 => "bf16",
            Elem::E4m3 => "e4m3",
            Elem::E5m2 => "e5m2",
            Elem::I8 => "i8",
            Elem::I16 => "i16",
            Elem::I32 => "i32",
            Elem::I64 => "i64",
            Elem::U8 => "u8",
            Elem::U16 => "u16",
            Elem::U32 => "u32",
            Elem::U64 => "u64",
            Elem::Bool => "bool",
        }
    }
}
