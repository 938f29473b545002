//! The canonical form of a source, comments kept; and the tree as text without its spans.

use super::ast::File;
use super::lex::token_end;
use super::parse;
use crate::diag::Diagnostics;

/// Widest line that a block may stay on.
const WIDTH: usize = 100;

/// The canonical form. Comments stay where they are; at most one blank line in a row does.
///
/// # Errors
/// The syntax errors of the text, which is then left alone.
pub fn fmt(text: &str) -> Result<String, Diagnostics> {
    let (_, diagnostics) = parse(text);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let tokens = tokens(text);
    let mut printer = Printer {
        tokens: &tokens,
        out: String::new(),
        depth: 0,
        inline: 0,
        placement: 0,
        brackets: 0,
    };
    (0..tokens.len()).for_each(|i| printer.token(i));
    Ok(printer.out.trim_end().to_string() + "\n")
}

/// The tree, one way to write it, without spans: equal trees have equal dumps.
pub fn dump(file: &File) -> String {
    let text = format!("{:#?}", file.programs);
    let kept: Vec<&str> = text
        .lines()
        .filter(|l| {
            !l.trim_start().starts_with("span: ") && !l.trim_start().starts_with("io_span: ")
        })
        .collect();
    kept.join("\n") + "\n"
}

struct Token<'t> {
    text: &'t str,
    /// Line ends between the token before and this one.
    lines: usize,
}

impl Token<'_> {
    fn is_comment(&self) -> bool {
        self.text.starts_with("//") || self.text.starts_with("/*")
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut out, mut at, mut lines) = (Vec::new(), 0, 0);
    while at < text.len() {
        let pair = ["<-", "->", "<=", ">=", "==", "!=", "||", "&&", ".."]
            .iter()
            .find(|p| text[at..].starts_with(**p));
        let end = pair.map_or_else(|| token_end(text, at), |p| at + p.len());
        let token = &text[at..end];
        if token.trim().is_empty() {
            lines += token.matches('\n').count();
        } else {
            out.push(Token { text: token.trim_end(), lines });
            lines = 0;
        }
        at = end;
    }
    out
}

struct Printer<'t> {
    tokens: &'t [Token<'t>],
    out: String,
    depth: usize,
    /// Open blocks that stay on one line.
    inline: usize,
    /// Bracket depth inside `@ [..]`; 0 outside.
    placement: usize,
    brackets: usize,
}

impl Printer<'_> {
    fn token(&mut self, i: usize) {
        let token = &self.tokens[i];
        let before = i.checked_sub(1).map(|p| &self.tokens[p]);
        if token.text == "}" && self.inline == 0 {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.breaks(i) {
            self.new_line(i);
        } else if before.is_some_and(|b| self.spaced(i, b, token)) {
            self.out.push(' ');
        }
        self.out.push_str(token.text);
        self.track(i);
    }

    /// Whether a line ends before the token.
    fn breaks(&self, i: usize) -> bool {
        let token = &self.tokens[i];
        let Some(before) = i.checked_sub(1).map(|p| &self.tokens[p]) else { return false };
        if before.text.starts_with("//") {
            return true;
        }
        if token.is_comment() {
            return token.lines > 0;
        }
        if self.inline > 0 || self.brackets > 0 {
            return false;
        }
        self.closes_line(i - 1) || token.text == "}" || (before.is_comment() && token.lines > 0)
    }

    /// Whether the line ends behind the token: a statement or block does, and a comment that stands behind one.
    fn closes_line(&self, i: usize) -> bool {
        let trails = |t: &&Token| t.is_comment() && t.lines == 0;
        let closing = self.tokens[..=i].iter().rev().find(|t| !trails(t));
        closing.is_some_and(|t| matches!(t.text, ";" | "{" | "}"))
    }

    fn new_line(&mut self, i: usize) {
        let blank = self.tokens[i].lines > 1
            && self.tokens[i].text != "}"
            && !self.out.trim_end().ends_with('{');
        self.out.push_str(if blank { "\n\n" } else { "\n" });
        let hanging = usize::from(self.brackets > 0);
        self.out.extend(std::iter::repeat_n("    ", self.depth + hanging));
    }

    fn track(&mut self, i: usize) {
        match self.tokens[i].text {
            "{" if self.inline > 0 || self.fits(i) => self.inline += 1,
            "{" => self.depth += 1,
            "}" => self.inline = self.inline.saturating_sub(1),
            "[" | "(" => {
                if self.placement > 0 || (i > 0 && self.tokens[i - 1].text == "@") {
                    self.placement += 1;
                }
                self.brackets += 1;
            }
            "]" | ")" => {
                self.placement = self.placement.saturating_sub(1);
                self.brackets = self.brackets.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// Whether the block that opens here was on one line and fits on one.
    fn fits(&self, open: usize) -> bool {
        let mut depth = 0;
        let column = self.out.len() - self.out.rfind('\n').map_or(0, |n| n + 1);
        let mut width = column;
        for (i, token) in self.tokens.iter().enumerate().skip(open) {
            if i > open && (token.lines > 0 || token.text.starts_with("//")) {
                return false;
            }
            width += token.text.len() + 1;
            match token.text {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return width <= WIDTH;
            }
        }
        false
    }

    fn spaced(&self, i: usize, before: &Token, token: &Token) -> bool {
        let (b, t) = (before.text, token.text);
        if before.is_comment() || token.is_comment() {
            return true;
        }
        if matches!(t, "," | ";" | ")" | "]" | "." | ".." | ":")
            || matches!(b, "(" | "[" | "." | "..")
        {
            return false;
        }
        if self.placement > 0 && (matches!(t, "/") || matches!(b, "/" | ":")) && self.placement == 1
        {
            return false;
        }
        match t {
            "[" => b == "@" || !before.is_word(),
            "(" => !before.is_word() || self.before_list(i),
            _ if b == "-" => !self.is_unary(i - 1),
            _ => true,
        }
    }

    /// `by (..)`, `in (..)` and the argument of a directive stand apart from the word.
    fn before_list(&self, open: usize) -> bool {
        let word = self.tokens[open - 1].text;
        let directive = open >= 2
            && matches!(self.tokens[open - 2].text, ";" | "{")
            && word != "assume"
            && word != "prove";
        matches!(
            word,
            "by" | "in" | "where" | "when" | "cap" | "at" | "through" | "prove" | "assume"
        ) || directive
    }

    fn is_unary(&self, minus: usize) -> bool {
        let Some(before) = minus.checked_sub(1).map(|p| &self.tokens[p]) else { return true };
        let keyword = matches!(
            before.text,
            "where" | "when" | "by" | "in" | "cap" | "prove" | "assume" | "at" | "through"
        );
        keyword || !(before.is_word() || matches!(before.text, ")" | "]"))
    }
}
