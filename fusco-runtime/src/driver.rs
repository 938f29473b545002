//! The few driver calls that the engine makes, each with its context current.
//!
//! Drop order: a `Memory`, `Queue`, `Kernel` or `Replay` holds its `Gpu`, whose primary context is
//! released last.

use crate::error::Error;
use cudarc::driver::{DriverError, result, sys};
use fusco_dsl::cuda::{Architecture, ByPosition};
use std::ffi::{CString, c_void};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Where the memory of a rank begins, on any back end: at a multiple of so many bytes.
pub(crate) const ALIGN: u64 = 4096;

/// A device with its primary context.
pub(crate) struct Gpu {
    pub ordinal: i32,
    pub sms: u32,
    pub architecture: &'static Architecture,
    /// Shared memory of a CTA, at most, bytes.
    pub shared: i64,
    device: sys::CUdevice,
    context: sys::CUcontext,
    /// For reads that must not wait for launches.
    aside: sys::CUstream,
}

// SAFETY: driver handles may be used from any thread; every call makes its context current first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver locks its own state.
unsafe impl Sync for Gpu {}

/// What is called here, under its names in the library. A call of one that is missing would panic.
const SYMBOLS: [&str; 43] = [
    "cuCtxEnablePeerAccess",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceCanAccessPeer",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime_v2",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchCooperativeKernel",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoH_v2",
    "cuMemcpyHtoD_v2",
    "cuMemsetD2D32Async",
    "cuMemsetD8_v2",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuOccupancyMaxActiveBlocksPerMultiprocessor",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamQuery",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// F0911 unless the driver's library is there and has all that is called; `absent` says what to do
/// without one.
fn library(absent: &str) -> Result<(), Error> {
    static MISSING: OnceLock<Option<&str>> = OnceLock::new();
    // SAFETY: only looks for the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::NoDriver(absent.to_string()));
    }
    let missing = MISSING.get_or_init(|| {
        // SAFETY: the library is there. Its functions are looked up, not called.
        let has = |name: &&str| unsafe {
            sys::culib().get::<unsafe extern "C" fn()>(format!("{name}\0").as_bytes()).is_ok()
        };
        SYMBOLS.into_iter().find(|name| !has(name))
    });
    missing.map_or(Ok(()), |name| {
        Err(Error::NoDriver(format!(
            "libcuda has no `{name}`: the CUDA driver is too old, or is none"
        )))
    })
}

/// Name and multiprocessors of each device of this machine.
///
/// # Errors
/// F0911 without a driver or a device.
pub fn devices() -> Result<Vec<String>, Error> {
    (0..count()?).map(|ordinal| Ok(Gpu::open(ordinal)?.describe())).collect()
}

/// Devices of this machine.
pub(crate) fn count() -> Result<i32, Error> {
    library("no CUDA driver: libcuda is not installed")?;
    result::init().and_then(|()| result::device::get_count()).map_err(|e| told(e, "no device"))
}

impl Gpu {
    pub(crate) fn open(ordinal: i32) -> Result<Arc<Gpu>, Error> {
        library(
            "no CUDA driver: libcuda is not installed; use a host world, or see `fuscoc doctor`",
        )?;
        let fail = |e: DriverError| told(e, &format!("device {ordinal} cannot be opened"));
        result::init().map_err(fail)?;
        let device = result::device::get(ordinal).map_err(fail)?;
        use sys::CUdevice_attribute_enum as Attribute;
        let attribute = |a| {
            // SAFETY: `device` came from the driver.
            unsafe { result::device::get_attribute(device, a) }.map_err(fail)
        };
        let sms = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let shared = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let architecture = Architecture::of_device(major, minor).ok_or_else(|| {
            let known: Vec<&str> = Architecture::names().collect();
            Error::Architecture { ordinal, major, minor, known: known.join(", ") }
        })?;
        // SAFETY: `device` is valid; released in `drop`.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(fail)?;
        let mut gpu = Gpu {
            ordinal,
            sms,
            architecture,
            shared: i64::from(shared),
            device,
            context,
            aside: std::ptr::null_mut(),
        };
        gpu.enter()?;
        gpu.aside =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(fail)?;
        Ok(Arc::new(gpu))
    }

