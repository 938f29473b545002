//! Where ranks run.

use crate::backend::Backend;
use crate::cuda::{Cuda, Devices};
use crate::error::Error;
use crate::host::Host;
use crate::lease::Ledger;
use crate::mem::Buffer;
use fusco_dsl::cuda::Target;
use std::sync::Arc;
use std::time::Duration;

/// A set of ranks and the machine they run on. Cheap to clone; clones are one world. Buffers, plans and streams of another world
/// are refused.
#[derive(Clone)]
pub struct World {
    ranks: usize,
    timeout: Duration,
    backend: Arc<dyn Backend>,
    ledger: Arc<Ledger>,
}

/// Seconds a rank waits for another before it reports F0908.
const TIMEOUT: Duration = Duration::from_secs(10);

/// More are a slip: every rank has memory of its own.
const MOST_RANKS: usize = 1 << 20;

impl World {
    /// `ranks` ranks in this process, a thread each.
    ///
    /// # Errors
    /// F0909 for no ranks, or more than 2^20.
    pub fn host(ranks: usize) -> Result<World, Error> {
        check(ranks)?;
        Ok(World::new(ranks, Host { ranks }))
    }

    /// `ranks` ranks on one CUDA device, in its memory and sharing its launches.
    ///
    /// # Errors
    /// F0911 without a driver or device; F0909 for no ranks, or more than 2^20.
    pub fn device(ordinal: i32, ranks: usize) -> Result<World, Error> {
        check(ranks)?;
        World::devices(&vec![ordinal; ranks])
    }

    /// One rank for each element, on that CUDA device: `[0, 1, 2, 3]` are four ranks on four devices, `[0, 0, 1, 1]`
    /// four on two. Ranks of one device are neighbours, as many on each. Kernels read and write the memory of
    /// other devices, so every device must reach every other's, by NVLink or PCIe.
    ///
    /// # Errors
    /// As [`device`](Self::device); F0909 if ranks of a device are not neighbours or not as many on each; F0911
    /// if a device cannot reach another's memory, which names the two.
    pub fn devices(ordinals: &[i32]) -> Result<World, Error> {
        check(ordinals.len())?;
        let devices = Arc::new(Devices::open(ordinals)?);
        Ok(World::new(devices.ranks(), Cuda(devices)))
    }

    /// One device as `parts` devices of `ranks` ranks each: every part has launches of its own and a share
    /// of the multiprocessors, and parts meet through signals in memory as devices do over a link. For
    /// trying programs for several devices on one.
    ///
    /// # Errors
    /// As [`device`](Self::device).
    pub fn device_in_parts(ordinal: i32, parts: usize, ranks: usize) -> Result<World, Error> {
        check(parts.saturating_mul(ranks))?;
        let devices = Arc::new(Devices::parts(ordinal, parts, ranks)?);
        Ok(World::new(devices.ranks(), Cuda(devices)))
    }

    fn new(ranks: usize, backend: impl Backend + 'static) -> World {
        World { ranks, timeout: TIMEOUT, backend: Arc::new(backend), ledger: Arc::default() }
    }

    /// The longest wait of one rank for another before F0908.
    pub fn with_timeout(mut self, timeout: Duration) -> World {
        self.timeout = timeout;
        self
    }

    /// How many ranks it has.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// `"host"` or `"cuda"`.
    pub fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// For benchmarks: one of its devices, as kernels are made for it; `None` on a host.
    #[doc(hidden)]
    pub fn target(&self) -> Option<Target> {
        self.backend.target()
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// For benchmarks: zeroed memory that belongs to no tensor: `bytes` on each device, or once on a host. For copies
    /// that a benchmark holds beside a launch.
    ///
    /// # Errors
    /// F0911 if there is no memory.
    #[doc(hidden)]
    pub fn scratch(&self, bytes: usize) -> Result<Buffer, Error> {
        self.backend.scratch(&self.ledger, bytes)
    }

    pub(crate) fn machine(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("backend", &self.backend())
            .field("ranks", &self.ranks)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// # Errors
/// F0909 for a number of ranks that no world has.
fn check(ranks: usize) -> Result<(), Error> {
    match ranks {
        1..=MOST_RANKS => Ok(()),
        _ => Err(Error::WorldRanks { ranks, most: MOST_RANKS }),
    }
}
