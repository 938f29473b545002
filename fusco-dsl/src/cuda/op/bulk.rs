//! Push by the copy engine: a CTA takes some positions, loads their rows into shared memory and stores each
//! to every slot of its tuples. Memory is slower while it both reads and writes, so where one launch has all
//! ranks, all CTAs read at one time and write at another. Where links are to be kept busy, a CTA has two halves
//! of its shared memory, and loads rows into one while it stores those of the other.

use super::dealt::Dealt;
use super::{Emit, Own, kept, vector_literal};
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::namer;
use crate::cuda::out::Out;
use crate::kernel::shape::{Loaded, Padding, Trip, row_bytes};
use crate::kernel::{Barrier, Channel, Staged};
use crate::schedule::ir::{Access, Row, Value};

/// Rows in shared memory begin at whole lines: the engine takes a third more time for those that begin at odd
/// multiples of 16 bytes.
pub(super) const STAGED: &str = "extern __shared__ __align__(128) Vec<16> staged[];";

impl Emit<'_> {
    pub(super) fn produce_bulk(&mut self, trip: &Trip, staged: &Staged) {
        let workspace = namer::workspace_type(self.schedule, self.kernel.route);
        let position = trip.var(trip.position);
        let dealt = Dealt::new((self.schedule, trip.extent), position, self.form, workspace);
        let Some(rows) = self.kernel.pipeline.channel("rows") else { return };
        let nest = Nest { trip, staged, dealt, rows };
        let lines: &[&str] = match (self.form.alone, staged.stages) {
            (true, _) => &[
                "// A CTA takes some positions a turn: all CTAs read their rows, then all write them, since memory is",
                "// slower while it does both.",
            ],
            (false, 1) => &["// A CTA takes some positions a turn."],
            (false, _) => &[
                "// A CTA takes some positions a turn: their rows are loaded while those of the turn before are",
                "// stored, so that the links do not wait.",
            ],
        };
        lines.iter().for_each(|l| self.out.line(l));
        self.out.block("", |out| {
            nest.memory(out);
            nest.share(out);
            nest.load(out);
            nest.arrive(out);
            nest.turns(out);
        });
    }

    /// Padding rows are stores of one row in shared memory that holds the value.
    pub(super) fn padding_bulk(&mut self, padding: &Padding, staged: &Staged, bytes: i64) {
        let (schedule, to) = (self.schedule, padding.to);
        let own = Own::new(schedule, padding.deal);
        let rows = super::padding_rows(padding.until);
        let [group, slot] = [padding.group, padding.slot].map(|v| namer::var_name(schedule, v));
        let literal = vector_literal(padding.bits, schedule.tensors[to.tensor].elem.bytes(), 16);
        self.out.block("", |out| {
            out.line(STAGED);
            out.line("wait_bulk_read<0>();");
            out.line("__syncthreads();");
            out.line(&format!(
                "for (i32 v = threadIdx.x; v < {}; v += blockDim.x) staged[v] = {literal};",
                bytes / 16
            ));
            out.line("fence_bulk();");
            out.line("__syncthreads();");
            out.line("// CTAs take neighbouring rows, so that each has its share of every group.");
            out.block(
                &format!(
                    "for (i32 i = threadIdx.x * CTAS + cta; i < {} * {rows}; i += blockDim.x * CTAS)",
                    own.count
                ),
                |out| {
                    out.line(&format!("const i32 {group} = {};", own.group(&format!("i / {rows}"))));
                    out.line(&format!("const i32 {slot} = i32(plan->live[{group}]) + i % {rows};"));
                    out.line(&format!(
                        "if ({slot} < {}) {}({}, staged, {bytes});",
                        bare(schedule, padding.until),
                        store(staged),
                        pointer(schedule, to)
                    ));
                },
            );
            out.line("commit_bulk();");
        });
    }
}

/// The function that stores a row.
pub(super) fn store(staged: &Staged) -> &'static str {
    if staged.streams { "stream_bulk" } else { "store_bulk" }
}

struct Nest<'a> {
    trip: &'a Trip<'a>,
    staged: &'a Staged,
    dealt: Dealt<'a>,
    /// The places of rows, and how they are known to be filled and free.
    rows: &'a Channel,
}

