//! Statements as loop nests.

use super::gather::counted;
use super::held::Held;
use super::nest::{Nest, Parts};
use super::place::{fill_bits, literal_bits, physical};
use super::placed::{Left, Placed};
use super::row::{Lane, Place, Row, Rows, Terms};
use super::scope::Scope;
use super::shape::shape;
use super::{Array, Error, Inputs, Physical, Relation, Watch, number, relation};
use crate::arena::Handle;
use crate::sema::hir::{Axis, Elem, ExprKind, Extent, Io, Program, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an entry leaves, by tensor name.
#[derive(Clone, Debug, Default)]
pub struct Outputs<'p> {
    /// Logical global arrays; rows of a ragged axis without padding, which would be the fill value, or 0.
    pub logical: BTreeMap<String, Array>,
    /// Live length of each ragged segment.
    pub count: BTreeMap<String, Vec<i32>>,
    /// The same on its ranks.
    pub physical: BTreeMap<String, Placed<'p>>,
}

/// Runs an entry. Relations it plans are added to `plans`, by route name; others are taken from there.
///
/// # Errors
/// Missing or wrong inputs.
pub fn run_entry<'p>(
    program: &'p Program,
    entry: &str,
    inputs: &Inputs,
    plans: &mut BTreeMap<String, Relation>,
) -> Result<Outputs<'p>, Error> {
    run_entry_watched(program, entry, inputs, plans, &mut |_, _, _| ())
}

/// As [`run_entry`]; `watch` is told of every route and of every part of every statement.
///
/// # Errors
/// As [`run_entry`].
pub fn run_entry_watched<'p>(
    program: &'p Program,
    entry: &str,
    inputs: &Inputs,
    plans: &mut BTreeMap<String, Relation>,
    watch: &mut Watch,
) -> Result<Outputs<'p>, Error> {
    inputs.check(program)?;
    let entry = program.entry(entry).ok_or_else(|| Error::Missing(format!("entry {entry}")))?;
    for route in &entry.plans {
        watch(&program.routes[*route].name, 0, 1);
        plans.insert(program.routes[*route].name.clone(), relation(program, *route, inputs)?);
    }
    let plans = &*plans;
    let mut made: BTreeMap<Handle<Tensor>, Array> = BTreeMap::new();
    for stmt in &entry.stmts {
        let target = made.remove(&stmt.target);
        let scope = Scope { program, inputs, plans, made: &made };
        let target = target.map_or_else(|| blank(&scope, stmt.target), Ok)?;
        let name = &program.tensors[stmt.target].name;
        let mut parts = |done: usize, all: usize| watch(name, done, all);
        let target = Statement(Nest { scope, stmt }, Held::new(&scope, stmt)?)
            .execute(target, &mut parts)?;
        made.insert(stmt.target, target);
    }
    // Of what the entry made for itself, only a table of owners can matter to a placement.
    let kept = |tensor: &Tensor| tensor.io != Io::Tmp || tensor.dtype.index.is_some();
    made.retain(|handle, _| kept(&program.tensors[*handle]));
    let counts = |r: &Relation| Relation { live: r.live.clone(), ..Relation::default() };
    let plans = plans.iter().map(|(route, r)| (route.clone(), counts(r))).collect();
    let left = Arc::new(Left { program, inputs: inputs.clone(), plans, made });
    let mut out = Outputs::default();
    for (handle, array) in &left.made {
        let tensor = &program.tensors[*handle];
        if tensor.io == Io::Tmp {
            continue;
        }
        if let Some(counts) = super::gather::segments(&left.scope(), tensor)? {
            out.count.insert(tensor.name.clone(), counts);
        }
        out.physical.insert(tensor.name.clone(), Placed::new(&left, *handle)?);
        out.logical.insert(tensor.name.clone(), array.clone());
    }
    Ok(out)
}

/// Each rank's buffer of an input, from its logical array: its replicas on every rank that has one, its parts
/// each on its rank. Integers narrower than declared are widened. `live`: rows of each group, by route.
///
/// # Errors
/// A missing or wrong array, or counts and owners out of range.
pub fn scatter(
    program: &Program,
    inputs: &Inputs,
    live: &BTreeMap<String, Vec<u32>>,
    name: &str,
) -> Result<Vec<Physical>, Error> {
    let (plans, made) = (counted(live), BTreeMap::new());
    let scope = Scope { program, inputs, plans: &plans, made: &made };
    let handle = program.tensor(name).ok_or_else(|| Error::Missing(format!("tensor {name}")))?;
    inputs.check(program)?;
    let (tensor, array) = (&program.tensors[handle], inputs.tensor(name)?);
    match widened(array, tensor.dtype.elem) {
        Some(wide) => physical(&scope, tensor, &wide),
        None => physical(&scope, tensor, array),
    }
}

