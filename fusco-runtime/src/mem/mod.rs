//! Memory that ranks own. Each type frees what it holds when dropped; a launch keeps its buffers
//! alive and holds leases on them, so that `download` waits for it.

mod buffer;
mod copy;
pub(crate) mod host;
mod room;

pub use buffer::{Buffer, Plain, View};
pub(crate) use buffer::{Memory, bytes_of, numbers_of};
pub(crate) use copy::copy;
pub use room::room;
