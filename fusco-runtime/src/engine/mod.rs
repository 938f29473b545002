//! Worlds of ranks, bound programs, and their launches.
//!
//! A `World` says where ranks run; `bind` makes a program ready for it; buffers and plans belong to the
//! ranks; a `Stream` orders launches. Nothing here waits for a launch but `Stream::synchronize`,
//! `Buffer::{upload, download}`, `Plan` queries and `Arrivals`.

mod arrivals;
mod bound;
mod device;
mod home;
mod logical;
mod mark;
mod plan;
mod request;
mod stream;
mod world;

pub use crate::driver::devices;
pub use crate::error::Error;
pub use arrivals::{Arrivals, DeviceArrivals, Tile, Tiles};
pub use bound::Bound;

pub(crate) use home::Space;
pub use logical::Logical;
pub use mark::TimeMark;
pub use plan::Plan;
pub use request::LaunchArgs;
pub(crate) use request::Request;
pub use stream::{Graph, Stream};
pub use world::World;
