//! The memory of a plan on one rank, as a struct whose layout the runtime knows too.

use super::launch::{Field, Workspace};
use super::namer;
use super::out::Out;
use crate::arena::Handle;
use crate::kernel::{self as device, DeviceProgram, What};
use crate::layout::Count;
use crate::schedule::ir::{Deal, DealForm, Ix, Route, Schedule, SlotOrder, Table, TableKind};

/// Entries of a table that go to constant memory.
const CONSTANT_ENTRIES: usize = 1024;

/// Offsets of every field.
pub(super) fn workspaces(program: &DeviceProgram) -> Vec<Workspace> {
    let schedule = program.schedule;
    let field = |f: &device::Field| Field {
        name: field_name(schedule, &f.what),
        offset: f.offset,
        bytes: f.bytes,
    };
    let one = |w: &device::Workspace| Workspace {
        // That of entries without a route has no name.
        route: w.route.map_or(String::new(), |route| schedule.routes[route].name.clone()),
        bytes: w.bytes,
        fields: w.fields.iter().map(field).collect(),
    };
    program.workspaces.iter().map(one).collect()
}

fn field_name(schedule: &Schedule, what: &What) -> String {
    match what {
        What::Barrier => "barrier".to_string(),
        What::Dropped => "dropped".to_string(),
        What::Epoch(kernel) => format!("epoch_{kernel}"),
        What::Live => "live".to_string(),
        What::Base(base) => schedule.bases[*base].name.clone(),
        What::Table(table) => namer::table_name(schedule, *table),
        What::Signal(signal) => schedule.signals[*signal].name.clone(),
        What::Counts => "counts".to_string(),
        What::Histograms => "hist".to_string(),
        What::Pairs => "pairs".to_string(),
        What::Mail(kernel) => format!("mail_{kernel}"),
        What::Came(kernel) => format!("came_{kernel}"),
        What::Asked(kernel) => format!("asked_{kernel}"),
    }
}

/// A table known at bind.
pub(super) fn emit_table(out: &mut Out, schedule: &Schedule, table: Handle<Table>) {
    let TableKind::Const(values) = &schedule.tables[table].kind else { return };
    let space = if values.len() <= CONSTANT_ENTRIES { "__constant__" } else { "__device__" };
    let list: Vec<String> = values.iter().map(i64::to_string).collect();
    out.line(&format!(
        "{space} const i32 {}[{}] = {{{}}};",
        namer::table_name(schedule, table),
        values.len().max(1),
        list.join(", ")
    ));
}

pub(super) fn emit_workspace(out: &mut Out, schedule: &Schedule, workspace: &device::Workspace) {
    let name = namer::workspace_type(schedule, workspace.route);
    let mail = workspace.fields.iter().any(|f| matches!(f.what, What::Mail(_)));
    let what = if mail { "counts, signals and mail" } else { "counts and signals" };
    out.line(&match workspace.route {
        Some(route) => format!(
            "// The plan of route {} on one rank. Peers write {what}; the rest is its own.",
            schedule.routes[route].name
        ),
        None => "// What entries without a route keep on one rank: signals that peers write, and tables of its own.".to_string(),
    });
    out.block_with(&format!("struct {name}"), "};", |out| {
        for field in &workspace.fields {
            let ty = match field.what {
                What::Mail(_) => "Vec<16>",
                What::Pairs => "Pair",
                _ => "u32",
            };
            let declarator = format!("{ty} {}", field_name(schedule, &field.what));
            let declarator = field.dims.iter().fold(declarator, |d, n| format!("{d}[{n}]"));
            out.line(&format!("alignas(16) {declarator};"));
        }
    });
    out.line(&format!(
        "static_assert(sizeof({name}) == {}, \"the runtime allocates this much\");",
        workspace.bytes
    ));
    out.blank();
}

pub(super) fn emit_route(out: &mut Out, schedule: &Schedule, route: &Route, ctas: u32) {
    out.block_with(&format!("struct {}", namer::route_type(&route.name)), "};", |out| {
        out.line(&format!(
            "static constexpr i32 FAN = {}, GROUPS = {}, BINS = {};",
            route.fan,
            route.groups,
            route.bins()
        ));
        out.line(&format!("static constexpr i32 CTAS = {ctas};  // that plan on one rank"));
        emit_members(out, schedule, route);
        emit_order(out, route);
        // Memory holds no more rows of a group than this; slots above it are not filled.
        let rows = route.distinct.then(|| route.positions_bound.saturating_mul(route.members));
        let cap = [route.cap, rows].into_iter().flatten().min();
        let cap = cap.filter(|c| *c < i64::from(u32::MAX));
        let cap = cap.map_or("0xffffffffu".to_string(), |c| format!("{c}u"));
        out.line(&format!("static constexpr u32 CAP = {cap};"));
        let distinct = route.distinct && route.fan > 1;
        out.line(&format!(
            "static constexpr bool DISTINCT = {distinct};  // a position names no group twice"
        ));
        // Of a route with several lookups: what `index` says of a tuple that one of them leaves out.
        let (has, none, trap) = match route.sole_lookup() {
            Some(only) => (only.none.is_some(), only.none.unwrap_or(-1).to_string(), only.trap),
            None => (true, "-9223372036854775807 - 1".to_string(), false),
        };
        let trap_cap = route.trap_cap;
        out.line(&format!(
            "static constexpr bool HAS_NONE = {has}, TRAP_NONE = {trap}, TRAP_CAP = {trap_cap};"
        ));
        out.line(&format!("static constexpr i64 NONE = {none};"));
    });
    out.blank();
}

