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

/// Where the lines of a text start: each place in it is found without a walk from its beginning.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    ascii: bool,
}

impl Lines<'_> {
    pub fn of(text: &str) -> Lines<'_> {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Lines { text, starts: std::iter::once(0).chain(ends).collect(), ascii: text.is_ascii() }
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn line_column(&self, at: u32) -> (usize, usize) {
        let at = (at as usize).min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let before = &self.text.as_bytes()[start..at];
        let column = match self.ascii {
            true => before.len(),
            false => String::from_utf8_lossy(before).chars().count(),
        };
        (line, column + 1)
    }
}
