//! Cubins on disk, by the hash of everything they depend on. A file is its payload's hash and the payload:
//! one that does not match is as good as absent.

use crate::Error;
use etcetera::BaseStrategy;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// What NVRTC is called with.
pub fn options(arch: &str) -> Vec<String> {
    vec![
        format!("--gpu-architecture={arch}"),
        "--std=c++17".into(),
        "-default-device".into(),
        "--ptxas-options=-v".into(),
    ]
}

/// The name of a cubin: source, options, compiler.
pub fn key(source: &str, arch: &str, version: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in options(arch).iter().map(String::as_str).chain([version, source]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// `FUSCO_CACHE_DIR`, or `fusco` in the user's cache folder.
pub fn folder() -> Option<PathBuf> {
    let from_env = std::env::var_os("FUSCO_CACHE_DIR").map(PathBuf::from);
    from_env.or_else(|| etcetera::choose_base_strategy().ok().map(|s| s.cache_dir().join("fusco")))
}

fn path(key: &str) -> Option<PathBuf> {
    Some(folder()?.join("cubin").join(format!("{key}.cubin")))
}

pub fn read(key: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(path(key)?).ok()?;
    let (hash, payload) = bytes.split_at_checked(32)?;
    (blake3::hash(payload).as_bytes() == hash).then(|| payload.to_vec())
}

/// Appears whole or not at all: the rename needs no lock.
pub fn write(key: &str, payload: &[u8]) -> Result<(), Error> {
    let fail =
        |e: std::io::Error| Error::Machine(format!("the cubin cache cannot be written: {e}"));
    let Some(path) = path(key) else { return Ok(()) };
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(fail)?;
    file.write_all(blake3::hash(payload).as_bytes())
        .and_then(|()| file.write_all(payload))
        .map_err(fail)?;
    file.persist(&path).map_err(|e| fail(e.error))?;
    Ok(())
}
