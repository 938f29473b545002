//! A host as a back end: a thread a rank, and each rank's memory in this process.

use super::plan::HostPlan;
use super::stream::HostStream;
use crate::backend::{Backend, Queue};
use crate::error::Error;
use crate::lease::Ledger;
use crate::mem::{Buffer, HostParts};
use crate::workspace::{Loaded, Workspace};
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::Arc;
use std::time::Duration;

/// So many ranks in this process.
pub(crate) struct Host {
    pub ranks: usize,
}

/// A program on a host: its schedule is what runs.
struct Program(Arc<Verified<Schedule>>);

impl Backend for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn alloc(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error> {
        buffer(ledger, name, (self.ranks, bytes))
    }

    fn scratch(&self, ledger: &Arc<Ledger>, bytes: usize) -> Result<Buffer, Error> {
        buffer(ledger, "scratch", (1, bytes))
    }

    fn load(&self, schedule: &Arc<Verified<Schedule>>) -> Result<Arc<dyn Loaded>, Error> {
        Ok(Arc::new(Program(schedule.clone())))
    }

    fn queue(&self, ledger: &Arc<Ledger>, timeout: Duration) -> Result<Box<dyn Queue>, Error> {
        Ok(Box::new(HostStream::new(ledger.clone(), self.ranks, timeout)?))
    }
}

fn buffer(
    ledger: &Arc<Ledger>,
    name: &str,
    (ranks, bytes): (usize, usize),
) -> Result<Buffer, Error> {
    Ok(Buffer::new(ledger, name, bytes, HostParts::zeroed(name, ranks, bytes)?))
}

impl Loaded for Program {
    fn workspace(&self, route: Option<Handle<Route>>) -> Result<Arc<dyn Workspace>, Error> {
        Ok(Arc::new(Arc::new(HostPlan::new(&self.0, route)?)))
    }

    fn memory(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error> {
        buffer(ledger, name, (self.0.ranks as usize, bytes))
    }

    fn multiprocessors(&self, _: &str) -> Option<u32> {
        None
    }
}
