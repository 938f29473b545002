//! Numbers that programs store: sign of divisions, 64 bits, fills and casts of 8-bit floats, and movements whose
//! index arithmetic was once read as another.

use fusco_dsl::compile;
use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::{Bindings, Elem};
use fusco_runtime::{World, jit};
use fusco_tests::{Random, Session, gpu};

/// Runs the entry on the host, and on a device where there is one; compares all ranks with the oracle and
/// returns the first rank's bytes of `out`.
fn run(text: &str, ranks: usize, inputs: &Inputs, out: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for world in [World::host(ranks).ok(), gpu(ranks)].into_iter().flatten() {
        let session = Session::new(text, &[], &[], world);
        session.upload(inputs);
        session.poison();
        let stream = session.world.stream().expect("a stream");
        session.launch("e", &stream, inputs).expect("queued");
        stream.synchronize().unwrap_or_else(|e| panic!("{e}\n{text}"));
        session.check(&session.expected(&["e"], inputs));
        bytes = session.outputs()[out][0].clone();
    }
    bytes
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect()
}

fn with(name: &str, array: Array) -> Inputs {
    Inputs { tensors: [(name.to_string(), array)].into(), ..Inputs::default() }
}

/// `/` rounds toward minus infinity, `%` has the sign of the divisor: by powers of two and others.
#[test]
fn divisions_round_toward_minus_infinity() {
    for divisor in [-5i64, -4, -1, 1, 3, 4, 7, 8] {
        let shown = if divisor < 0 { format!("(0 - {})", -divisor) } else { divisor.to_string() };
        let text = format!(
            "program p {{
                out a: i32[i: 40] @ [i];
                out b: i32[i: 40] @ [i];
                entry e {{ a[i] <- (i - 20) / {shown}; b[i] <- (i - 20) % {shown}; }}
            }}"
        );
        let floor = |x: i64| (x as f64 / divisor as f64).floor() as i64;
        let wanted = |f: &dyn Fn(i64) -> i64| (-20..20).map(|x| f(x) as i32).collect::<Vec<_>>();
        let none = Inputs::default();
        assert_eq!(words(&run(&text, 1, &none, "a")), wanted(&floor), "/ {divisor}");
        let rest = |x: i64| x - floor(x) * divisor;
        assert_eq!(words(&run(&text, 1, &none, "b")), wanted(&rest), "% {divisor}");
    }
}

#[test]
fn stored_integers_are_computed_in_64_bits() {
    let text = "program p {
        out b: i64[i: 8] @ [i];
        entry e { b[i] <- (i + 1) * 100000 * 100000 - 3000000000 * 2; }
    }";
    let bytes = run(text, 1, &Inputs::default(), "b");
    let found: Vec<i64> = bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let wanted: Vec<i64> = (1..9).map(|i| i * 10_000_000_000 - 6_000_000_000).collect();
    assert_eq!(found, wanted);
}

/// The bits of 1, -2, 0.3, the largest and the smallest number of each type.
#[test]
fn fills_of_8_bit_floats_are_their_values() {
    let cases = [
        ("e4m3", "1.0", 0x38),
        ("e4m3", "-2", 0xc0),
        ("e4m3", "0.3", 0x2a),
        ("e4m3", "448", 0x7e),
        ("e4m3", "0.001", 0x01),
        ("e5m2", "1", 0x3c),
        ("e5m2", "-2.0", 0xc0),
        ("e5m2", "0.3", 0x35),
        ("e5m2", "57344", 0x7b),
        ("e5m2", "0.00001", 0x01),
    ];
    for (elem, value, bits) in cases {
        let text = format!(
            "program p {{
                in a: {elem}[i: 3] @ [i];
                out y: {elem}[i: 5] @ [i] with fill({value});
                entry e {{ y[i + 1] <- a[i]; }}
            }}"
        );
        let kind = if elem == "e4m3" { Elem::E4m3 } else { Elem::E5m2 };
        let bytes = run(&text, 1, &with("a", Array::zeros(kind, vec![3])), "y");
        assert_eq!(bytes, [bits, 0, 0, 0, bits], "{elem} {value}");
    }
}

