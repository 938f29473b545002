//! A program bound to a world: its schedule, and what is made from it.

use crate::error::{Error, Noun};
use crate::mem::Buffer;
use crate::plan::Plan;
use crate::workspace::Loaded;
use crate::world::World;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Dyn, Schedule, Tensor};
use fusco_dsl::sema::hir::{self, Bindings, Io, Size};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a program is bound with: its params by name, those that are arrays element by element, as `OWNER[3]`.
pub type Params = BTreeMap<String, i64>;

/// A program ready to run on a world. Cheap to clone; plans fit all clones.
#[derive(Clone)]
pub struct Bound {
    world: World,
    schedule: Arc<Verified<Schedule>>,
    /// Its kernels.
    loaded: Arc<dyn Loaded>,
    /// Bounds of dyns as the program writes them, where they have a name.
    limits: Arc<BTreeMap<String, String>>,
    /// Bytes that buffers are declared to be aligned to.
    aligns: Arc<BTreeMap<String, i64>>,
    source: Option<Arc<Source>>,
}

/// What the schedule was made from.
pub(crate) struct Source {
    pub program: hir::Program,
    pub params: Bindings,
}

impl Bound {
    /// Binds a schedule that has passed its verifier, for tools that have one; it knows no placements.
    ///
    /// # Errors
    /// F0909 if the schedule is for another number of ranks; on CUDA also what generation, NVRTC and the driver say.
    #[doc(hidden)]
    pub fn from_schedule(world: &World, schedule: Verified<Schedule>) -> Result<Bound, Error> {
        if schedule.ranks != world.ranks() as i64 {
            let (program, needs) = (schedule.program.clone(), schedule.ranks);
            return Err(Error::ProgramRanks { program, needs, ranks: world.ranks() });
        }
        let schedule = Arc::new(schedule);
        let loaded = world.machine().load(&schedule)?;
        Ok(Bound {
            world: world.clone(),
            schedule,
            loaded,
            limits: Arc::default(),
            aligns: Arc::default(),
            source: None,
        })
    }

    /// Compiles a program for the world and binds it.
    pub(crate) fn compile(
        world: &World,
        source: &str,
        program: Option<&str>,
        params: &Bindings,
    ) -> Result<Bound, Error> {
        let compiled = fusco_dsl::compile(source, program, params).map_err(Error::Program)?;
        let bound = Bound::from_schedule(world, compiled.schedule)?;
        let (limits, aligns) = (limits(&compiled.hir), aligns(&compiled.hir));
        let source = Some(Arc::new(Source { program: compiled.hir, params: params.clone() }));
        Ok(Bound { limits: Arc::new(limits), aligns: Arc::new(aligns), source, ..bound })
    }

    /// What its entries do, as the compiler has verified it: for tools that name the compiler's types.
    #[doc(hidden)]
    pub fn schedule(&self) -> &Verified<Schedule> {
        &self.schedule
    }

