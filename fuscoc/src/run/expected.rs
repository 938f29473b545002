//! What entries are expected to take on the devices of a world, to stand beside what they took.

use super::Prepared;
use fusco_dsl::explain;
use fusco_dsl::kernel;
use fusco_runtime::World;
use std::collections::BTreeMap;

/// Seconds of each entry, by the model that chooses among strategies; none on a host, nor where an earlier entry makes
/// what decides which rows there are.
pub fn expected(ready: &Prepared, world: &World) -> BTreeMap<String, f64> {
    let Prepared { compiled, inputs, work, .. } = ready;
    let program = world.target().and_then(|t| kernel::lower(&compiled.schedule, &t).ok());
    let Some(program) = program else { return BTreeMap::new() };
    let of_entry = |entry: &String| {
        let kernels = explain::expected(compiled, &program, (entry, inputs)).ok()?;
        let nanoseconds = kernels.iter().map(|k| k.timed.time).sum::<f64>();
        Some((entry.clone(), nanoseconds / 1e9)).filter(|(_, seconds)| *seconds > 0.0)
    };
    work.entries.iter().filter_map(of_entry).collect()
}
