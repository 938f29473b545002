//! A sum of the rows of a position's tuples.

use crate::arena::Handle;
use crate::schedule::ir::{Access, Factor, Ix, Kept, Op, Parts, Row, Schedule, Tree, Value, Var};
use crate::sema::hir::Elem;

/// The parts of a `Tokens { Each { (Pull | Load)*, Reduce }, Put | Summed { Put }, Signal }` nest.
pub struct Nest<'a> {
    pub schedule: &'a Schedule,
    /// The variable of a position, and how many there are.
    pub position: Handle<Var>,
    pub extent: &'a Ix,
    pub fan: i64,
    pub tuples: &'a Kept,
    /// A position without a tuple has no sum.
    pub summed: bool,
    /// By which tuples are added up part by part.
    pub parts: Option<&'a Parts>,
    pub rows: Vec<(Row, &'a Access)>,
    pub factors: &'a [Factor],
    pub to: &'a Access,
    /// What comes of the sum.
    pub value: &'a Tree,
    pub elem: Elem,
    pub signal: Option<&'a Op>,
}

impl<'a> Nest<'a> {
    pub fn of(schedule: &'a Schedule, op: &'a Op) -> Option<Nest<'a>> {
        let Op::Tokens { var, extent, body } = op else { return None };
        let Op::Each { tuples, first: false, parts, body: each } = body.first()? else {
            return None;
        };
        let (put, summed) = match body.get(1)? {
            Op::Summed { body } => (body.first()?, true),
            put => (put, false),
        };
        let Op::Put { value: Value::Sum { value, to: elem }, to } = put else { return None };
        let Op::Reduce { factors, .. } = each.last()? else { return None };
        let rows = each
            .iter()
            .filter_map(|op| match op {
                Op::Pull { row, from } | Op::Load { row, from } => Some((*row, from)),
                _ => None,
            })
            .collect();
        Some(Nest {
            schedule,
            position: *var,
            extent,
            fan: schedule.routes[tuples.route].fan,
            tuples,
            summed,
            parts: parts.as_ref(),
            rows,
            factors,
            to,
            value,
            elem: *elem,
            signal: body.get(2),
        })
    }

    pub fn elem_of(&self, access: &Access) -> Elem {
        self.schedule.tensors[access.tensor].elem
    }

    /// Elements a lane handles at once.
    pub fn width(&self) -> i64 {
        self.to.vector / self.elem_of(self.to).bytes()
    }

    /// What the arithmetic on the sum reads of its position: rows, and single elements.
    pub fn own(&self) -> Vec<(usize, &Access, bool)> {
        self.value.reads().into_iter().enumerate().map(|(n, (a, row))| (n, a, row)).collect()
    }
}
