//! Words of other libraries where the grammar takes any word: placements, methods, casts by call.
//!
//! Enters: a tree whose words are not fusco's. Leaves: the diagnostic with the fusco text for it.

use super::checker::{Checker, unsupported};
use super::edits::insert;
use super::frame::Frame;
use super::hir::{Axis, Extent};
use super::scope::Symbol;
use super::text;
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Arg, Decl, Expr, ExprKind, Ident, Term};
use crate::syntax::words::{self, Placed};

/// One term of a placement, as far as it says something on the mesh.
enum Meant {
    /// What it does, to which axis, along which mesh axis.
    Mesh(Placed, Option<usize>, Option<String>),
    /// In memory, as text; of which axis.
    Memory(String, usize),
}

impl Checker<'_> {
    /// `[Shard(0)]`, `[shard(m, gpu), h]`, `P(gpu, None)`, `[replicate, m, h]`: the list in fusco's words.
    pub fn foreign_placement(&self, t: &ast::Tensor, axes: &[Axis]) -> Option<Diagnostic> {
        let placement = t.placement.as_ref()?;
        let mut strange = None;
        let mut meant = Vec::new();
        for (i, term) in placement.terms.iter().enumerate() {
            let (this, known) = self.term_meant(term, i, axes)?;
            if !known {
                strange.get_or_insert(term);
            }
            meant.push(this);
        }
        let strange = strange?;
        let mesh: Vec<String> = self.hir.mesh_axes.iter().map(|(_, m)| m.name.clone()).collect();
        let named: Vec<String> = meant
            .iter()
            .filter_map(|m| match m {
                Meant::Mesh(_, _, name) => name.clone(),
                Meant::Memory(..) => None,
            })
            .collect();
        let mut free = mesh.iter().filter(|m| !named.contains(m));
        let mut on_mesh = Vec::new();
        let mut memory: Vec<(usize, String)> = Vec::new();
        for this in meant {
            match this {
                Meant::Mesh(Placed::Nothing, ..) => {}
                Meant::Mesh(placed, axis, name) => {
                    let Some(name) = name.or_else(|| free.next().cloned()) else {
                        // A copy along an axis that the mesh does not have says nothing.
                        if placed == Placed::Copy {
                            continue;
                        }
                        return None;
                    };
                    on_mesh.push(match placed {
                        Placed::Shard => format!("{}/{name}", axes.get(axis?)?.name),
                        Placed::Copy => format!("copy/{name}"),
                        _ => format!("sum/{name}"),
                    });
                }
                Meant::Memory(text, axis) => memory.push((axis, text)),
            }
        }
        on_mesh.extend(free.map(|m| format!("copy/{m}")));
        // What the list leaves out stands where the axes have it, if the rest does.
        let in_order = memory.is_sorted_by_key(|(axis, _)| *axis);
        for (i, axis) in axes.iter().enumerate() {
            if memory.iter().all(|(at, _)| *at != i) {
                memory.push(match axis.extent {
                    Extent::Ragged { .. } => (i, format!("{}.pack(128)", axis.name)),
                    _ => (i, axis.name.clone()),
                });
            }
        }
        if in_order {
            memory.sort_by_key(|(axis, _)| *axis);
        }
        let memory = memory.into_iter().map(|(_, text)| text);
        let list = on_mesh.into_iter().chain(memory).collect::<Vec<_>>().join(", ");
        let word = text::placement_term(strange);
        let (axis, mesh) = (axes.first()?, mesh.first()?);
        Some(
            Diagnostic::error("F0101", strange.span, format!("`{word}` is not a placement term"))
                .note(format!(
                    "split over the ranks `{}/{mesh}`, a copy on each `copy/{mesh}`, parts to be added `sum/{mesh}`, in memory `{}`",
                    axis.name, axis.name
                ))
                .help(format!("write `@ [{list}]`"))
                .fix(placement.span, format!("@ [{list}]")),
        )
    }

    /// What a term means, and whether fusco would have said it so.
    fn term_meant(&self, term: &Term, at: usize, axes: &[Axis]) -> Option<(Meant, bool)> {
        let axis = |name: &str| axes.iter().position(|a| a.name == name);
        let mesh = |name: &str| {
            self.hir.mesh_axes.iter().any(|(_, m)| m.name == name).then(|| name.to_string())
        };
        let args = term.args.as_deref().unwrap_or_default();
        let names = |args: &[Arg]| -> Vec<String> {
            args.iter().filter_map(|a| a.value.as_name().map(str::to_string)).collect()
        };
        let word = term.name.name.as_str();
        let shard = term.shard.as_ref().map(|m| m.name.as_str());
        if let Some(i) = axis(word) {
            // `m.shard(gpu)`
            if let [word] = term.mods.as_slice()
                && words::placed(&word.name.name) == Some(Placed::Shard)
            {
                let over = names(word.args.as_deref().unwrap_or_default()).into_iter().next();
                let over = match over {
                    Some(name) => Some(mesh(&name)?),
                    None => None,
                };
                return Some((Meant::Mesh(Placed::Shard, Some(i), over), false));
            }
            return match (shard, term.args.is_some()) {
                (Some(name), false) if term.mods.is_empty() => {
                    Some((Meant::Mesh(Placed::Shard, Some(i), Some(mesh(name)?)), true))
                }
                (None, false) => Some((Meant::Memory(text::placement_term(term), i), true)),
                _ => None,
            };
        }
        if matches!(word, "pack" | "slab") && term.args.is_some() {
            let of = args.iter().find_map(|a| a.value.as_name().and_then(axis))?;
            let rows = args.iter().find(|a| matches!(a.value.kind, ExprKind::Int(_)));
            let rows = rows.map_or("128".to_string(), |a| text::expr(&a.value));
            return Some((Meant::Memory(format!("{}.{word}({rows})", axes[of].name), of), false));
        }
        // `gpu/m`, or `gpu` in the place of an axis.
        if let Some(name) = mesh(word) {
            let turned = match shard {
                Some("copy" | "replicate") => Some(Placed::Copy),
                Some("sum" | "partial") => Some(Placed::Sum),
                _ => None,
            };
            if let Some(placed) = turned {
                return Some((Meant::Mesh(placed, None, Some(name)), false));
            }
            let of = match shard {
                Some(other) => axis(other)?,
                None => at,
            };
            return Some((Meant::Mesh(Placed::Shard, Some(of), Some(name)), false));
        }
        let own = match word {
            "copy" => Some(Placed::Copy),
            "sum" => Some(Placed::Sum),
            _ => None,
        };
        let placed = own.or_else(|| words::placed(word))?;
        let given = names(args);
        let over = match shard {
            Some(name) => Some(mesh(name)?),
            None => given.iter().find_map(|n| mesh(n)),
        };
        let number = args.iter().find_map(|a| match a.value.kind {
            ExprKind::Int(i) => usize::try_from(i).ok(),
            _ => None,
        });
        let of = given.iter().find_map(|n| axis(n)).or(number);
        let fine = own.is_some() && term.args.is_none();
        Some((Meant::Mesh(placed, of, over), fine))
    }

    /// F0104 where nothing is declared: the mesh itself.
    pub fn missing_mesh(&self, axis: &Ident, diagnostic: &mut Diagnostic) {
        let declared = self.ast.decls.iter().any(|d| matches!(d, Decl::Mesh(_)));
        let first = self.ast.decls.iter().filter_map(|d| match d {
            Decl::Tensor(t) if t.io_span != t.span => Some(t.span.start),
            Decl::Dyn(d) => Some(d.span.start),
            Decl::Param(p) => Some(p.span.start),
            Decl::Const(c) => Some(c.span.start),
            _ => None,
        });
        if declared {
            return;
        }
        let name = if self.scope.get("ranks").is_none() { "ranks" } else { "mesh_" };
        let text = format!("mesh {name} {{ {}: 2 }}", axis.name);
        diagnostic.message =
            format!("the program has no mesh, and `{}` is an axis of one", axis.name);
        diagnostic.notes = vec!["a mesh names the ranks that tensors are spread over".to_string()];
        diagnostic.help = Some(format!(
            "declare it, with the number of your GPUs: `{text}`; a number given later is a `param`"
        ));
        diagnostic.fix = first.min().and_then(|at| insert(at, format!("{text} ")));
    }

    /// A value that is indexed, called or dotted as in other languages.
    pub fn foreign_value(&self, frame: &Frame, e: &Expr) -> Option<Diagnostic> {
        let error = |span: Span, claim: String| Diagnostic::error("F0101", span, claim);
        let fixed =
            |d: Diagnostic, text: String| d.help(format!("write `{text}`")).fix(e.span, text);
        match &e.kind {
            // `x[m][h]`
            ExprKind::Index { base, args } => {
                if let ExprKind::Index { base: inner, args: first } = &base.kind {
                    let ExprKind::Name(name) = &inner.kind else { return None };
                    let all: Vec<String> = first.iter().chain(args).map(text::expr).collect();
                    let claim = "all indices of a tensor stand in one `[ ]`";
                    let text = format!("{name}[{}]", all.join(", "));
                    return Some(fixed(Diagnostic::error("F0203", e.span, claim), text));
                }
                let (_, method, _) = dotted(base)?;
                // `x.T[h, m]`
                let transposed = matches!(method.name.as_str(), "T" | "mT" | "t");
                let swapped = match (dotted(base)?.0.as_name(), args.as_slice()) {
                    (Some(name), [a, b]) if transposed => {
                        Some(format!("{name}[{}, {}]", text::expr(b), text::expr(a)))
                    }
                    _ => None,
                };
                let d = error(method.span, format!("there is no method `{}`", method.name));
                Some(match swapped {
                    Some(text) => fixed(d, text),
                    None => d.help(self.method_help(&method.name)),
                })
            }
            ExprKind::Field { base, name } => {
                if let Some(to) = element_method(&name.name) {
                    let inner = text::expr(base);
                    let d = error(name.span, format!("there is no method `{}`", name.name));
                    return Some(fixed(d, format!("cast({to}, {inner})")));
                }
                if words::element(&name.name).is_none() || words::library(&text::expr(base)) {
                    let d = error(name.span, format!("there is no method `{}`", name.name));
                    let transposed = matches!(name.name.as_str(), "T" | "mT");
                    let axes = base.as_name().and_then(|n| self.tensor_axes(n));
                    return Some(match (transposed, axes, base.as_name()) {
                        (true, Some(axes), Some(tensor)) if axes.len() == 2 => {
                            fixed(d, format!("{tensor}[{}]", axes.join(", ")))
                        }
                        _ => d.help(self.method_help(&name.name)),
                    });
                }
                None
            }
            ExprKind::Call { base, args } => {
                if let ExprKind::Name(name) = &base.kind {
                    return self.foreign_call(frame, e, name, base.span, args);
                }
                let (inner, method, _) = dotted(base)?;
                // `sum.tree(..)` is a word of fusco, whether this version has it or not.
                if matches!(inner.as_name(), Some("sum" | "cast" | "quant" | "max" | "min")) {
                    return None;
                }
                let claim = format!("there is no method `{}`", method.name);
                // `torch.all_gather(x)`: the library says nothing.
                if inner.as_name().is_some_and(words::library) {
                    let known = unsupported(e.span, claim);
                    return Some(self.no_function(method, e, args, known));
                }
                let to = match (method.name.as_str(), args.as_slice()) {
                    ("to" | "type" | "astype" | "cast" | "view", [arg]) => {
                        let word = text::expr(&arg.value);
                        element(word.rsplit('.').next().unwrap_or(""))
                    }
                    (name, []) => element_method(name),
                    _ => None,
                };
                let d = error(method.span, claim);
                Some(match to {
                    Some(to) if method.name != "view" => {
                        fixed(d, format!("cast({to}, {})", text::expr(inner)))
                    }
                    _ => d.help(self.method_help(&method.name)),
                })
            }
            _ => None,
        }
    }

    /// `x(m, h)`, `bf16(x[m, h])`.
    fn foreign_call(
        &self,
        _frame: &Frame,
        e: &Expr,
        name: &str,
        span: Span,
        args: &[Arg],
    ) -> Option<Diagnostic> {
        if let Some(Symbol::Tensor(_)) = self.scope.get(name) {
            let text = format!("{name}[{}]", text::arguments(args));
            return Some(
                Diagnostic::error("F0203", e.span, "indices stand in `[ ]`")
                    .help(format!("write `{text}`"))
                    .fix(e.span, text),
            );
        }
        let ([arg], Some(to)) = (args, element(name)) else { return None };
        let text = format!("cast({to}, {})", text::expr(&arg.value));
        Some(
            Diagnostic::error("F0101", span, format!("`{name}` is an element type, no function"))
                .help(format!("write `{text}`"))
                .fix(e.span, text),
        )
    }

    /// The variable of the left side that a read leaves out, where the unbound one is the only other:
    /// `y[m, h] <- x[m, k]`.
    pub fn variable_meant(&self, name: &Ident) -> Option<String> {
        let inside = |span: Span| span.start <= name.span.start && name.span.end <= span.end;
        let assign = self.ast.decls.iter().find_map(|d| match d {
            Decl::Entry(e) => e.stmts.iter().find_map(|s| match s {
                ast::Stmt::Assign(a) if inside(a.value.span) => Some(a),
                _ => None,
            }),
            _ => None,
        })?;
        let ([target], ExprKind::Index { args, .. }) = (&assign.targets[..], &assign.value.kind)
        else {
            return None;
        };
        let names = |list: &[Expr]| -> Option<Vec<String>> {
            list.iter().map(|e| e.as_name().map(str::to_string)).collect()
        };
        let (left, right) = (names(&target.index)?, names(args)?);
        let unread: Vec<&String> = left.iter().filter(|v| !right.contains(v)).collect();
        let unbound: Vec<&String> = right.iter().filter(|v| !left.contains(v)).collect();
        match (&unread[..], &unbound[..]) {
            ([meant], [one]) if **one == name.name => Some((*meant).clone()),
            _ => None,
        }
    }

    /// `x[m, h] <- y[m, h]` with an input on the left and an output on the right.
    pub fn turned(&self, a: &ast::Assign) -> Option<Diagnostic> {
        let ([target], ExprKind::Index { base, .. }) = (&a.targets[..], &a.value.kind) else {
            return None;
        };
        let Some(Symbol::Tensor(read)) = self.scope.get(base.as_name()?) else { return None };
        if self.hir.tensors[read].io != super::hir::Io::Out {
            return None;
        }
        let list: Vec<String> = target.index.iter().map(text::expr).collect();
        let written = format!("{}[{}]", target.name.name, list.join(", "));
        let text = format!("{} <- {written}", text::expr(&a.value));
        let span = target.name.span.to(a.value.span);
        Some(
            Diagnostic::error(
                "F0507",
                target.name.span,
                format!("`{}` is an input", target.name.name),
            )
            .label("written here")
            .note(format!(
                "`{}` is the output: a statement has its target on the left",
                base.as_name()?
            ))
            .help(format!("write `{text}`"))
            .fix(span, text),
        )
    }

    fn method_help(&self, name: &str) -> String {
        match words::collective(name) {
            Some(help) => help.to_string(),
            None if matches!(name, "T" | "mT" | "t") => {
                "index variables say it: `b[n, m] <- a[m, n]` transposes".to_string()
            }
            None => "there are no methods: a value is `x[m, h]`, a `cast` or a `sum`".to_string(),
        }
    }

    pub fn tensor_axes(&self, name: &str) -> Option<Vec<String>> {
        let Some(Symbol::Tensor(t)) = self.scope.get(name) else { return None };
        Some(self.hir.tensors[t].axes.iter().map(|a| a.name.clone()).collect())
    }

    /// `cast(x[m, h], bf16)`, `sum(k, ..)`: the arguments as they would be.
    pub fn reordered(&self, e: &Expr) -> Option<Fix> {
        let ExprKind::Call { base, args } = &e.kind else { return None };
        let plain = |a: &Arg| a.binder.is_none();
        let replacement = match (base.as_name()?, args.as_slice()) {
            ("cast", [value, ty]) if plain(value) && plain(ty) => {
                let word = text::expr(&ty.value);
                let to = element(word.rsplit('.').next().unwrap_or(""))?;
                format!("cast({to}, {})", text::expr(&value.value))
            }
            ("sum", [var, value]) if plain(var) && plain(value) && value.named.is_none() => {
                format!("sum({}: {})", var.value.as_name()?, text::expr(&value.value))
            }
            _ => return None,
        };
        Some(Fix { span: e.span, replacement })
    }
}

/// `x.name`, and the span of both.
fn dotted(e: &Expr) -> Option<(&Expr, &Ident, Span)> {
    match &e.kind {
        ExprKind::Field { base, name } => Some((base, name, e.span)),
        ExprKind::Call { base, .. } => dotted(base),
        _ => None,
    }
}

/// The element type of that name, here or in another library.
fn element(name: &str) -> Option<&'static str> {
    const OWN: [&str; 10] = ["f32", "f16", "bf16", "e4m3", "e5m2", "i8", "i32", "i64", "u8", "u32"];
    OWN.into_iter().find(|e| *e == name).or_else(|| words::element(name))
}

/// `x.half()`
fn element_method(name: &str) -> Option<&'static str> {
    if matches!(name, "half" | "float" | "bfloat16" | "int" | "long" | "byte" | "char") {
        element(name)
    } else {
        None
    }
}
