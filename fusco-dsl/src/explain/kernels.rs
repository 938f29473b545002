//! What carries each kernel out on a device, why, and what else was considered.
//!
//! Enters: a device program. Leaves: a table a kernel.

use super::picture::size;
use crate::kernel::{DeviceKernel, DeviceProgram, Refusal};
use crate::target::{RateSource, Rates};
use std::fmt::Write;

/// The kernels of all entries, or of the one named.
pub fn kernels(program: &DeviceProgram, entry: Option<&str>) -> String {
    let (schedule, target) = (program.schedule, &program.target);
    let name = |kernel: &DeviceKernel| &schedule.entries[kernel.entry].name;
    let rates = &target.rates;
    let mut out = format!(
        "kernels for {}, {} of {} ranks a device; times of bytes at {}\n",
        target.architecture.name,
        target.ranks_per_device,
        schedule.ranks,
        source(rates)
    );
    for kernel in program.kernels.iter().filter(|k| entry.is_none_or(|e| e == name(k))) {
        one(&mut out, kernel, (name(kernel), rates));
    }
    out
}

/// Where the rates of links and memory come from.
fn source(rates: &Rates) -> &'static str {
    match [rates.link.source, rates.copy.source] {
        sources if sources.contains(&RateSource::Here) => "rates measured on this machine",
        sources if sources.contains(&RateSource::Stated) => "the rates that the topology states",
        _ => "the rates of the target",
    }
}

fn one(out: &mut String, kernel: &DeviceKernel, (entry, rates): (&str, &Rates)) {
    let (form, choice) = (&kernel.form, &kernel.choice);
    let cost = &choice.cost;
    _ = writeln!(out, "\n  {} of {entry}: {} CTAs of {}", kernel.name, form.ctas(), form.threads);
    let links = match cost.link {
        0 => String::new(),
        bytes => format!(", {} over links in {} messages", size(bytes), cost.messages),
    };
    let far = match cost.network {
        0 => String::new(),
        bytes => format!(", {} to other nodes", size(bytes)),
    };
    let bytes = format!("{} read, {} written{links}{far}", size(cost.read), size(cost.written));
    let strategy = kernel.strategy.name().to_string();
    let why = format!("{}; {bytes}; limited by {}", choice.reason, cost.load.limit(rates));
    row(out, ("chosen", &strategy), Some(cost.time), &why);
    for (name, refusal, cost) in &choice.rejected {
        // What is meant for other kinds of kernels was no choice.
        if !matches!(refusal, Refusal::Route(_) | Refusal::Plan(_)) {
            let time = cost.as_ref().map(|c| c.time);
            row(out, ("rejected", &name.to_string()), time, &refusal.to_string());
        }
    }
}

fn row(out: &mut String, (word, name): (&str, &str), time: Option<f64>, why: &str) {
    let time = time.map_or(String::new(), |ns| format!("{:.1} us", ns / 1e3));
    _ = writeln!(out, "    {word:<8}  {name:<12}  {time:>11}  {why}");
}
