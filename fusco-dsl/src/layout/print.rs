//! Digit tables as text, one tensor a line (`--stage layout`).

use super::{Digit, Home, Radix, Spread, SpreadKind, Table};
use crate::sema::hir::Program;
use crate::sema::size_text;
use std::fmt::Write;

/// `x    s0 r8 w1 @ep.gpu | t r<=4096(T) w1 *384 | h r384 w1 *1`
pub fn print<'a>(program: &Program, tables: impl IntoIterator<Item = &'a Table>) -> String {
    let mut out = String::new();
    for table in tables {
        let mut digits: Vec<String> =
            table.digits.iter().map(|d| digit(program, table, d)).collect();
        digits.extend(table.spread.iter().map(|s| spread(program, table, s)));
        _ = writeln!(
            out,
            "{:<6} {}   ({} elements a rank)",
            table.name,
            digits.join(" | "),
            table.elems
        );
    }
    out
}

fn digit(program: &Program, table: &Table, digit: &Digit) -> String {
    let radix = match &digit.radix {
        Radix::Fixed(n) => format!("r{n}"),
        Radix::Live { size, bound } => {
            let names: Vec<&str> = table.axes.iter().map(String::as_str).collect();
            format!("r<={bound}({})", size_text(program, size, &names))
        }
        Radix::Ragged { bound } => format!("r<={bound}(ragged)"),
    };
    let home = match digit.home {
        Home::Mesh { axis, weight } => format!("@{}*{weight}", program.mesh_axes[axis].name),
        Home::Memory { stride } => format!("mem*{stride}"),
        Home::Group { stride } => format!("base*{stride}"),
        Home::Packed { align, stride } => format!("pack({align})*{stride}"),
        Home::Owner => "@owner".to_string(),
        Home::Parent { stride } => format!("group*{stride}"),
        Home::Rows { stride } => format!("row*{stride}"),
    };
    format!("{} {radix} w{} {home}", table.axes[digit.axis], digit.weight)
}

fn spread(program: &Program, table: &Table, spread: &Spread) -> String {
    let word = match spread.kind {
        SpreadKind::Copy => "copy".to_string(),
        SpreadKind::Only(i) => format!("only({i})"),
        SpreadKind::Sum => "sum".to_string(),
    };
    let name = |axis| program.mesh_axes[axis].name.as_str();
    let declared = &program.tensors[table.tensor].spread;
    let axis = match table.spread.len() < declared.len() {
        true => declared.iter().map(|s| name(s.mesh)).collect::<Vec<_>>().join("+"),
        false => name(spread.axis).to_string(),
    };
    format!("{word} r{} @{axis}*{}", spread.size, spread.weight)
}
