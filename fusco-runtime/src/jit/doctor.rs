//! What this machine has, what it lacks, and how to get it.

use super::{Nvrtc, cache, find};
use crate::{Error, engine};
use std::fmt;
use std::process::Command;

/// The wheels that make a toolkit unnecessary.
const WHEELS: [&str; 2] = ["nvidia-cuda-nvrtc==13.0.*", "nvidia-cuda-runtime==13.0.*"];

#[derive(Clone, Debug)]
pub struct Report {
    /// Name and multiprocessors of each device, or why there is none.
    pub devices: Result<Vec<String>, String>,
    /// Version and folder, or why there is none.
    pub nvrtc: Result<String, String>,
    pub cache: String,
}

pub fn report() -> Report {
    let nvrtc = Nvrtc::find().and_then(|n| {
        let folder =
            n.folder().map_or("the loader's path".to_string(), |f| f.display().to_string());
        Ok(format!("{} from {folder}", n.version()?))
    });
    Report {
        devices: engine::devices().map_err(|e| e.to_string()),
        nvrtc: nvrtc.map_err(|e| e.to_string()),
        cache: cache::folder().map_or("none".to_string(), |f| f.display().to_string()),
    }
}

/// Installs NVRTC into the cache folder with pip.
///
/// # Errors
/// F0911 if Python is missing or pip fails.
pub fn fetch() -> Result<String, Error> {
    let folder = find::fetched().ok_or_else(|| {
        Error::Machine("there is no cache folder: set FUSCO_CACHE_DIR".to_string())
    })?;
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "-q", "--upgrade", "--target"])
        .arg(&folder)
        .args(WHEELS)
        .status();
    match status {
        Ok(status) if status.success() => Ok(folder.display().to_string()),
        Ok(status) => Err(Error::Machine(format!(
            "pip ended with {status}; install {} by hand and set FUSCO_CUDA_PATH",
            WHEELS.join(" and ")
        ))),
        Err(e) => Err(Error::Machine(format!("python3 cannot be run: {e}"))),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.devices {
            Ok(devices) => {
                devices.iter().try_for_each(|d| writeln!(f, "  ok       GPU     {d}"))?
            }
            Err(why) => writeln!(f, "  missing  GPU     {why}")?,
        }
        match &self.nvrtc {
            Ok(nvrtc) => writeln!(f, "  ok       NVRTC   {nvrtc}")?,
            Err(why) => writeln!(f, "  missing  NVRTC   {why}")?,
        }
        write!(f, "  ok       cache   {}", self.cache)
    }
}
