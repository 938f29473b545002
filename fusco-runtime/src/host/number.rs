//! Element types as f32 and back: round to nearest even, one NaN for each type, fp8 saturates.

use fusco_dsl::sema::hir::Elem;
use half::{bf16, f16};
use std::sync::LazyLock;

/// The element at `at` as f32.
///
/// # Safety
/// `at` points to `elem.bytes()` readable bytes; no alignment is needed.
pub(crate) unsafe fn load(elem: Elem, at: *const u8) -> f32 {
    // SAFETY: by the caller.
    unsafe {
        match elem {
            Elem::F64 => at.cast::<f64>().read_unaligned() as f32,
            Elem::F32 => at.cast::<f32>().read_unaligned(),
            Elem::F16 => f16::from_bits(at.cast::<u16>().read_unaligned()).to_f32(),
            Elem::Bf16 => bf16::from_bits(at.cast::<u16>().read_unaligned()).to_f32(),
            Elem::E4m3 => fp8_to_f32(at.read(), 4),
            Elem::E5m2 => fp8_to_f32(at.read(), 5),
            Elem::U64 => at.cast::<u64>().read_unaligned() as f32,
            Elem::I8
            | Elem::I16
            | Elem::I32
            | Elem::I64
            | Elem::U8
            | Elem::U16
            | Elem::U32
            | Elem::Bool => load_int(elem, at) as f32,
        }
    }
}

/// The integer element at `at`; 0 for a float type.
///
/// # Safety
/// As [`load`].
pub(crate) unsafe fn load_int(elem: Elem, at: *const u8) -> i64 {
    // SAFETY: by the caller.
    unsafe {
        match elem {
            Elem::I8 => at.cast::<i8>().read() as i64,
            Elem::I16 => at.cast::<i16>().read_unaligned() as i64,
            Elem::U8 | Elem::Bool => at.read() as i64,
            Elem::U16 => at.cast::<u16>().read_unaligned() as i64,
            Elem::I32 => at.cast::<i32>().read_unaligned() as i64,
            Elem::U32 => at.cast::<u32>().read_unaligned() as i64,
            Elem::I64 | Elem::U64 => at.cast::<i64>().read_unaligned(),
            Elem::F64 | Elem::F32 | Elem::F16 | Elem::Bf16 | Elem::E4m3 | Elem::E5m2 => 0,
        }
    }
}

/// The bits of `v` rounded to `elem`, in the low bytes.
pub(crate) fn round(elem: Elem, v: f32) -> u64 {
    match elem {
        Elem::F64 if v.is_nan() => 0x7fff_ffff_ffff_ffff,
        Elem::F64 => f64::from(v).to_bits(),
        Elem::F32 => f32_bits(v) as u64,
        Elem::Bf16 => bf16_bits(v) as u64,
        Elem::F16 => f16_bits(v) as u64,
        Elem::E4m3 => fp8_bits(v, 4) as u64,
        Elem::E5m2 => fp8_bits(v, 5) as u64,
        Elem::I8 => v.round_ties_even() as i8 as u64,
        Elem::I16 => v.round_ties_even() as i16 as u64,
        Elem::U8 => v.round_ties_even() as u8 as u64,
        Elem::U16 => v.round_ties_even() as u16 as u64,
        Elem::I32 => v.round_ties_even() as i32 as u64,
        Elem::U32 => v.round_ties_even() as u32 as u64,
        Elem::I64 => v.round_ties_even() as i64 as u64,
        Elem::U64 => v.round_ties_even() as u64,
        Elem::Bool => u64::from(v != 0.0),
    }
}

/// The bits of an integer as `elem`, in the low bytes.
pub(crate) fn int_bits(elem: Elem, v: i64) -> u64 {
    match elem {
        Elem::F64 | Elem::F32 | Elem::F16 | Elem::Bf16 | Elem::E4m3 | Elem::E5m2 => {
            round(elem, v as f32)
        }
        _ => v as u64,
    }
}

#[inline(always)]
pub(crate) fn f32_bits(v: f32) -> u32 {
    if v.is_nan() { 0x7fff_ffff } else { v.to_bits() }
}

