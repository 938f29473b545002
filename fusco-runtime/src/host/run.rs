//! The interpreter of resolved kernels: one rank, one CTA, ops in order.

use super::access::At;
use super::code::{Code, Fold, Kept, Parts, RouteStep, Source, Term, Tree};
use super::index::take_wild;
use super::number::{int_bits, load, store};
use super::pending::Pending;
use super::plan::HostPlan;
use super::reduce::{self, Addend, Computed, Operand};
use super::tile::Stage;
use super::wait::Watch;
use super::wide::Wide;
use super::{cast, copy};
use crate::error::Error;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{IxOp, Signal};
use fusco_dsl::sema::hir::{Elem, Reducer};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::*;

/// Why a rank stopped.
pub(crate) enum Stop {
    Error(Error),
    /// Another rank failed; its error is the one to tell.
    Aborted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// The state of one rank inside a kernel.
pub(crate) struct Runner<'a> {
    me: usize,
    /// The launch's number.
    launch: u64,
    pub(super) vars: Vec<i64>,
    /// Rows "in registers": where they were loaded from. Nothing writes a source between a load and its last use.
    rows: Vec<Loaded>,
    addends: Vec<Addend>,
    /// Elements of the shortest row among the addends.
    shortest: usize,
    pending: Pending,
    /// How much longer than it says each access is: the points of a strip done at once.
    scale: usize,
    /// Rows that are not contiguous in memory, put together; the first `used` are in use.
    scratch: Vec<Vec<u8>>,
    used: usize,
    /// Made by the first tile.
    pub(super) stage: Option<Box<Stage>>,
    pub(super) watch: Watch<'a>,
}

/// A row "in registers".
#[derive(Clone, Copy)]
pub(super) struct Loaded {
    at: *const u8,
    bytes: usize,
    elem: Elem,
}

impl<'a> Runner<'a> {
    /// `vars`: number of loop variables of the schedule.
    pub(crate) fn new(me: usize, launch: u64, vars: usize, watch: Watch<'a>) -> Self {
        // One variable more than the schedule has: `Target::Groups` binds it.
        Runner {
            me,
            launch,
            vars: vec![0; vars + 1],
            rows: Vec::new(),
            addends: Vec::new(),
            shortest: usize::MAX,
            pending: Pending::default(),
            scale: 1,
            scratch: Vec::new(),
            used: 0,
            stage: None,
            watch,
        }
    }

    pub(crate) fn kernel(&mut self, code: &[Code]) -> Result<(), Stop> {
        self.body(code)?;
        self.flush();
        copy::fence();
        Ok(())
    }

    /// An index that data led astray is told when the op that met it ends.
    fn tame(&self) -> Result<(), Stop> {
        take_wild().map_or(Ok(()), |message| Err(Stop::Error(Error::OutOfRange(message))))
    }

    fn body(&mut self, code: &[Code]) -> Result<(), Stop> {
        code.iter().try_for_each(|op| self.op(op))
    }

