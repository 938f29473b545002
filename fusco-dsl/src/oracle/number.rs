//! Conversions by hand: to nearest even, every NaN canonical, as the GPU gives them.

use crate::sema::hir::Elem;

pub(super) fn to_f32(elem: Elem, bits: u64) -> f32 {
    match elem {
        Elem::F32 => f32::from_bits(bits as u32),
        Elem::Bf16 => f32::from_bits((bits as u32) << 16),
        Elem::F16 => half_to_f32(bits as u16),
        Elem::I8 => f32::from(bits as u8 as i8),
        Elem::U8 => f32::from(bits as u8),
        Elem::I32 => bits as u32 as i32 as f32,
        Elem::U32 => bits as u32 as f32,
        Elem::I64 => bits as i64 as f32,
        Elem::E4m3 | Elem::E5m2 => f32::NAN,
    }
}

/// The bits of a value in a float type; `None` for types that need another rule.
pub(super) fn from_f32(elem: Elem, value: f32) -> Option<u64> {
    Some(match elem {
        Elem::F32 if value.is_nan() => 0x7fff_ffff,
        Elem::F32 => u64::from(value.to_bits()),
        Elem::Bf16 | Elem::F16 if value.is_nan() => 0x7fff,
        Elem::Bf16 => {
            let bits = value.to_bits();
            let odd = bits >> 16 & 1;
            u64::from((bits + 0x7fff + odd) >> 16)
        }
        Elem::F16 => u64::from(f32_to_half(value)),
        _ => return None,
    })
}

fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// Scales to units of the last place, rounds there, and reads the integer back as bits.
fn f32_to_half(value: f32) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = f64::from(value.abs());
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    let exponent = if magnitude < 2f64.powi(-14) { -14 } else { magnitude.log2().floor() as i32 };
    let units = (magnitude / 2f64.powi(exponent - 10)).round_ties_even() as u16;
    // For a normal number `units` has its leading one at bit 10, which adds one to the exponent field.
    sign | (((exponent + 14) as u16) << 10).wrapping_add(units)
}
