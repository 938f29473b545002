//! Schedule ops as CUDA statements, one file a kind.

pub(super) mod bulk;
mod computed;
mod dealt;
pub(super) mod grid;
mod mail;
pub(super) mod points;
mod produce;
pub(super) mod reduce;
pub(super) mod ring;
mod route;
mod rows;
mod scale;
mod signal;
mod tables;
mod text;
pub(super) mod tile;
mod trip;

use super::form::{Form, Work};
use super::index::{bare, index, pointer, stored};
use super::namer::{deal_type, table_name, var_name};
use super::out::Out;
use crate::arena::Handle;
use crate::schedule::ir::{Access, Deal, Ix, IxOp, Kernel, Op, Schedule, Value, Var};

/// Where the text goes and what it is about.
pub(super) struct Emit<'a> {
    pub out: &'a mut Out,
    pub schedule: &'a Schedule,
    pub kernel: &'a Kernel,
    pub form: &'a Form,
}

impl Emit<'_> {
    /// Threads of a CTA.
    fn threads(&self) -> i64 {
        i64::from(self.form.threads)
    }

    /// Emits one top-level op of a role.
    pub fn op(&mut self, op: &Op) {
        match op {
            Op::Tokens { body, .. }
                if body.iter().any(|b| {
                    matches!(b, Op::Put { value: Value::Sum { .. }, .. } | Op::If { .. })
                }) =>
            {
                match &self.form.work {
                    Work::Ring(ring) => self.reduce_ring(op, ring),
                    _ => self.reduce(op),
                }
            }
            Op::Tokens { .. } => match &self.form.work {
                Work::Bulk(staged) => self.produce_bulk(op, staged),
                _ => self.produce(op),
            },
            Op::Groups { deal, var, body } => self.groups(*deal, *var, body),
            Op::Padding { .. } => self.padding(op),
            Op::Once { body } => self.once(body),
            Op::Count { route } => self.count(*route),
            Op::Scan { route } => self.scan(*route),
            Op::Tables { route } => self.tables(*route),
            Op::Slots { route } => self.slots(*route),
            Op::Barrier => self.out.line("barrier<CTAS>(&plan->barrier, cta, launch, me);"),
            Op::Reset { signal } => self.reset(*signal),
            Op::Signal { signal, to, slot } => self.signal(*signal, to, slot),
            Op::Wait { signal, until } => self.wait(*signal, until),
            Op::Put { value: Value::Int(ix), to } => self.put_int(ix, to),
            // The verifier admits these only inside `Tokens` and `Padding`, which emit them.
            Op::Grid { .. } => self.grid(op),
            Op::Tile(tile) => self.tile(tile),
            Op::FillAll { tensor, bits } => self.fill_all(*tensor, *bits),
            Op::Prefix { .. } => self.prefix(op),
            Op::Positions { table, var, extent, owner } => {
                self.positions(*table, *var, *extent, owner)
            }
            Op::Claim(claims) => self.claim(claims),
            Op::Distinct(claims) => self.distinct(claims),
            Op::For { .. }
            | Op::If { .. }
            | Op::Each { .. }
            | Op::Load { .. }
            | Op::Pull { .. }
            | Op::Put { .. }
            | Op::Fill { .. }
            | Op::Reduce { .. } => {}
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
        self.out.block("if (cta == 0 && threadIdx.x < 32)", |out| {
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
    fn padding(&mut self, op: &Op) {
        if let Work::Bulk(staged) = &self.form.work
            && self.padding_bulk(op, staged)
        {
            return;
        }
        let Op::Padding { deal, group, slot, until, body } = op else { return };
        let own = Own::new(self.schedule, *deal);
        let (group, slot) = (var_name(self.schedule, *group), var_name(self.schedule, *slot));
        let rows = padding_rows(until);
        let until = bare(self.schedule, until);
        let schedule = self.schedule;
        self.out.block(
            &format!("for (i32 i = warp; i < {} * {rows}; i += warps)", own.count),
            |out| {
                out.line(&format!("const i32 {group} = {};", own.group(&format!("i / {rows}"))));
                out.line(&format!("const i32 {slot} = i32(plan->live[{group}]) + i % {rows};"));
                out.line(&format!("if ({slot} >= {until}) continue;"));
                for op in body {
                    if let Op::Fill { to, bits } = op {
                        emit_fill(out, schedule, to, *bits);
                    }
                }
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
