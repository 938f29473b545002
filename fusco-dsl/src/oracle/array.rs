//! Little-endian arrays: dense, or with one ragged axis whose rows follow each other without padding.

use super::{Error, number};
use crate::sema::hir::Elem;
use std::sync::Arc;

/// Row-major elements, the last axis fastest. Clones share their bytes until one of them is written.
#[derive(Clone, Debug)]
pub struct Array {
    pub elem: Elem,
    /// Of a ragged axis, the longest of its rows.
    pub shape: Vec<usize>,
    data: Arc<Vec<u8>>,
    ragged: Option<Arc<Ragged>>,
}

/// How the rows of a ragged axis lie.
#[derive(Debug, PartialEq)]
struct Ragged {
    axis: usize,
    /// The first row at each combination of the coordinates to the left, row-major; then the number of rows.
    starts: Vec<usize>,
    /// What padding would be.
    pad: u64,
}

impl Array {
    /// All bits zero.
    pub fn zeros(elem: Elem, shape: Vec<usize>) -> Array {
        let bytes = shape.iter().product::<usize>() * elem.bytes() as usize;
        Array { elem, shape, data: Arc::new(vec![0; bytes]), ragged: None }
    }

    /// # Errors
    /// If the data do not fill the shape.
    pub fn new(elem: Elem, shape: Vec<usize>, data: Vec<u8>) -> Result<Array, Error> {
        let array = Array { elem, shape, data: Arc::new(data), ragged: None };
        array.check()?;
        Ok(array)
    }

    /// All elements equal, by their bits.
    ///
    /// # Errors
    /// If the size does not fit in memory.
    pub fn filled(elem: Elem, shape: Vec<usize>, bits: u64) -> Result<Array, Error> {
        let data = alike(elem, product(&shape), bits).ok_or_else(|| too_large(&shape))?;
        Ok(Array { elem, shape, data: Arc::new(data), ragged: None })
    }

    /// As [`Array::filled`], but of `axis` only as many rows as `lengths` says at each combination of the
    /// coordinates to its left; `bits` is what padding would be, too.
    ///
    /// # Errors
    /// If the size does not fit in memory.
    pub(super) fn ragged(
        elem: Elem,
        shape: Vec<usize>,
        (axis, lengths): (usize, &[usize]),
        bits: u64,
    ) -> Result<Array, Error> {
        debug_assert_eq!(lengths.len(), shape[..axis].iter().product::<usize>());
        let mut starts = vec![0];
        let mut rows = Some(0usize);
        for length in lengths {
            rows = rows.and_then(|n| n.checked_add(*length));
            starts.push(rows.unwrap_or(0));
        }
        let elements = rows.zip(product(&shape[axis + 1..])).and_then(|(n, m)| n.checked_mul(m));
        let data = alike(elem, elements, bits).ok_or_else(|| too_large(&shape))?;
        let ragged = Ragged { axis, starts, pad: bits };
        Ok(Array { elem, shape, data: Arc::new(data), ragged: Some(Arc::new(ragged)) })
    }

    /// A dense array's shape without its elements, for places in it.
    pub(super) fn outline(elem: Elem, shape: Vec<usize>) -> Array {
        Array { elem, shape, data: Arc::new(Vec::new()), ragged: None }
    }

