//! Diagnostics for a terminal, in rustc's look.

use super::{Diagnostic, Diagnostics, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

/// More than these nobody reads.
const MOST_SHOWN: usize = 100;

/// Words are not squeezed into less than this.
const NARROWEST: usize = 20;

/// Diagnostics in order of their place; `name` is the file as the user wrote it.
pub fn render(diagnostics: &Diagnostics, name: &str, text: &str, colour: bool) -> String {
    render_in(diagnostics, name, text, colour, None)
}

/// As [`render`], with sentences folded to so many columns. Lines of the source stay as they are.
pub fn render_in(
    diagnostics: &Diagnostics,
    name: &str,
    text: &str,
    colour: bool,
    columns: Option<usize>,
) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let columns = columns.unwrap_or(usize::MAX);
    let mut sorted: Vec<&Diagnostic> = diagnostics.0.iter().collect();
    sorted.sort_by_key(|d| (d.span.start, d.code));
    // Errors before warnings, if not all are shown; each costs a walk through the text.
    if sorted.len() > MOST_SHOWN {
        sorted.sort_by_key(|d| (d.severity == Severity::Warning, d.span.start, d.code));
    }
    let shown = sorted.iter().take(MOST_SHOWN);
    let mut reports: Vec<String> =
        shown.map(|d| one(&renderer, d, (name, text), columns)).collect();
    if sorted.len() > MOST_SHOWN {
        reports.push(format!("and {} more; `--format json` lists all", sorted.len() - MOST_SHOWN));
    }
    reports.join("\n\n")
}

fn one(
    renderer: &Renderer,
    diagnostic: &Diagnostic,
    (name, text): (&str, &str),
    columns: usize,
) -> String {
    // Behind `error[F0101]: `, and behind the numbers of lines and ` = note: `.
    let shown = diagnostic.related.iter().map(|(span, _)| span).chain([&diagnostic.span]);
    let last = shown.map(|s| range(*s, text).start).max().unwrap_or(0);
    let lines = text.as_bytes()[..last].iter().filter(|b| **b == b'\n').count() + 1;
    let behind = lines.to_string().len() + " = note: ".len();
    let title = folded(&diagnostic.message, columns, "warning[F0101]: ".len());
    let notes: Vec<String> = diagnostic.notes.iter().map(|n| folded(n, columns, behind)).collect();
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
    let mut group: Group<'_> = level.primary_title(&title).id(diagnostic.code).element(snippet);
    for note in &notes {
        group = group.element(Level::NOTE.message(note));
    }
    let Some(fix) = &diagnostic.fix else {
        let help = diagnostic.help.as_ref().map(|help| folded(help, columns, behind));
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help));
        }
        return renderer.render(&[group]);
    };
    let title = diagnostic.help.as_deref().unwrap_or("change it so");
    let title = &folded(title, columns, "help: ".len());
    let patch = Patch::new(range(fix.span, text), &fix.replacement);
    let suggestion = Level::HELP.secondary_title(title);
    let suggestion = suggestion.element(Snippet::source(text).path(name).fold(true).patch(patch));
    renderer.render(&[group, suggestion])
}

/// The words on lines that leave so many columns for what is before them.
fn folded(words: &str, columns: usize, before: usize) -> String {
    if columns == usize::MAX {
        return words.to_string();
    }
    let width = columns.saturating_sub(before).max(NARROWEST);
    let (mut out, mut used) = (String::new(), 0);
    for word in words.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

fn range(span: crate::source::Span, text: &str) -> std::ops::Range<usize> {
    let end = (span.end as usize).min(text.len());
    (span.start as usize).min(end)..end
}
