//! Movements as text (`--stage plan`).

use super::{
    Coord, Each, IntExpr, Kind, Move, MoveValue, Movement, Place, Plan, Point, Shape, Side, Step,
    Tree, step,
};
use crate::sema::hir::{Program, Route};
use std::fmt::Write;

pub fn print(program: &Program, plan: &Plan) -> String {
    let mut out = String::new();
    for (handle, shape) in &plan.routes {
        let name = &program.routes[*handle].name;
        _ = writeln!(
            out,
            "route {name}: positions <= {} x fan {} on {} ranks -> {} groups; slots by ({}), {} counts a group; cap {:?}; distinct {}",
            shape.positions_bound,
            shape.fan,
            shape.ranks,
            shape.groups,
            shape.order.keys.join(", "),
            shape.order.outer,
            shape.cap,
            shape.distinct
        );
    }
    for entry in &plan.entries {
        _ = writeln!(out, "entry {}", entry.name);
        for movement in &entry.movements {
            _ = writeln!(out, "  {}\n    {}", movement.text, line(program, movement));
        }
        for movement in &entry.moves {
            _ = writeln!(out, "  {}", movement.text);
            for line in moved(plan, movement) {
                _ = writeln!(out, "    {line}");
            }
        }
    }
    out
}

fn line(program: &Program, movement: &Movement) -> String {
    let of = Of { program, route: &program.routes[movement.route] };
    let to = point(of, &movement.target);
    let run = movement.run;
    let word = match (movement.gathers(), movement.each) {
        (false, _) => "push",
        (true, Each::Tuple) => "pull",
        (true, Each::First) => "pull first",
        (true, Each::Position) => "reduce",
    };
    match &movement.kind {
        Kind::Row { source } => format!("{word} {} -> {to}, run {run}", point(of, source)),
        Kind::Int { value } => format!("{word} {} -> {to}", int(of, value)),
        Kind::Computed { value, to: elem } => {
            format!("{word} {} as {} -> {to}, run {run}", tree(of, movement, value), elem.name())
        }
        Kind::Derive { value } => format!("derive {value:?} -> {to}"),
    }
}

fn tree(of: Of<'_>, movement: &Movement, value: &Tree) -> String {
    let inner = |value| tree(of, movement, value);
    match value {
        Tree::Row(p) => point(of, p),
        Tree::Scalar(p) => format!("scalar {}", point(of, p)),
        Tree::Lit(v, _) => format!("{v:?}"),
        Tree::Cast { to, of } => format!("{}({})", to.name(), inner(of)),
        Tree::Fold { by, over, within, term, .. } => {
            let name = |var: &usize| {
                let found = movement.reduced.iter().find(|r| r.var == *var);
                found.map_or("", |r| r.name.as_str())
            };
            let over: Vec<&str> = over.iter().map(name).collect();
            let within = within.map_or(String::new(), |w| {
                let (axis, partial) = (&of.program.mesh_axes[w.axis].name, w.partial.name());
                format!(", within {axis} as {partial}")
            });
            format!("{}({}: {}{within})", by.name(), over.join(", "), inner(term))
        }
        Tree::Binary { op, lhs, rhs } => {
            format!("({} {} {})", inner(lhs), op.symbol(), inner(rhs))
        }
    }
}

fn point(of: Of<'_>, point: &Point) -> String {
    let coords: Vec<&str> = point.coords.iter().map(|c| c.map_or("..", |c| of.coord(c))).collect();
    format!("{}[{}]/{}B", of.program.tensors[point.tensor].name, coords.join(", "), point.vector)
}

/// The names of a movement.
#[derive(Clone, Copy)]
struct Of<'a> {
    program: &'a Program,
    route: &'a Route,
}

impl<'a> Of<'a> {
    fn coord(self, coord: Coord) -> &'a str {
        match coord {
            Coord::Source(i) => &self.route.vars[self.route.sources[i]].name,
            Coord::Group => "group",
            Coord::Slot => "slot",
            Coord::Reduced(_) => "reduced",
        }
    }
}

fn int(of: Of<'_>, expr: &IntExpr) -> String {
    match expr {
        IntExpr::Lit(v) => v.to_string(),
        IntExpr::Coord(c) => of.coord(*c).to_string(),
        IntExpr::Read(p) => point(of, p),
        IntExpr::Binary { op, lhs, rhs } => {
            format!("({} {} {})", int(of, lhs), op.symbol(), int(of, rhs))
        }
    }
}

/// The refined digits with their homes on both sides.
fn digit_lines(plan: &Plan, movement: &Move) -> Vec<String> {
    (0..movement.digits.len()).map(|i| digit(plan, movement, i)).collect()
}

/// The digits, then the shape.
fn moved(plan: &Plan, movement: &Move) -> Vec<String> {
    let mut out = digit_lines(plan, movement);
    let carrier = match movement.carrier {
        Side::Source => "pushed by the source",
        Side::Target => "fetched by the target",
    };
    let cast = movement.cast.map_or(String::new(), |e| format!(", as {}", e.name()));
    let shape = match &movement.shape {
        Shape::Rows { run, vector, .. } => {
            format!("runs of {run}, {vector} elements an access; {}", movement.why)
        }
        Shape::Tile(t) => format!(
            "tiles of {} x {}, {} and {} elements an access",
            t.source.1, t.target.1, t.source.2, t.target.2
        ),
    };
    out.push(format!("{carrier}{cast}; {shape}"));
    out
}

/// `n r64 w128: mem*1 -> @rank, scatter`
fn digit(plan: &Plan, movement: &Move, i: usize) -> String {
    let digit = &movement.digits[i];
    let of = |place: &Place| step(&plan.tables[&place.tensor], place, &movement.digits, i);
    let source = match &movement.value {
        MoveValue::Read(place) => Some(of(place)),
        _ => None,
    };
    let read: Vec<String> = movement.value.places().into_iter().map(|p| home(of(p))).collect();
    let read = if read.is_empty() { "-".to_string() } else { read.join(", ") };
    let target = of(&movement.target);
    let reduced = movement.value.reduces(digit.var);
    format!(
        "{} r{} w{}: {read} -> {}{}{}",
        movement.vars[digit.var].name,
        digit.radix,
        digit.weight,
        if reduced { "reduced".to_string() } else { home(target) },
        source.map_or("", |s| change(s, target)),
        if digit.cut.is_some() { " (this rank's)" } else { "" }
    )
}

fn home(step: Step) -> String {
    match step {
        Step::Memory(stride) => format!("mem*{stride}"),
        Step::Rank => "@rank".to_string(),
        Step::Other => "computed".to_string(),
    }
}

/// What happens to a digit, in the words of `language.md` 5.4.
fn change(source: Step, target: Step) -> &'static str {
    match (source, target) {
        (Step::Rank, Step::Rank) => ", permute",
        (Step::Rank, Step::Memory(_)) => ", gather",
        (Step::Memory(_), Step::Rank) => ", scatter",
        (Step::Memory(a), Step::Memory(b)) if a != b && (a == 1 || b == 1) => ", transpose",
        _ => "",
    }
}
