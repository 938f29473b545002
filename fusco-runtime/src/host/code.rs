//! A kernel resolved for one rank of one launch: ops whose operands are numbers and pointers.

use super::index::Number;
use super::plan::{Counters, HostPlan, Space};
use super::route::RouteCode;
use crate::engine::{Error, Request};
use crate::mem::{Buffer, Memory};
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{
    Access, Factor, Ix, Kernel, Op, Peer, Route, Schedule, Signal, Tensor, Until, Value,
};
use fusco_dsl::sema::hir::Elem;
use std::sync::Arc;

pub(crate) enum Code {
    Tokens {
        var: usize,
        extent: Number,
        chunk: i64,
        body: Vec<Code>,
    },
    Each {
        plan: Arc<HostPlan>,
        fan: i64,
        position: Number,
        k: usize,
        group: usize,
        slot: usize,
        body: Vec<Code>,
    },
    Groups {
        var: usize,
        first: i64,
        count: i64,
        body: Vec<Code>,
    },
    Padding {
        live: Number,
        group: usize,
        slot: usize,
        until: Number,
        first: i64,
        count: i64,
        body: Vec<Code>,
    },
    Once {
        body: Vec<Code>,
    },
    Route {
        step: RouteStep,
        route: Arc<RouteCode>,
    },
    Load {
        row: usize,
        from: At,
    },
    Put {
        value: Source,
        to: At,
    },
    Fill {
        to: At,
        bits: u64,
    },
    Reduce {
        factors: Vec<Term>,
    },
    Reset {
        plan: Arc<HostPlan>,
        signal: Handle<Signal>,
    },
    Signal {
        plan: Arc<HostPlan>,
        signal: Handle<Signal>,
        to: Option<Number>,
        slot: Number,
    },
    Wait {
        plan: Arc<HostPlan>,
        signal: Handle<Signal>,
        name: String,
        until: Target,
    },
}

#[derive(Clone, Copy)]
pub(crate) enum RouteStep {
    Count,
    Scan,
    Tables,
    Slots,
}

/// `bytes` of a tensor on a rank, at `row * bytes`.
pub(crate) struct At {
    pub buffer: Buffer,
    pub elem: Elem,
    pub rank: Number,
    pub row: Number,
    pub bytes: usize,
    /// Too large for the caches: stores go past them.
    pub large: bool,
}

pub(crate) enum Source {
    Row(usize),
    /// The product, rounded to the element type.
    Scaled(Vec<Term>, Elem),
    Int(Number),
    Sum(Elem),
}

pub(crate) enum Term {
    Row(usize),
    Scalar(At),
    Lit(f32),
}

pub(crate) enum Target {
    Epoch,
    /// Tiles of groups `first..first + count`, numbered by `base`, with `live` rows; both read `var`.
    Groups {
        base: Number,
        live: Number,
        var: usize,
        first: i64,
        count: i64,
    },
    Rows {
        extent: Number,
    },
}

/// Fills in one rank's numbers.
pub(crate) struct Resolver<'a> {
    pub request: &'a Request,
    pub me: usize,
    pub chunk: i64,
}

/// Bytes of a tensor on all ranks above which its rows are stored past the caches.
const LARGE: i64 = 16 << 20;

impl<'a> Resolver<'a> {
    pub(crate) fn kernel(&self, kernel: &Kernel) -> Result<Vec<Code>, Error> {
        let mut code = Vec::new();
        for role in &kernel.roles {
            code.extend(self.body(&role.body)?);
        }
        Ok(code)
    }

