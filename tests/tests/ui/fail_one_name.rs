//! Params and dyns are fields in lower case, and `self` gets an underscore: two that become one are refused where
//! the second is declared.
use fusco_runtime::fusco;

fusco! {
    program sizes {
        mesh m { gpu: 2 }
        param N: int;
        param n: int;
        dyn T[gpu]: int <= N;
        in  t: f32[s: gpu, i: T[s], j: n] @ [s/gpu, i, j];
        out y: f32[s: gpu, i: T[s], j: n] @ [s/gpu, j, i];
        entry go { y[s, i, j] <- t[s, i, j]; }
    }
}

fusco! {
    program words {
        mesh m { gpu: 2 }
        in  x: f32[i: 4] @ [i/gpu, i];
        out y: f32[i: 4] @ [copy/gpu, i];
        entry self_ { y[i] <- x[i]; }
        entry self { y[i] <- x[i]; }
    }
    program super { mesh m { gpu: 1 } in x: f32[i: 4] @ [copy/gpu, i]; out y: f32[i: 4] @ [copy/gpu, i]; entry go { y[i] <- x[i]; } }
    program super_ { mesh m { gpu: 1 } in x: f32[i: 4] @ [copy/gpu, i]; out y: f32[i: 4] @ [copy/gpu, i]; entry go { y[i] <- x[i]; } }
}

fn main() {}
