//! A user's kernel on a stream of its own consumes dispatched tiles while dispatch still runs.

use cudarc::driver::{result, sys};
use fusco_dsl::oracle::{Array, Inputs, run_entry};
use fusco_dsl::sema::hir::Elem;
use fusco_runtime::{Arrivals, CONSUMER_CUH, DeviceArrivals, bf16, jit};
use fusco_tests::{Random, Session, gpu};
use std::collections::BTreeMap;
use std::ffi::c_void;

const KERNEL: &str = include_str!("consumer.cu");
const MOE: &str = include_str!("../../examples/programs/moe.fusco");

const RANKS: usize = 4;
const EXPERTS: i64 = 16;
const FAN: usize = 2;
const HIDDEN: usize = 1024;
/// Enough that an expert has several tiles of each source rank: the first is full long before the last.
const TOKENS: usize = 4096;
/// CTAs of the consumer on each rank. Dispatch leaves multiprocessors free for them: `blocks 8`.
const CTAS: u32 = 4;

fn source() -> String {
    format!("{CONSUMER_CUH}\n{KERNEL}")
}

#[test]
fn the_consumer_header_compiles() {
    if let Err(error) = jit::Nvrtc::find() {
        return println!("skipped: {error}");
    }
    let cubin = jit::compile(&source(), "consumer", "sm_90a").expect("compiles");
    assert_eq!(cubin.resources[0].spill_stores, 0);
}

#[test]
fn a_host_world_has_no_device_counters() {
    let world = fusco_runtime::World::host(RANKS).expect("a world");
    let session = session(world);
    let arrivals = session.bound.arrivals("dispatch", &session.plans["r"]).expect("arrivals");
    assert_eq!(arrivals.on_device(0).expect_err("host").code(), "F0909");
}

fn session(world: fusco_runtime::World) -> Session {
    let text =
        MOE.replace("schedule when T <= 256 { push; chunk t: 8; }", "schedule { push; blocks 8; }");
    assert!(text.contains("blocks 8"));
    let params = [
        ("G", RANKS as i64),
        ("E", EXPERTS),
        ("K", FAN as i64),
        ("H", HIDDEN as i64),
        ("TMAX", TOKENS as i64),
    ];
    Session::new(&text, &params, &[], world)
}

fn inputs(random: &mut Random) -> Inputs {
    let mut x = Array::zeros(Elem::Bf16, vec![RANKS, TOKENS, HIDDEN]);
    let mut w = Array::zeros(Elem::F32, vec![RANKS, TOKENS, FAN]);
    random.fill(&mut x);
    random.fill(&mut w);
    let mut experts = Vec::new();
    for _ in 0..RANKS * TOKENS {
        let first = random.below(EXPERTS as u64) as i64;
        experts.extend([first, (first + 1 + random.below(7) as i64) % EXPERTS]);
    }
    let topk = Array::from_i64(Elem::I64, vec![RANKS, TOKENS, FAN], &experts);
    Inputs {
        params: [
            ("G", RANKS as i64),
            ("E", EXPERTS),
            ("K", FAN as i64),
            ("H", HIDDEN as i64),
            ("TMAX", TOKENS as i64),
        ]
        .map(|(n, v)| (n.to_string(), v))
        .into(),
        dyns: [("T".to_string(), vec![TOKENS as i64; RANKS])].into(),
        tensors: [("x", x), ("w", w), ("topk", topk)].map(|(n, a)| (n.to_string(), a)).into(),
    }
}

