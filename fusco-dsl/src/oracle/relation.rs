//! A route as the list of its kept tuples.

use super::scope::Scope;
use super::{Error, Inputs, Relation, Tuples};
use crate::arena::Handle;
use crate::sema::hir::{Expr, Extent, OrElse, Order, Program, Route, Step, Var, VarExtent};
use std::collections::BTreeMap;

/// Walks all source tuples; binds the rows of the body in order; numbers; caps.
///
/// # Errors
/// Index values out of range, traps, missing inputs.
pub fn relation(
    program: &Program,
    handle: Handle<Route>,
    inputs: &Inputs,
) -> Result<Relation, Error> {
    inputs.check(program)?;
    let (plans, made) = (BTreeMap::new(), BTreeMap::new());
    let scope = Scope { program, inputs, plans: &plans, made: &made };
    let route = &program.routes[handle];

    // Every source tuple as the values of the route's variables; a dropped one is gone.
    let mut rows = Tuples::new(route.vars.len());
    let mut values = vec![0; route.vars.len()];
    walk(&scope, route, None, &mut Vec::new(), &mut |tuple| {
        route.sources.iter().zip(tuple).for_each(|(v, x)| values[v.index()] = *x);
        rows.push(values.iter().copied());
    })?;
    let mut dropped = Vec::new();
    if let Some(first) = route.sources.first() {
        let extent = inputs.extent(program, &route.vars[*first].extent, &[])?;
        dropped.resize(usize::try_from(extent).unwrap_or(0), 0);
        rows.iter().for_each(|r| dropped[r[first.index()] as usize] += 1);
    }

    let mut group = None;
    for step in &route.steps {
        match step {
            Step::Bind { var, value, orelse, .. } => {
                bind(&scope, route, &mut rows, (*var, value, *orelse))?;
            }
            Step::Slot { var, group: of, order, .. } => {
                group = Some(*of);
                number(&mut rows, *var, *of, order);
            }
            Step::Cap { var, limit, orelse, .. } => {
                let limit = inputs.size(program, limit, &[])?;
                let over = rows.iter().find(|r| r[var.index()] >= limit);
                if let (OrElse::Trap, Some(row)) = (orelse, over) {
                    return Err(trap(route, row));
                }
                rows.keep(|r| Ok(r[var.index()] < limit))?;
            }
        }
    }

    let mut live = Vec::new();
    if let Some(group) = group {
        let groups = inputs.extent(program, &route.vars[group].extent, &[])?;
        live.resize(usize::try_from(groups).unwrap_or(0), 0);
        rows.iter().for_each(|r| live[r[group.index()] as usize] += 1);
    }
    if let Some(first) = route.sources.first() {
        rows.iter().for_each(|r| dropped[r[first.index()] as usize] -= 1);
    }
    let order: Vec<_> = route.sources.iter().chain(&route.dests).map(|v| v.index()).collect();
    let mut tuples = Tuples::new(order.len());
    rows.iter().for_each(|r| tuples.push(order.iter().map(|i| r[*i])));
    Ok(Relation { tuples, live, dropped })
}

/// All source tuples in order; the coordinate of `skip`, if given, stays 0.
pub(super) fn walk(
    scope: &Scope,
    route: &Route,
    skip: Option<usize>,
    prefix: &mut Vec<i64>,
    visit: &mut impl FnMut(&[i64]),
) -> Result<(), Error> {
    let Some(var) = route.sources.get(prefix.len()) else {
        visit(prefix);
        return Ok(());
    };
    let extent = match skip {
        Some(axis) if axis == prefix.len() => 1,
        _ => scope.inputs.extent(scope.program, &route.vars[*var].extent, prefix)?,
    };
    for value in 0..extent {
        prefix.push(value);
        walk(scope, route, skip, prefix, visit)?;
        prefix.pop();
    }
    Ok(())
}

type Binding<'e> = (Handle<Var>, &'e Expr, Option<OrElse>);

fn bind(
    scope: &Scope,
    route: &Route,
    rows: &mut Tuples,
    (var, value, orelse): Binding,
) -> Result<(), Error> {
    let info = &route.vars[var];
    rows.keep(|row| match (scope.int(value, row)?, orelse) {
        (Some(v), _) => {
            // Other numbers of the body are any.
            let bound = match &info.extent {
                VarExtent::Ragged(_) => None,
                extent => Some(scope.inputs.extent(scope.program, extent, row)?),
            };
            if let Some(bound) = bound.filter(|n| !(0..*n).contains(&v)) {
                let at = sources(route, row);
                return Err(Error::Index { tensor: info.name.clone(), at, value: v, bound });
            }
            row[var.index()] = v;
            Ok(true)
        }
        (None, Some(OrElse::Drop)) => Ok(false),
        (None, _) => Err(trap(route, row)),
    })
}

