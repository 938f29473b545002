//! Where NVRTC comes from: `FUSCO_CUDA_PATH`, the copy that `fuscoc doctor --fetch` made, `CUDA_HOME` or
//! `CUDA_PATH`, the Python environment, the loader's path. The library is preloaded by its path, its
//! builtins first, so that the loader finds it under its name afterwards.

use crate::Error;
use cudarc::nvrtc::sys;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A loaded NVRTC.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc(());

/// The folder that NVRTC was loaded from; `None` for the loader's own path.
static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();

impl Nvrtc {
    /// # Errors
    /// F0911 if no NVRTC is found.
    pub fn find() -> Result<Nvrtc, Error> {
        FOUND.get_or_init(|| candidates().into_iter().find(|folder| preload(folder)));
        // SAFETY: only looks for the library.
        if unsafe { sys::is_culib_present() } {
            return Ok(Nvrtc(()));
        }
        Err(Error::Machine("no NVRTC was found: run `fuscoc doctor --fetch`".to_string()))
    }

    /// As `13.0`.
    pub fn version(self) -> Result<String, Error> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library is there, both pointers are writable.
        let status = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
        status.result().map_err(|e| Error::Machine(format!("NVRTC has no version: {e:?}")))?;
        Ok(format!("{major}.{minor}"))
    }

    /// The folder it was loaded from, if a path was needed.
    pub fn folder(self) -> Option<PathBuf> {
        FOUND.get().cloned().flatten()
    }
}

/// The folder of fetched toolkits, under the cache folder.
pub fn fetched() -> Option<PathBuf> {
    super::cache::folder().map(|f| f.join("nvrtc"))
}

fn candidates() -> Vec<PathBuf> {
    let from_env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut roots: Vec<PathBuf> =
        [from_env("FUSCO_CUDA_PATH"), fetched(), from_env("CUDA_HOME"), from_env("CUDA_PATH")]
            .into_iter()
            .flatten()
            .collect();
    roots.extend(python_packages());
    let inside = |root: &PathBuf| {
        ["lib", "lib64", "nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"].map(|lib| root.join(lib))
    };
    roots.iter().flat_map(inside).filter(|folder| folder.is_dir()).collect()
}

/// `site-packages` of the active virtual environment.
fn python_packages() -> Vec<PathBuf> {
    let Some(root) = std::env::var_os("VIRTUAL_ENV").or_else(|| std::env::var_os("CONDA_PREFIX"))
    else {
        return Vec::new();
    };
    let Ok(versions) = std::fs::read_dir(Path::new(&root).join("lib")) else { return Vec::new() };
    versions.filter_map(|v| Some(v.ok()?.path().join("site-packages"))).collect()
}

fn preload(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| is_nvrtc(p)).collect();
    // The builtins are named `libnvrtc-builtins`, which sorts before `libnvrtc.so`.
    files.sort();
    let main = files
        .iter()
        .any(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libnvrtc.so")));
    main && files.iter().all(|file| open(file))
}

fn is_nvrtc(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.starts_with("libnvrtc") && name.contains(".so") && !name.contains(".alt.")
}

/// Loads a library for the whole process; it is never unloaded.
fn open(path: &Path) -> bool {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: NVRTC's initialisers have no preconditions.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    library.map(std::mem::forget).is_ok()
}
