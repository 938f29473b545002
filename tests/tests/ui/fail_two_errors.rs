use fusco_runtime::fusco;

fusco! {
    program p {
        mesh m { gpu: 2 }
        param E: int;
        in x: f33[s: gpu, h: 4] @ [s/gpu, h];
        in z: f32[s: gpu, e: EE] @ [s/gpu, e];
    }
}

fn main() {}
