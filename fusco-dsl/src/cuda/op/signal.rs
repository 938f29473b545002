//! Counters: reset, release, acquire.

use super::Emit;
use crate::arena::Handle;
use crate::cuda::index::bare;
use crate::schedule::ir::{Deal, Ix, Signal, SignalKind, TILE_ROWS, Until};

impl Emit<'_> {
    pub(super) fn reset(&mut self, signal: Handle<Signal>) {
        let info = &self.schedule.signals[signal];
        self.out.line(&format!(
            "for (i32 i = cta * i32(blockDim.x) + threadIdx.x; i < {}; i += CTAS * i32(blockDim.x)) plan->{}[i] = 0;",
            info.slots, info.name
        ));
    }

    /// To every rank. One CTA's writes are released by its first warp after a CTA barrier.
    pub(super) fn signal(&mut self, signal: Handle<Signal>, slot: &Ix) {
        let info = &self.schedule.signals[signal];
        let slot = bare(self.schedule, slot);
        let loop_ = format!(
            "for (i32 peer = threadIdx.x; peer < RANKS; peer += 32) {{ fence_peers(); add_peer(&plans.at[peer]->{}[{slot}], 1); }}",
            info.name
        );
        if matches!(info.kind, SignalKind::Epoch { per_cta: true }) {
            self.out.line("__syncthreads();");
            self.out.line(&format!("if (threadIdx.x < 32) {loop_}"));
        } else {
            self.out.line(&loop_);
        }
    }

    /// Threads that wait for the tiles of a group: one by one they take as long as a row does to come.
    fn lanes_of(&self, deal: Handle<Deal>) -> i64 {
        let groups = self.schedule.deals[deal].groups.most().max(1);
        let each = (self.threads() / groups).clamp(1, 32);
        1 << each.ilog2()
    }

    pub(super) fn wait(&mut self, signal: Handle<Signal>, until: &Until) {
        let info = &self.schedule.signals[signal];
        let counter = &info.name;
        match until {
            Until::Epoch => {
                let each = if matches!(info.kind, SignalKind::Epoch { per_cta: true }) {
                    "epoch * CTAS"
                } else {
                    "epoch"
                };
                self.out.line(&format!(
                    "for (i32 peer = threadIdx.x; peer < RANKS; peer += blockDim.x) wait_for(&plan->{counter}[peer], {each}, launch, me, peer, peer);"
                ));
                self.out.line("__syncthreads();");
            }
            Until::Groups { base } => {
                let base = &self.schedule.bases[*base];
                let own = super::Own::new(self.schedule, base.deal);
                let counter = counter.clone();
                let lanes = self.lanes_of(base.deal);
                self.out.block(&format!("for (i32 i = threadIdx.x / {lanes}; i < {}; i += blockDim.x / {lanes})", own.count), |out| {
                    out.line(&format!("const i32 group = {};", own.group("i")));
                    out.line(&format!("const i32 first = i32(plan->{}[group]) / {TILE_ROWS};", base.name));
                    out.line("const i32 rows = i32(plan->live[group]);");
                    out.block(&format!("for (i32 tile = threadIdx.x % {lanes}; tile * {TILE_ROWS} < rows; tile += {lanes})"), |out| {
                        out.line(&format!("const i32 full = min(rows - tile * {TILE_ROWS}, {TILE_ROWS});"));
                        out.line(&format!("wait_for(&plan->{counter}[first + tile], full, launch, me, me, first + tile);"));
                    });
                });
            }
            Until::Rows { extent } => {
                let extent = bare(self.schedule, extent);
                let counter = counter.clone();
                self.out.block(&format!("for (i32 tile = threadIdx.x; tile * {TILE_ROWS} < {extent}; tile += blockDim.x)"), |out| {
                    out.line(&format!("const i32 full = min({extent} - tile * {TILE_ROWS}, {TILE_ROWS});"));
                    out.line(&format!("wait_for(&plan->{counter}[tile], full, launch, me, me, tile);"));
                });
            }
        }
    }
}
