//! What may be wrong with a device program.

use crate::kernel::pipeline::Act;
use crate::kernel::shape::Gap;
use crate::schedule::Problem;
use std::fmt;

/// A fault of a kernel, or of the workspaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number of the entry.
    pub entry: usize,
    /// The kernel, or the workspace.
    pub of: String,
    pub fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An op that nothing prints.
    Gap(Gap),
    /// A kernel of the schedule is not there.
    Missing,
    /// Threads that are no whole warps, or more than a CTA has.
    Threads {
        threads: u32,
        most: u32,
    },
    /// CTAs that are to share a multiprocessor do not: (7).
    Occupancy {
        of: Resource,
        wanted: i64,
        most: i64,
    },
    /// CTAs that wait for each other are more than are resident: (7).
    NotResident {
        ctas: u32,
        most: u32,
    },
    /// CTAs wait for each other, and the launch does not make sure that all are there: (7).
    NotCooperative,
    /// The grid is not the CTAs of each rank.
    Grid {
        grid: (u32, u32),
        ctas_per_rank: u32,
        ranks: u32,
    },
    /// A grid that a launch may shrink, of CTAs that are counted.
    Shrinks,
    /// CTAs that plan are not those that the plan has histograms for.
    Planning {
        ctas: u32,
        histograms: u32,
    },
    /// The launch gives another size of shared memory than the regions have.
    Shared {
        given: i64,
        needed: i64,
    },
    Overlap {
        first: String,
        second: String,
    },
    Beyond {
        region: String,
        end: i64,
        limit: i64,
    },
    Misaligned {
        region: String,
        offset: i64,
        to: i64,
    },
    /// A region or a field is smaller than what it is for.
    Small {
        region: String,
        bytes: i64,
        needed: i64,
    },
    /// A region or field that the kernel uses is not there.
    NoRegion(String),
    /// A group has threads that the CTA does not have.
    GroupBeyond {
        group: &'static str,
        end: u32,
        threads: u32,
    },
    GroupsOverlap {
        first: &'static str,
        second: &'static str,
    },
    /// Parts of a group are no whole warps and no thread.
    Teams {
        group: &'static str,
        threads: u32,
        teams: u32,
    },
    /// A barrier counts other arrivals than there are.
    Arrivals {
        barrier: &'static str,
        says: u32,
        arrive: u32,
    },
    /// Not every thread, or not every CTA, reaches a barrier of all.
    Divergent {
        channel: &'static str,
        says: u32,
        all: u32,
    },
    /// Nobody, or more than one group, does so to a channel.
    Actors {
        channel: &'static str,
        act: Act,
        groups: usize,
    },
    NoChannel(&'static str),
    /// A place is taken while it may be in use.
    Credit {
        channel: &'static str,
        slots: i64,
    },
    /// A place is filled that nobody has taken.
    Untaken {
        group: &'static str,
        channel: &'static str,
    },
    /// A place is freed before it was waited for.
    Unread {
        group: &'static str,
        channel: &'static str,
    },
    /// Groups wait for each other.
    Deadlock {
        waits: Vec<(&'static str, Act, &'static str)>,
    },
    /// What is handed over is not visible before the word that says so: (1).
    Unreleased {
        word: &'static str,
    },
    /// What is handed over may be read before the word that says so: (2).
    Unacquired {
        word: &'static str,
    },
    /// A wait without a timeout: (8).
    Endless {
        word: &'static str,
    },
    /// The channels have other sizes than the strategy.
    Sizes {
        channel: &'static str,
        slots: i64,
        strategy: i64,
    },
    /// A slot of a signal that another entry uses, or none: (5).
    Signal {
        name: String,
        fields: usize,
    },
    /// An obligation on the roles.
    Obligation(Problem),
}

/// What CTAs of a multiprocessor share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Threads,
    Registers,
    SharedMemory,
}

