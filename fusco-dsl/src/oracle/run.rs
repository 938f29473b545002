//! Statements as loop nests.

use super::place::{fill_bits, physical};
use super::relation::walk;
use super::row::{Place, Row, Rows};
use super::scope::{Scope, mentions};
use super::{Array, Error, Inputs, Physical, Relation, number, relation};
use crate::arena::Handle;
use crate::sema::hir::{
    Assign, Elem, Expr, ExprKind, Extent, Io, Program, Size, Tensor, Var, VarExtent, Via,
};
use std::collections::BTreeMap;

/// What an entry leaves, by tensor name.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Logical global arrays, ragged axes padded to the longest with the fill value, or 0.
    pub logical: BTreeMap<String, Array>,
    /// Live length of each ragged segment.
    pub count: BTreeMap<String, Vec<i32>>,
    /// Each rank's buffer.
    pub physical: BTreeMap<String, Vec<Physical>>,
}

/// Runs an entry. Relations it plans are added to `plans`, by route name; others are taken from there.
///
/// # Errors
/// Missing or wrong inputs.
pub fn run_entry(
    program: &Program,
    entry: &str,
    inputs: &Inputs,
    plans: &mut BTreeMap<String, Relation>,
) -> Result<Outputs, Error> {
    inputs.check(program)?;
    let entry = program.entry(entry).ok_or_else(|| Error::Missing(format!("entry {entry}")))?;
    for route in &entry.plans {
        plans.insert(program.routes[*route].name.clone(), relation(program, *route, inputs)?);
    }
    let plans = &*plans;
    let mut made: BTreeMap<Handle<Tensor>, Array> = BTreeMap::new();
    for stmt in &entry.stmts {
        let target = made.remove(&stmt.target);
        let scope = Scope { program, inputs, plans, made: &made };
        let target = target.map_or_else(|| blank(&scope, stmt.target), Ok)?;
        let target = Statement { scope, stmt }.execute(target)?;
        made.insert(stmt.target, target);
    }
    let mut out = Outputs::default();
    let scope = Scope { program, inputs, plans, made: &made };
    for (handle, array) in &made {
        let tensor = &program.tensors[*handle];
        if tensor.io == Io::Tmp {
            continue;
        }
        if let Some(counts) = scope.counts(tensor)? {
            let counts = counts.live.iter().map(|n| *n as i32).collect();
            out.count.insert(tensor.name.clone(), counts);
        }
        out.physical.insert(tensor.name.clone(), physical(&scope, tensor, array)?);
        out.logical.insert(tensor.name.clone(), array.clone());
    }
    Ok(out)
}

/// Each rank's buffer of an input, from its logical array.
///
/// # Errors
/// A missing or wrong array, or counts and owners out of range.
pub fn scatter(program: &Program, inputs: &Inputs, name: &str) -> Result<Vec<Physical>, Error> {
    let (plans, made) = (BTreeMap::new(), BTreeMap::new());
    let scope = Scope { program, inputs, plans: &plans, made: &made };
    let handle = program.tensor(name).ok_or_else(|| Error::Missing(format!("tensor {name}")))?;
    physical(&scope, &program.tensors[handle], inputs.tensor(name)?)
}

/// A tensor before any assignment.
fn blank(scope: &Scope, handle: Handle<Tensor>) -> Result<Array, Error> {
    let tensor = &scope.program.tensors[handle];
    if tensor.io == Io::InOut {
        return Ok(scope.array(handle)?.clone());
    }
    let counts = scope.counts(tensor)?;
    let mut shape = Vec::new();
    for axis in &tensor.axes {
        let longest = match &axis.extent {
            Extent::Fixed(size) => longest(scope, tensor, size, &mut vec![0; shape.len()], 0)?,
            Extent::Counted { rows, .. } => {
                longest(scope, tensor, rows, &mut vec![0; shape.len()], 0)?
            }
            Extent::Ragged { .. } => counts.and_then(|r| r.live.iter().max()).copied().unwrap_or(0),
        };
        shape.push(
            usize::try_from(longest)
                .map_err(|_| Error::Shape(format!("{} is {longest} long", axis.name)))?,
        );
    }
    Array::filled(tensor.dtype.elem, shape, fill_bits(tensor))
}

/// The largest extent over all coordinates of the earlier axes that it names.
fn longest(
    scope: &Scope,
    tensor: &Tensor,
    size: &Size,
    at: &mut Vec<i64>,
    axis: usize,
) -> Result<i64, Error> {
    if axis == at.len() {
        return scope.inputs.size(scope.program, size, at);
    }
    let extent = match &tensor.axes[axis].extent {
        Extent::Fixed(own) if names(size, axis) => {
            scope.inputs.size(scope.program, own, &at[..axis])?
        }
        _ => 1,
    };
    let mut most = 0;
    for value in 0..extent {
        at[axis] = value;
        most = most.max(longest(scope, tensor, size, at, axis + 1)?);
    }
    Ok(most)
}

