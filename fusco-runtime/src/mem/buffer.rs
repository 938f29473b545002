//! One tensor's memory on every rank: an allocation a rank, filled and read from the host.
//!
//! Its lease in the ledger of its world orders launches and the calls here: who writes is alone.

use super::host::HostMemory;
use super::memory::Memory;
use crate::error::Error;
use crate::lease::{Held, Ledger, Slot};
use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

/// A tensor's local parts, one allocation of equal size a rank, zero at first. Cheap to clone: clones share the memory.
#[derive(Clone)]
pub struct Buffer {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    bytes: usize,
    memory: Box<dyn Memory>,
    /// Its parts, if they are in this process's memory.
    here: Arc<[HostMemory]>,
    slot: Slot,
}

/// Plain numbers that a buffer may be read as.
pub trait Plain: Copy + Default + sealed::Sealed {
    /// Of the type.
    #[doc(hidden)]
    const NAME: &'static str;

    /// Whether elements of the type `elem`, which have so many bytes, are such numbers, or these their bits.
    #[doc(hidden)]
    fn is(elem: &str, bytes: usize) -> bool;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($t:ty, $name:literal, $bits:literal;)*) => { $(
        impl sealed::Sealed for $t {}
        impl Plain for $t {
            const NAME: &'static str = $name;
            fn is(elem: &str, bytes: usize) -> bool {
                elem == $name || ($bits && bytes == size_of::<$t>())
            }
        }
    )* };
}
plain! {
    u8, "u8", true; u16, "u16", true; u32, "u32", true; u64, "u64", true;
    i8, "i8", false; i16, "i16", false; i32, "i32", false; i64, "i64", false;
    f32, "f32", false; f64, "f64", false; half::bf16, "bf16", false; half::f16, "f16", false;
}

/// Their bytes, as a buffer holds them.
pub(crate) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no padding, so their bytes are initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

/// The numbers that bytes are; an incomplete last one is left out.
pub(crate) fn numbers_of<T: Plain>(bytes: &[u8]) -> Vec<T> {
    let mut out = vec![T::default(); bytes.len() / size_of::<T>()];
    // SAFETY: `out` owns that many bytes and every bit pattern is a value of a `Plain` type.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            out.as_mut_ptr().cast::<u8>(),
            size_of_val(&out[..]),
        )
    };
    out
}

impl Buffer {
    pub(crate) fn new(
        ledger: &Arc<Ledger>,
        name: &str,
        bytes: usize,
        memory: impl Memory,
    ) -> Buffer {
        let (here, slot) = (memory.here(), Slot::new(ledger));
        let (name, memory) = (name.to_string(), Box::new(memory));
        Buffer { inner: Arc::new(Inner { name, bytes, memory, here, slot }) }
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.inner.slot
    }

    /// Whether both are the same memory.
    pub(crate) fn is(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The tensor it was allocated for.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many parts it has: one a rank.
    pub fn ranks(&self) -> usize {
        self.inner.memory.ranks()
    }

    /// Bytes on `rank`: the same on each.
    pub fn bytes(&self, rank: usize) -> usize {
        if rank < self.ranks() { self.inner.bytes } else { 0 }
    }

    /// Writes the first `bytes.len()` bytes of `rank`'s part, after the launches in flight that use it.
    /// Launches that are submitted meanwhile begin when it is done.
    ///
    /// # Errors
    /// F0902 for an unknown rank or too many bytes; F0911 if the device has failed.
    pub fn upload(&self, rank: usize, bytes: &[u8]) -> Result<(), Error> {
        self.upload_at(rank, 0, bytes)
    }

    /// As [`upload`](Self::upload), from `offset` on.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub fn upload_at(&self, rank: usize, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.check(rank, offset, bytes.len())?;
        let Inner { memory, slot, .. } = &*self.inner;
        let _turn = memory.turn(slot, true)?;
        memory.write(rank, offset, bytes)
    }

    /// The whole part of `rank`, after the launches in flight that write it.
    ///
    /// # Errors
    /// F0902 for an unknown rank; F0911 if the device has failed.
    pub fn download(&self, rank: usize) -> Result<Vec<u8>, Error> {
        self.check(rank, 0, 0)?;
        let mut out = vec![0; self.bytes(rank)];
        let Inner { memory, slot, .. } = &*self.inner;
        let _turn = memory.turn(slot, false)?;
        memory.read(rank, 0, &mut out)?;
        Ok(out)
    }

    /// `len` bytes from `offset`, without waiting for anything.
    ///
    /// # Errors
    /// F0902 for an unknown rank, bytes that are not there, or while a launch in flight writes the buffer (on CUDA:
    /// while the stream of the launch that wrote it last is not idle); F0911 if the device has failed.
    pub fn peek(&self, rank: usize, offset: usize, len: usize) -> Result<Vec<u8>, Error> {
        self.check(rank, offset, len)?;
        let _held = self.lease()?;
        self.copy_out(rank, offset, len)
    }