    /// Whether the data fill the shape.
    pub(super) fn check(&self) -> Result<(), Error> {
        let elements = match &self.ragged {
            None => product(&self.shape),
            Some(ragged) => ragged.rows(&self.shape).and_then(|rows| {
                product(&self.shape[ragged.axis + 1..]).and_then(|n| n.checked_mul(rows))
            }),
        };
        if elements.and_then(|n| n.checked_mul(self.width())) == Some(self.data.len()) {
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

    /// The same rows in another type, each element by `of`.
    pub(super) fn converted(&self, elem: Elem, of: impl Fn(&Array, usize) -> u64) -> Array {
        let width = elem.bytes() as usize;
        let mut data = Vec::with_capacity(self.len() * width);
        for i in 0..self.len() {
            data.extend_from_slice(&of(self, i).to_le_bytes()[..width]);
        }
        Array { elem, data: Arc::new(data), ..self.clone() }
    }

    /// With padding: each row as long as the longest.
    pub fn dense(&self) -> Array {
        let Some(ragged) = &self.ragged else { return self.clone() };
        let width = self.width();
        let inner = self.stride(ragged.axis) * width;
        let longest = self.shape[ragged.axis];
        let pad = ragged.pad.to_le_bytes();
        let mut data = Vec::with_capacity((ragged.starts.len() - 1) * longest * inner);
        for rows in ragged.starts.windows(2) {
            data.extend_from_slice(&self.data[rows[0] * inner..rows[1] * inner]);
            let missing = (longest - (rows[1] - rows[0])) * inner / width;
            (0..missing).for_each(|_| data.extend_from_slice(&pad[..width]));
        }
        Array { elem: self.elem, shape: self.shape.clone(), data: Arc::new(data), ragged: None }
    }

    fn width(&self) -> usize {
        self.elem.bytes() as usize
    }

    /// Elements that it holds; of a ragged array, without padding.
    pub fn len(&self) -> usize {
        match self.width() {
            0 => 0,
            width => self.data.len() / width,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Its own bytes: those of others are copied first.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        Arc::<Vec<u8>>::make_mut(&mut self.data)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.data)
    }

    /// Whether both have the same bytes in memory.
    pub fn shares(&self, other: &Array) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
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
        let n = self.width();
        let mut word = [0u8; 8];
        word[..n].copy_from_slice(&self.data[i * n..(i + 1) * n]);
        u64::from_le_bytes(word)
    }

    pub fn set_bits(&mut self, i: usize, bits: u64) {
        let n = self.width();
        self.bytes_mut()[i * n..(i + 1) * n].copy_from_slice(&bits.to_le_bytes()[..n]);
    }

    /// As [`Array::get_i64`].
    pub fn int(&self, i: usize) -> i64 {
        let bits = self.bits(i);
        match self.elem {
            Elem::I8 => i64::from(bits as u8 as i8),
            Elem::I16 => i64::from(bits as u16 as i16),
            Elem::I32 => i64::from(bits as u32 as i32),
            _ => bits as i64,
        }
    }

    /// Where the element at the coordinates lies; `None` outside, which the end of a shorter row is too.
    pub(crate) fn at(&self, coords: &[i64]) -> Option<usize> {
        let (axis, starts) =
            self.ragged.as_ref().map_or((usize::MAX, &[][..]), |r| (r.axis, &r.starts));
        let mut flat = 0;
        for (i, (c, n)) in coords.iter().zip(&self.shape).enumerate() {
            let c = usize::try_from(*c).ok().filter(|c| c < n)?;
            flat = match i == axis {
                false => flat * n + c,
                true => Some(starts[flat] + c).filter(|row| *row < starts[flat + 1])?,
            };
        }
        (coords.len() == self.shape.len()).then_some(flat)
    }

    /// The coordinates of an element.
    pub(super) fn coordinates(&self, flat: usize) -> Vec<i64> {
        let (mut rest, mut out) = (flat, vec![0; self.shape.len()]);
        for axis in (0..self.shape.len()).rev() {
            match self.ragged.as_ref().filter(|r| r.axis == axis) {
                Some(ragged) => {
                    let outer = ragged.starts.partition_point(|s| *s <= rest) - 1;
                    out[axis] = (rest - ragged.starts[outer]) as i64;
                    rest = outer;
                }
                None => {
                    out[axis] = (rest % self.shape[axis]) as i64;
                    rest /= self.shape[axis];
                }
            }
        }
        out
    }

    /// Whether elements along an axis are a [`stride`](Array::stride) apart: not to the left of a ragged one.
    pub(super) fn strided(&self, axis: usize) -> bool {
        self.ragged.as_ref().is_none_or(|r| axis >= r.axis)
    }

    /// Elements between neighbours along an axis.
    pub(crate) fn stride(&self, axis: usize) -> usize {
        self.shape[axis + 1..].iter().product()
    }
}

/// By what a program sees: the same elements at the same coordinates, padding included.
impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        if self.elem != other.elem || self.shape != other.shape {
            return false;
        }
        match self.ragged == other.ragged {
            true => self.data == other.data,
            false => self.dense().data == other.dense().data,
        }
    }
}