impl Found {
    pub(super) fn new(entry: usize, of: &str, fault: Fault) -> Found {
        Found { entry, of: of.to_string(), fault }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.of, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Gap(gap) => write!(f, "{gap}"),
            Fault::Missing => write!(f, "nothing carries it out"),
            Fault::Threads { threads, most } => {
                write!(f, "{threads} threads are no whole warps, or more than {most}")
            }
            Fault::Occupancy { of, wanted, most } => {
                let of = match of {
                    Resource::Threads => "threads",
                    Resource::Registers => "registers",
                    Resource::SharedMemory => "bytes of shared memory",
                };
                write!(f, "(7) its CTAs want {wanted} {of} of a multiprocessor, which has {most}")
            }
            Fault::NotResident { ctas, most } => {
                write!(f, "(7) {ctas} CTAs wait for each other, {most} are resident")
            }
            Fault::NotCooperative => {
                write!(f, "(7) CTAs wait for each other in a launch that is not cooperative")
            }
            Fault::Grid { grid: (x, y), ctas_per_rank, ranks } => {
                write!(
                    f,
                    "a grid of {x} x {y} is not {ctas_per_rank} CTAs for each of {ranks} ranks"
                )
            }
            Fault::Shrinks => write!(f, "its CTAs are counted, and a launch may have fewer"),
            Fault::Planning { ctas, histograms } => {
                write!(f, "{ctas} CTAs plan, the plan has {histograms} histograms")
            }
            Fault::Shared { given, needed } => {
                write!(f, "the launch gives {given} bytes of shared memory, regions need {needed}")
            }
            Fault::Overlap { first, second } => write!(f, "`{first}` and `{second}` overlap"),
            Fault::Beyond { region, end, limit } => {
                write!(f, "`{region}` ends at byte {end} of {limit}")
            }
            Fault::Misaligned { region, offset, to } => {
                write!(f, "`{region}` begins at byte {offset}, no multiple of {to}")
            }
            Fault::Small { region, bytes, needed } => {
                write!(f, "`{region}` has {bytes} bytes, needs {needed}")
            }
            Fault::NoRegion(region) => write!(f, "`{region}` is not there"),
            Fault::GroupBeyond { group, end, threads } => {
                write!(f, "group `{group}` ends at thread {end} of {threads}")
            }
            Fault::GroupsOverlap { first, second } => {
                write!(f, "a thread is in group `{first}` and in `{second}`")
            }
            Fault::Teams { group, threads, teams } => {
                write!(f, "group `{group}` has {threads} threads for {teams} teams of warps")
            }
            Fault::Arrivals { barrier, says, arrive } => {
                write!(f, "barrier `{barrier}` counts {says} arrivals, {arrive} arrive")
            }
            Fault::Divergent { channel, says, all } => {
                write!(f, "the barrier of `{channel}` is for {says}, there are {all}")
            }
            Fault::Actors { channel, act, groups } => {
                write!(f, "{groups} groups {act} `{channel}`, not one")
            }
            Fault::NoChannel(name) => write!(f, "no channel `{name}`"),
            Fault::Credit { channel, slots } => {
                write!(f, "a place of `{channel}` is taken while all {slots} may be in use")
            }
            Fault::Untaken { group, channel } => {
                write!(f, "`{group}` fills a place of `{channel}` that nobody has taken")
            }
            Fault::Unread { group, channel } => {
                write!(f, "`{group}` frees a place of `{channel}` that it has not waited for")
            }
            Fault::Deadlock { waits } => {
                let waits = waits.iter().map(|(g, act, c)| format!("`{g}` to {act} `{c}`"));
                write!(f, "nobody goes on: {}", waits.collect::<Vec<_>>().join(", "))
            }
            Fault::Unreleased { word } => {
                write!(f, "(1) what `{word}` publishes is not released before it")
            }
            Fault::Unacquired { word } => {
                write!(f, "(2) what `{word}` publishes is read without an acquire")
            }
            Fault::Endless { word } => write!(f, "(8) the wait for `{word}` has no timeout"),
            Fault::Sizes { channel, slots, strategy } => {
                write!(f, "`{channel}` has {slots} places, the strategy {strategy}")
            }
            Fault::Signal { name, fields } => {
                write!(f, "(5) signal `{name}` has {fields} fields of the workspaces, not one")
            }
            Fault::Obligation(problem) => write!(f, "{problem}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Reserve => "reserve",
            Act::Claim => "claim",
            Act::Fill => "fill",
            Act::Await => "await",
            Act::Free => "free",
        })
    }
}
