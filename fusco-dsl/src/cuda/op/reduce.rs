//! Pull: a warp or a CTA reads the rows of a position's tuples and adds them up in ascending order, in f32.

use super::computed::{operation, rounded};
use super::trip::emit_arrival;
use super::{Emit, ix, kept};
use crate::arena::Handle;
use crate::cuda::index::{bare, pointer};
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::kernel::shape::{Nest, arrival};
use crate::schedule::ir::{Factor, IxOp, Tree, Var};

/// Rows in flight at once: 32 warps of them cover the latency of memory, and the registers hold them.
const IN_FLIGHT: i64 = 4;

impl Nest<'_> {
    pub fn var(&self, var: Handle<Var>) -> String {
        var_name(self.schedule, var)
    }

    /// What comes of the sum `acc`, element `j`, whose own rows are `own0` ..
    /// Of a thread with several vectors, they are told apart by `part`.
    fn computed(&self, acc: &str, part: &str) -> String {
        self.tree(self.value, (acc, part), &mut 0)
    }

    fn tree(&self, value: &Tree, (acc, part): (&str, &str), next: &mut usize) -> String {
        match value {
            // The lowering: where a sum is in the accumulator, all else is plain arithmetic in f32.
            Tree::Sum | Tree::Fold(_) | Tree::Cast(..) => acc.to_string(),
            Tree::Lit(v, _) => format!("__uint_as_float({:#x}u)", (*v as f32).to_bits()),
            Tree::Row(access) => {
                let (n, elem) = (*next, self.elem_of(access).name());
                *next += 1;
                format!("to_f32(reinterpret_cast<const {elem}*>(&own{n}{part})[j])")
            }
            Tree::Scalar(_) => {
                *next += 1;
                format!("own{}", *next - 1)
            }
            Tree::Binary { op, lhs, rhs } => {
                let (a, b) = (self.tree(lhs, (acc, part), next), self.tree(rhs, (acc, part), next));
                operation(*op, false, (&a, &b))
            }
        }
    }

    /// Scalar factors as one f32 a tuple, held by lane k: (index, text).
    pub fn scalars(&self) -> Vec<(usize, String)> {
        let scalar = |(i, factor): (usize, &Factor)| match factor {
            Factor::Scalar(access) => {
                Some((i, format!("to_f32(*({}))", pointer(self.schedule, access))))
            }
            _ => None,
        };
        self.factors.iter().enumerate().filter_map(scalar).collect()
    }
}

impl Emit<'_> {
    /// By a CTA for each position, or by a warp.
    pub(super) fn reduce(&mut self, nest: &Nest, team: bool) {
        let (t, extent) = (nest.var(nest.position), bare(self.schedule, nest.extent));
        let (first, step) = if team { ("cta", "CTAS") } else { ("warp", "warps") };
        let threads = if team { self.threads() } else { 32 };
        self.out.block(&format!("for (i32 {t} = {first}; {t} < {extent}; {t} += {step})"), |out| {
            let rounds = (nest.fan + 31) / 32;
            if rounds == 1 {
                emit_tuples(out, nest, 0, nest.fan);
            }
            emit_sum(out, nest, rounds, threads);
            if let Some(arrival) = nest.signal.and_then(|op| arrival(nest.schedule, op)) {
                out.line(if team { "__syncthreads();" } else { "__syncwarp();" });
                out.block(if team { "if (threadIdx.x == 0)" } else { "if (lane == 0)" }, |out| {
                    out.line("fence_peers();  // the row before its arrival");
                    emit_arrival(out, nest.schedule, arrival);
                });
            }
        });
    }
}

