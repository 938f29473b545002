//! One tensor's memory on every rank: an allocation a rank, filled and read from the host.

use super::host::HostMemory;
use crate::engine::{DeviceMemory, Error};
use std::sync::{Arc, Condvar, Mutex};

/// A tensor's local parts, one allocation of equal size a rank, zero at first. Cheap to clone: clones share the memory.
#[derive(Clone)]
pub struct Buffer {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    bytes: usize,
    memory: Memory,
    /// Launches in flight that use it (host back end; CUDA orders by context).
    busy: Mutex<usize>,
    idle: Condvar,
}

pub(crate) enum Memory {
    Host(Vec<HostMemory>),
    Device(Vec<DeviceMemory>),
}

/// Marks a buffer as used by a launch in flight until dropped.
pub(crate) struct Busy(Buffer);

/// Plain numbers that a buffer may be read as.
pub trait Plain: Copy + Default + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($t:ty),*) => { $(impl sealed::Sealed for $t {} impl Plain for $t {})* };
}
plain!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, half::bf16, half::f16);

impl Buffer {
    pub(crate) fn host(name: &str, ranks: usize, bytes: usize) -> Result<Buffer, Error> {
        let parts: Option<Vec<_>> = (0..ranks).map(|_| HostMemory::zeroed(bytes)).collect();
        let parts = parts.ok_or_else(|| {
            Error::Machine(format!("no memory for `{name}`: {ranks} x {bytes} bytes"))
        })?;
        Ok(Buffer::new(name, bytes, Memory::Host(parts)))
    }

    pub(crate) fn new(name: &str, bytes: usize, memory: Memory) -> Buffer {
        let inner = Inner {
            name: name.to_string(),
            bytes,
            memory,
            busy: Mutex::new(0),
            idle: Condvar::new(),
        };
        Buffer { inner: Arc::new(inner) }
    }

    /// The tensor it was allocated for.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn ranks(&self) -> usize {
        match &self.inner.memory {
            Memory::Host(parts) => parts.len(),
            Memory::Device(parts) => parts.len(),
        }
    }

    /// Bytes on `rank`: the same on each.
    pub fn bytes(&self, rank: usize) -> usize {
        if rank < self.ranks() { self.inner.bytes } else { 0 }
    }

    /// Writes the first `bytes.len()` bytes of `rank`'s part, after the launches in flight that use it.
    pub fn upload(&self, rank: usize, bytes: &[u8]) -> Result<(), Error> {
        self.check(rank, 0, bytes.len())?;
        match &self.inner.memory {
            Memory::Host(parts) => {
                self.wait_idle();
                parts[rank].write(0, bytes);
                Ok(())
            }
            Memory::Device(parts) => parts[rank].write(0, bytes),
        }
    }

    /// The whole part of `rank`, after the launches in flight that use it.
    pub fn download(&self, rank: usize) -> Result<Vec<u8>, Error> {
        let Memory::Device(parts) = &self.inner.memory else {
            self.wait_idle();
            return self.peek(rank, 0, self.bytes(rank));
        };
        self.check(rank, 0, 0)?;
        let mut out = vec![0; self.bytes(rank)];
        parts[rank].read(0, &mut out)?;
        Ok(out)
    }

    /// `len` bytes from `offset`, without waiting for anything: for rows that an arrival has announced.
    pub fn peek(&self, rank: usize, offset: usize, len: usize) -> Result<Vec<u8>, Error> {
        self.check(rank, offset, len)?;
        let mut out = vec![0; len];
        match &self.inner.memory {
            Memory::Host(parts) => parts[rank].read(offset, &mut out),
            Memory::Device(parts) => parts[rank].peek(offset, &mut out)?,
        }
        Ok(out)
    }

    /// As [`upload`](Self::upload), from numbers.
    pub fn upload_as<T: Plain>(&self, rank: usize, values: &[T]) -> Result<(), Error> {
        // SAFETY: `Plain` types have no padding, so their bytes are initialised.
        let bytes = unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values))
        };
        self.upload(rank, bytes)
    }

    /// As [`download`](Self::download), as numbers; an incomplete last one is left out.
    pub fn download_as<T: Plain>(&self, rank: usize) -> Result<Vec<T>, Error> {
        let bytes = self.download(rank)?;
        let mut out = vec![T::default(); bytes.len() / size_of::<T>()];
        // SAFETY: `out` owns that many bytes and every bit pattern is a value of a `Plain` type.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                out.as_mut_ptr().cast::<u8>(),
                size_of_val(&out[..]),
            )
        };
        Ok(out)
    }

    /// Its address on a CUDA device, for kernels of others; `None` on the host.
    pub fn device_address(&self, rank: usize) -> Option<u64> {
        match &self.inner.memory {
            Memory::Host(_) => None,
            Memory::Device(parts) => parts.get(rank).map(|p| p.at),
        }
    }

    /// Where each rank's part begins, in its own address space.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        match &self.inner.memory {
            Memory::Host(parts) => parts.iter().map(|p| p.start().addr() as u64).collect(),
            Memory::Device(parts) => parts.iter().map(|p| p.at).collect(),
        }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    pub(crate) fn hold(&self) -> Busy {
        *lock(&self.inner.busy) += 1;
        Busy(self.clone())
    }

    fn wait_idle(&self) {
        let mut busy = lock(&self.inner.busy);
        while *busy > 0 {
            busy = self.inner.idle.wait(busy).unwrap_or_else(|e| e.into_inner());
        }
    }

    fn check(&self, rank: usize, offset: usize, len: usize) -> Result<(), Error> {
        let Inner { name, bytes, .. } = &*self.inner;
        if rank >= self.ranks() {
            return Err(Error::buffer(format!(
                "`{name}` has {} ranks, no rank {rank}",
                self.ranks()
            )));
        }
        match offset.checked_add(len) {
            Some(end) if end <= *bytes => Ok(()),
            _ => Err(Error::buffer(format!(
                "`{name}` holds {bytes} bytes a rank; {len} at {offset} do not fit"
            ))),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let inner = &self.0.inner;
        *lock(&inner.busy) -= 1;
        inner.idle.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
