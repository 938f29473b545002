//! Bind time: the numbers given for the params, against what the program asks of them.

use super::hir::{Bindings, CmpOp, Cond, CondKind, Param, ParamKind, Program, Size};
use super::mesh::wrong_range;
use super::text;
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics, nearest};
use crate::source::Span;

/// Every reason why the program cannot run with these numbers; empty if it can: F0901 for what is
/// declared, the code of the placement or index for what only these numbers break.
pub fn bind(program: &Program, bound: &Bindings) -> Diagnostics {
    let mut out = Diagnostics::default();
    names(program, bound, &mut out);
    if out.has_errors() {
        return out;
    }
    for (_, param) in program.params.iter() {
        for cond in &param.constraints {
            constraint(program, bound, &param.name, cond, &mut out);
        }
    }
    sizes(program, bound, &mut out);
    out
}

/// Each param has a positive value, each value a param.
fn names(program: &Program, bound: &Bindings, out: &mut Diagnostics) {
    let known: Vec<&str> = program.params.iter().map(|(_, p)| p.name.as_str()).collect();
    let is_element = |name: &str| {
        program.params.iter().any(|(_, p)| p.kind == ParamKind::Ints && element(&p.name, name))
    };
    for name in bound.keys().filter(|n| !known.contains(&n.as_str()) && !is_element(n)) {
        let hint = nearest(name, &known).map_or_else(
            || format!("params are {}", known.join(", ")),
            |n| format!("did you mean `{n}`?"),
        );
        out.push(Diagnostic::error("F0901", program.span, format!("no param `{name}`")).help(hint));
    }
    out.0.extend(unbound(program, bound));
    for (handle, param) in program.params.iter() {
        if param.kind == ParamKind::Ints {
            array(program, bound, handle, out);
            continue;
        }
        match bound.get(&param.name) {
            Some(v) if *v < 1 && super::hir::least(handle, &param.constraints).is_none() => out
                .push(
                Diagnostic::error(
                    "F0901",
                    param.span,
                    format!("param {}: {v} >= 1 is false", param.name),
                )
                .help(format!(
                    "bind it to a positive number, or declare that it may be less: `where {} >= 0`",
                    param.name
                )),
            ),
            _ => {}
        }
    }
}

/// All params without a value, told at once with what to type.
fn unbound(program: &Program, bound: &Bindings) -> Option<Diagnostic> {
    let open = program.params.iter().filter(|(handle, param)| match param.kind {
        ParamKind::Int => !bound.contains_key(&param.name),
        ParamKind::Ints => {
            !bound.contains_key(&param.name)
                && !bound.keys().any(|n| element(&param.name, n))
                && program.array(*handle, bound).is_empty()
        }
    });
    let open: Vec<&Param> = open.map(|(_, param)| param).collect();
    let (first, others) = open.split_first()?;
    let given = |p: &&Param| match p.kind {
        ParamKind::Int => format!("{}=..", p.name),
        ParamKind::Ints => format!("{}=[..]", p.name),
    };
    let set: Vec<String> = open.iter().map(given).collect();
    let help = match first.kind {
        _ if !others.is_empty() => "give each a value",
        ParamKind::Int => "give it a value",
        ParamKind::Ints => "give it its values",
    };
    let names: Vec<String> = open.iter().map(|p| format!("`{}`", p.name)).collect();
    let claim = match others {
        [] => format!("param {} is not bound", names[0]),
        _ => format!("params {} are not bound", names.join(", ")),
    };
    let diagnostic = Diagnostic::error("F0901", first.span, claim)
        .help(format!("{help}: `--set {}`", set.join(",")));
    Some(others.iter().fold(diagnostic, |d, p| d.related(p.span, "nor this one")))
}

/// Whether `name` is `array[i]`.
fn element(array: &str, name: &str) -> bool {
    let index = name
        .strip_prefix(array)
        .and_then(|n| n.strip_prefix('['))
        .and_then(|n| n.strip_suffix(']'));
    index.is_some_and(|i| i.parse::<usize>().is_ok_and(|n| n.to_string() == i))
}

/// An array has elements 0, 1, .. without a gap.
fn array(program: &Program, bound: &Bindings, handle: Handle<Param>, out: &mut Diagnostics) {
    let param = &program.params[handle];
    let (name, given) = (&param.name, bound.keys().filter(|n| element(&param.name, n)).count());
    let found = program.array(handle, bound).len();
    let claim = match found {
        _ if bound.contains_key(name) => format!("param `{name}` is an array, not one number"),
        0 if given == 0 => return,
        n if n < given => format!("param `{name}` has no element {n}"),
        _ => return,
    };
    out.push(
        Diagnostic::error("F0901", param.span, claim)
            .help(format!("give it its values: `--set {name}=[0,1,..]`")),
    );
}

