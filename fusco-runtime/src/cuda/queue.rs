//! Streams and graphs of a CUDA world: one driver stream a device, one cooperative launch a device.
//!
//! Whatever is queued is queued while the world's ledger is locked: the kernels of a launch are neighbours in
//! their queues, and all devices see launches in one order. A launch that conflicts with another stream's is queued
//! after an event of that stream.

use super::arguments::arguments;
use super::devices::Devices;
use super::program::DeviceProgram;
use super::workspace::DevicePlan;
use crate::backend::{self, Recorded};
use crate::driver::{Kernel, Mark, Memory, Queue, Replay};
use crate::error::Error;
use crate::launch::Request;
use crate::lease::{Claims, Holder, Ledger, PlanLease, Report, Run, Slot, Used, stream_number};
use crate::mem::{Buffer, DeviceParts};
use crate::workspace::Homes;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// Bytes of the device's `Report { u32 code; i32 rank; i32 peer; i32 slot; i64 expected; i64 seen; }`.
const REPORT_BYTES: usize = 32;

/// Drop order: the queues are waited for before what is in flight, and the reports, are freed.
pub(crate) struct DeviceStream {
    ledger: Arc<Ledger>,
    number: u64,
    devices: Arc<Devices>,
    timeout: Duration,
    queues: Arc<Queues>,
    reports: Arc<Reports>,
    /// What is in flight: its buffers, plans and reports must live.
    flight: Mutex<Vec<Flight>>,
}

/// The driver streams of one stream, one a device.
pub(crate) struct Queues(Vec<Queue>);

/// Something queued since the last synchronisation.
enum Flight {
    Launch(Arc<Request>, Used),
    /// With the plans as of its latest replay.
    Graph(Arc<DeviceGraph>, Used),
    /// Held until it is done; it reports nothing.
    Copy(#[expect(dead_code)] [Buffer; 2]),
}

/// Launches recorded once for each device. Drop order: the replays before the modules and memory that they name.
pub(crate) struct DeviceGraph {
    replays: Vec<Replay>,
    claims: Claims,
    /// Its reports and its home are used by one replay at a time.
    _slot: Slot,
    reports: Arc<Reports>,
    launches: Vec<Request>,
}

/// One report a device.
pub(crate) struct Reports(Vec<Memory>);

/// Held while reports are read: a stream that uses another's plan sees its report before it is zero again, or the
/// plan marked as failed.
static READING: Mutex<()> = Mutex::new(());

impl Deref for Queues {
    type Target = [Queue];

    fn deref(&self) -> &[Queue] {
        &self.0
    }
}

impl Queues {
    pub(crate) fn is_idle(&self) -> bool {
        self.iter().all(Queue::is_idle)
    }

    /// # Errors
    /// F0911 if a device has failed; the others have ended then.
    pub(crate) fn synchronize(&self) -> Result<(), Error> {
        self.iter().map(Queue::synchronize).fold(Ok(()), Result::and)
    }

    /// What is queued from now on begins after all that `others` hold now.
    fn after(&self, others: &Queues) -> Result<(), Error> {
        for (queue, other) in self.iter().zip(others.iter()) {
            if !other.is_idle() {
                let mark = Mark::new(&other.gpu)?;
                other.mark(&mark)?;
                queue.wait(&mark)?;
            }
        }
        Ok(())
    }
}

/// What is in the queues: it ends no later than what they hold now.
struct Queued(Weak<Queues>);

impl Run for Queued {
    fn ended(&self) -> bool {
        self.0.upgrade().is_none_or(|queues| queues.is_idle())
    }

    fn wait(&self) {}

    fn settle(&self) -> Result<(), Error> {
        self.0.upgrade().map_or(Ok(()), |queues| queues.synchronize())
    }
}

impl Drop for DeviceStream {
    fn drop(&mut self) {
        // An error has no one to tell it to; what has failed runs no more.
        let _ = self.queues.synchronize();
    }
}

impl DeviceStream {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        devices: &Arc<Devices>,
        timeout: Duration,
    ) -> Result<DeviceStream, Error> {
        let queues = devices.gpus.iter().map(Queue::new).collect::<Result<_, _>>()?;
        Ok(DeviceStream {
            ledger,
            number: stream_number(),
            reports: Arc::new(Reports::new(devices)?),
            devices: devices.clone(),
            timeout,
            queues: Arc::new(Queues(queues)),
            flight: Mutex::default(),
        })
    }

