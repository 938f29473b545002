//! Names that are safe in C++ and differ from each other. A user's word that is taken gets an underscore, and so
//! do those that are such a word with underscores: no two words become one.

use crate::arena::Handle;
use crate::schedule::ir::{Deal, Route, Schedule, Table, Var};
use kernels_templates::PRELUDE;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Words of C++ and of generated kernels that a tensor or variable may not take, besides what the prelude
/// defines.
const TAKEN: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "asm",
    "auto",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "constexpr",
    "continue",
    "count",
    "default",
    "delete",
    "do",
    "double",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "fail",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "launch",
    "load",
    "long",
    "me",
    "mutable",
    "namespace",
    "new",
    "not",
    "operator",
    "or",
    "cta",
    "epoch",
    "lane",
    "live",
    "next",
    "pair",
    "plan",
    "plans",
    "positions",
    "private",
    "protected",
    "public",
    "register",
    "return",
    "scan",
    "shared",
    "short",
    "signed",
    "sizeof",
    "slots",
    "start",
    "static",
    "store",
    "struct",
    "switch",
    "template",
    "this",
    "throw",
    "totals",
    "totals_from",
    "true",
    "try",
    "typedef",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "warp",
    "warps",
    "while",
    "acc",
    "first",
    "v",
    "kept",
    "point",
    "step",
    "loaded",
    "place",
    "value",
    "number",
    "elem",
    "extent_of",
    "element",
    "named",
    "block",
    "tile",
    "column",
    "before",
    "sum",
    "rows",
    "mine",
    "begin",
    "end",
    "from",
    "to",
    "row",
    "tuple",
    "scaled",
    "i",
    "staged",
    "full",
    "turn",
    "turns",
    "turn_at",
    "at",
    "Tuple",
    "parity",
    "tuples",
    "slot",
    "empty",
    "summed",
    "told",
    "found",
    "known",
    "taken",
    "finder",
    "use",
    "ready",
    "all",
    "SLOTS",
    "ADDERS",
    "SUMS",
    "MAIL",
    "AHEAD",
    "PUSHERS",
    "WORDS",
    "answered",
    "owner",
    "ahead",
    "asked",
    "got",
    "came",
    "peer",
    "word",
    "open",
    "deadline",
    "pusher",
    "pushed",
    "each",
    "total",
    "order",
    "ends",
    "holder",
    "rank_of",
    "pair_at",
    "turn",
    "load_rows",
    "arrive",
    "RANKS",
    "CTAS",
    "GRID",
    "ROWS",
    "SCOPE",
    "min",
    "max",
    "load_tile",
    "Home",
    "SCOPE",
    "threadIdx",
    "blockIdx",
    "blockDim",
    "gridDim",
    "warpSize",
    "and_eq",
    "bitand",
    "bitor",
    "char16_t",
    "char32_t",
    "char8_t",
    "compl",
    "concept",
    "consteval",
    "constinit",
    "const_cast",
    "co_await",
    "co_return",
    "co_yield",
    "decltype",
    "dynamic_cast",
    "noexcept",
    "not_eq",
    "nullptr",
    "or_eq",
    "reinterpret_cast",
    "requires",
    "static_assert",
    "static_cast",
    "thread_local",
    "typeid",
    "wchar_t",
    "xor",
    "xor_eq",
    "main",
    "NULL",
    "linux",
    "unix",
    "u",
    "j",
    "inside",
    "group",
    "LATER",
    "TOLD",
    "own",
    "places",
    "tiles",
    "fetched",
    "done",
    "tell",
    "store_row",
    "until",
    "most",
];

/// All words that are taken, those that the prelude defines or calls among them.
static WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let mut words: BTreeSet<&str> = TAKEN.iter().copied().collect();
    for (part, text) in PRELUDE {
        words.extend(part.names().iter().map(|name| name.trim_end_matches('(')));
        words.extend(called(text));
    }
    words
});

