//! Mistakes in declarations: meshes, sizes, tensors, the headers of routes and entries.

use super::advice::dashed;
use super::site::{Site, is_name, is_number, is_word};
use super::words;
use crate::diag::Diagnostic;
use crate::source::Span;

const ELEMENTS: [&str; 12] =
    ["f32", "f16", "bf16", "e4m3", "e5m2", "i8", "i32", "i64", "u8", "u32", "ix32", "ix64"];
const ATTRIBUTES: [&str; 5] = ["fill", "align", "uneven", "stride", "swizzle"];

pub(super) fn any(s: &Site) -> Option<Diagnostic> {
    match s.kind() {
        "mesh" => mesh(s),
        "const" => constant(s),
        "param" => param(s),
        "dyn" => dynamic(s),
        "in" | "out" | "inout" | "tmp" => tensor(s),
        _ => None,
    }
    .or_else(|| several_names(s))
}

fn is_element(word: &str) -> bool {
    ELEMENTS.contains(&word) || words::element(word).is_some()
}

/// `param M, N: int;`
fn several_names(s: &Site) -> Option<Diagnostic> {
    if s.found() != "," || s.place() != 2 {
        return None;
    }
    let kind = s.kind();
    let diagnostic = s.error("a declaration has one name");
    let mut names = vec![s.back(1)];
    let mut at = s.at;
    while s.word(at) == "," && is_name(s.word(at + 1)) {
        names.push(s.word(at + 1));
        at += 2;
    }
    let rest = s.slice(Span::new(s.span(at).start, s.span(s.last()).end));
    let each: Vec<String> = names.iter().map(|n| format!("{kind} {n}{rest};")).collect();
    let whole = Span::new(s.span(s.item).start, s.span(s.last() + 1).end);
    let fits = s.word(at) == ":" && s.word(s.last() + 1) == ";";
    Some(
        diagnostic
            .help("write one for each")
            .fixed(fits.then(|| crate::diag::Fix { span: whole, replacement: each.join(" ") })),
    )
}

fn mesh(s: &Site) -> Option<Diagnostic> {
    let found = s.found();
    if s.place() == 1 && matches!(found, "{" | "(" | "[") {
        let name = s.fresh("ranks");
        return Some(
            s.error("a mesh has a name")
                .help(format!("write `mesh {name} {{ .. }}`"))
                .fix(s.behind(), format!(" {name}")),
        );
    }
    if s.place() != 2 {
        return None;
    }
    let form = "write `mesh tp { gpu: 8 }`: a name, and each axis with its extent";
    match found {
        "(" | "[" => {
            let close = s.closer(s.at)?;
            let axes = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            let named = axes.contains(':');
            let end = if s.word(close + 1) == ";" { close + 1 } else { close };
            let fix = format!("{{ {} }}", axes.trim());
            let diagnostic = s.error("the axes of a mesh stand in braces").help(form);
            Some(match named {
                true => diagnostic.fix(s.spans(s.at, end), fix),
                false => diagnostic,
            })
        }
        "=" | ":" if s.word(s.at + 1) == "{" => Some(
            s.error(format!("no `{found}` before the braces of a mesh"))
                .help("remove it")
                .fix(s.span(s.at), ""),
        ),
        "=" | ":" => {
            let (axis, last) = (s.back(1), s.last());
            let extent = s.slice(s.spans(s.at + 1, last));
            let name = s.fresh("ranks");
            let end = if s.word(last + 1) == ";" { last + 1 } else { last };
            let diagnostic = s.error("the axes of a mesh stand in braces").help(form);
            let plain = is_number(s.word(s.at + 1)) || is_name(s.word(s.at + 1));
            Some(match plain && last == s.at + 1 {
                true => diagnostic
                    .fix(s.spans(s.item, end), format!("mesh {name} {{ {axis}: {extent} }}")),
                false => diagnostic,
            })
        }
        "-" | "." => dashed(s),
        _ => None,
    }
}

