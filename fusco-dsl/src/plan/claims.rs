//! What is claimed of movements without a route, and what every movement owes even if nobody claims it:
//! no element is written twice, and none is left without a value.

use super::image::{self, Image};
use super::moves::{Coordinate, Live, Move, MoveValue, MoveVar, Place, Shape};
use super::union::{self, Apart};
use super::{Plan, Step, Terms, step};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics, Fix, Severity};
use crate::layout::{Home, SpreadKind, Table};
use crate::sema::hir::{self, Bindings, Extent, Io, Program, Prove, SpreadKind as Spread};
use std::collections::{BTreeMap, BTreeSet};

/// F0501 and F0503, claimed or not.
pub(super) fn obligations(
    program: &Program,
    bound: &Bindings,
    moves: &[Move],
    diagnostics: &mut Diagnostics,
) {
    for (i, movement) in moves.iter().enumerate() {
        let target = &program.tensors[movement.target.tensor];
        let covered = target.attrs.fill.is_some() || target.io == Io::InOut;
        let together = together(moves, movement);
        let image = coverage(program, bound, movement);
        match image {
            Image::Conflict { .. } => diagnostics.push(conflict(program, bound, movement)),
            _ if together.len() > 1 => {
                let before =
                    moves[..i].iter().filter(|m| together.iter().any(|t| std::ptr::eq(*t, *m)));
                diagnostics.0.extend(before.into_iter().find_map(|m| both(program, m, movement)));
                let is_last = together.last().is_some_and(|last| std::ptr::eq(*last, movement));
                if is_last && !covered && !diagnostics.has_errors() {
                    let gap = uncovered_by_all(program, bound, &together, "F0503", movement.span);
                    diagnostics.0.extend(gap);
                }
            }
            Image::Partial { .. } if !covered => {
                diagnostics.push(uncovered(program, bound, movement, "F0503", movement.span));
            }
            Image::Unknown if !covered && movement.route.is_none() => {
                diagnostics.push(uncovered(program, bound, movement, "F0503", movement.span));
            }
            Image::Bijective | Image::Partial { .. } | Image::Unknown => {}
        }
    }
}

/// The statements that write the target of this one.
fn together<'m>(moves: &'m [Move], movement: &Move) -> Vec<&'m Move> {
    moves.iter().filter(|m| m.target.tensor == movement.target.tensor).collect()
}

/// F0504: an element that two statements write, or may write.
fn both(program: &Program, first: &Move, second: &Move) -> Option<Diagnostic> {
    let info = &program.tensors[second.target.tensor];
    let note = match union::apart(first, second) {
        Apart::Yes => return None,
        Apart::At(at) => {
            let at = info.axes.iter().zip(at).map(|(a, x)| format!("{}={x}", a.name));
            format!("both write {}[{}]", info.name, at.collect::<Vec<_>>().join(", "))
        }
        Apart::Unknown => {
            "that no element is written by both is not known before the launch".to_string()
        }
    };
    Some(
        Diagnostic::error(
            "F0504",
            second.span,
            format!("`{}` is written by two statements", info.name),
        )
        .related(first.span, "first here")
        .note(note)
        .note("statements of an entry are unordered: neither would be the last")
        .help("let an index or a `where` tell them apart, or write two tensors, or two entries"),
    )
}

/// What statements with one target leave unwritten.
fn uncovered_by_all(
    program: &Program,
    bound: &Bindings,
    together: &[&Move],
    code: &'static str,
    span: crate::source::Span,
) -> Option<Diagnostic> {
    let info = &program.tensors[together.first()?.target.tensor];
    let extents: Vec<i64> = info.axes.iter().map(|a| most(program, bound, &a.extent)).collect();
    if union::covers(program, together, &extents) {
        return None;
    }
    let name = &info.name;
    let claim = match code {
        "F0503" => format!("some elements of `{name}` are never written"),
        _ => format!("not covered: some elements of `{name}` are never written"),
    };
    Some(
        Diagnostic::error(code, span, claim)
            .note(format!(
                "by none of its {} statements, or that is not known at bind",
                together.len()
            ))
            .help(format!("add `with fill(0)` to `{name}`, or declare it `inout`"))
            .fixed(info.fix_with("fill(0)")),
    )
}

