//! What a run is asked for, what it is made ready with, and what it left.

use crate::failure::Failure;
use clap::ValueEnum;
use fusco_dsl::Compiled;
use fusco_dsl::oracle::{Inputs, relation};
use fusco_runtime::View;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// What a program is bound to and runs on.
#[derive(clap::Args, Clone, Default)]
pub struct Work {
    #[arg(skip)]
    pub entries: Vec<String>,
    /// One of several programs of the file.
    #[arg(long)]
    pub program: Option<String>,
    /// A value for each param: NAME=V or NAME=[V,V,..].
    #[arg(long = "set", value_name = "NAME=V")]
    pub set: Vec<String>,
    /// A launch-time size: one value, or one for each rank.
    #[arg(long = "dyn", value_name = "NAME=N[,N..]")]
    pub dyns: Vec<String>,
    /// A tensor from a safetensors file, as the logical global array.
    #[arg(long = "in", value_name = "TENSOR=FILE[:KEY]")]
    pub inputs: Vec<String>,
    /// An `in` that is an earlier entry's `out` of the same shape, element type and placement.
    #[arg(long, value_name = "IN=OUT")]
    pub feed: Vec<String>,
    /// Fills every other `in`.
    #[arg(long, value_name = "SEED")]
    pub random: Option<u64>,
    /// Floats are filled in each rank's memory, without a logical array.
    #[arg(skip)]
    pub raw: bool,
}

/// A program with everything its entries read.
pub struct Prepared {
    pub work: Work,
    pub compiled: Compiled,
    pub inputs: Inputs,
    pub feeds: BTreeMap<String, String>,
    /// Each rank's bytes of each input.
    pub ranks: BTreeMap<String, Vec<Vec<u8>>>,
    /// Rows of each group by route, once they are known; see [`Prepared::live`].
    pub live: OnceLock<BTreeMap<String, Vec<u32>>>,
}

impl Prepared {
    /// Rows of each group, of the routes that the entries plan and the reference interpreter has a plan of.
    pub fn live(&self) -> &BTreeMap<String, Vec<u32>> {
        self.live.get_or_init(|| {
            let hir = &self.compiled.hir;
            let entries = self.work.entries.iter().filter_map(|e| hir.entry(e));
            let plans = entries.flat_map(|e| &e.plans).filter_map(|route| {
                let plan = relation(hir, *route, &self.inputs).ok()?;
                Some((hir.routes[*route].name.clone(), plan.counts()))
            });
            plans.collect()
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Backend {
    Host,
    Cuda,
}

/// One finished run of all entries on one back end.
pub struct Finished {
    pub backend: &'static str,
    pub times: Vec<(String, Duration)>,
    /// The times are of repeated launches, not of the first one.
    pub warm: bool,
    /// Each rank's bytes of each `out`, to the end of its live rows; on the host those of its buffer.
    pub outputs: BTreeMap<String, Vec<View>>,
    /// Live rows of each group, by route.
    pub live: BTreeMap<String, Vec<u32>>,
}

/// `NAME=VALUE`, each name once.
pub fn pairs(list: &[String], flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut out = BTreeMap::new();
    for item in list {
        let (name, value) = item
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{flag} {item}`: write NAME=VALUE")))?;
        if out.insert(name.to_string(), value.to_string()).is_some() {
            return Err(Failure::usage(format!("`{flag} {name}` is given twice")));
        }
    }
    Ok(out)
}
