//! `moe.fusco` as a schedule built by hand, so that the engine is tested apart from the compiler.

use fusco_dsl::arena::Handle;
use fusco_dsl::layout::{self, Count, Local, OrderDigit, RankDigit, SlotOrder, Source};
use fusco_dsl::schedule::ir::*;
use fusco_dsl::schedule::{Verified, verify};
use fusco_dsl::sema::hir::{self, Elem, Io, Size, VarExtent};
use fusco_dsl::source::Span;

#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub ranks: i64,
    pub experts: i64,
    pub fan: i64,
    pub hidden: i64,
    pub tokens: i64,
}

struct Names {
    x: Handle<Tensor>,
    w: Handle<Tensor>,
    y: Handle<Tensor>,
    n: Handle<Tensor>,
    z: Handle<Tensor>,
    o: Handle<Tensor>,
    topk: Handle<Tensor>,
    route: Handle<Route>,
    deal: Handle<Deal>,
    base: Handle<Base>,
    tokens: Ix,
    t: Handle<Var>,
    k: Handle<Var>,
    e: Handle<Var>,
    c: Handle<Var>,
}

impl Shape {
    /// `(s, t, k)`, of which `s` is the rank.
    fn tuples(&self) -> Tuples {
        let mut vars = fusco_dsl::arena::Arena::default();
        let mut source = |ranks: Vec<RankDigit>, bound: i64| {
            let size = Size::Lit(bound);
            let extent = VarExtent::Fixed(size.clone());
            let var = vars.append(hir::Var { name: String::new(), extent });
            Source { var, ranks, local: Local::Size(size), bound }
        };
        let digit = RankDigit { weight: 1, radix: self.ranks, ranks: 1 };
        let sources = vec![
            source(vec![digit], 1),
            source(Vec::new(), self.tokens),
            source(Vec::new(), self.fan),
        ];
        let names = ["s", "t", "k"].map(String::from).to_vec();
        Tuples { names, sources, positions: vec![0, 1], choice: Some(2), stride: 1, first: 0 }
    }

    pub fn rows(&self) -> i64 {
        self.tokens * self.ranks * self.fan + self.experts / self.ranks * 127
    }

    pub fn schedule(self) -> Verified<Schedule> {
        let mut s = Schedule { program: "moe".into(), ranks: self.ranks, ..Schedule::default() };
        let names = self.names(&mut s);
        s.entries = vec![self.dispatch(&mut s, &names), self.combine(&mut s, &names)];
        verify(s).expect("the schedule of the test is sound")
    }

    fn names(self, s: &mut Schedule) -> Names {
        let tokens = s.dyns.append(Dyn {
            name: "T".into(),
            per_rank: true,
            values: self.ranks,
            bound: self.tokens,
        });
        let tokens = Ix::Dyn(tokens);
        let mut tensor = |name: &str, io, elem, elems, remote| {
            s.tensors.append(Tensor { name: name.into(), io, elem, elems, remote, swizzle: None })
        };
        let x = tensor("x", Io::In, Elem::Bf16, self.tokens * self.hidden, false);
        let topk = tensor("topk", Io::In, Elem::I64, self.tokens * self.fan, false);
        let w = tensor("w", Io::In, Elem::F32, self.tokens * self.fan, false);
        let y = tensor("y", Io::Out, Elem::Bf16, self.rows() * self.hidden, true);
        let n = tensor("n", Io::Out, Elem::I32, self.experts / self.ranks, false);
        let z = tensor("z", Io::In, Elem::Bf16, self.rows() * self.hidden, true);
        let o = tensor("o", Io::Out, Elem::Bf16, self.tokens * self.hidden, false);
        let mut var = |name: &str| s.vars.append(Var { name: name.into(), signed: false });
        let (t, k, e, c, index) = (var("t"), var("k"), var("e"), var("c"), var("index"));
        let route = s.routes.append(Route {
            name: "r".into(),
            index: topk,
            tuples: self.tuples(),
            position: t,
            choice: k,
            lookups: vec![Lookup {
                var: index,
                tensor: topk,
                at: Route::row_major((t, self.tokens), (k, self.fan)),
                guards: Vec::new(),
                none: Some(-1),
                trap: false,
            }],
            guards: Vec::new(),
            group: Ix::Var(index),
            positions: tokens.clone(),
            positions_bound: self.tokens,
            ranks: self.ranks,
            members: self.ranks,
            stride: 1,
            fan: self.fan,
            groups: self.experts,
            order: SlotOrder {
                keys: ["s", "t", "k"].map(String::from).to_vec(),
                run: Count::Known(1),
                inner: Count::Positions { times: self.fan, over: 1 },
                outer: 1,
                digits: vec![OrderDigit { of_rank: true, radix: self.ranks, weight: 1 }],
            },
            cap: None,
            trap_cap: false,
            distinct: false,
            from: None,
            span: Span::default(),
        });
        let each = self.experts / self.ranks;
        let groups = layout::Deal {
            groups: self.experts,
            members: self.ranks,
            form: DealForm::Blocks { each },
        };
        let deal = s.deals.append(Deal { route, number: 1, groups, tables: None, read: None });
        let base = s.bases.append(Base { name: "base128".into(), deal, align: TILE_ROWS });
        Names { x, w, y, n, z, o, topk, route, deal, base, tokens, t, k, e, c }
    }