/// Inside the braces of a mesh.
pub(super) fn mesh_axis(s: &Site) -> Option<Diagnostic> {
    let found = s.found();
    let form = "write each axis with its extent: `mesh tp { gpu: 8 }`";
    if is_number(found) && s.back(1) == "=" {
        let equals = s.span(s.at - 1);
        return Some(
            Diagnostic::error("F0001", equals, "the extent of a mesh axis stands behind `:`")
                .note("`all = (node, gpu)` joins axes under one name")
                .help("write `:`")
                .fix(equals, ":"),
        );
    }
    if is_number(found) && matches!(s.back(1), "{" | ",") {
        let name = s.fresh("gpu");
        let start = Span::new(s.span(s.at).start, s.span(s.at).start);
        return Some(
            s.error("an axis of a mesh has a name").help(form).fix(start, format!("{name}: ")),
        );
    }
    if found == ";" {
        let last = s.word(s.at + 1) == "}";
        return Some(
            s.error("axes of a mesh are separated by `,`")
                .help(if last { "remove it" } else { "write `,`" })
                .fix(s.span(s.at), if last { "" } else { "," }),
        );
    }
    if matches!(found, "}" | ",") && is_name(s.back(1)) && matches!(s.back(2), "{" | ",") {
        return Some(
            s.error(format!("mesh axis `{}` has no extent", s.back(1)))
                .note("an extent is a number or a `param`")
                .help(form),
        );
    }
    if is_name(found) && (is_number(s.back(1)) || is_name(s.back(1))) && s.word(s.at + 1) == ":" {
        return Some(
            Diagnostic::error("F0001", s.behind(), "a `,` is missing between two axes")
                .help("add `,`")
                .fix(s.behind(), ","),
        );
    }
    None
}

fn constant(s: &Site) -> Option<Diagnostic> {
    let (found, name) = (s.found(), s.word(s.item + 1));
    match (s.place(), found) {
        (2, ":") => {
            let equals = (s.at..=s.last()).find(|i| s.word(*i) == "=")?;
            let ty = Span::new(s.behind().start, s.span(equals - 1).end);
            Some(
                s.error("a `const` has no type: it is an integer, or a list of them")
                    .help(format!("write `const {name} = ..`"))
                    .fix(ty, ""),
            )
        }
        (2, ":=" | "==" | "<-") => Some(
            s.error(format!("syntax error: expected `=`, found `{found}`"))
                .help("write `=`")
                .fix(s.span(s.at), "="),
        ),
        (2, found) if is_number(found) => Some(
            s.error(format!("syntax error: expected `=`, found `{found}`"))
                .help(format!("write `const {name} = {found}`"))
                .fix(s.behind(), " ="),
        ),
        (2, ";") => Some(
            s.error(format!("`{name}` has no value"))
                .help("write `const N = 8;`; a size that is given later is a `param N: int;`"),
        ),
        (2, found) if is_name(found) && s.word(s.at + 1) == "=" => Some(
            Diagnostic::error("F0001", s.span(s.at - 1), "a `const` has no type")
                .help(format!("write `const {found} = ..`"))
                .fix(s.spans(s.at - 1, s.at), found),
        ),
        _ => None,
    }
}

fn param(s: &Site) -> Option<Diagnostic> {
    let (found, name) = (s.found(), s.word(s.item + 1));
    let valued = |s: &Site| {
        let head = Span::new(s.span(s.item).start, s.span(s.at).end);
        let out = s
            .error("a `param` has no default value")
            .note("it is given when the program is bound: `--set NAME=8` on the command line")
            .help(format!("for a number that never changes write `const {name} = ..`"));
        Some(out.fix(head, format!("const {name} =")))
    };
    let condition = |s: &Site| {
        Some(
            s.error("what holds of a `param` stands behind `where`")
                .help(format!("write `where {name} {found} ..`"))
                .fix(s.behind(), format!(" where {name}")),
        )
    };
    match (s.place(), found) {
        (2, ";") => Some(
            Diagnostic::error("F0001", s.behind(), format!("`{name}` has no type"))
                .help("add `: int`")
                .fix(s.behind(), ": int"),
        ),
        (2 | 4, "=" | ":=") => valued(s),
        (4, "<=" | "<" | ">" | ">=" | "==" | "!=" | "%") => condition(s),
        (2, "<=" | "<" | ">" | ">=" | "%" | "where" | "in") => {
            let text = if matches!(found, "where" | "in") {
                ": int".to_string()
            } else {
                format!(": int where {name}")
            };
            Some(
                Diagnostic::error("F0001", s.behind(), format!("`{name}` has no type"))
                    .help(format!("write `param {name}: int where ..`"))
                    .fix(s.behind(), text),
            )
        }
        (2, found) if is_name(found) => {
            let (first, second) = if is_size_type(name) { (found, "int") } else { (name, "int") };
            Some(
                s.error("the type of a `param` stands behind its name")
                    .help(format!("write `param {first}: {second}`"))
                    .fix(s.spans(s.at - 1, s.at), format!("{first}: {second}")),
            )
        }
        (4, "[") => {
            let close = s.closer(s.at)?;
            Some(
                s.error("an array of integers is `ints`; its length is given with it")
                    .help(format!("write `param {name}: ints`"))
                    .fix(s.spans(s.at - 1, close), "ints"),
            )
        }
        _ => None,
    }
}