    fn op(&mut self, op: &Code) -> Result<(), Stop> {
        match op {
            Code::Tokens { var, extent, chunk, body } => {
                self.tokens(*var, extent.get(&self.vars), *chunk, body)
            }
            Code::Peers { rank, peers, body } => peers.iter().try_for_each(|peer| {
                self.vars[*rank] = *peer;
                self.body(body)
            }),
            Code::Each { tuples, first, parts, body } => {
                self.each(tuples, (*first, parts.as_ref()), body)
            }
            Code::Groups { var, groups, body } => groups.list().iter().try_for_each(|g| {
                self.vars[*var] = *g;
                self.body(body)
            }),
            Code::Padding { live, group, slot, until, groups, body } => {
                groups.list().iter().try_for_each(|g| {
                    self.vars[*group] = *g;
                    let (from, to) = (live.get(&self.vars), until.get(&self.vars));
                    (from..to).try_for_each(|s| {
                        self.vars[*slot] = s;
                        self.body(body)
                    })
                })
            }
            Code::Once { body } => self.body(body),
            Code::Summed { body } if self.addends.is_empty() => Ok(()),
            Code::Summed { body } => self.body(body),
            Code::If { guards, body } => match guards.iter().all(|g| g.holds(&self.vars)) {
                true => self.body(body),
                false => Ok(()),
            },
            Code::Grid(grid) => grid.run(self).and(self.tame()),
            Code::Tile(tile) => tile.run(self).and(self.tame()),
            Code::For { var, extent, body } => (0..*extent).try_for_each(|v| {
                self.vars[*var] = v;
                self.body(body)
            }),
            Code::FillAll { buffer, bits } => self.fill(buffer, *bits),
            Code::Prefix(prefix) => {
                prefix.run(&mut self.vars);
                self.tame()
            }
            Code::Positions(positions) => {
                positions.run(&mut self.vars);
                self.tame()
            }
            Code::Claim(claims) => {
                claims.claim(&mut self.vars);
                self.tame()
            }
            Code::Distinct(claims) => {
                claims.compare(&mut self.vars).map_err(Stop::Error)?;
                self.tame()
            }
            Code::Route { step, route } => {
                match step {
                    RouteStep::Count => route.count()?,
                    RouteStep::Scan => route.scan(),
                    RouteStep::Tables => route.tables()?,
                    RouteStep::Slots => route.slots()?,
                }
                Ok(())
            }
            Code::Load { row, from } => self.load(*row, from),
            Code::Put { value, to } => self.put(value, to),
            Code::Fill { to, bits } => self.fill(to, *bits),
            Code::Reduce { factors } => self.reduce(factors),
            Code::Reset { plan, signal } => self.reset(plan, *signal),
            Code::Signal { plan, signal, to, slot } => {
                let to = to.as_ref().map(|to| to.get(&self.vars));
                self.signal(plan, *signal, to, slot.get(&self.vars))
            }
            Code::Wait { plan, signal, name, until } => {
                self.flush();
                self.watch.wait(&mut self.vars, plan.ranks[self.me].counters(*signal), name, until)
            }
        }
    }

    fn tokens(&mut self, var: usize, extent: i64, chunk: i64, body: &[Code]) -> Result<(), Stop> {
        for position in 0..extent {
            self.vars[var] = position;
            self.begin(1);
            self.body(body)?;
            if chunk > 0 && (position + 1) % chunk == 0 {
                self.flush();
                self.watch.check()?;
            }
        }
        self.flush();
        Ok(())
    }

    fn each(
        &mut self,
        tuples: &Kept,
        (first, parts): (bool, Option<&Parts>),
        body: &[Code],
    ) -> Result<(), Stop> {
        self.addends.clear();
        self.shortest = usize::MAX;
        let (mut ordered, mut seen) = (Vec::new(), Vec::new());
        for k in 0..tuples.fan {
            let kept = self.bind(tuples, k);
            let number = tuples.once.as_ref().filter(|_| kept).map(|once| once.get(&self.vars));
            let again = number.is_some_and(|n| seen.contains(&n));
            seen.extend(number);
            if kept && !again {
                self.body(body)?;
                if let Some(parts) = parts {
                    let part = parts.of.get(&self.vars);
                    ordered.extend(self.addends.drain(..).map(|addend| (part, addend)));
                }
                if first {
                    break;
                }
            }
        }
        if let Some(parts) = parts {
            // Stable: in a part they stay as they are.
            ordered.sort_by_key(|(part, _)| *part);
            for (i, (part, addend)) in ordered.iter().enumerate() {
                let last = ordered.get(i + 1).is_none_or(|(next, _)| next != part);
                let closes = last.then_some(parts.partial);
                self.addends.push(Addend { closes, ..*addend });
            }
        }
        Ok(())
    }

    /// Whether the tuple is kept; then its variables have its values.
    fn bind(&mut self, tuples: &Kept, k: i64) -> bool {
        let number = tuples.position.get(&self.vars) * tuples.fan + k;
        let rank = tuples.rank.get(&self.vars);
        let space = usize::try_from(rank).ok().and_then(|r| tuples.plan.ranks.get(r));
        let pair = space.and_then(|space| space.pair(number as usize));
        if let Some((group, slot)) = pair {
            self.vars[tuples.k] = k;
            self.vars[tuples.group] = group;
            self.vars[tuples.slot] = slot;
        }
        pair.is_some() && tuples.only.iter().all(|only| only.holds(&self.vars))
    }

    /// A body whose sums begin anew, on accesses `scale` times as long.
    pub(super) fn point(&mut self, code: &[Code], scale: usize) -> Result<(), Stop> {
        self.begin(scale);
        self.addends.clear();
        self.shortest = usize::MAX;
        let ended = self.body(code);
        self.scale = 1;
        ended
    }

