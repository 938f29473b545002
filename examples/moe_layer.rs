//! One MoE layer: dispatch, a stand-in expert that scales its rows, combine.
//!
//! `cargo run --release --example moe_layer` runs on the host; `-- cuda` on GPU 0.

use fusco_runtime::{Error, World, bf16, fusco};

fusco! {
    /// Tokens to experts and back.
    program moe {
        param G: int;
        mesh ep { gpu: G }
        param K: int where K <= 32;
        param E: int where E % gpu == 0;
        param H: int where H % 8 == 0;
        param TMAX: int;
        dyn T[gpu]: int <= TMAX;

        in  x:    bf16[s: gpu, t: T[s], h: H]               @ [s/gpu, t, h];
        in  topk: ix64(E, none = -1)[s: gpu, t: T[s], k: K] @ [s/gpu, t, k];
        in  w:    f32[s: gpu, t: T[s], k: K]                @ [s/gpu, t, k];
        out y:    bf16[e: E, c: ragged, h: H]               @ [e/gpu, e, c.pack(128), h] with fill(0);
        out n:    i32[e: E]                                 @ [e/gpu, e];
        in  z:    bf16[e: E, c: ragged, h: H]               @ [e/gpu, e, c.pack(128), h];
        out o:    bf16[s: gpu, t: T[s], h: H]               @ [s/gpu, t, h];

        route r: (s, t, k) -> (e, c) {
            e = topk[s, t, k] else drop;
            c = slot(e) by (s, t, k);
        }
        entry dispatch {
            plan r;
            y[e, c, h] <- x[s, t, h] via r;
            n[e]       <- count(y.c);
        }
        entry combine { o[s, t, h] <- cast(bf16, sum(k: w[s, t, k] * z[e, c, h])) via r; }
    }
}

const RANKS: usize = 4;
const EXPERTS: usize = 16;
const TOP: usize = 2;
const HIDDEN: usize = 256;
const TOKENS: usize = 512;

fn main() -> Result<(), Error> {
    let cuda = std::env::args().any(|a| a == "cuda");
    let world = if cuda { World::device(0, RANKS)? } else { World::host(RANKS)? };
    let params = moe::Params {
        g: RANKS as i64,
        k: TOP as i64,
        e: EXPERTS as i64,
        h: HIDDEN as i64,
        tmax: TOKENS as i64,
    };
    let layer = moe::bind(&world, params)?;
    let (x, topk, w) = (layer.alloc_x()?, layer.alloc_topk()?, layer.alloc_w()?);
    let (y, n, z, o) = (layer.alloc_y()?, layer.alloc_n()?, layer.alloc_z()?, layer.alloc_o()?);
    for rank in 0..RANKS {
        x.upload(rank, &(0..TOKENS * HIDDEN).map(|i| token(rank, i)).collect::<Vec<_>>())?;
        topk.upload(rank, &(0..TOKENS * TOP).map(|i| expert(rank, i)).collect::<Vec<_>>())?;
        w.upload(rank, &[1.0 / TOP as f32; TOKENS * TOP])?;
    }

    let (stream, mut plan, t) = (world.stream()?, layer.plan_r()?, [TOKENS as i64; RANKS]);
    layer.dispatch(
        &stream,
        moe::DispatchArgs { t: &t, x: &x, topk: &topk, y: &y, n: &n },
        &mut plan,
    )?;
    stream.synchronize()?;
    for rank in 0..RANKS {
        let rows = y.download(rank)?;
        z.upload(rank, &rows.iter().map(|v| bf16::from_f32(v.to_f32() * 2.0)).collect::<Vec<_>>())?;
    }
    layer.combine(&stream, moe::CombineArgs { t: &t, w: &w, z: &z, o: &o }, &plan)?;
    stream.synchronize()?;

    // Each expert doubles its rows and the weights of a token sum to 1: the layer doubles its input.
    for rank in 0..RANKS {
        let out = o.download(rank)?;
        let wrong =
            (0..TOKENS * HIDDEN).find(|i| out[*i].to_f32() != token(rank, *i).to_f32() * 2.0);
        assert_eq!(wrong, None, "rank {rank}");
    }
    println!(
        "moe on {}: {} rows to {EXPERTS} experts and back, every element checked",
        world.backend(),
        RANKS * TOKENS * TOP
    );
    println!("rows of each expert: {:?}", plan.live(0)?);
    Ok(())
}

/// Element `i` of a rank's tokens; exact in bf16 when doubled.
fn token(rank: usize, i: usize) -> bf16 {
    bf16::from_f32(((i * 37 + rank * 11) % 251) as f32 - 125.0)
}

/// Two different experts a token.
fn expert(rank: usize, i: usize) -> i64 {
    let first = (i / TOP * 7 + rank) % EXPERTS;
    ((first + i % TOP * 3) % EXPERTS) as i64
}
