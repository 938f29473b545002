//! (7): what CTAs take fits a multiprocessor, and those that wait for each other are resident together.

use super::fault::{Fault, Resource};
use crate::kernel::form::{Form, REGISTERS};
use crate::kernel::pipeline::{Barrier, Pipeline};
use crate::kernel::program::{DeviceKernel, DeviceProgram};
use crate::kernel::region::{Memory, extent};
use crate::kernel::strategy::Strategy;
use crate::schedule::ir::Op;
use crate::target::Target;

/// Threads of a CTA, and registers of a thread, which the smallest kernels need.
const MOST_THREADS: u32 = 1024;
const LEAST_REGISTERS: u32 = 32;
/// What a multiprocessor keeps of its shared memory for each CTA.
const KEPT: i64 = 1024;

pub(super) fn faults(program: &DeviceProgram, kernel: &DeviceKernel) -> Vec<Fault> {
    let (form, target) = (&kernel.form, &program.target);
    let mut faults = Vec::new();
    if form.threads == 0 || !form.threads.is_multiple_of(32) || form.threads > MOST_THREADS {
        faults.push(Fault::Threads { threads: form.threads, most: MOST_THREADS });
    }
    faults.extend(occupancy(kernel, target));
    faults.extend(grid(form, target));
    let most = target.sms.saturating_mul(form.resident);
    if waits(kernel) {
        if !form.cooperative {
            faults.push(Fault::NotCooperative);
        }
        if form.ctas() > most {
            faults.push(Fault::NotResident { ctas: form.ctas(), most });
        }
        if form.by_position.is_some() {
            faults.push(Fault::Shrinks);
        }
    }
    if let (Strategy::Plan(_), Some(route)) = (&kernel.strategy, kernel.route) {
        let (ctas, histograms) = (form.ctas_per_rank, program.plan_ctas(route));
        if ctas != histograms {
            faults.push(Fault::Planning { ctas, histograms });
        }
    }
    faults
}

/// CTAs that are to share a multiprocessor do.
fn occupancy(kernel: &DeviceKernel, target: &Target) -> impl Iterator<Item = Fault> {
    let (form, resident) = (&kernel.form, i64::from(kernel.form.resident));
    let threads = i64::from(form.threads) * resident;
    let shared = extent(&kernel.shared, Memory::Static) + i64::from(form.shared_bytes);
    let registers = i64::from(form.registers().max(LEAST_REGISTERS)) * threads;
    let all = [
        (Resource::Threads, threads, i64::from(target.threads())),
        (Resource::Registers, registers, i64::from(REGISTERS)),
        (Resource::SharedMemory, (shared + KEPT) * resident, target.shared + KEPT),
    ];
    let lacks = all.into_iter().filter(move |(_, wanted, most)| wanted > most || resident == 0);
    lacks.map(|(of, wanted, most)| Fault::Occupancy { of, wanted, most })
}

/// CTAs of each rank; or all of a device, dealt to its ranks in turn.
fn grid(form: &Form, target: &Target) -> Option<Fault> {
    let (ranks, ctas_per_rank) = (target.ranks_per_device, form.ctas_per_rank);
    let fits = match form.flat {
        true => form.alone && form.grid.1 == 1 && form.grid.0 >= ranks,
        false => form.grid == (ctas_per_rank, ranks),
    };
    (!fits || ctas_per_rank == 0).then_some(Fault::Grid { grid: form.grid, ctas_per_rank, ranks })
}

/// Whether its CTAs wait for others of the launch, or for those of other devices.
fn waits(kernel: &DeviceKernel) -> bool {
    let mut found = between_ctas(&kernel.pipeline);
    for op in kernel.roles.iter().flat_map(|r| &r.ops) {
        op.walk(&mut |op| found |= matches!(op, Op::Barrier | Op::Wait { .. }));
    }
    found
}

fn between_ctas(pipeline: &Pipeline) -> bool {
    let mut barriers = pipeline.channels.iter().flat_map(|c| [c.full, c.empty]);
    barriers.any(|b| matches!(b, Barrier::Grid { .. } | Barrier::Peer(_)))
}
