//! `entry B = adjoint(A);` becomes an ordinary entry: each linear statement of A read backwards.
//!
//! Enters: the tree of a program. Leaves: the tree without derived entries, with the cotangents they need
//! declared as `grad_<tensor>`: an `in` for each output of A, an `out` for each input. Everything
//! downstream sees an ordinary program; generated nodes have the span of the `adjoint(..)` call.

mod linear;
mod pass;
mod reverse;
mod tree;

use super::scope::unknown;
use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::source::Span;
use crate::syntax::ast::{Arg, Assign, Decl, Entry, Ident, Io, Program, Stmt, Tensor, Word};
use pass::{Found, Left, Made, Pass};
use std::collections::BTreeMap;

/// A program without derived entries.
pub(super) struct Expanded {
    pub program: Program,
    /// The `adjoint(..)` calls.
    calls: Vec<Span>,
    diagnostics: Diagnostics,
}

impl Expanded {
    /// All diagnostics of the program. What a generated statement repeats of an error that the source
    /// already has is left out.
    pub fn report(self, checked: Diagnostics) -> Diagnostics {
        let (echoes, mut out): (Vec<_>, Vec<_>) =
            checked.0.into_iter().partition(|d| self.calls.contains(&d.span));
        out.extend(self.diagnostics.0);
        if !Diagnostics(out.clone()).has_errors() {
            // The text of a generated statement is nowhere: there is nothing to edit.
            out.extend(echoes.into_iter().map(|d| d.fixed(None)));
        }
        out.sort_by_key(|d| d.span);
        Diagnostics(out)
    }
}

/// The program with every derived entry written out; `None` if there is none.
pub(super) fn expand(program: &Program) -> Option<Expanded> {
    let derived = |d: &Decl| matches!(d, Decl::Entry(e) if e.derived.is_some());
    if !program.decls.iter().any(derived) {
        return None;
    }
    let mut pass = Pass {
        program,
        entries: BTreeMap::new(),
        from: String::new(),
        made: Vec::new(),
        left: Vec::new(),
        out: Vec::new(),
    };
    let (mut decls, mut calls) = (Vec::new(), Vec::new());
    for decl in &program.decls {
        let Decl::Entry(entry) = decl else {
            decls.push(decl.clone());
            continue;
        };
        calls.extend(entry.derived.as_ref().map(|call| call.span));
        let entry = pass.entry(entry);
        pass.entries.entry(entry.name.name.clone()).or_insert_with(|| entry.clone());
        decls.push(Decl::Entry(entry));
    }
    decls.extend(pass.made.into_iter().map(|m| Decl::Tensor(m.tensor)));
    let program = Program { decls, ..program.clone() };
    Some(Expanded { program, calls, diagnostics: Diagnostics(pass.out) })
}

