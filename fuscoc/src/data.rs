//! Tensors in files: safetensors to logical arrays and back, random ones, and their way onto ranks.

use crate::failure::Failure;
use fusco_dsl::Compiled;
use fusco_dsl::arena::Handle;
use fusco_dsl::diag::hint;
use fusco_dsl::layout::{Deal, DealForm};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{self, Elem, Extent, Program, Size, SpreadKind};
use fusco_runtime::mem::room;
use safetensors::tensor::{Dtype, Metadata, TensorView};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};

/// The array of a tensor from `FILE[:KEY]`; without a key the tensor's own name is used. Integers of a type
/// whose every value the declared type holds are widened; everything else must match.
pub fn read(spec: &str, tensor: &hir::Tensor) -> Result<Array, Failure> {
    let name = tensor.name.as_str();
    let (path, key) = match spec.rsplit_once(':') {
        Some((path, key)) if !key.contains('/') => (path, key),
        _ => (spec, name),
    };
    let unread = |e: std::io::Error| Failure::input(format!("cannot read {path}: {e}"));
    let mut file = File::open(path).map_err(unread)?;
    let found = file.metadata().map_err(unread)?;
    if found.is_file() {
        let found = one(&mut file, found.len(), path, key)?;
        return convert(tensor, found, (path, key));
    }
    // A pipe is read to its end: nobody can go back in it.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unread)?;
    let len = bytes.len() as u64;
    convert(tensor, one(&mut Cursor::new(bytes), len, path, key)?, (path, key))
}

/// Longest header that is read.
const MOST_HEADER: u64 = 100_000_000;

/// One tensor of a safetensors file of `len` bytes; of the others, only what the header says is read.
fn one(
    file: &mut (impl Read + Seek),
    len: u64,
    path: &str,
    key: &str,
) -> Result<(Dtype, Vec<usize>, Vec<u8>), Failure> {
    let unread = |e: std::io::Error| Failure::input(format!("cannot read {path}: {e}"));
    let wrong = |why: &str| Failure::input(format!("{path} is not a safetensors file: {why}"));
    let mut prefix = [0; 8];
    if len < prefix.len() as u64 {
        return Err(wrong("it is shorter than a header"));
    }
    file.read_exact(&mut prefix).map_err(unread)?;
    let header = u64::from_le_bytes(prefix);
    let Some(data) = header.checked_add(8).filter(|d| *d <= len && header <= MOST_HEADER) else {
        return Err(wrong(&format!("its header claims {header} bytes")));
    };
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(unread)?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|e| wrong(&format!("its header: {e}")))?;
    let names = metadata.offset_keys();
    let mut end = 0;
    for info in names.iter().filter_map(|n| metadata.info(n)) {
        if info.data_offsets.0 != end || info.data_offsets.1 < end {
            return Err(wrong("its tensors do not follow each other"));
        }
        end = info.data_offsets.1;
    }
    if (end as u64).checked_add(data) != Some(len) {
        return Err(wrong("its length is not what its header says"));
    }
    let info = metadata.info(key).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        Failure::input(format!("{path} has no tensor `{key}`{}", hint(key, &known)))
    })?;
    let (first, last) = info.data_offsets;
    room(&format!("`{key}` of {path}"), (last - first) as u128)?;
    let mut bytes = vec![0; last - first];
    file.seek(SeekFrom::Start(data + first as u64)).map_err(unread)?;
    file.read_exact(&mut bytes).map_err(unread)?;
    Ok((info.dtype, info.shape.clone(), bytes))
}

/// The array of the declared type: as it is, or of integers that all fit, widened.
fn convert(
    tensor: &hir::Tensor,
    (dtype, shape, bytes): (Dtype, Vec<usize>, Vec<u8>),
    (path, key): (&str, &str),
) -> Result<Array, Failure> {
    let (name, wanted) = (tensor.name.as_str(), tensor.dtype.elem);
    if elem_of(dtype) == Some(wanted) {
        return Ok(Array::new(wanted, shape, bytes)?);
    }
    let (bits, wanted_bits) = (integer(dtype), declared(wanted).and_then(integer));
    match bits.zip(wanted_bits).filter(|(from, to)| from.fits(*to)) {
        Some((from, _)) => {
            let mut wide = Array::filled(wanted, shape, 0)?;
            let width = from.bytes();
            for (i, chunk) in bytes.chunks_exact(width).enumerate() {
                wide.set_bits(i, from.value(chunk) as u64);
            }
            Ok(wide)
        }
        None => Err(Failure::input(format!(
            "`{name}` is {}, `{key}` in {path} is {dtype:?}: {}",
            wanted.name(),
            match (bits, wanted_bits) {
                (Some(_), Some(_)) => "not every value of it fits; convert the file",
                _ => "only integers are widened; convert the file",
            }
        ))),
    }
}

