//! The schedule IR: how an entry moves its data. One program text for every rank.
//!
//! Enters: built by `schedule::lower`. Leaves: executed literally by the host back end and printed
//! as CUDA by `cuda::generate`, both only as `Verified<Schedule>`.
//!
//! Execution model. An entry is a list of steps; a step launches one kernel on every rank (the
//! first alternative whose `when` holds), and a later step starts on a rank when the earlier one has
//! ended there. What a `tmp` holds is read in a later step than it is written, behind a handshake. Inside a kernel the roles run in order on each CTA; `Tokens`, `Groups` and `Padding`
//! deal their iterations to the warps of all CTAs of the rank, `Grid` and `Tile` to its threads. A rank
//! owns one copy of each tensor's local part and one workspace for each `Plan` object (see [`Route`] and
//! [`Signal`]); entries without a route share one workspace of the program, the home.

use crate::arena::{Arena, Handle};
use crate::layout;
pub use crate::layout::{DealForm, SlotOrder, Tuples};
use crate::sema::hir::{Elem, Filter, Io, Reducer, Swizzle};
use crate::source::Span;

/// Live rows in one arrival tile: a consumer may start on a tile when its counter is full.
pub const TILE_ROWS: i64 = 128;

#[derive(Clone, Debug, Default)]
pub struct Schedule {
    pub program: String,
    pub ranks: i64,
    pub params: Vec<(String, i64)>,
    pub dyns: Arena<Dyn>,
    pub tensors: Arena<Tensor>,
    pub routes: Arena<Route>,
    pub deals: Arena<Deal>,
    pub bases: Arena<Base>,
    pub signals: Arena<Signal>,
    pub tables: Arena<Table>,
    pub vars: Arena<Var>,
    pub entries: Vec<Entry>,
}

/// A launch-time integer, `0..=bound`; the coordinates of some mesh axes have a value each if `per_rank`.
#[derive(Clone, Debug)]
pub struct Dyn {
    pub name: String,
    pub per_rank: bool,
    /// How many values it has: 1, or one for each coordinate of its mesh axes, all ranks as a rule.
    pub values: i64,
    pub bound: i64,
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub io: Io,
    pub elem: Elem,
    /// Elements a rank allocates in the worst case.
    pub elems: i64,
    /// Peers read or write it: it needs memory they can reach.
    pub remote: bool,
    /// Bits of the byte offset are exchanged after the address is computed: with w = log2(row bytes) - 4,
    /// bits 4..4+w become their xor with bits 7..7+w (rows of 32, 64 or 128 bytes: w = 1, 2, 3).
    pub swizzle: Option<Swizzle>,
}

/// Small numbers that indices look up, the same on every rank.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub len: i64,
    pub kind: TableKind,
}

#[derive(Clone, Debug)]
pub enum TableKind {
    /// Known at bind.
    Const(Vec<i64>),
    /// `i32[len]` in the home workspace of each rank, written by an earlier step of the entry.
    Computed,
    /// `i32[len]` in the plan of this route: made with it, or by a later step of every entry that plans.
    Planned(Handle<Route>),
}

/// The plan of a route. Its workspace on a rank, for `C` CTAs a rank (1 on the host), `B = bins()`:
/// `hist: u32[C][B]`, `counts: u32[2][members][B]` (remote-written, double-buffered by epoch parity),
/// `pairs: (group i32, slot i32)[positions * fan]` with group -1 for a dropped tuple,
/// `live: u32[groups]`, one table `u32[groups]` for each [`Base`], the tables of each [`ReadOwners`] and those that a path
/// counts in, `dropped: u32`, `epoch: u32`.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    /// The index tensor that names the group, or the first of those from which it is computed: for messages.
    pub index: Handle<Tensor>,
    /// How messages name a tuple.
    pub tuples: Tuples,
    /// Variables of a tuple: the local position and the choice.
    pub position: Handle<Var>,
    pub choice: Handle<Var>,
    /// What is read of a tuple, in order; then what must hold, and the group.
    pub lookups: Vec<Lookup>,
    pub guards: Vec<Guard>,
    pub group: Ix,
    /// Local positions of this rank (`T[me]`, or a constant).
    pub positions: Ix,
    /// Largest number of positions of a rank.
    pub positions_bound: i64,
    /// Ranks of the program.
    pub ranks: i64,
    /// Tuples of one position (`K`; 1 without a `k`).
    pub fan: i64,
    pub groups: i64,
    /// Ranks that make one plan together, `stride` apart; others make the same plan for themselves.
    pub members: i64,
    pub stride: i64,
    /// How tuples are numbered within a group.
    pub order: SlotOrder,
    /// `cap c < limit else drop`.
    pub cap: Option<i64>,
    /// A capped tuple is an error (`else trap`), not a drop.
    pub trap_cap: bool,
    /// `assume distinct`: a position never names one group twice. Allocations rely on it, so back ends check it.
    pub distinct: bool,
    /// `[members][groups]` of the plan, if it is asked for: the live rows of each group that each member sends.
    pub from: Option<Handle<Table>>,
    pub span: Span,
}

