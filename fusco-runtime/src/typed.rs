//! What `fusco!` expands to stands on these: tensors typed by element and axes, plans typed by route.

pub use crate::mem::Plain as Elem;
use crate::{Bound, Buffer, Error, LaunchArgs, Logical};
use std::marker::PhantomData;

/// The local parts of a tensor of `AXES` axes on every rank.
#[derive(Clone)]
pub struct Tensor<T, const AXES: usize> {
    buffer: Buffer,
    /// The program that says where its elements lie.
    bound: Bound,
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
    pub fn new(bound: &Bound, buffer: Buffer) -> Self {
        Tensor { buffer, bound: bound.clone(), elem: PhantomData }
    }

    /// Fills every rank's part from the logical array, as the placement says: `shape` has the axes of the
    /// declaration, `values` are row-major.
    ///
    /// # Errors
    /// As [`Bound::scatter`]; the code of a dyn, buffer or plan that the placement follows from: see
    /// [`scatter_with`](Self::scatter_with).
    pub fn scatter(&self, shape: &[usize], values: &[T]) -> Result<(), Error> {
        self.scatter_with(shape, values, &LaunchArgs::default())
    }

    /// As [`scatter`](Self::scatter), where the placement follows from dyns, counts, owners or a plan of the launch.
    ///
    /// # Errors
    /// As [`Bound::scatter`].
    pub fn scatter_with(
        &self,
        shape: &[usize],
        values: &[T],
        args: &LaunchArgs<'_>,
    ) -> Result<(), Error> {
        let name = self.buffer.name();
        let buffers = self.among(args);
        self.bound.scatter(name, shape, values, &LaunchArgs { buffers: &buffers, ..*args })
    }

    /// The logical array from every rank's part.
    ///
    /// # Errors
    /// As [`scatter`](Self::scatter).
    pub fn gather(&self) -> Result<Logical<T>, Error> {
        self.gather_with(&LaunchArgs::default())
    }

    /// As [`gather`](Self::gather), where the placement follows from dyns, counts, owners or a plan of the launch.
    ///
    /// # Errors
    /// As [`Bound::gather`].
    pub fn gather_with(&self, args: &LaunchArgs<'_>) -> Result<Logical<T>, Error> {
        let buffers = self.among(args);
        self.bound.gather(self.buffer.name(), &LaunchArgs { buffers: &buffers, ..*args })
    }

    /// The buffers of the launch, its own before the others.
    fn among<'a>(&'a self, args: &LaunchArgs<'a>) -> Vec<(&'a str, &'a Buffer)> {
        [(self.buffer.name(), &self.buffer)]
            .into_iter()
            .chain(args.buffers.iter().copied())
            .collect()
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
