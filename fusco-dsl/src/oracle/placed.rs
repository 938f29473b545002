//! What an entry leaves, where its placement puts it, read out of the logical array: no rank's buffer is made
//! unless it is asked for.

use super::place::{self, Physical, fill_bits};
use super::scope::Scope;
use super::{Array, Error, Inputs, Relation};
use crate::arena::Handle;
use crate::sema::hir::{Elem, Program, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the placements of all tensors that an entry left follow from.
#[derive(Debug)]
pub(super) struct Left<'p> {
    pub program: &'p Program,
    pub inputs: Inputs,
    /// The counts of the routes; their tuples are not needed.
    pub plans: BTreeMap<String, Relation>,
    pub made: BTreeMap<Handle<Tensor>, Array>,
}

impl Left<'_> {
    pub fn scope(&self) -> Scope<'_> {
        let Left { program, inputs, plans, made } = self;
        Scope { program, inputs, plans, made }
    }
}

/// A tensor on its ranks.
#[derive(Clone, Debug)]
pub struct Placed<'p> {
    left: Arc<Left<'p>>,
    tensor: Handle<Tensor>,
    lengths: Vec<usize>,
}

impl<'p> Placed<'p> {
    /// # Errors
    /// Counts, owners or sizes that do not fit the placement.
    pub(super) fn new(left: &Arc<Left<'p>>, tensor: Handle<Tensor>) -> Result<Placed<'p>, Error> {
        let array = &left.made[&tensor];
        let lengths = place::lengths(&left.scope(), &left.program.tensors[tensor], array)?;
        let placed = Placed { left: left.clone(), tensor, lengths };
        placed.runs(&mut |_, _, _| ())?;
        Ok(placed)
    }

    fn info(&self) -> &'p Tensor {
        &self.left.program.tensors[self.tensor]
    }

    fn logical(&self) -> &Array {
        &self.left.made[&self.tensor]
    }

    pub fn elem(&self) -> Elem {
        self.logical().elem
    }

    /// Elements of each rank's buffer.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The bytes of each element that no run covers; without a fill those are undefined.
    pub fn fill(&self) -> Option<Vec<u8>> {
        let bits = self.info().attrs.fill.map(|_| fill_bits(self.info()).to_le_bytes());
        bits.map(|bits| bits[..self.elem().bytes() as usize].to_vec())
    }

    /// Visits what the entry left as runs of elements: rank, first element of its buffer, bytes.
    ///
    /// # Errors
    /// None: what may be wrong was found when the entry ran.
    pub fn runs(&self, visit: &mut dyn FnMut(usize, usize, &[u8])) -> Result<(), Error> {
        let (logical, width) = (self.logical(), self.elem().bytes() as usize);
        let bytes = logical.bytes();
        let mut run = |rank: usize, at: usize, from: usize, run: usize| {
            visit(rank, at, &bytes[from * width..(from + run) * width]);
            Ok(())
        };
        place::runs(&self.left.scope(), self.info(), logical, &self.lengths, &mut run)
    }

    /// Each rank's buffer.
    ///
    /// # Errors
    /// If they do not fit in memory.
    pub fn ranks(&self) -> Result<Vec<Physical>, Error> {
        place::physical(&self.left.scope(), self.info(), self.logical())
    }
}