    fn schedule(&self) -> &'a Schedule {
        &self.request.schedule
    }

    fn body(&self, ops: &[Op]) -> Result<Vec<Code>, Error> {
        ops.iter().filter(|op| !matches!(op, Op::Barrier)).map(|op| self.op(op)).collect()
    }

    fn op(&self, op: &Op) -> Result<Code, Error> {
        Ok(match op {
            Op::Tokens { var, extent, body } => Code::Tokens {
                var: var.index(),
                extent: self.number(extent)?,
                chunk: self.chunk,
                body: self.body(body)?,
            },
            Op::Each { route, position, k, group, slot, body } => Code::Each {
                plan: self.plan(*route)?,
                fan: self.schedule().routes[*route].fan,
                position: self.number(position)?,
                k: k.index(),
                group: group.index(),
                slot: slot.index(),
                body: self.body(body)?,
            },
            Op::Groups { route, var, body } => {
                let (first, count) = self.own_groups(*route);
                Code::Groups { var: var.index(), first, count, body: self.body(body)? }
            }
            Op::Padding { route, group, slot, until, body } => {
                let (first, count) = self.own_groups(*route);
                let live = self.live(*route, Number::Var(group.index()))?;
                Code::Padding {
                    live,
                    group: group.index(),
                    slot: slot.index(),
                    until: self.number(until)?,
                    first,
                    count,
                    body: self.body(body)?,
                }
            }
            Op::Once { body } => Code::Once { body: self.body(body)? },
            Op::Count { route } => self.route(RouteStep::Count, *route)?,
            Op::Scan { route } => self.route(RouteStep::Scan, *route)?,
            Op::Tables { route } => self.route(RouteStep::Tables, *route)?,
            Op::Slots { route } => self.route(RouteStep::Slots, *route)?,
            Op::Load { row, from } | Op::Pull { row, from } => {
                Code::Load { row: row.0 as usize, from: self.at(from)? }
            }
            Op::Put { value, to } => Code::Put { value: self.source(value)?, to: self.at(to)? },
            Op::Fill { to, bits } => Code::Fill { to: self.at(to)?, bits: *bits },
            Op::Reduce { factors, .. } => Code::Reduce { factors: self.factors(factors)? },
            Op::Barrier => Code::Once { body: Vec::new() },
            Op::Reset { signal } => {
                Code::Reset { plan: self.signal_plan(*signal)?, signal: *signal }
            }
            Op::Signal { signal, to, slot } => Code::Signal {
                plan: self.signal_plan(*signal)?,
                signal: *signal,
                to: match to {
                    Peer::All => None,
                    Peer::Rank(rank) => Some(self.number(rank)?),
                },
                slot: self.number(slot)?,
            },
            Op::Wait { signal, until } => Code::Wait {
                plan: self.signal_plan(*signal)?,
                signal: *signal,
                name: self.schedule().signals[*signal].name.clone(),
                until: self.until(*signal, until)?,
            },
            _ => return Err(later()),
        })
    }

    pub(crate) fn number(&self, ix: &Ix) -> Result<Number, Error> {
        Ok(match ix {
            Ix::Lit(_) | Ix::Me | Ix::Dyn(_) => Number::Lit(self.request.number(ix, self.me)),
            Ix::Var(v) => Number::Var(v.index()),
            Ix::Base { base, group } => {
                let plan = self.plan(self.schedule().bases[*base].route)?;
                Number::Table(
                    plan.ranks[self.me].bases[base].clone(),
                    Box::new(self.number(group)?),
                )
            }
            Ix::Live { route, group } => self.live(*route, self.number(group)?)?,
            Ix::Dropped(route) => Number::Table(
                self.plan(*route)?.ranks[self.me].dropped.clone(),
                Box::new(Number::Lit(0)),
            ),
            Ix::Binary { op, lhs, rhs } => {
                Number::binary(*op, self.number(lhs)?, self.number(rhs)?)
            }
            _ => return Err(later()),
        })
    }

    fn at(&self, access: &Access) -> Result<At, Error> {
        let tensor = &self.schedule().tensors[access.tensor];
        let bytes = tensor.elem.bytes();
        Ok(At {
            buffer: self.buffer(access.tensor)?,
            elem: tensor.elem,
            rank: self.number(&access.rank)?,
            row: self.number(&access.row)?,
            bytes: (access.run * bytes) as usize,
            large: tensor.elems * bytes * self.schedule().ranks >= LARGE,
        })
    }

    fn source(&self, value: &Value) -> Result<Source, Error> {
        Ok(match value {
            Value::Row(row) => Source::Row(row.0 as usize),
            Value::Scaled { factors, to } => Source::Scaled(self.factors(factors)?, *to),
            Value::Int(ix) => Source::Int(self.number(ix)?),
            Value::Sum(elem) => Source::Sum(*elem),
            Value::Cast(..) => return Err(later()),
        })
    }

    fn factors(&self, factors: &[Factor]) -> Result<Vec<Term>, Error> {
        factors.iter().map(|f| self.factor(f)).collect()
    }

    fn factor(&self, factor: &Factor) -> Result<Term, Error> {
        Ok(match factor {
            Factor::Row(row) => Term::Row(row.0 as usize),
            Factor::Scalar(access) => Term::Scalar(self.at(access)?),
            Factor::Lit(v) => Term::Lit(*v),
        })
    }

    fn until(&self, signal: Handle<Signal>, until: &Until) -> Result<Target, Error> {
        Ok(match until {
            Until::Epoch => Target::Epoch,
            Until::Rows { extent } => Target::Rows { extent: self.number(extent)? },
            Until::Groups { base } => {
                let route = self.schedule().signals[signal]
                    .route
                    .ok_or_else(|| Error::plan("tiles of groups need a route".to_string()))?;
                let (first, count) = self.own_groups(route);
                let var = self.schedule().vars.len();
                let table = self.plan(route)?.ranks[self.me].bases[base].clone();
                let base = Number::Table(table, Box::new(Number::Var(var)));
                Target::Groups {
                    base,
                    live: self.live(route, Number::Var(var))?,
                    var,
                    first,
                    count,
                }
            }
        })
    }

    fn route(&self, step: RouteStep, route: Handle<Route>) -> Result<Code, Error> {
        Ok(Code::Route { step, route: Arc::new(RouteCode::new(self, route)?) })
    }

    pub(crate) fn own_groups(&self, route: Handle<Route>) -> (i64, i64) {
        let count = self.schedule().routes[route].groups_per_rank;
        (self.me as i64 * count, count)
    }

    fn live(&self, route: Handle<Route>, group: Number) -> Result<Number, Error> {
        Ok(Number::Table(self.plan(route)?.ranks[self.me].live.clone(), Box::new(group)))
    }

    fn signal_plan(&self, signal: Handle<Signal>) -> Result<Arc<HostPlan>, Error> {
        self.space(self.schedule().signals[signal].route)
    }

    pub(crate) fn plan(&self, route: Handle<Route>) -> Result<Arc<HostPlan>, Error> {
        self.space(Some(route))
    }

    /// A plan's workspace, or the home.
    fn space(&self, route: Option<Handle<Route>>) -> Result<Arc<HostPlan>, Error> {
        let plan = self.request.space(route)?.host();
        plan.cloned().ok_or_else(|| Error::plan("a workspace is not on the host".to_string()))
    }

    pub(crate) fn buffer(&self, tensor: Handle<Tensor>) -> Result<Buffer, Error> {
        let buffer = self.request.buffer(tensor).cloned();
        buffer.ok_or_else(|| {
            Error::buffer(format!("no buffer for `{}`", self.schedule().tensors[tensor].name))
        })
    }
}

