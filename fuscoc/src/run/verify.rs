//! The reference interpreter on the same inputs, and the comparison bit for bit.

use super::{Finished, Prepared};
use crate::failure::Failure;
use crate::progress::Progress;
use fusco_dsl::Compiled;
use fusco_dsl::oracle::{Outputs, run_entry_watched};
use std::collections::BTreeMap;

/// What every entry leaves, fed on like the run itself.
pub fn expect<'r>(ready: &'r Prepared, progress: &Progress) -> Result<Outputs<'r>, Failure> {
    let Prepared { work, compiled, feeds, .. } = ready;
    let mut inputs = ready.inputs.clone();
    let mut plans = BTreeMap::new();
    let mut all = Outputs::default();
    for entry in &work.entries {
        let stage = format!("{entry} by the reference interpreter");
        progress.next(&stage);
        let mut watch =
            |what: &str, done: usize, all: usize| progress.part(&stage, what, (done, all));
        let outputs = run_entry_watched(&compiled.hir, entry, &inputs, &mut plans, &mut watch)?;
        for (name, array) in &outputs.logical {
            // What an entry leaves in an `inout` the next one finds there.
            if let Some(kept) = inputs.tensors.get_mut(name) {
                *kept = array.clone();
            }
            for (to, _) in feeds.iter().filter(|(_, from)| *from == name) {
                inputs.tensors.insert(to.clone(), array.clone());
            }
        }
        all.logical.extend(outputs.logical);
        all.count.extend(outputs.count);
        all.physical.extend(outputs.physical);
    }
    let live = plans.iter().map(|(route, plan)| (route.clone(), plan.counts()));
    let _ = ready.live.set(live.collect());
    Ok(all)
}

/// Elements compared, or the first difference.
pub fn compare(
    compiled: &Compiled,
    expected: &Outputs,
    finished: &Finished,
) -> Result<u64, String> {
    fusco_dsl::ranks::compare(expected, &finished.outputs)
        .map_err(|e| format!("{} on {}: {e}", compiled.hir.name, finished.backend))
}
