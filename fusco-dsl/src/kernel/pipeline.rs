//! How groups of threads hand things to each other: who takes a place, fills it, waits for it and frees it, and by
//! which barrier. Constant code carries it out; the numbers in it, and which of its steps there are, stand here.
//!
//! All groups go through the same items in order. A channel has `slots` places that take turns, each for `items`
//! items; a step of item i is about the place of item i + `shift`.

/// The groups of one CTA and what they pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipeline {
    pub groups: Vec<Group>,
    pub channels: Vec<Channel>,
}

/// Threads that do one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: &'static str,
    /// The first thread of the CTA, and how many.
    pub first: u32,
    pub threads: u32,
    /// Equal parts that take items in turn.
    pub teams: u32,
    /// Before the first item, and for each item, in order.
    pub before: Vec<Step>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub act: Act,
    pub channel: &'static str,
    pub shift: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Waits until the place is free, and takes it.
    Reserve,
    /// Takes the place, which is free by what this group has freed.
    Claim,
    /// The place holds what it is for: it may be read.
    Fill,
    /// Waits until the place is filled.
    Await,
    /// The place has been read.
    Free,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub name: &'static str,
    /// Places.
    pub slots: i64,
    /// Items that a place is for.
    pub items: i64,
    /// Says that a place is filled, and that it is free.
    pub full: Barrier,
    pub empty: Barrier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// A word of shared memory for each place, complete after so many arrivals.
    Mbarrier { name: &'static str, arrivals: u32, by: By },
    /// `__syncthreads`: every thread of the CTA reaches it.
    Cta { threads: u32 },
    /// All CTAs of the launch.
    Grid { ctas: u32 },
    /// A word of a peer's workspace.
    Peer(Word),
    /// What else is done in order says so.
    Order,
}

/// Who of a group arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Thread,
    Warp,
    /// One thread of each team.
    One,
}

/// A word that one rank writes and another reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub name: &'static str,
    /// Other memory is read once the word is.
    pub publishes: bool,
    /// What was written before is visible before the word.
    pub release: bool,
    /// What is read afterwards is read after the word.
    pub acquire: bool,
    /// The wait ends with a report.
    pub timeout: bool,
}

impl Step {
    pub fn new(act: Act, channel: &'static str) -> Step {
        Step { act, channel, shift: 0 }
    }

    pub fn ahead(self, shift: i64) -> Step {
        Step { shift, ..self }
    }
}

impl Pipeline {
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|c| c.name == name)
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name == name)
    }
}

impl Group {
    /// All threads of a CTA.
    pub(super) fn all(threads: u32, before: Vec<Step>, steps: Vec<Step>) -> Group {
        Group { name: "all", first: 0, threads, teams: 1, before, steps }
    }

    /// Whether it does so for each item.
    pub fn does(&self, act: Act, channel: &str) -> bool {
        self.steps.iter().any(|s| s.act == act && s.channel == channel)
    }
}