    /// Its tensors by name, in the order of their declaration, without its `tmp`s.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.given().map(|(_, t)| t.name.as_str())
    }

    /// Those that a launch is given; a `tmp` is the program's own.
    fn given(&self) -> impl Iterator<Item = (Handle<Tensor>, &Tensor)> {
        self.schedule.tensors.iter().filter(|(_, t)| t.io != Io::Tmp)
    }

    /// Its entries by name.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.schedule.entries.iter().map(|e| e.name.as_str())
    }

    /// Its routes by name: each takes a plan.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.schedule.routes.iter().map(|(_, r)| r.name.as_str())
    }

    /// Where it runs.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Zeroed memory for a tensor: `elems * bytes` on each rank.
    ///
    /// # Errors
    /// F0902 for an unknown tensor; F0911 if there is no memory.
    pub fn alloc(&self, tensor: &str) -> Result<Buffer, Error> {
        let found = self.given().map(|(_, t)| t).find(|t| t.name == tensor);
        let found = found.ok_or_else(|| {
            let known = self.given().map(|(_, t)| &t.name);
            self.unknown(Noun::Tensor, tensor, known)
        })?;
        let bytes = (found.elems * found.elem.bytes()) as usize;
        self.world.machine().alloc(self.world.ledger(), tensor, bytes)
    }

    /// An empty plan of a route; an entry with `plan r;` fills it.
    ///
    /// # Errors
    /// F0909 for an unknown route; F0911 if there is no memory.
    pub fn plan(&self, route: &str) -> Result<Plan, Error> {
        let found = self.schedule.routes.iter().find(|(_, r)| r.name == route);
        let (handle, _) = found.ok_or_else(|| {
            let known = self.schedule.routes.iter().map(|(_, r)| &r.name);
            self.unknown(Noun::Route, route, known)
        })?;
        Plan::new(&self.schedule, &*self.loaded, self.world.ledger(), handle)
    }

    pub(crate) fn shared_schedule(&self) -> Arc<Verified<Schedule>> {
        self.schedule.clone()
    }

    /// For benchmarks: multiprocessors of a device that the largest launch of an entry can keep busy; `None` on a host.
    #[doc(hidden)]
    pub fn multiprocessors(&self, entry: &str) -> Option<u32> {
        self.loaded.multiprocessors(entry)
    }

    pub(crate) fn loaded(&self) -> &Arc<dyn Loaded> {
        &self.loaded
    }

    pub(crate) fn entry_index(&self, entry: &str) -> Result<usize, Error> {
        let index = self.schedule.entries.iter().position(|e| e.name == entry);
        index.ok_or_else(|| {
            let known = self.schedule.entries.iter().map(|e| &e.name);
            self.unknown(Noun::Entry, entry, known)
        })
    }

    /// # Errors
    /// F0790 if it was bound from a schedule alone.
    pub(crate) fn source(&self) -> Result<&Source, Error> {
        let message = || Error::Internal("a schedule without its program".to_string());
        self.source.as_deref().ok_or_else(message)
    }

    pub(crate) fn unknown<'a>(
        &self,
        noun: Noun,
        name: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Error {
        Error::unknown(&self.schedule.program, noun, name, known)
    }

    /// F0909 for a plan of another one.
    pub(crate) fn other_program(&self, plan: &Plan) -> Error {
        let (route, program) = (plan.route_name().to_string(), self.schedule.program.clone());
        Error::OtherProgram { route, program }
    }

    /// The tensor that a buffer is given for.
    ///
    /// # Errors
    /// F0902 if there is none, or the buffer is of another size, world or alignment.
    pub(crate) fn check_buffer(
        &self,
        name: &str,
        buffer: &Buffer,
    ) -> Result<Handle<Tensor>, Error> {
        let schedule = &self.schedule;
        let found = self.given().find(|(_, t)| t.name == name);
        let (handle, info) = found.ok_or_else(|| {
            let known = self.given().map(|(_, t)| &t.name);
            self.unknown(Noun::Tensor, name, known)
        })?;
        let (bytes, ranks) = ((info.elems * info.elem.bytes()) as usize, schedule.ranks as usize);
        if buffer.ranks() != ranks || buffer.bytes(0) != bytes {
            let (got_bytes, got_ranks) = (buffer.bytes(0), buffer.ranks());
            return Err(Error::BufferSize {
                tensor: name.to_string(),
                bytes,
                ranks,
                got_bytes,
                got_ranks,
            });
        }
        if !buffer.slot().belongs_to(self.world.ledger()) {
            return Err(Error::BufferWorld { buffer: name.to_string() });
        }
        self.check_alignment(name, buffer)?;
        Ok(handle)
    }

    /// A dyn with its value on each rank.
    ///
    /// # Errors
    /// F0904 if there is none of this name, or as many values, or one is outside its bound.
    pub(crate) fn check_dyn(
        &self,
        name: &str,
        values: &[i64],
    ) -> Result<(Handle<Dyn>, Vec<i64>), Error> {
        let schedule = &self.schedule;
        let found = schedule.dyns.iter().find(|(_, d)| d.name == name);
        let (handle, info) = found.ok_or_else(|| {
            let known = schedule.dyns.iter().map(|(_, d)| &d.name);
            self.unknown(Noun::Dyn, name, known)
        })?;
        Ok((handle, ranked(info, values, schedule.ranks as usize, self)?))
    }

    /// # Errors
    /// F0902 if a rank's part does not begin where the program says that it does.
    fn check_alignment(&self, tensor: &str, buffer: &Buffer) -> Result<(), Error> {
        let Some(align) = self.aligns.get(tensor).filter(|a| **a > 0) else { return Ok(()) };
        let wrong = buffer.addresses().iter().position(|at| !at.is_multiple_of(*align as u64));
        wrong.map_or(Ok(()), |rank| {
            Err(Error::Alignment { tensor: tensor.to_string(), align: *align, rank })
        })
    }

    /// A dyn's bound, for a message: `TMAX = 4096`, or the number alone.
    pub(crate) fn limit(&self, info: &Dyn) -> String {
        match self.limits.get(&info.name) {
            Some(name) => format!("{name} = {}", info.bound),
            None => info.bound.to_string(),
        }
    }
}