/// Whether a size reads the coordinate of an axis.
pub(super) fn names(size: &Size, axis: usize) -> bool {
    match size {
        Size::Coord(i) => *i == axis,
        Size::Dyn { index, .. } | Size::Read { index, .. } => index.iter().any(|s| names(s, axis)),
        Size::Binary { lhs, rhs, .. } => names(lhs, axis) || names(rhs, axis),
        Size::Lit(_) | Size::Param(_) | Size::Mesh(_) => false,
    }
}

struct Statement<'a> {
    scope: Scope<'a>,
    stmt: &'a Assign,
}

impl Statement<'_> {
    fn execute(&self, mut target: Array) -> Result<Array, Error> {
        let mut summed = Vec::new();
        sums(&self.stmt.value, &mut summed);
        let mut values = vec![0; self.stmt.vars.len()];
        let Some(via) = &self.stmt.via else {
            let free = self.free(&summed, &[]);
            self.nest(&free, None, &mut values, &mut target)?;
            return Ok(target);
        };
        let relation = self.scope.plan(via.route)?;
        let joined: Vec<_> = via.sources.iter().chain(&via.dests).copied().collect();
        let free = self.free(&summed, &joined);
        match via.sources.iter().position(|v| summed.contains(v)) {
            Some(k) => self.reduce((via, relation, k), &free, &mut values, &mut target)?,
            None => {
                for tuple in &relation.tuples {
                    joined.iter().zip(tuple).for_each(|(v, x)| values[v.index()] = *x);
                    self.nest(&free, None, &mut values, &mut target)?;
                }
            }
        }
        Ok(target)
    }

    /// A sum over source `k` of the route: for each position of the other sources, its kept tuples.
    fn reduce(
        &self,
        (via, relation, k): (&Via, &Relation, usize),
        free: &[Handle<Var>],
        values: &mut Vec<i64>,
        target: &mut Array,
    ) -> Result<(), Error> {
        let unbound: Vec<_> = via.dests.iter().chain([&via.sources[k]]).copied().collect();
        if self.stmt.index.iter().any(|i| unbound.iter().any(|v| mentions(i, *v))) {
            return Err(Error::Unsupported("a sum into a coordinate of what it sums".into()));
        }
        let route = &self.scope.program.routes[via.route];
        let mut groups: BTreeMap<Vec<i64>, Vec<Vec<(usize, i64)>>> = BTreeMap::new();
        walk(&self.scope, route, Some(k), &mut Vec::new(), &mut |at| {
            groups.insert(at.to_vec(), Vec::new());
        })?;
        let dests = via.sources.len();
        for tuple in &relation.tuples {
            let mut at = tuple[..dests].to_vec();
            at[k] = 0;
            let term = via.dests.iter().zip(&tuple[dests..]);
            let mut term: Vec<_> = term.map(|(v, x)| (v.index(), *x)).collect();
            term.push((via.sources[k].index(), tuple[k]));
            groups.entry(at).or_default().push(term);
        }
        for (at, terms) in &groups {
            via.sources.iter().zip(at).for_each(|(v, x)| values[v.index()] = *x);
            self.nest(free, Some((via.sources[k], terms)), values, target)?;
        }
        Ok(())
    }

    /// Variables that neither the route nor a sum binds, in order.
    fn free(&self, summed: &[Handle<Var>], joined: &[Handle<Var>]) -> Vec<Handle<Var>> {
        let vars = self.stmt.vars.iter().map(|(h, _)| h);
        vars.filter(|h| !summed.contains(h) && !joined.contains(h)).collect()
    }

    /// Loops over the free variables; the last one is the row's.
    fn nest(
        &self,
        free: &[Handle<Var>],
        terms: super::row::Terms,
        values: &mut Vec<i64>,
        target: &mut Array,
    ) -> Result<(), Error> {
        match free {
            [] => self.assign(None, terms, values, target),
            [lane] => {
                let extent = self.extent(*lane, values)?;
                match usize::try_from(extent) {
                    Ok(0) | Err(_) => Ok(()),
                    Ok(n) => self.assign(Some((*lane, n)), terms, values, target),
                }
            }
            [var, inner @ ..] => {
                for value in 0..self.extent(*var, values)? {
                    values[var.index()] = value;
                    self.nest(inner, terms, values, target)?;
                }
                Ok(())
            }
        }
    }

    fn extent(&self, var: Handle<Var>, values: &[i64]) -> Result<i64, Error> {
        let scope = &self.scope;
        match &self.stmt.vars[var].extent {
            VarExtent::Fixed(size) => scope.inputs.size(scope.program, size, values),
            VarExtent::Counted { rows, .. } => scope.size(rows, values),
            VarExtent::Ragged(route) => {
                let group = self.group(var).map(|g| values[g.index()]);
                let live = &scope.plan(*route)?.live;
                group
                    .and_then(|g| live.get(usize::try_from(g).ok()?))
                    .copied()
                    .ok_or_else(|| Error::Unsupported("a ragged variable without a group".into()))
            }
        }
    }

    /// The variable of the axis before the one that a slot variable indexes.
    fn group(&self, slot: Handle<Var>) -> Option<Handle<Var>> {
        let mut lists = vec![&self.stmt.index[..]];
        reads(&self.stmt.value, &mut lists);
        lists.iter().flat_map(|l| l.windows(2)).find_map(|w| match (&w[0].kind, &w[1].kind) {
            (ExprKind::Var(group), ExprKind::Var(v)) if *v == slot => Some(*group),
            _ => None,
        })
    }

    fn assign(
        &self,
        lane: super::row::Lane,
        terms: super::row::Terms,
        values: &mut [i64],
        target: &mut Array,
    ) -> Result<(), Error> {
        let rows = Rows { scope: self.scope, lane, terms, extent: &|var, at| self.extent(var, at) };
        let info = &self.scope.program.tensors[self.stmt.target];
        let to = rows.place(&info.name, target, &self.stmt.index, values)?;
        let mut value = &self.stmt.value;
        if let ExprKind::Read { tensor, index } = &value.kind {
            let from = self.scope.array(*tensor)?;
            let summed = super::deal::parts(&self.scope, &self.scope.program.tensors[*tensor])?;
            if from.elem == target.elem && summed.is_none() {
                let name = &self.scope.program.tensors[*tensor].name;
                let place = rows.place(name, from, index, values)?;
                copy(from, &place, target, &to, rows.len());
                return Ok(());
            }
            if from.elem != target.elem
                && (number::is_float(from.elem) || number::is_float(target.elem))
            {
                return Err(Error::Unsupported(format!(
                    "{} of {} from {}",
                    info.name,
                    target.elem.name(),
                    from.elem.name()
                )));
            }
        }
        if let ExprKind::Cast(inner) = &value.kind
            && number::is_float(inner.ty)
            && value.ty == target.elem
        {
            value = inner; // The store rounds.
        }
        match rows.row(value, values)? {
            Row::Float(row) => self.store_floats(&row, &to, target),
            Row::Int(row) => self.store_ints(&row, &to, target),
        }
    }

    fn store_floats(&self, row: &[f32], to: &Place, target: &mut Array) -> Result<(), Error> {
        for (i, x) in row.iter().enumerate() {
            let bits = number::from_f32(target.elem, *x).ok_or_else(|| {
                Error::Unsupported(format!("a float into {}", target.elem.name()))
            })?;
            match (target.elem, to) {
                (Elem::Bf16 | Elem::F16, Place::Step { base, step: 1 }) => {
                    let at = (base + i) * 2;
                    target.data[at..at + 2].copy_from_slice(&(bits as u16).to_le_bytes());
                }
                _ => target.set_bits(to.at(i), bits),
            }
        }
        Ok(())
    }

    fn store_ints(&self, row: &[i64], to: &Place, target: &mut Array) -> Result<(), Error> {
        let tensor = &self.scope.program.tensors[self.stmt.target];
        let index = tensor.dtype.index.as_ref();
        let bound = index.map(|i| self.scope.inputs.size(self.scope.program, &i.bound, &[]));
        let bound = bound.transpose()?;
        for (i, value) in row.iter().enumerate() {
            if number::is_float(target.elem) {
                let bits = number::from_f32(target.elem, *value as f32).unwrap_or(0);
                target.set_bits(to.at(i), bits);
                continue;
            }
            if let Some(bound) = bound.filter(|b| !(0..*b).contains(value)) {
                let at = vec![to.at(i) as i64];
                return Err(Error::Index { tensor: tensor.name.clone(), at, value: *value, bound });
            }
            target.set_bits(to.at(i), *value as u64);
        }
        Ok(())
    }
}