    /// Forgets the rows put together so far.
    pub(super) fn begin(&mut self, scale: usize) {
        self.used = 0;
        self.scale = scale;
    }

    fn load(&mut self, row: usize, from: &At) -> Result<(), Stop> {
        let loaded = self.read(from)?;
        if self.rows.len() <= row {
            self.rows.resize(row + 1, loaded);
        }
        self.rows[row] = loaded;
        Ok(())
    }

    pub(super) fn read(&mut self, from: &At) -> Result<Loaded, Stop> {
        let bytes = from.bytes * self.scale;
        let at = match from.swizzle {
            None => from.locate_run(&self.vars, self.scale)?.cast_const(),
            Some(_) => self.gather(from, bytes)?,
        };
        Ok(Loaded { at, bytes, elem: from.elem })
    }

    /// A swizzled row, its pieces in order. It lives until the next `begin`.
    fn gather(&mut self, from: &At, bytes: usize) -> Result<*const u8, Stop> {
        let row = self.spare(bytes);
        let (rank, start) = from.place(&self.vars);
        from.pieces(rank, start, bytes, |at, piece, len| {
            // SAFETY: `pieces` checks each; `row` has `bytes` bytes.
            unsafe { std::ptr::copy_nonoverlapping(piece, row.add(at), len) }
        })?;
        Ok(row)
    }

    fn spare(&mut self, bytes: usize) -> *mut u8 {
        if self.scratch.len() <= self.used {
            self.scratch.push(Vec::new());
        }
        let row = &mut self.scratch[self.used];
        self.used += 1;
        if row.len() < bytes {
            row.resize(bytes, 0);
        }
        row.as_mut_ptr()
    }

    /// Where to write the target's bytes; a swizzled target gets them by [`Self::scatter`].
    fn target(&mut self, to: &At) -> Result<*mut u8, Stop> {
        match to.swizzle {
            None => Ok(to.locate_run(&self.vars, self.scale)?),
            Some(_) => Ok(self.spare(to.bytes * self.scale)),
        }
    }

    fn scatter(&self, row: *const u8, bytes: usize, to: &At) -> Result<(), Stop> {
        if to.swizzle.is_none() {
            return Ok(());
        }
        let (rank, start) = to.place(&self.vars);
        to.pieces(rank, start, bytes, |at, piece, len| {
            // SAFETY: `pieces` checks each; `row` has `bytes` bytes.
            unsafe { std::ptr::copy_nonoverlapping(row.add(at), piece, len) }
        })?;
        Ok(())
    }

    fn put(&mut self, value: &Source, to: &At) -> Result<(), Stop> {
        match value {
            Source::Row(row) => self.write_row(self.rows[*row], to),
            Source::Cast(row) => self.write_cast(self.rows[*row], to),
            Source::Int(number) => self.write_bits(int_bits(to.elem, number.get(&self.vars)), to),
            Source::Scaled(factors, elem) => {
                let (addend, shortest) = self.addend(factors)?;
                let at = self.target(to)?;
                let width = elem.bytes() as usize;
                let run = (to.bytes * self.scale / width).min(shortest);
                // SAFETY: `at` has `run` elements; no row of the product is shorter.
                unsafe { reduce::scale(&addend, run, *elem, at) }
                self.scatter(at, run * width, to)
            }
            Source::Sum(elem) => {
                let at = self.target(to)?;
                let run = to.bytes * self.scale / elem.bytes() as usize;
                let run = run.min(self.shortest);
                let large = to.large && to.swizzle.is_none();
                // SAFETY: `at` has `run` elements; no addend's row is shorter.
                unsafe { reduce::sum(&self.addends, run, *elem, at, large) }
                self.scatter(at, run * elem.bytes() as usize, to)
            }
            Source::Computed { value, number, to: elem } => {
                let run = to.bytes * self.scale / elem.bytes() as usize;
                match number {
                    Elem::I64 => {
                        let values: Vec<i64> = self.wide(value, run)?;
                        self.write_wide(&values, *elem, to)
                    }
                    Elem::F64 => {
                        let values: Vec<f64> = self.wide(value, run)?;
                        self.write_wide(&values, *elem, to)
                    }
                    _ => self.write_computed(value, (run, *elem), to),
                }
            }
        }
    }

