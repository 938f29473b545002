//! Schedules of movements without a route, built by hand: steps between two handshakes.

use fusco_dsl::arena::Handle;
use fusco_dsl::schedule::ir::*;
use fusco_dsl::schedule::verify;
use fusco_dsl::sema::hir::{Elem, Io, Swizzle};
use fusco_dsl::source::Span;
use fusco_runtime::{Bound, World};

pub struct Builder {
    schedule: Schedule,
}

impl Builder {
    pub fn new(ranks: usize) -> Builder {
        let schedule =
            Schedule { program: "grids".into(), ranks: ranks as i64, ..Schedule::default() };
        Builder { schedule }
    }

    pub fn tensor(
        &mut self,
        name: &str,
        io: Io,
        elem: Elem,
        elems: i64,
        swizzle: Option<Swizzle>,
    ) -> Handle<Tensor> {
        let name = name.to_string();
        self.schedule.tensors.append(Tensor { name, io, elem, elems, remote: true, swizzle })
    }

    pub fn var(&mut self) -> Handle<Var> {
        let name = format!("v{}", self.schedule.vars.len());
        self.schedule.vars.append(Var { name, signed: false })
    }

    pub fn dynamic(&mut self, name: &str, bound: i64) -> Handle<Dyn> {
        self.schedule.dyns.append(Dyn {
            name: name.into(),
            per_rank: true,
            values: self.schedule.ranks,
            bound,
        })
    }

    pub fn computed(&mut self, name: &str, len: i64) -> Handle<Table> {
        self.schedule.tables.append(Table { name: name.into(), len, kind: TableKind::Computed })
    }

    pub fn known(&mut self, name: &str, values: Vec<i64>) -> Handle<Table> {
        let len = values.len() as i64;
        self.schedule.tables.append(Table {
            name: name.into(),
            len,
            kind: TableKind::Const(values),
        })
    }

    /// Each kernel does its ops between a handshake and, in the last one, another.
    pub fn entry(
        &mut self,
        name: &str,
        kernels: Vec<Vec<Op>>,
        tensors: Vec<Handle<Tensor>>,
        dyns: Vec<Handle<Dyn>>,
    ) {
        let last = kernels.len() - 1;
        let steps = kernels.into_iter().enumerate().map(|(i, ops)| {
            let kernel = format!("{name}_{i}");
            let mut roles = vec![
                role(RoleKind::Open, self.meet(&format!("{kernel}_ready"))),
                role(RoleKind::Move, ops),
            ];
            if i == last {
                roles.push(role(RoleKind::Close, self.meet(&format!("{kernel}_done"))));
            }
            step(kernel, roles)
        });
        let steps = steps.collect();
        self.schedule.entries.push(Entry {
            temporaries: Vec::new(),
            name: name.into(),
            span: Span::default(),
            plans: vec![],
            takes: vec![],
            tensors,
            dyns,
            arrivals: vec![],
            steps,
        });
    }

    fn meet(&mut self, name: &str) -> Vec<Op> {
        let signal = self.schedule.signals.append(Signal {
            name: name.into(),
            route: None,
            kind: SignalKind::Epoch { per_cta: false },
            slots: self.schedule.ranks,
        });
        let tell = Op::Signal { signal, to: Peer::All, slot: Ix::Me };
        vec![Op::Barrier, Op::Once { body: vec![tell] }, Op::Wait { signal, until: Until::Epoch }]
    }

    pub fn bind(self, world: &World) -> Bound {
        let schedule = verify(self.schedule).expect("the schedule of the test is sound");
        Bound::from_schedule(world, schedule).expect("binds")
    }
}

fn role(kind: RoleKind, body: Vec<Op>) -> Role {
    Role { kind, text: Vec::new(), span: Span::default(), body }
}

fn step(name: String, roles: Vec<Role>) -> Step {
    let tuning = Tuning { chunk: Some(1), ..Tuning::default() };
    let kernel = Kernel { name, route: None, roles, fetched: None, tuning };
    Step { alternatives: vec![Alternative { when: None, kernel }] }
}

/// Row `row` of rows of `run` elements.
pub fn run(tensor: Handle<Tensor>, rank: Ix, row: Ix, run: i64) -> Access {
    Access { tensor, rank, row, unit: run, run, vector: 1 }
}

pub fn add(a: Ix, b: Ix) -> Ix {
    Ix::binary(IxOp::Add, a, b)
}

pub fn times(a: Ix, by: i64) -> Ix {
    Ix::binary(IxOp::Mul, a, Ix::Lit(by))
}
