//! A program bound to a world: its schedule, and what is made from it.

use super::device::DeviceProgram;
use super::{Arrivals, Error, LaunchArgs, Plan, Request, Stream, World};
use crate::error::Noun;
use crate::mem::Buffer;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Dyn, Schedule, Tensor};
use fusco_dsl::sema::hir::{self, Bindings, Size};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A program ready to run on a world. Cheap to clone; plans fit all clones.
#[derive(Clone)]
pub struct Bound {
    world: World,
    schedule: Arc<Verified<Schedule>>,
    /// Its kernels, on a CUDA world.
    program: Option<Arc<DeviceProgram>>,
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
        let program = world
            .devices_here()
            .map(|d| DeviceProgram::new(d, &schedule).map(Arc::new))
            .transpose()?;
        Ok(Bound {
            world: world.clone(),
            schedule: Arc::new(schedule),
            program,
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

    /// What its entries do, as the compiler has verified it.
    pub fn schedule(&self) -> &Verified<Schedule> {
        &self.schedule
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
        let found = self.schedule.tensors.iter().map(|(_, t)| t).find(|t| t.name == tensor);
        let found = found.ok_or_else(|| {
            let known = self.schedule.tensors.iter().map(|(_, t)| &t.name);
            self.unknown(Noun::Tensor, tensor, known)
        })?;
        self.world.alloc(tensor, (found.elems * found.elem.bytes()) as usize)
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
        Plan::new(self, handle)
    }

    /// Queues an entry on every rank and returns.
    ///
    /// # Errors
    /// F0902, F0904 or F0909 if the arguments do not fit, share memory that the entry writes, or a plan is not made or made
    /// for other sizes; nothing is started then. What goes wrong
    /// while it runs is told by [`Stream::synchronize`].
    pub fn launch(&self, entry: &str, stream: &Stream, args: &LaunchArgs<'_>) -> Result<(), Error> {
        stream.submit(Request::new(self, entry, args)?)
    }

    /// Tiles of the latest launch of `entry` with `plan`, as they become ready.
    ///
    /// # Errors
    /// F0909 if the entry has no arrivals, rows of it go to groups that are dealt in several ways, or the plan is
    /// another program's.
    pub fn arrivals(&self, entry: &str, plan: &Plan) -> Result<Arrivals, Error> {
        Arrivals::new(self, self.entry_index(entry)?, plan)
    }

    pub(crate) fn shared_schedule(&self) -> Arc<Verified<Schedule>> {
        self.schedule.clone()
    }

    /// Multiprocessors of a device that the largest launch of an entry can keep busy; `None` on a host.
    pub fn multiprocessors(&self, entry: &str) -> Option<u32> {
        let program = self.device_program()?;
        let own = program.unit.kernels.iter().filter(|k| k.entry == entry);
        let ctas = own.map(|k| k.grid.0 * k.grid.1).max()?;
        Some(ctas.min(program.devices.target().sms))
    }

    pub(crate) fn device_program(&self) -> Option<&Arc<DeviceProgram>> {
        self.program.as_ref()
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
    pub(super) fn source(&self) -> Result<&Source, Error> {
        let message = || Error::Internal("a schedule without its program".to_string());
        self.source.as_deref().ok_or_else(message)
    }

    pub(super) fn unknown<'a>(
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
    pub(super) fn check_buffer(
        &self,
        name: &str,
        buffer: &Buffer,
    ) -> Result<Handle<Tensor>, Error> {
        let schedule = &self.schedule;
        let found = schedule.tensors.iter().find(|(_, t)| t.name == name);
        let (handle, info) = found.ok_or_else(|| {
            let known = schedule.tensors.iter().map(|(_, t)| &t.name);
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
    pub(super) fn check_dyn(
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
        Ok((handle, super::request::ranked(info, values, schedule.ranks as usize, self)?))
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

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("program", &self.schedule.program)
            .field("world", &self.world)
            .finish_non_exhaustive()
    }
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
