//! Fetch once, store many: each warp finds positions of any rank of which this rank has tuples, has the copy engine fetch
//! their rows and store each to all its slots here.

use super::bulk::{STAGED, store};
use super::{Emit, ix, kept};
use crate::cuda::index::{bare, pointer, stored};
use crate::cuda::namer::route_type;
use crate::cuda::out::Out;
use crate::kernel::Once;
use crate::kernel::shape::{Loaded, Trip, row_bytes};
use crate::schedule::ir::{Access, Row, Value};

impl Emit<'_> {
    pub(super) fn produce_once(&mut self, trip: &Trip, once: &Once) {
        let text = Text { trip, once };
        self.out.line("// A row is fetched once and stored to all its slots: lanes of a warp find the tuples of some positions,");
        self.out.line("// the copy engine moves their rows.");
        self.out.block("", |out| {
            text.memory(out);
            text.tell(out);
            text.store_row(out);
            text.positions(out);
            out.line("while (done < fetched) store_row();");
            out.line("wait_bulk<0>();");
            out.line("tell(done);");
        });
    }
}

struct Text<'a> {
    trip: &'a Trip<'a>,
    once: &'a Once,
}

impl<'a> Text<'a> {
    /// The rows that pass through shared memory, each with a place that it goes to.
    fn places(&self) -> Vec<(Row, &'a Access)> {
        let staged = |row: &Row| self.once.staged.part(*row).is_some();
        let puts = self.trip.puts.iter().filter_map(|(value, to)| match value {
            Value::Row(row) if staged(row) => Some((*row, *to)),
            _ => None,
        });
        puts.collect()
    }

    fn fan(&self) -> i64 {
        self.trip.route.fan
    }

    /// Positions whose tuples the lanes of a warp find at once.
    fn batch(&self) -> i64 {
        32 / self.fan()
    }

    fn memory(&self, out: &mut Out) {
        let Once { warps, slots, later, .. } = *self.once;
        let (fan, puts, pitch) = (self.fan(), self.places().len(), self.once.staged.pitch() / 16);
        out.line(&format!(
            "constexpr i32 SLOTS = {slots}, LATER = {later};  // rows of a warp; of those stored last, which may still be read"
        ));
        out.line(&format!(
            "constexpr i32 TOLD = {};  // rows of which it is known whom to tell",
            self.once.told()
        ));
        out.line(STAGED);
        out.line(&format!("__shared__ u64 full[{warps}][SLOTS];"));
        out.line(&format!("__shared__ Vec<16>* places[{warps}][SLOTS][{puts}][{fan}];"));
        out.line(&format!("__shared__ i32 tiles[{warps}][TOLD][{fan}];"));
        out.line("const i32 own = threadIdx.x / 32;");
        out.line("if (lane < SLOTS) init_mbarrier(&full[own][lane], 1);");
        out.line("fence_bulk();");
        out.line("__syncwarp();");
        out.line(&format!("Vec<16>* rows = staged + own * SLOTS * {pitch};"));
        out.line("i32 fetched = 0, done = 0, told = 0;  // rows asked for, stored, and told of");
    }

    /// Adds what has been stored to the counters of its tiles.
    fn tell(&self, out: &mut Out) {
        out.block_with("auto tell = [&](i32 until)", "};", |out| {
            let Some((counter, ..)) = self.trip.signals.first() else { return };
            out.line("fence_device();  // the rows before their arrival");
            out.block("for (; told < until; ++told)", |out| {
                let fan = self.fan();
                out.line(&format!(
                    "const i32 tile = lane < {fan} ? tiles[own][told % TOLD][lane] : -1;"
                ));
                out.line(&format!("if (tile >= 0) add_peer(&plan->{counter}[tile], 1);"));
            });
        });
    }