    fn submit_one(&self, request: Request) -> Result<(), Error> {
        self.check(&request)?;
        let request = Arc::new(request);
        let flight = |used| Flight::Launch(request.clone(), used);
        self.queue(&request.claims, &self.reports, flight, |device, queue| {
            let zeros = &mut Zeros::default();
            enqueue(&request, (device, queue), &self.reports, self.timeout, zeros)
        })
    }

    /// Takes the leases and queues on every device in one step. What was queued is in flight even if a
    /// device did not take its part: the others may wait for it until they time out.
    fn queue(
        &self,
        claims: &Claims,
        reports: &Arc<Reports>,
        flight: impl FnOnce(Used) -> Flight,
        enqueue: impl Fn(usize, &Queue) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let queued = Queued(Arc::downgrade(&self.queues));
        let by = Holder::new(self.number, Arc::new(queued));
        let (mut after, mut used) = (Vec::new(), Used::new());
        let mut leases = self.ledger.lock();
        leases.admit(claims)?;
        leases.commit(claims, &by, &mut after, &mut used);
        for (plan, made) in claims.made(&used) {
            plan.made_by(made, reports.clone());
        }
        let queued = self.after(&after).and_then(|()| self.in_order(enqueue));
        if queued.is_err() {
            leases.failed(&used);
        }
        self.fly(flight(used));
        queued
    }

    fn after(&self, holders: &[Holder]) -> Result<(), Error> {
        let queues = holders.iter().filter_map(|holder| holder.run::<Queued>()?.0.upgrade());
        queues.into_iter().try_for_each(|others| self.queues.after(&others))
    }

    /// Keeps it until the stream is synchronised; a graph that flies already is noted once.
    fn fly(&self, item: Flight) {
        let mut flight = lock(&self.flight);
        if let Flight::Graph(graph, used) = &item
            && let Some(Flight::Graph(_, latest)) = flight
                .iter_mut()
                .find(|f| matches!(f, Flight::Graph(g, _) if Arc::ptr_eq(g, graph)))
        {
            latest.clone_from(used);
            return;
        }
        flight.push(item);
    }

    fn check(&self, request: &Request) -> Result<(), Error> {
        match request.loaded.kind::<DeviceProgram>() {
            Some(program) if Arc::ptr_eq(&program.devices, &self.devices) => Ok(()),
            _ => Err(Error::OtherWorld("a program runs on streams of the world it is bound to")),
        }
    }

    /// Puts the workspaces of launches that failed back to their first state, when no stream uses them.
    fn renew(&self, told: &Told) -> Result<(), Error> {
        let mut leases = self.ledger.lock();
        for (plan, _) in told.used.iter().copied().flatten() {
            leases.settle(plan.slot(), true)?;
        }
        let spaces = told.launches.iter().flat_map(|r| r.spaces());
        spaces.filter_map(|s| s.kind::<DevicePlan>()).try_for_each(|space| space.reset())?;
        for used in &told.used {
            used.iter().for_each(|(plan, made)| plan.failed().store(*made, SeqCst));
            leases.failed(used);
        }
        Ok(())
    }

    /// The reports of what flew, with the launches that write each.
    fn told<'a>(&'a self, flight: &'a [Flight]) -> Vec<Told<'a>> {
        let mut own = Told { reports: &self.reports, launches: Vec::new(), used: Vec::new() };
        let mut all = Vec::new();
        for item in flight {
            match item {
                Flight::Launch(request, used) => {
                    own.launches.push(request);
                    own.used.push(used);
                }
                Flight::Graph(graph, used) => all.push(Told {
                    reports: &graph.reports,
                    launches: graph.launches.iter().collect(),
                    used: vec![used],
                }),
                Flight::Copy(_) => {}
            }
        }
        all.insert(0, own);
        all
    }

