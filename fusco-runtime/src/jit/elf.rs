//! Whether a library is all there. The loader maps what the headers promise; where the file is shorter,
//! the first look at the missing pages kills the process.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a segment's entry.
const SEGMENT: u64 = 56;

/// `Err` says what is wrong with the file.
pub(super) fn whole(path: &Path) -> Result<(), String> {
    let unread = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    // Looked at before it is opened: a pipe would not answer.
    if !path.metadata().map_err(unread)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut file = File::open(path).map_err(unread)?;
    let bytes = file.metadata().map_err(unread)?.len();
    let mut header = [0; 64];
    let promised = file.read_exact(&mut header).ok().and_then(|()| tables(&header));
    let Some((segments, sections)) = promised else {
        return Err(format!("{} is no 64-bit ELF library", path.display()));
    };
    let fits = |end: Option<u64>| end.is_some_and(|end| end <= bytes);
    let mut all = fits(segments.end()) && fits(sections.end());
    if all && segments.each >= SEGMENT {
        let mut entries = vec![0; segments.bytes() as usize];
        read_at(&mut file, segments.offset, &mut entries).map_err(unread)?;
        // Of each segment, its place in the file and its length there.
        let mut ends = entries
            .chunks_exact(segments.each as usize)
            .map(|segment| word(segment, 8).checked_add(word(segment, 32)));
        all = ends.all(fits);
    }
    match all {
        true => Ok(()),
        false => Err(format!("{} is cut off: its headers promise more bytes", path.display())),
    }
}

/// A table of a file: where it starts, bytes of an entry, entries.
struct Table {
    offset: u64,
    each: u64,
    count: u64,
}

impl Table {
    /// At most 2^32: both factors have 16 bits.
    fn bytes(&self) -> u64 {
        self.each * self.count
    }

    fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.bytes())
    }
}

/// Segments and sections of a little-endian 64-bit ELF file.
fn tables(header: &[u8; 64]) -> Option<(Table, Table)> {
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let short = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let segments = Table { offset: word(header, 32), each: short(54), count: short(56) };
    let sections = Table { offset: word(header, 40), each: short(58), count: short(60) };
    Some((segments, sections))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

fn read_at(file: &mut File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test itself is an ELF file.
    #[test]
    #[cfg(target_os = "linux")]
    fn every_shorter_file_is_refused() {
        let own = std::env::current_exe().expect("it runs");
        whole(&own).expect("all there");
        let text = std::fs::read(&own).expect("readable");
        let folder = tempfile::tempdir().expect("a folder");
        let cut = folder.path().join("cut.so");
        for bytes in [0, 1, 63, 64, 100, 4096, text.len() / 2, text.len() - 1] {
            std::fs::write(&cut, &text[..bytes]).expect("written");
            assert!(whole(&cut).is_err(), "{bytes} of {} bytes", text.len());
        }
        assert!(whole(folder.path()).is_err() && whole(&folder.path().join("none")).is_err());
        let mut wild = text;
        wild[32..40].fill(0xff);
        std::fs::write(&cut, &wild).expect("written");
        assert!(whole(&cut).is_err(), "an offset beyond every file");
    }
}
