//! Which elements an index of several variables reaches, against enumeration: what the compiler decides of
//! conflicts, bounds and gaps, and the counter-examples that it gives.

use fusco_dsl::compile;
use fusco_dsl::plan::image::{Image, of_axis};
use fusco_dsl::plan::{Coordinate, Move};
use fusco_dsl::sema::hir::Bindings;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// `m = i * factors[0] + j * factors[1] + constant` for i and j below their extents.
#[derive(Clone, Debug)]
struct Index {
    extents: [i64; 2],
    factors: [i64; 2],
    constant: i64,
}

impl Index {
    fn value(&self, i: i64, j: i64) -> i64 {
        i * self.factors[0] + j * self.factors[1] + self.constant
    }

    /// The variables' values that reach each element.
    fn enumerate(&self) -> BTreeMap<i64, Vec<(i64, i64)>> {
        let mut out: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        for i in 0..self.extents[0] {
            for j in 0..self.extents[1] {
                out.entry(self.value(i, j)).or_default().push((i, j));
            }
        }
        out
    }

    fn last(&self) -> i64 {
        self.value(self.extents[0] - 1, self.extents[1] - 1)
    }
}

fn index() -> impl Strategy<Value = Index> {
    let nested = (1..=6i64, 1..=6i64, any::<bool>()).prop_map(|(i, j, first)| {
        let factors = if first { [j, 1] } else { [1, i] };
        Index { extents: [i, j], factors, constant: 0 }
    });
    let any = ([1..=6i64, 1..=6], [1..=7i64, 1..=7], 0..3i64)
        .prop_map(|(extents, factors, constant)| Index { extents, factors, constant });
    prop_oneof![nested, any]
}

fn program(index: &Index, extent: i64, fill: bool) -> String {
    let Index { extents: [i, j], factors: [a, b], constant } = index;
    let with = if fill { " with fill(0)" } else { "" };
    format!(
        "program image {{
            mesh m {{ p: 1 }}
            in x: f32[i: {i}, j: {j}] @ [copy/p, i, j];
            out y: f32[m: {extent}] @ [copy/p, m]{with};
            entry main {{ y[i * {a} + j * {b} + {constant}] <- x[i, j]; }}
        }}"
    )
}

/// The movement of some program, to be given another index.
fn movement() -> Move {
    let index = Index { extents: [2, 3], factors: [3, 1], constant: 0 };
    let text = program(&index, 6, false);
    let compiled = compile(&text, None, &Bindings::new()).expect("it compiles");
    compiled.plan.entries[0].moves[0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A program is refused for exactly what is wrong with it.
    #[test]
    fn a_program_is_accepted_if_its_index_is_right(
        index in index(), more in -2..3i64, fill in any::<bool>(),
    ) {
        let extent = (index.last() + 1 + more).max(1);
        let reached = index.enumerate();
        let conflict = reached.values().any(|from| from.len() > 1);
        let outside = index.last() >= extent;
        let gap = !fill && (0..extent).any(|at| !reached.contains_key(&at));
        let text = program(&index, extent, fill);
        match compile(&text, None, &Bindings::new()) {
            Ok(_) => prop_assert!(!conflict && !outside && !gap, "accepted: {text}"),
            Err(found) => for d in &found.0 {
                let right = match d.code {
                    "F0205" | "F0501" => conflict,
                    "F0206" => outside,
                    "F0503" => gap,
                    _ => false,
                };
                prop_assert!(right, "{} {}: {text}", d.code, d.message);
            },
        }
    }

    /// The image of an axis, with its counter-examples.
    #[test]
    fn images_equal_enumeration(index in index(), more in 0..4i64) {
        let mut movement = movement();
        let order = ["i", "j"].map(|n| movement.vars.iter().position(|v| v.name == n).expect("a variable"));
        for (var, extent) in order.iter().zip(index.extents) {
            movement.vars[*var].extent = extent;
        }
        let terms = order.iter().copied().zip(index.factors).collect();
        let coordinate = Coordinate::Linear { terms, constant: index.constant };
        let extent = index.last() + 1 + more;
        let reached = index.enumerate();
        let conflict = reached.values().any(|from| from.len() > 1);
        match of_axis(&coordinate, extent, &movement) {
            Image::Bijective => {
                prop_assert!(!conflict);
                prop_assert_eq!(reached.len() as i64, extent);
            }
            Image::Partial { missing } => {
                prop_assert!(!conflict);
                prop_assert!((0..extent).contains(&missing) && !reached.contains_key(&missing));
            }
            Image::Conflict { at, first, second } => {
                prop_assert_ne!(&first, &second);
                for values in [first, second] {
                    let of = |var| values.iter().find(|(v, _)| *v == var).map_or(0, |(_, x)| *x);
                    let (i, j) = (of(order[0]), of(order[1]));
                    prop_assert_eq!(index.value(i, j), at);
                    prop_assert!(i < index.extents[0] && j < index.extents[1]);
                }
            }
            Image::Unknown => return Err(TestCaseError::fail("it is small enough to enumerate")),
        }
    }
}
