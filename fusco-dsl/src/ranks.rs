//! Between logical global arrays and the buffers of ranks: how a host fills what an entry reads and judges
//! what it wrote.

use crate::oracle::{self, Array, Bits, Inputs, Outputs, Placed};
use crate::sema::hir::{Elem, Program};
use std::collections::BTreeMap;

/// Each rank's bytes of the logical array of a tensor among `inputs`, in the order of the placement.
/// `live`: rows of each group, by route, if its axis is ragged.
///
/// # Errors
/// Counts, owners or sizes that do not fit the placement.
pub fn scatter(
    program: &Program,
    name: &str,
    inputs: &Inputs,
    live: &BTreeMap<String, Vec<u32>>,
) -> Result<Vec<Vec<u8>>, oracle::Error> {
    let ranks = oracle::scatter(program, inputs, live, name)?;
    Ok(ranks.into_iter().map(|p| p.array.into_bytes()).collect())
}

/// The logical array of a tensor from its ranks' buffers, with the counts of its ragged segments.
/// `live`: rows of each group, by route, as the run's plans say.
///
/// # Errors
/// Counts, owners or buffers that do not fit the placement.
pub fn gather(
    program: &Program,
    name: &str,
    ranks: &[impl AsRef<[u8]>],
    inputs: &Inputs,
    live: &BTreeMap<String, Vec<u32>>,
) -> Result<oracle::Gathered, oracle::Error> {
    oracle::gather(program, inputs, live, name, ranks)
}

/// Compares each rank's buffers with the oracle's, bit for bit, wherever the program defines an element.
/// `found`: bytes of each rank, by tensor; tensors that were not kept are passed over. Leaves the elements compared.
///
/// # Errors
/// The first difference: `y@rank[element]`, both values.
pub fn compare<B: AsRef<[u8]>>(
    expected: &Outputs,
    found: &BTreeMap<String, Vec<B>>,
) -> Result<u64, String> {
    let mut compared = 0;
    for (name, placed) in &expected.physical {
        let Some(got) = found.get(name) else { continue };
        let mut beside =
            Beside { width: placed.elem().bytes() as usize, got, equal: 0, first: None };
        beside.all(placed).map_err(|error| format!("{name}: {error}"))?;
        if let Some(Difference { rank, at, wanted }) = beside.first.take() {
            let wanted = value(placed.elem(), &wanted);
            let got = beside.element(rank, at).map(|b| value(placed.elem(), b));
            let got = got.unwrap_or_else(|| "missing".to_string());
            return Err(format!("{name}@{rank}[{at}] is {got}, the oracle says {wanted}"));
        }
        compared += beside.equal;
    }
    Ok(compared)
}

/// One tensor of a run beside the oracle's.
struct Beside<'a, B> {
    width: usize,
    got: &'a [B],
    equal: u64,
    first: Option<Difference>,
}

/// An element that differs, the first by rank and place that was seen.
struct Difference {
    rank: usize,
    at: usize,
    wanted: Vec<u8>,
}

impl<B: AsRef<[u8]>> Beside<'_, B> {
    fn all(&mut self, placed: &Placed) -> Result<(), oracle::Error> {
        let Some(fill) = placed.fill() else {
            return placed.runs(&mut |rank, at, wanted| self.run(rank, at, wanted));
        };
        let lengths = placed.lengths().iter();
        let mut seen: Vec<Bits> = lengths.map(|len| Bits::new(*len, false)).collect();
        placed.runs(&mut |rank, at, wanted| {
            seen[rank].set(at, wanted.len() / self.width);
            self.run(rank, at, wanted);
        })?;
        let mut padding = Vec::new();
        for (rank, seen) in seen.iter().enumerate() {
            for (at, n) in seen.gaps() {
                (padding.len() / self.width..n).for_each(|_| padding.extend_from_slice(&fill));
                self.run(rank, at, &padding[..n * self.width]);
            }
        }
        Ok(())
    }

    /// What must lie from element `at` of a rank on.
    fn run(&mut self, rank: usize, at: usize, wanted: &[u8]) {
        let from = at * self.width;
        let got = self.got.get(rank).and_then(|b| b.as_ref().get(from..from + wanted.len()));
        if got == Some(wanted) {
            self.equal += (wanted.len() / self.width) as u64;
            return;
        }
        for (i, wanted) in wanted.chunks_exact(self.width).enumerate() {
            let before = self.first.as_ref().is_none_or(|d| (rank, at + i) < (d.rank, d.at));
            if self.element(rank, at + i) != Some(wanted) {
                if before {
                    self.first = Some(Difference { rank, at: at + i, wanted: wanted.to_vec() });
                }
                return;
            }
        }
    }

    fn element(&self, rank: usize, at: usize) -> Option<&[u8]> {
        self.got.get(rank)?.as_ref().get(at * self.width..(at + 1) * self.width)
    }
}

/// An element as a number and, where two may read the same, as its bits: `-7`, `1.5 (0x3fc0)`.
fn value(elem: Elem, bytes: &[u8]) -> String {
    let mut array = Array::zeros(elem, vec![1]);
    array.bytes_mut().copy_from_slice(bytes);
    match elem {
        Elem::U64 => array.get_bits(0).to_string(),
        Elem::I8
        | Elem::I16
        | Elem::I32
        | Elem::I64
        | Elem::U8
        | Elem::U16
        | Elem::U32
        | Elem::Bool => array.get_i64(0).to_string(),
        Elem::F64 => {
            let bits = array.get_bits(0);
            format!("{} (0x{bits:016x})", f64::from_bits(bits))
        }
        Elem::F32 | Elem::F16 | Elem::Bf16 | Elem::E4m3 | Elem::E5m2 => {
            let digits = 2 * bytes.len();
            format!("{} (0x{:0digits$x})", array.get_f32(0), array.get_bits(0))
        }
    }
}
