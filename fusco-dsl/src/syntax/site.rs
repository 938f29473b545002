//! Where a syntax error is: its token, the item around it, the brackets and blocks that are open.

use super::lex::{RESERVED, token_end};
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;

/// Marks of more than one character, the longest first; not all of them exist in fusco.
const MARKS: [&str; 24] = [
    "...", "..=", "===", "<-", "->", "<=", ">=", "==", "!=", "..", ":=", "=>", "+=", "-=", "*=",
    "/=", "%=", "<<", ">>", "**", "::", "&&", "||", "@=",
];

/// Words that a declaration starts with.
pub(super) const DECLARATIONS: [&str; 10] =
    ["mesh", "const", "param", "dyn", "in", "out", "inout", "tmp", "route", "entry"];

pub(super) struct Site<'t> {
    pub text: &'t str,
    tokens: Vec<Span>,
    /// The token that does not fit; the number of tokens at the end of the file.
    pub at: usize,
    /// The first token of the item that holds it.
    pub item: usize,
    /// First token and open brace of each block around the item, outermost first.
    pub blocks: Vec<(usize, usize)>,
    /// Open `(` and `[` of the item.
    pub brackets: Vec<usize>,
}

impl<'t> Site<'t> {
    pub fn new(text: &'t str, offset: usize) -> Self {
        let tokens = tokens(text);
        let at = tokens.partition_point(|t| t.end as usize <= offset);
        let mut site = Site { text, tokens, at, item: 0, blocks: Vec::new(), brackets: Vec::new() };
        for i in 0..at {
            match site.word(i) {
                "{" => {
                    site.blocks.push((site.item, i));
                    site.start_item(i + 1);
                }
                "}" => {
                    site.blocks.pop();
                    site.start_item(i + 1);
                }
                ";" => site.start_item(i + 1),
                "(" | "[" => site.brackets.push(i),
                ")" | "]" => _ = site.brackets.pop(),
                _ => {}
            }
        }
        site
    }

    fn start_item(&mut self, at: usize) {
        self.item = at;
        self.brackets.clear();
    }

