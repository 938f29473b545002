//! The memory of a plan on one rank, as a struct whose layout the runtime knows too.

use super::out::Out;
use super::{Field, Workspace, namer};
use crate::arena::Handle;
use crate::schedule::ir::{Route, Schedule, SlotOrder};

/// Offsets of every field: each starts at a multiple of 16.
pub(super) fn workspaces(schedule: &Schedule, ctas: u32) -> Vec<Workspace> {
    schedule
        .routes
        .iter()
        .map(|(handle, route)| {
            let mut fields = Vec::new();
            let mut offset = 0;
            for (name, _, words) in members(schedule, handle, route, ctas) {
                let bytes = words as usize * 4;
                fields.push(Field { name, offset, bytes });
                offset += bytes.next_multiple_of(16);
            }
            Workspace { route: route.name.clone(), bytes: offset, fields }
        })
        .collect()
}

/// (name, declarator, 32-bit words)
fn members(
    schedule: &Schedule,
    handle: Handle<Route>,
    route: &Route,
    ctas: u32,
) -> Vec<(String, String, i64)> {
    let mut out = Vec::new();
    let mut word = |name: String, dims: &[i64]| {
        let declarator = dims.iter().fold(format!("u32 {name}"), |d, n| format!("{d}[{n}]"));
        out.push((name, declarator, dims.iter().product::<i64>()));
    };
    word("barrier".into(), &[]);
    word("dropped".into(), &[]);
    for name in kernels_of(schedule, handle) {
        word(format!("epoch_{name}"), &[]);
    }
    word("live".into(), &[route.groups]);
    for (_, base) in schedule.bases.iter().filter(|(_, b)| b.route == handle) {
        word(format!("base{}", base.align), &[route.groups]);
    }
    for (_, signal) in schedule.signals.iter().filter(|(_, s)| s.route == Some(handle)) {
        word(signal.name.clone(), &[signal.slots]);
    }
    word("counts".into(), &[2, schedule.ranks, route.bins()]);
    word("hist".into(), &[i64::from(ctas), route.bins()]);
    let tuples = route.positions_bound * route.fan;
    out.push(("pairs".into(), format!("Pair pairs[{tuples}]"), tuples * 2));
    out
}

/// Kernel names that keep an epoch in this plan: one a step, so that alternatives share it.
fn kernels_of(schedule: &Schedule, route: Handle<Route>) -> Vec<String> {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    steps
        .filter_map(|s| s.alternatives.last())
        .filter(|a| a.kernel.route == Some(route))
        .map(|a| a.kernel.name.clone())
        .collect()
}

pub(super) fn emit_workspace(
    out: &mut Out,
    schedule: &Schedule,
    handle: Handle<Route>,
    workspace: &Workspace,
    ctas: u32,
) {
    let route = &schedule.routes[handle];
    let plan = namer::plan_type(&route.name);
    out.line(&format!(
        "// The plan of route {} on one rank. Peers write counts and signals; the rest is its own.",
        route.name
    ));
    out.block_with(&format!("struct {plan}"), "};", |out| {
        for (_, declarator, _) in members(schedule, handle, route, ctas) {
            out.line(&format!("alignas(16) {declarator};"));
        }
    });
    out.line(&format!(
        "static_assert(sizeof({plan}) == {}, \"the runtime allocates this much\");",
        workspace.bytes
    ));
    out.blank();
}

pub(super) fn emit_route(out: &mut Out, route: &Route) {
    out.block_with(&format!("struct {}", namer::route_type(&route.name)), "};", |out| {
        out.line(&format!("static constexpr i32 FAN = {}, GROUPS = {}, GROUPS_PER_RANK = {}, BINS = {};", route.fan, route.groups, route.groups_per_rank, route.bins()));
        let fan_major = route.order == SlotOrder::FanRankPosition;
        let fan_first = route.order != SlotOrder::RankPositionFan;
        out.line(&format!("static constexpr bool FAN_FIRST = {fan_first}, FAN_MAJOR = {fan_major};  // order of slots"));
        let cap = route.cap.map_or("0xffffffffu".to_string(), |c| format!("{c}u"));
        out.line(&format!("static constexpr u32 CAP = {cap};"));
        out.line(&format!("static constexpr bool HAS_NONE = {}, TRAP_NONE = {}, TRAP_CAP = {};", route.none.is_some(), route.trap_none, route.trap_cap));
        out.line(&format!("static constexpr i64 NONE = {};", route.none.unwrap_or(-1)));
    });
    out.blank();
}