/// The kept tuples of a position: each binds `k`, its group and its slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub route: Handle<Route>,
    /// Whose position it is: of another rank the plan is read there.
    pub rank: Ix,
    pub position: Ix,
    pub k: Handle<Var>,
    pub group: Handle<Var>,
    pub slot: Handle<Var>,
    /// Others are passed over.
    pub only: Option<Filter<Ix>>,
    /// Of those with one such number the first is taken.
    pub once: Option<Ix>,
}

impl Kept {
    /// All kept tuples of a position of this rank.
    pub fn is_plain(&self) -> bool {
        self.rank == Ix::Me && self.only.is_none() && self.once.is_none()
    }
}

/// An element that a route reads of a tuple, on the tuple's own rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Has its value from here on.
    pub var: Handle<Var>,
    pub tensor: Handle<Tensor>,
    pub at: Ix,
    /// What holds before it is read; else the launch fails.
    pub guards: Vec<Guard>,
    /// A tuple of which it has this value has no group: it is dropped, or is an error if `trap`.
    pub none: Option<i64>,
    pub trap: bool,
}

/// Which member of a plan holds each group, as some tensors of the route are placed.
#[derive(Clone, Debug)]
pub struct Deal {
    pub route: Handle<Route>,
    /// Among those of the route, from 1 on.
    pub number: usize,
    pub groups: layout::Deal,
    /// The same as numbers to look up, where arithmetic does not give it.
    pub tables: Option<DealTables>,
    /// Of groups whose owners a launch reads: then the tables are the plan's.
    pub read: Option<ReadOwners>,
}

/// The owners of groups, read by the launch that plans; what else takes the plan uses its tables.
#[derive(Clone, Debug)]
pub struct ReadOwners {
    pub tensor: Handle<Tensor>,
    /// The variable of `owner`: a group.
    pub group: Handle<Var>,
    /// An element on this rank, the member that holds the group.
    pub owner: Ix,
    /// The number of each group among those of its member.
    pub positions: Handle<Table>,
}

#[derive(Clone, Copy, Debug)]
pub struct DealTables {
    /// The member of each group.
    pub owners: Handle<Table>,
    /// All groups, those of member 0 first.
    pub groups: Handle<Table>,
    /// Of each member, and of one more: the first of its groups among those.
    pub first: Handle<Table>,
}

/// First row of each group in its rank's buffer, groups rounded up to `align` rows.
#[derive(Clone, Debug)]
pub struct Base {
    pub name: String,
    pub deal: Handle<Deal>,
    pub align: i64,
}

