//! Tiles: movements whose sides are contiguous along different variables. A block is read along the
//! source into a small square and written from it along the target, so that both sides see whole lines.

use super::access::At;
use super::code::Resolver;
use super::guard::{Part, Test, decode, points};
use super::run::{Runner, Stop};
use super::turn::turn;
use super::{cast, copy};
use crate::error::Error;
use fusco_dsl::schedule::ir;

/// `Op::Tile`, resolved.
pub(crate) struct Tile {
    vars: Vec<(usize, i64)>,
    share: Part,
    source: (usize, i64),
    target: (usize, i64),
    guards: Vec<Test>,
    from: At,
    to: At,
    copies: Option<(usize, i64)>,
    cast: bool,
    /// Bytes that the two sides advance by, if all is linear.
    steps: Option<Steps>,
}

#[derive(Clone, Copy)]
struct Steps {
    /// Of the source: along the source's variable and the target's.
    from: (i64, i64),
    /// Of the target: the same.
    to: (i64, i64),
}

/// Elements of a block along either side.
const SIDE: i64 = 64;
/// Elements between two rows of the square: not a power of two, which would share cache sets.
const PITCH: usize = 72;

/// The square as it was read, and a row of it before and after a cast.
pub(crate) struct Stage {
    square: Vec<u64>,
    /// The square turned, as the target wants it.
    turned: Vec<u64>,
    raw: [u64; SIDE as usize],
    done: [u64; SIDE as usize],
}

impl Default for Stage {
    fn default() -> Self {
        let row = [0; SIDE as usize];
        let square = vec![0; SIDE as usize * PITCH];
        Stage { turned: square.clone(), square, raw: row, done: row }
    }
}

impl Resolver<'_> {
    pub(super) fn tile(&self, tile: &ir::Tile) -> Result<Tile, Error> {
        let var = |v: &(fusco_dsl::arena::Handle<ir::Var>, i64)| (v.0.index(), v.1);
        let (source, target) = (var(&tile.along_source), var(&tile.along_target));
        let (from, to) = (self.at(&tile.from)?, self.at(&tile.to)?);
        let guards = self.guards(&tile.guards)?;
        let one_sided = |g: &Test| {
            matches!((g.step(source.0), g.step(target.0)), (Some(_), Some(0)) | (Some(0), Some(_)))
        };
        let plain = from.swizzle.is_none() && to.swizzle.is_none() && guards.iter().all(one_sided);
        let both = |at: &At| Some((at.step(source.0)?, at.step(target.0)?));
        let steps = both(&from).zip(both(&to)).filter(|_| plain);
        Ok(Tile {
            vars: tile.vars.iter().map(var).collect(),
            share: self.part(tile.share.as_ref())?,
            source,
            target,
            guards,
            copies: tile.copies.as_ref().map(var),
            cast: tile.cast.is_some(),
            steps: steps.map(|(from, to)| Steps { from, to }),
            from,
            to,
        })
    }
}

impl Tile {
    pub(crate) fn run(&self, runner: &mut Runner<'_>) -> Result<(), Stop> {
        let mut stage = runner.stage.take().unwrap_or_default();
        let ended = self.tiles(runner, &mut stage);
        runner.stage = Some(stage);
        ended
    }

    fn tiles(&self, runner: &mut Runner<'_>, stage: &mut Stage) -> Result<(), Stop> {
        let (first, last) = self.share.range(points(&self.vars), &runner.vars);
        for tile in first..last {
            if tile + 1 < last {
                decode(&self.vars, tile + 1, &mut runner.vars);
                self.ask(runner);
            }
            decode(&self.vars, tile, &mut runner.vars);
            match self.steps {
                Some(steps) => self.blocks(runner, stage, steps)?,
                None => self.each_point(runner)?,
            }
            runner.watch.check()?;
        }
        Ok(())
    }

    /// One element at a time, for indices that are not linear.
    fn each_point(&self, runner: &mut Runner<'_>) -> Result<(), Stop> {
        for s in 0..self.source.1 {
            for t in 0..self.target.1 {
                runner.vars[self.source.0] = s;
                runner.vars[self.target.0] = t;
                if self.guards.iter().all(|g| g.holds(&runner.vars)) {
                    self.point(runner)?;
                }
            }
        }
        Ok(())
    }

    fn point(&self, runner: &mut Runner<'_>) -> Result<(), Stop> {
        for copy in 0..self.copies.map_or(1, |c| c.1) {
            self.choose(runner, copy);
            runner.begin(1);
            let row = runner.read(&self.from)?;
            match self.cast {
                true => runner.write_cast(row, &self.to)?,
                false => runner.write_row(row, &self.to)?,
            }
        }
        Ok(())
    }

    /// Asks for the first block of the tile at hand: its rows lie too far apart for a machine to foresee, and
    /// where a power of two lies between them they share few places of the nearest cache.
    fn ask(&self, runner: &mut Runner<'_>) {
        let Some(steps) = self.steps.filter(|_| self.guards.is_empty()) else { return };
        if steps.from.0 != self.from.elem.bytes() {
            return;
        }
        runner.vars[self.source.0] = 0;
        runner.vars[self.target.0] = 0;
        self.choose(runner, 0);
        let size = (SIDE.min(self.source.1), SIDE.min(self.target.1));
        let Ok(from) = rectangle(&self.from, &runner.vars, steps.from, size) else { return };
        let bytes = (size.0 * steps.from.0) as usize;
        for t in 0..size.1 {
            copy::ask(from.wrapping_offset((t * steps.from.1) as isize), bytes);
        }
    }

    fn choose(&self, runner: &mut Runner<'_>, copy: i64) {
        if let Some((var, _)) = self.copies {
            runner.vars[var] = copy;
        }
    }

