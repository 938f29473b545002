//! What a Rust source takes from other files, read from its words: `use` trees and paths. Enters: the
//! text of one file. Leaves: its modules, its imports, the paths that it writes and the items that it
//! makes public. Comments, literals and what is `#[cfg(test)]` are left out.

/// One name that a `use` brings in. A glob has the name `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    pub path: Vec<String>,
    pub public: bool,
    /// `pub`, or `pub(..)` to a part of the member: it hands the item on.
    pub handed_on: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Source {
    pub imports: Vec<Import>,
    /// Paths of two words or more, outside `use`.
    pub paths: Vec<Vec<String>>,
    /// Names of `pub` items of the file's own level, `mod` apart.
    pub items: Vec<String>,
    pub public_modules: Vec<String>,
    /// Modules that only tests have.
    pub test_modules: Vec<String>,
}

pub fn read(text: &str) -> Source {
    let mut source = Source::default();
    let words = without_tests(words(&blank(text)), &mut source.test_modules);
    let mut depth = 0;
    let mut i = 0;
    while i < words.len() {
        let word = words[i].as_str();
        let before = i.checked_sub(1).map_or("", |b| words[b].as_str());
        match word {
            "{" => depth += 1,
            "}" => depth -= 1,
            // Not the `use<..>` of a type.
            "use" if words[i + 1] != "<" => {
                let end = i + words[i..].iter().position(|w| w == ";").expect("a use ends");
                let (public, handed_on) = (before == "pub", before == "pub" || before == ")");
                tree(&words[i + 1..end], &[], &mut |path, name| {
                    let name = name.to_string();
                    source.imports.push(Import { name, path, public, handed_on });
                });
                i = end;
            }
            "pub" if depth == 0 => public(&words[i + 1..], &mut source),
            _ if is_name(word) && before != "::" && before != "." => {
                let path = path(&words[i..]);
                i += 2 * (path.len() - 1);
                if path.len() > 1 {
                    source.paths.push(path);
                }
            }
            _ => {}
        }
        i += 1;
    }
    source
}

/// The item behind a `pub` without a restriction.
fn public(words: &[String], source: &mut Source) {
    let kinds = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod"];
    let Some(at) = words.iter().take(4).position(|w| kinds.contains(&w.as_str())) else { return };
    let before = ["const", "unsafe", "async", "extern"];
    if !words[..at].iter().all(|w| before.contains(&w.as_str())) {
        return;
    }
    let is_fn = words[at] == "const" && before.iter().chain(&["fn"]).any(|w| words[at + 1] == **w);
    if is_fn {
        return public(&words[at + 1..], source);
    }
    match words[at].as_str() {
        "mod" => source.public_modules.push(words[at + 1].clone()),
        _ => source.items.push(words[at + 1].clone()),
    }
}

/// `a::b::c` at the start of `words`.
fn path(words: &[String]) -> Vec<String> {
    let mut out = vec![words[0].clone()];
    for pair in words[1..].chunks(2) {
        match pair {
            [colons, name] if colons == "::" && is_name(name) => out.push(name.clone()),
            _ => break,
        }
    }
    out
}

/// Every leaf of the tree of a `use`, with the name that it gets.
fn tree(words: &[String], before: &[String], found: &mut impl FnMut(Vec<String>, &str)) {
    let mut path = before.to_vec();
    for (i, word) in words.iter().enumerate() {
        match word.as_str() {
            "::" => {}
            "{" => {
                for branch in branches(&words[i + 1..words.len() - 1]) {
                    tree(branch, &path, found);
                }
                return;
            }
            "as" => return found(path, &words[i + 1]),
            "*" => return found(path, "*"),
            "self" if i == 0 && !before.is_empty() => {}
            _ => path.push(word.clone()),
        }
    }
    if let Some(name) = path.last().cloned() {
        found(path, &name);
    }
}

/// What commas of the outermost level part.
fn branches(words: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    let parts = words.split(|word| {
        depth += i32::from(word == "{") - i32::from(word == "}");
        depth == 0 && word == ","
    });
    parts.filter(|p| !p.is_empty()).collect()
}

/// Leaves out each item behind `#[cfg(test)]`.
fn without_tests(words: Vec<String>, modules: &mut Vec<String>) -> Vec<String> {
    let test = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::new();
    let mut i = 0;
    while i < words.len() {
        if !words[i..].iter().map(String::as_str).take(test.len()).eq(test) {
            out.push(words[i].clone());
            i += 1;
            continue;
        }
        i += test.len();
        if words[i] == "mod" {
            modules.push(words[i + 1].clone());
        }
        let mut depth = 0;
        loop {
            depth += i32::from(words[i] == "{") - i32::from(words[i] == "}");
            i += 1;
            if depth == 0 && (words[i - 1] == "}" || words[i - 1] == ";") {
                break;
            }
        }
    }
    out
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Names, `::`, and every other sign alone.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = match first {
            c if part(c) => rest.find(|c| !part(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        out.push(rest[..len].to_string());
        rest = rest[len..].trim_start();
    }
    out
}

/// The text without comments, strings and characters.
pub fn blank(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = comment(rest).or_else(|| literal(rest, out.chars().next_back()));
        match len {
            Some(len) => rest = &rest[len..],
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if len.is_some() {
            out.push(' ');
        }
    }
    out
}

/// The length of a comment at the start.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| text.find("*/").map_or(text.len(), |end| end + 2))
}

/// The length of a string or a character at the start, whatever letters stand before its quote.
fn literal(text: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let raw = text.trim_start_matches(['b', 'c', 'r']);
    let (prefix, hashes) = (text.len() - raw.len(), raw.len() - raw.trim_start_matches('#').len());
    if !in_word && text[..prefix].contains('r') && raw[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = &raw[hashes + 1..];
        return Some(
            prefix + hashes + 1 + inner.find(&end).expect("a raw string ends") + end.len(),
        );
    }
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let is_lifetime =
        quote == '\'' && !text[1..].starts_with('\\') && text.chars().nth(2) != Some('\'');
    if is_lifetime {
        return None;
    }
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(i, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(i + 1)
    })
}
