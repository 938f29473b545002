//! What each refined digit does on its way: stays, is gathered, scattered, permuted, transposed; and what a
//! mesh axis that splits nothing does: broadcasts, slices, reduces.
//!
//! Enters: a movement and the two digit tables. Leaves: one line a digit or mesh axis that moves something.

use crate::Compiled;
use crate::layout::{Home, Spread, SpreadKind, Table};
use crate::plan::{Coordinate, Move, MoveValue, Place, Shape, Step, step};
use crate::sema::hir;

/// A place and its table.
type End<'a> = (&'a Table, &'a Place);

/// One line for each digit of more than one value, then one for each mesh axis that splits nothing.
pub(super) fn lines(compiled: &Compiled, movement: &Move) -> Vec<String> {
    let tables = &compiled.plan.tables;
    let target = (&tables[&movement.target.tensor], &movement.target);
    let digits = (0..movement.digits.len()).filter(|i| movement.digits[*i].radix > 1);
    let place = match &movement.value {
        MoveValue::Read(place) => place,
        MoveValue::Computed(_) => {
            return table(digits.map(|i| operands(compiled, movement, target, i)).collect());
        }
        MoveValue::Int(_) | MoveValue::Literal(_) => {
            return vec!["computed where it is written: no bytes move".to_string()];
        }
    };
    let source = (&tables[&place.tensor], place);
    let mut out = table(digits.map(|i| row(compiled, movement, source, target, i)).collect());
    out.extend(meshes(compiled, place, source.0, target.0));
    out
}

/// Lines of three columns.
fn table(rows: Vec<[String; 3]>) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1)];
    // Not `{:width$}`: it panics beyond 65,535, and names may be longer.
    let padded = |r: &[String; 3], i: usize| r[i].clone() + &" ".repeat(widths[i] - r[i].len());
    let line = |r: &[String; 3]| format!("{}  {}  {}", padded(r, 0), padded(r, 1), r[2]);
    rows.iter().map(line).collect()
}

/// Name, homes in each operand and in the target, and whose it is.
fn operands(compiled: &Compiled, movement: &Move, target: End, i: usize) -> [String; 3] {
    let digit = &movement.digits[i];
    let name = format!("{} r{} w{}", movement.vars[digit.var].name, digit.radix, digit.weight);
    let tables = &compiled.plan.tables;
    let read = movement.value.places();
    let read: Vec<String> =
        read.iter().map(|p| home(movement, (&tables[&p.tensor], p), i)).collect();
    let (to, role) = match (movement.value.reduces(digit.var), digit.cut.is_some()) {
        (true, _) => ("reduced".to_string(), ""),
        (false, cut) => (home(movement, target, i), if cut { "each rank has its own" } else { "" }),
    };
    [name, format!("{} -> {to}", read.join(", ")), role.to_string()]
}

/// Name, homes, role.
fn row(compiled: &Compiled, movement: &Move, source: End, target: End, i: usize) -> [String; 3] {
    let digit = &movement.digits[i];
    let name = format!("{} r{} w{}", movement.vars[digit.var].name, digit.radix, digit.weight);
    let homes = format!("{} -> {}", home(movement, source, i), home(movement, target, i));
    let mut role = role(compiled, movement, source, target, i);
    if digit.cut.is_some() {
        role += "; each rank has its own";
    }
    [name, homes, role]
}

fn home(movement: &Move, (table, place): End, i: usize) -> String {
    match step(table, place, &movement.digits, i) {
        Step::Memory(stride) => format!("mem*{stride}"),
        Step::Rank => "@rank".to_string(),
        Step::Other => special(movement, (table, place), i).to_string(),
    }
}

/// The home of a digit whose step is not a number.
fn special(movement: &Move, (table, place): End, i: usize) -> &'static str {
    let var = movement.digits[i].var;
    let axes = || (0..place.coords.len()).filter(|a| place.coords[*a].mentions(var));
    let grouped = |axis: usize| {
        let mine = table.digits.iter().filter(|d| d.axis == axis);
        mine.into_iter().any(|d| matches!(d.home, Home::Parent { .. } | Home::Rows { .. }))
    };
    if movement.vars[var].tuple.is_some() {
        "of the tuple"
    } else if axes().any(|a| place.coords[a].reads()) {
        "looked up"
    } else if axes().any(|a| table.maps.contains_key(&a)) {
        "@owner"
    } else if axes().any(grouped) {
        "row of a group"
    } else {
        "div/mod"
    }
}