    pub(crate) fn describe(&self) -> String {
        format!("device {}: {}, {} multiprocessors", self.ordinal, self.architecture.name, self.sms)
    }

    pub(crate) fn enter(&self) -> Result<(), Error> {
        // SAFETY: the context is retained while `self` lives.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| told(e, "no context"))
    }

    /// Lets this device read and write `peer`'s memory.
    pub(crate) fn reach(&self, peer: &Gpu) -> Result<(), Error> {
        self.enter()?;
        let mut can = 0;
        // SAFETY: both devices are valid, `can` is writable.
        let asked =
            unsafe { sys::cuDeviceCanAccessPeer(&mut can, self.device, peer.device) }.result();
        asked.map_err(|e| told(e, "peer access"))?;
        if can == 0 {
            return Err(Error::Unreachable { from: self.ordinal, to: peer.ordinal });
        }
        // SAFETY: the peer's context is retained while it lives.
        match unsafe { sys::cuCtxEnablePeerAccess(peer.context, 0) } {
            sys::CUresult::CUDA_SUCCESS | sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED => {
                Ok(())
            }
            other => Err(told(
                DriverError(other),
                &format!("peer access from device {} to {}", self.ordinal, peer.ordinal),
            )),
        }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        let _ = self.enter();
        // SAFETY: created in `open`; nothing that uses them outlives `self`.
        unsafe {
            if !self.aside.is_null() {
                let _ = result::stream::destroy(self.aside);
            }
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Zeroed device memory, aligned as host memory is.
pub(crate) struct Memory {
    pub gpu: Arc<Gpu>,
    /// What the driver gave: `at` is the first aligned address in it.
    base: sys::CUdeviceptr,
    pub at: sys::CUdeviceptr,
    pub bytes: usize,
}

impl Memory {
    pub(crate) fn zeroed(gpu: &Arc<Gpu>, bytes: usize) -> Result<Memory, Error> {
        gpu.enter()?;
        let fail = |e| told(e, &format!("{bytes} bytes on device {}", gpu.ordinal));
        // SAFETY: freed in `drop`; zeroed before anyone sees it.
        let base = unsafe { result::malloc_sync(bytes.max(1) + ALIGN as usize) }.map_err(fail)?;
        let at = base.next_multiple_of(ALIGN);
        let memory = Memory { gpu: gpu.clone(), base, at, bytes };
        memory.clear()?;
        Ok(memory)
    }

    /// Zeroes it, after the launches of its device.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: the allocation has `bytes` bytes from `at`.
        let done = unsafe { result::memset_d8_sync(self.at, 0, self.bytes) }
            .and_then(|()| result::ctx::synchronize());
        done.map_err(|e| told(e, "memset"))
    }

    /// After the launches of its device.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        assert!(offset + bytes.len() <= self.bytes);
        self.gpu.enter()?;
        // SAFETY: in range by the assertion; synchronous.
        unsafe { result::memcpy_htod_sync(self.at + offset as u64, bytes) }
            .map_err(|e| told(e, "upload"))
    }

    /// After the launches of its device.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        assert!(offset + out.len() <= self.bytes);
        self.gpu.enter()?;
        // SAFETY: in range by the assertion; synchronous.
        unsafe { result::memcpy_dtoh_sync(out, self.at + offset as u64) }
            .map_err(|e| told(e, "download"))
    }

