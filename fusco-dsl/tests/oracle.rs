//! The oracle on programs built by hand, against answers written by hand.

use fusco_dsl::arena::Handle;
use fusco_dsl::oracle::{
    Array, Error, Inputs, Relation, check_assumes, relation, run_entry, run_entry_watched,
};
use fusco_dsl::sema::hir::*;
use fusco_dsl::source::Span;
use std::collections::BTreeMap;

/// `moe` with `slot(e) by keys`; a capacity makes `y` a slab and adds the cap.
struct Moe {
    ranks: i64,
    experts: i64,
    choices: i64,
    hidden: i64,
    tokens: Vec<i64>,
    keys: [usize; 3],
    capacity: Option<i64>,
    elem: Elem,
    orelse: OrElse,
}

impl Default for Moe {
    fn default() -> Moe {
        Moe {
            ranks: 2,
            experts: 4,
            choices: 2,
            hidden: 2,
            tokens: vec![2, 2],
            keys: [0, 1, 2],
            capacity: None,
            elem: Elem::Bf16,
            orelse: OrElse::Drop,
        }
    }
}

fn expr(kind: ExprKind, ty: Elem) -> Expr {
    Expr { kind, ty, span: Span::default() }
}

fn read(tensor: Handle<Tensor>, ty: Elem, index: &[Handle<Var>]) -> Expr {
    let index = index.iter().map(|v| expr(ExprKind::Var(*v), Elem::I64)).collect();
    expr(ExprKind::Read { tensor, index }, ty)
}

/// `s, t, k, e, c` of the route, then `h`.
fn vars(program: &Moe, route: Handle<Route>, dyn_t: Handle<Dyn>) -> (Vars, Vec<Handle<Var>>) {
    let fixed = |name: &str, size| Var { name: name.into(), extent: VarExtent::Fixed(size) };
    let mut arena = Vars::default();
    let t = Size::Dyn { of: dyn_t, index: vec![Size::Coord(0)] };
    let list = vec![
        arena.append(fixed("s", Size::Lit(program.ranks))),
        arena.append(fixed("t", t)),
        arena.append(fixed("k", Size::Lit(program.choices))),
        arena.append(fixed("e", Size::Lit(program.experts))),
        arena.append(Var { name: "c".into(), extent: VarExtent::Ragged(route) }),
        arena.append(fixed("h", Size::Lit(program.hidden))),
    ];
    (arena, list)
}

type Vars = fusco_dsl::arena::Arena<Var>;

