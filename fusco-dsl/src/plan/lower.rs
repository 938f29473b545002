//! Statements to movements.

use super::refine::Asked;
use super::routed::Usage;
use super::{
    Coord, Derived, Each, EntryPlan, IntExpr, Kind, Move, Movement, Plan, Point, Reduced, Tree,
};
use crate::arena::Handle;
use crate::diag::{Diagnostic, Diagnostics};
use crate::layout::{Home, RouteShape, Table, route_shape};
use crate::sema::hir::{self, Bindings, Expr, ExprKind, Program, Scalar, TermKind};
use std::collections::BTreeMap;

type Built<T> = Result<T, Box<Diagnostic>>;

/// Lowers every entry and decides its `prove`s.
///
/// # Errors
/// Every statement that cannot be lowered yet (F0999) and every `prove` that fails, located.
pub fn lower(
    program: &Program,
    bound: &Bindings,
    tables: BTreeMap<Handle<hir::Tensor>, Table>,
) -> Result<Plan, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut routes = BTreeMap::new();
    for (handle, _) in program.routes.iter() {
        match route_shape(program, bound, handle) {
            Ok(shape) => _ = routes.insert(handle, shape),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    for shape in routes.values() {
        for (tensor, axes) in &shape.reads {
            let found = super::routed::index(program, &tables[tensor], shape, axes);
            diagnostics.0.extend(found.err().map(|d| *d));
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let ranks = program.ranks(bound).unwrap_or(1);
    let mut plan = Plan { ranks, tables, routes, entries: Vec::new() };
    for entry in &program.entries {
        let mut movements = Vec::new();
        // Statements along a route whose rows are not runs, with the reason.
        let mut points = BTreeMap::new();
        for (stmt, assign) in entry.stmts.iter().enumerate().filter(|(_, a)| !is_static(a)) {
            match Statement::new(program, bound, &plan, assign).and_then(|s| s.movement(stmt)) {
                Ok(movement) => movements.push(movement),
                Err(diagnostic) => _ = points.insert(stmt, *diagnostic),
            }
        }
        let of = (program, bound, &plan);
        let always = entry.schedules.iter().find(|s| s.when.is_none());
        let asked = Asked::of(always);
        let moves = moves(of, (entry, &points), &asked, &mut diagnostics);
        let mut scheduled = Vec::new();
        for schedule in entry.schedules.iter().take_while(|s| s.when.is_some()) {
            let own = Asked::of(Some(schedule));
            let differs = own != asked;
            scheduled
                .push(differs.then(|| self::moves(of, (entry, &points), &own, &mut diagnostics)));
        }
        plan.entries.push(EntryPlan { name: entry.name.clone(), movements, moves, scheduled });
    }
    if !diagnostics.has_errors() {
        super::prove::prove(program, bound, &plan, &mut diagnostics);
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(plan) }
}

/// The statements that move point by point, as a schedule asks for them; of one that does for want of runs, what its
/// rows lack.
fn moves(
    of: (&Program, &Bindings, &Plan),
    (entry, points): (&hir::Entry, &BTreeMap<usize, Diagnostic>),
    asked: &Asked,
    diagnostics: &mut Diagnostics,
) -> Vec<Move> {
    let mut out = Vec::new();
    let pointwise = |(stmt, a): &(usize, &hir::Assign)| is_static(a) || points.contains_key(stmt);
    for (stmt, _) in entry.stmts.iter().enumerate().filter(pointwise) {
        match super::dense::lower(of, asked, (entry, stmt)) {
            Ok(found) => out.push(found),
            // Another schedule may have said so.
            Err(diagnostic) => {
                let diagnostic = points.get(&stmt).cloned().unwrap_or(*diagnostic);
                let said =
                    |d: &Diagnostic| (d.span, &d.message) == (diagnostic.span, &diagnostic.message);
                if !diagnostics.0.iter().any(said) {
                    diagnostics.push(diagnostic);
                }
            }
        }
    }
    if !diagnostics.has_errors() {
        diagnostics.0.extend(asked.tiles_of(&out));
    }
    out
}

/// Whether a statement needs no plan.
fn is_static(assign: &hir::Assign) -> bool {
    assign.via.is_none() && !assign.value.is_of_plan()
}

struct Statement<'a> {
    program: &'a Program,
    bound: &'a Bindings,
    plan: &'a Plan,
    assign: &'a hir::Assign,
    route: Handle<hir::Route>,
    /// The variables of reducers that the value is computed with.
    reduced: Vec<Handle<hir::Var>>,
}

impl<'a> Statement<'a> {
    fn new(
        program: &'a Program,
        bound: &'a Bindings,
        plan: &'a Plan,
        assign: &'a hir::Assign,
    ) -> Built<Self> {
        let route = super::routed::route_of(program, assign)
            .ok_or_else(|| no(assign.span, "a count of a tensor without a ragged axis"))?;
        super::routed::one_plan(program, assign)?;
        Ok(Statement { program, bound, plan, assign, route, reduced: Vec::new() })
    }

    fn movement(mut self, stmt: usize) -> Built<Movement> {
        let each = self.each()?;
        let value = match each {
            Each::First => self.assign.value.at_first(),
            Each::Tuple | Each::Position => self.assign.value.clone(),
        };
        self.reduced = reduced_in(&value);
        let reduced = self.reduced()?;
        let (kind, run) = self.kind(&value)?;
        let filter = self.assign.filter.as_ref();
        let filter = filter.map(|f| f.map(&mut |e| self.int(e))).transpose()?;
        let usage = match kind {
            // Each rank has all numbers of the plan, but for what it dropped itself.
            Kind::Derive { value: Derived::Count | Derived::Offset(..) } => Usage::Own,
            _ => Usage::Sent,
        };
        let target = self.point_of(self.assign.target, &self.assign.index, (run, usage))?;
        let mut movement = Movement {
            stmt,
            text: self.assign.text.clone(),
            span: self.assign.span,
            route: self.route,
            target,
            each,
            kind,
            filter,
            reduced,
            run,
        };
        self.even_vectors(&mut movement);
        Ok(movement)
    }

    /// For what the statement does something: a reducer over the choice of the route has all tuples of a position.
    fn each(&self) -> Built<Each> {
        let choice = self.shape().choice.map(Coord::Source);
        let value = &self.assign.value;
        let choices = |v: &Handle<hir::Var>| choice.is_some() && self.coord_of(*v) == choice;
        if value.firsts().iter().any(|v| !choices(v)) {
            return Err(no(value.span, "`first` over a variable that the route does not choose"));
        }
        let Some(by) = self.assign.gathers() else { return Ok(Each::Tuple) };
        let sources = |v: &Handle<hir::Var>| matches!(self.coord_of(*v), Some(Coord::Source(_)));
        if value.reduced_by(&|v| sources(v) && !choices(v)).is_some() {
            let what =
                format!("a {} over a variable other than the last source of the route", by.name());
            return Err(no(value.span, &what));
        }
        match (by, value.at_first().reduced_by(&choices)) {
            (hir::Reducer::First, None) => Ok(Each::First),
            (hir::Reducer::First, Some(_)) => {
                Err(no(value.span, "a `first` beside another reducer over the same variable"))
            }
            _ => Ok(Each::Position),
        }
    }

    /// How many values the variables of reducers have.
    fn reduced(&self) -> Built<Vec<Reduced>> {
        let one = |var: &Handle<hir::Var>| {
            let info = &self.assign.vars[*var];
            let (name, choice) =
                (info.name.clone(), self.coord_of(*var) != Some(Coord::Reduced(var.index())));
            let extent = match (&info.extent, choice) {
                (_, true) => self.shape().fan,
                (hir::VarExtent::Fixed(size), _) => self
                    .program
                    .eval(size, self.bound)
                    .ok_or_else(|| no(self.assign.span, "a reduced variable of run-time extent"))?,
                _ => return Err(no(self.assign.span, "a reduced variable of run-time extent")),
            };
            Ok(Reduced { var: var.index(), name, extent, choice })
        };
        self.reduced.iter().map(one).collect()
    }

    fn kind(&self, value: &Expr) -> Built<(Kind, i64)> {
        match &value.kind {
            ExprKind::Count { source: None, .. } => Ok((Kind::Derive { value: Derived::Count }, 1)),
            ExprKind::Offset { tensor, .. } => {
                let deal = super::routed::first_rows(self.placed(), *tensor, self.shape())?;
                Ok((Kind::Derive { value: Derived::Offset(*tensor, deal) }, 1))
            }
            ExprKind::Dropped { .. } if self.shape().sources[0].bound > 1 => {
                Err(no(value.span, "`dropped` of a source of which a rank has several values"))
            }
            ExprKind::Dropped { .. } => Ok((Kind::Derive { value: Derived::Dropped }, 1)),
            ExprKind::Read { tensor, index } => self.row(*tensor, index),
            // A value of the same type is moved as it is.
            ExprKind::Cast(inner) if inner.ty == value.ty => self.kind(inner),
            ExprKind::Cast(inner) => self.computed(inner, value.ty),
            _ if !value.ty.is_integer() || !value.indices().is_empty() => {
                self.computed(value, value.ty)
            }
            _ => {
                let target = (self.assign.target, self.assign.index.as_slice());
                if self.common_run(&[target])? > 1 {
                    return Err(no(self.assign.span, "a number in every element of a row"));
                }
                Ok((Kind::Int { value: self.int(value)? }, 1))
            }
        }
    }

    fn placed(&self) -> (&Program, &BTreeMap<Handle<hir::Tensor>, Table>) {
        (self.program, &self.plan.tables)
    }

    fn shape(&self) -> &RouteShape {
        &self.plan.routes[&self.route]
    }

    /// A row as it is.
    fn row(&self, tensor: Handle<hir::Tensor>, index: &[Expr]) -> Built<(Kind, i64)> {
        let run = self.common_run(&[(tensor, index), (self.assign.target, &self.assign.index)])?;
        if self.elem(tensor) != self.elem(self.assign.target) {
            return Err(no(self.assign.value.span, "a move between element types"));
        }
        Ok((Kind::Row { source: self.point(tensor, index, run)? }, run))
    }

    /// Arithmetic on the elements of rows.
    fn computed(&self, value: &Expr, to: hir::Elem) -> Built<(Kind, i64)> {
        let mut rows = Vec::new();
        self.rows_in(value, &mut rows);
        rows.push((self.assign.target, &self.assign.index));
        let run = self.common_run(&rows)?;
        Ok((Kind::Computed { value: self.tree(value, run)?, to }, run))
    }

    /// The rows that a value reads.
    fn rows_in<'e>(&self, e: &'e Expr, out: &mut Vec<(Handle<hir::Tensor>, &'e [Expr])>) {
        match &e.kind {
            ExprKind::Binary { lhs, rhs, .. } => {
                self.rows_in(lhs, out);
                self.rows_in(rhs, out);
            }
            ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => {
                self.rows_in(inner, out);
            }
            ExprKind::Read { tensor, index } if self.is_free_of(index) => {
                out.push((*tensor, index));
            }
            _ => {}
        }
    }

    fn tree(&self, e: &Expr, run: i64) -> Built<Tree> {
        Ok(match &e.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Tree::Lit(*v as f64, e.ty.number()),
            ExprKind::Scalar(Scalar::Float(v)) => Tree::Lit(*v, e.ty.number()),
            ExprKind::Read { tensor, index } => match self.is_free_of(index) {
                true => Tree::Row(self.point(*tensor, index, run)?),
                false => Tree::Scalar(self.point(*tensor, index, 1)?),
            },
            ExprKind::Cast(inner) => {
                let from = super::reader::held(self.program, inner);
                super::reader::cast(e.ty, from, self.tree(inner, run)?)
            }
            ExprKind::Binary { op, lhs, rhs } => Tree::Binary {
                op: *op,
                lhs: Box::new(self.tree(lhs, run)?),
                rhs: Box::new(self.tree(rhs, run)?),
            },
            ExprKind::Reduce { by, over, within, body } => Tree::Fold {
                by: *by,
                within: *within,
                ty: e.ty,
                over: over.iter().map(|v| v.index()).collect(),
                term: Box::new(self.tree(body, run)?),
            },
            _ => return Err(no(e.span, "this value")),
        })
    }

    /// Whether an index has an axis outside of the route.
    fn is_free_of(&self, index: &[Expr]) -> bool {
        index.iter().any(|i| self.is_free(i))
    }

    fn int(&self, value: &Expr) -> Built<IntExpr> {
        match &value.kind {
            ExprKind::Scalar(Scalar::Int(v)) => Ok(IntExpr::Lit(*v)),
            ExprKind::Size(size) => self
                .program
                .eval(size, self.bound)
                .map(IntExpr::Lit)
                .ok_or_else(|| no(value.span, "a `dyn` in a moved value")),
            ExprKind::Var(var) => self
                .coord_of(*var)
                .map(IntExpr::Coord)
                .ok_or_else(|| no(value.span, "a value of a variable outside the route")),
            ExprKind::Read { tensor, index } if !self.is_free_of(index) => {
                Ok(IntExpr::Read(self.point(*tensor, index, 1)?))
            }
            ExprKind::Binary { op, lhs, rhs } => Ok(IntExpr::Binary {
                op: *op,
                lhs: Box::new(self.int(lhs)?),
                rhs: Box::new(self.int(rhs)?),
            }),
            _ => Err(no(value.span, "this value")),
        }
    }

    /// The tensor at the index, its trailing run left out.
    fn point(&self, tensor: Handle<hir::Tensor>, index: &[Expr], run: i64) -> Built<Point> {
        self.point_of(tensor, index, (run, Usage::Own))
    }

    fn point_of(
        &self,
        tensor: Handle<hir::Tensor>,
        index: &[Expr],
        (run, usage): (i64, Usage),
    ) -> Built<Point> {
        let trailing = self.trailing(tensor, index);
        let coords = index
            .iter()
            .enumerate()
            .map(|(axis, i)| match &i.kind {
                _ if trailing.iter().any(|(a, _)| *a == axis) => Ok(None),
                _ if self.is_free(i) && self.is_one(tensor, axis) => Ok(None),
                ExprKind::Var(v) => self
                    .coord_of(*v)
                    .map(Some)
                    .ok_or_else(|| no(i.span, "an axis that is neither routed nor contiguous")),
                _ => Err(no(i.span, "an index that is not a variable")),
            })
            .collect::<Built<Vec<_>>>()?;
        let vector = widest(run * self.elem(tensor).bytes());
        let mut point = Point { tensor, coords, vector, deal: None };
        point.deal = super::routed::point(self.placed(), self.shape(), (&point, usage))?;
        Ok(point)
    }

    /// An axis of one element: it says nothing about the order in memory.
    fn is_one(&self, tensor: Handle<hir::Tensor>, axis: usize) -> bool {
        match &self.program.tensors[tensor].axes[axis].extent {
            hir::Extent::Fixed(size) => self.program.eval(size, self.bound) == Some(1),
            _ => false,
        }
    }

    /// Trailing axes of the placement that are unrouted, indexed by a plain variable and whole but for mesh digits,
    /// from the right, those of one element left out: (axis, variable).
    fn trailing(
        &self,
        tensor: Handle<hir::Tensor>,
        index: &[Expr],
    ) -> Vec<(usize, Handle<hir::Var>)> {
        let placement = &self.program.tensors[tensor].placement;
        let on_mesh =
            |kind: &TermKind| matches!(kind, TermKind::Shard(_) | TermKind::Mapped { .. });
        let mut out = Vec::new();
        for term in placement.iter().rev().filter(|t| !on_mesh(&t.kind)) {
            let memory = placement.iter().filter(|t| t.axis == term.axis && !on_mesh(&t.kind));
            let whole = matches!(term.kind, TermKind::Rest) && memory.count() == 1;
            match index.get(term.axis).map(|i| &i.kind) {
                Some(ExprKind::Var(v)) if self.coord_of(*v).is_none() => {
                    match self.is_one(tensor, term.axis) {
                        true => {}
                        false if whole => out.push((term.axis, *v)),
                        false => break,
                    }
                }
                _ => break,
            }
        }
        out
    }

    /// Elements contiguous in the same order on every side; all free variables must be in it.
    fn common_run(&self, sides: &[(Handle<hir::Tensor>, &[Expr])]) -> Built<i64> {
        let rows = |(tensor, index): &(Handle<hir::Tensor>, &[Expr])| -> Built<Vec<RowAxis>> {
            let axes = self.trailing(*tensor, index).into_iter();
            axes.map(|(axis, var)| self.row_axis(*tensor, axis, var)).collect()
        };
        let first = rows(&sides[0])?;
        for side in &sides[1..] {
            let other = rows(side)?;
            let vars = |axes: &[RowAxis]| Vec::from_iter(axes.iter().map(|a| a.var));
            if vars(&other) != vars(&first) {
                let what = "rows whose trailing axes differ on the two sides";
                return Err(no(self.assign.span, what));
            }
            if other != first {
                let what = "rows that mesh axes split in different ways on the two sides";
                return Err(no(self.assign.span, what));
            }
        }
        first.iter().flat_map(|a| &a.digits).filter(|(mesh, _)| mesh.is_none()).try_fold(
            1i64,
            |run, (_, extent)| {
                run.checked_mul(*extent)
                    .ok_or_else(|| no(self.assign.span, "a row of more than 2^63 elements"))
            },
        )
    }

    /// An axis of a row, as its placement cuts it.
    fn row_axis(
        &self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        var: Handle<hir::Var>,
    ) -> Built<RowAxis> {
        let hir::Extent::Fixed(size) = &self.program.tensors[tensor].axes[axis].extent else {
            return Err(no(self.assign.span, "a row of run-time length"));
        };
        let extent = self.program.eval(size, self.bound);
        let extent = extent.ok_or_else(|| no(self.assign.span, "a row of run-time length"))?;
        let table = &self.plan.tables[&tensor];
        let digits: Vec<_> = table
            .digits
            .iter()
            .filter(|d| d.axis == axis)
            .map(|d| match d.home {
                Home::Mesh { axis, .. } => (Some(axis), d.radix.bound()),
                _ => (None, d.radix.bound()),
            })
            .collect();
        if digits.iter().map(|(_, n)| n).product::<i64>() != extent {
            return Err(no(self.assign.span, "a row that mesh axes split unevenly"));
        }
        Ok(RowAxis { var, digits })
    }

    /// Rows that meet in one statement move in steps of the same number of elements.
    fn even_vectors(&self, movement: &mut Movement) {
        let elems = |p: &Point| p.vector / self.elem(p.tensor).bytes();
        let mut least = elems(&movement.target);
        for point in rows_of(&mut movement.kind) {
            least = least.min(elems(point));
        }
        for point in rows_of(&mut movement.kind) {
            point.vector = least * self.elem(point.tensor).bytes();
        }
        movement.target.vector = least * self.elem(movement.target.tensor).bytes();
    }

    fn is_free(&self, index: &Expr) -> bool {
        matches!(index.kind, ExprKind::Var(v) if self.coord_of(v).is_none())
    }

    fn coord_of(&self, var: Handle<hir::Var>) -> Option<Coord> {
        let shape = &self.plan.routes[&self.route];
        let Some(via) = &self.assign.via else {
            return self.coord_of_derived(var);
        };
        let reduced = || self.reduced.contains(&var).then(|| Coord::Reduced(var.index()));
        super::routed::coord_of((&self.program.routes[self.route], shape), via, var)
            .or_else(reduced)
    }

    /// Outside `via`, the one variable is the group of `count` and `offset`, the rank of `dropped`.
    fn coord_of_derived(&self, var: Handle<hir::Var>) -> Option<Coord> {
        match &self.assign.value.kind {
            ExprKind::Count { group, .. } | ExprKind::Offset { group, .. } if *group == var => {
                Some(Coord::Group)
            }
            ExprKind::Dropped { source, .. } if *source == var => Some(Coord::Source(0)),
            _ => None,
        }
    }

    fn elem(&self, tensor: Handle<hir::Tensor>) -> hir::Elem {
        self.program.tensors[tensor].dtype.elem
    }
}

/// A variable of a row, and its digits: (mesh axis, radix), or the part in memory.
#[derive(PartialEq)]
struct RowAxis {
    var: Handle<hir::Var>,
    digits: Vec<(Option<Handle<hir::MeshAxis>>, i64)>,
}

fn rows_of(kind: &mut Kind) -> Vec<&mut Point> {
    match kind {
        Kind::Row { source } => vec![source],
        Kind::Computed { value, .. } => value.rows_mut(),
        Kind::Int { .. } | Kind::Derive { .. } => Vec::new(),
    }
}

/// The variables of all reducers of a value.
fn reduced_in(value: &Expr) -> Vec<Handle<hir::Var>> {
    let (mut out, mut inner) = match &value.kind {
        ExprKind::Cast(inner) => (Vec::new(), reduced_in(inner)),
        ExprKind::Reduce { over, body, .. } => (over.clone(), reduced_in(body)),
        ExprKind::Binary { lhs, rhs, .. } => (reduced_in(lhs), reduced_in(rhs)),
        _ => return Vec::new(),
    };
    inner.retain(|v| !out.contains(v));
    out.append(&mut inner);
    out
}

/// Widest access, in bytes, for runs of so many bytes in 16-byte aligned buffers.
fn widest(bytes: i64) -> i64 {
    [16, 8, 4, 2, 1].into_iter().find(|w| bytes % w == 0).unwrap_or(1)
}

fn no(span: crate::source::Span, what: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::unsupported(span, what))
}