/// A cast to the type that a value has already keeps its bits: infinities and every NaN, too.
#[test]
fn casts_to_the_same_type_keep_the_bits() {
    for (elem, kind) in [("e5m2", Elem::E5m2), ("e4m3", Elem::E4m3)] {
        let text = format!(
            "program p {{
                in x: {elem}[i: 256] @ [i];
                out y: {elem}[i: 256] @ [i];
                entry e {{ y[i] <- cast({elem}, x[i]); }}
            }}"
        );
        let mut all = Array::zeros(kind, vec![256]);
        (0..256).for_each(|i| all.set_bits(i, i as u64));
        assert_eq!(run(&text, 1, &with("x", all), "y"), (0..=255u8).collect::<Vec<_>>(), "{elem}");
    }
}

/// Sums of lengths that a tensor or a launch gives, over places that a tensor names, of nothing, of neighbours, and
/// in each other; the largest of NaN and of zeros.
#[test]
fn reductions_without_a_route_equal_the_oracle() {
    let text = "program p {
        mesh m { p: 3 }
        dyn T: int <= 9;
        in len: i32[r: 6] @ [copy/p, r];
        in x: f32[r: 6, l: len[r] <= 7] @ [r/p, r, l.slab(7)];
        in page: ix32(4)[r: 6, k: 2] @ [r/p, r, k];
        in pool: bf16[g: 4, o: 3] @ [g, o/p, o];
        in t: f32[t: T] @ [copy/p, t];
        in n: i32[r: 6] @ [r/p, r];
        in w: f32[o: 3] @ [copy/p, o];
        in h: f32[i: 8] @ [i/p, i] with uneven;
        out rows: f32[r: 6] @ [r/p, r];
        out most: f32[r: 6] @ [copy/p, r];
        out pooled: bf16[r: 6] @ [only(2)/p, r];
        out total: f32[r: 6] @ [copy/p, r];
        out near: f32[i: 6] @ [i/p, i];
        out nested: f32[o: 3] @ [o/p, o];
        entry e {
            rows[r] <- sum(l: x[r, l] * 0.5) * cast(f32, n[r]);
            most[r] <- max(l: x[r, l]);
            pooled[r] <- cast(bf16, sum((k, o): pool[page[r, k], o] * w[o]));
            total[r] <- sum(t: t[t]) - sum(o: w[o]) * cast(f32, n[r]);
            near[i] <- sum(o: w[o] * h[i + o]);
            nested[o] <- min(g: pool[g, o] + sum(t: t[t]));
        }
    }";
    let mut random = Random(77);
    let packed = text.replace("l.slab(7)", "l.pack(4)");
    let cases = [(9, [7, 0, 3, 1, 0, 7]), (0, [0; 6]), (4, [7; 6])];
    for (length, counts) in cases {
        let mut inputs = Inputs::default();
        inputs.dyns.insert("T".to_string(), vec![length]);
        let mut put = |name: &str, array: Array| {
            inputs.tensors.insert(name.to_string(), array);
        };
        put("len", Array::from_i64(Elem::I32, vec![6], &counts));
        put("page", Array::from_i64(Elem::I32, vec![6, 2], &[3, 0, 1, 1, 2, 3, 0, 0, 3, 3, 2, 1]));
        put("n", Array::from_i64(Elem::I32, vec![6], &[1, -2, 16777217, 0, 7, 5]));
        let floats = [
            ("x", Elem::F32, vec![6, 7]),
            ("pool", Elem::Bf16, vec![4, 3]),
            ("t", Elem::F32, vec![length as usize]),
            ("w", Elem::F32, vec![3]),
            ("h", Elem::F32, vec![8]),
        ];
        for (name, elem, shape) in floats {
            let mut array = Array::zeros(elem, shape);
            random.fill(&mut array);
            if name == "x" {
                // A row with NaN, and one of zeros of both signs.
                array.set_bits(2, 0xffc0_1234);
                (14..17).for_each(|i| array.set_bits(i, if i == 15 { 0 } else { 0x8000_0000 }));
            }
            put(name, array);
        }
        let most = words(&run(text, 3, &inputs, "most"));
        assert_eq!(words(&run(&packed, 3, &inputs, "most")), most);
        let minus_infinity = f32::NEG_INFINITY.to_bits() as i32;
        assert_eq!(most[0], if counts[0] > 2 { 0x7fff_ffff } else { minus_infinity });
        if counts[2] == 3 {
            assert_eq!((most[1], most[2]), (minus_infinity, 0));
        }
    }
}

