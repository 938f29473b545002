//! The device program as text (`--stage kernel`).

use super::cost::Cost;
use super::pipeline::{Barrier, Channel, Group, Step};
use super::program::{DeviceKernel, DeviceProgram, DeviceRole, Told};
use super::region::Memory;
use super::workspace::{What, Workspace};
use crate::arena::Handle;
use crate::schedule::ir::{Schedule, Signal};
use std::fmt::Write;

/// The kernels of the entries that are `wanted`, and all workspaces.
pub fn print(program: &DeviceProgram, wanted: impl Fn(&str) -> bool) -> String {
    let (schedule, target) = (program.schedule, &program.target);
    let mut out = String::new();
    _ = writeln!(
        out,
        "device program {} for {}: {} SMs, {} KiB of shared memory, {} of {} ranks a device",
        schedule.program,
        target.architecture.name,
        target.sms,
        target.shared / 1024,
        target.ranks_per_device,
        schedule.ranks,
    );
    for kernel in program.kernels.iter().filter(|k| wanted(&schedule.entries[k.entry].name)) {
        one_kernel(&mut out, schedule, kernel);
    }
    for workspace in &program.workspaces {
        one_workspace(&mut out, schedule, workspace);
    }
    out
}

fn one_kernel(out: &mut String, schedule: &Schedule, kernel: &DeviceKernel) {
    let (form, choice) = (&kernel.form, &kernel.choice);
    let entry = &schedule.entries[kernel.entry].name;
    _ = writeln!(out, "\nkernel {} of entry {entry}: {}", kernel.name, kernel.strategy.name());
    _ = writeln!(out, "  because: {}", choice.reason);
    let (x, y) = form.grid;
    let cooperative = if form.cooperative { "cooperative" } else { "plain" };
    let dealt = match (form.flat, form.by_position) {
        (true, _) => ", dealt to ranks in turn".to_string(),
        (false, Some(by)) => format!(", one for each {} positions and {}", by.each, by.least),
        (false, None) => String::new(),
    };
    _ = writeln!(
        out,
        "  launch: {x} x {y} CTAs of {} threads, {cooperative}{dealt}; {} a multiprocessor, up to {} registers, {} bytes of shared memory",
        form.threads,
        form.resident,
        form.registers(),
        form.shared_bytes
    );
    _ = writeln!(out, "  cost: {}", cost(&choice.cost));
    let measured = if choice.rate.measured { "measured" } else { "as its neighbours" };
    _ = writeln!(out, "  rate: {:.1} % of a copy, {measured}", choice.rate.of_copy * 100.0);
    for (name, refusal, other) in &choice.rejected {
        let other = other.as_ref().map_or(String::new(), |c| format!(" ({:.1} us)", c.time / 1e3));
        _ = writeln!(out, "  not {name}: {refusal}{other}");
    }
    for region in &kernel.shared {
        let memory = match region.memory {
            Memory::Dynamic => "dynamic",
            Memory::Static => "static",
        };
        let end = region.offset + region.bytes;
        _ = writeln!(out, "  shared {memory} {}..{end}: {}", region.offset, region.name);
    }
    kernel.pipeline.groups.iter().for_each(|g| group(out, g));
    kernel.pipeline.channels.iter().for_each(|c| channel(out, c));
    if let Some(epoch) = &kernel.epoch {
        let told = match epoch.told {
            Told::Awaited => "its handshakes wait for it",
            Told::AtStart => "written at the start",
            Told::Never => "not written",
        };
        _ = writeln!(out, "  launches: counted as epoch_{}, {told}", epoch.kernel);
    }
    signals(out, schedule, ("zeroed before", &kernel.zeroed));
    signals(out, schedule, ("zero afterwards", &kernel.cleared));
    kernel.roles.iter().for_each(|r| role(out, schedule, r));
}

fn cost(cost: &Cost) -> String {
    let Cost { read, written, link, network, messages, waits, time, .. } = cost;
    let far = match network {
        0 => String::new(),
        bytes => format!(", {bytes} to other nodes"),
    };
    format!(
        "reads {read} bytes, writes {written}, sends {link} and {messages} messages over links{far}, waits {waits} times: {:.1} us",
        time / 1e3
    )
}

