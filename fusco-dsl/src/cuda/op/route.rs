//! Planning a route: calls into the prelude, which holds the fixed algorithms.

use super::points::condition;
use super::{Emit, dealt, ix};
use crate::arena::Handle;
use crate::cuda::index::{Width, bare, in_width};
use crate::cuda::namer::{deal_type, name, route_type, table_name, var_name};
use crate::cuda::out::Out;
use crate::schedule::ir::{Guard, Ix, Lookup, Route, Schedule};

impl Emit<'_> {
    pub(super) fn count(&mut self, route: Handle<Route>) {
        let (r, positions) = names(self.schedule, route);
        let info = &self.schedule.routes[route];
        self.out.line("extern __shared__ u32 shared[];");
        self.out.line(&format!("u32* start = shared + blockDim.x / 32 * {r}::BINS;"));
        self.out.line(&format!("u32* live = start + {r}::BINS;"));
        self.out.line(&format!("const i32 positions = {};", ix(self.schedule, &info.positions)));
        self.owners(route);
        self.index(info);
        let known = self.known(route);
        self.out.line(&format!(
            "count<{r}>(plan, shared, index, {positions}, cta, launch, me{known});"
        ));
    }

    /// What names the group of a tuple, by its number in `[position][choice]`.
    fn index(&mut self, info: &Route) {
        let schedule = self.schedule;
        let tensor = |of: &Lookup| name(&schedule.tensors[of.tensor].name);
        if let Some(only) = info.row_major_index(&schedule.tensors) {
            let read = format!("return i64({}.at[me][at]);", tensor(only));
            return self.out.line(&format!("auto index = [&](i32 at) {{ {read} }};"));
        }
        let [position, choice] = [info.position, info.choice].map(|v| var_name(schedule, v));
        let (r, fan) = (route_type(&info.name), info.fan);
        let guard = |out: &mut Out, guards: &[Guard]| {
            if let Some(all) = condition(schedule, guards) {
                out.line(&format!("if (!({all})) return {r}::NONE;"));
            }
        };
        self.out.block_with("auto index = [&](i32 at) -> i64", "};", |out| {
            out.line(&format!("const i32 {position} = at / {fan};"));
            if fan > 1 {
                out.line(&format!("const i32 {choice} = at % {fan};"));
            }
            for lookup in &info.lookups {
                guard(out, &lookup.guards);
                let value = var_name(schedule, lookup.var);
                let read = match schedule.tensors[lookup.tensor].swizzle {
                    None => format!("{}.at[me][{}]", tensor(lookup), bare(schedule, &lookup.at)),
                    Some(_) => {
                        let (rank, at) = (Box::new(Ix::Me), Box::new(lookup.at.clone()));
                        let element = Ix::Element { tensor: lookup.tensor, rank, at };
                        in_width(schedule, &element, Width::Wide)
                    }
                };
                out.line(&format!("const i64 {value} = {read};"));
                let Some(none) = lookup.none.filter(|_| info.sole_lookup().is_none()) else {
                    continue;
                };
                if lookup.trap {
                    let error = format!(
                        "fail(launch, 403, me, at / {fan}, at % {fan}, {r}::GROUPS, {value});"
                    );
                    out.line(&format!("if ({value} == {none}) {error}"));
                }
                out.line(&format!("if ({value} == {none}) return {r}::NONE;"));
            }
            guard(out, &info.guards);
            out.line(&format!("return {};", in_width(schedule, &info.group, Width::Wide)));
        });
    }

    /// The owners that the plan reads: where one is no member, the launch fails and keeps no tuple.
    fn owners(&mut self, route: Handle<Route>) {
        let (schedule, mut fit) = (self.schedule, Vec::new());
        for (i, (_, _, read)) in schedule.owners_of(route).enumerate() {
            let group = var_name(schedule, read.group);
            let owner = in_width(schedule, &read.owner, Width::Wide);
            self.out.line(&format!("auto own{i} = [&](i32 {group}) {{ return {owner}; }};"));
            let (r, tensor) = (route_type(&schedule.routes[route].name), read.tensor.index());
            fit.push(format!("owners_fit<{r}>(own{i}, launch, me, {tensor})"));
        }
        if !fit.is_empty() {
            self.out.line(&format!("const bool known = {};", fit.join(" & ")));
        }
    }

    /// One more argument for what reads tuples.
    fn known(&self, route: Handle<Route>) -> &'static str {
        if self.schedule.owners_of(route).next().is_some() { ", known" } else { "" }
    }

    pub(super) fn scan(&mut self, route: Handle<Route>) {
        let (r, ..) = names(self.schedule, route);
        self.out.line(&format!("scan_and_send<{r}>(plans, me, cta, epoch);"));
    }

    pub(super) fn tables(&mut self, route: Handle<Route>) {
        let (r, positions) = names(self.schedule, route);
        self.out.line(&format!("totals<{r}>(plan, start, live, {positions}, me, cta, epoch);"));
        let (schedule, mut lines) = (self.schedule, Vec::new());
        if let Some(from) = schedule.routes[route].from {
            let from = table_name(schedule, from);
            lines.push(format!("totals_from<{r}>(plan, plan->{from}, epoch);"));
        }
        for (i, (_, tables, read)) in schedule.owners_of(route).enumerate() {
            let all = [tables.owners, tables.groups, tables.first, read.positions];
            let all = all.map(|table| format!("plan->{}", table_name(schedule, table))).join(", ");
            lines.push(format!("deal_groups<{r}>(own{i}, {all});"));
        }
        for (_, base) in schedule.bases_of(route) {
            let deal = &schedule.deals[base.deal];
            let (align, table) = (base.align, &base.name);
            lines.push(match dealt(schedule, deal) {
                Some(groups) => {
                    format!("first_rows<{r}, Dealt, {align}>(plan->{table}, live, {groups});")
                }
                None => {
                    let groups = deal_type(schedule, deal);
                    format!("first_rows<{r}, {groups}, {align}>(plan->{table}, live);")
                }
            });
        }
        self.out.block("if (cta == 0)", |out| lines.iter().for_each(|l| out.line(l)));
    }

    pub(super) fn slots(&mut self, route: Handle<Route>) {
        let (r, positions) = names(self.schedule, route);
        let known = self.known(route);
        self.out.line(&format!(
            "slots<{r}>(plan, shared, start, index, {positions}, cta, launch, me{known});"
        ));
    }
}

fn names(schedule: &Schedule, route: Handle<Route>) -> (String, &'static str) {
    (route_type(&schedule.routes[route].name), "positions")
}
