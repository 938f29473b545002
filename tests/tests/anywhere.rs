//! Routes over tensors that lie anywhere: each program is one that someone needs, and runs as the reference interpreter
//! says, on the host and where there is a GPU.

use crate::routes::{End, check, check_on};
use fusco_dsl::compile;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use fusco_tests::Random;
use fusco_tests::routes::Case;
use std::collections::BTreeMap;

/// A program, and what its inputs are: floats at random, indices below a bound of which some may be none.
struct Program<'a> {
    text: &'a str,
    ranks: usize,
    dyns: &'a [(&'a str, &'a [i64])],
    floats: &'a [(&'a str, Elem, &'a [usize])],
    indices: &'a [(&'a str, i64, &'a [usize])],
    entries: &'a [&'a str],
    feeds: &'a [(&'a str, &'a str)],
}

impl Program<'_> {
    fn case(&self) -> Case {
        let mut random = Random(11);
        let mut inputs = Inputs::default();
        inputs.dyns.extend(self.dyns.iter().map(|(n, v)| (n.to_string(), v.to_vec())));
        for (name, elem, shape) in self.floats {
            let mut array = Array::zeros(*elem, shape.to_vec());
            random.fill(&mut array);
            inputs.tensors.insert(name.to_string(), array);
        }
        for (name, bound, shape) in self.indices {
            let all = shape.iter().product::<usize>();
            let none = u64::from(self.text.contains("none = -1"));
            let value = |_| random.below(*bound as u64 + none) as i64 - none as i64;
            let values = Vec::from_iter((0..all).map(value));
            let array = Array::from_i64(Elem::I32, shape.to_vec(), &values);
            inputs.tensors.insert(name.to_string(), array);
        }
        let pair = |(to, from): &(&str, &str)| (to.to_string(), from.to_string());
        Case {
            text: self.text.to_string(),
            ranks: self.ranks,
            inputs,
            entries: self.entries.iter().map(ToString::to_string).collect(),
            targets: Vec::new(),
            feeds: self.feeds.iter().map(pair).collect(),
        }
    }

    #[track_caller]
    fn runs(&self) {
        let case = self.case();
        if let Err(found) = compile(self.text, None, &BTreeMap::new()) {
            panic!("refused: {found:?}");
        }
        assert!(check(&case) == End::Ran);
        if fusco_tests::gpu(self.ranks).is_some() {
            let world = |ranks| fusco_tests::gpu(ranks).expect("there was one");
            assert!(check_on(&case, world) == End::Ran);
        }
    }
}

/// Rows go where the matrix unit reads them: in a swizzle, and from activations whose rows are padded.
#[test]
fn rows_go_into_a_swizzle_and_come_from_padded_ones() {
    Program {
        text: "program swizzled {
            mesh ep { gpu: 2 }
            dyn T[gpu]: int <= 9;
            in ids: ix32(4, none = -1)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
            in x: bf16[s: gpu, t: T[s], h: 64] @ [s/gpu, t, h] with stride(t: 72);
            out y: bf16[e: 4, c: ragged, h: 64] @ [e/gpu, e, c.pack(8), h] with swizzle(b128), align(1024), fill(0);
            in z: bf16[e: 4, c: ragged, h: 64] @ [e/gpu, e, c.pack(8), h] with swizzle(b128), align(1024);
            out o: f32[s: gpu, t: T[s], h: 64] @ [s/gpu, t, h] with stride(t: 66), fill(0);
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k] else drop; c = slot(e) by (s, t, k); }
            entry dispatch { plan r; y[e, c, h] <- x[s, t, h] via r; }
            entry combine { o[s, t, h] <- sum(k: z[e, c, h]) via r; }
        }",
        ranks: 2,
        dyns: &[("T", &[9, 4])],
        floats: &[("x", Elem::Bf16, &[2, 9, 64])],
        indices: &[("ids", 4, &[2, 9, 2])],
        entries: &["dispatch", "combine"],
        feeds: &[("z", "y")],
    }
    .runs();
}

