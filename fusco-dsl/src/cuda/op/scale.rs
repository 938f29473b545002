//! A scaled push: the row is read once, and each tuple gets it times its own scalars, in f32, rounded once.

use super::trip::{emit_places, emit_tuple};
use super::unroll;
use crate::cuda::index::pointer;
use crate::cuda::out::Out;
use crate::kernel::shape::{Loaded, Trip};
use crate::schedule::ir::{Access, Factor, Row};
use crate::sema::hir::Elem;

/// Vectors a lane keeps in registers while it goes through the tuples.
const UNROLL: i64 = 2;

/// The product of one put.
struct Product<'a> {
    trip: &'a Trip<'a>,
    from: &'a Access,
    to: &'a Access,
    factors: &'a [Factor],
    elem: Elem,
}

/// Emits the rows of one `Put { Value::Scaled }` of a position.
pub(super) fn emit(out: &mut Out, trip: &Trip, to: &Access, factors: &[Factor], elem: Elem) {
    let Some(row) = row_of(factors) else { return };
    match trip.loaded(row) {
        Some(Loaded::Shared(from)) => Product { trip, from, to, factors, elem }.shared_row(out),
        Some(Loaded::Own(from)) => Product { trip, from, to, factors, elem }.own_rows(out),
        None => {}
    }
}

fn row_of(factors: &[Factor]) -> Option<Row> {
    factors.iter().find_map(|f| if let Factor::Row(row) = f { Some(*row) } else { None })
}

impl Product<'_> {
    fn elem_of(&self, access: &Access) -> Elem {
        self.trip.schedule.tensors[access.tensor].elem
    }

    /// Elements of a vector, on both sides.
    fn width(&self) -> i64 {
        self.to.vector / self.elem_of(self.to).bytes()
    }

    fn vecs(&self) -> i64 {
        self.to.run / self.width()
    }

    /// (variable, value) of each scalar factor of a tuple.
    fn scalars(&self) -> Vec<(String, String)> {
        let scalar = |(i, factor): (usize, &Factor)| match factor {
            Factor::Scalar(access) => {
                let value = format!("to_f32(*({}))", pointer(self.trip.schedule, access));
                Some((format!("factor{i}"), value))
            }
            _ => None,
        };
        self.factors.iter().enumerate().filter_map(scalar).collect()
    }

    /// The product of element `j` of vector `row`, left to right.
    fn term(&self) -> String {
        let factor = |(i, factor): (usize, &Factor)| match factor {
            Factor::Row(_) => "to_f32(x0[j])".to_string(),
            Factor::Scalar(_) => format!("a{i}"),
            Factor::Lit(v) => format!("__uint_as_float({:#x}u)", v.to_bits()),
        };
        let factors = self.factors.iter().enumerate().map(factor);
        factors.reduce(|a, b| format!("__fmul_rn({a}, {b})")).unwrap_or_default()
    }

    /// One row of the position to all its tuples; lane k holds the place and the scalars of tuple k.
    fn shared_row(&self, out: &mut Out) {
        out.block("", |out| {
            out.line(&format!(
                "const auto* from = reinterpret_cast<const Vec<{}>*>({});",
                self.from.vector,
                pointer(self.trip.schedule, self.from)
            ));
            for round in 0..self.trip.rounds() {
                out.block("", |out| {
                    emit_places(out, self.trip, self.to, round, &self.scalars());
                    self.tuples(out, self.trip.tuples(round));
                });
            }
        });
    }

    fn tuples(&self, out: &mut Out, fan: i64) {
        let vecs = self.vecs();
        let (deep, exact) = unroll(vecs, UNROLL);
        let guard = if exact { String::new() } else { format!("if (v + 32 * u < {vecs}) ") };
        out.block(&format!("for (i32 first = 0; first < {vecs}; first += {})", 32 * deep), |out| {
            out.line("const i32 v = first + lane;");
            out.line(&format!("Vec<{}> row[{deep}];", self.from.vector));
            out.line("#pragma unroll");
            out.line(&format!(
                "for (i32 u = 0; u < {deep}; ++u) {guard}row[u] = load(from + v + 32 * u);"
            ));
            out.line("#pragma unroll 1");
            out.block(&format!("for (i32 tuple = 0; tuple < {fan}; ++tuple)"), |out| {
                out.line(&format!("Vec<{}>* to = shuffle(place, tuple);", self.to.vector));
                for (variable, _) in self.scalars() {
                    let value = variable.replace("factor", "a");
                    out.line(&format!(
                        "const float {value} = __shfl_sync(ALL, {variable}, tuple);"
                    ));
                }
                out.line("if (!to) continue;");
                out.line("#pragma unroll");
                out.block(&format!("for (i32 u = 0; u < {deep}; ++u)"), |out| {
                    self.round(out, "row[u]");
                    out.line(&format!("{guard}store(to + v + 32 * u, scaled);"));
                });
            });
        });
    }

    /// Each tuple has a row of its own.
    fn own_rows(&self, out: &mut Out) {
        emit_tuple(out, self.trip, self.from, self.to, |out| {
            for (variable, value) in self.scalars() {
                out.line(&format!("const float {} = {value};", variable.replace("factor", "a")));
            }
            out.block(&format!("for (i32 v = lane; v < {}; v += 32)", self.vecs()), |out| {
                out.line(&format!("const Vec<{}> row = load(from + v);", self.from.vector));
                self.round(out, "row");
                out.line("store(to + v, scaled);");
            });
        });
    }

    /// `scaled`: the products of one vector, each rounded once.
    fn round(&self, out: &mut Out, row: &str) {
        let (from, to) = (self.elem_of(self.from).name(), self.elem.name());
        out.line(&format!("const auto* x0 = reinterpret_cast<const {from}*>(&{row});"));
        out.line(&format!("Vec<{}> scaled;", self.to.vector));
        out.line("#pragma unroll");
        out.line(&format!(
            "for (i32 j = 0; j < {}; ++j) reinterpret_cast<{to}*>(&scaled)[j] = from_f32<{to}>({});",
            self.width(),
            self.term()
        ));
    }
}
