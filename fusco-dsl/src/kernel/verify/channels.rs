//! What groups of threads hand to each other. Each group does its steps in order and a step waits only for counts that
//! grow, so one order of play decides for all whether everyone comes to an end.

use super::fault::Fault;
use crate::kernel::pipeline::{Act, Barrier, By, Channel, Group, Pipeline, Step};
use crate::kernel::program::DeviceKernel;
use crate::kernel::strategy::Strategy;
use std::collections::BTreeMap;

pub(super) fn faults(kernel: &DeviceKernel) -> Vec<Fault> {
    let pipeline = &kernel.pipeline;
    let mut faults = groups(pipeline, kernel.form.threads);
    for channel in &pipeline.channels {
        faults.extend(actors(pipeline, channel));
        faults.extend(barrier(kernel, channel, (channel.full, Act::Fill)));
        faults.extend(barrier(kernel, channel, (channel.empty, Act::Free)));
    }
    let steps = pipeline.groups.iter().flat_map(|g| g.before.iter().chain(&g.steps));
    let unknown = steps.filter(|s| pipeline.channel(s.channel).is_none());
    faults.extend(unknown.map(|s| Fault::NoChannel(s.channel)));
    faults.extend(sizes(kernel));
    if faults.is_empty() {
        faults.extend(Play::new(pipeline).run().err());
    }
    faults
}

/// Groups have threads of the CTA, each its own.
fn groups(pipeline: &Pipeline, threads: u32) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (i, group) in pipeline.groups.iter().enumerate() {
        let end = group.first + group.threads;
        if end > threads {
            faults.push(Fault::GroupBeyond { group: group.name, end, threads });
        }
        let team = group.threads / group.teams.max(1);
        let whole = team * group.teams == group.threads && (team == 1 || team.is_multiple_of(32));
        if !whole || team == 0 {
            let (group, threads, teams) = (group.name, group.threads, group.teams);
            faults.push(Fault::Teams { group, threads, teams });
        }
        let later = pipeline.groups[i + 1..].iter();
        let meets = later.filter(|g| g.first < end && group.first < g.first + g.threads);
        faults.extend(meets.map(|g| Fault::GroupsOverlap { first: group.name, second: g.name }));
    }
    faults
}

/// One group fills a channel, one waits for it, one frees it; one takes its places.
fn actors(pipeline: &Pipeline, channel: &Channel) -> Vec<Fault> {
    let doing = |act| pipeline.groups.iter().filter(|g| g.does(act, channel.name)).count();
    let mut faults = Vec::new();
    for act in [Act::Fill, Act::Await, Act::Free] {
        if doing(act) != 1 {
            faults.push(Fault::Actors { channel: channel.name, act, groups: doing(act) });
        }
    }
    let takers = doing(Act::Reserve) + doing(Act::Claim);
    if takers != 1 {
        faults.push(Fault::Actors { channel: channel.name, act: Act::Reserve, groups: takers });
    }
    faults
}

