//! Arithmetic of a movement: its operands as accesses of the runs or of single elements, its
//! reductions as loops.

use super::arith::ix_op;
use super::ir::*;
use super::moves::MoveLowering;
use crate::arena::Handle;
use crate::plan::{Place, Side, Tree as PlanTree};
use crate::sema::hir::{Elem, Reducer, Within};

impl MoveLowering<'_, '_, '_> {
    /// `access` is a run and the elements of its accesses, `bound` are the reduced variables around.
    pub(super) fn tree(
        &mut self,
        tree: &PlanTree<Place>,
        access: (i64, i64),
        bound: &mut Vec<usize>,
    ) -> Tree {
        match tree {
            PlanTree::Lit(v, number) => Tree::Lit(*v, *number),
            PlanTree::Cast { to, of } => Tree::Cast(*to, Box::new(self.tree(of, access, bound))),
            PlanTree::Row(place) | PlanTree::Scalar(place) => self.operand(place, access),
            PlanTree::Binary { op, lhs, rhs } => Tree::Binary {
                op: ix_op(*op),
                lhs: Box::new(self.tree(lhs, access, bound)),
                rhs: Box::new(self.tree(rhs, access, bound)),
            },
            PlanTree::Fold { by, ty, over, within, term } => {
                let tuples = over.iter().any(|v| self.movement.vars[*v].tuple.is_some());
                let mut guards = Vec::from_iter(self.kept().filter(|_| tuples));
                guards.extend(over.iter().flat_map(|v| self.extent_guards(*v)));
                guards.extend(self.index_guards(bound, over));
                let vars = over.iter().flat_map(|v| self.loops_of(*v)).collect();
                let outer = bound.len();
                bound.extend(over);
                let parts = within.and_then(|w| self.parts_of(w, term));
                let term = self.tree(term, access, bound);
                bound.truncate(outer);
                let (by, ty) = (*by, *ty);
                Tree::Fold(Box::new(Fold { by, ty, vars, tuples: None, parts, guards, term }))
            }
        }
    }

    /// By the rank of the row that a term reads.
    fn parts_of(&mut self, within: Within, term: &PlanTree<Place>) -> Option<Parts> {
        let row = term.points().into_iter().find(|p| p.tensor == within.rows)?;
        let (rank, _) = self.locate(row, None);
        Some(self.at.parts(within, rank))
    }

    /// An element, or the sum of its parts.
    fn operand(&mut self, place: &Place, access: (i64, i64)) -> Tree {
        if !self.has_parts(place) {
            return self.leaf(place, access, None);
        }
        let parts = self.parts(place).iter().map(|p| p.size).product();
        let var = self.at.var("part");
        let term = self.leaf(place, access, Some(Ix::Var(var)));
        let vars = vec![(var, parts)];
        let (by, ty, guards) = (Reducer::Sum, Elem::F32, Vec::new());
        let (tuples, parts) = (None, None);
        Tree::Fold(Box::new(Fold { by, ty, vars, tuples, parts, guards, term }))
    }

    fn leaf(&mut self, place: &Place, (run, vector): (i64, i64), choice: Option<Ix>) -> Tree {
        match self.movement.is_row(self.table(place), place) {
            true => Tree::Row(self.access(place, run, vector, Side::Source, choice)),
            false => Tree::Scalar(self.access(place, 1, 1, Side::Source, choice)),
        }
    }

    /// The loops of a reduced variable, major first.
    fn loops_of(&self, var: usize) -> Vec<(Handle<Var>, i64)> {
        if let (Some(_), Some(tuple)) = (self.movement.vars[var].tuple, &self.tuple) {
            let fan = self.at.schedule().routes[self.at.route(tuple.route)].fan;
            return Vec::from_iter((fan > 1).then_some((tuple.vars.fan, fan)));
        }
        let digits = self.movement.digits.iter().zip(&self.loops);
        let mine = digits.filter(|(d, _)| d.var == var && d.radix > 1);
        mine.filter_map(|(d, looped)| Some(((*looped)?, d.radix))).collect()
    }
}
