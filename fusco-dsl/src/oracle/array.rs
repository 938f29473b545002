//! Dense little-endian arrays.

use super::{Error, number};
use crate::sema::hir::Elem;

/// Row-major elements, the last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub elem: Elem,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Array {
    /// All bits zero.
    pub fn zeros(elem: Elem, shape: Vec<usize>) -> Array {
        let bytes = shape.iter().product::<usize>() * elem.bytes() as usize;
        Array { elem, shape, data: vec![0; bytes] }
    }

    /// # Errors
    /// If the data do not fill the shape.
    pub fn new(elem: Elem, shape: Vec<usize>, data: Vec<u8>) -> Result<Array, Error> {
        let array = Array { elem, shape, data };
        array.check()?;
        Ok(array)
    }

    /// All elements equal, by their bits.
    ///
    /// # Errors
    /// If the size does not fit in memory.
    pub fn filled(elem: Elem, shape: Vec<usize>, bits: u64) -> Result<Array, Error> {
        let bytes = bytes(elem, &shape).filter(|n| *n <= isize::MAX as usize);
        let bytes = bytes.ok_or_else(|| Error::Shape(format!("{shape:?} is too large")))?;
        let mut data = Vec::new();
        data.try_reserve_exact(bytes)
            .map_err(|_| Error::Shape(format!("{shape:?} does not fit in memory")))?;
        let width = elem.bytes() as usize;
        data.resize(bytes, 0);
        if bits != 0 {
            let word = bits.to_le_bytes();
            data.chunks_exact_mut(width).for_each(|c| c.copy_from_slice(&word[..width]));
        }
        Ok(Array { elem, shape, data })
    }

    /// Whether the data fill the shape.
    pub(super) fn check(&self) -> Result<(), Error> {
        if bytes(self.elem, &self.shape) == Some(self.data.len()) {
            return Ok(());
        }
        Err(Error::Shape(format!(
            "{} bytes do not fill {:?} of {}",
            self.data.len(),
            self.shape,
            self.elem.name()
        )))
    }

    pub fn from_i64(elem: Elem, shape: Vec<usize>, values: &[i64]) -> Array {
        let mut out = Array::zeros(elem, shape);
        values.iter().enumerate().for_each(|(i, v)| out.set_bits(i, *v as u64));
        out
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element's bits, zero-extended.
    pub fn get_bits(&self, i: usize) -> u64 {
        self.bits(i)
    }

    /// The integer's value; a float's bits.
    pub fn get_i64(&self, i: usize) -> i64 {
        self.int(i)
    }

    /// The value as f32; exact for the smaller floats.
    pub fn get_f32(&self, i: usize) -> f32 {
        number::to_f32(self.elem, self.bits(i))
    }

    /// As [`Array::get_bits`].
    pub fn bits(&self, i: usize) -> u64 {
        let n = self.elem.bytes() as usize;
        let mut word = [0u8; 8];
        word[..n].copy_from_slice(&self.data[i * n..(i + 1) * n]);
        u64::from_le_bytes(word)
    }

    pub fn set_bits(&mut self, i: usize, bits: u64) {
        let n = self.elem.bytes() as usize;
        self.data[i * n..(i + 1) * n].copy_from_slice(&bits.to_le_bytes()[..n]);
    }

    /// As [`Array::get_i64`].
    pub fn int(&self, i: usize) -> i64 {
        let bits = self.bits(i);
        match self.elem {
            Elem::I8 => i64::from(bits as u8 as i8),
            Elem::I32 => i64::from(bits as u32 as i32),
            _ => bits as i64,
        }
    }

    /// The flat index of coordinates.
    pub(crate) fn at(&self, coords: &[i64]) -> Option<usize> {
        let mut flat = 0;
        for (c, n) in coords.iter().zip(&self.shape) {
            let c = usize::try_from(*c).ok().filter(|c| c < n)?;
            flat = flat * n + c;
        }
        (coords.len() == self.shape.len()).then_some(flat)
    }

    /// The coordinates of a flat index.
    pub(super) fn coordinates(&self, flat: usize) -> Vec<i64> {
        let along = |axis| (flat / self.stride(axis) % self.shape[axis]) as i64;
        (0..self.shape.len()).map(along).collect()
    }

    /// Elements between neighbours along an axis.
    pub(crate) fn stride(&self, axis: usize) -> usize {
        self.shape[axis + 1..].iter().product()
    }
}

fn bytes(elem: Elem, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(elem.bytes() as usize, |n, d| n.checked_mul(*d))
}
