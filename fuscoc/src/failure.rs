//! Why a command ended, and with which exit code.

use crate::Format;
use crate::source::Source;
use fusco_dsl::diag::{Diagnostics, json, render};
use std::io::IsTerminal;

pub enum Failure {
    /// The program or its data are wrong; the text is ready to print.
    Input(String),
    /// The command line is wrong.
    Usage(String),
    /// The machine lacks something.
    Environment(String),
}

impl Failure {
    pub fn input(text: impl std::fmt::Display) -> Failure {
        Failure::Input(format!("error: {text}"))
    }

    /// `fuscoc explain` knows the code.
    pub fn coded(code: &str, text: impl std::fmt::Display) -> Failure {
        Failure::Input(format!("error[{code}]: {text}"))
    }

    pub fn usage(text: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("error: {text}"))
    }

    pub fn diagnostics(diagnostics: &Diagnostics, source: &Source, format: Format) -> Failure {
        Failure::Input(show(diagnostics, source, format))
    }

    pub fn code(&self) -> u8 {
        match self {
            Failure::Input(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Environment(_) => 3,
        }
    }

    pub fn text(&self) -> &str {
        let (Failure::Input(text) | Failure::Usage(text) | Failure::Environment(text)) = self;
        text
    }

    pub fn print(&self) {
        let text = self.text();
        if !text.is_empty() {
            crate::file::tell(text);
        }
    }
}

impl From<fusco_runtime::Error> for Failure {
    fn from(error: fusco_runtime::Error) -> Failure {
        if matches!(error, fusco_runtime::Error::Program(_)) {
            Failure::input(error)
        } else if error.is_environment() {
            Failure::Environment(format!("error: {error}"))
        } else {
            Failure::coded(error.code(), error)
        }
    }
}

/// Diagnostics as the user asked to see them.
pub fn show(diagnostics: &Diagnostics, source: &Source, format: Format) -> String {
    match format {
        Format::Text => {
            render(diagnostics, &source.name, &source.text, std::io::stderr().is_terminal())
        }
        Format::Json => json(diagnostics, &source.name, &source.text).to_string(),
    }
}
