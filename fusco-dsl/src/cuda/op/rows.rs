//! Rows of a route whose elements are computed: a warp takes a row, a lane its vectors.

use super::trip::{arrival, emit_arrival};
use super::{Emit, computed, points};
use crate::cuda::index::bare;
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Op, Schedule, Tree, Value};
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

impl Emit<'_> {
    /// Positions whose rows are reduced in more ways than one sum of products.
    pub(super) fn gathered(&mut self, op: &Op) {
        let Op::Tokens { var, extent, body } = op else { return };
        let schedule = self.schedule;
        let (t, extent) = (var_name(schedule, *var), bare(schedule, extent));
        self.out.block(&format!("for (i32 {t} = warp; {t} < {extent}; {t} += warps)"), |out| {
            for op in body {
                if let Op::Put { value: Value::Sum { value, to: elem }, to } = op {
                    emit(out, schedule, value, (to, *elem));
                }
                if let Some(arrival) = arrival(schedule, op) {
                    out.line("__syncwarp();");
                    out.block("if (lane == 0)", |out| {
                        out.line("fence_peers();  // the row before its arrival");
                        emit_arrival(out, schedule, arrival);
                    });
                }
            }
        });
    }
}
