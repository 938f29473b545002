//! A kernel resolved for one rank of one launch: ops whose operands are numbers and pointers.

use super::access::{At, Element};
use super::affine::Affine;
use super::grid::Grid;
use super::guard::Test;
use super::index::Number;
use super::plan::{Counters, HostPlan, Pairs, Space, Table};
use super::route::RouteCode;
use super::table::{Claims, Positions, Prefix};
use super::tile::Tile;
use crate::error::Error;
use crate::launch::Request;
use crate::mem::Buffer;
use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::{
    self, Access, Deal, DealTables, Factor, Guard, Ix, IxOp, Kernel, Op, Peer, Route, Schedule,
    Signal, TableKind, Tensor, Until, Value,
};
use fusco_dsl::sema::hir::{Elem, Reducer};
use std::borrow::Cow;
use std::sync::Arc;

pub(crate) enum Code {
    Tokens {
        var: usize,
        extent: Number,
        chunk: i64,
        body: Vec<Code>,
    },
    /// Ranks, in order.
    Peers {
        rank: usize,
        peers: Vec<i64>,
        body: Vec<Code>,
    },
    Each {
        tuples: Kept,
        /// The body is done for the first kept tuple only.
        first: bool,
        /// What it reduces is added up in these.
        parts: Option<Parts>,
        body: Vec<Code>,
    },
    Groups {
        var: usize,
        groups: Groups,
        body: Vec<Code>,
    },
    Padding {
        live: Number,
        group: usize,
        slot: usize,
        until: Number,
        groups: Groups,
        body: Vec<Code>,
    },
    Once {
        body: Vec<Code>,
    },
    /// If the terms noted before are not none.
    Summed {
        body: Vec<Code>,
    },
    If {
        guards: Vec<Test>,
        body: Vec<Code>,
    },
    Grid(Box<Grid>),
    Tile(Box<Tile>),
    For {
        var: usize,
        extent: i64,
        body: Vec<Code>,
    },
    FillAll {
        buffer: At,
        bits: u64,
    },
    Prefix(Box<Prefix>),
    Positions(Box<Positions>),
    Claim(Box<Claims>),
    Distinct(Box<Claims>),
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

pub(crate) enum Source {
    Row(usize),
    Cast(usize),
    /// The product, rounded to the element type.
    Scaled(Vec<Term>, Elem),
    Int(Number),
    Sum(Elem),
    /// What comes of arithmetic in f32, f64 or i64, rounded to the element type.
    Computed {
        value: Tree,
        number: Elem,
        to: Elem,
    },
}

/// Arithmetic.
pub(crate) enum Tree {
    /// What the terms noted before add up to.
    Sum,
    Scalar(At),
    Row(At),
    Lit(f64),
    Binary(IxOp, Box<Tree>, Box<Tree>),
    /// Arithmetic in `number`, rounded to an element type.
    Cast {
        to: Elem,
        number: Elem,
        of: Box<Tree>,
    },
    Fold(Box<Fold>),
}

/// The kept tuples of a position, as the plan knows them where it is made.
pub(crate) struct Kept {
    pub plan: Arc<HostPlan>,
    pub fan: i64,
    /// Whose plan says so.
    pub rank: Number,
    pub position: Number,
    /// Variables that a tuple gives values.
    pub k: usize,
    pub group: usize,
    pub slot: usize,
    /// Others are passed over.
    pub only: Vec<Test>,
    /// Of those with one such number the first is taken.
    pub once: Option<Number>,
}

/// A reduction over loops of its own.
pub(crate) struct Fold {
    pub by: Reducer,
    /// What it is of no terms.
    pub start: f64,
    pub vars: Vec<(usize, i64)>,
    /// Of one of the variables only the values of kept tuples count.
    pub tuples: Option<Kept>,
    pub parts: Option<Parts>,
    pub guards: Vec<Test>,
    pub term: Tree,
}

/// Terms of a sum by parts: the number of one's part, and what a part is rounded to.
pub(crate) struct Parts {
    pub of: Number,
    pub partial: Elem,
}

pub(crate) enum Term {
    Row(usize),
    Scalar(At),
    Lit(f32),
}

pub(crate) enum Target {
    Epoch,
    /// Tiles of groups, numbered by `base`, with `live` rows; both read `var`.
    Groups {
        base: Number,
        live: Number,
        var: usize,
        groups: Groups,
    },
    Rows {
        extent: Number,
    },
}

/// The groups of a rank, ascending.
pub(crate) enum Groups {
    Known(Vec<i64>),
    /// As the plan says, where it is made.
    Planned {
        plan: Arc<HostPlan>,
        me: usize,
        tables: DealTables,
        member: usize,
    },
}

impl Groups {
    pub(crate) fn list(&self) -> Cow<'_, [i64]> {
        match self {
            Groups::Known(groups) => Cow::Borrowed(groups),
            Groups::Planned { plan, me, tables, member } => {
                Cow::Owned(plan.ranks[*me].groups_of(tables, *member))
            }
        }
    }
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

