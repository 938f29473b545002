//! Sums of products in f32: `acc = fma(a, b, acc)` per term, ascending, then one rounding.
//!
//! The terms of a row are known before its sum is stored, so the sum runs along the row in blocks with
//! the accumulator in registers. Every path does the same operations per element in the same order.

use super::number::{self, bf16_bits};
use fusco_dsl::schedule::ir::IxOp;
use fusco_dsl::sema::hir::{Elem, Reducer};

/// A factor of one term.
#[derive(Clone, Copy)]
pub(crate) enum Operand {
    Number(f32),
    /// A row of at least the sum's length.
    Row(*const u8, Elem),
}

/// One term of a sum: a product of up to three factors.
#[derive(Clone, Copy)]
pub(crate) struct Addend {
    pub factors: [Operand; 3],
    pub count: usize,
    /// It is the last of its part: what that adds up to is rounded so before it joins the sum.
    pub closes: Option<Elem>,
}

impl Default for Addend {
    fn default() -> Self {
        Addend { factors: [Operand::Number(1.0); 3], count: 0, closes: None }
    }
}

/// Arithmetic in f32, each operation rounded.
pub(crate) enum Computed {
    /// What the addends add up to.
    Sum,
    Operand(Operand),
    /// What a reduction made of each element.
    Values(Vec<f32>),
    Binary(IxOp, Box<Computed>, Box<Computed>),
    /// Each element rounded to the type.
    Rounded(Elem, Box<Computed>),
}

const BLOCK: usize = 64;

/// Bytes that a row is fetched ahead: the processor does not foresee the next page. Shorter rows half as far, to
/// where the next one may lie.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 4096;

/// Terms of a sum that the fast path takes.
const MOST_TERMS: usize = 32;

/// Stores `run` sums as `elem` at `to`; `large` says that the destination tensor exceeds the caches.
///
/// # Safety
/// `to` has `run` writable elements, each row operand `run` readable ones; they do not overlap.
pub(crate) unsafe fn sum(addends: &[Addend], run: usize, elem: Elem, to: *mut u8, large: bool) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just detected; the rest by the caller.
        return unsafe { sum_widest(addends, run, elem, to, large) };
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just detected; the rest by the caller.
        return unsafe { sum_fast(addends, run, elem, to, large) };
    }
    let _ = large;
    // SAFETY: by the caller.
    unsafe { sum_from(addends, 0, run, elem, to) }
}

/// Stores `run` products as `elem` at `to`: f32, left to right, one rounding.
///
/// # Safety
/// As [`sum`].
pub(crate) unsafe fn scale(product: &Addend, run: usize, elem: Elem, to: *mut u8) {
    for at in (0..run).step_by(BLOCK) {
        let n = BLOCK.min(run - at);
        let [mut out, mut factor] = [[0f32; BLOCK]; 2];
        for (i, operand) in product.factors[..product.count].iter().enumerate() {
            // SAFETY: elements `at..at + n` are below `run`.
            unsafe { expand(operand, at, if i == 0 { &mut out[..n] } else { &mut factor[..n] }) };
            if i > 0 {
                out.iter_mut().zip(&factor).for_each(|(out, factor)| *out *= factor);
            }
        }
        // SAFETY: as above.
        unsafe { store(&out[..n], elem, to.add(at * elem.bytes() as usize)) };
    }
}

/// Stores what comes of `run` sums as `elem` at `to`.
///
/// # Safety
/// As [`sum`], the rows of `value` among the operands.
pub(crate) unsafe fn computed(
    addends: &[Addend],
    value: &Computed,
    run: usize,
    elem: Elem,
    to: *mut u8,
) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just detected; the rest by the caller.
        return unsafe { computed_fast(addends, value, run, elem, to) };
    }
    // SAFETY: by the caller.
    unsafe { computed_plain(addends, value, run, elem, to) }
}

/// # Safety
/// As [`computed`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn computed_fast(addends: &[Addend], value: &Computed, run: usize, elem: Elem, to: *mut u8) {
    // SAFETY: by the caller.
    unsafe { computed_plain(addends, value, run, elem, to) }
}

