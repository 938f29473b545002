//! The devices of a world. Ranks are dealt to them in order, the same number each.

use crate::driver::{Gpu, Mark, Memory};
use crate::error::Error;
use crate::lease::Ledger;
use crate::mem::{Buffer, DeviceParts};
use fusco_dsl::cuda::Target;
use std::sync::{Arc, Mutex};

/// The devices of a world.
pub(crate) struct Devices {
    pub gpus: Vec<Arc<Gpu>>,
    pub ranks_per_device: usize,
    /// Launches that share a device's multiprocessors.
    parts: usize,
    /// The end of the latest launch on each device. On several devices all launches are chained, so
    /// that each device sees them in one order: ranks that wait for each other are then all resident.
    pub order: Mutex<Vec<Mark>>,
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
        // A device that comes again would have ranks in two launches, which wait for each other.
        let again = distinct.iter().enumerate().any(|(i, d)| distinct[..i].contains(d));
        if ordinals.is_empty() || again || !even || each * distinct.len() != ordinals.len() {
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
            sms: (sms / self.parts as u32).max(1),
            shared: self.gpus.iter().map(|g| g.shared).min().unwrap_or(0),
            rates: crate::jit::rates(self.gpus[0].architecture, sms),
            ..Target::new(self.gpus[0].architecture, self.ranks_per_device as u32)
        }
    }

    /// One allocation a device.
    pub(crate) fn alloc_each(&self, bytes: usize) -> Result<Vec<Memory>, Error> {
        self.gpus.iter().map(|gpu| Memory::zeroed(gpu, bytes)).collect()
    }

    /// One allocation a rank.
    pub(crate) fn buffer(
        &self,
        ledger: &Arc<Ledger>,
        name: &str,
        bytes: usize,
    ) -> Result<Buffer, Error> {
        let each = (0..self.ranks()).map(|rank| Memory::zeroed(self.gpu(rank), bytes));
        Ok(Buffer::new(ledger, name, bytes, DeviceParts(each.collect::<Result<_, _>>()?)))
    }
}
