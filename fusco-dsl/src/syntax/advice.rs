//! What a syntax error most likely means, by the rule that failed and the token that was found.
//!
//! Each rule looks at a [`Site`] and answers with a whole diagnostic, in the words of somebody who does not
//! know the grammar, or passes. The first answer counts; files of rules are by place: outside and around
//! declarations here, in a declaration `declared`, in an entry or a route `stated`.

use super::lex::RESERVED;
use super::site::{DECLARATIONS, Site, is_name, is_number, is_word};
use super::{declared, stated, words};
use crate::diag::{Diagnostic, Fix, nearest};
use crate::source::Span;

/// What a program looks like.
pub(crate) const SHAPE: &str = "a file holds programs: `program NAME { mesh tp { gpu: 2 }  in x: ..;  out y: ..;  entry main { y[m, h] <- x[m, h]; } }`";

pub(super) type Rule = fn(&Site) -> Option<Diagnostic>;

/// `wanted`: what the grammar would have taken, as it is shown.
pub(super) fn advise(site: &Site, wanted: &[String]) -> Option<Diagnostic> {
    let rules: &[Rule] = match (site.blocks.len(), site.block()) {
        (0, _) => &[program_header, outside],
        (_, "program") if site.at == site.item => &[unclosed_file, in_program],
        (_, "program") => match site.kind() {
            "entry" => &[unclosed_file, declared::entry],
            "route" => &[unclosed_file, declared::route],
            _ => &[declared::any, unclosed_file],
        },
        (_, "mesh") => &[unclosed_file, unclosed_block, declared::mesh_axis],
        (_, "route") => &[unclosed_file, unclosed_block, stated::row],
        (_, "entry") => &[unclosed_file, unclosed_block, stated::statement],
        (_, "schedule") => &[unclosed_file, unclosed_block, stated::directive],
        _ => &[unclosed_file, unclosed_block],
    };
    rules
        .iter()
        .find_map(|rule| rule(site))
        .or_else(|| capital(site))
        .or_else(|| bracket(site))
        .or_else(|| missing_comma(site))
        .or_else(|| missing_semicolon(site, wanted))
        .or_else(|| reserved(site, wanted))
}

/// What an item of this kind looks like, where nothing is known of what was meant.
pub(super) fn form(s: &Site) -> &'static str {
    let kind = if s.at == s.item { s.found() } else { s.kind() };
    match (s.block(), kind) {
        ("mesh", _) | (_, "mesh") => "a mesh is `mesh tp { gpu: 8 }`",
        ("entry", "schedule") => "a schedule is `schedule { stages 4; }`",
        ("entry", "plan") => "a route is planned by `plan r;`",
        ("entry", "prove" | "assume") => {
            "a claim is a comparison or a property: `assume M % 8 == 0;`"
        }
        ("entry", _) => {
            "a statement is `y[m, h] <- x[m, h];`, with a route `y[e, c, h] <- x[s, t, h] via r;`"
        }
        ("route", _) => {
            "a row gives one coordinate: `e = topk[s, t, k] else drop;`, `c = slot(e) by (s, t, k);`"
        }
        ("schedule", _) => "a directive is a word and its arguments: `stages 4;`",
        (_, "in" | "out" | "inout" | "tmp") => {
            "a tensor is `in x: bf16[m: 1024, h: 512] @ [m/gpu, m, h];`"
        }
        (_, "const") => "a constant is `const N = 8;`",
        (_, "param") => "a param is `param M: int where M % 8 == 0;`",
        (_, "dyn") => "a dyn is `dyn T[gpu]: int <= TMAX;`",
        (_, "route") => "a route is `route r: (s, t, k) -> (e, c) { .. }`",
        (_, "entry") => "an entry is `entry main { y[m, h] <- x[m, h]; }`",
        (_, "assume" | "prove") => "a claim is a comparison: `assume M % 8 == 0;`",
        ("", _) => SHAPE,
        _ => "a program holds declarations (mesh, param, const, dyn, in, out, route) and entries",
    }
}