    /// Queues on every device; on several, after all launches of the world's other streams. The ledger is locked.
    fn in_order(&self, f: impl Fn(usize, &Queue) -> Result<(), Error>) -> Result<(), Error> {
        if let [queue] = &self.queues[..] {
            return f(0, queue);
        }
        let marks = lock(&self.devices.order);
        for (device, queue) in self.queues.iter().enumerate() {
            queue.wait(&marks[device])?;
            f(device, queue)?;
            queue.mark(&marks[device])?;
        }
        Ok(())
    }
}

impl backend::Queue for DeviceStream {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn submit(&self, _: &Claims, launches: Vec<Request>) -> Result<(), Error> {
        launches.into_iter().try_for_each(|request| self.submit_one(request))
    }

    fn is_idle(&self) -> bool {
        self.queues.is_idle()
    }

    fn synchronize(&self) -> Result<(), Error> {
        // What others queue from now on is theirs to wait for: it stays in flight.
        let leases = self.ledger.lock();
        let flight = std::mem::take(&mut *lock(&self.flight));
        drop(leases);
        if let Err(error) = self.queues.synchronize() {
            lock(&self.flight).extend(flight);
            return Err(error);
        }
        let _reading = lock(&READING);
        let mut first = Ok(());
        for told in self.told(&flight) {
            if let Some(error) = told.reports.take(&told.launches, self.timeout)? {
                self.renew(&told)?;
                first = first.and(Err(error));
            } else if let Some(plan) = told.unmade()? {
                let route = plan.route_name().to_string();
                first = first.and(Err(Error::PlanFailed { route }));
            }
        }
        first
    }

    fn record(&self, launches: &[Request]) -> Result<Option<Box<dyn Recorded>>, Error> {
        launches.iter().try_for_each(|r| self.check(r))?;
        let (mut launches, homes) = (launches.to_vec(), Homes::default());
        launches.iter_mut().try_for_each(|request| request.move_in(&homes))?;
        let slot = Slot::new(&self.ledger);
        let mut claims = Claims::all(launches.iter().map(|r| &r.claims))?;
        claims.memory(&slot, true);
        let reports = Arc::new(Reports::new(&self.devices)?);
        let mut replays = Vec::new();
        for (device, gpu) in self.devices.gpus.iter().enumerate() {
            let queue = Queue::recorder(gpu)?;
            let all = || {
                let mut zeros = Zeros::default();
                launches.iter().try_for_each(|r| {
                    enqueue(r, (device, &queue), &reports, self.timeout, &mut zeros)
                })
            };
            replays.push(queue.record(all)?);
        }
        let graph = DeviceGraph { replays, claims, _slot: slot, reports, launches };
        Ok(Some(Box::new(Arc::new(graph))))
    }

    fn replay(&self, recorded: &dyn Recorded) -> Result<(), Error> {
        let other = Error::OtherWorld("a graph runs on the world that captured it");
        let Some(graph) = recorded.kind::<Arc<DeviceGraph>>() else { return Err(other) };
        if !graph._slot.belongs_to(&self.ledger) {
            return Err(other);
        }
        let flight = |used| Flight::Graph(graph.clone(), used);
        self.queue(&graph.claims, &graph.reports, flight, |device, queue| {
            queue.replay(&graph.replays[device])
        })
    }

    fn mark(&self) -> Result<Box<dyn backend::Mark>, Error> {
        let set = |queue: &Queue| {
            let mark = Mark::timed(&queue.gpu)?;
            queue.mark(&mark)?;
            Ok(mark)
        };
        let marks = self.queues.iter().map(set).collect::<Result<Vec<Mark>, Error>>()?;
        Ok(Box::new(marks))
    }

    fn copy(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        let (sources, targets) = (parts(from)?, parts(to)?);
        self.queue(
            &copies(from, to),
            &self.reports,
            |_| Flight::Copy([from.clone(), to.clone()]),
            |_, queue| {
                let ours = |m: &Memory| m.gpu.ordinal == queue.gpu.ordinal;
                let pairs = sources.iter().zip(targets).filter(|(from, _)| ours(from));
                pairs.into_iter().try_for_each(|(from, to)| queue.copy(from, to))
            },
        )
    }

