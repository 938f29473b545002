//! Random pairs of placements as program text, and where the reference interpreter puts every element.

use fusco_dsl::Compiled;
use fusco_dsl::oracle::{Array, Inputs, run_entry, scatter};
use fusco_dsl::sema::hir::Elem;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub const AXES: [&str; 3] = ["i", "j", "k"];
const MESH: [&str; 2] = ["p", "q"];
const ELEMS: [(&str, Elem); 5] = [
    ("f32", Elem::F32),
    ("bf16", Elem::Bf16),
    ("i64", Elem::I64),
    ("u8", Elem::U8),
    ("i32", Elem::I32),
];
const TILES: [i64; 5] = [2, 3, 4, 8, 16];

/// `y[..] <- x[..]` over a mesh of one or two axes.
#[derive(Clone, Debug)]
pub struct Pair {
    pub mesh: Vec<i64>,
    pub extents: Vec<i64>,
    pub elem: usize,
    pub source: Side,
    pub target: Side,
    /// Keys by which the target's axes are sorted.
    pub order: Vec<u8>,
    /// Not asked, push, pull.
    pub carrier: u8,
    pub fill: bool,
}

/// What a placement is made of; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub struct Side {
    /// By mesh axis: what it does, to which axis.
    pub mesh: Vec<(u8, usize)>,
    pub tiles: Vec<(usize, usize)>,
    /// Keys by which the terms are sorted.
    pub order: Vec<u8>,
    pub owners: u32,
    pub only: u8,
    /// (axis, elements between the rows)
    pub stride: Option<(usize, i64)>,
    pub swizzle: Option<(usize, u8)>,
}

