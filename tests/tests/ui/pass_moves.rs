//! Movements without a route from tokens: an array param, counted rows, a backward entry.
use fusco_runtime::{World, fusco};

fusco! {
    program tables {
        mesh dp { gpu: 2 }
        param OWNER: ints;                            // table -> rank
        param B: int where B % gpu == 0;
        in  x:   f32[f: 3, b: B]                          @ [f/gpu.map(OWNER), f, b];
        out y:   f32[b: B, f: 3]                          @ [b/gpu, b, f];
        in  len: i32[f: 3, b: B]                          @ [b/gpu, f, b];
        in  ids: i64[f: 3, b: B, l: len[f, b] <= 4]       @ [b/gpu, f, b, l.pack(1)];
        out jds: i64[f: 3, b: B, l: len[f, b] <= 4]       @ [f/gpu.map(OWNER), f, b, l.pack(1)];
        entry forward { y[b, f] <- x[f, b]; }
        entry lookup { jds[f, b, l] <- ids[f, b, l]; }
        entry backward = adjoint(forward);
    }
}

fn main() {
    let world = World::host(2).unwrap();
    let bound = tables::bind(&world, tables::Params { owner: vec![1, 0, 1], b: 2 }).unwrap();
    let stream = world.stream().unwrap();
    let (x, y) = (bound.alloc_x().unwrap(), bound.alloc_y().unwrap());
    x.upload(0, &[10.0f32, 11.0]).unwrap(); // f = 1
    x.upload(1, &[0.0f32, 1.0, 20.0, 21.0]).unwrap(); // f = 0, 2
    bound.forward(&stream, tables::ForwardArgs { x: &x, y: &y }).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(y.download(1).unwrap(), [1.0, 11.0, 21.0]);

    let (gy, gx) = (bound.alloc_grad_y().unwrap(), bound.alloc_grad_x().unwrap());
    gy.upload(0, &[1.0f32, 2.0, 3.0]).unwrap();
    gy.upload(1, &[4.0f32, 5.0, 6.0]).unwrap();
    bound.backward(&stream, tables::BackwardArgs { grad_y: &gy, grad_x: &gx }).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(gx.download(1).unwrap()[..4], [1.0, 4.0, 3.0, 6.0]);

    let (len, ids) = (bound.alloc_len().unwrap(), bound.alloc_ids().unwrap());
    let jds = bound.alloc_jds().unwrap();
    len.upload(0, &[2i32, 0, 1]).unwrap(); // b = 0
    len.upload(1, &[1i32, 1, 0]).unwrap(); // b = 1
    ids.upload(0, &[100i64, 101, 102]).unwrap();
    ids.upload(1, &[110i64, 111]).unwrap();
    bound.lookup(&stream, tables::LookupArgs { len: &len, ids: &ids, jds: &jds }).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(jds.download(0).unwrap()[..1], [111]); // f = 1: b = 0 has none
    assert_eq!(jds.download(1).unwrap()[..4], [100, 101, 110, 102]); // f = 0, then f = 2
}
