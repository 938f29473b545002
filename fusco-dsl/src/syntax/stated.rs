//! Mistakes in statements of an entry and rows of a route.

use super::site::{Site, is_name, is_number, is_word};
use super::words;
use crate::diag::Diagnostic;
use crate::source::Span;

/// What other languages assign with.
const ASSIGNS: [&str; 11] = [":", "=", ":=", "==", "->", "=>", "<=", "<", "<<", "~", "-"];
/// Assignments that compute.
const UPDATES: [&str; 4] = ["+=", "-=", "*=", "/="];

/// A statement in an entry.
pub(super) fn statement(s: &Site) -> Option<Diagnostic> {
    let (found, place, first) = (s.found(), s.place(), s.word(s.item));
    if found == ";" && place == 0 {
        return Some(s.error("an empty statement").help("remove the `;`").fix(s.span(s.at), ""));
    }
    if found == "via" && place == 0 && is_name(s.word(s.at + 1)) {
        let route = s.word(s.at + 1);
        let rest = s.slice(Span::new(s.span(s.at + 2).start, s.span(s.last()).end));
        return Some(
            s.error("`via` stands behind the value")
                .help(format!("write `{rest} via {route}`"))
                .fix(s.spans(s.at, s.last()), format!("{rest} via {route}")),
        );
    }
    if first == "for" || first == "parallel" {
        return Some(a_loop(s));
    }
    if let Some((claim, help)) = words::control(first) {
        return Some(Diagnostic::error("F0001", s.span(s.item), claim).help(help));
    }
    if first == "plan" {
        return plan(s);
    }
    if first == "schedule" {
        return called_schedule(s);
    }
    if matches!(first, "prove" | "assume") {
        return None;
    }
    if let Some(found) = in_index(s) {
        return Some(found);
    }
    if !s.brackets.is_empty() {
        return operator(s);
    }
    if s.earlier("<-").is_some() {
        return behind_the_arrow(s);
    }
    if place == 1 && is_name(first) {
        return behind_the_first_word(s, first);
    }
    if place > 1 && matches!(s.back(1), "]" | ")") {
        return instead_of_the_arrow(s);
    }
    None
}

/// `for m in 0..8 { body }`: the body is the statement.
fn a_loop(s: &Site) -> Diagnostic {
    let out = Diagnostic::error("F0001", s.span(s.item), "there are no loops")
        .note("a statement is one: each index variable runs over its whole axis");
    let Some(body) = body(s, s.item) else {
        return out.help("write `b[n, m] <- a[m, n];`, without the loop");
    };
    let (text, close) = body;
    let out = out.help("leave the loop out");
    // A body that names no arrow would not be a statement either.
    match text.contains("<-") {
        true => out.fix(s.spans(s.item, close), text),
        false => out,
    }
}

/// What the innermost braces of nested loops hold, and the last `}`.
fn body(s: &Site, from: usize) -> Option<(String, usize)> {
    let open = (from..from + 64).find(|i| matches!(s.word(*i), "{" | ";" | "}" | ""))?;
    if s.word(open) != "{" {
        return None;
    }
    let close = s.closer(open)?;
    if matches!(s.word(open + 1), "for" | "parallel") {
        return Some((body(s, open + 1)?.0, close));
    }
    let inner = Span::new(s.span(open).end, s.span(close).start);
    Some((s.slice(inner).trim().to_string(), close))
}

fn plan(s: &Site) -> Option<Diagnostic> {
    let route = s.word(s.at + 1);
    match s.found() {
        "(" if s.word(s.at + 2) == ")" && is_name(route) => Some(
            s.error("`plan` names a route")
                .help(format!("write `plan {route};`"))
                .fix(s.spans(s.at, s.at + 2), format!(" {route}")),
        ),
        "=" | ":" | "<-" if is_name(route) => Some(
            s.error("`plan` names a route")
                .help(format!("write `plan {route};`"))
                .fix(s.span(s.at), ""),
        ),
        word if s.place() == 2 && is_name(word) && is_name(s.back(1)) => Some(
            Diagnostic::error("F0001", s.behind(), "a `;` is missing here")
                .help("add `;`")
                .fix(s.behind(), ";"),
        ),
        ";" | "}" => {
            let routes = s.declared("route");
            let name = routes.first().copied().unwrap_or("r");
            let out = s.error("`plan` names a route").help(format!("write `plan {name};`"));
            Some(if routes.len() == 1 { out.fix(s.behind(), format!(" {name}")) } else { out })
        }
        "route" if is_name(route) => Some(
            s.error("`plan` names a route")
                .help(format!("write `plan {route};`"))
                .fix(Span::new(s.span(s.at).start, s.span(s.at + 1).end), route),
        ),
        _ => None,
    }
}

