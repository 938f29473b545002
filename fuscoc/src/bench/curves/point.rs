//! One size of a curve.

use crate::bench::row::Line;

/// How far a ratio lies below both neighbours' at a cliff.
pub const CLIFF: f64 = 0.15;

/// One entry at one size.
pub struct Point {
    pub curve: &'static str,
    /// Points of one line: `dispatch`, `combine, 8 ranks`.
    pub series: String,
    pub x: i64,
    pub line: Line,
    pub cliff: bool,
}