impl World {
    /// Compiles `program` of `source` (the only one if `None`) with these params for this world.
    ///
    /// ```
    /// use fusco_runtime::{Error, Params, World, diag};
    ///
    /// let text = "program p {
    ///     mesh tp { gpu: 2 }
    ///     param M: int where M % gpu == 0;
    ///     in  a: f32[m: M] @ [m/gpu, m];
    ///     out b: f32[m: M] @ [copy/gpu, m];
    ///     entry gather { b[m] <- a[m]; }
    /// }";
    /// let world = World::host(2).expect("two threads");
    /// let bind = |m| world.bind(text, None, &Params::from([("M".to_string(), m)]));
    /// let program = bind(6).expect("6 is even");
    /// assert!(program.tensors().eq(["a", "b"]) && program.entries().eq(["gather"]));
    /// match bind(7) {
    ///     Err(Error::Program(wrong)) => {
    ///         let shown = diag::render(&wrong, "p.fusco", text, false);
    ///         assert!(shown.starts_with("error[F0901]") && shown.contains("7 % 2 == 0"), "{shown}");
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// The program's diagnostics; F0909 if it is for another number of ranks; on CUDA also what
    /// NVRTC and the driver say.
    pub fn bind(
        &self,
        source: &str,
        program: Option<&str>,
        params: &Params,
    ) -> Result<Bound, Error> {
        Bound::compile(self, source, program, params)
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("program", &self.schedule.program)
            .field("world", &self.world)
            .finish_non_exhaustive()
    }
}

/// One value a rank, each within `0..=bound`; of a dyn with fewer values the last ones are repeated.
fn ranked(info: &Dyn, values: &[i64], ranks: usize, bound: &Bound) -> Result<Vec<i64>, Error> {
    let name = &info.name;
    let wanted = info.values as usize;
    let values = match values.len() {
        1 => vec![values[0]; ranks],
        n if n == wanted && info.per_rank => {
            let last = values.last().copied().unwrap_or(0);
            values.iter().copied().chain(std::iter::repeat(last)).take(ranks).collect()
        }
        values => {
            let wanted = if info.per_rank { wanted } else { 1 };
            return Err(Error::DynValues { name: name.clone(), values, wanted, ranks });
        }
    };
    for (rank, v) in values.iter().enumerate() {
        let place = if info.per_rank { format!("{name}[{rank}]") } else { name.clone() };
        if !(0..=info.bound).contains(v) {
            return Err(Error::DynRange { name: place, value: *v, bound: bound.limit(info) });
        }
    }
    Ok(values)
}

/// `with align(B)`, by tensor.
fn aligns(program: &hir::Program) -> BTreeMap<String, i64> {
    let align = |t: &hir::Tensor| Some((t.name.clone(), t.attrs.align?));
    program.tensors.iter().filter_map(|(_, t)| align(t)).collect()
}

/// The params that bound dyns, by dyn.
fn limits(program: &hir::Program) -> BTreeMap<String, String> {
    let param = |d: &hir::Dyn| match &d.bound {
        Size::Param(p) => Some((d.name.clone(), program.params[*p].name.clone())),
        _ => None,
    };
    program.dyns.iter().filter_map(|(_, d)| param(d)).collect()
}
