//! What this machine has, what it lacks, and how to get it.

use super::{Nvrtc, cache, env, find, nvrtc};
use crate::{Error, driver};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The wheels that make a toolkit unnecessary, for Linux on x86-64 and on Arm: each of these files and no
/// other.
const WHEELS: &str = include_str!("wheels.txt");

/// A download that takes longer has stopped.
const LIMIT: Duration = Duration::from_secs(900);

/// What this machine has; displays as a table.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name and multiprocessors of each device, or why there is none.
    pub devices: Result<Vec<String>, String>,
    /// Version and folder, or why there is none that compiles.
    pub nvrtc: Result<String, String>,
    /// The folder, or why nothing is kept there.
    pub cache: Result<String, String>,
    /// What else is worth to know.
    pub notes: Vec<String>,
}

/// Looks for devices, NVRTC and the cache, and tries each.
pub fn report() -> Report {
    let nvrtc = Nvrtc::find().and_then(|n| {
        let folder =
            n.folder().map_or("the loader's path".to_string(), |f| f.display().to_string());
        nvrtc::try_out(n.loaded())?;
        Ok(format!("{} from {folder}", n.version()?))
    });
    Report {
        devices: driver::devices().map_err(|e| e.to_string()),
        nvrtc: nvrtc.map_err(|e| e.to_string()),
        cache: cache::try_out(),
        notes: env::ignored(),
    }
}

/// Installs NVRTC into the cache folder with pip.
///
/// # Errors
/// F0911 if Python is missing, pip fails or takes too long, or what it brings does not compile a kernel;
/// what was there before is there still.
pub fn fetch() -> Result<String, Error> {
    let folder = find::fetched().ok_or_else(|| {
        Error::Install("there is no cache folder: set FUSCO_CACHE_DIR to a path".to_string())
    })?;
    install(Path::new("python3"), &folder, LIMIT).map_err(Error::Install)?;
    Ok(folder.display().to_string())
}

/// Into a folder beside `folder`, tried there, then renamed.
fn install(python: &Path, folder: &Path, limit: Duration) -> Result<(), String> {
    let parent = folder.parent().unwrap_or(folder);
    let told = |e: std::io::Error| format!("{} cannot be written: {e}", parent.display());
    fs::create_dir_all(parent).map_err(told)?;
    let beside = tempfile::Builder::new().prefix(".nvrtc-").tempdir_in(parent).map_err(told)?;
    let (list, new, old) =
        (beside.path().join("wheels.txt"), beside.path().join("new"), beside.path().join("old"));
    let mut file = tempfile::NamedTempFile::new_in(beside.path()).map_err(told)?;
    std::io::Write::write_all(&mut file, WHEELS.as_bytes()).map_err(told)?;
    file.persist(&list).map_err(|e| told(e.error))?;

    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"])
        .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--target"])
        .arg(&new)
        .arg("-r")
        .arg(&list)
        // `-m` looks for modules in the current folder first.
        .current_dir(beside.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    dies_with_us(&mut pip);
    let child = pip.spawn().map_err(|e| format!("{} cannot be run: {e}", python.display()))?;
    let by_hand = "install nvidia-cuda-nvrtc 13 by hand and set FUSCO_CUDA_PATH";
    match wait(child, limit) {
        Ok(Some(status)) if status.success() => {}
        Ok(Some(status)) => return Err(format!("pip ended with {status}; {by_hand}")),
        Ok(None) => {
            return Err(format!("pip did not end within {} s; {by_hand}", limit.as_secs()));
        }
        Err(e) => return Err(format!("pip is lost: {e}")),
    }

    let loaded = find::below(&new)?.ok_or("pip brought no NVRTC")?;
    nvrtc::try_out(&loaded).map_err(|e| e.to_string())?;
    if folder.symlink_metadata().is_ok() {
        fs::rename(folder, &old).map_err(told)?;
    }
    fs::rename(&new, folder).map_err(told)
}

/// `None` if it took too long; it has ended then, too.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            kill(&mut child)?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A group of its own, which ends as a whole; and the end of this process is the child's.
#[cfg(target_os = "linux")]
fn dies_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: between fork and exec only calls that are allowed there.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // It may have ended before.
            match libc::getppid() as u32 == parent {
                true => Ok(()),
                false => Err(std::io::Error::from(std::io::ErrorKind::Interrupted)),
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn dies_with_us(_: &mut Command) {}

#[cfg(target_os = "linux")]
fn kill(child: &mut Child) -> std::io::Result<()> {
    // SAFETY: the group was made for the child, which has not been waited for.
    match unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) } {
        0 => Ok(()),
        _ => child.kill(),
    }
}

#[cfg(not(target_os = "linux"))]
fn kill(child: &mut Child) -> std::io::Result<()> {
    child.kill()
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
        match &self.cache {
            Ok(folder) => write!(f, "  ok       cache   {folder}")?,
            Err(why) => write!(f, "  missing  cache   {why}; kernels are compiled anew each time")?,
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  note     {note}"))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A `python3` that does this instead of running pip.
    fn python(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("python3");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    #[test]
    fn a_fetch_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        let nvrtc = cache.join("nvrtc");
        fs::create_dir_all(&nvrtc).expect("made");
        fs::write(nvrtc.join("old"), "old").expect("written");
        // The target is the argument after `--target`.
        let target =
            "while [ \"$1\" != --target ]; do shift; done; mkdir -p \"$2\"/lib; cd \"$2\"/lib";
        let cases = [
            ("exit 7".to_string(), "pip ended"),
            (target.to_string(), "no NVRTC"),
            (format!("{target}; echo x > libnvrtc.so.13"), "libnvrtc-builtins"),
            (
                format!("{target}; echo x > libnvrtc.so.13; echo x > libnvrtc-builtins.so.13.0"),
                "no 64-bit ELF",
            ),
            ("sleep 60 & sleep 60".to_string(), "did not end"),
        ];
        for (script, said) in cases {
            let python = python(folder.path(), &script);
            let limit = Duration::from_secs(if said == "did not end" { 1 } else { 30 });
            let started = Instant::now();
            let error = install(&python, &nvrtc, limit).expect_err("it fails");
            assert!(error.contains(said), "{script}: {error}");
            assert!(started.elapsed() < Duration::from_secs(30));
            let left: Vec<_> = fs::read_dir(&cache)
                .expect("there")
                .map(|e| e.expect("there").file_name())
                .collect();
            assert_eq!(left, ["nvrtc"], "{script}: nothing else is left");
            assert!(nvrtc.join("old").is_file(), "{script}");
        }
        let none = install(&folder.path().join("none"), &nvrtc, LIMIT).expect_err("no Python");
        assert!(none.contains("cannot be run"), "{none}");
    }

    #[test]
    fn what_pip_takes_is_pinned() {
        let wheels: Vec<&str> = WHEELS.lines().filter(|l| !l.starts_with(' ')).collect();
        assert!(wheels.iter().all(|w| w.contains("==13.0.")) && !wheels.is_empty());
        let hashes = WHEELS.lines().filter_map(|l| l.trim().strip_prefix("--hash=sha256:"));
        let hashes: Vec<&str> = hashes.map(|h| h.trim_end_matches(" \\")).collect();
        assert_eq!(hashes.len(), 2 * wheels.len(), "one for each of two processors");
        assert!(hashes.iter().all(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
