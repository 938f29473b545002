//! Streams and graphs of a CUDA world: one driver stream a device, one cooperative launch a device.

use super::arguments::arguments;
use super::driver::{Kernel, Mark, Memory, Queue, Replay};
use super::{DevicePlan, DeviceProgram, Devices};
use crate::engine::{Error, Request, Space};
use crate::mem::Buffer;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes of the device's `Report { u32 code; i32 rank; i32 peer; i32 slot; i64 expected; i64 seen; }`.
const REPORT_BYTES: usize = 32;

pub(crate) struct DeviceStream {
    devices: Arc<Devices>,
    timeout: Duration,
    queues: Vec<Queue>,
    reports: Reports,
    /// What is in flight: its buffers, plans and reports must live.
    flight: Mutex<Vec<Flight>>,
}

/// Something queued since the last synchronisation.
enum Flight {
    Launch(Box<Request>),
    Graph(Arc<DeviceGraph>),
    /// Held until it is done; it reports nothing.
    Copy(#[expect(dead_code)] [Buffer; 2]),
}

/// Launches recorded once for each device.
pub(crate) struct DeviceGraph {
    launches: Vec<Request>,
    replays: Vec<Replay>,
    reports: Reports,
}

/// One report a device.
struct Reports(Vec<Memory>);

impl DeviceStream {
    pub(crate) fn new(devices: &Arc<Devices>, timeout: Duration) -> Result<DeviceStream, Error> {
        let queues = devices.gpus.iter().map(Queue::new).collect::<Result<_, _>>()?;
        Ok(DeviceStream {
            reports: Reports::new(devices)?,
            devices: devices.clone(),
            timeout,
            queues,
            flight: Mutex::default(),
        })
    }

    /// # Errors
    /// F0909 for a program of another world.
    pub(crate) fn submit(&self, request: Request) -> Result<(), Error> {
        self.check(&request)?;
        self.in_order(|device, queue| {
            let zeros = &mut Zeros::default();
            enqueue(&request, (device, queue), &self.reports, self.timeout, zeros)
        })?;
        lock(&self.flight).push(Flight::Launch(Box::new(request)));
        Ok(())
    }

    pub(crate) fn record(&self, launches: Vec<Request>) -> Result<DeviceGraph, Error> {
        launches.iter().try_for_each(|r| self.check(r))?;
        let reports = Reports::new(&self.devices)?;
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
        Ok(DeviceGraph { launches, replays, reports })
    }

    pub(crate) fn replay(&self, graph: &Arc<DeviceGraph>) -> Result<(), Error> {
        if graph.replays.len() != self.queues.len() {
            return Err(Error::plan("a graph runs on the world that captured it".to_string()));
        }
        self.in_order(|device, queue| queue.replay(&graph.replays[device]))?;
        let mut flight = lock(&self.flight);
        if !flight.iter().any(|f| matches!(f, Flight::Graph(g) if Arc::ptr_eq(g, graph))) {
            flight.push(Flight::Graph(graph.clone()));
        }
        Ok(())
    }

    /// A timed mark in the queue of each device.
    pub(crate) fn mark(&self) -> Result<Vec<Mark>, Error> {
        let set = |queue: &Queue| {
            let mark = Mark::timed(&queue.gpu)?;
            queue.mark(&mark)?;
            Ok(mark)
        };
        self.queues.iter().map(set).collect()
    }

    /// Part for part, each on its device; the caller has checked that the parts match.
    pub(crate) fn copy(
        &self,
        (from, sources): (&Buffer, &[Memory]),
        (to, targets): (&Buffer, &[Memory]),
    ) -> Result<(), Error> {
        self.in_order(|_, queue| {
            let ours = |m: &Memory| m.gpu.ordinal == queue.gpu.ordinal;
            let pairs = sources.iter().zip(targets).filter(|(from, _)| ours(from));
            pairs.into_iter().try_for_each(|(from, to)| queue.copy(from, to))
        })?;
        lock(&self.flight).push(Flight::Copy([from.clone(), to.clone()]));
        Ok(())
    }

