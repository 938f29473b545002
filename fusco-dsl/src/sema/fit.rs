//! Placements against numbers: radices, strides, swizzles, tables. Whatever a number is missing for
//! is passed over, so that `check` can ask with literals only and `bind` with everything.

use super::hir::{
    Bindings, Extent, Owners, Program, Size, SpreadKind, Swizzle, Tensor, Term, TermKind,
};
use super::owners::{no_such_rank, wrong_length};
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::Span;

/// Everything that bound numbers decide about a tensor's placement.
pub(super) fn placement(
    program: &Program,
    tensor: &Tensor,
    bound: &Bindings,
    out: &mut Diagnostics,
) {
    for term in &tensor.placement {
        digit(program, tensor, term, bound, out);
    }
    for spread in &tensor.spread {
        let SpreadKind::Only(at) = &spread.kind else { continue };
        let ranks = program.eval(&Size::Mesh(spread.mesh), bound);
        if let (Some(at), Some(ranks)) = (program.eval(at, bound), ranks)
            && !(0..ranks).contains(&at)
        {
            let mesh = &program.mesh_axes[spread.mesh].name;
            out.push(no_such_rank(&format!("only({at})"), at, mesh, ranks, spread.span));
        }
    }
    // Where the stride is written is not known any more.
    let strides = strides(program, tensor, bound, |_| tensor.placement_span);
    out.0.extend(strides.into_iter().map(|d| d.fixed(None)));
    out.0.extend(swizzle(program, tensor, bound, tensor.placement_span));
}

fn digit(program: &Program, tensor: &Tensor, term: &Term, bound: &Bindings, out: &mut Diagnostics) {
    let axis = &tensor.axes[term.axis];
    match &term.kind {
        TermKind::Tile(size) | TermKind::Pack(size) | TermKind::Slab(size) => {
            if let Some(n @ ..1) = program.eval(size, bound) {
                out.push(
                    Diagnostic::error("F0304", term.span, format!("{n} < 1"))
                        .note(format!("a digit of `{}` has a radix of at least 1", axis.name))
                        .help("bind other numbers"),
                );
            }
        }
        TermKind::Mapped { owners, .. } => {
            let Some((name, values)) = table(program, owners, bound) else { return };
            let Extent::Fixed(extent) = &axis.extent else { return };
            if let Some(extent) = program.eval(extent, bound)
                && extent != values.len() as i64
            {
                return out.push(wrong_length(name, values.len(), &axis.name, extent, term.span));
            }
            owner_range(program, term, (name, &values), bound, out);
        }
        TermKind::Shard(_) | TermKind::Rest => {}
    }
}

fn owner_range(
    program: &Program,
    term: &Term,
    (name, values): (&str, &[i64]),
    bound: &Bindings,
    out: &mut Diagnostics,
) {
    let TermKind::Mapped { mesh, .. } = &term.kind else { return };
    let ranks = mesh.iter().try_fold(1i64, |n, axis| {
        n.checked_mul(program.eval(&program.mesh_axes[*axis].size, bound)?)
    });
    let Some(ranks) = ranks else { return };
    if let Some(i) = values.iter().position(|v| !(0..ranks).contains(v)) {
        let names: Vec<&str> = mesh.iter().map(|m| program.mesh_axes[*m].name.as_str()).collect();
        let what = format!("{name}[{i}] = {}", values[i]);
        out.push(no_such_rank(&what, values[i], &names.join(" * "), ranks, term.span));
    }
}

/// The numbers of a table of owners; `None` for one on the device.
fn table<'p>(
    program: &'p Program,
    owners: &'p Owners,
    bound: &Bindings,
) -> Option<(&'p str, Vec<i64>)> {
    match owners {
        Owners::Const { name, values } => Some((name, values.clone())),
        Owners::Param(p) => Some((&program.params[*p].name, program.array(*p, bound))),
        Owners::Tensor(_) => None,
    }
}

/// Whether an axis has a digit in the rank's buffer.
pub(super) fn in_memory(tensor: &Tensor, axis: usize) -> bool {
    tensor.placement.iter().any(|t| t.axis == axis && is_memory(t))
}

fn is_memory(term: &Term) -> bool {
    !matches!(term.kind, TermKind::Shard(_) | TermKind::Mapped { .. })
}

/// Elements that an axis may have at most; `None` for one counted by a route.
fn extent(program: &Program, tensor: &Tensor, axis: usize, bound: &Bindings) -> Option<i64> {
    match &tensor.axes[axis].extent {
        Extent::Fixed(size) => program.most(size, bound),
        Extent::Counted { bound: most, .. } => program.eval(most, bound),
        Extent::Ragged { .. } => None,
    }
}

