//! Regions of shared memory and fields of workspaces lie apart, fit, and are as large as what they are for.

use super::fault::{Fault, Found};
use crate::kernel::print::what;
use crate::kernel::program::{DeviceKernel, DeviceProgram};
use crate::kernel::region::{LINE, Memory, Region, extent, lines};
use crate::kernel::strategy::{Once, PUSHERS, Strategy};
use crate::kernel::workspace::{ALIGN, What, Workspace};
use crate::schedule::ir::Schedule;

pub(super) fn faults(program: &DeviceProgram, kernel: &DeviceKernel) -> Vec<Fault> {
    let mut faults = Vec::new();
    let limit = program.target.shared;
    for (i, region) in kernel.shared.iter().enumerate() {
        let end = region.offset + region.bytes;
        if end > limit || region.offset < 0 {
            faults.push(Fault::Beyond { region: region.name.into(), end, limit });
        }
        let later = kernel.shared[i + 1..].iter().filter(|r| r.memory == region.memory);
        let meets = later.filter(|r| r.offset < end && region.offset < r.offset + r.bytes);
        let pair = |r: &Region| (region.name.to_string(), r.name.to_string());
        faults.extend(meets.map(pair).map(|(first, second)| Fault::Overlap { first, second }));
    }
    let (given, needed) =
        (i64::from(kernel.form.shared_bytes), extent(&kernel.shared, Memory::Dynamic));
    if given != needed {
        faults.push(Fault::Shared { given, needed });
    }
    faults.extend(
        rows(kernel).into_iter().filter_map(|(name, at, needed)| holds(kernel, name, (at, needed))),
    );
    faults
}

/// The rows that the text puts into dynamic shared memory: region, where it begins, and bytes.
fn rows(kernel: &DeviceKernel) -> Vec<(&'static str, i64, i64)> {
    match &kernel.strategy {
        Strategy::Bulk(staged) | Strategy::Once(Once { staged, .. }) => {
            vec![("rows", 0, staged.bytes())]
        }
        Strategy::Ring(ring) => {
            let all = ring.slots * lines(ring.row);
            let pushed = ring.mail.map(|_| ("pushed rows", all, PUSHERS * lines(ring.row)));
            [("rows", 0, all)].into_iter().chain(pushed).collect()
        }
        Strategy::Plan(_) | Strategy::Moves(_) | Strategy::Team(_) | Strategy::Warps(_) => {
            Vec::new()
        }
    }
}

fn holds(kernel: &DeviceKernel, name: &'static str, (at, needed): (i64, i64)) -> Option<Fault> {
    let dynamic = |r: &&Region| r.name == name && r.memory == Memory::Dynamic;
    let Some(region) = kernel.shared.iter().find(dynamic) else {
        return Some(Fault::NoRegion(name.to_string()));
    };
    if region.offset != at || region.offset % LINE != 0 {
        let (region, offset) = (name.to_string(), region.offset);
        return Some(Fault::Misaligned { region, offset, to: LINE });
    }
    let (region, bytes) = (name.to_string(), region.bytes);
    (bytes < needed).then_some(Fault::Small { region, bytes, needed })
}

/// Faults of the workspaces, of which a kernel uses that of its route.
pub(super) fn workspaces(program: &DeviceProgram) -> Vec<Found> {
    let schedule = program.schedule;
    let mut found = Vec::new();
    for workspace in &program.workspaces {
        let name = workspace.route.map_or("home", |r| schedule.routes[r].name.as_str());
        found.extend(fields(schedule, workspace).into_iter().map(|f| Found::new(0, name, f)));
    }
    for kernel in &program.kernels {
        let needs = needs(program, kernel).into_iter();
        let lacks = needs.filter_map(|(of, bytes)| {
            let region = what(schedule, &of);
            let workspace = program.workspace(kernel.route);
            match workspace.and_then(|w| w.fields.iter().find(|f| f.what == of)) {
                None => Some(Fault::NoRegion(region)),
                Some(field) if (field.bytes as i64) < bytes => {
                    Some(Fault::Small { region, bytes: field.bytes as i64, needed: bytes })
                }
                Some(_) => None,
            }
        });
        found.extend(lacks.map(|f| Found::new(kernel.entry, &kernel.name, f)));
    }
    for (handle, signal) in schedule.signals.iter() {
        let all = program.workspaces.iter().flat_map(|w| &w.fields);
        let fields = all.filter(|f| f.what == What::Signal(handle)).count();
        if fields != 1 {
            let name = signal.name.clone();
            found.push(Found::new(0, "workspaces", Fault::Signal { name, fields }));
        }
    }
    found
}

fn fields(schedule: &Schedule, workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    let name = |of: &What| what(schedule, of);
    for (i, field) in workspace.fields.iter().enumerate() {
        let (region, end) = (|| name(&field.what), field.offset + field.bytes);
        if field.offset % ALIGN != 0 {
            let (offset, to) = (field.offset as i64, ALIGN as i64);
            faults.push(Fault::Misaligned { region: region(), offset, to });
        }
        if end > workspace.bytes {
            let (end, limit) = (end as i64, workspace.bytes as i64);
            faults.push(Fault::Beyond { region: region(), end, limit });
        }
        let later = workspace.fields[i + 1..].iter();
        let meets = later.filter(|f| f.offset < end && field.offset < f.offset + f.bytes);
        faults.extend(meets.map(|f| Fault::Overlap { first: region(), second: name(&f.what) }));
    }
    faults
}

/// What a kernel keeps in its workspace, and bytes of it.
fn needs(program: &DeviceProgram, kernel: &DeviceKernel) -> Vec<(What, i64)> {
    let name = || kernel.name.clone();
    let mut out = vec![(What::Barrier, 4)];
    out.extend(kernel.epoch.iter().map(|e| (What::Epoch(e.kernel.clone()), 4)));
    if let Strategy::Ring(ring) = &kernel.strategy
        && let Some(mail) = &ring.mail
    {
        let each = i64::from(kernel.form.ctas_per_rank) * mail.places;
        let asked = program.schedule.ranks * each * 4;
        out.push((What::Mail(name()), each * lines(ring.row)));
        out.extend([(What::Came(name()), each * 4), (What::Asked(name()), asked)]);
    }
    out
}
