//! Copies between host allocations, by as many threads as the machine has.

use super::host::HostMemory;
use std::thread;

/// Bytes from which a second thread pays.
const ALONE: usize = 1 << 20;

/// Copies each source to the target at its place, which is as long.
pub(crate) fn copy(sources: &[HostMemory], targets: &[HostMemory]) {
    let total: usize = sources.iter().map(HostMemory::len).sum();
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    let threads = threads.min(total.div_ceil(ALONE)).max(1);
    thread::scope(|scope| {
        for part in 1..threads {
            scope.spawn(move || share(sources, targets, part, threads));
        }
        share(sources, targets, 0, threads);
    });
}

/// The `part`-th of `parts` equal stretches of every source.
fn share(sources: &[HostMemory], targets: &[HostMemory], part: usize, parts: usize) {
    for (from, to) in sources.iter().zip(targets) {
        let stretch = from.len().div_ceil(parts).next_multiple_of(64);
        let first = (part * stretch).min(from.len());
        to.take(from, first, stretch.min(from.len() - first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_once() {
        for bytes in [0, 1, 4097, (3 << 20) + 5] {
            let made = || [bytes, 7].map(|n| HostMemory::zeroed(n).expect("memory"));
            let (from, to) = (made(), made());
            let values: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8 + 1).collect();
            from[0].write(0, &values);
            from[1].write(0, &[9; 7]);
            copy(&from, &to);
            let mut found = vec![0; bytes];
            to[0].read(0, &mut found);
            assert_eq!(found, values);
            let mut rest = [0; 7];
            to[1].read(0, &mut rest);
            assert_eq!(rest, [9; 7]);
        }
    }
}
