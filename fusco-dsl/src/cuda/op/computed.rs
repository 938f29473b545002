//! Arithmetic on elements: operands are loaded, reductions looped over, and what comes of them is rounded once.

use super::kept;
use super::points::{place, within};
use crate::cuda::index::index;
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Fold, IxOp, Parts, Schedule, Tree};
use crate::sema::hir::{Elem, Reducer};

/// Terms whose operands are in flight at once.
const UNROLL: i64 = 4;

/// The text of a tree, written operand by operand.
struct Text<'a> {
    schedule: &'a Schedule,
    /// Elements of a vector.
    width: i64,
    /// The vector of a run.
    v: &'a str,
    operands: usize,
    folds: usize,
}

/// `value`: vector `v` of what comes of the tree, rounded to the element type.
pub(super) fn emit(
    out: &mut Out,
    (schedule, width): (&Schedule, i64),
    tree: &Tree,
    (to, elem): (&Access, Elem),
    v: &str,
) {
    let mut text = Text { schedule, width, v, operands: 0, folds: 0 };
    let number = tree.number(schedule);
    let value = text.tree(out, tree, number);
    let stored = match (number, elem) {
        (Elem::I64, _) => format!("{}({value})", elem.name()),
        (Elem::F64, Elem::F64) => format!("canonical({value})"),
        (Elem::F64, _) => format!("from_f32<{}>(canonical(to_f32({value})))", elem.name()),
        _ => format!("from_f32<{}>(canonical({value}))", elem.name()),
    };
    out.line(&format!("Vec<{}> value;", to.vector));
    text.each(out, &format!("reinterpret_cast<{}*>(&value)[elem] = {stored};", elem.name()));
}

impl Text<'_> {
    fn each(&self, out: &mut Out, statement: &str) {
        out.line("#pragma unroll");
        out.line(&format!("for (i32 elem = 0; elem < {}; ++elem) {statement}", self.width));
    }

    /// Element `elem` of the tree, a number of that type; what it needs is written before.
    fn tree(&mut self, out: &mut Out, tree: &Tree, number: Elem) -> String {
        match tree {
            Tree::Row(access) => self.operand(out, access, (self.v, "elem"), number),
            Tree::Scalar(access) => self.operand(out, access, ("0", "0"), number),
            Tree::Lit(v, _) => literal(*v, number),
            Tree::Binary { op, lhs, rhs } => {
                let (a, b) = (self.tree(out, lhs, number), self.tree(out, rhs, number));
                arithmetic(*op, (&a, &b), number)
            }
            Tree::Cast(to, inner) => self.cast(out, *to, inner),
            Tree::Fold(fold) => self.fold(out, fold, number),
            // The verifier: what adds up in the accumulator is rounded by whoever adds it up.
            Tree::Sum => literal(0.0, number),
        }
    }

    fn cast(&mut self, out: &mut Out, to: Elem, inner: &Tree) -> String {
        let from = inner.number(self.schedule);
        let value = match (inner, from) {
            (Tree::Row(access), Elem::I64) => {
                self.operand(out, access, (self.v, "elem"), Elem::F32)
            }
            (Tree::Scalar(access), Elem::I64) => self.operand(out, access, ("0", "0"), Elem::F32),
            (_, Elem::F32) => self.tree(out, inner, from),
            _ => format!("to_f32({})", self.tree(out, inner, from)),
        };
        match to {
            Elem::F32 => value,
            Elem::F64 => format!("f64({value})"),
            _ => rounded(to, &value),
        }
    }

    fn operand(
        &mut self,
        out: &mut Out,
        access: &Access,
        (v, at): (&str, &str),
        number: Elem,
    ) -> String {
        let own = format!("own{}", self.operands);
        self.operands += 1;
        out.line(&format!("const auto {own} = load({});", place(self.schedule, access, v)));
        let elem = self.schedule.tensors[access.tensor].elem.name();
        let word = match number {
            Elem::F32 => "to_f32",
            number => number.name(),
        };
        format!("{word}(reinterpret_cast<const {elem}*>(&{own})[{at}])")
    }

    fn fold(&mut self, out: &mut Out, fold: &Fold, number: Elem) -> String {
        let acc = format!("acc{}", self.folds);
        self.folds += 1;
        let start = fold.start();
        let ty = if number == Elem::F32 { "float" } else { number.name() };
        if let Some(parts) = &fold.parts {
            return self.parts(out, fold, parts, &acc);
        }
        out.line(&format!("{ty} {acc}[{}];", self.width));
        self.each(out, &format!("{acc}[elem] = {};", literal(start, number)));
        self.looped(out, fold, (&acc, number), 0);
        format!("{acc}[elem]")
    }

    /// Each part looks for its own terms.
    fn parts(&mut self, out: &mut Out, fold: &Fold, parts: &Parts, acc: &str) -> String {
        let number = acc.trim_start_matches("acc");
        let [part, total, any] = ["part", "total", "any"].map(|word| format!("{word}{number}"));
        out.line(&format!("float {total}[{}] = {{}};", self.width));
        let head = format!("for (i32 {part} = 0; {part} < {}; ++{part})", parts.count);
        out.line("#pragma unroll 1");
        out.block(&head, |out| {
            out.line(&format!("float {acc}[{}] = {{}};", self.width));
            out.line(&format!("bool {any} = false;"));
            self.looped(out, fold, (acc, Elem::F32), 0);
            let rounded = rounded(parts.partial, &format!("{acc}[elem]"));
            let sum = operation(IxOp::Add, false, (&format!("{total}[elem]"), &rounded));
            out.block(&format!("if ({any})"), |out| {
                self.each(out, &format!("{total}[elem] = {sum};"));
            });
        });
        format!("{total}[elem]")
    }

    /// The loops of a reduction from number `depth` on.
    fn looped(&mut self, out: &mut Out, fold: &Fold, acc: (&str, Elem), depth: usize) {
        let Some((var, extent)) = fold.vars.get(depth) else {
            let schedule = self.schedule;
            let mut all = |out: &mut Out| {
                within(out, schedule, &fold.guards, &mut |out| match &fold.parts {
                    None => self.term(out, fold, acc),
                    Some(parts) => {
                        let of = index(schedule, &parts.of);
                        let number = acc.0.trim_start_matches("acc");
                        out.block(&format!("if ({of} == part{number})"), |out| {
                            out.line(&format!("any{number} = true;"));
                            self.term(out, fold, acc);
                        });
                    }
                });
            };
            // What the term needs is declared in a block of its own.
            return if depth > 0 { all(out) } else { out.block("", all) };
        };
        let word = var_name(self.schedule, *var);
        let deep = if depth + 1 == fold.vars.len() { UNROLL.min(*extent) } else { 1 };
        out.line(&format!("#pragma unroll {deep}"));
        out.block(&format!("for (i32 {word} = 0; {word} < {extent}; ++{word})"), |out| {
            if let Some(tuples) = fold.tuples.as_ref().filter(|t| t.k == *var) {
                kept::next(out, self.schedule, tuples);
            }
            self.looped(out, fold, acc, depth + 1);
        });
    }

    fn term(&mut self, out: &mut Out, fold: &Fold, (acc, number): (&str, Elem)) {
        let acc = format!("{acc}[elem]");
        let next = match (fold.by, &fold.term) {
            (Reducer::Sum, Tree::Binary { op: IxOp::Mul, lhs, rhs }) if number != Elem::I64 => {
                let (a, b) = (self.tree(out, lhs, number), self.tree(out, rhs, number));
                let word = if number == Elem::F64 { "__fma_rn" } else { "__fmaf_rn" };
                format!("{word}({a}, {b}, {acc})")
            }
            (by, term) => {
                let a = self.tree(out, term, number);
                match by {
                    Reducer::Sum => arithmetic(IxOp::Add, (&acc, &a), number),
                    Reducer::Max if number == Elem::I64 => format!("{a} > {acc} ? {a} : {acc}"),
                    Reducer::Min if number == Elem::I64 => format!("{a} < {acc} ? {a} : {acc}"),
                    Reducer::Max => format!("larger({acc}, {a})"),
                    Reducer::Min => format!("smaller({acc}, {a})"),
                    // The first kept tuple is a matter of its loop.
                    Reducer::First => a,
                }
            }
        };
        self.each(out, &format!("{acc} = {next};"));
    }
}

