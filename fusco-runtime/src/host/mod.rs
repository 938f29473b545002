//! The CPU back end: executes a `Verified<Schedule>` literally, a thread a rank, one CTA a rank.

mod access;
mod affine;
mod backend;
mod cast;
mod code;
mod copy;
mod grid;
mod guard;
mod index;
mod moves;
mod number;
mod pending;
mod plan;
mod reduce;
mod route;
mod run;
mod stream;
mod table;
mod tile;
mod turn;
mod wait;
mod wide;

pub(crate) use backend::Host;
pub(crate) use plan::{HostPlan, tile_rows};
pub(crate) use wait::spin;
