//! CUDA worlds: programs, plans and streams on one or several devices of this process.
//!
//! Ranks are dealt to devices in order, the same number each; all ranks of a device share one launch.

mod arguments;
mod queue;

pub(crate) use queue::{DeviceGraph, DeviceStream};

use super::Error;
use crate::driver::{self, Gpu, Kernel, Mark, Memory, Module};
use fusco_dsl::cuda::{CudaUnit, Field, Target, Workspace};
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::Schedule;
use std::sync::{Arc, Mutex};

/// The devices of a world.
pub(crate) struct Devices {
    pub gpus: Vec<Arc<Gpu>>,
    pub ranks_per_device: usize,
    /// Launches that share a device's multiprocessors.
    parts: usize,
    /// The end of the latest launch on each device. On several devices all launches are chained, so
    /// that each device sees them in one order: ranks that wait for each other are then all resident.
    order: Mutex<Vec<Mark>>,
}

impl Devices {
    /// One rank for each element; ranks of one device are neighbours, as many on each.
    pub(crate) fn open(ordinals: &[i32]) -> Result<Devices, Error> {
        let mut distinct = ordinals.to_vec();
        distinct.dedup();
        let each = ordinals.len() / distinct.len().max(1);
        let even = ordinals
            .chunks(each.max(1))
            .zip(&distinct)
            .all(|(chunk, d)| chunk.iter().all(|o| o == d));
        if ordinals.is_empty() || !even || each * distinct.len() != ordinals.len() {
            return Err(Error::UnevenDevices { ordinals: ordinals.to_vec() });
        }
        let gpus = distinct.iter().map(|o| Gpu::open(*o)).collect::<Result<Vec<_>, _>>()?;
        crate::transport::connect(&gpus)?;
        Devices::new(gpus, each, 1)
    }

    /// One device as `parts` devices, each with its share of the multiprocessors and `ranks` ranks.
    pub(crate) fn parts(ordinal: i32, parts: usize, ranks: usize) -> Result<Devices, Error> {
        let gpu = Gpu::open(ordinal)?;
        Devices::new(vec![gpu; parts], ranks, parts)
    }

    fn new(gpus: Vec<Arc<Gpu>>, ranks_per_device: usize, parts: usize) -> Result<Devices, Error> {
        if let Some(other) = gpus.iter().find(|g| g.architecture != gpus[0].architecture) {
            let (first, other) = (gpus[0].describe(), other.describe());
            return Err(Error::UnlikeDevices { first, other });
        }
        let order = gpus.iter().map(Mark::new).collect::<Result<_, _>>()?;
        Ok(Devices { gpus, ranks_per_device, parts, order: Mutex::new(order) })
    }

    pub(crate) fn ranks(&self) -> usize {
        self.gpus.len() * self.ranks_per_device
    }

    pub(crate) fn gpu(&self, rank: usize) -> &Arc<Gpu> {
        &self.gpus[rank / self.ranks_per_device]
    }

    pub(crate) fn target(&self) -> Target {
        let sms = self.gpus.iter().map(|g| g.sms).min().unwrap_or(1);
        Target {
            architecture: self.gpus[0].architecture,
            sms: (sms / self.parts as u32).max(1),
            ranks_per_device: self.ranks_per_device as u32,
            shared: self.gpus.iter().map(|g| g.shared).min().unwrap_or(0),
        }
    }

    /// One allocation a device.
    pub(crate) fn alloc_each(&self, bytes: usize) -> Result<Vec<Memory>, Error> {
        self.gpus.iter().map(|gpu| Memory::zeroed(gpu, bytes)).collect()
    }

    /// One allocation a rank.
    pub(crate) fn alloc(&self, bytes: usize) -> Result<Vec<Memory>, Error> {
        (0..self.ranks()).map(|rank| Memory::zeroed(self.gpu(rank), bytes)).collect()
    }
}

/// A program's kernels on every device of a world.
pub(crate) struct DeviceProgram {
    pub devices: Arc<Devices>,
    pub unit: CudaUnit,
    /// `[device][kernel of the unit]`
    kernels: Vec<Vec<Kernel>>,
}

