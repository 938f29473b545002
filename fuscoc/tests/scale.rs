//! The tables of `docs/scale.md` come out of the example that makes them.

#[path = "../examples/scale.rs"]
#[expect(dead_code, reason = "its command line is not called")]
mod scale;

use std::path::Path;

/// Cells of the lines of a table that are of routings.
fn times(line: &str) -> Vec<f64> {
    line.split(" | ").skip(2).take(4).map(|cell| cell.parse().expect("a time")).collect()
}

#[test]
fn rows_that_cross_to_a_node_once_are_quicker_in_each_routing() {
    let fuscoc = Path::new(env!("CARGO_BIN_EXE_fuscoc"));
    let lines = scale::lines(fuscoc, &[64]).expect("all are explained");
    let lines: Vec<&String> = lines.iter().filter(|l| l.contains(" | 64 | ")).collect();
    assert_eq!(lines.len(), 8);
    for line in &lines {
        let times = times(line);
        assert!(times[2] < times[0] && times[2] <= times[1], "{line}");
    }
    // The uneven ranks of a dispatch, whose forwarders have as much as one another when they take turns.
    assert!(lines[3].contains(" -> 1.0"), "{}", lines[3]);
}

#[test]
fn the_page_has_a_line_for_each_routing_and_size() {
    let page = include_str!("../../docs/scale.md");
    let rows = page.lines().filter(|l| {
        ["4096", "8192", "16384", "32768"].iter().any(|t| l.contains(&format!(" | {t} | ")))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 2 * 4 * 4);
    assert!(rows.iter().all(|row| times(row).iter().all(|t| *t > 1.0)), "{rows:?}");
}