    pub(super) fn schedule(&self) -> &'a Schedule {
        &self.request.schedule
    }

    pub(super) fn body(&self, ops: &[Op]) -> Result<Vec<Code>, Error> {
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
            Op::Peers { route, rank, body } => {
                let info = &self.schedule().routes[*route];
                let mut peers: Vec<i64> = info.peers_of(self.me as i64).collect();
                let next = (info.member_of(self.me as i64) + 1) % info.members.max(1);
                peers.rotate_left(next as usize);
                Code::Peers { rank: rank.index(), peers, body: self.body(body)? }
            }
            Op::Each { tuples, first, parts, body } => Code::Each {
                tuples: self.kept(tuples)?,
                first: *first,
                parts: self.parts(parts.as_ref())?,
                body: self.body(body)?,
            },
            Op::Groups { deal, var, body } => {
                let groups = self.own_groups(*deal)?;
                Code::Groups { var: var.index(), groups, body: self.body(body)? }
            }
            Op::Padding { deal, group, slot, until, body } => {
                let groups = self.own_groups(*deal)?;
                let route = self.schedule().deals[*deal].route;
                let live = self.live(route, Number::Var(group.index()))?;
                Code::Padding {
                    live,
                    group: group.index(),
                    slot: slot.index(),
                    until: self.number(until)?,
                    groups,
                    body: self.body(body)?,
                }
            }
            Op::Once { body } => Code::Once { body: self.body(body)? },
            Op::Summed { body } => Code::Summed { body: self.body(body)? },
            Op::If { guards, body } => {
                Code::If { guards: self.guards(guards)?, body: self.body(body)? }
            }
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
            Op::Grid { vars, share, guards, body } => {
                Code::Grid(Box::new(self.grid(vars, share.as_ref(), guards, body)?))
            }
            Op::Tile(tile) => Code::Tile(Box::new(self.tile(tile)?)),
            Op::For { var, extent, body } => {
                Code::For { var: var.index(), extent: *extent, body: self.body(body)? }
            }
            Op::FillAll { tensor, bits } => {
                Code::FillAll { buffer: self.whole(*tensor)?, bits: *bits }
            }
            Op::Prefix { .. } => Code::Prefix(Box::new(self.prefix(op)?)),
            Op::Claim(claims) => Code::Claim(Box::new(self.claims(claims)?)),
            Op::Distinct(claims) => Code::Distinct(Box::new(self.claims(claims)?)),
            Op::Positions { table, var, extent, owner } => Code::Positions(Box::new(Positions {
                table: self.table(*table)?,
                var: var.index(),
                extent: *extent,
                owner: self.number(owner)?,
            })),
        })
    }

    pub(crate) fn number(&self, ix: &Ix) -> Result<Number, Error> {
        Ok(match ix {
            Ix::Lit(_) | Ix::Me | Ix::Dyn(_) => Number::Lit(self.request.number(ix, self.me)),
            Ix::Var(v) => Number::Var(v.index()),
            Ix::Base { base, group } => {
                let plan =
                    self.plan(self.schedule().deals[self.schedule().bases[*base].deal].route)?;
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
            Ix::Pair { route, tuple, part } => {
                Number::Pair(self.pairs(*route)?, Box::new(self.number(tuple)?), *part)
            }
            Ix::Binary { op, lhs, rhs } => {
                Number::binary(*op, self.number(lhs)?, self.number(rhs)?)
            }
            Ix::DynAt { of, rank } => {
                let values: Arc<[i64]> = self.request.dyns[of.index()].as_slice().into();
                Number::lookup(values, self.number(rank)?)
            }
            Ix::Element { tensor, rank, at } => {
                let rank = self.number(rank)?;
                Number::Element(Box::new(Element(self.place(
                    *tensor,
                    rank,
                    self.number(at)?,
                    1,
                    1,
                )?)))
            }
            Ix::Lookup { table, index } => match &self.schedule().tables[*table].kind {
                TableKind::Const(values) => {
                    Number::lookup(values.as_slice().into(), self.number(index)?)
                }
                TableKind::Computed | TableKind::Planned(_) => {
                    Number::Computed(self.table(*table)?, Box::new(self.number(index)?))
                }
            },
        })
    }

    pub(super) fn at(&self, access: &Access) -> Result<At, Error> {
        let (rank, row) = (self.number(&access.rank)?, self.number(&access.row)?);
        self.place(access.tensor, rank, row, access.unit, access.run)
    }

    /// This rank's part of a tensor.
    fn whole(&self, tensor: Handle<Tensor>) -> Result<At, Error> {
        let elems = self.schedule().tensors[tensor].elems;
        self.place(tensor, Number::Lit(self.me as i64), Number::Lit(0), 1, elems)
    }

    fn place(
        &self,
        tensor: Handle<Tensor>,
        rank: Number,
        row: Number,
        unit: i64,
        run: i64,
    ) -> Result<At, Error> {
        let info = &self.schedule().tensors[tensor];
        let bytes = info.elem.bytes();
        Ok(At {
            buffer: self.buffer(tensor)?,
            elem: info.elem,
            rank: Affine::of(&rank),
            row: Affine::of(&row),
            unit: (unit * bytes) as usize,
            bytes: (run * bytes) as usize,
            swizzle: info.swizzle,
            large: info.elems * bytes * self.schedule().ranks >= LARGE,
        })
    }

    /// A computed table of this rank's home, or of its plan.
    pub(super) fn table(&self, table: Handle<ir::Table>) -> Result<Table, Error> {
        let info = &self.schedule().tables[table];
        let space = match info.kind {
            TableKind::Planned(route) => self.plan(route)?,
            TableKind::Const(_) | TableKind::Computed => self.space(None)?,
        };
        let found = space.ranks[self.me].tables.get(&table).cloned();
        found.ok_or_else(|| Error::Internal(format!("no workspace has table `{}`", info.name)))
    }

    fn source(&self, value: &Value) -> Result<Source, Error> {
        Ok(match value {
            Value::Row(row) => Source::Row(row.0 as usize),
            Value::Scaled { factors, to } => Source::Scaled(self.factors(factors)?, *to),
            Value::Int(ix) => Source::Int(self.number(ix)?),
            Value::Sum { value: ir::Tree::Sum, to } => Source::Sum(*to),
            Value::Sum { value, to } => {
                let number = value.number(self.schedule());
                Source::Computed { value: self.tree(value)?, number, to: *to }
            }
            Value::Cast(row, _) => Source::Cast(row.0 as usize),
        })
    }

    fn tree(&self, value: &ir::Tree) -> Result<Tree, Error> {
        Ok(match value {
            ir::Tree::Sum => Tree::Sum,
            ir::Tree::Row(access) => Tree::Row(self.at(access)?),
            ir::Tree::Scalar(access) => Tree::Scalar(self.at(access)?),
            ir::Tree::Lit(v, _) => Tree::Lit(*v),
            ir::Tree::Cast(to, of) => {
                let number = of.number(self.schedule());
                Tree::Cast { to: *to, number, of: Box::new(self.tree(of)?) }
            }
            ir::Tree::Binary { op, lhs, rhs } => {
                Tree::Binary(*op, Box::new(self.tree(lhs)?), Box::new(self.tree(rhs)?))
            }
            ir::Tree::Fold(fold) => Tree::Fold(Box::new(Fold {
                by: fold.by,
                start: fold.start(),
                vars: fold.vars.iter().map(|(v, n)| (v.index(), *n)).collect(),
                tuples: fold.tuples.as_ref().map(|tuples| self.kept(tuples)).transpose()?,
                parts: self.parts(fold.parts.as_ref())?,
                guards: self.guards(&fold.guards)?,
                term: self.tree(&fold.term)?,
            })),
        })
    }

    /// What the plan says of each tuple of this rank.
    pub(super) fn pairs(&self, route: Handle<ir::Route>) -> Result<Pairs, Error> {
        Ok(self.plan(route)?.ranks[self.me].pairs.clone())
    }

    fn kept(&self, tuples: &ir::Kept) -> Result<Kept, Error> {
        let only = Vec::from_iter(tuples.only.clone().map(Guard::Holds));
        Ok(Kept {
            plan: self.plan(tuples.route)?,
            fan: self.schedule().routes[tuples.route].fan,
            rank: self.number(&tuples.rank)?,
            position: self.number(&tuples.position)?,
            k: tuples.k.index(),
            group: tuples.group.index(),
            slot: tuples.slot.index(),
            only: self.guards(&only)?,
            once: tuples.once.as_ref().map(|once| self.number(once)).transpose()?,
        })
    }

    fn parts(&self, parts: Option<&ir::Parts>) -> Result<Option<Parts>, Error> {
        let of = |p: &ir::Parts| Ok(Parts { of: self.number(&p.of)?, partial: p.partial });
        parts.map(of).transpose()
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
                    .ok_or_else(|| Error::Internal("tiles of groups need a route".to_string()))?;
                let groups = self.own_groups(self.schedule().bases[*base].deal)?;
                let var = self.schedule().vars.len();
                let table = self.plan(route)?.ranks[self.me].bases[base].clone();
                let base = Number::Table(table, Box::new(Number::Var(var)));
                Target::Groups { base, live: self.live(route, Number::Var(var))?, var, groups }
            }
        })
    }

    fn route(&self, step: RouteStep, route: Handle<Route>) -> Result<Code, Error> {
        Ok(Code::Route { step, route: Arc::new(RouteCode::new(self, route)?) })
    }

    fn own_groups(&self, deal: Handle<Deal>) -> Result<Groups, Error> {
        let deal = &self.schedule().deals[deal];
        let member = self.schedule().routes[deal.route].member_of(self.me as i64);
        match (deal.groups.groups_of(member), deal.tables) {
            (Some(groups), _) => Ok(Groups::Known(groups)),
            (None, Some(tables)) => {
                let (plan, member) = (self.plan(deal.route)?, member as usize);
                Ok(Groups::Planned { plan, me: self.me, tables, member })
            }
            (None, None) => Err(Error::Internal("nothing says who has which groups".to_string())),
        }
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
        let plan = self.request.space(route)?.kind();
        plan.cloned().ok_or_else(|| Error::Internal("a workspace is not on the host".to_string()))
    }

    pub(crate) fn buffer(&self, tensor: Handle<Tensor>) -> Result<Buffer, Error> {
        let buffer = self.request.buffer(tensor).cloned();
        buffer.ok_or_else(|| {
            Error::Internal(format!("no buffer for `{}`", self.schedule().tensors[tensor].name))
        })
    }
}

impl Space {
    pub(crate) fn counters(&self, signal: Handle<Signal>) -> &Counters {
        &self.signals[&signal]
    }
}
