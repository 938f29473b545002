//! Folders that the environment names. Only absolute ones count: an empty or relative one would mean
//! whatever lies in the current folder, and libraries are loaded from there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Everything that decides where libraries and caches are.
const NAMES: [&str; 8] = [
    "FUSCO_CUDA_PATH",
    "FUSCO_CACHE_DIR",
    "CUDA_HOME",
    "CUDA_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "XDG_CACHE_HOME",
    "HOME",
];

/// The folder that the variable names, if it names one.
pub(super) fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute())
}

/// The absolute folders of a list as `LD_LIBRARY_PATH` is.
pub(super) fn folders(name: &str) -> Vec<PathBuf> {
    let list = std::env::var_os(name).unwrap_or_default();
    std::env::split_paths(&list).filter(|p| p.is_absolute()).collect()
}

/// Variables that are set and not followed, with the reason.
pub(super) fn ignored() -> Vec<String> {
    let set = NAMES.iter().filter_map(|n| Some((n, std::env::var_os(n)?)));
    set.filter_map(|(name, value)| why(&value).map(|why| format!("{name} is ignored: {why}")))
        .collect()
}

fn why(value: &OsStr) -> Option<String> {
    let path = Path::new(value);
    if value.is_empty() {
        Some("it is empty".to_string())
    } else if path.is_relative() {
        Some(format!("`{}` is not an absolute path", path.display()))
    } else {
        None
    }
}