/// Lane k learns where tuple k's rows are and its scalar factors.
fn emit_tuples(out: &mut Out, nest: &Nest, first: i64, fan: i64) {
    let k = nest.var(nest.tuples.k);
    for (row, access) in &nest.rows {
        let bytes = access.vector;
        out.line(&format!(
            "const Vec<{bytes}>* place{} = nullptr;  // lane {k}: the row of tuple {k}",
            row.0
        ));
    }
    for (i, _) in nest.scalars() {
        out.line(&format!("float factor{i} = 0;"));
    }
    if nest.parts.is_some() {
        out.line("i32 owner = 0;  // the part of the tuple");
    }
    out.block(&format!("if (lane < {fan})"), |out| {
        out.line(&format!(
            "const i32 {k} = lane{};",
            if first == 0 { String::new() } else { format!(" + {first}") }
        ));
        kept::emit(out, nest.schedule, nest.tuples);
        emit_kept(out, nest, "", |out| {
            if let Some(parts) = nest.parts {
                out.line(&format!("owner = {};", ix(nest.schedule, &parts.of)));
            }
        });
    });
    let kept = format!("__ballot_sync(ALL, place{} != nullptr)", nest.rows[0].0.0);
    match nest.parts {
        None => out.line(&format!("const u32 kept = {kept};")),
        Some(_) => emit_order(out, nest, &kept),
    }
}

/// Tuples that are kept, part by part: lane i has the i-th.
fn emit_order(out: &mut Out, nest: &Nest, kept: &str) {
    out.line(&format!("const Order order = by_part({kept}, owner);"));
    for (row, _) in &nest.rows {
        out.line(&format!("place{0} = shuffle(place{0}, order.from);", row.0));
    }
    for (i, _) in nest.scalars() {
        out.line(&format!("factor{i} = __shfl_sync(ALL, factor{i}, order.from);"));
    }
    out.line("const u32 kept = order.kept, ends = order.ends;");
}

/// The rows and the scalar factors of a tuple that is kept, to variables with that prefix; and what else is
/// to be known of its group and slot.
pub(super) fn emit_kept(out: &mut Out, nest: &Nest, prefix: &str, more: impl FnOnce(&mut Out)) {
    out.block("if (pair.group >= 0)", |out| {
        let [group, slot] = [nest.tuples.group, nest.tuples.slot].map(|v| nest.var(v));
        out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
        for (row, access) in &nest.rows {
            out.line(&format!(
                "{prefix}place{} = reinterpret_cast<const Vec<{}>*>({});",
                row.0,
                access.vector,
                pointer(nest.schedule, access)
            ));
        }
        for (i, text) in nest.scalars() {
            out.line(&format!("{prefix}factor{i} = {text};"));
        }
        more(out);
    });
}

fn emit_sum(out: &mut Out, nest: &Nest, rounds: i64, threads: i64) {
    let width = nest.width();
    let vecs = nest.to.run / width;
    let to = pointer(nest.schedule, nest.to);
    let whole = vecs % threads == 0;
    out.block(&format!("for (i32 first = 0; first < {vecs}; first += {threads})"), |out| {
        let own = if threads == 32 { "lane" } else { "i32(threadIdx.x)" };
        out.line(&format!("const i32 v = first + {own};"));
        if !whole {
            out.line(&format!("const bool inside = v < {vecs};"));
        }
        out.line(&format!("float acc[{width}] = {{}};"));
        if nest.parts.is_some() {
            out.line(&format!("float total[{width}] = {{}};"));
        }
        for round in 0..rounds {
            let fan = (nest.fan - round * 32).min(32);
            if rounds == 1 {
                emit_groups(out, nest, fan, whole);
            } else {
                out.block("", |out| {
                    emit_tuples(out, nest, round * 32, fan);
                    emit_groups(out, nest, fan, whole);
                });
            }
        }
        match nest.summed {
            true => out.block("if (kept)", |out| emit_store(out, nest, &to, whole)),
            false => emit_store(out, nest, &to, whole),
        }
    });
}