impl DeviceProgram {
    pub(crate) fn new(
        devices: &Arc<Devices>,
        schedule: &Verified<Schedule>,
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
        Ok(DeviceProgram { devices: devices.clone(), kernels, unit })
    }

    /// The kernel that implements a schedule's kernel, on a device.
    pub(crate) fn kernel(&self, device: usize, entry: &str, name: &str) -> Result<&Kernel, Error> {
        let found = self.unit.kernels.iter().position(|k| k.entry == entry && k.name == name);
        found
            .map(|i| &self.kernels[device][i])
            .ok_or_else(|| Error::Internal(format!("entry `{entry}` has no kernel `{name}`")))
    }
}

/// A plan's workspaces, one a rank; those of a device lie in one allocation.
pub(crate) struct DevicePlan {
    pub workspace: Workspace,
    devices: Vec<Memory>,
    ranks_per_device: usize,
    /// Bytes from one rank's workspace to the next.
    pitch: usize,
}

/// Workspaces of different ranks share no line.
const PITCH: usize = 256;

impl DevicePlan {
    pub(crate) fn new(program: &DeviceProgram, route: &str) -> Result<DevicePlan, Error> {
        let workspace = program.unit.workspaces.iter().find(|w| w.route == route).cloned();
        let workspace = workspace
            .ok_or_else(|| Error::Internal(format!("no workspace for route `{route}`")))?;
        let ranks_per_device = program.devices.ranks_per_device;
        let pitch = workspace.bytes.next_multiple_of(PITCH);
        let devices = program.devices.alloc_each(pitch * ranks_per_device)?;
        Ok(DevicePlan { workspace, devices, ranks_per_device, pitch })
    }

    fn ranks(&self) -> usize {
        self.devices.len() * self.ranks_per_device
    }

    /// Device addresses of the workspaces.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        let of = |m: &Memory| {
            let at = m.at;
            (0..self.ranks_per_device).map(move |rank| at + (rank * self.pitch) as u64)
        };
        self.devices.iter().flat_map(of).collect()
    }

    /// A field of `rank`'s workspace, after the launches in flight.
    pub(crate) fn words(&self, rank: usize, name: &str) -> Result<Vec<u32>, Error> {
        let (memory, offset, field) = self.field(rank, name)?;
        let mut bytes = vec![0; field.bytes];
        memory.read(offset, &mut bytes)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| u32::from_ne_bytes(*b)).collect())
    }

    /// Device address and number of a field's words.
    pub(crate) fn address(&self, rank: usize, name: &str) -> Result<(u64, usize), Error> {
        let (memory, offset, field) = self.field(rank, name)?;
        Ok((memory.at + offset as u64, field.bytes / 4))
    }

    /// Address of a field of the first rank of a device.
    fn first(&self, device: usize, name: &str) -> Result<u64, Error> {
        Ok(self.address(device * self.ranks_per_device, name)?.0)
    }

    /// Zeroes a field of every rank of a device, in the order of the queue.
    fn zero(&self, device: usize, name: &str, queue: &driver::Queue) -> Result<(), Error> {
        let (at, words) = self.address(device * self.ranks_per_device, name)?;
        queue.zero(at, self.pitch, (words * 4, self.ranks_per_device))
    }

    pub(crate) fn reset(&self) -> Result<(), Error> {
        self.devices.iter().try_for_each(Memory::clear)
    }

    /// The memory that holds a field of `rank`, and where it begins there.
    fn field(&self, rank: usize, name: &str) -> Result<(&Memory, usize, &Field), Error> {
        let memory = self.devices.get(rank / self.ranks_per_device);
        let memory = memory.ok_or(Error::NoRank { ranks: self.ranks(), rank })?;
        let field = self.workspace.fields.iter().find(|f| f.name == name);
        field
            .map(|f| (memory, rank % self.ranks_per_device * self.pitch + f.offset, f))
            .ok_or_else(|| Error::Internal(format!("the workspace has no `{name}`")))
    }
}
