//! Diagnostics as data.

mod codes;
mod json;
mod near;
mod render;

pub use codes::{Entry, codes, entry, explain};
pub use json::json;
pub use near::{hint, nearest};
pub use render::{render, render_in};

use crate::source::Span;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// An edit of the source that repairs what a diagnostic claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced; empty where text is added.
    pub span: Span,
    pub replacement: String,
}

/// A claim about the source, with the equation or counter-example that decided it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    pub span: Span,
    pub label: String,
    pub notes: Vec<String>,
    pub help: Option<String>,
    pub fix: Option<Fix>,
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
            related: Vec::new(),
        }
    }

    /// F0999: `what` the language has and this version does not lower. A way out, where there is one, is its help.
    pub fn unsupported(span: Span, what: impl std::fmt::Display) -> Self {
        Diagnostic::error("F0999", span, format!("not supported yet: {what}"))
            .label("this version cannot lower it")
            .help("rewrite the program without it, or wait for a later version")
    }

    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The edit that repairs it, if one is certain to be what is meant.
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// As [`fix`](Self::fix), where there may be none.
    pub fn fixed(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }

    /// Spans whose ends are ends of characters: a mended text has others.
    pub(crate) fn snap(&mut self, text: &str) {
        let spans = self.related.iter_mut().map(|(span, _)| span);
        let spans = spans.chain(self.fix.as_mut().map(|f| &mut f.span));
        for span in spans.chain([&mut self.span]) {
            let mut start = (span.start as usize).min(text.len());
            let mut end = (span.end as usize).min(text.len()).max(start);
            while !text.is_char_boundary(start) && start > 0 {
                start -= 1;
            }
            while !text.is_char_boundary(end) && end < text.len() {
                end += 1;
            }
            *span = Span::new(start as u32, end as u32);
        }
    }

    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Without what is said twice of one place.
    pub fn once(mut self) -> Self {
        let mut said = BTreeSet::new();
        self.0.retain(|d| said.insert((d.code, d.span, d.message.clone())));
        self
    }

    /// One of those that claim the same with this code; the other places are told in it.
    pub(crate) fn folded(self, code: &str) -> Self {
        let mut out: Vec<Diagnostic> = Vec::new();
        for d in self.0 {
            let same =
                |o: &&mut Diagnostic| d.code == code && (o.code, &o.message) == (code, &d.message);
            match out.iter_mut().find(same) {
                Some(first) => first.related.push((d.span, "here, too".to_string())),
                None => out.push(d),
            }
        }
        for d in out.iter_mut().filter(|d| d.code == code && !d.related.is_empty()) {
            let places = d.related.len() + 1;
            d.help = d.help.take().map(|help| format!("{help}, in {places} places"));
        }
        Diagnostics(out)
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }
}