    /// The oldest row that was asked for.
    fn store_row(&self, out: &mut Out) {
        let (fan, staged) = (self.fan(), &self.once.staged);
        out.block_with("auto store_row = [&]", "};", |out| {
            out.line("const i32 at = done % SLOTS;");
            out.line("__syncwarp();");
            out.line("wait_mbarrier(&full[own][at], done / SLOTS & 1);");
            out.block(&format!("if (lane < {fan})"), |out| {
                for (i, (row, _)) in self.places().iter().enumerate() {
                    let Some((_, bytes)) = staged.part(*row) else { continue };
                    let store = store(staged);
                    out.line(&format!(
                        "if (Vec<16>* to = places[own][at][{i}][lane]) {store}(to, {}, {bytes});",
                        self.at(*row)
                    ));
                }
            });
            out.line("commit_bulk();");
            out.line("++done;");
            let tell = self.once.tell;
            out.line(&format!(
                "if (done % {tell} == 0) {{ wait_bulk<{tell}>(); tell(done - {tell}); }}"
            ));
        });
    }

    /// Where a row of the place `at` lies.
    fn at(&self, row: Row) -> String {
        let staged = &self.once.staged;
        let before = staged.part(row).map_or(0, |(before, _)| before / 16);
        let before = if before == 0 { String::new() } else { format!(" + {before}") };
        format!("rows + at * {}{before}", staged.pitch() / 16)
    }

    /// The positions of all ranks, as many for each warp, a few at a time. They are numbered so that those of other ranks
    /// and of this one take turns: rows that come over links take longer, and links are never without any.
    fn positions(&self, out: &mut Out) {
        let (trip, fan, batch) = (self.trip, self.fan(), self.batch());
        let extent = bare(trip.schedule, trip.extent);
        out.line("i32 most = 0;  // positions of any rank");
        trip.each_rank(out, |out| out.line(&format!("most = max(most, i32({extent}));")));
        let r = route_type(&trip.route.name);
        out.line(&format!(
            "auto rank_of = [&](i32 number) {{ return {r}::rank(({r}::member(me) + 1 + number) % {r}::MEMBERS, me); }};"
        ));
        out.line(&format!("const i64 all = i64(most) * {r}::MEMBERS;"));
        // Where ranks have more or fewer positions each CTA has its share of the many and of the few.
        out.line("const i32 warps = CTAS * (blockDim.x / 32), turn = own * CTAS + cta;");
        out.line("const i32 end = i32(all * (turn + 1) / warps);");
        self.pair_at(out, &extent);
        out.line("i32 first = i32(all * turn / warps);");
        out.line(&format!("Pair next = pair_at(first + lane / {fan});"));
        out.block(&format!("for (; first < end; first += {batch})"), |out| {
            self.find(out);
            out.line("const u32 found = __ballot_sync(ALL, tile >= 0);");
            out.block(&format!("for (i32 i = 0; i < {batch}; ++i)"), |out| {
                let mask =
                    if fan == 32 { "ALL".into() } else { format!("{:#x}u", (1u64 << fan) - 1) };
                out.line(&format!("if (!(found >> i * {fan} & {mask})) continue;"));
                self.fetch(out);
            });
        });
    }

    /// Each lane: what a plan says of its tuple of the position of that number.
    fn pair_at(&self, out: &mut Out, extent: &str) {
        let (trip, fan) = (self.trip, self.fan());
        let (t, k) = (trip.var(trip.position), trip.names().0);
        out.block_with("auto pair_at = [&](i32 number)", "};", |out| {
            self.position(out);
            out.line(&format!("const i32 {k} = lane % {fan};"));
            let lanes = self.batch() * fan;
            let idle = if lanes < 32 { format!("lane >= {lanes} || ") } else { String::new() };
            out.line(&format!("if ({idle}number >= end || {t} >= {extent}) return Pair{{-1, 0}};"));
            out.line(&format!("return {};", kept::entry(trip.schedule, trip.tuples, &k)));
        });
    }

    /// The rank and the position of `number`.
    fn position(&self, out: &mut Out) {
        let (rank, t) = (self.rank(), self.trip.var(self.trip.position));
        let members = format!("{}::MEMBERS", route_type(&self.trip.route.name));
        out.line(&format!(
            "const i32 {t} = number / {members}, {rank} = rank_of(number % {members});"
        ));
    }

