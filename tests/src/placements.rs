//! Random programs that move tensors between random placements.

use crate::{ELEMS, FLOATS, Named, Random};
use fusco_dsl::oracle::Array;
use fusco_dsl::sema::hir::Elem;

/// Text of a program of `entries` movements `e0`, `e1`, .. (`y0 <- x0`, ..) and its inputs.
pub struct Case {
    pub text: String,
    pub ranks: usize,
    pub inputs: Vec<(String, Array)>,
    pub entries: Vec<String>,
}

/// A mesh of 1 to 8 ranks over one or two axes, and movements over it.
pub fn case(random: &mut Random, entries: usize) -> Case {
    let mesh = mesh(random);
    let ranks: i64 = mesh.iter().map(|(_, n)| n).product();
    let axes: Vec<String> = mesh.iter().map(|(name, n)| format!("{name}: {n}")).collect();
    let mut text = format!("program random {{\n    mesh m {{ {} }}\n", axes.join(", "));
    let mut case = Case {
        text: String::new(),
        ranks: ranks as usize,
        inputs: Vec::new(),
        entries: Vec::new(),
    };
    let mut body = String::new();
    for number in 0..entries {
        let movement = Movement::new(random, &mesh, number);
        text += &movement.declarations;
        body +=
            &format!("    entry e{number} {{ {} {} }}\n", movement.statement, movement.schedule);
        case.inputs.extend(movement.inputs);
        case.entries.push(format!("e{number}"));
    }
    case.text = format!("{text}{body}}}\n");
    case
}

pub(crate) fn mesh(random: &mut Random) -> Vec<(&'static str, i64)> {
    match random.below(3) {
        0 => vec![("p", 1 + random.below(8) as i64)],
        _ => {
            let p = 1 + random.below(4) as i64;
            vec![("p", p), ("q", 1 + random.below((8 / p) as u64) as i64)]
        }
    }
}

/// One statement without a route: `y0[..] <- x0[..];`, or two by a `tmp`.
pub(crate) struct Movement {
    pub declarations: String,
    pub statement: String,
    schedule: &'static str,
    pub inputs: Vec<(String, Array)>,
}

