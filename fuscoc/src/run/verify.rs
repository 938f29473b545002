//! The reference interpreter on the same inputs, and the comparison bit for bit.

use super::{Args, Finished};
use crate::failure::Failure;
use fusco_dsl::Compiled;
use fusco_dsl::oracle::{Inputs, Outputs, run_entry};
use std::collections::BTreeMap;

/// What every entry leaves, fed on like the run itself.
pub fn expect(args: &Args, compiled: &Compiled, inputs: &Inputs, feeds: &BTreeMap<String, String>) -> Result<Outputs, Failure> {
    let mut inputs = inputs.clone();
    let mut plans = BTreeMap::new();
    let mut all = Outputs::default();
    for entry in args.entries() {
        let outputs = run_entry(&compiled.hir, entry, &inputs, &mut plans).map_err(Failure::input)?;
        for (name, array) in &outputs.logical {
            for (to, _) in feeds.iter().filter(|(_, from)| *from == name) {
                inputs.tensors.insert(to.clone(), array.clone());
            }
        }
        all.logical.extend(outputs.logical);
        all.count.extend(outputs.count);
        all.physical.extend(outputs.physical);
    }
    Ok(all)
}

/// Elements compared, or the first difference.
pub fn compare(compiled: &Compiled, expected: &Outputs, finished: &Finished) -> Result<u64, String> {
    let mut compared = 0;
    for (name, ranks) in &expected.physical {
        let Some(got) = finished.outputs.get(name) else { continue };
        for (rank, want) in ranks.iter().enumerate() {
            let width = want.array.elem.bytes() as usize;
            for (i, defined) in want.defined.iter().enumerate() {
                let (a, b) = (&want.array.data[i * width..(i + 1) * width], got[rank].get(i * width..(i + 1) * width));
                if *defined && b != Some(a) {
                    return Err(format!(
                        "{} on {}: {name}@{rank}[{i}] is {b:02x?}, the oracle says {a:02x?}",
                        compiled.hir.name, finished.backend
                    ));
                }
                compared += u64::from(*defined);
            }
        }
    }
    Ok(compared)
}
