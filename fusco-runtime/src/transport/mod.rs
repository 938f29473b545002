//! How ranks reach each other. In one process they share an address space: a peer is a pointer, once
//! its device may be reached.

use crate::driver::Gpu;
use crate::error::Error;
use std::sync::Arc;

/// Lets every device reach every other.
pub(crate) fn connect(gpus: &[Arc<Gpu>]) -> Result<(), Error> {
    for from in gpus {
        for to in gpus.iter().filter(|to| to.ordinal != from.ordinal) {
            from.reach(to)?;
        }
    }
    Ok(())
}
