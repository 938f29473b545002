//! What a text may be at most, seen before it is parsed: the parser, every walk over its tree and the end
//! of the tree recurse, so an expression that nests deeper than a small stack holds is refused here.

use super::lex::token_end;
use crate::diag::Diagnostic;
use crate::source::Span;

/// Open brackets, and open comments.
const MOST_BRACKETS: usize = 64;
/// Operators between an expression's start and any place in it, those of the brackets around included:
/// the depth of its tree.
const MOST_OPERATORS: usize = 256;
const MOST_BYTES: usize = 1 << 24;

/// The first place that is beyond a limit.
pub(super) fn beyond(text: &str) -> Option<Diagnostic> {
    if text.len() > MOST_BYTES {
        return Some(refuse(0, 0, "the source is longer than 16 MiB", "split the file"));
    }
    // Operators so far at each open bracket, and in all of them.
    let (mut open, mut operators): (Vec<usize>, usize) = (Vec::new(), 0);
    let mut own = 0;
    let mut at = 0;
    while at < text.len() {
        let end = token_end(text, at).max(at + 1);
        match &text.as_bytes()[at..end] {
            [b'/', b'*', ..] => {
                if let Some(deep) = deep_comment(&text[at..end]) {
                    return Some(nested("comments", at + deep, "remove the comments inside"));
                }
            }
            [b'(' | b'['] => {
                open.push(own);
                // An index or a call is one step down itself.
                operators += 1;
                own = 1;
                if open.len() > MOST_BRACKETS {
                    return Some(nested("brackets", at, "split the expression"));
                }
            }
            [b'{'] => {
                // The header is over.
                operators = operators.saturating_sub(own);
                own = 0;
                open.push(own);
                if open.len() > MOST_BRACKETS {
                    return Some(nested("brackets", at, "split the expression"));
                }
            }
            [b'}'] => {
                operators = operators.saturating_sub(own + open.pop().unwrap_or(0));
                own = 0;
            }
            [b')' | b']'] => {
                operators = operators.saturating_sub(own);
                // What was in brackets is an operand of the chain around, or an index behind it.
                own = open.pop().unwrap_or(0) + 1;
                operators += 1;
            }
            [b',' | b';'] => {
                operators = operators.saturating_sub(own);
                own = 0;
            }
            [b'='] if !text[end..].starts_with('=') && !is_second(&text.as_bytes()[..end]) => {
                // A value begins.
                operators = operators.saturating_sub(own);
                own = 0;
            }
            [sign] if is_operator(*sign) && !is_second(&text.as_bytes()[..end]) => {
                own += 1;
                operators += 1;
            }
            _ => {}
        }
        if operators > MOST_OPERATORS {
            let message = format!("the expression has more than {MOST_OPERATORS} operators");
            let help = "name parts of it: `const NAME = ..;`";
            return Some(refuse(at, end, &message, help));
        }
        at = end;
    }
    None
}

fn is_operator(byte: u8) -> bool {
    b"+-*/%<>=!&|.".contains(&byte)
}

/// Whether the last byte belongs to the operator before it, as in `<=`, `&&` and `..`.
fn is_second(bytes: &[u8]) -> bool {
    let pairs = ["<=", ">=", "==", "!=", "&&", "||", "..", "<-", "->"];
    pairs.iter().any(|p| bytes.ends_with(p.as_bytes()))
}

fn nested(what: &str, at: usize, help: &str) -> Diagnostic {
    refuse(at, at + 1, &format!("{what} nest deeper than {MOST_BRACKETS}"), help)
}

fn refuse(start: usize, end: usize, message: &str, help: &str) -> Diagnostic {
    let span = Span::new(start as u32, end as u32);
    Diagnostic::error("F0001", span, message).help(help)
}

/// Where a comment opens one too many.
fn deep_comment(comment: &str) -> Option<usize> {
    let (bytes, mut depth, mut at) = (comment.as_bytes(), 0usize, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            if depth > MOST_BRACKETS {
                return Some(at);
            }
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth = depth.saturating_sub(1);
            at += 2;
        } else {
            at += 1;
        }
    }
    None
}
