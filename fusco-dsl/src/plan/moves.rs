//! A statement without a route as a movement: its variables in digits, both places in those digits, who
//! carries it out, and how long its runs are.
//!
//! The digits of a variable are the common refinement of the boundaries that both tables put on it. If
//! the boundaries do not form a chain, those of the carrying side win and the other side divides.

use super::digits::{Step, piece, step};
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::layout::{Home, Owners, SpreadKind, Table};
use crate::sema::hir::{self, Bindings, Expr, ExprKind, Extent, Program, Scalar, Size, VarExtent};
use crate::source::Span;
use std::collections::BTreeMap;

type Built<T> = Result<T, Box<Diagnostic>>;

/// For all values of the variables within their extents: `target <- value`.
#[derive(Clone, Debug)]
pub struct Move {
    /// Index of the statement in its entry.
    pub stmt: usize,
    pub text: String,
    pub span: Span,
    pub vars: Vec<MoveVar>,
    /// Digits of all variables; those that loop are in the order of the target's memory, outermost first.
    pub digits: Vec<MoveDigit>,
    pub target: Place,
    pub value: MoveValue,
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
    pub live: Live,
    /// The digits reach past the extent: each point is compared.
    pub guarded: bool,
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
    /// An element of an integer tensor, within `0..limit`.
    Gather { tensor: Handle<hir::Tensor>, coords: Vec<Coordinate>, limit: i64 },
}

#[derive(Clone, Debug)]
pub enum MoveValue {
    Read(Place),
    /// Integer arithmetic over the variables.
    Int(Number),
    /// The bits of a literal in the target's element type.
    Literal(Scalar),
}

#[derive(Clone, Debug)]
pub enum Number {
    Lit(i64),
    Var(usize),
    Binary { op: hir::BinOp, lhs: Box<Number>, rhs: Box<Number> },
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

/// Bytes from which a run is long enough to move without a tile.
const LONG_RUN: i64 = 32;
/// Elements of a tile along each side, unless the program asks for another number.
const TILE: i64 = 64;
/// Bytes of shared memory a tile may take.
const SHARED: i64 = 48 * 1024;

/// Reads statement number `stmt` of an entry.
///
/// # Errors
/// What cannot be lowered yet (F0999), located.
pub(super) fn lower(
    program: &Program,
    bound: &Bindings,
    tables: &BTreeMap<Handle<hir::Tensor>, Table>,
    entry: &hir::Entry,
    stmt: usize,
) -> Built<Move> {
    let assign = &entry.stmts[stmt];
    let reader = Reader { program, bound, assign };
    let (value, cast) = reader.value()?;
    let target = reader.place(assign.target, &assign.index)?;
    let vars = reader.vars()?;
    let asked = Asked::of(entry);
    let mut builder = Builder { program, tables, asked, target, value, vars, checked: Vec::new() };
    builder.supported(assign.span)?;
    let carrier = builder.carrier();
    let divided = builder.divided(carrier);
    let mut digits = builder.digits(carrier);
    let checks = builder.cut(carrier, &mut digits);
    builder.checked = builder.compared(carrier, &checks);
    builder.guard(&mut digits);
    let order = builder.order(&digits);
    let digits: Vec<MoveDigit> = order.into_iter().map(|i| digits[i].clone()).collect();
    let (shape, digits, why) = builder.shape(digits, cast);
    Ok(Move {
        stmt,
        text: assign.text.clone(),
        span: assign.span,
        cast,
        carrier,
        checks,
        shape,
        why,
        divided,
        digits,
        vars: builder.vars,
        target: builder.target,
        value: builder.value,
    })
}

/// The statement's text in numbers.
struct Reader<'a> {
    program: &'a Program,
    bound: &'a Bindings,
    assign: &'a hir::Assign,
}