/// `y[m, :]`, `y[..]`, `y[0..4]`, `y[]`: an index that is not one element.
fn in_index(s: &Site) -> Option<Diagnostic> {
    let found = s.found();
    let open = *s.brackets.last()?;
    if let Some(found) = by_name(s, open) {
        return Some(found);
    }
    if s.word(open) != "["
        || open == s.item
        || !matches!(found, ":" | ".." | "..." | "..=" | "]" | "*")
    {
        return None;
    }
    if found == "*" && !matches!(s.back(1), "[" | ",") {
        return None;
    }
    let name = s.word(open - 1);
    let parts = s.parts(open)?;
    if found == "]" && !parts.is_empty() {
        return None;
    }
    let close = s.closer(open)?;
    let axes = s.axes(name).unwrap_or_default();
    let whole = Span::new(s.span(open).end, s.span(close).start);
    let texts: Vec<&str> = parts.iter().map(|(a, b)| s.slice(s.spans(*a, *b))).collect();
    let rest = matches!(texts.last(), None | Some(&(".." | "...")));
    let mut index: Vec<String> = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match (*text, axes.get(i)) {
            (".." | "...", _) if i + 1 == texts.len() => {}
            (":" | "*", Some(axis)) => index.push(axis.to_string()),
            (text, _) => index.push(text.to_string()),
        }
    }
    let missing: Vec<String> = if rest {
        axes.iter().skip(index.len()).map(|a| a.to_string()).collect()
    } else {
        Vec::new()
    };
    index.extend(missing);
    let is_range = |t: &String| t.contains(':') || t.contains("..");
    let ranged = index.iter().any(is_range);
    let shown = if axes.is_empty() || ranged { "m, h".to_string() } else { index.join(", ") };
    let span = s.span(s.at);
    if ranged && !axes.is_empty() {
        let list: Vec<String> = index
            .iter()
            .enumerate()
            .map(|(i, text)| match (text.split([':', '.']).next(), axes.get(i)) {
                (Some(start), Some(axis)) if is_range(text) => match start.trim() {
                    "" | "0" => axis.to_string(),
                    start => format!("{axis} + {start}"),
                },
                _ => text.clone(),
            })
            .collect();
        let left = s.earlier("<-").is_none();
        let shown = format!("{name}[{}]", list.join(", "));
        return Some(
            Diagnostic::error("F0001", span, "there are no slices: an index is one element")
                .note("a variable runs over the whole axis of the tensor on the left")
                .help(match left {
                    true => format!(
                        "declare `{name}` with the extent of the part, or write into a part of an `inout`: `{shown}`"
                    ),
                    false => format!("write `{shown}`; how many are read is the extent on the left"),
                }),
        );
    }
    let out = Diagnostic::error("F0001", span, "a whole axis is a variable, not a slice")
        .note("the same variable on both sides says which elements belong together")
        .help(format!("write `{name}[{shown}]`"));
    Some(if axes.is_empty() { out } else { out.fix(whole, shown) })
}