impl Ragged {
    /// All rows, if this is how an array of this shape may lie.
    fn rows(&self, shape: &[usize]) -> Option<usize> {
        let (left, longest) = (shape.get(..self.axis)?, *shape.get(self.axis)?);
        let outer = product(left)?;
        let fits = self.starts.windows(2).all(|w| w[1] - w[0] <= longest);
        self.starts.last().copied().filter(|_| fits && self.starts.len() == outer + 1)
    }
}

fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

fn too_large(shape: &[usize]) -> Error {
    Error::Shape(format!("{shape:?} does not fit in memory"))
}

/// The bytes of so many equal elements.
fn alike(elem: Elem, elements: Option<usize>, bits: u64) -> Option<Vec<u8>> {
    let width = elem.bytes() as usize;
    let bytes = elements?.checked_mul(width).filter(|n| *n <= isize::MAX as usize)?;
    let mut data = Vec::new();
    data.try_reserve_exact(bytes).ok()?;
    data.resize(bytes, 0);
    if bits != 0 {
        let word = bits.to_le_bytes();
        data.chunks_exact_mut(width).for_each(|c| c.copy_from_slice(&word[..width]));
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups outside, three rows of 2, 0 and 3 inside each, of two elements.
    fn sample() -> Array {
        let shape = vec![2, 3, 3, 2];
        let mut array =
            Array::ragged(Elem::I32, shape, (2, &[2, 0, 3, 2, 0, 3]), 7).expect("it is small");
        (0..array.len()).for_each(|i| array.set_bits(i, 100 + i as u64));
        array
    }

    #[test]
    fn a_ragged_array_holds_its_rows_and_nothing_else() {
        let array = sample();
        assert_eq!((array.len(), array.bytes().len()), (2 * 5 * 2, 2 * 5 * 2 * 4));
        assert_eq!(array.check(), Ok(()));
        let dense = array.dense();
        assert_eq!((dense.len(), dense.check()), (2 * 3 * 3 * 2, Ok(())));
        let mut held = 0;
        for flat in 0..dense.len() {
            let at = dense.coordinates(flat);
            match array.at(&at) {
                Some(i) => {
                    assert_eq!((i, array.coordinates(i)), (held, at));
                    assert_eq!(array.get_bits(i), dense.get_bits(flat));
                    held += 1;
                }
                None => assert_eq!(dense.get_bits(flat), 7, "{at:?}"),
            }
        }
        assert_eq!(held, array.len());
        assert_eq!(array, dense);
        assert!(!array.strided(1) && array.strided(2) && array.strided(3));
        for wrong in [[1, 3, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]] {
            assert_eq!(array.at(&wrong), None);
        }
        let wrong = Array { shape: vec![2, 2, 3, 2], ..array.clone() };
        assert!(wrong.check().is_err() && wrong != array);
        let wrong = Array { shape: vec![2, 3, 2, 2], ..array };
        assert!(wrong.check().is_err());
    }

    #[test]
    fn clones_share_until_one_is_written() {
        for array in [sample(), sample().dense()] {
            let mut other = array.clone();
            assert!(other.shares(&array) && other == array);
            other.set_bits(1, 5);
            assert!(!other.shares(&array) && other != array);
            assert_eq!((array.get_bits(1), other.get_bits(1)), (101, 5));
        }
        let dense = sample().dense();
        assert!(dense.dense().shares(&dense), "what is dense is not copied");
    }
}
