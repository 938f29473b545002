//! What `fusco!` expands to stands on these: tensors typed by element and axes, plans typed by route.

pub use crate::mem::Plain as Elem;
use crate::{Buffer, Error};
use std::marker::PhantomData;

/// The local parts of a tensor of `AXES` axes on every rank.
#[derive(Clone)]
pub struct Tensor<T, const AXES: usize> {
    buffer: Buffer,
    elem: PhantomData<T>,
}

/// A tensor that an entry reads.
pub type In<'a, T, const AXES: usize> = &'a Tensor<T, AXES>;
/// A tensor that an entry writes: its memory must be no other argument's, which the launch checks. Launches are
/// asynchronous, so the borrow is shared.
pub type Out<'a, T, const AXES: usize> = &'a Tensor<T, AXES>;

impl<T: Elem, const AXES: usize> Tensor<T, AXES> {
    /// For the code of `fusco!`, which knows the type.
    #[doc(hidden)]
    pub fn new(buffer: Buffer) -> Self {
        Tensor { buffer, elem: PhantomData }
    }

    /// Writes the front of a rank's part, elements in memory order.
    ///
    /// # Errors
    /// F0902 for an unknown rank or too many elements; F0911 if the device has failed.
    pub fn upload(&self, rank: usize, values: &[T]) -> Result<(), Error> {
        self.buffer.upload_as(rank, values)
    }

    /// A rank's whole part, elements in memory order.
    ///
    /// # Errors
    /// F0902 for an unknown rank; F0911 if the device has failed.
    pub fn download(&self, rank: usize) -> Result<Vec<T>, Error> {
        self.buffer.download_as(rank)
    }
}

impl<T, const AXES: usize> Tensor<T, AXES> {
    /// Its memory, without types.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

impl<T, const AXES: usize> std::fmt::Debug for Tensor<T, AXES> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("axes", &AXES).field("buffer", &self.buffer).finish()
    }
}

/// A plan of the route `R`; another route's does not fit.
#[derive(Clone)]
pub struct Plan<R> {
    plan: crate::Plan,
    route: PhantomData<fn() -> R>,
}

impl<R> Plan<R> {
    /// For the code of `fusco!`, which knows the route.
    #[doc(hidden)]
    pub fn new(plan: crate::Plan) -> Self {
        Plan { plan, route: PhantomData }
    }

    /// As [`Bound::launch`](crate::Bound::launch) takes it.
    pub fn untyped(&self) -> &crate::Plan {
        &self.plan
    }

    /// Rows of each group, by global number. Call after `synchronize`.
    ///
    /// # Errors
    /// F0909 for an unknown rank; F0911 if the device has failed.
    pub fn live(&self, rank: usize) -> Result<Vec<u32>, Error> {
        self.plan.live(rank)
    }
}

impl<R> std::fmt::Debug for Plan<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plan.fmt(f)
    }
}
