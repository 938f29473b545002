//! What each kernel of an entry is expected to take on some inputs: rows along routes as they are counted, all else as
//! the model has it for the bounds, less what the sizes of the launch are below them.
//!
//! Enters: a compiled program, its device program, inputs. Leaves: a time a kernel.

use super::times::{Like, Part, Places, Timed, filled, slowest};
use super::ways::{Level, Statement, WayKind, ways};
use crate::Compiled;
use crate::kernel::{DeviceKernel, DeviceProgram, DeviceRole, Load, Name};
use crate::oracle::{Error, Inputs};
use crate::schedule::ir::RoleKind;
use crate::sema::hir::{self, DirectiveKind, Forward};

/// A kernel of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub kernel: String,
    /// Its rows were counted.
    pub counted: bool,
    pub timed: Timed,
}

/// The kernels of an entry in the order of their launches.
///
/// # Errors
/// Those of the routes.
pub fn expected(
    compiled: &Compiled,
    program: &DeviceProgram,
    (entry, inputs): (&str, &Inputs),
) -> Result<Vec<Expected>, Error> {
    let Some(number) = compiled.schedule.entries.iter().position(|e| e.name == entry) else {
        return Ok(Vec::new());
    };
    let steps = compiled.schedule.entries[number].steps.iter();
    let last = steps.filter_map(|s| s.alternatives.last());
    let find = |name: &str| program.kernels.iter().find(|k| k.entry == number && k.name == name);
    let kernels: Vec<&DeviceKernel> = last.filter_map(|a| find(&a.kernel.name)).collect();
    let moving: Vec<&str> = kernels.iter().filter(|k| moves(k)).map(|k| k.name.as_str()).collect();
    let info = &compiled.hir.entries[number];
    let counted = match info.stmts.iter().all(|s| s.via.is_some()) {
        true => of_rows(compiled, info, (&moving, &kernels), inputs)?,
        false => None,
    };
    let share = share(compiled, number, inputs);
    let one = |kernel: &&DeviceKernel| {
        let at = moving.iter().position(|name| *name == kernel.name);
        let counted = counted.as_ref().zip(at);
        let timed = match counted {
            Some((rows, at)) => rows.timed(at, kernel, program),
            None => {
                let (load, rates) = (kernel.choice.cost.load.share(share), &program.target.rates);
                Timed { load, time: load.time(rates), limit: load.limit(rates) }
            }
        };
        Expected { kernel: kernel.name.clone(), counted: counted.is_some(), timed }
    };
    Ok(kernels.iter().map(one).collect())
}

/// Whether it carries rows of statements out.
fn moves(kernel: &DeviceKernel) -> bool {
    let carries = |role: &DeviceRole| {
        matches!(role.kind, RoleKind::Produce | RoleKind::Reduce | RoleKind::Move)
            && !role.text.is_empty()
    };
    kernel.roles.iter().any(carries)
}

/// The largest part of its bound that a launch-time size of the entry has.
fn share(compiled: &Compiled, entry: usize, inputs: &Inputs) -> f64 {
    let dyns = compiled.schedule.entries[entry].dyns.iter().map(|d| &compiled.schedule.dyns[*d]);
    let part = |d: &crate::schedule::ir::Dyn| {
        let most = inputs.dyns.get(&d.name)?.iter().max()?;
        Some(*most as f64 / d.bound.max(1) as f64)
    };
    dyns.filter_map(part).reduce(f64::max).unwrap_or(1.0)
}

/// The rows of an entry in the way that its kernels have.
struct Rows {
    kind: WayKind,
    statements: Vec<Statement>,
}

/// `None` where the kernels are not the hops of a way.
fn of_rows(
    compiled: &Compiled,
    entry: &hir::Entry,
    (moving, kernels): (&[&str], &[&DeviceKernel]),
    inputs: &Inputs,
) -> Result<Option<Rows>, Error> {
    let once = |k: &&DeviceKernel| k.strategy.name() == Name::Once;
    let (kind, level) = match (moving.len(), path(compiled, entry)) {
        (1 | 2, Some((kind, level))) => (kind, Some(level)),
        (1, None) if kernels.iter().any(once) => (WayKind::OnceARank, None),
        (1, None) => (WayKind::Each, None),
        _ => return Ok(None),
    };
    let statements = ways(compiled, Some(&entry.name), (inputs, level.as_ref()))?;
    let way = |s: &Statement| s.ways.iter().find(|w| w.kind == kind).map(|w| w.hops.len());
    // Sums take one kernel for all hops.
    let kernels = |s: &Statement| if s.sums { Some(1) } else { way(s) };
    let fits = statements.iter().all(|s| kernels(s) == Some(moving.len()));
    Ok(fits.then_some(Rows { kind, statements }))
}

/// The places that rows cross to once, and who takes them there.
fn path(compiled: &Compiled, entry: &hir::Entry) -> Option<(WayKind, Level)> {
    let directives = || entry.schedules.iter().flat_map(|s| &s.directives);
    let axis = directives().find_map(|d| match &d.kind {
        DirectiveKind::Dedup { axis, .. } | DirectiveKind::Reduce(axis) => Some(*axis),
        _ => None,
    })?;
    let balanced =
        directives().any(|d| matches!(d.kind, DirectiveKind::Forward(Forward::Balanced)));
    let bound = compiled.schedule.params.iter().cloned().collect();
    let info = &compiled.hir.mesh_axes[axis];
    let (per, _) = compiled.hir.cut(axis, &bound)?;
    let first = compiled.hir.eval(&compiled.hir.meshes[info.mesh].first, &bound)?;
    let kind = if balanced { WayKind::Balanced } else { WayKind::OnceAPlace };
    Some((kind, Level { name: info.name.clone(), first, per }))
}

impl Rows {
    /// The `at`-th kernel that carries rows.
    fn timed(&self, at: usize, kernel: &DeviceKernel, program: &DeviceProgram) -> Timed {
        let mut parts = Vec::new();
        for statement in &self.statements {
            let way = statement.ways.iter().find(|w| w.kind == self.kind);
            let hops = way.iter().flat_map(|w| w.hops.iter().enumerate());
            let own = hops.filter(|(number, _)| statement.sums || *number == at);
            parts.extend(own.map(|(n, hop)| Part { hop, filled: filled(statement, n) }));
        }
        let own = kernel.choice.cost.load;
        let load = Load { memory: 0.0, stored: 0.0, loaded: 0.0, network: 0.0, ..own };
        let like = Like { load, pulls: own.loaded > 0.0 };
        slowest(&parts, &Places::of(&program.target), (&like, &program.target))
    }
}
