//! Host streams: a persistent thread a rank, each with a queue of launches.
//!
//! A launch is queued to every rank at once. When a rank fails, the others stop at their next wait and
//! what is queued is skipped; `synchronize` then puts the workspaces concerned back to their first state.

use super::code::Resolver;
use super::run::{Runner, Stop, advance};
use super::wait::Watch;
use crate::engine::{Error, Request, Space};
use crate::mem::Busy;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) struct HostStream {
    queues: Vec<Sender<Arc<Job>>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    timeout: Duration,
    /// More ranks than cores.
    crowded: bool,
    abort: AtomicBool,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// Launches times ranks not yet ended.
    outstanding: usize,
    error: Option<Error>,
    /// Workspaces of launches that failed or were skipped.
    broken: Vec<Space>,
}

/// A launch in flight.
struct Job {
    request: Request,
    _busy: Vec<Busy>,
}

impl HostStream {
    pub(crate) fn new(ranks: usize, timeout: Duration) -> Result<HostStream, Error> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let shared = Shared {
            timeout,
            crowded: ranks > cores,
            abort: AtomicBool::new(false),
            state: Mutex::default(),
            idle: Condvar::new(),
        };
        let mut stream =
            HostStream { queues: Vec::new(), threads: Vec::new(), shared: Arc::new(shared) };
        for rank in 0..ranks {
            let (send, receive) = channel();
            let shared = stream.shared.clone();
            let thread = std::thread::Builder::new().name(format!("fusco rank {rank}"));
            let thread = thread.spawn(move || serve(rank, &receive, &shared));
            stream.threads.push(
                thread.map_err(|e| Error::Machine(format!("no thread for rank {rank}: {e}")))?,
            );
            stream.queues.push(send);
        }
        Ok(stream)
    }

    /// # Errors
    /// F0909 for a program of another world.
    pub(crate) fn submit(&self, request: &Request) -> Result<(), Error> {
        if request.program.is_some() || request.schedule.ranks != self.queues.len() as i64 {
            return Err(Error::plan(
                "a program runs on streams of the world it is bound to".to_string(),
            ));
        }
        for plan in request.spaces().filter_map(Space::host) {
            plan.submitted(request.entry);
        }
        let busy = request.buffers.iter().flatten().map(|b| b.hold()).collect();
        let job = Arc::new(Job { request: request.clone(), _busy: busy });
        lock(&self.shared.state).outstanding += self.queues.len();
        for queue in &self.queues {
            // A rank's thread ends only when the stream is dropped, so the queue is open.
            let _ = queue.send(job.clone());
        }
        Ok(())
    }

    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.shared.state).outstanding == 0
    }

    /// Waits for everything submitted and says when it had ended; errors stay for `synchronize`.
    pub(crate) fn ended(&self) -> Instant {
        let mut state = lock(&self.shared.state);
        while state.outstanding > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        Instant::now()
    }

    /// Waits for everything submitted; the first error of a launch since the last call.
    pub(crate) fn synchronize(&self) -> Result<(), Error> {
        let mut state = lock(&self.shared.state);
        while state.outstanding > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state.broken.drain(..).filter_map(|s| s.host().cloned()).for_each(|plan| plan.reset());
        self.shared.abort.store(false, SeqCst);
        state.error.take().map_or(Ok(()), Err)
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The life of a rank's thread.
fn serve(rank: usize, queue: &Receiver<Arc<Job>>, shared: &Shared) {
    for job in queue {
        // A panic must not leave peers waiting: it is an error of this rank like any other.
        let run = std::panic::AssertUnwindSafe(|| execute(rank, &job.request, shared));
        let ended = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Stop::Error(panicked(rank, &job.request))));
        let mut state = lock(&shared.state);
        if let Err(stop) = ended {
            shared.abort.store(true, SeqCst);
            state.broken.extend(job.request.spaces().cloned());
            if let (Stop::Error(error), None) = (stop, &state.error) {
                state.error = Some(error);
            }
        }
        drop(state);
        drop(job);
        lock(&shared.state).outstanding -= 1;
        shared.idle.notify_all();
    }
}

fn execute(rank: usize, request: &Request, shared: &Shared) -> Result<(), Stop> {
    let entry = request.entry();
    for kernel in request.kernels() {
        let watch = Watch {
            entry: &entry.name,
            me: rank,
            timeout: shared.timeout,
            abort: &shared.abort,
            crowded: shared.crowded,
        };
        watch.check()?;
        let code = Resolver { request, me: rank, chunk: kernel.tuning.chunk }.kernel(kernel)?;
        advance(&code, rank);
        Runner::new(rank, request.schedule.vars.len(), watch).kernel(&code)?;
    }
    Ok(())
}

fn panicked(rank: usize, request: &Request) -> Error {
    let message = "internal error: the host back end left a table's range".to_string();
    Error::Trap { entry: request.entry().name.clone(), rank, message }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
