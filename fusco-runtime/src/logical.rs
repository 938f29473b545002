//! Between a tensor as one array and the buffers of its ranks, as its placement says: packed, swizzled, strided,
//! padded, dealt out by a table, copied or in parts.
//!
//! Where an element lies may follow from sizes, counts, owners and plans of a launch: [`Needs`] collects which, [`Placing`]
//! reads them from the arguments of that launch. The walk over the elements is the reference interpreter's.

use crate::arguments::LaunchArgs;
use crate::error::{Error, Noun};
use crate::mem::{Buffer, Plain, bytes_of, numbers_of};
use crate::program::{Bound, Source};
use fusco_dsl::arena::Handle;
use fusco_dsl::oracle::{self, Array, Gathered, Inputs};
use fusco_dsl::ranks;
use fusco_dsl::sema::hir::{self, Extent, Owners, Program, Size, TermKind};
use std::collections::{BTreeMap, BTreeSet};

/// A tensor as one array over all ranks: see [`Bound::gather`].
#[derive(Clone, Debug, PartialEq)]
pub struct Logical<T> {
    /// Extents in the order of the declaration, `dyn`, counted and ragged axes at their longest. A tensor that is
    /// a `sum` over mesh axes has its parts in front.
    pub shape: Vec<usize>,
    /// Row-major. Beyond the end of a shorter row lies the fill value, or 0.
    pub values: Vec<T>,
    /// Rows of each segment of a ragged or counted axis, its parents in the order of the declaration; `None` without
    /// such an axis.
    pub counts: Option<Vec<i32>>,
}

impl Bound {
    /// Fills the buffer of a tensor on every rank from its logical array, as its placement says: the way back of
    /// [`gather`](Self::gather). Waits for launches that use the buffer.
    ///
    /// `shape` has the axes of the declaration, `dyn`, counted and ragged ones at their longest or more; `values` are
    /// row-major. `args` are those of the launch that follows: the tensor's buffer, and what its placement follows from,
    /// which is its dyns, the buffers of tensors that count or own its rows, and the plan of a ragged axis. The rest of
    /// them is not looked at.
    ///
    /// ```
    /// # use fusco_runtime::{Error, LaunchArgs, World};
    /// # fn main() -> Result<(), Error> {
    /// let text = "program p {
    ///     mesh tp { gpu: 2 }
    ///     in  a: i32[m: 4, n: 3] @ [n, m/gpu, m] with stride(n: 8);
    ///     out b: i32[m: 4, n: 3] @ [copy/gpu, m, n];
    ///     entry main { b[m, n] <- a[m, n]; }
    /// }";
    /// let world = World::host(2)?;
    /// let program = world.bind(text, None, &Default::default())?;
    /// let (a, b) = (program.alloc("a")?, program.alloc("b")?);
    /// let args = LaunchArgs { buffers: &[("a", &a), ("b", &b)], ..LaunchArgs::default() };
    ///
    /// let values = Vec::from_iter(0..12i32);
    /// program.scatter("a", &[4, 3], &values, &args)?;
    /// let stream = world.stream()?;
    /// program.launch("main", &stream, &args)?;
    /// stream.synchronize()?;
    /// assert_eq!(program.gather::<i32>("b", &args)?.values, values);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// F0902 for an unknown tensor, a wrong buffer, elements of another type or an array that does not fit the
    /// placement; the code of what the placement needs and `args` lack; F0906 for counts or owners out of range.
    pub fn scatter<T: Plain>(
        &self,
        tensor: &str,
        shape: &[usize],
        values: &[T],
        args: &LaunchArgs<'_>,
    ) -> Result<(), Error> {
        let mut placing = Placing::new(self, tensor, args)?;
        let buffer = placing.buffer(placing.tensor)?;
        let elem = placing.elem::<T>()?;
        let array = Array::new(elem, shape.to_vec(), bytes_of(values).to_vec());
        let array = array.map_err(|e| placing.wrong(e))?;
        placing.inputs.tensors.insert(tensor.to_string(), array);
        let Placing { source, inputs, live, .. } = &placing;
        let parts = ranks::scatter(&source.program, tensor, inputs, live);
        for (rank, bytes) in parts.map_err(|e| placing.wrong(e))?.iter().enumerate() {
            buffer.upload(rank, bytes)?;
        }
        Ok(())
    }

    /// The logical array of a tensor from the buffers of its ranks; of copies, one counts. Waits for launches that write
    /// the buffer. `args` as for [`scatter`](Self::scatter).
    ///
    /// # Errors
    /// As [`scatter`](Self::scatter).
    pub fn gather<T: Plain>(
        &self,
        tensor: &str,
        args: &LaunchArgs<'_>,
    ) -> Result<Logical<T>, Error> {
        let placing = Placing::new(self, tensor, args)?;
        placing.elem::<T>()?;
        let Gathered { logical, count, .. } = placing.gather(placing.tensor)?;
        let values = numbers_of(logical.bytes());
        Ok(Logical { shape: logical.shape, values, counts: count })
    }
}

/// One tensor with what its placement follows from.
struct Placing<'a> {
    bound: &'a Bound,
    source: &'a Source,
    args: &'a LaunchArgs<'a>,
    tensor: Handle<hir::Tensor>,
    inputs: Inputs,
    /// Rows of each group, by route.
    live: BTreeMap<String, Vec<u32>>,
}