/// The header of a program: `program NAME {`.
fn program_header(s: &Site) -> Option<Diagnostic> {
    if s.kind() != "program" {
        return None;
    }
    let found = s.found();
    match s.place() {
        1 if found == "{" => {
            let name = s.fresh("p");
            Some(
                s.error("a program has a name")
                    .help(format!("write `program {name} {{`"))
                    .fix(s.behind(), format!(" {name}")),
            )
        }
        2 => match found {
            "(" => {
                let close = s.closer(s.at)?;
                Some(
                    s.error("a program takes no arguments")
                        .note("its inputs are `in` tensors, its sizes `param`s, declared inside")
                        .help("leave them out")
                        .fix(s.spans(s.at, close), ""),
                )
            }
            ":" | ";" | "=" => {
                let diagnostic = s
                    .error(format!("a program stands in braces, found `{found}`"))
                    .help(format!("write `program {} {{ .. }}`", s.back(1)));
                let brace = s.word(s.at + 1) == "{";
                Some(match brace {
                    true => diagnostic.fix(s.span(s.at), ""),
                    false => diagnostic.fix(s.span(s.at), " {"),
                })
            }
            "-" | "." => declared::dashed(s),
            word if is_word(word) => Some(
                Diagnostic::error(
                    "F0001",
                    s.behind(),
                    "a `{` is missing behind the name of the program",
                )
                .help("add `{`")
                .fix(s.behind(), " {"),
            ),
            _ => None,
        },
        _ => None,
    }
}

/// Between and around programs.
fn outside(s: &Site) -> Option<Diagnostic> {
    if s.at != s.item {
        // The first word of the file says more than the one after it.
        let first = s.kind();
        return (first != "program").then(|| outside_word(s, s.item)).flatten();
    }
    outside_word(s, s.at)
}

fn outside_word(s: &Site, at: usize) -> Option<Diagnostic> {
    let word = s.word(at);
    let error = |message: String| Diagnostic::error("F0001", s.span(at), message);
    if word == "}" {
        return Some(
            error("this `}` closes nothing".into())
                .help("remove it, or add the `{` that it closes")
                .fix(s.span(at), ""),
        );
    }
    if word == ";" {
        return Some(error("no `;` behind a `}`".into()).help("remove it").fix(s.span(at), ""));
    }
    if let Some((claim, help)) = words::control(word) {
        let out = error(claim.into()).help(help);
        // A whole line before the first program.
        let start = s.span(at).start as usize;
        let end = start + s.text[start..].find('\n').map_or(s.text.len() - start, |n| n + 1);
        let alone = at == 0 && !s.text[start..end].contains(['{', '}']);
        let imports =
            claim == "nothing is imported" && alone && !s.text[start..end].contains("program ");
        return Some(if imports { out.fix(Span::new(start as u32, end as u32), "") } else { out });
    }
    let declares = DECLARATIONS.contains(&word)
        || words::declaration(word).is_some() && !matches!(word, "def" | "fn" | "func" | "kernel")
        || matches!(word, "plan" | "assume" | "prove" | "schedule");
    if declares || s.word(at + 1) == "[" {
        let earlier = at > 0;
        let found = error(format!("`{word}` stands outside of any program"));
        return Some(if earlier {
            found
                .related(s.span(at - 1), "the program ends here")
                .help("remove this `}` if it closes the program too early")
        } else {
            let name = s.fresh("p");
            let start = Span::new(s.span(at).start, s.span(at).start);
            found
                .note(SHAPE)
                .help(format!("write `program {name} {{` before it and `}}` at the end"))
                .fix(start, format!("program {name} {{\n"))
        });
    }
    let lower = word.to_lowercase();
    let kin = ["module", "class", "kernel", "def", "fn", "func", "function", "struct", "graph"];
    let near = nearest(&lower, &["program"]).is_some() || kin.contains(&lower.as_str());
    if near && is_name(s.word(at + 1)) {
        return Some(
            error(format!("syntax error: expected `program`, found `{word}`"))
                .note(SHAPE)
                .help("write `program`")
                .fix(s.span(at), "program"),
        );
    }
    (!word.is_empty()).then(|| {
        error(format!("syntax error: expected `program`, found `{word}`")).label("here").help(SHAPE)
    })
}