fn role(compiled: &Compiled, movement: &Move, source: End, target: End, i: usize) -> String {
    let at = |end: End| step(end.0, end.1, &movement.digits, i);
    let word = match (at(source), at(target)) {
        (Step::Rank, Step::Rank) => {
            let (from, to) = (rank_step(movement, source, i), rank_step(movement, target, i));
            let same = from == to && source.0.first == target.0.first;
            if same { "stays on its rank" } else { "permute: goes to another rank" }
        }
        (Step::Memory(_), Step::Rank) => match spread_under(movement, source.0, target, i) {
            Some(SpreadKind::Copy) => "slice: each rank takes its part of its copy",
            Some(SpreadKind::Sum) => "reduce-scatter: each rank adds its part",
            _ => "scatter",
        },
        (Step::Rank, Step::Memory(_)) => match spread_under(movement, target.0, source, i) {
            Some(SpreadKind::Copy) => "all-gather: every rank gets all",
            _ => "gather",
        },
        (Step::Memory(a), Step::Memory(b)) if a == b && is_run(movement, i) => {
            "run: contiguous on both sides"
        }
        (Step::Memory(a), Step::Memory(b)) if a == b => "stays in place",
        (Step::Memory(_), Step::Memory(_)) if turned(movement, source, target, i) => {
            "transpose: in another order on the two sides"
        }
        (Step::Memory(_), Step::Memory(_)) => "same order, another stride",
        _ => return irregular(compiled, movement, source, target, i),
    };
    word.to_string()
}

/// A digit that a table, a count or a division places on one side at least.
fn irregular(compiled: &Compiled, movement: &Move, source: End, target: End, i: usize) -> String {
    let owner = |end: End| {
        let axes =
            (0..end.1.coords.len()).filter(|a| end.1.coords[*a].mentions(movement.digits[i].var));
        axes.filter_map(|a| end.0.maps.get(&a)).next().map(|map| match &map.owners {
            crate::layout::Owners::Known(_) => "the table of owners".to_string(),
            crate::layout::Owners::Read(t) => format!("`{}`", compiled.hir.tensors[*t].name),
        })
    };
    match (owner(source), owner(target)) {
        (Some(a), None) => format!("gather from the ranks that {a} names"),
        (None, Some(b)) => format!("scatter to the ranks that {b} names"),
        (Some(_), Some(_)) => "permute from owner to owner".to_string(),
        (None, None) => match (home(movement, source, i), home(movement, target, i)) {
            (a, _) if a == "looked up" => "gather at positions read from a tensor".to_string(),
            (_, b) if b == "looked up" => "scatter to positions read from a tensor".to_string(),
            (a, b) if a == "div/mod" || b == "div/mod" => {
                "boundaries do not divide: an index is divided at run time".to_string()
            }
            (a, _) if a == "@rank" => "gather; its row follows from the counts".to_string(),
            (_, b) if b == "@rank" => "scatter; its row follows from the counts".to_string(),
            _ => "its row follows from the counts".to_string(),
        },
    }
}

/// Whether the digit is one of the last that make up the run.
fn is_run(movement: &Move, i: usize) -> bool {
    matches!(movement.shape, Shape::Rows { digits, .. } if i + digits >= movement.digits.len())
}

/// Whether the digit and another in memory are nested differently on the two sides.
fn turned(movement: &Move, source: End, target: End, i: usize) -> bool {
    let strides = |j: usize| {
        let at = |end: End| step(end.0, end.1, &movement.digits, j);
        match (at(source), at(target)) {
            (Step::Memory(a), Step::Memory(b)) => Some((a, b)),
            _ => None,
        }
    };
    let Some((a, b)) = strides(i) else { return false };
    let others = (0..movement.digits.len()).filter(|j| *j != i && movement.digits[*j].radix > 1);
    others.filter_map(strides).any(|(c, d)| (a < c) != (b < d))
}

