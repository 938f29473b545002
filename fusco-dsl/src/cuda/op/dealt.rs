//! Positions dealt to CTAs: those of one rank, or of all ranks where one launch has them all.

use crate::cuda::index::bare;
use crate::cuda::out::Out;
use crate::kernel::Form;
use crate::schedule::ir::{Ix, Schedule};

pub(super) struct Dealt<'a> {
    pub form: &'a Form,
    /// The variable of a position.
    pub position: String,
    /// Positions of the rank `me`.
    extent: String,
    /// The type of the plan.
    workspace: String,
}

impl<'a> Dealt<'a> {
    pub fn new(
        (schedule, extent): (&Schedule, &Ix),
        position: String,
        form: &'a Form,
        workspace: String,
    ) -> Dealt<'a> {
        Dealt { form, position, extent: bare(schedule, extent), workspace }
    }

    /// The CTAs that share the positions, and which of them this is.
    pub fn ctas(&self) -> (&'static str, &'static str) {
        if self.form.alone { ("GRID", "i32(blockIdx.x)") } else { ("CTAS", "cta") }
    }

    pub fn constants(&self, out: &mut Out) {
        if self.form.alone {
            out.line(&format!("constexpr i32 GRID = {};  // CTAs of all ranks", self.form.grid.0));
        }
    }

    /// `total`, and how a number below it becomes a position.
    pub fn total(&self, out: &mut Out) {
        if self.form.alone {
            out.line(&format!(
                "auto extent_of = [&](i32 me) {{ return {}; }};  // positions of a rank",
                self.extent
            ));
            out.line("i32 total = 0;  // positions of all ranks");
            out.line("for (i32 holder = 0; holder < RANKS; ++holder) total += extent_of(holder);");
            out.line("// The rank that has a position, by its number among them; it becomes the number there.");
            out.line("auto rank_of = [&](i32& number) { i32 holder = 0; for (; number >= extent_of(holder); ++holder) number -= extent_of(holder); return holder; };");
        } else {
            out.line(&format!("const i32 total = {};", self.extent));
        }
    }

    /// The position of a number, and the rank that has it.
    pub fn position(&self, out: &mut Out, number: &str) {
        let t = &self.position;
        if self.form.alone {
            out.line(&format!("i32 {t} = {number};"));
            out.line(&format!("const i32 me = rank_of({t});"));
        } else {
            out.line(&format!("const i32 {t} = {number};"));
        }
    }

    /// The plan of that rank.
    pub fn plan(&self, out: &mut Out) {
        if self.form.alone {
            out.line(&format!("{}* plan = plans.at[me];", self.workspace));
        }
    }
}
