//! A plan is typed by its route: one made for `a` cannot be taken where `b` is meant.
use fusco_runtime::{World, fusco};

fusco! {
    program one {
        mesh m { gpu: 2 }
        dyn T[gpu]: int <= 4;
        in x: f32[s: gpu, t: T[s], h: 4] @ [s/gpu, t, h];
        in i: ix32(4)[s: gpu, t: T[s]] @ [s/gpu, t];
        out y: f32[e: 4, c: ragged, h: 4] @ [e/gpu, e, c.pack(128), h] with fill(0);
        route a: (s, t) -> (e, c) { e = i[s, t]; c = slot(e) by (s, t); }
        entry go { plan a; y[e, c, h] <- x[s, t, h] via a; }
    }
    program two {
        mesh m { gpu: 2 }
        dyn T[gpu]: int <= 4;
        in x: f32[s: gpu, t: T[s], h: 4] @ [s/gpu, t, h];
        in i: ix32(4)[s: gpu, t: T[s]] @ [s/gpu, t];
        out y: f32[e: 4, c: ragged, h: 4] @ [e/gpu, e, c.pack(128), h] with fill(0);
        route b: (s, t) -> (e, c) { e = i[s, t]; c = slot(e) by (s, t); }
        entry go { plan b; y[e, c, h] <- x[s, t, h] via b; }
    }
}

fn main() {
    let world = World::host(2).unwrap();
    let (one, two) = (one::bind(&world, one::Params {}).unwrap(), two::bind(&world, two::Params {}).unwrap());
    let (x, i, y) = (one.alloc_x().unwrap(), one.alloc_i().unwrap(), one.alloc_y().unwrap());
    let (stream, mut plan) = (world.stream().unwrap(), two.plan_b().unwrap());
    one.go(&stream, one::GoArgs { t: &[3, 0], x: &x, i: &i, y: &y }, &mut plan).unwrap();
}
