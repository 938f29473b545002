//! Digit tables, movement relations and traffic against enumeration, on random pairs of placements and on
//! formulas from elsewhere.

use crate::pairs::{AXES, Pair, Places, moved, pair, scattered};
use fusco_dsl::explain::traffic;
use fusco_dsl::layout::{SpreadKind, Table};
use fusco_dsl::plan::image::is_everything;
use fusco_dsl::plan::{Move, Shape, Side};
use fusco_dsl::sema::hir::{Bindings, Elem, Swizzle};
use fusco_dsl::{Compiled, compile};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), TestCaseError>;

/// One element of the relation.
struct Point {
    /// Values of the movement's variables.
    vars: Vec<i64>,
    source: Held,
    target: Held,
}

/// Elements before the swizzle, and all ranks that have it; by part of a sum.
struct Held {
    offset: i64,
    ranks: Vec<Vec<i64>>,
}

/// Bits 4.. of the byte offset become their xor with bits 7.. (TMA's swizzles).
fn swizzled(offset: i64, elem: Elem, swizzle: Option<Swizzle>) -> i64 {
    let columns = match swizzle {
        None => return offset,
        Some(Swizzle::B32) => 2,
        Some(Swizzle::B64) => 4,
        Some(Swizzle::B128) => 8,
    };
    let byte = offset * elem.bytes();
    (byte ^ (((byte >> 7) % columns) << 4)) / elem.bytes()
}

/// The table's rank and offset of the coordinates, by part, checked against the reference interpreter's.
fn held(
    (compiled, table): (&Compiled, &Table),
    at: &[i64],
    places: &[&[(i64, i64)]],
) -> Result<Held, TestCaseError> {
    let tensor = &compiled.hir.tensors[table.tensor];
    let (mut rank, mut offset) = (0, 0);
    for (axis, value) in at.iter().enumerate() {
        let part = table.part(axis, *value).ok_or_else(|| TestCaseError::fail("no part"))?;
        rank += part.rank;
        offset += part.offset;
    }
    prop_assert!((0..table.elems).contains(&offset));
    let replicas = table.replicas(rank);
    let mut ranks = Vec::new();
    for (part, found) in places.iter().enumerate() {
        let mine: Vec<i64> =
            replicas.iter().copied().filter(|r| part_of(table, *r) == part as i64).collect();
        let physical = swizzled(offset, tensor.dtype.elem, tensor.attrs.swizzle);
        let mut claimed: Vec<(i64, i64)> = mine.iter().map(|r| (*r, physical)).collect();
        claimed.sort_unstable();
        prop_assert_eq!(&claimed[..], *found, "{}{:?}", table.name, at);
        ranks.push(mine);
    }
    Ok(Held { offset, ranks })
}

/// Which part of a sum a rank holds.
fn part_of(table: &Table, rank: i64) -> i64 {
    let sums = table.spread.iter().filter(|s| s.kind == SpreadKind::Sum);
    sums.fold(0, |part, s| part * s.size + (rank - table.first) / s.weight % s.size)
}

