//! `fuscoc fmt`

use crate::failure::Failure;
use crate::source::Source;
use crate::{Format, Outcome};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Changes nothing; fails if a file is not in canonical form.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let mut unformatted = Vec::new();
    for file in &args.files {
        let source = Source::read(file)?;
        let text = fusco_dsl::syntax::fmt(&source.text)
            .map_err(|d| Failure::diagnostics(&d, &source, format))?;
        if text == source.text {
            continue;
        }
        unformatted.push(source.name.clone());
        if !args.check {
            crate::file::write(file, text)?;
        }
    }
    if args.check && !unformatted.is_empty() {
        return Err(Failure::input(format!(
            "not in canonical form: {}; run `fuscoc fmt`",
            unformatted.join(", ")
        )));
    }
    Ok(())
}
