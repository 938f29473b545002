use fusco_runtime::fusco;

fusco! {
    program p {
        mesh m { gpu: 2 }
        in x: f32[s: gpu, h: 4] @ [s, h];
        out y: f32[s: gpu, h: 4] @ [s/gpu, h];
        entry go { y[s, h] <- x[s, h]; }
    }
}

fn main() {}