    /// Every part to the next one's place, the last to the first's; the caller has checked that the parts
    /// match. Each goes with the queue of the device that it leaves.
    fn copy_around(&self, from: &Buffer, to: &Buffer) -> Result<(), Error> {
        let (sources, targets) = (parts(from)?, parts(to)?);
        if sources.len() != self.queues.len() {
            let part = |n| (n, from.bytes(0));
            return Err(Error::CopySizes {
                from: part(sources.len()),
                to: part(self.queues.len()),
            });
        }
        let flight = |_| Flight::Copy([from.clone(), to.clone()]);
        self.queue(&copies(from, to), &self.reports, flight, |device, queue| {
            queue.copy(&sources[device], &targets[(device + 1) % targets.len()])
        })
    }
}

impl Recorded for Arc<DeviceGraph> {}

/// One for each device, in the order of the world's: of several the longest time counts.
impl backend::Mark for Vec<Mark> {
    fn since(&self, earlier: &dyn backend::Mark) -> Result<Duration, Error> {
        let then = earlier.kind::<Vec<Mark>>();
        let then = then.ok_or(Error::OtherWorld("two marks of different worlds"))?;
        let mut longest = Duration::ZERO;
        for (now, then) in self.iter().zip(then) {
            longest = longest.max(now.since(then)?);
        }
        Ok(longest)
    }
}

/// A report of each device, and the launches that may have written it.
struct Told<'a> {
    reports: &'a Arc<Reports>,
    launches: Vec<&'a Request>,
    used: Vec<&'a Used>,
}