/// The file ends inside braces.
fn unclosed_file(s: &Site) -> Option<Diagnostic> {
    let (header, brace) = *s.blocks.last()?;
    // What the file ends in: a whole item, or the middle of one.
    if !s.found().is_empty() || s.at != s.item {
        return None;
    }
    let open = s.blocks.len();
    let name = s.slice(s.spans(header, brace - 1));
    let end = s.behind();
    Some(
        Diagnostic::error("F0001", end, format!("`{name} {{` is never closed"))
            .related(s.span(brace), "opened here")
            .help(format!("add {} `}}`", if open == 1 { "a" } else { "the missing" }))
            .fix(end, "\n}".repeat(open)),
    )
}

/// A declaration where a statement, a row or a mesh axis stands: the `}` before it is missing.
fn unclosed_block(s: &Site) -> Option<Diagnostic> {
    let word = s.found();
    let (header, brace) = *s.blocks.last()?;
    let starts = is_name(s.word(s.at + 1)) || word == "mesh";
    if !(DECLARATIONS.contains(&word) || word == "program") || !starts || !s.brackets.is_empty() {
        return None;
    }
    if s.at != s.item && s.block() != "mesh" {
        return None;
    }
    let name = s.slice(s.spans(header, brace - 1));
    if s.block() == "entry" && s.at == brace + 1 && word != "entry" {
        return Some(
            s.error(format!("`{word}` declares something inside of an entry"))
                .related(s.span(brace), "the entry starts here")
                .help("declarations stand in the program, before the entry"),
        );
    }
    Some(
        s.error(format!("`{name} {{` is not closed before this `{word}`"))
            .related(s.span(brace), "opened here")
            .help("add a `}`")
            .fix(s.behind(), " }"),
    )
}