#[inline(always)]
pub(crate) fn bf16_bits(v: f32) -> u16 {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if v.is_nan() { 0x7fff } else { rounded as u16 }
}

#[inline(always)]
pub(crate) fn f16_bits(v: f32) -> u16 {
    if v.is_nan() { 0x7fff } else { f16::from_f32(v).to_bits() }
}

/// Writes the low bytes of `bits` as one element.
///
/// # Safety
/// `elem.bytes()` bytes are writable at `to`.
#[inline(always)]
pub(crate) unsafe fn store(to: *mut u8, elem: Elem, bits: u64) {
    // SAFETY: by the caller.
    unsafe {
        match elem.bytes() {
            1 => to.write(bits as u8),
            2 => to.cast::<u16>().write_unaligned(bits as u16),
            4 => to.cast::<u32>().write_unaligned(bits as u32),
            _ => to.cast::<u64>().write_unaligned(bits),
        }
    }
}

/// Every fp8 number, by its bits.
static E4M3: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|b| fp8_value(b as u8, 4)));
static E5M2: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|b| fp8_value(b as u8, 5)));

fn fp8_values(exponent_bits: u32) -> &'static [f32; 256] {
    if exponent_bits == 4 { &E4M3 } else { &E5M2 }
}

fn fp8_to_f32(bits: u8, exponent_bits: u32) -> f32 {
    fp8_values(exponent_bits)[usize::from(bits)]
}

/// e4m3 (no infinity, NaN 0x7f) or e5m2, by the number of exponent bits.
fn fp8_value(bits: u8, exponent_bits: u32) -> f32 {
    let mantissa_bits = 7 - exponent_bits;
    let sign = if bits & 0x80 != 0 { -1.0 } else { 1.0 };
    let mantissa = (bits & ((1 << mantissa_bits) - 1)) as f32;
    let exponent = ((bits & 0x7f) >> mantissa_bits) as i32;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let unit = (-(mantissa_bits as f32)).exp2();
    match (exponent_bits, bits & 0x7f) {
        (4, 0x7f) => f32::NAN,
        (5, 0x7c) => sign * f32::INFINITY,
        (5, 0x7d..) => f32::NAN,
        _ if exponent == 0 => sign * mantissa * unit * ((1 - bias) as f32).exp2(),
        _ => sign * (1.0 + mantissa * unit) * ((exponent - bias) as f32).exp2(),
    }
}

/// Nearest even by search over the magnitudes, which are ordered by their bits; saturates.
fn fp8_bits(v: f32, exponent_bits: u32) -> u8 {
    if v.is_nan() {
        return 0x7f;
    }
    let sign = if v.is_sign_negative() { 0x80 } else { 0 };
    let largest = if exponent_bits == 4 { 0x7e } else { 0x7b };
    let v = v.abs();
    let values = &fp8_values(exponent_bits)[..=usize::from(largest)];
    let above = values.partition_point(|b| *b < v) as u8;
    if above == 0 || above > largest {
        return sign | above.min(largest);
    }
    let (low, high) = (fp8_to_f32(above - 1, exponent_bits), fp8_to_f32(above, exponent_bits));
    let bits = match (v - low).total_cmp(&(high - v)) {
        std::cmp::Ordering::Less => above - 1,
        std::cmp::Ordering::Greater => above,
        std::cmp::Ordering::Equal => above & !1,
    };
    sign | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fp8_round_trips() {
        for (exponent_bits, largest) in [(4, 0x7e), (5, 0x7b)] {
            for b in 0..=largest {
                assert_eq!(fp8_bits(fp8_to_f32(b, exponent_bits), exponent_bits), b);
            }
        }
        assert_eq!(fp8_to_f32(0x7e, 4), 448.0);
        assert_eq!(fp8_bits(1e9, 4), 0x7e);
        assert_eq!(fp8_bits(f32::NAN, 5), 0x7f);
    }

    #[test]
    fn bf16_agrees_with_half() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let v = f32::from_bits(bits);
            let expected = if v.is_nan() { 0x7fff } else { bf16::from_f32(v).to_bits() };
            assert_eq!(bf16_bits(v), expected, "{bits:#x}");
        }
    }
}
