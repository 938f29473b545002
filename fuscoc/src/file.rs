//! Files that commands write: whole or not at all. The text is written beside its place and renamed, so
//! what was there before survives a full disk and a kill. No other part of fuscoc writes files.

use crate::Outcome;
use crate::failure::Failure;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Links followed before a path counts as a loop.
const MOST_LINKS: usize = 40;

/// The file at `path` becomes `bytes`.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Outcome {
    replace(path, |file| fs::write(file, bytes.as_ref()))
}

/// As [`write`], for text that is made piece by piece: `fill` writes the file that it is given, which
/// exists and is empty, or is `path` itself where that is a device or a pipe.
pub fn replace(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Outcome {
    let fail = |e| Failure::input(format!("cannot write {}: {e}", path.display()));
    whole(path, fill).map_err(fail)
}

fn whole(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let target = behind_links(path)?;
    let old = match fs::metadata(&target) {
        Ok(old) => Some(old),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    if let Some(old) = &old {
        if !old.is_file() || is_open_file(&target) {
            // `/dev/stdout`, a pipe: nothing to lose and nothing to rename. A folder refuses by itself.
            return fill(path);
        }
        // A file that may not be written may not be replaced, either.
        OpenOptions::new().write(true).open(&target)?;
    }
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let prefix = format!(".{name}.");
    let mut beside = tempfile::Builder::new();
    beside.prefix(&prefix);
    #[cfg(unix)]
    let new = {
        use std::os::unix::fs::PermissionsExt;
        // Less the user's mask, as every new file has it.
        fs::Permissions::from_mode(0o666)
    };
    #[cfg(unix)]
    beside.permissions(new);
    let beside = beside.tempfile_in(folder)?.into_temp_path();
    fill(&beside)?;
    let written = OpenOptions::new().write(true).open(&beside)?;
    if let Some(old) = &old {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Only the superuser may give files away; for others the new file is their own.
            _ = std::os::unix::fs::fchown(&written, Some(old.uid()), Some(old.gid()));
        }
        written.set_permissions(old.permissions())?;
    }
    // Some file systems find out here that the disk is full.
    written.sync_all()?;
    beside.persist(&target).map_err(|e| e.error)
}

/// The path that a write through links would reach, there or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if is_open_file(&path) {
            return Ok(path);
        }
        let Ok(next) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("too many links"))
}

/// Whether the path names what some process has open: such a link need not hold a path.
fn is_open_file(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev/fd")
}

/// Bytes for standard output. A reader that is gone is no failure.
pub fn say(bytes: impl AsRef<[u8]>) -> Outcome {
    let mut out = io::stdout().lock();
    let done = out.write_all(bytes.as_ref()).and_then(|()| out.flush());
    match done {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::input(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}