/// A type of integers in a file.
#[derive(Clone, Copy)]
struct Integer {
    bits: u32,
    signed: bool,
}

impl Integer {
    /// Whether the other type holds every value of this one.
    fn fits(self, into: Integer) -> bool {
        match (self.signed, into.signed) {
            (true, false) => false,
            (false, true) => self.bits < into.bits,
            _ => self.bits <= into.bits,
        }
    }

    fn bytes(self) -> usize {
        self.bits.div_ceil(8) as usize
    }

    fn value(self, bytes: &[u8]) -> i64 {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let unused = 64 - 8 * bytes.len() as u32;
        match self.signed {
            true => i64::from_le_bytes(word) << unused >> unused,
            false => i64::from_le_bytes(word),
        }
    }
}

fn integer(dtype: Dtype) -> Option<Integer> {
    let (bits, signed) = match dtype {
        Dtype::BOOL => (1, false),
        Dtype::U8 => (8, false),
        Dtype::U16 => (16, false),
        Dtype::U32 => (32, false),
        Dtype::I8 => (8, true),
        Dtype::I16 => (16, true),
        Dtype::I32 => (32, true),
        Dtype::I64 => (64, true),
        _ => return None,
    };
    Some(Integer { bits, signed })
}

fn declared(elem: Elem) -> Option<Dtype> {
    TYPES.iter().find(|(_, e)| *e == elem).map(|(d, _)| *d)
}

const TYPES: [(Dtype, Elem); 10] = [
    (Dtype::F32, Elem::F32),
    (Dtype::F16, Elem::F16),
    (Dtype::BF16, Elem::Bf16),
    (Dtype::F8_E4M3, Elem::E4m3),
    (Dtype::F8_E5M2, Elem::E5m2),
    (Dtype::I8, Elem::I8),
    (Dtype::I32, Elem::I32),
    (Dtype::I64, Elem::I64),
    (Dtype::U8, Elem::U8),
    (Dtype::U32, Elem::U32),
];

fn elem_of(dtype: Dtype) -> Option<Elem> {
    TYPES.iter().find(|(d, _)| *d == dtype).map(|(_, e)| *e)
}

/// Writes arrays under their keys.
pub fn write(path: &std::path::Path, arrays: &BTreeMap<String, Array>) -> Result<(), Failure> {
    let mut views = Vec::new();
    for (name, array) in arrays {
        let dtype = TYPES.iter().find(|(_, e)| *e == array.elem).map_or(Dtype::U8, |(d, _)| *d);
        let view =
            TensorView::new(dtype, array.shape.clone(), array.bytes()).map_err(Failure::input)?;
        views.push((name.clone(), view));
    }
    crate::file::replace(path, |file| {
        safetensors::serialize_to_file(views, None, file).map_err(std::io::Error::other)
    })
}

/// The logical shape of a tensor without routed axes: `dyn` axes at their longest, counted ones at their
/// bound, the parts of a `sum` in front.
pub fn shape(
    program: &Program,
    tensor: &hir::Tensor,
    inputs: &Inputs,
) -> Result<Vec<usize>, Failure> {
    let known = |size: &Size| {
        let value = longest(program, size, inputs)?;
        usize::try_from(value).map_err(|_| {
            Failure::input(format!("an extent of `{}` is negative: {value}", tensor.name))
        })
    };
    let extent = |axis: &hir::Axis| match &axis.extent {
        Extent::Fixed(size) => known(size),
        Extent::Counted { bound, .. } => known(bound),
        Extent::Ragged { .. } => Err(Failure::usage(format!(
            "`{}` is ragged: feed it from an earlier entry: --feed {}=OUT",
            tensor.name, tensor.name
        ))),
    };
    let sums = tensor.spread.iter().filter(|s| matches!(s.kind, SpreadKind::Sum { .. }));
    let parts = sums
        .map(|s| known(&program.mesh_axes[s.mesh].size))
        .reduce(|a, b| Ok(a? * b?))
        .transpose()?;
    parts.into_iter().map(Ok).chain(tensor.axes.iter().map(extent)).collect()
}