/// Which member of a plan holds each group; where the plan itself says so, the kernels read it there.
pub(super) fn emit_deal(out: &mut Out, schedule: &Schedule, deal: &Deal) {
    if deal.read.is_some() {
        return;
    }
    let (name, of) = (namer::deal_type(schedule, deal), &deal.groups);
    let Some(tables) = deal.tables else {
        let form = match of.form {
            DealForm::Copies => format!("Copies<{}>", of.groups),
            DealForm::Blocks { each } => format!("Blocks<{}, {}, {each}>", of.groups, of.members),
            _ => format!("Cyclic<{}, {}>", of.groups, of.members),
        };
        out.line(&format!("using {name} = {form};  // which member holds each group"));
        out.blank();
        return;
    };
    let [groups, first] =
        [tables.groups, tables.first].map(|table| namer::table_name(schedule, table));
    out.line("// Which member holds each group.");
    out.block_with(&format!("struct {name}"), "};", |out| {
        let head = "static __device__ __forceinline__ i32";
        out.line(&format!("{head} size(i32 m) {{ return {first}[m + 1] - {first}[m]; }}"));
        out.line(&format!("{head} group(i32 m, i32 i) {{ return {groups}[{first}[m] + i]; }}"));
    });
    out.blank();
}

/// Which ranks make a plan together.
fn emit_members(out: &mut Out, schedule: &Schedule, route: &Route) {
    out.line(&format!(
        "static constexpr i32 MEMBERS = {};  // ranks that make a plan together",
        route.members
    ));
    let head = "static __device__ __forceinline__ i32";
    let member = super::index::bare(schedule, &route.member());
    out.line(&format!("{head} member(i32 me) {{ return {member}; }}"));
    let apart = match route.members {
        1 => "me".to_string(),
        n if n == schedule.ranks => "m".to_string(),
        _ => format!("me + (m - member(me)) * {}", route.stride),
    };
    out.line(&format!("{head} rank(i32 m, i32 me) {{ return {apart}; }}"));
}

/// How the tuples of a group are numbered.
fn emit_order(out: &mut Out, route: &Route) {
    let order = &route.order;
    let number = |count: Count| match count {
        Count::Known(n) => n.to_string(),
        Count::Positions { times, over } => match (times, over) {
            (1, 1) => "positions".to_string(),
            (n, 1) => format!("(positions * {n})"),
            (1, n) => format!("(positions / {n})"),
            (n, d) => format!("(positions / {d} * {n})"),
        },
    };
    let run = number(order.run);
    let whole = match order.run {
        Count::Known(n) => n == route.positions_bound && route.positions == Ix::Lit(n),
        Count::Positions { times, over } => (times, over) == (1, 1),
    };
    let head = "static __device__ __forceinline__ i32";
    out.line("// Slots are numbered by the keys: tuple number i of the rank in that order is this one of [position][choice] ..");
    let tuple = match order.run {
        Count::Known(1) => "i".to_string(),
        _ if whole => format!("i % {run} * FAN + i / {run}"),
        _ => format!("(i / {run} / FAN * {run} + i % {run}) * FAN + i / {run} % FAN"),
    };
    out.line(&format!("{head} tuple(i32 i, i32 positions) {{ return {tuple}; }}"));
    out.line("// .. and is counted with those of equal keys before the rank's; number n of these counts and the ranks is of this");
    out.line("// count and of this member of the plan.");
    let outer = match order.outer {
        1 => "0".to_string(),
        _ => format!("i / {}", number(order.inner)),
    };
    out.line(&format!("{head} outer(i32 i, i32 positions) {{ return {outer}; }}"));
    for (name, of_rank) in [("nth_outer", false), ("nth_member", true)] {
        out.line(&format!("{head} {name}(i32 n) {{ return {}; }}", nth(order, of_rank)));
    }
}

/// The part of number n that is a rank, or is not.
fn nth(order: &SlotOrder, of_rank: bool) -> String {
    let (mut below, mut terms) = (1, Vec::new());
    for (i, digit) in order.digits.iter().enumerate().rev() {
        if digit.of_rank == of_rank && digit.radix > 1 {
            let mut term = "n".to_string();
            if below > 1 {
                term = format!("{term} / {below}");
            }
            if i > 0 {
                term = format!("{term} % {}", digit.radix);
            }
            if digit.weight > 1 {
                term = format!("{term} * {}", digit.weight);
            }
            terms.insert(0, term);
        }
        below *= digit.radix;
    }
    if terms.is_empty() { "0".to_string() } else { terms.join(" + ") }
}
