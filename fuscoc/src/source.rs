//! Files, and the settings that several commands share.

use crate::failure::Failure;
use crate::Format;
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
        let text = std::fs::read_to_string(path).map_err(|e| Failure::input(format!("cannot read {name}: {e}")))?;
        Ok(Source { name, text })
    }

    pub fn compile(&self, program: Option<&str>, params: &Bindings, format: Format) -> Result<Compiled, Failure> {
        compile(&self.text, program, params).map_err(|d| Failure::diagnostics(&d, self, format))
    }
}

/// `NAME=V`, several by commas or by repetition.
pub fn bindings(sets: &[String]) -> Result<Bindings, Failure> {
    let mut out = Bindings::new();
    for set in sets.iter().flat_map(|s| s.split(',')).filter(|s| !s.is_empty()) {
        let (name, value) = set.split_once('=').ok_or_else(|| Failure::usage(format!("`--set {set}`: write NAME=VALUE")))?;
        let value = value.parse().map_err(|_| Failure::usage(format!("`--set {set}`: `{value}` is not an integer")))?;
        out.insert(name.trim().to_string(), value);
    }
    Ok(out)
}