/// The first word of a declaration.
fn in_program(s: &Site) -> Option<Diagnostic> {
    let (word, next) = (s.found(), s.word(s.at + 1));
    match word {
        ";" => {
            return Some(s.error("no `;` behind a `}`").help("remove it").fix(s.span(s.at), ""));
        }
        "program" => {
            let brace = s.blocks.last()?.1;
            return Some(
                s.error("programs do not nest")
                    .related(s.span(brace), "this program is still open")
                    .help("close it with `}` first")
                    .fix(s.behind(), "\n}"),
            );
        }
        "plan" | "schedule" | "via" => {
            let out = s
                .error(format!("`{word}` stands outside of any entry"))
                .help(format!("move it into an entry: `entry main {{ {word} .. }}`"));
            return Some(out.fixed(planned_in_the_next(s).filter(|_| word == "plan")));
        }
        "@" => {
            return Some(
                s.error("there are no decorators")
                    .help("what is decided about an entry stands in its `schedule { .. }`"),
            );
        }
        _ => {}
    }
    if let Some((claim, help)) = words::control(word) {
        return Some(s.error(claim).help(help));
    }
    if !is_word(word) {
        return None;
    }
    // A statement: `y[m] <- x[m];`, `y <- x;`
    let arrow = |w: &str| matches!(w, "<-" | "=" | ":=" | "->");
    let indexed = next == "[" && s.closer(s.at + 1).is_some_and(|c| arrow(s.word(c + 1)));
    if is_name(word) && (indexed || next == "<-" || (arrow(next) && s.axes(word).is_some())) {
        let last = s.last();
        let statement = Span::new(s.span(s.at).start, s.span(last).end);
        let ends = if s.word(last + 1) == ";" { s.spans(last + 1, last + 1) } else { statement };
        let whole = Span::new(statement.start, ends.end);
        let entry = format!("entry {} {{ {}; }}", s.fresh("main"), s.slice(statement));
        return Some(
            s.error("a statement stands in an entry")
                .help("put it into one: `entry main { .. }`")
                .fix(whole, entry),
        );
    }
    if let Some(name) = words::collective(word).filter(|_| next == "(") {
        return Some(s.error(format!("`{word}(..)` stands outside of any entry")).help(name));
    }
    if next == ":" && is_name(word) {
        let io = if written(s, word) { "out" } else { "in" };
        return Some(
            s.error(format!("a declaration starts with what it declares: `{word}` is not known"))
                .note("tensors are `in`, `out`, `inout` or `tmp`, sizes `param`, `const` or `dyn`")
                .help(format!("write `{io} {word}: ..`"))
                .fix(Span::new(s.span(s.at).start, s.span(s.at).start), format!("{io} ")),
        );
    }
    // `pub entry main {`, `const in x: ..`
    if DECLARATIONS.contains(&next) && is_name(s.word(s.at + 2)) {
        return Some(
            s.error(format!("`{word}` says nothing here"))
                .help(format!("remove `{word}`"))
                .fix(Span::new(s.span(s.at).start, s.span(s.at + 1).start), ""),
        );
    }
    // `tensor x: bf16[..]`
    let third = s.word(s.at + 2);
    let known = words::declaration(word).is_some();
    if is_name(next) && third == ":" && matches!(s.word(s.at + 4), "[" | "(") && !known {
        let near = nearest(word, &["in", "out", "inout", "input", "output"]);
        let meant = near.map(|w| words::declaration(w).unwrap_or(w));
        let io = meant.unwrap_or(if written(s, next) { "out" } else { "in" });
        return Some(
            s.error(format!("a tensor is `in`, `out`, `inout` or `tmp`, found `{word}`"))
                .help(format!("write `{io} {next}: ..`"))
                .fix(s.span(s.at), io),
        );
    }
    // `index m, h;`, `axis m = 1024;`
    if matches!(word, "index" | "indices" | "axis" | "axes" | "iter" | "dim" | "range" | "idx")
        && is_name(next)
    {
        let end = if s.word(s.last() + 1) == ";" { s.last() + 1 } else { s.last() };
        let size = (s.at + 2..=s.last()).map(|i| s.word(i)).find(|w| is_number(w));
        let help = match size {
            Some(size) => {
                format!("remove it, and write `{next}: {size}` where a tensor has the axis")
            }
            None => "remove it".to_string(),
        };
        return Some(
            s.error("axes and index variables are not declared by themselves")
                .note("an axis gets its name and its extent in the tensor, `bf16[m: 1024]`; a variable runs over the axis where it stands")
                .help(help)
                .fix(s.spans(s.at, end), ""),
        );
    }
    // `tp { gpu: 2 }`
    if next == "{" && matches!(s.word(s.at + 3), ":" | "=") && is_number(s.word(s.at + 4)) {
        let start = Span::new(s.span(s.at).start, s.span(s.at).start);
        return Some(
            s.error(format!("a declaration starts with what it declares: `{word}` is not known"))
                .help(format!("write `mesh {word} {{ .. }}`"))
                .fix(start, "mesh "),
        );
    }
    let keywords: Vec<&str> = DECLARATIONS.iter().copied().chain(["assume", "prove"]).collect();
    let meant = words::declaration(word)
        .or_else(|| nearest(&word.to_lowercase(), &keywords).filter(|_| word.len() > 2));
    if let Some(meant) = meant.filter(|_| is_word(next) || (word.len() > 3 && next == "{")) {
        return Some(
            s.error(format!("`{word}` declares nothing; did you mean `{meant}`?"))
                .note(format!("a program holds {}", keywords.join(", ")))
                .help(format!("write `{meant}`"))
                .fix(s.span(s.at), meant),
        );
    }
    Some(
        s.error(format!("syntax error: expected a declaration, found `{word}`"))
            .label("here")
            .help(format!("a program holds {}; statements stand in an entry", keywords.join(", "))),
    )
}