/// Bits, unchanged.
fn copy(from: &Array, at: &Place, target: &mut Array, to: &Place, n: usize) {
    let width = target.elem.bytes() as usize;
    if let (Place::Step { base: f, step: 1 }, Place::Step { base: t, step: 1 }) = (at, to) {
        let bytes = &from.data[f * width..(f + n) * width];
        target.data[t * width..(t + n) * width].copy_from_slice(bytes);
        return;
    }
    for i in 0..n {
        target.set_bits(to.at(i), from.get_bits(at.at(i)));
    }
}

fn sums(expr: &Expr, out: &mut Vec<Handle<Var>>) {
    match &expr.kind {
        ExprKind::Sum { var, body } => {
            out.push(*var);
            sums(body, out);
        }
        ExprKind::Cast(inner) => sums(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            sums(lhs, out);
            sums(rhs, out);
        }
        _ => {}
    }
}

fn reads<'e>(expr: &'e Expr, out: &mut Vec<&'e [Expr]>) {
    match &expr.kind {
        ExprKind::Read { index, .. } => out.push(index),
        ExprKind::Sum { body, .. } => reads(body, out),
        ExprKind::Cast(inner) => reads(inner, out),
        ExprKind::Binary { lhs, rhs, .. } => {
            reads(lhs, out);
            reads(rhs, out);
        }
        _ => {}
    }
}
