//! `fuscoc check`

use crate::failure::{Failure, show};
use crate::source::{Source, bindings};
use crate::{Format, Outcome};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Params; with them, proofs that need numbers are decided too.
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let params = bindings(&args.set)?;
    let mut failures = Vec::new();
    for file in &args.files {
        let source = Source::read(file)?;
        let checked = fusco_dsl::check(&source.text).and_then(|(programs, warnings)| {
            // Down to the schedule: what cannot be lowered is said here, not by the first `run`.
            for program in programs {
                if !params.is_empty() || program.params.iter().next().is_none() {
                    fusco_dsl::lower(program, &params)?;
                }
            }
            Ok(warnings)
        });
        match checked {
            Ok(warnings) if warnings.0.is_empty() => {}
            Ok(warnings) => crate::file::tell(&show(&warnings, &source, format)),
            Err(diagnostics) => failures.push(show(&diagnostics, &source, format)),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::Input(failures.join("\n\n"))) }
}
