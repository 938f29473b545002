//! Diagnostics for a terminal, in rustc's look.

use super::{Diagnostic, Diagnostics, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

/// More than these nobody reads.
const MOST_SHOWN: usize = 100;

/// Diagnostics in order of their place; `name` is the file as the user wrote it.
pub fn render(diagnostics: &Diagnostics, name: &str, text: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut sorted: Vec<&Diagnostic> = diagnostics.0.iter().collect();
    sorted.sort_by_key(|d| (d.span.start, d.code));
    // Errors before warnings, if not all are shown; each costs a walk through the text.
    if sorted.len() > MOST_SHOWN {
        sorted.sort_by_key(|d| (d.severity == Severity::Warning, d.span.start, d.code));
    }
    let shown = sorted.iter().take(MOST_SHOWN);
    let mut reports: Vec<String> = shown.map(|d| one(&renderer, d, name, text)).collect();
    if sorted.len() > MOST_SHOWN {
        reports.push(format!("and {} more; `--format json` lists all", sorted.len() - MOST_SHOWN));
    }
    reports.join("\n\n")
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic, name: &str, text: &str) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut snippet = Snippet::source(text).path(name).fold(true);
    snippet = snippet.annotation(
        AnnotationKind::Primary.span(range(diagnostic.span, text)).label(&diagnostic.label),
    );
    for (span, label) in &diagnostic.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(range(*span, text)).label(label));
    }
    let mut group: Group<'_> =
        level.primary_title(&diagnostic.message).id(diagnostic.code).element(snippet);
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note));
    }
    let Some(fix) = &diagnostic.fix else {
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help));
        }
        return renderer.render(&[group]);
    };
    let title = diagnostic.help.as_deref().unwrap_or("change it so");
    let patch = Patch::new(range(fix.span, text), &fix.replacement);
    let suggestion = Level::HELP.secondary_title(title);
    let suggestion = suggestion.element(Snippet::source(text).path(name).fold(true).patch(patch));
    renderer.render(&[group, suggestion])
}

fn range(span: crate::source::Span, text: &str) -> std::ops::Range<usize> {
    let end = (span.end as usize).min(text.len());
    (span.start as usize).min(end)..end
}
