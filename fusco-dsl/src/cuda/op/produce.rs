//! Push: a warp reads a position's row once and writes it to every slot of its tuples.

use super::trip::{each_tuple, emit_arrival, emit_places, emit_tuple};
use super::{Emit, rows, scale, unroll};
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::out::Out;
use crate::kernel::shape::{Loaded, Trip};
use crate::schedule::ir::{Access, Value};

/// Rows of one trip in flight, in vectors a lane.
const UNROLL: i64 = 4;

impl Emit<'_> {
    /// A warp takes `batch` positions between two signals.
    pub(super) fn produce(&mut self, trip: &Trip, batch: i64) {
        let warps = self.threads() / 32;
        let (t, extent) = (trip.var(trip.position), bare(self.schedule, trip.extent));
        self.out.line(&format!(
            "// A CTA takes {} positions between two signals, a warp {batch}.",
            batch * warps
        ));
        let positions = |out: &mut Out| {
            out.block(
                &format!(
                    "for (i32 begin = warp * {batch}; begin < {extent}; begin += warps * {batch})"
                ),
                |out| {
                    out.line(&format!("const i32 end = min(begin + {batch}, {extent});"));
                    out.block(&format!("for (i32 {t} = begin; {t} < end; ++{t})"), |out| {
                        emit_position(out, trip)
                    });
                    if let Some(arrival) = trip.arrival {
                        out.line("__syncwarp();");
                        out.block("if (lane == 0)", |out| {
                            out.line("fence_peers();  // the rows before their arrival");
                            out.block(&format!("for (i32 {t} = begin; {t} < end; ++{t})"), |out| {
                                emit_arrival(out, trip.schedule, arrival)
                            });
                        });
                    }
                    if !trip.signals.is_empty() {
                        out.line("__syncwarp();");
                        out.line("fence_peers();  // the rows before their arrival");
                        out.block(&format!("for (i32 {t} = begin; {t} < end; ++{t})"), |out| {
                            emit_tuples(out, trip, |out| trip.arrive(out));
                        });
                    }
                },
            )
        };
        if trip.theirs().is_some() {
            self.out
                .line("// The rows of all ranks that plan with this one, the next rank's first.");
        }
        trip.each_rank(self.out, positions);
    }
}

/// Each lane takes one tuple; more tuples than lanes go in rounds.
fn emit_tuples(out: &mut Out, trip: &Trip, body: impl FnOnce(&mut Out)) {
    let ((k, ..), fan) = (trip.names(), trip.route.fan);
    let inner = |out: &mut Out| trip.kept(out, body);
    if fan <= 32 {
        out.block(&format!("if (lane < {fan})"), |out| {
            out.line(&format!("const i32 {k} = lane;"));
            inner(out);
        });
    } else {
        out.block(&format!("for (i32 {k} = lane; {k} < {fan}; {k} += 32)"), inner);
    }
}

fn emit_position(out: &mut Out, trip: &Trip) {
    for row in &trip.guarded {
        each_tuple(out, trip, |out| rows::emit_if(out, trip.schedule, *row));
    }
    for (value, to) in &trip.puts {
        if let Value::Int(value) = value {
            emit_tuples(out, trip, |out| {
                let elem = trip.schedule.tensors[to.tensor].elem.name();
                out.line(&format!(
                    "*({}) = {elem}({});",
                    pointer(trip.schedule, to),
                    stored(trip.schedule, value)
                ));
            });
        }
    }
    for (value, to) in &trip.puts {
        if let Value::Scaled { factors, to: elem } = value {
            scale::emit(out, trip, to, factors, *elem);
        }
        if let Value::Sum { value, to: elem } = value {
            each_tuple(out, trip, |out| rows::emit(out, trip.schedule, value, (to, *elem)));
        }
        let Value::Row(row) = value else { continue };
        match trip.loaded(*row) {
            Some(Loaded::Shared(from)) => emit_row(out, trip, from, to),
            Some(Loaded::Own(from)) => emit_tuple_rows(out, trip, from, to),
            None => {}
        }
    }
}

/// One row of the position to the slots of all its tuples: read once, written up to `fan` times.
fn emit_row(out: &mut Out, trip: &Trip, from: &Access, to: &Access) {
    let rounds = trip.rounds();
    let width = to.vector;
    let source = pointer(trip.schedule, from);
    out.block("", |out| {
        out.line(&format!("const auto* from = reinterpret_cast<const Vec<{width}>*>({source});"));
        for round in 0..rounds {
            let fan = trip.tuples(round);
            out.block("", |out| {
                emit_places(out, trip, to, round, &[]);
                emit_copy(out, trip, to, fan);
            });
        }
    });
}

fn emit_copy(out: &mut Out, trip: &Trip, to: &Access, fan: i64) {
    let width = to.vector;
    let vecs = to.run * trip.schedule.tensors[to.tensor].elem.bytes() / width;
    let (deep, exact) = unroll(vecs, UNROLL);
    let guard = if exact { String::new() } else { format!("if (v + 32 * u < {vecs}) ") };
    out.block(&format!("for (i32 first = 0; first < {vecs}; first += {})", 32 * deep), |out| {
        out.line("const i32 v = first + lane;");
        out.line(&format!("Vec<{width}> row[{deep}];"));
        out.line("#pragma unroll");
        out.line(&format!(
            "for (i32 u = 0; u < {deep}; ++u) {guard}row[u] = load(from + v + 32 * u);"
        ));
        out.line("#pragma unroll");
        out.block(&format!("for (i32 tuple = 0; tuple < {fan}; ++tuple)"), |out| {
            out.line(&format!("Vec<{width}>* to = shuffle(place, tuple);"));
            out.line("if (!to) continue;");
            out.line("#pragma unroll");
            out.line(&format!(
                "for (i32 u = 0; u < {deep}; ++u) {guard}store(to + v + 32 * u, row[u]);"
            ));
        });
    });
}

/// Each tuple has a row of its own.
fn emit_tuple_rows(out: &mut Out, trip: &Trip, from: &Access, to: &Access) {
    let vecs = to.run * trip.schedule.tensors[to.tensor].elem.bytes() / to.vector;
    emit_tuple(out, trip, from, to, |out| {
        out.line(&format!(
            "for (i32 v = lane; v < {vecs}; v += 32) store(to + v, load(from + v));"
        ));
    });
}