    /// Every part to the next one's place, the last to the first's; the caller has checked that the parts
    /// match. Each goes with the queue of the device that it leaves.
    pub(crate) fn copy_around(
        &self,
        (from, sources): (&Buffer, &[Memory]),
        (to, targets): (&Buffer, &[Memory]),
    ) -> Result<(), Error> {
        if sources.len() != self.queues.len() {
            return Err(Error::buffer("copies around take one part a device".to_string()));
        }
        self.in_order(|device, queue| {
            queue.copy(&sources[device], &targets[(device + 1) % targets.len()])
        })?;
        lock(&self.flight).push(Flight::Copy([from.clone(), to.clone()]));
        Ok(())
    }

    fn check(&self, request: &Request) -> Result<(), Error> {
        match &request.program {
            Some(program) if Arc::ptr_eq(&program.devices, &self.devices) => Ok(()),
            _ => Err(Error::plan(
                "a program runs on streams of the world it is bound to".to_string(),
            )),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queues.iter().all(Queue::is_idle)
    }

    /// Waits for everything queued; the first report of a device. Its plans are new again then.
    pub(crate) fn synchronize(&self) -> Result<(), Error> {
        self.queues.iter().try_for_each(Queue::synchronize)?;
        let flight = std::mem::take(&mut *lock(&self.flight));
        let mut first = Ok(());
        for (reports, launches) in self.reports_of(&flight) {
            if let Some(error) = reports.take(&launches, self.timeout)? {
                let spaces = launches.iter().flat_map(|r| r.spaces());
                spaces.filter_map(Space::device).try_for_each(|space| space.reset())?;
                first = first.and(Err(error));
            }
        }
        first
    }

    fn reports_of<'a>(&'a self, flight: &'a [Flight]) -> Vec<(&'a Reports, Vec<&'a Request>)> {
        let mut own = Vec::new();
        let mut all = Vec::new();
        for item in flight {
            match item {
                Flight::Launch(request) => own.push(&**request),
                Flight::Graph(graph) => all.push((&graph.reports, graph.launches.iter().collect())),
                Flight::Copy(_) => {}
            }
        }
        all.insert(0, (&self.reports, own));
        all
    }

    /// Queues on every device; on several, after all launches of the world's other streams.
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
        let planned = launches.iter().find_map(|r| {
            r.entry()
                .plans
                .first()
                .map(|route| &r.schedule.routes[*route].index)
                .map(|t| &r.schedule.tensors[*t].name)
        });
        let tensor = planned.cloned().unwrap_or_else(|| "index".to_string());
        let (position, k) = (i64::from(self.peer), i64::from(self.slot));
        match self.code {
            906 if self.peer == -2 => {
                // Of a tensor that a movement read, known by its number.
                let read = launches.iter().find_map(|r| {
                    let used = r.entry().tensors.iter().find(|t| t.index() as i64 == k)?;
                    Some(r.schedule.tensors[*used].name.as_str())
                });
                let read = read.unwrap_or("an index tensor");
                Error::index(format!(
                    "an index read from `{read}` is {}, outside 0..{}",
                    self.seen, self.expected
                ))
            }
            906 => {
                Error::Index { tensor, rank, position, k, value: self.seen, bound: self.expected }
            }
            403 => Error::Trap {
                entry,
                rank,
                message: format!("{tensor}[s={rank}, t={position}, k={k}] names no group"),
            },
            404 => Error::Trap {
                entry,
                rank,
                message: format!(
                    "{tensor}[s={rank}, t={position}, k={k}] is over the cap {}",
                    self.expected
                ),
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
    let program: &DeviceProgram = request
        .program
        .as_deref()
        .ok_or_else(|| Error::plan("this program is bound to a host world".to_string()))?;
    for kernel in request.kernels() {
        let compiled = program.kernel(device, &request.entry().name, &kernel.name)?;
        let mut words = arguments(program, request, kernel, device, &reports.0[device], timeout)?;
        if let Some(plan) = request.space(kernel.route)?.device() {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
