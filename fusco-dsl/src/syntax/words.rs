//! Words of other languages and libraries, and what fusco says instead.

/// How a collective operation, called by name, is said; reads as the help of an error.
pub(crate) fn collective(name: &str) -> Option<&'static str> {
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
    let plain = plain.strip_prefix("nccl").unwrap_or(&plain);
    Some(match plain {
        "allgather" | "gather" | "allgatherinto" | "allgatherv" | "allgatherintotensor" => {
            "collectives are read off the placements: declare the input `@ [m/gpu, m, ..]`, the output `@ [copy/gpu, m, ..]`, and write `y[m, h] <- x[m, h]`"
        }
        "alltoall" | "alltoallv" | "alltoallsingle" | "a2a" | "ppermute" | "permute"
        | "reshard" | "redistribute" | "shuffle" => {
            "collectives are read off the placements: declare the input `@ [m/gpu, m, n]`, the output `@ [n/gpu, m, n]`, and write `y[m, n] <- x[m, n]`; what depends on data is a `route`"
        }
        "reducescatter" | "reducescattertensor" | "psumscatter" => {
            "collectives are read off the placements: declare the input `@ [sum/gpu, m, ..]`, the output `@ [m/gpu, m, ..]`, and write `y[m, h] <- x[m, h]`"
        }
        "allreduce" | "psum" | "reduce" | "allreducesum" => {
            "collectives are read off the placements: declare the input `@ [sum/gpu, m, ..]`, the output `@ [copy/gpu, m, ..]`, and write `y[m, h] <- x[m, h]`"
        }
        "broadcast" | "bcast" | "replicate" | "scatter" => {
            "collectives are read off the placements: declare one side `@ [only(0)/gpu, m, ..]`, the other `@ [copy/gpu, m, ..]` (or `@ [m/gpu, m, ..]` to scatter), and write `y[m, h] <- x[m, h]`"
        }
        "send" | "recv" | "receive" | "isend" | "irecv" | "sendrecv" | "put" | "get" | "push"
        | "pull" | "copy" | "copyto" | "memcpy" | "load" | "store" => {
            "nothing is sent by hand: write `y[m, h] <- x[m, h]`; what moves, and where, follows from the two placements"
        }
        "transpose" | "permutedims" | "rearrange" | "reshape" | "view" | "einsum" | "swapaxes"
        | "movedim" | "contiguous" | "flatten" => {
            "index variables say it: `b[n, m] <- a[m, n]` transposes, `c[i * 4 + j] <- a[i, j]` flattens"
        }
        "concat" | "concatenate" | "cat" | "stack" | "split" | "chunk" | "slice" | "pad" => {
            "an index may be computed: `y[i + 4] <- x[i]` writes a part; several parts are several entries with an `inout`"
        }
        "barrier" | "sync" | "synchronize" | "syncthreads" | "wait" | "fence" | "await" => {
            "nothing is waited for by hand: statements of an entry are unordered, entries run one after the other"
        }
        "dispatch" | "combine" | "permutetokens" | "unpermute" | "scatteradd" | "indexselect" => {
            "rows move by a route: declare `route r: (s, t, k) -> (e, c) { .. }`, then `plan r; y[e, c, h] <- x[s, t, h] via r;`"
        }
        "range" | "arange" | "iota" | "programid" | "len" | "size" => {
            "there are no loops and no ranges: an index variable runs over its whole axis"
        }
        "matmul" | "mm" | "bmm" | "dot" | "gemm" | "linear" | "softmax" | "relu" | "gelu"
        | "exp" | "sqrt" | "topk" | "argmax" | "norm" => {
            "fusco moves data; compute it before or after, and pass the result as an `in`"
        }
        _ => return None,
    })
}

/// The element type that the name of another library means.
pub(crate) fn element(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    Some(match name.trim_end_matches("_t").trim_start_matches("__") {
        "bfloat16" | "bfloat" | "nv_bfloat16" | "bf" | "bf_16" | "brain" => "bf16",
        "float32" | "float" | "fp32" | "single" | "f" | "real" => "f32",
        "float16" | "fp16" | "half" => "f16",
        "float8_e4m3" | "float8_e4m3fn" | "fp8" | "fp8_e4m3" | "float8" | "e4m3fn" | "f8e4m3"
        | "f8" | "fp8e4m3" | "e4m3fnuz" => "e4m3",
        "float8_e5m2" | "fp8_e5m2" | "f8e5m2" | "fp8e5m2" | "e5m2fnuz" => "e5m2",
        "int32" | "int" | "s32" => "i32",
        "int64" | "long" | "s64" | "longlong" | "isize" => "i64",
        "int8" | "s8" => "i8",
        "uint8" | "byte" | "uchar" | "char" => "u8",
        "uint32" | "uint" | "unsigned" => "u32",
        "double" | "float64" | "fp64" => "f64",
        "int16" | "s16" | "short" => "i16",
        "uint16" | "ushort" => "u16",
        "uint64" | "ulong" | "ull" | "usize" | "size" => "u64",
        "boolean" | "bit" | "mask" | "i1" => "bool",
        _ => return None,
    })
}