impl<'a> Placing<'a> {
    fn new(bound: &'a Bound, tensor: &str, args: &'a LaunchArgs<'a>) -> Result<Placing<'a>, Error> {
        let source = bound.source()?;
        let program = &source.program;
        let handle = program.tensor(tensor).ok_or_else(|| {
            let known = program.tensors.iter().map(|(_, t)| &t.name);
            bound.unknown(Noun::Tensor, tensor, known)
        })?;
        let inputs = Inputs { params: source.params.clone(), ..Inputs::default() };
        let live = BTreeMap::new();
        let mut placing = Placing { bound, source, args, tensor: handle, inputs, live };
        let needs = Needs::of(program, handle);
        needs.dyns.iter().try_for_each(|d| placing.read_dyn(&program.dyns[*d].name))?;
        needs.routes.iter().try_for_each(|r| placing.read_plan(&program.routes[*r].name))?;
        for other in needs.tensors {
            let array = placing.gather(other)?.logical;
            placing.inputs.tensors.insert(program.tensors[other].name.clone(), array);
        }
        Ok(placing)
    }

    fn info(&self) -> &'a hir::Tensor {
        &self.source.program.tensors[self.tensor]
    }

    fn lacks(&self, noun: Noun, name: &str) -> Error {
        let tensor = self.info().name.clone();
        Error::PlacementNeeds { tensor, noun, name: name.to_string() }
    }

    fn read_dyn(&mut self, name: &str) -> Result<(), Error> {
        let given = self.args.dyns.iter().find(|(n, _)| *n == name);
        let (_, values) = given.ok_or_else(|| self.lacks(Noun::Dyn, name))?;
        self.bound.check_dyn(name, values)?;
        self.inputs.dyns.insert(name.to_string(), values.to_vec());
        Ok(())
    }

    fn read_plan(&mut self, route: &str) -> Result<(), Error> {
        let plan = self.args.plans.iter().find(|p| p.route_name() == route);
        let plan = plan.ok_or_else(|| self.lacks(Noun::Route, route))?;
        if !plan.belongs_to(&self.bound.shared_schedule()) {
            return Err(self.bound.other_program(plan));
        }
        let live = plan.live_when_made()?.ok_or_else(|| self.lacks(Noun::Route, route))?;
        self.live.insert(route.to_string(), live);
        Ok(())
    }

    fn buffer(&self, tensor: Handle<hir::Tensor>) -> Result<&'a Buffer, Error> {
        let name = self.source.program.tensors[tensor].name.as_str();
        let given = self.args.buffers.iter().find(|(n, _)| *n == name);
        let (_, buffer) = given.ok_or_else(|| self.lacks(Noun::Tensor, name))?;
        self.bound.check_buffer(name, buffer)?;
        Ok(buffer)
    }

    fn gather(&self, tensor: Handle<hir::Tensor>) -> Result<Gathered, Error> {
        let buffer = self.buffer(tensor)?;
        let parts = (0..buffer.ranks()).map(|rank| buffer.download(rank));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let Placing { source, inputs, live, .. } = self;
        let name = &source.program.tensors[tensor].name;
        ranks::gather(&source.program, name, &parts, inputs, live).map_err(|e| self.wrong(e))
    }

    /// # Errors
    /// F0902 if the tensor's elements are of another type than `T`.
    fn elem<T: Plain>(&self) -> Result<hir::Elem, Error> {
        let elem = self.info().dtype.elem;
        if T::is(elem.name(), elem.bytes() as usize) {
            return Ok(elem);
        }
        let (tensor, declared) = (self.info().name.clone(), elem.name());
        Err(Error::ElementType { tensor, declared, given: T::NAME })
    }

    fn wrong(&self, error: oracle::Error) -> Error {
        match error {
            oracle::Error::Index { .. } | oracle::Error::Count { .. } => {
                Error::OutOfRange(error.to_string())
            }
            oracle::Error::Unsupported(_) => Error::Unsupported(error.to_string()),
            error => Error::Array { tensor: self.info().name.clone(), why: error.to_string() },
        }
    }
}

/// What a placement follows from, besides params.
#[derive(Default)]
struct Needs {
    dyns: BTreeSet<Handle<hir::Dyn>>,
    routes: BTreeSet<Handle<hir::Route>>,
    /// Those that others of them follow from come first.
    tensors: Vec<Handle<hir::Tensor>>,
}

impl Needs {
    fn of(program: &Program, tensor: Handle<hir::Tensor>) -> Needs {
        let mut needs = Needs::default();
        needs.add(program, tensor);
        needs
    }

    fn add(&mut self, program: &Program, tensor: Handle<hir::Tensor>) {
        let info = &program.tensors[tensor];
        for axis in &info.axes {
            match &axis.extent {
                Extent::Fixed(size) => self.size(program, size),
                Extent::Counted { rows, bound } => {
                    self.size(program, rows);
                    self.size(program, bound);
                }
                Extent::Ragged { route, .. } => _ = self.routes.insert(*route),
            }
        }
        for term in &info.placement {
            if let TermKind::Mapped { owners: Owners::Tensor(owners), .. } = &term.kind {
                self.tensor(program, *owners);
            }
        }
    }

    fn size(&mut self, program: &Program, size: &Size) {
        match size {
            Size::Dyn { of, index } => {
                self.dyns.insert(*of);
                index.iter().for_each(|i| self.size(program, i));
            }
            Size::Read { tensor, index } => {
                self.tensor(program, *tensor);
                index.iter().for_each(|i| self.size(program, i));
            }
            Size::Binary { lhs, rhs, .. } => {
                self.size(program, lhs);
                self.size(program, rhs);
            }
            Size::Lit(_) | Size::Param(_) | Size::Mesh(_) | Size::Coord(_) => {}
        }
    }

    fn tensor(&mut self, program: &Program, tensor: Handle<hir::Tensor>) {
        if !self.tensors.contains(&tensor) {
            self.add(program, tensor);
            self.tensors.push(tensor);
        }
    }
}