/// F0611: digits of one axis that do not divide each other cost divisions and narrow accesses.
pub fn warnings(program: &Program, plan: &Plan) -> Diagnostics {
    let moves = plan.entries.iter().flat_map(|e| &e.moves);
    Diagnostics(moves.filter_map(|m| undivided(program, m)).collect())
}

fn undivided(program: &Program, movement: &Move) -> Option<Diagnostic> {
    let (var, a, b) = movement.divided?;
    let name = &movement.vars[var].name;
    let width = program.tensors[movement.target.tensor].dtype.elem.bytes();
    let bytes = width
        * match &movement.shape {
            Shape::Rows { vector, .. } => *vector,
            Shape::Tile(tile) => tile.target.2,
        };
    let diagnostic = Diagnostic::error(
        "F0611",
        movement.span,
        format!("blocks of {a} and {b} along `{name}` do not divide each other"),
    )
    .note(format!("`{name}` is divided at run time, accesses are {bytes} bytes wide"))
    .help("choose block sizes of which one divides the other");
    Some(Diagnostic { severity: Severity::Warning, ..diagnostic })
}

fn coverage(program: &Program, bound: &Bindings, movement: &Move) -> Image {
    let tensor = movement.target.tensor;
    if image::is_diagonal(movement) {
        return diagonal(program, bound, movement);
    }
    let absent = |v: &MoveVar| v.first && !matches!(v.live, Live::Known);
    let partial = movement.filter.is_some()
        || movement.vars.iter().any(absent)
        || movement.may_be_absent(&|t| has_none(program, t));
    let mut worst = match partial {
        true => Image::Partial { missing: 0 },
        false => Image::Bijective,
    };
    // The variables of a route reach each element at most once: `check` has seen to it.
    let by_tuple = |axis: &usize| {
        let coordinate = &movement.target.coords[*axis];
        (0..movement.vars.len()).any(|v| movement.vars[v].tuple.is_some() && coordinate.mentions(v))
    };
    for axis in (0..program.tensors[tensor].axes.len()).filter(|a| !by_tuple(a)) {
        match axis_image(program, bound, movement, axis) {
            found @ Image::Conflict { .. } => return found,
            Image::Bijective => {}
            found => worst = found,
        }
    }
    worst
}

/// The image under indices that share a variable: `check` and `bind` have seen that no element is named twice
/// (F0205), so that the numbers of points and elements decide.
fn diagonal(program: &Program, bound: &Bindings, movement: &Move) -> Image {
    let (points, elements) = counted(program, bound, movement);
    let is_static = movement.vars.iter().all(|v| matches!(v.live, Live::Known));
    match movement.target.coords.iter().any(Coordinate::reads) {
        true => Image::Unknown,
        false
            if is_static
                && points == elements
                && movement.filter.is_none()
                && !movement.may_be_absent(&|t| has_none(program, t)) =>
        {
            Image::Bijective
        }
        false => Image::Partial { missing: 0 },
    }
}

/// Whether an element of the tensor may be none.
fn has_none(program: &Program, tensor: Handle<hir::Tensor>) -> bool {
    program.tensors[tensor].dtype.index.as_ref().is_some_and(|i| i.none.is_some())
}

/// Points of the movement and elements of the target.
fn counted(program: &Program, bound: &Bindings, movement: &Move) -> (i128, i128) {
    let axes = &program.tensors[movement.target.tensor].axes;
    let extents = axes.iter().map(|a| i128::from(most(program, bound, &a.extent)));
    let vars = movement.vars.iter().enumerate().filter(|(v, _)| !movement.value.reduces(*v));
    (vars.map(|(_, v)| i128::from(v.extent)).product(), extents.product())
}

fn axis_image(program: &Program, bound: &Bindings, movement: &Move, axis: usize) -> Image {
    let extent = &program.tensors[movement.target.tensor].axes[axis].extent;
    image::of_live_axis(
        extent,
        &movement.target.coords[axis],
        most(program, bound, extent),
        movement,
    )
}

