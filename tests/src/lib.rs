//! A program on one world with its inputs, launched like a user would and judged by the reference interpreter.
//! Everything panics on failure: it is for tests.

pub mod computed;
pub mod emulator;
pub mod placements;
pub mod routes;
pub mod writes;

use fusco_dsl::oracle::{Array, Inputs, Outputs, run_entry};
use fusco_dsl::ranks;
use fusco_dsl::sema::hir::{Bindings, Elem, Io};
use fusco_dsl::{Compiled, compile};
use fusco_runtime::{Bound, Buffer, Error, LaunchArgs, Plan, Stream, World};
use std::collections::BTreeMap;

/// A bound program with a buffer for each tensor and a plan for each route.
pub struct Session {
    pub compiled: Compiled,
    pub world: World,
    pub bound: Bound,
    pub buffers: BTreeMap<String, Buffer>,
    pub plans: BTreeMap<String, Plan>,
    /// `in` tensors that are an earlier entry's `out`: they share its buffer.
    feeds: BTreeMap<String, String>,
}

/// Device 0 with so many ranks; `None`, with a line that says so, where a driver or NVRTC is missing.
pub fn gpu(ranks: usize) -> Option<World> {
    let nvrtc = fusco_runtime::jit::Nvrtc::find().map(|_| ());
    match nvrtc.and_then(|()| World::device(0, ranks)) {
        Err(error) if error.is_environment() => {
            println!("skipped: {error}");
            None
        }
        world => Some(world.expect("device 0")),
    }
}

/// Worlds in parts hold the device while they wait for each other: two at once could hold half each.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    LOCK.lock().unwrap_or_else(|e| e.into_inner())
}

/// As [`gpu`], with launches of two: half of the ranks each, which meet as if over a link. Only one
/// at a time: hold [`alone`].
pub fn gpu_in_parts(ranks: usize) -> Option<World> {
    gpu(ranks)?;
    Some(World::device_in_parts(0, 2, ranks / 2).expect("two parts of device 0"))
}

impl Session {
    pub fn new(
        text: &str,
        params: &[(&str, i64)],
        feeds: &[(&str, &str)],
        world: World,
    ) -> Session {
        let params: Bindings = params.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let compiled = compile(text, None, &params).unwrap_or_else(|d| {
            panic!("{}", fusco_dsl::diag::render(&d, "test.fusco", text, false))
        });
        let feeds: Vec<_> = feeds.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Session::of(compiled, &feeds, world)
    }

    pub fn of(compiled: Compiled, feeds: &[(String, String)], world: World) -> Session {
        let bound = Bound::from_schedule(&world, compiled.schedule.clone()).expect("binds");
        let feeds: BTreeMap<_, _> = feeds.iter().cloned().collect();
        let given = compiled.hir.tensors.iter().map(|(_, t)| t).filter(|t| t.io != Io::Tmp);
        let own = given.map(|t| &t.name);
        let buffers = own
            .filter(|n| !feeds.contains_key(*n))
            .map(|n| (n.clone(), bound.alloc(n).expect("memory")))
            .collect();
        let plans = compiled.schedule.routes.iter().map(|(_, r)| &r.name);
        let plans = plans.map(|n| (n.clone(), bound.plan(n).expect("a plan"))).collect();
        Session { compiled, world, bound, buffers, plans, feeds }
    }

    pub fn ranks(&self) -> usize {
        self.compiled.schedule.ranks as usize
    }

    /// Puts every logical input on its ranks.
    pub fn upload(&self, inputs: &Inputs) {
        for name in inputs.tensors.keys() {
            let parts = ranks::scatter(&self.compiled.hir, name, inputs, &BTreeMap::new());
            let parts = parts.expect("it fits");
            for (rank, bytes) in parts.iter().enumerate() {
                self.buffers[name].upload(rank, bytes).expect("fits");
            }
        }
    }

    /// Overwrites every `out`, so that what is not written shows.
    pub fn poison(&self) {
        for (name, buffer) in &self.buffers {
            let handle = self.compiled.hir.tensor(name).expect("a tensor of the program");
            if self.compiled.hir.tensors[handle].io == Io::Out {
                for rank in 0..self.ranks() {
                    buffer.upload(rank, &vec![0xa5; buffer.bytes(rank)]).expect("fits");
                }
            }
        }
    }

