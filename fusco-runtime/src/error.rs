//! What can go wrong between a program text and its moved bytes: one variant a situation, as data, with what
//! the caller can do about it.

use fusco_dsl::diag::Diagnostics;

/// What went wrong. [`code`](Error::code) is its number in the catalogue: `fuscoc explain F0902` says more.
///
/// Nothing was started by a call that returns one of these, except that [`Stream::synchronize`](crate::Stream::synchronize)
/// and [`Arrivals`](crate::Arrivals) tell of launches that ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program was refused at compile or bind time. [`diag::render`](crate::diag::render) shows where and how to
    /// mend it.
    #[error("{}", first_message(.0))]
    Program(Diagnostics),

    /// The program has nothing of this name: [`Bound`](crate::Bound) lists what it has.
    #[error("program `{program}` has no {noun} `{name}`{hint}")]
    Unknown {
        /// The bound program.
        program: String,
        /// What was looked for.
        noun: Noun,
        /// The name that was given.
        name: String,
        /// The nearest names, or nothing.
        hint: String,
    },
    /// A launch lacks an argument: add it to [`LaunchArgs`](crate::LaunchArgs).
    #[error("entry `{entry}` needs {}", noun.argument(name))]
    Missing {
        /// The entry that was launched.
        entry: String,
        /// What it lacks.
        noun: Noun,
        /// Its name.
        name: String,
    },
    /// One name has two arguments: leave out one.
    #[error("{} is given twice", noun.argument(name))]
    Twice {
        /// What is given twice.
        noun: Noun,
        /// Its name.
        name: String,
    },

    /// F0902: a buffer is not as large as its tensor: allocate it by the program that is launched
    /// ([`Bound::alloc`](crate::Bound::alloc)), with the params that it was bound with.
    #[error(
        "`{tensor}` needs {bytes} bytes on {ranks} ranks; got {got_bytes} bytes on {got_ranks} ranks"
    )]
    BufferSize {
        /// The tensor that the buffer was given for.
        tensor: String,
        /// Bytes that the tensor has on each rank.
        bytes: usize,
        /// Ranks of the program.
        ranks: usize,
        /// Bytes that the buffer has on each rank.
        got_bytes: usize,
        /// Ranks of the buffer.
        got_ranks: usize,
    },
    /// F0902: a buffer belongs to another world: allocate one by a program that is bound to this world.
    #[error(
        "the buffer `{buffer}` belongs to another world; allocate it by this program (`alloc`)"
    )]
    BufferWorld {
        /// The tensor that it was allocated for.
        buffer: String,
    },
    /// F0902: a buffer does not begin where `with align(..)` of its tensor says.
    #[error("`{tensor}` is declared `align({align})`; its buffer on rank {rank} is not")]
    Alignment {
        /// The tensor that the buffer was given for.
        tensor: String,
        /// Bytes that it is declared to be aligned to.
        align: i64,
        /// The first rank whose part is not.
        rank: usize,
    },
    /// F0902: two tensors of an entry are given one buffer, and it writes one of them: allocate two.
    #[error(
        "`{first}` and `{second}` of entry `{entry}` are given one buffer, and it writes `{written}`: an entry does not work in place, allocate two"
    )]
    Alias {
        /// The entry that was launched.
        entry: String,
        /// One tensor.
        first: String,
        /// The other one.
        second: String,
        /// The one that the entry writes.
        written: String,
    },
    /// F0902: an access to a rank or to bytes that a buffer does not have.
    #[error(
        "`{buffer}` has {bytes} bytes on each of {ranks} ranks: no {len} at {offset} on rank {rank}"
    )]
    Outside {
        /// The tensor that the buffer was allocated for.
        buffer: String,
        /// Bytes that it has on each rank.
        bytes: usize,
        /// Ranks that it has.
        ranks: usize,
        /// The rank of the access.
        rank: i64,
        /// Where it begins.
        offset: i64,
        /// How many bytes it takes.
        len: usize,
    },
    /// F0902: a launch in flight writes the buffer: wait for it, or read rows that an arrival has announced.
    #[error(
        "`{buffer}` is being written by a launch in flight: wait with `download` or `synchronize`, or read rows that an arrival has announced with `peek_arrived`"
    )]
    InFlight {
        /// The tensor that it was allocated for.
        buffer: String,
    },
    /// F0902: a copy between buffers of unlike size.
    #[error("a copy of {} x {} bytes to {} x {} bytes", from.0, from.1, to.0, to.1)]
    CopySizes {
        /// Parts of the source and bytes of each.
        from: (usize, usize),
        /// Parts of the target and bytes of each.
        to: (usize, usize),
    },

    /// F0902: elements of a tensor are of another type than the numbers that are given or asked for. Unsigned integers
    /// of the same size stand for the bits of any type.
    #[error("`{tensor}` holds {declared}, not {given}")]
    ElementType {
        /// The tensor.
        tensor: String,
        /// Its declared element type.
        declared: &'static str,
        /// The type of the numbers.
        given: &'static str,
    },
    /// F0902: a logical array is not of the tensor's shape, or shorter than what its ranks hold.
    #[error("the array of `{tensor}`: {why}")]
    Array {
        /// The tensor.
        tensor: String,
        /// What does not fit.
        why: String,
    },
    /// Where a tensor's elements lie follows from something of the launch: give it, as the launch is given it. A plan
    /// must have been made.
    #[error("where `{tensor}` lies follows from {}", noun.argument(name))]
    PlacementNeeds {
        /// The tensor that is filled or read.
        tensor: String,
        /// What it follows from.
        noun: Noun,
        /// Its name.
        name: String,
    },
    /// F0999: this version has no logical array of such a placement: fill its buffers by rank.
    #[error("{0}")]
    Unsupported(String),

    /// F0904: a dyn has as many values as the program says: one, or one for each coordinate of its mesh axes.
    #[error("{}", dyn_values(name, *values, *wanted, *ranks))]
    DynValues {
        /// The dyn.
        name: String,
        /// How many values were given.
        values: usize,
        /// How many it has; 1 if it is the same on every rank.
        wanted: usize,
        /// Ranks of the program.
        ranks: usize,
    },
    /// F0904: a dyn is outside its bound, for which memory was made: bind a larger one, or launch with less.
    #[error("dyn {name} = {value} {} {}", if *value < 0 { "<" } else { ">" }, if *value < 0 { "0" } else { bound.as_str() })]
    DynRange {
        /// The dyn, with its rank if it has one value for each: `T[3]`.
        name: String,
        /// The value that was given.
        value: i64,
        /// The largest that it may have: `TMAX = 4096`, or the number alone.
        bound: String,
    },
    /// F0904: no `schedule when` of the entry holds for these dyns: give the entry a schedule without a condition.
    #[error("no schedule of entry `{entry}` covers these dyns")]
    NoSchedule {
        /// The entry that was launched.
        entry: String,
    },
    /// F0904: a plan was made for other sizes: launch the entry that makes it again.
    #[error(
        "entry `{entry}` has {positions} positions on rank {rank}; its plan of route `{route}` was made for {made}"
    )]
    PlanSizes {
        /// The entry that takes the plan.
        entry: String,
        /// The plan's route.
        route: String,
        /// The first rank that differs.
        rank: usize,
        /// Positions of the rank in this launch.
        positions: i64,
        /// Positions of the rank when the plan was made.
        made: i64,
    },

    /// F0909: a world has at least one rank, and not more than memory could serve.
    #[error("a world has 1 to {most} ranks, not {ranks}")]
    WorldRanks {
        /// The ranks that were asked for.
        ranks: usize,
        /// The most that a world may have.
        most: usize,
    },
    /// F0909: ranks of one device must be neighbours, and as many on each: `[0, 0, 1, 1]`.
    #[error("devices {ordinals:?}: ranks of a device must be neighbours, as many on each")]
    UnevenDevices {
        /// The device of each rank.
        ordinals: Vec<i32>,
    },
    /// F0909: the devices of a world are of one architecture.
    #[error("the devices of a world are alike; here {first}, and {other}")]
    UnlikeDevices {
        /// The first device.
        first: String,
        /// One that differs.
        other: String,
    },
    /// F0909: the meshes of a program say how many ranks it has: bind it to such a world.
    #[error("program `{program}` is for {needs} ranks; this world has {ranks}")]
    ProgramRanks {
        /// The program.
        program: String,
        /// Ranks of its meshes.
        needs: i64,
        /// Ranks of the world.
        ranks: usize,
    },
    /// F0909: what was put together belongs to different worlds.
    #[error("{0}")]
    OtherWorld(&'static str),
    /// F0909: a plan was made by another bound program: make it by the one that is launched
    /// ([`Bound::plan`](crate::Bound::plan)).
    #[error("the plan of `{route}` was made by another bound program than `{program}`")]
    OtherProgram {
        /// The plan's route.
        route: String,
        /// The program that was launched.
        program: String,
    },
    /// F0909: no launch has made the plan: first launch an entry that says `plan` of its route.
    #[error(
        "entry `{entry}` takes a plan of route `{route}` that no launch has made: first launch an entry with `plan {route}`"
    )]
    NotPlanned {
        /// The entry that takes the plan.
        entry: String,
        /// The plan's route.
        route: String,
    },
    /// F0909: the launch that made the plan has failed, on another stream, whose `synchronize` says why: make it anew.
    #[error("the launch that made a plan of route `{route}` has failed, on another stream")]
    PlanFailed {
        /// The plan's route.
        route: String,
    },
    /// F0909: ranks are `0..ranks`.
    #[error("there are {ranks} ranks, no rank {rank}")]
    NoRank {
        /// How many there are.
        ranks: usize,
        /// The one that was asked for.
        rank: usize,
    },
    /// F0909: a rank has no arrival counter of this number: [`Tile::slot`](crate::Tile::slot) says those that it has.
    #[error("no counter {slot} on rank {rank}")]
    NoCounter {
        /// The rank that was asked for.
        rank: i64,
        /// The counter that was asked for.
        slot: i64,
    },
    /// F0909: an entry counts no arrivals: it writes no ragged tensor over this route.
    #[error("entry `{entry}` announces no arrivals over `{route}`")]
    NoArrivals {
        /// The entry.
        entry: String,
        /// The plan's route.
        route: String,
    },
    /// F0909: counters of a device are read by a kernel ([`Arrivals::on_device`](crate::Arrivals::on_device)), those of a
    /// host by the caller.
    #[error("{}", if *on_device { "arrivals of a device are read on the device" } else { "this world has no device counters" })]
    ArrivalsElsewhere {
        /// Where the counters are.
        on_device: bool,
    },
    /// F0909: a kernel follows groups that are equally far apart; those of this rank lie by a table of owners.
    #[error(
        "the groups of rank {rank} lie by a table of owners: a kernel follows groups that are equally far apart"
    )]
    ScatteredGroups {
        /// The rank that was asked for.
        rank: usize,
    },
    /// F0909: rows of an entry go to groups that are dealt in several ways: watch entries that send to one placement.
    #[error(
        "entry `{entry}` sends rows to groups that lie on different ranks: no one counter says which have arrived"
    )]
    SeveralDeals {
        /// The entry that was asked for.
        entry: String,
    },
    /// F0909: a stream that captures takes launches, and nothing else.
    #[error("a stream that captures {0}")]
    Capturing(&'static str),

    /// F0906: an element of a route's index tensor is outside its type. Found while the launch ran.
    #[error("{tensor}[{at}] = {value}, outside 0..{}", bound - 1)]
    Index {
        /// The index tensor.
        tensor: String,
        /// The tuple, by the sources of the route: `s=2, t=17, k=1`.
        at: String,
        /// What it holds.
        value: i64,
        /// What it must be below.
        bound: i64,
    },
    /// F0906: an index, an owner or a count that was read from a tensor leads out of its range. Found while the launch
    /// ran.
    #[error("{0}")]
    OutOfRange(String),
    /// F0907: data breaks an `assume distinct` that memory was sized by. Found while the launch ran.
    #[error("{0}")]
    NotDistinct(String),
    /// F0910: an `else trap` of the route was reached: use `else drop`, or give it more room.
    #[error("{entry}: rank {rank} trapped: {message}")]
    Trap {
        /// The entry that ran.
        entry: String,
        /// The rank that trapped.
        rank: usize,
        /// What led there.
        message: String,
    },
    /// F0908: a wait was not answered in time: the other rank did not launch the same entry, or the machine is slow
    /// ([`World::with_timeout`](crate::World::with_timeout)).
    #[error("{entry}: rank {rank} waited {seconds} s for {peer_name}, {signal} slot {slot}: expected {expected} arrivals, saw {seen}", peer_name = peer_name(*peer))]
    Timeout {
        /// The entry that ran.
        entry: String,
        /// The rank that waited.
        rank: usize,
        /// For whom; negative for any of its peers.
        peer: i64,
        /// Whose counter it is.
        signal: String,
        /// The counter's number.
        slot: i64,
        /// Arrivals that were waited for.
        expected: i64,
        /// Arrivals that were seen.
        seen: i64,
        /// How long it waited.
        seconds: f64,
    },

    /// F0911: no CUDA driver is installed: use a host world.
    #[error("{0}")]
    NoDriver(String),
    /// F0911: no NVRTC that compiles: `fuscoc doctor --fetch` brings one.
    #[error("{0}")]
    NoNvrtc(String),
    /// F0911: the machine or a device has not so much memory: take smaller sizes or fewer ranks.
    #[error("{0}")]
    NoMemory(String),
    /// F0911: the process has no more threads: take fewer ranks, or drop streams.
    #[error("{0}")]
    NoThreads(String),
    /// F0911: fusco makes no kernels for this device: choose another, or a host world.
    #[error(
        "device {ordinal} is an sm_{major}{minor}, which fusco makes no kernels for; it does for {known}"
    )]
    Architecture {
        /// The device.
        ordinal: i32,
        /// Of its compute capability.
        major: i32,
        /// Of its compute capability.
        minor: i32,
        /// Those that fusco makes kernels for.
        known: String,
    },
    /// F0911: a device cannot read and write another's memory: choose devices that can.
    #[error(
        "device {from} cannot reach the memory of device {to}: they need NVLink or PCIe peer access (`nvidia-smi topo -p2p rw` shows who has it); choose devices that have it, or put all ranks on device {from}"
    )]
    Unreachable {
        /// The device that would reach.
        from: i32,
        /// The device that would be reached.
        to: i32,
    },
    /// F0911: a call of the CUDA driver failed. After a kernel's fault a device fails until the process ends.
    #[error("{0}")]
    Driver(String),
    /// F0911: NVRTC refused a kernel, with its log: a defect of fusco, please report it.
    #[error("{0}")]
    Nvrtc(String),
    /// F0911: a folder or a download that `fuscoc doctor` looks after.
    #[error("{0}")]
    Install(String),
    /// F0706: blocks that wait for each other must all run at once: ask for fewer in the entry's `schedule`.
    #[error("{ctas} CTAs cannot be resident ({sms} SMs x {each}); spinning waits would hang")]
    Resident {
        /// Blocks of the kernel.
        ctas: u32,
        /// Multiprocessors of the device.
        sms: u32,
        /// Blocks that fit on one.
        each: u32,
    },
    /// F0790: a defect of fusco and not of the program; please report it.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noun {
    /// `in`, `out`, `inout`: its argument is a buffer.
    Tensor,
    /// A size that is known at launch.
    Dyn,
    /// What is launched.
    Entry,
    /// `route`: its argument is a plan.
    Route,
}