/// What carries the elements of a type that fusco lacks: how it is said, and the element to write if one is sure.
pub(crate) fn other_element(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match name.to_lowercase().trim_end_matches("_t") {
        "fp4" | "float4" | "e2m1" | "int4" | "i4" | "uint4" | "u4" | "nvfp4" | "mxfp4"
        | "float4_e2m1fn" | "float4_e2m1fn_x2" => {
            ("two values of 4 bits are one `u8`: write `u8`, and half the extent", None)
        }
        "complex64" | "complex" | "c64" | "complex128" => {
            ("a complex number is two floats: write `f32`, and one more axis `z: 2`", None)
        }
        "tf32" => ("`tf32` is stored as `f32`: write `f32`", Some("f32")),
        "e8m0" | "float8_e8m0fnu" | "e8m0fnu" | "ue8m0" => {
            ("a power of two in 8 bits is a `u8`: write `u8`", Some("u8"))
        }
        _ => return None,
    })
}

/// What a term of a placement in another library says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    Shard,
    Copy,
    Sum,
    /// A place of a list that says nothing: `None`.
    Nothing,
}

pub(crate) fn placed(name: &str) -> Option<Placed> {
    Some(match name.to_lowercase().as_str() {
        "shard" | "split" | "sharded" | "sharding" | "scatter" | "slice" | "partition"
        | "partitioned" | "divide" | "block" | "tile" => Placed::Shard,
        "replicate" | "replicated" | "replica" | "rep" | "repl" | "broadcast" | "duplicate"
        | "dup" | "full" | "all" | "everywhere" | "same" | "mirror" => Placed::Copy,
        "partial" | "partialsum" | "psum" | "pending" | "reduce" | "partial_sum" | "add" => {
            Placed::Sum
        }
        "none" | "null" | "unconstrained" | "nil" => Placed::Nothing,
        _ => return None,
    })
}

/// The attribute of a tensor that was meant.
pub(crate) fn attribute(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "zero" | "zeros" | "zeroed" | "zero_init" | "init" | "default" | "clear" | "pad" => {
            "fill(0)"
        }
        "one" | "ones" => "fill(1)",
        "alignment" | "aligned" | "alignas" => "align(128)",
        "ceil" | "padded" | "unequal" | "remainder" => "uneven",
        _ => return None,
    })
}

/// What happens to a tuple, in other words.
pub(crate) fn alternative(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "skip" | "ignore" | "continue" | "discard" | "none" | "pass" | "null" | "remove"
        | "omit" => "drop",
        "error" | "panic" | "abort" | "fail" | "assert" | "raise" | "throw" | "crash" => "trap",
        _ => return None,
    })
}

/// Libraries whose names stand before a `.`
pub(crate) fn library(name: &str) -> bool {
    matches!(
        name,
        "torch"
            | "np"
            | "numpy"
            | "jnp"
            | "jax"
            | "tl"
            | "triton"
            | "dist"
            | "nccl"
            | "cutlass"
            | "cute"
            | "ml_dtypes"
            | "tf"
            | "mx"
            | "dtypes"
            | "F"
            | "lax"
            | "c10d"
            | "cuda"
    )
}

/// The word that a declaration starts with, for one of another language.
pub(super) fn declaration(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "input" | "inputs" | "arg" | "argument" | "source" | "src" => "in",
        "output" | "outputs" | "result" | "target" | "dst" => "out",
        "temp" | "temporary" | "scratch" | "buffer" | "local" => "tmp",
        "mut" | "inplace" | "update" => "inout",
        "let" | "constexpr" | "val" | "static" | "final" | "constant" | "define" => "const",
        "parameter" | "params" | "size" | "sym" | "symbol" | "var" => "param",
        "dynamic" | "runtime" => "dyn",
        "devices" | "device" | "topology" | "ranks" | "world" | "devicemesh" => "mesh",
        "routing" | "permutation" => "route",
        "def" | "fn" | "func" | "function" | "kernel" | "void" | "main" => "entry",
        _ => return None,
    })
}