/// A size with every `dyn` at its largest value of this run.
fn longest(program: &Program, size: &Size, inputs: &Inputs) -> Result<i64, Failure> {
    match size {
        Size::Dyn { of, .. } => {
            let name = &program.dyns[*of].name;
            let longest = inputs.dyns.get(name).and_then(|v| v.iter().max()).copied();
            longest.ok_or_else(|| {
                Failure::usage(format!("`dyn {name}` needs a value: --dyn {name}=N"))
            })
        }
        Size::Binary { op, lhs, rhs } => {
            let (a, b) = (longest(program, lhs, inputs)?, longest(program, rhs, inputs)?);
            op.apply(a, b).ok_or_else(|| Failure::input("an extent overflows"))
        }
        size => program
            .eval(size, &inputs.params)
            .ok_or_else(|| Failure::input("an extent is not known")),
    }
}

/// The largest value that a tensor of counts may hold: what every axis it counts has room for.
fn count_limit(program: &Program, tensor: &hir::Tensor, inputs: &Inputs) -> Option<i64> {
    let counted = program.tensors.iter().flat_map(|(_, t)| &t.axes);
    let limits = counted.filter_map(|axis| match &axis.extent {
        Extent::Counted { rows, bound } if reads(program, rows, &tensor.name) => {
            let bound = longest(program, bound, inputs).ok()?;
            let fits = |v: i64| count(program, rows, v, inputs).is_some_and(|n| n <= bound);
            let (mut least, mut most) = (0, bound.max(0));
            while least < most {
                let middle = least + (most - least + 1) / 2;
                if fits(middle) { least = middle } else { most = middle - 1 }
            }
            Some(least)
        }
        _ => None,
    });
    limits.min()
}

fn reads(program: &Program, size: &Size, name: &str) -> bool {
    match size {
        Size::Read { tensor, .. } => program.tensors[*tensor].name == name,
        Size::Binary { lhs, rhs, .. } => reads(program, lhs, name) || reads(program, rhs, name),
        _ => false,
    }
}

/// A size whose reads all have this value.
fn count(program: &Program, size: &Size, read: i64, inputs: &Inputs) -> Option<i64> {
    match size {
        Size::Read { .. } => Some(read),
        Size::Binary { op, lhs, rhs } => {
            op.apply(count(program, lhs, read, inputs)?, count(program, rhs, read, inputs)?)
        }
        size => longest(program, size, inputs).ok(),
    }
}

/// Rows of indices up to this length are distinct.
const DISTINCT: usize = 64;

/// Fresh values: floats in -1..1, counts within what they count, indices in range and distinct along a
/// short last axis where they fit.
pub fn random(
    program: &Program,
    tensor: &hir::Tensor,
    shape: Vec<usize>,
    inputs: &Inputs,
    rng: &mut fastrand::Rng,
) -> Result<Array, Failure> {
    let elem = tensor.dtype.elem;
    let mut out = Array::filled(elem, shape, 0)?;
    let bound = tensor.dtype.index.as_ref().and_then(|i| program.eval(&i.bound, &inputs.params));
    if let Some(bound) = bound {
        indices(&mut out, bound, rng);
        return Ok(out);
    }
    let limit = count_limit(program, tensor, inputs);
    match (limit, elem) {
        (None, Elem::F32) => fill(&mut out, || float(rng).to_le_bytes()),
        (None, Elem::F16) => fill(&mut out, || half::f16::from_f32(float(rng)).to_le_bytes()),
        (None, Elem::Bf16) => fill(&mut out, || half::bf16::from_f32(float(rng)).to_le_bytes()),
        (None, _) => (0..out.len()).for_each(|i| out.set_bits(i, rng.u64(..))),
        (Some(most), _) => {
            (0..out.len()).for_each(|i| out.set_bits(i, rng.i64(0..=most) as u64));
        }
    }
    Ok(out)
}

/// Each element's bytes, in order.
fn fill<const WIDTH: usize>(out: &mut Array, mut next: impl FnMut() -> [u8; WIDTH]) {
    out.bytes_mut().as_chunks_mut().0.iter_mut().for_each(|element| *element = next());
}

/// In -1..1.
fn float(rng: &mut fastrand::Rng) -> f32 {
    rng.f32() * 2.0 - 1.0
}

