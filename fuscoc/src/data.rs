//! Tensors in files: safetensors to logical arrays and back, random ones, and their way onto ranks.

use crate::failure::Failure;
use fusco_dsl::Compiled;
use fusco_dsl::arena::Handle;
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{self, Elem, Extent, Program, Size};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// `FILE[:KEY]`; without a key the tensor's own name is used.
pub fn read(spec: &str, name: &str) -> Result<Array, Failure> {
    let (path, key) = match spec.rsplit_once(':') {
        Some((path, key)) if !key.contains('/') => (path, key),
        _ => (spec, name),
    };
    let bytes =
        std::fs::read(path).map_err(|e| Failure::input(format!("cannot read {path}: {e}")))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| Failure::input(format!("{path} is not a safetensors file: {e}")))?;
    let view = file.tensor(key).map_err(|_| {
        Failure::input(format!("{path} has no tensor `{key}`; it has {}", file.names().join(", ")))
    })?;
    let elem = elem_of(view.dtype()).ok_or_else(|| {
        Failure::input(format!(
            "`{key}` in {path} has element type {:?}, which fusco has not",
            view.dtype()
        ))
    })?;
    Array::new(elem, view.shape().to_vec(), view.data().to_vec()).map_err(Failure::input)
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
            TensorView::new(dtype, array.shape.clone(), &array.data).map_err(Failure::input)?;
        views.push((name.clone(), view));
    }
    safetensors::serialize_to_file(views, None, path)
        .map_err(|e| Failure::input(format!("cannot write {}: {e}", path.display())))
}

/// The logical shape of a tensor without ragged axes, `dyn` axes at their longest.
pub fn shape(
    program: &Program,
    tensor: &hir::Tensor,
    inputs: &Inputs,
) -> Result<Vec<usize>, Failure> {
    let extent = |axis: &hir::Axis| match &axis.extent {
        Extent::Fixed(Size::Dyn { of, .. }) => {
            let name = &program.dyns[*of].name;
            let longest = inputs.dyns.get(name).and_then(|v| v.iter().max());
            longest.map(|n| *n as usize).ok_or_else(|| {
                Failure::usage(format!("`dyn {name}` needs a value: --dyn {name}=N"))
            })
        }
        Extent::Fixed(size) => program
            .eval(size, &inputs.params)
            .map(|n| n as usize)
            .ok_or_else(|| Failure::input("an extent is not known")),
        Extent::Counted { bound, .. } => program
            .eval(bound, &inputs.params)
            .map(|n| n as usize)
            .ok_or_else(|| Failure::input("the bound of a counted axis is not known")),
        Extent::Ragged { .. } => Err(Failure::usage(format!(
            "`{}` is ragged: feed it from an earlier entry: --feed {}=OUT",
            tensor.name, tensor.name
        ))),
    };
    tensor.axes.iter().map(extent).collect()
}

/// Widens integers to the declared element type; everything else must match.
pub fn widen(array: Array, tensor: &hir::Tensor) -> Result<Array, Failure> {
    let wanted = tensor.dtype.elem;
    let integer = |e: Elem| matches!(e, Elem::I8 | Elem::I32 | Elem::I64);
    if array.elem == wanted {
        return Ok(array);
    }
    if integer(array.elem) && integer(wanted) && array.elem.bytes() <= wanted.bytes() {
        let values: Vec<i64> = (0..array.len()).map(|i| array.int(i)).collect();
        return Ok(Array::from_i64(wanted, array.shape, &values));
    }
    Err(Failure::input(format!(
        "`{}` is {}, the file has {}; only integers are widened",
        tensor.name,
        wanted.name(),
        array.elem.name()
    )))
}

/// Fresh values: floats in -1..1, indices in range and distinct along the last axis where they fit.
pub fn random(
    program: &Program,
    tensor: &hir::Tensor,
    shape: Vec<usize>,
    inputs: &Inputs,
    rng: &mut fastrand::Rng,
) -> Array {
    let mut out = Array::zeros(tensor.dtype.elem, shape);
    let bound = tensor.dtype.index.as_ref().and_then(|i| program.eval(&i.bound, &inputs.params));
    let row = out.shape.last().copied().unwrap_or(1).max(1);
    for first in (0..out.len()).step_by(row) {
        match bound {
            Some(bound) => {
                let mut picks: Vec<i64> = Vec::with_capacity(row);
                while picks.len() < row {
                    let pick = rng.i64(0..bound.max(1));
                    if (row as i64) > bound || !picks.contains(&pick) {
                        picks.push(pick);
                    }
                }
                picks.iter().enumerate().for_each(|(i, p)| out.set_bits(first + i, *p as u64));
            }
            None => (first..first + row)
                .for_each(|i| out.set_bits(i, random_bits(tensor.dtype.elem, rng))),
        }
    }
    out
}

fn random_bits(elem: Elem, rng: &mut fastrand::Rng) -> u64 {
    let value = rng.f32() * 2.0 - 1.0;
    match elem {
        Elem::F32 => u64::from(value.to_bits()),
        Elem::F16 => u64::from(half::f16::from_f32(value).to_bits()),
        Elem::Bf16 => u64::from(half::bf16::from_f32(value).to_bits()),
        _ => rng.u64(..),
    }
}

/// Bytes of a rank's buffer up to the last live row, rounded up as the placement says; all of it if
/// nothing is packed.
pub fn live_bytes(
    compiled: &Compiled,
    handle: Handle<hir::Tensor>,
    live: &BTreeMap<String, Vec<u32>>,
    rank: usize,
) -> usize {
    let tensor = &compiled.hir.tensors[handle];
    let table = &compiled.tables()[&handle];
    let route = tensor.axes.iter().find_map(|a| match a.extent {
        Extent::Ragged { route, .. } => Some(route),
        Extent::Fixed(_) | Extent::Counted { .. } => None,
    });
    let packed = table.digits.iter().find_map(|d| match d.home {
        fusco_dsl::layout::Home::Packed { align, stride } => Some((align, stride)),
        _ => None,
    });
    let (Some(route), Some((align, stride))) = (route, packed) else {
        return (table.elems * tensor.dtype.elem.bytes()) as usize;
    };
    let per_rank = compiled.plan.routes[&route].groups_per_rank as usize;
    let counts = live.get(&compiled.hir.routes[route].name).map(Vec::as_slice).unwrap_or_default();
    let own = counts.iter().skip(rank * per_rank).take(per_rank);
    let rows: i64 = own.map(|n| (i64::from(*n) + align - 1) / align * align).sum();
    (rows * stride * tensor.dtype.elem.bytes()) as usize
}
