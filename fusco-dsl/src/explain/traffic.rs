//! Bytes between ranks: counted exactly, one variable at a time.
//!
//! A coordinate adds its own part to the rank on either side, so the pairs of (rank from, rank to) of a
//! whole movement are sums of the pairs of its variables.

use crate::Compiled;
use crate::layout::{Home, SpreadKind, Table};
use crate::plan::{Coordinate, Live, Move, MoveValue, MoveVar, Place, Side, gcd};
use std::collections::BTreeMap;

/// `bytes[from][to]`, elements that stay on a rank included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub bytes: Vec<Vec<i64>>,
}

/// Most ranks of a table of pairs of ranks.
const RANKS: usize = 1024;
/// Most blocks of a variable that are looked at one by one.
const BLOCKS: i64 = 1 << 22;

/// Most ranks whose pairs are listed one by one.
const WIDE: usize = 16;

/// Pairs of what is added to the two ranks, and how many coordinates do.
type Pairs = BTreeMap<(i64, i64), i64>;

/// The bytes that a movement carries; `None` if tables read at launch decide, or if there are too many
/// ranks or blocks to list.
pub fn traffic(compiled: &Compiled, movement: &Move) -> Option<Traffic> {
    let MoveValue::Read(source) = &movement.value else { return None };
    let tables = &compiled.plan.tables;
    let (from, to) = (&tables[&source.tensor], &tables[&movement.target.tensor]);
    let at_launch = |v: &MoveVar| v.tuple.is_some() || !matches!(v.live, Live::Known);
    if movement.vars.iter().any(at_launch) {
        return None;
    }
    let ranks = usize::try_from(compiled.schedule.ranks).ok().filter(|n| *n <= RANKS)?;
    let mut all = Pairs::from([((0, 0), 1)]);
    for var in 0..movement.vars.len() {
        let pairs = pairs_of(movement, var, (from, source), (to, &movement.target))?;
        all = product(&all, &pairs);
    }
    let elem = |place: &Place| compiled.hir.tensors[place.tensor].dtype.elem.bytes();
    let ends = Ends {
        from,
        to,
        carrier: movement.carrier,
        widths: (elem(source), elem(&movement.target)),
    };
    let mut bytes = vec![vec![0; ranks]; ranks];
    for ((a, b), count) in all {
        for (f, t, n) in ends.bytes(a, b, count) {
            let cell =
                bytes.get_mut(usize::try_from(f).ok()?)?.get_mut(usize::try_from(t).ok()?)?;
            *cell += n;
        }
    }
    Some(Traffic { bytes })
}

fn product(a: &Pairs, b: &Pairs) -> Pairs {
    let mut out = Pairs::new();
    for ((f, t), n) in a {
        for ((g, u), m) in b {
            *out.entry((f + g, t + u)).or_default() += n * m;
        }
    }
    out
}

/// The pairs of one variable. It must be alone in its indices, or those must not reach the mesh.
fn pairs_of(
    movement: &Move,
    var: usize,
    source: (&Table, &Place),
    target: (&Table, &Place),
) -> Option<Pairs> {
    let mut out = Pairs::new();
    let extent = movement.vars[var].extent;
    let block = gcd(block(source, var), block(target, var));
    let step = if block == 0 { extent } else { block };
    if extent / step > BLOCKS {
        return None;
    }
    let mut at = 0;
    while at < extent {
        let pair = (rank_part(source, var, at)?, rank_part(target, var, at)?);
        *out.entry(pair).or_default() += step.min(extent - at);
        at += step;
    }
    Some(out)
}

/// Aligned values of a variable among which the rank does not change; 0 if it never does.
fn block((table, place): (&Table, &Place), var: usize) -> i64 {
    let mentions = |axis: usize| match &place.coords[axis] {
        Coordinate::Linear { terms, .. } => terms.iter().any(|(v, _)| *v == var),
        Coordinate::Computed { .. } => false,
    };
    table.digits.iter().filter(|d| mentions(d.axis)).fold(0, |block, d| match d.home {
        Home::Mesh { .. } => gcd(block, d.weight),
        Home::Owner => 1,
        _ => block,
    })
}

fn rank_part((table, place): (&Table, &Place), var: usize, at: i64) -> Option<i64> {
    let mut rank = 0;
    for (axis, coordinate) in place.coords.iter().enumerate() {
        let on_mesh = table
            .digits
            .iter()
            .any(|d| d.axis == axis && matches!(d.home, Home::Mesh { .. } | Home::Owner));
        if !on_mesh {
            continue;
        }
        let Coordinate::Linear { terms, constant: 0 } = coordinate else { return None };
        match terms[..] {
            [(v, 1)] if v == var => rank += table.rank_part(axis, at)?,
            [(_, 1)] => {}
            _ => return None,
        }
    }
    Some(rank)
}

/// Who holds what on both sides, and who carries it.
struct Ends<'a> {
    from: &'a Table,
    to: &'a Table,
    carrier: Side,
    /// Bytes of an element on either side. Who carries an element converts it.
    widths: (i64, i64),
}