/// A number of f32 as one of that type has it.
pub(super) fn rounded(to: Elem, value: &str) -> String {
    match to {
        Elem::F32 => value.to_string(),
        _ => format!("to_f32(from_f32<{}>(canonical({value})))", to.name()),
    }
}

/// An operation in f32, or in f64 if `wide`, that no compiler fuses with another.
pub(super) fn operation(op: IxOp, wide: bool, (a, b): (&str, &str)) -> String {
    let word = match op {
        IxOp::Add => "add",
        IxOp::Sub => "sub",
        IxOp::Mul => "mul",
        IxOp::Div | IxOp::Rem => "div",
    };
    format!("__{}{word}_rn({a}, {b})", if wide { 'd' } else { 'f' })
}

/// An operation on numbers of the type.
fn arithmetic(op: IxOp, (a, b): (&str, &str), number: Elem) -> String {
    match (number, op) {
        (Elem::I64, IxOp::Div) => format!("floor_div({a}, {b})"),
        (Elem::I64, IxOp::Rem) => format!("floor_rem({a}, {b})"),
        (Elem::I64, _) => format!("({a} {} {b})", op.symbol()),
        _ => operation(op, number == Elem::F64, (a, b)),
    }
}

/// The number with these very bits.
fn literal(v: f64, number: Elem) -> String {
    match number {
        Elem::I64 if v <= i64::MIN as f64 => "(-0x7fffffffffffffffll - 1)".to_string(),
        Elem::I64 if v >= i64::MAX as f64 => "0x7fffffffffffffffll".to_string(),
        Elem::I64 => format!("i64({v})"),
        Elem::F64 => format!("__longlong_as_double({:#x}ll)", v.to_bits()),
        _ => format!("__uint_as_float({:#x}u)", (v as f32).to_bits()),
    }
}
