//! Names in generated Rust: programs whose words are those of the generated text, of Rust and of each other give
//! modules that parse, whose scopes hold each name once, and whose paths mean nothing of the user's.

use super::expand;
use fusco_dsl::rust::names;
use fusco_dsl::sema::hir::Program;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Fields, FnArg, ImplItem, Item, Pat};

/// Every kind of name, in lower case the params `A0`, `A1` and the dyns `A2`, `A3`.
const PROGRAM: &str = "program w0 {
    mesh ep { gpu: 2 }
    param w1: int where w1 % gpu == 0;
    param w2: int;
    param w3: ints;
    dyn w4[gpu]: int <= w2;
    dyn w5: int <= 8;
    in  w6: bf16[s: gpu, t: w4[s], h: 8] @ [s/gpu, t, h];
    in  w7: ix64(w1, none = -1)[s: gpu, t: w4[s], k: 2] @ [s/gpu, t, k];
    out w8: bf16[e: w1, c: ragged, h: 8] @ [e/gpu, e, c.pack(128), h] with fill(0);
    out w9: i32[e: w1] @ [e/gpu, e];
    in  w10: f32[i: 4, b: 8] @ [i/gpu.map(w3), i, b];
    out w11: f32[b: 8, i: 4] @ [b/gpu, b, i];
    route w12: (s, t, k) -> (e, c) { e = w7[s, t, k] else drop; c = slot(e) by (s, t, k); }
    route w13: (s, t, k) -> (e, c) { e = w7[s, t, k] else drop; c = slot(e) by (k, s, t); }
    entry w14 { plan w12; w8[e, c, h] <- w6[s, t, h] via w12; w9[e] <- count(w8.c); }
    entry w15 { w11[b, i] <- w10[i, b]; }
    entry w16 = adjoint(w15);
    entry w17 { w8[e, c, h] <- w6[s, t, h] via w12; }
}";
const WORDS: usize = 18;

/// What words become: `(word, first of its kind, fields in lower case)`.
const LOWER: [usize; 5] = [1, 2, 3, 4, 5];
const SCOPES: [&[usize]; 3] = [&[1, 2, 3], &[4, 5, 6, 7, 8, 9, 10, 11], &[14, 15, 16, 17]];

/// Words of Rust and of those who use the module.
const RUST: [&str; 78] = [
    "as",
    "async",
    "await",
    "break",
    "const",
    "continue",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "Self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "while",
    "abstract",
    "become",
    "box",
    "do",
    "final",
    "macro",
    "override",
    "priv",
    "try",
    "typeof",
    "unsized",
    "virtual",
    "yield",
    "union",
    "auto",
    "default",
    "macro_rules",
    "raw",
    "core",
    "std",
    "alloc",
    "fusco_runtime",
    "Vec",
    "String",
    "Option",
    "Some",
    "None",
    "Result",
    "Ok",
    "Err",
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "clone",
    "fmt",
    "drop",
    "i64",
    "str",
    "u8",
    "SELF",
];

/// Words that the macro, or another word, makes.
const MADE: [&str; 40] = [
    "_", "__", "___", "self_", "Self_", "super_", "crate_", "SELF_", "_1", "_1Args", "N", "n", "T",
    "t", "TRUE", "go_a", "goA", "go__a", "GoA", "goAArgs", "Args", "Route", "route_", "alloc_x",
    "alloc_x_", "x", "x_", "X", "plan_r", "plan_r_", "r", "R", "untyped", "untyped_", "launch_x",
    "route_r", "RArgs", "params", "bound", "bind",
];

fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below
}

/// The program with these words.
fn written(words: &[String]) -> String {
    let mut out = PROGRAM.to_string();
    for (i, word) in words.iter().enumerate().rev() {
        out = out.replace(&format!("w{i}"), &format!("\u{1}{word}"));
    }
    out.replace('\u{1}', "")
}

fn checked(words: &[String]) -> Option<Vec<Program>> {
    let text = written(words);
    fusco_dsl::check(&text).ok().map(|(programs, _)| programs)
}