/// What is said instead of control flow.
pub(super) fn control(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "for" | "foreach" | "forall" | "parallel" | "pfor" | "loop" | "while" | "do" | "repeat" => {
            (
                "there are no loops",
                "a statement is one: each index variable runs over its whole axis, `b[n, m] <- a[m, n]`",
            )
        }
        "if" | "unless" | "switch" | "match" | "case" => (
            "there are no conditions",
            "what depends on data is a `route`; `else drop` in it leaves tuples out",
        ),
        "return" | "yield" => {
            ("nothing is returned", "declare `out y: ..` and write it: `y[m, h] <- x[m, h]`")
        }
        "print" | "printf" | "assert" | "static_assert" => (
            "an entry holds statements only",
            "`assume` and `prove` say what holds; `fuscoc explain FILE` prints",
        ),
        "import" | "from" | "use" | "include" | "using" | "package" | "extern" => {
            ("nothing is imported", "a file holds whole programs: `program NAME { .. }`")
        }
        _ => return None,
    })
}

/// The mark that was meant by a character of another alphabet.
pub(super) fn mark(token: &str) -> Option<&'static str> {
    Some(match token {
        "\u{2190}" | "\u{27f5}" | "\u{21d0}" => "<-",
        "\u{2192}" | "\u{27f6}" | "\u{21d2}" => "->",
        "\u{2264}" => "<=",
        "\u{2265}" => ">=",
        "\u{2260}" => "!=",
        "\u{2212}" | "\u{2013}" | "\u{2014}" => "-",
        "\u{d7}" | "\u{b7}" | "\u{22c5}" => "*",
        "\u{f7}" | "\u{2215}" => "/",
        "\u{2026}" => "..",
        "\u{a0}" | "\u{2003}" | "\u{2009}" | "\u{200b}" | "\u{3000}" => " ",
        "\u{ff1b}" | "\u{37e}" => ";",
        "\u{ff0c}" => ",",
        "\u{ff1a}" => ":",
        "\u{ff08}" => "(",
        "\u{ff09}" => ")",
        "\u{2227}" => "&&",
        "\u{2228}" => "||",
        "\u{2211}" => "sum",
        "\u{201c}" | "\u{201d}" | "\u{2018}" | "\u{2019}" | "\u{201e}" | "\u{ab}" | "\u{bb}" => "",
        _ => return None,
    })
}

/// A name in ASCII letters, for one in letters that look or sound like them.
pub(super) fn ascii(name: &str) -> Option<String> {
    name.chars().map(letter).collect::<Option<String>>().filter(|n| !n.is_empty())
}

fn letter(c: char) -> Option<String> {
    let lower: String = c.to_lowercase().collect();
    let plain = match lower.as_str() {
        "а" => "a",
        "в" => "b",
        "с" => "c",
        "е" | "ё" | "é" | "è" | "ê" | "ë" => "e",
        "һ" | "н" => "h",
        "і" | "ı" | "í" | "î" | "ï" => "i",
        "ј" => "j",
        "к" => "k",
        "м" => "m",
        "о" | "ó" | "ô" | "ö" | "ø" | "ο" => "o",
        "р" => "p",
        "ѕ" => "s",
        "т" => "t",
        "ü" | "ú" | "û" => "u",
        "х" => "x",
        "у" => "y",
        "á" | "à" | "â" | "ä" | "å" => "a",
        "ñ" => "n",
        "ç" => "c",
        "α" => "alpha",
        "β" => "beta",
        "γ" => "gamma",
        "δ" => "delta",
        "ε" | "ϵ" => "epsilon",
        "η" => "eta",
        "θ" => "theta",
        "κ" => "kappa",
        "λ" => "lambda",
        "μ" | "µ" => "mu",
        "ν" => "nu",
        "π" => "pi",
        "ρ" => "rho",
        "σ" => "sigma",
        "τ" => "tau",
        "φ" => "phi",
        "χ" => "chi",
        "ψ" => "psi",
        "ω" => "omega",
        _ if c.is_ascii_alphanumeric() || c == '_' => return Some(c.to_string()),
        _ => return None,
    };
    Some(if c.is_uppercase() && plain.len() == 1 {
        plain.to_uppercase()
    } else {
        plain.to_string()
    })
}