    fn dispatch(self, s: &mut Schedule, n: &Names) -> Entry {
        let tiles = self.signal(
            s,
            n,
            "dispatch_tiles",
            SignalKind::Tiles,
            self.rows() / TILE_ROWS + self.experts + 1,
        );
        let exchange =
            self.signal(s, n, "dispatch_exchange", SignalKind::Epoch { per_cta: true }, self.ranks);
        let route = n.route;
        let plan = vec![
            Op::Reset { signal: tiles },
            Op::Count { route },
            Op::Barrier,
            Op::Scan { route },
            Op::Signal { signal: exchange, to: Peer::All, slot: Ix::Me },
            Op::Wait { signal: exchange, until: Until::Epoch },
            Op::Tables { route },
            Op::Slots { route },
        ];
        let row = Row(0);
        let each = vec![
            Op::Put {
                value: Value::Row(row),
                to: access(n.y, self.owner(n), self.row(n), self.hidden),
            },
            Op::Signal {
                signal: tiles,
                to: Peer::Rank(self.owner(n)),
                slot: Ix::binary(IxOp::Div, self.row(n), Ix::Lit(TILE_ROWS)),
            },
        ];
        let body = vec![
            Op::Load { row, from: access(n.x, Ix::Me, Ix::Var(n.t), self.hidden) },
            self.each(n, each),
        ];
        let produce = vec![Op::Tokens { var: n.t, extent: n.tokens.clone(), body }];
        let live = Ix::Live { route, group: Box::new(Ix::Var(n.e)) };
        let up =
            Ix::binary(IxOp::Div, Ix::binary(IxOp::Add, live.clone(), Ix::Lit(127)), Ix::Lit(128));
        let until = Ix::binary(IxOp::Mul, up, Ix::Lit(128));
        let fill = Op::Fill { to: access(n.y, Ix::Me, self.row(n), self.hidden), bits: 0 };
        let padding =
            vec![Op::Padding { deal: n.deal, group: n.e, slot: n.c, until, body: vec![fill] }];
        let local = Ix::binary(IxOp::Rem, Ix::Var(n.e), Ix::Lit(self.experts / self.ranks));
        let count = Op::Put { value: Value::Int(live), to: access(n.n, Ix::Me, local, 1) };
        let derive = vec![Op::Groups { deal: n.deal, var: n.e, body: vec![count] }];
        let close = vec![Op::Wait { signal: tiles, until: Until::Groups { base: n.base } }];
        let roles = vec![
            role(RoleKind::Produce, produce),
            role(RoleKind::Fill, padding),
            role(RoleKind::Derive, derive),
            role(RoleKind::Close, close),
        ];
        let steps = vec![
            step("dispatch_plan_r", route, vec![role(RoleKind::Plan, plan)]),
            step("dispatch", route, roles),
        ];
        let Ix::Dyn(tokens) = n.tokens else { unreachable!() };
        entry(
            "dispatch",
            vec![route],
            vec![],
            vec![n.x, n.topk, n.y, n.n],
            tokens,
            vec![tiles],
            steps,
        )
    }

