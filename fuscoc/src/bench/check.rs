//! Every element is right before anything is timed: against the reference interpreter, and where that is
//! slow against it on a smaller shape and against the host back end on the whole one.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::{Finished, Prepared, launch, verify};
use crate::table::thousands;
use fusco_runtime::World;

/// What was compared, and found equal bit for bit.
#[derive(Clone, Debug)]
pub struct Checked {
    pub elements: u64,
    pub by: &'static str,
}

impl Checked {
    pub fn text(&self) -> String {
        format!("{} elements equal {}", thousands(self.elements as i64), self.by)
    }
}

/// Runs once; compares with the reference interpreter.
pub fn by_oracle(
    ready: &Prepared,
    world: &World,
    progress: &Progress,
) -> Result<(Finished, Checked), Failure> {
    let expected = verify::expect(ready, progress)?;
    let finished = launch(ready, world, 0, progress)?;
    let elements =
        verify::compare(&ready.compiled, &expected, &finished).map_err(Failure::input)?;
    Ok((finished, Checked { elements, by: "the reference interpreter" }))
}

/// Runs the smaller shape against the reference interpreter, then the whole one against the host back end.
pub fn by_host(
    small: &Prepared,
    ready: &Prepared,
    world: &World,
    progress: &Progress,
) -> Result<(Finished, Checked), Failure> {
    let (_, checked) = by_oracle(small, world, progress)?;
    let finished = launch(ready, world, 0, progress)?;
    if world.backend() == "host" {
        let by = "the reference interpreter, on a smaller shape";
        return Ok((finished, Checked { by, ..checked }));
    }
    let elements = against_host(ready, &finished, progress)?;
    Ok((finished, Checked { elements, by: "the host back end, and it the reference interpreter" }))
}

/// Elements of all outputs, if the host back end leaves the same ones.
pub fn against_host(
    ready: &Prepared,
    finished: &Finished,
    progress: &Progress,
) -> Result<u64, Failure> {
    let world = World::host(ready.compiled.schedule.ranks as usize)?;
    same(ready, &launch(ready, &world, 0, progress)?, finished)
}

/// Elements of all outputs, if both runs left the same ones.
pub fn same(ready: &Prepared, expected: &Finished, found: &Finished) -> Result<u64, Failure> {
    let mut elements = 0;
    for (name, ranks) in &expected.outputs {
        let width = ready.compiled.hir.tensor(name);
        let width = width.map_or(1, |h| ready.compiled.hir.tensors[h].dtype.elem.bytes()) as usize;
        let others = found.outputs.get(name).map(Vec::as_slice).unwrap_or_default();
        for (rank, want) in ranks.iter().enumerate() {
            let got = others.get(rank).map(|bytes| &bytes[..]).unwrap_or_default();
            if want[..] != *got {
                let at = want.iter().zip(got).position(|(a, b)| a != b);
                let at = at.unwrap_or_else(|| want.len().min(got.len())) / width;
                return Err(Failure::input(format!(
                    "{name}@{rank}[{at}] on {} differs from {}",
                    found.backend, expected.backend
                )));
            }
            elements += (want.len() / width) as u64;
        }
    }
    Ok(elements)
}