fn is_size_type(word: &str) -> bool {
    matches!(
        word,
        "int"
            | "ints"
            | "size"
            | "usize"
            | "integer"
            | "size_t"
            | "uint"
            | "u32"
            | "u64"
            | "i32"
            | "i64"
    )
}

fn dynamic(s: &Site) -> Option<Diagnostic> {
    let (found, name) = (s.found(), s.word(s.item + 1));
    let typed = s.earlier(":").is_some();
    let why = "memory is reserved for the most that it can be, before it is known";
    match found {
        ";" | "where" | "=" | ">=" | "in" if typed => {
            let bound = bound_of(s, name);
            let shown = bound.as_deref().unwrap_or("TMAX").to_string();
            let out = s
                .error(format!("`dyn {name}` has no bound"))
                .note(why)
                .help(format!("add one: `dyn {name}: int <= {shown};`, a `param` or a number"));
            Some(match bound {
                Some(bound) if found == ";" => out.fix(s.behind(), format!(" <= {bound}")),
                _ => out,
            })
        }
        "<" if typed => Some(
            s.error("the bound of a `dyn` is given by `<=`")
                .note("it is the most that the value may be")
                .help("write `<=`, and the last value that is allowed"),
        ),
        "<=" | ";" if !typed => {
            let out = Diagnostic::error("F0001", s.behind(), format!("`{name}` has no type"))
                .help(format!("write `dyn {name}: int <= ..`"));
            Some(if found == "<=" { out.fix(s.behind(), ": int") } else { out.note(why) })
        }
        found if s.place() == 2 && is_name(found) && is_size_type(name) => Some(
            s.error("the type of a `dyn` stands behind its name")
                .help(format!("write `dyn {found}: int`"))
                .fix(s.spans(s.at - 1, s.at), format!("{found}: int")),
        ),
        _ => None,
    }
}

/// The size that was declared as the bound of a dyn, by its name.
fn bound_of(s: &Site, name: &str) -> Option<String> {
    let sizes = [s.declared("param"), s.declared("const")].concat();
    let named = |p: &&&str| {
        let (p, n) = (p.to_uppercase(), name.to_uppercase());
        p.contains("MAX") && p.replace(['_'], "").replace("MAX", "") == n
    };
    sizes.iter().find(named).map(|p| p.to_string())
}

