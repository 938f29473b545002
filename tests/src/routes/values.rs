//! Values of statements with a route: arithmetic on what a tuple, its position and its groups have, reduced over the
//! choice and over axes of its own.

use super::{Draw, Use, pick, rarely};
use crate::{FLOATS, Named};
use fusco_dsl::oracle::Array;
use fusco_dsl::sema::hir::Elem;

/// What a value computes in, and of what elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F32,
    F64,
    Integer,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub number: Number,
    /// Elements may be those of a tuple: inside a reducer, or where each tuple has a value.
    pub of_tuple: bool,
    /// Rows of the groups that may be read, as text: `z[e, c, h]`.
    pub fetched: Option<&'a str>,
    pub row: &'a [(&'static str, i64)],
    /// A reduced axis and its extent.
    pub reduced: Option<(&'static str, i64)>,
}

const SMALL: [Named; 5] =
    [FLOATS[0], FLOATS[1], FLOATS[2], ("e4m3", Elem::E4m3), ("e5m2", Elem::E5m2)];
const INTEGERS: [Named; 5] = [
    ("i8", Elem::I8),
    ("u8", Elem::U8),
    ("i16", Elem::I16),
    ("u16", Elem::U16),
    ("bool", Elem::Bool),
];

impl Draw<'_> {
    pub(super) fn number(&mut self) -> Number {
        match self.random.below(8) {
            0 => Number::F64,
            1 => Number::Integer,
            _ => Number::F32,
        }
    }

    /// The type of a target that holds a value, and the value in it.
    pub(super) fn stored(&mut self, number: Number, value: String) -> (Named, String) {
        let to = match number {
            Number::Integer => return (("i64", Elem::I64), value),
            // Literals alone are integers.
            Number::F64 if rarely(self.random, 2) && value.contains('[') => {
                return (("f64", Elem::F64), value);
            }
            _ => pick(self.random, &[SMALL[0], SMALL[1], SMALL[2], SMALL[3], ("f64", Elem::F64)]),
        };
        match (number, to.1) {
            (Number::F32, Elem::F32) | (Number::F64, Elem::F64) if value.contains('[') => {
                (to, value)
            }
            _ => (to, format!("cast({}, {value})", to.0)),
        }
    }

    /// Arithmetic that is more than an element.
    pub(super) fn arithmetic(&mut self, place: Place, depth: u64) -> String {
        let a = self.operand(place, depth);
        let whole = place.number == Number::Integer;
        match self.random.below(6) {
            0 => format!("(-{a})"),
            1 if !whole => format!("({a} / {})", pick(self.random, &["2.0", "-0.7", "3"])),
            1 => format!("({a} {})", pick(self.random, &["/ 3", "% 5", "/ (-2)", "% (-4)"])),
            2 => format!("({a} + {})", self.operand(place, depth)),
            3 => format!("({a} - {})", self.operand(place, depth)),
            _ => format!("({a} * {})", self.operand(place, depth)),
        }
    }

    fn operand(&mut self, place: Place, depth: u64) -> String {
        match self.random.below(6) {
            0 if depth > 0 => self.arithmetic(place, depth - 1),
            1 if depth > 0 && place.reduced.is_none() => self.folded(place),
            2 => match place.number {
                Number::Integer => pick(self.random, &["3", "(-2)", "1"]).to_string(),
                _ => pick(self.random, &["2.0", "0.3", "3", "(-1.5)"]).to_string(),
            },
            _ => self.element(place),
        }
    }

    /// `sum(q: ..)` over an axis that the target has not.
    fn folded(&mut self, place: Place) -> String {
        let by = match place.of_tuple {
            true => pick(self.random, &["sum", "sum", "max", "min"]),
            // It stands in no other reducer.
            false => pick(self.random, &["sum", "sum", "max", "min", "first"]),
        };
        let name = format!("q{}", self.declarations.len());
        let reduced =
            (Box::leak(name.clone().into_boxed_str()) as &str, pick(self.random, &[1, 2, 3, 5]));
        let place = Place { reduced: Some(reduced), ..place };
        let first = self.element_over(place, true);
        let body = match self.random.below(3) {
            0 => first,
            1 => format!("{first} * {}", self.operand(place, 0)),
            _ => format!("{first} + {}", self.operand(place, 0)),
        };
        format!("{by}({name}: {body})")
    }

    /// `sum(k: ..)` and the like over the tuples of a position.
    pub(super) fn gathered(&mut self, place: Place) -> String {
        let by = match place.number {
            // Of nothing an extreme is as large as its type, to which little can be added.
            Number::Integer => pick(self.random, &["sum", "sum", "sum", "max", "min"]),
            _ => pick(self.random, &["sum", "sum", "max", "min"]),
        };
        let inner = Place { of_tuple: true, ..place };
        if rarely(self.random, 4) {
            // Over an axis more.
            let name = format!("q{}", self.declarations.len());
            let reduced =
                (Box::leak(name.clone().into_boxed_str()) as &str, pick(self.random, &[1, 2, 3]));
            let inner = Place { reduced: Some(reduced), ..inner };
            let over = pick(self.random, &["k, #", "#, k"]).replace('#', &name);
            let own = self.element_over(inner, true);
            return format!("{by}(({over}): {own} * {})", self.operand(inner, 0));
        }
        let body = match self.random.below(3) {
            0 => self.element(inner),
            _ => self.arithmetic(inner, 1),
        };
        match by == "sum" && place.number == Number::F32 {
            true => self.summed(&body),
            false => format!("{by}(k: {body})"),
        }
    }

    /// The sum of terms, by the ranks of their rows where those are split over a mesh axis.
    pub(super) fn summed(&mut self, body: &str) -> String {
        if self.rows_over.is_empty() || !body.contains("z[e, c") || rarely(self.random, 2) {
            return format!("sum(k: {body})");
        }
        let within = self.random.below(self.rows_over.len() as u64) as usize;
        let within = self.rows_over[within].clone();
        let partial = match self.random.below(4) {
            0 => ", partial = f16",
            1 => ", partial = f32",
            2 => ", partial = bf16",
            _ => "",
        };
        format!("sum.tree(k: {body}, within = {within}{partial})")
    }

    fn element(&mut self, place: Place) -> String {
        let over = place.reduced.is_some() && rarely(self.random, 2);
        self.element_over(place, over)
    }

    /// An element of a new tensor, or of a row that is fetched; read at the reduced axis, too, if asked.
    fn element_over(&mut self, place: Place, reduced: bool) -> String {
        if let (Some(fetched), false, true) = (place.fetched, reduced, place.of_tuple)
            && !rarely(self.random, 3)
        {
            return fetched.to_string();
        }
        let name = format!("own{}", self.declarations.len());
        let elem = match (place.number, self.random.below(6)) {
            (Number::Integer, _) => pick(self.random, &INTEGERS),
            (Number::F64, 0..=4) => ("f64", Elem::F64),
            (Number::F32, 0) => {
                pick(self.random, &[("i32", Elem::I32), ("f64", Elem::F64), ("u8", Elem::U8)])
            }
            _ => pick(self.random, &SMALL),
        };
        let extra: Vec<(&'static str, i64)> = match (place.reduced, reduced) {
            (Some(axis), true) => vec![axis],
            _ => Vec::new(),
        };
        let wide = rarely(self.random, 2);
        let row: Vec<(&'static str, i64)> = if wide { place.row.to_vec() } else { Vec::new() };
        let axes: Vec<(&'static str, i64)> = extra.iter().chain(&row).copied().collect();
        let choice = place.of_tuple && rarely(self.random, 2);
        let more: String = axes.iter().map(|(n, _)| format!(", {n}")).collect();
        let index = match self.random.below(6) {
            // One for all.
            0 if !axes.is_empty() => {
                let dims = axes.iter().map(|(n, size)| format!("{n}: {size}"));
                let dims = Vec::from_iter(dims).join(", ");
                let names: Vec<&str> = axes.iter().map(|(n, _)| *n).collect();
                let sums = FLOATS.iter().any(|e| e.0 == elem.0);
                let placement = self.placement(&[], None, &names, Use::Read { sums });
                let parts = (self.parts > 0).then_some(self.parts as usize);
                self.declarations.push(format!("in {name}: {}[{dims}] @ {placement};", elem.0));
                let sizes = axes.iter().map(|(_, size)| *size as usize);
                self.random_input(&name, elem.1, parts.into_iter().chain(sizes).collect());
                names.join(", ")
            }
            _ => {
                self.source_tensor(&name, elem, choice, &axes);
                self.source_index(choice, &more)
            }
        };
        self.odd_values(&name);
        let read = format!("{name}[{index}]");
        let number = match elem.1.number() {
            Elem::I64 => Number::Integer,
            Elem::F64 => Number::F64,
            _ => Number::F32,
        };
        match place.number {
            own if own == number => read,
            Number::F64 => format!("cast(f64, {read})"),
            _ if rarely(self.random, 4) => {
                format!("cast({}, {read})", pick(self.random, &FLOATS).0)
            }
            _ => format!("cast(f32, {read})"),
        }
    }

    /// Some NaN, infinities and zeros of either sign.
    fn odd_values(&mut self, name: &str) {
        let Some(array) = self.inputs.tensors.get_mut(name) else { return };
        let bits: &[u64] = match array.elem {
            Elem::F32 => &[0x7fc0_0000, 0xffc0_0001, 0x7f80_0000, 0xff80_0000, 0x8000_0000, 0],
            Elem::Bf16 => &[0x7fc0, 0xffc1, 0x7f80, 0xff80, 0x8000, 0],
            Elem::F16 => &[0x7e00, 0xfe01, 0x7c00, 0xfc00, 0x8000, 0],
            Elem::F64 => &[0x7ff8 << 48, 0xfff8_0000_0000_0001, 0x7ff0 << 48, 1 << 63, 0],
            Elem::Bool => {
                let len = array.len();
                *array = Array::from_i64(
                    Elem::Bool,
                    array.shape.clone(),
                    &Vec::from_iter((0..len).map(|_| self.random.below(2) as i64)),
                );
                return;
            }
            _ => return,
        };
        for _ in 0..array.len() / 30 {
            let at = self.random.below(array.len() as u64) as usize;
            array.set_bits(at, bits[self.random.below(bits.len() as u64) as usize]);
        }
    }
}