/// # Safety
/// As [`computed`].
#[inline(always)]
unsafe fn computed_plain(
    addends: &[Addend],
    value: &Computed,
    run: usize,
    elem: Elem,
    to: *mut u8,
) {
    for at in (0..run).step_by(BLOCK) {
        let n = BLOCK.min(run - at);
        let mut out = [0f32; BLOCK];
        // SAFETY: elements `at..at + n` are below `run`.
        let acc = unsafe { add_all(addends, at, n) };
        // SAFETY: as above.
        unsafe {
            value.block(at, &acc[..n], &mut out[..n]);
            store(&out[..n], elem, to.add(at * elem.bytes() as usize));
        }
    }
}

/// Adds a term to a reduction of each element.
///
/// # Safety
/// The rows of `term` have as many elements as `acc`.
pub(crate) unsafe fn fold(by: Reducer, term: &Computed, acc: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just detected; the rest by the caller.
        return unsafe { fold_fast(by, term, acc) };
    }
    // SAFETY: by the caller.
    unsafe { fold_plain(by, term, acc) }
}

/// # Safety
/// As [`fold`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn fold_fast(by: Reducer, term: &Computed, acc: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { fold_plain(by, term, acc) }
}

/// # Safety
/// As [`fold`].
#[inline(always)]
unsafe fn fold_plain(by: Reducer, term: &Computed, acc: &mut [f32]) {
    for (i, acc) in acc.chunks_mut(BLOCK).enumerate() {
        let (at, n) = (i * BLOCK, acc.len());
        let [mut a, mut b] = [[0f32; BLOCK]; 2];
        // SAFETY: elements `at..at + n` are below the length of `acc`.
        unsafe {
            match (by, term) {
                (Reducer::Sum, Computed::Binary(IxOp::Mul, lhs, rhs)) => {
                    lhs.block(at, &[], &mut a[..n]);
                    rhs.block(at, &[], &mut b[..n]);
                    let terms = a.iter().zip(&b);
                    acc.iter_mut().zip(terms).for_each(|(acc, (a, b))| *acc = a.mul_add(*b, *acc));
                }
                (by, term) => {
                    term.block(at, &[], &mut a[..n]);
                    acc.iter_mut().zip(&a).for_each(|(acc, a)| {
                        *acc = match by {
                            Reducer::Sum => *acc + a,
                            Reducer::Max => larger(*acc, *a),
                            Reducer::Min => -larger(-*acc, -a),
                            Reducer::First => *a,
                        };
                    });
                }
            }
        }
    }
}

/// NaN stays, and +0 is more than -0.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        return f32::NAN;
    }
    if a.total_cmp(&b).is_lt() { b } else { a }
}

impl Computed {
    /// The first `run` elements of a value that no addends make.
    ///
    /// # Safety
    /// Its rows have `run` elements.
    pub(crate) unsafe fn all(&self, run: usize) -> Vec<f32> {
        let mut out = vec![0f32; run];
        for (i, out) in out.chunks_mut(BLOCK).enumerate() {
            // SAFETY: by the caller.
            unsafe { self.block(i * BLOCK, &[], out) }
        }
        out
    }

    /// Elements `at..` of the value, from the sums.
    ///
    /// # Safety
    /// Its rows have `at + sums.len()` elements.
    unsafe fn block(&self, at: usize, sums: &[f32], out: &mut [f32]) {
        match self {
            Computed::Sum => out.copy_from_slice(sums),
            Computed::Values(values) => out.copy_from_slice(&values[at..at + out.len()]),
            // SAFETY: by the caller.
            Computed::Operand(operand) => unsafe { expand(operand, at, out) },
            Computed::Rounded(elem, value) => {
                // SAFETY: by the caller.
                unsafe { value.block(at, sums, out) };
                out.iter_mut().for_each(|v| *v = rounded(*elem, *v));
            }
            Computed::Binary(op, lhs, rhs) => {
                let mut other = [0f32; BLOCK];
                let other = &mut other[..out.len()];
                // SAFETY: by the caller.
                unsafe {
                    lhs.block(at, sums, out);
                    rhs.block(at, sums, other);
                }
                out.iter_mut().zip(other).for_each(|(a, b)| match op {
                    IxOp::Add => *a += *b,
                    IxOp::Sub => *a -= *b,
                    IxOp::Mul => *a *= *b,
                    IxOp::Div | IxOp::Rem => *a /= *b,
                });
            }
        }
    }
}

