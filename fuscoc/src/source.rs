//! Files, and the settings that several commands share.

use crate::failure::Failure;
pub use crate::text::Source;
use fusco_dsl::diag::hint;
use fusco_dsl::sema::hir::{Bindings, Program};
use fusco_dsl::{Compiled, compile};
use std::io::Read;
use std::path::Path;

impl Source {
    pub fn read(path: &Path) -> Result<Source, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::input(format!("cannot read {name}: {e}")))?;
        Ok(Source { name, text })
    }

    /// As [`Source::read`]; `-` is standard input.
    pub fn read_or_input(path: &Path) -> Result<Source, Failure> {
        if path != Path::new("-") {
            return Source::read(path);
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|e| Failure::input(format!("cannot read standard input: {e}")))?;
        Ok(Source { name: "<stdin>".to_string(), text })
    }

    /// The program that is named, or the only one.
    pub fn program(&self, name: Option<&str>) -> Result<Program, Failure> {
        let (mut programs, _) =
            fusco_dsl::check(&self.text).map_err(|d| Failure::diagnostics(&d, self))?;
        let names: Vec<String> = programs.iter().map(|p| p.name.clone()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        match name {
            Some(name) => {
                programs.retain(|p| p.name == name);
                if programs.is_empty() {
                    return Err(Failure::usage(format!(
                        "no program `{name}`{}",
                        hint(name, &known)
                    )));
                }
            }
            None if known.len() > 1 => {
                return Err(Failure::usage(format!(
                    "{} holds {} programs; name one: --program {}",
                    self.name,
                    known.len(),
                    known.join(" | ")
                )));
            }
            None => {}
        }
        programs.pop().ok_or_else(|| Failure::input(format!("{} holds no program", self.name)))
    }

    pub fn compile(&self, program: Option<&str>, params: &Bindings) -> Result<Compiled, Failure> {
        let checked = self.program(program)?;
        let known: Vec<&str> = checked.params.iter().map(|(_, p)| p.name.as_str()).collect();
        if let Some(failure) = no_param(params, &known) {
            return Err(failure);
        }
        compile(&self.text, program, params).map_err(|d| Failure::diagnostics(&d, self))
    }
}

/// The first value that no param takes.
pub fn no_param(params: &Bindings, known: &[&str]) -> Option<Failure> {
    let name = |set: &String| set.split('[').next().unwrap_or_default().to_string();
    let name = params.keys().map(name).find(|n| !known.contains(&n.as_str()))?;
    let has = match known {
        [] => "; there are none".to_string(),
        _ => format!("{}; the params are {}", hint(&name, known), known.join(", ")),
    };
    let has = has.replace(&format!("; known are {}", known.join(", ")), "");
    Some(Failure::usage(format!("`--set {name}=..`: no such param{has}")))
}

/// `NAME=V` or `NAME=[V,V,..]`, several by commas or by repetition; an array binds `NAME[0]`, `NAME[1]`, ..
pub fn bindings(sets: &[String]) -> Result<Bindings, Failure> {
    let mut out = Bindings::new();
    for set in sets.iter().flat_map(|s| outside_brackets(s)).filter(|s| !s.is_empty()) {
        let (name, value) = set
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`--set {set}`: write NAME=VALUE")))?;
        let (name, value) = (name.trim(), value.trim());
        let number = |v: &str| {
            v.trim().parse().map_err(|_| {
                Failure::usage(format!("`--set {set}`: `{}` is not an integer", v.trim()))
            })
        };
        match value.strip_prefix('[').map(|v| v.strip_suffix(']')) {
            None => once(&mut out, name.to_string(), number(value)?)?,
            Some(None) => return Err(Failure::usage(format!("`--set {set}`: `]` is missing"))),
            Some(Some(list)) => {
                for (i, v) in list.split(',').filter(|v| !v.trim().is_empty()).enumerate() {
                    once(&mut out, format!("{name}[{i}]"), number(v)?)?;
                }
            }
        }
    }
    Ok(out)
}

fn once(out: &mut Bindings, name: String, value: i64) -> Result<(), Failure> {
    match out.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("`--set {name}` is given twice"))),
    }
}

/// The parts between commas that no bracket encloses.
fn outside_brackets(text: &str) -> Vec<&str> {
    let (mut depth, mut first, mut out) = (0i64, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                out.push(&text[first..at]);
                first = at + 1;
            }
            _ => {}
        }
    }
    out.push(&text[first..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_bind_element_by_element() {
        let sets = ["M=4,OWNER=[2, 0,1],N=8", "W=[7]"].map(String::from);
        let Ok(bound) = bindings(&sets) else { panic!("refused") };
        let expected =
            [("M", 4), ("N", 8), ("OWNER[0]", 2), ("OWNER[1]", 0), ("OWNER[2]", 1), ("W[0]", 7)];
        assert_eq!(bound, expected.map(|(n, v)| (n.to_string(), v)).into());
        for wrong in ["M", "M=[1", "M=[1,x]", "M=1]", "M=1,M=1", "M=[1],M=[2]"] {
            assert!(bindings(&[wrong.to_string()]).is_err(), "{wrong}");
        }
    }
}
