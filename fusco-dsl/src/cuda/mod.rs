//! A verified device program as CUDA text, with the contract of each launch. It decides nothing: which strategy carries
//! a kernel out, and with what, is the program's.
//!
//! Enters: `Verified<DeviceProgram>`. Leaves: one self-contained `.cu` that NVRTC and nvcc
//! both take, its kernels' grids and arguments, and the map of each plan's workspace. Or one such text for
//! each kernel, to be compiled apart.

mod contract;
mod index;
mod kernel;
mod launch;
mod namer;
mod op;
mod out;
mod unit;
mod workspace;

use crate::diag::Diagnostics;
pub use crate::kernel::ByPosition;
use crate::kernel::{self as device, DeviceProgram};
use crate::schedule::{Verified, ir};
pub use crate::target::{
    Architecture, Capability, Network, Rate, RateSource, Rates, Target, Topology,
};
pub use launch::{CudaUnit, Field, KernelContract, Workspace};
use unit::Program;

/// Prints the kernels of the entries that are `wanted`. Plans stay those of the whole program, so that
/// entries may be compiled apart and share them.
pub fn print(program: &Verified<DeviceProgram>, wanted: impl Fn(&str) -> bool) -> CudaUnit {
    let program = Program::new(program, wanted);
    let source = program.text(&program.kernels);
    program.unit(source)
}

/// Prints every kernel, and the text of each alone, in the same order: only what that kernel uses.
/// Compiled apart they share plans, whose layout is the whole program's.
pub fn print_each(program: &Verified<DeviceProgram>) -> (CudaUnit, Vec<String>) {
    let program = Program::new(program, |_| true);
    let each = program.kernels.chunks(1).map(|kernel| program.text(kernel)).collect();
    let source = program.text(&program.kernels);
    (program.unit(source), each)
}

/// Chooses what carries the schedule out on a target, verifies it and prints it.
///
/// # Errors
/// Those of [`crate::kernel::lower`].
pub fn generate(
    schedule: &Verified<ir::Schedule>,
    target: &Target,
) -> Result<CudaUnit, Diagnostics> {
    device::lower(schedule, target).map(|program| print(&program, |_| true))
}

/// [`generate`], and each kernel alone as by [`print_each`].
///
/// # Errors
/// As [`generate`].
pub fn generate_each(
    schedule: &Verified<ir::Schedule>,
    target: &Target,
) -> Result<(CudaUnit, Vec<String>), Diagnostics> {
    device::lower(schedule, target).map(|program| print_each(&program))
}