/// Tuples in groups whose rows are all in flight before the first is added.
fn emit_groups(out: &mut Out, nest: &Nest, fan: i64, whole: bool) {
    let inside = if whole { "" } else { " && inside" };
    let most = if fan > 2 * IN_FLIGHT { IN_FLIGHT / 2 } else { IN_FLIGHT };
    let deep = (most / nest.rows.len().max(1) as i64).clamp(1, fan);
    // Two groups overlap; more only cost registers.
    out.line(if fan > 2 * deep { "#pragma unroll 1" } else { "#pragma unroll" });
    out.block(&format!("for (i32 group = 0; group < {fan}; group += {deep})"), |out| {
        for (row, access) in &nest.rows {
            out.line(&format!("Vec<{}> row{}[{deep}];", access.vector, row.0));
        }
        out.line("#pragma unroll");
        out.block(&format!("for (i32 i = 0; i < {deep}; ++i)"), |out| {
            for (row, _) in &nest.rows {
                let n = row.0;
                out.line(&format!("const auto* from{n} = shuffle(place{n}, group + i);"));
                out.line(&format!("if (from{n}{inside}) row{n}[i] = load(from{n} + v);"));
            }
        });
        out.line("#pragma unroll");
        out.block(&format!("for (i32 i = 0; i < {deep}; ++i)"), |out| {
            for (i, _) in nest.scalars() {
                out.line(&format!("const float a{i} = __shfl_sync(ALL, factor{i}, group + i);"));
            }
            out.line(&format!(
                "if (!(kept >> (group + i) & 1){}) continue;",
                inside.replace(" && inside", " || !inside")
            ));
            emit_terms(out, nest, "acc[j]");
            if let Some(parts) = nest.parts {
                out.line("if (!(ends >> (group + i) & 1)) continue;");
                let part = rounded(parts.partial, "acc[j]");
                let sum = operation(IxOp::Add, false, ("total[j]", &part));
                out.line("#pragma unroll");
                let step = format!("{{ total[j] = {sum}; acc[j] = 0; }}");
                out.line(&format!("for (i32 j = 0; j < {}; ++j) {step}", nest.width()));
            }
        });
    });
}

/// Adds the tuple's term to each element of the sum, which is `acc` for element j.
pub(super) fn emit_terms(out: &mut Out, nest: &Nest, acc: &str) {
    for (row, access) in &nest.rows {
        let elem = nest.elem_of(access).name();
        out.line(&format!(
            "const {elem}* x{0} = reinterpret_cast<const {elem}*>(&row{0}[i]);",
            row.0
        ));
    }
    let factor = |(i, factor): (usize, &Factor)| match factor {
        Factor::Row(row) => format!("to_f32(x{}[j])", row.0),
        Factor::Scalar(_) => format!("a{i}"),
        Factor::Lit(v) => format!("__uint_as_float({:#x}u)", v.to_bits()),
    };
    let f: Vec<String> = nest.factors.iter().enumerate().map(factor).collect();
    let term = match &f[..] {
        [a] => format!("__fadd_rn({acc}, {a})"),
        [a, b] => format!("__fmaf_rn({a}, {b}, {acc})"),
        [a, b, c] => format!("__fmaf_rn(__fmul_rn({a}, {b}), {c}, {acc})"),
        _ => acc.to_string(),
    };
    out.line("#pragma unroll");
    out.line(&format!("for (i32 j = 0; j < {}; ++j) {acc} = {term};", nest.width()));
}

/// `sum`: the elements `acc`, rounded.
pub(super) fn emit_rounded(out: &mut Out, nest: &Nest, (acc, part): (&str, &str)) {
    let elem = nest.elem.name();
    out.line(&format!("Vec<{}> sum;", nest.to.vector));
    out.line("#pragma unroll");
    out.line(&format!(
        "for (i32 j = 0; j < {}; ++j) reinterpret_cast<{elem}*>(&sum)[j] = from_f32<{elem}>({});",
        nest.width(),
        nest.computed(acc, part)
    ));
}

fn emit_store(out: &mut Out, nest: &Nest, to: &str, whole: bool) {
    let guard = if whole { "" } else { "if (inside) " };
    for (n, access, is_row) in nest.own() {
        let (at, bytes) = (pointer(nest.schedule, access), access.vector);
        if is_row {
            out.line(&format!("Vec<{bytes}> own{n};"));
            let from = format!("reinterpret_cast<const Vec<{bytes}>*>({at}) + v");
            out.line(&format!("{guard}own{n} = load({from});"));
        } else {
            out.line(&format!("const float own{n} = to_f32(*({at}));"));
        }
    }
    let sum = if nest.parts.is_some() { "total[j]" } else { "acc[j]" };
    emit_rounded(out, nest, (sum, ""));
    out.line(&format!("{guard}store(reinterpret_cast<Vec<{}>*>({to}) + v, sum);", nest.to.vector));
}
