//! What a back end keeps of a program: its kernels, and workspaces, the memory that kernels keep beside their
//! tensors, a part on each rank. A plan has one for its route. Kernels without a route use the home of their
//! program, which has the `tmp`s of all: one for each stream, whose launches are ordered, and one for each captured graph.

use crate::error::Error;
use crate::lease::{Ledger, Slot, Turn};
use crate::mem::Buffer;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::Verified;
use fusco_dsl::schedule::ir::{Route, Schedule, Tensor};
use fusco_dsl::sema::hir::Io;
use std::any::Any;
use std::sync::{Arc, Mutex};

/// A program's kernels, ready to be launched.
pub(crate) trait Loaded: Any + Send + Sync {
    /// A new workspace of a route, or of the kernels without one.
    ///
    /// # Errors
    /// F0911 without memory.
    fn workspace(&self, route: Option<Handle<Route>>) -> Result<Arc<dyn Workspace>, Error>;

    /// Zeroed memory on every rank.
    ///
    /// # Errors
    /// F0911 without memory.
    fn memory(&self, ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Result<Buffer, Error>;

    /// Multiprocessors of a device that the largest launch of an entry can keep busy; `None` on a host.
    fn multiprocessors(&self, entry: &str) -> Option<u32>;
}

/// A workspace on every rank.
pub(crate) trait Workspace: Any + Send + Sync {
    /// A lease for the caller's thread, once what conflicts has ended.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn turn<'s>(&self, slot: &'s Slot, writes: bool) -> Result<Turn<'s>, Error>;

    /// Rows of each group, as a rank knows them.
    ///
    /// # Errors
    /// F0909 for an unknown rank; F0911 if the device has failed.
    fn live(&self, rank: usize) -> Result<Vec<u32>, Error>;

    /// Tuples of a rank that have no pair.
    ///
    /// # Errors
    /// As [`live`](Self::live).
    fn dropped(&self, rank: usize) -> Result<u32, Error>;
}

impl dyn Workspace {
    /// It, if it is of this kind.
    pub(crate) fn kind<T: Workspace>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

impl dyn Loaded {
    /// They, if they are of this kind.
    pub(crate) fn kind<T: Loaded>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

/// The workspace of a program's kernels without a route.
#[derive(Clone)]
pub(crate) struct Home {
    schedule: Arc<Verified<Schedule>>,
    /// Of a program that has kernels without a route.
    space: Option<Arc<dyn Workspace>>,
    /// By tensor handle, of each `tmp`.
    temporaries: Vec<Option<Buffer>>,
}

/// The homes of one stream or graph, one for each program that it has run.
#[derive(Default)]
pub(crate) struct Homes(Mutex<Vec<Home>>);

impl Home {
    pub(crate) fn space(&self) -> Option<&dyn Workspace> {
        self.space.as_deref()
    }

    pub(crate) fn temporaries(&self) -> &[Option<Buffer>] {
        &self.temporaries
    }
}

impl Homes {
    /// The home of a program, made at its first launch; homes of programs that nobody holds any more are freed.
    ///
    /// # Errors
    /// As [`Loaded::workspace`] and [`Loaded::memory`].
    pub(crate) fn of(
        &self,
        schedule: &Arc<Verified<Schedule>>,
        loaded: &dyn Loaded,
        ledger: &Arc<Ledger>,
    ) -> Result<Home, Error> {
        let mut homes = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(home) = homes.iter().find(|h| Arc::ptr_eq(&h.schedule, schedule)) {
            return Ok(home.clone());
        }
        homes.retain(|h| Arc::strong_count(&h.schedule) > 1);
        let memory = |(_, tensor): (_, &Tensor)| {
            let bytes = (tensor.elems * tensor.elem.bytes()) as usize;
            let own = tensor.io == Io::Tmp;
            own.then(|| loaded.memory(ledger, &tensor.name, bytes)).transpose()
        };
        let temporaries = schedule.tensors.iter().map(memory).collect::<Result<_, _>>()?;
        let steps = schedule.entries.iter().flat_map(|e| &e.steps);
        let mut kernels = steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel);
        let plain = kernels.any(|k| k.route.is_none());
        let space = plain.then(|| loaded.workspace(None)).transpose()?;
        let home = Home { schedule: schedule.clone(), space, temporaries };
        homes.push(home.clone());
        Ok(home)
    }
}
