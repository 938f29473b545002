//! A statement in numbers: its places as sums of variables, its value, its variables.

use super::moves::{Built, Coordinate, Live, MoveValue, MoveVar, Number, Place, no};
use super::{Coord, Tree};
use crate::arena::Handle;
use crate::layout::RouteShape;
use crate::sema::hir::{self, Bindings, Expr, ExprKind, Extent, Program, Scalar, Size, VarExtent};
use crate::sema::reach::{Inside, Reach, always_holds};
use crate::source::Span;
use std::collections::BTreeMap;

/// A value of one type as one of another, which may hold all of its values as they are. Integers are those that they are.
pub(super) fn cast<P>(to: hir::Elem, from: hir::Elem, of: Tree<P>) -> Tree<P> {
    match to == from.number() || to == from || to.is_integer() && from.is_integer() {
        true => of,
        false => Tree::Cast { to, of: Box::new(of) },
    }
}

/// The type of which a value has each number: parts that are added up have f32.
pub(super) fn held(program: &Program, e: &Expr) -> hir::Elem {
    let is_sum = |s: &hir::Spread| matches!(s.kind, hir::SpreadKind::Sum { .. });
    match &e.kind {
        ExprKind::Read { tensor, .. } if program.tensors[*tensor].spread.iter().any(is_sum) => {
            hir::Elem::F32
        }
        _ => e.ty,
    }
}

/// Whether nothing is subtracted in the sum.
fn grows(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Binary { op: hir::BinOp::Sub, lhs, rhs } => {
            grows(lhs) && matches!(rhs.kind, ExprKind::Size(_))
        }
        ExprKind::Binary { lhs, rhs, .. } => grows(lhs) && grows(rhs),
        _ => true,
    }
}

/// The statement's text in numbers.
pub(super) struct Reader<'a> {
    pub(super) program: &'a Program,
    pub(super) bound: &'a Bindings,
    pub(super) assign: &'a hir::Assign,
    /// The route that it moves along, or whose numbers it reads.
    pub(super) shape: Option<&'a RouteShape>,
}

