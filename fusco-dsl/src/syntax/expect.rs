//! Syntax errors in the user's words, and what to leave out so that the parse can go on.

use super::advice::{advise, form};
use super::grammar::{Grammar, Rule};
use super::lex::{RESERVED, token_end};
use super::site::{Site, overlay};
use super::words;
use crate::diag::{Diagnostic, Diagnostics, Fix};
use crate::source::Span;
use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};

/// Reports strings, other alphabets, suffixed numbers and `-` runs outside comments; blanks them with a
/// word or number so that they are not reported twice.
///
/// Leaves: the text, and whether it now says what was meant.
pub(super) fn blank_lexical_errors(text: &str, diagnostics: &mut Diagnostics) -> (String, bool) {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    let mut whole = true;
    while at < out.len() {
        let end = token_end(text, at);
        let token = &text[at..end];
        let span = Span::new(at as u32, end as u32);
        let first = out[at];
        if first == b'#' || dashes(text, at) {
            let end = at + text[at..].find('\n').unwrap_or(text.len() - at);
            diagnostics.push(hash(text, at, end));
            out[at..end].fill(b' ');
            at = end.max(at + 1);
            continue;
        }
        if at == 0 && token.starts_with('\u{feff}') {
            diagnostics.push(
                Diagnostic::error("F0004", span, "the file starts with a byte order mark")
                    .help("save it as UTF-8 without one")
                    .fix(span, ""),
            );
            out[at..end].fill(b' ');
            at = end;
            continue;
        }
        // ``` of a document, whole lines.
        if text[at..].starts_with("```") {
            let end = at + text[at..].find('\n').unwrap_or(text.len() - at);
            let line = Span::new(at as u32, end as u32);
            diagnostics.push(
                Diagnostic::error(
                    "F0001",
                    line,
                    "a file holds programs, and no marks of a document",
                )
                .help("remove it")
                .fix(line, ""),
            );
            out[at..end].fill(b' ');
            at = end.max(at + 1);
            continue;
        }
        if token.starts_with("//!") {
            let mark = Span::new(at as u32, at as u32 + 3);
            diagnostics.push(
                Diagnostic::error(
                    "F0001",
                    mark,
                    "a comment starts with `//`, one that documents with `///`",
                )
                .help("write `//`")
                .fix(mark, "//"),
            );
            out[at..end].fill(b' ');
            at = end;
            continue;
        }
        if token.starts_with("/*") && !token.ends_with("*/") {
            let open = Span::new(at as u32, at as u32 + 2);
            diagnostics.push(
                Diagnostic::error("F0001", open, "this comment is never closed")
                    .help("add `*/` where it ends, or start each line with `//`")
                    .fix(open, "//"),
            );
            // As with the edit: the rest of the line.
            let end = at + text[at..].find('\n').unwrap_or(text.len() - at);
            out[at..end].fill(b' ');
            at = end.max(at + 1);
            continue;
        }
        if let Some(mark) = words::mark(token) {
            let mut shown = Diagnostic::error("F0004", span, format!("`{token}` is not ASCII"));
            shown = match mark {
                " " => shown.help("write an ordinary space"),
                "" => shown.help("remove it: names stand without quotes"),
                _ => shown.help(format!("write `{mark}`")),
            };
            diagnostics.push(shown.fix(span, mark));
            out[at..end].fill(b' ');
            let len = mark.len().min(end - at);
            out[at..at + len].copy_from_slice(&mark.as_bytes()[..len]);
            at = end;
            continue;
        }
        let bad = if first == b'"' || first == b'\'' && token.len() > 1 {
            let found = string(token, span);
            if let Some(bare) = found.fix.as_ref().map(|f| f.replacement.clone()) {
                out[at..end].fill(b' ');
                out[at + 1..at + 1 + bare.len()].copy_from_slice(bare.as_bytes());
                diagnostics.push(found);
                at = end.max(at + 1);
                continue;
            }
            Some(pattern(text, at, token).unwrap_or(found))
        } else if !token.is_ascii() && !token.starts_with("//") && !token.starts_with("/*") {
            let shown = Diagnostic::error("F0004", span, format!("`{token}` is not ASCII"));
            if let Some(name) = words::ascii(token) {
                let fits = name.len() <= end - at;
                out[at..end].fill(if fits { b' ' } else { b'x' });
                if fits {
                    out[at..at + name.len()].copy_from_slice(name.as_bytes());
                }
                whole &= fits;
                // One edit of several would leave two names.
                let known = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let alone =
                    text.matches(token).count() == 1 || known.into_iter().any(|w| w == name);
                let shown = shown.help(format!("write `{name}`"));
                diagnostics.push(if alone { shown.fix(span, name) } else { shown });
                at = end;
                continue;
            }
            Some(shown.help("names are ASCII letters, digits and `_`"))
        } else if first.is_ascii_digit() && is_suffixed(token) {
            Some(numbered(text, at, token).unwrap_or_else(|| suffixed(token, span)))
        } else {
            None
        };
        if let Some(diagnostic) = bad {
            diagnostics.push(diagnostic);
            whole = false;
            match first.is_ascii_digit() && !declares_here(text, at) {
                true => out[at + digits(token).len()..end].fill(b' '),
                false => out[at..end].fill(b'x'),
            }
        }
        at = end.max(at + 1);
    }
    (String::from_utf8(out).unwrap_or_default(), whole)
}

