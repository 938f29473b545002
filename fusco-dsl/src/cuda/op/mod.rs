//! Schedule ops as CUDA statements, one file a kind.

mod bulk;
mod computed;
mod dealt;
mod grid;
mod kept;
mod mail;
mod once;
mod points;
mod produce;
mod reduce;
mod ring;
mod route;
mod rows;
mod scale;
mod signal;
mod tables;
mod text;
mod tile;
mod trip;

use super::index::{bare, index, pointer, stored};
use super::namer::{deal_type, table_name, var_name};
use super::out::Out;
use crate::arena::Handle;
use crate::kernel::shape::{Padding, Shape};
use crate::kernel::{DeviceKernel, Form, Once, Strategy};
use crate::schedule::ir::{Access, Deal, Ix, IxOp, Op, Schedule, Var};

/// Where the text goes and what it is about.
pub(super) struct Emit<'a> {
    pub out: &'a mut Out,
    pub schedule: &'a Schedule,
    pub kernel: &'a DeviceKernel,
    pub form: &'a Form,
}

impl Emit<'_> {
    /// Threads of a CTA.
    fn threads(&self) -> i64 {
        i64::from(self.form.threads)
    }

    /// Emits one top-level op of a role.
    pub fn op(&mut self, op: &Op) {
        match Shape::of(self.schedule, op, self.threads()) {
            Ok(Shape::Gather(nest)) => match &self.kernel.strategy {
                Strategy::Ring(ring) => self.reduce_ring(&nest, ring),
                Strategy::Team(team) => self.reduce(&nest, team.whole),
                Strategy::Plan(_)
                | Strategy::Moves(_)
                | Strategy::Bulk(_)
                | Strategy::Once(_)
                | Strategy::Warps(_) => self.reduce(&nest, false),
            },
            Ok(Shape::Scatter(trip)) => match &self.kernel.strategy {
                Strategy::Bulk(staged) => self.produce_bulk(&trip, staged),
                Strategy::Once(once) => self.produce_once(&trip, once),
                Strategy::Warps(warps) => self.produce(&trip, warps.batch),
                Strategy::Plan(_) | Strategy::Moves(_) | Strategy::Ring(_) | Strategy::Team(_) => {
                    self.produce(&trip, 1)
                }
            },
            Ok(Shape::Rows(rows)) => self.gathered(&rows),
            Ok(Shape::Grid(parts)) => self.grid(parts),
            Ok(Shape::Tile(tile)) => self.tile(tile),
            Ok(Shape::Padding(padding)) => self.padding(&padding),
            Ok(Shape::Groups { deal, var, body }) => self.groups(deal, var, body),
            Ok(Shape::Once(body)) => self.once(body),
            Ok(Shape::FillAll(tensor, bits)) => self.fill_all(tensor, bits),
            Ok(Shape::Number { value, to }) => self.put_int(value, to),
            Ok(Shape::Prefix(prefix)) => self.prefix(&prefix),
            Ok(Shape::Positions { table, var, extent, owner }) => {
                self.positions(table, var, extent, owner)
            }
            Ok(Shape::Claim(claims)) => self.claim(claims),
            Ok(Shape::Distinct(claims)) => self.distinct(claims),
            Ok(Shape::Count(route)) => self.count(route),
            Ok(Shape::Scan(route)) => self.scan(route),
            Ok(Shape::Tables(route)) => self.tables(route),
            Ok(Shape::Slots(route)) => self.slots(route),
            Ok(Shape::Barrier) => self.out.line("barrier<CTAS>(&plan->barrier, cta, launch, me);"),
            Ok(Shape::Reset(signal)) => self.reset(signal),
            Ok(Shape::Signal { signal, slot }) => self.signal(signal, slot),
            Ok(Shape::Wait { signal, until }) => self.wait(signal, until),
            // `kernel::verify` lets no op without a shape through.
            Err(gap) => self.out.line(&format!("static_assert(false, \"{gap}\");")),
        }
    }

    fn groups(&mut self, deal: Handle<Deal>, var: Handle<Var>, body: &[Op]) {
        let own = Own::new(self.schedule, deal);
        let group = var_name(self.schedule, var);
        let (schedule, kernel, form) = (self.schedule, self.kernel, self.form);
        self.out.block(&format!("for (i32 i = cta * i32(blockDim.x) + threadIdx.x; i < {}; i += CTAS * i32(blockDim.x))", own.count), |out| {
            out.line(&format!("const i32 {group} = {};", own.group("i")));
            let mut inner = Emit { out, schedule, kernel, form };
            body.iter().for_each(|op| inner.op(op));
        });
    }

    fn once(&mut self, body: &[Op]) {
        let (schedule, kernel, form) = (self.schedule, self.kernel, self.form);
        // A warp tells all peers at once.
        let tells = body.iter().any(|op| matches!(op, Op::Signal { .. }));
        let threads = if tells { "threadIdx.x < 32" } else { "threadIdx.x == 0" };
        self.out.block(&format!("if (cta == 0 && {threads})"), |out| {
            let mut inner = Emit { out, schedule, kernel, form };
            body.iter().for_each(|op| inner.op(op));
        });
    }

    pub(super) fn put_int(&mut self, value: &Ix, to: &Access) {
        let elem = self.schedule.tensors[to.tensor].elem.name();
        let text = format!(
            "*({}) = {elem}({});",
            pointer(self.schedule, to),
            stored(self.schedule, value)
        );
        self.out.line(&text);
    }

    /// Rows past the live ones, dealt to the warps as (group, row) pairs.
    fn padding(&mut self, padding: &Padding) {
        let schedule = self.schedule;
        if let Strategy::Bulk(staged) | Strategy::Once(Once { staged, .. }) = &self.kernel.strategy
            && let Some(bytes) = staged.pads(schedule, padding)
        {
            return self.padding_bulk(padding, staged, bytes);
        }
        let own = Own::new(schedule, padding.deal);
        let [group, slot] = [padding.group, padding.slot].map(|v| var_name(schedule, v));
        let rows = padding_rows(padding.until);
        let until = bare(schedule, padding.until);
        self.out.block(
            &format!("for (i32 i = warp; i < {} * {rows}; i += warps)", own.count),
            |out| {
                out.line(&format!("const i32 {group} = {};", own.group(&format!("i / {rows}"))));
                out.line(&format!("const i32 {slot} = i32(plan->live[{group}]) + i % {rows};"));
                out.line(&format!("if ({slot} >= {until}) continue;"));
                emit_fill(out, schedule, padding.to, padding.bits);
            },
        );
    }
}