fn tensor(s: &Site) -> Option<Diagnostic> {
    if let Some(&open) = s.brackets.first() {
        return if s.word(open) == "[" && s.back_of(open) == "@" {
            in_placement(s)
        } else if s.word(open) == "[" && s.brackets.len() == 1 {
            in_axes(s, open)
        } else {
            None
        };
    }
    let (found, place, name) = (s.found(), s.place(), s.word(s.item + 1));
    let form = format!("write `{} x: bf16[m: 1024, h: 512] @ [m/gpu, m, h];`", s.kind());
    match (place, found) {
        (2, "=") => Some(
            s.error("the type of a tensor stands behind `:`")
                .help("write `:`")
                .fix(s.span(s.at), ":"),
        ),
        (2, "[") => {
            let close = s.closer(s.at)?;
            let out = s.error("the axes of a tensor stand behind its element type").help(&form);
            let typed = s.word(close + 1) == ":" && is_name(s.word(close + 2));
            Some(match typed {
                true => {
                    let axes = s.slice(s.spans(s.at, close));
                    let new = format!(": {}{axes}", s.word(close + 2));
                    out.fix(s.spans(s.at, close + 2), new)
                }
                false if is_element(name) => out.note(format!("`{name}` is an element type")),
                false => out,
            })
        }
        (2, word) if is_name(word) && is_element(name) => {
            let out = s.error("a tensor has its name first, then its element type").help(&form);
            Some(out.fix(s.spans(s.at - 1, s.at), format!("{word}: {name}")))
        }
        (2, word) if is_name(word) => Some(
            Diagnostic::error("F0001", s.behind(), "a `:` is missing behind the name")
                .help("add `:`")
                .fix(s.behind(), ":"),
        ),
        (2, "-" | ".") => dashed(s),
        (3, "[" | "(") => Some(s.error("the element type is missing").help(&form)),
        (4, "<") => {
            Some(s.error("a tensor is its element type, then its axes in `[ ]`").help(&form))
        }
        (4, "@" | ";" | "with" | "=") => Some(
            Diagnostic::error("F0001", s.behind(), format!("`{name}` has no axes"))
                .note("a number alone is a `param` or a `dyn`")
                .help(&form),
        ),
        (_, "[") if s.back(1) == "]" && s.earlier("@").is_none() => Some(
            Diagnostic::error("F0001", s.behind(), "a placement starts with `@`")
                .help("add `@`")
                .fix(s.behind(), " @"),
        ),
        (_, "(" | "{") if s.back(1) == "@" => {
            let close = s.closer(s.at)?;
            let terms = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            Some(
                s.error("a placement is a list in `[ ]`")
                    .help(format!("write `@ [{}]`", terms.trim()))
                    .fix(s.spans(s.at, close), format!("[{}]", terms.trim())),
            )
        }
        (_, "=" | ":=") if s.back(1) == "]" => Some(
            s.error("a tensor has no initial value")
                .help("elements that no statement writes: `with fill(0)`"),
        ),
        (_, "=") if s.earlier("with").is_some() && is_name(s.back(1)) => {
            let value = s.last();
            let text = s.slice(s.spans(s.at + 1, value));
            Some(
                s.error("the value of an attribute stands in parentheses")
                    .help(format!("write `{}({text})`", s.back(1)))
                    .fix(Span::new(s.behind().start, s.span(value).end), format!("({text})")),
            )
        }
        (_, ",") if ATTRIBUTES.contains(&s.word(s.at + 1)) && s.earlier("with").is_none() => Some(
            s.error("attributes stand behind `with`")
                .help("write `with`")
                .fix(Span::new(s.behind().start, s.span(s.at).end), " with"),
        ),
        (_, word) if ATTRIBUTES.contains(&word) && s.earlier("with").is_none() && place > 3 => {
            Some(
                s.error("attributes stand behind `with`")
                    .help(format!("write `with {word}`"))
                    .fix(s.behind(), " with"),
            )
        }
        (_, word) if ATTRIBUTES.contains(&word) && s.earlier("with").is_some() => Some(
            Diagnostic::error("F0001", s.behind(), "a `,` is missing between two attributes")
                .help("add `,`")
                .fix(s.behind(), ","),
        ),
        _ => None,
    }
}

impl Site<'_> {
    fn back_of(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |i| self.word(i))
    }
}