/// `-- ..`, `% ..` where an item starts: a comment of other languages.
fn dashes(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    let space = |mark: char| text[at..].starts_with(mark) && text[at + 1..].starts_with(' ');
    (text[at..].starts_with("--") || space('%'))
        && (before.is_empty() || before.ends_with([';', '{', '}']))
}

/// Whether a declaration has its name here.
fn declares_here(text: &str, at: usize) -> bool {
    DECLARES.contains(&last_word(text[..at].trim_end()))
}

/// `2x` where a name is declared.
fn numbered(text: &str, at: usize, token: &str) -> Option<Diagnostic> {
    let name = token.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    (declares_here(text, at) && !name.is_empty()).then(|| {
        let span = Span::new(at as u32, (at + token.len()) as u32);
        let meant = format!("{name}{}", digits(token));
        Diagnostic::error("F0001", span, format!("`{token}`: a name starts with a letter"))
            .help(format!("write `{meant}`, here and where it is used"))
            .fix(span, meant)
    })
}

/// `einsum("mh->hm", x)`: the call in index variables, at the name of the call.
fn pattern(text: &str, at: usize, token: &str) -> Option<Diagnostic> {
    let head = &text[..at];
    let open = head.rfind('(')?;
    let name = last_word(head[..open].trim_end());
    let help = words::collective(name)?;
    if head[open..].contains([';', '}']) {
        return None;
    }
    let start = head[..open].trim_end().len() - name.len();
    let span = Span::new(start as u32, (start + name.len()) as u32);
    let inner = token.trim_matches(['"', '\'']);
    let list = |side: &str| {
        let side = side.trim();
        let plain = !side.is_empty() && side.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
        let parts: Vec<String> = match side.contains(' ') {
            true => side.split_whitespace().map(str::to_string).collect(),
            false => side.chars().map(String::from).collect(),
        };
        plain.then(|| parts.join(", "))
    };
    let both = inner.split_once("->").and_then(|(from, to)| Some((list(from)?, list(to)?)));
    let out = Diagnostic::error("F0101", span, format!("there is no function `{name}`"));
    let Some((from, to)) = both else { return Some(out.help(help)) };
    // The other argument, and the end of the call.
    let (before, behind) = (&text[open + 1..at], &text[at + token.len()..]);
    let close = behind.find([')', ';'])?;
    let other = if before.trim().is_empty() { &behind[..close] } else { before };
    let other = other.trim_matches([' ', ',']);
    let plain = other.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !other.is_empty();
    let out = out.help(format!("index variables say it: `y[{to}] <- x[{from}]`"));
    if !plain || !behind[close..].starts_with(')') {
        return Some(out);
    }
    // `y <- einsum(..)` is the whole statement.
    let left = text[..start].trim_end();
    let bare = left.strip_suffix("<-").or_else(|| left.strip_suffix('=')).map(str::trim_end);
    let target = bare.map_or("", last_word);
    let end = (at + token.len() + close + 1) as u32;
    let value = format!("{other}[{from}]");
    Some(match (bare, target) {
        (Some(bare), target) if !target.is_empty() => {
            let first = (bare.len() - target.len()) as u32;
            out.fix(Span::new(first, end), format!("{target}[{to}] <- {value}"))
        }
        _ => out.fix(Span::new(start as u32, end), value),
    })
}

