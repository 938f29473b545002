//! Where NVRTC comes from: `FUSCO_CUDA_PATH` and nothing else if it is given; or else the copy that
//! `fuscoc doctor --fetch` made, `CUDA_HOME` or `CUDA_PATH`, the Python environment, the loader's path.
//!
//! A folder that is looked at holds the library and its builtins, which NVRTC opens by their name: they
//! are loaded first, by their path, so that the loader finds these.

use super::api::{self, Api};
use super::{elf, env};
use crate::Error;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A loaded NVRTC.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc(&'static Loaded);

/// A library and the folder it was loaded from; `None` for the loader's own path.
#[derive(Debug)]
pub(super) struct Loaded {
    pub api: Api,
    folder: Option<PathBuf>,
}

static FOUND: OnceLock<Result<Loaded, String>> = OnceLock::new();

impl Nvrtc {
    /// The NVRTC of this process: looked for once.
    ///
    /// # Errors
    /// F0911 if no NVRTC is found, or the one that is asked for is none.
    pub fn find() -> Result<Nvrtc, Error> {
        match FOUND.get_or_init(search) {
            Ok(loaded) => Ok(Nvrtc(loaded)),
            Err(why) => Err(Error::NoNvrtc(why.clone())),
        }
    }

    /// As `13.0`.
    ///
    /// # Errors
    /// F0911 if the library does not say.
    pub fn version(self) -> Result<String, Error> {
        self.0.version()
    }

    /// The folder it was loaded from, if a path was needed.
    pub fn folder(self) -> Option<PathBuf> {
        self.0.folder.clone()
    }

    pub(super) fn loaded(self) -> &'static Loaded {
        self.0
    }
}

impl Loaded {
    pub(super) fn version(&self) -> Result<String, Error> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are writable.
        match unsafe { (self.api.version)(&mut major, &mut minor) } {
            0 => Ok(format!("{major}.{minor}")),
            e => Err(Error::NoNvrtc(format!("NVRTC has no version: {}", api::name(e)))),
        }
    }
}

/// The folder of fetched toolkits, under the cache folder.
pub(super) fn fetched() -> Option<PathBuf> {
    super::cache::folder().map(|f| f.join("nvrtc"))
}

fn search() -> Result<Loaded, String> {
    if let Some(root) = env::folder("FUSCO_CUDA_PATH") {
        let advice = format!("FUSCO_CUDA_PATH is {}: correct it or unset it", root.display());
        return match below(&root) {
            Ok(Some(loaded)) => Ok(loaded),
            Ok(None) => Err(format!("no NVRTC is in {} there; {advice}", PLACES.join(", "))),
            Err(why) => Err(format!("{why}; {advice}")),
        };
    }
    let mut roots: Vec<PathBuf> = [fetched(), env::folder("CUDA_HOME"), env::folder("CUDA_PATH")]
        .into_iter()
        .flatten()
        .collect();
    roots.extend(python_packages());
    let mut refused = Vec::new();
    for root in roots {
        match below(&root) {
            Ok(Some(loaded)) => return Ok(loaded),
            Ok(None) => {}
            Err(why) => refused.push(why),
        }
    }
    // The loader would take these by itself, whatever is wrong with them.
    let mut usable = true;
    for folder in env::folders("LD_LIBRARY_PATH") {
        match inside(&folder) {
            Ok(Some(loaded)) => return Ok(loaded),
            Ok(None) => {}
            Err(why) => {
                usable = false;
                refused.push(why);
            }
        }
    }
    if usable {
        match by_name() {
            Ok(Some(loaded)) => return Ok(loaded),
            Ok(None) => {}
            Err(why) => refused.push(why),
        }
    }
    refused.push("no NVRTC was found: run `fuscoc doctor --fetch`".to_string());
    Err(refused.join("; "))
}

/// Where a toolkit, a wheel or a distribution keeps libraries.
const PLACES: [&str; 4] = ["lib", "lib64", "nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"];

/// The library below a root; `None` if there is none, `Err` if there is one that cannot be used.
pub(super) fn below(root: &Path) -> Result<Option<Loaded>, String> {
    let mut refused = None;
    for place in PLACES {
        match inside(&root.join(place)) {
            Ok(Some(loaded)) => return Ok(Some(loaded)),
            Ok(None) => {}
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// `site-packages` of the active virtual environment.
fn python_packages() -> Vec<PathBuf> {
    let Some(root) = env::folder("VIRTUAL_ENV").or_else(|| env::folder("CONDA_PREFIX")) else {
        return Vec::new();
    };
    let Ok(versions) = std::fs::read_dir(root.join("lib")) else { return Vec::new() };
    versions.filter_map(|v| Some(v.ok()?.path().join("site-packages"))).collect()
}

/// As [`below`], of one folder.
fn inside(folder: &Path) -> Result<Option<Loaded>, String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    let named = |start: &str| -> Vec<&PathBuf> {
        let name =
            |f: &&PathBuf| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with(start));
        files.iter().filter(name).collect()
    };
    let mains = named("libnvrtc.so");
    // The name without a version is the one that is meant; of several versions the newest.
    let plain = mains.iter().find(|f| f.ends_with("libnvrtc.so"));
    let Some(main) = plain.or(mains.last()) else { return Ok(None) };
    let builtins = named("libnvrtc-builtins.so");
    if builtins.is_empty() {
        return Err(format!("{} lacks libnvrtc-builtins.so beside it", main.display()));
    }
    for file in builtins.iter().chain([main]) {
        elf::whole(file)?;
    }
    for file in builtins {
        std::mem::forget(open(file)?);
    }
    let api = Api::of(open(main)?)
        .map_err(|symbol| format!("{} has no `{symbol}`: it is not NVRTC", main.display()))?;
    Ok(Some(Loaded { api, folder: Some(folder.to_path_buf()) }))
}

/// What the loader finds without a path.
fn by_name() -> Result<Option<Loaded>, String> {
    for name in ["libnvrtc.so.13", "libnvrtc.so", "libnvrtc.so.12"] {
        let Ok(library) = open(Path::new(name)) else { continue };
        let api = Api::of(library)
            .map_err(|symbol| format!("{name} has no `{symbol}`: it is not NVRTC"))?;
        return Ok(Some(Loaded { api, folder: None }));
    }
    Ok(None)
}

/// Loads a library for the whole process.
fn open(path: &Path) -> Result<Library, String> {
    // SAFETY: NVRTC's initialisers have no preconditions.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    library.map_err(|e| format!("{} cannot be loaded: {e}", path.display()))
}
