//! `fuscoc man`: the manual page of a command as roff, for `man -l` or a package.

use crate::failure::{Failure, Outcome};
use crate::file;

/// The page of `fuscoc`, or of one of its subcommands.
pub fn run(mut fuscoc: clap::Command, subcommand: Option<&str>) -> Outcome {
    fuscoc.build();
    let page = match subcommand {
        None => fuscoc,
        Some(name) => match fuscoc.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(unknown(&fuscoc, name)),
        },
    };
    let mut text = Vec::new();
    let source = format!("fuscoc {}", env!("CARGO_PKG_VERSION"));
    let written = clap_mangen::Man::new(page).source(source).render(&mut text);
    written.map_err(|e| Failure::environment(format!("no manual page: {e}")))?;
    file::say(text)
}

fn unknown(fuscoc: &clap::Command, name: &str) -> Failure {
    let known: Vec<&str> = fuscoc.get_subcommands().map(clap::Command::get_name).collect();
    Failure::usage(format!("no command `{name}`; known are {}", known.join(", ")))
}
