//! Schedules: directives that this version knows, those it does not know yet, and misspelt ones.

use super::check::{Checked, Checker};
use super::hir::{self, Directive, DirectiveKind, Schedule};
use super::scope::unknown;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, ExprKind};

const KNOWN: [&str; 5] = ["push", "pull", "stages", "chunk", "blocks"];
const LATER: [&str; 12] = [
    "path",
    "dedup",
    "forward",
    "transport",
    "reduce",
    "multicast",
    "encode",
    "decode",
    "tile",
    "stage",
    "vector",
    "threads",
];

impl Checker<'_> {
    pub fn schedule(&mut self, s: &ast::Schedule) -> Checked<Schedule> {
        let when = s.when.as_ref().map(|w| self.cond(w)).transpose();
        let mut directives = Vec::new();
        let mut wrong = false;
        for d in &s.directives {
            match self.directive(d) {
                Ok(directive) => directives.push(directive),
                Err(_) => wrong = true,
            }
        }
        if wrong {
            Err(super::check::Stop)
        } else {
            Ok(Schedule { when: when?, directives, span: s.span })
        }
    }

    fn directive(&mut self, d: &ast::Directive) -> Checked<Directive> {
        let name = d.name.name.as_str();
        if LATER.contains(&name) {
            return self.unsupported(d.span, format!("the directive `{name}`"));
        }
        if !KNOWN.contains(&name) {
            return self.fail(unknown(
                "F0705",
                "directive",
                &d.name,
                &[&KNOWN[..], &LATER[..]].concat(),
            ));
        }
        if !d.clauses.is_empty() {
            return self.unsupported(d.span, format!("`by`, `through` or `at` in `{name}`"));
        }
        let kind = match (name, d.args.as_slice()) {
            ("push", []) => DirectiveKind::Push,
            ("pull", []) => DirectiveKind::Pull,
            ("stages", [arg]) if plain(arg) => DirectiveKind::Stages(self.positive(&arg.value)?),
            ("blocks", [arg]) if plain(arg) => DirectiveKind::Blocks(self.positive(&arg.value)?),
            ("chunk", [arg]) if arg.named.is_none() => {
                let known = arg
                    .binder
                    .as_ref()
                    .is_some_and(|names| names.len() == 1 && self.is_position(&names[0].name));
                if !known {
                    return self.unsupported(
                        d.span,
                        "a chunk of anything but the position of a route, `chunk t: 32`",
                    );
                }
                DirectiveKind::Chunk(self.positive(&arg.value)?)
            }
            _ => {
                let form = match name {
                    "push" | "pull" => format!("`{name};`"),
                    "chunk" => "`chunk t: 32;`".to_string(),
                    _ => format!("`{name} 4;`"),
                };
                return self.fail(
                    Diagnostic::error(
                        "F0705",
                        d.span,
                        format!("`{name}` does not take these arguments"),
                    )
                    .help(format!("write {form}")),
                );
            }
        };
        Ok(Directive { kind, span: d.span })
    }

    /// The position of a route: its first source that is not the rank.
    fn is_position(&self, name: &str) -> bool {
        let ranks = |v: &hir::Var| matches!(v.extent, hir::VarExtent::Fixed(hir::Size::Mesh(_)));
        self.hir.routes.iter().any(|(_, r)| {
            r.sources
                .iter()
                .map(|s| &r.vars[*s])
                .find(|v| !ranks(v))
                .is_some_and(|v| v.name == name)
        })
    }

    fn positive(&mut self, e: &ast::Expr) -> Checked<i64> {
        match self.size(e, &[])? {
            hir::Size::Lit(n) if n >= 1 => Ok(n),
            hir::Size::Lit(n) => self.fail(
                Diagnostic::error("F0705", e.span, format!("{n} < 1")).help("use at least 1"),
            ),
            _ => self.unsupported(e.span, "a schedule number that is not a literal or `const`"),
        }
    }
}

fn plain(arg: &ast::Arg) -> bool {
    arg.binder.is_none() && arg.named.is_none() && !matches!(arg.value.kind, ExprKind::Tuple(_))
}
