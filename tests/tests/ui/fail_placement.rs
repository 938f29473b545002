use fusco_runtime::fusco;

fusco! {
    program reshard {
        mesh tp { gpu: 4 }
        param M: int;
        in  a: bf16[m: M, n: 64] @ [m/gpu, m, n];
        out b: bf16[n: 64, m: M] @ [n, m];
        entry main { b[n, m] <- a[m, n]; }
    }
}

fn main() {}
