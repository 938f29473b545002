//! CUDA text to cubins: NVRTC, wherever it is, and a cache on disk that verifies what it reads.
//! Cubins are run, never PTX: the driver need not know the compiler's version.

mod api;
mod cache;
pub mod doctor;
mod elf;
mod env;
mod find;
mod log;
mod nvrtc;
mod rates;

pub use find::Nvrtc;
pub use log::KernelResources;
pub use nvrtc::{Cubin, compile, ptx};
pub use rates::{keep, rates};

use crate::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The cubin of a source, from the cache if it is there.
///
/// # Errors
/// F0911 if NVRTC is missing, or with its log.
pub fn cubin(source: &str, name: &str, arch: &str) -> Result<Vec<u8>, Error> {
    let [cubin] = cubins(&[(name, source)], arch)?.try_into().expect("one source, one cubin");
    Ok(cubin)
}

/// The cubins of several `(name, source)`, in their order: each from the cache if it is there; the others
/// are compiled at the same time, a thread for each processor.
///
/// # Errors
/// F0911 if NVRTC is missing, or with the log of the first source that it refuses; those that it takes are
/// in the cache then.
pub fn cubins(sources: &[(&str, &str)], arch: &str) -> Result<Vec<Vec<u8>>, Error> {
    let version = Nvrtc::find()?.version()?;
    let key = |(_, source): &(&str, &str)| cache::key(source, arch, &version);
    let keys: Vec<String> = sources.iter().map(key).collect();
    let mut out: Vec<Option<Vec<u8>>> = keys.iter().map(|k| cache::read(k)).collect();
    let missing: Vec<usize> = (0..sources.len()).filter(|i| out[*i].is_none()).collect();
    let made = in_parallel(missing.len(), |i| {
        let (name, source) = sources[missing[i]];
        let cubin = compile(source, name, arch)?;
        // A cache that cannot be written costs time, not correctness.
        _ = cache::write(&keys[missing[i]], &cubin.bytes);
        Ok(cubin.bytes)
    });
    for (i, cubin) in missing.into_iter().zip(made) {
        out[i] = Some(cubin?);
    }
    Ok(out.into_iter().flatten().collect())
}

/// `f(0)` to `f(count - 1)`, in order.
fn in_parallel<T: Send>(count: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(count);
    if threads < 2 {
        return (0..count).map(f).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < count) {
            let made = f(i);
            done.lock().unwrap_or_else(|e| e.into_inner()).push((i, made));
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, made)| made).collect()
}