impl Moe {
    fn build(&self) -> (Program, Handle<Route>) {
        let span = Span::default;
        let mut p = Program { name: "moe".into(), ..Program::default() };
        let mesh = p.meshes.append(Mesh {
            name: "ep".into(),
            first: Size::Lit(0),
            end: None,
            axes: vec![],
            span: span(),
        });
        let gpu = p.mesh_axes.append(MeshAxis {
            name: "gpu".into(),
            mesh,
            size: Size::Lit(self.ranks),
            span: span(),
        });
        p.meshes[mesh].axes.push(gpu);
        let dyn_t = p.dyns.append(Dyn {
            name: "T".into(),
            docs: vec![],
            axes: vec![gpu],
            bound: Size::Lit(8),
            span: span(),
        });
        let t = Size::Dyn { of: dyn_t, index: vec![Size::Coord(0)] };
        let fixed = |name: &str, size| Axis {
            name: name.into(),
            extent: Extent::Fixed(size),
            span: Span::default(),
        };
        let token = || vec![fixed("s", Size::Lit(self.ranks)), fixed("t", t.clone())];
        let choice = || [token(), vec![fixed("k", Size::Lit(self.choices))]].concat();
        let row = || [token(), vec![fixed("h", Size::Lit(self.hidden))]].concat();

        let (route_vars, v) = {
            let mut empty = fusco_dsl::arena::Arena::default();
            let route: Handle<Route> = empty.append(Route {
                name: String::new(),
                docs: vec![],
                vars: Vars::default(),
                sources: vec![],
                dests: vec![],
                steps: vec![],
                span: span(),
            });
            vars(self, route, dyn_t)
        };
        let mut tensor =
            |name: &str, io, elem, axes: Vec<Axis>, placement: Vec<(usize, TermKind)>| {
                p.tensors.append(Tensor {
                    name: name.into(),
                    docs: vec![],
                    io,
                    dtype: DType { elem, index: None },
                    axes,
                    placement: placement
                        .into_iter()
                        .map(|(axis, kind)| Term { axis, kind, span: Span::default() })
                        .collect(),
                    spread: vec![],
                    attrs: Attrs::default(),
                    span: Span::default(),
                    placement_span: Span::default(),
                    close: None,
                })
            };
        use TermKind::{Pack, Rest, Shard, Slab};
        let by_token = || vec![(0, Shard(gpu)), (1, Rest), (2, Rest)];
        let x = tensor("x", Io::In, self.elem, row(), by_token());
        let topk = tensor("topk", Io::In, Elem::I64, choice(), by_token());
        let w = tensor("w", Io::In, Elem::F32, choice(), by_token());
        let o = tensor("o", Io::Out, self.elem, row(), by_token());
        let experts = || fixed("e", Size::Lit(self.experts));
        let n = tensor("n", Io::Out, Elem::I32, vec![experts()], vec![(0, Shard(gpu)), (0, Rest)]);
        let lost = tensor(
            "lost",
            Io::Out,
            Elem::I32,
            vec![fixed("s", Size::Lit(self.ranks))],
            vec![(0, Shard(gpu))],
        );
        p.tensors[topk].dtype.index =
            Some(IndexType { bound: Size::Lit(self.experts), none: Some(-1) });

        let mut steps = vec![
            Step::Bind {
                var: v[3],
                value: read(topk, Elem::I64, &v[..3]),
                orelse: Some(self.orelse),
                span: span(),
            },
            Step::Slot {
                var: v[4],
                group: v[3],
                order: Order::Keys(self.keys.map(|k| v[k]).to_vec()),
                by: span(),
                span: span(),
            },
        ];
        if let Some(limit) = self.capacity {
            let limit = Size::Lit(limit);
            steps.push(Step::Cap { var: v[4], limit, orelse: OrElse::Drop, span: span() });
        }
        let r = p.routes.append(Route {
            name: "r".into(),
            docs: vec![],
            vars: route_vars,
            sources: v[..3].to_vec(),
            dests: v[3..5].to_vec(),
            steps,
            span: span(),
        });
        let ragged = |name: &str, io, fill| Tensor {
            name: name.into(),
            docs: vec![],
            io,
            dtype: DType { elem: self.elem, index: None },
            axes: vec![
                experts(),
                Axis {
                    name: "c".into(),
                    extent: Extent::Ragged { route: r, bound: None },
                    span: Span::default(),
                },
                fixed("h", Size::Lit(self.hidden)),
            ],
            placement: [
                (0, Shard(gpu)),
                (0, Rest),
                (1, self.capacity.map_or(Pack(Size::Lit(4)), |c| Slab(Size::Lit(c)))),
                (2, Rest),
            ]
            .into_iter()
            .map(|(axis, kind)| Term { axis, kind, span: Span::default() })
            .collect(),
            spread: vec![],
            attrs: Attrs { fill, ..Attrs::default() },
            span: Span::default(),
            placement_span: Span::default(),
            close: None,
        };
        let y = p.tensors.append(ragged("y", Io::Out, Some(Scalar::Int(1))));
        let z = p.tensors.append(ragged("z", Io::In, None));

        let assign = |target, index: &[usize], value, via: bool, drop_h: bool| {
            let (mut arena, mut v) = vars(self, r, dyn_t);
            if drop_h || !via {
                let keep = if via { 0..5 } else { index[0]..index[0] + 1 };
                let kept: Vec<Var> = keep.map(|i| arena[v[i]].clone()).collect();
                arena = Vars::default();
                let handles: Vec<_> = kept.into_iter().map(|k| arena.append(k)).collect();
                v = if via { handles } else { vec![handles[0]; 6] };
            }
            let index = index.iter().map(|i| expr(ExprKind::Var(v[*i]), Elem::I64)).collect();
            Assign {
                target,
                index,
                value,
                filter: None,
                via: via.then(|| Via {
                    route: r,
                    sources: v[..3].to_vec(),
                    dests: v[3..5].to_vec(),
                }),
                vars: arena,
                span: Span::default(),
                text: String::new(),
            }
        };
        let first = v[0];
        let product = expr(
            ExprKind::Binary {
                op: BinOp::Mul,
                lhs: Box::new(read(w, Elem::F32, &v[..3])),
                rhs: Box::new(read(z, self.elem, &v[3..6])),
            },
            Elem::F32,
        );
        let sum = expr(
            ExprKind::Reduce {
                by: Reducer::Sum,
                over: vec![v[2]],
                within: None,
                body: Box::new(product),
            },
            Elem::F32,
        );
        let cast = expr(ExprKind::Cast(Box::new(sum)), self.elem);
        let entry = |name: &str, plans, takes, stmts| Entry {
            name: name.into(),
            docs: vec![],
            span: Span::default(),
            plans,
            takes,
            stmts,
            proves: vec![],
            assumes: vec![],
            schedules: vec![],
        };
        let count = expr(ExprKind::Count { tensor: y, group: first, source: None }, Elem::I32);
        let drops = expr(ExprKind::Dropped { route: r, source: first }, Elem::I32);
        p.entries = vec![
            entry(
                "dispatch",
                vec![r],
                vec![],
                vec![
                    assign(y, &[3, 4, 5], read(x, self.elem, &[v[0], v[1], v[5]]), true, false),
                    assign(n, &[3], count, false, false),
                    assign(lost, &[0], drops, false, false),
                ],
            ),
            entry("combine", vec![], vec![r], vec![assign(o, &[0, 1, 5], cast, true, false)]),
        ];
        p.assumes = vec![Assume { tensor: topk, axes: vec![2], text: String::new(), span: span() }];
        (p, r)
    }

