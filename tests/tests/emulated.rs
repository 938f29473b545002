//! What needs a GPU elsewhere, on the emulated machine: random programs, graphs, launches that meet.

use fusco_tests::emulator::{Emulator, End, end};
use std::path::Path;

/// Tests of this binary that look for a GPU, and how many programs those make that make them.
const TESTS: [(&str, u64); 8] = [
    ("routes::gpu_random_routes_equal_the_oracle", 5),
    ("hops::random_paths_equal_the_oracle", 4),
    ("placements::gpu_random_pairs_equal_the_oracle", 8),
    ("placements::gpu_random_pairs_over_two_launches_equal_the_oracle", 5),
    ("placements::gpu_random_arithmetic_equals_the_oracle", 5),
    ("owners::gpu_later_entries_use_the_owners_of_the_plan", 0),
    ("owners::gpu_an_owner_that_is_no_rank_ends_the_launch", 0),
    ("graph::gpu_a_captured_layer_replays_a_trace_over_two_launches", 0),
];

#[test]
fn what_needs_a_device_passes_on_an_emulated_one() {
    let Some(machine) = Emulator::new(Path::new(env!("CARGO_TARGET_TMPDIR"))) else { return };
    for (name, programs) in TESTS {
        let mut command = machine.command(std::env::current_exe().expect("this binary"), 11);
        command.args(["--exact", name, "--nocapture"]);
        command.env("FUSCO_PROGRAMS", programs.to_string());
        let (end, said) = end(&mut command);
        assert_eq!(end, End::Passed, "{name}:\n{said}");
        assert!(said.contains("1 passed") && !said.contains("skipped:"), "{name}:\n{said}");
    }
}