    fn write_computed(
        &mut self,
        tree: &Tree,
        (run, elem): (usize, Elem),
        to: &At,
    ) -> Result<(), Stop> {
        let (value, shortest) = self.computed(tree, run)?;
        let at = self.target(to)?;
        let run = run.min(self.shortest).min(shortest);
        // SAFETY: as for a sum; no row of the arithmetic is shorter.
        unsafe { reduce::computed(&self.addends, &value, run, elem, at) }
        self.scatter(at, run * elem.bytes() as usize, to)
    }

    fn write_wide<W: Wide>(&mut self, values: &[W], elem: Elem, to: &At) -> Result<(), Stop> {
        let (at, width) = (self.target(to)?, elem.bytes() as usize);
        for (i, value) in values.iter().enumerate() {
            // SAFETY: `at` has an element for each value.
            unsafe { store(at.add(i * width), elem, value.bits(elem)) }
        }
        self.scatter(at, values.len() * width, to)
    }

    pub(super) fn write_row(&mut self, row: Loaded, to: &At) -> Result<(), Stop> {
        let bytes = row.bytes.min(to.bytes * self.scale);
        if to.swizzle.is_some() {
            return self.scatter(row.at, bytes, to);
        }
        let at = self.target(to)?;
        // SAFETY: both ranges were checked; a load's source is never the target of a put: an entry does not read
        // its own outputs, and a launch whose tensors share memory that it writes is refused.
        unsafe { copy::row(row.at, at, bytes, to.large) }
        Ok(())
    }

    pub(super) fn write_cast(&mut self, row: Loaded, to: &At) -> Result<(), Stop> {
        let width = to.elem.bytes() as usize;
        let count = (row.bytes / row.elem.bytes() as usize).min(to.bytes * self.scale / width);
        let at = self.target(to)?;
        // SAFETY: both have `count` elements, and do not overlap as above.
        unsafe { cast::row((row.at, row.elem), (at, to.elem), count) }
        self.scatter(at, count * width, to)
    }

    pub(super) fn write_bits(&mut self, bits: u64, to: &At) -> Result<(), Stop> {
        let bytes = to.bytes * self.scale;
        let at = self.target(to)?;
        // SAFETY: `target` gives that many bytes.
        unsafe { copy::fill(at, bytes, bits, to.elem.bytes() as usize) }
        self.scatter(at, bytes, to)
    }

    fn fill(&mut self, to: &At, bits: u64) -> Result<(), Stop> {
        self.begin(1);
        self.write_bits(bits, to)
    }

    /// Notes the term; the sum is made when it is stored, element by element in the same order.
    fn reduce(&mut self, factors: &[Term]) -> Result<(), Stop> {
        let (addend, shortest) = self.addend(factors)?;
        self.shortest = self.shortest.min(shortest);
        self.addends.push(addend);
        Ok(())
    }

    /// Arithmetic with its rows found and its reductions made, of `run` elements, and the elements of its shortest
    /// row.
    fn computed(&mut self, tree: &Tree, run: usize) -> Result<(Computed, usize), Stop> {
        Ok(match tree {
            Tree::Sum => (Computed::Sum, usize::MAX),
            Tree::Scalar(at) => (Computed::Operand(Operand::Number(self.scalar(at)?)), usize::MAX),
            Tree::Lit(v) => (Computed::Operand(Operand::Number(*v as f32)), usize::MAX),
            Tree::Row(at) => {
                let row = self.read(at)?;
                let elements = row.bytes / at.elem.bytes() as usize;
                (Computed::Operand(Operand::Row(row.at, at.elem)), elements)
            }
            Tree::Binary(op, lhs, rhs) => {
                let ((lhs, a), (rhs, b)) = (self.computed(lhs, run)?, self.computed(rhs, run)?);
                (Computed::Binary(*op, Box::new(lhs), Box::new(rhs)), a.min(b))
            }
            Tree::Cast { to, number, of } => {
                let (value, shortest) = match (&**of, number) {
                    // An operand is read as f32, whatever it is.
                    (Tree::Row(_) | Tree::Scalar(_), _) | (_, Elem::F32) => {
                        self.computed(of, run)?
                    }
                    (_, Elem::F64) => {
                        let values: Vec<f64> = self.wide(of, run)?;
                        (Computed::Values(values.iter().map(|v| *v as f32).collect()), usize::MAX)
                    }
                    _ => {
                        let values: Vec<i64> = self.wide(of, run)?;
                        (Computed::Values(values.iter().map(|v| *v as f32).collect()), usize::MAX)
                    }
                };
                match to {
                    Elem::F32 => (value, shortest),
                    _ => (Computed::Rounded(*to, Box::new(value)), shortest),
                }
            }
            Tree::Fold(fold) if fold.parts.is_some() => self.folded_in_parts(fold, run)?,
            Tree::Fold(fold) => {
                let mut acc = vec![fold.start as f32; run];
                let mut shortest = usize::MAX;
                self.terms(fold, 0, &mut |runner| {
                    let (term, elements) = runner.computed(&fold.term, run)?;
                    let run = run.min(elements);
                    // SAFETY: no row of the term is shorter.
                    unsafe { reduce::fold(fold.by, &term, &mut acc[..run]) }
                    shortest = shortest.min(run);
                    Ok(())
                })?;
                (Computed::Values(acc), shortest)
            }
        })
    }

