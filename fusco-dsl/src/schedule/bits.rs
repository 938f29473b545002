//! The bits of a literal in an element type.

use crate::sema::hir::{self, Scalar};

/// The bits of a fill value in an element type.
pub(super) fn bits_of(value: Scalar, elem: hir::Elem) -> u64 {
    // Literals are f32, as everything that is computed, but in an f64 tensor.
    let float = match value {
        Scalar::Int(v) => v as f32,
        Scalar::Float(v) => v as f32,
    };
    let int = match value {
        Scalar::Int(v) => v,
        Scalar::Float(v) => v as i64,
    };
    match elem {
        hir::Elem::F64 => match value {
            Scalar::Int(v) => (v as f64).to_bits(),
            Scalar::Float(v) => v.to_bits(),
        },
        hir::Elem::F32 => u64::from(float.to_bits()),
        hir::Elem::F16 => u64::from(half::f16::from_f32(float).to_bits()),
        hir::Elem::Bf16 => u64::from(half::bf16::from_f32(float).to_bits()),
        hir::Elem::E4m3 => u64::from(fp8_bits(float, 3, 0x7e)),
        hir::Elem::E5m2 => u64::from(fp8_bits(float, 2, 0x7b)),
        hir::Elem::I8 | hir::Elem::U8 | hir::Elem::Bool => (int as u64) & 0xff,
        hir::Elem::I16 | hir::Elem::U16 => (int as u64) & 0xffff,
        hir::Elem::I32 | hir::Elem::U32 => (int as u64) & 0xffff_ffff,
        hir::Elem::I64 | hir::Elem::U64 => int as u64,
    }
}

/// The 8-bit float nearest to `v`, the even one of two, at most `largest`. Magnitudes are ordered by their bits.
fn fp8_bits(v: f32, fraction: u32, largest: u8) -> u8 {
    let bias = (1 << (6 - fraction)) - 1;
    let magnitude = |bits: u8| {
        let (field, rest) = (i32::from(bits >> fraction), f64::from(bits & ((1 << fraction) - 1)));
        let rest = rest / f64::from(1u32 << fraction);
        if field == 0 { rest * 2f64.powi(1 - bias) } else { (1.0 + rest) * 2f64.powi(field - bias) }
    };
    let (sign, v) = (if v.is_sign_negative() { 0x80 } else { 0 }, f64::from(v.abs()));
    let above = (0..=largest).find(|b| magnitude(*b) >= v).unwrap_or(largest);
    let Some(below) = above.checked_sub(1) else { return sign };
    let (down, up) = (v - magnitude(below), magnitude(above) - v);
    let nearest = if down < up || (down == up && below & 1 == 0) { below } else { above };
    sign | nearest
}