/// Words before a parenthesis.
fn called(text: &'static str) -> impl Iterator<Item = &'static str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('(').filter_map(move |(at, _)| {
        let word = text[..at].rsplit(|c| !inside(c)).next()?;
        word.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(word)
    })
}

/// A tensor, dyn or variable as a C++ name.
pub(super) fn name(word: &str) -> String {
    let bare = word.trim_start_matches('_');
    let (before, _) = bare.split_once('_').unwrap_or_default();
    let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
    if matches!(before, "Plan" | "Route" | "Groups") {
        return format!("_{word}");
    }
    let stem = stem(word);
    let taken = WORDS.contains(stem) || numbered(stem) || stem.is_empty() || word.starts_with("__");
    if taken { format!("{word}_") } else { word.to_string() }
}

/// Without the underscores at its end.
fn stem(word: &str) -> &str {
    word.trim_end_matches('_')
}

/// `a0`, `row1`: rows and factors are numbered in the order of their loads.
fn numbered(word: &str) -> bool {
    let digits = |stem: &&str| {
        word.strip_prefix(*stem)
            .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let stems = ["a", "x", "row", "from", "place", "factor", "own", "at", "acc"];
    stems.iter().chain(&["part", "total", "any"]).any(digits)
}

/// A loop variable's name; one that a tensor or dyn has too gets more underscores than those have.
pub(super) fn var_name(schedule: &Schedule, var: Handle<Var>) -> String {
    let word = name(&schedule.vars[var].name);
    let tensors = schedule.tensors.iter().map(|(_, t)| &t.name);
    let given = tensors.chain(schedule.dyns.iter().map(|(_, d)| &d.name)).map(|n| name(n));
    let same = given.filter(|n| stem(n) == stem(&word));
    match same.map(|n| n.len() - stem(&n).len() + 1).max() {
        None => word,
        Some(more) => format!("{word}{}", "_".repeat(more)),
    }
}

/// A table's name: no argument, variable, kernel or field of a workspace has it.
pub(super) fn table_name(schedule: &Schedule, table: Handle<Table>) -> String {
    let mut given: BTreeSet<String> = BTreeSet::from(["barrier".to_string()]);
    given.extend(schedule.tensors.iter().map(|(_, t)| name(&t.name)));
    given.extend(schedule.dyns.iter().map(|(_, d)| name(&d.name)));
    given.extend(schedule.vars.iter().map(|(var, _)| var_name(schedule, var)));
    given.extend(schedule.signals.iter().map(|(_, s)| s.name.clone()));
    let steps = schedule.entries.iter().flat_map(|e| &e.steps);
    for kernel in steps.flat_map(|s| &s.alternatives).map(|a| &a.kernel) {
        given.insert(format!("epoch_{}", kernel.name));
        given.insert(symbol(&schedule.program, &kernel.name));
    }
    for (other, info) in schedule.tables.iter() {
        let mut word = name(&info.name.replace('.', "_"));
        while given.contains(&word) {
            word.push('_');
        }
        if other == table {
            return word;
        }
        given.insert(word);
    }
    name(&schedule.tables[table].name)
}

/// The workspace's type.
pub(super) fn plan_type(route: &str) -> String {
    format!("Plan_{route}")
}

/// Which member of a plan holds each group.
pub(super) fn deal_type(schedule: &Schedule, deal: &Deal) -> String {
    let route = &schedule.routes[deal.route].name;
    match deal.number {
        1 => format!("Groups_{route}"),
        n => format!("Groups{n}_{route}"),
    }
}

/// The workspace's type of a kernel: its plan's, or the home's.
pub(super) fn workspace_type(schedule: &Schedule, route: Option<Handle<Route>>) -> String {
    route.map_or("Home".to_string(), |r| plan_type(&schedule.routes[r].name))
}

/// The route's constants.
pub(super) fn route_type(route: &str) -> String {
    format!("Route_{route}")
}

/// A kernel's symbol.
pub(super) fn symbol(program: &str, kernel: &str) -> String {
    name(&format!("{program}_{kernel}"))
}
