//! The curves: which sizes, around which base.

/// One size.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub ranks: i64,
    pub experts: i64,
    pub topk: i64,
    pub hidden: i64,
    /// Of each rank.
    pub tokens: i64,
    /// CTAs of a rank; as many as there are if `None`.
    pub blocks: Option<i64>,
}

pub struct Curve {
    pub name: &'static str,
    pub shapes: Vec<Shape>,
}

impl Shape {
    pub fn set(&self) -> String {
        let Shape { ranks, experts, topk, hidden, tokens, .. } = self;
        format!("G={ranks},E={experts},K={topk},H={hidden},TMAX={tokens}")
    }

    /// `G=4 E=256 K=8 H=4096 T=1`
    pub fn words(&self) -> String {
        self.set().replace("TMAX", "T").replace(',', " ")
    }

    /// Of all rows of `y`.
    pub fn bytes(&self) -> i64 {
        2 * self.ranks * self.tokens * self.topk * self.hidden
    }

    pub fn x(&self, curve: &Curve) -> i64 {
        match curve.name {
            "tokens" => self.tokens,
            "experts" => self.experts,
            "topk" => self.topk,
            "hidden" => self.hidden,
            "ranks" => self.ranks,
            _ => self.blocks.unwrap_or(0) * self.ranks,
        }
    }

    /// The line that the point of an entry belongs to.
    pub fn series(&self, curve: &Curve, entry: &str) -> String {
        match curve.name {
            "ctas" => format!("{entry}, {} ranks", self.ranks),
            _ => entry.to_string(),
        }
    }
}

/// Each curve around its base, whose rows take less than 20 GB: a rank has room for all rows of all ranks.
pub fn curves(small: bool) -> Vec<Curve> {
    if small { tiny() } else { whole() }
}

fn whole() -> Vec<Curve> {
    let base = Shape { ranks: 4, experts: 256, topk: 8, hidden: 4096, tokens: 4096, blocks: None };
    let tokens = [
        1, 2, 3, 4, 8, 16, 32, 64, 100, 128, 256, 257, 512, 1000, 1024, 2048, 4096, 8192, 16384,
        32768,
    ];
    let hidden = [256, 512, 1000, 1024, 1032, 2048, 2056, 2880, 4096, 5120, 7168, 8192, 16384];
    // 240 experts are shared by many numbers of ranks.
    let even = Shape { experts: 240, tokens: 1024, ..base };
    vec![
        curve("tokens", &tokens, |tokens| Shape { tokens, hidden: 2048, ..base }),
        curve("experts", &[8, 16, 32, 64, 128, 256, 512, 1024], |experts| Shape {
            experts,
            ..base
        }),
        curve("topk", &[1, 2, 3, 4, 6, 8, 12, 16], |topk| Shape { topk, ..base }),
        curve("hidden", &hidden, |hidden| Shape { hidden, ..base }),
        curve("ranks", &[1, 2, 3, 4, 5, 6, 8, 10, 12, 16], |ranks| Shape { ranks, ..even }),
        ctas(&[(1, 4096), (8, 512)], &[1, 2, 4, 8, 16], base),
    ]
}

fn tiny() -> Vec<Curve> {
    let base = Shape { ranks: 2, experts: 8, topk: 2, hidden: 64, tokens: 16, blocks: None };
    vec![
        curve("tokens", &[1, 3, 16], |tokens| Shape { tokens, ..base }),
        curve("experts", &[2, 8], |experts| Shape { experts, ..base }),
        curve("topk", &[1, 2, 3], |topk| Shape { topk, ..base }),
        curve("hidden", &[64, 72], |hidden| Shape { hidden, ..base }),
        curve("ranks", &[1, 2, 4], |ranks| Shape { ranks, ..base }),
        ctas(&[(1, 16), (2, 8)], &[1, 2], base),
    ]
}

fn curve(name: &'static str, values: &[i64], shape: impl Fn(i64) -> Shape) -> Curve {
    Curve { name, shapes: values.iter().map(|v| shape(*v)).collect() }
}

/// For each number of ranks with its tokens, few CTAs a rank.
fn ctas(ranks: &[(i64, i64)], blocks: &[i64], base: Shape) -> Curve {
    let of = |(ranks, tokens): (i64, i64)| {
        blocks.iter().map(move |n| Shape { ranks, tokens, blocks: Some(*n), ..base })
    };
    Curve { name: "ctas", shapes: ranks.iter().copied().flat_map(of).collect() }
}
