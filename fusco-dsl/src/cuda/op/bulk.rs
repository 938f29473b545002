//! Push by the copy engine: a CTA takes some positions, loads their rows into shared memory and stores each
//! to every slot of its tuples. Memory is slower while it both reads and writes, so where one launch has all
//! ranks, all CTAs read at one time and write at another. Where links are to be kept busy, a CTA has two halves
//! of its shared memory, and loads rows into one while it stores those of the other.

use super::dealt::Dealt;
use super::trip::{Loaded, Trip};
use super::{Emit, Own, vector_literal};
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::namer;
use crate::cuda::out::Out;
use crate::cuda::staged::{Staged, lines};
use crate::cuda::{Capability, Target};
use crate::schedule::ir::{Access, Kernel, Op, Row, Schedule, Value};

/// Threads of a CTA: the copy engine moves the rows, threads only find their places.
pub(in crate::cuda) const THREADS: u32 = 256;
/// Shared memory of a CTA that is not for rows: barriers, and what is known of tuples.
const BESIDE: i64 = 7 * 1024;
/// Rows shorter than this cost the engine more than warps that copy them.
const SHORT: i64 = 4096;
/// Bytes that stay in L2 until the next kernel reads them.
const L2: i64 = 40 << 20;
/// Vectors of a row that a thread copies by itself.
const FEW: i64 = 16;

/// Rows in shared memory begin at whole lines: the engine takes a third more time for those that begin at odd
/// multiples of 16 bytes.
pub(super) const STAGED: &str = "extern __shared__ __align__(128) Vec<16> staged[];";

/// Bytes of shared memory for rows, where one CTA has a multiprocessor to itself; `None` without a copy engine.
pub(super) fn room(target: &Target) -> Option<i64> {
    target.has(Capability::BulkCopy).then_some(target.shared - BESIDE)
}

/// Whether the kernel's rows go through shared memory: there is one trip, whose rows are multiples of 16
/// bytes and long, and what else it carries is short.
pub(in crate::cuda) fn staged(
    schedule: &Schedule,
    target: &Target,
    kernel: &Kernel,
    alone: bool,
) -> Option<Staged> {
    let shared = room(target)?;
    let ops = kernel.roles.iter().flat_map(|r| &r.body);
    let mut tokens = ops.filter(|op| matches!(op, Op::Tokens { .. }));
    let trip = Trip::of(schedule, tokens.next()?)?;
    if tokens.next().is_some() || !trip.guarded.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    for (value, to) in &trip.puts {
        match value {
            Value::Int(_) => {}
            Value::Row(row) => match trip.loaded(*row)? {
                Loaded::Shared(from) if from.vector == 16 && to.vector == 16 => {
                    // Written to several targets, it is there once.
                    if !parts.iter().any(|(part, _)| part == row) {
                        parts.push((*row, row_bytes(schedule, to)));
                    }
                }
                Loaded::Shared(_) | Loaded::Own(_) => {
                    (row_bytes(schedule, to) / to.vector <= FEW).then_some(())?;
                }
            },
            _ => return None,
        }
    }
    let position: i64 = parts.iter().map(|(_, bytes)| lines(*bytes)).sum();
    let room = shared / position.max(1);
    let stages = match kernel.tuning.stages {
        Some(asked) => asked.number,
        None if alone || room < 2 => 1,
        None => 2,
    };
    let rows = (room / stages).min(kernel.tuning.chunk()).min(i64::from(THREADS) / stages);
    let tuples = trip.route.positions_bound.saturating_mul(trip.route.fan * trip.route.members);
    let streams = tuples.saturating_mul(position) > L2;
    let pays = position >= SHORT || kernel.tuning.stages.is_some() && position > 0;
    (pays && rows > 0).then_some(Staged { rows, stages, parts, streams })
}

pub(super) fn row_bytes(schedule: &Schedule, access: &Access) -> i64 {
    access.run * schedule.tensors[access.tensor].elem.bytes()
}

impl Emit<'_> {
    pub(super) fn produce_bulk(&mut self, op: &Op, staged: &Staged) {
        let Some(trip) = Trip::of(self.schedule, op) else { return };
        let workspace = namer::workspace_type(self.schedule, self.kernel.route);
        let dealt = Dealt::new((self.schedule, trip.extent), &trip.position, self.form, workspace);
        let nest = Nest { trip: &trip, staged, dealt };
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
    pub(super) fn padding_bulk(&mut self, op: &Op, staged: &Staged) -> bool {
        let Op::Padding { deal, group, slot, until, body } = op else { return false };
        let [Op::Fill { to, bits }] = &body[..] else { return false };
        let (schedule, bytes) = (self.schedule, row_bytes(self.schedule, to));
        if to.vector != 16 || bytes > staged.bytes() {
            return false;
        }
        let own = Own::new(schedule, *deal);
        let rows = super::padding_rows(until);
        let [group, slot] = [group, slot].map(|v| namer::var_name(schedule, *v));
        let literal = vector_literal(*bits, schedule.tensors[to.tensor].elem.bytes(), 16);
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
                        bare(schedule, until),
                        staged.store(),
                        pointer(schedule, to)
                    ));
                },
            );
            out.line("commit_bulk();");
        });
        true
    }
}

struct Nest<'a> {
    trip: &'a Trip<'a>,
    staged: &'a Staged,
    dealt: Dealt<'a>,
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
        out.line(&format!("if (threadIdx.x < {all}) init_mbarrier(&full[threadIdx.x], 1);"));
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
            out.line(&format!(
                "const Pair pair = plan->pairs[{} * {fan} + {k}];",
                super::ix(trip.schedule, &trip.tuples.position)
            ));
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
        let barrier = match self.dealt.form.alone && self.dealt.form.cooperative {
            true => "barrier<GRID>(&plans.at[0]->barrier, blockIdx.x, launch, me);",
            false => "__syncthreads();",
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
                    self.staged.store(),
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