    pub fn word(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |s| &self.text[s.start as usize..s.end as usize])
    }

    pub fn found(&self) -> &'t str {
        self.word(self.at)
    }

    /// The token `n` before the one that does not fit.
    pub fn back(&self, n: usize) -> &'t str {
        self.at.checked_sub(n).map_or("", |i| self.word(i))
    }

    /// The token before, where it is a reserved word that may not stand there.
    pub fn misplaced(&self) -> Option<usize> {
        let before = self.at.checked_sub(1)?;
        let word = self.word(before);
        if !RESERVED.contains(&word) {
            return None;
        }
        let listed = !self.brackets.is_empty()
            && !matches!(word, "ragged" | "by" | "through" | "at")
            && self.block() != "schedule";
        let starts = match self.block() {
            "entry" => !matches!(word, "plan" | "assume" | "prove" | "schedule"),
            "route" => word != "cap",
            _ => false,
        };
        let named = before == self.item + 1 && DECLARATIONS.contains(&self.word(self.item));
        (listed || named || starts && before == self.item).then_some(before)
    }

    /// The first word of the item.
    pub fn kind(&self) -> &'t str {
        if self.item == self.at { "" } else { self.word(self.item) }
    }

    /// The first word of the block around the item.
    pub fn block(&self) -> &'t str {
        self.blocks.last().map_or("", |(header, _)| self.word(*header))
    }

    /// How many tokens of the item come before the one that does not fit.
    pub fn place(&self) -> usize {
        self.at - self.item
    }

    pub fn span(&self, i: usize) -> Span {
        let end = self.text.len() as u32;
        self.tokens.get(i).copied().unwrap_or(Span::new(end, end))
    }

    /// From the start of one token to the end of another.
    pub fn spans(&self, from: usize, to: usize) -> Span {
        let (start, end) = (self.span(from).start, self.span(to).end);
        Span::new(start, end.max(start))
    }

    pub fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Right behind the token before the one that does not fit.
    pub fn behind(&self) -> Span {
        match self.at {
            0 => Span::new(0, 0),
            at => self.span(at - 1).after(),
        }
    }

    /// Whether a line ends between the token and the one before.
    pub fn on_a_new_line(&self) -> bool {
        let (end, start) = (self.behind().end as usize, self.span(self.at).start as usize);
        self.text.get(end..start).is_some_and(|gap| gap.contains('\n'))
    }

    /// The bracket that closes the one at `open`, if one does before the item ends.
    pub fn closer(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for i in open..self.tokens.len() {
            match self.word(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                ";" if self.word(open) != "{" => return None,
                _ => {}
            }
        }
        None
    }

    /// The last token before the `;`, `{` or `}` that ends the item.
    pub fn last(&self) -> usize {
        let end = (self.at..self.tokens.len()).find(|i| matches!(self.word(*i), ";" | "{" | "}"));
        end.unwrap_or(self.tokens.len()).saturating_sub(1)
    }

    /// The token in the item before the one that does not fit.
    pub fn earlier(&self, word: &str) -> Option<usize> {
        (self.item..self.at).rev().find(|i| self.word(*i) == word)
    }

    /// Names of the declarations that start with `word`.
    pub fn declared(&self, word: &str) -> Vec<&'t str> {
        let declares = |i: &usize| {
            self.word(*i) == word
                && (*i == 0 || matches!(self.word(*i - 1), ";" | "{" | "}"))
                && is_name(self.word(*i + 1))
        };
        (0..self.tokens.len()).filter(declares).map(|i| self.word(i + 1)).collect()
    }

    /// Axes of the tensor of that name, from its declaration.
    pub fn axes(&self, name: &str) -> Option<Vec<&'t str>> {
        let io = |i: &usize| matches!(self.word(*i), "in" | "out" | "inout" | "tmp");
        let at = (0..self.tokens.len())
            .find(|i| io(i) && self.word(i + 1) == name && self.word(i + 2) == ":")?;
        let mut open = at + 4;
        if self.word(open) == "(" {
            open = self.closer(open)? + 1;
        }
        if self.word(open) != "[" {
            return None;
        }
        let names = self.parts(open)?.into_iter().map(|(first, _)| self.word(first));
        Some(names.collect()).filter(|a: &Vec<&str>| a.iter().all(|n| is_name(n)))
    }

    /// First and last token of each part between the commas of the bracket at `open`.
    pub fn parts(&self, open: usize) -> Option<Vec<(usize, usize)>> {
        let close = self.closer(open)?;
        let (mut out, mut start, mut depth) = (Vec::new(), open + 1, 0usize);
        for i in open + 1..=close {
            match self.word(i) {
                "(" | "[" => depth += 1,
                ")" | "]" if i < close => depth = depth.saturating_sub(1),
                "," if depth > 0 => {}
                "," | ")" | "]" => {
                    if i > start {
                        out.push((start, i - 1));
                    }
                    start = i + 1;
                }
                _ => {}
            }
        }
        Some(out)
    }

    /// Whether the text has this word anywhere.
    pub fn has(&self, word: &str) -> bool {
        (0..self.tokens.len()).any(|i| self.word(i) == word)
    }

    /// `name`, or one like it that the text does not use.
    pub fn fresh(&self, name: &str) -> String {
        let numbered = (1..).map(|n| if n == 1 { name.to_string() } else { format!("{name}{n}") });
        numbered.take(1000).find(|n| !self.has(n)).unwrap_or_else(|| format!("{name}_"))
    }

    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("F0001", self.span(self.at), message)
    }
}

fn tokens(text: &str) -> Vec<Span> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let mark = MARKS.iter().find(|m| rest.starts_with(**m));
        let end = match mark {
            Some(mark) => at + mark.len(),
            None => token_end(text, at),
        };
        let blank = rest.starts_with(char::is_whitespace)
            || rest.starts_with("//")
            || rest.starts_with("/*");
        if !blank {
            out.push(Span::new(at as u32, end as u32));
        }
        at = end.max(at + 1);
    }
    out
}

/// Whether the token is a word that may name something.
pub(super) fn is_name(token: &str) -> bool {
    is_word(token) && !RESERVED.contains(&token)
}

pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

pub(super) fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_digit())
}

/// The text with the edit laid over it, every byte behind it where it was; `None` if it does not fit.
pub(super) fn overlay(text: &str, fix: &Fix) -> Option<String> {
    let (start, end) = (fix.span.start as usize, fix.span.end as usize);
    if !text.is_char_boundary(start) || !text.is_char_boundary(end) {
        return None;
    }
    let new = fix.replacement.trim_start();
    let blanks = text[end..].bytes().take_while(u8::is_ascii_whitespace).count();
    let joins = new.ends_with(is_word_char) && text[end + blanks..].starts_with(is_word_char);
    let room = end.checked_sub(start)? + blanks - usize::from(joins && blanks > 0);
    let glued = text[..start].ends_with(is_word_char) && new.starts_with(is_word_char);
    if new.len() > room || glued || new.contains('\n') {
        return None;
    }
    let keep = (start + new.len()).max(end);
    let blanks = " ".repeat(keep - start - new.len());
    Some(format!("{}{new}{blanks}{}", &text[..start], &text[keep..])).filter(|t| t != text)
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