    pub fn launch(&self, entry: &str, stream: &Stream, inputs: &Inputs) -> Result<(), Error> {
        let schedule = &self.compiled.schedule;
        let info = schedule.entries.iter().find(|e| e.name == entry).expect("an entry");
        let names = info.tensors.iter().map(|t| schedule.tensors[*t].name.as_str());
        let held = |n: &str| &self.buffers[self.feeds.get(n).map_or(n, String::as_str)];
        let buffers: Vec<_> = names.map(|n| (n, held(n))).collect();
        let dyns = info.dyns.iter().map(|d| schedule.dyns[*d].name.as_str());
        let dyns: Vec<_> = dyns.map(|n| (n, inputs.dyns[n].as_slice())).collect();
        let routes = info.plans.iter().chain(&info.takes);
        let plans: Vec<_> = routes.map(|r| &self.plans[&schedule.routes[*r].name]).collect();
        let args = LaunchArgs { dyns: &dyns, buffers: &buffers, plans: &plans };
        self.bound.launch(entry, stream, &args)
    }

    /// Each rank's bytes of every `out`.
    pub fn outputs(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let out = |n: &String| {
            self.compiled.hir.tensor(n).is_some_and(|h| self.compiled.hir.tensors[h].io != Io::In)
        };
        let read = |b: &Buffer| (0..self.ranks()).map(|r| b.download(r).expect("bytes")).collect();
        self.buffers.iter().filter(|(n, _)| out(n)).map(|(n, b)| (n.clone(), read(b))).collect()
    }

    /// What the entries, in order, leave by the reference interpreter.
    pub fn expected(&self, entries: &[&str], inputs: &Inputs) -> Outputs<'_> {
        let (mut inputs, mut plans) = (inputs.clone(), BTreeMap::new());
        let mut all = Outputs::default();
        for entry in entries {
            let left =
                run_entry(&self.compiled.hir, entry, &inputs, &mut plans).expect("a meaning");
            for (to, from) in &self.feeds {
                if let Some(array) = left.logical.get(from) {
                    inputs.tensors.insert(to.clone(), array.clone());
                }
            }
            all.logical.extend(left.logical);
            all.count.extend(left.count);
            all.physical.extend(left.physical);
        }
        all
    }

    /// Panics unless every defined element of every `out` has the oracle's bits. Elements compared.
    pub fn check(&self, expected: &Outputs) -> u64 {
        let backend = self.world.backend();
        match ranks::compare(expected, &self.outputs()) {
            Ok(compared) => compared,
            Err(difference) => panic!("{} on {backend}: {difference}", self.compiled.hir.name),
        }
    }
}

/// An element type and how it is written.
pub type Named = (&'static str, Elem);

/// What random programs draw from.
pub const ELEMS: [Named; 12] = [
    ("f32", Elem::F32),
    ("bf16", Elem::Bf16),
    ("f16", Elem::F16),
    ("i32", Elem::I32),
    ("u8", Elem::U8),
    ("i64", Elem::I64),
    ("e4m3", Elem::E4m3),
    ("i8", Elem::I8),
    ("f64", Elem::F64),
    ("i16", Elem::I16),
    ("u16", Elem::U16),
    ("u64", Elem::U64),
];

/// Those of them in which sums are stored.
pub const FLOATS: [Named; 3] = [ELEMS[0], ELEMS[1], ELEMS[2]];

/// A small generator: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let word = (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (word >> 24) % n
    }

    /// Any bits for integers, 0 or 1 for `bool`; finite floats of small magnitude.
    pub fn fill(&mut self, array: &mut Array) {
        let small = |r: &mut Random| r.below(4001) as f32 / 1000.0 - 2.0;
        for i in 0..array.len() {
            let bits = match array.elem {
                Elem::F32 => u64::from(small(self).to_bits()),
                Elem::Bf16 => u64::from(fusco_runtime::bf16::from_f32(small(self)).to_bits()),
                Elem::F16 => u64::from(fusco_runtime::f16::from_f32(small(self)).to_bits()),
                Elem::E4m3 | Elem::E5m2 => self.below(120),
                Elem::F64 => (f64::from(small(self)) / 3.0).to_bits(),
                Elem::U64 => self.below(1 << 40) << self.below(25),
                Elem::Bool => self.below(2),
                _ => self.below(1 << 40),
            };
            array.set_bits(i, bits);
        }
    }
}