/// Flags are counted, bytes and words added in 64 bits, by rows, columns and all at once, of pages and counted rows.
#[test]
fn sums_of_integers_are_exact() {
    let text = "program p {
        mesh m { p: 3 }
        in flag: bool[i: 6, j: 21] @ [i/p, i, j];
        in byte: i8[i: 6, j: 21] @ [j/p, i, j];
        in word: u16[i: 6, j: 21] @ [copy/p, j, i];
        in big: i32[i: 6, j: 21] @ [i/p, j, i];
        in len: i32[i: 6] @ [copy/p, i];
        in row: u8[i: 6, l: len[i] <= 5] @ [i/p, i, l.slab(5)];
        in page: ix32(6)[i: 6, k: 2] @ [copy/p, i, k];
        out n: u16[i: 6] @ [copy/p, i];
        out cols: i32[j: 21] @ [j/p, j];
        out words: u32[i: 6] @ [only(1)/p, i];
        out all: i64[z: 1] @ [copy/p, z];
        out rows: i32[i: 6] @ [i/p, i];
        out pages: i64[i: 6, j: 21] @ [i/p, i, j];
        entry e {
            n[i] <- sum(j: flag[i, j]);
            cols[j] <- sum(i: byte[i, j]);
            words[i] <- sum(j: word[i, j]);
            all[z] <- sum((i, j): big[i, j]);
            rows[i] <- sum(l: row[i, l]);
            pages[i, j] <- sum(k: big[page[i, k], j]);
        }
    }";
    let mut random = Random(5);
    let mut inputs = Inputs::default();
    let mut any = |elem: Elem, shape: Vec<usize>, most: u64| {
        let mut array = Array::zeros(elem, shape);
        (0..array.len()).for_each(|i| array.set_bits(i, random.below(most)));
        array
    };
    let of = [
        ("flag", any(Elem::Bool, vec![6, 21], 2)),
        ("byte", any(Elem::I8, vec![6, 21], 256)),
        ("word", any(Elem::U16, vec![6, 21], 65536)),
        ("big", any(Elem::I32, vec![6, 21], 1 << 32)),
        ("row", any(Elem::U8, vec![6, 5], 256)),
        ("len", Array::from_i64(Elem::I32, vec![6], &[5, 0, 1, 4, 5, 2])),
        ("page", any(Elem::I32, vec![6, 2], 6)),
    ];
    let all: i64 = (0..126).map(|i| of[3].1.get_i64(i)).sum();
    inputs.tensors = of.into_iter().map(|(name, array)| (name.to_string(), array)).collect();
    assert_eq!(run(text, 3, &inputs, "all"), all.to_le_bytes());
    if jit::Nvrtc::find().is_err() {
        return println!("skipped: no NVRTC");
    }
    let compiled = compile(text, None, &Bindings::new()).expect("a program");
    let unit = generate(&compiled.schedule, &Target::hopper(3)).expect("a text");
    jit::compile(&unit.source, "sums", "sm_90a").unwrap_or_else(|e| panic!("{e}"));
    let refused = |from: &str, to: &str, value: &str| {
        let text = format!(
            "program p {{ in x: {from}[i: 70000] @ [i]; out y: {to}[z: 1] @ [z]; entry e {{ y[z] <- {value}; }} }}"
        );
        compile(&text, None, &Bindings::new()).err().map(|d| d.0[0].code)
    };
    for (from, to, value, code) in [
        ("u16", "u32", "sum(i: x[i])", Some("F0999")),
        ("u16", "i64", "sum(i: x[i])", None),
        ("bool", "u16", "sum(i: x[i])", Some("F0999")),
        ("i64", "i64", "sum(i: x[i])", Some("F0999")),
        ("u64", "i64", "sum(i: x[i])", Some("F0999")),
        ("i8", "i32", "sum(i: x[i])", None),
        ("ix32(4)", "i64", "sum(i: x[i])", Some("F0999")),
        ("i8", "i8", "max(i: x[i])", None),
        ("i16", "i8", "min(i: x[i])", Some("F0999")),
        ("i16", "i32", "sum(i: x[i] / 256 + x[i] % 7)", None),
        ("u8", "u8", "x[0] % (x[1] + 1)", None),
        ("u8", "u8", "x[0] % x[1]", Some("F0601")),
        ("i8", "i64", "sum(i: x[i] * x[i] - 3)", None),
        ("i16", "i32", "sum(i: x[i] * x[i])", Some("F0999")),
        ("f32", "i32", "sum(i: x[i])", Some("F0601")),
        ("i8", "f32", "sum(i: x[i])", Some("F0601")),
        ("i8", "f32", "sum(i: cast(f32, x[i]))", None),
    ] {
        assert_eq!(refused(from, to, value), code, "{to} <- {value} of {from}");
    }
}

