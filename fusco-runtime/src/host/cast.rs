//! Elements converted from one type to another: floats through f32 to nearest even, fp8 saturating;
//! integers to integers exactly.

use super::number::{self, bf16_bits};
use fusco_dsl::sema::hir::Elem;

/// Converts `count` neighbours.
///
/// # Safety
/// `count` elements are readable at `from` and writable at `to`; the ranges do not overlap.
pub(crate) unsafe fn row(
    (from, from_elem): (*const u8, Elem),
    (to, to_elem): (*mut u8, Elem),
    count: usize,
) {
    let steps = (from_elem.bytes(), to_elem.bytes());
    // SAFETY: by the caller.
    unsafe { strided((from, from_elem), (to, to_elem), steps, count) }
}

/// Converts `count` elements that lie `steps` bytes apart on either side.
///
/// # Safety
/// As [`row`], for those places.
pub(crate) unsafe fn strided(
    (from, from_elem): (*const u8, Elem),
    (to, to_elem): (*mut u8, Elem),
    steps: (i64, i64),
    count: usize,
) {
    let places = (0..count as isize).map(|i| {
        (from.wrapping_offset(i * steps.0 as isize), to.wrapping_offset(i * steps.1 as isize))
    });
    // SAFETY: each pair of places is one element of either side by the caller.
    unsafe {
        match (from_elem, to_elem) {
            (Elem::F32, Elem::Bf16) => places.for_each(|(a, b)| {
                let v = a.cast::<f32>().read_unaligned();
                b.cast::<u16>().write_unaligned(bf16_bits(v));
            }),
            (Elem::Bf16, Elem::F32) => places.for_each(|(a, b)| {
                let v = f32::from_bits(u32::from(a.cast::<u16>().read_unaligned()) << 16);
                b.cast::<u32>().write_unaligned(number::f32_bits(v));
            }),
            _ if from_elem.is_integer() && to_elem.is_integer() => places.for_each(|(a, b)| {
                number::store(b, to_elem, number::load_int(from_elem, a) as u64);
            }),
            _ => places.for_each(|(a, b)| {
                number::store(b, to_elem, number::round(to_elem, number::load(from_elem, a)));
            }),
        }
    }
}