/// An integer array in another integer type; `None` if it has that type, or either is a float.
fn widened(array: &Array, to: Elem) -> Option<Array> {
    if array.elem == to || number::is_float(array.elem) || number::is_float(to) {
        return None;
    }
    Some(array.converted(to, |array, i| array.get_i64(i) as u64))
}

/// A tensor before any assignment.
fn blank(scope: &Scope, handle: Handle<Tensor>) -> Result<Array, Error> {
    let tensor = &scope.program.tensors[handle];
    if tensor.io == Io::InOut {
        return Ok(scope.array(handle)?.clone());
    }
    let (elem, shape, fill) = (tensor.dtype.elem, shape(scope, tensor)?, fill_bits(tensor));
    let ragged = |a: &Axis| matches!(a.extent, Extent::Ragged { .. });
    let Some(axis) = tensor.axes.iter().position(ragged).filter(|axis| *axis > 0) else {
        return Array::filled(elem, shape, fill);
    };
    // The rows of a group, at each coordinate of the axes outside its own.
    let live = scope.counts(tensor)?.map_or(&[][..], |r| &r.live[..]);
    let outside = shape[..axis - 1].iter().product();
    let group = |at: usize| live.get(at).and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
    let each: Vec<usize> = (0..shape[axis - 1]).map(group).collect();
    Array::ragged(elem, shape, (axis, &each.repeat(outside)), fill)
}

/// Stores the values of a statement, rounded, by rows.
struct Statement<'a>(Nest<'a>, Held<'a>);

