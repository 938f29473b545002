//! `fuscoc doctor`

use crate::Outcome;
use crate::failure::Failure;
use fusco_runtime::jit::doctor;

#[derive(clap::Args)]
pub struct Args {
    /// Installs NVRTC from PyPI into the cache folder.
    #[arg(long)]
    fetch: bool,
}

pub fn run(args: &Args) -> Outcome {
    if args.fetch {
        println!("fetched into {}", doctor::fetch()?);
    }
    let report = doctor::report();
    println!("{report}");
    // A machine without a GPU is fine: it compiles, and runs on the host.
    match report.nvrtc {
        Ok(_) => Ok(()),
        Err(why) => Err(Failure::Environment(format!("error: {why}"))),
    }
}