fn plain() -> Vec<String> {
    (0..WORDS).map(|i| format!("plain{i}word")).collect()
}

fn expanded(programs: &[Program]) -> TokenStream {
    let names = names(programs).expect("distinct names");
    let at = |_| proc_macro2::Span::call_site();
    programs.iter().zip(&names).map(|(p, n)| expand(p, n, "", &at)).collect()
}

fn idents(tokens: TokenStream, out: &mut BTreeSet<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => idents(group.stream(), out),
            TokenTree::Ident(word) => _ = out.insert(word.to_string()),
            _ => {}
        }
    }
}

/// Words that a program may have in every place.
fn pool() -> Vec<String> {
    let mut words = BTreeSet::new();
    idents(expanded(&checked(&plain()).expect("it is right")), &mut words);
    words.retain(|w| !w.contains("plain") && !w.starts_with("r#"));
    assert!(words.len() > 60, "{words:?}");
    words.extend(RUST.iter().chain(&MADE).map(ToString::to_string));
    let usable = |word: &String| {
        let mut words = plain();
        words[14] = word.clone();
        checked(&words).is_some()
    };
    let (all, out): (usize, Vec<String>) =
        (words.len(), words.into_iter().filter(usable).collect());
    assert!(out.len() * 10 > all * 9, "{} of {all}", out.len());
    out
}

/// A word as Rust writes it, said anew: what two words of a scope must not share.
fn as_rust(word: &str) -> String {
    match word {
        "self" | "Self" | "super" | "crate" | "_" => word.to_string() + "_",
        _ => word.to_string(),
    }
}

/// Whether two words that a user writes are one name.
fn collide(words: &[String]) -> bool {
    let name = |i: &usize| match LOWER.contains(i) {
        true => as_rust(&words[*i].to_lowercase()),
        false => as_rust(&words[*i]),
    };
    SCOPES.iter().any(|scope| {
        let mut names: Vec<String> = scope.iter().map(name).collect();
        if scope.contains(&11) {
            names.extend([10, 11].map(|i| format!("grad_{}", words[i])));
        }
        names.iter().collect::<BTreeSet<_>>().len() < names.len()
    })
}

fn once<'a>(scope: &str, names: impl IntoIterator<Item = &'a syn::Ident>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name), "{name} twice in {scope}");
    }
}

fn fields<'a>(scope: &str, fields: &'a Fields) -> impl Iterator<Item = &'a syn::Ident> {
    once(scope, fields.iter().filter_map(|f| f.ident.as_ref()));
    fields.iter().filter_map(|f| f.ident.as_ref())
}