/// `plan r;` before an entry, moved into it.
fn planned_in_the_next(s: &Site) -> Option<Fix> {
    let end = s.last() + 1;
    let entry = (end..end + 4096)
        .take_while(|i| !s.word(*i).is_empty())
        .find(|i| s.word(*i) == "entry" && s.word(i + 2) == "{")?;
    let between = s.slice(Span::new(s.span(end).end, s.span(entry + 2).end)).trim_start();
    let plan = s.slice(s.spans(s.at, end));
    let span = s.spans(s.at, entry + 2);
    (s.word(end) == ";").then(|| Fix { span, replacement: format!("{between} {plan}") })
}

/// Whether some statement has the tensor on its left.
fn written(s: &Site, name: &str) -> bool {
    s.text.match_indices("<-").any(|(at, _)| {
        let left = s.text[..at].rsplit([';', '{', '}']).next().unwrap_or("");
        left.split('[').next().is_some_and(|n| n.trim() == name)
    })
}

/// A keyword in capitals.
fn capital(s: &Site) -> Option<Diagnostic> {
    let lower = s.found().to_lowercase();
    if lower == s.found() || !RESERVED.contains(&lower.as_str()) || !s.brackets.is_empty() {
        return None;
    }
    Some(
        s.error(format!("`{}` is not a word of fusco; did you mean `{lower}`?", s.found()))
            .help(format!("write `{lower}`"))
            .fix(s.span(s.at), lower),
    )
}

/// A bracket that is closed by another one, by none, or that holds a `;`.
fn bracket(s: &Site) -> Option<Diagnostic> {
    let found = s.found();
    let Some(&open) = s.brackets.last() else {
        return matches!(found, ")" | "]").then(|| {
            s.error(format!("this `{found}` closes nothing"))
                .help("remove it")
                .fix(s.span(s.at), "")
        });
    };
    let (opener, closer) = (s.word(open), if s.word(open) == "(" { ")" } else { "]" });
    if matches!(found, ")" | "]") && found != closer && s.word(s.at + 1) == closer {
        return Some(
            s.error(format!("this `{found}` closes nothing"))
                .related(s.span(open), format!("`{opener}` is closed by `{closer}`"))
                .help("remove it")
                .fix(s.span(s.at), ""),
        );
    }
    if matches!(found, ")" | "]") && found != closer {
        return Some(
            s.error(format!("`{opener}` is closed by `{found}`"))
                .related(s.span(open), "opened here")
                .help(format!("write `{closer}`"))
                .fix(s.span(s.at), closer),
        );
    }
    let ends = matches!(found, ";" | "@" | "<-" | "{" | "}" | "" | "with" | "via" | "where");
    let declares = DECLARATIONS.contains(&found) && is_name(s.word(s.at + 1));
    if found == ";" && closes_on_this_line(s, closer) {
        return Some(
            s.error("parts of a list are separated by `,`")
                .help("write `,`")
                .fix(s.span(s.at), ","),
        );
    }
    (ends || declares).then(|| {
        Diagnostic::error("F0001", s.behind(), format!("`{opener}` is not closed"))
            .related(s.span(open), "opened here")
            .help(format!("add `{closer}`"))
            .fix(s.behind(), closer)
    })
}

/// Whether the bracket closes behind the `;`, before the line or the next item ends.
fn closes_on_this_line(s: &Site, closer: &str) -> bool {
    let rest = &s.text[s.span(s.at).end as usize..];
    let line = rest.lines().next().unwrap_or("");
    let part = line.split([';', '@', '<', '{', '}']).next().unwrap_or("");
    let opener = if closer == "]" { "[" } else { "(" };
    part.matches(closer).count() > part.matches(opener).count()
}

