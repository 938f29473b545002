//! Movements as text (`--stage plan`).

use super::{Coord, Factor, IntExpr, Kind, Movement, Plan, Point};
use crate::sema::hir::Program;
use std::fmt::Write;

pub fn print(program: &Program, plan: &Plan) -> String {
    let mut out = String::new();
    for (handle, shape) in &plan.routes {
        let name = &program.routes[*handle].name;
        _ = writeln!(
            out,
            "route {name}: positions <= {} x fan {} on {} ranks -> {} groups, {} a rank; order {:?}; cap {:?}; distinct {}",
            shape.positions_bound,
            shape.fan,
            shape.ranks,
            shape.groups,
            shape.groups_per_rank,
            shape.order,
            shape.cap,
            shape.distinct
        );
    }
    for entry in &plan.entries {
        _ = writeln!(out, "entry {}", entry.name);
        for movement in &entry.movements {
            _ = writeln!(out, "  {}\n    {}", movement.text, line(program, movement));
        }
    }
    out
}

fn line(program: &Program, movement: &Movement) -> String {
    let to = point(program, &movement.target);
    let run = movement.run;
    match &movement.kind {
        Kind::Push { source } => format!("push {} -> {to}, run {run}", point(program, source)),
        Kind::PushInt { value } => format!("push {} -> {to}", int(value)),
        Kind::Reduce { factors, to: elem } => {
            let factors = product(program, factors);
            format!("reduce ascending {factors} as {} -> {to}, run {run}", elem.name())
        }
        Kind::Scale { factors, to: elem } => {
            format!("push {} as {} -> {to}, run {run}", product(program, factors), elem.name())
        }
        Kind::Derive { value } => format!("derive {value:?} -> {to}"),
    }
}

fn product(program: &Program, factors: &[Factor]) -> String {
    factors.iter().map(|f| factor(program, f)).collect::<Vec<_>>().join(" * ")
}

fn factor(program: &Program, factor: &Factor) -> String {
    match factor {
        Factor::Row(p) => point(program, p),
        Factor::Scalar(p) => format!("scalar {}", point(program, p)),
        Factor::Lit(v) => v.to_string(),
    }
}

fn point(program: &Program, point: &Point) -> String {
    let coords: Vec<&str> = point.coords.iter().map(|c| c.map_or("..", coord)).collect();
    format!("{}[{}]/{}B", program.tensors[point.tensor].name, coords.join(", "), point.vector)
}

fn coord(coord: Coord) -> &'static str {
    match coord {
        Coord::Rank => "rank",
        Coord::Position => "position",
        Coord::Fan => "fan",
        Coord::Group => "group",
        Coord::Slot => "slot",
    }
}

fn int(expr: &IntExpr) -> String {
    match expr {
        IntExpr::Lit(v) => v.to_string(),
        IntExpr::Coord(c) => coord(*c).to_string(),
        IntExpr::Binary { op, lhs, rhs } => format!("({} {} {})", int(lhs), op.symbol(), int(rhs)),
    }
}
