//! `fusco!`: the language from tokens, as typed Rust.
//!
//! The tokens are printed as text, that text goes through the same front end as a `.fusco` file, and an
//! error lands on the token that it names. Nothing that needs a GPU happens here.

mod expand;
mod relay;
mod report;

use fusco_dsl::diag::Diagnostics;
use fusco_dsl::source::Span;
use proc_macro::TokenStream;
use proc_macro2::{TokenStream as Tokens, TokenTree};
use std::path::PathBuf;

/// A program written in place, `fusco! { program moe { .. } }`, or one in a file,
/// `fusco!("programs/moe.fusco")`, relative to the crate, or else to the source file that names it, and
/// rebuilt when it changes.
///
/// Expands to one module a program: `SOURCE`, `HASH`, `Params`, `bind`, and for each entry its
/// arguments and its launch; a plan is typed by its route. Rust's own words become raw (`r#match`); `self`, `Self`,
/// `super`, `crate` and `_` get an underscore; params and dyns are fields in lower case.
#[proc_macro]
pub fn fusco(input: TokenStream) -> TokenStream {
    let input = Tokens::from(input);
    let mut trees = input.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Literal(path)), None) => from_file(&path),
        _ => from_tokens(input),
    }
    .into()
}

fn from_tokens(input: Tokens) -> Tokens {
    let relayed = relay::relay(input);
    modules(&relayed.text, &|at| relayed.span(at.start as usize))
        .unwrap_or_else(|wrong| report::report(&wrong, |at| relayed.span(at)))
}

/// Each program of the text as a module.
fn modules(text: &str, at: &dyn Fn(Span) -> proc_macro2::Span) -> Result<Tokens, Diagnostics> {
    let (programs, _) = fusco_dsl::check(text)?;
    let names = fusco_dsl::rust::names(&programs)?;
    Ok(programs.iter().zip(&names).map(|(p, n)| expand::expand(p, n, text, at)).collect())
}

fn from_file(path: &proc_macro2::Literal) -> Tokens {
    let quoted = path.to_string();
    let Some(name) = quoted.strip_prefix('"').and_then(|s| s.strip_suffix('"')) else {
        return report::message(
            "`fusco!` takes a program or the path of one in quotes",
            path.span(),
        );
    };
    let from_crate =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join(name);
    let from_file =
        path.span().unwrap().local_file().and_then(|f| f.parent().map(|p| p.join(name)));
    let from_file = from_file.and_then(|f| f.canonicalize().ok());
    let full = from_file.filter(|_| !from_crate.exists()).unwrap_or(from_crate);
    let text = match std::fs::read_to_string(&full) {
        Ok(text) => text,
        Err(error) => {
            let message =
                format!("cannot read `{name}`, relative to the crate or to this file: {error}");
            return report::message(&message, path.span());
        }
    };
    match modules(&text, &|_| path.span()) {
        Ok(modules) => {
            let watched = full.display().to_string();
            quote::quote! { const _: &[u8] = ::core::include_bytes!(#watched); #modules }
        }
        Err(diagnostics) => {
            report::message(&fusco_dsl::diag::render(&diagnostics, name, &text, false), path.span())
        }
    }
}