/// A fused projection holds what goes to the experts behind something else; the experts' rows have room for more.
#[test]
fn a_part_of_a_row_is_routed() {
    Program {
        text: "program parts {
            mesh ep { gpu: 2 }
            in ids: ix32(4)[s: gpu, t: 5, k: 2] @ [s/gpu, t, k];
            in x: f32[s: gpu, t: 5, part: 3, h: 40] @ [s/gpu, t, part, h];
            in lane: ix32(12)[j: 16] @ [copy/gpu, j];
            out y: f32[e: 4, c: ragged, w: 81] @ [e/gpu, e, c.pack(2), w] with fill(7);
            out u: f32[e: 4, c: ragged, i: 16] @ [e/gpu, e, c.pack(1), i];
            out v: f32[e: 4, c: ragged, j: 16] @ [e/gpu, e, c.pack(1), j];
            in z: f32[e: 4, c: ragged, w: 81] @ [e/gpu, e, c.pack(2), w];
            out o: f32[s: gpu, t: 5, k: 2] @ [s/gpu, t, k];
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (s, t, k); }
            entry dispatch {
                plan r;
                y[e, c, 2 * h + 1] <- x[s, t, 1, h] via r;
                u[e, c, i] <- x[s, t, 2, i + 24] via r;
                v[e, c, j] <- x[s, t, 0, lane[j]] via r;
            }
            entry back { o[s, t, k] <- z[e, c, 5] via r; }
        }",
        ranks: 2,
        dyns: &[],
        floats: &[("x", Elem::F32, &[2, 5, 3, 40])],
        indices: &[("ids", 4, &[2, 5, 2]), ("lane", 12, &[16])],
        entries: &["dispatch", "back"],
        feeds: &[("z", "y")],
    }
    .runs();
}

/// Ranks that share the work of a layer hold parts of its sum, which are added on their way to the experts; what one of
/// them holds for all is fetched.
#[test]
fn parts_of_a_sum_are_added_on_their_way() {
    Program {
        text: "program partial {
            mesh m { ep: 2, tp: 2 }
            in ids: ix32(4)[s: ep, t: 6, k: 2] @ [s/ep, copy/tp, t, k];
            in x: bf16[s: ep, t: 6, h: 24] @ [s/ep, sum/tp, t, h];
            in bias: f32[h: 24] @ [only(1)/ep, only(0)/tp, h];
            out y: bf16[e: 4, c: ragged, h: 24] @ [e/ep, copy/tp, e, c.pack(4), h];
            out one: bf16[e: 4, c: ragged, h: 24] @ [e/ep, only(1)/tp, e, c.pack(4), h];
            in z: bf16[e: 4, c: ragged, h: 24] @ [e/ep, copy/tp, e, c.pack(4), h];
            out o: f32[s: ep, t: 6, h: 24] @ [s/ep, h/tp, t, h];
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (s, t, k); }
            entry dispatch {
                plan r;
                y[e, c, h] <- x[s, t, h] via r;
                one[e, c, h] <- x[s, t, h] via r;
            }
            entry combine { o[s, t, h] <- sum(k: z[e, c, h]) + bias[h] via r; }
        }",
        ranks: 4,
        dyns: &[],
        floats: &[("x", Elem::Bf16, &[2, 2, 6, 24]), ("bias", Elem::F32, &[24])],
        indices: &[("ids", 4, &[2, 6, 2])],
        entries: &["dispatch", "combine"],
        feeds: &[("z", "y")],
    }
    .runs();
}

