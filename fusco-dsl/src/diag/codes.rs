//! The catalogue behind `fuscoc explain F0301`: what every code means, with a wrong program and the same
//! program put right.
//!
//! Enters: `catalogue/CODE.md`, one file a code. Its first line is `# title`; lines `key: value` follow
//! (`stage`, and where they apply `arises`, `reserved`, `set`, `set fixed`); then the explanation; then
//! the programs under `## wrong` and `## fixed`. Leaves: [`Entry`], and its text for a terminal.

use super::nearest;
use std::fmt::Write;

/// What was going on when the code is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Syntax,
    Names,
    Sizes,
    Placement,
    Routes,
    Meaning,
    Types,
    Proofs,
    Schedule,
    Bind,
    Launch,
    Device,
}

const STAGES: [(Stage, &str); 12] = [
    (Stage::Syntax, "syntax"),
    (Stage::Names, "names"),
    (Stage::Sizes, "sizes"),
    (Stage::Placement, "placement"),
    (Stage::Routes, "routes"),
    (Stage::Meaning, "meaning"),
    (Stage::Types, "types"),
    (Stage::Proofs, "proofs"),
    (Stage::Schedule, "schedule"),
    (Stage::Bind, "bind"),
    (Stage::Launch, "launch"),
    (Stage::Device, "device"),
];

impl Stage {
    pub fn name(self) -> &'static str {
        STAGES.iter().find(|(s, _)| *s == self).map_or("", |(_, name)| name)
    }
}

/// One code. Programs and settings are empty where there are none.
#[derive(Clone, Debug)]
pub struct Entry {
    pub code: &'static str,
    pub title: &'static str,
    pub stage: Stage,
    /// Where a code arises that no program text shows by itself.
    pub arises: &'static str,
    /// Why nothing raises it yet.
    pub reserved: &'static str,
    pub text: &'static str,
    pub wrong: &'static str,
    /// Params, as `M=4, N=8`, that the wrong program is bound to.
    pub wrong_set: &'static str,
    pub fixed: &'static str,
    pub fixed_set: &'static str,
}

impl Entry {
    /// A warning: the wrong program compiles.
    pub fn is_warning(&self) -> bool {
        self.title.ends_with("(a warning)")
    }
}

macro_rules! files {
    ($($code:literal)*) => {
        const FILES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("catalogue/", $code, ".md")))),*];
    };
}

files! {
    "F0001" "F0002" "F0003" "F0004" "F0005"
    "F0101" "F0102" "F0103" "F0104" "F0105"
    "F0201" "F0202" "F0203" "F0204" "F0205" "F0206" "F0207" "F0208"
    "F0301" "F0302" "F0303" "F0304" "F0305" "F0306" "F0307" "F0308" "F0309" "F0310" "F0311"
    "F0401" "F0402" "F0403" "F0404" "F0405" "F0406" "F0407" "F0408"
    "F0501" "F0502" "F0503" "F0504" "F0505" "F0506" "F0507"
    "F0601" "F0602" "F0603" "F0610" "F0611"
    "F0701" "F0702" "F0703" "F0704" "F0705" "F0706" "F0707" "F0790"
    "F0801" "F0802" "F0803" "F0804" "F0805"
    "F0901" "F0902" "F0903" "F0904" "F0905" "F0906" "F0907" "F0908" "F0909" "F0910" "F0911"
    "F0999"
}

/// Every code, ascending.
pub fn catalogue() -> Vec<Entry> {
    FILES.iter().filter_map(|(code, file)| read(code, file)).collect()
}

/// The entry of a code, in either case.
pub fn entry(code: &str) -> Option<Entry> {
    let code = code.to_ascii_uppercase();
    FILES.iter().find(|(known, _)| *known == code).and_then(|(code, file)| read(code, file))
}

/// What a code means, as text.
///
/// # Errors
/// The code is not known: one sentence that names the nearest.
pub fn explain(code: &str) -> Result<String, String> {
    match entry(code) {
        Some(entry) => Ok(show(&entry)),
        None => {
            let known: Vec<&str> = FILES.iter().map(|(code, _)| *code).collect();
            let near = nearest(&code.to_ascii_uppercase(), &known);
            let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            Err(format!("no code `{code}`{hint}"))
        }
    }
}

fn show(entry: &Entry) -> String {
    let mut out = format!("{}: {}\n\n{}\n\n", entry.code, entry.title, entry.text);
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            _ = writeln!(out, "{key}: {value}");
        }
    };
    line("raised by", entry.stage.name());
    line("arises", entry.arises);
    line("reserved", entry.reserved);
    for (head, program, set) in
        [("Wrong", entry.wrong, entry.wrong_set), ("Put right", entry.fixed, entry.fixed_set)]
    {
        if program.is_empty() {
            continue;
        }
        let bound = if set.is_empty() { String::new() } else { format!(", with --set {set}") };
        _ = writeln!(out, "\n{head}{bound}:\n");
        program.lines().for_each(|l| _ = writeln!(out, "    {l}"));
    }
    out
}

/// `None` for a file that lacks its title or names no stage; a test reads every file.
fn read(code: &'static str, file: &'static str) -> Option<Entry> {
    let (title, rest) = file.strip_prefix("# ")?.split_once('\n')?;
    let (header, body) = rest.split_once("\n\n")?;
    let value = |key: &str| {
        let found = header.lines().filter_map(|l| l.split_once(": ")).find(|(k, _)| *k == key);
        found.map_or("", |(_, value)| value.trim())
    };
    let stage = STAGES.iter().find(|(_, name)| *name == value("stage"))?.0;
    let (text, programs) = body.split_once("## wrong\n").unwrap_or((body, ""));
    let (wrong, fixed) = programs.split_once("## fixed\n").unwrap_or((programs, ""));
    let fixed_set = if value("set fixed").is_empty() { value("set") } else { value("set fixed") };
    Some(Entry {
        code,
        title,
        stage,
        arises: value("arises"),
        reserved: value("reserved"),
        text: text.trim(),
        wrong: program(wrong),
        wrong_set: value("set"),
        fixed: program(fixed),
        fixed_set,
    })
}

/// Without the fences around it.
fn program(text: &'static str) -> &'static str {
    let text = text.trim();
    let text = text.strip_prefix("```fusco\n").unwrap_or(text);
    text.strip_suffix("```").unwrap_or(text).trim_end()
}