fn extents() -> impl Strategy<Value = Vec<i64>> {
    let most =
        |n: i64, even: [i64; 3]| prop_oneof![1 => 1..=n, 1 => prop::sample::select(even.to_vec())];
    prop_oneof![
        prop::collection::vec(most(120, [32, 64, 128]), 1),
        prop::collection::vec(most(24, [8, 16, 32]), 2),
        prop::collection::vec(most(9, [4, 8, 8]), 3),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    (
        prop::collection::vec((0..8u8, 0..3usize), 2),
        prop_oneof![
            prop::collection::vec((0..3usize, 0..TILES.len()), 0..4),
            prop::collection::vec((0..3usize, 0..1usize), 0..2),
        ],
        prop::collection::vec(any::<u8>(), 12),
        any::<u32>(),
        any::<u8>(),
        prop::option::weighted(0.2, (0..3usize, 0..5i64)),
        prop::option::weighted(0.2, (0..3usize, 0..3u8)),
    )
        .prop_map(|(mesh, tiles, order, owners, only, stride, swizzle)| Side {
            mesh,
            tiles,
            order,
            owners,
            only,
            stride,
            swizzle,
        })
}

pub fn pair() -> impl Strategy<Value = Pair> {
    let mesh = prop_oneof![
        (1..=8i64).prop_map(|p| vec![p]),
        prop::sample::select(vec![vec![2], vec![4], vec![8], vec![2, 2], vec![2, 4]]),
        (1..=4i64, 1..=8i64).prop_map(|(p, q)| vec![p, q.min(8 / p)]),
    ];
    let sides = (side(), side(), prop::collection::vec(any::<u8>(), 3));
    (mesh, extents(), 0..ELEMS.len(), sides, 0..3u8, any::<bool>()).prop_map(
        |(mesh, extents, elem, (source, target, order), carrier, fill)| Pair {
            mesh,
            extents,
            elem,
            source,
            target,
            order,
            carrier,
            fill,
        },
    )
}

/// A term of a placement list: its axis, its digit in memory, its ranks.
struct Term {
    text: String,
    axis: Option<usize>,
    memory: bool,
    radix: i64,
}

/// A side as text.
struct Placed {
    consts: String,
    terms: Vec<String>,
    attrs: Vec<String>,
    parts: Vec<i64>,
}

impl Pair {
    pub fn elem(&self) -> Elem {
        ELEMS[self.elem].1
    }

    fn sums(&self) -> bool {
        matches!(self.elem(), Elem::F32 | Elem::Bf16)
    }

    /// The program, and the parts of the source: one a rank of the axes it is summed over.
    pub fn text(&self) -> (String, Option<i64>) {
        let source = self.place(&self.source, "s", self.sums());
        let target = self.place(&self.target, "t", false);
        let mesh: Vec<String> =
            self.mesh.iter().zip(MESH).map(|(n, name)| format!("{name}: {n}")).collect();
        let own: Vec<usize> = (0..self.extents.len()).collect();
        let order = self.target_axes();
        let index = |list: &[usize]| list.iter().map(|a| AXES[*a]).collect::<Vec<_>>().join(", ");
        let dims = |list: &[usize]| {
            let one = |a: &usize| format!("{}: {}", AXES[*a], self.extents[*a]);
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let tensor = |word: &str, axes: &[usize], p: &Placed| {
            let with = if p.attrs.is_empty() {
                String::new()
            } else {
                format!(" with {}", p.attrs.join(", "))
            };
            format!(
                "    {word}: {}[{}] @ [{}]{with};\n",
                ELEMS[self.elem].0,
                dims(axes),
                p.terms.join(", ")
            )
        };
        // Partial sums and copies are fetched, whoever is asked.
        let fetched = source.terms.iter().any(|t| t.contains("sum/") || t.contains("copy/"));
        let carrier = match self.carrier % 3 {
            1 if !fetched => " schedule { push; }",
            2 => " schedule { pull; }",
            _ => "",
        };
        let parts = (!source.parts.is_empty()).then(|| source.parts.iter().product());
        let text = format!(
            "program pair {{\n    mesh m {{ {} }}\n{}{}{}{}    entry main {{ y[{}] <- x[{}];{carrier} }}\n}}\n",
            mesh.join(", "),
            source.consts,
            target.consts,
            tensor("in x", &own, &source),
            tensor("out y", &order, &target),
            index(&order),
            index(&own),
        );
        (text, parts)
    }

    /// The source's axes in the order of the target.
    pub fn target_axes(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.extents.len()).collect();
        order.sort_by_key(|a| self.order[*a]);
        order
    }

    fn place(&self, side: &Side, name: &str, sums: bool) -> Placed {
        let rank = self.extents.len();
        let mut out = Placed {
            consts: String::new(),
            terms: Vec::new(),
            attrs: Vec::new(),
            parts: Vec::new(),
        };
        let mut terms = Vec::new();
        // What the digits in memory of each axis must hold, and what its other digits take of it.
        let (mut local, mut taken) = (self.extents.clone(), vec![1i64; rank]);
        let mut mapped = vec![false; rank];
        let mut split = vec![false; rank];
        for ((size, mesh), (kind, axis)) in self.mesh.iter().zip(MESH).zip(&side.mesh) {
            let axis = axis % rank;
            let spread = |text: String| Term { text, axis: None, memory: false, radix: 1 };
            match kind {
                0 => terms.push(spread(format!("copy/{mesh}"))),
                1 => terms.push(spread(format!("only({})/{mesh}", i64::from(side.only) % size))),
                2 if sums => {
                    terms.push(spread(format!("sum/{mesh}")));
                    out.parts.push(*size);
                }
                _ if mapped[axis] => terms.push(spread(format!("copy/{mesh}"))),
                3 if !split[axis] => {
                    let owners: Vec<i64> = (0..self.extents[axis] as usize)
                        .map(|i| owner(side.owners, i as i64, *size))
                        .collect();
                    let count = |o: &i64| owners.iter().filter(|x| *x == o).count() as i64;
                    local[axis] = owners.iter().map(count).max().unwrap_or(1);
                    let list: Vec<String> = owners.iter().map(i64::to_string).collect();
                    out.consts += &format!("    const W{name}{mesh} = [{}];\n", list.join(", "));
                    mapped[axis] = true;
                    let text = format!("{}/{mesh}.map(W{name}{mesh})", AXES[axis]);
                    terms.push(Term { text, axis: Some(axis), memory: false, radix: 1 });
                }
                _ => {
                    split[axis] = true;
                    taken[axis] *= size;
                    let text = format!("{}/{mesh}", AXES[axis]);
                    terms.push(Term { text, axis: Some(axis), memory: false, radix: *size });
                }
            }
        }
        let inner = |axis: usize, k: i64| Term {
            text: format!("{}:{k}", AXES[axis]),
            axis: Some(axis),
            memory: true,
            radix: k,
        };
        for (axis, k) in &side.tiles {
            taken[axis % rank] *= TILES[*k];
            terms.push(inner(axis % rank, TILES[*k]));
        }
        let last = side.swizzle.map(|(axis, rows)| {
            let bytes = 32i64 << rows;
            out.attrs.push(format!("swizzle(b{bytes}), align({})", 8 * bytes));
            taken[axis % rank] *= bytes / self.elem().bytes();
            inner(axis % rank, bytes / self.elem().bytes())
        });
        let divides = (0..rank).all(|a| local[a] % taken[a] == 0) && !mapped.contains(&true);
        for axis in 0..rank {
            let radix = (local[axis] + taken[axis] - 1) / taken[axis];
            let text = AXES[axis].to_string();
            terms.push(Term { text, axis: Some(axis), memory: true, radix });
        }
        let mut order: Vec<usize> = (0..terms.len()).collect();
        order.sort_by_key(|i| side.order[*i % side.order.len()]);
        let mut terms: Vec<Option<Term>> = terms.into_iter().map(Some).collect();
        let mut terms: Vec<Term> = order.into_iter().filter_map(|i| terms[i].take()).collect();
        terms.extend(last);
        if !divides {
            out.attrs.push("uneven".to_string());
        }
        if let (Some((axis, more)), None) = (side.stride, side.swizzle) {
            let outermost = terms.iter().position(|t| t.memory && t.axis == Some(axis % rank));
            let right = terms.iter().skip(outermost.map_or(0, |i| i + 1)).filter(|t| t.memory);
            let stride = right.map(|t| t.radix).product::<i64>() + more;
            out.attrs.push(format!("stride({}: {stride})", AXES[axis % rank]));
        }
        if name == "t" && self.fill {
            out.attrs.push("fill(0)".to_string());
        }
        out.terms = terms.into_iter().map(|t| t.text).collect();
        out
    }
}

fn owner(seed: u32, at: i64, owners: i64) -> i64 {
    (((at * 7 + 3) * i64::from(seed)) >> 7) % owners
}

/// Where an element lies: each (rank, offset in its buffer).
pub type Places = BTreeMap<u64, Vec<(i64, i64)>>;

/// Bits of the number of element `i`, plane by plane: an element type holds a part of a number only.
pub fn planes(elem: Elem, shape: &[usize]) -> Vec<Array> {
    let (n, bits) = (shape.iter().product::<usize>(), 8 * elem.bytes() as u32);
    let count = (u64::BITS - (n as u64).leading_zeros()).div_ceil(bits);
    let plane = |p: u32| {
        let mut array = Array::zeros(elem, shape.to_vec());
        (0..n).for_each(|i| array.set_bits(i, ((i as u64 + 1) >> (p * bits)) & mask(bits)));
        array
    };
    (0..count).map(plane).collect()
}

fn mask(bits: u32) -> u64 {
    u64::MAX >> (u64::BITS - bits)
}

/// Where the placement of `name` puts each element, numbered from 1 in row-major order.
pub fn scattered(compiled: &Compiled, name: &str, elem: Elem, shape: &[usize]) -> Places {
    let dealt = |array: &Array| {
        let tensors = [(name.to_string(), array.clone())].into();
        let inputs = Inputs { tensors, ..Inputs::default() };
        scatter(&compiled.hir, &inputs, &BTreeMap::new(), name).expect("a static placement")
    };
    let ranks: Vec<_> = planes(elem, shape).iter().map(dealt).collect();
    places(elem, &ranks)
}

/// Where the entry leaves each element of `x` in `y`.
pub fn moved(compiled: &Compiled, elem: Elem, shape: &[usize]) -> Places {
    let ran = |array: &Array| {
        let tensors = [("x".to_string(), array.clone())].into();
        let inputs = Inputs { tensors, ..Inputs::default() };
        let mut out =
            run_entry(&compiled.hir, "main", &inputs, &mut BTreeMap::new()).expect("a meaning");
        out.physical.remove("y").expect("y is written").ranks().expect("placed")
    };
    let ranks: Vec<_> = planes(elem, shape).iter().map(ran).collect();
    places(elem, &ranks)
}

fn places(elem: Elem, planes: &[Vec<fusco_dsl::oracle::Physical>]) -> Places {
    let mut out = Places::new();
    for rank in 0..planes[0].len() {
        for offset in 0..planes[0][rank].defined.len() {
            let part =
                |p: usize| planes[p][rank].array.bits(offset) << (p as i64 * 8 * elem.bytes());
            let number = (0..planes.len()).map(part).fold(0, |n, bits| n | bits);
            if number != 0 {
                out.entry(number).or_default().push((rank as i64, offset as i64));
            }
        }
    }
    out
}
