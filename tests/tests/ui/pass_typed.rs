//! The whole surface of a program: params, buffers, plans typed by their route, argument structs.
use fusco_runtime::{World, fusco};

fusco! {
    program small {
        mesh m { gpu: 2 }
        param E: int where E % gpu == 0;
        dyn T[gpu]: int <= 4;
        in x: f32[s: gpu, t: T[s], h: 4] @ [s/gpu, t, h];
        in i: ix32(E)[s: gpu, t: T[s]] @ [s/gpu, t];
        out y: f32[e: E, c: ragged, h: 4] @ [e/gpu, e, c.pack(128), h] with fill(0);
        route r: (s, t) -> (e, c) {
            e = i[s, t];
            c = slot(e) by (s, t);
        }
        entry go { plan r; y[e, c, h] <- x[s, t, h] via r; }
    }
}

fn main() {
    let world = World::host(2).unwrap();
    let bound = small::bind(&world, small::Params { e: 4 }).unwrap();
    let (x, i, y) = (bound.alloc_x().unwrap(), bound.alloc_i().unwrap(), bound.alloc_y().unwrap());
    i.upload(0, &[3, 3, 0]).unwrap();
    x.upload(0, &[1.0f32; 12]).unwrap();
    let (stream, mut plan) = (world.stream().unwrap(), bound.plan_r().unwrap());
    bound.go(&stream, small::GoArgs { t: &[3, 0], x: &x, i: &i, y: &y }, &mut plan).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(plan.live(0).unwrap(), [1, 0, 0, 2]);
    assert_eq!(y.download(0).unwrap()[..8], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}
