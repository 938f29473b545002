//! `where p` on a statement: which of its assignments are made.

use super::checker::{Checked, Checker};
use super::extent::comparison;
use super::frame::Frame;
use super::hir::{Elem, Expr, ExprKind, Filter};
use super::text;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, ExprKind as Ast, Op};

impl Checker<'_> {
    /// Comparisons of integers of the variables and of elements of integer tensors.
    pub fn filter(&mut self, frame: &mut Frame, e: &ast::Expr) -> Checked<Filter> {
        let Ast::Binary { op, lhs, rhs } = &e.kind else {
            return self.unsupported(e.span, format!("`{}` as a condition", text::expr(e)));
        };
        match (op, comparison(*op)) {
            (Op::And, _) => {
                let (a, b) = (self.filter(frame, lhs)?, self.filter(frame, rhs)?);
                Ok(Filter::And(Box::new(a), Box::new(b)))
            }
            (Op::Or, _) => {
                let (a, b) = (self.filter(frame, lhs)?, self.filter(frame, rhs)?);
                Ok(Filter::Or(Box::new(a), Box::new(b)))
            }
            (_, Some(op)) => {
                let (lhs, rhs) = (self.compared(frame, lhs)?, self.compared(frame, rhs)?);
                Ok(Filter::Compare { op, lhs, rhs })
            }
            _ => self.unsupported(e.span, format!("`{}` as a condition", text::expr(e))),
        }
    }

    fn compared(&mut self, frame: &mut Frame, e: &ast::Expr) -> Checked<Expr> {
        let value = self.value(frame, e, Elem::I64)?;
        if !value.ty.is_integer() {
            return self.fail(
                Diagnostic::error(
                    "F0601",
                    e.span,
                    format!("a condition compares integers, this is {}", value.ty.name()),
                )
                .help("compare variables, sizes and elements of integer tensors"),
            );
        }
        if matches!(value.kind, ExprKind::Reduce { .. } | ExprKind::Cast(_)) {
            return self.unsupported(e.span, "this in a condition");
        }
        self.no_stray(frame, &value)?;
        Ok(value)
    }
}
