//! The command line: one file a subcommand. Exit 0 fine, 1 the input is wrong, 2 usage, 3 the environment lacks something.

mod bench;
mod check;
mod data;
mod device;
mod doctor;
mod emit;
mod explain;
mod failure;
mod file;
mod fmt;
mod man;
mod progress;
mod run;
mod source;
mod table;
mod terminal;
mod text;
mod topology;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::{Failure, Format, Outcome};
use std::process::ExitCode;

/// Compiles and runs fusco programs.
#[derive(Parser)]
#[command(name = "fuscoc", version, long_version = long_version(), about, after_help = EXAMPLES)]
struct Cli {
    /// How diagnostics and reports are printed.
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All compile-time diagnostics and proofs.
    #[command(after_help = "Examples:
  fuscoc check moe.fusco
  fuscoc check moe.fusco --set G=8,E=256,K=8,H=7168,TMAX=4096
  cat moe.fusco | fuscoc check - --format json")]
    Check(check::Args),
    /// Any stage as text.
    #[command(after_help = "Examples:
  fuscoc emit moe.fusco --stage ast
  fuscoc emit moe.fusco --stage plan --set G=8,E=256,K=8,H=7168,TMAX=4096
  fuscoc emit moe.fusco --stage cuda --entry dispatch -o moe.cu \\
      --set G=8,E=256,K=8,H=7168,TMAX=4096")]
    Emit(emit::Args),
    /// What the compiler made of a file, or what a code means.
    #[command(after_help = "Examples:
  fuscoc explain F0301
  fuscoc explain --list
  fuscoc explain moe.fusco --entry dispatch --svg moe.svg \\
      --set G=8,E=256,K=8,H=7168,TMAX=4096
  fuscoc explain moe.fusco --in topk=trace.safetensors:topk_idx --dyn T=4096 \\
      --set G=8,E=256,K=8,H=7168,TMAX=4096")]
    Explain(explain::Args),
    /// Binds, runs the entries in order on all ranks, and reports.
    #[command(after_help = "Examples:
  fuscoc run moe.fusco --entry dispatch --set G=2,E=4,K=2,H=8,TMAX=4 \\
      --dyn T=4 --random 1 --verify
  fuscoc run moe.fusco --entry dispatch,combine --feed z=y --random 1 \\
      --in topk=trace.safetensors:topk_idx --set G=8,E=256,K=8,H=384,TMAX=4096 \\
      --dyn T=4096 --out out.safetensors

Keys of the file that --out writes, for each output:
  NAME        the logical global array as this run left it
  NAME.count  the live length of each ragged segment
  NAME@R      the buffer of rank R")]
    Run(run::Args),
    /// Times beside a copy of the same bytes, every element checked.
    #[command(after_help = "Examples:
  fuscoc bench --only dispatch,combine
  fuscoc bench reshard.fusco --entry main --set M=4096,N=4096 --random 1 \\
      --backend host --svg out.svg")]
    Bench(bench::Args),
    /// What this machine has, what it lacks, and how to get it.
    #[command(after_help = "Examples:
  fuscoc doctor
  fuscoc doctor --fetch")]
    Doctor(doctor::Args),
    /// Canonical form; comments are kept.
    #[command(after_help = "Examples:
  fuscoc fmt *.fusco
  fuscoc fmt --check *.fusco
  cat moe.fusco | fuscoc fmt -")]
    Fmt(fmt::Args),
    /// Completions for a shell, to standard output.
    #[command(after_help = "Examples:
  fuscoc completions bash > /etc/bash_completion.d/fuscoc
  fuscoc completions zsh > ~/.zfunc/_fuscoc")]
    Completions {
        #[arg(value_enum, value_name = "SHELL", help = "The shell that reads them")]
        shell: clap_complete::Shell,
    },
    /// The manual page of a command, to standard output.
    #[command(after_help = "Examples:
  fuscoc man | man -l -
  fuscoc man run > /usr/local/share/man/man1/fuscoc-run.1")]
    Man {
        #[arg(value_name = "COMMAND", help = "One of the commands; without one, fuscoc itself")]
        subcommand: Option<String>,
    },
}

const EXAMPLES: &str = "\
Examples:
  fuscoc check moe.fusco
  fuscoc run moe.fusco --entry dispatch --set G=2,E=4,K=2,H=8,TMAX=4 \\
      --dyn T=4 --random 1 --verify
  fuscoc explain F0301

Exit codes: 0 fine, 1 the input is wrong, 2 usage, 3 the environment lacks something.";

/// Beside its flags, the help of this width has too few columns.
const NARROW: usize = 70;

/// The help of each command for the terminal: below its flags where there is no room beside them.
fn fitted(command: clap::Command) -> clap::Command {
    match terminal::columns(terminal::To::Output) {
        Some(columns) if columns < NARROW => below(command),
        _ => command,
    }
}

fn below(command: clap::Command) -> clap::Command {
    command.next_line_help(true).mut_subcommands(below)
}

/// For `--version`: what was built from where, and what it makes kernels with and for.
fn long_version() -> String {
    let commit = match env!("FUSCOC_COMMIT") {
        "" => String::new(),
        commit => format!(" ({commit})"),
    };
    let architectures: Vec<&str> = fusco_dsl::cuda::Architecture::names().collect();
    format!(
        "{}{commit}\nCUDA: NVRTC 13 or 12, found when it is needed (`fuscoc doctor`)\narchitectures: {}",
        env!("CARGO_PKG_VERSION"),
        architectures.join(", ")
    )
}

fn main() -> ExitCode {
    let mut command = fitted(Cli::command());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|m| Cli::from_arg_matches(&m).map_err(|e| e.format(&mut command)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    let format = cli.format;
    let result = match cli.command {
        Command::Check(args) => check::run(&args, format),
        Command::Emit(args) => emit::run(&args),
        Command::Explain(args) => explain::run(&args, format),
        Command::Run(args) => run::run(&args, format),
        Command::Bench(args) => bench::run(&args, format),
        Command::Doctor(args) => doctor::run(&args, format),
        Command::Fmt(args) => fmt::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { subcommand } => man::run(Cli::command(), subcommand.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(format);
            ExitCode::from(failure.code())
        }
    }
}

/// Help and version, or what is wrong with the command line, in the format that it asks for.
fn unparsed(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        _ = error.print();
        return ExitCode::SUCCESS;
    }
    let asks_json = std::env::args_os()
        .zip(std::env::args_os().skip(1).map(Some).chain([None]))
        .any(|(a, next)| {
            a == "--format=json" || a == "--format" && next.is_some_and(|n| n == "json")
        });
    if asks_json {
        let text = error.render().to_string();
        let failure = Failure::usage(text.trim().trim_start_matches("error: "));
        failure.print(Format::Json);
        return ExitCode::from(failure.code());
    }
    _ = error.print();
    ExitCode::from(2)
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fuscoc", &mut text);
    file::say(text)
}
