//! Names that are safe in C++: a user's word that is taken gets an underscore.

use crate::arena::Handle;
use crate::schedule::ir::{Route, Schedule, Var};

/// Words of C++ and of the prelude that a tensor or variable may not take.
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
    "barrier",
    "staged",
    "full",
    "turn",
    "each",
    "most",
    "arrive",
    "min",
    "max",
];

pub(super) fn name(word: &str) -> String {
    let typed = [
        "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "f32", "bf16", "e4m3", "e5m2",
    ]
    .contains(&word);
    if TAKEN.contains(&word) || typed || numbered(word) || word == "_" {
        format!("{word}_")
    } else {
        word.to_string()
    }
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
