//! Runs fusco programs: worlds of ranks on the host or on CUDA devices, buffers, plans, launches.
//!
//! A program says what is stored where; what moves between ranks follows. Four ranks transpose a matrix that
//! none of them holds, here as threads of the host; `World::device(0, 4)` runs the same on a GPU:
//!
//! ```
//! use fusco_runtime::{Error, World, fusco};
//!
//! fusco! {
//!     program transpose {
//!         mesh tp { gpu: 4 }
//!         param M: int where M % gpu == 0;
//!         param N: int where N % gpu == 0;
//!         in  a: i32[m: M, n: N] @ [m/gpu, m, n]; // each rank has M/4 rows
//!         out b: i32[n: N, m: M] @ [n/gpu, n, m]; // and N/4 rows of the transpose
//!         entry main { b[n, m] <- a[m, n]; }
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     let world = World::host(4)?;
//!     let program = transpose::bind(&world, transpose::Params { m: 8, n: 4 })?;
//!     let (a, b) = (program.alloc_a()?, program.alloc_b()?);
//!     a.scatter(&[8, 4], &Vec::from_iter(0..32))?; // rows to ranks, as `@` says
//!     let stream = world.stream()?;
//!     program.main(&stream, transpose::MainArgs { a: &a, b: &b })?;
//!     stream.synchronize()?;
//!     let turned = b.gather()?;
//!     assert_eq!(turned.shape, [4, 8]);
//!     assert_eq!(turned.values[..8], [0, 4, 8, 12, 16, 20, 24, 28]);
//!     assert_eq!(b.download(1)?, [1, 5, 9, 13, 17, 21, 25, 29]); // rank 1 has column 1 of `a`
//!     Ok(())
//! }
//! ```
//!
//! [`fusco!`] reads the program when your crate is compiled, and its mistakes are errors on its tokens.
//! [`World::bind`] takes text instead, and gives a [`Bound`] whose tensors, entries and routes go by name.
//!
//! What calls what: a [`World`] binds a program; that allocates a [`Buffer`] a tensor and a [`Plan`] a route.
//! [`Bound::scatter`] fills the buffers of any placement from one logical array and [`Bound::gather`] reads it back;
//! [`Buffer::upload`] and [`Buffer::download`] take a rank's bytes as they lie. Launches go to a [`Stream`] and return at
//! once; [`Stream::synchronize`] says what went wrong. Whatever reads a buffer waits for what writes it, and launches that
//! conflict run in the order in which they were submitted, whichever streams they are on. An [`Error`] has a code, and
//! `fuscoc explain CODE` says more about it.
#![warn(missing_docs, clippy::missing_errors_doc)]

mod arguments;
mod arrivals;
mod backend;
mod cuda;
mod driver;
mod error;
mod event;
mod host;
pub mod jit;
mod launch;
mod lease;
mod logical;
pub mod mem;
mod plan;
mod program;
mod stream;
mod transport;
pub mod typed;
mod workspace;
mod world;

pub use arguments::LaunchArgs;
pub use arrivals::{Arrivals, DeviceArrivals, Tile, Tiles};
pub use driver::devices;
pub use error::{Error, Noun};
pub use event::TimeMark;
/// Diagnostics of a program that was refused, and the catalogue of codes.
#[doc(inline)]
pub use fusco_dsl::diag;
pub use fusco_macros::fusco;
pub use half::{bf16, f16};
pub use kernels_templates::CONSUMER_CUH;
pub use logical::Logical;
pub use mem::{Buffer, View};
pub use plan::Plan;
pub use program::{Bound, Params};
pub use stream::{Graph, Stream};
pub use world::World;
