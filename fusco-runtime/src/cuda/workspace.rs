//! Workspaces on devices, laid out as the contract of the kernels says.

use super::devices::Devices;
use crate::driver::{self, Memory};
use crate::error::Error;
use crate::lease::{Slot, Turn};
use crate::workspace;
use fusco_dsl::cuda::{CudaUnit, Field, Workspace};

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
    pub(crate) fn new(
        devices: &Devices,
        unit: &CudaUnit,
        route: &str,
    ) -> Result<DevicePlan, Error> {
        let workspace = unit.workspaces.iter().find(|w| w.route == route).cloned();
        let workspace = workspace
            .ok_or_else(|| Error::Internal(format!("no workspace for route `{route}`")))?;
        let ranks_per_device = devices.ranks_per_device;
        let pitch = workspace.bytes.next_multiple_of(PITCH);
        let devices = devices.alloc_each(pitch * ranks_per_device)?;
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
    pub(super) fn first(&self, device: usize, name: &str) -> Result<u64, Error> {
        Ok(self.address(device * self.ranks_per_device, name)?.0)
    }

    /// Zeroes a field of every rank of a device, in the order of the queue.
    pub(super) fn zero(
        &self,
        device: usize,
        name: &str,
        queue: &driver::Queue,
    ) -> Result<(), Error> {
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

impl workspace::Workspace for DevicePlan {
    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error> {
        slot.quiet(writes).map(Turn::Quiet)
    }

    fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        self.words(rank, "live")
    }

    fn dropped(&self, rank: usize) -> Result<u32, Error> {
        Ok(self.words(rank, "dropped")?[0])
    }
}