    /// `x[s, t, h]` holds small distinct integers; `topk` and `w` as given, padded by the caller.
    fn inputs(&self, topk: &[i64], w: &[f32]) -> Inputs {
        let longest = self.tokens.iter().copied().max().unwrap_or(0) as usize;
        let shape = |last: i64| vec![self.ranks as usize, longest, last as usize];
        let mut inputs = Inputs::default();
        inputs.dyns.insert("T".into(), self.tokens.clone());
        // Narrower than declared on purpose.
        inputs.tensors.insert("topk".into(), Array::from_i64(Elem::I32, shape(self.choices), topk));
        let mut x = Array::zeros(self.elem, shape(self.hidden));
        (0..x.len()).for_each(|i| x.set_bits(i, float(self.elem, (i + 2) as f32)));
        inputs.tensors.insert("x".into(), x);
        let mut weights = Array::zeros(Elem::F32, shape(self.choices));
        w.iter().enumerate().for_each(|(i, w)| weights.set_bits(i, u64::from(w.to_bits())));
        inputs.tensors.insert("w".into(), weights);
        inputs
    }
}

/// Judge of the conversions: the `half` crate.
fn float(elem: Elem, value: f32) -> u64 {
    match elem {
        Elem::Bf16 => u64::from(half::bf16::from_f32(value).to_bits()),
        Elem::F16 => u64::from(half::f16::from_f32(value).to_bits()),
        _ => u64::from(value.to_bits()),
    }
}

fn floats(array: &Array) -> Vec<f32> {
    (0..array.len()).map(|i| array.get_f32(i)).collect()
}

fn ints(array: &Array) -> Vec<i64> {
    (0..array.len()).map(|i| array.get_i64(i)).collect()
}

fn slots(relation: &Relation) -> Vec<(i64, i64)> {
    relation.tuples.iter().map(|t| (t[3], t[4])).collect()
}

#[test]
fn dispatch_orders_packs_and_fills() {
    let moe = Moe::default();
    let (program, _) = moe.build();
    // Rank 0: tokens (0, 3), (3, -1); rank 1: (3, 0), (1, 3).
    let inputs = moe.inputs(&[0, 3, 3, -1, 3, 0, 1, 3], &[0.0; 8]);
    let mut plans = BTreeMap::new();
    let out = run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
    let expected = [(0, 0), (3, 0), (3, 1), (3, 2), (0, 1), (1, 0), (3, 3)];
    assert_eq!(slots(&plans["r"]), expected);
    assert_eq!(plans["r"].live, [2, 1, 0, 4]);
    assert_eq!(out.count["y"], [2, 1, 0, 4]);
    assert_eq!(ints(&out.logical["n"]), [2, 1, 0, 4]);
    assert_eq!(ints(&out.logical["lost"]), [1, 0]);
    let y = &out.logical["y"];
    assert_eq!(y.len(), 7 * 2, "its rows, no padding");
    let y = &y.dense();
    assert_eq!(y.shape, [4, 4, 2]);
    assert_eq!(floats(y)[..8], [2., 3., 6., 7., 1., 1., 1., 1.]);
    assert_eq!(floats(y)[24..], [2., 3., 4., 5., 6., 7., 8., 9.]);
    // Two groups of at most four rows; then an empty group and a full one.
    let ranks = &out.physical["y"].ranks().unwrap();
    assert_eq!(floats(&ranks[0].array)[..4], [2., 3., 6., 7.]);
    assert_eq!(floats(&ranks[0].array)[8..10], [8., 9.]);
    assert_eq!((ranks[0].array.len(), ranks[1].array.len()), (16, 8));
    assert_eq!(floats(&ranks[1].array), [2., 3., 4., 5., 6., 7., 8., 9.]);
    assert!(ranks.iter().all(|r| r.defined.iter().all(|d| d)));
    assert_eq!(ints(&out.physical["n"].ranks().unwrap()[1].array), [0, 4]);
}

