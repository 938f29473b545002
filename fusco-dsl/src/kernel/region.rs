//! Parts of a CTA's shared memory.

/// Rows in shared memory begin at whole lines: the engine takes a third more time for those that begin at odd
/// multiples of 16 bytes.
pub(super) const LINE: i64 = 128;

/// Bytes of shared memory that a kernel uses for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub name: &'static str,
    pub memory: Memory,
    /// From the start of its memory.
    pub offset: i64,
    pub bytes: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Of a size that the launch gives.
    Dynamic,
    /// Declared in the kernel.
    Static,
}

/// Regions one behind the other.
#[derive(Default)]
pub(super) struct Regions(pub Vec<Region>);

impl Regions {
    /// One more, which begins at a multiple of `align`.
    pub fn add(&mut self, memory: Memory, (name, bytes): (&'static str, i64), align: i64) {
        let same = self.0.iter().filter(|r| r.memory == memory);
        let end = same.map(|r| r.offset + r.bytes).max().unwrap_or(0);
        let offset = (end + align - 1) / align * align;
        self.0.push(Region { name, memory, offset, bytes });
    }
}

/// Bytes of all regions of a memory.
pub fn extent(regions: &[Region], memory: Memory) -> i64 {
    let own = regions.iter().filter(|r| r.memory == memory);
    own.map(|r| r.offset + r.bytes).max().unwrap_or(0)
}

/// Whole lines.
pub(super) fn lines(bytes: i64) -> i64 {
    (bytes + LINE - 1) / LINE * LINE
}
