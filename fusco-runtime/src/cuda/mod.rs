//! CUDA worlds: programs, plans and streams on one or several devices of this process.
//!
//! Ranks are dealt to devices in order, the same number each; all ranks of a device share one launch.

mod arguments;
mod backend;
mod devices;
mod program;
mod queue;
mod workspace;

pub(crate) use backend::Cuda;
pub(crate) use devices::Devices;
pub(crate) use workspace::DevicePlan;
