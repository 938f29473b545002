//! CUDA text to cubins: NVRTC, wherever it is, and a cache on disk that verifies what it reads.
//! Cubins are run, never PTX: the driver need not know the compiler's version.

mod cache;
pub mod doctor;
mod find;
mod log;
mod nvrtc;

pub use find::Nvrtc;
pub use log::KernelResources;
pub use nvrtc::{Cubin, compile, ptx};

use crate::Error;

/// The cubin of a source, from the cache if it is there.
///
/// # Errors
/// F0911 if NVRTC is missing, or with its log.
pub fn cubin(source: &str, name: &str, arch: &str) -> Result<Vec<u8>, Error> {
    let nvrtc = Nvrtc::find()?;
    let key = cache::key(source, arch, &nvrtc.version()?);
    if let Some(bytes) = cache::read(&key) {
        return Ok(bytes);
    }
    let cubin = compile(source, name, arch)?;
    // A cache that cannot be written costs time, not correctness.
    _ = cache::write(&key, &cubin.bytes);
    Ok(cubin.bytes)
}