/// This rank's groups: how many, and the global number of the `at`-th.
pub(super) struct Own {
    pub count: String,
    /// Of which `size` and `group` are asked.
    groups: String,
    member: String,
}

impl Own {
    pub fn new(schedule: &Schedule, deal: Handle<Deal>) -> Own {
        let info = &schedule.deals[deal];
        let groups = match dealt(schedule, info) {
            Some(object) => format!("{object}."),
            None => format!("{}::", deal_type(schedule, info)),
        };
        let member = index(schedule, &schedule.routes[info.route].member());
        let count = match info.groups.is_even() {
            true => info.groups.most().to_string(),
            false => format!("{groups}size({member})"),
        };
        Own { count, groups, member }
    }

    pub fn group(&self, at: &str) -> String {
        format!("{}group({}, {at})", self.groups, self.member)
    }
}

/// How the plan deals groups whose owners it reads, as an object.
fn dealt(schedule: &Schedule, deal: &Deal) -> Option<String> {
    let (tables, _) = deal.tables.zip(deal.read.as_ref())?;
    let [groups, first] = [tables.groups, tables.first].map(|t| table_name(schedule, t));
    Some(format!("Dealt{{plan->{groups}, plan->{first}}}"))
}

/// Most padding rows of one group.
fn padding_rows(until: &Ix) -> i64 {
    match until {
        Ix::Lit(rows) => *rows,
        Ix::Binary { op: IxOp::Mul, rhs, .. } => match **rhs {
            Ix::Lit(align) => align,
            _ => 1,
        },
        _ => 1,
    }
}

fn emit_fill(out: &mut Out, schedule: &Schedule, to: &Access, bits: u64) {
    let elem = schedule.tensors[to.tensor].elem.bytes();
    let vecs = to.run * elem / to.vector;
    out.line(&format!(
        "auto* to = reinterpret_cast<Vec<{}>*>({});",
        to.vector,
        pointer(schedule, to)
    ));
    out.line(&format!(
        "const Vec<{}> value = {};",
        to.vector,
        vector_literal(bits, elem, to.vector)
    ));
    out.line(&format!("for (i32 v = lane; v < {vecs}; v += 32) store(to + v, value);"));
}

/// The bits of one element, repeated.
fn vector_literal(bits: u64, elem: i64, vector: i64) -> String {
    let bytes: Vec<u8> =
        bits.to_le_bytes()[..elem as usize].iter().copied().cycle().take(vector as usize).collect();
    let words: Vec<String> = bytes
        .chunks(4)
        .map(|c| {
            let word = c.iter().rev().fold(0u32, |w, b| w << 8 | u32::from(*b));
            if word == 0 { "0u".to_string() } else { format!("{word:#x}u") }
        })
        .collect();
    match vector {
        1 => format!("{{u8({})}}", words[0]),
        2 => format!("{{u16({})}}", words[0]),
        4 => format!("{{{}}}", words[0]),
        _ => format!("{{{{{}}}}}", words.join(", ")),
    }
}

/// Vectors a lane moves at once, and whether they divide the row exactly.
fn unroll(vecs: i64, most: i64) -> (i64, bool) {
    let exact = (1..=most).rev().find(|u| vecs % (32 * u) == 0);
    exact.map_or((((vecs + 31) / 32).clamp(1, most), false), |u| (u, true))
}

fn ix(schedule: &Schedule, ix: &Ix) -> String {
    index(schedule, ix)
}