/// (a) The tables give the reference interpreter's rank and offset for every element.
fn relation(
    pair: &Pair,
    compiled: &Compiled,
    parts: Option<i64>,
) -> Result<Vec<Point>, TestCaseError> {
    let (movement, elem) = (&compiled.plan.entries[0].moves[0], pair.elem());
    let table = |name: &str| &compiled.plan.tables[&compiled.hir.tensor(name).expect("declared")];
    let extents: Vec<usize> = pair.extents.iter().map(|n| *n as usize).collect();
    let count: usize = extents.iter().product();
    let mut shape = extents.clone();
    shape.splice(0..0, parts.map(|n| n as usize));
    let source = scattered(compiled, "x", elem, &shape);
    let target = match parts {
        None => moved(compiled, elem, &shape),
        Some(_) => renumbered(pair, &scattered(compiled, "y", elem, &target_shape(pair))),
    };
    let order = pair.target_axes();
    let mut points = Vec::new();
    let at =
        |places: &'_ Places, id: usize| places.get(&(id as u64 + 1)).cloned().unwrap_or_default();
    for id in 0..count {
        let coords = unravel(id, &extents);
        let mine: Vec<_> =
            (0..parts.unwrap_or(1) as usize).map(|p| at(&source, p * count + id)).collect();
        let mine: Vec<&[(i64, i64)]> = mine.iter().map(Vec::as_slice).collect();
        let theirs = at(&target, id);
        let own: Vec<i64> = order.iter().map(|a| coords[*a]).collect();
        let value = |v: &str| AXES.iter().position(|a| *a == v).map_or(0, |axis| coords[axis]);
        points.push(Point {
            vars: movement.vars.iter().map(|v| value(&v.name)).collect(),
            source: held((compiled, table("x")), &coords, &mine)?,
            target: held((compiled, table("y")), &own, &[&theirs])?,
        });
    }
    Ok(points)
}

fn unravel(mut id: usize, extents: &[usize]) -> Vec<i64> {
    let mut out = vec![0; extents.len()];
    for (value, n) in out.iter_mut().zip(extents).rev() {
        *value = (id % n) as i64;
        id /= n;
    }
    out
}

fn target_shape(pair: &Pair) -> Vec<usize> {
    pair.target_axes().iter().map(|a| pair.extents[*a] as usize).collect()
}

/// Elements of the target under the numbers of the source.
fn renumbered(pair: &Pair, places: &Places) -> Places {
    let shape = target_shape(pair);
    let number = |id: u64| {
        let own = unravel(id as usize - 1, &shape);
        let mut coords = vec![0; own.len()];
        pair.target_axes().iter().zip(own).for_each(|(axis, value)| coords[*axis] = value);
        coords.iter().zip(&pair.extents).fold(0, |n, (c, extent)| n * extent + c) as u64 + 1
    };
    places.iter().map(|(id, at)| (number(*id), at.clone())).collect()
}

fn digit(movement: &Move, at: usize, vars: &[i64]) -> i64 {
    let digit = &movement.digits[at];
    vars[digit.var] / digit.weight % digit.radix
}

/// Digits that the rank decides are those of every rank that carries the element.
fn cuts(movement: &Move, table: &Table, point: &Point) -> Checked {
    let held = match movement.carrier {
        Side::Source => &point.source,
        Side::Target => &point.target,
    };
    for (at, digit_at) in movement.digits.iter().enumerate() {
        let Some(cut) = digit_at.cut else { continue };
        for rank in held.ranks.iter().flatten() {
            let mine = (rank - table.first) / cut.weight % cut.size / cut.below;
            let mine = if cut.top { mine } else { mine % digit_at.radix };
            prop_assert_eq!(mine, digit(movement, at, &point.vars), "digit {}", at);
        }
    }
    Ok(())
}

/// (b) The claimed run and vector: points that differ in the inner digits only are neighbours.
fn runs(movement: &Move, points: &[Point]) -> Checked {
    let n = movement.digits.len();
    match &movement.shape {
        Shape::Rows { run, vector, digits } => {
            let inner: Vec<usize> = (n - digits..n).collect();
            neighbours(movement, points, &inner, (*run, *vector), |p| &p.source)?;
            neighbours(movement, points, &inner, (*run, *vector), |p| &p.target)
        }
        Shape::Tile(tile) => {
            let (along, _, vector) = tile.source;
            blocks(movement, points, along, vector, |p| &p.source)?;
            let (along, _, vector) = tile.target;
            blocks(movement, points, along, vector, |p| &p.target)
        }
    }
}