/// Clones of what an entry left, and of what the next is fed, are the same bytes in memory.
#[test]
fn what_an_entry_left_is_shared() {
    let moe = Moe::default();
    let (program, _) = moe.build();
    let mut inputs = moe.inputs(&[0, 3, 3, 1, -1, 3, 0, 1], &[0.5; 8]);
    let mut plans = BTreeMap::new();
    let out = run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
    inputs.tensors.insert("z".into(), out.logical["y"].clone());
    run_entry(&program, "combine", &inputs, &mut plans).unwrap();
    let copy = inputs.clone();
    assert!(copy.tensors.iter().all(|(name, array)| array.shares(&inputs.tensors[name])));
    assert!(copy.tensors["z"].shares(&out.logical["y"]));
}

/// Each part of the work is told of once, in order.
#[test]
fn a_watcher_sees_every_part() {
    let moe = Moe::default();
    let (program, _) = moe.build();
    let pairs = [0, 1, 2, 3, 0, 1, 2, 3];
    let inputs = moe.inputs(&pairs, &[0.5; 8]);
    let mut plans = BTreeMap::new();
    let mut told: Vec<(String, usize, usize)> = Vec::new();
    let mut watch = |what: &str, done: usize, all: usize| told.push((what.into(), done, all));
    run_entry_watched(&program, "dispatch", &inputs, &mut plans, &mut watch).unwrap();
    assert_eq!(told[0], ("r".into(), 0, 1));
    let kept = plans["r"].tuples.len();
    let rows: Vec<_> = told.iter().filter(|(what, ..)| what == "y").collect();
    assert!(kept > 0 && rows.len() == kept, "{told:?}");
    assert!(rows.iter().enumerate().all(|(i, (_, done, all))| (*done, *all) == (i, kept)));
}

#[test]
fn combine_inverts_dispatch_with_one_choice() {
    for elem in [Elem::Bf16, Elem::F16, Elem::F32] {
        let moe = Moe { choices: 1, elem, ..Moe::default() };
        let (program, _) = moe.build();
        let mut inputs = moe.inputs(&[3, 0, 3, 2], &[1.0; 4]);
        let mut plans = BTreeMap::new();
        let mut out = run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
        inputs.tensors.insert("z".into(), out.logical.remove("y").unwrap());
        let out = run_entry(&program, "combine", &inputs, &mut plans).unwrap();
        assert_eq!(out.logical["o"], inputs.tensors["x"]);
    }
}

#[test]
fn combine_fuses_in_order_and_keeps_canonical_nans() {
    let moe = Moe { tokens: vec![3, 1], hidden: 1, ..Moe::default() };
    let (program, _) = moe.build();
    let topk = [0, 1, 2, -1, -1, -1, 0, 1, 0, 0, 0, 0];
    let third = 1.0f32 / 3.0;
    let w = [third, 0.1, f32::INFINITY, 9.0, 9.0, 9.0, 0.7, -0.3, 0.0, 0.0, 0.0, 0.0];
    let mut inputs = moe.inputs(&topk, &w);
    let mut plans = BTreeMap::new();
    run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
    let mut z = Array::zeros(Elem::Bf16, vec![4, 2, 1]);
    let rows = [1.5f32, 2.5, 3.5, -7.25, 0.0, 0.0];
    rows.iter().enumerate().for_each(|(i, v)| z.set_bits(i, float(Elem::Bf16, *v)));
    inputs.tensors.insert("z".into(), z);
    let out = run_entry(&program, "combine", &inputs, &mut plans).unwrap();
    let o = &out.logical["o"];
    let fused = |a: f32, b: f32, c: f32, d: f32| c.mul_add(d, a.mul_add(b, 0.0));
    assert_eq!(o.get_bits(0), float(Elem::Bf16, fused(third, 1.5, 0.1, 3.5)));
    assert_eq!(o.get_bits(1), 0x7fff, "infinity times zero");
    assert_eq!(o.get_bits(2), 0, "no pair: the empty sum");
    assert_eq!(o.get_bits(3), float(Elem::Bf16, fused(0.7, 2.5, -0.3, -7.25)));
    assert_eq!(out.physical["o"].lengths(), [3, 1]);
}

