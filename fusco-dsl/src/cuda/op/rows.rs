//! Rows of a route whose elements are computed: a warp takes a row, a lane its vectors.

use super::trip::emit_arrival;
use super::{Emit, computed, points};
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::kernel::shape::{Guarded, Rows};
use crate::schedule::ir::{Access, Op, Row, Schedule, Tree, Value};
use crate::sema::hir::Elem;

/// The row of a tuple or of a position at hand.
pub(super) fn emit(out: &mut Out, schedule: &Schedule, value: &Tree, (to, elem): (&Access, Elem)) {
    let width = to.vector / schedule.tensors[to.tensor].elem.bytes();
    let vecs = to.run / width;
    out.block(&format!("for (i32 v = lane; v < {vecs}; v += 32)"), |out| {
        computed::emit(out, (schedule, width), value, (to, elem), "v");
        out.line(&format!("store({}, value);", points::place(schedule, to, "v")));
    });
}

/// The ops of one row, if their condition holds.
pub(super) fn emit_if(out: &mut Out, schedule: &Schedule, (guards, body): Guarded) {
    points::within(out, schedule, guards, &mut |out| {
        for op in body {
            let Op::Put { value, to } = op else { continue };
            match value {
                Value::Sum { value, to: elem } => emit(out, schedule, value, (to, *elem)),
                Value::Row(row) => copy(out, schedule, body, (*row, to)),
                Value::Int(ix) => {
                    let elem = schedule.tensors[to.tensor].elem.name();
                    let (at, value) = (pointer(schedule, to), stored(schedule, ix));
                    out.line(&format!("if (lane == 0) *({at}) = {elem}({value});"));
                }
                // They have no shape under a condition.
                Value::Cast(..) | Value::Scaled { .. } => {}
            }
        }
    });
}

/// A row as it is.
fn copy(out: &mut Out, schedule: &Schedule, body: &[Op], (row, to): (Row, &Access)) {
    let from = body.iter().find_map(|op| match op {
        Op::Load { row: loaded, from } | Op::Pull { row: loaded, from } if *loaded == row => {
            Some(from)
        }
        _ => None,
    });
    let Some(from) = from else { return };
    let vecs = to.run * schedule.tensors[to.tensor].elem.bytes() / to.vector;
    let [from, to] = [from, to].map(|access| points::place(schedule, access, "v"));
    out.line(&format!("for (i32 v = lane; v < {vecs}; v += 32) store({to}, load({from}));"));
}

impl Emit<'_> {
    /// Positions whose rows are reduced in more ways than one sum of products.
    pub(super) fn gathered(&mut self, rows: &Rows) {
        let schedule = self.schedule;
        let (t, extent) = (var_name(schedule, rows.position), bare(schedule, rows.extent));
        self.out.block(&format!("for (i32 {t} = warp; {t} < {extent}; {t} += warps)"), |out| {
            rows.rows.iter().for_each(|row| emit_if(out, schedule, *row));
            if let Some(arrival) = rows.arrival {
                out.line("__syncwarp();");
                out.block("if (lane == 0)", |out| {
                    out.line("fence_peers();  // the row before its arrival");
                    emit_arrival(out, schedule, arrival);
                });
            }
        });
    }
}