/// Experts of two kinds, each with a plan; every rank learns how many rows all experts of a kind have.
#[test]
fn two_routes_are_planned_and_used_in_one_entry() {
    Program {
        text: "program kinds {
            mesh ep { gpu: 3 }
            dyn T[gpu]: int <= 7;
            in fine: ix32(6, none = -1)[s: gpu, t: T[s], k: 2] @ [s/gpu, t, k];
            in coarse: ix32(3, none = -1)[s: gpu, t: T[s]] @ [s/gpu, t];
            in x: f16[s: gpu, t: T[s], h: 32] @ [s/gpu, t, h];
            out y: f16[e: 6, c: ragged, h: 32] @ [e/gpu, e, c.pack(8), h] with fill(0);
            out w: f16[e: 3, c: ragged, h: 32] @ [e/gpu, e, c.pack(4), h] with fill(1);
            out n: i32[e: 6] @ [copy/gpu, e];
            out m: i32[e: 3] @ [only(2)/gpu, e];
            in yi: f16[e: 6, c: ragged, h: 32] @ [e/gpu, e, c.pack(8), h];
            in wi: f16[e: 3, c: ragged, h: 32] @ [e/gpu, e, c.pack(4), h];
            out o: f32[s: gpu, t: T[s], h: 32] @ [s/gpu, t, h] with fill(0);
            out p: f16[s: gpu, t: T[s], h: 32] @ [s/gpu, t, h] with fill(3);
            route r: (s, t, k) -> (e, c) { e = fine[s, t, k] else drop; c = slot(e) by (s, t, k); }
            route q: (s, t) -> (e, c) { e = coarse[s, t] else drop; c = slot(e) by (s, t); }
            entry dispatch {
                plan r; plan q;
                y[e, c, h] <- x[s, t, h] via r;
                w[e, c, h] <- x[s, t, h] via q;
                n[e] <- count(y.c);
                m[e] <- offset(w.c);
            }
            entry combine {
                o[s, t, h] <- sum(k: yi[e, c, h]) via r;
                p[s, t, h] <- wi[e, c, h] via q;
            }
        }",
        ranks: 3,
        dyns: &[("T", &[7, 0, 5])],
        floats: &[("x", Elem::F16, &[3, 7, 32])],
        indices: &[("fine", 6, &[3, 7, 2]), ("coarse", 3, &[3, 7])],
        entries: &["dispatch", "combine"],
        feeds: &[("yi", "y"), ("wi", "w")],
    }
    .runs();
}

/// Experts dealt out in pairs: the number of a group on its rank has two digits, as have its rows' first ones.
#[test]
fn packed_groups_have_several_digits() {
    Program {
        text: "program pairs {
            mesh ep { gpu: 2 }
            in ids: ix32(12)[s: gpu, t: 9, k: 2] @ [s/gpu, t, k];
            in x: u16[s: gpu, t: 9, h: 8] @ [s/gpu, t, h];
            out y: u16[e: 12, c: ragged, h: 8] @ [e, e/gpu, e:2, c.pack(4), h] with fill(9);
            out first: i32[e: 12] @ [e, e/gpu, e:2];
            route r: (s, t, k) -> (e, c) { e = ids[s, t, k]; c = slot(e) by (k, s, t); }
            entry dispatch { plan r; y[e, c, h] <- x[s, t, h] via r; first[e] <- offset(y.c); }
        }",
        ranks: 2,
        dyns: &[],
        floats: &[("x", Elem::U16, &[2, 9, 8])],
        indices: &[("ids", 12, &[2, 9, 2])],
        entries: &["dispatch"],
        feeds: &[],
    }
    .runs();
}

/// Attention and experts on ranks of their own: tokens cross from one mesh to the other and back.
#[test]
fn rows_cross_from_attention_ranks_to_expert_ranks() {
    for (attention, experts, ranks) in [("at 0..2", "at 2..5", 5), ("at 3..5", "at 0..3", 5)] {
        let text = format!(
            "program apart {{
            mesh attention {attention} {{ dp: 2 }}
            mesh experts {experts} {{ ep: 3 }}
            dyn T[dp]: int <= 6;
            in ids: ix32(6, none = -1)[s: dp, t: T[s], k: 2] @ [s/dp, t, k];
            in x: bf16[s: dp, t: T[s], h: 16] @ [s/dp, t, h];
            out y: bf16[e: 6, c: ragged, h: 16] @ [e/ep, e, c.pack(4), h] with fill(0);
            out n: i32[e: 6] @ [e/ep, e];
            out lost: i32[s: dp] @ [s/dp];
            in z: bf16[e: 6, c: ragged, h: 16] @ [e/ep, e, c.pack(4), h];
            out o: f32[s: dp, t: T[s], h: 16] @ [s/dp, t, h] with fill(0);
            route r: (s, t, k) -> (e, c) {{ e = ids[s, t, k] else drop; c = slot(e) by (s, t, k); }}
            entry dispatch {{
                plan r;
                y[e, c, h] <- x[s, t, h] via r;
                n[e] <- count(y.c);
                lost[s] <- dropped(r, s);
            }}
            entry combine {{ o[s, t, h] <- sum(k: z[e, c, h]) via r; }}
        }}"
        );
        Program {
            text: &text,
            ranks,
            dyns: &[("T", &[6, 3])],
            floats: &[("x", Elem::Bf16, &[2, 6, 16])],
            indices: &[("ids", 6, &[2, 6, 2])],
            entries: &["dispatch", "combine"],
            feeds: &[("z", "y")],
        }
        .runs();
    }
}
