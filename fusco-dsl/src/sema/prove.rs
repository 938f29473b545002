//! `prove` and `assume`: what is claimed, not yet whether it holds.

use super::check::{Checked, Checker};
use super::hir::{self, Assume, Prove, ProveKind};
use super::scope::unknown;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, Arg, Decl, Expr, ExprKind as Ast, Ident, Op};

const PROPERTIES: [&str; 6] =
    ["injective", "covers", "deterministic", "local", "vector", "inverse"];
const LATER: [&str; 3] = ["crossings", "same", "bytes"];

impl Checker<'_> {
    pub fn assumes(&mut self) {
        for claims in self.decls(|d| if let Decl::Assume(c) = d { Some(c) } else { None }) {
            let assumes = self.assume(claims);
            self.hir.assumes.extend(assumes);
        }
    }

    pub fn assume(&mut self, claims: &ast::Claims) -> Vec<Assume> {
        claims.claims.iter().filter_map(|c| self.assume_one(c).ok()).collect()
    }

    /// `distinct(k: topk[s, t, k])`
    fn assume_one(&mut self, claim: &Expr) -> Checked<Assume> {
        let Ast::Call { base, args } = &claim.kind else {
            return self.unsupported(claim.span, format!("`assume {}`", text::expr(claim)));
        };
        if text::expr(base) != "distinct" {
            let name = Ident { name: text::expr(base), span: base.span };
            return self.fail(unknown("F0101", "assumption", &name, &["distinct"]));
        }
        let [Arg { binder: Some(names), value, .. }] = args.as_slice() else {
            return self.unsupported(claim.span, "`distinct` of anything but `k: topk[s, t, k]`");
        };
        let (Ast::Index { base, args }, [along]) = (&value.kind, names.as_slice()) else {
            return self.unsupported(claim.span, "`distinct` of anything but `k: topk[s, t, k]`");
        };
        let Ast::Name(tensor) = &base.kind else {
            return self.unsupported(base.span, "`distinct` of anything but a tensor");
        };
        let tensor = self.tensor_named(&Ident { name: tensor.clone(), span: base.span })?;
        self.arity(tensor, args.len(), value.span)?;
        let names: Vec<String> = args.iter().map(text::expr).collect();
        let plain = args.iter().all(|a| matches!(a.kind, Ast::Name(_)))
            && (0..names.len()).all(|i| !names[..i].contains(&names[i]));
        if !plain {
            return self.unsupported(value.span, "`distinct` over an index that is not a variable");
        }
        let Some(axis) = names.iter().position(|n| *n == along.name) else {
            return self.fail(unknown(
                "F0101",
                "index",
                along,
                &names.iter().map(String::as_str).collect::<Vec<_>>(),
            ));
        };
        Ok(Assume { tensor, axis, text: text::expr(claim), span: claim.span })
    }

    /// After all entries: `inverse` names entries that may come later.
    pub fn resolve_proves(&mut self) {
        for (entry, claim) in std::mem::take(&mut self.pending_proves) {
            if let Ok(kind) = self.prove_kind(&claim) {
                self.hir.entries[entry].proves.push(Prove {
                    kind,
                    text: text::expr(&claim),
                    span: claim.span,
                });
            }
        }
    }

    fn prove_kind(&mut self, claim: &Expr) -> Checked<ProveKind> {
        if let Ast::Binary { op, lhs, rhs } = &claim.kind {
            return self.prove_vector(claim, *op, lhs, rhs);
        }
        let Ast::Call { base, args } = &claim.kind else {
            return self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)));
        };
        let name = Ident { name: text::expr(base), span: base.span };
        let plain: Vec<&Expr> = args
            .iter()
            .filter(|a| a.binder.is_none() && a.named.is_none())
            .map(|a| &a.value)
            .collect();
        match (name.name.as_str(), plain.as_slice()) {
            ("inverse", [a, b]) if args.len() == 2 => {
                Ok(ProveKind::Inverse(self.entry_index(a)?, self.entry_index(b)?))
            }
            ("injective", [t]) => Ok(ProveKind::Injective(self.proved_tensor(t)?)),
            ("covers", [t]) => Ok(ProveKind::Covers(self.proved_tensor(t)?)),
            ("deterministic", [t]) => Ok(ProveKind::Deterministic(self.proved_tensor(t)?)),
            ("local", [t]) => Ok(ProveKind::Local(self.proved_tensor(t)?)),
            (n, _) if PROPERTIES.contains(&n) || LATER.contains(&n) => {
                self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)))
            }
            _ => self.fail(unknown(
                "F0101",
                "property",
                &name,
                &[&PROPERTIES[..], &LATER[..]].concat(),
            )),
        }
    }

    /// `vector(y.h) >= 16`
    fn prove_vector(&mut self, claim: &Expr, op: Op, lhs: &Expr, rhs: &Expr) -> Checked<ProveKind> {
        let (Op::Ge, Ast::Call { base, args }, Ast::Int(bytes)) = (op, &lhs.kind, &rhs.kind) else {
            return self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)));
        };
        let ("vector", [Arg { binder: None, named: None, value }]) =
            (text::expr(base).as_str(), args.as_slice())
        else {
            return self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)));
        };
        let Ast::Field { base, name } = &value.kind else {
            return self.unsupported(value.span, "`vector` of anything but an axis, `vector(y.h)`");
        };
        let tensor = self.proved_tensor(base)?;
        let axes = &self.hir.tensors[tensor].axes;
        match axes.iter().position(|a| a.name == name.name) {
            Some(axis) => Ok(ProveKind::Vector { tensor, axis, bytes: *bytes }),
            None => {
                let names: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
                let diagnostic = unknown("F0101", "axis", name, &names);
                self.fail(diagnostic)
            }
        }
    }

    fn proved_tensor(&mut self, e: &Expr) -> Checked<Handle<hir::Tensor>> {
        match &e.kind {
            Ast::Name(name) => self.tensor_named(&Ident { name: name.clone(), span: e.span }),
            _ => self.fail(
                Diagnostic::error("F0101", e.span, "a claim is about a tensor")
                    .help("name a tensor"),
            ),
        }
    }

    fn entry_index(&mut self, e: &Expr) -> Checked<usize> {
        let name = text::expr(e);
        match self.hir.entries.iter().position(|entry| entry.name == name) {
            Some(i) => Ok(i),
            None => {
                let names: Vec<&str> = self.hir.entries.iter().map(|e| e.name.as_str()).collect();
                let diagnostic = unknown("F0101", "entry", &Ident { name, span: e.span }, &names);
                self.fail(diagnostic)
            }
        }
    }
}
