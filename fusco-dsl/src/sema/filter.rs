//! `where p` on a statement: which of its assignments are made.

use super::checker::{Checked, Checker};
use super::extent::comparison;
use super::frame::Frame;
use super::hir::{BinOp, CmpOp, Elem, Expr, ExprKind, Filter, Size};
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

    /// What it bounds its variables by: `i < N`, or another way to write that, as one of its conjuncts.
    pub fn bounds(&mut self, e: &ast::Expr) -> Vec<(String, Size)> {
        let Ast::Binary { op, lhs, rhs } = &e.kind else { return Vec::new() };
        if *op == Op::And {
            let mut out = self.bounds(lhs);
            out.extend(self.bounds(rhs));
            return out;
        }
        let Some(op) = comparison(*op) else { return Vec::new() };
        let (name, op, size) = match (lhs.as_name(), rhs.as_name()) {
            (Some(name), _) if !self.is_size(name) && self.is_of_sizes(rhs) => (name, op, rhs),
            (_, Some(name)) if !self.is_size(name) && self.is_of_sizes(lhs) => {
                (name, op.turned(), lhs)
            }
            _ => return Vec::new(),
        };
        let more = match op {
            CmpOp::Lt => 0,
            CmpOp::Le => 1,
            _ => return Vec::new(),
        };
        let Ok(size) = self.size(size, &[]) else { return Vec::new() };
        let size = if more == 0 { size } else { super::hir::fold(BinOp::Add, size, Size::Lit(1)) };
        vec![(name.to_string(), size)]
    }

    fn is_of_sizes(&self, e: &ast::Expr) -> bool {
        match &e.kind {
            Ast::Int(_) => true,
            Ast::Name(name) => self.is_size(name),
            Ast::Binary { lhs, rhs, .. } => self.is_of_sizes(lhs) && self.is_of_sizes(rhs),
            _ => false,
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