fn constraint(program: &Program, bound: &Bindings, name: &str, cond: &Cond, out: &mut Diagnostics) {
    let shown = equation(program, bound, cond);
    match holds(program, bound, cond) {
        Some(true) => {}
        Some(false) => out.push(
            Diagnostic::error("F0901", cond.span, format!("param {name}: {shown} is false"))
                .note(format!("declared: `where {}`", cond.text))
                .help(format!("bind `{name}` so that {} holds", cond.text)),
        ),
        None => out.push(
            Diagnostic::error("F0901", cond.span, format!("param {name}: {shown} has no value"))
                .note("a `dyn` is not known at bind, and sizes are 64-bit integers")
                .help("bind smaller numbers, and divisors other than 0"),
        ),
    }
}

fn holds(program: &Program, bound: &Bindings, cond: &Cond) -> Option<bool> {
    match &cond.kind {
        CondKind::And(a, b) => Some(holds(program, bound, a)? && holds(program, bound, b)?),
        CondKind::Or(a, b) => Some(holds(program, bound, a)? || holds(program, bound, b)?),
        CondKind::Compare { op, lhs, rhs } => {
            let (l, r) = (program.eval(lhs, bound)?, program.eval(rhs, bound)?);
            Some(match op {
                CmpOp::Lt => l < r,
                CmpOp::Le => l <= r,
                CmpOp::Eq => l == r,
                CmpOp::Ne => l != r,
                CmpOp::Ge => l >= r,
                CmpOp::Gt => l > r,
            })
        }
    }
}

/// The condition with numbers for names: `7170 % 8 == 0`.
fn equation(program: &Program, bound: &Bindings, cond: &Cond) -> String {
    let size = |s: &Size| text::size(program, &numbers(program, bound, s), &[]);
    match &cond.kind {
        CondKind::Compare { op, lhs, rhs } => {
            format!("{} {} {}", size(lhs), op.symbol(), size(rhs))
        }
        CondKind::And(a, b) => {
            format!("{} && {}", equation(program, bound, a), equation(program, bound, b))
        }
        CondKind::Or(a, b) => {
            format!("{} || {}", equation(program, bound, a), equation(program, bound, b))
        }
    }
}

fn numbers(program: &Program, bound: &Bindings, size: &Size) -> Size {
    match size {
        Size::Param(_) | Size::Mesh(_) => {
            program.eval(size, bound).map_or_else(|| size.clone(), Size::Lit)
        }
        Size::Binary { op, lhs, rhs } => Size::Binary {
            op: *op,
            lhs: Box::new(numbers(program, bound, lhs)),
            rhs: Box::new(numbers(program, bound, rhs)),
        },
        other => other.clone(),
    }
}

/// Mesh sizes, `dyn` bounds and whole tensors are positive and fit 64 bits.
fn sizes(program: &Program, bound: &Bindings, out: &mut Diagnostics) {
    for (_, axis) in program.mesh_axes.iter() {
        positive(program, bound, &axis.size, &format!("mesh axis `{}`", axis.name), axis.span, out);
    }
    for (_, info) in program.dyns.iter() {
        positive(
            program,
            bound,
            &info.bound,
            &format!("the bound of `{}`", info.name),
            info.span,
            out,
        );
    }
    for (handle, mesh) in program.meshes.iter() {
        if let Some((first, end, ranks)) = program.mesh_range(handle, bound)
            && (first < 0 || end.checked_sub(first) != Some(ranks))
        {
            out.push(wrong_range(mesh, (first, end, ranks)));
        }
    }
    if program.ranks(bound).is_none() {
        out.push(
            Diagnostic::error("F0901", program.span, "the mesh has more than 2^63 ranks")
                .help("bind smaller numbers"),
        );
    }
    for (_, tensor) in program.tensors.iter() {
        let elements =
            tensor.axes.iter().try_fold(tensor.dtype.elem.bytes(), |n, axis| match &axis.extent {
                super::hir::Extent::Fixed(size) => {
                    n.checked_mul(program.most(size, bound).filter(|v| *v > 0)?)
                }
                super::hir::Extent::Counted { bound: most, .. } => {
                    n.checked_mul(program.eval(most, bound).filter(|v| *v > 0)?)
                }
                super::hir::Extent::Ragged { .. } => Some(n),
            });
        if elements.is_none() {
            out.push(
                Diagnostic::error(
                    "F0901",
                    tensor.span,
                    format!(
                        "the size of `{}` is not a positive 64-bit number of bytes",
                        tensor.name
                    ),
                )
                .help("bind smaller numbers"),
            );
            continue;
        }
        super::fit::placement(program, tensor, bound, out);
    }
    for entry in &program.entries {
        for stmt in &entry.stmts {
            super::reach::indices(program, stmt, bound, out);
            out.0.extend(super::apart::collision(program, (entry, stmt), bound));
        }
    }
}

fn positive(
    program: &Program,
    bound: &Bindings,
    size: &Size,
    what: &str,
    span: Span,
    out: &mut Diagnostics,
) {
    let claim = match program.eval(size, bound) {
        Some(v) if v >= 1 => return,
        Some(v) => format!("{what}: {v} >= 1 is false"),
        None => format!("{what}: {} has no value", text::size(program, size, &[])),
    };
    out.push(Diagnostic::error("F0901", span, claim).help("bind other numbers"));
}