impl Reader<'_> {
    pub(super) fn value(&self) -> Built<(MoveValue, Option<hir::Elem>)> {
        let value = &self.assign.value.at_first();
        let (inner, cast) = match &value.kind {
            ExprKind::Cast(inner) if !value.ty.is_integer() => (&**inner, Some(value.ty)),
            _ => (value, None),
        };
        let out = match &inner.kind {
            ExprKind::Read { tensor, index } => MoveValue::Read(self.place(*tensor, index)?),
            ExprKind::Scalar(scalar) => MoveValue::Literal(*scalar),
            _ if !hir::Elem::is_integer(inner.ty) || !inner.indices().is_empty() => {
                MoveValue::Computed(self.tree(inner)?)
            }
            _ => MoveValue::Int(self.number(inner)?),
        };
        let to = self.program.tensors[self.assign.target].dtype.elem;
        let same =
            matches!(&out, MoveValue::Read(p) if self.program.tensors[p.tensor].dtype.elem == to);
        Ok((out, cast.filter(|_| !same)))
    }

    fn tree(&self, e: &Expr) -> Built<Tree<Place>> {
        Ok(match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Tree::Lit(*v as f64, e.ty.number()),
            ExprKind::Scalar(Scalar::Float(v)) => Tree::Lit(*v, e.ty.number()),
            ExprKind::Read { tensor, index } => Tree::Row(self.place(*tensor, index)?),
            ExprKind::Cast(inner) => cast(e.ty, held(self.program, inner), self.tree(inner)?),
            ExprKind::Binary { op, lhs, rhs } => Tree::Binary {
                op: *op,
                lhs: Box::new(self.tree(lhs)?),
                rhs: Box::new(self.tree(rhs)?),
            },
            ExprKind::Reduce { by, over, within, body } => Tree::Fold {
                by: *by,
                within: *within,
                ty: e.ty,
                over: over.iter().map(|v| v.index()).collect(),
                term: Box::new(self.tree(body)?),
            },
            _ => return Err(no(e.span, "this value")),
        })
    }

    /// `where p`, without what holds of all values of the variables.
    pub(super) fn filter(&self) -> Built<Option<hir::Filter<Number>>> {
        let of = (self.program, self.assign, self.bound);
        let parts = self.assign.filter.iter().flat_map(hir::Filter::parts);
        let open = parts.filter(|part| !always_holds(of.0, of.1, of.2, part));
        let mut out: Option<hir::Filter<Number>> = None;
        for part in open {
            let part = part.map(&mut |e| self.number(e))?;
            out = Some(match out {
                Some(before) => hir::Filter::And(Box::new(before), Box::new(part)),
                None => part,
            });
        }
        Ok(out)
    }

    fn number(&self, e: &Expr) -> Built<Number> {
        match &e.kind {
            ExprKind::Read { tensor, index } => Ok(Number::Read(self.place(*tensor, index)?)),
            ExprKind::Scalar(Scalar::Int(v)) => Ok(Number::Lit(*v)),
            ExprKind::Size(size) => Ok(match self.program.eval(size, self.bound) {
                Some(v) => Number::Lit(v),
                None => Number::Size(size.clone()),
            }),
            ExprKind::Var(v) => Ok(Number::Var(v.index())),
            ExprKind::Count { group, source: None, .. } => Ok(Number::Count(group.index())),
            ExprKind::Count { group, source: Some(source), .. } => {
                Ok(Number::From(source.index(), group.index()))
            }
            ExprKind::Offset { tensor, group } => Ok(Number::First(group.index(), *tensor)),
            ExprKind::Dropped { .. } => Ok(Number::Dropped),
            ExprKind::Binary { op, lhs, rhs } => Ok(Number::Binary {
                op: *op,
                lhs: Box::new(self.number(lhs)?),
                rhs: Box::new(self.number(rhs)?),
            }),
            _ => Err(no(e.span, "this value")),
        }
    }

    pub(super) fn place(&self, tensor: Handle<hir::Tensor>, index: &[Expr]) -> Built<Place> {
        let axes = &self.program.tensors[tensor].axes;
        let coords = index
            .iter()
            .zip(axes)
            .map(|(e, axis)| self.coordinate(e, &axis.extent))
            .collect::<Built<_>>()?;
        Ok(Place { tensor, coords })
    }

    fn coordinate(&self, e: &Expr, extent: &Extent) -> Built<Coordinate> {
        let (mut terms, mut constant) = (BTreeMap::new(), 0);
        let linear = self.linear(e, 1, &mut terms, &mut constant);
        if linear.is_some() && (self.keeps(e) || self.stays_inside(e, extent)) {
            let terms = terms.into_iter().filter(|(_, c)| *c != 0).collect();
            return Ok(Coordinate::Linear { terms, constant });
        }
        let limit = match extent {
            _ if self.stays_inside(e, extent) => None,
            Extent::Fixed(size) => Some(self.most(size, e.span)?),
            // What is past the rows of a group is no element.
            Extent::Counted { .. } => return Err(no(e.span, "this index of a counted axis")),
            Extent::Ragged { .. } => return Err(no(e.span, "an index into a ragged axis")),
        };
        Ok(Coordinate::Computed { value: self.number(e)?, limit })
    }

    /// Whether `check` has seen that the index stays inside its axis, whatever the launch decides: a sum in which
    /// nothing is subtracted, of all values of its variables.
    fn keeps(&self, e: &Expr) -> bool {
        self.assign.filter.is_none() && grows(e)
    }

    fn stays_inside(&self, e: &Expr, extent: &Extent) -> bool {
        Reach::new(self.program, self.assign, self.bound).inside(e, extent) == Inside::Always
    }

    /// Adds `times * e`; `None` if that is no sum of variables.
    fn linear(
        &self,
        e: &Expr,
        times: i64,
        terms: &mut BTreeMap<usize, i64>,
        constant: &mut i64,
    ) -> Option<()> {
        match &e.kind {
            ExprKind::Var(v) => {
                let sum = terms.entry(v.index()).or_default();
                *sum = sum.checked_add(times)?;
            }
            ExprKind::Scalar(_) | ExprKind::Size(_) => {
                *constant = constant.checked_add(times.checked_mul(self.constant(e)?)?)?;
            }
            ExprKind::Binary { op: hir::BinOp::Add, lhs, rhs } => {
                self.linear(lhs, times, terms, constant)?;
                self.linear(rhs, times, terms, constant)?;
            }
            ExprKind::Binary { op: hir::BinOp::Sub, lhs, rhs } => {
                self.linear(lhs, times, terms, constant)?;
                self.linear(rhs, times.checked_neg()?, terms, constant)?;
            }
            ExprKind::Binary { op: hir::BinOp::Mul, lhs, rhs } => {
                let (factor, rest) = match (self.constant(lhs), self.constant(rhs)) {
                    (Some(n), _) => (n, rhs),
                    (_, Some(n)) => (n, lhs),
                    _ => return None,
                };
                self.linear(rest, times.checked_mul(factor)?, terms, constant)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn constant(&self, e: &Expr) -> Option<i64> {
        match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Some(*v),
            ExprKind::Size(size) => self.program.eval(size, self.bound),
            ExprKind::Binary { op, lhs, rhs } => op.apply(self.constant(lhs)?, self.constant(rhs)?),
            _ => None,
        }
    }

    pub(super) fn vars(&self) -> Built<Vec<MoveVar>> {
        let firsts = self.assign.value.firsts();
        let one = |(handle, var): (Handle<hir::Var>, &hir::Var)| {
            if let Some(tuple) = self.tuple(handle, var) {
                return Ok(MoveVar { first: firsts.contains(&handle), ..tuple });
            }
            let (extent, live) = match &var.extent {
                VarExtent::Fixed(size) => match self.program.eval(size, self.bound) {
                    Some(n) => (n, Live::Known),
                    None => (self.most(size, self.assign.span)?, Live::Size(size.clone())),
                },
                VarExtent::Counted { rows, bound } => {
                    (self.size(bound, self.assign.span)?, Live::Size(rows.clone()))
                }
                VarExtent::Ragged(_) => {
                    return Err(no(self.assign.span, "a routed slot without `via`"));
                }
            };
            let guarded = matches!(live, Live::Size(_));
            let first = firsts.contains(&handle);
            let (name, extent) = (var.name.clone(), if first { 1 } else { extent.max(1) });
            Ok(MoveVar { name, extent, live, guarded, first, tuple: None })
        };
        self.assign.vars.iter().map(one).collect()
    }

    /// A variable of the route; of its body, one that no place reads.
    fn tuple(&self, handle: Handle<hir::Var>, var: &hir::Var) -> Option<MoveVar> {
        let dropped = self.assign.value.plan_numbers().into_iter().find_map(|n| match n.kind {
            ExprKind::Dropped { source, .. } => Some(source),
            _ => None,
        });
        if let (Some(source), Some(shape)) = (dropped, self.shape) {
            let tuple = (source == handle).then_some(Coord::Source(0))?;
            let (name, extent) = (var.name.clone(), super::routed::most_of(shape, tuple));
            let (live, tuple) = (Live::Known, Some(tuple));
            return Some(MoveVar { name, extent, live, guarded: false, first: false, tuple });
        }
        let (via, shape) = (self.assign.via.as_ref()?, self.shape?);
        let route = &self.program.routes[via.route];
        let tuple = super::routed::coord_of((route, shape), via, handle);
        let extent = match tuple {
            Some(coord) => super::routed::most_of(shape, coord),
            None if handle.index() < route.vars.len() => 1,
            None => return None,
        };
        let (name, live) = (var.name.clone(), Live::Known);
        let extent = extent.max(1);
        Some(MoveVar { name, extent, live, guarded: false, first: false, tuple })
    }

    /// The most a size can be, each `dyn` up to its bound.
    fn most(&self, size: &Size, span: Span) -> Built<i64> {
        self.program.most(size, self.bound).ok_or_else(|| no(span, "a size not known at bind"))
    }

    fn size(&self, size: &Size, span: Span) -> Built<i64> {
        self.program.eval(size, self.bound).ok_or_else(|| no(span, "a size not known at bind"))
    }
}