/// For every value of the other digits: `run` live elements, one after the other from a multiple of
/// `vector`, all on the same ranks.
fn neighbours(
    movement: &Move,
    points: &[Point],
    inner: &[usize],
    (run, vector): (i64, i64),
    side: impl Fn(&Point) -> &Held,
) -> Checked {
    prop_assert_eq!(run % vector, 0);
    let mut groups: BTreeMap<Vec<i64>, Vec<(i64, &Held)>> = BTreeMap::new();
    for point in points {
        let of = |d: usize| digit(movement, d, &point.vars);
        let outer = (0..movement.digits.len()).filter(|d| !inner.contains(d)).map(of).collect();
        let at = inner.iter().fold(0, |at, d| at * movement.digits[*d].radix + of(*d));
        groups.entry(outer).or_default().push((at, side(point)));
    }
    for group in groups.values_mut() {
        group.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(group.len() as i64, run, "elements of a run");
        consecutive(group, vector)?;
    }
    Ok(())
}

/// For every value of the other digits: aligned blocks of `vector` values of digit `along` are all live or
/// all dead, and consecutive from a multiple of `vector` on the same ranks.
fn blocks(
    movement: &Move,
    points: &[Point],
    along: usize,
    vector: i64,
    side: impl Fn(&Point) -> &Held,
) -> Checked {
    let mut groups: BTreeMap<Vec<i64>, Vec<(i64, &Held)>> = BTreeMap::new();
    for point in points {
        let of = |d: usize| digit(movement, d, &point.vars);
        let others = (0..movement.digits.len()).filter(|d| *d != along).map(of);
        let key = others.chain([of(along) / vector]).collect();
        groups.entry(key).or_default().push((of(along), side(point)));
    }
    for group in groups.values_mut() {
        group.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(group.len() as i64, vector, "elements of an access");
        consecutive(group, vector)?;
    }
    Ok(())
}

fn consecutive(group: &[(i64, &Held)], vector: i64) -> Checked {
    let first = group[0].1;
    prop_assert_eq!(first.offset % vector, 0, "a start that is not aligned");
    for (i, (_, held)) in group.iter().enumerate() {
        prop_assert_eq!(held.offset, first.offset + i as i64);
        prop_assert_eq!(&held.ranks, &first.ranks);
    }
    Ok(())
}

/// (c) No element is written twice, and `is_everything` is true of a buffer that has no gap only.
fn images(compiled: &Compiled, movement: &Move, points: &[Point]) -> Checked {
    let table = &compiled.plan.tables[&movement.target.tensor];
    let mut written = BTreeSet::new();
    for point in points {
        for rank in &point.target.ranks[0] {
            prop_assert!(written.insert((*rank, point.target.offset)), "written twice");
        }
    }
    let ranks: BTreeSet<i64> = written.iter().map(|(rank, _)| *rank).collect();
    if is_everything(table, movement) {
        let holders: i64 = table.spread.iter().fold(table.ranks, |n, s| match s.kind {
            SpreadKind::Only(_) => n / s.size,
            SpreadKind::Copy | SpreadKind::Sum => n,
        });
        prop_assert_eq!(ranks.len() as i64, holders);
        prop_assert_eq!(written.len() as i64, holders * table.elems);
    } else if table.maps.is_empty() {
        prop_assert!((written.len() as i64) < table.ranks * table.elems || table.elems == 1);
    }
    Ok(())
}