/// Two parts of a list without a `,` between.
fn missing_comma(s: &Site) -> Option<Diagnostic> {
    if s.found() == "for" {
        let body = s.brackets.last().map(|open| s.slice(s.spans(open + 1, s.at - 1)));
        let (var, body) = (s.word(s.at + 1), body.unwrap_or(".."));
        let close = s.brackets.last().and_then(|open| s.closer(*open));
        let text = format!("{var}: {body}");
        let out = s.error("there are no comprehensions").help(format!("write `sum({text})`"));
        let summed = s.brackets.last().is_some_and(|o| *o > 0 && s.word(o - 1) == "sum");
        return Some(match (s.brackets.last(), close) {
            (Some(open), Some(close)) if summed && is_name(var) => {
                out.fix(s.spans(open + 1, close - 1), text)
            }
            _ => out,
        });
    }
    let (&open, before, found) = (s.brackets.last()?, s.back(1), s.found());
    let ends = is_word(before) || is_number(before) || matches!(before, "]" | ")");
    let starts = is_name(found) || is_number(found);
    (ends && starts && s.at > open + 1 && !is_keyword_pair(before)).then(|| {
        Diagnostic::error("F0001", s.behind(), "a `,` is missing between two parts of a list")
            .help("add `,`")
            .fix(s.behind(), ",")
    })
}

/// A word that takes one behind it without a `,`.
fn is_keyword_pair(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// A `;` that is missing at the end of the line or before the next item.
fn missing_semicolon(s: &Site, wanted: &[String]) -> Option<Diagnostic> {
    let found = s.found();
    if !wanted.iter().any(|w| w == "`;`") || s.at == s.item || !s.brackets.is_empty() {
        return None;
    }
    let next = DECLARATIONS.contains(&found)
        || matches!(found, "}" | "plan" | "prove" | "assume" | "schedule" | "program" | "");
    let next_line = s.on_a_new_line() && is_word(found);
    if !next && !next_line {
        return None;
    }
    let gap = &s.text[s.behind().end as usize..s.span(s.at).start as usize];
    let commented = gap.lines().next().is_some_and(|l| l.contains("//") && l.contains(';'));
    let division = gap.trim_start().strip_prefix("//").map(str::trim_start);
    if let Some(rest) =
        division.filter(|r| commented && r.starts_with(|c: char| c.is_ascii_digit()))
    {
        let start = s.behind().end as usize + gap.find("//").unwrap_or(0);
        let span = Span::new(start as u32, start as u32 + 2);
        return Some(
            Diagnostic::error("F0001", span, "`//` starts a comment: a division is `/`")
                .note(format!("`{}` is not read", rest.lines().next().unwrap_or("").trim_end()))
                .help("write `/`")
                .fix(span, "/"),
        );
    }
    let mut out = Diagnostic::error("F0001", s.behind(), "a `;` is missing here").help("add `;`");
    if commented {
        out = out.note("`//` starts a comment: what follows it on the line is not read");
    }
    Some(out.fix(s.behind(), ";"))
}

/// F0103: a reserved word where a name stands.
fn reserved(s: &Site, wanted: &[String]) -> Option<Diagnostic> {
    let (word, next) = (s.found(), s.word(s.at + 1));
    let named = matches!(next, ":" | "," | "]" | "[" | "=" | ")" | "/" | "." | "{" | "(" | "<-");
    let wants = wanted.iter().any(|w| w.contains("a name") || w.contains("expression"));
    (RESERVED.contains(&word) && named && (wants || s.at == s.item)).then(|| {
        Diagnostic::error("F0103", s.span(s.at), format!("`{word}` is a reserved word"))
            .help(format!("choose another name, as `{word}_`"))
    })
}
