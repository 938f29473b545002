//! The checked program as text (`--stage hir`), one fact a line.

use super::hir::{
    Axis, DirectiveKind, Entry, Expr, ExprKind, Extent, Mesh, MeshAxis, OrElse, Order, ParamKind,
    Program, Route, Scalar, Size, Spread, SpreadKind, Step, Tensor, TermKind, Var, VarExtent,
    Within,
};
use super::text;
use crate::arena::{Arena, Handle};
use std::fmt::Write;

/// Resolved names, extents, placements, routes with the range of each variable, typed statements.
pub fn print(program: &Program) -> String {
    let mut out = format!("program {}\n", program.name);
    for (_, axis) in program.mesh_axes.iter() {
        let size = text::size(program, &axis.size, &[]);
        _ = writeln!(
            out,
            "mesh {}: {size}{}",
            axis.name,
            mesh(program, &program.meshes[axis.mesh])
        );
    }
    for (_, param) in program.params.iter() {
        let wheres: Vec<String> = param
            .constraints
            .iter()
            .map(|c| format!(" where {}", text::cond(program, c)))
            .collect();
        let ty = if param.kind == ParamKind::Ints { ": ints" } else { "" };
        _ = writeln!(out, "param {}{ty}{}", param.name, wheres.join(""));
    }
    for (_, info) in program.dyns.iter() {
        let axes: Vec<&str> =
            info.axes.iter().map(|a| program.mesh_axes[*a].name.as_str()).collect();
        _ = writeln!(
            out,
            "dyn {}[{}] <= {}",
            info.name,
            axes.join(", "),
            text::size(program, &info.bound, &[])
        );
    }
    for (_, t) in program.tensors.iter() {
        _ = writeln!(out, "{}", tensor(program, t));
    }
    for assume in &program.assumes {
        _ = writeln!(out, "assume {}", assume.text);
    }
    for (_, r) in program.routes.iter() {
        route(program, r, &mut out);
    }
    for e in &program.entries {
        entry(program, e, &mut out);
    }
    out
}

/// Which mesh an axis is of, where that is not obvious.
fn mesh(program: &Program, m: &Mesh) -> String {
    let of = if program.meshes.len() > 1 { format!(" of {}", m.name) } else { String::new() };
    let size = |s: &Size| text::size(program, s, &[]);
    match &m.end {
        Some(end) => format!("{of} at {}..{}", size(&m.first), size(end)),
        None => of,
    }
}

fn spread(program: &Program, s: &Spread) -> String {
    let mesh = &program.mesh_axes[s.mesh].name;
    match &s.kind {
        SpreadKind::Copy => format!("copy/{mesh}"),
        SpreadKind::Only(at) => format!("only({})/{mesh}", text::size(program, at, &[])),
        SpreadKind::Sum { any: false } => format!("sum/{mesh}"),
        SpreadKind::Sum { any: true } => format!("sum/{mesh}.any"),
    }
}

/// ` fill 0 align 16 uneven stride(i: LDB) swizzle b128`
fn attrs(program: &Program, t: &Tensor) -> String {
    let mut out = t.attrs.fill.map_or(String::new(), |v| format!(" fill {}", scalar(v)));
    if let Some(bytes) = t.attrs.align {
        _ = write!(out, " align {bytes}");
    }
    if t.attrs.uneven {
        out += " uneven";
    }
    for (axis, stride) in &t.attrs.stride {
        _ = write!(out, " stride({}: {})", t.axes[*axis].name, text::size(program, stride, &[]));
    }
    if let Some(swizzle) = t.attrs.swizzle {
        _ = write!(out, " swizzle {}", format!("{swizzle:?}").to_lowercase());
    }
    out
}

