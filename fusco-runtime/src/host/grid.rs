//! Grids: every point of a product of loop variables, in strips along the last one.
//!
//! A body that only moves rows is a list of moves, each done for a whole strip: where both sides are
//! linear along it, as one copy or as a strided one. Other bodies run point by point, or, where every
//! access continues the one of the point before, once for the strip.

use super::access::At;
use super::code::{Code, Resolver, Source, Term, Tree};
use super::guard::{Part, Test, decode, points};
use super::moves::Move;
use super::run::{Runner, Stop};
use crate::error::Error;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{self, Guard, Op};
use std::collections::BTreeMap;

/// `Op::Grid`, resolved.
pub(crate) struct Grid {
    /// Outer variables, major first.
    outer: Vec<(usize, i64)>,
    /// The variable of the strips.
    inner: (usize, i64),
    /// Variables that were joined to the inner one: they stay 0.
    joined: Vec<usize>,
    share: Part,
    guards: Vec<Test>,
    body: Body,
}

enum Body {
    Moves(Vec<Move>),
    Line {
        code: Vec<Code>,
        /// Whether a strip is one longer access of each kind.
        runs_on: bool,
    },
}

/// Bytes of a strip that is written several times: it stays in the caches.
const CHUNK: usize = 128 << 10;

/// Strips between two looks at the other ranks.
const LOOK: u32 = 4096;

impl Resolver<'_> {
    pub(super) fn grid(
        &self,
        vars: &[(Handle<ir::Var>, i64)],
        share: Option<&ir::Share>,
        guards: &[Guard],
        body: &[Op],
    ) -> Result<Grid, Error> {
        let mut outer: Vec<(usize, i64)> = vars.iter().map(|(v, n)| (v.index(), *n)).collect();
        // A grid without variables is one point of a variable that nothing reads.
        let inner = outer.pop().unwrap_or((self.schedule().vars.len(), 1));
        let mut moves = Vec::new();
        let whole = self.moves(body, &mut Vec::new(), &mut BTreeMap::new(), &mut moves)?;
        let body = if whole {
            Body::Moves(moves)
        } else {
            let code = self.body(body)?;
            let runs_on = code.iter().all(|op| runs_on(op, inner.0));
            Body::Line { code, runs_on }
        };
        let (share, guards) = (self.part(share)?, self.guards(guards)?);
        let mut grid = Grid { outer, inner, joined: Vec::new(), share, guards, body };
        grid.join();
        Ok(grid)
    }
}

impl Grid {
    /// Joins outer variables to the inner one while every form depends on the two as on one longer loop.
    fn join(&mut self) {
        while let Some((var, extent)) = self.outer.last().copied() {
            let inner = self.inner;
            let Body::Moves(moves) = &self.body else { return };
            let guards = self.guards.iter().all(|g| g.joins(var, inner));
            if !guards || !moves.iter().flat_map(Move::forms).all(|form| form.joins(var, inner)) {
                return;
            }
            self.outer.pop();
            self.joined.push(var);
            self.inner.1 *= extent;
        }
    }

    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<(), Stop> {
        let (var, extent) = self.inner;
        self.joined.iter().for_each(|v| runner.vars[*v] = 0);
        let (mut point, end) = self.share.range(points(&self.outer) * extent.max(0), &runner.vars);
        let mut strips = 0u32;
        while point < end {
            decode(&self.outer, point / extent, &mut runner.vars);
            let from = point % extent;
            let to = extent.min(from + end - point);
            point += to - from;
            self.strip(runner, var, (from, to))?;
            strips = strips.wrapping_add(1);
            if strips.is_multiple_of(LOOK) {
                runner.watch.check()?;
            }
        }
        Ok(())
    }

    /// The points of one strip whose guards hold, in as few parts as they need.
    fn strip(&self, runner: &mut Runner<'_>, var: usize, range: (i64, i64)) -> Result<(), Stop> {
        let mut at = range.0;
        while at < range.1 {
            runner.vars[var] = at;
            let (mut kept, mut points) = ((0, range.1 - at), range.1 - at);
            // A guard is asked only where the ones before it hold: it may read what they protect.
            for guard in &self.guards {
                let piece = guard.piece(var, &runner.vars);
                points = points.min(piece.points);
                kept = guard.narrow(&runner.vars, piece.step, (0, points));
                if kept.0 > 0 || kept.0 >= kept.1 {
                    break;
                }
                points = kept.1;
            }
            if kept.0 > 0 || kept.0 >= kept.1 {
                at += if kept.0 < kept.1 { kept.0 } else { points };
                continue;
            }
            self.body.strip(runner, var, (at, at + points))?;
            at += points;
        }
        Ok(())
    }
}

impl Body {
    fn strip(&self, runner: &mut Runner<'_>, var: usize, range: (i64, i64)) -> Result<(), Stop> {
        match self {
            Body::Moves(moves) => {
                let often = moves.len() > 1 || moves.iter().any(|m| !m.loops.is_empty());
                let bytes = moves.iter().map(|m| m.to.bytes).max().unwrap_or(1).max(1);
                let most = if often { (CHUNK / bytes).max(1) } else { usize::MAX >> 1 };
                for from in (range.0..range.1).step_by(most) {
                    let to = range.1.min(from.saturating_add(most as i64));
                    moves.iter().try_for_each(|m| m.looped(runner, 0, var, (from, to)))?;
                }
                Ok(())
            }
            Body::Line { code, runs_on: true } => {
                runner.vars[var] = range.0;
                runner.point(code, (range.1 - range.0) as usize)
            }
            Body::Line { code, .. } => (range.0..range.1).try_for_each(|v| {
                runner.vars[var] = v;
                runner.point(code, 1)
            }),
        }
    }
}

/// Whether a tree has for a strip of `var` the operands of a point, on longer rows.
fn goes_on(tree: &Tree, var: usize) -> bool {
    match tree {
        Tree::Row(at) => at.step(var) == Some(at.bytes as i64),
        Tree::Scalar(at) => !at.reads(var),
        Tree::Sum | Tree::Lit(_) => true,
        Tree::Cast { of, .. } => goes_on(of, var),
        Tree::Binary(_, lhs, rhs) => goes_on(lhs, var) && goes_on(rhs, var),
        Tree::Fold(fold) => {
            let parts = fold.parts.as_ref().is_none_or(|p| !p.of.reads(var));
            parts && fold.guards.iter().all(|g| !g.reads(var)) && goes_on(&fold.term, var)
        }
    }
}

/// Whether an op of a line does for a strip of `var` what it does for a point, on longer rows.
fn runs_on(op: &Code, var: usize) -> bool {
    let contiguous = |at: &At| at.step(var) == Some(at.bytes as i64);
    let still = |factors: &[Term]| {
        factors.iter().all(|f| match f {
            Term::Scalar(at) => !at.reads(var),
            Term::Row(_) | Term::Lit(_) => true,
        })
    };
    match op {
        Code::Load { from, .. } => contiguous(from),
        Code::Put { value: Source::Int(n), to } => !n.reads(var) && contiguous(to),
        Code::Put { value: Source::Scaled(factors, _), to } => still(factors) && contiguous(to),
        Code::Put { value: Source::Computed { value, .. }, to } => {
            goes_on(value, var) && contiguous(to)
        }
        Code::Put { to, .. } => contiguous(to),
        Code::Reduce { factors } => still(factors),
        Code::For { body, .. } => body.iter().all(|op| runs_on(op, var)),
        _ => false,
    }
}
