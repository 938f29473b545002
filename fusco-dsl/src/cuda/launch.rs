//! What a host is handed: generated text, how to launch its kernels, and the memory of its plans.

use crate::kernel::ByPosition;

/// Generated text and how to launch it.
#[derive(Clone, Debug)]
pub struct CudaUnit {
    pub source: String,
    pub kernels: Vec<KernelContract>,
    pub workspaces: Vec<Workspace>,
}

/// One launch. The arguments are, in order, the
/// `Launch` struct, the workspaces of all ranks, each tensor of the entry (one pointer a rank), each
/// `dyn` of the entry (one i32 a rank, or one).
#[derive(Clone, Debug)]
pub struct KernelContract {
    /// The symbol in the cubin.
    pub symbol: String,
    /// The schedule's kernel.
    pub name: String,
    pub entry: String,
    pub threads: u32,
    /// CTAs in x and y: those of a rank by the ranks of the device, or all of the device by 1.
    pub grid: (u32, u32),
    /// In x, as many as the rank with the most positions needs are enough.
    pub by_position: Option<ByPosition>,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    /// CTAs wait for each other: all must be resident, which a cooperative launch makes sure of.
    pub cooperative: bool,
    /// Fields of every rank's workspace that are zero when the kernel starts: counters of its arrivals.
    pub zeroed: Vec<String>,
    /// Fields of every rank's workspace that are zero when the kernel ends: all counters of arrivals.
    pub cleared: Vec<String>,
    /// The arguments in order, as `type name`.
    pub args: Vec<String>,
}

/// The device memory of one plan on one rank, zeroed at creation.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub route: String,
    pub bytes: usize,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
}
