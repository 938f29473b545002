//! Every block of `docs/language.md`: a block with a code gives that code and no other, any other is accepted
//! and lowers to CUDA text.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::diag::{Diagnostics, entry};
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{check, compile};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A fenced block: its line, `fusco F0304 M=8` and its text.
struct Block {
    line: usize,
    info: String,
    text: String,
}

pub fn document(name: &str) -> String {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(at).expect("the document is in the repository")
}

fn blocks(document: &str) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut inside = false;
    for (i, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), false) => {
                out.push(Block { line: i + 1, info: info.to_string(), text: String::new() });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let block = out.last_mut().expect("opened above");
                block.text += line;
                block.text += "\n";
            }
            (None, false) => {}
        }
    }
    assert!(!inside, "the last block is not closed");
    out
}

/// What is wrong with a program, as early as it is told; warnings too.
fn found(text: &str, params: &Bindings) -> Diagnostics {
    if let Err(wrong) = check(text) {
        return wrong;
    }
    match compile(text, None, params) {
        Err(wrong) => wrong,
        Ok(compiled) => {
            let target = Target::hopper(compiled.schedule.ranks as u32);
            generate(&compiled.schedule, &target).err().unwrap_or(compiled.warnings)
        }
    }
}

#[test]
fn blocks_of_the_language_are_as_they_say() {
    let (mut wrong, mut codes) = (Vec::new(), BTreeSet::new());
    let blocks = blocks(&document("language.md"));
    for Block { line, info, text } in &blocks {
        let mut words = info.split_whitespace().peekable();
        assert_eq!(words.next(), Some("fusco"), "line {line}: a block is a program");
        let code = words.next_if(|word| !word.contains('='));
        let params: Bindings = words
            .map(|word| {
                let (name, value) = word.split_once('=').expect("NAME=V");
                (name.to_string(), value.parse().expect("an integer"))
            })
            .collect();
        let given: BTreeSet<&str> = found(text, &params).0.iter().map(|d| d.code).collect();
        if given != code.into_iter().collect() {
            let shown = found(text, &params).0.into_iter();
            let shown: Vec<String> = shown.map(|d| format!("{} {}", d.code, d.message)).collect();
            wrong.push(format!("line {line}: {code:?} is said, found {shown:#?}"));
        }
        codes.extend(code);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(blocks.len() > 20 && codes.len() > 10, "only {} blocks, {codes:?}", blocks.len());
}

/// A code that the text names is one that is known.
#[test]
fn codes_of_the_language_are_known() {
    let text = document("language.md");
    for (at, _) in text.match_indices("F0") {
        let code = text.get(at..at + 5).unwrap_or_default();
        assert!(entry(code).is_some(), "docs/language.md names {code}");
    }
}

#[test]
fn blocks_are_found() {
    let found = blocks("text\n```fusco F0001 M=1\na\nb\n```\n```fusco\nc\n```\n");
    let shown: Vec<_> = found.iter().map(|b| (b.line, &b.info[..], &b.text[..])).collect();
    assert_eq!(shown, [(2, "fusco F0001 M=1", "a\nb\n"), (6, "fusco", "c\n")]);
}
