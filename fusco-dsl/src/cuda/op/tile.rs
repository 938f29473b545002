//! Movements through shared memory: a CTA reads a tile along the source's contiguous digit and writes it
//! along the target's. Columns of 16 bytes are exchanged by the row, so that reading down a column meets
//! every bank.

use super::Emit;
use super::points::{Turns, condition, decode, place};
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::kernel::Form;
use crate::kernel::shape::{count, is_large};
use crate::schedule::ir::{Access, Guard, Schedule, Tile};
use crate::sema::hir::Elem;

struct Parts<'a> {
    schedule: &'a Schedule,
    tile: &'a Tile,
    guards: Vec<Guard>,
    /// Names of the two variables inside a tile, and their extents.
    source: (String, i64),
    target: (String, i64),
    /// Threads of a CTA.
    threads: i64,
}

impl Parts<'_> {
    fn elem(&self, access: &Access) -> Elem {
        self.schedule.tensors[access.tensor].elem
    }

    /// Elements of one access.
    fn width(&self, access: &Access) -> i64 {
        access.vector / self.elem(access).bytes()
    }

    fn elements(&self) -> i64 {
        self.source.1 * self.target.1
    }

    /// The element of the tile at (target index, source index), as text.
    fn at(&self, row: &str, column: &str) -> String {
        let bytes = self.elem(&self.tile.from).bytes();
        let (each, columns) = (16 / bytes, (self.source.1 * bytes / 16).max(1));
        let step = self.width(&self.tile.to);
        let by = if step == 1 { row.to_string() } else { format!("{row} / {step}") };
        let bits = columns.min(8);
        format!("tile[{row} * {} + ({column} ^ {by} % {bits} * {each})]", self.source.1)
    }
}

impl Emit<'_> {
    pub(super) fn tile(&mut self, tile: &Tile) {
        let word = |var| var_name(self.schedule, var);
        let (by_rank, guards) = self.split_guards(&tile.guards);
        let parts = Parts {
            schedule: self.schedule,
            tile,
            guards,
            source: (word(tile.along_source.0), tile.along_source.1),
            target: (word(tile.along_target.0), tile.along_target.1),
            threads: self.threads(),
        };
        let head =
            condition(self.schedule, &by_rank).map_or(String::new(), |c| format!("if ({c})"));
        let form = self.form;
        self.out.block(&head, |out| emit(out, &parts, form));
    }
}

fn emit(out: &mut Out, parts: &Parts, form: &Form) {
    let tile = parts.tile;
    let elem = parts.elem(&tile.from).name();
    out.line(&format!(
        "__shared__ alignas(16) {elem} tile[{} * {}];  // {} by {}, columns exchanged",
        parts.target.1, parts.source.1, parts.target.0, parts.source.0
    ));
    let turns = Turns::of((parts.schedule, &tile.share), count(&tile.vars), 1, form);
    let (width, from) = (parts.width(&tile.from), &tile.from);
    out.line(&format!("Vec<{}> loaded[{}];", from.vector, rounds(parts, width).0));
    if is_large(parts.schedule, tile) {
        turns.each(out, "block", "", |out| {
            decode(out, parts.schedule, &tile.vars, "block", 1);
            emit_load(out, parts);
            emit_stage(out, parts);
            out.line("__syncthreads();");
            emit_store(out, parts);
            out.line("__syncthreads();");
        });
        return;
    }
    out.line(&format!("auto load_tile = [&]({} block) {{", turns.ty));
    out.indented(|out| {
        decode(out, parts.schedule, &tile.vars, "block", 1);
        emit_load(out, parts);
    });
    out.line("};");
    turns.each_ahead(out, "block", "load_tile", |out, ahead| {
        emit_stage(out, parts);
        out.line("__syncthreads();");
        out.line(&format!("{ahead}  // in flight while this one is written"));
        decode(out, parts.schedule, &tile.vars, "block", 1);
        emit_store(out, parts);
        out.line("__syncthreads();");
    });
}

/// The in-tile variables of access `i`: the contiguous one steps by an access.
fn emit_inside(out: &mut Out, rows: &str, along: &(String, i64), width: i64) {
    let each = along.1 / width;
    let step = if width == 1 { String::new() } else { format!(" * {width}") };
    out.line(&format!("const i32 {rows} = point / {each}, {} = point % {each}{step};", along.0));
}

fn rounds(parts: &Parts, width: i64) -> (i64, bool) {
    let (accesses, threads) = (parts.elements() / width, parts.threads);
    ((accesses + threads - 1) / threads, accesses % threads == 0)
}

/// Each access of the tile along the source.
fn each_load(out: &mut Out, parts: &Parts, body: impl FnOnce(&mut Out)) {
    let width = parts.width(&parts.tile.from);
    let (rounds, exact) = rounds(parts, width);
    out.line("#pragma unroll");
    out.block(&format!("for (i32 step = 0; step < {rounds}; ++step)"), |out| {
        out.line(&format!("const i32 point = threadIdx.x + {} * step;", parts.threads));
        if !exact {
            out.line(&format!("if (point >= {}) continue;", parts.elements() / width));
        }
        emit_inside(out, &parts.target.0, &parts.source, width);
        body(out);
    });
}

fn emit_load(out: &mut Out, parts: &Parts) {
    let from = &parts.tile.from;
    each_load(out, parts, |out| {
        let guard = condition(parts.schedule, &parts.guards)
            .map_or(String::new(), |c| format!("if ({c}) "));
        out.line(&format!("{guard}loaded[step] = load({});", place(parts.schedule, from, "0")));
    });
}

/// Registers to shared memory.
fn emit_stage(out: &mut Out, parts: &Parts) {
    let vector = parts.tile.from.vector;
    each_load(out, parts, |out| {
        let at = parts.at(&parts.target.0, &parts.source.0);
        out.line(&format!("*reinterpret_cast<Vec<{vector}>*>(&{at}) = loaded[step];"));
    });
}

fn emit_store(out: &mut Out, parts: &Parts) {
    let to = &parts.tile.to;
    let (width, threads) = (parts.width(to), parts.threads);
    let (rounds, exact) = rounds(parts, width);
    let elem = parts.tile.cast.unwrap_or(parts.elem(to)).name();
    out.line("#pragma unroll");
    out.block(&format!("for (i32 step = 0; step < {rounds}; ++step)"), |out| {
        out.line(&format!("const i32 point = threadIdx.x + {threads} * step;"));
        if !exact {
            out.line(&format!("if (point >= {}) continue;", parts.elements() / width));
        }
        emit_inside(out, &parts.source.0, &parts.target, width);
        if let Some(all) = condition(parts.schedule, &parts.guards) {
            out.line(&format!("if (!({all})) continue;"));
        }
        out.line(&format!("Vec<{}> column;", to.vector));
        let row =
            if width == 1 { parts.target.0.clone() } else { format!("({} + elem)", parts.target.0) };
        let element = parts.at(&row, &parts.source.0);
        let element = match parts.tile.cast {
            Some(_) => format!("from_f32<{elem}>(canonical(to_f32({element})))"),
            None => element,
        };
        out.line("#pragma unroll");
        out.line(&format!(
            "for (i32 elem = 0; elem < {width}; ++elem) reinterpret_cast<{elem}*>(&column)[elem] = {element};"
        ));
        let store = format!("store({}, column);", place(parts.schedule, to, "0"));
        match parts.tile.copies {
            None => out.line(&store),
            Some((var, extent)) => {
                let copy = var_name(parts.schedule, var);
                out.line(&format!("for (i32 {copy} = 0; {copy} < {extent}; ++{copy}) {store}"));
            }
        }
    });
}