/// `# ..` up to the end of the line: a comment of other languages.
fn hash(text: &str, at: usize, end: usize) -> Diagnostic {
    let sign = text.as_bytes()[at];
    let width = text[at..end].bytes().take_while(|b| *b == sign).count();
    // `#!` would start a comment of another kind.
    let width = width + usize::from(text[at + width..end].starts_with('!'));
    let mark = Span::new(at as u32, (at + width) as u32);
    let line = Span::new(at as u32, (at + text[at..end].trim_end().len()) as u32);
    Diagnostic::error("F0001", line, "comments start with `//`").help("write `//`").fix(mark, "//")
}

fn string(token: &str, span: Span) -> Diagnostic {
    let bare = token.trim_matches(['"', '\'']);
    let mut letters = bare.bytes();
    let is_name = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let diagnostic = Diagnostic::error("F0003", span, "strings do not exist in fusco");
    if is_name {
        diagnostic.help(format!("write the name `{bare}`")).fix(span, bare)
    } else {
        diagnostic.help("write a name")
    }
}

/// K, M and G are powers of 1024.
fn suffixed(token: &str, span: Span) -> Diagnostic {
    let claim = format!("`{token}` has a suffix; fusco numbers have none");
    let (digits, power) = (
        digits(token),
        match &token[digits(token).len()..] {
            "K" | "k" => Some(1),
            "M" => Some(2),
            "G" => Some(3),
            _ => None,
        },
    );
    let value =
        digits.replace('_', "").parse().ok().and_then(|n: i64| n.checked_mul(1024i64.pow(power?)));
    let value = value.or_else(|| {
        let (base, zeros) = token.split_once(['e', 'E'])?;
        let power = 10i64.checked_pow(zeros.parse().ok()?)?;
        base.replace('_', "").parse::<i64>().ok()?.checked_mul(power)
    });
    let times = token.split('x').map(|n| n.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    if let Some(sizes) = times.filter(|s| s.len() > 1) {
        let names = ["m", "n", "k", "h", "i", "j"].iter().zip(&sizes);
        let list: Vec<String> = names.map(|(name, size)| format!("{name}: {size}")).collect();
        return Diagnostic::error(
            "F0002",
            span,
            format!("`{token}` is no number: each axis has a name"),
        )
        .help(format!("write `{}`", list.join(", ")));
    }
    let diagnostic = Diagnostic::error("F0002", span, claim);
    match value {
        Some(value) => diagnostic.help(format!("write {value}")).fix(span, value.to_string()),
        None => diagnostic.help(format!("write the number in full: {digits}..")),
    }
}

/// The leading digits of a number.
fn digits(token: &str) -> &str {
    let end = token.find(|c: char| !c.is_ascii_digit() && c != '_');
    &token[..end.unwrap_or(token.len())]
}

fn is_suffixed(token: &str) -> bool {
    let hex =
        token.starts_with("0x") && token[2..].bytes().all(|b| b.is_ascii_hexdigit() || b == b'_');
    let float = token.contains('.') || token.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    !hex && !float
}

/// The mistake in words, and the text with it mended or left out; `None` if there is nothing to go on with.
///
/// With the text: whether it was mended.
pub(super) fn explain(text: &str, error: &Error<Rule>) -> (Diagnostic, Option<(String, bool)>) {
    let start = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let start = skip_blank(text, start);
    let (at, wanted) = match furthest(text) {
        Some((at, wanted)) if at >= start && !wanted.is_empty() => (at, wanted),
        _ => (start, rules(error)),
    };
    let site = Site::new(text, at);
    // A word that may not stand where it does: the parser gives up right behind it.
    let back = site.misplaced();
    let at = back.map_or(at, |i| site.span(i).start as usize);
    let end = if at < text.len() { token_end(text, at) } else { at };
    let span = Span::new(at as u32, end as u32);
    let found = if at < text.len() {
        format!("`{}`", &text[at..end])
    } else {
        "the end of the file".to_string()
    };
    let site = if back.is_some() { Site::new(text, at) } else { site };
    let advised = advise(&site, &wanted);
    let diagnostic = advised
        .or_else(|| special(text, at, end, span))
        .unwrap_or_else(|| general(&wanted, span, &found).help(form(&site)));
    let mended = diagnostic.fix.as_ref().and_then(|fix| overlay(text, fix));
    let rest = mended.map(|t| (t, true));
    (diagnostic, rest.or_else(|| blank_item(text, at).map(|t| (t, false))))
}

/// The last place where a token was missing, and which ones: pest's own error stays at the start of the rule.
fn furthest(text: &str) -> Option<(usize, Vec<String>)> {
    pest::set_error_detail(true);
    let error = Grammar::parse(Rule::file, text).err();
    pest::set_error_detail(false);
    let attempts = error?.parse_attempts()?;
    let at = skip_blank(text, attempts.max_position);
    if !text.is_char_boundary(at) {
        return None;
    }
    let marks = attempts.expected_tokens().into_iter().map(|t| t.to_string());
    let marks: Vec<String> = marks.filter(|t| is_mark(t)).map(|t| format!("`{t}`")).collect();
    let rules = attempts.call_stacks().into_iter().filter_map(|s| s.deepest.get_rule().copied());
    let rules = rules.filter(|r| marks.is_empty() || !holds_marks(*r)).filter_map(human);
    let mut wanted: Vec<String> = rules.map(str::to_string).chain(marks.iter().cloned()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    Some((at, wanted))
}

/// Punctuation or a word of the grammar; not blanks, comments and ranges of characters.
fn is_mark(token: &str) -> bool {
    let comment = token.starts_with('/') && token.len() > 1;
    let word = RESERVED.contains(&token);
    let sign = token.bytes().all(|b| b.is_ascii_punctuation() && b != b'_');
    !token.is_empty() && !comment && (word || sign)
}

/// Rules that are written with marks of their own: naming them beside the missing mark says nothing.
fn holds_marks(rule: Rule) -> bool {
    !matches!(
        rule,
        Rule::ident
            | Rule::int
            | Rule::float
            | Rule::expr
            | Rule::atom
            | Rule::dtype
            | Rule::extent
            | Rule::derived
    )
}

fn skip_blank(text: &str, mut at: usize) -> usize {
    while at < text.len() {
        let rest = &text[at..];
        let doc = rest.starts_with("///") && !rest.starts_with("////");
        if rest.starts_with(char::is_whitespace)
            || (rest.starts_with("//") && !doc)
            || rest.starts_with("/*")
        {
            at = token_end(text, at);
        } else {
            break;
        }
    }
    at
}

fn special(text: &str, at: usize, end: usize, span: Span) -> Option<Diagnostic> {
    let (token, before) = (&text[at..end], text[..at].trim_end());
    if let Some(found) = arrow(text, at, end).or_else(|| reserved(token, before, span)) {
        return Some(found);
    }
    if let ["=", _, "entry"] = before.split_whitespace().rev().take(3).collect::<Vec<_>>()[..] {
        let found = format!("`{token}`");
        return Some(general(&["`adjoint(ENTRY)`".to_string()], span, &found));
    }
    if before.ends_with('@') && token != "[" {
        return Some(
            Diagnostic::error(
                "F0001",
                span,
                format!("syntax error: a placement is a list, found `{token}`"),
            )
            .help(format!("write `@ [{token}, ..]`"))
            .fixed(listed(text, at)),
        );
    }
    None
}

/// Brackets around a placement, up to its attributes or its end.
fn listed(text: &str, at: usize) -> Option<Fix> {
    let terms = text[at..].split([';', '}', '{', ']', '[']).next()?;
    let terms = terms.split(" with ").next()?.trim_end();
    let span = Span::new(at as u32, (at + terms.len()) as u32);
    Some(Fix { span, replacement: format!("[{terms}]") })
}

/// Whether the text looks as if it declared the name: after a word such as `in`, or before a `:`.
pub fn declares(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        let word = before.trim_end().rsplit(|c| !is_word(c)).next().unwrap_or("");
        whole && (DECLARES.contains(&word) || after.trim_start().starts_with(':'))
    })
}