/// `y <- x;`, `y(m) <- ..`, `all_gather(x);`, `y.copy_(x);`
fn behind_the_first_word(s: &Site, first: &str) -> Option<Diagnostic> {
    let found = s.found();
    let word = s.span(s.item);
    if ASSIGNS.contains(&found) && found != "-" || UPDATES.contains(&found) || found == "<-" {
        let to = s.axes(first)?;
        let last = s.last();
        let list = to.join(", ");
        let out = Diagnostic::error("F0001", word, "a statement says which elements it moves")
            .note("the index variables on the left run over the axes; on the right they say which element")
            .help(format!("write `{first}[{list}] <- ..`"));
        let source = s.word(s.at + 1);
        let whole = last == s.at + 1 && is_name(source);
        let Some(from) = s.axes(source).filter(|_| whole) else {
            return Some(out.fix(s.spans(s.item, s.at), format!("{first}[{list}] <-")));
        };
        if UPDATES.contains(&found) {
            return Some(out);
        }
        // `x -> y` names its source first.
        let reversed = matches!(found, "->" | "=>") && s.declared("in").contains(&first);
        let (target, read) = if reversed { (source, first) } else { (first, source) };
        let (left, right) = (s.axes(target)?.join(", "), s.axes(read)?.join(", "));
        let same = from.len() == to.len() && from.iter().all(|a| to.contains(a));
        let text = format!("{target}[{left}] <- {read}[{right}]");
        let out = out.help(format!("write `{text}`"));
        return Some(if same { out.fix(s.spans(s.item, last), text) } else { out });
    }
    match found {
        "{" if s.axes(first).is_some() => {
            let close = s.closer(s.at)?;
            let inner = s.slice(Span::new(s.span(s.at).end, s.span(close).start)).trim();
            Some(
                s.error("indices stand in `[ ]`")
                    .help(format!("write `{first}[{inner}]`"))
                    .fix(s.spans(s.at, close), format!("[{inner}]")),
            )
        }
        "(" => {
            if let Some(help) = words::collective(first) {
                return Some(
                    Diagnostic::error("F0001", word, format!("there is no `{first}`"))
                        .help(help)
                        .fixed(moved(s, s.at)),
                );
            }
            let close = s.closer(s.at)?;
            let inner = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            // `entry back { adjoint(dispatch); }`
            if let (true, Some((header, brace))) = (first == "adjoint", s.blocks.last().copied()) {
                let end = s.closer(brace)?;
                let out = Diagnostic::error("F0001", word, "a derived entry has no statements")
                    .help(format!("write `entry {} = adjoint({inner});`", s.word(header + 1)));
                let alone = brace + 1 == s.item && end <= close + 2;
                let text = format!("= adjoint({inner});");
                return Some(if alone { out.fix(s.spans(brace, end), text) } else { out });
            }
            let out = s.error("indices stand in `[ ]`").help(format!("write `{first}[{inner}]`"));
            s.axes(first).map(|_| out.fix(s.spans(s.at, close), format!("[{inner}]"))).or_else(
                || {
                    Some(
                        Diagnostic::error(
                            "F0001",
                            word,
                            format!("nothing is called: there is no `{first}`"),
                        )
                        .help("a statement is `y[m, h] <- x[m, h];`"),
                    )
                },
            )
        }
        "." => {
            if s.word(s.at + 1) == "plan" && s.declared("route").contains(&first) {
                return Some(
                    Diagnostic::error("F0001", word, "a route is planned by `plan`")
                        .help(format!("write `plan {first};`"))
                        .fix(s.spans(s.item, s.last()), format!("plan {first}")),
                );
            }
            // `dist.all_gather(y, x)`, `y.copy_(x)`
            let method = s.word(s.at + 1);
            let call = s.at + 2;
            let fix = moved(s, call).filter(|_| s.word(call) == "(");
            let help = words::collective(method).unwrap_or("a statement is `y[m, h] <- x[m, h];`");
            let library = words::library(first);
            let claim = match library {
                true => format!("there is no `{method}`"),
                false => "there are no methods".to_string(),
            };
            let out = if library {
                Diagnostic::error("F0001", s.spans(s.item, s.at + 1), claim)
            } else {
                s.error(claim)
            };
            Some(out.help(help).fixed(fix))
        }
        ";" | "}" => Some(
            Diagnostic::error("F0001", word, format!("`{first}` alone is no statement"))
                .help("a statement is `y[m, h] <- x[m, h];`"),
        ),
        "," => Some(
            s.error("several targets stand in parentheses")
                .help("write `(q[m, h], scale[m, b]) <- ..`, or one statement for each"),
        ),
        // `copy x to y;`
        word if words::collective(first).is_some() && s.axes(word).is_some() => Some(
            Diagnostic::error("F0001", s.span(s.item), format!("there is no `{first}`"))
                .help(words::collective(first)?)
                .fixed(moved_to(s, s.last())),
        ),
        // `async y[m, h] <- ..`, `let y[m, h] = ..`
        word if is_name(word) && s.axes(word).is_some() => Some(
            Diagnostic::error("F0001", s.span(s.item), format!("`{first}` says nothing here"))
                .help(format!("remove `{first}`"))
                .fix(Span::new(s.span(s.item).start, s.span(s.at).start), ""),
        ),
        word if DIRECTIVES.contains(&first) && (is_number(word) || is_word(word)) => {
            let text = s.slice(s.spans(s.item, s.last()));
            let end = if s.word(s.last() + 1) == ";" { s.last() + 1 } else { s.last() };
            Some(
                Diagnostic::error("F0001", s.span(s.item), "a directive stands in a schedule")
                    .help(format!("write `schedule {{ {text}; }}`"))
                    .fix(s.spans(s.item, end), format!("schedule {{ {text}; }}")),
            )
        }
        word if is_word(word) => {
            if let Some(word) = words::declaration(first) {
                return Some(
                    Diagnostic::error("F0001", s.span(s.item), "declarations stand in the program")
                        .help(format!("declare `{word} {found} ..` before the entry")),
                );
            }
            let near = crate::diag::nearest(
                &first.to_lowercase(),
                &["plan", "prove", "assume", "schedule"],
            )?;
            Some(
                Diagnostic::error(
                    "F0001",
                    s.span(s.item),
                    format!("`{first}` starts no statement; did you mean `{near}`?"),
                )
                .help(format!("write `{near}`"))
                .fix(s.span(s.item), near),
            )
        }
        _ => None,
    }
}

