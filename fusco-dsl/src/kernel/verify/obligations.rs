//! (1) to (6) on the roles as a device runs them: where all ranks share a launch, its start and end stand for handshakes.

use super::fault::{Fault, Found};
use crate::kernel::program::{DeviceKernel, DeviceProgram};
use crate::schedule::ir::Kernel;
use crate::schedule::{Between, Launch, obligations};

pub(super) fn faults(program: &DeviceProgram) -> Vec<Found> {
    let schedule = program.schedule;
    let of = |entry: usize, kernel: &Kernel| -> Option<&DeviceKernel> {
        program.kernels.iter().find(|k| k.entry == entry && k.name == kernel.name)
    };
    let mut found = Vec::new();
    for (number, entry) in schedule.entries.iter().enumerate() {
        for kernel in entry.steps.iter().flat_map(|s| &s.alternatives).map(|a| &a.kernel) {
            if of(number, kernel).is_none() {
                found.push(Found::new(number, &kernel.name, Fault::Missing));
            }
        }
    }
    let launch = |entry: usize, kernel: &Kernel| match of(entry, kernel) {
        Some(kernel) => as_it_runs(kernel),
        None => Launch { roles: Vec::new(), between: Between::Handshakes },
    };
    found.extend(obligations(schedule, launch).into_iter().map(|(entry, problem)| {
        Found::new(entry, &schedule.entries[entry].name, Fault::Obligation(problem))
    }));
    found
}

fn as_it_runs(kernel: &DeviceKernel) -> Launch<'_> {
    Launch {
        roles: kernel.roles.iter().map(|r| (r.kind, &r.ops[..])).collect(),
        between: match (kernel.form.alone, kernel.shakes()) {
            (false, _) => Between::Handshakes,
            (true, true) => Between::OwnHandshakes,
            (true, false) => Between::Launch(&kernel.zeroed),
        },
    }
}
