//! A program from a file, relative to this file.
use fusco_runtime::{World, fusco};

fusco!("../../../examples/programs/moe.fusco");

fn main() {
    let world = World::host(2).unwrap();
    let bound = moe::bind(&world, moe::Params { g: 2, k: 2, e: 4, h: 8, tmax: 16 }).unwrap();
    assert!(moe::SOURCE.contains("program moe"));
    assert!(bound.plan_r().is_ok());
}
