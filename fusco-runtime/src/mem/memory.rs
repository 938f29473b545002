//! What a buffer asks of the memory that a back end has given it.

use super::host::HostMemory;
use crate::error::Error;
use crate::lease::{Slot, Turn};
use std::any::Any;
use std::sync::Arc;

/// The parts of a buffer, one a rank. Whoever calls has checked ranks and ranges.
pub(crate) trait Memory: Any + Send + Sync {
    fn ranks(&self) -> usize;

    /// The parts, if this process reads and writes them by itself; else none.
    fn here(&self) -> Arc<[HostMemory]>;

    /// A lease for the caller's thread, once what conflicts has ended.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error>;

    /// # Errors
    /// F0911 if the device has failed.
    fn write(&self, rank: usize, offset: usize, bytes: &[u8]) -> Result<(), Error>;

    /// # Errors
    /// F0911 if the device has failed.
    fn read(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error>;

    /// As [`read`](Self::read), beside what runs.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn peek(&self, rank: usize, offset: usize, out: &mut [u8]) -> Result<(), Error>;

    /// Where each rank's part begins, in its own address space.
    fn addresses(&self) -> Vec<u64>;

    fn on_device(&self) -> bool;
}
