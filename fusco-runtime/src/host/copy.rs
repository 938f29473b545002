//! Moving rows. A destination that no cache can hold is written past the caches, which spares the
//! machine reading it first; `fence` makes such stores visible before a signal.

/// Rows from which streaming stores pay.
#[cfg(target_arch = "x86_64")]
const STREAM_BYTES: usize = 512;

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
    for at in (0..bytes - bytes % width).step_by(width) {
        // SAFETY: one element within `bytes`.
        unsafe { std::ptr::copy_nonoverlapping(element.as_ptr(), to.add(at), width) }
    }
}
