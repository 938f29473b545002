//! Arithmetic on elements: operands are loaded, reductions looped over, and what comes of them is rounded once.

use super::points::{place, within};
use super::reduce::operation;
use crate::cuda::namer::var_name;
use crate::cuda::out::Out;
use crate::schedule::ir::{Access, Fold, IxOp, Schedule, Tree};
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
    /// Numbers are i64, not float.
    integers: bool,
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
    let integers = elem.is_integer();
    let mut text = Text { schedule, width, v, integers, operands: 0, folds: 0 };
    let value = text.tree(out, tree);
    let elem = elem.name();
    out.line(&format!("Vec<{}> value;", to.vector));
    if integers {
        let stored = format!("reinterpret_cast<{elem}*>(&value)[elem] = {elem}({value});");
        return text.each(out, &stored);
    }
    text.each(
        out,
        &format!("reinterpret_cast<{elem}*>(&value)[elem] = from_f32<{elem}>(canonical({value}));"),
    );
}

impl Text<'_> {
    fn each(&self, out: &mut Out, statement: &str) {
        out.line("#pragma unroll");
        out.line(&format!("for (i32 elem = 0; elem < {}; ++elem) {statement}", self.width));
    }

    /// Element `elem` of the tree; what it needs is written before.
    fn tree(&mut self, out: &mut Out, tree: &Tree) -> String {
        match tree {
            Tree::Row(access) => self.operand(out, access, self.v, "elem"),
            Tree::Scalar(access) => self.operand(out, access, "0", "0"),
            Tree::Lit(v) => number(*v),
            Tree::Binary { op, lhs, rhs } => {
                let (a, b) = (self.tree(out, lhs), self.tree(out, rhs));
                operation(*op, &a, &b)
            }
            Tree::Fold(fold) => self.fold(out, fold),
            // The verifier: nothing adds up in a grid beside its own reductions.
            Tree::Sum => number(0.0),
        }
    }

    fn operand(&mut self, out: &mut Out, access: &Access, v: &str, at: &str) -> String {
        let own = format!("own{}", self.operands);
        self.operands += 1;
        out.line(&format!("const auto {own} = load({});", place(self.schedule, access, v)));
        let elem = self.schedule.tensors[access.tensor].elem.name();
        let word = if self.integers { "i64" } else { "to_f32" };
        format!("{word}(reinterpret_cast<const {elem}*>(&{own})[{at}])")
    }

    fn fold(&mut self, out: &mut Out, fold: &Fold) -> String {
        let acc = format!("acc{}", self.folds);
        self.folds += 1;
        let start = match fold.by {
            Reducer::Sum => 0.0,
            Reducer::Max => f32::NEG_INFINITY,
            Reducer::Min => f32::INFINITY,
        };
        let (ty, start) = match self.integers {
            true => ("i64", "0".to_string()),
            false => ("float", number(start)),
        };
        out.line(&format!("{ty} {acc}[{}];", self.width));
        self.each(out, &format!("{acc}[elem] = {start};"));
        self.looped(out, fold, &acc, 0);
        format!("{acc}[elem]")
    }

    /// The loops of a reduction from number `depth` on.
    fn looped(&mut self, out: &mut Out, fold: &Fold, acc: &str, depth: usize) {
        let Some((var, extent)) = fold.vars.get(depth) else {
            let schedule = self.schedule;
            let mut all = |out: &mut Out| {
                within(out, schedule, &fold.guards, &mut |out| self.term(out, fold, acc));
            };
            // What the term needs is declared in a block of its own.
            return if depth > 0 { all(out) } else { out.block("", all) };
        };
        let word = var_name(self.schedule, *var);
        let deep = if depth + 1 == fold.vars.len() { UNROLL.min(*extent) } else { 1 };
        out.line(&format!("#pragma unroll {deep}"));
        out.block(&format!("for (i32 {word} = 0; {word} < {extent}; ++{word})"), |out| {
            self.looped(out, fold, acc, depth + 1);
        });
    }

    fn term(&mut self, out: &mut Out, fold: &Fold, acc: &str) {
        let acc = format!("{acc}[elem]");
        let next = match (fold.by, &fold.term) {
            (Reducer::Sum, Tree::Binary { op: IxOp::Mul, lhs, rhs }) => {
                let (a, b) = (self.tree(out, lhs), self.tree(out, rhs));
                format!("__fmaf_rn({a}, {b}, {acc})")
            }
            (by, term) => {
                let a = self.tree(out, term);
                match by {
                    Reducer::Sum if self.integers => format!("{acc} + {a}"),
                    Reducer::Sum => format!("__fadd_rn({acc}, {a})"),
                    Reducer::Max => format!("larger({acc}, {a})"),
                    Reducer::Min => format!("smaller({acc}, {a})"),
                }
            }
        };
        self.each(out, &format!("{acc} = {next};"));
    }
}

/// The number with these very bits.
fn number(v: f32) -> String {
    format!("__uint_as_float({:#x}u)", v.to_bits())
}