    fn rank(&self) -> String {
        self.trip.theirs().unwrap_or_default()
    }

    /// Each lane: a tuple, where its rows go and the tile that they are in; what is short it stores by itself.
    fn find(&self, out: &mut Out) {
        let (trip, schedule, fan) = (self.trip, self.trip.schedule, self.fan());
        let k = trip.names().0;
        for i in 0..self.places().len() {
            out.line(&format!("Vec<16>* place{i} = nullptr;"));
        }
        out.line("i32 tile = -1;");
        out.line("Pair pair = next;");
        out.line(&format!(
            "next = pair_at(first + {} + lane / {fan});  // a peer's takes as long to come as a row does",
            self.batch()
        ));
        out.block("", |out| {
            out.line(&format!("const i32 number = first + lane / {fan}, {k} = lane % {fan};"));
            self.position(out);
            kept::pass_over(out, schedule, trip.tuples);
            trip.if_kept(out, |out| {
                for (i, (_, to)) in self.places().iter().enumerate() {
                    out.line(&format!(
                        "place{i} = reinterpret_cast<Vec<16>*>({});",
                        pointer(schedule, to)
                    ));
                }
                if let Some((_, _, slot)) = trip.signals.first() {
                    out.line(&format!("tile = {};", ix(schedule, slot)));
                }
                trip.puts.iter().for_each(|(value, to)| self.short(out, value, to));
            });
        });
    }

    fn short(&self, out: &mut Out, value: &Value, to: &Access) {
        let (schedule, place) = (self.trip.schedule, pointer(self.trip.schedule, to));
        match value {
            Value::Int(value) => {
                let elem = schedule.tensors[to.tensor].elem.name();
                out.line(&format!("*({place}) = {elem}({});", stored(schedule, value)));
            }
            Value::Row(row) if self.once.staged.part(*row).is_none() => {
                let (Some(Loaded::Shared(from)) | Some(Loaded::Own(from))) = self.trip.loaded(*row)
                else {
                    return;
                };
                let (width, from) = (to.vector, pointer(schedule, from));
                let vecs = row_bytes(schedule, to) / width;
                out.block("", |out| {
                    out.line(&format!(
                        "const auto* from = reinterpret_cast<const Vec<{width}>*>({from});"
                    ));
                    out.line(&format!("auto* to = reinterpret_cast<Vec<{width}>*>({place});"));
                    out.line(&format!(
                        "for (i32 v = 0; v < {vecs}; ++v) store(to + v, load(from + v));"
                    ));
                });
            }
            _ => {}
        }
    }

    /// Asks for the rows of position `i` of the batch.
    fn fetch(&self, out: &mut Out) {
        let (trip, staged, fan) = (self.trip, &self.once.staged, self.fan());
        out.line(&format!("if (fetched == done + {}) store_row();", self.once.ahead()));
        out.line("wait_bulk_read<LATER>();  // the row that was in this place");
        out.line("__syncwarp();");
        out.line("const i32 at = fetched % SLOTS;");
        out.block(&format!("if (lane / {fan} == i)"), |out| {
            for i in 0..self.places().len() {
                out.line(&format!("places[own][at][{i}][lane % {fan}] = place{i};"));
            }
            out.line(&format!("tiles[own][fetched % TOLD][lane % {fan}] = tile;"));
        });
        out.block("if (lane == 0)", |out| {
            out.line("const i32 number = first + i;");
            self.position(out);
            out.line(&format!("expect_bulk(&full[own][at], {});", staged.position()));
            for (row, bytes) in &staged.parts {
                let Some(Loaded::Shared(from)) = trip.loaded(*row) else { continue };
                let from = pointer(trip.schedule, from);
                out.line(&format!(
                    "load_bulk({}, {from}, {bytes}, &full[own][at]);",
                    self.at(*row)
                ));
            }
        });
        out.line("++fetched;");
    }
}
