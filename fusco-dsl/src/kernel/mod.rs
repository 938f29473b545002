//! WITH WHAT data moves: each kernel's strategy for a target, and all that it takes, as data.
//!
//! Enters: a `Verified<Schedule>` and a [`Target`]. Leaves: a `Verified<DeviceProgram>`, which `cuda` prints: `select`
//! chooses among the strategies of `strategy/`, `verify` holds what was chosen against the target and against what must
//! be so for ranks, CTAs and threads that wait for each other.

mod arrange;
mod cost;
mod form;
mod pipeline;
mod print;
mod program;
mod region;
mod select;
pub(crate) mod shape;
mod strategy;
mod verify;
mod work;
mod workspace;

pub use cost::{Cost, Limit, Load};
pub use form::{ByPosition, Form};
pub use pipeline::{Act, Barrier, By, Channel, Group, Pipeline, Step, Word};
pub use print::print;
pub use program::{Choice, DeviceKernel, DeviceProgram, DeviceRole, Epoch, Told};
pub use region::{Memory, Region};
pub use select::select;
pub(crate) use strategy::{END, FIRST, PUSHERS};
pub use strategy::{
    Mail, Moves, Name, Once, Plan, Rate, Reason, Refusal, Ring, Staged, Strategy, Team, Warps,
};
pub use verify::{Fault, Found, verify};
pub use workspace::{Field, What, Workspace};

use crate::diag::{Diagnostic, Diagnostics};
use crate::schedule::Verified;
use crate::schedule::ir::Schedule;
use crate::source::Span;
use crate::target::Target;

/// The verified device program of a schedule.
///
/// # Errors
/// Those of [`select`], F0706 for a device that does not hold a CTA of each rank, and F0791 for a defect of the compiler.
pub fn lower<'s>(
    schedule: &'s Verified<Schedule>,
    target: &Target,
) -> Result<Verified<DeviceProgram<'s>>, Diagnostics> {
    let program = select(schedule, target)?;
    verify(program).map_err(|found| {
        let one = |f: &Found| {
            let span = schedule.entries.get(f.entry).map_or(Span::default(), |e| e.span);
            match f.fault {
                // The device is too small, whatever was chosen.
                Fault::NotResident { .. } => Diagnostic::error("F0706", span, f.to_string())
                    .help("let fewer ranks share a device"),
                _ => defect(span, &f.to_string()),
            }
        };
        Diagnostics(found.iter().map(one).collect())
    })
}

fn defect(span: Span, problem: &str) -> Diagnostic {
    Diagnostic::error("F0791", span, format!("the device program is not safe: {problem}"))
        .help("this is a defect of fusco, not of the program: please report it")
}