    fn combine(self, s: &mut Schedule, n: &Names) -> Entry {
        let rows =
            self.signal(s, n, "combine_rows", SignalKind::Tiles, self.tokens / TILE_ROWS + 1);
        let ready =
            self.signal(s, n, "combine_ready", SignalKind::Epoch { per_cta: false }, self.ranks);
        let done =
            self.signal(s, n, "combine_done", SignalKind::Epoch { per_cta: false }, self.ranks);
        let meet = |signal| {
            let tell = Op::Signal { signal, to: Peer::All, slot: Ix::Me };
            [Op::Barrier, Op::Once { body: vec![tell] }, Op::Wait { signal, until: Until::Epoch }]
        };
        let open = [vec![Op::Reset { signal: rows }], meet(ready).to_vec()].concat();
        let weight = Ix::binary(
            IxOp::Add,
            Ix::binary(IxOp::Mul, Ix::Var(n.t), Ix::Lit(self.fan)),
            Ix::Var(n.k),
        );
        let each = vec![
            Op::Pull { row: Row(0), from: access(n.z, self.owner(n), self.row(n), self.hidden) },
            Op::Reduce {
                factors: vec![Factor::Scalar(access(n.w, Ix::Me, weight, 1)), Factor::Row(Row(0))],
                run: self.hidden,
            },
        ];
        let body = vec![
            self.each(n, each),
            Op::Put {
                value: Value::Sum { value: Tree::Sum, to: Elem::Bf16 },
                to: access(n.o, Ix::Me, Ix::Var(n.t), self.hidden),
            },
            Op::Signal {
                signal: rows,
                to: Peer::Rank(Ix::Me),
                slot: Ix::binary(IxOp::Div, Ix::Var(n.t), Ix::Lit(TILE_ROWS)),
            },
        ];
        let reduce = vec![Op::Tokens { var: n.t, extent: n.tokens.clone(), body }];
        let roles = vec![
            role(RoleKind::Open, open),
            role(RoleKind::Reduce, reduce),
            role(RoleKind::Close, meet(done).to_vec()),
        ];
        let Ix::Dyn(tokens) = n.tokens else { unreachable!() };
        let steps = vec![step("combine", n.route, roles)];
        entry("combine", vec![], vec![n.route], vec![n.w, n.z, n.o], tokens, vec![rows], steps)
    }

    fn signal(
        self,
        s: &mut Schedule,
        n: &Names,
        name: &str,
        kind: SignalKind,
        slots: i64,
    ) -> Handle<Signal> {
        s.signals.append(Signal { name: name.into(), route: Some(n.route), kind, slots })
    }

    fn each(self, n: &Names, body: Vec<Op>) -> Op {
        let position = Ix::Var(n.t);
        let (route, k, group, slot) = (n.route, n.k, n.e, n.c);
        let tuples = Kept { route, rank: Ix::Me, position, k, group, slot, only: None, once: None };
        Op::Each { tuples, first: false, parts: None, body }
    }

    fn owner(self, n: &Names) -> Ix {
        // One group a rank folds to the group itself, which the verifier does not take for its owner.
        let per_rank = Box::new(Ix::Lit(self.experts / self.ranks));
        Ix::Binary { op: IxOp::Div, lhs: Box::new(Ix::Var(n.e)), rhs: per_rank }
    }

    fn row(self, n: &Names) -> Ix {
        Ix::binary(
            IxOp::Add,
            Ix::Base { base: n.base, group: Box::new(Ix::Var(n.e)) },
            Ix::Var(n.c),
        )
    }
}

fn access(tensor: Handle<Tensor>, rank: Ix, row: Ix, run: i64) -> Access {
    Access { tensor, rank, row, unit: run, run, vector: 2.min(run * 2) }
}

fn role(kind: RoleKind, body: Vec<Op>) -> Role {
    Role { kind, text: Vec::new(), span: Span::default(), body }
}

fn step(name: &str, route: Handle<Route>, roles: Vec<Role>) -> Step {
    let tuning = Tuning { chunk: Some(4), ..Tuning::default() };
    Step {
        alternatives: vec![Alternative {
            when: None,
            kernel: Kernel { name: name.into(), route: Some(route), roles, fetched: None, tuning },
        }],
    }
}

fn entry(
    name: &str,
    plans: Vec<Handle<Route>>,
    takes: Vec<Handle<Route>>,
    tensors: Vec<Handle<Tensor>>,
    tokens: Handle<Dyn>,
    arrivals: Vec<Handle<Signal>>,
    steps: Vec<Step>,
) -> Entry {
    Entry {
        temporaries: Vec::new(),
        name: name.into(),
        span: Span::default(),
        plans,
        takes,
        tensors,
        dyns: vec![tokens],
        arrivals,
        steps,
    }
}
