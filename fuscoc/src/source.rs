//! Files, and the settings that several commands share.

use crate::Format;
use crate::failure::Failure;
use fusco_dsl::sema::hir::Bindings;
use fusco_dsl::{Compiled, compile};
use std::path::Path;

pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    pub fn read(path: &Path) -> Result<Source, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::input(format!("cannot read {name}: {e}")))?;
        Ok(Source { name, text })
    }

    pub fn compile(
        &self,
        program: Option<&str>,
        params: &Bindings,
        format: Format,
    ) -> Result<Compiled, Failure> {
        compile(&self.text, program, params).map_err(|d| Failure::diagnostics(&d, self, format))
    }
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
            None => {
                out.insert(name.to_string(), number(value)?);
            }
            Some(None) => return Err(Failure::usage(format!("`--set {set}`: `]` is missing"))),
            Some(Some(list)) => {
                for (i, v) in list.split(',').filter(|v| !v.trim().is_empty()).enumerate() {
                    out.insert(format!("{name}[{i}]"), number(v)?);
                }
            }
        }
    }
    Ok(out)
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
        for wrong in ["M", "M=[1", "M=[1,x]", "M=1]"] {
            assert!(bindings(&[wrong.to_string()]).is_err(), "{wrong}");
        }
    }
}
