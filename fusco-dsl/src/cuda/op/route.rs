//! Planning a route: calls into the prelude, which holds the fixed algorithms.

use super::{Emit, ix};
use crate::arena::Handle;
use crate::cuda::namer::{deal_type, name, route_type};
use crate::schedule::ir::{Route, Schedule};

impl Emit<'_> {
    pub(super) fn count(&mut self, route: Handle<Route>) {
        let (r, index, positions) = names(self.schedule, route);
        let info = &self.schedule.routes[route];
        self.out.line("extern __shared__ u32 shared[];");
        self.out.line(&format!("u32* start = shared + blockDim.x / 32 * {r}::BINS;"));
        self.out.line(&format!("u32* live = start + {r}::BINS;"));
        self.out.line(&format!("const i32 positions = {};", ix(self.schedule, &info.positions)));
        self.out.line(&format!(
            "count<{r}>(plan, shared, {index}.at[me], {positions}, cta, launch, me);"
        ));
    }

    pub(super) fn scan(&mut self, route: Handle<Route>) {
        let (r, ..) = names(self.schedule, route);
        self.out.line(&format!("scan_and_send<{r}>(plans, me, cta, epoch);"));
    }

    pub(super) fn tables(&mut self, route: Handle<Route>) {
        let (r, _, positions) = names(self.schedule, route);
        self.out.line(&format!("totals<{r}>(plan, start, live, {positions}, me, cta, epoch);"));
        let (schedule, mut lines) = (self.schedule, Vec::new());
        for (_, base) in schedule.bases_of(route) {
            let groups = deal_type(schedule, &schedule.deals[base.deal]);
            let (align, table) = (base.align, &base.name);
            lines.push(format!("first_rows<{r}, {groups}, {align}>(plan->{table}, live);"));
        }
        self.out.block("if (cta == 0)", |out| lines.iter().for_each(|l| out.line(l)));
    }

    pub(super) fn slots(&mut self, route: Handle<Route>) {
        let (r, index, positions) = names(self.schedule, route);
        self.out.line(&format!(
            "slots<{r}>(plan, shared, start, {index}.at[me], {positions}, cta, launch, me);"
        ));
    }
}

fn names(schedule: &Schedule, route: Handle<Route>) -> (String, String, &'static str) {
    let info = &schedule.routes[route];
    (route_type(&info.name), name(&schedule.tensors[info.index].name), "positions")
}