fn group(out: &mut String, group: &Group) {
    let steps = |steps: &[Step]| {
        let one = |s: &Step| match s.shift {
            0 => format!("{} {}", s.act, s.channel),
            n => format!("{} {} {n:+}", s.act, s.channel),
        };
        steps.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let teams = if group.teams > 1 { format!(" in {} teams", group.teams) } else { String::new() };
    let before = match group.before.is_empty() {
        true => String::new(),
        false => format!("first {}; ", steps(&group.before)),
    };
    let (first, end) = (group.first, group.first + group.threads);
    _ = writeln!(
        out,
        "  threads {first}..{end} {}{teams}: {before}each item {}",
        group.name,
        steps(&group.steps)
    );
}

fn channel(out: &mut String, channel: &Channel) {
    let says = |barrier: &Barrier| match barrier {
        Barrier::Mbarrier { name, arrivals, .. } => format!("mbarrier {name} of {arrivals}"),
        Barrier::Cta { threads } => format!("barrier of {threads} threads"),
        Barrier::Grid { ctas } => format!("barrier of {ctas} CTAs"),
        Barrier::Peer(word) => {
            let words =
                [("release", word.release), ("acquire", word.acquire), ("timeout", word.timeout)];
            let words: Vec<&str> = words.iter().filter(|(_, has)| *has).map(|(w, _)| *w).collect();
            format!("word {} of a peer ({})", word.name, words.join(", "))
        }
        Barrier::Order => "order".to_string(),
    };
    _ = writeln!(
        out,
        "  channel {}: {} places for {} items each, full by {}, free by {}",
        channel.name,
        channel.slots,
        channel.items,
        says(&channel.full),
        says(&channel.empty)
    );
}

fn signals(out: &mut String, schedule: &Schedule, (what, all): (&str, &[Handle<Signal>])) {
    if !all.is_empty() {
        let names: Vec<&str> = all.iter().map(|s| schedule.signals[*s].name.as_str()).collect();
        _ = writeln!(out, "  {what}: {}", names.join(", "));
    }
}

fn role(out: &mut String, schedule: &Schedule, role: &DeviceRole) {
    let kind = format!("{:?}", role.kind).to_lowercase();
    let own = if role.own_ctas { " on its own CTAs" } else { "" };
    let publishes = if role.publishes { ", then publishes the launch" } else { "" };
    _ = writeln!(out, "  role {kind}{own}{publishes}  {}", role.text.join("  "));
    out.push_str(&crate::schedule::print_ops(schedule, &role.ops, 4));
}

fn one_workspace(out: &mut String, schedule: &Schedule, workspace: &Workspace) {
    let bytes = workspace.bytes;
    _ = match workspace.route {
        Some(route) => writeln!(
            out,
            "\nplan of {}: {bytes} bytes a rank, made by {} CTAs",
            schedule.routes[route].name, workspace.ctas
        ),
        None => writeln!(out, "\nhome: {bytes} bytes a rank"),
    };
    for field in &workspace.fields {
        let dims: Vec<String> = field.dims.iter().map(|n| format!("[{n}]")).collect();
        let what = what(schedule, &field.what);
        let end = field.offset + field.bytes;
        _ = writeln!(out, "  {}..{end}: {what}{}", field.offset, dims.concat());
    }
}

/// What a field of a workspace is.
pub(super) fn what(schedule: &Schedule, what: &What) -> String {
    match what {
        What::Barrier => "word of the rank's barrier".to_string(),
        What::Dropped => "tuples without a pair".to_string(),
        What::Epoch(kernel) => format!("launches of {kernel}"),
        What::Live => "live rows".to_string(),
        What::Base(base) => format!("first rows {}", schedule.bases[*base].name),
        What::Table(table) => format!("table {}", schedule.tables[*table].name),
        What::Signal(signal) => format!("signal {}", schedule.signals[*signal].name),
        What::Counts => "counts of peers".to_string(),
        What::Histograms => "histograms".to_string(),
        What::Pairs => "pairs".to_string(),
        What::Mail(kernel) => format!("mail of {kernel}"),
        What::Came(kernel) => format!("came of {kernel}"),
        What::Asked(kernel) => format!("asked of {kernel}"),
    }
}