/// A counter array on each rank, private to (program, entry, plan).
#[derive(Clone, Debug)]
pub struct Signal {
    pub name: String,
    /// The plan whose workspace holds it; `None` is the home.
    pub route: Option<Handle<Route>>,
    pub kind: SignalKind,
    /// Counters on each rank.
    pub slots: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalKind {
    /// One slot a source rank, never reset: `amount` per epoch, so a wait compares with
    /// `epoch * amount` (`amount` is the number of CTAs if `per_cta`, else 1).
    Epoch { per_cta: bool },
    /// One slot a tile of [`TILE_ROWS`] live rows; set to zero by `Reset` in each launch.
    Tiles,
}

/// A loop variable, named as in the source.
#[derive(Clone, Debug)]
pub struct Var {
    pub name: String,
    /// It may be negative: an element of a tensor that is no index.
    pub signed: bool,
}

impl Parts {
    /// There is one, and it is rounded to a float of f32.
    pub fn is_sound(&self) -> bool {
        self.count >= 1 && self.partial.number() == Elem::F32
    }
}

/// Integer index arithmetic; exact in 64 bits by construction of the bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Ix {
    Lit(i64),
    /// This rank.
    Me,
    Var(Handle<Var>),
    /// The dyn's value on this rank.
    Dyn(Handle<Dyn>),
    /// The dyn's value of a number: another rank, or the coordinate of its mesh axes (all are known to one process).
    DynAt {
        of: Handle<Dyn>,
        rank: Box<Ix>,
    },
    /// One integer element of an `in` tensor, at an element offset of a rank's buffer.
    Element {
        tensor: Handle<Tensor>,
        rank: Box<Ix>,
        at: Box<Ix>,
    },
    Lookup {
        table: Handle<Table>,
        index: Box<Ix>,
    },
    /// First row of a group (global number) in its rank's buffer.
    Base {
        base: Handle<Base>,
        group: Box<Ix>,
    },
    /// Live rows of a group (global number), after the cap.
    Live {
        route: Handle<Route>,
        group: Box<Ix>,
    },
    /// Tuples of this rank that have no pair.
    Dropped(Handle<Route>),
    /// What the plan says of a tuple of this rank, by its number; behind a [`Guard::Kept`] of that tuple.
    Pair {
        route: Handle<Route>,
        tuple: Box<Ix>,
        part: PairPart,
    },
    Binary {
        op: IxOp,
        lhs: Box<Ix>,
        rhs: Box<Ix>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairPart {
    Group,
    Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IxOp {
    Add,
    Sub,
    Mul,
    /// Toward minus infinity; operands are non-negative but in a stored number ([`Value::Int`]).
    Div,
    /// With the sign of the divisor.
    Rem,
}

/// `run` contiguous elements of `tensor` on `rank`, from element `row * unit`.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    pub tensor: Handle<Tensor>,
    pub rank: Ix,
    pub row: Ix,
    /// Elements that `row` counts in.
    pub unit: i64,
    pub run: i64,
    /// Widest access in bytes that run and alignment allow: 16, 8, 4, 2 or 1.
    pub vector: i64,
}

/// A row held in registers between its load and its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row(pub u32);

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The bits of a loaded row.
    Row(Row),
    /// A loaded row, each element converted: through f32, to nearest even, e4m3 and e5m2 saturating.
    Cast(Row, Elem),
    /// The product of a loaded row and scalars, f32, left to right, each element rounded to `to`.
    Scaled { factors: Vec<Factor>, to: Elem },
    /// An integer, stored to the element type of the target.
    Int(Ix),
    /// Arithmetic, on the f32 accumulator of the enclosing `Each` or `Grid` point among others, rounded to `to`
    /// (NaN becomes canonical). Integers fit it.
    Sum { value: Tree, to: Elem },
}

/// Arithmetic in f32 or f64, each operation rounded to nearest even, or in 64-bit integers: as [`Tree::number`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// The accumulator.
    Sum,
    /// A row, element by element.
    Row(Access),
    /// One element.
    Scalar(Access),
    /// As a number of f32, f64 or i64.
    Lit(f64, Elem),
    Binary {
        op: IxOp,
        lhs: Box<Tree>,
        rhs: Box<Tree>,
    },
    /// Rounded to an element type, or converted: from f64 and to f64 through f32 but from f32 itself.
    Cast(Elem, Box<Tree>),
    /// Terms made one.
    Fold(Box<Fold>),
}

/// The term at every point of the product of the vars (major first) whose guards hold, ascending: from +0
/// `acc = fma(a, b, acc)` for a product and `acc + a` for another term, or the largest or least from an infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    pub by: Reducer,
    /// Of no integers, `max` and `min` are the least and the largest of this type.
    pub ty: Elem,
    pub vars: Vec<(Handle<Var>, i64)>,
    /// Of one of the vars only the values of kept tuples count.
    pub tuples: Option<Kept>,
    /// Points part by part, in a part in this order.
    pub parts: Option<Parts>,
    pub guards: Vec<Guard>,
    pub term: Tree,
}

/// Terms of a sum in parts: what those of a part add up to from +0 is rounded to `partial`, and added in f32, from +0, to
/// what the parts before it made. A part without a term adds nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The number of a term's part, below `count`.
    pub of: Ix,
    pub count: i64,
    pub partial: Elem,
}

