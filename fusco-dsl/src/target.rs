//! The machine that kernels are made for: what its architecture can do, and how much of it there is.

/// What an architecture may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `cp.async.bulk` between global and shared memory, and barriers that count its bytes.
    BulkCopy,
}

/// A number of the machine, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub number: f64,
    pub source: RateSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateSource {
    /// `docs/performance.md`.
    Measured,
    /// The maker's data sheet, less what a measured machine loses of its own.
    DataSheet,
    /// A file that describes machines.
    Stated,
    /// `fuscoc bench --links` on this machine.
    Here,
}

/// How fast a device moves bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Bytes a nanosecond that a copy in memory reads and writes.
    pub copy: Rate,
    /// Bytes a nanosecond that stores of a kernel send to peers, both ways at once.
    pub link: Rate,
    /// The same that loads of a kernel fetch.
    pub pull: Rate,
    /// Nanoseconds until a kernel of a stream begins after the one before.
    pub launch: Rate,
    /// Nanoseconds of a barrier of all CTAs.
    pub barrier: Rate,
    /// Nanoseconds from a rank's turn to its first row where it fetches: plans of peers are read, then rows asked for.
    pub fetch: Rate,
    /// To devices of other nodes.
    pub network: Network,
}

/// Between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Bytes a nanosecond of each device, one way.
    pub rate: Rate,
    /// Nanoseconds until the first of them is there.
    pub latency: Rate,
}

/// A family of devices, as NVRTC names it.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// As `sm_90a`.
    pub name: &'static str,
    /// Multiprocessors of its largest common device.
    sms: u32,
    /// Shared memory of one CTA at most, bytes.
    shared: i64,
    /// Threads of a multiprocessor.
    threads: u32,
    /// Of memory and of links, one way: gigabytes a second of the data sheet.
    peak: (f64, f64),
    capabilities: &'static [Capability],
}

const KIB: i64 = 1024;
const BULK: &[Capability] = &[Capability::BulkCopy];

/// CUDA C++ Programming Guide, "Features and Technical Specifications"; the multiprocessors are those of A100,
/// RTX 3090, AGX Orin, L40S, H100, B200, B300, RTX PRO 6000 and GB10, and so are the rates of their data sheets.
const KNOWN: [Architecture; 14] = [
    known("sm_80", (108, 2048, 163), (1555.0, 300.0), &[]),
    known("sm_86", (82, 1536, 99), (936.0, 32.0), &[]),
    known("sm_87", (16, 1536, 163), (204.8, 16.0), &[]),
    known("sm_89", (142, 1536, 99), (864.0, 32.0), &[]),
    known("sm_90", (132, 2048, 227), (3350.0, 450.0), BULK),
    known("sm_90a", (132, 2048, 227), (3350.0, 450.0), BULK),
    known("sm_100", (148, 2048, 227), (8000.0, 900.0), BULK),
    known("sm_100a", (148, 2048, 227), (8000.0, 900.0), BULK),
    known("sm_103", (148, 2048, 227), (8000.0, 900.0), BULK),
    known("sm_103a", (148, 2048, 227), (8000.0, 900.0), BULK),
    known("sm_120", (188, 1536, 99), (1792.0, 64.0), BULK),
    known("sm_120a", (188, 1536, 99), (1792.0, 64.0), BULK),
    known("sm_121", (48, 1536, 99), (273.0, 25.0), BULK),
    known("sm_121a", (48, 1536, 99), (273.0, 25.0), BULK),
];

const fn known(
    name: &'static str,
    (sms, threads, shared): (u32, u32, i64),
    peak: (f64, f64),
    capabilities: &'static [Capability],
) -> Architecture {
    Architecture { name, sms, shared: shared * KIB, threads, peak, capabilities }
}

/// What a copy of a few GB, and stores and loads of a kernel, reach on H100s of 3350 and 450 GB/s.
const MEASURED: (f64, f64, f64) = (3021.0, 362.0, 332.0);
/// Between two kernels of a graph, and for a barrier of 264 CTAs: the plan of 262,144 pairs has five barriers and
/// handshakes in 14 us.
const LAUNCH: f64 = 2000.0;
const BARRIER: f64 = 1500.0;
/// Two H200, 1 to 512 tokens: rows that are fetched take 2 to 7 us more than rows that are pushed (`tests/gpu/ways.sh`).
const FETCH: f64 = 5e3;
/// Of a 400 Gbit/s card for each device, 50 GB/s of its data sheet, and of a message through one switch.
const NETWORK: (f64, f64) = (50.0, 5e3);