impl Ends<'_> {
    /// (rank from, rank to, bytes) of `count` elements at these ranks within the two meshes. A copy is
    /// fetched from the nearest holder. Ranks that could all push, or all add up, have equal shares; a sum
    /// goes from the rank that adds to the other copies.
    fn bytes(&self, a: i64, b: i64, count: i64) -> Vec<(i64, i64, i64)> {
        let (holders, takers) = (self.from.replicas(a), self.to.replicas(b));
        let mut out = Vec::new();
        if self.from.spread.iter().any(|s| s.kind == SpreadKind::Sum) {
            for (at, adder) in takers.iter().enumerate() {
                let mine = share(count, at, takers.len());
                let parts = self.nearest(&holders, *adder);
                out.extend(parts.into_iter().map(|p| (p, *adder, mine * self.widths.0)));
                let others = takers.iter().filter(|t| *t != adder);
                out.extend(others.map(|t| (*adder, *t, mine * self.widths.1)));
            }
            return out;
        }
        for taker in &takers {
            match self.carrier {
                Side::Target => {
                    let near = self.nearest(&holders, *taker);
                    out.extend(near.into_iter().map(|h| (h, *taker, count * self.widths.0)));
                }
                Side::Source => {
                    out.extend(holders.iter().enumerate().map(|(at, h)| {
                        (*h, *taker, share(count, at, holders.len()) * self.widths.1)
                    }))
                }
            }
        }
        out
    }

    /// The holders, parts of a sum or one, at the rank's own coordinates on the axes of copies.
    fn nearest(&self, holders: &[i64], rank: i64) -> Vec<i64> {
        let (from, to) = (self.from, self.to);
        let inside = from.first <= to.first && to.first + to.ranks <= from.first + from.ranks;
        let same_mesh = (from.first, from.ranks) == (to.first, to.ranks);
        let is_near = |h: &i64| {
            self.from.spread.iter().filter(|s| s.kind == SpreadKind::Copy).all(|s| {
                let own = if same_mesh || inside && s.size == from.ranks {
                    (rank - self.from.first) / s.weight
                } else {
                    rank
                };
                (h - self.from.first) / s.weight % s.size == own % s.size
            })
        };
        holders.iter().copied().filter(is_near).collect()
    }
}

/// Elements of the `at`-th of equal parts; the first ones take what is left over.
fn share(count: i64, at: usize, parts: usize) -> i64 {
    let (at, parts) = (at as i64, parts as i64);
    count / parts + i64::from(at < count % parts)
}

impl Traffic {
    /// Bytes that leave their rank.
    pub fn crossing(&self) -> i64 {
        let row = |(i, row): (usize, &Vec<i64>)| row.iter().sum::<i64>() - row[i];
        self.bytes.iter().enumerate().map(row).sum()
    }

    pub fn total(&self) -> i64 {
        self.bytes.iter().flatten().sum()
    }

    /// The totals, then the pairs of ranks, shortly where all ranks do the same.
    pub(super) fn lines(&self) -> Vec<String> {
        let size = super::picture::size;
        let ranks = self.bytes.len();
        let total = size(self.total());
        if ranks == 1 {
            return vec![format!("{total}, all on one rank")];
        }
        let mut out =
            vec![format!("{total} in all, {} of it between ranks", size(self.crossing()))];
        if let Some((own, other)) = self.uniform() {
            let others = ranks - 1;
            out.push(match other {
                0 => format!("each rank keeps its {}", size(own)),
                _ if others == 1 => {
                    format!("each rank keeps {} and sends {} to the other", size(own), size(other))
                }
                _ => format!(
                    "each rank keeps {} and sends {} to each of the {others} others",
                    size(own),
                    size(other)
                ),
            });
        } else if ranks > WIDE {
            out.extend((0..ranks).filter_map(|r| self.ends_of(r)));
        } else {
            let row =
                |cells: Vec<String>| cells.iter().map(|c| format!("{c:>11}")).collect::<String>();
            out.push(format!("from \\ to{}", row((0..ranks).map(|r| r.to_string()).collect())));
            out.extend(self.bytes.iter().enumerate().map(|(from, bytes)| {
                format!("{from:>9}{}", row(bytes.iter().map(|b| shown(*b)).collect()))
            }));
        }
        out
    }

    /// Bytes that stay and bytes to each other rank, if no two ranks differ.
    fn uniform(&self) -> Option<(i64, i64)> {
        let (own, other) = (self.bytes[0][0], self.bytes[0][1]);
        let cells =
            self.bytes.iter().enumerate().flat_map(|(f, row)| {
                row.iter().enumerate().map(move |(t, bytes)| (f == t, *bytes))
            });
        let mut cells = cells;
        cells.all(|(stays, b)| b == if stays { own } else { other }).then_some((own, other))
    }

    /// What a rank sends and receives.
    fn ends_of(&self, rank: usize) -> Option<String> {
        let sends = self.bytes[rank].iter().sum::<i64>() - self.bytes[rank][rank];
        let receives = self.bytes.iter().map(|row| row[rank]).sum::<i64>() - self.bytes[rank][rank];
        let size = super::picture::size;
        (sends + receives > 0)
            .then(|| format!("rank {rank} sends {}, receives {}", size(sends), size(receives)))
    }
}

fn shown(bytes: i64) -> String {
    if bytes == 0 { ".".to_string() } else { super::picture::size(bytes) }
}
