//! `fuscoc fmt`

use crate::failure::{Failure, Reports};
use crate::source::Source;
use crate::{Outcome, file};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Programs; `-` formats standard input to standard output.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Changes nothing; fails if a file is not in canonical form.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Outcome {
    let mut reports = Reports::default();
    for path in &args.files {
        if let Err(failure) = one(args, path) {
            reports.add_failure(failure);
        }
    }
    if reports.is_empty() { Ok(()) } else { Err(Failure::reports(reports)) }
}

fn one(args: &Args, path: &Path) -> Outcome {
    let source = Source::read_or_input(path)?;
    let text =
        fusco_dsl::syntax::fmt(&source.text).map_err(|d| Failure::diagnostics(&d, &source))?;
    if path == Path::new("-") && !args.check {
        return file::say(text);
    }
    if text == source.text {
        return Ok(());
    }
    if args.check {
        let name = &source.name;
        return Err(Failure::input(format!("not in canonical form: {name}; run `fuscoc fmt`")));
    }
    file::write(path, text)
}
