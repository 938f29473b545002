//! The machine that kernels are made for, by its options.

use crate::failure::Failure;
use clap::builder::PossibleValuesParser;
use fusco_dsl::cuda::{Architecture, Target, Topology};

#[derive(clap::Args)]
pub struct Device {
    /// What the kernels are made for.
    #[arg(long, default_value = "sm_90a", value_parser = PossibleValuesParser::new(Architecture::names()))]
    pub arch: String,
    /// Ranks that share a device; all of them if left out.
    #[arg(long, value_name = "N")]
    ranks_per_device: Option<u32>,
    /// Multiprocessors of a device; those of the largest common one if left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    sms: Option<u32>,
}

impl Device {
    /// One of the devices that share so many ranks.
    pub fn target(&self, ranks: i64) -> Result<Target, Failure> {
        let arch = Architecture::find(&self.arch)
            .ok_or_else(|| Failure::usage(format!("no architecture `{}`", self.arch)))?;
        let each = self.ranks_per_device.map_or(ranks, i64::from);
        if each < 1 || ranks % each != 0 {
            let divisors: Vec<String> =
                (1..=ranks).filter(|n| ranks % n == 0).map(|n| n.to_string()).collect();
            return Err(Failure::usage(format!(
                "{each} ranks a device: each device has as many of the program's {ranks}; give one of {}",
                divisors.join(", ")
            )));
        }
        let target = Target::new(arch, each as u32);
        let sms = self.sms.unwrap_or(target.sms);
        Ok(Target { sms, rates: fusco_runtime::jit::rates(arch, sms), ..target })
    }

    /// One of the devices of a topology: as many ranks share it as do not fit the devices otherwise.
    pub fn of(&self, topology: &Topology, ranks: i64) -> Result<Target, Failure> {
        let devices = i64::from(topology.nodes) * i64::from(topology.devices);
        let each = self.ranks_per_device.map_or((ranks + devices - 1) / devices, i64::from);
        if each < 1 || ranks % each != 0 || ranks / each > devices {
            return Err(Failure::usage(format!(
                "{} has {devices} devices: the program's {ranks} ranks do not lie on them, {each} on each",
                topology.name
            )));
        }
        let target = topology.target(u32::try_from(each).unwrap_or(u32::MAX));
        Ok(Target { sms: self.sms.unwrap_or(target.sms), ..target })
    }
}