/// A barrier counts who arrives at it.
fn barrier(kernel: &DeviceKernel, channel: &Channel, (barrier, act): (Barrier, Act)) -> Vec<Fault> {
    let group = kernel.pipeline.groups.iter().find(|g| g.does(act, channel.name));
    match barrier {
        Barrier::Mbarrier { name, arrivals, by } => {
            let arrive = group.map_or(0, |g| arrivals_of(g, by));
            let fits = arrive == arrivals;
            (!fits)
                .then_some(Fault::Arrivals { barrier: name, says: arrivals, arrive })
                .into_iter()
                .collect()
        }
        Barrier::Cta { threads } => {
            let reach = group.map_or(0, |g| g.threads);
            let all = kernel.form.threads;
            let channel = channel.name;
            let wrong = [threads, reach].into_iter().find(|n| *n != all);
            wrong.map(|says| Fault::Divergent { channel, says, all }).into_iter().collect()
        }
        Barrier::Grid { ctas } => {
            let all = kernel.form.ctas();
            let channel = channel.name;
            (ctas != all)
                .then_some(Fault::Divergent { channel, says: ctas, all })
                .into_iter()
                .collect()
        }
        Barrier::Peer(word) => {
            let word_of = word.name;
            [
                (word.publishes && !word.release).then_some(Fault::Unreleased { word: word_of }),
                (!word.acquire).then_some(Fault::Unacquired { word: word_of }),
                (!word.timeout).then_some(Fault::Endless { word: word_of }),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        Barrier::Order => Vec::new(),
    }
}

fn arrivals_of(group: &Group, by: By) -> u32 {
    let team = group.threads / group.teams.max(1);
    match by {
        By::Thread => team,
        By::Warp => team / 32,
        By::One => 1,
    }
}

/// The sizes that the text is printed with are those that are played.
fn sizes(kernel: &DeviceKernel) -> Vec<Fault> {
    let mut wanted: Vec<(&'static str, i64)> = Vec::new();
    match &kernel.strategy {
        Strategy::Bulk(staged) => wanted.push(("rows", staged.stages)),
        Strategy::Once(once) => wanted.push(("rows", once.slots)),
        Strategy::Ring(ring) => {
            wanted.push(("rows", ring.slots));
            if let Some(mail) = &ring.mail {
                wanted.extend([("asked", mail.places), ("mail", mail.places)]);
            }
        }
        Strategy::Plan(_) | Strategy::Moves(_) | Strategy::Team(_) | Strategy::Warps(_) => {}
    }
    let mut faults = Vec::new();
    for (channel, strategy) in wanted {
        match kernel.pipeline.channel(channel) {
            None => faults.push(Fault::NoChannel(channel)),
            Some(found) if found.slots != strategy => {
                faults.push(Fault::Sizes { channel, slots: found.slots, strategy });
            }
            Some(_) => {}
        }
    }
    faults
}

/// Places of a channel by what has been done to them.
#[derive(Clone, Copy, Default)]
struct Count {
    taken: i64,
    filled: i64,
    awaited: i64,
    freed: i64,
}

/// Where a group is: its item, -1 before the first, and its step there; how far each step has come.
struct At {
    item: i64,
    step: usize,
    done: BTreeMap<(Act, &'static str), i64>,
}

struct Play<'a> {
    pipeline: &'a Pipeline,
    items: i64,
    counts: BTreeMap<&'static str, Count>,
    at: Vec<At>,
}

/// What came of a step.
enum Went {
    On,
    Waits,
}

impl<'a> Play<'a> {
    fn new(pipeline: &'a Pipeline) -> Play<'a> {
        let most = pipeline.channels.iter().map(|c| c.slots.max(1) * c.items.max(1)).max();
        // Every place is used a few times, and the last items leave places half used.
        let items = 3 * most.unwrap_or(1) + 5;
        let counts = pipeline.channels.iter().map(|c| (c.name, Count::default())).collect();
        let start = |_: &Group| At { item: -1, step: 0, done: BTreeMap::new() };
        Play { pipeline, items, counts, at: pipeline.groups.iter().map(start).collect() }
    }

    fn run(mut self) -> Result<(), Fault> {
        loop {
            let mut moved = false;
            for group in 0..self.at.len() {
                while self.at[group].item < self.items {
                    match self.step(group)? {
                        Went::On => moved = true,
                        Went::Waits => break,
                    }
                }
            }
            if self.at.iter().all(|at| at.item >= self.items) {
                return Ok(());
            }
            if !moved {
                return Err(Fault::Deadlock { waits: self.waits() });
            }
        }
    }

    fn next(&self, group: usize) -> Option<Step> {
        let (at, info) = (&self.at[group], &self.pipeline.groups[group]);
        let steps = if at.item < 0 { &info.before } else { &info.steps };
        steps.get(at.step).copied()
    }

    /// Who waits for what.
    fn waits(&self) -> Vec<(&'static str, Act, &'static str)> {
        let open = (0..self.at.len()).filter(|g| self.at[*g].item < self.items);
        let one = |g: usize| self.next(g).map(|s| (self.pipeline.groups[g].name, s.act, s.channel));
        open.filter_map(one).collect()
    }

    /// The next step of a group, for all items up to its own and what is ahead.
    fn step(&mut self, group: usize) -> Result<Went, Fault> {
        let Some(step) = self.next(group) else {
            let at = &mut self.at[group];
            (at.item, at.step) = (at.item + 1, 0);
            return Ok(Went::On);
        };
        let key = (step.act, step.channel);
        let last = (self.at[group].item + step.shift).min(self.items - 1);
        loop {
            let item = self.at[group].done.get(&key).map_or(0, |done| done + 1);
            if item > last {
                self.at[group].step += 1;
                return Ok(Went::On);
            }
            if let Went::Waits = self.act(group, step, item)? {
                return Ok(Went::Waits);
            }
            self.at[group].done.insert(key, item);
        }
    }

    /// Does a step for one item, if it is one for its place.
    fn act(&mut self, group: usize, step: Step, item: i64) -> Result<Went, Fault> {
        let Some(channel) = self.pipeline.channel(step.channel) else {
            return Err(Fault::NoChannel(step.channel));
        };
        let (group, items) = (self.pipeline.groups[group].name, channel.items.max(1));
        let (first, last) =
            (item % items == 0, item % items == items - 1 || item == self.items - 1);
        let (channel, slots, place) = (channel.name, channel.slots, item / items);
        let count = self.counts.entry(channel).or_default();
        match step.act {
            Act::Reserve if last => {
                if place - count.freed >= slots {
                    return Ok(Went::Waits);
                }
                count.taken = place + 1;
            }
            Act::Claim if last => {
                if place - count.freed >= slots {
                    return Err(Fault::Credit { channel, slots });
                }
                count.taken = place + 1;
            }
            Act::Fill if last => {
                if count.taken <= place {
                    return Err(Fault::Untaken { group, channel });
                }
                count.filled = place + 1;
            }
            Act::Await if first => {
                if count.filled <= place {
                    return Ok(Went::Waits);
                }
                count.awaited = place + 1;
            }
            Act::Free if last => {
                if count.awaited <= place {
                    return Err(Fault::Unread { group, channel });
                }
                count.freed = place + 1;
            }
            Act::Reserve | Act::Claim | Act::Fill | Act::Await | Act::Free => {}
        }
        Ok(Went::On)
    }
}
