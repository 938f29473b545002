//! Streams order launches; graphs replay them.

use crate::backend::{Queue, Recorded};
use crate::error::Error;
use crate::event::TimeMark;
use crate::launch::Request;
use crate::lease::{Claims, Ledger};
use crate::mem::Buffer;
use crate::workspace::Homes;
use crate::world::World;
use std::sync::{Arc, Mutex};

/// A queue of launches, in order on every rank, whichever threads submit them.
pub struct Stream {
    kind: Kind,
    /// Workspaces of the programs that ran here.
    homes: Homes,
}

enum Kind {
    Queue(Box<dyn Queue>),
    /// Notes launches instead of running them.
    Recorder(Mutex<Vec<Request>>),
}

/// Launches that were captured, with their arguments: dyns are frozen, index tensors are read anew.
pub struct Graph {
    replay: Replay,
}

enum Replay {
    /// What all of them need, and each.
    List(Claims, Vec<Request>),
    /// By the back end.
    Recorded(Box<dyn Recorded>),
}

impl World {
    /// A queue of launches. Launches of different streams run concurrently, unless they use one plan or one writes
    /// what the other reads or writes: then the one submitted later begins when the other has ended.
    ///
    /// # Errors
    /// F0911 if the machine has no more threads or memory, or the streams of this process have 8,192 ranks of a host.
    pub fn stream(&self) -> Result<Stream, Error> {
        let queue = self.machine().queue(self.ledger(), self.timeout())?;
        Ok(Stream { kind: Kind::Queue(queue), homes: Homes::default() })
    }
}

impl Stream {
    /// Waits for all launches.
    ///
    /// # Errors
    /// The first that a launch reported since the last call: F0906, F0908, F0910. Its plans are new again.
    pub fn synchronize(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Queue(queue) => queue.synchronize(),
            Kind::Recorder(_) => Err(Error::Capturing("cannot be synchronised")),
        }
    }

    /// Whether everything submitted has ended.
    pub fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Queue(queue) => queue.is_idle(),
            Kind::Recorder(_) => true,
        }
    }

    /// Runs `record` with a stream that notes its launches instead of running them.
    ///
    /// A plan that a launch of the graph takes is made by an earlier one of it, or before the replay.
    ///
    /// # Errors
    /// What `record` returns; F0904 if a launch takes a plan that another of them makes for other sizes.
    pub fn capture(
        &self,
        record: impl FnOnce(&Stream) -> Result<(), Error>,
    ) -> Result<Graph, Error> {
        let recorder = Stream { kind: Kind::Recorder(Mutex::default()), homes: Homes::default() };
        record(&recorder)?;
        let Kind::Recorder(launches) = recorder.kind else {
            return Ok(Graph { replay: Replay::List(Claims::default(), Vec::new()) });
        };
        let launches = launches.into_inner().unwrap_or_else(|e| e.into_inner());
        let recorded = match &self.kind {
            Kind::Queue(queue) => queue.record(&launches)?,
            Kind::Recorder(_) => None,
        };
        let replay = match recorded {
            Some(recorded) => Replay::Recorded(recorded),
            None => Replay::List(Claims::all(launches.iter().map(|r| &r.claims))?, launches),
        };
        Ok(Graph { replay })
    }

    /// A point in time: when everything queued here before it has ended. On a host it is awaited now.
    ///
    /// # Errors
    /// F0909 on a stream that captures.
    pub fn mark(&self) -> Result<TimeMark, Error> {
        match &self.kind {
            Kind::Queue(queue) => Ok(TimeMark::new(queue.ledger().clone(), queue.mark()?)),
            Kind::Recorder(_) => Err(Error::Capturing("has no time")),
        }
    }

    /// Copies every part of `from` to the same part of `to`, after what was queued before and what uses them on other
    /// streams. On a host the caller's thread and its helpers do it now.
    ///
    /// # Errors
    /// F0902 if the buffers differ in ranks, bytes or devices, or are another world's; F0909 on a stream that
    /// captures.
    pub fn copy(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        self.check_copy(from, to)?;
        match &self.kind {
            Kind::Queue(queue) => queue.copy(from, to),
            Kind::Recorder(_) => Err(Error::Capturing("takes launches only")),
        }
    }

    /// For benchmarks: as [`copy`](Self::copy) of `World::scratch` memory, but each part goes to the next device, and the
    /// last one's to the first: every link carries bytes both ways at once. On a host as `copy`.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    #[doc(hidden)]
    pub fn copy_around(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        self.check_copy(from, to)?;
        match &self.kind {
            Kind::Queue(queue) => queue.copy_around(from, to),
            Kind::Recorder(_) => Err(Error::Capturing("takes launches only")),
        }
    }

    pub(crate) fn submit(&self, request: Request) -> Result<(), Error> {
        self.check(&request)?;
        let claims = request.claims.clone();
        self.take(&claims, vec![request])
    }

    /// Launches that are checked, as one step.
    fn take(&self, claims: &Claims, mut launches: Vec<Request>) -> Result<(), Error> {
        match &self.kind {
            Kind::Queue(queue) => {
                launches.iter_mut().try_for_each(|request| request.move_in(&self.homes))?;
                queue.submit(claims, launches)
            }
            Kind::Recorder(noted) => {
                noted.lock().unwrap_or_else(|e| e.into_inner()).extend(launches);
                Ok(())
            }
        }
    }

    fn ledger(&self) -> Option<&Arc<Ledger>> {
        match &self.kind {
            Kind::Queue(queue) => Some(queue.ledger()),
            Kind::Recorder(_) => None,
        }
    }

    /// # Errors
    /// F0909 for a program of another world.
    fn check(&self, request: &Request) -> Result<(), Error> {
        match self.ledger() {
            Some(own) if !Arc::ptr_eq(own, &request.ledger) => {
                Err(Error::OtherWorld("a program runs on streams of the world it is bound to"))
            }
            _ => Ok(()),
        }
    }

    fn check_copy(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        alike(from, to)?;
        let ours = |b: &Buffer| self.ledger().is_none_or(|own| b.slot().belongs_to(own));
        match [from, to].into_iter().find(|b| !ours(b)) {
            Some(b) => Err(Error::BufferWorld { buffer: b.name().to_string() }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Queue(queue) => queue.name(),
            Kind::Recorder(_) => "capture",
        };
        f.debug_struct("Stream").field("kind", &kind).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

fn alike(from: &Buffer, to: &Buffer) -> Result<(), Error> {
    if from.ranks() != to.ranks() || from.bytes(0) != to.bytes(0) {
        let size = |b: &Buffer| (b.ranks(), b.bytes(0));
        return Err(Error::CopySizes { from: size(from), to: size(to) });
    }
    Ok(())
}

impl Graph {
    /// Queues the captured launches again, as one: launches of other threads come before or after all of them.
    ///
    /// # Errors
    /// F0904 or F0909 if a plan is not as they need it, or the stream is another world's; nothing is started then.
    pub fn launch(&self, stream: &Stream) -> Result<(), Error> {
        match (&self.replay, &stream.kind) {
            (Replay::List(claims, launches), _) => {
                launches.iter().try_for_each(|request| stream.check(request))?;
                stream.take(claims, launches.clone())
            }
            (Replay::Recorded(recorded), Kind::Queue(queue)) => queue.replay(&**recorded),
            (Replay::Recorded(_), Kind::Recorder(_)) => {
                Err(Error::OtherWorld("a graph of a CUDA world needs a stream of that world"))
            }
        }
    }
}