/// In the axes of a tensor.
fn in_axes(s: &Site, open: usize) -> Option<Diagnostic> {
    let found = s.found();
    let is_axis = is_name(s.back(1)) && matches!(s.back(2), "[" | ",");
    if is_axis && matches!(found, "=" | "<=" | "::" | "->") {
        return Some(
            s.error(format!("the extent of an axis stands behind `:`, found `{found}`"))
                .help("write `:`")
                .fix(s.span(s.at), ":"),
        );
    }
    if is_axis && is_number(found) {
        return Some(
            s.error("the extent of an axis stands behind `:`")
                .help(format!("write `{}: {found}`", s.back(1)))
                .fix(s.behind(), ":"),
        );
    }
    let nameless = matches!(s.back(1), "[" | ",") && !is_name(found) && !matches!(found, "" | ";");
    if !(nameless || is_axis && matches!(found, "," | "]" | "*" | "/" | "%" | "+" | "-" | "(")) {
        return None;
    }
    // The list as a whole: no part of it has a name.
    let parts = s.parts(open)?;
    let named = |(first, last): &(usize, usize)| last > first && s.word(first + 1) == ":";
    let sizes = [s.declared("param"), s.declared("const"), s.declared("dyn")].concat();
    let first = if is_axis { s.at - 1 } else { s.at };
    let span = s.span(first);
    if parts.iter().any(named) && is_axis && !sizes.contains(&s.word(first)) {
        let axis = s.word(first);
        let ragged = placed(s, open).iter().any(|(name, storage)| *storage && *name == axis);
        let out = Diagnostic::error("F0001", span, format!("axis `{axis}` has no extent")).help(
            format!("write `{axis}: N` with its extent, or `{axis}: ragged` if a route fills it"),
        );
        return Some(match ragged {
            true => out.fix(span.after(), ": ragged"),
            false => out,
        });
    }
    let names: Vec<&str> = placed(s, open).into_iter().map(|(name, _)| name).collect();
    let texts: Vec<&str> =
        parts.iter().map(|(first, last)| s.slice(s.spans(*first, *last))).collect();
    let whole = Span::new(s.span(open).end, s.span(s.closer(open)?).start);
    let out = Diagnostic::error("F0001", span, "axes have names: `[m: 1024, h: 512]`")
        .note("a placement and an index use them: `@ [m/gpu, m, h]`, `x[m, h]`");
    if parts.iter().any(named) || texts.is_empty() {
        return Some(out.help(format!("name this one: `n: {}`", s.word(first))));
    }
    let fits = names.len() == texts.len() && texts.iter().all(|t| !is_wild(t));
    let list: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(i, t)| format!("{}: {t}", if fits { names[i] } else { ["m", "n", "k", "h"][i % 4] }))
        .collect();
    let out = out.help(format!("write `[{}]`", list.join(", ")));
    Some(if fits { out.fix(whole, list.join(", ")) } else { out })
}

fn is_wild(text: &str) -> bool {
    matches!(text, ":" | "?" | ".." | "..." | "*") || text.starts_with('-')
}

/// Axes that the placement behind the axes names, in its order, and whether each is stored by a word
/// (`c.pack(128)`).
fn placed<'t>(s: &Site<'t>, open: usize) -> Vec<(&'t str, bool)> {
    let Some(at) = s.closer(open).map(|c| c + 1).filter(|a| s.word(*a) == "@") else {
        return Vec::new();
    };
    let mut out: Vec<(&str, bool)> = Vec::new();
    for (first, last) in s.parts(at + 1).unwrap_or_default() {
        let name = s.word(first);
        let storage = last > first && s.word(first + 1) == ".";
        if matches!(name, "copy" | "sum" | "only") || !is_name(name) {
            continue;
        }
        match out.iter_mut().find(|(n, _)| *n == name) {
            Some(known) => known.1 |= storage,
            None => out.push((name, storage)),
        }
    }
    out
}

/// In a placement.
fn in_placement(s: &Site) -> Option<Diagnostic> {
    let (found, before, next) = (s.found(), s.back(1), s.word(s.at + 1));
    let term =
        "a term is `m/gpu` (split over the mesh axis), `m` (in memory), `copy/gpu` or `sum/gpu`";
    if is_name(before)
        && matches!(found, "@" | "%" | "|" | "->" | "=" | "=>" | "*")
        && is_name(next)
    {
        return Some(
            s.error(format!("an axis is split over the mesh by `/`, found `{found}`"))
                .help(format!("write `{before}/{next}`"))
                .fix(s.span(s.at), "/"),
        );
    }
    if is_name(before) && is_word(found) && matches!(found, "on" | "over" | "across" | "at" | "by")
    {
        return Some(
            s.error(format!("an axis is split over the mesh by `/`, found `{found}`"))
                .help(format!("write `{before}/{next}`"))
                .fix(Span::new(s.behind().start, s.span(s.at + 1).end), format!("/{next}")),
        );
    }
    let starts = matches!(before, "[" | ",");
    if starts && (is_number(found) || matches!(found, ":" | "*" | ".." | "..." | "-" | "]" | "/")) {
        let out = s.error(if found == "]" && before == "[" {
            "a placement says where each axis is, on the mesh and in memory".to_string()
        } else {
            format!("a placement names axes, found `{found}`")
        });
        return (found != "]" || before == "[").then(|| out.help(term));
    }
    if before == "/" && is_number(found) {
        return Some(
            s.error("an axis is split over an axis of the mesh, by its name")
                .help("write `m/gpu`; a digit of 64 in memory is `m:64`"),
        );
    }
    None
}

