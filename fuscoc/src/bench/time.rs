//! Times of what a stream is given, each between two marks, beside a copy that takes turns with it.

use crate::Outcome;
use crate::failure::Failure;
use fusco_runtime::{Buffer, Stream, TimeMark, World};
use std::time::Duration;

/// Runs before anything is timed.
const WARM_UP: usize = 5;
/// Shorter than this, so many are timed at once and share the time.
const SHORT: Duration = Duration::from_micros(200);
pub const BATCH: usize = 10;
/// Bytes that rotated buffers pass before one comes again: several times an L2.
pub const BEYOND_CACHE: usize = 256 << 20;
/// Bytes that all sets of buffers may take together.
pub const ROOM: usize = 24 << 30;

/// What is timed.
pub struct Queue<'a> {
    /// Runs in one call of `next`.
    pub batch: usize,
    /// Queues the i-th batch.
    pub next: Box<dyn Fn(usize) -> Outcome + 'a>,
}

/// Seconds of one run.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub runs: usize,
}

impl Stats {
    /// Of at least one time.
    pub fn of(mut seconds: Vec<f64>) -> Option<Stats> {
        seconds.sort_by(f64::total_cmp);
        let (least, most) = (*seconds.first()?, *seconds.last()?);
        let half = seconds.len() / 2;
        let median = match seconds.len() % 2 {
            1 => seconds[half],
            _ => (seconds[half - 1] + seconds[half]) / 2.0,
        };
        Some(Stats { median, least, most, runs: seconds.len() })
    }
}

/// A stream with a stopwatch.
pub struct Clock<'a> {
    stream: &'a Stream,
    /// Copied before each time: the device is then busy until all that is timed is queued, and its cache
    /// holds nothing of it.
    filler: Option<[Buffer; 2]>,
    runs: usize,
}

impl<'a> Clock<'a> {
    pub fn new(world: &World, stream: &'a Stream, runs: usize) -> Result<Clock<'a>, Failure> {
        let filler = match world.backend() {
            "host" => None,
            _ => Some([world.scratch(BEYOND_CACHE)?, world.scratch(BEYOND_CACHE)?]),
        };
        Ok(Clock { stream, filler, runs: runs.max(1) })
    }

    /// Runs to time at once, so that the marks and what the host does between them do not count.
    pub fn batch(&self, queue: &Queue) -> Result<usize, Failure> {
        (0..WARM_UP).try_for_each(|i| (queue.next)(i))?;
        let [from, to] = self.between(queue, WARM_UP)?;
        self.stream.synchronize()?;
        let short = to.since(&from)? < SHORT * queue.batch as u32;
        Ok(if short { BATCH } else { 1 })
    }

    /// Seconds of each run of `ours`, in turn with those of `other`.
    pub fn race(
        &self,
        ours: &Queue,
        other: Option<&Queue>,
    ) -> Result<(Stats, Option<Stats>), Failure> {
        let queues: Vec<&Queue> = std::iter::once(ours).chain(other).collect();
        for queue in &queues {
            (0..WARM_UP).try_for_each(|i| (queue.next)(i))?;
        }
        let mut marks: Vec<Vec<[TimeMark; 2]>> = queues.iter().map(|_| Vec::new()).collect();
        for run in 0..self.runs {
            for (queue, marks) in queues.iter().zip(&mut marks) {
                marks.push(self.between(queue, WARM_UP + run)?);
            }
        }
        self.stream.synchronize()?;
        let mut stats = queues.iter().zip(marks).map(|(queue, marks)| seconds(queue, &marks));
        let none = || Failure::input("nothing was timed");
        let ours = stats.next().ok_or_else(none)??;
        Ok((ours, stats.next().transpose()?))
    }

    fn between(&self, queue: &Queue, i: usize) -> Result<[TimeMark; 2], Failure> {
        if let Some([from, to]) = &self.filler {
            self.stream.copy(from, to)?;
        }
        let before = self.stream.mark()?;
        (queue.next)(i)?;
        Ok([before, self.stream.mark()?])
    }
}

fn seconds(queue: &Queue, marks: &[[TimeMark; 2]]) -> Result<Stats, Failure> {
    let mut seconds = Vec::new();
    for [from, to] in marks {
        seconds.push(to.since(from)?.as_secs_f64() / queue.batch.max(1) as f64);
    }
    Stats::of(seconds).ok_or_else(|| Failure::input("nothing was timed"))
}

/// Sets of `bytes` bytes, of which a run touches `touched`, that are rotated.
pub fn rotation(touched: usize, bytes: usize) -> usize {
    let beyond = (BEYOND_CACHE / touched.max(1) + 1).clamp(2, 8);
    beyond.min(ROOM / bytes.max(1)).max(1)
}

/// Buffers to copy between, rotated.
pub struct Copies {
    pairs: Vec<[Buffer; 2]>,
}

impl Copies {
    /// Copies that read and write `moved` bytes together.
    pub fn new(world: &World, moved: i64) -> Result<Copies, Failure> {
        let half = usize::try_from(moved / 2).unwrap_or(0).max(1);
        let scratch = world.scratch(1)?;
        let each = half.div_ceil(scratch.ranks());
        let pair = || Ok([world.scratch(each)?, world.scratch(each)?]);
        let pairs = (0..rotation(2 * half, 2 * half)).map(|_| pair());
        Ok(Copies { pairs: pairs.collect::<Result<_, Failure>>()? })
    }

    pub fn queue<'a>(&'a self, stream: &'a Stream, batch: usize) -> Queue<'a> {
        let next = move |i: usize| {
            for run in i * batch..(i + 1) * batch {
                let [from, to] = &self.pairs[run % self.pairs.len()];
                stream.copy(from, to)?;
            }
            Ok(())
        };
        Queue { batch, next: Box::new(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_middle() {
        let of = |list: &[f64]| Stats::of(list.to_vec()).map(|s| (s.least, s.median, s.most));
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Some((1.0, 2.5, 4.0)));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn sets_pass_the_cache_and_fit_the_room() {
        assert_eq!(rotation(1 << 30, 1 << 30), 2);
        assert_eq!(rotation(100 << 20, 100 << 20), 3);
        assert_eq!(rotation(1, 1), 8);
        assert_eq!(rotation(4 << 30, 20 << 30), 1);
        assert_eq!(rotation(4 << 30, 40 << 30), 1);
    }
}