/// Paths that are not absolute, and mean neither a primitive type nor what the module has.
struct Paths(BTreeSet<String>, Vec<String>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = &path.segments[0].ident;
        if path.leading_colon.is_none() && !self.0.contains(&first.to_string()) {
            self.1.push(quote::quote!(#path).to_string());
        }
        visit::visit_path(self, path);
    }
    /// `doc`, `allow` and `derive` are the compiler's; what is derived is a path.
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("derive") {
            let list = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
            let derived = attribute.parse_args_with(list).expect("paths");
            self.1.extend(
                derived
                    .iter()
                    .filter(|p| p.leading_colon.is_none())
                    .map(|p| quote::quote!(#p).to_string()),
            );
        }
    }
}

/// Each scope of a module has each name once, and all paths are its own or absolute.
fn sound(module: &syn::ItemMod) {
    let (_, items) = module.content.as_ref().expect("a body");
    let (mut types, mut values) = (Vec::new(), Vec::new());
    let mut own: BTreeSet<String> =
        ["i64", "i32", "u8", "u128", "f32", "usize", "str", "self", "Self"]
            .map(String::from)
            .into();
    for item in items {
        match item {
            Item::Struct(s) => {
                types.push(&s.ident);
                if s.fields.iter().any(|f| f.ident.is_none()) {
                    values.push(&s.ident);
                }
                fields(&s.ident.to_string(), &s.fields).for_each(drop);
            }
            Item::Enum(e) => types.push(&e.ident),
            Item::Const(c) => values.push(&c.ident),
            Item::Fn(f) => values.push(&f.sig.ident),
            Item::Impl(block) => {
                let methods = block.items.iter().map(|i| match i {
                    ImplItem::Fn(f) => &f.sig.ident,
                    _ => panic!("only methods"),
                });
                once("Bound", methods);
            }
            other => panic!("no such item: {}", quote::quote!(#other)),
        }
    }
    once("types", types.iter().copied());
    once("values", values.iter().copied());
    own.extend(types.iter().chain(&values).map(ToString::to_string));
    struct Locals<'a>(&'a mut BTreeSet<String>);
    impl<'ast> Visit<'ast> for Locals<'_> {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            self.0.insert(pat.ident.to_string());
        }
        fn visit_signature(&mut self, signature: &'ast syn::Signature) {
            let named = signature.inputs.iter().filter_map(|i| match i {
                FnArg::Typed(t) => match &*t.pat {
                    Pat::Ident(p) => Some(&p.ident),
                    _ => None,
                },
                FnArg::Receiver(_) => None,
            });
            once("arguments", named);
            visit::visit_signature(self, signature);
        }
    }
    Locals(&mut own).visit_item_mod(module);
    let mut paths = Paths(own, Vec::new());
    paths.visit_item_mod(module);
    assert_eq!(paths.1, Vec::<String>::new(), "{}", module.ident);
}

const NEAR: usize = 9;

/// A word that another one may become.
fn near(word: &str, how: usize) -> String {
    match how {
        0 | 1 => word.to_uppercase(),
        2 => word.to_lowercase(),
        3 => format!("{word}_"),
        4 => word.trim_end_matches('_').to_string(),
        5 => format!("alloc_{word}"),
        6 => format!("plan_{word}"),
        7 => format!("_{word}"),
        _ => word.replace("word", "_word"),
    }
}

#[test]
fn names_of_rust_are_distinct_or_refused() {
    let pool = pool();
    let (mut refused, mut made, mut state) = (0, 0, 0x2545_f491_4f6c_dd1d);
    for round in 0..1000 {
        let mut words = plain();
        for _ in 0..2 + round % 6 {
            // Of the same scope, if it has one.
            let place = random(&mut state, WORDS);
            let scope = SCOPES.iter().find(|s| s.contains(&place)).copied().unwrap_or(&[0, 12, 13]);
            let other = scope[random(&mut state, scope.len())];
            words[place] = match random(&mut state, 2) {
                0 => pool[random(&mut state, pool.len())].clone(),
                _ => near(&words[other], random(&mut state, NEAR)),
            };
        }
        let Some(programs) = checked(&words) else { continue };
        match names(&programs) {
            Err(wrong) => {
                refused += 1;
                assert!(collide(&words), "refused: {wrong:?}\n{}", written(&words));
                assert!(wrong.0.iter().all(|d| d.code == "F0106" && d.help.is_some()));
            }
            Ok(_) => {
                made += 1;
                assert!(!collide(&words), "{}", written(&words));
                let file: syn::File = syn::parse2(expanded(&programs))
                    .unwrap_or_else(|e| panic!("{e}\n{}", written(&words)));
                assert_eq!(file.items.len(), 1);
                let Item::Mod(module) = &file.items[0] else { panic!("not a module") };
                sound(module);
            }
        }
    }
    assert!(made > 300 && refused > 30, "{made} made, {refused} refused");
}

/// The Rust names of what is made of words, by word.
fn made(words: &[(usize, &str)]) -> BTreeMap<String, String> {
    let mut all = plain();
    words.iter().for_each(|(i, word)| all[*i] = word.to_string());
    let programs = checked(&all).expect("it is right");
    let (program, names) = (&programs[0], &names(&programs).expect("distinct")[0]);
    let entries = program.entries.iter().zip(&names.args).map(|(e, n)| (e.name.clone(), n.clone()));
    let routes = program.routes.iter().map(|(h, r)| (r.name.clone(), names.plans[&h].clone()));
    let tensors = program.tensors.iter().map(|(h, t)| (t.name.clone(), names.allocs[&h].clone()));
    entries.chain(routes).chain(tensors).chain([(String::new(), names.untyped.clone())]).collect()
}

#[test]
fn what_is_made_of_words_gives_way_to_words() {
    let names = made(&[(6, "x"), (12, "r"), (14, "alloc_x"), (15, "plan_r"), (17, "untyped")]);
    assert_eq!((&*names["x"], &*names["r"], &*names[""]), ("alloc_x_", "plan_r_", "untyped_"));
    // Not the name that another has by itself.
    let names = made(&[(6, "x"), (8, "x_"), (14, "alloc_x")]);
    assert_eq!((&*names["x"], &*names["x_"]), ("alloc_x__", "alloc_x_"));
    let names = made(&[(14, "go_a"), (15, "goA"), (16, "_1"), (17, "_")]);
    assert_eq!((&*names["go_a"], &*names["goA"]), ("GoAArgs", "GoAArgs_"));
    assert_eq!((&*names["_1"], &*names["_"]), ("_1Args", "Args"));
}

#[test]
fn an_entry_without_arguments_has_a_type_without_lifetimes() {
    let text = "program p { mesh m { g: 1 } in x: i32[i: 1] @ [copy/g, i]; entry none { } }";
    let (programs, _) = fusco_dsl::check(text).expect("it is right");
    let text = expanded(&programs).to_string();
    assert!(text.contains("struct NoneArgs { }") && text.contains("args : NoneArgs ,"), "{text}");
}

/// Nobody gives or allocates a `tmp`.
#[test]
fn what_a_program_has_for_itself_is_no_argument() {
    let text = "program p { in a: i32[i: 4] @ [i]; tmp t: i32[i: 4] @ [i]; out b: i32[i: 4] @ [i];
        entry e { t[i] <- a[i]; b[i] <- t[i]; } }";
    let (programs, _) = fusco_dsl::check(text).expect("it is right");
    let used = super::used(&programs[0], &programs[0].entries[0]);
    let names = Vec::from_iter(used.iter().map(|t| programs[0].tensors[*t].name.as_str()));
    assert_eq!(names, ["a", "b"]);
    let text = expanded(&programs).to_string();
    assert!(text.contains("alloc_a") && !text.contains("alloc_t"), "{text}");
}