/// The allocated radix of a memory term.
fn radix(program: &Program, tensor: &Tensor, term: &Term, bound: &Bindings) -> Option<i64> {
    match &term.kind {
        TermKind::Tile(size) | TermKind::Slab(size) => program.eval(size, bound),
        TermKind::Pack(rows) => {
            let rows = program.eval(rows, bound).filter(|r| *r > 0)?;
            let most = extent(program, tensor, term.axis, bound)?;
            most.checked_add(rows - 1)?.checked_div(rows)?.checked_mul(rows)
        }
        TermKind::Rest => rest(program, tensor, term, bound),
        TermKind::Shard(_) | TermKind::Mapped { .. } => None,
    }
}

fn rest(program: &Program, tensor: &Tensor, term: &Term, bound: &Bindings) -> Option<i64> {
    let mut extent = extent(program, tensor, term.axis, bound)?;
    let mut others = 1i64;
    for other in tensor.placement.iter().filter(|t| t.axis == term.axis) {
        let radix = match &other.kind {
            TermKind::Shard(mesh) => program.eval(&program.mesh_axes[*mesh].size, bound)?,
            TermKind::Tile(size) => program.eval(size, bound)?,
            TermKind::Mapped { owners, .. } => {
                if let Some((_, values)) = table(program, owners, bound) {
                    let owned = values.iter().map(|v| values.iter().filter(|o| *o == v).count());
                    extent = owned.max()? as i64;
                }
                continue;
            }
            _ => continue,
        };
        others = others.checked_mul(radix)?;
    }
    extent.checked_add(others.checked_sub(1)?)?.checked_div(others)
}

/// F0311: each given stride against what lies to its right. `at` says where the stride is written.
pub(super) fn strides(
    program: &Program,
    tensor: &Tensor,
    bound: &Bindings,
    at: impl Fn(usize) -> Span,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if tensor.attrs.stride.is_empty() {
        return out;
    }
    let memory: Vec<&Term> = tensor.placement.iter().filter(|t| is_memory(t)).collect();
    let mut right = Some(1i64);
    for (i, term) in memory.iter().enumerate().rev() {
        let outermost = !memory[..i].iter().any(|t| t.axis == term.axis);
        let given = tensor.attrs.stride.iter().find(|(a, _)| outermost && *a == term.axis);
        if let Some((axis, size)) = given {
            let stride = program.eval(size, bound);
            if let (Some(right), Some(stride)) = (right, stride)
                && stride < right
            {
                out.push(overlap(&tensor.axes[*axis].name, right, stride, at(*axis)));
            }
            right = stride;
        }
        right = right.and_then(|r| r.checked_mul(radix(program, tensor, term, bound)?));
    }
    out
}

fn overlap(axis: &str, right: i64, stride: i64, span: Span) -> Diagnostic {
    Diagnostic::error(
        "F0311",
        span,
        format!("neighbours of `{axis}` overlap: rows of {right} in {stride}"),
    )
    .note(format!("stride({axis}) = {stride} >= {right} is false"))
    .help(format!("use a stride of at least {right} elements"))
    .fix(span, format!("{axis}: {right}"))
}

/// Bytes of a row of the pattern.
pub(super) fn row_bytes(swizzle: Swizzle) -> i64 {
    match swizzle {
        Swizzle::B32 => 32,
        Swizzle::B64 => 64,
        Swizzle::B128 => 128,
    }
}

/// F0308: the innermost digits make up one row of the swizzle.
pub(super) fn swizzle(
    program: &Program,
    tensor: &Tensor,
    bound: &Bindings,
    span: Span,
) -> Option<Diagnostic> {
    let width = row_bytes(tensor.attrs.swizzle?);
    let bytes = tensor.dtype.elem.bytes();
    // Packed groups of a route have room for any number of rows.
    let packed = |term: &&Term| {
        let routed = matches!(tensor.axes[term.axis].extent, Extent::Ragged { .. });
        routed && matches!(term.kind, TermKind::Pack(_))
    };
    let memory = tensor.placement.iter().filter(|t| is_memory(t)).rev();
    let mut memory = memory.take_while(|t| !packed(t));
    let inner = memory.next().map_or(Some(1), |t| radix(program, tensor, t, bound))?;
    let mut row = inner.checked_mul(bytes)?;
    for term in memory {
        if row >= width || width % row != 0 {
            break;
        }
        row = row.checked_mul(radix(program, tensor, term, bound)?)?;
    }
    if row == width {
        return None;
    }
    let elem = tensor.dtype.elem.name();
    Some(
        Diagnostic::error(
            "F0308",
            span,
            format!("a {width}-byte swizzle needs rows of {width} bytes"),
        )
        .label(format!("row is {inner} x {elem} = {}", inner * bytes))
        .note(format!("{inner} * {bytes} == {width} is false"))
        .help(format!("end the list with an inner digit of {}", width / bytes)),
    )
}