impl Noun {
    /// What a launch is given for the name.
    fn argument(self, name: &str) -> String {
        match self {
            Noun::Tensor => format!("a buffer for `{name}`"),
            Noun::Dyn => format!("dyn `{name}`"),
            Noun::Entry => format!("entry `{name}`"),
            Noun::Route => format!("a plan of route `{name}`"),
        }
    }

    fn code(self) -> &'static str {
        match self {
            Noun::Tensor => "F0902",
            Noun::Dyn => "F0904",
            Noun::Entry | Noun::Route => "F0909",
        }
    }
}

impl std::fmt::Display for Noun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Noun::Tensor => "tensor",
            Noun::Dyn => "dyn",
            Noun::Entry => "entry",
            Noun::Route => "route",
        })
    }
}

impl Error {
    /// Its number in the catalogue, which `fuscoc explain` and [`diag::explain`](crate::diag::explain) know.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Program(d) => d.0.first().map_or("F0999", |d| d.code),
            Error::Unknown { noun, .. }
            | Error::Missing { noun, .. }
            | Error::Twice { noun, .. }
            | Error::PlacementNeeds { noun, .. } => noun.code(),
            Error::BufferSize { .. }
            | Error::BufferWorld { .. }
            | Error::Alignment { .. }
            | Error::Alias { .. }
            | Error::Outside { .. }
            | Error::InFlight { .. }
            | Error::ElementType { .. }
            | Error::Array { .. }
            | Error::CopySizes { .. } => "F0902",
            Error::DynValues { .. }
            | Error::DynRange { .. }
            | Error::NoSchedule { .. }
            | Error::PlanSizes { .. } => "F0904",
            Error::WorldRanks { .. }
            | Error::UnevenDevices { .. }
            | Error::UnlikeDevices { .. }
            | Error::ProgramRanks { .. }
            | Error::OtherWorld(_)
            | Error::OtherProgram { .. }
            | Error::NotPlanned { .. }
            | Error::PlanFailed { .. }
            | Error::NoRank { .. }
            | Error::NoCounter { .. }
            | Error::NoArrivals { .. }
            | Error::ArrivalsElsewhere { .. }
            | Error::ScatteredGroups { .. }
            | Error::SeveralDeals { .. }
            | Error::Capturing(_) => "F0909",
            Error::Index { .. } | Error::OutOfRange(_) => "F0906",
            Error::NotDistinct(_) => "F0907",
            Error::Timeout { .. } => "F0908",
            Error::Trap { .. } => "F0910",
            Error::NoDriver(_)
            | Error::NoNvrtc(_)
            | Error::NoMemory(_)
            | Error::NoThreads(_)
            | Error::Architecture { .. }
            | Error::Unreachable { .. }
            | Error::Driver(_)
            | Error::Nvrtc(_)
            | Error::Install(_) => "F0911",
            Error::Resident { .. } => "F0706",
            Error::Unsupported(_) => "F0999",
            Error::Internal(_) => "F0790",
        }
    }

    /// Whether the machine lacks something, rather than the input being wrong.
    pub fn is_environment(&self) -> bool {
        self.code() == "F0911"
    }

    /// F0906: an element of an index tensor is outside its range.
    pub(crate) fn outside(tensor: &str, value: i64, limit: i64) -> Error {
        let what = format!("an index read from `{tensor}` is {value}, outside 0..{limit}");
        Error::OutOfRange(what)
    }

    /// The name is not of this program; the nearest that is, or all of them.
    pub(crate) fn unknown<'a>(
        program: &str,
        noun: Noun,
        name: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Error {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let hint = fusco_dsl::diag::hint(name, &known);
        Error::Unknown { program: program.to_string(), noun, name: name.to_string(), hint }
    }

    /// F0907: two elements of an index tensor that is assumed distinct name one place.
    pub(crate) fn equal_elements(tensor: &str, at: i64, value: i64) -> Error {
        Error::NotDistinct(format!(
            "{tensor}[{at}] = {value}, as another element: `assume distinct` of `{tensor}` is false"
        ))
    }
}

