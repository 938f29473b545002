//! `const`: integers and arrays of integers, known from the text.

use super::checker::{Array, Checker, unsupported};
use super::hir::Size;
use super::scope::Symbol;
use crate::diag::Diagnostic;
use crate::syntax::ast::{Const, Decl, Expr, ExprKind};

impl Checker<'_> {
    /// Values in any order of declaration: whatever waits for another is tried again.
    pub fn consts(&mut self) {
        let mut waiting = self.decls(|d| if let Decl::Const(c) = d { Some(c) } else { None });
        waiting.retain(|c| self.scope.is_first(&c.name));
        loop {
            let before = waiting.len();
            waiting.retain(|c| !self.constant(c));
            if waiting.is_empty() {
                return;
            }
            if waiting.len() == before {
                break;
            }
        }
        for c in waiting {
            self.push(unsupported(c.value.span, "a `const` that is not known from literals"));
        }
    }

    /// Whether nothing more is to be learnt about it: it has a value, or an error was reported.
    fn constant(&mut self, c: &Const) -> bool {
        let reported = self.diagnostics.0.len();
        let symbol = match &c.value.kind {
            ExprKind::Array(items) => self.array(c, items),
            _ => self.literal_size(&c.value).map(Symbol::Const),
        };
        if let Some(symbol) = symbol {
            self.scope.set(&c.name.name, symbol);
            return true;
        }
        self.diagnostics.0.len() > reported
    }

    fn array(&mut self, c: &Const, items: &[Expr]) -> Option<Symbol> {
        let mut values = Vec::new();
        for item in items {
            values.push((self.literal_size(item)?, item.span));
        }
        self.arrays.push(Array { name: c.name.name.clone(), values });
        Some(Symbol::Array(self.arrays.len() - 1))
    }

    fn literal_size(&mut self, e: &Expr) -> Option<i64> {
        match self.size(e, &[]).ok()? {
            Size::Lit(v) => Some(v),
            _ => {
                self.push(
                    Diagnostic::error("F0204", e.span, "a `const` is known from the text alone")
                        .note("a `param`, a `dyn` or a mesh axis has its value later")
                        .help("write a number, or declare a `param`"),
                );
                None
            }
        }
    }
}