/// An index out of range inside of a reduction ends the launch, and nothing is read there.
#[test]
fn an_index_out_of_range_inside_of_a_sum_is_told() {
    let text = "program p {
        in page: ix32(4)[k: 3] @ [k];
        in x: f32[g: 4, i: 8] @ [g, i];
        out y: f32[i: 8] @ [i];
        entry e { y[i] <- sum(k: x[page[k], i]); }
    }";
    let mut inputs = with("page", Array::from_i64(Elem::I32, vec![3], &[1, 4, 0]));
    inputs.tensors.insert("x".to_string(), Array::zeros(Elem::F32, vec![4, 8]));
    for world in [World::host(1).ok(), gpu(1)].into_iter().flatten() {
        let session = Session::new(text, &[], &[], world);
        session.upload(&inputs);
        let stream = session.world.stream().expect("a stream");
        session.launch("e", &stream, &inputs).expect("queued");
        let error = stream.synchronize().expect_err("4 is no place of 4").to_string();
        assert!(error.contains("page") && error.contains('4'), "{error}");
    }
}

/// Every type to every float, of any bits; each type moved, filled and given a literal.
#[test]
fn each_element_type_equals_the_oracle() {
    let all = [
        ("f64", Elem::F64, "-1.0e300"),
        ("f32", Elem::F32, "0.1"),
        ("f16", Elem::F16, "0.1"),
        ("bf16", Elem::Bf16, "0.1"),
        ("e4m3", Elem::E4m3, "3"),
        ("e5m2", Elem::E5m2, "3"),
        ("i8", Elem::I8, "-128"),
        ("u8", Elem::U8, "255"),
        ("i16", Elem::I16, "-32768"),
        ("u16", Elem::U16, "65535"),
        ("i32", Elem::I32, "-5"),
        ("u32", Elem::U32, "4294967295"),
        ("i64", Elem::I64, "-5"),
        ("u64", Elem::U64, "9223372036854775807"),
        ("bool", Elem::Bool, "1"),
    ];
    let n = 500;
    let (mut text, mut body) = ("program p { mesh m { p: 2 }".to_string(), String::new());
    let (mut inputs, mut random) = (Inputs::default(), Random(12));
    for (name, elem, literal) in all {
        text += &format!(
            " in x_{name}: {name}[i: {n}] @ [i/p, i]; out y_{name}: {name}[i: {}] @ [i, copy/p] with fill({literal});
              out l_{name}: {name}[i: 6] @ [i/p, i];",
            n + 1
        );
        body += &format!(" y_{name}[i + 1] <- x_{name}[i]; l_{name}[i] <- {literal};");
        for (to, kind, _) in &all[..6] {
            if *kind == elem || (*kind == Elem::F64 && !all[..6].iter().any(|a| a.1 == elem)) {
                continue;
            }
            text += &format!(" out c_{name}_{to}: {to}[i: {n}] @ [copy/p, i];");
            body += &format!(" c_{name}_{to}[i] <- cast({to}, x_{name}[i]);");
        }
        let mut array = Array::zeros(elem, vec![n]);
        for i in 0..n {
            let any = random.below(1 << 32) << 32 | random.below(1 << 32);
            // Numbers near those of the smaller types as well.
            let bits = match (elem, i % 3) {
                (Elem::Bool, _) => any & 1,
                (Elem::F64, 1) => (any as f64 / 1e15).to_bits(),
                (Elem::F64, 2) => f64::from(f32::from_bits(any as u32)).to_bits(),
                (Elem::F32, 1) => u64::from((any as f32 / 1e17).to_bits()),
                _ => any,
            };
            array.set_bits(i, bits);
        }
        inputs.tensors.insert(format!("x_{name}"), array);
    }
    let text = format!("{text} entry e {{{body}}} }}");
    let bytes = run(&text, 2, &inputs, "y_f64");
    assert_eq!(bytes[..8], (-1e300f64).to_le_bytes());
    if jit::Nvrtc::find().is_err() {
        return println!("skipped: no NVRTC");
    }
    let compiled = compile(&text, None, &Bindings::new()).expect("a program");
    let unit = generate(&compiled.schedule, &Target::hopper(2)).expect("a text");
    jit::compile(&unit.source, "types", "sm_90a").unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn what_a_type_does_not_hold_is_refused() {
    for (elem, value, fine) in [
        ("bool", "2", false),
        ("bool", "i % 2", true),
        ("bool", "i", false),
        ("u16", "65536", false),
        ("i16", "i - 32768", true),
        ("i16", "i - 32769", false),
        ("u64", "i - 1", false),
        ("u64", "i * 1000000000000", true),
        ("f64", "cast(f64, n[0])", false),
        ("f64", "cast(f64, x[0] * 2.0)", true),
        ("f64", "x[0] * 2.0", false),
        ("f64", "d[0] * 2.0", true),
        ("f32", "cast(f32, d[0]) * 2.0", true),
        ("f32", "d[0] * 2.0", false),
        ("i64", "cast(i64, n[0])", true),
        ("i64", "cast(i32, n[0]) * 2", true),
        ("i64", "cast(i64, cast(i16, n[0]))", false),
        ("i64", "cast(i16, n[0]) + n[0]", false),
        ("i16", "cast(i16, n[0])", false),
        ("i16", "cast(i16, n[0] % 100)", true),
        ("i8", "cast(i16, n[0] % 100)", false),
        ("u64", "cast(u64, n[0])", false),
        ("i64", "cast(i64, x[0])", false),
    ] {
        let text = format!(
            "program p {{ in x: f32[i: 1] @ [i]; in n: i32[i: 1] @ [i]; in d: f64[i: 1] @ [i];
               out y: {elem}[i: 9] @ [i]; entry e {{ y[i] <- {value}; }} }}"
        );
        assert_eq!(compile(&text, None, &Bindings::new()).is_ok(), fine, "{elem} <- {value}");
    }
}

