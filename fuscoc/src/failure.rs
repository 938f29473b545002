//! Why a command ended, and with which exit code.

use crate::terminal;
use crate::text::Source;
use clap::ValueEnum;
use fusco_dsl::diag::{Diagnostics, json, render_in};
use fusco_dsl::oracle;
use serde_json::{Value, json};

/// How diagnostics and reports are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

pub type Outcome = Result<(), Failure>;

/// Who is at fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program or its data are wrong.
    Input,
    /// The command line is wrong.
    Usage,
    /// The machine lacks something.
    Environment,
}

pub struct Failure {
    kind: Kind,
    reports: Reports,
}

/// Findings in the order in which they are told; a document of its own for machines.
#[derive(Default)]
pub struct Reports(Vec<Report>);

enum Report {
    /// Places in a source.
    Located {
        diagnostics: Diagnostics,
        name: String,
        text: String,
    },
    Plain {
        code: Option<String>,
        message: String,
    },
}

impl Reports {
    pub fn add(&mut self, diagnostics: Diagnostics, source: &Source) {
        if !diagnostics.0.is_empty() {
            let (name, text) = (source.name.clone(), source.text.clone());
            self.0.push(Report::Located { diagnostics, name, text });
        }
    }

    pub fn add_failure(&mut self, failure: Failure) {
        self.0.extend(failure.reports.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|r| match r {
            Report::Located { diagnostics, .. } => diagnostics.has_errors(),
            Report::Plain { .. } => true,
        })
    }

    pub fn text(&self, colour: bool, columns: Option<usize>) -> String {
        let one = |report: &Report| match report {
            Report::Located { diagnostics, name, text } => {
                render_in(diagnostics, name, text, colour, columns)
            }
            Report::Plain { code: Some(code), message } => format!("error[{code}]: {message}"),
            Report::Plain { code: None, message } => format!("error: {message}"),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("\n\n")
    }

    pub fn json(&self) -> Value {
        let mut all = Vec::new();
        for report in &self.0 {
            match report {
                Report::Located { diagnostics, name, text } => {
                    let Value::Array(found) = json(diagnostics, name, text) else { continue };
                    all.extend(found);
                }
                Report::Plain { code, message } => {
                    all.push(json!({ "code": code, "severity": "error", "message": message }));
                }
            }
        }
        Value::Array(all)
    }

    /// The first error's number in the catalogue.
    fn code(&self) -> Option<&str> {
        self.0.iter().find_map(|r| match r {
            Report::Located { diagnostics, .. } => {
                let error = |d: &&fusco_dsl::diag::Diagnostic| {
                    d.severity == fusco_dsl::diag::Severity::Error
                };
                diagnostics.0.iter().filter(error).min_by_key(|d| d.span.start).map(|d| d.code)
            }
            Report::Plain { code, .. } => code.as_deref(),
        })
    }

    /// On standard error, as the user asked to see them.
    pub fn print(&self, format: Format) {
        if format == Format::Json {
            terminal::tell(&self.json().to_string());
            return;
        }
        if self.is_empty() {
            return;
        }
        terminal::tell(&self.text(terminal::colour(), terminal::columns(terminal::To::Error)));
        if let Some(code) = self.code() {
            terminal::tell(&format!("\nfor more about this error: fuscoc explain {code}"));
        }
    }
}

impl Failure {
    fn plain(kind: Kind, code: Option<&str>, message: impl std::fmt::Display) -> Failure {
        let code = code.map(str::to_string);
        let report = Report::Plain { code, message: message.to_string() };
        Failure { kind, reports: Reports(vec![report]) }
    }

    pub fn input(text: impl std::fmt::Display) -> Failure {
        Failure::plain(Kind::Input, None, text)
    }

    /// `fuscoc explain` knows the code.
    pub fn coded(code: &str, text: impl std::fmt::Display) -> Failure {
        Failure::plain(Kind::Input, Some(code), text)
    }

    pub fn usage(text: impl std::fmt::Display) -> Failure {
        Failure::plain(Kind::Usage, None, text)
    }

    pub fn environment(text: impl std::fmt::Display) -> Failure {
        Failure::plain(Kind::Environment, Some("F0911"), text)
    }

    pub fn diagnostics(diagnostics: &Diagnostics, source: &Source) -> Failure {
        let mut reports = Reports::default();
        reports.add(diagnostics.clone(), source);
        Failure { kind: Kind::Input, reports }
    }

    pub fn reports(reports: Reports) -> Failure {
        Failure { kind: Kind::Input, reports }
    }

    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Input => 1,
            Kind::Usage => 2,
            Kind::Environment => 3,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// For a cell of a table.
    pub fn text(&self) -> String {
        self.reports.text(false, None)
    }

    pub fn print(&self, format: Format) {
        self.reports.print(format);
    }
}

impl From<fusco_runtime::Error> for Failure {
    fn from(error: fusco_runtime::Error) -> Failure {
        if matches!(error, fusco_runtime::Error::Program(_)) {
            Failure::input(error)
        } else if error.is_environment() {
            Failure::environment(error)
        } else {
            Failure::coded(error.code(), error)
        }
    }
}

impl From<oracle::Error> for Failure {
    fn from(error: oracle::Error) -> Failure {
        Failure::plain(Kind::Input, error.code(), error)
    }
}
