//! Rust names: what `fusco!` calls the things that a program declares.
//!
//! What a user writes himself is the program's word or, for params and dyns, that word in lower case: the module, an
//! entry's method, the fields of `Params` and of arguments. Words of Rust become raw. Two that would be one name are
//! F0106. What is made of a word, `alloc_x`, `plan_r`, `MainArgs`, `RouteR`, gives way: it gets underscores until
//! nothing else of its scope has the name.

use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::sema::hir::{Dyn, Param, Program, Route, Tensor};
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

/// The names of one program. Raw ones start with `r#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub module: String,
    /// Fields of `Params`.
    pub params: BTreeMap<Handle<Param>, String>,
    /// Fields of arguments.
    pub dyns: BTreeMap<Handle<Dyn>, String>,
    pub tensors: BTreeMap<Handle<Tensor>, String>,
    /// Methods of `Bound`, in the order of [`Program::entries`].
    pub entries: Vec<String>,
    pub untyped: String,
    pub allocs: BTreeMap<Handle<Tensor>, String>,
    pub plans: BTreeMap<Handle<Route>, String>,
    /// Types, in the order of [`Program::entries`].
    pub args: Vec<String>,
    pub routes: BTreeMap<Handle<Route>, String>,
}

/// The names of programs that become modules side by side.
///
/// # Errors
/// F0106 on the second of two words that would be one name.
pub fn names(programs: &[Program]) -> Result<Vec<Names>, Diagnostics> {
    let mut wrong = Diagnostics::default();
    let mut modules = Given::new("module", &mut wrong);
    let modules: Vec<String> =
        programs.iter().map(|p| modules.word(&p.name, &p.name, p.name_span)).collect();
    let named = programs.iter().zip(modules);
    let named = named.map(|(program, module)| of(program, module, &mut wrong)).collect();
    wrong.0.sort_by_key(|d| d.span);
    if wrong.has_errors() { Err(wrong) } else { Ok(named) }
}

fn of(program: &Program, module: String, wrong: &mut Diagnostics) -> Names {
    let mut fields = Given::new("field of `Params`", wrong);
    let param = |(h, p): (_, &Param)| (h, fields.word(&p.name, &p.name.to_lowercase(), p.span));
    let params = program.params.iter().map(param).collect();

    let mut fields = Given::new("field of an entry's arguments", wrong);
    let tensor = |(h, t): (_, &Tensor)| (h, fields.word(&t.name, &t.name, t.span));
    let tensors = program.tensors.iter().map(tensor).collect();
    let dynamic = |(h, d): (_, &Dyn)| (h, fields.word(&d.name, &d.name.to_lowercase(), d.span));
    let dyns = program.dyns.iter().map(dynamic).collect();

    let mut methods = Given::new("method of `Bound`", wrong);
    let entries = program.entries.iter().map(|e| methods.word(&e.name, &e.name, e.span)).collect();
    let made = program.tensors.iter().map(|(_, t)| format!("alloc_{}", t.name));
    let made = made.chain(program.routes.iter().map(|(_, r)| format!("plan_{}", r.name)));
    let mut made = apart(methods.taken(), made.chain(["untyped".to_string()])).into_iter();
    let allocs = program.tensors.iter().map(|(h, _)| h).zip(&mut made).collect();
    let plans = program.routes.iter().map(|(h, _)| h).zip(&mut made).collect();
    let untyped = made.next().unwrap_or_default();

    let types = program.entries.iter().map(|e| args_type(&e.name));
    let types = types.chain(program.routes.iter().map(|(_, r)| format!("Route{}", camel(&r.name))));
    let fixed = BTreeSet::from(["Params", "Bound"].map(String::from));
    let mut types = apart(fixed, types).into_iter();
    let args = types.by_ref().take(program.entries.len()).collect();
    let routes = program.routes.iter().map(|(h, _)| h).zip(types).collect();
    Names { module, params, dyns, tensors, entries, untyped, allocs, plans, args, routes }
}

/// The names that words of the program have in one scope.
struct Given<'a> {
    scope: &'static str,
    /// Each with its word.
    names: BTreeMap<String, (String, Span)>,
    wrong: &'a mut Diagnostics,
}

impl<'a> Given<'a> {
    fn new(scope: &'static str, wrong: &'a mut Diagnostics) -> Self {
        Given { scope, names: BTreeMap::new(), wrong }
    }

    /// The Rust name of a word that `written` is made of; F0106 if another one has it.
    fn word(&mut self, word: &str, written: &str, span: Span) -> String {
        let name = rust(written);
        let Some((other, first)) = self.names.get(&name) else {
            self.names.insert(name.clone(), (word.to_string(), span));
            return name;
        };
        let (first, other, at, word) = if *first < span {
            (*first, other.as_str(), span, word)
        } else {
            (span, word, *first, other.as_str())
        };
        let mut free = format!("{word}2");
        while [&free, &free.to_lowercase()].iter().any(|f| self.names.contains_key(*f)) {
            free.push('2');
        }
        let claim = format!("in Rust `{word}` and `{other}` are one name, `{name}`");
        self.wrong.push(
            Diagnostic::error("F0106", at, claim)
                .label(format!("would be the same {}", self.scope))
                .related(first, "first here")
                .note(reason(word, other))
                .help(format!("rename one of them: `{free}`")),
        );
        name
    }

    fn taken(&self) -> BTreeSet<String> {
        self.names.keys().cloned().collect()
    }
}

fn reason(word: &str, other: &str) -> &'static str {
    if word.eq_ignore_ascii_case(other) {
        "params and dyns are fields of Rust structs, in lower case"
    } else {
        "Rust keeps `self`, `Self`, `super`, `crate` and `_` to itself; they get an underscore"
    }
}

/// Names that nothing else has: one that is taken gets underscores, and never the name that another would have by
/// itself.
fn apart(mut taken: BTreeSet<String>, wanted: impl Iterator<Item = String>) -> Vec<String> {
    let wanted: Vec<String> = wanted.collect();
    let by_itself: BTreeSet<&String> = wanted.iter().collect();
    let mut out = Vec::new();
    for name in &wanted {
        let mut free = name.clone();
        while taken.contains(&free) || free != *name && by_itself.contains(&free) {
            free.push('_');
        }
        taken.insert(free.clone());
        out.push(free);
    }
    out
}

/// A word as a Rust identifier.
fn rust(word: &str) -> String {
    match word {
        "self" | "Self" | "super" | "crate" | "_" => format!("{word}_"),
        _ if KEYWORDS.contains(&word) => format!("r#{word}"),
        _ => word.to_string(),
    }
}

/// Words of any edition that may be raw.
const KEYWORDS: [&str; 48] = [
    "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false",
    "fn", "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "static", "struct", "trait", "true", "type", "unsafe", "use", "where",
    "while", "abstract", "become", "box", "do", "final", "macro", "override", "priv", "try",
    "typeof", "unsized", "virtual", "yield",
];

/// `go_on` has `GoOnArgs`, `_1` has `_1Args`.
fn args_type(entry: &str) -> String {
    let name = format!("{}Args", camel(entry));
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn camel(name: &str) -> String {
    let upper = |part: &str| {
        part.chars()
            .take(1)
            .flat_map(char::to_uppercase)
            .chain(part.chars().skip(1))
            .collect::<String>()
    };
    name.split('_').map(upper).collect()
}
