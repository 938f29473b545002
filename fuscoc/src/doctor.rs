//! `fuscoc doctor`

use crate::failure::Failure;
use crate::{Format, Outcome, file};
use fusco_runtime::jit::doctor;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {
    /// Installs NVRTC from PyPI into the cache folder.
    #[arg(long)]
    fetch: bool,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    let fetched = if args.fetch { Some(doctor::fetch()?) } else { None };
    let report = doctor::report();
    match format {
        Format::Json => {
            let document = json!({
                "fetched": fetched,
                "gpu": found(&report.devices, "devices"),
                "nvrtc": found(&report.nvrtc, "found"),
                "cache": report.cache,
            });
            file::say(format!("{document}\n"))?;
        }
        Format::Text => {
            let fetched = fetched.map_or(String::new(), |to| format!("fetched into {to}\n"));
            file::say(format!("{fetched}{report}\n"))?;
        }
    }
    // A machine without a GPU is fine: it compiles, and runs on the host.
    match report.nvrtc {
        Ok(_) => Ok(()),
        Err(why) => Err(Failure::environment(why)),
    }
}

fn found<T: Clone + Into<Value>>(what: &Result<T, String>, key: &str) -> Value {
    match what {
        Ok(found) => json!({ "ok": true, key: found.clone().into() }),
        Err(why) => json!({ "ok": false, "missing": why }),
    }
}