/// Rows of a tile come from any rank.
fn peer_name(peer: i64) -> String {
    if peer < 0 { "its peers".to_string() } else { format!("rank {peer}") }
}

fn dyn_values(name: &str, values: usize, wanted: usize, ranks: usize) -> String {
    match wanted {
        1 => format!("dyn {name} is one value for all ranks; got {values}"),
        n if n == ranks => format!("dyn {name} has {values} values for {wanted} ranks"),
        _ => format!("dyn {name} has {values} values for {wanted} coordinates of its mesh axes"),
    }
}

fn first_message(diagnostics: &Diagnostics) -> String {
    match diagnostics.0.first() {
        Some(d) if diagnostics.0.len() > 1 => {
            format!("{}: {} (and {} more)", d.code, d.message, diagnostics.0.len() - 1)
        }
        Some(d) => format!("{}: {}", d.code, d.message),
        None => "the program was refused".to_string(),
    }
}

#[cfg(test)]
mod tests {
    /// What `fuscoc explain` is asked for, by this file's own text.
    #[test]
    fn each_code_has_its_page() {
        let text = include_str!("error.rs");
        let quoted = text.split('"').filter(|t| t.len() == 5 && t.starts_with("F0"));
        let codes: std::collections::BTreeSet<&str> = quoted.collect();
        assert!(codes.len() > 8, "{codes:?}");
        for code in codes {
            assert!(fusco_dsl::diag::entry(code).is_some(), "{code}");
        }
    }
}