impl Movement {
    pub fn new(random: &mut Random, mesh: &[(&str, i64)], number: usize) -> Movement {
        let rank = 1 + random.below(3) as usize;
        let extents: Vec<i64> = (0..rank).map(|_| extent(random, rank)).collect();
        let names = ["i", "j", "k"];
        let (from, to, value) = elements(random, number);
        let sums = matches!(from.1, Elem::F32 | Elem::Bf16 | Elem::F16);
        let own: Vec<usize> = (0..rank).collect();
        // One axis of the source may be longer, and read at a computed index: a slice, a stride, a window.
        let (target_extents, mut extents) = (extents.clone(), extents);
        let mut index: Vec<String> = own.iter().map(|a| names[*a].to_string()).collect();
        if random.below(3) == 0 {
            let axis = random.below(rank as u64) as usize;
            let (factor, offset) = (1 + random.below(4) as i64, random.below(9) as i64);
            let mut last = factor * (extents[axis] - 1) + offset;
            index[axis] = format!("{} * {factor} + {offset}", names[axis]);
            if rank > 1 && random.below(2) == 0 {
                let other = (axis + 1) % rank;
                last += extents[other] - 1;
                index[axis] += &format!(" + {}", names[other]);
            }
            extents[axis] = last + 1 + random.below(3) as i64;
        }
        let mut tables = Tables::default();
        let source = Placement::new(
            random,
            mesh,
            &extents,
            number,
            (true, sums),
            (&mut tables, from.1.bytes()),
        );
        let target = Placement::new(
            random,
            mesh,
            &target_extents,
            number,
            (false, false),
            (&mut tables, to.1.bytes()),
        );
        // The target may order its axes in another way.
        let mut order: Vec<usize> = (0..rank).collect();
        for i in (1..rank).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        let dims = |order: &[usize], extents: &[i64]| {
            order
                .iter()
                .map(|a| format!("{}: {}", names[*a], extents[*a]))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut table_inputs = tables.inputs;
        // In two steps: the statement reads a `tmp`, which lies as the next placement says.
        let steps = random.below(5) == 0;
        let of = if steps { "w" } else { "x" };
        let read = format!("{of}{number}[{}]", index.join(", "));
        let kept = random.below(6) == 0;
        let io = if kept { "inout" } else { "out" };
        let declarations = format!(
            "{}    in x{number}: {}[{}] @ [{}] with uneven{};\n    {io} y{number}: {}[{}] @ [{}] with uneven{}{};\n",
            tables.declarations,
            from.0,
            dims(&own, &extents),
            source.terms.join(", "),
            source.swizzle,
            to.0,
            dims(&order, &target_extents),
            target.terms.join(", "),
            target.swizzle,
            if kept || random.below(2) == 0 { "" } else { ", fill(0)" }
        );
        let (mut declarations, mut first, mut terms) =
            (declarations, String::new(), source.terms.clone());
        if steps {
            let mut tables = Tables::default();
            let (number_of, elem) = (number + 1000, (&mut tables, from.1.bytes()));
            let place = Placement::new(random, mesh, &extents, number_of, (true, false), elem);
            declarations += &format!(
                "{}    tmp w{number}: {}[{}] @ [{}] with uneven{};\n",
                tables.declarations,
                from.0,
                dims(&own, &extents),
                place.terms.join(", "),
                place.swizzle,
            );
            table_inputs.extend(tables.inputs);
            terms.extend(place.terms);
            let index = own.iter().map(|a| names[*a]).collect::<Vec<_>>().join(", ");
            first = format!("w{number}[{index}] <- x{number}[{index}]; ");
        }
        // Partial sums and copies are fetched, whoever is asked.
        let fetched = terms.iter().any(|t| t.contains("sum/") || t.contains("copy/"));
        let schedule = match random.below(3) {
            1 if !fetched => "schedule { push; }",
            2 => "schedule { pull; }",
            _ => "",
        };
        let statement = format!(
            "{first}y{number}[{}] <- {};",
            order.iter().map(|a| names[*a]).collect::<Vec<_>>().join(", "),
            value.replace('$', &read)
        );
        let mut shape: Vec<usize> = extents.iter().map(|n| *n as usize).collect();
        if source.parts > 0 {
            shape.insert(0, source.parts as usize);
        }
        let mut array = Array::zeros(from.1, shape);
        random.fill(&mut array);
        let mut inputs = table_inputs;
        inputs.push((format!("x{number}"), array));
        if kept {
            let shape = order.iter().map(|a| target_extents[*a] as usize).collect();
            let mut old = Array::zeros(to.1, shape);
            random.fill(&mut old);
            inputs.push((format!("y{number}"), old));
        }
        Movement { declarations, statement, schedule, inputs }
    }
}

fn extent(random: &mut Random, rank: usize) -> i64 {
    let most = [400, 70, 20][rank - 1];
    match random.below(4) {
        // Sizes that tile well.
        0 => [64, 32, 16][rank - 1],
        1 => [256, 64, 8][rank - 1],
        _ => 1 + random.below(most) as i64,
    }
}

/// Element types of the two sides, and the value with `$` for the read.
fn elements(random: &mut Random, number: usize) -> (Named, Named, String) {
    let from = ELEMS[random.below(ELEMS.len() as u64) as usize];
    let to = FLOATS[random.below(FLOATS.len() as u64) as usize];
    if number.is_multiple_of(3) && from.1 != to.1 {
        return (from, to, format!("cast({}, $)", to.0));
    }
    (from, from, "$".to_string())
}

/// Tables that placements name: their declarations, and those that are inputs.
#[derive(Default)]
pub(crate) struct Tables {
    pub declarations: String,
    pub inputs: Vec<(String, Array)>,
}

impl Tables {
    /// Owners below `size` for `extent` coordinates, known at compile time or read on the device.
    fn owners(
        &mut self,
        random: &mut Random,
        name: &str,
        extent: i64,
        mesh: &[(&str, i64)],
        size: i64,
    ) {
        let owners: Vec<i64> = (0..extent).map(|_| random.below(size as u64) as i64).collect();
        if random.below(2) == 0 {
            let list: Vec<String> = owners.iter().map(i64::to_string).collect();
            self.declarations += &format!("    const {name} = [{}];\n", list.join(", "));
            return;
        }
        let copies: Vec<String> = mesh.iter().map(|(m, _)| format!("copy/{m}")).collect();
        self.declarations +=
            &format!("    in {name}: ix32({size})[w: {extent}] @ [{}, w];\n", copies.join(", "));
        self.inputs
            .push((name.to_string(), Array::from_i64(Elem::I32, vec![owners.len()], &owners)));
    }
}

pub(crate) struct Placement {
    pub terms: Vec<String>,
    pub swizzle: String,
    /// Coordinates of the summed mesh axes; 0 without one.
    pub parts: i64,
}

impl Placement {
    /// `is_source`: whether the tensor is read; `sums`: whether its element can be summed.
    pub fn new(
        random: &mut Random,
        mesh: &[(&str, i64)],
        extents: &[i64],
        number: usize,
        (is_source, sums): (bool, bool),
        (tables, bytes): (&mut Tables, i64),
    ) -> Placement {
        let names = ["i", "j", "k"];
        let mut digits: Vec<Vec<String>> =
            names[..extents.len()].iter().map(|n| vec![n.to_string()]).collect();
        let mut spread = Vec::new();
        let mut parts = 0;
        for (name, size) in mesh {
            match random.below(if is_source { 8 } else { 7 }) {
                0 => spread.push(format!("copy/{name}")),
                1 => spread.push(format!("only({})/{name}", random.below(*size as u64))),
                7 if sums => {
                    spread.push(format!("sum/{name}"));
                    parts = parts.max(1) * size;
                }
                2 if extents.len() > 1 && *size > 1 => {
                    let axis = random.below(extents.len() as u64) as usize;
                    if digits[axis].iter().any(|d| d.contains(".map")) {
                        spread.push(format!("copy/{name}"));
                        continue;
                    }
                    if digits[axis].iter().any(|d| d.contains('/')) {
                        digits[axis].push(format!("{}/{name}", names[axis]));
                        continue;
                    }
                    let side = if is_source { "s" } else { "t" };
                    let table = format!("W{side}{number}{name}");
                    tables.owners(random, &table, extents[axis], mesh, *size);
                    digits[axis].push(format!("{}/{name}.map({table})", names[axis]));
                }
                _ => {
                    let axis = random.below(extents.len() as u64) as usize;
                    if digits[axis].iter().any(|d| d.contains(".map")) {
                        spread.push(format!("copy/{name}"));
                        continue;
                    }
                    digits[axis].push(format!("{}/{name}", names[axis]));
                }
            }
        }
        for axis in 0..extents.len() {
            for _ in 0..random.below(3) {
                let inner = [2, 3, 4, 8, 16][random.below(5) as usize];
                digits[axis].push(format!("{}:{inner}", names[axis]));
            }
        }
        let mut terms: Vec<String> = digits.into_iter().flatten().chain(spread).collect();
        for i in (1..terms.len()).rev() {
            terms.swap(i, random.below(i as u64 + 1) as usize);
        }
        let mut swizzle = String::new();
        if random.below(5) == 0 {
            let row = [32, 64, 128][random.below(3) as usize];
            terms.push(format!(
                "{}:{}",
                names[random.below(extents.len() as u64) as usize],
                row / bytes
            ));
            swizzle = format!(", swizzle(b{row}), align(1024)");
        }
        Placement { terms, swizzle, parts }
    }
}