fn tensor(program: &Program, t: &Tensor) -> String {
    let names: Vec<&str> = t.axes.iter().map(|a| a.name.as_str()).collect();
    let axes: Vec<String> = t.axes.iter().map(|a| axis(program, a, &names)).collect();
    let index = t.dtype.index.as_ref().map_or(String::new(), |i| {
        let none = i.none.map_or(String::new(), |v| format!(" or none = {v}"));
        format!(" in 0..{}{none}", text::size(program, &i.bound, &[]))
    });
    let terms = t.placement.iter().map(|term| {
        let name = names[term.axis];
        match &term.kind {
            TermKind::Shard(m) => format!("{name}/{}", program.mesh_axes[*m].name),
            TermKind::Rest => name.to_string(),
            TermKind::Tile(s) => format!("{name}:{}", text::size(program, s, &[])),
            TermKind::Pack(s) => format!("{name}.pack({})", text::size(program, s, &[])),
            TermKind::Slab(s) => format!("{name}.slab({})", text::size(program, s, &[])),
            TermKind::Mapped { mesh, owners } => {
                let mesh: Vec<&str> =
                    mesh.iter().map(|m| program.mesh_axes[*m].name.as_str()).collect();
                format!("{name}/{}.map({})", mesh.join("*"), owners_name(program, owners))
            }
        }
    });
    let placement: Vec<String> = t.spread.iter().map(|s| spread(program, s)).chain(terms).collect();
    let attrs = attrs(program, t);
    let io = format!("{:?}", t.io).to_lowercase();
    format!(
        "{io} {}: {}{index} [{}] @ [{}]{attrs}",
        t.name,
        t.dtype.elem.name(),
        axes.join(", "),
        placement.join(", ")
    )
}

fn axis(program: &Program, a: &Axis, names: &[&str]) -> String {
    match &a.extent {
        Extent::Fixed(size) => format!("{}: {}", a.name, text::size(program, size, names)),
        Extent::Counted { rows, bound } => format!(
            "{}: {} <= {}",
            a.name,
            text::size(program, rows, names),
            text::size(program, bound, &[])
        ),
        Extent::Ragged { route, bound } => {
            let bound = bound
                .as_ref()
                .map_or(String::new(), |b| format!(" <= {}", text::size(program, b, &[])));
            format!("{}: counted by {}{bound}", a.name, program.routes[*route].name)
        }
    }
}

fn owners_name<'p>(program: &'p Program, owners: &'p super::hir::Owners) -> &'p str {
    match owners {
        super::hir::Owners::Const { name, .. } => name,
        super::hir::Owners::Param(p) => &program.params[*p].name,
        super::hir::Owners::Tensor(t) => &program.tensors[*t].name,
    }
}

fn scalar(v: Scalar) -> String {
    match v {
        Scalar::Int(v) => v.to_string(),
        Scalar::Float(v) => format!("{v:?}"),
    }
}

fn vars(program: &Program, vars: &Arena<Var>) -> String {
    let names: Vec<&str> = vars.iter().map(|(_, v)| v.name.as_str()).collect();
    let one = |v: &Var| match &v.extent {
        VarExtent::Fixed(size) => format!("{} < {}", v.name, text::size(program, size, &names)),
        VarExtent::Counted { rows, .. } => {
            format!("{} < {}", v.name, text::size(program, rows, &names))
        }
        VarExtent::Ragged(r) => format!("{} < count {}", v.name, program.routes[*r].name),
    };
    vars.iter().map(|(_, v)| one(v)).collect::<Vec<_>>().join(", ")
}

fn route(program: &Program, r: &Route, out: &mut String) {
    let list = |vars: &[crate::arena::Handle<Var>]| {
        vars.iter().map(|v| r.vars[*v].name.as_str()).collect::<Vec<_>>().join(", ")
    };
    _ = writeln!(out, "route {}: ({}) -> ({})", r.name, list(&r.sources), list(&r.dests));
    _ = writeln!(out, "  for {}", vars(program, &r.vars));
    for step in &r.steps {
        let line = match step {
            Step::Bind { var, value, orelse: or, .. } => format!(
                "{} = {}{}",
                r.vars[*var].name,
                expr(program, &r.vars, value),
                or.map_or("", orelse)
            ),
            Step::Slot { var, group, order, .. } => {
                let order = match order {
                    Order::Keys(keys) => format!("({})", list(keys)),
                    Order::Any => "any".to_string(),
                };
                format!("{} = slot({}) by {order}", r.vars[*var].name, r.vars[*group].name)
            }
            Step::Cap { var, limit, orelse: or, .. } => format!(
                "cap {} < {}{}",
                r.vars[*var].name,
                text::size(program, limit, &[]),
                orelse(*or)
            ),
        };
        _ = writeln!(out, "  {line}");
    }
}

fn orelse(or: OrElse) -> &'static str {
    match or {
        OrElse::Drop => " else drop",
        OrElse::Trap => " else trap",
    }
}