/// `all_gather(y, x)`, `y.copy_(x)`: the statement, where one input and one output of the same axes are named.
fn moved(s: &Site, open: usize) -> Option<crate::diag::Fix> {
    moved_to(s, s.closer(open)?)
}

fn moved_to(s: &Site, close: usize) -> Option<crate::diag::Fix> {
    let names: Vec<&str> = (s.item..=close).map(|i| s.word(i)).collect();
    let one = |words: &[&str]| {
        let all: Vec<&str> = words.iter().flat_map(|w| s.declared(w)).collect();
        let mut found: Vec<&str> = names.iter().copied().filter(|n| all.contains(n)).collect();
        found.dedup();
        match found[..] {
            [name] => Some(name),
            _ => None,
        }
    };
    let (from, to) = (one(&["in"])?, one(&["out", "inout"])?);
    let (read, write) = (s.axes(from)?, s.axes(to)?);
    let same = read.len() == write.len() && read.iter().all(|a| write.contains(a));
    let text = format!("{to}[{}] <- {from}[{}]", write.join(", "), read.join(", "));
    same.then(|| crate::diag::Fix { span: s.spans(s.item, close), replacement: text })
}

const DIRECTIVES: [&str; 17] = [
    "push",
    "pull",
    "stages",
    "chunk",
    "blocks",
    "tile",
    "multicast",
    "transport",
    "path",
    "dedup",
    "forward",
    "reduce",
    "encode",
    "decode",
    "stage",
    "vector",
    "threads",
];

/// In a schedule: `stages = 4;`, `tile 128 x 64;`.
pub(super) fn directive(s: &Site) -> Option<Diagnostic> {
    let (found, first) = (s.found(), s.word(s.item));
    match found {
        "=" | ":" if s.place() == 1 => {
            let rest = s.slice(Span::new(s.span(s.at).end, s.span(s.last()).end)).trim();
            Some(
                s.error(format!("a directive is its word, then its arguments, found `{found}`"))
                    .help(format!("write `{first} {rest};`"))
                    .fix(s.spans(s.item, s.last()), format!("{first} {rest}")),
            )
        }
        "x" | "X" if is_number(s.back(1)) && is_number(s.word(s.at + 1)) => Some(
            s.error("arguments are separated by `,`")
                .help("write `,`")
                .fix(Span::new(s.behind().start, s.span(s.at).end), ","),
        ),
        ";" if s.place() == 0 => {
            Some(s.error("an empty directive").help("remove the `;`").fix(s.span(s.at), ""))
        }
        _ => None,
    }
}

/// `schedule(stages=4)`
fn called_schedule(s: &Site) -> Option<Diagnostic> {
    if s.place() != 1 || !matches!(s.found(), "(" | "[") {
        return None;
    }
    let close = s.closer(s.at)?;
    let parts = s.parts(s.at)?;
    let each: Vec<String> = parts
        .iter()
        .map(|(a, b)| format!("{};", s.slice(s.spans(*a, *b)).replace('=', " ")))
        .collect();
    let text = format!(" {{ {} }}", each.join(" "));
    let end = if s.word(close + 1) == ";" { close + 1 } else { close };
    Some(
        s.error("the directives of a schedule stand in braces")
            .help(format!("write `schedule{text}`"))
            .fix(s.spans(s.at, end), text),
    )
}

