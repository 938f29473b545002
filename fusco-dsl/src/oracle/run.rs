//! Statements as loop nests.

use super::place::{fill_bits, physical};
use super::relation::int;
use super::{Array, Error, Inputs, Physical, Relation, number, relation};
use crate::arena::Handle;
use crate::sema::hir::{self, Assign, BinOp, Elem, Expr, ExprKind, Extent, Io, Program, Scalar, Via};
use std::collections::{BTreeMap, BTreeSet};

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
pub fn run_entry(program: &Program, entry: &str, inputs: &Inputs, plans: &mut BTreeMap<String, Relation>) -> Result<Outputs, Error> {
    let entry = program.entry(entry).ok_or_else(|| Error::Missing(format!("entry {entry}")))?;
    for route in &entry.plans {
        plans.insert(program.routes[*route].name.clone(), relation(program, *route, inputs)?);
    }
    let mut logical: BTreeMap<Handle<hir::Tensor>, Array> = BTreeMap::new();
    for stmt in &entry.stmts {
        let run = Statement { program, inputs, plans, stmt };
        let target = match logical.remove(&stmt.target) {
            Some(array) => array,
            None => run.blank(stmt.target)?,
        };
        logical.insert(stmt.target, run.execute(target)?);
    }
    let mut out = Outputs::default();
    for (handle, array) in logical {
        let tensor = &program.tensors[handle];
        let ragged = ragged_relation(program, plans, tensor)?;
        if let Some(relation) = ragged {
            out.count.insert(tensor.name.clone(), relation.live.iter().map(|n| *n as i32).collect());
        }
        out.physical.insert(tensor.name.clone(), physical(program, inputs, tensor, &array, ragged)?);
        debug_assert!(tensor.io != Io::In);
        out.logical.insert(tensor.name.clone(), array);
    }
    Ok(out)
}

fn ragged_relation<'p>(program: &Program, plans: &'p BTreeMap<String, Relation>, tensor: &hir::Tensor) -> Result<Option<&'p Relation>, Error> {
    let route = tensor.axes.iter().find_map(|a| match a.extent {
        Extent::Ragged { route, .. } => Some(route),
        Extent::Fixed(_) => None,
    });
    let Some(route) = route else { return Ok(None) };
    let name = &program.routes[route].name;
    plans.get(name).map(Some).ok_or_else(|| Error::Missing(format!("a plan of route {name}")))
}

struct Statement<'a> {
    program: &'a Program,
    inputs: &'a Inputs,
    plans: &'a BTreeMap<String, Relation>,
    stmt: &'a Assign,
}

/// A read whose index names variables only: `base + sum of free values * step`.
struct Read<'a> {
    array: &'a Array,
    index: Vec<Handle<hir::Var>>,
}

impl Read<'_> {
    fn base(&self, values: &[i64]) -> Result<usize, Error> {
        let at: Vec<i64> = self.index.iter().map(|v| values[v.index()]).collect();
        self.array.at(&at).ok_or_else(|| Error::Shape(format!("{at:?} is outside an array of {:?}", self.array.shape)))
    }

    fn step(&self, var: Handle<hir::Var>) -> usize {
        self.index.iter().position(|v| *v == var).map_or(0, |axis| self.array.stride(axis))
    }
}

impl<'a> Statement<'a> {
    /// The target before any assignment.
    fn blank(&self, handle: Handle<hir::Tensor>) -> Result<Array, Error> {
        let tensor = &self.program.tensors[handle];
        let ragged = ragged_relation(self.program, self.plans, tensor)?;
        let mut shape = Vec::new();
        for axis in &tensor.axes {
            shape.push(match &axis.extent {
                Extent::Fixed(size) => self.longest(size)? as usize,
                Extent::Ragged { .. } => ragged.map_or(0, |r| r.live.iter().copied().max().unwrap_or(0)) as usize,
            });
        }
        let mut array = Array::zeros(tensor.dtype.elem, shape);
        let fill = fill_bits(tensor);
        if fill != 0 {
            (0..array.len()).for_each(|i| array.set_bits(i, fill));
        }
        Ok(array)
    }

    fn longest(&self, size: &hir::Size) -> Result<i64, Error> {
        let ranks = self.program.ranks(&self.inputs.params).unwrap_or(1);
        let mut longest = 0;
        for rank in 0..ranks {
            longest = longest.max(self.inputs.size(self.program, size, &[rank])?);
        }
        Ok(longest)
    }

    fn execute(&self, mut target: Array) -> Result<Array, Error> {
        let value = &self.stmt.value;
        match &value.kind {
            ExprKind::Count { .. } | ExprKind::Offset { .. } | ExprKind::Dropped { .. } => self.derive(&mut target)?,
            ExprKind::Read { tensor, index } => self.gather(*tensor, index, &mut target)?,
            ExprKind::Sum { var, body } => self.sum(*var, body, Elem::F32, &mut target)?,
            ExprKind::Cast(inner) => match &inner.kind {
                ExprKind::Sum { var, body } => self.sum(*var, body, value.ty, &mut target)?,
                _ => return Err(Error::Unsupported("a cast of this".into())),
            },
            _ => self.integers(&mut target)?,
        }
        Ok(target)
    }

