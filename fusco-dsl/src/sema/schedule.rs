//! Schedules: directives that this version knows, those it does not know yet, and misspelt ones.

use super::checker::{Checked, Checker, Stop};
use super::hir::{self, Directive, DirectiveKind, Entry, Schedule, Size, SpreadKind};
use super::hops::HOPS;
use super::scope::unknown;
use super::text;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::syntax::ast::{self, Arg, ExprKind, Ident};

const KNOWN: [&str; 8] =
    ["push", "pull", "stages", "chunk", "blocks", "tile", "multicast", "transport"];
const LATER: [&str; 5] = ["encode", "decode", "stage", "vector", "threads"];
const LINKS: [&str; 4] = ["nvlink", "pcie", "rdma", "tcp"];
/// Bytes of shared memory that a tile may take; every architecture has them.
const SHARED: i64 = 48 * 1024;

impl Checker<'_> {
    /// `entry` is there if its statements are fine: some directives name their variables.
    pub fn schedule(&mut self, s: &ast::Schedule, entry: Option<&Entry>) -> Checked<Schedule> {
        let when = s.when.as_ref().map(|w| self.cond(w)).transpose();
        let mut directives = Vec::new();
        let mut wrong = false;
        for d in &s.directives {
            match self.directive(d, entry) {
                Ok(kind) => directives.push((d.name.span, Directive { kind, span: d.span })),
                Err(_) => wrong = true,
            }
        }
        for (i, (at, directive)) in directives.iter().enumerate() {
            let mut before = directives[..i].iter().map(|(_, d)| d);
            if let Some(other) = before.find(|d| contradict(&d.kind, &directive.kind)) {
                wrong = true;
                self.push(
                    Diagnostic::error("F0705", *at, "a schedule says this twice")
                        .related(other.span, "here before")
                        .help("leave one of them"),
                );
            }
        }
        let directives: Vec<Directive> = directives.into_iter().map(|(_, d)| d).collect();
        let wrong = wrong || self.hops(&directives, (s.when.is_some(), entry)).is_err();
        if wrong { Err(Stop) } else { Ok(Schedule { when: when?, directives, span: s.span }) }
    }

    fn directive(&mut self, d: &ast::Directive, entry: Option<&Entry>) -> Checked<DirectiveKind> {
        let name = d.name.name.as_str();
        if LATER.contains(&name) {
            let mut found = super::checker::unsupported(d.span, format!("the directive `{name}`"));
            // One word beside another that is obeyed.
            if name == "stage" && d.args.len() == 1 {
                found = found
                    .help("for the number of buffers in flight write `stages`")
                    .fix(d.name.span, "stages");
            } else {
                found.help = Some("leave it out: the compiler chooses".to_string());
            }
            return self.fail(found);
        }
        if HOPS.contains(&name) {
            return self.hop(d);
        }
        if !KNOWN.contains(&name) {
            let known = [&KNOWN[..], &HOPS[..], &LATER[..]].concat();
            return self.fail(unknown("F0705", "directive", &d.name, &known));
        }
        if name != "tile" && !d.clauses.is_empty() {
            return self.unsupported(d.span, format!("`by`, `through` or `at` in `{name}`"));
        }
        match (name, d.args.as_slice()) {
            ("push", []) => self.side(d, entry, DirectiveKind::Push),
            ("pull", []) => self.side(d, entry, DirectiveKind::Pull),
            ("stages", [arg]) if plain(arg) => {
                let stages = self.positive(&arg.value)?;
                if entry.is_some_and(|e| !Work::of(e).routed()) {
                    return self.unsupported(d.span, "`stages` of a statement without a route");
                }
                Ok(DirectiveKind::Stages(stages))
            }
            ("blocks", [arg]) if plain(arg) => {
                Ok(DirectiveKind::Blocks(self.positive(&arg.value)?))
            }
            ("chunk", [arg]) if arg.named.is_none() => self.chunk(d, arg, entry),
            ("tile", [arg]) if arg.named.is_none() => self.tile_directive(d, arg, entry),
            ("multicast", [arg]) if plain(arg) => self.multicast(d, arg, entry),
            ("transport", args) if !args.is_empty() => self.transport(d, args),
            _ => self.wrong_arguments(d),
        }
    }

    pub(super) fn wrong_arguments<T>(&mut self, d: &ast::Directive) -> Checked<T> {
        let name = d.name.name.as_str();
        let form = match name {
            "push" | "pull" => format!("`{name};`"),
            "chunk" => "`chunk t: 32;`".to_string(),
            "tile" => "`tile (m: 64, n: 64) through smem;`".to_string(),
            "multicast" => "`multicast gpu;`".to_string(),
            "transport" => "`transport node = rdma, gpu = nvlink;`".to_string(),
            "path" => "`path node, gpu;`".to_string(),
            "dedup" => "`dedup node by (s, t);`".to_string(),
            "forward" => "`forward same;` or `forward balanced(bytes);`".to_string(),
            "reduce" => "`reduce node;`".to_string(),
            _ => format!("`{name} 4;`"),
        };
        self.fail(
            Diagnostic::error("F0705", d.span, format!("`{name}` does not take these arguments"))
                .help(format!("write {form}")),
        )
    }

    /// `push`, `pull`: rows that are added up along a route are pulled, all else has the choice.
    fn side(
        &mut self,
        d: &ast::Directive,
        entry: Option<&Entry>,
        kind: DirectiveKind,
    ) -> Checked<DirectiveKind> {
        let Some(work) = entry.map(Work::of) else { return Ok(kind) };
        let word = if kind == DirectiveKind::Push { "push" } else { "pull" };
        if kind == DirectiveKind::Push && work.summed {
            let why = "rows that are added up along a route, which are pulled";
            return self.unsupported(d.span, format!("`{word}` of {why}"));
        }
        if !work.routed() && !work.moved {
            return self.unsupported(d.span, format!("`{word}` in an entry that moves nothing"));
        }
        Ok(kind)
    }

    /// `chunk t: 32`: the position of a route that rows are pushed along.
    fn chunk(
        &mut self,
        d: &ast::Directive,
        arg: &Arg,
        entry: Option<&Entry>,
    ) -> Checked<DirectiveKind> {
        let name = match arg.binder.as_deref() {
            Some([name]) => name,
            _ => return self.wrong_arguments(d),
        };
        let chunk = self.positive(&arg.value)?;
        if !self.is_position(&name.name) || entry.is_some_and(|e| !Work::of(e).pushed) {
            return self.unsupported(
                d.span,
                "a chunk of anything but the position of a route that rows are pushed along, `chunk t: 32`",
            );
        }
        Ok(DirectiveKind::Chunk(chunk))
    }

    /// `tile (m: 64, n: 64) through smem`
    fn tile_directive(
        &mut self,
        d: &ast::Directive,
        arg: &Arg,
        entry: Option<&Entry>,
    ) -> Checked<DirectiveKind> {
        for (word, place) in &d.clauses {
            if word != "through" {
                return self.unsupported(place.span, format!("`{word}` in `tile`"));
            }
            let name = Ident { name: text::expr(place), span: place.span };
            if name.name != "smem" {
                return self.fail(unknown("F0705", "memory", &name, &["smem"]));
            }
        }
        let parts: &[Arg] = match (&arg.binder, &arg.value.kind) {
            (None, ExprKind::Tuple(parts)) => parts,
            (Some(_), _) => std::slice::from_ref(arg),
            _ => return self.wrong_arguments(d),
        };
        let mut tile: Vec<(String, i64)> = Vec::new();
        for part in parts {
            let Some([name]) = part.binder.as_deref() else { return self.wrong_arguments(d) };
            if tile.iter().any(|(n, _)| *n == name.name) {
                return self.fail(
                    Diagnostic::error(
                        "F0705",
                        name.span,
                        format!("`{}` twice in a tile", name.name),
                    )
                    .help("name each axis once"),
                );
            }
            if let Some(entry) = entry {
                self.tile_axis(entry, name)?;
            }
            tile.push((name.name.clone(), self.positive(&part.value)?));
        }
        if let Some(entry) = entry {
            self.tile_fits(d, &tile, entry)?;
        }
        Ok(DirectiveKind::Tile(tile))
    }

    fn tile_axis(&mut self, entry: &Entry, name: &Ident) -> Checked<()> {
        if has_static(entry, &name.name) {
            return Ok(());
        }
        let mut names: Vec<&str> = Vec::new();
        for (_, var) in statics(entry).flat_map(|s| s.vars.iter()) {
            if !names.contains(&var.name.as_str()) {
                names.push(&var.name);
            }
        }
        let diagnostic = unknown("F0705", "variable of a statement without a route", name, &names);
        self.fail(diagnostic)
    }

    /// F0704: a tile is kept in shared memory.
    fn tile_fits(
        &mut self,
        d: &ast::Directive,
        tile: &[(String, i64)],
        entry: &Entry,
    ) -> Checked<()> {
        let width = statics(entry).map(|s| self.hir.tensors[s.target].dtype.elem.bytes()).max();
        let width = width.unwrap_or(1);
        let elements = tile.iter().try_fold(1i64, |n, (_, k)| n.checked_mul(*k));
        let bytes = elements.and_then(|n| n.checked_mul(width));
        if bytes.is_some_and(|b| b <= SHARED) {
            return Ok(());
        }
        let shown = bytes.map_or("more than 2^63 bytes".to_string(), kib);
        let factors: Vec<String> =
            tile.iter().map(|(_, k)| k.to_string()).chain([width.to_string()]).collect();
        self.fail(
            Diagnostic::error(
                "F0704",
                d.span,
                format!("the tile needs {shown} of shared memory, a tile may take 48 KiB"),
            )
            .note(format!("{} bytes <= {SHARED} is false", factors.join(" * ")))
            .help("use smaller tiles: 64 x 64 is a good start"),
        )
    }

    /// `multicast gpu`; F0703 where the entry adds over that axis in a written order.
    fn multicast(
        &mut self,
        d: &ast::Directive,
        arg: &Arg,
        entry: Option<&Entry>,
    ) -> Checked<DirectiveKind> {
        let ExprKind::Name(name) = &arg.value.kind else { return self.wrong_arguments(d) };
        let name = Ident { name: name.clone(), span: arg.value.span };
        let axes = self.mesh_axes(&name)?;
        let [mesh] = axes[..] else {
            return self.unsupported(name.span, "`multicast` over an alias of several axes");
        };
        let read: Vec<Handle<hir::Tensor>> =
            entry.map(|e| statics(e).flat_map(|s| reads(&s.value)).collect()).unwrap_or_default();
        for tensor in read {
            let info = &self.hir.tensors[tensor];
            let ordered = info
                .spread
                .iter()
                .find(|s| s.mesh == mesh && matches!(s.kind, SpreadKind::Sum { any: false }));
            if let Some(sum) = ordered {
                let diagnostic = Diagnostic::error(
                    "F0703",
                    name.span,
                    format!(
                        "`multicast {0}` on the ordered `sum/{0}` of `{1}`",
                        name.name, info.name
                    ),
                )
                .related(sum.span, "ordered here")
                .note("the switch adds in its own order, and a schedule never changes bits")
                .help("remove the directive")
                .fix(d.span, "");
                return self.fail(diagnostic);
            }
        }
        self.unsupported(d.span, "`multicast`: each copy is written by itself")
    }

    /// `transport cross = rdma`: an axis, or `cross` between meshes, and a link.
    fn transport(&mut self, d: &ast::Directive, args: &[Arg]) -> Checked<DirectiveKind> {
        for arg in args {
            let Some(over) = &arg.named else { return self.wrong_arguments(d) };
            if over.name != "cross" {
                self.mesh_axes(over)?;
            }
            let link = Ident { name: text::expr(&arg.value), span: arg.value.span };
            if !LINKS.contains(&link.name.as_str()) {
                return self.fail(unknown("F0705", "link", &link, &LINKS));
            }
        }
        self.unsupported(
            d.span,
            "`transport`: ranks reach each other by address, over the link there is",
        )
    }

    /// The position of a route: its first source that is not the rank.
    fn is_position(&self, name: &str) -> bool {
        let ranks =
            |v: &hir::Var| matches!(&v.extent, hir::VarExtent::Fixed(size) if self.is_rank(size));
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
            Size::Lit(n) if n >= 1 => Ok(n),
            Size::Lit(n) => self.fail(
                Diagnostic::error("F0705", e.span, format!("{n} < 1")).help("use at least 1"),
            ),
            _ => self.unsupported(e.span, "a schedule number that is not a literal or `const`"),
        }
    }
}