    /// Without waiting for launches.
    pub(crate) fn peek(&self, offset: usize, out: &mut [u8]) -> Result<(), Error> {
        assert!(offset + out.len() <= self.bytes);
        self.gpu.enter()?;
        // SAFETY: in range by the assertion; `out` outlives the copy, which is awaited.
        let copied = unsafe {
            result::memcpy_dtoh_async(out, self.at + offset as u64, self.gpu.aside)
                .and_then(|()| result::stream::synchronize(self.gpu.aside))
        };
        copied.map_err(|e| told(e, "download"))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: allocated in `zeroed`; freeing waits for the device's work.
            let _ = unsafe { result::free_sync(self.base) };
        }
    }
}

/// A stream of one device.
pub(crate) struct Queue {
    pub gpu: Arc<Gpu>,
    raw: sys::CUstream,
}

// SAFETY: as for `Gpu`.
unsafe impl Send for Queue {}
// SAFETY: as for `Gpu`.
unsafe impl Sync for Queue {}

impl Queue {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<Queue, Error> {
        Queue::create(gpu, result::stream::StreamKind::Default)
    }

    /// A stream to record on: uploads and downloads of other threads do not disturb it.
    pub(crate) fn recorder(gpu: &Arc<Gpu>) -> Result<Queue, Error> {
        Queue::create(gpu, result::stream::StreamKind::NonBlocking)
    }

    fn create(gpu: &Arc<Gpu>, kind: result::stream::StreamKind) -> Result<Queue, Error> {
        gpu.enter()?;
        let raw = result::stream::create(kind).map_err(|e| told(e, "stream"))?;
        Ok(Queue { gpu: gpu.clone(), raw })
    }

    pub(crate) fn synchronize(&self) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.raw) }
            .map_err(|e| told(e, &format!("device {}", self.gpu.ordinal)))
    }

    pub(crate) fn is_idle(&self) -> bool {
        // SAFETY: the stream lives.
        self.gpu.enter().is_ok()
            && unsafe { sys::cuStreamQuery(self.raw) } == sys::CUresult::CUDA_SUCCESS
    }

    /// One launch of `grid` CTAs, those of a rank by ranks. `arguments`: each one kernel parameter's bytes.
    pub(crate) fn launch(
        &self,
        kernel: &Kernel,
        grid: (u32, u32),
        arguments: &mut [Vec<u64>],
    ) -> Result<(), Error> {
        self.gpu.enter()?;
        let mut addresses: Vec<*mut c_void> =
            arguments.iter_mut().map(|a| a.as_mut_ptr().cast()).collect();
        // SAFETY: the parameters are those of the kernel's contract, in its order; each lives until the call
        // returns, which copies them.
        let done = unsafe {
            let launch = match kernel.cooperative {
                true => result::launch_cooperative_kernel,
                false => result::launch_kernel,
            };
            launch(
                kernel.raw,
                (grid.0, grid.1, 1),
                (kernel.threads, 1, 1),
                kernel.shared_bytes,
                self.raw,
                &mut addresses,
            )
        };
        done.map_err(|e| {
            told(
                e,
                &format!(
                    "launch of `{}` with {} x {} CTAs of {} threads",
                    kernel.name, grid.0, grid.1, kernel.threads
                ),
            )
        })
    }

    /// Records what `f` queues here, to be launched again.
    pub(crate) fn record(&self, f: impl FnOnce() -> Result<(), Error>) -> Result<Replay, Error> {
        self.gpu.enter()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream lives.
        unsafe { result::stream::begin_capture(self.raw, mode) }.map_err(|e| told(e, "capture"))?;
        let queued = f();
        // SAFETY: capture began above; the graph is destroyed once instantiated.
        let graph =
            unsafe { result::stream::end_capture(self.raw) }.map_err(|e| told(e, "capture"));
        let graph = graph?;
        if let Err(error) = queued {
            // SAFETY: what was captured before the error; nothing was made from it.
            let _ = unsafe { result::graph::destroy(graph) };
            return Err(error);
        }
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
        // SAFETY: as above.
        let made = unsafe {
            let made = result::graph::instantiate(graph, flags);
            let _ = result::graph::destroy(graph);
            made
        };
        Ok(Replay { gpu: self.gpu.clone(), raw: made.map_err(|e| told(e, "graph"))? })
    }

    pub(crate) fn replay(&self, replay: &Replay) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: both live, and belong to this device.
        unsafe { result::graph::launch(replay.raw, self.raw) }.map_err(|e| told(e, "graph launch"))
    }

    pub(crate) fn wait(&self, mark: &Mark) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: both live.
        unsafe {
            result::stream::wait_event(
                self.raw,
                mark.raw,
                sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT,
            )
        }
        .map_err(|e| told(e, "event"))
    }

    pub(crate) fn mark(&self, mark: &Mark) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: both live, in one context.
        unsafe { result::event::record(mark.raw, self.raw) }.map_err(|e| told(e, "event"))
    }

    /// Zeroes `bytes` bytes, whole words, at each of `rows` places that are `pitch` bytes apart.
    pub(crate) fn zero(
        &self,
        at: u64,
        pitch: usize,
        (bytes, rows): (usize, usize),
    ) -> Result<(), Error> {
        self.gpu.enter()?;
        // SAFETY: the caller's memory has them, and lives until the queue is synchronised.
        let done = unsafe { sys::cuMemsetD2D32Async(at, pitch, 0, bytes / 4, rows, self.raw) };
        done.result().map_err(|e| told(e, "memset"))
    }

    /// All of `from` into `to`, which is as long, each on this queue's device or one that it reaches.
    pub(crate) fn copy(&self, from: &Memory, to: &Memory) -> Result<(), Error> {
        assert_eq!(from.bytes, to.bytes);
        self.gpu.enter()?;
        // SAFETY: both allocations have that many bytes, by the assertion; who queues the copy keeps them
        // until the queue is synchronised.
        unsafe { result::memcpy_dtod_async(to.at, from.at, from.bytes, self.raw) }
            .map_err(|e| told(e, "copy"))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: created in `new`; what is queued is finished first.
            unsafe {
                let _ = result::stream::synchronize(self.raw);
                let _ = result::stream::destroy(self.raw);
            }
        }
    }
}