fn indices(out: &mut Array, bound: i64, rng: &mut fastrand::Rng) {
    let row = out.shape.last().copied().unwrap_or(1).max(1);
    let distinct = row <= DISTINCT && row as i64 <= bound;
    for first in (0..out.len()).step_by(row) {
        let mut picks: Vec<i64> = Vec::with_capacity(row);
        while picks.len() < row {
            let pick = rng.i64(0..bound.max(1));
            if !distinct || !picks.contains(&pick) {
                picks.push(pick);
            }
        }
        picks.iter().enumerate().for_each(|(i, p)| out.set_bits(first + i, *p as u64));
    }
}

/// Whether a tensor may be filled where it lies: a float that no rank holds a second time.
pub fn is_raw(tensor: &hir::Tensor) -> bool {
    let floats = [Elem::F32, Elem::F16, Elem::Bf16].contains(&tensor.dtype.elem);
    floats && !tensor.spread.iter().any(|s| matches!(s.kind, SpreadKind::Copy))
}

/// Random floats in every element that the ranks have room for, of a size between 0.5 and 2.
pub fn raw(
    compiled: &Compiled,
    handle: Handle<hir::Tensor>,
    rng: &mut fastrand::Rng,
) -> Vec<Vec<u8>> {
    let elem = compiled.hir.tensors[handle].dtype.elem;
    let bytes = (compiled.tables()[&handle].elems * elem.bytes()) as usize;
    // Sign and mantissa are free, the exponent is that of 0.5 (or 1, where its last bit is free).
    let (free, set): (u64, u64) = match elem {
        Elem::F32 => (0x80ff_ffff_80ff_ffff, 0x3f00_0000_3f00_0000),
        Elem::F16 => (0x87ff_87ff_87ff_87ff, 0x3800_3800_3800_3800),
        _ => (0x80ff_80ff_80ff_80ff, 0x3f00_3f00_3f00_3f00),
    };
    let rank = |_| {
        let mut out = Vec::with_capacity(bytes.next_multiple_of(8));
        while out.len() < bytes {
            out.extend_from_slice(&(rng.u64(..) & free | set).to_le_bytes());
        }
        out.truncate(bytes);
        out
    };
    (0..compiled.schedule.ranks).map(rank).collect()
}

/// How the groups of a route lie, where these inputs say who owns them; `None` if an earlier entry made them.
pub fn dealt(compiled: &Compiled, deal: Deal, inputs: &Inputs) -> Option<Deal> {
    let DealForm::Read(owners) = deal.form else { return Some(deal) };
    let owners = inputs.tensors.get(&compiled.hir.tensors[owners].name)?;
    Some(deal.with((0..owners.len()).map(|i| owners.get_i64(i)).collect()))
}

/// Bytes of a rank's buffer up to the last live row, rounded up as the placement says; all of it if
/// nothing is packed, or it is not known what the rank holds.
pub fn live_bytes(
    compiled: &Compiled,
    handle: Handle<hir::Tensor>,
    (inputs, live): (&Inputs, &BTreeMap<String, Vec<u32>>),
    rank: usize,
) -> usize {
    let tensor = &compiled.hir.tensors[handle];
    let table = &compiled.tables()[&handle];
    let route = tensor.axes.iter().zip(0..).find_map(|(a, axis)| match a.extent {
        Extent::Ragged { route, .. } => Some((route, axis)),
        Extent::Fixed(_) | Extent::Counted { .. } => None,
    });
    let packed = table.digits.iter().find_map(|d| match d.home {
        fusco_dsl::layout::Home::Packed { align, stride } => Some((align, stride)),
        _ => None,
    });
    let all = (table.elems * tensor.dtype.elem.bytes()) as usize;
    let (Some((route, ragged)), Some((align, stride))) = (route, packed) else { return all };
    let shape = &compiled.plan.routes[&route];
    // A packed tensor has its groups left of its ragged axis.
    let deal = Deal::of(table, ragged - 1, shape).and_then(|d| dealt(compiled, d, inputs));
    let own = deal.and_then(|d| d.groups_of(shape.member_of(rank as i64)));
    let Some(own) = own else { return all };
    let counts = live.get(&compiled.hir.routes[route].name).map(Vec::as_slice).unwrap_or_default();
    let count = |g: &i64| counts.get(*g as usize).map_or(0, |n| i64::from(*n));
    let rows: i64 = own.iter().map(|g| (count(g) + align - 1) / align * align).sum();
    (rows * stride * tensor.dtype.elem.bytes()) as usize
}