/// F0005: `<` and `-` of a comparison, side by side; the parser stops at either.
fn arrow(text: &str, at: usize, end: usize) -> Option<Diagnostic> {
    let start = match &text[at..end] {
        "<" if text[end..].starts_with('-') => at,
        "-" if text[..at].ends_with('<') => at - 1,
        "<-" => at,
        _ => return None,
    };
    // An arrow behind an index list is one, whatever else is wrong there.
    if text[..start].trim_end().ends_with([']', ')']) {
        return None;
    }
    let span = Span::new(start as u32, start as u32 + 2);
    Some(
        Diagnostic::error("F0005", span, "`<-` is an arrow")
            .help("for a comparison put a space between: `< -`")
            .fix(span, "< -"),
    )
}

/// F0103: a reserved word where a declaration has its name; the parser stops at it or right behind.
fn reserved(token: &str, before: &str, span: Span) -> Option<Diagnostic> {
    let behind = |text: &str| text.len() - last_word(text).len();
    let (word, declares, span) = if RESERVED.contains(&token) {
        (token, last_word(before), span)
    } else {
        let start = behind(before);
        let (word, before) = (&before[start..], before[..start].trim_end());
        (word, last_word(before), Span::new(start as u32, (start + word.len()) as u32))
    };
    if !RESERVED.contains(&word) || !DECLARES.contains(&declares) {
        return None;
    }
    Some(
        Diagnostic::error("F0103", span, format!("`{word}` is a reserved word"))
            .help(format!("choose another name, as `{word}_`")),
    )
}

