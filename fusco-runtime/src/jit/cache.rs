//! Cubins on disk, by the hash of everything they depend on. A file is a hash of its key and its payload,
//! and the payload: one that does not match, as a file of another key would not, is as good as absent.
//! Files appear by a rename, so neither readers nor writers wait for each other.

use super::env;
use crate::Error;
use etcetera::BaseStrategy;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

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

/// `FUSCO_CACHE_DIR`, or `fusco` in the user's cache folder; absolute.
pub fn folder() -> Option<PathBuf> {
    let of_user = || {
        let folder = etcetera::choose_base_strategy().ok()?.cache_dir().join("fusco");
        folder.is_absolute().then_some(folder)
    };
    env::folder("FUSCO_CACHE_DIR").or_else(of_user)
}

fn cubins() -> Option<PathBuf> {
    Some(folder()?.join("cubin"))
}

fn seal(key: &str, payload: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(key.as_bytes()).update(b"\0").update(payload).finalize()
}

pub fn read(key: &str) -> Option<Vec<u8>> {
    read_from(&cubins()?, key)
}

fn read_from(folder: &Path, key: &str) -> Option<Vec<u8>> {
    let mut how = fs::OpenOptions::new();
    how.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // No link is followed, and a pipe is not waited for.
        how.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let mut file = how.open(folder.join(format!("{key}.cubin"))).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let (hash, payload) = bytes.split_at_checked(32)?;
    let holds = !payload.is_empty() && seal(key, payload).as_bytes() == hash;
    holds.then(|| payload.to_vec())
}

/// Appears whole or not at all.
pub fn write(key: &str, payload: &[u8]) -> Result<(), Error> {
    let fail =
        |e: std::io::Error| Error::Install(format!("the cubin cache cannot be written: {e}"));
    cubins().map_or(Ok(()), |folder| write_to(&folder, key, payload).map_err(fail))
}

fn write_to(folder: &Path, key: &str, payload: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(seal(key, payload).as_bytes())?;
    file.write_all(payload)?;
    // A link of that name is replaced, not followed.
    file.persist(folder.join(format!("{key}.cubin"))).map_err(|e| e.error)?;
    Ok(())
}

/// The folder, after a file was written there and read; or what is wrong with it.
pub fn try_out() -> Result<String, String> {
    let folder = folder().ok_or("there is no cache folder: set FUSCO_CACHE_DIR to a path")?;
    let cubins = folder.join("cubin");
    let told = |e: std::io::Error| format!("{} cannot be written: {e}", folder.display());
    let key = format!("trial-{}", std::process::id());
    write_to(&cubins, &key, b"trial").map_err(told)?;
    let read = read_from(&cubins, &key);
    fs::remove_file(cubins.join(format!("{key}.cubin"))).map_err(told)?;
    if read.is_none() {
        return Err(format!("{} does not give back what was written", folder.display()));
    }
    let shown = folder.display().to_string();
    Ok(if [&folder, &cubins].iter().any(|f| is_open_to_all(f)) {
        format!("{shown} (every user may write there: what runs on the GPU is theirs to choose)")
    } else {
        shown
    })
}

#[cfg(unix)]
fn is_open_to_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & 0o002 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_belongs_to_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |key: &str| folder.path().join(format!("{key}.cubin"));
        write_to(folder.path(), "a", b"of a").expect("written");
        write_to(folder.path(), "b", b"of b").expect("written");
        assert_eq!(read_from(folder.path(), "a").as_deref(), Some(&b"of a"[..]));
        fs::rename(at("a"), at("c")).expect("moved");
        fs::rename(at("b"), at("a")).expect("moved");
        assert_eq!(read_from(folder.path(), "a"), None, "the entry of another key");
        assert_eq!(read_from(folder.path(), "c"), None, "the entry of another key");
        write_to(folder.path(), "empty", b"").expect("written");
        assert_eq!(read_from(folder.path(), "empty"), None, "an empty cubin is none");
        write_to(folder.path(), "a", b"of a").expect("written over the wrong one");
        assert_eq!(read_from(folder.path(), "a").as_deref(), Some(&b"of a"[..]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn links_and_pipes_are_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (safe, at) = (folder.path().join("safe"), |key: &str| {
            folder.path().join("cubin").join(format!("{key}.cubin"))
        });
        let cubins = folder.path().join("cubin");
        write_to(&cubins, "x", b"of x").expect("written");
        fs::rename(at("x"), &safe).expect("moved");
        std::os::unix::fs::symlink(&safe, at("x")).expect("linked");
        std::os::unix::fs::symlink(&safe, cubins.join("lock")).expect("linked");
        let before = fs::read(&safe).expect("there");
        assert_eq!(read_from(&cubins, "x"), None, "a link");
        write_to(&cubins, "x", b"newer").expect("written");
        assert_eq!(read_from(&cubins, "x").as_deref(), Some(&b"newer"[..]));
        assert_eq!(fs::read(&safe).expect("there"), before, "what links name is left alone");
        let pipe = std::ffi::CString::new(at("p").as_os_str().as_encoded_bytes()).expect("no NUL");
        // SAFETY: the path ends with a NUL.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        assert_eq!(read_from(&cubins, "p"), None, "a pipe");
        write_to(&cubins, "p", b"of p").expect("written over the pipe");
        assert_eq!(read_from(&cubins, "p").as_deref(), Some(&b"of p"[..]));
    }
}
