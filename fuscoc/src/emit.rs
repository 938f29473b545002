//! `fuscoc emit`

use crate::failure::Failure;
use crate::source::{Source, bindings};
use crate::{Format, Outcome};
use clap::ValueEnum;
use fusco_dsl::cuda::{CudaUnit, Target, generate};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    file: PathBuf,
    #[arg(long, value_enum)]
    stage: Stage,
    /// One of several programs of the file.
    #[arg(long)]
    program: Option<String>,
    /// Params, needed from `layout` on.
    #[arg(long = "set", value_name = "NAME=V")]
    set: Vec<String>,
    #[arg(long, default_value = "sm_90a")]
    arch: String,
    /// Ranks that share a device; all of them if left out.
    #[arg(long)]
    ranks_per_device: Option<u32>,
    /// Multiprocessors of a device.
    #[arg(long, default_value_t = 132)]
    sms: u32,
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
    Cuda,
    Launch,
    Cubin,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let source = Source::read(&args.file)?;
    let bytes = stage(args, &source, format)?;
    match &args.output {
        None => std::io::Write::write_all(&mut std::io::stdout(), &bytes).map_err(Failure::input),
        Some(path) => std::fs::write(path, bytes)
            .map_err(|e| Failure::input(format!("cannot write {}: {e}", path.display()))),
    }
}

fn stage(args: &Args, source: &Source, format: Format) -> Result<Vec<u8>, Failure> {
    let early = match args.stage {
        Stage::Ast => {
            let (file, diagnostics) = fusco_dsl::syntax::parse(&source.text);
            if diagnostics.has_errors() {
                return Err(Failure::diagnostics(&diagnostics, source, format));
            }
            Some(fusco_dsl::syntax::dump(&file))
        }
        Stage::Hir => {
            let (programs, _) = fusco_dsl::check(&source.text)
                .map_err(|d| Failure::diagnostics(&d, source, format))?;
            Some(programs.iter().map(fusco_dsl::sema::print).collect())
        }
        _ => None,
    };
    if let Some(text) = early {
        return Ok(text.into_bytes());
    }
    let compiled = source.compile(args.program.as_deref(), &bindings(&args.set)?, format)?;
    let name = match args.stage {
        Stage::Layout => "layout",
        Stage::Plan => "plan",
        _ => "schedule",
    };
    if !matches!(args.stage, Stage::Cuda | Stage::Launch | Stage::Cubin) {
        return Ok(compiled.stage(name).unwrap_or_default().into_bytes());
    }
    let ranks = args.ranks_per_device.unwrap_or(compiled.schedule.ranks as u32);
    let target = Target { arch: args.arch.clone(), sms: args.sms, ranks_per_device: ranks };
    let unit = generate(&compiled.schedule, &target)
        .map_err(|d| Failure::diagnostics(&d, source, format))?;
    match args.stage {
        Stage::Cuda => Ok(unit.source.into_bytes()),
        Stage::Launch => Ok(contract(&unit).into_bytes()),
        _ => Ok(fusco_runtime::jit::compile(&unit.source, &compiled.hir.name, &args.arch)?.bytes),
    }
}

/// What a host needs to launch the kernels, one line each.
pub fn contract(unit: &CudaUnit) -> String {
    let mut out = String::new();
    for k in &unit.kernels {
        _ = writeln!(
            out,
            "kernel {} of entry {}: cooperative, grid {} x ranks here, block {}, shared {} bytes",
            k.symbol, k.entry, k.ctas_per_rank, k.threads, k.shared_bytes
        );
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
