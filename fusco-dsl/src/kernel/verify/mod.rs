//! The only way to make a `Verified<DeviceProgram>`: what must hold of what will run.
//!
//! `obligations` are those of `language.md` 5.5 on the roles as a device runs them: (1) to (6). `residency` is (7):
//! CTAs that wait for each other are resident together, and what they take fits a multiprocessor. `channels` plays what
//! groups of threads hand to each other: places are taken when they are free, read when they are filled, everyone comes
//! to an end; words that ranks write to each other are released, acquired, (1) and (2), and waited for no longer than
//! a timeout (8). `memory` holds regions apart.

mod channels;
mod fault;
mod memory;
mod obligations;
mod residency;

pub use fault::{Fault, Found};

use super::program::{DeviceKernel, DeviceProgram};
use super::shape::Shape;
use crate::schedule::ir::{Op, Schedule};
use crate::verified::{Verified, Verify};

/// Checks every kernel.
///
/// # Errors
/// Every fault: a defect of the selection, never of the program.
pub fn verify(program: DeviceProgram) -> Result<Verified<DeviceProgram>, Vec<Found>> {
    Verified::new(program)
}

impl Verify for DeviceProgram<'_> {
    type Error = Vec<Found>;

    fn verify(&self) -> Result<(), Vec<Found>> {
        let mut found = Vec::new();
        for kernel in &self.kernels {
            let mut faults = gaps(self.schedule, kernel);
            faults.extend(residency::faults(self, kernel));
            faults.extend(channels::faults(kernel));
            faults.extend(memory::faults(self, kernel));
            let name = &kernel.name;
            found.extend(faults.into_iter().map(|f| Found::new(kernel.entry, name, f)));
        }
        found.extend(memory::workspaces(self));
        found.extend(obligations::faults(self));
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// Ops that nothing prints.
fn gaps(schedule: &Schedule, kernel: &DeviceKernel) -> Vec<Fault> {
    fn walk(schedule: &Schedule, (ops, threads): (&[Op], i64), faults: &mut Vec<Fault>) {
        for op in ops {
            match Shape::of(schedule, op, threads) {
                Ok(Shape::Groups { body, .. } | Shape::Once(body)) => {
                    walk(schedule, (body, threads), faults);
                }
                Ok(_) => {}
                Err(gap) => faults.push(Fault::Gap(gap)),
            }
        }
    }
    let mut faults = Vec::new();
    let threads = i64::from(kernel.form.threads);
    kernel.roles.iter().for_each(|role| walk(schedule, (&role.ops, threads), &mut faults));
    faults
}