    /// What the parts of a sum add up to.
    fn folded_in_parts(&mut self, fold: &Fold, run: usize) -> Result<(Computed, usize), Stop> {
        let Some(parts) = &fold.parts else { return Ok((Computed::Sum, usize::MAX)) };
        let mut sums: BTreeMap<i64, Vec<f32>> = BTreeMap::new();
        let mut shortest = usize::MAX;
        self.terms(fold, 0, &mut |runner| {
            let (term, elements) = runner.computed(&fold.term, run)?;
            let run = run.min(elements);
            let part = parts.of.get(&runner.vars);
            let acc = sums.entry(part).or_insert_with(|| vec![0.0; run]);
            // SAFETY: no row of the term is shorter.
            unsafe { reduce::fold(fold.by, &term, acc) }
            shortest = shortest.min(run);
            Ok(())
        })?;
        let mut total = vec![0.0; run];
        sums.values().for_each(|part| reduce::close(parts.partial, part, &mut total));
        Ok((Computed::Values(total), shortest))
    }

    /// The terms of a reduction, from loop number `depth` on. Rows that are put together for a term are free after it.
    fn terms(
        &mut self,
        fold: &Fold,
        depth: usize,
        visit: &mut dyn FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let Some((var, extent)) = fold.vars.get(depth) else {
            if fold.guards.iter().all(|g| g.holds(&self.vars)) {
                let used = self.used;
                visit(self)?;
                self.used = used;
            }
            return Ok(());
        };
        for v in 0..*extent {
            self.vars[*var] = v;
            let kept = match fold.tuples.as_ref().filter(|t| t.k == *var) {
                Some(tuples) => self.bind(tuples, v),
                None => true,
            };
            if kept {
                self.terms(fold, depth + 1, visit)?;
            }
        }
        Ok(())
    }

    /// The bytes of one element, of whatever strip.
    fn single(&mut self, at: &At) -> Result<*const u8, Stop> {
        let scale = std::mem::replace(&mut self.scale, 1);
        let row = self.read(at);
        self.scale = scale;
        Ok(row?.at)
    }

    fn scalar(&mut self, at: &At) -> Result<f32, Stop> {
        let one = self.single(at)?;
        // SAFETY: an access has at least one readable element.
        Ok(unsafe { load(at.elem, one) })
    }

    /// `run` elements of what comes of the tree.
    fn wide<W: Wide>(&mut self, tree: &Tree, run: usize) -> Result<Vec<W>, Stop> {
        Ok(match tree {
            // What adds up elsewhere is f32.
            Tree::Sum => vec![W::literal(0.0); run],
            Tree::Lit(v) => vec![W::literal(*v); run],
            Tree::Scalar(at) => {
                let one = self.single(at)?;
                // SAFETY: an access has at least one readable element.
                vec![unsafe { W::element(at.elem, one) }; run]
            }
            Tree::Row(at) => self.wide_row(at, run)?,
            Tree::Binary(op, lhs, rhs) => {
                let (a, b) = (self.wide::<W>(lhs, run)?, self.wide::<W>(rhs, run)?);
                a.iter().zip(&b).map(|(a, b)| W::apply(*op, *a, *b)).collect()
            }
            Tree::Cast { number: Elem::F32, of, .. } => {
                let (value, shortest) = self.computed(of, run)?;
                // SAFETY: no row of it is shorter.
                let values = unsafe { value.all(run.min(shortest)) };
                values.into_iter().map(W::of_f32).collect()
            }
            Tree::Cast { of, .. } => self.wide(of, run)?,
            Tree::Fold(fold) => self.wide_fold(fold, run)?,
        })
    }

