//! Rows of peers on other devices, on their way into a ring: a CTA asks the peer's CTA of the same number for a row
//! by a word, ahead of its turn; warps there push the row into one of a few places that the asking CTA has for mail,
//! and count it. Links carry stores at 90 % of what their copy engines do, loads at 84 %: requests of loads take room
//! on the way back. Places are given back as the ring takes rows from them, so their number does not grow with the
//! tokens, and no one waits for anyone who waits: pushing warps only answer.

use super::text::Text;
use crate::cuda::index::bare;
use crate::cuda::namer;
use crate::cuda::out::Out;
use crate::kernel::{END, FIRST, Mail, PUSHERS};

pub(super) const ABOUT: [&str; 2] = [
    "// Rows of other devices are asked for AHEAD of their turn and come by mail: the CTA of the same number there",
    "// pushes them.",
];

impl Text<'_> {
    pub(super) fn mail_memory(&self, out: &mut Out, mail: &Mail) {
        out.line(&format!(
            "constexpr i32 MAIL = {}, AHEAD = {}, PUSHERS = {PUSHERS};  // rows, warps",
            mail.places, mail.ahead
        ));
        out.line("__shared__ u64 pushed[PUSHERS];");
        self.barriers(out, "pushed rows", "PUSHERS");
    }

    /// The rank that has the row of a tuple.
    pub(super) fn owner(&self) -> String {
        let rank = self.nest.rows.first().map(|(_, access)| bare(self.nest.schedule, &access.rank));
        rank.unwrap_or_default()
    }

    /// The tensor of the rows.
    fn tensor(&self) -> String {
        let tensor =
            self.nest.rows.first().map(|(_, a)| &self.nest.schedule.tensors[a.tensor].name);
        tensor.map(|t| namer::name(t)).unwrap_or_default()
    }

    /// Compares the devices of a rank and of this one.
    fn device(&self, rank: &str, compared: &str) -> String {
        match self.here() {
            1 => format!("{rank} {compared} me"),
            here => format!("{rank} / {here} {compared} me / {here}"),
        }
    }

    /// The rows of the tuples, in order; one of another device once it has come.
    pub(super) fn fetch_mail(&self, out: &mut Out) {
        let (n, rows) = (self.row(), self.batch() * self.nest.fan);
        let name = &self.kernel.name;
        out.line(&format!("u32* came = plan->came_{name}[cta];"));
        out.line("for (i32 i = 0; i < MAIL; ++i) came[i] = 0;");
        out.line("fence_peers();  // before anything is asked for");
        out.line("i32 ahead = 0, asked = 0, got = 0;  // rows looked at, asked for and taken from the mail");
        out.line("bool answered = true;  // one timeout is enough");
        let found = |at: &str| format!("found[{at} / {rows} % 2][{at} % {rows}]");
        out.block(&format!("for (i32 i = 0; i < turns * {}; ++i)", self.nest.fan), |out| {
            out.line("wait_mbarrier(&empty[slot], parity ^ 1);");
            let head = format!("for (; ahead <= min(i + AHEAD, turns * {} - 1); ++ahead)", self.nest.fan);
            out.block(&head, |out| {
                out.line(&format!(
                    "if (ahead % {rows} == 0) wait_mbarrier(&known[ahead / {rows} % 2], ahead / {} % 2);",
                    2 * rows
                ));
                out.line(&format!("const Tuple tuple = {};", found("ahead")));
                out.line(&format!("if (!tuple.place{n} || {}) continue;", self.device("tuple.owner", "==")));
                let first = format!("reinterpret_cast<const Vec<16>*>({}.at[tuple.owner])", self.tensor());
                out.line(&format!(
                    "post_peer(&plans.at[tuple.owner]->asked_{name}[me][cta][asked++ % MAIL], u32(tuple.place{n} - {first}) + {FIRST});"
                ));
            });
            out.line(&format!("const Tuple tuple = {};", found("i")));
            out.line(&format!("const Vec<16>* from = tuple.place{n};"));
            self.load(out, "from", |out| {
                out.block(&format!("if ({})", self.device("tuple.owner", "!=")), |out| {
                    out.line("answered = answered && wait_for(&came[got % MAIL], got / MAIL + 1, launch, me, tuple.owner, cta);");
                    out.line("fence_bulk_global();");
                    out.line(&format!("from = plan->mail_{name}[cta][got++ % MAIL];"));
                });
            });
            out.line(&format!(
                "if (i % {rows} == {}) arrive_mbarrier(&taken[i / {rows} % 2]);",
                rows - 1
            ));
        });
    }

    /// All rows have come, so all words are read: peers need not wait for more.
    pub(super) fn end_mail(&self, out: &mut Out) {
        out.line("__syncwarp();");
        out.block("for (i32 i = lane; i < RANKS * MAIL; i += 32)", |out| {
            out.line("const i32 peer = i / MAIL;");
            out.line(&format!(
                "if ({}) post_peer(&plans.at[peer]->asked_{}[me][cta][i % MAIL], {END});",
                self.device("peer", "!="),
                self.kernel.name
            ));
        });
    }

    /// The rows that peers ask for. A warp reads the words of its share of places, of all peers.
    pub(super) fn push(&self, out: &mut Out, mail: &Mail) {
        let (pitch, bytes, name) = (self.ring.pitch(), self.ring.row, &self.kernel.name);
        let each = mail.places / PUSHERS;
        let words = self.nest.schedule.ranks * each;
        out.line(&format!("const i32 pusher = (threadIdx.x - {}) / 32;", self.ring.told()));
        out.line(&format!("Vec<16>* row = staged + (SLOTS + pusher) * {pitch};"));
        out.line(&format!(
            "const Vec<16>* rows = reinterpret_cast<const Vec<16>*>({}.at[me]);",
            self.tensor()
        ));
        out.line("u64 deadline = now_ns() + launch.timeout_ns;");
        out.line(&format!(
            "constexpr i32 WORDS = (RANKS - {}) * {each};  // of peers that may ask",
            self.here()
        ));
        out.line("i32 open = WORDS;");
        let head =
            format!("for (i32 first = 0; open > 0; first = first + 32 < {words} ? first + 32 : 0)");
        out.block(&head, |out| {
            out.line("const i32 at = first + lane;");
            out.line(&format!(
                "const i32 peer = at / {each}, place = at % {each} * PUSHERS + pusher;"
            ));
            out.line(&format!(
                "u32* word = peer < RANKS ? &plan->asked_{name}[peer][cta][place] : nullptr;"
            ));
            out.line("const u32 asked = word ? load_acquire(word) : 0;");
            out.line("if (asked) post_peer(word, 0);");
            out.line(&format!("open -= __popc(__ballot_sync(ALL, asked == {END}));"));
            out.line(&format!("u32 ready = __ballot_sync(ALL, asked >= {FIRST});"));
            out.line("if (__any_sync(ALL, asked != 0)) deadline = now_ns() + launch.timeout_ns;");
            out.block("else if (__any_sync(ALL, now_ns() > deadline))", |out| {
                out.line("if (lane == 0) fail(launch, 908, me, -1, cta, WORDS, WORDS - open);");
                out.line("break;");
            });
            out.block("for (; ready; ready &= ready - 1)", |out| {
                out.block("if (lane == __ffs(ready) - 1)", |out| {
                    out.line(&format!("expect_bulk(&pushed[pusher], {bytes});"));
                    out.line(&format!(
                        "load_bulk(row, rows + (asked - {FIRST}), {bytes}, &pushed[pusher]);"
                    ));
                    out.line("wait_mbarrier(&pushed[pusher], parity);");
                    out.line(&format!(
                        "store_bulk(plans.at[peer]->mail_{name}[cta][place], row, {bytes});"
                    ));
                    out.line("commit_bulk();");
                    out.line("wait_bulk<0>();");
                    out.line(&format!(
                        "publish_peer(&plans.at[peer]->came_{name}[cta][place], 1);"
                    ));
                });
                out.line("parity ^= 1;");
                out.line("__syncwarp();");
            });
        });
    }
}
