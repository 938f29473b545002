//! Diagnostics as `compile_error!` on their tokens.

use fusco_dsl::diag::{Diagnostic, Diagnostics, Severity};
use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

pub fn report(diagnostics: &Diagnostics, span: impl Fn(usize) -> Span) -> TokenStream {
    let errors = diagnostics.0.iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| message(&text(d), span(d.span.start as usize))).collect()
}

pub fn message(text: &str, span: Span) -> TokenStream {
    quote_spanned! { span => ::core::compile_error! { #text } }
}

fn text(d: &Diagnostic) -> String {
    let mut out = format!("{}: {}", d.code, d.message);
    if !d.label.is_empty() {
        out += &format!("\n  {}", d.label);
    }
    d.notes.iter().for_each(|note| out += &format!("\n  = {note}"));
    d.help.iter().for_each(|help| out += &format!("\n  = help: {help}"));
    out
}
