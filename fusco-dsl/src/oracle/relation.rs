//! A route as the list of its kept tuples.

use super::{Error, Inputs};
use crate::arena::Handle;
use crate::sema::hir::{self, Expr, ExprKind, OrElse, Order, Program, Scalar, Step};
use std::collections::BTreeMap;

/// The kept tuples of a route in source order, and what follows from them.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Source coordinates, then destination coordinates.
    pub tuples: Vec<Vec<i64>>,
    /// All source tuples of the live domain.
    pub domain: Vec<Vec<i64>>,
    /// Rows of each group, after the cap.
    pub live: Vec<i64>,
}

impl Relation {
    /// Source tuples whose first coordinate is `source` and that have no pair.
    pub fn dropped(&self, source: i64) -> i64 {
        let of = |list: &[Vec<i64>]| list.iter().filter(|t| t[0] == source).count() as i64;
        of(&self.domain) - of(&self.tuples)
    }
}

/// Walks all source tuples; binds the rows of the body in order; numbers; caps.
///
/// # Errors
/// Index values out of range, traps, missing inputs.
pub fn relation(program: &Program, handle: Handle<hir::Route>, inputs: &Inputs) -> Result<Relation, Error> {
    let route = &program.routes[handle];
    let mut domain = Vec::new();
    walk(program, route, inputs, &mut Vec::new(), &mut domain)?;

    // Every source tuple as the values of the route's variables; a dropped one is gone.
    let mut rows: Vec<Vec<i64>> = Vec::new();
    for tuple in &domain {
        let mut values = vec![0; route.vars.len()];
        route.sources.iter().zip(tuple).for_each(|(v, x)| values[v.index()] = *x);
        rows.push(values);
    }
    let mut groups = 0;
    for step in &route.steps {
        match step {
            Step::Bind { var, value, orelse, .. } => {
                rows = bind(program, route, inputs, rows, (*var, value, *orelse))?;
            }
            Step::Slot { var, group, order, .. } => {
                groups = group_extent(program, route, *group, inputs)?;
                number(&mut rows, *var, *group, order);
            }
            Step::Cap { var, limit, orelse, .. } => {
                let limit = inputs.size(program, limit, &[])?;
                if let (OrElse::Trap, Some(row)) = (orelse, rows.iter().find(|r| r[var.index()] >= limit)) {
                    return Err(trap(route, row));
                }
                rows.retain(|r| r[var.index()] < limit);
            }
        }
    }
    let mut live = vec![0; groups as usize];
    let group = route.dests[0].index();
    rows.iter().for_each(|r| live[r[group] as usize] += 1);
    let order: Vec<_> = route.sources.iter().chain(&route.dests).map(|v| v.index()).collect();
    let tuples = rows.iter().map(|r| order.iter().map(|i| r[*i]).collect()).collect();
    Ok(Relation { tuples, domain, live })
}

fn walk(program: &Program, route: &hir::Route, inputs: &Inputs, prefix: &mut Vec<i64>, out: &mut Vec<Vec<i64>>) -> Result<(), Error> {
    let Some(var) = route.sources.get(prefix.len()) else {
        out.push(prefix.clone());
        return Ok(());
    };
    for value in 0..inputs.extent(program, &route.vars[*var].extent, prefix)? {
        prefix.push(value);
        walk(program, route, inputs, prefix, out)?;
        prefix.pop();
    }
    Ok(())
}

type Binding<'e> = (Handle<hir::Var>, &'e Expr, Option<OrElse>);

fn bind(program: &Program, route: &hir::Route, inputs: &Inputs, rows: Vec<Vec<i64>>, (var, value, orelse): Binding) -> Result<Vec<Vec<i64>>, Error> {
    let mut kept = Vec::new();
    for mut row in rows {
        match int(program, inputs, value, &row)? {
            Some(v) => {
                row[var.index()] = v;
                kept.push(row);
            }
            None if orelse == Some(OrElse::Trap) => return Err(trap(route, &row)),
            None => {}
        }
    }
    Ok(kept)
}

