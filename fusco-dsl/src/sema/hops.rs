//! Paths of one or two hops: `path node, gpu; dedup node by (s, t); forward same;` of rows on their way to the slots,
//! `path gpu, node; reduce node; forward balanced(bytes);` of sums on their way back. What they ask of the entry around
//! them.

use super::checker::{Checked, Checker};
use super::hir::{
    self, Assign, Directive, DirectiveKind, Entry, Expr, ExprKind, Forward, MeshAxis, Within,
};
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, ExprKind as Ast, Ident};

/// What a path says of a hop.
pub(super) const HOPS: [&str; 4] = ["path", "dedup", "forward", "reduce"];

impl Checker<'_> {
    pub fn hop(&mut self, d: &ast::Directive) -> Checked<DirectiveKind> {
        let names: Option<Vec<Ident>> = d
            .args
            .iter()
            .map(|arg| match &arg.value.kind {
                Ast::Name(name) if arg.binder.is_none() && arg.named.is_none() => {
                    Some(Ident { name: name.clone(), span: arg.value.span })
                }
                _ => None,
            })
            .collect();
        match (d.name.name.as_str(), names.as_deref(), d.clauses.as_slice()) {
            ("path", Some([only]), []) => self.path(d, only, only),
            ("path", Some([first, second]), []) => self.path(d, first, second),
            ("path", Some(_), []) => self
                .unsupported(d.span, "a path of more than two hops, one for each axis of a mesh"),
            ("dedup", Some([axis]), [(word, keys)]) if word == "by" => {
                let (axis, keys) = (self.one_axis(axis)?, self.keys(d, keys)?);
                Ok(DirectiveKind::Dedup { axis, keys })
            }
            ("forward", Some([same]), []) if same.name == "same" => {
                Ok(DirectiveKind::Forward(Forward::Same))
            }
            ("forward", None, []) if d.args.len() == 1 && is_balanced(&d.args[0].value) => {
                Ok(DirectiveKind::Forward(Forward::Balanced))
            }
            ("reduce", Some([axis]), []) => Ok(DirectiveKind::Reduce(self.one_axis(axis)?)),
            _ => self.wrong_arguments(d),
        }
    }

    fn one_axis(&mut self, name: &Ident) -> Checked<Handle<MeshAxis>> {
        match self.mesh_axes(name)?[..] {
            [axis] => Ok(axis),
            _ => self.unsupported(name.span, "a hop over an alias of several axes"),
        }
    }

    /// The two axes of a mesh, or its only one, which is named twice.
    fn path(
        &mut self,
        d: &ast::Directive,
        first: &Ident,
        second: &Ident,
    ) -> Checked<DirectiveKind> {
        let (a, b) = (self.one_axis(first)?, self.one_axis(second)?);
        let mesh = &self.hir.meshes[self.hir.mesh_axes[a].mesh];
        let hops = if a == b { 1 } else { 2 };
        if mesh.axes.len() != hops || !mesh.axes.contains(&b) {
            let what = "a path over other axes than the one or two of a mesh";
            return self.unsupported(d.span, what);
        }
        Ok(DirectiveKind::Path([a, b]))
    }

    fn keys(&mut self, d: &ast::Directive, keys: &ast::Expr) -> Checked<Vec<String>> {
        let one = |e: &ast::Expr| e.as_name().map(str::to_string);
        let keys = match &keys.kind {
            Ast::Tuple(args) => args.iter().map(|a| one(&a.value)).collect(),
            _ => one(keys).map(|key| vec![key]),
        };
        match keys {
            Some(keys) => Ok(keys),
            None => self.wrong_arguments(d),
        }
    }

    /// What the hops of a schedule mean for its entry.
    pub fn hops(
        &mut self,
        directives: &[Directive],
        (when, entry): (bool, Option<&Entry>),
    ) -> Checked<()> {
        let Some(hops) = Hops::of(directives) else { return Ok(()) };
        let Some(entry) = entry else { return Ok(()) };
        if let Some(found) = hops.incomplete().or_else(|| beside(directives, entry, when)) {
            return self.fail(found);
        }
        let routed = Vec::from_iter(entry.stmts.iter().filter(|s| s.via.is_some()));
        let (Some((path, at)), Some(first)) = (hops.path, routed.first()) else { return Ok(()) };
        if let (Some((Forward::Balanced, span)), true) = (hops.forward, path[0] == path[1]) {
            let found = Diagnostic::unsupported(span, "`forward balanced` on a path of one hop");
            let found = found.related(at, "the path");
            return self.fail(found.help("leave it out: each rank takes what comes to it"));
        }
        let fetches = first.fetches();
        if let Some(other) = routed.iter().find(|s| s.fetches() != fetches || s.filter.is_some()) {
            let what = "a path of statements with a `where`, or in both directions";
            return self.fail(unsupported(other.span, what).related(at, "the path"));
        }
        match (fetches, hops.dedup, hops.reduce) {
            (false, Some((axis, keys, span)), None) if axis == path[0] => {
                routed.iter().try_for_each(|stmt| self.merges(stmt, (axis, keys, span)))
            }
            (true, None, Some((axis, span))) if axis == path[1] => {
                routed.iter().try_for_each(|stmt| self.reduces(stmt, (axis, span)))
            }
            (false, _, _) => self.fail(unsupported(at, "this path of rows that are pushed").help(
                "merge rows where they first cross: `path node, gpu; dedup node by (s, t);`",
            )),
            (true, _, _) => self.fail(
                unsupported(at, "this path of rows that are added up")
                    .help("add rows up before they cross last: `path gpu, node; reduce node;`"),
            ),
        }
    }

    /// F0702 where rows with the same keys may differ.
    fn merges(&mut self, stmt: &Assign, of: (Handle<MeshAxis>, &[String], Span)) -> Checked<()> {
        let (axis, keys, span) = of;
        let Some(via) = &stmt.via else { return Ok(()) };
        let axis = self.hir.mesh_axes[axis].name.clone();
        let name = |v: &Handle<hir::Var>| stmt.vars[*v].name.as_str();
        let sources = Vec::from_iter(via.sources.iter().map(name));
        if let Some(key) = keys.iter().find(|k| !sources.contains(&k.as_str())) {
            let found =
                Diagnostic::error("F0702", span, format!("`{key}` is no source of the route"));
            return self
                .fail(found.help(format!("name its sources, but for the choice: {sources:?}")));
        }
        let key = |v: &Handle<hir::Var>| keys.iter().any(|k| k == name(v));
        let mut other = via.sources.iter().chain(&via.dests).filter(|v| !key(v));
        let Some(var) = other.find(|v| stmt.value.mentions(**v)) else { return Ok(()) };
        let (target, var) = (&self.hir.tensors[stmt.target].name, name(var));
        let found = format!("`dedup {axis}` would merge rows of `{target}` that differ by `{var}`");
        let found =
            Diagnostic::error("F0702", span, found).related(stmt.value.span, "computed here");
        self.fail(
            found
                .note(format!("rows with the same {} cross as one", keys.join(", ")))
                .help(format!("move `{target}` in an entry of its own, without `dedup`")),
        )
    }

    /// F0701 where what a node holds is not added up first.
    fn reduces(&mut self, stmt: &Assign, (axis, span): (Handle<MeshAxis>, Span)) -> Checked<()> {
        let name = self.hir.mesh_axes[axis].name.clone();
        let mesh = &self.hir.meshes[self.hir.mesh_axes[axis].mesh];
        if mesh.axes.first() != Some(&axis) {
            let what = "`reduce` over an axis that the mesh does not declare first";
            return self.unsupported(span, what);
        }
        let Some(via) = &stmt.via else { return Ok(()) };
        let mut sums = Vec::new();
        gathered(&stmt.value, &via.sources, &mut sums);
        let Some((sum, within)) = sums.first() else {
            return self.unsupported(span, "`reduce` of rows that are not added up");
        };
        if within.is_some_and(|w| w.axis == axis) && sums.len() == 1 {
            return Ok(());
        }
        let target = &self.hir.tensors[stmt.target].name;
        if sums.len() > 1 {
            return self.unsupported(sum.span, "`reduce` of a value with several reducers");
        }
        let found = format!("`reduce {name}` would change the bits of `{target}`");
        let found = Diagnostic::error("F0701", span, found).related(sum.span, "added up here");
        let found = match within {
            None => found
                .note("`sum(k: ..)` adds in ascending `k`; what a node holds would be added first"),
            Some(_) => found.note("this `sum.tree` groups in another way"),
        };
        self.fail(found.help(format!(
            "write `sum.tree(k: .., within = {name})` to fix that order, or leave `reduce` out"
        )))
    }
}

