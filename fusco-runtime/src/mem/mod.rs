//! Memory that ranks own. Each type frees what it holds when dropped; a launch keeps its buffers
//! alive and marked busy, so that `download` waits for it.

mod buffer;
mod copy;
pub(crate) mod host;

pub use buffer::{Buffer, Plain};
pub(crate) use buffer::{Busy, Memory};
pub(crate) use copy::copy;
