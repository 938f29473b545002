//! Host streams: a persistent thread a rank, each with a queue of launches.
//!
//! A launch is queued to every rank while the world's ledger is locked, so that all ranks see one order. When a
//! rank fails, the others stop at their next wait and what is queued is skipped until `synchronize`; the rank
//! that leaves a failed launch last puts its workspaces back to their first state.

use super::code::Resolver;
use super::plan::HostPlan;
use super::run::{Runner, Stop, advance};
use super::wait::Watch;
use crate::backend::{Mark, Queue};
use crate::error::Error;
use crate::launch::Request;
use crate::lease::{self, Claims, Holder, Ledger, Ticket, Used, stream_number};
use crate::mem::{self, Buffer};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) struct HostStream {
    ledger: Arc<Ledger>,
    number: u64,
    queues: Vec<Sender<Arc<Job>>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Given back after the threads have ended.
    _seats: Seats,
}

/// Rank threads at most, of all streams of a process. Linux maps up to four areas for a thread and gives a
/// process 65,530; a thread that begins without its last one ends the process, where nothing can catch it.
const MOST_THREADS: usize = 8192;

/// Rank threads that are taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// So many of [`MOST_THREADS`], until they are dropped.
struct Seats(usize);

impl Seats {
    fn take(threads: usize) -> Result<Seats, Error> {
        let room = |taken: usize| Some(taken.checked_add(threads)?).filter(|n| *n <= MOST_THREADS);
        match TAKEN.fetch_update(Relaxed, Relaxed, room) {
            Ok(_) => Ok(Seats(threads)),
            Err(taken) => Err(Error::NoThreads(format!(
                "no threads for {threads} ranks: streams of this process have {taken} of {MOST_THREADS}; take fewer ranks, or drop streams"
            ))),
        }
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Relaxed);
    }
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
}

/// A launch in flight.
struct Job {
    request: Request,
    /// What conflicts on other streams.
    after: Vec<Holder>,
    used: Used,
    ticket: Arc<Ticket>,
    /// A rank has failed, or skipped it.
    failed: AtomicBool,
}

impl HostStream {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        ranks: usize,
        timeout: Duration,
    ) -> Result<HostStream, Error> {
        let seats = Seats::take(ranks)?;
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let shared = Shared {
            timeout,
            crowded: ranks > cores,
            abort: AtomicBool::new(false),
            state: Mutex::default(),
            idle: Condvar::new(),
        };
        let mut stream = HostStream {
            ledger,
            number: stream_number(),
            queues: Vec::new(),
            threads: Vec::new(),
            shared: Arc::new(shared),
            _seats: seats,
        };
        for rank in 0..ranks {
            let (send, receive) = channel();
            let shared = stream.shared.clone();
            let thread = std::thread::Builder::new().name(format!("fusco rank {rank}"));
            let thread = thread.spawn(move || serve(rank, &receive, &shared));
            stream.threads.push(
                thread.map_err(|e| Error::NoThreads(format!("no thread for rank {rank}: {e}")))?,
            );
            stream.queues.push(send);
        }
        Ok(stream)
    }

    /// Waits for everything submitted and says when it had ended; errors stay for `synchronize`.
    pub(crate) fn ended(&self) -> Instant {
        let mut state = lock(&self.shared.state);
        while state.outstanding > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        Instant::now()
    }
}

impl Queue for HostStream {
    fn name(&self) -> &'static str {
        "host"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn submit(&self, claims: &Claims, launches: Vec<Request>) -> Result<(), Error> {
        let ranks = self.queues.len();
        let mut leases = self.ledger.lock();
        leases.admit(claims)?;
        // What a launch names is also held by the caller, so nothing is freed while the ledger is locked.
        for mut request in launches {
            let ticket = Arc::new(Ticket::new(ranks));
            let holder = Holder::new(self.number, ticket.clone());
            let (mut after, mut used) = (Vec::new(), Used::new());
            request.number = leases.commit(&request.claims, &holder, &mut after, &mut used);
            for plan in plans(&request) {
                plan.submitted(request.entry, request.number);
            }
            let failed = AtomicBool::new(false);
            let job = Arc::new(Job { request, after, used, ticket, failed });
            lock(&self.shared.state).outstanding += ranks;
            for queue in &self.queues {
                // A rank's thread ends only when the stream is dropped, so the queue is open.
                let _ = queue.send(job.clone());
            }
        }
        Ok(())
    }

    /// By the caller's thread and its helpers.
    fn copy(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        self.ended();
        let _held = lease::hold(&self.ledger, &[(from.slot(), false), (to.slot(), true)]);
        mem::copy(from.here(), to.here());
        Ok(())
    }

    fn is_idle(&self) -> bool {
        lock(&self.shared.state).outstanding == 0
    }

    fn synchronize(&self) -> Result<(), Error> {
        let mut state = lock(&self.shared.state);
        while state.outstanding > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        self.shared.abort.store(false, SeqCst);
        state.error.take().map_or(Ok(()), Err)
    }

    fn mark(&self) -> Result<Box<dyn Mark>, Error> {
        Ok(Box::new(self.ended()))
    }
}

/// A mark of a host is awaited when it is set.
impl Mark for Instant {
    fn since(&self, earlier: &dyn Mark) -> Result<Duration, Error> {
        let then = earlier.kind::<Instant>();
        let then = then.ok_or(Error::OtherWorld("two marks of different worlds"))?;
        Ok(self.saturating_duration_since(*then))
    }
}

/// The workspaces of a launch.
fn plans(request: &Request) -> impl Iterator<Item = &Arc<HostPlan>> {
    request.spaces().filter_map(|space| space.kind())
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
        // Also before it is skipped: who waits for this launch waits for these through it.
        job.after.iter().for_each(Holder::wait);
        // A panic must not leave peers waiting: it is an error of this rank like any other.
        let run = std::panic::AssertUnwindSafe(|| {
            job.check_plans()?;
            execute(rank, &job.request, shared)
        });
        let ended = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Stop::Error(panicked(rank, &job.request))));
        let mut state = lock(&shared.state);
        if let Err(stop) = ended {
            shared.abort.store(true, SeqCst);
            job.failed.store(true, SeqCst);
            if let (Stop::Error(error), None) = (stop, &state.error) {
                state.error = Some(error);
            }
        }
        drop(state);
        job.leave();
        drop(job);
        lock(&shared.state).outstanding -= 1;
        shared.idle.notify_all();
    }
}

impl Job {
    /// # Errors
    /// F0909 if the launch that made a plan has failed, on another stream.
    fn check_plans(&self) -> Result<(), Stop> {
        match self.used.iter().find(|(plan, made)| plan.failed().load(SeqCst) == *made) {
            Some((plan, _)) => {
                let route = plan.route_name().to_string();
                Err(Stop::Error(Error::PlanFailed { route }))
            }
            None => Ok(()),
        }
    }

    /// A rank has ended; the last one ends the launch.
    fn leave(&self) {
        if !self.ticket.leave() {
            return;
        }
        if self.failed.load(SeqCst) {
            plans(&self.request).for_each(|plan| plan.reset());
            for (plan, made) in &self.used {
                plan.failed().store(*made, SeqCst);
            }
            self.request.ledger.lock().failed(&self.used);
        }
        self.ticket.end();
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
        let code = Resolver { request, me: rank, chunk: kernel.tuning.chunk() }.kernel(kernel)?;
        advance(&code, rank);
        Runner::new(rank, request.number, request.schedule.vars.len(), watch).kernel(&code)?;
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