#[test]
fn capacity_prefers_first_choices() {
    let moe = Moe { keys: [2, 0, 1], capacity: Some(2), ..Moe::default() };
    let (program, _) = moe.build();
    // Expert 0: second choices of the first two tokens, first choices of the last two.
    let inputs = moe.inputs(&[1, 0, 2, 0, 0, 3, 0, -1], &[0.0; 8]);
    let mut plans = BTreeMap::new();
    let out = run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
    assert_eq!(slots(&plans["r"]), [(1, 0), (2, 0), (0, 0), (3, 0), (0, 1)]);
    assert_eq!(plans["r"].live, [2, 1, 1, 1]);
    assert_eq!(plans["r"].dropped, [2, 1]);
    assert_eq!(ints(&out.logical["lost"]), [2, 1]);
    let rank = &out.physical["y"].ranks().unwrap()[0];
    assert_eq!(floats(&rank.array), [6., 7., 8., 9., 2., 3., 1., 1.]);
}

#[test]
fn duplicates_are_two_pairs_and_break_distinct() {
    let moe = Moe { tokens: vec![1, 2], ..Moe::default() };
    let (program, route) = moe.build();
    // The second token of rank 0 is padding: its equal values count for nothing.
    let mut inputs = moe.inputs(&[0, 1, 2, 2, 3, 3, -1, -1], &[0.0; 8]);
    let made = relation(&program, route, &inputs).unwrap();
    assert_eq!(slots(&made), [(0, 0), (1, 0), (3, 0), (3, 1)]);
    let (at, other) = (vec![1, 0, 1], vec![1, 0, 0]);
    let error = Error::NotDistinct { tensor: "topk".into(), at, other, value: 3 };
    assert_eq!(check_assumes(&program, &inputs), Err(error));
    inputs.tensors.get_mut("topk").unwrap().set_bits(5, 0);
    assert_eq!(check_assumes(&program, &inputs), Ok(()));
}

#[test]
fn ranks_without_tokens() {
    for tokens in [vec![0, 0], vec![0, 3], vec![3, 0]] {
        let moe = Moe { tokens: tokens.clone(), ..Moe::default() };
        let (program, _) = moe.build();
        let pairs = tokens.iter().sum::<i64>() * 2;
        let longest = tokens.iter().max().copied().unwrap_or(0) as usize;
        let mut inputs = moe.inputs(&vec![2; longest * 4], &vec![0.5; longest * 4]);
        let mut plans = BTreeMap::new();
        let mut out = run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
        assert_eq!(plans["r"].live, [0, 0, pairs, 0]);
        assert_eq!(out.physical["y"].lengths()[0], 0);
        assert_eq!(out.physical["y"].lengths()[1] as i64, (pairs + 3) / 4 * 4 * 2);
        inputs.tensors.insert("z".into(), out.logical.remove("y").unwrap());
        let out = run_entry(&program, "combine", &inputs, &mut plans).unwrap();
        for (rank, tokens) in tokens.iter().enumerate() {
            let held = &out.physical["o"].ranks().unwrap()[rank];
            assert_eq!(held.array.len() as i64, tokens * 2);
            let first = rank * longest * 2;
            let x = &floats(&inputs.tensors["x"])[first..first + held.array.len()];
            assert_eq!(floats(&held.array), x);
        }
    }
}