    fn blocks(&self, runner: &mut Runner<'_>, stage: &mut Stage, steps: Steps) -> Result<(), Stop> {
        runner.vars[self.source.0] = 0;
        runner.vars[self.target.0] = 0;
        let (mut along_source, mut along_target) = ((0, self.source.1), (0, self.target.1));
        for guard in &self.guards {
            // A guard is asked only where the ones before it hold: it may read what they protect.
            if along_source.0 >= along_source.1 || along_target.0 >= along_target.1 {
                return Ok(());
            }
            match (guard.step(self.source.0), guard.step(self.target.0)) {
                (Some(step), Some(0)) => {
                    along_source = guard.narrow(&runner.vars, step, along_source)
                }
                (_, step) => {
                    let step = step.unwrap_or(0);
                    along_target = guard.narrow(&runner.vars, step, along_target)
                }
            }
        }
        for s in (along_source.0..along_source.1).step_by(SIDE as usize) {
            for t in (along_target.0..along_target.1).step_by(SIDE as usize) {
                runner.vars[self.source.0] = s;
                runner.vars[self.target.0] = t;
                let size = (SIDE.min(along_source.1 - s), SIDE.min(along_target.1 - t));
                self.block(runner, stage, steps, size)?;
            }
        }
        Ok(())
    }

    /// The block at the variables' point, `size` elements along either side.
    fn block(
        &self,
        runner: &mut Runner<'_>,
        stage: &mut Stage,
        steps: Steps,
        size: (i64, i64),
    ) -> Result<(), Stop> {
        self.choose(runner, 0);
        let from = rectangle(&self.from, &runner.vars, steps.from, size)?;
        // SAFETY: `from` has that rectangle of elements.
        unsafe { self.fill(stage, from, steps.from, size) };
        for copy in 0..self.copies.map_or(1, |c| c.1) {
            self.choose(runner, copy);
            let to = rectangle(&self.to, &runner.vars, steps.to, size)?;
            let (square, turned) = (stage.square.as_ptr(), stage.turned.as_mut_ptr());
            let large = self.to.large;
            // SAFETY: `to` has that rectangle of elements, and the square was filled to that size.
            unsafe {
                match self.to.elem.bytes() {
                    1 => empty::<u8>((square.cast(), turned.cast()), to, steps.to, size, large),
                    2 => empty::<u16>((square.cast(), turned.cast()), to, steps.to, size, large),
                    4 => empty::<u32>((square.cast(), turned.cast()), to, steps.to, size, large),
                    _ => empty::<u64>((square, turned), to, steps.to, size, large),
                }
            }
        }
        Ok(())
    }

    /// Rows of the square, one for each place along the target, as elements of the target's type.
    ///
    /// # Safety
    /// The rectangle of `size` and `steps` is readable at `from`.
    unsafe fn fill(&self, stage: &mut Stage, from: *const u8, steps: (i64, i64), size: (i64, i64)) {
        let (width, out) = (self.from.elem.bytes(), self.to.elem.bytes());
        let count = size.0 as usize;
        for t in 0..size.1 as usize {
            // SAFETY: the rectangle by the caller; a row of the square and of the buffers has `SIDE` elements.
            unsafe {
                let row = from.offset((t as i64 * steps.1) as isize);
                let to = stage.square.as_mut_ptr().cast::<u8>().add(t * PITCH * out as usize);
                let raw = stage.raw.as_mut_ptr().cast::<u8>();
                let (gathered, target) =
                    if self.cast { (raw, stage.done.as_mut_ptr().cast::<u8>()) } else { (to, to) };
                if steps.0 == width {
                    std::ptr::copy_nonoverlapping(row, gathered, count * width as usize);
                } else {
                    copy::strided(row, gathered, (steps.0, width), width as usize, count, false);
                }
                if self.cast {
                    cast::row((raw, self.from.elem), (target, self.to.elem), count);
                    std::ptr::copy_nonoverlapping(target, to, count * out as usize);
                }
            }
        }
    }
}

/// Writes the square to the target, along the target's variable.
///
/// # Safety
/// `square` has `PITCH` elements a row, `turned` room for as many, and the rectangle of `size` and `steps` is
/// writable at `to`.
unsafe fn empty<T: Copy>(
    (square, turned): (*const T, *mut T),
    to: *mut u8,
    steps: (i64, i64),
    size: (i64, i64),
    large: bool,
) {
    let width = size_of::<T>();
    let (lines, count) = (size.0 as usize, size.1 as usize);
    // SAFETY: by the caller; a line of `turned` has `SIDE` elements.
    unsafe {
        turn(square, turned, (PITCH, SIDE as usize), (lines, count));
        for s in 0..lines {
            let line = turned.add(s * SIDE as usize).cast::<u8>();
            let to = to.offset((s as i64 * steps.0) as isize);
            if steps.1 == width as i64 {
                copy::line(line, to, count * width, large);
            } else {
                copy::strided(line, to, (width as i64, steps.1), width, count, false);
            }
        }
    }
}

/// The first element of a rectangle whose corners all lie within the rank's part.
fn rectangle(at: &At, vars: &[i64], steps: (i64, i64), size: (i64, i64)) -> Result<*mut u8, Error> {
    let (rank, start) = at.place(vars);
    let ends = [(size.0 - 1).saturating_mul(steps.0), (size.1 - 1).saturating_mul(steps.1)];
    let lowest = ends.iter().fold(start, |at, end| at.saturating_add((*end).min(0)));
    let highest = ends.iter().fold(start, |at, end| at.saturating_add((*end).max(0)));
    at.part(rank, lowest, at.bytes)?;
    at.part(rank, highest, at.bytes)?;
    at.part(rank, start, at.bytes)
}