impl Statement<'_> {
    fn execute(&self, mut target: Array, watch: &mut Parts) -> Result<Array, Error> {
        let mut assign = |lane: Lane, terms: Terms, values: &mut [i64]| {
            self.assign(lane, terms, values, &mut target)
        };
        self.0.run(&mut assign, watch)?;
        Ok(target)
    }

    fn assign(
        &self,
        lane: Lane,
        terms: Terms,
        values: &mut [i64],
        target: &mut Array,
    ) -> Result<(), Error> {
        let rows = Rows {
            scope: self.0.scope,
            lane,
            terms,
            extent: &|var, at| self.0.extent(var, at),
            group: &|within, body, at| self.1.group(&self.0.scope, (within, body), at),
        };
        if !self.0.assigns(values)? {
            return Ok(());
        }
        let taken;
        let mut value = &self.0.stmt.value;
        for var in value.firsts() {
            // Where no tuple is kept, or an axis is empty, nothing is assigned.
            match terms.filter(|t| t.var == var) {
                Some(tuples) => {
                    let Some(first) = tuples.terms().next() else { return Ok(()) };
                    first.for_each(|(v, x)| values[v] = x);
                }
                None if self.0.extent(var, values)? < 1 => return Ok(()),
                None => values[var.index()] = 0,
            }
        }
        if value.takes_first() {
            taken = value.at_first();
            value = &taken;
        }
        let scope = &self.0.scope;
        if !scope.are_there(&self.0.stmt.index, values)? || !scope.is_there(value, values)? {
            return Ok(());
        }
        let info = &self.0.scope.program.tensors[self.0.stmt.target];
        let to = rows.place(&info.name, target, &self.0.stmt.index, values)?;
        if let (ExprKind::Scalar(literal), Elem::F64) = (&value.kind, target.elem) {
            let bits = literal_bits(Elem::F64, *literal);
            (0..rows.len()).for_each(|i| target.set_bits(to.at(i), bits));
            return Ok(());
        }
        if let ExprKind::Read { tensor, index } = &value.kind {
            let from = self.0.scope.array(*tensor)?;
            let summed = super::deal::parts(&self.0.scope, &self.0.scope.program.tensors[*tensor])?;
            if from.elem == target.elem && summed.is_none() {
                let name = &self.0.scope.program.tensors[*tensor].name;
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
            if from.elem != target.elem {
                // An index may be none: it moves as it is.
                let name = &self.0.scope.program.tensors[*tensor].name;
                let place = rows.place(name, from, index, values)?;
                (0..rows.len())
                    .for_each(|i| target.set_bits(to.at(i), from.get_i64(place.at(i)) as u64));
                return Ok(());
            }
        }
        if let ExprKind::Cast(inner) = &value.kind
            && number::is_float(inner.ty)
            && value.ty == target.elem
        {
            value = inner; // The store rounds.
            if let (ExprKind::Read { tensor, index }, true) = (&inner.kind, inner.ty == target.elem)
            {
                let info = &self.0.scope.program.tensors[*tensor];
                if super::deal::parts(&self.0.scope, info)?.is_none() {
                    // Each element is a value of its own type already: its bits stay.
                    let from = self.0.scope.array(*tensor)?;
                    let place = rows.place(&info.name, from, index, values)?;
                    copy(from, &place, target, &to, rows.len());
                    return Ok(());
                }
            }
        }
        match rows.row(value, values)? {
            Row::Float(row) => self.store_floats(&row, &to, target),
            Row::Double(row) => self.store_doubles(&row, &to, target),
            Row::Int(row) => self.store_ints(&row, &to, target),
        }
    }

    fn store_floats(&self, row: &[f32], to: &Place, target: &mut Array) -> Result<(), Error> {
        let (elem, width) = (target.elem, target.elem.bytes() as usize);
        let data = target.bytes_mut();
        for (i, x) in row.iter().enumerate() {
            let bits = number::from_f32(elem, *x)
                .ok_or_else(|| Error::Unsupported(format!("a float into {}", elem.name())))?;
            let at = to.at(i) * width;
            match elem {
                Elem::Bf16 | Elem::F16 => {
                    data[at..at + 2].copy_from_slice(&(bits as u16).to_le_bytes());
                }
                _ => data[at..at + width].copy_from_slice(&bits.to_le_bytes()[..width]),
            }
        }
        Ok(())
    }

    fn store_doubles(&self, row: &[f64], to: &Place, target: &mut Array) -> Result<(), Error> {
        if target.elem != Elem::F64 {
            let row: Vec<f32> = row.iter().map(|x| *x as f32).collect();
            return self.store_floats(&row, to, target);
        }
        for (i, x) in row.iter().enumerate() {
            let bits = if x.is_nan() { 0x7fff_ffff_ffff_ffff } else { x.to_bits() };
            target.set_bits(to.at(i), bits);
        }
        Ok(())
    }

    fn store_ints(&self, row: &[i64], to: &Place, target: &mut Array) -> Result<(), Error> {
        let tensor = &self.0.scope.program.tensors[self.0.stmt.target];
        let index = tensor.dtype.index.as_ref();
        let bound = index.map(|i| self.0.scope.inputs.size(self.0.scope.program, &i.bound, &[]));
        let bound = bound.transpose()?;
        for (i, value) in row.iter().enumerate() {
            if number::is_float(target.elem) {
                let bits = number::from_f32(target.elem, *value as f32).unwrap_or(0);
                target.set_bits(to.at(i), bits);
                continue;
            }
            if let Some(bound) = bound.filter(|b| !(0..*b).contains(value)) {
                let at = target.coordinates(to.at(i));
                return Err(Error::Index { tensor: tensor.name.clone(), at, value: *value, bound });
            }
            target.set_bits(to.at(i), *value as u64);
            if target.get_i64(to.at(i)) != *value {
                let at = target.coordinates(to.at(i));
                let elem = target.elem.name();
                return Err(Error::Shape(format!(
                    "{}{at:?} is {elem}, which does not hold {value}",
                    tensor.name
                )));
            }
        }
        Ok(())
    }
}

/// Bits, unchanged.
fn copy(from: &Array, at: &Place, target: &mut Array, to: &Place, n: usize) {
    let width = target.elem.bytes() as usize;
    if let (Place::Step { base: f, step: 1 }, Place::Step { base: t, step: 1 }) = (at, to) {
        let bytes = &from.bytes()[f * width..(f + n) * width];
        target.bytes_mut()[t * width..(t + n) * width].copy_from_slice(bytes);
        return;
    }
    for i in 0..n {
        target.set_bits(to.at(i), from.get_bits(at.at(i)));
    }
}