    fn via(&self) -> Result<(&'a Via, &'a Relation), Error> {
        let via = self.stmt.via.as_ref().ok_or_else(|| Error::Unsupported("a statement without a route".into()))?;
        let name = &self.program.routes[via.route].name;
        let relation = self.plans.get(name).ok_or_else(|| Error::Missing(format!("a plan of route {name}")))?;
        Ok((via, relation))
    }

    /// The statement's variables for a tuple of the route; free ones are 0.
    fn values(&self, via: &Via, tuple: &[i64]) -> Vec<i64> {
        let mut values = vec![0; self.stmt.vars.len()];
        via.sources.iter().chain(&via.dests).zip(tuple).for_each(|(v, x)| values[v.index()] = *x);
        values
    }

    /// Variables that the route does not bind, with their extents.
    fn free(&self, via: &Via) -> Result<Vec<(Handle<hir::Var>, usize)>, Error> {
        let bound: BTreeSet<_> = via.sources.iter().chain(&via.dests).copied().collect();
        let mut out = Vec::new();
        for (handle, var) in self.stmt.vars.iter().filter(|(h, _)| !bound.contains(h)) {
            out.push((handle, self.inputs.extent(self.program, &var.extent, &[])? as usize));
        }
        Ok(out)
    }

    fn read(&self, array: &'a Array, index: &[Expr]) -> Result<Read<'a>, Error> {
        let var = |e: &Expr| match e.kind {
            ExprKind::Var(v) => Ok(v),
            _ => Err(Error::Unsupported("an index that is not a variable".into())),
        };
        Ok(Read { array, index: index.iter().map(var).collect::<Result<_, _>>()? })
    }

    /// `y[e, c, h] <- x[s, t, h] via r`
    fn gather(&self, tensor: Handle<hir::Tensor>, index: &[Expr], target: &mut Array) -> Result<(), Error> {
        let (via, relation) = self.via()?;
        let free = self.free(via)?;
        let source = self.read(self.inputs.tensor(&self.program.tensors[tensor].name)?, index)?;
        let shape = Array { elem: target.elem, shape: target.shape.clone(), data: Vec::new() };
        let to = self.target_steps(&shape)?;
        for tuple in &relation.tuples {
            let values = self.values(via, tuple);
            let (from, at) = (source.base(&values)?, to.base(&values)?);
            for_each(&free, |steps| {
                let (f, t) = (offset(&source, steps), offset(&to, steps));
                target.set_bits(at + t, source.array.bits(from + f));
            });
        }
        Ok(())
    }

    fn target_steps<'s>(&self, shape: &'s Array) -> Result<Read<'s>, Error> {
        let var = |e: &Expr| match e.kind {
            ExprKind::Var(v) => Ok(v),
            _ => Err(Error::Unsupported("an index that is not a variable".into())),
        };
        Ok(Read { array: shape, index: self.stmt.index.iter().map(var).collect::<Result<_, _>>()? })
    }

    /// `gid[e, c] <- t * K + k via r`
    fn integers(&self, target: &mut Array) -> Result<(), Error> {
        let (via, relation) = self.via()?;
        let shape = Array { elem: target.elem, shape: target.shape.clone(), data: Vec::new() };
        let to = self.target_steps(&shape)?;
        for tuple in &relation.tuples {
            let values = self.values(via, tuple);
            let value = int(self.program, self.inputs, &self.stmt.value, &values)?;
            let value = value.ok_or_else(|| Error::Unsupported("a value that may be none".into()))?;
            target.set_bits(to.base(&values)?, value as u64);
        }
        Ok(())
    }

    /// `o[s, t, h] <- cast(T, sum(k: a * b)) via r`: the tuples of each position, ascending k.
    fn sum(&self, var: Handle<hir::Var>, body: &Expr, to: Elem, target: &mut Array) -> Result<(), Error> {
        let (via, relation) = self.via()?;
        let free = self.free(via)?;
        let k = via.sources.iter().position(|v| *v == var).ok_or_else(|| Error::Unsupported("this sum".into()))?;
        let mut factors = Vec::new();
        self.factors(body, &mut factors)?;

        let position = |tuple: &[i64]| -> Vec<i64> { (0..via.sources.len()).filter(|i| *i != k).map(|i| tuple[i]).collect() };
        let mut tuples: BTreeMap<Vec<i64>, Vec<&Vec<i64>>> = relation.domain.iter().map(|t| (position(t), Vec::new())).collect();
        for tuple in &relation.tuples {
            tuples.entry(position(tuple)).or_default().push(tuple);
        }
        let shape = Array { elem: target.elem, shape: target.shape.clone(), data: Vec::new() };
        let place = self.target_steps(&shape)?;
        for (at, mut terms) in tuples {
            terms.sort_by_key(|t| t[k]);
            let mut first = at.clone();
            first.insert(k, 0);
            let base = place.base(&self.values(via, &first))?;
            let mut bases: Vec<Vec<usize>> = Vec::new();
            for term in &terms {
                let values = self.values(via, term);
                bases.push(factors.iter().map(|f| f.base(&values)).collect::<Result<_, _>>()?);
            }
            for_each(&free, |steps| {
                let mut acc = 0f32;
                for term in &bases {
                    let x = |i: usize| factors[i].value(term[i], steps);
                    acc = match factors.len() {
                        1 => acc + x(0),
                        2 => x(0).mul_add(x(1), acc),
                        _ => (x(0) * x(1)).mul_add(x(2), acc),
                    };
                }
                if let Some(bits) = number::from_f32(to, acc) {
                    target.set_bits(base + offset(&place, steps), bits);
                }
            });
        }
        Ok(())
    }

    fn factors(&self, body: &Expr, out: &mut Vec<Factor<'a>>) -> Result<(), Error> {
        match &body.kind {
            ExprKind::Binary { op: BinOp::Mul, lhs, rhs } => {
                self.factors(lhs, out)?;
                self.factors(rhs, out)?;
            }
            ExprKind::Cast(inner) => self.factors(inner, out)?,
            ExprKind::Scalar(Scalar::Int(v)) => out.push(Factor::Lit(*v as f32)),
            ExprKind::Scalar(Scalar::Float(v)) => out.push(Factor::Lit(*v as f32)),
            ExprKind::Read { tensor, index } => {
                let array = self.inputs.tensor(&self.program.tensors[*tensor].name)?;
                out.push(Factor::Read(self.read(array, index)?));
            }
            _ => return Err(Error::Unsupported("this factor of a sum".into())),
        }
        if out.len() > 3 {
            return Err(Error::Unsupported("a product of more than three factors".into()));
        }
        Ok(())
    }

    /// `count`, `offset` and `dropped` read the relation, not the data.
    fn derive(&self, target: &mut Array) -> Result<(), Error> {
        for i in 0..target.len() {
            let value = match &self.stmt.value.kind {
                ExprKind::Count { tensor, .. } => self.relation_of(*tensor)?.live[i],
                ExprKind::Offset { tensor, .. } => self.offset_of(*tensor, i as i64)?,
                ExprKind::Dropped { route, .. } => {
                    let name = &self.program.routes[*route].name;
                    let relation = self.plans.get(name).ok_or_else(|| Error::Missing(format!("a plan of route {name}")))?;
                    relation.dropped(i as i64)
                }
                _ => 0,
            };
            target.set_bits(i, value as u64);
        }
        Ok(())
    }

    fn relation_of(&self, tensor: Handle<hir::Tensor>) -> Result<&'a Relation, Error> {
        ragged_relation(self.program, self.plans, &self.program.tensors[tensor])?.ok_or_else(|| Error::Unsupported("a count of a tensor that is not ragged".into()))
    }

    /// First row of a group in its rank's buffer.
    fn offset_of(&self, tensor: Handle<hir::Tensor>, group: i64) -> Result<i64, Error> {
        let live = &self.relation_of(tensor)?.live;
        let ranks = self.program.ranks(&self.inputs.params).unwrap_or(1);
        let per_rank = live.len() as i64 / ranks;
        let first = group / per_rank * per_rank;
        for term in &self.program.tensors[tensor].placement {
            match &term.kind {
                hir::TermKind::Pack(align) => {
                    let align = self.inputs.size(self.program, align, &[])?;
                    return Ok((first..group).map(|g| (live[g as usize] + align - 1) / align * align).sum());
                }
                hir::TermKind::Slab(rows) => return Ok((group - first) * self.inputs.size(self.program, rows, &[])?),
                _ => {}
            }
        }
        Err(Error::Unsupported("an offset of this placement".into()))
    }
}