/// `y[m, h] = x[m, h];`
fn instead_of_the_arrow(s: &Site) -> Option<Diagnostic> {
    let (found, first) = (s.found(), s.word(s.item));
    if UPDATES.contains(&found) {
        return Some(
            s.error(format!("there is no `{found}`: each element is written once"))
                .help("add with `sum(k: ..)`, or keep partial sums with a placement `sum/gpu`"),
        );
    }
    if ASSIGNS.contains(&found) {
        let target = s.word(s.at + 1);
        let ins = s.declared("in");
        let close = (s.word(s.at + 2) == "[").then(|| s.closer(s.at + 2)).flatten();
        if let ("->" | "=>", true, Some(close)) = (found, ins.contains(&first), close) {
            let (from, to) =
                (s.slice(s.spans(s.item, s.at - 1)), s.slice(s.spans(s.at + 1, close)));
            let out = s.error("a statement has its target on the left");
            return Some(if ins.contains(&target) {
                out.help("write `y[m, h] <- x[m, h]`")
            } else {
                out.help(format!("write `{to} <- {from}`"))
                    .fix(s.spans(s.item, close), format!("{to} <- {from}"))
            });
        }
        let joined = found == "<" && matches!(s.word(s.at + 1), "-" | "~");
        let end = if joined { s.at + 1 } else { s.at };
        return Some(
            s.error(format!("syntax error: expected `<-`, found `{found}`"))
                .help("a statement moves elements by `<-`")
                .fix(s.spans(s.at, end), "<-"),
        );
    }
    if found == "via" && is_name(s.word(s.at + 1)) && s.word(s.at + 2) == "<-" {
        let (route, last) = (s.word(s.at + 1), s.last());
        let value = s.slice(Span::new(s.span(s.at + 2).start, s.span(last).end));
        let text = format!("{value} via {route}");
        return Some(
            s.error("`via` stands behind the value")
                .help(format!("write `{} {text}`", s.slice(s.spans(s.item, s.at - 1))))
                .fix(s.spans(s.at, last), text),
        );
    }
    match found {
        "[" if s.back(1) == "]" => Some(joined_index(s)),
        "(" => None,
        // `y[m, h], z[m, h] <- ..`
        "," if s.word(s.item) != "(" => {
            let arrow = (s.at..=s.last()).find(|i| s.word(*i) == "<-")?;
            let targets = format!("({})", s.slice(s.spans(s.item, arrow - 1)));
            Some(
                s.error("several targets stand in parentheses")
                    .note("each of them takes one result of a call as `quant`; a copy is one statement for each")
                    .help(format!("write `{targets} <- ..`, or one statement for each")),
            )
        }
        ";" | "}" => Some(
            s.error(format!("syntax error: expected `<-`, found `{found}`"))
                .fixed(the_other_side(s))
                .help("a statement says where its values come from: `y[m, h] <- x[m, h];`"),
        ),
        word if is_word(word) || is_number(word) => Some(
            Diagnostic::error("F0001", s.behind(), "a `<-` is missing between target and value")
                .help("add `<-`")
                .fix(s.behind(), " <-"),
        ),
        _ => None,
    }
}

/// `y[m, h];` alone, where one tensor of the other side has the same axes.
fn the_other_side(s: &Site) -> Option<crate::diag::Fix> {
    let name = s.word(s.item);
    let axes = s.axes(name)?;
    let list = s.slice(s.spans(s.item + 1, s.at - 1)).to_string();
    let reads = s.declared("in").contains(&name);
    let others = if reads { s.declared("out") } else { s.declared("in") };
    let fits: Vec<&str> =
        others.into_iter().filter(|o| s.axes(o).is_some_and(|a| a == axes)).collect();
    let [other] = fits[..] else { return None };
    Some(match reads {
        true => crate::diag::Fix {
            span: Span::new(s.span(s.item).start, s.span(s.item).start),
            replacement: format!("{other}{list} <- "),
        },
        false => crate::diag::Fix { span: s.behind(), replacement: format!(" <- {other}{list}") },
    })
}

/// `y[m = m, h = h]`, `y[m: m, h: h]`: indices by the names of their axes.
fn by_name(s: &Site, open: usize) -> Option<Diagnostic> {
    if s.word(open) != "[" || open == s.item || !matches!(s.found(), ":" | "=") {
        return None;
    }
    let axes = s.axes(s.word(open - 1))?;
    if !axes.contains(&s.back(1)) || !is_word(s.word(s.at + 1)) {
        return None;
    }
    let close = s.closer(open)?;
    let mut list: Vec<(usize, &str)> = Vec::new();
    for (first, last) in s.parts(open)? {
        let axis = axes.iter().position(|a| *a == s.word(first))?;
        let named = matches!(s.word(first + 1), ":" | "=") && last > first + 1;
        list.push((axis, s.slice(s.spans(if named { first + 2 } else { first }, last))));
    }
    list.sort_unstable();
    let text = list.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(", ");
    Some(
        s.error("indices stand in the order of the axes, without their names")
            .help(format!("write `{}[{text}]`", s.word(open - 1)))
            .fix(Span::new(s.span(open).end, s.span(close).start), text),
    )
}

/// `y[m][h]`
fn joined_index(s: &Site) -> Diagnostic {
    s.error("all indices of a tensor stand in one `[ ]`")
        .help("join them by `,`")
        .fix(s.spans(s.at - 1, s.at), ", ")
}

