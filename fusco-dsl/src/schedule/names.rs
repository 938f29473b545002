//! Kernels and signals whose names differ, also where an entry is called as a kernel of another one.

use super::ir::Schedule;
use std::collections::BTreeSet;

/// Fields of a plan that are not named after an entry.
const FIELDS: [&str; 6] = ["barrier", "dropped", "live", "counts", "hist", "pairs"];
/// What a kernel keeps in a plan is named after it.
const KEPT: [&str; 4] = ["epoch_", "mail_", "came_", "asked_"];

/// Appends underscores to what the compiler named. Entries keep their names: kernels of the same name are theirs.
pub(super) fn distinct(schedule: &mut Schedule) {
    let mut given: BTreeSet<String> = FIELDS.iter().map(ToString::to_string).collect();
    given.extend(schedule.bases.iter().map(|(_, base)| base.name.clone()));
    let mut kernels: BTreeSet<String> = schedule.entries.iter().map(|e| e.name.clone()).collect();
    let mut add = |name: &str| given.extend(KEPT.iter().map(|kept| format!("{kept}{name}")));
    kernels.iter().for_each(|name| add(name));
    for entry in &mut schedule.entries {
        // Alternatives may share a kernel, and so its name.
        let mut renamed: Vec<(String, String)> = vec![(entry.name.clone(), entry.name.clone())];
        for alternative in entry.steps.iter_mut().flat_map(|s| &mut s.alternatives) {
            let name = &mut alternative.kernel.name;
            if let Some((_, to)) = renamed.iter().find(|(from, _)| from == name) {
                name.clone_from(to);
                continue;
            }
            let from = name.clone();
            while kernels.contains(name.as_str()) {
                name.push('_');
            }
            kernels.insert(name.clone());
            add(name);
            renamed.push((from, name.clone()));
        }
    }
    let signals: Vec<_> = schedule.signals.iter().map(|(handle, _)| handle).collect();
    for handle in signals {
        let name = &mut schedule.signals[handle].name;
        while given.contains(name.as_str()) {
            name.push('_');
        }
        given.insert(name.clone());
    }
}
