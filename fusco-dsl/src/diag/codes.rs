//! The catalogue of codes: what each one means, the smallest program that raises it, and that program
//! repaired.
//!
//! One Markdown file a code under `codes/`: the title, `stage: ..`, a few lines for a newcomer, and (for
//! what a program can raise by itself) a fenced `fusco wrong`, `params: M=10` where numbers decide, and a
//! fenced `fusco fixed`. Enters: a code. Leaves: its [`Entry`], or the code that was probably meant.

use std::fmt::Write;

macro_rules! catalogue {
    ($($code:literal),* $(,)?) => {
        &[$(($code, include_str!(concat!("codes/", $code, ".md")))),*]
    };
}

/// Ascending.
const CATALOGUE: &[(&str, &str)] = catalogue![
    "F0001", "F0002", "F0003", "F0004", "F0005", "F0101", "F0102", "F0103", "F0104", "F0105",
    "F0106", "F0201", "F0202", "F0203", "F0204", "F0205", "F0206", "F0207", "F0208", "F0301",
    "F0302", "F0303", "F0304", "F0305", "F0306", "F0307", "F0308", "F0309", "F0310", "F0311",
    "F0401", "F0402", "F0403", "F0404", "F0405", "F0406", "F0407", "F0408", "F0409", "F0501",
    "F0502", "F0503", "F0504", "F0505", "F0506", "F0507", "F0601", "F0602", "F0603", "F0610",
    "F0611", "F0701", "F0702", "F0703", "F0704", "F0705", "F0706", "F0707", "F0790", "F0791",
    "F0801", "F0802", "F0803", "F0804", "F0805", "F0806", "F0901", "F0902", "F0903", "F0904",
    "F0905", "F0906", "F0907", "F0908", "F0909", "F0910", "F0911", "F0912", "F0999",
];

/// One code of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub code: &'static str,
    pub title: &'static str,
    /// `check`, `bind`, `check or bind`, `generate`, `rust`, `launch`, or `reserved` for what nothing raises yet.
    pub stage: &'static str,
    pub text: &'static str,
    /// The smallest program that raises the code; `None` where a program alone cannot.
    pub wrong: Option<&'static str>,
    /// `NAME=V,..`: params that make it wrong, if numbers decide.
    pub params: Option<&'static str>,
    /// The same program repaired.
    pub fixed: Option<&'static str>,
}

/// All codes, ascending.
pub fn codes() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|(code, _)| *code)
}

/// What the catalogue says about a code, in any case of its letter.
pub fn entry(code: &str) -> Option<Entry> {
    let (code, file) = CATALOGUE.iter().find(|(known, _)| known.eq_ignore_ascii_case(code))?;
    let (title, rest) = file.strip_prefix("# ")?.split_once("\n\nstage: ")?;
    let (stage, rest) = rest.split_once("\n\n")?;
    let text = rest.split("\n```").next()?.trim();
    let params = file.lines().find_map(|l| l.strip_prefix("params: "));
    let (wrong, fixed) = (fenced(file, "wrong"), fenced(file, "fixed"));
    Some(Entry { code, title, stage, text, wrong, params, fixed })
}

fn fenced(file: &'static str, word: &str) -> Option<&'static str> {
    let (_, rest) = file.split_once(&format!("```fusco {word}\n"))?;
    rest.split_once("```").map(|(program, _)| program)
}

/// The entry of a code as text.
///
/// # Errors
/// The nearest code, if one is near, for a code that does not exist.
pub fn explain(code: &str) -> Result<String, Option<&'static str>> {
    entry(code).map(|e| e.to_string()).ok_or_else(|| nearest(code))
}

/// The next code of the same family, or else one that differs in one character.
fn nearest(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    let number = |c: &str| c.get(1..).and_then(|n| n.parse::<i64>().ok());
    let wanted = number(&code)?;
    let differ = |known: &str| known.bytes().zip(code.bytes()).filter(|(a, b)| a != b).count();
    let family = |known: &str| known.get(..3) == code.get(..3);
    let near = codes().filter(|c| c.len() == code.len() && (family(c) || differ(c) == 1));
    near.min_by_key(|c| (!family(c), number(c).map_or(i64::MAX, |n| (n - wanted).abs())))
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {}", self.code, self.title)?;
        writeln!(f, "raised {}\n", self.when())?;
        writeln!(f, "{}", self.text)?;
        if let Some(wrong) = self.wrong {
            let params = self.params.map_or(String::new(), |p| format!(", with --set {p}"));
            write!(f, "\nWrong{params}:\n\n{}", indented(wrong))?;
        }
        self.fixed.map_or(Ok(()), |fixed| write!(f, "\nFixed:\n\n{}", indented(fixed)))
    }
}

impl Entry {
    /// The moment at which the code is raised.
    pub fn when(&self) -> &'static str {
        match self.stage {
            "check" => "from the text alone (`fuscoc check FILE`, `fusco!`)",
            "bind" => "when the params are known (`fuscoc check FILE --set ..`, `bind`)",
            "check or bind" => {
                "from the text, or when the params are known if numbers decide (`fuscoc check`)"
            }
            "generate" => {
                "when kernels are generated for a device (`fuscoc emit`, `bind` on a GPU)"
            }
            "rust" => "where a program becomes Rust (`fusco!`); for `fuscoc` nothing is wrong",
            "reserved" => "by nothing yet: the code is kept for what is to come",
            _ => "by the runtime, at or after a launch (`fuscoc run`, a Rust or C program)",
        }
    }
}

fn indented(program: &str) -> String {
    program.lines().fold(String::new(), |mut out, line| {
        _ = writeln!(out, "    {line}");
        out
    })
}