#[test]
fn gpu_a_kernel_of_the_user_starts_on_the_first_tile() {
    let Some(world) = gpu(RANKS) else { return };
    let session = session(world);
    let arrivals = session.bound.arrivals("dispatch", &session.plans["r"]).expect("arrivals");
    let stream = session.world.stream().expect("a stream");
    let consumer = Consumer::load();
    let mut random = Random(5);
    for launch in 1..=4u32 {
        let mut inputs = inputs(&mut random);
        session.upload(&inputs);
        for rank in 0..RANKS {
            let zeros = vec![0; session.buffers["z"].bytes(rank)];
            session.buffers["z"].upload(rank, &zeros).expect("fits");
        }
        // The consumer first: it waits on the device for a launch that is still to come.
        let seen = consumer.start(&session, &arrivals, launch);
        session.launch("dispatch", &stream, &inputs).expect("queued");
        stream.synchronize().expect("dispatched");
        consumer.wait();

        let mut plans = BTreeMap::new();
        let dispatched =
            run_entry(&session.compiled.hir, "dispatch", &inputs, &mut plans).expect("a meaning");
        session.check(&dispatched);
        for (rank, want) in dispatched.physical["y"].ranks().expect("placed").iter().enumerate() {
            let z = session.buffers["z"].download_as::<bf16>(rank).expect("bytes");
            for i in (0..want.defined.len()).filter(|i| want.defined.get(*i)) {
                assert_eq!(
                    z[i].to_f32(),
                    2.0 * want.array.get_f32(i),
                    "launch {launch}: z@{rank}[{i}]"
                );
            }
        }
        let doubled = double(&dispatched.logical["y"]);
        inputs.tensors.insert("z".into(), doubled);
        session.launch("combine", &stream, &inputs).expect("queued");
        stream.synchronize().expect("combined");
        session.check(
            &run_entry(&session.compiled.hir, "combine", &inputs, &mut plans).expect("a meaning"),
        );

        let seen = seen.map(|s| s.read());
        let early = seen.iter().flatten().filter(|(arrived, all)| arrived < all).count();
        println!("launch {launch}: arrived of all when a CTA had its first tile: {seen:?}");
        assert!(early > 0, "no tile was consumed before the last one arrived");
    }
}

fn double(y: &Array) -> Array {
    let mut out = y.clone();
    for i in 0..y.len() {
        out.set_bits(i, u64::from(bf16::from_f32(2.0 * y.get_f32(i)).to_bits()));
    }
    out
}

/// The user's side, by bare driver calls.
struct Consumer {
    function: sys::CUfunction,
    stream: sys::CUstream,
}

/// `(arrived, all)` of each CTA.
struct Seen(sys::CUdeviceptr);

impl Consumer {
    fn load() -> Consumer {
        let cubin = jit::compile(&source(), "consumer", "sm_90a").expect("compiles").bytes;
        result::init().expect("a driver");
        let device = result::device::get(0).expect("device 0");
        // SAFETY: plain driver calls in order; the primary context and the module live until the process ends.
        unsafe {
            result::ctx::set_current(result::primary_ctx::retain(device).expect("a context"))
                .expect("current");
            let module = result::module::load_data(cubin.as_ptr().cast()).expect("loads");
            let function = result::module::get_function(module, c"scale_tiles".to_owned())
                .expect("the kernel");
            let stream =
                result::stream::create(result::stream::StreamKind::NonBlocking).expect("a stream");
            Consumer { function, stream }
        }
    }

    fn start(&self, session: &Session, arrivals: &Arrivals, launch: u32) -> [Seen; RANKS] {
        std::array::from_fn(|rank| {
            let mut follow: DeviceArrivals = arrivals.on_device(rank).expect("addresses");
            let seen = Seen::new();
            let address =
                |name: &str| session.buffers[name].device_address(rank).expect("on the device");
            let (mut launch, mut y, mut z) = (launch, address("y"), address("z"));
            let (mut hidden, mut report) = (HIDDEN as i32, seen.0);
            let mut arguments: [*mut c_void; 6] = [
                (&raw mut follow).cast(),
                (&raw mut launch).cast(),
                (&raw mut y).cast(),
                (&raw mut z).cast(),
                (&raw mut hidden).cast(),
                (&raw mut report).cast(),
            ];
            // SAFETY: the arguments are the kernel's, in its order, and are copied by the call.
            unsafe {
                result::launch_kernel(
                    self.function,
                    (CTAS, 1, 1),
                    (256, 1, 1),
                    0,
                    self.stream_of(),
                    &mut arguments,
                )
            }
            .expect("launched");
            seen
        })
    }

    fn stream_of(&self) -> sys::CUstream {
        self.stream
    }

    fn wait(&self) {
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.stream) }.expect("consumed");
    }
}

impl Seen {
    fn new() -> Seen {
        // SAFETY: freed in `drop`.
        Seen(unsafe { result::malloc_sync(CTAS as usize * 8) }.expect("memory"))
    }

    fn read(&self) -> Vec<(u32, u32)> {
        let mut words = [0u32; 2 * CTAS as usize];
        // SAFETY: as many words as were allocated.
        unsafe { result::memcpy_dtoh_sync(&mut words, self.0) }.expect("copied");
        words.as_chunks::<2>().0.iter().map(|p| (p[0], p[1])).collect()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`.
        let _ = unsafe { result::free_sync(self.0) };
    }
}