    fn wide_row<W: Wide>(&mut self, at: &At, run: usize) -> Result<Vec<W>, Stop> {
        let row = self.read(at)?;
        let width = at.elem.bytes() as usize;
        let elements = 0..run.min(row.bytes / width);
        // SAFETY: element `i` lies within the row.
        Ok(elements.map(|i| unsafe { W::element(at.elem, row.at.add(i * width)) }).collect())
    }

    fn wide_fold<W: Wide>(&mut self, fold: &Fold, run: usize) -> Result<Vec<W>, Stop> {
        let mut acc = vec![W::literal(fold.start); run];
        self.terms(fold, 0, &mut |runner| {
            if let (Reducer::Sum, Tree::Binary(IxOp::Mul, lhs, rhs)) = (fold.by, &fold.term) {
                let (a, b) = (runner.wide::<W>(lhs, run)?, runner.wide::<W>(rhs, run)?);
                let terms = a.iter().zip(&b);
                acc.iter_mut().zip(terms).for_each(|(acc, (a, b))| *acc = W::fused(*a, *b, *acc));
                return Ok(());
            }
            let terms = runner.wide::<W>(&fold.term, run)?;
            acc.iter_mut().zip(terms).for_each(|(acc, term)| {
                *acc = match fold.by {
                    Reducer::Sum => W::apply(IxOp::Add, *acc, term),
                    Reducer::Max => W::larger(*acc, term),
                    Reducer::Min => W::smaller(*acc, term),
                    Reducer::First => term,
                };
            });
            Ok(())
        })?;
        Ok(acc)
    }

    /// The product, and the elements of its shortest row.
    fn addend(&mut self, factors: &[Term]) -> Result<(Addend, usize), Stop> {
        let (mut addend, mut shortest) = (Addend::default(), usize::MAX);
        for (to, factor) in addend.factors.iter_mut().zip(factors) {
            *to = match factor {
                Term::Lit(v) => Operand::Number(*v),
                Term::Scalar(at) => Operand::Number(self.scalar(at)?),
                Term::Row(row) => {
                    let row = self.rows[*row];
                    shortest = shortest.min(row.bytes / row.elem.bytes() as usize);
                    Operand::Row(row.at, row.elem)
                }
            };
        }
        addend.count = factors.len().min(addend.factors.len());
        Ok((addend, shortest))
    }

    fn reset(&mut self, plan: &HostPlan, signal: Handle<Signal>) -> Result<(), Stop> {
        let counters = plan.ranks[self.me].counters(signal);
        counters.slots.iter().for_each(|slot| slot.store(0, Relaxed));
        counters.resets.store(self.launch, Release);
        Ok(())
    }

    fn signal(
        &mut self,
        plan: &HostPlan,
        signal: Handle<Signal>,
        to: Option<i64>,
        slot: i64,
    ) -> Result<(), Stop> {
        let (from, until) = match to {
            Some(rank) => (rank, rank + 1),
            None => (0, plan.ranks.len() as i64),
        };
        for rank in from..until {
            let space = usize::try_from(rank).ok().and_then(|r| plan.ranks.get(r));
            let slots = space
                .map(|s| &s.counters(signal).slots)
                .filter(|slots| (0..slots.len() as i64).contains(&slot));
            let slots = slots.ok_or(Error::NoCounter { rank, slot })?;
            self.pending.note(slots, slot as usize);
        }
        if to.is_none() {
            self.flush();
        }
        Ok(())
    }

    /// Releases everything written so far, then counts it.
    fn flush(&mut self) {
        self.pending.send();
    }
}

/// Advances the epoch of every signal that the kernel waits for, before it runs.
pub(crate) fn advance(code: &[Code], me: usize) {
    for op in code {
        if let Code::Wait { plan, signal, .. } = op {
            plan.ranks[me].counters(*signal).epoch.fetch_add(1, Relaxed);
        }
    }
}
