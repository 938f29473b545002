//! Conversions by hand: to nearest even, every NaN canonical, as the GPU gives them.

use crate::sema::hir::Elem;

/// A float format below f32: exponent bits, fraction bits, and whether it has infinities.
struct Small {
    exponent: u32,
    fraction: u32,
    infinite: bool,
}

const F16: Small = Small { exponent: 5, fraction: 10, infinite: true };
const E5M2: Small = Small { exponent: 5, fraction: 2, infinite: true };
const E4M3: Small = Small { exponent: 4, fraction: 3, infinite: false };

pub(super) fn is_float(elem: Elem) -> bool {
    matches!(elem, Elem::F64 | Elem::F32 | Elem::F16 | Elem::Bf16 | Elem::E4m3 | Elem::E5m2)
}

pub(super) fn to_f32(elem: Elem, bits: u64) -> f32 {
    match elem {
        Elem::F64 => f64::from_bits(bits) as f32,
        Elem::F32 => f32::from_bits(bits as u32),
        Elem::Bf16 => f32::from_bits((bits as u32) << 16),
        Elem::F16 => F16.widen(bits as u32),
        Elem::E5m2 => E5M2.widen(bits as u32),
        Elem::E4m3 => E4M3.widen(bits as u32),
        Elem::I8 => f32::from(bits as u8 as i8),
        Elem::I16 => f32::from(bits as u16 as i16),
        Elem::U8 | Elem::Bool => f32::from(bits as u8),
        Elem::U16 => f32::from(bits as u16),
        Elem::I32 => bits as u32 as i32 as f32,
        Elem::U32 => bits as u32 as f32,
        Elem::I64 => bits as i64 as f32,
        Elem::U64 => bits as f32,
    }
}

/// The bits of a value in a float type; the 8-bit ones saturate. `None` for an integer type.
pub(super) fn from_f32(elem: Elem, value: f32) -> Option<u64> {
    Some(match elem {
        Elem::F64 if value.is_nan() => 0x7fff_ffff_ffff_ffff,
        Elem::F64 => f64::from(value).to_bits(),
        Elem::F32 if value.is_nan() => 0x7fff_ffff,
        Elem::F32 => u64::from(value.to_bits()),
        Elem::Bf16 | Elem::F16 if value.is_nan() => 0x7fff,
        Elem::E4m3 | Elem::E5m2 if value.is_nan() => 0x7f,
        Elem::Bf16 => {
            let bits = value.to_bits();
            u64::from((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
        }
        Elem::F16 => u64::from(F16.narrow(value, 0x7c00)),
        Elem::E5m2 => u64::from(E5M2.narrow(value, 0x7b)),
        Elem::E4m3 => u64::from(E4M3.narrow(value, 0x7e)),
        _ => return None,
    })
}

impl Small {
    fn bias(&self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    fn widen(&self, bits: u32) -> f32 {
        let sign = bits >> (self.exponent + self.fraction) & 1;
        let exponent = bits >> self.fraction & ((1 << self.exponent) - 1);
        let fraction = bits & ((1 << self.fraction) - 1);
        let top = exponent == (1 << self.exponent) - 1;
        let magnitude = if top && self.infinite {
            if fraction == 0 { f32::INFINITY } else { f32::NAN }
        } else if top && fraction == (1 << self.fraction) - 1 {
            f32::NAN
        } else if exponent == 0 {
            fraction as f32 * power(1 - self.bias() - self.fraction as i32)
        } else {
            let field = (exponent as i32 - self.bias() + 127) as u32;
            f32::from_bits(field << 23 | fraction << (23 - self.fraction))
        };
        if sign == 0 { magnitude } else { -magnitude }
    }

    /// The nearest number, ties to even; what exceeds `most` becomes `most`. Not for NaN.
    fn narrow(&self, value: f32, most: u32) -> u32 {
        let bits = value.to_bits();
        let sign = (bits >> 31) << (self.exponent + self.fraction);
        let field = (bits >> 23 & 0xff) as i32;
        let exponent = (field - 127).max(1 - self.bias());
        // The magnitude in units of the last place, which is exact or below one half.
        let units = f64::from(value.abs()) / f64::from(power(exponent - self.fraction as i32));
        let units = units.min(f64::from(1u32 << 24)).round_ties_even() as u32;
        // A normal number has its leading one at bit `fraction`: it adds one to the exponent.
        let scaled = ((exponent + self.bias() - 1) as u32) << self.fraction;
        sign | (scaled + units).min(most)
    }
}

/// A power of two within the normal range of f32.
fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}
