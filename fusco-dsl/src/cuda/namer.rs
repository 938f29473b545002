//! Names that are safe in C++: a user's word that is taken gets an underscore.

use crate::arena::Handle;
use crate::schedule::ir::{Route, Schedule, Var};
use kernels_templates::{PRELUDE, Part};

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
    "holder",
    "rank_of",
    "load_rows",
    "arrive",
    "RANKS",
    "CTAS",
    "GRID",
    "ROWS",
    "SCOPE",
    "i16",
    "min",
    "max",
];

pub(super) fn name(word: &str) -> String {
    let defined = |(part, _): &(Part, &str)| {
        part.names().iter().any(|name| name.trim_end_matches('(') == word)
    };
    let taken = TAKEN.contains(&word) || PRELUDE.iter().any(defined);
    if taken || numbered(word) || word == "_" { format!("{word}_") } else { word.to_string() }
}

/// `a0`, `row1`: rows and factors are numbered in the order of their loads.
fn numbered(word: &str) -> bool {
    let digits = |stem: &&str| {
        word.strip_prefix(*stem)
            .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    ["a", "x", "row", "from", "place", "factor"].iter().any(digits)
}

/// A loop variable's name; one that a tensor or dyn has too gets an underscore.
pub(super) fn var_name(schedule: &Schedule, var: Handle<Var>) -> String {
    let word = name(&schedule.vars[var].name);
    let tensors = schedule.tensors.iter().map(|(_, t)| &t.name);
    let taken = tensors.chain(schedule.dyns.iter().map(|(_, d)| &d.name)).any(|n| name(n) == word);
    if taken { format!("{word}_") } else { word }
}

/// The workspace's type.
pub(super) fn plan_type(route: &str) -> String {
    format!("Plan_{route}")
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
    format!("{program}_{kernel}")
}