/// Strides, windows and halos on an axis over ranks, and a diagonal through two axes with an odd pitch.
#[test]
fn computed_indices_on_cut_axes_equal_the_oracle() {
    let cases = [
        (
            4,
            4,
            "in x: i32[i: 4] @ [i/m, i]; out y: i32[i: 2] @ [copy/m, i]; entry e { y[i] <- x[i * 2]; }",
        ),
        (
            4,
            64,
            "in x: i32[i: 64] @ [i/m, i]; out y: i32[i: 8] @ [i/m, i]; entry e { y[i] <- x[i * 8]; }",
        ),
        (
            4,
            6,
            "in x: i32[i: 6] @ [i/m, i] with uneven; out y: i32[i: 4, w: 3] @ [i/m, i, w]; entry e { y[i, w] <- x[i + w]; }",
        ),
        (
            4,
            17,
            "in x: i32[i: 17] @ [i/m, i] with uneven; out y: i32[s: 4, w: 5] @ [s/m, s, w]; entry e { y[s, w] <- x[s * 4 + w]; }",
        ),
        (
            2,
            8,
            "in x: i32[a: 8] @ [copy/m, a]; out y: i32[i: 32] @ [i/m, i] with fill(-1); entry e { y[a * 4] <- x[a]; }",
        ),
        (
            2,
            6,
            "in x: i32[i: 6] @ [i/m, i:2, i:2] with uneven; out y: i32[i: 6] @ [copy/m, i]; entry e { y[i] <- x[i]; }",
        ),
        (
            2,
            20,
            "in x: i32[i: 20] @ [i/m, i]; out y: i32[i: 6] @ [i/m, i]; entry e { y[i] <- x[i + 3 - 1]; }",
        ),
    ];
    for (ranks, extent, body) in cases {
        let mut x = Array::zeros(Elem::I32, vec![extent]);
        Random(7).fill(&mut x);
        run(&format!("program p {{ mesh r {{ m: {ranks} }} {body} }}"), ranks, &with("x", x), "y");
    }
    let text = "program p {
        mesh m { q: 2 }
        in x: u8[i: 8, j: 8, z: 8] @ [i, z, j, i/q] with stride(z: 11);
        out y: u8[i: 8, j: 8] @ [only(0)/q, i, j];
        entry e { y[i, j] <- x[i, j, i]; }
    }";
    let mut x = Array::zeros(Elem::U8, vec![8, 8, 8]);
    Random(8).fill(&mut x);
    run(text, 2, &with("x", x), "y");
}