#[test]
fn errors_are_typed() {
    let moe = Moe { orelse: OrElse::Trap, ..Moe::default() };
    let (program, route) = moe.build();
    let inputs = moe.inputs(&[0, 1, 2, -1, 0, 1, 0, 1], &[0.0; 8]);
    let trap = relation(&program, route, &inputs).unwrap_err();
    assert_eq!(trap.to_string(), "route r traps at [0, 1, 1]");
    let inputs = moe.inputs(&[0, 1, 2, 3, 0, 4, 0, 1], &[0.0; 8]);
    let outside = relation(&program, route, &inputs).unwrap_err();
    assert_eq!(outside.to_string(), "topk[1, 0, 1] = 4, outside 0..3");

    let good = moe.inputs(&[0, 1, 2, 3, 0, 2, 0, 1], &[0.0; 8]);
    let run = |inputs: &Inputs| {
        run_entry(&program, "dispatch", inputs, &mut BTreeMap::new()).map(|_| ()).unwrap_err()
    };
    let mut inputs = good.clone();
    inputs.tensors.remove("x");
    assert_eq!(run(&inputs), Error::Missing("tensor x".into()));
    let mut inputs = good.clone();
    inputs.tensors.insert("x".into(), Array::zeros(Elem::Bf16, vec![2, 1, 2]));
    assert!(matches!(run(&inputs), Error::Shape(_)));
    let mut inputs = good.clone();
    inputs.tensors.get_mut("x").unwrap().shape[1] += 1;
    assert!(matches!(run(&inputs), Error::Shape(_)));
    let mut inputs = good.clone();
    inputs.dyns.insert("T".into(), vec![2, 9]);
    assert!(matches!(run(&inputs), Error::Dyn { value: 9, .. }));
    let taken = run_entry(&program, "combine", &good, &mut BTreeMap::new()).unwrap_err();
    assert_eq!(taken, Error::Missing("a plan of route r".into()));
}

/// All 16-bit floats widen, and narrow again from near every tie, as `half` says.
#[test]
fn conversions() {
    let narrow = |elem: Elem, values: &[f32]| {
        let moe =
            Moe { ranks: 1, experts: 1, choices: 1, hidden: values.len() as i64, ..Moe::default() };
        let moe = Moe { tokens: vec![1], elem: Elem::F32, ..moe };
        let (mut program, _) = moe.build();
        let o = program.tensor("o").unwrap();
        program.tensors[o].dtype.elem = elem;
        program.entries[1].stmts[0].value.ty = elem;
        let mut inputs = moe.inputs(&[0], &[1.0]);
        let mut z = Array::zeros(Elem::F32, vec![1, 1, values.len()]);
        values.iter().enumerate().for_each(|(i, v)| z.set_bits(i, u64::from(v.to_bits())));
        inputs.tensors.insert("z".into(), z);
        let mut plans = BTreeMap::new();
        run_entry(&program, "dispatch", &inputs, &mut plans).unwrap();
        run_entry(&program, "combine", &inputs, &mut plans).unwrap().logical.remove("o").unwrap()
    };
    for elem in [Elem::F16, Elem::Bf16] {
        let mut all = Array::zeros(elem, vec![1 << 16]);
        (0..1 << 16).for_each(|i| all.set_bits(i, i as u64));
        let mut values = Vec::new();
        for i in 0..1u32 << 16 {
            let wide = all.get_f32(i as usize);
            let want = match elem {
                Elem::F16 => half::f16::from_bits(i as u16).to_f32(),
                _ => half::bf16::from_bits(i as u16).to_f32(),
            };
            assert!(wide.to_bits() == want.to_bits() || wide.is_nan() && want.is_nan(), "{i:#x}");
            let next = if i & 0x7fff == 0x7fff { wide } else { all.get_f32(i as usize + 1) };
            let tie = wide / 2.0 + next / 2.0;
            values.extend([wide, tie, tie.next_up(), tie.next_down()]);
        }
        let narrowed = narrow(elem, &values);
        for (i, value) in values.iter().enumerate() {
            let sum = value.mul_add(1.0, 0.0);
            let want = if sum.is_nan() { 0x7fff } else { float(elem, sum) };
            assert_eq!(narrowed.get_bits(i), want, "{value:e}");
        }
    }
    let saturated = narrow(Elem::E4m3, &[1e9, -1e9, 1.0, 0.0, 2f32.powi(-9), 17.0, 19.0, f32::NAN]);
    assert_eq!(ints(&saturated), [0x7e, 0xfe, 0x38, 0, 1, 0x58, 0x5a, 0x7f]);
}
