//! Diagnostics for machines.

use super::{Diagnostic, Diagnostics, Severity};
use crate::source::{Lines, Span};
use serde_json::{Value, json};

/// One object a diagnostic: code, severity, message, span, notes, help, fix, related.
pub fn json(diagnostics: &Diagnostics, name: &str, text: &str) -> Value {
    let lines = Lines::of(text);
    diagnostics.0.iter().map(|d| one(d, name, &lines)).collect()
}

fn one(d: &Diagnostic, name: &str, lines: &Lines) -> Value {
    let related: Vec<Value> = d
        .related
        .iter()
        .map(|(s, label)| json!({ "span": span(*s, lines), "label": label }))
        .collect();
    json!({
        "code": d.code,
        "severity": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": d.message,
        "file": name,
        "span": span(d.span, lines),
        "label": d.label,
        "notes": d.notes,
        "help": d.help,
        "fix": d.fix.as_ref().map(|f| json!({
            "span": span(f.span, lines), "replacement": f.replacement
        })),
        "related": related,
    })
}

fn span(span: Span, lines: &Lines) -> Value {
    let (line, column) = lines.line_column(span.start);
    json!({ "start": span.start, "end": span.end, "line": line, "column": column })
}