impl Tree {
    /// What it reads, in order; whether each is a row.
    pub fn reads(&self) -> Vec<(&Access, bool)> {
        match self {
            Tree::Row(access) => vec![(access, true)],
            Tree::Scalar(access) => vec![(access, false)],
            Tree::Binary { lhs, rhs, .. } => [lhs.reads(), rhs.reads()].concat(),
            Tree::Cast(_, inner) => inner.reads(),
            Tree::Fold(fold) => fold.term.reads(),
            Tree::Sum | Tree::Lit(..) => Vec::new(),
        }
    }

    /// Every row in it.
    pub fn rows_mut(&mut self, change: &mut impl FnMut(&mut Access)) {
        match self {
            Tree::Row(access) => change(access),
            Tree::Binary { lhs, rhs, .. } => {
                lhs.rows_mut(change);
                rhs.rows_mut(change);
            }
            Tree::Cast(_, inner) => inner.rows_mut(change),
            Tree::Fold(fold) => fold.term.rows_mut(change),
            Tree::Sum | Tree::Scalar(_) | Tree::Lit(..) => {}
        }
    }

    /// The folds in it, an inner one after the one around it.
    pub fn folds(&self) -> Vec<&Fold> {
        match self {
            Tree::Binary { lhs, rhs, .. } => [lhs.folds(), rhs.folds()].concat(),
            Tree::Cast(_, inner) => inner.folds(),
            Tree::Fold(fold) => [vec![&**fold], fold.term.folds()].concat(),
            Tree::Sum | Tree::Row(_) | Tree::Scalar(_) | Tree::Lit(..) => Vec::new(),
        }
    }

    /// Whether it has a part in the accumulator.
    pub fn reads_sum(&self) -> bool {
        match self {
            Tree::Sum => true,
            Tree::Binary { lhs, rhs, .. } => lhs.reads_sum() || rhs.reads_sum(),
            Tree::Cast(_, inner) => inner.reads_sum(),
            Tree::Fold(fold) => fold.term.reads_sum(),
            Tree::Row(_) | Tree::Scalar(_) | Tree::Lit(..) => false,
        }
    }

    /// The type in which it is computed: f32, f64 or i64.
    pub fn number(&self, schedule: &Schedule) -> Elem {
        match self {
            Tree::Sum => Elem::F32,
            Tree::Row(access) | Tree::Scalar(access) => {
                schedule.tensors[access.tensor].elem.number()
            }
            Tree::Lit(_, number) => *number,
            Tree::Binary { lhs, .. } => lhs.number(schedule),
            Tree::Cast(to, _) => to.number(),
            Tree::Fold(fold) => fold.term.number(schedule),
        }
    }
}

