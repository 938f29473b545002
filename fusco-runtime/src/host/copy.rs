//! Moving rows. A destination that no cache can hold is written past the caches, which spares the
//! machine reading it first; `fence` makes such stores visible before a signal.

/// Rows from which streaming stores pay.
#[cfg(target_arch = "x86_64")]
const STREAM_BYTES: usize = 512;

/// Stores past the caches cost least where they fill it.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

/// Copies a row; `large` says that the destination tensor exceeds the caches.
///
/// # Safety
/// `bytes` are readable at `from` and writable at `to`; the ranges do not overlap.
#[inline]
pub(crate) unsafe fn row(from: *const u8, to: *mut u8, bytes: usize, large: bool) {
    #[cfg(target_arch = "x86_64")]
    if large
        && bytes >= STREAM_BYTES
        && to.addr().is_multiple_of(32)
        && is_x86_feature_detected!("avx")
    {
        // SAFETY: AVX was just detected; the rest by the caller.
        return unsafe { stream(from, to, bytes) };
    }
    let _ = large;
    // SAFETY: by the caller.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) }
}

/// # Safety
/// As [`row`], and `to` is a multiple of 32.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn stream(from: *const u8, to: *mut u8, bytes: usize) {
    use std::arch::x86_64::{_mm256_loadu_si256, _mm256_stream_si256};
    let whole = bytes / 128 * 128;
    let mut at = 0;
    while at < whole {
        // SAFETY: four vectors below `whole <= bytes`; the store is aligned since `to` and `at` are.
        unsafe {
            let [a, b, c, d] = [0, 32, 64, 96].map(|i| _mm256_loadu_si256(from.add(at + i).cast()));
            _mm256_stream_si256(to.add(at).cast(), a);
            _mm256_stream_si256(to.add(at + 32).cast(), b);
            _mm256_stream_si256(to.add(at + 64).cast(), c);
            _mm256_stream_si256(to.add(at + 96).cast(), d);
        }
        at += 128;
    }
    // SAFETY: the rest of the row.
    unsafe { std::ptr::copy_nonoverlapping(from.add(whole), to.add(whole), bytes - whole) }
}

/// Copies a piece of a tile's line: it streams if it is whole cache lines, however few.
///
/// # Safety
/// As [`row`].
#[inline]
pub(super) unsafe fn line(from: *const u8, to: *mut u8, bytes: usize, large: bool) {
    #[cfg(target_arch = "x86_64")]
    if large && bytes.is_multiple_of(CACHE_LINE) && to.addr().is_multiple_of(CACHE_LINE) {
        // SAFETY: by the caller, and whole aligned cache lines.
        return unsafe { stream_lines(from, to, bytes) };
    }
    let _ = large;
    // SAFETY: by the caller.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) }
}

/// # Safety
/// As [`row`]; `bytes` and the address of `to` are multiples of a cache line.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn stream_lines(from: *const u8, to: *mut u8, bytes: usize) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_stream_si128};
    for at in (0..bytes).step_by(16) {
        // SAFETY: sixteen bytes below `bytes`; the store is aligned since `to` and `at` are.
        unsafe { _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast())) }
    }
}

/// Asks for bytes that will be read soon, into a cache behind the nearest; any address will do.
#[inline(always)]
pub(super) fn ask(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..bytes).step_by(CACHE_LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that a program can see; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(at).cast()) }
    }
    let _ = (from, bytes);
}

/// Orders streaming stores before the stores that follow.
#[inline]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    #[allow(unused_unsafe, reason = "safe in newer compilers")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Copies `count` rows of `bytes` that lie `steps` bytes apart on either side.
///
/// # Safety
/// As [`row`], for each of those places.
pub(crate) unsafe fn strided(
    from: *const u8,
    to: *mut u8,
    steps: (i64, i64),
    bytes: usize,
    count: usize,
    large: bool,
) {
    // SAFETY: by the caller; the widths are `bytes`.
    unsafe {
        match bytes {
            1 => each::<u8>(from, to, steps, count),
            2 => each::<u16>(from, to, steps, count),
            4 => each::<u32>(from, to, steps, count),
            8 => each::<u64>(from, to, steps, count),
            16 => each::<u128>(from, to, steps, count),
            _ => (0..count as isize).for_each(|i| {
                row(
                    from.offset(i * steps.0 as isize),
                    to.offset(i * steps.1 as isize),
                    bytes,
                    large,
                )
            }),
        }
    }
}

/// # Safety
/// As [`strided`], for rows of one `T`.
#[inline(always)]
unsafe fn each<T: Copy>(from: *const u8, to: *mut u8, steps: (i64, i64), count: usize) {
    for i in 0..count as isize {
        // SAFETY: the `i`-th row of either side by the caller.
        unsafe {
            let v = from.offset(i * steps.0 as isize).cast::<T>().read_unaligned();
            to.offset(i * steps.1 as isize).cast::<T>().write_unaligned(v);
        }
    }
}

/// Every element of `width` bytes gets the low bytes of `bits`.
///
/// # Safety
/// `bytes` are writable at `to`.
pub(crate) unsafe fn fill(to: *mut u8, bytes: usize, bits: u64, width: usize) {
    let element = bits.to_le_bytes();
    if element[..width].iter().all(|b| *b == element[0]) {
        // SAFETY: by the caller.
        return unsafe { std::ptr::write_bytes(to, element[0], bytes) };
    }
    // SAFETY: whole elements within `bytes`.
    unsafe { strided(element.as_ptr(), to, (0, width as i64), width, bytes / width, false) }
}