/// Who plans is given the owners that any entry over the plan needs; who takes the plan is not. What is given is
/// what the schedule takes.
#[test]
fn arguments_are_what_the_schedule_takes() {
    let text = include_str!("../../../tests/gpu/moe_owners.fusco").replace(
        "in z: bf16[e: P, c: ragged, h: H] @ [e/gpu.map(owner)",
        "in other: ix32(gpu)[e: P] @ [copy/gpu, e];
    in z: bf16[e: P, c: ragged, h: H] @ [e/gpu.map(other)",
    );
    let sizes = [("G", 2), ("K", 2), ("P", 7), ("H", 8), ("TMAX", 5)];
    let sizes = sizes.map(|(name, v)| (name.to_string(), v)).into();
    let compiled = fusco_dsl::compile(&text, None, &sizes).expect("it compiles");
    for (entry, scheduled) in compiled.hir.entries.iter().zip(&compiled.schedule.entries) {
        let given = super::used(&compiled.hir, entry);
        let name = |at: usize| {
            compiled.schedule.tensors[compiled.schedule.tensors.handle(at)].name.as_str()
        };
        let given = BTreeSet::from_iter(given.iter().map(|t| name(t.index())));
        let taken = BTreeSet::from_iter(scheduled.tensors.iter().map(|t| name(t.index())));
        assert_eq!(given, taken, "{}", entry.name);
        let owners = ["owner", "other"].map(|n| given.contains(n));
        assert_eq!(owners, [entry.name == "dispatch"; 2], "{}", entry.name);
    }
}
