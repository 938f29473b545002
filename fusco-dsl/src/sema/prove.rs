//! `prove` and `assume`: what is claimed, not yet whether it holds.

use super::checker::{Checked, Checker};
use super::hir::{self, Assume, Prove, ProveKind};
use super::scope::unknown;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, Arg, Decl, Expr, ExprKind as Ast, Ident, Op};

const PROPERTIES: [&str; 8] =
    ["injective", "covers", "deterministic", "local", "vector", "inverse", "same", "crossings"];
const LATER: [&str; 1] = ["bytes"];

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

    /// `distinct(k: topk[s, t, k])`, `distinct((r, j): page[r, j])`
    fn assume_one(&mut self, claim: &Expr) -> Checked<Assume> {
        let Ast::Call { base, args } = &claim.kind else {
            return self.unsupported(claim.span, format!("`assume {}`", text::expr(claim)));
        };
        if text::expr(base) != "distinct" {
            let name = Ident { name: text::expr(base), span: base.span };
            return self.fail(unknown("F0101", "assumption", &name, &["distinct"]));
        }
        let [Arg { binder: Some(along), value, .. }] = args.as_slice() else {
            return self.unsupported(claim.span, "`distinct` of anything but `k: topk[s, t, k]`");
        };
        let Ast::Index { base, args } = &value.kind else {
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
        let mut axes = Vec::new();
        for one in along {
            match names.iter().position(|n| *n == one.name) {
                Some(axis) => axes.push(axis),
                None => {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    return self.fail(unknown("F0101", "index", one, &names));
                }
            }
        }
        axes.sort_unstable();
        axes.dedup();
        Ok(Assume { tensor, axes, text: text::expr(claim), span: claim.span })
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
            return self.prove_number(claim, *op, lhs, rhs);
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
            ("same", [a, b]) if args.len() == 2 => {
                Ok(ProveKind::Same(self.proved_axis(a)?, self.proved_axis(b)?))
            }
            ("injective", [t]) => Ok(ProveKind::Injective(self.proved_tensor(t)?)),
            ("covers", [t]) => Ok(ProveKind::Covers(self.proved_tensor(t)?)),
            ("deterministic", [t]) => Ok(ProveKind::Deterministic(self.proved_tensor(t)?)),
            ("local", [t]) => Ok(ProveKind::Local(self.proved_tensor(t)?)),
            (n, _) if LATER.contains(&n) => {
                self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)))
            }
            (n, _) if PROPERTIES.contains(&n) => self.claim_form(claim, n),
            _ => self.fail(unknown(
                "F0101",
                "property",
                &name,
                &[&PROPERTIES[..], &LATER[..]].concat(),
            )),
        }
    }

    /// The form of a claim that is written in another.
    fn claim_form<T>(&mut self, claim: &Expr, property: &str) -> Checked<T> {
        let form = match property {
            "vector" => "vector(y.h) >= 16",
            "inverse" => "inverse(dispatch, combine)",
            "same" => "same(q.c, f.c)",
            "crossings" => "crossings(node, per = (s, t)) <= 1",
            _ => &format!("{property}(y)"),
        };
        self.fail(
            Diagnostic::error("F0101", claim.span, format!("`{property}` is not claimed so"))
                .help(format!("write `prove {form};`")),
        )
    }

    /// `vector(y.h) >= 16`, `crossings(node, per = (s, t)) <= 1`
    fn prove_number(&mut self, claim: &Expr, op: Op, lhs: &Expr, rhs: &Expr) -> Checked<ProveKind> {
        let Ast::Call { base, args } = &lhs.kind else {
            return self.unsupported(claim.span, format!("`prove {}`", text::expr(claim)));
        };
        let name = text::expr(base);
        match (name.as_str(), op, args.as_slice(), &rhs.kind) {
            ("vector", Op::Ge, [Arg { binder: None, named: None, value }], Ast::Int(bytes)) => {
                let (tensor, axis) = self.proved_axis(value)?;
                Ok(ProveKind::Vector { tensor, axis, bytes: *bytes })
            }
            (
                "crossings",
                Op::Le,
                [Arg { binder: None, named: None, value }, per],
                Ast::Int(most),
            ) => self.crossings(claim, value, per, *most),
            ("vector" | "crossings", ..) => self.claim_form(claim, &name),
            _ => self.unsupported(claim.span, format!("`prove {}`", text::expr(claim))),
        }
    }

    fn crossings(&mut self, claim: &Expr, mesh: &Expr, per: &Arg, most: i64) -> Checked<ProveKind> {
        let named = per.named.as_ref().is_some_and(|n| n.name == "per");
        let (true, Ast::Name(axis)) = (named, &mesh.kind) else {
            return self.claim_form(claim, "crossings");
        };
        let axes = self.mesh_axes(&Ident { name: axis.clone(), span: mesh.span })?;
        let [mesh] = axes[..] else {
            return self.unsupported(mesh.span, "`crossings` of an alias of several axes");
        };
        let names: Option<Vec<String>> = match &per.value.kind {
            Ast::Name(name) => Some(vec![name.clone()]),
            Ast::Tuple(args) => args
                .iter()
                .map(|a| match &a.value.kind {
                    Ast::Name(name) if a.binder.is_none() && a.named.is_none() => {
                        Some(name.clone())
                    }
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        match names {
            Some(per) => Ok(ProveKind::Crossings { mesh, per, most }),
            None => self.claim_form(claim, "crossings"),
        }
    }

    /// `y.h`
    fn proved_axis(&mut self, e: &Expr) -> Checked<(Handle<hir::Tensor>, usize)> {
        let Ast::Field { base, name } = &e.kind else {
            return self.fail(
                Diagnostic::error("F0101", e.span, "this claim is about an axis")
                    .help("name a tensor and its axis, `y.h`"),
            );
        };
        let tensor = self.proved_tensor(base)?;
        let axes = &self.hir.tensors[tensor].axes;
        match axes.iter().position(|a| a.name == name.name) {
            Some(axis) => Ok((tensor, axis)),
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
