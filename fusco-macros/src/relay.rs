//! Tokens to text, with the way back from a byte offset to a token.
//!
//! A space follows every token except a punctuation that is joint with the next; `#[doc = ".."]` becomes
//! `///` again.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

pub struct Relayed {
    pub text: String,
    /// Where each token starts, ascending.
    starts: Vec<(usize, Span)>,
}

impl Relayed {
    /// The token at a byte offset, or the last one before it.
    pub fn span(&self, at: usize) -> Span {
        let after = self.starts.partition_point(|(start, _)| *start <= at);
        self.starts.get(after.saturating_sub(1)).map_or_else(Span::call_site, |(_, span)| *span)
    }
}

pub fn relay(tokens: TokenStream) -> Relayed {
    let mut out = Relayed { text: String::new(), starts: Vec::new() };
    write(&mut out, tokens);
    out
}

fn write(out: &mut Relayed, tokens: TokenStream) {
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        if let (TokenTree::Punct(p), Some(TokenTree::Group(group))) = (&tree, trees.peek())
            && p.as_char() == '#'
            && let Some(doc) = doc(group)
        {
            out.starts.push((out.text.len(), p.span()));
            out.text.push_str(&format!("\n///{doc}\n"));
            trees.next();
            continue;
        }
        write_tree(out, tree);
    }
}

fn write_tree(out: &mut Relayed, tree: TokenTree) {
    match tree {
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("( ", ") "),
                Delimiter::Bracket => ("[ ", "] "),
                Delimiter::Brace => ("{ ", "} "),
                Delimiter::None => ("", ""),
            };
            out.starts.push((out.text.len(), group.span_open()));
            out.text.push_str(open);
            write(out, group.stream());
            out.starts.push((out.text.len(), group.span_close()));
            out.text.push_str(close);
        }
        TokenTree::Punct(punct) => {
            out.starts.push((out.text.len(), punct.span()));
            out.text.push(punct.as_char());
            if punct.spacing() == Spacing::Alone {
                out.text.push(' ');
            }
        }
        other => {
            out.starts.push((out.text.len(), other.span()));
            out.text.push_str(&other.to_string());
            out.text.push(' ');
        }
    }
}

/// The text of `[doc = ".."]`.
fn doc(group: &Group) -> Option<String> {
    let mut trees = group.stream().into_iter();
    let is_doc = matches!(trees.next()?, TokenTree::Ident(word) if word == "doc");
    let TokenTree::Literal(text) = trees.nth(1)? else { return None };
    let text = text.to_string();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    is_doc.then(|| inner.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::relay;
    use fusco_dsl::syntax::{dump, parse};

    fn programs() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/programs");
        let files = std::fs::read_dir(folder).expect("the examples are in the repository");
        let mut paths: Vec<_> = files.filter_map(|f| Some(f.ok()?.path())).collect();
        paths.sort();
        paths.iter().map(|p| std::fs::read_to_string(p).expect("readable")).collect()
    }

    /// The same answer from text and from tokens; `None` where Rust does not lex the text.
    fn agree(text: &str) -> Option<bool> {
        let tokens: proc_macro2::TokenStream = text.parse().ok()?;
        let (from_text, a) = parse(text);
        let relayed = relay(tokens).text;
        let (from_tokens, b) = parse(&relayed);
        assert_eq!(
            a.has_errors(),
            b.has_errors(),
            "text and tokens disagree on:\n{text}\n--\n{relayed}"
        );
        let ok = !a.has_errors();
        assert!(!ok || dump(&from_text) == dump(&from_tokens), "the trees differ on:\n{text}");
        Some(ok)
    }

    #[test]
    fn text_and_tokens_give_one_tree() {
        let programs = programs();
        assert_eq!(programs.len(), 16);
        programs.iter().for_each(|text| assert_eq!(agree(text), Some(true), "{text}"));
    }

    #[test]
    fn mutants_agree() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let (mut accepted, mut refused) = (0, 0);
        for text in programs() {
            let words: Vec<&str> = text.split_inclusive([' ', ',', ';', '[', ']']).collect();
            for _ in 0..250 {
                let mut words = words.clone();
                let (i, j) = (random(words.len()), random(words.len()));
                match random(3) {
                    0 => _ = words.remove(i),
                    1 => words.swap(i, j),
                    _ => words.insert(i, words[j]),
                }
                match agree(&words.concat()) {
                    Some(true) => accepted += 1,
                    Some(false) => refused += 1,
                    None => {}
                }
            }
        }
        assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
    }
}
