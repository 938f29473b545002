//! `--feed IN=OUT`: an input that is what an earlier entry left, byte for byte.

use super::work::{Work, pairs};
use crate::failure::Failure;
use fusco_dsl::Compiled;
use fusco_dsl::arena::Handle;
use fusco_dsl::sema::hir::{Bindings, Extent, Io, Route, Size, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Inputs and what they are fed from, each as the program says it may be.
pub fn feeds(
    work: &Work,
    compiled: &Compiled,
    params: &Bindings,
) -> Result<BTreeMap<String, String>, Failure> {
    let feeds = pairs(&work.feed, "--feed")?;
    for (to, from) in &feeds {
        let refuse = |why: String| Failure::usage(format!("`--feed {to}={from}`: {why}"));
        let (Some(into), Some(out)) = (compiled.hir.tensor(to), compiled.hir.tensor(from)) else {
            return Err(refuse("no such tensor".to_string()));
        };
        if compiled.hir.tensors[into].io != Io::In {
            return Err(refuse(format!("`{to}` is not an `in`")));
        }
        if !matches!(compiled.hir.tensors[out].io, Io::Out | Io::InOut) {
            return Err(refuse(format!("`{from}` is not an `out`")));
        }
        fits(compiled, params, into, out).map_err(refuse)?;
    }
    Ok(feeds)
}

/// Whether the bytes of one are those of the other.
pub fn fits(
    compiled: &Compiled,
    params: &Bindings,
    into: Handle<Tensor>,
    out: Handle<Tensor>,
) -> Result<(), String> {
    let (a, b) = (&compiled.hir.tensors[into], &compiled.hir.tensors[out]);
    let differ = |what: &str| {
        Err(format!("`{}` and `{}` differ in {what}; a feed changes no byte", a.name, b.name))
    };
    if a.dtype.elem != b.dtype.elem {
        let (of, from) = (a.dtype.elem.name(), b.dtype.elem.name());
        return differ(&format!("their element types, {of} and {from}"));
    }
    let extents =
        a.axes.iter().zip(&b.axes).all(|(a, b)| same(compiled, params, &a.extent, &b.extent));
    if a.axes.len() != b.axes.len() || !extents {
        return differ("their shapes");
    }
    let (ta, tb) = (&compiled.tables()[&into], &compiled.tables()[&out]);
    let placed = ta.digits == tb.digits
        && (ta.elems, ta.first, ta.ranks) == (tb.elems, tb.first, tb.ranks)
        && ta.spread == tb.spread
        && ta.maps == tb.maps
        && ta.counted == tb.counted
        && a.attrs.swizzle == b.attrs.swizzle;
    if placed { Ok(()) } else { differ("their placements") }
}

fn same(compiled: &Compiled, params: &Bindings, a: &Extent, b: &Extent) -> bool {
    let size = |a: &Size, b: &Size| {
        let known = |s: &Size| compiled.hir.eval(s, params);
        a == b || known(a).is_some() && known(a) == known(b)
    };
    match (a, b) {
        (Extent::Fixed(a), Extent::Fixed(b)) => size(a, b),
        (Extent::Ragged { route: a, .. }, Extent::Ragged { route: b, .. }) => a == b,
        (Extent::Counted { rows: a, bound: x }, Extent::Counted { rows: b, bound: y }) => {
            a == b && size(x, y)
        }
        _ => false,
    }
}

/// Whether every feed and every plan is made by an earlier entry.
pub fn in_order(
    work: &Work,
    compiled: &Compiled,
    feeds: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let (mut written, mut planned) = (BTreeSet::new(), BTreeSet::<Handle<Route>>::new());
    for name in &work.entries {
        let Some(entry) = compiled.hir.entry(name) else { continue };
        let info = compiled.schedule.entries.iter().find(|e| e.name == *name);
        for tensor in info.into_iter().flat_map(|e| &e.tensors) {
            let to = &compiled.schedule.tensors[*tensor].name;
            if let Some(from) = feeds.get(to).filter(|from| !written.contains(*from)) {
                return Err(Failure::usage(format!(
                    "`--feed {to}={from}`: no entry before `{name}` makes `{from}`"
                )));
            }
        }
        planned.extend(entry.plans.iter().copied());
        if let Some(route) = entry.takes.iter().find(|r| !planned.contains(r)) {
            let makers = compiled.hir.entries.iter().filter(|e| e.plans.contains(route));
            let makers: Vec<&str> = makers.map(|e| e.name.as_str()).collect();
            let route = &compiled.hir.routes[*route].name;
            let before = makers
                .first()
                .map_or(String::new(), |m| format!("; put `{m}` before it: --entry {m},{name}"));
            return Err(Failure::usage(format!(
                "entry `{name}` takes the plan of route `{route}`, which no entry before it makes{before}"
            )));
        }
        written.extend(entry.stmts.iter().map(|s| &compiled.hir.tensors[s.target].name));
    }
    Ok(())
}