/// (d) Bytes for each pair of ranks. A taker has an element, or each part of a sum, from the holder that
/// is nearest: at its own coordinates where there are copies. Copies of a sum share the work, and send each
/// other what they have added up.
fn bytes(pair: &Pair, compiled: &Compiled, movement: &Move, points: &[Point]) -> Checked {
    let Some(found) = traffic(compiled, movement) else {
        return Err(TestCaseError::fail("static traffic is known"));
    };
    let table = |name: &str| &compiled.plan.tables[&compiled.hir.tensor(name).expect("declared")];
    let near = |holders: &[i64], to: i64| {
        let copies = table("x").spread.iter().filter(|s| s.kind == SpreadKind::Copy);
        let copies: Vec<_> = copies.map(|s| (s.weight, s.size)).collect();
        let own = |h: &&i64| copies.iter().all(|(w, n)| *h / w % n == to / w % n);
        holders.iter().find(own).copied().unwrap_or(-1)
    };
    let (ranks, width) = (compiled.schedule.ranks as usize, pair.elem().bytes());
    let mut bytes = vec![vec![0; ranks]; ranks];
    let mut sums: BTreeMap<(&Vec<Vec<i64>>, &Vec<i64>), usize> = BTreeMap::new();
    let summed = table("x").spread.iter().any(|s| s.kind == SpreadKind::Sum);
    for point in points {
        let takers = &point.target.ranks[0];
        let turn = sums.entry((&point.source.ranks, takers)).or_default();
        let adder = takers[*turn % takers.len()];
        *turn += 1;
        for to in takers {
            if summed && *to != adder {
                bytes[adder as usize][*to as usize] += width;
                continue;
            }
            for holders in &point.source.ranks {
                let from = near(holders, *to);
                prop_assert!(from >= 0 && (!holders.contains(to) || from == *to));
                bytes[from as usize][*to as usize] += width;
            }
        }
    }
    let crossing: i64 = (0..ranks)
        .flat_map(|f| (0..ranks).map(move |t| (f, t)))
        .filter(|(f, t)| f != t)
        .map(|(f, t)| bytes[f][t])
        .sum();
    prop_assert_eq!(found.crossing(), crossing);
    prop_assert_eq!(found.total(), bytes.iter().flatten().sum::<i64>());
    prop_assert_eq!(found.bytes, bytes);
    Ok(())
}

fn check(pair: &Pair) -> Checked {
    let (text, parts) = pair.text();
    let compiled = compile(&text, None, &Bindings::new())
        .map_err(|d| TestCaseError::fail(fusco_dsl::diag::render(&d, "pair", &text, false)))?;
    let movement = &compiled.plan.entries[0].moves[0];
    let told = |e| match e {
        TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{text}")),
        e => e,
    };
    let points = relation(pair, &compiled, parts).map_err(told)?;
    let carried = match movement.carrier {
        Side::Source => "x",
        Side::Target => "y",
    };
    let table = &compiled.plan.tables[&compiled.hir.tensor(carried).expect("declared")];
    points.iter().try_for_each(|p| cuts(movement, table, p)).map_err(told)?;
    runs(movement, &points).map_err(told)?;
    images(&compiled, movement, &points).map_err(told)?;
    bytes(pair, &compiled, movement, &points).map_err(told)
}

fn cases() -> u32 {
    std::env::var("FUSCO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pairs_equal_enumeration(pair in pair()) {
        check(&pair)?;
    }
}

/// The pairs that are compared are of every form, and not all plain.
#[test]
fn random_pairs_are_of_every_form() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..600 {
        let pair = pair().new_tree(&mut runner).expect("a pair").current();
        let (text, _) = pair.text();
        let compiled = compile(&text, None, &Bindings::new()).expect("it compiles");
        let movement = &compiled.plan.entries[0].moves[0];
        let shape = match movement.shape {
            Shape::Tile(tile) if tile.source.2.min(tile.target.2) > 1 => "wide tile",
            Shape::Tile(_) => "tile",
            Shape::Rows { vector: 2.., .. } => "wide run",
            Shape::Rows { .. } => "run",
        };
        let words = ["copy/", "only(", "sum/", ".map(", "swizzle", "stride", "uneven", "q", "k: "];
        let words = words.iter().filter(|w| text.contains(**w)).map(|w| w.to_string());
        for form in words.chain([shape.to_string(), format!("{:?}", movement.carrier)]) {
            *seen.entry(form).or_default() += 1;
        }
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 15, "{seen:?}");
    assert!(seen.values().all(|n| *n >= 3), "{seen:?}");
}