fn plain(arg: &Arg) -> bool {
    arg.binder.is_none() && arg.named.is_none() && !matches!(arg.value.kind, ExprKind::Tuple(_))
}

/// Two directives of a schedule of which one would be forgotten.
fn contradict(a: &DirectiveKind, b: &DirectiveKind) -> bool {
    use DirectiveKind::{Pull, Push};
    let same = std::mem::discriminant(a) == std::mem::discriminant(b);
    same || matches!((a, b), (Push, Pull) | (Pull, Push))
}

/// What an entry does that directives speak of.
#[derive(Clone, Copy, Default)]
struct Work {
    /// Rows are pushed along a route.
    pushed: bool,
    /// Rows are pulled along a route and added up.
    summed: bool,
    /// Elements move without a route.
    moved: bool,
}

impl Work {
    fn of(entry: &Entry) -> Work {
        let mut work = Work::default();
        for stmt in &entry.stmts {
            match stmt {
                _ if stmt.value.is_of_plan() => {}
                _ if stmt.via.is_none() => work.moved = true,
                _ if stmt.fetches() => work.summed = true,
                _ => work.pushed = true,
            }
        }
        work
    }

    fn routed(self) -> bool {
        self.pushed || self.summed
    }
}

fn statics(entry: &Entry) -> impl Iterator<Item = &hir::Assign> {
    entry.stmts.iter().filter(|s| s.via.is_none())
}

fn has_static(entry: &Entry, name: &str) -> bool {
    statics(entry).any(|s| s.vars.iter().any(|(_, v)| v.name == name))
}

/// The tensors that a value reads.
fn reads(value: &hir::Expr) -> Vec<Handle<hir::Tensor>> {
    match &value.kind {
        hir::ExprKind::Read { tensor, .. } => vec![*tensor],
        hir::ExprKind::Cast(inner) | hir::ExprKind::Reduce { body: inner, .. } => reads(inner),
        hir::ExprKind::Binary { lhs, rhs, .. } => [reads(lhs), reads(rhs)].concat(),
        _ => Vec::new(),
    }
}

fn kib(bytes: i64) -> String {
    if bytes % 1024 == 0 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") }
}
