//! Memory that ranks own. Each type frees what it holds when dropped; a launch keeps its buffers
//! alive and holds leases on them, so that `download` waits for it.

mod buffer;
mod copy;
mod host;
mod memory;
mod parts;
mod room;

pub use buffer::{Buffer, Plain, View};
pub(crate) use buffer::{bytes_of, numbers_of};
pub(crate) use copy::copy;
pub(crate) use parts::{DeviceParts, HostParts};
pub use room::room;
