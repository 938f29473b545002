//! `fuscoc check`

use crate::failure::{Failure, Reports};
use crate::source::{Source, bindings, no_param};
use crate::{Format, Outcome};
use fusco_dsl::diag::Diagnostics;
use fusco_dsl::sema::hir::{Bindings, Program};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Programs; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Params; with them, proofs that need numbers are decided too.
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let params = bindings(&args.set)?;
    let (mut reports, mut params_of, mut all_read) = (Reports::default(), Vec::new(), true);
    for file in &args.files {
        let source = match Source::read_or_input(file) {
            Ok(source) => source,
            Err(failure) => {
                reports.add_failure(failure);
                all_read = false;
                continue;
            }
        };
        let checked = fusco_dsl::check(&source.text).and_then(|(programs, warnings)| {
            let names = programs.iter().flat_map(|p| p.params.iter());
            params_of.extend(names.map(|(_, p)| p.name.clone()));
            programs.into_iter().try_for_each(|p| decide(p, &params))?;
            Ok(warnings)
        });
        let (Ok(found) | Err(found)) = checked;
        all_read &= !found.has_errors();
        reports.add(found, &source);
    }
    let known: Vec<&str> = params_of.iter().map(String::as_str).collect();
    if let Some(name) = no_param(&params, &known).filter(|_| all_read) {
        return Err(name);
    }
    if reports.has_errors() {
        return Err(Failure::reports(reports));
    }
    reports.print(format);
    Ok(())
}

/// Down to the schedule, where the program has no params or some are given: what cannot be lowered is said here,
/// not by the first `run`.
fn decide(program: Program, params: &Bindings) -> Result<(), Diagnostics> {
    let of = |name: &str| {
        let name = name.split('[').next().unwrap_or_default();
        program.params.iter().any(|(_, p)| p.name == name)
    };
    let own: Bindings =
        params.iter().filter(|(n, _)| of(n)).map(|(n, v)| (n.clone(), *v)).collect();
    let open = own.is_empty() && program.params.iter().next().is_some();
    if open { Ok(()) } else { fusco_dsl::lower(program, &own).map(|_| ()) }
}