/// A point in a queue.
pub(crate) struct Mark {
    gpu: Arc<Gpu>,
    raw: sys::CUevent,
}

// SAFETY: as for `Gpu`.
unsafe impl Send for Mark {}
// SAFETY: as for `Gpu`.
unsafe impl Sync for Mark {}

impl Mark {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<Mark, Error> {
        Mark::create(gpu, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// A mark that notes when it is passed.
    pub(crate) fn timed(gpu: &Arc<Gpu>) -> Result<Mark, Error> {
        Mark::create(gpu, sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    fn create(gpu: &Arc<Gpu>, flags: sys::CUevent_flags) -> Result<Mark, Error> {
        gpu.enter()?;
        let raw = result::event::create(flags).map_err(|e| told(e, "event"))?;
        Ok(Mark { gpu: gpu.clone(), raw })
    }

    /// Time from `earlier` to this mark, both timed and set; waits until this one is passed.
    pub(crate) fn since(&self, earlier: &Mark) -> Result<Duration, Error> {
        self.gpu.enter()?;
        // SAFETY: both events live, were made with timing and were recorded on queues of this device.
        let milliseconds = unsafe {
            result::event::synchronize(self.raw)
                .and_then(|()| result::event::elapsed(earlier.raw, self.raw))
        };
        let milliseconds = milliseconds.map_err(|e| told(e, "time between two marks"))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: created in `new`.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}

/// An instantiated graph.
pub(crate) struct Replay {
    gpu: Arc<Gpu>,
    raw: sys::CUgraphExec,
}

// SAFETY: as for `Gpu`; launches of one graph are serialised by the driver.
unsafe impl Send for Replay {}
// SAFETY: as above.
unsafe impl Sync for Replay {}

impl Drop for Replay {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: made in `record`.
            let _ = unsafe { result::graph::exec_destroy(self.raw) };
        }
    }
}

/// A loaded cubin.
pub(crate) struct Module {
    gpu: Arc<Gpu>,
    raw: sys::CUmodule,
}

// SAFETY: as for `Gpu`.
unsafe impl Send for Module {}
// SAFETY: as for `Gpu`.
unsafe impl Sync for Module {}

impl Module {
    pub(crate) fn load(gpu: &Arc<Gpu>, cubin: &[u8]) -> Result<Arc<Module>, Error> {
        gpu.enter()?;
        // SAFETY: a cubin says its own length; it came from NVRTC or the verified cache.
        let raw = unsafe { result::module::load_data(cubin.as_ptr().cast()) };
        Ok(Arc::new(Module { gpu: gpu.clone(), raw: raw.map_err(|e| told(e, "the cubin"))? }))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: loaded in `load`; its kernels hold it.
            let _ = unsafe { result::module::unload(self.raw) };
        }
    }
}

/// A kernel of a module, allowed its shared memory.
pub(crate) struct Kernel {
    pub name: String,
    pub threads: u32,
    /// CTAs in x and y; in x fewer may do.
    pub grid: (u32, u32),
    pub by_position: Option<ByPosition>,
    /// Fields of the workspace that are zeroed before a launch, and that a launch leaves zero.
    pub zeroed: Vec<String>,
    pub cleared: Vec<String>,
    cooperative: bool,
    shared_bytes: u32,
    raw: sys::CUfunction,
    _module: Arc<Module>,
}

// SAFETY: as for `Gpu`.
unsafe impl Send for Kernel {}
// SAFETY: as for `Gpu`.
unsafe impl Sync for Kernel {}

impl Kernel {
    /// Also checks, for a cooperative launch, that all CTAs are resident at once.
    pub(crate) fn new(
        module: &Arc<Module>,
        contract: &fusco_dsl::cuda::KernelContract,
    ) -> Result<Kernel, Error> {
        module.gpu.enter()?;
        let name = contract.symbol.clone();
        let fail = |e| told(e, &format!("kernel `{name}`"));
        let symbol = CString::new(name.as_str())
            .map_err(|_| Error::Internal(format!("kernel `{name}` has a NUL in its name")))?;
        // SAFETY: the module lives as long as the kernel.
        let raw = unsafe { result::module::get_function(module.raw, symbol) }.map_err(fail)?;
        let attribute =
            sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: `raw` is a function of a loaded module.
        let resident = unsafe {
            result::function::set_function_attribute(raw, attribute, contract.shared_bytes as i32)
                .map_err(fail)?;
            result::occupancy::max_active_block_per_multiprocessor(
                raw,
                contract.threads as i32,
                contract.shared_bytes as usize,
            )
            .map_err(fail)?
        } as u32;
        let (wanted, most) = (contract.grid.0 * contract.grid.1, resident * module.gpu.sms);
        if contract.cooperative && wanted > most {
            return Err(Error::Resident { ctas: wanted, sms: module.gpu.sms, each: resident });
        }
        Ok(Kernel {
            threads: contract.threads,
            grid: contract.grid,
            by_position: contract.by_position,
            zeroed: contract.zeroed.clone(),
            cleared: contract.cleared.clone(),
            cooperative: contract.cooperative,
            shared_bytes: contract.shared_bytes,
            raw,
            _module: module.clone(),
            name,
        })
    }
}

fn told(error: DriverError, what: &str) -> Error {
    let text = error
        .error_string()
        .ok()
        .and_then(|s| s.to_str().ok().map(str::to_string))
        .unwrap_or_else(|| format!("{:?}", error.0));
    let text = format!("{what}: {text}");
    match error.0 {
        sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Error::NoMemory(text),
        _ => Error::Driver(text),
    }
}