/// # Safety
/// As [`sum`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn sum_fast(addends: &[Addend], run: usize, elem: Elem, to: *mut u8, large: bool) {
    // SAFETY: by the caller.
    unsafe { sum_with::<false>(addends, run, elem, to, large) }
}

/// # Safety
/// As [`sum`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
unsafe fn sum_widest(addends: &[Addend], run: usize, elem: Elem, to: *mut u8, large: bool) {
    // SAFETY: by the caller.
    unsafe { sum_with::<true>(addends, run, elem, to, large) }
}

/// Vectors as wide as the caller's: whole lines if `AVX512`.
///
/// # Safety
/// As [`sum`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sum_with<const AVX512: bool>(
    addends: &[Addend],
    run: usize,
    elem: Elem,
    to: *mut u8,
    large: bool,
) {
    let weighted = |a: &Addend| {
        let whole = a.count == 2 && a.closes.is_none();
        whole && matches!(a.factors, [Operand::Number(_), Operand::Row(_, Elem::Bf16), _])
    };
    // SAFETY: by the caller; `done` is at most `run`.
    unsafe {
        let done = match elem == Elem::Bf16 && addends.iter().all(weighted) {
            true => {
                weighted_bf16::<AVX512>(addends, run, to, large && to.addr().is_multiple_of(16))
            }
            false => 0,
        };
        sum_from(addends, done, run, elem, to);
    }
}

/// The weighted sum of bf16 rows, 64 elements at a time; how many it did. `past` the caches, if so asked.
///
/// # Safety
/// As [`sum`]; every addend is a number times a bf16 row; `to` is a multiple of 16 if `past`. `AVX512`: the
/// processor has avx512f.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn weighted_bf16<const AVX512: bool>(
    addends: &[Addend],
    run: usize,
    to: *mut u8,
    past: bool,
) -> usize {
    use std::arch::x86_64::{__m128i, __m512i, _MM_HINT_T0};
    use std::arch::x86_64::{_mm_prefetch, _mm_stream_si128, _mm512_stream_si512};
    let mut terms = [(0f32, std::ptr::null::<u8>()); MOST_TERMS];
    let Some(terms) = terms.get_mut(..addends.len()) else { return 0 };
    for (term, addend) in terms.iter_mut().zip(addends) {
        let [Operand::Number(weight), Operand::Row(row, _), _] = addend.factors else { return 0 };
        *term = (weight, row);
    }
    let whole = run / BLOCK * BLOCK;
    let long = whole * 2 > AHEAD;
    let ahead = if long { AHEAD } else { AHEAD / 2 };
    let lines = AVX512 && to.addr().is_multiple_of(64);
    // The first page of all rows at once: one after the other, each would wait for memory.
    for at in (0..if long { AHEAD } else { 0 }).step_by(64) {
        // SAFETY: to prefetch what is not there does nothing.
        terms.iter().for_each(|(_, row)| unsafe {
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(at).cast());
        });
    }
    for at in (0..whole).step_by(BLOCK) {
        // Elements of even and of odd number apart: a bf16 is the high half of an f32.
        let [mut even, mut odd] = [[0f32; BLOCK / 2]; 2];
        for (weight, row) in terms.iter() {
            let row = row.wrapping_add(at * 2);
            // SAFETY: elements `at..at + 64` are below `whole <= run`; to prefetch what is not there does
            // nothing.
            let words: [u32; BLOCK / 2] = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(ahead).cast());
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(ahead + 64).cast());
                row.cast::<[u32; BLOCK / 2]>().read_unaligned()
            };
            for (i, word) in words.iter().enumerate() {
                even[i] = weight.mul_add(f32::from_bits(word << 16), even[i]);
                odd[i] = weight.mul_add(f32::from_bits(word & HIGH), odd[i]);
            }
        }
        let mut sums = [0u32; BLOCK / 2];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = round_bf16(even[i]) >> 16 | round_bf16(odd[i]) & HIGH;
        }
        // SAFETY: elements `at..at + 64` of `to`, a line or two; the caller has the features of `AVX512`.
        unsafe {
            let (to, from) = (to.add(at * 2), sums.as_ptr());
            match past {
                true if lines => (0..2).for_each(|i| {
                    let line = from.cast::<__m512i>().add(i).read_unaligned();
                    _mm512_stream_si512(to.cast::<__m512i>().add(i), line);
                }),
                true => (0..8).for_each(|i| {
                    let part = from.cast::<__m128i>().add(i).read_unaligned();
                    _mm_stream_si128(to.cast::<__m128i>().add(i), part);
                }),
                false => to.cast::<[u32; BLOCK / 2]>().write_unaligned(sums),
            }
        }
    }
    whole
}