fn unsupported(span: Span, what: &str) -> Diagnostic {
    Diagnostic::unsupported(span, what).help("leave the path out: the compiler chooses")
}

fn is_balanced(e: &ast::Expr) -> bool {
    matches!(&e.kind, Ast::Call { .. }) && text::expr(e) == "balanced(bytes)"
}

/// What else a schedule with a path, or its entry, may not have.
fn beside(directives: &[Directive], entry: &Entry, when: bool) -> Option<Diagnostic> {
    let path = directives.iter().find(|d| matches!(d.kind, DirectiveKind::Path(_)))?;
    if when || entry.schedules.iter().any(|s| s.when.is_some()) {
        return Some(unsupported(path.span, "a path where a condition holds"));
    }
    let other = directives.iter().find(|d| {
        use DirectiveKind::{Chunk, Pull, Push, Stages, Tile};
        matches!(d.kind, Push | Pull | Stages(_) | Chunk(_) | Tile(_))
    });
    if let Some(other) = other {
        return Some(
            unsupported(other.span, "this directive beside a path").related(path.span, "here"),
        );
    }
    let mut routes = entry.stmts.iter().filter_map(|s| s.via.as_ref()).map(|via| via.route);
    let first = routes.next();
    if first.is_none() || routes.any(|r| Some(r) != first) {
        return Some(unsupported(path.span, "a path of an entry with other than one route"));
    }
    let plain = |s: &&Assign| s.via.is_none() && !s.value.is_of_plan();
    let stmt = entry.stmts.iter().find(plain)?;
    Some(
        unsupported(path.span, "a path beside a statement without a route")
            .related(stmt.span, "here"),
    )
}

