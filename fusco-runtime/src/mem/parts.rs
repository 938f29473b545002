//! The parts of a buffer, on a host and on devices.

use super::host::HostMemory;
use super::memory::Memory;
use super::room::room;
use crate::driver;
use crate::error::Error;
use crate::lease::{Slot, Turn};
use std::sync::Arc;

/// The parts of a buffer on a host.
pub(crate) struct HostParts(Arc<[HostMemory]>);

impl HostParts {
    /// # Errors
    /// F0911 if there is no memory.
    pub(crate) fn zeroed(name: &str, ranks: usize, bytes: usize) -> Result<HostParts, Error> {
        let what =
            if ranks == 1 { format!("`{name}`") } else { format!("`{name}` on {ranks} ranks") };
        room(&what, ranks as u128 * bytes as u128)?;
        let parts: Option<Arc<[_]>> = (0..ranks).map(|_| HostMemory::zeroed(bytes)).collect();
        let none = || Error::NoMemory(format!("no memory for `{name}`: {ranks} x {bytes} bytes"));
        parts.map(HostParts).ok_or_else(none)
    }
}

impl Memory for HostParts {
    fn ranks(&self) -> usize {
        self.0.len()
    }

    fn here(&self) -> Arc<[HostMemory]> {
        self.0.clone()
    }

    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error> {
        Ok(Turn::Own(slot.hold(writes)))
    }

    fn write(&self, rank: usize, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.0[rank].write(offset, bytes);
        Ok(())
    }

    fn read(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        self.0[rank].read(offset, out);
        Ok(())
    }

    fn peek(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        self.read(rank, offset, out)
    }

    fn addresses(&self) -> Vec<u64> {
        self.0.iter().map(|part| part.start().addr() as u64).collect()
    }

    fn on_device(&self) -> bool {
        false
    }
}

/// One allocation a part, on the device of its rank.
pub(crate) struct DeviceParts(pub Vec<driver::Memory>);

impl Memory for DeviceParts {
    fn ranks(&self) -> usize {
        self.0.len()
    }

    fn here(&self) -> Arc<[HostMemory]> {
        Arc::default()
    }

    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error> {
        slot.quiet(writes).map(Turn::Quiet)
    }

    fn write(&self, rank: usize, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.0[rank].write(offset, bytes)
    }

    fn read(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        self.0[rank].read(offset, out)
    }

    fn peek(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        self.0[rank].peek(offset, out)
    }

    fn addresses(&self) -> Vec<u64> {
        self.0.iter().map(|part| part.at).collect()
    }

    fn on_device(&self) -> bool {
        true
    }
}