fn later() -> Error {
    Error::plan("not on the host yet".to_string())
}

impl At {
    /// Where the access begins.
    #[inline]
    pub(crate) fn locate(&self, vars: &[i64]) -> Result<*mut u8, Error> {
        let (rank, row) = (self.rank.get(vars), self.row.get(vars));
        let Memory::Host(parts) = self.buffer.memory() else { return Err(self.outside(rank, row)) };
        let part = usize::try_from(rank)
            .ok()
            .and_then(|r| parts.get(r))
            .ok_or_else(|| self.outside(rank, row))?;
        let start = usize::try_from(row)
            .ok()
            .and_then(|r| r.checked_mul(self.bytes))
            .ok_or_else(|| self.outside(rank, row))?;
        if start.checked_add(self.bytes).is_none_or(|end| end > part.len()) {
            return Err(self.outside(rank, row));
        }
        // SAFETY: `start + bytes` is within the allocation by the line above.
        Ok(unsafe { part.start().add(start) })
    }

    #[cold]
    fn outside(&self, rank: i64, row: i64) -> Error {
        Error::buffer(format!(
            "`{}` has no row {row} of {} bytes on rank {rank}",
            self.buffer.name(),
            self.bytes
        ))
    }
}

impl Space {
    pub(crate) fn counters(&self, signal: Handle<Signal>) -> &Counters {
        &self.signals[&signal]
    }
}
