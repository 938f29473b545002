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
        let bytes = shape.iter().product::<usize>() * elem.bytes() as usize;
        if bytes == data.len() {
            Ok(Array { elem, shape, data })
        } else {
            Err(Error::Shape(format!("{} bytes do not fill {shape:?} of {}", data.len(), elem.name())))
        }
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

    /// The integer's value; a float's bits.
    pub fn int(&self, i: usize) -> i64 {
        let bits = self.bits(i);
        match self.elem {
            Elem::I8 => i64::from(bits as u8 as i8),
            Elem::I32 => i64::from(bits as u32 as i32),
            _ => bits as i64,
        }
    }

    /// The value as f32; exact for the 16-bit floats.
    pub fn float(&self, i: usize) -> f32 {
        number::to_f32(self.elem, self.bits(i))
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

    /// Elements between neighbours along an axis.
    pub(crate) fn stride(&self, axis: usize) -> usize {
        self.shape[axis + 1..].iter().product()
    }
}
