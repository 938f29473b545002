//! Push: a warp reads a position's row once and writes it to every slot of its tuples.

use super::{Emit, ix, scale, unroll};
use crate::arena::Handle;
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Ix, Op, Peer, Route, Row, Schedule, Value, Var};

/// Rows of one trip in flight, in vectors a lane.
const UNROLL: i64 = 4;

/// The parts of a `Tokens { Load*, Each { (Load | Put)*, Signal } }` nest.
pub(super) struct Trip<'a> {
    pub schedule: &'a Schedule,
    pub position: String,
    pub extent: &'a Ix,
    pub route: &'a Route,
    pub base_position: &'a Ix,
    pub k: Handle<Var>,
    pub group: Handle<Var>,
    pub slot: Handle<Var>,
    loads: Vec<(Row, &'a Access)>,
    tuple_loads: Vec<(Row, &'a Access)>,
    pub puts: Vec<(&'a Value, &'a Access)>,
    pub signal: Option<&'a Op>,
}

impl<'a> Trip<'a> {
    pub(super) fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Trip<'a>> {
        let Op::Tokens { var, extent, body } = op else { return None };
        let (each, outer) = body.split_last()?;
        let Op::Each { route, position, k, group, slot, body } = each else { return None };
        let loads = |ops: &'a [Op]| -> Vec<(Row, &'a Access)> {
            ops.iter()
                .filter_map(|op| match op {
                    Op::Load { row, from } => Some((*row, from)),
                    _ => None,
                })
                .collect()
        };
        let puts = body
            .iter()
            .filter_map(|op| match op {
                Op::Put { value, to } => Some((value, to)),
                _ => None,
            })
            .collect();
        Some(Trip {
            schedule,
            position: var_name(schedule, *var),
            extent,
            route: &schedule.routes[*route],
            base_position: position,
            k: *k,
            group: *group,
            slot: *slot,
            loads: loads(outer),
            tuple_loads: loads(body),
            puts,
            signal: body.iter().find(|op| matches!(op, Op::Signal { .. })),
        })
    }

    pub(super) fn var(&self, var: Handle<Var>) -> String {
        var_name(self.schedule, var)
    }

    /// Rounds of at most 32 tuples.
    pub(super) fn rounds(&self) -> i64 {
        (self.route.fan + 31) / 32
    }

    pub(super) fn tuples(&self, round: i64) -> i64 {
        (self.route.fan - round * 32).min(32)
    }

    /// Where a row comes from: loaded once for the position, or with each tuple.
    pub(super) fn loaded(&self, row: Row) -> Option<Loaded<'a>> {
        let find = |loads: &[(Row, &'a Access)]| {
            loads.iter().find(|(r, _)| *r == row).map(|(_, access)| *access)
        };
        find(&self.loads).map(Loaded::Shared).or_else(|| find(&self.tuple_loads).map(Loaded::Own))
    }
}

/// A row's source.
pub(super) enum Loaded<'a> {
    /// One row for all tuples of the position.
    Shared(&'a Access),
    /// A row for each tuple.
    Own(&'a Access),
}

impl Emit<'_> {
    pub(super) fn produce(&mut self, op: &Op) {
        let Some(trip) = Trip::of(self.schedule, op) else { return };
        let warps = self.threads() / 32;
        let batch = match self.form.by_position {
            Some(by) => (i64::from(by.each) / warps).max(1),
            None => (self.kernel.tuning.chunk() / warps).max(1),
        };
        let (t, extent) = (&trip.position, bare(self.schedule, trip.extent));
        self.out.line(&format!(
            "// A CTA takes {} positions between two signals, a warp {batch}.",
            batch * warps
        ));
        self.out.block(
            &format!(
                "for (i32 begin = warp * {batch}; begin < {extent}; begin += warps * {batch})"
            ),
            |out| {
                out.line(&format!("const i32 end = min(begin + {batch}, {extent});"));
                out.block(&format!("for (i32 {t} = begin; {t} < end; ++{t})"), |out| {
                    emit_position(out, &trip)
                });
                if let Some(Op::Signal { signal, to: Peer::Rank(rank), slot }) = trip.signal {
                    out.line("__syncwarp();");
                    out.line("fence_peers();  // the rows before their arrival");
                    out.block(&format!("for (i32 {t} = begin; {t} < end; ++{t})"), |out| {
                        emit_tuples(out, &trip, |out| {
                            let counter = &trip.schedule.signals[*signal].name;
                            let (rank, slot) =
                                (bare(trip.schedule, rank), bare(trip.schedule, slot));
                            out.line(&format!(
                                "add_peer(&plans.at[{rank}]->{counter}[{slot}], 1);"
                            ));
                        });
                    });
                }
            },
        );
    }
}

