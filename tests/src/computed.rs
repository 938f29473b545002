//! Random programs whose statements compute: arithmetic on elements of tensors in random placements, reduced over
//! further variables, none of them behind a route.

use crate::placements::{Case, Placement, Tables, mesh};
use crate::{ELEMS, FLOATS, Random};
use fusco_dsl::oracle::Array;
use fusco_dsl::sema::hir::Elem;

/// Variables of the left side, and reduced ones.
const LEFT: [&str; 2] = ["u", "v"];
const REDUCED: [&str; 2] = ["r", "s"];
/// Axes of a tensor.
const AXES: [&str; 3] = ["i", "j", "k"];

/// A mesh of 1 to 8 ranks over one or two axes, and statements over it: `e0`, `e1`, ..
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
    for number in 0..entries {
        let mut statement = Statement::new(random, &mesh, number);
        let entry = statement.whole();
        text += &statement.declarations;
        text += &entry;
        case.inputs.extend(statement.inputs);
        case.entries.push(format!("e{number}"));
    }
    case.text = text + "}\n";
    case
}

struct Statement<'a> {
    random: &'a mut Random,
    mesh: &'a [(&'static str, i64)],
    /// The number of the statement.
    at: usize,
    /// (name, extent) of each variable.
    left: Vec<(&'static str, i64)>,
    reduced: Vec<(&'static str, i64)>,
    operands: usize,
    /// Statements that write what this one reads.
    before: String,
    /// What is computed in: f32, f64 or i64.
    number: Elem,
    declarations: String,
    inputs: Vec<(String, Array)>,
}

impl<'a> Statement<'a> {
    fn new(
        random: &'a mut Random,
        mesh: &'a [(&'static str, i64)],
        number: usize,
    ) -> Statement<'a> {
        let rank = 1 + random.below(2) as usize;
        let mut extent = |most: u64| match random.below(3) {
            0 => [8, 16, 32][random.below(3) as usize],
            _ => 1 + random.below(most) as i64,
        };
        let left = LEFT[..rank].iter().map(|n| (*n, extent(40))).collect();
        let reduced = REDUCED.iter().map(|n| (*n, extent(12))).collect();
        Statement {
            mesh,
            at: number,
            left,
            reduced,
            operands: 0,
            before: String::new(),
            number: [Elem::F32, Elem::F32, Elem::F32, Elem::F64, Elem::I64]
                [random.below(5) as usize],
            random,
            declarations: String::new(),
            inputs: Vec::new(),
        }
    }

    fn whole(&mut self) -> String {
        let mut value = match self.random.below(2) {
            0 => self.arithmetic(2, &[]),
            _ => {
                let (reduction, other) = (self.reduction(), self.arithmetic(1, &[]));
                match self.random.below(3) {
                    0 => reduction,
                    1 => format!("{reduction} * {} + {other}", self.literal()),
                    _ => format!("{other} - {reduction}"),
                }
            }
        };
        if value.starts_with("first") {
            // The element as it is has its own type.
            value = format!("{} * {value}", self.literal());
        }
        // A read alone is a movement.
        if value.starts_with(['x', 'h', 'c']) && !value.contains(") ") && !value.contains("] ") {
            value = format!("-{value}");
        }
        let number = self.at;
        let to = match (self.number, self.random.below(3)) {
            (Elem::I64, _) => ("i64", Elem::I64),
            (Elem::F64, 0) => ("f64", Elem::F64),
            _ => FLOATS[self.random.below(FLOATS.len() as u64) as usize],
        };
        if to.1 != self.number || to.1 == Elem::F32 && self.random.below(4) == 0 {
            value = format!("cast({}, {value})", to.0);
        }
        let mut order: Vec<usize> = (0..self.left.len()).collect();
        if self.random.below(2) == 0 {
            order.reverse();
        }
        let axes: Vec<(&str, i64)> = order.iter().map(|i| self.left[*i]).collect();
        let index: Vec<&str> = axes.iter().map(|(name, _)| *name).collect();
        let extents: Vec<i64> = axes.iter().map(|(_, n)| *n).collect();
        let kept = self.random.below(6) == 0;
        let name = format!("y{number}");
        let fill = if kept || self.random.below(2) == 0 { "" } else { ", fill(0)" };
        self.declare((if kept { "inout" } else { "out" }, &name), to, &extents, fill);
        if kept {
            let shape = extents.iter().map(|n| *n as usize).collect();
            let mut old = Array::zeros(to.1, shape);
            self.random.fill(&mut old);
            self.inputs.push((name.clone(), old));
        }
        let schedule = if self.random.below(4) == 0 { " schedule { pull; }" } else { "" };
        let filter = match kept || !fill.is_empty() {
            true => self.filter(),
            false => "",
        };
        let before = &self.before;
        format!(
            "    entry e{number} {{ {before}{name}[{}] <- {value}{filter};{schedule} }}\n",
            index.join(", ")
        )
    }

    /// A condition on the left's variables, or none.
    fn filter(&mut self) -> &'static str {
        match (self.random.below(6), self.left.len()) {
            (0, _) => " where u < 3",
            (1, _) => " where u % 3 != 1 && u > 0",
            (2, 2) => " where u < v || v == 2",
            (3, 2) => " where v * 2 >= u + 1",
            _ => "",
        }
    }

    /// The declaration of a tensor; the parts of one that is summed, or 0.
    fn declare(
        &mut self,
        (io, name): (&str, &str),
        elem: crate::Named,
        extents: &[i64],
        more: &str,
    ) -> i64 {
        let mut tables = Tables::default();
        let (read, number) = (io == "in", self.at * 16 + self.operands);
        let sums = FLOATS.iter().any(|f| f.1 == elem.1);
        let sums = sums && self.number == Elem::F32;
        let placement = Placement::new(
            self.random,
            self.mesh,
            extents,
            number,
            (read, sums && read),
            (&mut tables, elem.1.bytes()),
        );
        let dims: Vec<String> =
            AXES.iter().zip(extents).map(|(axis, n)| format!("{axis}: {n}")).collect();
        self.declarations += &format!(
            "{}    {io} {name}: {}[{}] @ [{}] with uneven{}{more};\n",
            tables.declarations,
            elem.0,
            dims.join(", "),
            placement.terms.join(", "),
            placement.swizzle,
        );
        self.inputs.extend(tables.inputs);
        placement.parts
    }

    /// Arithmetic on elements that may be indexed by `bound` besides the left's variables.
    fn arithmetic(&mut self, depth: u64, bound: &[(&'static str, i64)]) -> String {
        if depth == 0 || self.random.below(4) == 0 {
            return self.element(bound, false);
        }
        let a = self.arithmetic(depth - 1, bound);
        match self.random.below(6) {
            0 => format!("(-{a})"),
            1 if self.number == Elem::I64 && self.random.below(2) == 0 => {
                format!("({a} % {})", self.literal())
            }
            1 => format!("({a} / {})", self.literal()),
            2 => format!("({} * {a})", self.literal()),
            3 => format!("({a} + {})", self.arithmetic(depth - 1, bound)),
            4 => format!("({a} - {})", self.arithmetic(depth - 1, bound)),
            _ => format!("({a} * {})", self.arithmetic(depth - 1, bound)),
        }
    }

    fn literal(&mut self) -> &'static str {
        if self.number == Elem::I64 {
            return ["3", "1", "(-2)"][self.random.below(3) as usize];
        }
        ["0.5", "3", "1.25", "-2.0", "0.1", "1.0"][self.random.below(6) as usize]
    }

    /// `sum((r, s): ..)` and the like; the first operand is read at all of its variables.
    fn reduction(&mut self) -> String {
        let by = ["sum", "sum", "max", "min", "first"][self.random.below(5) as usize];
        let mut bound = self.reduced[..1 + self.random.below(2) as usize].to_vec();
        if self.random.below(2) == 0 {
            bound.reverse();
        }
        let names: Vec<&str> = bound.iter().map(|(name, _)| *name).collect();
        let first = self.element(&bound, true);
        let body = match self.random.below(5) {
            0 => first,
            1 => format!("{first} * {}", self.literal()),
            2 => format!("{} * {first}", self.element(&bound, false)),
            3 => format!("{first} + {}", self.arithmetic(1, &bound)),
            _ => format!("{} * {} * {first}", self.element(&bound, false), self.literal()),
        };
        match names[..] {
            [name] => format!("{by}({name}: {body})"),
            _ => format!("{by}(({}): {body})", names.join(", ")),
        }
    }

    /// An element of a new tensor, at all of the bound variables or some.
    fn element(&mut self, bound: &[(&'static str, i64)], all: bool) -> String {
        let mut vars: Vec<(&str, i64)> = if all { bound.to_vec() } else { Vec::new() };
        let others = self.left.iter().chain(bound).copied().collect::<Vec<_>>();
        for var in others {
            if vars.len() < 3 && !vars.contains(&var) && self.random.below(3) > 0 {
                vars.push(var);
            }
        }
        if vars.is_empty() {
            vars.push(self.left[0]);
        }
        for i in (1..vars.len()).rev() {
            vars.swap(i, self.random.below(i as u64 + 1) as usize);
        }
        let (mut index, mut extents): (Vec<String>, Vec<i64>) =
            vars.iter().map(|(name, n)| (name.to_string(), *n)).unzip();
        // A slice or a stride; what gives a variable its extent is read at it alone.
        if !all && self.random.below(4) == 0 {
            let axis = self.random.below(vars.len() as u64) as usize;
            if self.left.contains(&vars[axis]) {
                let (factor, offset) =
                    (1 + self.random.below(3) as i64, self.random.below(5) as i64);
                index[axis] = format!("{} * {factor} + {offset}", vars[axis].0);
                extents[axis] = factor * (extents[axis] - 1) + offset + 1;
            }
        }
        let whole = |e: &&crate::Named| e.1.is_integer() && e.1.bytes() == 1;
        let elem = match (self.number, self.random.below(5)) {
            (Elem::I64, at) => *ELEMS.iter().filter(whole).nth(at as usize % 2).expect("i8 or u8"),
            (Elem::F64, 0..=3) => ("f64", Elem::F64),
            (_, 0) => ELEMS[self.random.below(ELEMS.len() as u64) as usize],
            _ => FLOATS[self.random.below(FLOATS.len() as u64) as usize],
        };
        let name = format!("x{}_{}", self.at, self.operands);
        let parts = self.declare(("in", &name), elem, &extents, "");
        self.operands += 1;
        let mut shape: Vec<usize> = extents.iter().map(|n| *n as usize).collect();
        if parts > 0 {
            shape.insert(0, parts as usize);
        }
        let mut array = Array::zeros(elem.1, shape);
        self.random.fill(&mut array);
        self.odd(&mut array);
        self.inputs.push((name.clone(), array));
        let of = if self.random.below(6) == 0 { self.step(&name, elem, &extents) } else { name };
        let read = format!("{of}[{}]", index.join(", "));
        // Rounded on the way.
        let read = match self.number {
            Elem::I64 => read,
            _ if self.random.below(8) == 0 => {
                let to = FLOATS[self.random.below(FLOATS.len() as u64) as usize];
                return format!("cast({}, cast({}, {read}))", self.number.name(), to.0);
            }
            _ => read,
        };
        match elem.1.number() == self.number {
            true => read,
            false => format!("cast({}, {read})", self.number.name()),
        }
    }

    /// A `tmp` that lies elsewhere, written by a statement before: its name.
    fn step(&mut self, from: &str, elem: crate::Named, extents: &[i64]) -> String {
        let name = format!("h{}_{}", self.at, self.operands);
        self.declare(("tmp", &name), elem, extents, "");
        self.operands += 1;
        let index = AXES[..extents.len()].join(", ");
        self.before += &format!("{name}[{index}] <- {from}[{index}]; ");
        name
    }

    /// Some NaN, infinities and zeros of either sign.
    fn odd(&mut self, array: &mut Array) {
        let bits: &[u64] = match array.elem {
            Elem::F32 => &[0x7fc0_0000, 0xffc0_0001, 0x7f80_0000, 0xff80_0000, 0x8000_0000, 0],
            Elem::Bf16 => &[0x7fc0, 0xffc1, 0x7f80, 0xff80, 0x8000, 0],
            Elem::F16 => &[0x7e00, 0xfe01, 0x7c00, 0xfc00, 0x8000, 0],
            _ => return,
        };
        for _ in 0..array.len() / 40 {
            let at = self.random.below(array.len() as u64) as usize;
            array.set_bits(at, bits[self.random.below(bits.len() as u64) as usize]);
        }
    }
}