/// The header of a route: `route r: (s, t, k) -> (e, c) {`.
pub(super) fn route(s: &Site) -> Option<Diagnostic> {
    let (found, before) = (s.found(), s.back(1));
    let form = "write `route r: (s, t, k) -> (e, c) { .. }`: source variables, then destination";
    match (s.place(), found) {
        (1, ":" | "(" | "{") => Some(s.error("a route has a name").help(form)),
        (2, "(") => Some(
            Diagnostic::error("F0001", s.behind(), "a `:` is missing behind the name")
                .help(form)
                .fix(s.behind(), ":"),
        ),
        (2, "=") => {
            Some(s.error("what a route maps stands behind `:`").help(form).fix(s.span(s.at), ":"))
        }
        (_, "=>" | "=" | "-" | ":" | ">" | "<-") if before == ")" => {
            let end = if s.word(s.at + 1) == ">" { s.at + 1 } else { s.at };
            let out =
                s.error(format!("sources and destination are joined by `->`, found `{found}`"));
            Some(match found {
                "<-" => out.help(form),
                _ => out.help("write `->`").fix(s.spans(s.at, end), "->"),
            })
        }
        (_, "(") if before == ")" => Some(
            Diagnostic::error("F0001", s.behind(), "a `->` is missing before the destination")
                .help(form)
                .fix(s.behind(), " ->"),
        ),
        (_, "{" | ";") if before == ")" => {
            Some(s.error(format!("syntax error: expected `->`, found `{found}`")).help(form))
        }
        (_, word) if is_name(word) && matches!(before, ":" | "->") => {
            let end = (s.at..=s.last()).take_while(|i| is_name(s.word(*i)) || s.word(*i) == ",");
            let end = end.last()?;
            let list = s.slice(s.spans(s.at, end));
            Some(
                s.error("the variables of a route stand in parentheses")
                    .help(format!("write `({list})`"))
                    .fix(s.spans(s.at, end), format!("({list})")),
            )
        }
        _ => None,
    }
}

/// The header of an entry: `entry main {`.
pub(super) fn entry(s: &Site) -> Option<Diagnostic> {
    let (found, name) = (s.found(), s.word(s.item + 1));
    match (s.place(), found) {
        (1, "{" | "(") => {
            let new = s.fresh("main");
            Some(
                s.error("an entry has a name")
                    .help(format!("write `entry {new} {{ .. }}`"))
                    .fix(s.behind(), format!(" {new}")),
            )
        }
        (2, "(") => {
            let close = s.closer(s.at)?;
            let arrow = if s.word(close + 1) == "->" { s.last() } else { close };
            Some(
                s.error("an entry takes no arguments")
                    .note("it reads the `in` tensors that its statements name and writes the `out` ones")
                    .help(format!("write `entry {name} {{`"))
                    .fix(s.spans(s.at, arrow), ""),
            )
        }
        (2, "-" | ".") => dashed(s),
        (2, ":" | "=" | "->" | "=>" | ";") if s.word(s.at + 1) == "{" => Some(
            s.error(format!("no `{found}` before the braces of an entry"))
                .help("remove it")
                .fix(s.span(s.at), ""),
        ),
        (2, "adjoint") => Some(
            s.error("syntax error: expected `=` or `{`, found `adjoint`")
                .help(format!("write `entry {name} = adjoint(ENTRY);`"))
                .fix(s.behind(), " ="),
        ),
        (2, word) if is_word(word) || matches!(word, ":" | ";") => Some(
            s.error(format!("the statements of an entry stand in braces, found `{word}`"))
                .help(format!("write `entry {name} {{ y[m, h] <- x[m, h]; }}`")),
        ),
        _ => None,
    }
}
