//! Buffers: each element of a logical array is dealt to the ranks that hold it, at the offset that the digits give
//! (`language.md` 4.1). A rank that holds nothing of a tensor, because it is outside its mesh or `only` names another,
//! has an empty buffer.

use super::digits::Digits;
use super::scope::{Scope, overflow};
use super::{Array, Error};
use crate::sema::hir::{Elem, Tensor};

/// Coordinates of the axes over which a tensor is a sum: one part for each combination.
pub(super) fn parts(scope: &Scope, tensor: &Tensor) -> Result<Option<i64>, Error> {
    scope.inputs.parts(scope.program, tensor)
}

/// Elements of each rank's buffer of an array.
pub(super) fn lengths(scope: &Scope, tensor: &Tensor) -> Result<Vec<usize>, Error> {
    let digits = Digits::new(scope, tensor)?;
    let ranks = scope.program.ranks(&scope.inputs.params).ok_or_else(overflow)?;
    let length = |rank| match digits.holds(rank)? {
        true => usize::try_from(digits.length(rank)?).map_err(|_| overflow()),
        false => Ok(0),
    };
    (0..ranks).map(length).collect()
}

pub(super) fn outside(tensor: &Tensor, rank: usize, at: usize) -> Error {
    Error::Shape(format!("{}: element {at} is outside the buffer of rank {rank}", tensor.name))
}

/// What is done with a run of elements that lie side by side in a rank's buffer and in the logical array:
/// rank, first element there, first element here, how many.
pub(super) type Deal<'v> = dyn FnMut(usize, usize, usize, usize) -> Result<(), Error> + 'v;

/// Visits each live element of a logical array of this shape on every rank that holds it.
pub(super) fn visit(digits: &Digits, array: &Array, deal: &mut Deal) -> Result<(), Error> {
    let tensor = digits.tensor;
    let parts = parts(&digits.scope, tensor)?;
    let places = places(digits, tensor, &array.shape[usize::from(parts.is_some())..])?;
    for part in 0..parts.unwrap_or(1) {
        let (holders, elem) = (digits.holders(part)?, array.elem);
        let part = parts.map(|_| part);
        let mut dealer =
            Dealer { digits, tensor, array, elem, places: &places, holders, part, deal };
        dealer.walk(&mut Vec::new(), (0, 0))?;
    }
    Ok(())
}

/// Of each coordinate of each axis of the array: what it adds to the rank and to the offset.
type Places = Vec<Vec<(i64, i64)>>;

fn places(digits: &Digits, tensor: &Tensor, shape: &[usize]) -> Result<Places, Error> {
    let mut out = Vec::new();
    for (axis, n) in shape.iter().enumerate() {
        // An array may be padded beyond what the axis can have.
        let most = usize::try_from(digits.capacity(axis)?).unwrap_or(0).min(*n);
        let each = (0..most as i64).map(|at| digits.part(axis, at).map(|p| (p.rank, p.offset)));
        out.push(each.collect::<Result<Vec<_>, _>>()?);
    }
    if out.len() == tensor.axes.len() {
        return Ok(out);
    }
    Err(Error::Shape(format!(
        "{} has {} axes, its array {shape:?}",
        tensor.name,
        tensor.axes.len()
    )))
}

struct Dealer<'a, 'v> {
    digits: &'a Digits<'a>,
    tensor: &'a Tensor,
    array: &'a Array,
    elem: Elem,
    places: &'a [Vec<(i64, i64)>],
    /// What copies, single places and the part add to the rank.
    holders: Vec<i64>,
    /// Of a sum.
    part: Option<i64>,
    deal: &'a mut Deal<'v>,
}

impl Dealer<'_, '_> {
    /// Deals what lies below the coordinates `at`, which have this rank and offset.
    fn walk(&mut self, at: &mut Vec<i64>, (rank, offset): (i64, i64)) -> Result<(), Error> {
        let (axis, places) = (at.len(), self.places);
        let Some(places) = places.get(axis) else { return self.put((rank, offset), at, 1) };
        let extent = self.digits.extent(axis, at)?;
        let extent = usize::try_from(extent).map_err(|_| overflow())?;
        if extent > places.len() {
            let outside = places.len() as i64;
            self.digits.part(axis, outside)?;
            at.push(outside);
            return Err(Error::outside(&self.tensor.name, at, &self.array.shape));
        }
        let offset = offset + self.digits.base(axis, at)?;
        let last = axis + 1 == self.places.len();
        let mut value = 0;
        while value < extent {
            let (r, o) = places[value];
            let place = (rank + r, offset + o);
            at.push(value as i64);
            value += match last {
                true => {
                    let run = self.run(&places[value..extent], place.1);
                    self.put(place, at, run)?;
                    run
                }
                false => {
                    self.walk(at, place)?;
                    1
                }
            };
            at.pop();
        }
        Ok(())
    }

    /// How many of the places lie side by side on one rank; a swizzle moves columns of 16 bytes.
    fn run(&self, places: &[(i64, i64)], offset: i64) -> usize {
        let (rank, first) = places[0];
        let beside = |(i, p): (usize, &(i64, i64))| *p == (rank, first + i as i64);
        let run = places.iter().enumerate().take_while(|p| beside(*p)).count();
        match self.tensor.attrs.swizzle {
            None => run,
            Some(_) => {
                let column = (16 / self.elem.bytes()).max(1);
                run.min((column - offset % column) as usize)
            }
        }
    }

    /// A run along the last axis from the coordinates on.
    fn put(&mut self, (rank, offset): (i64, i64), at: &[i64], run: usize) -> Result<(), Error> {
        let from = match self.part {
            Some(part) => self.array.at(&[&[part], at].concat()),
            None => self.array.at(at),
        };
        let outside = || Error::outside(&self.tensor.name, at, &self.array.shape);
        let from = from.ok_or_else(outside)?;
        let at = usize::try_from(self.swizzled(offset, self.elem.bytes()));
        let at = at.map_err(|_| overflow())?;
        for holder in &self.holders {
            let rank = usize::try_from(rank + holder).map_err(|_| overflow())?;
            (self.deal)(rank, at, from, run)?;
        }
        Ok(())
    }

    /// Bits 4.. of the byte offset become their xor with bits 7.., as many as a row has columns of 16 bytes.
    fn swizzled(&self, element: i64, width: i64) -> i64 {
        let Some(swizzle) = self.tensor.attrs.swizzle else { return element };
        let columns = swizzle.row_bytes() / 16;
        let byte = element * width;
        (byte ^ (byte / 128 % columns * 16)) / width
    }
}