/// Behind the value of a statement.
fn behind_the_arrow(s: &Site) -> Option<Diagnostic> {
    let (found, before, next) = (s.found(), s.back(1), s.word(s.at + 1));
    let routes = s.declared("route");
    let ended = is_word(before) || is_number(before) || matches!(before, "]" | ")");
    if before == "via" {
        return match found {
            "route" => Some(
                s.error("`via` names a route")
                    .help(format!("write `via {next}`"))
                    .fix(s.spans(s.at, s.at + 1), next),
            ),
            ";" | "}" => {
                let name = routes.first().copied().unwrap_or("r");
                let out = s.error("`via` names a route").help(format!("write `via {name}`"));
                Some(if routes.len() == 1 { out.fix(s.behind(), format!(" {name}")) } else { out })
            }
            _ => None,
        };
    }
    if s.back(2) == "via" && matches!(found, "(" | "[") {
        let close = s.closer(s.at)?;
        return Some(
            s.error("a route takes no arguments where it is used")
                .help(format!("write `via {before}`"))
                .fix(s.spans(s.at, close), ""),
        );
    }
    if before == "<-" && matches!(found, ";" | "}" | "") {
        return Some(
            s.error("a statement says where its values come from")
                .help("write `y[m, h] <- x[m, h];`"),
        );
    }
    if found == "{" && s.axes(before).is_some() {
        let close = s.closer(s.at)?;
        let inner = s.slice(Span::new(s.span(s.at).end, s.span(close).start)).trim();
        return Some(
            s.error("indices stand in `[ ]`")
                .help(format!("write `{before}[{inner}]`"))
                .fix(s.spans(s.at, close), format!("[{inner}]")),
        );
    }
    if ended && is_word(found) {
        if let Some((claim, help)) = words::control(found) {
            return Some(s.error(claim).help(help));
        }
        if matches!(
            found,
            "through" | "using" | "along" | "by" | "over" | "on" | "with" | "use" | "route"
        ) && routes.contains(&next)
        {
            return Some(
                s.error(format!("a route is named by `via`, found `{found}`"))
                    .help(format!("write `via {next}`"))
                    .fix(s.span(s.at), "via"),
            );
        }
        if routes.contains(&found) {
            return Some(
                Diagnostic::error("F0001", s.behind(), "a route is named by `via`")
                    .help(format!("write `via {found}`"))
                    .fix(s.behind(), " via"),
            );
        }
    }
    // `x[m, h] as bf16`, `(bf16) x[m, h]`
    let arrow = s.earlier("<-")?;
    if let (true, "as" | "to", Some(to)) = (ended, found, element(next)) {
        let text = format!("cast({to}, {})", s.slice(s.spans(arrow + 1, s.at - 1)));
        return Some(
            s.error("a conversion is a `cast`")
                .help(format!("write `{text}`"))
                .fix(s.spans(arrow + 1, s.at + 1), text),
        );
    }
    if let (")", "(", Some(to), true) = (before, s.back(3), element(s.back(2)), is_name(found)) {
        let end =
            (s.at..=s.last()).take_while(|i| !matches!(s.word(*i), "via" | "where")).last()?;
        let text = format!("cast({to}, {})", s.slice(s.spans(s.at, end)));
        return Some(
            Diagnostic::error("F0001", s.spans(s.at - 3, s.at - 1), "a conversion is a `cast`")
                .help(format!("write `{text}`"))
                .fix(s.spans(s.at - 3, end), text),
        );
    }
    match found {
        "," if (s.at..=s.last()).any(|i| s.word(i) == "<-") => Some(
            s.error("statements end with `;`").help("write `;`").fix(s.span(s.at), ";"),
        ),
        "," => Some(
            s.error("a statement has one value")
                .help("write one statement for each: `y[m, h] <- x[m, h];`"),
        ),
        "@" if next == "[" => Some(
            s.error("a placement stands where the tensor is declared")
                .note("a statement says which elements move; from where to where follows from the placements")
                .help("leave it out here")
                .fix(s.spans(s.at, s.closer(s.at + 1)?), ""),
        ),
        "<-" => Some(
            s.error("a statement has one target")
                .help("write two statements, or several targets in parentheses"),
        ),
        "=" | ":=" | "->" | "=>" if before == "<-" => Some(
            s.error(format!("`<-` alone moves elements, found `{found}` behind it"))
                .help("remove it")
                .fix(s.span(s.at), ""),
        ),
        // `y[m, h] <- x[m, h]:`, `x[m, h].`
        ":" | "." if ended && matches!(next, "}" | "") => {
            Some(s.error("a statement ends with `;`").help("write `;`").fix(s.span(s.at), ";"))
        }
        "}" if before == "." => Some(
            Diagnostic::error("F0001", s.span(s.at - 1), "a statement ends with `;`")
                .help("write `;`")
                .fix(s.span(s.at - 1), ";"),
        ),
        "=" | ":=" | "->" | "=>" => Some(
            s.error(format!("`{found}` cannot stand in a value"))
                .help("a statement is `y[m, h] <- x[m, h];`, with its target on the left"),
        ),
        _ => operator(s),
    }
}

