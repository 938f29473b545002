//! Pull by the copy engine: a CTA's rows pass through a ring in shared memory. Two warps find the rows of the
//! tuples of its positions, a thread has them fetched in order, most warps add them up, in ascending order in
//! f32, and one warp tells of the sums. A load waits behind all rows that are on their way to the
//! multiprocessor, so what finds a row must not be what fetches it; and memory is never without rows to fetch,
//! as it is where CTAs that add up begin and end. Rows of peers on other devices come by mail.

use super::Emit;
use super::bulk::STAGED;
use super::dealt::Dealt;
use super::kept;
use super::mail;
use super::reduce::{emit_kept, emit_rounded, emit_terms};
use super::text::Text;
use crate::cuda::index::{bare, pointer};
use crate::cuda::namer;
use crate::cuda::out::Out;
use crate::kernel::shape::Nest;
use crate::kernel::{Barrier, Ring};
use crate::schedule::ir::{Access, Op, Peer};
use std::ops::Range;

impl Emit<'_> {
    pub(super) fn reduce_ring(&mut self, nest: &Nest, ring: &Ring) {
        let workspace = namer::workspace_type(self.schedule, self.kernel.route);
        let position = nest.var(nest.position);
        let dealt = Dealt::new((self.schedule, nest.extent), position, self.form, workspace);
        let lines = [
            "// Rows pass through a ring in shared memory: ADDERS threads add them up, 64 find the next ones, one has them",
            "// fetched, 32 tell of the sums.",
        ];
        lines.iter().for_each(|l| self.out.line(l));
        if ring.mail.is_some() {
            mail::ABOUT.iter().for_each(|l| self.out.line(l));
        }
        let text = Text { nest, ring, dealt, kernel: self.kernel };
        self.out.block("", |out| {
            text.memory(out);
            text.dealt.total(out);
            let (all, cta) = text.dealt.ctas();
            out.line(&format!(
                "const i32 turns = (total - {cta} + {all} - 1) / {all};  // positions of this CTA"
            ));
            out.line("i32 slot = 0;  // of the next row");
            out.line("u32 parity = 0;  // of its turn");
            let [find, fetch, tell] = ["find", "fetch", "tell"].map(|name| text.threads(name));
            out.block("if (threadIdx.x < ADDERS)", |out| text.add(out));
            out.block(&format!("else if (threadIdx.x < ADDERS + {})", find.end), |out| {
                text.find(out)
            });
            match &ring.mail {
                Some(_) => {
                    let warp = fetch.start + 32;
                    out.block(&format!("else if (threadIdx.x < ADDERS + {warp})"), |out| {
                        out.block("if (lane == 0)", |out| text.fetch_mail(out));
                        text.end_mail(out);
                    });
                }
                None => {
                    let thread = format!("else if (threadIdx.x == ADDERS + {})", fetch.start);
                    out.block(&thread, |out| text.fetch(out));
                }
            }
            if let Some(Op::Signal { signal, to: Peer::Rank(rank), slot }) = nest.signal {
                let tellers = match ring.mail {
                    Some(_) => format!("else if (threadIdx.x < ADDERS + {})", tell.end),
                    None => format!("else if (threadIdx.x >= ADDERS + {})", tell.start),
                };
                out.block(&tellers, |out| {
                    let counter = &nest.schedule.signals[*signal].name;
                    let (rank, slot) = (bare(nest.schedule, rank), bare(nest.schedule, slot));
                    text.tell(out, &format!("plans.at[{rank}]->{counter}[{slot}]"));
                });
            }
            if let Some(mail) = &ring.mail {
                out.block("else", |out| text.push(out, mail));
            }
        });
    }
}

