//! What a machine does for a world: the one trait that a host and CUDA devices implement, and the queues and
//! marks that come of it.

use crate::error::Error;
use crate::launch::Request;
use crate::lease::{Claims, Ledger};
use crate::mem::Buffer;
use crate::workspace::Loaded;
use fusco_dsl::cuda::Target;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::Schedule;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Where the ranks of a world run.
pub(crate) trait Backend: Send + Sync {
    /// `"host"` or `"cuda"`.
    fn name(&self) -> &'static str;

    /// Zeroed memory on every rank.
    ///
    /// # Errors
    /// F0911 if there is no memory.
    fn alloc(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error>;

    /// Zeroed memory on each device, or once on a host.
    ///
    /// # Errors
    /// F0911 if there is no memory.
    fn scratch(&self, ledger: &Arc<Ledger>, bytes: usize) -> Result<Buffer, Error>;

    /// What kernels are made for; `None` on a host.
    fn target(&self) -> Option<Target> {
        None
    }

    /// Makes a program's kernels.
    ///
    /// # Errors
    /// What generation, NVRTC and the driver say.
    fn load(&self, schedule: &Arc<Verified<Schedule>>) -> Result<Arc<dyn Loaded>, Error>;

    /// # Errors
    /// F0911 if the machine has no more threads or memory.
    fn queue(&self, ledger: &Arc<Ledger>, timeout: Duration) -> Result<Box<dyn Queue>, Error>;
}

/// Launches in order, on every rank.
pub(crate) trait Queue: Send + Sync {
    /// `"host"` or `"cuda"`.
    fn name(&self) -> &'static str;

    /// The world that it belongs to.
    fn ledger(&self) -> &Arc<Ledger>;

    /// Launches of this world, in order and with nothing between them; `claims` are those of all.
    ///
    /// # Errors
    /// F0904 or F0909 if a plan is not as they need it; F0911 if the device has failed.
    fn submit(&self, claims: &Claims, launches: Vec<Request>) -> Result<(), Error>;

    /// Waits for everything submitted; the first error of a launch since the last call.
    ///
    /// # Errors
    /// What a launch reported.
    fn synchronize(&self) -> Result<(), Error>;

    /// Whether everything submitted has ended.
    fn is_idle(&self) -> bool;

    /// When everything submitted before has ended.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn mark(&self) -> Result<Box<dyn Mark>, Error>;

    /// Part for part; the caller has checked that the parts match.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn copy(&self, from: &Buffer, to: &Buffer) -> Result<(), Error>;

    /// Every part to the next device, where there are several.
    ///
    /// # Errors
    /// As [`copy`](Self::copy); F0902 if there is not one part a device.
    fn copy_around(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        self.copy(from, to)
    }

    /// Launches as one that is replayed; `None` where a graph submits them anew.
    ///
    /// # Errors
    /// F0904 if a launch takes a plan that another of them makes for other sizes; F0911 if the device has failed.
    fn record(&self, _: &[Request]) -> Result<Option<Box<dyn Recorded>>, Error> {
        Ok(None)
    }

    /// # Errors
    /// As [`submit`](Self::submit); F0909 for what another world has recorded.
    fn replay(&self, _: &dyn Recorded) -> Result<(), Error> {
        Err(Error::OtherWorld("a graph of a CUDA world needs a stream of that world"))
    }
}

/// A point in time on a queue.
pub(crate) trait Mark: Any + Send + Sync {
    /// Time from `earlier` of the same world to this mark. Waits until it is reached.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn since(&self, earlier: &dyn Mark) -> Result<Duration, Error>;
}

/// Launches that a queue has recorded.
pub(crate) trait Recorded: Any + Send + Sync {}

impl dyn Mark {
    /// It, if it is of this kind.
    pub(crate) fn kind<T: Mark>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

impl dyn Recorded {
    /// They, if they are of this kind.
    pub(crate) fn kind<T: Recorded>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}
