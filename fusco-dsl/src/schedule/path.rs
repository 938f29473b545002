//! The hops that an entry asks for, and what a rank is on each of their axes.

use super::address::Addresses;
use super::arith::{cut, plus, times};
use super::choice;
use super::ir::*;
use crate::arena::Handle;
use crate::diag::Diagnostic;
use crate::sema::hir::{self, Bindings, CmpOp, DirectiveKind, Forward, MeshAxis, Program};
use crate::source::Span;

pub(super) type Built<T> = Result<T, Box<Diagnostic>>;
pub(super) type Filter = hir::Filter<Ix>;

/// The hops that an entry asks for.
#[derive(Clone)]
pub(super) struct Path {
    /// Sizes of the two axes, and ranks from one coordinate to the next. Where the mesh has one axis a coordinate is a
    /// rank, which forwards to itself.
    pub outer: (i64, i64),
    pub inner: (i64, i64),
    /// All ranks of a coordinate forward in turn, not the one with the source's own number.
    pub balanced: bool,
    /// What names the rows that cross as one.
    pub keys: Option<Vec<String>>,
    span: Span,
}

impl Path {
    /// `None` where no row crosses.
    pub fn of(program: &Program, bound: &Bindings, entry: &hir::Entry) -> Option<Path> {
        let directives = &choice::always(entry)?.directives;
        let (axes, span) = directives.iter().find_map(|d| match d.kind {
            DirectiveKind::Path(axes) => Some((axes, d.span)),
            _ => None,
        })?;
        let outer = directives.iter().find_map(|d| match d.kind {
            DirectiveKind::Dedup { axis, .. } | DirectiveKind::Reduce(axis) => Some(axis),
            _ => None,
        })?;
        let asks = |d: &hir::Directive| d.kind == DirectiveKind::Forward(Forward::Balanced);
        let size = |axis: Handle<MeshAxis>| {
            let own = program.eval(&program.mesh_axes[axis].size, bound)?;
            Some((own, program.cut(axis, bound)?.0))
        };
        let inner = match axes {
            [a, b] if a == b => (1, 1),
            [a, b] => size(if a == outer { b } else { a })?,
        };
        let keys = directives.iter().find_map(|d| match &d.kind {
            DirectiveKind::Dedup { keys, .. } => Some(keys.clone()),
            _ => None,
        });
        let path = Path {
            keys,
            outer: size(outer)?,
            inner,
            balanced: inner.0 > 1 && directives.iter().any(asks),
            span,
        };
        (path.outer.0 > 1).then_some(path)
    }

    pub fn ranks(&self) -> i64 {
        self.outer.0 * self.inner.0
    }

    fn on(&self, (size, weight): (i64, i64), rank: Ix) -> Ix {
        cut(rank, weight, size, size * weight == self.ranks())
    }

    pub fn outer_of(&self, rank: Ix) -> Ix {
        self.on(self.outer, rank)
    }

    pub fn rank(&self, outer: Ix, inner: Ix) -> Ix {
        plus(times(outer, self.outer.1), times(inner, self.inner.1))
    }

    pub fn mine(&self) -> Ix {
        self.outer_of(Ix::Me)
    }

    pub fn inner_of_me(&self) -> Ix {
        self.on(self.inner, Ix::Me)
    }

    pub fn refuse(&self, what: &str) -> Box<Diagnostic> {
        let found = Diagnostic::unsupported(self.span, what);
        Box::new(found.help("leave the path out: the compiler chooses"))
    }
}

pub(super) fn compare(op: CmpOp, lhs: Ix, rhs: Ix) -> Filter {
    Filter::Compare { op, lhs, rhs }
}

pub(super) fn both(a: Filter, b: Filter) -> Filter {
    Filter::And(Box::new(a), Box::new(b))
}

/// What a rank says of itself, of another one.
pub(super) fn at_rank(at: &Addresses, ix: &Ix, rank: &Ix) -> Ix {
    let dyns = &at.schedule().dyns;
    ix.with(&|ix| match ix {
        Ix::Me => Some(rank.clone()),
        Ix::Dyn(of) if dyns[*of].per_rank => {
            Some(Ix::DynAt { of: *of, rank: Box::new(rank.clone()) })
        }
        _ => None,
    })
}