impl Text<'_> {
    fn memory(&self, out: &mut Out) {
        let ring = self.ring;
        self.dealt.constants(out);
        out.line(&format!("constexpr i32 SLOTS = {}, ADDERS = {};", ring.slots, ring.adders.0));
        out.line(STAGED);
        out.line(&format!(
            "struct Tuple {{ const Vec<16>* place{}; Vec<16>* sum;{}{}{} }};  // its row, if it is kept",
            self.row(),
            self.own().iter().map(|(name, ty)| format!(" {ty} {name};")).collect::<String>(),
            self.nest.scalars().iter().map(|(i, _)| format!(" float factor{i};")).collect::<String>(),
            if ring.mail.is_some() { " i32 owner;" } else { "" }
        ));
        let teams = self.places("found");
        out.line(&format!("__shared__ Tuple found[{teams}][32], tuples[SLOTS];"));
        out.line(&format!(
            "__shared__ u64 known[{teams}], taken[{teams}], full[SLOTS], empty[SLOTS];"
        ));
        self.barriers(out, "found", &teams.to_string());
        if ring.tells {
            let sums = self.places("sums");
            out.line(&format!("constexpr i32 SUMS = {sums};  // that may wait to be told of"));
            out.line("__shared__ u64 summed[SUMS], told[SUMS];");
            self.barriers(out, "sums", "SUMS");
        }
        self.barriers(out, "rows", "SLOTS");
        if let Some(mail) = &ring.mail {
            self.mail_memory(out, mail);
        }
        out.line("fence_bulk();");
        out.line("__syncthreads();");
    }

    /// Threads of a group, counted from those that add up.
    fn threads(&self, group: &str) -> Range<u32> {
        let adders = self.ring.adders.0 as u32;
        let group = self.kernel.pipeline.group(group);
        group.map_or(0..0, |g| g.first - adders..g.first + g.threads - adders)
    }

    fn places(&self, channel: &str) -> i64 {
        self.kernel.pipeline.channel(channel).map_or(0, |c| c.slots)
    }

    /// The barriers of a channel begin in their first phases.
    pub fn barriers(&self, out: &mut Out, channel: &str, places: &str) {
        let Some(channel) = self.kernel.pipeline.channel(channel) else { return };
        let words = [channel.full, channel.empty].into_iter().filter_map(|barrier| match barrier {
            Barrier::Mbarrier { name, arrivals, .. } => Some((name, arrivals)),
            Barrier::Cta { .. } | Barrier::Grid { .. } | Barrier::Peer(_) | Barrier::Order => None,
        });
        let lines: Vec<String> = words.map(|(name, n)| self.barrier(name, n)).collect();
        match &lines[..] {
            [one] => out.line(&format!("if (threadIdx.x < {places}) {one}")),
            _ => out.block(&format!("if (threadIdx.x < {places})"), |out| {
                lines.iter().for_each(|l| out.line(l));
            }),
        }
    }

    fn barrier(&self, name: &str, arrivals: u32) -> String {
        let adders = self.ring.adders.0 as u32;
        let arrivals = match arrivals {
            // A warp's lanes, or one thread.
            1 | 32 => arrivals.to_string(),
            n if n == adders => "ADDERS".to_string(),
            n if n == adders / 32 => "ADDERS / 32".to_string(),
            n => n.to_string(),
        };
        format!("init_mbarrier(&{name}[threadIdx.x], {arrivals});")
    }

    /// Ranks of one device, where there are several.
    pub fn here(&self) -> u32 {
        self.dealt.form.grid.1
    }

    /// The row that is added up.
    pub fn row(&self) -> u32 {
        self.nest.rows.first().map_or(0, |(row, _)| row.0)
    }

    /// Positions whose tuples a warp finds at once.
    pub fn batch(&self) -> i64 {
        32 / self.nest.fan
    }

    /// The number of this CTA's position `turn` among all.
    fn number(&self, turn: &str) -> String {
        let (all, cta) = self.dealt.ctas();
        format!("{cta} + {turn} * {all}")
    }

    fn add(&self, out: &mut Out) {
        let (nest, each) = (self.nest, self.ring.adders.1);
        out.block("for (i32 turn = 0; turn < turns; ++turn)", |out| {
            out.line("Vec<16>* to = nullptr;");
            for (n, _, is_row) in nest.own() {
                match is_row {
                    true => out.line(&format!("Vec<16> own{n}[{each}];")),
                    false => out.line(&format!("float own{n} = {{}};")),
                }
            }
            out.line(&format!("float acc[{each}][{}] = {{}};", nest.width()));
            out.line("#pragma unroll 8");
            out.block(&format!("for (i32 i = 0; i < {}; ++i)", nest.fan), |out| self.add_row(out));
            self.store(out);
            if self.ring.tells {
                out.line("__syncwarp();");
                out.block("if (lane == 0)", |out| {
                    out.line("wait_mbarrier(&told[turn % SUMS], turn / SUMS % 2 ^ 1);");
                    out.line("arrive_mbarrier(&summed[turn % SUMS]);");
                });
            }
        });
    }

    /// One row of the ring into the sums.
    fn add_row(&self, out: &mut Out) {
        let (nest, pitch, each) = (self.nest, self.ring.pitch(), self.ring.adders.1);
        let n = self.row();
        out.line("wait_mbarrier(&full[slot], parity);");
        out.line("const Tuple tuple = tuples[slot];");
        out.line(&format!("Vec<16> row{n}[{each}];"));
        let at = "ADDERS * i + threadIdx.x";
        out.line("#pragma unroll");
        out.line(&format!(
            "for (i32 i = 0; i < {each}; ++i) {}row{n}[i] = staged[slot * {pitch} + {at}];",
            self.guard(at)
        ));
        out.line("arrive_mbarrier(&empty[slot]);");
        out.line("to = tuple.sum;");
        for (n, _, is_row) in nest.own() {
            match is_row {
                // Under way while the rows of its tuples are added up.
                true => out.block("if (i == 0)", |out| {
                    out.line("#pragma unroll");
                    out.line(&format!(
                        "for (i32 i = 0; i < {each}; ++i) {}own{n}[i] = load(tuple.at{n} + {at});",
                        self.guard(at)
                    ));
                }),
                false => out.line(&format!("own{n} = tuple.own{n};")),
            }
        }
        out.block(&format!("if (tuple.place{n})"), |out| {
            for (i, _) in nest.scalars() {
                out.line(&format!("const float a{i} = tuple.factor{i};"));
            }
            out.line("#pragma unroll");
            out.block(&format!("for (i32 i = 0; i < {each}; ++i)"), |out| {
                emit_terms(out, nest, "acc[i][j]");
            });
        });
        out.line("if (++slot == SLOTS) { slot = 0; parity ^= 1; }");
    }

    /// A row may end before the last thread's last vector.
    fn guard(&self, at: &str) -> String {
        let vectors = self.ring.row / 16;
        let (threads, each) = self.ring.adders;
        if threads * each == vectors { String::new() } else { format!("if ({at} < {vectors}) ") }
    }

    /// What the arithmetic on a sum reads of its position: (name, type) of where a row is, or of an element.
    fn own(&self) -> Vec<(String, &'static str)> {
        let own = |(n, _, is_row): (usize, &Access, bool)| match is_row {
            true => (format!("at{n}"), "const Vec<16>*"),
            false => (format!("own{n}"), "float"),
        };
        self.nest.own().into_iter().map(own).collect()
    }

    fn store(&self, out: &mut Out) {
        out.line("#pragma unroll");
        out.block(&format!("for (i32 i = 0; i < {}; ++i)", self.ring.adders.1), |out| {
            let at = "ADDERS * i + threadIdx.x";
            emit_rounded(out, self.nest, ("acc[i][j]", "[i]"));
            out.line(&format!("{}store(to + {at}, sum);", self.guard(at)));
        });
    }

    /// A lane finds the row of a tuple; the two warps take turns with as many positions as they have lanes for.
    fn find(&self, out: &mut Out) {
        let (nest, fan, batch) = (self.nest, self.nest.fan, self.batch());
        let k = nest.var(nest.tuples.k);
        out.line("const i32 finder = threadIdx.x / 32 - ADDERS / 32;");
        let head = format!(
            "for (i32 first = finder * {batch}, use = 0; first < turns; first += {}, ++use)",
            2 * batch
        );
        out.block(&head, |out| {
            let own = format!("first + lane / {fan}");
            let own = match 32 % fan {
                0 => own,
                _ => format!("lane < {} ? {own} : turns", batch * fan),
            };
            out.line(&format!("const i32 {k} = lane % {fan}, turn = {own};"));
            out.line("Tuple tuple = {};");
            out.block("if (turn < turns)", |out| {
                self.dealt.position(out, &self.number("turn"));
                self.dealt.plan(out);
                kept::emit(out, nest.schedule, nest.tuples);
                let to = pointer(nest.schedule, nest.to);
                out.line(&format!("tuple.sum = reinterpret_cast<Vec<16>*>({to});"));
                for ((name, ty), (_, access, is_row)) in self.own().iter().zip(nest.own()) {
                    let at = pointer(nest.schedule, access);
                    out.line(&match is_row {
                        true => format!("tuple.{name} = reinterpret_cast<{ty}>({at});"),
                        false => format!("tuple.{name} = to_f32(*({at}));"),
                    });
                }
                emit_kept(out, nest, "tuple.", |out| {
                    if self.ring.mail.is_some() {
                        out.line(&format!("tuple.owner = {};", self.owner()));
                    }
                });
            });
            out.line("wait_mbarrier(&taken[finder], use % 2 ^ 1);");
            out.line("found[finder][lane] = tuple;");
            out.line("arrive_mbarrier(&known[finder]);");
        });
    }

    /// The rows of the tuples, in order; a tuple that is dropped has a slot without one.
    fn fetch(&self, out: &mut Out) {
        let (fan, batch) = (self.nest.fan, self.batch());
        let head = format!(
            "for (i32 first = 0, finder = 0, use = 0; first < turns; first += {batch}, use += finder, finder ^= 1)"
        );
        out.block(&head, |out| {
            out.line("wait_mbarrier(&known[finder], use % 2);");
            let count = format!("min(turns - first, {batch}) * {fan}");
            out.block(&format!("for (i32 i = 0; i < {count}; ++i)"), |out| {
                out.line("const Tuple tuple = found[finder][i];");
                out.line("wait_mbarrier(&empty[slot], parity ^ 1);");
                self.load(out, &format!("tuple.place{}", self.row()), |_| {});
            });
            out.line("arrive_mbarrier(&taken[finder]);");
        });
    }

    /// Has the row of `tuple` fetched into the slot, which is empty.
    pub fn load(&self, out: &mut Out, from: &str, before: impl FnOnce(&mut Out)) {
        let (pitch, bytes, n) = (self.ring.pitch(), self.ring.row, self.row());
        out.line("tuples[slot] = tuple;");
        out.block(&format!("if (tuple.place{n})"), |out| {
            before(out);
            out.line(&format!("expect_bulk(&full[slot], {bytes});"));
            out.line(&format!("load_bulk(staged + slot * {pitch}, {from}, {bytes}, &full[slot]);"));
        });
        out.line("else arrive_mbarrier(&full[slot]);");
        out.line("if (++slot == SLOTS) { slot = 0; parity ^= 1; }");
    }

    /// The arrivals of sums, of as many at once as there are: to publish takes as long as to add up a position.
    fn tell(&self, out: &mut Out, counter: &str) {
        out.block("for (i32 first = 0; first < turns;)", |out| {
            out.line("const i32 turn = first + lane;");
            out.line("const bool ready = lane < SUMS && turn < turns && test_mbarrier(&summed[turn % SUMS], turn / SUMS % 2);");
            out.line("const i32 all = __ffs(~__ballot_sync(ALL, ready)) - 1;  // without a gap");
            out.block("if (lane < all)", |out| {
                self.dealt.position(out, &self.number("turn"));
                out.line(&format!("publish_peer(&{counter}, 1);"));
                out.line("arrive_mbarrier(&told[turn % SUMS]);");
            });
            out.line("first += all;");
        });
    }
}