impl Pass<'_> {
    /// The entry with statements; without any where an error was reported.
    fn entry(&mut self, entry: &Entry) -> Entry {
        let Some(call) = &entry.derived else { return entry.clone() };
        let stmts = self.derive(entry, call).unwrap_or_default();
        let mut docs = entry.docs.clone();
        docs.extend(argument(call, 0).map(|of| format!("Adjoint of `{}`.", of.name)));
        Entry { docs, name: entry.name.clone(), derived: None, stmts, span: entry.span }
    }

    fn derive(&mut self, entry: &Entry, call: &Word) -> Found<Vec<Stmt>> {
        if call.name.name != "adjoint" {
            let mut found = unknown("F0101", "transform", &call.name, &["adjoint"]);
            let others =
                ["grad", "backward", "vjp", "gradient", "transpose", "reverse", "bwd", "inverse"];
            if others.contains(&call.name.name.as_str()) {
                found = found.help("write `adjoint(ENTRY)`").fix(call.name.span, "adjoint");
            }
            return self.fail(found);
        }
        let count = call.args.as_ref().map_or(0, Vec::len);
        let (Some(of), 1..=2) = (argument(call, 0), count) else { return self.malformed(call) };
        let input = argument(call, 1);
        if count == 2 && input.is_none() {
            return self.malformed(call);
        }
        let source = self.source(&of)?;
        self.from = of.name.clone();
        if let Some(input) = &input {
            self.is_float_input(input)?;
        }
        self.left.clear();
        let reported = self.out.len();
        let stmts = self.backwards(entry, &source, input.as_ref(), call.span);
        for diagnostic in self.out[reported..].iter_mut().filter(|d| d.span != call.span) {
            diagnostic.related.push((call.span, "its adjoint is taken here".to_string()));
        }
        let stmts = stmts?;
        for left in std::mem::take(&mut self.left) {
            let warning = self.left_out(entry, &of, &left, call);
            self.out.push(warning);
        }
        if stmts.is_empty() { self.nothing_linear(&of, input.as_ref(), call) } else { Ok(stmts) }
    }

    /// F0806: the gradient of another factor, how it is asked for, and whether it can be had.
    fn left_out(&mut self, entry: &Entry, of: &Ident, left: &Left, call: &Word) -> Diagnostic {
        let Left { statement, made, other } = left;
        let reported = self.out.len();
        let input = tree::ident(other, call.span);
        let had = self.statement(statement, Some(&input), call.span).is_ok();
        let why = self.out.drain(reported..).map(|d| d.message).next();
        let ask = format!("adjoint({}, {other})", of.name);
        let other_help = match why {
            None if had => format!("for the other, `entry {}_{other} = {ask};`", entry.name.name),
            why => format!("`{ask}` is {}", why.unwrap_or_else(|| "not possible".to_string())),
        };
        let claim = format!("`{}` leaves out the gradient of `{other}`", entry.name.name);
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error("F0806", call.span, claim)
                .label(format!("makes the gradient of `{made}` only"))
                .related(statement.span, format!("a product of `{made}` and `{other}`"))
                .note(other_help)
                .help(format!("if that is what is meant, say so: `adjoint({}, {made})`", of.name))
                .fixed(super::edits::insert(call.span.end.saturating_sub(1), format!(", {made}")))
        }
    }

    /// The statements of `source` that have an adjoint, each read backwards; where a `tmp` leads from one to another, the
    /// last one first.
    fn backwards(
        &mut self,
        entry: &Entry,
        source: &Entry,
        input: Option<&Ident>,
        at: Span,
    ) -> Found<Vec<Stmt>> {
        let mut stmts: Vec<Stmt> = Vec::new();
        let assigned = source.stmts.iter().filter_map(|s| match s {
            Stmt::Assign(assign) => Some(assign.apart()),
            _ => None,
        });
        let mut assigned = self.along(assigned.flatten(), input);
        if assigned.iter().any(|(a, _)| self.is_tmp(&a.targets[0].name.name)) {
            assigned.reverse();
        }
        let mut reached: Vec<String> = Vec::new();
        for (assign, input) in &assigned {
            let target = &assign.targets[0].name.name;
            if self.is_tmp(target) && !reached.contains(target) {
                continue;
            }
            let Some(reversed) = self.statement(assign, input.as_ref(), at)? else { continue };
            self.written_once(&stmts, &reversed, assign)?;
            self.cotangents(entry, &reversed, at)?;
            reached.push(reversed.input.name.name.clone());
            stmts.push(Stmt::Assign(reversed.assign));
        }
        // Factors that are `tmp`s are computed once more.
        for (assign, _) in &assigned {
            let target = &assign.targets[0].name.name;
            let reads = |s: &Stmt| matches!(s, Stmt::Assign(a) if linear::reads(&a.value, target));
            if self.is_tmp(target) && stmts.iter().any(reads) {
                stmts.insert(0, Stmt::Assign(tree::statement(assign, at)));
            }
        }
        Ok(stmts)
    }

    /// The statements with what each is derived by: the input that is asked for, or a `tmp` that depends on it.
    fn along(
        &self,
        assigned: impl Iterator<Item = Assign>,
        input: Option<&Ident>,
    ) -> Vec<(Assign, Option<Ident>)> {
        let mut active = Vec::from_iter(input.cloned());
        let mut out = Vec::new();
        for assign in assigned {
            let by = active.iter().find(|name| linear::reads(&assign.value, &name.name));
            let by = by.or(input).cloned();
            let name = assign.targets.first().map(|t| t.name.clone());
            let depends = by.iter().any(|name| linear::reads(&assign.value, &name.name));
            active.extend(name.filter(|n| depends && self.is_tmp(&n.name)));
            out.push((assign, by));
        }
        out
    }

    fn is_tmp(&self, name: &str) -> bool {
        self.tensor(name).is_some_and(|t| t.io == Io::Tmp)
    }

    /// The entry to derive from: written above.
    fn source(&mut self, of: &Ident) -> Found<Entry> {
        if let Some(entry) = self.entries.get(&of.name) {
            return Ok(entry.clone());
        }
        let below = |d: &Decl| match d {
            Decl::Entry(e) if e.name.name == of.name => Some(e.clone()),
            _ => None,
        };
        match self.program.decls.iter().find_map(below) {
            Some(entry) if entry.derived.is_none() => Ok(entry),
            Some(entry) => {
                let itself = entry
                    .derived
                    .as_ref()
                    .is_some_and(|d| argument(d, 0).is_some_and(|a| a.span == of.span));
                let (claim, help) = if itself {
                    ("derived from itself", "name an entry that has statements".to_string())
                } else {
                    ("derived below", format!("move `entry {}` above this one", of.name))
                };
                self.fail(
                    Diagnostic::error("F0101", of.span, format!("`{}` is {claim}", of.name))
                        .related(entry.name.span, "here")
                        .note("an adjoint is taken of an entry whose statements are known")
                        .help(help),
                )
            }
            None => {
                let names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
                let diagnostic = unknown("F0101", "entry", of, &names);
                self.fail(diagnostic)
            }
        }
    }

    fn is_float_input(&mut self, input: &Ident) -> Found<()> {
        match self.tensor(&input.name).map(|t| t.dtype.name.name.clone()) {
            Some(elem) if linear::is_float(&elem) => Ok(()),
            Some(elem) => self.fail(
                Diagnostic::error(
                    "F0805",
                    input.span,
                    format!("`{}` is {elem}: it has no adjoint", input.name),
                )
                .note("integers choose what moves; only the values that move are linear")
                .help("name a float tensor that the entry reads"),
            ),
            None => {
                let names: Vec<&str> = self.tensors().map(|t| t.name.name.as_str()).collect();
                let diagnostic = unknown("F0101", "tensor", input, &names);
                self.fail(diagnostic)
            }
        }
    }

    /// Gradients of one tensor from two statements would have to be added.
    fn written_once(
        &mut self,
        stmts: &[Stmt],
        reversed: &reverse::Reversed,
        assign: &Assign,
    ) -> Found<()> {
        let writes = |s: &Stmt| matches!(s, Stmt::Assign(a) if a.targets[0].name.name == reversed.assign.targets[0].name.name);
        if !stmts.iter().any(writes) {
            return Ok(());
        }
        let what = format!("the adjoint of `{}` read by two statements", reversed.input.name.name);
        self.fail(super::checker::unsupported(assign.span, what))
    }

    /// Declares the two cotangents of a statement.
    fn cotangents(&mut self, entry: &Entry, reversed: &reverse::Reversed, span: Span) -> Found<()> {
        let io = |of: &Tensor, io| if of.io == Io::Tmp { Io::Tmp } else { io };
        let (output, input) = (&reversed.output, &reversed.input);
        let seen = tree::cotangent(output, io(output, Io::In), false, span);
        self.declare(entry, &reversed.output.name.name, seen)?;
        let made = tree::cotangent(input, io(input, Io::Out), reversed.fill, span);
        self.declare(entry, &reversed.input.name.name, made)
    }

    /// Another adjoint may have declared the same cotangent; nobody else may have.
    fn declare(&mut self, entry: &Entry, of: &str, tensor: Tensor) -> Found<()> {
        let name = tensor.name.name.clone();
        if let Some(made) = self.made.iter_mut().find(|m| m.tensor.name.name == name) {
            if made.of == of && made.tensor.io == tensor.io {
                if made.tensor.attrs.len() < tensor.attrs.len() {
                    made.tensor.attrs = tensor.attrs;
                }
                return Ok(());
            }
            let what = format!("`{name}` as the input of one adjoint and the output of another");
            return self.fail(super::checker::unsupported(entry.name.span, what));
        }
        if let Some(first) = declared(self.program).find(|i| i.name == name) {
            let diagnostic = Diagnostic::error(
                "F0102",
                entry.name.span,
                format!("`{}` declares `{name}`, which is taken", entry.name.name),
            )
            .related(first.span, "declared here")
            .note(format!("an adjoint declares the gradient of `{of}` by this name"))
            .help(format!("rename the other `{name}`"));
            return self.fail(diagnostic);
        }
        self.made.push(Made { of: of.to_string(), tensor });
        Ok(())
    }

    fn nothing_linear(
        &mut self,
        of: &Ident,
        input: Option<&Ident>,
        call: &Word,
    ) -> Found<Vec<Stmt>> {
        let what = input.map_or("a float tensor".to_string(), |i| format!("`{}`", i.name));
        self.fail(
            Diagnostic::error("F0805", call.span, format!("`{}` has no linear statement", of.name))
                .label(format!("no statement moves {what}"))
                .note("counts, offsets and index tensors are constants: they have no adjoint")
                .help(format!("name an entry that moves {what}")),
        )
    }

    fn malformed<T>(&mut self, call: &Word) -> Found<T> {
        self.fail(
            Diagnostic::error("F0203", call.span, "these are not the arguments it takes")
                .help("write `adjoint(ENTRY)`, or `adjoint(ENTRY, TENSOR)` for one of its inputs"),
        )
    }
}

/// The `i`-th argument, if it is a plain name.
fn argument(call: &Word, i: usize) -> Option<Ident> {
    let Arg { binder: None, named: None, value } = call.args.as_ref()?.get(i)? else { return None };
    Some(Ident { name: value.as_name()?.to_string(), span: value.span })
}

/// Every name that the program declares at its top level.
fn declared(program: &Program) -> impl Iterator<Item = &Ident> {
    program.decls.iter().flat_map(|decl| -> Vec<&Ident> {
        match decl {
            Decl::Mesh(m) => m.axes.iter().map(|a| &a.name).chain([&m.name]).collect(),
            Decl::Const(c) => vec![&c.name],
            Decl::Param(p) => vec![&p.name],
            Decl::Dyn(d) => vec![&d.name],
            Decl::Tensor(t) => vec![&t.name],
            Decl::Route(r) => vec![&r.name],
            Decl::Entry(e) => vec![&e.name],
            Decl::Assume(_) | Decl::Prove(_) => Vec::new(),
        }
    })
}

#[cfg(test)]
mod tests;