impl Reader<'_> {
    fn value(&self) -> Built<(MoveValue, Option<hir::Elem>)> {
        let value = &self.assign.value;
        let (inner, cast) = match &value.kind {
            ExprKind::Cast(inner) => (&**inner, Some(value.ty)),
            _ => (value, None),
        };
        let out = match &inner.kind {
            ExprKind::Read { tensor, index } => MoveValue::Read(self.place(*tensor, index)?),
            ExprKind::Scalar(scalar) => MoveValue::Literal(*scalar),
            _ => MoveValue::Int(self.number(inner)?),
        };
        let to = self.program.tensors[self.assign.target].dtype.elem;
        let same =
            matches!(&out, MoveValue::Read(p) if self.program.tensors[p.tensor].dtype.elem == to);
        Ok((out, cast.filter(|_| !same)))
    }

    fn number(&self, e: &Expr) -> Built<Number> {
        match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Ok(Number::Lit(*v)),
            ExprKind::Size(size) => Ok(Number::Lit(self.size(size, e.span)?)),
            ExprKind::Var(v) => Ok(Number::Var(v.index())),
            ExprKind::Binary { op, lhs, rhs } => Ok(Number::Binary {
                op: *op,
                lhs: Box::new(self.number(lhs)?),
                rhs: Box::new(self.number(rhs)?),
            }),
            _ => Err(no(e.span, "this value")),
        }
    }

    fn place(&self, tensor: Handle<hir::Tensor>, index: &[Expr]) -> Built<Place> {
        let axes = &self.program.tensors[tensor].axes;
        let coords = index
            .iter()
            .zip(axes)
            .map(|(e, axis)| self.coordinate(e, &axis.extent))
            .collect::<Built<_>>()?;
        Ok(Place { tensor, coords })
    }

    fn coordinate(&self, e: &Expr, extent: &Extent) -> Built<Coordinate> {
        if let ExprKind::Read { tensor, index } = &e.kind {
            let limit = match extent {
                Extent::Fixed(size) => self.most(size, e.span)?,
                Extent::Counted { bound, .. } => self.size(bound, e.span)?,
                Extent::Ragged { .. } => return Err(no(e.span, "an index into a ragged axis")),
            };
            let Place { tensor, coords } = self.place(*tensor, index)?;
            return Ok(Coordinate::Gather { tensor, coords, limit });
        }
        let (mut terms, mut constant) = (BTreeMap::new(), 0);
        self.linear(e, 1, &mut terms, &mut constant)?;
        let terms = terms.into_iter().filter(|(_, c)| *c != 0).collect();
        Ok(Coordinate::Linear { terms, constant })
    }

    /// Adds `times * e`.
    fn linear(
        &self,
        e: &Expr,
        times: i64,
        terms: &mut BTreeMap<usize, i64>,
        constant: &mut i64,
    ) -> Built<()> {
        match &e.kind {
            ExprKind::Var(v) => *terms.entry(v.index()).or_default() += times,
            ExprKind::Scalar(Scalar::Int(v)) => *constant += times * v,
            ExprKind::Size(size) => *constant += times * self.size(size, e.span)?,
            ExprKind::Binary { op: hir::BinOp::Add, lhs, rhs } => {
                self.linear(lhs, times, terms, constant)?;
                self.linear(rhs, times, terms, constant)?;
            }
            ExprKind::Binary { op: hir::BinOp::Mul, lhs, rhs } => {
                let (factor, rest) = match (self.constant(lhs), self.constant(rhs)) {
                    (Some(n), _) => (n, rhs),
                    (_, Some(n)) => (n, lhs),
                    _ => return Err(no(e.span, "a product of variables in an index")),
                };
                self.linear(rest, times * factor, terms, constant)?;
            }
            _ => return Err(no(e.span, "this index")),
        }
        Ok(())
    }

    fn constant(&self, e: &Expr) -> Option<i64> {
        match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Some(*v),
            ExprKind::Size(size) => self.program.eval(size, self.bound),
            ExprKind::Binary { op, lhs, rhs } => op.apply(self.constant(lhs)?, self.constant(rhs)?),
            _ => None,
        }
    }

    fn vars(&self) -> Built<Vec<MoveVar>> {
        let one = |var: &hir::Var| {
            let (extent, live) = match &var.extent {
                VarExtent::Fixed(size) => match self.program.eval(size, self.bound) {
                    Some(n) => (n, Live::Known),
                    None => (self.most(size, self.assign.span)?, Live::Size(size.clone())),
                },
                VarExtent::Counted { rows, bound } => {
                    (self.size(bound, self.assign.span)?, Live::Size(rows.clone()))
                }
                VarExtent::Ragged(_) => {
                    return Err(no(self.assign.span, "a routed slot without `via`"));
                }
            };
            let guarded = matches!(live, Live::Size(_));
            Ok(MoveVar { name: var.name.clone(), extent: extent.max(1), live, guarded })
        };
        self.assign.vars.iter().map(|(_, v)| one(v)).collect()
    }

    /// A size with every `dyn` at its bound.
    fn most(&self, size: &Size, span: Span) -> Built<i64> {
        match size {
            Size::Dyn { of, .. } => self.size(&self.program.dyns[*of].bound, span),
            Size::Binary { op, lhs, rhs } => op
                .apply(self.most(lhs, span)?, self.most(rhs, span)?)
                .ok_or_else(|| no(span, "this size")),
            size => self.size(size, span),
        }
    }

    fn size(&self, size: &Size, span: Span) -> Built<i64> {
        self.program.eval(size, self.bound).ok_or_else(|| no(span, "a size not known at bind"))
    }
}