/// Counts are looked up only within the axis that they belong to: 3 requests over 2 ranks, transposed.
#[test]
fn lengths_are_read_for_rows_that_exist() {
    let text = "program p {
        mesh tp { gpu: 2 }
        in len: i32[r: 3] @ [copy/gpu, r];
        in k: bf16[r: 3, s: len[r] <= 10, n: 2, d: 8] @ [r/gpu, r, s.slab(10), n, d] with uneven;
        out o: bf16[r: 3, s: len[r] <= 10, n: 2, d: 8] @ [r/gpu, r, n, d, s.slab(10)] with uneven;
        entry e { o[r, s, n, d] <- k[r, s, n, d]; }
    }";
    let mut k = Array::zeros(Elem::Bf16, vec![3, 10, 2, 8]);
    Random(9).fill(&mut k);
    let mut inputs = with("k", k);
    inputs.tensors.insert("len".to_string(), Array::from_i64(Elem::I32, vec![3], &[10, 3, 7]));
    run(text, 2, &inputs, "o");
}

/// Lengths beyond their bound, and below 0, fail the launch and name the tensor.
#[test]
fn a_length_is_within_its_bound() {
    for placement in ["l.slab(5)", "l.pack(2)"] {
        let text = format!(
            "program p {{
                in len: i32[r: 4] @ [r];
                in x: f32[r: 4, l: len[r] <= 5] @ [r, l.pack(1)];
                out y: f32[r: 4, l: len[r] <= 5] @ [r, {placement}] with fill(0);
                entry e {{ y[r, l] <- x[r, l]; }}
            }}"
        );
        for wrong in [6, -1] {
            let world = World::host(1).expect("a host");
            let session = Session::new(&text, &[], &[], world);
            let lens: Vec<u8> =
                [1, wrong, 3, 0].iter().flat_map(|n: &i32| n.to_le_bytes()).collect();
            session.buffers["len"].upload(0, &lens).expect("fits");
            let stream = session.world.stream().expect("a stream");
            session.launch("e", &stream, &Inputs::default()).expect("queued");
            let error = stream.synchronize().expect_err("a wrong length");
            assert_eq!(error.code(), "F0906");
            let wanted = format!("an index read from `len` is {wrong}, outside 0..6");
            assert_eq!(error.to_string(), wanted);
        }
    }
}

/// The element at the smallest value of an axis; of an axis without any, what was there.
#[test]
fn the_first_of_an_axis_is_its_smallest() {
    for length in [0, 1, 3] {
        let text = "program p {
            mesh m { p: 2 }
            dyn L: int <= 3;
            in a: f32[i: 6, j: L] @ [i/p, i, j];
            in x: i32[i: 6, j: L] @ [copy/p, j, i];
            in u: f32[i: 6, j: 4, k: 2] @ [sum/p, i, j, k];
            out b: f32[i: 6] @ [copy/p, i] with fill(-3);
            inout c: i32[i: 6] @ [i/p, i];
            out d: f32[i: 6] @ [i/p, i];
            entry e {
                b[i] <- first(j: a[i, j] + 1.0) * 2.0;
                c[i] <- first(j: x[i, j]);
                d[i] <- first((j, k): u[i, j, k]);
            }
        }";
        let mut random = Random(70 + length);
        let mut inputs = Inputs::default();
        let n = length as usize;
        for (name, elem, shape) in [
            ("a", Elem::F32, vec![6, n]),
            ("x", Elem::I32, vec![6, n]),
            ("u", Elem::F32, vec![2, 6, 4, 2]),
            ("c", Elem::I32, vec![6]),
        ] {
            let mut array = Array::zeros(elem, shape);
            random.fill(&mut array);
            inputs.tensors.insert(name.into(), array);
        }
        inputs.dyns.insert("L".into(), vec![length as i64]);
        let kept = inputs.tensors["c"].bytes()[..12].to_vec();
        let first = run(text, 2, &inputs, "c");
        assert_eq!(first == kept, length == 0);
        let b = run(text, 2, &inputs, "b");
        assert_eq!(b == (-3f32).to_le_bytes().repeat(6), length == 0);
    }
}

