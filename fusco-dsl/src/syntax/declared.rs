//! Mistakes in declarations: meshes, sizes, tensors, the headers of routes and entries.

use super::lex::RESERVED;
use super::site::{Site, is_name, is_number, is_word};
use super::words;
use crate::diag::Diagnostic;
use crate::source::Span;

const ELEMENTS: [&str; 17] = [
    "f32", "f16", "bf16", "e4m3", "e5m2", "i8", "i32", "i64", "u8", "u32", "f64", "i16", "u16",
    "u64", "bool", "ix32", "ix64",
];
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
    if s.place() == 1 && matches!(found, "=" | ":") {
        let end = s.last();
        let sizes: Vec<&str> = (s.at..=end).map(|i| s.word(i)).filter(|w| is_number(w)).collect();
        let out = s
            .error("a mesh has a name, and its axes in braces")
            .help("write `mesh tp { gpu: 8 }`: a name, and each axis with its extent");
        let [size] = sizes[..] else { return Some(out) };
        let (name, axis) = (s.fresh("ranks"), s.unplaced().unwrap_or_else(|| s.fresh("gpu")));
        let end = if s.word(end + 1) == ";" { end + 1 } else { end };
        let text = format!("mesh {name} {{ {axis}: {size} }}");
        return Some(out.help(format!("write `{text}`")).fix(s.spans(s.item, end), text));
    }
    if s.place() != 2 {
        return None;
    }
    let form = "write `mesh tp { gpu: 8 }`: a name, and each axis with its extent";
    match found {
        "(" | "[" => {
            let close = s.closer(s.at)?;
            let axes = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            let axes = axes.replace('=', ": ");
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
        "=" | ":" if matches!(s.word(s.at + 1), "[" | "(") => {
            let close = s.closer(s.at + 1)?;
            let axes = s.slice(Span::new(s.span(s.at + 1).end, s.span(close).start));
            let end = if s.word(close + 1) == ";" { close + 1 } else { close };
            let diagnostic = s.error("the axes of a mesh stand in braces").help(form);
            Some(match axes.contains(':') {
                true => diagnostic.fix(s.spans(s.at, end), format!("{{ {} }}", axes.trim())),
                false => diagnostic,
            })
        }
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
        word if is_name(word) && matches!(s.word(s.at + 1), ":" | "=") => Some(
            Diagnostic::error("F0001", s.behind(), "a `{` is missing behind the name of the mesh")
                .help("add `{`")
                .fix(s.behind(), " {"),
        ),
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
    if is_number(found) && is_name(s.back(1)) && matches!(s.back(2), "{" | ",") {
        return Some(
            Diagnostic::error("F0001", s.behind(), "the extent of a mesh axis stands behind `:`")
                .help("add `:`")
                .fix(s.behind(), ":"),
        );
    }
    if is_number(found) && matches!(s.back(1), "{" | ",") {
        let name = s.unplaced().unwrap_or_else(|| s.fresh("gpu"));
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
        (1, "in" | "out" | "inout") if is_name(s.word(s.at + 1)) => Some(
            Diagnostic::error("F0001", s.span(s.item), "`const` says nothing here")
                .note("no statement writes an `in`")
                .help("remove `const`")
                .fix(Span::new(s.span(s.item).start, s.span(s.at).start), ""),
        ),
        (2, ":") if is_number(s.word(s.at + 1)) => Some(
            s.error("syntax error: expected `=`, found `:`")
                .help(format!("write `const {name} = {}`", s.word(s.at + 1)))
                .fix(s.span(s.at), " ="),
        ),
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
        (3, found) if is_number(found) => valued_const(s, name),
        _ if s.earlier("where").is_some() => in_condition(s),
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

/// `param m: 1024;`: a constant.
fn valued_const(s: &Site, name: &str) -> Option<Diagnostic> {
    let head = Span::new(s.span(s.item).start, s.behind().end);
    Some(
        s.error(format!("the type of `{name}` is missing: a size that is given later is an `int`"))
            .note("a `param` is given when the program is bound")
            .help(format!("for a number that never changes write `const {name} = {}`", s.found()))
            .fix(head, format!("const {name} =")),
    )
}

/// Behind `where`: words and marks of other languages between conditions.
fn in_condition(s: &Site) -> Option<Diagnostic> {
    let found = s.found();
    let to_here = Span::new(s.behind().start, s.span(s.at).end);
    let joined = |mark: &str, claim: &str| {
        let out = s.error(format!("{claim}, found `{found}`")).help(format!("write `{mark}`"));
        Some(out.fix(to_here, format!(" {mark}")))
    };
    match found {
        "and" | "," | "&" => joined("&&", "conditions that all hold are joined by `&&`"),
        "or" | "|" => joined("||", "conditions of which one holds are joined by `||`"),
        "=" | "===" => joined("==", "two sizes are compared by `==`"),
        "<" | "<=" | ">" | ">=" => {
            let middle = s.back(1);
            Some(
                s.error("a comparison has two sides")
                    .help(format!("write `&& {middle} {found} ..`"))
                    .fix(s.behind(), format!(" && {middle}")),
            )
        }
        _ => power(s),
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
        "in" if typed && s.word(s.last() - 1) == ".." => {
            let most = s.word(s.last());
            Some(
                s.error("the bound of a `dyn` is given by `<=`")
                    .note(why)
                    .help(format!("write `<= {most}`"))
                    .fix(s.spans(s.at, s.last()), format!("<= {most}")),
            )
        }
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
        "<" if typed => {
            let bound = s.word(s.at + 1);
            let number = bound.parse::<i64>().ok().map(|n| (n - 1).to_string());
            let most = number.unwrap_or_else(|| bound.to_string());
            let out = s
                .error("the bound of a `dyn` is given by `<=`")
                .note("it is the most that the value may be")
                .help(format!("write `<= {most}`"));
            let alone = s.last() == s.at + 1;
            Some(if alone { out.fix(s.spans(s.at, s.at + 1), format!("<= {most}")) } else { out })
        }
        "(" if s.place() == 2 => {
            let close = s.closer(s.at)?;
            let axes = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            Some(
                s.error("the mesh axes of a `dyn` stand in `[ ]`")
                    .help(format!("write `dyn {name}[{axes}]`"))
                    .fix(s.spans(s.at, close), format!("[{axes}]")),
            )
        }
        "(" if typed => {
            let close = s.closer(s.at)?;
            let bound = s.word(close - 1);
            let out = s
                .error(format!("`dyn {name}` has no bound"))
                .note(why)
                .help(format!("write `dyn {name}: int <= {bound}`"));
            let plain = is_name(bound) || is_number(bound);
            Some(if plain { out.fix(s.spans(s.at, close), format!(" <= {bound}")) } else { out })
        }
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
    if let Some(found) = element_type(s, place) {
        return Some(found);
    }
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
        // `(bf16)[..]`, `[m: 1024]: bf16`
        (3, "(") if s.word(s.at + 2) == ")" && is_element(s.word(s.at + 1)) => {
            let element = s.word(s.at + 1);
            Some(
                s.error("an element type stands without parentheses")
                    .help(format!("write `{element}`"))
                    .fix(s.spans(s.at, s.at + 2), element),
            )
        }
        (3, "[") if s.closer(s.at).is_some_and(|c| is_element(s.word(c + 2))) => {
            let close = s.closer(s.at)?;
            let text = format!("{}{}", s.word(close + 2), s.slice(s.spans(s.at, close)));
            Some(
                s.error("the element type of a tensor stands before its axes")
                    .help(format!("write `{text}`"))
                    .fix(s.spans(s.at, close + 2), text),
            )
        }
        // `in x @ [..]: bf16[..];`
        (2, "@") if s.word(s.at + 1) == "[" => {
            let close = s.closer(s.at + 1)?;
            let placed = s.slice(s.spans(s.at, close));
            let out = s.error("the placement of a tensor stands behind its axes").help(&form);
            let last = s.last();
            let turned = s.word(close + 1) == ":" && last > close + 1;
            let text = format!(": {} {placed}", s.slice(s.spans(close + 2, last)));
            Some(if turned { out.fix(s.spans(s.at, last), text) } else { out })
        }
        (3, "[" | "(") => Some(s.error("the element type is missing").help(&form)),
        (4, "<") => {
            Some(s.error("a tensor is its element type, then its axes in `[ ]`").help(&form))
        }
        (4, "@" | ";" | "with" | "=") => Some(
            Diagnostic::error("F0001", s.behind(), format!("`{name}` has no axes"))
                .note("a number alone is a `param` or a `dyn`")
                .help(&form),
        ),
        (_, "[") if s.back(1) == "]" && s.earlier("@").is_none() && s.word(s.at + 2) == ":" => {
            Some(
                s.error("all axes of a tensor stand in one `[ ]`")
                    .help("join them by `,`")
                    .fix(s.spans(s.at - 1, s.at), ", "),
            )
        }
        (_, "@") if s.back(1) == "@" => {
            Some(s.error("one `@` is enough").help("remove it").fix(s.span(s.at), ""))
        }
        (_, word)
            if is_word(word)
                && s.back(1) == "]"
                && s.word(s.at + 1) == "["
                && s.earlier("@").is_none() =>
        {
            Some(
                s.error(format!("a placement starts with `@`, found `{word}`"))
                    .help("write `@`")
                    .fix(s.span(s.at), "@"),
            )
        }
        // `@ *`, `@ <m/gpu, m, h>`
        (_, "<" | "*") if s.back(1) == "@" => {
            let last = s.last();
            let inner = (s.word(last) == ">").then(|| s.slice(s.spans(s.at + 1, last - 1)));
            let out = s.error(format!("a placement is a list in `[ ]`, found `{found}`"));
            let list = match inner {
                Some(inner) => inner.to_string(),
                None => {
                    let copies = s.mesh_axes().into_iter().map(|m| format!("copy/{m}"));
                    let axes = s.axes(name)?.into_iter().map(str::to_string);
                    copies.chain(axes).collect::<Vec<_>>().join(", ")
                }
            };
            let whole = inner.is_some() || last == s.at;
            let out = out.help(format!("write `@ [{list}]`"));
            Some(if whole { out.fix(s.spans(s.at, last), format!("[{list}]")) } else { out })
        }
        // `sharded(m)`, `replicated`
        (_, word)
            if s.back(1) == "]" && s.earlier("@").is_none() && words::placed(word).is_some() =>
        {
            let close = if s.word(s.at + 1) == "(" { s.closer(s.at + 1)? } else { s.at };
            let term = s.slice(s.spans(s.at, close));
            Some(
                s.error(format!("a placement is a list behind `@`, found `{word}`"))
                    .help("write `@ [m/gpu, m, h]`: `m/gpu` splits, `copy/gpu` copies, `m` and `h` lie in memory")
                    .fix(s.spans(s.at, close), format!("@ [{term}]")),
            )
        }
        // `@ P(gpu, None)`
        (_, word) if is_name(word) && s.back(1) == "@" && s.word(s.at + 1) == "(" => {
            let close = s.closer(s.at + 1)?;
            let terms = s.slice(Span::new(s.span(s.at + 1).end, s.span(close).start)).trim();
            Some(
                s.error(format!("a placement is a list in `[ ]`, found `{word}`"))
                    .help(format!("write `@ [{terms}]`, with terms as `m/gpu`, `copy/gpu`, `m`"))
                    .fix(s.spans(s.at, close), format!("[{terms}]")),
            )
        }
        (_, "(" | "{") if s.back(1) == "with" => {
            let close = s.closer(s.at)?;
            let inner = s.slice(Span::new(s.span(s.at).end, s.span(close).start)).trim();
            let list = match inner.split_once(':') {
                Some((word, value)) => format!("{}({})", word.trim(), value.trim()),
                None => inner.trim_end_matches(',').to_string(),
            };
            Some(
                s.error("the attributes of a tensor stand behind `with`, without brackets")
                    .help(format!("write `with {list}`"))
                    .fix(s.spans(s.at, close), list),
            )
        }
        (_, "[") if s.back(1) == "]" && s.earlier("@").is_none() => Some(
            Diagnostic::error("F0001", s.behind(), "a placement starts with `@`")
                .help("add `@`")
                .fix(s.behind(), " @"),
        ),
        (_, "(" | "{") if s.back(1) == "@" => {
            let close = s.closer(s.at)?;
            let terms = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            if terms.contains('<') {
                return Some(
                    s.error("a placement is a list in `[ ]`")
                        .note("strides are counted from it; others: `with stride(m: 512)`")
                        .help("write `@ [m/gpu, m, h]`: split over the ranks `m/gpu`, in memory `m`, `h`, the last the closest"),
                );
            }
            Some(
                s.error("a placement is a list in `[ ]`")
                    .help(format!("write `@ [{}]`", terms.trim()))
                    .fix(s.spans(s.at, close), format!("[{}]", terms.trim())),
            )
        }
        (_, "=") if s.back(1) == "]" && is_number(s.word(s.at + 1)) && s.last() == s.at + 1 => {
            let value = s.word(s.at + 1);
            let text = format!("with fill({value})");
            Some(
                s.error("a tensor has no initial value")
                    .note("a fill is the value of the elements that no statement writes")
                    .help(format!("write `{text}`"))
                    .fix(s.spans(s.at, s.at + 1), text),
            )
        }
        (_, "=" | ":=") if s.back(1) == "]" => Some(
            s.error("a tensor has no initial value")
                .help("elements that no statement writes: `with fill(0)`"),
        ),
        (_, "=" | ":") if s.earlier("with").is_some() && is_name(s.back(1)) => {
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

/// Between the `:` and the axes of a tensor: other spellings of its element type and its brackets.
fn element_type(s: &Site, place: usize) -> Option<Diagnostic> {
    let (found, next) = (s.found(), s.word(s.at + 1));
    let own = |word: &str| words::element(word).unwrap_or(word).to_string();
    // `torch.float16[..]`
    if place == 4 && found == "." && is_name(next) {
        let element = own(next);
        return Some(
            s.error("an element type is one word")
                .help(format!("write `{element}`"))
                .fix(s.spans(s.at - 1, s.at + 1), element),
        );
    }
    if place == 4 && matches!(found, "*" | "&") {
        return Some(
            s.error("there are no pointers: a tensor is named")
                .help("remove it")
                .fix(s.span(s.at), ""),
        );
    }
    if place == 3 && matches!(found, "&" | "*") && is_name(next) {
        return Some(
            s.error("there are no pointers: a tensor is named")
                .help("remove it")
                .fix(s.span(s.at), ""),
        );
    }
    // `bf16{m: 1024}`, and `bf16(m: 1024)`, where the parser stops behind.
    let open = match (place, found) {
        (4, "{") => Some(s.at),
        (_, "@" | ";" | "with") if s.back(1) == ")" && s.word(s.item + 4) == "(" => {
            Some(s.item + 4)
        }
        _ => None,
    };
    if let Some(open) = open {
        let close = s.closer(open)?;
        let axes = s.slice(Span::new(s.span(open).end, s.span(close).start)).trim();
        if !axes.contains(':') && open != s.at {
            return sized(s, open);
        }
        return axes.contains(':').then(|| {
            Diagnostic::error("F0001", s.span(open), "the axes of a tensor stand in `[ ]`")
                .help(format!("write `[{axes}]`"))
                .fix(s.spans(open, close), format!("[{axes}]"))
        });
    }
    if place != 4 || found != "<" {
        return None;
    }
    // `ix32<E>[..]`, `Tensor<bf16, [m: 1024]>`
    let end = (s.at..=s.last()).find(|i| s.word(*i) == ">")?;
    let out = s.error("a tensor is its element type, then its axes in `[ ]`");
    if matches!(s.back(1), "ix32" | "ix64") {
        let bound = s.slice(Span::new(s.span(s.at).end, s.span(end).start));
        return Some(
            out.help(format!("write `{}({bound})`", s.back(1)))
                .fix(s.spans(s.at, end), format!("({bound})")),
        );
    }
    let list = (s.word(s.at + 2) == "," && s.word(s.at + 3) == "[").then_some(s.at + 3)?;
    let close = s.closer(list)?;
    let text = format!("{}{}", own(next), s.slice(s.spans(list, close)));
    (close + 1 == end)
        .then(|| out.help(format!("write `{text}`")).fix(s.spans(s.at - 1, end), text))
}

/// `bf16(1024, 512)`: sizes in parentheses, named as the placement has them.
fn sized(s: &Site, open: usize) -> Option<Diagnostic> {
    let close = s.closer(open)?;
    let names: Vec<&str> = placed(s, open).into_iter().map(|(name, _)| name).collect();
    let sizes: Vec<&str> = s.parts(open)?.iter().map(|(a, b)| s.slice(s.spans(*a, *b))).collect();
    let list: Vec<String> = names.iter().zip(&sizes).map(|(n, e)| format!("{n}: {e}")).collect();
    let text = format!("[{}]", list.join(", "));
    let out = Diagnostic::error("F0001", s.span(open), "axes stand in `[ ]` and have names");
    Some(match names.len() == sizes.len() {
        true => out.help(format!("write `{text}`")).fix(s.spans(open, close), text),
        false => out.help("write `[m: 1024, h: 512]`"),
    })
}

impl Site<'_> {
    /// A mesh axis that a placement names and no mesh declares.
    fn unplaced(&self) -> Option<String> {
        let slash = (1..=self.text.len()).take_while(|i| !self.word(*i).is_empty());
        let named = slash.filter(|i| self.word(i - 1) == "/").map(|i| self.word(i));
        let declared = |name: &str| {
            (1..self.at).any(|i| self.word(i) == name && matches!(self.word(i + 1), ":" | "="))
        };
        named.filter(|n| is_name(n)).find(|n| !declared(n)).map(str::to_string)
    }

    /// Axes of the meshes of the text.
    fn mesh_axes(&self) -> Vec<&str> {
        let mut out = Vec::new();
        let mut at = 0;
        while !self.word(at).is_empty() {
            if self.word(at) == "mesh" && self.word(at + 2) == "{" {
                let axes = (at + 3..).take_while(|i| !matches!(self.word(*i), "}" | ""));
                out.extend(axes.filter(|i| self.word(i + 1) == ":").map(|i| self.word(i)));
            }
            at += 1;
        }
        out
    }

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
    if s.back(1) == ":"
        && is_name(s.back(2))
        && matches!(found, "?" | "*" | ".." | "..." | ":" | "_")
    {
        let axis = s.back(2);
        let ragged = placed(s, open).iter().any(|(name, storage)| *storage && *name == axis);
        let out = s.error(format!("axis `{axis}` has no extent, found `{found}`"));
        return Some(match ragged {
            true => out
                .help(format!("write `{axis}: ragged`: a route fills it"))
                .fix(s.span(s.at), "ragged"),
            false => out.help(
                "a size that is given later is a `param N: int;`, one that the data decides a `dyn`",
            ),
        });
    }
    if let Some(found) = power(s) {
        return Some(found);
    }
    if RESERVED.contains(&found) && s.word(s.at + 1) == ":" {
        return None;
    }
    // `[1024: m]`
    if is_number(found) && s.word(s.at + 1) == ":" && is_name(s.word(s.at + 2)) {
        let text = format!("{}: {found}", s.word(s.at + 2));
        return Some(
            s.error("an axis has its name first, then its extent")
                .help(format!("write `{text}`"))
                .fix(s.spans(s.at, s.at + 2), text),
        );
    }
    // `[m: 1024 * h: 512]`
    if found == ":" && is_name(s.back(1)) && matches!(s.back(2), "*" | "x" | "X") {
        return Some(
            Diagnostic::error("F0001", s.span(s.at - 2), "axes are separated by `,`")
                .help("write `,`")
                .fix(Span::new(s.span(s.at - 3).end, s.span(s.at - 2).end), ","),
        );
    }
    // `[m: 1024 x h: 512]`
    if matches!(found, "x" | "X") && is_number(s.back(1)) && s.word(s.at + 2) == ":" {
        return Some(
            s.error("axes are separated by `,`")
                .help("write `,`")
                .fix(Span::new(s.behind().start, s.span(s.at).end), ","),
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
        let taken: Vec<&str> = parts.iter().filter(|p| named(p)).map(|p| s.word(p.0)).collect();
        let left = placed(s, open).into_iter().map(|(name, _)| name);
        let left: Vec<&str> = left.filter(|n| !taken.contains(n)).collect();
        let text = s.word(first);
        return Some(match left[..] {
            [name] if !is_wild(text) && (!is_axis || sizes.contains(&text)) => {
                let start = Span::new(span.start, span.start);
                out.help(format!("name this one: `{name}: {text}`")).fix(start, format!("{name}: "))
            }
            _ => out.help(format!("name this one: `n: {text}`")),
        });
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

/// `2^10`, `2 ** 10`: the number.
fn power(s: &Site) -> Option<Diagnostic> {
    let at = match s.found() {
        "^" | "**" => s.at,
        "*" if s.back(1) == "*" => s.at - 1,
        _ => return None,
    };
    let end = s.at + 1;
    let out = Diagnostic::error("F0001", s.span(at), "there is no power of sizes");
    let (base, exponent) = (s.word(at.checked_sub(1)?), s.word(end));
    let value = base.parse::<i64>().ok().and_then(|b| b.checked_pow(exponent.parse().ok()?));
    Some(match value {
        Some(value) => {
            out.help(format!("write `{value}`")).fix(s.spans(at - 1, end), value.to_string())
        }
        None => out.help("write the number, or a product"),
    })
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
    if let Some(out) = numbered(s).filter(|_| starts && is_number(found)) {
        return Some(out);
    }
    if starts && (is_number(found) || matches!(found, ":" | "*" | ".." | "..." | "-" | "]" | "/")) {
        let out = s.error(if found == "]" && before == "[" {
            "a placement says where each axis is, on the mesh and in memory".to_string()
        } else {
            format!("a placement names axes, found `{found}`")
        });
        let empty = found == "]" && before == "[";
        let whole = s.axes(s.word(s.item + 1)).filter(|_| empty).map(|axes| {
            let mesh = s.mesh_axes();
            let copies = mesh.iter().map(|m| format!("copy/{m}"));
            copies.chain(axes.iter().map(|a| a.to_string())).collect::<Vec<_>>().join(", ")
        });
        return (found != "]" || before == "[").then(|| match whole {
            Some(list) => out.note(term).help(format!("write `[{list}]`")).fix(s.behind(), list),
            None => out.help(term),
        });
    }
    if before == "/"
        && is_number(found)
        && let [axis] = s.mesh_axes()[..]
    {
        return Some(
            s.error("an axis is split over an axis of the mesh, by its name")
                .note("a digit of 64 in memory is `m:64`")
                .help(format!("write `{}/{axis}`", s.back(2)))
                .fix(s.span(s.at), axis),
        );
    }
    if before == "/" && is_number(found) {
        return Some(
            s.error("an axis is split over an axis of the mesh, by its name")
                .help("write `m/gpu`; a digit of 64 in memory is `m:64`"),
        );
    }
    None
}

/// `@ [0/gpu, 0, 1]`: axes by number.
fn numbered(s: &Site) -> Option<Diagnostic> {
    let open = *s.brackets.last()?;
    let axes = s.axes(s.word(s.item + 1))?;
    let mut list = Vec::new();
    for (first, last) in s.parts(open)? {
        let rest = s.slice(Span::new(s.span(first).end, s.span(last).end));
        let word = s.word(first);
        let name = match word.parse::<usize>() {
            Ok(i) => axes.get(i)?,
            Err(_) => word,
        };
        list.push(format!("{name}{rest}"));
    }
    let (text, close) = (list.join(", "), s.closer(open)?);
    let span = Span::new(s.span(open).end, s.span(close).start);
    Some(
        s.error(format!("a placement names axes, found `{}`", s.found()))
            .help(format!("write `[{text}]`"))
            .fix(span, text),
    )
}

/// The header of a route: `route r: (s, t, k) -> (e, c) {`.
pub(super) fn route(s: &Site) -> Option<Diagnostic> {
    let (found, before) = (s.found(), s.back(1));
    let form = "write `route r: (s, t, k) -> (e, c) { .. }`: source variables, then destination";
    match (s.place(), found) {
        (1, ":" | "(" | "{") => {
            let name = s.fresh("r");
            let out = s.error("a route has a name").help(form);
            Some(if found == "{" { out } else { out.fix(s.behind(), format!(" {name}")) })
        }
        (_, "[" | "{") if matches!(before, ":" | "->") && s.closer(s.at).is_some() => {
            let close = s.closer(s.at)?;
            let list = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            (found == "[").then(|| {
                s.error("the variables of a route stand in parentheses")
                    .help(format!("write `({list})`"))
                    .fix(s.spans(s.at, close), format!("({list})"))
            })
        }
        (2, "(") => Some(
            Diagnostic::error("F0001", s.behind(), "a `:` is missing behind the name")
                .help(form)
                .fix(s.behind(), ": "),
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
        (1, ":" | "=") if is_name(s.word(s.at + 1)) => Some(
            s.error(format!("no `{found}` before the name of an entry"))
                .help("remove it")
                .fix(s.span(s.at), ""),
        ),
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
        // `entry back = dispatch.backward();`
        (4, ".") if s.word(s.item + 2) == "=" => {
            let of = s.back(1);
            Some(
                s.error("an entry that is derived is an `adjoint`")
                    .help(format!("write `entry {name} = adjoint({of});`"))
                    .fix(s.spans(s.at - 1, s.last()), format!("adjoint({of})")),
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
        // The braces are closed and never opened.
        (2, word) if is_name(word) && s.word(s.last() + 1) == ";" => Some(
            Diagnostic::error("F0001", s.behind(), "a `{` is missing behind the name of the entry")
                .help("add `{`")
                .fix(s.behind(), " {"),
        ),
        (2, word) if is_word(word) || matches!(word, ":" | ";") => Some(
            s.error(format!("the statements of an entry stand in braces, found `{word}`"))
                .help(format!("write `entry {name} {{ y[m, h] <- x[m, h]; }}`")),
        ),
        _ => None,
    }
}

/// `my-name`: a dash or a dot in a declared name.
pub(super) fn dashed(s: &Site) -> Option<Diagnostic> {
    let start = s.at - 1;
    let mut end = start;
    while matches!(s.word(end + 1), "-" | ".") && is_word(s.word(end + 2)) {
        end += 2;
    }
    let name = s.slice(s.spans(start, end)).replace(['-', '.', ' '], "_");
    (end > start).then(|| {
        Diagnostic::error("F0001", s.spans(start, end), "a name has letters, digits and `_` only")
            .help(format!("write `{name}`"))
            .fix(s.spans(start, end), name)
    })
}