impl Architecture {
    /// The architecture of that name.
    pub fn find(name: &str) -> Option<&'static Architecture> {
        KNOWN.iter().find(|a| a.name == name)
    }

    /// That of a device's compute capability, with the features of that one alone where it has any.
    pub fn of_device(major: i32, minor: i32) -> Option<&'static Architecture> {
        let name = format!("sm_{major}{minor}");
        Architecture::find(&format!("{name}a")).or_else(|| Architecture::find(&name))
    }

    /// How fast it moves bytes: measured on Hopper, elsewhere the data sheet less what Hopper loses of its own.
    pub fn rates(&self) -> Rates {
        let hopper = (3350.0, 450.0);
        let source = if self.peak == hopper { RateSource::Measured } else { RateSource::DataSheet };
        let rate = |number| Rate { number, source };
        let stated = |number| Rate { number, source: RateSource::DataSheet };
        Rates {
            copy: rate(self.peak.0 * MEASURED.0 / hopper.0),
            link: rate(self.peak.1 * MEASURED.1 / hopper.1),
            pull: rate(self.peak.1 * MEASURED.2 / hopper.1),
            launch: rate(LAUNCH),
            barrier: rate(BARRIER),
            fetch: rate(FETCH),
            network: Network { rate: stated(NETWORK.0), latency: stated(NETWORK.1) },
        }
    }

    /// All that kernels can be made for.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|a| a.name)
    }
}

/// One of the devices that share the ranks, all of which are alike.
#[derive(Clone, Debug)]
pub struct Target {
    pub architecture: &'static Architecture,
    /// Multiprocessors of the device.
    pub sms: u32,
    /// Ranks that share the device, and so a launch.
    pub ranks_per_device: u32,
    /// Shared memory of one CTA at most, bytes.
    pub shared: i64,
    /// How fast it moves bytes.
    pub rates: Rates,
    /// Devices that links join; `None` for all.
    pub node: Option<u32>,
}

impl Target {
    /// The largest common device of an architecture.
    pub fn new(architecture: &'static Architecture, ranks_per_device: u32) -> Target {
        let (sms, shared) = (architecture.sms, architecture.shared);
        let rates = architecture.rates();
        Target { architecture, sms, ranks_per_device, shared, rates, node: None }
    }

    /// One H100 or H200.
    pub fn hopper(ranks_per_device: u32) -> Target {
        let hopper = KNOWN.iter().position(|a| a.name == "sm_90a").unwrap_or_default();
        Target::new(&KNOWN[hopper], ranks_per_device)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.architecture.capabilities.contains(&capability)
    }

    /// Threads of a multiprocessor at most.
    pub fn threads(&self) -> u32 {
        self.architecture.threads
    }

    /// Shared memory of each of so many CTAs that are on a multiprocessor at once, bytes. A multiprocessor has 1 KiB
    /// more than one CTA may use, and keeps 1 KiB for each.
    pub fn shared_of_each(&self, ctas: i64) -> i64 {
        (self.shared + KIB) / ctas.max(1) - KIB
    }
}

/// Devices that share the ranks of a program: nodes of as many devices, all alike.
#[derive(Clone, Debug)]
pub struct Topology {
    /// What they are, in words.
    pub name: String,
    pub nodes: u32,
    /// Of each node; links join them.
    pub devices: u32,
    pub architecture: &'static Architecture,
    pub rates: Rates,
}

impl Topology {
    /// One of its devices, which as many ranks share.
    pub fn target(&self, ranks_per_device: u32) -> Target {
        let target = Target::new(self.architecture, ranks_per_device);
        Target { rates: self.rates, node: Some(self.devices), ..target }
    }
}

#[cfg(test)]
mod tests {
    use super::{Architecture, Capability, Target};

    #[test]
    fn a_device_is_found_by_its_compute_capability() {
        let name = |major, minor| Architecture::of_device(major, minor).map(|a| a.name);
        assert_eq!(name(8, 0), Some("sm_80"));
        assert_eq!(name(9, 0), Some("sm_90a"));
        assert_eq!(name(12, 0), Some("sm_120a"));
        assert_eq!(name(7, 0), None);
    }

    #[test]
    fn shared_memory_is_split_with_what_each_cta_costs() {
        assert_eq!(Target::hopper(8).shared_of_each(1), 227 * 1024);
        assert_eq!(Target::hopper(8).shared_of_each(2), 113 * 1024);
        assert!(Target::hopper(8).has(Capability::BulkCopy));
    }
}