/// Of no integers, `max` and `min` are the ends of the target's type.
#[test]
fn extremes_of_integers_equal_the_oracle() {
    for (elem, kind) in [
        ("i8", Elem::I8),
        ("u8", Elem::U8),
        ("i16", Elem::I16),
        ("i32", Elem::I32),
        ("i64", Elem::I64),
    ] {
        for length in [0, 1, 5] {
            let text = format!(
                "program p {{
                    mesh m {{ p: 2 }}
                    dyn L: int <= 5;
                    in a: {elem}[i: 4, j: L] @ [copy/p, i, j];
                    out b: {elem}[i: 4] @ [i/p, i];
                    out c: {elem}[i: 4] @ [i/p, i];
                    entry e {{ b[i] <- max(j: a[i, j]); c[i] <- min(j: a[i, j]); }}
                }}"
            );
            let mut array = Array::zeros(kind, vec![4, length as usize]);
            Random(length).fill(&mut array);
            let mut inputs = with("a", array);
            inputs.dyns.insert("L".into(), vec![length as i64]);
            run(&text, 2, &inputs, "b");
            run(&text, 2, &inputs, "c");
        }
    }
}

/// Integers in a wider type, and what arithmetic keeps small in a narrower one: moved, in arithmetic and in sums.
#[test]
fn integers_are_cast_to_integers() {
    let text = "program p {
        mesh m { p: RANKS }
        in a: i32[i: 5, j: 6] @ [copy/p, j, i];
        in b: u8[i: 5, j: 6] @ [i/p, i, j] with uneven;
        in ids: ix32(7, none = -1) [i: 5, j: 6] @ [i, j/p, j] with uneven;
        out c: i64[i: 5, j: 6] @ [i/p, i, j] with uneven;
        out d: i16[i: 5, j: 6] @ [j/p, i, j] with uneven;
        out k: u8[i: 5, j: 6] @ [i, j/p, j] with uneven;
        out f: i64[i: 5] @ [copy/p, i];
        out g: i64[j: 6, i: 5] @ [copy/p, j, i];
        out h: f32[i: 5, j: 6] @ [i/p, i, j] with uneven;
        entry e {
            c[i, j] <- cast(i64, a[i, j]);
            d[i, j] <- cast(i16, b[i, j]);
            k[i, j] <- cast(u8, a[i, j] % 200);
            f[i] <- sum(j: cast(i64, a[i, j])) * 3;
            g[j, i] <- cast(i64, ids[i, j]);
            h[i, j] <- cast(f32, cast(i64, b[i, j]));
        }
    }";
    let numbers = |scale: i64| Vec::from_iter((0..30).map(|i| (i * i - 40) * scale));
    let bytes = Vec::from_iter((0..30).map(|i| i * 37 % 256));
    let ids = Vec::from_iter((0..30).map(|i| i % 8 - 1));
    for ranks in 1..=8 {
        let mut inputs = with("a", Array::from_i64(Elem::I32, vec![5, 6], &numbers(2_000_000)));
        let more = [
            ("b", Array::from_i64(Elem::U8, vec![5, 6], &bytes)),
            ("ids", Array::from_i64(Elem::I32, vec![5, 6], &ids)),
        ];
        inputs.tensors.extend(more.map(|(name, array)| (name.to_string(), array)));
        let text = text.replace("RANKS", &ranks.to_string());
        let sums = run(&text, ranks, &inputs, "f");
        let first: i64 = numbers(2_000_000)[..6].iter().sum();
        assert_eq!(sums[..8], (first * 3).to_le_bytes(), "{ranks} ranks");
        if ranks != 3 || jit::Nvrtc::find().is_err() {
            continue;
        }
        let compiled = compile(&text, None, &Bindings::new()).expect("a program");
        let unit = generate(&compiled.schedule, &Target::hopper(3)).expect("a text");
        jit::compile(&unit.source, "casts", "sm_90a").unwrap_or_else(|e| panic!("{e}"));
    }
}
