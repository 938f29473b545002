//! `fuscoc emit`

use crate::device::Device;
use crate::failure::Failure;
use crate::source::{Source, bindings};
use crate::{Outcome, file};
use clap::ValueEnum;
use fusco_dsl::cuda::{self, CudaUnit};
use fusco_dsl::diag::hint;
use fusco_dsl::kernel;
use fusco_runtime::jit;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The program.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How far to compile; several are printed one after the other, each under its name.
    #[arg(
        long = "stage",
        value_name = "STAGE[,STAGE]",
        value_enum,
        required = true,
        value_delimiter = ','
    )]
    stages: Vec<Stage>,
    /// One of several programs of the file.
    #[arg(long)]
    program: Option<String>,
    /// One of its entries; all if left out.
    #[arg(long)]
    entry: Option<String>,
    /// Params, needed from `layout` on.
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
    #[command(flatten)]
    device: Device,
    /// A file instead of standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    Ast,
    Hir,
    Layout,
    Plan,
    Schedule,
    Kernel,
    Cuda,
    Launch,
    Ptx,
    Cubin,
}

pub fn run(args: &Args) -> Outcome {
    let source = Source::read(&args.file)?;
    let bytes = match args.stages[..] {
        [one] => stage(args, &source, one)?,
        _ if args.stages.contains(&Stage::Cubin) => {
            return Err(Failure::usage("a cubin is no text: ask for it alone".to_string()));
        }
        _ => {
            let mut all = Vec::new();
            for one in &args.stages {
                let name = one.to_possible_value().map_or(String::new(), |v| v.get_name().into());
                all.extend(format!("== {name}\n").into_bytes());
                all.extend(stage(args, &source, *one)?);
            }
            all
        }
    };
    match &args.output {
        None => file::say(bytes),
        Some(path) => file::write(path, bytes),
    }
}

fn stage(args: &Args, source: &Source, stage: Stage) -> Result<Vec<u8>, Failure> {
    let early = match stage {
        Stage::Ast => {
            let (file, diagnostics) = fusco_dsl::syntax::parse(&source.text);
            if diagnostics.has_errors() {
                return Err(Failure::diagnostics(&diagnostics, source));
            }
            Some(fusco_dsl::syntax::dump(&file))
        }
        Stage::Hir => {
            let (mut programs, _) =
                fusco_dsl::check(&source.text).map_err(|d| Failure::diagnostics(&d, source))?;
            if let Some(wanted) = &args.program {
                let known: Vec<&str> = programs.iter().map(|p| p.name.as_str()).collect();
                if !known.contains(&wanted.as_str()) {
                    let hint = hint(wanted, &known);
                    return Err(Failure::usage(format!("no program `{wanted}`{hint}")));
                }
                programs.retain(|p| p.name == *wanted);
            }
            for program in &mut programs {
                keep(args, &mut program.entries, |e| &e.name)?;
            }
            Some(programs.iter().map(fusco_dsl::sema::print).collect())
        }
        _ => None,
    };
    if let Some(text) = early {
        return Ok(text.into_bytes());
    }
    let mut compiled = source.compile(args.program.as_deref(), &bindings(&args.set)?)?;
    keep(args, &mut compiled.plan.entries, |e| &e.name)?;
    let text = match stage {
        Stage::Layout => compiled.stage("layout"),
        Stage::Plan => compiled.stage("plan"),
        Stage::Schedule => {
            let mut schedule = (*compiled.schedule).clone();
            keep(args, &mut schedule.entries, |e| &e.name)?;
            Some(fusco_dsl::schedule::print(&schedule))
        }
        _ => None,
    };
    if let Some(text) = text {
        return Ok(text.into_bytes());
    }
    let target = args.device.target(compiled.schedule.ranks)?;
    let wanted = |name: &str| args.entry.as_ref().is_none_or(|e| e == name);
    let program =
        kernel::lower(&compiled.schedule, &target).map_err(|d| Failure::diagnostics(&d, source))?;
    if stage == Stage::Kernel {
        return Ok(kernel::print(&program, wanted).into_bytes());
    }
    let unit = cuda::print(&program, wanted);
    let name = &compiled.hir.name;
    Ok(match stage {
        Stage::Launch => contract(&unit).into_bytes(),
        Stage::Ptx => jit::ptx(&unit.source, name, &args.device.arch)?.into_bytes(),
        Stage::Cubin => jit::compile(&unit.source, name, &args.device.arch)?.bytes,
        _ => unit.source.into_bytes(),
    })
}

/// Leaves the entry that was asked for.
fn keep<T>(args: &Args, entries: &mut Vec<T>, name: fn(&T) -> &String) -> Outcome {
    let Some(wanted) = &args.entry else { return Ok(()) };
    if !entries.iter().any(|e| name(e) == wanted) {
        let known: Vec<&str> = entries.iter().map(|e| name(e).as_str()).collect();
        return Err(Failure::usage(format!("no entry `{wanted}`{}", hint(wanted, &known))));
    }
    entries.retain(|e| name(e) == wanted);
    Ok(())
}

/// What a host needs to launch the kernels, one line each.
pub fn contract(unit: &CudaUnit) -> String {
    let mut out = String::new();
    for k in &unit.kernels {
        _ = writeln!(
            out,
            "kernel {} of entry {}: {}, grid {} x {}, block {}, shared {} bytes",
            k.symbol,
            k.entry,
            if k.cooperative { "cooperative" } else { "plain" },
            k.grid.0,
            k.grid.1,
            k.threads,
            k.shared_bytes
        );
        if let Some(by) = k.by_position {
            _ = writeln!(
                out,
                "  grid x: one for each {} positions of the rank with the most, and {}, are enough",
                by.each, by.least
            );
        }
        if !k.zeroed.is_empty() {
            _ = writeln!(out, "  zeroed before the launch, in each plan: {}", k.zeroed.join(", "));
        }
        _ = writeln!(out, "  args: {}", k.args.join(", "));
    }
    for w in &unit.workspaces {
        _ = writeln!(out, "plan {}: {} bytes a rank, zeroed once", w.route, w.bytes);
        for f in &w.fields {
            _ = writeln!(out, "  {:>10} {:>10} {}", f.offset, f.bytes, f.name);
        }
    }
    out
}
