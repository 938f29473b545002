//! CUDA devices as a back end.

use super::devices::Devices;
use super::program::DeviceProgram;
use super::queue::DeviceStream;
use crate::backend::{Backend, Queue};
use crate::error::Error;
use crate::lease::Ledger;
use crate::mem::{Buffer, DeviceParts};
use crate::workspace::Loaded;
use fusco_dsl::cuda::Target;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::Schedule;
use std::sync::Arc;
use std::time::Duration;

/// The devices of a world as its back end.
pub(crate) struct Cuda(pub Arc<Devices>);

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn alloc(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error> {
        self.0.buffer(ledger, name, bytes)
    }

    fn scratch(&self, ledger: &Arc<Ledger>, bytes: usize) -> Result<Buffer, Error> {
        Ok(Buffer::new(ledger, "scratch", bytes, DeviceParts(self.0.alloc_each(bytes)?)))
    }

    fn target(&self) -> Option<Target> {
        Some(self.0.target())
    }

    fn load(&self, schedule: &Arc<Verified<Schedule>>) -> Result<Arc<dyn Loaded>, Error> {
        Ok(Arc::new(DeviceProgram::new(&self.0, schedule)?))
    }

    fn queue(&self, ledger: &Arc<Ledger>, timeout: Duration) -> Result<Box<dyn Queue>, Error> {
        Ok(Box::new(DeviceStream::new(ledger.clone(), &self.0, timeout)?))
    }
}
