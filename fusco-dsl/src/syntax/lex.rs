//! Where tokens end, and which words are reserved: for messages and for the printer. The grammar alone decides what parses.

/// Words that no name may take.
pub const RESERVED: [&str; 25] = [
    "program", "mesh", "const", "param", "dyn", "inout", "in", "out", "tmp", "route", "entry",
    "schedule", "prove", "assume", "via", "where", "with", "else", "by", "when", "ragged", "plan",
    "cap", "through", "at",
];

/// The end of the comment, string, word, number or character at `at`.
pub(super) fn token_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let first = rest.chars().next().unwrap_or(' ');
    if rest.starts_with("//") {
        return at + rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return at + block_comment(rest);
    }
    if first == '"' || first == '\'' {
        let close = rest[1..].find([first, '\n']).map_or(rest.len(), |i| i + 1);
        return at
            + if rest[close.min(rest.len() - 1)..].starts_with(first) { close + 1 } else { close };
    }
    if first.is_ascii_digit() {
        let mut end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let fraction = &rest[end..];
        if fraction.starts_with('.') && fraction[1..].starts_with(|c: char| c.is_ascii_digit()) {
            end += 1 + fraction[1..].find(|c| !word(c)).unwrap_or(fraction.len() - 1);
        }
        return at + end;
    }
    if word(first) {
        return at + rest.find(|c| !word(c)).unwrap_or(rest.len());
    }
    at + first.len_utf8()
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}
