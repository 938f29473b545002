//! The command line: one file a subcommand. Exit 0 fine, 1 the input is wrong, 2 usage, 3 the environment lacks something.

mod bench;
mod check;
mod data;
mod doctor;
mod emit;
mod explain;
mod failure;
mod file;
mod fmt;
mod progress;
mod run;
mod source;
mod table;

use clap::{Parser, Subcommand, ValueEnum};
use failure::Failure;
use std::process::ExitCode;

/// Compiles and runs fusco programs.
#[derive(Parser)]
#[command(name = "fuscoc", version, about)]
struct Cli {
    /// How diagnostics are printed.
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// All compile-time diagnostics and proofs.
    Check(check::Args),
    /// Any stage as text.
    Emit(emit::Args),
    /// What the compiler made of a file, or what a code means.
    Explain(explain::Args),
    /// Binds, runs the entries in order on all ranks, and reports.
    Run(run::Args),
    /// Times beside a copy of the same bytes, every element checked.
    Bench(bench::Args),
    /// What this machine has, what it lacks, and how to get it.
    Doctor(doctor::Args),
    /// Canonical form; comments are kept.
    Fmt(fmt::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Check(args) => check::run(&args, cli.format),
        Command::Emit(args) => emit::run(&args, cli.format),
        Command::Explain(args) => explain::run(&args, cli.format),
        Command::Run(args) => run::run(&args, cli.format),
        Command::Bench(args) => bench::run(&args, cli.format),
        Command::Doctor(args) => doctor::run(&args),
        Command::Fmt(args) => fmt::run(&args, cli.format),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

pub type Outcome = Result<(), Failure>;