/// Words that a name follows.
const DECLARES: [&str; 11] =
    ["program", "mesh", "const", "param", "dyn", "in", "out", "inout", "tmp", "route", "entry"];

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

/// What pest's own error would have taken.
fn rules(error: &Error<Rule>) -> Vec<String> {
    let mut wanted: Vec<String> = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            positives.iter().filter_map(|r| human(*r)).map(str::to_string).collect()
        }
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

fn general(wanted: &[String], span: Span, found: &str) -> Diagnostic {
    let expected = match wanted {
        [] => "something else".to_string(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    Diagnostic::error("F0001", span, format!("syntax error: expected {expected}, found {found}"))
        .label("here")
}

/// What a rule is called outside the grammar.
fn human(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::program => "a program",
        Rule::mesh => "a mesh",
        Rule::konst => "a constant",
        Rule::param => "a param",
        Rule::dynp => "a dyn",
        Rule::tensor | Rule::io => "a tensor",
        Rule::route => "a route",
        Rule::entry => "an entry",
        Rule::derived => "`adjoint(ENTRY)`",
        Rule::assume => "`assume`",
        Rule::prove => "`prove`",
        Rule::plan => "`plan`",
        Rule::schedule => "a schedule",
        Rule::assign | Rule::lhs => "a statement",
        Rule::tref => "a tensor with its index",
        Rule::ident => "a name",
        Rule::idents | Rule::tuple => "a list in parentheses",
        Rule::int | Rule::float => "a number",
        Rule::dtype => "an element type",
        Rule::dim => "an axis `name: extent`",
        Rule::extent | Rule::ragged => "an extent",
        Rule::placement => "a placement `@ [..]`",
        Rule::pterm => "a placement term",
        Rule::pshard => "`/`",
        Rule::ptile => "`:`",
        Rule::pmod | Rule::field => "`.`",
        Rule::attrs => "`with`",
        Rule::attr => "an attribute",
        Rule::rcap => "`cap`",
        Rule::rbind => "a row `name = ..`",
        Rule::order => "`by`",
        Rule::orelse => "`else`",
        Rule::directive => "a directive",
        Rule::darg | Rule::arg | Rule::binder => "an argument",
        Rule::dkw => "`by`, `through` or `at`",
        Rule::expr
        | Rule::and_
        | Rule::cmp
        | Rule::add
        | Rule::mul
        | Rule::unary
        | Rule::postfix
        | Rule::atom => "an expression",
        Rule::cmp_op => "a comparison",
        Rule::add_op | Rule::mul_op => "an operator",
        Rule::index => "`[`",
        Rule::call => "`(`",
        Rule::array => "`[`",
        Rule::range => "a range",
        Rule::mesh_axis => "a mesh axis",
        Rule::EOI => "the end of the file",
        _ => return None,
    })
}

