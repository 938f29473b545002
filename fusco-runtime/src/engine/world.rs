//! Where ranks run.

use super::{Error, Stream};
use crate::host::HostStream;
use crate::mem::Buffer;
use std::time::Duration;

/// A set of ranks and the machine they run on. Cheap to clone.
#[derive(Clone)]
pub struct World {
    ranks: usize,
    timeout: Duration,
    kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Host,
}

/// Seconds a rank waits for another before it reports F0908.
const TIMEOUT: Duration = Duration::from_secs(10);

impl World {
    /// `ranks` ranks in this process, a thread each.
    ///
    /// # Errors
    /// F0909 for no ranks.
    pub fn host(ranks: usize) -> Result<World, Error> {
        if ranks == 0 {
            return Err(Error::plan("a world has at least one rank".to_string()));
        }
        Ok(World { ranks, timeout: TIMEOUT, kind: Kind::Host })
    }

    /// The longest wait of one rank for another before F0908.
    pub fn with_timeout(mut self, timeout: Duration) -> World {
        self.timeout = timeout;
        self
    }

    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// `"host"` or `"cuda"`.
    pub fn backend(&self) -> &'static str {
        match self.kind {
            Kind::Host => "host",
        }
    }

    /// A queue of launches; launches of different streams run concurrently.
    pub fn stream(&self) -> Result<Stream, Error> {
        match &self.kind {
            Kind::Host => Ok(Stream::host(HostStream::new(self.ranks, self.timeout)?)),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn alloc(&self, name: &str, bytes: usize) -> Result<Buffer, Error> {
        match &self.kind {
            Kind::Host => Buffer::host(name, self.ranks, bytes),
        }
    }
}