/// The upper half of a word.
#[cfg(target_arch = "x86_64")]
const HIGH: u32 = 0xffff_0000;

/// Nearest even, NaN to 0x7fff, in the upper half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn round_bf16(v: f32) -> u32 {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff).wrapping_add(bits >> 16 & 1);
    if v.is_nan() { 0x7fff_0000 } else { rounded }
}

/// Elements `from..run` of any sum. Inlined where `mul_add` is one instruction.
///
/// # Safety
/// As [`sum`].
#[inline(always)]
unsafe fn sum_from(addends: &[Addend], from: usize, run: usize, elem: Elem, to: *mut u8) {
    for at in (from..run).step_by(BLOCK) {
        let n = BLOCK.min(run - at);
        // SAFETY: elements `at..at + n` are below `run`.
        let acc = unsafe { add_all(addends, at, n) };
        // SAFETY: as above.
        unsafe { store(&acc[..n], elem, to.add(at * elem.bytes() as usize)) };
    }
}

/// Adds a part of a sum to what those before it made.
#[inline(always)]
pub(crate) fn close(partial: Elem, part: &[f32], total: &mut [f32]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += rounded(partial, *part);
    }
}

fn rounded(elem: Elem, v: f32) -> f32 {
    if elem == Elem::F32 {
        return v;
    }
    let bits = number::round(elem, v).to_le_bytes();
    // SAFETY: an element has at most 8 bytes.
    unsafe { number::load(elem, bits.as_ptr()) }
}

/// # Safety
/// As [`add`].
#[inline(always)]
unsafe fn add_all(addends: &[Addend], at: usize, n: usize) -> [f32; BLOCK] {
    let [mut acc, mut total] = [[0f32; BLOCK]; 2];
    for addend in addends {
        // SAFETY: by the caller.
        unsafe { add(addend, at, n, &mut acc) };
        if let Some(partial) = addend.closes {
            close(partial, &acc, &mut total);
            acc = [0f32; BLOCK];
        }
    }
    match addends.last() {
        Some(Addend { closes: Some(_), .. }) => total,
        _ => acc,
    }
}

/// # Safety
/// Row operands have `at + n` elements; `n` is at most `BLOCK`.
#[inline(always)]
unsafe fn add(addend: &Addend, at: usize, n: usize, acc: &mut [f32; BLOCK]) {
    if let (2, [Operand::Number(weight), Operand::Row(row, Elem::Bf16), _]) =
        (addend.count, addend.factors)
    {
        // The most frequent term, without a detour through memory.
        for (i, acc) in acc[..n].iter_mut().enumerate() {
            // SAFETY: by the caller.
            let bits = unsafe { row.add((at + i) * 2).cast::<u16>().read_unaligned() };
            *acc = weight.mul_add(f32::from_bits(u32::from(bits) << 16), *acc);
        }
        return;
    }
    let mut v = [[0f32; BLOCK]; 3];
    for (to, operand) in v.iter_mut().zip(&addend.factors[..addend.count]) {
        // SAFETY: by the caller.
        unsafe { expand(operand, at, &mut to[..n]) };
    }
    let [a, b, c] = v;
    match addend.count {
        1 => (0..BLOCK).for_each(|i| acc[i] += a[i]),
        2 => (0..BLOCK).for_each(|i| acc[i] = a[i].mul_add(b[i], acc[i])),
        3 => (0..BLOCK).for_each(|i| acc[i] = (a[i] * b[i]).mul_add(c[i], acc[i])),
        _ => {}
    }
}