/// The hops of one schedule.
#[derive(Default)]
struct Hops<'d> {
    path: Option<([Handle<MeshAxis>; 2], Span)>,
    dedup: Option<(Handle<MeshAxis>, &'d [String], Span)>,
    forward: Option<(Forward, Span)>,
    reduce: Option<(Handle<MeshAxis>, Span)>,
}

impl<'d> Hops<'d> {
    fn of(directives: &'d [Directive]) -> Option<Hops<'d>> {
        let mut hops = Hops::default();
        let mut any = false;
        for d in directives {
            match &d.kind {
                DirectiveKind::Path(axes) => hops.path = Some((*axes, d.span)),
                DirectiveKind::Dedup { axis, keys } => hops.dedup = Some((*axis, keys, d.span)),
                DirectiveKind::Forward(forward) => hops.forward = Some((*forward, d.span)),
                DirectiveKind::Reduce(axis) => hops.reduce = Some((*axis, d.span)),
                _ => continue,
            }
            any = true;
        }
        any.then_some(hops)
    }

    /// One of them without another that it needs.
    fn incomplete(&self) -> Option<Diagnostic> {
        let rest = [self.dedup.map(|d| d.2), self.forward.map(|f| f.1), self.reduce.map(|r| r.1)];
        let Some((_, path)) = self.path else {
            let span = rest.into_iter().flatten().next()?;
            return Some(
                Diagnostic::unsupported(span, "this directive without a `path`")
                    .help("say which hops there are: `path node, gpu;`"),
            );
        };
        (self.dedup.is_none() && self.reduce.is_none()).then(|| {
            unsupported(path, "a path along which nothing is merged")
                .help("merge rows, `dedup node by (s, t);`, or sums, `reduce node;`")
        })
    }
}

/// The reducers over a source of the route.
fn gathered<'e>(
    value: &'e Expr,
    sources: &[Handle<hir::Var>],
    out: &mut Vec<(&'e Expr, Option<Within>)>,
) {
    match &value.kind {
        ExprKind::Reduce { over, within, body, .. } => {
            if over.iter().any(|v| sources.contains(v)) {
                out.push((value, *within));
            }
            gathered(body, sources, out);
        }
        ExprKind::Cast(inner) => gathered(inner, sources, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            gathered(lhs, sources, out);
            gathered(rhs, sources, out);
        }
        _ => {}
    }
}