fn trap(route: &hir::Route, row: &[i64]) -> Error {
    Error::Trap { route: route.name.clone(), at: route.sources.iter().map(|v| row[v.index()]).collect() }
}

/// An integer expression; `None` if an index tensor says none.
pub(super) fn int(program: &Program, inputs: &Inputs, expr: &Expr, values: &[i64]) -> Result<Option<i64>, Error> {
    Ok(match &expr.kind {
        ExprKind::Scalar(Scalar::Int(v)) => Some(*v),
        ExprKind::Size(size) => Some(inputs.size(program, size, values)?),
        ExprKind::Var(var) => Some(values[var.index()]),
        ExprKind::Binary { op, lhs, rhs } => {
            match (int(program, inputs, lhs, values)?, int(program, inputs, rhs, values)?) {
                (Some(a), Some(b)) => Some(op.apply(a, b).ok_or_else(|| Error::Unsupported("integer overflow".into()))?),
                _ => None,
            }
        }
        ExprKind::Read { tensor, index } => {
            let mut at = Vec::new();
            for i in index {
                match int(program, inputs, i, values)? {
                    Some(v) => at.push(v),
                    None => return Ok(None),
                }
            }
            read_int(program, inputs, *tensor, at)?
        }
        _ => return Err(Error::Unsupported("this integer expression".into())),
    })
}

fn read_int(program: &Program, inputs: &Inputs, tensor: Handle<hir::Tensor>, at: Vec<i64>) -> Result<Option<i64>, Error> {
    let info = &program.tensors[tensor];
    let array = inputs.tensor(&info.name)?;
    let flat = array.at(&at).ok_or_else(|| Error::Shape(format!("{}{at:?} is outside the array {:?}", info.name, array.shape)))?;
    let value = array.int(flat);
    let Some(index) = &info.dtype.index else { return Ok(Some(value)) };
    if index.none == Some(value) {
        return Ok(None);
    }
    let bound = inputs.size(program, &index.bound, &[])?;
    if (0..bound).contains(&value) {
        return Ok(Some(value));
    }
    Err(Error::Index { tensor: info.name.clone(), at, value, bound })
}

fn group_extent(program: &Program, route: &hir::Route, group: Handle<hir::Var>, inputs: &Inputs) -> Result<i64, Error> {
    inputs.extent(program, &route.vars[group].extent, &[])
}

/// The slot of a tuple: how many kept tuples of its group have a smaller key tuple.
fn number(rows: &mut [Vec<i64>], var: Handle<hir::Var>, group: Handle<hir::Var>, order: &Order) {
    let key = |row: &Vec<i64>| -> Vec<i64> {
        match order {
            Order::Keys(keys) => keys.iter().map(|k| row[k.index()]).collect(),
            Order::Any => Vec::new(),
        }
    };
    let mut sorted: Vec<usize> = (0..rows.len()).collect();
    sorted.sort_by_key(|i| key(&rows[*i]));
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for i in sorted {
        let slot = next.entry(rows[i][group.index()]).or_default();
        rows[i][var.index()] = *slot;
        *slot += 1;
    }
}

/// Whether every `assume distinct` of the program holds on these inputs.
///
/// # Errors
/// The first pair of equal values.
pub fn check_assumes(program: &Program, inputs: &Inputs) -> Result<(), Error> {
    for assume in program.assumes.iter().chain(program.entries.iter().flat_map(|e| &e.assumes)) {
        let info = &program.tensors[assume.tensor];
        let array = inputs.tensor(&info.name)?;
        let (extent, stride) = (array.shape[assume.axis], array.stride(assume.axis));
        let none = info.dtype.index.as_ref().and_then(|i| i.none);
        for flat in 0..array.len() {
            let along = flat / stride % extent;
            let value = array.int(flat);
            let clash = (along + 1..extent).find(|other| array.int(flat + (other - along) * stride) == value);
            if let (Some(other), true) = (clash, none != Some(value)) {
                let at = (0..array.shape.len()).map(|a| (flat / array.stride(a) % array.shape[a]) as i64).collect();
                return Err(Error::NotDistinct { tensor: info.name.clone(), at, other: other as i64, value });
            }
        }
    }
    Ok(())
}