fn entry(program: &Program, e: &Entry, out: &mut String) {
    _ = writeln!(out, "entry {}", e.name);
    for (word, routes) in [("plan", &e.plans), ("take", &e.takes)] {
        for r in routes {
            _ = writeln!(out, "  {word} {}", program.routes[*r].name);
        }
    }
    for s in &e.stmts {
        let index: Vec<String> = s.index.iter().map(|i| expr(program, &s.vars, i)).collect();
        let via = s
            .via
            .as_ref()
            .map_or(String::new(), |v| format!(" via {}", program.routes[v.route].name));
        _ = writeln!(
            out,
            "  {}[{}] <- {}: {}{via}",
            program.tensors[s.target].name,
            index.join(", "),
            expr(program, &s.vars, &s.value),
            s.value.ty.name()
        );
        _ = writeln!(out, "    for {}", vars(program, &s.vars));
    }
    for a in &e.assumes {
        _ = writeln!(out, "  assume {}", a.text);
    }
    for p in &e.proves {
        _ = writeln!(out, "  prove {}", p.text);
    }
    for s in &e.schedules {
        let when =
            s.when.as_ref().map_or(String::new(), |w| format!(" when {}", text::cond(program, w)));
        let directives: Vec<String> =
            s.directives.iter().map(|d| directive(program, &d.kind)).collect();
        _ = writeln!(out, "  schedule{when}: {}", directives.join(", "));
    }
}

fn directive(program: &Program, kind: &DirectiveKind) -> String {
    let axis = |a: Handle<MeshAxis>| program.mesh_axes[a].name.clone();
    match kind {
        DirectiveKind::Tile(tile) => {
            let parts: Vec<String> = tile.iter().map(|(a, k)| format!("{a}: {k}")).collect();
            format!("tile({})", parts.join(", "))
        }
        DirectiveKind::Path(axes) => format!("path({})", axes.map(axis).join(", ")),
        DirectiveKind::Dedup { axis: a, keys } => {
            format!("dedup({} by {})", axis(*a), keys.join(", "))
        }
        DirectiveKind::Reduce(a) => format!("reduce({})", axis(*a)),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn expr(program: &Program, vars: &Arena<Var>, e: &Expr) -> String {
    let names: Vec<&str> = vars.iter().map(|(_, v)| v.name.as_str()).collect();
    let size = |s: &Size| text::size(program, s, &names);
    match &e.kind {
        ExprKind::Scalar(v) => scalar(*v),
        ExprKind::Size(s) => size(s),
        ExprKind::Var(v) => vars[*v].name.clone(),
        ExprKind::Read { tensor, index } => {
            let index: Vec<String> = index.iter().map(|i| expr(program, vars, i)).collect();
            format!("{}[{}]", program.tensors[*tensor].name, index.join(", "))
        }
        ExprKind::Binary { op, lhs, rhs } => {
            format!("({} {} {})", expr(program, vars, lhs), op.symbol(), expr(program, vars, rhs))
        }
        ExprKind::Cast(inner) => format!("cast({}, {})", e.ty.name(), expr(program, vars, inner)),
        ExprKind::Reduce { by, over, within, body } => {
            let over: Vec<&str> = over.iter().map(|v| vars[*v].name.as_str()).collect();
            let over = match &over[..] {
                [one] => one.to_string(),
                several => format!("({})", several.join(", ")),
            };
            let body = expr(program, vars, body);
            match within {
                None => format!("{}({over}: {body})", by.name()),
                Some(Within { axis, partial, .. }) => {
                    let (axis, partial) = (&program.mesh_axes[*axis].name, partial.name());
                    format!("sum.tree({over}: {body}, within = {axis}, partial = {partial})")
                }
            }
        }
        ExprKind::Count { tensor, group, source } => {
            let from = source.map_or(String::new(), |s| format!(" from {}", vars[s].name));
            format!("count({} at {}{from})", program.tensors[*tensor].name, vars[*group].name)
        }
        ExprKind::Offset { tensor, group } => {
            format!("offset({} at {})", program.tensors[*tensor].name, vars[*group].name)
        }
        ExprKind::Dropped { route, source } => {
            format!("dropped({} at {})", program.routes[*route].name, vars[*source].name)
        }
    }
}