/// The largest extent, each `dyn` and count at its bound.
fn most(program: &Program, bound: &Bindings, extent: &Extent) -> i64 {
    let found = match extent {
        Extent::Fixed(size) | Extent::Counted { bound: size, .. } => program.most(size, bound),
        Extent::Ragged { .. } => None,
    };
    found.unwrap_or(0)
}

/// `kv[u=8]`: the axis and a coordinate of it.
fn element(program: &Program, tensor: Handle<hir::Tensor>, axis: usize, at: i64) -> String {
    let info = &program.tensors[tensor];
    let coords: Vec<String> = info
        .axes
        .iter()
        .enumerate()
        .map(|(i, a)| format!("{}={}", a.name, if i == axis { at } else { 0 }))
        .collect();
    format!("{}[{}]", info.name, coords.join(", "))
}

fn conflict(program: &Program, bound: &Bindings, movement: &Move) -> Diagnostic {
    let tensor = movement.target.tensor;
    let name = &program.tensors[tensor].name;
    let mut diagnostic = Diagnostic::error(
        "F0501",
        movement.span,
        format!("two sources write one element of `{name}`"),
    )
    .label("this index names an element more than once");
    for axis in 0..program.tensors[tensor].axes.len() {
        let Image::Conflict { at, first, second } = axis_image(program, bound, movement, axis)
        else {
            continue;
        };
        let values = |list: &[(usize, i64)]| {
            let one = |(v, x): &(usize, i64)| format!("{}={x}", movement.vars[*v].name);
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        diagnostic = diagnostic.note(format!(
            "({}) and ({}) both reach {}",
            values(&first),
            values(&second),
            element(program, tensor, axis, at)
        ));
    }
    diagnostic.help("make each factor larger than all that the variables before it can add")
}

fn uncovered(
    program: &Program,
    bound: &Bindings,
    movement: &Move,
    code: &'static str,
    span: crate::source::Span,
) -> Diagnostic {
    let tensor = movement.target.tensor;
    let name = &program.tensors[tensor].name;
    let axes = match image::is_diagonal(movement) {
        true => 0,
        false => program.tensors[tensor].axes.len(),
    };
    let missing = (0..axes).find_map(|axis| match axis_image(program, bound, movement, axis) {
        Image::Partial { missing } => Some(element(program, tensor, axis, missing)),
        _ => None,
    });
    let diagnostic = match code {
        "F0503" => {
            Diagnostic::error(code, span, format!("some elements of `{name}` are never written"))
        }
        _ => Diagnostic::error(
            code,
            span,
            format!("not covered: some elements of `{name}` are never written"),
        ),
    };
    diagnostic
        .note(missing.map_or_else(
            || {
                let (points, elements) = counted(program, bound, movement);
                format!("its indices reach {points} of {elements} elements")
            },
            |m| format!("for example {m}"),
        ))
        .help(format!("add `with fill(0)` to `{name}`, or declare it `inout`"))
        .fixed(program.tensors[tensor].fix_with("fill(0)"))
}

/// A claim that is false of the entry's movements; `None` if it holds or is not about them.
pub(super) fn refute(
    program: &Program,
    bound: &Bindings,
    plan: &Plan,
    moves: &[Move],
    claim: &Prove,
) -> Option<Diagnostic> {
    let of = |tensor: Handle<hir::Tensor>| {
        moves.iter().find(|m| m.target.tensor == tensor && m.route.is_none())
    };
    match &claim.kind {
        hir::ProveKind::Covers(tensor) => {
            let movement = of(*tensor)?;
            let together = together(moves, movement);
            if together.len() > 1 {
                let gap = uncovered_by_all(program, bound, &together, "F0801", claim.span);
                return gap.filter(|_| program.tensors[*tensor].attrs.fill.is_none());
            }
            let fill = program.tensors[*tensor].attrs.fill.is_some();
            match coverage(program, bound, movement) {
                Image::Partial { .. } if !fill => {
                    Some(uncovered(program, bound, movement, "F0801", claim.span))
                }
                Image::Unknown => Some(undecided(claim, "an index read from a tensor decides it")),
                _ => None,
            }
        }
        hir::ProveKind::Injective(tensor) => {
            let movement = of(*tensor)?;
            match coverage(program, bound, movement) {
                Image::Unknown => Some(undecided(claim, "an index read from a tensor decides it")),
                _ => None,
            }
        }
        hir::ProveKind::Vector { tensor, axis, bytes } => {
            moves.iter().find_map(|m| narrow(program, plan, m, (*tensor, *axis), *bytes, claim))
        }
        hir::ProveKind::Local(tensor) => of(*tensor).and_then(|m| remote(program, plan, m, claim)),
        hir::ProveKind::Deterministic(tensor) => {
            of(*tensor).and_then(|m| unordered(program, m, claim))
        }
        _ => None,
    }
}

fn undecided(claim: &Prove, why: &str) -> Diagnostic {
    Diagnostic::error(
        "F0801",
        claim.span,
        format!("`{}` is not decided before the launch", claim.text),
    )
    .note(why.to_string())
    .help("remove the claim; the launch checks the index's range")
}

/// F0610.
fn narrow(
    program: &Program,
    plan: &Plan,
    movement: &Move,
    (tensor, axis): (Handle<hir::Tensor>, usize),
    bytes: i64,
    claim: &Prove,
) -> Option<Diagnostic> {
    let read = movement.value.places();
    let (place, is_source) = match tensor {
        t if t == movement.target.tensor && !read.is_empty() => (&movement.target, false),
        t => (read.into_iter().find(|p| p.tensor == t)?, true),
    };
    let info = &program.tensors[tensor];
    let (elements, along) = access(plan, movement, place, is_source);
    let fits = along.is_none_or(|var| mentions(&place.coords[axis], var));
    let width = if fits { elements * info.dtype.elem.bytes() } else { info.dtype.elem.bytes() };
    (width < bytes).then(|| {
        Diagnostic::error("F0610", claim.span, format!("`{}` fails", claim.text))
            .label(format!("widest is {width} bytes"))
            .note(match &movement.shape {
                Shape::Rows { run, .. } => format!(
                    "a run is {run} elements: {}",
                    movement.why
                ),
                Shape::Tile(_) => "the tile's accesses end with the axis".to_string(),
            })
            .help("choose sizes that are multiples of the width, or place the axis last on both sides")
    })
}

/// Elements of an access on one side, and the variable it runs along.
fn access(plan: &Plan, movement: &Move, place: &Place, is_source: bool) -> (i64, Option<usize>) {
    match &movement.shape {
        Shape::Rows { vector, .. } => {
            let table = &plan.tables[&place.tensor];
            if is_source && !movement.is_row(table, place) {
                return (1, None);
            }
            let last = (0..movement.digits.len())
                .rev()
                .find(|i| step(table, place, &movement.digits, *i) == Step::Memory(1));
            (*vector, last.map(|i| movement.digits[i].var))
        }
        Shape::Tile(tile) => {
            let (digit, _, elements) = if is_source { tile.source } else { tile.target };
            (elements, Some(movement.digits[digit].var))
        }
    }
}

fn mentions(coordinate: &Coordinate, var: usize) -> bool {
    matches!(coordinate, Coordinate::Linear { terms, .. } if terms.iter().any(|(v, _)| *v == var))
}

/// F0804: an element changes its rank.
fn remote(program: &Program, plan: &Plan, movement: &Move, claim: &Prove) -> Option<Diagnostic> {
    let read = movement.value.places();
    read.into_iter().find_map(|source| remote_from(program, plan, (movement, source), claim))
}

fn remote_from(
    program: &Program,
    plan: &Plan,
    (movement, source): (&Move, &Place),
    claim: &Prove,
) -> Option<Diagnostic> {
    let (from, to) = (&plan.tables[&source.tensor], &plan.tables[&movement.target.tensor]);
    let name = &program.tensors[movement.target.tensor].name;
    let not_local = || {
        Diagnostic::error("F0804", claim.span, format!("`{name}` is not local"))
            .help("split the same axis over the same mesh axis on both sides, or drop the claim")
    };
    let (Some(there), Some(here)) =
        (ranks_of(from, source, movement), ranks_of(to, &movement.target, movement))
    else {
        return match enumerated(plan, movement, source) {
            Some(None) => None,
            Some(Some(at)) => Some(not_local().note(format!("it changes its rank at {at}"))),
            None => Some(undecided(claim, "a computed index decides which rank holds an element")),
        };
    };
    let copied = |weight: &i64| {
        from.spread.iter().any(|s| s.kind == SpreadKind::Copy && s.weight == *weight && s.size > 1)
    };
    let weights: BTreeSet<i64> = there.keys().chain(here.keys()).copied().collect();
    let none = Terms::new();
    for weight in weights {
        let sides = [&there, &here].map(|side| side.get(&weight).unwrap_or(&none));
        let odd = sides[0].iter().chain(sides[1]).find(|t| !sides.iter().all(|s| s.contains(t)));
        let Some((digit, _)) = odd.filter(|_| !copied(&weight)) else {
            continue;
        };
        return Some(match movement.digits.get(*digit) {
            Some(digit) => not_local().note(format!(
                "a step of `{}` changes the rank on one side only",
                movement.vars[digit.var].name
            )),
            None => not_local()
                .note("the source is not on all coordinates of a mesh axis that the target is on"),
        });
    }
    (from.first != to.first).then(|| not_local().note("the two sides are on different meshes"))
}

/// By weight in ranks: the digits that the coordinate on that mesh axis is the sum of, with their factors; a
/// fixed coordinate is a factor of a digit that does not exist. `None` if a digit straddles a boundary.
fn ranks_of(table: &Table, place: &Place, movement: &Move) -> Option<BTreeMap<i64, Terms>> {
    let mut out = BTreeMap::new();
    for row in &table.digits {
        match row.home {
            // An axis of one rank shares its weight with the next.
            Home::Mesh { .. } if row.radix.bound() == 1 => {}
            Home::Mesh { weight, .. } => {
                let coordinate = &place.coords[row.axis];
                let mine = coordinate.piece(&movement.digits, row, table.is_top(row))?;
                let mut terms = mine.terms;
                terms.retain(|(digit, _)| movement.digits[*digit].radix > 1);
                terms.extend((mine.constant != 0).then_some((usize::MAX, mine.constant)));
                out.insert(weight, terms);
            }
            Home::Owner => return None,
            _ => {}
        }
    }
    for spread in table.spread.iter().filter(|s| s.size > 1) {
        let fixed = match spread.kind {
            SpreadKind::Only(0) => Terms::new(),
            SpreadKind::Only(at) => vec![(usize::MAX, at)],
            // All of them, or parts of each.
            SpreadKind::Copy => vec![(usize::MAX - 1, 1)],
            SpreadKind::Sum => vec![(usize::MAX - 2, 1)],
        };
        out.insert(spread.weight, fixed);
    }
    Some(out)
}

/// Points at which the ranks of both sides are compared, at most.
const COMPARED: i64 = 1 << 20;

/// The first point whose target is on a rank that does not hold the source, as text; `Some(None)` if there is
/// none, `None` if they are too many, or not known at bind.
fn enumerated(plan: &Plan, movement: &Move, source: &Place) -> Option<Option<String>> {
    let extents: Vec<i64> = movement.vars.iter().map(|v| v.extent).collect();
    let points = extents.iter().try_fold(1i64, |all, n| all.checked_mul(*n))?;
    if points > COMPARED {
        return None;
    }
    let (from, to) = (&plan.tables[&source.tensor], &plan.tables[&movement.target.tensor]);
    for point in 0..points {
        let mut rest = point;
        let values: Vec<i64> = extents
            .iter()
            .map(|n| {
                let value = rest % n;
                rest /= n;
                value
            })
            .collect();
        let held = holders(from, source, &values)?;
        if !holders(to, &movement.target, &values)?.is_subset(&held) {
            let named = movement.vars.iter().zip(&values).map(|(v, x)| format!("{}={x}", v.name));
            return Some(Some(named.collect::<Vec<_>>().join(", ")));
        }
    }
    Some(None)
}

/// The ranks that hold the place, for these values of the variables.
fn holders(table: &Table, place: &Place, values: &[i64]) -> Option<BTreeSet<i64>> {
    let mut ranks = BTreeSet::from([table.first]);
    for row in &table.digits {
        let Home::Mesh { weight, .. } = row.home else {
            if row.home == Home::Owner {
                return None;
            }
            continue;
        };
        let Coordinate::Linear { terms, constant } = &place.coords[row.axis] else { return None };
        let at = terms.iter().fold(*constant, |sum, (v, factor)| sum + factor * values[*v]);
        let above = at / row.weight;
        let digit = if table.is_top(row) { above } else { above % row.radix.bound() };
        ranks = ranks.into_iter().map(|r| r + digit * weight).collect();
    }
    for spread in &table.spread {
        let at = match spread.kind {
            SpreadKind::Only(at) => at..at + 1,
            SpreadKind::Copy => 0..spread.size,
            // All parts are read, wherever they are.
            SpreadKind::Sum => return Some(BTreeSet::new()),
        };
        ranks = ranks.iter().flat_map(|r| at.clone().map(move |i| r + i * spread.weight)).collect();
    }
    Some(ranks)
}

/// F0803: a sum in any order feeds it.
fn unordered(program: &Program, movement: &Move, claim: &Prove) -> Option<Diagnostic> {
    let (info, any) = movement.value.places().into_iter().find_map(|source| {
        let info = &program.tensors[source.tensor];
        let any = info.spread.iter().find(|s| matches!(s.kind, Spread::Sum { any: true }))?;
        Some((info, any))
    })?;
    Some(
        Diagnostic::error(
            "F0803",
            claim.span,
            format!("`{}` is not deterministic", program.tensors[movement.target.tensor].name),
        )
        .related(any.span, "`.any` allows any order of addition")
        .help(format!("place `{}` with an ordered sum: remove `.any`", info.name))
        .fixed(ordered(program, info, any)),
    )
}

/// The term without `.any`, unless an alias stands there for several axes.
fn ordered(program: &Program, tensor: &hir::Tensor, any: &hir::Spread) -> Option<Fix> {
    let alone = tensor.spread.iter().filter(|s| s.span == any.span).count() == 1;
    let replacement = format!("sum/{}", program.mesh_axes[any.mesh].name);
    alone.then_some(Fix { span: any.span, replacement })
}

/// F0802: the second entry does not put back what the first has moved. `None` also if either entry is no
/// single permutation: routes decide those.
pub(super) fn not_inverse(
    program: &Program,
    first: &[Move],
    second: &[Move],
    claim: &Prove,
) -> Option<Diagnostic> {
    let ([first], [second]) = (first, second) else {
        return Some(
            Diagnostic::error("F0802", claim.span, "the entries are not inverse")
                .note("an inverse pair has one statement each")
                .help("claim it of entries of one statement"),
        );
    };
    let (Some(there), Some(back)) = (permutation(first), permutation(second)) else {
        return Some(
            undecided(claim, "an index is computed, or a literal is stored")
                .note("permutations of axes, `b[n, m] <- a[m, n]`, are decided")
                .help("index both sides by plain variables"),
        );
    };
    let wrong = (0..there.len()).find(|i| there.get(*i).and_then(|p| back.get(*p)) != Some(i));
    let axis = match wrong {
        None if there.len() == back.len() => return None,
        found => found.unwrap_or(0),
    };
    let MoveValue::Read(source) = &first.value else { return None };
    let landed = there.get(axis).and_then(|p| back.get(*p)).copied().unwrap_or(0);
    Some(
        Diagnostic::error("F0802", claim.span, "the entries are not inverse")
            .note(format!(
                "{} comes back as {}",
                element(program, source.tensor, axis, 1),
                element(program, second.target.tensor, landed, 1)
            ))
            .help("read the second statement backwards: swap its two index lists"),
    )
}

/// For each axis of the source, the axis of the target with the same variable.
fn permutation(movement: &Move) -> Option<Vec<usize>> {
    let MoveValue::Read(source) = &movement.value else { return None };
    let plain = |c: &Coordinate| match c {
        Coordinate::Linear { terms, constant: 0 } => match terms[..] {
            [(var, 1)] => Some(var),
            _ => None,
        },
        _ => None,
    };
    let target: Option<Vec<usize>> = movement.target.coords.iter().map(plain).collect();
    let target = target?;
    source
        .coords
        .iter()
        .map(|c| plain(c).and_then(|v| target.iter().position(|t| *t == v)))
        .collect()
}
