//! Kernel parameters as the contract orders them: the launch, workspaces, tensors, dyns.

use super::program::DeviceProgram;
use super::workspace::DevicePlan;
use crate::driver::Memory;
use crate::error::Error;
use crate::launch::Request;
use crate::mem::DeviceParts;
use fusco_dsl::schedule::ir::{Kernel, Tensor};
use std::time::Duration;

/// The parameters of one kernel on one device, each as the 8-byte words that hold its bytes.
pub(super) fn arguments(
    program: &DeviceProgram,
    request: &Request,
    kernel: &Kernel,
    device: usize,
    report: &Memory,
    timeout: Duration,
) -> Result<Vec<Vec<u64>>, Error> {
    let schedule = &request.schedule;
    let plan = request.space(kernel.route)?.kind::<DevicePlan>();
    let plan =
        plan.ok_or_else(|| Error::Internal("a workspace is not on this world".to_string()))?;
    let first_rank = (device * program.devices.ranks_per_device) as u64;
    let mut out = vec![vec![first_rank, timeout.as_nanos() as u64, report.at], plan.addresses()];
    for tensor in request.entry().operands() {
        let info = &schedule.tensors[tensor];
        let parts = request.buffer(tensor).and_then(|b| b.memory::<DeviceParts>());
        let parts = parts.ok_or_else(|| elsewhere(info))?;
        out.push(addresses(&parts.0));
    }
    for d in &request.entry().dyns {
        let values = &request.dyns[d.index()];
        out.push(if schedule.dyns[*d].per_rank { packed(values) } else { packed(&values[..1]) });
    }
    Ok(out)
}

fn elsewhere(tensor: &Tensor) -> Error {
    Error::BufferWorld { buffer: tensor.name.clone() }
}

fn addresses(parts: &[Memory]) -> Vec<u64> {
    parts.iter().map(|p| p.at).collect()
}

/// Numbers as i32, two a word, the first in the low half.
fn packed(values: &[i64]) -> Vec<u64> {
    let word =
        |pair: &[i64]| pair.iter().rev().fold(0u64, |w, v| (w << 32) | u64::from(*v as i32 as u32));
    values.chunks(2).map(word).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_consecutive_in_memory() {
        let words = super::packed(&[1, -2, 3]);
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(bytes[..12], [1i32, -2, 3].map(i32::to_le_bytes).concat());
    }
}
