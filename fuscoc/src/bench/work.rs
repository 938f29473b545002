//! One program, timed: buffers in rotated sets, each entry alone or several as one captured graph.

use super::bar::Bar;
use super::check::{Checked, same};
use super::moved::Moved;
use super::row::Row;
use super::time::{BATCH, Clock, Copies, Queue, rotation};
use crate::Outcome;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Finished, Memory, Prepared, collect, expected};
use fusco_runtime::{Bound, Graph, Stream, World};

/// What a row times.
pub struct Timed {
    pub name: String,
    /// One entry alone, or several as one graph.
    pub entries: Vec<String>,
    pub bars: Vec<Bar>,
}

/// A program on its world, with sets of buffers that all hold what the entries leave.
struct Sets<'a> {
    ready: &'a Prepared,
    bound: &'a Bound,
    stream: &'a Stream,
    sets: Vec<Memory>,
}

/// A program that ran and was checked.
pub struct Job<'a> {
    pub ready: &'a Prepared,
    pub world: &'a World,
    pub finished: &'a Finished,
    pub checked: Option<&'a Checked>,
    /// Whether a set of buffers still holds what the checked run left.
    pub still: Box<dyn Fn(&Memory) -> Outcome + 'a>,
}

impl<'a> Job<'a> {
    /// All outputs must equal those of the checked run in the end.
    pub fn new(
        ready: &'a Prepared,
        world: &'a World,
        finished: &'a Finished,
        checked: Option<&'a Checked>,
    ) -> Job<'a> {
        let still = move |set: &Memory| {
            let now = collect((&ready.compiled, &ready.inputs), finished.backend, Vec::new(), set)?;
            same(ready, finished, &now).map(|_| ())
        };
        Job { ready, world, finished, checked, still: Box::new(still) }
    }
}

/// Times each of `timed`, beside a copy of its bytes.
pub fn rows(
    job: &Job,
    timed: &[Timed],
    repeat: usize,
    progress: &Progress,
) -> Result<Vec<Row>, Failure> {
    let Job { ready, world, finished, checked, still } = job;
    let bound = Bound::from_schedule(world, ready.compiled.schedule.clone())?;
    let stream = world.stream()?;
    let moved: Vec<Moved> = timed.iter().map(|t| Moved::of(ready, finished, &t.entries)).collect();
    let least = moved.iter().map(Moved::total).min().unwrap_or(0);
    let sets = Sets::new(ready, &bound, &stream, least)?;
    let clock = Clock::new(world, &stream, repeat)?;
    let model = expected(ready, world);
    let mut out = Vec::new();
    for (timed, moved) in timed.iter().zip(moved) {
        progress.next(&format!("{} on {}", timed.name, world.backend()));
        let copies = Copies::new(world, moved.total())?;
        let (batch, graphs) = sets.graphs(timed, &clock)?;
        let ours = sets.queue(timed, batch, &graphs);
        let alone = clock.batch(&copies.queue(&stream, 1))?;
        let (ours, copy) = clock.race(&ours, Some(&copies.queue(&stream, alone)))?;
        let graph = timed.entries.len() > 1;
        let row = Row {
            work: timed.name.clone(),
            program: ready.compiled.hir.name.clone(),
            entries: timed.entries.clone(),
            backend: world.backend(),
            ranks: ready.compiled.schedule.ranks,
            shape: shape(ready),
            moved,
            ours,
            copy: copy.unwrap_or(ours),
            expected: timed.entries.iter().map(|e| model.get(e)).sum(),
            empty: if graph { Some(sets.empty(&clock)?) } else { None },
            sets: sets.sets.len(),
            batch,
            checked: checked.cloned(),
            bars: timed.bars.clone(),
            peers: Vec::new(),
        };
        progress.say(&row.brief());
        out.push(row);
    }
    sets.sets.iter().try_for_each(still)?;
    Ok(out)
}

impl<'a> Sets<'a> {
    fn new(
        ready: &'a Prepared,
        bound: &'a Bound,
        stream: &'a Stream,
        touched: i64,
    ) -> Result<Sets<'a>, Failure> {
        let mut sets = vec![Memory::new(ready, bound)?];
        let wanted = rotation(usize::try_from(touched).unwrap_or(0), sets[0].bytes());
        for _ in 1..wanted {
            sets.push(Memory::new(ready, bound)?);
        }
        for set in &sets {
            for entry in &ready.work.entries {
                set.launch(ready, bound, entry, stream)?;
            }
        }
        stream.synchronize()?;
        Ok(Sets { ready, bound, stream, sets })
    }

    /// Runs in a batch, and what is captured for it: for several entries a graph of them on each set, for
    /// one short entry a graph of a whole batch.
    fn graphs(&self, timed: &Timed, clock: &Clock) -> Result<(usize, Vec<Graph>), Failure> {
        if timed.entries.len() > 1 {
            let graphs = (0..self.sets.len()).map(|set| self.capture(&timed.entries, &[set]));
            let graphs = graphs.collect::<Result<Vec<_>, _>>()?;
            let batch = clock.batch(&self.queue(timed, 1, &graphs))?;
            return Ok((batch, graphs));
        }
        match clock.batch(&self.queue(timed, 1, &[]))? {
            1 => Ok((1, Vec::new())),
            batch => {
                let sets: Vec<usize> = (0..batch).map(|i| i % self.sets.len()).collect();
                Ok((batch, vec![self.capture(&timed.entries, &sets)?]))
            }
        }
    }

    /// The entries on each of these sets, in turn, as one graph.
    fn capture(&self, entries: &[String], sets: &[usize]) -> Result<Graph, Failure> {
        let mut failed = None;
        let graph = self.stream.capture(|stream| {
            let launches = sets.iter().flat_map(|set| entries.iter().map(|e| (*set, e)));
            for (set, entry) in launches {
                if let Err(failure) = self.sets[set].launch(self.ready, self.bound, entry, stream) {
                    failed.get_or_insert(failure);
                }
            }
            Ok(())
        })?;
        failed.map_or(Ok(graph), Err)
    }

    /// `graphs` as `graphs()` made them for this batch.
    fn queue<'q>(&'q self, timed: &'q Timed, batch: usize, graphs: &'q [Graph]) -> Queue<'q> {
        let next = move |i: usize| {
            if timed.entries.len() > 1 {
                for run in i * batch..(i + 1) * batch {
                    graphs[run % graphs.len()].launch(self.stream)?;
                }
            } else if let [graph] = graphs {
                graph.launch(self.stream)?;
            } else {
                let set = &self.sets[i % self.sets.len()];
                set.launch(self.ready, self.bound, &timed.entries[0], self.stream)?;
            }
            Ok(())
        };
        Queue { batch, next: Box::new(next) }
    }

    /// Replays of a graph with nothing in it.
    fn empty(&self, clock: &Clock) -> Result<super::time::Stats, Failure> {
        let graph = self.stream.capture(|_| Ok(()))?;
        let next = |_| Ok((0..BATCH).try_for_each(|_| graph.launch(self.stream))?);
        Ok(clock.race(&Queue { batch: BATCH, next: Box::new(next) }, None)?.0)
    }
}

/// Params and dyns: `H=64 T=16`.
fn shape(ready: &Prepared) -> String {
    let params = ready.inputs.params.iter().map(|(n, v)| format!("{n}={v}"));
    let dyns = ready.inputs.dyns.iter().map(|(n, v)| match v.first() {
        Some(first) if v.iter().all(|x| x == first) => format!("{n}={first}"),
        _ => format!("{n}={v:?}"),
    });
    params.chain(dyns).collect::<Vec<_>>().join(" ")
}
