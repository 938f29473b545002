//! The whole compiler on one page: one call a stage, the stages as text on request.

use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics, hint};
use crate::layout::{self, Table};
use crate::plan::{self, Plan};
use crate::schedule::{self, Verified, ir::Schedule};
use crate::sema::hir::{self, Bindings, Program};
use crate::source::Span;
use crate::{sema, syntax};
use std::collections::BTreeMap;

/// A program with its params bound, down to its verified schedule.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub hir: Program,
    pub plan: Plan,
    pub schedule: Verified<Schedule>,
    pub warnings: Diagnostics,
}

/// Text to checked programs, as far as no param is needed.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn check(text: &str) -> Result<(Vec<Program>, Diagnostics), Diagnostics> {
    let syntax::Parsed { file, mut diagnostics, whole } = syntax::read(text);
    let syntax = diagnostics.0.clone();
    let mut programs = Vec::new();
    let mut named: BTreeMap<&str, Span> = BTreeMap::new();
    for program in &file.programs {
        let name = &program.name;
        if let Some(first) = named.get(name.name.as_str()) {
            let message = format!("two programs are called `{}`", name.name);
            diagnostics.push(
                Diagnostic::error("F0102", name.span, message)
                    .related(*first, "first here")
                    .help("rename one of them"),
            );
        } else {
            named.insert(&name.name, name.span);
        }
        let (checked, found) = sema::check(program);
        let own = |d: &Diagnostic| whole && (syntax.is_empty() || !follows(d, &syntax, text));
        diagnostics.0.extend(found.0.into_iter().filter(own));
        programs.extend(checked);
    }
    if file.programs.is_empty() && !diagnostics.has_errors() {
        let message = "the file holds no program";
        diagnostics.push(Diagnostic::error("F0001", Span::default(), message).help(syntax::SHAPE));
    }
    diagnostics.0.iter_mut().for_each(|d| d.snap(text));
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok((programs, diagnostics)) }
}

/// Whether a word that the parser skipped or mended may be all that is wrong.
fn follows(diagnostic: &Diagnostic, syntax: &[Diagnostic], text: &str) -> bool {
    if syntax.iter().any(|d| d.span == diagnostic.span) {
        return true;
    }
    let span = diagnostic.span.start as usize..diagnostic.span.end as usize;
    match diagnostic.code {
        "F0101" | "F0104" => text.get(span).is_some_and(|name| syntax::declares(text, name)),
        "F0105" | "F0406" | "F0503" => true,
        _ => false,
    }
}

/// Text to a verified schedule.
///
/// `program` names one of several programs of the file.
///
/// # Errors
/// Everything that is wrong with the text or with the params, located.
pub fn compile(
    text: &str,
    program: Option<&str>,
    params: &Bindings,
) -> Result<Compiled, Diagnostics> {
    let (programs, warnings) = check(text)?;
    let hir = select(programs, program)?;
    let mut compiled = lower(hir, params)?;
    compiled.warnings.0.splice(0..0, warnings.0);
    Ok(compiled)
}

/// A checked program to its verified schedule.
///
/// # Errors
/// Params that do not fit, proofs that fail, and what cannot be lowered yet.
pub fn lower(hir: Program, params: &Bindings) -> Result<Compiled, Diagnostics> {
    stages(hir, params).map_err(Diagnostics::once)
}

fn stages(hir: Program, params: &Bindings) -> Result<Compiled, Diagnostics> {
    let wrong = sema::bind(&hir, params);
    if wrong.has_errors() {
        return Err(wrong);
    }
    let tables = layout::tables(&hir, params)?;
    let plan = plan::lower(&hir, params, tables)?;
    let schedule = schedule::verify(schedule::lower(&hir, params, &plan)?)?;
    let warnings = plan::warnings(&hir, &plan);
    Ok(Compiled { hir, plan, schedule, warnings })
}

fn select(programs: Vec<Program>, name: Option<&str>) -> Result<Program, Diagnostics> {
    let names: Vec<String> = programs.iter().map(|p| p.name.clone()).collect();
    let mut found = programs.into_iter().filter(|p| name.is_none_or(|n| n == p.name));
    match (found.next(), found.next()) {
        (Some(program), None) => Ok(program),
        _ => {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = match name {
                Some(name) => format!("no program `{name}`{}", hint(name, &known)),
                None => format!("the file holds {} programs", names.len()),
            };
            let help = format!("name one of {}", known.join(", "));
            Err(Diagnostics(vec![Diagnostic::error("F0101", Span::default(), message).help(help)]))
        }
    }
}

impl Compiled {
    /// The digit table of each tensor.
    pub fn tables(&self) -> &BTreeMap<Handle<hir::Tensor>, Table> {
        &self.plan.tables
    }

    /// A stage as text: `layout`, `plan` or `schedule`.
    pub fn stage(&self, name: &str) -> Option<String> {
        match name {
            "layout" => Some(layout::print(&self.hir, self.plan.tables.values())),
            "plan" => Some(plan::print(&self.hir, &self.plan)),
            "schedule" => Some(schedule::print(&self.schedule)),
            _ => None,
        }
    }
}