    /// As [`peek`](Self::peek), without a copy on the host: until the view is dropped, `upload` and launches that write
    /// the buffer wait for it, so whoever holds one must wait for none of them.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn view(&self, rank: usize, offset: usize, len: usize) -> Result<View, Error> {
        self.check(rank, offset, len)?;
        let lease = self.lease()?;
        Ok(View(if self.inner.memory.on_device() {
            Seen::Copy(self.copy_out(rank, offset, len)?)
        } else {
            let parts = self.inner.here.clone();
            Seen::There { _lease: lease, parts, rank, bytes: (offset, len) }
        }))
    }

    /// A lease to read, if no launch in flight writes.
    fn lease(&self) -> Result<Held, Error> {
        self.inner
            .slot
            .try_read()
            .ok_or_else(|| Error::InFlight { buffer: self.inner.name.clone() })
    }

    /// `len` bytes from `offset`, while a launch may write others: for rows that an arrival has announced.
    ///
    /// # Safety
    /// Nothing writes these bytes during the call. A row that [`Arrivals`](crate::Arrivals) of the latest launch that
    /// writes this buffer have announced for `rank` stays as it is until another launch that writes the
    /// buffer is submitted, or it is uploaded to.
    ///
    /// # Errors
    /// F0902 for an unknown rank or bytes that are not there; F0911 if the device has failed.
    pub unsafe fn peek_arrived(
        &self,
        rank: usize,
        offset: usize,
        len: usize,
    ) -> Result<Vec<u8>, Error> {
        self.check(rank, offset, len)?;
        self.copy_out(rank, offset, len)
    }

    /// The caller has checked the range and that nothing writes it.
    fn copy_out(&self, rank: usize, offset: usize, len: usize) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; len];
        self.inner.memory.peek(rank, offset, &mut out)?;
        Ok(out)
    }

    /// As [`upload`](Self::upload), from numbers.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub fn upload_as<T: Plain>(&self, rank: usize, values: &[T]) -> Result<(), Error> {
        self.upload(rank, bytes_of(values))
    }

    /// As [`download`](Self::download), as numbers; an incomplete last one is left out.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub fn download_as<T: Plain>(&self, rank: usize) -> Result<Vec<T>, Error> {
        Ok(numbers_of(&self.download(rank)?))
    }

    /// Its address on a CUDA device, for kernels of others; `None` on the host. What such kernels do there is theirs to
    /// order: leases do not know of them.
    pub fn device_address(&self, rank: usize) -> Option<u64> {
        let memory = &self.inner.memory;
        if memory.on_device() { memory.addresses().get(rank).copied() } else { None }
    }

    /// Where each rank's part begins, in its own address space.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        self.inner.memory.addresses()
    }

    /// Its parts; none if they are not in this process's memory.
    #[inline]
    pub(crate) fn here(&self) -> &[HostMemory] {
        &self.inner.here
    }

    /// Its memory, if it is of this kind.
    pub(crate) fn memory<T: Memory>(&self) -> Option<&T> {
        let memory: &dyn Any = &*self.inner.memory;
        memory.downcast_ref()
    }

    /// F0902 for an access to bytes that it does not have.
    pub(crate) fn outside(&self, rank: i64, offset: i64, len: usize) -> Error {
        Error::Outside {
            buffer: self.inner.name.clone(),
            bytes: self.inner.bytes,
            ranks: self.ranks(),
            rank,
            offset,
            len,
        }
    }

    fn check(&self, rank: usize, offset: usize, len: usize) -> Result<(), Error> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.inner.bytes);
        if rank < self.ranks() && fits {
            return Ok(());
        }
        Err(self.outside(rank as i64, offset as i64, len))
    }
}

/// Bytes of one rank's part of a buffer; see [`Buffer::view`].
pub struct View(Seen);

enum Seen {
    /// Where they lie: the first one and how many.
    There {
        _lease: Held,
        parts: Arc<[HostMemory]>,
        rank: usize,
        bytes: (usize, usize),
    },
    Copy(Vec<u8>),
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Seen::There { parts, rank, bytes: (offset, len), .. } => {
                // SAFETY: `self` holds the lease to read, so nothing writes the buffer while it is borrowed.
                unsafe { parts[*rank].bytes(*offset, *len) }
            }
            Seen::Copy(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("name", &self.name())
            .field("ranks", &self.ranks())
            .field("bytes", &self.inner.bytes)
            .finish_non_exhaustive()
    }
}