/// A factor of a product, as f32.
#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    Row(Row),
    /// One element.
    Scalar(Access),
    Lit(f32),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Own positions `0..extent`, one warp each, `chunk` positions of a CTA between signals.
    Tokens { var: Handle<Var>, extent: Ix, body: Vec<Op> },
    /// The ranks that make the plan with this one, by their numbers from the next one on; this one last.
    Peers { route: Handle<Route>, rank: Handle<Var>, body: Vec<Op> },
    /// The kept tuples of one position, ascending, or the `first` of them; in `parts`, part by part, ascending in each,
    /// and what the body reduces is added up so.
    Each { tuples: Kept, first: bool, parts: Option<Parts>, body: Vec<Op> },
    /// This rank's groups, by global number, ascending.
    Groups { deal: Handle<Deal>, var: Handle<Var>, body: Vec<Op> },
    /// Slots `live(group)..until` of each of this rank's groups; `until` may read the group.
    Padding { deal: Handle<Deal>, group: Handle<Var>, slot: Handle<Var>, until: Ix, body: Vec<Op> },
    /// Once on the rank.
    Once { body: Vec<Op> },
    /// The body, if the loop over tuples before it found one.
    Summed { body: Vec<Op> },
    /// The body, if the guards hold.
    If { guards: Vec<Guard>, body: Vec<Op> },
    /// Every point of the product of the vars (major first) whose guards hold, dealt to the threads of the
    /// rank; consecutive points of the last var are neighbours in the target's memory. Bodies are straight
    /// lines of `Load`, `Pull`, `Reduce`, `Put` and `For`; an access of `run > 1` moves a whole run.
    Grid { vars: Vec<(Handle<Var>, i64)>, share: Option<Share>, guards: Vec<Guard>, body: Vec<Op> },
    /// A `Grid` of tiles, each staged through shared memory because the two sides are contiguous along
    /// different vars: all points of `vars` x `down` x `along` whose guards hold move one element.
    Tile(Box<Tile>),
    /// `body` for var = 0..extent, in order, on one thread.
    For { var: Handle<Var>, extent: i64, body: Vec<Op> },
    /// Every element of this rank's buffer gets these bits.
    FillAll { tensor: Handle<Tensor>, bits: u64 },
    /// `table[rank * groups + g]` = sum over g' < g of `count(g')` rounded up to `align`, for every rank
    /// and each group g (the product of `groups`, major first). A group whose guards fail counts 0.
    Prefix {
        table: Handle<Table>,
        rank: (Handle<Var>, i64),
        groups: Vec<(Handle<Var>, i64)>,
        guards: Vec<Guard>,
        count: Ix,
        align: i64,
    },
    /// `table[x]` = number of x' < x in `0..extent` with `owner(x') == owner(x)`; `owner` reads var.
    Positions { table: Handle<Table>, var: Handle<Var>, extent: i64, owner: Ix },
    /// `table[value] = x` for each element x of an index tensor: of equal elements one stays.
    Claim(Box<Claims>),
    /// The launch fails with F0907 where `table[value] != x`: two elements are equal.
    Distinct(Box<Claims>),

    /// Histogram of own tuples by bin into `hist[cta]`. Where an owner that the plan reads is no member, the
    /// launch fails with F0906 and no tuple of this rank is kept.
    Count { route: Handle<Route> },
    /// Exclusive scan of `hist` over CTAs; the totals are `put` to `counts[epoch & 1][me]` of every rank.
    Scan { route: Handle<Route> },
    /// From `counts`: `live`, every base table, `dropped`; and the tables of owners that the plan reads.
    Tables { route: Handle<Route> },
    /// Stable slot of each own tuple into `pairs`.
    Slots { route: Handle<Route> },

    /// Own row into registers.
    Load { row: Row, from: Access },
    /// Row of any rank into registers.
    Pull { row: Row, from: Access },
    /// Write to any rank.
    Put { value: Value, to: Access },
    /// Every element of the row gets these bits (of the element type), on this rank.
    Fill { to: Access, bits: u64 },
    /// `acc = fma(a, b, acc)` for two factors, `acc + a` for one; three: `fma(a * b, c, acc)`.
    Reduce { factors: Vec<Factor>, run: i64 },

    /// All CTAs of this rank.
    Barrier,
    /// Zero this rank's counters.
    Reset { signal: Handle<Signal> },
    /// Release everything written before, then add one to a counter.
    Signal { signal: Handle<Signal>, to: Peer, slot: Ix },
    /// Acquire.
    Wait { signal: Handle<Signal>, until: Until },
}

/// The elements of an index tensor that is assumed distinct, wherever they lie: each rank looks at all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// One entry for each value that an element may have; another value is passed over.
    pub table: Handle<Table>,
    pub tensor: Handle<Tensor>,
    pub var: (Handle<Var>, i64),
    pub guards: Vec<Guard>,
    /// The element, read at var.
    pub value: Ix,
}

/// The `index`-th of `count` equal parts of a grid's points: ranks that could all do the work split it.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    pub index: Ix,
    pub count: i64,
}

/// A point takes part only if this holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Guard {
    /// `value < limit`
    Below {
        value: Ix,
        limit: Ix,
    },
    Equal {
        value: Ix,
        to: Ix,
    },
    /// The tuple of this rank with that number has a group and a slot; if `first`, none of its position before it has.
    Kept {
        route: Handle<Route>,
        tuple: Ix,
        first: bool,
    },
    /// The statement's own condition.
    Holds(Filter<Ix>),
    /// A divisor; where it is 0 the launch fails with F0906, and the point is passed over.
    NonZero {
        value: Ix,
    },
    /// An index read from `tensor` lies in `0..limit`; elsewhere the launch fails with F0906, and the
    /// point is passed over.
    Valid {
        tensor: Handle<Tensor>,
        value: Ix,
        limit: i64,
    },
}