enum Factor<'a> {
    Read(Read<'a>),
    Lit(f32),
}

impl Factor<'_> {
    fn base(&self, values: &[i64]) -> Result<usize, Error> {
        match self {
            Factor::Read(read) => read.base(values),
            Factor::Lit(_) => Ok(0),
        }
    }

    fn value(&self, base: usize, steps: &[(Handle<hir::Var>, usize)]) -> f32 {
        match self {
            Factor::Read(read) => read.array.float(base + offset(read, steps)),
            Factor::Lit(v) => *v,
        }
    }
}

fn offset(read: &Read, steps: &[(Handle<hir::Var>, usize)]) -> usize {
    steps.iter().map(|(v, x)| read.step(*v) * x).sum()
}

/// All assignments of the free variables.
fn for_each(free: &[(Handle<hir::Var>, usize)], mut body: impl FnMut(&[(Handle<hir::Var>, usize)])) {
    let mut at: Vec<_> = free.iter().map(|(v, _)| (*v, 0)).collect();
    if free.iter().any(|(_, n)| *n == 0) {
        return;
    }
    loop {
        body(&at);
        let Some(axis) = (0..free.len()).rev().find(|i| at[*i].1 + 1 < free[*i].1) else { return };
        at[axis].1 += 1;
        at[axis + 1..].iter_mut().for_each(|(_, x)| *x = 0);
    }
}
