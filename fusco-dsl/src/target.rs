//! The machine that kernels are made for: what its architecture can do, and how much of it there is.

/// What an architecture may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `cp.async.bulk` between global and shared memory, and barriers that count its bytes.
    BulkCopy,
}

/// A family of devices, as NVRTC names it.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// As `sm_90a`.
    pub name: &'static str,
    /// Multiprocessors of its largest common device.
    sms: u32,
    /// Shared memory of one CTA at most, bytes.
    shared: i64,
    capabilities: &'static [Capability],
}

const KIB: i64 = 1024;
const BULK: &[Capability] = &[Capability::BulkCopy];

/// CUDA C++ Programming Guide, "Features and Technical Specifications"; the multiprocessors are those of A100,
/// RTX 3090, AGX Orin, L40S, H100, B200, B300, RTX PRO 6000 and GB10.
const KNOWN: [Architecture; 14] = [
    Architecture { name: "sm_80", sms: 108, shared: 163 * KIB, capabilities: &[] },
    Architecture { name: "sm_86", sms: 82, shared: 99 * KIB, capabilities: &[] },
    Architecture { name: "sm_87", sms: 16, shared: 163 * KIB, capabilities: &[] },
    Architecture { name: "sm_89", sms: 142, shared: 99 * KIB, capabilities: &[] },
    Architecture { name: "sm_90", sms: 132, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_90a", sms: 132, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_100", sms: 148, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_100a", sms: 148, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_103", sms: 148, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_103a", sms: 148, shared: 227 * KIB, capabilities: BULK },
    Architecture { name: "sm_120", sms: 188, shared: 99 * KIB, capabilities: BULK },
    Architecture { name: "sm_120a", sms: 188, shared: 99 * KIB, capabilities: BULK },
    Architecture { name: "sm_121", sms: 48, shared: 99 * KIB, capabilities: BULK },
    Architecture { name: "sm_121a", sms: 48, shared: 99 * KIB, capabilities: BULK },
];

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
}

impl Target {
    /// The largest common device of an architecture.
    pub fn new(architecture: &'static Architecture, ranks_per_device: u32) -> Target {
        let (sms, shared) = (architecture.sms, architecture.shared);
        Target { architecture, sms, ranks_per_device, shared }
    }

    /// One H100 or H200.
    pub fn hopper(ranks_per_device: u32) -> Target {
        let hopper = KNOWN.iter().position(|a| a.name == "sm_90a").unwrap_or_default();
        Target::new(&KNOWN[hopper], ranks_per_device)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.architecture.capabilities.contains(&capability)
    }

    /// Shared memory of each of so many CTAs that are on a multiprocessor at once, bytes. A multiprocessor has 1 KiB
    /// more than one CTA may use, and keeps 1 KiB for each.
    pub fn shared_of_each(&self, ctas: i64) -> i64 {
        (self.shared + KIB) / ctas.max(1) - KIB
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