/// A movement between two sides that are contiguous along different vars.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The tiles, major first.
    pub vars: Vec<(Handle<Var>, i64)>,
    pub share: Option<Share>,
    /// The var along which the source is contiguous, and its extent in a tile.
    pub along_source: (Handle<Var>, i64),
    /// The same for the target.
    pub along_target: (Handle<Var>, i64),
    pub guards: Vec<Guard>,
    /// One element; `vector` is the widest access along `along_source`.
    pub from: Access,
    /// One element; `vector` is the widest access along `along_target`.
    pub to: Access,
    /// Every part is written: `to` reads this var.
    pub copies: Option<(Handle<Var>, i64)>,
    pub cast: Option<Elem>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    All,
    Rank(Ix),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Until {
    /// Every rank's slot has reached this epoch.
    Epoch,
    /// Tile j of group g: `min(TILE_ROWS, live(g) - j * TILE_ROWS)` at slot `base / TILE_ROWS + j`,
    /// for this rank's groups; `base` has `align == TILE_ROWS`.
    Groups { base: Handle<Base> },
    /// Tile j of `0..extent` rows: `min(TILE_ROWS, extent - j * TILE_ROWS)` at slot j.
    Rows { extent: Ix },
}

/// A role: one part of a kernel, from one or more source statements.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub kind: RoleKind,
    /// The statements it implements, canonical text.
    pub text: Vec<String>,
    pub span: Span,
    pub body: Vec<Op>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    Open,
    Plan,
    Produce,
    Fill,
    Derive,
    Reduce,
    /// Tables of the home workspace.
    Tables,
    /// Data is what the program assumes it to be.
    Assume,
    /// A movement without a route.
    Move,
    /// What all ranks have put to each other is there: what follows reads it.
    Meet,
    Close,
}

#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: String,
    /// The route whose workspace the kernel uses; `None` is the home.
    pub route: Option<Handle<Route>>,
    /// It advances this epoch counter of the workspace (one for each kernel name).
    pub roles: Vec<Role>,
    /// The same, done otherwise: ranks do not push rows, each fetches those of which it has tuples, once. A back end
    /// may choose, for all alternatives of a step: they make the same handshakes then, also those that are to push.
    pub fetched: Option<Vec<Role>>,
    pub tuning: Tuning,
}

impl Kernel {
    /// They differ in their names at most.
    pub fn does_as(&self, other: &Kernel) -> bool {
        self.route == other.route
            && self.tuning == other.tuning
            && self.roles == other.roles
            && self.fetched == other.fetched
    }
}

/// Never changes a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Positions of a CTA between two signals, at most.
    pub chunk: Option<i64>,
    /// Parts of shared memory that rows pass through in turn.
    pub stages: Option<Asked>,
    /// CTAs a rank.
    pub blocks: Option<Asked>,
}

impl Tuning {
    /// Positions of a CTA between two signals if the program does not say.
    const CHUNK: i64 = 32;

    pub fn chunk(&self) -> i64 {
        self.chunk.unwrap_or(Tuning::CHUNK)
    }
}

/// A number that a directive asks for; where it does so makes no difference to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub number: i64,
    pub span: Span,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Asked) -> bool {
        self.number == other.number
    }
}

impl Eq for Asked {}

#[derive(Clone, Debug)]
pub struct Alternative {
    pub when: Option<When>,
    pub kernel: Kernel,
}

/// A launch-time condition over dyns; a per-rank dyn must satisfy it on every rank of the launch.
#[derive(Clone, Debug)]
pub enum When {
    Compare { op: crate::sema::hir::CmpOp, lhs: Ix, rhs: Ix },
    And(Box<When>, Box<When>),
    Or(Box<When>, Box<When>),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub span: Span,
    /// Routes whose `Plan` this entry makes.
    pub plans: Vec<Handle<Route>>,
    /// Routes whose `Plan` it takes.
    pub takes: Vec<Handle<Route>>,
    /// Tensors it is given, which it reads or writes, in declaration order.
    pub tensors: Vec<Handle<Tensor>>,
    /// Those that it has in the home workspace: `tmp`s.
    pub temporaries: Vec<Handle<Tensor>>,
    pub dyns: Vec<Handle<Dyn>>,
    /// Counters a consumer may watch, with the tensors they cover.
    pub arrivals: Vec<Handle<Signal>>,
    pub steps: Vec<Step>,
}