/// What the entry's `schedule` says about movements.
#[derive(Default)]
struct Asked {
    carrier: Option<Side>,
    tile: Vec<(String, i64)>,
}

impl Asked {
    fn of(entry: &hir::Entry) -> Asked {
        let mut asked = Asked::default();
        for directive in entry.schedules.iter().flat_map(|s| &s.directives) {
            match &directive.kind {
                hir::DirectiveKind::Push => asked.carrier = Some(Side::Source),
                hir::DirectiveKind::Pull => asked.carrier = Some(Side::Target),
                hir::DirectiveKind::Tile(sizes) => asked.tile.clone_from(sizes),
                _ => {}
            }
        }
        asked
    }
}

struct Builder<'a> {
    program: &'a Program,
    tables: &'a BTreeMap<Handle<hir::Tensor>, Table>,
    asked: Asked,
    target: Place,
    value: MoveValue,
    vars: Vec<MoveVar>,
    /// Variables that a comparison other than with their own extent reads: it differs from one value to
    /// the next, so an access covers one value.
    checked: Vec<usize>,
}

impl Builder<'_> {
    fn source(&self) -> Option<&Place> {
        match &self.value {
            MoveValue::Read(place) => Some(place),
            _ => None,
        }
    }

    fn table(&self, place: &Place) -> &Table {
        &self.tables[&place.tensor]
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        [Some(&self.target), self.source()].into_iter().flatten()
    }

    fn supported(&self, span: Span) -> Built<()> {
        let routed =
            |p: &Place| self.table(p).digits.iter().any(|d| matches!(d.home, Home::Group { .. }));
        let ragged = |p: &Place| {
            self.program.tensors[p.tensor]
                .axes
                .iter()
                .any(|a| matches!(a.extent, Extent::Ragged { .. }))
        };
        match self.places().any(|p| routed(p) || ragged(p)) {
            true => Err(no(span, "a move of routed rows without `via`")),
            false => Ok(()),
        }
    }

    /// Push by default: writes to a peer stream, reads from one wait. Sums, replicas of the source and
    /// table-dealt sources are fetched.
    fn carrier(&self) -> Side {
        let Some(source) = self.source() else { return Side::Target };
        let (from, to) = (self.table(source), self.table(&self.target));
        let sums = from.spread.iter().any(|s| s.kind == SpreadKind::Sum);
        // A rank of the mesh that holds the copies has one of its own.
        let copied = from.spread.iter().any(|s| s.kind == SpreadKind::Copy);
        let at_hand = copied && (from.first, from.ranks) == (to.first, to.ranks);
        if sums || at_hand {
            return Side::Target;
        }
        if let Some(asked) = self.asked.carrier {
            return asked;
        }
        if !from.maps.is_empty() && to.maps.is_empty() { Side::Target } else { Side::Source }
    }

    fn carried(&self, carrier: Side) -> &Place {
        match (carrier, self.source()) {
            (Side::Source, Some(source)) => source,
            _ => &self.target,
        }
    }

    /// The refinement of each variable, major digit first.
    fn digits(&self, carrier: Side) -> Vec<MoveDigit> {
        let mut out = Vec::new();
        for (var, info) in self.vars.iter().enumerate() {
            let mut cuts = chain(&self.boundaries(self.carried(carrier), var), info.extent);
            let others: Vec<i64> = self
                .places()
                .flat_map(|p| self.boundaries(p, var))
                .filter(|w| *w < info.extent)
                .collect();
            let common = others.iter().copied().fold(0, gcd);
            for w in std::iter::once(common).chain(others.iter().copied()) {
                insert(&mut cuts, w, info.extent);
            }
            // Where the extent ends inside a digit, what lies below the end is still whole.
            let lowest = cuts.first().copied().unwrap_or(info.extent);
            insert(&mut cuts, gcd(lowest, info.extent), info.extent);
            let mut above = info.extent;
            for w in cuts.iter().rev().copied().chain([1]) {
                out.push(MoveDigit { var, weight: w, radix: (above + w - 1) / w, cut: None });
                above = w;
            }
        }
        out
    }

    /// The first boundaries that do not form a chain.
    fn divided(&self, carrier: Side) -> Option<(usize, i64, i64)> {
        (0..self.vars.len()).find_map(|var| {
            let own = chain(&self.boundaries(self.carried(carrier), var), self.vars[var].extent);
            let all = self.places().flat_map(|p| self.boundaries(p, var));
            let mut inside = all.filter(|w| *w < self.vars[var].extent);
            let odd = |w: &i64| own.iter().find(|c| *c % w != 0 && w % *c != 0).map(|c| (*c, *w));
            inside.find_map(|w| odd(&w)).map(|(a, b)| (var, a, b))
        })
    }

    /// Weights at which a table's digits cut a variable of the place.
    fn boundaries(&self, place: &Place, var: usize) -> Vec<i64> {
        let table = self.table(place);
        let mut out = Vec::new();
        for (axis, coordinate) in place.coords.iter().enumerate() {
            let Coordinate::Linear { terms, .. } = coordinate else { continue };
            if table.maps.contains_key(&axis) {
                continue;
            }
            for (_, coefficient) in terms.iter().filter(|(v, _)| *v == var) {
                let digits = table.digits.iter().filter(|d| d.axis == axis);
                out.extend(
                    digits
                        .filter(|d| d.weight % coefficient == 0)
                        .map(|d| d.weight / coefficient)
                        .filter(|w| *w > 1),
                );
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Digits of the carrier's mesh are decided by the rank. Returns the (axis, table digit) pairs that
    /// must be compared instead.
    fn cut(&mut self, carrier: Side, digits: &mut [MoveDigit]) -> Vec<(usize, usize)> {
        let place = self.carried(carrier).clone();
        let table = self.table(&place).clone();
        let mut checks = Vec::new();
        for (at, row) in table.digits.iter().enumerate() {
            let Home::Mesh { weight, .. } = row.home else {
                if row.home == Home::Owner {
                    checks.push((row.axis, at));
                }
                continue;
            };
            let top = table.is_top(row);
            let pieces = place.coords[row.axis].terms(digits).and_then(|(terms, constant)| {
                (constant == 0).then(|| piece(&terms, 0, digits, row, top)).flatten()
            });
            let exact = |p: &super::Terms| {
                p.iter().all(|(d, _)| digits[*d].cut.is_none())
                    && (top
                        || p.iter().map(|(d, _)| digits[*d].radix).product::<i64>()
                            == row.radix.bound())
            };
            let Some(mine) = pieces.filter(exact) else {
                checks.push((row.axis, at));
                continue;
            };
            let highest = mine.iter().max_by_key(|(_, below)| *below).map(|(d, _)| *d);
            for (d, below) in &mine {
                let is_top = top && Some(*d) == highest;
                digits[*d].cut =
                    Some(Cut { weight, size: row.radix.bound(), below: *below, top: is_top });
                if is_top && row.radix.bound() * row.weight > self.vars[digits[*d].var].extent {
                    self.vars[digits[*d].var].guarded = true;
                }
            }
            if mine.is_empty() {
                checks.push((row.axis, at));
            }
        }
        checks
    }

    /// Variables that the carrier's comparisons, or another variable's length, read.
    fn compared(&self, carrier: Side, checks: &[(usize, usize)]) -> Vec<usize> {
        let place = self.carried(carrier);
        let by_check = |v: &usize| checks.iter().any(|(axis, _)| place.coords[*axis].mentions(*v));
        let by_length = |v: &usize| {
            self.vars.iter().any(|x| matches!(&x.live, Live::Size(size) if reads(size, *v)))
        };
        (0..self.vars.len()).filter(|v| by_check(v) || by_length(v)).collect()
    }

    fn guard(&mut self, digits: &mut [MoveDigit]) {
        for (i, var) in self.vars.iter_mut().enumerate() {
            let points: i64 = digits.iter().filter(|d| d.var == i).map(|d| d.radix).product();
            var.guarded |= points != var.extent;
        }
    }

    /// Loops in the order of the target's memory, the smallest step last; digits of the rank first.
    fn order(&self, digits: &[MoveDigit]) -> Vec<usize> {
        let table = self.table(&self.target);
        let key = |i: &usize| match step(table, &self.target, digits, *i) {
            _ if digits[*i].cut.is_some() => (0, 0),
            Step::Rank | Step::Memory(0) => (1, 0),
            Step::Other => (2, 0),
            Step::Memory(stride) => (3, -stride),
        };
        let mut order: Vec<usize> = (0..digits.len()).collect();
        order.sort_by_key(key);
        order
    }

    fn shape(
        &self,
        digits: Vec<MoveDigit>,
        cast: Option<hir::Elem>,
    ) -> (Shape, Vec<MoveDigit>, String) {
        let Some(source) = self.source() else {
            return (Shape::Rows { run: 1, vector: 1, digits: 0 }, digits, String::new());
        };
        let (from, to) = (self.table(source).clone(), self.table(&self.target).clone());
        let steps: Vec<(Step, Step)> = (0..digits.len())
            .map(|i| (step(&from, source, &digits, i), step(&to, &self.target, &digits, i)))
            .collect();
        let (run, taken, why) = self.run(&digits, &steps);
        let bytes = self.bytes(source, cast);
        let vector = self.vector(
            run,
            &digits,
            &steps,
            &(0..digits.len()).rev().take(taken).collect::<Vec<_>>(),
        );
        let vector = vector.min(16 / bytes).max(1);
        if run * bytes < LONG_RUN
            && let Some(tile) = self.tile(&digits, &steps, bytes)
        {
            return (Shape::Tile(tile), digits, why);
        }
        (Shape::Rows { run, vector, digits: taken }, digits, why)
    }

    /// Bytes of the wider of the two element types.
    fn bytes(&self, source: &Place, cast: Option<hir::Elem>) -> i64 {
        let from = self.program.tensors[source.tensor].dtype.elem.bytes();
        let to = self.program.tensors[self.target.tensor].dtype.elem.bytes();
        from.max(to).max(cast.map_or(1, hir::Elem::bytes))
    }

    /// The product of the last digits that both sides step through without a gap.
    fn run(&self, digits: &[MoveDigit], steps: &[(Step, Step)]) -> (i64, usize, String) {
        let (mut run, mut taken) = (1i64, 0);
        for (i, digit) in digits.iter().enumerate().rev() {
            let name = &self.vars[digit.var].name;
            let reason = if digit.cut.is_some() {
                format!("`{name}` is split over ranks beyond it")
            } else if steps[i] != (Step::Memory(run), Step::Memory(run)) {
                format!(
                    "`{name}` steps by {} in the source, {} in the target",
                    show(steps[i].0),
                    show(steps[i].1)
                )
            } else if !self.whole(digit) {
                format!("`{name}` ends inside a block")
            } else {
                run *= digit.radix;
                taken += 1;
                continue;
            };
            return (run, taken, reason);
        }
        (run, taken, "it is all of the movement".to_string())
    }

    /// Whether the variable's end does not cut the digit.
    fn whole(&self, digit: &MoveDigit) -> bool {
        let var = &self.vars[digit.var];
        matches!(var.live, Live::Known)
            && !self.checked.contains(&digit.var)
            && var.extent % (digit.weight * digit.radix) == 0
    }

    /// Elements of the widest access: a power of two that divides the run and every other step.
    fn vector(
        &self,
        run: i64,
        digits: &[MoveDigit],
        steps: &[(Step, Step)],
        inside: &[usize],
    ) -> i64 {
        let mut unit = run;
        for (i, (from, to)) in steps.iter().enumerate() {
            if inside.contains(&i) {
                continue;
            }
            for (side, step) in [(self.source(), from), (Some(&self.target), to)] {
                unit = gcd(
                    unit,
                    match step {
                        Step::Memory(stride) => *stride,
                        Step::Rank => 0,
                        Step::Other => side.map_or(1, |p| self.other_steps(p, digits[i].var)),
                    },
                );
            }
        }
        for place in self.places() {
            unit = gcd(unit, self.fixed_offset(place));
        }
        1 << unit.trailing_zeros().min(5)
    }

    /// What every offset of a variable's divided, mapped or counted digits is a multiple of.
    fn other_steps(&self, place: &Place, var: usize) -> i64 {
        let table = self.table(place);
        let mut unit = 0;
        for digit in &table.digits {
            let reads = match &place.coords[digit.axis] {
                Coordinate::Linear { terms, .. } => terms.iter().any(|(v, _)| *v == var),
                Coordinate::Gather { .. } => true,
            };
            unit = gcd(
                unit,
                match digit.home {
                    Home::Memory { stride } if reads => stride,
                    Home::Rows { stride } => {
                        stride * table.counted.as_ref().map_or(1, |c| c.align).max(1)
                    }
                    _ => 0,
                },
            );
        }
        unit
    }

    /// The offset that constants in the indices add.
    fn fixed_offset(&self, place: &Place) -> i64 {
        let table = self.table(place);
        let mut unit = 0;
        for (axis, coordinate) in place.coords.iter().enumerate() {
            if matches!(coordinate, Coordinate::Linear { constant, .. } if *constant != 0) {
                let strides =
                    table.digits.iter().filter(|d| d.axis == axis).map(|d| match d.home {
                        Home::Memory { stride } | Home::Rows { stride } => stride,
                        _ => 0,
                    });
                unit = strides.fold(unit, gcd);
            }
        }
        unit
    }

    /// A tile if each side is contiguous along a digit of its own.
    fn tile(&self, digits: &[MoveDigit], steps: &[(Step, Step)], bytes: i64) -> Option<TileShape> {
        let minor = |pick: fn(&(Step, Step)) -> Step| {
            (0..digits.len()).rev().find(|i| {
                digits[*i].cut.is_none()
                    && digits[*i].radix > 1
                    && pick(&steps[*i]) == Step::Memory(1)
            })
        };
        let (source, target) = (minor(|s| s.0)?, minor(|s| s.1)?);
        let summed = self
            .source()
            .is_some_and(|p| self.table(p).spread.iter().any(|s| s.kind == SpreadKind::Sum));
        if source == target || summed || digits[source].radix.min(digits[target].radix) < 4 {
            return None;
        }
        let size = |i: usize| {
            let name = &self.vars[digits[i].var].name;
            let asked = self.asked.tile.iter().find(|(n, _)| n == name).map(|t| t.1);
            let most = asked.unwrap_or(TILE).clamp(1, 256);
            let fit = (digits[i].radix as u64).next_power_of_two() as i64;
            fit.min((most as u64).next_power_of_two() as i64).max(16)
        };
        let (mut s, mut t) = (size(source), size(target));
        while s * t * bytes > SHARED && s.max(t) > 16 {
            *(if s > t { &mut s } else { &mut t }) /= 2;
        }
        let access = |i: usize, pick: fn(&(Step, Step)) -> Step, extent: i64| {
            let others = steps.iter().enumerate().filter(|(j, _)| *j != i);
            let unit = others.fold(extent, |unit, (j, step)| match pick(step) {
                Step::Memory(stride) => gcd(unit, stride),
                Step::Rank => unit,
                Step::Other => {
                    self.places().fold(unit, |u, p| gcd(u, self.other_steps(p, digits[j].var)))
                }
            });
            let unit = gcd(unit, digits[i].radix);
            let var = &self.vars[digits[i].var];
            let unit = match var.live {
                _ if self.checked.contains(&digits[i].var) => 1,
                Live::Known if var.guarded && var.extent % digits[i].weight == 0 => {
                    gcd(unit, var.extent / digits[i].weight)
                }
                Live::Known if var.guarded => 1,
                Live::Known => unit,
                Live::Size(_) => 1,
            };
            let unit = self.places().fold(unit, |u, p| gcd(u, self.fixed_offset(p)));
            (1i64 << unit.trailing_zeros()).min(16 / bytes).max(1)
        };
        let shape = TileShape {
            source: (source, s, access(source, |p| p.0, s)),
            target: (target, t, access(target, |p| p.1, t)),
        };
        Some(shape)
    }
}

/// Whether a size reads the coordinate of a variable.
fn reads(size: &Size, var: usize) -> bool {
    match size {
        Size::Coord(i) => *i == var,
        Size::Dyn { index, .. } | Size::Read { index, .. } => index.iter().any(|s| reads(s, var)),
        Size::Binary { lhs, rhs, .. } => reads(lhs, var) || reads(rhs, var),
        Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => false,
    }
}

/// Boundaries that divide each other, smallest first.
fn chain(boundaries: &[i64], extent: i64) -> Vec<i64> {
    let mut out = Vec::new();
    boundaries.iter().for_each(|w| insert(&mut out, *w, extent));
    out
}

/// Adds a boundary if it divides, or is divided by, all others.
fn insert(cuts: &mut Vec<i64>, w: i64, extent: i64) {
    let fits = w > 1 && w < extent && cuts.iter().all(|c| c % w == 0 || w % c == 0);
    if fits && !cuts.contains(&w) {
        cuts.push(w);
        cuts.sort_unstable();
    }
}

pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

fn show(step: Step) -> String {
    match step {
        Step::Memory(n) => n.to_string(),
        Step::Rank => "a rank".to_string(),
        Step::Other => "a table or a division".to_string(),
    }
}

fn no(span: Span, what: &str) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error("F0999", span, format!("not supported yet: {what}"))
            .help("rewrite the program without it, or wait for a later version"),
    )
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
