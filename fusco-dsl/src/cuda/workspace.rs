//! The memory of a plan on one rank, as a struct whose layout the runtime knows too.

use super::form::Work;
use super::launch::{Field, Workspace};
use super::out::Out;
use super::{Target, choose, namer};
use crate::arena::Handle;
use crate::layout::Count;
use crate::schedule::ir::{Deal, DealForm, Ix, Route, Schedule, SlotOrder, Table, TableKind};
use std::collections::BTreeSet;

/// Entries of a table that go to constant memory.
const CONSTANT_ENTRIES: usize = 1024;

/// Offsets of every field: each starts at a multiple of 16.
pub(super) fn workspaces(schedule: &Schedule, target: &Target) -> Vec<Workspace> {
    schedule
        .routes
        .iter()
        .map(|(handle, route)| {
            let mut fields = Vec::new();
            let mut offset = 0;
            let ctas = choose::plan_ctas(schedule, target, handle);
            for (name, _, words) in members(schedule, target, handle, ctas) {
                let bytes = words as usize * 4;
                fields.push(Field { name, offset, bytes });
                offset += bytes.next_multiple_of(16);
            }
            Workspace { route: route.name.clone(), bytes: offset, fields }
        })
        .chain(home(schedule))
        .collect()
}

/// The workspace of entries without a route; its route has no name.
fn home(schedule: &Schedule) -> Option<Workspace> {
    let kernels = kernels_of(schedule, None);
    if kernels.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    let mut offset = 0;
    for (name, words) in home_members(schedule) {
        let bytes = words.unwrap_or(1) as usize * 4;
        fields.push(Field { name, offset, bytes });
        offset += bytes.next_multiple_of(16);
    }
    Some(Workspace { route: String::new(), bytes: offset, fields })
}

/// (name, 32-bit words of an array; `None` for one word that is no array).
fn home_members(schedule: &Schedule) -> Vec<(String, Option<i64>)> {
    let mut out = vec![("barrier".to_string(), None)];
    out.extend(kernels_of(schedule, None).into_iter().map(|k| (format!("epoch_{k}"), None)));
    let signals = schedule.signals.iter().filter(|(_, s)| s.route.is_none());
    out.extend(signals.map(|(_, s)| (s.name.clone(), Some(s.slots))));
    let tables = schedule.tables_in(None);
    out.extend(tables.map(|(table, t)| (namer::table_name(schedule, table), Some(t.len))));
    out
}

pub(super) fn emit_home(out: &mut Out, schedule: &Schedule, workspace: &Workspace) {
    out.line("// What entries without a route keep on one rank: signals that peers write, and tables of its own.");
    out.block_with("struct Home", "};", |out| {
        for (name, words) in home_members(schedule) {
            match words {
                None => out.line(&format!("alignas(16) u32 {name};")),
                Some(words) => out.line(&format!("alignas(16) u32 {name}[{words}];")),
            }
        }
    });
    out.line(&format!(
        "static_assert(sizeof(Home) == {}, \"the runtime allocates this much\");",
        workspace.bytes
    ));
    out.blank();
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

/// (name, declarator, 32-bit words)
fn members(
    schedule: &Schedule,
    target: &Target,
    handle: Handle<Route>,
    ctas: u32,
) -> Vec<(String, String, i64)> {
    let route = &schedule.routes[handle];
    // Rows in the mail come first: they begin at whole lines.
    let mut out = mails(schedule, target, handle);
    let mut word = |name: String, dims: &[i64]| {
        let declarator = dims.iter().fold(format!("u32 {name}"), |d, n| format!("{d}[{n}]"));
        out.push((name, declarator, dims.iter().product::<i64>()));
    };
    word("barrier".into(), &[]);
    word("dropped".into(), &[]);
    for name in kernels_of(schedule, Some(handle)) {
        word(format!("epoch_{name}"), &[]);
    }
    word("live".into(), &[route.groups]);
    for (_, base) in schedule.bases_of(handle) {
        word(base.name.clone(), &[route.groups]);
    }
    for (table, info) in schedule.tables_in(Some(handle)) {
        word(namer::table_name(schedule, table), &[info.len]);
    }
    for (_, signal) in schedule.signals.iter().filter(|(_, s)| s.route == Some(handle)) {
        word(signal.name.clone(), &[signal.slots]);
    }
    word("counts".into(), &[2, route.members, route.bins()]);
    word("hist".into(), &[i64::from(ctas), route.bins()]);
    let tuples = route.positions_bound * route.fan;
    out.push(("pairs".into(), format!("Pair pairs[{tuples}]"), tuples * 2));
    out
}

/// The rows that peers push to a kernel's CTAs, how many have come for each place, and what peers ask for.
fn mails(schedule: &Schedule, target: &Target, route: Handle<Route>) -> Vec<(String, String, i64)> {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    let kernels = steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel);
    let (mut rows, mut words) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for kernel in kernels.filter(|k| k.route == Some(route) && seen.insert(&k.name)) {
        let form = choose::form(schedule, target, kernel);
        let Work::Ring(ring) = &form.work else { continue };
        let Some(mail) = ring.mail else { continue };
        let (ctas, places, name) = (i64::from(form.ctas_per_rank), mail.places, &kernel.name);
        let vectors = ring.pitch();
        let mail = format!("Vec<16> mail_{name}[{ctas}][{places}][{vectors}]");
        rows.push((format!("mail_{name}"), mail, ctas * places * vectors * 4));
        let came = format!("u32 came_{name}[{ctas}][{places}]");
        words.push((format!("came_{name}"), came, ctas * places));
        let asked = format!("u32 asked_{name}[{}][{ctas}][{places}]", schedule.ranks);
        words.push((format!("asked_{name}"), asked, schedule.ranks * ctas * places));
    }
    rows.into_iter().chain(words).collect()
}

/// Kernel names that keep an epoch in this plan: one a step, so that alternatives share it.
fn kernels_of(schedule: &Schedule, route: Option<Handle<Route>>) -> Vec<String> {
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    steps
        .filter_map(|s| s.alternatives.last())
        .filter(|a| a.kernel.route == route)
        .map(|a| a.kernel.name.clone())
        .collect()
}

pub(super) fn emit_workspace(
    out: &mut Out,
    (schedule, target): (&Schedule, &Target),
    handle: Handle<Route>,
    workspace: &Workspace,
    ctas: u32,
) {
    let route = &schedule.routes[handle];
    let plan = namer::plan_type(&route.name);
    let members = members(schedule, target, handle, ctas);
    let mail = members.iter().any(|(name, ..)| name.starts_with("mail_"));
    let what = if mail { "counts, signals and mail" } else { "counts and signals" };
    out.line(&format!(
        "// The plan of route {} on one rank. Peers write {what}; the rest is its own.",
        route.name
    ));
    out.block_with(&format!("struct {plan}"), "};", |out| {
        for (_, declarator, _) in members {
            out.line(&format!("alignas(16) {declarator};"));
        }
    });
    out.line(&format!(
        "static_assert(sizeof({plan}) == {}, \"the runtime allocates this much\");",
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
        out.line(&format!(
            "static constexpr bool HAS_NONE = {}, TRAP_NONE = {}, TRAP_CAP = {};",
            route.none.is_some(),
            route.trap_none,
            route.trap_cap
        ));
        out.line(&format!("static constexpr i64 NONE = {};", route.none.unwrap_or(-1)));
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