impl Route {
    /// The lookup whose value is the group, if there is no other.
    pub fn sole_lookup(&self) -> Option<&Lookup> {
        match &self.lookups[..] {
            [only] if self.group == Ix::Var(only.var) && self.guards.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The index tensor, if it lies in memory as `[position][choice]` and alone names the group.
    pub fn row_major_index(&self, tensors: &Arena<Tensor>) -> Option<&Lookup> {
        let at = Route::row_major((self.position, self.positions_bound), (self.choice, self.fan));
        self.sole_lookup().filter(|l| l.at == at && tensors[l.tensor].swizzle.is_none())
    }

    /// The element of a position and a choice, each below its bound, laid out `[position][choice]`.
    pub fn row_major(
        (position, positions): (Handle<Var>, i64),
        (choice, fan): (Handle<Var>, i64),
    ) -> Ix {
        let of = |var, bound| if bound > 1 { Ix::Var(var) } else { Ix::Lit(0) };
        let row = Ix::binary(IxOp::Mul, of(position, positions), Ix::Lit(fan));
        Ix::binary(IxOp::Add, row, of(choice, fan))
    }

    /// The number of this rank among those that make its plan.
    pub fn member(&self) -> Ix {
        let number = Ix::binary(IxOp::Div, Ix::Me, Ix::Lit(self.stride));
        match self.members {
            1 => Ix::Lit(0),
            n if n * self.stride == self.ranks => number,
            n => Ix::binary(IxOp::Rem, number, Ix::Lit(n)),
        }
    }

    /// The rank of a member of this rank's plan.
    pub fn rank_of(&self, member: Ix) -> Ix {
        match self.members {
            1 => Ix::Me,
            n if n == self.ranks => member,
            n => {
                let span = self.stride * n;
                let minor = Ix::binary(IxOp::Rem, Ix::Me, Ix::Lit(self.stride));
                let major = Ix::binary(IxOp::Div, Ix::Me, Ix::Lit(span));
                let major = match span == self.ranks {
                    true => Ix::Lit(0),
                    false => Ix::binary(IxOp::Mul, major, Ix::Lit(span)),
                };
                let own = Ix::binary(IxOp::Add, major, minor);
                Ix::binary(IxOp::Add, own, Ix::binary(IxOp::Mul, member, Ix::Lit(self.stride)))
            }
        }
    }

    /// The member of this rank's plan that a rank is.
    pub fn member_of(&self, rank: i64) -> i64 {
        rank / self.stride % self.members
    }

    /// The ranks that make a plan with a rank, in the order of their numbers.
    pub fn peers_of(&self, rank: i64) -> impl Iterator<Item = i64> + use<> {
        let (stride, first) = (self.stride, rank - self.member_of(rank) * self.stride);
        (0..self.members).map(move |m| first + m * stride)
    }

    /// Histogram bins: for each group as many as slots have numbers before a rank's.
    pub fn bins(&self) -> i64 {
        self.order.outer * self.groups
    }
}

impl Entry {
    /// Every tensor that its kernels are handed, in that order.
    pub fn operands(&self) -> impl Iterator<Item = Handle<Tensor>> {
        self.tensors.iter().chain(&self.temporaries).copied()
    }
}

impl Fold {
    /// What it is of no terms.
    pub fn start(&self) -> f64 {
        let floats = !self.ty.is_integer();
        match self.by {
            Reducer::Sum | Reducer::First => 0.0,
            Reducer::Max if floats => f64::NEG_INFINITY,
            Reducer::Min if floats => f64::INFINITY,
            Reducer::Max => *self.ty.integers().start() as f64,
            Reducer::Min => *self.ty.integers().end() as f64,
        }
    }
}

impl Deal {
    /// The member that holds a group.
    pub fn owner(&self, group: Ix) -> Ix {
        match (&self.groups.form, self.tables) {
            (_, Some(tables)) => Ix::Lookup { table: tables.owners, index: Box::new(group) },
            _ if self.groups.members == 1 => Ix::Lit(0),
            (DealForm::Copies, _) => Ix::Lit(0),
            (DealForm::Blocks { each }, _) => Ix::binary(IxOp::Div, group, Ix::Lit(*each)),
            _ => Ix::binary(IxOp::Rem, group, Ix::Lit(self.groups.members)),
        }
    }
}

impl Schedule {
    /// The tables of first rows in the plan of a route.
    pub fn bases_of(&self, route: Handle<Route>) -> impl Iterator<Item = (Handle<Base>, &Base)> {
        self.bases.iter().filter(move |(_, b)| self.deals[b.deal].route == route)
    }

    /// The owners that a launch which plans the route reads.
    pub fn owners_of(
        &self,
        route: Handle<Route>,
    ) -> impl Iterator<Item = (&Deal, &DealTables, &ReadOwners)> {
        let own = self.deals.iter().filter(move |(_, d)| d.route == route);
        own.filter_map(|(_, d)| Some((d, d.tables.as_ref()?, d.read.as_ref()?)))
    }

    /// The tables in the plan of a route; without one, those in the home.
    pub fn tables_in(
        &self,
        route: Option<Handle<Route>>,
    ) -> impl Iterator<Item = (Handle<Table>, &Table)> {
        self.tables.iter().filter(move |(_, t)| match t.kind {
            TableKind::Const(_) => false,
            TableKind::Computed => route.is_none(),
            TableKind::Planned(of) => route == Some(of),
        })
    }
}

impl Ix {
    /// With what `other` has instead of some parts.
    pub fn with(&self, other: &impl Fn(&Ix) -> Option<Ix>) -> Ix {
        if let Some(ix) = other(self) {
            return ix;
        }
        let inner = |ix: &Ix| Box::new(ix.with(other));
        match self {
            Ix::DynAt { of, rank } => Ix::DynAt { of: *of, rank: inner(rank) },
            Ix::Element { tensor, rank, at } => {
                Ix::Element { tensor: *tensor, rank: inner(rank), at: inner(at) }
            }
            Ix::Lookup { table, index } => Ix::Lookup { table: *table, index: inner(index) },
            Ix::Base { base, group } => Ix::Base { base: *base, group: inner(group) },
            Ix::Live { route, group } => Ix::Live { route: *route, group: inner(group) },
            Ix::Pair { route, tuple, part } => {
                Ix::Pair { route: *route, tuple: inner(tuple), part: *part }
            }
            Ix::Binary { op, lhs, rhs } => Ix::binary(*op, lhs.with(other), rhs.with(other)),
            Ix::Lit(_) | Ix::Me | Ix::Var(_) | Ix::Dyn(_) | Ix::Dropped(_) => self.clone(),
        }
    }

    pub fn binary(op: IxOp, lhs: Ix, rhs: Ix) -> Ix {
        match (op, &lhs, &rhs) {
            (IxOp::Add, Ix::Lit(0), _) => rhs,
            (IxOp::Add | IxOp::Sub, _, Ix::Lit(0)) => lhs,
            (IxOp::Mul | IxOp::Div, _, Ix::Lit(1)) => lhs,
            (IxOp::Mul, Ix::Lit(1), _) => rhs,
            (IxOp::Mul, Ix::Lit(0), _)
            | (IxOp::Mul, _, Ix::Lit(0))
            | (IxOp::Rem, _, Ix::Lit(1)) => Ix::Lit(0),
            _ => Ix::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) },
        }
    }
}

impl IxOp {
    /// `/` rounds toward minus infinity, `%` has the sign of the divisor; what the verifier's bounds exclude
    /// wraps, and a division by zero gives 0.
    pub fn apply(self, a: i64, b: i64) -> i64 {
        match self {
            IxOp::Add => a.wrapping_add(b),
            IxOp::Sub => a.wrapping_sub(b),
            IxOp::Mul => a.wrapping_mul(b),
            IxOp::Div => {
                let exact = a.checked_rem(b).is_none_or(|r| r == 0) || (a < 0) == (b < 0);
                a.checked_div(b).unwrap_or(0) - i64::from(!exact)
            }
            IxOp::Rem => {
                let rest = a.checked_rem(b).unwrap_or(0);
                if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
            }
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            IxOp::Add => "+",
            IxOp::Sub => "-",
            IxOp::Mul => "*",
            IxOp::Div => "/",
            IxOp::Rem => "%",
        }
    }
}