/// The element type of that name, here or in another library.
fn element(word: &str) -> Option<&str> {
    let own = matches!(
        word,
        "f32"
            | "f16"
            | "bf16"
            | "e4m3"
            | "e5m2"
            | "i8"
            | "i32"
            | "i64"
            | "u8"
            | "u32"
            | "f64"
            | "i16"
            | "u16"
            | "u64"
            | "bool"
    );
    if own { Some(word) } else { words::element(word) }
}

/// Operators that other languages have.
fn operator(s: &Site) -> Option<Diagnostic> {
    let help = match s.found() {
        "?" => "there are no conditions in a value; what depends on data is a `route`",
        "@" | "**" | "^" | "|" | "&" | "<<" | ">>" | "~" => {
            "values have `+ - * / %`; matrix products are computed outside, before or after"
        }
        "!" => "compare with `==` and `!=`",
        "..." => return None,
        _ => return None,
    };
    Some(s.error(format!("there is no operator `{}`", s.found())).help(help))
}

/// A row of a route: `e = topk[s, t, k] else drop;`.
pub(super) fn row(s: &Site) -> Option<Diagnostic> {
    let (found, before, place) = (s.found(), s.back(1), s.place());
    let form =
        "a row gives one coordinate: `e = topk[s, t, k] else drop;`, `c = slot(e) by (s, t, k);`";
    if found == ";" && place == 0 {
        return Some(s.error("an empty row").help("remove the `;`").fix(s.span(s.at), ""));
    }
    if let Some((claim, help)) = words::control(s.word(s.item)) {
        return Some(Diagnostic::error("F0001", s.span(s.item), claim).help(help));
    }
    if s.word(s.item) == "cap" {
        if place == 1 && (is_number(found) || matches!(found, "=" | ":" | "<" | "<=")) {
            let slot = (0..s.item).rev().find(|i| s.word(*i) == "slot");
            let var = slot.filter(|i| *i > 1).map_or("c", |i| s.word(i - 2));
            let text = format!("cap {var} < {} else drop", s.word(s.last()));
            let alone = s.last() == s.at + usize::from(!is_number(found));
            let out =
                s.error("a capacity is a condition on a slot").help(format!("write `{text};`"));
            return Some(if alone { out.fix(s.spans(s.item, s.last()), text) } else { out });
        }
        return (found == ";").then(|| {
            s.error("what happens beyond the capacity is part of the meaning")
                .help("write `cap .. else drop;` to leave tuples out, or `else trap` for an error")
                .fix(s.behind(), " else drop")
        });
    }
    if place == 1 {
        return match found {
            "<-" | ":=" | ":" | "==" | "->" | "<" => {
                let end = if found == "<" && s.word(s.at + 1) == "-" { s.at + 1 } else { s.at };
                Some(
                    s.error(format!("a row of a route is joined by `=`, found `{found}`"))
                        .help("write `=`")
                        .fix(s.spans(s.at, end), "="),
                )
            }
            // `topk[s, t, k] -> e else drop`
            "[" => {
                let close = s.closer(s.at)?;
                let (joint, name) = (s.word(close + 1), s.word(close + 2));
                let out = Diagnostic::error(
                    "F0001",
                    s.spans(s.item, close),
                    "a row has its coordinate on the left",
                );
                let turned = matches!(joint, "->" | "=" | "=>" | ":=") && is_name(name);
                let text = format!("{name} = {}", s.slice(s.spans(s.item, close)));
                Some(match turned {
                    true => {
                        out.help(format!("write `{text}`")).fix(s.spans(s.item, close + 2), text)
                    }
                    false => out.help(form),
                })
            }
            _ => Some(s.error(format!("syntax error: expected `=`, found `{found}`")).help(form)),
        };
    }
    if !s.brackets.is_empty() {
        return in_row_index(s);
    }
    match found {
        "," if s.earlier("by").is_some() && is_name(before) => {
            let start = s.earlier("by")? + 1;
            let list = (start..=s.last()).take_while(|i| is_name(s.word(*i)) || s.word(*i) == ",");
            let end = list.last()?;
            let text = s.slice(s.spans(start, end));
            Some(
                s.error("an order of several variables stands in parentheses")
                    .help(format!("write `by ({text})`"))
                    .fix(s.spans(start, end), format!("({text})")),
            )
        }
        "," if s.word(s.at + 1) == "by" => {
            Some(s.error("no `,` before `by`").help("remove it").fix(s.span(s.at), ""))
        }
        "by" if s.earlier("else").is_some() => {
            let start = s.earlier("else")?;
            let (otherwise, order) =
                (s.slice(s.spans(start, s.at - 1)), s.slice(s.spans(s.at, s.last())));
            Some(
                s.error("the order stands before `else`")
                    .help(format!("write `{order} {otherwise}`"))
                    .fix(s.spans(start, s.last()), format!("{order} {otherwise}")),
            )
        }
        _ if before == "else" => {
            let out = s
                .error(format!("`else` says what happens to the tuple, found `{found}`"))
                .help("write `else drop` to leave it out, or `else trap` for an error");
            let close = matches!(found, "{" | "(" | "[").then(|| s.closer(s.at)).flatten();
            let inner = s.word(s.at + 1);
            Some(match close {
                Some(close) if close == s.at + 2 && matches!(inner, "drop" | "trap") => {
                    out.fix(s.spans(s.at, close), inner)
                }
                // What the index tensor holds for `none`.
                None if found == "-" && inner == "1" => out.fix(s.spans(s.at, s.at + 1), "drop"),
                _ => out,
            })
        }
        "," if s.earlier("else").is_some() || s.earlier("by").is_some() => {
            Some(s.error("a row ends with `;`").help("write `;`").fix(s.span(s.at), ";"))
        }
        "[" if before == "by" => {
            let close = s.closer(s.at)?;
            let list = s.slice(Span::new(s.span(s.at).end, s.span(close).start));
            Some(
                s.error("an order of several variables stands in parentheses")
                    .help(format!("write `by ({list})`"))
                    .fix(s.spans(s.at, close), format!("({list})")),
            )
        }
        "cap" => Some(
            Diagnostic::error("F0001", s.behind(), "a capacity is a row of its own")
                .help(format!("write `cap {} < {} else drop;`", s.word(s.item), s.word(s.at + 1)))
                .fix(
                    s.spans(s.at, s.last()),
                    format!("; cap {} < {} else drop", s.word(s.item), s.word(s.last())),
                ),
        ),
        word if is_word(word) && matches!(s.word(s.at + 1), "drop" | "trap") => Some(
            s.error(format!("what happens to other tuples stands behind `else`, found `{word}`"))
                .help("write `else`")
                .fix(s.span(s.at), "else"),
        ),
        word if is_name(word) && s.word(s.at + 1) == "by" => Some(
            s.error(format!("an order is given by `by` alone, found `{word}`"))
                .help(format!("remove `{word}`"))
                .fix(Span::new(s.span(s.at).start, s.span(s.at + 1).start), ""),
        ),
        "drop" | "trap" => Some(
            Diagnostic::error("F0001", s.behind(), format!("`else` is missing before `{found}`"))
                .help(format!("write `else {found}`"))
                .fix(s.behind(), " else"),
        ),
        "(" if before == ")" && s.earlier("slot").is_some() => Some(
            Diagnostic::error("F0001", s.behind(), "`by` is missing before the order")
                .help(format!("add `by`, {form}"))
                .fix(s.behind(), " by"),
        ),
        "via" | "?" | "if" | "when" | "where" => {
            Some(s.error(format!("`{found}` cannot stand in a row of a route")).help(form))
        }
        _ => None,
    }
}

fn in_row_index(s: &Site) -> Option<Diagnostic> {
    let open = *s.brackets.last()?;
    // `slot(e, by=(s, t, k))`
    if s.back(1) == "by" && matches!(s.found(), "=" | ":") && s.back(2) == "," {
        let close = s.closer(open)?;
        let order = s.slice(Span::new(s.span(s.at).end, s.span(close).start)).trim();
        return Some(
            s.error("the order stands behind the slot")
                .help(format!("write `) by {order}`"))
                .fix(s.spans(s.at - 2, close), format!(") by {order}")),
        );
    }
    let slice = matches!(s.found(), ":" | ".." | "...") && s.word(open) == "[";
    slice.then(|| {
        s.error("there are no slices: an index is one element")
            .help("write the variables of the route: `topk[s, t, k]`")
    })
}
