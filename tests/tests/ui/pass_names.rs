//! Words of Rust, of the generated text and of each other, amid items of the user's that have the names of the
//! prelude: everything compiles without a warning, and runs.
#![deny(warnings)]
use fusco_runtime::{World, fusco};

// What generated code might mean by accident.
#[allow(dead_code, unused_macros)]
mod own {
    pub struct Vec;
    pub struct String;
    pub struct Option;
    pub struct Result;
    pub struct Error;
    pub struct Tensor;
    pub struct Plan;
    pub struct Stream;
    pub trait Clone {}
    pub trait Debug {}
    pub trait Copy {}
    pub trait Iterator {}
    pub fn drop() {}
    macro_rules! format {
        ($($t:tt)*) => { compile_error!("the user's") };
    }

    fusco_runtime::fusco! {
        program std {
            mesh m { gpu: 2 }
            param SELF: ints;
            in  Vec: i32[i: 4] @ [i/gpu.map(SELF), i];
            out String: i32[i: 4] @ [copy/gpu, i];
            entry Option { String[i] <- Vec[i]; }
        }
        program core {
            mesh m { gpu: 1 }
            in  x: i32[i: 4] @ [copy/gpu, i];
            out y: i32[i: 4] @ [copy/gpu, i];
            entry go { y[i] <- x[i]; }
        }
    }
}

fusco! {
    program match {
        mesh m { gpu: 2 }
        param E: int where E % gpu == 0;
        param TRUE: int;
        dyn CRATE[gpu]: int <= TRUE;
        in  x:     f32[s: gpu, t: CRATE[s], h: 4] @ [s/gpu, t, h];
        in  self:  ix32(E)[s: gpu, t: CRATE[s]] @ [s/gpu, t];
        out async: f32[e: E, c: ragged, h: 4] @ [e/gpu, e, c.pack(128), h] with fill(0);
        out _:     i32[e: E] @ [e/gpu, e];
        route r: (s, t) -> (e, c) { e = self[s, t]; c = slot(e) by (s, t); }
        entry untyped { plan r; async[e, c, h] <- x[s, t, h] via r; }
        entry alloc_x { async[e, c, h] <- x[s, t, h] via r; }
        entry plan_r { plan r; _[e] <- count(async.c); async[e, c, h] <- x[s, t, h] via r; }
        entry go_a { plan r; async[e, c, h] <- x[s, t, h] via r; }
        entry goA { async[e, c, h] <- x[s, t, h] via r; }
        entry clone { async[e, c, h] <- x[s, t, h] via r; }
        entry _1 { async[e, c, h] <- x[s, t, h] via r; }
        entry fn { async[e, c, h] <- x[s, t, h] via r; }
        entry super { async[e, c, h] <- x[s, t, h] via r; }
    }
}

fn main() {
    use r#match::{CloneArgs, FnArgs, GoAArgs, GoAArgs_, Params, PlanRArgs, RouteR, SuperArgs, UntypedArgs};
    let world = World::host(2).unwrap();
    let bound = r#match::bind(&world, Params { e: 4, r#true: 4 }).unwrap();
    let _: &fusco_runtime::Bound = bound.untyped_();
    let (x, ids) = (bound.alloc_x_().unwrap(), bound.alloc_self().unwrap());
    let (y, n) = (bound.alloc_async().unwrap(), bound.alloc__().unwrap());
    let stream = world.stream().unwrap();
    let mut plan: fusco_runtime::typed::Plan<RouteR> = bound.plan_r_().unwrap();
    let crate_: &[i64] = &[3, 0];
    ids.upload(0, &[3, 3, 0]).unwrap();
    // Each entry moves the row that was uploaded before it.
    let upload = |value: f32| x.upload(0, &[value; 12]).unwrap();
    let check = |value: f32| {
        stream.synchronize().unwrap();
        assert_eq!(y.download(0).unwrap()[..4], [value; 4]);
    };
    upload(1.0);
    bound.untyped(&stream, UntypedArgs { crate_, x: &x, self_: &ids, r#async: &y }, &mut plan).unwrap();
    check(1.0);
    upload(2.0);
    bound
        .plan_r(&stream, PlanRArgs { crate_, x: &x, self_: &ids, r#async: &y, __: &n }, &mut plan)
        .unwrap();
    check(2.0);
    assert_eq!(n.download(0).unwrap(), [1, 0]);
    upload(3.0);
    bound.go_a(&stream, GoAArgs { crate_, x: &x, self_: &ids, r#async: &y }, &mut plan).unwrap();
    check(3.0);
    upload(4.0);
    bound.goA(&stream, GoAArgs_ { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(4.0);
    upload(5.0);
    bound.alloc_x(&stream, r#match::AllocXArgs { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(5.0);
    upload(6.0);
    bound.clone(&stream, CloneArgs { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(6.0);
    upload(7.0);
    bound._1(&stream, r#match::_1Args { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(7.0);
    upload(8.0);
    bound.r#fn(&stream, FnArgs { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(8.0);
    upload(9.0);
    bound.super_(&stream, SuperArgs { crate_, x: &x, r#async: &y }, &plan).unwrap();
    check(9.0);

    let bound = own::std::bind(&world, own::std::Params { self_: vec![1, 0, 0, 1] }).unwrap();
    let (from, to) = (bound.alloc_Vec().unwrap(), bound.alloc_String().unwrap());
    from.upload(0, &[10, 20]).unwrap();
    from.upload(1, &[0, 30]).unwrap();
    bound.Option(&stream, own::std::OptionArgs { Vec: &from, String: &to }).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(to.download(1).unwrap(), [0, 10, 20, 30]);
    assert!(own::core::SOURCE.contains("program core"));
}
