//! Runs fusco programs: worlds of ranks on the host or on CUDA devices, buffers, plans, launches.
//!
//! ```text
//! World -> bind -> Bound -> alloc, plan, launch on a Stream -> synchronize -> download
//! ```

mod driver;
pub mod engine;
mod error;
mod host;
pub mod jit;
pub mod mem;
mod transport;
pub mod typed;

pub use engine::{
    Arrivals, Bound, DeviceArrivals, Error, Graph, LaunchArgs, Plan, Stream, Tile, Tiles, TimeMark,
    World,
};
pub use fusco_macros::fusco;
pub use half::{bf16, f16};
pub use kernels_templates::CONSUMER_CUH;
pub use mem::{Buffer, View};
