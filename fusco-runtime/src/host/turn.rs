//! Turning a small square that lies in the nearest cache: rows become lines.
//!
//! Blocks of eight by eight 2-byte elements, or four by four 4-byte ones, turn in registers by interleaving;
//! SSE2 is part of x86-64. What no block covers, and other widths, go element by element.

use std::ops::Range;

/// `to[s * pitch + t] = from[t * pitch + s]` for `s` below `size.0` and `t` below `size.1`; the pitches are
/// (of `from`, of `to`), in elements.
///
/// # Safety
/// Those elements are readable and writable; the squares do not overlap.
pub(super) unsafe fn turn<T: Copy>(
    from: *const T,
    to: *mut T,
    pitch: (usize, usize),
    size: (usize, usize),
) {
    let side = block_side::<T>();
    let whole = (size.0 / side * side, size.1 / side * side);
    for s in (0..whole.0).step_by(side) {
        for t in (0..whole.1).step_by(side) {
            // SAFETY: the block lies within `whole`, which is at most `size`.
            unsafe { block(from.add(t * pitch.0 + s), to.add(s * pitch.1 + t), pitch) }
        }
    }
    // SAFETY: by the caller; what the blocks left.
    unsafe {
        plain(from, to, pitch, 0..whole.0, whole.1..size.1);
        plain(from, to, pitch, whole.0..size.0, 0..size.1);
    }
}

/// # Safety
/// As [`turn`], for the elements of both ranges.
unsafe fn plain<T: Copy>(
    from: *const T,
    to: *mut T,
    pitch: (usize, usize),
    lines: Range<usize>,
    along: Range<usize>,
) {
    for s in lines {
        for t in along.clone() {
            // SAFETY: by the caller.
            unsafe { *to.add(s * pitch.1 + t) = *from.add(t * pitch.0 + s) }
        }
    }
}

/// Elements along either side of the block that [`block`] turns.
const fn block_side<T>() -> usize {
    match size_of::<T>() {
        2 => 8,
        4 => 4,
        _ => 1,
    }
}

/// # Safety
/// As [`turn`], for one block.
#[inline(always)]
unsafe fn block<T: Copy>(from: *const T, to: *mut T, pitch: (usize, usize)) {
    // SAFETY: by the caller.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        match size_of::<T>() {
            2 => return block_u16(from.cast(), to.cast(), pitch),
            4 => return block_u32(from.cast(), to.cast(), pitch),
            _ => {}
        }
        plain(from, to, pitch, 0..block_side::<T>(), 0..block_side::<T>());
    }
}

/// # Safety
/// As [`turn`], for eight by eight elements.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn block_u16(from: *const u16, to: *mut u16, pitch: (usize, usize)) {
    use std::arch::x86_64::*;
    // SAFETY: eight elements of each of eight rows by the caller; SSE2 is part of x86-64.
    unsafe {
        let mut v: [__m128i; 8] =
            std::array::from_fn(|t| _mm_loadu_si128(from.add(t * pitch.0).cast()));
        // A perfect shuffle of the 64 elements, three times, exchanges the two digits of their places.
        for _ in 0..3 {
            v = std::array::from_fn(|i| match i % 2 {
                0 => _mm_unpacklo_epi16(v[i / 2], v[i / 2 + 4]),
                _ => _mm_unpackhi_epi16(v[i / 2], v[i / 2 + 4]),
            });
        }
        for (s, line) in v.into_iter().enumerate() {
            _mm_storeu_si128(to.add(s * pitch.1).cast(), line);
        }
    }
}

/// # Safety
/// As [`turn`], for four by four elements.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn block_u32(from: *const u32, to: *mut u32, pitch: (usize, usize)) {
    use std::arch::x86_64::*;
    // SAFETY: four elements of each of four rows by the caller; SSE2 is part of x86-64.
    unsafe {
        let mut v: [__m128i; 4] =
            std::array::from_fn(|t| _mm_loadu_si128(from.add(t * pitch.0).cast()));
        for _ in 0..2 {
            v = std::array::from_fn(|i| match i % 2 {
                0 => _mm_unpacklo_epi32(v[i / 2], v[i / 2 + 2]),
                _ => _mm_unpackhi_epi32(v[i / 2], v[i / 2 + 2]),
            });
        }
        for (s, line) in v.into_iter().enumerate() {
            _mm_storeu_si128(to.add(s * pitch.1).cast(), line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Copy + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T) {
        let (from_pitch, to_pitch) = (37, 41);
        let from: Vec<T> = (0..64 * from_pitch).map(&of).collect();
        for size in [(1, 1), (8, 8), (16, 24), (7, 9), (33, 5), (32, 35), (0, 4)] {
            let mut to = vec![of(usize::MAX); 64 * to_pitch];
            // SAFETY: no size passes a pitch, and both have 64 rows.
            unsafe { turn(from.as_ptr(), to.as_mut_ptr(), (from_pitch, to_pitch), size) };
            for (s, t) in (0..40).flat_map(|s| (0..to_pitch).map(move |t| (s, t))) {
                let inside = s < size.0 && t < size.1;
                let want = if inside { from[t * from_pitch + s] } else { of(usize::MAX) };
                assert_eq!(to[s * to_pitch + t], want, "{size:?} {s} {t}");
            }
        }
    }

    #[test]
    fn every_element_lands_and_nothing_else_is_touched() {
        check(|i| i as u8);
        check(|i| i as u16);
        check(|i| i as u32);
        check(|i| i as u64);
    }
}
