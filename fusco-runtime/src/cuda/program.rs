//! A program's kernels, generated, compiled and loaded on every device.

use super::devices::Devices;
use super::workspace::DevicePlan;
use crate::driver::{Gpu, Kernel, Module};
use crate::error::Error;
use crate::lease::Ledger;
use crate::mem::Buffer;
use crate::workspace::{Loaded, Workspace};
use fusco_dsl::arena::Handle;
use fusco_dsl::cuda::CudaUnit;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule};
use std::sync::Arc;

/// A program's kernels on every device of a world.
pub(crate) struct DeviceProgram {
    schedule: Arc<Verified<Schedule>>,
    pub devices: Arc<Devices>,
    pub unit: CudaUnit,
    /// `[device][kernel of the unit]`
    kernels: Vec<Vec<Kernel>>,
}

impl DeviceProgram {
    pub(crate) fn new(
        devices: &Arc<Devices>,
        schedule: &Arc<Verified<Schedule>>,
    ) -> Result<DeviceProgram, Error> {
        let target = devices.target();
        let (unit, texts) =
            fusco_dsl::cuda::generate_each(schedule, &target).map_err(Error::Program)?;
        let named = unit.kernels.iter().map(|k| k.symbol.as_str());
        let sources: Vec<(&str, &str)> = named.zip(texts.iter().map(String::as_str)).collect();
        let cubins = crate::jit::cubins(&sources, target.architecture.name)?;
        let load = |gpu: &Arc<Gpu>| {
            let each = unit.kernels.iter().zip(&cubins);
            each.map(|(k, cubin)| Kernel::new(&Module::load(gpu, cubin)?, k))
                .collect::<Result<Vec<_>, _>>()
        };
        let kernels = devices.gpus.iter().map(load).collect::<Result<_, _>>()?;
        Ok(DeviceProgram { schedule: schedule.clone(), devices: devices.clone(), kernels, unit })
    }

    /// The kernel that implements a schedule's kernel, on a device.
    pub(crate) fn kernel(&self, device: usize, entry: &str, name: &str) -> Result<&Kernel, Error> {
        let found = self.unit.kernels.iter().position(|k| k.entry == entry && k.name == name);
        found
            .map(|i| &self.kernels[device][i])
            .ok_or_else(|| Error::Internal(format!("entry `{entry}` has no kernel `{name}`")))
    }
}

impl Loaded for DeviceProgram {
    fn workspace(&self, route: Option<Handle<Route>>) -> Result<Arc<dyn Workspace>, Error> {
        let name = route.map_or("", |r| &self.schedule.routes[r].name);
        Ok(Arc::new(DevicePlan::new(&self.devices, &self.unit, name)?))
    }

    fn memory(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error> {
        self.devices.buffer(ledger, name, bytes)
    }

    fn multiprocessors(&self, entry: &str) -> Option<u32> {
        let own = self.unit.kernels.iter().filter(|k| k.entry == entry);
        let ctas = own.map(|k| k.grid.0 * k.grid.1).max()?;
        Some(ctas.min(self.devices.target().sms))
    }
}
