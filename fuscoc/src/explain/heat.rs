//! A picture of what goes from each rank to each: shades in a terminal, digits elsewhere.

use crate::table::bytes;
use fusco_dsl::explain::Flow;
use std::fmt::Write;

/// More ranks than these are no picture.
const MOST: usize = 128;

/// From dark to bright, of the 256 colours of a terminal.
const COLOURS: [u8; 10] = [17, 18, 19, 54, 90, 126, 162, 198, 209, 226];

/// A line a rank, in a line a cell for each rank that it sends to: in tenths of the largest.
pub fn map(flow: &Flow, colour: bool) -> String {
    let pairs = (0..flow.ranks).flat_map(|from| (0..flow.ranks).map(move |to| (from, to)));
    let most = pairs.map(|(from, to)| flow.bytes(from, to)).max().unwrap_or(0);
    if flow.ranks < 2 || flow.ranks > MOST || most == 0 {
        return String::new();
    }
    let mut out = format!(
        "bytes of every pair from each rank (down) to each (across), in tenths of {}\n",
        bytes(most as f64)
    );
    for from in 0..flow.ranks {
        _ = write!(out, "{from:>4} ");
        for to in 0..flow.ranks {
            cell(&mut out, tenth(flow.bytes(from, to), most), colour);
        }
        out.push('\n');
    }
    out
}

/// 0 to 9; none for nothing.
fn tenth(bytes: i64, most: i64) -> Option<usize> {
    (bytes > 0).then(|| (bytes as f64 / most as f64 * 10.0).ceil() as usize - 1)
}

fn cell(out: &mut String, tenth: Option<usize>, colour: bool) {
    match tenth {
        None => out.push_str(if colour { "  " } else { "." }),
        Some(tenth) if colour => {
            _ = write!(out, "\x1b[48;5;{}m  \x1b[0m", COLOURS[tenth.min(9)]);
        }
        Some(tenth) => _ = write!(out, "{}", tenth.min(9)),
    }
}

#[cfg(test)]
mod tests {
    use super::tenth;

    #[test]
    fn the_largest_is_nine_and_the_least_is_seen() {
        assert_eq!(
            [0, 1, 100, 101, 999, 1000].map(|b| tenth(b, 1000)),
            [None, Some(0), Some(0), Some(1), Some(9), Some(9)]
        );
    }
}
