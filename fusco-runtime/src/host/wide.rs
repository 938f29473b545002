//! Numbers of 64 bits: floats with one rounding an operation, exact integers.

use super::number::{int_bits, load, load_int, round};
use fusco_dsl::schedule::ir::IxOp;
use fusco_dsl::sema::hir::Elem;

/// f64 or i64.
pub(super) trait Wide: Copy {
    fn literal(v: f64) -> Self;

    /// # Safety
    /// An element lies at `at`.
    unsafe fn element(elem: Elem, at: *const u8) -> Self;

    fn of_f32(v: f32) -> Self;
    fn apply(op: IxOp, a: Self, b: Self) -> Self;
    fn fused(a: Self, b: Self, c: Self) -> Self;
    fn larger(a: Self, b: Self) -> Self;
    fn smaller(a: Self, b: Self) -> Self;

    /// The bits of an element.
    fn bits(self, elem: Elem) -> u64;
}

impl Wide for i64 {
    fn literal(v: f64) -> i64 {
        v as i64
    }

    unsafe fn element(elem: Elem, at: *const u8) -> i64 {
        // SAFETY: by the caller.
        unsafe { load_int(elem, at) }
    }

    fn of_f32(v: f32) -> i64 {
        v as i64
    }

    fn apply(op: IxOp, a: i64, b: i64) -> i64 {
        op.apply(a, b)
    }

    fn fused(a: i64, b: i64, c: i64) -> i64 {
        a.wrapping_mul(b).wrapping_add(c)
    }

    fn larger(a: i64, b: i64) -> i64 {
        a.max(b)
    }

    fn smaller(a: i64, b: i64) -> i64 {
        a.min(b)
    }

    fn bits(self, elem: Elem) -> u64 {
        int_bits(elem, self)
    }
}

impl Wide for f64 {
    fn literal(v: f64) -> f64 {
        v
    }

    unsafe fn element(elem: Elem, at: *const u8) -> f64 {
        // SAFETY: by the caller.
        unsafe {
            match elem {
                Elem::F64 => at.cast::<f64>().read_unaligned(),
                elem => f64::from(load(elem, at)),
            }
        }
    }

    fn of_f32(v: f32) -> f64 {
        f64::from(v)
    }

    fn apply(op: IxOp, a: f64, b: f64) -> f64 {
        match op {
            IxOp::Add => a + b,
            IxOp::Sub => a - b,
            IxOp::Mul => a * b,
            IxOp::Div | IxOp::Rem => a / b,
        }
    }

    fn fused(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }

    /// NaN stays, and +0 is more than -0.
    fn larger(a: f64, b: f64) -> f64 {
        match (a.is_nan(), b.is_nan()) {
            (true, _) => a,
            (_, true) => b,
            _ if a.total_cmp(&b).is_lt() => b,
            _ => a,
        }
    }

    fn smaller(a: f64, b: f64) -> f64 {
        -Self::larger(-a, -b)
    }

    fn bits(self, elem: Elem) -> u64 {
        match elem {
            Elem::F64 if self.is_nan() => 0x7fff_ffff_ffff_ffff,
            Elem::F64 => self.to_bits(),
            elem => round(elem, self as f32),
        }
    }
}