/// The text with the smallest item around `at` blanked; `None` if there is none to leave out.
fn blank_item(text: &str, at: usize) -> Option<String> {
    // Where the item around each open brace starts, and whether its body is items too.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let (mut start, mut pos) = (0, 0);
    while pos < at {
        let end = token_end(text, pos);
        match text.as_bytes()[pos] {
            b'{' => {
                open.push((start, holds_items(&text[start..pos])));
                start = end;
            }
            b'}' => {
                open.pop();
                start = end;
            }
            b';' => start = end,
            _ => {}
        }
        pos = end.max(pos + 1);
    }
    let mut end = item_end(text, at);
    while let Some((around, false)) = open.last().copied() {
        open.pop();
        start = around;
        end += usize::from(text[end..].starts_with('}'));
    }
    if open.is_empty() {
        return None;
    }
    let blank: String =
        text[start..end].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
    let rest = format!("{}{}{}", &text[..start], blank, &text[end..]);
    (rest != text).then_some(rest)
}

/// Whether the braces after this header hold items of their own.
fn holds_items(header: &str) -> bool {
    let at = skip_docs(header);
    ["program", "route", "entry", "schedule"].iter().any(|word| header[at..].starts_with(word))
}

fn skip_docs(text: &str) -> usize {
    let mut at = skip_blank(text, 0);
    while text[at..].starts_with("///") {
        at = skip_blank(text, token_end(text, at));
    }
    at
}

/// Whether a bracket closes on the line before one opens: `[bf16; 1024]`.
fn in_list(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or("");
    line.find([')', ']', '(', '[', ';', '{', '}'])
        .is_some_and(|i| matches!(line.as_bytes()[i], b')' | b']'))
}

/// Past the `;` or the `}` that closes the item, or before the `}` around it.
fn item_end(text: &str, at: usize) -> usize {
    let (mut depth, mut pos) = (0usize, at);
    while pos < text.len() {
        let end = token_end(text, pos);
        match text.as_bytes()[pos] {
            b';' if depth == 0 && in_list(&text[end..]) => {}
            b'{' => depth += 1,
            b'}' if depth == 0 => return pos,
            b'}' if depth == 1 => return end,
            b'}' => depth -= 1,
            b';' if depth == 0 => return end,
            _ => {}
        }
        pos = end.max(pos + 1);
    }
    text.len()
}