/// Each lane takes one tuple; more tuples than lanes go in rounds.
fn emit_tuples(out: &mut Out, trip: &Trip, body: impl FnOnce(&mut Out)) {
    let (k, fan) = (trip.var(trip.k), trip.route.fan);
    let (group, slot) = (trip.var(trip.group), trip.var(trip.slot));
    let inner = |out: &mut Out| {
        out.line(&format!(
            "const Pair pair = plan->pairs[{} * {fan} + {k}];",
            ix(trip.schedule, trip.base_position)
        ));
        out.block("if (pair.group >= 0)", |out| {
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            body(out);
        });
    };
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

/// Lane k holds the place of tuple k, and its scalars as (variable, value).
pub(super) fn emit_places(
    out: &mut Out,
    trip: &Trip,
    to: &Access,
    round: i64,
    scalars: &[(String, String)],
) {
    let fan = trip.tuples(round);
    let (k, group, slot) = (trip.var(trip.k), trip.var(trip.group), trip.var(trip.slot));
    let width = to.vector;
    out.line(&format!("Vec<{width}>* place = nullptr;  // lane {k}: where tuple {k} goes"));
    for (variable, _) in scalars {
        out.line(&format!("float {variable} = 0;"));
    }
    out.block(&format!("if (lane < {fan})"), |out| {
        let first = round * 32;
        out.line(&format!(
            "const i32 {k} = lane{};",
            if first == 0 { String::new() } else { format!(" + {first}") }
        ));
        out.line(&format!(
            "const Pair pair = plan->pairs[{} * {} + {k}];",
            ix(trip.schedule, trip.base_position),
            trip.route.fan
        ));
        out.block("if (pair.group >= 0)", |out| {
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            out.line(&format!(
                "place = reinterpret_cast<Vec<{width}>*>({});",
                pointer(trip.schedule, to)
            ));
            for (variable, value) in scalars {
                out.line(&format!("{variable} = {value};"));
            }
        });
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

/// A loop over the kept tuples, with `from` and `to` at the tuple's rows.
pub(super) fn emit_tuple(
    out: &mut Out,
    trip: &Trip,
    from: &Access,
    to: &Access,
    body: impl FnOnce(&mut Out),
) {
    let (k, group, slot) = (trip.var(trip.k), trip.var(trip.group), trip.var(trip.slot));
    let fan = trip.route.fan;
    out.block(&format!("for (i32 {k} = 0; {k} < {fan}; ++{k})"), |out| {
        out.line(&format!(
            "const Pair pair = plan->pairs[{} * {fan} + {k}];",
            ix(trip.schedule, trip.base_position)
        ));
        out.line("if (pair.group < 0) continue;");
        out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
        out.line(&format!(
            "const auto* from = reinterpret_cast<const Vec<{}>*>({});",
            from.vector,
            pointer(trip.schedule, from)
        ));
        out.line(&format!(
            "auto* to = reinterpret_cast<Vec<{}>*>({});",
            to.vector,
            pointer(trip.schedule, to)
        ));
        body(out);
    });
}