/// # Safety
/// A row operand has `at + out.len()` elements.
#[inline(always)]
unsafe fn expand(operand: &Operand, at: usize, out: &mut [f32]) {
    match operand {
        Operand::Number(v) => out.fill(*v),
        Operand::Row(row, Elem::Bf16) => {
            for (i, out) in out.iter_mut().enumerate() {
                // SAFETY: by the caller.
                let bits = unsafe { row.add((at + i) * 2).cast::<u16>().read_unaligned() };
                *out = f32::from_bits(u32::from(bits) << 16);
            }
        }
        Operand::Row(row, elem) => {
            for (i, out) in out.iter_mut().enumerate() {
                // SAFETY: by the caller.
                *out = unsafe { number::load(*elem, row.add((at + i) * elem.bytes() as usize)) };
            }
        }
    }
}

/// # Safety
/// `to` has `values.len()` writable elements.
#[inline(always)]
unsafe fn store(values: &[f32], elem: Elem, to: *mut u8) {
    let width = elem.bytes() as usize;
    for (i, v) in values.iter().enumerate() {
        // SAFETY: element `i` of `to`.
        unsafe {
            match elem {
                Elem::Bf16 => to.add(i * 2).cast::<u16>().write_unaligned(bf16_bits(*v)),
                Elem::F32 => to.add(i * 4).cast::<u32>().write_unaligned(number::f32_bits(*v)),
                _ => std::ptr::copy_nonoverlapping(
                    number::round(elem, *v).to_le_bytes().as_ptr(),
                    to.add(i * width),
                    width,
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows shorter and longer than a page, cached and past the caches, from whole lines to elements.
    #[test]
    fn fast_path_agrees_with_the_plain_one_bit_for_bit() {
        for (run, large) in [(107, false), (107, true), (2500, false), (2500, true)] {
            [0, 1, 8, 32].into_iter().for_each(|before| agrees(run, large, before));
        }
    }

    fn agrees(run: usize, large: bool, before: usize) {
        let rows: Vec<Vec<u16>> = (0..5u32)
            .map(|r| {
                (0..run as u32)
                    .map(|i| ((i + 7 * r).wrapping_mul(0x9e37_79b9) >> 16) as u16)
                    .collect()
            })
            .collect();
        let weights = [0.3, -1.5, 1e-20, f32::NAN, 3e38];
        for count in 0..=rows.len() {
            let addends: Vec<_> = (0..count)
                .map(|i| Addend {
                    factors: [
                        Operand::Number(weights[i]),
                        Operand::Row(rows[i].as_ptr().cast(), Elem::Bf16),
                        Operand::Number(1.0),
                    ],
                    count: 2,
                    closes: None,
                })
                .collect();
            // Elements before the first that is a line's first.
            let (mut room, mut plain) = (vec![0x55u16; run + 64], vec![0u16; run]);
            let begin = (room.as_ptr().addr().next_multiple_of(64) - room.as_ptr().addr()) / 2;
            let begin = begin + before;
            // SAFETY: all rows have `run` elements, and `room` as many from `begin` on.
            unsafe {
                sum(&addends, run, Elem::Bf16, room[begin..].as_mut_ptr().cast(), large);
                sum_from(&addends, 0, run, Elem::Bf16, plain.as_mut_ptr().cast());
            }
            assert_eq!(room[begin..begin + run], plain, "{run} {large} {before}");
            let others = room[..begin].iter().chain(&room[begin + run..]);
            assert!(others.copied().all(|v| v == 0x55), "{run} {large} {before}");
        }
    }
}
