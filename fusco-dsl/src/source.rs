//! Byte spans in one source file, and their lines and columns.

/// A half-open byte range of one file.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl Span {
    pub fn new(start: u32, end: u32) -> Self {
        Span { start, end }
    }

    /// The empty place before it.
    pub fn before(self) -> Span {
        Span { start: self.start, end: self.start }
    }

    /// The empty place behind it.
    pub fn after(self) -> Span {
        Span { start: self.end, end: self.end }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub fn line_column(text: &str, at: u32) -> (usize, usize) {
    let before = &text.as_bytes()[..(at as usize).min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (line, column)
}