/// What one step of a digit adds to the rank.
fn rank_step(movement: &Move, (table, place): End, i: usize) -> Option<i64> {
    let digit = &movement.digits[i];
    let mut rank = 0;
    for (axis, coordinate) in place.coords.iter().enumerate() {
        let Coordinate::Linear { terms, .. } = coordinate else { continue };
        for (_, times) in terms.iter().filter(|(v, _)| *v == digit.var) {
            rank += table.rank_part(axis, times * digit.weight)?;
        }
    }
    Some(rank)
}

/// What `table` keeps over the mesh axis on which `end` has the digit.
fn spread_under(movement: &Move, table: &Table, end: End, i: usize) -> Option<SpreadKind> {
    if (table.first, table.ranks) != (end.0.first, end.0.ranks) {
        return None;
    }
    let rank = rank_step(movement, end, i)?;
    let under = |s: &&Spread| (rank / s.weight) % s.size != 0;
    table.spread.iter().find(under).map(|s| s.kind)
}

/// `gpu r8: sum -> copy  all-reduce, ascending ranks in f32`
fn meshes(compiled: &Compiled, place: &Place, from: &Table, to: &Table) -> Vec<String> {
    let kind = |table: &Table, of: &Spread| {
        table.spread.iter().find(|s| s.axis == of.axis).map(|s| s.kind)
    };
    let splits = |table: &Table, of: &Spread| {
        table.digits.iter().any(|d| match d.home {
            Home::Mesh { axis, .. } => axis == of.axis,
            Home::Owner => (table.first, table.ranks) == (from.first, from.ranks),
            _ => false,
        })
    };
    let show = |kind: Option<SpreadKind>, split: bool| match kind {
        Some(SpreadKind::Copy) => "copy".to_string(),
        Some(SpreadKind::Sum) => "sum".to_string(),
        Some(SpreadKind::Only(i)) => format!("only({i})"),
        None if split => "split".to_string(),
        None => "-".to_string(),
    };
    let mut out = Vec::new();
    let added = to.spread.iter().filter(|s| kind(from, s).is_none());
    for s in from.spread.iter().chain(added).filter(|s| s.size > 1) {
        let (a, b) = (kind(from, s), kind(to, s));
        let any = compiled.hir.tensors[place.tensor]
            .spread
            .iter()
            .any(|h| h.mesh == s.axis && matches!(h.kind, hir::SpreadKind::Sum { any: true }));
        out.push(format!(
            "mesh axis {} r{}: {} -> {}  {}",
            compiled.hir.mesh_axes[s.axis].name,
            s.size,
            show(a, splits(from, s)),
            show(b, splits(to, s)),
            over_mesh(a, b, splits(to, s), any)
        ));
    }
    out
}

fn over_mesh(
    from: Option<SpreadKind>,
    to: Option<SpreadKind>,
    split: bool,
    any: bool,
) -> &'static str {
    use SpreadKind::{Copy, Only, Sum};
    match (from, to) {
        (Some(Sum), _) if any => match to {
            Some(Copy) => "all-reduce in f32, in any order",
            Some(Only(_)) => "reduce in f32, in any order",
            _ => "reduce-scatter in f32, in any order",
        },
        (Some(Sum), Some(Copy)) => "all-reduce in f32, ranks ascending",
        (Some(Sum), Some(Only(_))) => "reduce in f32, ranks ascending",
        (Some(Sum), _) => "reduce-scatter in f32, ranks ascending",
        (Some(Copy), Some(Copy)) => "each copy stays",
        (Some(Copy), Some(Only(_))) => "one copy is kept",
        (Some(Copy), _) if split => "slice: each rank keeps a part of its copy",
        (Some(Copy), _) => "one copy is read",
        (Some(Only(a)), Some(Only(b))) if a == b => "stays on its rank",
        (Some(Only(_)), Some(Only(_))) => "sent to another rank",
        (_, Some(Copy)) => "broadcast",
        (_, Some(Only(_))) => "gather on one rank",
        _ => "scatter from one rank",
    }
}
