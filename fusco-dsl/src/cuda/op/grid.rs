//! Movements in runs: each thread takes vectors of the flattened grid, several in flight.

use super::points::{Turns, condition, decode, leave, place};
use super::{Emit, computed, vector_literal};
use crate::cuda::index::stored;
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::kernel::Form;
use crate::kernel::shape::{Parts, UNROLL, Written};
use crate::schedule::ir::{Access, Value};
use crate::sema::hir::Elem;

impl Emit<'_> {
    pub(super) fn grid(&mut self, mut parts: Parts) {
        let (by_rank, guards) = self.split_guards(&parts.guards);
        parts.guards = guards;
        let rank = condition(self.schedule, &by_rank);
        let simple = parts.is_copy();
        let form = self.form;
        let body = |out: &mut Out| {
            if simple { emit_copy(out, &parts, form) } else { emit_points(out, &parts, form) }
        };
        match rank {
            Some(rank) => self.out.block(&format!("if ({rank})"), body),
            None if form.alone => body(self.out),
            None => self.out.block("", body),
        }
    }
}

/// Load, convert, store; all loads of a thread before its first store.
fn emit_copy(out: &mut Out, parts: &Parts, form: &Form) {
    let Some(from) = parts.from else { return };
    let points = parts.points();
    let threads = parts.threads;
    let whole = points % (threads * UNROLL) == 0 && parts.share.is_none();
    let turns = Turns::of((parts.schedule, parts.share), points, threads * UNROLL, form);
    let (ty, end) = (turns.ty, &turns.end);
    turns.each(out, "first", " + threadIdx.x", |out| {
        out.line(&format!("Vec<{}> loaded[{UNROLL}];", from.vector));
        out.line(&format!("Vec<{}>* place[{UNROLL}];", parts.to.vector));
        out.line("#pragma unroll");
        out.block(&format!("for (i32 step = 0; step < {UNROLL}; ++step)"), |out| {
            out.line(&format!("const {ty} point = first + {threads} * step;"));
            if !whole || !parts.guards.is_empty() {
                out.line("place[step] = nullptr;");
            }
            if !whole {
                out.line(&format!("if (point >= {end}) continue;"));
            }
            emit_point(out, parts);
            let v = if parts.vecs() == 1 { "0" } else { "v" };
            out.line(&format!("loaded[step] = load({});", place(parts.schedule, from, v)));
            out.line(&format!("place[step] = {};", place(parts.schedule, parts.to, v)));
        });
        out.line("#pragma unroll");
        let guard = if whole && parts.guards.is_empty() { "" } else { "if (place[step]) " };
        let value = match parts.cast() {
            Some(elem) => cast_text(parts, from, elem, "loaded[step]"),
            None => "loaded[step]".to_string(),
        };
        out.line(&format!(
            "for (i32 step = 0; step < {UNROLL}; ++step) {guard}store(place[step], {value});"
        ));
    });
}

fn cast_text(parts: &Parts, from: &Access, to: Elem, row: &str) -> String {
    format!("cast<{}, {}, {}>({row})", parts.elem(from).name(), to.name(), parts.width())
}

/// The variables of point `i`, and out if it does not exist.
fn emit_point(out: &mut Out, parts: &Parts) {
    decode(out, parts.schedule, parts.vars, "point", parts.vecs());
    if parts.vecs() > 1 {
        out.line(&format!("const i32 v = point % {};", parts.vecs()));
    }
    leave(out, parts.schedule, &parts.guards);
}

/// One vector at a time: sums, copies to several ranks, integers, literals.
fn emit_points(out: &mut Out, parts: &Parts, form: &Form) {
    let (points, threads) = (parts.points(), parts.threads);
    let turns = Turns::of((parts.schedule, parts.share), points, threads, form);
    turns.each(out, "point", " + threadIdx.x", |out| {
        if !form.alone && (points % threads != 0 || parts.share.is_some()) {
            out.line(&format!("if (point >= {}) continue;", turns.end));
        }
        emit_point(out, parts);
        let v = if parts.vecs() == 1 { "0" } else { "v" };
        let value = emit_value(out, parts, v);
        let store = format!("store({}, {value});", place(parts.schedule, parts.to, v));
        match parts.copies {
            None => out.line(&store),
            Some((var, extent)) => {
                let copy = var_name(parts.schedule, var);
                out.line("#pragma unroll");
                out.line(&format!("for (i32 {copy} = 0; {copy} < {extent}; ++{copy}) {store}"));
            }
        }
    });
}

/// Leaves the vector to store in a variable; returns its name.
fn emit_value(out: &mut Out, parts: &Parts, v: &str) -> String {
    let bytes = parts.to.vector;
    let elem = parts.elem(parts.to);
    match (&parts.value, parts.from) {
        (Written::Bits(bits), _) => {
            let literal = vector_literal(*bits, elem.bytes(), bytes);
            out.line(&format!("const Vec<{bytes}> value = {literal};"));
        }
        (Written::Value(Value::Int(ix)), _) => {
            out.line(&format!("const {} number = {};", elem.name(), stored(parts.schedule, ix)));
            out.line(&format!(
                "const Vec<{bytes}> value = *reinterpret_cast<const Vec<{bytes}>*>(&number);"
            ));
        }
        (Written::Value(Value::Sum { value, to }), None) => {
            computed::emit(out, (parts.schedule, parts.width()), value, (parts.to, *to), v);
        }
        // The verifier: nothing comes of a sum over parts in a grid but its rounding.
        (Written::Value(Value::Sum { to, .. }), Some(from)) => emit_sum(out, parts, from, *to, v),
        (_, Some(from)) => {
            let row = format!("load({})", place(parts.schedule, from, v));
            let row = parts.cast().map_or(row.clone(), |elem| cast_text(parts, from, elem, &row));
            out.line(&format!("const Vec<{bytes}> value = {row};"));
        }
        _ => {}
    }
    "value".to_string()
}

/// Ascending parts in f32, rounded once.
fn emit_sum(out: &mut Out, parts: &Parts, from: &Access, to: Elem, v: &str) {
    let (width, elem) = (parts.width(), parts.elem(from).name());
    let Some((var, extent)) = parts.sum else { return };
    let part = var_name(parts.schedule, var);
    let deep = extent.min(8);
    out.line(&format!("float acc[{width}] = {{}};"));
    out.line(&format!("#pragma unroll {deep}"));
    out.block(&format!("for (i32 {part} = 0; {part} < {extent}; ++{part})"), |out| {
        out.line(&format!("const auto loaded = load({});", place(parts.schedule, from, v)));
        out.line("#pragma unroll");
        out.line(&format!("for (i32 elem = 0; elem < {width}; ++elem) acc[elem] = __fadd_rn(acc[elem], to_f32(reinterpret_cast<const {elem}*>(&loaded)[elem]));"));
    });
    out.line(&format!("Vec<{}> value;", parts.to.vector));
    out.line("#pragma unroll");
    out.line(&format!("for (i32 elem = 0; elem < {width}; ++elem) reinterpret_cast<{0}*>(&value)[elem] = from_f32<{0}>(acc[elem]);", to.name()));
}