impl Told<'_> {
    /// A plan that these launches took, whose launch on another stream has failed.
    fn unmade(&self) -> Result<Option<&PlanLease>, Error> {
        for (plan, made) in self.used.iter().copied().flatten() {
            let own = Arc::as_ptr(self.reports);
            let other = plan.maker(*made).filter(|r| !std::ptr::addr_eq(Arc::as_ptr(r), own));
            let failed = other.map_or(Ok(false), |reports| reports.any())?;
            if failed || plan.failed().load(SeqCst) == *made {
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }
}

impl Reports {
    fn new(devices: &Devices) -> Result<Reports, Error> {
        devices
            .gpus
            .iter()
            .map(|gpu| Memory::zeroed(gpu, REPORT_BYTES))
            .collect::<Result<_, _>>()
            .map(Reports)
    }

    /// The first report, and zero again.
    fn take(&self, launches: &[&Request], timeout: Duration) -> Result<Option<Error>, Error> {
        let mut first = None;
        for memory in &self.0 {
            let mut bytes = [0; REPORT_BYTES];
            memory.peek(0, &mut bytes)?;
            let word = |i: usize| {
                i32::from_ne_bytes([
                    bytes[4 * i],
                    bytes[4 * i + 1],
                    bytes[4 * i + 2],
                    bytes[4 * i + 3],
                ])
            };
            if word(0) == 0 {
                continue;
            }
            memory.clear()?;
            let long = |i: usize| i64::from(word(i) as u32) | (i64::from(word(i + 1)) << 32);
            let seen = Seen {
                code: word(0),
                rank: word(1),
                peer: word(2),
                slot: word(3),
                expected: long(4),
                seen: long(6),
            };
            first = first.or(Some(seen.error(launches, timeout)));
        }
        Ok(first)
    }
}

impl Report for Reports {
    fn any(&self) -> Result<bool, Error> {
        for memory in &self.0 {
            let mut code = [0; 4];
            memory.peek(0, &mut code)?;
            if code != [0; 4] {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A device's report.
struct Seen {
    code: i32,
    rank: i32,
    peer: i32,
    slot: i32,
    expected: i64,
    seen: i64,
}

impl Seen {
    fn error(&self, launches: &[&Request], timeout: Duration) -> Error {
        let mut entries: Vec<_> = launches.iter().map(|r| r.entry().name.as_str()).collect();
        entries.dedup();
        let entry = entries.join(", ");
        let rank = self.rank as usize;
        let (position, k) = (i64::from(self.peer), i64::from(self.slot));
        let planned = launches.iter().find_map(|r| {
            let [route] = r.entry().plans[..] else {
                // Which of several routes it is, the report does not say.
                let name = |p| r.schedule.tensors[r.schedule.routes[p].index].name.as_str();
                let names = Vec::from_iter(r.entry().plans.iter().map(|p| name(*p)));
                let at = format!("position {position}, choice {k}");
                return (!names.is_empty()).then(|| (names.join(" or "), at));
            };
            let route = &r.schedule.routes[route];
            let positions = r.number(&route.positions, rank);
            let tuple = (route.member_of(rank as i64), position, k);
            let tensor = r.schedule.tensors[route.index].name.clone();
            Some((tensor, route.tuples.text(tuple, positions)))
        });
        let (tensor, at) = planned.unwrap_or_else(|| ("index".to_string(), String::new()));
        match self.code {
            906 | 907 if self.peer == -2 => {
                // Of a tensor that a movement read, known by its number.
                let read = launches.iter().find_map(|r| {
                    let used = r.entry().tensors.iter().find(|t| t.index() as i64 == k)?;
                    Some(r.schedule.tensors[*used].name.as_str())
                });
                let read = read.unwrap_or("an index tensor");
                if self.code == 907 {
                    return Error::equal_elements(read, self.expected, self.seen);
                }
                Error::outside(read, self.seen, self.expected)
            }
            906 if self.peer == -3 => Error::OutOfRange("a divisor is 0".to_string()),
            906 => Error::Index { tensor, at, value: self.seen, bound: self.expected },
            907 => Error::NotDistinct(format!(
                "{tensor}[{at}] = {}, as at an earlier choice: `assume distinct` of `{tensor}` is false",
                self.seen
            )),
            403 => Error::Trap { entry, rank, message: format!("{tensor}[{at}] names no group") },
            404 => Error::Trap {
                entry,
                rank,
                message: format!("{tensor}[{at}] is over the cap {}", self.expected),
            },
            _ => Error::Timeout {
                entry,
                rank,
                peer: i64::from(self.peer),
                signal: "counter".to_string(),
                slot: i64::from(self.slot),
                expected: self.expected,
                seen: self.seen,
                seconds: timeout.as_secs_f64(),
            },
        }
    }
}

/// Addresses of counters that launches queued before have left zero.
#[derive(Default)]
struct Zeros(BTreeSet<u64>);

impl Zeros {
    /// Zeroes what the kernel wants zero and is not, and notes what it leaves zero.
    fn prepare(
        &mut self,
        kernel: &Kernel,
        plan: &DevicePlan,
        (device, queue): (usize, &Queue),
    ) -> Result<(), Error> {
        for field in &kernel.zeroed {
            if !self.0.remove(&plan.first(device, field)?) {
                plan.zero(device, field, queue)?;
            }
        }
        for field in &kernel.cleared {
            self.0.insert(plan.first(device, field)?);
        }
        Ok(())
    }
}

/// All kernels of a launch on one device.
fn enqueue(
    request: &Request,
    (device, queue): (usize, &Queue),
    reports: &Reports,
    timeout: Duration,
    zeros: &mut Zeros,
) -> Result<(), Error> {
    let program = request.loaded.kind::<DeviceProgram>();
    let program = program
        .ok_or_else(|| Error::Internal("this program is bound to a host world".to_string()))?;
    for kernel in request.kernels() {
        let compiled = program.kernel(device, &request.entry().name, &kernel.name)?;
        let mut words = arguments(program, request, kernel, device, &reports.0[device], timeout)?;
        if let Some(plan) = request.space(kernel.route)?.kind::<DevicePlan>() {
            zeros.prepare(compiled, plan, (device, queue))?;
        }
        let mut grid = compiled.grid;
        if let Some((route, by)) = kernel.route.zip(compiled.by_position) {
            grid.0 = by.ctas(request.most_positions(route), grid.0);
        }
        queue.launch(compiled, grid, &mut words)?;
    }
    Ok(())
}

/// # Errors
/// F0902 for a buffer that is not on devices.
fn parts(buffer: &Buffer) -> Result<&[Memory], Error> {
    let elsewhere = || Error::BufferWorld { buffer: buffer.name().to_string() };
    buffer.memory::<DeviceParts>().map(|parts| &parts.0[..]).ok_or_else(elsewhere)
}

/// One buffer read, one written.
fn copies(from: &Buffer, to: &Buffer) -> Claims {
    let mut claims = Claims::default();
    claims.memory(from.slot(), false);
    claims.memory(to.slot(), true);
    claims
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