fn sources(route: &Route, row: &[i64]) -> Vec<i64> {
    route.sources.iter().map(|v| row[v.index()]).collect()
}

fn trap(route: &Route, row: &[i64]) -> Error {
    Error::Trap { route: route.name.clone(), at: sources(route, row) }
}

/// The slot of a tuple: how many kept tuples of its group have a smaller key tuple.
fn number(rows: &mut Tuples, var: Handle<Var>, group: Handle<Var>, order: &Order) {
    let mut sorted: Vec<usize> = (0..rows.len()).collect();
    if let Order::Keys(keys) = order {
        // Equal keys stay in source order.
        let rows = &*rows;
        let key = |i: usize| {
            let row = &rows[i];
            keys.iter().map(move |k| row[k.index()])
        };
        sorted.sort_by(|a, b| key(*a).cmp(key(*b)));
    }
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for i in sorted {
        let row = rows.get_mut(i);
        let slot = next.entry(row[group.index()]).or_default();
        row[var.index()] = *slot;
        *slot += 1;
    }
}

/// Whether every `assume distinct` of the program holds on these inputs, padding and tensors that no input is
/// of left out.
///
/// # Errors
/// The first pair of equal values.
pub fn check_assumes(program: &Program, inputs: &Inputs) -> Result<(), Error> {
    inputs.check(program)?;
    for assume in program.assumes.iter().chain(program.entries.iter().flat_map(|e| &e.assumes)) {
        if !inputs.tensors.contains_key(&program.tensors[assume.tensor].name) {
            continue;
        }
        let live = Live { program, inputs, tensor: assume.tensor };
        let mut seen = Seen::new();
        let is_along = |axis: &usize| assume.axes.contains(axis);
        // Coordinates begin anew with each step of an axis to the left of all of these.
        let outer = assume.axes.first().copied().unwrap_or(0);
        let mut before: Vec<i64> = Vec::new();
        live.walk(&mut Vec::new(), &mut |at, value| {
            if at[..outer] != before[..] {
                seen.clear();
                before = at[..outer].to_vec();
            }
            let others =
                (0..at.len()).filter(|axis| !is_along(axis)).map(|axis| at[axis]).collect();
            match seen.insert((others, value), at.to_vec()) {
                None => Ok(()),
                Some(other) => {
                    let tensor = program.tensors[assume.tensor].name.clone();
                    Err(Error::NotDistinct { tensor, at: at.to_vec(), other, value })
                }
            }
        })?;
    }
    Ok(())
}

/// Whether every live value of every index tensor among the inputs lies in its range or is none.
///
/// # Errors
/// The first that does not.
pub fn check_indices(program: &Program, inputs: &Inputs) -> Result<(), Error> {
    inputs.check(program)?;
    for (handle, tensor) in program.tensors.iter() {
        let (Some(index), true) = (&tensor.dtype.index, inputs.tensors.contains_key(&tensor.name))
        else {
            continue;
        };
        let bound = inputs.size(program, &index.bound, &[])?;
        let live = Live { program, inputs, tensor: handle };
        live.walk(&mut Vec::new(), &mut |at, value| {
            if (0..bound).contains(&value) {
                return Ok(());
            }
            Err(Error::Index { tensor: tensor.name.clone(), at: at.to_vec(), value, bound })
        })?;
    }
    Ok(())
}

/// The live elements of an integer input.
struct Live<'a> {
    program: &'a Program,
    inputs: &'a Inputs,
    tensor: Handle<crate::sema::hir::Tensor>,
}

/// The element, by its coordinates on the other axes and its value.
type Seen = BTreeMap<(Vec<i64>, i64), Vec<i64>>;

impl Live<'_> {
    /// Visits coordinates and value of each that is not none.
    fn walk(
        &self,
        at: &mut Vec<i64>,
        visit: &mut impl FnMut(&[i64], i64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let info = &self.program.tensors[self.tensor];
        if let Some(axis) = info.axes.get(at.len()) {
            let extent = match &axis.extent {
                Extent::Fixed(size) => self.inputs.size(self.program, size, at)?,
                Extent::Counted { rows, bound } => {
                    self.inputs.counted(self.program, (rows, bound), at)?
                }
                Extent::Ragged { .. } => {
                    return Err(Error::Unsupported("values of a ragged input".into()));
                }
            };
            for value in 0..extent {
                at.push(value);
                self.walk(at, visit)?;
                at.pop();
            }
            return Ok(());
        }
        let array = self.inputs.tensor(&info.name)?;
        let flat = array.at(at).ok_or_else(|| Error::outside(&info.name, at, &array.shape))?;
        let value = array.get_i64(flat);
        if info.dtype.index.as_ref().is_some_and(|i| i.none == Some(value)) {
            return Ok(());
        }
        visit(at, value)
    }
}
