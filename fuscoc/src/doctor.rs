//! `fuscoc doctor`

use crate::failure::Failure;
use crate::{Outcome, file};
use fusco_runtime::jit::doctor;

#[derive(clap::Args)]
pub struct Args {
    /// Installs NVRTC from PyPI into the cache folder.
    #[arg(long)]
    fetch: bool,
}

pub fn run(args: &Args) -> Outcome {
    if args.fetch {
        file::say(format!("fetched into {}\n", doctor::fetch()?))?;
    }
    let report = doctor::report();
    file::say(format!("{report}\n"))?;
    // A machine without a GPU is fine: it compiles, and runs on the host.
    match report.nvrtc {
        Ok(_) => Ok(()),
        Err(why) => Err(Failure::Environment(format!("error: {why}"))),
    }
}