impl Nest<'_> {
    /// Vectors of one position in shared memory.
    fn pitch(&self) -> i64 {
        self.staged.pitch() / 16
    }

    /// Whether rows of a later turn are loaded while those of this one are stored.
    fn ahead(&self) -> bool {
        self.staged.stages > 1
    }

    /// Where the row `row` of a turn is, in rows.
    fn line_at(&self, out: &mut Out) {
        if self.ahead() {
            out.line(&format!("const i32 at = turn % {} * ROWS + row;", self.staged.stages));
        }
    }

    /// The same, once it is known.
    fn number(&self) -> &'static str {
        if self.ahead() { "at" } else { "row" }
    }

    fn memory(&self, out: &mut Out) {
        self.dealt.constants(out);
        out.line(&format!("constexpr i32 ROWS = {};  // of shared memory", self.staged.rows));
        out.line(STAGED);
        let all = match self.staged.stages {
            1 => "ROWS".to_string(),
            n => format!("{n} * ROWS"),
        };
        out.line(&format!("__shared__ u64 full[{all}];"));
        let arrivals = match self.rows.full {
            Barrier::Mbarrier { arrivals, .. } => arrivals,
            Barrier::Cta { .. } | Barrier::Grid { .. } | Barrier::Peer(_) | Barrier::Order => 1,
        };
        out.line(&format!(
            "if (threadIdx.x < {all}) init_mbarrier(&full[threadIdx.x], {arrivals});"
        ));
        out.line("fence_bulk();");
        out.line("__syncthreads();");
    }

    /// Positions of a CTA in one turn; all CTAs that wait for each other take as many turns.
    fn share(&self, out: &mut Out) {
        let (all, _) = self.dealt.ctas();
        self.dealt.total(out);
        out.line(&format!("const i32 each = max(min((total + {all} - 1) / {all}, ROWS), 1);"));
        out.line(&format!("const i32 turns = (total + {all} * each - 1) / ({all} * each);"));
    }

    /// Each pair of the positions from `begin` on: one thread, which knows its `row`, position, k and slot.
    /// `dropped`: what it does about a pair that is.
    fn pairs(&self, out: &mut Out, dropped: &str, body: impl FnOnce(&mut Out)) {
        let (trip, fan) = (self.trip, self.trip.route.fan);
        let (k, group, slot) = trip.names();
        let head = format!(
            "for (i32 i = threadIdx.x; i < min(each, total - begin) * {fan}; i += blockDim.x)"
        );
        out.block(&head, |out| {
            out.line(&format!("const i32 row = i / {fan}, {k} = i % {fan};"));
            self.dealt.position(out, "begin + row");
            self.dealt.plan(out);
            kept::emit(out, trip.schedule, trip.tuples);
            out.line(&format!("if (pair.group < 0) {dropped}"));
            out.line(&format!("const i32 {group} = pair.group, {slot} = pair.slot;"));
            body(out);
        });
    }

    /// Until the row of this turn is there.
    fn loaded(&self) -> String {
        match self.staged.stages {
            1 => "wait_mbarrier(&full[row], turn & 1);".to_string(),
            n => format!("wait_mbarrier(&full[turn % {n} * ROWS + row], turn / {n} & 1);"),
        }
    }

    /// Tells the owners of the rows of a turn that they are there.
    fn arrive(&self, out: &mut Out) {
        if self.trip.signals.is_empty() {
            return;
        }
        out.line("auto arrive = [&](i32 begin) {");
        out.indented(|out| {
            let fan = self.trip.route.fan;
            out.line(&format!("if (i32(threadIdx.x) < min(each, total - begin) * {fan}) fence_peers();  // the rows before their arrival"));
            self.pairs(out, "continue;", |out| self.trip.arrive(out));
        });
        out.line("};");
    }

    fn turns(&self, out: &mut Out) {
        let (all, cta) = self.dealt.ctas();
        let signals = !self.trip.signals.is_empty();
        let barrier = match self.rows.empty {
            Barrier::Grid { .. } => "barrier<GRID>(&plans.at[0]->barrier, blockIdx.x, launch, me);",
            Barrier::Mbarrier { .. } | Barrier::Cta { .. } | Barrier::Peer(_) | Barrier::Order => {
                "__syncthreads();"
            }
        };
        let arrived = format!("if (turn > 0) {{ wait_bulk<1>(); arrive(begin - {all} * each); }}");
        out.line(&format!("i32 begin = {cta} * each;"));
        out.line(if self.ahead() { "load_rows(begin, 0);" } else { "load_rows(begin);" });
        // Turns between one and that whose rows take the place of the turn before it.
        let later = self.staged.stages - 1;
        for turn in 1..later {
            out.line(&format!(
                "if (turns > {turn}) load_rows(begin + {turn} * {all} * each, {turn});"
            ));
        }
        let head = format!("for (i32 turn = 0; turn < turns; ++turn, begin += {all} * each)");
        out.block(&head, |out| {
            // A row whose tuples are all dropped arrives, too.
            let dropped = format!("{{ {} continue; }}", self.loaded());
            self.pairs(out, &dropped, |out| self.store(out));
            out.line("commit_bulk();");
            if self.ahead() {
                out.block(&format!("if (turn + {later} < turns)"), |out| {
                    out.line("wait_bulk_read<1>();  // those of the turn before");
                    out.line(barrier);
                    let by = if later == 1 { String::new() } else { format!("{later} * ") };
                    out.line(&format!("load_rows(begin + {by}{all} * each, turn + {later});"));
                });
            }
            if signals {
                out.line(&format!("{arrived}  // while these are written"));
            }
            if !self.ahead() {
                out.block("if (turn + 1 < turns)", |out| {
                    out.line("wait_bulk_read<0>();");
                    out.line(barrier);
                    out.line(&format!("load_rows(begin + {all} * each);"));
                });
            }
        });
        if signals {
            out.line(&format!(
                "if (turns > 0) {{ wait_bulk<0>(); arrive(begin - {all} * each); }}"
            ));
        }
    }

    /// The rows of the positions from `begin` on, each by one thread.
    fn load(&self, out: &mut Out) {
        let trip = self.trip;
        out.line(match self.ahead() {
            true => "auto load_rows = [&](i32 begin, i32 turn) {",
            false => "auto load_rows = [&](i32 begin) {",
        });
        out.indented(|out| {
            out.line("const i32 row = threadIdx.x;");
            out.line("if (row >= min(each, total - begin)) return;");
            self.dealt.position(out, "begin + row");
            self.line_at(out);
            let full = format!("&full[{}]", self.number());
            out.line(&format!("expect_bulk({full}, {});", self.staged.position()));
            for (row, bytes) in &self.staged.parts {
                let Some(Loaded::Shared(from)) = trip.loaded(*row) else { continue };
                let at = self.at(self.number(), *row);
                let from = pointer(trip.schedule, from);
                out.line(&format!("load_bulk({at}, {from}, {bytes}, {full});"));
            }
        });
        out.line("};");
    }

    /// Where a row of position `number` of the turn is staged.
    fn at(&self, number: &str, row: Row) -> String {
        let before = self.staged.part(row).map_or(0, |(before, _)| before / 16);
        let before = if before == 0 { String::new() } else { format!(" + {before}") };
        format!("staged + {number} * {}{before}", self.pitch())
    }

    /// All that one tuple gets.
    fn store(&self, out: &mut Out) {
        let (trip, schedule) = (self.trip, self.trip.schedule);
        for (value, to) in &trip.puts {
            let place = pointer(schedule, to);
            match value {
                Value::Int(value) => {
                    let elem = schedule.tensors[to.tensor].elem.name();
                    out.line(&format!("*({place}) = {elem}({});", stored(schedule, value)));
                }
                Value::Row(row) if self.staged.part(*row).is_none() => self.copy(out, *row, to),
                _ => {}
            }
        }
        out.line(&self.loaded());
        self.line_at(out);
        for (value, to) in &trip.puts {
            let Value::Row(row) = value else { continue };
            if let Some((_, bytes)) = self.staged.part(*row) {
                out.line(&format!(
                    "{}({}, {}, {bytes});",
                    store(self.staged),
                    pointer(schedule, to),
                    self.at(self.number(), *row)
                ));
            }
        }
    }

    /// A short row, by the thread itself.
    fn copy(&self, out: &mut Out, row: Row, to: &Access) {
        let (schedule, width) = (self.trip.schedule, to.vector);
        let (Some(Loaded::Shared(from)) | Some(Loaded::Own(from))) = self.trip.loaded(row) else {
            return;
        };
        let vecs = row_bytes(schedule, to) / width;
        out.block("", |out| {
            out.line(&format!(
                "const auto* from = reinterpret_cast<const Vec<{width}>*>({});",
                pointer(schedule, from)
            ));
            out.line(&format!(
                "auto* to = reinterpret_cast<Vec<{width}>*>({});",
                pointer(schedule, to)
            ));
            out.line(&format!("for (i32 v = 0; v < {vecs}; ++v) store(to + v, load(from + v));"));
        });
    }
}
